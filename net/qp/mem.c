// SPDX-License-Identifier: GPL-2.0
/*
 * Memory tables: registered user memory, found by keys
 *
 * A registration pins user pages and gets a random key. Work requests name
 * memory by key and address; each access takes a reference for as long as it
 * lasts. Deregistration withdraws the key and waits for accesses in progress,
 * so that afterwards nobody touches the memory.
 *
 * One hash table a network namespace finds the registrations of all memory
 * tables: a memory table is small, and costs nothing to make and to end.
 */
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "qp_impl.h"
#include "stats.h"

#define QP_ACCESS_REMOTE (QP_ACCESS_REMOTE_WRITE | QP_ACCESS_REMOTE_READ | \
			  QP_ACCESS_REMOTE_ATOMIC)
#define QP_ACCESS_FROM_ZERO (QP_ACCESS_ZERO_BASED | QP_ACCESS_DMABUF)
#define QP_ACCESS_ALL	 (QP_ACCESS_REMOTE | QP_ACCESS_LOCAL_WRITE | \
			  QP_ACCESS_FROM_ZERO)

/* Pages to pin between looks at pending signals */
#define QP_PIN_BATCH	(SZ_4M >> PAGE_SHIFT)

static const struct rhashtable_params qp_mr_params = {
	.key_len = sizeof_field(struct qp_mr, key),
	.key_offset = offsetof(struct qp_mr, key),
	.head_offset = offsetof(struct qp_mr, node),
	.automatic_shrinking = true,
};

int qp_mem_net_init(struct qp_net *qn)
{
	return rhashtable_init(&qn->mrs, &qp_mr_params);
}

void qp_mem_net_exit(struct qp_net *qn)
{
	rhashtable_destroy(&qn->mrs);
}

struct qp_mtable *qp_mtable_create(struct net *net, const struct qp_mem_ops *ops)
{
	struct qp_mtable *table;

	table = kzalloc_obj(*table, GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	refcount_set(&table->users, 1);
	refcount_set(&table->ref, 1);
	spin_lock_init(&table->lock);
	INIT_LIST_HEAD(&table->mrs);
	table->ops = ops;
	table->net = get_net(net);
	return table;
}

struct qp_mtable *qp_mtable_get(struct qp_mtable *table)
{
	refcount_inc(&table->users);
	return table;
}

/**
 * qp_mtable_ref() - keep a memory table, though not its registrations
 * @table: the memory table
 *
 * Context: any.
 */
void qp_mtable_ref(struct qp_mtable *table)
{
	refcount_inc(&table->ref);
}
EXPORT_SYMBOL_GPL(qp_mtable_ref);

/**
 * qp_mtable_unref() - the opposite of qp_mtable_ref()
 * @table: the memory table
 *
 * Context: process, may sleep.
 */
void qp_mtable_unref(struct qp_mtable *table)
{
	if (!refcount_dec_and_test(&table->ref))
		return;
	if (table->ops)
		table->ops->free(table);
	put_net(table->net);
	kfree(table);
}
EXPORT_SYMBOL_GPL(qp_mtable_unref);

/**
 * qp_mr_find() - find a registration
 * @table: memory table
 * @key: lkey, or rkey if the core pins the memory
 *
 * Context: any, under rcu_read_lock().
 * Return: the registration, to be looked at until rcu_read_unlock(), or NULL.
 */
struct qp_mr *qp_mr_find(const struct qp_mtable *table, u32 key)
{
	struct qp_mr *mr;

	mr = rhashtable_lookup(&qp_pernet(table->net)->mrs, &key, qp_mr_params);
	return mr && mr->table == table ? mr : NULL;
}
EXPORT_SYMBOL_GPL(qp_mr_find);

/*
 * Take a registration out of the tables. Whoever succeeds owns their
 * reference.
 */
static bool qp_mr_remove(struct qp_mtable *table, struct qp_mr *mr)
{
	if (rhashtable_remove_fast(&qp_pernet(table->net)->mrs, &mr->node,
				   qp_mr_params))
		return false;
	spin_lock(&table->lock);
	list_del(&mr->table_node);
	spin_unlock(&table->lock);
	WRITE_ONCE(mr->dead, true);
	return true;
}

/* A queue pair leaves; with the last one all registrations end */
void qp_mtable_put(struct qp_mtable *table)
{
	struct qp_mr *mr, *next;

	if (!table || !refcount_dec_and_test(&table->users))
		return;
	/* Nobody else can add or remove any more */
	list_for_each_entry_safe(mr, next, &table->mrs, table_node) {
		qp_mr_remove(table, mr);
		qp_mr_put(mr);
		cond_resched();
	}
	qp_mtable_unref(table);
}

/* Charge pinned pages to the user (RLIMIT_MEMLOCK) and to the mm (VmPin) */
static int qp_mr_account(struct qp_mr *mr)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct user_struct *user = current_user();
	unsigned long old, new;

	if (!capable(CAP_IPC_LOCK)) {
		old = atomic_long_read(&user->locked_vm);
		do {
			if (check_add_overflow(old, mr->nr_pages, &new) ||
			    new > limit)
				return -ENOMEM;
		} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, new));
		mr->user = get_uid(user);
	}
	atomic64_add(mr->nr_pages, &mr->mm->pinned_vm);
	return 0;
}

static void qp_mr_unaccount(struct qp_mr *mr)
{
	if (mr->user) {
		atomic_long_sub(mr->nr_pages, &mr->user->locked_vm);
		free_uid(mr->user);
		mr->user = NULL;
	}
	atomic64_sub(mr->nr_pages, &mr->mm->pinned_vm);
}

static int qp_mr_get_pages(struct qp_mr *mr)
{
	unsigned long addr = mr->addr & PAGE_MASK;
	unsigned int flags = FOLL_LONGTERM;
	unsigned long done = 0;
	int n, err;

	if (mr->access & QP_ACCESS_LOCAL_WRITE)
		flags |= FOLL_WRITE;
	while (done < mr->nr_pages) {
		n = min_t(unsigned long, mr->nr_pages - done, QP_PIN_BATCH);
		n = pin_user_pages_fast(addr + (done << PAGE_SHIFT), n, flags,
					mr->pages + done);
		err = n < 0 ? n : n ? 0 : -EFAULT;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (n > 0)
			done += n;
		if (err) {
			unpin_user_pages(mr->pages, done);
			return err;
		}
		cond_resched();
	}
	return 0;
}

/* Pin the pages and charge for them */
static int qp_mr_pin(struct qp_mr *mr)
{
	int err = qp_mr_account(mr);

	if (err)
		return err;
	mr->pages = kvmalloc_array(mr->nr_pages, sizeof(*mr->pages),
				   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	err = mr->pages ? qp_mr_get_pages(mr) : -ENOMEM;
	if (!err)
		return 0;
	kvfree(mr->pages);
	mr->pages = NULL;
	qp_mr_unaccount(mr);
	return err;
}

/**
 * qp_mr_unpin() - let go of the pages
 * @mr: a registration; if devices have its memory, the pages are pinned for
 *	them
 *
 * Context: process, may sleep. No access to the pages is in progress, and none
 * begins.
 */
void qp_mr_unpin(struct qp_mr *mr)
{
	if (!mr->pages)
		return;
	unpin_user_pages_dirty_lock(mr->pages, mr->nr_pages,
				    mr->access & QP_ACCESS_LOCAL_WRITE);
	kvfree(mr->pages);
	mr->pages = NULL;
	qp_mr_unaccount(mr);
}
EXPORT_SYMBOL_GPL(qp_mr_unpin);

/* Set an unused random key and enter the tables */
int qp_mr_insert(struct qp_mtable *table, struct qp_mr *mr)
{
	struct qp_net *qn = qp_pernet(table->net);
	int err;

	spin_lock(&table->lock);
	do {
		mr->key = get_random_u32();
		if (!mr->key)
			err = -EEXIST;
		else
			err = rhashtable_lookup_insert_fast(&qn->mrs, &mr->node,
							    qp_mr_params);
	} while (err == -EEXIST);
	if (!err)
		list_add(&mr->table_node, &table->mrs);
	spin_unlock(&table->lock);
	return err;
}

/* Check a registration's description. The one place where this is done. */
int qp_mem_check(const struct qp_mem *mem)
{
	unsigned long end;

	if (!mem->length || (mem->access & ~QP_ACCESS_ALL))
		return -EINVAL;
	if (mem->access & QP_ACCESS_DMABUF ? offset_in_page(mem->addr) : mem->fd)
		return -EINVAL;
	if (mem->fd < 0)
		return -EBADF;
	if ((mem->access & (QP_ACCESS_REMOTE_WRITE | QP_ACCESS_REMOTE_ATOMIC)) &&
	    !(mem->access & QP_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	if (mem->addr > ULONG_MAX || mem->length > ULONG_MAX ||
	    check_add_overflow((unsigned long)mem->addr,
			       (unsigned long)mem->length, &end) ||
	    end > ULONG_MAX - PAGE_SIZE)
		return -EOVERFLOW;
	return 0;
}

static void qp_mr_release_slot(struct qp_mtable *table)
{
	atomic_dec(&qp_pernet(table->net)->nr_mrs);
	atomic_dec(&table->nr);
}

/* The key to give to a peer of @qp; 0 if it may not have one, or not yet */
static u32 qp_mr_rkey(const struct qp_sock *qp, const struct qp_mr *mr)
{
	if (!(mr->access & QP_ACCESS_REMOTE))
		return 0;
	return mr->table->ops ? mr->table->ops->rkey(qp, mr) : mr->key;
}

/* No device has the memory: have it pinned, if it can be */
static int qp_mr_keep(struct qp_mr *mr)
{
	if (!qp_mr_is_dmabuf(mr))
		return qp_mr_pin(mr);
	return mr->table->ops ? -ENOTCONN : -EOPNOTSUPP;
}

/**
 * qp_mem_reg() - register memory of the calling process
 * @qp: a queue pair that has the memory table
 * @mem: what, and with which rights; the keys come back in it
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL or -EOVERFLOW (@mem is wrong), -ENOBUFS (too many in the
 * network namespace), -ENOMEM (RLIMIT_MEMLOCK, or memory), -EFAULT (not
 * mapped, or not writable), -EINTR (being killed). Of a dma-buf: -EOPNOTSUPP (the
 * protocol or the device knows none), -ENOTCONN (there is no device yet), -EBADF,
 * -EINVAL (it is none, or shorter), or what its exporter says.
 */
int qp_mem_reg(struct qp_sock *qp, struct qp_mem *mem)
{
	struct qp_mtable *table = qp->mem;
	struct qp_net *qn = qp_pernet(table->net);
	struct qp_mr *mr;
	int err;

	err = qp_mem_check(mem);
	if (err)
		return err;
	if (!qp_net_charge(&qn->nr_mrs, READ_ONCE(qn->max_mem_regions))) {
		qp_count(qp, QP_MIB_MEMREGFAILS);
		return -ENOBUFS;
	}
	atomic_inc(&table->nr);

	err = -ENOMEM;
	mr = kzalloc_obj(*mr, GFP_KERNEL_ACCOUNT);
	if (!mr)
		goto slot;
	/* One of the tables, and one as long as we look at it */
	refcount_set(&mr->ref, 2);
	mr->table = table;
	mr->access = mem->access;
	mr->addr = mem->addr;
	mr->base = mem->access & QP_ACCESS_FROM_ZERO ? 0 : mem->addr;
	mr->qpn = qp->qpn;
	mr->fd = qp_mr_is_dmabuf(mr) ? mem->fd : -1;
	mr->length = mem->length;
	mr->offset = offset_in_page(mem->addr);
	mr->nr_pages = PFN_UP(mr->offset + (unsigned long)mem->length);
	mr->mm = current->mm;

	err = table->ops ? table->ops->reg(mr) : 1;
	if (err > 0)
		err = qp_mr_keep(mr);
	if (err)
		goto dereg;

	mmgrab(mr->mm);
	refcount_inc(&table->ref);
	atomic64_add(mr->length, &table->bytes);
	atomic64_add(mr->length, &qn->mr_bytes);
	err = qp_mr_insert(table, mr);
	if (err) {
		qp_mr_put(mr);
		qp_count(qp, QP_MIB_MEMREGFAILS);
	} else {
		qp_count(qp, QP_MIB_MEMREGS);
		mem->lkey = mr->key;
		mem->rkey = qp_mr_rkey(qp, mr);
	}
	qp_mr_put(mr);
	return err;

dereg:
	if (table->ops)
		table->ops->dereg(mr);
	kfree(mr);
slot:
	qp_mr_release_slot(table);
	qp_count(qp, QP_MIB_MEMREGFAILS);
	return err;
}

static void qp_mr_free(struct qp_mr *mr)
{
	struct qp_mtable *table = mr->table;

	if (table->ops)
		table->ops->dereg(mr);
	qp_mr_unpin(mr);
	if (mr->mm)
		mmdrop(mr->mm);
	atomic64_sub(mr->length, &table->bytes);
	atomic64_sub(mr->length, &qp_pernet(table->net)->mr_bytes);
	qp_mr_release_slot(table);
	if (mr->idle)
		complete(mr->idle);
	kfree_rcu(mr, rcu);
	qp_mtable_unref(table);
}

/**
 * qp_mr_put() - end an access to registered memory
 * @mr: from qp_mr_get()
 *
 * Context: process, may sleep: the last reference unpins the pages.
 */
void qp_mr_put(struct qp_mr *mr)
{
	if (refcount_dec_and_test(&mr->ref))
		qp_mr_free(mr);
}
EXPORT_SYMBOL_GPL(qp_mr_put);

/**
 * qp_mr_dead() - was it deregistered since qp_mr_get()?
 * @mr: referenced
 *
 * Return: true if the access has to end soon: somebody may wait.
 */
bool qp_mr_dead(const struct qp_mr *mr)
{
	return READ_ONCE(mr->dead);
}
EXPORT_SYMBOL_GPL(qp_mr_dead);

/**
 * qp_mr_get() - begin an access to registered memory
 * @table: memory table
 * @key: lkey or rkey
 * @addr: address in the registration
 * @len: bytes, not 0
 * @access: rights that it must grant, QP_ACCESS_*
 * @offset: where to put the offset of @addr from the start of the first page
 *
 * Context: any.
 * Return: the registration, referenced; -ENOENT (no such key), -ERANGE
 * (outside of it), -EACCES (right not granted).
 */
struct qp_mr *qp_mr_get(struct qp_mtable *table, u32 key, u64 addr, u64 len,
			u32 access, u64 *offset)
{
	struct qp_mr *mr;
	int err = -ENOENT;

	rcu_read_lock();
	mr = qp_mr_find(table, key);
	if (mr)
		err = qp_mr_check(mr, addr, len, access);
	if (!err && !refcount_inc_not_zero(&mr->ref))
		err = -ENOENT;
	if (!err)
		*offset = mr->offset + (addr - mr->base);
	rcu_read_unlock();
	return err ? ERR_PTR(err) : mr;
}
EXPORT_SYMBOL_GPL(qp_mr_get);

/**
 * qp_mr_invalidate() - end a registration, and wait for accesses in progress
 * @table: memory table
 * @key: the key
 * @remote: the peer asks: only what it may access
 *
 * The caller has no access in progress itself.
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOENT.
 */
int qp_mr_invalidate(struct qp_mtable *table, u32 key, bool remote)
{
	DECLARE_COMPLETION_ONSTACK(idle);
	struct qp_mr *mr;

	rcu_read_lock();
	mr = qp_mr_find(table, key);
	if (mr && remote && !(mr->access & QP_ACCESS_REMOTE))
		mr = NULL;
	if (mr && !qp_mr_remove(table, mr))
		mr = NULL;
	rcu_read_unlock();
	if (!mr)
		return -ENOENT;
	mr->idle = &idle;
	qp_mr_put(mr);
	wait_for_completion(&idle);
	return 0;
}
EXPORT_SYMBOL_GPL(qp_mr_invalidate);

/* Describe the registration with @mem->lkey */
int qp_mem_query(struct qp_sock *qp, struct qp_mem *mem)
{
	struct qp_mr *mr;
	int err = -ENOENT;

	rcu_read_lock();
	mr = qp_mr_find(qp->mem, mem->lkey);
	if (mr) {
		mem->addr = mr->base;
		mem->length = mr->length;
		mem->access = mr->access;
		mem->rkey = qp_mr_rkey(qp, mr);
		err = 0;
	}
	rcu_read_unlock();
	return err;
}
