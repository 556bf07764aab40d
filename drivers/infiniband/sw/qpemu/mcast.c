// SPDX-License-Identifier: GPL-2.0
/*
 * Multicast groups: who wants datagrams for which GID, and LID if there are any.
 *
 * A queue pair is not destroyed as long as it is attached, so groups need not be
 * cleaned of dead ones. Receiving goes by RCU; changes are
 * made under dev->groups_lock, outside of rtnl_lock.
 */
#include <linux/etherdevice.h>
#include <linux/igmp.h>
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/rtnetlink.h>
#include <net/addrconf.h>
#include <net/if_inet6.h>
#include <net/ip.h>

#include "link.h"
#include "verbs.h"

/**
 * struct group - a multicast group
 * @node: in its bucket of dev->groups
 * @gid: its address
 * @lid: InfiniBand: the subnet's name for it
 * @members: struct member
 * @num: of @members
 * @joined: the network layer knows of it
 * @rcu: frees it after a grace period
 */
struct group {
	struct hlist_node node;
	union ib_gid gid;
	u16 lid;
	struct list_head members;
	u32 num;
	bool joined;
	struct rcu_head rcu;
};

struct member {
	struct list_head list;
	struct qpemu_ref *ref;
	struct rcu_head rcu;
};

static struct hlist_head *bucket(struct qpemu_dev *dev, const union ib_gid *gid)
{
	return &dev->groups[jhash(gid, sizeof(*gid), 0) % QPEMU_GROUP_BUCKETS];
}

static struct group *find_group(struct qpemu_dev *dev, const union ib_gid *gid, u16 lid)
{
	struct group *group;

	hlist_for_each_entry_rcu(group, bucket(dev, gid), node,
				 lockdep_is_held(&dev->groups_lock))
		if (group->lid == lid && !memcmp(&group->gid, gid, sizeof(*gid)))
			return group;
	return NULL;
}

static struct member *find_member(const struct group *group, const struct qpemu_qp *qp)
{
	struct member *member;

	list_for_each_entry(member, &group->members, list)
		if (member->ref == qp->ref)
			return member;
	return NULL;
}

/*
 * The network below
 */

static bool is_ipv4(const union ib_gid *gid)
{
	return ipv6_addr_v4mapped((const struct in6_addr *)gid);
}

static __be32 ipv4_of(const union ib_gid *gid)
{
	return ((const struct in6_addr *)gid)->s6_addr32[3];
}

static void group_mac(const union ib_gid *gid, u8 mac[ETH_ALEN])
{
	if (is_ipv4(gid))
		ip_eth_mc_map(ipv4_of(gid), mac);
	else
		ipv6_eth_mc_map((const struct in6_addr *)gid, mac);
}

static bool ipv4_join(struct net_device *ndev, __be32 addr, bool join)
{
	struct in_device *in_dev;

	rtnl_lock();
	in_dev = __in_dev_get_rtnl(ndev);
	if (in_dev && join)
		ip_mc_inc_group(in_dev, addr);
	else if (in_dev)
		ip_mc_dec_group(in_dev, addr);
	rtnl_unlock();
	return in_dev;
}

static bool ipv6_join(struct net_device *ndev, const struct in6_addr *addr, bool join)
{
	if (!IS_ENABLED(CONFIG_IPV6))
		return false;
	return join ? !ipv6_dev_mc_inc(ndev, addr) : !ipv6_dev_mc_dec(ndev, addr);
}

/*
 * Routers and switches on the way, the network layer and the netdevice's filter
 * are told. Without an IP address there is only the last of these, which is
 * enough for RoCEv1.
 */
static void tell_network(struct qpemu_dev *dev, struct group *group, bool join)
{
	struct net_device *ndev = ib_device_get_netdev(&dev->ibdev, 1);
	u8 mac[ETH_ALEN];

	/* Without a netdevice there is nobody to tell: the device goes away. */
	if (!ndev)
		return;
	if (join || group->joined)
		group->joined = is_ipv4(&group->gid) ?
			ipv4_join(ndev, ipv4_of(&group->gid), join) :
			ipv6_join(ndev, (const struct in6_addr *)&group->gid, join);
	if (ndev->addr_len == ETH_ALEN) {
		group_mac(&group->gid, mac);
		if (join)
			dev_mc_add(ndev, mac);
		else
			dev_mc_del(ndev, mac);
	}
	dev_put(ndev);
}

static struct group *new_group(struct qpemu_dev *dev, const union ib_gid *gid, u16 lid)
{
	struct group *group;

	if (atomic_read(&dev->num_groups) >= QPEMU_MAX_GROUPS)
		return ERR_PTR(-ENOMEM);
	group = kzalloc_obj(*group, GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->gid = *gid;
	group->lid = lid;
	INIT_LIST_HEAD(&group->members);
	atomic_inc(&dev->num_groups);
	hlist_add_head_rcu(&group->node, bucket(dev, gid));
	tell_network(dev, group, true);
	return group;
}

static void drop_if_empty(struct qpemu_dev *dev, struct group *group)
{
	if (group->num)
		return;
	tell_network(dev, group, false);
	hlist_del_rcu(&group->node);
	atomic_dec(&dev->num_groups);
	kfree_rcu(group, rcu);
}

static int add_member(struct group *group, struct qpemu_qp *qp)
{
	struct member *member;

	if (find_member(group, qp))
		return 0;
	if (group->num >= QPEMU_MAX_GROUP_QPS)
		return -ENOMEM;
	member = kzalloc_obj(*member, GFP_KERNEL_ACCOUNT);
	if (!member)
		return -ENOMEM;
	member->ref = qp->ref;
	atomic_inc(&qp->num_groups);
	group->num++;
	list_add_tail_rcu(&member->list, &group->members);
	return 0;
}

/* RoCE has no LIDs, whatever it is told. */
static u16 lid_in(const struct qpemu_dev *dev, u16 lid)
{
	return dev->port ? lid : 0;
}

/* Attaching twice is attaching once. */
int qpemu_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct qpemu_dev *dev = to_qdev(ibqp->device);
	struct group *group;
	int err;

	lid = lid_in(dev, lid);
	mutex_lock(&dev->groups_lock);
	group = find_group(dev, gid, lid) ?: new_group(dev, gid, lid);
	err = PTR_ERR_OR_ZERO(group);
	if (!err) {
		err = add_member(group, to_qqp(ibqp));
		drop_if_empty(dev, group);
	}
	mutex_unlock(&dev->groups_lock);
	return err;
}

int qpemu_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct qpemu_dev *dev = to_qdev(ibqp->device);
	struct qpemu_qp *qp = to_qqp(ibqp);
	struct member *member = NULL;
	struct group *group;

	mutex_lock(&dev->groups_lock);
	group = find_group(dev, gid, lid_in(dev, lid));
	if (group)
		member = find_member(group, qp);
	if (member) {
		list_del_rcu(&member->list);
		kfree_rcu(member, rcu);
		atomic_dec(&qp->num_groups);
		group->num--;
		drop_if_empty(dev, group);
	}
	mutex_unlock(&dev->groups_lock);
	return member ? 0 : -EINVAL;
}

/* Of several receivers each but the last gets a copy. */
static void deliver(struct group *group, struct sk_buff *skb)
{
	struct qpemu_ref *last = NULL;
	struct member *member;
	struct sk_buff *copy;

	list_for_each_entry_rcu(member, &group->members, list) {
		if (!qpemu_ref_get(member->ref))
			continue;
		if (last) {
			copy = skb_clone(skb, GFP_ATOMIC);
			if (copy)
				qpemu_qp_rx(last->obj, copy);
			qpemu_ref_put(last);
		}
		last = member->ref;
	}
	if (!last) {
		kfree_skb(skb);
		return;
	}
	qpemu_qp_rx(last->obj, skb);
	qpemu_ref_put(last);
}

static const struct qpemu_link *link_of(const struct sk_buff *skb)
{
	switch (qpemu_skb_cb((struct sk_buff *)skb)->network) {
	case RDMA_NETWORK_IPV4:
	case RDMA_NETWORK_IPV6:
		return &qpemu_link_udp;
	case RDMA_NETWORK_IB:
		return &qpemu_link_ib;
	default:
		return &qpemu_link_eth;
	}
}

void qpemu_mcast_rx(struct qpemu_dev *dev, struct sk_buff *skb)
{
	union ib_gid sgid, dgid;
	struct group *group;

	link_of(skb)->gids(skb, &sgid, &dgid);
	rcu_read_lock();
	group = find_group(dev, &dgid, lid_in(dev, qpemu_skb_cb(skb)->dlid));
	if (group) {
		deliver(group, skb);
	} else {
		qpemu_count(dev, QPEMU_NO_QP);
		kfree_skb(skb);
	}
	rcu_read_unlock();
}

/* The device goes away, and all of its queue pairs have gone. */
void qpemu_mcast_cleanup(struct qpemu_dev *dev)
{
	WARN_ON(atomic_read(&dev->num_groups));
}
