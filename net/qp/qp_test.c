// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the parts that need no user process
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "qp_impl.h"

/* Rings */

static void qp_test_user_produce(struct qp_ring *ring, u32 tail)
{
	qp_ring_shared(ring)->tail = tail;
}

static void ring_layout(struct kunit *test)
{
	struct qp_ring_desc desc;
	struct qp_ring ring = {};

	KUNIT_ASSERT_EQ(test, qp_ring_alloc(&ring, 8, 64), 0);
	qp_ring_describe(&ring, QP_OFF_RQ, &desc);
	KUNIT_EXPECT_EQ(test, desc.off, QP_OFF_RQ);
	KUNIT_EXPECT_EQ(test, desc.entries, 8);
	KUNIT_EXPECT_EQ(test, desc.entry_size, 64);
	KUNIT_EXPECT_EQ(test, desc.len % PAGE_SIZE, 0);
	KUNIT_EXPECT_GE(test, desc.len, desc.first + 8 * 64);
	KUNIT_EXPECT_NE(test, desc.head, desc.tail);
	KUNIT_EXPECT_PTR_EQ(test, qp_ring_entry(&ring, 0),
			    ring.mem + desc.first);
	KUNIT_EXPECT_PTR_EQ(test, qp_ring_entry(&ring, 7),
			    ring.mem + desc.first + 7 * 64);
	KUNIT_EXPECT_PTR_EQ(test, qp_ring_entry(&ring, 8),
			    ring.mem + desc.first);
	qp_ring_free(&ring);
	qp_ring_describe(&ring, QP_OFF_RQ, &desc);
	KUNIT_EXPECT_EQ(test, desc.len, 0);
}

static void ring_pending(struct kunit *test)
{
	static const u32 heads[] = { 0, 5, 0xfffffffc, 0xffffffff };
	struct qp_ring ring = {};
	u32 pending;
	int i;

	KUNIT_EXPECT_EQ(test, qp_ring_pending(&ring, 0, &pending), 0);
	KUNIT_EXPECT_EQ(test, pending, 0);
	KUNIT_ASSERT_EQ(test, qp_ring_alloc(&ring, 8, 64), 0);
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		u32 head = heads[i];

		qp_test_user_produce(&ring, head);
		KUNIT_EXPECT_EQ(test, qp_ring_pending(&ring, head, &pending), 0);
		KUNIT_EXPECT_EQ(test, pending, 0);
		qp_test_user_produce(&ring, head + 8);
		KUNIT_EXPECT_EQ(test, qp_ring_pending(&ring, head, &pending), 0);
		KUNIT_EXPECT_EQ(test, pending, 8);
		/* One more than there is room for, and one less than none */
		qp_test_user_produce(&ring, head + 9);
		KUNIT_EXPECT_EQ(test, qp_ring_pending(&ring, head, &pending),
				-EOVERFLOW);
		KUNIT_EXPECT_EQ(test, pending, 0);
		qp_test_user_produce(&ring, head - 1);
		KUNIT_EXPECT_EQ(test, qp_ring_pending(&ring, head, &pending),
				-EOVERFLOW);
	}
	qp_ring_free(&ring);
}

static void ring_used(struct kunit *test)
{
	struct qp_ring ring = {};

	KUNIT_ASSERT_EQ(test, qp_ring_alloc(&ring, 4, 32), 0);
	KUNIT_EXPECT_EQ(test, qp_ring_used(&ring, 0), 0);
	KUNIT_EXPECT_EQ(test, qp_ring_used(&ring, 3), 3);
	qp_ring_shared(&ring)->head = 0xfffffffe;
	KUNIT_EXPECT_EQ(test, qp_ring_used(&ring, 1), 3);
	/* A consumer that claims more than was produced has a full ring */
	qp_ring_shared(&ring)->head = 2;
	KUNIT_EXPECT_EQ(test, qp_ring_used(&ring, 1), 4);
	qp_ring_free(&ring);
}

/* Completion queues */

static void cq_never_overflows(struct kunit *test)
{
	struct qp_cq *cq = qp_cq_create(4, sizeof(struct qp_cqe));
	struct qp_cqe cqe = {};
	u32 round, i, seen = 0;

	KUNIT_ASSERT_FALSE(test, IS_ERR(cq));
	/* Also across the wrap of the index */
	cq->tail = 0xfffffffd;
	qp_ring_shared(&cq->ring)->head = cq->tail;
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_TRUE(test, qp_cq_reserve(cq));
		KUNIT_EXPECT_FALSE(test, qp_cq_reserve(cq));
		qp_cq_unreserve(cq);
		KUNIT_EXPECT_TRUE(test, qp_cq_reserve(cq));
		for (i = 0; i < 4; i++) {
			cqe.user_data = round * 4 + i;
			qp_cq_post(cq, &cqe, NULL);
			KUNIT_EXPECT_EQ(test, qp_cq_ready(cq), i + 1);
			KUNIT_EXPECT_FALSE(test, qp_cq_reserve(cq));
		}
		for (i = 0; i < 4; i++) {
			u32 head = qp_ring_shared(&cq->ring)->head;
			struct qp_cqe *e = qp_ring_entry(&cq->ring, head);

			KUNIT_EXPECT_EQ(test, e->user_data, seen++);
			qp_ring_shared(&cq->ring)->head = head + 1;
			KUNIT_EXPECT_TRUE(test, qp_cq_room(cq));
		}
	}
	KUNIT_EXPECT_EQ(test, cq->reserved, 0);
	qp_cq_put(cq);
}

/* Opcodes */

static void opcode_table(struct kunit *test)
{
	int i;

	for (i = 0; i < QP_OP_LAST; i++) {
		const struct qp_opinfo *op = &qp_opinfo[i];

		KUNIT_ASSERT_NOT_NULL(test, op->name);
		KUNIT_EXPECT_EQ_MSG(test, !!(op->flags & QP_OPF_REMOTE),
				    !!op->access, "%s", op->name);
		/* Nothing is written into what is only read */
		KUNIT_EXPECT_FALSE(test, (op->flags & QP_OPF_SINK) &&
				   (op->flags & QP_OPF_INLINE));
		KUNIT_EXPECT_FALSE(test, (op->flags & QP_OPF_IMM) &&
				   (op->flags & QP_OPF_INV));
		if (op->flags & QP_OPF_PAYLOAD)
			KUNIT_EXPECT_EQ(test, op->recv, QP_OP_RECV);
		if (op->flags & QP_OPF_SWAP)
			KUNIT_EXPECT_TRUE(test, op->flags & QP_OPF_ATOMIC);
	}
}

struct sqe_case {
	const char *name;
	struct qp_sqe sqe;
	int want;
	u32 type;	/* 0: connected */
};

static const struct sqe_case sqe_cases[] = {
	{ "send", { .opcode = QP_OP_SEND, .num_sge = 4 }, 0 },
	{ "send of nothing", { .opcode = QP_OP_SEND }, 0 },
	{ "unknown opcode", { .opcode = QP_OP_LAST }, -EOPNOTSUPP },
	{ "receive opcode", { .opcode = QP_OP_RECV }, -EOPNOTSUPP },
	{ "opcode that the protocol lacks",
	  { .opcode = QP_OP_LOCAL_INV }, -EOPNOTSUPP },
	{ "too many entries", { .opcode = QP_OP_SEND, .num_sge = 5 }, -EINVAL },
	{ "unknown flag", { .opcode = QP_OP_SEND, .flags = 0x80 }, -EINVAL },
	{ "inline", { .opcode = QP_OP_SEND, .flags = QP_SQE_INLINE,
	  .inline_len = 64 }, 0 },
	{ "inline too long", { .opcode = QP_OP_SEND, .flags = QP_SQE_INLINE,
	  .inline_len = 65 }, -EINVAL },
	{ "inline with a list", { .opcode = QP_OP_SEND, .num_sge = 1,
	  .flags = QP_SQE_INLINE }, -EINVAL },
	{ "inline length without inline", { .opcode = QP_OP_SEND,
	  .inline_len = 1 }, -EINVAL },
	{ "inline read", { .opcode = QP_OP_READ, .flags = QP_SQE_INLINE },
	  -EINVAL },
	{ "solicited write", { .opcode = QP_OP_WRITE,
	  .flags = QP_SQE_SOLICITED }, -EINVAL },
	{ "immediate of a plain send", { .opcode = QP_OP_SEND,
	  .imm_data = 1 }, -EINVAL },
	{ "immediate", { .opcode = QP_OP_SEND_IMM, .imm_data = 1 }, 0 },
	{ "remote address of a send", { .opcode = QP_OP_SEND,
	  .remote_addr = 1 }, -EINVAL },
	{ "key of a send", { .opcode = QP_OP_SEND, .rkey = 1 }, -EINVAL },
	{ "destination of a datagram", { .opcode = QP_OP_SEND, .ah = 1 }, 0,
	  QP_UD },
	{ "remote address of a datagram", { .opcode = QP_OP_SEND, .ah = 1,
	  .remote_addr = 1 }, -EINVAL, QP_UD },
	{ "destination of a local operation", { .opcode = QP_OP_SEND_INV,
	  .ah = 1 }, -EINVAL },
	{ "write", { .opcode = QP_OP_WRITE, .rkey = 1, .remote_addr = 1 }, 0 },
	{ "operand of a read", { .opcode = QP_OP_READ, .compare_add = 1 },
	  -EINVAL },
	{ "second operand of an add", { .opcode = QP_OP_ATOMIC_ADD,
	  .swap = 1 }, -EINVAL },
	{ "swap", { .opcode = QP_OP_ATOMIC_CAS, .compare_add = 1, .swap = 1,
	  .num_sge = 1 }, 0 },
};

static void sqe_check(struct kunit *test)
{
	u32 opcodes = (BIT(QP_OP_LAST) - 1) & ~BIT(QP_OP_LOCAL_INV);
	int i;

	for (i = 0; i < ARRAY_SIZE(sqe_cases); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    qp_sqe_check(&sqe_cases[i].sqe,
						 sqe_cases[i].type, opcodes, 4,
						 64),
				    sqe_cases[i].want, "%s", sqe_cases[i].name);
}

static void sqe_length(struct kunit *test)
{
	struct qp_sqe *sqe;
	u32 length = 0;
	int i;

	sqe = kunit_kzalloc(test, struct_size(sqe, sge, QP_MAX_SGE),
			    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sqe);
	sqe->opcode = QP_OP_WRITE;
	sqe->num_sge = 2;
	sqe->sge[0].length = QP_MAX_MSG - 1;
	sqe->sge[1].length = 1;
	KUNIT_EXPECT_EQ(test, qp_sqe_length(sqe, &length), 0);
	KUNIT_EXPECT_EQ(test, length, QP_MAX_MSG);
	sqe->sge[1].length = 2;
	KUNIT_EXPECT_EQ(test, qp_sqe_length(sqe, &length), -EINVAL);

	/* A sum that wraps in 32 bits */
	sqe->num_sge = QP_MAX_SGE;
	for (i = 0; i < QP_MAX_SGE; i++)
		sqe->sge[i].length = 0x10000000;
	KUNIT_EXPECT_EQ(test, qp_sqe_length(sqe, &length), -EINVAL);

	sqe->opcode = QP_OP_ATOMIC_ADD;
	sqe->num_sge = 1;
	sqe->sge[0].length = 8;
	KUNIT_EXPECT_EQ(test, qp_sqe_length(sqe, &length), 0);
	sqe->sge[0].length = 4;
	KUNIT_EXPECT_EQ(test, qp_sqe_length(sqe, &length), -EINVAL);
}

/* Descriptions */

struct desc_case {
	const char *name;
	struct qp_desc desc;
	unsigned int flags;
	int want;
};

static const struct desc_case desc_cases[] = {
	{ "least", { .type = QP_RC }, 0, 0 },
	{ "no type", { }, 0, -EINVAL },
	{ "unknown type", { .type = QP_UD + 1 }, 0, -EINVAL },
	{ "unknown flag", { .type = QP_RC }, 1U << 31, -EINVAL },
	{ "largest rings", { .type = QP_RC, .sq_entries = QP_MAX_ENTRIES,
	  .rq_entries = QP_MAX_ENTRIES }, 0, 0 },
	{ "SQ too large", { .type = QP_RC, .sq_entries = QP_MAX_ENTRIES + 1 },
	  0, -EINVAL },
	{ "RQ too large", { .type = QP_RC, .rq_entries = U32_MAX }, 0,
	  -EINVAL },
	{ "CQ too large", { .type = QP_RC, .cq_entries = U32_MAX }, 0,
	  -EINVAL },
	{ "list too long", { .type = QP_RC, .max_sge = QP_MAX_SGE + 1 }, 0,
	  -EINVAL },
	{ "inline too long", { .type = QP_RC, .max_inline = QP_MAX_INLINE + 1 },
	  0, -EINVAL },
	{ "backlog without listening", { .type = QP_RC, .backlog = 1 }, 0,
	  -EINVAL },
	{ "listener without address", { .type = QP_RC }, QP_LISTEN, -EINVAL },
	{ "listener", { .type = QP_RC, .addr = 1, .addrlen = 1 }, QP_LISTEN,
	  0 },
	{ "listener with a queue", { .type = QP_RC, .addr = 1, .addrlen = 1,
	  .sq_entries = 1 }, QP_LISTEN, -EINVAL },
	{ "address without length", { .type = QP_RC, .addr = 1 }, 0, -EINVAL },
	{ "shared CQ with a size", { .type = QP_RC, .cq_entries = 1 },
	  QP_SHARE_CQ, -EINVAL },
};

static void desc_check(struct kunit *test)
{
	struct qp_desc desc;
	int i;

	for (i = 0; i < ARRAY_SIZE(desc_cases); i++) {
		desc = desc_cases[i].desc;
		KUNIT_EXPECT_EQ_MSG(test,
				    qp_desc_check(&desc, desc_cases[i].flags),
				    desc_cases[i].want, "%s",
				    desc_cases[i].name);
	}
	desc = (struct qp_desc){ .type = QP_RC, .sq_entries = 5,
				 .rq_entries = 9 };
	KUNIT_ASSERT_EQ(test, qp_desc_check(&desc, 0), 0);
	KUNIT_EXPECT_EQ(test, desc.sq_entries, 8);
	KUNIT_EXPECT_EQ(test, desc.rq_entries, 16);
	KUNIT_EXPECT_EQ(test, desc.cq_entries, 32);
	KUNIT_EXPECT_EQ(test, desc.max_sge, 1);
}

/* Memory tables */

static void mem_check(struct kunit *test)
{
	struct qp_mem mem = { .addr = PAGE_SIZE, .length = 1 };

	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), 0);
	mem.length = 0;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
	mem.length = U64_MAX;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EOVERFLOW);
	mem.length = ULONG_MAX - PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EOVERFLOW);
	mem.length = 1;
	mem.access = QP_ACCESS_REMOTE_WRITE;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
	mem.access |= QP_ACCESS_LOCAL_WRITE;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), 0);
	mem.access = QP_ACCESS_REMOTE_ATOMIC;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
	mem.access = 1U << 31;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
	mem.access = 0;
	mem.fd = 1;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
	mem.access = QP_ACCESS_DMABUF;
	mem.addr = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), 0);
	mem.fd = -1;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EBADF);
	mem.addr = PAGE_SIZE + 1;
	KUNIT_EXPECT_EQ(test, qp_mem_check(&mem), -EINVAL);
}

/* A registration as qp_mem_reg() makes it, but of no pages */
static struct qp_mr *qp_test_mr(struct kunit *test, struct qp_mtable *table,
				u64 base, u64 length, u32 access)
{
	struct qp_mr *mr = kzalloc_obj(*mr);

	KUNIT_ASSERT_NOT_NULL(test, mr);
	refcount_set(&mr->ref, 1);
	mr->table = table;
	mr->base = base;
	mr->length = length;
	mr->offset = offset_in_page(base);
	mr->access = access;
	atomic_inc(&table->nr);
	atomic_inc(&qp_pernet(table->net)->nr_mrs);
	refcount_inc(&table->ref);
	atomic64_add(length, &table->bytes);
	KUNIT_ASSERT_EQ(test, qp_mr_insert(table, mr), 0);
	return mr;
}

static void mem_lookup(struct kunit *test)
{
	const u32 access = QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_READ;
	struct qp_mtable *table = qp_mtable_create(&init_net, NULL);
	struct qp_mr *mr, *got;
	u64 offset;
	u32 key;
	int i;

	static const struct {
		u64 addr, len;
		u32 access;
		int want;
	} cases[] = {
		{ 0x1100, 1, 0, 0 },
		{ 0x1100, 0x200, QP_ACCESS_LOCAL_WRITE, 0 },
		{ 0x12ff, 1, QP_ACCESS_REMOTE_READ, 0 },
		{ 0x10ff, 1, 0, -ERANGE },
		{ 0x10ff, 0x201, 0, -ERANGE },
		{ 0x1300, 1, 0, -ERANGE },
		{ 0x1100, 0x201, 0, -ERANGE },
		{ 0x1101, 0x200, 0, -ERANGE },
		{ 0x1101, U64_MAX, 0, -ERANGE },
		{ U64_MAX, 1, 0, -ERANGE },
		{ 0x1100, 1, QP_ACCESS_REMOTE_WRITE, -EACCES },
		{ 0x1100, 1, QP_ACCESS_REMOTE_READ | QP_ACCESS_REMOTE_ATOMIC,
		  -EACCES },
	};

	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	mr = qp_test_mr(test, table, 0x1100, 0x200, access);
	key = mr->key;
	KUNIT_EXPECT_NE(test, key, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		got = qp_mr_get(table, key, cases[i].addr, cases[i].len,
				cases[i].access, &offset);
		KUNIT_EXPECT_EQ_MSG(test, PTR_ERR_OR_ZERO(got), cases[i].want,
				    "case %d", i);
		if (!IS_ERR(got)) {
			KUNIT_EXPECT_PTR_EQ(test, got, mr);
			KUNIT_EXPECT_EQ(test, offset,
					cases[i].addr - PAGE_SIZE);
			qp_mr_put(got);
		}
	}
	got = qp_mr_get(table, key + 1, 0x1100, 1, 0, &offset);
	KUNIT_EXPECT_EQ(test, PTR_ERR(got), -ENOENT);
	KUNIT_EXPECT_EQ(test, qp_mr_invalidate(table, key + 1,
					       false), -ENOENT);
	KUNIT_EXPECT_EQ(test, qp_mr_invalidate(table, key, false), 0);
	KUNIT_EXPECT_EQ(test, qp_mr_invalidate(table, key, false), -ENOENT);
	got = qp_mr_get(table, key, 0x1100, 1, 0, &offset);
	KUNIT_EXPECT_EQ(test, PTR_ERR(got), -ENOENT);
	KUNIT_EXPECT_EQ(test, atomic_read(&table->nr), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&table->bytes), 0);
	qp_mtable_put(table);
}

struct mem_invalidate_arg {
	struct qp_mtable *table;
	u32 key;
	int result;
	struct completion done;
};

static int mem_invalidate_thread(void *data)
{
	struct mem_invalidate_arg *arg = data;

	arg->result = qp_mr_invalidate(arg->table, arg->key, true);
	complete(&arg->done);
	return 0;
}

static void mem_invalidate(struct kunit *test)
{
	struct qp_mtable *table = qp_mtable_create(&init_net, NULL);
	struct mem_invalidate_arg arg = { .table = table };
	struct qp_mr *local, *remote, *got;
	u32 local_key, remote_key;
	struct task_struct *thread;
	u64 offset;

	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	local = qp_test_mr(test, table, 0, 64, QP_ACCESS_LOCAL_WRITE);
	remote = qp_test_mr(test, table, 0, 64, QP_ACCESS_REMOTE_READ);
	local_key = local->key;
	remote_key = remote->key;
	arg.key = remote_key;
	init_completion(&arg.done);

	/* A peer can invalidate only what it may access */
	KUNIT_EXPECT_EQ(test, qp_mr_invalidate(table, local_key, true),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, qp_mr_invalidate(table, local_key, false), 0);

	/* An access in progress keeps the memory, but has to end */
	got = qp_mr_get(table, remote_key, 0, 64, 0, &offset);
	KUNIT_ASSERT_PTR_EQ(test, got, remote);
	KUNIT_EXPECT_FALSE(test, qp_mr_dead(got));
	thread = kthread_run(mem_invalidate_thread, &arg, "qp_test");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	while (!qp_mr_dead(got))
		cond_resched();
	KUNIT_EXPECT_FALSE(test, completion_done(&arg.done));
	KUNIT_EXPECT_EQ(test, atomic_read(&table->nr), 1);
	qp_mr_put(got);
	wait_for_completion(&arg.done);
	KUNIT_EXPECT_EQ(test, arg.result, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&table->nr), 0);
	qp_mtable_put(table);
}

/* Registrations that are left end with the table */
static void mem_table_end(struct kunit *test)
{
	struct qp_mtable *table = qp_mtable_create(&init_net, NULL);
	int before = atomic_read(&qp_pernet(&init_net)->nr_mrs);
	int i;

	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	for (i = 0; i < 1000; i++)
		qp_test_mr(test, table, 0, 64, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&table->nr), 1000);
	qp_mtable_put(table);
	KUNIT_EXPECT_EQ(test, atomic_read(&qp_pernet(&init_net)->nr_mrs),
			before);
}

/* Copying */

static void copy_cursors(struct kunit *test)
{
	char from[64], to[64] = {};
	struct qp_cursor src, dst;
	int i;

	for (i = 0; i < 64; i++)
		from[i] = i;
	qp_cursor_data(&src, from, 3);
	qp_cursor_data(&dst, to, 5);
	qp_copy(&dst, &src, 7);
	qp_copy(&dst, &src, 20);
	for (i = 0; i < 64; i++)
		KUNIT_EXPECT_EQ(test, to[i], i >= 5 && i < 32 ? i - 2 : 0);
	KUNIT_EXPECT_EQ(test, src.pos, 30);
	KUNIT_EXPECT_EQ(test, dst.pos, 32);
}

static void copy_atomic(struct kunit *test)
{
	struct qp_wr wr = { .op = &qp_opinfo[QP_OP_ATOMIC_ADD] };
	struct qp_cursor target;
	u64 value = 5;

	qp_cursor_data(&target, &value, 0);
	wr.sqe.compare_add = U64_MAX;
	KUNIT_EXPECT_EQ(test, qp_atomic(&target, &wr), 5);
	KUNIT_EXPECT_EQ(test, value, 4);
	wr.op = &qp_opinfo[QP_OP_ATOMIC_CAS];
	wr.sqe.compare_add = 3;
	wr.sqe.swap = 9;
	KUNIT_EXPECT_EQ(test, qp_atomic(&target, &wr), 4);
	KUNIT_EXPECT_EQ(test, value, 4);
	wr.sqe.compare_add = 4;
	KUNIT_EXPECT_EQ(test, qp_atomic(&target, &wr), 4);
	KUNIT_EXPECT_EQ(test, value, 9);
}

static struct kunit_case qp_test_cases[] = {
	KUNIT_CASE(ring_layout),
	KUNIT_CASE(ring_pending),
	KUNIT_CASE(ring_used),
	KUNIT_CASE(cq_never_overflows),
	KUNIT_CASE(opcode_table),
	KUNIT_CASE(sqe_check),
	KUNIT_CASE(sqe_length),
	KUNIT_CASE(desc_check),
	KUNIT_CASE(mem_check),
	KUNIT_CASE(mem_lookup),
	KUNIT_CASE(mem_invalidate),
	KUNIT_CASE(mem_table_end),
	KUNIT_CASE(copy_cursors),
	KUNIT_CASE(copy_atomic),
	{}
};

static struct kunit_suite qp_test_suite = {
	.name = "qp",
	.test_cases = qp_test_cases,
};

kunit_test_suite(qp_test_suite);

MODULE_DESCRIPTION("KUnit tests for queue pairs");
MODULE_LICENSE("GPL");
