// SPDX-License-Identifier: GPL-2.0
/*
 * Two processes move a gigabyte (QP_MIB changes it; on a network 128 MiB) by each
 * operation that carries data; the checksum of what arrived must be that of what
 * was sent.
 *
 * Both ends have a window of chunks. The sender produces chunk i in place
 * i % WINDOW, and sends it, writes it, or says that it can be read; the
 * receiver gives a credit, an empty message, for each chunk that it checked.
 *
 * No message is sent before there is a receive for it, as iWARP wants it: the
 * client has receives before it connects, the server speaks first.
 */
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define CHUNK	(1024 * 1024U)
#define WINDOW	8

struct end {
	struct lq q;
	struct qt_buf window;	/* and behind it two struct qp_mem: */
	struct qp_mem *mine;	/* what the peer is told of it, */
	struct qp_mem *peer;	/* and of the peer's */
	__u8 op;		/* that moves the data */
	__u32 seen[256];	/* completions by opcode, not yet awaited */
	__u32 posted;		/* receives */
	__u64 sum;
};

FIXTURE(bulk)
{
	struct listener l;
	__u32 chunks;
	__u64 *sent_sum;
};

FIXTURE_VARIANT(bulk)
{
	const struct backend *be;
	__u8 op;
};

#define BULK_VARIANT(name, how, ...)					\
	FIXTURE_VARIANT_ADD(bulk, name##_##how) { &be_##name, __VA_ARGS__ };

QT_FAMILY(BULK_VARIANT, send, QP_OP_SEND)
#ifndef QP_SIW
QT_FAMILY(BULK_VARIANT, write, QP_OP_WRITE_IMM)
#else
/* iWARP has no immediate data: a message says that a chunk was written */
QT_FAMILY(BULK_VARIANT, write, QP_OP_WRITE)
#endif
QT_FAMILY(BULK_VARIANT, read, QP_OP_READ)

static __u32 default_mib(const struct backend *be)
{
	if (be->flags & F_LOCAL)
		return qt_debug_kernel() ? 128 : 1024;
	return qt_debug_kernel() ? 16 : 128;
}

FIXTURE_SETUP(bulk)
{
	self->chunks = qt_env("QP_MIB", default_mib(variant->be));
	self->sent_sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->sent_sum);
	ASSERT_EQ(0, qt_listen(variant->be, &self->l, 0, 1));
}

FIXTURE_TEARDOWN(bulk)
{
	qt_unlisten(&self->l);
}

static unsigned char *place(const struct end *e, __u32 i)
{
	return e->window.p + i % WINDOW * CHUNK;
}

/* A gigabyte that does not repeat, and its checksum */
static void produce(void *chunk, __u64 *state)
{
	__u64 *p = chunk;

	for (size_t i = 0; i < CHUNK / sizeof(*p); i++)
		p[i] = qt_random(state);
}

static void checksum(const void *chunk, __u64 *sum)
{
	const __u64 *p = chunk;

	for (size_t i = 0; i < CHUNK / sizeof(*p); i++)
		*sum = (*sum ^ p[i]) * 0x100000001b3ULL;
}

/* A receive for the next chunk if it is sent, else for a word about it */
static int post_receive(struct end *e)
{
	__u32 i = e->posted++;

	return lq_post_recv(&e->q, i, e->op == QP_OP_SEND ? place(e, i) : NULL,
			    CHUNK, e->window.mem.lkey);
}

/* The next completion with this opcode; others are remembered */
static int await(struct end *e, __u8 opcode)
{
	struct qp_cqe c;

	while (!e->seen[opcode]) {
		if (lq_wait(&e->q, &c, LONG_MS) || c.status)
			return -1;
		e->seen[c.opcode]++;
	}
	e->seen[opcode]--;
	return 0;
}

static int say(struct end *e)
{
	return POST(&e->q, .op = QP_OP_SEND);
}

/* Before there is a connection, for all that comes */
static int prepare(struct end *e)
{
	if (qt_buf(&e->window, e->q.fd, WINDOW * CHUNK + 4096, LQ_ACCESS_ALL))
		return -1;
	e->mine = (void *)(e->window.p + WINDOW * CHUNK);
	e->peer = e->mine + 1;
	if (lq_post_recv(&e->q, 0, e->peer, sizeof(*e->peer),
			 e->window.mem.lkey))
		return -1;
	for (int i = 0; i < WINDOW; i++)
		if (post_receive(e))
			return -1;
	return 0;
}

static int tell(struct end *e)
{
	*e->mine = e->window.mem;
	e->mine->rkey = qt_rkey(e->q.fd, e->window.mem.lkey);
	return POST(&e->q, .op = QP_OP_SEND, .p = e->mine,
		    .len = sizeof(*e->mine), .lkey = e->window.mem.lkey);
}

/* Tell each other where the windows are; who accepted begins */
static int begin(struct end *e, bool first)
{
	if (first)
		return tell(e) || await(e, QP_OP_RECV);
	return await(e, QP_OP_RECV) || tell(e);
}

static int move_out(struct end *e, __u32 i)
{
	__u64 there = e->peer->addr + i % WINDOW * CHUNK;
	int err;

	if (e->op == QP_OP_SEND)
		return POST(&e->q, .op = QP_OP_SEND, .p = place(e, i),
			    .len = CHUNK, .lkey = e->window.mem.lkey);
	if (e->op == QP_OP_READ)
		return say(e);
	err = POST(&e->q, .op = e->op, .p = place(e, i), .len = CHUNK,
		   .lkey = e->window.mem.lkey, .raddr = there,
		   .rkey = e->peer->rkey);
	if (err)
		return -1;
	return e->op == QP_OP_WRITE ? say(e) : 0;
}

static int move_in(struct end *e, __u32 i)
{
	__u64 there = e->peer->addr + i % WINDOW * CHUNK;
	int err;

	if (await(e, e->op == QP_OP_WRITE_IMM ? QP_OP_RECV_WRITE_IMM :
						QP_OP_RECV))
		return -1;
	if (e->op != QP_OP_READ)
		return 0;
	err = POST(&e->q, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
		   .p = place(e, i), .len = CHUNK, .lkey = e->window.mem.lkey,
		   .raddr = there, .rkey = e->peer->rkey);
	return err ?: await(e, QP_OP_READ);
}

/* Both return where they failed, as an exit status */

static int sender(struct end *e, __u32 chunks)
{
	__u64 state = 1;

	if (begin(e, false))
		return 1;
	for (__u32 i = 0; i < chunks + WINDOW; i++) {
		if (i >= WINDOW && (await(e, QP_OP_RECV) || post_receive(e)))
			return 2;
		if (i >= chunks)
			continue;
		produce(place(e, i), &state);
		checksum(place(e, i), &e->sum);
		if (move_out(e, i))
			return 3;
	}
	return 0;
}

static int receiver(struct end *e, __u32 chunks)
{
	if (prepare(e) || begin(e, true))
		return 1;
	for (__u32 i = 0; i < chunks; i++) {
		if (move_in(e, i))
			return 2;
		checksum(place(e, i), &e->sum);
		if (post_receive(e) || say(e))
			return 3;
	}
	/* the sender leaves when it has the last credit */
	return qt_poll(e->q.fd, POLLRDHUP, LONG_MS) & POLLRDHUP ? 0 : 4;
}

TEST_F_TIMEOUT(bulk, move, 600)
{
	struct qp_desc d = lq_desc(4 * WINDOW, 4 * WINDOW, 0);
	struct end e = { .op = variant->op };
	__u64 t0 = qt_now_ms();
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int ret = 9;

		if (!qt_open(variant->be, &e.q, 0, &d) && !prepare(&e) &&
		    !lq_sys_connect(e.q.fd, &self->l.addr, self->l.len))
			ret = sender(&e, self->chunks);
		*self->sent_sum = e.sum;
		_exit(ret);
	}
	ASSERT_EQ(0, lq_accept(&e.q, self->l.q.fd, &d));
	EXPECT_EQ(0, receiver(&e, self->chunks));
	EXPECT_EQ(0, qt_reap(pid));
	EXPECT_EQ(*self->sent_sum, e.sum);
	TH_LOG("%u MiB in %llu ms", self->chunks, qt_now_ms() - t0);
	lq_close(&e.q);
	qt_unbuf(&e.window);
}

TEST_HARNESS_MAIN
