// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams to two queue pairs in turn, posted in one call and with one address
 * handle. Between making them and sending, side 1 has the shell run COMMAND with
 * their numbers. Says how many each has received.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"

#define RECEIVERS	2
#define GRH_BYTES	40
#define SIZE		64

/* No message for so long is the end, s */
#define IDLE		0.5

static int count = 32;
static const char *command;

static struct ibv_qp *make(struct end *e, struct ibv_cq *cq)
{
	struct qp_size size = { .type = IBV_QPT_UD, .send = count, .recv = count, .sge = 1 };
	struct ibv_qp *qp = qp_make(e, cq, cq, &size);
	struct address nobody = {};

	qp_connect(e, qp, 0, &nobody);
	return qp;
}

static void run_command(struct ibv_qp *const *qp)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s %u %u", command, qp[0]->qp_num, qp[1]->qp_num);
	if (system(line))
		die("%s", line);
}

static int receive(struct end *e, struct ibv_cq *cq)
{
	struct buffer b = buffer_make(e->pd, GRH_BYTES + SIZE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sge = { (uintptr_t)b.p, GRH_BYTES + SIZE, b.mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 };
	struct ibv_qp *qp[RECEIVERS];
	struct address to[RECEIVERS];
	int i, j, got[RECEIVERS] = {};
	double last;
	struct ibv_wc wc;

	for (i = 0; i < RECEIVERS; i++) {
		qp[i] = make(e, cq);
		to[i] = qp_address(e, qp[i], 0);
		for (j = 0; j < count; j++)
			post_to(qp[i], &wr);
	}
	run_command(qp);
	tell(e, to, sizeof(to));
	barrier(e);
	for (last = now(); now() - last < IDLE;) {
		if (!ibv_poll_cq(cq, 1, &wc))
			continue;
		last = now();
		for (i = 0; i < RECEIVERS; i++)
			got[i] += wc.qp_num == qp[i]->qp_num && !wc.status;
	}
	printf("received %d %d\n", got[0], got[1]);
	return 0;
}

static int transmit(struct end *e, struct ibv_cq *cq)
{
	struct buffer b = buffer_make(e->pd, SIZE, 0);
	struct ibv_sge sge = { (uintptr_t)b.p, SIZE, b.mr->lkey };
	struct ibv_send_wr *wr = calloc(count, sizeof(*wr));
	struct ibv_qp *qp = make(e, cq);
	struct address to[RECEIVERS];
	struct ibv_ah_attr attr;
	struct ibv_wc wc;
	int i;

	hear(e, to, sizeof(to));
	attr = way_to(e, &to[0]);
	for (i = 0; i < count; i++) {
		wr[i] = (struct ibv_send_wr){
			.sg_list = &sge,
			.num_sge = 1,
			.opcode = IBV_WR_SEND,
			.send_flags = i == count - 1 ? IBV_SEND_SIGNALED : 0,
			.next = i == count - 1 ? NULL : &wr[i + 1],
			.wr.ud.remote_qpn = to[i % RECEIVERS].qpn,
			.wr.ud.remote_qkey = PAIR_QKEY,
		};
	}
	wr[0].wr.ud.ah = ibv_create_ah(e->pd, &attr);
	if (!wr[0].wr.ud.ah)
		die("ibv_create_ah");
	for (i = 1; i < count; i++)
		wr[i].wr.ud.ah = wr[0].wr.ud.ah;
	post(qp, wr);
	reap(cq, &wc, 1);
	barrier(e);
	return wc.status;
}

static int mixed(struct end *e)
{
	struct ibv_cq *cq = ibv_create_cq(e->ctx, 2 * RECEIVERS * count, NULL, NULL, 0);

	if (!cq)
		die("ibv_create_cq");
	return e->side ? receive(e, cq) : transmit(e, cq);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, PAIR_OPTIONS "n:")) != -1) {
		if (pair_option(opt, optarg))
			continue;
		if (opt != 'n')
			goto usage;
		count = atoi(optarg);
	}
	if (argc - optind != 3 || count < 2)
		goto usage;
	command = argv[optind + 2];
	return pair_run(argv + optind, mixed);
usage:
	fprintf(stderr, "usage: rdma_mixed [OPTION]... END0 END1 COMMAND\n" PAIR_USAGE
		"  -n N     datagrams\n");
	return 2;
}
