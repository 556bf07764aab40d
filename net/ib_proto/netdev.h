/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netdevices of InfiniBand and Omni-Path ports
 *
 *	netdev.c		they come and go with the ports
 *	netdev_link.c		what a port is like: carrier, MTU, address; rtnetlink
 *	netdev_packet.c		packets go through them
 *	netdev_stats.c		what a port has counted
 *	netdev_ethtool.c	ethtool
 */
#ifndef _IB_PROTO_NETDEV_H
#define _IB_PROTO_NETDEV_H

#include <linux/workqueue.h>
#include <net/ib_netdev.h>
#include <rdma/ib_pma.h>
#include <rdma/ib_verbs.h>
#include <uapi/linux/ib_netdev.h>

/* A counter's place in struct ib_netdev_counters */
#define IB_NETDEV_COUNTER(name)	(IFLA_IBPORT_XSTATS_##name - IFLA_IBPORT_XSTATS_SYMBOL_ERROR)
#define IB_NETDEV_NUM_COUNTERS	(__IFLA_IBPORT_XSTATS_MAX - IFLA_IBPORT_XSTATS_SYMBOL_ERROR)

/**
 * struct ib_netdev_counters - what a port has counted
 * @value: by IB_NETDEV_COUNTER()
 */
struct ib_netdev_counters {
	u64 value[IB_NETDEV_NUM_COUNTERS];
};

/**
 * struct ib_netdev_link - what a port is like
 * @attr: the port
 * @gid: the first of its GIDs
 * @pkey: the first P_Key of its table
 * @mtu: what its packets carry, bytes
 */
struct ib_netdev_link {
	struct ib_port_attr attr;
	union ib_gid gid;
	u16 pkey;
	unsigned int mtu;
};

/**
 * struct ib_netdev - the netdevice of a port
 * @ndev: it
 * @ibdev: the RDMA device
 * @device: its name, which it may change at any time. RTNL
 * @port: number of the port
 * @ops: of a driver that hands over packets, or NULL
 * @name: the one that it was given, until somebody gives it another
 * @look: work: something may have happened to the port
 * @link: what the port was like then. RTNL
 * @count: work: ask for the counters
 * @counters_lock: protects @counters
 * @counters: of the port, at @counted
 * @counted: jiffies
 * @extended: it has PortCountersExtended
 */
struct ib_netdev {
	struct net_device *ndev;
	struct ib_device *ibdev;
	char device[IB_DEVICE_NAME_MAX];
	u32 port;
	const struct ib_netdev_ops *ops;
	char name[IFNAMSIZ];
	struct work_struct look;
	struct ib_netdev_link link;
	struct work_struct count;
	spinlock_t counters_lock;	/* counters */
	struct ib_netdev_counters counters;
	unsigned long counted;
	bool extended;
};

/* netdev.c */
extern struct workqueue_struct *ib_netdev_wq;

int ib_netdev_name(char *name, const char *device, u32 port);

/* netdev_link.c */
extern struct rtnl_link_ops ib_netdev_link_ops;

int ib_netdev_link_read(struct ib_netdev *ind, struct ib_netdev_link *link);
void ib_netdev_link_apply(struct ib_netdev *ind, const struct ib_netdev_link *link);
void ib_netdev_look_work(struct work_struct *work);

/* netdev_packet.c */
extern const struct header_ops ib_netdev_header_ops;

bool ib_netdev_packet_ok(struct sk_buff *skb);
netdev_tx_t ib_netdev_xmit(struct sk_buff *skb, struct net_device *ndev);
rx_handler_result_t ib_netdev_rx(struct sk_buff **pskb);
void ib_netdev_packet_init(void);
void ib_netdev_packet_exit(void);

/* netdev_stats.c */
extern const char ib_netdev_counter_names[IB_NETDEV_NUM_COUNTERS][ETH_GSTRING_LEN];

void ib_netdev_counters_parse(struct ib_netdev_counters *counters, __be16 attribute,
			      const struct ib_pma_mad *mad);
void ib_netdev_counters_stats(const struct ib_netdev_counters *counters,
			      struct rtnl_link_stats64 *stats);
void ib_netdev_stats_init(struct ib_netdev *ind);
void ib_netdev_count_now(struct ib_netdev *ind, struct ib_netdev_counters *counters);
void ib_netdev_counted(struct ib_netdev *ind, struct ib_netdev_counters *counters);
void ib_netdev_get_stats64(struct net_device *ndev, struct rtnl_link_stats64 *stats);

/* netdev_ethtool.c */
extern const struct ethtool_ops ib_netdev_ethtool_ops;

#endif /* _IB_PROTO_NETDEV_H */
