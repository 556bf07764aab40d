// SPDX-License-Identifier: GPL-2.0
/*
 * Work requests: what the opcodes are, taking requests from the rings, and
 * completing them
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

const struct qp_opinfo qp_opinfo[QP_OP_LAST] = {
	[QP_OP_SEND] = {
		.name	= "SEND",
		.flags	= QP_OPF_SGE | QP_OPF_INLINE | QP_OPF_PAYLOAD,
		.recv	= QP_OP_RECV,
	},
	[QP_OP_SEND_IMM] = {
		.name	= "SEND_IMM",
		.flags	= QP_OPF_SGE | QP_OPF_INLINE | QP_OPF_PAYLOAD |
			  QP_OPF_IMM,
		.recv	= QP_OP_RECV,
	},
	[QP_OP_SEND_INV] = {
		.name	= "SEND_INV",
		.flags	= QP_OPF_SGE | QP_OPF_INLINE | QP_OPF_PAYLOAD |
			  QP_OPF_INV,
		.recv	= QP_OP_RECV,
	},
	[QP_OP_WRITE] = {
		.name	= "WRITE",
		.flags	= QP_OPF_SGE | QP_OPF_INLINE | QP_OPF_REMOTE,
		.access	= QP_ACCESS_REMOTE_WRITE,
	},
	[QP_OP_WRITE_IMM] = {
		.name	= "WRITE_IMM",
		.flags	= QP_OPF_SGE | QP_OPF_INLINE | QP_OPF_REMOTE |
			  QP_OPF_IMM,
		.access	= QP_ACCESS_REMOTE_WRITE,
		.recv	= QP_OP_RECV_WRITE_IMM,
	},
	[QP_OP_READ] = {
		.name	= "READ",
		.flags	= QP_OPF_SGE | QP_OPF_SINK | QP_OPF_REMOTE,
		.access	= QP_ACCESS_REMOTE_READ,
	},
	[QP_OP_ATOMIC_CAS] = {
		.name	= "ATOMIC_CAS",
		.flags	= QP_OPF_SGE | QP_OPF_SINK | QP_OPF_REMOTE |
			  QP_OPF_ATOMIC | QP_OPF_SWAP,
		.access	= QP_ACCESS_REMOTE_ATOMIC,
	},
	[QP_OP_ATOMIC_ADD] = {
		.name	= "ATOMIC_ADD",
		.flags	= QP_OPF_SGE | QP_OPF_SINK | QP_OPF_REMOTE |
			  QP_OPF_ATOMIC,
		.access	= QP_ACCESS_REMOTE_ATOMIC,
	},
	[QP_OP_LOCAL_INV] = {
		.name	= "LOCAL_INV",
		.flags	= QP_OPF_INV | QP_OPF_LOCAL,
	},
};

/**
 * qp_sqe_check() - check the fixed part of a send queue entry
 * @sqe: kernel copy
 * @type: of the queue pair, enum qp_type
 * @opcodes: what it can do, bits 1 << enum qp_opcode
 * @max_sge: entries that its list may have
 * @max_inline: bytes of inline data that it may have
 *
 * Return: 0, -EOPNOTSUPP for an opcode unknown here, else -EINVAL.
 */
int qp_sqe_check(const struct qp_sqe *sqe, u32 type, u32 opcodes, u32 max_sge,
		 u32 max_inline)
{
	const struct qp_opinfo *op;
	u32 flags;

	if (sqe->opcode >= QP_OP_LAST || !(opcodes & BIT(sqe->opcode)))
		return -EOPNOTSUPP;
	op = &qp_opinfo[sqe->opcode];

	flags = QP_SQE_SIGNALED | QP_SQE_FENCE;
	if (op->flags & QP_OPF_INLINE)
		flags |= QP_SQE_INLINE;
	if (op->recv)
		flags |= QP_SQE_SOLICITED;
	if (sqe->flags & ~flags)
		return -EINVAL;

	if (sqe->flags & QP_SQE_INLINE) {
		if (sqe->num_sge || sqe->inline_len > max_inline)
			return -EINVAL;
	} else {
		if (sqe->inline_len || sqe->num_sge > max_sge ||
		    (sqe->num_sge && !(op->flags & QP_OPF_SGE)))
			return -EINVAL;
	}

	if (sqe->imm_data && !(op->flags & (QP_OPF_IMM | QP_OPF_INV)))
		return -EINVAL;
	if (sqe->remote_addr && !(op->flags & QP_OPF_REMOTE))
		return -EINVAL;
	/* Where a datagram goes is in the place of the key */
	if (sqe->rkey && !(op->flags & QP_OPF_REMOTE) && type != QP_UD)
		return -EINVAL;
	if (sqe->compare_add && !(op->flags & QP_OPF_ATOMIC))
		return -EINVAL;
	if (sqe->swap && !(op->flags & QP_OPF_SWAP))
		return -EINVAL;
	return 0;
}

/**
 * qp_sqe_length() - length of the message of a checked send queue entry
 * @sqe: kernel copy, with its list
 * @length: where to put it, bytes
 *
 * Return: 0, or -EINVAL if it is not what the opcode moves.
 */
int qp_sqe_length(const struct qp_sqe *sqe, u32 *length)
{
	u64 sum = sqe->inline_len;
	u32 i;

	for (i = 0; i < sqe->num_sge; i++)
		sum += sqe->sge[i].length;
	if (sum > QP_MAX_MSG)
		return -EINVAL;
	if ((qp_opinfo[sqe->opcode].flags & QP_OPF_ATOMIC) &&
	    sum != sizeof(u64))
		return -EINVAL;
	*length = sum;
	return 0;
}

int qp_sq_alloc(struct qp_sock *qp, u32 entries)
{
	struct qp_sq *sq = &qp->sq;
	u32 room = max_t(u32, qp->max_sge * sizeof(struct qp_sge),
			 qp->max_inline);
	u32 size = round_up(sizeof(struct qp_sqe) + room, 64);
	int err;

	if (!entries)
		return 0;
	qp->max_inline = min_t(u32, size - sizeof(struct qp_sqe),
			       QP_MAX_INLINE);
	sq->wr_size = qp_wr_bytes(offsetof(struct qp_wr, sqe) + size, qp);
	sq->wrs = kvmalloc_array(entries, sq->wr_size,
				 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!sq->wrs)
		return -ENOMEM;
	err = qp_ring_alloc(&sq->ring, entries, size);
	if (err) {
		kvfree(sq->wrs);
		sq->wrs = NULL;
	}
	return err;
}

void qp_sq_free(struct qp_sock *qp)
{
	qp_ring_free(&qp->sq.ring);
	kvfree(qp->sq.wrs);
	qp->sq.wrs = NULL;
}

/* The peer may still ask for receives: from now on there are none */
void qp_rq_free(struct qp_sock *qp)
{
	struct qp_ring ring;

	spin_lock_bh(&qp->rq.lock);
	ring = qp->rq.ring;
	qp->rq.ring = (struct qp_ring){};
	spin_unlock_bh(&qp->rq.lock);
	qp_ring_free(&ring);
}

/**
 * qp_sends_outstanding() - send work requests accepted and not completed
 * @qp: the queue pair
 *
 * Return: their number; those of sendmsg() do not count.
 */
u32 qp_sends_outstanding(const struct qp_sock *qp)
{
	/* Pairs with the store in qp_send_done(): the slot is ours again */
	return READ_ONCE(qp->sq.posted) - smp_load_acquire(&qp->sq.completed);
}
EXPORT_SYMBOL_GPL(qp_sends_outstanding);

/**
 * qp_send_room() - would a send be accepted?
 * @qp: the queue pair
 *
 * Context: any.
 * Return: true if there is room for it and its completion.
 */
bool qp_send_room(const struct qp_sock *qp)
{
	if (atomic_read(&qp->msg_bytes) >= READ_ONCE(qp->sk.sk_sndbuf))
		return false;
	if (!qp->sq.ring.entries)
		return true;
	return qp_sends_outstanding(qp) < qp->sq.ring.entries &&
	       qp_cq_room(qp->cq);
}
EXPORT_SYMBOL_GPL(qp_send_room);

/* Is it disconnected, with no completion under way to its CQ? */
bool qp_finished(const struct qp_sock *qp)
{
	bool pending = qp_sqpoll_pending(qp);	/* taken later than reserved */
	u32 reserved = smp_load_acquire(&qp->cq->reserved);	/* qp_cq_post() */

	return qp_state(qp) == QP_STATE_ERROR && !pending && !reserved &&
	       !atomic_read_acquire(&qp->recvs);	/* qp_recv_report() */
}

/* Look up where a datagram goes */
static int qp_sq_dest(struct qp_sock *qp, struct qp_wr *wr)
{
	void *dest;

	if (qp->type != QP_UD)
		return 0;
	dest = qp->proto->ud_ops->dest(qp, wr->sqe.ah, NULL, 0);
	if (IS_ERR(dest))
		return PTR_ERR(dest);
	wr->dest = dest;
	return 0;
}

/* What a malformed entry becomes if nobody can be told but by a completion */
static const struct qp_opinfo qp_malformed = {
	.name	= "malformed",
};

/* Copy an entry of the send queue and check it */
static int qp_sqe_read(struct qp_sock *qp, const struct qp_sqe *src,
		       struct qp_wr *wr)
{
	size_t extra;
	int err;

	qp_ring_read(&wr->sqe, src, sizeof(wr->sqe));
	err = qp_sqe_check(&wr->sqe, qp->type, READ_ONCE(qp->opcodes),
			   qp->max_sge, qp->max_inline);
	if (err)
		return err;
	if (wr->sqe.opcode == QP_OP_READ &&
	    wr->sqe.num_sge > READ_ONCE(qp->max_sge_rd))
		return -EOPNOTSUPP;
	wr->data = wr->sqe.flags & QP_SQE_INLINE ? wr->sqe.inl : NULL;
	extra = wr->data ? wr->sqe.inline_len :
			   wr->sqe.num_sge * sizeof(struct qp_sge);
	qp_ring_read(wr->sqe.inl, src->inl, extra);
	err = qp_sqe_length(&wr->sqe, &wr->length);
	if (err)
		return err;
	return wr->length > READ_ONCE(qp->max_msg) ? -EMSGSIZE : 0;
}

/*
 * Take one entry from the send queue, or say why not and change nothing. With
 * @all a malformed one is taken as well, and fails when its turn comes.
 */
static int qp_sq_take(struct qp_sock *qp, bool all)
{
	struct qp_sq *sq = &qp->sq;
	struct qp_wr *wr;
	u32 pending;
	int err;

	err = qp_ring_pending(&sq->ring, sq->head, &pending);
	if (err)
		return err;
	if (!pending)
		return -ENODATA;
	if (qp_sends_outstanding(qp) >= sq->ring.entries)
		return -EAGAIN;

	wr = sq->wrs + (sq->posted & (sq->ring.entries - 1)) * sq->wr_size;
	err = qp_sqe_read(qp, qp_ring_entry(&sq->ring, sq->head), wr);
	if (err && !all) {
		qp_count(qp, QP_MIB_MALFORMED);
		return err;
	}
	if (!qp_cq_reserve(qp->cq))
		return -EAGAIN;
	wr->dest = NULL;
	if (!err)
		err = qp_sq_dest(qp, wr);
	if (err)
		qp_count(qp, QP_MIB_MALFORMED);
	if (err && !all) {
		qp_cq_unreserve(qp->cq);
		return err;
	}

	if (err) {
		wr->op = &qp_malformed;
		wr->status = QP_WC_LOC_QP_OP_ERR;
		wr->length = 0;
		wr->data = NULL;
	} else {
		wr->op = &qp_opinfo[wr->sqe.opcode];
		wr->status = QP_WC_SUCCESS;
	}
	wr->done = 0;
	wr->msg = false;
	wr->skb = NULL;
	wr->priv = qp_wr_priv(wr, sq->wr_size, qp);
	WRITE_ONCE(sq->posted, sq->posted + 1);
	/* Pairs with qp_seat_pending(): its completion is reserved before */
	smp_store_release(&sq->head, sq->head + 1);
	qp_ring_consumed(&sq->ring, sq->head);
	trace_qp_post(qp, wr);
	qp->proto->post_send(qp, wr);
	return 0;
}

/**
 * qp_send_allowed() - may work be posted in this state?
 * @qp: the queue pair
 *
 * Also a failed queue pair takes work, and completes it as flushed
 * (IBA v1 10.3.1.7).
 *
 * Return: 0, -ENOTCONN or -EPIPE.
 */
int qp_send_allowed(const struct qp_sock *qp)
{
	switch (qp_state(qp)) {
	case QP_STATE_ERROR:
		return 0;
	case QP_STATE_RTS:
		return READ_ONCE(qp->sk.sk_shutdown) & SEND_SHUTDOWN ? -EPIPE :
								       0;
	default:
		return -ENOTCONN;
	}
}

/* Take up to @n entries; @err is why it ends, 0 if all were taken */
static unsigned int qp_sq_take_some(struct qp_sock *qp, unsigned int n,
				    bool all, int *err)
{
	unsigned int taken = 0;

	*err = 0;
	mutex_lock(&qp->sq.lock);
	while (taken < n) {
		*err = qp_sq_take(qp, all);
		if (*err)
			break;
		taken++;
	}
	mutex_unlock(&qp->sq.lock);
	if (taken)
		qp_count_some(qp, QP_MIB_POSTEDSENDS, taken);
	return taken;
}

/**
 * qp_sq_serve() - accept work from the send queue on behalf of nobody
 * @qp: a queue pair to which work may be posted, see qp_send_allowed()
 * @n: how many entries at most
 *
 * Malformed entries are accepted, and complete with QP_WC_LOC_QP_OP_ERR. The
 * caller lets the protocol work.
 *
 * Context: process, may sleep.
 * Return: number of entries accepted.
 */
unsigned int qp_sq_serve(struct qp_sock *qp, unsigned int n)
{
	int err;

	return qp_sq_take_some(qp, n, true, &err);
}

/**
 * qp_submit() - accept work from the send queue, and let the protocol work
 * @qp: the queue pair
 * @n: how many entries at most
 *
 * Stops at the first entry that cannot be accepted; it stays in the ring. If
 * there is a thread that takes them, all this does is to wake it.
 *
 * Context: process, may sleep.
 * Return: number of entries accepted, 0 also if there are none in the ring;
 * or the reason if the first could not be: -ENOTCONN, -EPIPE, -EAGAIN (no
 * room for more outstanding work or its completion), -EOVERFLOW (ring index
 * out of range), -EOPNOTSUPP, -EINVAL, -EMSGSIZE and -EDESTADDRREQ (datagrams:
 * longer than a packet, or to nowhere). @n, or the size of the ring if that is
 * less, if there is a thread.
 */
int qp_submit(struct qp_sock *qp, unsigned int n)
{
	unsigned int taken;
	u32 pending;
	int err;

	qp_count(qp, QP_MIB_DOORBELLS);
	err = n ? qp_send_allowed(qp) : 0;
	/* The receive queue is read when messages come; complain of it here */
	if (!err)
		err = qp_ring_pending(&qp->rq.ring, READ_ONCE(qp->rq.head),
				      &pending);
	if (err)
		return err;
	/* Who fills the ring meanwhile does not keep the caller here */
	n = min(n, qp->sq.ring.entries);
	if (qp_sqpoll_call(qp))
		return qp_ring_pending(&qp->sq.ring, READ_ONCE(qp->sq.head),
				       &pending) ?: n;
	taken = qp_sq_take_some(qp, n, false, &err);
	trace_qp_doorbell(qp, n, taken ?: err);
	qp->proto->kick(qp);
	return taken || err == -ENODATA ? taken : err;
}

/*
 * A message of sendmsg() is done: make room for the next one. A user in the kernel
 * hears of that by the destructor of its own.
 */
static void qp_msg_done(struct qp_sock *qp, struct qp_wr *wr, u16 status)
{
	int truesize = qp_msg_truesize(wr->length);

	if (wr->skb) {
		/* Why the connection is over, if it is the peer that is gone */
		if (status == QP_WC_RETRY_EXC_ERR)
			WRITE_ONCE(qp->sk.sk_err, ETIMEDOUT);
		consume_skb(wr->skb);
		kfree(wr);
		return;
	}
	kvfree(wr);
	atomic_sub(truesize, &qp->msg_bytes);
	qp_wake(qp, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}

/**
 * qp_send_done() - complete a send work request
 * @qp: the queue pair it was posted to
 * @wr: the request; not the caller's any more
 * @status: enum qp_wc_status
 *
 * Requests of one queue pair complete in the order of posting; the caller
 * sees to it that two calls for it do not overlap.
 *
 * Context: process or softirq; process if the request came from sendmsg().
 */
void qp_send_done(struct qp_sock *qp, struct qp_wr *wr, u16 status)
{
	struct qp_sq *sq = &qp->sq;
	struct qp_cqe cqe = {
		.user_data = wr->sqe.user_data,
		.status = status,
		.opcode = wr->sqe.opcode,
		.qpn = qp->qpn,
	};
	bool signaled;

	qp_count_sent(qp, wr, status);
	trace_qp_complete(qp, wr->sqe.user_data, wr->sqe.opcode, status, wr->length);
	if (!status) {
		atomic64_inc(&qp->tx_msgs);
		atomic64_add(wr->length, &qp->tx_bytes);
		if (wr->op->flags & QP_OPF_SINK)
			cqe.byte_len = wr->length;
	}
	if (wr->msg) {
		qp_msg_done(qp, wr, status);
		return;
	}

	signaled = status || (wr->sqe.flags & QP_SQE_SIGNALED);
	/*
	 * Pairs with qp_sends_outstanding(). The slot is free before user
	 * space sees the completion and posts again.
	 */
	smp_store_release(&sq->completed, sq->completed + 1);
	if (signaled)
		qp_cq_post(qp->cq, &cqe, NULL);
	else
		qp_cq_unreserve(qp->cq);
	/* Room in the SQ, and in the CQ for whoever shares it */
	qp_cq_wake(qp->cq, EPOLLIN | EPOLLRDNORM |
			   EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
}
EXPORT_SYMBOL_GPL(qp_send_done);

/**
 * qp_recv_ready() - is there a receive, and room for its completion?
 * @qp: the queue pair
 *
 * Context: any.
 * Return: a hint; qp_recv_get() has the last word.
 */
bool qp_recv_ready(struct qp_sock *qp)
{
	u32 pending;
	bool ready;

	spin_lock_bh(&qp->rq.lock);
	ready = !qp_ring_pending(&qp->rq.ring, qp->rq.head, &pending) &&
		pending && qp_cq_room(qp->cq);
	spin_unlock_bh(&qp->rq.lock);
	return ready;
}
EXPORT_SYMBOL_GPL(qp_recv_ready);

/* Copy an entry of the receive queue and check it */
static int qp_rqe_read(struct qp_sock *qp, const struct qp_rqe *src,
		       struct qp_rwr *rwr)
{
	struct qp_rqe rqe;
	u32 i;

	qp_ring_read(&rqe, src, sizeof(rqe));
	rwr->user_data = rqe.user_data;
	rwr->length = 0;
	rwr->num_sge = 0;
	if (rqe.flags || rqe.resv || rqe.num_sge > qp->max_sge)
		return -EINVAL;
	rwr->num_sge = rqe.num_sge;
	qp_ring_read(rwr->sge, src->sge, rqe.num_sge * sizeof(rwr->sge[0]));
	for (i = 0; i < rwr->num_sge; i++)
		rwr->length += rwr->sge[i].length;
	return 0;
}

/**
 * qp_recv_get() - take the next receive from the receive queue
 * @qp: the queue pair
 * @rwr: where to put the copy
 *
 * Whoever got one, or -EINVAL, owes qp_recv_done().
 *
 * Context: process or softirq.
 * Return: 0; -EAGAIN: none there, or no room for its completion; -EINVAL: it
 * is malformed, and only @rwr->user_data is of use.
 */
int qp_recv_get(struct qp_sock *qp, struct qp_rwr *rwr)
{
	struct qp_rq *rq = &qp->rq;
	u32 pending;
	int err = -EAGAIN;

	spin_lock_bh(&rq->lock);
	if (!qp_ring_pending(&rq->ring, rq->head, &pending) && pending &&
	    qp_cq_reserve(qp->cq)) {
		err = qp_rqe_read(qp, qp_ring_entry(&rq->ring, rq->head), rwr);
		WRITE_ONCE(rq->head, rq->head + 1);
		qp_ring_consumed(&rq->ring, rq->head);
		qp_count(qp, QP_MIB_POSTEDRECVS);
	}
	spin_unlock_bh(&rq->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qp_recv_get);

/**
 * qp_recv_take() - take the next receive, its completion having no slot yet
 * @qp: the queue pair
 * @rwr: where to put the copy
 *
 * For protocols that hand receives to a device before messages come. Whoever
 * got one, or -EINVAL, owes qp_recv_report(). While the queue pair is being
 * connected user space is not told that the entry can be filled again: it may
 * be wanted for another attempt, see qp_recv_untake().
 *
 * Context: process or softirq.
 * Return: as qp_recv_get().
 */
int qp_recv_take(struct qp_sock *qp, struct qp_rwr *rwr)
{
	struct qp_rq *rq = &qp->rq;
	u32 pending;
	int err = -EAGAIN;

	spin_lock_bh(&rq->lock);
	if (!qp_ring_pending(&rq->ring, rq->head, &pending) && pending) {
		atomic_inc(&qp->recvs);
		err = qp_rqe_read(qp, qp_ring_entry(&rq->ring, rq->head), rwr);
		WRITE_ONCE(rq->head, rq->head + 1);
		if (qp_state(qp) != QP_STATE_CONNECTING)
			qp_ring_consumed(&rq->ring, rq->head);
		qp_count(qp, QP_MIB_POSTEDRECVS);
	}
	spin_unlock_bh(&rq->lock);
	return err;
}
EXPORT_SYMBOL_GPL(qp_recv_take);

/**
 * qp_recv_taken() - tell user space what was taken while it was being connected
 * @qp: the queue pair; the connection stands
 *
 * Context: process or softirq.
 */
void qp_recv_taken(struct qp_sock *qp)
{
	struct qp_rq *rq = &qp->rq;

	spin_lock_bh(&rq->lock);
	if (rq->ring.entries)
		qp_ring_consumed(&rq->ring, rq->head);
	spin_unlock_bh(&rq->lock);
}
EXPORT_SYMBOL_GPL(qp_recv_taken);

/**
 * qp_recv_untake() - put receives back that were not used
 * @qp: the queue pair; it is being connected, in vain
 * @n: how many qp_recv_take() has given since it is
 *
 * Context: process or softirq.
 */
void qp_recv_untake(struct qp_sock *qp, u32 n)
{
	struct qp_rq *rq = &qp->rq;

	spin_lock_bh(&rq->lock);
	WRITE_ONCE(rq->head, rq->head - n);
	spin_unlock_bh(&rq->lock);
	atomic_sub(n, &qp->recvs);
}
EXPORT_SYMBOL_GPL(qp_recv_untake);

/**
 * qp_recv_report() - complete a receive that was taken by qp_recv_take()
 * @qp: the queue pair
 * @cqe: what to tell; &qp_cqe.qpn is filled in
 * @src: &qp_ud_cqe.src of a datagram, else NULL
 *
 * Context: process or softirq.
 * Return: false if the CQ has no room now.
 */
bool qp_recv_report(struct qp_sock *qp, const struct qp_cqe *cqe,
		    const void *src)
{
	struct qp_cqe out = *cqe;

	if (!qp_cq_reserve(qp->cq))
		return false;
	out.qpn = qp->qpn;
	if (out.status)
		qp_count_recv_error(qp, out.status);
	else
		qp_count_received(qp, out.byte_len);
	trace_qp_complete(qp, out.user_data, out.opcode, out.status, out.byte_len);
	qp_cq_post(qp->cq, &out, src);
	/* Pairs with qp_finished(): the completion is there before */
	atomic_dec_return_release(&qp->recvs);
	qp_cq_wake(qp->cq, EPOLLIN | EPOLLRDNORM);
	return true;
}
EXPORT_SYMBOL_GPL(qp_recv_report);

/**
 * qp_recv_room() - completions that the CQ has room for and nobody reserved
 * @qp: the queue pair
 *
 * Context: any.
 * Return: a hint.
 */
u32 qp_recv_room(struct qp_sock *qp)
{
	return qp->cq ? qp_cq_free(qp->cq) : 0;
}
EXPORT_SYMBOL_GPL(qp_recv_room);

/**
 * qp_recv_pending() - are there receives in the ring?
 * @qp: the queue pair
 *
 * Context: any.
 * Return: a hint.
 */
bool qp_recv_pending(struct qp_sock *qp)
{
	u32 pending = 0;

	spin_lock_bh(&qp->rq.lock);
	qp_ring_pending(&qp->rq.ring, qp->rq.head, &pending);
	spin_unlock_bh(&qp->rq.lock);
	return pending;
}
EXPORT_SYMBOL_GPL(qp_recv_pending);

/**
 * qp_recv_done() - complete a receive
 * @qp: the queue pair it was posted to
 * @rwr: from qp_recv_get()
 * @status: enum qp_wc_status
 * @wr: the peer's request that arrived, NULL if none did
 * @byte_len: bytes that arrived
 *
 * Context: process or softirq.
 */
void qp_recv_done(struct qp_sock *qp, const struct qp_rwr *rwr, u16 status,
		  const struct qp_wr *wr, u32 byte_len)
{
	struct qp_cqe cqe = {
		.user_data = rwr->user_data,
		.status = status,
		.opcode = wr ? wr->op->recv : QP_OP_RECV,
		.qpn = qp->qpn,
	};

	if (!status) {
		cqe.byte_len = byte_len;
		if (wr->op->flags & QP_OPF_IMM) {
			cqe.flags = QP_CQE_IMM;
			cqe.imm_data = wr->sqe.imm_data;
		} else if (wr->op->flags & QP_OPF_INV) {
			cqe.flags = QP_CQE_INV;
			cqe.inv_rkey = wr->sqe.inv_rkey;
		}
		qp_count_received(qp, byte_len);
	} else {
		qp_count_recv_error(qp, status);
	}
	trace_qp_complete(qp, cqe.user_data, cqe.opcode, status, cqe.byte_len);
	qp_cq_post(qp->cq, &cqe, NULL);
	qp_cq_wake(qp->cq, EPOLLIN | EPOLLRDNORM);
}
EXPORT_SYMBOL_GPL(qp_recv_done);

/**
 * qp_recv_flush() - complete all posted receives with QP_WC_WR_FLUSH_ERR
 * @qp: a queue pair in error
 *
 * As many as the CQ has room for; the others stay in the ring.
 *
 * Context: process or softirq.
 */
void qp_recv_flush(struct qp_sock *qp)
{
	u32 left = qp->rq.ring.entries;
	struct qp_rwr rwr;

	/* User space may write both indices as we go: once around is enough */
	while (left-- && qp_recv_get(qp, &rwr) != -EAGAIN)
		qp_recv_done(qp, &rwr, QP_WC_WR_FLUSH_ERR, NULL, 0);
}
EXPORT_SYMBOL_GPL(qp_recv_flush);

/**
 * qp_recv_need_wakeup() - tell user space whether the peer waits for receives
 * @qp: the queue pair
 * @need: it does: qp_enter() is called after posting one
 *
 * Context: any.
 */
void qp_recv_need_wakeup(struct qp_sock *qp, bool need)
{
	struct qp_ring *ring = &qp->rq.ring;

	spin_lock_bh(&qp->rq.lock);
	if (ring->entries)
		WRITE_ONCE(qp_ring_shared(ring)->flags,
			   need ? QP_RING_NEED_WAKEUP : 0);
	spin_unlock_bh(&qp->rq.lock);
}
EXPORT_SYMBOL_GPL(qp_recv_need_wakeup);
