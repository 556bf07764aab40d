// SPDX-License-Identifier: GPL-2.0
/*
 * AF_QP: queue pairs as sockets
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/pidfs.h>
#include <linux/poll.h>
#include <linux/security.h>
#include <linux/socket.h>
#include <uapi/linux/qp_netlink.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

static int qp_abort(struct sock *sk, int err);

static struct proto qp_sk_proto = {
	.name		= "QP",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct qp_sock),
	.diag_destroy	= qp_abort,
};

static const u8 qp_sk_states[] = {
	[QP_STATE_IDLE]		= TCP_CLOSE,
	[QP_STATE_LISTEN]	= TCP_LISTEN,
	[QP_STATE_CONNECTING]	= TCP_SYN_SENT,
	[QP_STATE_RTS]		= TCP_ESTABLISHED,
	[QP_STATE_ERROR]	= TCP_CLOSING,
};

/**
 * qp_set_state() - change the state of a queue pair
 * @qp: the queue pair
 * @state: the new state; who sees it sees what was stored before
 */
void qp_set_state(struct qp_sock *qp, enum qp_state state)
{
	enum qp_state old = qp_state(qp);

	/* Pairs with qp_state() */
	smp_store_release(&qp->sk.sk_state, qp_sk_states[state]);
	qp_count_state(qp, old, state);
	trace_qp_state(qp, old, state);
	if (qp->qpn && state != old)
		qp_nl_notify(qp, QP_CMD_QP_STATE_NTF);
	if (old == QP_STATE_CONNECTING && state != old)
		trace_qp_conn_result(qp, state == QP_STATE_RTS ? 0 :
					 -READ_ONCE(qp->sk.sk_err));
	/* There may be work now that could not be done before */
	qp_sqpoll_call(qp);
}
EXPORT_SYMBOL_GPL(qp_set_state);

/**
 * qp_wake() - wake who waits for events on a queue pair's descriptor
 * @qp: the queue pair
 * @events: EPOLL*
 *
 * Context: any.
 */
void qp_wake(struct qp_sock *qp, __poll_t events)
{
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(qp->sk.sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible_poll(&wq->wait, events);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(qp_wake);

/**
 * qp_changed() - tell a user in the kernel that a connection is made, or is not,
 * or waits to be accepted
 * @qp: the queue pair, or the listener
 *
 * Context: any.
 */
void qp_changed(struct qp_sock *qp)
{
	if (qp->user && qp->user->changed)
		qp->user->changed(qp);
}
EXPORT_SYMBOL_GPL(qp_changed);

/**
 * qp_hangup() - a queue pair is disconnected or failed
 * @qp: the queue pair
 *
 * The protocol completes outstanding work afterwards, and calls
 * qp_recv_flush().
 *
 * Context: any.
 */
void qp_hangup(struct qp_sock *qp)
{
	__poll_t events = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM |
			  EPOLLHUP | EPOLLRDHUP | EPOLLERR;

	WRITE_ONCE(qp->sk.sk_shutdown, SHUTDOWN_MASK);
	qp_set_state(qp, QP_STATE_ERROR);
	if (qp->cq)
		qp_cq_wake(qp->cq, events);
	qp_wake(qp, events);
	if (qp->user)
		qp->user->gone(qp);
}
EXPORT_SYMBOL_GPL(qp_hangup);

/**
 * qp_cred_get_current() - take note of the calling process
 * @c: to fill, for qp_cred_put()
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int qp_cred_get_current(struct qp_cred *c)
{
	struct pid *pid = task_tgid(current);
	int err = pidfs_register_pid(pid);

	if (err)
		return err;
	c->pid = get_pid(pid);
	c->cred = get_current_cred();
	return 0;
}
EXPORT_SYMBOL_GPL(qp_cred_get_current);

void qp_cred_put(struct qp_cred *c)
{
	put_pid(c->pid);
	put_cred(c->cred);
	c->pid = NULL;
	c->cred = NULL;
}
EXPORT_SYMBOL_GPL(qp_cred_put);

/**
 * qp_cred_set_peer() - say who the peer of a queue pair is
 * @qp: a queue pair that had no peer before
 * @c: the peer's
 *
 * Context: any.
 */
void qp_cred_set_peer(struct qp_sock *qp, const struct qp_cred *c)
{
	spin_lock(&qp->sk.sk_peer_lock);
	qp->sk.sk_peer_pid = get_pid(c->pid);
	qp->sk.sk_peer_cred = get_cred(c->cred);
	spin_unlock(&qp->sk.sk_peer_lock);
}
EXPORT_SYMBOL_GPL(qp_cred_set_peer);

/* It has all its parts. From now on it may be ended by others. */
void qp_made(struct qp_sock *qp)
{
	/* Pairs with qp_abortable() */
	smp_store_release(&qp->made, true);
}

/* Is there something to end? Under the socket lock. */
static bool qp_abortable(const struct qp_sock *qp)
{
	/* Pairs with qp_made() */
	if (!smp_load_acquire(&qp->made) || qp->closing)
		return false;
	switch (qp_state(qp)) {
	case QP_STATE_IDLE:
		/* Of datagrams there is only one state */
		return qp->type == QP_UD;
	case QP_STATE_ERROR:
		return false;
	default:
		return true;
	}
}

/* &proto.diag_destroy: end it at once, with an error */
static int qp_abort(struct sock *sk, int err)
{
	struct qp_sock *qp = qp_sk(sk);
	int ret = -ENOENT;

	lock_sock(sk);
	if (qp_abortable(qp)) {
		ret = 0;
		WRITE_ONCE(sk->sk_err, err);
		qp->proto->abort(qp);
	}
	release_sock(sk);
	return ret;
}

static int qp_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct qp_sock *qp = qp_sk(sk);

	if (!sk)
		return 0;
	qp_net_del(qp);
	/* Who is ending it is waited for */
	lock_sock(sk);
	WRITE_ONCE(qp->closing, true);
	release_sock(sk);
	qp_sqpoll_leave(qp);
	qp->proto->release(qp);
	qp_count_state(qp, qp_state(qp), QP_STATE_ERROR);
	if (qp->qpn) {
		trace_qp_destroy(qp);
		qp_nl_notify(qp, QP_CMD_QP_DEL_NTF);
	}
	/*
	 * From here on nobody looks at our memory and our work requests. A peer
	 * that keeps a reference keeps only the socket and the CQ.
	 */
	qp_mtable_put(qp->mem);
	qp_sq_free(qp);
	qp_rq_free(qp);
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, -1);
	atomic_dec(&qp_pernet(sock_net(sk))->nr_qps);
	sock_orphan(sk);
	sock->sk = NULL;
	sock_put(sk);
	return 0;
}

static void qp_destruct(struct sock *sk)
{
	struct qp_sock *qp = qp_sk(sk);

	qp->proto->destroy(qp);
	qp_sqpoll_free(qp);
	qp_cq_put(qp->cq);
	module_put(qp->proto->owner);
}

static int qp_sock_connect(struct socket *sock, struct sockaddr_unsized *addr,
			   int len, int flags)
{
	struct sockaddr_storage *ss = (struct sockaddr_storage *)addr;
	struct qp_sock *qp = qp_sk(sock->sk);
	bool ud = qp->type == QP_UD;
	int err;

	if (len < (int)sizeof(ss->ss_family))
		return -EINVAL;
	/* Who is connected to nobody still has datagrams to send */
	if (ss->ss_family != qp->domain && !(ud && ss->ss_family == AF_UNSPEC))
		return -EAFNOSUPPORT;
	lock_sock(&qp->sk);
	err = ud ? qp->proto->ud_ops->connect(qp, ss, len) :
		   qp_conn_connect(qp, ss, len, flags);
	release_sock(&qp->sk);
	return err;
}

static bool qp_was_connected(const struct qp_sock *qp)
{
	enum qp_state state = qp_state(qp);

	return state == QP_STATE_RTS || state == QP_STATE_ERROR;
}

/**
 * qp_name() - the address of a queue pair, or of its peer
 * @qp: the queue pair
 * @addr: where to put it
 * @peer: that of the peer
 *
 * Context: any.
 * Return: its length, bytes; -ENOTCONN.
 */
int qp_name(struct qp_sock *qp, struct sockaddr_storage *addr, bool peer)
{
	if (peer && !qp_was_connected(qp))
		return -ENOTCONN;
	return qp->proto->getname(qp, addr, peer);
}

static int qp_getname(struct socket *sock, struct sockaddr *addr, int peer)
{
	return qp_name(qp_sk(sock->sk), (struct sockaddr_storage *)addr, peer);
}

static __poll_t qp_poll(struct file *file, struct socket *sock,
			poll_table *wait)
{
	struct qp_sock *qp = qp_sk(sock->sk);
	__poll_t events;

	sock_poll_wait(file, sock, wait);
	if (qp->cq)
		poll_wait(file, &qp->cq->wait, wait);
	events = qp_conn_poll(qp);
	if (qp->cq && qp_cq_ready(qp->cq))
		events |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(qp->sk.sk_err))
		events |= EPOLLERR;
	return events;
}

static int qp_shutdown(struct socket *sock, int how)
{
	struct qp_sock *qp = qp_sk(sock->sk);
	int err;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	lock_sock(&qp->sk);
	switch (qp_state(qp)) {
	case QP_STATE_RTS:
		/*
		 * SHUT_RD, SHUT_WR, SHUT_RDWR to RCV_SHUTDOWN, SEND_SHUTDOWN,
		 * both
		 */
		err = qp->proto->shutdown(qp, how + 1);
		break;
	case QP_STATE_ERROR:
		err = 0;
		break;
	default:
		err = -ENOTCONN;
		break;
	}
	release_sock(&qp->sk);
	return err;
}

static int qp_mmap(struct file *file, struct socket *sock,
		   struct vm_area_struct *vma)
{
	struct qp_sock *qp = qp_sk(sock->sk);

	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case QP_OFF_SQ:
		return qp_ring_mmap(&qp->sq.ring, vma);
	case QP_OFF_RQ:
		return qp_ring_mmap(&qp->rq.ring, vma);
	case QP_OFF_CQ:
		if (qp->cq)
			return qp_ring_mmap(&qp->cq->ring, vma);
		fallthrough;
	default:
		return -EINVAL;
	}
}

static const struct proto_ops qp_ops = {
	.family		= PF_QP,
	.owner		= THIS_MODULE,
	.release	= qp_release,
	.bind		= sock_no_bind,
	.connect	= qp_sock_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= qp_getname,
	.poll		= qp_poll,
	.ioctl		= sock_no_ioctl,
	.listen		= sock_no_listen,
	.shutdown	= qp_shutdown,
	.sendmsg	= qp_sendmsg,
	.recvmsg	= qp_recvmsg,
	.mmap		= qp_mmap,
	.uring_cmd	= IS_ENABLED(CONFIG_IO_URING) ? qp_uring_cmd : NULL,
};

/* The queue pair behind a file, or why it is none */
struct qp_sock *qp_from_file(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	if (!sock)
		return ERR_PTR(-ENOTSOCK);
	if (READ_ONCE(sock->ops) != &qp_ops)
		return ERR_PTR(-EOPNOTSUPP);
	return qp_sk(sock->sk);
}

static int qp_sock_init(struct socket *sock, struct net *net,
			const struct qp_proto *proto, int domain, u32 type)
{
	struct qp_net *qn = qp_pernet(net);
	struct qp_sock *qp;
	struct sock *sk;
	int err;

	if (!qp_net_charge(&qn->nr_qps, READ_ONCE(qn->max_qps))) {
		SNMP_INC_STATS64(qn->mib, QP_MIB_CREATEFAILS);
		return -ENOBUFS;
	}
	sk = sk_alloc(net, PF_QP, GFP_KERNEL, &qp_sk_proto, 0);
	if (!sk) {
		atomic_dec(&qn->nr_qps);
		return -ENOMEM;
	}
	sock->ops = &qp_ops;
	sock_init_data(sock, sk);
	sk->sk_allocation = GFP_KERNEL_ACCOUNT;

	qp = qp_sk(sk);
	qp->proto = proto;
	qp->opcodes = qp_proto_opcodes(proto, type);
	qp->max_msg = QP_MAX_MSG;
	qp->domain = domain;
	qp->type = type;
	qp->mib = qn->mib;
	mutex_init(&qp->sq.lock);
	spin_lock_init(&qp->rq.lock);
	err = proto->init(qp);
	if (err) {
		sock->sk = NULL;
		sk_free(sk);
		atomic_dec(&qn->nr_qps);
		return err;
	}
	sk->sk_destruct = qp_destruct;
	sock_prot_inuse_add(net, sk->sk_prot, 1);
	return 0;
}

/**
 * qp_sock_create() - make a queue pair that has no parts yet
 * @net: network namespace
 * @proto: its protocol; the module reference is consumed
 * @domain: address family
 * @type: enum qp_type
 * @kern: it is for the kernel's own use
 *
 * Context: process, may sleep.
 * Return: the socket; -EOPNOTSUPP (the protocol lacks the type), -ENOBUFS
 * (too many in the namespace), -ENFILE, -ENOMEM, or what the LSM says.
 */
struct socket *qp_sock_create(struct net *net, const struct qp_proto *proto,
			      int domain, u32 type, bool kern)
{
	int sock_type = type == QP_UD ? SOCK_DGRAM : SOCK_SEQPACKET;
	struct socket *sock;
	int err = -EOPNOTSUPP;

	if (!(proto->types & BIT(type)))
		goto put_module;
	err = security_socket_create(PF_QP, sock_type, proto->id, kern);
	if (err)
		goto put_module;
	sock = sock_alloc();
	err = -ENFILE;
	if (!sock)
		goto put_module;
	sock->type = sock_type;
	err = qp_sock_init(sock, net, proto, domain, type);
	if (err) {
		sock->ops = NULL;
		sock_release(sock);
		goto put_module;
	}
	err = security_socket_post_create(sock, PF_QP, sock_type, proto->id,
					  kern);
	if (err) {
		sock_release(sock);
		return ERR_PTR(err);
	}
	return sock;

put_module:
	module_put(proto->owner);
	return ERR_PTR(err);
}

/* Queue pairs are made by queue_pair() and qp_accept() only */
static int qp_family_create(struct net *net, struct socket *sock, int protocol,
			    int kern)
{
	return -EPROTONOSUPPORT;
}

static const struct net_proto_family qp_family = {
	.family	= PF_QP,
	.create	= qp_family_create,
	.owner	= THIS_MODULE,
};

static int __init qp_init(void)
{
	int err;

	err = proto_register(&qp_sk_proto, 1);
	if (err)
		return err;
	err = qp_net_init();
	if (err)
		goto unregister_proto;
	err = qp_nl_init();
	if (err)
		goto exit_net;
	err = sock_register(&qp_family);
	if (err)
		goto exit_nl;
	err = qp_diag_init();
	if (err)
		goto unregister_family;
	qp_stats_init();
	qp_available = true;
	return 0;

unregister_family:
	sock_unregister(PF_QP);
exit_nl:
	qp_nl_exit();
exit_net:
	qp_net_exit();
unregister_proto:
	proto_unregister(&qp_sk_proto);
	return err;
}
subsys_initcall(qp_init);
