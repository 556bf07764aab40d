/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registered memory: finding it by key, copying to and from it.
 *
 * All of these may be called in softirq and with locks held; they never sleep.
 * An access is short (one super-packet at most) and holds its region only as
 * long as it lasts: a message that takes many packets names its memory anew
 * for each.
 */
#ifndef _QPEMU_MEM_H
#define _QPEMU_MEM_H

#include "qpemu.h"

/**
 * qpemu_region_get - check an access and hold its memory
 * @qp: who asks; protection domain, and queue pair for windows of type 2
 * @key: lkey or rkey
 * @addr: first byte, as the consumer counts
 * @length: in bytes; with 0 the address is not looked at
 * @access: what is wanted (one or more of enum ib_access_flags); 0 for a local
 *	read. Any IB_ACCESS_REMOTE_* makes it a remote access: @key must be an
 *	rkey, a window may serve.
 *
 * Return: the region, or ERR_PTR of -EINVAL (no such key, not valid, other
 * domain, other queue pair), -EACCES (rights), -ERANGE (bounds).
 */
struct qpemu_region *qpemu_region_get(struct qpemu_qp *qp, u32 key, u64 addr,
				      u64 length, u32 access);
void qpemu_region_put(struct qpemu_region *region);

/*
 * Is a part of it in memory? Only regions registered on demand may not be; then
 * the part is fetched, and qpemu_qp_kick(@qp) follows. To be asked before the
 * accesses below; those on lists of local memory ask themselves and return
 * -EAGAIN. Return: 0, or -EAGAIN, or -EFAULT if there is no such memory.
 */
int qpemu_region_ready(struct qpemu_qp *qp, struct qpemu_region *region, u64 addr,
		       u64 length);

/*
 * 64-bit atomics, IBA v1 9.4.5; @addr is a multiple of 8 (checked by caller),
 * and the region was got with IB_ACCESS_REMOTE_ATOMIC for 8 bytes. The store of
 * ATOMIC WRITE wants IB_ACCESS_REMOTE_WRITE.
 */
u64 qpemu_region_cmp_swap(struct qpemu_region *region, u64 addr, u64 compare, u64 swap);
u64 qpemu_region_fetch_add(struct qpemu_region *region, u64 addr, u64 add);
void qpemu_region_store(struct qpemu_region *region, u64 addr, u64 value);
/* IBA v1.5 A19: make earlier writes visible, or persistent. */
int qpemu_region_flush(struct qpemu_region *region, u64 addr, u64 length,
		       u32 type, u32 level);

/*
 * Append @length bytes to @skb as references to pages; where a page cannot be
 * referred to (slab, dma-buf) as a copy. No more than QPEMU_SUPER_FRAGS
 * fragments. Return: 0, or -EMSGSIZE if they do not fit, -ENOMEM.
 */
int qpemu_region_frags(struct qpemu_region *region, u64 addr, size_t length,
		       struct sk_buff *skb);

/*
 * The same for local memory named by a list. @offset counts from the list's
 * first byte. Return: 0, or what qpemu_region_get() said, or -EMSGSIZE,
 * or -ENOMEM. -EFAULT: the list ends before.
 */
int qpemu_sges_frags(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		     u32 offset, u32 length, struct sk_buff *skb);
/* Are the first @length bytes in memory, with these rights? */
int qpemu_sges_ready(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num, u32 length,
		     u32 access);
/* From the list to a buffer. */
int qpemu_sges_read(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		    u32 offset, void *to, u32 length);
/* From a buffer to the list (wants IB_ACCESS_LOCAL_WRITE). */
int qpemu_sges_write(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		     u32 offset, const void *from, u32 length);
/* From a packet, @from bytes into it, to the list. */
int qpemu_sges_write_skb(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
			 u32 offset, const struct sk_buff *skb, int from, u32 length);
/* From a packet to a region. */
int qpemu_region_write_skb(struct qpemu_region *region, u64 addr,
			   const struct sk_buff *skb, int from, u32 length);
int qpemu_region_read(struct qpemu_region *region, u64 addr, void *to, u32 length);

/* MAX_SKB_FRAGS is 17 by default; one is for padding and the ICRC. */
#define QPEMU_SUPER_FRAGS	(MAX_SKB_FRAGS - 1)

/*
 * Work requests on memory, under qp->sq_lock. Return 0 or -errno.
 * They wait for accesses in progress elsewhere (these are short): the caller
 * holds no region, and nobody holds one from one packet to the next.
 */
int qpemu_mem_invalidate(struct qpemu_qp *qp, u32 key, bool remote);
int qpemu_mem_fast_reg(struct qpemu_qp *qp, struct ib_mr *ibmr, u32 key, u32 access);
int qpemu_mem_bind(struct qpemu_qp *qp, const struct qpemu_wqe *wqe);

/*
 * Regions, for mr.c and mw.c.
 *
 * Accesses hold region->users and take no lock; changes are made under
 * region->lock, in an RCU read-side section, without holding region->users.
 */

/* A new key, with nothing behind it yet; @mr is NULL for a window. May sleep. */
struct qpemu_region *qpemu_region_alloc(struct qpemu_dev *dev, struct ib_pd *pd,
					struct qpemu_mr *mr);
/* No new accesses; wait for those in progress. Under the lock; short. */
void qpemu_region_stop(struct qpemu_region *region);
/* What was written to the region takes effect. Under the lock. */
void qpemu_region_start(struct qpemu_region *region);
/*
 * The key dies, in whatever state, and a window lets go of its memory. -EBUSY if
 * windows are bound to the region.
 */
int qpemu_region_kill(struct qpemu_region *region);
/* Free a killed region, after the last access. May sleep. */
void qpemu_region_free(struct qpemu_dev *dev, struct qpemu_region *region);

#endif /* _QPEMU_MEM_H */
