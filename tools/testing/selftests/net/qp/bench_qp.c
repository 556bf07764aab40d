// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs as a transport. A protocol is a row: which addresses it speaks,
 * and one of them that nobody else uses.
 *
 * The sender keeps at most DEPTH messages under way and asks for a completion
 * four times in that many; the receiver keeps its queue full and posts again
 * what it takes, a batch a call.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "libqp.h"

#define MIN_DEPTH		128
#define SIGNALS_PER_DEPTH	4
#define POLL_SECONDS		0.0001
#define POLLS_PER_CLOCK	20000

unsigned int bench_inline = 64;

struct bench_qp_proto {
	int domain;
	__u32 protocol;
	socklen_t (*address)(struct sockaddr_storage *addr, unsigned int id);
};

struct remote {
	__u64 addr;
	__u32 rkey;
};

struct bench_qp {
	struct lq q;
	struct qp_mem mem;
	struct remote remote;
	struct bench_uring *uring;
	bool poll;
	bool thread;
	unsigned int depth;
	unsigned int signal_every;
	unsigned int inline_len;
	__u64 atomics;
};

static const __u8 opcode[BENCH_OPS] = {
	[BENCH_SEND]	= QP_OP_SEND,
	[BENCH_WRITE]	= QP_OP_WRITE,
	[BENCH_READ]	= QP_OP_READ,
	[BENCH_CAS]	= QP_OP_ATOMIC_CAS,
	[BENCH_ADD]	= QP_OP_ATOMIC_ADD,
};

bool bench_have_queue_pairs(void)
{
	return lq_sys_queue_pair(AF_UNIX, 0, NULL) >= 0 || errno != ENOSYS;
}

static socklen_t address_un(struct sockaddr_storage *addr, unsigned int id)
{
	char name[48];

	snprintf(name, sizeof(name), "@qp_bench-%d-%u", getppid(), id);
	return lq_addr_un((struct sockaddr_un *)addr, name);
}

static socklen_t address_net(struct sockaddr_storage *addr, unsigned int id)
{
	return bench_net_address(addr, id, false);
}

/* A listener that serves one connection */
static int accept_one(struct bench_end *end, struct lq *q, const struct qp_desc *desc)
{
	const struct bench_qp_proto *proto = end->series->transport->proto;
	struct qp_desc d = lq_desc(0, 0, 0);
	struct sockaddr_storage addr;
	bool listening = true;
	struct lq listener;
	int err;

	d.protocol = proto->protocol;
	d.addrlen = proto->address(&addr, end->id);
	d.addr = (unsigned long)&addr;
	if (lq_open(&listener, proto->domain, QP_CLOEXEC | QP_LISTEN, &d))
		return -errno;
	err = bench_tell(end, &listening, sizeof(listening));
	if (!err && lq_accept(q, listener.fd, desc))
		err = -errno;
	lq_close(&listener);
	return err;
}

static int connect_one(struct bench_end *end, struct lq *q, unsigned int flags,
		       const struct qp_desc *desc)
{
	const struct bench_qp_proto *proto = end->series->transport->proto;
	struct sockaddr_storage addr;
	bool listening;
	socklen_t len;
	int err;

	err = bench_hear(end, &listening, sizeof(listening));
	if (err)
		return err;
	len = proto->address(&addr, end->id);
	if (lq_open(q, proto->domain, QP_CLOEXEC | flags, desc) ||
	    lq_sys_connect(q->fd, &addr, len))
		return -errno;
	return 0;
}

/* The active end learns where the passive end's memory is */
static int share_memory(struct bench_end *end, struct bench_qp *b)
{
	if (lq_mem_reg(b->q.fd, end->buf, end->size, LQ_ACCESS_ALL, &b->mem))
		return -errno;
	if (end->active)
		return bench_hear(end, &b->remote, sizeof(b->remote));
	b->remote = (struct remote){ .addr = b->mem.addr, .rkey = b->mem.rkey };
	return bench_tell(end, &b->remote, sizeof(b->remote));
}

static bool goes_inline(const struct bench_end *end)
{
	enum bench_op op = end->series->op;

	return (op == BENCH_SEND || op == BENCH_WRITE) && end->size <= bench_inline;
}

static int open_with(struct bench_end *end, unsigned int flags)
{
	unsigned int batch = end->series->batch;
	struct bench_qp *b = calloc(1, sizeof(*b));
	struct qp_desc desc;
	int err;

	if (!b)
		return -ENOMEM;
	end->priv = b;
	for (b->depth = MIN_DEPTH; b->depth < SIGNALS_PER_DEPTH * batch;)
		b->depth *= 2;
	b->signal_every = b->depth / SIGNALS_PER_DEPTH;
	b->inline_len = goes_inline(end) ? end->size : 0;
	desc = lq_desc(b->depth, b->depth, 0);
	desc.protocol = end->series->transport->proto->protocol;
	desc.max_inline = b->inline_len;
	if (flags & QP_SQPOLL && end->other_cpu != BENCH_ANY_CPU) {
		flags |= QP_SQ_CPU;
		desc.sq_cpu = end->other_cpu;
	}
	err = end->active ? connect_one(end, &b->q, flags, &desc) :
			    accept_one(end, &b->q, &desc);
	return err ?: share_memory(end, b);
}

static int open_qp(struct bench_end *end)
{
	return open_with(end, 0);
}

/* The active end has a thread, on the processor of the passive one, which is idle */
static int open_thread(struct bench_end *end)
{
	int err = open_with(end, end->active ? QP_SQPOLL : 0);

	if (!err)
		((struct bench_qp *)end->priv)->thread = end->active;
	return err;
}

static int open_uring(struct bench_end *end)
{
	int err = open_qp(end);
	struct bench_qp *b = end->priv;

	if (err)
		return err;
	b->uring = bench_uring_open();
	return b->uring ? 0 : -errno;
}

static int open_polling(struct bench_end *end)
{
	int err = open_qp(end);

	if (!err)
		((struct bench_qp *)end->priv)->poll = true;
	return err;
}

/* The completion queue is our memory: looking at it is no system call */
static bool poll_cq(const struct bench_qp *b, unsigned int min_complete)
{
	double until = 0, now;
	unsigned int i;

	do {
		for (i = 0; i < POLLS_PER_CLOCK; i++)
			if (lq_used(&b->q.cq) >= min_complete)
				return true;
		now = bench_now();
		if (!until)
			until = now + POLL_SECONDS;
	} while (now < until);
	return false;
}

static int enter_kernel(struct bench_qp *b, unsigned int to_submit, unsigned int min_complete)
{
	int n;

	if (b->uring)
		n = bench_uring_enter(b->uring, b->q.fd, to_submit, min_complete);
	else
		n = lq_sys_enter(b->q.fd, to_submit, min_complete, 0, NULL);
	if (n < 0)
		return -errno;
	return n == (int)to_submit ? 0 : -EBUSY;
}

/* The thread does it; no system call unless it sleeps */
static int leave_to_thread(struct bench_qp *b, unsigned int min_complete)
{
	do {
		if (lq_nudge(&b->q) < 0)
			return -errno;
	} while (lq_used(&b->q.cq) < min_complete);
	return 0;
}

/* Posts what is in the rings and waits for completions */
static int enter(struct bench_qp *b, unsigned int to_submit, unsigned int min_complete)
{
	int err = 0;

	if (b->thread)
		return leave_to_thread(b, min_complete);
	if (!b->poll || !min_complete)
		return enter_kernel(b, to_submit, min_complete);
	if (to_submit || lq_need_wakeup(&b->q.rq))
		err = enter_kernel(b, to_submit, 0);
	if (err || poll_cq(b, min_complete))
		return err;
	return enter_kernel(b, 0, min_complete);
}

static int post(struct bench_end *end, struct bench_qp *b, __u8 flags, __u64 user_data)
{
	struct qp_sqe *sqe = lq_sqe(&b->q, opcode[end->series->op], flags, user_data);

	if (!sqe)
		return -errno;
	if (bench_one_sided(end->series->op))
		lq_sqe_remote(sqe, b->remote.addr, b->remote.rkey);
	/* Both atomics count up by one */
	if (end->series->op == BENCH_ADD) {
		sqe->compare_add = 1;
	} else if (end->series->op == BENCH_CAS) {
		sqe->compare_add = b->atomics++;
		sqe->swap = b->atomics;
	}
	if (b->inline_len)
		lq_sqe_inline(sqe, end->buf, b->inline_len);
	else
		lq_sqe_sge(sqe, end->buf, end->size, b->mem.lkey);
	lq_submit(&b->q.sq);
	return 0;
}

/* Fills the receive queue; the kernel is told by the next enter() */
static void post_receives(struct bench_end *end, struct bench_qp *b)
{
	struct qp_rqe *rqe;

	while ((rqe = lq_rqe(&b->q, 0))) {
		lq_rqe_sge(rqe, end->buf, end->size, b->mem.lkey);
		lq_submit(&b->q.rq);
	}
}

/* Takes all completions: their number, and the user_data of the last */
static int reap(struct bench_qp *b, __u64 *last)
{
	struct qp_cqe *cqe;
	int n = 0;

	while ((cqe = lq_cq_peek(&b->q))) {
		if (cqe->status) {
			fprintf(stderr, "completion with status %u, opcode %u\n",
				cqe->status, cqe->opcode);
			return -EIO;
		}
		*last = cqe->user_data;
		lq_cq_release(&b->q);
		n++;
	}
	return n;
}

static int post_batch(struct bench_end *end, struct bench_qp *b, __u64 first, __u64 count)
{
	unsigned int i;
	__u64 nth;
	__u8 flags;
	int err;

	for (i = 0; i < end->series->batch; i++) {
		nth = first + i + 1;
		flags = nth % b->signal_every == 0 || nth == count ? QP_SQE_SIGNALED : 0;
		err = post(end, b, flags, nth);
		if (err)
			return err;
	}
	return 0;
}

static int send_qp(struct bench_end *end, __u64 count)
{
	unsigned int n, batch = end->series->batch;
	__u64 posted = 0, completed = 0;
	struct bench_qp *b = end->priv;
	bool wait;
	int err;

	while (completed < count) {
		n = posted < count ? batch : 0;
		err = n ? post_batch(end, b, posted, count) : 0;
		if (err)
			return err;
		posted += n;
		wait = posted == count || posted + batch - completed > b->depth;
		err = enter(b, n, wait);
		if (err)
			return err;
		err = reap(b, &completed);
		if (err < 0 || (wait && !err))
			return err ?: -EPIPE;
	}
	return 0;
}

static int receive_qp(struct bench_end *end, __u64 count)
{
	unsigned int batch = end->series->batch;
	struct bench_qp *b = end->priv;
	__u64 got = 0, unused;
	int n;

	while (got < count) {
		post_receives(end, b);
		n = enter(b, 0, count - got < batch ? count - got : batch) ?: reap(b, &unused);
		if (n <= 0)
			return n ?: -EPIPE;
		got += n;
	}
	return 0;
}

/* Posts @sends entries and waits for a completion, in one call */
static int next_completion(struct bench_qp *b, unsigned int sends)
{
	__u64 unused;
	int n;

	n = enter(b, sends, 1) ?: reap(b, &unused);
	if (n < 0)
		return n;
	return n == 1 ? 0 : -EPIPE;
}

static int ping_one_sided(struct bench_end *end, __u64 count)
{
	struct bench_qp *b = end->priv;
	int err = 0;

	while (!err && count--)
		err = post(end, b, QP_SQE_SIGNALED, 0) ?: next_completion(b, 1);
	return err;
}

static int ping_qp(struct bench_end *end, __u64 count)
{
	struct bench_qp *b = end->priv;
	int err = 0;

	if (bench_one_sided(end->series->op))
		return ping_one_sided(end, count);
	while (!err && count--) {
		post_receives(end, b);
		err = post(end, b, 0, 0) ?: next_completion(b, 1);
	}
	return err;
}

static int pong_qp(struct bench_end *end, __u64 count)
{
	struct bench_qp *b = end->priv;
	int err;

	post_receives(end, b);
	err = next_completion(b, 0);
	while (!err && count--) {
		post_receives(end, b);
		err = post(end, b, 0, 0) ?: count ? next_completion(b, 1) : enter(b, 1, 0);
	}
	return err;
}

static const struct bench_qp_proto proto_pipe = {
	.domain = AF_UNIX,
	.protocol = QP_PROTO_PIPE,
	.address = address_un,
};

const struct bench_transport bench_qp_pipe = {
	.name = "qp-pipe",
	.ops = BENCH_OP(SEND) | BENCH_OP(WRITE) | BENCH_OP(READ) | BENCH_OP(CAS) | BENCH_OP(ADD),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.proto = &proto_pipe,
	.open = open_qp,
	.send = send_qp,
	.receive = receive_qp,
	.ping = ping_qp,
	.pong = pong_qp,
};

/* Looks for completions itself for a while before it waits in the kernel */
const struct bench_transport bench_qp_pipe_poll = {
	.name = "qp-pipe-poll",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.proto = &proto_pipe,
	.open = open_polling,
	.send = send_qp,
	.receive = receive_qp,
	.ping = ping_qp,
	.pong = pong_qp,
};

/* A peer of the above: the same queue pair, entered through io_uring */
const struct bench_transport bench_qp_pipe_uring = {
	.name = "uring",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.proto = &proto_pipe,
	.open = open_uring,
	.send = send_qp,
	.receive = receive_qp,
	.ping = ping_qp,
	.pong = pong_qp,
};

/* On the network. The flags of iWARP's WRITEs say when TCP has taken them. */
static const struct bench_qp_proto proto_roce = {
	.domain = AF_INET,
	.protocol = QP_PROTO_ROCE,
	.address = address_net,
};

static const struct bench_qp_proto proto_iwarp = {
	.domain = AF_INET,
	.protocol = QP_PROTO_IWARP,
	.address = address_net,
};

const struct bench_transport bench_qp_roce = {
	.name = "roce",
	.ops = BENCH_OP(SEND) | BENCH_OP(WRITE) | BENCH_OP(READ) | BENCH_OP(CAS) | BENCH_OP(ADD),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.network = true,
	.proto = &proto_roce,
	.open = open_qp,
	.send = send_qp,
	.receive = receive_qp,
	.ping = ping_qp,
	.pong = pong_qp,
};

const struct bench_transport bench_qp_roce_poll = {
	.name = "roce-poll",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.network = true,
	.proto = &proto_roce,
	.open = open_polling,
	.send = send_qp,
	.receive = receive_qp,
	.ping = ping_qp,
	.pong = pong_qp,
};

/* What the passive end has no part in: its processor is the thread's */
const struct bench_transport bench_qp_roce_thread = {
	.name = "roce-sqpoll",
	.ops = BENCH_OP(WRITE) | BENCH_OP(READ),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.network = true,
	.proto = &proto_roce,
	.open = open_thread,
	.send = send_qp,
	.ping = ping_one_sided,
};

/* A SEND of iWARP must find a receive, which it does not wait for */
const struct bench_transport bench_qp_iwarp = {
	.name = "iwarp",
	.ops = BENCH_OP(WRITE) | BENCH_OP(READ),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.network = true,
	.proto = &proto_iwarp,
	.open = open_qp,
	.send = send_qp,
	.ping = ping_one_sided,
};
