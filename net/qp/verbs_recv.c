// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: receives
 *
 * A device has to be given receives before messages come, while user space only
 * puts them into a ring. So the ring is emptied into a ring of our own, whose
 * receives the device has, whenever user space comes by and whenever the device
 * has completed one:
 *
 *	told		done		posted
 *	  |  completed,   |  with the	  |
 *	  |  no room in	  |  device	  |
 *	  |  the CQ	  |		  |
 *
 * While the device has few, user space is asked to call when it posts more.
 * Receives are not given to the device if their completions would not have room
 * now; where the room is taken meanwhile, they are told of later.
 */
#include <linux/log2.h>
#include <linux/slab.h>

#include "verbs.h"

static void verbs_recv_cqe(struct ib_cq *cq, struct ib_wc *wc);

static struct verbs_recv *verbs_slot(const struct verbs_qp *v, u32 index)
{
	return &v->recvs[index & (v->nr_recvs - 1)];
}

/* What comes next is flushed if the device did not take it. recv_lock. */
static void verbs_recv_skip(struct verbs_qp *v)
{
	struct verbs_recv *r;

	for (; v->recv_done != v->recv_posted; v->recv_done++) {
		r = verbs_slot(v, v->recv_done);
		if (!r->lost)
			return;
		r->done = (struct qp_cqe){
			.user_data = r->user_data,
			.status = QP_WC_WR_FLUSH_ERR,
			.opcode = QP_OP_RECV,
		};
	}
}

/**
 * verbs_recv_alloc() - have memory for the receives of a connection
 * @v: whose
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int verbs_recv_alloc(struct verbs_qp *v)
{
	u32 i;

	if (v->recvs)
		return 0;	/* of an attempt to connect that failed */
	v->max_msgs = verbs_msg_max(v);
	v->nr_recvs = roundup_pow_of_two(v->qp->rq.ring.entries + v->max_msgs);
	v->recvs = kvcalloc(v->nr_recvs, sizeof(*v->recvs), GFP_KERNEL_ACCOUNT);
	if (!v->recvs)
		return -ENOMEM;
	for (i = 0; i < v->nr_recvs; i++) {
		v->recvs[i].cqe.done = verbs_recv_cqe;
		v->recvs[i].v = v;
	}
	return 0;
}

void verbs_recv_free(struct verbs_qp *v)
{
	kvfree(v->recvs);
	v->recvs = NULL;
}

/*
 * Give the receive in the next slot to the device. One that it does not take is
 * flushed in its turn. Under recv_lock.
 */
static bool verbs_recv_post(struct verbs_qp *v, struct ib_sge *sge, u32 num_sge)
{
	struct verbs_recv *r = verbs_slot(v, v->recv_posted++);
	struct ib_recv_wr wr = {
		.wr_cqe		= &r->cqe,
		.sg_list	= sge,
		.num_sge	= num_sge,
	};

	if (v->ud)
		wr.num_sge = verbs_ud_list(v->ud, r - v->recvs, sge, num_sge,
					   &wr.sg_list);
	r->own = false;
	r->lost = ib_post_recv(v->ibqp, &wr, NULL);
	if (!r->lost)
		return true;
	verbs_recv_skip(v);
	verbs_fail(v);
	return false;
}

/*
 * Translate a receive from the ring. It is handed to the device even if it is
 * bad, which matters only when a message comes for it; what it fails with then
 * is noted.
 */
static u32 verbs_recv_translate(struct verbs_qp *v, struct verbs_recv *r,
				struct qp_rwr *rwr, int err)
{
	u32 i, lkey, n = 0, left = QP_MAX_MSG;
	struct qp_sge *sge = rwr->sge;

	r->msg = NULL;
	r->user_data = rwr->user_data;
	r->status = 0;
	r->inv_done = false;
	if (err) {
		r->status = QP_WC_LOC_QP_OP_ERR;
		sge[0] = (struct qp_sge){
			.length = QP_MAX_MSG,
			.lkey = VERBS_BAD_KEY,
		};
		return 1;
	}
	for (i = 0; i < rwr->num_sge && left; i++) {
		if (!sge[i].length)
			continue;
		if (verbs_local_key(v->dom, &sge[i], QP_ACCESS_LOCAL_WRITE,
				    &lkey))
			r->status = QP_WC_LOC_PROT_ERR;
		sge[n].addr = sge[i].addr;
		sge[n].length = min(sge[i].length, left);
		sge[n].lkey = lkey;
		left -= sge[n++].length;
	}
	return n;
}

/* Take one receive from the ring to the device. Under recv_lock. */
static bool verbs_recv_pull_one(struct verbs_qp *v)
{
	u32 out = v->recv_posted - v->recv_told;
	struct qp_rwr rwr;
	u32 num_sge;
	int err;

	if (out >= v->nr_recvs || out >= qp_recv_room(v->qp))
		return false;
	err = qp_recv_take(v->qp, &rwr);
	if (err == -EAGAIN)
		return false;
	num_sge = verbs_recv_translate(v, verbs_slot(v, v->recv_posted), &rwr,
				       err);
	return verbs_recv_post(v, (struct ib_sge *)rwr.sge, num_sge);
}

/* Take receives from the ring, and say whether more are wanted */
static void verbs_recv_pull(struct verbs_qp *v)
{
	u32 entries = v->qp->rq.ring.entries;
	/* What finds no receive waits, or is lost: then none is kept back */
	u32 few = v->ud ? entries - 1 : entries / 2;
	bool wakeup;

	if (!entries)
		return;
	do {
		while (verbs_recv_pull_one(v))
			;
		wakeup = v->recv_posted - v->recv_done <= few;
		if (wakeup == v->recv_wakeup)
			return;
		v->recv_wakeup = wakeup;
		qp_recv_need_wakeup(v->qp, wakeup);
		/* Pairs with user space: post, then look at the flag */
		smp_mb();
	} while (wakeup);
}

/* Give empty buffers for recvmsg() to the device. Under recv_lock. */
static void verbs_recv_msgs(struct verbs_qp *v)
{
	struct verbs_msg *msg;
	struct verbs_recv *r;
	struct ib_sge sge;

	while (v->recv_posted - v->recv_told < v->nr_recvs &&
	       (msg = verbs_msg_next(v))) {
		r = verbs_slot(v, v->recv_posted);
		r->msg = msg;
		r->status = 0;
		r->inv_done = false;
		sge = (struct ib_sge){
			.addr = msg->dma,
			.length = msg->size,
			.lkey = v->dom->pd->local_dma_lkey,
		};
		if (!verbs_recv_post(v, &sge, 1))
			return;
	}
}

/* Tell of receives that are complete, as far as there is room. recv_lock. */
static void verbs_recv_tell(struct verbs_qp *v)
{
	union verbs_src datagram, *src;
	struct verbs_recv *r;

	for (; v->recv_told != v->recv_done; v->recv_told++) {
		r = verbs_slot(v, v->recv_told);
		if (r->own)
			continue;
		if (r->msg && v->qp->user) {
			verbs_msg_up(v, r->msg, &r->done, r - v->recvs);
			continue;
		}
		if (r->done.flags & QP_CQE_SRC) {
			src = &datagram;
			verbs_ud_src(v->ud, r - v->recvs, &datagram);
		} else {
			src = NULL;
		}
		if (r->done.flags & QP_CQE_INV && !r->inv_done) {
			if (!v->recv_inv)
				verbs_todo(v, VERBS_TODO_INVALIDATE);
			v->recv_inv = true;
			return;
		}
		if (r->msg) {
			verbs_msg_end(v, r->msg, &r->done, src);
			continue;
		}
		if (src)
			verbs_gid_src(v->qp, src);
		if (!qp_recv_report(v->qp, &r->done, src))
			return;
	}
}

/*
 * Do what can be done. What is complete before the connection stands was flushed,
 * or is told of as soon as it does. Under recv_lock.
 */
static void verbs_recv_go(struct verbs_qp *v)
{
	if (qp_state(v->qp) != QP_STATE_CONNECTING)
		verbs_recv_tell(v);
	if (qp_state(v->qp) == QP_STATE_ERROR) {
		/* The device flushes what it has, then the ring is flushed */
		if (v->recv_told == v->recv_posted && v->qp->rq.ring.entries)
			qp_recv_flush(v->qp);
		return;
	}
	if (v->phase == VERBS_SETUP || v->phase == VERBS_UP) {
		verbs_recv_pull(v);
		verbs_recv_msgs(v);
	}
}

/**
 * verbs_recv_run() - go on with receives
 * @v: whose
 *
 * Context: process or softirq.
 */
void verbs_recv_run(struct verbs_qp *v)
{
	spin_lock_bh(&v->recv_lock);
	verbs_recv_go(v);
	spin_unlock_bh(&v->recv_lock);
}

/**
 * verbs_recv_wanted() - is a message that comes now lost, or does it wait long?
 * @v: whose
 *
 * Context: any.
 * Return: false if the device has a receive, and one more would be asked for by an
 * RNR NAK; a hint.
 */
bool verbs_recv_wanted(const struct verbs_qp *v)
{
	return v->ud || READ_ONCE(v->qp->proto)->id == QP_PROTO_IWARP ||
	       READ_ONCE(v->recv_posted) == READ_ONCE(v->recv_done);
}

/**
 * verbs_recv_undo() - an attempt to connect was in vain: take back the receives
 * @v: whose; the device has completed all that it had
 *
 * Context: process. @v still has the device.
 */
void verbs_recv_undo(struct verbs_qp *v)
{
	struct verbs_recv *r;
	u32 n = 0;

	spin_lock_bh(&v->recv_lock);
	for (; v->recv_told != v->recv_posted; v->recv_told++) {
		r = verbs_slot(v, v->recv_told);
		if (r->msg)
			verbs_msg_end(v, r->msg, &r->done, NULL);
		else
			n++;
	}
	v->recv_done = v->recv_posted;
	qp_recv_untake(v->qp, n);
	spin_unlock_bh(&v->recv_lock);
}

/* What the device says of a receive, for user space */
static void verbs_recv_result(struct verbs_recv *r, const struct ib_wc *wc)
{
	struct qp_cqe *cqe = &r->done;

	*cqe = (struct qp_cqe){
		.user_data = r->user_data,
		.status = (__force u16)wc->status,
		.opcode = QP_OP_RECV,
	};
	if (wc->status) {
		if (r->status && wc->status != IB_WC_WR_FLUSH_ERR)
			cqe->status = r->status;
		return;
	}
	cqe->byte_len = wc->byte_len;
	if (r->v->ud) {
		cqe->byte_len -= min_t(u32, wc->byte_len, IB_GRH_BYTES);
		cqe->flags = QP_CQE_SRC;
		cqe->src_qpn = wc->src_qp;
	}
	if (wc->opcode == IB_WC_RECV_RDMA_WITH_IMM)
		cqe->opcode = QP_OP_RECV_WRITE_IMM;
	if (wc->wc_flags & IB_WC_WITH_IMM) {
		cqe->flags |= QP_CQE_IMM;
		cqe->imm_data = (__force u32)wc->ex.imm_data;
	} else if (wc->wc_flags & IB_WC_WITH_INVALIDATE) {
		cqe->flags = QP_CQE_INV;
		cqe->inv_rkey = wc->ex.invalidate_rkey;
	}
}

/*
 * The message is one's own, and not wanted: have the receive wait once more,
 * behind the others. False if there is no place for it, as user space does not
 * consume its completions. Under recv_lock.
 */
static bool verbs_recv_again(struct verbs_qp *v, struct verbs_recv *r)
{
	struct verbs_recv *next = verbs_slot(v, v->recv_posted);
	u32 from = r - v->recvs, to = next - v->recvs;

	r->own = true;
	verbs_recv_tell(v);
	if (v->recv_posted - v->recv_told >= v->nr_recvs) {
		r->own = false;
		return false;
	}
	next->msg = r->msg;
	next->user_data = r->user_data;
	next->status = r->status;
	next->inv_done = false;
	verbs_ud_move(v->ud, from, to);
	verbs_recv_post(v, NULL, 0);
	return true;
}

static void verbs_recv_datagram(struct verbs_qp *v, struct verbs_recv *r,
				const struct ib_wc *wc)
{
	u32 slot = r - v->recvs;

	verbs_ud_arrived(v->ud, slot);
	verbs_ud_complete(v->ud, verbs_ud_hdr(v->ud, slot), wc);
	if (v->phase == VERBS_UP &&
	    verbs_ud_own(v->ud, verbs_ud_hdr(v->ud, slot), wc))
		verbs_recv_again(v, r);
}

/* A receive is complete. Softirq. Receives complete in the order of posting. */
static void verbs_recv_cqe(struct ib_cq *cq, struct ib_wc *wc)
{
	struct verbs_recv *r = container_of(wc->wr_cqe, struct verbs_recv, cqe);
	struct verbs_qp *v = r->v;

	spin_lock_bh(&v->recv_lock);
	verbs_recv_result(r, wc);
	v->recv_done++;
	if (v->ud && !wc->status)
		verbs_recv_datagram(v, r, wc);
	verbs_recv_skip(v);
	/* It is over before somebody is told; a flush may be the first sign */
	if (wc->status)
		verbs_fail(v);
	else if (qp_state(v->qp) == QP_STATE_CONNECTING)
		verbs_todo(v, VERBS_TODO_HEARD);
	verbs_recv_go(v);
	spin_unlock_bh(&v->recv_lock);
}

/**
 * verbs_recv_invalidate() - end a registration that the peer invalidated, if any
 * @v: whose
 *
 * The device refuses its key already; now the core forgets it too, before the
 * receive is told of that says so.
 *
 * Context: process, may sleep; by the work of the queue pair alone.
 */
void verbs_recv_invalidate(struct verbs_qp *v)
{
	struct verbs_recv *r = NULL;
	u32 key = 0;

	mutex_lock(&v->teardown);
	spin_lock_bh(&v->recv_lock);
	if (v->recv_inv) {
		r = verbs_slot(v, v->recv_told);
		if (v->dom)
			key = verbs_key_of_rkey(v->dom, r->done.inv_rkey);
	}
	spin_unlock_bh(&v->recv_lock);
	mutex_unlock(&v->teardown);
	if (!r)
		return;
	if (key)
		qp_mr_invalidate(v->qp->mem, key, true);

	spin_lock_bh(&v->recv_lock);
	r->inv_done = true;
	v->recv_inv = false;
	verbs_recv_go(v);
	spin_unlock_bh(&v->recv_lock);
}
