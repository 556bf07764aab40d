/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netdevices of InfiniBand and Omni-Path ports, net/ib_proto/netdev.c
 *
 * Each port has one. A driver that can hand over packets as they are on the wire has
 * all of them go through it, so that taps, filters and queueing disciplines see them:
 *
 *	driver sends			driver receives
 *	ib_netdev_send()			^
 *	    |				ops->rx()
 *	    v				    |
 *	nft egress, tc, qdisc, taps	nft ingress, tc, taps
 *	    |				    ^
 *	    v				    |
 *	ops->xmit()			ib_netdev_receive()
 *	    |				    |
 *	    +----------  the wire  ---------+
 *
 * A packet begins with its local route header (LRH, IBA v1 7.7), which is its MAC
 * header, and ends with its invariant CRC. Its network header is behind the LRH: a
 * GRH, of the protocol ETH_P_IBOE, or a BTH, ETH_P_IB. Super-packets and trains
 * (SKB_GSO_ROCE, see there) have a length of 0 in the LRH.
 *
 * No driver needs a symbol of the module that makes the netdevices: it works without
 * it. A port whose netdevice is down, or has no carrier, carries subnet
 * management alone, which does not pass the netdevice then.
 */
#ifndef _NET_IB_NETDEV_H
#define _NET_IB_NETDEV_H

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/udp.h>
#include <net/roce.h>
#include <net/sch_generic.h>
#include <rdma/ib_verbs.h>

#define IB_NETDEV_KIND	"ibport"	/* IFLA_INFO_KIND */

/**
 * struct ib_netdev_ops - what a driver does that hands over its ports' packets
 * @attach: the port has this netdevice from now on, or NULL: none. It stays until
 *	there is none, and an RCU grace period after that. May sleep. RTNL.
 * @xmit: send a packet; eats @skb. skb->data is at the LRH, which is in the linear
 *	part and in form, but may say anything, as whoever may send raw packets may
 *	have made it. A super-packet is one of SKB_GSO_ROCE. Bottom halves off, RCU.
 *	Return: 0 or -errno.
 * @rx: a packet has come, by ib_netdev_receive(), and nobody has refused it; the
 *	same of @skb. Softirq, RCU.
 * @stats: what the port has counted; optional. @stats are 0 before. Any context.
 *
 * In &ib_device_ops.netdev_ops.
 */
struct ib_netdev_ops {
	void (*attach)(struct ib_device *ibdev, u32 port, struct net_device *ndev);
	int (*xmit)(struct ib_device *ibdev, u32 port, struct sk_buff *skb);
	void (*rx)(struct ib_device *ibdev, u32 port, struct sk_buff *skb);
	void (*stats)(struct ib_device *ibdev, u32 port,
		      struct rtnl_link_stats64 *stats);
};

/**
 * struct ib_netdev_listener - who hears of packets that come
 * @node: the netdevices'
 * @net: of those in this network namespace
 * @hear: a packet has come to a netdevice, is in form, and nobody has refused it;
 *	skb->data is at the LRH, which is in the linear part. The driver has it next: it
 *	may be cloned, and not be changed. Softirq, RCU
 */
struct ib_netdev_listener {
	struct hlist_node node;
	struct net *net;
	void (*hear)(struct ib_netdev_listener *l, struct sk_buff *skb);
};

bool ib_netdev_carries(const struct net_device *ndev);
u16 ib_netdev_lid(const struct net_device *ndev);
bool ib_netdev_has_lid(const struct net_device *ndev, u16 lid);
void ib_netdev_listen(struct ib_netdev_listener *l);
void ib_netdev_unlisten(struct ib_netdev_listener *l);

/**
 * netif_is_ib_port() - is it the netdevice of a port of an RDMA device?
 * @dev: the netdevice
 *
 * Context: any.
 * Return: true if it is; then ib_netdev_device() and ib_netdev_port() say which.
 */
static inline bool netif_is_ib_port(const struct net_device *dev)
{
	return dev->type == ARPHRD_INFINIBAND && dev->rtnl_link_ops &&
	       !strcmp(dev->rtnl_link_ops->kind, IB_NETDEV_KIND);
}

/**
 * ib_netdev_device() - the RDMA device of a port's netdevice
 * @dev: the netdevice, netif_is_ib_port()
 *
 * Context: RTNL, or RCU, and in either case not after it was unregistered.
 * Return: the device.
 */
static inline struct ib_device *ib_netdev_device(const struct net_device *dev)
{
	return rdma_device_to_ibdev(dev->dev.parent);
}

/**
 * ib_netdev_port() - the number of the port
 * @dev: the netdevice, netif_is_ib_port()
 *
 * Context: any.
 * Return: from 1.
 */
static inline u32 ib_netdev_port(const struct net_device *dev)
{
	return dev->dev_port + 1;
}

/**
 * ib_netdev_sends() - may packets go by the netdevice?
 * @dev: the netdevice
 *
 * Its queue is there if it is up and the link is. Before somebody has heard of the
 * link, and when the netdevice is down, there is none.
 *
 * Context: any.
 * Return: true if they may.
 */
static inline bool ib_netdev_sends(const struct net_device *dev)
{
	return rcu_access_pointer(netdev_get_tx_queue(dev, 0)->qdisc) != &noop_qdisc;
}

/* The headers of a packet, where the stack looks for them; skb->data is at the LRH */
static inline void ib_netdev_headers(struct net_device *dev, struct sk_buff *skb)
{
	skb->dev = dev;
	skb->protocol = ib_has_grh(skb->data) ? htons(ETH_P_IBOE) : htons(ETH_P_IB);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, IB_LRH_LEN);
	skb_reset_mac_len(skb);
	/* RoCE's UDP header would be in front of the BTH. */
	if (skb_is_gso(skb)) {
		skb_set_transport_header(skb, (int)ib_bth_offset(skb->data) -
					      (int)sizeof(struct udphdr));
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
}

/**
 * ib_netdev_send() - send a packet by the netdevice
 * @dev: the netdevice, ib_netdev_sends()
 * @skb: the packet, with skb->data at its LRH; eaten
 *
 * Context: bottom halves off, RCU.
 * Return: 0 or -errno.
 */
static inline int ib_netdev_send(struct net_device *dev, struct sk_buff *skb)
{
	int err;

	ib_netdev_headers(dev, skb);
	/* net_xmit_eval() would evaluate it twice, and so send it twice. */
	err = dev_queue_xmit(skb);
	return err > 0 ? net_xmit_errno(err) : err;
}

/**
 * ib_netdev_tap() - show a packet that goes past the netdevice
 * @dev: the netdevice
 * @skb: the packet, with skb->data at its LRH
 *
 * Of subnet management, which a link needs before it can carry anything else.
 *
 * Context: bottom halves off, RCU.
 */
static inline void ib_netdev_tap(struct net_device *dev, struct sk_buff *skb)
{
	if (!netif_running(dev) || !dev_nit_active_rcu(dev))
		return;
	ib_netdev_headers(dev, skb);
	dev_queue_xmit_nit(skb, dev);
}

/**
 * ib_netdev_receive() - a packet has come
 * @dev: the netdevice, netif_running()
 * @skb: the packet, with skb->data at its LRH; eaten
 * @multicast: it is for a group
 *
 * If nobody refuses it, ops->rx() has it before this returns, or in softirq on
 * another processor.
 *
 * Context: softirq, RCU.
 */
static inline void ib_netdev_receive(struct net_device *dev, struct sk_buff *skb,
				     bool multicast)
{
	ib_netdev_headers(dev, skb);
	skb->pkt_type = multicast ? PACKET_MULTICAST : PACKET_HOST;
	__skb_pull(skb, IB_LRH_LEN);
	netif_receive_skb(skb);
}

#endif /* _NET_IB_NETDEV_H */
