/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RDMA over Converged Ethernet, as far as the network stack knows of it: the
 * base transport header (BTH), the invariant CRC (ICRC), and segmentation of
 * super-packets (SKB_GSO_ROCE).
 */
#ifndef _NET_ROCE_H
#define _NET_ROCE_H

#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/skbuff.h>
#include <linux/types.h>

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

__le32 roce_icrc(const struct sk_buff *skb, __be16 protocol, int offset,
		 unsigned int len);

#ifdef CONFIG_NET_ROCE_GSO
struct sk_buff *roce_gso_segment(struct sk_buff *skb, netdev_features_t features,
				 bool is_ipv6);
#else
static inline struct sk_buff *roce_gso_segment(struct sk_buff *skb,
					       netdev_features_t features,
					       bool is_ipv6)
{
	return ERR_PTR(-EPROTONOSUPPORT);
}
#endif

#endif /* _NET_ROCE_H */
