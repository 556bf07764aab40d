// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is registered on demand
 *
 * Its pages are not pinned: they are looked up when an access first wants them,
 * by a worker, because that may sleep and an access may not. Whoever wanted them
 * is told to come again: a requester waits, a responder answers RNR NAK. When
 * the process's memory changes, the pages go back to being unknown.
 *
 *	worker, under umem_mutex	access, bottom halves off
 *
 *	write pages.bvec[]		is the page's bit set? else ask for it
 *	set the bit (release)		use pages.bvec[]
 *
 *	invalidation, under umem_mutex
 *
 *	clear the bit
 *	wait for a grace period: whoever saw it set is done
 *	let go of the pages
 */
#include <linux/hmm.h>
#include <rdma/ib_umem_odp.h>

#include "engine.h"
#include "odp.h"

static struct workqueue_struct *odp_wq;

/**
 * struct qpemu_odp - of a memory region
 * @umem: ib_core's part; private is the region
 * @bad: page that cannot be had, or ULONG_MAX
 * @present: a bit for each page of mr->pages.bvec
 */
struct qpemu_odp {
	struct ib_umem_odp *umem;
	unsigned long bad;
	unsigned long present[];
};

struct odp_fault {
	struct work_struct work;
	struct qpemu_mr *mr;
	struct qpemu_qp *qp;
	unsigned long first;
	unsigned long num;
};

static bool odp_invalidate(struct mmu_interval_notifier *mni,
			   const struct mmu_notifier_range *range, unsigned long seq)
{
	struct ib_umem_odp *umem = container_of(mni, struct ib_umem_odp, notifier);
	unsigned long start, end, first, num;
	struct qpemu_mr *mr;

	if (!mmu_notifier_range_blockable(range))
		return false;

	mutex_lock(&umem->umem_mutex);
	mmu_interval_set_seq(mni, seq);
	mr = umem->private;
	start = max(ib_umem_start(umem), range->start);
	end = min(ib_umem_end(umem), range->end);
	if (mr) {
		first = (start - ib_umem_start(umem)) >> PAGE_SHIFT;
		num = PAGE_ALIGN(end - start) >> PAGE_SHIFT;
		if (find_next_bit(mr->odp->present, first + num, first) < first + num) {
			bitmap_clear(mr->odp->present, first, num);
			synchronize_rcu_expedited();
		}
	}
	ib_umem_odp_unmap_dma_pages(umem, start, end);
	mutex_unlock(&umem->umem_mutex);
	return true;
}

static const struct mmu_interval_notifier_ops odp_notifier = {
	.invalidate = odp_invalidate,
};

/**
 * qpemu_odp_register - make a region of memory that is not pinned
 * @mr: fresh
 * @start: address in the process
 * @length: in bytes
 * @access: enum ib_access_flags
 *
 * Context: may sleep.
 * Return: 0 or -errno; the caller frees @mr then.
 */
int qpemu_odp_register(struct qpemu_mr *mr, u64 start, u64 length, int access)
{
	struct ib_umem_odp *umem;
	size_t num;

	/* All of the address space at once, and huge pages, are not offered. */
	if ((!start && length == U64_MAX) ||
	    access & (IB_ACCESS_HUGETLB | IB_ACCESS_FLUSH_PERSISTENT))
		return -EOPNOTSUPP;
	umem = ib_umem_odp_get(mr->ibmr.device, start, length, access, &odp_notifier);
	if (IS_ERR(umem))
		return PTR_ERR(umem);
	mr->umem = &umem->umem;

	num = ib_umem_odp_num_pages(umem);
	mr->pages.bvec = kvzalloc_objs(*mr->pages.bvec, num, GFP_KERNEL_ACCOUNT);
	mr->odp = kvzalloc(struct_size(mr->odp, present, BITS_TO_LONGS(num)),
			   GFP_KERNEL_ACCOUNT);
	if (!mr->pages.bvec || !mr->odp)
		return -ENOMEM;
	mr->pages.shift = PAGE_SHIFT;
	mr->pages.num = num;
	mr->pages.offset = offset_in_page(start);
	mr->odp->umem = umem;
	mr->odp->bad = ULONG_MAX;

	mutex_lock(&umem->umem_mutex);
	umem->private = mr;
	mutex_unlock(&umem->umem_mutex);
	return 0;
}

/* The region's key is dead: wait for its faults, forget its pages. May sleep. */
void qpemu_odp_release(struct qpemu_mr *mr)
{
	struct qpemu_odp *odp = mr->odp;

	if (!odp)
		return;
	flush_workqueue(odp_wq);
	if (odp->umem) {
		mutex_lock(&odp->umem->umem_mutex);
		odp->umem->private = NULL;
		ib_umem_odp_unmap_dma_pages(odp->umem, ib_umem_start(odp->umem),
					    ib_umem_end(odp->umem));
		mutex_unlock(&odp->umem->umem_mutex);
	}
	kvfree(odp);
	mr->odp = NULL;
}

static void learn_pages(struct qpemu_mr *mr, unsigned long first, unsigned long num)
{
	struct qpemu_odp *odp = mr->odp;
	unsigned long i;

	for (i = first; i < first + num; i++)
		bvec_set_page(&mr->pages.bvec[i], hmm_pfn_to_page(odp->umem->map.pfn_list[i]),
			      PAGE_SIZE, 0);
	smp_wmb();	/* against qpemu_odp_ready() */
	bitmap_set(odp->present, first, num);
	if (odp->bad - first < num)
		WRITE_ONCE(odp->bad, ULONG_MAX);
}

static void odp_fault(struct work_struct *work)
{
	struct odp_fault *fault = container_of(work, struct odp_fault, work);
	struct qpemu_odp *odp = fault->mr->odp;
	u64 access = HMM_PFN_VALID | (odp->umem->umem.writable ? HMM_PFN_WRITE : 0);
	int ret;

	ret = ib_umem_odp_map_dma_and_lock(odp->umem,
					   ib_umem_start(odp->umem) + fault->first * PAGE_SIZE,
					   fault->num * PAGE_SIZE, access, true);
	if (ret >= 0) {
		learn_pages(fault->mr, fault->first, fault->num);
		mutex_unlock(&odp->umem->umem_mutex);
	} else {
		WRITE_ONCE(odp->bad, fault->first);
	}
	qpemu_qp_kick(fault->qp);
	qpemu_qp_put(fault->qp);
	kfree(fault);
}

/* Without memory for it the page is asked for again with the next access. */
static void ask_for(struct qpemu_qp *qp, struct qpemu_mr *mr, unsigned long first,
		    unsigned long num)
{
	struct odp_fault *fault = kmalloc_obj(*fault, GFP_ATOMIC | __GFP_NOWARN);

	if (!fault)
		return;
	if (!qpemu_ref_get(qp->ref)) {
		kfree(fault);
		return;
	}
	INIT_WORK(&fault->work, odp_fault);
	fault->mr = mr;
	fault->qp = qp;
	fault->first = first;
	fault->num = num;
	queue_work(odp_wq, &fault->work);
}

/**
 * qpemu_odp_ready - are these bytes in memory?
 * @qp: who wants them; kicked when they are
 * @mr: registered on demand; its region is held
 * @offset: of the first byte in the first page of @mr->pages
 * @length: in bytes, not 0
 *
 * Context: bottom halves off; the answer holds until they are on again.
 * Return: 0, -EAGAIN if they are being fetched, -EFAULT if they cannot be.
 */
int qpemu_odp_ready(struct qpemu_qp *qp, struct qpemu_mr *mr, u64 offset, u64 length)
{
	unsigned long first = offset >> PAGE_SHIFT;
	unsigned long end = ((offset + length - 1) >> PAGE_SHIFT) + 1;
	unsigned long bad;

	first = find_next_zero_bit(mr->odp->present, end, first);
	smp_rmb();	/* against learn_pages() */
	if (first >= end)
		return 0;
	bad = READ_ONCE(mr->odp->bad);
	if (bad >= first && bad < end)
		return -EFAULT;
	ask_for(qp, mr, first, end - first);
	return -EAGAIN;
}

int qpemu_odp_init(void)
{
	odp_wq = alloc_workqueue("qpemu_odp", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return odp_wq ? 0 : -ENOMEM;
}

void qpemu_odp_exit(void)
{
	destroy_workqueue(odp_wq);
}
