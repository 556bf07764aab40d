// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of InfiniBand packets as they are on the cable: the CRCs of the sample
 * packet of IBA v1 7.8.3, the VCRC once more, bit by bit, and packets that were one
 * before.
 */
#include <kunit/test.h>
#include <linux/bitrev.h>
#include <linux/etherdevice.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <net/gso.h>
#include <net/roce.h>

#include "fabric.h"
#include "link.h"
#include "vcrc.h"

/* RDMA WRITE Only of 14 bytes without GRH */
static const u8 packet_local[] = {
	0x70, 0x12, 0x37, 0x5c, 0x00, 0x0e, 0x17, 0xd2,
	0x0a, 0x20, 0x24, 0x87, 0x00, 0x87, 0xb1, 0xb3,
	0x00, 0x0d, 0xec, 0x2a, 0x01, 0x71, 0x0a, 0x1c,
	0x01, 0x5d, 0x40, 0x02, 0x38, 0xf2, 0x7a, 0x05,
	0x00, 0x00, 0x00, 0x0e, 0xbb, 0x88, 0x4d, 0x85,
	0xfd, 0x5c, 0xfb, 0xa4, 0x72, 0x8b, 0xc0, 0x69,
	0x0e, 0xd4, 0x00, 0x00, 0x96, 0x25, 0xb7, 0x5a,
	0x45, 0xfa,
};

/* The same with a GRH; CRCs by zlib, and by the polynomial, bit by bit */
static const u8 packet_global[] = {
	0x70, 0x13, 0x37, 0x5c, 0x00, 0x18, 0x17, 0xd2,
	0x60, 0x00, 0x00, 0x00, 0x00, 0x30, 0x1b, 0x10,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x25,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x26,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x17,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x96,
	0x0a, 0x20, 0x24, 0x87, 0x00, 0x87, 0xb1, 0xb3,
	0x00, 0x0d, 0xec, 0x2a, 0x01, 0x71, 0x0a, 0x1c,
	0x01, 0x5d, 0x40, 0x02, 0x38, 0xf2, 0x7a, 0x05,
	0x00, 0x00, 0x00, 0x0e, 0xbb, 0x88, 0x4d, 0x85,
	0xfd, 0x5c, 0xfb, 0xa4, 0x72, 0x8b, 0xc0, 0x69,
	0x0e, 0xd4, 0x00, 0x00, 0xad, 0xbf, 0x9e, 0x56,
	0xe9, 0x71,
};

struct crc_case {
	const char *name;
	const u8 *packet;
	unsigned int len;
	/* Bytes of which the ICRC does not cover some or all bits, and these bits */
	unsigned int num_free;
	struct {
		u8 at;
		u8 bits;
	} free[14];
};

static const struct crc_case crc_cases[] = {
	{ "local", packet_local, sizeof(packet_local), 2, { { 0, 0xf0 }, { 12, 0xff } } },
	{ "global", packet_global, sizeof(packet_global), 14,
	  { { 0, 0xff }, { 1, 0xff }, { 2, 0xff }, { 3, 0xff }, { 4, 0xff }, { 5, 0xff },
	    { 6, 0xff }, { 7, 0xff }, { 8, 0x0f }, { 9, 0xff }, { 10, 0xff }, { 11, 0xff },
	    { 15, 0xff }, { 52, 0xff } } },
};

KUNIT_ARRAY_PARAM_DESC(crc, crc_cases, name);

static struct sk_buff *make_skb(struct kunit *test, const struct crc_case *c)
{
	struct sk_buff *skb = alloc_skb(c->len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_put_data(skb, c->packet, c->len);
	return skb;
}

static u16 bit_by_bit(const u8 *data, unsigned int len)
{
	u16 crc = 0xffff;
	unsigned int i;

	for (i = 0; i < len * 8; i++) {
		bool bit = data[i / 8] >> i % 8 & 1;

		crc = crc << 1 ^ (crc >> 15 ^ bit ? 0x100b : 0);
	}
	return bitrev16(~crc);
}

static void crc_known(struct kunit *test)
{
	const struct crc_case *c = test->param_value;
	unsigned int end = c->len - IB_VCRC_LEN;
	struct sk_buff *skb = make_skb(test, c);
	__le16 vcrc = qpemu_vcrc_skb(skb, end);
	__le32 icrc = roce_icrc_ib(skb, 0, end - ROCE_ICRC_LEN);

	KUNIT_EXPECT_MEMEQ(test, &icrc, c->packet + end - ROCE_ICRC_LEN, ROCE_ICRC_LEN);
	KUNIT_EXPECT_MEMEQ(test, &vcrc, c->packet + end, IB_VCRC_LEN);
	kfree_skb(skb);
}

/* What next header there is decides what is covered. */
static bool is_lnh(unsigned int byte, unsigned int bit)
{
	return byte == 1 && bit < 2;
}

static bool is_covered(const struct crc_case *c, unsigned int byte, unsigned int bit)
{
	unsigned int i;

	for (i = 0; i < c->num_free; i++)
		if (c->free[i].at == byte && c->free[i].bits & BIT(bit))
			return false;
	return true;
}

/* Every bit makes a difference, but for those that may change on the way. */
static void icrc_coverage(struct kunit *test)
{
	const struct crc_case *c = test->param_value;
	unsigned int end = c->len - IB_VCRC_LEN - ROCE_ICRC_LEN, byte, bit;
	struct sk_buff *skb = make_skb(test, c);
	__le32 icrc = roce_icrc_ib(skb, 0, end);

	for (byte = 0; byte < end; byte++)
		for (bit = 0; bit < 8; bit++) {
			if (is_lnh(byte, bit))
				continue;
			skb->data[byte] ^= BIT(bit);
			KUNIT_EXPECT_EQ_MSG(test, roce_icrc_ib(skb, 0, end) != icrc,
					    is_covered(c, byte, bit), "byte %u bit %u",
					    byte, bit);
			skb->data[byte] ^= BIT(bit);
		}
	kfree_skb(skb);
}

static void vcrc_lengths(struct kunit *test)
{
	unsigned int len, i;
	u8 data[67];

	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 89 + 7;
	for (len = 0; len <= sizeof(data); len++)
		KUNIT_EXPECT_EQ(test, le16_to_cpu(qpemu_vcrc(data, len)),
				bit_by_bit(data, len));
}

/* In pages, and across their borders */
static void vcrc_paged(struct kunit *test)
{
	const struct crc_case *c = test->param_value;
	unsigned int end = c->len - IB_VCRC_LEN, cut;
	__le16 vcrc;
	__le32 icrc;

	for (cut = 0; cut < end; cut++) {
		struct sk_buff *skb = alloc_skb(c->len, GFP_KERNEL);
		struct page *page = alloc_page(GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, skb);
		KUNIT_ASSERT_NOT_NULL(test, page);
		skb_put_data(skb, c->packet, cut);
		memcpy(page_address(page), c->packet + cut, c->len - cut);
		skb_add_rx_frag(skb, 0, page, 0, c->len - cut, PAGE_SIZE);
		vcrc = qpemu_vcrc_skb(skb, end);
		KUNIT_EXPECT_MEMEQ(test, &vcrc, c->packet + end, IB_VCRC_LEN);
		icrc = roce_icrc_ib(skb, 0, end - ROCE_ICRC_LEN);
		KUNIT_EXPECT_MEMEQ(test, &icrc, c->packet + end - ROCE_ICRC_LEN,
				   ROCE_ICRC_LEN);
		kfree_skb(skb);
	}
}

#define MTU		1024
#define RETH		16
#define PSN		0xfffffe	/* wraps after two packets */
#define TRAIN_SIZE	40

static u8 payload_byte(unsigned int i)
{
	return i ^ i >> 8;
}

static struct roce_bth bth_of(u8 opcode, u32 psn)
{
	return (struct roce_bth) {
		.opcode = opcode,
		.flags = ROCE_BTH_MIGREQ,
		.pkey = htons(0xffff),
		.qpn = htonl(0x12),
		.psn = htonl(psn & ROCE_PSN_MASK),
	};
}

/* From the BTH on to room for an ICRC, in one piece, or two */
static struct sk_buff *make_body(struct kunit *test, unsigned int len, unsigned int linear)
{
	struct sk_buff *skb = alloc_skb(128 + linear, GFP_KERNEL);
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP, 2);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_LE(test, len - linear, 4 * PAGE_SIZE);
	skb_reserve(skb, 128);
	skb_put_zero(skb, linear);
	skb_add_rx_frag(skb, 0, page, 0, len - linear, 4 * PAGE_SIZE);
	return skb;
}

static void put_below(struct sk_buff *skb, bool global)
{
	unsigned int len = skb->len;
	struct qpemu_lrh *lrh;
	struct ethhdr *eth;

	if (global) {
		struct ipv6hdr *grh = skb_push(skb, sizeof(*grh));

		*grh = (struct ipv6hdr) {
			.version = 6, .nexthdr = 0x1b, .hop_limit = 1,
			.payload_len = htons(len),
			.saddr.s6_addr[15] = 1, .daddr.s6_addr[15] = 2,
		};
	}
	lrh = skb_push(skb, sizeof(*lrh));
	*lrh = (struct qpemu_lrh) {
		.vl_lver = 0x10,
		.sl_lnh = 0x20 | (global ? QPEMU_LNH_GRH : QPEMU_LNH_BTH),
		.dlid = htons(7),
		.slid = htons(8),
	};
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, ib_bth_offset(skb->data) - 8);
	skb->protocol = htons(QPEMU_IB_PROTOCOL);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	eth = skb_push(skb, sizeof(*eth));
	eth->h_proto = skb->protocol;
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
}

static struct sk_buff *make_super(struct kunit *test, unsigned int payload, bool global)
{
	unsigned int headers = sizeof(struct roce_bth) + RETH, i;
	unsigned int pad = -payload & 3;
	struct sk_buff *skb = make_body(test, headers + payload + pad + ROCE_ICRC_LEN, headers);
	struct roce_bth *bth = (void *)skb->data;

	*bth = bth_of(IB_OPCODE_RDMA_WRITE_ONLY, PSN);
	bth->flags |= pad << ROCE_BTH_PAD_SHIFT;
	memset(bth + 1, 0xee, RETH);
	for (i = 0; i < payload; i++)
		((u8 *)skb_frag_address(skb_shinfo(skb)->frags))[i] = payload_byte(i);
	skb_shinfo(skb)->gso_type = QPEMU_SUPER;
	skb_shinfo(skb)->gso_size = MTU;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(payload, MTU);
	put_below(skb, global);
	return skb;
}

static struct sk_buff *make_train(struct kunit *test, unsigned int num, bool global)
{
	struct sk_buff *skb = make_body(test, num * TRAIN_SIZE, TRAIN_SIZE);
	unsigned int i;

	for (i = 0; i < num; i++) {
		struct roce_bth bth = bth_of(IB_OPCODE_RDMA_WRITE_ONLY, PSN + i);

		skb_store_bits(skb, i * TRAIN_SIZE, &bth, sizeof(bth));
	}
	skb_shinfo(skb)->gso_type = QPEMU_TRAIN;
	skb_shinfo(skb)->gso_size = TRAIN_SIZE;
	skb_shinfo(skb)->gso_segs = num;
	put_below(skb, global);
	return skb;
}

/* Lengths and CRCs are those of a packet. Return: its BTH. */
static const struct roce_bth *check_packet(struct kunit *test, const struct sk_buff *seg,
					   bool global)
{
	const u8 *lrh = seg->data + ETH_HLEN;
	unsigned int len = seg->len - ETH_HLEN - IB_VCRC_LEN, end = len - ROCE_ICRC_LEN;
	const struct ipv6hdr *grh = (const void *)(lrh + IB_LRH_BYTES);
	__le32 icrc = roce_icrc_ib(seg, ETH_HLEN, end);

	KUNIT_EXPECT_FALSE(test, skb_is_gso(seg));
	KUNIT_EXPECT_FALSE(test, skb_is_nonlinear(seg));
	KUNIT_EXPECT_EQ(test, lrh[0], 0x10);
	KUNIT_EXPECT_EQ(test, lrh[1], global ? 0x23 : 0x22);
	KUNIT_EXPECT_EQ(test, get_unaligned_be16(lrh + 4) * 4, len);
	if (global)
		KUNIT_EXPECT_EQ(test, ntohs(grh->payload_len), len - 48);
	KUNIT_EXPECT_MEMEQ(test, lrh + end, &icrc, sizeof(icrc));
	KUNIT_EXPECT_EQ(test, get_unaligned_le16(lrh + len), bit_by_bit(lrh, len));
	return (const void *)(lrh + ib_bth_offset(lrh));
}

static void check_part(struct kunit *test, const struct roce_bth *bth, unsigned int i,
		       unsigned int num, unsigned int payload)
{
	u8 opcode = i == num - 1 ? IB_OPCODE_RDMA_WRITE_LAST : IB_OPCODE_RDMA_WRITE_MIDDLE;
	unsigned int len = min(payload - i * MTU, MTU), j, wrong = 0;
	const u8 *data = (const u8 *)(bth + 1) + (i ? 0 : RETH);

	if (!i)
		opcode = num == 1 ? IB_OPCODE_RDMA_WRITE_ONLY : IB_OPCODE_RDMA_WRITE_FIRST;
	KUNIT_EXPECT_EQ(test, bth->opcode, opcode);
	KUNIT_EXPECT_EQ(test, ntohl(bth->psn), (PSN + i) & ROCE_PSN_MASK);
	for (j = 0; j < len; j++)
		wrong += data[j] != payload_byte(i * MTU + j);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void cut_super(struct kunit *test)
{
	static const unsigned int payloads[] = { 5 * MTU, 3 * MTU + 1, 2 * MTU, 7 };
	struct sk_buff *super, *segs, *seg, *next;
	unsigned int i, j, num;

	for (j = 0; j < 2 * ARRAY_SIZE(payloads); j++) {
		unsigned int payload = payloads[j / 2];
		bool global = j & 1;

		num = DIV_ROUND_UP(payload, MTU);
		super = make_super(test, payload, global);
		segs = __skb_gso_segment(super, NETIF_F_SG | NETIF_F_HW_CSUM, true);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
		consume_skb(super);
		i = 0;
		skb_list_walk_safe(segs, seg, next) {
			skb_mark_not_on_list(seg);
			check_part(test, check_packet(test, seg, global), i++, num, payload);
			kfree_skb(seg);
		}
		KUNIT_EXPECT_EQ(test, i, num);
	}
}

static void cut_train(struct kunit *test)
{
	const struct roce_bth *bth;
	struct sk_buff *train, *segs, *seg, *next;
	unsigned int i, j;

	for (j = 0; j < 2; j++) {
		train = make_train(test, 7, j);
		segs = __skb_gso_segment(train, NETIF_F_SG | NETIF_F_HW_CSUM, true);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
		consume_skb(train);
		i = 0;
		skb_list_walk_safe(segs, seg, next) {
			skb_mark_not_on_list(seg);
			bth = check_packet(test, seg, j);
			KUNIT_EXPECT_EQ(test, ntohl(bth->psn), (PSN + i++) & ROCE_PSN_MASK);
			kfree_skb(seg);
		}
		KUNIT_EXPECT_EQ(test, i, 7);
	}
}

/* What makes no sense is refused, not cut. */
static void cut_malformed(struct kunit *test)
{
	struct sk_buff *super, *segs;

	/* no InfiniBand transport */
	super = make_super(test, 2 * MTU, false);
	super->data[ETH_HLEN + 1] = 0x01;
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	kfree_skb(super);

	/* shorter than its headers */
	super = make_super(test, 2 * MTU, true);
	KUNIT_EXPECT_EQ(test, pskb_trim(super, ETH_HLEN + 48 + 8), 0);
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	kfree_skb(super);

	/* of another kind */
	super = make_super(test, 2 * MTU, false);
	skb_shinfo(super)->gso_type = SKB_GSO_UDP_L4;
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	kfree_skb(super);
}

/* Who takes it whole gets it whole. */
static void cut_not(struct kunit *test)
{
	struct sk_buff *super = make_super(test, 5 * MTU, false);

	KUNIT_EXPECT_NULL(test, __skb_gso_segment(super, NETIF_F_GSO_ROCE, true));
	KUNIT_EXPECT_EQ(test, skb_shinfo(super)->gso_segs, 5);
	kfree_skb(super);
}

static struct kunit_case cable_cases[] = {
	KUNIT_CASE_PARAM(crc_known, crc_gen_params),
	KUNIT_CASE_PARAM(icrc_coverage, crc_gen_params),
	KUNIT_CASE_PARAM(vcrc_paged, crc_gen_params),
	KUNIT_CASE(vcrc_lengths),
	KUNIT_CASE(cut_super),
	KUNIT_CASE(cut_train),
	KUNIT_CASE(cut_malformed),
	KUNIT_CASE(cut_not),
	{}
};

static struct kunit_suite cable_suite = {
	.name = "qpemu_cable",
	.test_cases = cable_cases,
};

kunit_test_suite(cable_suite);
