// SPDX-License-Identifier: GPL-2.0
/*
 * Connections of AF_IB sockets, SOCK_SEQPACKET and SOCK_STREAM: names,
 * listening, connecting, and how a connection ends
 */
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <linux/ib_diag.h>

#include "ib_conn_fixture.h"
#include "ib_uring.h"

static void nothing(int sig)
{
}

/*
 * socket(), and what a socket says that is not connected
 */

TEST_F(conn, created)
{
	struct sockaddr_ib name, zero = { .sib_family = AF_IB };
	int fd = ib_open(QT_CLIENT, self->type), pair[2];
	struct stat st;
	char c;

	ASSERT_LE(0, fd);
	EXPECT_EQ(AF_IB, ib_sol_socket(fd, SO_DOMAIN));
	EXPECT_EQ(self->type, ib_sol_socket(fd, SO_TYPE));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_PROTOCOL));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ACCEPTCONN));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ERROR));
	EXPECT_LT(0, ib_sol_socket(fd, SO_RCVBUF));
	EXPECT_LT(0, ib_sol_socket(fd, SO_SNDBUF));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISSOCK(st.st_mode));

	ASSERT_EQ(0, ib_getsockname(fd, &name));
	EXPECT_EQ(0, memcmp(&name, &zero, sizeof(name)));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(fd, &name));
	EXPECT_EQ(0, POLLIN & qt_poll(fd, POLLIN | POLLOUT, 0));
	EXPECT_ERRNO(ENOTCONN, recv(fd, &c, 1, 0));
	EXPECT_EQ(-1, send(fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_TRUE(errno == ENOTCONN || errno == EPIPE);
	EXPECT_ERRNO(ENOTCONN, shutdown(fd, SHUT_RDWR));
	EXPECT_ERRNO(EINVAL, accept(fd, NULL, NULL));
	EXPECT_ERRNO(EOPNOTSUPP, socketpair(AF_IB, self->type, 0, pair));
	EXPECT_ERRNO(ENOTTY, ioctl(fd, 0x5678, &st));
	EXPECT_ERRNO(ESPIPE, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
	close(fd);
}

TEST_F(conn, options)
{
	static const int ints[] = { SO_SNDBUF, SO_RCVBUF };
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);
	int fds[] = { self->a, self->b, self->l.fd };

	for (int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_EQ(AF_IB, ib_sol_socket(fds[i], SO_DOMAIN));
		EXPECT_EQ(self->type, ib_sol_socket(fds[i], SO_TYPE));
		EXPECT_EQ(0, ib_sol_socket(fds[i], SO_PROTOCOL));
		EXPECT_EQ(fds[i] == self->l.fd,
			  ib_sol_socket(fds[i], SO_ACCEPTCONN));
		EXPECT_EQ(0, ib_sol_socket(fds[i], SO_ERROR));
		EXPECT_ERRNO(ENOPROTOOPT, ib_set(fds[i], 4711, 1));
		EXPECT_EQ(-1, ib_get(fds[i], 4711));
	}
	/* twice of what was asked for, as with any socket */
	for (int i = 0; i < ARRAY_SIZE(ints); i++) {
		ASSERT_EQ(0, ib_set_sol_socket(self->a, ints[i], 50000));
		EXPECT_EQ(100000, ib_sol_socket(self->a, ints[i]));
	}
	/* there are no credentials: an error, or those of nobody */
	if (!getsockopt(self->a, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		EXPECT_EQ(0, cred.pid);
		EXPECT_EQ((uid_t)-1, cred.uid);
	}
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/*
 * Addresses
 */

enum { BIND = 1, CONNECT = 2, ALL = 3 };

static const struct ib_wrong wrong_addresses[] = {
	{ "AF_INET", ALL, EAFNOSUPPORT, .family = AF_INET },
	{ "AF_INET6", ALL, EAFNOSUPPORT, .family = AF_INET6 },
	{ "AF_UNIX", ALL, EAFNOSUPPORT, .family = AF_UNIX },
	{ "P_Key 1", ALL, EADDRNOTAVAIL, .pkey = 1 },
#ifdef QP_IB
	{ "P_Key 0x8000", ALL, EADDRNOTAVAIL, .pkey = 0x8000 },
	{ "the peer's GID", BIND, EADDRNOTAVAIL, .gid = "fe80::ff:fe00:901" },
	{ "nobody's GID", BIND, EADDRNOTAVAIL, .gid = "fe80::ff:fe00:977" },
#else
	{ "P_Key 0x7fff", ALL, EADDRNOTAVAIL, .pkey = 0x7fff },
#endif
	{ "a port for datagrams", ALL, EADDRNOTAVAIL,
	  .sid = IB_UDP_SPACE | 4000 },
	{ "service ID 1", ALL, EADDRNOTAVAIL, .sid = 1 },
	{ "service ID ~0", ALL, EADDRNOTAVAIL, .sid = ~0ULL },
	{ "port 65536", ALL, EADDRNOTAVAIL, .sid = IB_TCP_SPACE + 0x10000 },
	{ "no service ID", CONNECT, EADDRNOTAVAIL, .no_sid = true },
	{ "a queue pair", ALL, EADDRNOTAVAIL, .sid = IB_SID_QPN | 77 },
	{ "the peer's IPv4", BIND, EADDRNOTAVAIL, .gid = "::ffff:10.9.0.1" },
	{ "nobody's IPv4", BIND, EADDRNOTAVAIL, .gid = "::ffff:10.9.0.77" },
	{ "IPv4 group", BIND, EADDRNOTAVAIL, .gid = "::ffff:239.1.2.3" },
	{ "the peer's IPv6", BIND, EADDRNOTAVAIL, .gid = "fd09::1" },
	{ "nobody's IPv6", BIND, EADDRNOTAVAIL, .gid = "fd09::77" },
	{ "IPv6 group", BIND, EADDRNOTAVAIL, .gid = "ff0e::123" },
};

/* None of it has an effect, and all of it is right in the end */
TEST_F(conn, wrong_addresses)
{
	struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT,
					      ib_port());
	struct sockaddr_ib peer;
	int b;

	self->c = ib_open(QT_CLIENT, self->type);
	ASSERT_LE(0, self->c);
	for (int i = 0; i < ARRAY_SIZE(wrong_addresses); i++) {
		const struct ib_wrong *w = &wrong_addresses[i];
		struct sockaddr_ib bad = ib_wrong_addr(&own, w);

		if (w->calls & BIND)
			EXPECT_ERRNO_AT(w->err, ib_bind(self->c, &bad),
					"bind to %s", w->what);
		bad = ib_wrong_addr(&self->l.addr, w);
		if (w->calls & CONNECT)
			EXPECT_ERRNO_AT(w->err, ib_connect(self->c, &bad),
					"connect to %s", w->what);
	}
	for (int len = 0; len < sizeof(own); len++) {
		EXPECT_ERRNO_AT(EINVAL, bind(self->c, (void *)&own, len),
				"bind, length %d", len);
		EXPECT_ERRNO_AT(EINVAL, connect(self->c, (void *)&self->l.addr,
						len),
				"connect, length %d", len);
	}
	EXPECT_ERRNO(EFAULT, bind(self->c, (void *)8, sizeof(own)));
	EXPECT_ERRNO(EFAULT, connect(self->c, (void *)8, sizeof(own)));
	ASSERT_EQ(0, ib_bind(self->c, &own));
	ASSERT_EQ(0, fcntl(self->c, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EINPROGRESS, ib_connect(self->c, &self->l.addr));
	b = ib_accept(self->l.fd, &peer);
	ASSERT_LE(0, b);
	EXPECT_TRUE(ib_same_name(&own, &peer));
	EXPECT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
	close(b);
}

/* Whether it is bind() or listen() that says no */
static int try_listen(enum qt_host host, int type,
		      const struct sockaddr_ib *addr)
{
	struct ib_end l = { .addr = *addr };
	int ret = ib_listen_at(host, type, &l, 1), err = errno;

	ib_close(&l);
	errno = err;
	return ret;
}

TEST_F(conn, address_in_use)
{
	__u16 port = be64toh(self->l.addr.sib_sid);
	struct sockaddr_ib any = ib_conn_any(port), datagrams = self->l.addr;
	struct sockaddr_ib other;

	/* who has it, has it for both types */
	EXPECT_ERRNO(EADDRINUSE, try_listen(QT_SERVER, SOCK_STREAM,
					    &self->l.addr));
	EXPECT_ERRNO(EADDRINUSE, try_listen(QT_SERVER, SOCK_SEQPACKET,
					    &self->l.addr));
	EXPECT_ERRNO(EADDRINUSE, try_listen(QT_SERVER, self->type, &any));
	/* another address, another host, another port space */
	other = ib_conn_addr(IB_OTHER(self->version), QT_SERVER, port);
	EXPECT_EQ(0, try_listen(QT_SERVER, self->type, &other));
	EXPECT_EQ(0, try_listen(QT_CLIENT, self->type, &any));
	datagrams.sib_sid = ib_sid(port);
	EXPECT_EQ(0, ib_try_bind(QT_SERVER, &datagrams));
	/* and again what was left */
	close(self->a);
	close(self->b);
	self->a = -1;
	self->b = -1;
	ib_close(&self->l);
	EXPECT_EQ(0, try_listen(QT_SERVER, self->type, &self->l.addr));
	EXPECT_EQ(0, try_listen(QT_SERVER, self->type, &any));
}

/* What a connection was bound to is free when that is done, not as it is closed */
static int bind_soon(int fd, const struct sockaddr_ib *addr)
{
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	int err;

	while ((err = ib_bind(fd, addr)) && errno == EADDRINUSE && qt_now_ms() < end)
		usleep(10000);
	return err;
}

/* Who is bound has it, whether it listens or not */
TEST_F(conn, bound)
{
	struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT, ib_port());
	struct sockaddr_ib any = ib_conn_any(be64toh(own.sib_sid)), name;
	struct sockaddr_ib addrs[] = { own, any };
	int fd;

	for (int i = 0; i < 4; i++) {
		self->c = ib_open(QT_CLIENT, self->type);
		ASSERT_EQ(0, bind_soon(self->c, &addrs[i & 1])) {
			TH_LOG("%s", strerror(errno));
		}
		EXPECT_ERRNO(EINVAL, ib_bind(self->c, &addrs[i & 1]));
		for (int j = 0; j < 4; j++) {
			fd = ib_open(QT_CLIENT, j & 2 ? SOCK_STREAM :
							SOCK_SEQPACKET);
			EXPECT_ERRNO(EADDRINUSE, ib_bind(fd, &addrs[j & 1]));
			close(fd);
		}
		if (i & 2) {
			ASSERT_EQ(0, listen(self->c, 1));
			fd = ib_open(QT_CLIENT, self->type);
			EXPECT_ERRNO(EADDRINUSE, ib_bind(fd, &own));
			close(fd);
		} else {
			/* also from there, and it stays the same */
			ASSERT_EQ(0, ib_connect(self->c, &self->l.addr)) {
				TH_LOG("%s", strerror(errno));
			}
			fd = ib_accept(self->l.fd, &name);
			EXPECT_EQ(own.sib_sid, name.sib_sid);
			EXPECT_TRUE(ib_passes_to(self->c, NULL, fd));
			close(fd);
		}
		close(self->c);
		self->c = -1;
	}
	/* what the kernel chose is known at once, and one's own */
	own.sib_sid = 0;
	self->c = ib_open(QT_CLIENT, self->type);
	ASSERT_EQ(0, ib_bind(self->c, &own));
	ASSERT_EQ(0, ib_getsockname(self->c, &name));
	EXPECT_LE(1024, ib_sid_of(&name) & 0xffff);
	EXPECT_ERRNO(EADDRINUSE, try_listen(QT_CLIENT, self->type, &name));
	ASSERT_EQ(0, listen(self->c, 1));
	ASSERT_EQ(0, ib_getsockname(self->c, &own));
	EXPECT_EQ(own.sib_sid, name.sib_sid);
}

/* SO_REUSEADDR: who connects may share, who listens may not */
TEST_F(conn, reuse)
{
	struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT, ib_port());
	int fds[3], b[2];

	for (int i = 0; i < 3; i++) {
		fds[i] = ib_open(QT_CLIENT, self->type);
		ASSERT_EQ(0, ib_set_sol_socket(fds[i], SO_REUSEADDR, i < 2));
	}
	ASSERT_EQ(0, ib_bind(fds[0], &own));
	EXPECT_ERRNO(EADDRINUSE, ib_bind(fds[2], &own));
	ASSERT_EQ(0, ib_bind(fds[1], &own)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_ERRNO(EADDRINUSE, listen(fds[1], 1));
	close(fds[1]);
	fds[1] = ib_open(QT_CLIENT, self->type);
	ASSERT_EQ(0, ib_set_sol_socket(fds[1], SO_REUSEADDR, 1));
	ASSERT_EQ(0, ib_bind(fds[1], &own));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ib_connect(fds[i], &self->l.addr));
		b[i] = ib_accept(self->l.fd, NULL);
		EXPECT_TRUE(ib_passes_to(fds[i], NULL, b[i]));
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(b[0]);
	close(b[1]);
}

/*
 * A listener begins anew at once, whatever there is of connections that the one
 * before accepted: here one that is closed and has not sent all
 */
TEST_F(conn, listener_again)
{
	static char buf[30000];
	ssize_t sent = 0, got = 0, n;
	struct ib_end l = self->l;

	do {
		while ((n = send(self->b, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			sent += n;
	} while (qt_poll(self->b, POLLOUT, 200) & POLLOUT);
	close(self->b);
	self->b = -1;
	ib_close(&self->l);
	self->l.fd = -1;
	l.fd = ib_open(QT_SERVER, self->type);
	ASSERT_EQ(0, ib_set_sol_socket(l.fd, SO_REUSEADDR, 1));
	ASSERT_EQ(0, ib_bind(l.fd, &l.addr)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, listen(l.fd, 1));
	ASSERT_EQ(0, ib_pair(self->type, &l, &self->c, &self->b));
	EXPECT_TRUE(ib_passes_to(self->c, NULL, self->b));
	while ((n = recv(self->a, buf, sizeof(buf), 0)) > 0)
		got += n;
	EXPECT_EQ(sent, got);
	ib_close(&l);
}

/* A listener at any address hears netdevices that come later */
TEST_F(conn, link_later)
{
	struct ib_end l = { .addr = ib_conn_any(ib_port()) };
	struct sockaddr_ib to;
	__u64 end;
	int a, err;

	ASSERT_EQ(0, ib_own_hosts());
	ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l, 4));
	ASSERT_EQ(0, ib_add_link());
	to = ib_addr_on(1, self->version, QT_SERVER, 0);
	to.sib_sid = l.addr.sib_sid;
	end = qt_now_ms() + IB_WAIT_MS;
	do {
		/* it may not be told at once */
		usleep(1000 * SHORT_MS);
		a = ib_open(QT_CLIENT, self->type);
		err = ib_connect(a, &to) ? errno : 0;
		if (err)
			close(a);
	} while (err && qt_now_ms() < end);
	ASSERT_EQ(0, err) {
		TH_LOG("%s", strerror(err));
	}
	self->c = ib_accept(l.fd, NULL);
	EXPECT_TRUE(ib_passes_to(a, NULL, self->c));
	close(a);
	ib_close(&l);
}

/* How a connection travels is said before it is made; both ends are told */
TEST_F(conn, way)
{
	static const struct { int opt, val, bad; } opts[] = {
		{ IB_TCLASS, 0x48, 256 }, { IB_HOPLIMIT, 7, 0 }, { IB_SL, 3, 16 },
	};
	struct ib_diag_path path;
	socklen_t len = sizeof(path);
	int fds[2];

	fds[0] = ib_open(QT_CLIENT, self->type);
	EXPECT_ERRNO(ENOTCONN, getsockopt(fds[0], SOL_IB, IB_PATH, &path, &len));
	for (int i = 0; i < ARRAY_SIZE(opts); i++) {
		EXPECT_EQ(0, ib_set(fds[0], opts[i].opt, opts[i].val));
		EXPECT_EQ(opts[i].val, ib_get(fds[0], opts[i].opt));
		EXPECT_ERRNO(EINVAL, ib_set(fds[0], opts[i].opt, opts[i].bad));
	}
	ASSERT_EQ(0, ib_connect(fds[0], &self->l.addr));
	fds[1] = ib_accept(self->l.fd, NULL);
	ASSERT_LE(0, fds[1]);
	EXPECT_TRUE(ib_passes_to(fds[0], NULL, fds[1]));
	EXPECT_ERRNO(EISCONN, ib_set(fds[0], IB_TCLASS, 0));
	EXPECT_EQ(0x48, ib_get(fds[0], IB_TCLASS));
	for (int i = 0; i < 2; i++) {
		memset(&path, 0xaa, sizeof(path));
		len = sizeof(path);
		ASSERT_EQ(0, getsockopt(fds[i], SOL_IB, IB_PATH, &path, &len)) {
			TH_LOG("%s", strerror(errno));
		}
		EXPECT_EQ(sizeof(path), len);
		EXPECT_LT(0, strnlen(path.device, sizeof(path.device)));
		EXPECT_EQ(1, path.port);
		EXPECT_TRUE(path.flags & IB_DIAG_PATH_ROUTE);
		EXPECT_EQ(1024, path.mtu);
		EXPECT_EQ(0x48, path.tclass);
		EXPECT_EQ(3, path.sl);
		EXPECT_EQ(i ? path.hoplimit : 7, path.hoplimit);
	}
	close(fds[0]);
	close(fds[1]);
	/* those are options of datagrams */
	EXPECT_ERRNO(ENOPROTOOPT, ib_set(self->a, IB_QKEY, 5));
	EXPECT_ERRNO(ENOPROTOOPT, ib_set(self->a, IB_RECVERR, 1));
	EXPECT_EQ(-1, ib_get(self->a, IB_MTU));
}

/* The kernel chooses a service ID, which is nobody else's */
TEST_F(conn, sid_chosen)
{
	struct ib_end l[4];

	for (int i = 0; i < ARRAY_SIZE(l); i++) {
		l[i].addr = ib_conn_addr(self->version, QT_SERVER, 0);
		l[i].addr.sib_sid_mask = i & 1 ? ~0ULL : 0;
		ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l[i], 1)) {
			TH_LOG("%s", strerror(errno));
		}
		ASSERT_EQ(0, ib_getsockname(l[i].fd, &l[i].addr));
		EXPECT_EQ(IB_TCP_SPACE, ib_sid_of(&l[i].addr) & ~0xffffULL);
		EXPECT_LE(1024, ib_sid_of(&l[i].addr) & 0xffff);
		for (int j = 0; j < i; j++)
			EXPECT_NE(l[j].addr.sib_sid, l[i].addr.sib_sid);
	}
	for (int i = 0; i < ARRAY_SIZE(l); i++) {
		int a, b;

		EXPECT_EQ(0, ib_pair(self->type, &l[i], &a, &b));
		EXPECT_TRUE(ib_passes_to(a, NULL, b));
		close(a);
		close(b);
		ib_close(&l[i]);
	}
}

/* Below ip_unprivileged_port_start a service ID takes a capability */
TEST_F(conn, privileged)
{
	static const struct {
		__u16 port;
		bool nobody;
		int err;
	} cases[] = {
		{ 80, false, 0 },
		{ 80, true, EACCES },
		{ 1023, true, EACCES },
		{ 1024, true, 0 },
		{ 0, true, 0 },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT,
						      cases[i].port);
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = socket(AF_IB, self->type, 0);

			if (fd < 0 || (cases[i].nobody && qt_become_nobody()))
				_exit(255);
			_exit(ib_bind(fd, &own) ? errno : 0);
		}
		EXPECT_EQ(cases[i].err, qt_reap(pid)) {
			TH_LOG("port %d", cases[i].port);
		}
	}
}

/* What both ends say of themselves and of each other */
TEST_F(conn, names)
{
	struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT,
					      ib_port());
	struct sockaddr_ib a, b, peer;
	socklen_t len = 10;
	int fd;

	ASSERT_EQ(0, ib_getsockname(self->l.fd, &a));
	EXPECT_TRUE(ib_same_name(&self->l.addr, &a));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(self->l.fd, &a));

	ASSERT_EQ(0, ib_getsockname(self->a, &a));
	EXPECT_TRUE(ib_same_gid(&own, &a));
	EXPECT_EQ(IB_TCP_SPACE, ib_sid_of(&a) & ~0xffffULL);
	EXPECT_NE(0, ib_sid_of(&a) & 0xffff);
	ASSERT_EQ(0, ib_getpeername(self->b, &b));
	EXPECT_TRUE(ib_same_name(&a, &b));
	ASSERT_EQ(0, ib_getpeername(self->a, &a));
	EXPECT_TRUE(ib_same_name(&self->l.addr, &a));
	EXPECT_EQ(0xffff, ntohs(a.sib_pkey));
	EXPECT_EQ(0, a.sib_scope_id);
	ASSERT_EQ(0, ib_getsockname(self->b, &b));
	EXPECT_TRUE(ib_same_name(&self->l.addr, &b));

	/* one that is bound, and addresses that are cut off, or not wanted */
	for (int i = 0; i < 3; i++) {
		memset(&peer, 0xaa, sizeof(peer));
		own.sib_sid = ib_conn_sid(ib_port());
		self->c = ib_open(QT_CLIENT, self->type | SOCK_NONBLOCK);
		ASSERT_EQ(0, ib_bind(self->c, &own));
		EXPECT_ERRNO(EINVAL, ib_bind(self->c, &own));
		EXPECT_ERRNO(EINPROGRESS, ib_connect(self->c, &self->l.addr));
		if (i == 0)
			fd = ib_accept(self->l.fd, &peer);
		else if (i == 1)
			fd = accept(self->l.fd, (void *)&peer, &len);
		else
			fd = accept(self->l.fd, NULL, NULL);
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
		if (i == 0)
			EXPECT_TRUE(ib_same_name(&own, &peer));
		if (i == 1) {
			EXPECT_EQ(sizeof(peer), len);
			EXPECT_EQ(AF_IB, peer.sib_family);
			EXPECT_TRUE(qt_all((char *)&peer + 10,
					   sizeof(peer) - 10, 0xaa));
		}
		ASSERT_EQ(0, ib_getpeername(fd, &peer));
		EXPECT_TRUE(ib_same_name(&own, &peer));
		ASSERT_EQ(0, ib_getsockname(self->c, &peer));
		EXPECT_TRUE(ib_same_name(&own, &peer));
		close(fd);
		close(self->c);
		self->c = -1;
	}
}

/* A listener at any address hears of all; what it accepts has one of them */
TEST_F(conn, any_address)
{
	__u16 port = ib_port();
	struct ib_end any = { .addr = ib_conn_any(port) };
	struct sockaddr_ib name;

	ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &any, 4));
	ASSERT_EQ(0, ib_getsockname(any.fd, &name));
	EXPECT_TRUE(qt_all((void *)&name.sib_addr, 16, 0));
	EXPECT_EQ(ib_conn_sid(port), name.sib_sid);
	EXPECT_ERRNO(EADDRINUSE, try_listen(QT_SERVER, self->type, &any.addr));
	/* also where there is InfiniBand besides */
	for (int version = 6; version >= 0; version -= 2) {
		struct ib_end to = { .fd = any.fd };
		int a, b;

#ifndef QP_IB
		if (!version)
			break;
#endif
		if (version == 2)
			continue;
		to.addr = ib_conn_addr(version, QT_SERVER, port);
		ASSERT_EQ(0, ib_pair(self->type, &to, &a, &b)) {
			TH_LOG("version %d: %s", version, strerror(errno));
		}
		ASSERT_EQ(0, ib_getsockname(b, &name));
		EXPECT_TRUE(ib_same_name(&to.addr, &name));
		EXPECT_TRUE(ib_passes_to(a, NULL, b));
		EXPECT_TRUE(ib_passes_to(b, NULL, a));
		close(a);
		close(b);
	}
	ib_close(&any);
}

/* On one host, and in a link's scope */
TEST_F(conn, nearby)
{
	struct ib_end l = {
		.addr = ib_conn_addr(self->version, QT_CLIENT, ib_port())
	};
	struct sockaddr_ib name;
	int a, b;

	ASSERT_EQ(0, ib_listen_at(QT_CLIENT, self->type, &l, 1));
	ASSERT_EQ(0, ib_pair(self->type, &l, &a, &b));
	EXPECT_TRUE(ib_passes_to(a, NULL, b));
	EXPECT_TRUE(ib_passes_to(b, NULL, a));
	close(a);
	close(b);
	ib_close(&l);
	if (self->version == 4)
		return;

	ASSERT_EQ(0, ib_link_local(QT_SERVER, &l.addr));
	l.addr.sib_sid = ib_conn_sid(ib_port());
	ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l, 1));
	l.addr.sib_scope_id = 0;
	self->c = ib_open(QT_CLIENT, self->type);
	/* without a link it may be of InfiniBand's subnet, if there is one */
	EXPECT_ERRNO(self->version ? EINVAL : EHOSTUNREACH,
		     ib_connect(self->c, &l.addr));
	l.addr.sib_scope_id = ib_ifindex(QT_CLIENT, ib_ip_link);
	ASSERT_EQ(0, ib_pair(self->type, &l, &a, &b)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, ib_getpeername(a, &name));
	EXPECT_TRUE(ib_same_name(&l.addr, &name));
	EXPECT_EQ(l.addr.sib_scope_id, name.sib_scope_id);
	ASSERT_EQ(0, ib_getpeername(b, &name));
	EXPECT_EQ(ib_ifindex(QT_SERVER, ib_ip_link), name.sib_scope_id);
	EXPECT_TRUE(ib_passes_to(a, NULL, b));
	close(a);
	close(b);
	ib_close(&l);
}

/*
 * States: what is wrong in which
 */

TEST_F(conn, wrong_states)
{
	struct sockaddr_ib own = ib_conn_addr(self->version, QT_CLIENT,
					      ib_port());
	char c;

	/* one that listens */
	EXPECT_ERRNO(EINVAL, ib_bind(self->l.fd, &self->l.addr));
	EXPECT_ERRNO(EISCONN, ib_connect(self->l.fd, &self->l.addr));
	EXPECT_EQ(-1, send(self->l.fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_TRUE(errno == ENOTCONN || errno == EPIPE);
	EXPECT_ERRNO(ENOTCONN, recv(self->l.fd, &c, 1, 0));
	EXPECT_EQ(0, listen(self->l.fd, 8));
	EXPECT_EQ(0, qt_poll(self->l.fd, POLLIN | POLLOUT, 0));

	/* those that are connected */
	for (int i = 0; i < 2; i++) {
		int fd = i ? self->a : self->b;

		EXPECT_ERRNO(EINVAL, ib_bind(fd, &own));
		EXPECT_ERRNO(EINVAL, listen(fd, 1));
		EXPECT_ERRNO(EINVAL, accept(fd, NULL, NULL));
		/* who did not wait may be told once that it is connected */
		if (ib_connect(fd, &self->l.addr))
			EXPECT_EQ(EISCONN, errno);
		EXPECT_ERRNO(EISCONN, ib_connect(fd, &self->l.addr));
		EXPECT_ERRNO(EINVAL, shutdown(fd, 7));
		EXPECT_ERRNO(EINVAL, shutdown(fd, -1));
		EXPECT_EQ(POLLOUT, qt_poll(fd, POLLIN | POLLOUT | POLLPRI |
						   POLLRDHUP, 0));
	}
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

/*
 * listen() and accept()
 */

TEST_F(conn, accept_waits)
{
	struct ib_call call = { .op = IB_ACCEPT, .fd = self->l.fd };
	__u64 start = qt_now_ms();
	int fd;

	/* nobody is there */
	ASSERT_EQ(0, ib_set_wait(self->l.fd, SO_RCVTIMEO, 200));
	EXPECT_ERRNO(EAGAIN, accept(self->l.fd, NULL, NULL));
	EXPECT_LE(190, qt_now_ms() - start);
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	ASSERT_EQ(0, ib_set_wait(self->l.fd, SO_RCVTIMEO, IB_WAIT_MS));
	ASSERT_EQ(0, fcntl(self->l.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, accept(self->l.fd, NULL, NULL));
	EXPECT_EQ(0, qt_poll(self->l.fd, POLLIN, SHORT_MS));

	/* somebody comes: poll() says so */
	self->c = ib_dial(self->type, &self->l.addr);
	ASSERT_LE(0, self->c);
	EXPECT_EQ(POLLIN, qt_poll(self->l.fd, POLLIN | POLLOUT, IB_WAIT_MS));
	EXPECT_ERRNO(EINVAL, accept4(self->l.fd, NULL, NULL, 4711));
	fd = accept4(self->l.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
	EXPECT_EQ(0, qt_poll(self->l.fd, POLLIN, 0));
	close(fd);
	close(self->c);

	/* somebody comes: who waits is woken */
	ASSERT_EQ(0, fcntl(self->l.fd, F_SETFL, 0));
	ASSERT_EQ(0, ib_start(&call));
	usleep(1000 * SHORT_MS);
	self->c = ib_dial(self->type, &self->l.addr);
	EXPECT_EQ(0, ib_finish(&call));
	ASSERT_LE(0, call.ret);
	EXPECT_EQ(0, fcntl(call.ret, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
	EXPECT_TRUE(ib_passes_to(self->c, NULL, call.ret));
	close(call.ret);
}

#define CALLERS	8
#define BACKLOG	2

/* Those that find no place are refused; TCP has one place more than it says */
TEST_F(conn, backlog)
{
	struct ib_end l = {
		.addr = ib_conn_addr(self->version, QT_SERVER, ib_port())
	};
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	int fd[CALLERS], refused = 0, settled = 0, b;

	ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l, BACKLOG));
	for (int i = 0; i < CALLERS; i++) {
		fd[i] = ib_dial(self->type, &l.addr);
		ASSERT_LE(0, fd[i]);
	}
	while (settled < CALLERS && qt_now_ms() < end) {
		settled = 0;
		for (int i = 0; i < CALLERS; i++)
			settled += !!qt_poll(fd[i], POLLOUT, 0);
		usleep(10000);
	}
	for (int i = 0; i < CALLERS; i++) {
		int err = ib_sol_socket(fd[i], SO_ERROR);

		EXPECT_TRUE(!err || err == ECONNREFUSED) {
			TH_LOG("%d: %s", i, strerror(err));
		}
		refused += err == ECONNREFUSED;
	}
	EXPECT_LE(CALLERS - BACKLOG - 1, refused);
	EXPECT_GE(CALLERS - BACKLOG, refused);

	/* the others are there, and there is room again */
	for (int i = refused; i < CALLERS; i++) {
		b = ib_accept(l.fd, NULL);
		EXPECT_LE(0, b) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		close(b);
	}
	ASSERT_EQ(0, fcntl(l.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, accept(l.fd, NULL, NULL));
	ASSERT_EQ(0, fcntl(l.fd, F_SETFL, 0));
	for (int i = 0; i < CALLERS; i++)
		close(fd[i]);
	ASSERT_EQ(0, ib_pair(self->type, &l, &self->c, &b)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_TRUE(ib_passes_to(self->c, NULL, b));
	close(b);
	ib_close(&l);
}

/* Who is accepted late has sent already, and may have gone again */
TEST_F(conn, before_accept)
{
	for (int gone = 0; gone < 2; gone++) {
		int fd = ib_dial(self->type, &self->l.addr), b;
		char c[8];

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ib_dialled(fd, IB_WAIT_MS)) {
			TH_LOG("connected before it is accepted?");
		}
		ASSERT_EQ(3, send(fd, "abc", 3, MSG_NOSIGNAL));
		if (gone) {
			close(fd);
			usleep(1000 * SHORT_MS);
		}
		b = ib_accept(self->l.fd, NULL);
		ASSERT_LE(0, b);
		EXPECT_EQ(3, recv(b, c, sizeof(c), 0));
		EXPECT_EQ(0, memcmp(c, "abc", 3));
		if (gone) {
			EXPECT_EQ(1, ib_at_end(b));
		} else {
			EXPECT_TRUE(ib_passes_to(b, NULL, fd));
			close(fd);
		}
		close(b);
	}
}

/* A listener that goes takes along those that it did not accept, no others */
TEST_F(conn, listener_closed)
{
	struct ib_call call = { .op = IB_RECV };
	struct ib_end l = {
		.addr = ib_conn_addr(self->version, QT_SERVER, ib_port())
	};
	int a, b;

	ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l, 4));
	ASSERT_EQ(0, ib_pair(self->type, &l, &a, &b));
	self->c = ib_dial(self->type, &l.addr);
	ASSERT_LE(0, self->c);
	ASSERT_EQ(POLLIN, qt_poll(l.fd, POLLIN, IB_WAIT_MS));
	ASSERT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
	ASSERT_EQ(0, fcntl(self->c, F_SETFL, 0));
	call.fd = self->c;
	ASSERT_EQ(0, ib_start(&call));
	ib_close(&l);
	EXPECT_EQ(ECONNRESET, ib_finish(&call));
	EXPECT_TRUE(ib_passes_to(a, NULL, b));
	EXPECT_TRUE(ib_passes_to(b, NULL, a));
	close(a);
	close(b);
	close(self->c);
	self->c = ib_open(QT_CLIENT, self->type);
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->c, &l.addr));
}

/*
 * connect()
 */

TEST_F(conn, connect_waits)
{
	struct ib_call call = { .op = IB_CONNECT, .to = self->l.addr };
	int b;

	self->c = ib_open(QT_CLIENT, self->type);
	call.fd = self->c;
	ASSERT_EQ(0, ib_start(&call));
	b = ib_accept(self->l.fd, NULL);
	ASSERT_LE(0, b);
	EXPECT_EQ(0, ib_finish(&call));
	EXPECT_ERRNO(EISCONN, ib_connect(self->c, &self->l.addr));
	EXPECT_TRUE(ib_passes_to(self->c, NULL, b));
	EXPECT_TRUE(ib_passes_to(b, NULL, self->c));
	close(b);
}

/* After an attempt that failed the next one may first be told so */
static int connect_anew(int fd, const struct sockaddr_ib *to)
{
	int ret = ib_connect(fd, to);

	return ret && errno == ECONNABORTED ? ib_connect(fd, to) : ret;
}

/* connect() again says how it is; of a success it may say so once more */
TEST_F(conn, connect_later)
{
	struct sockaddr_ib absent = ib_absent(&self->l.addr, 99), name;
	int fd = ib_open(QT_CLIENT, self->type | SOCK_NONBLOCK), b;

	EXPECT_ERRNO(EINPROGRESS, ib_connect(fd, &self->l.addr));
	b = ib_accept(self->l.fd, NULL);
	ASSERT_LE(0, b);
	EXPECT_EQ(POLLOUT, qt_poll(fd, POLLIN | POLLOUT, IB_WAIT_MS));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ERROR));
	EXPECT_TRUE(!ib_connect(fd, &self->l.addr) || errno == EISCONN);
	EXPECT_ERRNO(EISCONN, ib_connect(fd, &self->l.addr));
	EXPECT_TRUE(ib_passes_to(fd, NULL, b));
	close(b);
	close(fd);

	/* nobody is there, which takes a while */
	fd = ib_open(QT_CLIENT, self->type | SOCK_NONBLOCK);
	EXPECT_ERRNO(EINPROGRESS, ib_connect(fd, &absent));
	EXPECT_ERRNO(EALREADY, ib_connect(fd, &absent));
	EXPECT_ERRNO(EALREADY, ib_connect(fd, &self->l.addr));
	EXPECT_EQ(0, qt_poll(fd, POLLIN | POLLOUT, 0));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(fd, &name));
	EXPECT_EQ(POLLERR | POLLHUP,
		  ib_await(fd, POLLERR | POLLHUP, GIVE_UP_MS));
	EXPECT_EQ(EHOSTUNREACH, ib_sol_socket(fd, SO_ERROR));
	EXPECT_EQ(0, ib_sol_socket(fd, SO_ERROR));

	/* it may be used once more, and closed while it waits */
	EXPECT_ERRNO(EINPROGRESS, connect_anew(fd, &absent));
	close(fd);
}

TEST_F(conn, refused)
{
	struct sockaddr_ib nobody = self->l.addr, name;
	int b;

	nobody.sib_sid = ib_conn_sid(ib_port());
	self->c = ib_open(QT_CLIENT, self->type);
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->c, &nobody));
	EXPECT_EQ(0, ib_sol_socket(self->c, SO_ERROR));
	EXPECT_ERRNO(ENOTCONN, ib_getpeername(self->c, &name));
	ASSERT_EQ(0, fcntl(self->c, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EINPROGRESS, ib_connect(self->c, &nobody));
	EXPECT_EQ(POLLERR | POLLHUP,
		  ib_await(self->c, POLLERR | POLLHUP, IB_WAIT_MS));
	EXPECT_EQ(ECONNREFUSED, ib_sol_socket(self->c, SO_ERROR));
	EXPECT_EQ(0, ib_sol_socket(self->c, SO_ERROR));

	/* there is somebody else to connect to */
	EXPECT_ERRNO(EINPROGRESS, connect_anew(self->c, &self->l.addr));
	b = ib_accept(self->l.fd, NULL);
	ASSERT_LE(0, b);
	EXPECT_EQ(0, ib_dialled(self->c, IB_WAIT_MS));
	EXPECT_TRUE(ib_passes_to(self->c, NULL, b));
	close(b);
}

/* Both ends speak the same, or do not speak */
TEST_F(conn, other_type)
{
	int other = self->type == SOCK_STREAM ? SOCK_SEQPACKET : SOCK_STREAM;

	self->c = ib_open(QT_CLIENT, other);
	EXPECT_ERRNO(ECONNREFUSED, ib_connect(self->c, &self->l.addr));
	ASSERT_EQ(0, fcntl(self->l.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, accept(self->l.fd, NULL, NULL));
}

TEST_F(conn, connect_timeout)
{
	struct sockaddr_ib absent = ib_absent(&self->l.addr, 98);
	__u64 start = qt_now_ms();

	self->c = ib_open(QT_CLIENT, self->type);
	ASSERT_EQ(0, ib_set_wait(self->c, SO_SNDTIMEO, 200));
	EXPECT_ERRNO(EINPROGRESS, ib_connect(self->c, &absent));
	EXPECT_LE(190, qt_now_ms() - start);
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	/* it goes on without the caller */
	EXPECT_ERRNO(EALREADY, ib_connect(self->c, &absent));
	EXPECT_EQ(EHOSTUNREACH, ib_dialled(self->c, GIVE_UP_MS));
}

/* Nobody answers. The server has no sockets. */
TEST_F(conn, unreachable)
{
	static const struct {
		const char *what;
		const char *gid;
		int err[3];
	} cases[] = {
		{ "no host, IPv4", "::ffff:10.9.0.99", { EHOSTUNREACH } },
		{ "no host, IPv6", "fd09::99", { EHOSTUNREACH } },
		{ "no route, IPv4", "::ffff:10.77.0.1", { ENETUNREACH } },
#ifdef QP_IB
		/* as a GID it is of another subnet: only the subnet manager knows */
		{ "no route, IPv6", "fd77::1", { EHOSTUNREACH } },
#else
		{ "no route, IPv6", "fd77::1", { ENETUNREACH } },
#endif
		{ "silent, IPv4", "::ffff:10.9.0.1",
		  { ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH } },
		{ "silent, IPv6", "fd09::1",
		  { ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH } },
#ifdef QP_IB
		{ "no GID", "fe80::ff:fe00:977", { EHOSTUNREACH } },
		{ "no subnet", "fec0::ff:fe00:901", { EHOSTUNREACH } },
		{ "silent GID", "fe80::ff:fe00:901", { ECONNREFUSED } },
#endif
	};
	struct ib_call calls[ARRAY_SIZE(cases)];

	/* there are no more variants of it than types */
	if (self->version == 6)
		return;
	ASSERT_EQ(0, ib_own_hosts());
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ib_call *c = &calls[i];

		c->op = IB_CONNECT;
		c->fd = ib_open(QT_CLIENT, self->type);
		c->to = ib_text_addr(cases[i].gid, 0);
		c->to.sib_sid = ib_conn_sid(4444);
		ASSERT_EQ(0, ib_set_wait(c->fd, SO_SNDTIMEO, GIVE_UP_MS));
		ASSERT_EQ(0, ib_start(c));
	}
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		const int *want = cases[i].err;
		int err = ib_finish(&calls[i]);

		EXPECT_TRUE(err && (err == want[0] || err == want[1] ||
				    err == want[2])) {
			TH_LOG("%s: %s", cases[i].what, strerror(err));
		}
		close(calls[i].fd);
	}
}

/*
 * Signals
 */

TEST_F(conn, interrupted)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct itimerval soon = { .it_value.tv_usec = 100000 }, never = {};
	struct sockaddr_ib absent = ib_absent(&self->l.addr, 97);
	static char buf[1000];

	self->c = ib_open(QT_CLIENT, self->type);
	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_LT(0, ib_fill_up(self->a, self->type, sizeof(buf), 0));
	for (int i = 0; i < 4; i++) {
		/* with a timeout a call is not restarted */
		__u64 start = qt_now_ms();

		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		if (i == 0)
			EXPECT_ERRNO(EINTR, accept(self->l.fd, NULL, NULL));
		else if (i == 1)
			EXPECT_ERRNO(EINTR, ib_connect(self->c, &absent));
		else if (i == 2)
			EXPECT_ERRNO(EINTR, recv(self->a, buf, 1, 0));
		else
			EXPECT_ERRNO(EINTR, send(self->a, buf, sizeof(buf), 0));
		EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	}
	EXPECT_TRUE(ib_passes_to(self->b, NULL, self->a));
}

/*
 * shutdown()
 */

static int pipes;

static void count_pipe(int sig)
{
	pipes++;
}

TEST_F(conn, shut_write)
{
	struct sigaction sa = { .sa_handler = count_pipe };
	char c[8];

	ASSERT_EQ(0, sigaction(SIGPIPE, &sa, NULL));
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_ERRNO(EPIPE, send(self->a, "x", 1, 0));
	EXPECT_EQ(1, pipes);
	EXPECT_ERRNO(EPIPE, write(self->a, "x", 1));
	EXPECT_EQ(2, pipes);
	EXPECT_ERRNO(EPIPE, send(self->a, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(2, pipes);

	/* what was sent, and then the end, as often as one asks */
	EXPECT_EQ(POLLRDHUP, ib_await(self->b, POLLRDHUP, IB_WAIT_MS));
	EXPECT_EQ(0, POLLHUP & qt_poll(self->b, POLLIN, 0));
	EXPECT_EQ(3, recv(self->b, c, sizeof(c), 0));
	EXPECT_EQ(0, memcmp(c, "abc", 3));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(1, ib_at_end(self->b));
	EXPECT_EQ(POLLIN | POLLRDHUP | POLLOUT,
		  qt_poll(self->b, POLLIN | POLLRDHUP | POLLOUT, 0));

	/* the other half goes on */
	for (int i = 0; i < 100; i++)
		ASSERT_TRUE(ib_passes_to(self->b, NULL, self->a));
	EXPECT_EQ(0, POLLHUP & qt_poll(self->a, POLLIN, 0));
	ASSERT_EQ(3, send(self->b, "def", 3, 0));
	ASSERT_EQ(0, shutdown(self->b, SHUT_WR));
	EXPECT_EQ(3, recv(self->a, c, sizeof(c), 0));
	EXPECT_EQ(1, ib_at_end(self->a));
	EXPECT_EQ(POLLHUP, ib_await(self->a, POLLHUP, IB_WAIT_MS));
	EXPECT_EQ(POLLHUP, ib_await(self->b, POLLHUP, IB_WAIT_MS));
	EXPECT_ERRNO(EPIPE, send(self->b, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(0, ib_sol_socket(self->a, SO_ERROR));
	EXPECT_EQ(0, ib_sol_socket(self->b, SO_ERROR));
}

/* Both halves with a call */
TEST_F(conn, shut_both)
{
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(0, shutdown(self->a, SHUT_RDWR));
	EXPECT_EQ(1, ib_at_end(self->a));
	EXPECT_ERRNO(EPIPE, send(self->a, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(3, ib_at_end(self->b));
	EXPECT_EQ(1, ib_at_end(self->b));
	EXPECT_EQ(0, shutdown(self->b, SHUT_WR));
	EXPECT_EQ(POLLHUP, ib_await(self->b, POLLHUP, IB_WAIT_MS));
	EXPECT_EQ(POLLHUP, ib_await(self->a, POLLHUP, IB_WAIT_MS));
}

/* Who reads no more does not stop who writes */
TEST_F(conn, shut_read)
{
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(POLLIN, qt_poll(self->b, POLLIN, IB_WAIT_MS));
	ASSERT_EQ(0, shutdown(self->b, SHUT_RD));
	EXPECT_EQ(1, ib_at_end(self->b));
	EXPECT_EQ(POLLIN | POLLRDHUP,
		  qt_poll(self->b, POLLIN | POLLRDHUP, 0));
	for (int i = 0; i < 128; i++) {
		ASSERT_EQ(IB_FINE, ib_send_msg(self->a, 65536, i)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	EXPECT_EQ(1, ib_at_end(self->b));
	EXPECT_EQ(0, ib_sol_socket(self->a, SO_ERROR));
	for (int i = 0; i < 100; i++)
		ASSERT_TRUE(ib_passes_to(self->b, NULL, self->a));
	/* the other half as well: it is over, and in order */
	ASSERT_EQ(0, shutdown(self->b, SHUT_WR));
	EXPECT_EQ(1, ib_at_end(self->a));
}

/* Who waits is told */
TEST_F(conn, shut_wakes)
{
	struct ib_call recv = { .op = IB_RECV, .fd = self->b };
	struct ib_call send = { .op = IB_SEND, .fd = self->a };

	ASSERT_EQ(0, ib_start(&recv));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, shutdown(self->b, SHUT_RD));
	EXPECT_EQ(0, ib_finish(&recv));
	EXPECT_EQ(0, recv.ret);

	/* the peer's end, too; this is the other direction */
	recv.fd = self->a;
	ASSERT_EQ(0, ib_start(&recv));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, shutdown(self->b, SHUT_WR));
	EXPECT_EQ(0, ib_finish(&recv));
	EXPECT_EQ(0, recv.ret);

	/* no room to send */
	close(self->a);
	close(self->b);
	ASSERT_EQ(0, ib_pair(self->type, &self->l, &self->a, &self->b));
	ASSERT_LT(0, ib_fill_up(self->a, self->type, 1000, 0));
	send.fd = self->a;
	ASSERT_EQ(0, ib_start(&send));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(EPIPE, ib_finish(&send));
}

/*
 * close()
 */

static int linger(int fd, int seconds)
{
	struct linger l = { .l_onoff = 1, .l_linger = seconds };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* It is over: a call says why, once, and then that there is nothing more */
static int broken(int fd)
{
	int events = ib_await(fd, POLLERR | POLLHUP, IB_WAIT_MS), err;
	char c;

	if (events != (POLLERR | POLLHUP))
		return -events;
	err = recv(fd, &c, 1, 0) < 0 ? errno : 0;
	if (recv(fd, &c, 1, 0))
		return -1;
	if (send(fd, "x", 1, MSG_NOSIGNAL) != -1 || errno != EPIPE)
		return -2;
	return ib_sol_socket(fd, SO_ERROR) ? -3 : err;
}

/* What was sent arrives, even if it has to wait for the reader */
TEST_F(conn, close_delivers)
{
	static const size_t lens[] = { 1, 1000, 50000 };

	for (int i = 0; i < ARRAY_SIZE(lens); i++) {
		ssize_t total = ib_fill_up(self->a, self->type, lens[i], 7);

		ASSERT_LT(0, total);
		close(self->a);
		usleep(1000 * SHORT_MS);
		EXPECT_EQ(IB_FINE, ib_take(self->b, self->type, lens[i], 7,
					   total)) {
			TH_LOG("length %zu: %s", lens[i], strerror(errno));
		}
		EXPECT_EQ(1, ib_at_end(self->b));
		EXPECT_EQ(0, ib_sol_socket(self->b, SO_ERROR));
		close(self->b);
		ASSERT_EQ(0, ib_pair(self->type, &self->l, &self->a,
				     &self->b));
	}
}

/* To who has gone nothing can be sent: that shows soon */
TEST_F(conn, close_and_send)
{
	__u64 end = qt_now_ms() + IB_WAIT_MS;
	ssize_t n = 1;

	close(self->a);
	self->a = -1;
	EXPECT_EQ(1, ib_at_end(self->b));
	while (n == 1 && qt_now_ms() < end) {
		n = send(self->b, "x", 1, MSG_NOSIGNAL);
		usleep(10000);
	}
	EXPECT_EQ(-1, n);
	EXPECT_TRUE(errno == EPIPE || errno == ECONNRESET) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(POLLHUP, ib_await(self->b, POLLHUP, IB_WAIT_MS));
}

/* Who did not read it all has not taken it all */
TEST_F(conn, close_unread)
{
	ASSERT_EQ(2, send(self->b, "ab", 2, 0));
	ASSERT_EQ(POLLIN, qt_poll(self->a, POLLIN, IB_WAIT_MS));
	close(self->a);
	self->a = -1;
	EXPECT_EQ(ECONNRESET, broken(self->b));
}

TEST_F(conn, linger_reset)
{
	ASSERT_EQ(0, linger(self->a, 0));
	close(self->a);
	self->a = -1;
	EXPECT_EQ(ECONNRESET, broken(self->b));
}

/* There is nobody who takes it: close() waits as long as it is told to */
TEST_F(conn, linger_waits)
{
	ssize_t total = ib_fill_up(self->a, self->type, 1000, 3);
	__u64 start = qt_now_ms();

	ASSERT_LT(0, total);
	ASSERT_EQ(0, linger(self->a, 1));
	close(self->a);
	self->a = -1;
	EXPECT_LE(900, qt_now_ms() - start);
	EXPECT_GE(1000 + AT_ONCE_MS, qt_now_ms() - start);
	/* and that was not the end of it */
	EXPECT_EQ(IB_FINE, ib_take(self->b, self->type, 1000, 3, total));
	EXPECT_EQ(1, ib_at_end(self->b));
}

/* There is: then no longer than that takes */
TEST_F(conn, linger_delivers)
{
	ssize_t total = ib_fill_up(self->a, self->type, 1000, 3);
	__u64 start;
	int go[2];
	pid_t pid;

	ASSERT_LT(0, total);
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		qt_signal(go);
		usleep(300 * 1000);
		_exit(ib_take(self->b, self->type, 1000, 3, total) ?:
		      10 * (ib_at_end(self->b) != 1));
	}
	ASSERT_EQ(0, linger(self->a, IB_WAIT_MS / 1000));
	ASSERT_EQ(0, qt_await(go));
	start = qt_now_ms();
	close(self->a);
	self->a = -1;
	EXPECT_LE(200, qt_now_ms() - start);
	EXPECT_GE(IB_WAIT_MS / 2, qt_now_ms() - start);
	EXPECT_EQ(0, qt_reap(pid));
}

/* Several processes may have a socket: the last one closes it */
TEST_F(conn, shared)
{
	char c[8];
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		if (recv(self->b, c, sizeof(c), 0) != 3 ||
		    send(self->b, c, 3, 0) != 3)
			_exit(1);
		_exit(0);
	}
	close(self->b);
	self->b = -1;
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_EQ(3, recv(self->a, c, sizeof(c), 0));
	EXPECT_EQ(0, memcmp(c, "abc", 3));
	EXPECT_EQ(1, ib_at_end(self->a));
	EXPECT_EQ(0, qt_reap(pid));
}

/* Killed is closed */
TEST_F(conn, killed)
{
	char c[8];
	int go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		if (send(self->b, "abc", 3, 0) != 3)
			_exit(1);
		qt_signal(go);
		pause();
	}
	close(self->b);
	self->b = -1;
	ASSERT_EQ(0, qt_await(go));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
	EXPECT_EQ(3, recv(self->a, c, sizeof(c), 0));
	EXPECT_EQ(1, ib_at_end(self->a));
	EXPECT_EQ(0, ib_sol_socket(self->a, SO_ERROR));
}

/* Nothing stays of what was, also of connections that nobody accepts */
TEST_F(conn, nothing_stays)
{
	int there = ib_sockets(), a, b;

	ASSERT_LE(3, there);
	for (int i = 0; i < 40; i++) {
		ASSERT_EQ(0, ib_pair(self->type, &self->l, &a, &b)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		if (i & 1)
			send(a, "x", 1, 0);
		if (i & 2)
			send(b, "x", 1, 0);
		if (i & 4)
			linger(a, 0);
		if (i & 8)
			shutdown(b, SHUT_WR);
		close(i & 16 ? b : a);
		close(i & 16 ? a : b);
	}
	for (int i = 0; i < 5; i++) {
		struct ib_end l = {
			.addr = ib_conn_addr(self->version, QT_SERVER,
					     ib_port())
		};

		ASSERT_EQ(0, ib_listen_at(QT_SERVER, self->type, &l, 4));
		a = ib_dial(self->type, &l.addr);
		ASSERT_LE(0, a);
		if (i & 1)
			ib_dialled(a, IB_WAIT_MS);
		if (i & 2)
			close(a);
		ib_close(&l);
		if (!(i & 2))
			close(a);
	}
	EXPECT_EQ(there, ib_settle(there));
	EXPECT_TRUE(ib_passes_to(self->a, NULL, self->b));
}

/*
 * Events
 */

TEST_F(conn, polled)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), b;
	struct epoll_event level = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET | EPOLLRDHUP,
				    .data.u32 = 2 };
	struct epoll_event listener = { .events = EPOLLIN, .data.u32 = 3 };
	struct epoll_event got[4];
	char c;

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b, &level));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->a, &edge));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->l.fd, &listener));
	EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	EXPECT_EQ(POLLOUT, qt_poll(self->b, POLLIN | POLLOUT, 0));

	/* as long as there is something; when there is something new */
	ASSERT_EQ(1, send(self->a, "x", 1, 0));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
		EXPECT_EQ(1, got[0].data.u32);
		EXPECT_EQ(EPOLLIN, got[0].events);
	}
	EXPECT_EQ(POLLIN | POLLRDNORM | POLLOUT,
		  qt_poll(self->b, POLLIN | POLLRDNORM | POLLOUT, 0));
	ASSERT_EQ(1, recv(self->b, &c, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(1, send(self->b, "x", 1, 0));
		ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
		EXPECT_EQ(2, got[0].data.u32);
		EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	}

	/* somebody connects; the peer goes */
	self->c = ib_dial(self->type, &self->l.addr);
	ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
	EXPECT_EQ(3, got[0].data.u32);
	b = ib_accept(self->l.fd, NULL);
	EXPECT_LE(0, b);
	EXPECT_EQ(0, epoll_wait(ep, got, 4, SHORT_MS));
	close(b);
	close(self->b);
	self->b = -1;
	ASSERT_EQ(1, epoll_wait(ep, got, 4, IB_WAIT_MS));
	EXPECT_EQ(2, got[0].data.u32);
	EXPECT_EQ(EPOLLIN | EPOLLRDHUP,
		  got[0].events & (EPOLLIN | EPOLLRDHUP));
	close(ep);
}

/*
 * /proc/net/ib
 */

TEST_F(conn, proc)
{
	struct ib_line a, l;
	char name[80];
	int there = ib_proc_lines(QT_SERVER);

	ASSERT_LE(2, there);
	ASSERT_EQ(1, ib_proc_line(self->a, &a));
	EXPECT_EQ(self->type, atoi(a.type));
	EXPECT_EQ(1, strtol(a.state, NULL, 16));
	snprintf(name, sizeof(name), "/%016llx",
		 (unsigned long long)ib_sid_of(&self->l.addr));
	EXPECT_NE(NULL, strstr(a.peer, name)) {
		TH_LOG("%s, not %s", a.peer, name);
	}
	EXPECT_EQ(NULL, strstr(a.local, name));

	self->c = ib_open(QT_CLIENT, self->type);
	ASSERT_EQ(1, ib_proc_line(self->c, &l));
	EXPECT_EQ(7, strtol(l.state, NULL, 16));
	self->l.addr = ib_conn_addr(self->version, QT_CLIENT, ib_port());
	ASSERT_EQ(0, ib_bind(self->c, &self->l.addr));
	ASSERT_EQ(0, listen(self->c, 1));
	ASSERT_EQ(1, ib_proc_line(self->c, &l));
	EXPECT_EQ(self->type, atoi(l.type));
	EXPECT_EQ(10, strtol(l.state, NULL, 16));
	snprintf(name, sizeof(name), "/%016llx",
		 (unsigned long long)ib_sid_of(&self->l.addr));
	EXPECT_NE(NULL, strstr(l.local, name));
	EXPECT_EQ(there, ib_proc_lines(QT_SERVER));
	/* the other host's are the other host's */
	EXPECT_EQ(0, ib_proc_line(self->b, &a));
}

/*
 * io_uring
 */

TEST_F(conn, uring)
{
	struct io_uring_sqe accept = {
		.opcode = IORING_OP_ACCEPT, .fd = self->l.fd,
		.accept_flags = SOCK_CLOEXEC,
	};
	struct io_uring_sqe connect = {
		.opcode = IORING_OP_CONNECT,
		.addr = (unsigned long)&self->l.addr,
		.off = sizeof(self->l.addr),
	};
	struct io_uring_sqe send = {
		.opcode = IORING_OP_SEND, .fd = self->a, .len = 1,
		.addr = (unsigned long)"x", .msg_flags = MSG_NOSIGNAL,
	};
	struct sockaddr_ib nobody = self->l.addr;
	int first, second, b;
	struct uring u;
	char c[8];

	ASSERT_EQ(0, ur_open(&u)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(1, ur_submit(&u, &accept));
	self->c = ib_open(QT_CLIENT, self->type);
	connect.fd = self->c;
	ASSERT_EQ(1, ur_submit(&u, &connect));
	first = ur_result(&u);
	second = ur_result(&u);
	/* one is a descriptor, the other 0: in any order */
	EXPECT_EQ(0, first ? second : first);
	b = first ?: second;
	ASSERT_LT(0, b) {
		TH_LOG("%d, %d", first, second);
	}

	/* there already, and waited for */
	ASSERT_EQ(1, ur_start(&u, IORING_OP_SEND, self->c, "abc", 3));
	EXPECT_EQ(3, ur_result(&u));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECV, b, c, 8));
	EXPECT_EQ(3, ur_result(&u));
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECV, b, c, 8));
	usleep(1000 * SHORT_MS);
	EXPECT_EQ(5, write(self->c, "later", 5));
	EXPECT_EQ(5, ur_result(&u));
	EXPECT_EQ(0, memcmp(c, "later", 5));

	/* the end, and errors */
	ASSERT_EQ(1, ur_start(&u, IORING_OP_RECV, b, c, 8));
	usleep(1000 * SHORT_MS);
	ASSERT_EQ(0, shutdown(self->c, SHUT_WR));
	EXPECT_EQ(0, ur_result(&u));
	close(self->c);
	close(b);
	nobody.sib_sid = ib_conn_sid(ib_port());
	self->c = ib_open(QT_CLIENT, self->type);
	connect.fd = self->c;
	connect.addr = (unsigned long)&nobody;
	ASSERT_EQ(1, ur_submit(&u, &connect));
	EXPECT_EQ(-ECONNREFUSED, ur_result(&u));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	ASSERT_EQ(1, ur_submit(&u, &send));
	EXPECT_EQ(-EPIPE, ur_result(&u));
	close(u.fd);
}

TEST_HARNESS_MAIN
