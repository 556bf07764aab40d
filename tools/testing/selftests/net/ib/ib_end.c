// SPDX-License-Identifier: GPL-2.0
/*
 * An AF_IB socket for tests that are scripts:
 *
 * ib_end [OPTION...] recv GID PORT
 *	Binds a socket, or lets one peer connect; says "listens", and the number of
 *	its queue pair if it has one; and receives until the peer ends the
 *	connection, all messages have come, none comes for a while, or it is
 *	terminated. Says how many have come.
 *
 * ib_end [OPTION...] send GID PORT[,PORT...]
 *	Connects, or sends datagrams: to each port in turn, all in one call.
 *
 *	-t TYPE		dgram, seqpacket or stream
 *	-n COUNT	so many messages (1)
 *	-s SIZE		of so many bytes each (100)
 *	-g GROUP	join this group, and send to it instead of GID
 *	-l GID		send from there
 *	-r BYTES	SO_RCVBUF
 *	-w MS		wait so long before receiving (0), or closing if it sends
 *	-i MS		no message for so long is the end (10000)
 *	-v		say of each message that it has come
 *	-f		have the socket's filter drop everything
 *	-o		send each message by a call of its own
 *	-c		connect a socket for datagrams
 *	-q NUMBERS	send datagrams to so many queue pairs, by numbers that there
 *			may not be, instead of ports
 *	-k		do not end as sending fails, but wait as with -w
 */
#define _GNU_SOURCE
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/ib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#ifndef SOL_IB
#define SOL_IB	289
#endif

#define UDP_SPACE	0x1110000ULL
#define TCP_SPACE	0x1060000ULL
#define MAX_PORTS	1024
#define FIRST_QPN	0x800000

static int type = SOCK_DGRAM, count = 1, numbers, rcvbuf, wait_ms, idle_ms = 10000;
static size_t size = 100;
static bool filter, one_by_one, connected, keep, verbose;
static const char *group, *local = "::";
static char *buf;
static volatile sig_atomic_t terminated;

static void terminate(int sig)
{
	terminated = 1;
}

static struct sockaddr_ib address(const char *gid, int port)
{
	struct sockaddr_ib addr = {
		.sib_family = AF_IB,
		.sib_sid = htobe64((type == SOCK_DGRAM ? UDP_SPACE : TCP_SPACE) | port),
	};

	if (inet_pton(AF_INET6, gid, &addr.sib_addr) != 1)
		errx(2, "%s is no GID", gid);
	return addr;
}

static void set(int fd, int level, int opt, const void *val, socklen_t len)
{
	if (setsockopt(fd, level, opt, val, len))
		err(1, "setsockopt %d of level %d", opt, level);
}

static int make_socket(void)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &nothing };
	struct timeval idle = { .tv_sec = idle_ms / 1000,
				.tv_usec = idle_ms % 1000 * 1000 };
	int fd = socket(AF_IB, type, 0);

	if (fd < 0)
		err(1, "socket");
	set(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	if (rcvbuf)
		set(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (filter)
		set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	return fd;
}

static void join(int fd, const struct sockaddr_ib *port)
{
	struct ib_mreq mreq = { .gid = port->sib_addr };

	if (inet_pton(AF_INET6, group, &mreq.mgid) != 1)
		errx(2, "%s is no GID", group);
	set(fd, SOL_IB, IB_ADD_MEMBERSHIP, &mreq, sizeof(mreq));
}

static void say_listens(int fd)
{
	socklen_t len = sizeof(__u32);
	__u32 qpn = 0;

	getsockopt(fd, SOL_IB, IB_QPN, &qpn, &len);
	printf("listens qpn %u\n", qpn);
	fflush(stdout);
}

static int accept_one(int fd, const struct sockaddr_ib *addr)
{
	int conn;

	if (listen(fd, 1))
		err(1, "listen");
	say_listens(fd);
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		err(1, "accept");
	close(fd);
	return conn;
}

static void receive(const char *gid, const char *port)
{
	struct sockaddr_ib addr = address(gid, atoi(port));
	long messages = 0, bytes = 0;
	struct sigaction sa = { .sa_handler = terminate };
	int fd = make_socket();
	ssize_t n;

	sigaction(SIGTERM, &sa, NULL);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "bind");
	if (group)
		join(fd, &addr);
	if (type == SOCK_DGRAM)
		say_listens(fd);
	else
		fd = accept_one(fd, &addr);
	usleep(wait_ms * 1000);
	while (!terminated && (type == SOCK_STREAM || messages < count)) {
		n = recv(fd, buf, size, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			err(1, "recv");
		if (n < 0 || (!n && type != SOCK_DGRAM))
			break;
		messages++;
		bytes += n;
		if (verbose) {
			printf("message %ld\n", messages);
			fflush(stdout);
		}
	}
	printf("received %ld messages, %ld bytes\n", messages, bytes);
}

static void send_datagrams(int fd, const char *gid, char *ports)
{
	static struct sockaddr_ib to[MAX_PORTS];
	struct iovec iov = { buf, size };
	struct mmsghdr *msgs = calloc(count, sizeof(*msgs));
	int i, n = 0, done;
	char *port;

	if (!msgs)
		err(1, "memory");
	for (port = strtok(ports, ","); port && n < MAX_PORTS; port = strtok(NULL, ","))
		to[n++] = address(group ?: gid, group ? 0 : atoi(port));
	for (i = 0; i < numbers && i < MAX_PORTS; i++, n = i) {
		to[i] = address(gid, 0);
		to[i].sib_sid = htobe64(IB_SID_QPN | (FIRST_QPN + i));
	}
	if (connected && connect(fd, (struct sockaddr *)to, sizeof(*to)))
		err(1, "connect");
	for (i = 0; i < count; i++) {
		msgs[i].msg_hdr.msg_iov = &iov;
		msgs[i].msg_hdr.msg_iovlen = 1;
		if (connected)
			continue;
		msgs[i].msg_hdr.msg_name = &to[i % n];
		msgs[i].msg_hdr.msg_namelen = sizeof(*to);
	}
	for (i = 0; i < count; i += done) {
		done = sendmmsg(fd, msgs + i, one_by_one ? 1 : count - i, 0);
		if (done < 0 && !keep)
			err(1, "sendmmsg");
		if (done < 0) {
			warn("sendmmsg");
			done = 1;
		}
	}
	free(msgs);
}

static void send_messages(int fd, const struct sockaddr_ib *to)
{
	if (connect(fd, (struct sockaddr *)to, sizeof(*to)))
		err(1, "connect");
	for (int i = 0; i < count; i++)
		if (send(fd, buf, size, 0) != (ssize_t)size)
			err(1, "send");
}

static void transmit(const char *gid, char *ports)
{
	struct sockaddr_ib to = address(gid, atoi(ports)), from = address(local, 0);
	int fd = make_socket();

	from.sib_sid = 0;
	if (strcmp(local, "::") && bind(fd, (struct sockaddr *)&from, sizeof(from)))
		err(1, "bind");
	/* Only members send to it */
	if (group)
		join(fd, &from);
	if (type == SOCK_DGRAM)
		send_datagrams(fd, gid, ports);
	else
		send_messages(fd, &to);
	printf("sent %d messages\n", count);
	fflush(stdout);
	usleep(wait_ms * 1000);
	close(fd);
}

static int type_of(const char *name)
{
	if (!strcmp(name, "stream"))
		return SOCK_STREAM;
	return strcmp(name, "seqpacket") ? SOCK_DGRAM : SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "t:n:s:g:l:r:w:i:q:fockv")) != -1) {
		switch (opt) {
		case 't':
			type = type_of(optarg);
			break;
		case 'n':
			count = atoi(optarg);
			break;
		case 's':
			size = atol(optarg);
			break;
		case 'g':
			group = optarg;
			break;
		case 'l':
			local = optarg;
			break;
		case 'r':
			rcvbuf = atoi(optarg);
			break;
		case 'w':
			wait_ms = atoi(optarg);
			break;
		case 'i':
			idle_ms = atoi(optarg);
			break;
		case 'q':
			numbers = atoi(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		case 'k':
			keep = true;
			break;
		case 'f':
			filter = true;
			break;
		case 'o':
			one_by_one = true;
			break;
		case 'c':
			connected = true;
			break;
		default:
			return 2;
		}
	}
	buf = calloc(1, size ?: 1);
	if (argc - optind != 3 || !buf)
		errx(2, "usage: ib_end [OPTION...] recv|send GID PORT");
	argv += optind;
	if (!strcmp(argv[0], "recv"))
		receive(argv[1], argv[2]);
	else
		transmit(argv[1], argv[2]);
	return 0;
}
