// SPDX-License-Identifier: GPL-2.0
/*
 * sendmsg() and recvmsg(): a SEND from, or a RECV into, an ordinary buffer
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

/* What a message's control data ask for, in the form of a work request */
static int qp_msg_control(struct msghdr *msg, struct qp_sqe *sqe, bool ud)
{
	struct cmsghdr *cmsg;

	sqe->opcode = QP_OP_SEND;
	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		/*
		 * A queue pair carries no descriptors: one sent through itself
		 * could never be collected.
		 */
		if (cmsg->cmsg_level == SOL_SOCKET)
			return -EOPNOTSUPP;
		if (cmsg->cmsg_level != SOL_QP)
			continue;
		if (cmsg->cmsg_len != CMSG_LEN(sizeof(u32)))
			return -EINVAL;
		if (cmsg->cmsg_type == QP_CMSG_IMM) {
			sqe->opcode = QP_OP_SEND_IMM;
			memcpy(&sqe->imm_data, CMSG_DATA(cmsg), sizeof(u32));
		} else if (cmsg->cmsg_type == QP_CMSG_AH && ud) {
			memcpy(&sqe->ah, CMSG_DATA(cmsg), sizeof(u32));
		} else {
			return -EINVAL;
		}
	}
	return 0;
}

/*
 * Where a message goes, for &qp_wr.dest: by a handle, or by an address, which
 * may take a moment to find
 */
static void *qp_msg_dest(struct qp_sock *qp, struct msghdr *msg, u32 ah)
{
	struct sockaddr_storage *name = NULL;

	if (qp->type != QP_UD)
		return msg->msg_namelen ? ERR_PTR(-EISCONN) : NULL;
	if (msg->msg_namelen) {
		name = msg->msg_name;
		if (ah || msg->msg_namelen < (int)sizeof(name->ss_family))
			return ERR_PTR(-EINVAL);
		if (name->ss_family != qp->domain)
			return ERR_PTR(-EAFNOSUPPORT);
	}
	if (qp_state(qp) == QP_STATE_ERROR)
		return ERR_PTR(-EPIPE);
	return qp->proto->ud_ops->dest(qp, ah, name, msg->msg_namelen);
}

static int qp_msg_allowed(const struct qp_sock *qp)
{
	if (qp_state(qp) == QP_STATE_ERROR)
		return -EPIPE;
	return qp_send_allowed(qp);
}

/* Count a message, if those queued leave room */
static bool qp_msg_charge(struct qp_sock *qp, int truesize)
{
	int new, old = atomic_read(&qp->msg_bytes);

	do {
		if (old >= READ_ONCE(qp->sk.sk_sndbuf) ||
		    check_add_overflow(old, truesize, &new))
			return false;
	} while (!atomic_try_cmpxchg(&qp->msg_bytes, &old, new));
	return true;
}

/* Room for a message, or a reason not to wait for it */
static bool qp_msg_room(const struct qp_sock *qp)
{
	return atomic_read(&qp->msg_bytes) < READ_ONCE(qp->sk.sk_sndbuf) ||
	       qp_msg_allowed(qp);
}

/* Count a message, or say why not: -EAGAIN if there is no room now */
static int qp_msg_try(struct qp_sock *qp, int truesize)
{
	int err = qp_msg_allowed(qp);

	if (err)
		return err;
	return qp_msg_charge(qp, truesize) ? 0 : -EAGAIN;
}

/* Wait until queued messages leave room for one more, and count it */
static int qp_msg_reserve(struct qp_sock *qp, int truesize, long timeo)
{
	wait_queue_head_t *wq = sk_sleep(&qp->sk);
	int err;

	while ((err = qp_msg_try(qp, truesize)) == -EAGAIN && timeo) {
		timeo = wait_event_interruptible_timeout(*wq, qp_msg_room(qp),
							 timeo);
		if (timeo < 0)
			return sock_intr_errno(qp->sk.sk_sndtimeo);
	}
	return err;
}

/* @sqe and @dest: what qp_msg_control() and qp_msg_dest() made of it */
static int qp_msg_post(struct qp_sock *qp, struct msghdr *msg, u32 len,
		       const struct qp_sqe *sqe, void *dest)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	size_t size = qp_wr_bytes(struct_size_t(struct qp_wr, sqe.inl, len), qp);
	struct qp_wr *wr;

	if (!(READ_ONCE(qp->opcodes) & BIT(sqe->opcode)))
		return -EOPNOTSUPP;
	wr = qp->proto->contiguous ? kmalloc(size, gfp | __GFP_RETRY_MAYFAIL) :
				     kvmalloc(size, gfp);
	if (!wr)
		return -ENOMEM;
	wr->priv = qp_wr_priv(wr, size, qp);
	wr->sqe = *sqe;
	wr->op = &qp_opinfo[sqe->opcode];
	wr->dest = dest;
	wr->length = len;
	wr->done = 0;
	wr->status = QP_WC_SUCCESS;
	wr->data = wr->sqe.inl;
	wr->msg = true;
	wr->skb = NULL;
	if (!copy_from_iter_full(wr->data, len, &msg->msg_iter)) {
		kvfree(wr);
		return -EFAULT;
	}
	trace_qp_post(qp, wr);
	qp->proto->post_send(qp, wr);
	qp_count(qp, QP_MIB_POSTEDSENDS);
	return 0;
}

static int qp_msg_send(struct qp_sock *qp, struct msghdr *msg, size_t len,
		       const struct qp_sqe *sqe, void *dest)
{
	long timeo = sock_sndtimeo(&qp->sk, msg->msg_flags & MSG_DONTWAIT);
	int err;

	if (len > min_t(size_t, READ_ONCE(qp->sk.sk_sndbuf),
			READ_ONCE(qp->max_msg)))
		return -EMSGSIZE;
	err = qp_msg_reserve(qp, qp_msg_truesize(len), timeo);
	if (err)
		return err;
	err = qp_msg_post(qp, msg, len, sqe, dest);
	if (err)
		atomic_sub(qp_msg_truesize(len), &qp->msg_bytes);
	return err;
}

int qp_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct qp_sock *qp = qp_sk(sock->sk);
	struct qp_sqe sqe = {};
	void *dest;
	int err;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	err = qp_msg_control(msg, &sqe, qp->type == QP_UD);
	if (err)
		return err;
	dest = qp_msg_dest(qp, msg, sqe.ah);
	err = PTR_ERR_OR_ZERO(dest);
	if (!err) {
		err = qp_msg_send(qp, msg, len, &sqe, dest);
		if (err && dest)
			qp->proto->ud_ops->dest_put(qp, dest);
	}
	if (err == -EPIPE && !(msg->msg_flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	if (err)
		return err;
	qp->proto->kick(qp);
	return len;
}

int qp_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags)
{
	struct qp_sock *qp = qp_sk(sock->sk);

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	return qp->proto->recvmsg(qp, msg, len, flags);
}
