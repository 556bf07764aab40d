// SPDX-License-Identifier: GPL-2.0
/*
 * Users in the kernel: queue pairs without a descriptor
 *
 * Such a queue pair has no rings. It sends the bytes of an skb, and what it
 * receives comes as one, so that a socket of another family can be made of it.
 */
#include <linux/module.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

static_assert(sizeof(struct qp_rmsg) <= SOCK_SKB_CB_OFFSET);

/**
 * qp_kern_update() - say anew what a connection is to be like
 * @qp: a queue pair that is neither connected nor listens, nor is about to
 * @kern: what it is to be, for the same user
 *
 * Context: any.
 */
void qp_kern_update(struct qp_sock *qp, const struct qp_kern *kern)
{
	qp->sk.sk_bound_dev_if = kern->ifindex;
	qp->nr_bufs = kern->bufs;
	qp->buf_size = kern->buf_size;
	qp->hello = kern->hello;
	qp->connect_time = kern->connect_time;
	qp->reuse = kern->reuse;
	qp->tclass = kern->tclass;
	qp->hop_limit = kern->hop_limit;
	qp->sl = kern->sl;
}
EXPORT_SYMBOL_GPL(qp_kern_update);

/* Give it its parts, of which it has only those that it cannot do without */
static int qp_kern_init(struct qp_sock *qp, const struct qp_kern *kern)
{
	const struct qp_desc desc = {
		.type		= kern->type,
		.ifindex	= kern->ifindex,
		.max_sge	= 1,
	};

	qp->user = kern->user;
	qp->user_priv = kern->priv;
	qp->reader = kern->reader;
	qp->port_qkey = kern->qkey;
	qp_kern_update(qp, kern);
	return qp_desc_apply(qp, &desc, 0, NULL);
}

static struct qp_sock *qp_kern_make(struct net *net, const struct qp_kern *kern)
{
	const struct qp_proto *proto = qp_proto_get(kern->domain, QP_PROTO_ANY);
	struct socket *sock;
	int err;

	if (IS_ERR(proto))
		return ERR_CAST(proto);
	sock = qp_sock_create(net, proto, kern->domain, kern->type, true);
	if (IS_ERR(sock))
		return ERR_CAST(sock);
	err = qp_kern_init(qp_sk(sock->sk), kern);
	if (!err)
		return qp_sk(sock->sk);
	sock_release(sock);
	return ERR_PTR(err);
}

/**
 * qp_kern_create() - make a queue pair for the kernel's own use
 * @net: network namespace
 * @kern: what it is to be
 * @addr: local address, or NULL for any
 * @len: its length, bytes
 *
 * Datagrams may come before this returns.
 *
 * Context: process, may sleep.
 * Return: the queue pair, for qp_kern_release(); -EAFNOSUPPORT, -EOPNOTSUPP
 * (nobody has such), -ENOBUFS, -ENOMEM, or why it cannot have the address.
 */
struct qp_sock *qp_kern_create(struct net *net, const struct qp_kern *kern,
			       const struct sockaddr_storage *addr, int len)
{
	struct qp_sock *qp = qp_kern_make(net, kern);
	struct sockaddr_storage local;
	int err = 0;

	if (IS_ERR(qp))
		return qp;
	if (addr) {
		local = *addr;
		err = qp->proto->bind(qp, &local, len);
	}
	if (err) {
		sock_release(qp->sk.sk_socket);
		return ERR_PTR(err);
	}
	qp_made(qp);
	return qp;
}
EXPORT_SYMBOL_GPL(qp_kern_create);

/**
 * qp_kern_release() - have it no more
 * @qp: from qp_kern_create(); its user is not called any more afterwards
 *
 * Messages that were sent get some time to leave. What has come until now is
 * received before this returns.
 *
 * Context: process, may sleep.
 */
void qp_kern_release(struct qp_sock *qp)
{
	qp->proto->kick(qp);
	sock_release(qp->sk.sk_socket);
}
EXPORT_SYMBOL_GPL(qp_kern_release);

/* The bytes of an skb as a work request */
static struct qp_wr *qp_kern_wr(struct qp_sock *qp, u8 opcode,
				struct sk_buff *skb, gfp_t gfp)
{
	size_t size = qp_wr_bytes(sizeof(struct qp_wr), qp);
	struct qp_wr *wr;

	if (qp_state(qp) == QP_STATE_ERROR)
		return ERR_PTR(-EPIPE);
	if (skb->len > READ_ONCE(qp->max_msg))
		return ERR_PTR(-EMSGSIZE);
	wr = kmalloc(size, gfp);
	if (!wr)
		return ERR_PTR(-ENOMEM);
	memset(wr, 0, offsetof(struct qp_wr, sqe.sge));
	wr->priv = qp_wr_priv(wr, size, qp);
	wr->sqe.opcode = opcode;
	wr->op = &qp_opinfo[opcode];
	wr->length = skb->len;
	wr->data = skb->data;
	wr->msg = true;
	wr->skb = skb;
	return wr;
}

/**
 * qp_kern_send() - send a datagram
 * @qp: from qp_kern_create()
 * @skb: its bytes, all of them in the linear part; consumed if this succeeds, and
 *	freed when they have been sent. Its destructor tells of that
 * @dest: where a datagram goes, from qp_kern_resolve(); this reference is consumed
 *	if this succeeds
 * @more: there are more to come, or qp_kern_kick() is called
 *
 * Context: process, may sleep.
 * Return: 0; -EPIPE (it has failed), -EMSGSIZE, -ENOMEM.
 */
int qp_kern_send(struct qp_sock *qp, struct sk_buff *skb, void *dest, bool more)
{
	struct qp_wr *wr = qp_kern_wr(qp, QP_OP_SEND, skb, GFP_KERNEL_ACCOUNT);

	if (IS_ERR(wr))
		return PTR_ERR(wr);
	wr->dest = dest;
	trace_qp_post(qp, wr);
	qp->proto->post_send(qp, wr);
	qp_count(qp, QP_MIB_POSTEDSENDS);
	if (!more)
		qp->proto->kick(qp);
	return 0;
}
EXPORT_SYMBOL_GPL(qp_kern_send);

/**
 * qp_kern_kick() - have sent what was posted with more to come
 * @qp: from qp_kern_create()
 *
 * Context: process.
 */
void qp_kern_kick(struct qp_sock *qp)
{
	qp->proto->kick(qp);
}
EXPORT_SYMBOL_GPL(qp_kern_kick);

/*
 * Connections
 */

/**
 * qp_kern_connect() - begin to connect
 * @qp: from qp_kern_create(), not for datagrams
 * @addr: the peer's address
 * @len: its length, bytes
 *
 * How it ends &qp_user.changed says, maybe before this returns.
 *
 * Context: process with memory of its own, may sleep.
 * Return: 0 if it has begun, or why not: -EADDRNOTAVAIL, -ENETUNREACH,
 * -ENODEV, -ERESTARTSYS and the like.
 */
int qp_kern_connect(struct qp_sock *qp, const struct sockaddr_storage *addr,
		    int len)
{
	struct sockaddr_storage peer = *addr;
	long timeo = MAX_SCHEDULE_TIMEOUT;
	int err;

	lock_sock(&qp->sk);
	err = qp_conn_begin(qp, &peer, len, &timeo);
	release_sock(&qp->sk);
	return err;
}
EXPORT_SYMBOL_GPL(qp_kern_connect);

/**
 * qp_kern_listen() - let peers connect
 * @qp: from qp_kern_create(), with an address
 * @backlog: how many may wait for qp_kern_accept(), if &qp_user.wants them
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRINUSE and the like.
 */
int qp_kern_listen(struct qp_sock *qp, int backlog)
{
	int err;

	lock_sock(&qp->sk);
	WRITE_ONCE(qp->sk.sk_max_ack_backlog, backlog);
	err = qp->proto->listen(qp);
	release_sock(&qp->sk);
	return err;
}
EXPORT_SYMBOL_GPL(qp_kern_listen);

/**
 * qp_kern_accept() - begin to accept a connection that waits
 * @l: a listener
 * @kern: what the queue pair is to be
 *
 * How it ends &qp_user.changed says, and messages may come, before this returns.
 *
 * Context: process, may sleep.
 * Return: a queue pair, for qp_kern_release(); -EAGAIN if nobody waits, or why
 * this one cannot be accepted: -ECONNABORTED, -ENOMEM and the like.
 */
struct qp_sock *qp_kern_accept(struct qp_sock *l, const struct qp_kern *kern)
{
	struct qp_sock *qp;
	int err;

	if (!qp_conn_waits(l))
		return ERR_PTR(-EAGAIN);
	qp = qp_kern_make(sock_net(&l->sk), kern);
	if (IS_ERR(qp))
		return qp;
	err = qp_conn_accept(l, qp);
	if (err) {
		sock_release(qp->sk.sk_socket);
		return ERR_PTR(err);
	}
	qp_made(qp);
	return qp;
}
EXPORT_SYMBOL_GPL(qp_kern_accept);

/**
 * qp_kern_post() - post a message on a connection
 * @qp: the queue pair
 * @skb: its bytes, as with qp_kern_send()
 * @imm: immediate data, or NULL for none
 *
 * qp_kern_push() has it sent.
 *
 * Context: any but a hard interrupt.
 * Return: 0; -EPIPE (the connection is over), -EMSGSIZE, -ENOMEM.
 */
int qp_kern_post(struct qp_sock *qp, struct sk_buff *skb, const __be32 *imm)
{
	struct qp_wr *wr = qp_kern_wr(qp, imm ? QP_OP_SEND_IMM : QP_OP_SEND, skb,
				      GFP_ATOMIC | __GFP_NOWARN);

	if (IS_ERR(wr))
		return PTR_ERR(wr);
	if (imm)
		wr->sqe.imm_data = (__force u32)*imm;
	trace_qp_post(qp, wr);
	qp->proto->post_send(qp, wr);
	qp_count(qp, QP_MIB_POSTEDSENDS);
	return 0;
}
EXPORT_SYMBOL_GPL(qp_kern_post);

/* Have sent what was posted. Any context but a hard interrupt. */
void qp_kern_push(struct qp_sock *qp)
{
	qp->proto->push(qp);
}
EXPORT_SYMBOL_GPL(qp_kern_push);

/**
 * qp_kern_give() - let one more message be received
 * @qp: the queue pair of a connection
 * @skb: has room for &qp_kern.buf_size bytes and no destructor; consumed if this
 *	succeeds
 *
 * Context: any but a hard interrupt; not as &qp_user.recv.
 * Return: 0; -ENOBUFS: no buffer is missing.
 */
int qp_kern_give(struct qp_sock *qp, struct sk_buff *skb)
{
	return qp->proto->give(qp, skb);
}
EXPORT_SYMBOL_GPL(qp_kern_give);

/**
 * qp_kern_name() - what an end of a connection is called
 * @qp: the queue pair
 * @addr: where to put it
 * @peer: the other end's name, not the own one
 *
 * Context: any.
 * Return: the length of the address, bytes; -ENOTCONN.
 */
int qp_kern_name(struct qp_sock *qp, struct sockaddr_storage *addr, bool peer)
{
	return qp->proto->getname(qp, addr, peer);
}
EXPORT_SYMBOL_GPL(qp_kern_name);

/**
 * qp_kern_info() - what the device knows of a queue pair
 * @qp: the queue pair
 * @dest: where its datagrams go, from qp_kern_resolve(), or NULL
 * @info: where to put it; what is not known is 0
 *
 * Context: process.
 */
void qp_kern_info(struct qp_sock *qp, void *dest, struct qp_backend *info)
{
	const struct qp_proto *proto = READ_ONCE(qp->proto);

	memset(info, 0, sizeof(*info));
	if (proto->info)
		proto->info(qp, dest, info);
}
EXPORT_SYMBOL_GPL(qp_kern_info);

/*
 * Datagrams
 */

/**
 * qp_kern_route() - find the own address to talk to a peer from
 * @net: network namespace
 * @domain: address family
 * @ifindex: netdevice to use, 0 for any
 * @dst: the peer, of that family
 * @src: where to put the address, without a service ID
 *
 * Context: process, may sleep.
 * Return: 0; -EAFNOSUPPORT, -EOPNOTSUPP, or as routing says: -ENETUNREACH and the
 * like.
 */
int qp_kern_route(struct net *net, int domain, int ifindex,
		  const struct sockaddr_storage *dst,
		  struct sockaddr_storage *src)
{
	const struct qp_proto *proto = qp_proto_get(domain, QP_PROTO_ANY);
	int err = -EOPNOTSUPP;

	if (IS_ERR(proto))
		return PTR_ERR(proto);
	if (proto->ud_ops)
		err = proto->ud_ops->route(net, ifindex, dst, src);
	module_put(proto->owner);
	return err;
}
EXPORT_SYMBOL_GPL(qp_kern_route);

/**
 * qp_kern_has_pkey() - is there a port in a partition?
 * @net: network namespace
 * @domain: address family
 * @pkey: P_Key, of either kind of members
 *
 * What is IP has the default one only, and that is not asked for here.
 *
 * Context: process, may sleep.
 * Return: true if there is.
 */
bool qp_kern_has_pkey(struct net *net, int domain, u16 pkey)
{
	const struct qp_proto *proto = qp_proto_get(domain, QP_PROTO_ANY);
	bool has = false;

	if (IS_ERR(proto))
		return false;
	if (proto->ud_ops && proto->ud_ops->has_pkey)
		has = proto->ud_ops->has_pkey(net, pkey);
	module_put(proto->owner);
	return has;
}
EXPORT_SYMBOL_GPL(qp_kern_has_pkey);

/**
 * qp_kern_resolve() - find where datagrams to an address go
 * @qp: from qp_kern_create(), for datagrams
 * @name: the address: of a port, or of a group that @qp belongs to
 * @len: its length, bytes
 * @attr: what is known already, and what is wanted; what the peer says comes back
 *
 * Context: process, may sleep as long as the peer takes to answer; a signal ends
 * that.
 * Return: for qp_kern_send(), or for qp_kern_dest_put(); -ECONNREFUSED (nobody
 * has that service ID there), -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT, -EINVAL,
 * -EADDRNOTAVAIL (not an address that there can be), -ENETDOWN (the device has
 * gone), -ERESTARTSYS, -ENOMEM.
 */
void *qp_kern_resolve(struct qp_sock *qp, const struct sockaddr_storage *name,
		      int len, struct qp_attr *attr)
{
	struct sockaddr_storage addr = *name;

	return qp->proto->ud_ops->resolve(qp, &addr, len, attr);
}
EXPORT_SYMBOL_GPL(qp_kern_resolve);

/* One more reference to what qp_kern_resolve() returned. Any context. */
void qp_kern_dest_hold(struct qp_sock *qp, void *dest)
{
	qp->proto->ud_ops->dest_get(qp, dest);
}
EXPORT_SYMBOL_GPL(qp_kern_dest_hold);

/* Give one back. Any context. */
void qp_kern_dest_put(struct qp_sock *qp, void *dest)
{
	qp->proto->ud_ops->dest_put(qp, dest);
}
EXPORT_SYMBOL_GPL(qp_kern_dest_put);

/**
 * qp_kern_join() - receive what is sent to a multicast group
 * @qp: from qp_kern_create(), for datagrams
 * @group: the group
 * @len: its length, bytes
 * @flags: QP_MCAST_*
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRINUSE (it does already), -EINVAL (it is no group), -ENOBUFS
 * (it belongs to QP_MAX_MCAST), -ETIMEDOUT, -ENETDOWN, or what the device says.
 */
int qp_kern_join(struct qp_sock *qp, const struct sockaddr_storage *group,
		 int len, u32 flags)
{
	struct qp_mcast mcast = { .addrlen = len, .flags = flags };
	struct sockaddr_storage addr = *group;

	return qp->proto->ud_ops->join(qp, &mcast, &addr);
}
EXPORT_SYMBOL_GPL(qp_kern_join);

/**
 * qp_kern_leave() - receive it no more
 * @qp: from qp_kern_create(), for datagrams
 * @group: the group
 * @len: its length, bytes
 *
 * Context: process, may sleep.
 * Return: 0, or -EADDRNOTAVAIL (it does not belong to it).
 */
int qp_kern_leave(struct qp_sock *qp, const struct sockaddr_storage *group,
		  int len)
{
	struct sockaddr_storage addr = *group;

	return qp->proto->ud_ops->leave(qp, &addr, len);
}
EXPORT_SYMBOL_GPL(qp_kern_leave);

/**
 * qp_service_start() - begin to answer who asks for a service ID
 * @s: filled in but for @proto and @priv. A service ID of 0 is chosen, and is in
 *	@addr then. For qp_service_end() if this succeeds
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOMEM and the like.
 */
int qp_service_start(struct qp_service *s)
{
	int err = -EOPNOTSUPP;

	s->proto = qp_proto_get(s->addr.ss_family, QP_PROTO_ANY);
	if (IS_ERR(s->proto))
		return PTR_ERR(s->proto);
	if (s->proto->ud_ops)
		err = s->proto->ud_ops->serve(s);
	if (err)
		module_put(s->proto->owner);
	return err;
}
EXPORT_SYMBOL_GPL(qp_service_start);

/**
 * qp_service_end() - answer no more
 * @s: from qp_service_start(); its functions are not called any more afterwards
 *
 * Context: process, may sleep; not by &qp_service.find.
 */
void qp_service_end(struct qp_service *s)
{
	s->proto->ud_ops->unserve(s);
	module_put(s->proto->owner);
}
EXPORT_SYMBOL_GPL(qp_service_end);
