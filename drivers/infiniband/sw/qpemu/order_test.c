// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of what is done with packets that come before their turn */
#include <kunit/test.h>

#include "engine.h"

static void expired(struct timer_list *timer)
{
}

static void stop(void *order)
{
	qpemu_order_purge(order);
	timer_shutdown_sync(&((struct qpemu_order *)order)->timer);
}

static struct qpemu_order *test_order(struct kunit *test)
{
	struct qpemu_order *order = kunit_kzalloc(test, sizeof(*order), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, order);
	qpemu_order_init(order, expired);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop, order), 0);
	return order;
}

static bool keep_range(struct kunit *test, struct qpemu_order *order, u32 psn, u32 num,
		       u32 next)
{
	struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);
	bool kept;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_put_zero(skb, 64);
	kept = qpemu_order_keep(order, skb, psn, psn_add(psn, num), next);
	kfree_skb(skb);
	return kept;
}

static bool keep_one(struct kunit *test, struct qpemu_order *order, u32 psn, u32 next)
{
	return keep_range(test, order, psn, 1, next);
}

/* Which PSNs are kept, in order; all are dropped. */
static void expect_kept(struct kunit *test, struct qpemu_order *order, const u32 *psns, int num)
{
	struct sk_buff *skb;
	int i;

	for (i = 0; i < num; i++) {
		skb = qpemu_order_first(order);
		KUNIT_ASSERT_NOT_NULL(test, skb);
		KUNIT_EXPECT_EQ(test, qpemu_order_psn(skb), psns[i]);
		qpemu_order_drop_first(order);
	}
	KUNIT_EXPECT_NULL(test, qpemu_order_first(order));
	KUNIT_EXPECT_EQ(test, order->bytes, 0);
}

/* What was asked for came twice, often enough. */
static void teach(struct qpemu_order *order)
{
	int i;

	for (i = 0; i < 4; i++) {
		qpemu_order_asked(order, i);
		qpemu_order_again(order, i, 1);
	}
}

static void only_what_follows(struct kunit *test)
{
	static const u32 kept[] = { 8, 10, 11, 15 };
	struct qpemu_order *order = test_order(test);

	KUNIT_EXPECT_FALSE(test, qpemu_order_keeps(order));
	KUNIT_EXPECT_FALSE(test, keep_one(test, order, 11, 10));
	KUNIT_EXPECT_TRUE(test, keep_one(test, order, 10, 10));
	KUNIT_EXPECT_TRUE(test, keep_range(test, order, 11, 4, 10));
	KUNIT_EXPECT_FALSE(test, keep_one(test, order, 12, 10));
	KUNIT_EXPECT_TRUE(test, keep_one(test, order, 15, 10));
	KUNIT_EXPECT_FALSE(test, keep_one(test, order, 17, 10));
	/* what is asked for again */
	KUNIT_EXPECT_TRUE(test, keep_one(test, order, 8, 10));
	expect_kept(test, order, kept, ARRAY_SIZE(kept));
}

static void in_order(struct kunit *test)
{
	static const u32 kept[] = { 0xfffffe, 0, 1, 5, 9 };
	struct qpemu_order *order = test_order(test);
	int i;

	teach(order);
	KUNIT_EXPECT_TRUE(test, qpemu_order_keeps(order));
	for (i = ARRAY_SIZE(kept) - 1; i >= 0; i -= 2)
		KUNIT_EXPECT_TRUE(test, keep_one(test, order, kept[i], 0xfffff0));
	for (i = 1; i < ARRAY_SIZE(kept); i += 2)
		KUNIT_EXPECT_TRUE(test, keep_one(test, order, kept[i], 0xfffff0));
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		KUNIT_EXPECT_FALSE(test, keep_one(test, order, kept[i], 0xfffff0));
	expect_kept(test, order, kept, ARRAY_SIZE(kept));
}

static void bounds(struct kunit *test)
{
	struct qpemu_order *order = test_order(test);
	int i;

	teach(order);
	KUNIT_EXPECT_FALSE(test, keep_one(test, order, QPEMU_EARLY_WINDOW, 0));
	KUNIT_EXPECT_TRUE(test, keep_one(test, order, QPEMU_EARLY_WINDOW - 1, 0));
	for (i = 1; i < QPEMU_MAX_EARLY; i++)
		KUNIT_EXPECT_TRUE(test, keep_one(test, order, i, 0));
	KUNIT_EXPECT_FALSE(test, keep_one(test, order, i, 0));
	qpemu_order_reset(order);
	KUNIT_EXPECT_FALSE(test, qpemu_order_keeps(order));
	KUNIT_EXPECT_NULL(test, qpemu_order_first(order));
}

static void learns(struct kunit *test)
{
	struct qpemu_order *order = test_order(test);
	int i;

	/* Lost packets do not teach patience, nor do repetitions that nobody asked for. */
	for (i = 0; i < 100; i++)
		qpemu_order_asked(order, i);
	for (i = 0; i < 100; i++)
		qpemu_order_again(order, i, 1);
	KUNIT_EXPECT_FALSE(test, qpemu_order_keeps(order));

	/* Once packets are kept, only what was asked for counts. */
	teach(order);
	i = order->credit;
	qpemu_order_asked(order, 7);
	qpemu_order_again(order, 8, 4);
	qpemu_order_again(order, 3, 4);
	KUNIT_EXPECT_EQ(test, order->credit, i);
	qpemu_order_again(order, 4, 4);
	KUNIT_EXPECT_GT(test, order->credit, i);

	/* Losses make it forget. */
	for (i = 0; i < 1000; i++)
		qpemu_order_asked(order, i);
	KUNIT_EXPECT_FALSE(test, qpemu_order_keeps(order));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(only_what_follows),
	KUNIT_CASE(in_order),
	KUNIT_CASE(bounds),
	KUNIT_CASE(learns),
	{}
};

static struct kunit_suite suite = {
	.name = "qpemu_order",
	.test_cases = cases,
};

kunit_test_suite(suite);
