/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of the protocol engine, and what they call of each other. */
#ifndef _QPEMU_ENGINE_H
#define _QPEMU_ENGINE_H

#include "fabric.h"
#include "packet.h"
#include "qpemu.h"

/* send.c: send work requests; under sq_lock */
size_t qpemu_wqe_size(const struct qpemu_qp *qp);
struct qpemu_wqe *qpemu_wqe_fetch(struct qpemu_qp *qp);
void qpemu_wqe_free(struct qpemu_qp *qp, struct qpemu_wqe *wqe);
void qpemu_wqe_complete(struct qpemu_qp *qp, struct qpemu_wqe *wqe);

/* req.c: the requester; under sq_lock */
void qpemu_req_run(struct qpemu_qp *qp);
void qpemu_req_rewind(struct qpemu_qp *qp, u32 psn);
void qpemu_req_lost(struct qpemu_qp *qp, bool silence);
void qpemu_req_timer(struct timer_list *timer);
void qpemu_req_arm(struct qpemu_qp *qp);
/* How long to wait for an acknowledgment, in jiffies */
unsigned long qpemu_ack_timeout(const struct qpemu_qp *qp);

/* comp.c: the completer; under sq_lock */
void qpemu_comp_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt);
/* Complete what is done, from the oldest on. */
void qpemu_comp_reap(struct qpemu_qp *qp);
/* The oldest request fails. */
void qpemu_comp_fail(struct qpemu_qp *qp, u8 status);
void qpemu_comp_timer(struct timer_list *timer);

/* resp.c: the responder; under rq_lock */
void qpemu_resp_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt);
/* Go on with what stopped for want of room. */
void qpemu_resp_run(struct qpemu_qp *qp);
void qpemu_resp_ack(struct qpemu_qp *qp);
void qpemu_resp_reset(struct qpemu_qp *qp);
void qpemu_resp_timer(struct timer_list *timer);

/* ud.c: datagrams come in; under rq_lock */
void qpemu_ud_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt);

/* recv.c: a receive request is wanted; 1, 0, -EINVAL; under rq_lock */
int qpemu_rq_take(struct qpemu_qp *qp);
void qpemu_rq_complete(struct qpemu_qp *qp, struct ib_wc *wc, bool solicited);

/* settle.c: under both locks, in the error state */
void qpemu_flush_sq(struct qpemu_qp *qp);
void qpemu_flush_rq(struct qpemu_qp *qp);

/* settle.c: outside all locks; bottom halves on or off */
void qpemu_qp_settle(struct qpemu_qp *qp);
/* Run both sides from a softirq of its own; any context. */
void qpemu_qp_kick(struct qpemu_qp *qp);
void qpemu_qp_kicked(struct work_struct *work);

/* The P_Key that a queue pair's packets have; @index is below QPEMU_NUM_PKEYS. */
static inline u16 qpemu_pkey(const struct qpemu_qp *qp, u16 index)
{
	const struct qpemu_port *port = to_qdev(qp->ibqp.device)->port;

	return likely(!port) ? QPEMU_PKEY : READ_ONCE(port->pkeys[index]);
}

static inline void qpemu_todo(struct qpemu_qp *qp, int what)
{
	set_bit(what, &qp->todo);
}

#endif /* _QPEMU_ENGINE_H */
