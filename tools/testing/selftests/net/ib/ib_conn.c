// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#include "ib_conn.h"

/*
 * Names
 */

__be64 ib_conn_sid(__u16 port)
{
	return htobe64(IB_TCP_SPACE | port);
}

struct sockaddr_ib ib_conn_addr(int version, enum qt_host host, __u16 port)
{
	struct sockaddr_ib a = ib_addr(version, host, 0);

	if (port)
		a.sib_sid = ib_conn_sid(port);
	return a;
}

struct sockaddr_ib ib_conn_any(__u16 port)
{
	struct sockaddr_ib a = ib_any(0);

	if (port)
		a.sib_sid = ib_conn_sid(port);
	return a;
}

bool ib_same_name(const struct sockaddr_ib *a, const struct sockaddr_ib *b)
{
	return a->sib_family == AF_IB && b->sib_family == AF_IB &&
	       ib_same_gid(a, b) && a->sib_sid == b->sib_sid;
}

/*
 * Connections
 */

int ib_listen_at(enum qt_host host, int type, struct ib_end *l, int backlog)
{
	l->fd = ib_open(host, type);
	return l->fd < 0 || ib_bind(l->fd, &l->addr) ||
	       listen(l->fd, backlog) ? -1 : 0;
}

int ib_listen(int type, int version, struct ib_end *l)
{
	l->addr = ib_conn_addr(version, QT_SERVER, ib_port());
	return ib_listen_at(QT_SERVER, type, l, 16);
}

int ib_accept(int fd, struct sockaddr_ib *peer)
{
	struct sockaddr_ib addr;
	socklen_t len = sizeof(addr);
	int b = accept4(fd, (void *)&addr, &len, SOCK_CLOEXEC);

	if (b < 0)
		return -1;
	if (ib_set_wait(b, SO_RCVTIMEO, IB_WAIT_MS) ||
	    ib_set_wait(b, SO_SNDTIMEO, IB_WAIT_MS))
		abort();
	if (peer)
		*peer = addr;
	/* A length that is not the address' is an error of the kernel's */
	if (len == sizeof(addr))
		return b;
	close(b);
	errno = EPROTO;
	return -1;
}

int ib_dial(int type, const struct sockaddr_ib *to)
{
	int fd = ib_open(QT_CLIENT, type | SOCK_NONBLOCK), err;

	if (fd < 0)
		return -1;
	if (!ib_connect(fd, to) || errno == EINPROGRESS)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int ib_dialled(int fd, int ms)
{
	return qt_poll(fd, POLLOUT, ms) ? ib_sol_socket(fd, SO_ERROR) :
					  EINPROGRESS;
}

int ib_pair(int type, const struct ib_end *l, int *a, int *b)
{
	*b = -1;
	*a = ib_dial(type, &l->addr);
	if (*a < 0)
		return -1;
	*b = ib_accept(l->fd, NULL);
	if (*b < 0)
		return -1;
	errno = ib_dialled(*a, IB_WAIT_MS);
	return errno || fcntl(*a, F_SETFL, O_RDWR) ? -1 : 0;
}

/* One may come after the other: poll() itself waits for any of them */
int ib_await(int fd, short events, int ms)
{
	__u64 end = qt_now_ms() + ms;
	int got = qt_poll(fd, events, ms) & events;

	while (got != events && qt_now_ms() < end) {
		usleep(1000);
		got = qt_poll(fd, events, 0) & events;
	}
	return got;
}

/*
 * Data
 */

ssize_t ib_recv(int fd, void *p, size_t len, int flags, int *msg_flags)
{
	struct iovec iov = { p, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &m, flags);

	*msg_flags = m.msg_flags;
	return n;
}

int ib_at_end(int fd)
{
	int flags;
	char c[64];
	ssize_t n = ib_recv(fd, c, sizeof(c), 0, &flags);

	return n ? n : !(flags & MSG_EOR);
}

int ib_send_all(int fd, const void *p, size_t len)
{
	const char *c = p;

	while (len) {
		ssize_t n = send(fd, c, len, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		c += n;
		len -= n;
	}
	return 0;
}

int ib_recv_all(int fd, void *p, size_t len)
{
	char *c = p;

	while (len) {
		ssize_t n = recv(fd, c, len, 0);

		if (!n)
			errno = 0;
		if (n <= 0)
			return -1;
		c += n;
		len -= n;
	}
	return 0;
}

const char *const ib_wrongs[] = {
	[IB_FINE] = "fine", [IB_ERROR] = "an error",
	[IB_END] = "the connection's end", [IB_LENGTH] = "its length",
	[IB_NO_EOR] = "its end", [IB_CONTENT] = "its content",
};

/* One more than the longest: what is longer than it should be is seen */
static char data[IB_MAX_MESSAGE + 1];

int ib_send_msg(int fd, size_t len, __u32 seed)
{
	ssize_t n;

	qt_fill(data, len, seed);
	n = send(fd, data, len, MSG_NOSIGNAL);
	if (n == (ssize_t)len)
		return IB_FINE;
	if (n < 0)
		return IB_ERROR;
	/* of a stream it may be a part */
	return ib_send_all(fd, data + n, len - n) ? IB_ERROR : IB_FINE;
}

int ib_recv_msg(int fd, int type, size_t len, __u32 seed)
{
	ssize_t n;
	int flags;

	if (type == SOCK_STREAM) {
		if (ib_recv_all(fd, data, len))
			return errno ? IB_ERROR : IB_END;
	} else {
		n = ib_recv(fd, data, len + 1, 0, &flags);
		if (n < 0)
			return IB_ERROR;
		if (!n && !(flags & MSG_EOR))
			return IB_END;
		if (n != (ssize_t)len)
			return IB_LENGTH;
		if (!(flags & MSG_EOR) || flags & MSG_TRUNC)
			return IB_NO_EOR;
	}
	return qt_differ(data, len, seed) < 0 ? IB_FINE : IB_CONTENT;
}

/*
 * What is sent moves on to the receiver, so that there is room again. It is full
 * if there is none for a while; or there is some, but not for a message.
 */
static bool full(int fd, int *tries)
{
	if (++*tries == 20)
		return true;
	if (qt_poll(fd, POLLOUT, 2 * SHORT_MS) & POLLOUT)
		usleep(10000);
	else if (*tries > 1)
		return true;
	return false;
}

ssize_t ib_fill_up(int fd, int type, size_t len, int first)
{
	size_t total = 0, off = 0;
	int tries = 0;
	ssize_t n;

	for (;;) {
		if (!off)
			qt_fill(data, len, first);
		n = send(fd, data + off, len - off,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n < 0 && full(fd, &tries))
			return total;
		if (n < 0)
			continue;
		tries = 0;
		total += n;
		off += n;
		if (off == len) {
			off = 0;
			first++;
		} else if (type != SOCK_STREAM) {
			/* only a stream takes a part */
			errno = EPROTO;
			return -1;
		}
	}
}

int ib_take(int fd, int type, size_t len, int first, ssize_t total)
{
	int wrong = IB_FINE;

	for (; total > 0 && !wrong; total -= len)
		wrong = ib_recv_msg(fd, type,
				    total < (ssize_t)len ? total : len,
				    first++);
	return wrong;
}

/*
 * Who is there
 */

int ib_sockets(void)
{
	int here = ib_proc_lines(QT_CLIENT), there = ib_proc_lines(QT_SERVER);

	return here < 0 || there < 0 ? -1 : here + there;
}

int ib_settle(int lines)
{
	__u64 end = qt_now_ms() + LONG_MS;

	while (ib_sockets() != lines && qt_now_ms() < end)
		usleep(1000 * SHORT_MS);
	return ib_sockets();
}
