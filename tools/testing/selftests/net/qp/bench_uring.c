// SPDX-License-Identifier: GPL-2.0
/* qp_enter() as a command of io_uring: one entry, one io_uring_enter() a call */
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/qp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define ENTRIES	4

struct bench_uring {
	int fd;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	unsigned int *sq_tail;
	unsigned int *sq_index;
	unsigned int *cq_head;
	unsigned int *cq_tail;
	unsigned int mask;
	unsigned int cq_mask;
};

static void *map(int fd, size_t len, off_t offset)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

struct bench_uring *bench_uring_open(void)
{
	struct bench_uring *r = calloc(1, sizeof(*r));
	struct io_uring_params p = { 0 };
	char *ring;

	if (!r)
		return NULL;
	r->fd = syscall(__NR_io_uring_setup, ENTRIES, &p);
	if (r->fd < 0)
		return NULL;
	if (!(p.features & IORING_FEAT_SINGLE_MMAP)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	ring = map(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqe), IORING_OFF_SQ_RING);
	r->sqe = map(r->fd, p.sq_entries * sizeof(*r->sqe), IORING_OFF_SQES);
	if (!ring || !r->sqe)
		return NULL;
	r->sq_tail = (unsigned int *)(ring + p.sq_off.tail);
	r->sq_index = (unsigned int *)(ring + p.sq_off.array);
	r->cq_head = (unsigned int *)(ring + p.cq_off.head);
	r->cq_tail = (unsigned int *)(ring + p.cq_off.tail);
	r->cqe = (struct io_uring_cqe *)(ring + p.cq_off.cqes);
	r->mask = p.sq_entries - 1;
	r->cq_mask = p.cq_entries - 1;
	return r;
}

/* As qp_enter() without a timeout: -1 with errno, or the number accepted */
int bench_uring_enter(struct bench_uring *ring, int fd, unsigned int to_submit,
		      unsigned int min_complete)
{
	unsigned int tail = *ring->sq_tail, head = *ring->cq_head, slot = tail & ring->mask;
	int result;

	ring->sqe[slot] = (struct io_uring_sqe) {
		.opcode = IORING_OP_URING_CMD,
		.fd = fd,
		.cmd_op = QP_URING_OP_ENTER,
		.addr3 = (__u64)min_complete << 32 | to_submit,
	};
	ring->sq_index[slot] = slot;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	if (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head) {
		errno = EAGAIN;
		return -1;
	}
	result = ring->cqe[head & ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}
