// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the verbs engine, with a device that does what a test wants
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "verbs.h"

#define NUM_SENDS	3
#define CREDITS		8

/**
 * struct world - what a test has
 * @ibdev: a device that takes the first of the requests that it is given
 * @dev: the same, as the engine knows it
 * @pd: its protection domain
 * @dom: a memory table on it
 * @ibqp: its queue pair
 * @qp: a connected queue pair
 * @v: the engine's part of it
 * @wr: messages of sendmsg() posted to it
 */
struct world {
	struct ib_device ibdev;
	struct verbs_dev dev;
	struct ib_pd pd;
	struct verbs_dom dom;
	struct ib_qp ibqp;
	struct qp_sock qp;
	struct verbs_qp v;
	struct qp_wr *wr[NUM_SENDS];
};

static const struct qp_opinfo send_op = {
	.name	= "SEND",
	.flags	= QP_OPF_PAYLOAD,
};

static int take_first(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		      const struct ib_send_wr **bad)
{
	*bad = wr->next;
	return wr->next ? -EINVAL : 0;
}

static void expired(struct timer_list *timer)
{
}

static void stop_timer(void *timer)
{
	timer_shutdown_sync(timer);
}

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct verbs_qp *v;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->ibdev.ops.post_send = take_first;
	w->dev.ibdev = &w->ibdev;
	w->pd.device = &w->ibdev;
	w->dom.pd = &w->pd;
	w->ibqp.device = &w->ibdev;

	v = &w->v;
	w->qp.priv = v;
	v->qp = &w->qp;
	v->dev = &w->dev;
	v->dom = &w->dom;
	v->ibqp = &w->ibqp;
	v->phase = VERBS_UP;
	v->credits = CREDITS;
	spin_lock_init(&v->send_lock);
	INIT_LIST_HEAD(&v->waiting);
	INIT_LIST_HEAD(&v->posted);
	timer_setup(&v->timer, expired, 0);
	qp_set_state(&w->qp, QP_STATE_RTS);
	return kunit_add_action_or_reset(test, stop_timer, &v->timer);
}

/* A message as qp_sendmsg() makes it; who completes it frees it */
static struct qp_wr *post_message(struct kunit *test, struct qp_sock *qp)
{
	const size_t head = round_up(sizeof(struct qp_wr), 64);
	const u32 length = 100;
	struct qp_wr *wr;

	wr = kzalloc(head + sizeof(struct verbs_wr) + length, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, wr);
	wr->op = &send_op;
	wr->sqe.opcode = QP_OP_SEND;
	wr->msg = true;
	wr->length = length;
	wr->priv = (void *)wr + head;
	wr->data = wr->priv + sizeof(struct verbs_wr);
	atomic_add(sizeof(*wr) + length, &qp->msg_bytes);
	verbs_post_send(qp, wr);
	return wr;
}

/*
 * What a device refuses waits behind what it took. It may be gone when that is
 * flushed, so that nothing may be left of it until then.
 */
static void refused(struct kunit *test)
{
	struct world *w = test->priv;
	struct verbs_qp *v = &w->v;
	int i;

	if (!ib_uses_virt_dma(&w->ibdev))
		kunit_skip(test, "no bus to map addresses for");
	for (i = 0; i < NUM_SENDS; i++)
		w->wr[i] = post_message(test, &w->qp);
	verbs_send_run(v);
	KUNIT_EXPECT_EQ(test, qp_state(&w->qp), QP_STATE_ERROR);
	KUNIT_EXPECT_EQ(test, v->credits, CREDITS - 1);
	KUNIT_ASSERT_TRUE(test, list_is_singular(&v->posted));
	KUNIT_EXPECT_PTR_EQ(test, v->posted.next, &w->wr[0]->node);
	KUNIT_EXPECT_PTR_EQ(test, v->waiting.next, &w->wr[1]->node);
	KUNIT_EXPECT_PTR_EQ(test, v->waiting.prev, &w->wr[2]->node);
	KUNIT_EXPECT_TRUE(test, verbs_wr(w->wr[0])->mapped);
	for (i = 1; i < NUM_SENDS; i++)
		KUNIT_ASSERT_FALSE(test, verbs_wr(w->wr[i])->mapped);

	/* As in verbs_detach() */
	verbs_send_drained(v);
	v->dev = NULL;
	KUNIT_EXPECT_FALSE(test, verbs_send_idle(v));
	verbs_send_run(v);
	KUNIT_EXPECT_TRUE(test, verbs_send_idle(v));
	KUNIT_EXPECT_EQ(test, v->credits, CREDITS);
	KUNIT_EXPECT_EQ(test, atomic_read(&w->qp.msg_bytes), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(refused),
	{}
};

static struct kunit_suite suite = {
	.name = "qp_verbs",
	.init = make_world,
	.test_cases = cases,
};

kunit_test_suite(suite);
