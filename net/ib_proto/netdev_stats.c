// SPDX-License-Identifier: GPL-2.0
/*
 * Netdevices of InfiniBand and Omni-Path ports: what a port has counted
 *
 * Every port has PortCounters, and most have PortCountersExtended (IBA v1 16.1.3.5 and
 * 16.1.4.11), which the performance management agent of the device tells. To ask it
 * takes time, so who may not sleep gets what it said last, and it is asked again. A
 * driver that hands over its packets can tell the most important ones at once.
 */
#include <linux/ethtool.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <rdma/ib_mad.h>

#include "netdev.h"

#define CLASS_VERSION	1
#define OLD		HZ

/* Half a byte */
enum { UPPER = 16, LOWER };

/**
 * struct ib_netdev_field - a counter in an attribute
 * @counter: IB_NETDEV_COUNTER()
 * @offset: in the attribute
 * @bytes: 1, 2, 4 or 8; UPPER or LOWER
 */
struct ib_netdev_field {
	u8 counter;
	u8 offset;
	u8 bytes;
};

/* PortCounters, IBA v1 16.1.3.5 */
static const struct ib_netdev_field ib_netdev_fields[] = {
#define COUNTER(offset, bytes, which)	{ IB_NETDEV_COUNTER(which), offset, bytes }
	COUNTER(4, 2, SYMBOL_ERROR),
	COUNTER(6, 1, LINK_ERROR_RECOVERY),
	COUNTER(7, 1, LINK_DOWNED),
	COUNTER(8, 2, RCV_ERRORS),
	COUNTER(10, 2, RCV_REMOTE_PHYSICAL_ERRORS),
	COUNTER(12, 2, RCV_SWITCH_RELAY_ERRORS),
	COUNTER(14, 2, XMIT_DISCARDS),
	COUNTER(16, 1, XMIT_CONSTRAINT_ERRORS),
	COUNTER(17, 1, RCV_CONSTRAINT_ERRORS),
	COUNTER(19, UPPER, LOCAL_LINK_INTEGRITY_ERRORS),
	COUNTER(19, LOWER, EXCESSIVE_BUFFER_OVERRUNS),
	COUNTER(22, 2, VL15_DROPPED),
	COUNTER(24, 4, XMIT_DATA),
	COUNTER(28, 4, RCV_DATA),
	COUNTER(32, 4, XMIT_PACKETS),
	COUNTER(36, 4, RCV_PACKETS),
	COUNTER(40, 4, XMIT_WAIT),
};

/* PortCountersExtended, IBA v1 16.1.4.11: they are wider, and take the place of those above */
static const struct ib_netdev_field ib_netdev_fields_ext[] = {
	COUNTER(8, 8, XMIT_DATA),
	COUNTER(16, 8, RCV_DATA),
	COUNTER(24, 8, XMIT_PACKETS),
	COUNTER(32, 8, RCV_PACKETS),
	COUNTER(40, 8, UNICAST_XMIT_PACKETS),
	COUNTER(48, 8, UNICAST_RCV_PACKETS),
	COUNTER(56, 8, MULTICAST_XMIT_PACKETS),
	COUNTER(64, 8, MULTICAST_RCV_PACKETS),
#undef COUNTER
};

/* Names are those of /sys/class/infiniband/DEVICE/ports/PORT/counters */
const char ib_netdev_counter_names[IB_NETDEV_NUM_COUNTERS][ETH_GSTRING_LEN] = {
	[IB_NETDEV_COUNTER(SYMBOL_ERROR)] = "symbol_error",
	[IB_NETDEV_COUNTER(LINK_ERROR_RECOVERY)] = "link_error_recovery",
	[IB_NETDEV_COUNTER(LINK_DOWNED)] = "link_downed",
	[IB_NETDEV_COUNTER(RCV_ERRORS)] = "port_rcv_errors",
	[IB_NETDEV_COUNTER(RCV_REMOTE_PHYSICAL_ERRORS)] = "port_rcv_remote_physical_errors",
	[IB_NETDEV_COUNTER(RCV_SWITCH_RELAY_ERRORS)] = "port_rcv_switch_relay_errors",
	[IB_NETDEV_COUNTER(XMIT_DISCARDS)] = "port_xmit_discards",
	[IB_NETDEV_COUNTER(XMIT_CONSTRAINT_ERRORS)] = "port_xmit_constraint_errors",
	[IB_NETDEV_COUNTER(RCV_CONSTRAINT_ERRORS)] = "port_rcv_constraint_errors",
	[IB_NETDEV_COUNTER(LOCAL_LINK_INTEGRITY_ERRORS)] = "local_link_integrity_errors",
	[IB_NETDEV_COUNTER(EXCESSIVE_BUFFER_OVERRUNS)] = "excessive_buffer_overrun_errors",
	[IB_NETDEV_COUNTER(VL15_DROPPED)] = "VL15_dropped",
	[IB_NETDEV_COUNTER(XMIT_WAIT)] = "port_xmit_wait",
	[IB_NETDEV_COUNTER(XMIT_DATA)] = "port_xmit_data",
	[IB_NETDEV_COUNTER(RCV_DATA)] = "port_rcv_data",
	[IB_NETDEV_COUNTER(XMIT_PACKETS)] = "port_xmit_packets",
	[IB_NETDEV_COUNTER(RCV_PACKETS)] = "port_rcv_packets",
	[IB_NETDEV_COUNTER(UNICAST_XMIT_PACKETS)] = "unicast_xmit_packets",
	[IB_NETDEV_COUNTER(UNICAST_RCV_PACKETS)] = "unicast_rcv_packets",
	[IB_NETDEV_COUNTER(MULTICAST_XMIT_PACKETS)] = "multicast_xmit_packets",
	[IB_NETDEV_COUNTER(MULTICAST_RCV_PACKETS)] = "multicast_rcv_packets",
};

static u64 ib_netdev_field_get(const struct ib_netdev_field *field, const u8 *data)
{
	const u8 *from = data + field->offset;

	switch (field->bytes) {
	case UPPER:
		return *from >> 4;
	case LOWER:
		return *from & 0xf;
	case 1:
		return *from;
	case 2:
		return get_unaligned_be16(from);
	case 4:
		return get_unaligned_be32(from);
	default:
		return get_unaligned_be64(from);
	}
}

/**
 * ib_netdev_counters_parse() - take the counters out of an answer
 * @counters: where to put them; those that it does not have stay
 * @attribute: which answer: IB_PMA_PORT_COUNTERS or IB_PMA_PORT_COUNTERS_EXT
 * @mad: the answer
 */
void ib_netdev_counters_parse(struct ib_netdev_counters *counters, __be16 attribute,
			      const struct ib_pma_mad *mad)
{
	const struct ib_netdev_field *fields = ib_netdev_fields;
	int i, num = ARRAY_SIZE(ib_netdev_fields);

	if (attribute == IB_PMA_PORT_COUNTERS_EXT) {
		fields = ib_netdev_fields_ext;
		num = ARRAY_SIZE(ib_netdev_fields_ext);
	}
	for (i = 0; i < num; i++)
		counters->value[fields[i].counter] = ib_netdev_field_get(&fields[i], mad->data);
}

/**
 * ib_netdev_counters_stats() - the counters as those of a netdevice
 * @counters: the port's
 * @stats: where to put them
 *
 * Data are counted in words of four bytes.
 */
void ib_netdev_counters_stats(const struct ib_netdev_counters *counters,
			      struct rtnl_link_stats64 *stats)
{
#define COUNTER(which)	(counters->value[IB_NETDEV_COUNTER(which)])
	stats->rx_packets = COUNTER(RCV_PACKETS);
	stats->tx_packets = COUNTER(XMIT_PACKETS);
	stats->rx_bytes = COUNTER(RCV_DATA) * 4;
	stats->tx_bytes = COUNTER(XMIT_DATA) * 4;
	stats->rx_errors = COUNTER(RCV_ERRORS);
	stats->rx_crc_errors = COUNTER(SYMBOL_ERROR);
	stats->rx_over_errors = COUNTER(EXCESSIVE_BUFFER_OVERRUNS);
	stats->rx_dropped = COUNTER(RCV_CONSTRAINT_ERRORS) + COUNTER(VL15_DROPPED);
	stats->tx_dropped = COUNTER(XMIT_DISCARDS);
	stats->tx_errors = COUNTER(XMIT_CONSTRAINT_ERRORS);
	stats->tx_carrier_errors = COUNTER(LINK_DOWNED);
	stats->multicast = COUNTER(MULTICAST_RCV_PACKETS);
#undef COUNTER
}

/* What both attributes begin with */
struct selection {
	u8 reserved;
	u8 port;
	__be16 counters;
};

/* The agent's answer, or NULL if it has none; to be freed */
static struct ib_pma_mad *ib_netdev_ask(struct ib_netdev *ind, __be16 attribute)
{
	const int answered = IB_MAD_RESULT_SUCCESS | IB_MAD_RESULT_REPLY;
	struct ib_device *ibdev = ind->ibdev;
	size_t size = sizeof(struct ib_mad);
	struct ib_mad *ask, *answer;
	struct selection *selection;
	u16 pkey_index = 0;
	int result;

	if (!ibdev->ops.process_mad)
		return NULL;
	ask = kzalloc_obj(*ask);
	answer = kzalloc_obj(*answer);
	if (!ask || !answer)
		goto failed;
	ask->mad_hdr.base_version = IB_MGMT_BASE_VERSION;
	ask->mad_hdr.mgmt_class = IB_MGMT_CLASS_PERF_MGMT;
	ask->mad_hdr.class_version = CLASS_VERSION;
	ask->mad_hdr.method = IB_MGMT_METHOD_GET;
	ask->mad_hdr.attr_id = attribute;
	selection = (void *)((struct ib_pma_mad *)ask)->data;
	if (attribute != IB_PMA_CLASS_PORT_INFO)
		selection->port = ind->port;
	result = ibdev->ops.process_mad(ibdev, IB_MAD_IGNORE_MKEY, ind->port, NULL, NULL, ask,
					answer, &size, &pkey_index);
	if ((result & answered) != answered || answer->mad_hdr.status)
		goto failed;
	kfree(ask);
	return (struct ib_pma_mad *)answer;

failed:
	kfree(ask);
	kfree(answer);
	return NULL;
}

/**
 * ib_netdev_count_now() - ask for a port's counters
 * @ind: its netdevice
 * @counters: where to put them; those that it does not tell are 0
 *
 * Context: process, may sleep.
 */
void ib_netdev_count_now(struct ib_netdev *ind, struct ib_netdev_counters *counters)
{
	static const __be16 attributes[] = { IB_PMA_PORT_COUNTERS, IB_PMA_PORT_COUNTERS_EXT };
	struct ib_pma_mad *mad;
	int i;

	memset(counters, 0, sizeof(*counters));
	for (i = 0; i < (ind->extended ? 2 : 1); i++) {
		mad = ib_netdev_ask(ind, attributes[i]);
		if (mad)
			ib_netdev_counters_parse(counters, attributes[i], mad);
		kfree(mad);
	}
	spin_lock_bh(&ind->counters_lock);
	ind->counters = *counters;
	ind->counted = jiffies;
	spin_unlock_bh(&ind->counters_lock);
}

static void ib_netdev_count_work(struct work_struct *work)
{
	struct ib_netdev *ind = container_of(work, struct ib_netdev, count);
	struct ib_netdev_counters counters;

	ib_netdev_count_now(ind, &counters);
}

/**
 * ib_netdev_counted() - a port's counters, as they were when it was asked last
 * @ind: its netdevice
 * @counters: where to put them
 *
 * If that is a while ago, it is asked again for who comes next.
 *
 * Context: any but hard interrupts.
 */
void ib_netdev_counted(struct ib_netdev *ind, struct ib_netdev_counters *counters)
{
	bool old;

	spin_lock_bh(&ind->counters_lock);
	*counters = ind->counters;
	old = time_after(jiffies, ind->counted + OLD);
	spin_unlock_bh(&ind->counters_lock);
	if (old)
		queue_work(ib_netdev_wq, &ind->count);
}

/* &net_device_ops.ndo_get_stats64 */
void ib_netdev_get_stats64(struct net_device *ndev, struct rtnl_link_stats64 *stats)
{
	struct ib_netdev *ind = netdev_priv(ndev);
	struct ib_netdev_counters counters;

	if (ind->ops && ind->ops->stats) {
		ind->ops->stats(ind->ibdev, ind->port, stats);
		return;
	}
	ib_netdev_counted(ind, &counters);
	ib_netdev_counters_stats(&counters, stats);
}

/* Process context, may sleep */
void ib_netdev_stats_init(struct ib_netdev *ind)
{
	const __be16 wide = IB_PMA_CLASS_CAP_EXT_WIDTH | IB_PMA_CLASS_CAP_EXT_WIDTH_NOIETF;
	const struct ib_class_port_info *info;
	struct ib_pma_mad *mad;

	spin_lock_init(&ind->counters_lock);
	INIT_WORK(&ind->count, ib_netdev_count_work);
	ind->counted = jiffies - OLD - 1;
	mad = ib_netdev_ask(ind, IB_PMA_CLASS_PORT_INFO);
	if (!mad)
		return;
	info = (const void *)mad->data;
	ind->extended = info->capability_mask & wide;
	kfree(mad);
}
