// SPDX-License-Identifier: GPL-2.0
/*
 * RoCEv1: InfiniBand's transport behind a GRH in Ethernet frames, IBA v1 annex
 * A16. There are no super-packets here.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <net/ipv6.h>
#include <net/roce.h>

#include "link.h"
#include "netdev.h"
#include "path.h"

static int put_icrc(struct sk_buff *skb)
{
	unsigned int bth = sizeof(struct ipv6hdr), end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc = roce_icrc(skb, htons(ETH_P_IBOE), bth, end - bth);

	return skb_store_bits(skb, end, &icrc, sizeof(icrc));
}

/* A frame to oneself would leave and not come back. */
static int deliver_locally(struct sk_buff *skb)
{
	skb_reset_mac_header(skb);
	__skb_pull(skb, skb_network_offset(skb));
	skb_orphan(skb);
	skb->pkt_type = PACKET_HOST;
	return netif_rx(skb) == NET_RX_SUCCESS ? 0 : -ENOBUFS;
}

static int eth_xmit(struct qpemu_path *path, struct sk_buff *skb)
{
	struct net_device *ndev;
	int err;

	rcu_read_lock();
	err = -EADDRNOTAVAIL;
	ndev = qpemu_gid_netdev(path->sgid_attr);
	if (!ndev)
		goto drop;

	qpemu_put_grh(path, skb);
	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IBOE);
	err = put_icrc(skb);
	if (err)
		goto drop;
	skb->priority = path->sl ?: rt_tos2priority(path->tclass);
	skb->dev = ndev;
	err = dev_hard_header(skb, ndev, ETH_P_IBOE, path->dmac, ndev->dev_addr, skb->len);
	if (err < 0)
		goto drop;
	if (ether_addr_equal(path->dmac, ndev->dev_addr))
		err = deliver_locally(skb);
	else
		err = dev_queue_xmit(skb);
	rcu_read_unlock();
	return err > 0 ? net_xmit_errno(err) : err;

drop:
	rcu_read_unlock();
	kfree_skb(skb);
	return err;
}

static void eth_gids(const struct sk_buff *skb, union ib_gid *sgid, union ib_gid *dgid)
{
	memcpy(sgid, &ipv6_hdr(skb)->saddr, sizeof(*sgid));
	memcpy(dgid, &ipv6_hdr(skb)->daddr, sizeof(*dgid));
}

const struct qpemu_link qpemu_link_eth = {
	.name = "RoCEv1",
	.headroom = sizeof(struct ipv6hdr),
	.super = false,
	.xmit = eth_xmit,
	.gids = eth_gids,
};

/* Frames may be padded, so the length is what the GRH says. */
static bool well_formed(struct sk_buff *skb)
{
	const struct ipv6hdr *grh;
	const struct roce_bth *bth;
	unsigned int len;

	if (skb_is_gso(skb) || !pskb_may_pull(skb, sizeof(*grh) + sizeof(*bth)))
		return false;
	grh = ipv6_hdr(skb);
	bth = (const void *)(grh + 1);
	len = ntohs(grh->payload_len);
	if (grh->version != 6 || grh->nexthdr != QPEMU_GRH_NEXT_HEADER ||
	    len < ROCE_MIN_OVERHEAD || len % 4 || bth->flags & ROCE_BTH_VERSION)
		return false;
	return !pskb_trim(skb, sizeof(*grh) + len);
}

static bool icrc_right(const struct sk_buff *skb)
{
	unsigned int bth = sizeof(struct ipv6hdr), end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	return !skb_copy_bits(skb, end, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc(skb, htons(ETH_P_IBOE), bth, end - bth);
}

static int eth_receive(struct sk_buff *skb, struct net_device *ndev,
		       struct packet_type *type, struct net_device *orig_ndev)
{
	union ib_gid sgid, dgid;
	struct qpemu_skb_cb *cb;
	struct qpemu_dev *dev;

	/* InfiniBand's own link layer has packets of that protocol, too. */
	if (skb->pkt_type == PACKET_OTHERHOST || ndev->type == ARPHRD_INFINIBAND)
		goto drop;
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb)
		return NET_RX_DROP;
	if (!pskb_may_pull(skb, sizeof(struct ipv6hdr)))
		goto drop;
	skb_reset_network_header(skb);
	eth_gids(skb, &sgid, &dgid);
	dev = qpemu_dev_find(skb->dev, &dgid, IB_GID_TYPE_ROCE);
	if (!dev)
		goto drop;
	if (!well_formed(skb)) {
		qpemu_count(dev, QPEMU_MALFORMED);
		goto drop;
	}
	if (!icrc_right(skb)) {
		qpemu_count(dev, QPEMU_ICRC_ERR);
		goto drop;
	}
	__skb_pull(skb, sizeof(struct ipv6hdr));

	cb = qpemu_skb_cb(skb);
	*cb = (struct qpemu_skb_cb) {
		.dev = dev,
		.network = RDMA_NETWORK_ROCE_V1,
		.has_grh = true,
	};
	qpemu_rx_packet(skb);
	return NET_RX_SUCCESS;

drop:
	kfree_skb(skb);
	return NET_RX_DROP;
}

static struct packet_type eth_packets = {
	.type = htons(ETH_P_IBOE),
	.func = eth_receive,
};

void qpemu_eth_init(void)
{
	dev_add_pack(&eth_packets);
}

void qpemu_eth_exit(void)
{
	dev_remove_pack(&eth_packets);
}
