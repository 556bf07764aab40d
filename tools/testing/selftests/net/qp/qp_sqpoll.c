// SPDX-License-Identifier: GPL-2.0
/* QP_SQPOLL: a thread takes work from the rings, and user space does not call */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define LEN	4096
#define SQ	8

/* Idle times: the thread sleeps soon, or not while a test runs, ms */
#define SOON	20
#define NEVER	(10 * 60 * 1000)

FIXTURE(sqpoll)
{
	struct lq a, b;
	struct qt_buf abuf, bbuf;
	__u32 rkey;		/* of bbuf */
	int lines;
};

FIXTURE_VARIANT(sqpoll)
{
	const struct backend *be;
};

VARIANTS(sqpoll)

FIXTURE_SETUP(sqpoll)
{
	self->a.fd = -1;
	self->b.fd = -1;
	self->lines = qt_proc_lines();
}

FIXTURE_TEARDOWN(sqpoll)
{
	lq_close(&self->a);
	lq_close(&self->b);
}

/* A pair whose a has a thread that sleeps after so long */
static struct qp_desc idle_desc(__u32 cq_entries, __u32 idle)
{
	struct qp_desc d = lq_desc(SQ, SQ, cq_entries);

	d.sq_idle = idle;
	return d;
}

static int pair(struct __test_metadata *_metadata,
		FIXTURE_DATA(sqpoll)(*self), const struct backend *be,
		__u32 cq_entries, __u32 idle)
{
	struct qp_desc d = idle_desc(cq_entries, idle);

	if (qt_pair(be, &self->a, &self->b, QP_SQPOLL, &d) ||
	    qt_buf(&self->abuf, self->a.fd, LEN, LQ_ACCESS_ALL) ||
	    qt_buf(&self->bbuf, self->b.fd, LEN, LQ_ACCESS_ALL))
		return -1;
	self->rkey = qt_rkey(self->b.fd, self->bbuf.mem.lkey);
	return 0;
}

#define PAIR(cq_entries, idle) \
	ASSERT_EQ(0, pair(_metadata, self, variant->be, cq_entries, idle))

/* A WRITE of one byte at a's position id into b's memory */
static int queue_write(FIXTURE_DATA(sqpoll)(*self), __u64 id)
{
	__u32 pos = id % LEN;

	return QUEUE(&self->a, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
		     .id = id, .p = self->abuf.p + pos, .len = 1,
		     .lkey = self->abuf.mem.lkey,
		     .raddr = (unsigned long)self->bbuf.p + pos,
		     .rkey = self->rkey);
}

/* Wait until the flag of the send queue is what it should be */
static bool flag_becomes(const struct lq *q, __u32 flag)
{
	__u64 end = qt_now_ms() + LONG_MS;

	while (lq_load(q->sq.flags) != flag && qt_now_ms() < end)
		usleep(1000);
	return lq_load(q->sq.flags) == flag;
}

#define EXPECT_ASLEEP(q)	EXPECT_TRUE(flag_becomes(q, QP_RING_NEED_WAKEUP))

/* Wake the thread, if it sleeps */
static bool awake(struct lq *q)
{
	return lq_nudge(q) >= 0 && flag_becomes(q, 0);
}

/* Take a completion without a call; false if none comes in time */
static bool reap(struct lq *q, struct qp_cqe *cqe, int timeout_ms)
{
	__u64 end = qt_now_ms() + timeout_ms;
	struct qp_cqe *c;

	while (!(c = lq_cq_peek(q)) && qt_now_ms() < end)
		usleep(100);
	if (!c)
		return false;
	*cqe = *c;
	lq_cq_release(q);
	return true;
}

#define EXPECT_REAP(q, want_id, want_status) do {			\
	struct qp_cqe _cqe = { .status = QP_WC_GENERAL_ERR };		\
	ASSERT_TRUE(reap(q, &_cqe, LONG_MS)) {				\
		TH_LOG("no completion");				\
	}								\
	EXPECT_EQ(want_id, _cqe.user_data);				\
	EXPECT_EQ(want_status, _cqe.status);				\
	EXPECT_EQ((q)->desc.qpn, _cqe.qpn);				\
} while (0)

static int read_task(const char *tid, const char *file, char *buf, size_t size)
{
	char path[300];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", tid, file);
	f = fopen(path, "r");
	if (!f)
		return -1;
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	return 0;
}

/* Threads of queue pairs that this process has; tid of the last one seen */
static int threads(char tid[32])
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	char comm[64];
	int n = 0;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    read_task(e->d_name, "comm", comm, sizeof(comm)) ||
		    strncmp(comm, "qp-sq-", 6))
			continue;
		if (tid)
			snprintf(tid, 32, "%.31s", e->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static bool threads_become(int want)
{
	__u64 end = qt_now_ms() + LONG_MS;

	while (threads(NULL) != want && qt_now_ms() < end)
		usleep(1000);
	return threads(NULL) == want;
}

/* CPU time of a thread, ticks */
static long cpu_time(const char *tid)
{
	unsigned long utime, stime;
	char buf[1024], *p;

	if (read_task(tid, "stat", buf, sizeof(buf)))
		return -1;
	p = strrchr(buf, ')');
	if (!p || sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			 &utime, &stime) != 2)
		return -1;
	return utime + stime;
}

/* From now on whatever but the end of the process kills it */
static int no_system_calls(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { .len = 4, .filter = insns };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* Wait for a completion with no help of the kernel: success or not */
static bool spin(struct lq *q, __u64 id)
{
	struct qp_cqe *c;
	bool ok;

	while (!(c = lq_cq_peek(q)))
		if (lq_need_wakeup(&q->sq))
			return false;
	ok = c->status == QP_WC_SUCCESS && c->user_data == id;
	lq_cq_release(q);
	return ok;
}

/* All kinds of requests by a process that makes no system call */
TEST_F(sqpoll, no_system_call)
{
	const int rounds = 500;
	struct qp_cqe cqe;
	pid_t pid;
	int i;

	PAIR(0, NEVER);
	qt_fill(self->abuf.p, LEN, 1);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, lq_post_recv(&self->b, i, self->bbuf.p + 64 * i,
					  64, self->bbuf.mem.lkey));
	ASSERT_TRUE(awake(&self->a));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		bool ok = !no_system_calls();

		for (i = 0; ok && i < 4; i++)
			ok = !QUEUE(&self->a, .op = QP_OP_SEND,
				    .flags = QP_SQE_SIGNALED, .id = i,
				    .p = self->abuf.p + 64 * i, .len = 64,
				    .lkey = self->abuf.mem.lkey) &&
			     spin(&self->a, i);
		for (; ok && i < rounds; i++)
			ok = !queue_write(self, i) && spin(&self->a, i);
		if (ok)
			ok = !QUEUE(&self->a, .op = QP_OP_READ, .id = i,
				    .flags = QP_SQE_SIGNALED,
				    .p = self->abuf.p, .len = 256,
				    .lkey = self->abuf.mem.lkey,
				    .raddr = (unsigned long)self->bbuf.p,
				    .rkey = self->rkey) && spin(&self->a, i);
		syscall(__NR_exit_group, ok ? 0 : 1);
	}
	ASSERT_EQ(0, qt_reap(pid));
	for (i = 0; i < 4; i++) {
		cqe = EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(64, cqe.byte_len);
	}
	EXPECT_EQ(-1, qt_differ(self->bbuf.p, rounds, 1));
}

/* Has the thread taken all that is in a ring? It may have to wait for a CPU. */
static bool soon_empty(const struct lq_ring *ring)
{
	int i;

	for (i = 0; i < 5000 && lq_used(ring); i++)
		usleep(1000);
	return !lq_used(ring);
}

/* Receives are posted without a call as well: the thread hands them on */
TEST_F(sqpoll, receives)
{
	int i;

	PAIR(0, NEVER);
	ASSERT_TRUE(awake(&self->a));
	for (i = 0; i < 3 * SQ; i++) {
		struct qp_rqe *rqe = lq_rqe(&self->a, i);

		ASSERT_NE(NULL, rqe);
		lq_rqe_sge(rqe, self->abuf.p, 64, self->abuf.mem.lkey);
		lq_submit(&self->a.rq);
		/* iWARP wants a receive to be there before a message */
		if (!(variant->be->flags & F_RNR)) {
			ASSERT_TRUE(soon_empty(&self->a.rq));
			usleep(10000);
		}
		ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = i,
				  .flags = QP_SQE_SIGNALED,
				  .p = self->bbuf.p, .len = 64,
				  .lkey = self->bbuf.mem.lkey));
		EXPECT_REAP(&self->a, i, QP_WC_SUCCESS);
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
}

/* The thread sleeps when there is nothing to do, says so, and can be woken */
TEST_F(sqpoll, sleep_and_wake)
{
	struct qp_cqe cqe;
	char tid[32];
	long before;
	int i;

	PAIR(0, SOON);
	ASSERT_EQ(1, threads(tid));
	for (i = 0; i < 3; i++) {
		EXPECT_ASLEEP(&self->a);
		before = cpu_time(tid);
		ASSERT_EQ(0, queue_write(self, i));
		EXPECT_FALSE(reap(&self->a, &cqe, SHORT_MS));
		EXPECT_EQ(before, cpu_time(tid));
		EXPECT_EQ(1, lq_nudge(&self->a));
		EXPECT_REAP(&self->a, i, QP_WC_SUCCESS);
	}
}

/* qp_enter() wakes it, and waits for completions as always */
TEST_F(sqpoll, enter)
{
	struct qp_cqe cqe;
	int i;

	PAIR(0, SOON);
	for (i = 0; i < 100; i++) {
		if (i % 20 == 0)
			EXPECT_ASLEEP(&self->a);
		ASSERT_EQ(0, queue_write(self, i));
		ASSERT_EQ(1, lq_enter(&self->a, 1, 1, LONG_MS));
		ASSERT_TRUE(reap(&self->a, &cqe, 0));
		EXPECT_EQ(i, cqe.user_data);
		EXPECT_EQ(QP_WC_SUCCESS, cqe.status);
	}
	/* an index that cannot be is not work, and said of by qp_enter() */
	EXPECT_ASLEEP(&self->a);
	lq_store(self->a.sq.tail, *self->a.sq.tail + 2 * SQ);
	EXPECT_ERRNO(EOVERFLOW, lq_enter(&self->a, 1, 0, 0));
	EXPECT_ASLEEP(&self->a);
	lq_store(self->a.sq.tail, *self->a.sq.tail - 2 * SQ);
	ASSERT_EQ(0, queue_write(self, i));
	lq_nudge(&self->a);
	EXPECT_REAP(&self->a, i, QP_WC_SUCCESS);
}

/* What is in the ring before there is a connection is taken when there is one */
TEST_F(sqpoll, before_connection)
{
	struct qp_desc d = idle_desc(0, SOON);
	struct listener l;
	char byte = 7;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	ASSERT_EQ(0, qt_open(variant->be, &self->a, QP_SQPOLL | QP_NONBLOCK,
			     &d));
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE, .id = 5,
			   .flags = QP_SQE_SIGNALED | QP_SQE_INLINE,
			   .p = &byte, .len = 0));
	EXPECT_ASLEEP(&self->a);
	EXPECT_ERRNO(ENOTCONN, lq_enter(&self->a, 1, 0, 0));
	EXPECT_ASLEEP(&self->a);
	if (lq_sys_connect(self->a.fd, &l.addr, l.len))
		ASSERT_EQ(EINPROGRESS, errno);
	d.sq_idle = 0;
	ASSERT_EQ(0, lq_accept(&self->b, l.q.fd, &d));
	EXPECT_REAP(&self->a, 5, QP_WC_SUCCESS);
	qt_unlisten(&l);
}

/*
 * Nobody hears of a malformed entry but by its completion: it fails when its
 * turn comes, and the connection with it.
 */
TEST_F(sqpoll, malformed)
{
	static const struct {
		__u8 op, flags;
		__u16 num_sge;
		__u32 inline_len, imm;
	} bad[] = {
		{ .op = 255 },
		{ .op = QP_OP_LAST },
		{ .op = QP_OP_WRITE, .flags = 0x80 },
		{ .op = QP_OP_WRITE, .num_sge = 2 },
		{ .op = QP_OP_WRITE, .num_sge = 65535 },
		{ .op = QP_OP_WRITE, .flags = QP_SQE_INLINE, .inline_len = 1 << 31 },
		{ .op = QP_OP_WRITE, .imm = 1 },
		{ .op = QP_OP_ATOMIC_ADD, .num_sge = 1 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct qp_sqe *sqe;

		PAIR(0, i % 2 ? SOON : NEVER);
		ASSERT_EQ(0, queue_write(self, 1));
		sqe = lq_sqe(&self->a, bad[i].op, bad[i].flags, 2);
		ASSERT_NE(NULL, sqe);
		sqe->num_sge = bad[i].num_sge;
		sqe->inline_len = bad[i].inline_len;
		sqe->imm_data = bad[i].imm;
		lq_submit(&self->a.sq);
		ASSERT_EQ(0, queue_write(self, 3));
		lq_nudge(&self->a);
		EXPECT_REAP(&self->a, 1, QP_WC_SUCCESS);
		EXPECT_REAP(&self->a, 2, QP_WC_LOC_QP_OP_ERR);
		EXPECT_REAP(&self->a, 3, QP_WC_WR_FLUSH_ERR);
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
		/* and whatever comes later is flushed too */
		ASSERT_EQ(0, queue_write(self, 4));
		lq_nudge(&self->a);
		EXPECT_REAP(&self->a, 4, QP_WC_WR_FLUSH_ERR);
		qt_unbuf(&self->abuf);
		qt_unbuf(&self->bbuf);
		lq_close(&self->a);
		lq_close(&self->b);
	}
}

/* More than the ring holds, as fast as it goes */
TEST_F(sqpoll, ring_full)
{
	const __u32 count = 4000;
	__u32 posted = 0, done = 0;
	__u64 end = qt_now_ms() + 2 * LONG_MS;
	struct qp_cqe *c;

	PAIR(0, SOON);
	while (done < count && qt_now_ms() < end) {
		while (posted < count && !queue_write(self, posted))
			posted++;
		lq_nudge(&self->a);
		while ((c = lq_cq_peek(&self->a))) {
			ASSERT_EQ(QP_WC_SUCCESS, c->status);
			ASSERT_EQ(done, c->user_data);
			done++;
			lq_cq_release(&self->a);
		}
	}
	EXPECT_EQ(count, done);
}

/* No room for completions: the thread waits, sleeps, and loses nothing */
TEST_F(sqpoll, cq_full)
{
	const __u64 end = qt_now_ms() + LONG_MS;
	char tid[32];
	long before;
	int i;

	PAIR(SQ, SOON);
	ASSERT_EQ(1, threads(tid));
	for (i = 0; i < SQ; i++)
		ASSERT_EQ(0, queue_write(self, i));
	lq_nudge(&self->a);
	/* It says that it sleeps until it has been woken */
	while (lq_used(&self->a.cq) < SQ && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(SQ, lq_used(&self->a.cq));
	EXPECT_ASLEEP(&self->a);
	for (; i < 2 * SQ; i++)
		ASSERT_EQ(0, queue_write(self, i));
	lq_nudge(&self->a);
	usleep(10 * SOON * 1000);
	EXPECT_ASLEEP(&self->a);
	before = cpu_time(tid);
	usleep(10 * SOON * 1000);
	EXPECT_GE(1, cpu_time(tid) - before);
	EXPECT_EQ(SQ, lq_used(&self->a.sq));
	for (i = 0; i < SQ; i++)
		EXPECT_REAP(&self->a, i, QP_WC_SUCCESS);
	lq_nudge(&self->a);
	for (; i < 2 * SQ; i++)
		EXPECT_REAP(&self->a, i, QP_WC_SUCCESS);
}

/* The peer goes: what is posted is flushed, sooner or later */
TEST_F(sqpoll, peer_goes)
{
	PAIR(0, SOON);
	lq_close(&self->b);
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
	ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND, .id = 1));
	lq_nudge(&self->a);
	EXPECT_REAP(&self->a, 1, QP_WC_WR_FLUSH_ERR);
}

static int last_cpu(void)
{
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET(cpu, &set))
			return cpu;
	return -1;
}

TEST_F(sqpoll, bound)
{
	struct qp_desc d = idle_desc(0, SOON);
	char tid[32], status[4096], want[64], *line;
	unsigned int len = sizeof(d);

	d.sq_cpu = last_cpu();
	ASSERT_LE(0, (int)d.sq_cpu);
	ASSERT_EQ(0, qt_pair(variant->be, &self->a, &self->b,
			     QP_SQPOLL | QP_SQ_CPU, &d));
	EXPECT_ASLEEP(&self->a);	/* it has begun */
	ASSERT_EQ(1, threads(tid));
	ASSERT_EQ(0, read_task(tid, "status", status, sizeof(status)));
	snprintf(want, sizeof(want), "Cpus_allowed_list:\t%u\n", d.sq_cpu);
	line = strstr(status, "Cpus_allowed_list:");
	ASSERT_NE(NULL, line);
	EXPECT_EQ(0, strncmp(line, want, strlen(want)));

	ASSERT_EQ(0, lq_sys_getopt(self->a.fd, QP_DESC, &d, &len));
	EXPECT_EQ(last_cpu(), (int)d.sq_cpu);
	EXPECT_EQ(SOON, d.sq_idle);
}

TEST_F(sqpoll, refused)
{
	static const struct {
		unsigned int flags;
		__u32 sq, cpu, idle;
	} bad[] = {
		{ QP_SQPOLL, 0 },
		{ QP_SQPOLL | QP_SQ_CPU, SQ, 1000000 },
		{ QP_SQPOLL | QP_SQ_CPU, SQ, 0xffffffff },
		{ QP_SQPOLL, SQ, 1 },
		{ QP_SQ_CPU, SQ },
		{ QP_SHARE_SQPOLL, SQ },
		{ 0, SQ, 0, 1 },
		{ QP_SQPOLL | QP_SHARE_SQPOLL | QP_SQ_CPU, SQ },
		{ QP_SQPOLL | QP_SHARE_SQPOLL, SQ, 0, 1 },
		/* share_fd has no thread */
		{ QP_SQPOLL | QP_SHARE_SQPOLL, SQ },
	};
	struct lq with, without;
	struct qp_desc d;
	pid_t pid;
	int i;

	d = lq_desc(SQ, 0, 0);
	ASSERT_EQ(0, qt_open(variant->be, &without, 0, &d));
	ASSERT_EQ(0, qt_open(variant->be, &with, QP_SQPOLL, &d));
	EXPECT_EQ(1, threads(NULL));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		d = lq_desc(bad[i].sq, 0, 16);
		d.sq_cpu = bad[i].cpu;
		d.sq_idle = bad[i].idle;
		d.share_fd = without.fd;
		EXPECT_ERRNO_AT(EINVAL, lq_sys_queue_pair(variant->be->domain,
							  bad[i].flags, &d),
				"row %d", i);
	}
	d = lq_desc(SQ, 0, 0);
	EXPECT_ERRNO(EBADF, lq_sys_queue_pair(variant->be->domain, QP_SQPOLL |
					      QP_SHARE_SQPOLL, &d));
	/* the thread belongs to another process */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		d.share_fd = with.fd;
		_exit(lq_sys_queue_pair(variant->be->domain, QP_SQPOLL |
					QP_SHARE_SQPOLL, &d) == -1 &&
		      errno == EXDEV ? 0 : 1);
	}
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_EQ(1, threads(NULL));
	lq_close(&with);
	lq_close(&without);
	EXPECT_TRUE(threads_become(0));
	EXPECT_EQ(self->lines, qt_proc_lines());
}

/* It counts against the limit of processes */
TEST_F(sqpoll, rlimit)
{
	struct qp_desc d = lq_desc(SQ, 0, 0);
	struct rlimit none = { 1, 1 };
	struct lq q;

	ASSERT_EQ(0, qt_become_nobody());
	ASSERT_EQ(0, setrlimit(RLIMIT_NPROC, &none));
	EXPECT_ERRNO(ENOBUFS, qt_open(variant->be, &q, QP_SQPOLL, &d));
	EXPECT_EQ(self->lines, qt_proc_lines());
	EXPECT_EQ(0, threads(NULL));
}

/* Closed while the thread moves as much as it can */
TEST_F(sqpoll, close_at_work)
{
	const size_t len = 4 << 20;
	struct qt_buf from, to;
	int i, k;

	for (i = 0; i < 30; i++) {
		__u64 start;

		PAIR(0, NEVER);
		ASSERT_EQ(0, qt_buf(&from, self->a.fd, len, LQ_ACCESS_ALL));
		ASSERT_EQ(0, qt_buf(&to, self->b.fd, len, LQ_ACCESS_ALL));
		for (k = 0; k < SQ; k++)
			ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE,
					   .p = from.p, .len = len,
					   .lkey = from.mem.lkey,
					   .raddr = (unsigned long)to.p,
					   .rkey = qt_rkey(self->b.fd,
							   to.mem.lkey)));
		lq_nudge(&self->a);
		usleep(i * 200);
		start = qt_now_ms();
		if (i % 2) {
			lq_close(&self->a);
			lq_close(&self->b);
		} else {
			lq_close(&self->b);
			lq_close(&self->a);
		}
		EXPECT_GE(LONG_MS, qt_now_ms() - start);
		qt_unbuf(&from);
		qt_unbuf(&to);
	}
	EXPECT_TRUE(threads_become(0));
	EXPECT_EQ(self->lines, qt_proc_lines());
}

/* One thread serves all that share it, and ends with the last */
TEST_F(sqpoll, share)
{
	enum { PAIRS = 64 };
	static struct lq a[PAIRS], b[PAIRS];
	struct qp_desc d;
	struct qp_cqe cqe;
	int i, round;

	for (i = 0; i < PAIRS; i++) {
		d = lq_desc(SQ, 0, 0);
		if (i) {
			d.cq_entries = 0;
			d.share_fd = a[0].fd;
		}
		ASSERT_EQ(0, qt_pair(variant->be, &a[i], &b[i], QP_SQPOLL |
				     (i ? QP_SHARE_SQPOLL : 0), &d));
	}
	EXPECT_EQ(1, threads(NULL));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < PAIRS; i++) {
			ASSERT_EQ(0, QUEUE(&a[i], .op = QP_OP_WRITE, .id = i,
					   .flags = QP_SQE_SIGNALED));
			lq_nudge(&a[i]);
		}
		for (i = 0; i < PAIRS; i++) {
			ASSERT_TRUE(reap(&a[i], &cqe, LONG_MS));
			EXPECT_EQ(i, cqe.user_data);
			EXPECT_EQ(QP_WC_SUCCESS, cqe.status);
		}
	}
	/* who made it may be the first to go */
	for (i = 0; i < PAIRS; i++) {
		EXPECT_EQ(1, threads(NULL));
		lq_close(&a[i]);
		lq_close(&b[i]);
	}
	EXPECT_TRUE(threads_become(0));
}

/* As many threads as queue pairs: they sleep, and end */
TEST_F(sqpoll, many)
{
	enum { PAIRS = 64 };
	static struct lq a[PAIRS], b[PAIRS];
	struct qp_desc d = idle_desc(0, SOON);
	struct qp_cqe cqe;
	int i;

	for (i = 0; i < PAIRS; i++)
		ASSERT_EQ(0, qt_pair(variant->be, &a[i], &b[i], QP_SQPOLL, &d));
	EXPECT_EQ(PAIRS, threads(NULL));
	for (i = 0; i < PAIRS; i++) {
		ASSERT_EQ(0, QUEUE(&a[i], .op = QP_OP_WRITE, .id = i,
				   .flags = QP_SQE_SIGNALED));
		lq_nudge(&a[i]);
	}
	for (i = 0; i < PAIRS; i++) {
		ASSERT_TRUE(reap(&a[i], &cqe, LONG_MS));
		EXPECT_EQ(i, cqe.user_data);
		EXPECT_EQ(QP_WC_SUCCESS, cqe.status);
	}
	for (i = 0; i < PAIRS; i++)
		EXPECT_ASLEEP(&a[i]);
	for (i = 0; i < PAIRS; i++) {
		lq_close(&a[i]);
		lq_close(&b[i]);
	}
	EXPECT_TRUE(threads_become(0));
	EXPECT_EQ(self->lines, qt_proc_lines());
}

/* Work without end, until killed */
static void work(FIXTURE_DATA(sqpoll)(*self))
{
	__u64 id = 0;

	for (;;) {
		while (!queue_write(self, id))
			id++;
		lq_nudge(&self->a);
		while (lq_cq_peek(&self->a))
			lq_cq_release(&self->a);
	}
}

TEST_F(sqpoll, killed)
{
	__u64 end;
	int i;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			if (!pair(_metadata, self, variant->be, 0, i ? SOON : 0))
				work(self);
			_exit(1);
		}
		usleep(50000 + 20000 * i);
		EXPECT_EQ(0, kill(pid, SIGKILL));
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
	}
	end = qt_now_ms() + LONG_MS;
	while (qt_proc_lines() != self->lines && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(self->lines, qt_proc_lines());
}

/*
 * A queue pair outlives the process that made it and so its thread: from then on
 * it works by qp_enter().
 */
TEST_F(sqpoll, outlived)
{
	int done[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(done));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct qp_cqe cqe;
		bool ok;

		if (pair(_metadata, self, variant->be, 0, 0))
			_exit(1);
		if (fork())
			_exit(0);
		ok = flag_becomes(&self->a, QP_RING_NEED_WAKEUP);
		while (getppid() == pid)
			usleep(1000);
		usleep(10000);
		ok &= !queue_write(self, 1) && lq_nudge(&self->a) == 1 &&
		      reap(&self->a, &cqe, LONG_MS) && !cqe.status;
		ok &= lq_load(self->a.sq.flags) == QP_RING_NEED_WAKEUP;
		/* and is told of what is malformed */
		ok &= !!lq_sqe(&self->a, 255, 0, 2);
		lq_submit(&self->a.sq);
		ok &= lq_enter(&self->a, 1, 0, 0) == -1 && errno == EOPNOTSUPP;
		byte = ok ? 'y' : 'n';
		_exit(write(done[1], &byte, 1) != 1);
	}
	EXPECT_EQ(0, qt_reap(pid));
	close(done[1]);
	ASSERT_EQ(1, read(done[0], &byte, 1));
	EXPECT_EQ('y', byte);
	close(done[0]);
}

/* A process that was stopped, and its thread, hold up nobody who closes */
TEST_F(sqpoll, stopped)
{
	int sv[2], status;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pid_t child;

		close(sv[0]);
		if (pair(_metadata, self, variant->be, 0, NEVER))
			_exit(1);
		child = fork();
		if (!child) {
			/* Until the parent is stopped, with nothing open */
			if (read(sv[1], &byte, 1) != 1)
				_exit(1);
			lq_close(&self->a);
			lq_close(&self->b);
			_exit(write(sv[1], &byte, 1) != 1);
		}
		lq_close(&self->a);
		lq_close(&self->b);
		raise(SIGSTOP);
		_exit(qt_reap(child));
	}
	close(sv[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(1, write(sv[0], &byte, 1));
	EXPECT_EQ(POLLIN, qt_poll(sv[0], POLLIN, LONG_MS));
	EXPECT_EQ(self->lines, qt_proc_lines());
	kill(pid, SIGCONT);
	EXPECT_EQ(0, qt_reap(pid));
	close(sv[0]);
}

TEST_HARNESS_MAIN
