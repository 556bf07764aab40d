// SPDX-License-Identifier: GPL-2.0
/* Datagrams come in: UD queue pairs, and the GSI's. */
#include <linux/if_vlan.h>

#include "ca.h"
#include "engine.h"
#include "mem.h"
#include "verbs.h"

static void describe_ib(const struct qpemu_port *port, const struct qpemu_skb_cb *cb,
			struct ib_wc *wc)
{
	wc->slid = cb->slid;
	wc->sl = cb->sl;
	wc->pkey_index = cb->pkey_index;
	if (cb->dlid < QPEMU_LID_MULTICAST)
		wc->dlid_path_bits = cb->dlid & (BIT(READ_ONCE(port->lmc)) - 1);
}

static void describe(const struct qpemu_dev *dev, const struct sk_buff *skb, struct ib_wc *wc)
{
	const struct ethhdr *eth = skb_mac_header_was_set(skb) ? eth_hdr(skb) : NULL;
	const struct qpemu_skb_cb *cb = qpemu_skb_cb((struct sk_buff *)skb);

	wc->network_hdr_type = cb->network;
	wc->wc_flags |= IB_WC_WITH_NETWORK_HDR_TYPE;
	if (cb->has_grh)
		wc->wc_flags |= IB_WC_GRH;
	if (dev->port) {
		describe_ib(dev->port, cb, wc);
		return;
	}
	if (eth && skb->dev && skb->dev->type == ARPHRD_ETHER) {
		ether_addr_copy(wc->smac, eth->h_source);
		wc->wc_flags |= IB_WC_WITH_SMAC;
	}
	if (skb->dev && is_vlan_dev(skb->dev)) {
		wc->vlan_id = vlan_dev_vlan_id(skb->dev);
		wc->wc_flags |= IB_WC_WITH_VLAN;
	}
}

/* IBA v1 9.6.1.4: QP0 has none. */
static bool right_qkey(const struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	return pkt->qkey == qp->qkey || qp->ibqp.qp_type == IB_QPT_SMI;
}

/* The first 40 bytes of the receive are for the GRH, if there is one or not. */
static int put_grh(struct qpemu_qp *qp, const struct sk_buff *skb)
{
	struct qpemu_rq *rq = &qp->rq;
	u8 grh[IB_GRH_BYTES];

	if (!qpemu_skb_cb((struct sk_buff *)skb)->has_grh)
		return 0;
	qpemu_skb_grh(skb, grh);
	return qpemu_sges_write(qp, rq->wqe->sge, rq->wqe->num_sge, 0, grh, sizeof(grh));
}

/**
 * qpemu_ud_rx - a datagram
 * @qp: whose; rq_lock is held
 * @skb: the packet; stays the caller's
 * @pkt: what is in it
 *
 * What does not fit or finds no receive request is dropped, and nobody is told
 * (IBA v1 9.8.3).
 */
void qpemu_ud_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	struct qpemu_rq *rq = &qp->rq;
	struct ib_wc wc = {
		.status = IB_WC_SUCCESS,
		.opcode = IB_WC_RECV,
		.byte_len = IB_GRH_BYTES + pkt->length,
		.src_qp = pkt->src_qpn,
		.port_num = 1,
	};

	if (qp->state < IB_QPS_RTR || qp->state == IB_QPS_ERR) {
		qpemu_count(dev, QPEMU_NO_QP);
		return;
	}
	if (!right_qkey(qp, pkt)) {
		qpemu_count(dev, QPEMU_BAD_QKEY);
		if (dev->port)
			qpemu_ib_bad_qkey(qp, skb, pkt);
		return;
	}
	if (!rq->have_wqe && qpemu_rq_take(qp) <= 0) {
		qpemu_count(dev, QPEMU_NO_RWQE);
		return;
	}
	if (wc.byte_len > rq->wqe->length) {
		qpemu_count(dev, QPEMU_NO_RWQE);
		return;
	}
	if (put_grh(qp, skb) ||
	    qpemu_sges_write_skb(qp, rq->wqe->sge, rq->wqe->num_sge, IB_GRH_BYTES, skb,
				 pkt->data, pkt->length))
		wc.status = IB_WC_LOC_PROT_ERR;
	if (pkt->op->flags & QPEMU_OP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		wc.ex.imm_data = pkt->imm;
	}
	describe(dev, skb, &wc);
	qpemu_rq_complete(qp, &wc, pkt->solicited);
	if (wc.status != IB_WC_SUCCESS)
		qpemu_todo(qp, QPEMU_TODO_ERROR);
	else
		qpemu_count(dev, QPEMU_RECVS);
}
