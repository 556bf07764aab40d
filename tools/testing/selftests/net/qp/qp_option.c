// SPDX-License-Identifier: GPL-2.0
/*
 * Options of a connection on a network: path MTU, and how often and how long
 * after a request is repeated
 */
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define SQ		16
#define BUF		(256 * 1024U)
#define SIGNALED	QP_SQE_SIGNALED
#define SOON_MS		2000		/* of a busy machine */

FIXTURE(option)
{
	const struct backend *be;
	bool has;			/* the protocol has these options */
	struct qp_desc d;
	struct listener l;
	struct lq a, b;			/* a on the client */
	struct qt_buf abuf, bbuf;
};

#define OPTION	FIXTURE_DATA(option)

FIXTURE_VARIANT(option)
{
	const struct backend *be;
};

VARIANTS(option)

FIXTURE_SETUP(option)
{
	self->be = variant->be;
	self->has = variant->be->flags & F_RNR;
	self->d = lq_desc(SQ, SQ, 0);
	self->b.fd = -1;
	ASSERT_EQ(0, qt_open(self->be, &self->a, QP_NONBLOCK, &self->d));
	ASSERT_EQ(0, qt_listen(self->be, &self->l, 0, 1));
}

FIXTURE_TEARDOWN(option)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
	qt_unlisten(&self->l);
}

static int set(const struct lq *q, int opt, __u32 val)
{
	return lq_sys_setopt(q->fd, opt, &val, sizeof(val));
}

/* The value, or -1 */
static long long get(const struct lq *q, int opt)
{
	unsigned int len = sizeof(__u32);
	__u32 val = 0;

	return lq_sys_getopt(q->fd, opt, &val, &len) ? -1 : val;
}

static int pair(OPTION *self)
{
	if (lq_sys_connect(self->a.fd, &self->l.addr, self->l.len) &&
	    errno != EINPROGRESS)
		return -1;
	return lq_accept(&self->b, self->l.q.fd, &self->d) ||
	       lq_connected(self->a.fd, LONG_MS) ||
	       qt_buf(&self->abuf, self->a.fd, BUF, LQ_ACCESS_ALL) ||
	       qt_buf(&self->bbuf, self->b.fd, BUF, LQ_ACCESS_ALL);
}

#define PAIR() ASSERT_EQ(0, pair(self)) {				\
	TH_LOG("%s", strerror(errno));					\
}

static const struct {
	int opt;
	__u32 val;
	long long got;		/* or -1: EINVAL */
} values[] = {
	{ QP_PATH_MTU, 255, -1 },
	{ QP_PATH_MTU, 256, 256 },
	{ QP_PATH_MTU, 1500, 1024 },
	{ QP_PATH_MTU, 4095, 2048 },
	{ QP_PATH_MTU, 4096, 4096 },
	{ QP_PATH_MTU, 4097, -1 },
	{ QP_RNR_RETRY, 0, 0 },
	{ QP_RNR_RETRY, 7, 7 },
	{ QP_RNR_RETRY, 8, -1 },
	{ QP_RNR_TIMER, 0, -1 },
	{ QP_RNR_TIMER, 1, 10 },
	{ QP_RNR_TIMER, 10, 10 },
	{ QP_RNR_TIMER, 11, 20 },
	{ QP_RNR_TIMER, 30, 30 },
	{ QP_RNR_TIMER, 31, 40 },
	{ QP_RNR_TIMER, 641, 960 },
	{ QP_RNR_TIMER, 327680, 327680 },
	{ QP_RNR_TIMER, 491520, 491520 },
	{ QP_RNR_TIMER, 491521, 655360 },
	{ QP_RNR_TIMER, 655360, 655360 },
	{ QP_RNR_TIMER, 655361, -1 },
	{ QP_RETRY_CNT, 0, 0 },
	{ QP_RETRY_CNT, 7, 7 },
	{ QP_RETRY_CNT, 8, -1 },
	{ QP_ACK_TIMEOUT, 0, -1 },
	{ QP_ACK_TIMEOUT, 1, 8 },
	{ QP_ACK_TIMEOUT, 9, 16 },
	{ QP_ACK_TIMEOUT, 16777, 16777 },
	{ QP_ACK_TIMEOUT, 16778, 33554 },
	{ QP_ACK_TIMEOUT, 2199023255, 2199023255 },
	{ QP_ACK_TIMEOUT, 2199023256, -1 },
	{ QP_ACK_TIMEOUT, -1, -1 },
};

TEST_F(option, values)
{
	for (int i = 0; i < ARRAY_SIZE(values); i++) {
		int opt = values[i].opt;
		__u32 val = values[i].val;
		long long before = get(&self->a, opt);

		if (!self->has) {
			EXPECT_ERRNO(EOPNOTSUPP, set(&self->a, opt, val));
			EXPECT_ERRNO(EOPNOTSUPP, get(&self->a, opt));
		} else if (values[i].got < 0) {
			EXPECT_ERRNO_AT(EINVAL, set(&self->a, opt, val),
					"%d = %u", opt, val);
			EXPECT_EQ(before, get(&self->a, opt));
		} else {
			EXPECT_EQ(0, set(&self->a, opt, val));
			EXPECT_EQ(values[i].got, get(&self->a, opt)) {
				TH_LOG("%d = %u", opt, val);
			}
		}
	}
}

/* What is set is in use, and what is in use can not be set */
TEST_F(option, in_use)
{
	static const __u32 vals[][2] = {
		{ QP_RNR_RETRY, 3 }, { QP_RNR_TIMER, 40 },
		{ QP_RETRY_CNT, 5 }, { QP_ACK_TIMEOUT, 16777 },
	};

	if (!self->has)
		SKIP(return, "iWARP has none of these options");
	for (int i = 0; i < ARRAY_SIZE(vals); i++)
		ASSERT_EQ(0, set(&self->l.q, vals[i][0], vals[i][1]));
	/* who connects says how large packets are */
	EXPECT_ERRNO(EOPNOTSUPP, set(&self->l.q, QP_PATH_MTU, 1024));
	PAIR();

	/* the accepted one has what its listener has, the other what is usual */
	for (int i = 0; i < ARRAY_SIZE(vals); i++) {
		EXPECT_EQ(vals[i][1], get(&self->b, vals[i][0]));
		EXPECT_ERRNO(EISCONN, set(&self->a, vals[i][0], vals[i][1]));
		EXPECT_ERRNO(EISCONN, set(&self->b, vals[i][0], vals[i][1]));
	}
	EXPECT_EQ(7, get(&self->a, QP_RNR_RETRY));
	EXPECT_EQ(640, get(&self->a, QP_RNR_TIMER));
	EXPECT_EQ(6, get(&self->a, QP_RETRY_CNT));
	EXPECT_EQ(268435, get(&self->a, QP_ACK_TIMEOUT));
	/* the link has 1500 bytes */
	EXPECT_EQ(1024, get(&self->a, QP_PATH_MTU));
	EXPECT_EQ(1024, get(&self->b, QP_PATH_MTU));
}

TEST_F(option, path_mtu)
{
	if (!self->has)
		SKIP(return, "iWARP has no path MTU");
	ASSERT_EQ(0, set(&self->a, QP_PATH_MTU, 512));
	PAIR();
	EXPECT_EQ(512, get(&self->a, QP_PATH_MTU));
	EXPECT_EQ(512, get(&self->b, QP_PATH_MTU));
	qt_fill(self->abuf.p, BUF, 1);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  .p = self->abuf.p, .len = BUF,
			  .lkey = self->abuf.mem.lkey,
			  .raddr = self->bbuf.mem.addr,
			  .rkey = self->bbuf.mem.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_EQ(-1, qt_differ(self->bbuf.p, BUF, 1));
}

/* Send an empty message that nobody takes; ms until it failed so */
static long long fails_after(OPTION *self, __u16 status)
{
	struct qp_cqe c = { 0 };
	__u64 t0 = qt_now_ms();
	int err;

	err = POST(&self->a, .op = QP_OP_SEND, .id = 1, .flags = SIGNALED);
	if (err || lq_wait(&self->a, &c, LONG_MS) || c.status != status)
		return -1 - c.status;
	return qt_now_ms() - t0;
}

TEST_F(option, rnr_retry_none)
{
	long long ms;

	if (!self->has)
		SKIP(return, "a message of iWARP does not wait for a receive");
	ASSERT_EQ(0, set(&self->a, QP_RNR_RETRY, 0));
	PAIR();
	ms = fails_after(self, QP_WC_RNR_RETRY_EXC_ERR);
	EXPECT_LE(0, ms);
	EXPECT_GE(SOON_MS, ms);
}

/* Three times, and the receiver has each wait for 123 ms */
TEST_F(option, rnr_timer)
{
	long long ms;

	if (!self->has)
		SKIP(return, "a message of iWARP does not wait for a receive");
	ASSERT_EQ(0, set(&self->a, QP_RNR_RETRY, 3));
	ASSERT_EQ(0, set(&self->l.q, QP_RNR_TIMER, 100000));
	PAIR();
	EXPECT_EQ(122880, get(&self->b, QP_RNR_TIMER));
	ms = fails_after(self, QP_WC_RNR_RETRY_EXC_ERR);
	EXPECT_LE(3 * 122, ms);
	EXPECT_GE(3 * 122 + SOON_MS, ms);
}

/* A receive that comes in time */
TEST_F(option, rnr_retry_succeeds)
{
	if (!self->has)
		SKIP(return, "a message of iWARP does not wait for a receive");
	ASSERT_EQ(0, set(&self->a, QP_RNR_RETRY, 6));
	ASSERT_EQ(0, set(&self->l.q, QP_RNR_TIMER, 655360));
	PAIR();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 1,
			  .flags = SIGNALED));
	EXPECT_NO_CQE(&self->a);
	ASSERT_EQ(0, lq_post_recv(&self->b, 2, NULL, 0, 0));
	EXPECT_CQE(&self->b, 2, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_SEND);
}

/* A peer that does not answer is given up after so many times so long */
TEST_F_TIMEOUT(option, dead_peer, 120)
{
	static const struct {
		__u32 timeout, retries;
		int min_ms, max_ms;
	} waits[] = {
		/* rxe counts in jiffies, of which the first is a part only */
		{ 16777, 0, 16 - 10, SOON_MS },
		{ 16777, 3, 4 * (16 - 10), SOON_MS },
		{ 536870, 4, 5 * 536, 5 * 536 * 2 + SOON_MS },
	};

	if (!self->has)
		SKIP(return, "TCP of iWARP has its own idea of it");
	for (int i = 0; i < ARRAY_SIZE(waits); i++) {
		long long ms;

		ASSERT_EQ(0, set(&self->a, QP_ACK_TIMEOUT, waits[i].timeout));
		ASSERT_EQ(0, set(&self->a, QP_RETRY_CNT, waits[i].retries));
		PAIR();
		ASSERT_EQ(0, qt_sh(self->be->hosts, QT_CLIENT, "tc qdisc add dev "
				   "veth0 root netem loss 100%%"));
		ms = fails_after(self, QP_WC_RETRY_EXC_ERR);
		EXPECT_EQ(0, qt_sh(self->be->hosts, QT_CLIENT,
				   "tc qdisc del dev veth0 root"));
		EXPECT_LE(waits[i].min_ms, ms);
		EXPECT_GE(waits[i].max_ms, ms);
		TH_LOG("%u us, %u retries: %lld ms", waits[i].timeout,
		       waits[i].retries, ms);
		lq_close(&self->a);
		lq_close(&self->b);
		qt_unbuf(&self->abuf);
		qt_unbuf(&self->bbuf);
		ASSERT_EQ(0, qt_open(self->be, &self->a, QP_NONBLOCK, &self->d));
	}
}

TEST_HARNESS_MAIN
