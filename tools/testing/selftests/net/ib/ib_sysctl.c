// SPDX-License-Identifier: GPL-2.0
/*
 * Settings of a network namespace, net.ib, each of which limits something. Tests
 * have hosts of their own, so that settings and what they count are theirs.
 */
#include <poll.h>
#include <netinet/in.h>

#include "kselftest_harness.h"
#include "ib_conn.h"

#define NET	"net/ib/"

static const struct setting {
	const char *name;
	long val;		/* that it has at first, or 0 */
	long bad[2];
} settings[] = {
	{ NET "mem_max" },
	{ NET "max_sockets", 65536, { -1, 1L << 32 } },
	{ NET "max_orphans", 4096, { -1, 1L << 32 } },
	{ NET "orphan_time", 60000, { -1, 86400001 } },
	{ NET "resolved_time", 10000, { -1, 86400001 } },
	{ NET "unresolved_time", 1000, { -1, 86400001 } },
	{ NET "connect_time", 10000, { 0, 86400001 } },
	{ NET "keepalive_time", 7200000, { 999, 86400001 } },
};

static int set(enum qt_host host, const char *name, long val)
{
	int ret = qt_enter(IB_HOSTS, host) ? -1 : qt_sysctl_write(name, val);

	return qt_enter(IB_HOSTS, QT_CLIENT) ? -1 : ret;
}

/* Lose all that a host sends, or nothing */
static int silence(enum qt_host host, bool yes)
{
	return qt_sh(IB_HOSTS, host, yes ?
		     "tc qdisc add dev veth0 root netem loss 100%% limit 10000" :
		     "tc qdisc del dev veth0 root");
}

/* Each network namespace has its own; they begin as those of the first one are */
TEST(all_settings)
{
	long val, other;

	ASSERT_EQ(0, ib_own_hosts());
	for (int i = 0; i < ARRAY_SIZE(settings); i++) {
		const struct setting *s = &settings[i];

		ASSERT_EQ(0, qt_sysctl_read(s->name, &val)) {
			TH_LOG("%s", s->name);
		}
		EXPECT_LT(0, val);
		EXPECT_EQ(s->val ?: val, val) {
			TH_LOG("%s", s->name);
		}
		for (int j = 0; s->bad[0] && j < 2; j++) {
			EXPECT_EQ(-1, qt_sysctl_write(s->name, s->bad[j])) {
				TH_LOG("%s: %ld", s->name, s->bad[j]);
			}
		}
		EXPECT_EQ(0, qt_sysctl_write(s->name, val + 1));
		ASSERT_EQ(0, qt_enter(IB_HOSTS, QT_SERVER));
		EXPECT_EQ(0, qt_sysctl_read(s->name, &other));
		EXPECT_EQ(val, other);
		ASSERT_EQ(0, qt_enter(IB_HOSTS, QT_CLIENT));
		EXPECT_EQ(0, qt_sysctl_read(s->name, &other));
		EXPECT_EQ(val + 1, other);
	}
}

/* Sockets of all types, those that a listener accepts included */
TEST(max_sockets)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	struct ib_end l;
	int fds[3], a, b;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, set(QT_CLIENT, NET "max_sockets", 3));
	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_IB, types[i], 0);
		EXPECT_LE(0, fds[i]);
	}
	for (int i = 0; i < 3; i++)
		EXPECT_ERRNO(ENOBUFS, socket(AF_IB, types[i], 0));
	close(fds[0]);
	fds[0] = socket(AF_IB, SOCK_SEQPACKET, 0);
	EXPECT_LE(0, fds[0]);
	EXPECT_ERRNO(ENOBUFS, socket(AF_IB, SOCK_SEQPACKET, 0));
	for (int i = 0; i < 3; i++)
		close(fds[i]);

	ASSERT_EQ(0, ib_listen(SOCK_STREAM, 4, &l));
	ASSERT_EQ(0, set(QT_SERVER, NET "max_sockets", 1));
	a = ib_dial(SOCK_STREAM, &l.addr);
	ASSERT_LE(0, a);
	/* it may wait for a while, but nobody accepts it */
	EXPECT_EQ(0, ib_await(l.fd, POLLIN, 1000));
	ASSERT_EQ(0, set(QT_SERVER, NET "max_sockets", 10));
	b = ib_accept(l.fd, NULL);
	EXPECT_LE(0, b) {
		TH_LOG("%s", strerror(errno));
	}
	close(b);
	close(a);
	ib_close(&l);
}

/* The memory of messages of a host, whoever has them */
TEST(mem_max)
{
	static char buf[MTU], big[200000];
	struct ib_end a, b, c, l;
	long max;
	int x, y, n, rcvbuf = 16 << 20;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, qt_sysctl_read(NET "mem_max", &max));
	EXPECT_LT(10 << 20, max);
	ASSERT_EQ(0, ib_bound(4, QT_CLIENT, &a));
	ASSERT_EQ(0, ib_bound(4, QT_SERVER, &b));
	ASSERT_EQ(0, ib_bound(4, QT_SERVER, &c));
	ASSERT_EQ(0, setsockopt(b.fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf,
				sizeof(rcvbuf)));
	ASSERT_EQ(0, set(QT_SERVER, NET "mem_max", 1 << 20));
	for (n = 0; n < 3000; n++)
		ASSERT_EQ(MTU, ib_sendto(a.fd, buf, MTU, 0, &b.addr));
	usleep(1000 * SHORT_MS);
	/* a CPU counts a part for itself */
	EXPECT_LT(0, ib_drops(b.fd));
	EXPECT_GT(3000 - 300, ib_drops(b.fd));
	/* another socket's, too: there is no memory left */
	ASSERT_EQ(1, ib_sendto(a.fd, "x", 1, 0, &c.addr));
	usleep(1000 * SHORT_MS);
	EXPECT_LT(0, ib_drops(c.fd));
	EXPECT_ERRNO(ENOBUFS, ib_sendto(c.fd, buf, MTU, 0, &a.addr));
	/* what is read is free again */
	ib_drain(b.fd);
	EXPECT_TRUE(ib_passes(&a, &c));
	EXPECT_TRUE(ib_passes(&c, &a));

	/* a connection has buffers, and is not made where there are none */
	ASSERT_EQ(0, ib_listen(SOCK_STREAM, 4, &l));
	ASSERT_EQ(0, set(QT_CLIENT, NET "mem_max", 100000));
	x = ib_open(QT_CLIENT, SOCK_STREAM);
	EXPECT_ERRNO(ENOBUFS, ib_connect(x, &l.addr));
	ASSERT_EQ(0, set(QT_CLIENT, NET "mem_max", max));
	EXPECT_EQ(0, ib_connect(x, &l.addr)) {
		TH_LOG("%s", strerror(errno));
	}
	y = ib_accept(l.fd, NULL);
	EXPECT_TRUE(ib_passes_to(x, NULL, y));
	/* nor does it send more than there is memory for */
	ASSERT_EQ(0, set(QT_CLIENT, NET "mem_max", 1000));
	EXPECT_ERRNO(ENOBUFS, send(x, big, sizeof(big), 0));
	ASSERT_EQ(0, set(QT_CLIENT, NET "mem_max", max));
	EXPECT_TRUE(ib_passes_to(x, NULL, y));
	close(x);
	close(y);
	ib_close(&l);
	ib_close(&a);
	ib_close(&b);
	ib_close(&c);
}

/* How long an answer is believed */
TEST(resolved_time)
{
	struct ib_end a, b;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_bound(4, QT_CLIENT, &a));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, set(QT_CLIENT, NET "resolved_time",
				 i ? 60000 : 100));
		ASSERT_EQ(0, ib_bound(4, QT_SERVER, &b));
		EXPECT_TRUE(ib_passes(&a, &b));
		/* a new one has the service ID */
		ib_close(&b);
		ASSERT_EQ(0, ib_bound_at(QT_SERVER, &b));
		usleep(300000);
		if (i) {
			EXPECT_EQ(1, ib_sendto(a.fd, "x", 1, 0, &b.addr));
			EXPECT_TRUE(ib_silent(b.fd));
		} else {
			EXPECT_TRUE(ib_passes(&a, &b));
		}
		ib_close(&b);
	}
	ib_close(&a);
}

/* And how long that there is none */
TEST(unresolved_time)
{
	struct ib_end a, b, other;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_bound(4, QT_CLIENT, &a));
	/* by which the host can answer */
	ASSERT_EQ(0, ib_bound(4, QT_SERVER, &other));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, set(QT_CLIENT, NET "unresolved_time",
				 i ? 60000 : 100));
		b.addr = ib_addr(4, QT_SERVER, ib_port());
		EXPECT_ERRNO(ECONNREFUSED, ib_sendto(a.fd, "x", 1, 0, &b.addr));
		ASSERT_EQ(0, ib_bound_at(QT_SERVER, &b));
		usleep(300000);
		if (i) {
			EXPECT_ERRNO(ECONNREFUSED, ib_sendto(a.fd, "x", 1, 0,
							     &b.addr));
		} else {
			EXPECT_TRUE(ib_passes(&a, &b));
		}
		ib_close(&b);
	}
	ib_close(&a);
	ib_close(&other);
}

/*
 * What is found in one network namespace is of no use in another, where the same
 * name is somebody else's
 */
TEST(same_names)
{
	struct ib_end a[2], b[2], other = { .fd = -1 };
	__u16 port = ib_port();

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ib_own_hosts());
		a[i].addr = ib_addr(4, QT_CLIENT, port);
		b[i].addr = ib_addr(4, QT_SERVER, port);
		/* so that their queue pairs have different numbers */
		if (i)
			ASSERT_EQ(0, ib_bound(4, QT_SERVER, &other));
		ASSERT_EQ(0, ib_bound_at(QT_CLIENT, &a[i]));
		ASSERT_EQ(0, ib_bound_at(QT_SERVER, &b[i]));
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE(ib_passes(&a[i & 1], &b[i & 1]));
		EXPECT_TRUE(ib_passes(&b[i & 1], &a[i & 1]));
	}
	EXPECT_NE(ib_get(b[0].fd, IB_QPN), ib_get(b[1].fd, IB_QPN));
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(ib_silent(a[i].fd));
		EXPECT_TRUE(ib_silent(b[i].fd));
		ib_close(&a[i]);
		ib_close(&b[i]);
	}
	ib_close(&other);
}

TEST(connect_time)
{
	struct ib_end l;
	__u64 start;
	int a, b;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_listen(SOCK_STREAM, 4, &l));
	ASSERT_EQ(0, ib_pair(SOCK_STREAM, &l, &a, &b));
	close(a);
	close(b);
	ASSERT_EQ(0, set(QT_CLIENT, NET "connect_time", 700));
	ASSERT_EQ(0, silence(QT_SERVER, true));
	a = ib_open(QT_CLIENT, SOCK_STREAM);
	start = qt_now_ms();
	EXPECT_ERRNO(ETIMEDOUT, ib_connect(a, &l.addr));
	EXPECT_LE(600, qt_now_ms() - start);
	EXPECT_GE(5000, qt_now_ms() - start);
	close(a);
	ib_close(&l);
}

/* One that is closed and has something to send: may there be any, and how long? */
TEST(orphans)
{
	static char buf[32 << 10];
	int a, b, err;
	struct ib_end l;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_listen(SOCK_STREAM, 4, &l));
	for (int i = 0; i < 3; i++) {
		ssize_t n, sent = 0, got = 0;
		__u64 start;

		ASSERT_EQ(0, set(QT_CLIENT, NET "max_orphans", i == 1 ? 0 : 10));
		ASSERT_EQ(0, set(QT_CLIENT, NET "orphan_time",
				 i == 2 ? 300 : 60000));
		ASSERT_EQ(0, ib_pair(SOCK_STREAM, &l, &a, &b));
		do {
			while ((n = send(a, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
				sent += n;
		} while (qt_poll(a, POLLOUT, 200) & POLLOUT);
		EXPECT_LT(100000, sent);
		start = qt_now_ms();
		close(a);
		if (i == 2)
			usleep(1500000);
		while ((n = recv(b, buf, sizeof(buf), 0)) > 0)
			got += n;
		err = n ? errno : 0;
		EXPECT_EQ(i ? ECONNRESET : 0, err) {
			TH_LOG("%d: %zd of %zd, %llu ms: %s", i, got, sent,
			       qt_now_ms() - start, strerror(err));
		}
		EXPECT_EQ(i ? got : sent, got);
		close(b);
	}
	ib_close(&l);
}

/* A peer that is gone without a word: who keeps asking finds out */
TEST(keepalive)
{
	struct ib_end l;
	int a[3], b[3];
	__u64 start;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_listen(SOCK_SEQPACKET, 4, &l));
	ASSERT_EQ(0, set(QT_CLIENT, NET "keepalive_time", 1000));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, ib_pair(SOCK_SEQPACKET, &l, &a[i], &b[i]));
	/* nobody asks; the usual time; a time of one's own */
	ASSERT_EQ(0, ib_set_sol_socket(a[1], SO_KEEPALIVE, 1));
	EXPECT_EQ(1, ib_sol_socket(a[1], SO_KEEPALIVE));
	EXPECT_EQ(1, ib_get(a[1], IB_KEEPIDLE));
	ASSERT_EQ(0, ib_set_sol_socket(a[2], SO_KEEPALIVE, 1));
	ASSERT_EQ(0, ib_set(a[2], IB_KEEPIDLE, 2));
	EXPECT_EQ(2, ib_get(a[2], IB_KEEPIDLE));
	EXPECT_ERRNO(EINVAL, ib_set(a[2], IB_KEEPIDLE, 0));
	EXPECT_ERRNO(EINVAL, ib_set(a[2], IB_KEEPIDLE, 32768));
	/* those that are asked answer */
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, ib_await(a[i], POLLIN | POLLERR | POLLHUP, 1200));
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(ib_passes_to(a[i], NULL, b[i]));

	ASSERT_EQ(0, silence(QT_SERVER, true));
	start = qt_now_ms();
	for (int i = 2; i > 0; i--) {
		EXPECT_EQ(POLLHUP, ib_await(a[i], POLLHUP, BROKEN_MS));
		EXPECT_EQ(ETIMEDOUT, ib_sol_socket(a[i], SO_ERROR));
	}
	TH_LOG("%llu ms", qt_now_ms() - start);
	EXPECT_EQ(0, ib_await(a[0], POLLHUP, 0));
	for (int i = 0; i < 3; i++) {
		close(a[i]);
		close(b[i]);
	}
	ib_close(&l);
}

TEST_HARNESS_MAIN
