// SPDX-License-Identifier: GPL-2.0
/*
 * Registered memory: finding it by key, copying to and from it
 *
 * An access and a change of its region agree like this:
 *
 *	access					change, under region->lock
 *
 *	take a reference			leave VALID
 *	full barrier				full barrier
 *	is it VALID?				is there a reference but the table's?
 *	   no: drop the reference, fail		   yes: wait
 *	   yes: use what the region says	write what is new
 *	drop the reference			enter VALID (release)
 */
#include <linux/highmem.h>
#include <linux/libnvdimm.h>
#include <linux/net.h>
#include <linux/random.h>
#include <linux/uio.h>
#include <rdma/ib_pack.h>

#include "mem.h"
#include "odp.h"

#define KEY_INDEX(key)		((key) >> 8)
#define MAX_KEY_INDEX		0xffffff

#define REMOTE_RIGHTS	(IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE |	\
			 IB_ACCESS_REMOTE_ATOMIC | IB_ACCESS_FLUSH_GLOBAL |	\
			 IB_ACCESS_FLUSH_PERSISTENT)
/* Consumers ask for local rights too; a window has none. */
#define WINDOW_FLAGS	(IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE |	\
			 IB_ACCESS_REMOTE_ATOMIC | IB_ACCESS_LOCAL_WRITE |	\
			 IB_ZERO_BASED)

/*
 * Regions
 */

struct qpemu_region *qpemu_region_alloc(struct qpemu_dev *dev, struct ib_pd *pd,
					struct qpemu_mr *mr)
{
	struct qpemu_region *region = kzalloc_obj(*region, GFP_KERNEL_ACCOUNT);
	u32 index;
	int err;

	if (!region)
		return ERR_PTR(-ENOMEM);
	refcount_set(&region->users, 1);
	init_completion(&region->gone);
	spin_lock_init(&region->lock);
	region->state = QPEMU_REGION_FREE;
	region->window = !mr;
	region->pd = pd;
	region->mr = mr;
	err = xa_alloc_cyclic(&dev->keys, &index, region, XA_LIMIT(1, MAX_KEY_INDEX),
			      &dev->next_key, GFP_KERNEL);
	if (err < 0) {
		kfree(region);
		return ERR_PTR(err);
	}
	/* Whoever found it before this found no key that fits. */
	spin_lock_bh(&region->lock);
	region->key = index << 8 | get_random_u8();
	spin_unlock_bh(&region->lock);
	return region;
}

void qpemu_region_free(struct qpemu_dev *dev, struct qpemu_region *region)
{
	xa_erase(&dev->keys, KEY_INDEX(region->key));
	qpemu_region_put(region);
	wait_for_completion(&region->gone);
	kfree_rcu(region, rcu);
}

/*
 * The region of @key, with its lock held and under RCU; NULL if there is none.
 * @inner: the lock of a window is held; only a memory region is wanted.
 */
static struct qpemu_region *region_lock(struct qpemu_dev *dev, u32 key, bool inner)
{
	struct qpemu_region *region;

	rcu_read_lock();
	region = xa_load(&dev->keys, KEY_INDEX(key));
	if (region && !(inner && region->window)) {
		local_bh_disable();
		spin_lock_nested(&region->lock, inner ? SINGLE_DEPTH_NESTING : 0);
		if (!region->dead && region->key == key)
			return region;
		spin_unlock_bh(&region->lock);
	}
	rcu_read_unlock();
	return NULL;
}

static void region_unlock(struct qpemu_region *region)
{
	spin_unlock_bh(&region->lock);
	rcu_read_unlock();
}

void qpemu_region_stop(struct qpemu_region *region)
{
	WRITE_ONCE(region->state, QPEMU_REGION_FREE);
	smp_mb();	/* against that in qpemu_region_get() */
	/* Accesses are made with bottom halves off and do not wait for us. */
	atomic_cond_read_acquire(&region->users.refs, VAL <= 1);
}

void qpemu_region_start(struct qpemu_region *region)
{
	/* against check_access() */
	smp_store_release(&region->state, QPEMU_REGION_VALID);
}

/* A window lets go of its memory. Stopped, under the lock. */
static void unbind(struct qpemu_region *region)
{
	if (region->mr)
		atomic_dec(&region->mr->num_windows);
	region->mr = NULL;
	region->qpn = 0;
	region->access = 0;
	region->length = 0;
}

static bool has_windows(const struct qpemu_region *region)
{
	/* Windows are bound under the region's lock. */
	return !region->window && atomic_read(&region->mr->num_windows);
}

int qpemu_region_kill(struct qpemu_region *region)
{
	int err = 0;

	spin_lock_bh(&region->lock);
	if (has_windows(region)) {
		err = -EBUSY;
	} else {
		region->dead = true;
		qpemu_region_stop(region);
		if (region->window)
			unbind(region);
	}
	spin_unlock_bh(&region->lock);
	return err;
}

/*
 * Accesses
 */

static u64 first_address(const struct qpemu_region *region)
{
	return region->zero_based ? 0 : region->iova;
}

/* Where @addr lies, counted from the first byte of the memory. */
static u64 memory_offset(const struct qpemu_region *region, u64 addr)
{
	u64 offset = addr - first_address(region);

	if (region->window)
		offset += region->iova - region->mr->region->iova;
	return offset;
}

static u64 page_offset(const struct qpemu_region *region, u64 addr)
{
	const struct qpemu_mr *mr = region->mr;
	u64 offset = memory_offset(region, addr);

	return mr->virt ? mr->base + offset : mr->pages.offset + offset;
}

/* A peer that was given all of memory may still name addresses without any. */
static bool is_memory(const struct qpemu_mr *mr, u64 addr, u64 length)
{
	return mr->dmabuf || (virt_addr_valid((void *)(uintptr_t)addr) &&
			      virt_addr_valid((void *)(uintptr_t)(addr + length - 1)));
}

static int check_access(const struct qpemu_region *region, const struct qpemu_qp *qp,
			u32 key, u64 addr, u64 length, u32 access)
{
	bool remote = access & REMOTE_RIGHTS;
	u64 first;

	/* against qpemu_region_start() */
	if (smp_load_acquire(&region->state) != QPEMU_REGION_VALID ||
	    region->key != key || region->pd != qp->ibqp.pd)
		return -EINVAL;
	if (region->window && (!remote || (region->type2 && region->qpn != qp->ibqp.qp_num)))
		return -EINVAL;
	if (access & ~region->access)
		return -EACCES;
	if (!length)
		return 0;

	first = first_address(region);
	if (addr < first || length > region->length ||
	    addr - first > region->length - length)
		return -ERANGE;
	if (access & IB_ACCESS_REMOTE_ATOMIC && page_offset(region, addr) & 7)
		return -ERANGE;
	if (remote && region->mr->virt && !is_memory(region->mr, addr, length))
		return -ERANGE;
	return 0;
}

struct qpemu_region *qpemu_region_get(struct qpemu_qp *qp, u32 key, u64 addr,
				      u64 length, u32 access)
{
	struct qpemu_region *region;
	int err;

	rcu_read_lock();
	region = xa_load(&to_qdev(qp->ibqp.device)->keys, KEY_INDEX(key));
	if (region && !refcount_inc_not_zero(&region->users))
		region = NULL;
	rcu_read_unlock();
	if (!region)
		return ERR_PTR(-EINVAL);

	smp_mb__after_atomic();		/* against qpemu_region_stop() */
	err = check_access(region, qp, key, addr, length, access);
	if (err) {
		qpemu_region_put(region);
		return ERR_PTR(err);
	}
	return region;
}

void qpemu_region_put(struct qpemu_region *region)
{
	if (refcount_dec_and_test(&region->users))
		complete(&region->gone);
}

int qpemu_region_ready(struct qpemu_qp *qp, struct qpemu_region *region, u64 addr,
		       u64 length)
{
	if (likely(!region->mr->odp) || !length)
		return 0;
	return qpemu_odp_ready(qp, region->mr, page_offset(region, addr), length);
}

/* Kernel addresses are offsets into this. */
static const struct kvec all_memory = { .iov_base = NULL, .iov_len = SIZE_MAX };

/* The bytes as an iterator, ITER_SOURCE or ITER_DEST; valid while held. */
static void region_iter(struct qpemu_region *region, u64 addr, size_t length,
			unsigned int direction, struct iov_iter *iter)
{
	const struct qpemu_pages *pages = &region->mr->pages;
	u64 offset = page_offset(region, addr);
	u32 first;

	if (region->mr->virt) {
		iov_iter_kvec(iter, direction, &all_memory, 1, length);
		iter->iov_offset = offset;
		return;
	}
	first = offset >> pages->shift;
	iov_iter_bvec(iter, direction, pages->bvec + first, pages->num - first, length);
	iter->iov_offset = offset & ((1UL << pages->shift) - 1);
}

int qpemu_region_read(struct qpemu_region *region, u64 addr, void *to, u32 length)
{
	struct iov_iter iter;

	region_iter(region, addr, length, ITER_SOURCE, &iter);
	return copy_from_iter(to, length, &iter) == length ? 0 : -EFAULT;
}

static int region_write(struct qpemu_region *region, u64 addr, const void *from, u32 length)
{
	struct iov_iter iter;

	region_iter(region, addr, length, ITER_DEST, &iter);
	return copy_to_iter(from, length, &iter) == length ? 0 : -EFAULT;
}

int qpemu_region_write_skb(struct qpemu_region *region, u64 addr,
			   const struct sk_buff *skb, int from, u32 length)
{
	struct iov_iter iter;

	region_iter(region, addr, length, ITER_DEST, &iter);
	return skb_copy_datagram_iter(skb, from, &iter, length);
}

/*
 * A piece of memory that lies in one page: region_map() gives its kernel
 * address, and in *@length how many bytes there are up to the page's end.
 */
static void *region_map(const struct qpemu_region *region, u64 addr, u64 *length)
{
	const struct qpemu_pages *pages = &region->mr->pages;
	u64 offset = page_offset(region, addr);
	const struct bio_vec *bvec;

	if (region->mr->virt)
		return (void *)(uintptr_t)offset;

	bvec = &pages->bvec[offset >> pages->shift];
	offset = bvec->bv_offset + (offset & ((1UL << pages->shift) - 1));
	*length = min_t(u64, *length, PAGE_SIZE - offset_in_page(offset));
	return kmap_local_page(bvec->bv_page + (offset >> PAGE_SHIFT)) + offset_in_page(offset);
}

static void region_unmap(const struct qpemu_region *region, void *addr)
{
	if (!region->mr->virt)
		kunmap_local(addr);
}

u64 qpemu_region_cmp_swap(struct qpemu_region *region, u64 addr, u64 compare, u64 swap)
{
	u64 length = sizeof(u64);
	atomic64_t *word = region_map(region, addr, &length);
	u64 old = atomic64_cmpxchg(word, compare, swap);

	region_unmap(region, word);
	return old;
}

u64 qpemu_region_fetch_add(struct qpemu_region *region, u64 addr, u64 add)
{
	u64 length = sizeof(u64);
	atomic64_t *word = region_map(region, addr, &length);
	u64 old = atomic64_fetch_add(add, word);

	region_unmap(region, word);
	return old;
}

void qpemu_region_store(struct qpemu_region *region, u64 addr, u64 value)
{
	u64 length = sizeof(u64);
	atomic64_t *word;

	/* Registered so that no multiple of 8 is one in memory: no atomicity. */
	if (page_offset(region, addr) & 7) {
		region_write(region, addr, &value, sizeof(value));
		return;
	}
	word = region_map(region, addr, &length);
	atomic64_set_release(word, value);
	region_unmap(region, word);
}

int qpemu_region_flush(struct qpemu_region *region, u64 addr, u64 length,
		       u32 type, u32 level)
{
	if (level == IB_FLUSH_MR) {
		addr = first_address(region);
		length = region->length;
	}
	if (type & IB_FLUSH_PERSISTENT) {
		/* All of memory is not known to be persistent. */
		if (region->mr->virt)
			return -EINVAL;
		while (length) {
			u64 part = length;
			void *at = region_map(region, addr, &part);

			arch_wb_cache_pmem(at, part);
			region_unmap(region, at);
			addr += part;
			length -= part;
		}
	}
	/* Writes before it are seen before what the peer does next. */
	smp_mb();
	return 0;
}

/*
 * Pages into packets
 */

static int append_page(struct sk_buff *skb, struct page *page, u32 offset, u32 length)
{
	int num = skb_shinfo(skb)->nr_frags;

	if (num && skb_can_coalesce(skb, num, page, offset)) {
		skb_frag_size_add(&skb_shinfo(skb)->frags[num - 1], length);
	} else {
		if (num >= QPEMU_SUPER_FRAGS)
			return -EMSGSIZE;
		get_page(page);
		skb_fill_page_desc(skb, num, page, offset, length);
	}
	skb_len_add(skb, length);
	return 0;
}

/* Pages of one folio have one reference count, and can be one fragment. */
static int append_shared(struct sk_buff *skb, struct page *page, u32 offset, u32 length)
{
	struct folio *folio = page_folio(page);

	skb_shinfo(skb)->flags |= SKBFL_SHARED_FRAG;
	/* The offset in a fragment has 32 bits. */
	if (folio_size(folio) > SZ_1G)
		return append_page(skb, page, offset, length);
	return append_page(skb, &folio->page,
			   folio_page_idx(folio, page) * PAGE_SIZE + offset, length);
}

static int append_copy(struct sk_buff *skb, const void *from, u32 length)
{
	while (length) {
		u32 part = min_t(u32, length, PAGE_SIZE);
		struct page *page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
		int err;

		if (!page)
			return -ENOMEM;
		memcpy(page_address(page), from, part);
		err = append_page(skb, page, 0, part);
		put_page(page);
		if (err)
			return err;
		from += part;
		length -= part;
	}
	return 0;
}

static int append_virt(struct sk_buff *skb, void *from, u32 length)
{
	while (length) {
		struct page *page = virt_to_page(from);
		u32 part = min_t(u32, length, PAGE_SIZE - offset_in_page(from));
		int err = append_shared(skb, page, offset_in_page(from), part);

		if (err)
			return err;
		from += part;
		length -= part;
	}
	return 0;
}

static bool can_share(void *from, u32 length)
{
	return virt_addr_valid(from) && virt_addr_valid(from + length - 1) &&
	       sendpages_ok(virt_to_page(from), length, offset_in_page(from));
}

int qpemu_region_frags(struct qpemu_region *region, u64 addr, size_t length,
		       struct sk_buff *skb)
{
	while (length) {
		u64 part = length;
		void *at = region_map(region, addr, &part);
		int err = can_share(at, part) ? append_virt(skb, at, part) :
						append_copy(skb, at, part);

		region_unmap(region, at);
		if (err)
			return err;
		addr += part;
		length -= part;
	}
	return 0;
}

/*
 * Lists
 */

/* The Reserved L_Key (IBA v1.2): all of memory, for users in the kernel */
static struct qpemu_mr local_dma_mr = { .virt = true };
static struct qpemu_region local_dma = { .mr = &local_dma_mr };

static struct qpemu_region *local_get(struct qpemu_qp *qp, const struct qpemu_sge *sge,
				      u32 offset, u32 length, u32 access)
{
	if (sge->lkey == QPEMU_LOCAL_DMA_LKEY && !qp->ibqp.uobject)
		return &local_dma;
	return qpemu_region_get(qp, sge->lkey, sge->addr + offset, length, access);
}

static void local_put(struct qpemu_region *region)
{
	if (region != &local_dma)
		qpemu_region_put(region);
}

/* What is done with a piece; @done bytes came before it. */
typedef int (*piece_fn)(struct qpemu_region *region, u64 addr, u32 length,
			u32 done, void *arg);

static __always_inline int walk_pieces(struct qpemu_qp *qp, const struct qpemu_sge *sge,
				       int num, u32 offset, u32 length, u32 access,
				       piece_fn piece, void *arg)
{
	struct qpemu_region *region;
	u32 done = 0;
	int err;

	for (; num && offset >= sge->length; num--, sge++)
		offset -= sge->length;
	for (; num && done < length; num--, sge++, offset = 0) {
		u32 part = min(sge->length - offset, length - done);

		if (!part)
			continue;
		region = local_get(qp, sge, offset, part, access);
		if (IS_ERR(region))
			return PTR_ERR(region);
		err = qpemu_region_ready(qp, region, sge->addr + offset, part);
		if (!err)
			err = piece(region, sge->addr + offset, part, done, arg);
		local_put(region);
		if (err)
			return err;
		done += part;
	}
	return done == length ? 0 : -EFAULT;
}

static int piece_ready(struct qpemu_region *region, u64 addr, u32 length, u32 done, void *arg)
{
	return 0;
}

int qpemu_sges_ready(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num, u32 length,
		     u32 access)
{
	return walk_pieces(qp, sge, num, 0, length, access, piece_ready, NULL);
}

static int piece_frags(struct qpemu_region *region, u64 addr, u32 length, u32 done, void *arg)
{
	return qpemu_region_frags(region, addr, length, arg);
}

int qpemu_sges_frags(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		     u32 offset, u32 length, struct sk_buff *skb)
{
	return walk_pieces(qp, sge, num, offset, length, 0, piece_frags, skb);
}

static int piece_read(struct qpemu_region *region, u64 addr, u32 length, u32 done, void *arg)
{
	return qpemu_region_read(region, addr, arg + done, length);
}

int qpemu_sges_read(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		    u32 offset, void *to, u32 length)
{
	return walk_pieces(qp, sge, num, offset, length, 0, piece_read, to);
}

static int piece_write(struct qpemu_region *region, u64 addr, u32 length, u32 done, void *arg)
{
	return region_write(region, addr, arg + done, length);
}

int qpemu_sges_write(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
		     u32 offset, const void *from, u32 length)
{
	return walk_pieces(qp, sge, num, offset, length, IB_ACCESS_LOCAL_WRITE,
			   piece_write, (void *)from);
}

struct packet_part {
	const struct sk_buff *skb;
	int from;
};

static int piece_write_skb(struct qpemu_region *region, u64 addr, u32 length, u32 done,
			   void *arg)
{
	const struct packet_part *packet = arg;

	return qpemu_region_write_skb(region, addr, packet->skb, packet->from + done, length);
}

int qpemu_sges_write_skb(struct qpemu_qp *qp, const struct qpemu_sge *sge, int num,
			 u32 offset, const struct sk_buff *skb, int from, u32 length)
{
	struct packet_part packet = { .skb = skb, .from = from };

	return walk_pieces(qp, sge, num, offset, length, IB_ACCESS_LOCAL_WRITE,
			   piece_write_skb, &packet);
}

/*
 * Work requests on memory
 */

static int invalidate_window(const struct qpemu_qp *qp, struct qpemu_region *region)
{
	/* IBA v1 10.6.7.2.3: of type 2 only, and by the queue pair that bound it. */
	if (!region->type2 || region->qpn != qp->ibqp.qp_num)
		return -EINVAL;
	qpemu_region_stop(region);
	unbind(region);
	return 0;
}

/*
 * IBA v1 10.6.7.2.2: fast registrations. Users in the kernel may register memory
 * of a process, which is as good as one of those to them.
 */
static bool can_invalidate(const struct ib_mr *ibmr)
{
	return ibmr->type == IB_MR_TYPE_MEM_REG ||
	       (ibmr->type == IB_MR_TYPE_USER && !ibmr->pd->uobject);
}

static int invalidate_mr(struct qpemu_region *region, bool remote)
{
	if (!can_invalidate(&region->mr->ibmr) || has_windows(region))
		return -EINVAL;
	if (remote && !(region->access & REMOTE_RIGHTS))
		return -EINVAL;
	qpemu_region_stop(region);
	return 0;
}

int qpemu_mem_invalidate(struct qpemu_qp *qp, u32 key, bool remote)
{
	struct qpemu_region *region = region_lock(to_qdev(qp->ibqp.device), key, false);
	int err;

	if (!region)
		return -EINVAL;
	if (region->pd != qp->ibqp.pd)
		err = -EINVAL;
	else if (region->window)
		err = invalidate_window(qp, region);
	else
		err = invalidate_mr(region, remote);
	region_unlock(region);
	return err;
}

static int check_fast_reg(const struct qpemu_qp *qp, const struct qpemu_region *region,
			  u32 key, u32 access)
{
	const struct qpemu_mr *mr = region->mr;
	const struct qpemu_pages *pages = mr->staged.num ? &mr->staged : &mr->pages;

	if (mr->ibmr.type != IB_MR_TYPE_MEM_REG || region->pd != qp->ibqp.pd ||
	    region->state != QPEMU_REGION_FREE || KEY_INDEX(key) != KEY_INDEX(region->key))
		return -EINVAL;
	/* Whether these pages are persistent is not looked at. */
	if (access & ~(REMOTE_RIGHTS | IB_ACCESS_LOCAL_WRITE | IB_ACCESS_MW_BIND |
		       IB_ACCESS_OPTIONAL) ||
	    access & IB_ACCESS_FLUSH_PERSISTENT)
		return -EINVAL;
	/* As ib_map_mr_sg() left it. */
	if (mr->ibmr.length + pages->offset > (u64)pages->num << pages->shift)
		return -EINVAL;
	return 0;
}

int qpemu_mem_fast_reg(struct qpemu_qp *qp, struct ib_mr *ibmr, u32 key, u32 access)
{
	struct qpemu_mr *mr = to_qmr(ibmr);
	struct qpemu_region *region = mr->region;
	int err;

	spin_lock_bh(&region->lock);
	err = check_fast_reg(qp, region, key, access);
	if (!err) {
		if (mr->staged.num) {
			swap(mr->pages, mr->staged);
			mr->staged.num = 0;
		}
		region->key = key;
		region->access = access;
		region->iova = ibmr->iova;
		region->length = ibmr->length;
		qpemu_region_start(region);
	}
	spin_unlock_bh(&region->lock);
	return err;
}

/* May @mr's memory be seen through the window? IBA v1 C10-72 to C10-75. */
static int check_bind_memory(const struct qpemu_qp *qp, const struct qpemu_region *mr,
			     const struct qpemu_wqe *wqe)
{
	u64 addr = wqe->bind.addr, length = wqe->bind.length;

	if (mr->state != QPEMU_REGION_VALID || mr->pd != qp->ibqp.pd ||
	    mr->zero_based || !(mr->access & IB_ACCESS_MW_BIND))
		return -EINVAL;
	if (wqe->bind.access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC) &&
	    !(mr->access & IB_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	if (addr < mr->iova || length > mr->length || addr - mr->iova > mr->length - length)
		return -EINVAL;
	return 0;
}

static int check_bind_window(const struct qpemu_qp *qp, const struct qpemu_region *window,
			     const struct qpemu_wqe *wqe)
{
	if (!window->window || window->pd != qp->ibqp.pd ||
	    wqe->bind.access & ~WINDOW_FLAGS)
		return -EINVAL;
	/* IBA v1 10.6.7.2.2: type 1 is not zero based; bound to nothing is unbound. */
	if (!window->type2)
		return wqe->bind.access & IB_ZERO_BASED ? -EINVAL : 0;
	/* Type 2 is bound when free, and unbound by invalidation only. */
	return window->state == QPEMU_REGION_FREE && wqe->bind.length ? 0 : -EINVAL;
}

/* Both locked. */
static void bind(struct qpemu_qp *qp, struct qpemu_region *window,
		 struct qpemu_region *mr, const struct qpemu_wqe *wqe)
{
	qpemu_region_stop(window);
	unbind(window);
	window->key = (window->key & ~0xff) | (wqe->bind.rkey & 0xff);
	if (!mr)
		return;
	atomic_inc(&mr->mr->num_windows);
	window->mr = mr->mr;
	window->iova = wqe->bind.addr;
	window->length = wqe->bind.length;
	window->access = wqe->bind.access & REMOTE_RIGHTS;
	window->zero_based = wqe->bind.access & IB_ZERO_BASED;
	window->qpn = window->type2 ? qp->ibqp.qp_num : 0;
	qpemu_region_start(window);
}

static int bind_to_memory(struct qpemu_qp *qp, struct qpemu_region *window,
			  const struct qpemu_wqe *wqe)
{
	struct qpemu_region *mr;
	int err;

	mr = region_lock(to_qdev(qp->ibqp.device), wqe->bind.mr_lkey, true);
	if (!mr)
		return -EINVAL;
	err = check_bind_memory(qp, mr, wqe);
	if (!err)
		bind(qp, window, mr, wqe);
	region_unlock(mr);
	return err;
}

int qpemu_mem_bind(struct qpemu_qp *qp, const struct qpemu_wqe *wqe)
{
	struct qpemu_region *window;
	int err;

	window = region_lock(to_qdev(qp->ibqp.device), wqe->bind.mw_rkey, false);
	if (!window)
		return -EINVAL;
	err = check_bind_window(qp, window, wqe);
	if (!err && wqe->bind.length)
		err = bind_to_memory(qp, window, wqe);
	else if (!err)
		bind(qp, window, NULL, wqe);
	region_unlock(window);
	return err;
}
