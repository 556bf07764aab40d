/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings shared with user space (or with a kernel consumer), in the layout of
 * struct rxe_queue_buf.
 *
 * Nothing in shared memory is believed: the driver keeps its own index, masks
 * the other side's, and works on copies of entries. Pages of a ring that user
 * space maps come into being when either side first touches them, so an idle
 * queue costs next to nothing.
 *
 *   send, receive and shared receive queues      completion queues
 *	client: push   --> producer_index	driver: produce --> producer_index
 *	driver: take   (private, runs ahead)	client: poll    --> consumer_index
 *	driver: release --> consumer_index
 *
 * The caller serialises each side, but for qpemu_queue_push(); the two sides may
 * run at the same time.
 */
#ifndef _QPEMU_QUEUE_H
#define _QPEMU_QUEUE_H

#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>

struct qpemu_queue;

/*
 * A lock that softirqs take, and consumers whose interrupts are off, but hard
 * interrupts do not: so there is no need to turn them off, which some machines
 * pay dearly for.
 */
static inline bool qpemu_lock(spinlock_t *lock)
{
	bool bh = !irqs_disabled();

	if (bh)
		spin_lock_bh(lock);
	else
		spin_lock(lock);
	return bh;
}

/* @bh: what qpemu_lock() returned */
static inline void qpemu_unlock(spinlock_t *lock, bool bh)
{
	if (bh)
		spin_unlock_bh(lock);
	else
		spin_unlock(lock);
}

/**
 * qpemu_queue_create - make a ring
 * @entries: how many entries it must hold; becomes how many it does hold
 * @size: bytes of an entry; slots are this rounded up to a power of two
 * @ucontext: who may map it, or NULL for a kernel consumer
 * @mi: where to put offset and size for mmap(), if @ucontext
 *
 * Context: may sleep.
 * Return: the ring or an ERR_PTR.
 */
struct qpemu_queue *qpemu_queue_create(u32 *entries, size_t size,
				       struct ib_ucontext *ucontext,
				       struct mminfo *mi);
/* The last mapping frees the pages. @q may be NULL. */
void qpemu_queue_destroy(struct qpemu_queue *q);

/* Client to driver. */

/* Copy the next entry, @size bytes of it at most; false if there is none. */
bool qpemu_queue_take(struct qpemu_queue *q, void *entry, size_t size);
/* How many entries are there to take? */
u32 qpemu_queue_pending(struct qpemu_queue *q);
/* Give the oldest @n taken slots back to the client. */
void qpemu_queue_release(struct qpemu_queue *q, u32 n);
/* A kernel client adds an entry; false if the ring is full. Any context. */
bool qpemu_queue_push(struct qpemu_queue *q, const void *entry, size_t size);

/* Driver to client. */

/* Add an entry; false if the ring is full. */
bool qpemu_queue_produce(struct qpemu_queue *q, const void *entry, size_t size);
/* A kernel client takes an entry; false if there is none. */
bool qpemu_queue_poll(struct qpemu_queue *q, void *entry, size_t size);
/* Entries that the client has not consumed (as far as it lets us know). */
u32 qpemu_queue_used(struct qpemu_queue *q);

/* Either: empty a ring (reset of a queue pair): all that was posted is gone. */
void qpemu_queue_reset(struct qpemu_queue *q);
u32 qpemu_queue_entries(const struct qpemu_queue *q);
/*
 * Copy to the fresh ring @to what @from holds, both sides of which are still.
 * Of a client's requests those not taken, or of completions those not consumed.
 * Return: 0, -EINVAL if they are too many, or -ENOMEM; @from is as before then.
 */
int qpemu_queue_move_requests(struct qpemu_queue *to, struct qpemu_queue *from,
			      size_t size);
int qpemu_queue_move_completions(struct qpemu_queue *to, struct qpemu_queue *from,
				 size_t size);

/* ib_device_ops.mmap and .mmap_free */
int qpemu_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma);
void qpemu_mmap_free(struct rdma_user_mmap_entry *entry);

#endif /* _QPEMU_QUEUE_H */
