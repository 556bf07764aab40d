// SPDX-License-Identifier: GPL-2.0
/*
 * What the engine leaves to be done outside of its locks: completion handlers,
 * events, the error state; and running it from a softirq of its own.
 */
#include "engine.h"
#include "trace.h"
#include "verbs.h"

/* Complete every request with an error. At most one ring full: whoever goes on
 * posting to a dead queue is served bit by bit.
 */
void qpemu_flush_sq(struct qpemu_qp *qp)
{
	u32 budget = qpemu_queue_entries(qp->sq.queue) + 1;
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	sq->next = NULL;
	sq->failed = false;
	qpemu_order_purge(&sq->order);
	while ((wqe = list_first_entry_or_null(&sq->wqes, struct qpemu_wqe, list))) {
		wqe->status = IB_WC_WR_FLUSH_ERR;
		qpemu_wqe_complete(qp, wqe);
	}
	while (budget--) {
		wqe = qpemu_wqe_fetch(qp);
		if (!wqe)
			return;
		if (IS_ERR(wqe))
			break;
		wqe->status = IB_WC_WR_FLUSH_ERR;
		qpemu_wqe_complete(qp, wqe);
	}
	qpemu_qp_kick(qp);
}

void qpemu_flush_rq(struct qpemu_qp *qp)
{
	struct ib_wc wc = { .status = IB_WC_WR_FLUSH_ERR, .opcode = IB_WC_RECV };
	struct qpemu_rq *rq = &qp->rq;
	u32 budget;

	qpemu_order_purge(&rq->order);
	rq->reading = false;
	if (rq->have_wqe)
		qpemu_rq_complete(qp, &wc, true);
	if (qp->ibqp.srq || !rq->queue)
		return;
	budget = qpemu_queue_entries(rq->queue) + 1;
	while (budget--) {
		int ret = qpemu_rq_take(qp);

		if (!ret)
			return;
		qpemu_rq_complete(qp, &wc, true);
	}
	qpemu_qp_kick(qp);
}

static void enter_error(struct qpemu_qp *qp)
{
	u8 before;

	spin_lock_bh(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	before = qp->state;
	/* A reset may have come before us. */
	if (before != IB_QPS_RESET) {
		qp->state = IB_QPS_ERR;
		qpemu_flush_sq(qp);
		qpemu_flush_rq(qp);
		if (before != IB_QPS_ERR) {
			trace_qpemu_state(qp, before, IB_QPS_ERR);
			if (qp->ibqp.srq)
				qpemu_todo(qp, QPEMU_TODO_LAST_WQE);
		}
	}
	spin_unlock(&qp->sq_lock);
	spin_unlock_bh(&qp->rq_lock);
}

static void enter_sq_error(struct qpemu_qp *qp)
{
	spin_lock_bh(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	if (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD) {
		trace_qpemu_state(qp, qp->state, IB_QPS_SQE);
		qp->state = IB_QPS_SQE;
		qpemu_flush_sq(qp);
	}
	spin_unlock(&qp->sq_lock);
	spin_unlock_bh(&qp->rq_lock);
}

static const struct {
	u8 todo;
	u8 event;
} events[] = {
	{ QPEMU_TODO_FATAL, IB_EVENT_QP_FATAL },
	{ QPEMU_TODO_REQ_ERR, IB_EVENT_QP_REQ_ERR },
	{ QPEMU_TODO_ACCESS_ERR, IB_EVENT_QP_ACCESS_ERR },
	{ QPEMU_TODO_COMM_EST, IB_EVENT_COMM_EST },
	{ QPEMU_TODO_SQ_DRAINED, IB_EVENT_SQ_DRAINED },
	{ QPEMU_TODO_LAST_WQE, IB_EVENT_QP_LAST_WQE_REACHED },
};

static void tell_qp(struct qpemu_qp *qp, enum ib_event_type type)
{
	struct ib_event event = {
		.device = qp->ibqp.device,
		.event = type,
		.element.qp = &qp->ibqp,
	};

	if (qp->ibqp.event_handler)
		qp->ibqp.event_handler(&event, qp->ibqp.qp_context);
}

static void tell_srq(struct ib_srq *ibsrq, enum ib_event_type type)
{
	struct ib_event event = {
		.device = ibsrq->device,
		.event = type,
		.element.srq = ibsrq,
	};

	if (ibsrq->event_handler)
		ibsrq->event_handler(&event, ibsrq->srq_context);
}

/**
 * qpemu_qp_settle - do what could not be done under the locks
 * @qp: a reference is held; none of the driver's locks is
 */
void qpemu_qp_settle(struct qpemu_qp *qp)
{
	unsigned long todo;
	int i;

	while (READ_ONCE(qp->todo)) {
		todo = xchg(&qp->todo, 0);
		if (todo & BIT(QPEMU_TODO_SQ_ERROR))
			enter_sq_error(qp);
		if (todo & BIT(QPEMU_TODO_ERROR))
			enter_error(qp);
		for (i = 0; i < ARRAY_SIZE(events); i++)
			if (todo & BIT(events[i].todo))
				tell_qp(qp, events[i].event);
		if (todo & BIT(QPEMU_TODO_SRQ_LIMIT) && qp->ibqp.srq)
			tell_srq(qp->ibqp.srq, IB_EVENT_SRQ_LIMIT_REACHED);
		if (todo & BIT(QPEMU_TODO_SRQ_ERROR) && qp->ibqp.srq)
			tell_srq(qp->ibqp.srq, IB_EVENT_SRQ_ERR);
		if (todo & BIT(QPEMU_TODO_NOTIFY)) {
			qpemu_cq_settle(to_qcq(qp->ibqp.send_cq));
			if (qp->ibqp.recv_cq != qp->ibqp.send_cq)
				qpemu_cq_settle(to_qcq(qp->ibqp.recv_cq));
		}
		if (todo & BIT(QPEMU_TODO_ACK))
			qpemu_resp_ack(qp);
	}
}

/**
 * qpemu_qp_kick - run both sides soon
 * @qp: whose; any context, any lock
 */
void qpemu_qp_kick(struct qpemu_qp *qp)
{
	if (qpemu_ref_get(qp->ref) && !queue_work(system_bh_wq, &qp->kick))
		qpemu_ref_put(qp->ref);
}

void qpemu_qp_kicked(struct work_struct *work)
{
	struct qpemu_qp *qp = container_of(work, struct qpemu_qp, kick);
	struct qpemu_ref *ref = qp->ref;

	spin_lock_bh(&qp->rq_lock);
	if (qp->state == IB_QPS_ERR)
		qpemu_flush_rq(qp);
	else
		qpemu_resp_run(qp);
	spin_unlock(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	qpemu_req_run(qp);
	spin_unlock_bh(&qp->sq_lock);
	qpemu_qp_settle(qp);
	qpemu_ref_put(ref);
}
