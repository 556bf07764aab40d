// SPDX-License-Identifier: GPL-2.0
/* sendmsg() and recvmsg(), among themselves and with rings at the other end */
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define BUF	(256 * 1024U)

/*
 * a has no rings, b has; either may use sendmsg() and recvmsg(). On a network b
 * has a receive queue only where with_ring() says so: with one, a message has no
 * place until a receive is posted or somebody is in recvmsg().
 */
FIXTURE(msg)
{
	struct lq a, b;
	struct qt_buf buf;
	unsigned char *tmp;
};

#define MSG	FIXTURE_DATA(msg)

FIXTURE_VARIANT(msg)
{
	const struct backend *be;
};

VARIANTS(msg)

static int connect_ends(const struct backend *be, struct lq *a, struct lq *b,
			__u32 receives)
{
	struct qp_desc plain = lq_desc(0, 0, 0), rings = lq_desc(32, receives, 0);
	struct listener l;
	int err;

	rings.max_inline = 64;
	err = qt_listen(be, &l, 0, 1) ||
	      qt_open(be, a, QP_NONBLOCK, &plain) ||
	      (lq_sys_connect(a->fd, &l.addr, l.len) && errno != EINPROGRESS) ||
	      lq_accept(b, l.q.fd, &rings) || lq_connected(a->fd, LONG_MS) ||
	      fcntl(a->fd, F_SETFL, 0);
	qt_unlisten(&l);
	return err;
}

#define HAS(flag)	(variant->be->flags & (flag))

FIXTURE_SETUP(msg)
{
	ASSERT_EQ(0, connect_ends(variant->be, &self->a, &self->b,
				  HAS(F_LOCAL) ? 32 : 0)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, qt_buf(&self->buf, self->b.fd, BUF, LQ_ACCESS_ALL));
	self->tmp = malloc(BUF);
	ASSERT_NE(NULL, self->tmp);
}

FIXTURE_TEARDOWN(msg)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->buf);
	free(self->tmp);
}

static int with_ring(MSG *self, const struct backend *be)
{
	if (be->flags & F_LOCAL)
		return 0;
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->buf);
	return connect_ends(be, &self->a, &self->b, 32) ||
	       qt_buf(&self->buf, self->b.fd, BUF, LQ_ACCESS_ALL);
}

#define WITH_RING()	ASSERT_EQ(0, with_ring(self, variant->be))

/*
 * A network receives messages into a fixed number of buffers, which share
 * SO_RCVBUF. When they are full RoCE waits, iWARP ends the connection.
 */
#define BUFFERS	4

static int buffer_size(int fd)
{
	socklen_t len = sizeof(int);
	int size = 0;

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len);
	return size / BUFFERS;
}

/* On a network the end of a peer is heard of later */
#define AWAIT_END(q) do {						\
	if (!HAS(F_LOCAL))						\
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll((q)->fd, 0, LONG_MS)); \
} while (0)

static int set_timeout(int fd, int opt, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, opt, &tv, sizeof(tv));
}

/* The last two are more than a buffer takes */
static const int sizes[] = {
	1, 7, 8, 64, 100, 4095, 4096, 4097, 50000, 65536, 100001,
};

#define SIZES	((int)ARRAY_SIZE(sizes) - (HAS(F_LOCAL) ? 0 : 2))

TEST_F(msg, boundaries)
{
	const int several = HAS(F_RNR) ? 5 : BUFFERS;

	for (int i = 0; i < SIZES; i++) {
		int n = sizes[i];

		qt_fill(self->tmp, n, i);
		ASSERT_EQ(n, send(self->a.fd, self->tmp, n, 0)) {
			TH_LOG("%d: %s", n, strerror(errno));
		}
		memset(self->tmp, 0xcc, BUF);
		ASSERT_EQ(n, recv(self->b.fd, self->tmp, BUF, 0));
		EXPECT_EQ(-1, qt_differ(self->tmp, n, i));
		EXPECT_TRUE(qt_all(self->tmp + n, 64, 0xcc));
	}
	/* several wait, and do not run into each other */
	for (int i = 0; i < several; i++)
		ASSERT_EQ(i + 1, send(self->b.fd, self->tmp, i + 1, MSG_EOR));
	for (int i = 0; i < several; i++)
		ASSERT_EQ(i + 1, recv(self->a.fd, self->tmp, BUF, 0));
	EXPECT_ERRNO(EAGAIN, recv(self->a.fd, self->tmp, BUF, MSG_DONTWAIT));
}

/* read() and write() are the same */
TEST_F(msg, read_write)
{
	ASSERT_EQ(5, write(self->a.fd, "hello", 5));
	ASSERT_EQ(5, read(self->b.fd, self->tmp, BUF));
	EXPECT_EQ(0, memcmp(self->tmp, "hello", 5));
}

TEST_F(msg, iovecs)
{
	struct iovec out[] = { { "ab", 2 }, { NULL, 0 }, { "cdefg", 5 } };
	char x[3], y[10] = "";
	struct iovec in[] = { { x, 3 }, { y, 10 } };
	struct msghdr msg = { .msg_iov = in, .msg_iovlen = 2, .msg_flags = -1 };

	ASSERT_EQ(7, writev(self->a.fd, out, 3));
	ASSERT_EQ(7, recvmsg(self->b.fd, &msg, 0));
	EXPECT_EQ(0, memcmp(x, "abc", 3));
	EXPECT_EQ(0, strcmp(y, "defg"));
	EXPECT_EQ(0, msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
}

TEST_F(msg, truncation)
{
	struct iovec iov = { self->tmp, 4 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	ASSERT_EQ(10, send(self->a.fd, "0123456789", 10, 0));
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	memset(self->tmp, 0xcc, 16);
	EXPECT_EQ(4, recvmsg(self->b.fd, &msg, 0));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags & MSG_TRUNC);
	EXPECT_EQ(0, memcmp(self->tmp, "0123", 4));
	EXPECT_TRUE(qt_all(self->tmp + 4, 12, 0xcc));

	/* the rest is gone, the next message is not */
	EXPECT_EQ(3, recvmsg(self->b.fd, &msg, 0));
	EXPECT_EQ(0, msg.msg_flags & MSG_TRUNC);
	EXPECT_EQ(0, memcmp(self->tmp, "abc", 3));

	/* asked for, the length is that of the message */
	ASSERT_EQ(10, send(self->a.fd, "0123456789", 10, 0));
	EXPECT_EQ(10, recv(self->b.fd, self->tmp, 4, MSG_TRUNC));
}

TEST_F(msg, peek)
{
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	ASSERT_EQ(2, send(self->a.fd, "de", 2, 0));
	for (int i = 0; i < 3; i++) {
		memset(self->tmp, 0, 16);
		EXPECT_EQ(3, recv(self->b.fd, self->tmp, BUF, MSG_PEEK));
		EXPECT_EQ(0, memcmp(self->tmp, "abc", 4));
	}
	EXPECT_EQ(1, recv(self->b.fd, self->tmp, 1, MSG_PEEK));
	EXPECT_EQ(3, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(2, recv(self->b.fd, self->tmp, BUF, MSG_PEEK));
	EXPECT_EQ(2, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, self->tmp, BUF,
				  MSG_PEEK | MSG_DONTWAIT));
}

/* A peeked message goes to whoever asks next, a receive in the ring too */
TEST_F_CORE(msg, peek_then_ring)
{
	struct qp_cqe c;

	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	EXPECT_EQ(3, recv(self->b.fd, self->tmp, BUF, MSG_PEEK));
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, self->buf.p, 64,
				  self->buf.mem.lkey));
	c = EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(3, c.byte_len);
	EXPECT_EQ(0, memcmp(self->buf.p, "abc", 3));
}

TEST_F(msg, waiting)
{
	__u64 t0 = qt_now_ms();
	pid_t pid;

	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, self->tmp, BUF, MSG_DONTWAIT));
	ASSERT_EQ(0, set_timeout(self->b.fd, SO_RCVTIMEO, 100));
	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_LE(50, qt_now_ms() - t0);
	ASSERT_EQ(0, set_timeout(self->b.fd, SO_RCVTIMEO, LONG_MS));

	pid = fork();
	if (!pid) {
		usleep(50000);
		_exit(send(self->a.fd, "x", 1, 0) != 1);
	}
	EXPECT_EQ(1, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(0, qt_reap(pid));

	ASSERT_EQ(0, fcntl(self->b.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, self->tmp, BUF, 0));
}

static void on_signal(int sig)
{
}

TEST_F(msg, waiting_and_signals)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval it = { { 0, 50000 }, { 0, 50000 } };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	EXPECT_ERRNO(EINTR, recv(self->b.fd, self->tmp, BUF, 0));
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
}

TEST_F(msg, poll)
{
	EXPECT_EQ(POLLOUT, qt_poll(self->a.fd, POLLIN | POLLOUT, 0));
	EXPECT_EQ(0, qt_poll(self->b.fd, POLLIN, 0));
	ASSERT_EQ(1, send(self->a.fd, "x", 1, 0));
	EXPECT_EQ(POLLIN, qt_poll(self->b.fd, POLLIN, LONG_MS));
	ASSERT_EQ(1, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(0, qt_poll(self->b.fd, POLLIN, 0));
}

/* What was sent outlives the sender */
TEST_F(msg, close_with_data)
{
	const int n = HAS(F_LOCAL) ? 10 : BUFFERS;

	for (int i = 0; i < n; i++)
		ASSERT_EQ(1000, send(self->a.fd, self->tmp, 1000, 0));
	lq_close(&self->a);
	EXPECT_EQ(POLLIN, POLLIN & qt_poll(self->b.fd, POLLIN, LONG_MS));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(1000, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(0, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(0, recv(self->b.fd, self->tmp, BUF, 0));
	EXPECT_EQ(POLLIN | POLLHUP | POLLRDHUP,
		  qt_poll(self->b.fd, POLLIN | POLLRDHUP, 0));
}

/* Nobody will read what waits when the receiver closes */
TEST_F(msg, close_by_reader)
{
	const int n = HAS(F_RNR) ? 10 : BUFFERS;

	for (int i = 0; i < n; i++)
		ASSERT_EQ(1000, send(self->a.fd, self->tmp, 1000, 0));
	lq_close(&self->b);
	AWAIT_END(&self->a);
	EXPECT_ERRNO(EPIPE, send(self->a.fd, self->tmp, 1, MSG_NOSIGNAL));
	EXPECT_EQ(0, recv(self->a.fd, self->tmp, BUF, 0));
}

TEST_F(msg, sigpipe)
{
	pid_t pid;

	lq_close(&self->b);
	AWAIT_END(&self->a);
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, MSG_NOSIGNAL));
	pid = fork();
	if (!pid) {
		send(self->a.fd, "x", 1, 0);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGPIPE, qt_reap(pid));
}

TEST_F(msg, not_connected)
{
	struct qp_desc d = lq_desc(0, 0, 0);
	struct listener l;
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &d));
	EXPECT_ERRNO(ENOTCONN, send(q.fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_ERRNO(ENOTCONN, recv(q.fd, self->tmp, 1, 0));
	lq_close(&q);
	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	EXPECT_ERRNO(ENOTCONN, send(l.q.fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_ERRNO(ENOTCONN, recv(l.q.fd, self->tmp, 1, 0));
	qt_unlisten(&l);
}

TEST_F(msg, refused)
{
	struct sockaddr_storage ss;
	socklen_t len = variant->be->address(&ss);
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct {
		struct cmsghdr h;
		__u32 data[4];
	} ctl = { .h = { CMSG_LEN(8), SOL_QP, QP_CMSG_IMM } };

	EXPECT_ERRNO(EOPNOTSUPP, send(self->a.fd, "x", 1, MSG_OOB));
	EXPECT_ERRNO(EOPNOTSUPP, recv(self->b.fd, self->tmp, 1, MSG_OOB));
	EXPECT_ERRNO(EISCONN, sendto(self->a.fd, "x", 1, 0, (void *)&ss, len));
	EXPECT_ERRNO(EFAULT, send(self->a.fd, (void *)8, 1, 0));

	/* control messages: wrong length, unknown, truncated */
	msg.msg_control = &ctl;
	msg.msg_controllen = CMSG_SPACE(8);
	EXPECT_ERRNO(EINVAL, sendmsg(self->a.fd, &msg, 0));
	ctl.h.cmsg_len = CMSG_LEN(4);
	ctl.h.cmsg_type = 99;
	EXPECT_ERRNO(EINVAL, sendmsg(self->a.fd, &msg, 0));
	ctl.h.cmsg_type = QP_CMSG_IMM;
	ctl.h.cmsg_len = 4000;
	EXPECT_ERRNO(EINVAL, sendmsg(self->a.fd, &msg, 0));
	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, self->tmp, BUF, MSG_DONTWAIT));

	/* memory that cannot be written: the message stays */
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	EXPECT_ERRNO(EFAULT, recv(self->b.fd, (void *)8, 3, 0));
	EXPECT_EQ(3, recv(self->b.fd, self->tmp, BUF, MSG_DONTWAIT));
}

/* What fills a buffer of the receiver arrives, a byte more ends the connection */
static void expect_longest(struct __test_metadata *_metadata,
			   MSG *self, char *big)
{
	int n = buffer_size(self->b.fd);

	EXPECT_EQ(n, send(self->a.fd, big, n, 0));
	EXPECT_EQ(n, recv(self->b.fd, big, n + 1, 0));
	EXPECT_EQ(n + 1, send(self->a.fd, big, n + 1, 0));
	EXPECT_GE(0, recv(self->b.fd, big, n + 1, 0));
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
	EXPECT_ERRNO(EPIPE, send(self->a.fd, big, 1, MSG_NOSIGNAL));
}

TEST_F(msg, too_long)
{
	socklen_t len = sizeof(int);
	int sndbuf;
	char *big;

	ASSERT_EQ(0, getsockopt(self->a.fd, SOL_SOCKET, SO_SNDBUF, &sndbuf,
				&len));
	big = calloc(1, sndbuf + 1);
	ASSERT_NE(NULL, big);
	EXPECT_ERRNO(EMSGSIZE, send(self->a.fd, big, sndbuf + 1, 0));
	if (!HAS(F_LOCAL)) {
		expect_longest(_metadata, self, big);
		free(big);
		return;
	}
	EXPECT_EQ(sndbuf, send(self->a.fd, big, sndbuf, 0));
	EXPECT_EQ(sndbuf, recv(self->b.fd, big, sndbuf + 1, 0));
	free(big);
}

/* SO_SNDBUF bounds what waits; a reader makes room */
TEST_F(msg, back_pressure)
{
	int n = 0, m = 0, small = 8192;
	pid_t pid;

	if (!HAS(F_RNR))
		return;
	ASSERT_EQ(0, setsockopt(self->a.fd, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	while (send(self->a.fd, self->tmp, 1000, MSG_DONTWAIT) == 1000)
		ASSERT_GT(1000, n++);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LE(4, n);
	ASSERT_EQ(0, set_timeout(self->a.fd, SO_SNDTIMEO, 50));
	/* those that find a buffer at the peer may be on their way still */
	while (!HAS(F_LOCAL) && send(self->a.fd, self->tmp, 1000, 0) == 1000)
		ASSERT_GT(1000, n++);
	EXPECT_EQ(0, POLLOUT & qt_poll(self->a.fd, POLLOUT, 0));
	EXPECT_ERRNO(EAGAIN, send(self->a.fd, self->tmp, 1000, 0));
	ASSERT_EQ(0, set_timeout(self->a.fd, SO_SNDTIMEO, 0));

	pid = fork();
	if (!pid) {
		for (int i = 0; i < 50; i++)
			if (send(self->a.fd, self->tmp, 1000, 0) != 1000)
				_exit(1);
		_exit(0);
	}
	while (m < n + 50 && recv(self->b.fd, self->tmp, BUF, 0) == 1000)
		m++;
	EXPECT_EQ(n + 50, m);
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_EQ(POLLOUT, POLLOUT & qt_poll(self->a.fd, POLLOUT,
					     HAS(F_LOCAL) ? 0 : LONG_MS));
}

/* A writer that waits for room learns that the reader went away */
TEST_F(msg, back_pressure_ends)
{
	int small = 4096;
	pid_t pid;
	int go[2];

	if (!HAS(F_RNR))
		return;
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, setsockopt(self->a.fd, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	while (send(self->a.fd, self->tmp, 1000, MSG_DONTWAIT) == 1000)
		;
	pid = fork();
	if (!pid) {
		lq_close(&self->b);
		qt_signal(go);
		/* what is dropped as the reader leaves may make room once */
		for (int i = 0; i < 100; i++)
			if (send(self->a.fd, self->tmp, 1000, MSG_NOSIGNAL) < 0)
				_exit(errno == EPIPE ? 0 : 1);
		_exit(2);
	}
	ASSERT_EQ(0, qt_await(go));
	usleep(20000);
	lq_close(&self->b);
	EXPECT_EQ(0, qt_reap(pid));
}

/* sendmsg() into receives of a ring */
TEST_F(msg, to_ring)
{
	struct qp_cqe c;

	WITH_RING();
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		int n = sizes[i];

		ASSERT_EQ(0, lq_post_recv(&self->b, i, self->buf.p + i, n,
					  self->buf.mem.lkey));
		qt_fill(self->tmp, n, i);
		ASSERT_EQ(n, send(self->a.fd, self->tmp, n, 0));
		c = EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(n, c.byte_len);
		EXPECT_EQ(-1, qt_differ(self->buf.p + i, n, i));
	}
	if (!HAS(F_RNR))
		return;
	/* queued before there is a receive; of no bytes, too */
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	ASSERT_EQ(0, send(self->a.fd, NULL, 0, 0));
	ASSERT_EQ(0, lq_post_recv(&self->b, 100, self->buf.p, 8,
				  self->buf.mem.lkey));
	ASSERT_EQ(0, lq_post_recv(&self->b, 101, NULL, 0, 0));
	c = EXPECT_CQE(&self->b, 100, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(3, c.byte_len);
	c = EXPECT_CQE(&self->b, 101, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(0, c.byte_len);
}

/* A receive that is too short is an error, as for any SEND */
TEST_F(msg, to_short_receive)
{
	WITH_RING();
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, self->buf.p, 2,
				  self->buf.mem.lkey));
	ASSERT_EQ(3, send(self->a.fd, "abc", 3, 0));
	EXPECT_CQE(&self->b, 1, HAS(F_RXE) ? QP_WC_LOC_QP_OP_ERR :
					     QP_WC_LOC_LEN_ERR, QP_OP_RECV);
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.fd, 0, LONG_MS));
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, MSG_NOSIGNAL));
}

/* Requests of a ring into recvmsg() */
TEST_F(msg, from_ring)
{
	for (int i = 0; i < SIZES; i++) {
		int n = sizes[i];

		qt_fill(self->buf.p + i, n, i);
		ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = i,
				  .flags = QP_SQE_SIGNALED,
				  .p = self->buf.p + i, .len = n,
				  .lkey = self->buf.mem.lkey));
		ASSERT_EQ(n, recv(self->a.fd, self->tmp, BUF, 0));
		EXPECT_EQ(-1, qt_differ(self->tmp, n, i));
		EXPECT_CQE(&self->b, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	/* too long is not an error here, as for any recvmsg() */
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = 1,
			  .flags = QP_SQE_SIGNALED, .p = self->buf.p,
			  .len = 1000, .lkey = self->buf.mem.lkey));
	EXPECT_EQ(10, recv(self->a.fd, self->tmp, 10, 0));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_SEND);
}

/* What a ring sends is peeked, not taken */
TEST_F(msg, peek_from_ring)
{
	const int n = HAS(F_LOCAL) ? 100000 : 50000;

	qt_fill(self->buf.p, 100000, 1);
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = 1,
			  .flags = QP_SQE_SIGNALED, .p = self->buf.p,
			  .len = n, .lkey = self->buf.mem.lkey));
	ASSERT_EQ(n, recv(self->a.fd, self->tmp, BUF, MSG_PEEK));
	EXPECT_EQ(-1, qt_differ(self->tmp, n, 1));
	/* the ring's part is over when it is in a buffer */
	if (HAS(F_LOCAL))
		EXPECT_NO_CQE(&self->b);
	ASSERT_EQ(n, recv(self->a.fd, self->tmp, BUF, 0));
	EXPECT_EQ(-1, qt_differ(self->tmp, n, 1));
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_SEND);
}

/* A request of a ring that cannot be read fails; recvmsg() sees the end */
TEST_F(msg, from_bad_ring)
{
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .id = 1,
			  .p = self->buf.p, .len = 10,
			  .lkey = self->buf.mem.lkey ^ 1));
	EXPECT_GE(0, recv(self->a.fd, self->tmp, BUF, 0));
	EXPECT_CQE(&self->b, 1, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
}

TEST_F(msg, immediate)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(__u32))];
	} ctl;
	struct iovec iov = { self->tmp, 16 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl, .msg_controllen = sizeof(ctl),
	};
	struct qp_cqe c;
	__u32 imm = 0;

	WITH_RING();
	if (!HAS(F_IMM)) {
		EXPECT_ERRNO(EOPNOTSUPP, POST(&self->b, .op = QP_OP_SEND_IMM));
		ctl.h = (struct cmsghdr){
			CMSG_LEN(sizeof(imm)), SOL_QP, QP_CMSG_IMM,
		};
		EXPECT_ERRNO(EOPNOTSUPP, sendmsg(self->a.fd, &msg, 0));
		return;
	}
	/* out of a ring, into recvmsg() */
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND_IMM, .imm = 0x1234,
			  .p = "abc", .len = 3, .flags = QP_SQE_INLINE));
	ASSERT_EQ(3, recvmsg(self->a.fd, &msg, 0));
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
	EXPECT_EQ(SOL_QP, ctl.h.cmsg_level);
	EXPECT_EQ(QP_CMSG_IMM, ctl.h.cmsg_type);
	EXPECT_EQ(CMSG_LEN(sizeof(imm)), ctl.h.cmsg_len);
	memcpy(&imm, CMSG_DATA(&ctl.h), sizeof(imm));
	EXPECT_EQ(0x1234, imm);

	/* out of sendmsg(), into a ring */
	imm = 0x5678;
	memcpy(CMSG_DATA(&ctl.h), &imm, sizeof(imm));
	msg.msg_controllen = sizeof(ctl);
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, self->buf.p, 64,
				  self->buf.mem.lkey));
	ASSERT_EQ(16, sendmsg(self->a.fd, &msg, 0));
	c = EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(QP_CQE_IMM, c.flags);
	EXPECT_EQ(0x5678, c.imm_data);

	/* none: no control message */
	ASSERT_EQ(1, send(self->b.fd, "x", 1, 0));
	msg.msg_controllen = sizeof(ctl);
	ASSERT_EQ(1, recvmsg(self->a.fd, &msg, 0));
	EXPECT_EQ(0, msg.msg_controllen);
}

/* Requests and messages of one sender keep their order */
TEST_F(msg, order)
{
	char c;

	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .p = "1", .len = 1,
			  .flags = QP_SQE_INLINE));
	ASSERT_EQ(1, send(self->b.fd, "2", 1, 0));
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_SEND, .p = "3", .len = 1,
			  .flags = QP_SQE_INLINE));
	ASSERT_EQ(1, send(self->b.fd, "4", 1, 0));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(1, recv(self->a.fd, &c, 1, 0));
		EXPECT_EQ('1' + i, c);
	}
}

/* Receives in the ring come first */
TEST_F(msg, ring_before_recvmsg)
{
	if (!HAS(F_RNR))
		return;
	WITH_RING();
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, self->buf.p, 8,
				  self->buf.mem.lkey));
	ASSERT_EQ(1, send(self->a.fd, "1", 1, 0));
	ASSERT_EQ(1, send(self->a.fd, "2", 1, 0));
	EXPECT_EQ(1, recv(self->b.fd, self->tmp, 1, 0));
	EXPECT_EQ('2', self->tmp[0]);
	EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ('1', self->buf.p[0]);
}

/* RDMA goes on beside messages */
TEST_F(msg, beside_rdma)
{
	struct lq a, b;
	struct qp_desc d = lq_desc(8, 8, 0);
	struct qt_buf src, dst;
	char c;

	if (!HAS(F_RNR))
		d.rq_entries = 0;
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	ASSERT_EQ(0, qt_buf(&src, a.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, qt_buf(&dst, b.fd, 4096, LQ_ACCESS_ALL));
	memset(src.p, 7, 4096);
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .p = src.p, .len = 4096,
			  .lkey = src.mem.lkey, .raddr = dst.mem.addr,
			  .rkey = dst.mem.rkey));
	ASSERT_EQ(1, send(a.fd, "!", 1, 0));
	ASSERT_EQ(1, recv(b.fd, &c, 1, 0));
	EXPECT_TRUE(qt_all(dst.p, 4096, 7));
	lq_close(&a);
	lq_close(&b);
	qt_unbuf(&src);
	qt_unbuf(&dst);
}

static __u32 random_size(__u64 *state)
{
	__u64 r = qt_random(state);

	return 1 + (r >> 32) % (1U << (r % 16));
}

/* Many messages of random sizes between two processes, in both directions */
TEST_F_TIMEOUT(msg, conversation, 120)
{
	__u64 seed = qt_env("QP_SEED", 1), mine = seed, theirs = seed + 1;
	const int count = HAS(F_LOCAL) ? 5000 : 1000;
	int fd = self->a.fd, bad = 0;
	int sent = 0, received = 0;
	__u32 out = 0;
	pid_t pid;

	/* without RNR NAKs there is nothing to slow down who is faster */
	if (!HAS(F_RNR))
		return;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = self->b.fd;
		mine = seed + 1;
		theirs = seed;
	}
	while (!bad && (sent < count || received < count)) {
		short ev = qt_poll(fd, POLLIN | (sent < count ? POLLOUT : 0),
				   LONG_MS);

		bad = !(ev & (POLLIN | POLLOUT));
		if (sent < count && (ev & POLLOUT)) {
			if (!out) {
				out = random_size(&mine);
				qt_fill(self->tmp, out, sent);
			}
			if (send(fd, self->tmp, out, MSG_DONTWAIT) == out) {
				sent++;
				out = 0;
			} else if (errno != EAGAIN) {
				bad = 2;
			}
		}
		if (ev & POLLIN) {
			unsigned char *in = self->tmp + BUF / 2;
			__u32 want = random_size(&theirs);

			if (recv(fd, in, BUF / 2, 0) != want ||
			    qt_differ(in, want, received) >= 0)
				bad = 3;
			received++;
		}
	}
	if (!pid)
		_exit(bad);
	EXPECT_EQ(0, bad) {
		TH_LOG("seed %llu, sent %d, received %d", seed, sent, received);
	}
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_HARNESS_MAIN
