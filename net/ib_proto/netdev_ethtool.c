// SPDX-License-Identifier: GPL-2.0
/* Netdevices of InfiniBand and Omni-Path ports: ethtool(8) */
#include <linux/ethtool.h>

#include "netdev.h"

static void ib_netdev_get_drvinfo(struct net_device *ndev, struct ethtool_drvinfo *info)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	strscpy(info->driver, "ib_netdev");
	snprintf(info->bus_info, sizeof(info->bus_info), "%s/%u",
		 ind->device, ind->port);
	ib_get_device_fw_str(ind->ibdev, info->fw_version);
}

/* In units of 100 Mbit/s */
static int ib_netdev_get_link_ksettings(struct net_device *ndev,
					struct ethtool_link_ksettings *cmd)
{
	struct ib_netdev *ind = netdev_priv(ndev);
	struct ib_port_speed_info speed;

	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_ENABLE;
	cmd->base.duplex = DUPLEX_UNKNOWN;
	cmd->base.speed = SPEED_UNKNOWN;
	if (!netif_carrier_ok(ndev))
		return 0;
	if (ib_port_attr_to_speed_info(&ind->link.attr, &speed))
		return 0;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.speed = speed.rate * 100;
	cmd->lanes = ib_width_enum_to_int(ind->link.attr.active_width);
	return 0;
}

static int ib_netdev_get_sset_count(struct net_device *ndev, int set)
{
	return set == ETH_SS_STATS ? IB_NETDEV_NUM_COUNTERS : -EOPNOTSUPP;
}

static void ib_netdev_get_strings(struct net_device *ndev, u32 set, u8 *data)
{
	if (set == ETH_SS_STATS)
		memcpy(data, ib_netdev_counter_names, sizeof(ib_netdev_counter_names));
}

static void ib_netdev_get_ethtool_stats(struct net_device *ndev, struct ethtool_stats *stats,
					u64 *data)
{
	struct ib_netdev_counters counters;

	ib_netdev_count_now(netdev_priv(ndev), &counters);
	memcpy(data, counters.value, sizeof(counters.value));
}

const struct ethtool_ops ib_netdev_ethtool_ops = {
	.cap_link_lanes_supported = true,
	.get_drvinfo		= ib_netdev_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= ib_netdev_get_link_ksettings,
	.get_sset_count		= ib_netdev_get_sset_count,
	.get_strings		= ib_netdev_get_strings,
	.get_ethtool_stats	= ib_netdev_get_ethtool_stats,
};
