// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams between AF_IB sockets
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "ib_fixture.h"
#include "ib_uring.h"

/*
 * Sending and receiving
 */

/* So many of 64 bytes have room in SO_RCVBUF as it is at first */
#define SHORT_ONES	150

TEST_F(dgram, nowhere)
{
	struct sockaddr_ib nobody = ib_qpn_addr(&self->b.addr, 0xabcdef);

	EXPECT_ERRNO(EDESTADDRREQ, send(self->a.fd, "x", 1, 0));
	EXPECT_ERRNO(EDESTADDRREQ, send(self->a.fd, "x", 0, 0));
	EXPECT_ERRNO(EDESTADDRREQ, write(self->a.fd, "x", 1));
	EXPECT_ERRNO(EOPNOTSUPP, ib_sendto(self->a.fd, "x", 1, MSG_OOB,
					   &self->b.addr));
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	EXPECT_ERRNO(EOPNOTSUPP, send(self->a.fd, "x", 1, MSG_OOB));
	EXPECT_ERRNO(EFAULT, send(self->a.fd, (void *)8, 100, 0));
	/* a number that nobody has: the message is lost */
	EXPECT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &nobody));
	EXPECT_TRUE(ib_silent(self->b.fd));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->b.fd));
}

/* Of each length there is, of pieces into pieces, and no longer one */
TEST_F(dgram, lengths)
{
	static char out[MTU_9000 + 1], in[MTU + 100];
	static const int too_long[] = {
		MTU + 1, MTU + 2, 2 * MTU, MTU_9000 + 1
	};
	int mtu;

	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	mtu = ib_get(self->a.fd, IB_MTU);
	ASSERT_EQ(MTU, mtu);
	EXPECT_EQ(MTU, ib_get(self->b.fd, IB_MTU));
	for (int len = 0; len <= mtu; len++) {
		int third = len / 3;
		struct iovec from[] = {
			{ out, third }, { out + third, 0 },
			{ out + third, len - third },
		};
		struct iovec to[] = {
			{ in, third + 1 },
			{ in + third + 1, sizeof(in) - third - 1 },
		};

		qt_fill(out, len, len);
		memset(in, 0, sizeof(in));
		/* writev() of nothing does nothing */
		ASSERT_EQ(len, len ? writev(self->a.fd, from, 3) :
				     send(self->a.fd, out, 0, 0)) {
			TH_LOG("%d: %s", len, strerror(errno));
		}
		ASSERT_EQ(len, readv(self->b.fd, to, 2)) {
			TH_LOG("%d: %s", len, strerror(errno));
		}
		EXPECT_EQ(-1, qt_differ(in, len, len));
		EXPECT_TRUE(qt_all(in + len, sizeof(in) - len, 0));
	}
	for (int i = 0; i < ARRAY_SIZE(too_long); i++) {
		EXPECT_ERRNO(EMSGSIZE, send(self->a.fd, out, too_long[i], 0));
		EXPECT_ERRNO(EMSGSIZE, ib_sendto(self->a.fd, out, too_long[i],
						 MSG_DONTWAIT, &self->b.addr));
	}
	EXPECT_TRUE(ib_silent(self->b.fd));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->b.fd));
}

#ifndef QP_IB

/* The longest message is as long as the netdevice lets it be */
TEST(mtu)
{
	static char out[MTU_9000 + 1], in[MTU_9000 + 1];
	struct ib_end a, b;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_set_mtu(9000));
	for (int version = 4; version <= 6; version += 2) {
		ASSERT_EQ(0, ib_bound(version, QT_CLIENT, &a));
		ASSERT_EQ(0, ib_bound(version, QT_SERVER, &b));
		ASSERT_EQ(0, ib_connect(a.fd, &b.addr));
		EXPECT_EQ(MTU_9000, ib_get(a.fd, IB_MTU));
		for (int len = MTU_9000 - 3; len <= MTU_9000; len++) {
			qt_fill(out, len, len);
			ASSERT_EQ(len, send(a.fd, out, len, 0)) {
				TH_LOG("%d: %s", len, strerror(errno));
			}
			ASSERT_EQ(len, recv(b.fd, in, sizeof(in), 0));
			EXPECT_EQ(-1, qt_differ(in, len, len));
		}
		EXPECT_ERRNO(EMSGSIZE, send(a.fd, out, MTU_9000 + 1, 0));
		ib_close(&a);
		ib_close(&b);
	}
}

#endif

/* Who sent it can be answered, whether it was bound or not */
TEST_F(dgram, answered)
{
	struct sockaddr_ib from, back, host;
	char c[8];

	host = ib_addr(self->version, QT_CLIENT, 0);
	self->c.fd = ib_socket(QT_CLIENT);
	for (int i = 0; i < 2; i++) {
		int fd = i ? self->c.fd : self->a.fd;

		ASSERT_EQ(3, ib_sendto(fd, "ask", 3, 0, &self->b.addr));
		ASSERT_EQ(3, ib_recvfrom(self->b.fd, c, 8, 0, &from));
		EXPECT_TRUE(ib_from_host(&from, &host));
		EXPECT_EQ(IB_SID_QPN | ib_get(fd, IB_QPN), ib_sid_of(&from));
		ASSERT_EQ(6, ib_sendto(self->b.fd, "answer", 6, 0, &from));
		ASSERT_EQ(6, ib_recvfrom(fd, c, 8, 0, &back));
		EXPECT_TRUE(ib_from_host(&back, &self->b.addr));
		EXPECT_EQ(IB_SID_QPN | ib_get(self->b.fd, IB_QPN),
			  ib_sid_of(&back));
		/* and so on */
		EXPECT_TRUE(ib_passes_to(fd, &back, self->b.fd));
	}
}

/* The sender's address where there is less room for it, or none */
TEST_F(dgram, sender_cut_off)
{
	struct sockaddr_ib from;
	struct sockaddr_storage ss;
	socklen_t len = 10;
	char c;

	memset(&from, 0xaa, sizeof(from));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	ASSERT_EQ(1, recvfrom(self->b.fd, &c, 1, 0, (void *)&from, &len));
	EXPECT_EQ(sizeof(from), len);
	EXPECT_EQ(AF_IB, from.sib_family);
	EXPECT_TRUE(qt_all((char *)&from + 10, sizeof(from) - 10, 0xaa));
	len = 0;
	ASSERT_EQ(1, recvfrom(self->b.fd, &c, 1, 0, (void *)&from, &len));
	EXPECT_EQ(sizeof(from), len);
	len = sizeof(ss);
	ASSERT_EQ(1, recvfrom(self->b.fd, &c, 1, 0, (void *)&ss, &len));
	EXPECT_EQ(sizeof(from), len);
	ASSERT_EQ(1, recvfrom(self->b.fd, &c, 1, 0, NULL, NULL));
	EXPECT_TRUE(ib_silent(self->b.fd));
}

TEST_F(dgram, peek_and_truncate)
{
	struct sockaddr_ib from;
	struct ib_msg m;
	char c[16];

	ASSERT_EQ(6, ib_sendto(self->a.fd, "abcdef", 6, 0, &self->b.addr));
	ASSERT_EQ(3, ib_sendto(self->a.fd, "ghi", 3, 0, &self->b.addr));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(6, ib_recvfrom(self->b.fd, c, 16, MSG_PEEK, &from));
		EXPECT_EQ(0, memcmp(c, "abcdef", 6));
		EXPECT_TRUE(ib_from_host(&from, &self->a.addr));
	}
	ASSERT_EQ(4, recv(self->b.fd, c, 4, MSG_PEEK));
	ASSERT_EQ(6, recv(self->b.fd, c, 4, MSG_PEEK | MSG_TRUNC));
	ASSERT_EQ(6, recv(self->b.fd, NULL, 0, MSG_PEEK | MSG_TRUNC));

	/* what is cut off is lost */
	m.iov.iov_len = 2;
	m.iov.iov_base = m.data;
	m.h = (struct msghdr){ .msg_iov = &m.iov, .msg_iovlen = 1 };
	ASSERT_EQ(2, recvmsg(self->b.fd, &m.h, 0));
	EXPECT_EQ(MSG_TRUNC, m.h.msg_flags);
	EXPECT_EQ(0, memcmp(m.data, "ab", 2));
	m.iov.iov_len = 3;
	ASSERT_EQ(3, recvmsg(self->b.fd, &m.h, 0));
	EXPECT_EQ(0, m.h.msg_flags);
	EXPECT_EQ(0, memcmp(m.data, "ghi", 3));
	ASSERT_EQ(6, ib_sendto(self->a.fd, "abcdef", 6, 0, &self->b.addr));
	ASSERT_EQ(6, recv(self->b.fd, c, 2, MSG_TRUNC));
	EXPECT_TRUE(ib_silent(self->b.fd));
	EXPECT_ERRNO(EAGAIN, recv(self->b.fd, c, 2, MSG_PEEK | MSG_DONTWAIT));
}

TEST_F(dgram, receive_timeout)
{
	__u64 start = qt_now_ms();
	char c;

	ASSERT_EQ(0, ib_set_wait(self->a.fd, SO_RCVTIMEO, 200));
	EXPECT_ERRNO(EAGAIN, recv(self->a.fd, &c, 1, 0));
	EXPECT_LE(190, qt_now_ms() - start);
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	ASSERT_EQ(0, fcntl(self->a.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, recv(self->a.fd, &c, 1, 0));
}

TEST_F(dgram, queue_lengths)
{
	static char buf[MTU];
	__u64 end = qt_now_ms() + IB_WAIT_MS;

	EXPECT_EQ(0, ib_ioctl_int(self->b.fd, FIONREAD));
	EXPECT_EQ(0, ib_ioctl_int(self->b.fd, SIOCOUTQ));
	for (int len = 0; len <= MTU; len += MTU / 4) {
		ASSERT_EQ(len, ib_sendto(self->a.fd, buf, len, 0,
					 &self->b.addr));
	}
	for (int len = 0; len <= MTU; len += MTU / 4) {
		ASSERT_EQ(POLLIN, qt_poll(self->b.fd, POLLIN, IB_WAIT_MS));
		/* the next one's length, however many there are */
		EXPECT_EQ(len, ib_ioctl_int(self->b.fd, SIOCINQ));
		ASSERT_EQ(len, recv(self->b.fd, buf, MTU, 0));
	}
	EXPECT_EQ(0, ib_ioctl_int(self->b.fd, FIONREAD));
	/* what was sent needs no memory any more */
	while (ib_ioctl_int(self->a.fd, SIOCOUTQ) && qt_now_ms() < end)
		usleep(1000);
	EXPECT_EQ(0, ib_ioctl_int(self->a.fd, SIOCOUTQ));
	EXPECT_EQ(0, ib_room_taken(self->b.fd));
}

/*
 * Of a short message as many wait to be read as its own length lets one expect, not
 * that of a packet. Those that are read make room for others.
 */
TEST_F(dgram, short_ones)
{
	char buf[64] = "";

	for (int i = 0; i < 3 * SHORT_ONES / 2; i++) {
		buf[0] = i;
		ASSERT_EQ(64, ib_sendto(self->a.fd, buf, 64, 0, &self->b.addr));
		if (i < SHORT_ONES)
			continue;
		ASSERT_EQ(64, recv(self->b.fd, buf, 64, 0));
		ASSERT_EQ((char)(i - SHORT_ONES), buf[0]);
	}
	for (int i = SHORT_ONES / 2; i < 3 * SHORT_ONES / 2; i++) {
		ASSERT_EQ(64, recv(self->b.fd, buf, 64, 0));
		ASSERT_EQ((char)i, buf[0]);
	}
	EXPECT_EQ(0, ib_room_taken(self->b.fd));
}

TEST_F(dgram, polled)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event level = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET,
				    .data.u32 = 2 };
	struct epoll_event got[4];
	char c;

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b.fd, &level));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->a.fd, &edge));
	EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	EXPECT_EQ(POLLOUT, qt_poll(self->b.fd, POLLIN | POLLOUT, 0));

	/* as long as there is something; when there is something new */
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
		EXPECT_EQ(1, got[0].data.u32);
		EXPECT_EQ(EPOLLIN, got[0].events);
	}
	EXPECT_EQ(POLLIN | POLLOUT, qt_poll(self->b.fd, POLLIN | POLLOUT, 0));
	ASSERT_EQ(1, recv(self->b.fd, &c, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(1, ib_sendto(self->b.fd, "x", 1, 0, &self->a.addr));
		ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
		EXPECT_EQ(2, got[0].data.u32);
		EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	}
	close(ep);
}

static int pipes;

static void count_pipe(int sig)
{
	pipes++;
}

TEST_F(dgram, shut_down)
{
	struct sigaction sa = { .sa_handler = count_pipe };
	struct ib_call call = { .op = IB_RECV, .fd = self->a.fd };
	char c[8];

	ASSERT_EQ(0, sigaction(SIGPIPE, &sa, NULL));
	EXPECT_ERRNO(ENOTCONN, shutdown(self->a.fd, SHUT_RDWR));
	EXPECT_ERRNO(EINVAL, shutdown(self->a.fd, 7));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	EXPECT_ERRNO(EINVAL, shutdown(self->a.fd, -1));

	/* it still receives */
	ASSERT_EQ(0, shutdown(self->a.fd, SHUT_WR));
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, 0));
	EXPECT_ERRNO(EPIPE, ib_sendto(self->a.fd, "x", 1, MSG_NOSIGNAL,
				      &self->b.addr));
	EXPECT_EQ(0, pipes);
	EXPECT_TRUE(ib_passes(&self->b, &self->a));

	/* who waits is told, and so is who comes later */
	ASSERT_EQ(0, ib_start(&call));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, shutdown(self->a.fd, SHUT_RD));
	EXPECT_EQ(0, ib_finish(&call));
	EXPECT_EQ(0, recv(self->a.fd, c, sizeof(c), 0));
	EXPECT_EQ(POLLIN | POLLRDHUP | POLLHUP,
		  qt_poll(self->a.fd, POLLIN | POLLRDHUP, 0));

	/* the other half alone */
	ASSERT_EQ(0, ib_connect(self->b.fd, &self->a.addr));
	ASSERT_EQ(0, shutdown(self->b.fd, SHUT_RD));
	EXPECT_EQ(0, recv(self->b.fd, c, sizeof(c), 0));
	EXPECT_EQ(POLLIN | POLLRDHUP,
		  qt_poll(self->b.fd, POLLIN | POLLRDHUP, 0));
	EXPECT_EQ(1, send(self->b.fd, "x", 1, 0));
}

/*
 * Many messages
 */

#define BATCH	32

/* Messages of a batch are numbered, and of different lengths */
static int batch_len(__u32 n)
{
	return sizeof(n) + n * 7 % (MTU - sizeof(n));
}

struct batch {
	char data[BATCH][MTU];
	struct iovec iov[BATCH];
	struct mmsghdr h[BATCH];
};

static void batch_set(struct batch *b, __u32 first)
{
	memset(b->h, 0, sizeof(b->h));
	for (int i = 0; i < BATCH; i++) {
		__u32 n = first + i;

		qt_fill(b->data[i], batch_len(n), n);
		memcpy(b->data[i], &n, sizeof(n));
		b->iov[i] = (struct iovec){ b->data[i], batch_len(n) };
		b->h[i].msg_hdr.msg_iov = &b->iov[i];
		b->h[i].msg_hdr.msg_iovlen = 1;
	}
}

static bool batch_ok(const struct batch *b, int i, __u32 want)
{
	char copy[MTU];
	__u32 n;

	if (b->h[i].msg_len != batch_len(want))
		return false;
	memcpy(&n, b->data[i], sizeof(n));
	if (n != want)
		return false;
	qt_fill(copy, batch_len(n), n);
	return !memcmp(copy + sizeof(n), b->data[i] + sizeof(n),
		       batch_len(n) - sizeof(n));
}

TEST_F(dgram, in_order)
{
	static struct batch out, in;
	__u32 sent = 0, got = 0;
	int n;

	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	while (sent < 10000) {
		batch_set(&out, sent);
		n = sendmmsg(self->a.fd, out.h, BATCH, 0);
		ASSERT_LT(0, n) {
			TH_LOG("%u: %s", sent, strerror(errno));
		}
		sent += n;
		while (got < sent) {
			batch_set(&in, 0);
			for (int i = 0; i < BATCH; i++)
				in.iov[i].iov_len = MTU;
			n = recvmmsg(self->b.fd, in.h, BATCH, MSG_WAITFORONE,
				     NULL);
			ASSERT_LT(0, n) {
				TH_LOG("%u of %u: %s", got, sent,
				       strerror(errno));
			}
			for (int i = 0; i < n; i++, got++) {
				ASSERT_TRUE(batch_ok(&in, i, got)) {
					TH_LOG("%u: it is %u", got,
					       *(__u32 *)in.data[i]);
				}
			}
		}
	}
	EXPECT_TRUE(ib_silent(self->b.fd));
}

/* The first one that cannot be sent ends a batch */
TEST_F(dgram, batch_ends)
{
	static char big[MTU + 1];
	static struct batch out, in;
	struct timespec ts = { .tv_sec = IB_WAIT_MS / 1000 };

	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	batch_set(&out, 0);
	out.iov[5] = (struct iovec){ big, sizeof(big) };
	ASSERT_EQ(5, sendmmsg(self->a.fd, out.h, BATCH, 0));
	EXPECT_ERRNO(EMSGSIZE, sendmmsg(self->a.fd, out.h + 5, 5, 0));
	batch_set(&in, 100);
	for (int i = 0; i < BATCH; i++)
		in.iov[i].iov_len = MTU;
	ASSERT_EQ(5, recvmmsg(self->b.fd, in.h, 5, 0, &ts));
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(batch_ok(&in, i, i));
	EXPECT_ERRNO(EAGAIN, recvmmsg(self->b.fd, in.h, 5, MSG_DONTWAIT, NULL));
}

#define SENDERS	5
#define ROUNDS	200

struct numbered {
	__u32 sender, round;
};

/* Ask and be answered. The last sender is on the server itself. */
static int ask(DGRAM *self, __u32 sender)
{
	int fd = ib_socket(sender + 1 < SENDERS ? QT_CLIENT : QT_SERVER);
	struct numbered n, back;

	if (fd < 0 || ib_connect(fd, &self->b.addr))
		return 1;
	for (__u32 i = 0; i < ROUNDS; i++) {
		n = (struct numbered){ sender, i };
		if (send(fd, &n, sizeof(n), 0) != sizeof(n))
			return 2;
		if (recv(fd, &back, sizeof(back), 0) != sizeof(back))
			return 3;
		if (memcmp(&n, &back, sizeof(n)))
			return 4;
	}
	return 0;
}

TEST_F(dgram, several_senders)
{
	__u32 next[SENDERS] = {};
	pid_t pid[SENDERS];

	for (int i = 0; i < SENDERS; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			_exit(ask(self, i));
	}
	for (int i = 0; i < SENDERS * ROUNDS; i++) {
		struct sockaddr_ib from;
		struct numbered n;

		ASSERT_EQ(sizeof(n), ib_recvfrom(self->b.fd, &n, sizeof(n), 0,
						 &from)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		ASSERT_GT(SENDERS, n.sender);
		EXPECT_EQ(next[n.sender]++, n.round);
		ASSERT_EQ(sizeof(n), ib_sendto(self->b.fd, &n, sizeof(n), 0,
					       &from));
	}
	for (int i = 0; i < SENDERS; i++)
		EXPECT_EQ(0, qt_reap(pid[i]));
}

/* More sockets on a host, each with a service ID and a number of its own */
TEST_F(dgram, many_sockets)
{
	struct ib_end e[48];

	for (int i = 0; i < ARRAY_SIZE(e); i++) {
		e[i].addr = ib_addr(self->version, QT_SERVER, 0);
		ASSERT_EQ(0, ib_bound_at(QT_SERVER, &e[i])) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		ASSERT_EQ(0, ib_getsockname(e[i].fd, &e[i].addr));
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < ARRAY_SIZE(e); i++) {
			ASSERT_TRUE(ib_passes(&self->a, &e[i])) {
				TH_LOG("%d: %s", i, strerror(errno));
			}
		}
	for (int i = 0; i < ARRAY_SIZE(e); i++)
		ib_close(&e[i]);
}

/*
 * Limits
 */

/*
 * What has no room is dropped and counted, and neither the sender nor others
 * at the same device suffer
 */
TEST_F(dgram, receive_overflow)
{
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	const __u32 total = 200, *counted;
	static char buf[1000];
	static struct ib_msg m;
	__u32 n = 0, i;

	ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->c));
	ASSERT_EQ(0, ib_set_sol_socket(self->c.fd, SO_RCVBUF, 4096));
	ASSERT_EQ(0, ib_set_sol_socket(self->c.fd, SO_RXQ_OVFL, 1));
	for (i = 0; i < total; i++) {
		memcpy(buf, &i, sizeof(i));
		ASSERT_EQ(sizeof(buf), ib_sendto(self->a.fd, buf, sizeof(buf),
						 0, &self->c.addr));
		ASSERT_TRUE(ib_passes(&self->a, &self->b)) {
			TH_LOG("%u: %s", i, strerror(errno));
		}
	}
	/* those that had room are the first ones */
	usleep(2000 * SHORT_MS);
	while (n + ib_drops(self->c.fd) < total && qt_now_ms() < end) {
		if (!(qt_poll(self->c.fd, POLLIN, SHORT_MS) & POLLIN))
			continue;
		ASSERT_EQ(sizeof(buf), recv(self->c.fd, buf, sizeof(buf), 0));
		memcpy(&i, buf, sizeof(i));
		EXPECT_EQ(n, i);
		n++;
	}
	while (recv(self->c.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		n++;
	EXPECT_LT(0, n);
	EXPECT_LT(0, ib_drops(self->c.fd));
	EXPECT_EQ(total, n + ib_drops(self->c.fd));
	EXPECT_EQ(0, ib_sol_socket(self->a.fd, SO_ERROR));

	/* the next one says so */
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->c.addr));
	ASSERT_EQ(1, ib_recvmsg(self->c.fd, &m, 0));
	counted = ib_cmsg(&m, SOL_SOCKET, SO_RXQ_OVFL, sizeof(*counted));
	ASSERT_NE(NULL, counted);
	EXPECT_EQ(total - n, *counted);
	EXPECT_EQ(0, ib_drops(self->b.fd));
}

/* Messages that wait for an address take up the send buffer */
TEST_F(dgram, send_buffer)
{
	struct sockaddr_ib absent = ib_absent(&self->b.addr, 97);
	static char buf[MTU];
	int n = 0;

	/* It is bound to nothing, so that it may have anybody to send to */
	ib_close(&self->a);
	self->a.fd = ib_socket(QT_CLIENT);
	ASSERT_EQ(0, ib_set_sol_socket(self->a.fd, SO_SNDBUF, 4096));
	while (n < 1000 && ib_sendto(self->a.fd, buf, MTU, MSG_DONTWAIT,
				     &absent) == MTU)
		n++;
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LT(0, n);
	EXPECT_GT(1000, n);
	EXPECT_LT(0, ib_ioctl_int(self->a.fd, SIOCOUTQ));
	EXPECT_EQ(0, qt_poll(self->a.fd, POLLOUT, 0));
	/* who waits, waits for room; also to others */
	ASSERT_EQ(0, ib_set_wait(self->a.fd, SO_SNDTIMEO, 200));
	EXPECT_ERRNO(EAGAIN, ib_sendto(self->a.fd, buf, MTU, 0, &absent));
	/* an error, which later messages may make anew; then all is as before */
	EXPECT_EQ(EHOSTUNREACH, ib_error(self->a.fd, GIVE_UP_MS));
	for (int i = 0; i < 1000 && ib_ioctl_int(self->a.fd, SIOCOUTQ); i++)
		usleep(10000);
	EXPECT_EQ(0, ib_ioctl_int(self->a.fd, SIOCOUTQ));
	ib_sol_socket(self->a.fd, SO_ERROR);
	EXPECT_EQ(POLLOUT, qt_poll(self->a.fd, POLLOUT, IB_WAIT_MS));
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
}

/* A receiver that is slower than the sender loses messages, and no more */
TEST_F(dgram, flood)
{
	static char buf[MTU];
	__u32 last = 0, n;
	int got = 0;

	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	for (n = 1; n <= 5000; n++) {
		memcpy(buf, &n, sizeof(n));
		ASSERT_EQ(MTU, send(self->a.fd, buf, MTU, 0)) {
			TH_LOG("%u: %s", n, strerror(errno));
		}
	}
	while (qt_poll(self->b.fd, POLLIN, 200) & POLLIN) {
		ASSERT_EQ(MTU, recv(self->b.fd, buf, MTU, 0));
		memcpy(&n, buf, sizeof(n));
		ASSERT_LT(last, n);
		last = n;
		got++;
	}
	EXPECT_LT(0, got);
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->b.fd));
}

/*
 * io_uring
 */

/* Sockets that nothing was sent to before take a batch each */
TEST_F(dgram, first_burst)
{
	static struct batch out, in;
	struct ib_end e[8];

	for (int i = 0; i < ARRAY_SIZE(e); i++) {
		ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &e[i])) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	for (int i = 0; i < ARRAY_SIZE(e); i++) {
		ASSERT_EQ(0, ib_connect(self->a.fd, &e[i].addr));
		batch_set(&out, 100 * i);
		ASSERT_EQ(BATCH, sendmmsg(self->a.fd, out.h, BATCH, 0));
	}
	for (int i = 0; i < ARRAY_SIZE(e); i++) {
		struct timespec ts = { .tv_sec = IB_WAIT_MS / 1000 };

		batch_set(&in, 5000);
		for (int j = 0; j < BATCH; j++)
			in.iov[j].iov_len = MTU;
		ASSERT_EQ(BATCH, recvmmsg(e[i].fd, in.h, BATCH, 0, &ts)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		for (int j = 0; j < BATCH; j++)
			EXPECT_TRUE(batch_ok(&in, j, 100 * i + j));
		ib_close(&e[i]);
	}
}

/* Send to who does not read, for as long as somebody is there to see it */
static int send_on(const struct sockaddr_ib *to)
{
	static struct batch out;
	int fd = ib_socket(QT_CLIENT);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	batch_set(&out, 0);
	if (ib_connect(fd, to))
		return 1;
	while (sendmmsg(fd, out.h, BATCH, 0) > 0)
		;
	return 1;
}

/* Who does not read loses messages, and nobody else does */
TEST_F(dgram, others_are_heard)
{
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	pid_t pid;

	ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->c));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(send_on(&self->c.addr));
	while (!ib_drops(self->c.fd) && qt_now_ms() < end)
		usleep(1000);
	EXPECT_LT(0, ib_drops(self->c.fd));
	for (int i = 0; i < 300; i++) {
		ASSERT_TRUE(ib_passes(&self->a, &self->b)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	kill(pid, SIGKILL);
	qt_reap(pid);
}

TEST_F(dgram, uring)
{
	static char big[MTU + 1];
	static struct ib_msg m;
	struct iovec iov = { "message", 7 };
	struct msghdr msg = {
		.msg_name = &self->b.addr, .msg_namelen = sizeof(self->b.addr),
		.msg_iov = &iov, .msg_iovlen = 1,
	};
	struct uring u;
	char c[8];

	ASSERT_EQ(0, ur_open(&u)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	/* there already, and waited for */
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SEND, self->a.fd, "abc", 3));
	EXPECT_EQ(3, ur_result(&u));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECV, self->b.fd, c, 8));
	EXPECT_EQ(3, ur_result(&u));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECV, self->b.fd, c, 8));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(5, send(self->a.fd, "later", 5, 0));
	EXPECT_EQ(5, ur_result(&u));
	EXPECT_EQ(0, memcmp(c, "later", 5));

	/* with addresses */
	m.iov = (struct iovec){ m.data, sizeof(m.data) };
	m.h = (struct msghdr){
		.msg_name = &m.from, .msg_namelen = sizeof(m.from),
		.msg_iov = &m.iov, .msg_iovlen = 1,
	};
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECVMSG, self->b.fd, &m.h, 1));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SENDMSG, self->a.fd, &msg, 1));
	EXPECT_EQ(7, ur_result(&u));
	EXPECT_EQ(7, ur_result(&u));
	EXPECT_TRUE(ib_from_host(&m.from, &self->a.addr));
	EXPECT_EQ(sizeof(m.from), m.h.msg_namelen);

	/* errors */
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SEND, self->a.fd, big, MTU + 1));
	EXPECT_EQ(-EMSGSIZE, ur_result(&u));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SEND, self->b.fd, "x", 1));
	EXPECT_EQ(-EDESTADDRREQ, ur_result(&u));

	/* a name that must be resolved, also of nobody */
	self->c.fd = ib_socket(QT_CLIENT);
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SENDMSG, self->c.fd, &msg, 1));
	EXPECT_EQ(7, ur_result(&u));
	EXPECT_EQ(7, recv(self->b.fd, c, 8, 0));
	close(u.fd);
}

/*
 * Queue pairs and programs of librdmacm have the same service IDs
 */

static int queue_pair_at(const struct sockaddr_ib *addr)
{
	struct qp_desc d = lq_desc(0, 0, 0);
	struct backend be = be_gid4;
	struct lq q;

	be.hosts = IB_HOSTS;
	d.type = QP_UD;
	d.addr = (unsigned long)addr;
	d.addrlen = sizeof(*addr);
	if (qt_open_server(&be, &q, 0, &d))
		return -1;
	ib_set_wait(q.fd, SO_RCVTIMEO, IB_WAIT_MS);
	return q.fd;
}

TEST_F(dgram, queue_pair)
{
	struct sockaddr_ib at = ib_addr(self->version, QT_SERVER, ib_port());
	const struct ib_info *info;
	static struct ib_msg m;
	struct iovec iov = { "imm", 3 };
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(__u32))];
	} ctl = { .h = { CMSG_LEN(sizeof(__u32)), SOL_QP, QP_CMSG_IMM } };
	struct msghdr msg = {
		.msg_name = &self->a.addr, .msg_namelen = sizeof(self->a.addr),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl, .msg_controllen = sizeof(ctl),
	};
	int fd;

	EXPECT_ERRNO(EADDRINUSE, queue_pair_at(&self->b.addr));
	fd = queue_pair_at(&at);
	ASSERT_LE(0, fd) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_SERVER, &at));
	EXPECT_TRUE(ib_passes_to(self->a.fd, &at, fd));

	ASSERT_EQ(0, ib_set(self->a.fd, IB_RECVINFO, 1));
	*(__u32 *)CMSG_DATA(&ctl.h) = htonl(0x1234567);
	ASSERT_EQ(3, sendmsg(fd, &msg, 0));
	ASSERT_EQ(3, ib_recvmsg(self->a.fd, &m, 0));
	EXPECT_EQ(0, memcmp(m.data, "imm", 3));
	EXPECT_TRUE(ib_from_host(&m.from, &self->b.addr));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(IB_INFO_IMM | IB_INFO_GRH, info->flags);
	EXPECT_EQ(htonl(0x1234567), info->imm_data);
	EXPECT_TRUE(ib_passes_to(self->a.fd, &m.from, fd));
	close(fd);
}

#define UDADDY_PORT	7174

/* udaddy(1) asks, its number is immediate data, and waits for an answer */
TEST_F(dgram, librdmacm)
{
	char addr[INET6_ADDRSTRLEN], own[INET6_ADDRSTRLEN];
	const struct ib_info *info;
	static struct ib_msg m;
	bool ib = !self->version;
	pid_t pid;

	if (access("/usr/bin/udaddy", X_OK))
		SKIP(return, "no udaddy(1)");
	self->c.addr = ib_addr(self->version, QT_SERVER, UDADDY_PORT);
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &self->c));
	ASSERT_EQ(0, ib_set(self->c.fd, IB_RECVINFO, 1));
	if (self->version == 4)
		inet_ntop(AF_INET, &self->c.addr.sib_addr.sib_raw[12], addr,
			  sizeof(addr));
	else
		inet_ntop(AF_INET6, &self->c.addr.sib_addr, addr, sizeof(addr));
	inet_ntop(AF_INET6, &self->a.addr.sib_addr, own, sizeof(own));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(qt_sh(IB_HOSTS, QT_CLIENT, "exec timeout 20 udaddy %s%s -s %s "
			    "-C 1 -S 100 >/dev/null 2>&1",
			    ib ? "-f gid -b " : "", ib ? own : "", addr));
	ASSERT_EQ(100, ib_recvmsg(self->c.fd, &m, 0)) {
		TH_LOG("%s", strerror(errno));
	}
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	/* without a GRH it is by its LID that it is answered */
	EXPECT_EQ(IB_INFO_IMM | (ib ? 0 : IB_INFO_GRH), info->flags);
	EXPECT_EQ(ib ? 0xffffff00 : ntohl(m.from.sib_addr.sib_addr32[2]),
		  ntohl(m.from.sib_addr.sib_addr32[2]));
	EXPECT_EQ(ntohl(info->imm_data), info->src_qpn);
	EXPECT_EQ(100, ib_sendto(self->c.fd, m.data, 100, 0, &m.from));
	EXPECT_EQ(0, qt_reap(pid));
}

/*
 * /proc/net/ib
 */

TEST_F(dgram, proc)
{
	struct ib_line line;
	int here = ib_proc_lines(QT_CLIENT), there = ib_proc_lines(QT_SERVER);
	int fd = ib_socket(QT_CLIENT);
	char state[16], text[80];
	static char buf[100];

	ASSERT_LE(1, here);
	EXPECT_LE(1, there);
	EXPECT_EQ(here + 1, ib_proc_lines(QT_CLIENT));
	EXPECT_EQ(there, ib_proc_lines(QT_SERVER));
	ASSERT_EQ(1, ib_proc_line(fd, &line));
	close(fd);
	EXPECT_EQ(here, ib_proc_lines(QT_CLIENT));

	/* each host's own */
	EXPECT_EQ(0, ib_proc_line(self->b.fd, &line));
	ASSERT_EQ(1, ib_proc_line(self->a.fd, &line));
	EXPECT_EQ(0, line.uid);
	EXPECT_EQ(0, line.drops);
	strcpy(state, line.state);
	strcpy(text, line.peer);
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	ASSERT_EQ(1, ib_proc_line(self->a.fd, &line));
	EXPECT_NE(0, strcmp(state, line.state));
	EXPECT_NE(0, strcmp(text, line.peer));

	/* what waits, and what was dropped */
	strcpy(text, line.rx);
	ASSERT_EQ(0, ib_set_sol_socket(self->a.fd, SO_RCVBUF, 1));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(100, ib_sendto(self->b.fd, buf, 100, 0,
					 &self->a.addr));
	}
	for (int i = 0; i < 100 && !ib_drops(self->a.fd); i++)
		usleep(10000);
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(1, ib_proc_line(self->a.fd, &line));
	EXPECT_LT(0, ib_drops(self->a.fd));
	EXPECT_EQ(ib_drops(self->a.fd), line.drops);
	EXPECT_NE(0, strcmp(text, line.rx));
	EXPECT_EQ(0, qt_sh(IB_HOSTS, QT_CLIENT,
			   "grep -q '^IB ' /proc/net/protocols"));
}

/*
 * What breaks
 */

/* Killed while they are busy; the others go on, and nothing is left */
TEST_F(dgram, killed)
{
	int here = ib_proc_lines(QT_CLIENT), there = ib_proc_lines(QT_SERVER);

	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			static char buf[MTU];
			struct ib_end e;

			if (ib_bound(self->version, i & 1 ? QT_SERVER :
				     QT_CLIENT, &e))
				_exit(1);
			for (;;) {
				ib_sendto(e.fd, buf, MTU, 0, &self->b.addr);
				ib_sendto(e.fd, buf, 9, MSG_DONTWAIT, &e.addr);
				recv(e.fd, buf, MTU, MSG_DONTWAIT);
			}
		}
		usleep(1000 * (50 + 20 * i));
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		ib_drain(self->b.fd);
		EXPECT_TRUE(ib_passes(&self->a, &self->b));
	}
	EXPECT_EQ(here, ib_proc_lines(QT_CLIENT));
	EXPECT_EQ(there, ib_proc_lines(QT_SERVER));
}

/* Hosts that end while their sockets are busy */
TEST_F(dgram, hosts_end)
{
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			static char buf[MTU];
			struct ib_end a, b;

			if (ib_own_hosts() ||
			    ib_bound(self->version, QT_CLIENT, &a) ||
			    ib_bound(self->version, QT_SERVER, &b) ||
			    ib_join(&a, self->version, 9, 0))
				_exit(1);
			for (int j = 0; j < 200; j++)
				ib_sendto(a.fd, buf, MTU, MSG_DONTWAIT,
					  &b.addr);
			_exit(0);
		}
		EXPECT_EQ(0, qt_reap(pid));
	}
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
}

/* The device or its netdevice goes while calls wait: they end by themselves */
TEST_F(dgram, device_deleted)
{
	struct ib_call connect = { .op = IB_CONNECT }, recv = { .op = IB_RECV };

	ib_close(&self->a);
	ib_close(&self->b);
	ASSERT_EQ(0, ib_own_hosts());
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ib_bound(self->version, QT_CLIENT, &self->a));
		ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->b));
		EXPECT_TRUE(ib_passes(&self->a, &self->b));
		ASSERT_EQ(0, ib_join(&self->a, self->version, 10, 0));
		connect.fd = ib_socket(QT_CLIENT);
		connect.to = ib_absent(&self->b.addr, 96);
		ASSERT_EQ(0, ib_start(&connect));
		recv.fd = self->a.fd;
		ASSERT_EQ(0, ib_set_wait(recv.fd, SO_RCVTIMEO, 1000));
		ASSERT_EQ(0, ib_start(&recv));
		usleep(1000 * SHORT_MS);
		ASSERT_EQ(0, i ? qt_sh(IB_HOSTS, QT_CLIENT,
				       "ip link del veth0") :
				 qt_device_delete(IB_HOSTS, QT_CLIENT));
		ib_sendto(self->a.fd, "x", 1, MSG_DONTWAIT, &self->b.addr);
		ib_sendto(self->b.fd, "x", 1, MSG_DONTWAIT, &self->a.addr);
		EXPECT_NE(0, ib_finish(&connect));
		ib_finish(&recv);
		close(connect.fd);
		ib_close(&self->a);
		ib_close(&self->b);
		if (!i)
			ASSERT_EQ(0, qt_device_add(IB_HOSTS, QT_CLIENT));
	}
}

/* What a call says to nonsense: an error of those that are described */
static bool described(int err)
{
	static const int errors[] = {
		EINVAL, EAFNOSUPPORT, EADDRNOTAVAIL, EADDRINUSE, EDESTADDRREQ,
		EISCONN, ENOTCONN, EMSGSIZE, EAGAIN, EOPNOTSUPP, ENOPROTOOPT,
		EPERM, EACCES, ENODEV, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
		ETIMEDOUT, EFAULT, ENOBUFS,
	};

	for (int i = 0; i < ARRAY_SIZE(errors); i++)
		if (err == errors[i])
			return true;
	return false;
}

static void random_bytes(void *p, size_t len, __u64 *seed)
{
	unsigned char *c = p;

	while (len--)
		*c++ = qt_random(seed);
}

/* Something of an address is right, so that it is looked at closer */
static void random_addr(struct sockaddr_storage *ss,
			const struct sockaddr_ib *right, __u64 *seed)
{
	struct sockaddr_ib *a = (void *)ss;
	__u64 bits = qt_random(seed);

	random_bytes(ss, sizeof(*ss), seed);
	if (bits & 7)
		a->sib_family = AF_IB;
	if (bits & 0x18)
		a->sib_pkey = htons(0xffff);
	if (bits & 0x20)
		a->sib_addr = right->sib_addr;
	if (bits & 0x40)
		a->sib_sid = htobe64((bits & 0x80 ? IB_UDP_SPACE : IB_SID_QPN) |
				     (be64toh(a->sib_sid) & 0xffff));
	if (bits & 0x100)
		a->sib_scope_id = 0;
}

static int nonsense(int fd, const struct sockaddr_ib *right, __u64 *seed)
{
	struct sockaddr_storage ss;
	socklen_t len = qt_random(seed) & 3 ? sizeof(struct sockaddr_ib) :
					      qt_random(seed) % 140;
	int opt = qt_random(seed) % 16, size = qt_random(seed) % 64;
	union {
		struct cmsghdr h;
		char bytes[128];
	} junk;
	struct iovec iov = { junk.bytes, qt_random(seed) % 128 };
	struct msghdr msg = {
		.msg_name = &ss, .msg_namelen = len,
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &junk, .msg_controllen = size,
	};

	random_addr(&ss, right, seed);
	random_bytes(&junk, sizeof(junk), seed);
	switch (qt_random(seed) % 7) {
	case 0:
		return bind(fd, (void *)&ss, len);
	case 1:
		return connect(fd, (void *)&ss, len);
	case 2:
		return sendto(fd, junk.bytes, size, 0, (void *)&ss, len);
	case 3:
		junk.h.cmsg_len = CMSG_LEN(qt_random(seed) % 32);
		junk.h.cmsg_level = SOL_IB;
		junk.h.cmsg_type = opt;
		memcpy(&ss, right, sizeof(*right));
		return sendmsg(fd, &msg, 0);
	case 4:
		return setsockopt(fd, SOL_IB, opt, &junk, size);
	case 5:
		len = size;
		return getsockopt(fd, SOL_IB, opt, &junk, &len);
	default:
		return recvmsg(fd, &msg, qt_random(seed) & 0x7fff0fff);
	}
}

TEST_F(dgram, nonsense)
{
	__u64 seed = qt_env("SEED", 1), was;

	for (int i = 0; i < 60; i++) {
		int fd = ib_socket_nonblock(QT_CLIENT);

		ASSERT_LE(0, fd);
		for (int j = 0; j < 50; j++) {
			was = seed;
			if (nonsense(fd, &self->b.addr, &seed) < 0)
				EXPECT_TRUE(described(errno)) {
					TH_LOG("SEED=%#llx: %s", was,
					       strerror(errno));
				}
		}
		close(fd);
	}
	/* some of it may have been sent well */
	ib_drain(self->b.fd);
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
}

TEST_HARNESS_MAIN
