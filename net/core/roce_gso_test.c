// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of RoCE segmentation and of the invariant CRC.
 *
 * The expectations stand here as text would have them, packet by packet; the
 * CRC is computed a second time, bit by bit.
 */

#include <kunit/test.h>
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/gso.h>
#include <net/ip.h>
#include <net/roce.h>

#define MTU		1024
#define EXT_MAX		20
#define PSN		0xfffffe	/* wraps after two packets */
#define IP_ID		0xffff		/* after one */
#define HEADROOM	128

/* A congestion notification that a ConnectX-4 Lx sent. */
static const u8 packet_v4[] = {
	0x45, 0xc2, 0x00, 0x3c, 0x71, 0x8c, 0x40, 0x00,
	0x40, 0x11, 0x91, 0x61, 0x0a, 0x00, 0x11, 0x01,
	0x0a, 0x00, 0x12, 0x01, 0x00, 0x00, 0x12, 0xb7,
	0x00, 0x28, 0x00, 0x00, 0x81, 0x00, 0xff, 0xff,
	0x40, 0x00, 0x01, 0x18, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x82, 0xfd, 0x00, 0x2a,
};

/* RC SEND Only with five bytes; CRCs by zlib over what IBA v1 A17.3.3 says. */
static const u8 packet_v6[] = {
	0x6b, 0xa1, 0x23, 0x45, 0x00, 0x20, 0x11, 0x3f,
	0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0xc1, 0x23, 0x12, 0xb7, 0x00, 0x20, 0x00, 0x00,
	0x04, 0x70, 0xff, 0xff, 0x40, 0x00, 0x00, 0x12,
	0x80, 0xab, 0xcd, 0xef, 0x71, 0x70, 0x65, 0x6d,
	0x75, 0x00, 0x00, 0x00, 0xcd, 0x70, 0x93, 0x98,
};

static const u8 packet_grh[] = {
	0x6b, 0xa1, 0x23, 0x45, 0x00, 0x18, 0x1b, 0x3f,
	0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x04, 0x70, 0xff, 0xff, 0x40, 0x00, 0x00, 0x12,
	0x80, 0xab, 0xcd, 0xef, 0x71, 0x70, 0x65, 0x6d,
	0x75, 0x00, 0x00, 0x00, 0xb6, 0x8c, 0xcc, 0x43,
};

struct icrc_case {
	const char *name;
	const u8 *packet;
	unsigned int len;
	u16 protocol;
	unsigned int bth;
	/* Bytes whose lowest bit the CRC does not cover. */
	unsigned int num_free;
	u8 free[8];
};

static const struct icrc_case icrc_cases[] = {
	{ "RoCEv2, IPv4", packet_v4, sizeof(packet_v4), ETH_P_IP, 28,
	  7, { 1, 8, 10, 11, 26, 27, 32 } },
	{ "RoCEv2, IPv6", packet_v6, sizeof(packet_v6), ETH_P_IPV6, 48,
	  8, { 0, 1, 2, 3, 7, 46, 47, 52 } },
	{ "RoCEv1", packet_grh, sizeof(packet_grh), ETH_P_IBOE, 40,
	  6, { 0, 1, 2, 3, 7, 44 } },
};

KUNIT_ARRAY_PARAM_DESC(icrc, icrc_cases, name);

static struct sk_buff *make_skb(struct kunit *test, const void *data, unsigned int len)
{
	struct sk_buff *skb = alloc_skb(HEADROOM + len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, HEADROOM);
	skb_put_data(skb, data, len);
	skb_reset_network_header(skb);
	return skb;
}

static __le32 icrc_of(const struct sk_buff *skb, const struct icrc_case *c)
{
	return roce_icrc(skb, htons(c->protocol), c->bth, c->len - c->bth - ROCE_ICRC_LEN);
}

static void icrc_known(struct kunit *test)
{
	const struct icrc_case *c = test->param_value;
	struct sk_buff *skb = make_skb(test, c->packet, c->len);
	__le32 icrc = icrc_of(skb, c);

	KUNIT_EXPECT_MEMEQ(test, &icrc, c->packet + c->len - ROCE_ICRC_LEN, ROCE_ICRC_LEN);
	kfree_skb(skb);
}

/* It covers every byte but those that may change on the way. */
static void icrc_coverage(struct kunit *test)
{
	const struct icrc_case *c = test->param_value;
	struct sk_buff *skb = make_skb(test, c->packet, c->len);
	__le32 icrc = icrc_of(skb, c);
	unsigned int i;

	for (i = 0; i < c->len - ROCE_ICRC_LEN; i++) {
		bool covered = !memchr(c->free, i, c->num_free);

		skb->data[i] ^= 0x01;
		KUNIT_EXPECT_EQ_MSG(test, icrc_of(skb, c) != icrc, covered, "byte %u", i);
		skb->data[i] ^= 0x01;
	}
	kfree_skb(skb);
}

/* All behind the BTH may lie in pages. */
static void icrc_paged(struct kunit *test)
{
	const struct icrc_case *c = test->param_value;
	unsigned int linear = c->bth + sizeof(struct roce_bth), i;
	struct sk_buff *skb = make_skb(test, c->packet, linear);
	__le32 icrc;

	for (i = linear; i < c->len; i += 4) {
		struct page *page = alloc_page(GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, page);
		memcpy(page_address(page) + i, c->packet + i, 4);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, i, 4, PAGE_SIZE);
	}
	icrc = icrc_of(skb, c);
	KUNIT_EXPECT_MEMEQ(test, &icrc, c->packet + c->len - ROCE_ICRC_LEN, ROCE_ICRC_LEN);
	kfree_skb(skb);
}

/* As adapters receive them: the CRC is in the page that it is about. */
static void icrc_in_page(struct kunit *test)
{
	const struct icrc_case *c = test->param_value;
	unsigned int linear = c->bth + sizeof(struct roce_bth);
	struct sk_buff *skb = make_skb(test, c->packet, linear);
	struct page *page = alloc_page(GFP_KERNEL);
	__le32 icrc;

	KUNIT_ASSERT_NOT_NULL(test, page);
	memcpy(page_address(page), c->packet + linear, c->len - linear);
	skb_add_rx_frag(skb, 0, page, 0, c->len - linear, PAGE_SIZE);
	icrc = icrc_of(skb, c);
	KUNIT_EXPECT_MEMEQ(test, &icrc, c->packet + c->len - ROCE_ICRC_LEN, ROCE_ICRC_LEN);
	kfree_skb(skb);
}

/* CRC-32 of Ethernet, a bit at a time. */
static u32 crc_bits(u32 crc, const u8 *data, unsigned int len)
{
	unsigned int bit;

	while (len--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/* The CRC of a packet whose network header is at @packet. */
static u32 icrc_again(const u8 *packet, unsigned int len)
{
	bool ipv6 = packet[0] >> 4 == 6;
	unsigned int l4 = ipv6 ? 40 : 20;
	u8 headers[40 + 8 + 12], lrh[8];
	u32 crc;

	memcpy(headers, packet, l4 + 20);
	if (ipv6) {
		headers[0] |= 0x0f;
		memset(headers + 1, 0xff, 3);
		headers[7] = 0xff;
	} else {
		headers[1] = 0xff;
		headers[8] = 0xff;
		memset(headers + 10, 0xff, 2);
	}
	memset(headers + l4 + 6, 0xff, 2);
	headers[l4 + 8 + 4] = 0xff;
	memset(lrh, 0xff, sizeof(lrh));
	crc = crc_bits(~0, lrh, sizeof(lrh));
	crc = crc_bits(crc, headers, l4 + 20);
	return ~crc_bits(crc, packet + l4 + 20, len - l4 - 20 - ROCE_ICRC_LEN);
}

/**
 * struct cut_case - what becomes of a super-packet
 * @name: its opcode
 * @opcode: likewise
 * @ext: bytes of extended headers
 * @ends: the message ends with it
 * @first: opcode of the first packet
 * @middle: of those between
 * @last: of the last one
 * @first_ext: extended headers of the first packet, a slice of the whole's
 * @last_ext: and of the last one
 */
struct cut_case {
	const char *name;
	u8 opcode;
	u8 ext;
	bool ends;
	u8 first;
	u8 middle;
	u8 last;
	struct {
		u8 from;
		u8 len;
	} first_ext, last_ext;
};

/* Numbers as in IBA v1 9.2.1, table 38. */
static const struct cut_case cut_cases[] = {
	{ "RC SEND First", 0x00, 0, false, 0x00, 0x01, 0x01 },
	{ "RC SEND Middle", 0x01, 0, false, 0x01, 0x01, 0x01 },
	{ "RC SEND Last", 0x02, 0, true, 0x01, 0x01, 0x02 },
	{ "RC SEND Last with Immediate", 0x03, 4, true, 0x01, 0x01, 0x03, {}, { 0, 4 } },
	{ "RC SEND Only", 0x04, 0, true, 0x00, 0x01, 0x02 },
	{ "RC SEND Only with Immediate", 0x05, 4, true, 0x00, 0x01, 0x03, {}, { 0, 4 } },
	{ "RC SEND Last with Invalidate", 0x16, 4, true, 0x01, 0x01, 0x16, {}, { 0, 4 } },
	{ "RC SEND Only with Invalidate", 0x17, 4, true, 0x00, 0x01, 0x16, {}, { 0, 4 } },
	{ "RC WRITE First", 0x06, 16, false, 0x06, 0x07, 0x07, { 0, 16 } },
	{ "RC WRITE Middle", 0x07, 0, false, 0x07, 0x07, 0x07 },
	{ "RC WRITE Last", 0x08, 0, true, 0x07, 0x07, 0x08 },
	{ "RC WRITE Last with Immediate", 0x09, 4, true, 0x07, 0x07, 0x09, {}, { 0, 4 } },
	{ "RC WRITE Only", 0x0a, 16, true, 0x06, 0x07, 0x08, { 0, 16 } },
	{ "RC WRITE Only with Immediate", 0x0b, 20, true, 0x06, 0x07, 0x09,
	  { 0, 16 }, { 16, 4 } },
	{ "RC READ response First", 0x0d, 4, false, 0x0d, 0x0e, 0x0e, { 0, 4 } },
	{ "RC READ response Middle", 0x0e, 0, false, 0x0e, 0x0e, 0x0e },
	{ "RC READ response Last", 0x0f, 4, true, 0x0e, 0x0e, 0x0f, {}, { 0, 4 } },
	{ "RC READ response Only", 0x10, 4, true, 0x0d, 0x0e, 0x0f, { 0, 4 }, { 0, 4 } },
	{ "UC SEND Only", 0x24, 0, true, 0x20, 0x21, 0x22 },
	{ "UC SEND Last with Immediate", 0x23, 4, true, 0x21, 0x21, 0x23, {}, { 0, 4 } },
	{ "UC WRITE Only", 0x2a, 16, true, 0x26, 0x27, 0x28, { 0, 16 } },
	{ "UC WRITE Only with Immediate", 0x2b, 20, true, 0x26, 0x27, 0x29,
	  { 0, 16 }, { 16, 4 } },
};

KUNIT_ARRAY_PARAM_DESC(cut, cut_cases, name);

static u8 payload_byte(unsigned int i)
{
	return i ^ i >> 8;
}

static void put_headers(struct sk_buff *skb, bool ipv6)
{
	unsigned int len = skb->len;
	struct udphdr *udp = skb_push(skb, sizeof(*udp));
	struct ethhdr *eth;

	udp->source = htons(0xc000);
	udp->dest = htons(ROCE_UDP_PORT);
	udp->len = htons(len + sizeof(*udp));
	udp->check = 0;
	skb_reset_transport_header(skb);
	if (ipv6) {
		struct ipv6hdr *ip = skb_push(skb, sizeof(*ip));

		*ip = (struct ipv6hdr) {
			.version = 6, .nexthdr = IPPROTO_UDP, .hop_limit = 64,
			.payload_len = udp->len,
			.saddr.s6_addr[15] = 1, .daddr.s6_addr[15] = 2,
		};
	} else {
		struct iphdr *ip = skb_push(skb, sizeof(*ip));

		*ip = (struct iphdr) {
			.version = 4, .ihl = 5, .protocol = IPPROTO_UDP, .ttl = 64,
			.tos = 0x02, .frag_off = htons(IP_DF), .id = htons(IP_ID),
			.tot_len = htons(skb->len),
			.saddr = htonl(0x0a000001), .daddr = htonl(0x0a000002),
		};
		ip_send_check(ip);
	}
	skb_reset_network_header(skb);
	skb->protocol = ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	eth = skb_push(skb, sizeof(*eth));
	eth->h_proto = skb->protocol;
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
}

/* The payload is in pages, as the driver has it. */
static struct sk_buff *make_super(struct kunit *test, u8 opcode, unsigned int ext,
				  unsigned int payload, bool ipv6)
{
	unsigned int pad = -payload & 3, size = payload + pad + ROCE_ICRC_LEN, done, part, i;
	struct sk_buff *skb = alloc_skb(HEADROOM + EXT_MAX + 12, GFP_KERNEL);
	struct roce_bth *bth;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, HEADROOM);
	bth = skb_put(skb, sizeof(*bth));
	*bth = (struct roce_bth) {
		.opcode = opcode,
		.flags = ROCE_BTH_SE | ROCE_BTH_MIGREQ | pad << ROCE_BTH_PAD_SHIFT,
		.pkey = htons(0xffff),
		.qpn = htonl(0x40000012),
		.psn = htonl(ROCE_BTH_ACKREQ | PSN),
	};
	for (i = 0; i < ext; i++)
		*(u8 *)skb_put(skb, 1) = 0xe0 + i;
	for (done = 0; done < size; done += part) {
		struct page *page = alloc_page(GFP_KERNEL);
		u8 *bytes;

		KUNIT_ASSERT_NOT_NULL(test, page);
		part = min_t(unsigned int, size - done, PAGE_SIZE);
		bytes = page_address(page);
		for (i = 0; i < part; i++)
			bytes[i] = done + i < payload ? payload_byte(done + i) : 0;
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0, part, PAGE_SIZE);
	}
	skb_shinfo(skb)->gso_type = SKB_GSO_ROCE;
	skb_shinfo(skb)->gso_size = MTU;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(payload, MTU);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	put_headers(skb, ipv6);
	return skb;
}

struct expected {
	unsigned int i;
	bool last;
	u8 opcode;
	const u8 *ext;
	unsigned int ext_len;
	unsigned int offset;
	unsigned int len;
};

static void check_l3(struct kunit *test, struct sk_buff *seg, bool ipv6, unsigned int i)
{
	unsigned int len = seg->len - ETH_HLEN;

	if (ipv6) {
		KUNIT_EXPECT_EQ(test, ntohs(ipv6_hdr(seg)->payload_len), len - 40);
		KUNIT_EXPECT_EQ(test, ntohs(udp_hdr(seg)->len), len - 40);
	} else {
		KUNIT_EXPECT_EQ(test, ntohs(ip_hdr(seg)->tot_len), len);
		KUNIT_EXPECT_EQ(test, ntohs(ip_hdr(seg)->id), (IP_ID + i) & 0xffff);
		KUNIT_EXPECT_EQ(test, ip_fast_csum(ip_hdr(seg), 5), 0);
		KUNIT_EXPECT_EQ(test, ntohs(udp_hdr(seg)->len), len - 20);
	}
	KUNIT_EXPECT_EQ(test, udp_hdr(seg)->check, 0);
}

static void check_segment(struct kunit *test, struct sk_buff *seg, bool ipv6,
			  const struct expected *want)
{
	unsigned int l3 = ETH_HLEN, bth_at = l3 + (ipv6 ? 48 : 28), at, i, wrong = 0;
	unsigned int pad = -want->len & 3;
	const struct roce_bth *bth = (void *)(seg->data + bth_at);

	KUNIT_ASSERT_FALSE(test, skb_is_nonlinear(seg));
	KUNIT_ASSERT_FALSE(test, skb_is_gso(seg));
	KUNIT_ASSERT_EQ(test, seg->len, bth_at + 12 + want->ext_len + want->len + pad + 4);
	KUNIT_EXPECT_EQ(test, skb_network_offset(seg), l3);
	KUNIT_EXPECT_EQ(test, skb_transport_offset(seg), bth_at - 8);
	check_l3(test, seg, ipv6, want->i);

	KUNIT_EXPECT_EQ(test, bth->opcode, want->opcode);
	KUNIT_EXPECT_EQ(test, bth->flags, ROCE_BTH_MIGREQ |
			(want->last ? ROCE_BTH_SE | pad << ROCE_BTH_PAD_SHIFT : 0));
	KUNIT_EXPECT_EQ(test, ntohs(bth->pkey), 0xffff);
	KUNIT_EXPECT_EQ(test, ntohl(bth->qpn), 0x40000012);
	KUNIT_EXPECT_EQ(test, ntohl(bth->psn), (want->last ? ROCE_BTH_ACKREQ : 0) |
			((PSN + want->i) & 0xffffff));

	at = bth_at + 12;
	if (want->ext_len)
		KUNIT_EXPECT_MEMEQ(test, seg->data + at, want->ext, want->ext_len);
	at += want->ext_len;
	for (i = 0; i < want->len + pad; i++)
		wrong += seg->data[at + i] !=
			 (i < want->len ? payload_byte(want->offset + i) : 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, get_unaligned_le32(seg->data + seg->len - 4),
			icrc_again(seg->data + l3, seg->len - l3));
}

static void cut_and_check(struct kunit *test, const struct cut_case *c,
			  unsigned int payload, bool ipv6)
{
	unsigned int num = DIV_ROUND_UP(payload, MTU), i = 0;
	struct sk_buff *super, *segs, *seg, *next;
	u8 ext[EXT_MAX];

	for (i = 0; i < sizeof(ext); i++)
		ext[i] = 0xe0 + i;
	super = make_super(test, c->opcode, c->ext, payload, ipv6);
	segs = __skb_gso_segment(super, NETIF_F_SG | NETIF_F_HW_CSUM, true);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	consume_skb(super);

	i = 0;
	skb_list_walk_safe(segs, seg, next) {
		struct expected want = {
			.i = i, .last = i == num - 1, .offset = i * MTU,
			.len = min(payload - i * MTU, MTU), .opcode = c->middle,
		};

		skb_mark_not_on_list(seg);
		if (num == 1) {
			want.opcode = c->opcode;
			want.ext = ext;
			want.ext_len = c->ext;
		} else if (i == 0) {
			want.opcode = c->first;
			want.ext = ext + c->first_ext.from;
			want.ext_len = c->first_ext.len;
		} else if (want.last) {
			want.opcode = c->last;
			want.ext = ext + c->last_ext.from;
			want.ext_len = c->last_ext.len;
		}
		check_segment(test, seg, ipv6, &want);
		kfree_skb(seg);
		i++;
	}
	KUNIT_EXPECT_EQ(test, i, num);
}

static void cut_full(struct kunit *test)
{
	cut_and_check(test, test->param_value, 5 * MTU, false);
	cut_and_check(test, test->param_value, 5 * MTU, true);
	cut_and_check(test, test->param_value, 2 * MTU, false);
	cut_and_check(test, test->param_value, MTU, true);
}

static void cut_short_end(struct kunit *test)
{
	const struct cut_case *c = test->param_value;
	unsigned int rest;

	if (!c->ends)
		kunit_skip(test, "the message goes on");
	for (rest = 1; rest <= 5; rest++) {
		cut_and_check(test, c, 3 * MTU + rest, false);
		cut_and_check(test, c, rest, true);
	}
}

/* Super-packets that make no sense are refused, not cut. */
static void cut_malformed(struct kunit *test)
{
	static const struct {
		u8 opcode;
		u8 ext;
		unsigned int payload;
	} wrong[] = {
		{ 0x00, 0, 2 * MTU + 4 },	/* First with a short packet */
		{ 0x0e, 0, 2 * MTU + 1 },
		{ 0x0c, 16, 2 * MTU },		/* READ request */
		{ 0x11, 4, 2 * MTU },		/* ACK */
		{ 0x13, 16, 2 * MTU },		/* atomic */
		{ 0x1f, 0, 2 * MTU },		/* reserved */
		{ 0x30, 4, 2 * MTU },		/* UC has no READ */
		{ 0x37, 4, 2 * MTU },		/* nor SEND with Invalidate */
		{ 0x64, 8, 2 * MTU },		/* UD */
		{ 0x81, 0, 2 * MTU },		/* congestion notification */
	};
	struct sk_buff *super, *segs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		super = make_super(test, wrong[i].opcode, wrong[i].ext, wrong[i].payload, i & 1);
		segs = __skb_gso_segment(super, 0, true);
		KUNIT_EXPECT_EQ_MSG(test, PTR_ERR_OR_ZERO(segs), -EINVAL, "number %u", i);
		kfree_skb(super);
	}

	/* gso_size that is no MTU */
	super = make_super(test, 0x04, 0, 2 * MTU, false);
	skb_shinfo(super)->gso_size = MTU + 1;
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	kfree_skb(super);

	/* no payload */
	super = make_super(test, 0x0a, 16, 4, true);
	pskb_trim(super, super->len - 4);
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	kfree_skb(super);
}

/* Who takes it whole gets it whole. */
static void cut_not(struct kunit *test)
{
	struct sk_buff *super = make_super(test, 0x04, 0, 5 * MTU + 1, false);

	KUNIT_EXPECT_NULL(test, __skb_gso_segment(super, NETIF_F_GSO_ROCE, true));
	KUNIT_EXPECT_TRUE(test, skb_gso_ok(super, NETIF_F_GSO_SOFTWARE));
	KUNIT_EXPECT_EQ(test, skb_shinfo(super)->gso_segs, 6);
	kfree_skb(super);
}

/* The packets must pass where the MTU is just enough for them. */
static void cut_length(struct kunit *test)
{
	struct sk_buff *super = make_super(test, 0x0a, 16, 5 * MTU, false);
	unsigned int len = 20 + 8 + 12 + 16 + MTU + 4;

	KUNIT_EXPECT_TRUE(test, skb_gso_validate_network_len(super, len));
	KUNIT_EXPECT_FALSE(test, skb_gso_validate_network_len(super, len - 1));
	kfree_skb(super);
}

/* WRITEs of eight bytes: BTH, RETH, payload, room for the CRC */
#define TRAIN_SIZE	40

/* What of it is behind @linear bytes is in a page. */
static struct sk_buff *make_train(struct kunit *test, unsigned int num, unsigned int linear,
				  bool ipv6)
{
	unsigned int len = num * TRAIN_SIZE, i, j;
	struct sk_buff *skb = alloc_skb(HEADROOM + linear, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);
	u8 *bytes;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, page);
	bytes = page_address(page);
	for (i = 0; i < num; i++) {
		struct roce_bth *bth = (void *)(bytes + i * TRAIN_SIZE);

		*bth = (struct roce_bth) {
			.opcode = 0x0a,
			.flags = ROCE_BTH_MIGREQ,
			.pkey = htons(0xffff),
			.qpn = htonl(0x40000012),
			.psn = htonl((PSN + i) & 0xffffff),
		};
		for (j = sizeof(*bth); j < TRAIN_SIZE; j++)
			bytes[i * TRAIN_SIZE + j] = j < TRAIN_SIZE - 4 ? i ^ j : 0;
	}
	skb_reserve(skb, HEADROOM);
	skb_put_data(skb, bytes, min(linear, len));
	if (linear < len)
		skb_add_rx_frag(skb, 0, page, linear, len - linear, PAGE_SIZE);
	else
		put_page(page);
	skb_shinfo(skb)->gso_type = SKB_GSO_ROCE | SKB_GSO_UDP_L4;
	skb_shinfo(skb)->gso_size = TRAIN_SIZE;
	skb_shinfo(skb)->gso_segs = num;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	put_headers(skb, ipv6);
	return skb;
}

static void cut_train_and_check(struct kunit *test, unsigned int num, unsigned int linear,
				bool ipv6)
{
	unsigned int bth_at = ETH_HLEN + (ipv6 ? 48 : 28), i = 0;
	struct sk_buff *train, *segs, *seg, *next;
	u8 want[TRAIN_SIZE];

	train = make_train(test, num, linear, ipv6);
	segs = __skb_gso_segment(train, NETIF_F_SG | NETIF_F_HW_CSUM, true);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	skb_list_walk_safe(segs, seg, next) {
		skb_mark_not_on_list(seg);
		KUNIT_ASSERT_EQ(test, seg->len, bth_at + TRAIN_SIZE);
		KUNIT_EXPECT_FALSE(test, skb_is_gso(seg));
		check_l3(test, seg, ipv6, i);
		skb_copy_bits(train, bth_at + i * TRAIN_SIZE, want, TRAIN_SIZE);
		KUNIT_EXPECT_MEMEQ(test, seg->data + bth_at, want, TRAIN_SIZE - 4);
		KUNIT_EXPECT_EQ(test, get_unaligned_le32(seg->data + seg->len - 4),
				icrc_again(seg->data + ETH_HLEN, seg->len - ETH_HLEN));
		kfree_skb(seg);
		i++;
	}
	KUNIT_EXPECT_EQ(test, i, num);
	consume_skb(train);
}

/* Packets that are there already are taken apart, and get their CRCs. */
static void cut_train(struct kunit *test)
{
	cut_train_and_check(test, 5, 5 * TRAIN_SIZE, false);
	cut_train_and_check(test, 5, 5 * TRAIN_SIZE, true);
	cut_train_and_check(test, 7, 2 * TRAIN_SIZE + 2, false);
	cut_train_and_check(test, 7, 16, true);
	cut_train_and_check(test, 1, TRAIN_SIZE, false);
}

static void cut_train_malformed(struct kunit *test)
{
	static const u16 wrong[] = {
		1, 12, 15, 18, TRAIN_SIZE - 4, TRAIN_SIZE + 1, 5 * TRAIN_SIZE + 4,
	};
	struct sk_buff *train, *segs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		train = make_train(test, 5, 5 * TRAIN_SIZE, i & 1);
		skb_shinfo(train)->gso_size = wrong[i];
		segs = __skb_gso_segment(train, 0, true);
		KUNIT_EXPECT_EQ_MSG(test, PTR_ERR_OR_ZERO(segs), -EINVAL, "size %u", wrong[i]);
		kfree_skb(train);
	}
}

/* Both types have to be taken for it to be taken whole. */
static void cut_train_not(struct kunit *test)
{
	struct sk_buff *train = make_train(test, 5, 5 * TRAIN_SIZE, false);
	unsigned int len = 20 + 8 + TRAIN_SIZE;

	KUNIT_EXPECT_FALSE(test, skb_gso_ok(train, NETIF_F_GSO_ROCE));
	KUNIT_EXPECT_FALSE(test, skb_gso_ok(train, NETIF_F_GSO_UDP_L4));
	KUNIT_EXPECT_TRUE(test, skb_gso_ok(train, NETIF_F_GSO_SOFTWARE));
	KUNIT_EXPECT_NULL(test, __skb_gso_segment(train, NETIF_F_GSO_SOFTWARE, true));
	KUNIT_EXPECT_EQ(test, skb_shinfo(train)->gso_segs, 5);
	KUNIT_EXPECT_TRUE(test, skb_gso_validate_network_len(train, len));
	KUNIT_EXPECT_FALSE(test, skb_gso_validate_network_len(train, len - 1));
	kfree_skb(train);
}

static unsigned int destroyed;

static void count_destroyed(struct sk_buff *skb)
{
	if (skb_shinfo(skb)->destructor_arg == &destroyed)
		destroyed++;
}

/* The sender hears of it once, when the last packet is gone. */
static void cut_ownership(struct kunit *test)
{
	struct sk_buff *super = make_super(test, 0x04, 0, 3 * MTU, false), *segs, *seg, *next;

	destroyed = 0;
	super->destructor = count_destroyed;
	skb_shinfo(super)->destructor_arg = &destroyed;
	segs = __skb_gso_segment(super, 0, true);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	consume_skb(super);
	skb_list_walk_safe(segs, seg, next) {
		KUNIT_EXPECT_EQ(test, destroyed, 0);
		skb_mark_not_on_list(seg);
		consume_skb(seg);
	}
	KUNIT_EXPECT_EQ(test, destroyed, 1);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(icrc_known, icrc_gen_params),
	KUNIT_CASE_PARAM(icrc_coverage, icrc_gen_params),
	KUNIT_CASE_PARAM(icrc_paged, icrc_gen_params),
	KUNIT_CASE_PARAM(icrc_in_page, icrc_gen_params),
	KUNIT_CASE_PARAM(cut_full, cut_gen_params),
	KUNIT_CASE_PARAM(cut_short_end, cut_gen_params),
	KUNIT_CASE(cut_malformed),
	KUNIT_CASE(cut_not),
	KUNIT_CASE(cut_length),
	KUNIT_CASE(cut_train),
	KUNIT_CASE(cut_train_malformed),
	KUNIT_CASE(cut_train_not),
	KUNIT_CASE(cut_ownership),
	{}
};

static struct kunit_suite suite = {
	.name = "roce_gso",
	.test_cases = cases,
};

kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of RoCE segmentation");
MODULE_LICENSE("GPL");
