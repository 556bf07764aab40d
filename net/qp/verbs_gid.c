// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: AF_IB addresses
 *
 * With RoCE an IP address is a GID (IBA v1 A17.3.1), and a port of a port space
 * of rdma_cm is a service ID (IBA v1 A11.2). The engine works with the former, and
 * translates where queue pairs of the domain AF_IB come in and go out. A GID of
 * InfiniBand's own or of Omni-Path is no IP address: the engine works with what it
 * has been given, completed. Which of them a GID is, is decided here:
 *
 *	an own address		whose port it is
 *	a peer's		the own one's kind; else whether a port is on its
 *				subnet, or IP has no route to it
 */
#include <net/addrconf.h>

#include "verbs.h"

/* Of a service ID of rdma_cm: which port space, and which port in it */
#define VERBS_SID_PORT	0xffffULL

/*
 * The second half-word of an MGID that is not one of IPv6: for groups of IPoIB (RFC
 * 4391 4) and for what the subnet administration chooses (IBA v1 15.2.5.17.2)
 */
static const u16 verbs_mgid_signatures[] = { 0x401b, 0x601b, 0xa01b };

/* Messages of a reliable connection and datagrams have different port spaces */
static u64 verbs_sid_space(u32 type)
{
	return type == QP_UD ? RDMA_IB_IP_PS_UDP : RDMA_IB_IP_PS_TCP;
}

/* The bits of a service ID that are said; no mask at all means all of them */
static u64 verbs_sid(const struct sockaddr_ib *ib)
{
	u64 mask = be64_to_cpu(ib->sib_sid_mask);

	return be64_to_cpu(ib->sib_sid) & (mask ?: U64_MAX);
}

static void verbs_gid_to_ip(const struct sockaddr_ib *ib, __be16 port,
			    struct sockaddr_storage *to)
{
	const struct in6_addr *gid = (const void *)&ib->sib_addr;
	struct sockaddr_in6 *in6 = (void *)to;
	struct sockaddr_in *in = (void *)to;

	if (ipv6_addr_v4mapped(gid)) {
		in->sin_family = AF_INET;
		in->sin_port = port;
		in->sin_addr.s_addr = gid->s6_addr32[3];
		return;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	in6->sin6_flowinfo = ib->sib_flowinfo & IPV6_FLOWINFO_MASK;
	in6->sin6_addr = *gid;
	in6->sin6_scope_id = ib->sib_scope_id;
}

/*
 * Which kind of GID it is
 */

static bool verbs_mgid_of_ib(const struct in6_addr *gid)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(verbs_mgid_signatures); i++)
		if (gid->s6_addr16[1] == htons(verbs_mgid_signatures[i]))
			return true;
	return false;
}

static bool verbs_ip_leads(const struct verbs_side *s, const struct sockaddr_ib *ib,
			   int ifindex)
{
	struct sockaddr_storage dst = {}, src;

	verbs_gid_to_ip(ib, 0, &dst);
	return !verbs_route(s->net, ifindex, &dst, &src);
}

static bool verbs_peer_native(const struct verbs_side *s,
			      const struct sockaddr_ib *ib)
{
	const struct in6_addr *gid = (const void *)&ib->sib_addr;
	int ifindex = s->ifindex ?: ib->sib_scope_id;
	int leads = verbs_native_leads(s->net, ifindex, ib);

	if (leads)
		return leads > 0;
	if (ipv6_addr_is_multicast(gid) && verbs_mgid_of_ib(gid))
		return true;
	return ifindex || !verbs_ip_leads(s, ib, ifindex);
}

/* Is it a GID of InfiniBand's own, or an IP address? */
static bool verbs_gid_native(const struct verbs_side *s, const struct sockaddr_ib *ib)
{
	const struct in6_addr *gid = (const void *)&ib->sib_addr;

	if (s->proto != QP_PROTO_ANY)
		return verbs_proto_native(s->proto);
	/* Who can be called at any address can be at each of them */
	if (ipv6_addr_any(gid))
		return s->own;
	if (ipv6_addr_v4mapped(gid))
		return false;
	if (s->own)
		return verbs_native_own(s->net, s->ifindex ?: ib->sib_scope_id,
					&(struct sockaddr_ib){ .sib_addr = ib->sib_addr });
	if (s->local)
		return s->local == AF_IB;
	return verbs_peer_native(s, ib);
}

/*
 * Taking
 */

/* Make it complete, but for the P_Key of a peer, which may be that of who calls */
static int verbs_take_native(const struct verbs_side *s, const struct sockaddr_ib *ib,
			     __be16 port, struct sockaddr_storage *to)
{
	struct sockaddr_ib *n = (void *)to;

	n->sib_family = AF_IB;
	n->sib_pkey = ib->sib_pkey;
	n->sib_flowinfo = ib->sib_flowinfo & IPV6_FLOWINFO_MASK;
	n->sib_addr = ib->sib_addr;
	n->sib_sid = cpu_to_be64(verbs_sid_space(s->type) | ntohs(port));
	n->sib_sid_mask = cpu_to_be64(U64_MAX);
	if (n->sib_pkey && !verbs_pkey_valid(ntohs(n->sib_pkey)))
		return -EADDRNOTAVAIL;
	if (!s->own)
		return 0;
	if (!n->sib_pkey)
		n->sib_pkey = htons(VERBS_PKEY);
	if (verbs_addr_any(to))
		return 0;
	return verbs_native_own(s->net, s->ifindex ?: ib->sib_scope_id, n) ?
	       0 : -EADDRNOTAVAIL;
}

/* As an IP address: there is but one partition */
static int verbs_take_ip(const struct sockaddr_ib *ib, __be16 port,
			 struct sockaddr_storage *to)
{
	if (ib->sib_pkey && ib->sib_pkey != htons(VERBS_PKEY))
		return -EADDRNOTAVAIL;
	verbs_gid_to_ip(ib, port, to);
	return 0;
}

/**
 * verbs_gid_take() - take an AF_IB address
 * @s: whose it is
 * @ib: the address, as user space gave it
 * @to: where to put it: an IP address, or one of InfiniBand's own; zeroed
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRNOTAVAIL (no such P_Key, the service ID is not one of the
 * port space of the queue pair, or it is to be an own address and is none), -EINVAL
 * (the scope is no netdevice's number).
 */
int verbs_gid_take(const struct verbs_side *s, const struct sockaddr_ib *ib,
		   struct sockaddr_storage *to)
{
	u64 sid = verbs_sid(ib);
	__be16 port = htons(sid & VERBS_SID_PORT);

	if (sid && (sid & ~VERBS_SID_PORT) != verbs_sid_space(s->type))
		return -EADDRNOTAVAIL;
	if (ib->sib_scope_id > INT_MAX)
		return -EINVAL;
	return verbs_gid_native(s, ib) ? verbs_take_native(s, ib, port, to) :
					 verbs_take_ip(ib, port, to);
}

/**
 * verbs_same_partition() - are two addresses of the same partition?
 * @a: an address
 * @b: another one
 *
 * Context: any.
 * Return: whether a member of the one may talk to one of the other, full or
 * limited (IBA v1 10.9.3). IP addresses are of the default one.
 */
bool verbs_same_partition(const struct sockaddr_storage *a,
			  const struct sockaddr_storage *b)
{
	return !((verbs_addr_pkey(a) ^ verbs_addr_pkey(b)) & VERBS_PKEY_PARTITION);
}

/**
 * verbs_join_partition() - let a peer be in the partition that one is in
 * @own: own address
 * @peer: the peer's; its P_Key is filled in
 *
 * Context: any.
 * Return: 0, or -EADDRNOTAVAIL (it says another one).
 */
int verbs_join_partition(const struct sockaddr_storage *own,
			 struct sockaddr_storage *peer)
{
	struct sockaddr_ib *ib = (void *)peer;

	if (own->ss_family != AF_IB || peer->ss_family != AF_IB)
		return 0;
	if (ib->sib_pkey && !verbs_same_partition(own, peer))
		return -EADDRNOTAVAIL;
	ib->sib_pkey = ((const struct sockaddr_ib *)own)->sib_pkey;
	return 0;
}

/*
 * Showing
 */

/* The part of an address that &qp_ud_cqe.src has room for */
static_assert(sizeof_field(struct qp_ud_cqe, src) ==
	      offsetof(struct sockaddr_ib, sib_sid_mask));

/**
 * verbs_gid_show() - the AF_IB address that an address is
 * @type: of the queue pair, enum qp_type
 * @from: the address, of which an AF_IB one need not have more than &union
 *	verbs_src; of family 0 if there is none
 * @ib: where to put it
 *
 * Context: any.
 */
void verbs_gid_show(u32 type, const struct sockaddr *from, struct sockaddr_ib *ib)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	struct in6_addr *gid = (void *)&ib->sib_addr;
	u16 port = ntohs(verbs_addr_port((const void *)from));

	memset(ib, 0, sizeof(*ib));
	ib->sib_family = AF_IB;
	ib->sib_pkey = htons(VERBS_PKEY);
	if (from->sa_family == AF_INET) {
		ipv6_addr_set_v4mapped(in->sin_addr.s_addr, gid);
	} else if (from->sa_family == AF_INET6) {
		*gid = in6->sin6_addr;
		ib->sib_flowinfo = in6->sin6_flowinfo;
		ib->sib_scope_id = in6->sin6_scope_id;
	} else if (from->sa_family == AF_IB) {
		memcpy(ib, from, offsetof(struct sockaddr_ib, sib_sid));
	} else {
		ib->sib_pkey = 0;
		return;
	}
	if (!port)
		return;	/* as of who sent a datagram */
	ib->sib_sid = cpu_to_be64(verbs_sid_space(type) | port);
	ib->sib_sid_mask = cpu_to_be64(U64_MAX);
}

/**
 * verbs_gid_src() - have the sender of a datagram in the form of &qp_ud_cqe.src
 * @qp: the queue pair
 * @src: its address, or of family 0; as AF_IB address if that is the domain
 *
 * Context: any.
 */
void verbs_gid_src(const struct qp_sock *qp, union verbs_src *src)
{
	struct sockaddr_ib ib;

	if (qp->domain != AF_IB || !src->sa.sa_family)
		return;
	verbs_gid_show(qp->type, &src->sa, &ib);
	memcpy(src->bytes, &ib, sizeof(src->bytes));
}
