// SPDX-License-Identifier: GPL-2.0
/*
 * Rings shared with user space, in the layout of struct rxe_queue_buf
 *
 * One side writes entries, the other reads them; each owns an index and looks
 * at that of the other:
 *
 *	writer of entries			reader of entries
 *
 *	A: load-acquire reader's index		C: load-acquire writer's index
 *	   is there room?			   is there an entry?
 *	   write the entry			   read the entry
 *	B: store-release own index		D: store-release own index
 *
 * B pairs with C: who sees the index sees the entry. D pairs with A: who sees
 * the slot free does not disturb the reader any more.
 *
 * The driver's own index of either kind is kept in struct qpemu_queue, and what
 * stands in the ring is a copy for the client. An index of the client is masked
 * and believed only as far as it does no harm but to the client itself: it may
 * make entries out of garbage, but not more of them than there are slots.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "qpemu.h"

#define MIN_SLOT_SHIFT	6

/**
 * struct ring - the memory of a queue
 * @entry: by which user space maps it
 * @users: the queue, @entry and each mapping
 * @memcg: whom the pages are charged to
 * @slot_shift: log2 of the size of a slot
 * @mask: number of slots - 1
 * @last_size: bytes of the last page; of a kernel client's it is what is needed
 * @num_pages: entries of @page
 * @page: kernel addresses; NULL as long as nobody has touched the page
 *
 * It outlives the queue if user space has it mapped, and is plain memory then.
 */
struct ring {
	struct rdma_user_mmap_entry entry;
	refcount_t users;
	struct mem_cgroup *memcg;
	u32 slot_shift;
	u32 mask;
	u32 last_size;
	u32 num_pages;
	void *page[] __counted_by(num_pages);
};

/**
 * struct qpemu_queue - the driver's side of a ring
 * @ring: the memory
 * @user: @ring can be mapped
 * @taken: index of the next request to be taken
 * @released: index of the oldest slot that has not been given back
 * @produced: index of the next completion
 * @push_lock: one kernel client at a time; see qpemu_lock()
 */
struct qpemu_queue {
	struct ring *ring;
	bool user;
	u32 taken;
	u32 released;
	u32 produced;
	spinlock_t push_lock;	/* kernel clients among themselves */
};

/* The last page need not be one where nobody maps it. */
static bool is_part(const struct ring *ring, u32 index)
{
	return index == ring->num_pages - 1 && ring->last_size < PAGE_SIZE;
}

static void free_part(const struct ring *ring, u32 index, void *page)
{
	if (is_part(ring, index))
		kfree(page);
	else
		free_page((unsigned long)page);
}

static void ring_put(struct ring *ring)
{
	u32 i;

	if (!refcount_dec_and_test(&ring->users))
		return;
	for (i = 0; i < ring->num_pages; i++)
		free_part(ring, i, ring->page[i]);
	mem_cgroup_put(ring->memcg);
	kvfree(ring);
}

static void *ring_new_page(struct ring *ring, u32 index, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(ring->memcg);
	void *page, *present;

	gfp |= __GFP_ACCOUNT | __GFP_NOWARN;
	page = is_part(ring, index) ? kzalloc(ring->last_size, gfp) :
				      (void *)get_zeroed_page(gfp);
	set_active_memcg(old);
	if (!page)
		return NULL;
	if (!index) {
		struct rxe_queue_buf *head = page;

		head->log2_elem_size = ring->slot_shift;
		head->index_mask = ring->mask;
	}
	/* Fully ordered: who sees the page sees what is in it. */
	present = cmpxchg(&ring->page[index], NULL, page);
	if (!present)
		return page;
	free_part(ring, index, page);
	return present;
}

static void *ring_page(const struct ring *ring, u32 index)
{
	return READ_ONCE(ring->page[index]);
}

/* NULL as long as nobody has touched it: all indices are 0. */
static struct rxe_queue_buf *ring_head(const struct ring *ring)
{
	return ring_page(ring, 0);
}

static size_t slot_offset(const struct ring *ring, u32 slot)
{
	return sizeof(struct rxe_queue_buf) + ((size_t)slot << ring->slot_shift);
}

static size_t slot_size(const struct ring *ring)
{
	return (size_t)1 << ring->slot_shift;
}

/* A slot may straddle pages. */
static void ring_read(const struct ring *ring, size_t offset, void *to, size_t size)
{
	while (size) {
		size_t part = min_t(size_t, size, PAGE_SIZE - offset_in_page(offset));
		const void *page = ring_page(ring, offset >> PAGE_SHIFT);

		if (page)
			memcpy(to, page + offset_in_page(offset), part);
		else
			memset(to, 0, part);
		to += part;
		offset += part;
		size -= part;
	}
}

static bool ring_write(struct ring *ring, size_t offset, const void *from, size_t size)
{
	while (size) {
		size_t part = min_t(size_t, size, PAGE_SIZE - offset_in_page(offset));
		u32 index = offset >> PAGE_SHIFT;
		void *page = ring_page(ring, index) ?:
			     ring_new_page(ring, index, GFP_ATOMIC);

		if (!page)
			return false;
		memcpy(page + offset_in_page(offset), from, part);
		from += part;
		offset += part;
		size -= part;
	}
	return true;
}

static void slot_read(const struct ring *ring, u32 slot, void *to, size_t size)
{
	ring_read(ring, slot_offset(ring, slot), to, min(size, slot_size(ring)));
}

static bool slot_write(struct ring *ring, u32 slot, const void *from, size_t size)
{
	return ring_write(ring, slot_offset(ring, slot), from, min(size, slot_size(ring)));
}

/*
 * Mapping
 *
 * The file of a mapping is not that of the user context but one of its own: it
 * holds the ring and this module for as long as anyone maps the ring, which may
 * be longer than the device is there.
 */

static int ring_file_release(struct inode *inode, struct file *file)
{
	ring_put(file->private_data);
	return 0;
}

static const struct file_operations ring_file_ops = {
	.owner = THIS_MODULE,
	.release = ring_file_release,
	.llseek = noop_llseek,
};

static vm_fault_t ring_fault(struct vm_fault *vmf)
{
	struct ring *ring = vmf->vma->vm_file->private_data;
	pgoff_t index = vmf->pgoff - ring->entry.start_pgoff;
	void *page;

	if (index >= ring->num_pages)
		return VM_FAULT_SIGBUS;
	page = ring_page(ring, index) ?: ring_new_page(ring, index, GFP_KERNEL);
	if (!page)
		return VM_FAULT_OOM;
	vmf->page = virt_to_page(page);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct ring_vm_ops = {
	.fault = ring_fault,
};

/**
 * qpemu_mmap - ib_device_ops.mmap: a ring, whole and shared
 * @ucontext: who maps
 * @vma: where; its offset names the ring
 *
 * Context: may sleep.
 * Return: 0 or -errno.
 */
int qpemu_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry = rdma_user_mmap_entry_get(ucontext, vma);
	struct file *file;
	struct ring *ring;

	if (!entry)
		return -EINVAL;
	ring = container_of(entry, struct ring, entry);
	refcount_inc(&ring->users);
	file = anon_inode_getfile("[qpemu]", &ring_file_ops, ring, O_RDWR);
	rdma_user_mmap_entry_put(entry);
	if (IS_ERR(file)) {
		ring_put(ring);
		return PTR_ERR(file);
	}
	vma_set_file(vma, file);
	fput(file);
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &ring_vm_ops;
	return 0;
}

void qpemu_mmap_free(struct rdma_user_mmap_entry *entry)
{
	ring_put(container_of(entry, struct ring, entry));
}

/*
 * Making and breaking
 */

static struct ring *ring_create(u32 slots, size_t size, bool user)
{
	u32 shift = max_t(u32, order_base_2(size), MIN_SLOT_SHIFT);
	u64 bytes = sizeof(struct rxe_queue_buf) + ((u64)slots << shift);
	u64 pages = DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);
	struct ring *ring;

	/* struct mminfo counts in 32 bits. */
	if (bytes > U32_MAX - PAGE_SIZE)
		return ERR_PTR(-EINVAL);
	ring = kvzalloc_flex(*ring, page, pages, GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	refcount_set(&ring->users, 1);
	ring->num_pages = pages;
	ring->last_size = user ? PAGE_SIZE : bytes - (pages - 1) * PAGE_SIZE;
	ring->slot_shift = shift;
	ring->mask = slots - 1;
	return ring;
}

/* A kernel client posts where it cannot be told to wait for memory. */
static int ring_populate(struct ring *ring)
{
	u32 i;

	for (i = 0; i < ring->num_pages; i++)
		if (!ring_new_page(ring, i, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}

static int ring_publish(struct ring *ring, struct ib_ucontext *ucontext, struct mminfo *mi)
{
	size_t size = (size_t)ring->num_pages << PAGE_SHIFT;
	int err = rdma_user_mmap_entry_insert(ucontext, &ring->entry, size);

	if (err)
		return err;
	refcount_inc(&ring->users);
	ring->memcg = get_mem_cgroup_from_mm(current->mm);
	*mi = (struct mminfo) {
		.offset = rdma_user_mmap_get_offset(&ring->entry),
		.size = size,
	};
	return 0;
}

struct qpemu_queue *qpemu_queue_create(u32 *entries, size_t size,
				       struct ib_ucontext *ucontext,
				       struct mminfo *mi)
{
	struct qpemu_queue *q;
	int err;

	if (*entries >= BIT(31))
		return ERR_PTR(-EINVAL);
	q = kzalloc_obj(*q, GFP_KERNEL_ACCOUNT);
	if (!q)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&q->push_lock);

	/* One slot stays free: a full ring is not an empty one. */
	q->ring = ring_create(roundup_pow_of_two(*entries + 1), size, ucontext);
	if (IS_ERR(q->ring)) {
		err = PTR_ERR(q->ring);
		goto free_queue;
	}
	q->user = ucontext;
	err = ucontext ? ring_publish(q->ring, ucontext, mi) : ring_populate(q->ring);
	if (err)
		goto put_ring;
	*entries = q->ring->mask;
	return q;

put_ring:
	ring_put(q->ring);
free_queue:
	kfree(q);
	return ERR_PTR(err);
}

void qpemu_queue_destroy(struct qpemu_queue *q)
{
	if (!q)
		return;
	if (q->user)
		rdma_user_mmap_entry_remove(&q->ring->entry);
	ring_put(q->ring);
	kfree(q);
}

/*
 * Indices of the client, as it shows them
 */

static u32 client_producer(const struct ring *ring)
{
	const struct rxe_queue_buf *head = ring_head(ring);

	return head ? smp_load_acquire(&head->producer_index) & ring->mask : 0;	/* C */
}

static u32 client_consumer(const struct ring *ring)
{
	const struct rxe_queue_buf *head = ring_head(ring);

	return head ? smp_load_acquire(&head->consumer_index) & ring->mask : 0;	/* A */
}

/*
 * Client to driver
 */

u32 qpemu_queue_pending(struct qpemu_queue *q)
{
	u32 mask = q->ring->mask;
	u32 shown = (client_producer(q->ring) - q->taken) & mask;
	u32 in_progress = (q->taken - q->released) & mask;

	/* An honest client does not reuse slots that it has not got back. */
	return min(shown, mask - in_progress);
}

bool qpemu_queue_take(struct qpemu_queue *q, void *entry, size_t size)
{
	struct ring *ring = q->ring;

	if (!qpemu_queue_pending(q))
		return false;
	slot_read(ring, q->taken, entry, size);
	q->taken = (q->taken + 1) & ring->mask;
	return true;
}

static void show_released(struct qpemu_queue *q, u32 index)
{
	struct rxe_queue_buf *head = ring_head(q->ring);

	q->released = index;
	if (head)
		smp_store_release(&head->consumer_index, index);	/* D */
}

void qpemu_queue_release(struct qpemu_queue *q, u32 n)
{
	show_released(q, (q->released + n) & q->ring->mask);
}

bool qpemu_queue_push(struct qpemu_queue *q, const void *entry, size_t size)
{
	struct ring *ring = q->ring;
	bool done = false, bh;
	u32 index, next;

	bh = qpemu_lock(&q->push_lock);
	index = client_producer(ring);
	next = (index + 1) & ring->mask;
	if (next != client_consumer(ring))
		done = slot_write(ring, index, entry, size);
	if (done)
		smp_store_release(&ring_head(ring)->producer_index, next);	/* B */
	qpemu_unlock(&q->push_lock, bh);
	return done;
}

/*
 * Driver to client
 */

bool qpemu_queue_produce(struct qpemu_queue *q, const void *entry, size_t size)
{
	struct ring *ring = q->ring;
	u32 next = (q->produced + 1) & ring->mask;

	if (next == client_consumer(ring))
		return false;
	/* The head's page holds the index and need not be that of the slot. */
	if (!ring_head(ring) && !ring_new_page(ring, 0, GFP_ATOMIC))
		return false;
	if (!slot_write(ring, q->produced, entry, size))
		return false;
	q->produced = next;
	smp_store_release(&ring_head(ring)->producer_index, next);	/* B */
	return true;
}

bool qpemu_queue_poll(struct qpemu_queue *q, void *entry, size_t size)
{
	struct ring *ring = q->ring;
	u32 index = client_consumer(ring);

	if (index == client_producer(ring))
		return false;
	slot_read(ring, index, entry, size);
	index = (index + 1) & ring->mask;
	smp_store_release(&ring_head(ring)->consumer_index, index);	/* D */
	return true;
}

u32 qpemu_queue_used(struct qpemu_queue *q)
{
	return (q->produced - client_consumer(q->ring)) & q->ring->mask;
}

/*
 * Either
 */

void qpemu_queue_reset(struct qpemu_queue *q)
{
	q->taken = client_producer(q->ring);
	show_released(q, q->taken);
}

u32 qpemu_queue_entries(const struct qpemu_queue *q)
{
	return q->ring->mask;
}

/* Slot @first of @from and those after it become those of the fresh ring @to. */
static int copy_slots(struct ring *to, const struct ring *from, u32 first, u32 num, size_t size)
{
	u8 chunk[1 << MIN_SLOT_SHIFT];
	size_t at;
	u32 i;

	if (num > to->mask)
		return -EINVAL;
	for (i = 0; i < num; i++) {
		size_t source = slot_offset(from, (first + i) & from->mask);
		size_t target = slot_offset(to, i);

		for (at = 0; at < size; at += sizeof(chunk)) {
			ring_read(from, source + at, chunk, sizeof(chunk));
			if (!ring_write(to, target + at, chunk, sizeof(chunk)))
				return -ENOMEM;
		}
	}
	if (num)
		smp_store_release(&ring_head(to)->producer_index, num);	/* B */
	return 0;
}

int qpemu_queue_move_requests(struct qpemu_queue *to, struct qpemu_queue *from,
			      size_t size)
{
	return copy_slots(to->ring, from->ring, from->taken, qpemu_queue_pending(from), size);
}

int qpemu_queue_move_completions(struct qpemu_queue *to, struct qpemu_queue *from,
				 size_t size)
{
	u32 num = qpemu_queue_used(from);
	int err = copy_slots(to->ring, from->ring, client_consumer(from->ring), num, size);

	if (!err)
		to->produced = num;
	return err;
}

#if IS_ENABLED(CONFIG_INFINIBAND_QPEMU_KUNIT_TEST)
#include "queue_test.c"
#endif
