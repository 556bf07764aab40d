// SPDX-License-Identifier: GPL-2.0
/*
 * How queue pairs meet and part: listen, connect, accept, names, events,
 * shutdown, disconnect.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "kselftest_harness.h"
#include "qp_test.h"

static void on_signal(int sig)
{
}

/* A signal every 20 ms, so that a call is interrupted whenever it sleeps */
static void tick(int sa_flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = sa_flags };
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void no_tick(void)
{
	struct itimerval it = { 0 };

	setitimer(ITIMER_REAL, &it, NULL);
}

static int so_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = -1;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static int set_timeout(int fd, int opt, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, opt, &tv, sizeof(tv));
}

static __u32 state(int fd)
{
	struct qp_info info = { .state = -1 };

	lq_info(fd, &info);
	return info.state;
}

/* Until the queue pair has been connecting, as another process sees */
static bool becomes(int fd, __u32 want)
{
	__u64 end = qt_now_ms() + LONG_MS;

	while (qt_now_ms() < end) {
		if (state(fd) == want)
			return true;
		usleep(1000);
	}
	return false;
}

FIXTURE(conn)
{
	struct listener l;
	struct qp_desc d;
	struct lq a, b;
};

FIXTURE_VARIANT(conn)
{
	const struct backend *be;
};

VARIANTS(conn)
#ifdef QP_LOCAL
FIXTURE_VARIANT_ADD(conn, pipe_path) { .be = &be_pipe_path };
#endif

FIXTURE_SETUP(conn)
{
	self->d = lq_desc(8, 8, 0);
	self->d.max_inline = 64;
	self->b.fd = -1;
	ASSERT_EQ(0, qt_listen(variant->be, &self->l, 0, 4)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &self->d));
}

FIXTURE_TEARDOWN(conn)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unlisten(&self->l);
}

#define HAS(flag)	(variant->be->flags & (flag))

#define CONNECT(_q)	lq_sys_connect((_q)->fd, &self->l.addr, self->l.len)
#define ACCEPT(_q)	lq_accept(_q, self->l.q.fd, &self->d)

static int nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	return fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK);
}

/* Connect a to b without a second process */
#define MEET() do {							\
	ASSERT_EQ(0, nonblock(self->a.fd, true));			\
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));			\
	ASSERT_EQ(0, ACCEPT(&self->b));					\
	ASSERT_EQ(0, lq_connected(self->a.fd, LONG_MS));		\
	ASSERT_EQ(0, nonblock(self->a.fd, false));			\
} while (0)

/* A connection request is at the listener when connect() returns, or soon */
#define ARRIVES(listener_) do {						\
	int _ms = HAS(F_LOCAL) ? 0 : LONG_MS;				\
									\
	EXPECT_EQ(POLLIN, POLLIN & qt_poll((listener_)->q.fd, POLLIN, _ms)); \
} while (0)

/*
 * The same message through the rings. Where there are rings, a network has no
 * place for a message until somebody is in recv() or has posted a receive.
 */
static int ring_hello(struct lq *from, struct lq *to)
{
	struct qp_cqe c = { 0 };
	struct qt_buf buf;
	int err;

	err = qt_buf(&buf, to->fd, 5, QP_ACCESS_LOCAL_WRITE) ||
	      lq_post_recv(to, 55, buf.p, 5, buf.mem.lkey) ||
	      POST(from, .op = QP_OP_SEND, .p = "hello", .len = 5,
		   .flags = QP_SQE_INLINE) ||
	      lq_wait(to, &c, LONG_MS) || c.status || c.user_data != 55 ||
	      memcmp(buf.p, "hello", 5) ||
	      lq_mem_dereg(to->fd, buf.mem.lkey);
	qt_unbuf(&buf);
	return err;
}

/* A message from one end to the other, both in this process */
#define HELLO(from, to) do {						\
	char _buf[16];							\
									\
	if (!HAS(F_LOCAL)) {						\
		ASSERT_EQ(0, ring_hello(from, to));			\
		break;							\
	}								\
	ASSERT_EQ(5, send((from)->fd, "hello", 5, MSG_NOSIGNAL));	\
	ASSERT_EQ(POLLIN, POLLIN & qt_poll((to)->fd, POLLIN, LONG_MS));	\
	ASSERT_EQ(5, recv((to)->fd, _buf, sizeof(_buf), 0));		\
	EXPECT_EQ(0, memcmp(_buf, "hello", 5));				\
} while (0)

/* Another process connects to the listener, says hello, awaits the end */
static pid_t connector(struct listener *l, const struct qp_desc *d)
{
	pid_t pid = fork();
	struct lq q;
	char c;

	if (pid)
		return pid;
	if (qt_open(l->be, &q, 0, d))
		_exit(1);
	if (lq_sys_connect(q.fd, &l->addr, l->len))
		_exit(2);
	if (send(q.fd, "hello", 5, MSG_NOSIGNAL) != 5)
		_exit(3);
	if (recv(q.fd, &c, 1, 0))
		_exit(4);
	_exit(0);
}

/* Who has no receive queue can be sent messages at once, with iWARP too */
TEST_F(conn, blocking)
{
	pid_t pid = connector(&self->l, &self->d);
	char buf[8];

	if (!HAS(F_RNR))
		self->d.rq_entries = 0;
	ASSERT_LE(0, pid);
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(QP_STATE_RTS, state(self->b.fd));
	EXPECT_EQ(variant->be->protocol, self->b.desc.protocol);
	EXPECT_EQ(5, recv(self->b.fd, buf, sizeof(buf), 0));
	lq_close(&self->b);
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_F(conn, nonblocking)
{
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	EXPECT_EQ(QP_STATE_IDLE, state(self->a.fd));
	EXPECT_EQ(QP_STATE_LISTEN, state(self->l.q.fd));
	EXPECT_EQ(0, qt_poll(self->l.q.fd, POLLIN, 0));
	EXPECT_ERRNO(EAGAIN, ACCEPT(&self->b));

	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	EXPECT_EQ(QP_STATE_CONNECTING, state(self->a.fd));
	EXPECT_ERRNO(EALREADY, CONNECT(&self->a));
	EXPECT_EQ(0, POLLOUT & qt_poll(self->a.fd, POLLOUT, SHORT_MS));
	EXPECT_EQ(POLLIN, POLLIN & qt_poll(self->l.q.fd, POLLIN, LONG_MS));

	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(POLLOUT, qt_poll(self->a.fd, POLLOUT, LONG_MS));
	EXPECT_EQ(0, so_error(self->a.fd));
	EXPECT_EQ(QP_STATE_RTS, state(self->a.fd));
	EXPECT_EQ(0, qt_poll(self->l.q.fd, POLLIN, 0));
	EXPECT_ERRNO(EISCONN, CONNECT(&self->a));
	EXPECT_ERRNO(EISCONN, CONNECT(&self->b));
	HELLO(&self->a, &self->b);
	HELLO(&self->b, &self->a);
}

/* connect(2) is the same call */
TEST_F(conn, connect_2)
{
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EINPROGRESS, connect(self->a.fd, (void *)&self->l.addr,
					  self->l.len));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	HELLO(&self->a, &self->b);
}

TEST_F(conn, refused)
{
	struct sockaddr_storage none;
	socklen_t len = variant->be->address(&none);
	struct lq q;

	/* no such name; of a path, no such file */
	errno = 0;
	EXPECT_EQ(-1, lq_sys_connect(self->a.fd, &none, len));
	EXPECT_TRUE(errno == ECONNREFUSED || errno == ENOENT);
	EXPECT_EQ(QP_STATE_IDLE, state(self->a.fd));

	/* arguments */
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->a.fd, &self->l.addr, 0));
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->a.fd, &self->l.addr, 1));
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->a.fd, &self->l.addr, -1));
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->a.fd, &self->l.addr, 2));
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->a.fd, &self->l.addr, 100000));
	EXPECT_ERRNO(EFAULT, lq_sys_connect(self->a.fd, (void *)8,
					    self->l.len));
	EXPECT_ERRNO(EINVAL, lq_sys_connect(self->l.q.fd, &self->l.addr,
					    self->l.len));

	/* refused is not the end: the same queue pair may try again */
	MEET();
	HELLO(&self->a, &self->b);

	/* a name that is bound, but nobody listens */
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	self->d.addr = (unsigned long)&none;
	self->d.addrlen = len;
	lq_close(&self->b);
	ASSERT_EQ(0, qt_open_server(variant->be, &self->b, 0, &self->d));
	EXPECT_ERRNO(ECONNREFUSED, lq_sys_connect(q.fd, &none, len));
	lq_close(&q);
	variant->be->forget(&none);
}

/* On a network a refusal comes later */
TEST_F(conn, refused_later)
{
	struct sockaddr_storage none;
	socklen_t len = variant->be->address(&none);

	if (HAS(F_LOCAL))
		return;
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	for (int i = 0; i < 2; i++) {
		EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &none,
							 len));
		EXPECT_EQ(POLLERR, POLLERR & qt_poll(self->a.fd, POLLOUT,
						     LONG_MS));
		EXPECT_EQ(ECONNREFUSED, so_error(self->a.fd));
		EXPECT_EQ(0, so_error(self->a.fd));
		EXPECT_EQ(QP_STATE_IDLE, state(self->a.fd));
	}
	MEET();
	HELLO(&self->a, &self->b);
}

TEST_F(conn, other_family)
{
	struct sockaddr sa = { .sa_family = AF_APPLETALK };

	errno = 0;
	EXPECT_EQ(-1, lq_sys_connect(self->a.fd, &sa, sizeof(sa)));
	EXPECT_TRUE(errno == EINVAL || errno == EAFNOSUPPORT);
}

TEST_F(conn, listener_closes)
{
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	lq_close(&self->l.q);
	EXPECT_EQ(POLLERR, POLLERR & qt_poll(self->a.fd, POLLOUT, LONG_MS));
	EXPECT_EQ(ECONNREFUSED, so_error(self->a.fd));
	ASSERT_EQ(0, nonblock(self->a.fd, false));
	EXPECT_ERRNO(ECONNREFUSED, CONNECT(&self->a));
}

/* A process that waits in connect() learns that the listener went away */
TEST_F(conn, listener_closes_on_waiting)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		lq_close(&self->l.q);
		if (!CONNECT(&self->a))
			_exit(1);
		_exit(errno == ECONNREFUSED ? 0 : 2);
	}
	ASSERT_TRUE(becomes(self->a.fd, QP_STATE_CONNECTING));
	lq_close(&self->l.q);
	EXPECT_EQ(0, qt_reap(pid));
}

/* Who connected may leave before being accepted */
TEST_F(conn, connector_closes)
{
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	lq_close(&self->a);

	/* either it was never there, or it has hung up */
	if (ACCEPT(&self->b)) {
		/* or it left while it was accepted */
		EXPECT_TRUE(errno == EAGAIN ||
			    (!HAS(F_LOCAL) && errno == ECONNABORTED)) {
			TH_LOG("%s", strerror(errno));
		}
	} else {
		char c;

		EXPECT_EQ(0, recv(self->b.fd, &c, 1, 0));
	}
	lq_close(&self->b);

	/* the place in the backlog is free */
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, qt_open(variant->be, &self->a, QP_NONBLOCK,
				     &self->d));
		EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
		lq_close(&self->a);
	}
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &self->d));
}

/*
 * A network's requests come in any order, and those that have no place are
 * refused.
 */
TEST_F(conn, backlog_refuses)
{
	struct lq q[5];
	int connected = 0, refused = 0;

	if (HAS(F_LOCAL))
		return;
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, qt_open(variant->be, &q[i], QP_NONBLOCK,
				     &self->d));
		EXPECT_ERRNO(EINPROGRESS, CONNECT(&q[i]));
	}
	/* until it is known who is in, and who is not */
	while (!refused) {
		for (int i = 0; i < 5; i++)
			refused += POLLERR & qt_poll(q[i].fd, 0, 10) ? 1 : 0;
	}
	EXPECT_EQ(1, refused);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, ACCEPT(&self->b));
		lq_close(&self->b);
	}
	for (int i = 0; i < 5; i++) {
		int err = so_error(q[i].fd);

		EXPECT_TRUE(!err || err == ECONNREFUSED);
		connected += !err;
		lq_close(&q[i]);
	}
	EXPECT_EQ(4, connected);

	/* there is room again */
	MEET();
	HELLO(&self->a, &self->b);
}

TEST_F_CORE(conn, backlog)
{
	struct lq q[5];

	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, qt_open(variant->be, &q[i], QP_NONBLOCK,
				     &self->d));
	for (int i = 0; i < 4; i++)
		EXPECT_ERRNO(EINPROGRESS, CONNECT(&q[i]));
	EXPECT_ERRNO(EAGAIN, CONNECT(&q[4]));

	/* one leaves the queue, one enters */
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(q[0].fd, LONG_MS));
	HELLO(&q[0], &self->b);
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&q[4]));

	/* first come, first served */
	for (int i = 1; i < 5; i++) {
		lq_close(&self->b);
		ASSERT_EQ(0, ACCEPT(&self->b));
		EXPECT_EQ(0, lq_connected(q[i].fd, LONG_MS));
		HELLO(&q[i], &self->b);
	}
	for (int i = 0; i < 5; i++)
		lq_close(&q[i]);
}

/* A full backlog holds up who can wait */
TEST_F_CORE(conn, backlog_blocks)
{
	struct listener one;
	char buf[8];
	pid_t pid;

	ASSERT_EQ(0, qt_listen(variant->be, &one, 0, 1));
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &one.addr,
						 one.len));
	pid = connector(&one, &self->d);
	ASSERT_LE(0, pid);

	ASSERT_EQ(0, lq_accept(&self->b, one.q.fd, &self->d));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	HELLO(&self->a, &self->b);
	lq_close(&self->b);
	ASSERT_EQ(0, lq_accept(&self->b, one.q.fd, &self->d));
	EXPECT_EQ(5, recv(self->b.fd, buf, sizeof(buf), 0));
	lq_close(&self->b);
	EXPECT_EQ(0, qt_reap(pid));
	qt_unlisten(&one);
}

/*
 * The time as the kernel's timers count it: the monotonic clock at the last
 * tick. On a machine that is held up ticks come late, and in a row.
 */
static __u64 tick_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

TEST_F(conn, timeouts)
{
	__u64 t0 = tick_ms();

	ASSERT_EQ(0, set_timeout(self->a.fd, SO_SNDTIMEO, 100));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	EXPECT_LE(50, tick_ms() - t0);
	EXPECT_EQ(QP_STATE_CONNECTING, state(self->a.fd));

	/* the request waits on; an accept() finds it, the next one nothing */
	ASSERT_EQ(0, set_timeout(self->l.q.fd, SO_RCVTIMEO, 100));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));

	/* who calls again learns that it was accepted meanwhile, and only once */
	EXPECT_EQ(0, CONNECT(&self->a));
	EXPECT_ERRNO(EISCONN, CONNECT(&self->a));

	t0 = tick_ms();
	EXPECT_ERRNO(EAGAIN, ACCEPT(&self->a));
	EXPECT_LE(50, tick_ms() - t0);
}

/* accept(): interrupted, and restarted */
TEST_F(conn, accept_signals)
{
	pid_t pid;

	tick(0);
	EXPECT_ERRNO(EINTR, ACCEPT(&self->b));
	tick(SA_RESTART);
	pid = fork();
	if (!pid) {
		usleep(200000);
		if (CONNECT(&self->a))
			_exit(1);
		_exit(0);
	}
	EXPECT_EQ(0, ACCEPT(&self->b));
	no_tick();
	EXPECT_EQ(0, qt_reap(pid));
}

/* connect(): an interrupted request stays queued, and calling again joins it */
TEST_F(conn, connect_signals)
{
	pid_t pid;

	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	tick(0);
	EXPECT_ERRNO(EINTR, CONNECT(&self->a));
	no_tick();
	EXPECT_EQ(QP_STATE_CONNECTING, state(self->a.fd));
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EALREADY, CONNECT(&self->a));
	ARRIVES(&self->l);
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	EXPECT_EQ(0, CONNECT(&self->a));
	EXPECT_ERRNO(EISCONN, CONNECT(&self->a));
	HELLO(&self->a, &self->b);
	lq_close(&self->a);
	lq_close(&self->b);

	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &self->d));
	pid = fork();
	if (!pid) {
		usleep(200000);
		_exit(ACCEPT(&self->b) ? 1 : 0);
	}
	tick(SA_RESTART);
	EXPECT_EQ(0, CONNECT(&self->a)) {
		TH_LOG("%s", strerror(errno));
	}
	no_tick();
	EXPECT_EQ(0, qt_reap(pid));
}

/* A failed accept() loses no connection */
TEST_F(conn, accept_refused)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct qp_desc ok = self->d;
	const struct {
		const char *what;
		struct qp_desc d;
		int err;
	} row[] = {
		{ "size", { .size = 4 }, EINVAL },
		{ "type", { .size = sizeof(ok), .type = QP_UD }, EINVAL },
		{ "type", { .size = sizeof(ok), .type = 99 }, EINVAL },
		{ "flags", { .size = sizeof(ok), .flags = QP_LISTEN }, EINVAL },
		{ "flags", { .size = sizeof(ok), .flags = 1U << 30 }, EINVAL },
		{ "address", { .size = sizeof(ok), .addr = (unsigned long)&sun,
			       .addrlen = sizeof(sun) }, EINVAL },
		{ "backlog", { .size = sizeof(ok), .backlog = 1 }, EINVAL },
		{ "sge", { .size = sizeof(ok), .max_sge = 17 }, EINVAL },
		{ "entries", { .size = sizeof(ok), .rq_entries = 1U << 31 },
		  EINVAL },
		{ "share", { .size = sizeof(ok), .flags = QP_SHARE_CQ,
			     .share_fd = -1 }, EBADF },
	};
	struct qp_desc d;

	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	ARRIVES(&self->l);
	for (int i = 0; i < ARRAY_SIZE(row); i++) {
		d = row[i].d;
		EXPECT_ERRNO_AT(row[i].err, lq_sys_accept(self->l.q.fd, &d),
				"%s", row[i].what);
	}
	EXPECT_ERRNO(EFAULT, lq_sys_accept(self->l.q.fd, NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_accept(self->a.fd, &ok));
	EXPECT_EQ(QP_STATE_CONNECTING, state(self->a.fd));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	HELLO(&self->a, &self->b);
}

/* The answer of accept() cannot be written: the connection waits on */
TEST_F(conn, accept_into_read_only)
{
	void *ro = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, ro);
	memcpy(ro, &self->d, sizeof(self->d));
	ASSERT_EQ(0, mprotect(ro, 4096, PROT_READ));
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	ASSERT_EQ(0, nonblock(self->l.q.fd, true));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	ARRIVES(&self->l);
	EXPECT_ERRNO(EFAULT, lq_sys_accept(self->l.q.fd, ro));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	munmap(ro, 4096);
}

/* type and protocol may be left to the listener; rings are one's own */
TEST_F(conn, accept_defaults)
{
	struct qp_desc d = { .size = sizeof(d), .rq_entries = 3, .share_fd = -1 };

	ASSERT_EQ(0, nonblock(self->a.fd, true));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	ASSERT_EQ(0, lq_accept(&self->b, self->l.q.fd, &d));
	EXPECT_EQ(QP_RC, self->b.desc.type);
	EXPECT_EQ(variant->be->protocol, self->b.desc.protocol);
	EXPECT_EQ(0, self->b.desc.sq_entries);
	EXPECT_EQ(4, self->b.desc.rq_entries);
	EXPECT_EQ(4, self->b.desc.cq_entries);
	EXPECT_EQ(0, lq_connected(self->a.fd, LONG_MS));
}

/* What is registered with the listener serves what it accepts */
TEST_F(conn, accept_shares_memory)
{
	struct qt_buf lbuf, own, buf;
	struct lq other;

	ASSERT_EQ(0, qt_buf(&lbuf, self->l.q.fd, 4096, LQ_ACCESS_ALL));
	memset(lbuf.p, 7, 4096);
	MEET();
	ASSERT_EQ(0, qt_buf(&buf, self->a.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
			  .p = buf.p, .len = 4096, .lkey = buf.mem.lkey,
			  .raddr = (unsigned long)lbuf.p,
			  .rkey = qt_rkey(self->b.fd, lbuf.mem.lkey)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_TRUE(qt_all(buf.p, 4096, 7));

	/* SHARE_MEM: another table than the listener's */
	ASSERT_EQ(0, qt_open_server(variant->be, &other, 0, &self->d));
	ASSERT_EQ(0, qt_buf(&own, other.fd, 4096, LQ_ACCESS_ALL));
	memset(own.p, 9, 4096);
	lq_close(&self->a);
	lq_close(&self->b);
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &self->d));
	ASSERT_EQ(0, lq_mem_reg(self->a.fd, buf.p, 4096, LQ_ACCESS_ALL,
				&buf.mem));
	self->d.flags = QP_SHARE_MEM;
	self->d.share_fd = other.fd;
	MEET();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
			  .p = buf.p, .len = 4096, .lkey = buf.mem.lkey,
			  .raddr = (unsigned long)own.p,
			  .rkey = qt_rkey(self->b.fd, own.mem.lkey)));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_TRUE(qt_all(buf.p, 4096, 9));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_READ,
			  .p = buf.p, .len = 4096, .lkey = buf.mem.lkey,
			  .raddr = (unsigned long)lbuf.p,
			  .rkey = lbuf.mem.rkey));
	EXPECT_FAILURE(variant->be, &self->a, 0, QP_WC_REM_ACCESS_ERR,
		       QP_OP_READ);
	lq_close(&other);
}

TEST_F(conn, names)
{
	struct sockaddr_storage ss, mine;
	socklen_t len, mylen;

	lq_close(&self->a);
	mylen = variant->be->source(&mine);
	self->d.addr = (unsigned long)&mine;
	self->d.addrlen = mylen;
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &self->d));
	self->d.addr = 0;
	self->d.addrlen = 0;

	len = sizeof(ss);
	EXPECT_ERRNO(ENOTCONN, getpeername(self->a.fd, (void *)&ss, &len));
	MEET();

	len = sizeof(ss);
	memset(&ss, 0, sizeof(ss));
	EXPECT_EQ(0, getsockname(self->l.q.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &self->l.addr, len));
	EXPECT_LT(2, len);
	len = sizeof(ss);
	EXPECT_EQ(0, getsockname(self->b.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &self->l.addr, len));
	EXPECT_LT(2, len);
	len = sizeof(ss);
	EXPECT_EQ(0, getpeername(self->a.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &self->l.addr, len));
	EXPECT_LT(2, len);
	len = sizeof(ss);
	EXPECT_EQ(0, getsockname(self->a.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &mine, len));
	EXPECT_LT(2, len);
	len = sizeof(ss);
	EXPECT_EQ(0, getpeername(self->b.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &mine, len));
	EXPECT_LT(2, len);
	variant->be->forget(&mine);
}

/* The client's address, with a port that the kernel chose */
static void expect_source(struct __test_metadata *_metadata,
			  const struct backend *be, int fd,
			  int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss, want;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	EXPECT_EQ(0, name(fd, (void *)&ss, &len));
	EXPECT_EQ(be->source(&want), len);
	EXPECT_NE(0, *qt_port(&ss));
	qt_set_port(&want, *qt_port(&ss));
	EXPECT_EQ(0, memcmp(&want, &ss, len));
}

TEST_F(conn, no_name)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	MEET();
	if (!HAS(F_LOCAL)) {
		expect_source(_metadata, variant->be, self->a.fd, getsockname);
		expect_source(_metadata, variant->be, self->b.fd, getpeername);
		return;
	}
	EXPECT_EQ(0, getsockname(self->a.fd, (void *)&ss, &len));
	EXPECT_EQ(sizeof(sa_family_t), len);
	EXPECT_EQ(variant->be->domain, ss.ss_family);
	len = sizeof(ss);
	EXPECT_EQ(0, getpeername(self->b.fd, (void *)&ss, &len));
	EXPECT_EQ(sizeof(sa_family_t), len);
}

TEST_F(conn, in_use)
{
	struct lq q;

	EXPECT_ERRNO(EADDRINUSE, qt_listen_at(variant->be, &q, &self->l.addr,
					      self->l.len, 0, 1));
	/* free again after close; a path must be unlinked, as unix(7) has it */
	qt_unlisten(&self->l);
	EXPECT_EQ(0, qt_listen_at(variant->be, &q, &self->l.addr, self->l.len,
				  0, 1));
	lq_close(&q);
}

TEST_F_CORE(conn, peercred)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (variant->be == &be_pipe_path)
			chmod(((struct sockaddr_un *)&self->l.addr)->sun_path,
			      0777);
		if (qt_become_nobody())
			_exit(1);
		if (CONNECT(&self->a))
			_exit(2);
		if (getsockopt(self->a.fd, SOL_SOCKET, SO_PEERCRED, &cred,
			       &len))
			_exit(3);
		_exit(cred.uid == 0 && cred.pid == getppid() ? 0 : 4);
	}
	ASSERT_EQ(0, ACCEPT(&self->b));
	ASSERT_EQ(0, getsockopt(self->b.fd, SOL_SOCKET, SO_PEERCRED, &cred,
				&len));
	EXPECT_EQ(pid, cred.pid);
	EXPECT_EQ(UID_NOBODY, cred.uid);
	EXPECT_EQ(UID_NOBODY, cred.gid);
	EXPECT_EQ(0, qt_reap(pid));
}

/* epoll sees a connection arrive, edge after edge */
TEST_F(conn, epoll)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct lq q;
	int ep = epoll_create1(0);

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, nonblock(self->a.fd, true));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->l.q.fd, &ev));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&self->a));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, LONG_MS));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(0, qt_open(variant->be, &q, QP_NONBLOCK, &self->d));
	EXPECT_ERRNO(EINPROGRESS, CONNECT(&q));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, LONG_MS));

	/* a connector sees that it stands */
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_DEL, self->l.q.fd, NULL));
	ev.events = EPOLLOUT | EPOLLET;
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->a.fd, &ev));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, LONG_MS));
	EXPECT_EQ(EPOLLOUT, ev.events & EPOLLOUT);
	lq_close(&q);
	close(ep);
}

/* A completion makes readable, its consumption not */
TEST_F(conn, poll_completion)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0);
	struct qt_buf buf;
	pid_t pid;

	MEET();
	ASSERT_EQ(0, qt_buf(&buf, self->b.fd, 64, QP_ACCESS_LOCAL_WRITE));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b.fd, &ev));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, lq_post_recv(&self->b, i, buf.p, 64,
					  buf.mem.lkey));
		EXPECT_EQ(0, qt_poll(self->b.fd, POLLIN, 0));
		pid = fork();
		if (!pid)
			_exit(POST(&self->a, .op = QP_OP_SEND, .p = "x",
				   .len = 1, .flags = QP_SQE_INLINE));
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, LONG_MS));
		EXPECT_EQ(POLLIN | POLLRDNORM,
			  qt_poll(self->b.fd, POLLIN | POLLRDNORM, 0));
		EXPECT_EQ(0, qt_reap(pid));
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(0, qt_poll(self->b.fd, POLLIN, 0));
	}
	close(ep);
}

/* With iWARP a message that finds no receive ends the connection */
#define NEEDS_RNR() do {						\
	if (HAS(F_RNR))							\
		break;							\
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 1));	\
	EXPECT_FAILURE(variant->be, &self->a, 1, 0, 0);			\
	return;								\
} while (0)

/* Writable while there is room for a send */
TEST_F(conn, poll_room)
{
	int n;

	MEET();
	NEEDS_RNR();
	EXPECT_EQ(POLLOUT, POLLOUT & qt_poll(self->a.fd, POLLOUT, 0));
	for (n = 0; n < 8; n++)
		ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_ERRNO(EAGAIN, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_EQ(0, POLLOUT & qt_poll(self->a.fd, POLLOUT, 0));
	ASSERT_EQ(0, lq_post_recv(&self->b, 0, NULL, 0, 0));
	EXPECT_EQ(POLLOUT, POLLOUT & qt_poll(self->a.fd, POLLOUT, LONG_MS));
	EXPECT_EQ(0, POST(&self->a, .op = QP_OP_SEND));
}

/* Room in a CQ comes and goes for all who share it */
TEST_F(conn, poll_room_of_shared_cq)
{
	struct epoll_event ev = { .events = EPOLLOUT | EPOLLET };
	struct qp_desc d = lq_desc(4, 4, 2);
	int ep = epoll_create1(0);
	struct lq a, b, c, e;

	if (!HAS(F_RNR))
		return;
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	d.share_fd = a.fd;
	d.cq_entries = 0;
	ASSERT_EQ(0, qt_pair(variant->be, &c, &e, QP_SHARE_CQ, &d));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, c.fd, &ev));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));

	/* promised to two sends of another queue pair */
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, POST(&a, .op = QP_OP_SEND));
	EXPECT_EQ(0, POLLOUT & qt_poll(c.fd, POLLOUT, 0));
	EXPECT_ERRNO(EAGAIN, POST(&c, .op = QP_OP_SEND));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));

	/* who waits learns that one of them needs it no more */
	ASSERT_EQ(0, lq_post_recv(&b, 0, NULL, 0, 0));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, LONG_MS));
	EXPECT_EQ(POLLOUT, POLLOUT & qt_poll(c.fd, POLLOUT, 0));
	EXPECT_EQ(0, POST(&c, .op = QP_OP_SEND));
	EXPECT_EQ(0, POLLOUT & qt_poll(c.fd, POLLOUT, 0));

	/* taken by completions, until they are consumed */
	ASSERT_EQ(0, lq_post_recv(&b, 0, NULL, 0, 0));
	ASSERT_EQ(0, lq_post_recv(&e, 0, NULL, 0, 0));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, POST_LATER(variant->be, &a, .op = QP_OP_WRITE,
					.flags = QP_SQE_SIGNALED));
	ASSERT_EQ(0, lq_enter(&a, 0, 2, LONG_MS));
	EXPECT_EQ(0, POLLOUT & qt_poll(c.fd, POLLOUT, 0));
	lq_cq_release(&a);
	EXPECT_EQ(POLLOUT, POLLOUT & qt_poll(c.fd, POLLOUT, 0));
	EXPECT_EQ(0, POST(&c, .op = QP_OP_WRITE));
	lq_close(&a);
	lq_close(&b);
	lq_close(&c);
	lq_close(&e);
	close(ep);
}

#define GONE	(POLLIN | POLLHUP | POLLRDHUP)

TEST_F(conn, peer_closes)
{
	char c;

	MEET();
	lq_close(&self->b);
	EXPECT_EQ(GONE, GONE & qt_poll(self->a.fd, GONE, LONG_MS));
	EXPECT_EQ(QP_STATE_ERROR, state(self->a.fd));
	EXPECT_EQ(0, recv(self->a.fd, &c, 1, 0));
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, MSG_NOSIGNAL));

	/* work is accepted, and flushed */
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 5));
	EXPECT_CQE(&self->a, 5, QP_WC_WR_FLUSH_ERR, QP_OP_SEND);

	/* waiting in vain ends at once */
	EXPECT_EQ(0, lq_enter(&self->a, 0, 1, -1));

	/* a queue pair lives once */
	errno = 0;
	EXPECT_EQ(-1, CONNECT(&self->a));
	EXPECT_EQ(ESHUTDOWN, errno);
}

TEST_F(conn, peer_dies)
{
	int go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		if (CONNECT(&self->a))
			_exit(1);
		qt_signal(go);
		pause();
	}
	lq_close(&self->a);
	ASSERT_EQ(0, ACCEPT(&self->b));
	ASSERT_EQ(0, qt_await(go));
	ASSERT_EQ(0, lq_post_recv(&self->b, 9, NULL, 0, 0));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
	EXPECT_EQ(GONE, GONE & qt_poll(self->b.fd, GONE, LONG_MS));
	EXPECT_CQE(&self->b, 9, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
}

TEST_F_CORE(conn, shutdown_write)
{
	char buf[8];

	MEET();
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	ASSERT_EQ(0, shutdown(self->a.fd, SHUT_WR));
	EXPECT_ERRNO(EPIPE, POST(&self->a, .op = QP_OP_SEND));
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, MSG_NOSIGNAL));

	/* what was queued comes before the end */
	EXPECT_EQ(0, qt_poll(self->b.fd, POLLRDHUP, 0));
	EXPECT_EQ(3, recv(self->b.fd, buf, sizeof(buf), 0));
	EXPECT_EQ(POLLRDHUP, (POLLRDHUP | POLLHUP) &
		  qt_poll(self->b.fd, POLLRDHUP, LONG_MS));
	EXPECT_EQ(0, recv(self->b.fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(self->b.fd, buf, sizeof(buf), 0));

	/* the other half works on */
	EXPECT_EQ(QP_STATE_RTS, state(self->a.fd));
	HELLO(&self->b, &self->a);
	ASSERT_EQ(0, lq_post_recv(&self->a, 1, NULL, 0, 0));
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = 2,
			  .flags = QP_SQE_SIGNALED));
	EXPECT_CQE(&self->a, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_CQE(&self->b, 2, QP_WC_SUCCESS, QP_OP_SEND);

	/* both halves down: disconnected */
	ASSERT_EQ(0, shutdown(self->b.fd, SHUT_WR));
	EXPECT_EQ(0, recv(self->a.fd, buf, sizeof(buf), 0));
}

TEST_F_CORE(conn, shutdown_read)
{
	MEET();
	ASSERT_EQ(0, shutdown(self->b.fd, SHUT_RD));
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 3));
	EXPECT_CQE(&self->a, 3, QP_WC_REM_OP_ERR, QP_OP_SEND);
}

/* A send that waits for a receive fails when the peer shuts down reading */
TEST_F_CORE(conn, shutdown_read_on_waiting)
{
	MEET();
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_SEND, .id = 3));
	EXPECT_NO_CQE(&self->a);
	ASSERT_EQ(0, shutdown(self->b.fd, SHUT_RD));
	EXPECT_CQE(&self->a, 3, QP_WC_REM_OP_ERR, QP_OP_SEND);
}

/* An RC connection has no halves to close */
TEST_F(conn, shutdown_half)
{
	if (HAS(F_LOCAL))
		return;
	MEET();
	EXPECT_ERRNO(EOPNOTSUPP, shutdown(self->a.fd, SHUT_WR));
	EXPECT_ERRNO(EOPNOTSUPP, shutdown(self->a.fd, SHUT_RD));
	HELLO(&self->a, &self->b);
	HELLO(&self->b, &self->a);
}

TEST_F(conn, disconnect)
{
	char c;

	MEET();
	ASSERT_EQ(0, lq_post_recv(&self->a, 1, NULL, 0, 0));
	ASSERT_EQ(0, lq_post_recv(&self->b, 2, NULL, 0, 0));
	ASSERT_EQ(0, shutdown(self->a.fd, SHUT_RDWR));
	EXPECT_EQ(GONE, GONE & qt_poll(self->a.fd, GONE, LONG_MS));
	EXPECT_EQ(GONE, GONE & qt_poll(self->b.fd, GONE, LONG_MS));
	EXPECT_EQ(QP_STATE_ERROR, state(self->a.fd));
	EXPECT_EQ(QP_STATE_ERROR, state(self->b.fd));
	EXPECT_CQE(&self->a, 1, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	EXPECT_CQE(&self->b, 2, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	EXPECT_EQ(0, recv(self->a.fd, &c, 1, 0));
	EXPECT_EQ(0, recv(self->b.fd, &c, 1, 0));
}

TEST_F(conn, shutdown_refused)
{
	EXPECT_ERRNO(ENOTCONN, shutdown(self->a.fd, SHUT_WR));
	MEET();
	EXPECT_ERRNO(EINVAL, shutdown(self->a.fd, 77));
	HELLO(&self->a, &self->b);
}

/* shutdown() or close() wakes who sleeps */
TEST_F(conn, disconnect_wakes)
{
	pid_t pid;
	int go[2];

	ASSERT_EQ(0, pipe(go));
	MEET();
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			char c;

			lq_close(&self->b);
			qt_signal(go);
			if (i)
				_exit(recv(self->a.fd, &c, 1, 0));
			_exit(lq_enter(&self->a, 0, 1, -1));
		}
		ASSERT_EQ(0, qt_await(go));
		usleep(20000);
		if (i)
			lq_close(&self->b);
		else
			shutdown(self->b.fd, SHUT_RDWR);
		EXPECT_EQ(0, qt_reap(pid));

		lq_close(&self->a);
		lq_close(&self->b);
		ASSERT_EQ(0, qt_open(variant->be, &self->a, 0,
				     &self->d));
		MEET();
	}
}

/* What follows is about unix(7)'s names, and has no variants */
#ifdef QP_LOCAL

/* No queue pair reaches into another network namespace by a kernel name */
TEST(netns)
{
	struct qp_desc d = lq_desc(1, 1, 0);
	struct sockaddr_storage ss;
	struct listener l, inner;
	struct lq a;

	ASSERT_EQ(0, qt_listen(&be_pipe, &l, 0, 1));
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, lq_open(&a, AF_UNIX, QP_NONBLOCK, &d));
	EXPECT_ERRNO(ECONNREFUSED, lq_sys_connect(a.fd, &l.addr, l.len));

	/* so the name is free here */
	ss = l.addr;
	ASSERT_EQ(0, lq_listen(&inner.q, AF_UNIX, &ss, l.len, 0, 1));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(a.fd, &l.addr, l.len));
	EXPECT_EQ(POLLIN, qt_poll(inner.q.fd, POLLIN, LONG_MS));
	EXPECT_EQ(0, qt_poll(l.q.fd, POLLIN, 0));

	/* nor are memory and CQ shared across */
	d.share_fd = l.q.fd;
	d.cq_entries = 0;
	EXPECT_ERRNO(EXDEV, lq_sys_queue_pair(AF_UNIX, QP_SHARE_CQ, &d));
	EXPECT_ERRNO(EXDEV, lq_sys_queue_pair(AF_UNIX, QP_SHARE_MEM, &d));
	lq_close(&inner.q);
	lq_close(&a);
	qt_unlisten(&l);
}

/* A path is as good as its permissions */
TEST(path_permissions)
{
	struct qp_desc d = lq_desc(1, 1, 0);
	struct sockaddr_un *sun;
	struct listener l;
	struct stat st;
	struct lq q;
	pid_t pid;

	ASSERT_EQ(0, qt_listen(&be_pipe_path, &l, 0, 1));
	sun = (void *)&l.addr;
	ASSERT_EQ(0, stat(sun->sun_path, &st));
	EXPECT_TRUE(S_ISSOCK(st.st_mode));
	ASSERT_EQ(0, chmod(sun->sun_path, 0755));
	pid = fork();
	if (!pid) {
		if (qt_become_nobody() || lq_open(&q, AF_UNIX, QP_NONBLOCK, &d))
			_exit(1);
		if (!lq_sys_connect(q.fd, &l.addr, l.len) || errno != EACCES)
			_exit(2);
		if (chdir("/proc/self") || lq_listen_un(&q, "name", 0, 1) != -1)
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, qt_reap(pid));

	ASSERT_EQ(0, chmod(sun->sun_path, 0777));
	pid = fork();
	if (!pid) {
		if (qt_become_nobody() || lq_open(&q, AF_UNIX, QP_NONBLOCK, &d))
			_exit(1);
		if (!lq_sys_connect(q.fd, &l.addr, l.len) ||
		    errno != EINPROGRESS)
			_exit(2);
		_exit(0);
	}
	EXPECT_EQ(0, qt_reap(pid));

	/* not unlinked on close, and nobody listens on what is left */
	lq_close(&l.q);
	EXPECT_EQ(0, stat(sun->sun_path, &st));
	ASSERT_EQ(0, lq_open(&q, AF_UNIX, 0, &d));
	EXPECT_ERRNO(ECONNREFUSED, lq_sys_connect(q.fd, &l.addr, l.len));
	lq_close(&q);
	unlink(sun->sun_path);
}

TEST(path_errors)
{
	struct qp_desc d = lq_desc(1, 1, 0);
	struct lq q;

	EXPECT_ERRNO(ENOENT, lq_listen_un(&q, "/no/such/folder/x", 0, 1));
	EXPECT_ERRNO(EADDRINUSE, lq_listen_un(&q, "/tmp", 0, 1));
	ASSERT_EQ(0, lq_open(&q, AF_UNIX, 0, &d));
	EXPECT_ERRNO(ENOENT, lq_connect_un(&q, "/no/such/folder/x"));
	EXPECT_ERRNO(ECONNREFUSED, lq_connect_un(&q, "/tmp"));
	lq_close(&q);
}

/* unix(7) and queue pairs do not take each other for their own */
TEST(unix_sockets_are_others)
{
	struct qp_desc d = lq_desc(1, 1, 0);
	struct sockaddr_un sun;
	struct listener l;
	struct lq q;
	socklen_t len;
	int fd;

	ASSERT_EQ(0, qt_listen(&be_pipe_path, &l, 0, 1));
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	EXPECT_ERRNO(ECONNREFUSED, connect(fd, (void *)&l.addr, l.len));
	qt_unlisten(&l);

	len = lq_addr_un(&sun, "/tmp/qp-test-unix");
	ASSERT_EQ(0, bind(fd, (void *)&sun, len));
	ASSERT_EQ(0, listen(fd, 1));
	ASSERT_EQ(0, lq_open(&q, AF_UNIX, 0, &d));
	EXPECT_ERRNO(ECONNREFUSED, lq_sys_connect(q.fd, &sun, len));
	lq_close(&q);
	close(fd);
	unlink(sun.sun_path);
}

#endif /* QP_LOCAL */

#ifdef QP_GID

static int bind_to(const struct backend *be, const struct sockaddr_ib *ib, int len)
{
	struct qp_desc d = lq_desc(8, 8, 0);
	struct lq q;

	d.addr = (unsigned long)ib;
	d.addrlen = len;
	if (qt_open(be, &q, 0, &d))
		return -1;
	lq_close(&q);
	return 0;
}

/* The parts of an address besides the GID: which are refused, and which are not */
TEST_F(conn, address_parts)
{
	struct {
		const char *what;
		int err;
		__u16 pkey;
		__u64 sid, mask, scope;
	} cases[] = {
		{ "as it should be", 0, 0xffff, 0x10604d2, ~0ULL },
		{ "default P_Key", 0, 0, 0x10604d2, ~0ULL },
		{ "any service ID", 0, 0xffff, 0, 0 },
		{ "any port", 0, 0xffff, 0x1060000, ~0ULL },
		{ "no mask", 0, 0xffff, 0x10604d2, 0 },
		{ "port that does not count", 0, 0xffff, 0x10604d2, ~0xffffULL },
		{ "a netdevice", 0, 0xffff, 0x10604d2, ~0ULL,
		  if_nametoindex("veth0") },
		{ "another P_Key", EADDRNOTAVAIL, 0x7fff, 0x10604d2, ~0ULL },
		{ "port space for datagrams", EADDRNOTAVAIL, 0xffff, 0x11104d2, ~0ULL },
		{ "a service ID of none", EADDRNOTAVAIL, 0xffff, 1234, ~0ULL },
		{ "a long one", EADDRNOTAVAIL, 0xffff, 1ULL << 63 | 0x10604d2, ~0ULL },
		{ "no netdevice", EINVAL, 0xffff, 0x10604d2, ~0ULL, 1ULL << 31 },
		{ "far from one", EINVAL, 0xffff, 0x10604d2, ~0ULL, 1ULL << 32 },
	};
	struct sockaddr_storage ss;
	int len = variant->be->source(&ss), ret;
	struct sockaddr_ib ib;

	memcpy(&ib, &ss, sizeof(ib));
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		ib.sib_pkey = htons(cases[i].pkey);
		ib.sib_sid = htobe64(cases[i].sid);
		ib.sib_sid_mask = htobe64(cases[i].mask);
		ib.sib_scope_id = cases[i].scope;
		errno = 0;
		ret = bind_to(variant->be, &ib, len);
		EXPECT_EQ(cases[i].err, errno) {
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(-!!cases[i].err, ret);
	}
	EXPECT_ERRNO(EINVAL, bind_to(variant->be, &ib, len - 1));
}

/* Who is called by a GID is the one that an IP address leads to */
TEST_F(conn, called_by_ip)
{
	const struct backend *ip = variant->be == &be_gid4 ? &be_roce4 : &be_roce6;
	struct sockaddr_storage ss;
	socklen_t len = ip->address(&ss);
	struct lq q;

	*qt_port(&ss) = *qt_port(&self->l.addr);
	ASSERT_EQ(0, qt_open(ip, &q, 0, &self->d));
	ASSERT_EQ(0, nonblock(q.fd, true));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(q.fd, &ss, len));
	ASSERT_EQ(0, ACCEPT(&self->b));
	EXPECT_EQ(0, lq_connected(q.fd, LONG_MS));
	len = sizeof(ss);
	EXPECT_EQ(0, getpeername(self->b.fd, (void *)&ss, &len));
	EXPECT_EQ(AF_IB, ss.ss_family);
	EXPECT_EQ(sizeof(struct sockaddr_ib), len);
	lq_close(&q);
}

#endif /* QP_GID */

TEST_HARNESS_MAIN
