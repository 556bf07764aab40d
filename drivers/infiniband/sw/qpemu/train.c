// SPDX-License-Identifier: GPL-2.0
/*
 * Trains: small messages that follow one another go together
 *
 * A way through the network stack costs more than a small message. So packets of
 * connected queue pairs that are a message each, and of the same size, are put one
 * behind the other, and are sent as one when another kind of packet comes, when
 * there is no room for more, or when the requester has nothing more to send.
 * Who cuts the train (see link.h) gives each packet its ICRC, and on the wire
 * nothing tells them from others.
 */
#include "engine.h"
#include "packet.h"

/* A packet with others behind it takes a buffer that it may not need. */
#define TRAIN_MOST	32

/**
 * qpemu_train_joins - can a packet go with those that wait?
 * @qp: whose; sq_lock is held
 * @size: bytes of the packet; 0 if it goes alone
 *
 * Return: where to append it, for qpemu_train_add(); NULL if it cannot.
 */
struct sk_buff *qpemu_train_joins(struct qpemu_qp *qp, u32 size)
{
	const struct qpemu_train *train = &qp->sq.train;

	return train->skb && train->size == size ? train->skb : NULL;
}

/**
 * qpemu_train_more - how much room a packet should have behind it
 * @qp: whose; sq_lock is held
 * @wqe: the message that it is
 * @size: bytes of the packet
 *
 * Return: bytes for others of its size; 0 if nothing follows it yet.
 */
u32 qpemu_train_more(struct qpemu_qp *qp, const struct qpemu_wqe *wqe, u32 size)
{
	u32 others = qpemu_queue_pending(qp->sq.queue);

	if (!list_is_last(&wqe->list, &qp->sq.wqes))
		others = TRAIN_MOST;
	if (!others)
		return 0;
	others = min3(others, TRAIN_MOST - 1U, qpemu_path_train(&qp->path, size) - 1);
	return others * size;
}

/**
 * qpemu_train_add - a packet is complete
 * @qp: whose; sq_lock is held
 * @skb: its own, or what qpemu_train_joins() said
 * @size: bytes of the packet
 * @more: if it is its own, the room behind it in bytes
 */
void qpemu_train_add(struct qpemu_qp *qp, struct sk_buff *skb, u32 size, u32 more)
{
	struct qpemu_train *train = &qp->sq.train;

	if (!train->skb)
		*train = (struct qpemu_train) {
			.skb = skb,
			.size = size,
			.most = more / size + 1,
		};
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
	qpemu_tx(qp, &qp->path, skb);
}
