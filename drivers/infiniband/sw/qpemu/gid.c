// SPDX-License-Identifier: GPL-2.0
/*
 * From addresses to devices
 *
 * A packet to one of our addresses may come in on another netdevice than the
 * device's: local ones come on lo, those of a VLAN, bridge or macvlan on that,
 * while its GID belongs to the device below. So devices are found by address,
 * in the network namespace of the netdevice that has it.
 */

#include <linux/etherdevice.h>
#include <linux/jhash.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include "netdev.h"

#define GID_BITS	10

/**
 * struct qpemu_gid - an address of a device
 * @by_address: in gids_by_address
 * @by_netdev: in gids_by_netdev
 * @rcu: frees it after a grace period
 * @net_cookie: namespace that it is valid in
 * @ndev: netdevice that has the address; ib_core holds it until a grace period
 *	after qpemu_del_gid()
 * @dev: device
 * @udp: sockets on which packets to it arrive
 * @gid: address
 * @type: RoCEv1 or RoCEv2
 * @own: @ndev is what the device was made on
 */
struct qpemu_gid {
	struct hlist_node by_address;
	struct hlist_node by_netdev;
	struct rcu_head rcu;
	u64 net_cookie;
	struct net_device *ndev;
	struct qpemu_dev *dev;
	struct qpemu_udp_net *udp;
	union ib_gid gid;
	enum ib_gid_type type;
	bool own;
};

static struct hlist_head gids_by_address[1 << GID_BITS];
static struct hlist_head gids_by_netdev[1 << GID_BITS];
static DEFINE_SPINLOCK(gids_lock);	/* changes of both */

static struct hlist_head *address_bucket(const union ib_gid *gid)
{
	u32 hash = jhash2((const u32 *)gid->raw, sizeof(gid->raw) / 4, 0);

	return &gids_by_address[hash & ((1 << GID_BITS) - 1)];
}

static struct hlist_head *netdev_bucket(const struct net_device *ndev)
{
	return &gids_by_netdev[hash_ptr(ndev, GID_BITS)];
}

/* The netdevice of @attr with a reference, and the namespace likewise. */
static struct net_device *get_netdev(const struct ib_gid_attr *attr, struct net **net)
{
	struct net_device *ndev;

	rcu_read_lock();
	/* ib_core clears it only after qpemu_del_gid(). */
	ndev = rcu_dereference(attr->ndev);
	*net = ndev ? maybe_get_net(dev_net_rcu(ndev)) : NULL;
	if (*net)
		dev_hold(ndev);
	rcu_read_unlock();
	return *net ? ndev : NULL;
}

static bool own_netdev(const struct ib_gid_attr *attr, const struct net_device *ndev)
{
	struct net_device *base = ib_device_get_netdev(attr->device, attr->port_num);
	bool own = base == ndev;

	dev_put(base);
	return own;
}

/* ib_device_ops.add_gid: the device has got an address. */
int qpemu_add_gid(const struct ib_gid_attr *attr, void **context)
{
	struct qpemu_gid *gid;
	struct net_device *ndev;
	struct net *net;
	int err = 0;

	ndev = get_netdev(attr, &net);
	if (!ndev)
		return -ENODEV;
	gid = kzalloc_obj(*gid);
	if (!gid) {
		err = -ENOMEM;
		goto out;
	}
	gid->net_cookie = net->net_cookie;
	gid->ndev = ndev;
	gid->dev = to_qdev(attr->device);
	gid->gid = attr->gid;
	gid->type = attr->gid_type;
	gid->own = own_netdev(attr, ndev);
	if (gid->type == IB_GID_TYPE_ROCE_UDP_ENCAP) {
		gid->udp = qpemu_udp_get(net);
		if (IS_ERR(gid->udp)) {
			err = PTR_ERR(gid->udp);
			kfree(gid);
			goto out;
		}
	}

	spin_lock(&gids_lock);
	hlist_add_head_rcu(&gid->by_address, address_bucket(&gid->gid));
	hlist_add_head_rcu(&gid->by_netdev, netdev_bucket(ndev));
	spin_unlock(&gids_lock);
	*context = gid;
out:
	dev_put(ndev);
	put_net(net);
	return err;
}

/* ib_device_ops.del_gid */
int qpemu_del_gid(const struct ib_gid_attr *attr, void **context)
{
	struct qpemu_gid *gid = *context;

	if (!gid)
		return 0;
	spin_lock(&gids_lock);
	hlist_del_rcu(&gid->by_address);
	hlist_del_rcu(&gid->by_netdev);
	spin_unlock(&gids_lock);
	if (gid->udp)
		qpemu_udp_put(gid->udp);
	kfree_rcu(gid, rcu);
	*context = NULL;
	return 0;
}

static struct qpemu_dev *find_by_netdev(const struct net_device *ndev, enum ib_gid_type type)
{
	struct qpemu_dev *dev = NULL;
	struct qpemu_gid *gid;

	hlist_for_each_entry_rcu(gid, netdev_bucket(ndev), by_netdev) {
		if (gid->ndev != ndev || gid->type != type)
			continue;
		dev = gid->dev;
		if (gid->own)
			break;
	}
	return dev;
}

/* Of several that have the address, the one nearest to @ndev. */
static struct qpemu_dev *find_by_address(const struct net_device *ndev,
					 const union ib_gid *dgid, enum ib_gid_type type)
{
	u64 net_cookie = dev_net_rcu(ndev)->net_cookie;
	struct qpemu_dev *dev = NULL;
	struct qpemu_gid *gid;
	int best = -1, score;

	hlist_for_each_entry_rcu(gid, address_bucket(dgid), by_address) {
		if (gid->net_cookie != net_cookie || gid->type != type ||
		    memcmp(&gid->gid, dgid, sizeof(*dgid)))
			continue;
		score = (gid->ndev == ndev) * 2 + gid->own;
		if (score > best) {
			best = score;
			dev = gid->dev;
		}
	}
	return dev;
}

/**
 * qpemu_gid_netdev - the netdevice that has an address
 * @attr: held; of one of our devices
 *
 * An address that was taken away and given again is another one to ib_core. To
 * a connection it is the same, as it is to one of TCP.
 *
 * Context: RCU.
 * Return: the netdevice, or NULL if nothing has the address now.
 */
struct net_device *qpemu_gid_netdev(const struct ib_gid_attr *attr)
{
	struct net_device *ndev = rcu_dereference(attr->ndev);
	struct qpemu_gid *gid;

	if (likely(ndev))
		return ndev;
	hlist_for_each_entry_rcu(gid, address_bucket(&attr->gid), by_address)
		if (&gid->dev->ibdev == attr->device && gid->type == attr->gid_type &&
		    !memcmp(&gid->gid, &attr->gid, sizeof(gid->gid)))
			return gid->ndev;
	return NULL;
}

static bool is_multicast(const union ib_gid *gid)
{
	const struct in6_addr *addr = (const struct in6_addr *)gid;

	return ipv6_addr_is_multicast(addr) ||
	       (ipv6_addr_v4mapped(addr) && ipv4_is_multicast(addr->s6_addr32[3]));
}

struct qpemu_dev *qpemu_dev_find(const struct net_device *ndev, const union ib_gid *dgid,
				 enum ib_gid_type type)
{
	if (is_multicast(dgid))
		return find_by_netdev(ndev, type);
	return find_by_address(ndev, dgid, type);
}
