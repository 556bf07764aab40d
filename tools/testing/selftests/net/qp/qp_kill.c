// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that are killed while they connect, register, send and receive,
 * QP_KILLS times (1000, on a network 40): nothing of them may stay.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#ifdef QP_LOCAL
#define CYCLES	1000
#else
#define CYCLES	40	/* a connection has more to do */
#endif

#define LEN	(16 * 4096)
#define LIMIT	(4 * LEN)

/* How far the victims got */
struct score {
	__u32 connected;
	__u32 moved;
};

FIXTURE(kill)
{
	struct listener l;
	struct score *score;
	long pins;
};

FIXTURE_VARIANT(kill)
{
	const struct backend *be;
};

VARIANTS(kill)

FIXTURE_SETUP(kill)
{
	struct rlimit lim = { LIMIT, LIMIT };

	self->pins = qt_pins();
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &lim));
	ASSERT_EQ(0, qt_become_nobody());
	self->score = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->score);
	ASSERT_EQ(0, qt_listen(variant->be, &self->l, 0, 2));
}

FIXTURE_TEARDOWN(kill)
{
	qt_unlisten(&self->l);
}

/*
 * Everything that can be under way, until killed or the peer is gone. Messages
 * only if they may find no receive: nobody here cares.
 */
static void live(struct lq *q, struct score *score, bool messages)
{
	struct qp_mem peer;
	struct qt_buf buf;
	char drop[64];

	__atomic_fetch_add(&score->connected, 1, __ATOMIC_RELAXED);
	if (qt_buf(&buf, q->fd, LEN, LQ_ACCESS_ALL) ||
	    send(q->fd, &buf.mem, sizeof(peer), MSG_NOSIGNAL) != sizeof(peer) ||
	    recv(q->fd, &peer, sizeof(peer), 0) != sizeof(peer))
		return;
	for (;;) {
		struct qp_cqe c;

		if (messages && lq_used(&q->rq) < 4)
			lq_post_recv(q, 1, buf.p, LEN, buf.mem.lkey);
		QUEUE(q, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
		      .p = buf.p, .len = LEN, .lkey = buf.mem.lkey,
		      .raddr = peer.addr, .rkey = peer.rkey);
		if (messages)
			QUEUE(q, .op = QP_OP_SEND, .p = buf.p, .len = 4096,
			      .lkey = buf.mem.lkey);
		QUEUE(q, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
		      .p = buf.p, .len = LEN, .lkey = buf.mem.lkey,
		      .raddr = peer.addr, .rkey = peer.rkey);
		lq_enter(q, messages ? 3 : 2, 1, 100);
		if (messages)
			send(q->fd, drop, sizeof(drop),
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		recv(q->fd, drop, sizeof(drop), MSG_DONTWAIT);
		while (lq_cq_peek(q)) {
			if (lq_wait(q, &c, 0) || c.status)
				return;
			__atomic_fetch_add(&score->moved, 1, __ATOMIC_RELAXED);
		}
	}
}

/* Who gets no messages but the first has no receive queue: it waits for recv() */
static struct qp_desc live_desc(bool messages)
{
	return lq_desc(8, messages ? 8 : 0, 0);
}

static pid_t client(struct listener *l, struct score *score)
{
	bool messages = l->be->flags & F_RNR;
	struct qp_desc d = live_desc(messages);
	struct lq q;
	pid_t pid = fork();

	if (pid)
		return pid;
	if (!qt_open(l->be, &q, 0, &d) &&
	    !lq_sys_connect(q.fd, &l->addr, l->len))
		live(&q, score, messages);
	pause();
	_exit(0);
}

/*
 * Over iWARP who was killed before it was accepted still waits for that: the next
 * one is no worse for it.
 */
static int accept_living(struct lq *q, struct listener *l,
			 const struct qp_desc *desc)
{
	int err;

	do {
		err = lq_accept(q, l->q.fd, desc);
	} while (err && errno == ECONNABORTED);
	return err;
}

static pid_t server(struct listener *l, struct score *score)
{
	bool messages = l->be->flags & F_RNR;
	struct qp_desc d = live_desc(messages);
	struct lq own, q;
	pid_t pid = fork();

	if (pid)
		return pid;
	/* its memory table is its own, not the listener's */
	if (qt_open_server(l->be, &own, 0, &d))
		_exit(1);
	d.flags = QP_SHARE_MEM;
	d.share_fd = own.fd;
	if (!accept_living(&q, l, &d))
		live(&q, score, messages);
	pause();
	_exit(0);
}

/* Only the listener is left, and the user may pin all that it may pin */
static bool all_gone(struct listener *l, long pins)
{
	struct qp_mem mem;
	void *p;
	bool ok;

	if (qt_proc_lines() != 1 || qt_pins() != pins || qt_pinned_kb())
		return false;
	p = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok = !lq_mem_reg(l->q.fd, p, LIMIT, QP_ACCESS_LOCAL_WRITE, &mem) &&
	     !lq_mem_dereg(l->q.fd, mem.lkey);
	munmap(p, LIMIT);
	return ok;
}

TEST_F_TIMEOUT(kill, nothing_stays, 550)
{
	__u64 cycles = qt_env("QP_KILLS", CYCLES);
	__u64 seed = qt_env("QP_SEED", 1), state = seed;

	for (__u64 i = 0; i < cycles; i++) {
		__u64 r = qt_random(&state);
		__u32 connected = self->score->connected;
		__u64 end = qt_now_ms() + LONG_MS;
		pid_t pid[2];

		pid[0] = client(&self->l, self->score);
		pid[1] = server(&self->l, self->score);
		ASSERT_LT(0, pid[0]);
		ASSERT_LT(0, pid[1]);
		/* half of them while they connect, half of them well after */
		while (r & 1 && self->score->connected < connected + 2 &&
		       qt_now_ms() < end)
			usleep(200);
		/* a message that comes before its receive waits for a timer */
		usleep((r >> 8) % (self->l.be->flags & F_LOCAL ? 5000 : 60000));
		kill(pid[r >> 1 & 1], SIGKILL);
		if (r & 4)
			usleep((r >> 24) % 1000);
		kill(pid[~r >> 1 & 1], SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid[0]));
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid[1]));
		if (i % 100 != 99)
			continue;
		ASSERT_TRUE(all_gone(&self->l, self->pins)) {
			TH_LOG("seed %llu, cycle %llu: %d queue pairs, %ld pages",
			       seed, i, qt_proc_lines(),
			       qt_pins() - self->pins);
		}
	}
	EXPECT_TRUE(all_gone(&self->l, self->pins));
	/* it was not all about killing the unborn */
	EXPECT_LE(cycles, self->score->connected);
	EXPECT_LE(cycles, self->score->moved);
	TH_LOG("%llu cycles, %u connected, %u transfers", cycles,
	       self->score->connected, self->score->moved);
}

TEST_HARNESS_MAIN
