// SPDX-License-Identifier: GPL-2.0
/*
 * The netdevice of an adapter's port, which all of its packets go through
 *
 * It is made by net/ib_proto/netdev.c, if that is there: see include/net/ib_netdev.h.
 * What goes by the cable goes through it, and so does what the port sends to itself.
 *
 * If it is down, or the link is not known to it yet, subnet management alone goes on,
 * past it.
 */
#include <net/ib_netdev.h>

#include "ca.h"

static u8 lane_of(const struct sk_buff *skb)
{
	return qpemu_lrh_vl((const struct qpemu_lrh *)skb->data);
}

static bool is_to_group(const struct sk_buff *skb)
{
	u16 dlid = be16_to_cpu(((const struct qpemu_lrh *)skb->data)->dlid);

	return dlid >= QPEMU_LID_MULTICAST && dlid != QPEMU_LID_PERMISSIVE;
}

int qpemu_portdev_tx(struct qpemu_port *port, struct sk_buff *skb)
{
	struct net_device *ndev = rcu_dereference(port->ndev);

	if (!ndev)
		return qpemu_ib_tx(port, skb);
	if (likely(ib_netdev_sends(ndev)))
		return ib_netdev_send(ndev, skb);
	if (lane_of(skb) == QPEMU_VL_MANAGEMENT) {
		ib_netdev_tap(ndev, skb);
		return qpemu_ib_tx(port, skb);
	}
	qpemu_port_count(port, QPEMU_PORT_XMIT_DISCARDS);
	kfree_skb(skb);
	return -ENETDOWN;
}

void qpemu_portdev_rx(struct qpemu_port *port, struct sk_buff *skb)
{
	struct net_device *ndev = rcu_dereference(port->ndev);

	if (ndev && likely(netif_running(ndev))) {
		ib_netdev_receive(ndev, skb, is_to_group(skb));
	} else if (!ndev || lane_of(skb) == QPEMU_VL_MANAGEMENT) {
		qpemu_ib_rx(port, skb);
	} else {
		dev_core_stats_rx_dropped_inc(ndev);
		kfree_skb(skb);
	}
}

static void attach(struct ib_device *ibdev, u32 num, struct net_device *ndev)
{
	rcu_assign_pointer(to_qdev(ibdev)->port->ndev, ndev);
}

/* It may have waited in a queue, or be none of ours. */
static int xmit(struct ib_device *ibdev, u32 num, struct sk_buff *skb)
{
	struct qpemu_port *port = to_qdev(ibdev)->port;

	if (likely(qpemu_ib_may_send(port, lane_of(skb))))
		return qpemu_ib_tx(port, skb);
	qpemu_port_count(port, QPEMU_PORT_XMIT_DISCARDS);
	kfree_skb(skb);
	return -ENETDOWN;
}

static void rx(struct ib_device *ibdev, u32 num, struct sk_buff *skb)
{
	qpemu_ib_rx(to_qdev(ibdev)->port, skb);
}

static u64 sum(const struct qpemu_port *port, enum qpemu_port_counter a,
	       enum qpemu_port_counter b)
{
	return qpemu_port_counter(port, a) + qpemu_port_counter(port, b);
}

static void stats(struct ib_device *ibdev, u32 num, struct rtnl_link_stats64 *stats)
{
	const struct qpemu_port *port = to_qdev(ibdev)->port;

	stats->rx_packets = qpemu_port_counter(port, QPEMU_PORT_RCV_PKTS);
	stats->tx_packets = qpemu_port_counter(port, QPEMU_PORT_XMIT_PKTS);
	stats->rx_bytes = qpemu_port_counter(port, QPEMU_PORT_RCV_WORDS) * 4;
	stats->tx_bytes = qpemu_port_counter(port, QPEMU_PORT_XMIT_WORDS) * 4;
	stats->rx_errors = qpemu_port_counter(port, QPEMU_PORT_RCV_ERRORS);
	stats->tx_errors = qpemu_port_counter(port, QPEMU_PORT_XMIT_CONSTRAINT);
	stats->rx_dropped = sum(port, QPEMU_PORT_RCV_CONSTRAINT, QPEMU_PORT_VL15_DROPPED);
	stats->tx_dropped = qpemu_port_counter(port, QPEMU_PORT_XMIT_DISCARDS);
	stats->tx_carrier_errors = qpemu_port_counter(port, QPEMU_PORT_LINK_DOWNED);
	stats->multicast = qpemu_port_counter(port, QPEMU_PORT_MULTICAST_RCV);
}

const struct ib_netdev_ops qpemu_portdev_ops = {
	.attach = attach,
	.xmit = xmit,
	.rx = rx,
	.stats = stats,
};
