// SPDX-License-Identifier: GPL-2.0
/* Shared receive queues */
#include <rdma/uverbs_ioctl.h>

#include "engine.h"
#include "verbs.h"

static struct qpemu_queue *new_queue(const struct qpemu_srq *srq, u32 *max_wr,
				     struct ib_udata *udata, struct mminfo *mi)
{
	struct ib_ucontext *ucontext = NULL;

	if (*max_wr < 1 || *max_wr > QPEMU_MAX_SRQ_WR)
		return ERR_PTR(-EINVAL);
	if (udata)
		ucontext = rdma_udata_to_uverbs_attr_bundle(udata)->context;
	return qpemu_queue_create(max_wr, qpemu_rwqe_size(srq->max_sge), ucontext, mi);
}

int qpemu_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
		     struct ib_udata *udata)
{
	struct qpemu_dev *dev = to_qdev(ibsrq->device);
	struct qpemu_srq *srq = to_qsrq(ibsrq);
	struct rxe_create_srq_resp resp = {};
	int err;

	if (init->srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;
	if (init->attr.max_sge > QPEMU_MAX_SGE ||
	    init->attr.srq_limit > init->attr.max_wr ||
	    (udata && udata->outlen < sizeof(resp)))
		return -EINVAL;

	spin_lock_init(&srq->lock);
	srq->max_sge = max(init->attr.max_sge, 1U);
	srq->max_wr = init->attr.max_wr;
	srq->limit = init->attr.srq_limit;
	srq->num = atomic_inc_return(&dev->next_srq);
	srq->queue = new_queue(srq, &srq->max_wr, udata, &resp.mi);
	if (IS_ERR(srq->queue))
		return PTR_ERR(srq->queue);

	resp.srq_num = srq->num;
	if (udata) {
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err) {
			qpemu_queue_destroy(srq->queue);
			return err;
		}
	}
	init->attr.max_wr = srq->max_wr;
	init->attr.max_sge = srq->max_sge;
	return 0;
}

/* The provider wants the new ring's place where the command points to. */
static int tell_new_ring(struct ib_udata *udata, const struct mminfo *mi)
{
	struct rxe_modify_srq_cmd cmd;
	int err = ib_copy_validate_udata_in(udata, cmd, mmap_info_addr);

	if (err)
		return err;
	return copy_to_user(u64_to_user_ptr(cmd.mmap_info_addr), mi, sizeof(*mi)) ?
	       -EFAULT : 0;
}

static int resize(struct qpemu_srq *srq, u32 max_wr, struct ib_udata *udata)
{
	struct qpemu_queue *queue;
	struct mminfo mi = {};
	int err = 0;

	queue = new_queue(srq, &max_wr, udata, &mi);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	if (udata)
		err = tell_new_ring(udata, &mi);
	if (!err) {
		spin_lock_irq(&srq->lock);
		err = qpemu_queue_move_requests(queue, srq->queue,
						qpemu_rwqe_size(srq->max_sge));
		if (!err) {
			swap(queue, srq->queue);
			srq->max_wr = max_wr;
		}
		spin_unlock_irq(&srq->lock);
	}
	qpemu_queue_destroy(queue);
	return err;
}

int qpemu_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		     enum ib_srq_attr_mask mask, struct ib_udata *udata)
{
	struct qpemu_srq *srq = to_qsrq(ibsrq);
	u32 limit = mask & IB_SRQ_LIMIT ? attr->srq_limit : srq->limit;
	u32 max_wr = mask & IB_SRQ_MAX_WR ? attr->max_wr : srq->max_wr;
	int err = 0;

	if (srq->error || limit > max_wr)
		return -EINVAL;
	if (mask & IB_SRQ_MAX_WR)
		err = resize(srq, max_wr, udata);
	if (!err && mask & IB_SRQ_LIMIT) {
		spin_lock_irq(&srq->lock);
		srq->limit = limit;
		spin_unlock_irq(&srq->lock);
	}
	return err;
}

int qpemu_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	const struct qpemu_srq *srq = to_qsrq(ibsrq);

	if (srq->error)
		return -EINVAL;
	attr->max_wr = srq->max_wr;
	attr->max_sge = srq->max_sge;
	attr->srq_limit = srq->limit;
	return 0;
}

/* No queue pair uses it any more: ib_core counts them. */
int qpemu_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	qpemu_queue_destroy(to_qsrq(ibsrq)->queue);
	return 0;
}

/* User space writes to its ring itself. Context: any. */
int qpemu_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			const struct ib_recv_wr **bad)
{
	struct qpemu_srq *srq = to_qsrq(ibsrq);
	unsigned long flags;
	int err = 0;

	/* The lock keeps the ring from being replaced. */
	spin_lock_irqsave(&srq->lock, flags);
	if (ibsrq->uobject || srq->error)
		err = -EINVAL;
	for (; !err && wr; wr = wr->next) {
		err = qpemu_rwqe_push(srq->queue, srq->max_sge, wr);
		if (err)
			break;
	}
	spin_unlock_irqrestore(&srq->lock, flags);
	if (err)
		*bad = wr;
	return err;
}

int qpemu_srq_take(struct qpemu_srq *srq, struct qpemu_rwqe *wqe, unsigned long *todo)
{
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&srq->lock, flags);
	if (!srq->error)
		ret = qpemu_rwqe_take(srq->queue, srq->max_sge, wqe);
	if (ret < 0) {
		srq->error = true;
		set_bit(QPEMU_TODO_SRQ_ERROR, todo);
	}
	/* IBA v1 10.2.9.5: once, and disarmed by it. */
	if (ret > 0 && srq->limit && qpemu_queue_pending(srq->queue) < srq->limit) {
		srq->limit = 0;
		set_bit(QPEMU_TODO_SRQ_LIMIT, todo);
	}
	spin_unlock_irqrestore(&srq->lock, flags);
	return ret;
}
