/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Link layers: what stands below the BTH.
 *
 * Above this line nobody knows of Ethernet, IP or UDP, nor whether there is a
 * GRH. A packet that goes down has skb->data at its BTH and ends with four
 * bytes of room for the ICRC. A super-packet (skb_shinfo(skb)->gso_size is the
 * path MTU) has the form of one packet that is too long: one BTH with the
 * opcode of the whole (FIRST, MIDDLE, LAST or ONLY of a range of packets), one
 * set of extended headers, all of the payload; who cuts it gives each part its
 * opcode, PSN and ICRC. It needs no ICRC as long as it is whole.
 *
 * A train is several packets of a size, each with its BTH and with room for its
 * ICRC, one after the other; skb_shinfo(skb)->gso_size is that size, and gso_type
 * has SKB_GSO_UDP_L4. It goes down as one, and comes up as packets.
 *
 * A packet that came up has skb->data at its BTH, ends with its ICRC, which was
 * right, and has struct qpemu_skb_cb filled in.
 */
#ifndef _QPEMU_LINK_H
#define _QPEMU_LINK_H

#include "qpemu.h"

/* skb_shinfo(skb)->gso_type */
#define QPEMU_SUPER	SKB_GSO_ROCE
#define QPEMU_TRAIN	(SKB_GSO_ROCE | SKB_GSO_UDP_L4)

/**
 * struct qpemu_skb_cb - what the link layer says of a packet that came in
 * @dev: the device that it is for
 * @segment: payload of one packet if this is a super-packet, else 0
 * @network: kind of network header; it stands at skb_network_header()
 * @has_grh: a GRH or IP header came with it
 * @sl: InfiniBand: service level
 * @slid: InfiniBand: source LID
 * @dlid: InfiniBand: destination LID
 * @pkey_index: InfiniBand: where the port's table has its P_Key; once a queue pair
 *	has got it
 */
struct qpemu_skb_cb {
	struct qpemu_dev *dev;
	u16 segment;
	u8 network;		/* enum rdma_network_type */
	bool has_grh;
	u8 sl;
	u16 slid;
	u16 dlid;
	u16 pkey_index;
};

static inline struct qpemu_skb_cb *qpemu_skb_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct qpemu_skb_cb) > sizeof(skb->cb));
	return (struct qpemu_skb_cb *)skb->cb;
}

/**
 * struct qpemu_link - a link layer
 * @name: for people
 * @headroom: bytes before the BTH, without the netdevice's own
 * @tailroom: bytes behind the ICRC
 * @super: it takes super-packets
 * @xmit: send a packet; eats @skb. Bottom halves off, under qp->sq_lock or
 *	qp->rq_lock. Return: 0, or -errno if it went nowhere.
 * @gids: source and destination of a packet received
 */
struct qpemu_link {
	const char *name;
	unsigned int headroom;
	unsigned int tailroom;
	bool super;
	int (*xmit)(struct qpemu_path *path, struct sk_buff *skb);
	void (*gids)(const struct sk_buff *skb, union ib_gid *sgid, union ib_gid *dgid);
};

extern const struct qpemu_link qpemu_link_udp;	/* link_udp.c: RoCEv2 */
extern const struct qpemu_link qpemu_link_eth;	/* link_eth.c: RoCEv1 */
extern const struct qpemu_link qpemu_link_ib;	/* link_ib.c: InfiniBand's own */

/* path.c */

/**
 * qpemu_path_init - learn the way to a peer
 * @path: what to fill in; an earlier content is released
 * @dev: the device
 * @attr: address vector; sgid_attr must be set if there is a GRH
 * @hash: makes the UDP source port where the flow label is 0
 *
 * Context: may be called in softirq.
 * Return: 0 or -EINVAL, -EADDRNOTAVAIL.
 */
int qpemu_path_init(struct qpemu_path *path, struct qpemu_dev *dev,
		    const struct rdma_ah_attr *attr, u32 hash);
void qpemu_path_release(struct qpemu_path *path);
/* Did this packet come from the other end of @path, and to this end? */
bool qpemu_path_matches(const struct qpemu_path *path, const struct sk_buff *skb);
/* Bytes to reserve in front of the BTH, and behind the ICRC. */
unsigned int qpemu_path_headroom(const struct qpemu_path *path);
unsigned int qpemu_path_tailroom(const struct qpemu_path *path);
/* Largest payload of a super-packet, a multiple of @mtu; @mtu if there are none. */
unsigned int qpemu_path_super(const struct qpemu_path *path, unsigned int mtu);
/* Most packets of @size bytes that a train may have. */
unsigned int qpemu_path_train(const struct qpemu_path *path, unsigned int size);
/* The 40 bytes in front of a received datagram, IBA v1 8.3 and A17.4.5.1. */
void qpemu_skb_grh(const struct sk_buff *skb, u8 grh[40]);

/* rx.c: a packet has come, or a train of them; eats @skb. Softirq. */
void qpemu_rx_packet(struct sk_buff *skb);
void qpemu_rx_train(struct sk_buff *skb);
/* The same for one queue pair of several; softirq, qp held. */
void qpemu_qp_rx(struct qpemu_qp *qp, struct sk_buff *skb);

#endif /* _QPEMU_LINK_H */
