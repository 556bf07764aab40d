// SPDX-License-Identifier: GPL-2.0
/* What work requests do, and what becomes of them */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define SQ		64
#define BUF		(1024 * 1024U)
#define SIGNALED	QP_SQE_SIGNALED

/* Two connected ends, a and b, with a registered buffer each */
FIXTURE(ops)
{
	struct lq a, b;
	struct qt_buf abuf, bbuf;
	const struct backend *be;
};

#define ENDS	FIXTURE_DATA(ops)

FIXTURE_VARIANT(ops)
{
	const struct backend *be;
};

VARIANTS(ops)

static struct qp_desc ops_desc(const struct backend *be)
{
	struct qp_desc d = lq_desc(SQ, SQ, 4 * SQ);

	d.max_sge = be->max_sge;
	d.max_inline = 256;
	return d;
}

static int open_ends(ENDS *self)
{
	struct qp_desc d = ops_desc(self->be);

	return qt_pair(self->be, &self->a, &self->b, 0, &d) ||
	       qt_buf(&self->abuf, self->a.fd, BUF, LQ_ACCESS_ALL) ||
	       qt_buf(&self->bbuf, self->b.fd, BUF, LQ_ACCESS_ALL);
}

static void close_ends(ENDS *self)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
}

FIXTURE_SETUP(ops)
{
	self->be = variant->be;
	ASSERT_EQ(0, open_ends(self)) {
		TH_LOG("%s", strerror(errno));
	}
}

FIXTURE_TEARDOWN(ops)
{
	close_ends(self);
}

#define HAS(flag)	(self->be->flags & (flag))

/*
 * A WRITE of iWARP is complete when TCP has it. A READ behind it comes back
 * when it is in place.
 */
static int placed(ENDS *self)
{
	struct qp_cqe c = { 0 };
	struct qt_buf buf;
	int err;

	if (HAS(F_WRITE_ACK))
		return 0;
	err = qt_buf(&buf, self->a.fd, 8, QP_ACCESS_LOCAL_WRITE) ||
	      POST(&self->a, .op = QP_OP_READ, .flags = SIGNALED, .p = buf.p,
		   .len = 8, .lkey = buf.mem.lkey,
		   .raddr = (unsigned long)self->bbuf.p,
		   .rkey = self->bbuf.mem.rkey) ||
	      lq_wait(&self->a, &c, LONG_MS) || c.status ||
	      lq_mem_dereg(self->a.fd, buf.mem.lkey);
	qt_unbuf(&buf);
	return err;
}

#define EXPECT_PLACED()	EXPECT_EQ(0, placed(self))

/*
 * iWARP has no RNR NAK: a message that finds no receive ends the connection.
 * Tests in which messages wait for receives see to that there instead.
 */
#define NEEDS_RNR() do {						\
	if (HAS(F_RNR))							\
		break;							\
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 1));	\
	EXPECT_FAILURE(self->be, &self->a, 1, 0, 0);			\
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->b.fd, 0, LONG_MS));	\
	return;								\
} while (0)

/* What the backend does not have is refused as it is posted */
#define EXPECT_UNSUPPORTED(op_, ...)					\
	EXPECT_ERRNO(EOPNOTSUPP, POST(&self->a, .op = op_, ##__VA_ARGS__))

/* The rest of a request that names a's or b's buffer */
#define LOCAL(off, n)	.p = self->abuf.p + (off), .len = (n),		\
			.lkey = self->abuf.mem.lkey
#define REMOTE(off)	.raddr = (unsigned long)self->bbuf.p + (off),	\
			.rkey = self->bbuf.mem.rkey

#define RECV_B(id_, off, n)						\
	ASSERT_EQ(0, lq_post_recv(&self->b, id_, self->bbuf.p + (off), n, \
				  self->bbuf.mem.lkey))

static const __u32 sizes[] = {
	0, 1, 7, 8, 9, 63, 64, 65, 1000, 4095, 4096, 4097, 8191, 8192, 8193,
	65535, 65536, 65537, 500001,
};

/* Data must arrive whole, and nothing beside it may change */
#define EXPECT_WITHIN(buf, off, n, seed, around) do {			\
	EXPECT_EQ(-1, qt_differ((buf) + (off), n, seed));		\
	EXPECT_TRUE(qt_all((buf), off, around));			\
	EXPECT_TRUE(qt_all((buf) + (off) + (n), 64, around));		\
} while (0)

TEST_F(ops, send_sizes)
{
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		__u32 n = sizes[i], at = 4000 + i;
		struct qp_cqe c;

		memset(self->bbuf.p, 0xee, BUF);
		qt_fill(self->abuf.p + i, n, i);
		RECV_B(i, at, n + 10);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 100 + i,
				  .flags = SIGNALED, LOCAL(i, n)));
		c = EXPECT_CQE(&self->a, 100 + i, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_EQ(0, c.byte_len);
		EXPECT_EQ(0, c.flags);
		c = EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(n, c.byte_len);
		EXPECT_EQ(0, c.flags);
		EXPECT_EQ(0, c.resv);
		EXPECT_WITHIN(self->bbuf.p, at, n, i, 0xee);
	}
}

TEST_F(ops, write_sizes)
{
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		__u32 n = sizes[i], at = 4090 + i;
		struct qp_cqe c;

		memset(self->bbuf.p, 0xee, BUF);
		qt_fill(self->abuf.p + i, n, i);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = i,
				  .flags = SIGNALED, LOCAL(i, n), REMOTE(at)));
		c = EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_WRITE);
		EXPECT_EQ(0, c.byte_len);
		EXPECT_PLACED();
		EXPECT_WITHIN(self->bbuf.p, at, n, i, 0xee);
	}
	EXPECT_EQ(0, lq_used(&self->b.cq));
}

TEST_F(ops, read_sizes)
{
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		__u32 n = sizes[i], at = 4090 + i;
		struct qp_cqe c;

		memset(self->abuf.p, 0xee, BUF);
		qt_fill(self->bbuf.p + i, n, i);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .id = i,
				  .flags = SIGNALED, LOCAL(at, n), REMOTE(i)));
		c = EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_READ);
		EXPECT_EQ(n, c.byte_len);
		EXPECT_WITHIN(self->abuf.p, at, n, i, 0xee);
	}
	EXPECT_EQ(0, lq_used(&self->b.cq));
}

/* A request with a list of n entries over a's buffer, every third byte run */
static int post_list(ENDS *self, __u8 op, __u32 n, __u32 each,
		     __u64 raddr)
{
	struct qp_sqe *sqe = lq_sqe(&self->a, op, SIGNALED, n);

	for (__u32 i = 0; i < n; i++)
		lq_sqe_sge(sqe, self->abuf.p + 3 * i * each, each,
			   self->abuf.mem.lkey);
	if (raddr)
		lq_sqe_remote(sqe, raddr, self->bbuf.mem.rkey);
	lq_submit(&self->a.sq);
	return lq_enter(&self->a, 1, 0, 0);
}

TEST_F(ops, lists)
{
	const __u32 each = 5003;

	const __u32 max = variant->be->max_sge;

	for (__u32 n = 1; n <= max; n++) {
		struct qp_rqe *rqe;
		struct qp_cqe c;
		__u32 left = n * each;

		for (__u32 i = 0; i < n; i++)
			qt_fill(self->abuf.p + 3 * i * each, each, i);

		/* gather from n entries, scatter to other cuts */
		memset(self->bbuf.p, 0, BUF);
		rqe = lq_rqe(&self->b, n);
		for (__u32 i = 0; i < max; i++) {
			__u32 len = i == max - 1 ? left :
				    left / max + i % 3 - 1;

			lq_rqe_sge(rqe, self->bbuf.p + n * each - left, len,
				   self->bbuf.mem.lkey);
			left -= len;
		}
		ASSERT_EQ(0, lq_submit_recv(&self->b));
		ASSERT_EQ(1, post_list(self, QP_OP_SEND, n, each, 0));
		EXPECT_CQE(&self->a, n, QP_WC_SUCCESS, QP_OP_SEND);
		c = EXPECT_CQE(&self->b, n, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(n * each, c.byte_len);
		for (__u32 i = 0; i < n; i++)
			EXPECT_EQ(-1, qt_differ(self->bbuf.p + i * each, each,
						i));

		/* the same by WRITE */
		memset(self->bbuf.p, 0, BUF);
		ASSERT_EQ(1, post_list(self, QP_OP_WRITE, n, each,
				       (unsigned long)self->bbuf.p + 1));
		EXPECT_CQE(&self->a, n, QP_WC_SUCCESS, QP_OP_WRITE);
		EXPECT_PLACED();
		for (__u32 i = 0; i < n; i++)
			EXPECT_EQ(-1, qt_differ(self->bbuf.p + 1 + i * each,
						each, i));

		/* and back by READ */
		if (n > variant->be->max_sge_rd) {
			EXPECT_ERRNO(EOPNOTSUPP,
				     post_list(self, QP_OP_READ, n, each,
					       (unsigned long)self->bbuf.p));
			lq_store(self->a.sq.tail, *self->a.sq.tail - 1);
			continue;
		}
		memset(self->abuf.p, 0, BUF);
		ASSERT_EQ(1, post_list(self, QP_OP_READ, n, each,
				       (unsigned long)self->bbuf.p + 1));
		c = EXPECT_CQE(&self->a, n, QP_WC_SUCCESS, QP_OP_READ);
		EXPECT_EQ(n * each, c.byte_len);
		for (__u32 i = 0; i < n; i++) {
			EXPECT_EQ(-1, qt_differ(self->abuf.p + 3 * i * each,
						each, i));
			EXPECT_TRUE(qt_all(self->abuf.p + (3 * i + 1) * each,
					   2 * each, 0));
		}
	}
}

/* Entries of no length, with any key, are nothing */
TEST_F(ops, empty_entries)
{
	struct qp_sqe *sqe = lq_sqe(&self->a, QP_OP_SEND, SIGNALED, 1);
	struct qp_rqe *rqe = lq_rqe(&self->b, 2);
	struct qp_cqe c;

	lq_sqe_sge(sqe, NULL, 0, 0xdead);
	lq_sqe_sge(sqe, self->abuf.p, 3, self->abuf.mem.lkey);
	lq_sqe_sge(sqe, NULL, 0, 0);
	lq_sqe_sge(sqe, self->abuf.p + 3, 2, self->abuf.mem.lkey);
	lq_rqe_sge(rqe, NULL, 0, 0xdead);
	lq_rqe_sge(rqe, self->bbuf.p, 64, self->bbuf.mem.lkey);
	memcpy(self->abuf.p, "hello", 5);
	ASSERT_EQ(0, lq_submit_recv(&self->b));
	lq_submit(&self->a.sq);
	ASSERT_EQ(1, lq_enter(&self->a, 1, 0, 0));
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_SEND);
	c = EXPECT_CQE(&self->b, 2, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(5, c.byte_len);
	EXPECT_EQ(0, memcmp(self->bbuf.p, "hello", 5));
}

/*
 * 1 GiB, the longest message: sixteen times the same 64 MiB. A network takes as
 * many of them as it can, smaller ones where the kernel checks itself, and with
 * rxe and siw: packets cost more then than bytes do.
 */
static __u32 longest_piece(const struct backend *be)
{
	const __u32 piece = QP_MAX_MSG / QP_MAX_SGE;

	if (be->flags & F_LOCAL)
		return piece;
	if (qt_debug_kernel() || be->flags & F_RXE ||
	    be->protocol == QP_PROTO_IWARP)
		return piece / 16;
	return piece;
}

TEST_F_TIMEOUT(ops, longest, 240)
{
	const __u32 max = variant->be->max_sge;
	const __u32 piece = longest_piece(variant->be);
	struct qt_buf src, dst;
	struct qp_rqe *rqe;
	struct qp_sqe *sqe;
	struct qp_cqe c;

	if (qt_buf(&src, self->a.fd, piece, QP_ACCESS_LOCAL_WRITE) ||
	    qt_buf(&dst, self->b.fd, piece, QP_ACCESS_LOCAL_WRITE))
		SKIP(return, "no memory: %s", strerror(errno));
	qt_fill(src.p, piece, 1);
	rqe = lq_rqe(&self->b, 1);
	sqe = lq_sqe(&self->a, QP_OP_SEND, SIGNALED, 2);
	for (int i = 0; i < max; i++) {
		lq_rqe_sge(rqe, dst.p, piece, dst.mem.lkey);
		lq_sqe_sge(sqe, src.p, piece, src.mem.lkey);
	}
	lq_submit(&self->a.sq);
	ASSERT_EQ(0, lq_submit_recv(&self->b));
	ASSERT_EQ(1, lq_enter(&self->a, 1, 0, 0));
	EXPECT_CQE(&self->a, 2, QP_WC_SUCCESS, QP_OP_SEND);
	c = EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(max * piece, c.byte_len);
	EXPECT_EQ(-1, qt_differ(dst.p, piece, 1));

	/* one byte more than 1 GiB is too much */
	sqe = lq_sqe(&self->a, QP_OP_SEND, SIGNALED, 3);
	for (int i = 0; i < max; i++)
		lq_sqe_sge(sqe, src.p,
			   QP_MAX_MSG / max + (i ? 0 : QP_MAX_MSG % max + 1),
			   src.mem.lkey);
	lq_submit(&self->a.sq);
	EXPECT_ERRNO(EINVAL, lq_enter(&self->a, 1, 0, 0));
	/* and lengths do not wrap */
	for (int i = 0; i < max; i++)
		sqe->sge[i].length = i < 2 ? 1U << 31 : 0;
	EXPECT_ERRNO(EINVAL, lq_enter(&self->a, 1, 0, 0));
	for (int i = 0; i < max; i++)
		sqe->sge[i].length = -1;
	EXPECT_ERRNO(EINVAL, lq_enter(&self->a, 1, 0, 0));
	qt_unbuf(&src);
	qt_unbuf(&dst);
}

/*
 * Lengths in a receive do not wrap either: sixteen of 2^28 are 2^32. Only the
 * pipe looks no further than a message reaches; to a device all of a list is
 * there, or it fails.
 */
TEST_F_CORE(ops, receive_of_4_gib)
{
	struct qp_rqe *rqe = lq_rqe(&self->b, 1);
	struct qp_cqe c;

	for (int i = 0; i < QP_MAX_SGE; i++)
		lq_rqe_sge(rqe, self->bbuf.p, i ? 1U << 28 : 1000,
			   self->bbuf.mem.lkey);
	rqe->sge[1].length = (1U << 28) - 1000 + (1U << 28);
	ASSERT_EQ(0, lq_submit_recv(&self->b));
	qt_fill(self->abuf.p, 500, 3);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .flags = SIGNALED,
			  LOCAL(0, 500)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_SEND);
	c = EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(500, c.byte_len);
	EXPECT_EQ(-1, qt_differ(self->bbuf.p, 500, 3));
}

TEST_F(ops, inline_data)
{
	__u32 max = self->a.desc.max_inline;
	unsigned char data[QP_MAX_INLINE];
	struct qp_cqe c;

	qt_fill(data, sizeof(data), 5);
	for (__u32 n = 0; n <= max; n += n < 20 ? 1 : 59) {
		RECV_B(n, 8, BUF - 8);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .p = data,
				  .len = n, .flags = QP_SQE_INLINE));
		/* the slot is ours again at once */
		memset(lq_entry(&self->a.sq, *self->a.sq.tail - 1), 0xff,
		       self->a.sq.entry_size);
		c = EXPECT_CQE(&self->b, n, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(n, c.byte_len);
		EXPECT_EQ(-1, qt_differ(self->bbuf.p + 8, n, 5));
	}
	memset(self->bbuf.p, 0, BUF);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 9, .p = data,
			  .len = max, .flags = QP_SQE_INLINE | SIGNALED,
			  REMOTE(100)));
	EXPECT_CQE(&self->a, 9, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_PLACED();
	EXPECT_WITHIN(self->bbuf.p, 100, max, 5, 0);
}

/* Inline data posted before there is a receive is kept by the kernel */
TEST_F(ops, inline_waits)
{
	char data[8];

	NEEDS_RNR();
	for (int i = 0; i < 8; i++) {
		memset(data, 'a' + i, 8);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .p = data,
				  .len = 8, .flags = QP_SQE_INLINE));
		memset(lq_entry(&self->a.sq, i), 0, self->a.sq.entry_size);
	}
	for (int i = 0; i < 8; i++)
		RECV_B(i, i * 8, 8);
	for (int i = 0; i < 8; i++) {
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_TRUE(qt_all(self->bbuf.p + i * 8, 8, 'a' + i));
	}
}

TEST_F(ops, immediate)
{
	struct qp_cqe c;

	if (!HAS(F_IMM)) {
		EXPECT_UNSUPPORTED(QP_OP_SEND_IMM, LOCAL(0, 10));
		EXPECT_UNSUPPORTED(QP_OP_WRITE_IMM, LOCAL(0, 10), REMOTE(0));
		return;
	}
	RECV_B(1, 0, 64);
	RECV_B(2, 0, 64);
	ASSERT_EQ(0, lq_post_recv(&self->b, 3, NULL, 0, 0));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND_IMM, .imm = 0xdeadbeef,
			  LOCAL(0, 10)));
	c = EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(QP_CQE_IMM, c.flags);
	EXPECT_EQ(0xdeadbeef, c.imm_data);
	EXPECT_EQ(10, c.byte_len);

	/* WRITE with immediate takes a receive, but not its buffer */
	qt_fill(self->abuf.p, 100, 8);
	memset(self->bbuf.p, 0, BUF);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE_IMM, .imm = 0,
			  .flags = SIGNALED, LOCAL(0, 100), REMOTE(1000)));
	c = EXPECT_CQE(&self->b, 2, QP_WC_SUCCESS, QP_OP_RECV_WRITE_IMM);
	EXPECT_EQ(QP_CQE_IMM, c.flags);
	EXPECT_EQ(0, c.imm_data);
	EXPECT_EQ(100, c.byte_len);
	EXPECT_WITHIN(self->bbuf.p, 1000, 100, 8, 0);
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE_IMM);

	/* of no bytes, into a receive without memory */
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE_IMM, .imm = 7));
	c = EXPECT_CQE(&self->b, 3, QP_WC_SUCCESS, QP_OP_RECV_WRITE_IMM);
	EXPECT_EQ(7, c.imm_data);
	EXPECT_EQ(0, c.byte_len);
}

/* WRITE with immediate waits for a receive like a SEND, its data with it */
TEST_F(ops, write_imm_waits)
{
	NEEDS_RNR();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE_IMM, .imm = 1,
			  .flags = SIGNALED, LOCAL(0, 100), REMOTE(0)));
	EXPECT_NO_CQE(&self->a);
	ASSERT_EQ(0, lq_post_recv(&self->b, 3, NULL, 0, 0));
	EXPECT_CQE(&self->b, 3, QP_WC_SUCCESS, QP_OP_RECV_WRITE_IMM);
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE_IMM);
}

TEST_F(ops, unsignalled)
{
	/* many more than there is room for completions */
	for (int i = 0; i < 10 * SQ; i++) {
		ASSERT_EQ(0, POST_LATER(self->be, &self->a, .op = QP_OP_WRITE,
					.id = i, LOCAL(0, 8), REMOTE(8 * i))) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	ASSERT_EQ(0, POST_LATER(self->be, &self->a, .op = QP_OP_WRITE,
				.id = 9999, .flags = SIGNALED, LOCAL(0, 8),
				REMOTE(0)));
	EXPECT_CQE(&self->a, 9999, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_NO_CQE(&self->a);

	/* a failure is never silent */
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 5, LOCAL(0, 8),
			  REMOTE(BUF)));
	EXPECT_FAILURE(self->be, &self->a, 5, QP_WC_REM_ACCESS_ERR,
		       QP_OP_WRITE);
}

/* A request with a fence sees what earlier READs and atomics brought */
TEST_F(ops, fence)
{
	const __u32 n = HAS(F_ATOMIC) ? 3 : 2;

	for (int i = 0; i < 50; i++) {
		qt_fill(self->bbuf.p, 10000, i);
		*(__u64 *)(self->bbuf.p + 16384) = i;
		RECV_B(i, 20000, 10008);
		ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_READ,
				   LOCAL(0, 10000), REMOTE(0)));
		if (HAS(F_ATOMIC))
			ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_ATOMIC_ADD,
					   .compare_add = 1, LOCAL(10000, 8),
					   REMOTE(16384)));
		ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND,
				   .flags = QP_SQE_FENCE, LOCAL(0, 10008)));
		ASSERT_EQ(n, qt_submit(self->be, &self->a, n));
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(-1, qt_differ(self->bbuf.p + 20000, 10000, i));
		if (HAS(F_ATOMIC))
			EXPECT_EQ(i, *(__u64 *)(self->bbuf.p + 30000));
	}
}

TEST_F(ops, atomics)
{
	__u64 *there = (__u64 *)(self->bbuf.p + 4096 - 8);
	__u64 *here = (__u64 *)(self->abuf.p + 4093);
	struct qp_cqe c;
	__u64 found;

	if (!HAS(F_ATOMIC)) {
		EXPECT_UNSUPPORTED(QP_OP_ATOMIC_ADD, LOCAL(0, 8), REMOTE(0));
		EXPECT_UNSUPPORTED(QP_OP_ATOMIC_CAS, LOCAL(0, 8), REMOTE(0));
		return;
	}
	*there = 100;
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_ADD, .id = 1,
			  .flags = SIGNALED, .compare_add = 7, LOCAL(4093, 8),
			  REMOTE(4096 - 8)));
	c = EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_ATOMIC_ADD);
	EXPECT_EQ(8, c.byte_len);
	memcpy(&found, here, 8);
	EXPECT_EQ(100, found);
	EXPECT_EQ(107, *there);

	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_ADD, .id = 1,
			  .flags = SIGNALED, .compare_add = -108ULL,
			  LOCAL(4093, 8), REMOTE(4096 - 8)));
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_ATOMIC_ADD);
	EXPECT_EQ(-1ULL, *there);

	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_CAS, .id = 2,
			  .flags = SIGNALED, .compare_add = 5, .swap = 6,
			  LOCAL(4093, 8), REMOTE(4096 - 8)));
	c = EXPECT_CQE(&self->a, 2, QP_WC_SUCCESS, QP_OP_ATOMIC_CAS);
	EXPECT_EQ(8, c.byte_len);
	memcpy(&found, here, 8);
	EXPECT_EQ(-1ULL, found);
	EXPECT_EQ(-1ULL, *there);

	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_CAS, .id = 3,
			  .flags = SIGNALED, .compare_add = -1ULL, .swap = 6,
			  LOCAL(4093, 8), REMOTE(4096 - 8)));
	EXPECT_CQE(&self->a, 3, QP_WC_SUCCESS, QP_OP_ATOMIC_CAS);
	memcpy(&found, here, 8);
	EXPECT_EQ(-1ULL, found);
	EXPECT_EQ(6, *there);
	EXPECT_EQ(0, *(__u64 *)(self->bbuf.p + 4096));
	EXPECT_EQ(0, *(__u64 *)(self->bbuf.p + 4096 - 16));
}

/* Of each process; on a network each is a round trip */
#define ADDS(be)	((be)->flags & F_LOCAL ? 20000 : 2000)

/* One of several processes that count in the server's memory */
static int count_up(struct listener *l, __u64 raddr, __u32 rkey)
{
	struct qp_desc d = lq_desc(SQ, 0, SQ);
	struct qp_cqe c = { 0 };
	struct qt_buf buf;
	__u64 last = 0;
	struct lq q;

	if (qt_open(l->be, &q, 0, &d) ||
	    lq_sys_connect(q.fd, &l->addr, l->len) ||
	    qt_buf(&buf, q.fd, 4096, QP_ACCESS_LOCAL_WRITE))
		return 1;
	for (int i = 0; i < ADDS(l->be); i++) {
		int err = POST(&q, .op = QP_OP_ATOMIC_ADD, .flags = SIGNALED,
			       .compare_add = 1, .p = buf.p, .len = 8,
			       .lkey = buf.mem.lkey, .raddr = raddr,
			       .rkey = rkey);

		if (err)
			return 2;
		if (lq_wait(&q, &c, LONG_MS) || c.status)
			return 3;
		/* what I find only grows */
		if (i && *(__u64 *)buf.p <= last)
			return 4;
		last = *(__u64 *)buf.p;
	}
	return 0;
}

/*
 * Atomics of several queue pairs add up, and the owner's processor's too if they
 * are done by processors
 */
TEST_F_TIMEOUT(ops, concurrent_atomics, 120)
{
	struct qp_desc d = lq_desc(0, 0, 0);
	struct listener l;
	struct qt_buf buf;
	struct lq q[2];
	pid_t pid[2];
	__u64 want;

	if (!HAS(F_ATOMIC))
		return;
	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 2));
	ASSERT_EQ(0, qt_buf(&buf, l.q.fd, 4096, LQ_ACCESS_ALL));
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			_exit(count_up(&l, (unsigned long)buf.p, buf.mem.rkey));
		ASSERT_EQ(0, lq_accept(&q[i], l.q.fd, &d));
	}
	want = 2 * ADDS(variant->be);
	/* atomics of a device are so among themselves (IBA v1 9.4.5) */
	for (int i = 0; HAS(F_LOCAL) && i < ADDS(variant->be); i++, want++)
		__atomic_fetch_add((__u64 *)buf.p, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, qt_reap(pid[i]));
	EXPECT_EQ(want, *(__u64 *)buf.p);
	for (int i = 0; i < 2; i++)
		lq_close(&q[i]);
	qt_unlisten(&l);
}

TEST_F(ops, order)
{
	const __u8 op = HAS(F_IMM) ? QP_OP_SEND_IMM : QP_OP_SEND;
	__u32 next = 0, sent = 0;

	/* sixteen receives at a time, requests of varying cost between */
	while (next < 1000) {
		for (int i = 0; i < 16; i++)
			RECV_B(sent + i, (sent + i) % 64 * 64, 64);
		for (int i = 0; i < 16; i++, sent++) {
			ASSERT_EQ(0, QUEUE(&self->a, .op = op,
					   .imm = HAS(F_IMM) ? sent : 0, .p = &sent, .len = 4,
					   .flags = QP_SQE_INLINE));
			ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE,
					   LOCAL(0, 5000 * (i % 3)),
					   REMOTE(8192)));
		}
		ASSERT_EQ(32, qt_submit(self->be, &self->a, 32));
		for (int i = 0; i < 16; i++, next++) {
			struct qp_cqe c;
			__u32 got;

			c = EXPECT_CQE(&self->b, next, QP_WC_SUCCESS,
				       QP_OP_RECV);
			if (HAS(F_IMM))
				EXPECT_EQ(next, c.imm_data);
			memcpy(&got, self->bbuf.p + next % 64 * 64, 4);
			EXPECT_EQ(next, got);
		}
	}
}

/* Completions of one queue pair come in the order of posting */
TEST_F(ops, completion_order)
{
	static const __u8 op[] = {
		QP_OP_WRITE, QP_OP_READ, QP_OP_SEND, QP_OP_ATOMIC_ADD,
	};
	const int kinds = HAS(F_ATOMIC) ? 4 : 3;

	for (int i = 0; i < 4 * kinds; i++)
		ASSERT_EQ(0, lq_post_recv(&self->b, i, self->bbuf.p, 4096,
					  self->bbuf.mem.lkey));
	for (int i = 0; i < 4 * kinds; i++) {
		__u8 o = op[i % kinds];

		ASSERT_EQ(0, QUEUE(&self->a, .op = o, .id = i,
				   .flags = SIGNALED, LOCAL(0, 8),
				   .raddr = o == QP_OP_SEND ? 0 :
					    (unsigned long)self->bbuf.p,
				   .rkey = o == QP_OP_SEND ? 0 :
					   self->bbuf.mem.rkey));
	}
	ASSERT_EQ(4 * kinds,
		  lq_enter(&self->a, 4 * kinds, 0, 0));
	for (int i = 0; i < 4 * kinds; i++)
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, op[i % kinds]);
}

TEST_F(ops, waits_for_receive)
{
	NEEDS_RNR();
	for (int i = 0; i < 5; i++) {
		qt_fill(self->abuf.p + 100 * i, 100, i);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = i,
				  .flags = SIGNALED, LOCAL(100 * i, 100)));
	}
	EXPECT_NO_CQE(&self->a);
	for (int i = 0; i < 5; i++) {
		RECV_B(50 + i, 0, 100);
		EXPECT_CQE(&self->b, 50 + i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(-1, qt_differ(self->bbuf.p, 100, i));
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_EQ(0, lq_used(&self->a.cq));
	}
}

/* The receiver is another process; it wakes the sender by NEED_WAKEUP alone */
TEST_F(ops, waits_for_receive_of_process)
{
	pid_t pid;
	int go[2];

	NEEDS_RNR();
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct qp_cqe c;

		if (qt_await(go))
			_exit(1);
		for (int i = 0; i < 100; i++) {
			if (lq_post_recv(&self->b, i, self->bbuf.p, 64,
					 self->bbuf.mem.lkey))
				_exit(2);
			if (lq_wait(&self->b, &c, LONG_MS) || c.status ||
			    c.user_data != i)
				_exit(3);
		}
		_exit(0);
	}
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = i,
				  .flags = SIGNALED, LOCAL(0, 64)));
		if (!i)
			qt_signal(go);
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	EXPECT_EQ(0, qt_reap(pid));
}

/*
 * Failures. Each row makes one and says what both ends see; afterwards both
 * are in error and their other work is flushed.
 */
enum bad_receive { GOOD, NO_KEY, SHORT, RANGE, RIGHT, SGES, FLAGS, RESV };

static const struct failure {
	const char *what;
	__u8 op;
	__u32 len;
	long laddr;		/* offset in a's buffer */
	__u32 lkey_xor;
	__u32 lrights;		/* rights of a's memory, 0: all */
	long raddr;
	__u32 rkey_xor;
	__u32 rrights;
	__u64 swap;
	enum bad_receive recv;
	enum qp_wc_status status;
	enum qp_wc_status recv_status;
} failures[] = {
#define LOC(...)	__VA_ARGS__, .status = QP_WC_LOC_PROT_ERR,	\
			.recv_status = QP_WC_WR_FLUSH_ERR
#define REM(...)	__VA_ARGS__, .status = QP_WC_REM_ACCESS_ERR,	\
			.recv_status = QP_WC_WR_FLUSH_ERR
	/* own memory */
	{ "key", LOC(QP_OP_SEND, 8, .lkey_xor = 1) },
	{ "high bit of key", LOC(QP_OP_WRITE, 8, .lkey_xor = 1U << 31) },
	{ "before", LOC(QP_OP_SEND, 8, .laddr = -1) },
	{ "behind", LOC(QP_OP_SEND, 8, .laddr = BUF) },
	{ "across the end", LOC(QP_OP_SEND, 8, .laddr = BUF - 7) },
	{ "wrapping", LOC(QP_OP_WRITE, BUF, .laddr = LONG_MAX) },
	{ "longer", LOC(QP_OP_WRITE, BUF + 1) },
	{ "write local", LOC(QP_OP_READ, 8, .lrights = QP_ACCESS_REMOTE_READ) },
	{ "write local", LOC(QP_OP_ATOMIC_ADD, 8,
			     .lrights = QP_ACCESS_REMOTE_READ) },
	/* the peer's */
	{ "rkey", REM(QP_OP_WRITE, 8, .rkey_xor = 1) },
	{ "rkey", REM(QP_OP_WRITE_IMM, 8, .rkey_xor = 1) },
	{ "rkey", REM(QP_OP_READ, 8, .rkey_xor = 1 << 20) },
	{ "rkey", REM(QP_OP_ATOMIC_CAS, 8, .rkey_xor = 1 << 30) },
	{ "rkey", REM(QP_OP_ATOMIC_ADD, 8, .rkey_xor = 4) },
	{ "before", REM(QP_OP_WRITE, 8, .raddr = -1) },
	{ "behind", REM(QP_OP_WRITE, 8, .raddr = BUF) },
	{ "across the end", REM(QP_OP_READ, 8, .raddr = BUF - 7) },
	{ "wrapping", REM(QP_OP_READ, BUF, .raddr = LONG_MAX) },
	{ "no right to write", REM(QP_OP_WRITE, 8,
				   .rrights = QP_ACCESS_LOCAL_WRITE |
					      QP_ACCESS_REMOTE_READ |
					      QP_ACCESS_REMOTE_ATOMIC) },
	{ "no right to write", REM(QP_OP_WRITE_IMM, 8,
				   .rrights = QP_ACCESS_REMOTE_READ) },
	{ "no right to read", REM(QP_OP_READ, 8,
				  .rrights = QP_ACCESS_LOCAL_WRITE |
					     QP_ACCESS_REMOTE_WRITE |
					     QP_ACCESS_REMOTE_ATOMIC) },
	{ "no right to add", REM(QP_OP_ATOMIC_ADD, 8,
				 .rrights = QP_ACCESS_LOCAL_WRITE |
					    QP_ACCESS_REMOTE_READ |
					    QP_ACCESS_REMOTE_WRITE) },
	{ "no right to swap", REM(QP_OP_ATOMIC_CAS, 8,
				  .rrights = QP_ACCESS_REMOTE_READ) },
	{ "misaligned", QP_OP_ATOMIC_ADD, 8, .raddr = 4,
	  .status = QP_WC_REM_INV_REQ_ERR,
	  .recv_status = QP_WC_WR_FLUSH_ERR },
	{ "misaligned", QP_OP_ATOMIC_CAS, 8, .raddr = 4095, .swap = 1,
	  .status = QP_WC_REM_INV_REQ_ERR,
	  .recv_status = QP_WC_WR_FLUSH_ERR },
	/* invalidation */
	{ "own key", LOC(QP_OP_LOCAL_INV) },
	{ "peer's key", QP_OP_SEND_INV, .status = QP_WC_REM_ACCESS_ERR,
	  .recv_status = QP_WC_LOC_PROT_ERR },
	/* receives */
	{ "receive's key", QP_OP_SEND, 8, .recv = NO_KEY,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_PROT_ERR },
	{ "receive's range", QP_OP_SEND, 8, .recv = RANGE,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_PROT_ERR },
	{ "receive's right", QP_OP_SEND, 8, .recv = RIGHT,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_PROT_ERR },
	{ "receive's length", QP_OP_SEND, 8, .recv = SHORT,
	  .status = QP_WC_REM_INV_REQ_ERR, .recv_status = QP_WC_LOC_LEN_ERR },
	{ "receive's list", QP_OP_SEND, 8, .recv = SGES,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_QP_OP_ERR },
	{ "receive's flags", QP_OP_SEND_IMM, 8, .recv = FLAGS,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_QP_OP_ERR },
	{ "receive's resv", QP_OP_SEND, 8, .recv = RESV,
	  .status = QP_WC_REM_OP_ERR, .recv_status = QP_WC_LOC_QP_OP_ERR },
};

static int post_bad_receive(struct lq *q, const struct qt_buf *buf,
			    enum bad_receive bad, __u32 read_only)
{
	struct qp_rqe *rqe = lq_rqe(q, 70);

	lq_rqe_sge(rqe, buf->p, bad == SHORT ? 7 : 100,
		   bad == RIGHT ? read_only :
		   buf->mem.lkey ^ (bad == NO_KEY ? 1 : 0));
	if (bad == RANGE)
		rqe->sge[0].addr += buf->len - 7;
	if (bad == SGES)
		rqe->num_sge = QP_MAX_SGE + 1;
	if (bad == FLAGS)
		rqe->flags = 1;
	if (bad == RESV)
		rqe->resv = 1;
	return lq_submit_recv(q);
}

static bool is_remote(__u8 op)
{
	return op >= QP_OP_WRITE && op <= QP_OP_ATOMIC_ADD;
}

/* The row's request, and behind it one that is good */
static int post_failure(ENDS *self, const struct failure *f,
			__u32 lkey, __u32 rkey)
{
	const bool inv = f->op == QP_OP_SEND_INV || f->op == QP_OP_LOCAL_INV;
	struct qt_wr wr = { .op = f->op, .id = 1, .swap = f->swap };
	int err;

	if (f->len) {
		wr.p = (void *)((unsigned long)self->abuf.p + f->laddr);
		wr.len = f->len;
		wr.lkey = lkey ^ f->lkey_xor;
	}
	if (is_remote(f->op)) {
		wr.raddr = (unsigned long)self->bbuf.p + f->raddr;
		wr.rkey = rkey ^ f->rkey_xor;
	}
	if (inv)
		wr.imm = lkey ^ rkey ^ 0x1234;
	err = qt_queue(&self->a, &wr);
	err |= QUEUE(&self->a, .op = QP_OP_WRITE, .id = 2, LOCAL(0, 8),
		     REMOTE(0));
	return err ?: lq_enter(&self->a, 2, 0, 0);
}

static __u32 state(struct lq *q)
{
	struct qp_info info = { .state = -1 };

	lq_info(q->fd, &info);
	return info.state;
}

/* Both ends end; on a network one of them, or both, somewhat later */
static bool ended(const ENDS *self, struct lq *q)
{
	__u64 end = qt_now_ms() + (HAS(F_LOCAL) ? 0 : LONG_MS);

	while (state(q) != QP_STATE_ERROR && qt_now_ms() < end)
		usleep(1000);
	return state(q) == QP_STATE_ERROR;
}

static bool has_op(const struct backend *be, __u8 op)
{
	switch (op) {
	case QP_OP_ATOMIC_ADD:
	case QP_OP_ATOMIC_CAS:
		return be->flags & F_ATOMIC;
	case QP_OP_SEND_IMM:
	case QP_OP_WRITE_IMM:
		return be->flags & F_IMM;
	case QP_OP_SEND_INV:
		return be->flags & F_INV;
	default:
		return true;
	}
}

/* What a's request, or b's receive, may end with; rxe has statuses of its own */
static bool send_status_ok(const ENDS *self, const struct failure *f,
			   __u32 status)
{
	if (!HAS(F_RXE) || f->status != QP_WC_REM_INV_REQ_ERR)
		return status == f->status;
	/* no NAK for an atomic that is not aligned, and another for too much */
	return status == (f->recv == SHORT ? QP_WC_REM_OP_ERR :
					     QP_WC_WR_FLUSH_ERR);
}

static bool recv_status_ok(const ENDS *self, const struct failure *f,
			   __u32 status)
{
	if (status == f->recv_status)
		return true;
	if (HAS(F_RXE) && f->recv == SHORT)
		return status == QP_WC_LOC_QP_OP_ERR;
	/*
	 * Of a request that is refused in its last packet, as WRITE_IMM, the
	 * device has taken the receive (IBA v1 9.7.5.2.8).
	 */
	return !HAS(F_LOCAL) && f->status == QP_WC_REM_ACCESS_ERR &&
	       status == (HAS(F_RXE) ? QP_WC_REM_ACCESS_ERR :
				       QP_WC_LOC_ACCESS_ERR);
}

/* Of the row's request, the one behind it, and the receives of the peer */
static void expect_failure(struct __test_metadata *_metadata, ENDS *self,
			   const struct failure *f, int row)
{
	struct qp_cqe c[4];

	for (int j = 0; j < 4; j++) {
		ASSERT_EQ(0, lq_wait(j < 2 ? &self->a : &self->b, &c[j],
				     LONG_MS)) {
			TH_LOG("row %d, %s: completion %d: %s", row, f->what, j,
			       strerror(errno));
		}
	}
	EXPECT_EQ(1, c[0].user_data);
	EXPECT_EQ(f->op, c[0].opcode);
	EXPECT_TRUE(send_status_ok(self, f, c[0].status)) {
		TH_LOG("row %d, %s: %u", row, f->what, c[0].status);
	}
	EXPECT_EQ(2, c[1].user_data);
	EXPECT_EQ(QP_WC_WR_FLUSH_ERR, c[1].status);
	EXPECT_EQ(70, c[2].user_data);
	EXPECT_TRUE(recv_status_ok(self, f, c[2].status)) {
		TH_LOG("row %d, %s: %u", row, f->what, c[2].status);
	}
	EXPECT_EQ(71, c[3].user_data);
	EXPECT_EQ(QP_WC_WR_FLUSH_ERR, c[3].status);
}

/*
 * The same with iWARP, where the peer's failure is the end of the connection and
 * no more: requests that TCP took are complete before, the others are flushed.
 */
static void expect_end(struct __test_metadata *_metadata, ENDS *self,
		       const struct failure *f, int row)
{
	/* what siw says of a message that it could not invalidate for */
	const __u32 own_word = f->op == QP_OP_SEND_INV ?
			       QP_WC_REM_INV_REQ_ERR : f->recv_status;
	struct qp_cqe c;

	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS)) {
		TH_LOG("row %d, %s", row, f->what);
	}
	while (!lq_wait(&self->a, &c, LONG_MS))
		EXPECT_NE(QP_WC_SUCCESS, c.status);
	EXPECT_EQ(ESHUTDOWN, errno);
	for (int i = 70; i < 72; i++) {
		ASSERT_EQ(0, lq_wait(&self->b, &c, LONG_MS)) {
			TH_LOG("row %d, %s: receive %d: %s", row, f->what, i,
			       strerror(errno));
		}
		EXPECT_EQ(i, c.user_data);
		EXPECT_TRUE(c.status == QP_WC_WR_FLUSH_ERR ||
			    (i == 70 && (c.status == f->recv_status ||
					 c.status == own_word))) {
			TH_LOG("row %d, %s: %d", row, f->what, c.status);
		}
	}
}

TEST_F_TIMEOUT(ops, failures, 120)
{
	for (int i = 0; i < ARRAY_SIZE(failures); i++) {
		const struct failure *f = &failures[i];
		struct qp_mem l, r, ro;
		__u32 in;

		if (!has_op(variant->be, f->op))
			continue;
		if (i) {
			close_ends(self);
			ASSERT_EQ(0, open_ends(self));
		}
		memset(self->abuf.p, 0xa5, BUF);
		memset(self->bbuf.p, 0x5a, BUF);
		ASSERT_EQ(0, lq_mem_reg(self->a.fd, self->abuf.p, BUF,
					f->lrights ?: LQ_ACCESS_ALL, &l));
		ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p, BUF,
					f->rrights ?: LQ_ACCESS_ALL, &r));
		ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p, BUF, 0, &ro));
		ASSERT_EQ(0, post_bad_receive(&self->b, &self->bbuf, f->recv,
					      ro.lkey));
		RECV_B(71, 0, 100);

		ASSERT_EQ(2, post_failure(self, f, l.lkey, r.rkey)) {
			TH_LOG("%s: %s", f->what, strerror(errno));
		}
		if (HAS(F_WRITE_ACK) || f->status == QP_WC_LOC_PROT_ERR)
			expect_failure(_metadata, self, f, i);
		else
			expect_end(_metadata, self, f, i);

		EXPECT_TRUE(qt_all(self->abuf.p, BUF, 0xa5)) {
			TH_LOG("row %d, %s: own memory changed", i, f->what);
		}
		/* iWARP does not hold a WRITE back until a READ has failed */
		in = !HAS(F_WRITE_ACK) && f->op == QP_OP_READ ? 8 : 0;
		EXPECT_TRUE(qt_all(self->bbuf.p + in, BUF - in, 0x5a)) {
			TH_LOG("row %d, %s: peer's memory changed", i, f->what);
		}
		EXPECT_TRUE(ended(self, &self->a));
		EXPECT_TRUE(ended(self, &self->b));
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->b.fd, 0, LONG_MS));
	}
}

/* Entries that the kernel does not take; they change nothing */
static const struct refusal {
	const char *what;
	struct qp_sqe sqe;
	__u32 sge_len;		/* of each entry of the list */
	int err;
} refusals[] = {
	{ "opcode", { .opcode = QP_OP_LAST }, 0, EOPNOTSUPP },
	{ "opcode", { .opcode = QP_OP_RECV }, 0, EOPNOTSUPP },
	{ "opcode", { .opcode = 255 }, 0, EOPNOTSUPP },
	{ "flag", { .flags = 1 << 7 }, 0, EINVAL },
	{ "flag", { .flags = QP_SQE_SOLICITED << 1 }, 0, EINVAL },
	{ "list", { .num_sge = QP_MAX_SGE + 1 }, 0, EINVAL },
	{ "list", { .num_sge = 65535 }, 0, EINVAL },
	{ "inline", { .flags = QP_SQE_INLINE, .inline_len = 4096 }, 0, EINVAL },
	{ "inline", { .flags = QP_SQE_INLINE, .inline_len = -1 }, 0, EINVAL },
	{ "inline and list", { .flags = QP_SQE_INLINE, .inline_len = 8,
			       .num_sge = 1 }, 8, EINVAL },
	{ "inline length", { .inline_len = 1 }, 0, EINVAL },
	{ "inline READ", { .opcode = QP_OP_READ, .flags = QP_SQE_INLINE,
			   .inline_len = 8 }, 0, EINVAL },
	{ "inline atomic", { .opcode = QP_OP_ATOMIC_ADD, .inline_len = 8,
			     .flags = QP_SQE_INLINE }, 0, EINVAL },
	{ "imm of SEND", { .imm_data = 1 }, 0, EINVAL },
	{ "imm of READ", { .opcode = QP_OP_READ, .imm_data = 1 }, 0, EINVAL },
	{ "remote of SEND", { .remote_addr = 1 }, 0, EINVAL },
	{ "rkey of SEND", { .opcode = QP_OP_SEND_IMM, .rkey = 1 }, 0, EINVAL },
	{ "operand of SEND", { .compare_add = 1 }, 0, EINVAL },
	{ "operand of WRITE", { .opcode = QP_OP_WRITE, .swap = 1 }, 0, EINVAL },
	{ "swap of add", { .opcode = QP_OP_ATOMIC_ADD, .num_sge = 1,
			   .swap = 1 }, 8, EINVAL },
	{ "length of add", { .opcode = QP_OP_ATOMIC_ADD, .num_sge = 1 }, 7,
	  EINVAL },
	{ "length of swap", { .opcode = QP_OP_ATOMIC_CAS, .num_sge = 2 }, 8,
	  EINVAL },
	{ "length of swap", { .opcode = QP_OP_ATOMIC_CAS }, 0, EINVAL },
	{ "list of LOCAL_INV", { .opcode = QP_OP_LOCAL_INV, .num_sge = 1 }, 8,
	  EINVAL },
	{ "solicited WRITE", { .opcode = QP_OP_WRITE,
			       .flags = QP_SQE_SOLICITED }, 0, EINVAL },
	{ "too long", { .num_sge = 16 }, 1U << 28, EINVAL },
	{ "too long", { .opcode = QP_OP_READ, .num_sge = 2 }, 1U << 31,
	  EINVAL },
};

TEST_F_CORE(ops, refusals)
{
	struct qp_info before, after;

	ASSERT_EQ(0, lq_info(self->a.fd, &before));
	for (int i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct qp_sqe *sqe = lq_reserve(&self->a.sq);
		__u32 head = lq_load(self->a.sq.head);

		*sqe = r->sqe;
		for (int j = 0; j < QP_MAX_SGE; j++)
			sqe->sge[j] = (struct qp_sge){
				.addr = (unsigned long)self->abuf.p,
				.length = r->sge_len,
				.lkey = self->abuf.mem.lkey,
			};
		lq_submit(&self->a.sq);
		EXPECT_ERRNO_AT(r->err, lq_enter(&self->a, 1, 0, 0), "row %d, %s",
				i, r->what);
		EXPECT_EQ(head, lq_load(self->a.sq.head));
		EXPECT_EQ(1, lq_used(&self->a.sq));
		lq_store(self->a.sq.tail, head);
	}
	ASSERT_EQ(0, lq_info(self->a.fd, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(0, lq_used(&self->a.cq));

	/* all is well */
	RECV_B(1, 0, 64);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, LOCAL(0, 8)));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
}

/* What is good before a bad entry is taken */
TEST_F_CORE(ops, accepted_in_part)
{
	for (int i = 0; i < 6; i++)
		ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE,
				   .flags = i == 3 ? 0x80 : SIGNALED, .id = i,
				   LOCAL(0, 8), REMOTE(0)));
	EXPECT_EQ(3, lq_enter(&self->a, 6, 0, 0));
	EXPECT_EQ(3, lq_load(self->a.sq.head));
	EXPECT_ERRNO(EINVAL, lq_enter(&self->a, 6, 0, 0));
	EXPECT_EQ(3, lq_load(self->a.sq.head));
	((struct qp_sqe *)lq_entry(&self->a.sq, 3))->flags = SIGNALED;

	/* no more than asked for, no more than there are */
	EXPECT_EQ(1, lq_enter(&self->a, 1, 0, 0));
	EXPECT_EQ(2, lq_enter(&self->a, 100, 0, 0));
	EXPECT_EQ(0, lq_enter(&self->a, 1, 0, 0));
	for (int i = 0; i < 6; i++)
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_WRITE);
}

/* The kernel knows entries by free-running indices: some times around */
TEST_F(ops, around_the_ring)
{
	for (int i = 0; i < 7 * SQ + 3; i++) {
		RECV_B(i, i % SQ * 8, 8);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = i, .p = &i,
				  .len = 4, .flags = QP_SQE_INLINE | SIGNALED));
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(i, *(int *)(self->bbuf.p + i % SQ * 8));
	}
}

/* Work is accepted only if its completion has room, and none is lost */
TEST_F(ops, tiny_cq)
{
	struct qp_desc d = lq_desc(16, 16, 2);
	struct qp_info info;
	struct qt_buf buf;
	struct lq a, b;

	NEEDS_RNR();
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	ASSERT_EQ(0, qt_buf(&buf, a.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, lq_mem_reg(b.fd, buf.p, 4096, LQ_ACCESS_ALL, &buf.mem));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(0, lq_post_recv(&b, i, buf.p, 8,
						  buf.mem.lkey));
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(0, QUEUE(&a, .op = QP_OP_SEND, .id = i,
					   .flags = SIGNALED));
		EXPECT_EQ(2, lq_enter(&a, 4, 0, 0));
		EXPECT_EQ(0, lq_enter(&a, 0, 2, LONG_MS));
		EXPECT_ERRNO(EAGAIN, lq_enter(&a, 2, 0, 0));
		ASSERT_EQ(0, lq_info(a.fd, &info));
		EXPECT_EQ(2, info.cq_used);
		EXPECT_EQ(0, info.cq_reserved);
		EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_EQ(1, lq_enter(&a, 2, 0, 0));
		/* the receiver has no room: this one waits */
		EXPECT_CQE(&a, 1, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_EQ(1, lq_enter(&a, 1, 0, 0));
		EXPECT_NO_CQE(&a);

		EXPECT_CQE(&b, 0, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_CQE(&b, 1, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(0, lq_enter(&b, 0, 2, LONG_MS));
		EXPECT_CQE(&b, 2, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_CQE(&b, 3, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_CQE(&a, 2, QP_WC_SUCCESS, QP_OP_SEND);
		EXPECT_CQE(&a, 3, QP_WC_SUCCESS, QP_OP_SEND);
	}
	ASSERT_EQ(0, lq_info(a.fd, &info));
	EXPECT_EQ(0, info.sends);
	EXPECT_EQ(0, info.cq_used);
	EXPECT_EQ(0, info.cq_reserved);
	lq_close(&a);
	lq_close(&b);
	qt_unbuf(&buf);
}

/* On failure as many receives are flushed as the CQ has room for */
TEST_F(ops, tiny_cq_flush)
{
	struct qp_desc d = lq_desc(4, 16, 2);
	struct lq a, b;
	struct qp_cqe c;

	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(0, lq_post_recv(&b, i, NULL, 0, 0));
	lq_close(&a);
	EXPECT_EQ(0, lq_enter(&b, 0, 2, LONG_MS));
	EXPECT_CQE(&b, 0, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	EXPECT_CQE(&b, 1, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	/* those that stayed may come when there is room, in order */
	for (int i = 2; !lq_enter(&b, 0, 1, SHORT_MS) && lq_cq_peek(&b); i++) {
		ASSERT_EQ(0, lq_wait(&b, &c, SHORT_MS));
		EXPECT_EQ(i, c.user_data);
		EXPECT_EQ(QP_WC_WR_FLUSH_ERR, c.status);
		ASSERT_GT(10, i);
	}
	lq_close(&b);
}

TEST_F(ops, send_queue_full)
{
	NEEDS_RNR();
	for (int i = 0; i < SQ; i++)
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = i,
				  LOCAL(0, 8)));
	EXPECT_ERRNO(EAGAIN, POST(&self->a, .op = QP_OP_SEND, LOCAL(0, 8)));
	RECV_B(0, 0, 8);
	EXPECT_CQE(&self->b, 0, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(0, POST_LATER(self->be, &self->a, .op = QP_OP_SEND,
				LOCAL(0, 8)));
	EXPECT_ERRNO(EAGAIN, POST(&self->a, .op = QP_OP_SEND, LOCAL(0, 8)));
}

/*
 * Whoever looks into the ring may see a completion before the kernel's own
 * index says so. Its consumption is not taken for an index that cannot be.
 */
TEST_F_CORE(ops, consumed_while_posted)
{
	for (int i = 0; i < 2; i++) {
		lq_store(self->a.cq.head, i + 1);
		EXPECT_EQ(0, qt_poll(self->a.fd, POLLIN, 0));
		EXPECT_ERRNO(ETIME, lq_enter(&self->a, 0, 1, 0));
		lq_store(self->a.cq.head, i);
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = i,
				  .flags = SIGNALED));
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_WRITE);
	}
}

/* Look until it is so, mostly without the kernel's help */
#define SPIN(condition) do {						\
	for (int _looks = 0; !(condition); _looks++)			\
		if (_looks > 10000)					\
			sched_yield();					\
} while (0)

/* Answer each message with a receive, which has it carried out here */
static void late_receiver(struct lq *q, __u32 *posted, __u32 n)
{
	for (__u32 i = 0; i < n; i++) {
		SPIN(lq_load(posted) > i);
		if (lq_post_recv(q, i, NULL, 0, 0))
			_exit(1);
		SPIN(lq_cq_peek(q));
		lq_cq_release(q);
	}
	_exit(0);
}

/*
 * When a completion is seen, its send is over: the slot in the queue is free
 * and nothing more of it is to come. The peer's process completes, this one
 * does the next thing as soon as it sees it.
 */
TEST_F_TIMEOUT(ops, completion_seen_at_once, 600)
{
	__u32 *posted = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct qp_desc d = lq_desc(1, 1, 2);
	__u32 n = !HAS(F_LOCAL) ? 500 : qt_debug_kernel() ? 40000 : 20000;
	struct lq a, b;
	pid_t pid;

	NEEDS_RNR();
	ASSERT_NE(MAP_FAILED, posted);
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		late_receiver(&b, posted, n);
	for (__u32 i = 0; i < n; i++) {
		ASSERT_EQ(0, POST(&a, .op = QP_OP_SEND, .flags = SIGNALED)) {
			TH_LOG("send %u: %s", i, strerror(errno));
		}
		lq_store(posted, i + 1);
		SPIN(lq_cq_peek(&a));
		lq_cq_release(&a);
		if (i % 2)
			EXPECT_ERRNO(ETIME, lq_enter(&a, 0, 1, 0));
	}
	EXPECT_EQ(0, qt_reap(pid));
	lq_close(&a);
	lq_close(&b);
	munmap(posted, 4096);
}

/* Rights: exactly the right one suffices, at both ends of the region */
TEST_F(ops, rights)
{
	static const struct {
		__u8 op;
		__u32 access;
	} row[] = {
		{ QP_OP_WRITE, QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_WRITE },
		{ QP_OP_READ, QP_ACCESS_REMOTE_READ },
		{ QP_OP_ATOMIC_ADD,
		  QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_ATOMIC },
		{ QP_OP_ATOMIC_CAS,
		  QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_ATOMIC },
	};

	for (int i = 0; i < ARRAY_SIZE(row); i++) {
		struct qp_mem mem;

		if (!has_op(variant->be, row[i].op))
			continue;
		ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p + 4096, 4096,
					row[i].access, &mem));
		for (int end = 0; end < 2; end++) {
			ASSERT_EQ(0, POST(&self->a, .op = row[i].op, .id = end,
					  .flags = SIGNALED, LOCAL(0, 8),
					  .raddr = mem.addr + end * (4096 - 8),
					  .rkey = mem.rkey));
			EXPECT_CQE(&self->a, end, QP_WC_SUCCESS, row[i].op);
		}
		ASSERT_EQ(0, lq_mem_dereg(self->b.fd, mem.lkey));
	}
}

/* Read-only memory can be sent from, and read by the peer */
TEST_F(ops, read_only_memory)
{
	struct qp_mem mem;
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	qt_fill(p, 4096, 2);
	ASSERT_EQ(0, mprotect(p, 4096, PROT_READ));
	EXPECT_ERRNO(EFAULT, lq_mem_reg(self->b.fd, p, 4096,
					QP_ACCESS_LOCAL_WRITE, &mem));
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, p, 4096, QP_ACCESS_REMOTE_READ,
				&mem));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = SIGNALED,
			  LOCAL(0, 4096), .raddr = mem.addr, .rkey = mem.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_EQ(-1, qt_differ(self->abuf.p, 4096, 2));
}

TEST_F(ops, zero_based)
{
	struct qp_mem l, r;

	if (!HAS(F_ZERO_BASED)) {
		EXPECT_ERRNO(EOPNOTSUPP,
			     lq_mem_reg(self->a.fd, self->abuf.p + 100, 1000,
					QP_ACCESS_ZERO_BASED, &l));
		return;
	}
	ASSERT_EQ(0, lq_mem_reg(self->a.fd, self->abuf.p + 100, 1000,
				LQ_ACCESS_ALL | QP_ACCESS_ZERO_BASED, &l));
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p + 5000, 1000,
				LQ_ACCESS_ALL | QP_ACCESS_ZERO_BASED, &r));
	qt_fill(self->abuf.p + 100, 1000, 1);
	memset(self->bbuf.p, 0, BUF);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  .p = (void *)0, .len = 0));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  .p = (void *)10, .len = 990, .lkey = l.lkey,
			  .raddr = 10, .rkey = r.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_PLACED();
	EXPECT_TRUE(qt_all(self->bbuf.p, 5010, 0));
	EXPECT_EQ(0, memcmp(self->bbuf.p + 5010, self->abuf.p + 110, 990));
	EXPECT_TRUE(qt_all(self->bbuf.p + 6000, 100, 0));

	/* one byte too far */
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .p = (void *)10,
			  .len = 990, .lkey = l.lkey, .raddr = 11,
			  .rkey = r.rkey));
	EXPECT_FAILURE(self->be, &self->a, 0, QP_WC_REM_ACCESS_ERR,
		       QP_OP_WRITE);
}

/*
 * What counts for an atomic is where its memory is, not how it is named. Devices
 * look at the address in the packet (IBA v1 9.4.5).
 */
TEST_F_CORE(ops, zero_based_atomics)
{
	struct qp_mem mem;

	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p + 4096 - 4, 64,
				LQ_ACCESS_ALL | QP_ACCESS_ZERO_BASED, &mem));
	memset(self->bbuf.p, 0x5a, BUF);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_ADD, .id = 1,
			  .compare_add = 1, LOCAL(0, 8), .rkey = mem.rkey,
			  .raddr = 8));
	EXPECT_CQE(&self->a, 1, QP_WC_REM_INV_REQ_ERR, QP_OP_ATOMIC_ADD);
	EXPECT_TRUE(qt_all(self->bbuf.p, BUF, 0x5a));

	close_ends(self);
	ASSERT_EQ(0, open_ends(self));
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p + 4096 - 4, 64,
				LQ_ACCESS_ALL | QP_ACCESS_ZERO_BASED, &mem));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_ATOMIC_ADD, .id = 2,
			  .compare_add = 1, LOCAL(0, 8), .rkey = mem.rkey,
			  .raddr = 0));
	EXPECT_CQE(&self->a, 2, QP_WC_REM_INV_REQ_ERR, QP_OP_ATOMIC_ADD);
	EXPECT_TRUE(qt_all(self->bbuf.p, BUF, 0));
}

/* A key of another table opens nothing */
TEST_F(ops, foreign_keys)
{
	struct qp_desc d = ops_desc(variant->be);
	struct qp_mem mem;
	struct lq c, e;

	ASSERT_EQ(0, qt_pair(variant->be, &c, &e, 0, &d));
	ASSERT_EQ(0, lq_mem_reg(e.fd, self->bbuf.p, 4096, LQ_ACCESS_ALL, &mem));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, LOCAL(0, 8),
			  .raddr = mem.addr, .rkey = mem.rkey));
	EXPECT_FAILURE(self->be, &self->a, 0, QP_WC_REM_ACCESS_ERR,
		       QP_OP_WRITE);
	lq_close(&c);
	lq_close(&e);
}

TEST_F(ops, own_key_is_not_the_peers)
{
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .p = self->bbuf.p,
			  .len = 8, .lkey = self->bbuf.mem.lkey));
	EXPECT_CQE(&self->a, 0, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
}

TEST_F(ops, local_invalidate)
{
	struct qp_info before, after;
	struct qp_mem mem;

	ASSERT_EQ(0, lq_mem_reg(self->a.fd, self->abuf.p, 4096, LQ_ACCESS_ALL,
				&mem));
	ASSERT_EQ(0, lq_info(self->a.fd, &before));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_LOCAL_INV, .id = 1,
			  .flags = SIGNALED, .imm = mem.lkey));
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_LOCAL_INV);
	ASSERT_EQ(0, lq_info(self->a.fd, &after));
	EXPECT_EQ(before.mem_regions - 1, after.mem_regions);
	EXPECT_ERRNO(ENOENT, lq_mem_dereg(self->a.fd, mem.lkey));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 2,
			  .p = self->abuf.p, .len = 8, .lkey = mem.lkey,
			  REMOTE(0)));
	EXPECT_CQE(&self->a, 2, QP_WC_LOC_PROT_ERR, QP_OP_WRITE);
}

TEST_F(ops, send_invalidate)
{
	struct qp_mem mem;
	struct qp_cqe c;

	if (!HAS(F_INV)) {
		EXPECT_UNSUPPORTED(QP_OP_SEND_INV, LOCAL(0, 5));
		return;
	}
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p, 4096, LQ_ACCESS_ALL,
				&mem));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 1,
			  .flags = SIGNALED, LOCAL(0, 8), .raddr = mem.addr,
			  .rkey = mem.rkey));
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_WRITE);
	RECV_B(3, 0, 64);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND_INV, .id = 2,
			  .flags = SIGNALED, LOCAL(0, 5), .imm = mem.rkey));
	EXPECT_CQE(&self->a, 2, QP_WC_SUCCESS, QP_OP_SEND_INV);
	c = EXPECT_CQE(&self->b, 3, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(QP_CQE_INV, c.flags);
	EXPECT_EQ(mem.rkey, c.inv_rkey);
	EXPECT_EQ(5, c.byte_len);
	EXPECT_ERRNO(ENOENT, lq_mem_dereg(self->b.fd, mem.lkey));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 3, LOCAL(0, 8),
			  .raddr = mem.addr, .rkey = mem.rkey));
	EXPECT_FAILURE(self->be, &self->a, 3, QP_WC_REM_ACCESS_ERR,
		       QP_OP_WRITE);
}

/* The peer invalidates only what was given to it */
TEST_F(ops, send_invalidate_of_local_memory)
{
	struct qp_mem mem;

	if (!HAS(F_INV)) {
		EXPECT_UNSUPPORTED(QP_OP_SEND_INV, LOCAL(0, 5));
		return;
	}
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->bbuf.p, 4096,
				QP_ACCESS_LOCAL_WRITE, &mem));
	RECV_B(3, 0, 64);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND_INV, .id = 2, LOCAL(0, 5),
			  .imm = mem.lkey));
	EXPECT_FAILURE(self->be, &self->a, 2, QP_WC_REM_ACCESS_ERR,
		       QP_OP_SEND_INV);
	EXPECT_EQ(0, lq_mem_dereg(self->b.fd, mem.lkey));
}

/*
 * Deregistered while a request that names it waits for a receive. A device may
 * have read the memory when it first sent the message.
 */
TEST_F(ops, deregister_before_use)
{
	struct qp_cqe c;

	NEEDS_RNR();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 1, LOCAL(0, 100)));
	EXPECT_NO_CQE(&self->a);
	ASSERT_EQ(0, lq_mem_dereg(self->a.fd, self->abuf.mem.lkey));
	RECV_B(2, 0, 100);
	if (HAS(F_LOCAL)) {
		EXPECT_CQE(&self->a, 1, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
		EXPECT_CQE(&self->b, 2, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
		return;
	}
	ASSERT_EQ(0, lq_wait(&self->b, &c, LONG_MS));
	EXPECT_EQ(2, c.user_data);
	if (c.status == QP_WC_SUCCESS) {
		EXPECT_EQ(100, c.byte_len);
		return;
	}
	/* rxe forgets the reason when it sends once more */
	EXPECT_CQE(&self->a, 1, HAS(F_RXE) ? QP_WC_WR_FLUSH_ERR :
					     QP_WC_LOC_PROT_ERR, QP_OP_SEND);
}

/*
 * The status of a WRITE that was under way when the peer ended the connection.
 * What siw sees then is that TCP does not take the rest of it.
 */
static bool connection_ended(const ENDS *self, __u32 status)
{
	return status == QP_WC_WR_FLUSH_ERR ||
	       (!HAS(F_WRITE_ACK) && status == QP_WC_LOC_QP_OP_ERR);
}

/* After deregistration nobody writes into the memory any more */
TEST_F_TIMEOUT(ops, deregister_under_load, 120)
{
	for (int round = 0; round < 20; round++) {
		pid_t pid;
		int go[2];

		ASSERT_EQ(0, pipe(go));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct qp_cqe c = { 0 };

			for (int i = 0; !c.status; i++) {
				int err = POST(&self->a, .op = QP_OP_WRITE,
					       .flags = SIGNALED, LOCAL(0, BUF),
					       REMOTE(0));

				if (err || lq_wait(&self->a, &c, LONG_MS))
					_exit(1);
				if (i == 3)
					qt_signal(go);
			}
			_exit(c.status == QP_WC_REM_ACCESS_ERR ||
			      (!HAS(F_WRITE_ACK) &&
			       connection_ended(self, c.status)) ? 0 : 2);
		}
		ASSERT_EQ(0, qt_await(go));
		usleep(round * 100);
		ASSERT_EQ(0, lq_mem_dereg(self->b.fd, self->bbuf.mem.lkey));
		memset(self->bbuf.p, 0x77, BUF);
		EXPECT_EQ(0, qt_reap(pid));
		EXPECT_TRUE(qt_all(self->bbuf.p, BUF, 0x77));
		close(go[0]);
		close(go[1]);
		close_ends(self);
		ASSERT_EQ(0, open_ends(self));
	}
}

/* Two queue pairs complete into one CQ, with one memory table */
TEST_F(ops, shared_cq)
{
	struct qp_desc d = ops_desc(variant->be);
	struct lq c, e;
	int seen[2] = { 0, 0 };

	d.share_fd = self->a.fd;
	d.cq_entries = 0;
	ASSERT_EQ(0, qt_pair(variant->be, &c, &e, QP_SHARE_CQ | QP_SHARE_MEM,
			     &d));
	for (int i = 0; i < 20; i++) {
		struct lq *from = i % 3 ? &self->a : &c;

		ASSERT_EQ(0, lq_post_recv(i % 3 ? &self->b : &e, i, NULL, 0,
					  0));
		ASSERT_EQ(0, POST(from, .op = QP_OP_SEND, .id = i,
				  .flags = SIGNALED));
	}
	for (int i = 0; i < 20; i++) {
		struct lq *q = i % 2 ? &self->a : &c;
		struct qp_cqe cqe;

		ASSERT_EQ(0, lq_wait(q, &cqe, LONG_MS));
		EXPECT_EQ(QP_WC_SUCCESS, cqe.status);
		EXPECT_EQ(cqe.user_data % 3 ? self->a.desc.qpn : c.desc.qpn,
			  cqe.qpn);
		seen[cqe.qpn == c.desc.qpn]++;
	}
	EXPECT_EQ(13, seen[0]);
	EXPECT_EQ(7, seen[1]);

	/* memory registered with a serves c */
	ASSERT_EQ(0, lq_post_recv(&e, 1, NULL, 0, 0));
	ASSERT_EQ(0, POST(&c, .op = QP_OP_SEND, .flags = SIGNALED,
			  LOCAL(0, 0)));
	EXPECT_CQE(&c, 0, QP_WC_SUCCESS, QP_OP_SEND);

	/* the failure of one is the failure of one; its creator may leave */
	lq_close(&e);
	if (!HAS(F_LOCAL))
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(c.fd, 0, LONG_MS));
	ASSERT_EQ(0, POST(&c, .op = QP_OP_SEND, .id = 8));
	EXPECT_CQE(&c, 8, QP_WC_WR_FLUSH_ERR, QP_OP_SEND);
	RECV_B(1, 0, 64);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .flags = SIGNALED,
			  LOCAL(0, 64)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_SEND);
	lq_close(&c);
}

/* The peer leaves while requests wait for its receives */
TEST_F(ops, peer_gone_in_progress)
{
	struct qp_cqe c;

	NEEDS_RNR();
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = i,
				  LOCAL(0, 8)));
	EXPECT_NO_CQE(&self->a);
	lq_close(&self->b);
	ASSERT_EQ(0, lq_wait(&self->a, &c, LONG_MS));
	EXPECT_EQ(0, c.user_data);
	/* a peer that says good-bye is gone before retries are exhausted */
	if (HAS(F_LOCAL) || c.status != QP_WC_WR_FLUSH_ERR)
		EXPECT_EQ(QP_WC_RETRY_EXC_ERR, c.status);
	EXPECT_CQE(&self->a, 1, QP_WC_WR_FLUSH_ERR, QP_OP_SEND);
	EXPECT_CQE(&self->a, 2, QP_WC_WR_FLUSH_ERR, QP_OP_SEND);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .id = 3, LOCAL(0, 8),
			  REMOTE(0)));
	EXPECT_CQE(&self->a, 3, QP_WC_WR_FLUSH_ERR, QP_OP_WRITE);
}

/* A peer that is killed while a megabyte is on its way */
TEST_F_TIMEOUT(ops, peer_killed_under_load, 120)
{
	for (int round = 0; round < 20; round++) {
		struct qp_cqe c = { 0 };
		pid_t pid;

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			pause();
			_exit(0);
		}
		lq_close(&self->b);
		for (int i = 0; !c.status; i++) {
			ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE,
					  .flags = SIGNALED, LOCAL(0, BUF),
					  REMOTE(0))) {
				TH_LOG("round %d, %d: %s", round, i,
				       strerror(errno));
			}
			ASSERT_EQ(0, lq_wait(&self->a, &c, LONG_MS));
			if (i == round)
				kill(pid, SIGKILL);
		}
		EXPECT_TRUE(c.status == QP_WC_RETRY_EXC_ERR ||
			    connection_ended(self, c.status)) {
			TH_LOG("round %d: status %d", round, c.status);
		}
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		close_ends(self);
		ASSERT_EQ(0, open_ends(self));
	}
}

/* min_complete: how long, how many, and what ends it */
TEST_F(ops, waiting)
{
	__u64 t0 = qt_now_ms();
	pid_t pid;

	EXPECT_ERRNO(ETIME, lq_enter(&self->a, 0, 1, 0));
	EXPECT_ERRNO(ETIME, lq_enter(&self->a, 0, 1, 100));
	EXPECT_LE(50, qt_now_ms() - t0);

	NEEDS_RNR();
	/* what was accepted counts, even if the wait fails */
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND, .flags = SIGNALED));
	EXPECT_EQ(1, lq_enter(&self->a, 1, 1, 50));

	/* a non-blocking descriptor waits too: the caller asked for it */
	ASSERT_EQ(0, fcntl(self->b.fd, F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, lq_post_recv(&self->b, i, NULL, 0, 0));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_SEND);
	pid = fork();
	if (!pid) {
		usleep(100000);
		_exit(POST(&self->a, .op = QP_OP_SEND));
	}
	EXPECT_EQ(0, lq_enter(&self->b, 0, 2, LONG_MS));
	EXPECT_EQ(2, lq_used(&self->b.cq));
	EXPECT_EQ(0, qt_reap(pid));
	/* nothing to wait for */
	EXPECT_EQ(0, lq_enter(&self->b, 0, 2, -1));
}

static void on_signal(int sig)
{
}

TEST_F(ops, waiting_and_signals)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval it = { { 0, 50000 }, { 0, 50000 } };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	EXPECT_ERRNO(EINTR, lq_enter(&self->a, 0, 1, -1));
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND));
	EXPECT_EQ(1, lq_enter(&self->a, 1, 1, -1));
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
}

/* A flow in both directions between two processes, many requests in flight */
TEST_F_TIMEOUT(ops, both_directions, 120)
{
	const int n = HAS(F_LOCAL) ? 20000 : 2000;
	int sent = 0, received = 0, taken, bad = 0;
	struct lq *q = &self->a;
	struct qt_buf *buf = &self->abuf;
	pid_t pid;

	NEEDS_RNR();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* what the parent registered is the parent's memory */
		q = &self->b;
		buf = &self->bbuf;
		bad = qt_buf(buf, q->fd, BUF, LQ_ACCESS_ALL);
	}
	for (int i = 0; i < SQ; i++)
		bad |= lq_post_recv(q, i, buf->p + 64 * i, 64, buf->mem.lkey);
	while ((sent < n || received < n) && !bad) {
		struct qp_cqe *c;
		int queued = 0;

		while (sent + queued < n && queued < 8) {
			int seq = sent + queued;
			int err = QUEUE(q, .op = QP_OP_SEND, .p = &seq,
					.len = 4, .flags = QP_SQE_INLINE);

			if (err)
				break;
			queued++;
		}
		taken = lq_enter(q, lq_used(&q->sq), 0, 0);
		if (taken < 0 && errno != EAGAIN)
			bad = errno;
		sent += queued;
		/* room for sends may be all that comes, if both were full */
		if (!lq_cq_peek(q) && sent < n && taken <= 0)
			bad |= qt_poll(q->fd, POLLIN | POLLOUT, LONG_MS) > 0 ?
			       0 : 1000;
		else if (!lq_cq_peek(q) && received < n && sent == n)
			bad |= lq_enter(q, 0, 1, LONG_MS) ? 1000 : 0;
		while ((c = lq_cq_peek(q))) {
			int slot = c->user_data, seq;

			if (c->status || c->byte_len != 4)
				bad = 2000 + c->status;
			memcpy(&seq, buf->p + 64 * slot, 4);
			if (seq != received)
				bad = 3000;
			received++;
			lq_cq_release(q);
			bad |= lq_post_recv(q, slot, buf->p + 64 * slot, 64,
					    buf->mem.lkey);
		}
	}
	/* what is queued must be taken before one leaves */
	while (!bad && lq_used(&q->sq)) {
		lq_enter(q, lq_used(&q->sq), 0, 0);
		qt_poll(q->fd, POLLOUT, 100);
	}
	if (!pid)
		_exit(bad || received != n);
	EXPECT_EQ(0, bad);
	EXPECT_EQ(n, received);
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_F(ops, counters)
{
	struct qp_info a, b;

	RECV_B(1, 0, 1000);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .flags = SIGNALED,
			  LOCAL(0, 1000)));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_SEND);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = SIGNALED,
			  LOCAL(0, 500), REMOTE(0)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	ASSERT_EQ(0, lq_info(self->a.fd, &a));
	ASSERT_EQ(0, lq_info(self->b.fd, &b));
	EXPECT_EQ(QP_STATE_RTS, a.state);
	EXPECT_EQ(variant->be->protocol, a.protocol);
	EXPECT_EQ(2, a.tx_msgs);
	EXPECT_EQ(1500, a.tx_bytes);
	EXPECT_EQ(0, a.rx_msgs);
	EXPECT_EQ(1, b.rx_msgs);
	EXPECT_EQ(1000, b.rx_bytes);
	EXPECT_EQ(0, b.tx_msgs);
	EXPECT_EQ(1, a.mem_regions);
	EXPECT_EQ(BUF, a.mem_bytes);

	NEEDS_RNR();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, LOCAL(0, 8)));
	ASSERT_EQ(0, lq_info(self->a.fd, &a));
	EXPECT_EQ(1, a.sends);
	EXPECT_EQ(1, a.cq_reserved);
	EXPECT_EQ(0, a.cq_used);
}

/* A queue pair without a queue does without its operations */
TEST_F(ops, one_way)
{
	struct qp_desc d = lq_desc(4, 0, 0);
	struct lq a, b;

	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .flags = SIGNALED));
	EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	lq_close(&a);
	lq_close(&b);
}

/* Messages between huge pages, across their borders */
static void check_huge(struct __test_metadata *_metadata,
		       ENDS *self, unsigned char *p, size_t len,
		       size_t border)
{
	struct qp_mem mem;

	ASSERT_EQ(0, lq_mem_reg(self->b.fd, p, len, LQ_ACCESS_ALL, &mem)) {
		TH_LOG("%s", strerror(errno));
	}
	qt_fill(self->abuf.p, 300000, 9);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  LOCAL(0, 300000), .rkey = mem.rkey,
			  .raddr = (unsigned long)p + border - 150001));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_PLACED();
	EXPECT_EQ(-1, qt_differ(p + border - 150001, 300000, 9));
	EXPECT_EQ(0, p[border - 150002]);
	EXPECT_EQ(0, p[border + 150000]);
	memset(self->abuf.p, 0, BUF);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = SIGNALED,
			  LOCAL(5, 300000), .rkey = mem.rkey,
			  .raddr = (unsigned long)p + border - 150001));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_EQ(-1, qt_differ(self->abuf.p + 5, 300000, 9));
	EXPECT_EQ(0, lq_mem_dereg(self->b.fd, mem.lkey));
}

#define HUGE	(2UL << 20)

TEST_F(ops, huge_pages)
{
	unsigned char *p;
	long was;

	if (qt_sysctl_read("vm/nr_hugepages", &was) ||
	    qt_sysctl_write("vm/nr_hugepages", was + 2))
		SKIP(return, "no huge pages in this kernel");
	p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p != MAP_FAILED) {
		check_huge(_metadata, self, p, 2 * HUGE, HUGE);
		munmap(p, 2 * HUGE);
	}
	qt_sysctl_write("vm/nr_hugepages", was);
	if (p == MAP_FAILED)
		SKIP(return, "no huge pages free");
}

TEST_F(ops, transparent_huge_pages)
{
	unsigned char *map, *p;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		SKIP(return, "no transparent huge pages in this kernel");
	map = mmap(NULL, 3 * HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	p = (void *)(((unsigned long)map + HUGE - 1) & ~(HUGE - 1));
	madvise(p, 2 * HUGE, MADV_HUGEPAGE);
	check_huge(_metadata, self, p, 2 * HUGE, HUGE);
	munmap(map, 3 * HUGE);
}

/* Memory of a file, shared with others */
TEST_F(ops, shared_memory)
{
	int fd = memfd_create("qp", 0);
	struct qp_mem mem;
	unsigned char *p, *q;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 16384));
	p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, p, 16384, LQ_ACCESS_ALL, &mem));
	qt_fill(self->abuf.p, 16384, 4);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  LOCAL(0, 16384), .raddr = mem.addr,
			  .rkey = mem.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_PLACED();
	EXPECT_EQ(-1, qt_differ(q, 16384, 4));
	close(fd);
}

/* A registration outlives the mapping it was made of */
TEST_F(ops, unmapped_later)
{
	unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct qp_mem mem;

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 8, 8192);
	ASSERT_EQ(0, lq_mem_reg(self->b.fd, p, 8192, LQ_ACCESS_ALL, &mem));
	munmap(p, 8192);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, LOCAL(0, 8),
			  .raddr = mem.addr, .rkey = mem.rkey));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = SIGNALED,
			  LOCAL(100, 8192), .raddr = mem.addr,
			  .rkey = mem.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_TRUE(qt_all(self->abuf.p + 108, 8184, 8));
	EXPECT_EQ(0, lq_mem_dereg(self->b.fd, mem.lkey));
}

/* Both ends of a message in the same memory */
TEST_F(ops, to_itself)
{
	struct qp_mem mem;

	ASSERT_EQ(0, lq_mem_reg(self->b.fd, self->abuf.p, BUF, LQ_ACCESS_ALL,
				&mem));
	qt_fill(self->abuf.p, 100000, 6);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  LOCAL(0, 100000), .rkey = mem.rkey,
			  .raddr = (unsigned long)self->abuf.p + 500000));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_PLACED();
	EXPECT_EQ(-1, qt_differ(self->abuf.p + 500000, 100000, 6));
	/* overlapping: nobody promises what, only that it ends */
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  LOCAL(0, 100000), .rkey = mem.rkey,
			  .raddr = (unsigned long)self->abuf.p + 1));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
}

TEST_F(ops, solicited)
{
	RECV_B(1, 0, 8);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND,
			  .flags = SIGNALED | QP_SQE_SOLICITED, LOCAL(0, 8)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_SEND);
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
}

TEST_HARNESS_MAIN
