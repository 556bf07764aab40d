// SPDX-License-Identifier: GPL-2.0
/* Address handles */
#include <linux/jhash.h>
#include <rdma/uverbs_ioctl.h>

#include "link.h"
#include "verbs.h"

static struct qpemu_av *new_av(struct ib_ah *ibah, const struct rdma_ah_attr *attr, gfp_t gfp)
{
	const union ib_gid *dgid = &rdma_ah_read_grh(attr)->dgid;
	struct qpemu_av *av;
	int err;

	av = kzalloc_obj(*av, gfp);
	if (!av)
		return ERR_PTR(-ENOMEM);
	refcount_set(&av->users, 1);
	av->pd = ibah->pd;
	err = qpemu_path_init(&av->path, to_qdev(ibah->device), attr,
			      jhash(dgid, sizeof(*dgid), 0));
	if (err) {
		kfree(av);
		return ERR_PTR(err);
	}
	return av;
}

/* Any context; the caller has a reference. */
void qpemu_av_hold(struct qpemu_av *av)
{
	refcount_inc(&av->users);
}

/* Any context. */
void qpemu_av_put(struct qpemu_av *av)
{
	if (!refcount_dec_and_test(&av->users))
		return;
	qpemu_path_release(&av->path);
	kfree_rcu(av, rcu);
}

struct qpemu_av *qpemu_av_find(struct qpemu_dev *dev, const struct ib_pd *pd, u32 num)
{
	struct qpemu_av *av;

	rcu_read_lock();
	av = xa_load(&dev->ahs, num);
	if (av && (av->pd != pd || !refcount_inc_not_zero(&av->users)))
		av = NULL;
	rcu_read_unlock();
	return av;
}

int qpemu_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
		    struct ib_udata *udata)
{
	gfp_t gfp = init->flags & RDMA_CREATE_AH_SLEEPABLE ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;
	struct qpemu_dev *dev = to_qdev(ibah->device);
	struct rxe_create_ah_resp resp = {};
	struct qpemu_ah *ah = to_qah(ibah);
	struct qpemu_av *av;
	unsigned long flags;
	int err;

	av = new_av(ibah, init->ah_attr, gfp);
	if (IS_ERR(av))
		return PTR_ERR(av);
	ah->attr = *init->ah_attr;
	ah->attr.grh.sgid_attr = NULL;

	/* The lock is taken in any context, and not let go of to allocate. */
	xa_lock_irqsave(&dev->ahs, flags);
	err = __xa_alloc_cyclic(&dev->ahs, &ah->num, av, XA_LIMIT(1, QPEMU_MAX_AH),
				&dev->next_ah, GFP_ATOMIC);
	xa_unlock_irqrestore(&dev->ahs, flags);
	if (err < 0) {
		qpemu_av_put(av);
		return err;
	}

	/* A provider from before there were numbers has no room for one. */
	resp.ah_num = ah->num;
	if (udata && udata->outlen >= sizeof(resp)) {
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err) {
			qpemu_destroy_ah(ibah, RDMA_DESTROY_AH_SLEEPABLE);
			return err;
		}
	}
	return 0;
}

/* What is on its way goes where it was sent. */
int qpemu_modify_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	struct qpemu_dev *dev = to_qdev(ibah->device);
	struct qpemu_av *av = new_av(ibah, attr, GFP_KERNEL_ACCOUNT);
	struct qpemu_ah *ah = to_qah(ibah);
	unsigned long flags;

	if (IS_ERR(av))
		return PTR_ERR(av);
	ah->attr = *attr;
	ah->attr.grh.sgid_attr = NULL;
	/* There is an entry: nothing has to be allocated. */
	xa_lock_irqsave(&dev->ahs, flags);
	av = __xa_store(&dev->ahs, ah->num, av, 0);
	xa_unlock_irqrestore(&dev->ahs, flags);
	qpemu_av_put(av);
	return 0;
}

int qpemu_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	*attr = to_qah(ibah)->attr;
	return 0;
}

/* Context: any. */
int qpemu_destroy_ah(struct ib_ah *ibah, u32 ah_flags)
{
	struct qpemu_dev *dev = to_qdev(ibah->device);
	struct qpemu_av *av;
	unsigned long flags;

	xa_lock_irqsave(&dev->ahs, flags);
	av = __xa_erase(&dev->ahs, to_qah(ibah)->num);
	xa_unlock_irqrestore(&dev->ahs, flags);
	qpemu_av_put(av);
	return 0;
}
