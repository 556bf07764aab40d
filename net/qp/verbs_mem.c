// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: memory tables on devices
 *
 * A memory table becomes known to a device with the first queue pair that has
 * both: it gets a protection domain there, and each registration a memory
 * region, its "shadow". The lkey that user space knows is the core's, and is
 * translated as work is posted; the rkey is the device's, for the peer's device
 * hands it to ours.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "verbs.h"

static const struct {
	u32 qp;
	int ib;
} verbs_rights[] = {
	{ QP_ACCESS_LOCAL_WRITE, IB_ACCESS_LOCAL_WRITE },
	{ QP_ACCESS_REMOTE_WRITE, IB_ACCESS_REMOTE_WRITE },
	{ QP_ACCESS_REMOTE_READ, IB_ACCESS_REMOTE_READ },
	{ QP_ACCESS_REMOTE_ATOMIC, IB_ACCESS_REMOTE_ATOMIC },
};

static int verbs_ib_access(const struct verbs_dom *dom, u32 access)
{
	int i, ib = 0;

	for (i = 0; i < ARRAY_SIZE(verbs_rights); i++)
		if (access & verbs_rights[i].qp)
			ib |= verbs_rights[i].ib;
	/*
	 * iWARP knows no atomics. Some of its devices want the right to write
	 * remotely where a READ puts its data, siw does not; the peer is not
	 * given a right that the user did not give it.
	 */
	if (verbs_is_rnic(dom->dev->ibdev))
		ib &= ~IB_ACCESS_REMOTE_ATOMIC;
	return ib;
}

static struct verbs_shadow *verbs_shadow_find(const struct verbs_mr *vmr,
					      const struct verbs_dom *dom)
{
	struct verbs_shadow *s;

	list_for_each_entry_rcu(s, &vmr->shadows, node,
				lockdep_is_held(&dom->table->lock))
		if (s->dom == dom)
			return s;
	return NULL;
}

/*
 * What a device makes of memory that goes by another address. siw looks at the
 * memory's own, whatever it is told; rxe takes the place in the page from the
 * other one, so that it would access what is not registered.
 */
static bool verbs_base_ok(const struct ib_device *ibdev, const struct qp_mr *mr)
{
	switch (ibdev->ops.driver_id) {
	case RDMA_DRIVER_SIW:
		return mr->base == mr->addr;
	case RDMA_DRIVER_RXE:
		return offset_in_page(mr->base) == offset_in_page(mr->addr);
	default:
		return true;
	}
}

static struct ib_mr *verbs_shadow_reg(const struct qp_mr *mr,
				      struct verbs_dom *dom)
{
	int access = verbs_ib_access(dom, mr->access);

	if (qp_mr_is_dmabuf(mr))
		return ib_reg_user_mr_dmabuf(dom->pd, mr->addr, mr->length,
					     mr->base, mr->fd, access);
	return ib_reg_user_mr(dom->pd, mr->addr, mr->length, mr->base, access);
}

/* Make a registration known to a device. Under the table's lock. */
static int verbs_shadow_make(struct verbs_mr *vmr, struct verbs_dom *dom)
{
	struct qp_mr *mr = vmr->mr;
	struct verbs_shadow *s;
	int err;

	if (!dom->pd)
		return -ENODEV;
	/* A device that comes later does not get to know it */
	if (qp_mr_is_dmabuf(mr) && mr->fd < 0)
		return 0;
	if (mr->mm != current->mm)
		return -EXDEV;
	if (!verbs_base_ok(dom->dev->ibdev, mr))
		return -EOPNOTSUPP;
	s = kzalloc_obj(*s, GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	s->dom = dom;
	s->mr = mr;
	s->ibmr = verbs_shadow_reg(mr, dom);
	if (IS_ERR(s->ibmr)) {
		err = PTR_ERR(s->ibmr);
		goto free;
	}
	s->lkey = s->ibmr->lkey;
	s->rkey = s->ibmr->rkey;
	err = xa_err(xa_store(&dom->rkeys, s->rkey >> 8, s, GFP_KERNEL_ACCOUNT));
	if (err)
		goto dereg;
	list_add_rcu(&s->node, &vmr->shadows);
	return 0;

dereg:
	ib_dereg_mr(s->ibmr);
free:
	kfree(s);
	return err;
}

/* Waits for accesses of the device. Under the table's lock. */
static void verbs_shadow_end(struct verbs_shadow *s)
{
	list_del_rcu(&s->node);
	xa_erase(&s->dom->rkeys, s->rkey >> 8);
	ib_dereg_mr(s->ibmr);
	kfree_rcu(s, rcu);
}

static struct verbs_table *verbs_table_get(struct qp_mtable *table)
{
	struct verbs_table *vt = READ_ONCE(table->priv);
	struct verbs_table *old;

	if (vt)
		return vt;
	vt = kzalloc_obj(*vt, GFP_KERNEL_ACCOUNT);
	if (!vt)
		return NULL;
	vt->table = table;
	mutex_init(&vt->lock);
	INIT_LIST_HEAD(&vt->mrs);
	INIT_LIST_HEAD(&vt->doms);
	old = cmpxchg(&table->priv, NULL, vt);
	if (!old)
		return vt;
	kfree(vt);
	return old;
}

static int verbs_mem_reg(struct qp_mr *mr)
{
	struct verbs_table *vt = verbs_table_get(mr->table);
	struct verbs_dom *dom;
	struct verbs_mr *vmr;
	int err = 1;

	if (!vt)
		return -ENOMEM;
	vmr = kzalloc_obj(*vmr, GFP_KERNEL_ACCOUNT);
	if (!vmr)
		return -ENOMEM;
	vmr->mr = mr;
	INIT_LIST_HEAD(&vmr->shadows);
	mr->priv = vmr;
	mutex_lock(&vt->lock);
	list_add(&vmr->node, &vt->mrs);
	list_for_each_entry(dom, &vt->doms, node) {
		err = verbs_shadow_make(vmr, dom);
		if (err == -ENODEV)
			err = 1;	/* on its way out */
		if (err < 0)
			break;
	}
	/* Who makes a domain from now on may have other descriptors */
	mr->fd = -1;
	mutex_unlock(&vt->lock);
	return err;
}

static void verbs_mem_dereg(struct qp_mr *mr)
{
	struct verbs_table *vt = mr->table->priv;
	struct verbs_shadow *s, *next;
	struct verbs_mr *vmr = mr->priv;

	if (!vmr)
		return;
	mutex_lock(&vt->lock);
	list_del(&vmr->node);
	list_for_each_entry_safe(s, next, &vmr->shadows, node)
		verbs_shadow_end(s);
	mutex_unlock(&vt->lock);
	kfree_rcu(vmr, rcu);
}

static u32 verbs_mem_rkey(const struct qp_sock *qp, const struct qp_mr *mr)
{
	const struct verbs_dom *dom = READ_ONCE(verbs_qp(qp)->dom);
	const struct verbs_mr *vmr = mr->priv;
	const struct verbs_shadow *s;
	u32 rkey = 0;

	rcu_read_lock();
	/* A listener on any address gives the key of its first device */
	list_for_each_entry_rcu(s, &vmr->shadows, node) {
		if (!dom || s->dom == dom) {
			rkey = s->rkey;
			break;
		}
	}
	rcu_read_unlock();
	return rkey;
}

static void verbs_mem_free(struct qp_mtable *table)
{
	kfree(table->priv);
}

const struct qp_mem_ops verbs_mem_ops = {
	.reg	= verbs_mem_reg,
	.dereg	= verbs_mem_dereg,
	.rkey	= verbs_mem_rkey,
	.free	= verbs_mem_free,
};

/* End all shadows on a device, and the protection domain. Table's lock. */
static void verbs_dom_end(struct verbs_dom *dom)
{
	struct verbs_shadow *s;
	struct verbs_mr *vmr;

	lockdep_assert_held(&dom->table->lock);
	if (!dom->pd)
		return;
	list_for_each_entry(vmr, &dom->table->mrs, node) {
		s = verbs_shadow_find(vmr, dom);
		if (s)
			verbs_shadow_end(s);
	}
	ib_dealloc_pd(dom->pd);
	dom->pd = NULL;
	mutex_lock(&dom->dev->lock);
	list_del_init(&dom->dev_node);
	wake_up_var_locked(&dom->dev->doms, &dom->dev->lock);
	mutex_unlock(&dom->dev->lock);
}

/* Make the table's registrations known to a new domain. Table's lock. */
static int verbs_dom_fill(struct verbs_dom *dom)
{
	struct verbs_mr *vmr;
	int err;

	list_for_each_entry(vmr, &dom->table->mrs, node) {
		err = verbs_shadow_make(vmr, dom);
		if (err)
			return err;
	}
	/* The device has them pinned now */
	list_for_each_entry(vmr, &dom->table->mrs, node)
		qp_mr_unpin(vmr->mr);
	return 0;
}

static void verbs_dom_free(struct verbs_dom *dom)
{
	struct qp_mtable *table = dom->table->table;

	xa_destroy(&dom->rkeys);
	verbs_dev_put(dom->dev);
	kfree(dom);
	qp_mtable_unref(table);
}

static struct verbs_dom *verbs_dom_make(struct verbs_table *vt,
					struct verbs_dev *dev)
{
	struct verbs_dom *dom;
	int err;

	dom = kzalloc_obj(*dom, GFP_KERNEL_ACCOUNT);
	if (!dom)
		return ERR_PTR(-ENOMEM);
	dom->table = vt;
	dom->dev = dev;
	refcount_set(&dom->users, 1);
	xa_init_flags(&dom->rkeys, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&dom->dev_node);
	dom->pd = ib_alloc_pd(dev->ibdev, 0);
	if (IS_ERR(dom->pd)) {
		err = PTR_ERR(dom->pd);
		kfree(dom);
		return ERR_PTR(err);
	}
	refcount_inc(&dev->ref);
	qp_mtable_ref(vt->table);

	mutex_lock(&dev->lock);
	err = dev->gone ? -ENODEV : 0;
	if (!err)
		list_add(&dom->dev_node, &dev->doms);
	mutex_unlock(&dev->lock);
	if (!err)
		err = verbs_dom_fill(dom);
	if (!err) {
		list_add(&dom->node, &vt->doms);
		return dom;
	}
	verbs_dom_end(dom);
	verbs_dom_free(dom);
	return ERR_PTR(err);
}

/**
 * verbs_dom_get() - have a memory table known to a device
 * @table: the memory table
 * @dev: the device
 *
 * Context: process, may sleep; that of the process whose memory is registered.
 * Return: the table on the device, for verbs_dom_put(); -ENODEV (it goes),
 * -ENOMEM, -EXDEV (another process' memory is registered), -EOPNOTSUPP
 * (verbs_base_ok()), or why the device does not take a registration.
 */
struct verbs_dom *verbs_dom_get(struct qp_mtable *table, struct verbs_dev *dev)
{
	struct verbs_table *vt = verbs_table_get(table);
	struct verbs_dom *dom;

	if (!vt)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&vt->lock);
	list_for_each_entry(dom, &vt->doms, node)
		if (dom->dev == dev && dom->pd) {
			refcount_inc(&dom->users);
			goto unlock;
		}
	dom = verbs_dom_make(vt, dev);
unlock:
	mutex_unlock(&vt->lock);
	return dom;
}

/**
 * verbs_dom_gone() - the device of a memory table is being removed
 * @dom: the table on it
 *
 * Context: process, may sleep. No queue pair uses it any more.
 */
void verbs_dom_gone(struct verbs_dom *dom)
{
	mutex_lock(&dom->table->lock);
	verbs_dom_end(dom);
	mutex_unlock(&dom->table->lock);
}

void verbs_dom_put(struct verbs_dom *dom)
{
	struct verbs_table *vt = dom->table;

	if (!refcount_dec_and_mutex_lock(&dom->users, &vt->lock))
		return;
	list_del(&dom->node);
	verbs_dom_end(dom);
	mutex_unlock(&vt->lock);
	verbs_dom_free(dom);
}

/**
 * verbs_local_key() - the device's key for a piece of own memory
 * @dom: the memory table on the device
 * @sge: the piece, of at least one byte, as the user named it
 * @access: rights that the memory must grant, QP_ACCESS_*
 * @lkey: where to put the device's key; VERBS_BAD_KEY if there is none
 *
 * Context: process or softirq.
 * Return: 0; -ENOENT, or -ERANGE, -EACCES as qp_mr_check(): the device will
 * refuse too.
 */
int verbs_local_key(struct verbs_dom *dom, const struct qp_sge *sge, u32 access,
		    u32 *lkey)
{
	struct verbs_shadow *s = NULL;
	struct qp_mr *mr;
	int err = -ENOENT;

	*lkey = VERBS_BAD_KEY;
	rcu_read_lock();
	mr = qp_mr_find(dom->table->table, sge->lkey);
	if (mr)
		s = verbs_shadow_find(mr->priv, dom);
	if (s) {
		*lkey = s->lkey;
		err = qp_mr_check(mr, sge->addr, sge->length, access);
	}
	rcu_read_unlock();
	return err;
}

/* The core's key of the registration that has this rkey; 0 if there is none */
u32 verbs_key_of_rkey(struct verbs_dom *dom, u32 rkey)
{
	struct verbs_shadow *s;
	u32 key = 0;

	rcu_read_lock();
	s = xa_load(&dom->rkeys, rkey >> 8);
	if (s && s->rkey == rkey)
		key = s->mr->key;
	rcu_read_unlock();
	return key;
}
