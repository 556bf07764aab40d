// SPDX-License-Identifier: GPL-2.0
/*
 * Trains: small messages that follow one another go together
 *
 * A way through the network stack costs more than a small message. So packets that
 * are a message each, go the same way and are of the same size, are put one behind
 * the other, and are sent as one when another kind of packet comes, when there is
 * no room for more, or when the requester has nothing more to send. Who cuts the
 * train (see link.h) gives each packet its ICRC, and on the wire nothing tells them
 * from others.
 *
 * Firewalls look at the first packet of what is sent as one. So a train has packets
 * of one opcode, to one queue pair, with one P_Key, which is the queue pair's, and
 * of datagrams with one Q_Key.
 */
#include "engine.h"
#include "packet.h"
#include "verbs.h"

/* A packet with others behind it takes a buffer that it may not need. */
#define TRAIN_MOST	32

/**
 * qpemu_train_joins - can a packet go with those that wait?
 * @qp: whose; sq_lock is held
 * @wqe: the message that it is
 * @path: where it goes
 * @bth: its header
 * @size: bytes of the packet; 0 if it goes alone
 *
 * Return: where to append it, for qpemu_train_add(); NULL if it cannot.
 */
struct sk_buff *qpemu_train_joins(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
				  const struct qpemu_path *path,
				  const struct qpemu_bth *bth, u32 size)
{
	const struct qpemu_train *train = &qp->sq.train;

	if (!train->skb || train->path != path || train->size != size ||
	    train->dest_qpn != bth->dest_qpn || train->opcode != bth->opcode)
		return NULL;
	return qpemu_connected(qp) || train->qkey == wqe->ud.qkey ? train->skb : NULL;
}

/* Is the message after @wqe, if it is known already, for somebody else? */
static bool other_follows(const struct qpemu_qp *qp, const struct qpemu_wqe *wqe)
{
	const struct qpemu_wqe *next;

	if (qpemu_connected(qp) || list_is_last(&wqe->list, &qp->sq.wqes))
		return false;
	next = list_next_entry(wqe, list);
	return next->ud.qpn != wqe->ud.qpn || next->ud.qkey != wqe->ud.qkey;
}

/**
 * qpemu_train_more - how much room a packet should have behind it
 * @qp: whose; sq_lock is held
 * @wqe: the message that it is
 * @path: where it goes
 * @size: bytes of the packet
 *
 * Return: bytes for others of its size; 0 if nothing follows it yet.
 */
u32 qpemu_train_more(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		     const struct qpemu_path *path, u32 size)
{
	u32 others = qpemu_queue_pending(qp->sq.queue);

	if (!list_is_last(&wqe->list, &qp->sq.wqes))
		others = TRAIN_MOST;
	if (!others || other_follows(qp, wqe))
		return 0;
	others = min3(others, TRAIN_MOST - 1U, qpemu_path_train(path, size) - 1);
	return others * size;
}

/**
 * qpemu_train_add - a packet is complete
 * @qp: whose; sq_lock is held
 * @wqe: the message that it is, which may end before the train leaves
 * @path: where it goes
 * @bth: its header
 * @skb: its own, or what qpemu_train_joins() said
 * @size: bytes of the packet
 * @more: if it is its own, the room behind it in bytes
 */
void qpemu_train_add(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		     struct qpemu_path *path, const struct qpemu_bth *bth,
		     struct sk_buff *skb, u32 size, u32 more)
{
	struct qpemu_train *train = &qp->sq.train;

	if (!train->skb) {
		*train = (struct qpemu_train) {
			.skb = skb,
			.path = path,
			.size = size,
			.dest_qpn = bth->dest_qpn,
			.opcode = bth->opcode,
			.most = more / size + 1,
		};
		if (!qpemu_connected(qp)) {
			train->qkey = wqe->ud.qkey;
			train->av = wqe->ud.av;
			qpemu_av_hold(train->av);
		}
	}
	if (++train->num == train->most)
		qpemu_train_leave(qp);
}

/**
 * qpemu_train_leave - send what waits
 * @qp: whose; sq_lock is held
 */
void qpemu_train_leave(struct qpemu_qp *qp)
{
	struct qpemu_train *train = &qp->sq.train;
	struct sk_buff *skb = train->skb;

	if (!skb)
		return;
	train->skb = NULL;
	if (train->num > 1)
		qpemu_pkt_train(skb, train->num);
	qpemu_tx(qp, train->path, skb);
	if (train->av)
		qpemu_av_put(train->av);
	train->av = NULL;
}
