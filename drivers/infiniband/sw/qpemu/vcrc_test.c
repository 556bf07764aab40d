// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the CRCs of InfiniBand packets: the sample packet of IBA v1 7.8.3,
 * and the VCRC once more, bit by bit.
 */
#include <kunit/test.h>
#include <linux/bitrev.h>
#include <linux/skbuff.h>
#include <net/roce.h>

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

static struct kunit_case vcrc_cases[] = {
	KUNIT_CASE_PARAM(crc_known, crc_gen_params),
	KUNIT_CASE_PARAM(icrc_coverage, crc_gen_params),
	KUNIT_CASE_PARAM(vcrc_paged, crc_gen_params),
	KUNIT_CASE(vcrc_lengths),
	{}
};

static struct kunit_suite vcrc_suite = {
	.name = "qpemu_vcrc",
	.test_cases = vcrc_cases,
};

kunit_test_suite(vcrc_suite);
