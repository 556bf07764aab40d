// SPDX-License-Identifier: GPL-2.0
/*
 * Netdevices of InfiniBand and Omni-Path ports: what a port is like
 *
 *	port		netdevice		packets that it carries
 *
 *	down		no carrier		none
 *	init, armed	carrier, dormant	subnet management
 *	active		carrier, up		all
 *
 * Its address is that of the first GID. Its MTU is what subnet management says, too.
 * If somebody sets it down, it carries subnet management alone: a subnet manager finds
 * it as before, and it is as if all else were lost on the way.
 */
#include <linux/if_infiniband.h>
#include <linux/rtnetlink.h>
#include <net/netlink.h>
#include <net/pkt_sched.h>
#include <rdma/ib_cache.h>

#include "netdev.h"

static unsigned int ib_netdev_mtu(const struct ib_netdev *ind,
				  const struct ib_port_attr *attr)
{
	int mtu = rdma_core_cap_opa_port(ind->ibdev, ind->port) ? attr->phys_mtu :
		  ib_mtu_enum_to_int(attr->active_mtu);

	/* It may have none yet, where the link is down */
	return mtu > 0 ? mtu : ib_mtu_enum_to_int(IB_MTU_256);
}

/**
 * ib_netdev_link_read() - ask what a port is like
 * @ind: its netdevice
 * @link: where to put that
 *
 * Context: process, may sleep.
 * Return: 0, or as ib_query_port().
 */
int ib_netdev_link_read(struct ib_netdev *ind, struct ib_netdev_link *link)
{
	int err;

	memset(link, 0, sizeof(*link));
	err = ib_query_port(ind->ibdev, ind->port, &link->attr);
	if (err)
		return err;
	/* Some may have neither yet */
	if (rdma_query_gid(ind->ibdev, ind->port, 0, &link->gid))
		link->gid = (union ib_gid){};
	if (ib_query_pkey(ind->ibdev, ind->port, 0, &link->pkey))
		link->pkey = 0;
	link->mtu = ib_netdev_mtu(ind, &link->attr);
	return 0;
}

/* As IPoIB has it, but there is no queue pair */
static void ib_netdev_set_address(struct ib_netdev *ind)
{
	u8 addr[INFINIBAND_ALEN] = {};
	struct net_device *ndev = ind->ndev;

	memcpy(addr + INFINIBAND_ALEN - sizeof(ind->link.gid), &ind->link.gid,
	       sizeof(ind->link.gid));
	if (!memcmp(ndev->dev_addr, addr, sizeof(addr)))
		return;
	dev_addr_set(ndev, addr);
	if (ndev->reg_state == NETREG_REGISTERED)
		call_netdevice_notifiers(NETDEV_CHANGEADDR, ndev);
}

static void ib_netdev_set_mtu(struct ib_netdev *ind)
{
	struct net_device *ndev = ind->ndev;

	if (ndev->reg_state != NETREG_REGISTERED)
		ndev->mtu = ind->link.mtu;
	else if (ndev->mtu != ind->link.mtu)
		dev_set_mtu(ndev, ind->link.mtu);
}

static void ib_netdev_set_carrier(struct ib_netdev *ind)
{
	u8 state = ind->link.attr.state;
	struct net_device *ndev = ind->ndev;

	/* There is nobody to be told yet */
	if (ndev->reg_state != NETREG_REGISTERED) {
		netif_carrier_off(ndev);
		return;
	}
	if (state == IB_PORT_ACTIVE)
		netif_dormant_off(ndev);
	else
		netif_dormant_on(ndev);
	if (state < IB_PORT_INIT) {
		netif_carrier_off(ndev);
		return;
	}
	netif_carrier_on(ndev);
	/* Others can wait until this is noticed; a subnet manager is at it now */
	if (netif_running(ndev) && !ib_netdev_sends(ndev))
		dev_activate(ndev);
}

/**
 * ib_netdev_link_apply() - the netdevice follows the port
 * @ind: the netdevice
 * @link: what the port is like
 *
 * Context: RTNL.
 */
void ib_netdev_link_apply(struct ib_netdev *ind, const struct ib_netdev_link *link)
{
	bool changed = memcmp(&ind->link, link, sizeof(*link));

	ind->link = *link;
	ib_netdev_set_address(ind);
	ib_netdev_set_mtu(ind);
	ib_netdev_set_carrier(ind);
	if (changed && ind->ndev->reg_state == NETREG_REGISTERED)
		netdev_state_change(ind->ndev);
}

/**
 * ib_netdev_lid() - the LID of a port, as last heard of
 * @ndev: its netdevice, netif_is_ib_port()
 *
 * Context: any.
 * Return: the LID, 0 if it has none.
 */
u16 ib_netdev_lid(const struct net_device *ndev)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	return READ_ONCE(ind->link.attr.lid);
}
EXPORT_SYMBOL_GPL(ib_netdev_lid);

/**
 * ib_netdev_has_lid() - is it a LID of a port?
 * @ndev: its netdevice, netif_is_ib_port()
 * @lid: the LID
 *
 * A port has as many as its LMC says (IBA v1 7.11.1).
 *
 * Context: any.
 * Return: true if it is.
 */
bool ib_netdev_has_lid(const struct net_device *ndev, u16 lid)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	return lid >> READ_ONCE(ind->link.attr.lmc) ==
	       ib_netdev_lid(ndev) >> READ_ONCE(ind->link.attr.lmc);
}
EXPORT_SYMBOL_GPL(ib_netdev_has_lid);

void ib_netdev_look_work(struct work_struct *work)
{
	struct ib_netdev *ind = container_of(work, struct ib_netdev, look);
	struct ib_netdev_link link;

	if (ib_netdev_link_read(ind, &link))
		return;
	rtnl_lock();
	if (ind->ndev->reg_state == NETREG_REGISTERED)
		ib_netdev_link_apply(ind, &link);
	rtnl_unlock();
}

/*
 * rtnetlink
 */

static size_t ib_netdev_get_size(const struct net_device *ndev)
{
	return nla_total_size(IB_DEVICE_NAME_MAX) +	/* DEVICE */
	       5 * nla_total_size(sizeof(u32)) +	/* PORT, LID, SM_LID, CAP_MASK,
							 * MAX_MTU
							 */
	       nla_total_size(sizeof(union ib_gid)) +	/* GID */
	       nla_total_size(sizeof(u16)) +		/* PKEY */
	       5 * nla_total_size(sizeof(u8)) +		/* STATE, PHYS_STATE, LMC, SM_SL,
							 * WIDTH
							 */
	       nla_total_size(0);			/* OPA */
}

static int ib_netdev_fill_info(struct sk_buff *skb, const struct net_device *ndev)
{
	const struct ib_netdev *ind = netdev_priv(ndev);
	const struct ib_netdev_link *link = &ind->link;
	const struct ib_port_attr *attr = &link->attr;
	int width = ib_width_enum_to_int(attr->active_width);
	struct ib_device *ibdev = ind->ibdev;

	if (nla_put_string(skb, IFLA_IBPORT_DEVICE, ind->device) ||
	    nla_put_u32(skb, IFLA_IBPORT_PORT, ind->port) ||
	    nla_put_u8(skb, IFLA_IBPORT_STATE, attr->state) ||
	    nla_put_u8(skb, IFLA_IBPORT_PHYS_STATE, attr->phys_state) ||
	    nla_put(skb, IFLA_IBPORT_GID, sizeof(link->gid), &link->gid) ||
	    nla_put_u32(skb, IFLA_IBPORT_LID, attr->lid) ||
	    nla_put_u8(skb, IFLA_IBPORT_LMC, attr->lmc) ||
	    nla_put_u32(skb, IFLA_IBPORT_SM_LID, attr->sm_lid) ||
	    nla_put_u8(skb, IFLA_IBPORT_SM_SL, attr->sm_sl) ||
	    nla_put_u16(skb, IFLA_IBPORT_PKEY, link->pkey) ||
	    nla_put_u32(skb, IFLA_IBPORT_CAP_MASK, attr->port_cap_flags) ||
	    nla_put_u32(skb, IFLA_IBPORT_MAX_MTU,
			max(rdma_mtu_from_attr(ibdev, ind->port, (void *)attr), 0)) ||
	    nla_put_u8(skb, IFLA_IBPORT_WIDTH, max(width, 0)))
		return -EMSGSIZE;
	if (rdma_core_cap_opa_port(ibdev, ind->port) &&
	    nla_put_flag(skb, IFLA_IBPORT_OPA))
		return -EMSGSIZE;
	return 0;
}

static size_t ib_netdev_get_xstats_size(const struct net_device *ndev)
{
	return nla_total_size(0) + IB_NETDEV_NUM_COUNTERS * nla_total_size_64bit(sizeof(u64));
}

static int ib_netdev_fill_xstats(struct sk_buff *skb, const struct net_device *ndev)
{
	struct ib_netdev *ind = netdev_priv(ndev);
	struct ib_netdev_counters counters;
	struct nlattr *nest;
	int i;

	ib_netdev_counted(ind, &counters);
	nest = nla_nest_start(skb, IFLA_INFO_XSTATS);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < IB_NETDEV_NUM_COUNTERS; i++) {
		if (nla_put_u64_64bit(skb, IFLA_IBPORT_XSTATS_SYMBOL_ERROR + i,
				      counters.value[i], IFLA_IBPORT_XSTATS_PAD)) {
			nla_nest_cancel(skb, nest);
			return -EMSGSIZE;
		}
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* They are the ports', so none can be made or deleted */
struct rtnl_link_ops ib_netdev_link_ops = {
	.kind			= IB_NETDEV_KIND,
	.priv_size		= sizeof(struct ib_netdev),
	.get_size		= ib_netdev_get_size,
	.fill_info		= ib_netdev_fill_info,
	.get_xstats_size	= ib_netdev_get_xstats_size,
	.fill_xstats		= ib_netdev_fill_xstats,
};
