// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that overtake others
 *
 * To ask at once for what is missing (IBA v1 9.7.5.1.1) is right where packets
 * are lost. Where they overtake each other it is ruinous: all that is under way
 * is sent again, and again out of order. Which is the case shows afterwards:
 * what was asked for comes once, or twice. Each time that it comes twice speaks
 * for patience, each time that it comes once speaks, less loudly, against it.
 *
 * Beyond a threshold, packets that come behind a gap are kept, and what is missing
 * is asked for after a wait only. Below it they are dropped: then nobody can put
 * a packet in the place of one that is still to come, unless he knows the very
 * next PSN. For the same reason packets are not kept for long.
 */
#include "engine.h"

#define CREDIT_STEP	(4 * USEC_PER_MSEC)
#define CREDIT_LOSS	(CREDIT_STEP / 8)
#define CREDIT_ENOUGH	(2 * CREDIT_STEP)
#define CREDIT_MAX	(12 * CREDIT_STEP)

/* While a packet waits for its turn */
struct place {
	u32 psn;
	u32 end;
};

/* Behind what the link layer says, which is still needed. */
static struct place *place(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct qpemu_skb_cb) + sizeof(struct place) > sizeof(skb->cb));
	return (struct place *)(qpemu_skb_cb(skb) + 1);
}

/**
 * qpemu_order_init - nothing is kept
 * @order: what to set up
 * @expired: called in softirq when a wait is over
 */
void qpemu_order_init(struct qpemu_order *order, void (*expired)(struct timer_list *timer))
{
	__skb_queue_head_init(&order->skbs);
	timer_setup(&order->timer, expired, 0);
}

/* Drop what is kept; under the lock of the direction. */
void qpemu_order_purge(struct qpemu_order *order)
{
	__skb_queue_purge(&order->skbs);
	order->bytes = 0;
}

/* Forget everything; under the lock of the direction. */
void qpemu_order_reset(struct qpemu_order *order)
{
	qpemu_order_purge(order);
	order->asked = false;
	order->credit = 0;
}

bool qpemu_order_keeps(const struct qpemu_order *order)
{
	return order->credit > CREDIT_ENOUGH;
}

/**
 * qpemu_order_keep - keep a packet until its turn comes
 * @order: where
 * @skb: the packet; a reference is taken
 * @psn: its first PSN
 * @end: the PSN after its last
 * @next: the PSN whose turn it is
 *
 * Unless packets overtake each other, only what continues the sequence is kept,
 * and what is asked again: there it can do no harm.
 *
 * Return: false if it is not kept: it is known, far off, or too much.
 */
bool qpemu_order_keep(struct qpemu_order *order, struct sk_buff *skb, u32 psn, u32 end,
		      u32 next)
{
	bool empty = skb_queue_empty(&order->skbs);
	s32 ahead = psn_diff(psn, next);
	struct sk_buff *after;

	if (skb_queue_len(&order->skbs) >= QPEMU_MAX_EARLY ||
	    order->bytes + skb->len > QPEMU_EARLY_BYTES)
		return false;
	if (ahead > 0 && (empty || psn != order->end) &&
	    (!qpemu_order_keeps(order) || ahead >= QPEMU_EARLY_WINDOW))
		return false;
	/* It belongs near the end. */
	skb_queue_reverse_walk(&order->skbs, after) {
		if (psn_diff(psn, place(after)->psn) > 0)
			break;
		if (psn == place(after)->psn)
			return false;
	}
	place(skb)->psn = psn;
	place(skb)->end = end;
	if (empty || psn_diff(end, order->end) > 0)
		order->end = end;
	order->bytes += skb->len;
	/* The head of the queue is where the walk ends if all are behind it. */
	__skb_queue_after(&order->skbs, after, skb_get(skb));
	return true;
}

/* The first packet that is kept, or NULL; it stays where it is. */
struct sk_buff *qpemu_order_first(struct qpemu_order *order)
{
	return skb_peek(&order->skbs);
}

u32 qpemu_order_psn(struct sk_buff *skb)
{
	return place(skb)->psn;
}

void qpemu_order_drop_first(struct qpemu_order *order)
{
	struct sk_buff *skb = __skb_dequeue(&order->skbs);

	order->bytes -= skb->len;
	consume_skb(skb);
}

/**
 * qpemu_order_wait - something is missing
 * @order: where packets are kept that come after it
 * @missing: its PSN
 *
 * Starts the timer, once for each @missing.
 */
void qpemu_order_wait(struct qpemu_order *order, u32 missing)
{
	if (timer_pending(&order->timer) && order->missing == missing)
		return;
	order->missing = missing;
	mod_timer(&order->timer, jiffies + usecs_to_jiffies(order->credit));
}

void qpemu_order_asked(struct qpemu_order *order, u32 psn)
{
	/* The one before came once: it had been lost. */
	if (order->asked)
		order->credit -= min(order->credit, CREDIT_LOSS);
	order->asked = true;
	order->asked_psn = psn;
}

/*
 * Where packets behind a gap are dropped, nothing comes twice but by haste. Where
 * they are kept, all of them do when one was lost, so only that one counts.
 */
void qpemu_order_again(struct qpemu_order *order, u32 psn, u32 num)
{
	if (!order->asked)
		return;
	if (qpemu_order_keeps(order) && (psn_diff(order->asked_psn, psn) < 0 ||
					 psn_diff(order->asked_psn, psn) >= (s32)num))
		return;
	order->asked = false;
	order->credit = min(order->credit + CREDIT_STEP, CREDIT_MAX);
}
