// SPDX-License-Identifier: GPL-2.0
/*
 * Netdevices of InfiniBand and Omni-Path ports: packets go through them
 *
 * See include/net/ib_netdev.h for what a packet looks like, and the way of one that is
 * sent and of one that has come.
 *
 * Whoever may send raw packets may send them here, with all headers and the invariant
 * CRC: by a SOCK_RAW socket of AF_PACKET, or by a SOCK_DGRAM one with the LRH as
 * address, of which the length is filled in. What is no packet of InfiniBand goes
 * nowhere: that is checked here for all of them.
 */
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <net/gso.h>

#include "netdev.h"

/**
 * ib_netdev_packet_ok() - is it a packet in form, as its local route header has it?
 * @skb: the packet, skb->data at its LRH
 *
 * IBA v1 7.7. Headers behind the LRH may say anything.
 *
 * Return: true if it is.
 */
bool ib_netdev_packet_ok(struct sk_buff *skb)
{
	unsigned int type = skb_shinfo(skb)->gso_type;
	unsigned int words;

	if (!pskb_may_pull(skb, IB_LRH_LEN) || skb->data[0] & IB_LRH_LVER ||
	    !ib_is_iba(skb->data) || skb->ip_summed == CHECKSUM_PARTIAL ||
	    skb->len < ib_bth_offset(skb->data) + ROCE_MIN_OVERHEAD)
		return false;
	if (skb->protocol != (ib_has_grh(skb->data) ? htons(ETH_P_IBOE) : htons(ETH_P_IB)))
		return false;
	words = get_unaligned_be16(skb->data + 4) & IB_LRH_WORDS;
	if (skb_is_gso(skb))
		return !words && (type == SKB_GSO_ROCE ||
				  type == (SKB_GSO_ROCE | SKB_GSO_UDP_L4));
	return words * 4 == skb->len;
}

/**
 * ib_netdev_carries() - do the packets of a port go through its netdevice?
 * @ndev: the netdevice, netif_is_ib_port()
 *
 * Context: any.
 * Return: false if its driver keeps them to itself.
 */
bool ib_netdev_carries(const struct net_device *ndev)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	return ind->ops;
}
EXPORT_SYMBOL_GPL(ib_netdev_carries);

/* &net_device_ops.ndo_start_xmit: it has passed all hooks */
netdev_tx_t ib_netdev_xmit(struct sk_buff *skb, struct net_device *ndev)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	if (unlikely(!ind->ops || !ib_netdev_packet_ok(skb))) {
		dev_core_stats_tx_dropped_inc(ndev);
		kfree_skb(skb);
		return NETDEV_TX_OK;
	}
	/* What others send comes with bottom halves off, and no more than that */
	guard(rcu)();
	return ind->ops->xmit(ind->ibdev, ind->port, skb) ? NET_XMIT_DROP : NETDEV_TX_OK;
}

/*
 * Listeners
 */

static DEFINE_SPINLOCK(ib_netdev_listeners_lock);	/* changes */
static HLIST_HEAD(ib_netdev_listeners);

/**
 * ib_netdev_listen() - hear of packets that come
 * @l: who hears of them
 *
 * Context: process.
 */
void ib_netdev_listen(struct ib_netdev_listener *l)
{
	spin_lock(&ib_netdev_listeners_lock);
	hlist_add_head_rcu(&l->node, &ib_netdev_listeners);
	spin_unlock(&ib_netdev_listeners_lock);
}
EXPORT_SYMBOL_GPL(ib_netdev_listen);

/**
 * ib_netdev_unlisten() - hear of them no more
 * @l: who heard of them; may still do so for an RCU grace period
 *
 * Context: process.
 */
void ib_netdev_unlisten(struct ib_netdev_listener *l)
{
	spin_lock(&ib_netdev_listeners_lock);
	hlist_del_rcu(&l->node);
	spin_unlock(&ib_netdev_listeners_lock);
}
EXPORT_SYMBOL_GPL(ib_netdev_unlisten);

static void ib_netdev_tell(const struct net_device *ndev, struct sk_buff *skb)
{
	struct ib_netdev_listener *l;

	hlist_for_each_entry_rcu(l, &ib_netdev_listeners, node)
		if (net_eq(l->net, dev_net(ndev)))
			l->hear(l, skb);
}

/* The same of one that has come. Nothing but this hears of it, nor may */
rx_handler_result_t ib_netdev_rx(struct sk_buff **pskb)
{
	const struct ib_netdev *ind = rcu_dereference((*pskb)->dev->rx_handler_data);
	struct net_device *ndev = (*pskb)->dev;
	struct sk_buff *skb;

	skb = skb_share_check(*pskb, GFP_ATOMIC);
	if (!skb)
		return RX_HANDLER_CONSUMED;
	/* It may have been sent here from another netdevice */
	if (unlikely(!ind->ops || skb->data - skb_mac_header(skb) != IB_LRH_LEN))
		goto drop;
	__skb_push(skb, IB_LRH_LEN);
	if (unlikely(!ib_netdev_packet_ok(skb)))
		goto drop;
	ib_netdev_tell(ndev, skb);
	ind->ops->rx(ind->ibdev, ind->port, skb);
	return RX_HANDLER_CONSUMED;

drop:
	dev_core_stats_rx_dropped_inc(ndev);
	kfree_skb(skb);
	return RX_HANDLER_CONSUMED;
}

/*
 * Headers
 */

/* The LRH is the address, and all of it is, so that captures have it */
static int ib_netdev_parse(const struct sk_buff *skb, const struct net_device *ndev,
			   unsigned char *haddr)
{
	memcpy(haddr, skb_mac_header(skb), IB_LRH_LEN);
	return IB_LRH_LEN;
}

static __be16 ib_netdev_parse_protocol(const struct sk_buff *skb)
{
	const u8 *lrh = skb_mac_header(skb);

	if (skb->len < IB_LRH_LEN || !ib_is_iba(lrh))
		return 0;
	return ib_has_grh(lrh) ? htons(ETH_P_IBOE) : htons(ETH_P_IB);
}

static int ib_netdev_create(struct sk_buff *skb, struct net_device *ndev,
			    unsigned short type, const void *daddr, const void *saddr,
			    unsigned int len)
{
	u8 *lrh;

	if (!daddr || (type != ETH_P_IB && type != ETH_P_IBOE))
		return -EINVAL;
	lrh = skb_push(skb, IB_LRH_LEN);
	memcpy(lrh, daddr, IB_LRH_LEN);
	ib_set_len(lrh, IB_LRH_LEN + len);
	return IB_LRH_LEN;
}

const struct header_ops ib_netdev_header_ops = {
	.create		= ib_netdev_create,
	.parse		= ib_netdev_parse,
	.parse_protocol	= ib_netdev_parse_protocol,
};

/*
 * Segmentation, where somebody has turned off that super-packets pass whole
 */

static struct sk_buff *ib_netdev_segment(struct sk_buff *skb, netdev_features_t features)
{
	struct sk_buff *segs, *seg;

	if (skb->mac_len != IB_LRH_LEN || !(skb_shinfo(skb)->gso_type & SKB_GSO_ROCE))
		return ERR_PTR(-EINVAL);
	__skb_push(skb, IB_LRH_LEN);
	skb_reset_network_header(skb);
	segs = roce_gso_segment_ib(skb, features);
	__skb_pull(skb, IB_LRH_LEN);
	skb_reset_network_header(skb);
	if (IS_ERR_OR_NULL(segs))
		return segs;
	for (seg = segs; seg; seg = seg->next) {
		skb_set_network_header(seg, IB_LRH_LEN);
		skb_reset_mac_len(seg);
	}
	return segs;
}

static struct packet_offload ib_netdev_offloads[] = {
	{ .type = htons(ETH_P_IB), .callbacks.gso_segment = ib_netdev_segment },
	{ .type = htons(ETH_P_IBOE), .callbacks.gso_segment = ib_netdev_segment },
};

void ib_netdev_packet_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ib_netdev_offloads); i++)
		dev_add_offload(&ib_netdev_offloads[i]);
}

void ib_netdev_packet_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ib_netdev_offloads); i++)
		dev_remove_offload(&ib_netdev_offloads[i]);
}
