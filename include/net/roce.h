/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RDMA over Converged Ethernet, as far as the network stack knows of it: the
 * base transport header (BTH), the invariant CRC (ICRC), and segmentation of
 * super-packets (SKB_GSO_ROCE); and these of InfiniBand's own packets, which have
 * a local route header (LRH) in place of Ethernet's, IP's and UDP's.
 */
#ifndef _NET_ROCE_H
#define _NET_ROCE_H

#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/types.h>
#include <linux/unaligned.h>

#define ROCE_UDP_PORT		4791

/**
 * struct roce_bth - base transport header, IBA v1 9.2
 * @opcode: transport service in the upper three bits, operation in the others
 * @flags: ROCE_BTH_SE, ROCE_BTH_MIGREQ, ROCE_BTH_PAD, header version
 * @pkey: partition key
 * @qpn: destination queue pair, 24 bits; ECN notification and reserved bits
 * @psn: packet sequence number, 24 bits; ROCE_BTH_ACKREQ
 */
struct roce_bth {
	u8 opcode;
	u8 flags;
	__be16 pkey;
	__be32 qpn;
	__be32 psn;
};

static_assert(sizeof(struct roce_bth) == 12);

#define ROCE_BTH_SE		0x80
#define ROCE_BTH_MIGREQ		0x40
#define ROCE_BTH_PAD		0x30
#define ROCE_BTH_PAD_SHIFT	4
#define ROCE_BTH_VERSION	0x0f
#define ROCE_BTH_ACKREQ		0x80000000
#define ROCE_BTH_RESV8A		0xff000000
#define ROCE_PSN_MASK		0x00ffffff

#define ROCE_ICRC_LEN		4

/* What a packet of a super-packet has beside UDP header and payload. */
#define ROCE_MIN_OVERHEAD	(sizeof(struct roce_bth) + ROCE_ICRC_LEN)
#define ROCE_MAX_OVERHEAD	(ROCE_MIN_OVERHEAD + 16 /* RETH */)

/* The LRH, IBA v1 7.7; see there for the other fields */
#define IB_LRH_LEN		8
#define IB_LRH_VL		0xf0	/* in byte 0: virtual lane */
#define IB_LRH_LVER		0x0f	/*	and version, 0 */
#define IB_LRH_LNH		0x03	/* in byte 1: what comes next */
#define IB_LRH_LNH_IBA		0x02	/*	a BTH, or */
#define IB_LRH_LNH_GRH		0x03	/*	a GRH and then a BTH */
#define IB_LRH_WORDS		0x7ff	/* in bytes 4 and 5: words up to the ICRC */

#define IB_VCRC_LEN		2	/* behind the ICRC */

static inline bool ib_is_iba(const u8 *lrh)
{
	return lrh[1] & IB_LRH_LNH_IBA;
}

static inline bool ib_has_grh(const u8 *lrh)
{
	return (lrh[1] & IB_LRH_LNH) == IB_LRH_LNH_GRH;
}

/* Where the BTH begins, from the LRH on, if there is one */
static inline unsigned int ib_bth_offset(const u8 *lrh)
{
	return IB_LRH_LEN + (ib_has_grh(lrh) ? sizeof(struct ipv6hdr) : 0);
}

static inline void ib_set_len(u8 *lrh, unsigned int len)
{
	put_unaligned_be16(len / 4 & IB_LRH_WORDS, lrh + 4);
}

__le32 roce_icrc(const struct sk_buff *skb, __be16 protocol, int offset,
		 unsigned int len);
__le32 roce_icrc_ib(const struct sk_buff *skb, int offset, unsigned int len);

#ifdef CONFIG_NET_ROCE_GSO
struct sk_buff *roce_gso_segment(struct sk_buff *skb, netdev_features_t features,
				 bool is_ipv6);
struct sk_buff *roce_gso_segment_ib(struct sk_buff *skb, netdev_features_t features);
#else
static inline struct sk_buff *roce_gso_segment(struct sk_buff *skb,
					       netdev_features_t features,
					       bool is_ipv6)
{
	return ERR_PTR(-EPROTONOSUPPORT);
}
#endif

#endif /* _NET_ROCE_H */
