// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: messages for recvmsg()
 *
 * A queue pair without a receive queue gets its messages through kernel buffers,
 * which the device is given as soon as there is one. They share SO_RCVBUF, as it
 * is when the connection is made, so a message can have a VERBS_RECV_MSGS-th of
 * it. On a queue pair that has a receive queue, recvmsg() has a buffer given to
 * the device while it waits: a message goes to whichever receive was posted
 * first.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "verbs.h"

static bool verbs_msg_always(const struct verbs_qp *v)
{
	return !v->qp->rq.ring.entries;
}

/**
 * verbs_msg_max() - buffers that there are at most
 * @v: whose
 *
 * Datagrams that find none are lost, so there are as many as SO_RCVBUF has room
 * for.
 *
 * Return: their number.
 */
u32 verbs_msg_max(const struct verbs_qp *v)
{
	if (!v->ud || !verbs_msg_always(v))
		return VERBS_RECV_MSGS;
	return clamp_t(u32, READ_ONCE(v->qp->sk.sk_rcvbuf) / v->qp->max_msg,
		       VERBS_RECV_MSGS, VERBS_RECV_DGRAMS);
}

static int verbs_msg_new(struct verbs_qp *v)
{
	struct verbs_msg *msg = kzalloc_obj(*msg, GFP_KERNEL_ACCOUNT);

	if (!msg)
		return -ENOMEM;
	msg->size = v->ud ? v->qp->max_msg :
			    READ_ONCE(v->qp->sk.sk_rcvbuf) / VERBS_RECV_MSGS;
	msg->data = kmalloc(msg->size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				       __GFP_RETRY_MAYFAIL);
	if (!msg->data) {
		kfree(msg);
		return -ENOMEM;
	}
	spin_lock_bh(&v->recv_lock);
	list_add(&msg->node, &v->free_msgs);
	v->nr_msgs++;
	spin_unlock_bh(&v->recv_lock);
	return 0;
}

/**
 * verbs_msg_alloc() - have buffers for messages, if they are always wanted
 * @v: whose; no other thread does this
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int verbs_msg_alloc(struct verbs_qp *v)
{
	int err = 0;

	while (verbs_msg_always(v) && v->nr_msgs < v->max_msgs && !err)
		err = verbs_msg_new(v);
	return err;
}

/* Nobody reads any more, and there is no device */
void verbs_msg_free(struct verbs_qp *v)
{
	struct verbs_msg *msg, *next;

	list_splice_init(&v->msgs, &v->free_msgs);
	list_for_each_entry_safe(msg, next, &v->free_msgs, node) {
		kfree(msg->data);
		kfree(msg);
	}
	INIT_LIST_HEAD(&v->free_msgs);
}

/**
 * verbs_msg_next() - take a buffer that the device is to be given
 * @v: whose; recv_lock is held
 *
 * Return: the buffer, mapped, or NULL if there is none or none is wanted.
 */
struct verbs_msg *verbs_msg_next(struct verbs_qp *v)
{
	struct ib_device *ibdev = v->dev->ibdev;
	struct verbs_msg *msg;

	if (!verbs_msg_always(v) && v->msg_readers <= v->msg_posted)
		return NULL;
	msg = list_first_entry_or_null(&v->free_msgs, struct verbs_msg, node);
	if (!msg)
		return NULL;
	msg->dma = ib_dma_map_single(ibdev, msg->data, msg->size,
				     DMA_FROM_DEVICE);
	if (ib_dma_mapping_error(ibdev, msg->dma))
		return NULL;
	list_del(&msg->node);
	v->msg_posted++;
	return msg;
}

/**
 * verbs_msg_end() - a buffer comes back from the device
 * @v: whose; recv_lock is held
 * @msg: from verbs_msg_next()
 * @cqe: what was received
 * @src: who sent it, NULL if it is no datagram
 */
void verbs_msg_end(struct verbs_qp *v, struct verbs_msg *msg,
		   const struct qp_cqe *cqe, const union verbs_src *src)
{
	ib_dma_unmap_single(v->dev->ibdev, msg->dma, msg->size,
			    DMA_FROM_DEVICE);
	v->msg_posted--;
	if (cqe->status) {
		list_add(&msg->node, &v->free_msgs);
		return;
	}
	/* A WRITE with immediate data has its bytes elsewhere */
	msg->length = cqe->opcode == QP_OP_RECV ? cqe->byte_len : 0;
	msg->has_imm = cqe->flags & QP_CQE_IMM;
	msg->imm_data = cqe->imm_data;
	msg->src_qpn = cqe->src_qpn;
	if (src)
		msg->src = *src;
	atomic64_inc(&v->qp->rx_msgs);
	atomic64_add(msg->length, &v->qp->rx_bytes);
	list_add_tail(&msg->node, &v->msgs);
	qp_wake(v->qp, EPOLLIN | EPOLLRDNORM);
}

/* Is there a message to be read? */
bool verbs_msg_waits(const struct verbs_qp *v)
{
	return !list_empty_careful(&v->msgs);
}

static struct verbs_msg *verbs_msg_take(struct verbs_qp *v)
{
	struct verbs_msg *msg;

	spin_lock_bh(&v->recv_lock);
	msg = list_first_entry_or_null(&v->msgs, struct verbs_msg, node);
	if (msg)
		list_del(&msg->node);
	spin_unlock_bh(&v->recv_lock);
	return msg;
}

/* Put a message back that was not read, or its buffer */
static void verbs_msg_put(struct verbs_qp *v, struct verbs_msg *msg, bool unread)
{
	spin_lock_bh(&v->recv_lock);
	list_add(&msg->node, unread ? &v->msgs : &v->free_msgs);
	spin_unlock_bh(&v->recv_lock);
	verbs_recv_run(v);
}

/* Tell who sent a datagram */
static void verbs_msg_src(const struct qp_sock *qp, const struct verbs_msg *m,
			  struct msghdr *msg)
{
	u32 qpn = m->src_qpn;

	put_cmsg(msg, SOL_QP, QP_CMSG_SRC_QPN, sizeof(qpn), &qpn);
	if (!msg->msg_name || !m->src.sa.sa_family)
		return;
	msg->msg_namelen = verbs_addr_show(qp, &m->src.sa, msg->msg_name);
}

static int verbs_msg_copy(const struct qp_sock *qp, const struct verbs_msg *m,
			  struct msghdr *msg, size_t len, int flags)
{
	size_t n = min_t(size_t, len, m->length);
	u32 imm = m->imm_data;

	if (!copy_to_iter_full(m->data, n, &msg->msg_iter))
		return -EFAULT;
	if (m->has_imm)
		put_cmsg(msg, SOL_QP, QP_CMSG_IMM, sizeof(imm), &imm);
	if (m->src_qpn)
		verbs_msg_src(qp, m, msg);
	msg->msg_flags |= MSG_EOR;
	if (n < m->length)
		msg->msg_flags |= MSG_TRUNC;
	return flags & MSG_TRUNC ? m->length : n;
}

/* Count who waits; a receive queue has to have a buffer for them */
static int verbs_msg_reader(struct verbs_qp *v, int change)
{
	int err = 0;

	spin_lock_bh(&v->recv_lock);
	v->msg_readers += change;
	spin_unlock_bh(&v->recv_lock);
	if (change > 0 && !verbs_msg_always(v) && v->nr_msgs < v->max_msgs &&
	    list_empty_careful(&v->free_msgs))
		err = verbs_msg_new(v);
	verbs_recv_run(v);
	return err;
}

static bool verbs_readable(const struct verbs_qp *v)
{
	return verbs_msg_waits(v) || qp_state(v->qp) == QP_STATE_ERROR;
}

/* Wait until there is a message. Returns jiffies left, or an error. */
static long verbs_msg_wait(struct verbs_qp *v, long timeo)
{
	int err = verbs_msg_reader(v, 1);

	if (!err)
		timeo = wait_event_interruptible_timeout(*sk_sleep(&v->qp->sk),
							 verbs_readable(v),
							 timeo);
	verbs_msg_reader(v, -1);
	return err ?: timeo;
}

int verbs_recvmsg(struct qp_sock *qp, struct msghdr *msg, size_t len, int flags)
{
	long timeo = sock_rcvtimeo(&qp->sk, flags & MSG_DONTWAIT);
	struct verbs_qp *v = verbs_qp(qp);
	enum qp_state state = qp_state(qp);
	struct verbs_msg *m;
	int ret;

	if (state != QP_STATE_RTS && state != QP_STATE_ERROR)
		return -ENOTCONN;
	for (;;) {
		/* What had come before the end is read first */
		state = qp_state(qp);
		m = verbs_msg_take(v);
		if (m) {
			ret = verbs_msg_copy(qp, m, msg, len, flags);
			verbs_msg_put(v, m, ret < 0 || flags & MSG_PEEK);
			return ret;
		}
		if (state == QP_STATE_ERROR)
			return sock_error(&qp->sk);
		if (!timeo)
			return -EAGAIN;
		timeo = verbs_msg_wait(v, timeo);
		if (timeo == -ERESTARTSYS)
			return sock_intr_errno(qp->sk.sk_rcvtimeo);
		if (timeo < 0)
			return timeo;
	}
}
