// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses of AF_IB: making and binding sockets, finding the other one, and
 * which links and namespaces that is about
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "ib_fixture.h"

/* How long a refusal is remembered, and an address that was resolved, ms */
#define REFUSED_MS	1000
#define RESOLVED_MS	10000

/* A device that is needed no more is gone after that time, ms */
#define DEVICE_MS	1000

/*
 * socket()
 */

TEST(kinds)
{
	static const struct {
		int type, protocol, err;
	} kinds[] = {
		{ SOCK_DGRAM, 0, 0 },
		{ SOCK_DGRAM | SOCK_CLOEXEC, 0, 0 },
		{ SOCK_DGRAM | SOCK_NONBLOCK, 0, 0 },
		{ SOCK_DGRAM, 1, EPROTONOSUPPORT },
		{ SOCK_DGRAM, IPPROTO_UDP, EPROTONOSUPPORT },
		{ SOCK_DGRAM, 255, EPROTONOSUPPORT },
		{ SOCK_DGRAM, -1, EPROTONOSUPPORT },
		{ SOCK_STREAM, 0, 0 },
		{ SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0 },
		{ SOCK_STREAM, IPPROTO_TCP, EPROTONOSUPPORT },
		{ SOCK_SEQPACKET, 0, 0 },
		{ SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0 },
		{ SOCK_SEQPACKET, 1, EPROTONOSUPPORT },
		{ SOCK_RDM, 0, ESOCKTNOSUPPORT },
		{ 0, 0, ESOCKTNOSUPPORT },
		{ 77, 0, EINVAL },
		{ SOCK_DGRAM | 0x100000, 0, EINVAL },
	};

	for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
		int type = kinds[i].type;
		int fd = socket(AF_IB, type, kinds[i].protocol);

		EXPECT_EQ(kinds[i].err, fd < 0 ? errno : 0) {
			TH_LOG("type %d, protocol %d", type, kinds[i].protocol);
		}
		if (fd < 0)
			continue;
		EXPECT_EQ(!!(type & SOCK_CLOEXEC),
			  fcntl(fd, F_GETFD) & FD_CLOEXEC);
		EXPECT_EQ(type & SOCK_NONBLOCK,
			  fcntl(fd, F_GETFL) & O_NONBLOCK);
		close(fd);
	}
}

TEST(created)
{
	int fd = ib_socket(QT_CLIENT), pair[2];
	struct sockaddr_ib ib, zero = { .sib_family = AF_IB };
	struct stat st;

	ASSERT_LE(0, fd);
	EXPECT_EQ(AF_IB, ib_sol_socket(fd, SO_DOMAIN));
	EXPECT_EQ(SOCK_DGRAM, ib_sol_socket(fd, SO_TYPE));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_PROTOCOL));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ACCEPTCONN));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ERROR));
	EXPECT_LT(0, ib_sol_socket(fd, SO_RCVBUF));
	EXPECT_LT(0, ib_sol_socket(fd, SO_SNDBUF));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISSOCK(st.st_mode));

	ASSERT_EQ(0, ib_getsockname(fd, &ib));
	EXPECT_EQ(0, memcmp(&ib, &zero, sizeof(ib)));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(fd, &ib));
	EXPECT_EQ(POLLOUT, qt_poll(fd, POLLIN | POLLOUT | POLLPRI, 0));
	EXPECT_ERRNO(EAGAIN, recv(fd, &ib, sizeof(ib), MSG_DONTWAIT));

	EXPECT_ERRNO(EOPNOTSUPP, listen(fd, 1));
	EXPECT_ERRNO(EOPNOTSUPP, accept(fd, NULL, NULL));
	EXPECT_ERRNO(EOPNOTSUPP, socketpair(AF_IB, SOCK_DGRAM, 0, pair));
	EXPECT_ERRNO(ENOTTY, ioctl(fd, 0x5678, &st));
	EXPECT_ERRNO(ESPIPE, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	close(fd);
}

/*
 * Addresses
 */

enum { BIND = 1, CONNECT = 2, SENDTO = 4, ALL = 7 };

static const struct ib_wrong wrong_addresses[] = {
	{ "AF_INET", ALL, EAFNOSUPPORT, .family = AF_INET },
	{ "AF_INET6", ALL, EAFNOSUPPORT, .family = AF_INET6 },
	{ "AF_UNIX", ALL, EAFNOSUPPORT, .family = AF_UNIX },
	{ "a family that is none", ALL, EAFNOSUPPORT, .family = 777 },
	{ "P_Key 1", ALL, EADDRNOTAVAIL, .pkey = 1 },
#ifdef QP_IB
	{ "P_Key 0x8000", ALL, EADDRNOTAVAIL, .pkey = 0x8000 },
	{ "the peer's GID", BIND, EADDRNOTAVAIL, .gid = "fe80::ff:fe00:901" },
	{ "nobody's GID", BIND, EADDRNOTAVAIL, .gid = "fe80::ff:fe00:977" },
	{ "a LID", BIND, EADDRNOTAVAIL, .gid = "fe80::ffff:ff00:0:1" },
	{ "a group of InfiniBand", BIND, EADDRNOTAVAIL, .gid = "ff12:401b::1" },
#else
	{ "P_Key 0x7fff", ALL, EADDRNOTAVAIL, .pkey = 0x7fff },
#endif
	{ "P_Key 0x8001", ALL, EADDRNOTAVAIL, .pkey = 0x8001 },
	{ "a port for connections", ALL, EADDRNOTAVAIL,
	  .sid = IB_TCP_SPACE | 4000 },
	{ "service ID 1", ALL, EADDRNOTAVAIL, .sid = 1 },
	{ "service ID ~0", ALL, EADDRNOTAVAIL, .sid = ~0ULL },
	{ "port 65536", ALL, EADDRNOTAVAIL, .sid = IB_UDP_SPACE + 0x10000 },
	{ "no service ID", CONNECT | SENDTO, EADDRNOTAVAIL, .no_sid = true },
	{ "a queue pair", BIND, EADDRNOTAVAIL, .sid = IB_SID_QPN | 77 },
	{ "the peer's IPv4", BIND, EADDRNOTAVAIL, .gid = "::ffff:10.9.0.1" },
	{ "nobody's IPv4", BIND, EADDRNOTAVAIL, .gid = "::ffff:10.9.0.77" },
	{ "broadcast", BIND, EADDRNOTAVAIL, .gid = "::ffff:255.255.255.255" },
	{ "IPv4 group", BIND, EADDRNOTAVAIL, .gid = "::ffff:239.1.2.3" },
	{ "the peer's IPv6", BIND, EADDRNOTAVAIL, .gid = "fd09::1" },
	{ "nobody's IPv6", BIND, EADDRNOTAVAIL, .gid = "fd09::77" },
	{ "IPv6 group", BIND, EADDRNOTAVAIL, .gid = "ff0e::123" },
};

/* None of it has an effect, and all of it is right in the end */
TEST_F(dgram, wrong_addresses)
{
	struct sockaddr_ib own = ib_addr(self->version, QT_CLIENT, ib_port());
	int fd = ib_socket(QT_CLIENT);

	ASSERT_LE(0, fd);
	for (int i = 0; i < ARRAY_SIZE(wrong_addresses); i++) {
		const struct ib_wrong *w = &wrong_addresses[i];
		struct sockaddr_ib bad = ib_wrong_addr(&own, w);

		if (w->calls & BIND)
			EXPECT_ERRNO_AT(w->err, ib_bind(fd, &bad),
					"bind to %s", w->what);
		bad = ib_wrong_addr(&self->b.addr, w);
		if (w->calls & CONNECT)
			EXPECT_ERRNO_AT(w->err, ib_connect(fd, &bad),
					"connect to %s", w->what);
		if (w->calls & SENDTO)
			EXPECT_ERRNO_AT(w->err, ib_sendto(fd, "x", 1, 0, &bad),
					"send to %s", w->what);
	}
	ASSERT_EQ(0, ib_bind(fd, &own));
	EXPECT_TRUE(ib_passes_to(fd, &self->b.addr, self->b.fd));
	EXPECT_TRUE(ib_passes_to(self->b.fd, &own, fd));
	close(fd);
}

TEST_F(dgram, wrong_lengths)
{
	struct sockaddr_ib own = ib_addr(self->version, QT_CLIENT, ib_port());
	static const int none[] = { -1, sizeof(struct sockaddr_storage) + 1,
				    100000 };
	int fd = ib_socket(QT_CLIENT);
	struct sockaddr_storage ss = {};

	ASSERT_LE(0, fd);
	for (int len = 0; len < sizeof(own); len++) {
		EXPECT_ERRNO_AT(EINVAL, bind(fd, (void *)&own, len),
				"bind, length %d", len);
		EXPECT_ERRNO_AT(EINVAL, connect(fd, (void *)&self->b.addr, len),
				"connect, length %d", len);
		if (len)
			EXPECT_ERRNO_AT(EINVAL,
					sendto(fd, "x", 1, 0,
					       (void *)&self->b.addr, len),
					"sendto, length %d", len);
	}
	EXPECT_ERRNO(EDESTADDRREQ, sendto(fd, "x", 1, 0,
					  (void *)&self->b.addr, 0));
	for (int i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_ERRNO(EINVAL, bind(fd, (void *)&ss, none[i]));
		EXPECT_ERRNO(EINVAL, connect(fd, (void *)&ss, none[i]));
		EXPECT_ERRNO(EINVAL, sendto(fd, "x", 1, 0, (void *)&ss,
					    none[i]));
	}
	EXPECT_ERRNO(EFAULT, bind(fd, (void *)8, sizeof(own)));
	EXPECT_ERRNO(EFAULT, connect(fd, (void *)8, sizeof(own)));
	EXPECT_ERRNO(EFAULT, sendto(fd, "x", 1, 0, (void *)8, sizeof(own)));
	EXPECT_ERRNO(EFAULT, getsockname(fd, (void *)8, (socklen_t *)8));

	/* longer ones will do */
	memcpy(&ss, &own, sizeof(own));
	ASSERT_EQ(0, bind(fd, (void *)&ss, sizeof(ss)));
	memcpy(&ss, &self->b.addr, sizeof(own));
	EXPECT_EQ(1, sendto(fd, "x", 1, 0, (void *)&ss, sizeof(ss)));
	EXPECT_EQ(0, connect(fd, (void *)&ss, sizeof(ss)));
	close(fd);
}

/* The forms that say the same, and what getsockname() makes of them */
TEST_F(dgram, bound)
{
	struct sockaddr_ib own = ib_addr(self->version, QT_CLIENT, ib_port());
	struct sockaddr_ib name;
	socklen_t len = 10;
	char part[10];

	for (int i = 0; i < 4; i++) {
		self->c.addr = own;
		if (i & 1)
			self->c.addr.sib_pkey = 0;
		if (i & 2)
			self->c.addr.sib_sid_mask = 0;
		ASSERT_EQ(0, ib_bound_at(QT_CLIENT, &self->c)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		ASSERT_EQ(0, ib_getsockname(self->c.fd, &name));
		EXPECT_EQ(AF_IB, name.sib_family);
		EXPECT_TRUE(ib_same_gid(&own, &name));
		EXPECT_EQ(own.sib_sid, name.sib_sid);
		EXPECT_TRUE(name.sib_pkey == htons(0xffff) ||
			    name.sib_pkey == self->c.addr.sib_pkey);
		EXPECT_TRUE(name.sib_sid_mask == ~0ULL ||
			    name.sib_sid_mask == self->c.addr.sib_sid_mask);
		EXPECT_EQ(0, name.sib_scope_id);
		EXPECT_LT(1, ib_get(self->c.fd, IB_QPN));
		/* whoever had that service ID before */
		EXPECT_EQ(0, ib_connect(self->b.fd, &self->c.addr));
		EXPECT_TRUE(ib_passes_to(self->b.fd, NULL, self->c.fd));
		EXPECT_EQ(0, ib_dissolve(self->b.fd));
		ib_close(&self->c);
	}

	/* as much as there is room for, and how much there would be */
	ASSERT_EQ(0, getsockname(self->a.fd, (void *)part, &len));
	EXPECT_EQ(sizeof(name), len);
	EXPECT_EQ(0, memcmp(part, &self->a.addr, sizeof(part)));
}

TEST_F(dgram, bound_already)
{
	struct sockaddr_ib other = ib_addr(self->version, QT_CLIENT, ib_port());

	EXPECT_ERRNO(EINVAL, ib_bind(self->a.fd, &other));
	EXPECT_ERRNO(EINVAL, ib_bind(self->a.fd, &self->a.addr));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
}

TEST_F(dgram, address_in_use)
{
	__u16 port = ib_port();
	struct sockaddr_ib any = ib_any(port);
	struct sockaddr_ib own = ib_addr(self->version, QT_CLIENT, port);
	struct sockaddr_ib other = ib_addr(IB_OTHER(self->version), QT_CLIENT, port);

	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &self->a.addr));
	/* that they do not mind is to be said before */
	self->c.fd = ib_socket(QT_CLIENT);
	ASSERT_EQ(0, ib_set_sol_socket(self->a.fd, SO_REUSEADDR, 1));
	ASSERT_EQ(0, ib_set_sol_socket(self->c.fd, SO_REUSEADDR, 1));
	EXPECT_ERRNO(EADDRINUSE, ib_bind(self->c.fd, &self->a.addr));
	ib_close(&self->c);

	/* another address, another host */
	self->c.addr = own;
	ASSERT_EQ(0, ib_bound_at(QT_CLIENT, &self->c));
	EXPECT_EQ(0, ib_try_bind(QT_CLIENT, &other));
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &own));
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &any));
	EXPECT_EQ(0, ib_try_bind(QT_SERVER, &any));
	ib_close(&self->c);

	/* any address is each of them */
	self->c.addr = any;
	ASSERT_EQ(0, ib_bound_at(QT_CLIENT, &self->c));
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &any));
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &own));
	EXPECT_ERRNO(EADDRINUSE, ib_try_bind(QT_CLIENT, &other));
	ib_close(&self->c);

	/* free again at once, also after what failed */
	EXPECT_EQ(0, ib_try_bind(QT_CLIENT, &own));
	EXPECT_EQ(0, ib_try_bind(QT_CLIENT, &any));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
}

/* Bound on the server with SO_REUSEADDR, or without */
static int bound_reuse(const struct sockaddr_ib *addr, int reuse)
{
	int fd = ib_socket(QT_SERVER), err;

	if (fd < 0)
		return -1;
	if (!ib_set_sol_socket(fd, SO_REUSEADDR, reuse) && !ib_bind(fd, addr))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Sockets that do not mind share a service ID: who was bound last is asked for */
TEST_F(dgram, shared)
{
	struct sockaddr_ib addrs[] = {
		ib_addr(self->version, QT_SERVER, ib_port()), ib_any(ib_port()),
	};
	struct sockaddr_ib own = addrs[1], name;
	int fds[3], asker;

	own.sib_addr = addrs[0].sib_addr;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_ib *to = i ? &own : &addrs[0];

		for (int j = 0; j < 3; j++) {
			fds[j] = bound_reuse(&addrs[i], 1);
			ASSERT_LE(0, fds[j]) {
				TH_LOG("%d: %s", j, strerror(errno));
			}
			EXPECT_EQ(0, ib_getsockname(fds[j], &name));
			EXPECT_EQ(to->sib_sid, name.sib_sid);
		}
		EXPECT_ERRNO(EADDRINUSE, bound_reuse(&addrs[i], 0));
		EXPECT_EQ(1, ib_sol_socket(fds[0], SO_REUSEADDR));
		for (int j = 2; j >= 0; j--) {
			asker = ib_socket(QT_CLIENT);
			ASSERT_EQ(0, ib_connect(asker, to));
			EXPECT_TRUE(ib_passes_to(asker, NULL, fds[j]));
			close(asker);
			for (int k = 0; k < j; k++)
				EXPECT_TRUE(ib_silent(fds[k]));
			close(fds[j]);
		}
		asker = ib_socket(QT_CLIENT);
		EXPECT_ERRNO(ECONNREFUSED, ib_connect(asker, to));
		close(asker);

		/* all of them have to allow it, now */
		fds[0] = bound_reuse(&addrs[i], 0);
		EXPECT_LE(0, fds[0]);
		EXPECT_ERRNO(EADDRINUSE, bound_reuse(&addrs[i], 1));
		close(fds[0]);
		fds[0] = bound_reuse(&addrs[i], 1);
		fds[1] = bound_reuse(&addrs[i], 1);
		EXPECT_LE(0, fds[1]);
		ASSERT_EQ(0, ib_set_sol_socket(fds[0], SO_REUSEADDR, 0));
		EXPECT_ERRNO(EADDRINUSE, bound_reuse(&addrs[i], 1));
		ASSERT_EQ(0, ib_set_sol_socket(fds[0], SO_REUSEADDR, 1));
		fds[2] = bound_reuse(&addrs[i], 1);
		EXPECT_LE(0, fds[2]);
		for (int j = 0; j < 3; j++)
			close(fds[j]);
	}
}

/* Does who asks at this address reach that socket? */
static bool finds(const struct sockaddr_ib *at, int fd)
{
	int asker = ib_socket(QT_CLIENT);
	bool found = !ib_connect(asker, at) && ib_passes_to(asker, NULL, fd);

	close(asker);
	return found;
}

/*
 * Some at one address, some at any, in whatever order they are bound: who is bound to
 * the address that is asked at is found, or else who is bound to any
 */
TEST_F(dgram, shared_any)
{
	static const char orders[][4] = { "aog", "gao", "oga", "goa", "agg", "gga" };
	struct sockaddr_ib at[3], name;
	int shared;

	for (int i = 0; i < ARRAY_SIZE(orders); i++) {
		__u16 port = ib_port();
		int fds[3], own = -1, any = -1, other = -1;

		/* one of the host's addresses, another one, any */
		at[0] = ib_addr(self->version, QT_SERVER, port);
		at[1] = ib_addr(self->version == 4 ? 6 : 4, QT_SERVER, port);
		at[2] = ib_any(port);
		for (int j = 0; j < 3; j++) {
			int which = strchr("goa", orders[i][j]) - "goa";

			fds[j] = bound_reuse(&at[which], 1);
			ASSERT_LE(0, fds[j]) {
				TH_LOG("%s, %d: %s", orders[i], j, strerror(errno));
			}
			ASSERT_EQ(0, ib_getsockname(fds[j], &name));
			EXPECT_TRUE(ib_same_gid(&at[which], &name));
			EXPECT_EQ(at[which].sib_sid, name.sib_sid);
			if (!which)
				own = fds[j];
			if (which == 2)
				any = fds[j];
		}
		EXPECT_ERRNO(EADDRINUSE, bound_reuse(&at[0], 0));
		EXPECT_ERRNO(EADDRINUSE, bound_reuse(&at[2], 0));
		EXPECT_TRUE(finds(&at[0], own));
		if (!strchr(orders[i], 'o'))
			EXPECT_TRUE(finds(&at[1], any));
		/* those that are left are found as well */
		for (int j = 0; j < 3; j++)
			if (fds[j] != own && fds[j] != any)
				other = fds[j];
		if (!strchr(orders[i], 'o')) {
			close(own);
			own = other;
			EXPECT_TRUE(finds(&at[0], own));
		} else {
			EXPECT_TRUE(finds(&at[1], other));
			close(other);
			EXPECT_TRUE(finds(&at[1], any));
		}
		close(own);
		EXPECT_TRUE(finds(&at[0], any));
		close(any);
		EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->a.fd, &at[0]));
	}
	/* one that does not mean to share is left alone */
	at[0] = ib_addr(self->version, QT_SERVER, ib_port());
	at[2] = at[0];
	memset(&at[2].sib_addr, 0, sizeof(at[2].sib_addr));
	self->c.fd = bound_reuse(&at[0], 0);
	ASSERT_LE(0, self->c.fd);
	EXPECT_ERRNO(EADDRINUSE, bound_reuse(&at[2], 1));
	EXPECT_TRUE(finds(&at[0], self->c.fd));
	/* and keeps others from being any address's, who are found as before */
	at[1] = ib_addr(self->version == 4 ? 6 : 4, QT_SERVER, 0);
	at[1].sib_sid = at[0].sib_sid;
	shared = bound_reuse(&at[1], 1);
	ASSERT_LE(0, shared);
	EXPECT_ERRNO(EADDRINUSE, bound_reuse(&at[2], 1));
	EXPECT_TRUE(finds(&at[1], shared));
	close(shared);
}

/* The kernel chooses a service ID, which is nobody else's */
TEST_F(dgram, sid_chosen)
{
	struct sockaddr_ib names[8], own = ib_addr(self->version, QT_SERVER, 0);
	int fds[ARRAY_SIZE(names)];

	for (int i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = ib_socket(QT_SERVER);
		own.sib_sid_mask = i & 1 ? ~0ULL : 0;
		ASSERT_EQ(0, ib_bind(fds[i], &own)) {
			TH_LOG("%s", strerror(errno));
		}
		ASSERT_EQ(0, ib_getsockname(fds[i], &names[i]));
		EXPECT_TRUE(ib_same_gid(&own, &names[i]));
		EXPECT_EQ(IB_UDP_SPACE, ib_sid_of(&names[i]) & ~0xffffULL);
		EXPECT_LE(1024, ib_sid_of(&names[i]) & 0xffff);
		for (int j = 0; j < i; j++)
			EXPECT_NE(names[j].sib_sid, names[i].sib_sid);
	}
	for (int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_TRUE(ib_passes_to(self->a.fd, &names[i], fds[i]));
		close(fds[i]);
	}
}

/* Below ip_unprivileged_port_start a service ID takes a capability */
TEST_F(dgram, privileged)
{
	static const char setting[] = "net/ipv4/ip_unprivileged_port_start";
	static const struct {
		__u16 port;
		long start;
		bool nobody;
		int err;
	} cases[] = {
		{ 80, 1024, false, 0 },
		{ 80, 1024, true, EACCES },
		{ 1, 1024, true, EACCES },
		{ 1023, 1024, true, EACCES },
		{ 1024, 1024, true, 0 },
		{ 0, 1024, true, 0 },
		{ 80, 80, true, 0 },
		{ 79, 80, true, EACCES },
		{ 2000, 2001, true, EACCES },
	};
	long was;

	ASSERT_EQ(0, qt_sysctl_read(setting, &was));
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sockaddr_ib own = ib_addr(self->version, QT_CLIENT,
						 cases[i].port);
		pid_t pid;

		ASSERT_EQ(0, qt_sysctl_write(setting, cases[i].start));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = socket(AF_IB, SOCK_DGRAM, 0);

			if (fd < 0 || (cases[i].nobody && qt_become_nobody()))
				_exit(255);
			_exit(ib_bind(fd, &own) ? errno : 0);
		}
		EXPECT_EQ(cases[i].err, qt_reap(pid)) {
			TH_LOG("port %d", cases[i].port);
		}
	}
	EXPECT_EQ(0, qt_sysctl_write(setting, was));
}

/* Whoever may have a socket may send and receive */
TEST_F(dgram, nobody)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct ib_end e = {
			.addr = ib_addr(self->version, QT_CLIENT, ib_port()),
		};

		if (qt_become_nobody())
			_exit(1);
		e.fd = socket(AF_IB, SOCK_DGRAM, 0);
		if (e.fd < 0 || ib_bind(e.fd, &e.addr))
			_exit(2);
		_exit(!ib_passes(&e, &self->b) || !ib_passes(&self->b, &e));
	}
	EXPECT_EQ(0, qt_reap(pid));
}

/*
 * connect()
 */

TEST_F(dgram, connected)
{
	struct sockaddr_ib name, own = ib_addr(self->version, QT_CLIENT, 0);
	int fd = ib_socket(QT_CLIENT);
	int qpn;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ib_connect(fd, &self->b.addr)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, ib_getpeername(fd, &name));
	EXPECT_EQ(AF_IB, name.sib_family);
	EXPECT_TRUE(ib_same_gid(&name, &self->b.addr));
	EXPECT_EQ(self->b.addr.sib_sid, name.sib_sid);

	/* it was not bound: its name is its number */
	qpn = ib_get(fd, IB_QPN);
	EXPECT_LT(1, qpn);
	ASSERT_EQ(0, ib_getsockname(fd, &name));
	EXPECT_EQ(AF_IB, name.sib_family);
	EXPECT_TRUE(ib_same_gid(&name, &own));
	EXPECT_EQ(IB_SID_QPN | qpn, ib_sid_of(&name));
	EXPECT_TRUE(ib_passes_to(fd, NULL, self->b.fd));
	EXPECT_TRUE(ib_passes_to(self->b.fd, &name, fd));

	/* read() and write() are recv() and send() */
	EXPECT_EQ(5, write(fd, "hello", 5));
	EXPECT_EQ(3, read(self->b.fd, &name, 3));
	EXPECT_TRUE(ib_silent(self->b.fd));
	close(fd);
}

/* Somebody else's messages are not received while there is a peer */
TEST_F(dgram, from_peer_only)
{
	struct sockaddr_ib from;
	char c;

	ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->c));
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	ASSERT_EQ(1, ib_sendto(self->c.fd, "c", 1, 0, &self->a.addr));
	EXPECT_TRUE(ib_silent(self->a.fd));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));

	/* another peer, also without dissolving before */
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->c.addr));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->c.fd));
	ASSERT_EQ(1, ib_sendto(self->b.fd, "b", 1, 0, &self->a.addr));
	EXPECT_TRUE(ib_silent(self->a.fd));
	EXPECT_TRUE(ib_passes(&self->c, &self->a));

	/* messages may go elsewhere, one by one */
	EXPECT_TRUE(ib_passes(&self->a, &self->b));

	/* no peer */
	ASSERT_EQ(0, ib_dissolve(self->a.fd));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(self->a.fd, &from));
	EXPECT_ERRNO(EDESTADDRREQ, send(self->a.fd, "x", 1, 0));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	EXPECT_TRUE(ib_passes(&self->c, &self->a));
	EXPECT_EQ(0, ib_dissolve(self->a.fd));
	ASSERT_EQ(0, ib_getsockname(self->a.fd, &from));
	EXPECT_EQ(self->a.addr.sib_sid, from.sib_sid);

	/* by number */
	ASSERT_EQ(1, ib_sendto(self->b.fd, "b", 1, 0, &self->a.addr));
	ASSERT_EQ(1, ib_recvfrom(self->a.fd, &c, 1, 0, &from));
	ASSERT_EQ(0, ib_connect(self->a.fd, &from));
	ASSERT_EQ(1, ib_sendto(self->c.fd, "c", 1, 0, &self->a.addr));
	EXPECT_TRUE(ib_silent(self->a.fd));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->b.fd));
	ASSERT_EQ(0, ib_getpeername(self->a.fd, &from));
	EXPECT_EQ(IB_SID_QPN | ib_get(self->b.fd, IB_QPN), ib_sid_of(&from));
}

TEST_F(dgram, refused)
{
	struct sockaddr_ib gone = self->b.addr;
	char c;

	/* never there */
	gone.sib_sid = ib_sid(ib_port());
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->a.fd, &gone));
	EXPECT_ERRNO(ECONNREFUSED, ib_sendto(self->a.fd, "x", 1, 0, &gone));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(self->a.fd, &gone));
	EXPECT_EQ(0, ib_sol_socket(self->a.fd, SO_ERROR));

	/* on its own host */
	gone = ib_addr(self->version, QT_CLIENT, ib_port());
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->a.fd, &gone));

	/* there no more; another socket keeps the device */
	ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->c));
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->c.addr)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	EXPECT_EQ(1, recv(self->b.fd, &c, 1, 0));
	ib_close(&self->b);
	self->b.fd = ib_socket(QT_CLIENT);
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->b.fd, &self->b.addr));
	/* who is connected stays so */
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->c.fd));
}

/* A refusal is not remembered for long */
TEST_F(dgram, there_at_last)
{
	self->c.addr = ib_addr(self->version, QT_SERVER, ib_port());
	EXPECT_ERRNO(ECONNREFUSED,
		     ib_sendto(self->a.fd, "x", 1, 0, &self->c.addr));
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &self->c));
	usleep(1000 * (REFUSED_MS + 300));
	EXPECT_TRUE(ib_passes(&self->a, &self->c));
}

/* Who does not want to wait hears of it later */
TEST_F(dgram, refused_later)
{
	struct sockaddr_ib gone = self->b.addr;
	int fd = ib_socket_nonblock(QT_CLIENT);
	__u64 start = qt_now_ms();
	char c;

	ASSERT_LE(0, fd);
	gone.sib_sid = ib_sid(ib_port());
	ASSERT_EQ(0, ib_connect(fd, &gone)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(0, ib_getpeername(fd, &gone));
	EXPECT_EQ(1, send(fd, "x", 1, 0));
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	EXPECT_EQ(ECONNREFUSED, ib_error(fd, IB_WAIT_MS));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ERROR));
	EXPECT_EQ(0, POLLERR & qt_poll(fd, POLLIN, 0));
	ASSERT_EQ(0, ib_connect(fd, &self->b.addr));
	EXPECT_TRUE(ib_passes_to(fd, NULL, self->b.fd));
	ASSERT_EQ(0, ib_dissolve(fd));

	/* by a call, of either direction, that has the error once */
	for (int i = 0; i < 2; i++) {
		gone.sib_sid = ib_sid(ib_port());
		ASSERT_EQ(1, ib_sendto(fd, "x", 1, MSG_DONTWAIT, &gone));
		ASSERT_EQ(POLLERR, POLLERR & qt_poll(fd, 0, IB_WAIT_MS));
		if (i)
			EXPECT_ERRNO(ECONNREFUSED, recv(fd, &c, 1, 0));
		else
			EXPECT_ERRNO(ECONNREFUSED,
				     ib_sendto(fd, "x", 1, 0, &self->b.addr));
		EXPECT_ERRNO(EAGAIN, recv(fd, &c, 1, 0));
		EXPECT_TRUE(ib_passes_to(fd, &self->b.addr, self->b.fd));
	}

	/* one that waits in the kernel */
	gone.sib_sid = ib_sid(ib_port());
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, MSG_DONTWAIT, &gone));
	EXPECT_ERRNO(ECONNREFUSED, recv(self->a.fd, &c, 1, 0));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	close(fd);
}

/* Nor does resolving a name that is there */
TEST_F(dgram, sent_later)
{
	int fd = ib_socket_nonblock(QT_CLIENT);
	char text[8];

	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ASSERT_EQ(1, ib_sendto(fd, text, 1, 0, &self->b.addr)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(1, recv(self->b.fd, text, sizeof(text), 0));
		EXPECT_EQ('0' + i, text[0]);
	}
	close(fd);

	fd = ib_socket_nonblock(QT_CLIENT);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ib_connect(fd, &self->b.addr));
	EXPECT_TRUE(ib_passes_to(fd, NULL, self->b.fd));
	close(fd);
}

/* Nobody answers, all sorts of calls at once. The server has no sockets. */
TEST(unreachable)
{
	static const struct {
		const char *what;
		const char *gid;
		int err[3];
	} cases[] = {
		{ "no host, IPv4", "::ffff:10.9.0.99", { EHOSTUNREACH } },
		{ "no host, IPv6", "fd09::99", { EHOSTUNREACH } },
		{ "no route, IPv4", "::ffff:10.77.0.1", { ENETUNREACH } },
#ifndef QP_IB
		{ "no route, IPv6", "fd77::1", { ENETUNREACH } },
#endif
		{ "silent, IPv4", "::ffff:10.9.0.1",
		  { ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH } },
		{ "silent, IPv6", "fd09::1",
		  { ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH } },
#ifdef QP_IB
		/* a router might know it */
		{ "no route, GID", "fd77::1", { EHOSTUNREACH } },
		{ "no GID", "fe80::ff:fe00:977", { EHOSTUNREACH } },
		{ "no subnet", "fec0::ff:fe00:901", { EHOSTUNREACH } },
		{ "silent GID", "fe80::ff:fe00:901", { ECONNREFUSED } },
#endif
	};
	struct ib_call calls[ARRAY_SIZE(cases)][3], *c;

	ASSERT_EQ(0, ib_own_hosts());
	for (int i = 0; i < 3 * ARRAY_SIZE(cases); i++) {
		c = &calls[i / 3][i % 3];
		c->op = i % 3;
		c->fd = ib_socket(QT_CLIENT);
		c->to = ib_text_addr(cases[i / 3].gid, 4444);
		ASSERT_EQ(0, ib_set_wait(c->fd, SO_SNDTIMEO, GIVE_UP_MS));
		ASSERT_EQ(0, ib_start(c));
	}
	for (int i = 0; i < 3 * ARRAY_SIZE(cases); i++) {
		const int *want = cases[i / 3].err;
		int err;

		c = &calls[i / 3][i % 3];
		err = ib_finish(c);
		EXPECT_TRUE(err && (err == want[0] || err == want[1] ||
				    err == want[2])) {
			TH_LOG("%s, call %d: %s", cases[i / 3].what, c->op,
			       strerror(err));
		}
		close(c->fd);
	}
}

static void nothing(int sig)
{
}

/* A signal ends waiting */
TEST_F(dgram, interrupted)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct itimerval soon = { .it_value.tv_usec = 100000 }, never = {};
	struct sockaddr_ib absent = ib_absent(&self->b.addr, 98);
	int fd = ib_socket(QT_CLIENT);
	char c;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	for (int i = 0; i < 3; i++) {
		__u64 start = qt_now_ms();

		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		if (i == 0)
			EXPECT_ERRNO(EINTR, recv(self->a.fd, &c, 1, 0));
		else if (i == 1)
			EXPECT_ERRNO(EINTR, ib_connect(fd, &absent));
		else
			EXPECT_ERRNO(EINTR, ib_sendto(fd, "x", 1, 0, &absent));
		EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	}
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
	close(fd);
}

/* To oneself, and to others on the same host */
TEST_F(dgram, same_host)
{
	ASSERT_EQ(0, ib_bound(self->version, QT_CLIENT, &self->c));
	EXPECT_TRUE(ib_passes(&self->a, &self->a));
	EXPECT_TRUE(ib_passes(&self->a, &self->c));
	EXPECT_TRUE(ib_passes(&self->c, &self->a));
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->a.addr));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, self->a.fd));
}

/* In a link's scope an address says which link */
TEST(link_local)
{
	struct sockaddr_ib client, server, from, bad;
	struct ib_end a = {}, b = {};
	__u64 index;
	char c[8];

	ASSERT_EQ(0, ib_link_local(QT_CLIENT, &client));
	ASSERT_EQ(0, ib_link_local(QT_SERVER, &server));
	index = client.sib_scope_id;
	a.addr = client;
	a.addr.sib_sid = ib_sid(ib_port());
	b.addr = server;
	b.addr.sib_sid = ib_sid(ib_port());

	bad = a.addr;
	bad.sib_scope_id = 0;
	EXPECT_ERRNO(EINVAL, ib_try_bind(QT_CLIENT, &bad));
	bad.sib_scope_id = 4711;
	EXPECT_EQ(-1, ib_try_bind(QT_CLIENT, &bad));
	bad.sib_scope_id = ~0ULL;
	EXPECT_EQ(-1, ib_try_bind(QT_CLIENT, &bad));
	bad.sib_scope_id = index + (1ULL << 32);
	EXPECT_EQ(-1, ib_try_bind(QT_CLIENT, &bad));

	ASSERT_EQ(0, ib_bound_at(QT_CLIENT, &a)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &b));
	ASSERT_EQ(0, ib_getsockname(a.fd, &from));
	EXPECT_TRUE(ib_same_gid(&from, &client));
	EXPECT_EQ(index, from.sib_scope_id);

	/* numbers are each host's own */
	bad = b.addr;
	b.addr.sib_scope_id = index;
	a.addr.sib_scope_id = server.sib_scope_id;
	EXPECT_TRUE(ib_passes(&a, &b));
	EXPECT_TRUE(ib_passes(&b, &a));
	ASSERT_EQ(3, ib_sendto(b.fd, "abc", 3, 0, &a.addr));
	ASSERT_EQ(3, ib_recvfrom(a.fd, c, 8, 0, &from));
	server.sib_scope_id = index;
	EXPECT_TRUE(ib_from_host(&from, &server));
	EXPECT_TRUE(ib_passes_to(a.fd, &from, b.fd));
	ASSERT_EQ(0, ib_connect(a.fd, &from));
	EXPECT_TRUE(ib_passes_to(a.fd, NULL, b.fd));
	bad.sib_scope_id = 0;
	ib_close(&a);
	a.fd = ib_socket(QT_CLIENT);
#ifdef QP_IB
	/* without a link it may be of InfiniBand's subnet */
	EXPECT_ERRNO(EHOSTUNREACH, ib_connect(a.fd, &bad));
#else
	EXPECT_ERRNO(EINVAL, ib_connect(a.fd, &bad));
	EXPECT_ERRNO(EINVAL, ib_sendto(a.fd, "x", 1, 0, &bad));
#endif
	ib_close(&a);
	ib_close(&b);
}

/*
 * A peer that is made anew at the same address is found again, when what is
 * remembered of it has become old
 */
TEST(peer_made_anew)
{
#ifdef QP_IB
	static const int versions[] = { 0, 6 };
#else
	static const int versions[] = { 4, 6 };
#endif
	struct ib_end a[2], b[2];
	bool found[2] = {};
	__u64 end;
	int fd;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ib_bound(versions[i], QT_CLIENT, &a[i]));
		ASSERT_EQ(0, ib_bound(versions[i], QT_SERVER, &b[i]));
		EXPECT_TRUE(ib_passes(&a[i], &b[i]));
		ib_close(&b[i]);
		ASSERT_EQ(0, ib_bound_at(QT_SERVER, &b[i]));
		/* who connects asks anew */
		fd = ib_socket(QT_CLIENT);
		ASSERT_EQ(0, ib_connect(fd, &b[i].addr));
		EXPECT_TRUE(ib_passes_to(fd, NULL, b[i].fd));
		close(fd);
	}
	end = qt_now_ms() + RESOLVED_MS + IB_WAIT_MS;
	while ((!found[0] || !found[1]) && qt_now_ms() < end) {
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(1, ib_sendto(a[i].fd, "x", 1, 0, &b[i].addr));
			if (qt_poll(b[i].fd, POLLIN, 100) & POLLIN)
				found[i] = true;
		}
	}
	EXPECT_TRUE(found[0]);
	EXPECT_TRUE(found[1]);
	for (int i = 0; i < 2; i++) {
		ib_close(&a[i]);
		ib_close(&b[i]);
	}
}

/* What is one's own only is no address of a port, and leads nowhere */
TEST_F(dgram, loopback)
{
	struct sockaddr_ib to = ib_addr(4, QT_CLIENT, ib_port());
	int fd = ib_socket(QT_CLIENT);

	ASSERT_EQ(0, qt_sh(IB_HOSTS, QT_CLIENT, "ip link set lo up"));
	for (int version = 4; version <= 6; version += 2) {
		memset(&to.sib_addr, 0, sizeof(to.sib_addr));
		to.sib_addr.sib_raw[15] = 1;
		if (version == 4) {
			to.sib_addr.sib_raw[10] = 0xff;
			to.sib_addr.sib_raw[11] = 0xff;
			to.sib_addr.sib_raw[12] = 127;
		}
		EXPECT_ERRNO(ENODEV, ib_connect(fd, &to));
		EXPECT_ERRNO(ENODEV, ib_sendto(fd, "x", 1, 0, &to));
	}
	close(fd);
}

/*
 * Any address
 */

TEST_F(dgram, any_address)
{
	__u16 port = ib_port();
	struct sockaddr_ib name;

	self->c.addr = ib_any(port);
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &self->c));
	ASSERT_EQ(0, ib_getsockname(self->c.fd, &name));
	EXPECT_TRUE(qt_all((void *)&name.sib_addr, 16, 0));
	EXPECT_EQ(ib_sid(port), name.sib_sid);
	/* also where there is InfiniBand besides */
	for (int version = 6; version >= 0; version -= 2) {
		struct sockaddr_ib to = ib_addr(version, QT_SERVER, port);
		int fd;

#ifndef QP_IB
		if (!version)
			break;
#endif
		if (version == 2)
			continue;
		fd = ib_socket(QT_CLIENT);
		EXPECT_TRUE(ib_passes_to(fd, &to, self->c.fd)) {
			TH_LOG("version %d", version);
		}
		close(fd);
	}
	/* it sends, and the others answer */
	EXPECT_TRUE(ib_passes(&self->c, &self->a));
	EXPECT_TRUE(ib_passes(&self->c, &self->b));
}

/* A socket on the server for any address, and one to ask it over each link */
static bool hears(int fd, int link, int version, __u16 port)
{
	struct sockaddr_ib to = ib_addr_on(link, version, QT_SERVER, port);
	int asker = ib_socket(QT_CLIENT);
	const struct ib_info *info;
	struct sockaddr_ib back;
	static struct ib_msg m;
	bool ok = false;
	char c[8];

	if (asker < 0 || ib_sendto(asker, "ask", 3, 0, &to) != 3 ||
	    ib_recvmsg(fd, &m, 0) != 3)
		goto out;
	info = ib_info(&m);
	if (!info || memcmp(&info->dgid, &to.sib_addr, 16) ||
	    ib_sendto(fd, "answer", 6, 0, &m.from) != 6 ||
	    ib_recvfrom(asker, c, sizeof(c), 0, &back) != 6)
		goto out;
	/* the answer comes from where the question went to */
	ok = ib_from_host(&back, &to);
out:
	close(asker);
	return ok;
}

/* The first link may be InfiniBand's; the others have IP */
#ifdef QP_IB
#define FIRST	0
#else
#define FIRST	4
#endif

/* Links that come later count as well, those that go take nothing along */
TEST(several_links)
{
	__u16 port = ib_port();
	struct ib_end any = { .addr = ib_any(port) };
	__u64 end;
	bool ok;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &any));
	ASSERT_EQ(0, ib_set(any.fd, IB_RECVINFO, 1));
	EXPECT_TRUE(hears(any.fd, 0, FIRST, port));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, ib_add_link());
		for (int version = 4; version <= 6; version += 2) {
			/* it may not be told at once */
			end = qt_now_ms() + IB_WAIT_MS;
			while (!(ok = hears(any.fd, 1, version, port)) &&
			       errno == ECONNREFUSED && qt_now_ms() < end)
				usleep(1000 * SHORT_MS);
			EXPECT_TRUE(ok) {
				TH_LOG("link 1, IPv%d: %s", version,
				       strerror(errno));
			}
			EXPECT_TRUE(hears(any.fd, 0, version == 4 ? FIRST : 6,
					  port));
		}
		ASSERT_EQ(0, ib_delete_link());
		EXPECT_TRUE(hears(any.fd, 0, FIRST, port));
		EXPECT_TRUE(hears(any.fd, 0, 6, port));
	}

	/* two links from the beginning */
	ib_close(&any);
	ASSERT_EQ(0, ib_add_link());
	ASSERT_EQ(0, ib_bound_at(QT_SERVER, &any));
	ASSERT_EQ(0, ib_set(any.fd, IB_RECVINFO, 1));
	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE(hears(any.fd, i & 1, i & 2 ? 6 : 4, port)) {
			TH_LOG("link %d: %s", i & 1, strerror(errno));
		}
	}
	ib_close(&any);
}

/*
 * Namespaces
 */

TEST_F(dgram, namespaces)
{
	struct sockaddr_ib same = self->a.addr;

	/* the client's address is not the server's; ports are each host's */
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_try_bind(QT_SERVER, &same));
	same = self->b.addr;
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_try_bind(QT_CLIENT, &same));
	same = ib_any(ib_sid_of(&self->b.addr) & 0xffff);
	EXPECT_EQ(0, ib_try_bind(QT_CLIENT, &same));
	/* a socket stays where it was made */
	ASSERT_EQ(0, qt_enter(IB_HOSTS, QT_SERVER));
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	ASSERT_EQ(0, qt_enter(IB_HOSTS, QT_CLIENT));
}

#ifdef IB_ON_DEMAND

static int write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret == strlen(text) ? 0 : -1;
}

/* Be root of a user namespace, and of no other */
static int user_namespace(void)
{
	if (setgroups(0, NULL) ||
	    setresgid(UID_NOBODY, UID_NOBODY, UID_NOBODY) ||
	    setresuid(UID_NOBODY, UID_NOBODY, UID_NOBODY) ||
	    prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
		return -1;
	return write_file("/proc/self/setgroups", "deny") ||
	       write_file("/proc/self/uid_map", "0 65534 1") ||
	       write_file("/proc/self/gid_map", "0 65534 1");
}

static int in_user_namespace(int version)
{
	struct ib_end a, b = { .addr = ib_addr(version, QT_SERVER, 80) };

	if (user_namespace())
		return 1;
	if (ib_own_hosts())
		return 2;
	if (ib_bound(version, QT_CLIENT, &a))
		return 3;
	if (ib_bound_at(QT_SERVER, &b))
		return 4;
	if (!ib_passes(&a, &b) || !ib_passes(&b, &a))
		return 5;
	if (ib_join(&a, version, 8, 0) || ib_join(&b, version, 8, 0))
		return 6;
	return 0;
}

TEST_F(dgram, user_namespace)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(in_user_namespace(self->version));
	EXPECT_EQ(0, qt_reap(pid));
}

/* Devices come with the first use, and go after the last */
TEST(devices)
{
	struct ib_end e;
	int fd;

	ASSERT_EQ(0, ib_own_hosts());
	EXPECT_FALSE(qt_has_device(IB_HOSTS, QT_CLIENT));
	fd = ib_socket(QT_CLIENT);
	EXPECT_FALSE(qt_has_device(IB_HOSTS, QT_CLIENT));
	ASSERT_EQ(0, ib_bound(4, QT_CLIENT, &e));
	usleep(1000 * (DEVICE_MS + 500));
	EXPECT_TRUE(qt_has_device(IB_HOSTS, QT_CLIENT));
	EXPECT_FALSE(qt_has_device(IB_HOSTS, QT_SERVER));
	close(fd);
	ib_close(&e);
	for (int i = 0; i < 50 && qt_has_device(IB_HOSTS, QT_CLIENT); i++)
		usleep(100000);
	EXPECT_FALSE(qt_has_device(IB_HOSTS, QT_CLIENT));
	/* and come again */
	ASSERT_EQ(0, ib_bound(6, QT_CLIENT, &e));
	EXPECT_TRUE(qt_has_device(IB_HOSTS, QT_CLIENT));
	EXPECT_TRUE(ib_passes(&e, &e));
	ib_close(&e);
}

#endif /* IB_ON_DEMAND */

TEST_HARNESS_MAIN
