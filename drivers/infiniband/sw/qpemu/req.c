// SPDX-License-Identifier: GPL-2.0
/*
 * The requester: send work requests become packets
 *
 * Requests lie in sq->wqes in order, each with the PSNs that it takes:
 *
 *	   una           psn                 end
 *	----+-------------+-------------------+----> PSN
 *	    | sent, not   | not sent, or to   |
 *	    | acknowledged| be sent again     |
 *
 * What to send next follows from sq->psn alone: the request that it lies in is
 * sq->next, and how far that request has come is the distance from its first
 * PSN. To send again is to set sq->psn back.
 *
 * It runs in the context of whoever posted the request, of the softirq that
 * brought an acknowledgment, of the timer, or of qp->kick.
 */
#include "engine.h"
#include "mem.h"
#include "trace.h"
#include "verbs.h"

/* Packets and requests handled in one go, so that others get their turn. */
#define BUDGET	128

/* A request in which something is wrong stays where it is and is done. */
static void fail(struct qpemu_qp *qp, struct qpemu_wqe *wqe, u8 status)
{
	wqe->status = status;
	wqe->done = true;
	qp->sq.next = list_is_last(&wqe->list, &qp->sq.wqes) ?
		      NULL : list_next_entry(wqe, list);
	/* Nothing after it is sent any more. */
	qp->sq.failed = true;
}

static u8 status_of(int err)
{
	return err == -EFAULT ? IB_WC_LOC_LEN_ERR : IB_WC_LOC_PROT_ERR;
}

/*
 * What holds a request up
 */

/*
 * READs are bound by how many there are; but where things get lost, by what they
 * bring too.
 */
static s32 read_window(const struct qpemu_sq *sq)
{
	return sq->window < QPEMU_WINDOW ? sq->window : QPEMU_PSN_MASK / 2;
}

/* An acknowledgment is on its way, and will run us again. */
static bool must_wait(const struct qpemu_qp *qp, const struct qpemu_wqe *wqe)
{
	const struct qpemu_sq *sq = &qp->sq;
	s32 outstanding = psn_diff(sq->psn, sq->una);
	bool begins = sq->psn == wqe->first_psn;

	if (!qpemu_reliable(qp))
		return false;
	/* IBA v1 10.8.3.3: a fence waits for READs and atomics before it. */
	if (begins && wqe->flags & IB_SEND_FENCE && sq->rd_atomic)
		return true;
	/* A key that goes may be in use by what was posted before. */
	if (wqe->opcode == IB_WR_LOCAL_INV)
		return !list_is_first(&wqe->list, &sq->wqes);
	if (wqe->op->flags & QPEMU_OP_READ_LIKE)
		return sq->rd_atomic >= sq->max_rd_atomic || (outstanding &&
		       outstanding + wqe->num_psn > read_window(sq));
	return outstanding >= sq->window;
}

/* The next request to work on, if there is one and the state allows it. */
static struct qpemu_wqe *next_wqe(struct qpemu_qp *qp)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	if (sq->failed)
		return NULL;
	if (sq->next)
		return sq->next;
	if (qp->state != IB_QPS_RTS)
		return NULL;
	wqe = qpemu_wqe_fetch(qp);
	if (IS_ERR(wqe)) {
		/* Out of memory: look again in a moment. */
		if (!timer_pending(&sq->timer))
			mod_timer(&sq->timer, jiffies + 1);
		return NULL;
	}
	sq->next = wqe;
	return wqe;
}

/*
 * Packets
 */

static u8 wire_opcode(const struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		      bool start, bool end)
{
	static const u8 transport[] = {
		[IB_QPT_RC] = IB_OPCODE_RC,
		[IB_QPT_UC] = IB_OPCODE_UC,
		[IB_QPT_UD] = IB_OPCODE_UD,
		[IB_QPT_GSI] = IB_OPCODE_UD,
		[IB_QPT_SMI] = IB_OPCODE_UD,
	};

	return transport[qp->ibqp.qp_type] | wqe->op->wire[start | end << 1];
}

static void put_headers(struct qpemu_qp *qp, const struct qpemu_wqe *wqe, u8 opcode,
			u32 offset, void *at)
{
	u32 flags = qpemu_ops[opcode].flags;

	if (flags & QPEMU_OP_DETH)
		at = qpemu_put_deth(at, wqe->ud.qkey, qp->ibqp.qp_num);
	if (flags & QPEMU_OP_FETH)
		at = qpemu_put_be32(at, cpu_to_be32(wqe->remote.flush_level << 4 |
						    wqe->remote.flush_type));
	if (flags & QPEMU_OP_RETH)
		at = qpemu_put_reth(at, wqe->remote.addr + offset, wqe->remote.key,
				    wqe->length - offset);
	if (flags & QPEMU_OP_ATOMICETH)
		at = qpemu_put_atomiceth(at, wqe->remote.addr, wqe->remote.key,
					 wqe->opcode == IB_WR_ATOMIC_CMP_AND_SWP ?
					 wqe->remote.swap : wqe->remote.compare_add,
					 wqe->opcode == IB_WR_ATOMIC_CMP_AND_SWP ?
					 wqe->remote.compare_add : 0);
	if (flags & QPEMU_OP_IMM)
		at = qpemu_put_be32(at, wqe->imm);
	if (flags & QPEMU_OP_IETH)
		qpemu_put_be32(at, cpu_to_be32(wqe->inv_key));
}

/*
 * The payload of a super-packet, copied: an unreliable message is complete as
 * soon as it is sent, and its memory the consumer's again (IBA v1 10.8.6).
 */
static int copy_pages(struct qpemu_qp *qp, const struct qpemu_wqe *wqe, u32 offset,
		      u32 length, struct sk_buff *skb)
{
	u32 done, part;
	int i, err;

	for (i = 0, done = 0; done < length; i++, done += part) {
		struct page *page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);

		if (!page)
			return -ENOMEM;
		part = min_t(u32, length - done, PAGE_SIZE);
		skb_add_rx_frag(skb, i, page, 0, part, PAGE_SIZE);
		err = qpemu_sges_read(qp, wqe->sge, wqe->num_sge, offset + done,
				      page_address(page), part);
		if (err)
			return err;
	}
	return 0;
}

static int put_payload(struct qpemu_qp *qp, const struct qpemu_wqe *wqe, u32 offset,
		       void *to, u32 length)
{
	if (!length)
		return 0;
	if (!wqe->is_inline)
		return qpemu_sges_read(qp, wqe->sge, wqe->num_sge, offset, to, length);
	memcpy(to, wqe->inline_data + offset, length);
	return 0;
}

/*
 * A packet, or super-packet, in an skb of its own. Return: that, with room for
 * @more bytes; or ERR_PTR of -ENOMEM, or of what the memory's table said.
 */
static struct sk_buff *build(struct qpemu_qp *qp, struct qpemu_wqe *wqe,
			     const struct qpemu_path *path, const struct qpemu_bth *bth,
			     u32 offset, u32 length, u32 more)
{
	bool super = length > qp->mtu;
	void *headers, *payload;
	struct sk_buff *skb;
	int err = 0;

	/* Where the answer goes must be there when it comes. */
	if (wqe->op->flags & (QPEMU_OP_READ | QPEMU_OP_ATOMIC)) {
		err = qpemu_sges_ready(qp, wqe->sge, wqe->num_sge, wqe->length,
				       IB_ACCESS_LOCAL_WRITE);
		if (err)
			return ERR_PTR(err);
	}
	skb = qpemu_pkt_new(path, bth, super ? 0 : length, length, more, &headers, &payload);
	if (!skb)
		return ERR_PTR(-ENOMEM);
	put_headers(qp, wqe, bth->opcode, offset, headers);
	if (!super) {
		err = put_payload(qp, wqe, offset, payload, length);
	} else {
		err = qpemu_reliable(qp) ?
		      qpemu_sges_frags(qp, wqe->sge, wqe->num_sge, offset, length, skb) :
		      copy_pages(qp, wqe, offset, length, skb);
		if (!err)
			qpemu_pkt_super(skb, length, qp->mtu);
	}
	if (err) {
		kfree_skb(skb);
		return ERR_PTR(err);
	}
	return skb;
}

/* A message of one packet, behind the others of a train. Return: as build(). */
static struct sk_buff *append(struct qpemu_qp *qp, struct qpemu_wqe *wqe, struct sk_buff *skb,
			      const struct qpemu_bth *bth)
{
	u32 before = skb->len;
	void *headers, *payload;
	int err;

	qpemu_pkt_append(skb, bth, wqe->length, wqe->length, &headers, &payload);
	put_headers(qp, wqe, bth->opcode, 0, headers);
	err = put_payload(qp, wqe, 0, payload, wqe->length);
	if (!err)
		return skb;
	__skb_trim(skb, before);
	return ERR_PTR(err);
}

/*
 * How much goes into one packet: all that is left if the link takes it, but no
 * more than the window has room for, and whole packets of the path MTU.
 */
static u32 piece(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		 const struct qpemu_path *path, u32 offset)
{
	u32 left = wqe->length - offset;
	u32 most;

	if (left <= qp->mtu)
		return left;
	if (wqe->is_inline || qp->sq.no_super)
		return qp->mtu;
	most = qpemu_path_super(path, qp->mtu);
	if (qpemu_reliable(qp))
		most = min_t(u32, most,
			     (qp->sq.window - psn_diff(qp->sq.psn, qp->sq.una)) * qp->mtu);
	return qpemu_pkt_share(left, most, qp->mtu);
}

/* Local operations: nothing is sent. */
static void run_local(struct qpemu_qp *qp, struct qpemu_wqe *wqe)
{
	int err;

	switch (wqe->opcode) {
	case IB_WR_LOCAL_INV:
		err = qpemu_mem_invalidate(qp, wqe->inv_key, false);
		break;
	case IB_WR_REG_MR:
		err = qpemu_mem_fast_reg(qp, wqe->reg.mr, wqe->reg.key, wqe->reg.access);
		break;
	default:
		err = qpemu_mem_bind(qp, wqe);
		break;
	}
	if (err) {
		fail(qp, wqe, wqe->opcode == IB_WR_BIND_MW ? IB_WC_MW_BIND_ERR :
			      IB_WC_LOC_QP_OP_ERR);
		return;
	}
	wqe->done = true;
	qp->sq.next = list_is_last(&wqe->list, &qp->sq.wqes) ?
		      NULL : list_next_entry(wqe, list);
}

/* The request after @wqe, if it will be sent in this go as well. */
static bool more_follows(struct qpemu_qp *qp)
{
	struct qpemu_wqe *wqe = next_wqe(qp);

	return wqe && wqe->status == IB_WC_SUCCESS && wqe->num_psn &&
	       !must_wait(qp, wqe) && qpemu_tx_room(qp);
}

/*
 * Send one packet of @wqe. Return: false to stop, for want of memory: the timer
 * or the memory's return runs us again.
 */
static bool send_one(struct qpemu_qp *qp, struct qpemu_wqe *wqe)
{
	struct qpemu_path *path = qpemu_connected(qp) ? &qp->path : &wqe->ud.av->path;
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	bool rc = qpemu_reliable(qp);
	u32 kind = wqe->op->flags & QPEMU_OP_KIND;
	struct qpemu_sq *sq = &qp->sq;
	bool data = kind & (QPEMU_OP_SEND | QPEMU_OP_WRITE | QPEMU_OP_STORE);
	u32 index = psn_diff(sq->psn, wqe->first_psn);
	u32 offset = kind & QPEMU_OP_READ || data ? index * qp->mtu : 0;
	u32 length = data ? piece(qp, wqe, path, offset) : 0;
	u32 num = data ? DIV_ROUND_UP(length, qp->mtu) ?: 1 : wqe->num_psn - index;
	bool end = index + num == wqe->num_psn;
	bool small = data && wqe->num_psn == 1 && !qpemu_is_management(qp);
	struct qpemu_bth bth = {
		.psn = sq->psn,
		.dest_qpn = qpemu_connected(qp) ? qp->dest_qpn : wqe->ud.qpn,
		.pkey = qpemu_pkey(qp, qpemu_is_management(qp) ? wqe->ud.pkey_index :
								 qp->attr.pkey_index),
		.opcode = wire_opcode(qp, wqe, !index || !data, end),
		.solicited = end && wqe->flags & IB_SEND_SOLICITED &&
			     kind & (QPEMU_OP_SEND | QPEMU_OP_WRITE),
	};
	u32 size = small ? qpemu_pkt_size(bth.opcode, length) : 0;
	struct sk_buff *skb;
	u32 more = 0;

	/* A READ that is asked for again from its middle is shorter. */
	if (!data && kind & QPEMU_OP_READ)
		end = true;
	skb = qpemu_train_joins(qp, wqe, path, &bth, size);
	if (skb) {
		skb = append(qp, wqe, skb, &bth);
	} else {
		qpemu_train_leave(qp);
		if (small)
			more = qpemu_train_more(qp, wqe, path, size);
		skb = build(qp, wqe, path, &bth, offset, length, more);
	}
	if (IS_ERR(skb)) {
		if (PTR_ERR(skb) == -EAGAIN)
			return false;	/* run again when its memory is there */
		if (PTR_ERR(skb) == -ENOMEM) {
			mod_timer(&sq->timer, jiffies + 1);
			return false;
		}
		if (PTR_ERR(skb) == -EMSGSIZE && !qp->sq.no_super) {
			/* Its pieces of memory are too many for one packet. */
			qp->sq.no_super = true;
			return true;
		}
		fail(qp, wqe, status_of(PTR_ERR(skb)));
		return true;
	}

	if (psn_diff(sq->highest, sq->psn) > 0)
		qpemu_count_n(dev, QPEMU_REPEATED, num);
	if (sq->psn == sq->una)
		sq->progress = jiffies;
	sq->psn = psn_add(sq->psn, num);
	if (psn_diff(sq->psn, sq->highest) > 0)
		sq->highest = sq->psn;
	if (kind & QPEMU_OP_READ_LIKE && !wqe->outstanding) {
		wqe->outstanding = true;
		sq->rd_atomic++;
	}
	if (end) {
		qp->sq.no_super = false;
		sq->next = list_is_last(&wqe->list, &sq->wqes) ?
			   NULL : list_next_entry(wqe, list);
	}

	/*
	 * Ask for an acknowledgment where nothing follows that would, and now
	 * and then on the way, so that the window moves.
	 */
	if (rc && (psn_diff(sq->psn, sq->asked_psn) >= QPEMU_ACK_INTERVAL ||
		   (end ? !more_follows(qp) : must_wait(qp, wqe)))) {
		qpemu_pkt_ask_ack(small ? skb_tail_pointer(skb) - size : skb->data);
		sq->asked_psn = sq->psn;
	}
	qpemu_count_n(dev, QPEMU_SENT_BYTES, length);
	trace_qpemu_send(qp, &bth, length, num);
	if (small)
		qpemu_train_add(qp, wqe, path, &bth, skb, size, more);
	else
		qpemu_tx(qp, path, skb);

	if (rc) {
		qpemu_req_arm(qp);
	} else {
		sq->una = sq->psn;
		wqe->done = end;
	}
	return true;
}

static bool step(struct qpemu_qp *qp)
{
	struct qpemu_wqe *wqe = next_wqe(qp);

	if (!wqe)
		return false;
	if (wqe->status != IB_WC_SUCCESS) {
		fail(qp, wqe, wqe->status);
		return true;
	}
	if (must_wait(qp, wqe))
		return false;
	if (wqe->op->flags & QPEMU_WR_LOCAL) {
		run_local(qp, wqe);
		return true;
	}
	if (!qpemu_tx_room(qp))
		return false;
	return send_one(qp, wqe);
}

/**
 * qpemu_req_run - send what can be sent
 * @qp: whose; sq_lock is held, and qpemu_qp_settle() is called after it is
 *	dropped
 */
void qpemu_req_run(struct qpemu_qp *qp)
{
	int budget = BUDGET;

	if (qp->state == IB_QPS_ERR || qp->state == IB_QPS_SQE) {
		qpemu_flush_sq(qp);
		return;
	}
	if (qp->state < IB_QPS_RTS || qp->sq.waiting_rnr)
		return;
	while (step(qp)) {
		/* Datagrams and local operations are done when they are sent. */
		qpemu_comp_reap(qp);
		if (!--budget) {
			qpemu_qp_kick(qp);
			break;
		}
	}
	qpemu_train_leave(qp);
	qpemu_comp_reap(qp);
}

/**
 * qpemu_req_rewind - send again
 * @qp: whose; sq_lock is held
 * @psn: from here on; not before sq->una
 */
void qpemu_req_rewind(struct qpemu_qp *qp, u32 psn)
{
	struct qpemu_sq *sq = &qp->sq;
	struct qpemu_wqe *wqe;

	if (psn_diff(psn, sq->psn) >= 0)
		return;
	sq->psn = psn;
	sq->asked_psn = psn;
	sq->next = NULL;
	qp->sq.no_super = false;
	list_for_each_entry(wqe, &sq->wqes, list) {
		if (wqe->done || psn_diff(psn_add(wqe->first_psn, wqe->num_psn), psn) <= 0)
			continue;
		if (!sq->next)
			sq->next = wqe;
		if (wqe->outstanding) {
			wqe->outstanding = false;
			sq->rd_atomic--;
		}
	}
}

/**
 * qpemu_req_lost - something was lost, send again from there on
 * @qp: whose; sq_lock is held
 * @silence: nothing tells how much was lost; else a single packet
 *
 * What is under way at a time becomes less, so that queues that are too long
 * get shorter. Each acknowledgment gives some of it back.
 */
void qpemu_req_lost(struct qpemu_qp *qp, bool silence)
{
	struct qpemu_sq *sq = &qp->sq;

	sq->window = max(silence ? sq->window / 4 : sq->window * 3 / 4, QPEMU_MIN_WINDOW);
	qpemu_req_rewind(qp, sq->una);
}

/*
 * The timer: acknowledgments that do not come, the end of an RNR pause, want
 * of memory
 */

/* IBA v1 9.7.6.1.3: 4.096 us * 2^timeout, or a little more; 0 means for ever. */
unsigned long qpemu_ack_timeout(const struct qpemu_qp *qp)
{
	return max(nsecs_to_jiffies(4096ULL << min(qp->attr.timeout, 31)), 2UL);
}

/*
 * Start the timer if something is to be acknowledged and it does not run. As long
 * as nothing is lost it may come late, up to four times the timeout: so many
 * queue pairs that send now and then are not woken for nothing each time.
 */
void qpemu_req_arm(struct qpemu_qp *qp)
{
	unsigned long timeout = qpemu_ack_timeout(qp);

	if (qp->sq.retries == qp->attr.retry_cnt)
		timeout *= 2;
	if (qp->attr.timeout && !timer_pending(&qp->sq.timer))
		mod_timer(&qp->sq.timer, jiffies + timeout);
}

static void timed_out(struct qpemu_qp *qp)
{
	struct qpemu_dev *dev = to_qdev(qp->ibqp.device);
	struct qpemu_sq *sq = &qp->sq;

	qpemu_count(dev, QPEMU_TIMEOUTS);
	/*
	 * Where packets overtake each other, or a round trip takes longer than
	 * the timeout, the peer is heard of all the same: that is no failure.
	 */
	if (!sq->retries && !sq->heard) {
		qpemu_count(dev, QPEMU_RETRY_EXCEEDED);
		qpemu_comp_fail(qp, IB_WC_RETRY_EXC_ERR);
		return;
	}
	if (!sq->heard)
		sq->retries--;
	sq->heard = false;
	trace_qpemu_retry(qp, sq->una, "timeout");
	qpemu_req_lost(qp, true);
}

void qpemu_req_timer(struct timer_list *timer)
{
	struct qpemu_qp *qp = timer_container_of(qp, timer, sq.timer);
	struct qpemu_sq *sq = &qp->sq;

	spin_lock_bh(&qp->sq_lock);
	if (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD) {
		if (sq->waiting_rnr) {
			sq->waiting_rnr = false;
		} else if (qpemu_reliable(qp) && psn_diff(sq->psn, sq->una) > 0) {
			if (time_before(jiffies, sq->progress + qpemu_ack_timeout(qp)))
				mod_timer(&sq->timer, sq->progress + qpemu_ack_timeout(qp));
			else if (qp->attr.timeout)
				timed_out(qp);
		}
		qpemu_req_run(qp);
	}
	spin_unlock_bh(&qp->sq_lock);
	qpemu_qp_settle(qp);
}
