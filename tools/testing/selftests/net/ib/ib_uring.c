// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "ib_test.h"
#include "ib_uring.h"

static void *map(int fd, size_t len, off_t offset)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

int ur_open(struct uring *u)
{
	struct io_uring_params p = {};
	char *ring;

	u->fd = syscall(__NR_io_uring_setup, 8, &p);
	if (u->fd < 0)
		return -1;
	ring = map(u->fd, p.cq_off.cqes + p.cq_entries * sizeof(*u->cqes),
		   IORING_OFF_SQ_RING);
	u->sqe = map(u->fd, p.sq_entries * sizeof(*u->sqe), IORING_OFF_SQES);
	if (ring == MAP_FAILED || u->sqe == MAP_FAILED)
		return -1;
	u->sq_tail = (void *)(ring + p.sq_off.tail);
	u->sq_array = (void *)(ring + p.sq_off.array);
	u->cq_head = (void *)(ring + p.cq_off.head);
	u->cq_tail = (void *)(ring + p.cq_off.tail);
	u->cqes = (void *)(ring + p.cq_off.cqes);
	u->sq_mask = p.sq_entries - 1;
	u->cq_mask = p.cq_entries - 1;
	return 0;
}

int ur_submit(struct uring *u, const struct io_uring_sqe *sqe)
{
	__u32 slot = *u->sq_tail & u->sq_mask;

	u->sqe[slot] = *sqe;
	u->sq_array[slot] = slot;
	lq_store(u->sq_tail, *u->sq_tail + 1);
	return syscall(__NR_io_uring_enter, u->fd, 1, 0, 0, NULL, 0);
}

int ur_start(struct uring *u, __u8 op, int fd, void *p, __u32 len)
{
	struct io_uring_sqe sqe = {
		.opcode = op, .fd = fd, .addr = (unsigned long)p, .len = len,
	};

	return ur_submit(u, &sqe);
}

int ur_result(struct uring *u)
{
	struct __kernel_timespec ts = { .tv_sec = IB_WAIT_MS / 1000 };
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&ts };
	int res;

	syscall(__NR_io_uring_enter, u->fd, 0, 1, IORING_ENTER_GETEVENTS |
		IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	if (lq_load(u->cq_tail) == *u->cq_head)
		return -ETIME;
	res = u->cqes[*u->cq_head & u->cq_mask].res;
	lq_store(u->cq_head, *u->cq_head + 1);
	return res;
}
