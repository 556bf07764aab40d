// SPDX-License-Identifier: GPL-2.0
/*
 * Measures an RDMA device from side 0: the rate of messages of one size and
 * operation, or the round trip of SEND and RECV. Prints one figure.
 *
 * The same for every device: lists of work requests, of which the last is
 * signaled, a number of them on their way on each queue pair, and busy polling.
 * Receives are never missing, since iWARP has no retry for that: the receiver
 * says by a SEND of its own how many more it posted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pair.h"

static size_t size = 8;
static int list = 1;
static int depth = 16;
static int count = 1;
static double seconds = 2;
static long messages;
static bool events;
static bool in_gbits;

static enum { WRITE, SEND, READ, ROUND_TRIP } op;
static const char *const ops[] = { "write", "send", "read", "rtt" };

static struct ibv_comp_channel *channel;
static struct ibv_cq *cq;
static struct ibv_qp **qps;
static struct buffer mem;
static struct address *theirs;

#define WARM_UP		0.2
#define CREDIT		(1ull << 32)		/* in the wr_id of the receiver's word */

/* Wait for completions, all of them good */
static int complete(struct ibv_wc *wc, int n)
{
	struct ibv_cq *ready;
	void *context;
	int got, i;

	while (!(got = ibv_poll_cq(cq, n, wc))) {
		if (!events)
			continue;
		/* what completed between the poll and the request makes no event */
		if (ibv_req_notify_cq(cq, 0))
			die("ibv_req_notify_cq");
		got = ibv_poll_cq(cq, n, wc);
		if (got)
			break;
		if (ibv_get_cq_event(channel, &ready, &context))
			die("ibv_get_cq_event");
		ibv_ack_cq_events(ready, 1);
	}
	errno = 0;
	for (i = 0; i < got; i++)
		if (wc[i].status)
			die("%s: %s", ops[op], ibv_wc_status_str(wc[i].status));
	return got;
}

static void post_list(int q)
{
	static const enum ibv_wr_opcode opcodes[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_SEND, IBV_WR_RDMA_READ,
	};
	static struct ibv_send_wr *wrs;
	static struct ibv_sge sge;
	int i;

	if (!wrs) {
		wrs = calloc(list, sizeof(*wrs));
		sge = (struct ibv_sge){ (uintptr_t)mem.p, size, mem.mr->lkey };
		for (i = 0; i < list; i++) {
			wrs[i].next = wrs + i + 1;
			wrs[i].sg_list = &sge;
			wrs[i].num_sge = 1;
			wrs[i].opcode = opcodes[op];
		}
		wrs[list - 1].next = NULL;
		wrs[list - 1].send_flags = IBV_SEND_SIGNALED;
	}
	for (i = 0; i < list; i++) {
		wrs[i].wr_id = q;
		wrs[i].wr.rdma.remote_addr = theirs[q].addr;
		wrs[i].wr.rdma.rkey = theirs[q].rkey;
	}
	post(qps[q], wrs);
}

static void post_recvs(int n)
{
	struct ibv_sge sge = { (uintptr_t)mem.p, size, mem.mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = CREDIT, .sg_list = &sge, .num_sge = 1 };

	while (n--)
		post_to(qps[0], &wr);
}

/* A SEND of nothing: as many receives as a credit is worth were posted */
static void post_word(void)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };

	post(qps[0], &wr);
}

static int credit(void)
{
	return depth > list ? depth : list;
}

/* What completes after the warm-up, and how long that takes */
struct span {
	double begin;
	double start;
	double end;
	long first;
	long done;
	unsigned int looks;
};

/*
 * Is that all? The clock is looked at now and then only: where it is read by a
 * system call that takes longer than a message.
 */
static bool over(struct span *s)
{
	if (messages && s->done < messages)
		return false;
	if (!messages && ++s->looks % 32)
		return false;
	s->end = now();
	if (messages) {
		s->start = s->begin;
		return true;
	}
	if (!s->start && s->end - s->begin > WARM_UP) {
		s->start = s->end;
		s->first = s->done;
	}
	return s->start && s->end - s->start > seconds;
}

/* Seconds each of them took */
static double each(const struct span *s)
{
	return (s->end - s->start) / (s->done - s->first);
}

/* Messages a second */
static double request(struct end *e)
{
	struct span span = { .begin = now() };
	long budget = 4 * credit();
	struct ibv_wc wc[16];
	int q, i, got, idle = 0;

	for (i = 0; i < depth / list; i++) {
		for (q = 0; q < count; q++) {
			post_list(q);
			budget -= list;
		}
	}
	for (;;) {
		got = complete(wc, 16);
		for (i = 0; i < got; i++) {
			if (wc[i].opcode & IBV_WC_RECV) {
				budget += credit();
				post_recvs(1);
				continue;
			}
			span.done += list;
			idle++;
			if (op != SEND) {
				post_list(wc[i].wr_id);
				idle--;
			}
		}
		for (; op == SEND && idle && budget >= list; idle--, budget -= list)
			post_list(0);
		if (over(&span))
			break;
	}
	return 1 / each(&span);
}

static void receive(struct end *e)
{
	struct ibv_wc wc[16];
	int got, i, taken = 0;

	for (;;) {
		got = complete(wc, 16);
		for (i = 0; i < got; i++) {
			if (!(wc[i].opcode & IBV_WC_RECV) || ++taken % credit())
				continue;
			post_recvs(credit());
			post_word();
		}
	}
}

static void post_ping(void)
{
	struct ibv_sge sge = { (uintptr_t)mem.p, size, mem.mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};

	post(qps[0], &wr);
}

/* Until the message after next has come, as many times as there is time for */
static double round_trips(struct end *e)
{
	struct span span = { .begin = now() };
	struct ibv_wc wc[16];
	int i, got;

	if (!e->side)
		post_ping();
	for (;;) {
		got = complete(wc, 16);
		for (i = 0; i < got; i++) {
			if (!(wc[i].opcode & IBV_WC_RECV))
				continue;
			post_recvs(1);
			post_ping();
			span.done++;
		}
		if (!e->side && over(&span))
			break;
	}
	return each(&span);
}

/* Until this process is ended */
static void serve(struct end *e)
{
	if (op == SEND)
		receive(e);
	else if (op == ROUND_TRIP)
		round_trips(e);
	for (;;)
		pause();
}

static void connect_all(struct end *e)
{
	struct address *mine = calloc(count, sizeof(*mine));
	int i;

	if (count == 1) {
		qp_pair(e, qps[0], &mem, mine, theirs);
		return;
	}
	for (i = 0; i < count; i++) {
		mine[i] = qp_address(e, qps[i], i);
		mine[i].addr = (uintptr_t)mem.p;
		mine[i].rkey = mem.mr->rkey;
	}
	if (!e->side)
		tell(e, mine, count * sizeof(*mine));
	hear(e, theirs, count * sizeof(*theirs));
	if (e->side)
		tell(e, mine, count * sizeof(*mine));
	for (i = 0; i < count; i++)
		qp_connect(e, qps[i], i, &theirs[i]);
	barrier(e);
}

static int bench(struct end *e)
{
	struct rlimit memlock = { RLIM_INFINITY, RLIM_INFINITY };
	bool two_sided = op == SEND || op == ROUND_TRIP;
	struct qp_size qp_size = {
		.type = IBV_QPT_RC, .send = depth + (two_sided ? 32 : 0),
		.recv = two_sided ? 4 * credit() + 32 : 1,
	};
	double figure;
	int i;

	setrlimit(RLIMIT_MEMLOCK, &memlock);
	qps = calloc(count, sizeof(*qps));
	theirs = calloc(count, sizeof(*theirs));
	if (events)
		channel = ibv_create_comp_channel(e->ctx);
	i = count * (depth / list + 1) + qp_size.recv + 64;
	cq = ibv_create_cq(e->ctx, i, NULL, channel, 0);
	if (!cq)
		die("ibv_create_cq");
	mem = buffer_make(e->pd, size, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
			  IBV_ACCESS_REMOTE_READ);
	for (i = 0; i < count; i++)
		qps[i] = qp_make(e, cq, cq, &qp_size);
	if (op == SEND)
		post_recvs(e->side ? 4 * credit() : 16);
	if (op == ROUND_TRIP)
		post_recvs(4);
	connect_all(e);
	if (e->side)
		serve(e);

	figure = op == ROUND_TRIP ? round_trips(e) * 1e6 : request(e);
	if (in_gbits)
		figure *= size * 8 / 1e9;
	printf("%.4g\n", figure);
	fflush(stdout);
	return 0;
}

static void help(void)
{
	fprintf(stderr,
		"usage: rdma_bench [OPTION]... write|send|read|rtt END0 END1\n"
		"prints messages a second, or us of a round trip\n" PAIR_USAGE
		"  -g       Gbit/s\n"
		"  -s SIZE  of a message\n"
		"  -l N     work requests posted at once, of which one is signaled\n"
		"  -d N     work requests on their way on a queue pair\n"
		"  -q N     queue pairs, for write and read\n"
		"  -w S     for how long\n"
		"  -n N     for N messages in place of that\n"
		"  -e       wait for events, not polling\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, PAIR_OPTIONS "gs:l:d:q:w:n:e")) != -1) {
		if (pair_option(opt, optarg))
			continue;
		switch (opt) {
		case 'g':
			in_gbits = true;
			break;
		case 's':
			size = strtoul(optarg, NULL, 0);
			break;
		case 'l':
			list = atoi(optarg);
			break;
		case 'd':
			depth = atoi(optarg);
			break;
		case 'q':
			count = atoi(optarg);
			break;
		case 'w':
			seconds = atof(optarg);
			break;
		case 'n':
			messages = atol(optarg);
			break;
		case 'e':
			events = true;
			break;
		default:
			help();
		}
	}
	if (argc - optind != 3 || list < 1 || depth < list)
		help();
	for (op = WRITE; strcmp(ops[op], argv[optind]); op++)
		if (op == ROUND_TRIP)
			help();
	if (op == ROUND_TRIP || op == SEND)
		count = 1;
	pair_options.serves = true;
	pair_options.apart = true;
	return pair_run(argv + optind + 1, bench);
}
