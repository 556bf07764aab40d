// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: addresses, and which of ours leads to a peer
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
 * @s: whose it is
 * @addr: the address, of the queue pair's domain
 * @len: its length, bytes
 * @to: where to put it: an IP address, or an AF_IB one of InfiniBand's own
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL (it is too short), or as verbs_gid_take().
 */
int verbs_addr_take(const struct verbs_side *s, const struct sockaddr_storage *addr,
		    int len, struct sockaddr_storage *to)
{
	if (len < verbs_addr_len(addr->ss_family))
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	if (addr->ss_family == AF_IB)
		return verbs_gid_take(s, (const void *)addr, to);
	memcpy(to, addr, verbs_addr_len(addr->ss_family));
	return 0;
}

static int verbs_qp_take(const struct qp_sock *qp, bool own,
			 const struct sockaddr_storage *addr, int len,
			 struct sockaddr_storage *to)
{
	const struct sockaddr_storage *local = &verbs_qp(qp)->local;
	struct verbs_side s = {
		.net		= sock_net(&qp->sk),
		.ifindex	= qp->sk.sk_bound_dev_if,
		.type		= qp->type,
		.proto		= READ_ONCE(qp->proto)->id,
		.own		= own,
	};

	if (local->ss_family && !verbs_addr_any(local))
		s.local = local->ss_family;
	return verbs_addr_take(&s, addr, len, to);
}

/* Take a peer's address, or a group's; as verbs_addr_take() */
int verbs_peer_take(const struct qp_sock *qp, const struct sockaddr_storage *addr,
		    int len, struct sockaddr_storage *to)
{
	return verbs_qp_take(qp, false, addr, len, to);
}

/* Take an address that a queue pair is to have; as verbs_addr_take() */
int verbs_own_take(const struct qp_sock *qp, const struct sockaddr_storage *addr,
		   int len, struct sockaddr_storage *to)
{
	return verbs_qp_take(qp, true, addr, len, to);
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

/* A GID, or an address of IPv6 */
static const struct in6_addr *verbs_addr_in6(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_IB)
		return (const void *)&((const struct sockaddr_ib *)addr)->sib_addr;
	return &((const struct sockaddr_in6 *)addr)->sin6_addr;
}

bool verbs_addr_any(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return ipv6_addr_any(verbs_addr_in6(addr));
}

bool verbs_addr_multicast(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return ipv4_is_multicast(in->sin_addr.s_addr);
	return ipv6_addr_is_multicast(verbs_addr_in6(addr));
}

/* Are they the same but for port and partition? */
bool verbs_addr_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return ipv6_addr_equal(verbs_addr_in6(a), verbs_addr_in6(b));
}

/* sockaddr_in and sockaddr_in6 have the port at the same place */
static_assert(offsetof(struct sockaddr_in, sin_port) ==
	      offsetof(struct sockaddr_in6, sin6_port));

/* It ends a service ID of AF_IB, whose port space is there already */
void verbs_addr_set_port(struct sockaddr_storage *addr, __be16 port)
{
	struct sockaddr_ib *ib = (void *)addr;
	u64 space = be64_to_cpu(ib->sib_sid) & ~(u64)U16_MAX;

	if (addr->ss_family == AF_IB)
		ib->sib_sid = cpu_to_be64(space | ntohs(port));
	else
		((struct sockaddr_in *)addr)->sin_port = port;
}

__be16 verbs_addr_port(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_IB)
		return htons(be64_to_cpu(((const struct sockaddr_ib *)addr)->sib_sid));
	return ((const struct sockaddr_in *)addr)->sin_port;
}

/* The partition of an own address */
u16 verbs_addr_pkey(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_IB)
		return ntohs(((const struct sockaddr_ib *)addr)->sib_pkey);
	return VERBS_PKEY;
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
	if (dst->ss_family == AF_IB)
		return verbs_native_route(net, oif, (const void *)dst, (void *)src);
	if (dst->ss_family == AF_INET6)
		return verbs_route6(net, oif, (const void *)dst, (void *)src);
	return verbs_route4(net, oif, (const void *)dst, (void *)src);
}

/**
 * verbs_set_out() - find the own address for one that is bound to none in particular
 * @net: network namespace
 * @oif: netdevice to use, 0 for any
 * @any: what it is bound to: no address, or any
 * @dst: the peer
 * @src: where to put the address, with the port of @any
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRNOTAVAIL (not in the partition that it is bound to), or as
 * verbs_route().
 */
int verbs_set_out(struct net *net, int oif, const struct sockaddr_storage *any,
		  const struct sockaddr_storage *dst, struct sockaddr_storage *src)
{
	struct sockaddr_storage to = *dst;
	int err;

	err = verbs_join_partition(any, &to);
	if (!err)
		err = verbs_route(net, oif, &to, src);
	if (err)
		return err;
	verbs_addr_set_port(src, verbs_addr_port(any));
	if (src->ss_family == AF_IB && !verbs_addr_pkey(src))
		((struct sockaddr_ib *)src)->sib_pkey = htons(VERBS_PKEY);
	return 0;
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
