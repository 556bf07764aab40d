// SPDX-License-Identifier: GPL-2.0
/*
 * AF_IB sockets in the place of a program of librdmacm:
 *
 *	ib_interop [-c CONNECTIONS] [-C COUNT] [-S SIZE] PROGRAM ROLE ADDRESS PORT
 *
 * PROGRAM is ucmatose or ib_hello (SOCK_SEQPACKET; "hello"), udaddy or mckey
 * (SOCK_DGRAM), ROLE is
 * client or server: with mckey who sends is the client, ADDRESS the group, and
 * PORT the netdevice. The options are those of the program. It says the same things
 * as the program in the same order, checks how much it hears and what can be known
 * of it, and ends with status 0 if all of it was right.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/ib.h>

#ifndef SOL_IB
#define SOL_IB		289
#endif

#define TIMEOUT_S	20
#define CONNECTIONS_MAX	64

/* The port spaces of rdma_cm, in service IDs */
#define PS_TCP		0x0000000001060000ULL
#define PS_UDP		0x0000000001110000ULL

/* Where udaddy listens */
#define UDADDY_PORT	7174

static unsigned int connections = 1, count = 10, size = 100;
static int fds[CONNECTIONS_MAX];
static char *buf;

static const char *host, *port;

static struct sockaddr_ib name(__u64 space, unsigned int number)
{
	struct sockaddr_ib a = {
		.sib_family = AF_IB,
		.sib_sid = htobe64(space | number),
		.sib_sid_mask = htobe64(~0ULL),
	};

	if (inet_pton(AF_INET6, host, &a.sib_addr) == 1)
		return a;
	a.sib_addr.sib_raw[10] = 0xff;
	a.sib_addr.sib_raw[11] = 0xff;
	if (inet_pton(AF_INET, host, &a.sib_addr.sib_raw[12]) != 1)
		errx(2, "%s is no address", host);
	return a;
}

static void may_wait(int fd)
{
	struct timeval t = { .tv_sec = TIMEOUT_S };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)))
		err(1, "a timeout");
}

static int new_socket(int type)
{
	int fd = socket(AF_IB, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	may_wait(fd);
	return fd;
}

static void say(int fd, const struct sockaddr_ib *to)
{
	if (sendto(fd, buf, size, MSG_NOSIGNAL, (void *)to,
		   to ? sizeof(*to) : 0) != (ssize_t)size)
		err(1, "sending");
}

static void hear(int fd, struct sockaddr_ib *from)
{
	socklen_t len = sizeof(*from);
	ssize_t n = recvfrom(fd, buf, size, MSG_TRUNC, (void *)from,
			     from ? &len : NULL);

	if (n < 0)
		err(1, "receiving");
	if (n != (ssize_t)size)
		errx(1, "%zd bytes came instead of %u", n, size);
}

/*
 * ucmatose: once all connections stand, the server sends all its messages on
 * each of them, then the client all of its; the server ends it
 */
static void all_say(void)
{
	for (unsigned int i = 0; i < connections; i++)
		for (unsigned int n = 0; n < count; n++)
			say(fds[i], NULL);
}

static void all_hear(void)
{
	for (unsigned int i = 0; i < connections; i++)
		for (unsigned int n = 0; n < count; n++)
			hear(fds[i], NULL);
}

static void ucmatose_client(void)
{
	struct sockaddr_ib a = name(PS_TCP, atoi(port));

	for (unsigned int i = 0; i < connections; i++) {
		fds[i] = new_socket(SOCK_SEQPACKET);
		if (connect(fds[i], (void *)&a, sizeof(a)))
			err(1, "connect");
	}
	all_hear();
	all_say();
	for (unsigned int i = 0; i < connections; i++)
		if (recv(fds[i], buf, size, 0) > 0)
			errx(1, "the peer says more");
}

static void accept_all(void)
{
	struct sockaddr_ib a = name(PS_TCP, atoi(port));
	int l = new_socket(SOCK_SEQPACKET);

	if (bind(l, (void *)&a, sizeof(a)) || listen(l, connections))
		err(1, "a listener");
	printf("listens\n");
	for (unsigned int i = 0; i < connections; i++) {
		fds[i] = accept(l, NULL, NULL);
		if (fds[i] < 0)
			err(1, "accept");
		may_wait(fds[i]);
	}
}

static void ucmatose_server(void)
{
	accept_all();
	all_say();
	all_hear();
}

/*
 * udaddy: the client sends all of its messages, and then hears as many. Where to
 * it says by immediate data, which a socket has none of: there is only a server.
 */
static void udaddy_server(void)
{
	struct sockaddr_ib a = name(PS_UDP, UDADDY_PORT), from;
	int fd = new_socket(SOCK_DGRAM);

	if (bind(fd, (void *)&a, sizeof(a)))
		err(1, "bind");
	printf("listens\n");
	for (unsigned int n = 0; n < count; n++)
		hear(fd, &from);
	for (unsigned int n = 0; n < count; n++)
		say(fd, &from);
}

/*
 * mckey: one side sends messages to the group
 */
static int member(__u32 flags)
{
	struct sockaddr_ib a = name(0, 0);
	struct ib_mreq m = {
		.ifindex = if_nametoindex(port),
		.flags = flags,
	};
	int fd = new_socket(SOCK_DGRAM);

	memcpy(&m.mgid, &a.sib_addr, sizeof(m.mgid));
	if (setsockopt(fd, SOL_IB, IB_ADD_MEMBERSHIP, &m, sizeof(m)))
		err(1, "joining");
	return fd;
}

static void mckey_client(void)
{
	struct sockaddr_ib a = name(0, 0);
	int fd = member(IB_MREQ_SENDONLY);

	for (unsigned int n = 0; n < count; n++)
		say(fd, &a);
}

static void mckey_server(void)
{
	int fd = member(0);

	printf("listens\n");
	for (unsigned int n = 0; n < count; n++)
		hear(fd, NULL);
}

static const struct talk {
	const char *program;
	const char *role;
	void (*run)(void);
} talks[] = {
	{ "ucmatose", "client", ucmatose_client },
	{ "ucmatose", "server", ucmatose_server },
	{ "hello", "server", accept_all },
	{ "udaddy", "server", udaddy_server },
	{ "mckey", "client", mckey_client },
	{ "mckey", "server", mckey_server },
	{ }
};

static const struct talk *talk_of(const char *program, const char *role)
{
	const struct talk *t;

	for (t = talks; t->program; t++)
		if (!strcmp(t->program, program) && !strcmp(t->role, role))
			return t;
	errx(2, "no %s of %s is known", role, program);
}

int main(int argc, char **argv)
{
	unsigned int *const options[128] = {
		['c'] = &connections, ['C'] = &count, ['S'] = &size,
	};
	int opt;

	setlinebuf(stdout);
	while ((opt = getopt(argc, argv, "c:C:S:")) != -1) {
		if (opt == '?')
			return 2;
		*options[opt] = atoi(optarg);
	}
	if (argc - optind != 4 || connections > CONNECTIONS_MAX)
		errx(2, "[-c CONNECTIONS] [-C COUNT] [-S SIZE] PROGRAM ROLE ADDRESS PORT");
	host = argv[optind + 2];
	port = argv[optind + 3];
	buf = calloc(1, size);
	if (!buf)
		err(1, "no memory");
	talk_of(argv[optind], argv[optind + 1])->run();
	return 0;
}
