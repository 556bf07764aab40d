// SPDX-License-Identifier: GPL-2.0
/* The receive queue, as the responder sees it. Under rq_lock. */
#include "engine.h"
#include "verbs.h"

/**
 * qpemu_rq_take - take a receive request, from the shared queue if there is one
 * @qp: whose; rq_lock is held
 *
 * Return: 1 and it is in @qp->rq.wqe; 0 if there is none; -EINVAL if it is
 * malformed (it is then used up).
 */
int qpemu_rq_take(struct qpemu_qp *qp)
{
	struct qpemu_rq *rq = &qp->rq;
	int ret;

	if (qp->ibqp.srq)
		ret = qpemu_srq_take(to_qsrq(qp->ibqp.srq), rq->wqe, &qp->todo);
	else
		ret = qpemu_rwqe_take(rq->queue, rq->max_sge, rq->wqe);
	rq->have_wqe = ret > 0;
	return ret;
}

/**
 * qpemu_rq_complete - the receive request in hand is done
 * @qp: whose; rq_lock is held
 * @wc: all but the request's and the queue pair's names
 * @solicited: the sender wants its consumer woken
 */
void qpemu_rq_complete(struct qpemu_qp *qp, struct ib_wc *wc, bool solicited)
{
	wc->wr_id = qp->rq.wqe->wr_id;
	wc->qp = &qp->ibqp;
	qp->rq.have_wqe = false;
	if (qpemu_cq_post(to_qcq(qp->ibqp.recv_cq), wc,
			  solicited || wc->status != IB_WC_SUCCESS))
		qpemu_todo(qp, QPEMU_TODO_NOTIFY);
}
