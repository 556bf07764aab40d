// SPDX-License-Identifier: GPL-2.0
/*
 * The completer: what comes back from the responder
 *
 * Acknowledgments and responses move sq->una. A request is complete when
 * sq->una has passed the last of its PSNs: those of a READ or an atomic are
 * passed by their responses only.
 */
#include "engine.h"
#include "mem.h"
#include "trace.h"
#include "verbs.h"

/* Not a completion status: the response is to come again, as if it were lost. */
#define AGAIN	0xff

static struct qpemu_wqe *oldest(struct qpemu_sq *sq)
{
	return list_first_entry_or_null(&sq->wqes, struct qpemu_wqe, list);
}

static u32 end_of(const struct qpemu_wqe *wqe)
{
	return psn_add(wqe->first_psn, wqe->num_psn);
}

static bool is_complete(const struct qpemu_qp *qp, const struct qpemu_wqe *wqe)
{
	if (wqe->done)
		return true;
	return qpemu_reliable(qp) && wqe->num_psn &&
	       psn_diff(qp->sq.una, end_of(wqe)) >= 0;
}

/**
 * qpemu_comp_reap - complete what is done, from the oldest request on
 * @qp: whose; sq_lock is held
 */
void qpemu_comp_reap(struct qpemu_qp *qp)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	while ((wqe = oldest(sq)) && is_complete(qp, wqe)) {
		bool failed = wqe->status != IB_WC_SUCCESS;

		qpemu_wqe_complete(qp, wqe);
		if (failed) {
			/* IBA v1 10.3.1: RC stops, the others leave off sending. */
			qpemu_todo(qp, qpemu_reliable(qp) ? QPEMU_TODO_ERROR : QPEMU_TODO_SQ_ERROR);
			return;
		}
	}
	if (qp->state == IB_QPS_SQD && !sq->drained && list_empty(&sq->wqes)) {
		sq->drained = true;
		qpemu_todo(qp, QPEMU_TODO_SQ_DRAINED);
	}
}

/**
 * qpemu_comp_fail - the oldest request that is not complete fails
 * @qp: whose; sq_lock is held
 * @status: with this
 */
void qpemu_comp_fail(struct qpemu_qp *qp, u8 status)
{
	struct qpemu_wqe *wqe;

	qpemu_comp_reap(qp);
	wqe = oldest(&qp->sq);
	if (!wqe)
		return;
	wqe->status = status;
	wqe->done = true;
	qp->sq.failed = true;
	qpemu_comp_reap(qp);
}

/* sq->una moves on to @psn. */
static void advance(struct qpemu_qp *qp, u32 psn)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	if (psn_diff(psn, sq->una) <= 0)
		return;
	sq->window = min(sq->window + psn_diff(psn, sq->una), QPEMU_WINDOW);
	sq->una = psn;
	sq->implied = false;
	sq->retries = qp->attr.retry_cnt;
	sq->rnr_retries = qp->attr.rnr_retry;
	sq->progress = jiffies;
	sq->charged = jiffies;
	if (psn_diff(psn, sq->psn) <= 0)
		return;

	/* What was about to be sent again has arrived after all. */
	sq->psn = psn;
	sq->next = NULL;
	list_for_each_entry(wqe, &sq->wqes, list) {
		if (wqe->done || (wqe->num_psn && psn_diff(end_of(wqe), psn) <= 0))
			continue;
		sq->next = wqe;
		break;
	}
}

/*
 * The responder has seen everything before @psn. Return: false if a response
 * was lost: an answer to something after it has come (IBA v1 9.7.5.1.3).
 */
static bool acknowledged(struct qpemu_qp *qp, u32 psn)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	list_for_each_entry(wqe, &sq->wqes, list) {
		if (is_complete(qp, wqe) || !wqe->num_psn)
			continue;
		if (psn_diff(wqe->first_psn, psn) >= 0)
			break;
		if (wqe->op->flags & QPEMU_OP_READ_LIKE) {
			advance(qp, wqe->first_psn);
			return psn_diff(sq->una, psn) >= 0;
		}
	}
	advance(qp, psn);
	return true;
}

static const struct {
	u8 status;
} naks[] = {
	[QPEMU_NAK_INV_REQ & QPEMU_AETH_VALUE] = { IB_WC_REM_INV_REQ_ERR },
	[QPEMU_NAK_REM_ACCESS & QPEMU_AETH_VALUE] = { IB_WC_REM_ACCESS_ERR },
	[QPEMU_NAK_REM_OP & QPEMU_AETH_VALUE] = { IB_WC_REM_OP_ERR },
};

/* IBA v1 table 46: the pause that an RNR NAK asks for, in units of 10 us */
static const u16 rnr_pause[32] = {
	65536 - 1, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192,
	256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288,
	16384, 24576, 32768, 49152,
};

static void not_ready(struct qpemu_qp *qp, u8 timer)
{
	struct qpemu_sq *sq = &qp->sq;

	qpemu_count(to_qdev(qp->ibqp.device), QPEMU_RCVD_RNR);
	if (sq->waiting_rnr)
		return;
	/* 7 means without end. */
	if (sq->rnr_retries != 7) {
		if (!sq->rnr_retries) {
			qpemu_count(to_qdev(qp->ibqp.device), QPEMU_RNR_EXCEEDED);
			qpemu_comp_fail(qp, IB_WC_RNR_RETRY_EXC_ERR);
			return;
		}
		sq->rnr_retries--;
	}
	trace_qpemu_retry(qp, sq->una, "not ready");
	qpemu_req_rewind(qp, sq->una);
	sq->waiting_rnr = true;
	mod_timer(&sq->timer, jiffies + max(usecs_to_jiffies(rnr_pause[timer] * 10), 1UL));
}

/*
 * Where packets overtake each other these come one after the other, from a peer
 * that is there. So they count as one retry in the time of a timeout: who never
 * gets a packet through is told about as late as with a peer that is silent.
 */
static void sequence_error(struct qpemu_qp *qp, bool moved)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	struct qpemu_sq *sq = &qp->sq;

	qpemu_count(dev, QPEMU_RCVD_SEQ_ERR);
	if (!moved && time_after_eq(jiffies, sq->charged + qpemu_ack_timeout(qp))) {
		if (!sq->retries) {
			qpemu_count(dev, QPEMU_RETRY_EXCEEDED);
			qpemu_comp_fail(qp, IB_WC_RETRY_EXC_ERR);
			return;
		}
		sq->retries--;
		sq->charged = jiffies;
	}
	trace_qpemu_retry(qp, sq->una, "sequence");
	qpemu_req_lost(qp, false);
}

static bool rx_nak(struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	u8 value = pkt->syndrome & QPEMU_AETH_VALUE;
	u32 before = qp->sq.una;

	if (!acknowledged(qp, pkt->psn))
		return false;
	if (qp->sq.una != pkt->psn)
		return true;
	if ((pkt->syndrome & QPEMU_AETH_TYPE) == QPEMU_AETH_RNR)
		not_ready(qp, value);
	else if (pkt->syndrome == QPEMU_NAK_SEQ)
		sequence_error(qp, before != qp->sq.una);
	else if ((pkt->syndrome & QPEMU_AETH_TYPE) == QPEMU_AETH_NAK &&
		 value < ARRAY_SIZE(naks))
		qpemu_comp_fail(qp, naks[value].status);
	return true;
}

static struct qpemu_wqe *wqe_at(struct qpemu_qp *qp, u32 psn)
{
	struct qpemu_wqe *wqe;

	list_for_each_entry(wqe, &qp->sq.wqes, list) {
		if (wqe->num_psn && !wqe->done && psn_diff(psn, wqe->first_psn) >= 0 &&
		    psn_diff(psn, end_of(wqe)) < 0)
			return wqe;
	}
	return NULL;
}

static u8 status_of(int err)
{
	if (err == -EAGAIN)
		return AGAIN;
	return err ? IB_WC_LOC_PROT_ERR : IB_WC_SUCCESS;
}

/* Data of a READ, that begins at sq->una. Return: completion status. */
static u8 take_data(struct qpemu_qp *qp, struct qpemu_wqe *wqe, struct sk_buff *skb,
		    const struct qpemu_pkt *pkt)
{
	u32 offset = psn_diff(pkt->psn, wqe->first_psn) * qp->mtu;
	u32 left = wqe->length - offset;
	bool end = pkt->op->flags & QPEMU_OP_END;

	if (pkt->num > 1 && pkt->segment != qp->mtu)
		return IB_WC_BAD_RESP_ERR;
	if (end ? pkt->length != left || left > pkt->num * qp->mtu :
		  pkt->length != pkt->num * qp->mtu || left <= pkt->length)
		return IB_WC_BAD_RESP_ERR;
	return status_of(qpemu_sges_write_skb(qp, wqe->sge, wqe->num_sge, offset, skb,
					      pkt->data, pkt->length));
}

static u8 take_response(struct qpemu_qp *qp, struct qpemu_wqe *wqe, struct sk_buff *skb,
			const struct qpemu_pkt *pkt)
{
	u32 want = wqe->op->flags & QPEMU_OP_KIND;
	u32 kind = pkt->op->flags & QPEMU_OP_KIND;

	if (want & QPEMU_OP_READ && kind & QPEMU_OP_READ)
		return take_data(qp, wqe, skb, pkt);
	if (want & QPEMU_OP_ATOMIC && kind & QPEMU_OP_ATOMIC)
		return status_of(qpemu_sges_write(qp, wqe->sge, wqe->num_sge, 0, &pkt->orig,
						  sizeof(pkt->orig)));
	/* FLUSH and ATOMIC WRITE are answered by a READ response of no bytes. */
	if (want & (QPEMU_OP_STORE | QPEMU_OP_FLUSH) && kind & QPEMU_OP_READ &&
	    !pkt->length)
		return IB_WC_SUCCESS;
	return IB_WC_BAD_RESP_ERR;
}

static bool rx_response(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;
	u8 status;

	if (psn_diff(sq->una, pkt->psn) > 0)
		qpemu_pkt_trim(pkt, psn_diff(sq->una, pkt->psn));
	if (!acknowledged(qp, pkt->psn))
		return false;
	wqe = sq->una == pkt->psn ? wqe_at(qp, pkt->psn) : NULL;
	if (!wqe)
		return true;
	status = take_response(qp, wqe, skb, pkt);
	if (status == IB_WC_SUCCESS)
		advance(qp, psn_add(pkt->psn, pkt->num));
	else if (status != AGAIN)
		qpemu_comp_fail(qp, status);
	return true;
}

/* Return: false if a response that comes before it is missing. */
static bool answer(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	if (pkt->op->flags & QPEMU_OP_AETH && pkt->syndrome & QPEMU_AETH_TYPE)
		return rx_nak(qp, pkt);
	if (pkt->op->flags & QPEMU_OP_ACK)
		return acknowledged(qp, psn_add(pkt->psn, 1));
	return rx_response(qp, skb, pkt);
}

/*
 * Responses that are missing, and what came before its turn
 */

/* Known already, or nothing that was asked for (IBA v1 9.7.5.1.2) */
static bool is_stale(const struct qpemu_sq *sq, const struct qpemu_pkt *pkt)
{
	u32 end = psn_add(pkt->psn, pkt->num);

	return psn_diff(end, sq->una) <= 0 || psn_diff(end, sq->highest) > 0 || sq->failed;
}

static void ask_again(struct qpemu_qp *qp)
{
	struct qpemu_sq *sq = &qp->sq;

	if (sq->implied)
		return;
	sq->implied = true;
	qpemu_order_asked(&sq->order, sq->una);
	trace_qpemu_retry(qp, sq->una, "response lost");
	qpemu_req_lost(qp, false);
}

static void out_of_sequence(struct qpemu_qp *qp, struct sk_buff *skb,
			    const struct qpemu_pkt *pkt)
{
	struct qpemu_sq *sq = &qp->sq;
	bool kept;

	if (!qpemu_order_keeps(&sq->order)) {
		ask_again(qp);
		return;
	}
	kept = qpemu_order_keep(&sq->order, skb, pkt->psn, psn_add(pkt->psn, pkt->num),
				sq->una);
	qpemu_count(to_qdev(qp->ibqp.device), kept ? QPEMU_EARLY_KEPT : QPEMU_EARLY_DROPS);
	qpemu_order_wait(&sq->order, sq->una);
}

static void process_kept(struct qpemu_qp *qp)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_pkt pkt;
	struct sk_buff *skb;

	while ((skb = qpemu_order_first(&sq->order))) {
		if (qpemu_pkt_parse(skb, &pkt) && !is_stale(sq, &pkt) &&
		    !answer(qp, skb, &pkt)) {
			qpemu_order_wait(&sq->order, sq->una);
			return;
		}
		qpemu_order_drop_first(&sq->order);
	}
}

/**
 * qpemu_comp_timer - the wait for a missing response is over
 * @timer: of sq->order
 *
 * It is asked for again, and then waited for no longer.
 */
void qpemu_comp_timer(struct timer_list *timer)
{
	struct qpemu_qp *qp = timer_container_of(qp, timer, sq.order.timer);
	struct qpemu_sq *sq = &qp->sq;

	spin_lock_bh(&qp->sq_lock);
	if ((qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD) &&
	    qpemu_order_first(&sq->order)) {
		if (sq->implied) {
			qpemu_order_purge(&sq->order);
		} else {
			ask_again(qp);
			qpemu_order_wait(&sq->order, sq->una);
		}
		qpemu_req_run(qp);
	}
	spin_unlock_bh(&qp->sq_lock);
	qpemu_qp_settle(qp);
}

/**
 * qpemu_comp_rx - a packet for the requester
 * @qp: whose; sq_lock is held
 * @skb: the packet; a reference is taken if it is kept
 * @pkt: what is in it
 */
void qpemu_comp_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_sq *sq = &qp->sq;

	if (qp->state != IB_QPS_RTS && qp->state != IB_QPS_SQD)
		return;
	sq->heard = true;
	if (is_stale(sq, pkt)) {
		if (!(pkt->op->flags & QPEMU_OP_ACK))
			qpemu_order_again(&sq->order, pkt->psn, pkt->num);
		return;
	}
	if (answer(qp, skb, pkt))
		process_kept(qp);
	else
		out_of_sequence(qp, skb, pkt);
	qpemu_comp_reap(qp);
	qpemu_req_run(qp);
}
