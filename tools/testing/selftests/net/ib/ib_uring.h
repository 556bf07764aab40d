/* SPDX-License-Identifier: GPL-2.0 */
/* io_uring, as much as the tests need: a request at a time */
#ifndef IB_URING_H
#define IB_URING_H

#include <linux/io_uring.h>
#include <linux/types.h>

struct uring {
	int fd;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqes;
	__u32 *sq_tail, *sq_array, *cq_head, *cq_tail;
	__u32 sq_mask, cq_mask;
};

int ur_open(struct uring *u);

/* Submit one; 1, or -1. A request of the fields that most have, or any. */
int ur_start(struct uring *u, __u8 op, int fd, void *p, __u32 len);
int ur_submit(struct uring *u, const struct io_uring_sqe *sqe);

/* The next result; -ETIME if there is none for too long */
int ur_result(struct uring *u);

#endif /* IB_URING_H */
