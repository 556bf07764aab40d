// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: datagrams
 *
 * A message goes out in an skb that counts against SO_SNDBUF until the device has
 * sent it. One whose destination is not known waits for that: the caller does, or
 * the message if the caller does not want to.
 */
#include <linux/filter.h>
#include <linux/skbuff.h>
#include <trace/events/ib_proto.h>

#include "ib_proto.h"
#include "stats.h"

/*
 * Sending
 */

/* What control data ask for */
static int afib_dgram_control(struct sock *sk, struct msghdr *msg, struct afib_opts *opts)
{
	struct sockcm_cookie sockc;
	struct cmsghdr *cmsg;
	int err = 0;

	sockcm_init(&sockc, sk);
	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		if (cmsg->cmsg_level == SOL_IB)
			err = afib_opt_cmsg(cmsg, opts);
		else if (cmsg->cmsg_level == SOL_SOCKET)
			err = __sock_cmsg_send(sk, cmsg, &sockc);
		if (err)
			return err;
	}
	return 0;
}

/* May a message be sent, and how is it to travel? Process context. */
int afib_dgram_begin(struct sock *sk, struct msghdr *msg, struct afib_opts *opts)
{
	int err;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	err = sock_error(sk);
	if (err)
		return err;
	if (READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		return -EPIPE;
	*opts = afib_sk(sk)->opts;
	return afib_dgram_control(sk, msg, opts);
}

/*
 * Which address a message goes to: that which it says, or the peer's. Of the peer
 * it may be known already where that is.
 */
static int afib_dgram_key(struct afib_sock *is, struct msghdr *msg,
			  const struct afib_opts *opts, struct afib_key *key,
			struct afib_dest **dest)
{
	struct sockaddr_ib to;
	int err = 0;

	if (msg->msg_namelen)
		err = afib_addr_check(&is->sk, msg->msg_name, msg->msg_namelen, &to);
	else
		*dest = afib_dest_peer(is, opts, &to);
	if (err || *dest)
		return err;
	if (!to.sib_family)
		return -EDESTADDRREQ;
	return afib_key_make(key, is, &to, opts);
}

/* Send what waits for more to come */
static void afib_dgram_kick(struct afib_sock *is)
{
	struct afib_port *port = afib_port_only(is);

	if (port)
		qp_kern_kick(port->qp);
	afib_port_put(port);
}

/* The room in front of a message: of a packet for headers, else for its address */
static size_t afib_dgram_room(const struct afib_sock *is, bool known)
{
	if (afib_is_raw(&is->sk))
		return AFIB_RAW_HEADROOM;
	return known ? 0 : IB_ERR_ROOM;
}

static_assert(AFIB_RAW_HEADROOM >= IB_ERR_ROOM);

/* Take it from user space, with so many bytes of room in front */
static struct sk_buff *afib_dgram_skb(struct afib_sock *is, struct msghdr *msg,
				      size_t len, size_t room)
{
	size_t bytes = room + len + (afib_is_raw(&is->sk) ? AFIB_RAW_TAILROOM : 0);
	bool nonblock = msg->msg_flags & MSG_DONTWAIT;
	struct sock *sk = &is->sk;
	struct sk_buff *skb;
	int err;

	skb = sock_alloc_send_skb(sk, bytes, true, &err);
	if (!skb && err == -EAGAIN && !nonblock) {
		/* What waits for more to come is what there is no room for */
		afib_dgram_kick(is);
		skb = sock_alloc_send_skb(sk, bytes, false, &err);
	}
	if (!skb) {
		if (err == -EAGAIN || err == -ENOBUFS)
			afib_count(is, AFIB_MIB_SNDBUFERRORS);
		return ERR_PTR(err);
	}
	if (!afib_mem_send(skb)) {
		afib_count(is, AFIB_MIB_SNDBUFERRORS);
		return ERR_PTR(-ENOBUFS);
	}
	skb_reserve(skb, room);
	if (!copy_from_iter_full(skb_put(skb, len), len, &msg->msg_iter)) {
		kfree_skb(skb);
		return ERR_PTR(-EFAULT);
	}
	return skb;
}

static void afib_dgram_sent(struct afib_sock *is, const struct afib_dest *dest,
			    u32 len)
{
	afib_count(is, AFIB_MIB_OUTMSGS);
	afib_count_some(is, AFIB_MIB_OUTOCTETS, len);
	if (afib_addr_multicast(&dest->key.gid))
		afib_count(is, AFIB_MIB_OUTMCASTMSGS);
	trace_afib_send(&is->sk, &dest->key.gid, be64_to_cpu(dest->key.sid), dest->qpn,
			len);
}

static int afib_dgram_out(struct afib_sock *is, struct afib_dest *dest,
			  struct sk_buff *skb, bool more)
{
	struct afib_port *port = dest->port;
	u32 len = skb->len;
	int err;

	qp_kern_dest_hold(port->qp, dest->dest);
	/* Only one port is looked after */
	more = more && READ_ONCE(is->nr_ports) == 1;
	err = qp_kern_send(port->qp, skb, dest->dest, more);
	if (err) {
		qp_kern_dest_put(port->qp, dest->dest);
		/* It went just then */
		if (err == -EPIPE)
			err = -ENETDOWN;
	} else {
		if (more)
			afib_port_hold_back(port);
		afib_dgram_sent(is, dest, len);
	}
	return err;
}

/* Send it; the caller's reference to @dest is consumed, and @skb if that succeeds */
static int afib_dgram_send(struct afib_sock *is, struct afib_dest *dest,
			   struct sk_buff *skb, bool more)
{
	int err;

	if (afib_is_raw(&is->sk))
		err = afib_raw_native_out(dest, skb);
	else
		err = afib_dgram_out(is, dest, skb, more);
	afib_dest_put(dest);
	return err;
}

/* Where the first message that waits for that goes */
static bool afib_dgram_next(struct afib_sock *is, struct afib_key *key)
{
	struct sk_buff_head *queue = &is->pending;
	struct sk_buff *skb;

	spin_lock_bh(&queue->lock);
	skb = skb_peek(queue);
	if (skb)
		*key = *IB_KEY(skb);
	spin_unlock_bh(&queue->lock);
	return skb;
}

/* Take it, if it is still there: it may have been thrown away meanwhile */
static struct sk_buff *afib_dgram_take(struct afib_sock *is, const struct afib_key *key)
{
	struct sk_buff_head *queue = &is->pending;
	struct sk_buff *skb;

	spin_lock_bh(&queue->lock);
	skb = skb_peek(queue);
	if (skb && !memcmp(IB_KEY(skb), key, sizeof(*key))) {
		__skb_unlink(skb, queue);
		is->sending = key;
	} else {
		skb = NULL;
	}
	spin_unlock_bh(&queue->lock);
	return skb;
}

static void afib_dgram_taken(struct afib_sock *is)
{
	spin_lock_bh(&is->pending.lock);
	is->sending = NULL;
	spin_unlock_bh(&is->pending.lock);
}

/* Messages that wait for their destinations */
void afib_dgram_work(struct work_struct *work)
{
	struct afib_sock *is = container_of(work, struct afib_sock, work);
	struct afib_dest *dest;
	struct afib_key key;
	struct sk_buff *skb;
	int err;

	while (afib_dgram_next(is, &key)) {
		dest = afib_dest_get(is, &key, false);
		err = PTR_ERR_OR_ZERO(dest);
		skb = afib_dgram_take(is, &key);
		if (!skb) {
			if (!err)
				afib_dest_put(dest);
			continue;
		}
		if (!err)
			err = afib_dgram_send(is, dest, skb, false);
		if (err)
			afib_err_message(is, skb, err);
		afib_dgram_taken(is);
	}
}

/* Is a message to the same destination still on its way to the device? */
static bool afib_dgram_behind(struct afib_sock *is, const struct afib_key *key)
{
	struct sk_buff_head *queue = &is->pending;
	struct sk_buff *skb;
	bool found;

	if (skb_queue_empty_lockless(queue) && !READ_ONCE(is->sending))
		return false;
	spin_lock_bh(&queue->lock);
	found = is->sending && !memcmp(is->sending, key, sizeof(*key));
	skb_queue_walk(queue, skb) {
		if (found)
			break;
		found = !memcmp(IB_KEY(skb), key, sizeof(*key));
	}
	spin_unlock_bh(&queue->lock);
	return found;
}

/* Where a message goes; NULL if it is to wait until that is known */
static struct afib_dest *afib_dgram_dest(struct afib_sock *is, const struct msghdr *msg,
					 const struct afib_key *key)
{
	struct afib_dest *dest;
	int err;

	if (msg->msg_flags & MSG_DONTWAIT && afib_dgram_behind(is, key))
		return NULL;
	dest = afib_dest_find(is, key);
	if (!dest && msg->msg_flags & MSG_DONTWAIT)
		return NULL;
	if (!dest)
		dest = afib_dest_get(is, key, false);
	if (IS_ERR(dest))
		return dest;
	err = dest->err;
	if (err) {
		afib_dest_put(dest);
		return ERR_PTR(err);
	}
	if (!msg->msg_namelen)
		afib_dest_found(is, dest);
	return dest;
}

static size_t afib_dgram_max(const struct afib_sock *is, const struct afib_dest *dest)
{
	if (afib_is_raw(&is->sk))
		return AFIB_RAW_MAX;
	return dest ? READ_ONCE(dest->port->qp->max_msg) : QP_MAX_DGRAM;
}

/**
 * afib_dgram_post() - send a message
 * @is: the socket, for datagrams or packets
 * @msg: the message
 * @len: its length, bytes
 * @key: where to
 * @dest: where that is, or NULL; the reference is consumed
 *
 * Context: process, may sleep.
 * Return: 0, -EMSGSIZE, as afib_dest_get(), or as there is no memory for it.
 */
int afib_dgram_post(struct afib_sock *is, struct msghdr *msg, size_t len,
		    const struct afib_key *key, struct afib_dest *dest)
{
	struct sk_buff *skb;
	int err;

	/* Who waits, waits for room first, and has it while the peer is asked */
	if (len > afib_dgram_max(is, dest)) {
		afib_dest_put(dest);
		return -EMSGSIZE;
	}
	skb = afib_dgram_skb(is, msg, len, afib_dgram_room(is, dest));
	if (IS_ERR(skb)) {
		afib_dest_put(dest);
		return PTR_ERR(skb);
	}
	if (!dest)
		dest = afib_dgram_dest(is, msg, key);
	err = PTR_ERR_OR_ZERO(dest);
	if (!err && dest)
		err = afib_dgram_send(is, dest, skb, msg->msg_flags & MSG_BATCH);
	if (err) {
		kfree_skb(skb);
		return err;
	}
	if (dest)
		return 0;
	*IB_KEY(skb) = *key;
	skb_queue_tail(&is->pending, skb);
	queue_work(afib_wq, &is->work);
	return 0;
}

static int afib_dgram_try(struct afib_sock *is, struct msghdr *msg, size_t len)
{
	struct afib_dest *dest = NULL;
	struct afib_opts opts;
	struct afib_key key;
	int err;

	err = afib_dgram_begin(&is->sk, msg, &opts);
	if (!err)
		err = afib_dgram_key(is, msg, &opts, &key, &dest);
	return err ?: afib_dgram_post(is, msg, len, &key, dest);
}

/**
 * afib_dgram_sendmsg() - &proto_ops.sendmsg
 * @sock: the socket
 * @msg: the message
 * @len: its length, bytes
 *
 * All but the last message of sendmmsg() wait for the next one, so that the device
 * is given them together. If that does not come, as sendmmsg() failed before it
 * came here, they are sent a moment later.
 *
 * Context: process, may sleep.
 * Return: @len, or an error.
 */
int afib_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct afib_sock *is = afib_sk(sock->sk);
	int err;

	err = afib_dgram_try(is, msg, len);
	if (!err)
		return len;
	afib_dgram_kick(is);
	return err == -ERESTARTSYS ? sock_intr_errno(is->sk.sk_sndtimeo) : err;
}

/*
 * Receiving
 */

/* Is all that is known of it the LID of the peer? Under @lock. */
static bool afib_dgram_from_lid(const struct afib_sock *is, const struct qp_rmsg *m)
{
	return m->flags & QP_RMSG_LID && is->conn && is->conn->lid == qp_rmsg_lid(m);
}

/*
 * Is it from the peer, or has the socket none? A peer's queue pair is not known
 * before the first message to it was sent.
 */
static bool afib_dgram_wanted(struct afib_sock *is, const struct qp_rmsg *m)
{
	const struct ib_addr *peer = &is->peer.sib_addr;
	bool wanted = true;

	if (!READ_ONCE(is->peer.sib_family))
		return true;
	spin_lock_bh(&is->lock);
	if (is->peer.sib_family && !afib_addr_multicast(peer))
		wanted = (!is->conn || m->src_qpn == is->conn->qpn) &&
			 (!memcmp(m->sgid, peer, sizeof(m->sgid)) ||
			  afib_dgram_from_lid(is, m));
	spin_unlock_bh(&is->lock);
	return wanted;
}

/* What is known of why a message is dropped */
static const struct {
	enum afib_mib_item item;
	enum skb_drop_reason reason;
} afib_drops[] = {
	[AFIB_DROP_ROOM]	= { AFIB_MIB_RCVBUFERRORS,
				    SKB_DROP_REASON_SOCKET_RCVBUFF },
	[AFIB_DROP_FILTER]	= { AFIB_MIB_INFILTERED, SKB_DROP_REASON_SOCKET_FILTER },
	[AFIB_DROP_PEER]	= { AFIB_MIB_INNOTPEER, SKB_DROP_REASON_NOT_SPECIFIED },
	[AFIB_DROP_SHUTDOWN]	= { AFIB_MIB_INSHUTDOWN, SKB_DROP_REASON_NOT_SPECIFIED },
};

static void afib_dgram_drop(struct afib_sock *is, struct sk_buff *skb,
			    enum afib_drop why)
{
	afib_count(is, AFIB_MIB_INERRORS);
	afib_count(is, afib_drops[why].item);
	trace_afib_drop(&is->sk, skb->len, why);
	sk_skb_reason_drop(&is->sk, skb, afib_drops[why].reason);
}

/* The socket takes it, unless there is no room or its filter says no */
static void afib_dgram_queue(struct afib_sock *is, struct sk_buff *skb)
{
	const struct qp_rmsg m = *QP_RMSG(skb);
	struct sock *sk = &is->sk;
	u32 len;

	if (sk_filter_reason(sk, skb)) {
		afib_dgram_drop(is, skb, AFIB_DROP_FILTER);
		return;
	}
	len = skb->len;
	if (atomic_read(&sk->sk_rmem_alloc) >= READ_ONCE(sk->sk_rcvbuf) ||
	    !afib_mem_receive(sk, skb)) {
		sk_drops_inc(sk);
		afib_dgram_drop(is, skb, AFIB_DROP_ROOM);
		return;
	}
	afib_count(is, AFIB_MIB_INMSGS);
	afib_count_some(is, AFIB_MIB_INOCTETS, len);
	if (afib_addr_multicast((const void *)m.dgid))
		afib_count(is, AFIB_MIB_INMCASTMSGS);
	trace_afib_receive(&is->sk, m.sgid, m.src_qpn, len);
	afib_recvq_add(sk, skb);
}

/* &qp_user.recv */
bool afib_dgram_recv(struct qp_sock *qp, struct sk_buff *skb)
{
	struct afib_port *port = qp->user_priv;
	struct afib_sock *is = port->is;
	struct sock *sk = &is->sk;

	if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN) {
		afib_dgram_drop(is, skb, AFIB_DROP_SHUTDOWN);
		return true;
	}
	if (!afib_dgram_wanted(is, QP_RMSG(skb))) {
		afib_dgram_drop(is, skb, AFIB_DROP_PEER);
		return true;
	}
	if (sock_flag(sk, SOCK_RCVTSTAMP) || sock_flag(sk, SOCK_TIMESTAMP))
		__net_timestamp(skb);
	afib_dgram_queue(is, skb);
	return true;
}

/* The address of who sent it: that of its queue pair */
static void afib_dgram_name(const struct sk_buff *skb, struct msghdr *msg)
{
	const struct qp_rmsg *m = QP_RMSG(skb);
	const struct ib_addr *gid = (const void *)m->sgid;
	u32 scope = 0;

	if (!msg->msg_name || !(m->flags & QP_CQE_SRC))
		return;
	if (afib_addr_link_local(gid))
		scope = skb->skb_iif;
	afib_addr_make(msg->msg_name, gid, m->pkey, scope,
		       afib_addr_of_qpn(m->src_qpn));
	msg->msg_namelen = sizeof(struct sockaddr_ib);
}

static void afib_dgram_info(const struct sk_buff *skb, struct msghdr *msg)
{
	const struct qp_rmsg *m = QP_RMSG(skb);
	struct ib_info info = {
		.src_qpn	= m->src_qpn,
		.imm_data	= m->imm_data,
		.tclass		= m->tclass,
		.hoplimit	= m->hop_limit,
		.sl		= m->sl,
	};

	memcpy(&info.dgid, m->dgid, sizeof(info.dgid));
	if (m->flags & QP_CQE_IMM)
		info.flags |= IB_INFO_IMM;
	if ((m->flags & (QP_CQE_SRC | QP_RMSG_LID)) == QP_CQE_SRC)
		info.flags |= IB_INFO_GRH;
	put_cmsg(msg, SOL_IB, IB_INFO, sizeof(info), &info);
}

int afib_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		       int flags)
{
	struct sock *sk = sock->sk;
	struct afib_sock *is = afib_sk(sk);
	struct sk_buff *skb;
	size_t n;
	int err;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (flags & MSG_ERRQUEUE)
		return afib_err_recvmsg(sk, msg, len);
	skb = afib_recvq_take(sk, flags, &err);
	if (!skb)
		return err;
	n = min_t(size_t, len, skb->len);
	if (n < skb->len)
		msg->msg_flags |= MSG_TRUNC;
	err = skb_copy_datagram_msg(skb, 0, msg, n);
	if (!err) {
		sock_recv_cmsgs(msg, sk, skb);
		afib_dgram_name(skb, msg);
		if (READ_ONCE(is->recvinfo))
			afib_dgram_info(skb, msg);
		err = flags & MSG_TRUNC ? skb->len : n;
	}
	consume_skb(skb);
	return err;
}
