// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that do everything wrong. The kernel must stand it, whoever else
 * uses queue pairs must not notice, and what is done wrong hurts only its own
 * queue pairs.
 *
 * QP_SEED repeats a run, QP_SECONDS (6, or 60 in a kernel that checks itself)
 * sets how long random ring contents are tried; other random tests take a
 * third of it.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define ENTRIES	16
#define BUF	(4 * 4096)
#define GUARD	0x5a

/* Two ends that behave; they must not notice anything */
struct bystander {
	struct lq a, b;
	struct qt_buf src, dst;
	__u32 count;
};

FIXTURE(hostile)
{
	struct bystander by;
	__u64 seed, seconds;
	__u64 *moved;		/* transfers of villains that worked */
	long pins;
	int lines;
};

#define HOSTILE	FIXTURE_DATA(hostile)
#define HAS(flag)	(variant->be->flags & (flag))

FIXTURE_VARIANT(hostile)
{
	const struct backend *be;
};

VARIANTS(hostile)

static int bystander_open(const struct backend *be, struct bystander *by)
{
	struct qp_desc d = lq_desc(ENTRIES, ENTRIES, 0);

	return qt_pair(be, &by->a, &by->b, 0, &d) ||
	       qt_buf(&by->src, by->a.fd, BUF, LQ_ACCESS_ALL) ||
	       qt_buf(&by->dst, by->b.fd, BUF, LQ_ACCESS_ALL);
}

/* One message and one WRITE arrive as they were sent */
static bool bystander_well(struct bystander *by)
{
	__u32 n = by->count++;
	struct qp_cqe c;
	int err;

	qt_fill(by->src.p, BUF, n);
	if (qt_differ(by->dst.p + 4096, BUF - 4096, n - 1) >= 0 && n)
		return false;
	err = lq_post_recv(&by->b, n, by->dst.p, 4096, by->dst.mem.lkey);
	err |= QUEUE(&by->a, .op = QP_OP_WRITE, .p = by->src.p,
		     .len = BUF - 4096, .lkey = by->src.mem.lkey,
		     .raddr = by->dst.mem.addr + 4096,
		     .rkey = by->dst.mem.rkey);
	err |= QUEUE(&by->a, .op = QP_OP_SEND, .id = n, .p = by->src.p,
		     .len = 4096, .lkey = by->src.mem.lkey,
		     .flags = QP_SQE_SIGNALED);
	if (err || lq_enter(&by->a, 2, 0, 0) != 2)
		return false;
	if (lq_wait(&by->a, &c, LONG_MS) || c.status || c.user_data != n)
		return false;
	if (lq_wait(&by->b, &c, LONG_MS) || c.status || c.user_data != n)
		return false;
	return qt_differ(by->dst.p, 4096, n) < 0 &&
	       qt_differ(by->dst.p + 4096, BUF - 4096, n) < 0;
}

FIXTURE_SETUP(hostile)
{
	self->seconds = qt_env("QP_SECONDS", qt_debug_kernel() ? 60 : 6);
	self->seed = qt_env("QP_SEED", qt_now_ms());
	self->moved = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->moved);
	ASSERT_EQ(0, bystander_open(variant->be, &self->by));
	ASSERT_TRUE(bystander_well(&self->by));
	self->pins = qt_pins();
	self->lines = qt_proc_lines();
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_TRUE(bystander_well(&self->by));
	EXPECT_EQ(self->lines, qt_proc_lines());
	EXPECT_EQ(self->pins, qt_pins());
	lq_close(&self->by.a);
	lq_close(&self->by.b);
}

/* An end of a pair that misbehaves */
struct villain {
	struct lq q;
	struct qt_buf buf;
	unsigned char *guard;	/* around the memory that may be written */
	unsigned int evil;	/* in a thousand things how many are wrong */
};

/* The middle of the guarded memory is registered, the rest must not change */
static int villain_init(struct villain *v)
{
	v->guard = mmap(NULL, 3 * BUF, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->guard == MAP_FAILED)
		return -1;
	memset(v->guard, GUARD, 3 * BUF);
	v->buf.p = v->guard + BUF;
	v->buf.len = BUF;
	return lq_mem_reg(v->q.fd, v->buf.p, BUF, LQ_ACCESS_ALL, &v->buf.mem);
}

static int villain_pair(const struct backend *be, struct villain v[2])
{
	struct qp_desc d = lq_desc(ENTRIES, ENTRIES, 0);

	d.max_sge = 4;
	d.max_inline = 128;
	return qt_pair(be, &v[0].q, &v[1].q, QP_NONBLOCK, &d) ||
	       villain_init(&v[0]) || villain_init(&v[1]);
}

static bool villain_close(struct villain *v)
{
	bool ok = qt_all(v->guard, BUF, GUARD) &&
		  qt_all(v->guard + 2 * BUF, BUF, GUARD);

	lq_close(&v->q);
	munmap(v->guard, 3 * BUF);
	return ok;
}

static const __u32 bad_distances[] = {
	ENTRIES + 1, 1000, 0x7fffffff, 0x80000000, 0xffffffff, -ENTRIES,
};

TEST_F(hostile, send_ring_index)
{
	struct villain v[2];
	struct lq *q = &v[0].q;
	struct qp_sqe *sqe;

	ASSERT_EQ(0, villain_pair(variant->be, v));
	for (int i = 0; i < ARRAY_SIZE(bad_distances); i++) {
		__u32 tail = *q->sq.tail;

		lq_store(q->sq.tail, tail + bad_distances[i]);
		EXPECT_ERRNO_AT(EOVERFLOW, lq_enter(q, 1, 0, 0), "row %d", i);
		EXPECT_ERRNO_AT(EOVERFLOW, lq_enter(q, -1, 0, 0), "row %d", i);
		lq_store(q->sq.tail, tail);

		/* the kernel's index is the kernel's, whatever is written */
		lq_store(q->sq.head, tail + bad_distances[i]);
		lq_store(q->sq.flags, -1);
		sqe = lq_entry(&q->sq, tail);
		*sqe = (struct qp_sqe){
			.opcode = QP_OP_SEND, .flags = QP_SQE_SIGNALED,
			.user_data = i,
		};
		lq_submit(&q->sq);
		if (!HAS(F_RNR))
			ASSERT_EQ(0, lq_post_recv(&v[1].q, i, NULL, 0, 0));
		EXPECT_EQ(1, lq_enter(q, 1, 0, 0));
		EXPECT_EQ(tail + 1, lq_load(q->sq.head));
		if (HAS(F_RNR))
			ASSERT_EQ(0, lq_post_recv(&v[1].q, i, NULL, 0, 0));
		EXPECT_CQE(&v[1].q, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_CQE(q, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	EXPECT_TRUE(villain_close(&v[0]));
	EXPECT_TRUE(villain_close(&v[1]));
}

TEST_F(hostile, receive_ring_index)
{
	struct villain v[2];
	struct lq *q = &v[1].q;

	/* iWARP ends the connection if there is no receive */
	if (!HAS(F_RNR))
		return;
	ASSERT_EQ(0, villain_pair(variant->be, v));
	for (int i = 0; i < ARRAY_SIZE(bad_distances); i++) {
		__u32 tail = *q->rq.tail;

		lq_store(q->rq.tail, tail + bad_distances[i]);
		ASSERT_EQ(0, POST(&v[0].q, .op = QP_OP_SEND, .id = i,
				  .flags = QP_SQE_SIGNALED));
		lq_sys_enter(q->fd, 0, 0, 0, NULL);
		/* no receive, no message */
		EXPECT_EQ(0, lq_used(&v[0].q.cq));
		lq_store(q->rq.tail, tail);
		lq_store(q->rq.head, tail);
		ASSERT_EQ(0, lq_post_recv(q, i, NULL, 0, 0));
		EXPECT_CQE(q, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_CQE(&v[0].q, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	EXPECT_TRUE(villain_close(&v[0]));
	EXPECT_TRUE(villain_close(&v[1]));
}

TEST_F(hostile, completion_ring_index)
{
	struct villain v[2];
	struct lq *q = &v[0].q;
	struct qp_info info;

	ASSERT_EQ(0, villain_pair(variant->be, v));
	for (int i = 0; i < ARRAY_SIZE(bad_distances); i++) {
		__u32 head = *q->cq.head;
		int due;

		/* an index that cannot be reads as a full ring */
		lq_store(q->cq.head, head + bad_distances[i]);
		ASSERT_EQ(0, lq_info(q->fd, &info));
		EXPECT_GE(q->desc.cq_entries, info.cq_used);
		due = !POST(q, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED);
		lq_enter(q, 0, 1, 0);
		qt_poll(q->fd, POLLIN, 0);

		/* the kernel's index is the kernel's, from the next one on */
		lq_store(q->cq.tail, 12345 * i);
		lq_store(q->cq.flags, -1);
		lq_store(q->cq.head, head);
		ASSERT_EQ(0, POST_LATER(variant->be, q, .op = QP_OP_WRITE,
					.id = 100 + i,
					.flags = QP_SQE_SIGNALED));
		ASSERT_EQ(0, lq_enter(q, 0, due + 1, LONG_MS));
		while (lq_cq_peek(q))
			lq_cq_release(q);
	}
	EXPECT_TRUE(villain_close(&v[0]));
	EXPECT_TRUE(villain_close(&v[1]));
}

/* Keys near a known one, and any: they open nothing */
TEST_F_TIMEOUT(hostile, guessed_keys, 120)
{
	__u64 state = self->seed;

	TH_LOG("QP_SEED=%llu", self->seed);
	for (int i = 0; i < 64; i++) {
		struct villain v[2];
		__u32 key;

		ASSERT_EQ(0, villain_pair(variant->be, v));
		key = v[1].buf.mem.rkey;
		if (i < 32)
			key ^= 1U << i;
		else if (i < 48)
			key += i - 40 + (i >= 40);
		else
			key = qt_random(&state);
		ASSERT_EQ(0, POST(&v[0].q, .op = QP_OP_WRITE, .p = v[0].buf.p,
				  .len = 8, .lkey = v[0].buf.mem.lkey,
				  .raddr = v[1].buf.mem.addr, .rkey = key));
		EXPECT_FAILURE(variant->be, &v[0].q, 0, QP_WC_REM_ACCESS_ERR,
			       QP_OP_WRITE);
		EXPECT_TRUE(qt_all(v[1].buf.p, BUF, GUARD));

		/* a guess costs the connection */
		ASSERT_EQ(0, POST(&v[0].q, .op = QP_OP_WRITE, .p = v[0].buf.p,
				  .len = 8, .lkey = v[0].buf.mem.lkey,
				  .raddr = v[1].buf.mem.addr,
				  .rkey = v[1].buf.mem.rkey));
		EXPECT_CQE(&v[0].q, 0, QP_WC_WR_FLUSH_ERR, QP_OP_WRITE);
		EXPECT_TRUE(villain_close(&v[0]));
		EXPECT_TRUE(villain_close(&v[1]));
	}
}

/* Rings that are unmapped are still the kernel's */
TEST_F(hostile, unmapped_rings)
{
	struct villain v[2];

	ASSERT_EQ(0, villain_pair(variant->be, v));
	ASSERT_EQ(0, lq_post_recv(&v[1].q, 1, v[1].buf.p, 64,
				  v[1].buf.mem.lkey));
	ASSERT_EQ(0, QUEUE(&v[0].q, .op = QP_OP_SEND,
			   .flags = QP_SQE_SIGNALED, .p = v[0].buf.p, .len = 64,
			   .lkey = v[0].buf.mem.lkey));
	lq_unmap(&v[0].q);
	lq_unmap(&v[1].q);
	EXPECT_EQ(1, lq_sys_enter(v[0].q.fd, 1, 1, 0, NULL));
	ASSERT_EQ(0, lq_map(&v[1].q));
	EXPECT_CQE(&v[1].q, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_TRUE(villain_close(&v[0]));
	EXPECT_TRUE(villain_close(&v[1]));
}

/*
 * Random work. Most of it is nearly right, so that it gets far; targets are
 * only what was registered, so that the program hurts itself no more than it
 * means to.
 */
static bool chance(__u64 *state, unsigned int percent)
{
	return qt_random(state) % 100 < percent;
}

static void random_bytes(void *p, size_t len, __u64 *state)
{
	unsigned char *c = p;

	for (size_t i = 0; i < len; i++)
		c[i] = qt_random(state) >> 13;
}

static bool wicked(const struct villain *me, __u64 *state)
{
	return qt_random(state) % 1000 < me->evil;
}

/* Within the registration, mostly */
static void random_sge(struct qp_sge *sge, const struct villain *me,
		       __u64 *state)
{
	sge->addr = me->buf.mem.addr + qt_random(state) % (BUF / 2);
	sge->length = qt_random(state) % (chance(state, 50) ? 64 : BUF / 8);
	sge->lkey = me->buf.mem.lkey;
	if (wicked(me, state))
		sge->addr = qt_random(state);
	if (wicked(me, state))
		sge->length = qt_random(state);
	if (wicked(me, state))
		sge->lkey = qt_random(state);
}

static void random_remote(struct qp_sqe *sqe, const struct villain *me,
			  const struct villain *peer, __u64 *state)
{
	sqe->remote_addr = peer->buf.mem.addr + (qt_random(state) % BUF / 4);
	sqe->rkey = peer->buf.mem.rkey;
	if (wicked(me, state))
		sqe->remote_addr = qt_random(state);
	if (wicked(me, state))
		sqe->rkey = qt_random(state);
	if (sqe->opcode < QP_OP_ATOMIC_CAS)
		return;
	if (!wicked(me, state))
		sqe->remote_addr &= ~7ULL;
	sqe->num_sge = 1;
	sqe->sge[0].length = 8;
	sqe->compare_add = qt_random(state);
}

static bool has_inv(__u8 opcode)
{
	return opcode == QP_OP_SEND_INV || opcode == QP_OP_LOCAL_INV;
}

static void random_sqe(struct lq *q, struct qp_sqe *sqe,
		       const struct villain *me, const struct villain *peer,
		       __u64 *state)
{
	__u32 i, max = q->desc.max_sge;

	random_bytes(sqe, q->sq.entry_size, state);
	if (wicked(me, state))
		return;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = qt_random(state) % (QP_OP_LAST + wicked(me, state));
	if (has_inv(sqe->opcode) && !wicked(me, state))
		sqe->opcode = QP_OP_SEND;
	sqe->flags = qt_random(state) & (QP_SQE_SIGNALED | QP_SQE_FENCE);
	sqe->user_data = qt_random(state);
	if (sqe->opcode < QP_OP_READ && chance(state, 30)) {
		sqe->flags |= QP_SQE_INLINE;
		sqe->inline_len = qt_random(state) %
				  (128 + 40 * wicked(me, state));
	} else if (sqe->opcode != QP_OP_LOCAL_INV) {
		sqe->num_sge = qt_random(state) %
			       (max + 1 + wicked(me, state));
		for (i = 0; i < max; i++)
			random_sge(&sqe->sge[i], me, state);
	}
	if (sqe->opcode >= QP_OP_WRITE && sqe->opcode <= QP_OP_ATOMIC_ADD)
		random_remote(sqe, me, peer, state);
	if (sqe->opcode == QP_OP_SEND_IMM || sqe->opcode == QP_OP_WRITE_IMM)
		sqe->imm_data = qt_random(state);
	if (has_inv(sqe->opcode))
		sqe->inv_rkey = chance(state, 50) ? peer->buf.mem.rkey :
						    me->buf.mem.rkey;
}

static void random_rqe(struct lq *q, struct qp_rqe *rqe,
		       const struct villain *me, __u64 *state)
{
	random_bytes(rqe, q->rq.entry_size, state);
	if (wicked(me, state))
		return;
	memset(rqe, 0, sizeof(*rqe));
	rqe->user_data = qt_random(state);
	rqe->num_sge = 1 + qt_random(state) % q->desc.max_sge;
	for (__u32 i = 0; i < rqe->num_sge; i++)
		random_sge(&rqe->sge[i], me, state);
	if (wicked(me, state))
		return;
	rqe->sge[0].addr = me->buf.mem.addr;
	rqe->sge[0].length = BUF;
}

/* One thing that a bad program may do with one end */
static void misbehave(struct villain *me, struct villain *peer, __u64 *state)
{
	struct lq *q = &me->q;
	struct pollfd pfd = { .fd = q->fd, .events = qt_random(state) };
	struct qp_info info;
	char buf[256];
	__u32 i;

	switch (qt_random(state) % 16) {
	case 0 ... 3:
		for (i = 0; i < ENTRIES; i++)
			random_sqe(q, lq_entry(&q->sq, i), me, peer, state);
		lq_store(q->sq.tail, lq_load(q->sq.head) +
			 qt_random(state) % ENTRIES);
		lq_enter(q, qt_random(state) % (2 * ENTRIES), 0, 0);
		break;
	case 4 ... 6:
		for (i = 0; i < ENTRIES; i++)
			random_rqe(q, lq_entry(&q->rq, i), me, state);
		lq_store(q->rq.tail, lq_load(q->rq.head) +
			 qt_random(state) % ENTRIES);
		lq_sys_enter(q->fd, 0, 0, 0, NULL);
		break;
	case 7:
		if (!wicked(me, state))
			break;
		lq_store(q->sq.tail, qt_random(state));
		lq_store(q->rq.tail, qt_random(state));
		lq_enter(q, qt_random(state), 0, 0);
		break;
	case 8:
		lq_store(q->cq.head, wicked(me, state) ?
			 qt_random(state) : lq_load(q->cq.tail));
		break;
	case 9 ... 10:
		lq_store(q->cq.head, lq_load(q->cq.tail));
		lq_enter(q, ENTRIES, 1, 1);
		break;
	case 11:
		send(q->fd, buf, qt_random(state) % sizeof(buf),
		     MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 12:
		recv(q->fd, buf, qt_random(state) % sizeof(buf),
		     MSG_DONTWAIT | (chance(state, 50) ? MSG_PEEK : 0));
		break;
	case 13:
		/* under way it is the end of the connection */
		if (!wicked(me, state))
			break;
		lq_mem_dereg(q->fd, me->buf.mem.lkey);
		lq_mem_reg(q->fd, me->buf.p, BUF, LQ_ACCESS_ALL, &me->buf.mem);
		break;
	case 14:
		lq_info(q->fd, &info);
		poll(&pfd, 1, 0);
		break;
	case 15:
		if (wicked(me, state))
			shutdown(q->fd, qt_random(state) % 3);
		break;
	}
}

/* A bad life: short connections in which both ends misbehave */
static void villain_life(const struct backend *be, __u64 state, __u64 *moved)
{
	static const unsigned int evils[] = { 0, 1, 1, 5, 20, 200 };
	struct qp_info info;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		__u64 steps = qt_random(&state) % 400;
		struct villain v[2];

		if (villain_pair(be, v))
			_exit(1);
		v[0].evil = evils[qt_random(&state) % ARRAY_SIZE(evils)];
		v[1].evil = evils[qt_random(&state) % ARRAY_SIZE(evils)];
		while (steps--) {
			int me = qt_random(&state) % 2;

			misbehave(&v[me], &v[!me], &state);
		}
		if (!lq_info(v[0].q.fd, &info))
			__atomic_fetch_add(moved, info.tx_msgs,
					   __ATOMIC_RELAXED);
		if (!villain_close(&v[0]) || !villain_close(&v[1]))
			_exit(2);
	}
}

/*
 * Let the bystander do its work until the time is up and the villains got past
 * the checks often enough to be of use; then end them.
 */
static void watch(struct __test_metadata *_metadata, HOSTILE *self,
		  pid_t *pid, int n, __u64 seconds, __u64 moved)
{
	__u64 end_ms = qt_now_ms() + seconds * 1000;

	while (qt_now_ms() < end_ms || *self->moved < moved) {
		ASSERT_TRUE(bystander_well(&self->by));
		usleep(10000);
	}
	for (int i = 0; i < n; i++) {
		kill(pid[i], SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid[i])) {
			TH_LOG("process %d ended by itself", i);
		}
	}
}

TEST_F_TIMEOUT(hostile, random_rings, 300)
{
	pid_t pid[2];

	TH_LOG("QP_SEED=%llu", self->seed);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			villain_life(variant->be, self->seed + i, self->moved);
	}
	watch(_metadata, self, pid, 2, self->seconds,
	      HAS(F_LOCAL) ? 1000 : 100);
	TH_LOG("%llu transfers", *self->moved);
}

/*
 * Entries that change while the kernel reads them: one process posts, another
 * one with the same rings mapped writes into the entries that come next, all
 * the time. What is written is good and bad in turns, each field in a rhythm
 * of its own.
 */
static void scribble_send(struct villain *v, __u32 i)
{
	struct qp_sqe *sqe = lq_entry(&v->q.sq, lq_load(v->q.sq.head));
	bool in = i & 64;

	__atomic_store_n(&sqe->flags, in ? QP_SQE_INLINE : 0, __ATOMIC_RELAXED);
	for (int j = 0; j < 16; j++) {
		__u32 bad = j & 1;

		__atomic_store_n(&sqe->inline_len, in ? bad * 0xfffffff0 : 0,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&sqe->num_sge, in ? 0 : bad ? 65535 : 1,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&sqe->sge[0].length, bad * 0xffffffc0,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&sqe->opcode, bad ? 200 : QP_OP_SEND,
				 __ATOMIC_RELAXED);
	}
}

static void scribble_receive(struct villain *v)
{
	struct qp_rqe *rqe = lq_entry(&v->q.rq, lq_load(v->q.rq.head));

	for (int j = 0; j < 16; j++) {
		__u32 bad = j & 1;

		__atomic_store_n(&rqe->num_sge, bad ? 65535 : 1,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&rqe->sge[0].length, bad ? 0xffffffc0 : BUF,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&rqe->sge[0].addr,
				 v->buf.mem.addr + bad * BUF, __ATOMIC_RELAXED);
	}
}

static void scribble(struct villain v[2])
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (__u32 i = 0;; i++) {
		scribble_send(&v[i & 1], i);
		scribble_receive(&v[i & 1]);
	}
}

static void post_good(struct villain *from, struct villain *to)
{
	struct qp_cqe c;

	lq_post_recv(&to->q, 1, to->buf.p, BUF, to->buf.mem.lkey);
	POST(&from->q, .op = QP_OP_SEND, .flags = QP_SQE_SIGNALED,
	     .p = from->buf.p, .len = 64, .lkey = from->buf.mem.lkey);
	POST(&from->q, .op = QP_OP_WRITE, .p = from->buf.p, .len = 64,
	     .lkey = from->buf.mem.lkey, .raddr = to->buf.mem.addr,
	     .rkey = to->buf.mem.rkey);
	while (lq_cq_peek(&from->q))
		lq_wait(&from->q, &c, 0);
	while (lq_cq_peek(&to->q))
		lq_wait(&to->q, &c, 0);
}

TEST_F_TIMEOUT(hostile, changing_entries, 300)
{
	__u64 end_ms = qt_now_ms() + self->seconds * 1000 / 3;
	__u32 rounds = 0;

	while (qt_now_ms() < end_ms) {
		__u64 end = qt_now_ms() + 100;
		struct villain v[2];
		pid_t pid;

		ASSERT_EQ(0, villain_pair(variant->be, v));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			scribble(v);
		while (qt_now_ms() < end) {
			post_good(&v[0], &v[1]);
			post_good(&v[1], &v[0]);
		}
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		EXPECT_TRUE(villain_close(&v[0]));
		EXPECT_TRUE(villain_close(&v[1]));
		EXPECT_TRUE(bystander_well(&self->by));
		rounds++;
	}
	TH_LOG("%u rounds", rounds);
}

#ifdef QP_LOCAL
/* System calls with random arguments, on descriptors of all kinds */

static void on_alarm(int sig)
{
}

static struct qp_desc random_desc(__u64 *state)
{
	static struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct qp_desc d = lq_desc(1 << qt_random(state) % 18,
				   1 << qt_random(state) % 18,
				   chance(state, 50) ? 0 :
				   1 << qt_random(state) % 18);

	if (chance(state, 5))
		random_bytes(&d, sizeof(d), state);
	if (chance(state, 95))
		d.size = sizeof(d);
	if (chance(state, 20))
		d = lq_desc(0, 0, d.cq_entries);
	if (chance(state, 30))
		d.max_sge = qt_random(state) % 18;
	if (chance(state, 30))
		d.max_inline = qt_random(state) % 1030;
	d.share_fd = qt_random(state) % 64;
	if (chance(state, 40)) {
		sun.sun_path[1] = qt_random(state) % 4;
		d.addr = (unsigned long)&sun;
		d.addrlen = 4 + chance(state, 2) * qt_random(state);
		d.sq_entries = 0;
		d.rq_entries = 0;
		d.cq_entries = 0;
	}
	return d;
}

/* A mapping keeps its queue pair: only the last ones stay. */
static void random_mmap(int fd, __u64 *state)
{
	static struct { void *p; size_t len; } maps[8];
	static unsigned int next;
	size_t len = 4096 << qt_random(state) % 4;
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd,
		       (qt_random(state) % 4) << 28);

	if (p == MAP_FAILED)
		return;
	next = (next + 1) % 8;
	if (maps[next].len)
		munmap(maps[next].p, maps[next].len);
	maps[next].p = p;
	maps[next].len = len;
}

static void random_call(__u64 *state)
{
	static struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct __kernel_timespec ts = { .tv_nsec = qt_random(state) % 2000000 };
	int fd = 3 + qt_random(state) % 60;
	struct qp_desc d = random_desc(state);
	struct qp_mem mem = {
		.addr = (unsigned long)&d, .length = qt_random(state) % 9999,
		.access = qt_random(state) % 64,
	};
	unsigned int len = qt_random(state) % 300;
	char buf[512];

	random_bytes(buf, sizeof(buf), state);
	switch (qt_random(state) % 16) {
	case 0 ... 2:
		lq_sys_queue_pair(chance(state, 90) ? AF_UNIX :
				  (int)(qt_random(state) % 64),
				  qt_random(state) % (chance(state, 95) ? 32 :
						      1000), &d);
		break;
	case 3 ... 5:
		sun.sun_path[1] = qt_random(state) % 4;
		lq_sys_connect(fd, &sun, chance(state, 95) ? 4 :
			       (int)qt_random(state));
		break;
	case 6 ... 7:
		d.flags = qt_random(state) % 32 & ~QP_LISTEN;
		d.addr = 0;
		d.addrlen = 0;
		lq_sys_accept(fd, &d);
		break;
	case 8:
		lq_sys_setopt(fd, QP_MEM_REG, &mem, sizeof(mem));
		break;
	case 9:
		lq_sys_setopt(fd, qt_random(state) % 9, buf, len);
		break;
	case 10:
		lq_sys_getopt(fd, qt_random(state) % 9, buf, &len);
		break;
	case 11:
		lq_sys_enter(fd, qt_random(state) % 20, qt_random(state) % 20,
			     chance(state, 5) ? qt_random(state) : 0, &ts);
		break;
	case 12:
		if (chance(state, 50))
			close(fd);
		else
			dup(fd);
		break;
	case 13:
		send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		recv(fd, buf, len, MSG_DONTWAIT);
		break;
	case 14:
		random_mmap(fd, state);
		shutdown(fd, chance(state, 20) ? qt_random(state) % 4 : 9);
		break;
	case 15:
		len = sizeof(buf);
		getsockname(fd, (void *)buf, &len);
		getpeername(fd, (void *)buf, &len);
		break;
	}
}

static void caller_life(__u64 state)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { { 0, 3000 }, { 0, 3000 } };
	struct rlimit files = { 64, 64 };
	int fds[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* the bystander's are not its own to close */
	close_range(3, -1, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	/* what blocks is interrupted soon */
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	if (pipe(fds) || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		_exit(1);
	for (;;)
		random_call(&state);
}

TEST_F_TIMEOUT(hostile, random_calls, 300)
{
	pid_t pid[2];

	TH_LOG("QP_SEED=%llu", self->seed);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			caller_life(self->seed + i);
	}
	watch(_metadata, self, pid, 2, self->seconds / 3, 0);
}
#endif

TEST_HARNESS_MAIN
