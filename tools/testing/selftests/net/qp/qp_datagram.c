// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams: queue pairs of the type QP_UD, address handles, and multicast.
 *
 * a is on the client, b on the server, each bound to an address. Tests that
 * break a host make new ones for themselves.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define RING		16
#define BUF		65536U
#define INLINE		64
#define SIGNALED	QP_SQE_SIGNALED

/* What cannot be resolved is given up after that time, ms */
#define SOON_MS		10000

/* Bytes that a datagram of 1500-byte Ethernet packets holds (IBA v1 A16) */
#define MTU		1024U

/* A queue pair with its address and memory */
struct end {
	struct lq q;
	struct sockaddr_storage addr;
	socklen_t len;
	struct qt_buf buf;
};

FIXTURE(ud)
{
	const struct backend *be;
	struct end a, b, c;
};

#define UD	FIXTURE_DATA(ud)

static void __attribute__((constructor)) datagrams(void)
{
	qt_datagrams = true;
}

FIXTURE_VARIANT(ud)
{
	const struct backend *be;
};

VARIANTS(ud)

static struct qp_desc ud_desc(__u32 sq, __u32 rq)
{
	struct qp_desc d = lq_desc(sq, rq, 4 * (sq + rq));

	d.type = QP_UD;
	d.max_inline = INLINE;
	return d;
}

/* Make a queue pair with memory. @e->addr is where it is bound to. */
static int make(const struct backend *be, enum qt_host host, struct end *e,
		unsigned int flags, const struct qp_desc *desc)
{
	struct qp_desc d = *desc;

	d.addr = (unsigned long)&e->addr;
	d.addrlen = e->len;
	if (host == QT_SERVER ? qt_open_server(be, &e->q, flags, &d) :
				qt_open(be, &e->q, flags, &d))
		return -1;
	return qt_buf(&e->buf, e->q.fd, BUF, LQ_ACCESS_ALL);
}

static int make_at(const struct backend *be, enum qt_host host, struct end *e)
{
	struct qp_desc d = ud_desc(RING, RING);

	e->len = host == QT_SERVER ? be->address(&e->addr) :
				     be->source(&e->addr);
	return make(be, host, e, 0, &d);
}

/* One without rings, for sendmsg() and recvmsg() */
static int make_plain(const struct backend *be, enum qt_host host, struct end *e)
{
	struct qp_desc d = ud_desc(0, 0);

	e->len = host == QT_SERVER ? be->address(&e->addr) :
				     be->source(&e->addr);
	return make(be, host, e, 0, &d);
}

static void unmake(struct end *e)
{
	lq_close(&e->q);
	qt_unbuf(&e->buf);
}

FIXTURE_SETUP(ud)
{
	self->be = variant->be;
	self->a.q.fd = -1;
	self->b.q.fd = -1;
	self->c.q.fd = -1;
	ASSERT_EQ(0, make_at(self->be, QT_CLIENT, &self->a)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, make_at(self->be, QT_SERVER, &self->b)) {
		TH_LOG("%s", strerror(errno));
	}
}

FIXTURE_TEARDOWN(ud)
{
	unmake(&self->a);
	unmake(&self->b);
	unmake(&self->c);
}

static bool same_host(const void *x, const void *y)
{
	struct in6_addr ip_x = {}, ip_y = {};

	if (((struct sockaddr *)x)->sa_family != ((struct sockaddr *)y)->sa_family)
		return false;
	return qt_ip(x, &ip_x) == qt_ip(y, &ip_y) && !memcmp(&ip_x, &ip_y, 16);
}

/*
 * Handles
 */

static int ah_create(const struct end *e, const void *addr, socklen_t len,
		     __u32 qpn, struct qp_ah *ah)
{
	*ah = (struct qp_ah){
		.addr = (unsigned long)addr,
		.addrlen = len,
		.qpn = qpn,
	};
	return lq_sys_setopt(e->q.fd, QP_AH_CREATE, ah, sizeof(*ah));
}

/* A handle of from's for to's address and port; 0 if it cannot be had */
static __u32 handle(const struct end *from, const struct end *to)
{
	struct qp_ah ah;

	return ah_create(from, &to->addr, to->len, 0, &ah) ? 0 : ah.ah;
}

static int ah_destroy(const struct end *e, __u32 ah)
{
	return lq_sys_setopt(e->q.fd, QP_AH_DESTROY, &ah, sizeof(ah));
}

static __u32 port_qpn(const struct end *e)
{
	struct qp_info info = { 0 };

	return lq_info(e->q.fd, &info) ? 0 : info.port_qpn;
}

static __u32 state(const struct end *e)
{
	struct qp_info info = { .state = -1 };

	lq_info(e->q.fd, &info);
	return info.state;
}

/* Submit a SEND of a piece of one's memory */
static int post(struct end *e, __u32 ah, __u64 id, const void *p, __u32 len)
{
	return POST(&e->q, .op = QP_OP_SEND, .id = id, .flags = SIGNALED,
		    .p = p, .len = len, .lkey = e->buf.mem.lkey, .rkey = ah);
}

/* The same, of the first bytes of it, and nobody is told */
static int post_unsignalled(struct end *e, __u32 ah, __u32 len)
{
	return POST(&e->q, .op = QP_OP_SEND, .p = e->buf.p, .len = len,
		    .lkey = e->buf.mem.lkey, .rkey = ah);
}

static int receive(struct end *e, __u64 id, void *p, __u32 len)
{
	return lq_post_recv(&e->q, id, p, len, e->buf.mem.lkey);
}

/* A completion with what it says of the sender */
static int wait_ud(struct end *e, struct qp_ud_cqe *cqe, int ms)
{
	struct qp_ud_cqe *c = (void *)lq_cq_peek(&e->q);

	if (!c) {
		if (lq_enter(&e->q, 0, 1, ms) < 0)
			return -1;
		c = (void *)lq_cq_peek(&e->q);
	}
	if (!c) {
		errno = ESHUTDOWN;
		return -1;
	}
	*cqe = *c;
	lq_cq_release(&e->q);
	return 0;
}

/* It comes, once its sender may have been too fast for the receiver */
static bool delivered(struct end *from, __u32 ah, struct end *to)
{
	struct qp_cqe c = { 0 };

	return !receive(to, 77, NULL, 0) && !post(from, ah, 78, NULL, 0) &&
	       !lq_wait(&from->q, &c, LONG_MS) && !c.status &&
	       c.user_data == 78 && !lq_wait(&to->q, &c, LONG_MS) &&
	       !c.status && c.user_data == 77;
}

TEST_F(ud, created)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct qp_info info;
	struct lq q;

	ASSERT_EQ(0, lq_info(self->a.q.fd, &info));
	EXPECT_EQ(QP_STATE_RTS, info.state);
	EXPECT_EQ(QP_UD, info.type);
	EXPECT_EQ(self->be->protocol, info.protocol);
	EXPECT_EQ(self->a.q.desc.qpn, info.qpn);
	EXPECT_LT(1, info.port_qpn);
	EXPECT_NE(0, info.port_qkey);
	EXPECT_EQ(MTU, info.max_msg);
	EXPECT_EQ(sizeof(struct qp_ud_cqe), self->a.q.desc.cq.entry_size);
	EXPECT_EQ(POLLOUT, qt_poll(self->a.q.fd, POLLIN | POLLOUT, 0));

	ASSERT_EQ(0, getsockname(self->a.q.fd, (void *)&ss, &len));
	EXPECT_EQ(self->a.len, len);
	EXPECT_EQ(0, memcmp(&ss, &self->a.addr, len));
	EXPECT_ERRNO(ENOTCONN, getpeername(self->a.q.fd, (void *)&ss, &len));

	/* the port is taken, but other ports are not */
	EXPECT_ERRNO(EADDRINUSE, make(self->be, QT_CLIENT, &(struct end){
			.addr = self->a.addr, .len = self->a.len },
			0, &(struct qp_desc){ .size = sizeof(struct qp_desc),
					      .type = QP_UD, .share_fd = -1 }));
	self->c.addr = self->a.addr;
	self->c.len = self->a.len;
	qt_set_port(&self->c.addr, 0);
	ASSERT_EQ(0, make(self->be, QT_CLIENT, &self->c, 0,
			  &(struct qp_desc){ .size = sizeof(struct qp_desc),
					     .type = QP_UD, .share_fd = -1 }));
	ASSERT_EQ(0, getsockname(self->c.q.fd, (void *)&ss, &len));
	EXPECT_NE(0, *qt_port(&ss));
	EXPECT_NE(port_qpn(&self->a), port_qpn(&self->c));

	/* there is nothing to accept, and iWARP has none of this */
	EXPECT_ERRNO(EINVAL, lq_accept(&q, self->a.q.fd, &(struct qp_desc){
			.size = sizeof(struct qp_desc), .share_fd = -1 }));
}

TEST_F(ud, refused)
{
	struct qp_desc d = ud_desc(0, 0);
	__u32 proto = QP_PROTO_IWARP;
	struct sockaddr_storage ss;
	socklen_t len = self->be->source(&ss);
	/* It has no GIDs at all */
	int no_iwarp = self->be->domain == AF_IB ? EPROTONOSUPPORT : EOPNOTSUPP;
	struct lq q;

	d.addr = (unsigned long)&ss;
	d.addrlen = len;
	EXPECT_ERRNO(EOPNOTSUPP, qt_open(self->be, &q, QP_LISTEN, &d));
	qt_change_host(&ss, 77);
	EXPECT_ERRNO(EADDRNOTAVAIL, qt_open(self->be, &q, 0, &d));
	d.addr = 0;
	d.addrlen = 0;
	d.protocol = QP_PROTO_IWARP;
	EXPECT_ERRNO(no_iwarp, qt_open(self->be, &q, 0, &d));
	d.protocol = 0;
	ASSERT_EQ(0, qt_open(self->be, &q, 0, &d));
	EXPECT_ERRNO(no_iwarp, lq_sys_setopt(q.fd, QP_PROTO, &proto,
					     sizeof(proto)));
	lq_close(&q);

	/* who is connected has no use for a handle */
	d = lq_desc(0, 0, 0);
	ASSERT_EQ(0, qt_open(self->be, &q, 0, &d));
	EXPECT_ERRNO(EOPNOTSUPP, lq_sys_setopt(q.fd, QP_AH_DESTROY,
					       &(__u32){ 1 }, 4));
	EXPECT_ERRNO(EOPNOTSUPP, ah_create(&(struct end){ .q = q },
					   &self->b.addr, self->b.len, 0,
					   &(struct qp_ah){}));
	lq_close(&q);
}

/*
 * Rings
 */

TEST_F(ud, sizes)
{
	static const __u32 sizes[] = { 0, 1, 3, 4, 63, 64, 65, 512, 1000, MTU };
	__u32 ah = handle(&self->a, &self->b);
	struct qp_ud_cqe c;

	ASSERT_NE(0, ah);
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		qt_fill(self->a.buf.p, sizes[i], i);
		memset(self->b.buf.p, 0, BUF);
		ASSERT_EQ(0, receive(&self->b, i, self->b.buf.p, MTU));
		ASSERT_EQ(0, post(&self->a, ah, 100 + i, self->a.buf.p,
				  sizes[i]));
		EXPECT_CQE(&self->a.q, 100 + i, QP_WC_SUCCESS, QP_OP_SEND);
		ASSERT_EQ(0, wait_ud(&self->b, &c, LONG_MS)) {
			TH_LOG("%u bytes", sizes[i]);
		}
		EXPECT_EQ(i, c.cqe.user_data);
		EXPECT_EQ(QP_WC_SUCCESS, c.cqe.status);
		EXPECT_EQ(QP_OP_RECV, c.cqe.opcode);
		EXPECT_EQ(sizes[i], c.cqe.byte_len);
		EXPECT_EQ(-1, qt_differ(self->b.buf.p, sizes[i], i));
		EXPECT_TRUE(qt_all(self->b.buf.p + sizes[i], 100, 0));
	}
	EXPECT_ERRNO(EMSGSIZE, post(&self->a, ah, 1, self->a.buf.p, MTU + 1));
	EXPECT_ERRNO(EMSGSIZE, post(&self->a, ah, 1, self->a.buf.p, BUF));
	EXPECT_TRUE(delivered(&self->a, ah, &self->b));
}

/* Into a list, out of inline data, with immediate data */
TEST_F(ud, forms)
{
	struct qp_desc d = ud_desc(RING, RING);
	__u32 ah = handle(&self->a, &self->b);
	struct qp_rqe *rqe;
	struct qp_cqe c;

	ASSERT_NE(0, ah);
	d.max_sge = QP_MAX_SGE;
	self->c.len = self->be->address(&self->c.addr);
	ASSERT_EQ(0, make(self->be, QT_SERVER, &self->c, 0, &d));
	qt_fill(self->a.buf.p, MTU, 5);
	rqe = lq_rqe(&self->c.q, 1);
	for (int i = 0; i < QP_MAX_SGE; i++)
		lq_rqe_sge(rqe, self->c.buf.p + i * 512, i ? 61 : 109,
			   self->c.buf.mem.lkey);
	ASSERT_EQ(0, lq_submit_recv(&self->c.q));
	ASSERT_EQ(0, post(&self->a, handle(&self->a, &self->c), 2,
			  self->a.buf.p, MTU));
	EXPECT_CQE(&self->a.q, 2, QP_WC_SUCCESS, QP_OP_SEND);
	c = EXPECT_CQE(&self->c.q, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(MTU, c.byte_len);
	for (int i = 0; i < QP_MAX_SGE; i++)
		EXPECT_EQ(0, memcmp(self->c.buf.p + i * 512, self->a.buf.p +
				    (i ? 48 + i * 61 : 0), i ? 61 : 109));

	ASSERT_EQ(0, receive(&self->b, 3, self->b.buf.p, MTU));
	ASSERT_EQ(0, POST(&self->a.q, .op = QP_OP_SEND_IMM, .id = 4,
			  .flags = SIGNALED | QP_SQE_INLINE | QP_SQE_FENCE |
				   QP_SQE_SOLICITED,
			  .p = "Hello", .len = 5, .imm = 0x1234, .rkey = ah));
	EXPECT_CQE(&self->a.q, 4, QP_WC_SUCCESS, QP_OP_SEND_IMM);
	c = EXPECT_CQE(&self->b.q, 3, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(QP_CQE_IMM | QP_CQE_SRC, c.flags);
	EXPECT_EQ(0x1234, c.imm_data);
	EXPECT_EQ(5, c.byte_len);
	EXPECT_EQ(0, memcmp(self->b.buf.p, "Hello", 5));
}

/* Who sent it, and an answer by the number alone */
TEST_F(ud, source)
{
	__u32 ah = handle(&self->a, &self->b);
	struct sockaddr_storage ss;
	struct qp_ud_cqe c;
	struct qp_ah back;

	ASSERT_NE(0, ah);
	ASSERT_EQ(0, receive(&self->b, 1, self->b.buf.p, MTU));
	ASSERT_EQ(0, post(&self->a, ah, 2, self->a.buf.p, 10));
	/* a send has no source */
	ASSERT_EQ(0, wait_ud(&self->a, &c, LONG_MS));
	EXPECT_EQ(0, c.cqe.flags);
	EXPECT_EQ(0, c.cqe.src_qpn);
	EXPECT_TRUE(qt_all(c.src, sizeof(c.src), 0));

	ASSERT_EQ(0, wait_ud(&self->b, &c, LONG_MS));
	EXPECT_EQ(QP_CQE_SRC, c.cqe.flags);
	EXPECT_EQ(port_qpn(&self->a), c.cqe.src_qpn);
	EXPECT_TRUE(same_host(c.src, &self->a.addr));
	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, c.src, sizeof(c.src));
	EXPECT_EQ(0, *qt_port(&ss));

	ASSERT_EQ(0, ah_create(&self->b, &ss, self->a.len, c.cqe.src_qpn,
			       &back));
	EXPECT_EQ(c.cqe.src_qpn, back.qpn);
	EXPECT_TRUE(delivered(&self->b, back.ah, &self->a));
}

/* To itself, and to another one on the same host */
TEST_F(ud, same_host)
{
	__u32 ah;

	ASSERT_EQ(0, make_at(self->be, QT_CLIENT, &self->c));
	ah = handle(&self->a, &self->c);
	ASSERT_NE(0, ah);
	EXPECT_TRUE(delivered(&self->a, ah, &self->c));
	ah = handle(&self->a, &self->a);
	ASSERT_NE(0, ah);
	ASSERT_EQ(0, receive(&self->a, 1, NULL, 0));
	ASSERT_EQ(0, post(&self->a, ah, 2, NULL, 0));
	for (int i = 0; i < 2; i++) {
		struct qp_cqe c = { 0 };

		ASSERT_EQ(0, lq_wait(&self->a.q, &c, LONG_MS));
		EXPECT_EQ(0, c.status);
		EXPECT_EQ(c.opcode == QP_OP_RECV ? 1 : 2, c.user_data);
	}
}

/* What finds no place is lost, and nobody minds */
TEST_F(ud, dropped)
{
	__u32 ah = handle(&self->a, &self->b);
	struct qp_cqe c;

	ASSERT_NE(0, ah);
	/* no receive */
	for (int i = 0; i < 3 * RING; i++) {
		ASSERT_EQ(0, post(&self->a, ah, i, self->a.buf.p, MTU));
		EXPECT_CQE(&self->a.q, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	usleep(1000 * SHORT_MS);
	EXPECT_NO_CQE(&self->b.q);
	EXPECT_TRUE(delivered(&self->a, ah, &self->b));

	/* a receive that is too short; it takes the next one that fits */
	ASSERT_EQ(0, receive(&self->b, 1, self->b.buf.p, 100));
	ASSERT_EQ(0, post(&self->a, ah, 2, self->a.buf.p, 101));
	EXPECT_CQE(&self->a.q, 2, QP_WC_SUCCESS, QP_OP_SEND);
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, post(&self->a, ah, 3, self->a.buf.p, 100));
	EXPECT_CQE(&self->a.q, 3, QP_WC_SUCCESS, QP_OP_SEND);
	c = EXPECT_CQE(&self->b.q, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(100, c.byte_len);
	EXPECT_EQ(QP_STATE_RTS, state(&self->a));
	EXPECT_EQ(QP_STATE_RTS, state(&self->b));
}

TEST_F(ud, bad_requests)
{
	__u32 ah = handle(&self->a, &self->b);
	struct lq *q = &self->a.q;

	ASSERT_NE(0, ah);
	EXPECT_ERRNO(EDESTADDRREQ, POST(q, .op = QP_OP_SEND));
	EXPECT_ERRNO(EINVAL, POST(q, .op = QP_OP_SEND, .rkey = ah + 1));
	EXPECT_ERRNO(EINVAL, POST(q, .op = QP_OP_SEND, .rkey = -1));
	EXPECT_ERRNO(EINVAL, POST(q, .op = QP_OP_SEND, .rkey = ah, .raddr = 8));
	EXPECT_ERRNO(EINVAL, POST(q, .op = QP_OP_SEND, .rkey = ah, .imm = 8));
	for (int op = QP_OP_SEND_INV; op < QP_OP_LAST; op++)
		EXPECT_ERRNO_AT(EOPNOTSUPP, POST(q, .op = op, .rkey = ah),
				"opcode %d", op);
	/* handles are one queue pair's */
	EXPECT_ERRNO(EINVAL, POST(&self->b.q, .op = QP_OP_SEND, .rkey = ah));

	/* memory that is not there: a datagram fails for itself */
	ASSERT_EQ(0, POST(q, .op = QP_OP_SEND, .id = 1, .rkey = ah,
			  .p = self->a.buf.p, .len = 8,
			  .lkey = self->a.buf.mem.lkey + 1));
	EXPECT_CQE(q, 1, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
	ASSERT_EQ(0, POST(q, .op = QP_OP_SEND, .id = 2, .rkey = ah,
			  .p = self->a.buf.p + BUF, .len = 8,
			  .lkey = self->a.buf.mem.lkey));
	ASSERT_EQ(0, POST(q, .op = QP_OP_SEND, .id = 3, .rkey = ah,
			  .p = self->a.buf.p + BUF, .len = 8,
			  .lkey = self->a.buf.mem.lkey));
	EXPECT_CQE(q, 2, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
	EXPECT_CQE(q, 3, QP_WC_LOC_PROT_ERR, QP_OP_SEND);
	EXPECT_TRUE(delivered(&self->a, ah, &self->b));

	ASSERT_EQ(0, ah_destroy(&self->a, ah));
	EXPECT_ERRNO(EINVAL, POST(q, .op = QP_OP_SEND, .rkey = ah));
	EXPECT_ERRNO(EINVAL, ah_destroy(&self->a, ah));
	EXPECT_ERRNO(EINVAL, ah_destroy(&self->a, 0));
	EXPECT_ERRNO(EINVAL, ah_destroy(&self->a, -1));
}

/* What was posted before a handle ends is still sent */
TEST_F(ud, destroyed_while_in_use)
{
	struct qp_cqe c;

	for (int round = 0; round < 20; round++) {
		__u32 ah = handle(&self->a, &self->b);
		int n = 0;

		ASSERT_NE(0, ah);
		for (int i = 0; i < RING; i++)
			ASSERT_EQ(0, receive(&self->b, i, NULL, 0));
		for (int i = 0; i < RING; i++)
			ASSERT_EQ(0, QUEUE(&self->a.q, .op = QP_OP_SEND,
					   .rkey = ah, .flags = SIGNALED));
		ASSERT_EQ(RING, lq_enter(&self->a.q, RING, 0, 0));
		ASSERT_EQ(0, ah_destroy(&self->a, ah));
		for (int i = 0; i < RING; i++) {
			ASSERT_EQ(0, lq_wait(&self->a.q, &c, LONG_MS));
			EXPECT_EQ(QP_WC_SUCCESS, c.status);
		}
		while (n < RING && !lq_wait(&self->b.q, &c, LONG_MS))
			n++;
		EXPECT_EQ(RING, n);
	}
}

/* Many handles, each as good as any other, and then no more */
TEST_F_TIMEOUT(ud, many_handles, 300)
{
	__u32 qpn = port_qpn(&self->b);
	struct qp_ah ah;

	for (int i = 0; i < QP_MAX_AHS; i++) {
		ASSERT_EQ(0, ah_create(&self->a, &self->b.addr, self->b.len,
				       qpn, &ah)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_LE(1, ah.ah);
		EXPECT_GE(QP_MAX_AHS, ah.ah);
	}
	EXPECT_ERRNO(ENOBUFS, ah_create(&self->a, &self->b.addr, self->b.len,
					qpn, &ah));
	for (__u32 h = 1; h <= QP_MAX_AHS; h += 31)
		EXPECT_TRUE(delivered(&self->a, h, &self->b));
	ASSERT_EQ(0, ah_destroy(&self->a, 500));
	ASSERT_EQ(0, ah_create(&self->a, &self->b.addr, self->b.len, 0, &ah));
	EXPECT_EQ(500, ah.ah);
	EXPECT_TRUE(delivered(&self->a, 500, &self->b));
	/* the others end with the queue pair */
}

TEST_F(ud, unresolvable)
{
	struct sockaddr_storage ss = self->b.addr;
	socklen_t len = self->b.len;
	struct qp_ah ah;
	__u64 t0;

	/* nobody at the port */
	unmake(&self->b);
	EXPECT_ERRNO(ECONNREFUSED, ah_create(&self->a, &ss, len, 0, &ah));
	/* no such host */
	qt_change_host(&ss, 99);
	t0 = qt_now_ms();
	EXPECT_ERRNO(EHOSTUNREACH, ah_create(&self->a, &ss, len, 0, &ah));
	EXPECT_ERRNO(EHOSTUNREACH, ah_create(&self->a, &ss, len, 1234, &ah));
	EXPECT_ERRNO(EHOSTUNREACH, sendto(self->a.q.fd, "x", 1, 0,
					  (void *)&ss, len));
	EXPECT_GE(3 * SOON_MS, qt_now_ms() - t0);
	qt_change_host(&ss, 1);

	/* malformed */
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, len - 9, 0, &ah));
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, 1, 0, &ah));
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, sizeof(ss) + 1, 0, &ah));
	EXPECT_ERRNO(EFAULT, ah_create(&self->a, (void *)8, len, 0, &ah));
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, len, 1, &ah));
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, len, 0xffffff, &ah));
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, len, -1, &ah));
	ah = (struct qp_ah){ (unsigned long)&ss, len, 1234, 1U << 31 };
	EXPECT_ERRNO(EINVAL, lq_sys_setopt(self->a.q.fd, QP_AH_CREATE, &ah,
					   sizeof(ah)));
	ah = (struct qp_ah){ (unsigned long)&ss, len, 0, 1 };
	EXPECT_ERRNO(EINVAL, lq_sys_setopt(self->a.q.fd, QP_AH_CREATE, &ah,
					   sizeof(ah)));
	ah = (struct qp_ah){ (unsigned long)&ss, len, 0, 0, 1 };
	EXPECT_ERRNO(EINVAL, lq_sys_setopt(self->a.q.fd, QP_AH_CREATE, &ah,
					   sizeof(ah)));
	qt_set_port(&ss, 0);
	EXPECT_ERRNO(EINVAL, ah_create(&self->a, &ss, len, 0, &ah));
	ss.ss_family = ss.ss_family == AF_INET ? AF_INET6 : AF_INET;
	EXPECT_ERRNO(EAFNOSUPPORT, ah_create(&self->a, &ss, len, 0, &ah));

	/* and none of it did any harm */
	ASSERT_EQ(0, make_at(self->be, QT_SERVER, &self->b));
	EXPECT_TRUE(delivered(&self->a, handle(&self->a, &self->b), &self->b));
}

/* The answer cannot be written: there is no handle either */
TEST_F(ud, answer_unwritable)
{
	struct qp_ah *ah = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct qp_ah ok;

	ASSERT_NE(MAP_FAILED, ah);
	*ah = (struct qp_ah){ (unsigned long)&self->b.addr, self->b.len };
	ASSERT_EQ(0, mprotect(ah, 4096, PROT_READ));
	EXPECT_ERRNO(EFAULT, lq_sys_setopt(self->a.q.fd, QP_AH_CREATE, ah,
					   sizeof(*ah)));
	ASSERT_EQ(0, ah_create(&self->a, &self->b.addr, self->b.len, 0, &ok));
	EXPECT_EQ(1, ok.ah);
	munmap(ah, 4096);
}

/* One that is bound to no address finds its device as it needs it */
TEST_F(ud, bound_by_routing)
{
	struct qp_desc d = ud_desc(RING, RING);
	__be16 port = htons(4321);
	struct qp_ah ah;

	for (int any = 0; any < 2; any++) {
		self->c.len = any ? self->a.len : 0;
		memset(&self->c.addr, 0, sizeof(self->c.addr));
		self->c.addr.ss_family = self->be->domain;
		qt_set_port(&self->c.addr, port);
		d.addr = any ? (unsigned long)&self->c.addr : 0;
		d.addrlen = self->c.len;
		ASSERT_EQ(0, qt_open(self->be, &self->c.q, 0, &d));
		ASSERT_EQ(0, qt_buf(&self->c.buf, self->c.q.fd, BUF,
				    LQ_ACCESS_ALL));
		EXPECT_EQ(QP_STATE_IDLE, state(&self->c));
		EXPECT_EQ(0, port_qpn(&self->c));
		EXPECT_ERRNO(ENOTCONN, POST(&self->c.q, .op = QP_OP_SEND,
					    .rkey = 1));
		ASSERT_EQ(0, ah_create(&self->c, &self->b.addr, self->b.len, 0,
				       &ah));
		EXPECT_EQ(QP_STATE_RTS, state(&self->c));
		self->c.len = sizeof(self->c.addr);
		ASSERT_EQ(0, getsockname(self->c.q.fd, (void *)&self->c.addr,
					 &self->c.len));
		EXPECT_TRUE(same_host(&self->c.addr, &self->a.addr));
		EXPECT_NE(0, *qt_port(&self->c.addr));
		EXPECT_TRUE(!any || *qt_port(&self->c.addr) == port);
		EXPECT_TRUE(delivered(&self->c, ah.ah, &self->b));
		EXPECT_TRUE(delivered(&self->b, handle(&self->b, &self->c),
				      &self->c));
		unmake(&self->c);
	}
}

/* A completion queue for all: the one that has room for a source */
TEST_F(ud, shared_cq)
{
	struct qp_desc d = lq_desc(RING, RING, 0);
	struct lq rc, other;
	struct qp_ud_cqe c;

	d.cq_entries = 0;
	d.share_fd = self->b.q.fd;
	ASSERT_EQ(0, qt_open_server(self->be, &rc, QP_SHARE_CQ, &d));
	EXPECT_EQ(sizeof(c), rc.desc.cq.entry_size);
	lq_close(&rc);

	d = lq_desc(RING, RING, 0);
	ASSERT_EQ(0, qt_open_server(self->be, &rc, 0, &d));
	EXPECT_EQ(sizeof(struct qp_cqe), rc.desc.cq.entry_size);
	d = ud_desc(RING, RING);
	d.cq_entries = 0;
	d.share_fd = rc.fd;
	EXPECT_ERRNO(EINVAL, qt_open_server(self->be, &other, QP_SHARE_CQ, &d));
	lq_close(&rc);

	d.share_fd = self->b.q.fd;
	self->c.len = self->be->address(&self->c.addr);
	ASSERT_EQ(0, make(self->be, QT_SERVER, &self->c, QP_SHARE_CQ, &d));
	ASSERT_EQ(0, receive(&self->c, 5, NULL, 0));
	ASSERT_EQ(0, post(&self->a, handle(&self->a, &self->c), 6, NULL, 0));
	EXPECT_CQE(&self->a.q, 6, QP_WC_SUCCESS, QP_OP_SEND);
	ASSERT_EQ(0, wait_ud(&self->b, &c, LONG_MS));
	EXPECT_EQ(5, c.cqe.user_data);
	EXPECT_EQ(self->c.q.desc.qpn, c.cqe.qpn);
	EXPECT_TRUE(same_host(c.src, &self->a.addr));
}

/* Completions that are not consumed: what comes meanwhile waits, or is lost */
TEST_F(ud, full_cq)
{
	struct qp_desc d = ud_desc(RING, RING);
	struct qp_ud_cqe c;
	__u32 ah;

	d.sq_entries = 0;
	d.cq_entries = 4;
	self->c.len = self->be->address(&self->c.addr);
	ASSERT_EQ(0, make(self->be, QT_SERVER, &self->c, 0, &d));
	ah = handle(&self->a, &self->c);
	ASSERT_NE(0, ah);
	for (int i = 0; i < RING; i++)
		ASSERT_EQ(0, receive(&self->c, i, self->c.buf.p, MTU));
	for (int i = 0; i < RING; i++) {
		ASSERT_EQ(0, post(&self->a, ah, i, self->a.buf.p, i));
		EXPECT_CQE(&self->a.q, i, QP_WC_SUCCESS, QP_OP_SEND);
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, wait_ud(&self->c, &c, LONG_MS));
		EXPECT_EQ(i, c.cqe.user_data);
		EXPECT_EQ(i, c.cqe.byte_len);
		EXPECT_TRUE(same_host(c.src, &self->a.addr));
	}
	EXPECT_EQ(QP_STATE_RTS, state(&self->c));
}

/*
 * sendmsg() and recvmsg()
 */

union ctl {
	struct cmsghdr h;
	char space[2 * CMSG_SPACE(sizeof(__u32))];
};

/* The value of a control message, or 0 */
static __u32 ctl_find(struct msghdr *msg, int type)
{
	__u32 val = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_QP && c->cmsg_type == type)
			memcpy(&val, CMSG_DATA(c), sizeof(val));
	return val;
}

static void ctl_put(struct msghdr *msg, union ctl *ctl, int type, __u32 val)
{
	ctl->h = (struct cmsghdr){ CMSG_LEN(sizeof(val)), SOL_QP, type };
	memcpy(CMSG_DATA(&ctl->h), &val, sizeof(val));
	msg->msg_control = ctl;
	msg->msg_controllen = CMSG_SPACE(sizeof(val));
}

/* Both without rings */
static int plain_ends(UD *self)
{
	unmake(&self->a);
	unmake(&self->b);
	return make_plain(self->be, QT_CLIENT, &self->a) ||
	       make_plain(self->be, QT_SERVER, &self->b);
}

static ssize_t say(const struct end *from, const void *p, size_t len,
		   const struct end *to)
{
	return sendto(from->q.fd, p, len, 0, (const void *)&to->addr, to->len);
}

TEST_F(ud, messages)
{
	static const __u32 sizes[] = { 0, 1, 100, MTU - 1, MTU };
	struct sockaddr_storage ss;
	struct iovec iov = { self->b.buf.p, BUF };
	union ctl ctl;
	struct msghdr msg = {
		.msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl,
	};
	struct qp_info info;

	ASSERT_EQ(0, plain_ends(self));
	iov.iov_base = self->b.buf.p;
	EXPECT_ERRNO(EAGAIN, recv(self->b.q.fd, &ss, 1, MSG_DONTWAIT));
	EXPECT_EQ(0, qt_poll(self->b.q.fd, POLLIN, 0));
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		qt_fill(self->a.buf.p, sizes[i], i);
		ASSERT_EQ(sizes[i], say(&self->a, self->a.buf.p, sizes[i],
					&self->b)) {
			TH_LOG("%s", strerror(errno));
		}
		ASSERT_EQ(POLLIN, qt_poll(self->b.q.fd, POLLIN, LONG_MS));
		msg.msg_namelen = sizeof(ss);
		msg.msg_controllen = sizeof(ctl);
		ASSERT_EQ(sizes[i], recvmsg(self->b.q.fd, &msg, 0));
		EXPECT_EQ(-1, qt_differ(self->b.buf.p, sizes[i], i));
		EXPECT_EQ(MSG_EOR, msg.msg_flags & (MSG_EOR | MSG_TRUNC));
		EXPECT_EQ(self->a.len, msg.msg_namelen);
		EXPECT_TRUE(same_host(&ss, &self->a.addr));
		EXPECT_EQ(port_qpn(&self->a), ctl_find(&msg, QP_CMSG_SRC_QPN));
		EXPECT_EQ(0, ctl_find(&msg, QP_CMSG_IMM));
	}
	EXPECT_ERRNO(EMSGSIZE, say(&self->a, self->a.buf.p, MTU + 1, &self->b));

	/* cut off, looked at first */
	ASSERT_EQ(100, say(&self->a, self->a.buf.p, 100, &self->b));
	iov.iov_len = 60;
	msg.msg_namelen = sizeof(ss);
	msg.msg_controllen = 0;
	ASSERT_EQ(60, recvmsg(self->b.q.fd, &msg, MSG_PEEK));
	EXPECT_EQ(self->a.len, msg.msg_namelen);
	ASSERT_EQ(100, recvmsg(self->b.q.fd, &msg, MSG_TRUNC));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags & MSG_TRUNC);
	EXPECT_EQ(-1, qt_differ(self->b.buf.p, 60, ARRAY_SIZE(sizes) - 1));

	ASSERT_EQ(0, lq_info(self->b.q.fd, &info));
	EXPECT_EQ(ARRAY_SIZE(sizes) + 1, info.rx_msgs);
}

/* Answers by what recvmsg() says of the sender, and by a handle of one's own */
TEST_F(ud, answers)
{
	struct sockaddr_storage ss = {};
	struct iovec iov = { "abc", 3 };
	union ctl ctl;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct qp_ah back;
	char c[8] = "";

	ASSERT_EQ(0, plain_ends(self));
	ctl_put(&msg, &ctl, QP_CMSG_IMM, 0x4321);
	msg.msg_name = &self->b.addr;
	msg.msg_namelen = self->b.len;
	ASSERT_EQ(3, sendmsg(self->a.q.fd, &msg, 0));

	iov = (struct iovec){ c, sizeof(c) };
	msg = (struct msghdr){
		.msg_name = &ss, .msg_namelen = sizeof(ss), .msg_iov = &iov,
		.msg_iovlen = 1, .msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
	};
	ASSERT_EQ(3, recvmsg(self->b.q.fd, &msg, 0));
	EXPECT_EQ(0x4321, ctl_find(&msg, QP_CMSG_IMM));
	ASSERT_EQ(0, ah_create(&self->b, &ss, msg.msg_namelen,
			       ctl_find(&msg, QP_CMSG_SRC_QPN), &back)) {
		TH_LOG("%s", strerror(errno));
	}

	iov.iov_len = 2;
	msg.msg_name = NULL;
	msg.msg_namelen = 0;
	ctl_put(&msg, &ctl, QP_CMSG_AH, back.ah);
	ASSERT_EQ(2, sendmsg(self->b.q.fd, &msg, 0));
	EXPECT_EQ(2, recv(self->a.q.fd, c, sizeof(c), 0));

	/* not both, not one that there is not */
	msg.msg_name = &self->a.addr;
	msg.msg_namelen = self->a.len;
	EXPECT_ERRNO(EINVAL, sendmsg(self->b.q.fd, &msg, 0));
	msg.msg_namelen = 0;
	ctl_put(&msg, &ctl, QP_CMSG_AH, back.ah + 1);
	EXPECT_ERRNO(EINVAL, sendmsg(self->b.q.fd, &msg, 0));
	ctl_put(&msg, &ctl, QP_CMSG_SRC_QPN, 5);
	EXPECT_ERRNO(EINVAL, sendmsg(self->b.q.fd, &msg, 0));
	EXPECT_ERRNO(EINVAL, sendto(self->b.q.fd, c, 1, 0, (void *)&ss, 4));
	ss.ss_family = AF_UNIX;
	EXPECT_ERRNO(EAFNOSUPPORT, sendto(self->b.q.fd, c, 1, 0, (void *)&ss,
					  self->a.len));
}

/* qp_connect() says where messages go that say nothing themselves */
TEST_F(ud, connected)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char c[8];

	EXPECT_ERRNO(EDESTADDRREQ, send(self->a.q.fd, "x", 1, 0));
	ASSERT_EQ(0, lq_sys_connect(self->a.q.fd, &self->b.addr, self->b.len));
	ASSERT_EQ(0, getpeername(self->a.q.fd, (void *)&ss, &len));
	EXPECT_EQ(0, memcmp(&ss, &self->b.addr, self->b.len));
	EXPECT_TRUE(delivered(&self->a, 0, &self->b));

	/* another one */
	ASSERT_EQ(0, make_plain(self->be, QT_SERVER, &self->c));
	ASSERT_EQ(0, lq_sys_connect(self->a.q.fd, &self->c.addr, self->c.len));
	ASSERT_EQ(2, send(self->a.q.fd, "hi", 2, 0));
	EXPECT_EQ(2, recv(self->c.q.fd, c, sizeof(c), 0));
	ASSERT_EQ(0, post(&self->a, 0, 9, self->a.buf.p, 5));
	EXPECT_CQE(&self->a.q, 9, QP_WC_SUCCESS, QP_OP_SEND);
	EXPECT_EQ(5, recv(self->c.q.fd, c, sizeof(c), 0));

	/* one that is not there changes nothing */
	unmake(&self->b);
	EXPECT_ERRNO(ECONNREFUSED, lq_sys_connect(self->a.q.fd, &self->b.addr,
						  self->b.len));
	ASSERT_EQ(1, send(self->a.q.fd, "x", 1, 0));
	EXPECT_EQ(1, recv(self->c.q.fd, c, sizeof(c), 0));

	/* nowhere */
	ss.ss_family = AF_UNSPEC;
	ASSERT_EQ(0, lq_sys_connect(self->a.q.fd, &ss, sizeof(ss)));
	EXPECT_ERRNO(ENOTCONN, getpeername(self->a.q.fd, (void *)&ss, &len));
	EXPECT_ERRNO(EDESTADDRREQ, send(self->a.q.fd, "x", 1, 0));
	EXPECT_ERRNO(EDESTADDRREQ, POST(&self->a.q, .op = QP_OP_SEND));
}

/* More correspondents than names are remembered of, each of whom is reached */
TEST_F(ud, many_names)
{
	struct end peers[80];
	char c[8];

	ASSERT_EQ(0, plain_ends(self));
	for (int i = 0; i < ARRAY_SIZE(peers); i++) {
		peers[i] = (struct end){ .len = self->b.len,
					 .addr = self->b.addr };
		qt_set_port(&peers[i].addr, htons(20000 + i));
		ASSERT_EQ(0, make(self->be, QT_SERVER, &peers[i], 0,
				  &(struct qp_desc){
					.size = sizeof(struct qp_desc),
					.type = QP_UD, .share_fd = -1 })) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < ARRAY_SIZE(peers); i++) {
			ASSERT_EQ(3, say(&self->a, "hey", 3, &peers[i]));
			ASSERT_EQ(3, recv(peers[i].q.fd, c, sizeof(c), 0));
		}
	for (int i = 0; i < ARRAY_SIZE(peers); i++)
		unmake(&peers[i]);
}

/* A peer that is made anew at the same address is found again */
TEST_F(ud, peer_made_anew)
{
	struct qp_desc d = ud_desc(0, 0);
	char c[8];
	int i;

	ASSERT_EQ(0, plain_ends(self));
	ASSERT_EQ(1, say(&self->a, "1", 1, &self->b));
	ASSERT_EQ(1, recv(self->b.q.fd, c, sizeof(c), 0));
	unmake(&self->b);
	ASSERT_EQ(0, make(self->be, QT_SERVER, &self->b, QP_NONBLOCK, &d));
	/* what is remembered of the name holds 10 s */
	for (i = 0; i < 150; i++) {
		ASSERT_EQ(1, say(&self->a, "2", 1, &self->b));
		if (qt_poll(self->b.q.fd, POLLIN, 100) & POLLIN)
			break;
	}
	EXPECT_GT(150, i);
	EXPECT_LT(10, i);
	EXPECT_EQ(1, recv(self->b.q.fd, c, sizeof(c), 0));
}

/* A burst: as many are kept as SO_RCVBUF has room for, and none is garbled */
TEST_F(ud, burst)
{
	char buf[MTU];
	int n = 0;

	ASSERT_EQ(0, plain_ends(self));
	for (int i = 0; i < 40; i++) {
		qt_fill(buf, MTU, i);
		ASSERT_EQ(MTU, say(&self->a, buf, MTU, &self->b));
	}
	while (qt_poll(self->b.q.fd, POLLIN, 500) & POLLIN) {
		ASSERT_EQ(MTU, recv(self->b.q.fd, buf, MTU, 0));
		EXPECT_EQ(-1, qt_differ(buf, MTU, n));
		n++;
	}
	EXPECT_EQ(40, n);
}

/* recvmsg() on one that has a receive queue */
TEST_F(ud, message_with_ring)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char c[8];
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		for (int i = 0; i < 200; i++) {
			if (say(&self->a, "late", 4, &self->b) != 4)
				_exit(1);
			usleep(50000);
		}
		_exit(0);
	}
	EXPECT_EQ(4, recvfrom(self->b.q.fd, c, sizeof(c), 0, (void *)&ss, &len));
	EXPECT_TRUE(same_host(&ss, &self->a.addr));
	kill(pid, SIGKILL);
	qt_reap(pid);
}

/*
 * Programs of librdmacm
 */

#define UDADDY_PORT	7174
#define UDADDY_SIZE	100

/*
 * udaddy(1) on a host, or what does the same with GIDs, and is where this program is. It
 * ends when it has sent and received one message.
 */
static pid_t run_udaddy(UD *self, enum qt_host host, char option)
{
	char addr[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	pid_t pid;

	inet_ntop(qt_ip(&self->b.addr, &ip), &ip, addr, sizeof(addr));
	pid = fork();
	if (!pid && self->be->flags & F_IB)
		_exit(qt_sh(self->be->hosts, host,
			    "exec $(dirname $(readlink /proc/%d/exe))/qp_udaddy "
			    "-%c %s %d %d", getpid(), option, addr, UDADDY_PORT,
			    UDADDY_SIZE));
	if (!pid)
		_exit(qt_sh(self->be->hosts, host,
			    "exec udaddy -%c %s -C 1 -S %d >/dev/null 2>&1",
			    option, addr, UDADDY_SIZE));
	return pid;
}

/* Its messages have its number as immediate data, and are answered by that */
static int udaddy_send(struct end *e, __u32 ah)
{
	return POST(&e->q, .op = QP_OP_SEND_IMM, .id = 9, .p = e->buf.p,
		    .len = UDADDY_SIZE, .lkey = e->buf.mem.lkey, .rkey = ah,
		    .imm = htonl(port_qpn(e)), .flags = SIGNALED);
}

TEST_F(ud, librdmacm)
{
	struct sockaddr_storage ss = self->b.addr;
	struct qp_desc d = ud_desc(RING, RING);
	struct qp_ud_cqe c;
	struct qp_ah ah;
	pid_t pid;
	int i;

	if (!(self->be->flags & F_IB) && access("/usr/bin/udaddy", X_OK))
		SKIP(return, "no udaddy(1)");
	/* it listens */
	qt_set_port(&ss, htons(UDADDY_PORT));
	pid = run_udaddy(self, QT_SERVER, 'b');
	ASSERT_LE(0, pid);
	for (i = 0; i < 100 && ah_create(&self->a, &ss, self->b.len, 0, &ah);
	     i++)
		usleep(50000);
	ASSERT_GT(100, i) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, receive(&self->a, 8, self->a.buf.p + MTU, MTU));
	ASSERT_EQ(0, udaddy_send(&self->a, ah.ah));
	EXPECT_CQE(&self->a.q, 9, QP_WC_SUCCESS, QP_OP_SEND_IMM);
	ASSERT_EQ(0, wait_ud(&self->a, &c, LONG_MS));
	EXPECT_EQ(8, c.cqe.user_data);
	EXPECT_EQ(UDADDY_SIZE, c.cqe.byte_len);
	EXPECT_EQ(ah.qpn, c.cqe.src_qpn);
	EXPECT_EQ(0, qt_reap(pid));

	/* it asks */
	self->c.addr = ss;
	self->c.len = self->b.len;
	ASSERT_EQ(0, make(self->be, QT_SERVER, &self->c, 0, &d));
	ASSERT_EQ(0, receive(&self->c, 8, self->c.buf.p + MTU, MTU));
	pid = run_udaddy(self, QT_CLIENT, 's');
	ASSERT_LE(0, pid);
	ASSERT_EQ(0, wait_ud(&self->c, &c, LONG_MS));
	EXPECT_EQ(UDADDY_SIZE, c.cqe.byte_len);
	EXPECT_EQ(c.cqe.src_qpn, ntohl(c.cqe.imm_data));
	ASSERT_EQ(0, ah_create(&self->c, c.src, self->b.len, c.cqe.src_qpn,
			       &ah));
	ASSERT_EQ(0, udaddy_send(&self->c, ah.ah));
	EXPECT_EQ(0, qt_reap(pid));
}

/*
 * What breaks
 */

struct blocked {
	struct end *e;
	const struct end *to;
	ssize_t ret;
	int err;
};

static void *block_in_recv(void *arg)
{
	struct blocked *b = arg;
	char c;

	b->ret = recv(b->e->q.fd, &c, 1, 0);
	b->err = errno;
	return NULL;
}

static void *block_in_enter(void *arg)
{
	struct blocked *b = arg;

	b->ret = lq_enter(&b->e->q, 0, 1, -1);
	return NULL;
}

static void *block_in_resolving(void *arg)
{
	struct blocked *b = arg;
	struct sockaddr_storage ss = b->to->addr;

	qt_change_host(&ss, 99);
	b->ret = sendto(b->e->q.fd, "x", 1, MSG_NOSIGNAL, (void *)&ss,
			b->to->len);
	b->err = errno;
	return NULL;
}

/* The device goes while all sorts of calls wait */
TEST_F_TIMEOUT(ud, device_deleted, 120)
{
	struct blocked recv = { .e = &self->c }, enter = { .e = &self->a };
	struct blocked resolve = { .e = &self->c, .to = &self->b };
	pthread_t t[3];
	struct qp_cqe c;

	unmake(&self->a);
	unmake(&self->b);
	ASSERT_EQ(0, qt_hosts(self->be->hosts));
	ASSERT_EQ(0, make_at(self->be, QT_SERVER, &self->b));
	for (int i = 0; i < 2; i++) {
		__u32 ah;

		ASSERT_EQ(0, make_at(self->be, QT_CLIENT, &self->a));
		ASSERT_EQ(0, make_plain(self->be, QT_CLIENT, &self->c));
		ah = handle(&self->a, &self->b);
		ASSERT_NE(0, ah);
		EXPECT_TRUE(delivered(&self->a, ah, &self->b));
		ASSERT_EQ(0, receive(&self->a, 55, NULL, 0));
		ASSERT_EQ(0, pthread_create(&t[0], NULL, block_in_recv, &recv));
		ASSERT_EQ(0, pthread_create(&t[1], NULL, block_in_enter,
					    &enter));
		ASSERT_EQ(0, pthread_create(&t[2], NULL, block_in_resolving,
					    &resolve));
		usleep(1000 * SHORT_MS);
		ASSERT_EQ(0, i ? qt_sh(self->be->hosts, QT_CLIENT,
				       "ip link del veth0") :
				 qt_device_delete(self->be->hosts, QT_CLIENT));
		for (int j = 0; j < ARRAY_SIZE(t); j++)
			ASSERT_EQ(0, pthread_join(t[j], NULL));
		EXPECT_EQ(0, recv.ret);
		EXPECT_EQ(-1, resolve.ret);
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.q.fd, 0, 0));
		EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->c.q.fd, 0, 0));
		EXPECT_CQE(&self->a.q, 55, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);

		/* it takes work, and flushes it */
		EXPECT_EQ(QP_STATE_ERROR, state(&self->a));
		EXPECT_EQ(0, port_qpn(&self->a));
		ASSERT_EQ(0, post(&self->a, ah, 66, NULL, 0));
		EXPECT_CQE(&self->a.q, 66, QP_WC_WR_FLUSH_ERR, QP_OP_SEND);
		EXPECT_EQ(-1, lq_wait(&self->a.q, &c, LONG_MS));
		EXPECT_EQ(ESHUTDOWN, errno);
		EXPECT_EQ(0, handle(&self->a, &self->b));
		EXPECT_ERRNO(EPIPE, sendto(self->c.q.fd, "x", 1, MSG_NOSIGNAL,
					   (void *)&self->b.addr,
					   self->b.len));
		EXPECT_EQ(0, ah_destroy(&self->a, ah));
		unmake(&self->a);
		unmake(&self->c);
		if (!i)
			ASSERT_EQ(0, qt_device_add(self->be->hosts, QT_CLIENT));
	}
}

TEST_F(ud, shut_down)
{
	ASSERT_NE(0, handle(&self->a, &self->b));
	ASSERT_EQ(0, receive(&self->a, 5, NULL, 0));
	ASSERT_EQ(0, shutdown(self->a.q.fd, SHUT_RDWR));
	EXPECT_CQE(&self->a.q, 5, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(self->a.q.fd, 0, 0));
	EXPECT_EQ(QP_STATE_RTS, state(&self->b));
}

/* Killed while it is busy; the others go on */
TEST_F_TIMEOUT(ud, killed, 120)
{
	__u32 ah = handle(&self->a, &self->b);
	int before = qt_proc_lines();

	ASSERT_NE(0, ah);
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct end e;
			__u32 to;

			if (make_at(self->be, QT_CLIENT, &e))
				_exit(1);
			to = handle(&e, &self->b);
			for (;;) {
				receive(&e, 1, NULL, 0);
				if (post_unsignalled(&e, to, MTU) &&
				    errno != EAGAIN)
					_exit(2);
				handle(&e, &self->b);
			}
		}
		usleep(1000 * (50 + 20 * i));
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
		EXPECT_TRUE(delivered(&self->a, ah, &self->b));
	}
	EXPECT_EQ(before, qt_proc_lines());
}

/*
 * Multicast
 */

/* A group of this process' own, for which InfiniBand needs no more than IPv6 */
static socklen_t group_address(const struct end *e, struct sockaddr_storage *ss,
			       __u8 n)
{
	struct in6_addr group = { .s6_addr = { 0xff, 0x15, [14] = n, 0x77 } };
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_ib *ib = (void *)ss;
	struct sockaddr_in *in = (void *)ss;
	struct in6_addr own;
	int version = qt_ip(&e->addr, &own);
	__be32 group4 = htonl(0xef010203 + (n << 8));

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = e->addr.ss_family;
	if (ss->ss_family == AF_INET) {
		in->sin_addr.s_addr = group4;
		return sizeof(*in);
	}
	if (ss->ss_family == AF_INET6) {
		in6->sin6_addr = group;
		return sizeof(*in6);
	}
	if (version == AF_INET)
		group = (struct in6_addr){ .s6_addr32 = { 0, 0, htonl(0xffff),
							  group4 } };
	memcpy(&ib->sib_addr, &group, sizeof(group));
	return sizeof(*ib);
}

static int membership(const struct end *e, int opt, __u8 n, __u32 flags,
		      __u32 *ah)
{
	struct sockaddr_storage ss;
	struct qp_mcast m = {
		.addr = (unsigned long)&ss,
		.addrlen = group_address(e, &ss, n),
		.flags = flags,
	};
	int err = lq_sys_setopt(e->q.fd, opt, &m, sizeof(m));

	if (ah)
		*ah = m.ah;
	return err;
}

static int join(const struct end *e, __u8 n, __u32 flags, __u32 *ah)
{
	return membership(e, QP_MCAST_JOIN, n, flags, ah);
}

static int leave(const struct end *e, __u8 n)
{
	return membership(e, QP_MCAST_LEAVE, n, 0, NULL);
}

/* Does the host say that it belongs to the group, within a moment? */
static bool host_joined(UD *self, enum qt_host host, __u8 n, bool want)
{
	struct in6_addr ip;
	char addr[32];

	if (self->be->flags & F_IB) {
		snprintf(addr, sizeof(addr), "ff15::%x", n << 8 | 0x77);
		return qt_sm_member(self->be->hosts, host, addr, want);
	}
	if (qt_ip(&self->a.addr, &ip) == AF_INET)
		snprintf(addr, sizeof(addr), "239[.]1[.]%d[.]3\\b", 2 + n);
	else
		snprintf(addr, sizeof(addr), "ff15::%x\\b", n << 8 | 0x77);
	return !qt_sh(self->be->hosts, host,
		      "for i in $(seq 40); do "
		      "ip maddr show dev veth0 | grep -qE '%s'; "
		      "[ $? = %d ] && exit 0; sleep .05; done; exit 1",
		      addr, !want);
}

/* Post receives everywhere, send to the group, and see who got it */
static int heard(UD *self, __u32 ah, __u32 len)
{
	struct end *ends[] = { &self->a, &self->b, &self->c };
	int who = 0;

	for (int i = 0; i < 3; i++)
		if (receive(ends[i], 10 + i, ends[i]->buf.p + MTU, MTU))
			return -1;
	qt_fill(self->a.buf.p, len, len);
	if (post_unsignalled(&self->a, ah, len))
		return -1;
	for (int i = 0; i < 3; i++) {
		struct qp_ud_cqe c;

		if (wait_ud(ends[i], &c, 20 * SHORT_MS))
			continue;
		if (c.cqe.status || c.cqe.opcode != QP_OP_RECV ||
		    c.cqe.byte_len != len ||
		    c.cqe.src_qpn != port_qpn(&self->a) ||
		    !same_host(c.src, &self->a.addr) ||
		    qt_differ(ends[i]->buf.p + MTU, len, len) >= 0)
			return -1;
		who |= 1 << i;
	}
	return who;
}

enum { A = 1, B = 2, C = 4 };

TEST_F(ud, multicast)
{
	__u32 ah, other;

	ASSERT_EQ(0, make_at(self->be, QT_SERVER, &self->c));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	ASSERT_EQ(0, join(&self->a, 0, 0, &ah)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_LE(1, ah);
	ASSERT_EQ(0, join(&self->b, 0, 0, &other));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 0, true));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));

	/* who belongs to it hears it, but for oneself */
	EXPECT_EQ(B, heard(self, ah, 10));
	ASSERT_EQ(0, join(&self->c, 0, 0, &other));
	EXPECT_EQ(B | C, heard(self, ah, MTU));
	EXPECT_EQ(B | C, heard(self, ah, 0));
	ASSERT_EQ(0, leave(&self->b, 0));
	EXPECT_EQ(C, heard(self, ah, 100));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));
	ASSERT_EQ(0, leave(&self->c, 0));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	EXPECT_EQ(0, heard(self, ah, 100));

	/* also who goes without a word leaves */
	ASSERT_EQ(0, join(&self->c, 0, 0, &other));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));
	unmake(&self->c);
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	ASSERT_EQ(0, leave(&self->a, 0));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 0, false));
	EXPECT_ERRNO(EINVAL, POST(&self->a.q, .op = QP_OP_SEND, .rkey = ah));
}

/* One's own messages, if they are asked for */
TEST_F(ud, multicast_loop)
{
	__u32 ah, other;

	ASSERT_EQ(0, make_at(self->be, QT_CLIENT, &self->c));
	ASSERT_EQ(0, join(&self->a, 1, QP_MCAST_LOOP, &ah));
	ASSERT_EQ(0, join(&self->b, 1, 0, &other));
	EXPECT_EQ(A | B, heard(self, ah, 10));
	/* another one's on the same host are not one's own */
	ASSERT_EQ(0, join(&self->c, 1, 0, &other));
	EXPECT_EQ(A | B | C, heard(self, ah, 100));
	ASSERT_EQ(0, leave(&self->a, 1));
	ASSERT_EQ(0, join(&self->a, 1, 0, &ah));
	EXPECT_EQ(B | C, heard(self, ah, 100));
	/* it is a matter of each group */
	ASSERT_EQ(0, join(&self->a, 2, QP_MCAST_LOOP, &ah));
	EXPECT_EQ(A, heard(self, ah, 100));
}

/* Receives that own messages went by are as good as before, and in their order */
TEST_F(ud, own_messages)
{
	struct qp_desc d = ud_desc(RING, RING);
	__u32 mine, theirs, total = 0;
	struct qp_cqe c;

	d.cq_entries = 4;
	self->c.len = self->be->source(&self->c.addr);
	unmake(&self->a);
	ASSERT_EQ(0, make(self->be, QT_CLIENT, &self->c, 0, &d));
	ASSERT_EQ(0, join(&self->c, 3, 0, &mine));
	ASSERT_EQ(0, join(&self->b, 3, QP_MCAST_SENDONLY, &theirs));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, receive(&self->c, i, self->c.buf.p, MTU));
	for (int round = 0; round < 200; round++) {
		ASSERT_EQ(0, post(&self->c, mine, 1000 + round, self->c.buf.p,
				  4));
		EXPECT_CQE(&self->c.q, 1000 + round, QP_WC_SUCCESS, QP_OP_SEND);
		if (round % 10)
			continue;
		usleep(2000);
		ASSERT_EQ(0, post(&self->b, theirs, round, self->b.buf.p, 8));
		EXPECT_CQE(&self->b.q, round, QP_WC_SUCCESS, QP_OP_SEND);
		ASSERT_EQ(0, lq_wait(&self->c.q, &c, LONG_MS));
		EXPECT_EQ(QP_OP_RECV, c.opcode);
		EXPECT_EQ(8, c.byte_len);
		EXPECT_GT(3, c.user_data);
		ASSERT_EQ(0, receive(&self->c, c.user_data, self->c.buf.p, MTU));
		total++;
	}
	EXPECT_EQ(20, total);
	EXPECT_NO_CQE(&self->c.q);
}

/* Who only sends does not belong to it */
TEST_F(ud, multicast_send_only)
{
	struct sockaddr_storage ss;
	socklen_t len = group_address(&self->a, &ss, 4);
	__u32 ah, other;

	ASSERT_EQ(0, make_at(self->be, QT_SERVER, &self->c));
	qt_set_port(&ss, htons(99));
	EXPECT_ERRNO(EHOSTUNREACH, sendto(self->a.q.fd, "x", 1, 0, (void *)&ss,
					  len));
	ASSERT_EQ(0, join(&self->a, 4, QP_MCAST_SENDONLY | QP_MCAST_LOOP, &ah));
	ASSERT_EQ(0, join(&self->b, 4, 0, &other));
	EXPECT_EQ(B, heard(self, ah, 10));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 4, false));
	/* by name, the port of which does not matter */
	ASSERT_EQ(0, receive(&self->b, 30, NULL, 0));
	ASSERT_EQ(0, sendto(self->a.q.fd, "x", 0, 0, (void *)&ss, len));
	EXPECT_CQE(&self->b.q, 30, QP_WC_SUCCESS, QP_OP_RECV);
	ASSERT_EQ(0, lq_sys_connect(self->a.q.fd, &ss, len));
	EXPECT_TRUE(delivered(&self->a, 0, &self->b));
}

TEST_F(ud, multicast_refused)
{
	struct qp_mcast m = { .addr = (unsigned long)&self->b.addr,
			      .addrlen = self->b.len };
	__u32 ah, first;

	EXPECT_ERRNO(EINVAL, lq_sys_setopt(self->a.q.fd, QP_MCAST_JOIN, &m,
					   sizeof(m)));
	EXPECT_ERRNO(EINVAL, join(&self->a, 5, 4, NULL));
	EXPECT_ERRNO(EADDRNOTAVAIL, leave(&self->a, 5));
	ASSERT_EQ(0, join(&self->a, 5, 0, &first));
	EXPECT_ERRNO(EADDRINUSE, join(&self->a, 5, QP_MCAST_LOOP, NULL));
	/* its handle may end, the membership stays */
	ASSERT_EQ(0, ah_destroy(&self->a, first));
	ASSERT_EQ(0, ah_create(&self->a, &self->b.addr, self->b.len, 0,
			       &(struct qp_ah){}));
	ASSERT_EQ(0, leave(&self->a, 5));
	EXPECT_TRUE(delivered(&self->a, first, &self->b));
	EXPECT_ERRNO(EINVAL, membership(&self->a, QP_MCAST_LEAVE, 5, 1, NULL));

	for (int i = 0; i < QP_MAX_MCAST; i++) {
		ASSERT_EQ(0, join(&self->a, 10 + i, 0, &ah)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	EXPECT_ERRNO(ENOBUFS, join(&self->a, 100, 0, &ah));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 10, true));
	/* they end with the queue pair */
	unmake(&self->a);
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 10, false));
}

/* A member loses its device */
TEST_F(ud, multicast_device_deleted)
{
	__u32 ah;

	unmake(&self->a);
	unmake(&self->b);
	ASSERT_EQ(0, qt_hosts(self->be->hosts));
	ASSERT_EQ(0, make_at(self->be, QT_CLIENT, &self->a));
	ASSERT_EQ(0, join(&self->a, 6, 0, &ah));
	ASSERT_EQ(0, receive(&self->a, 1, NULL, 0));
	ASSERT_EQ(0, qt_device_delete(self->be->hosts, QT_CLIENT));
	EXPECT_CQE(&self->a.q, 1, QP_WC_WR_FLUSH_ERR, QP_OP_RECV);
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 6, false));
	EXPECT_EQ(-1, join(&self->a, 7, 0, NULL));
	EXPECT_EQ(0, leave(&self->a, 6));
}

TEST_HARNESS_MAIN
