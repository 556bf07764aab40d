// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: receives that queue pairs for datagrams share
 *
 * Queue pairs for datagrams of users in the kernel have no receives of their own.
 * Those of a network namespace on a device share a pool of them, which is a shared
 * receive queue of the device, so that one that is idle costs nothing for what it
 * might receive. A buffer that a message has come into is handed over to who it is
 * for, whose room for it is limited, and another one takes its place at once: who
 * does not read loses messages, and others do not. A short message is copied instead,
 * as who waits for it has room for many of those, and the buffer is used again.
 *
 * The pool grows, to twice as many, whenever the device says that half of them
 * are in use. After a time without that it shrinks, as messages come.
 *
 * A completion says for whom it is by a pointer, which may be that of a queue
 * pair that is gone by then. So it is looked up and not followed, and no queue pair
 * is made while there may be completions of one that had the same address.
 */
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <rdma/ib_cache.h>

#include "verbs.h"

/*
 * Receives of a pool: of how few it can be, and how many. With one more the latter
 * is what a ring has room for.
 */
#define VERBS_POOL_MIN		255
#define VERBS_POOL_MAX		1023

/* So long a message is copied, bytes without the header in front of it */
#define VERBS_POOL_COPY		256

/* When a pool that did not need that many has fewer */
#define VERBS_POOL_TIME		(10 * HZ)

/* When one that could not have as many as it wants tries again */
#define VERBS_POOL_RETRY	(HZ / 10)

/**
 * struct verbs_buf - a receive
 * @cqe: how its completion finds it
 * @node: in &verbs_pool.bufs
 * @pool: whose
 * @skb: what is received into
 * @dma: where the device sees it, if @mapped
 * @mapped: the device has it
 */
struct verbs_buf {
	struct ib_cqe cqe;
	struct list_head node;
	struct verbs_pool *pool;
	struct sk_buff *skb;
	u64 dma;
	bool mapped;
};

static const struct rhashtable_params verbs_pool_params = {
	.head_offset	= offsetof(struct verbs_ud, pool_node),
	.key_offset	= offsetof(struct verbs_ud, pool_qp),
	.key_len	= sizeof_field(struct verbs_ud, pool_qp),
	.automatic_shrinking = true,
};

/*
 * Buffers
 */

static u32 verbs_buf_size(const struct verbs_pool *p)
{
	return IB_GRH_BYTES + p->size;
}

static struct sk_buff *verbs_buf_skb(const struct verbs_pool *p, gfp_t gfp)
{
	return alloc_skb(verbs_buf_size(p), gfp | __GFP_NOWARN);
}

static void verbs_buf_unmap(struct verbs_buf *b)
{
	if (b->mapped)
		ib_dma_unmap_single(b->pool->dev->ibdev, b->dma,
				    verbs_buf_size(b->pool), DMA_FROM_DEVICE);
	b->mapped = false;
}

/* Give it to the device. False if that does not take it. */
static bool verbs_buf_post(struct verbs_buf *b)
{
	struct verbs_pool *p = b->pool;
	struct ib_sge sge = {
		.length = verbs_buf_size(p),
		.lkey = p->dom->pd->local_dma_lkey,
	};
	struct ib_recv_wr wr = {
		.wr_cqe = &b->cqe,
		.sg_list = &sge,
		.num_sge = 1,
	};
	struct ib_device *ibdev = p->dev->ibdev;

	if (!b->mapped) {
		b->dma = ib_dma_map_single(ibdev, b->skb->data, sge.length,
					   DMA_FROM_DEVICE);
		if (ib_dma_mapping_error(ibdev, b->dma))
			return false;
		b->mapped = true;
	}
	sge.addr = b->dma;
	return !ib_post_srq_recv(p->srq, &wr, NULL);
}

/* Under the lock of the completion queue, or nobody else has the pool */
static void verbs_buf_free(struct verbs_buf *b)
{
	verbs_buf_unmap(b);
	list_del(&b->node);
	b->pool->nr--;
	kfree_skb(b->skb);
	kfree(b);
}

/*
 * Receiving
 */

/*
 * Hand a message over to who it is for; softirqs are off. Under the lock of the
 * completion queue.
 */
static void verbs_pool_up(struct verbs_qp *v, struct sk_buff *skb,
			  const struct ib_wc *wc)
{
	union rdma_network_hdr *hdr = (void *)skb->data;
	struct qp_rmsg *m = QP_RMSG(skb);
	bool own;

	verbs_ud_complete(v->ud, hdr, wc);
	spin_lock(&v->recv_lock);
	own = v->phase != VERBS_UP || verbs_ud_own(v->ud, hdr, wc);
	spin_unlock(&v->recv_lock);
	if (own) {
		kfree_skb(skb);
		return;
	}
	memset(m, 0, sizeof(*m));
	m->src_qpn = wc->src_qp;
	m->sl = wc->sl;
	if (wc->wc_flags & IB_WC_WITH_IMM) {
		m->flags = QP_CQE_IMM;
		m->imm_data = wc->ex.imm_data;
	}
	verbs_ud_info(v->ud, hdr, skb);
	skb_put(skb, wc->byte_len);
	__skb_pull(skb, IB_GRH_BYTES);
	atomic64_inc(&v->qp->rx_msgs);
	atomic64_add(skb->len, &v->qp->rx_bytes);
	v->ud->pool->cq.reader = v->qp->reader;
	v->qp->user->recv(v->qp, skb);
}

static struct sk_buff *verbs_pool_copy(struct verbs_buf *b, u32 len)
{
	struct sk_buff *skb = alloc_skb(len, GFP_ATOMIC | __GFP_NOWARN);
	struct ib_device *ibdev = b->pool->dev->ibdev;

	if (!skb)
		return NULL;
	ib_dma_sync_single_for_cpu(ibdev, b->dma, len, DMA_FROM_DEVICE);
	memcpy(skb->data, b->skb->data, len);
	ib_dma_sync_single_for_device(ibdev, b->dma, len, DMA_FROM_DEVICE);
	return skb;
}

/*
 * What came into a buffer, which has another skb then unless it was short. If there
 * is none to be had the message is lost, as it would be if the buffer were missing.
 */
static struct sk_buff *verbs_pool_take(struct verbs_buf *b, const struct ib_wc *wc)
{
	struct sk_buff *skb = b->skb, *next;

	if (wc->byte_len < IB_GRH_BYTES ||
	    wc->byte_len > verbs_buf_size(b->pool))
		return NULL;
	if (wc->byte_len <= IB_GRH_BYTES + VERBS_POOL_COPY)
		return verbs_pool_copy(b, wc->byte_len);
	next = verbs_buf_skb(b->pool, GFP_ATOMIC);
	if (!next)
		return NULL;
	verbs_buf_unmap(b);
	b->skb = next;
	return skb;
}

/* One buffer less: the work gets another one */
static void verbs_pool_lacks(struct verbs_pool *p)
{
	WRITE_ONCE(p->lacking, true);
	mod_delayed_work(verbs_wq, &p->work, VERBS_POOL_RETRY);
}

/* A receive is complete. Under the lock of the completion queue. */
static void verbs_pool_cqe(struct ib_cq *cq, struct ib_wc *wc)
{
	struct verbs_buf *b = container_of(wc->wr_cqe, struct verbs_buf, cqe);
	struct verbs_pool *p = b->pool;
	const struct ib_qp *ibqp = wc->qp;
	struct verbs_ud *ud = NULL;
	struct sk_buff *skb = NULL;

	rcu_read_lock();
	/* What does not fit comes with an error on some devices */
	if (wc->status == IB_WC_SUCCESS)
		ud = rhashtable_lookup(&p->qps, &ibqp, verbs_pool_params);
	if (ud)
		skb = verbs_pool_take(b, wc);
	if (p->nr > p->want) {
		verbs_buf_free(b);
	} else if (!verbs_buf_post(b)) {
		verbs_buf_free(b);
		verbs_pool_lacks(p);
	}
	if (skb)
		verbs_pool_up(ud->v, skb, wc);
	rcu_read_unlock();
}

/*
 * Growing and shrinking
 */

/*
 * Have as many buffers as are wanted. Process context, may sleep. 0, or -ENOMEM: the
 * device's memory may be meant.
 */
static int verbs_pool_fill(struct verbs_pool *p)
{
	struct verbs_buf *b;
	bool posted;

	while (READ_ONCE(p->nr) < p->want) {
		b = kzalloc_obj(*b, GFP_KERNEL_ACCOUNT);
		if (!b)
			return -ENOMEM;
		b->cqe.done = verbs_pool_cqe;
		b->pool = p;
		b->skb = verbs_buf_skb(p, GFP_KERNEL_ACCOUNT);
		if (!b->skb) {
			kfree(b);
			return -ENOMEM;
		}
		spin_lock_bh(&p->cq.lock);
		list_add(&b->node, &p->bufs);
		p->nr++;
		posted = verbs_buf_post(b);
		if (!posted)
			verbs_buf_free(b);
		spin_unlock_bh(&p->cq.lock);
		if (!posted)
			return -ENOMEM;
	}
	return 0;
}

/* Have the device say, once, when half of them are in use */
static void verbs_pool_watch(struct verbs_pool *p)
{
	struct ib_srq_attr attr = { .srq_limit = p->want / 2 };

	ib_modify_srq(p->srq, &attr, IB_SRQ_LIMIT);
}

static void verbs_pool_work(struct work_struct *work)
{
	struct verbs_pool *p = container_of(to_delayed_work(work),
					    struct verbs_pool, work);
	bool lacking = xchg(&p->lacking, false);
	bool low = xchg(&p->low, false);
	bool full = p->want == p->max;

	if (low)
		WRITE_ONCE(p->want, min(2 * p->want + 1, p->max));
	else if (!lacking)
		WRITE_ONCE(p->want, max(p->want / 2, p->min));
	if (verbs_pool_fill(p))
		verbs_pool_lacks(p);
	/* There is nothing to be done about one that is as large as can be */
	if (!low || !full)
		verbs_pool_watch(p);
	if (p->want > p->min)
		queue_delayed_work(verbs_wq, &p->work, VERBS_POOL_TIME);
}

/* Half of them are in use. Any context. */
static void verbs_pool_event(struct ib_event *event, void *context)
{
	struct verbs_pool *p = context;

	if (event->event != IB_EVENT_SRQ_LIMIT_REACHED)
		return;
	WRITE_ONCE(p->low, true);
	mod_delayed_work(verbs_wq, &p->work, 0);
}

/*
 * Making and ending a pool
 */

static int verbs_pool_fit_out(struct verbs_pool *p)
{
	struct ib_device *ibdev = p->dev->ibdev;
	u32 max = min_t(u32, VERBS_POOL_MAX, ibdev->attrs.max_srq_wr);
	struct ib_srq_init_attr attr = {
		.event_handler	= verbs_pool_event,
		.srq_context	= p,
		.attr.max_wr	= max,
		.attr.max_sge	= 1,
		.srq_type	= IB_SRQT_BASIC,
	};
	struct ib_srq *srq;
	int err;

	err = verbs_cq_make(&p->cq, ibdev, max);
	if (err)
		return err;
	srq = ib_create_srq(p->dom->pd, &attr);
	if (IS_ERR(srq))
		return PTR_ERR(srq);
	p->srq = srq;
	p->max = max;
	p->min = min_t(u32, VERBS_POOL_MIN, max);
	p->want = p->min;
	err = verbs_pool_fill(p);
	if (!err)
		verbs_pool_watch(p);
	return err;
}

/* It has no members. Under the device's pools_lock, if others can find it. */
static void verbs_pool_free(struct verbs_pool *p)
{
	struct verbs_buf *b, *next;

	list_del(&p->node);
	wake_up_var_locked(&p->dev->pools, &p->dev->pools_lock);
	/* The device may have an event until the SRQ is gone */
	disable_delayed_work_sync(&p->work);
	if (p->srq)
		ib_destroy_srq(p->srq);
	verbs_cq_end(&p->cq);
	list_for_each_entry_safe(b, next, &p->bufs, node)
		verbs_buf_free(b);
	rhashtable_destroy(&p->qps);
	verbs_dom_put(p->dom);
	kfree(p);
}

static struct verbs_pool *verbs_pool_new(struct verbs_qp *v, struct verbs_dev *dev)
{
	struct verbs_pool *p = kzalloc_obj(*p, GFP_KERNEL_ACCOUNT);
	struct verbs_dom *dom;
	int err;

	if (!p)
		return ERR_PTR(-ENOMEM);
	err = rhashtable_init(&p->qps, &verbs_pool_params);
	if (err)
		goto free;
	dom = verbs_dom_get(v->qp->mem, dev);
	err = PTR_ERR_OR_ZERO(dom);
	if (err)
		goto destroy_qps;
	p->dom = dom;
	p->dev = dev;
	p->net = sock_net(&v->qp->sk);
	p->size = v->qp->max_msg;
	spin_lock_init(&p->cq.lock);
	mutex_init(&p->making);
	INIT_LIST_HEAD(&p->node);
	INIT_LIST_HEAD(&p->bufs);
	INIT_DELAYED_WORK(&p->work, verbs_pool_work);
	err = verbs_pool_fit_out(p);
	if (!err)
		return p;
	verbs_pool_free(p);
	return ERR_PTR(err);

destroy_qps:
	rhashtable_destroy(&p->qps);
free:
	kfree(p);
	return ERR_PTR(err);
}

static struct verbs_pool *verbs_pool_find(struct verbs_qp *v, struct verbs_dev *dev)
{
	struct verbs_pool *p;

	list_for_each_entry(p, &dev->pools, node)
		if (p->net == sock_net(&v->qp->sk) && p->size == v->qp->max_msg)
			return p;
	p = verbs_pool_new(v, dev);
	if (!IS_ERR(p))
		list_add(&p->node, &dev->pools);
	return p;
}

/**
 * verbs_pool_get() - become a member of a pool
 * @v: a queue pair for datagrams; knows how long they can be
 * @dev: the device
 *
 * Context: process, may sleep.
 * Return: the pool, for verbs_pool_put(); -ENODEV (the device goes), -ENOMEM, or
 * what the device says.
 */
struct verbs_pool *verbs_pool_get(struct verbs_qp *v, struct verbs_dev *dev)
{
	struct verbs_pool *p = ERR_PTR(-ENODEV);
	bool gone;

	mutex_lock(&dev->pools_lock);
	mutex_lock(&dev->lock);
	gone = dev->gone;
	mutex_unlock(&dev->lock);
	if (!gone)
		p = verbs_pool_find(v, dev);
	if (!IS_ERR(p))
		p->members++;
	mutex_unlock(&dev->pools_lock);
	return p;
}

void verbs_pool_put(struct verbs_pool *p)
{
	struct verbs_dev *dev = p->dev;

	/* Who removes the device may only be waiting for the lock */
	refcount_inc(&dev->ref);
	mutex_lock(&dev->pools_lock);
	if (!--p->members)
		verbs_pool_free(p);
	mutex_unlock(&dev->pools_lock);
	verbs_dev_put(dev);
}

/*
 * Members
 */

/* Make the device's queue pair of a member. Process context, may sleep. */
int verbs_pool_make_qp(struct verbs_qp *v, struct rdma_cm_id *id,
		       struct ib_qp_init_attr *attr)
{
	struct verbs_ud *ud = v->ud;
	struct verbs_pool *p = ud->pool;
	int err;

	attr->srq = p->srq;
	attr->recv_cq = p->cq.ib;
	mutex_lock(&p->making);
	err = rdma_create_qp(id, p->dom->pd, attr);
	if (!err) {
		ud->pool_qp = id->qp;
		err = rhashtable_insert_fast(&p->qps, &ud->pool_node,
					     verbs_pool_params);
		if (err)
			rdma_destroy_qp(id);
	}
	mutex_unlock(&p->making);
	return err;
}

/**
 * verbs_pool_leave() - be told of messages no more
 * @v: a member whose queue pair fails; whoever tells it of one is waited for
 *
 * Context: process.
 */
void verbs_pool_leave(struct verbs_qp *v)
{
	struct verbs_pool *p = v->ud->pool;

	rhashtable_remove_fast(&p->qps, &v->ud->pool_node, verbs_pool_params);
	spin_lock_bh(&p->cq.lock);
	if (p->cq.reader == v->qp->reader)
		p->cq.reader = NULL;
	spin_unlock_bh(&p->cq.lock);
}

/* Destroy the queue pair of who has left. Process context, may sleep. */
void verbs_pool_destroy_qp(struct verbs_qp *v, struct rdma_cm_id *id)
{
	struct verbs_pool *p = v->ud->pool;

	mutex_lock(&p->making);
	rdma_destroy_qp(id);
	verbs_cq_empty(&p->cq);
	mutex_unlock(&p->making);
}
