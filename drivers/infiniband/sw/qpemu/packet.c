// SPDX-License-Identifier: GPL-2.0
/*
 * Reading and writing packets. qpemu_pkt_parse() is the one place where bytes
 * from the network are looked at; what comes out of it is checked.
 */
#include <linux/unaligned.h>

#include "packet.h"

#define BTH_SOLICITED	BIT(7)
#define BTH_PAD_SHIFT	4
#define BTH_PAD		0x3
#define BTH_VERSION	0xf
#define BTH_ACK_REQ	BIT(31)

struct bth {
	u8 opcode;
	u8 flags;	/* solicited, migration, pad count, version */
	__be16 pkey;
	__be32 qpn;	/* 8 bits FECN, BECN, reserved */
	__be32 psn;	/* acknowledge request, 7 bits reserved */
} __packed;

static_assert(sizeof(struct bth) == IB_BTH_BYTES);

struct reth {
	__be64 addr;
	__be32 key;
	__be32 length;
} __packed;

struct atomiceth {
	__be64 addr;
	__be32 key;
	__be64 swap_add;
	__be64 compare;
} __packed;

struct deth {
	__be32 qkey;
	__be32 src_qpn;	/* 8 bits reserved */
} __packed;

static const u8 *parse_headers(const u8 *at, struct qpemu_pkt *pkt)
{
	u32 flags = pkt->op->flags;

	if (flags & QPEMU_OP_DETH) {
		const struct deth *deth = (const void *)at;

		pkt->qkey = be32_to_cpu(deth->qkey);
		pkt->src_qpn = be32_to_cpu(deth->src_qpn) & 0xffffff;
		at += sizeof(*deth);
	}
	if (flags & QPEMU_OP_FETH) {
		pkt->flush = get_unaligned_be32(at);
		at += 4;
	}
	if (flags & QPEMU_OP_RETH) {
		const struct reth *reth = (const void *)at;

		pkt->addr = be64_to_cpu(reth->addr);
		pkt->key = be32_to_cpu(reth->key);
		pkt->dma_length = be32_to_cpu(reth->length);
		at += sizeof(*reth);
	}
	if (flags & QPEMU_OP_ATOMICETH) {
		const struct atomiceth *eth = (const void *)at;

		pkt->addr = be64_to_cpu(eth->addr);
		pkt->key = be32_to_cpu(eth->key);
		pkt->swap_add = be64_to_cpu(eth->swap_add);
		pkt->compare = be64_to_cpu(eth->compare);
		at += sizeof(*eth);
	}
	if (flags & QPEMU_OP_AETH) {
		u32 aeth = get_unaligned_be32(at);

		pkt->syndrome = aeth >> 24;
		pkt->msn = aeth & 0xffffff;
		at += 4;
	}
	if (flags & QPEMU_OP_ATOMICACK) {
		pkt->orig = get_unaligned_be64(at);
		at += 8;
	}
	if (flags & QPEMU_OP_IMM) {
		memcpy(&pkt->imm, at, sizeof(pkt->imm));
		at += 4;
	}
	if (flags & QPEMU_OP_IETH) {
		pkt->inv_key = get_unaligned_be32(at);
		at += 4;
	}
	return at;
}

/**
 * qpemu_pkt_parse - check a packet and say what is in it
 * @skb: from the BTH to the padding
 * @pkt: what is in it
 *
 * Context: any.
 * Return: false if there is something wrong with the packet
 * alone, whatever the state of its queue pair: IBA v1 9.6.
 */
bool qpemu_pkt_parse(struct sk_buff *skb, struct qpemu_pkt *pkt)
{
	u32 segment = qpemu_skb_cb(skb)->segment;
	const struct bth *bth;
	u32 headers, pad;

	if (!pskb_may_pull(skb, sizeof(*bth)))
		return false;
	bth = (const void *)skb->data;
	pkt->opcode = bth->opcode;
	pkt->op = &qpemu_ops[bth->opcode];
	headers = sizeof(*bth) + pkt->op->headers;
	if (!pkt->op->flags || (bth->flags & BTH_VERSION) || !pskb_may_pull(skb, headers))
		return false;

	bth = (const void *)skb->data;
	pad = (bth->flags >> BTH_PAD_SHIFT) & BTH_PAD;
	if (skb->len < headers + pad || (skb->len & 3))
		return false;
	pkt->pkey = be16_to_cpu(bth->pkey);
	pkt->dest_qpn = be32_to_cpu(bth->qpn) & 0xffffff;
	pkt->psn = be32_to_cpu(bth->psn) & QPEMU_PSN_MASK;
	pkt->ack_req = be32_to_cpu(bth->psn) & BTH_ACK_REQ;
	pkt->solicited = bth->flags & BTH_SOLICITED;
	parse_headers((const u8 *)(bth + 1), pkt);

	pkt->data = headers;
	pkt->length = skb->len - headers - pad;
	if (!(pkt->op->flags & QPEMU_OP_DATA) && pkt->length)
		return false;
	pkt->segment = segment;
	pkt->num = segment && pkt->length > segment ? DIV_ROUND_UP(pkt->length, segment) : 1;
	return pkt->num == 1 || (pkt->op->flags & (QPEMU_OP_SEND | QPEMU_OP_WRITE |
						   QPEMU_OP_READ));
}

/**
 * qpemu_pkt_trim - cut off the first packets of a super-packet
 * @pkt: takes more than @num PSNs
 * @num: how many to cut off
 */
void qpemu_pkt_trim(struct qpemu_pkt *pkt, u32 num)
{
	u8 transport = pkt->opcode & ~0x1f;

	pkt->opcode = transport | pkt->op->rest;
	pkt->op = &qpemu_ops[pkt->opcode];
	pkt->psn = psn_add(pkt->psn, num);
	pkt->num -= num;
	pkt->data += num * pkt->segment;
	pkt->length -= num * pkt->segment;
}

static u32 tail_of(u32 linear, u32 length)
{
	return linear == length ? (-length & 3) + IB_ICRC_BYTES : 0;
}

/* Bytes of a packet from its BTH to its ICRC, with @length bytes of payload. */
u32 qpemu_pkt_size(u8 opcode, u32 length)
{
	return sizeof(struct bth) + qpemu_ops[opcode].headers + length +
	       tail_of(length, length);
}

/**
 * qpemu_pkt_append - put a packet behind what there is
 * @skb: has room for it
 * @bth: what its BTH says
 * @linear: bytes of payload to leave room for here
 * @length: bytes of payload in all
 * @headers: becomes where the extended headers go, may be NULL
 * @payload: becomes where the payload goes, may be NULL
 *
 * Context: any.
 * Return: its BTH.
 */
void *qpemu_pkt_append(struct sk_buff *skb, const struct qpemu_bth *bth, u32 linear,
		       u32 length, void **headers, void **payload)
{
	struct bth *hdr = skb_put(skb, sizeof(*hdr));
	u32 pad = -length & 3;

	hdr->opcode = bth->opcode;
	/* The migration state is always "migrated": there is no other path. */
	hdr->flags = (bth->solicited ? BTH_SOLICITED : 0) | BIT(6) | pad << BTH_PAD_SHIFT;
	hdr->pkey = cpu_to_be16(bth->pkey);
	hdr->qpn = cpu_to_be32(bth->dest_qpn);
	hdr->psn = cpu_to_be32(bth->psn);
	if (headers)
		*headers = skb_tail_pointer(skb);
	skb_put(skb, qpemu_ops[bth->opcode].headers);
	if (payload)
		*payload = skb_tail_pointer(skb);
	skb_put(skb, linear);
	skb_put_zero(skb, tail_of(linear, length));
	return hdr;
}

/**
 * qpemu_pkt_new - begin a packet
 * @path: where it will go
 * @bth: what its BTH says
 * @linear: bytes of payload to leave room for here
 * @length: bytes of payload in all
 * @more: bytes to leave room for behind it, for qpemu_pkt_append()
 * @headers: becomes where the extended headers go, may be NULL
 * @payload: becomes where the payload goes, may be NULL
 *
 * With @linear less than @length the payload is still to be appended as pages,
 * and then qpemu_pkt_super() to be called.
 *
 * Context: any.
 * Return: skb or NULL.
 */
struct sk_buff *qpemu_pkt_new(const struct qpemu_path *path, const struct qpemu_bth *bth,
			      u32 linear, u32 length, u32 more, void **headers,
			      void **payload)
{
	u32 room = qpemu_path_headroom(path);
	struct sk_buff *skb;

	skb = alloc_skb(room + sizeof(struct bth) + qpemu_ops[bth->opcode].headers + linear +
			tail_of(linear, length) + more + qpemu_path_tailroom(path), GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, room);
	qpemu_pkt_append(skb, bth, linear, length, headers, payload);
	return skb;
}

/**
 * qpemu_pkt_share - how much of a message goes into its next super-packet
 * @left: bytes not yet sent
 * @most: bytes that a super-packet may have, a multiple of @mtu
 * @mtu: of the path
 *
 * What takes several is shared out evenly: a single packet that is left over would
 * have its CRCs computed at both ends.
 *
 * Context: any.
 * Return: bytes, whole packets unless they are the last.
 */
u32 qpemu_pkt_share(u32 left, u32 most, u32 mtu)
{
	if (left <= most)
		return left;
	return roundup(DIV_ROUND_UP(left, DIV_ROUND_UP(left, most)), mtu);
}

/* Let a packet from qpemu_pkt_append() ask for an acknowledgment. */
void qpemu_pkt_ask_ack(void *bth)
{
	((struct bth *)bth)->psn |= cpu_to_be32(BTH_ACK_REQ);
}

/**
 * qpemu_pkt_super - make a super-packet of what has its payload as pages
 * @skb: from qpemu_pkt_new(), payload appended
 * @length: of the payload
 * @mtu: of the path
 */
void qpemu_pkt_super(struct sk_buff *skb, u32 length, u32 mtu)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	u32 tail = (-length & 3) + IB_ICRC_BYTES;
	struct page *zero = ZERO_PAGE(0);

	/* Room for padding and ICRC, which nobody writes as long as it is whole. */
	get_page(zero);
	skb_fill_page_desc(skb, shinfo->nr_frags, zero, 0, tail);
	skb->len += tail;
	skb->data_len += tail;
	skb->truesize += tail;
	shinfo->gso_type = QPEMU_SUPER;
	shinfo->gso_size = mtu;
	shinfo->gso_segs = DIV_ROUND_UP(length, mtu);
}

/**
 * qpemu_pkt_train - make a train of packets that were put one behind the other
 * @skb: they, all of a size
 * @num: how many
 */
void qpemu_pkt_train(struct sk_buff *skb, u32 num)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);

	shinfo->gso_type = QPEMU_TRAIN;
	shinfo->gso_size = skb->len / num;
	shinfo->gso_segs = num;
}

void *qpemu_put_reth(void *at, u64 addr, u32 key, u32 length)
{
	struct reth *reth = at;

	reth->addr = cpu_to_be64(addr);
	reth->key = cpu_to_be32(key);
	reth->length = cpu_to_be32(length);
	return reth + 1;
}

void *qpemu_put_aeth(void *at, u8 syndrome, u32 msn)
{
	put_unaligned_be32((u32)syndrome << 24 | (msn & 0xffffff), at);
	return at + 4;
}

void *qpemu_put_deth(void *at, u32 qkey, u32 src_qpn)
{
	struct deth *deth = at;

	deth->qkey = cpu_to_be32(qkey);
	deth->src_qpn = cpu_to_be32(src_qpn);
	return deth + 1;
}

void *qpemu_put_atomiceth(void *at, u64 addr, u32 key, u64 swap_add, u64 compare)
{
	struct atomiceth *eth = at;

	eth->addr = cpu_to_be64(addr);
	eth->key = cpu_to_be32(key);
	eth->swap_add = cpu_to_be64(swap_add);
	eth->compare = cpu_to_be64(compare);
	return eth + 1;
}

void *qpemu_put_be32(void *at, __be32 value)
{
	put_unaligned(value, (__be32 *)at);
	return at + 4;
}

void *qpemu_put_u64(void *at, u64 value)
{
	put_unaligned_be64(value, at);
	return at + 8;
}
