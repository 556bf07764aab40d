// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: IP addresses, and which of ours leads to a peer
 */
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "verbs.h"

static int verbs_addr_len(int family)
{
	switch (family) {
	case AF_IB:
		return sizeof(struct sockaddr_ib);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return sizeof(struct sockaddr_in);
	}
}

/**
 * verbs_addr_take() - take an address from user space
 * @type: of the queue pair, enum qp_type
 * @addr: the address, of the queue pair's domain
 * @len: its length, bytes
 * @to: where to put it: an IP address
 *
 * Context: any.
 * Return: 0; -EINVAL (it is too short), or as verbs_gid_take().
 */
int verbs_addr_take(u32 type, const struct sockaddr_storage *addr, int len,
		    struct sockaddr_storage *to)
{
	if (len < verbs_addr_len(addr->ss_family))
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	if (addr->ss_family == AF_IB)
		return verbs_gid_take(type, (const void *)addr, to);
	memcpy(to, addr, verbs_addr_len(addr->ss_family));
	return 0;
}

/**
 * verbs_addr_show() - give an address to user space
 * @domain: of the queue pair
 * @type: of the queue pair, enum qp_type
 * @from: the address; of family 0 if there is none
 * @to: where to put it, in the form of @domain
 *
 * Context: any.
 * Return: its length, bytes.
 */
int verbs_addr_show(int domain, u32 type, const struct sockaddr *from, void *to)
{
	int len = verbs_addr_len(domain);
	struct sockaddr *sa = to;

	if (domain == AF_IB) {
		verbs_gid_show(type, from, to);
		return len;
	}
	memset(to, 0, len);
	if (from->sa_family == domain)
		memcpy(to, from, len);
	sa->sa_family = domain;
	return len;
}

/* An address of an id. rdma_cm leaves the scope out where it is not the caller's. */
void verbs_addr_of_id(const struct rdma_cm_id *id,
		      const struct sockaddr_storage *from,
		      struct sockaddr_storage *to)
{
	struct sockaddr_in6 *in6 = (void *)to;

	*to = *from;
	if (to->ss_family == AF_INET6 &&
	    ipv6_addr_type(&in6->sin6_addr) & IPV6_ADDR_LINKLOCAL)
		in6->sin6_scope_id = id->route.addr.dev_addr.bound_dev_if;
}

bool verbs_addr_any(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	if (addr->ss_family == AF_INET6)
		return ipv6_addr_any(&in6->sin6_addr);
	return in->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* sockaddr_in and sockaddr_in6 have the port at the same place */
static_assert(offsetof(struct sockaddr_in, sin_port) ==
	      offsetof(struct sockaddr_in6, sin6_port));

void verbs_addr_set_port(struct sockaddr_storage *addr, __be16 port)
{
	((struct sockaddr_in *)addr)->sin_port = port;
}

__be16 verbs_addr_port(const struct sockaddr_storage *addr)
{
	return ((const struct sockaddr_in *)addr)->sin_port;
}

/*
 * Have the peer looked for. That goes on while the device is prepared, so that it
 * is known by the time that rdma_cm asks for it.
 */
static void verbs_solicit(const struct dst_entry *dst, const void *daddr)
{
	struct neighbour *n = dst_neigh_lookup(dst, daddr);

	if (!n)
		return;
	neigh_event_send(n, NULL);
	neigh_release(n);
}

static int verbs_route4(struct net *net, int oif, const struct sockaddr_in *dst,
			struct sockaddr_in *src)
{
	struct flowi4 fl4 = {
		.flowi4_oif	= oif,
		.daddr		= dst->sin_addr.s_addr,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	verbs_solicit(&rt->dst, &fl4.daddr);
	ip_rt_put(rt);
	src->sin_family = AF_INET;
	src->sin_addr.s_addr = fl4.saddr;
	return 0;
}

static int verbs_route6(struct net *net, int oif,
			const struct sockaddr_in6 *dst,
			struct sockaddr_in6 *src)
{
	struct flowi6 fl6 = {
		.flowi6_oif	= oif ?: dst->sin6_scope_id,
		.daddr		= dst->sin6_addr,
	};
	struct dst_entry *d = ip6_dst_lookup_flow(net, NULL, &fl6, NULL);

	if (IS_ERR(d))
		return PTR_ERR(d);
	verbs_solicit(d, &fl6.daddr);
	dst_release(d);
	src->sin6_family = AF_INET6;
	src->sin6_addr = fl6.saddr;
	src->sin6_scope_id = dst->sin6_scope_id;
	return 0;
}

/**
 * verbs_route() - find the own address to talk to a peer from
 * @net: network namespace
 * @oif: netdevice to use, 0 for any
 * @dst: the peer
 * @src: where to put the address, with port 0
 *
 * Context: process, may sleep.
 * Return: 0, or as the routing says: -ENETUNREACH and the like.
 */
int verbs_route(struct net *net, int oif, const struct sockaddr_storage *dst,
		struct sockaddr_storage *src)
{
	memset(src, 0, sizeof(*src));
	if (dst->ss_family == AF_INET6)
		return verbs_route6(net, oif, (const void *)dst, (void *)src);
	return verbs_route4(net, oif, (const void *)dst, (void *)src);
}

static int verbs_ifindex4(struct net *net, const struct sockaddr_in *addr)
{
	struct net_device *dev = ip_dev_find(net, addr->sin_addr.s_addr);
	int ifindex = dev ? dev->ifindex : 0;

	dev_put(dev);
	return ifindex;
}

static int verbs_ifindex6(struct net *net, const struct sockaddr_in6 *addr)
{
	struct net_device *dev = NULL;
	int ifindex = 0;

	if (!IS_ENABLED(CONFIG_IPV6))
		return 0;
	rcu_read_lock();
	if (addr->sin6_scope_id)
		dev = dev_get_by_index_rcu(net, addr->sin6_scope_id);
	if (!addr->sin6_scope_id || dev)
		dev = ipv6_dev_find(net, &addr->sin6_addr, dev);
	if (dev)
		ifindex = dev->ifindex;
	rcu_read_unlock();
	return ifindex;
}

/* The netdevice that has an address; 0 if none has. Process context. */
int verbs_addr_ifindex(struct net *net, const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET6)
		return verbs_ifindex6(net, (const void *)addr);
	return verbs_ifindex4(net, (const void *)addr);
}
