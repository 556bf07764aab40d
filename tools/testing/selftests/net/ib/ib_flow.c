// SPDX-License-Identifier: GPL-2.0
/*
 * Data over connections of AF_IB sockets: that all of it arrives, in order, as
 * it was, and with its boundaries if it has some; and what stops it. Whatever is
 * sent is made of numbers, and is compared with them.
 *
 * IB_MIB sets how much goes over a lossy link.
 */
#include <fcntl.h>
#include <signal.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "ib_conn_fixture.h"

/* What only one of both types has */
CONN_FIXTURE(seqpacket)
SEQPACKET_VARIANTS(seqpacket)
CONN_FIXTURE(stream)
STREAM_VARIANTS(stream)

#ifdef QP_RXE
#define LOSSY_MIB	1	/* 2 s for each MiB, at best */
#else
#define LOSSY_MIB	4
#endif

/* What cannot be sent waits: more than that a connection does not take in */
#define BOUND		(64 << 20)

#define EXPECT_FINE(call) do {						\
	int _wrong = (call);						\
									\
	EXPECT_EQ(IB_FINE, _wrong) {					\
		TH_LOG("%s: %s, %s", #call, ib_wrongs[_wrong],		\
		       strerror(errno));				\
	}								\
} while (0)

enum conn_hosts { SAME_HOSTS, NEW_HOSTS };

/* Both ends anew, between the same hosts, or hosts of the test's own */
static int connect_again(CONN *self, enum conn_hosts hosts)
{
	close(self->a);
	close(self->b);
	self->a = -1;
	self->b = -1;
	if (hosts == NEW_HOSTS) {
		ib_close(&self->l);
		if (ib_own_hosts() ||
		    ib_listen(self->type, self->version, &self->l))
			return -1;
	}
	return ib_pair(self->type, &self->l, &self->a, &self->b);
}

/*
 * Lengths
 */

static const size_t lengths[] = {
	1, 2, 3, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097, 8191, 8192,
	65535, 65536, 65537, 1048575, 1048576, 1048577, IB_MAX_MESSAGE - 1,
	IB_MAX_MESSAGE,
};

static int send_lengths(int fd)
{
	for (int i = 0; i < ARRAY_SIZE(lengths); i++)
		if (ib_send_msg(fd, lengths[i], i))
			return 1 + i;
	return 0;
}

/* Each is more, or less, than there is room for at either end */
TEST_F(conn, lengths)
{
	for (int back = 0; back < 2; back++) {
		int from = back ? self->b : self->a;
		int to = back ? self->a : self->b;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			_exit(send_lengths(from));
		for (int i = 0; i < ARRAY_SIZE(lengths); i++) {
			int wrong = ib_recv_msg(to, self->type, lengths[i], i);

			ASSERT_EQ(IB_FINE, wrong) {
				TH_LOG("%zu: %s, %s", lengths[i],
				       ib_wrongs[wrong], strerror(errno));
			}
		}
		EXPECT_EQ(0, qt_reap(pid));
	}
}

TEST_F(seqpacket, too_long)
{
	static char big[IB_MAX_MESSAGE + 1];
	struct iovec iov[2] = {
		{ big, IB_MAX_MESSAGE }, { big, IB_MAX_MESSAGE },
	};

	EXPECT_ERRNO(EMSGSIZE, send(self->a, big, sizeof(big), 0));
	EXPECT_ERRNO(EMSGSIZE, send(self->a, big, sizeof(big), MSG_DONTWAIT));
	EXPECT_ERRNO(EMSGSIZE, writev(self->a, iov, 2));
	EXPECT_ERRNO(EFAULT, send(self->a, (void *)8, 100, 0));
	/* none of it was sent */
	EXPECT_EQ(0, qt_poll(self->b, POLLIN, SHORT_MS));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/* A message of nothing is one, and is not the end */
TEST_F(seqpacket, empty)
{
	int flags;
	char c[8];

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, send(self->a, "", 0, 0));
	ASSERT_EQ(1, send(self->a, "x", 1, 0));
	ASSERT_EQ(0, send(self->a, "", 0, MSG_DONTWAIT));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(POLLIN, qt_poll(self->b, POLLIN, IB_WAIT_MS));
		EXPECT_EQ(0, ib_recv(self->b, c, sizeof(c), MSG_PEEK, &flags));
		EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
		EXPECT_EQ(0, ib_recv(self->b, c, sizeof(c), 0, &flags));
		EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
	}
	EXPECT_EQ(1, ib_recv(self->b, c, sizeof(c), 0, &flags));
	EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
	EXPECT_EQ(0, ib_at_end(self->b));
	/* the buffer is of no size, too */
	ASSERT_EQ(0, send(self->a, "", 0, 0));
	EXPECT_EQ(0, ib_recv(self->b, c, 0, 0, &flags));
	EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(1, ib_at_end(self->b));
}

TEST_F(stream, empty)
{
	EXPECT_EQ(0, send(self->a, "", 0, 0));
	EXPECT_EQ(0, qt_poll(self->b, POLLIN, SHORT_MS));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/* Memory that is not there, in the midst of what is */
TEST_F(conn, bad_memory)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	EXPECT_ERRNO(EFAULT, send(self->a, page + 4096, 1, 0));
	if (self->type == SOCK_SEQPACKET) {
		EXPECT_ERRNO(EFAULT, send(self->a, page + 4000, 200, 0));
		EXPECT_EQ(0, qt_poll(self->b, POLLIN, SHORT_MS));
	}
	ASSERT_EQ(8, send(self->a, "12345678", 8, 0));
	EXPECT_ERRNO(EFAULT, recv(self->b, page + 4096, 8, 0));
	if (self->type == SOCK_STREAM)
		EXPECT_EQ(8, recv(self->b, page, 8, 0));
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

/*
 * Boundaries
 */

#define MESSAGES	2000
#define LONGEST		3000

static size_t random_length(__u64 *seed)
{
	return qt_random(seed) % (LONGEST + 1);
}

static int send_random(int fd, __u64 seed)
{
	for (int i = 0; i < MESSAGES; i++)
		if (ib_send_msg(fd, random_length(&seed), i))
			return 1;
	return 0;
}

TEST_F(conn, many_lengths)
{
	__u64 seed = 5;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(send_random(self->a, seed));
	for (int i = 0; i < MESSAGES; i++) {
		size_t len = random_length(&seed);
		int wrong = ib_recv_msg(self->b, self->type, len, i);

		ASSERT_EQ(IB_FINE, wrong) {
			TH_LOG("message %d, length %zu: %s, %s", i, len,
			       ib_wrongs[wrong], strerror(errno));
		}
	}
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/* Bytes come as they were sent, whatever the calls are like */
TEST_F(stream, other_pieces)
{
	static char out[200000], in[sizeof(out)];
	__u64 seed = 9;
	size_t got = 0;
	pid_t pid;

	qt_fill(out, sizeof(out), 1);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (size_t off = 0, n; off < sizeof(out); off += n) {
			n = qt_random(&seed) % 5000;
			if (n > sizeof(out) - off)
				n = sizeof(out) - off;
			if (ib_send_all(self->a, out + off, n))
				_exit(1);
		}
		_exit(0);
	}
	while (got < sizeof(in)) {
		size_t left = sizeof(in) - got, n = qt_random(&seed) % 7000;
		struct iovec iov[2];
		ssize_t ret;

		n = n < left ? n : left;
		iov[0] = (struct iovec){ in + got, n / 3 };
		iov[1] = (struct iovec){ in + got + n / 3, n - n / 3 };
		ret = readv(self->b, iov, 2);
		ASSERT_TRUE(n ? ret > 0 : ret == 0) {
			TH_LOG("%zu: %s", got, strerror(errno));
		}
		got += ret;
	}
	EXPECT_EQ(-1, qt_differ(in, sizeof(in), 1));
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_F(seqpacket, peek_and_truncate)
{
	int flags;
	char c[16];

	ASSERT_EQ(6, send(self->a, "abcdef", 6, 0));
	ASSERT_EQ(3, send(self->a, "ghi", 3, 0));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(6, ib_recv(self->b, c, 16, MSG_PEEK, &flags));
		EXPECT_EQ(0, memcmp(c, "abcdef", 6));
		EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
	}
	ASSERT_EQ(4, ib_recv(self->b, c, 4, MSG_PEEK, &flags));
	EXPECT_EQ(MSG_TRUNC, flags & MSG_TRUNC);
	ASSERT_EQ(6, recv(self->b, c, 4, MSG_PEEK | MSG_TRUNC));
	ASSERT_EQ(6, recv(self->b, NULL, 0, MSG_PEEK | MSG_TRUNC));

	/* what is cut off is lost, and nothing of the next one */
	ASSERT_EQ(2, ib_recv(self->b, c, 2, 0, &flags));
	EXPECT_EQ(MSG_TRUNC, flags & MSG_TRUNC);
	EXPECT_EQ(0, memcmp(c, "ab", 2));
	ASSERT_EQ(3, ib_recv(self->b, c, 3, 0, &flags));
	EXPECT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
	EXPECT_EQ(0, memcmp(c, "ghi", 3));
	ASSERT_EQ(6, send(self->a, "abcdef", 6, 0));
	ASSERT_EQ(6, ib_recv(self->b, c, 2, MSG_TRUNC, &flags));
	EXPECT_EQ(MSG_TRUNC, flags & MSG_TRUNC);
	ASSERT_EQ(6, send(self->a, "abcdef", 6, 0));
	ASSERT_EQ(0, ib_recv(self->b, c, 0, 0, &flags));
	EXPECT_EQ(MSG_TRUNC, flags & MSG_TRUNC);

	/* one message, however much is waited for */
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(3, send(self->a, "def", 3, 0));
	ASSERT_EQ(3, ib_recv(self->b, c, 16, MSG_WAITALL, &flags));
	ASSERT_EQ(3, ib_recv(self->b, c, 16, 0, &flags));
	EXPECT_EQ(0, memcmp(c, "def", 3));
	EXPECT_ERRNO(EAGAIN, recv(self->b, c, 2, MSG_PEEK | MSG_DONTWAIT));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/* Of a message that does not fit anywhere at once there is a rest, too */
TEST_F(seqpacket, truncate_long)
{
	static char c[100000];
	int flags;

	for (int i = 0; i < 3; i++) {
		size_t len = i == 2 ? 0 : i * sizeof(c);
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			_exit(ib_send_msg(self->a, 4 << 20, 1) ?:
			      ib_send_msg(self->a, 3, 2));
		ASSERT_EQ(i == 2 ? 4 << 20 : len,
			  ib_recv(self->b, c, len, i == 2 ? MSG_TRUNC : 0,
				  &flags)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_EQ(MSG_TRUNC, flags & MSG_TRUNC);
		EXPECT_EQ(-1, qt_differ(c, len, 1));
		EXPECT_FINE(ib_recv_msg(self->b, self->type, 3, 2));
		EXPECT_EQ(0, qt_reap(pid));
	}
}

TEST_F(stream, peek_and_wait_for_all)
{
	static char big[1 << 20];
	char c[16];
	pid_t pid;

	ASSERT_EQ(6, send(self->a, "abcdef", 6, 0));
	ASSERT_EQ(3, send(self->a, "ghi", 3, 0));
	ASSERT_EQ(9, recv(self->b, c, 9, MSG_PEEK | MSG_WAITALL));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(9, recv(self->b, c, 16, MSG_PEEK));
		EXPECT_EQ(0, memcmp(c, "abcdefghi", 9));
		ASSERT_EQ(4, recv(self->b, c, 4, MSG_PEEK));
	}
	/* thrown away, as TCP does */
	ASSERT_EQ(4, recv(self->b, NULL, 4, MSG_TRUNC));
	ASSERT_EQ(2, recv(self->b, c, 2, 0));
	EXPECT_EQ(0, memcmp(c, "ef", 2));
	ASSERT_EQ(3, recv(self->b, c, 16, 0));
	EXPECT_ERRNO(EAGAIN, recv(self->b, c, 2, MSG_PEEK | MSG_DONTWAIT));

	/* all of what comes in pieces */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		qt_fill(big, sizeof(big), 1);
		for (int i = 0; i < 16; i++) {
			if (ib_send_all(self->a, big + i * sizeof(big) / 16,
					sizeof(big) / 16))
				_exit(1);
			usleep(5000);
		}
		_exit(send(self->a, "end", 3, 0) != 3);
	}
	ASSERT_EQ(sizeof(big), recv(self->b, big, sizeof(big), MSG_WAITALL));
	EXPECT_EQ(-1, qt_differ(big, sizeof(big), 1));
	EXPECT_EQ(0, qt_reap(pid));

	/* what there is, if there is an end */
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(3, recv(self->b, c, 16, MSG_WAITALL));
	EXPECT_EQ(0, recv(self->b, c, 16, MSG_WAITALL));
}

TEST_F(stream, low_water)
{
	char c[128];

	ASSERT_EQ(0, ib_set_sol_socket(self->b, SO_RCVLOWAT, 100));
	EXPECT_EQ(100, ib_sol_socket(self->b, SO_RCVLOWAT));
	ASSERT_EQ(60, send(self->a, c, 60, 0));
	EXPECT_EQ(0, POLLIN & qt_poll(self->b, POLLIN, 2 * SHORT_MS));
	ASSERT_EQ(0, ib_set_wait(self->b, SO_RCVTIMEO, 200));
	/* too few for as long as one waits */
	EXPECT_EQ(60, recv(self->b, c, sizeof(c), 0));
	ASSERT_EQ(0, ib_set_wait(self->b, SO_RCVTIMEO, IB_WAIT_MS));
	ASSERT_EQ(60, send(self->a, c, 60, 0));
	ASSERT_EQ(60, send(self->a, c, 60, 0));
	EXPECT_EQ(POLLIN, POLLIN & qt_poll(self->b, POLLIN, IB_WAIT_MS));
	EXPECT_EQ(120, recv(self->b, c, sizeof(c), 0));
	/* less is enough, if there is no more */
	ASSERT_EQ(10, send(self->a, c, 10, 0));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(POLLIN, POLLIN & qt_poll(self->b, POLLIN, IB_WAIT_MS));
	EXPECT_EQ(10, recv(self->b, c, sizeof(c), 0));
}

TEST_F(stream, queue_lengths)
{
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	static char buf[1000];
	ssize_t total;

	EXPECT_EQ(0, ib_ioctl_int(self->b, SIOCINQ));
	EXPECT_EQ(0, ib_ioctl_int(self->a, SIOCOUTQ));
	ASSERT_EQ(700, send(self->a, buf, 700, 0));
	ASSERT_EQ(300, send(self->a, buf, 300, 0));
	while (ib_ioctl_int(self->b, FIONREAD) != 1000 && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(1000, ib_ioctl_int(self->b, SIOCINQ));
	ASSERT_EQ(400, recv(self->b, buf, 400, 0));
	EXPECT_EQ(600, ib_ioctl_int(self->b, SIOCINQ));
	ASSERT_EQ(600, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, ib_ioctl_int(self->b, SIOCINQ));
	while (ib_ioctl_int(self->a, SIOCOUTQ) && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(0, ib_ioctl_int(self->a, SIOCOUTQ));

	/* what waits for the reader is counted at one end or the other */
	total = ib_fill_up(self->a, self->type, 1000, 0);
	ASSERT_LT(0, total);
	EXPECT_LT(0, ib_ioctl_int(self->b, SIOCINQ));
	EXPECT_LT(0, ib_ioctl_int(self->a, SIOCOUTQ));
	EXPECT_LE(total, ib_ioctl_int(self->b, SIOCINQ) +
			 ib_ioctl_int(self->a, SIOCOUTQ));
	EXPECT_FINE(ib_take(self->b, self->type, 1000, 0, total));
	end = qt_now_ms() + IB_WAIT_MS;
	while (ib_ioctl_int(self->a, SIOCOUTQ) && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(0, ib_ioctl_int(self->a, SIOCOUTQ));
	/* one that listens has no such thing */
	EXPECT_EQ(-1, ib_ioctl_int(self->l.fd, SIOCINQ));
}

TEST_F(conn, out_of_band)
{
	char c;

	EXPECT_ERRNO(EOPNOTSUPP, send(self->a, "x", 1, MSG_OOB));
	EXPECT_ERRNO(EOPNOTSUPP, recv(self->b, &c, 1, MSG_OOB));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

TEST_F(conn, timestamp)
{
	struct timeval before, after;
	const struct timeval *at;
	static struct ib_msg m;

	ASSERT_EQ(0, ib_set_sol_socket(self->b, SO_TIMESTAMP, 1));
	/* the kernel may take a moment to look at its clock for each packet */
	usleep(1000 * SHORT_MS);
	gettimeofday(&before, NULL);
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(3, ib_recvmsg(self->b, &m, 0));
	gettimeofday(&after, NULL);
	at = ib_cmsg(&m, SOL_SOCKET, SO_TIMESTAMP, sizeof(*at));
	ASSERT_NE(NULL, at);
	EXPECT_TRUE(timercmp(&before, at, <=) && timercmp(at, &after, <=)) {
		TH_LOG("%ld, %ld, %ld", before.tv_sec, at->tv_sec,
		       after.tv_sec);
	}
}

TEST_F(conn, receive_timeout)
{
	__u64 start = qt_now_ms();
	char c;

	ASSERT_EQ(0, ib_set_wait(self->a, SO_RCVTIMEO, 200));
	EXPECT_ERRNO(EAGAIN, recv(self->a, &c, 1, 0));
	EXPECT_LE(190, qt_now_ms() - start);
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	EXPECT_ERRNO(EAGAIN, recv(self->a, &c, 1, MSG_DONTWAIT));
	ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, recv(self->a, &c, 1, 0));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/*
 * Flow control
 */

/* Who does not read stops who sends; nothing is lost of it */
TEST_F(conn, stopped)
{
	static const size_t lens[] = { 1, 100, 1000, 30000 };
	static char buf[30000];

	for (int i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		size_t len = lens[i / 2];
		int from = i & 1 ? self->b : self->a;
		int to = i & 1 ? self->a : self->b;
		ssize_t total = ib_fill_up(from, self->type, len, i);

		ASSERT_LT(0, total) {
			TH_LOG("%zu: %s", len, strerror(errno));
		}
		EXPECT_GT(BOUND, total);
		EXPECT_ERRNO(EAGAIN, send(from, buf, len, MSG_DONTWAIT));
		EXPECT_EQ(0, qt_poll(from, POLLOUT, 0));
		EXPECT_EQ(0, POLLOUT & qt_poll(from, POLLOUT | POLLIN, 0));
		/* the other direction is not stopped */
		EXPECT_TRUE(ib_passes_to(to, NULL, from));
		EXPECT_FINE(ib_take(to, self->type, len, i, total));
		EXPECT_EQ(0, qt_poll(to, POLLIN, SHORT_MS));
		EXPECT_EQ(POLLOUT, qt_poll(from, POLLOUT, IB_WAIT_MS));
		EXPECT_TRUE(ib_passes_to(from, NULL, to));
	}
}

/* There is room as soon as something is read, and not only when all is */
TEST_F(conn, goes_on)
{
	static char buf[1000];
	ssize_t total = ib_fill_up(self->a, self->type, sizeof(buf), 0);
	int taken = 0;

	ASSERT_LT(0, total);
	while (!(qt_poll(self->a, POLLOUT, 0) & POLLOUT)) {
		ASSERT_GT(total, taken * sizeof(buf));
		EXPECT_FINE(ib_recv_msg(self->b, self->type,
					sizeof(buf), taken));
		taken++;
		if (taken * sizeof(buf) > total / 2)
			usleep(10000);
	}
	/* with epoll, and by who waits in a call */
	for (int round = 0; round < 2; round++) {
		struct ib_call call = { .op = IB_SEND, .fd = self->a };
		struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
		int ep = epoll_create1(EPOLL_CLOEXEC);

		ASSERT_EQ(0, connect_again(self, SAME_HOSTS));
		total = ib_fill_up(self->a, self->type, sizeof(buf), 0);
		ASSERT_LT(0, total);
		call.fd = self->a;
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->a, &e));
		EXPECT_EQ(0, epoll_wait(ep, &e, 1, SHORT_MS));
		if (round)
			ASSERT_EQ(0, ib_start(&call));
		EXPECT_FINE(ib_take(self->b, self->type, sizeof(buf), 0,
				    total));
		if (round) {
			EXPECT_EQ(0, ib_finish(&call));
			EXPECT_LT(0, recv(self->b, buf, sizeof(buf), 0));
		} else {
			EXPECT_EQ(1, epoll_wait(ep, &e, 1, IB_WAIT_MS));
		}
		close(ep);
	}
}

/* It does not matter for how long */
TEST_F(conn, stopped_long)
{
	ssize_t total = ib_fill_up(self->a, self->type, 1000, 0);

	ASSERT_LT(0, total);
	usleep(6000 * 1000);
	EXPECT_EQ(0, qt_poll(self->a, POLLOUT, 0));
	EXPECT_FINE(ib_take(self->b, self->type, 1000, 0, total));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

TEST_F(conn, send_timeout)
{
	ssize_t total = ib_fill_up(self->a, self->type, 1000, 0);
	__u64 start = qt_now_ms();
	static char buf[1000];

	ASSERT_LT(0, total);
	ASSERT_EQ(0, ib_set_wait(self->a, SO_SNDTIMEO, 200));
	EXPECT_ERRNO(EAGAIN, send(self->a, buf, sizeof(buf), 0));
	EXPECT_LE(190, qt_now_ms() - start);
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, send(self->a, buf, sizeof(buf), 0));
	EXPECT_FINE(ib_take(self->b, self->type, 1000, 0, total));
}

/* Both ends have sent all that there is room for, and then they read */
TEST_F(conn, both_stopped)
{
	for (int i = 0; i < 3; i++) {
		size_t len = 10 + 3000 * i;
		ssize_t a = ib_fill_up(self->a, self->type, len, 1);
		ssize_t b = ib_fill_up(self->b, self->type, len, 2);

		ASSERT_LT(0, a);
		ASSERT_LT(0, b);
		EXPECT_FINE(ib_take(self->b, self->type, len, 1, a));
		EXPECT_FINE(ib_take(self->a, self->type, len, 2, b));
	}
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

/* Buffers of any size will do; small ones stop earlier */
TEST_F(conn, buffers)
{
	static const int sizes[] = { 1, 1000, 20000, 1000000 };
	ssize_t last = 0, total;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fds[] = { self->a, self->b };

		for (int j = 0; j < 2; j++) {
			ASSERT_EQ(0, ib_set_sol_socket(fds[j], SO_SNDBUF,
						       sizes[i]));
			ASSERT_EQ(0, ib_set_sol_socket(fds[j], SO_RCVBUF,
						       sizes[i]));
		}
		total = ib_fill_up(self->a, self->type, 500, 0);
		ASSERT_LT(0, total) {
			TH_LOG("SO_SNDBUF %d: %s", sizes[i], strerror(errno));
		}
		EXPECT_FINE(ib_take(self->b, self->type, 500, 0, total));
		TH_LOG("%d: %zd bytes", sizes[i], total);
		if (i == ARRAY_SIZE(sizes) - 1)
			EXPECT_LT(last, total);
		last = total;
		ASSERT_EQ(0, connect_again(self, SAME_HOSTS));
	}
}

/* A message goes whole or not at all */
TEST_F(seqpacket, all_or_nothing)
{
	static char buf[IB_MAX_MESSAGE];
	int size;

	ASSERT_EQ(0, ib_set_sol_socket(self->a, SO_SNDBUF, 65536));
	size = ib_sol_socket(self->a, SO_SNDBUF);
	ASSERT_LE(65536, size);
	/* up to SO_SNDBUF it fits where nothing is; a longer one never does */
	EXPECT_EQ(65536, send(self->a, buf, 65536, MSG_DONTWAIT));
	EXPECT_EQ(65536, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_ERRNO(EMSGSIZE, send(self->a, buf, 2 * size, MSG_DONTWAIT));
	EXPECT_ERRNO(EMSGSIZE, send(self->a, buf, sizeof(buf), MSG_DONTWAIT));
	ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EMSGSIZE, send(self->a, buf, sizeof(buf), 0));
	EXPECT_EQ(0, qt_poll(self->b, POLLIN, SHORT_MS));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/*
 * Many at once
 */

#define BOTH_MIB	8
#define CHUNK		(32 << 10)

struct flow {
	int fd;
	int type;
	int out, in;		/* the seeds */
	int chunks;
};

/*
 * Send and receive so many, as there is room and something there. A process of
 * its own: 0, or what was wrong.
 */
static int flow(const struct flow *f)
{
	static char out[CHUNK], in[CHUNK + 1];
	size_t off = 0, got = 0;
	int sent = 0, taken = 0;
	ssize_t n;

	while (sent < f->chunks || taken < f->chunks) {
		short want = (sent < f->chunks ? POLLOUT : 0) |
			     (taken < f->chunks ? POLLIN : 0);
		int events = qt_poll(f->fd, want, LONG_MS);

		if (events <= 0)
			return 1;
		if (events & POLLIN) {
			n = recv(f->fd, in + got, CHUNK + 1 - got - (f->type ==
				 SOCK_STREAM), MSG_DONTWAIT);
			if (n <= 0)
				return 2;
			got += n;
			if (f->type != SOCK_STREAM && got != CHUNK)
				return 3;
			if (got == CHUNK) {
				if (qt_differ(in, CHUNK, f->in + taken++) >= 0)
					return 4;
				got = 0;
			}
		}
		if (events & POLLOUT) {
			if (!off)
				qt_fill(out, CHUNK, f->out + sent);
			n = send(f->fd, out + off, CHUNK - off,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				return 5;
			if (n < 0)
				usleep(1000);
			off += n < 0 ? 0 : n;
			if (f->type != SOCK_STREAM && off && off != CHUNK)
				return 6;
			if (off == CHUNK) {
				off = 0;
				sent++;
			}
		}
	}
	return 0;
}

static pid_t start_flow(int fd, int other, int type, int out, int in, int mib)
{
	struct flow f = { fd, type, out, in, (mib << 20) / CHUNK };
	pid_t pid = fork();

	if (pid)
		return pid;
	close(other);
	_exit(flow(&f));
}

/* Wait for both, and say when they are stuck */
#define EXPECT_FLOWS(pid) do {						\
	EXPECT_EQ(0, qt_reap((pid)[0]));				\
	EXPECT_EQ(0, qt_reap((pid)[1]));				\
} while (0)

TEST_F(conn, both_directions)
{
	pid_t pid[2];

	pid[0] = start_flow(self->a, self->b, self->type, 1, 1000, BOTH_MIB);
	pid[1] = start_flow(self->b, self->a, self->type, 1000, 1, BOTH_MIB);
	EXPECT_FLOWS(pid);
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

#define CONNECTIONS	32

/* Those who connect one after the other are served together */
static int serve(int listener, int n)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd;
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
	char buf[4096];
	ssize_t len;

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e))
		return 1;
	while (n) {
		if (epoll_wait(ep, &e, 1, LONG_MS) != 1)
			return 2;
		if (e.data.fd == listener) {
			fd = ib_accept(listener, NULL);
			e = (struct epoll_event){ .events = EPOLLIN,
						  .data.fd = fd };
			if (fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
				return 3;
			continue;
		}
		len = recv(e.data.fd, buf, sizeof(buf), 0);
		if (len < 0)
			return 4;
		if (len) {
			if (ib_send_all(e.data.fd, buf, len))
				return 5;
			continue;
		}
		close(e.data.fd);
		n--;
	}
	return 0;
}

TEST_F(conn, many_connections)
{
	int there = ib_sockets(), fd[CONNECTIONS];
	pid_t pid;

	/* They come faster than they are accepted */
	ASSERT_EQ(0, listen(self->l.fd, CONNECTIONS));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		close(self->b);
		_exit(serve(self->l.fd, CONNECTIONS));
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		fd[i] = ib_open(QT_CLIENT, self->type);
		ASSERT_EQ(0, ib_connect(fd[i], &self->l.addr)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < CONNECTIONS; i++)
			EXPECT_FINE(ib_send_msg(fd[i], 1 + 29 * i, i));
		for (int i = CONNECTIONS; i--;)
			EXPECT_FINE(ib_recv_msg(fd[i], self->type, 1 + 29 * i,
						i));
	}
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_EQ(there, ib_settle(there));
}

#define WRITERS	4
#define ROUNDS	100

struct numbered {
	__u32 writer, round;
	char rest[2000];
};

/* Several processes send on a socket: each message is one nevertheless */
TEST_F(seqpacket, several_writers)
{
	__u32 next[WRITERS] = {};
	pid_t pid[WRITERS];
	struct numbered n;
	int flags;

	for (__u32 i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i])
			continue;
		for (n.round = 0; n.round < ROUNDS; n.round++) {
			n.writer = i;
			qt_fill(n.rest, sizeof(n.rest), i + n.round);
			if (send(self->a, &n, sizeof(n), 0) != sizeof(n))
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < WRITERS * ROUNDS; i++) {
		ASSERT_EQ(sizeof(n), ib_recv(self->b, &n, sizeof(n), 0,
					     &flags)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		ASSERT_EQ(MSG_EOR, flags & (MSG_EOR | MSG_TRUNC));
		ASSERT_GT(WRITERS, n.writer);
		ASSERT_EQ(next[n.writer]++, n.round);
		ASSERT_EQ(-1, qt_differ(n.rest, sizeof(n.rest),
					n.writer + n.round));
	}
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EQ(0, qt_reap(pid[i]));
}

/* Several messages of a call */
TEST_F(seqpacket, batches)
{
	static char data[16][3000], in[16][3000];
	struct mmsghdr out[16] = {}, got[16] = {};
	struct iovec iov[16], to[16];
	int n;

	for (int i = 0; i < 16; i++) {
		qt_fill(data[i], 100 * i, i);
		iov[i] = (struct iovec){ data[i], 100 * i };
		to[i] = (struct iovec){ in[i], sizeof(in[i]) };
		out[i].msg_hdr.msg_iov = &iov[i];
		out[i].msg_hdr.msg_iovlen = 1;
		got[i].msg_hdr.msg_iov = &to[i];
		got[i].msg_hdr.msg_iovlen = 1;
	}
	for (int sent = 0; sent < 16; sent += n) {
		n = sendmmsg(self->a, out + sent, 16 - sent, 0);
		ASSERT_LT(0, n);
	}
	for (int i = 0; i < 16; i += n) {
		n = recvmmsg(self->b, got + i, 16 - i, MSG_WAITFORONE, NULL);
		ASSERT_LT(0, n);
	}
	for (int i = 0; i < 16; i++) {
		EXPECT_EQ(100 * i, got[i].msg_len);
		EXPECT_EQ(MSG_EOR, got[i].msg_hdr.msg_flags &
				   (MSG_EOR | MSG_TRUNC));
		EXPECT_EQ(-1, qt_differ(in[i], 100 * i, i));
	}
}

/*
 * splice() and sendfile()
 */

#define FILE_LEN	300000

static int a_file(char *contents)
{
	int fd = memfd_create("flow", 0);

	qt_fill(contents, FILE_LEN, 3);
	return fd >= 0 && write(fd, contents, FILE_LEN) == FILE_LEN ? fd : -1;
}

TEST_F(stream, spliced)
{
	static char buf[FILE_LEN];
	size_t moved = 0;
	off_t off = 0;
	int file = a_file(buf), p[2], q[2];
	ssize_t n;
	pid_t pid;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, pipe(q));
	/* a file to a socket; a file by a pipe to a socket */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		while (off < FILE_LEN)
			if (sendfile(self->a, file, &off, FILE_LEN - off) <= 0)
				_exit(1);
		for (off = 0; off < FILE_LEN;) {
			n = splice(file, &off, p[1], NULL, 65536, 0);
			if (n <= 0)
				_exit(2);
			while (n > 0) {
				ssize_t m = splice(p[0], NULL, self->a, NULL,
						   n, SPLICE_F_MORE);

				if (m <= 0)
					_exit(3);
				n -= m;
			}
		}
		_exit(shutdown(self->a, SHUT_WR) ? 4 : 0);
	}
	ASSERT_EQ(0, ib_recv_all(self->b, buf, FILE_LEN));
	EXPECT_EQ(-1, qt_differ(buf, FILE_LEN, 3));
	/* a socket to a pipe */
	memset(buf, 0, sizeof(buf));
	while (moved < FILE_LEN) {
		n = splice(self->b, NULL, q[1], NULL, FILE_LEN - moved, 0);
		ASSERT_LT(0, n) {
			TH_LOG("%zu: %s", moved, strerror(errno));
		}
		ASSERT_EQ(n, read(q[0], buf + moved, n));
		moved += n;
	}
	EXPECT_EQ(-1, qt_differ(buf, FILE_LEN, 3));
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_EQ(0, splice(self->b, NULL, q[1], NULL, 1, 0));
	EXPECT_ERRNO(EAGAIN, splice(self->a, NULL, q[1], NULL, 1,
				    SPLICE_F_NONBLOCK));
}

/*
 * A link that loses packets
 */

TEST_F_TIMEOUT(conn, loss, 600)
{
	int mib = qt_env("IB_MIB", qt_debug_kernel() ? 1 : LOSSY_MIB);
	__u64 start;
	pid_t pid[2];

	ASSERT_EQ(0, connect_again(self, NEW_HOSTS));
	for (int host = QT_CLIENT; host <= QT_SERVER; host++)
		ASSERT_EQ(0, qt_sh(IB_HOSTS, host, "tc qdisc add dev veth0 "
				   "root netem loss 2%% limit 10000"));
	/* connections are made of packets as well */
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, connect_again(self, SAME_HOSTS)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
	}
	start = qt_now_ms();
	pid[0] = start_flow(self->a, self->b, self->type, 1, 1000, mib);
	pid[1] = start_flow(self->b, self->a, self->type, 1000, 1, mib);
	EXPECT_FLOWS(pid);
	TH_LOG("%d MiB each way in %llu ms", mib, qt_now_ms() - start);
	/* and so is their end */
	ASSERT_LT(0, ib_fill_up(self->a, self->type, 1000, 0));
	close(self->b);
	self->b = -1;
	EXPECT_EQ(POLLHUP, ib_await(self->a, POLLHUP, BROKEN_MS));
}

/*
 * What breaks
 */

/*
 * Take what comes, whole, until nothing does any more: an error, 0 at the end,
 * or what was wrong as a negative number. A stream may end within a message.
 */
static int take_rest(int fd, int type, size_t len, int first, int ms)
{
	int wrong;

	ib_set_wait(fd, SO_RCVTIMEO, ms);
	do {
		wrong = ib_recv_msg(fd, type, len, first++);
	} while (!wrong);
	if (wrong == IB_END)
		return 0;
	return wrong == IB_ERROR ? errno : -wrong;
}

static void send_for_ever(int fd, size_t len)
{
	for (int i = 0; !ib_send_msg(fd, len, i); i++)
		;
}

/*
 * The sender is killed: what it sent is there, and no part of a message. The
 * receiver is killed: the sender hears of it.
 */
TEST_F(conn, killed)
{
	int there = ib_sockets();

	for (int i = 0; i < 8; i++) {
		size_t len = i & 1 ? 3000 : 70000;
		bool sender = i & 2;
		int err;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			close(sender ? self->b : self->a);
			if (sender)
				send_for_ever(self->a, len);
			else
				take_rest(self->b, self->type, len, 0,
					  LONG_MS);
			_exit(1);
		}
		if (sender)
			close(self->a);
		else
			close(self->b);
		if (!sender) {
			/* it sends on until it cannot */
			pid_t killer = fork();

			ASSERT_LE(0, killer);
			if (!killer) {
				close(self->a);
				usleep(1000 * (50 + 20 * i));
				kill(pid, SIGKILL);
				_exit(0);
			}
			send_for_ever(self->a, len);
			EXPECT_TRUE(errno == ECONNRESET || errno == EPIPE) {
				TH_LOG("%s", strerror(errno));
			}
			EXPECT_EQ(POLLHUP, ib_await(self->a, POLLHUP,
						    IB_WAIT_MS));
			EXPECT_EQ(0, qt_reap(killer));
		} else {
			usleep(1000 * (50 + 20 * i));
			kill(pid, SIGKILL);
			err = take_rest(self->b, self->type, len, 0,
					IB_WAIT_MS);
			/* a message that was sent in part may end it badly */
			EXPECT_TRUE(!err || (len > 3000 &&
					     self->type == SOCK_SEQPACKET &&
					     err == ECONNRESET)) {
				TH_LOG("%d: %s", err, strerror(err));
			}
		}
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		if (sender)
			self->a = -1;
		else
			self->b = -1;
		ASSERT_EQ(0, connect_again(self, SAME_HOSTS));
	}
	EXPECT_EQ(there, ib_settle(there));
}

/* Errors that say that it broke */
static bool broke(int err)
{
	return err == ECONNRESET || err == ETIMEDOUT || err == ENETDOWN ||
	       err == EPIPE;
}

static const char *const breaks[] = { "device", "netdevice", "link" };

/* Break it: the RDMA device, its netdevice, or the link below both of them */
static int break_it(int how, enum qt_host host)
{
	if (how == 0)
		return qt_device_delete(IB_HOSTS, host);
	return qt_sh(IB_HOSTS, host, how == 1 ? "ip link del veth0" :
						"ip link set veth0 down");
}

/*
 * The device, its netdevice or the link goes while both ends are busy: they
 * hear of it in time, and not as an end like any other
 */
TEST_F_TIMEOUT(conn, broken, 400)
{
	__u64 start;
	pid_t pid;
	int err;

	for (int i = 0; i < 6; i++) {
		int how = i / 2;
		enum qt_host host = i & 1 ? QT_SERVER : QT_CLIENT;

		ASSERT_EQ(0, connect_again(self, how || !i ? NEW_HOSTS :
							    SAME_HOSTS)) {
			TH_LOG("%s: %s", breaks[how], strerror(errno));
		}
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			close(self->b);
			ib_set_wait(self->a, SO_SNDTIMEO, BROKEN_MS);
			send_for_ever(self->a, 3000);
			_exit(broke(errno) ? 0 : errno);
		}
		for (int j = 0; j < 20; j++)
			EXPECT_FINE(ib_recv_msg(self->b, self->type, 3000, j));
		start = qt_now_ms();
		ASSERT_EQ(0, break_it(how, host));
		if (how < 2) {
			err = take_rest(self->b, self->type, 3000, 20,
					BROKEN_MS);
			EXPECT_TRUE(err > 0 && broke(err)) {
				TH_LOG("%s, host %d: %s", breaks[how], host,
				       strerror(err));
			}
			EXPECT_EQ(POLLHUP, ib_await(self->b, POLLHUP, 0));
		}
		/* without a link who does not send may not know */
		err = qt_reap(pid);
		EXPECT_EQ(0, err) {
			TH_LOG("%s, host %d, sender: %s", breaks[how], host,
			       strerror(err));
		}
		EXPECT_GE(BROKEN_MS, qt_now_ms() - start);
		TH_LOG("%s, host %d: %llu ms", breaks[how], host,
		       qt_now_ms() - start);
		if (!how)
			ASSERT_EQ(0, qt_device_add(IB_HOSTS, host));
	}
}

/* Those that only wait for something hear of it, too */
TEST_F_TIMEOUT(conn, broken_idle, 200)
{
	struct ib_call calls[3];

	for (int how = 0; how < 2; how++) {
		ASSERT_EQ(0, connect_again(self, NEW_HOSTS));
		self->c = ib_open(QT_CLIENT, self->type);
		calls[0] = (struct ib_call){ .op = IB_RECV, .fd = self->a };
		calls[1] = (struct ib_call){ .op = IB_RECV, .fd = self->b };
		calls[2] = (struct ib_call){ .op = IB_CONNECT, .fd = self->c };
		calls[2].to = self->l.addr;
		calls[2].to.sib_addr.sib_raw[15] = 96;
		for (int i = 0; i < 3; i++) {
			ib_set_wait(calls[i].fd, SO_RCVTIMEO, BROKEN_MS);
			ib_set_wait(calls[i].fd, SO_SNDTIMEO, BROKEN_MS);
			ASSERT_EQ(0, ib_start(&calls[i]));
		}
		usleep(1000 * SHORT_MS);
		ASSERT_EQ(0, break_it(how, QT_CLIENT));
		for (int i = 0; i < 3; i++) {
			int err = ib_finish(&calls[i]);

			EXPECT_TRUE(broke(err) || (i == 2 && err)) {
				TH_LOG("%s, call %d: %s", breaks[how], i,
				       strerror(err));
			}
			EXPECT_NE(EAGAIN, err);
		}
		EXPECT_EQ(POLLHUP, ib_await(self->a, POLLHUP, IB_WAIT_MS));
		EXPECT_EQ(POLLHUP, ib_await(self->b, POLLHUP, IB_WAIT_MS));
		close(self->c);
		self->c = -1;
	}
}

/* Hosts end with all that goes on between them */
TEST_F(conn, hosts_end)
{
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			pid_t children[2];

			if (connect_again(self, NEW_HOSTS))
				_exit(1);
			children[0] = start_flow(self->a, self->b, self->type,
						 1, 1000, 1000);
			children[1] = start_flow(self->b, self->a, self->type,
						 1000, 1, 1000);
			usleep(1000 * (100 + 100 * i));
			kill(children[0], SIGKILL);
			kill(children[1], SIGKILL);
			_exit(0);
		}
		EXPECT_EQ(0, qt_reap(pid));
	}
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

TEST_HARNESS_MAIN
