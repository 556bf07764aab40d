// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs in the place of a program of librdmacm:
 *
 *	qp_interop [-c CONNECTIONS] [-C COUNT] [-S SIZE] PROGRAM ROLE ADDRESS PORT
 *
 * PROGRAM is rdma (rdma_client and rdma_server), ucmatose or rping, ROLE is
 * client or server. The options are those of the program. It says the same
 * things as the program in the same order, checks how much it hears, and ends with
 * status 0 if all of it was right and the connections ended as they should.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <err.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libqp.h"

#define TIMEOUT_MS	20000
#define CONNECTIONS_MAX	64
#define ENTRIES_MAX	256

/* rdma_client and rdma_server have messages of so many bytes */
#define RDMA_BYTES	16

/* A connection, with room for all that comes, and for what goes */
struct conn {
	struct lq q;
	unsigned char *in, *out;
	struct qp_mem in_mem, out_mem;
};

static struct sockaddr_storage addr;
static socklen_t addrlen;
static unsigned int connections = 1, count = 10, size = 100;
static struct conn conns[CONNECTIONS_MAX];

/* A message that was sent n-th over a connection; nothing is known of others' */
static void fill(struct conn *c, unsigned int n)
{
	for (unsigned int i = 0; i < size; i++)
		c->out[n * size + i] = i + 7 * n;
}

static void register_memory(struct conn *c, unsigned char **p,
			    struct qp_mem *mem, size_t length)
{
	*p = calloc(1, length);
	if (!*p || lq_mem_reg(c->q.fd, *p, length, LQ_ACCESS_ALL &
			      ~QP_ACCESS_REMOTE_ATOMIC, mem))
		err(1, "memory");
}

static void receive_into(struct conn *c, unsigned int n)
{
	if (lq_post_recv(&c->q, n, c->in + n * size, size, c->in_mem.lkey))
		err(1, "a receive");
}

/* Have memory, and all receives that are ever needed */
static void get_ready(struct conn *c)
{
	register_memory(c, &c->in, &c->in_mem, (size_t)count * size);
	register_memory(c, &c->out, &c->out_mem, (size_t)count * size);
	for (unsigned int n = 0; n < count; n++)
		receive_into(c, n);
}

static struct qp_desc rings(void)
{
	return lq_desc(count + 1, count + 1, 0);
}

static void connect_one(struct conn *c)
{
	struct qp_desc desc = rings();

	if (lq_open(&c->q, addr.ss_family, QP_CLOEXEC, &desc))
		err(1, "queue_pair");
	get_ready(c);
	if (lq_sys_connect(c->q.fd, &addr, addrlen))
		err(1, "qp_connect");
}

static void accept_all(void)
{
	struct qp_desc desc = rings();
	struct lq l;

	if (lq_listen(&l, addr.ss_family, &addr, addrlen, QP_CLOEXEC,
		      connections))
		err(1, "a listener");
	printf("listens\n");
	for (unsigned int i = 0; i < connections; i++) {
		if (lq_accept(&conns[i].q, l.fd, &desc))
			err(1, "qp_accept");
		get_ready(&conns[i]);
	}
	lq_close(&l);
}

static void post(struct conn *c, struct qp_sqe *sqe)
{
	if (!sqe)
		err(1, "room in the send queue");
	lq_submit(&c->q.sq);
	if (lq_enter(&c->q, 1, 0, TIMEOUT_MS) != 1)
		err(1, "qp_enter");
}

static struct qp_cqe complete(struct conn *c, enum qp_opcode opcode)
{
	struct qp_cqe cqe;

	if (lq_wait(&c->q, &cqe, TIMEOUT_MS))
		err(1, "a completion of operation %u", opcode);
	if (cqe.status || cqe.opcode != opcode)
		errx(1, "operation %u instead of %u, status %u", cqe.opcode,
		     opcode, cqe.status);
	return cqe;
}

static void send_bytes(struct conn *c, const void *p, __u32 length, __u32 lkey)
{
	struct qp_sqe *sqe = lq_sqe(&c->q, QP_OP_SEND, QP_SQE_SIGNALED, 0);

	if (sqe)
		lq_sqe_sge(sqe, p, length, lkey);
	post(c, sqe);
}

static void say(struct conn *c, unsigned int n)
{
	fill(c, n);
	send_bytes(c, c->out + n * size, size, c->out_mem.lkey);
	complete(c, QP_OP_SEND);
}

static void hear(struct conn *c, __u32 length)
{
	struct qp_cqe cqe = complete(c, QP_OP_RECV);

	if (cqe.byte_len != length)
		errx(1, "%u bytes came instead of %u", cqe.byte_len, length);
}

/* The peer ends the connection */
static void await_end(struct conn *c)
{
	struct pollfd p = { .fd = c->q.fd };

	if (poll(&p, 1, TIMEOUT_MS) != 1 || !(p.revents & POLLHUP))
		errx(1, "the peer does not end the connection");
}

/*
 * rdma_client and rdma_server: a message, and one back. Who receives the last
 * one sees the end, or makes it.
 */
static void rdma_client(void)
{
	connect_one(conns);
	say(conns, 0);
	hear(conns, RDMA_BYTES);
}

static void rdma_server(void)
{
	accept_all();
	hear(conns, RDMA_BYTES);
	say(conns, 0);
	await_end(conns);
}

/*
 * ucmatose: once all connections stand, the server sends all its messages on
 * each of them, then the client all of its; the server ends it
 */
static void all_say(void)
{
	for (unsigned int i = 0; i < connections; i++)
		for (unsigned int n = 0; n < count; n++)
			say(&conns[i], n);
}

static void all_hear(void)
{
	for (unsigned int i = 0; i < connections; i++)
		for (unsigned int n = 0; n < count; n++)
			hear(&conns[i], size);
}

static void ucmatose_client(void)
{
	for (unsigned int i = 0; i < connections; i++)
		connect_one(&conns[i]);
	all_hear();
	all_say();
	for (unsigned int i = 0; i < connections; i++)
		await_end(&conns[i]);
}

static void ucmatose_server(void)
{
	accept_all();
	all_say();
	all_hear();
}

/*
 * rping: the client tells where its data is, the server reads it and says so;
 * the client tells where it wants it, the server writes it there and says so.
 */
struct place {
	__be64 addr;
	__be32 rkey;
	__be32 size;
};

static struct conn notes;	/* memory for struct place, of the same connection */

static void rping_ready(struct conn *c)
{
	notes.q.fd = c->q.fd;
	register_memory(&notes, &notes.in, &notes.in_mem, sizeof(struct place));
	register_memory(&notes, &notes.out, &notes.out_mem, sizeof(struct place));
	register_memory(c, &c->in, &c->in_mem, size);
	register_memory(c, &c->out, &c->out_mem, size);
}

static void expect_note(struct conn *c)
{
	if (lq_post_recv(&c->q, 0, notes.in, sizeof(struct place),
			 notes.in_mem.lkey))
		err(1, "a receive");
}

/* Registered before it was connected: it has the rkey by now */
static __u32 rkey_of(struct conn *c, const struct qp_mem *mem)
{
	struct qp_mem now = { .lkey = mem->lkey };
	unsigned int len = sizeof(now);

	if (lq_sys_getopt(c->q.fd, QP_MEM_QUERY, &now, &len))
		err(1, "QP_MEM_QUERY");
	return now.rkey;
}

static void tell_place(struct conn *c, const struct qp_mem *mem)
{
	struct place *place = (void *)notes.out;

	place->addr = htobe64(mem->addr);
	place->rkey = htobe32(rkey_of(c, mem));
	place->size = htobe32(size);
	send_bytes(c, place, sizeof(*place), notes.out_mem.lkey);
	complete(c, QP_OP_SEND);
}

static void rping_client(void)
{
	struct conn *c = conns;
	struct qp_desc desc = rings();

	if (lq_open(&c->q, addr.ss_family, QP_CLOEXEC, &desc))
		err(1, "queue_pair");
	rping_ready(c);
	expect_note(c);
	if (lq_sys_connect(c->q.fd, &addr, addrlen))
		err(1, "qp_connect");
	for (unsigned int n = 0; n < count; n++) {
		/* a string, as rping has: it sends back as much as strlen() */
		for (unsigned int i = 0; i < size - 1; i++)
			c->out[i] = 'A' + (i + n) % 57;
		tell_place(c, &c->out_mem);
		hear(c, sizeof(struct place));
		expect_note(c);
		memset(c->in, 0, size);
		tell_place(c, &c->in_mem);
		hear(c, sizeof(struct place));
		if (n + 1 < count)
			expect_note(c);
		if (memcmp(c->in, c->out, size))
			errx(1, "ping %u came back as another", n);
	}
}

static struct place hear_place(struct conn *c)
{
	struct place place;

	hear(c, sizeof(place));
	memcpy(&place, notes.in, sizeof(place));
	if (be32toh(place.size) != size)
		errx(1, "%u bytes are offered instead of %u",
		     be32toh(place.size), size);
	expect_note(c);
	return place;
}

/* READ from there or WRITE to there */
static void move(struct conn *c, enum qp_opcode opcode,
		 const struct place *place)
{
	struct qp_sqe *sqe = lq_sqe(&c->q, opcode, QP_SQE_SIGNALED, 0);

	if (sqe) {
		lq_sqe_sge(sqe, c->in, size, c->in_mem.lkey);
		lq_sqe_remote(sqe, be64toh(place->addr), be32toh(place->rkey));
	}
	post(c, sqe);
	complete(c, opcode);
	/* go on */
	send_bytes(c, notes.out, sizeof(struct place), notes.out_mem.lkey);
	complete(c, QP_OP_SEND);
}

static void rping_server(void)
{
	struct qp_desc desc = rings();
	struct conn *c = conns;
	struct place place;
	struct lq l;

	if (lq_listen(&l, addr.ss_family, &addr, addrlen, QP_CLOEXEC, 1))
		err(1, "a listener");
	printf("listens\n");
	if (lq_accept(&c->q, l.fd, &desc))
		err(1, "qp_accept");
	rping_ready(c);
	expect_note(c);
	for (unsigned int n = 0; n < count; n++) {
		place = hear_place(c);
		move(c, QP_OP_READ, &place);
		place = hear_place(c);
		move(c, QP_OP_WRITE, &place);
	}
	await_end(c);
}

static const struct talk {
	const char *program;
	const char *role;
	void (*run)(void);
	unsigned int count, size;	/* if they are not options */
} talks[] = {
	{ "rdma", "client", rdma_client, 1, RDMA_BYTES },
	{ "rdma", "server", rdma_server, 1, RDMA_BYTES },
	{ "ucmatose", "client", ucmatose_client },
	{ "ucmatose", "server", ucmatose_server },
	{ "rping", "client", rping_client },
	{ "rping", "server", rping_server },
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

static void resolve(const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	}, *ai;
	int ret = getaddrinfo(host, port, &hints, &ai);

	if (ret)
		errx(2, "%s port %s: %s", host, port, gai_strerror(ret));
	memcpy(&addr, ai->ai_addr, ai->ai_addrlen);
	addrlen = ai->ai_addrlen;
	freeaddrinfo(ai);
}

int main(int argc, char **argv)
{
	const struct talk *talk;
	int opt;

	setlinebuf(stdout);
	while ((opt = getopt(argc, argv, "c:C:S:")) != -1) {
		switch (opt) {
		case 'c':
			connections = atoi(optarg);
			break;
		case 'C':
			count = atoi(optarg);
			break;
		case 'S':
			size = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 4 || !connections || connections > CONNECTIONS_MAX ||
	    !count || count > ENTRIES_MAX || !size)
		errx(2, "usage: qp_interop [-c CONNECTIONS] [-C COUNT] [-S SIZE] "
		     "rdma|ucmatose|rping client|server ADDRESS PORT");
	talk = talk_of(argv[optind], argv[optind + 1]);
	resolve(argv[optind + 2], argv[optind + 3]);
	count = talk->count ?: count;
	size = talk->size ?: size;
	talk->run();
	printf("done\n");
	return 0;
}
