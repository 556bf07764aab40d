// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: made, changed from state to state, asked about, destroyed.
 */
#include <rdma/uverbs_ioctl.h>

#include "engine.h"
#include "trace.h"
#include "verbs.h"

/* QPN 0 and 1 are the management interfaces'; rxe leaves out these as well. */
#define FIRST_QPN	17

/* The user ABI's send queue entry, kernel consumers share it. */
static_assert(offsetof(struct rxe_send_wqe, dma) == 184);

/*
 * Creation
 */

static int check_init(struct ib_device *ibdev, const struct ib_qp_init_attr *init)
{
	const struct ib_qp_cap *cap = &init->cap;

	if (init->create_flags)
		return -EOPNOTSUPP;
	switch (init->qp_type) {
	case IB_QPT_RC:
	case IB_QPT_UC:
	case IB_QPT_UD:
	case IB_QPT_GSI:
		break;
	case IB_QPT_SMI:
		if (to_qdev(ibdev)->port)
			break;
		fallthrough;
	default:
		return -EOPNOTSUPP;
	}
	if (!init->send_cq || !init->recv_cq)
		return -EINVAL;
	if (cap->max_send_wr > QPEMU_MAX_QP_WR || cap->max_send_sge > QPEMU_MAX_SGE ||
	    cap->max_inline_data > QPEMU_MAX_INLINE)
		return -EINVAL;
	if (!init->srq && (cap->max_recv_wr > QPEMU_MAX_QP_WR ||
			   cap->max_recv_sge > QPEMU_MAX_SGE))
		return -EINVAL;
	return 0;
}

static int make_sq(struct qpemu_qp *qp, struct ib_qp_init_attr *init,
		   struct ib_ucontext *ucontext, struct mminfo *mi)
{
	u32 entries = max(init->cap.max_send_wr, 1);
	struct qpemu_sq *sq = &qp->sq;

	sq->max_sge = init->cap.max_send_sge;
	/* Inline data takes the place of the pieces, so there is room for as much. */
	sq->max_inline = max_t(u32, init->cap.max_inline_data,
			       sq->max_sge * sizeof(struct rxe_sge));
	sq->sig_all = init->sq_sig_type == IB_SIGNAL_ALL_WR;
	sq->queue = qpemu_queue_create(&entries, qpemu_wqe_size(qp), ucontext, mi);
	if (IS_ERR(sq->queue))
		return PTR_ERR(sq->queue);
	init->cap.max_send_wr = entries;
	init->cap.max_inline_data = sq->max_inline;
	return 0;
}

static int make_rq(struct qpemu_qp *qp, struct ib_qp_init_attr *init,
		   struct ib_ucontext *ucontext, struct mminfo *mi)
{
	u32 entries = max(init->cap.max_recv_wr, 1);
	struct qpemu_rq *rq = &qp->rq;

	rq->max_sge = init->srq ? to_qsrq(init->srq)->max_sge : init->cap.max_recv_sge;
	rq->wqe = kzalloc(struct_size(rq->wqe, sge, rq->max_sge), GFP_KERNEL_ACCOUNT);
	if (!rq->wqe)
		return -ENOMEM;
	if (init->srq)
		return 0;
	rq->queue = qpemu_queue_create(&entries, qpemu_rwqe_size(rq->max_sge), ucontext, mi);
	if (IS_ERR(rq->queue))
		return PTR_ERR(rq->queue);
	init->cap.max_recv_wr = entries;
	return 0;
}

/* For good. */
static void stop_timers(struct qpemu_qp *qp)
{
	timer_shutdown_sync(&qp->sq.timer);
	timer_shutdown_sync(&qp->sq.order.timer);
	timer_shutdown_sync(&qp->rq.order.timer);
}

static void unmake(struct qpemu_qp *qp)
{
	struct qpemu_wqe *wqe, *next;

	stop_timers(qp);
	list_for_each_entry_safe(wqe, next, &qp->sq.wqes, list)
		qpemu_wqe_free(qp, wqe);
	kfree(qp->sq.spare);
	qpemu_order_purge(&qp->sq.order);
	qpemu_order_purge(&qp->rq.order);
	qpemu_queue_destroy(IS_ERR(qp->sq.queue) ? NULL : qp->sq.queue);
	qpemu_queue_destroy(IS_ERR(qp->rq.queue) ? NULL : qp->rq.queue);
	kfree(qp->rq.wqe);
	kfree(qp->rq.replays);
	qpemu_path_release(&qp->path);
	qpemu_tx_kill(qp->tx);
}

static int take_number(struct qpemu_dev *dev, struct qpemu_qp *qp)
{
	struct xa_limit limit = XA_LIMIT(FIRST_QPN, QPEMU_MAX_QP + FIRST_QPN - 1);
	int ret;

	if (qpemu_is_management(qp)) {
		qp->ibqp.qp_num = qp->ibqp.qp_type == IB_QPT_SMI ? QPEMU_QP0 : QPEMU_QP1;
		return xa_insert(&dev->qps, qp->ibqp.qp_num, qp->ref, GFP_KERNEL);
	}
	ret = xa_alloc_cyclic(&dev->qps, &qp->ibqp.qp_num, qp->ref, limit, &dev->next_qpn,
			      GFP_KERNEL);
	return min(ret, 0);
}

/**
 * qpemu_create_qp - ib_device_ops.create_qp
 * @ibqp: allocated by ib_core
 * @init: what is wanted; the capabilities become what is given
 * @udata: user space's part, or NULL
 *
 * Return: 0; -EOPNOTSUPP: type or flags; -EINVAL: beyond the limits; -ENOMEM.
 */
int qpemu_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init, struct ib_udata *udata)
{
	struct qpemu_dev *dev = to_qdev(ibqp->device);
	struct qpemu_qp *qp = to_qqp(ibqp);
	struct rxe_create_qp_resp resp = {};
	struct qpemu_ucontext *context;
	struct ib_ucontext *ucontext = NULL;
	int err;

	err = check_init(ibqp->device, init);
	if (err)
		return err;
	if (udata) {
		if (udata->outlen < sizeof(resp))
			return -EINVAL;
		context = rdma_udata_to_drv_context(udata, struct qpemu_ucontext, ibuc);
		ucontext = &context->ibuc;
	}

	spin_lock_init(&qp->sq_lock);
	spin_lock_init(&qp->rq_lock);
	mutex_init(&qp->mutex);
	INIT_WORK(&qp->kick, qpemu_qp_kicked);
	spin_lock_init(&qp->path.lock);
	qp->state = IB_QPS_RESET;
	qp->mtu = ib_mtu_enum_to_int(IB_MTU_256);
	qp->attr.path_mtu = IB_MTU_256;
	qp->ibqp.qp_type = init->qp_type;
	INIT_LIST_HEAD(&qp->sq.wqes);
	timer_setup(&qp->sq.timer, qpemu_req_timer, 0);
	qpemu_order_init(&qp->sq.order, qpemu_comp_timer);
	qpemu_order_init(&qp->rq.order, qpemu_resp_timer);

	err = make_sq(qp, init, ucontext, &resp.sq_mi);
	if (!err)
		err = make_rq(qp, init, ucontext, &resp.rq_mi);
	if (err)
		goto unmake;
	qpemu_resp_reset(qp);
	qp->attr.cap = init->cap;
	err = -ENOMEM;
	qp->tx = qpemu_tx_new(qp);
	qp->ref = qpemu_ref_new(qp);
	if (!qp->tx || !qp->ref)
		goto free_ref;
	if (udata) {
		err = ib_copy_to_udata(udata, &resp, sizeof(resp));
		if (err)
			goto free_ref;
	}
	err = take_number(dev, qp);
	if (err)
		goto free_ref;
	return 0;

free_ref:
	if (qp->ref)
		qpemu_ref_kill(qp->ref);
unmake:
	unmake(qp);
	return err;
}

/* Look a queue pair up, with a reference of qp->ref. Any context. */
struct qpemu_qp *qpemu_qp_find(struct qpemu_dev *dev, u32 qpn)
{
	struct qpemu_qp *qp = NULL;
	struct qpemu_ref *ref;

	rcu_read_lock();
	ref = xa_load(&dev->qps, qpn);
	if (ref && qpemu_ref_get(ref))
		qp = ref->obj;
	rcu_read_unlock();
	return qp;
}

/*
 * States
 */

/* Nothing is under way any more, and nothing is left of what was posted. */
static void reset(struct qpemu_qp *qp)
{
	u32 left = qpemu_queue_entries(qp->sq.queue);
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe, *next;

	spin_lock_bh(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	qp->state = IB_QPS_RESET;
	while (left-- && !IS_ERR_OR_NULL(qpemu_wqe_fetch(qp)))
		;
	list_for_each_entry_safe(wqe, next, &sq->wqes, list) {
		list_del(&wqe->list);
		qpemu_wqe_free(qp, wqe);
	}
	sq->next = NULL;
	sq->num_wqes = 0;
	sq->rd_atomic = 0;
	sq->failed = false;
	sq->waiting_rnr = false;
	sq->drained = false;
	sq->implied = false;
	sq->no_super = false;
	sq->una = 0;
	sq->psn = 0;
	sq->end = 0;
	sq->highest = 0;
	sq->asked_psn = 0;
	qpemu_queue_reset(sq->queue);
	qpemu_order_reset(&sq->order);
	qpemu_resp_reset(qp);
	if (qp->rq.queue)
		qpemu_queue_reset(qp->rq.queue);
	spin_unlock(&qp->sq_lock);
	spin_unlock_bh(&qp->rq_lock);
	timer_delete_sync(&sq->timer);
	timer_delete_sync(&sq->order.timer);
	timer_delete_sync(&qp->rq.order.timer);
	qpemu_cq_clean(to_qcq(qp->ibqp.send_cq), &qp->ibqp);
	qpemu_cq_clean(to_qcq(qp->ibqp.recv_cq), &qp->ibqp);
}

static int check_attr(struct qpemu_qp *qp, const struct ib_qp_attr *attr, int mask)
{
	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	if (mask & IB_QP_PORT && attr->port_num != 1)
		return -EINVAL;
	if (mask & IB_QP_PKEY_INDEX &&
	    attr->pkey_index >= (to_qdev(qp->ibqp.device)->port ? QPEMU_NUM_PKEYS : 1))
		return -EINVAL;
	if (mask & (IB_QP_ALT_PATH | IB_QP_PATH_MIG_STATE) &&
	    !(mask & IB_QP_PATH_MIG_STATE && attr->path_mig_state == IB_MIG_MIGRATED))
		return -EINVAL;
	if (mask & IB_QP_CAP)
		return -EOPNOTSUPP;
	if ((mask & IB_QP_MAX_QP_RD_ATOMIC && attr->max_rd_atomic > QPEMU_MAX_RD_ATOMIC) ||
	    (mask & IB_QP_MAX_DEST_RD_ATOMIC &&
	     attr->max_dest_rd_atomic > QPEMU_MAX_RD_ATOMIC) ||
	    (mask & IB_QP_TIMEOUT && attr->timeout > 31) ||
	    (mask & IB_QP_RETRY_CNT && attr->retry_cnt > 7) ||
	    (mask & IB_QP_RNR_RETRY && attr->rnr_retry > 7) ||
	    (mask & IB_QP_MIN_RNR_TIMER && attr->min_rnr_timer > 31))
		return -EINVAL;
	if (mask & IB_QP_PATH_MTU &&
	    (attr->path_mtu < IB_MTU_256 || attr->path_mtu > IB_MTU_4096))
		return -EINVAL;
	return 0;
}

/* What sleeps or may fail, before anything is changed. */
struct change {
	struct qpemu_replay *replays;
	struct qpemu_path path;
	u16 mtu;
};

static int prepare(struct qpemu_qp *qp, const struct ib_qp_attr *attr, int mask,
		   struct change *change)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	int err;

	spin_lock_init(&change->path.lock);
	if (mask & IB_QP_AV) {
		err = qpemu_path_init(&change->path, dev, &attr->ah_attr, qp->ibqp.qp_num);
		if (err)
			return err;
	}
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC && attr->max_dest_rd_atomic) {
		change->replays = kcalloc(attr->max_dest_rd_atomic, sizeof(*change->replays),
					  GFP_KERNEL_ACCOUNT);
		if (!change->replays)
			return -ENOMEM;
	}
	/* A datagram is bound by the port's MTU alone. */
	if (!qpemu_connected(qp))
		change->mtu = ib_mtu_enum_to_int(qpemu_port_mtu(dev));
	return 0;
}

/* Under both locks. */
static void apply(struct qpemu_qp *qp, const struct ib_qp_attr *attr, int mask,
		  struct change *change)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_rq *rq = &qp->rq;
	struct ib_qp_attr *own = &qp->attr;

	if (mask & IB_QP_ACCESS_FLAGS)
		qp->access = attr->qp_access_flags;
	if (mask & IB_QP_QKEY)
		qp->qkey = attr->qkey;
	if (mask & IB_QP_PORT)
		own->port_num = attr->port_num;
	if (mask & IB_QP_PKEY_INDEX)
		own->pkey_index = attr->pkey_index;
	if (mask & IB_QP_AV) {
		own->ah_attr = attr->ah_attr;
		own->ah_attr.grh.sgid_attr = NULL;
		swap(qp->path, change->path);
	}
	if (mask & IB_QP_PATH_MTU) {
		own->path_mtu = attr->path_mtu;
		qp->mtu = ib_mtu_enum_to_int(attr->path_mtu);
	}
	if (change->mtu)
		qp->mtu = change->mtu;
	if (mask & IB_QP_TIMEOUT)
		own->timeout = attr->timeout;
	if (mask & IB_QP_RETRY_CNT) {
		own->retry_cnt = attr->retry_cnt;
		sq->retries = attr->retry_cnt;
	}
	if (mask & IB_QP_RNR_RETRY) {
		own->rnr_retry = attr->rnr_retry;
		sq->rnr_retries = attr->rnr_retry;
	}
	if (mask & IB_QP_MIN_RNR_TIMER)
		own->min_rnr_timer = attr->min_rnr_timer;
	if (mask & IB_QP_RQ_PSN)
		rq->psn = attr->rq_psn & QPEMU_PSN_MASK;
	if (mask & IB_QP_SQ_PSN) {
		u32 psn = attr->sq_psn & QPEMU_PSN_MASK;

		sq->una = psn;
		sq->psn = psn;
		sq->end = psn;
		sq->highest = psn;
		sq->window = QPEMU_WINDOW;
		sq->asked_psn = psn;
	}
	if (mask & IB_QP_MAX_QP_RD_ATOMIC)
		sq->max_rd_atomic = attr->max_rd_atomic;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC) {
		swap(rq->replays, change->replays);
		rq->num_replays = attr->max_dest_rd_atomic;
		rq->replay_next = 0;
	}
	if (mask & IB_QP_DEST_QPN)
		qp->dest_qpn = attr->dest_qp_num;
	if (mask & IB_QP_EN_SQD_ASYNC_NOTIFY)
		own->en_sqd_async_notify = attr->en_sqd_async_notify;
}

static void enter(struct qpemu_qp *qp, enum ib_qp_state to, int mask)
{
	trace_qpemu_state(qp, qp->state, to);
	if (to == IB_QPS_SQD)
		qp->sq.drained = !(mask & IB_QP_EN_SQD_ASYNC_NOTIFY &&
				   qp->attr.en_sqd_async_notify);
	qp->state = to;
}

/**
 * qpemu_modify_qp - ib_device_ops.modify_qp
 * @ibqp: whose
 * @attr: what to set
 * @mask: which of them
 * @udata: unused
 *
 * Return: 0; -EINVAL: the transition or a value is not allowed (nothing is
 * changed then); -ENOMEM; -EOPNOTSUPP: resizing.
 */
int qpemu_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		    struct ib_udata *udata)
{
	struct qpemu_qp *qp = to_qqp(ibqp);
	enum ib_qp_state from, to;
	struct change change = {};
	int err;

	mutex_lock(&qp->mutex);
	from = qp->state;
	to = mask & IB_QP_STATE ? attr->qp_state : from;
	err = -EINVAL;
	if (mask & IB_QP_CUR_STATE && attr->cur_qp_state != from)
		goto unlock;
	if (!ib_modify_qp_is_ok(from, to, ibqp->qp_type, mask))
		goto unlock;
	err = check_attr(qp, attr, mask);
	if (!err)
		err = prepare(qp, attr, mask, &change);
	if (err)
		goto unlock;

	if (to == IB_QPS_RESET) {
		reset(qp);
		goto unlock;
	}
	spin_lock_bh(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	if (qp->state != from) {
		/* It has failed meanwhile. */
		err = to == IB_QPS_ERR ? 0 : -EINVAL;
	} else {
		apply(qp, attr, mask, &change);
		if (to == IB_QPS_ERR)
			qpemu_todo(qp, QPEMU_TODO_ERROR);
		else if (to != from)
			enter(qp, to, mask);
		if (to == IB_QPS_RTS || to == IB_QPS_SQD)
			qpemu_req_run(qp);
	}
	spin_unlock(&qp->sq_lock);
	spin_unlock_bh(&qp->rq_lock);
	qpemu_qp_settle(qp);
unlock:
	mutex_unlock(&qp->mutex);
	qpemu_path_release(&change.path);
	kfree(change.replays);
	return err;
}

/**
 * qpemu_query_qp - ib_device_ops.query_qp
 * @ibqp: whose
 * @attr: filled in
 * @mask: ignored: all of it is filled in
 * @init: filled in
 *
 * Return: 0.
 */
int qpemu_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_qp_init_attr *init)
{
	struct qpemu_qp *qp = to_qqp(ibqp);

	mutex_lock(&qp->mutex);
	spin_lock_bh(&qp->rq_lock);
	spin_lock(&qp->sq_lock);
	*attr = qp->attr;
	attr->qp_state = qp->state;
	attr->cur_qp_state = qp->state;
	attr->qkey = qp->qkey;
	attr->rq_psn = qp->rq.psn;
	attr->sq_psn = qp->sq.end;
	attr->dest_qp_num = qp->dest_qpn;
	attr->qp_access_flags = qp->access;
	attr->max_rd_atomic = qp->sq.max_rd_atomic;
	attr->max_dest_rd_atomic = qp->rq.num_replays;
	attr->path_mig_state = IB_MIG_MIGRATED;
	attr->sq_draining = qp->state == IB_QPS_SQD && !list_empty(&qp->sq.wqes);
	spin_unlock(&qp->sq_lock);
	spin_unlock_bh(&qp->rq_lock);
	mutex_unlock(&qp->mutex);

	init->event_handler = ibqp->event_handler;
	init->qp_context = ibqp->qp_context;
	init->send_cq = ibqp->send_cq;
	init->recv_cq = ibqp->recv_cq;
	init->srq = ibqp->srq;
	init->cap = attr->cap;
	init->qp_type = ibqp->qp_type;
	init->port_num = 1;
	init->sq_sig_type = qp->sq.sig_all ? IB_SIGNAL_ALL_WR : IB_SIGNAL_REQ_WR;
	return 0;
}

/**
 * qpemu_destroy_qp - ib_device_ops.destroy_qp
 * @ibqp: whose
 * @udata: unused
 *
 * Waits for packets that are being received; those on their way out are let go.
 * Return: 0, or -EBUSY while it is attached to a multicast group.
 */
int qpemu_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct qpemu_dev *dev = to_qdev(ibqp->device);
	struct qpemu_qp *qp = to_qqp(ibqp);

	if (atomic_read(&qp->num_groups))
		return -EBUSY;
	xa_erase(&dev->qps, ibqp->qp_num);
	reset(qp);
	stop_timers(qp);
	/* Nothing more is sent; what has been must not run it again. */
	qpemu_tx_kill(qp->tx);
	qp->tx = NULL;
	if (cancel_work_sync(&qp->kick))
		qpemu_ref_put(qp->ref);
	qpemu_ref_kill(qp->ref);
	unmake(qp);
	return 0;
}

/**
 * qpemu_qp_error_all - the device goes away: programs' queue pairs fail
 * @dev: the device
 *
 * Users in the kernel are told by ib_core, and end their queue pairs themselves,
 * in order: one that failed first would be an error to recover from by
 * connecting again.
 *
 * Context: may sleep.
 */
void qpemu_qp_error_all(struct qpemu_dev *dev)
{
	struct qpemu_ref *ref;
	unsigned long qpn;

	xa_for_each(&dev->qps, qpn, ref) {
		struct qpemu_qp *qp = qpemu_qp_find(dev, qpn);

		if (!qp)
			continue;
		if (!rdma_is_kernel_res(&qp->ibqp.res)) {
			qpemu_todo(qp, QPEMU_TODO_FATAL);
			qpemu_todo(qp, QPEMU_TODO_ERROR);
			qpemu_qp_settle(qp);
		}
		qpemu_qp_put(qp);
	}
}
