// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation and every user copy of a call fails once: the call must
 * say so, change nothing, and work when repeated. Which one fails is chosen
 * with /proc/self/fail-nth, which only a kernel with fault injection has.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define DEBUGFS	"/sys/kernel/debug/"
#define MAX_NTH	1000

static int put(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY);
	int ok = fd >= 0 && write(fd, s, strlen(s)) == (ssize_t)strlen(s);

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

/* Let all allocations be candidates, and do it quietly. 0 if that works. */
static int arm_faults(void)
{
	static const char * const quiet[] = {
		DEBUGFS "failslab/verbose",
		DEBUGFS "fail_page_alloc/verbose",
		DEBUGFS "fail_usercopy/verbose",
	};

	for (int i = 0; i < ARRAY_SIZE(quiet); i++)
		put(quiet[i], "0");
	if (access("/proc/thread-self/fail-nth", W_OK))
		return -1;
	put(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	put(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	put(DEBUGFS "fail_page_alloc/min-order", "0");
	return put(DEBUGFS "failslab/ignore-gfp-wait", "N");
}

/*
 * The call under test, in a state that prepare() makes for it. call() is what
 * has faults; it returns -1 with errno, or something else. Whatever it
 * returned, repeat() must succeed, and finish() takes everything away.
 */
struct scene {
	const struct backend *be;
	struct qp_desc d;
	struct listener l;
	struct lq a, b;
	struct qt_buf buf;
	struct qp_mem mem;
	int fd;
	bool done;
	char tmp[64];
};

struct act {
	const char *name;
	int (*prepare)(struct scene *s);
	int (*call)(struct scene *s);
	int (*repeat)(struct scene *s);
};

/* Nothing, a queue pair, a listener, a waiting connection, a connected pair */

static int no_prepare(struct scene *s)
{
	return 0;
}

static int prepare_qp(struct scene *s)
{
	return lq_open(&s->a, s->be->domain, QP_NONBLOCK, &s->d);
}

static int prepare_listener(struct scene *s)
{
	return prepare_qp(s) || qt_listen(s->be, &s->l, QP_NONBLOCK, 1);
}

static int prepare_connection(struct scene *s)
{
	return prepare_listener(s) ||
	       lq_sys_connect(s->a.fd, &s->l.addr, s->l.len) != -1 ||
	       errno != EINPROGRESS;
}

static int prepare_pair(struct scene *s)
{
	return qt_pair(s->be, &s->a, &s->b, QP_NONBLOCK, &s->d) ||
	       qt_buf(&s->buf, s->a.fd, 3 * 4096, LQ_ACCESS_ALL);
}

static int prepare_message(struct scene *s)
{
	return prepare_pair(s) || send(s->a.fd, "hello", 5, 0) != 5;
}

static int call_queue_pair(struct scene *s)
{
	struct qp_desc d = s->d;

	s->fd = lq_sys_queue_pair(s->be->domain, 0, &d);
	return s->fd;
}

static int repeat_queue_pair(struct scene *s)
{
	return s->fd >= 0 || call_queue_pair(s) >= 0 ? 0 : -1;
}

static int call_listen(struct scene *s)
{
	struct qp_desc d = lq_desc(0, 0, 0);

	s->l.be = s->be;
	s->l.q.fd = -1;
	if (!s->l.len)
		s->l.len = s->be->address(&s->l.addr);
	d.addr = (unsigned long)&s->l.addr;
	d.addrlen = s->l.len;
	s->fd = lq_sys_queue_pair(s->be->domain, QP_LISTEN, &d);
	return s->fd;
}

static int repeat_listen(struct scene *s)
{
	if (s->fd >= 0)
		return 0;
	/* a path may be there already, as after a failure of bind(2) */
	s->be->forget(&s->l.addr);
	return call_listen(s) >= 0 ? 0 : -1;
}

static int call_mem_reg(struct scene *s)
{
	int ret = lq_mem_reg(s->a.fd, s->tmp, sizeof(s->tmp), LQ_ACCESS_ALL,
			     &s->mem);

	s->done = !ret;
	return ret;
}

static int repeat_mem_reg(struct scene *s)
{
	if (!s->done && call_mem_reg(s))
		return -1;
	return lq_mem_dereg(s->a.fd, s->mem.lkey);
}

static int call_connect(struct scene *s)
{
	int ret = lq_sys_connect(s->a.fd, &s->l.addr, s->l.len);

	return ret && errno == EINPROGRESS ? 0 : ret;
}

static int repeat_connect(struct scene *s)
{
	if (call_connect(s) && errno != EALREADY)
		return -1;
	return lq_accept(&s->b, s->l.q.fd, &s->d) ||
	       lq_connected(s->a.fd, LONG_MS);
}

static int call_accept(struct scene *s)
{
	struct qp_desc d = s->d;

	s->fd = lq_sys_accept(s->l.q.fd, &d);
	return s->fd;
}

static int repeat_accept(struct scene *s)
{
	if (s->fd < 0 && call_accept(s) < 0)
		return -1;
	return lq_connected(s->a.fd, LONG_MS) || send(s->a.fd, "x", 1, 0) != 1 ||
	       recv(s->fd, s->tmp, 1, 0) != 1;
}

static int call_send(struct scene *s)
{
	int ret = send(s->a.fd, "hello", 5, 0);

	s->done = ret == 5;
	return ret;
}

static int repeat_send(struct scene *s)
{
	if (!s->done && call_send(s) != 5)
		return -1;
	return recv(s->b.fd, s->tmp, 8, 0) == 5 &&
	       recv(s->b.fd, s->tmp, 8, 0) < 0 && errno == EAGAIN ? 0 : -1;
}

static int call_recv(struct scene *s)
{
	int ret = recv(s->b.fd, s->tmp, 8, 0);

	s->done = ret == 5;
	return ret;
}

static int repeat_recv(struct scene *s)
{
	return s->done || call_recv(s) == 5 ? 0 : -1;
}

/* Posting and completing allocates nothing that could fail */
static int call_enter(struct scene *s)
{
	int err = 0;

	if (!lq_used(&s->a.sq))
		err = QUEUE(&s->a, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
			    .p = s->buf.p, .len = s->buf.len,
			    .lkey = s->buf.mem.lkey);
	return err ?: lq_enter(&s->a, 1, 0, 0);
}

static int repeat_enter(struct scene *s)
{
	struct qp_cqe c;

	/* it names no memory of the peer's: a failure, but a completion */
	if (lq_used(&s->a.sq) && call_enter(s) != 1)
		return -1;
	return lq_wait(&s->a, &c, LONG_MS);
}

static int call_mmap(struct scene *s)
{
	lq_unmap(&s->a);
	return lq_map(&s->a);
}

static int repeat_mmap(struct scene *s)
{
	return s->a.sq.map ? 0 : lq_map(&s->a);
}

static int call_poll(struct scene *s)
{
	int ret = qt_poll(s->a.fd, POLLOUT, 0);

	return ret & POLLOUT ? 0 : -1;
}

static int call_getopt(struct scene *s)
{
	struct qp_info info;

	return lq_info(s->a.fd, &info);
}

static const struct act acts[] = {
	{ "queue_pair", no_prepare, call_queue_pair, repeat_queue_pair },
	{ "listen", no_prepare, call_listen, repeat_listen },
	{ "register", prepare_qp, call_mem_reg, repeat_mem_reg },
	{ "connect", prepare_listener, call_connect, repeat_connect },
	{ "accept", prepare_connection, call_accept, repeat_accept },
	{ "sendmsg", prepare_pair, call_send, repeat_send },
	{ "recvmsg", prepare_message, call_recv, repeat_recv },
	{ "enter", prepare_pair, call_enter, repeat_enter },
	{ "mmap", prepare_pair, call_mmap, repeat_mmap },
	{ "poll", prepare_pair, call_poll, call_poll },
	{ "getqpopt", prepare_pair, call_getopt, call_getopt },
};

static void finish(struct scene *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->l.be) {
		lq_close(&s->l.q);
		s->be->forget(&s->l.addr);
	}
	lq_close(&s->a);
	lq_close(&s->b);
	qt_unbuf(&s->buf);
}

FIXTURE(fault)
{
	int nth_fd;
};

FIXTURE_VARIANT(fault)
{
	const struct backend *be;
};

FIXTURE_VARIANT_ADD(fault, pipe) { .be = &be_pipe };
FIXTURE_VARIANT_ADD(fault, pipe_path) { .be = &be_pipe_path };

FIXTURE_SETUP(fault)
{
	if (arm_faults())
		SKIP(return, "this kernel injects no faults");
	self->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	ASSERT_LE(0, self->nth_fd);
}

FIXTURE_TEARDOWN(fault)
{
	close(self->nth_fd);
}

/* Let the n-th candidate from here fail. It may have been this very write. */
static void set_nth(int fd, int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	if (pwrite(fd, buf, len, 0) != len && pwrite(fd, buf, len, 0) != len)
		abort();
}

/* How many candidates too few there were. The last may be this very read. */
static int left_of_nth(int fd)
{
	char buf[16] = "";

	if (pread(fd, buf, sizeof(buf) - 1, 0) < 1)
		return errno == EFAULT ? 1 : -1;
	return atoi(buf);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Errors that a fault may end in */
static bool is_fault(int err)
{
	return err == ENOMEM || err == EFAULT || err == ENOBUFS ||
	       err == ENFILE || err == ENOSPC || err == EAGAIN;
}

TEST_F_TIMEOUT(fault, every_one, 500)
{
	for (int i = 0; i < ARRAY_SIZE(acts); i++) {
		const struct act *act = &acts[i];
		int fd0 = lowest_fd(), injected = 0, n, left = 0;

		for (n = 1; !left && n < MAX_NTH; n++) {
			long pins = qt_pins();
			struct scene s = {
				.be = variant->be, .fd = -1,
				.d = lq_desc(8, 8, 0), .a.fd = -1, .b.fd = -1,
			};
			int ret, err;

			ASSERT_EQ(0, act->prepare(&s)) {
				TH_LOG("%s, %d: %s", act->name, n,
				       strerror(errno));
			}
			errno = 0;
			set_nth(self->nth_fd, n);
			ret = act->call(&s);
			err = errno;
			left = left_of_nth(self->nth_fd);
			set_nth(self->nth_fd, 0);

			injected += !left;
			EXPECT_TRUE(ret != -1 || (!left && is_fault(err))) {
				TH_LOG("%s, %d: %s", act->name, n,
				       strerror(err));
			}
			EXPECT_EQ(0, act->repeat(&s)) {
				TH_LOG("%s, %d (%s): not repeated: %s",
				       act->name, n, strerror(err),
				       strerror(errno));
			}
			finish(&s);
			EXPECT_EQ(fd0, lowest_fd()) {
				TH_LOG("%s, %d: descriptor leaked", act->name,
				       n);
			}
			EXPECT_EQ(0, qt_proc_lines()) {
				TH_LOG("%s, %d: queue pair leaked", act->name,
				       n);
			}
			EXPECT_EQ(pins, qt_pins()) {
				TH_LOG("%s, %d: pages leaked", act->name, n);
			}
		}
		EXPECT_GT(MAX_NTH, n);
		TH_LOG("%s: %d faults", act->name, injected);
	}
}

TEST_HARNESS_MAIN
