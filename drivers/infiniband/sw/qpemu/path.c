// SPDX-License-Identifier: GPL-2.0
/* The way to a peer: addresses, and the route that leads there. */

#include <linux/etherdevice.h>
#include <net/addrconf.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_addr.h>

#include "ca.h"
#include "link.h"
#include "mem.h"
#include "netdev.h"
#include "path.h"

#define DEFAULT_HOP_LIMIT	64

static const struct qpemu_link *link_of(enum ib_gid_type type)
{
	switch (type) {
	case IB_GID_TYPE_ROCE:
		return &qpemu_link_eth;
	case IB_GID_TYPE_ROCE_UDP_ENCAP:
		return &qpemu_link_udp;
	default:
		return NULL;
	}
}

static void init_global(struct qpemu_path *path, const struct ib_global_route *grh)
{
	rdma_hold_gid_attr(grh->sgid_attr);
	path->sgid_attr = grh->sgid_attr;
	path->sgid = grh->sgid_attr->gid;
	path->dgid = grh->dgid;
	path->flow_label = grh->flow_label & 0xfffff;
	path->hop_limit = grh->hop_limit;
	path->tclass = grh->traffic_class;
	path->global = true;
}

static int init_ib(struct qpemu_path *path, struct qpemu_dev *dev,
		   const struct rdma_ah_attr *attr)
{
	bool global = rdma_ah_get_ah_flags(attr) & IB_AH_GRH;

	if (attr->type != RDMA_AH_ATTR_TYPE_IB)
		return -EINVAL;
	if (global && (!attr->grh.sgid_attr || attr->grh.sgid_attr->device != &dev->ibdev))
		return -EINVAL;
	qpemu_path_release(path);
	spin_lock_init(&path->lock);
	path->link = &qpemu_link_ib;
	path->port = dev->port;
	path->dlid = rdma_ah_get_dlid(attr);
	path->path_bits = rdma_ah_get_path_bits(attr) & 0x7f;
	path->sl = rdma_ah_get_sl(attr) & 0xf;
	path->global = false;
	if (global)
		init_global(path, rdma_ah_read_grh(attr));
	return 0;
}

static int init_roce(struct qpemu_path *path, struct qpemu_dev *dev,
		     const struct rdma_ah_attr *attr, u32 hash)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);
	const struct ib_gid_attr *sgid_attr = grh->sgid_attr;
	const struct qpemu_link *link;

	if (attr->type != RDMA_AH_ATTR_TYPE_ROCE || !sgid_attr ||
	    sgid_attr->device != &dev->ibdev)
		return -EINVAL;
	link = link_of(sgid_attr->gid_type);
	if (!link)
		return -EINVAL;
	if (link == &qpemu_link_udp &&
	    ipv6_addr_v4mapped((struct in6_addr *)&sgid_attr->gid) !=
	    ipv6_addr_v4mapped((struct in6_addr *)&grh->dgid))
		return -EADDRNOTAVAIL;

	qpemu_path_release(path);
	spin_lock_init(&path->lock);
	path->link = link;
	init_global(path, grh);
	path->sport = rdma_flow_label_to_udp_sport(path->flow_label ?: hash & 0xfffff);
	path->hop_limit = path->hop_limit ?: DEFAULT_HOP_LIMIT;
	path->sl = rdma_ah_get_sl(attr);
	ether_addr_copy(path->dmac, attr->roce.dmac);
	return 0;
}

int qpemu_path_init(struct qpemu_path *path, struct qpemu_dev *dev,
		    const struct rdma_ah_attr *attr, u32 hash)
{
	return dev->port ? init_ib(path, dev, attr) : init_roce(path, dev, attr, hash);
}

void qpemu_path_release(struct qpemu_path *path)
{
	dst_release(xchg(&path->dst, NULL));
	if (path->sgid_attr)
		rdma_put_gid_attr(path->sgid_attr);
	path->sgid_attr = NULL;
	path->link = NULL;
}

bool qpemu_path_matches(const struct qpemu_path *path, const struct sk_buff *skb)
{
	bool eth = qpemu_skb_cb((struct sk_buff *)skb)->network == RDMA_NETWORK_ROCE_V1;
	bool by_eth = path->link == &qpemu_link_eth;
	union ib_gid sgid, dgid;

	if (path->port)
		return qpemu_ib_from_peer(path, skb);
	if (!path->link || eth != by_eth)
		return false;
	path->link->gids(skb, &sgid, &dgid);
	return !memcmp(&sgid, &path->dgid, sizeof(sgid)) &&
	       !memcmp(&dgid, &path->sgid, sizeof(dgid));
}

/* The netdevice that packets leave by, if that is known. Context: RCU. */
static struct net_device *path_netdev(const struct qpemu_path *path)
{
	const struct dst_entry *dst = READ_ONCE(path->dst);

	if (dst)
		return dst_dev_rcu(dst);
	if (path->port)
		return qpemu_cable_netdev(path->port);
	return path->sgid_attr ? qpemu_gid_netdev(path->sgid_attr) : NULL;
}

unsigned int qpemu_path_headroom(const struct qpemu_path *path)
{
	unsigned int room = LL_MAX_HEADER;
	struct net_device *ndev;

	rcu_read_lock();
	ndev = path_netdev(path);
	if (ndev)
		room = LL_RESERVED_SPACE(ndev);
	rcu_read_unlock();
	return room + (path->link ? path->link->headroom : 0);
}

unsigned int qpemu_path_tailroom(const struct qpemu_path *path)
{
	return path->link ? path->link->tailroom : 0;
}

/* More than all the headers of a super-packet, from Ethernet's to the ICRC. */
#define SUPER_HEADERS	160

/* What a netdevice on the way takes. */
static void limit_super(const struct net_device *ndev, unsigned int *size,
			unsigned int *segs)
{
	if (!ndev)
		return;
	*size = min(*size, READ_ONCE(ndev->gso_max_size));
	*segs = min(*segs, READ_ONCE(ndev->gso_max_segs));
	if (!(ndev->features & NETIF_F_GSO))	/* "ethtool -K DEV gso off" */
		*segs = 1;
}

unsigned int qpemu_path_super(const struct qpemu_path *path, unsigned int mtu)
{
	unsigned int size = GSO_LEGACY_MAX_SIZE, segs = GSO_MAX_SEGS;

	if (!path->link || !path->link->super)
		return mtu;
	rcu_read_lock();
	limit_super(path_netdev(path), &size, &segs);
	if (path->port)
		limit_super(rcu_dereference(path->port->ndev), &size, &segs);
	rcu_read_unlock();

	if (size <= SUPER_HEADERS)
		return mtu;
	/* One page more is touched if the payload does not begin with one. */
	size = min3(size - SUPER_HEADERS, segs * mtu,
		    (unsigned int)((QPEMU_SUPER_FRAGS - 1) * PAGE_SIZE));
	return max(rounddown(size, mtu), mtu);
}

/* No more than what fits into a page with everything in front of it. */
unsigned int qpemu_path_train(const struct qpemu_path *path, unsigned int size)
{
	unsigned int room = SKB_MAX_HEAD(qpemu_path_headroom(path));

	return max(min(room, qpemu_path_super(path, size)) / size, 1U);
}

void qpemu_skb_grh(const struct sk_buff *skb, u8 grh[40])
{
	if (qpemu_skb_cb((struct sk_buff *)skb)->network == RDMA_NETWORK_IPV4) {
		memset(grh, 0, 20);
		memcpy(grh + 20, skb_network_header(skb), 20);
	} else {
		memcpy(grh, skb_network_header(skb), 40);
	}
}

void qpemu_put_grh(const struct qpemu_path *path, struct sk_buff *skb)
{
	unsigned int len = skb->len;
	struct ipv6hdr *grh = skb_push(skb, sizeof(*grh));

	ip6_flow_hdr(grh, path->tclass, htonl(path->flow_label));
	grh->payload_len = htons(len);
	grh->nexthdr = QPEMU_GRH_NEXT_HEADER;
	grh->hop_limit = path->hop_limit;
	memcpy(&grh->saddr, &path->sgid, sizeof(grh->saddr));
	memcpy(&grh->daddr, &path->dgid, sizeof(grh->daddr));
}

static struct dst_entry *find_route4(struct net *net, struct net_device *ndev,
				     const struct qpemu_path *path)
{
	struct flowi4 fl4 = {
		.flowi4_proto = IPPROTO_UDP,
		.flowi4_dscp = inet_dsfield_to_dscp(path->tclass),
		.saddr = ((struct in6_addr *)&path->sgid)->s6_addr32[3],
		.daddr = ((struct in6_addr *)&path->dgid)->s6_addr32[3],
		.fl4_sport = htons(path->sport),
		.fl4_dport = htons(ROCE_V2_UDP_DPORT),
	};
	struct rtable *rt;

	/* Other interfaces' addresses are reached through lo. */
	if (inet_addr_type(net, fl4.daddr) != RTN_LOCAL)
		fl4.flowi4_oif = ndev->ifindex;
	rt = ip_route_output_key(net, &fl4);
	return IS_ERR(rt) ? ERR_CAST(rt) : &rt->dst;
}

#if IS_ENABLED(CONFIG_IPV6)
static struct dst_entry *find_route6(struct net *net, struct net_device *ndev,
				     const struct qpemu_path *path)
{
	const struct in6_addr *daddr = (const struct in6_addr *)&path->dgid;
	struct flowi6 fl6 = {
		.flowi6_proto = IPPROTO_UDP,
		.flowlabel = ip6_make_flowinfo(path->tclass, htonl(path->flow_label)),
		.saddr = *(const struct in6_addr *)&path->sgid,
		.daddr = *daddr,
		.fl6_sport = htons(path->sport),
		.fl6_dport = htons(ROCE_V2_UDP_DPORT),
	};

	if ((ipv6_addr_type(daddr) & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_MULTICAST)) ||
	    !ipv6_chk_addr(net, daddr, NULL, 0))
		fl6.flowi6_oif = ndev->ifindex;
	return ip6_dst_lookup_flow(net, NULL, &fl6, NULL);
}

static u32 cookie_of(struct dst_entry *dst)
{
	return dst->ops->family == AF_INET6 ? rt6_get_cookie(dst_rt6_info(dst)) : 0;
}
#else
static struct dst_entry *find_route6(struct net *net, struct net_device *ndev,
				     const struct qpemu_path *path)
{
	return ERR_PTR(-EAFNOSUPPORT);
}

static u32 cookie_of(struct dst_entry *dst)
{
	return 0;
}
#endif

static struct dst_entry *find_route(const struct qpemu_path *path)
{
	struct net_device *ndev = qpemu_gid_netdev(path->sgid_attr);
	struct dst_entry *dst;

	if (!ndev)
		return ERR_PTR(-EADDRNOTAVAIL);
	if (qpemu_path_is_ipv4(path))
		dst = find_route4(dev_net_rcu(ndev), ndev, path);
	else
		dst = find_route6(dev_net_rcu(ndev), ndev, path);
	if (!IS_ERR(dst) && dst->error) {
		int err = dst->error;

		dst_release(dst);
		return ERR_PTR(err);
	}
	return dst;
}

/**
 * qpemu_path_dst - the route, looked up again if it has changed
 * @path: of RoCEv2
 *
 * Context: RCU, bottom halves off.
 * Return: the route without a reference, valid
 * to the end of the read-side critical section; or ERR_PTR.
 */
struct dst_entry *qpemu_path_dst(struct qpemu_path *path)
{
	struct dst_entry *dst;

	spin_lock(&path->lock);
	dst = path->dst;
	if (likely(dst && dst_check(dst, path->cookie)))
		goto out;

	dst = find_route(path);
	dst_release(path->dst);
	if (IS_ERR(dst)) {
		WRITE_ONCE(path->dst, NULL);
		goto out;
	}
	path->cookie = cookie_of(dst);
	WRITE_ONCE(path->dst, dst);
out:
	spin_unlock(&path->lock);
	return dst;
}
