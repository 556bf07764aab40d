/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets from the BTH on: what came in, checked and in host order; and what
 * goes out. A super-packet (see link.h) counts as one packet here, which takes
 * several PSNs.
 */
#ifndef _QPEMU_PACKET_H
#define _QPEMU_PACKET_H

#include "link.h"
#include "opcode.h"
#include "qpemu.h"

#define QPEMU_PSN_MASK	0xffffff

/* How far @a is beyond @b, as 24-bit serial numbers (IBA v1 9.7.2). */
static inline s32 psn_diff(u32 a, u32 b)
{
	return (s32)((a - b) << 8) >> 8;
}

static inline u32 psn_add(u32 psn, s32 n)
{
	return (psn + n) & QPEMU_PSN_MASK;
}

/* AETH syndromes, IBA v1 9.7.5.1.1 and 9.7.5.2.8 */
#define QPEMU_AETH_ACK		0x1f	/* credits are not used */
#define QPEMU_AETH_RNR		0x20
#define QPEMU_AETH_NAK		0x60
#define QPEMU_AETH_TYPE		0xe0
#define QPEMU_AETH_VALUE	0x1f

enum {
	QPEMU_NAK_SEQ		= QPEMU_AETH_NAK | 0,
	QPEMU_NAK_INV_REQ	= QPEMU_AETH_NAK | 1,
	QPEMU_NAK_REM_ACCESS	= QPEMU_AETH_NAK | 2,
	QPEMU_NAK_REM_OP	= QPEMU_AETH_NAK | 3,
};

/**
 * struct qpemu_pkt - a packet that came in
 * @op: row of its opcode
 * @opcode: from the BTH
 * @psn: its (first) PSN
 * @num: PSNs that it takes: 1, more for a super-packet
 * @segment: payload of each of them but the last
 * @dest_qpn: from the BTH
 * @ack_req: from the BTH
 * @solicited: from the BTH
 * @data: where the payload begins, from skb->data
 * @length: of the payload, without padding
 * @pkey: from the BTH
 * @syndrome: from the AETH
 * @msn: from the AETH
 * @src_qpn: from the DETH
 * @qkey: from the DETH
 * @addr: from the RETH or AtomicETH
 * @key: from the RETH or AtomicETH
 * @dma_length: from the RETH
 * @swap_add: from the AtomicETH
 * @compare: from the AtomicETH
 * @orig: from the AtomicAckETH
 * @flush: from the FETH
 * @inv_key: from the IETH
 * @imm: immediate data
 *
 * What the extended headers say is valid as @op->flags tells.
 */
struct qpemu_pkt {
	const struct qpemu_op_info *op;
	u32 psn;
	u32 num;
	u32 dest_qpn;
	u32 data;
	u32 length;
	u32 segment;
	u16 pkey;
	u8 opcode;
	bool ack_req;
	bool solicited;
	u8 syndrome;		/* AETH */
	u32 msn;
	u32 src_qpn;		/* DETH */
	u32 qkey;
	u64 addr;		/* RETH, AtomicETH */
	u32 key;
	u32 dma_length;
	u64 swap_add;		/* AtomicETH */
	u64 compare;
	u64 orig;		/* AtomicAckETH */
	u32 flush;		/* FETH */
	u32 inv_key;		/* IETH */
	__be32 imm;
};

/* What stands in the BTH of a packet that goes out, beyond the queue pair's. */
struct qpemu_bth {
	u32 psn;
	u32 dest_qpn;
	u16 pkey;
	u8 opcode;		/* with the transport */
	bool solicited;
};

bool qpemu_pkt_parse(struct sk_buff *skb, struct qpemu_pkt *pkt);
void qpemu_pkt_trim(struct qpemu_pkt *pkt, u32 num);

struct sk_buff *qpemu_pkt_new(const struct qpemu_path *path, const struct qpemu_bth *bth,
			      u32 linear, u32 length, u32 more, void **headers,
			      void **payload);
void *qpemu_pkt_append(struct sk_buff *skb, const struct qpemu_bth *bth, u32 linear,
		       u32 length, void **headers, void **payload);
void qpemu_pkt_ask_ack(void *bth);
void qpemu_pkt_super(struct sk_buff *skb, u32 length, u32 mtu);
u32 qpemu_pkt_share(u32 left, u32 most, u32 mtu);
void qpemu_pkt_train(struct sk_buff *skb, u32 num);
u32 qpemu_pkt_size(u8 opcode, u32 length);

/* The extended headers; each writes one and returns where the next begins. */
void *qpemu_put_reth(void *at, u64 addr, u32 key, u32 length);
void *qpemu_put_aeth(void *at, u8 syndrome, u32 msn);
void *qpemu_put_deth(void *at, u32 qkey, u32 src_qpn);
void *qpemu_put_atomiceth(void *at, u64 addr, u32 key, u64 swap_add, u64 compare);
void *qpemu_put_be32(void *at, __be32 value);
void *qpemu_put_u64(void *at, u64 value);

/* train.c: small messages go together; under sq_lock */
struct sk_buff *qpemu_train_joins(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
				  const struct qpemu_path *path,
				  const struct qpemu_bth *bth, u32 size);
u32 qpemu_train_more(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		     const struct qpemu_path *path, u32 size);
void qpemu_train_add(struct qpemu_qp *qp, const struct qpemu_wqe *wqe,
		     struct qpemu_path *path, const struct qpemu_bth *bth,
		     struct sk_buff *skb, u32 size, u32 more);
void qpemu_train_leave(struct qpemu_qp *qp);

/* tx.c: sending with a bound on what is under way */
struct qpemu_tx *qpemu_tx_new(struct qpemu_qp *qp);
void qpemu_tx_kill(struct qpemu_tx *tx);
bool qpemu_tx_room(struct qpemu_qp *qp);
int qpemu_tx(struct qpemu_qp *qp, struct qpemu_path *path, struct sk_buff *skb);

#endif /* _QPEMU_PACKET_H */
