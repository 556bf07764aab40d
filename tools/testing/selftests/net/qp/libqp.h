/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thin layer over the queue pair system calls, for tests and benchmarks.
 *
 * Every function that can fail returns -1 (or NULL) and sets errno, as the
 * system call below it does.
 */
#ifndef LIBQP_H
#define LIBQP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/time_types.h>
#include <linux/ib.h>
#include <linux/qp.h>

#ifndef AF_QP
#define AF_QP	46
#define PF_QP	AF_QP
#endif

#ifndef SOL_QP
#define SOL_QP	288
#endif

#ifndef __NR_queue_pair
#define __NR_queue_pair		472
#define __NR_qp_connect		473
#define __NR_qp_accept		474
#define __NR_setqpopt		475
#define __NR_getqpopt		476
#define __NR_qp_enter		477
#endif

/* System calls */
int lq_sys_queue_pair(int domain, unsigned int flags, struct qp_desc *desc);
int lq_sys_connect(int fd, const void *addr, int addrlen);
int lq_sys_accept(int fd, struct qp_desc *desc);
int lq_sys_setopt(int fd, int opt, void *val, unsigned int len);
int lq_sys_getopt(int fd, int opt, void *val, unsigned int *len);
int lq_sys_enter(int fd, unsigned int to_submit, unsigned int min_complete,
		 unsigned int flags, const struct __kernel_timespec *timeout);

/* A mapped ring. map is NULL if the queue pair has no such ring. */
struct lq_ring {
	void *map;
	size_t len;
	__u32 *head;
	__u32 *tail;
	__u32 *flags;
	unsigned char *first;
	__u32 entries;
	__u32 mask;
	__u32 entry_size;
};

/* A queue pair with its rings mapped */
struct lq {
	int fd;
	struct qp_desc desc;
	struct lq_ring sq;
	struct lq_ring rq;
	struct lq_ring cq;
};

/*
 * Rights for a buffer that does everything. Registering memory that is only
 * read, or only remotely read, needs fewer.
 */
#define LQ_ACCESS_ALL	(QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_WRITE | \
			 QP_ACCESS_REMOTE_READ | QP_ACCESS_REMOTE_ATOMIC)

/* A description of an RC queue pair with these rings */
struct qp_desc lq_desc(__u32 sq_entries, __u32 rq_entries, __u32 cq_entries);

/*
 * Make a queue pair and map its rings. *desc is not changed; q->desc is what
 * the kernel made of it.
 */
int lq_open(struct lq *q, int domain, unsigned int flags,
	    const struct qp_desc *desc);

/* The same for the next connection of the listener lfd */
int lq_accept(struct lq *q, int lfd, const struct qp_desc *desc);

/* Map the rings of q->fd as q->desc has them; lq_unmap() undoes it */
int lq_map(struct lq *q);
void lq_unmap(struct lq *q);

/* Unmap and close; errno stays. Harmless again, or after a failed lq_open(). */
void lq_close(struct lq *q);

/* A listener without rings */
int lq_listen(struct lq *q, int domain, const void *addr, socklen_t len,
	      unsigned int flags, __u32 backlog);

/*
 * Wait until the connection of a non-blocking lq_sys_connect() stands:
 * 0, or -1 with the reason of the failure in errno.
 */
int lq_connected(int fd, int timeout_ms);

/*
 * Two queue pairs of one process, connected to each other through the address,
 * which is free again afterwards
 */
int lq_pair(struct lq *a, struct lq *b, int domain, const void *addr,
	    socklen_t len, unsigned int flags, const struct qp_desc *desc);

/* The same through a listener of the caller's, which is at the address */
int lq_pair_at(struct lq *a, struct lq *b, const struct lq *listener,
	       int domain, const void *addr, socklen_t len, unsigned int flags,
	       const struct qp_desc *desc);

/*
 * The same for AF_UNIX: name is a path, or "@name" for an abstract address.
 * lq_addr_un() returns the length of the address.
 */
socklen_t lq_addr_un(struct sockaddr_un *sun, const char *name);
int lq_listen_un(struct lq *q, const char *name, unsigned int flags,
		 __u32 backlog);
int lq_connect_un(struct lq *q, const char *name);
int lq_pair_un(struct lq *a, struct lq *b, unsigned int flags,
	       const struct qp_desc *desc);

/* Memory. The keys come back in *mem. */
int lq_mem_reg(int fd, void *addr, size_t length, __u32 access,
	       struct qp_mem *mem);
int lq_mem_dereg(int fd, __u32 lkey);
int lq_info(int fd, struct qp_info *info);

/* qp_enter() with a timeout in milliseconds; none if negative */
int lq_enter(struct lq *q, unsigned int to_submit, unsigned int min_complete,
	     int timeout_ms);

/*
 * Take the next completion, waiting for it. Fails with ETIME, and with
 * ESHUTDOWN if the queue pair has failed and no completion will come.
 */
int lq_wait(struct lq *q, struct qp_cqe *cqe, int timeout_ms);

/*
 * Post a receive into [addr, addr + length), for an empty message if addr is
 * NULL, and tell the kernel if it asks.
 */
int lq_post_recv(struct lq *q, __u64 user_data, void *addr, __u32 length,
		 __u32 lkey);

/*
 * Rings. Indices are shared with the kernel, so each side publishes its own
 * with release semantics and reads the other's with acquire semantics:
 *
 *   SQ, RQ: reserve (acquire head, so that the kernel is done with the slot),
 *           fill, submit (release tail, so that the kernel sees the entry)
 *   CQ:     peek (acquire tail, so that the entry is seen whole), read,
 *           release (release head, so that reads end before the slot is reused)
 */
static inline __u32 lq_load(const __u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void lq_store(__u32 *p, __u32 v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void *lq_entry(const struct lq_ring *r, __u32 index)
{
	return r->first + (size_t)(index & r->mask) * r->entry_size;
}

/* Entries between head and tail */
static inline __u32 lq_used(const struct lq_ring *r)
{
	return lq_load(r->tail) - lq_load(r->head);
}

/* The slot at the tail of a send or receive ring, NULL if the ring is full */
static inline void *lq_reserve(const struct lq_ring *r)
{
	__u32 tail = *r->tail;

	if (tail - lq_load(r->head) >= r->entries) {
		errno = ENOBUFS;
		return NULL;
	}
	return lq_entry(r, tail);
}

/* Publish the slot that lq_reserve() returned */
static inline void lq_submit(const struct lq_ring *r)
{
	lq_store(r->tail, *r->tail + 1);
}

/* A cleared send work request; lq_submit(&q->sq) publishes it */
static inline struct qp_sqe *lq_sqe(struct lq *q, __u8 opcode, __u8 flags,
				    __u64 user_data)
{
	struct qp_sqe *sqe = lq_reserve(&q->sq);

	if (sqe) {
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = opcode;
		sqe->flags = flags;
		sqe->user_data = user_data;
	}
	return sqe;
}

static inline void lq_sge_set(struct qp_sge *sge, const void *addr, __u32 length,
			      __u32 lkey)
{
	sge->addr = (unsigned long)addr;
	sge->length = length;
	sge->lkey = lkey;
}

static inline void lq_sqe_sge(struct qp_sqe *sqe, const void *addr,
			      __u32 length, __u32 lkey)
{
	lq_sge_set(&sqe->sge[sqe->num_sge++], addr, length, lkey);
}

static inline void lq_sqe_remote(struct qp_sqe *sqe, __u64 addr, __u32 rkey)
{
	sqe->remote_addr = addr;
	sqe->rkey = rkey;
}

static inline void lq_sqe_inline(struct qp_sqe *sqe, const void *data,
				 __u32 length)
{
	sqe->flags |= QP_SQE_INLINE;
	sqe->inline_len = length;
	memcpy(sqe->inl, data, length);
}

/* A cleared receive work request; lq_submit_recv() publishes it */
static inline struct qp_rqe *lq_rqe(struct lq *q, __u64 user_data)
{
	struct qp_rqe *rqe = lq_reserve(&q->rq);

	if (rqe) {
		memset(rqe, 0, sizeof(*rqe));
		rqe->user_data = user_data;
	}
	return rqe;
}

static inline void lq_rqe_sge(struct qp_rqe *rqe, void *addr, __u32 length,
			      __u32 lkey)
{
	lq_sge_set(&rqe->sge[rqe->num_sge++], addr, length, lkey);
}

/*
 * The peer sets NEED_WAKEUP, then looks at the tail again; here the tail is
 * stored, then NEED_WAKEUP is read: a full barrier between the two, on both
 * sides, lets at least one see the other.
 */
static inline bool lq_need_wakeup(const struct lq_ring *rq)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return lq_load(rq->flags) & QP_RING_NEED_WAKEUP;
}

/*
 * With QP_SQPOLL: an index was moved, see to it that the thread looks. If there
 * is no thread any more the call takes what is in the ring.
 */
static inline int lq_nudge(struct lq *q)
{
	if (lq_need_wakeup(&q->sq))
		return lq_sys_enter(q->fd, lq_used(&q->sq), 0, 0, NULL);
	return 0;
}

static inline int lq_submit_recv(struct lq *q)
{
	lq_submit(&q->rq);
	if (lq_need_wakeup(&q->rq))
		return lq_sys_enter(q->fd, 0, 0, 0, NULL);
	return 0;
}

/* The oldest completion, NULL if there is none; lq_cq_release() consumes it */
static inline struct qp_cqe *lq_cq_peek(const struct lq *q)
{
	__u32 head = *q->cq.head;

	if (head == lq_load(q->cq.tail))
		return NULL;
	return lq_entry(&q->cq, head);
}

static inline void lq_cq_release(const struct lq *q)
{
	lq_store(q->cq.head, *q->cq.head + 1);
}

#endif /* LIBQP_H */
