/* SPDX-License-Identifier: GPL-2.0 */
/* Between a device and its netdevice: addresses, sockets, events. */
#ifndef _QPEMU_NETDEV_H
#define _QPEMU_NETDEV_H

#include <linux/if_ether.h>

#include "qpemu.h"

struct net;
struct net_device;
struct qpemu_udp_net;

/* main.c: set in struct ib_device_ops, so it tells our devices from others. */
#define QPEMU_DRIVER_ID		RDMA_DRIVER_QPEMU

/*
 * main.c: from the MAC address; a netdevice without one gets the same as long as it
 * lives, and no two of this machine the same.
 */
void qpemu_make_guid(struct net_device *ndev, __be64 *guid);

/* gid.c */
int qpemu_add_gid(const struct ib_gid_attr *attr, void **context);
int qpemu_del_gid(const struct ib_gid_attr *attr, void **context);
/*
 * The device that a packet is for, by its destination address or, if that is a
 * multicast address, by the netdevice that it came from. Context: RCU. The
 * device is valid until the end of the read-side critical section.
 */
struct qpemu_dev *qpemu_dev_find(const struct net_device *ndev, const union ib_gid *dgid,
				 enum ib_gid_type type);

struct net_device *qpemu_gid_netdev(const struct ib_gid_attr *attr);

/* link_udp.c: sockets of a network namespace, as long as somebody needs them */
struct qpemu_udp_net *qpemu_udp_get(struct net *net);
void qpemu_udp_put(struct qpemu_udp_net *udp);
int qpemu_udp_init(void);
void qpemu_udp_exit(void);

/* link_eth.c */
void qpemu_eth_init(void);
void qpemu_eth_exit(void);

/* netdev.c */
void qpemu_netdev_init_dev(struct qpemu_dev *dev);
/* The netdevice has moved to another network namespace, or is gone. Any context. */
void qpemu_netdev_moved(struct qpemu_dev *dev);
void qpemu_netdev_gone(struct qpemu_dev *dev);
int qpemu_netdev_init(void);
void qpemu_netdev_exit(void);

#endif /* _QPEMU_NETDEV_H */
