// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: messages for recvmsg()
 *
 * A queue pair without a receive queue gets its messages through kernel buffers,
 * which the device is given as soon as there is one. They share SO_RCVBUF, as it
 * is when the connection is made, so a message can have a VERBS_RECV_MSGS-th of
 * it. On a queue pair that has a receive queue, recvmsg() has a buffer given to
 * the device while it waits: a message goes to whichever receive was posted
 * first. Users in the kernel say how many buffers they want, and have those with
 * messages for as long as they like.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "stats.h"
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
	if (v->qp->nr_bufs)
		return v->qp->nr_bufs;
	if (!v->ud || !verbs_msg_always(v))
		return VERBS_RECV_MSGS;
	return clamp_t(u32, READ_ONCE(v->qp->sk.sk_rcvbuf) / v->qp->max_msg,
		       VERBS_RECV_MSGS, VERBS_RECV_DGRAMS);
}

/* Give it a buffer of its size, in the form that its reader wants */
static bool verbs_msg_buffer(struct verbs_qp *v, struct verbs_msg *msg, gfp_t gfp)
{
	struct sk_buff *skb;

	if (!v->qp->user) {
		msg->data = kmalloc(msg->size, gfp);
		return msg->data;
	}
	skb = alloc_skb(msg->size, gfp);
	if (!skb)
		return false;
	msg->skb = skb;
	msg->data = skb->data;
	return true;
}

static void verbs_msg_destroy(struct verbs_msg *msg)
{
	if (msg->skb)
		kfree_skb(msg->skb);
	else
		kfree(msg->data);
	kfree(msg);
}

static u32 verbs_msg_size(const struct verbs_qp *v)
{
	if (v->qp->nr_bufs)
		return v->qp->buf_size;
	return v->ud ? v->qp->max_msg :
		       READ_ONCE(v->qp->sk.sk_rcvbuf) / VERBS_RECV_MSGS;
}

static int verbs_msg_new(struct verbs_qp *v)
{
	struct verbs_msg *msg = kzalloc_obj(*msg, GFP_KERNEL_ACCOUNT);

	if (!msg)
		return -ENOMEM;
	msg->size = verbs_msg_size(v);
	if (!verbs_msg_buffer(v, msg, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				      __GFP_RETRY_MAYFAIL)) {
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
	list_splice_init(&v->lent_msgs, &v->free_msgs);
	list_for_each_entry_safe(msg, next, &v->free_msgs, node)
		verbs_msg_destroy(msg);
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
	qp_count_received(v->qp, msg->length);
	list_add_tail(&msg->node, &v->msgs);
	qp_wake(v->qp, EPOLLIN | EPOLLRDNORM);
}

/**
 * verbs_msg_up() - a buffer comes back from the device, for a user in the kernel
 * @v: whose; recv_lock is held
 * @msg: from verbs_msg_next()
 * @cqe: what was received
 * @slot: of the receive, where its header is
 *
 * The user has the skb of a datagram, and the buffer another one. If there is none,
 * the message is lost, as it would be if the buffer were missing. The user of a
 * connection, where none may be lost, gives one back.
 *
 * Context: softirq, or process with softirqs off.
 */
void verbs_msg_up(struct verbs_qp *v, struct verbs_msg *msg,
		  const struct qp_cqe *cqe, u32 slot)
{
	struct sk_buff *skb = msg->skb;
	struct qp_rmsg *m = QP_RMSG(skb);

	ib_dma_unmap_single(v->dev->ibdev, msg->dma, msg->size,
			    DMA_FROM_DEVICE);
	v->msg_posted--;
	list_add(&msg->node, &v->free_msgs);
	if (cqe->status ||
	    (v->ud && !verbs_msg_buffer(v, msg, GFP_ATOMIC | __GFP_NOWARN)))
		return;
	qp_count_received(v->qp, cqe->byte_len);
	skb_put(skb, cqe->byte_len);
	memset(m, 0, sizeof(*m));
	m->flags = cqe->flags & QP_CQE_IMM;
	m->imm_data = (__force __be32)cqe->imm_data;
	m->src_qpn = cqe->src_qpn;
	if (cqe->flags & QP_CQE_SRC)
		verbs_ud_info(v->ud, verbs_ud_hdr(v->ud, slot), skb);
	if (v->ud) {
		v->qp->user->recv(v->qp, skb);
	} else if (v->qp->user->recv(v->qp, skb)) {
		msg->skb = NULL;
		msg->data = NULL;
		list_move(&msg->node, &v->lent_msgs);
	} else {
		skb_trim(skb, 0);
	}
}

/* &qp_proto.give */
int verbs_give(struct qp_sock *qp, struct sk_buff *skb)
{
	struct verbs_qp *v = verbs_qp(qp);
	struct verbs_msg *msg;

	spin_lock_bh(&v->recv_lock);
	msg = list_first_entry_or_null(&v->lent_msgs, struct verbs_msg, node);
	if (msg) {
		msg->skb = skb;
		msg->data = skb->data;
		list_move(&msg->node, &v->free_msgs);
	}
	spin_unlock_bh(&v->recv_lock);
	if (!msg)
		return -ENOBUFS;
	verbs_recv_run(v);
	return 0;
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
	msg->msg_namelen = verbs_addr_show(qp->domain, qp->type, &m->src.sa,
					   msg->msg_name);
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
