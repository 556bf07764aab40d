// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of the completer: when a peer that asks again is given up */
#include <kunit/test.h>

#include "engine.h"
#include "verbs.h"

#define RETRIES		7
#define NUM_SENDS	3
#define FIRST_PSN	0xfffffe	/* the PSNs wrap */
#define BURST		100

/*
 * No test lasts as long as a timeout of this: 2.4 hours. Tests let time pass by
 * setting sq->charged back.
 */
#define TIMEOUT		31

/**
 * struct world - what a test has
 * @dev: a device that is registered with nobody
 * @cq: for the completions of @qp
 * @qp: a queue pair that has sent NUM_SENDS messages of one packet each
 */
struct world {
	struct qpemu_dev dev;
	struct qpemu_cq cq;
	struct qpemu_qp qp;
};

static void expired(struct timer_list *timer)
{
}

static void post(struct kunit *test, struct qpemu_qp *qp, u64 id)
{
	struct ib_send_wr wr = { .wr_id = id, .opcode = IB_WR_SEND };
	const struct ib_send_wr *bad;

	KUNIT_ASSERT_EQ(test, qpemu_post_send(&qp->ibqp, &wr, &bad), 0);
	spin_lock_bh(&qp->sq_lock);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, qpemu_wqe_fetch(qp));
	spin_unlock_bh(&qp->sq_lock);
}

static struct qpemu_queue *ring(struct kunit *test, size_t size)
{
	u32 entries = 8;
	struct qpemu_queue *q = qpemu_queue_create(&entries, size, NULL, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, q);
	return q;
}

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct qpemu_qp *qp;
	struct qpemu_sq *sq;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->dev.stats = alloc_percpu(struct qpemu_stats);
	KUNIT_ASSERT_NOT_NULL(test, w->dev.stats);
	spin_lock_init(&w->cq.lock);
	w->cq.queue = ring(test, sizeof(struct ib_wc));

	qp = &w->qp;
	spin_lock_init(&qp->sq_lock);
	qp->ibqp.device = &w->dev.ibdev;
	qp->ibqp.qp_type = IB_QPT_RC;
	qp->ibqp.send_cq = &w->cq.ibcq;
	qp->state = IB_QPS_RTS;
	qp->mtu = 1024;
	qp->attr.timeout = TIMEOUT;
	qp->attr.retry_cnt = RETRIES;

	sq = &qp->sq;
	INIT_LIST_HEAD(&sq->wqes);
	qpemu_order_init(&sq->order, expired);
	sq->queue = ring(test, qpemu_wqe_size(qp));
	sq->sig_all = true;
	sq->window = QPEMU_WINDOW;
	sq->retries = RETRIES;
	sq->charged = jiffies;
	/* So that nothing leaves: there is no network. */
	sq->waiting_rnr = true;
	sq->una = FIRST_PSN;
	sq->end = FIRST_PSN;
	for (i = 0; i < NUM_SENDS; i++)
		post(test, qp, i);
	sq->highest = sq->end;
	return 0;
}

static void end_world(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_sq *sq = &w->qp.sq;
	struct qpemu_wqe *wqe, *next;

	if (!w)
		return;
	list_for_each_entry_safe(wqe, next, &sq->wqes, list)
		kfree(wqe);
	kfree(sq->spare);
	qpemu_queue_destroy(sq->queue);
	qpemu_queue_destroy(w->cq.queue);
	free_percpu(w->dev.stats);
}

static u64 counted(struct world *w, enum qpemu_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(w->dev.stats, cpu)->value[counter];
	return sum;
}

/* All has been sent (again), and the peer says that it lacks @psn. */
static void nak(struct kunit *test, u32 psn)
{
	struct world *w = test->priv;
	struct qpemu_sq *sq = &w->qp.sq;
	struct qpemu_pkt pkt = {
		.op = &qpemu_ops[IB_OPCODE_RC_ACKNOWLEDGE],
		.opcode = IB_OPCODE_RC_ACKNOWLEDGE,
		.psn = psn,
		.num = 1,
		.syndrome = QPEMU_NAK_SEQ,
	};

	spin_lock_bh(&w->qp.sq_lock);
	sq->psn = sq->highest;
	qpemu_comp_rx(&w->qp, NULL, &pkt);
	spin_unlock_bh(&w->qp.sq_lock);
}

/* Many of them, within a moment, each of which has the packet sent again */
static void burst(struct kunit *test, u32 psn)
{
	struct world *w = test->priv;
	u64 before = counted(w, QPEMU_RCVD_SEQ_ERR);
	int i;

	for (i = 0; i < BURST; i++) {
		nak(test, psn);
		KUNIT_EXPECT_EQ(test, w->qp.sq.psn, psn);
	}
	KUNIT_EXPECT_EQ(test, counted(w, QPEMU_RCVD_SEQ_ERR), before + BURST);
}

static void pass(struct world *w, unsigned long time)
{
	w->qp.sq.charged -= time;
}

static void expect_alive(struct kunit *test, u32 retries)
{
	struct world *w = test->priv;

	KUNIT_EXPECT_EQ(test, w->qp.sq.retries, retries);
	KUNIT_EXPECT_FALSE(test, w->qp.sq.failed);
	KUNIT_EXPECT_EQ(test, counted(w, QPEMU_RETRY_EXCEEDED), 0);
}

/* Where packets overtake each other a peer asks often, and is there. */
static void often(struct kunit *test)
{
	struct world *w = test->priv;

	burst(test, FIRST_PSN);
	expect_alive(test, RETRIES);
	pass(w, qpemu_ack_timeout(&w->qp) / 2);
	burst(test, FIRST_PSN);
	expect_alive(test, RETRIES);
	KUNIT_EXPECT_EQ(test, qpemu_peek_cq(&w->cq.ibcq, NUM_SENDS), 0);
}

/* A packet that never gets through ends the connection all the same. */
static void for_long(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned long timeout = qpemu_ack_timeout(&w->qp);
	struct ib_wc wc[NUM_SENDS];
	int left;

	for (left = RETRIES; left; left--) {
		expect_alive(test, left);
		pass(w, timeout);
		burst(test, FIRST_PSN);
	}
	expect_alive(test, 0);
	burst(test, FIRST_PSN);
	expect_alive(test, 0);

	pass(w, timeout);
	nak(test, FIRST_PSN);
	KUNIT_EXPECT_TRUE(test, w->qp.sq.failed);
	KUNIT_EXPECT_EQ(test, counted(w, QPEMU_RETRY_EXCEEDED), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(QPEMU_TODO_ERROR, &w->qp.todo));
	KUNIT_ASSERT_EQ(test, qpemu_poll_cq(&w->cq.ibcq, NUM_SENDS, wc), 1);
	KUNIT_EXPECT_EQ(test, wc[0].wr_id, 0);
	KUNIT_EXPECT_EQ(test, wc[0].status, IB_WC_RETRY_EXC_ERR);
}

/* Progress gives all retries back, and the time begins anew with it. */
static void progress(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned long timeout = qpemu_ack_timeout(&w->qp);
	u32 second = psn_add(FIRST_PSN, 1);
	struct ib_wc wc[NUM_SENDS];

	pass(w, timeout);
	burst(test, FIRST_PSN);
	expect_alive(test, RETRIES - 1);
	pass(w, timeout);
	burst(test, second);
	expect_alive(test, RETRIES);
	KUNIT_ASSERT_EQ(test, qpemu_poll_cq(&w->cq.ibcq, NUM_SENDS, wc), 1);
	KUNIT_EXPECT_EQ(test, wc[0].wr_id, 0);
	KUNIT_EXPECT_EQ(test, wc[0].status, IB_WC_SUCCESS);
	pass(w, timeout);
	burst(test, second);
	expect_alive(test, RETRIES - 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(often),
	KUNIT_CASE(for_long),
	KUNIT_CASE(progress),
	{}
};

static struct kunit_suite suite = {
	.name = "qpemu_comp",
	.init = make_world,
	.exit = end_world,
	.test_cases = cases,
};

kunit_test_suite(suite);
