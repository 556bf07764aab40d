// SPDX-License-Identifier: GPL-2.0
/*
 * Sending with a bound on what is under way
 *
 * Whatever a queue pair has sent and nobody has received yet (it lies in a
 * queue, in a backlog, waits for a neighbour) counts against a budget, as TCP's
 * small queues do. When the budget is used up the sender stops; the destructor
 * of a packet lets it go on. Packets may outlive the queue pair, so what they
 * point at is an object of its own.
 */
#include "engine.h"
#include "packet.h"
#include "verbs.h"

/* In units: a super-packet counts for eight of the others. */
#define TX_BUDGET	128
#define TX_SUPER	8

/**
 * struct qpemu_tx - what is under way
 * @refs: one for the queue pair, one for each packet
 * @units: under way
 * @waiting: the queue pair stopped for want of room
 * @lock: protects @qp
 * @qp: NULL once it is destroyed
 */
struct qpemu_tx {
	refcount_t refs;
	atomic_t units;
	bool waiting;
	spinlock_t lock;	/* qp */
	struct qpemu_qp *qp;
};

struct qpemu_tx *qpemu_tx_new(struct qpemu_qp *qp)
{
	struct qpemu_tx *tx = kzalloc(sizeof(*tx), GFP_KERNEL_ACCOUNT);

	if (!tx)
		return NULL;
	refcount_set(&tx->refs, 1);
	spin_lock_init(&tx->lock);
	tx->qp = qp;
	return tx;
}

static void tx_put(struct qpemu_tx *tx)
{
	if (refcount_dec_and_test(&tx->refs))
		kfree(tx);
}

/* The queue pair goes; its packets may still be on their way. */
void qpemu_tx_kill(struct qpemu_tx *tx)
{
	if (!tx)
		return;
	spin_lock_irq(&tx->lock);
	tx->qp = NULL;
	spin_unlock_irq(&tx->lock);
	tx_put(tx);
}

/* May a packet be sent? If not, the queue pair is run again when one may. */
bool qpemu_tx_room(struct qpemu_qp *qp)
{
	struct qpemu_tx *tx = qp->tx;

	if (likely(atomic_read(&tx->units) < TX_BUDGET))
		return true;
	WRITE_ONCE(tx->waiting, true);
	smp_mb(); /* pairs with the atomic subtraction in tx_done() */
	return atomic_read(&tx->units) < TX_BUDGET;
}

#define TX_IS_SUPER	1UL

static void tx_done(struct sk_buff *skb)
{
	unsigned long arg = (unsigned long)skb_shinfo(skb)->destructor_arg;
	struct qpemu_tx *tx = (void *)(arg & ~TX_IS_SUPER);
	int units = arg & TX_IS_SUPER ? TX_SUPER : 1;
	unsigned long flags;

	if (atomic_sub_return(units, &tx->units) <= TX_BUDGET / 2 &&
	    READ_ONCE(tx->waiting)) {
		spin_lock_irqsave(&tx->lock, flags);
		if (tx->qp && READ_ONCE(tx->waiting)) {
			WRITE_ONCE(tx->waiting, false);
			qpemu_qp_kick(tx->qp);
		}
		spin_unlock_irqrestore(&tx->lock, flags);
	}
	tx_put(tx);
}

/**
 * qpemu_tx - send a packet
 * @qp: whose
 * @path: which way
 * @skb: from qpemu_pkt_new(); eaten
 *
 * Context: bottom halves off.
 * Return: 0 or -errno; a packet that the network
 * refused is as good as lost on the way.
 */
int qpemu_tx(struct qpemu_qp *qp, struct qpemu_path *path, struct sk_buff *skb)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	bool super = skb_is_gso(skb);
	struct qpemu_tx *tx = qp->tx;
	int num = super ? skb_shinfo(skb)->gso_segs : 1;
	int err;

	refcount_inc(&tx->refs);
	atomic_add(super ? TX_SUPER : 1, &tx->units);
	skb_shinfo(skb)->destructor_arg = (void *)((unsigned long)tx |
						   (super ? TX_IS_SUPER : 0));
	skb->destructor = tx_done;

	err = path->link->xmit(path, skb);
	if (unlikely(err)) {
		qpemu_count(dev, QPEMU_SEND_ERR);
		return err;
	}
	qpemu_count_n(dev, QPEMU_SENT_PKTS, num);
	if (super)
		qpemu_count(dev, QPEMU_SENT_SUPER);
	return 0;
}
