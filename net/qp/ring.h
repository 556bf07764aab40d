/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings shared with user space
 *
 * One side produces and owns the tail, the other consumes and owns the head.
 * User space may write any of it at any time, so the kernel keeps its own
 * index privately, publishes it in the ring, and only ever reads the other
 * side's index and the entries.
 *
 *     producer                             consumer
 *
 *     load head          (A)               load-acquire tail   (C)
 *     fill entry                           copy entry
 *     store-release tail (B)               store-release head  (D)
 *
 * B pairs with C: who sees the tail sees the entry. D pairs with A: a slot is
 * filled again only after it was copied; A carries a control dependency to
 * the stores into the slot.
 */
#ifndef _QP_RING_H
#define _QP_RING_H

#include <linux/cache.h>
#include <net/qp.h>

/* Layout of a mapping. Indices on cache lines of their own. */
struct qp_ring_shared {
	u32 head ____cacheline_aligned;
	u32 tail ____cacheline_aligned;
	u32 flags ____cacheline_aligned;
	u8 first[] ____cacheline_aligned;
};

static inline struct qp_ring_shared *qp_ring_shared(const struct qp_ring *ring)
{
	return ring->mem;
}

/* The entry of a free-running index */
static inline void *qp_ring_entry(const struct qp_ring *ring, u32 index)
{
	u32 slot = index & (ring->entries - 1);

	return qp_ring_shared(ring)->first + (size_t)slot * ring->entry_size;
}

static inline size_t qp_ring_bytes(u32 entries, u32 entry_size)
{
	return PAGE_ALIGN(offsetof(struct qp_ring_shared, first) +
			  (size_t)entries * entry_size);
}

/**
 * qp_ring_pending() - entries that user space produced and we did not take
 * @ring: SQ or RQ
 * @head: our index
 * @pending: where to put their number
 *
 * Return: 0, or -EOVERFLOW if user space's index is out of range.
 */
static inline int qp_ring_pending(const struct qp_ring *ring, u32 head,
				  u32 *pending)
{
	u32 n;

	*pending = 0;
	if (!ring->entries)
		return 0;
	n = smp_load_acquire(&qp_ring_shared(ring)->tail) - head;	/* C */
	if (n > ring->entries)
		return -EOVERFLOW;
	*pending = n;
	return 0;
}

/* Tell the producer that entries before @head may be filled again */
static inline void qp_ring_consumed(const struct qp_ring *ring, u32 head)
{
	smp_store_release(&qp_ring_shared(ring)->head, head);		/* D */
}

/* Tell the consumer that entries before @tail are there */
static inline void qp_ring_produced(const struct qp_ring *ring, u32 tail)
{
	smp_store_release(&qp_ring_shared(ring)->tail, tail);		/* B */
}

/*
 * Entries that we produced and user space did not consume. An index out of
 * range reads as a full ring: it harms nobody but its writer.
 */
static inline u32 qp_ring_used(const struct qp_ring *ring, u32 tail)
{
	u32 n = tail - READ_ONCE(qp_ring_shared(ring)->head);		/* A */

	return min(n, ring->entries);
}

/*
 * Copy from a ring once. What follows works on the copy: the barrier keeps
 * the compiler from reading the shared memory again in its place.
 */
static inline void qp_ring_read(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	barrier_data(dst);
}

int qp_ring_alloc(struct qp_ring *ring, u32 entries, u32 entry_size);
void qp_ring_free(struct qp_ring *ring);
int qp_ring_mmap(const struct qp_ring *ring, struct vm_area_struct *vma);
void qp_ring_describe(const struct qp_ring *ring, u64 off,
		      struct qp_ring_desc *desc);

#endif /* _QP_RING_H */
