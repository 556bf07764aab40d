// SPDX-License-Identifier: GPL-2.0
/* Queue pairs in io_uring: polling them, and entering them */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/io_uring.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define SQ	16
#define DEFERRED	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

/* As much of io_uring as is needed here */
struct uring {
	int fd;
	void *map;
	size_t len;
	struct io_uring_sqe *sqes;
	size_t sqes_len;
	__u32 *sq_head, *sq_tail, *sq_mask, *sq_array;
	__u32 *cq_head, *cq_tail, *cq_mask;
	struct io_uring_cqe *cqes;
};

static int ur_open(struct uring *u, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	size_t cq_len;

	memset(u, 0, sizeof(*u));
	u->fd = syscall(__NR_io_uring_setup, SQ, &p);
	if (u->fd < 0)
		return -1;
	u->len = p.sq_off.array + p.sq_entries * sizeof(__u32);
	cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (u->len < cq_len)
		u->len = cq_len;
	u->map = mmap(NULL, u->len, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		      IORING_OFF_SQ_RING);
	u->sqes_len = p.sq_entries * sizeof(struct io_uring_sqe);
	u->sqes = mmap(NULL, u->sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		       u->fd, IORING_OFF_SQES);
	if (u->map == MAP_FAILED || u->sqes == MAP_FAILED)
		return -1;
	u->sq_head = u->map + p.sq_off.head;
	u->sq_tail = u->map + p.sq_off.tail;
	u->sq_mask = u->map + p.sq_off.ring_mask;
	u->sq_array = u->map + p.sq_off.array;
	u->cq_head = u->map + p.cq_off.head;
	u->cq_tail = u->map + p.cq_off.tail;
	u->cq_mask = u->map + p.cq_off.ring_mask;
	u->cqes = u->map + p.cq_off.cqes;
	return 0;
}

static void ur_close(struct uring *u)
{
	if (u->fd < 0)
		return;
	munmap(u->map, u->len);
	munmap(u->sqes, u->sqes_len);
	close(u->fd);
	u->fd = -1;
}

static struct io_uring_sqe *ur_sqe(struct uring *u, __u8 op, int fd,
				   __u64 user_data)
{
	__u32 slot = *u->sq_tail & *u->sq_mask;
	struct io_uring_sqe *sqe = &u->sqes[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->user_data = user_data;
	u->sq_array[slot] = slot;
	return sqe;
}

static int ur_submit(struct uring *u)
{
	__u64 end = qt_now_ms() + LONG_MS;
	int ret;

	lq_store(u->sq_tail, *u->sq_tail + 1);
	ret = syscall(__NR_io_uring_enter, u->fd, 1, 0, IORING_ENTER_SQ_WAKEUP,
		      NULL, 0);
	/* a kernel thread may be the one to do it */
	while (lq_load(u->sq_head) != *u->sq_tail && qt_now_ms() < end)
		usleep(100);
	return ret;
}

/* Completions that are there; also lets io_uring do what it put off */
static __u32 ur_ready(struct uring *u)
{
	syscall(__NR_io_uring_enter, u->fd, 0, 0,
		IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0);
	return lq_load(u->cq_tail) - *u->cq_head;
}

/*
 * Waits in io_uring_enter(): poll() of a ring with IORING_SETUP_DEFER_TASKRUN
 * may sleep on, for only its owner's io_uring_enter() makes the completions.
 */
static int ur_wait(struct uring *u, struct io_uring_cqe *cqe)
{
	struct __kernel_timespec ts = { .tv_sec = LONG_MS / 1000 };
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&ts };

	syscall(__NR_io_uring_enter, u->fd, 0, 1, IORING_ENTER_GETEVENTS |
		IORING_ENTER_SQ_WAKEUP | IORING_ENTER_EXT_ARG, &arg,
		sizeof(arg));
	if (lq_load(u->cq_tail) == *u->cq_head)
		return -1;
	*cqe = u->cqes[*u->cq_head & *u->cq_mask];
	lq_store(u->cq_head, *u->cq_head + 1);
	return 0;
}

#define EXPECT_URING(u, want_data, want_res) do {			\
	struct io_uring_cqe _c = { 0 };					\
	ASSERT_EQ(0, ur_wait(u, &_c)) {				\
		TH_LOG("nothing came from io_uring");			\
	}								\
	EXPECT_EQ(want_data, _c.user_data);				\
	EXPECT_EQ(want_res, _c.res);					\
} while (0)

static int ur_poll(struct uring *u, int fd, __u32 events, __u64 user_data,
		   __u32 len)
{
	struct io_uring_sqe *sqe = ur_sqe(u, IORING_OP_POLL_ADD, fd,
					  user_data);

	sqe->poll32_events = events;
	sqe->len = len;
	return ur_submit(u);
}

static struct io_uring_sqe *ur_cmd(struct uring *u, int fd, __u32 to_submit,
				   __u32 min_complete, __u64 user_data)
{
	struct io_uring_sqe *sqe = ur_sqe(u, IORING_OP_URING_CMD, fd,
					  user_data);

	sqe->cmd_op = QP_URING_OP_ENTER;
	sqe->addr3 = to_submit | (__u64)min_complete << 32;
	return sqe;
}

static int ur_enter(struct uring *u, int fd, __u32 to_submit,
		    __u32 min_complete, __u64 user_data)
{
	ur_cmd(u, fd, to_submit, min_complete, user_data);
	return ur_submit(u);
}

FIXTURE(uring)
{
	struct uring u;
	struct lq a, b;
	struct qt_buf abuf, bbuf;
};

FIXTURE_VARIANT(uring)
{
	const struct backend *be;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(uring, pipe) { &be_pipe, 0 };
FIXTURE_VARIANT_ADD(uring, pipe_deferred) { &be_pipe, DEFERRED };
FIXTURE_VARIANT_ADD(uring, pipe_sqpoll) { &be_pipe, IORING_SETUP_SQPOLL };

FIXTURE_SETUP(uring)
{
	struct qp_desc d = lq_desc(SQ, SQ, 4 * SQ);

	if (ur_open(&self->u, variant->flags))
		SKIP(return, "no io_uring of this kind: %s", strerror(errno));
	ASSERT_EQ(0, qt_pair(variant->be, &self->a, &self->b, 0, &d));
	ASSERT_EQ(0, qt_buf(&self->abuf, self->a.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, qt_buf(&self->bbuf, self->b.fd, 4096, LQ_ACCESS_ALL));
}

FIXTURE_TEARDOWN(uring)
{
	ur_close(&self->u);
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
}

#define WRITE_A(id_)							\
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE, .id = id_,	\
			   .flags = QP_SQE_SIGNALED, .p = self->abuf.p,	\
			   .len = 64, .lkey = self->abuf.mem.lkey,	\
			   .raddr = self->bbuf.mem.addr,		\
			   .rkey = self->bbuf.mem.rkey))

TEST_F(uring, poll)
{
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
	ASSERT_LE(0, ur_poll(&self->u, self->b.fd, POLLIN, 11, 0));
	EXPECT_EQ(0, ur_ready(&self->u));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_URING(&self->u, 11, POLLIN);
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);

	/* of what is there already */
	ASSERT_LE(0, ur_poll(&self->u, self->a.fd, POLLOUT, 12, 0));
	EXPECT_URING(&self->u, 12, POLLOUT);
}

TEST_F(uring, poll_multishot)
{
	ASSERT_LE(0, ur_poll(&self->u, self->b.fd, POLLIN, 11,
			     IORING_POLL_ADD_MULTI));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, lq_post_recv(&self->b, i, NULL, 0, 0));
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
		EXPECT_URING(&self->u, 11, POLLIN);
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
	}
}

TEST_F(uring, poll_hangup)
{
	struct io_uring_cqe c = { 0 };

	ASSERT_LE(0, ur_poll(&self->u, self->a.fd, POLLIN | POLLRDHUP, 11,
			     0));
	EXPECT_EQ(0, ur_ready(&self->u));
	lq_close(&self->b);
	ASSERT_EQ(0, ur_wait(&self->u, &c));
	EXPECT_EQ(POLLHUP, c.res & POLLHUP);
}

/* A listener, by io_uring */
TEST_F(uring, poll_listener)
{
	struct qp_desc d = lq_desc(1, 1, 0);
	struct listener l;
	struct lq q;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	ASSERT_LE(0, ur_poll(&self->u, l.q.fd, POLLIN, 3, 0));
	ASSERT_EQ(0, lq_open(&q, variant->be->domain, QP_NONBLOCK, &d));
	EXPECT_EQ(0, ur_ready(&self->u));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(q.fd, &l.addr, l.len));
	EXPECT_URING(&self->u, 3, POLLIN);
	lq_close(&q);
	qt_unlisten(&l);
}

/* sendmsg() and recvmsg() by io_uring are those of any socket */
TEST_F(uring, messages)
{
	struct io_uring_sqe *sqe;
	char buf[8] = "";

	sqe = ur_sqe(&self->u, IORING_OP_RECV, self->b.fd, 1);
	sqe->addr = (unsigned long)buf;
	sqe->len = sizeof(buf);
	ASSERT_LE(0, ur_submit(&self->u));
	EXPECT_EQ(0, ur_ready(&self->u));
	sqe = ur_sqe(&self->u, IORING_OP_SEND, self->a.fd, 2);
	sqe->addr = (unsigned long)"hello";
	sqe->len = 5;
	ASSERT_LE(0, ur_submit(&self->u));
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe c = { 0 };

		ASSERT_EQ(0, ur_wait(&self->u, &c));
		EXPECT_EQ(5, c.res);
	}
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
}

TEST_F(uring, enter)
{
	for (int i = 0; i < 5; i++)
		WRITE_A(i);
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 5, 5, 77));
	EXPECT_URING(&self->u, 77, 5);
	EXPECT_EQ(5, lq_used(&self->a.cq));
	for (int i = 0; i < 5; i++)
		EXPECT_CQE(&self->a, i, QP_WC_SUCCESS, QP_OP_WRITE);

	/* nothing to do */
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 0, 0, 78));
	EXPECT_URING(&self->u, 78, 0);
}

/* It waits for as many completions as were asked for, not for one */
TEST_F(uring, enter_waits)
{
	ASSERT_LE(0, ur_enter(&self->u, self->b.fd, 0, 3, 5));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, ur_ready(&self->u));
		ASSERT_EQ(0, lq_post_recv(&self->b, i, NULL, 0, 0));
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	}
	EXPECT_URING(&self->u, 5, 0);
	EXPECT_EQ(3, lq_used(&self->b.cq));
}

TEST_F(uring, enter_waits_for_process)
{
	pid_t pid;

	ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, QUEUE(&self->b, .op = QP_OP_SEND, .id = 10 + i,
				   .flags = QP_SQE_SIGNALED));
	/* accepts two, waits for their completions and that of the receive */
	ASSERT_LE(0, ur_enter(&self->u, self->b.fd, 2, 3, 5));
	EXPECT_EQ(0, ur_ready(&self->u));
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 2; i++)
			if (lq_post_recv(&self->a, i, NULL, 0, 0))
				_exit(1);
		_exit(POST(&self->a, .op = QP_OP_SEND) ? 2 : 0);
	}
	EXPECT_URING(&self->u, 5, 2);
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_F(uring, enter_errors)
{
	struct io_uring_sqe *sqe;

	/* as qp_enter() has them */
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 0,
			      self->a.desc.cq_entries + 1, 1));
	EXPECT_URING(&self->u, 1, -EINVAL);
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_LAST));
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 1, 1, 2));
	EXPECT_URING(&self->u, 2, -EOPNOTSUPP);
	lq_store(self->a.sq.tail, 1000);
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 1, 0, 3));
	EXPECT_URING(&self->u, 3, -EOVERFLOW);
	lq_store(self->a.sq.tail, 0);

	/* no room: an answer like others */
	for (int i = 0; i < SQ; i++)
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND));
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 1, 0, 4));
	EXPECT_URING(&self->u, 4, -EAGAIN);

	/* what is not defined yet */
	sqe = ur_cmd(&self->u, self->a.fd, 0, 0, 5);
	sqe->cmd_op = QP_URING_OP_ENTER + 1;
	ASSERT_LE(0, ur_submit(&self->u));
	EXPECT_URING(&self->u, 5, -EOPNOTSUPP);
	sqe = ur_cmd(&self->u, self->a.fd, 0, 0, 6);
	sqe->len = 1;
	ASSERT_LE(0, ur_submit(&self->u));
	EXPECT_URING(&self->u, 6, -EINVAL);
	sqe = ur_cmd(&self->u, self->a.fd, 0, 0, 7);
	sqe->addr = 1;
	ASSERT_LE(0, ur_submit(&self->u));
	EXPECT_URING(&self->u, 7, -EINVAL);
}

TEST_F(uring, enter_not_connected)
{
	struct qp_desc d = lq_desc(4, 4, 0);
	struct lq q;

	ASSERT_EQ(0, lq_open(&q, variant->be->domain, 0, &d));
	ASSERT_EQ(0, QUEUE(&q, .op = QP_OP_SEND));
	ASSERT_LE(0, ur_enter(&self->u, q.fd, 1, 0, 5));
	EXPECT_URING(&self->u, 5, -ENOTCONN);
	lq_close(&q);
}

/* Who waits learns of the end */
TEST_F(uring, hangup_ends_wait)
{
	ASSERT_LE(0, ur_enter(&self->u, self->a.fd, 0, 1, 5));
	EXPECT_EQ(0, ur_ready(&self->u));
	lq_close(&self->b);
	EXPECT_URING(&self->u, 5, 0);
}

/* Several wait for one CQ, for different numbers */
TEST_F(uring, several_wait)
{
	__u32 seen = 0;

	for (int i = 1; i <= 4; i++)
		ASSERT_LE(0, ur_enter(&self->u, self->b.fd, 0, i, i));
	for (int i = 1; i <= 4; i++) {
		struct io_uring_cqe c = { 0 };

		ASSERT_EQ(0, lq_post_recv(&self->b, i, NULL, 0, 0));
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
		ASSERT_EQ(0, ur_wait(&self->u, &c));
		EXPECT_EQ(0, c.res);
		EXPECT_EQ(i, c.user_data);
		seen++;
		EXPECT_EQ(0, ur_ready(&self->u));
	}
	EXPECT_EQ(4, seen);
}

/* The ring goes while commands wait, then the queue pair */
TEST_F(uring, ring_closes)
{
	for (int i = 1; i <= 4; i++)
		ASSERT_LE(0, ur_enter(&self->u, self->b.fd, 0, i, i));
	ASSERT_LE(0, ur_poll(&self->u, self->b.fd, POLLIN, 11, 0));
	ur_close(&self->u);
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
}

/* A command holds the queue pair that it waits for */
TEST_F(uring, queue_pair_closes)
{
	ASSERT_LE(0, ur_enter(&self->u, self->b.fd, 0, 1, 5));
	lq_close(&self->b);
	EXPECT_EQ(0, ur_ready(&self->u));
	ur_close(&self->u);
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
}

/* A process that dies with commands waiting */
TEST_F(uring, process_dies)
{
	pid_t pid;
	int go[2];

	for (int round = 0; round < 10; round++) {
		ASSERT_EQ(0, pipe(go));
		pid = fork();
		if (!pid) {
			struct uring u;

			if (ur_open(&u, variant->flags))
				_exit(1);
			for (int i = 1; i <= 4; i++)
				ur_enter(&u, self->b.fd, 0, i, i);
			ur_poll(&u, self->b.fd, POLLIN, 11, 0);
			qt_signal(go);
			pause();
		}
		ASSERT_EQ(0, qt_await(go));
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		close(go[0]);
		close(go[1]);
	}
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
}

/* A conversation of two processes in which io_uring does all waiting */
TEST_F_TIMEOUT(uring, ping_pong, 60)
{
	struct lq *q = &self->a;
	struct uring *u = &self->u, mine;
	int bad = 0;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		q = &self->b;
		u = &mine;
		bad = ur_open(u, variant->flags);
	}
	lq_close(pid ? &self->b : &self->a);
	for (int i = 0; i < 500 && !bad; i++) {
		struct io_uring_cqe c = { .res = -1 };
		struct qp_cqe cqe;

		bad |= lq_post_recv(q, i, NULL, 0, 0);
		bad |= QUEUE(q, .op = QP_OP_SEND_IMM, .imm = i);
		bad |= ur_enter(u, q->fd, 1, 1, i) < 0;
		bad |= ur_wait(u, &c) || c.res != 1 || c.user_data != i;
		bad |= lq_wait(q, &cqe, 0) || cqe.imm_data != i;
	}
	if (!pid) {
		/* stay until the other end has the last message */
		qt_poll(q->fd, POLLRDHUP, bad ? 0 : LONG_MS);
		_exit(bad);
	}
	EXPECT_EQ(0, bad);
	lq_close(&self->a);
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_HARNESS_MAIN
