// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues
 *
 * User space polls the ring by itself; a kernel consumer through
 * ib_device_ops.poll_cq. What has to be told is noted under the lock and told
 * outside of all locks by qpemu_cq_settle().
 */
#include <rdma/uverbs_ioctl.h>

#include "verbs.h"

/* cq->pending */
enum {
	PENDING_COMPLETION,
	PENDING_OVERFLOW,
};

/* libibverbs reads entries as struct ibv_wc; these are the same there. */
static_assert(sizeof(struct ib_uverbs_wc) == 48);
static_assert(offsetof(struct ib_uverbs_wc, qp_num) == 28);
static_assert(offsetof(struct ib_uverbs_wc, dlid_path_bits) == 45);
static_assert(IB_WC_RECV == 128 && IB_WC_RECV_RDMA_WITH_IMM == 129);

/* In libibverbs this bit has another place than in the kernel. */
#define UVERBS_WC_WITH_INVALIDATE	BIT(3)

static struct ib_uverbs_wc user_wc(const struct ib_wc *wc)
{
	u32 flags = wc->wc_flags & (IB_WC_GRH | IB_WC_WITH_IMM);

	if (wc->wc_flags & IB_WC_WITH_INVALIDATE)
		flags |= UVERBS_WC_WITH_INVALIDATE;

	return (struct ib_uverbs_wc) {
		.wr_id = wc->wr_id,
		.status = wc->status,
		.opcode = wc->opcode,
		.vendor_err = wc->vendor_err,
		.byte_len = wc->byte_len,
		/* The other member of the union lies in the same four bytes. */
		.ex.invalidate_rkey = wc->ex.invalidate_rkey,
		.qp_num = wc->qp->qp_num,
		.src_qp = wc->src_qp,
		.wc_flags = flags,
		.pkey_index = wc->pkey_index,
		.slid = wc->slid,
		.sl = wc->sl,
		.dlid_path_bits = wc->dlid_path_bits,
		.port_num = wc->port_num,
	};
}

static void note_used(struct qpemu_cq *cq)
{
	WRITE_ONCE(cq->used, qpemu_queue_used(cq->queue));
}

static bool produce(struct qpemu_cq *cq, const struct ib_wc *wc)
{
	struct ib_uverbs_wc entry;
	bool ok;

	if (!cq->user) {
		ok = qpemu_queue_produce(cq->queue, wc, sizeof(*wc));
		note_used(cq);
		return ok;
	}
	entry = user_wc(wc);
	return qpemu_queue_produce(cq->queue, &entry, sizeof(entry));
}

static bool wanted(const struct qpemu_cq *cq, bool solicited)
{
	return cq->notify & IB_CQ_NEXT_COMP || (cq->notify & IB_CQ_SOLICITED && solicited);
}

bool qpemu_cq_post(struct qpemu_cq *cq, const struct ib_wc *wc, bool solicited)
{
	bool settle, bh;

	bh = qpemu_lock(&cq->lock);
	if (!cq->dead && !produce(cq, wc)) {
		cq->dead = true;
		set_bit(PENDING_OVERFLOW, &cq->pending);
	} else if (!cq->dead && wanted(cq, solicited)) {
		cq->notify = 0;
		set_bit(PENDING_COMPLETION, &cq->pending);
	}
	settle = READ_ONCE(cq->pending);
	qpemu_unlock(&cq->lock, bh);
	return settle;
}

void qpemu_cq_settle(struct qpemu_cq *cq)
{
	struct ib_cq *ibcq = &cq->ibcq;

	if (test_and_clear_bit(PENDING_COMPLETION, &cq->pending) && ibcq->comp_handler)
		ibcq->comp_handler(ibcq, ibcq->cq_context);

	if (test_and_clear_bit(PENDING_OVERFLOW, &cq->pending) && ibcq->event_handler) {
		struct ib_event event = {
			.device = ibcq->device,
			.element.cq = ibcq,
			.event = IB_EVENT_CQ_ERR,
		};

		ibcq->event_handler(&event, ibcq->cq_context);
	}
}

void qpemu_cq_clean(struct qpemu_cq *cq, const struct ib_qp *ibqp)
{
	bool bh;
	struct ib_wc wc;
	u32 num;

	if (cq->user)
		return;
	bh = qpemu_lock(&cq->lock);
	/* Once round; those of others come out in the order in which they were. */
	for (num = qpemu_queue_used(cq->queue); num; num--) {
		qpemu_queue_poll(cq->queue, &wc, sizeof(wc));
		if (wc.qp != ibqp)
			qpemu_queue_produce(cq->queue, &wc, sizeof(wc));
	}
	note_used(cq);
	qpemu_unlock(&cq->lock, bh);
}

static struct qpemu_queue *new_queue(u32 *entries, struct ib_udata *udata, struct mminfo *mi)
{
	struct ib_ucontext *ucontext = NULL;
	size_t size = sizeof(struct ib_wc);

	if (*entries < 1 || *entries > QPEMU_MAX_CQE)
		return ERR_PTR(-EINVAL);
	if (udata) {
		if (udata->outlen < sizeof(*mi))
			return ERR_PTR(-EINVAL);
		ucontext = rdma_udata_to_uverbs_attr_bundle(udata)->context;
		size = sizeof(struct ib_uverbs_wc);
	}
	return qpemu_queue_create(entries, size, ucontext, mi);
}

int qpemu_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		    struct uverbs_attr_bundle *attrs)
{
	struct ib_udata *udata = attrs ? &attrs->driver_udata : NULL;
	struct rxe_create_cq_resp resp = {};
	struct qpemu_cq *cq = to_qcq(ibcq);
	u32 entries = attr->cqe;
	int err;

	if (attr->flags)
		return -EOPNOTSUPP;
	if (attr->comp_vector >= ibcq->device->num_comp_vectors)
		return -EINVAL;

	spin_lock_init(&cq->lock);
	cq->user = udata;
	cq->queue = new_queue(&entries, udata, &resp.mi);
	if (IS_ERR(cq->queue))
		return PTR_ERR(cq->queue);
	if (udata) {
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err) {
			qpemu_queue_destroy(cq->queue);
			return err;
		}
	}
	ibcq->cqe = entries;
	return 0;
}

int qpemu_resize_cq(struct ib_cq *ibcq, unsigned int entries, struct ib_udata *udata)
{
	struct rxe_resize_cq_resp resp = {};
	struct qpemu_cq *cq = to_qcq(ibcq);
	size_t size = cq->user ? sizeof(struct ib_uverbs_wc) : sizeof(struct ib_wc);
	struct qpemu_queue *queue;
	u32 num = entries;
	int err = 0;

	queue = new_queue(&num, udata, &resp.mi);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	if (udata)
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
	if (!err) {
		spin_lock_bh(&cq->lock);
		err = qpemu_queue_move_completions(queue, cq->queue, size);
		if (!err)
			swap(queue, cq->queue);
		spin_unlock_bh(&cq->lock);
	}
	if (!err)
		ibcq->cqe = num;
	qpemu_queue_destroy(queue);
	return err;
}

/* No queue pair uses it any more: ib_core counts them. */
int qpemu_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	qpemu_queue_destroy(to_qcq(ibcq)->queue);
	return 0;
}

int qpemu_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc)
{
	struct qpemu_cq *cq = to_qcq(ibcq);
	bool bh;
	int n = 0;

	if (cq->user)
		return -EINVAL;
	/* Who looks all the time does not keep others from the lock */
	if (!READ_ONCE(cq->used))
		return 0;
	bh = qpemu_lock(&cq->lock);
	while (n < num && qpemu_queue_poll(cq->queue, &wc[n], sizeof(*wc)))
		n++;
	note_used(cq);
	qpemu_unlock(&cq->lock, bh);
	return n;
}

static u32 used(struct qpemu_cq *cq)
{
	bool bh;
	u32 num;

	bh = qpemu_lock(&cq->lock);
	num = qpemu_queue_used(cq->queue);
	qpemu_unlock(&cq->lock, bh);
	return num;
}

int qpemu_peek_cq(struct ib_cq *ibcq, int num)
{
	return min_t(u32, used(to_qcq(ibcq)), num);
}

int qpemu_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct qpemu_cq *cq = to_qcq(ibcq);
	bool bh;
	int missed = 0;

	bh = qpemu_lock(&cq->lock);
	/* IBA v1 11.4.2.2: the next completion takes precedence. */
	cq->notify |= flags & IB_CQ_SOLICITED_MASK;
	if (flags & IB_CQ_REPORT_MISSED_EVENTS)
		missed = qpemu_queue_used(cq->queue) > 0;
	qpemu_unlock(&cq->lock, bh);
	return missed;
}
