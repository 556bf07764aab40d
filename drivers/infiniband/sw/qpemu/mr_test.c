// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of making, changing and sharing memory regions */
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/fdtable.h>
#include <linux/mman.h>
#include <linux/vmalloc.h>

#include "mem.h"
#include "verbs.h"

#define SIZE	(4 * PAGE_SIZE)
#define RW	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE)

/**
 * struct world - what a test has
 * @dev: a device that is registered with nobody
 * @pd: two protection domains
 * @qp: one queue pair of each
 * @user: SIZE bytes of user memory
 */
struct world {
	struct qpemu_dev *dev;
	struct ib_pd pd[2];
	struct qpemu_qp *qp[2];
	unsigned long user;
};

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->dev = kunit_kzalloc(test, sizeof(*w->dev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, w->dev);
	xa_init_flags(&w->dev->keys, XA_FLAGS_ALLOC1);
	for (i = 0; i < ARRAY_SIZE(w->qp); i++) {
		w->pd[i].device = &w->dev->ibdev;
		w->qp[i] = kunit_kzalloc(test, sizeof(*w->qp[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, w->qp[i]);
		w->qp[i]->ibqp.device = &w->dev->ibdev;
		w->qp[i]->ibqp.pd = &w->pd[i];
		w->qp[i]->ibqp.qp_num = 17 + i;
	}
	w->user = kunit_vm_mmap(test, NULL, 0, SIZE, PROT_READ | PROT_WRITE,
				MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, w->user, 0);
	return 0;
}

/* Every test deregisters what it registers. */
static void end_world(struct kunit *test)
{
	struct world *w = test->priv;

	KUNIT_EXPECT_TRUE(test, xa_empty(&w->dev->keys));
	xa_destroy(&w->dev->keys);
}

static struct ib_mr *reg(struct kunit *test, u32 offset, u32 length, int access)
{
	struct world *w = test->priv;
	u64 start = w->user + offset;
	struct ib_mr *ibmr = qpemu_reg_user_mr(&w->pd[0], start, length, start, access,
					       NULL, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ibmr);
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

static int write_word(struct qpemu_qp *qp, u32 key, u64 addr, u64 word)
{
	const struct qpemu_sge sge = { .addr = addr, .length = 8, .lkey = key };

	return qpemu_sges_write(qp, &sge, 1, 0, &word, sizeof(word));
}

static int read_word(struct qpemu_qp *qp, u32 key, u64 addr, u64 *word)
{
	const struct qpemu_sge sge = { .addr = addr, .length = 8, .lkey = key };

	return qpemu_sges_read(qp, &sge, 1, 0, word, sizeof(*word));
}

static u64 user_word(struct kunit *test, unsigned long addr)
{
	u64 word = 0;

	KUNIT_EXPECT_EQ(test, copy_from_user(&word, (void __user *)addr, sizeof(word)), 0);
	return word;
}

static void test_user(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg(test, 100, 2 * PAGE_SIZE, RW);
	u64 at = w->user + 100, word;
	u32 key = ibmr->lkey;

	/* One that straddles the pages. */
	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], ibmr->lkey, w->user + PAGE_SIZE - 3,
					 0x1234567890abcdef), 0);
	KUNIT_EXPECT_EQ(test, user_word(test, w->user + PAGE_SIZE - 3), 0x1234567890abcdef);
	KUNIT_EXPECT_EQ(test, read_word(w->qp[0], ibmr->lkey, w->user + PAGE_SIZE - 3, &word), 0);
	KUNIT_EXPECT_EQ(test, word, 0x1234567890abcdef);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, at, 2 * PAGE_SIZE,
					 IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, at, 2 * PAGE_SIZE + 1,
					 IB_ACCESS_REMOTE_READ), -ERANGE);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), 0);
	KUNIT_EXPECT_EQ(test, read_word(w->qp[0], key, at, &word), -EINVAL);
}

static void test_refused(struct kunit *test)
{
	struct world *w = test->priv;
	static const struct { int access, err; } cases[] = {
		{ IB_ACCESS_HUGETLB, -EOPNOTSUPP },
		/* Ordinary memory does not survive a loss of power. */
		{ IB_ACCESS_FLUSH_PERSISTENT, -EINVAL },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ib_mr *ibmr = qpemu_reg_user_mr(&w->pd[0], w->user, PAGE_SIZE, w->user,
						       cases[i].access, NULL, NULL);

		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ibmr), cases[i].err);
	}
	KUNIT_EXPECT_TRUE(test, IS_ERR(qpemu_reg_user_mr(&w->pd[0], w->user, 0, w->user,
							 RW, NULL, NULL)));
	KUNIT_EXPECT_TRUE(test, IS_ERR(qpemu_reg_user_mr(&w->pd[0], w->user + SIZE, PAGE_SIZE,
							 w->user, RW, NULL, NULL)));
}

static void test_zero_based(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg(test, 100, PAGE_SIZE, RW | IB_ZERO_BASED);

	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], ibmr->lkey, 4, 77), 0);
	KUNIT_EXPECT_EQ(test, user_word(test, w->user + 104), 77);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->lkey, w->user + 100, 8, 0), -ERANGE);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), 0);
}

/* Rights and domain change in place. */
static void test_rereg_in_place(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg(test, 0, PAGE_SIZE, RW);
	u32 key = ibmr->rkey;

	KUNIT_EXPECT_PTR_EQ(test, qpemu_rereg_user_mr(ibmr, IB_MR_REREG_ACCESS, 0, 0, 0,
						      IB_ACCESS_LOCAL_WRITE, NULL, NULL), NULL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, w->user, 8, IB_ACCESS_LOCAL_WRITE), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, w->user, 8, IB_ACCESS_REMOTE_READ),
			-EACCES);
	KUNIT_EXPECT_PTR_EQ(test, qpemu_rereg_user_mr(ibmr, IB_MR_REREG_PD | IB_MR_REREG_ACCESS,
						      0, 0, 0, RW, &w->pd[1], NULL), NULL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], key, w->user, 8, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], key, w->user, 8, IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, ibmr->rkey, key);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), 0);
}

/* Other memory is another region with another key, and ib_core forgets the old. */
static void test_rereg_memory(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *old = reg(test, 0, PAGE_SIZE, RW), *new;
	u64 start = w->user + 2 * PAGE_SIZE, word;

	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], old->lkey, w->user, 1), 0);
	new = qpemu_rereg_user_mr(old, IB_MR_REREG_TRANS, start, PAGE_SIZE, start, 0,
				  &w->pd[0], NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, new);
	KUNIT_EXPECT_EQ(test, read_word(w->qp[0], old->lkey, w->user, &word), -EINVAL);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(old, NULL), 0);
	/* It has the rights of the old one. */
	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], new->lkey, start, 2), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], new->rkey, start, 8, RW), 0);
	KUNIT_EXPECT_EQ(test, user_word(test, w->user), 1);
	KUNIT_EXPECT_EQ(test, user_word(test, start), 2);

	/* All at once. */
	old = new;
	new = qpemu_rereg_user_mr(old, IB_MR_REREG_TRANS | IB_MR_REREG_PD | IB_MR_REREG_ACCESS,
				  w->user, SIZE, w->user, IB_ACCESS_REMOTE_READ, &w->pd[1], NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, new);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(old, NULL), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], new->rkey, w->user, SIZE,
					 IB_ACCESS_REMOTE_READ), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[1], new->rkey, w->user, SIZE,
					 IB_ACCESS_LOCAL_WRITE), -EACCES);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(new, NULL), 0);
}

/* Memory that was pinned to be read only has to be pinned anew to be written. */
static void test_rereg_writable(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *old = reg(test, 8, PAGE_SIZE, 0), *new;

	new = qpemu_rereg_user_mr(old, IB_MR_REREG_ACCESS, 0, 0, 0, RW, &w->pd[0], NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, new);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(old, NULL), 0);
	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], new->lkey, w->user + 8, 5), 0);
	KUNIT_EXPECT_EQ(test, user_word(test, w->user + 8), 5);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(new, NULL), 0);
}

static int bind(struct kunit *test, const struct ib_mw *ibmw, const struct ib_mr *ibmr)
{
	struct world *w = test->priv;
	struct qpemu_wqe *wqe = kunit_kzalloc(test, sizeof(*wqe), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, wqe);
	wqe->bind.addr = ibmr->iova;
	wqe->bind.length = 8;
	wqe->bind.mr_lkey = ibmr->lkey;
	wqe->bind.mw_rkey = ibmw->rkey;
	wqe->bind.rkey = ibmw->rkey;
	return qpemu_mem_bind(w->qp[0], wqe);
}

/* A region that could not be changed is what it was. */
static void test_rereg_fails(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_mr *ibmr = reg(test, 0, PAGE_SIZE, RW | IB_ACCESS_MW_BIND), *ret;
	struct qpemu_mw *mw = kunit_kzalloc(test, sizeof(*mw), GFP_KERNEL);
	u64 nowhere = w->user + SIZE;

	KUNIT_ASSERT_NOT_NULL(test, mw);
	ret = qpemu_rereg_user_mr(ibmr, IB_MR_REREG_TRANS, nowhere, PAGE_SIZE, nowhere, 0,
				  &w->pd[0], NULL);
	KUNIT_EXPECT_TRUE(test, IS_ERR(ret));
	ret = qpemu_rereg_user_mr(ibmr, IB_MR_REREG_ACCESS, 0, 0, 0, IB_ACCESS_HUGETLB,
				  &w->pd[0], NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ret), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, w->user, PAGE_SIZE, RW), 0);

	/* Nor while a window is bound to it. */
	mw->ibmw.device = &w->dev->ibdev;
	mw->ibmw.pd = &w->pd[0];
	mw->ibmw.type = IB_MW_TYPE_1;
	KUNIT_ASSERT_EQ(test, qpemu_alloc_mw(&mw->ibmw, NULL), 0);
	KUNIT_EXPECT_EQ(test, bind(test, &mw->ibmw, ibmr), 0);
	ret = qpemu_rereg_user_mr(ibmr, IB_MR_REREG_PD, 0, 0, 0, 0, &w->pd[1], NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ret), -EBUSY);
	ret = qpemu_rereg_user_mr(ibmr, IB_MR_REREG_TRANS, w->user, SIZE, w->user, 0,
				  &w->pd[0], NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ret), -EBUSY);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, w->user, PAGE_SIZE, RW), 0);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, qpemu_dealloc_mw(&mw->ibmw), 0);
	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), 0);
}

/*
 * dma-bufs
 */

static struct sg_table *map_nothing(struct dma_buf_attachment *attach,
				    enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void unmap_nothing(struct dma_buf_attachment *attach, struct sg_table *table,
			  enum dma_data_direction dir)
{
}

static void keep(struct dma_buf *dmabuf)
{
}

static int give_vmalloc(struct dma_buf *dmabuf, struct iosys_map *map)
{
	iosys_map_set_vaddr(map, dmabuf->priv);
	return 0;
}

static const struct dma_buf_ops test_dma_buf_ops = {
	.map_dma_buf = map_nothing,
	.unmap_dma_buf = unmap_nothing,
	.release = keep,
	.vmap = give_vmalloc,
};

static void test_dmabuf(struct kunit *test)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct world *w = test->priv;
	struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);
	u8 *memory = vzalloc(SIZE);
	struct qpemu_sge sge;
	struct dma_buf *dmabuf;
	struct ib_mr *ibmr;
	u64 word;
	int fd;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	info.ops = &test_dma_buf_ops;
	info.size = SIZE;
	info.flags = O_RDWR;
	info.priv = memory;
	dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	KUNIT_ASSERT_GE(test, fd, 0);

	ibmr = qpemu_reg_user_mr_dmabuf(&w->pd[0], PAGE_SIZE, SIZE, 0x5000, fd, RW, NULL, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ibmr), -EINVAL);
	ibmr = qpemu_reg_user_mr_dmabuf(&w->pd[0], U64_MAX, 2, 0x5000, fd, RW, NULL, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ibmr), -EINVAL);
	ibmr = qpemu_reg_user_mr_dmabuf(&w->pd[0], 24, 2 * PAGE_SIZE, 0x5000, fd, RW, NULL, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ibmr);

	KUNIT_EXPECT_EQ(test, write_word(w->qp[0], ibmr->lkey, 0x5008, 42), 0);
	KUNIT_EXPECT_EQ(test, *(u64 *)(memory + 32), 42);
	KUNIT_EXPECT_EQ(test, read_word(w->qp[0], ibmr->lkey, 0x5008, &word), 0);
	KUNIT_EXPECT_EQ(test, word, 42);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, 0x5000, 2 * PAGE_SIZE,
					 IB_ACCESS_REMOTE_WRITE), 0);
	KUNIT_EXPECT_EQ(test, try_access(w->qp[0], ibmr->rkey, 0x5000 - 24, 8,
					 IB_ACCESS_REMOTE_WRITE), -ERANGE);
	/* Whose pages they are is not ours to know: packets have a copy. */
	sge = (struct qpemu_sge) { .addr = 0x5000, .length = 2 * PAGE_SIZE, .lkey = ibmr->lkey };
	KUNIT_EXPECT_EQ(test, qpemu_sges_frags(w->qp[0], &sge, 1, 0, 2 * PAGE_SIZE, skb), 0);
	memset(memory, 0xff, SIZE);
	KUNIT_EXPECT_EQ(test, skb_copy_bits(skb, 8, &word, sizeof(word)), 0);
	KUNIT_EXPECT_EQ(test, word, 42);

	KUNIT_EXPECT_EQ(test, qpemu_dereg_mr(ibmr, NULL), 0);
	kfree_skb(skb);
	close_fd(fd);
	vfree(memory);
}

static struct kunit_case mr_cases[] = {
	KUNIT_CASE(test_user),
	KUNIT_CASE(test_refused),
	KUNIT_CASE(test_zero_based),
	KUNIT_CASE(test_rereg_in_place),
	KUNIT_CASE(test_rereg_memory),
	KUNIT_CASE(test_rereg_writable),
	KUNIT_CASE(test_rereg_fails),
	KUNIT_CASE(test_dmabuf),
	{}
};

static struct kunit_suite mr_suite = {
	.name = "qpemu_mr",
	.init = make_world,
	.exit = end_world,
	.test_cases = mr_cases,
};

kunit_test_suite(mr_suite);
