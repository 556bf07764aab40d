/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that came before their turn. */
#ifndef _QPEMU_ORDER_H
#define _QPEMU_ORDER_H

#include <linux/skbuff.h>
#include <linux/timer.h>

/**
 * struct qpemu_order - the packets of one direction that wait for their turn
 * @skbs: by PSN
 * @bytes: of these
 * @end: PSN after the last of them
 * @asked_psn: what was asked for last, because it was missing
 * @asked: and has not come twice since
 * @missing: what @timer waits for
 * @credit: how sure it is that packets overtake each other, in us; as long as
 *	that a missing packet is waited for
 * @timer: the wait is over
 */
struct qpemu_order {
	struct sk_buff_head skbs;
	u32 bytes;
	u32 end;
	u32 asked_psn;
	u32 missing;
	u32 credit;
	bool asked;
	struct timer_list timer;
};

void qpemu_order_init(struct qpemu_order *order, void (*expired)(struct timer_list *timer));
void qpemu_order_reset(struct qpemu_order *order);
void qpemu_order_purge(struct qpemu_order *order);

/* Are packets kept that come behind a gap? */
bool qpemu_order_keeps(const struct qpemu_order *order);
/* Keep @skb, PSNs @psn to before @end, where @next is the next in turn; false if not. */
bool qpemu_order_keep(struct qpemu_order *order, struct sk_buff *skb, u32 psn, u32 end,
		      u32 next);
/* The first of them if it begins before or at @next; stays in the queue */
struct sk_buff *qpemu_order_first(struct qpemu_order *order);
u32 qpemu_order_psn(struct sk_buff *skb);
void qpemu_order_drop_first(struct qpemu_order *order);

/* Wait for @missing, for which nobody waits yet. */
void qpemu_order_wait(struct qpemu_order *order, u32 missing);
/* @psn is asked for again. */
void qpemu_order_asked(struct qpemu_order *order, u32 psn);
/* A packet with these PSNs came that is known already. */
void qpemu_order_again(struct qpemu_order *order, u32 psn, u32 num);

#endif /* _QPEMU_ORDER_H */
