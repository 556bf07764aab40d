// SPDX-License-Identifier: GPL-2.0
/*
 * Segmentation of super-packets of RoCEv2 and of InfiniBand's own link layer, and
 * the invariant CRC.
 *
 * A super-packet is [IP][UDP][BTH][extended headers][payload][pad][4 bytes].
 * The BTH has the opcode of the whole: that which the message, or the range of
 * its packets, would have if one packet could hold it. A table says which
 * opcodes the first, the last and all other packets get, and which of the
 * extended headers go with the first and the last one.
 *
 * A train (SKB_GSO_UDP_L4 besides) is [IP][UDP] and then complete packets of a
 * size, [BTH][extended headers][payload][pad][4 bytes] each.
 *
 * InfiniBand has a local route header (LRH), and maybe a GRH, where RoCEv2 has
 * [IP][UDP].
 */

#include <linux/crc32.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/gso.h>
#include <net/roce.h>

/*
 * The CRC covers neither what routers change nor the local route header, but
 * counts them as ones: IBA v1 7.8.1, A16.4.4, A17.3.3. This is the register
 * after the eight bytes of ones that stand for the local route header.
 */
#define ROCE_ICRC_SEED		0xdebb20e3

union roce_l3 {
	struct iphdr ip;
	struct ipv6hdr ipv6;	/* or a GRH */
};

/* What routers change of a GRH, or of the IPv6 header that is like it */
static void roce_mask_ipv6(struct ipv6hdr *ipv6)
{
	ipv6->priority = 0xf;
	memset(ipv6->flow_lbl, 0xff, sizeof(ipv6->flow_lbl));
	ipv6->hop_limit = 0xff;
}

/* Network header, UDP header if there is one, and BTH as the CRC sees them. */
static u32 roce_crc_headers(const struct sk_buff *skb, __be16 protocol, int offset)
{
	u8 pseudo[sizeof(union roce_l3) + sizeof(struct udphdr) + sizeof(struct roce_bth)];
	const void *l3 = skb_network_header(skb);
	unsigned int len;
	struct roce_bth *bth;
	struct udphdr *udp;

	if (protocol == htons(ETH_P_IP)) {
		struct iphdr *ip = (struct iphdr *)pseudo;

		len = sizeof(*ip);
		memcpy(ip, l3, len);
		ip->tos = 0xff;
		ip->ttl = 0xff;
		ip->check = (__force __sum16)0xffff;
	} else {
		struct ipv6hdr *ipv6 = (struct ipv6hdr *)pseudo;

		len = sizeof(*ipv6);
		memcpy(ipv6, l3, len);
		roce_mask_ipv6(ipv6);
	}

	if (protocol != htons(ETH_P_IBOE)) {
		udp = (struct udphdr *)(pseudo + len);
		memcpy(udp, l3 + len, sizeof(*udp));
		udp->check = (__force __sum16)0xffff;
		len += sizeof(*udp);
	}

	bth = (struct roce_bth *)(pseudo + len);
	if (skb_copy_bits(skb, offset, bth, sizeof(*bth)))
		return 0;
	bth->qpn |= htonl(ROCE_BTH_RESV8A);
	return crc32_le(ROCE_ICRC_SEED, pseudo, len + sizeof(*bth));
}

/* Behind the headers; the result is the CRC as it stands in the packet. */
static __le32 roce_crc_rest(u32 crc, const struct sk_buff *skb, unsigned int from,
			    unsigned int to)
{
	unsigned int done, part;
	struct skb_seq_state st;
	const u8 *data;

	if (likely(to <= skb_headlen(skb))) {
		crc = crc32_le(crc, skb->data + from, to - from);
	} else {
		skb_prepare_seq_read((struct sk_buff *)skb, from, to, &st);
		for (done = 0; (part = skb_seq_read(done, &data, &st)); done += part) {
			/* A page is told of as a whole, whatever was asked for. */
			part = min(part, to - from - done);
			crc = crc32_le(crc, data, part);
		}
	}
	return cpu_to_le32(~crc);
}

/**
 * roce_icrc - invariant CRC of a RoCE packet
 * @skb: the packet; its network header, and its UDP header behind that without
 *	options between them, must be set and be in the linear part
 * @protocol: what stands at the network header: ETH_P_IP or ETH_P_IPV6
 *	(RoCEv2), ETH_P_IBOE for a GRH (RoCEv1)
 * @offset: where the BTH begins, counted from skb->data
 * @len: bytes from there to the CRC, at least those of the BTH
 *
 * Return: the CRC as it stands in the packet.
 */
__le32 roce_icrc(const struct sk_buff *skb, __be16 protocol, int offset, unsigned int len)
{
	u32 crc = roce_crc_headers(skb, protocol, offset);

	return roce_crc_rest(crc, skb, offset + sizeof(struct roce_bth), offset + len);
}
EXPORT_SYMBOL_GPL(roce_icrc);

/**
 * roce_icrc_ib - invariant CRC of a packet of InfiniBand's own link layer
 * @skb: the packet
 * @offset: where the LRH begins, counted from skb->data
 * @len: bytes from there to the CRC, at least those of the headers up to the BTH
 *
 * Without a GRH the packet stays in its subnet, where only the VL may change; a
 * GRH is for routers, which give it another LRH.
 *
 * Return: the CRC as it stands in the packet.
 */
__le32 roce_icrc_ib(const struct sk_buff *skb, int offset, unsigned int len)
{
	u8 pseudo[IB_LRH_LEN + sizeof(struct ipv6hdr) + sizeof(struct roce_bth)] __aligned(4);
	unsigned int headers;
	struct roce_bth *bth;

	if (skb_copy_bits(skb, offset, pseudo, IB_LRH_LEN))
		return 0;
	headers = ib_bth_offset(pseudo);
	bth = (struct roce_bth *)(pseudo + headers);
	headers += sizeof(*bth);
	if (skb_copy_bits(skb, offset, pseudo, headers))
		return 0;
	bth->qpn |= htonl(ROCE_BTH_RESV8A);
	if (ib_has_grh(pseudo)) {
		memset(pseudo, 0xff, IB_LRH_LEN);
		roce_mask_ipv6((struct ipv6hdr *)(pseudo + IB_LRH_LEN));
	} else {
		pseudo[0] |= IB_LRH_VL;
	}
	return roce_crc_rest(crc32_le(~0, pseudo, headers), skb, offset + headers,
			     offset + len);
}
EXPORT_SYMBOL_GPL(roce_icrc_ib);

#define RETH_LEN	16
#define AETH_LEN	4
#define IMM_LEN		4	/* immediate data, or a key to invalidate */

/**
 * struct roce_split - how packets with an opcode are cut
 * @first: opcode of the first of several packets
 * @middle: opcode of those between; no row has zero here, which is a first one
 * @last: opcode of the last one; @middle if the message goes on after it
 * @ext: bytes of extended headers
 * @head: how many of them, from the start, the first packet has
 * @tail: how many of them, up to the end, the last packet has
 */
struct roce_split {
	u8 first;
	u8 middle;
	u8 last;
	u8 ext;
	u8 head;
	u8 tail;
};

/* IBA v1 9.2.1, table 38: the lower five bits of the opcode */
enum {
	SEND_FIRST, SEND_MIDDLE, SEND_LAST, SEND_LAST_IMM, SEND_ONLY, SEND_ONLY_IMM,
	WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_LAST_IMM, WRITE_ONLY, WRITE_ONLY_IMM,
	READ_REQUEST,
	READ_FIRST, READ_MIDDLE, READ_LAST, READ_ONLY,
	SEND_LAST_INV = 0x16, SEND_ONLY_INV,
};

#define ROCE_SERVICE		0xe0	/* the upper three bits: */
#define ROCE_RC			0x00
#define ROCE_UC			0x20

#define SPLIT(first, middle, last, ext, head, tail) \
	{ first, middle, last, ext, head, tail }

static const struct roce_split roce_splits[] = {
[SEND_FIRST]	= SPLIT(SEND_FIRST, SEND_MIDDLE, SEND_MIDDLE, 0, 0, 0),
[SEND_MIDDLE]	= SPLIT(SEND_MIDDLE, SEND_MIDDLE, SEND_MIDDLE, 0, 0, 0),
[SEND_LAST]	= SPLIT(SEND_MIDDLE, SEND_MIDDLE, SEND_LAST, 0, 0, 0),
[SEND_LAST_IMM]	= SPLIT(SEND_MIDDLE, SEND_MIDDLE, SEND_LAST_IMM, IMM_LEN, 0, IMM_LEN),
[SEND_LAST_INV]	= SPLIT(SEND_MIDDLE, SEND_MIDDLE, SEND_LAST_INV, IMM_LEN, 0, IMM_LEN),
[SEND_ONLY]	= SPLIT(SEND_FIRST, SEND_MIDDLE, SEND_LAST, 0, 0, 0),
[SEND_ONLY_IMM]	= SPLIT(SEND_FIRST, SEND_MIDDLE, SEND_LAST_IMM, IMM_LEN, 0, IMM_LEN),
[SEND_ONLY_INV]	= SPLIT(SEND_FIRST, SEND_MIDDLE, SEND_LAST_INV, IMM_LEN, 0, IMM_LEN),
[WRITE_FIRST]	= SPLIT(WRITE_FIRST, WRITE_MIDDLE, WRITE_MIDDLE, RETH_LEN, RETH_LEN, 0),
[WRITE_MIDDLE]	= SPLIT(WRITE_MIDDLE, WRITE_MIDDLE, WRITE_MIDDLE, 0, 0, 0),
[WRITE_LAST]	= SPLIT(WRITE_MIDDLE, WRITE_MIDDLE, WRITE_LAST, 0, 0, 0),
[WRITE_LAST_IMM] = SPLIT(WRITE_MIDDLE, WRITE_MIDDLE, WRITE_LAST_IMM, IMM_LEN, 0, IMM_LEN),
[WRITE_ONLY]	= SPLIT(WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, RETH_LEN, RETH_LEN, 0),
[WRITE_ONLY_IMM] = SPLIT(WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST_IMM,
			 RETH_LEN + IMM_LEN, RETH_LEN, IMM_LEN),
[READ_FIRST]	= SPLIT(READ_FIRST, READ_MIDDLE, READ_MIDDLE, AETH_LEN, AETH_LEN, 0),
[READ_MIDDLE]	= SPLIT(READ_MIDDLE, READ_MIDDLE, READ_MIDDLE, 0, 0, 0),
[READ_LAST]	= SPLIT(READ_MIDDLE, READ_MIDDLE, READ_LAST, AETH_LEN, 0, AETH_LEN),
[READ_ONLY]	= SPLIT(READ_FIRST, READ_MIDDLE, READ_LAST, AETH_LEN, AETH_LEN, AETH_LEN),
};

static const struct roce_split *roce_split_of(u8 opcode)
{
	u8 service = opcode & ROCE_SERVICE, op = opcode & ~ROCE_SERVICE;

	if (op >= ARRAY_SIZE(roce_splits) || !roce_splits[op].middle)
		return NULL;
	if (service != ROCE_RC && (service != ROCE_UC || op > WRITE_ONLY_IMM))
		return NULL;
	return &roce_splits[op];
}

/* What is below the BTH */
enum roce_kind {
	ROCE_IPV4,	/* and UDP */
	ROCE_IPV6,
	ROCE_IB,
};

/**
 * struct roce_super - a super-packet, parsed and checked
 * @skb: the super-packet, skb->data at its UDP header or LRH
 * @split: how to cut it; NULL if it is a train, which has none of what follows
 *	up to @pad
 * @bth: its BTH
 * @ext: its extended headers
 * @service: transport service, to be put into every opcode
 * @kind: what is below the BTH
 * @below: bytes of it, from skb->data
 * @pad: bytes of padding at its end
 * @mtu: payload of all packets but the last; of a train: bytes of each packet
 *	from its BTH on
 * @payload: payload of all packets; not of a train
 * @num: packets
 * @ip_id: IPv4: identification of the first packet
 * @ip_id_step: what to add to that for the next one
 */
struct roce_super {
	struct sk_buff *skb;
	const struct roce_split *split;
	const struct roce_bth *bth;
	const u8 *ext;
	u8 service;
	u8 kind;
	u8 below;
	u8 pad;
	unsigned int mtu;
	unsigned int payload;
	unsigned int num;
	u16 ip_id;
	u16 ip_id_step;
};

/* The identification that inet_gso_segment() gives the packets afterwards. */
static void roce_parse_ip_id(struct roce_super *super)
{
	const struct iphdr *ip = ip_hdr(super->skb);
	bool inner = SKB_GSO_CB(super->skb)->encap_level > sizeof(*ip);

	super->ip_id = ntohs(ip->id);
	super->ip_id_step = !(skb_shinfo(super->skb)->gso_type &
			      (SKB_GSO_TCP_FIXEDID << inner));
}

/* One packet that is too long */
static bool roce_parse_long(struct roce_super *super)
{
	unsigned int headers = super->below + sizeof(struct roce_bth);
	struct sk_buff *skb = super->skb;
	bool ends;

	super->bth = (void *)(skb->data + super->below);
	super->split = roce_split_of(super->bth->opcode);
	if (!super->split)
		return false;

	headers += super->split->ext;
	if (!pskb_may_pull(skb, headers))
		return false;
	super->bth = (void *)(skb->data + super->below);
	super->ext = (void *)(super->bth + 1);
	super->service = super->bth->opcode & ROCE_SERVICE;
	super->pad = (super->bth->flags & ROCE_BTH_PAD) >> ROCE_BTH_PAD_SHIFT;
	if (skb->len <= headers + super->pad + ROCE_ICRC_LEN)
		return false;
	super->payload = skb->len - headers - super->pad - ROCE_ICRC_LEN;
	if (!super->mtu || super->mtu % 4 || (super->payload + super->pad) % 4)
		return false;
	super->num = DIV_ROUND_UP(super->payload, super->mtu);

	/* Only the last packet of a message may be a short one. */
	ends = super->split->last != super->split->middle;
	return ends || (!super->pad && super->payload % super->mtu == 0);
}

/* Packets of a size, one after the other */
static bool roce_parse_train(struct roce_super *super)
{
	unsigned int len = super->skb->len - super->below;

	if (super->mtu < ROCE_MIN_OVERHEAD || super->mtu % 4 || len % super->mtu)
		return false;
	super->split = NULL;
	super->num = len / super->mtu;
	return true;
}

/* Where the BTH is. The CRC knows of no IP options or extension headers. */
static bool roce_parse_below(struct roce_super *super)
{
	struct sk_buff *skb = super->skb;
	unsigned int l3_len;

	if (super->kind == ROCE_IB) {
		if (!pskb_may_pull(skb, IB_LRH_LEN) || !ib_is_iba(skb->data))
			return false;
		super->below = ib_bth_offset(skb->data);
		return true;
	}
	super->below = sizeof(struct udphdr);
	l3_len = super->kind == ROCE_IPV6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	return skb_transport_offset(skb) - skb_network_offset(skb) == l3_len;
}

static bool roce_parse(struct roce_super *super, struct sk_buff *skb, enum roce_kind kind)
{
	super->skb = skb;
	super->kind = kind;
	super->mtu = skb_shinfo(skb)->gso_size;
	if (!roce_parse_below(super) ||
	    !pskb_may_pull(skb, super->below + sizeof(struct roce_bth)))
		return false;
	if (kind == ROCE_IPV4)
		roce_parse_ip_id(super);
	return skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4 ? roce_parse_train(super) :
							    roce_parse_long(super);
}

/**
 * struct roce_part - one packet of a super-packet
 * @opcode: lower five bits
 * @pad: bytes of padding
 * @ext: its extended headers
 * @ext_len: bytes of them
 * @offset: of its payload in that of the super-packet
 * @len: bytes of payload
 */
struct roce_part {
	u8 opcode;
	u8 pad;
	const u8 *ext;
	unsigned int ext_len;
	unsigned int offset;
	unsigned int len;
};

static void roce_cut(const struct roce_super *super, unsigned int i, struct roce_part *part)
{
	const struct roce_split *split = super->split;
	bool first = i == 0, last = i == super->num - 1;

	*part = (struct roce_part) {
		.opcode = split->middle,
		.offset = i * super->mtu,
		.len = super->mtu,
		.ext = super->ext,
	};
	if (first) {
		part->opcode = split->first;
		part->ext_len = split->head;
	}
	if (last) {
		part->opcode = split->last;
		part->ext = super->ext + split->ext - split->tail;
		part->ext_len = split->tail;
		part->len = super->payload - part->offset;
		part->pad = super->pad;
	}
	if (first && last) {
		part->opcode = super->bth->opcode & ~ROCE_SERVICE;
		part->ext = super->ext;
		part->ext_len = split->ext;
	}
}

static void roce_put_bth(const struct roce_super *super, unsigned int i,
			 const struct roce_part *part, struct sk_buff *seg)
{
	struct roce_bth *bth = skb_put_data(seg, super->bth, sizeof(*bth));
	u32 psn = ntohl(bth->psn);

	bth->opcode = super->service | part->opcode;
	if (i != super->num - 1) {
		bth->flags &= ~(ROCE_BTH_SE | ROCE_BTH_PAD);
		psn &= ~ROCE_BTH_ACKREQ;
	}
	bth->psn = htonl((psn & ~ROCE_PSN_MASK) | ((psn + i) & ROCE_PSN_MASK));
	skb_put_data(seg, part->ext, part->ext_len);
}

/* The fields of IP and UDP that depend on the packet; the CRC covers them. */
static void roce_fix_udp(const struct roce_super *super, unsigned int i, struct sk_buff *seg)
{
	unsigned int len = skb_tail_pointer(seg) - skb_transport_header(seg);

	if (super->kind == ROCE_IPV6) {
		ipv6_hdr(seg)->payload_len = htons(len);
	} else {
		ip_hdr(seg)->tot_len = htons(len + sizeof(struct iphdr));
		ip_hdr(seg)->id = htons(super->ip_id + i * super->ip_id_step);
	}
	udp_hdr(seg)->len = htons(len);
	udp_hdr(seg)->check = 0;
}

/* The same of LRH and GRH */
static void roce_fix_ib(struct sk_buff *seg)
{
	u8 *lrh = skb_network_header(seg);
	unsigned int len = skb_tail_pointer(seg) - lrh;
	struct ipv6hdr *grh = (struct ipv6hdr *)(lrh + IB_LRH_LEN);

	ib_set_len(lrh, len);
	if (ib_has_grh(lrh))
		grh->payload_len = htons(len - IB_LRH_LEN - sizeof(*grh));
}

static __le32 roce_icrc_of(const struct roce_super *super, const struct sk_buff *seg, int bth)
{
	unsigned int end = seg->len - ROCE_ICRC_LEN;
	unsigned int lrh = bth - super->below;

	switch (super->kind) {
	case ROCE_IPV4:
		return roce_icrc(seg, htons(ETH_P_IP), bth, end - bth);
	case ROCE_IPV6:
		return roce_icrc(seg, htons(ETH_P_IPV6), bth, end - bth);
	default:
		return roce_icrc_ib(seg, lrh, end - lrh);
	}
}

/* From the BTH to the payload, padding and room for the CRC. Return: 0 or -errno. */
static int roce_put_part(const struct roce_super *super, unsigned int i,
			 const struct roce_part *part, struct sk_buff *seg)
{
	unsigned int payload = super->below + sizeof(struct roce_bth) + super->split->ext;

	roce_put_bth(super, i, part, seg);
	if (skb_copy_bits(super->skb, payload + part->offset, skb_put(seg, part->len),
			  part->len))
		return -EFAULT;
	skb_put_zero(seg, part->pad + ROCE_ICRC_LEN);
	return 0;
}

/* The same for a packet of a train. */
static int roce_put_whole(const struct roce_super *super, unsigned int i,
			  struct sk_buff *seg)
{
	return skb_copy_bits(super->skb, super->below + i * super->mtu,
			     skb_put(seg, super->mtu), super->mtu);
}

static struct sk_buff *roce_make_segment(const struct roce_super *super, unsigned int i)
{
	struct sk_buff *skb = super->skb;
	unsigned int headroom = skb_mac_header(skb) - skb->head;
	unsigned int tunnel = skb_tnl_header_len(skb);
	unsigned int headers = skb->data - skb_mac_header(skb) + super->below;
	unsigned int size = super->mtu;
	struct roce_part part;
	struct sk_buff *seg;
	int bth, err;
	__le32 icrc;

	if (super->split) {
		roce_cut(super, i, &part);
		size = sizeof(struct roce_bth) + part.ext_len + part.len + part.pad +
		       ROCE_ICRC_LEN;
	}
	seg = alloc_skb(headroom + headers + size + IB_VCRC_LEN, GFP_ATOMIC);
	if (!seg)
		return NULL;

	skb_reserve(seg, headroom);
	skb_copy_header(seg, skb);
	skb_shinfo(seg)->gso_size = 0;
	skb_shinfo(seg)->gso_segs = 0;
	skb_shinfo(seg)->gso_type = 0;
	seg->ip_summed = CHECKSUM_NONE;
	memcpy(seg->data - tunnel, skb_mac_header(skb) - tunnel, tunnel + headers);
	skb_put(seg, headers);
	skb_reset_mac_len(seg);

	bth = seg->len;
	err = super->split ? roce_put_part(super, i, &part, seg) :
			     roce_put_whole(super, i, seg);
	if (err) {
		kfree_skb(seg);
		return NULL;
	}
	if (super->kind == ROCE_IB)
		roce_fix_ib(seg);
	else
		roce_fix_udp(super, i, seg);
	icrc = roce_icrc_of(super, seg, bth);
	memcpy(skb_tail_pointer(seg) - ROCE_ICRC_LEN, &icrc, ROCE_ICRC_LEN);
	return seg;
}

/*
 * Let the last packet account for all of them, as skb_segment() does: the
 * super-packet is freed at once, the sender has to wait for the packets.
 */
static void roce_pass_ownership(struct sk_buff *skb, struct sk_buff *last)
{
	if (!skb->destructor)
		return;
	swap(last->truesize, skb->truesize);
	swap(last->destructor, skb->destructor);
	swap(last->sk, skb->sk);
	if (!skb_zcopy(skb))
		swap(skb_shinfo(last)->destructor_arg, skb_shinfo(skb)->destructor_arg);
}

static struct sk_buff *roce_segment(struct sk_buff *skb, netdev_features_t features,
				    enum roce_kind kind)
{
	struct sk_buff *segs = NULL, *last = NULL, *seg;
	struct roce_super super;
	unsigned int i;

	if (!roce_parse(&super, skb, kind))
		return ERR_PTR(-EINVAL);
	if (skb_gso_ok(skb, features | NETIF_F_GSO_ROBUST)) {
		skb_shinfo(skb)->gso_segs = super.num;
		return NULL;
	}

	for (i = 0; i < super.num; i++) {
		seg = roce_make_segment(&super, i);
		if (!seg) {
			kfree_skb_list(segs);
			return ERR_PTR(-ENOMEM);
		}
		if (last)
			last->next = seg;
		else
			segs = seg;
		last = seg;
	}
	segs->prev = last;	/* as skb_segment() leaves it */
	roce_pass_ownership(skb, last);
	/* A UDP checksum of zero is right, whatever the way in has noted. */
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	return segs;
}

/**
 * roce_gso_segment - cut a super-packet into packets
 * @skb: the super-packet, skb->data at its UDP header
 * @features: features for the output path
 * @is_ipv6: its network protocol
 *
 * Return: the list of packets; NULL if none need be made; -EINVAL if @skb is
 * malformed, -ENOMEM.
 */
struct sk_buff *roce_gso_segment(struct sk_buff *skb, netdev_features_t features,
				 bool is_ipv6)
{
	return roce_segment(skb, features, is_ipv6 ? ROCE_IPV6 : ROCE_IPV4);
}
EXPORT_SYMBOL_GPL(roce_gso_segment);

/**
 * roce_gso_segment_ib - the same for InfiniBand's own link layer
 * @skb: the super-packet, skb->data and its network header at the LRH
 * @features: features for the output path
 *
 * The packets end with their invariant CRC, and have room for the variant one.
 *
 * Return: as roce_gso_segment().
 */
struct sk_buff *roce_gso_segment_ib(struct sk_buff *skb, netdev_features_t features)
{
	return roce_segment(skb, features, ROCE_IB);
}
EXPORT_SYMBOL_GPL(roce_gso_segment_ib);
