// SPDX-License-Identifier: GPL-2.0
/* A packet's way from the link layer to its queue pair. */
#include "ca.h"
#include "engine.h"
#include "trace.h"
#include "verbs.h"

#define MULTICAST_QPN	0xffffff

static bool right_transport(const struct qpemu_qp *qp, u8 opcode)
{
	static const u8 transport[] = {
		[IB_QPT_RC] = IB_OPCODE_RC,
		[IB_QPT_UC] = IB_OPCODE_UC,
		[IB_QPT_UD] = IB_OPCODE_UD,
		[IB_QPT_GSI] = IB_OPCODE_UD,
		[IB_QPT_SMI] = IB_OPCODE_UD,
	};

	return (opcode & 0xe0) == transport[qp->ibqp.qp_type];
}

/* A connection hears its peer alone (IBA v1 9.6.1.5 and A17.4.3). */
static bool from_peer(struct qpemu_qp *qp, const struct sk_buff *skb)
{
	return !qpemu_connected(qp) ||
	       (qp->state >= IB_QPS_RTR && qpemu_path_matches(&qp->path, skb));
}

/* RoCE has one partition, and rx() has seen that the packet is of it. */
static bool in_partition(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	return likely(!to_qdev(qp->ibqp.device)->port) || qpemu_ib_in_partition(qp, skb, pkt);
}

/* A packet for a queue pair. Eats @skb; qpemu_qp_settle() follows. */
static void receive(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);

	if (!right_transport(qp, pkt->opcode)) {
		qpemu_count(dev, QPEMU_NO_QP);
	} else if (!from_peer(qp, skb)) {
		qpemu_count(dev, QPEMU_BAD_ADDR);
	} else if (!in_partition(qp, skb, pkt)) {
		qpemu_count(dev, QPEMU_BAD_PKEY);
	} else if (pkt->op->flags & QPEMU_OP_RESPONSE) {
		trace_qpemu_receive(qp, pkt);
		spin_lock(&qp->sq_lock);
		qpemu_comp_rx(qp, skb, pkt);
		spin_unlock(&qp->sq_lock);
	} else {
		trace_qpemu_receive(qp, pkt);
		spin_lock(&qp->rq_lock);
		if (qpemu_connected(qp))
			qpemu_resp_rx(qp, skb, pkt);
		else
			qpemu_ud_rx(qp, skb, pkt);
		spin_unlock(&qp->rq_lock);
	}
	consume_skb(skb);
}

/**
 * qpemu_qp_rx - a packet has come for a queue pair
 * @qp: a reference is held
 * @skb: checked by the link layer; eaten
 *
 * Context: softirq.
 */
void qpemu_qp_rx(struct qpemu_qp *qp, struct sk_buff *skb)
{
	struct qpemu_pkt pkt;

	if (qpemu_pkt_parse(skb, &pkt)) {
		receive(qp, skb, &pkt);
	} else {
		qpemu_count(to_qdev(qp->ibqp.device), QPEMU_MALFORMED);
		kfree_skb(skb);
	}
	qpemu_qp_settle(qp);
}

/* A packet without its ICRC. @train: the queue pair that it is probably for, or NULL. */
static void rx(struct sk_buff *skb, struct qpemu_qp *train)
{
	struct qpemu_dev *dev = qpemu_skb_cb(skb)->dev;
	struct qpemu_pkt pkt;
	struct qpemu_qp *qp;

	if (!qpemu_pkt_parse(skb, &pkt)) {
		qpemu_count(dev, QPEMU_MALFORMED);
		goto drop;
	}
	qpemu_count_n(dev, QPEMU_RCVD_PKTS, pkt.num);
	qpemu_count_n(dev, QPEMU_RCVD_BYTES, pkt.length);
	if (pkt.num > 1)
		qpemu_count(dev, QPEMU_RCVD_SUPER);
	/* Membership is the upper bit: one of the two must be a full member. */
	if (!dev->port && (pkt.pkey ^ QPEMU_PKEY) & 0x7fff) {
		qpemu_count(dev, QPEMU_BAD_PKEY);
		goto drop;
	}
	if (pkt.dest_qpn == MULTICAST_QPN) {
		qpemu_mcast_rx(dev, skb);
		return;
	}
	if (train && train->ibqp.qp_num == pkt.dest_qpn) {
		receive(train, skb, &pkt);
		return;
	}
	qp = qpemu_qp_find(dev, pkt.dest_qpn);
	if (!qp) {
		qpemu_count(dev, QPEMU_NO_QP);
		goto drop;
	}
	receive(qp, skb, &pkt);
	qpemu_qp_settle(qp);
	qpemu_qp_put(qp);
	return;

drop:
	kfree_skb(skb);
}

static void rx_packet(struct sk_buff *skb, struct qpemu_qp *train)
{
	if (pskb_trim(skb, skb->len - ROCE_ICRC_LEN))
		kfree_skb(skb);
	else
		rx(skb, train);
}

/**
 * qpemu_rx_packet - a packet, or super-packet, has come for a device
 * @skb: checked by the link layer, qpemu_skb_cb() filled in; eaten
 *
 * Context: softirq.
 */
void qpemu_rx_packet(struct sk_buff *skb)
{
	rx_packet(skb, NULL);
}

static void rx_parts(struct sk_buff *skb, unsigned int size, struct qpemu_qp *qp)
{
	struct sk_buff *part;

	while (skb->len > size) {
		part = skb_clone(skb, GFP_ATOMIC);
		/* Without memory it is as if it were lost on the way. */
		if (part && !pskb_trim(part, size))
			rx_packet(part, qp);
		else
			kfree_skb(part);
		if (!pskb_pull(skb, size)) {
			kfree_skb(skb);
			return;
		}
	}
	rx_packet(skb, qp);
}

/**
 * qpemu_rx_train - packets of a size have come for a device
 * @skb: one behind the other, from the first BTH on; as for qpemu_rx_packet()
 *
 * They share its memory, and are for one queue pair, which is told of them together.
 *
 * Context: softirq.
 */
void qpemu_rx_train(struct sk_buff *skb)
{
	const struct roce_bth *bth = (const void *)skb->data;
	struct qpemu_dev *dev = qpemu_skb_cb(skb)->dev;
	struct qpemu_qp *qp;

	qpemu_count(dev, QPEMU_RCVD_SUPER);
	qp = qpemu_qp_find(dev, be32_to_cpu(bth->qpn) & 0xffffff);
	rx_parts(skb, skb_shinfo(skb)->gso_size, qp);
	if (!qp)
		return;
	qpemu_qp_settle(qp);
	qpemu_qp_put(qp);
}
