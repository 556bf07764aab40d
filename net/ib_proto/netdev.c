// SPDX-License-Identifier: GPL-2.0
/*
 * Netdevices of InfiniBand and Omni-Path ports: they come and go with the ports
 *
 * Each port of an RDMA device has one, which is called DEVICE.PORT, in the network
 * namespace of the device. What is sent on it is packets of the port as they are on
 * the wire, and never IP: see netdev_packet.c. Drivers that keep packets to
 * themselves have it, too, to be looked at.
 */
#include <linux/if_infiniband.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <net/netdev_lock.h>

#include "netdev.h"

struct workqueue_struct *ib_netdev_wq;

/**
 * struct ib_netdev_device - the netdevices of an RDMA device
 * @handler: hears of what happens to its ports
 * @num: ports
 * @ports: their netdevices, by number less 1; NULL if there is none
 */
struct ib_netdev_device {
	struct ib_event_handler handler;
	u32 num;
	struct ib_netdev *ports[] __counted_by(num);
};

/**
 * ib_netdev_name() - what the netdevice of a port is called
 * @name: where to put it, IFNAMSIZ bytes
 * @device: name of the RDMA device
 * @port: number of the port
 *
 * Return: 0; -ENAMETOOLONG: use something else.
 */
int ib_netdev_name(char *name, const char *device, u32 port)
{
	if (snprintf(name, IFNAMSIZ, "%s.%u", device, port) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	return dev_valid_name(name) ? 0 : -ENAMETOOLONG;
}

/* Its queues are above those of another netdevice, which may be the cable */
static int ib_netdev_init_locks(struct net_device *ndev)
{
	netdev_lockdep_set_classes(ndev);
	return 0;
}

/* A subnet manager decides it */
static int ib_netdev_change_mtu(struct net_device *ndev, int mtu)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	if (mtu != ind->link.mtu)
		return -EOPNOTSUPP;
	WRITE_ONCE(ndev->mtu, mtu);
	return 0;
}

/* "portid" of ip(8) */
static int ib_netdev_phys_port_id(struct net_device *ndev, struct netdev_phys_item_id *id)
{
	const struct ib_netdev *ind = netdev_priv(ndev);

	id->id_len = sizeof(ind->link.gid.global.interface_id);
	memcpy(id->id, &ind->link.gid.global.interface_id, id->id_len);
	return 0;
}

static const struct net_device_ops ib_netdev_net_device_ops = {
	.ndo_init		= ib_netdev_init_locks,
	.ndo_start_xmit		= ib_netdev_xmit,
	.ndo_change_mtu		= ib_netdev_change_mtu,
	.ndo_get_stats64	= ib_netdev_get_stats64,
	.ndo_get_phys_port_id	= ib_netdev_phys_port_id,
};

static void ib_netdev_setup(struct net_device *ndev)
{
	ndev->netdev_ops = &ib_netdev_net_device_ops;
	ndev->ethtool_ops = &ib_netdev_ethtool_ops;
	ndev->header_ops = &ib_netdev_header_ops;
	ndev->rtnl_link_ops = &ib_netdev_link_ops;
	ndev->type = ARPHRD_INFINIBAND;
	ndev->addr_len = INFINIBAND_ALEN;
	ndev->hard_header_len = IB_LRH_LEN;
	ndev->min_header_len = IB_LRH_LEN;
	ndev->needed_headroom = LL_MAX_HEADER;
	ndev->needed_tailroom = IB_VCRC_LEN;
	/* It has neither a broadcast address nor neighbours */
	ndev->flags = IFF_NOARP;
	ndev->priv_flags |= IFF_NO_QUEUE | IFF_NO_ADDRCONF;
	ndev->priv_flags &= ~IFF_TX_SKB_SHARING;
	ndev->lltx = true;
	ndev->netns_immutable = true;
	ndev->max_mtu = 0;
	ndev->min_mtu = 0;
}

/* Super-packets and trains pass whole, unless somebody turns that off */
static void ib_netdev_set_features(struct net_device *ndev)
{
	ndev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM |
			    NETIF_F_HIGHDMA | NETIF_F_GSO_ROCE | NETIF_F_GSO_UDP_L4;
	ndev->features = ndev->hw_features;
	netif_set_tso_max_size(ndev, GSO_MAX_SIZE);
	netif_set_tso_max_segs(ndev, GSO_MAX_SEGS);
}

/* Under RTNL. Somebody else may have taken the name */
static int ib_netdev_register(struct ib_netdev *ind)
{
	struct net_device *ndev = ind->ndev;
	int err;

	if (!ib_netdev_name(ndev->name, ind->device, ind->port)) {
		strscpy(ind->name, ndev->name);
		err = register_netdevice(ndev);
		if (err != -EEXIST)
			return err;
	}
	ind->name[0] = 0;
	strscpy(ndev->name, IB_NETDEV_KIND "%d");
	ndev->name_assign_type = NET_NAME_ENUM;
	return register_netdevice(ndev);
}

/* Under RTNL */
static int ib_netdev_start(struct ib_netdev *ind, const struct ib_netdev_link *link)
{
	struct net_device *ndev = ind->ndev;
	int err;

	ib_netdev_link_apply(ind, link);
	err = ib_netdev_register(ind);
	if (err)
		return err;
	err = netdev_rx_handler_register(ndev, ib_netdev_rx, ind);
	if (err)
		goto unregister;
	ib_netdev_link_apply(ind, link);
	/* Who knows nothing of it is not to miss it */
	err = dev_open(ndev, NULL);
	if (err)
		goto unregister_rx_handler;
	if (ind->ops)
		ind->ops->attach(ind->ibdev, ind->port, ndev);
	return 0;

unregister_rx_handler:
	netdev_rx_handler_unregister(ndev);
unregister:
	unregister_netdevice(ndev);
	return err;
}

static struct ib_netdev *ib_netdev_make(struct ib_device *ibdev, u32 port)
{
	struct ib_netdev_link link;
	struct net_device *ndev;
	struct ib_netdev *ind;
	int err;

	ndev = alloc_netdev(sizeof(*ind), "", NET_NAME_PREDICTABLE, ib_netdev_setup);
	if (!ndev)
		return NULL;
	ind = netdev_priv(ndev);
	ind->ndev = ndev;
	ind->ibdev = ibdev;
	strscpy(ind->device, dev_name(&ibdev->dev));
	ind->port = port;
	ind->ops = ibdev->ops.netdev_ops;
	INIT_WORK(&ind->look, ib_netdev_look_work);
	ib_netdev_stats_init(ind);
	ndev->dev_port = port - 1;
	SET_NETDEV_DEV(ndev, &ibdev->dev);
	dev_net_set(ndev, rdma_dev_net(ibdev));
	if (ind->ops)
		ib_netdev_set_features(ndev);

	err = ib_netdev_link_read(ind, &link);
	if (!err) {
		rtnl_lock();
		err = ib_netdev_start(ind, &link);
		rtnl_unlock();
	}
	if (err) {
		ibdev_warn(ibdev, "port %u has no netdevice: %d\n", port, err);
		free_netdev(ndev);
		return NULL;
	}
	return ind;
}

/* Nobody hears of the port any more */
static void ib_netdev_end(struct ib_netdev *ind)
{
	struct net_device *ndev = ind->ndev;

	rtnl_lock();
	if (ind->ops)
		ind->ops->attach(ind->ibdev, ind->port, NULL);
	netdev_rx_handler_unregister(ndev);
	/* With its network namespace it may have gone already */
	if (ndev->reg_state == NETREG_REGISTERED)
		unregister_netdevice(ndev);
	rtnl_unlock();
	cancel_work_sync(&ind->look);
	cancel_work_sync(&ind->count);
	free_netdev(ndev);
}

static void ib_netdev_event(struct ib_event_handler *handler, struct ib_event *event)
{
	struct ib_netdev_device *device = container_of(handler, struct ib_netdev_device,
						       handler);
	u32 port;

	switch (event->event) {
	case IB_EVENT_PORT_ACTIVE:
	case IB_EVENT_PORT_ERR:
	case IB_EVENT_LID_CHANGE:
	case IB_EVENT_PKEY_CHANGE:
	case IB_EVENT_SM_CHANGE:
	case IB_EVENT_CLIENT_REREGISTER:
	case IB_EVENT_GID_CHANGE:
		break;
	default:
		return;
	}
	port = event->element.port_num - 1;
	if (port < device->num && device->ports[port])
		queue_work(ib_netdev_wq, &device->ports[port]->look);
}

static int ib_netdev_add(struct ib_device *ibdev);
static void ib_netdev_remove(struct ib_device *ibdev, void *data);
static void ib_netdev_renamed(struct ib_device *ibdev, void *data);

static struct ib_client ib_netdev_client = {
	.name	= "ib_netdev",
	.add	= ib_netdev_add,
	.remove	= ib_netdev_remove,
	.rename	= ib_netdev_renamed,
};

static int ib_netdev_add(struct ib_device *ibdev)
{
	struct ib_netdev_device *device;
	bool any = false;
	u32 port;

	rdma_for_each_port(ibdev, port)
		any |= rdma_protocol_ib(ibdev, port);
	if (!any)
		return -EOPNOTSUPP;
	device = kzalloc_flex(*device, ports, ibdev->phys_port_cnt);
	if (!device)
		return -ENOMEM;
	device->num = ibdev->phys_port_cnt;
	rdma_for_each_port(ibdev, port)
		if (rdma_protocol_ib(ibdev, port))
			device->ports[port - 1] = ib_netdev_make(ibdev, port);
	ib_set_client_data(ibdev, &ib_netdev_client, device);
	INIT_IB_EVENT_HANDLER(&device->handler, ibdev, ib_netdev_event);
	ib_register_event_handler(&device->handler);
	/* What happened meanwhile */
	rdma_for_each_port(ibdev, port)
		if (device->ports[port - 1])
			queue_work(ib_netdev_wq, &device->ports[port - 1]->look);
	return 0;
}

static void ib_netdev_remove(struct ib_device *ibdev, void *data)
{
	struct ib_netdev_device *device = data;
	u32 i;

	ib_unregister_event_handler(&device->handler);
	for (i = 0; i < device->num; i++)
		if (device->ports[i])
			ib_netdev_end(device->ports[i]);
	kfree(device);
}

/* It follows its device, unless somebody has given it a name */
static void ib_netdev_follow_name(struct ib_netdev *ind, const char *device)
{
	char name[IFNAMSIZ];

	strscpy(ind->device, device);
	if (strcmp(ind->ndev->name, ind->name) || ib_netdev_name(name, device, ind->port))
		return;
	if (!dev_change_name(ind->ndev, name))
		strscpy(ind->name, name);
}

static void ib_netdev_renamed(struct ib_device *ibdev, void *data)
{
	struct ib_netdev_device *device = data;
	u32 i;

	rtnl_lock();
	for (i = 0; i < device->num; i++)
		if (device->ports[i])
			ib_netdev_follow_name(device->ports[i], dev_name(&ibdev->dev));
	rtnl_unlock();
}

static int __init ib_netdev_init(void)
{
	int err;

	ib_netdev_wq = alloc_workqueue("ib_netdev", WQ_UNBOUND, 0);
	if (!ib_netdev_wq)
		return -ENOMEM;
	err = rtnl_link_register(&ib_netdev_link_ops);
	if (err)
		goto destroy_wq;
	ib_netdev_packet_init();
	err = ib_register_client(&ib_netdev_client);
	if (err)
		goto exit_packet;
	return 0;

exit_packet:
	ib_netdev_packet_exit();
	rtnl_link_unregister(&ib_netdev_link_ops);
destroy_wq:
	destroy_workqueue(ib_netdev_wq);
	return err;
}

static void __exit ib_netdev_exit(void)
{
	ib_unregister_client(&ib_netdev_client);
	ib_netdev_packet_exit();
	rtnl_link_unregister(&ib_netdev_link_ops);
	destroy_workqueue(ib_netdev_wq);
}

module_init(ib_netdev_init);
module_exit(ib_netdev_exit);
MODULE_DESCRIPTION("Netdevices of InfiniBand and Omni-Path ports");
MODULE_LICENSE("GPL");
MODULE_ALIAS_RTNL_LINK(IB_NETDEV_KIND);
