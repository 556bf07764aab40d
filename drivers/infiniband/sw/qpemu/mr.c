// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions: of user memory, of a dma-buf, of all memory, and such as a
 * kernel consumer fills in by fast registration (see mem.c).
 */
#include <linux/dma-buf.h>
#include <linux/ioport.h>
#include <linux/module.h>

#include "mem.h"
#include "odp.h"
#include "verbs.h"

MODULE_IMPORT_NS("DMA_BUF");

#define SUPPORTED_ACCESS						\
	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |		\
	 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC |		\
	 IB_ACCESS_MW_BIND | IB_ZERO_BASED | IB_ACCESS_FLUSH_GLOBAL |	\
	 IB_ACCESS_FLUSH_PERSISTENT | IB_ACCESS_ON_DEMAND |		\
	 IB_ACCESS_OPTIONAL)

static void free_memory(struct qpemu_mr *mr)
{
	if (mr->dmabuf) {
		dma_buf_end_cpu_access(mr->dmabuf, DMA_BIDIRECTIONAL);
		dma_buf_vunmap_unlocked(mr->dmabuf, &mr->vmap);
		dma_buf_put(mr->dmabuf);
	}
	qpemu_odp_release(mr);
	ib_umem_release(mr->umem);
	kvfree(mr->pages.bvec);
	kvfree(mr->staged.bvec);
	kfree(mr);
}

static struct qpemu_mr *new_mr(struct ib_pd *ibpd, enum ib_mr_type type)
{
	struct qpemu_mr *mr = kzalloc_obj(*mr, GFP_KERNEL_ACCOUNT);

	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->ibmr.device = ibpd->device;
	mr->ibmr.pd = ibpd;
	mr->ibmr.type = type;
	mr->ibmr.page_size = PAGE_SIZE;
	return mr;
}

/* Give the memory a key; it can be accessed at once if @access is not negative. */
static struct ib_mr *publish(struct qpemu_mr *mr, u64 iova, u64 length, int access)
{
	struct qpemu_region *region;

	region = qpemu_region_alloc(to_qdev(mr->ibmr.device), mr->ibmr.pd, mr);
	if (IS_ERR(region)) {
		free_memory(mr);
		return ERR_CAST(region);
	}
	mr->region = region;
	mr->ibmr.lkey = region->key;
	mr->ibmr.rkey = region->key;
	if (access < 0)
		return &mr->ibmr;

	region->iova = iova;
	region->length = length;
	region->access = access;
	region->zero_based = access & IB_ZERO_BASED;
	mr->ibmr.iova = iova;
	mr->ibmr.length = length;
	qpemu_region_start(region);
	return &mr->ibmr;
}

struct ib_mr *qpemu_get_dma_mr(struct ib_pd *ibpd, int access)
{
	struct qpemu_mr *mr = new_mr(ibpd, IB_MR_TYPE_DMA);

	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->virt = true;
	return publish(mr, 0, ULONG_MAX, access);
}

/*
 * User memory
 */

static bool is_persistent(struct page *page)
{
	return region_intersects(page_to_phys(page), PAGE_SIZE, IORESOURCE_MEM,
				 IORES_DESC_PERSISTENT_MEMORY) == REGION_INTERSECTS;
}

static int fill_pages(struct qpemu_pages *pages, const struct ib_umem *umem, bool persistent)
{
	const struct sg_table *table = &umem->sgt_append.sgt;
	struct sg_page_iter iter;

	for_each_sg_page(table->sgl, &iter, table->orig_nents, 0) {
		struct page *page = sg_page_iter_page(&iter);

		if (persistent && !is_persistent(page))
			return -EINVAL;
		bvec_set_page(&pages->bvec[pages->num++], page, PAGE_SIZE, 0);
	}
	return 0;
}

static int pin(struct qpemu_mr *mr, u64 start, u64 length, int access)
{
	struct ib_umem *umem = ib_umem_get_va(mr->ibmr.device, start, length, access);

	if (IS_ERR(umem))
		return PTR_ERR(umem);
	mr->umem = umem;
	mr->pages.shift = PAGE_SHIFT;
	mr->pages.offset = ib_umem_offset(umem);
	mr->pages.bvec = kvmalloc_objs(*mr->pages.bvec, ib_umem_num_pages(umem),
				       GFP_KERNEL_ACCOUNT);
	if (!mr->pages.bvec)
		return -ENOMEM;
	return fill_pages(&mr->pages, umem, access & IB_ACCESS_FLUSH_PERSISTENT);
}

struct ib_mr *qpemu_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova,
				int access, struct ib_dmah *dmah, struct ib_udata *udata)
{
	struct qpemu_mr *mr;
	int err;

	if (dmah || access & ~SUPPORTED_ACCESS)
		return ERR_PTR(-EOPNOTSUPP);
	mr = new_mr(ibpd, IB_MR_TYPE_USER);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	err = access & IB_ACCESS_ON_DEMAND ? qpemu_odp_register(mr, start, length, access) :
					     pin(mr, start, length, access);
	if (err) {
		free_memory(mr);
		return ERR_PTR(err);
	}
	return publish(mr, iova, length, access);
}

/*
 * dma-bufs. A device that has no DMA of its own cannot be attached to one; it
 * sees the memory as the kernel does, where the kernel can.
 */

static int map_dmabuf(struct qpemu_mr *mr, u64 offset, u64 length, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	int err;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	err = -EINVAL;
	if (!length || offset > dmabuf->size || length > dmabuf->size - offset)
		goto put;
	err = dma_buf_vmap_unlocked(dmabuf, &mr->vmap);
	if (err)
		goto put;
	err = -EOPNOTSUPP;
	if (mr->vmap.is_iomem)
		goto unmap;
	err = dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
	if (err)
		goto unmap;
	mr->dmabuf = dmabuf;
	mr->virt = true;
	mr->base = (unsigned long)mr->vmap.vaddr + offset;
	return 0;

unmap:
	dma_buf_vunmap_unlocked(dmabuf, &mr->vmap);
put:
	dma_buf_put(dmabuf);
	return err;
}

struct ib_mr *qpemu_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length,
				       u64 iova, int fd, int access,
				       struct ib_dmah *dmah,
				       struct uverbs_attr_bundle *attrs)
{
	struct qpemu_mr *mr;
	int err;

	if (dmah || access & ~(SUPPORTED_ACCESS & ~(IB_ACCESS_FLUSH_PERSISTENT |
						    IB_ACCESS_ON_DEMAND)))
		return ERR_PTR(-EOPNOTSUPP);
	mr = new_mr(ibpd, IB_MR_TYPE_USER);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	err = map_dmabuf(mr, offset, length, fd);
	if (err) {
		free_memory(mr);
		return ERR_PTR(err);
	}
	return publish(mr, iova, length, access);
}

/*
 * Re-registration
 *
 * New rights or a new domain for the same pages are written down in place, and
 * the key stays. For other pages, or for rights that the pages were not pinned
 * for, there is a new region with a new key: it is complete before the old one
 * dies, so that a failure leaves the old one as it was.
 */

static bool same_pages(const struct qpemu_mr *mr, int flags, int access)
{
	if (flags & IB_MR_REREG_TRANS)
		return false;
	if (!(flags & IB_MR_REREG_ACCESS) || !mr->umem)
		return true;
	if ((access ^ mr->region->access) & IB_ACCESS_ON_DEMAND)
		return false;
	return !(ib_access_writable(access) && !mr->umem->writable) &&
	       !(access & ~mr->region->access & IB_ACCESS_FLUSH_PERSISTENT);
}

static int change_in_place(struct qpemu_mr *mr, int flags, int access, struct ib_pd *ibpd)
{
	struct qpemu_region *region = mr->region;
	int err = 0;

	spin_lock_bh(&region->lock);
	if (atomic_read(&mr->num_windows)) {
		err = -EBUSY;
	} else {
		qpemu_region_stop(region);
		if (flags & IB_MR_REREG_PD)
			region->pd = ibpd;
		if (flags & IB_MR_REREG_ACCESS) {
			region->access = access;
			region->zero_based = access & IB_ZERO_BASED;
		}
		qpemu_region_start(region);
	}
	spin_unlock_bh(&region->lock);
	return err;
}

struct ib_mr *qpemu_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length,
				  u64 iova, int access, struct ib_pd *ibpd,
				  struct ib_udata *udata)
{
	struct qpemu_mr *mr = to_qmr(ibmr);
	struct ib_mr *successor;
	int err;

	if (!(flags & IB_MR_REREG_ACCESS))
		access = mr->region->access;
	else if (access & ~SUPPORTED_ACCESS ||
		 (mr->dmabuf && access & IB_ACCESS_FLUSH_PERSISTENT))
		return ERR_PTR(-EOPNOTSUPP);
	if (same_pages(mr, flags, access))
		return ERR_PTR(change_in_place(mr, flags, access, ibpd));

	if (!(flags & IB_MR_REREG_TRANS)) {
		/* The same addresses are other memory in another process. */
		if (mr->umem->owning_mm != current->mm)
			return ERR_PTR(-EPERM);
		start = mr->umem->address;
		length = mr->umem->length;
		iova = mr->region->iova;
	}
	successor = qpemu_reg_user_mr(ibpd, start, length, iova, access, NULL, udata);
	if (IS_ERR(successor))
		return successor;
	err = qpemu_region_kill(mr->region);
	if (err) {
		qpemu_dereg_mr(successor, udata);
		return ERR_PTR(err);
	}
	return successor;
}

/*
 * Fast registration
 */

struct ib_mr *qpemu_alloc_mr(struct ib_pd *ibpd, enum ib_mr_type type, u32 max_num_sg)
{
	struct qpemu_mr *mr;

	if (type != IB_MR_TYPE_MEM_REG)
		return ERR_PTR(-EOPNOTSUPP);
	if (max_num_sg > QPEMU_MAX_FAST_REG)
		return ERR_PTR(-EINVAL);
	mr = new_mr(ibpd, type);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->max_pages = max_num_sg;
	mr->pages.bvec = kvzalloc_objs(*mr->pages.bvec, max_num_sg, GFP_KERNEL_ACCOUNT);
	mr->staged.bvec = kvzalloc_objs(*mr->staged.bvec, max_num_sg, GFP_KERNEL_ACCOUNT);
	if (!mr->pages.bvec || !mr->staged.bvec) {
		free_memory(mr);
		return ERR_PTR(-ENOMEM);
	}
	return publish(mr, 0, 0, -1);
}

static int stage_page(struct ib_mr *ibmr, u64 addr)
{
	struct qpemu_mr *mr = to_qmr(ibmr);

	if (mr->staged.num >= mr->max_pages)
		return -ENOMEM;
	bvec_set_page(&mr->staged.bvec[mr->staged.num++], ib_virt_dma_to_page(addr),
		      ibmr->page_size, offset_in_page(addr));
	return 0;
}

/* Context: any; the consumer does nothing else with the region meanwhile. */
int qpemu_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int num,
		    unsigned int *offset)
{
	struct qpemu_mr *mr = to_qmr(ibmr);
	int mapped;

	if (!is_power_of_2(ibmr->page_size))
		return -EINVAL;
	mr->staged.num = 0;
	mr->staged.shift = ilog2(ibmr->page_size);
	mapped = ib_sg_to_pages(ibmr, sg, num, offset, stage_page);
	mr->staged.offset = ibmr->iova & (ibmr->page_size - 1);
	return mapped;
}

int qpemu_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct qpemu_mr *mr = to_qmr(ibmr);
	int err;

	/* IBA v1 10.6.7.2.6: not while windows are bound to it. */
	err = qpemu_region_kill(mr->region);
	if (err)
		return err;
	qpemu_region_free(to_qdev(ibmr->device), mr->region);
	free_memory(mr);
	return 0;
}
