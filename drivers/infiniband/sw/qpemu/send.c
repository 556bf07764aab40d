// SPDX-License-Identifier: GPL-2.0
/*
 * Send work requests: from a kernel consumer into the ring, from the ring
 * (which user space may write to at any time) into a checked copy, and, once
 * done, into a completion.
 */
#include "engine.h"
#include "verbs.h"

/* A message must not go half way round the PSNs. */
#define MAX_PSNS	(QPEMU_PSN_MASK / 2)

/* An entry as large as they get; only the part that the queue has is copied. */
struct raw_wqe {
	struct rxe_send_wqe wqe;
	u8 more[QPEMU_MAX_INLINE];
};

/* Bytes of an entry of the ring. */
size_t qpemu_wqe_size(const struct qpemu_qp *qp)
{
	return sizeof(struct rxe_send_wqe) + max_t(size_t, qp->sq.max_inline,
						   qp->sq.max_sge * sizeof(struct rxe_sge));
}

static struct qpemu_wqe *wqe_alloc(struct qpemu_qp *qp)
{
	size_t data = max_t(size_t, qp->sq.max_inline,
			    qp->sq.max_sge * sizeof(struct qpemu_sge));
	struct qpemu_wqe *wqe = qp->sq.spare;

	if (wqe) {
		qp->sq.spare = NULL;
		memset(wqe, 0, sizeof(*wqe));
		return wqe;
	}
	return kzalloc(sizeof(*wqe) + max_t(size_t, data, sizeof(u64)),
		       GFP_ATOMIC | __GFP_NOWARN);
}

/* Under sq_lock. */
void qpemu_wqe_free(struct qpemu_qp *qp, struct qpemu_wqe *wqe)
{
	if (!qpemu_connected(qp) && wqe->ud.av)
		qpemu_av_put(wqe->ud.av);
	if (qp->sq.spare)
		kfree(wqe);
	else
		qp->sq.spare = wqe;
}

/*
 * The address vector of a datagram. User space names it by number; what a
 * kernel consumer named was looked up, and is held, since it was posted.
 */
static struct qpemu_av *av_of(struct qpemu_qp *qp, const struct rxe_send_wqe *raw)
{
	struct qpemu_av *av;

	if (qp->ibqp.uobject)
		return qpemu_av_find(to_qdev(qp->ibqp.device), qp->ibqp.pd,
				     raw->wr.wr.ud.ah_num);
	memcpy(&av, raw->wr.wr.ud.pad, sizeof(av));
	return av;
}

/* What a datagram needs besides. Return: completion status. */
static u8 check_datagram(struct qpemu_qp *qp, const struct rxe_send_wqe *raw,
			 struct qpemu_wqe *wqe)
{
	if (!wqe->ud.av)
		return IB_WC_LOC_QP_OP_ERR;
	wqe->ud.qpn = raw->wr.wr.ud.remote_qpn & 0xffffff;
	wqe->ud.qkey = raw->wr.wr.ud.remote_qkey;
	wqe->ud.pkey_index = raw->wr.wr.ud.pkey_index;
	if (qpemu_is_management(qp) && wqe->ud.pkey_index >= QPEMU_NUM_PKEYS)
		return IB_WC_LOC_QP_OP_ERR;
	/* IBA v1 10.2.5: with the high bit set the queue pair's own is sent. */
	if (wqe->ud.qkey & BIT(31))
		wqe->ud.qkey = qp->qkey;
	return wqe->length > qp->mtu ? IB_WC_LOC_LEN_ERR : IB_WC_SUCCESS;
}

static u8 check_local(const struct rxe_send_wqe *raw, struct qpemu_wqe *wqe)
{
	switch (raw->wr.opcode) {
	case IB_WR_LOCAL_INV:
		wqe->inv_key = raw->wr.ex.invalidate_rkey;
		break;
	case IB_WR_BIND_MW:
		wqe->bind.addr = raw->wr.wr.mw.addr;
		wqe->bind.length = raw->wr.wr.mw.length;
		wqe->bind.mr_lkey = raw->wr.wr.mw.mr_lkey;
		wqe->bind.mw_rkey = raw->wr.wr.mw.mw_rkey;
		wqe->bind.rkey = raw->wr.wr.mw.rkey;
		wqe->bind.access = raw->wr.wr.mw.access;
		break;
	case IB_WR_REG_MR:
		wqe->reg.mr = raw->wr.wr.reg.mr;
		wqe->reg.key = raw->wr.wr.reg.key;
		wqe->reg.access = raw->wr.wr.reg.access;
		break;
	}
	return IB_WC_SUCCESS;
}

static u8 check_remote(const struct rxe_send_wqe *raw, struct qpemu_wqe *wqe)
{
	u32 kind = wqe->op->flags & QPEMU_OP_KIND;

	if (kind & QPEMU_OP_FLUSH) {
		wqe->remote.addr = raw->wr.wr.flush.remote_addr;
		wqe->remote.key = raw->wr.wr.flush.rkey;
		wqe->remote.flush_type = raw->wr.wr.flush.type;
		wqe->remote.flush_level = raw->wr.wr.flush.level;
		wqe->length = raw->wr.wr.flush.length;
	} else if (kind & QPEMU_OP_ATOMIC) {
		wqe->remote.addr = raw->wr.wr.atomic.remote_addr;
		wqe->remote.key = raw->wr.wr.atomic.rkey;
		wqe->remote.compare_add = raw->wr.wr.atomic.compare_add;
		wqe->remote.swap = raw->wr.wr.atomic.swap;
		if (wqe->length < sizeof(u64))
			return IB_WC_LOC_LEN_ERR;
		wqe->length = sizeof(u64);
	} else {
		wqe->remote.addr = raw->wr.wr.rdma.remote_addr;
		wqe->remote.key = raw->wr.wr.rdma.rkey;
	}
	return IB_WC_SUCCESS;
}

/* Where the data is. Return: completion status. */
static u8 check_data(struct qpemu_qp *qp, const struct raw_wqe *raw, struct qpemu_wqe *wqe)
{
	const struct rxe_dma_info *dma = &raw->wqe.dma;
	u64 length = 0;
	int i;

	if (wqe->op->flags & QPEMU_OP_STORE) {
		wqe->is_inline = true;
		wqe->length = sizeof(u64);
		memcpy(wqe->inline_data, dma->atomic_wr, sizeof(u64));
		return IB_WC_SUCCESS;
	}
	if (wqe->flags & IB_SEND_INLINE && wqe->op->flags & QPEMU_WR_INLINE) {
		if (dma->length > qp->sq.max_inline)
			return IB_WC_LOC_LEN_ERR;
		wqe->is_inline = true;
		wqe->length = dma->length;
		memcpy(wqe->inline_data, dma->inline_data, dma->length);
		return IB_WC_SUCCESS;
	}
	if (dma->num_sge > qp->sq.max_sge)
		return IB_WC_LOC_QP_OP_ERR;
	wqe->num_sge = dma->num_sge;
	for (i = 0; i < wqe->num_sge; i++) {
		wqe->sge[i].addr = dma->sge[i].addr;
		wqe->sge[i].length = dma->sge[i].length;
		wqe->sge[i].lkey = dma->sge[i].lkey;
		length += wqe->sge[i].length;
	}
	if (length > QPEMU_MAX_MSG)
		return IB_WC_LOC_LEN_ERR;
	wqe->length = length;
	return IB_WC_SUCCESS;
}

static u8 check_wqe(struct qpemu_qp *qp, const struct raw_wqe *raw, struct qpemu_wqe *wqe)
{
	u8 status;

	if (!wqe->op || !(wqe->op->types & BIT(qp->ibqp.qp_type)) ||
	    (wqe->op->flags & QPEMU_WR_KERNEL && qp->ibqp.uobject))
		return IB_WC_LOC_QP_OP_ERR;
	if (wqe->op->flags & QPEMU_WR_LOCAL)
		return check_local(&raw->wqe, wqe);

	status = check_data(qp, raw, wqe);
	if (status != IB_WC_SUCCESS)
		return status;
	if (wqe->op->flags & QPEMU_OP_IMM)
		wqe->imm = raw->wqe.wr.ex.imm_data;
	if (wqe->op->flags & QPEMU_OP_IETH)
		wqe->inv_key = raw->wqe.wr.ex.invalidate_rkey;
	if (wqe->op->flags & QPEMU_OP_READ_LIKE && !qp->sq.max_rd_atomic)
		return IB_WC_LOC_QP_OP_ERR;
	if (!(wqe->op->flags & QPEMU_OP_SEND))
		return check_remote(&raw->wqe, wqe);
	return qpemu_connected(qp) ? IB_WC_SUCCESS : check_datagram(qp, &raw->wqe, wqe);
}

static u32 psns_of(const struct qpemu_qp *qp, const struct qpemu_wqe *wqe)
{
	u32 kind = wqe->op->flags & QPEMU_OP_KIND;

	if (!kind)
		return 0;
	if (kind & (QPEMU_OP_SEND | QPEMU_OP_WRITE | QPEMU_OP_READ) && wqe->length)
		return DIV_ROUND_UP(wqe->length, qp->mtu);
	return 1;
}

/**
 * qpemu_wqe_fetch - take the next request from the ring
 * @qp: whose; sq_lock is held
 *
 * It becomes the last of @qp->sq.wqes and gets its PSNs. One that is malformed
 * takes no PSN and carries the status that it will complete with.
 *
 * Return: the request; NULL if there is none; ERR_PTR(-ENOMEM).
 */
noinline_for_stack struct qpemu_wqe *qpemu_wqe_fetch(struct qpemu_qp *qp)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;
	struct raw_wqe raw;

	if (!qpemu_queue_pending(sq->queue))
		return NULL;
	wqe = wqe_alloc(qp);
	if (!wqe)
		return ERR_PTR(-ENOMEM);
	if (!qpemu_queue_take(sq->queue, &raw, qpemu_wqe_size(qp))) {
		sq->spare = wqe;
		return NULL;
	}

	wqe->wr_id = raw.wqe.wr.wr_id;
	wqe->flags = raw.wqe.wr.send_flags;
	wqe->op = qpemu_wr_info(raw.wqe.wr.opcode);
	wqe->opcode = raw.wqe.wr.opcode;
	if (!qpemu_connected(qp))
		wqe->ud.av = av_of(qp, &raw.wqe);
	wqe->status = check_wqe(qp, &raw, wqe);
	wqe->first_psn = sq->end;
	if (wqe->status == IB_WC_SUCCESS)
		wqe->num_psn = psns_of(qp, wqe);
	if (wqe->num_psn > MAX_PSNS) {
		wqe->num_psn = 0;
		wqe->status = IB_WC_LOC_LEN_ERR;
	}
	sq->end = psn_add(sq->end, wqe->num_psn);
	list_add_tail(&wqe->list, &sq->wqes);
	sq->num_wqes++;
	return wqe;
}

/**
 * qpemu_wqe_complete - the oldest request is done: tell its owner, forget it
 * @qp: whose; sq_lock is held
 * @wqe: first of @qp->sq.wqes
 */
void qpemu_wqe_complete(struct qpemu_qp *qp, struct qpemu_wqe *wqe)
{
	struct qpemu_sq *sq = &qp->sq;
	bool told = wqe->status != IB_WC_SUCCESS || wqe->flags & IB_SEND_SIGNALED ||
		    sq->sig_all;

	list_del(&wqe->list);
	sq->num_wqes--;
	if (sq->next == wqe)
		sq->next = NULL;
	if (wqe->outstanding)
		sq->rd_atomic--;
	/* The slot is free before anyone can see that the request is done. */
	qpemu_queue_release(sq->queue, 1);
	if (told) {
		struct ib_wc wc = {
			.wr_id = wqe->wr_id,
			.status = wqe->status,
			.opcode = wqe->op ? wqe->op->wc : IB_WC_SEND,
			.byte_len = wqe->length,
			.qp = &qp->ibqp,
		};

		if (qpemu_cq_post(to_qcq(qp->ibqp.send_cq), &wc,
				  wqe->status != IB_WC_SUCCESS))
			qpemu_todo(qp, QPEMU_TODO_NOTIFY);
	}
	if (wqe->status == IB_WC_SUCCESS)
		qpemu_count(to_qdev(qp->ibqp.device), QPEMU_SENDS);
	qpemu_wqe_free(qp, wqe);
}

/*
 * Kernel consumers
 */

static int raw_data(const struct qpemu_qp *qp, const struct ib_send_wr *wr,
		    struct rxe_dma_info *dma)
{
	int i;

	if (wr->num_sge > qp->sq.max_sge)
		return -EINVAL;
	if (wr->send_flags & IB_SEND_INLINE) {
		for (i = 0; i < wr->num_sge; i++) {
			const struct ib_sge *sge = &wr->sg_list[i];

			if (sge->length > qp->sq.max_inline - dma->length)
				return -EINVAL;
			memcpy(dma->inline_data + dma->length,
			       ib_virt_dma_to_ptr(sge->addr), sge->length);
			dma->length += sge->length;
		}
		return 0;
	}
	dma->num_sge = wr->num_sge;
	for (i = 0; i < wr->num_sge; i++) {
		dma->sge[i].addr = wr->sg_list[i].addr;
		dma->sge[i].length = wr->sg_list[i].length;
		dma->sge[i].lkey = wr->sg_list[i].lkey;
	}
	return 0;
}

static int raw_from_wr(struct qpemu_qp *qp, const struct ib_send_wr *wr,
		       const struct qpemu_wr_info *op, struct raw_wqe *raw)
{
	struct rxe_send_wr *to = &raw->wqe.wr;

	to->wr_id = wr->wr_id;
	to->opcode = wr->opcode;
	to->send_flags = wr->send_flags;
	if (wr->opcode == IB_WR_REG_MR) {
		to->wr.reg.mr = reg_wr(wr)->mr;
		to->wr.reg.key = reg_wr(wr)->key;
		to->wr.reg.access = reg_wr(wr)->access;
		return 0;
	}
	if (wr->opcode == IB_WR_LOCAL_INV) {
		to->ex.invalidate_rkey = wr->ex.invalidate_rkey;
		return 0;
	}
	if (op->flags & QPEMU_OP_IMM)
		to->ex.imm_data = wr->ex.imm_data;
	if (op->flags & QPEMU_OP_IETH)
		to->ex.invalidate_rkey = wr->ex.invalidate_rkey;

	if (op->flags & QPEMU_OP_ATOMIC) {
		to->wr.atomic.remote_addr = atomic_wr(wr)->remote_addr;
		to->wr.atomic.compare_add = atomic_wr(wr)->compare_add;
		to->wr.atomic.swap = atomic_wr(wr)->swap;
		to->wr.atomic.rkey = atomic_wr(wr)->rkey;
	} else if (op->flags & (QPEMU_OP_WRITE | QPEMU_OP_READ)) {
		to->wr.rdma.remote_addr = rdma_wr(wr)->remote_addr;
		to->wr.rdma.rkey = rdma_wr(wr)->rkey;
	} else if (!qpemu_connected(qp)) {
		to->wr.ud.remote_qpn = ud_wr(wr)->remote_qpn;
		to->wr.ud.remote_qkey = ud_wr(wr)->remote_qkey;
		to->wr.ud.pkey_index = ud_wr(wr)->pkey_index;
	}
	return raw_data(qp, wr, &raw->wqe.dma);
}

/* What a kernel consumer can post: what user space can, but for IBA v1.5 A19. */
static const struct qpemu_wr_info *kernel_op(const struct qpemu_qp *qp, u32 opcode)
{
	const struct qpemu_wr_info *op = qpemu_wr_info(opcode);

	if (!op || !(op->types & BIT(qp->ibqp.qp_type)) || opcode == IB_WR_BIND_MW ||
	    op->flags & (QPEMU_OP_FLUSH | QPEMU_OP_STORE))
		return NULL;
	return op;
}

static noinline_for_stack int push_wr(struct qpemu_qp *qp, const struct ib_send_wr *wr)
{
	const struct qpemu_wr_info *op = kernel_op(qp, wr->opcode);
	struct qpemu_av *av = NULL;
	struct raw_wqe raw = {};
	int err;

	if (!op)
		return -EINVAL;
	err = raw_from_wr(qp, wr, op, &raw);
	if (err)
		return err;
	if (!qpemu_connected(qp)) {
		av = qpemu_av_find(to_qdev(qp->ibqp.device), qp->ibqp.pd,
				   to_qah(ud_wr(wr)->ah)->num);
		if (!av)
			return -EINVAL;
		memcpy(raw.wqe.wr.wr.ud.pad, &av, sizeof(av));
	}
	if (qpemu_queue_push(qp->sq.queue, &raw, qpemu_wqe_size(qp)))
		return 0;
	if (av)
		qpemu_av_put(av);
	return -ENOMEM;
}

/**
 * qpemu_post_send - ib_device_ops.post_send
 * @ibqp: whose
 * @wr: list of requests; NULL from user space, which has put its own into the
 *	ring and rings the doorbell
 * @bad: becomes the first one that was not taken
 *
 * The packets leave in the caller's context, or where interrupts are off in a
 * softirq of their own.
 *
 * Context: any but hard interrupts.
 * Return: 0; -EINVAL: not allowed now, or malformed; -ENOMEM: the queue is full.
 */
int qpemu_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		    const struct ib_send_wr **bad)
{
	struct qpemu_qp *qp = to_qqp(ibqp);
	int err = 0;

	if (READ_ONCE(qp->state) < IB_QPS_RTS) {
		*bad = wr;
		return -EINVAL;
	}
	for (; wr; wr = wr->next) {
		err = push_wr(qp, wr);
		if (err) {
			*bad = wr;
			break;
		}
	}
	if (irqs_disabled()) {
		qpemu_qp_kick(qp);
		return err;
	}
	spin_lock_bh(&qp->sq_lock);
	qpemu_req_run(qp);
	spin_unlock_bh(&qp->sq_lock);
	qpemu_qp_settle(qp);
	return err;
}
