// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of memory regions and windows: rights, bounds, copies, atomics */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>
#include <rdma/ib_pack.h>

#include "mem.h"
#include "verbs.h"

#define PAGES	20

/**
 * struct world - what a test has
 * @dev: a device that is registered with nobody
 * @pd: two protection domains
 * @qp: two queue pairs of the first, one of the second
 * @page: some memory
 * @sg: names them
 */
struct world {
	struct qpemu_dev *dev;
	struct ib_pd pd[2];
	struct qpemu_qp *qp[3];
	struct page *page[PAGES];
	struct scatterlist sg[PAGES];
};

/* After all else that the test has made. */
static void end_world(void *arg)
{
	struct kunit *test = arg;
	struct world *w = test->priv;
	int i;

	KUNIT_EXPECT_TRUE(test, xa_empty(&w->dev->keys));
	xa_destroy(&w->dev->keys);
	for (i = 0; i < PAGES; i++)
		if (w->page[i])
			__free_page(w->page[i]);
}

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->dev = kunit_kzalloc(test, sizeof(*w->dev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w->dev);
	xa_init_flags(&w->dev->keys, XA_FLAGS_ALLOC1);
	w->pd[0].device = &w->dev->ibdev;
	w->pd[1].device = &w->dev->ibdev;
	for (i = 0; i < ARRAY_SIZE(w->qp); i++) {
		w->qp[i] = kunit_kzalloc(test, sizeof(*w->qp[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, w->qp[i]);
		w->qp[i]->ibqp.device = &w->dev->ibdev;
		w->qp[i]->ibqp.pd = &w->pd[i / 2];
		w->qp[i]->ibqp.qp_num = 17 + i;
	}
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, end_world, test), 0);
	sg_init_table(w->sg, PAGES);
	for (i = 0; i < PAGES; i++) {
		w->page[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		KUNIT_ASSERT_NOT_NULL(test, w->page[i]);
		sg_set_page(&w->sg[i], w->page[i], PAGE_SIZE, 0);
		sg_dma_address(&w->sg[i]) = (uintptr_t)page_address(w->page[i]);
		sg_dma_len(&w->sg[i]) = PAGE_SIZE;
	}
	return 0;
}

static void dereg(void *ibmr)
{
	qpemu_dereg_mr(ibmr, NULL);
}

static struct ib_mr *alloc_mr(struct kunit *test, u32 page_size)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = qpemu_alloc_mr(&w->pd[0], IB_MR_TYPE_MEM_REG, PAGES);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ibmr);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, dereg, ibmr), 0);
	ibmr->page_size = page_size;
	return ibmr;
}

/* A region of @num pages from @offset on, where the addresses are from 0x10000. */
static struct ib_mr *reg_mr(struct kunit *test, u32 num, u32 offset, u32 access)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = alloc_mr(test, PAGE_SIZE);

	KUNIT_ASSERT_EQ(test, qpemu_map_mr_sg(ibmr, w->sg, num, &offset), num);
	ibmr->iova = 0x10000 + (ibmr->iova & ~PAGE_MASK);
	KUNIT_ASSERT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, ibmr->rkey, access), 0);
	return ibmr;
}

static int try_access(struct qpemu_qp *qp, u32 key, u64 addr, u64 length, u32 access)
{
	struct qpemu_region *region = qpemu_region_get(qp, key, addr, length, access);

	if (IS_ERR(region))
		return PTR_ERR(region);
	qpemu_region_put(region);
	return 0;
}

#define RW	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE)

static void test_bounds(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 3, 100, RW);
	u64 first = 0x10000 + 100, length = 3 * PAGE_SIZE - 100;
	static const u32 wanted[] = { 0, IB_ACCESS_LOCAL_WRITE, IB_ACCESS_REMOTE_READ };
	int i;

	KUNIT_EXPECT_EQ(test, ibmr->iova, first);
	KUNIT_EXPECT_EQ(test, ibmr->length, length);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct { u64 addr, length; int ret; } cases[] = {
			{ first, length, 0 },
			{ first, 1, 0 },
			{ first + length - 1, 1, 0 },
			{ first + length, 1, -ERANGE },
			{ first - 1, 1, -ERANGE },
			{ first - 1, length, -ERANGE },
			{ first, length + 1, -ERANGE },
			{ first + 1, length, -ERANGE },
			{ first, U64_MAX, -ERANGE },
			{ first + 1, U64_MAX, -ERANGE },
			{ U64_MAX, 1, -ERANGE },
			{ U64_MAX, U64_MAX, -ERANGE },
			{ U64_MAX - 10, 100, -ERANGE },
			{ 0, first + 1, -ERANGE },
			{ 0, 0, 0 },
			{ U64_MAX, 0, 0 },
		};
		int j;

		for (j = 0; j < ARRAY_SIZE(cases); j++)
			KUNIT_EXPECT_EQ_MSG(test, cases[j].ret,
					    try_access(w->qp[0], ibmr->rkey, cases[j].addr,
						       cases[j].length, wanted[i]),
					    "case %d", j);
	}
}

static void test_rights(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ro = reg_mr(test, 1, 0, 0);
	struct ib_mr *remote = reg_mr(test, 1, 0, IB_ACCESS_REMOTE_READ);

	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ro->lkey, 0x10000, 8, 0), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], ro->lkey, 0x10000, 8, 0), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ro->lkey, 0x10000, 8,
					 IB_ACCESS_LOCAL_WRITE), -EACCES);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ro->lkey, 0x10000, 8,
					 IB_ACCESS_REMOTE_READ), -EACCES);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], remote->rkey, 0x10000, 8,
					 IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], remote->rkey, 0x10000, 8,
					 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE),
			-EACCES);
	/* Another domain, another key, no key. */
	KUNIT_EXPECT_EQ(test, try_access(w->qp[2], ro->lkey, 0x10000, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ro->lkey ^ 1, 0x10000, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], 0, 0x10000, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], U32_MAX, 0x10000, 8, 0), -EINVAL);
}

static void pattern(u8 *bytes, u32 length, u8 seed)
{
	u32 i;

	for (i = 0; i < length; i++)
		bytes[i] = seed + i * 7 + (i >> 8);
}

/* To a list of pieces that do not end with pages, and back from it. */
static void test_lists(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *a = reg_mr(test, 3, 100, RW), *b = reg_mr(test, 2, 0, RW);
	const struct qpemu_sge sge[] = {
		{ .addr = a->iova + 5, .length = PAGE_SIZE + 3, .lkey = a->lkey },
		{ .addr = 0, .length = 0, .lkey = 0 },
		{ .addr = a->iova + 2 * PAGE_SIZE, .length = 1, .lkey = a->lkey },
		{ .addr = b->iova, .length = PAGE_SIZE - 9, .lkey = b->lkey },
	};
	u32 all = 2 * PAGE_SIZE - 5;
	u8 *out = kunit_kzalloc(test, all, GFP_KERNEL);
	u8 *in = kunit_kzalloc(test, all, GFP_KERNEL);
	u32 offset;

	KUNIT_ASSERT_NOT_NULL(test, out);
	KUNIT_ASSERT_NOT_NULL(test, in);
	/* a and b have pages in common. */
	for (offset = 0; offset < all; offset += 501) {
		u32 length = min(all - offset, 501U);

		pattern(out, length, offset);
		KUNIT_ASSERT_EQ(test, qpemu_sges_write(w->qp[0], sge, 4, offset, out, length), 0);
		KUNIT_ASSERT_EQ(test, qpemu_sges_read(w->qp[0], sge, 4, offset, in, length), 0);
		KUNIT_ASSERT_MEMEQ(test, in, out, length);
	}
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], sge, 4, 1, in, all), -EFAULT);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], sge, 4, all, in, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], sge, 0, 0, in, 1), -EFAULT);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], sge, 4, all, in, 0), 0);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[2], sge, 4, 0, in, 1), -EINVAL);
}

/* Each byte of the memory is where the addresses say, whatever the page size. */
static void check_layout(struct kunit *test, u32 page_size, u32 pages, u32 offset)
{
	struct world *w = test->priv;
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP, 3);
	u32 length = min_t(u32, pages * page_size - offset % page_size, 8 * PAGE_SIZE - offset);
	struct ib_mr *ibmr = alloc_mr(test, page_size);
	struct scatterlist sg;
	struct qpemu_sge sge;
	u8 *memory, *buf;

	KUNIT_ASSERT_NOT_NULL(test, block);
	memory = page_address(block);
	sg_init_one(&sg, memory + offset, length);
	sg_dma_address(&sg) = (uintptr_t)memory + offset;
	sg_dma_len(&sg) = length;
	buf = kunit_kzalloc(test, length, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);

	KUNIT_ASSERT_EQ(test, qpemu_map_mr_sg(ibmr, &sg, 1, NULL), 1);
	KUNIT_ASSERT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, ibmr->lkey, RW), 0);
	sge = (struct qpemu_sge) { .addr = ibmr->iova, .length = length, .lkey = ibmr->lkey };
	pattern(buf, length, 42);
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, buf, length), 0);
	KUNIT_EXPECT_MEMEQ(test, memory + offset, buf, length);
	memset(buf, 0, length);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], &sge, 1, 777, buf + 777,
					      length - 777), 0);
	KUNIT_EXPECT_MEMEQ(test, memory + offset + 777, buf + 777, length - 777);
	kunit_release_action(test, dereg, ibmr);
	__free_pages(block, 3);
}

static void test_page_sizes(struct kunit *test)
{
	check_layout(test, PAGE_SIZE, 5, 0);
	check_layout(test, PAGE_SIZE, 5, 1234);
	check_layout(test, PAGE_SIZE / 4, 13, 0);
	check_layout(test, PAGE_SIZE / 4, 13, 999);
	check_layout(test, PAGE_SIZE * 2, 3, 0);
	check_layout(test, PAGE_SIZE * 2, 3, PAGE_SIZE + 77);
}

static void test_fast_reg(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 2, 0, RW), *other = reg_mr(test, 1, 0, RW);
	u32 key = ibmr->rkey;
	u64 word = 0, now;
	const struct qpemu_sge sge = { .addr = 0x10000, .length = 8, .lkey = key };

	/* Not while it is valid; nor for another domain's; nor with another index. */
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, key, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[2], key, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key ^ 1, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], 0, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key, false), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0x10000, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[2], ibmr, key, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, other->rkey, RW), -EINVAL);

	/* The consumer chooses the low bits; without a new map it is the old one. */
	ibmr->iova = 0x20000;
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, key ^ 0x55, RW), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0x20000, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key ^ 0x55, 0x20000, 8, 0), 0);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key ^ 0x55, true), 0);

	/* A map does nothing to a registration that is still in use. */
	ibmr->iova = 0x10000;
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, key, RW), 0);
	word = 0x1111;
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, &word, 8), 0);
	KUNIT_EXPECT_EQ(test, qpemu_map_mr_sg(ibmr, w->sg + 5, 2, NULL), 2);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], &sge, 1, 0, &now, 8), 0);
	KUNIT_EXPECT_EQ(test, now, word);
	KUNIT_EXPECT_EQ(test, *(u64 *)page_address(w->page[0]), word);
	ibmr->iova = 0x10000;
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key, false), 0);
	KUNIT_EXPECT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, key, RW), 0);
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], &sge, 1, 0, &now, 8), 0);
	KUNIT_EXPECT_EQ(test, now, 0);
}

/* A peer invalidates only what it was given. */
static void test_remote_invalidate(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *local = reg_mr(test, 1, 0, IB_ACCESS_LOCAL_WRITE);
	struct ib_mr *given = reg_mr(test, 1, 0, IB_ACCESS_REMOTE_READ);
	struct ib_mr *dma = qpemu_get_dma_mr(&w->pd[0], RW);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], local->rkey, true), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], dma->rkey, true), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], dma->rkey, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], given->rkey, true), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], given->rkey, 0x10000, 1,
					 IB_ACCESS_REMOTE_READ), -EINVAL);
	qpemu_dereg_mr(dma, NULL);
}

/*
 * Windows
 */

static struct ib_mw *alloc_mw(struct kunit *test, enum ib_mw_type type)
{
	struct world *w = test->priv;
	struct qpemu_mw *mw = kunit_kzalloc(test, sizeof(*mw), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mw);
	mw->ibmw.device = &w->dev->ibdev;
	mw->ibmw.pd = &w->pd[0];
	mw->ibmw.type = type;
	KUNIT_ASSERT_EQ(test, qpemu_alloc_mw(&mw->ibmw, NULL), 0);
	return &mw->ibmw;
}

static int bind(struct kunit *test, int qp, u32 window, u32 mr, u64 addr, u64 length, u32 access)
{
	struct world *w = test->priv;
	struct qpemu_wqe *wqe = kunit_kzalloc(test, sizeof(*wqe), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, wqe);
	wqe->bind.addr = addr;
	wqe->bind.length = length;
	wqe->bind.mr_lkey = mr;
	wqe->bind.mw_rkey = window;
	wqe->bind.rkey = window + 1;
	wqe->bind.access = access;
	return qpemu_mem_bind(w->qp[qp], wqe);
}

static u32 next_key(u32 key)
{
	return (key & ~0xff) | ((key + 1) & 0xff);
}

static void test_window_type1(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 3, 0, IB_ACCESS_LOCAL_WRITE | IB_ACCESS_MW_BIND);
	struct ib_mr *plain = reg_mr(test, 3, 0, IB_ACCESS_LOCAL_WRITE);
	struct ib_mr *readonly = reg_mr(test, 3, 0, IB_ACCESS_MW_BIND);
	struct ib_mw *ibmw = alloc_mw(test, IB_MW_TYPE_1);
	u64 at = 0x10000 + PAGE_SIZE;
	u32 key = ibmw->rkey;

	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 8, IB_ACCESS_REMOTE_READ), -EINVAL);
	/* Rights, bounds, domains, nonsense. */
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, plain->lkey, at, 100, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, readonly->lkey, at, 100,
				   IB_ACCESS_REMOTE_WRITE), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 2 * PAGE_SIZE + 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, U64_MAX, 2, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 2, key, ibmr->lkey, at, 100, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 100, IB_ZERO_BASED), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 100, IB_ACCESS_MW_BIND),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, key, at, 100, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, 0, at, 100, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, ibmr->rkey, ibmr->lkey, at, 100, 0), -EINVAL);

	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 100,
				   IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 8, IB_ACCESS_REMOTE_WRITE), -EINVAL);
	key = next_key(key);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 100, IB_ACCESS_REMOTE_WRITE), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], key, at, 100, IB_ACCESS_REMOTE_WRITE), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[2], key, at, 100, IB_ACCESS_REMOTE_WRITE), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 101, IB_ACCESS_REMOTE_WRITE), -ERANGE);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at - 1, 2, IB_ACCESS_REMOTE_WRITE),
			-ERANGE);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 1, IB_ACCESS_REMOTE_READ), -EACCES);
	/* It is no lkey, and not to be invalidated. */
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 1, IB_ACCESS_LOCAL_WRITE), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key, false), -EINVAL);
	/* The memory stays as long as it is bound. */
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], ibmr->lkey, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->lkey, at, 1, 0), 0);

	/* Bound anew, to other bytes, then to none. */
	KUNIT_EXPECT_EQ(test, bind(test, 1, key, ibmr->lkey, 0x10000, 8, IB_ACCESS_REMOTE_READ), 0);
	key = next_key(key);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0x10000, 8, IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 1, IB_ACCESS_REMOTE_READ), -ERANGE);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, 0, 0, 0, 0), 0);
	key = next_key(key);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0x10000, 8, IB_ACCESS_REMOTE_READ),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], ibmr->lkey, false), 0);
	KUNIT_EXPECT_EQ(test, qpemu_dealloc_mw(ibmw), 0);
}

static void test_window_type2(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 3, 0, RW | IB_ACCESS_MW_BIND);
	struct ib_mw *ibmw = alloc_mw(test, IB_MW_TYPE_2);
	u64 at = 0x10000 + PAGE_SIZE + 8;
	u32 key = ibmw->rkey;
	struct qpemu_region *region;
	u64 word = 0x1234;

	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 64,
				   IB_ZERO_BASED | IB_ACCESS_REMOTE_READ), 0);
	/* Bound it stays until it is invalidated, by whom bound it. */
	key = next_key(key);
	KUNIT_EXPECT_EQ(test, bind(test, 0, key, ibmr->lkey, at, 64, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], key, 0, 64, IB_ACCESS_REMOTE_READ), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0, 64, IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0, 65, IB_ACCESS_REMOTE_READ), -ERANGE);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, at, 1, IB_ACCESS_REMOTE_READ), -ERANGE);

	*(u64 *)(page_address(w->page[1]) + 8 + 56) = word;
	region = qpemu_region_get(w->qp[0], key, 56, 8, IB_ACCESS_REMOTE_READ);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	word = 0;
	KUNIT_EXPECT_EQ(test, qpemu_region_read(region, 56, &word, 8), 0);
	KUNIT_EXPECT_EQ(test, word, 0x1234);
	qpemu_region_put(region);

	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[1], key, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], key, true), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0, 64, IB_ACCESS_REMOTE_READ), -EINVAL);

	/* It can be bound again, and a window that goes lets go of its memory. */
	KUNIT_EXPECT_EQ(test, bind(test, 1, key, ibmr->lkey, at, 64, IB_ACCESS_REMOTE_WRITE), 0);
	key = next_key(key);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], key, at, 64, IB_ACCESS_REMOTE_WRITE), 0);
	KUNIT_EXPECT_EQ(test, qpemu_dealloc_mw(ibmw), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], key, at, 64, IB_ACCESS_REMOTE_WRITE), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_mem_invalidate(w->qp[0], ibmr->lkey, false), 0);
}

/*
 * Atomics
 */

#define ROUNDS	100000

struct adder {
	struct work_struct work;
	struct qpemu_qp *qp;
	u32 key;
	bool done;
};

static void add_often(struct work_struct *work)
{
	struct adder *adder = container_of(work, struct adder, work);
	struct qpemu_region *region;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		region = qpemu_region_get(adder->qp, adder->key, 0x10008, 8,
					  IB_ACCESS_REMOTE_ATOMIC);
		if (IS_ERR(region))
			break;
		qpemu_region_fetch_add(region, 0x10008, 1);
		qpemu_region_put(region);
	}
	WRITE_ONCE(adder->done, true);
}

static void test_atomics(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 2, 0, IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_ATOMIC);
	u64 *word = page_address(w->page[0]) + 8;
	struct qpemu_region *region;
	struct adder adder = { .qp = w->qp[0], .key = ibmr->rkey };
	u64 sum = ROUNDS;

	region = qpemu_region_get(w->qp[0], ibmr->rkey, 0x10008, 8, IB_ACCESS_REMOTE_ATOMIC);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	*word = 5;
	KUNIT_EXPECT_EQ(test, qpemu_region_fetch_add(region, 0x10008, U64_MAX), 5);
	KUNIT_EXPECT_EQ(test, *word, 4);
	KUNIT_EXPECT_EQ(test, qpemu_region_cmp_swap(region, 0x10008, 5, 9), 4);
	KUNIT_EXPECT_EQ(test, *word, 4);
	KUNIT_EXPECT_EQ(test, qpemu_region_cmp_swap(region, 0x10008, 4, 9), 4);
	KUNIT_EXPECT_EQ(test, *word, 9);
	qpemu_region_store(region, 0x10008, 77);
	KUNIT_EXPECT_EQ(test, *word, 77);
	KUNIT_EXPECT_EQ(test, word[-1], 0);
	KUNIT_EXPECT_EQ(test, word[1], 0);
	qpemu_region_put(region);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, 0x1000c, 8,
					 IB_ACCESS_REMOTE_ATOMIC), -ERANGE);

	/* Against another CPU, and against the owner of the memory. */
	*word = 0;
	INIT_WORK_ONSTACK(&adder.work, add_often);
	queue_work(system_unbound_wq, &adder.work);
	for (; !READ_ONCE(adder.done); sum++) {
		atomic64_inc((atomic64_t *)word);
		if (sum % 1024 == 0)
			cond_resched();
	}
	flush_work(&adder.work);
	destroy_work_on_stack(&adder.work);
	KUNIT_EXPECT_EQ(test, *word, sum);
}

/* Where a multiple of 8 as the consumer counts is none in memory. */
static void test_skewed(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = alloc_mr(test, PAGE_SIZE);
	unsigned int offset = 4;
	struct qpemu_region *region;
	u64 word = 0;

	KUNIT_ASSERT_EQ(test, qpemu_map_mr_sg(ibmr, w->sg, 2, &offset), 2);
	ibmr->iova = 0x10000;
	KUNIT_ASSERT_EQ(test, qpemu_mem_fast_reg(w->qp[0], ibmr, ibmr->rkey,
						 RW | IB_ACCESS_REMOTE_ATOMIC), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, 0x10000, 8,
					 IB_ACCESS_REMOTE_ATOMIC), -ERANGE);
	/* This one straddles the pages. */
	region = qpemu_region_get(w->qp[0], ibmr->rkey, 0x10000 + PAGE_SIZE - 8, 8,
				  IB_ACCESS_REMOTE_WRITE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	qpemu_region_store(region, 0x10000 + PAGE_SIZE - 8, 0x0123456789abcdef);
	KUNIT_EXPECT_EQ(test, qpemu_region_read(region, 0x10000 + PAGE_SIZE - 8, &word, 8), 0);
	qpemu_region_put(region);
	KUNIT_EXPECT_EQ(test, word, 0x0123456789abcdef);
	KUNIT_EXPECT_NE(test, *(u32 *)page_address(w->page[1]), 0);
}

/*
 * Fragments
 */

static void test_frags(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, PAGES, 100, RW);
	struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);
	u32 length = 3 * PAGE_SIZE;
	struct qpemu_sge sge = { .addr = ibmr->iova, .length = ibmr->length, .lkey = ibmr->lkey };
	u8 *out = kunit_kzalloc(test, length, GFP_KERNEL);
	u8 *in = kunit_kzalloc(test, length, GFP_KERNEL);
	int before = page_count(w->page[1]);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, out);
	KUNIT_ASSERT_NOT_NULL(test, in);
	pattern(out, length, 3);
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, out, length), 0);
	KUNIT_EXPECT_EQ(test, qpemu_sges_frags(w->qp[0], &sge, 1, 0, length, skb), 0);
	KUNIT_EXPECT_EQ(test, skb->len, length);
	KUNIT_EXPECT_EQ(test, skb->data_len, length);
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->nr_frags, 4);
	KUNIT_EXPECT_EQ(test, page_count(w->page[1]), before + 1);
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, 0, in, length), 0);
	KUNIT_EXPECT_MEMEQ(test, in, out, length);

	/* What the pages hold now is what goes out. */
	memset(page_address(w->page[1]), 0xaa, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, PAGE_SIZE, in, 1), 0);
	KUNIT_EXPECT_EQ(test, in[0], 0xaa);

	/* To the list's second half it does not matter where the first ended. */
	KUNIT_EXPECT_EQ(test, qpemu_sges_frags(w->qp[0], &sge, 1, length,
					       13 * PAGE_SIZE, skb), -EMSGSIZE);
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, page_count(w->page[1]), before);
}

/* Pages of one folio are one fragment; a slab object is copied. */
static void test_frags_kernel(struct kunit *test)
{
	struct world *w = test->priv;
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);
	struct ib_mr *dma = qpemu_get_dma_mr(&w->pd[0], IB_ACCESS_LOCAL_WRITE);
	struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);
	u8 *object = kunit_kzalloc(test, 300, GFP_KERNEL);
	struct qpemu_sge sge[2];
	u8 byte = 1;

	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, object);
	sge[0] = (struct qpemu_sge) {
		.addr = (uintptr_t)page_address(block) + 10,
		.length = 3 * PAGE_SIZE,
		.lkey = dma->lkey,
	};
	sge[1] = (struct qpemu_sge) {
		.addr = (uintptr_t)object,
		.length = 300,
		.lkey = dma->lkey,
	};
	KUNIT_EXPECT_EQ(test, qpemu_sges_frags(w->qp[0], sge, 2, 0, 3 * PAGE_SIZE + 300, skb), 0);
	KUNIT_EXPECT_EQ(test, skb_shinfo(skb)->nr_frags, 2);
	KUNIT_EXPECT_EQ(test, skb->len, 3 * PAGE_SIZE + 300);
	KUNIT_EXPECT_EQ(test, page_count(block), 2);
	object[7] = 42;
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, 3 * PAGE_SIZE + 7, &byte, 1), 0);
	KUNIT_EXPECT_EQ(test, byte, 0);
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, page_count(block), 1);
	__free_pages(block, 2);
	qpemu_dereg_mr(dma, NULL);
}

/* All of memory, but nothing that is none. */
static void test_dma_mr(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *dma = qpemu_get_dma_mr(&w->pd[0], RW);
	u64 word = 7, at = (uintptr_t)page_address(w->page[3]) + 24;
	struct qpemu_sge sge;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma);
	sge = (struct qpemu_sge) { .addr = at, .length = 8, .lkey = dma->lkey };
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, &word, 8), 0);
	KUNIT_EXPECT_EQ(test, *(u64 *)(uintptr_t)at, 7);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], dma->rkey, at, 8, IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], dma->rkey, 8, 8, IB_ACCESS_REMOTE_READ),
			-ERANGE);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], dma->rkey, U64_MAX - 3, 8,
					 IB_ACCESS_REMOTE_READ), -ERANGE);
	qpemu_dereg_mr(dma, NULL);
}

/* The same for a list of a user in the kernel, by a key that nobody has to make. */
static void test_local_dma(struct kunit *test)
{
	struct world *w = test->priv;
	u64 word = 7, at = (uintptr_t)page_address(w->page[3]) + 24;
	struct qpemu_sge sge = { .addr = at, .length = 8, .lkey = QPEMU_LOCAL_DMA_LKEY };
	struct ib_uqp_object *process = kunit_kzalloc(test, 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, process);
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, &word, 8), 0);
	KUNIT_EXPECT_EQ(test, *(u64 *)(uintptr_t)at, 7);
	word = 0;
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], &sge, 1, 4, &word, 4), 0);
	KUNIT_EXPECT_EQ(test, word, 0);
	/* Not for a peer, nor for a process */
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], QPEMU_LOCAL_DMA_LKEY, at, 8,
					 IB_ACCESS_REMOTE_READ), -EINVAL);
	w->qp[0]->ibqp.uobject = process;
	KUNIT_EXPECT_EQ(test, qpemu_sges_read(w->qp[0], &sge, 1, 0, &word, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_sges_write(w->qp[0], &sge, 1, 0, &word, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, *(u64 *)(uintptr_t)at, 7);
}

static void test_flush(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg_mr(test, 3, 100, RW | IB_ACCESS_FLUSH_GLOBAL);
	struct qpemu_region *region;

	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, ibmr->iova, 0,
					 IB_ACCESS_FLUSH_PERSISTENT), -EACCES);
	region = qpemu_region_get(w->qp[0], ibmr->rkey, ibmr->iova, 8, IB_ACCESS_FLUSH_GLOBAL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_EQ(test, qpemu_region_flush(region, ibmr->iova, 8, IB_FLUSH_GLOBAL,
						 IB_FLUSH_RANGE), 0);
	KUNIT_EXPECT_EQ(test, qpemu_region_flush(region, 0, 0, IB_FLUSH_PERSISTENT,
						 IB_FLUSH_MR), 0);
	qpemu_region_put(region);
}

/*
 * Changes wait for accesses
 */

struct change {
	struct work_struct work;
	struct kunit *test;
	u32 key;
	bool done;
};

static void invalidate(struct work_struct *work)
{
	struct change *change = container_of(work, struct change, work);
	struct world *w = change->test->priv;

	KUNIT_EXPECT_EQ(change->test, qpemu_mem_invalidate(w->qp[0], change->key, false), 0);
	WRITE_ONCE(change->done, true);
}

static void rebind(struct work_struct *work)
{
	struct change *change = container_of(work, struct change, work);

	KUNIT_EXPECT_EQ(change->test, bind(change->test, 0, change->key, 0, 0, 0, 0), 0);
	WRITE_ONCE(change->done, true);
}

static void check_wait(struct kunit *test, u32 key, work_func_t func)
{
	struct world *w = test->priv;
	struct change change = { .test = test, .key = key };
	struct qpemu_region *region;

	region = qpemu_region_get(w->qp[0], key, 0x10000, 8, IB_ACCESS_REMOTE_READ);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	INIT_WORK_ONSTACK(&change.work, func);
	queue_work(system_unbound_wq, &change.work);
	while (READ_ONCE(region->state) == QPEMU_REGION_VALID && !READ_ONCE(change.done))
		cpu_relax();
	mdelay(5);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(change.done));
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, 0x10000, 8, IB_ACCESS_REMOTE_READ),
			-EINVAL);
	qpemu_region_put(region);
	flush_work(&change.work);
	destroy_work_on_stack(&change.work);
	KUNIT_EXPECT_TRUE(test, change.done);
}

static void test_waits(struct kunit *test)
{
	struct ib_mr *ibmr = reg_mr(test, 1, 0, RW | IB_ACCESS_MW_BIND);
	struct ib_mw *ibmw = alloc_mw(test, IB_MW_TYPE_1);

	/* Who waits keeps its CPU. */
	if (num_online_cpus() < 2) {
		qpemu_dealloc_mw(ibmw);
		kunit_skip(test, "one CPU");
	}
	KUNIT_EXPECT_EQ(test, bind(test, 0, ibmw->rkey, ibmr->lkey, 0x10000, 8,
				   IB_ACCESS_REMOTE_READ), 0);
	check_wait(test, next_key(ibmw->rkey), rebind);
	qpemu_dealloc_mw(ibmw);
	check_wait(test, ibmr->rkey, invalidate);
}

static struct kunit_case mem_cases[] = {
	KUNIT_CASE(test_bounds),
	KUNIT_CASE(test_rights),
	KUNIT_CASE(test_lists),
	KUNIT_CASE(test_page_sizes),
	KUNIT_CASE(test_fast_reg),
	KUNIT_CASE(test_remote_invalidate),
	KUNIT_CASE(test_window_type1),
	KUNIT_CASE(test_window_type2),
	KUNIT_CASE(test_atomics),
	KUNIT_CASE(test_skewed),
	KUNIT_CASE(test_frags),
	KUNIT_CASE(test_frags_kernel),
	KUNIT_CASE(test_dma_mr),
	KUNIT_CASE(test_local_dma),
	KUNIT_CASE(test_flush),
	KUNIT_CASE(test_waits),
	{}
};

static struct kunit_suite mem_suite = {
	.name = "qpemu_mem",
	.init = make_world,
	.test_cases = mem_cases,
};

kunit_test_suite(mem_suite);
