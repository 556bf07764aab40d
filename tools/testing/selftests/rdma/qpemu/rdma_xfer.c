// SPDX-License-Identifier: GPL-2.0
/*
 * Moves data from one RDMA device to another and checks every byte of it, or
 * applies atomic operations and checks that each was applied once.
 *
 * Side 0 requests. The bytes of a message follow from its number.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"

static size_t size = 65536;
static uint64_t messages = 64;
static int depth = 16;
static bool endless;
static bool inline_data;
static bool lists;
static enum ibv_qp_type type = IBV_QPT_RC;

static const struct op {
	const char *name;
	enum ibv_wr_opcode opcode;
	bool receives;			/* takes a receive of the responder's */
	bool imm;
	bool writes;
	bool reads;
	bool atomic;
} ops[] = {
	{ "send", IBV_WR_SEND, .receives = true },
	{ "send_imm", IBV_WR_SEND_WITH_IMM, .receives = true, .imm = true },
	{ "write", IBV_WR_RDMA_WRITE, .writes = true },
	{ "write_imm", IBV_WR_RDMA_WRITE_WITH_IMM, .writes = true, .receives = true,
	  .imm = true },
	{ "read", IBV_WR_RDMA_READ, .reads = true },
	{ "fetch_add", IBV_WR_ATOMIC_FETCH_AND_ADD, .atomic = true },
	{ "cmp_swap", IBV_WR_ATOMIC_CMP_AND_SWP, .atomic = true },
}, *op;

/* The requester's or responder's memory: a slot for each message on its way */
static struct buffer mem;
static struct address mine, theirs;
static struct ibv_cq *cq;
static struct ibv_qp *qp;

static void *slot(uint64_t n)
{
	return mem.p + n % depth * size;
}

static struct ibv_sge slot_sge(uint64_t n)
{
	return (struct ibv_sge){ (uintptr_t)slot(n), size, mem.mr->lkey };
}

static void check(const char *what, uint64_t n)
{
	ssize_t at = endless ? -1 : differs(slot(n), size, n);

	errno = 0;
	if (at >= 0)
		die("%s %llu differs at byte %zd", what, (unsigned long long)n, at);
}

static void ended(struct end *e, const char *what)
{
	printf("side %d was told: %s\n", e->side, what);
	exit(0);
}

static struct ibv_send_wr send_wr(uint64_t n, struct ibv_sge *sge)
{
	struct ibv_send_wr wr = {
		.wr_id = n,
		.sg_list = sge,
		.num_sge = 1,
		.opcode = op->opcode,
		.send_flags = IBV_SEND_SIGNALED | (inline_data ? IBV_SEND_INLINE : 0),
		.imm_data = htobe32(n),
	};

	if (op->atomic) {
		/* all at the one word, so that each sees those before it */
		wr.wr.atomic.remote_addr = theirs.addr;
		wr.wr.atomic.rkey = theirs.rkey;
		wr.wr.atomic.compare_add = op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP ? n : 1;
		wr.wr.atomic.swap = n + 1;
	} else {
		wr.wr.rdma.remote_addr = theirs.addr + n % depth * size;
		wr.wr.rdma.rkey = theirs.rkey;
		if (!op->reads)
			fill(slot(n), size, n);
	}
	return wr;
}

/* All before @to; as one list, or one by one */
static void post_sends(struct end *e, uint64_t from, uint64_t to)
{
	struct ibv_send_wr wr[to - from], *bad;
	struct ibv_sge sge[to - from];
	uint64_t n;

	for (n = 0; n < to - from; n++) {
		sge[n] = slot_sge(from + n);
		wr[n] = send_wr(from + n, &sge[n]);
		wr[n].next = n + 1 < to - from ? &wr[n + 1] : NULL;
	}
	errno = ibv_post_send(qp, wr, &bad);
	if (errno && endless)
		ended(e, strerror(errno));
	if (errno)
		die("ibv_post_send");
}

static void post_recv(uint64_t n)
{
	struct ibv_sge sge = slot_sge(n);
	struct ibv_recv_wr wr = { .wr_id = n, .sg_list = &sge, .num_sge = 1 };

	post_to(qp, &wr);
}

/* What ends an endless transfer: the device says so, or the other process ended */
static const char *end_event(struct end *e)
{
	struct pollfd pfd[] = { { e->ctx->async_fd, POLLIN }, { e->peer, 0 } };
	struct ibv_async_event event;

	poll(pfd, 2, 0);
	if (pfd[0].revents && !ibv_get_async_event(e->ctx, &event)) {
		ibv_ack_async_event(&event);
		/* It may still hear of how the port came up. */
		if (event.event_type != IBV_EVENT_PORT_ACTIVE &&
		    event.event_type != IBV_EVENT_GID_CHANGE)
			return ibv_event_type_str(event.event_type);
	}
	return pfd[1].revents & POLLHUP ? "the other end ended" : NULL;
}

/* A completion that succeeded; without end there will be one that does not */
static struct ibv_wc complete(struct end *e)
{
	struct ibv_wc wc;
	const char *event;
	unsigned int spins;
	int got;

	for (spins = 1; !(got = ibv_poll_cq(cq, 1, &wc)); spins++) {
		if (!endless || spins % 4096)
			continue;
		event = end_event(e);
		if (event)
			ended(e, event);
	}
	if (got > 0 && wc.status == IBV_WC_SUCCESS)
		return wc;
	if (endless)
		ended(e, got < 0 ? "no completion queue" : ibv_wc_status_str(wc.status));
	errno = 0;
	die("side %d, message %llu: %s", e->side, (unsigned long long)wc.wr_id,
	    ibv_wc_status_str(wc.status));
}

/* Whether no receive of the responder's says when a slot of its may be used again */
static bool lockstep(void)
{
	return (op->writes || op->reads || type == IBV_QPT_UC) && !endless;
}

static void request(struct end *e)
{
	uint64_t posted = 0, done = 0, allowed = messages;
	struct ibv_wc wc;
	uint64_t *old;

	while (done < messages) {
		if (lockstep() && posted == done && done % depth == 0) {
			hear(e, &allowed, sizeof(allowed));
			if (allowed > messages)
				allowed = messages;
		}
		while (posted < allowed && posted < done + depth) {
			uint64_t all = allowed < done + depth ? allowed : done + depth;
			uint64_t to = lists ? all : posted + 1;

			post_sends(e, posted, to);
			posted = to;
		}
		wc = complete(e);
		if (endless && !done) {
			puts("under load");
			fflush(stdout);
		}
		errno = 0;
		if (wc.wr_id != done)
			die("message %llu completed in place of %llu",
			    (unsigned long long)wc.wr_id, (unsigned long long)done);
		if (op->reads)
			check("read", done);
		old = slot(done);
		if (op->atomic && *old != done)
			die("atomic %llu found %llu", (unsigned long long)done,
			    (unsigned long long)*old);
		done++;
		if (lockstep() && done == allowed)
			tell(e, &done, sizeof(done));
	}
}

static void receive_one(struct end *e, uint64_t n)
{
	struct ibv_wc wc = complete(e);

	errno = 0;
	if (wc.wr_id != n)
		die("receive %llu completed in place of %llu",
		    (unsigned long long)wc.wr_id, (unsigned long long)n);
	if (wc.opcode == IBV_WC_RECV && wc.byte_len != size)
		die("message of %u bytes", wc.byte_len);
	if (op->imm && (!(wc.wc_flags & IBV_WC_WITH_IMM) || be32toh(wc.imm_data) != (uint32_t)n))
		die("wrong immediate data");
}

static void receive(struct end *e)
{
	uint64_t n;

	for (n = 0; n < messages; n++) {
		receive_one(e, n);
		check(op->name, n);
		if (n + depth < messages)
			post_recv(n + depth);
	}
}

static void respond_in_steps(struct end *e)
{
	uint64_t n, i, to;

	for (n = 0; n < messages; n = to) {
		to = n + depth < messages ? n + depth : messages;
		for (i = n; i < to && op->reads; i++)
			fill(slot(i), size, i);
		tell(e, &to, sizeof(to));
		for (i = n; i < to && op->receives; i++)
			receive_one(e, i);
		hear(e, &i, sizeof(i));
		for (i = n; i < to && !op->reads; i++) {
			check(op->name, i);
			if (op->receives && i + depth < messages)
				post_recv(i + depth);
		}
	}
}

/* Nothing completes here: wait for the end */
static void linger(struct end *e)
{
	const char *event;

	while (!(event = end_event(e)))
		usleep(1000);
	ended(e, event);
}

static int transfer(struct end *e)
{
	struct qp_size qp_size = {
		.type = type, .send = depth, .recv = depth,
		.inline_data = inline_data ? size : 0,
	};
	uint64_t n, total;
	double start;

	cq = ibv_create_cq(e->ctx, 2 * depth, NULL, NULL, 0);
	if (!cq)
		die("ibv_create_cq");
	mem = buffer_make(e->pd, depth * size, IBV_ACCESS_LOCAL_WRITE |
			  IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
			  IBV_ACCESS_REMOTE_ATOMIC);
	if (endless)
		fcntl(e->ctx->async_fd, F_SETFL, O_NONBLOCK);
	qp = qp_make(e, cq, cq, &qp_size);
	qp_pair(e, qp, &mem, &mine, &theirs);
	for (n = 0; op->receives && e->side && n < depth && n < messages; n++)
		post_recv(n);
	barrier(e);

	start = now();
	if (!e->side)
		request(e);
	else if (lockstep())
		respond_in_steps(e);
	else if (op->receives)
		receive(e);
	else if (endless)
		linger(e);
	barrier(e);

	total = *(volatile uint64_t *)mem.p;
	errno = 0;
	if (op->atomic && e->side && total != messages)
		die("%llu atomics left %llu", (unsigned long long)messages,
		    (unsigned long long)total);
	if (!e->side)
		printf("%llu of %s, %zu bytes each: right, %.2f s\n",
		       (unsigned long long)messages, op->name, size, now() - start);
	ibv_destroy_qp(qp);
	buffer_free(&mem);
	ibv_destroy_cq(cq);
	return 0;
}

/* The same until the device goes */
static int load(struct end *e)
{
	endless = true;
	messages = UINT64_MAX;
	return transfer(e);
}

static void help(void)
{
	const struct op *o;

	fprintf(stderr,
		"usage: rdma_xfer [OPTION]... OP END0 END1\n"
		"An END is NAMESPACE/DEVICE or DEVICE, an OP one of");
	for (o = ops; o < ops + sizeof(ops) / sizeof(*ops); o++)
		fprintf(stderr, " %s", o->name);
	fprintf(stderr, "\n" PAIR_USAGE
		"  -s SIZE  of a message\n"
		"  -n N     messages; 0: until the device is removed, of which it must be told\n"
		"  -d N     messages on their way at once\n"
		"  -i       inline data\n"
		"  -l       post lists of messages\n"
		"  -u       UC\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, PAIR_OPTIONS "ls:n:d:iu")) != -1) {
		if (pair_option(opt, optarg))
			continue;
		switch (opt) {
		case 's':
			size = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			messages = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			depth = atoi(optarg);
			break;
		case 'i':
			inline_data = true;
			break;
		case 'l':
			lists = true;
			break;
		case 'u':
			type = IBV_QPT_UC;
			break;
		default:
			help();
		}
	}
	if (argc - optind != 3 || !size || depth < 1)
		help();
	for (op = ops; strcmp(op->name, argv[optind]); op++)
		if (op == ops + sizeof(ops) / sizeof(*ops) - 1)
			help();
	if (op->atomic)
		size = 8;
	return pair_run(argv + optind + 1, messages ? transfer : load);
}
