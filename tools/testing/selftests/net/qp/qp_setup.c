// SPDX-License-Identifier: GPL-2.0
/*
 * Making queue pairs: queue_pair(), getqpopt(), setqpopt(), mmap(), and what
 * happens to descriptors.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "qp_test.h"

/* Bytes of struct qp_desc in its first version */
#define DESC_SIZE_V1	((__u32)offsetof(struct qp_desc, sq_cpu))

FIXTURE(setup)
{
	struct qp_desc d;
};

FIXTURE_VARIANT(setup)
{
	const struct backend *be;
};

VARIANTS(setup)

FIXTURE_SETUP(setup)
{
	self->d = lq_desc(8, 8, 0);
}

FIXTURE_TEARDOWN(setup)
{
}

/* The lowest descriptor that is free: unchanged if nothing leaked */
static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

#define DESC(...) {							\
	.size = sizeof(struct qp_desc), .type = QP_RC,			\
	.sq_entries = 8, .rq_entries = 8, .share_fd = -1, __VA_ARGS__	\
}

static const struct sockaddr_un un_name = {
	.sun_family = AF_UNIX, .sun_path = "\0qp-setup",
};

#define NAME(len)	.addr = (unsigned long)&un_name, .addrlen = (len)

static const struct {
	const char *what;
	int domain;		/* 0: the backend's */
	unsigned int flags;
	struct qp_desc d;
	int err;
} refused[] = {
	{ "flag", 0, 1U << 31, DESC(), EINVAL },
	{ "next flag", 0, QP_SHARE_SQPOLL << 1, DESC(), EINVAL },
	{ "size 0", 0, 0, DESC(.size = 0), EINVAL },
	{ "short size", 0, 0, DESC(.size = DESC_SIZE_V1 - 8), EINVAL },
	{ "huge size", 0, 0, DESC(.size = 1U << 30), E2BIG },
	{ "no domain", 1000, 0, DESC(), EAFNOSUPPORT },
	{ "negative domain", -1, 0, DESC(), EAFNOSUPPORT },
	{ "domain without protocol", AF_APPLETALK, 0, DESC(), EAFNOSUPPORT },
	{ "own domain", AF_QP, 0, DESC(), EAFNOSUPPORT },
	{ "type 0", 0, 0, DESC(.type = 0), EINVAL },
	{ "type", 0, 0, DESC(.type = 77), EINVAL },
	{ "protocol", 0, 0, DESC(.protocol = 77), EPROTONOSUPPORT },
	{ "flags in desc", 0, 0, DESC(.flags = QP_CLOEXEC), EINVAL },
	{ "sq_entries", 0, 0, DESC(.sq_entries = QP_MAX_ENTRIES + 1), EINVAL },
	{ "rq_entries", 0, 0, DESC(.rq_entries = QP_MAX_ENTRIES + 1), EINVAL },
	{ "cq_entries", 0, 0, DESC(.cq_entries = 2 * QP_MAX_ENTRIES + 1),
	  EINVAL },
	{ "all entries", 0, 0, DESC(.sq_entries = -1, .rq_entries = -1), EINVAL },
	{ "max_sge", 0, 0, DESC(.max_sge = QP_MAX_SGE + 1), EINVAL },
	{ "max_inline", 0, 0, DESC(.max_inline = QP_MAX_INLINE + 1), EINVAL },
	{ "backlog", 0, 0, DESC(.backlog = 1), EINVAL },
	{ "listener without address", 0, QP_LISTEN,
	  DESC(.sq_entries = 0, .rq_entries = 0), EINVAL },
	{ "address without length", 0, 0, DESC(.addr = 8), EINVAL },
	{ "length without address", 0, 0, DESC(.addrlen = 8), EINVAL },
	{ "share nothing", 0, QP_SHARE_MEM, DESC(), EBADF },
	{ "share cq of nothing", 0, QP_SHARE_CQ, DESC(), EBADF },
	{ "share cq and have one", 0, QP_SHARE_CQ, DESC(.cq_entries = 8), EINVAL },
	{ "address at NULL", 0, 0, DESC(.addr = 8, .addrlen = 16), EFAULT },
};

TEST_F(setup, refused)
{
	int fd0 = lowest_fd();

	for (int i = 0; i < ARRAY_SIZE(refused); i++) {
		struct qp_desc d = refused[i].d;
		int domain = refused[i].domain ?: variant->be->domain;
		int fd = lq_sys_queue_pair(domain, refused[i].flags, &d);

		EXPECT_EQ(-1, fd) {
			TH_LOG("%s", refused[i].what);
			close(fd);
		}
		EXPECT_EQ(refused[i].err, errno) {
			TH_LOG("%s: %s", refused[i].what, strerror(errno));
		}
		EXPECT_EQ(0, memcmp(&d, &refused[i].d, sizeof(d))) {
			TH_LOG("%s: changed", refused[i].what);
		}
	}
	EXPECT_EQ(fd0, lowest_fd());
	EXPECT_EQ(0, qt_proc_lines());
}

#ifdef QP_LOCAL
static const struct sockaddr_un inet_name = { .sun_family = AF_INET };

static const struct {
	const char *what;
	unsigned int flags;
	struct qp_desc d;
	int err;
} refused_pipe[] = {
	{ "UC", 0, DESC(.type = QP_UC), EOPNOTSUPP },
	{ "UD", 0, DESC(.type = QP_UD), EOPNOTSUPP },
	{ "interface", 0, DESC(.ifindex = 1), EINVAL },
	{ "no name", 0, DESC(NAME(2)), EINVAL },
	{ "no name to listen on", QP_LISTEN,
	  DESC(.sq_entries = 0, .rq_entries = 0, NAME(2)), EINVAL },
	{ "listener with rings", QP_LISTEN, DESC(NAME(12)), EINVAL },
	{ "short name", 0, DESC(NAME(1)), EINVAL },
	{ "long name", 0, DESC(NAME(sizeof(un_name) + 1)), EINVAL },
	{ "longer name", 0, DESC(NAME(1U << 31)), EINVAL },
	{ "other family", 0, DESC(.addr = (unsigned long)&inet_name,
				  .addrlen = sizeof(inet_name)), EINVAL },
};

TEST(refused_by_pipe)
{
	for (int i = 0; i < ARRAY_SIZE(refused_pipe); i++) {
		struct qp_desc d = refused_pipe[i].d;
		int fd = lq_sys_queue_pair(AF_UNIX, refused_pipe[i].flags, &d);

		EXPECT_EQ(-1, fd) {
			TH_LOG("%s", refused_pipe[i].what);
			close(fd);
		}
		EXPECT_EQ(refused_pipe[i].err, errno) {
			TH_LOG("%s: %s", refused_pipe[i].what, strerror(errno));
		}
	}
	EXPECT_EQ(0, qt_proc_lines());
}
#endif

TEST_F_CORE(setup, desc_memory)
{
	void *ro = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd0 = lowest_fd();

	ASSERT_NE(MAP_FAILED, ro);
	EXPECT_ERRNO(EFAULT, lq_sys_queue_pair(variant->be->domain, 0, NULL));
	EXPECT_ERRNO(EFAULT, lq_sys_queue_pair(variant->be->domain, 0,
					       (void *)-8UL));

	/* the answer cannot be written: nothing may stay behind */
	memcpy(ro, &self->d, sizeof(self->d));
	ASSERT_EQ(0, mprotect(ro, 4096, PROT_READ));
	EXPECT_ERRNO(EFAULT, lq_sys_queue_pair(variant->be->domain, 0, ro));
	EXPECT_EQ(fd0, lowest_fd());
	EXPECT_EQ(0, qt_proc_lines());
	munmap(ro, 4096);
}

/* A structure from a newer header: accepted while its news are zero */
TEST_F_CORE(setup, grown_desc)
{
	struct {
		struct qp_desc d;
		__u64 news[4];
	} big = { .d = self->d };
	int fd;

	big.d.size = sizeof(big);
	fd = lq_sys_queue_pair(variant->be->domain, 0, &big.d);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, big.news[0]);
	close(fd);

	big.d = self->d;
	big.d.size = sizeof(big);
	big.news[3] = 1ULL << 63;
	EXPECT_ERRNO(E2BIG, lq_sys_queue_pair(variant->be->domain, 0, &big.d));
}

/* A program that was compiled with the first version of the structure */
TEST_F_CORE(setup, old_desc)
{
	struct qp_desc d = self->d;
	struct lq q;

	d.size = DESC_SIZE_V1;
	d.sq_cpu = 12345;	/* is not the kernel's to read or write */
	d.sq_idle = 54321;
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &d));
	EXPECT_EQ(DESC_SIZE_V1, q.desc.size);
	EXPECT_EQ(12345, q.desc.sq_cpu);
	EXPECT_EQ(54321, q.desc.sq_idle);
	lq_close(&q);
}

static const struct {
	__u32 sq, rq, cq, want_sq, want_rq, want_cq;
} rings[] = {
	{ 1, 1, 0, 1, 1, 2 },
	{ 8, 8, 0, 8, 8, 16 },
	{ 5, 9, 0, 8, 16, 32 },
	{ 100, 0, 0, 128, 0, 128 },
	{ 0, 100, 0, 0, 128, 128 },
	{ 8, 8, 1, 8, 8, 1 },
	{ 3, 3, 3, 4, 4, 4 },
	{ 0, 0, 0, 0, 0, 0 },
	{ 0, 0, 4, 0, 0, 4 },
};

static bool ring_fits(const struct qp_ring_desc *r, __u32 want, __u32 entry)
{
	if (r->entries != want)
		return false;
	if (!want)
		return !r->len;
	return r->entry_size >= entry && !(r->entry_size % 8) &&
	       !(r->first % 8) && !(r->off % getpagesize()) &&
	       r->first + (__u64)want * r->entry_size <= r->len &&
	       r->head + 4 <= r->len && r->tail + 4 <= r->len &&
	       r->flags + 4 <= r->len && r->head != r->tail;
}

TEST_F_CORE(setup, ring_sizes)
{
	for (int i = 0; i < ARRAY_SIZE(rings); i++) {
		struct qp_desc d = lq_desc(rings[i].sq, rings[i].rq, rings[i].cq);
		struct lq q;

		ASSERT_EQ(0, qt_open(variant->be, &q, 0, &d)) {
			TH_LOG("row %d: %s", i, strerror(errno));
		}
		EXPECT_EQ(rings[i].want_sq, q.desc.sq_entries);
		EXPECT_EQ(rings[i].want_rq, q.desc.rq_entries);
		EXPECT_EQ(rings[i].want_cq, q.desc.cq_entries);
		EXPECT_TRUE(ring_fits(&q.desc.sq, rings[i].want_sq,
				      sizeof(struct qp_sqe) + 16));
		EXPECT_TRUE(ring_fits(&q.desc.rq, rings[i].want_rq,
				      sizeof(struct qp_rqe) + 16));
		EXPECT_TRUE(ring_fits(&q.desc.cq, rings[i].want_cq,
				      sizeof(struct qp_cqe)));
		if (q.cq.map) {
			EXPECT_EQ(0, lq_used(&q.cq));
			EXPECT_EQ(0, *q.cq.head);
		}
		lq_close(&q);
	}
}

TEST_F_CORE(setup, biggest)
{
	struct qp_desc d = lq_desc(QP_MAX_ENTRIES, QP_MAX_ENTRIES, 0);
	struct lq q;

	d.max_sge = QP_MAX_SGE;
	d.max_inline = QP_MAX_INLINE;
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &d));
	EXPECT_EQ(QP_MAX_SGE, q.desc.max_sge);
	EXPECT_EQ(QP_MAX_INLINE, q.desc.max_inline);
	EXPECT_EQ(2 * QP_MAX_ENTRIES, q.desc.cq_entries);
	EXPECT_LE(sizeof(struct qp_sqe) + QP_MAX_INLINE, q.desc.sq.entry_size);
	EXPECT_LE(sizeof(struct qp_rqe) + 16 * QP_MAX_SGE,
		  q.desc.rq.entry_size);
	/* all of it is there */
	memset(lq_entry(&q.sq, -1), 0xff, q.sq.entry_size);
	memset(lq_entry(&q.rq, -1), 0xff, q.rq.entry_size);
	EXPECT_EQ(0, *(__u64 *)lq_entry(&q.cq, -1));
	lq_close(&q);
}

TEST_F(setup, answers)
{
	struct lq a, b;

	self->d.max_inline = 33;
	self->d.max_sge = 3;
	ASSERT_EQ(0, qt_open(variant->be, &a, 0, &self->d));
	ASSERT_EQ(0, qt_open(variant->be, &b, 0, &self->d));
	EXPECT_NE(a.desc.qpn, b.desc.qpn);
	EXPECT_EQ(QP_RC, a.desc.type);
	EXPECT_EQ(3, a.desc.max_sge);
	EXPECT_LE(33, a.desc.max_inline);
	EXPECT_GE(a.desc.sq.entry_size,
		  sizeof(struct qp_sqe) + a.desc.max_inline);
	lq_close(&b);
	lq_close(&a);

	self->d.max_sge = 0;
	ASSERT_EQ(0, qt_open(variant->be, &a, 0, &self->d));
	EXPECT_EQ(1, a.desc.max_sge);
	lq_close(&a);

	self->d.protocol = variant->be->protocol;
	ASSERT_EQ(0, qt_open(variant->be, &a, 0, &self->d));
	EXPECT_EQ(variant->be->protocol, a.desc.protocol);
	lq_close(&a);
}

/* Which part of a ring's description a mapping gets wrong */
TEST_F_CORE(setup, mmap)
{
	const int rw = PROT_READ | PROT_WRITE;
	size_t page = getpagesize();
	struct qp_ring_desc *ring[3];
	struct lq q;
	__u64 end = 0;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	ring[0] = &q.desc.sq;
	ring[1] = &q.desc.rq;
	ring[2] = &q.desc.cq;

	for (int i = 0; i < 3; i++) {
		struct qp_ring_desc *r = ring[i];
		size_t len = (r->len + page - 1) / page * page;

		EXPECT_EQ(MAP_FAILED, mmap(NULL, r->len, rw, MAP_PRIVATE, q.fd,
					   r->off));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(MAP_FAILED, mmap(NULL, len + page, rw, MAP_SHARED,
					   q.fd, r->off));
		EXPECT_EQ(EINVAL, errno);
		if (end < r->off + len)
			end = r->off + len;
	}
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, rw, MAP_SHARED, q.fd,
				   1ULL << 40));
	EXPECT_EQ(EINVAL, errno);

	/* mappings outlive the descriptor */
	close(q.fd);
	q.fd = -1;
	lq_store(q.sq.tail, 1);
	EXPECT_EQ(1, lq_load(q.sq.tail));
	lq_close(&q);

	/* no ring, no mapping */
	self->d.sq_entries = 0;
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, rw, MAP_SHARED, q.fd,
				   q.desc.sq.off == q.desc.rq.off ||
				   q.desc.sq.off == q.desc.cq.off ?
				   1ULL << 40 : q.desc.sq.off));
	EXPECT_EQ(EINVAL, errno);
	lq_close(&q);
}

TEST_F_CORE(setup, descriptor_flags)
{
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(0, fcntl(q.fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(0, fcntl(q.fd, F_GETFL) & O_NONBLOCK);
	lq_close(&q);

	ASSERT_EQ(0, qt_open(variant->be, &q,
			     QP_CLOEXEC | QP_NONBLOCK, &self->d));
	EXPECT_NE(0, fcntl(q.fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_NE(0, fcntl(q.fd, F_GETFL) & O_NONBLOCK);
	lq_close(&q);
}

TEST_F(setup, accept_flags)
{
	struct qp_desc peer = self->d;
	struct listener l;
	struct lq a, b;

	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 2));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, qt_open(variant->be, &a, QP_NONBLOCK,
				     &self->d));
		lq_sys_connect(a.fd, &l.addr, l.len);
		peer.flags = i ? QP_CLOEXEC | QP_NONBLOCK : 0;
		ASSERT_EQ(0, lq_accept(&b, l.q.fd, &peer));
		EXPECT_EQ(i, !!(fcntl(b.fd, F_GETFD) & FD_CLOEXEC));
		EXPECT_EQ(i, !!(fcntl(b.fd, F_GETFL) & O_NONBLOCK));
		lq_close(&a);
		lq_close(&b);
	}
	qt_unlisten(&l);
}

TEST_F_CORE(setup, is_a_socket)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int val, sv[2];
	struct lq q;

	EXPECT_ERRNO(EPROTONOSUPPORT, socket(AF_QP, SOCK_SEQPACKET, 0));
	EXPECT_ERRNO(EPROTONOSUPPORT, socket(AF_QP, SOCK_STREAM, 0));

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	ASSERT_EQ(0, fstat(q.fd, &st));
	EXPECT_TRUE(S_ISSOCK(st.st_mode));
	ASSERT_EQ(0, getsockopt(q.fd, SOL_SOCKET, SO_DOMAIN, &val, &len));
	EXPECT_EQ(AF_QP, val);
	ASSERT_EQ(0, getsockopt(q.fd, SOL_SOCKET, SO_TYPE, &val, &len));
	EXPECT_EQ(SOCK_SEQPACKET, val);
	EXPECT_ERRNO(EOPNOTSUPP, listen(q.fd, 1));
	EXPECT_ERRNO(EOPNOTSUPP, bind(q.fd, (void *)&un_name, sizeof(un_name)));
	EXPECT_ERRNO(EOPNOTSUPP, accept(q.fd, NULL, NULL));
	EXPECT_ERRNO(EPROTONOSUPPORT, socketpair(AF_QP, SOCK_SEQPACKET, 0, sv));
	lq_close(&q);
}

/* Options: what may be read, what may be set, and how long it is */
TEST_F(setup, getqpopt)
{
	unsigned int len;
	struct qp_desc d;
	struct {
		struct qp_info i;
		__u64 more[2];
	} info;
	struct lq q;
	__u32 proto;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));

	len = sizeof(d);
	ASSERT_EQ(0, lq_sys_getopt(q.fd, QP_DESC, &d, &len));
	EXPECT_EQ(sizeof(d), len);
	EXPECT_EQ(q.desc.qpn, d.qpn);
	EXPECT_EQ(q.desc.type, d.type);
	EXPECT_EQ(q.desc.sq_entries, d.sq_entries);
	EXPECT_EQ(q.desc.rq_entries, d.rq_entries);
	EXPECT_EQ(q.desc.cq_entries, d.cq_entries);
	EXPECT_EQ(q.desc.max_sge, d.max_sge);
	EXPECT_EQ(q.desc.max_inline, d.max_inline);
	EXPECT_EQ(0, memcmp(&d.sq, &q.desc.sq, sizeof(d.sq)));
	EXPECT_EQ(0, memcmp(&d.rq, &q.desc.rq, sizeof(d.rq)));
	EXPECT_EQ(0, memcmp(&d.cq, &q.desc.cq, sizeof(d.cq)));

	len = sizeof(proto);
	ASSERT_EQ(0, lq_sys_getopt(q.fd, QP_PROTO, &proto, &len));
	EXPECT_EQ(sizeof(proto), len);

	/* longer than the kernel knows: the rest stays, or is zero */
	memset(&info, 0, sizeof(info));
	len = sizeof(info);
	ASSERT_EQ(0, lq_sys_getopt(q.fd, QP_INFO, &info, &len));
	EXPECT_LE(sizeof(info.i), len);
	EXPECT_EQ(0, info.more[0] | info.more[1]);
	EXPECT_EQ(QP_STATE_IDLE, info.i.state);
	EXPECT_EQ(QP_RC, info.i.type);
	EXPECT_EQ(q.desc.qpn, info.i.qpn);
	EXPECT_EQ(0, info.i.sends);
	EXPECT_EQ(0, info.i.mem_regions);

	/* shorter: no byte behind is written */
	memset(&info, 0xaa, sizeof(info));
	len = 8;
	ASSERT_EQ(0, lq_sys_getopt(q.fd, QP_INFO, &info, &len));
	EXPECT_TRUE(qt_all((char *)&info + 8, sizeof(info) - 8, 0xaa));
	EXPECT_EQ(QP_STATE_IDLE, info.i.state);

	len = 3;
	EXPECT_ERRNO(EINVAL, lq_sys_getopt(q.fd, QP_INFO, &info, &len));
	len = sizeof(info);
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_getopt(q.fd, 0, &info, &len));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_getopt(q.fd, 4711, &info, &len));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_getopt(q.fd, -1, &info, &len));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_getopt(q.fd, QP_MEM_REG, &info, &len));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_getopt(q.fd, QP_MEM_DEREG, &info,
						&len));
	EXPECT_ERRNO(EFAULT, lq_sys_getopt(q.fd, QP_INFO, &info, NULL));
	EXPECT_ERRNO(EFAULT, lq_sys_getopt(q.fd, QP_INFO, (void *)8, &len));
	lq_close(&q);
}

TEST_F(setup, setqpopt)
{
	struct qp_mem mem = { 0 };
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_setopt(q.fd, 0, &mem, sizeof(mem)));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_setopt(q.fd, -1, &mem, sizeof(mem)));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_setopt(q.fd, QP_INFO, &mem,
						sizeof(mem)));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_setopt(q.fd, QP_DESC, &mem,
						sizeof(mem)));
	EXPECT_ERRNO(ENOPROTOOPT, lq_sys_setopt(q.fd, QP_MEM_QUERY, &mem,
						sizeof(mem)));
	EXPECT_ERRNO(EFAULT, lq_sys_setopt(q.fd, QP_MEM_REG, NULL,
					   sizeof(mem)));
	EXPECT_ERRNO(EINVAL, lq_sys_setopt(q.fd, QP_MEM_REG, &mem, 4));
	EXPECT_ERRNO(EINVAL, lq_sys_setopt(q.fd, QP_MEM_DEREG, &mem, 1));
	EXPECT_ERRNO(E2BIG, lq_sys_setopt(q.fd, QP_MEM_REG, &mem, 1U << 30));
	lq_close(&q);
}

/* Of a connection on a network; qp_option tests them there */
TEST_F_CORE(setup, options_of_networks)
{
	__u32 val = 1024;
	unsigned int len = sizeof(val);
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	for (int opt = QP_PATH_MTU; opt <= QP_ACK_TIMEOUT; opt++) {
		EXPECT_ERRNO(EOPNOTSUPP, lq_sys_setopt(q.fd, opt, &val, len));
		EXPECT_ERRNO(EOPNOTSUPP, lq_sys_getopt(q.fd, opt, &val, &len));
		EXPECT_ERRNO(EINVAL, lq_sys_setopt(q.fd, opt, &val, 3));
	}
	lq_close(&q);
}

static int enter(int fd)
{
	return lq_sys_enter(fd, 0, 0, 0, NULL);
}

static int connect_qp(int fd)
{
	return lq_sys_connect(fd, &un_name, sizeof(un_name));
}

static int accept_qp(int fd)
{
	struct qp_desc d = lq_desc(1, 1, 0);

	return lq_sys_accept(fd, &d);
}

static int getopt_qp(int fd)
{
	unsigned int len = 4;
	__u32 val;

	return lq_sys_getopt(fd, QP_PROTO, &val, &len);
}

static int setopt_qp(int fd)
{
	struct qp_mem mem = { .length = 1 };

	return lq_sys_setopt(fd, QP_MEM_REG, &mem, sizeof(mem));
}

/* Every call that takes a queue pair, given something else */
TEST(wrong_descriptors)
{
	int (*const calls[])(int fd) = {
		enter, connect_qp, accept_qp, getopt_qp, setopt_qp,
	};
	int file = open("/dev/null", O_RDWR);
	int opath = open("/", O_PATH);
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	for (int i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_ERRNO_AT(EBADF, calls[i](-1), "call %d", i);
		EXPECT_ERRNO_AT(EBADF, calls[i](1000), "call %d", i);
		EXPECT_ERRNO_AT(EBADF, calls[i](opath), "call %d", i);
		EXPECT_ERRNO_AT(ENOTSOCK, calls[i](file), "call %d", i);
		EXPECT_ERRNO_AT(EOPNOTSUPP, calls[i](sock), "call %d", i);
	}
	close(sock);
	close(opath);
	close(file);
}

TEST_F(setup, share_with_others)
{
	struct qp_desc d = self->d;
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	d.share_fd = fds[0];
	EXPECT_ERRNO(ENOTSOCK, lq_sys_queue_pair(variant->be->domain,
						 QP_SHARE_MEM, &d));
	close(fds[0]);
	close(fds[1]);

	fds[0] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	d.share_fd = fds[0];
	EXPECT_ERRNO(EOPNOTSUPP, lq_sys_queue_pair(variant->be->domain,
						   QP_SHARE_MEM, &d));
	EXPECT_ERRNO(EOPNOTSUPP, lq_sys_queue_pair(variant->be->domain,
						   QP_SHARE_CQ, &d));
	close(fds[0]);

	/* no flag: share_fd means nothing */
	d.share_fd = 12345;
	fds[0] = lq_sys_queue_pair(variant->be->domain, 0, &d);
	EXPECT_LE(0, fds[0]);
	close(fds[0]);
}

TEST_F(setup, share_mem)
{
	struct qp_desc d = self->d;
	struct qp_info info;
	struct qt_buf buf;
	struct lq a, b;

	ASSERT_EQ(0, qt_open(variant->be, &a, 0, &d));
	d.share_fd = a.fd;
	ASSERT_EQ(0, qt_open(variant->be, &b, QP_SHARE_MEM, &d));
	ASSERT_EQ(0, qt_buf(&buf, a.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, lq_info(b.fd, &info));
	EXPECT_EQ(1, info.mem_regions);
	EXPECT_EQ(4096, info.mem_bytes);

	/* the table lives as long as the last queue pair with it */
	lq_close(&a);
	ASSERT_EQ(0, lq_info(b.fd, &info));
	EXPECT_EQ(1, info.mem_regions);
	EXPECT_EQ(0, lq_mem_dereg(b.fd, buf.mem.lkey));
	ASSERT_EQ(0, lq_info(b.fd, &info));
	EXPECT_EQ(0, info.mem_regions);
	EXPECT_EQ(0, info.mem_bytes);
	lq_close(&b);
	qt_unbuf(&buf);
}

TEST_F(setup, share_cq)
{
	struct qp_desc d = self->d;
	struct lq a, b;

	ASSERT_EQ(0, qt_open(variant->be, &a, 0, &d));
	d.share_fd = a.fd;
	ASSERT_EQ(0, qt_open(variant->be, &b, QP_SHARE_CQ, &d));
	EXPECT_EQ(a.desc.cq.entries, b.desc.cq.entries);

	/* one ring behind two mappings */
	EXPECT_NE(a.cq.map, b.cq.map);
	lq_store(a.cq.head, 7);
	EXPECT_EQ(7, lq_load(b.cq.head));
	lq_store(a.cq.head, 0);
	lq_close(&a);
	EXPECT_EQ(0, lq_load(b.cq.head));
	lq_close(&b);

	/* nothing to share */
	ASSERT_EQ(0, qt_open(variant->be, &a, 0,
			     &(struct qp_desc)DESC(.sq_entries = 0,
						   .rq_entries = 0)));
	d.share_fd = a.fd;
	EXPECT_ERRNO(EINVAL, lq_sys_queue_pair(variant->be->domain,
					       QP_SHARE_CQ, &d));
	lq_close(&a);
}

TEST_F_CORE(setup, descriptor_table_full)
{
	struct rlimit old, lim;
	int fd0 = lowest_fd();
	struct qp_desc d = self->d;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	lim = (struct rlimit){ fd0, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	EXPECT_ERRNO(EMFILE, lq_sys_queue_pair(variant->be->domain, 0, &d));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(0, qt_proc_lines());
}

/* net.qp.* bound what a namespace may hold; every namespace has its own */
TEST_F(setup, sysctl_max_qps)
{
	struct qp_desc d;
	int fds[4];
	long was, val;

	ASSERT_EQ(0, qt_sysctl_read("net/qp/max_qps", &was));
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, qt_sysctl_write("net/qp/max_qps", 3));
	for (int i = 0; i < 3; i++) {
		d = self->d;
		fds[i] = lq_sys_queue_pair(variant->be->domain, 0, &d);
		ASSERT_LE(0, fds[i]);
	}
	d = self->d;
	EXPECT_ERRNO(ENOBUFS, lq_sys_queue_pair(variant->be->domain, 0, &d));
	EXPECT_EQ(3, qt_proc_lines());
	close(fds[0]);
	d = self->d;
	fds[0] = lq_sys_queue_pair(variant->be->domain, 0, &d);
	EXPECT_LE(0, fds[0]);
	for (int i = 0; i < 3; i++)
		close(fds[i]);

	ASSERT_EQ(0, qt_sysctl_read("net/qp/max_qps", &val));
	EXPECT_EQ(3, val);
	EXPECT_EQ(-1, qt_sysctl_write("net/qp/max_qps", -1));
}

TEST_F_CORE(setup, sysctl_max_entries)
{
	struct qp_desc d = lq_desc(16, 16, 16);
	int fd;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, qt_sysctl_write("net/qp/max_entries", 16));
	fd = lq_sys_queue_pair(variant->be->domain, 0, &d);
	EXPECT_LE(0, fd);
	close(fd);
	for (int i = 0; i < 2; i++) {
		d = i ? lq_desc(16, 17, 16) : lq_desc(17, 16, 16);
		EXPECT_ERRNO(ENOBUFS, lq_sys_queue_pair(variant->be->domain, 0,
							&d));
	}
	/* a CQ serves both queues */
	d = lq_desc(16, 16, 33);
	EXPECT_ERRNO(ENOBUFS, lq_sys_queue_pair(variant->be->domain, 0, &d));

	/* the setting only lowers what the interface allows */
	ASSERT_EQ(0, qt_sysctl_write("net/qp/max_entries", 4 * QP_MAX_ENTRIES));
	d = lq_desc(QP_MAX_ENTRIES + 1, 1, 1);
	EXPECT_ERRNO(EINVAL, lq_sys_queue_pair(variant->be->domain, 0, &d));
}

TEST_F(setup, sysctl_max_mem_regions)
{
	struct qt_buf buf[3];
	struct lq q;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, qt_sysctl_write("net/qp/max_mem_regions", 2));
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(0, qt_buf(&buf[0], q.fd, 4096, 0));
	EXPECT_EQ(0, qt_buf(&buf[1], q.fd, 4096, 0));
	EXPECT_ERRNO(ENOBUFS, qt_buf(&buf[2], q.fd, 4096, 0));
	EXPECT_EQ(0, lq_mem_dereg(q.fd, buf[0].mem.lkey));
	EXPECT_EQ(0, lq_mem_reg(q.fd, buf[2].p, 4096, 0, &buf[2].mem));
	lq_close(&q);
	/* what the table held is free again */
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(0, lq_mem_reg(q.fd, buf[0].p, 4096, 0, &buf[0].mem));
	EXPECT_EQ(0, lq_mem_reg(q.fd, buf[1].p, 4096, 0, &buf[1].mem));
	lq_close(&q);
}

#define RW	QP_ACCESS_LOCAL_WRITE

TEST_F(setup, mem_refused)
{
	long page = getpagesize();
	char *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct qp_info info;
	struct qp_mem mem;
	struct lq q;
	const struct {
		const char *what;
		unsigned long addr;
		__u64 len;
		__u32 access;
		int err;
	} row[] = {
		{ "no length", (long)p, 0, RW, EINVAL },
		{ "access", (long)p, 1, 1U << 31, EINVAL },
		{ "next access", (long)p, 1, QP_ACCESS_DMABUF << 1, EINVAL },
		{ "remote write", (long)p, 1, QP_ACCESS_REMOTE_WRITE, EINVAL },
		{ "remote atomic", (long)p, 1, QP_ACCESS_REMOTE_ATOMIC, EINVAL },
		{ "wrap", -page, 2 * page, RW, EOVERFLOW },
		{ "wrap", (long)p, -(__u64)page, RW, EOVERFLOW },
		{ "wrap", (long)p, -1, RW, EOVERFLOW },
		{ "NULL", 0, page, RW, EFAULT },
		{ "hole", (long)p, 3 * page, 0, EFAULT },
		{ "read only", (long)p + 2 * page, page, RW, EFAULT },
		{ "kernel", -8 * page, page, 0, EFAULT },
	};

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	ASSERT_EQ(0, munmap(p + page, page));
	ASSERT_EQ(0, mprotect(p + 2 * page, page, PROT_READ));
	for (int i = 0; i < ARRAY_SIZE(row); i++)
		EXPECT_ERRNO_AT(row[i].err,
				lq_mem_reg(q.fd, (void *)row[i].addr,
					   row[i].len, row[i].access, &mem),
				"%s", row[i].what);
	ASSERT_EQ(0, lq_info(q.fd, &info));
	EXPECT_EQ(0, info.mem_regions);
	EXPECT_EQ(0, info.mem_bytes);
	EXPECT_EQ(0, qt_pinned_kb());
	lq_close(&q);
}

TEST_F(setup, mem_reg)
{
	struct qt_buf buf, other;
	struct qp_info info;
	struct qp_mem mem;
	unsigned int len;
	__u32 none = 0;
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	ASSERT_EQ(0, qt_buf(&buf, q.fd, 3 * 4096, LQ_ACCESS_ALL));
	EXPECT_NE(0, buf.mem.lkey);
	/* a device makes its own, and there is none yet */
	EXPECT_EQ(variant->be->flags & F_LOCAL ? buf.mem.lkey : 0,
		  buf.mem.rkey);
	ASSERT_EQ(0, qt_buf(&other, q.fd, 100, QP_ACCESS_LOCAL_WRITE));
	EXPECT_EQ(0, other.mem.rkey);
	EXPECT_NE(buf.mem.lkey, other.mem.lkey);

	ASSERT_EQ(0, lq_info(q.fd, &info));
	EXPECT_EQ(2, info.mem_regions);
	EXPECT_EQ(3 * 4096 + 100, info.mem_bytes);

	mem = (struct qp_mem){ .lkey = buf.mem.lkey };
	len = sizeof(mem);
	ASSERT_EQ(0, lq_sys_getopt(q.fd, QP_MEM_QUERY, &mem, &len));
	EXPECT_EQ(0, memcmp(&mem, &buf.mem, sizeof(mem)));
	mem.lkey++;
	EXPECT_ERRNO(ENOENT, lq_sys_getopt(q.fd, QP_MEM_QUERY, &mem, &len));

	EXPECT_ERRNO(ENOENT, lq_mem_dereg(q.fd, none));
	EXPECT_ERRNO(ENOENT, lq_mem_dereg(q.fd, buf.mem.lkey ^ 0x40));
	EXPECT_EQ(0, lq_mem_dereg(q.fd, buf.mem.lkey));
	EXPECT_ERRNO(ENOENT, lq_mem_dereg(q.fd, buf.mem.lkey));
	mem.lkey = buf.mem.lkey;
	EXPECT_ERRNO(ENOENT, lq_sys_getopt(q.fd, QP_MEM_QUERY, &mem, &len));
	EXPECT_EQ(0, lq_mem_dereg(q.fd, other.mem.lkey));
	EXPECT_EQ(0, qt_pinned_kb());
	lq_close(&q);
}

/* Keys must not be guessable from another key */
TEST_F_CORE(setup, keys_are_scattered)
{
	struct qt_buf buf;
	struct lq q;
	__u32 last, near = 0;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	ASSERT_EQ(0, qt_buf(&buf, q.fd, 4096, 0));
	last = buf.mem.lkey;
	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(0, lq_mem_reg(q.fd, buf.p, 4096, 0, &buf.mem));
		near += (__u32)abs((__s32)(buf.mem.lkey - last)) < 1U << 20;
		last = buf.mem.lkey;
	}
	/* by chance 200 / 2^11 */
	EXPECT_GE(10, near);
	lq_close(&q);
}

/* enter: arguments */
TEST_F(setup, enter_refused)
{
	struct __kernel_timespec ts = { .tv_nsec = 1000000000 };
	struct lq q;

	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(0, lq_sys_enter(q.fd, 0, 0, 0, NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, 0, 1, NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, 0, 1U << 31, NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, q.desc.cq_entries + 1, 0,
					  NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, 1, 0, &ts));
	ts = (struct __kernel_timespec){ .tv_sec = -1 };
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, 1, 0, &ts));
	EXPECT_ERRNO(EFAULT, lq_sys_enter(q.fd, 0, 1, 0, (void *)8));
	EXPECT_EQ(0, QUEUE(&q, .op = QP_OP_SEND));
	EXPECT_ERRNO(ENOTCONN, lq_enter(&q, 1, 0, 0));
	EXPECT_EQ(0, lq_load(q.sq.head));
	lq_close(&q);

	/* without rings */
	self->d = lq_desc(0, 0, 0);
	ASSERT_EQ(0, qt_open(variant->be, &q, 0, &self->d));
	EXPECT_EQ(0, lq_sys_enter(q.fd, 0, 0, 0, NULL));
	EXPECT_ERRNO(EINVAL, lq_sys_enter(q.fd, 0, 1, 0, NULL));
	lq_close(&q);
}

/* A WRITE that is complete may be on its way with iWARP */
static void await_write(const struct backend *be, const void *p, size_t len,
			unsigned char byte)
{
	__u64 end = qt_now_ms() + LONG_MS;

	if (be->flags & F_WRITE_ACK)
		return;
	while (!qt_all(p, len, byte) && qt_now_ms() < end)
		usleep(1000);
}

/* A child inherits descriptor and rings, not the pinned memory */
TEST_F(setup, fork)
{
	struct qt_buf buf, src;
	struct lq a, b;
	int go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &self->d));
	ASSERT_EQ(0, qt_buf(&buf, b.fd, 4096, LQ_ACCESS_ALL));
	ASSERT_EQ(0, qt_buf(&src, a.fd, 4096, QP_ACCESS_LOCAL_WRITE));
	memset(buf.p, 1, buf.len);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* its own copy now */
		memset(buf.p, 2, buf.len);
		if (qt_await(go))
			_exit(1);
		if (!qt_all(buf.p, buf.len, 2))
			_exit(2);
		/* the rings are common */
		if (lq_post_recv(&b, 77, buf.p, 8, buf.mem.lkey))
			_exit(3);
		_exit(0);
	}
	/* the registration is the parent's memory, as the parent sees it */
	buf.p[100] = 42;
	ASSERT_EQ(0, POST(&a, .op = QP_OP_READ, .id = 1,
			  .flags = QP_SQE_SIGNALED, .p = src.p, .len = 4096,
			  .lkey = src.mem.lkey, .raddr = (unsigned long)buf.p,
			  .rkey = buf.mem.rkey));
	EXPECT_CQE(&a, 1, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_EQ(42, src.p[100]);
	EXPECT_EQ(1, src.p[0]);

	memset(src.p, 3, 4096);
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .id = 2,
			  .flags = QP_SQE_SIGNALED, .p = src.p, .len = 4096,
			  .lkey = src.mem.lkey, .raddr = (unsigned long)buf.p,
			  .rkey = buf.mem.rkey));
	EXPECT_CQE(&a, 2, QP_WC_SUCCESS, QP_OP_WRITE);
	await_write(variant->be, buf.p, 4096, 3);
	EXPECT_TRUE(qt_all(buf.p, 4096, 3));

	qt_signal(go);
	ASSERT_EQ(0, qt_reap(pid));
	memset(src.p, 4, 4096);
	ASSERT_EQ(0, POST(&a, .op = QP_OP_SEND, .p = src.p, .len = 8,
			  .lkey = src.mem.lkey));
	EXPECT_CQE(&b, 77, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_TRUE(qt_all(buf.p, 8, 4));
	lq_close(&a);
	lq_close(&b);
}

/* The queue pair is gone after exec, if it was to be */
TEST_F_CORE(setup, exec)
{
	char path[64];
	struct lq q;

	for (int i = 0; i < 2; i++) {
		pid_t pid;

		ASSERT_EQ(0, qt_open(variant->be, &q,
				     i ? QP_CLOEXEC : 0, &self->d));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", q.fd);
		pid = fork();
		if (!pid) {
			execlp("test", "test", "-e", path, NULL);
			_exit(99);
		}
		EXPECT_EQ(i, qt_reap(pid));
		lq_close(&q);
	}
}

static int send_fd(int sock, int fd)
{
	char ctl[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl, .msg_controllen = sizeof(ctl),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

static int recv_fd(int sock)
{
	char ctl[CMSG_SPACE(sizeof(int))], x;
	struct iovec iov = { .iov_base = &x, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl, .msg_controllen = sizeof(ctl),
	};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &msg, 0) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* A process that is handed a queue pair can map and use it */
TEST_F(setup, scm_rights)
{
	struct qt_buf buf;
	struct qp_cqe c;
	struct lq a, b;
	const bool has_imm = variant->be->flags & F_IMM;
	const bool can_wait = variant->be->flags & F_RNR;
	const __u8 op = has_imm ? QP_OP_SEND_IMM : QP_OP_SEND;
	const __u32 imm = has_imm ? 4711 : 0;
	int sv[2];
	pid_t pid;

	self->d.max_inline = 16;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		unsigned int len = sizeof(a.desc);
		int err;

		close(sv[0]);
		a.fd = recv_fd(sv[1]);
		if (a.fd < 0)
			_exit(1);
		if (lq_sys_getopt(a.fd, QP_DESC, &a.desc, &len))
			_exit(2);
		if (lq_map(&a))
			_exit(3);
		err = POST(&a, .op = op, .imm = imm, .p = "hello",
			   .len = 5, .flags = QP_SQE_INLINE);
		if (err)
			_exit(4);
		/* stay until the message is taken */
		if (recv_fd(sv[1]) >= 0)
			_exit(5);
		_exit(0);
	}
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &self->d));
	ASSERT_EQ(0, qt_buf(&buf, b.fd, 64, QP_ACCESS_LOCAL_WRITE));
	/* the message waits for its receive, if it can */
	if (!can_wait)
		ASSERT_EQ(0, lq_post_recv(&b, 1, buf.p, 64, buf.mem.lkey));
	ASSERT_EQ(1, send_fd(sv[0], a.fd));
	lq_close(&a);
	if (can_wait)
		ASSERT_EQ(0, lq_post_recv(&b, 1, buf.p, 64, buf.mem.lkey));
	c = EXPECT_CQE(&b, 1, QP_WC_SUCCESS, QP_OP_RECV);
	EXPECT_EQ(imm, c.imm_data);
	EXPECT_EQ(5, c.byte_len);
	EXPECT_EQ(0, memcmp(buf.p, "hello", 5));
	close(sv[0]);
	EXPECT_EQ(0, qt_reap(pid));

	/* the last descriptor is gone with the child */
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(b.fd, POLLIN, LONG_MS));
	lq_close(&b);
}

/* A queue pair in flight in a socket that nobody reads any more */
TEST_F(setup, scm_rights_dropped)
{
	struct lq a, b;
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &self->d));
	ASSERT_EQ(1, send_fd(sv[0], a.fd));
	lq_close(&a);
	EXPECT_EQ(0, POLLHUP & qt_poll(b.fd, POLLIN, 0));
	close(sv[0]);
	close(sv[1]);
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll(b.fd, POLLIN, LONG_MS));
	lq_close(&b);

	/* a queue pair carries no descriptors itself */
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &self->d));
	EXPECT_ERRNO(EOPNOTSUPP, send_fd(a.fd, b.fd));
	lq_close(&a);
	lq_close(&b);
}

/* One line for each queue pair, in its own namespace only */
TEST_F(setup, proc)
{
	struct qp_desc d = self->d;
	struct lq a, b;
	char line[512];
	const bool one_host = !variant->be->hosts;
	int found = 0;
	FILE *f;

	ASSERT_EQ(0, qt_proc_lines());
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	EXPECT_EQ(2, qt_proc_lines());

	f = fopen("/proc/net/qp", "r");
	ASSERT_NE(NULL, f);
	ASSERT_NE(NULL, fgets(line, sizeof(line), f));
	EXPECT_EQ(0, strncmp(line, "qpn", 3));
	while (fgets(line, sizeof(line), f)) {
		unsigned int n = strtoul(line, NULL, 10);

		found += n == a.desc.qpn || (one_host && n == b.desc.qpn);
		/* printf() of the kernel knows how to write the addresses */
		EXPECT_EQ(NULL, strchr(line, '(')) {
			TH_LOG("%s", line);
		}
	}
	fclose(f);
	EXPECT_EQ(one_host ? 2 : 1, found);

	/* another namespace sees none of them */
	if (!unshare(CLONE_NEWNET)) {
		f = fopen("/proc/thread-self/net/qp", "r");
		ASSERT_NE(NULL, f);
		ASSERT_NE(NULL, fgets(line, sizeof(line), f));
		EXPECT_EQ(NULL, fgets(line, sizeof(line), f));
		fclose(f);
	}
	lq_close(&a);
	lq_close(&b);
}

TEST_HARNESS_MAIN
