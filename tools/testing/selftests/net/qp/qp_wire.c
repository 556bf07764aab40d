// SPDX-License-Identifier: GPL-2.0
/*
 * What only queue pairs on a network have: addresses and devices, and hosts,
 * links and devices that fail. QP_MIB sets how much goes over a lossy link (what
 * suits the backend, or 4 in a kernel that checks itself).
 *
 * Each test has hosts of its own, for it to break.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define SQ		16
#define BUF		(1024 * 1024U)
#define SIGNALED	QP_SQE_SIGNALED

/* Whatever breaks, that is when it is over, ms */
#define SOON_MS		10000

FIXTURE(wire)
{
	const struct backend *be;
	struct qt_hosts *hosts;
	struct lq a, b;			/* a on the client */
	struct qt_buf abuf, bbuf;
};

#define WIRE	FIXTURE_DATA(wire)

FIXTURE_VARIANT(wire)
{
	const struct backend *be;
};

VARIANTS(wire)

FIXTURE_SETUP(wire)
{
	self->be = variant->be;
	self->hosts = variant->be->hosts;
	self->a.fd = -1;
	self->b.fd = -1;
	ASSERT_EQ(0, qt_hosts(self->hosts));
}

FIXTURE_TEARDOWN(wire)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
}

static int pair(WIRE *self)
{
	struct qp_desc d = lq_desc(SQ, SQ, 4 * SQ);

	return qt_pair(self->be, &self->a, &self->b, 0, &d) ||
	       qt_buf(&self->abuf, self->a.fd, BUF, LQ_ACCESS_ALL) ||
	       qt_buf(&self->bbuf, self->b.fd, BUF, LQ_ACCESS_ALL);
}

static void unpair(WIRE *self)
{
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
}

#define PAIR() ASSERT_EQ(0, pair(self)) {				\
	TH_LOG("%s", strerror(errno));					\
}

/* An empty message from one to the other */
static int say(struct lq *from, struct lq *to)
{
	struct qp_cqe c = { 0 };

	return lq_post_recv(to, 7, NULL, 0, 0) ||
	       POST(from, .op = QP_OP_SEND, .id = 8, .flags = SIGNALED) ||
	       lq_wait(to, &c, LONG_MS) || c.status || c.user_data != 7 ||
	       lq_wait(from, &c, LONG_MS) || c.status || c.user_data != 8;
}

#define EXPECT_WORKS(q, r) do {						\
	EXPECT_EQ(0, say(q, r));					\
	EXPECT_EQ(0, say(r, q));					\
} while (0)

static __u32 proto_of(int fd)
{
	unsigned int len = sizeof(__u32);
	__u32 proto = -1;

	lq_sys_getopt(fd, QP_PROTO, &proto, &len);
	return proto;
}

/*
 * Protocols and addresses
 */

TEST_F(wire, protocol)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct listener l;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	/* who asks for none listens to all */
	EXPECT_EQ(variant->be->ask, proto_of(l.q.fd));
	PAIR();
	EXPECT_EQ(variant->be->protocol, proto_of(self->a.fd));
	EXPECT_EQ(variant->be->protocol, proto_of(self->b.fd));
	EXPECT_EQ(variant->be->protocol, self->b.desc.protocol);
	unpair(self);

	/* asked for by name */
	d.protocol = variant->be->protocol;
	ASSERT_EQ(0, qt_pair(variant->be, &self->a, &self->b, 0, &d));
	EXPECT_EQ(variant->be->protocol, proto_of(self->a.fd));
	EXPECT_WORKS(&self->a, &self->b);
	qt_unlisten(&l);
}

/* Ethernet is neither InfiniBand nor Omni-Path, and InfiniBand neither of the others */
TEST_F(wire, other_protocols)
{
	const __u32 others[] = {
		variant->be->flags & F_IB ? QP_PROTO_ROCE : QP_PROTO_IB, QP_PROTO_OPA,
	};
	struct backend other = *variant->be;
	struct listener l;

	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		other.ask = others[i];
		EXPECT_EQ(-1, qt_listen(&other, &l, 0, 1));
		EXPECT_TRUE(errno == ENODEV || errno == EPROTONOSUPPORT ||
			    errno == EADDRNOTAVAIL) {
			TH_LOG("%s", strerror(errno));
		}
	}
}

TEST_F(wire, addresses_refused)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct sockaddr_storage ss;
	socklen_t len = variant->be->source(&ss);
	struct lq q;

	d.addr = (unsigned long)&ss;
	d.addrlen = 2;
	EXPECT_ERRNO(EINVAL, qt_open(variant->be, &q, 0, &d));
	d.addrlen = len - 9;
	EXPECT_ERRNO(EINVAL, qt_open(variant->be, &q, 0, &d));
	d.addrlen = sizeof(ss) + 1;
	EXPECT_ERRNO(EINVAL, qt_open(variant->be, &q, 0, &d));
	d.addrlen = len;
	ss.ss_family ^= AF_INET ^ AF_INET6;
	EXPECT_EQ(-1, qt_open(variant->be, &q, 0, &d));
	EXPECT_TRUE(errno == EINVAL || errno == EAFNOSUPPORT);
	ss.ss_family ^= AF_INET ^ AF_INET6;

	/* nobody's, and the other host's */
	qt_change_host(&ss, 77);
	EXPECT_ERRNO(EADDRNOTAVAIL, qt_open(variant->be, &q, 0, &d));
	EXPECT_ERRNO(EADDRNOTAVAIL, qt_listen_at(variant->be, &q, &ss, len, 0,
						 1));
	qt_change_host(&ss, 1);
	EXPECT_ERRNO(EADDRNOTAVAIL, qt_open(variant->be, &q, 0, &d));

	d.addr = 0;
	d.addrlen = 0;
	d.type = QP_UC;
	EXPECT_ERRNO(EOPNOTSUPP, qt_open(variant->be, &q, 0, &d));
	/* the others have them: qp_datagram.c */
	d.type = QP_UD;
	if (variant->be->protocol == QP_PROTO_IWARP)
		EXPECT_ERRNO(EOPNOTSUPP, qt_open(variant->be, &q, 0, &d));
}

/* Port 0 is any port, which getsockname() tells */
TEST_F(wire, any_port)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct sockaddr_storage ss;
	socklen_t len = variant->be->address(&ss);
	struct lq l;

	qt_set_port(&ss, 0);
	ASSERT_EQ(0, qt_listen_at(variant->be, &l, &ss, len, 0, 1));
	ASSERT_EQ(0, getsockname(l.fd, (void *)&ss, &len));
	EXPECT_NE(0, *qt_port(&ss));
	d.protocol = variant->be->ask;
	ASSERT_EQ(0, lq_pair_at(&self->a, &self->b, &l, variant->be->domain,
				&ss, len, 0, &d));
	EXPECT_WORKS(&self->a, &self->b);
	lq_close(&l);
}

static void wildcard(struct sockaddr_storage *ss)
{
	__be16 port = *qt_port(ss);
	sa_family_t family = ss->ss_family;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	qt_set_port(ss, port);
}

/* A listener on any address hears of connections to each device there is */
TEST_F(wire, any_address)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct sockaddr_storage ss, any;
	socklen_t len = variant->be->address(&ss);
	struct listener one;
	struct lq l;

	/* there is one then */
	ASSERT_EQ(0, qt_listen(variant->be, &one, 0, 1));
	any = ss;
	wildcard(&any);
	ASSERT_EQ(0, qt_listen_at(variant->be, &l, &any, len, 0, 1));
	EXPECT_ERRNO(EADDRINUSE, qt_listen_at(variant->be, &self->a, &any, len,
					      0, 1));
	d.protocol = variant->be->ask;
	ASSERT_EQ(0, lq_pair_at(&self->a, &self->b, &l, variant->be->domain,
				&ss, len, 0, &d));
	EXPECT_WORKS(&self->a, &self->b);

	/* the accepted one has the address that was connected to */
	ASSERT_EQ(0, getsockname(self->b.fd, (void *)&any, &len));
	EXPECT_EQ(0, memcmp(&ss, &any, len));
	lq_close(&l);
	qt_unlisten(&one);
}

/* A host that is not there, and one where no device is */
TEST_F_TIMEOUT(wire, no_answer, 120)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct sockaddr_storage ss;
	socklen_t len = variant->be->address(&ss);

	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &d));
	for (int i = 0; i < 2; i++) {
		__u64 t0 = qt_now_ms();

		qt_change_host(&ss, i ? 1 : 99);
		EXPECT_EQ(-1, lq_sys_connect(self->a.fd, &ss, len));
		/* TCP's reset, or the REJ of a device without a listener */
		EXPECT_TRUE(errno == EHOSTUNREACH || errno == ETIMEDOUT ||
			    (i && errno == ECONNREFUSED)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_GE(2 * SOON_MS, qt_now_ms() - t0);
	}
	/* it was not the queue pair's fault */
	lq_close(&self->a);
	PAIR();
	EXPECT_WORKS(&self->a, &self->b);
}

/* Two receives that are posted before there is a connection; both take a message */
#define POST_EARLY(q) do {						\
	for (int _i = 0; _i < 2; _i++)					\
		ASSERT_EQ(0, lq_post_recv(q, 70 + _i, NULL, 0, 0));	\
} while (0)

#define EXPECT_EARLY(q, from) do {					\
	for (int _i = 0; _i < 2; _i++) {				\
		ASSERT_EQ(0, POST_LATER(variant->be, from,		\
					.op = QP_OP_SEND,		\
					.flags = SIGNALED));		\
		EXPECT_CQE(from, 0, QP_WC_SUCCESS, QP_OP_SEND);		\
		EXPECT_CQE(q, 70 + _i, QP_WC_SUCCESS, QP_OP_RECV);	\
	}								\
} while (0)

/* Receives wait for the attempt that succeeds, and are not flushed before */
TEST_F_TIMEOUT(wire, receives_outlive_attempts, 120)
{
	struct qp_desc d = lq_desc(SQ, 2, 0);
	struct listener l;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	ASSERT_EQ(0, qt_open(variant->be, &self->a, QP_NONBLOCK, &d));
	POST_EARLY(&self->a);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage ss;
		socklen_t len = variant->be->address(&ss);

		EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &ss, len));
		EXPECT_ERRNO(ECONNREFUSED, lq_connected(self->a.fd, LONG_MS));
		EXPECT_NO_CQE(&self->a);
		/* there is room for no more */
		EXPECT_ERRNO(ENOBUFS, lq_post_recv(&self->a, 0, NULL, 0, 0));
	}
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &l.addr, l.len));
	ASSERT_EQ(0, lq_accept(&self->b, l.q.fd, &d));
	ASSERT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	POST_EARLY(&self->a);
	EXPECT_EARLY(&self->a, &self->b);
	EXPECT_EARLY(&self->a, &self->b);
	qt_unlisten(&l);
}

/* What it may take, ms; a kernel that looks after all it does is slower itself */
static __u64 fallback_ms(void)
{
	return qt_debug_kernel() ? 10000 : 3000;
}

/* Who asks for any protocol goes on with iWARP if the far side has only that */
TEST_F_TIMEOUT(wire, fallback, 120)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0), far = d;
	struct backend any = *variant->be;
	struct sockaddr_storage ss;
	struct lq l;

	if (variant->be->flags & F_IB)
		SKIP(return, "iWARP has no GIDs");
	any.ask = QP_PROTO_ANY;
	/* with nothing that speaks RoCE, and with something that refuses */
	for (int refused = 0; refused < 2; refused++) {
		__u64 t0;

		far.addr = (unsigned long)&ss;
		far.addrlen = variant->be->address(&ss);
		far.backlog = 1;
		far.sq_entries = 0;
		far.rq_entries = 0;
		far.protocol = QP_PROTO_IWARP;
		ASSERT_EQ(0, qt_open_server(&any, &l, QP_LISTEN, &far));
		if (refused) {
			far.addrlen = variant->be->address(&ss);
			far.protocol = QP_PROTO_ROCE;
			ASSERT_EQ(0, qt_open_server(&any, &self->b, QP_LISTEN,
						    &far));
			lq_close(&self->b);
			far.addrlen = sizeof(ss);
			ASSERT_EQ(0, getsockname(l.fd, (void *)&ss,
						 &far.addrlen));
		}
		ASSERT_EQ(0, qt_open(&any, &self->a, QP_NONBLOCK, &d));
		POST_EARLY(&self->a);
		t0 = qt_now_ms();
		EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &ss,
							 far.addrlen));
		ASSERT_EQ(0, lq_accept(&self->b, l.fd, &d));
		ASSERT_EQ(0, lq_connected(self->a.fd, LONG_MS));
		EXPECT_GE(fallback_ms(), qt_now_ms() - t0);
		EXPECT_EQ(QP_PROTO_IWARP, proto_of(self->a.fd));
		EXPECT_EARLY(&self->a, &self->b);
		EXPECT_WORKS(&self->a, &self->b);
		unpair(self);
		lq_close(&l);
	}
}

/*
 * Memory
 */

/* Registered before there is a device, in the hands of the peer afterwards */
TEST_F(wire, memory_before_device)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct listener l;
	__u32 rkey;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	ASSERT_EQ(0, qt_open(variant->be, &self->a, QP_NONBLOCK, &d));
	ASSERT_EQ(0, qt_buf(&self->abuf, self->a.fd, BUF, LQ_ACCESS_ALL));
	EXPECT_EQ(0, self->abuf.mem.rkey);
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &l.addr, l.len));
	ASSERT_EQ(0, lq_accept(&self->b, l.q.fd, &d));
	ASSERT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	rkey = qt_rkey(self->a.fd, self->abuf.mem.lkey);
	EXPECT_NE(0, rkey);
	ASSERT_EQ(0, qt_buf(&self->bbuf, self->b.fd, BUF, LQ_ACCESS_ALL));

	/* by its lkey */
	qt_fill(self->abuf.p, BUF, 1);
	ASSERT_EQ(0, POST(&self->a, .op = QP_OP_WRITE, .flags = SIGNALED,
			  .p = self->abuf.p, .len = BUF,
			  .lkey = self->abuf.mem.lkey,
			  .raddr = self->bbuf.mem.addr,
			  .rkey = self->bbuf.mem.rkey));
	EXPECT_CQE(&self->a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_WORKS(&self->a, &self->b);
	EXPECT_EQ(-1, qt_differ(self->bbuf.p, BUF, 1));

	/* and by its rkey */
	memset(self->bbuf.p, 0, BUF);
	ASSERT_EQ(0, POST(&self->b, .op = QP_OP_READ, .flags = SIGNALED,
			  .p = self->bbuf.p, .len = BUF,
			  .lkey = self->bbuf.mem.lkey,
			  .raddr = self->abuf.mem.addr, .rkey = rkey));
	EXPECT_CQE(&self->b, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_EQ(-1, qt_differ(self->bbuf.p, BUF, 1));
	qt_unlisten(&l);
}

/* Write from one queue pair into the memory of another's table, and look */
static bool reaches(struct lq *from, const struct qt_buf *src, struct lq *to,
		    const struct qt_buf *dst, __u32 seed)
{
	struct qp_cqe c = { 0 };
	int err;

	qt_fill(src->p, BUF, seed);
	err = POST(from, .op = QP_OP_WRITE, .flags = SIGNALED, .p = src->p,
		   .len = BUF, .lkey = src->mem.lkey, .raddr = dst->mem.addr,
		   .rkey = qt_rkey(to->fd, dst->mem.lkey)) ||
	      lq_wait(from, &c, LONG_MS) || c.status || say(from, to);
	return !err && qt_differ(dst->p, BUF, seed) < 0;
}

TEST_F(wire, shared_table)
{
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct qt_buf late;
	struct lq c, e;

	PAIR();
	d.share_fd = self->a.fd;
	ASSERT_EQ(0, qt_pair(variant->be, &c, &e, QP_SHARE_MEM, &d));
	ASSERT_EQ(0, qt_buf(&late, c.fd, BUF, LQ_ACCESS_ALL));

	/* of before and after, through both, in both roles */
	EXPECT_TRUE(reaches(&self->a, &late, &self->b, &self->bbuf, 1));
	EXPECT_TRUE(reaches(&self->b, &self->bbuf, &self->a, &late, 2));
	lq_close(&e);
	lq_close(&c);

	/* the table stays, the registrations in it too */
	EXPECT_TRUE(reaches(&self->a, &late, &self->b, &self->bbuf, 3));
	EXPECT_TRUE(reaches(&self->b, &self->bbuf, &self->a, &self->abuf, 4));
	qt_unbuf(&late);
}

/*
 * What breaks
 */

/* Fill the send queue with megabytes, and post receives; how much is posted */
static int load(WIRE *self)
{
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += !lq_post_recv(&self->a, i, NULL, 0, 0);
	for (int i = 0; i < SQ; i++)
		n += !POST(&self->a, .op = i % 2 ? QP_OP_READ : QP_OP_WRITE,
			   .id = 100 + i, .flags = SIGNALED, .p = self->abuf.p,
			   .len = BUF, .lkey = self->abuf.mem.lkey,
			   .raddr = self->bbuf.mem.addr,
			   .rkey = self->bbuf.mem.rkey);
	return n;
}

/* It is over: soon, and with all that was posted */
#define EXPECT_OVER(q, posted) do {					\
	struct qp_cqe _cqe;						\
	int _n = 0;							\
									\
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll((q)->fd, 0, SOON_MS));	\
	while (_n < 1000 && !lq_wait(q, &_cqe, SOON_MS))		\
		_n++;							\
	EXPECT_EQ(ESHUTDOWN, errno);					\
	EXPECT_EQ(posted, _n);						\
} while (0)

TEST_F_TIMEOUT(wire, peer_killed, 120)
{
	struct qp_desc d = lq_desc(SQ, SQ, 4 * SQ);
	struct qp_mem *mem;
	struct listener l;
	int posted, go[2];
	pid_t pid;

	mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (lq_accept(&self->b, l.q.fd, &d) ||
		    qt_buf(&self->bbuf, self->b.fd, BUF, LQ_ACCESS_ALL))
			_exit(1);
		*mem = self->bbuf.mem;
		qt_signal(go);
		pause();
	}
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &d));
	ASSERT_EQ(0, lq_sys_connect(self->a.fd, &l.addr, l.len));
	ASSERT_EQ(0, qt_buf(&self->abuf, self->a.fd, BUF, LQ_ACCESS_ALL));
	ASSERT_EQ(0, qt_await(go));
	self->bbuf.mem = *mem;
	posted = load(self);
	EXPECT_EQ(SQ + 4, posted);
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
	EXPECT_OVER(&self->a, posted);
	qt_unlisten(&l);
}

/* Without a link neither end hears of the other, but each of its device */
TEST_F_TIMEOUT(wire, netdevice_deleted, 120)
{
	int posted;

	PAIR();
	ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
	posted = load(self);
	ASSERT_EQ(0, qt_sh(self->hosts, QT_CLIENT, "ip link del veth0"));
	EXPECT_OVER(&self->a, posted);
	EXPECT_OVER(&self->b, 1);
	EXPECT_ERRNO(EPIPE, send(self->a.fd, "x", 1, MSG_NOSIGNAL));
}

TEST_F_TIMEOUT(wire, device_deleted, 180)
{
	for (int host = QT_CLIENT; host <= QT_SERVER; host++) {
		int posted;

		PAIR();
		ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
		posted = load(self);
		ASSERT_EQ(0, qt_device_delete(self->hosts, host));
		EXPECT_OVER(&self->a, posted);
		EXPECT_OVER(&self->b, 1);
		/* the memory is still the program's to have registered */
		EXPECT_EQ(0, lq_mem_dereg(self->a.fd, self->abuf.mem.lkey));
		unpair(self);

		/* and there is life after it */
		ASSERT_EQ(0, qt_device_add(self->hosts, host));
		PAIR();
		EXPECT_WORKS(&self->a, &self->b);
		unpair(self);
	}
}

/* A listener that lost its device is of no use, and does no harm */
TEST_F(wire, listener_loses_device)
{
	struct listener l;

	ASSERT_EQ(0, qt_listen(variant->be, &l, QP_NONBLOCK, 1));
	ASSERT_EQ(0, qt_device_delete(self->hosts, QT_SERVER));
	EXPECT_ERRNO(EAGAIN, lq_accept(&self->b, l.q.fd,
				       &(struct qp_desc){
						.size = sizeof(struct qp_desc),
						.share_fd = -1 }));
	qt_unlisten(&l);
	ASSERT_EQ(0, qt_device_add(self->hosts, QT_SERVER));
	PAIR();
	EXPECT_WORKS(&self->a, &self->b);
}

/*
 * A link that loses packets
 */

#define PIECES	8
#define PIECE	(BUF / PIECES)

/* One megabyte in pieces from one end to the other, or fetched from there */
static int move(WIRE *self, __u8 op, __u32 seed)
{
	struct qt_buf *from = op == QP_OP_READ ? &self->bbuf : &self->abuf;
	struct qt_buf *to = op == QP_OP_READ ? &self->abuf : &self->bbuf;
	struct qp_cqe c;
	int err = 0;

	qt_fill(from->p, BUF, seed);
	for (int i = 0; i < PIECES && !err; i++) {
		struct qt_wr wr = {
			.op = op, .id = i, .flags = SIGNALED,
			.p = self->abuf.p + i * PIECE, .len = PIECE,
			.lkey = self->abuf.mem.lkey,
		};

		if (op == QP_OP_SEND) {
			err = lq_post_recv(&self->b, i, to->p + i * PIECE,
					   PIECE, to->mem.lkey);
		} else {
			wr.raddr = self->bbuf.mem.addr + i * PIECE;
			wr.rkey = self->bbuf.mem.rkey;
		}
		err |= qt_post_later(self->be, &self->a, &wr);
	}
	for (int i = 0; i < PIECES && !err; i++) {
		err = lq_wait(&self->a, &c, 3 * LONG_MS) ? errno : c.status;
		if (!err && op == QP_OP_SEND)
			err = lq_wait(&self->b, &c, LONG_MS) ? errno : c.status;
	}
	if (!err && op == QP_OP_WRITE)
		err = say(&self->a, &self->b);
	return err ?: qt_differ(to->p, BUF, seed) >= 0;
}

TEST_F_TIMEOUT(wire, loss, 600)
{
	static const __u8 ops[] = { QP_OP_SEND, QP_OP_WRITE, QP_OP_READ };
	__u32 mib = qt_env("QP_MIB", qt_debug_kernel() ? 4 :
			   variant->be->lossy_mib);

	PAIR();
	for (int host = QT_CLIENT; host <= QT_SERVER; host++)
		ASSERT_EQ(0, qt_sh(self->hosts, host, "tc qdisc add dev veth0 "
				   "root netem loss 2%% limit 10000"));
	for (int o = 0; o < ARRAY_SIZE(ops); o++) {
		__u64 t0 = qt_now_ms();

		for (__u32 i = 0; i < mib; i++) {
			ASSERT_EQ(0, move(self, ops[o], 1000 * o + i)) {
				TH_LOG("operation %d, MiB %u", ops[o], i);
			}
		}
		TH_LOG("operation %d: %u MiB in %llu ms", ops[o], mib,
		       qt_now_ms() - t0);
	}
}

/*
 * A queue of this host that is full: what it drops is lost, and is sent again. So
 * are the messages of those who connect after that.
 */
TEST_F_TIMEOUT(wire, full_queue, 300)
{
	PAIR();
	for (int host = QT_CLIENT; host <= QT_SERVER; host++)
		ASSERT_EQ(0, qt_sh(self->hosts, host, "tc qdisc add dev veth0 "
				   "root netem delay 1ms limit 48"));
	ASSERT_EQ(0, move(self, QP_OP_SEND, 1));
	ASSERT_EQ(0, move(self, QP_OP_WRITE, 2));
	ASSERT_EQ(0, move(self, QP_OP_READ, 3));
	lq_close(&self->a);
	lq_close(&self->b);
	qt_unbuf(&self->abuf);
	qt_unbuf(&self->bbuf);
	PAIR();
	EXPECT_WORKS(&self->a, &self->b);
}

/*
 * rtu_lost DEVICE AT...: DEVICE sends no message of the communication manager (class 7)
 * that says that a connection stands (RTU, attribute 0x14); the MAD may be AT so many
 * bytes from its link layer header on. rtu_seen DEVICE: and has lost one.
 */
static const char rtu_functions[] =
	"rtu_lost() { d=$1; shift; tc qdisc add dev $d clsact || return; for at; do "
	"	tc filter add dev $d egress bpf bytecode \"8,48 0 0 $at,21 0 5 1,"
	"48 0 0 $((at + 1)),21 0 3 7,40 0 0 $((at + 16)),21 0 1 20,"
	"6 0 0 4294967295,6 0 0 0\" action drop || return; done; }; "
	"rtu_seen() { tc -s filter show dev $1 egress | grep -q 'dropped [1-9]'; }; ";

#ifdef QP_IB
#define RTU_DEVICE	"$(ip -o link show type ibport | sed 's/[^ ]* //; s/:.*//')"
#define RTU_AT		"28 68"
#else
#define RTU_DEVICE	"veth0"
#define RTU_AT		"62 82"
#endif

/* Who is not told that the connection stands says once more that it accepts it */
TEST_F_TIMEOUT(wire, rtu_lost, 60)
{
	if (!(variant->be->flags & F_RNR))
		SKIP(return, "iWARP has no RTU");
	ASSERT_EQ(0, qt_sh(self->hosts, QT_CLIENT, "%s d=%s; rtu_lost $d %s && { "
			   "(while ! rtu_seen $d; do sleep .1; done; "
			   "tc qdisc del dev $d clsact) >/dev/null 2>&1 & }",
			   rtu_functions, RTU_DEVICE, RTU_AT));
	PAIR();
	EXPECT_EQ(0, qt_sh(self->hosts, QT_CLIENT,
			   "! tc qdisc show dev %s | grep clsact", RTU_DEVICE));
	EXPECT_WORKS(&self->b, &self->a);
}

/*
 * What is posted without a completion has been sent when a later one completes:
 * on a slow link too, who writes to it again changes nothing at the peer
 */
TEST_F_TIMEOUT(wire, buffer_reused, 120)
{
	PAIR();
	ASSERT_EQ(0, qt_sh(self->hosts, QT_CLIENT, "tc qdisc add dev veth0 "
			   "root netem delay 50ms limit 10000"));
	for (__u32 i = 0; i < 4; i++) {
		qt_fill(self->abuf.p, PIECE, i);
		ASSERT_EQ(0, lq_post_recv(&self->b, 1, NULL, 0, 0));
		ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_WRITE,
				   .p = self->abuf.p, .len = PIECE,
				   .lkey = self->abuf.mem.lkey,
				   .raddr = self->bbuf.mem.addr,
				   .rkey = self->bbuf.mem.rkey));
		ASSERT_EQ(0, QUEUE(&self->a, .op = QP_OP_SEND, .id = 2,
				   .flags = SIGNALED));
		ASSERT_EQ(2, lq_enter(&self->a, 2, 0, 0));
		EXPECT_CQE(&self->a, 2, QP_WC_SUCCESS, QP_OP_SEND);
		memset(self->abuf.p, 0xa5, PIECE);
		EXPECT_CQE(&self->b, 1, QP_WC_SUCCESS, QP_OP_RECV);
		EXPECT_EQ(-1, qt_differ(self->bbuf.p, PIECE, i));
	}
}

/*
 * A link may carry longer packets at once than a packet of RoCE or iWARP can say
 * that it is
 */
TEST_F_TIMEOUT(wire, big_packets, 120)
{
	static const __u8 ops[] = { QP_OP_SEND, QP_OP_WRITE, QP_OP_READ };

	for (int host = QT_CLIENT; host <= QT_SERVER; host++)
		ASSERT_EQ(0, qt_sh(self->hosts, host, "ip link set veth0 "
				   "gso_max_size 200000 gro_max_size 200000"));
	PAIR();
	for (int o = 0; o < ARRAY_SIZE(ops); o++) {
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(0, move(self, ops[o], 100 * o + i)) {
				TH_LOG("operation %d, MiB %d", ops[o], i);
			}
		}
	}
}

/*
 * Devices made on demand
 */

static bool loses_device(WIRE *self, enum qt_host host, int ms)
{
	__u64 end = qt_now_ms() + ms;
	bool has;

	while ((has = qt_has_device(self->hosts, host)) && qt_now_ms() < end)
		usleep(50000);
	return !has;
}

/* The kernel makes one if there is none, and removes none but its own */
TEST_F(wire, device_comes_and_goes)
{
	bool on_demand = qt_on_demand(self->hosts);
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	struct listener l;

	EXPECT_EQ(!on_demand, qt_has_device(self->hosts, QT_CLIENT));
	EXPECT_EQ(!on_demand, qt_has_device(self->hosts, QT_SERVER));

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	EXPECT_TRUE(qt_has_device(self->hosts, QT_SERVER));
	/* not before it is known which one */
	ASSERT_EQ(0, qt_open(variant->be, &self->a, QP_NONBLOCK, &d));
	EXPECT_EQ(!on_demand, qt_has_device(self->hosts, QT_CLIENT));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(self->a.fd, &l.addr, l.len));
	ASSERT_EQ(0, lq_accept(&self->b, l.q.fd, &d));
	ASSERT_EQ(0, lq_connected(self->a.fd, LONG_MS));
	EXPECT_TRUE(qt_has_device(self->hosts, QT_CLIENT));

	/* as long as there is one who needs it */
	qt_unlisten(&l);
	EXPECT_FALSE(loses_device(self, QT_SERVER, 3000));
	EXPECT_WORKS(&self->a, &self->b);
	lq_close(&self->a);
	lq_close(&self->b);
	EXPECT_EQ(on_demand, loses_device(self, QT_CLIENT, 5000));
	EXPECT_EQ(on_demand, loses_device(self, QT_SERVER, 5000));
}

TEST_F(wire, emulation_forbidden)
{
	static const char forbid[] = "echo 0 >/proc/sys/net/qp/emulation";
	struct qp_desc d = lq_desc(SQ, SQ, 0);
	bool on_demand = qt_on_demand(self->hosts);
	struct sockaddr_storage ss;
	socklen_t len = variant->be->address(&ss);
	struct listener l;

	ASSERT_EQ(0, qt_sh(self->hosts, QT_CLIENT, forbid));
	ASSERT_EQ(0, qt_sh(self->hosts, QT_SERVER, forbid));
	if (!on_demand) {
		/* one that the administrator made is as good as ever */
		PAIR();
		EXPECT_WORKS(&self->a, &self->b);
		return;
	}
	EXPECT_EQ(-1, qt_listen(variant->be, &l, 0, 1));
	EXPECT_TRUE(errno == EADDRNOTAVAIL || errno == ENODEV);
	ASSERT_EQ(0, qt_open(variant->be, &self->a, 0, &d));
	EXPECT_EQ(-1, lq_sys_connect(self->a.fd, &ss, len));
	EXPECT_TRUE(errno == EADDRNOTAVAIL || errno == ENODEV);
	EXPECT_FALSE(qt_has_device(self->hosts, QT_CLIENT));
	EXPECT_FALSE(qt_has_device(self->hosts, QT_SERVER));
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = write(fd, text, strlen(text));

	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Give up all that root is, and be it again in a user namespace */
static int own_user_namespace(void)
{
	if (setresgid(UID_NOBODY, UID_NOBODY, UID_NOBODY) ||
	    setresuid(UID_NOBODY, UID_NOBODY, UID_NOBODY) ||
	    prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
		return -1;
	return write_file("/proc/self/setgroups", "deny") ||
	       write_file("/proc/self/uid_map", "0 65534 1") ||
	       write_file("/proc/self/gid_map", "0 65534 1");
}

/* Who may make a network namespace may have queue pairs in it */
TEST_F(wire, unprivileged)
{
	pid_t pid;

	/* only root makes the devices of this backend */
	if (!qt_on_demand(self->hosts))
		return;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (own_user_namespace())
			_exit(1);
		if (qt_hosts(self->hosts))
			_exit(2);
		if (pair(self)) {
			TH_LOG("%s", strerror(errno));
			_exit(3);
		}
		for (int i = 0; i < 100; i++)
			if (say(&self->a, &self->b) || say(&self->b, &self->a))
				_exit(4);
		_exit(0);
	}
	EXPECT_EQ(0, qt_reap(pid));
}

TEST_HARNESS_MAIN
