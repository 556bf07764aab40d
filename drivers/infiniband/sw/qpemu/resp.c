// SPDX-License-Identifier: GPL-2.0
/*
 * The responder of connected queue pairs (RC, UC)
 *
 * A request goes through fixed stations: is it the next one (PSN), does it
 * continue what came before (opcode), has it the length that it must have, is
 * there a place for its bytes, and then it is carried out, completed and
 * acknowledged. The first station that is not content decides what goes back.
 *
 * Where the bytes of a packet go follows from its distance from the first PSN
 * of its message.
 */
#include <linux/overflow.h>

#include "engine.h"
#include "mem.h"
#include "trace.h"
#include "verbs.h"

/* Not an opcode: there is no message in progress. */
#define NO_MESSAGE	0xff

/*
 * What goes back
 */

static void send_aeth(struct qpemu_qp *qp, u8 opcode, u8 syndrome, u32 psn, const u64 *value)
{
	struct qpemu_bth bth = {
		.psn = psn,
		.dest_qpn = qp->dest_qpn,
		.pkey = qpemu_pkey(qp, qp->attr.pkey_index),
		.opcode = opcode,
	};
	struct sk_buff *skb;
	void *at;

	skb = qpemu_pkt_new(&qp->path, &bth, 0, 0, 0, &at, NULL);
	if (!skb)
		return;		/* as if it were lost: the requester asks again */
	at = qpemu_put_aeth(at, syndrome, qp->rq.msn);
	if (value)
		qpemu_put_u64(at, *value);
	trace_qpemu_send(qp, &bth, 0, 1);
	qpemu_tx(qp, &qp->path, skb);
}

static void ack(struct qpemu_qp *qp, u32 psn)
{
	send_aeth(qp, IB_OPCODE_RC_ACKNOWLEDGE, QPEMU_AETH_ACK, psn, NULL);
}

/*
 * The message is for somebody here who waits for it, and is told first. What
 * answers a later packet meanwhile acknowledges this one too; the peer then takes
 * this for an old acknowledgment (IBA v1 9.7.5.1.2).
 */
static void ack_soon(struct qpemu_qp *qp, u32 psn)
{
	if (!(READ_ONCE(qp->todo) & BIT(QPEMU_TODO_NOTIFY))) {
		ack(qp, psn);
		return;
	}
	qp->rq.owed_psn = psn;
	qpemu_todo(qp, QPEMU_TODO_ACK);
}

static void nak(struct qpemu_qp *qp, u8 syndrome)
{
	send_aeth(qp, IB_OPCODE_RC_ACKNOWLEDGE, syndrome, qp->rq.psn, NULL);
}

/*
 * The requester did something that it must not: IBA v1 9.9.3. Of a reliable
 * connection both ends stop; an unreliable one drops the message.
 */
static void refuse(struct qpemu_qp *qp, u8 syndrome)
{
	struct qpemu_rq *rq = &qp->rq;

	if (!qpemu_reliable(qp)) {
		rq->msg_op = NO_MESSAGE;
		return;
	}
	nak(qp, syndrome);
	qpemu_todo(qp, syndrome == QPEMU_NAK_REM_ACCESS ? QPEMU_TODO_ACCESS_ERR :
		       syndrome == QPEMU_NAK_INV_REQ ? QPEMU_TODO_REQ_ERR :
		       QPEMU_TODO_FATAL);
	if (rq->have_wqe) {
		struct ib_wc wc = {
			.status = syndrome == QPEMU_NAK_REM_ACCESS ?
				  IB_WC_LOC_ACCESS_ERR : IB_WC_LOC_QP_OP_ERR,
		};

		qpemu_rq_complete(qp, &wc, true);
	}
	qpemu_todo(qp, QPEMU_TODO_ERROR);
	rq->broken = true;
}

/* The receive request does not fit, or names no good memory. */
static void spoilt(struct qpemu_qp *qp, u8 status, u8 syndrome)
{
	struct ib_wc wc = { .status = status };

	qpemu_rq_complete(qp, &wc, true);
	if (!qpemu_reliable(qp)) {
		qp->rq.msg_op = NO_MESSAGE;
		return;
	}
	nak(qp, syndrome);
	qpemu_todo(qp, QPEMU_TODO_ERROR);
	qp->rq.broken = true;
}

/*
 * Station: opcode
 */

static bool fits_message(const struct qpemu_rq *rq, const struct qpemu_pkt *pkt)
{
	u32 before = rq->msg_op == NO_MESSAGE ? 0 : qpemu_ops[rq->msg_op].flags;

	if (!before)
		return pkt->op->flags & QPEMU_OP_START;
	return !(pkt->op->flags & QPEMU_OP_START) &&
	       (pkt->op->flags & before & (QPEMU_OP_SEND | QPEMU_OP_WRITE));
}

/*
 * Station: length. All packets of a message but the last are full.
 */
static bool right_length(const struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	u32 most = pkt->num * qp->mtu;

	if (!(pkt->op->flags & (QPEMU_OP_SEND | QPEMU_OP_WRITE)))
		return true;
	if (pkt->num > 1 && pkt->segment != qp->mtu)
		return false;
	if (!(pkt->op->flags & QPEMU_OP_END))
		return pkt->length == most;
	/* Only a message of one packet may be empty. */
	if (!pkt->length)
		return pkt->op->flags & QPEMU_OP_START;
	return pkt->length <= most;
}

/*
 * Station: place
 */

/* Ask the requester to come again later. */
static void not_ready(struct qpemu_qp *qp)
{
	qpemu_count(to_qdev(qp->ibqp.device), QPEMU_SENT_RNR);
	nak(qp, QPEMU_AETH_RNR | (qp->attr.min_rnr_timer & QPEMU_AETH_VALUE));
	/* Whatever follows is out of sequence, and not worth a NAK. */
	qp->rq.nak_sent = true;
}

/* A receive request for this message; false if it was refused. */
static bool want_rwqe(struct qpemu_qp *qp)
{
	int ret = qp->rq.have_wqe ? 1 : qpemu_rq_take(qp);

	if (ret > 0)
		return true;
	if (!qpemu_reliable(qp)) {
		qp->rq.msg_op = NO_MESSAGE;
		return false;
	}
	if (ret < 0) {
		refuse(qp, QPEMU_NAK_REM_OP);
		return false;
	}
	not_ready(qp);
	return false;
}

/* The memory that the requester named is not for it, or not here now. */
static void refuse_memory(struct qpemu_qp *qp, long err)
{
	if (err == -EAGAIN && qpemu_reliable(qp))
		not_ready(qp);
	else
		refuse(qp, err == -EINVAL || err == -EACCES || err == -ERANGE ?
			   QPEMU_NAK_REM_ACCESS : QPEMU_NAK_REM_OP);
}

/*
 * Carrying out
 */

static u32 message_offset(const struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	return psn_diff(pkt->psn, qp->rq.msg_psn) * qp->mtu;
}

static bool do_send(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	struct qpemu_rwqe *rwqe = qp->rq.wqe;
	u32 offset = message_offset(qp, pkt);
	int err;

	if (!want_rwqe(qp))
		return false;
	if (offset + (u64)pkt->length > rwqe->length) {
		spoilt(qp, IB_WC_LOC_LEN_ERR, QPEMU_NAK_INV_REQ);
		return false;
	}
	if (pkt->length) {
		err = qpemu_sges_write_skb(qp, rwqe->sge, rwqe->num_sge, offset, skb,
					   pkt->data, pkt->length);
		if (err == -EAGAIN && qpemu_reliable(qp)) {
			not_ready(qp);
			return false;
		}
		if (err) {
			spoilt(qp, IB_WC_LOC_PROT_ERR, QPEMU_NAK_REM_OP);
			return false;
		}
	}
	if (pkt->op->flags & QPEMU_OP_IETH && qpemu_mem_invalidate(qp, pkt->inv_key, true)) {
		refuse(qp, QPEMU_NAK_REM_ACCESS);
		return false;
	}
	return true;
}

static bool do_write(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	struct qpemu_region *region;
	struct qpemu_rq *rq = &qp->rq;
	u32 offset = message_offset(qp, pkt);
	bool end = pkt->op->flags & QPEMU_OP_END;
	int err = 0;

	if (pkt->op->flags & QPEMU_OP_RETH) {
		if (!(qp->access & IB_ACCESS_REMOTE_WRITE)) {
			refuse(qp, QPEMU_NAK_INV_REQ);
			return false;
		}
		rq->addr = pkt->addr;
		rq->key = pkt->key;
		rq->length = pkt->dma_length;
	}
	/* IBA v1 9.7.4.1.6: the message is as long as it said. */
	if (end ? offset + (u64)pkt->length != rq->length :
		  offset + (u64)pkt->length >= rq->length) {
		refuse(qp, QPEMU_NAK_INV_REQ);
		return false;
	}
	if (pkt->op->flags & QPEMU_OP_IMM && !want_rwqe(qp))
		return false;
	/* IBA v1 9.7.4.1.5: the key of a message of no bytes is not looked at. */
	if (!rq->length)
		return true;
	/* The first packet answers for the whole of the message. */
	region = pkt->op->flags & QPEMU_OP_START ?
		 qpemu_region_get(qp, rq->key, rq->addr, rq->length, IB_ACCESS_REMOTE_WRITE) :
		 qpemu_region_get(qp, rq->key, rq->addr + offset, pkt->length,
				  IB_ACCESS_REMOTE_WRITE);
	if (IS_ERR(region)) {
		refuse_memory(qp, PTR_ERR(region));
		return false;
	}
	err = qpemu_region_ready(qp, region, rq->addr + offset, pkt->length);
	if (!err)
		err = qpemu_region_write_skb(region, rq->addr + offset, skb, pkt->data,
					     pkt->length);
	qpemu_region_put(region);
	if (err)
		refuse_memory(qp, err);
	return !err;
}

/* A request whose answer may be wanted again is written down. */
static struct qpemu_replay *remember(struct qpemu_rq *rq, const struct qpemu_pkt *pkt, u32 num)
{
	struct qpemu_replay *replay = &rq->replays[rq->replay_next];

	rq->replay_next = (rq->replay_next + 1) % rq->num_replays;
	*replay = (struct qpemu_replay) {
		.valid = true,
		.opcode = pkt->opcode,
		.first_psn = pkt->psn,
		.num_psn = num,
		.key = pkt->key,
		.addr = pkt->addr,
		.length = pkt->dma_length,
	};
	return replay;
}

static bool do_read(struct qpemu_qp *qp, const struct qpemu_pkt *pkt, u32 *num)
{
	struct qpemu_region *region;
	struct qpemu_rq *rq = &qp->rq;

	if (!(qp->access & IB_ACCESS_REMOTE_READ) || !rq->num_replays ||
	    pkt->dma_length > QPEMU_MAX_MSG) {
		refuse(qp, QPEMU_NAK_INV_REQ);
		return false;
	}
	if (pkt->dma_length) {
		region = qpemu_region_get(qp, pkt->key, pkt->addr, pkt->dma_length,
					  IB_ACCESS_REMOTE_READ);
		if (IS_ERR(region)) {
			refuse_memory(qp, PTR_ERR(region));
			return false;
		}
		qpemu_region_put(region);
	}
	*num = DIV_ROUND_UP(pkt->dma_length, qp->mtu) ?: 1;
	rq->read = *remember(rq, pkt, *num);
	rq->read_psn = pkt->psn;
	rq->reading = true;
	return true;
}

static bool do_atomic(struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	struct qpemu_region *region;
	struct qpemu_rq *rq = &qp->rq;
	u64 old;
	int err;

	if (!(qp->access & IB_ACCESS_REMOTE_ATOMIC) || !rq->num_replays || pkt->addr & 7) {
		refuse(qp, QPEMU_NAK_INV_REQ);
		return false;
	}
	region = qpemu_region_get(qp, pkt->key, pkt->addr, sizeof(u64),
				  IB_ACCESS_REMOTE_ATOMIC);
	if (IS_ERR(region)) {
		refuse_memory(qp, PTR_ERR(region));
		return false;
	}
	err = qpemu_region_ready(qp, region, pkt->addr, sizeof(u64));
	if (err) {
		qpemu_region_put(region);
		refuse_memory(qp, err);
		return false;
	}
	if (pkt->opcode == IB_OPCODE_RC_COMPARE_SWAP)
		old = qpemu_region_cmp_swap(region, pkt->addr, pkt->compare, pkt->swap_add);
	else
		old = qpemu_region_fetch_add(region, pkt->addr, pkt->swap_add);
	qpemu_region_put(region);
	remember(rq, pkt, 1)->value = old;
	return true;
}

static bool do_store(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	struct qpemu_region *region;
	__be64 value;
	int err;

	if (!(qp->access & IB_ACCESS_REMOTE_WRITE) || !qp->rq.num_replays ||
	    pkt->length != sizeof(value) || pkt->dma_length != sizeof(value) ||
	    pkt->addr & 7) {
		refuse(qp, QPEMU_NAK_INV_REQ);
		return false;
	}
	region = qpemu_region_get(qp, pkt->key, pkt->addr, sizeof(value),
				  IB_ACCESS_REMOTE_WRITE);
	if (IS_ERR(region)) {
		refuse_memory(qp, PTR_ERR(region));
		return false;
	}
	err = qpemu_region_ready(qp, region, pkt->addr, sizeof(value));
	if (!err)
		err = skb_copy_bits(skb, pkt->data, &value, sizeof(value));
	if (!err)
		qpemu_region_store(region, pkt->addr, (__force u64)value);
	qpemu_region_put(region);
	if (err) {
		refuse_memory(qp, err);
		return false;
	}
	remember(&qp->rq, pkt, 1);
	return true;
}

static bool do_flush(struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	static const u32 rights[] = {
		[IB_FLUSH_GLOBAL] = IB_ACCESS_FLUSH_GLOBAL,
		[IB_FLUSH_PERSISTENT] = IB_ACCESS_FLUSH_PERSISTENT,
		[IB_FLUSH_GLOBAL | IB_FLUSH_PERSISTENT] =
			IB_ACCESS_FLUSH_GLOBAL | IB_ACCESS_FLUSH_PERSISTENT,
	};
	u32 type = pkt->flush & 0xf, level = (pkt->flush >> 4) & 3;
	struct qpemu_region *region;
	int err;

	if (type >= ARRAY_SIZE(rights) || !rights[type] || level > IB_FLUSH_MR ||
	    !qp->rq.num_replays) {
		refuse(qp, QPEMU_NAK_INV_REQ);
		return false;
	}
	region = qpemu_region_get(qp, pkt->key, pkt->addr,
				  level == IB_FLUSH_MR ? 0 : pkt->dma_length, rights[type]);
	if (IS_ERR(region)) {
		refuse_memory(qp, PTR_ERR(region));
		return false;
	}
	err = qpemu_region_flush(region, pkt->addr, pkt->dma_length, type, level);
	qpemu_region_put(region);
	if (err) {
		refuse(qp, QPEMU_NAK_REM_OP);
		return false;
	}
	remember(&qp->rq, pkt, 1);
	return true;
}

/* False if it was refused; *num becomes how many PSNs it takes. */
static bool carry_out(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt,
		      u32 *num)
{
	switch (pkt->op->flags & QPEMU_OP_KIND) {
	case QPEMU_OP_SEND:
		return do_send(qp, skb, pkt);
	case QPEMU_OP_WRITE:
		return do_write(qp, skb, pkt);
	case QPEMU_OP_READ:
		return do_read(qp, pkt, num);
	case QPEMU_OP_ATOMIC:
		return do_atomic(qp, pkt);
	case QPEMU_OP_STORE:
		return do_store(qp, skb, pkt);
	default:
		return do_flush(qp, pkt);
	}
}

/* The message is whole: tell the consumer, if it is to know. */
static void message_done(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	bool write = pkt->op->flags & QPEMU_OP_WRITE;
	struct ib_wc wc = {
		.status = IB_WC_SUCCESS,
		.opcode = write ? IB_WC_RECV_RDMA_WITH_IMM : IB_WC_RECV,
		.byte_len = message_offset(qp, pkt) + pkt->length,
		.src_qp = qp->dest_qpn,
		.port_num = 1,
	};

	if (!(pkt->op->flags & (QPEMU_OP_SEND | QPEMU_OP_IMM)))
		return;
	if (pkt->op->flags & QPEMU_OP_IMM) {
		wc.wc_flags |= IB_WC_WITH_IMM;
		wc.ex.imm_data = pkt->imm;
	}
	if (pkt->op->flags & QPEMU_OP_IETH) {
		wc.wc_flags |= IB_WC_WITH_INVALIDATE;
		wc.ex.invalidate_rkey = pkt->inv_key;
	}
	if (qpemu_skb_cb(skb)->has_grh)
		wc.wc_flags |= IB_WC_GRH;
	qpemu_rq_complete(qp, &wc, pkt->solicited);
	qpemu_count(to_qdev(qp->ibqp.device), QPEMU_RECVS);
}

/*
 * READ responses
 */

/* The bytes of a response, as pages or as a copy. Return: 0 or -errno. */
static int fill(struct qpemu_qp *qp, struct sk_buff *skb, void *payload, u64 addr,
		u32 length)
{
	struct qpemu_region *region;
	int err;

	region = qpemu_region_get(qp, qp->rq.read.key, addr, length, IB_ACCESS_REMOTE_READ);
	if (IS_ERR(region))
		return PTR_ERR(region);
	err = qpemu_region_ready(qp, region, addr, length);
	if (!err && length > qp->mtu) {
		err = qpemu_region_frags(region, addr, length, skb);
		if (!err)
			qpemu_pkt_super(skb, length, qp->mtu);
	} else if (!err) {
		err = qpemu_region_read(region, addr, payload, length);
	}
	qpemu_region_put(region);
	return err;
}

/* Send the next response, of @length bytes at most. Return: 0 or -errno. */
static int respond(struct qpemu_qp *qp, u32 most)
{
	struct qpemu_replay *read = &qp->rq.read;
	u32 offset = psn_diff(qp->rq.read_psn, read->first_psn) * qp->mtu;
	u32 length = qpemu_pkt_share(read->length - offset, most, qp->mtu);
	bool start = !offset, end = offset + length == read->length;
	u32 num = DIV_ROUND_UP(length, qp->mtu) ?: 1;
	static const u8 opcode[] = {
		IB_OPCODE_RC_RDMA_READ_RESPONSE_MIDDLE, IB_OPCODE_RC_RDMA_READ_RESPONSE_FIRST,
		IB_OPCODE_RC_RDMA_READ_RESPONSE_LAST, IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY,
	};
	struct qpemu_bth bth = {
		.psn = qp->rq.read_psn,
		.dest_qpn = qp->dest_qpn,
		.pkey = qpemu_pkey(qp, qp->attr.pkey_index),
		.opcode = opcode[start | end << 1],
	};
	void *headers, *payload;
	struct sk_buff *skb;
	int err;

	skb = qpemu_pkt_new(&qp->path, &bth, length > qp->mtu ? 0 : length, length,
			    0, &headers, &payload);
	if (!skb)
		return -ENOMEM;
	if (start || end)
		qpemu_put_aeth(headers, QPEMU_AETH_ACK, qp->rq.msn);
	err = length ? fill(qp, skb, payload, read->addr + offset, length) : 0;
	if (err) {
		kfree_skb(skb);
		return err;
	}
	qpemu_count_n(to_qdev(qp->ibqp.device), QPEMU_SENT_BYTES, length);
	trace_qpemu_send(qp, &bth, length, num);
	qpemu_tx(qp, &qp->path, skb);
	qp->rq.read_psn = psn_add(qp->rq.read_psn, num);
	qp->rq.reading = !end;
	return 0;
}

/* No more of this answer. */
static void stop_reading(struct qpemu_qp *qp, int err)
{
	qp->rq.reading = false;
	/* Without memory it is as if the response were lost on the way. */
	if (err == -ENOMEM)
		return;
	/* The registration went while it was being read. */
	send_aeth(qp, IB_OPCODE_RC_ACKNOWLEDGE, QPEMU_NAK_REM_ACCESS, qp->rq.read_psn, NULL);
	qpemu_todo(qp, QPEMU_TODO_ERROR);
	qp->rq.broken = true;
}

static void stream(struct qpemu_qp *qp)
{
	u32 most = qpemu_path_super(&qp->path, qp->mtu);
	int budget = 64, err;

	while (qp->rq.reading) {
		if (!qpemu_tx_room(qp))
			return;
		if (!budget--) {
			qpemu_qp_kick(qp);
			return;
		}
		err = respond(qp, most);
		if (err == -EAGAIN)
			return;		/* run again when its memory is there */
		if (err == -EMSGSIZE && most > qp->mtu)
			most = qp->mtu;
		else if (err)
			stop_reading(qp, err);
	}
}

/*
 * Requests that were seen before: IBA v1 9.7.5.1.4
 */

static struct qpemu_replay *find_replay(struct qpemu_rq *rq, const struct qpemu_pkt *pkt)
{
	int i;

	for (i = 0; i < rq->num_replays; i++) {
		struct qpemu_replay *replay = &rq->replays[i];

		if (replay->valid && replay->opcode == pkt->opcode &&
		    psn_diff(pkt->psn, replay->first_psn) >= 0 &&
		    psn_diff(pkt->psn, psn_add(replay->first_psn, replay->num_psn)) < 0)
			return replay;
	}
	return NULL;
}

/* A READ may be asked for again from its middle on, but for nothing else. */
static void read_again(struct qpemu_qp *qp, struct qpemu_replay *replay,
		       const struct qpemu_pkt *pkt)
{
	u32 offset = psn_diff(pkt->psn, replay->first_psn) * qp->mtu;

	if (pkt->key != replay->key || pkt->addr != replay->addr + offset ||
	    pkt->dma_length > replay->length - offset)
		return;
	qp->rq.read = (struct qpemu_replay) {
		.first_psn = pkt->psn,
		.key = pkt->key,
		.addr = pkt->addr,
		.length = pkt->dma_length,
	};
	qp->rq.read_psn = pkt->psn;
	qp->rq.reading = true;
	stream(qp);
}

static void duplicate(struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	u32 kind = pkt->op->flags & QPEMU_OP_KIND;
	struct qpemu_replay *replay;

	qpemu_count(to_qdev(qp->ibqp.device), QPEMU_DUP_REQ);
	if (kind & (QPEMU_OP_SEND | QPEMU_OP_WRITE)) {
		/* One acknowledgment for all that has been received. */
		if (pkt->ack_req || pkt->op->flags & QPEMU_OP_END)
			ack(qp, psn_add(qp->rq.psn, -1));
		return;
	}
	replay = find_replay(&qp->rq, pkt);
	if (!replay)
		return;
	if (kind == QPEMU_OP_READ)
		read_again(qp, replay, pkt);
	else if (kind == QPEMU_OP_ATOMIC)
		send_aeth(qp, IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE, QPEMU_AETH_ACK, pkt->psn,
			  &replay->value);
	else
		send_aeth(qp, IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY, QPEMU_AETH_ACK, pkt->psn,
			  NULL);
}

/*
 * Station: PSN. Return: true to go on with the packet.
 */

/* A request's own PSN stands for those of its answers too. */
static u32 psns_of(const struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	if (pkt->op->flags & QPEMU_OP_READ)
		return DIV_ROUND_UP(pkt->dma_length, qp->mtu) ?: 1;
	return pkt->num;
}

static void keep(struct qpemu_qp *qp, struct sk_buff *skb, const struct qpemu_pkt *pkt)
{
	bool kept = qpemu_order_keep(&qp->rq.order, skb, pkt->psn,
				     psn_add(pkt->psn, psns_of(qp, pkt)), qp->rq.psn);

	qpemu_count(to_qdev(qp->ibqp.device), kept ? QPEMU_EARLY_KEPT : QPEMU_EARLY_DROPS);
}

/* A packet is missing: say so, once (IBA v1 9.7.5.1.1). */
static void ask_again(struct qpemu_qp *qp)
{
	if (qp->rq.nak_sent)
		return;
	qp->rq.nak_sent = true;
	qpemu_order_asked(&qp->rq.order, qp->rq.psn);
	nak(qp, QPEMU_NAK_SEQ);
}

static void out_of_sequence(struct qpemu_qp *qp, struct sk_buff *skb,
			    const struct qpemu_pkt *pkt)
{
	qpemu_count(to_qdev(qp->ibqp.device), QPEMU_OUT_OF_SEQ);
	if (!qpemu_order_keeps(&qp->rq.order)) {
		ask_again(qp);
		return;
	}
	keep(qp, skb, pkt);
	qpemu_order_wait(&qp->rq.order, qp->rq.psn);
}

static bool in_sequence_rc(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	s32 behind = psn_diff(qp->rq.psn, pkt->psn);

	if (!behind)
		return true;
	if (behind < 0) {
		out_of_sequence(qp, skb, pkt);
		return false;
	}
	qpemu_order_again(&qp->rq.order, pkt->psn, min_t(u32, behind, pkt->num));
	if (behind >= pkt->num) {
		duplicate(qp, pkt);
		return false;
	}
	/* A part of a super-packet has been received before. */
	qpemu_pkt_trim(pkt, behind);
	return true;
}

/* Of an unreliable connection a message with a gap is dropped: 9.8.2.2.3. */
static bool in_sequence_uc(struct qpemu_qp *qp, const struct qpemu_pkt *pkt)
{
	struct qpemu_rq *rq = &qp->rq;

	if (pkt->psn != rq->psn) {
		qpemu_count(to_qdev(qp->ibqp.device), QPEMU_OUT_OF_SEQ);
		rq->msg_op = NO_MESSAGE;
		rq->psn = pkt->psn;
	}
	if (pkt->op->flags & QPEMU_OP_START)
		rq->msg_op = NO_MESSAGE;
	return true;
}

static void answer(struct qpemu_qp *qp, const struct qpemu_pkt *pkt, u32 num)
{
	u32 kind = pkt->op->flags & QPEMU_OP_KIND;

	if (!qpemu_reliable(qp))
		return;
	if (kind == QPEMU_OP_READ)
		stream(qp);
	else if (kind == QPEMU_OP_ATOMIC)
		send_aeth(qp, IB_OPCODE_RC_ATOMIC_ACKNOWLEDGE, QPEMU_AETH_ACK, pkt->psn,
			  &find_replay(&qp->rq, pkt)->value);
	else if (kind & (QPEMU_OP_STORE | QPEMU_OP_FLUSH))
		send_aeth(qp, IB_OPCODE_RC_RDMA_READ_RESPONSE_ONLY, QPEMU_AETH_ACK, pkt->psn,
			  NULL);
	else if (pkt->ack_req)
		ack_soon(qp, psn_add(pkt->psn, num - 1));
}

static void request(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_rq *rq = &qp->rq;
	u32 num;

	if (!(qpemu_reliable(qp) ? in_sequence_rc(qp, skb, pkt) : in_sequence_uc(qp, pkt)))
		return;
	num = pkt->num;
	if (!fits_message(rq, pkt) || !right_length(qp, pkt)) {
		if (qpemu_reliable(qp))
			refuse(qp, QPEMU_NAK_INV_REQ);
		else
			rq->msg_op = NO_MESSAGE;
		rq->psn = psn_add(rq->psn, qpemu_reliable(qp) ? 0 : num);
		return;
	}
	if (pkt->op->flags & QPEMU_OP_START)
		rq->msg_psn = pkt->psn;
	if (!carry_out(qp, skb, pkt, &num)) {
		if (!qpemu_reliable(qp))
			rq->psn = psn_add(rq->psn, num);
		return;
	}
	rq->nak_sent = false;
	rq->psn = psn_add(pkt->psn, num);
	if (pkt->op->flags & QPEMU_OP_END) {
		rq->msg_op = NO_MESSAGE;
		rq->msn = (rq->msn + 1) & 0xffffff;
		message_done(qp, skb, pkt);
	} else {
		rq->msg_op = pkt->opcode;
	}
	answer(qp, pkt, num);
}

/*
 * Packets that were kept: those that came while a READ was answered, because
 * answers go out in the order of the requests; and those that overtook others.
 */
static void process_kept(struct qpemu_qp *qp)
{
	struct qpemu_rq *rq = &qp->rq;
	struct qpemu_pkt pkt;
	struct sk_buff *skb;

	while (!rq->reading && !rq->broken && (skb = qpemu_order_first(&rq->order))) {
		if (psn_diff(qpemu_order_psn(skb), rq->psn) > 0) {
			qpemu_order_wait(&rq->order, rq->psn);
			return;
		}
		if (qpemu_pkt_parse(skb, &pkt))
			request(qp, skb, &pkt);
		qpemu_order_drop_first(&rq->order);
	}
}

static bool receives(const struct qpemu_qp *qp)
{
	return qp->state != IB_QPS_RESET && qp->state != IB_QPS_INIT &&
	       qp->state != IB_QPS_ERR && !qp->rq.broken;
}

/* The wait for a missing packet is over: ask for it, and then wait no longer. */
void qpemu_resp_timer(struct timer_list *timer)
{
	struct qpemu_qp *qp = timer_container_of(qp, timer, rq.order.timer);
	struct qpemu_rq *rq = &qp->rq;

	spin_lock_bh(&qp->rq_lock);
	if (receives(qp) && !rq->reading && qpemu_order_first(&rq->order)) {
		if (rq->nak_sent) {
			qpemu_order_purge(&rq->order);
		} else {
			ask_again(qp);
			qpemu_order_wait(&rq->order, rq->psn);
		}
	}
	spin_unlock_bh(&qp->rq_lock);
	qpemu_qp_settle(qp);
}

/* Does a READ ask for what has been answered? Then that is lost; start there. */
static bool goes_back(const struct qpemu_rq *rq, const struct qpemu_pkt *pkt)
{
	return pkt->op->flags & QPEMU_OP_READ && psn_diff(pkt->psn, rq->read_psn) < 0;
}

/**
 * qpemu_resp_rx - a packet for the responder
 * @qp: whose; rq_lock is held
 * @skb: the packet; a reference is taken if it is kept
 * @pkt: what is in it
 */
void qpemu_resp_rx(struct qpemu_qp *qp, struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	struct qpemu_rq *rq = &qp->rq;

	if (!receives(qp))
		return;
	if (qp->state == IB_QPS_RTR && !rq->established) {
		rq->established = true;
		qpemu_todo(qp, QPEMU_TODO_COMM_EST);
	}
	if (rq->reading && !goes_back(rq, pkt)) {
		keep(qp, skb, pkt);
		return;
	}
	request(qp, skb, pkt);
	process_kept(qp);
}

/* Send the acknowledgment that is owed; outside all locks. */
void qpemu_resp_ack(struct qpemu_qp *qp)
{
	spin_lock_bh(&qp->rq_lock);
	if (receives(qp))
		ack(qp, qp->rq.owed_psn);
	spin_unlock_bh(&qp->rq_lock);
}

/* There is room to send again: go on with a READ. Under rq_lock. */
void qpemu_resp_run(struct qpemu_qp *qp)
{
	if (!receives(qp))
		return;
	stream(qp);
	process_kept(qp);
}

/* Forget everything; under rq_lock, or before anyone knows of @qp. */
void qpemu_resp_reset(struct qpemu_qp *qp)
{
	struct qpemu_rq *rq = &qp->rq;

	qpemu_order_reset(&rq->order);
	rq->msg_op = NO_MESSAGE;
	rq->have_wqe = false;
	rq->nak_sent = false;
	rq->reading = false;
	rq->broken = false;
	rq->established = false;
	rq->msn = 0;
	rq->replay_next = 0;
	if (rq->replays)
		memset(rq->replays, 0, rq->num_replays * sizeof(*rq->replays));
}
