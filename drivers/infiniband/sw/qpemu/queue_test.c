// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of rings; part of queue.c */
#include <kunit/test.h>

struct test_entry {
	u64 words[40];		/* straddles pages now and then */
};

static void fill(struct test_entry *entry, u64 seed)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(entry->words); i++)
		entry->words[i] = seed * 1000 + i;
}

static bool is_filled(const struct test_entry *entry, u64 seed)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(entry->words); i++)
		if (entry->words[i] != seed * 1000 + i)
			return false;
	return true;
}

static void destroy_queue(void *q)
{
	qpemu_queue_destroy(q);
}

static struct qpemu_queue *test_queue(struct kunit *test, u32 entries, size_t size)
{
	struct qpemu_queue *q = qpemu_queue_create(&entries, size, NULL, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, q);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, destroy_queue, q), 0);
	return q;
}

/* A ring of which nobody has touched a page, as user space gets it. */
static struct qpemu_queue *untouched_queue(struct kunit *test, u32 slots, size_t size)
{
	struct qpemu_queue *q = kzalloc_obj(*q);

	KUNIT_ASSERT_NOT_NULL(test, q);
	spin_lock_init(&q->push_lock);
	q->ring = ring_create(slots, size, true);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, q->ring);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, destroy_queue, q), 0);
	return q;
}

static struct rxe_queue_buf *touched_head(struct kunit *test, struct qpemu_queue *q)
{
	struct rxe_queue_buf *head = ring_head(q->ring) ?:
				     ring_new_page(q->ring, 0, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, head);
	return head;
}

/* The library finds entries by what the head says. */
static void test_layout(struct kunit *test)
{
	static const struct { u32 entries, slots; size_t size; u32 shift; } cases[] = {
		{ 1, 2, 1, 6 }, { 16, 32, 64, 6 }, { 31, 32, 65, 7 },
		{ 32, 64, 200, 8 }, { 100, 128, 552, 10 }, { 0, 1, 48, 6 },
	};
	int i;

	KUNIT_EXPECT_EQ(test, offsetof(struct rxe_queue_buf, producer_index), 128);
	KUNIT_EXPECT_EQ(test, offsetof(struct rxe_queue_buf, consumer_index), 256);
	KUNIT_EXPECT_EQ(test, offsetof(struct rxe_queue_buf, data), 384);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct qpemu_queue *q = test_queue(test, cases[i].entries, cases[i].size);
		const struct rxe_queue_buf *head = ring_head(q->ring);

		KUNIT_EXPECT_EQ(test, head->index_mask, cases[i].slots - 1);
		KUNIT_EXPECT_EQ(test, head->log2_elem_size, cases[i].shift);
		KUNIT_EXPECT_EQ(test, qpemu_queue_entries(q), cases[i].slots - 1);
	}
}

/* Many times round, in batches that never fit evenly. */
static void test_wrap(struct kunit *test)
{
	struct qpemu_queue *q = test_queue(test, 20, sizeof(struct test_entry));
	struct test_entry entry;
	u64 pushed = 0, taken = 0;
	int i, batch;

	for (batch = 0; batch < 200; batch++) {
		for (i = 0; i < 1 + batch % 29; i++) {
			fill(&entry, pushed++);
			KUNIT_ASSERT_TRUE(test, qpemu_queue_push(q, &entry, sizeof(entry)));
		}
		KUNIT_ASSERT_EQ(test, qpemu_queue_pending(q), i);
		while (qpemu_queue_take(q, &entry, sizeof(entry)))
			KUNIT_ASSERT_TRUE(test, is_filled(&entry, taken++));
		KUNIT_ASSERT_EQ(test, taken, pushed);
		qpemu_queue_release(q, i);
	}
}

static void test_full(struct kunit *test)
{
	struct qpemu_queue *q = test_queue(test, 7, 64);
	u64 word;

	for (word = 0; word < 7; word++)
		KUNIT_EXPECT_TRUE(test, qpemu_queue_push(q, &word, sizeof(word)));
	KUNIT_EXPECT_FALSE(test, qpemu_queue_push(q, &word, sizeof(word)));

	/* A slot that is taken is not free yet. */
	KUNIT_EXPECT_TRUE(test, qpemu_queue_take(q, &word, sizeof(word)));
	KUNIT_EXPECT_EQ(test, word, 0);
	KUNIT_EXPECT_FALSE(test, qpemu_queue_push(q, &word, sizeof(word)));
	qpemu_queue_release(q, 1);
	KUNIT_EXPECT_TRUE(test, qpemu_queue_push(q, &word, sizeof(word)));
}

static void test_produce(struct kunit *test)
{
	struct qpemu_queue *q = test_queue(test, 7, 64);
	u64 word, next = 0;
	int round;

	for (round = 0; round < 5; round++) {
		for (word = 0; word < 7; word++)
			KUNIT_ASSERT_TRUE(test, qpemu_queue_produce(q, &word, sizeof(word)));
		KUNIT_EXPECT_FALSE(test, qpemu_queue_produce(q, &word, sizeof(word)));
		KUNIT_EXPECT_EQ(test, qpemu_queue_used(q), 7);
		for (next = 0; qpemu_queue_poll(q, &word, sizeof(word)); next++)
			KUNIT_EXPECT_EQ(test, word, next);
		KUNIT_EXPECT_EQ(test, next, 7);
		KUNIT_EXPECT_EQ(test, qpemu_queue_used(q), 0);
	}
}

/* Looking costs no page, and what was never written is zero. */
static void test_untouched(struct kunit *test)
{
	struct qpemu_queue *q = untouched_queue(test, 64, sizeof(struct test_entry));
	struct rxe_queue_buf *head;
	struct test_entry entry;
	u32 i;

	KUNIT_EXPECT_EQ(test, qpemu_queue_pending(q), 0);
	KUNIT_EXPECT_FALSE(test, qpemu_queue_take(q, &entry, sizeof(entry)));
	KUNIT_EXPECT_EQ(test, qpemu_queue_used(q), 0);
	qpemu_queue_reset(q);
	for (i = 0; i < q->ring->num_pages; i++)
		KUNIT_EXPECT_PTR_EQ(test, ring_page(q->ring, i), NULL);

	head = touched_head(test, q);
	KUNIT_EXPECT_EQ(test, head->index_mask, 63);
	KUNIT_EXPECT_EQ(test, head->log2_elem_size, 9);
	head->producer_index = 20;
	for (i = 0; i < 20; i++) {
		fill(&entry, 1);
		KUNIT_ASSERT_TRUE(test, qpemu_queue_take(q, &entry, sizeof(entry)));
		if (i > 16)
			KUNIT_EXPECT_PTR_EQ(test, memchr_inv(&entry, 0, sizeof(entry)), NULL);
	}
	KUNIT_EXPECT_PTR_EQ(test, ring_page(q->ring, 1), NULL);
}

/* The first completion may bring the pages with it. */
static void test_first_completion(struct kunit *test)
{
	struct qpemu_queue *q = untouched_queue(test, 64, sizeof(struct test_entry));
	struct test_entry entry;
	int i;

	for (i = 0; i < 30; i++) {
		fill(&entry, i);
		KUNIT_ASSERT_TRUE(test, qpemu_queue_produce(q, &entry, sizeof(entry)));
	}
	KUNIT_EXPECT_EQ(test, ring_head(q->ring)->producer_index, 30);
	KUNIT_EXPECT_EQ(test, ring_head(q->ring)->index_mask, 63);
	for (i = 0; i < 30; i++) {
		KUNIT_ASSERT_TRUE(test, qpemu_queue_poll(q, &entry, sizeof(entry)));
		KUNIT_EXPECT_TRUE(test, is_filled(&entry, i));
	}
}

/* A client that lies about its index harms nobody else. */
static void test_hostile_producer(struct kunit *test)
{
	static const u32 lies[] = { 0xdeadbeef, U32_MAX, 0x80000000, 8, 7, 3, 0 };
	struct qpemu_queue *q = test_queue(test, 7, 64);
	struct rxe_queue_buf *head = ring_head(q->ring);
	int i, taken = 0;
	u64 word;

	for (i = 0; i < 1000; i++) {
		head->producer_index = lies[i % ARRAY_SIZE(lies)];
		head->consumer_index = ~lies[i % ARRAY_SIZE(lies)];
		head->index_mask = U32_MAX;
		head->log2_elem_size = 31;
		KUNIT_ASSERT_LE(test, qpemu_queue_pending(q), 7 - taken);
		while (taken <= 7 && qpemu_queue_take(q, &word, sizeof(word)))
			taken++;
		KUNIT_ASSERT_LE(test, taken, 7);
		if (i % 3 == 0 && taken) {
			qpemu_queue_release(q, 1);
			taken--;
		}
		head->producer_index = lies[i % ARRAY_SIZE(lies)];
		if (qpemu_queue_push(q, &word, sizeof(word)))
			KUNIT_ASSERT_LE(test, head->producer_index, 7);
	}
}

static void test_hostile_consumer(struct kunit *test)
{
	static const u32 lies[] = { 0xdeadbeef, U32_MAX, 0x80000000, 8, 7, 3, 0 };
	struct qpemu_queue *q = test_queue(test, 7, 64);
	struct rxe_queue_buf *head = ring_head(q->ring);
	int i, full = 0;
	u64 word = 0;

	for (i = 0; i < 1000; i++) {
		head->consumer_index = lies[i % ARRAY_SIZE(lies)];
		head->producer_index = ~lies[i % ARRAY_SIZE(lies)];
		head->index_mask = U32_MAX;
		head->log2_elem_size = 31;
		KUNIT_ASSERT_LE(test, qpemu_queue_used(q), 7);
		if (qpemu_queue_produce(q, &word, sizeof(word)))
			KUNIT_ASSERT_LE(test, head->producer_index, 7);
		else
			full++;
		head->consumer_index = lies[i % ARRAY_SIZE(lies)];
		if (qpemu_queue_poll(q, &word, sizeof(word)))
			KUNIT_ASSERT_LE(test, head->consumer_index, 7);
	}
	KUNIT_EXPECT_GT(test, full, 0);
	/* Full it is, whatever stands in front of the bits that count. */
	head->consumer_index = ((q->produced + 1) & 7) | 0x500;
	KUNIT_EXPECT_FALSE(test, qpemu_queue_produce(q, &word, sizeof(word)));
}

/* What was posted before a reset is gone, what comes after is not. */
static void test_reset(struct kunit *test)
{
	struct qpemu_queue *q = test_queue(test, 7, 64);
	u64 word = 1;

	KUNIT_EXPECT_TRUE(test, qpemu_queue_push(q, &word, sizeof(word)));
	KUNIT_EXPECT_TRUE(test, qpemu_queue_push(q, &word, sizeof(word)));
	KUNIT_EXPECT_TRUE(test, qpemu_queue_take(q, &word, sizeof(word)));
	qpemu_queue_reset(q);
	KUNIT_EXPECT_EQ(test, qpemu_queue_pending(q), 0);
	for (word = 10; word < 17; word++)
		KUNIT_EXPECT_TRUE(test, qpemu_queue_push(q, &word, sizeof(word)));
	KUNIT_EXPECT_TRUE(test, qpemu_queue_take(q, &word, sizeof(word)));
	KUNIT_EXPECT_EQ(test, word, 10);
}

static void test_move_requests(struct kunit *test)
{
	struct qpemu_queue *from = test_queue(test, 7, sizeof(struct test_entry));
	struct qpemu_queue *to = test_queue(test, 15, sizeof(struct test_entry));
	struct qpemu_queue *small = test_queue(test, 3, sizeof(struct test_entry));
	struct test_entry entry;
	int i;

	for (i = 0; i < 11; i++) {
		fill(&entry, i);
		KUNIT_ASSERT_TRUE(test, qpemu_queue_push(from, &entry, sizeof(entry)));
		if (i < 6) {
			KUNIT_ASSERT_TRUE(test, qpemu_queue_take(from, &entry, sizeof(entry)));
			qpemu_queue_release(from, 1);
		}
	}
	KUNIT_EXPECT_EQ(test, qpemu_queue_move_requests(small, from, sizeof(entry)), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_queue_move_requests(to, from, sizeof(entry)), 0);
	fill(&entry, 11);
	KUNIT_EXPECT_TRUE(test, qpemu_queue_push(to, &entry, sizeof(entry)));
	for (i = 6; i < 12; i++) {
		KUNIT_ASSERT_TRUE(test, qpemu_queue_take(to, &entry, sizeof(entry)));
		KUNIT_EXPECT_TRUE(test, is_filled(&entry, i));
	}
	KUNIT_EXPECT_EQ(test, qpemu_queue_pending(to), 0);
}

static void test_move_completions(struct kunit *test)
{
	struct qpemu_queue *from = test_queue(test, 7, sizeof(struct test_entry));
	struct qpemu_queue *to = untouched_queue(test, 16, sizeof(struct test_entry));
	struct qpemu_queue *small = test_queue(test, 3, sizeof(struct test_entry));
	struct test_entry entry;
	int i;

	for (i = 0; i < 11; i++) {
		fill(&entry, i);
		KUNIT_ASSERT_TRUE(test, qpemu_queue_produce(from, &entry, sizeof(entry)));
		if (i < 6)
			KUNIT_ASSERT_TRUE(test, qpemu_queue_poll(from, &entry, sizeof(entry)));
	}
	KUNIT_EXPECT_EQ(test, qpemu_queue_move_completions(small, from, sizeof(entry)), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_queue_move_completions(to, from, sizeof(entry)), 0);
	fill(&entry, 11);
	KUNIT_EXPECT_TRUE(test, qpemu_queue_produce(to, &entry, sizeof(entry)));
	for (i = 6; i < 12; i++) {
		KUNIT_ASSERT_TRUE(test, qpemu_queue_poll(to, &entry, sizeof(entry)));
		KUNIT_EXPECT_TRUE(test, is_filled(&entry, i));
	}
	KUNIT_EXPECT_EQ(test, qpemu_queue_used(to), 0);
}

static struct kunit_case queue_cases[] = {
	KUNIT_CASE(test_layout),
	KUNIT_CASE(test_wrap),
	KUNIT_CASE(test_full),
	KUNIT_CASE(test_produce),
	KUNIT_CASE(test_untouched),
	KUNIT_CASE(test_first_completion),
	KUNIT_CASE(test_hostile_producer),
	KUNIT_CASE(test_hostile_consumer),
	KUNIT_CASE(test_reset),
	KUNIT_CASE(test_move_requests),
	KUNIT_CASE(test_move_completions),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "qpemu_queue",
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);
