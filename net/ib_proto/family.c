// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: the life of a socket
 */
#include <linux/module.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/sockios.h>
#include <trace/events/ib_proto.h>

#include <asm/ioctls.h>

#include "ib_proto.h"
#include "stats.h"

struct workqueue_struct *afib_wq;

static int afib_abort(struct sock *sk, int err);

struct proto afib_proto = {
	.name		= "IB",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct afib_sock),
	.diag_destroy	= afib_abort,
};

/*
 * Names
 */

static int afib_bind_locked(struct afib_sock *is, const struct sockaddr_ib *addr)
{
	static const struct sockaddr_ib none;
	struct sockaddr_ib name, own = *addr;
	struct afib_port *port;
	int err, pkey;

	/* What has a queue pair already has an address */
	if (is->bound || is->nr_ports || is->peer.sib_family)
		return -EINVAL;
	if (afib_addr_multicast(&addr->sib_addr) || afib_addr_qpn(afib_addr_sid(addr)))
		return -EADDRNOTAVAIL;
	pkey = afib_addr_pkey(is, addr);
	if (pkey < 0)
		return pkey;
	own.sib_pkey = htons(pkey);
	err = afib_service_join(is, &own, &name);
	if (err)
		return err;
	afib_set_local(is, &name);
	if (afib_addr_any(&addr->sib_addr))
		return 0;
	port = afib_port_get(is, &is->local.sib_addr, is->local.sib_scope_id, pkey);
	if (!IS_ERR(port)) {
		afib_port_put(port);
		return 0;
	}
	afib_service_leave(is);
	afib_set_local(is, &none);
	return PTR_ERR(port);
}

static int afib_bind(struct socket *sock, struct sockaddr_unsized *uaddr, int len)
{
	struct afib_sock *is = afib_sk(sock->sk);
	struct sockaddr_ib addr;
	int err;

	err = afib_addr_check(&is->sk, uaddr, len, &addr);
	if (err)
		return err;
	lock_sock(&is->sk);
	err = afib_bind_locked(is, &addr);
	release_sock(&is->sk);
	return err;
}

/* Who is connected to nobody receives from everybody. Socket lock. */
static void afib_disconnect(struct afib_sock *is)
{
	const struct sockaddr_ib nobody = {};

	WRITE_ONCE(is->sk.sk_state, TCP_CLOSE);
	afib_dest_connect(is, &nobody, NULL);
}

static int afib_connect_locked(struct afib_sock *is, const struct sockaddr_ib *addr,
			       int flags)
{
	struct afib_dest *dest = NULL;
	struct sockaddr_ib peer;
	struct afib_key key;
	int err;

	err = afib_key_make(&key, is, addr, &is->opts);
	if (err)
		return err;
	/* Who does not want to wait does not hear of it before it sends something */
	if (!(flags & O_NONBLOCK)) {
		release_sock(&is->sk);
		dest = afib_dest_get(is, &key, true);
		lock_sock(&is->sk);
		if (IS_ERR(dest))
			return PTR_ERR(dest);
	}
	afib_addr_make(&peer, &addr->sib_addr, key.pkey, addr->sib_scope_id,
		       be64_to_cpu(key.sid));
	WRITE_ONCE(is->sk.sk_state, TCP_ESTABLISHED);
	afib_dest_connect(is, &peer, dest);
	return 0;
}

static int afib_connect(struct socket *sock, struct sockaddr_unsized *uaddr,
			int len, int flags)
{
	struct afib_sock *is = afib_sk(sock->sk);
	struct sockaddr_ib addr;
	int err;

	if (len < (int)sizeof(addr.sib_family))
		return -EINVAL;
	if (((const struct sockaddr *)uaddr)->sa_family == AF_UNSPEC) {
		lock_sock(&is->sk);
		afib_disconnect(is);
		release_sock(&is->sk);
		return 0;
	}
	err = afib_addr_check(&is->sk, uaddr, len, &addr);
	if (err)
		return err;
	lock_sock(&is->sk);
	err = afib_connect_locked(is, &addr, flags);
	release_sock(&is->sk);
	return err == -ERESTARTSYS ? sock_intr_errno(is->sk.sk_sndtimeo) : err;
}

int afib_getname(struct socket *sock, struct sockaddr *uaddr, int peer)
{
	struct sockaddr_ib *addr = (struct sockaddr_ib *)uaddr;
	struct afib_sock *is = afib_sk(sock->sk);
	struct sockaddr_ib names[2];

	lock_sock(&is->sk);
	afib_names(is, &names[0], &names[1]);
	release_sock(&is->sk);
	*addr = names[!!peer];
	if (peer && !addr->sib_family)
		return -ENOTCONN;
	addr->sib_family = AF_IB;
	return sizeof(*addr);
}

/*
 * The rest
 */

int afib_shutdown(struct socket *sock, int how)
{
	struct sock *sk = sock->sk;
	int err = 0;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	lock_sock(sk);
	if (sk->sk_state != TCP_ESTABLISHED)
		err = -ENOTCONN;
	else
		/* SHUT_RD, SHUT_WR, SHUT_RDWR to RCV_SHUTDOWN, SEND_SHUTDOWN, both */
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | (how + 1));
	release_sock(sk);
	/* Who waits sees it */
	if (!err)
		sk->sk_state_change(sk);
	return err;
}

/*
 * &proto.diag_destroy: as with UDP, it has no peer any more, who waits hears of an
 * error, and nothing waits to be sent
 */
static int afib_abort(struct sock *sk, int err)
{
	struct afib_sock *is = afib_sk(sk);

	lock_sock(sk);
	if (sock_flag(sk, SOCK_DEAD)) {
		release_sock(sk);
		return -ENOENT;
	}
	skb_queue_purge(&is->pending);
	afib_disconnect(is);
	afib_sock_error(is, -err);
	release_sock(sk);
	return 0;
}

int afib_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct sock *sk = sock->sk;

	switch (cmd) {
	case SIOCINQ:
		return put_user(afib_recvq_next_len(sk), (int __user *)arg);
	case SIOCOUTQ:
		return put_user(sk_wmem_alloc_get(sk), (int __user *)arg);
	default:
		return -ENOIOCTLCMD;
	}
}

int afib_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct afib_sock *is;

	if (!sk)
		return 0;
	is = afib_sk(sk);
	afib_net_del(is);
	/* Who is ending it is waited for */
	lock_sock(sk);
	sock_set_flag(sk, SOCK_DEAD);
	release_sock(sk);
	WRITE_ONCE(sk->sk_shutdown, SHUTDOWN_MASK);
	afib_service_leave(is);
	cancel_work_sync(&is->work);
	afib_dests_end(is);
	afib_ports_end(is);
	skb_queue_purge(&is->pending);
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, -1);
	sock_orphan(sk);
	sock->sk = NULL;
	sock_put(sk);
	return 0;
}

static void afib_destruct(struct sock *sk)
{
	if (afib_is_conn(sk))
		afib_conn_destruct(afib_conn(sk));
	else
		afib_recvq_end(afib_sk(sk));
	skb_queue_purge(&sk->sk_receive_queue);
	skb_queue_purge(&sk->sk_error_queue);
}

static const struct proto_ops afib_dgram_ops = {
	.family		= PF_IB,
	.owner		= THIS_MODULE,
	.release	= afib_release,
	.bind		= afib_bind,
	.connect	= afib_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= afib_getname,
	.poll		= afib_recvq_poll,
	.ioctl		= afib_ioctl,
	.gettstamp	= sock_gettstamp,
	.listen		= sock_no_listen,
	.shutdown	= afib_shutdown,
	.setsockopt	= afib_setsockopt,
	.getsockopt	= afib_getsockopt,
	.sendmsg	= afib_dgram_sendmsg,
	.recvmsg	= afib_dgram_recvmsg,
	.mmap		= sock_no_mmap,
};

static void afib_dgram_init(struct afib_sock *is)
{
	is->loop = true;
	is->opts = afib_opts_default;
	mutex_init(&is->resolving);
	mutex_init(&is->making);
	INIT_LIST_HEAD(&is->ports);
	INIT_LIST_HEAD(&is->lru);
	skb_queue_head_init(&is->pending);
	afib_recvq_init(is);
	INIT_WORK(&is->work, afib_dgram_work);
}

static int afib_create(struct net *net, struct socket *sock, int protocol, int kern)
{
	struct proto *prot = &afib_conn_proto;
	struct sock *sk;
	int err;

	switch (sock->type) {
	case SOCK_DGRAM:
		prot = &afib_proto;
		sock->ops = &afib_dgram_ops;
		break;
	case SOCK_RAW:
		if (!ns_capable(net->user_ns, CAP_NET_RAW))
			return -EPERM;
		prot = &afib_raw_proto;
		sock->ops = &afib_raw_ops;
		break;
	case SOCK_SEQPACKET:
	case SOCK_STREAM:
		sock->ops = &afib_conn_ops;
		break;
	default:
		return -ESOCKTNOSUPPORT;
	}
	if (protocol)
		return -EPROTONOSUPPORT;
	sk = sk_alloc(net, PF_IB, GFP_KERNEL, prot, kern);
	if (!sk)
		return -ENOMEM;
	sock_init_data(sock, sk);
	sk->sk_destruct = afib_destruct;
	spin_lock_init(&afib_sk(sk)->lock);
	if (afib_is_conn(sk))
		afib_conn_init(afib_conn(sk));
	else
		afib_dgram_init(afib_sk(sk));
	err = afib_net_add(afib_sk(sk));
	if (err) {
		sock_orphan(sk);
		sock->sk = NULL;
		sock_put(sk);
		return err;
	}
	sock_prot_inuse_add(net, prot, 1);
	if (prot == &afib_raw_proto)
		afib_raw_start(sk);
	return 0;
}

static const struct net_proto_family afib_family = {
	.family	= PF_IB,
	.create	= afib_create,
	.owner	= THIS_MODULE,
};

static int __init afib_family_init(void)
{
	int err;

	afib_wq = alloc_workqueue("af_ib", WQ_UNBOUND, 0);
	if (!afib_wq)
		return -ENOMEM;
	err = proto_register(&afib_proto, 1);
	if (err)
		goto destroy_wq;
	err = proto_register(&afib_conn_proto, 1);
	if (err)
		goto unregister_proto;
	err = proto_register(&afib_raw_proto, 1);
	if (err)
		goto unregister_conn_proto;
	err = afib_net_init();
	if (err)
		goto unregister_raw_proto;
	err = afib_nl_init();
	if (err)
		goto exit_net;
	err = sock_register(&afib_family);
	if (err)
		goto exit_nl;
	err = afib_diag_init();
	if (err)
		goto unregister_family;
	afib_stats_init();
	return 0;

unregister_family:
	sock_unregister(PF_IB);
exit_nl:
	afib_nl_exit();
exit_net:
	afib_net_exit();
unregister_raw_proto:
	proto_unregister(&afib_raw_proto);
unregister_conn_proto:
	proto_unregister(&afib_conn_proto);
unregister_proto:
	proto_unregister(&afib_proto);
destroy_wq:
	destroy_workqueue(afib_wq);
	return err;
}

static void __exit afib_family_exit(void)
{
	afib_stats_exit();
	afib_diag_exit();
	sock_unregister(PF_IB);
	afib_nl_exit();
	afib_net_exit();
	proto_unregister(&afib_raw_proto);
	proto_unregister(&afib_conn_proto);
	proto_unregister(&afib_proto);
	destroy_workqueue(afib_wq);
}

module_init(afib_family_init);
module_exit(afib_family_exit);
MODULE_DESCRIPTION("Sockets with InfiniBand addresses");
MODULE_LICENSE("GPL");
MODULE_ALIAS_NETPROTO(PF_IB);
MODULE_ALIAS_NET_PF_PROTO_TYPE(PF_NETLINK, NETLINK_SOCK_DIAG, 27 /* AF_IB */);
