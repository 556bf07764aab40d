// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the rings: allocation and mapping
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "ring.h"

/**
 * qp_ring_alloc() - allocate a ring, charged to the caller's memory cgroup
 * @ring: to fill
 * @entries: power of two, or 0 for no ring
 * @entry_size: bytes from one entry to the next
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int qp_ring_alloc(struct qp_ring *ring, u32 entries, u32 entry_size)
{
	size_t len = qp_ring_bytes(entries, entry_size);

	ring->entry_size = entry_size;
	if (!entries)
		return 0;
	ring->mem = __vmalloc_node_range(len, SHMLBA, VMALLOC_START,
					 VMALLOC_END,
					 GFP_KERNEL_ACCOUNT | __GFP_ZERO |
					 __GFP_NOWARN,
					 PAGE_KERNEL, VM_USERMAP, NUMA_NO_NODE,
					 __builtin_return_address(0));
	if (!ring->mem)
		return -ENOMEM;
	ring->entries = entries;
	return 0;
}

void qp_ring_free(struct qp_ring *ring)
{
	vfree(ring->mem);
	ring->mem = NULL;
	ring->entries = 0;
}

int qp_ring_mmap(const struct qp_ring *ring, struct vm_area_struct *vma)
{
	if (!ring->mem || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_end - vma->vm_start >
	    qp_ring_bytes(ring->entries, ring->entry_size))
		return -EINVAL;
	return remap_vmalloc_range(vma, ring->mem, 0);
}

/* What user space is told of a ring that is mapped at offset @off */
void qp_ring_describe(const struct qp_ring *ring, u64 off,
		      struct qp_ring_desc *desc)
{
	memset(desc, 0, sizeof(*desc));
	if (!ring->entries)
		return;
	desc->off = off;
	desc->len = qp_ring_bytes(ring->entries, ring->entry_size);
	desc->entries = ring->entries;
	desc->entry_size = ring->entry_size;
	desc->head = offsetof(struct qp_ring_shared, head);
	desc->tail = offsetof(struct qp_ring_shared, tail);
	desc->flags = offsetof(struct qp_ring_shared, flags);
	desc->first = offsetof(struct qp_ring_shared, first);
}
