// SPDX-License-Identifier: GPL-2.0
/*
 * Receive work requests: from a kernel consumer into the ring, and from the
 * ring (which user space may write to at any time) into a checked copy.
 */
#include "engine.h"
#include "verbs.h"

/* An entry as large as they get; only the part that the queue has is copied. */
struct raw_rwqe {
	struct rxe_recv_wqe wqe;
	struct rxe_sge sge[QPEMU_MAX_SGE];
};

static_assert(offsetof(struct raw_rwqe, sge) == offsetof(struct rxe_recv_wqe, dma.sge));
static_assert(sizeof(struct qpemu_sge) == sizeof(struct rxe_sge));

size_t qpemu_rwqe_size(u32 max_sge)
{
	return offsetof(struct raw_rwqe, sge) + max_sge * sizeof(struct rxe_sge);
}

int qpemu_rwqe_take(struct qpemu_queue *queue, u32 max_sge, struct qpemu_rwqe *wqe)
{
	struct raw_rwqe raw;
	u32 i, num;

	if (!qpemu_queue_take(queue, &raw, qpemu_rwqe_size(max_sge)))
		return 0;
	qpemu_queue_release(queue, 1);

	num = raw.wqe.dma.num_sge;
	wqe->wr_id = raw.wqe.wr_id;
	wqe->length = 0;
	wqe->num_sge = 0;
	if (num > max_sge)
		return -EINVAL;
	wqe->num_sge = num;
	for (i = 0; i < num; i++) {
		wqe->sge[i].addr = raw.sge[i].addr;
		wqe->sge[i].length = raw.sge[i].length;
		wqe->sge[i].lkey = raw.sge[i].lkey;
		wqe->length += raw.sge[i].length;
	}
	return 1;
}

int qpemu_rwqe_push(struct qpemu_queue *queue, u32 max_sge, const struct ib_recv_wr *wr)
{
	struct raw_rwqe raw = {
		.wqe = {
			.wr_id = wr->wr_id,
			.dma.num_sge = wr->num_sge,
		},
	};
	int i;

	if (wr->num_sge < 0 || wr->num_sge > max_sge)
		return -EINVAL;
	for (i = 0; i < wr->num_sge; i++) {
		raw.sge[i].addr = wr->sg_list[i].addr;
		raw.sge[i].length = wr->sg_list[i].length;
		raw.sge[i].lkey = wr->sg_list[i].lkey;
		raw.wqe.dma.length += wr->sg_list[i].length;
	}
	return qpemu_queue_push(queue, &raw, qpemu_rwqe_size(max_sge)) ? 0 : -ENOMEM;
}

/**
 * qpemu_post_recv - ib_device_ops.post_recv
 * @ibqp: whose
 * @wr: list of requests
 * @bad: becomes the first one that was not taken
 *
 * User space writes to its ring itself.
 *
 * Context: any.
 * Return: 0; -EINVAL: not allowed now, or malformed; -ENOMEM: the queue is full.
 */
int qpemu_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		    const struct ib_recv_wr **bad)
{
	struct qpemu_qp *qp = to_qqp(ibqp);
	int err = 0;

	if (ibqp->srq || ibqp->uobject || READ_ONCE(qp->state) == IB_QPS_RESET)
		err = -EINVAL;
	for (; !err && wr; wr = wr->next) {
		err = qpemu_rwqe_push(qp->rq.queue, qp->rq.max_sge, wr);
		if (err)
			break;
	}
	if (err)
		*bad = wr;
	/* Whoever posts to a dead queue pair gets it back at once. */
	if (READ_ONCE(qp->state) == IB_QPS_ERR)
		qpemu_qp_kick(qp);
	return err;
}
