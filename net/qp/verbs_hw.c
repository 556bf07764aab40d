// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: the device's queue pair behind a queue pair
 *
 * verbs_attach() is done as soon as the device is known, verbs_make_qp() for a
 * connection. verbs_detach() undoes both, when the descriptor is closed, when a
 * connection could not be made, or when the device is removed. Only the first of
 * these is the last for the queue pair, so what user space has posted outlives
 * it: it is flushed.
 */
#include <linux/slab.h>

#include "verbs.h"

static_assert((int)QP_WC_GENERAL_ERR == (int)IB_WC_GENERAL_ERR);
static_assert((int)QP_WC_RNR_RETRY_EXC_ERR == (int)IB_WC_RNR_RETRY_EXC_ERR);
static_assert((int)QP_WC_WR_FLUSH_ERR == (int)IB_WC_WR_FLUSH_ERR);

/**
 * verbs_set_phase() - say how far the connection is
 * @v: whose
 * @phase: what it is now
 *
 * Context: process. When this returns nobody works on the premise that it is
 * what it was.
 */
void verbs_set_phase(struct verbs_qp *v, enum verbs_phase phase)
{
	spin_lock_bh(&v->recv_lock);
	spin_lock(&v->send_lock);
	v->phase = phase;
	spin_unlock(&v->send_lock);
	spin_unlock_bh(&v->recv_lock);
}

/*
 * What can be posted. Most devices let the peer invalidate only fast
 * registrations; the emulations are known to do it with any memory.
 */
static u32 verbs_opcodes(const struct verbs_transport *t, u32 type,
			 const struct ib_device *ibdev)
{
	u32 opcodes = qp_proto_opcodes(t->proto, type);

	if (ibdev->ops.driver_id != t->driver_id)
		opcodes &= ~BIT(QP_OP_SEND_INV);
	return opcodes;
}

/* Speak what the device speaks, unless something else was asked for */
static int verbs_choose(struct verbs_qp *v, const struct rdma_cm_id *id)
{
	const struct verbs_transport *t;
	const struct ib_device_attr *attrs;
	struct qp_sock *qp = v->qp;

	/* To rdma_cm a loopback address is no more than any other */
	if (!id->device)
		return -ENODEV;
	attrs = &id->device->attrs;
	t = verbs_transport_of(id->device, id->port_num);
	if (!t)
		return -EPROTONOSUPPORT;
	if (qp->proto->id != QP_PROTO_ANY && qp->proto->id != t->proto->id)
		return -EPROTONOSUPPORT;
	/* Headers of datagrams have an entry of their own */
	if (qp->max_sge > attrs->max_send_sge ||
	    qp->max_sge + !!v->ud > attrs->max_recv_sge)
		return -EOPNOTSUPP;
	WRITE_ONCE(qp->proto, t->proto);
	WRITE_ONCE(qp->opcodes, verbs_opcodes(t, qp->type, id->device));
	WRITE_ONCE(qp->max_sge_rd,
		   min_not_zero(qp->max_sge, (u32)attrs->max_sge_rd));
	return 0;
}

/* A protection domain, and for a user's datagrams receives that others share */
static struct verbs_dom *verbs_hw_dom(struct verbs_qp *v, struct verbs_dev *dev)
{
	struct verbs_pool *pool;

	if (!v->ud || !v->qp->user || !dev->ibdev->attrs.max_srq)
		return verbs_dom_get(v->qp->mem, dev);
	pool = verbs_pool_get(v, dev);
	if (IS_ERR(pool))
		return ERR_CAST(pool);
	v->ud->pool = pool;
	refcount_inc(&pool->dom->users);
	return pool->dom;
}

static void verbs_hw_unpool(struct verbs_qp *v)
{
	if (v->ud && v->ud->pool) {
		verbs_pool_put(v->ud->pool);
		v->ud->pool = NULL;
	}
}

/**
 * verbs_attach() - have a device
 * @v: whose; it has none
 * @id: an rdma_cm id that has one
 *
 * Context: process, may sleep; that of the process whose memory is registered.
 * With @v->teardown held, for the device may be removed from then on.
 * Return: 0; -EPROTONOSUPPORT (the device does not speak the protocol that was
 * asked for), -EOPNOTSUPP (max_sge is too much for it), -ENODEV (it goes, or @id
 * has none: its address is a loopback address), or as verbs_dom_get().
 */
int verbs_attach(struct verbs_qp *v, struct rdma_cm_id *id)
{
	struct verbs_dev *dev;
	struct verbs_dom *dom;
	int err;

	lockdep_assert_held(&v->teardown);
	err = verbs_choose(v, id);
	if (err)
		return err;
	dev = verbs_dev_get(id->device);
	if (!dev)
		return -ENODEV;
	dom = verbs_hw_dom(v, dev);
	if (IS_ERR(dom)) {
		verbs_dev_put(dev);
		return PTR_ERR(dom);
	}
	mutex_lock(&dev->lock);
	if (dev->gone) {
		mutex_unlock(&dev->lock);
		verbs_hw_unpool(v);
		verbs_dom_put(dom);
		verbs_dev_put(dev);
		return -ENODEV;
	}
	v->dev = dev;
	WRITE_ONCE(v->dom, dom);
	list_add_tail(&v->dev_node, &dev->qps);
	mutex_unlock(&dev->lock);
	return 0;
}

/* The device's queue pair failed; also one that is idle hears of it here */
static void verbs_qp_event(struct ib_event *event, void *context)
{
	struct verbs_qp *v = context;

	switch (event->event) {
	case IB_EVENT_QP_FATAL:
	case IB_EVENT_QP_REQ_ERR:
	case IB_EVENT_QP_ACCESS_ERR:
		verbs_fail(v);
		break;
	case IB_EVENT_QP_LAST_WQE_REACHED:
		/* One that shares its receives has no other sign of it */
		if (v->ud)
			verbs_fail(v);
		break;
	default:
		break;
	}
}

static u32 verbs_send_wrs(const struct verbs_qp *v)
{
	u32 msgs = VERBS_SEND_MSGS;

	if (v->qp->user)
		msgs = v->ud ? VERBS_KERN_DGRAMS : VERBS_KERN_MSGS;
	/* One for ib_drain_qp() */
	return min_t(u32, v->qp->sq.ring.entries + msgs + 1,
		     v->dev->ibdev->attrs.max_qp_wr);
}

/* Have receives of its own */
static int verbs_hw_recvs(struct verbs_qp *v, struct ib_qp_cap *cap)
{
	int err = verbs_recv_alloc(v);

	if (!err && v->ud)
		err = verbs_ud_alloc(v);
	cap->max_recv_wr = min_t(u32, v->nr_recvs + 1,
				 v->dev->ibdev->attrs.max_qp_wr);
	cap->max_recv_sge = v->qp->max_sge + !!v->ud;
	return err;
}

/**
 * verbs_make_qp() - make the device's queue pair
 * @v: has the device of @id
 * @id: the connection
 *
 * It takes receives when this has returned.
 *
 * Context: process, may sleep.
 * Return: 0, -ENOMEM, or what the device says.
 */
int verbs_make_qp(struct verbs_qp *v, struct rdma_cm_id *id)
{
	struct ib_device *ibdev = v->dev->ibdev;
	struct ib_qp_init_attr attr = {
		.event_handler	= verbs_qp_event,
		.qp_context	= v,
		.sq_sig_type	= IB_SIGNAL_REQ_WR,
		.qp_type	= v->ud ? IB_QPT_UD : IB_QPT_RC,
	};
	bool pool = v->ud && v->ud->pool;
	int err = 0;

	if (!pool)
		err = verbs_hw_recvs(v, &attr.cap);
	if (err)
		return err;
	attr.cap.max_send_wr = verbs_send_wrs(v);
	attr.cap.max_send_sge = v->qp->max_sge;
	err = verbs_cq_make(&v->cq, ibdev,
			    attr.cap.max_send_wr + attr.cap.max_recv_wr);
	if (err)
		return err;
	attr.send_cq = v->cq.ib;
	attr.recv_cq = v->cq.ib;
	v->credits = attr.cap.max_send_wr - 1;
	err = pool ? verbs_pool_make_qp(v, id, &attr) :
		     rdma_create_qp(id, v->dom->pd, &attr);
	if (err)
		return err;
	v->ibqp = id->qp;
	WRITE_ONCE(v->qp->port_qpn, id->qp->qp_num);
	v->max_inline = attr.cap.max_inline_data;
	err = pool ? 0 : verbs_msg_alloc(v);
	if (err)
		return err;
	verbs_set_phase(v, VERBS_SETUP);
	verbs_recv_run(v);
	return 0;
}

/**
 * verbs_end_qp() - tell the peer that it is over, and have the device flush
 * @ibqp: the device's queue pair
 * @id: the connection
 *
 * siw is told to flush in so many words. It does not do it if it was a READ of
 * the peer that failed, it leaves out READs that wait for an answer if it is
 * iw_cm who ends the connection, and iw_cm waits for an attempt to connect.
 * Between rdma_connect() and rdma_disconnect() iw_cm has no lock: a handler that
 * connects is waited for, and the phase tells others not to begin.
 *
 * Datagrams have no peer, and nothing but the flush is to be done.
 *
 * Context: process, may sleep. The phase is not VERBS_SETUP.
 */
void verbs_end_qp(struct ib_qp *ibqp, struct rdma_cm_id *id)
{
	struct ib_qp_attr attr = { .qp_state = IB_QPS_ERR };

	if (ibqp->device->ops.driver_id == RDMA_DRIVER_SIW ||
	    ibqp->qp_type == IB_QPT_UD)
		ib_modify_qp(ibqp, &attr, IB_QP_STATE);
	if (ibqp->qp_type == IB_QPT_UD)
		return;
	rdma_lock_handler(id);
	rdma_unlock_handler(id);
	rdma_disconnect(id);
}

/**
 * verbs_detach() - let go of the device, if there is one
 * @v: whose; who has a message or completion in progress is waited for
 *
 * What is with the device is completed as flushed; what is not yet with it
 * stays, and so do all receives if it was being connected. Not called by a handler
 * of rdma_cm.
 *
 * Context: process, may sleep.
 */
void verbs_detach(struct verbs_qp *v)
{
	struct rdma_cm_id *id;

	mutex_lock(&v->teardown);
	verbs_set_phase(v, v->phase == VERBS_DOWN ? VERBS_DOWN : VERBS_FAILED);
	id = v->id;
	v->id = NULL;
	if (v->ibqp) {
		verbs_end_qp(v->ibqp, id);
		if (v->ud && v->ud->pool)
			verbs_pool_leave(v);
		if (v->ud)
			verbs_ud_drain(v);
		else
			ib_drain_qp(v->ibqp);
		verbs_send_drained(v);
		verbs_set_phase(v, VERBS_DOWN);
		/* Closing may have put an end to connecting just now */
		if (qp_state(v->qp) == QP_STATE_CONNECTING)
			verbs_recv_undo(v);
		else
			verbs_recv_run(v);
	}
	if (v->ud)
		verbs_ud_detach(v);
	if (v->ibqp) {
		WRITE_ONCE(v->qp->port_qpn, 0);
		if (v->ud && v->ud->pool)
			verbs_pool_destroy_qp(v, id);
		else
			rdma_destroy_qp(id);
		v->ibqp = NULL;
	}
	if (id)
		rdma_destroy_id(id);
	verbs_cq_end(&v->cq);
	if (v->dev) {
		/* Before who removes the device may go on */
		verbs_hw_unpool(v);
		mutex_lock(&v->dev->lock);
		list_del_init(&v->dev_node);
		mutex_unlock(&v->dev->lock);
		verbs_dom_put(v->dom);
		WRITE_ONCE(v->dom, NULL);
		verbs_dev_put(v->dev);
		v->dev = NULL;
	}
	mutex_unlock(&v->teardown);
}
