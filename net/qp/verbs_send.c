// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: sends
 *
 * A request waits in &verbs_qp.waiting until the device has room for it, then is
 * in &verbs_qp.posted until the device says that it is done. Both lists are in
 * the order of posting, in which requests are completed too. The device reports
 * signalled requests, every now and then one that is not, and failures; what was
 * posted before is done as well then (IBA v1 10.8.3.1). siw does not keep to that
 * where a READ is concerned, whose answer may come after later requests are done:
 * with iWARP each READ is reported for itself.
 *
 * LOCAL_INV is carried out here: devices know it for fast registrations only.
 */
#include <linux/slab.h>

#include "verbs.h"

/* Of unsignalled requests one in so many is reported by the device */
#define VERBS_SIGNAL_EVERY	32

/* Requests that are handed to the device in one call */
#define VERBS_SEND_BATCH	64

static_assert(sizeof(struct qp_sge) == sizeof(struct ib_sge));
static_assert(offsetof(struct qp_sge, addr) == offsetof(struct ib_sge, addr));
static_assert(offsetof(struct qp_sge, length) == offsetof(struct ib_sge, length));
static_assert(offsetof(struct qp_sge, lkey) == offsetof(struct ib_sge, lkey));

static const enum ib_wr_opcode verbs_ib_opcode[QP_OP_LAST] = {
	[QP_OP_SEND]		= IB_WR_SEND,
	[QP_OP_SEND_IMM]	= IB_WR_SEND_WITH_IMM,
	[QP_OP_SEND_INV]	= IB_WR_SEND_WITH_INV,
	[QP_OP_WRITE]		= IB_WR_RDMA_WRITE,
	[QP_OP_WRITE_IMM]	= IB_WR_RDMA_WRITE_WITH_IMM,
	[QP_OP_READ]		= IB_WR_RDMA_READ,
	[QP_OP_ATOMIC_CAS]	= IB_WR_ATOMIC_CMP_AND_SWP,
	[QP_OP_ATOMIC_ADD]	= IB_WR_ATOMIC_FETCH_AND_ADD,
};

static void verbs_send_cqe(struct ib_cq *cq, struct ib_wc *wc);

/* A READ of iWARP: is done when it is reported, not when one behind it is */
static bool verbs_reads_late(const struct verbs_qp *v, const struct qp_wr *wr)
{
	return wr->sqe.opcode == QP_OP_READ && verbs_is_rnic(v->dev->ibdev);
}

/*
 * Translate the keys of a list, all or none of them, and drop pieces of no
 * length: devices differ in what they make of those. Returns 0, or the status of
 * a request whose memory is not what it should be.
 */
static u16 verbs_translate(struct verbs_qp *v, struct qp_wr *wr)
{
	u32 access = wr->op->flags & QP_OPF_SINK ? QP_ACCESS_LOCAL_WRITE : 0;
	struct qp_sge *sge = wr->sqe.sge;
	u32 i, n = 0, lkey[QP_MAX_SGE];

	for (i = 0; i < wr->sqe.num_sge; i++)
		if (sge[i].length &&
		    verbs_local_key(v->dom, &sge[i], access, &lkey[i]))
			return QP_WC_LOC_PROT_ERR;
	for (i = 0; i < wr->sqe.num_sge; i++) {
		if (!sge[i].length)
			continue;
		sge[n] = sge[i];
		sge[n++].lkey = lkey[i];
	}
	/* A READ of iWARP has one piece even if it is of no length */
	if (!n && verbs_reads_late(v, wr))
		sge[n++] = (struct qp_sge){ .length = 0 };
	wr->sqe.num_sge = n;
	return 0;
}

/* The data is in a kernel buffer */
static u16 verbs_map_data(struct verbs_qp *v, struct verbs_wr *w)
{
	struct ib_device *ibdev = v->dev->ibdev;
	struct qp_wr *wr = w->qp_wr;
	void *data = wr->data;

	w->data.length = wr->length;
	if (!wr->msg && wr->length <= v->max_inline) {
		w->ib.send.send_flags |= IB_SEND_INLINE;
		w->data.addr = (unsigned long)data;
		return 0;
	}
	if (!wr->msg) {
		/* Memory of the queue cannot be mapped for a device */
		w->bounce = kmemdup(data, wr->length, GFP_ATOMIC);
		if (!w->bounce)
			return QP_WC_GENERAL_ERR;
		data = w->bounce;
	}
	w->data.addr = ib_dma_map_single(ibdev, data, wr->length, DMA_TO_DEVICE);
	if (ib_dma_mapping_error(ibdev, w->data.addr)) {
		kfree(w->bounce);
		w->bounce = NULL;
		return QP_WC_GENERAL_ERR;
	}
	w->data.lkey = v->dom->pd->local_dma_lkey;
	w->mapped = true;
	return 0;
}

static u16 verbs_prepare_data(struct verbs_qp *v, struct verbs_wr *w)
{
	struct ib_send_wr *send = &w->ib.send;
	struct qp_wr *wr = w->qp_wr;
	u16 status;

	if (wr->data) {
		send->sg_list = &w->data;
		send->num_sge = wr->length ? 1 : 0;
		return wr->length ? verbs_map_data(v, w) : 0;
	}
	status = verbs_translate(v, wr);
	send->sg_list = (struct ib_sge *)wr->sqe.sge;
	send->num_sge = wr->sqe.num_sge;
	return status;
}

/*
 * Make the device's form of a request. Under send_lock. Returns 0, or the status
 * with which it fails.
 */
static u16 verbs_prepare(struct verbs_qp *v, struct verbs_wr *w)
{
	const struct qp_sqe *sqe = &w->qp_wr->sqe;
	const struct verbs_ah *ah = w->qp_wr->dest;
	struct ib_send_wr *send = &w->ib.send;
	const u32 flags = w->qp_wr->op->flags;

	memset(&w->ib, 0, sizeof(w->ib));
	w->cqe.done = verbs_send_cqe;
	send->wr_cqe = &w->cqe;
	send->opcode = verbs_ib_opcode[sqe->opcode];
	if (sqe->flags & QP_SQE_SIGNALED)
		send->send_flags |= IB_SEND_SIGNALED;
	if (sqe->flags & QP_SQE_FENCE)
		send->send_flags |= IB_SEND_FENCE;
	if (sqe->flags & QP_SQE_SOLICITED)
		send->send_flags |= IB_SEND_SOLICITED;
	if (verbs_reads_late(v, w->qp_wr)) {
		send->send_flags |= IB_SEND_SIGNALED;
		/* READs are in order (RFC 5040 5.5), and siw refuses a fence */
		send->send_flags &= ~IB_SEND_FENCE;
	}
	if (flags & QP_OPF_IMM)
		send->ex.imm_data = (__force __be32)sqe->imm_data;
	if (flags & QP_OPF_INV)
		send->ex.invalidate_rkey = sqe->inv_rkey;
	if (flags & QP_OPF_ATOMIC) {
		w->ib.atomic.remote_addr = sqe->remote_addr;
		w->ib.atomic.rkey = sqe->rkey;
		w->ib.atomic.compare_add = sqe->compare_add;
		w->ib.atomic.swap = sqe->swap;
	} else if (flags & QP_OPF_REMOTE) {
		w->ib.rdma.remote_addr = sqe->remote_addr;
		w->ib.rdma.rkey = sqe->rkey;
	} else if (v->ud) {
		w->ib.ud.ah = ah->ib;
		w->ib.ud.remote_qpn = ah->qpn;
		w->ib.ud.remote_qkey = ah->qkey;
		/* There is nothing to wait for */
		send->send_flags &= ~IB_SEND_FENCE;
	}
	return verbs_prepare_data(v, w);
}

static struct verbs_wr *verbs_first(struct list_head *list)
{
	struct qp_wr *wr = list_first_entry_or_null(list, struct qp_wr, node);

	return wr ? verbs_wr(wr) : NULL;
}

/* The device does not have it, or not any more. Under send_lock. */
static void verbs_unmap_data(struct verbs_qp *v, struct verbs_wr *w)
{
	if (w->mapped)
		ib_dma_unmap_single(v->dev->ibdev, w->data.addr, w->data.length,
				    DMA_TO_DEVICE);
	w->mapped = false;
	kfree(w->bounce);
	w->bounce = NULL;
}

/* Complete a request. Under send_lock, which keeps the order. */
static void verbs_complete(struct verbs_qp *v, struct verbs_wr *w, u16 status)
{
	verbs_unmap_data(v, w);
	if (w->qp_wr->dest)
		verbs_ah_put(w->qp_wr->dest);
	list_del(&w->qp_wr->node);
	qp_send_done(v->qp, w->qp_wr, status);
}

/*
 * Nothing goes to the device any more: what waits is flushed, behind what the
 * device still has. Under send_lock.
 */
static void verbs_flush_waiting(struct verbs_qp *v)
{
	struct verbs_wr *w;

	if (!list_empty(&v->posted) || v->invalidating)
		return;
	while ((w = verbs_first(&v->waiting)))
		verbs_complete(v, w, QP_WC_WR_FLUSH_ERR);
}

/*
 * The first request that waits is not one for the device: it fails with
 * @status, or it is a LOCAL_INV if that is 0. Its turn is when everything before
 * it is done. A datagram fails for itself: true if the next one may be looked at.
 */
static bool verbs_not_for_device(struct verbs_qp *v, struct verbs_wr *w,
				 u16 status)
{
	if (!list_empty(&v->posted) || v->invalidating)
		return false;
	if (status) {
		verbs_complete(v, w, status);
		if (!v->ud)
			verbs_fail(v);
		return v->ud;
	}
	v->invalidating = true;
	verbs_todo(v, VERBS_TODO_INVALIDATE);
	return false;
}

/*
 * Requests from @bad on, if any, were not taken. They wait again, for being
 * flushed, maybe when there is no device any more.
 */
static void verbs_take_back(struct verbs_qp *v, const struct ib_send_wr *bad)
{
	struct verbs_wr *w, *last;

	while (bad) {
		last = verbs_wr(list_last_entry(&v->posted, struct qp_wr, node));
		verbs_unmap_data(v, last);
		list_move(&last->qp_wr->node, &v->waiting);
		v->credits++;
		w = container_of(bad, struct verbs_wr, ib.send);
		if (last == w)
			break;
	}
	verbs_fail(v);
}

/*
 * Hand waiting requests to the device, as many as it has room for. Under
 * send_lock. True if there may be more.
 */
static bool verbs_post_batch(struct verbs_qp *v)
{
	struct ib_send_wr *first = NULL, *last = NULL;
	const struct ib_send_wr *bad = NULL;
	struct verbs_wr *w;
	u16 status;
	u32 n;

	for (n = 0; n < VERBS_SEND_BATCH && v->credits; n++) {
		w = verbs_first(&v->waiting);
		if (!w)
			break;
		status = w->qp_wr->status;
		if (!status && !(w->qp_wr->op->flags & QP_OPF_LOCAL))
			status = verbs_prepare(v, w);
		if (status || w->qp_wr->op->flags & QP_OPF_LOCAL) {
			if (!n)
				return verbs_not_for_device(v, w, status);
			break;
		}
		if (n % VERBS_SIGNAL_EVERY == VERBS_SIGNAL_EVERY - 1)
			w->ib.send.send_flags |= IB_SEND_SIGNALED;
		list_move_tail(&w->qp_wr->node, &v->posted);
		v->credits--;
		if (last)
			last->next = &w->ib.send;
		else
			first = &w->ib.send;
		last = &w->ib.send;
	}
	if (!n)
		return false;
	/* Or nobody would go on when these are done */
	last->send_flags |= IB_SEND_SIGNALED;
	if (ib_post_send(v->ibqp, first, &bad))
		verbs_take_back(v, bad);
	return n == VERBS_SEND_BATCH;
}

/* Do what can be done. Under send_lock. */
static void verbs_run(struct verbs_qp *v)
{
	while (v->phase == VERBS_UP && qp_state(v->qp) == QP_STATE_RTS &&
	       !v->invalidating && verbs_post_batch(v))
		;
	if (qp_state(v->qp) == QP_STATE_ERROR)
		verbs_flush_waiting(v);
}

/* Complete what is done, as far as nothing before it is not. Under send_lock. */
static void verbs_complete_done(struct verbs_qp *v)
{
	struct verbs_wr *w;

	while ((w = verbs_first(&v->posted)) && w->done) {
		v->credits++;
		verbs_complete(v, w, w->status);
	}
}

/* A request, and with it those before, is done. Softirq. */
static void verbs_send_cqe(struct ib_cq *cq, struct ib_wc *wc)
{
	struct verbs_wr *done = container_of(wc->wr_cqe, struct verbs_wr, cqe);
	struct verbs_qp *v = done->v;
	u16 status = wc->status;
	struct qp_wr *wr;

	spin_lock_bh(&v->send_lock);
	list_for_each_entry(wr, &v->posted, node) {
		if (wr == done->qp_wr)
			break;
		if (!verbs_reads_late(v, wr))
			verbs_wr(wr)->done = true;
	}
	done->done = true;
	done->status = status;
	verbs_complete_done(v);
	if (status)
		verbs_fail(v);
	verbs_run(v);
	spin_unlock_bh(&v->send_lock);
}

void verbs_post_send(struct qp_sock *qp, struct qp_wr *wr)
{
	struct verbs_qp *v = verbs_qp(qp);
	struct verbs_wr *w = verbs_wr(wr);

	w->v = v;
	w->qp_wr = wr;
	w->mapped = false;
	w->done = false;
	w->status = QP_WC_SUCCESS;
	w->bounce = NULL;
	spin_lock_bh(&v->send_lock);
	list_add_tail(&wr->node, &v->waiting);
	spin_unlock_bh(&v->send_lock);
}

/**
 * verbs_send_run() - go on with sends
 * @v: whose
 *
 * Hands what waits to the device, or flushes it if the connection is over.
 *
 * Context: process or softirq.
 */
void verbs_send_run(struct verbs_qp *v)
{
	spin_lock_bh(&v->send_lock);
	verbs_run(v);
	spin_unlock_bh(&v->send_lock);
}

/* Is there nothing that waits or is with the device? */
bool verbs_send_idle(struct verbs_qp *v)
{
	bool idle;

	spin_lock_bh(&v->send_lock);
	idle = list_empty(&v->waiting) && list_empty(&v->posted);
	spin_unlock_bh(&v->send_lock);
	return idle;
}

/**
 * verbs_send_invalidate() - carry out the LOCAL_INV whose turn it is, if any
 * @v: whose
 *
 * Context: process, may sleep; by the work of the queue pair alone.
 */
void verbs_send_invalidate(struct verbs_qp *v)
{
	struct verbs_wr *w = NULL;
	int err;

	spin_lock_bh(&v->send_lock);
	if (v->invalidating)
		w = verbs_first(&v->waiting);
	spin_unlock_bh(&v->send_lock);
	if (!w)
		return;
	err = qp_mr_invalidate(v->qp->mem, w->qp_wr->sqe.inv_rkey, false);

	spin_lock_bh(&v->send_lock);
	v->invalidating = false;
	verbs_complete(v, w, err ? QP_WC_LOC_PROT_ERR : QP_WC_SUCCESS);
	if (err)
		verbs_fail(v);
	verbs_run(v);
	spin_unlock_bh(&v->send_lock);
}

/**
 * verbs_send_drained() - the device has reported all that it will report
 * @v: whose; it still has the device
 *
 * What is left was not signalled, with nothing behind it that was taken.
 *
 * Context: process.
 */
void verbs_send_drained(struct verbs_qp *v)
{
	struct verbs_wr *w;

	spin_lock_bh(&v->send_lock);
	while ((w = verbs_first(&v->posted))) {
		v->credits++;
		verbs_complete(v, w, QP_WC_WR_FLUSH_ERR);
	}
	spin_unlock_bh(&v->send_lock);
}

/**
 * verbs_send_end() - flush what is left
 * @v: a queue pair that is closed; nobody works for it any more
 *
 * Context: process.
 */
void verbs_send_end(struct verbs_qp *v)
{
	spin_lock_bh(&v->send_lock);
	v->invalidating = false;
	verbs_run(v);
	spin_unlock_bh(&v->send_lock);
}
