// SPDX-License-Identifier: GPL-2.0
/*
 * Connects many queue pairs of one device to those of another, tells what memory
 * of the kernel an idle one takes, and lets all of them talk at once, by SEND and
 * by WRITE, both ways, checking what arrives where.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pair.h"

static int count = 5000;
static int entries = 16;

static struct ibv_qp **qps;
static struct address *mine, *theirs;
static struct ibv_cq *cq;

/* A line of a file of /proc that begins with name, in KiB */
static long proc_kib(const char *file, const char *name)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kib += atol(line + strlen(name));
	if (f)
		fclose(f);
	return kib;
}

/* What the system has left, with what is the process's own added */
static double memory(bool rings)
{
	long own = proc_kib("/proc/self/status", "RssAnon:") +
		   proc_kib("/proc/self/status", "VmPTE:");

	if (rings)
		own += proc_kib("/proc/self/status", "RssFile:") +
		       proc_kib("/proc/self/status", "RssShmem:");
	return proc_kib("/proc/meminfo", "MemAvailable:") + own;
}

/* One end after the other, so that each sees its own */
static void in_turn(struct end *e, void (*fn)(struct end *e))
{
	if (e->side)
		barrier(e);
	fn(e);
	if (!e->side)
		barrier(e);
	barrier(e);
}

static void make(struct end *e)
{
	struct qp_size size = { .type = IBV_QPT_RC, .send = entries, .recv = entries };
	double start, before, rings_before;
	int i;

	/* what is allocated once is so by the first */
	qps[0] = qp_make(e, cq, cq, &size);
	sleep(1);
	before = memory(false);
	rings_before = memory(true);
	start = now();
	for (i = 1; i < count; i++)
		qps[i] = qp_make(e, cq, cq, &size);
	start = now() - start;
	sleep(1);
	printf("side %d: %d queue pairs in %.2f s, %.2f KiB each, of which %.2f are mapped rings\n",
	       e->side, count, start, (before - memory(false)) / (count - 1),
	       (before - memory(false) - rings_before + memory(true)) / (count - 1));
	fflush(stdout);
}

static void connect_all(struct end *e)
{
	int i;

	for (i = 0; i < count; i++)
		mine[i] = qp_address(e, qps[i], i);
	/* what does not fit into the socket waits for the other end to read */
	if (!e->side)
		tell(e, mine, count * sizeof(*mine));
	hear(e, theirs, count * sizeof(*theirs));
	if (e->side)
		tell(e, mine, count * sizeof(*mine));
	for (i = 0; i < count; i++)
		qp_connect(e, qps[i], i, &theirs[i]);
	barrier(e);
}

static void complete(int n, const char *what)
{
	struct ibv_wc wc[64];
	int got, i;

	while (n) {
		got = reap(cq, wc, n < 64 ? n : 64);
		for (i = 0; i < got; i++) {
			errno = 0;
			if (wc[i].status)
				die("%s, queue pair %d: %s", what, (int)(wc[i].wr_id >> 1),
				    ibv_wc_status_str(wc[i].status));
		}
		n -= got;
	}
}

/* Word i of the first half is what queue pair i sends, of the second what it gets */
static void talk(struct end *e, struct buffer *mem, uint64_t rkey_addr, uint32_t rkey)
{
	uint64_t *out = (void *)mem->p, *in = out + count;
	struct ibv_sge sge = { .length = 8, .lkey = mem->mr->lkey };
	struct ibv_recv_wr recv = { .sg_list = &sge, .num_sge = 1 };
	struct ibv_send_wr send = {
		.sg_list = &sge, .num_sge = 1, .send_flags = IBV_SEND_SIGNALED,
	};
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < count; i++) {
			out[i] = (uint64_t)e->side << 32 | round << 24 | i;
			in[i] = -1;
			sge.addr = (uintptr_t)&in[i];
			recv.wr_id = i << 1;
			if (!round)
				post_to(qps[i], &recv);
		}
		barrier(e);
		for (i = 0; i < count; i++) {
			sge.addr = (uintptr_t)&out[i];
			send.wr_id = i << 1 | 1;
			send.opcode = round ? IBV_WR_RDMA_WRITE : IBV_WR_SEND;
			send.wr.rdma.remote_addr = rkey_addr + (count + i) * 8;
			send.wr.rdma.rkey = rkey;
			post(qps[i], &send);
		}
		complete(round ? count : 2 * count, round ? "WRITE" : "SEND");
		barrier(e);
		errno = 0;
		for (i = 0; i < count; i++)
			if (in[i] != ((uint64_t)!e->side << 32 | round << 24 | i))
				die("queue pair %d got %#llx", i, (unsigned long long)in[i]);
		barrier(e);
	}
}

static int many(struct end *e)
{
	struct rlimit memlock = { RLIM_INFINITY, RLIM_INFINITY };
	struct address my_mem, their_mem;
	struct buffer mem;
	double start;
	int i;

	setrlimit(RLIMIT_MEMLOCK, &memlock);
	qps = calloc(count, sizeof(*qps));
	mine = calloc(count, sizeof(*mine));
	theirs = calloc(count, sizeof(*theirs));
	memset(qps, 1, count * sizeof(*qps));
	cq = ibv_create_cq(e->ctx, 2 * count, NULL, NULL, 0);
	if (!cq)
		die("ibv_create_cq");
	mem = buffer_make(e->pd, 16 * count, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	in_turn(e, make);
	connect_all(e);
	my_mem = (struct address){ .addr = (uintptr_t)mem.p, .rkey = mem.mr->rkey };
	exchange(e, &my_mem, &their_mem, sizeof(my_mem));
	start = now();
	talk(e, &mem, their_mem.addr, their_mem.rkey);
	if (!e->side)
		printf("%d messages each way on %d queue pairs: right, %.2f s\n", 2 * count,
		       count, now() - start);
	for (i = 0; i < count; i++)
		if (ibv_destroy_qp(qps[i]))
			die("ibv_destroy_qp");
	return 0;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, PAIR_OPTIONS "q:e:")) != -1) {
		if (pair_option(opt, optarg))
			continue;
		if (opt == 'q')
			count = atoi(optarg);
		else if (opt == 'e')
			entries = atoi(optarg);
		else
			goto usage;
	}
	if (argc - optind != 2 || count < 2)
		goto usage;
	return pair_run(argv + optind, many);
usage:
	fprintf(stderr, "usage: rdma_many [OPTION]... END0 END1\n" PAIR_USAGE
		"  -q N     queue pairs\n"
		"  -e N     entries of their queues\n");
	return 2;
}
