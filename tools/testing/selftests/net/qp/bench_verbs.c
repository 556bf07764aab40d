// SPDX-License-Identifier: GPL-2.0
/*
 * The peer of queue pairs on the network: what a program does by libibverbs on
 * the same device; and what it does on one of rxe. It is compiled where libibverbs
 * is (HAVE_VERBS), and is impossible elsewhere. As with queue pairs, at most DEPTH
 * messages are under way, and one in so many is signaled.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#ifdef HAVE_VERBS
#include "../../rdma/qpemu/pair.h"

#define MIN_DEPTH		128
#define SIGNALS_PER_DEPTH	4
#define RECEIVES		128
#define REAP			16

struct verbs {
	struct end e;
	struct buffer mem;
	struct address theirs;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	unsigned int depth;
	unsigned int signal_every;
	unsigned int send_flags;
	unsigned int pings;
	struct ibv_sge sge;
	struct ibv_send_wr *wrs;
};

static const enum ibv_wr_opcode opcode[BENCH_OPS] = {
	[BENCH_SEND]	= IBV_WR_SEND,
	[BENCH_WRITE]	= IBV_WR_RDMA_WRITE,
	[BENCH_READ]	= IBV_WR_RDMA_READ,
};

static void post_receives(struct bench_end *end, struct verbs *v, unsigned int n)
{
	struct ibv_recv_wr wr = { .sg_list = &v->sge, .num_sge = 1 };

	while (n--)
		post_to(v->qp, &wr);
}

/* A list of requests that only the numbers of change */
static int make_list(struct bench_end *end, struct verbs *v)
{
	unsigned int i, batch = end->series->batch;

	v->wrs = calloc(batch, sizeof(*v->wrs));
	if (!v->wrs)
		return -ENOMEM;
	for (i = 0; i < batch; i++) {
		v->wrs[i] = (struct ibv_send_wr) {
			.next = i + 1 < batch ? &v->wrs[i + 1] : NULL,
			.sg_list = &v->sge,
			.num_sge = 1,
			.opcode = opcode[end->series->op],
			.wr.rdma.remote_addr = v->theirs.addr,
			.wr.rdma.rkey = v->theirs.rkey,
		};
	}
	return 0;
}

static int open_verbs(struct bench_end *end, bool events)
{
	const enum bench_op op = end->series->op;
	struct qp_size size = { .type = IBV_QPT_RC, .recv = RECEIVES };
	struct verbs *v = calloc(1, sizeof(*v));
	struct address mine;

	if (!v)
		return -ENOMEM;
	end->priv = v;
	v->e = (struct end) { .side = !end->active, .peer = end->ctl };
	pair_open(&v->e, bench_net_device(end));
	for (v->depth = MIN_DEPTH; v->depth < SIGNALS_PER_DEPTH * end->series->batch;)
		v->depth *= 2;
	v->signal_every = v->depth / SIGNALS_PER_DEPTH;
	if (end->size <= bench_inline && op != BENCH_READ) {
		size.inline_data = bench_inline;
		v->send_flags = IBV_SEND_INLINE;
	}
	size.send = v->depth;
	if (events)
		v->channel = ibv_create_comp_channel(v->e.ctx);
	v->cq = ibv_create_cq(v->e.ctx, v->depth + RECEIVES, NULL, v->channel, 0);
	v->mem = (struct buffer) { .p = end->buf, .len = end->size };
	v->mem.mr = ibv_reg_mr(v->e.pd, end->buf, end->size, IBV_ACCESS_LOCAL_WRITE |
			       IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	if (!v->cq || !v->mem.mr)
		return -errno;
	v->sge = (struct ibv_sge) { (uintptr_t)end->buf, end->size, v->mem.mr->lkey };
	v->qp = qp_make(&v->e, v->cq, v->cq, &size);
	if (!bench_one_sided(op))
		post_receives(end, v, RECEIVES);
	qp_pair(&v->e, v->qp, &v->mem, &mine, &v->theirs);
	return make_list(end, v);
}

static int open_polling(struct bench_end *end)
{
	return open_verbs(end, false);
}

static int open_events(struct bench_end *end)
{
	return open_verbs(end, true);
}

/* Wait for an event; what came before it was asked for makes none */
static int await(struct verbs *v, struct ibv_wc *wc)
{
	struct ibv_cq *ready;
	void *context;
	int got;

	if (ibv_req_notify_cq(v->cq, 0))
		return -EIO;
	got = ibv_poll_cq(v->cq, REAP, wc);
	if (got)
		return got;
	if (ibv_get_cq_event(v->channel, &ready, &context))
		return -errno;
	ibv_ack_cq_events(ready, 1);
	return 0;
}

/* Takes completions, at least one if @wait */
static int take(struct verbs *v, struct ibv_wc *wc, bool wait)
{
	int got, i;

	do {
		got = ibv_poll_cq(v->cq, REAP, wc);
		if (!got && wait && v->channel)
			got = await(v, wc);
	} while (!got && wait);
	for (i = 0; i < got; i++) {
		if (wc[i].status) {
			fprintf(stderr, "libibverbs: %s\n", ibv_wc_status_str(wc[i].status));
			return -EIO;
		}
	}
	return got;
}

static void post_batch(struct bench_end *end, struct verbs *v, __u64 first, __u64 count)
{
	unsigned int i;
	__u64 nth;

	for (i = 0; i < end->series->batch; i++) {
		nth = first + i + 1;
		v->wrs[i].wr_id = nth;
		v->wrs[i].send_flags = v->send_flags;
		if (nth % v->signal_every == 0 || nth == count)
			v->wrs[i].send_flags |= IBV_SEND_SIGNALED;
	}
	post(v->qp, v->wrs);
}

static int send_verbs(struct bench_end *end, __u64 count)
{
	unsigned int batch = end->series->batch;
	__u64 posted = 0, completed = 0;
	struct verbs *v = end->priv;
	struct ibv_wc wc[REAP];
	int got;

	while (completed < count) {
		if (posted < count) {
			post_batch(end, v, posted, count);
			posted += batch;
		}
		got = take(v, wc, posted == count || posted + batch - completed > v->depth);
		if (got < 0)
			return got;
		if (got)
			completed = wc[got - 1].wr_id;
	}
	return 0;
}

static int receive_verbs(struct bench_end *end, __u64 count)
{
	struct verbs *v = end->priv;
	struct ibv_wc wc[REAP];
	int got;

	while (count) {
		got = take(v, wc, true);
		if (got < 0)
			return got;
		post_receives(end, v, got);
		count -= got;
	}
	return 0;
}

/* Sends a message, and takes the one that comes; the former may complete later */
static int exchange_one(struct bench_end *end, struct verbs *v, bool send, bool receive)
{
	struct ibv_wc wc[REAP];
	int got, i;

	if (send) {
		v->wrs->send_flags = v->send_flags;
		if (bench_one_sided(end->series->op) || ++v->pings % v->signal_every == 0)
			v->wrs->send_flags |= IBV_SEND_SIGNALED;
		post(v->qp, v->wrs);
	}
	while (receive) {
		got = take(v, wc, true);
		if (got < 0)
			return got;
		for (i = 0; i < got; i++) {
			/* Of a one-sided operation its own completion is the answer */
			if (!bench_one_sided(end->series->op)) {
				if (!(wc[i].opcode & IBV_WC_RECV))
					continue;
				post_receives(end, v, 1);
			}
			receive = false;
		}
	}
	return 0;
}

static int ping_verbs(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (!err && count--)
		err = exchange_one(end, end->priv, true, true);
	return err;
}

static int pong_verbs(struct bench_end *end, __u64 count)
{
	int err = exchange_one(end, end->priv, false, true);

	while (!err && count--)
		err = exchange_one(end, end->priv, true, count);
	return err;
}

#else

static int open_polling(struct bench_end *end)
{
	return -EOPNOTSUPP;
}

#define open_events	open_polling
#define send_verbs	NULL
#define receive_verbs	NULL
#define ping_verbs	NULL
#define pong_verbs	NULL

#endif

#define VERBS(name_, open_, ops_, rxe_) {				\
	.name = name_,							\
	.ops = ops_,							\
	.max_batch = BENCH_MAX_BATCH,					\
	.network = true,						\
	.rxe = rxe_,							\
	.open = open_,							\
	.send = send_verbs,						\
	.receive = receive_verbs,					\
	.ping = ping_verbs,						\
	.pong = pong_verbs,						\
}

#define ALL	(BENCH_OP(SEND) | BENCH_OP(WRITE) | BENCH_OP(READ))

const struct bench_transport bench_verbs = VERBS("verbs", open_polling, ALL, false);
const struct bench_transport bench_verbs_events =
	VERBS("verbs-event", open_events, ALL, false);

/* Peers of sockets, which can do nothing else */
const struct bench_transport bench_rxe =
	VERBS("rxe", open_polling, BENCH_OP(SEND), true);
const struct bench_transport bench_rxe_events =
	VERBS("rxe-event", open_events, BENCH_OP(SEND), true);
