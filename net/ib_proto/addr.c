// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: addresses
 */
#include <net/ipv6.h>

#include "ib_proto.h"

/* The service ID of an address: the bits that it says; no mask says all of them */
u64 afib_addr_sid(const struct sockaddr_ib *addr)
{
	u64 mask = be64_to_cpu(addr->sib_sid_mask);

	return be64_to_cpu(addr->sib_sid) & (mask ?: U64_MAX);
}

bool afib_addr_any(const struct ib_addr *gid)
{
	return !gid->sib_subnet_prefix && !gid->sib_interface_id;
}

/* A multicast GID (IBA v1 4.1.1), or a group of IPv4 in the form of a GID */
bool afib_addr_multicast(const struct ib_addr *gid)
{
	const struct in6_addr *in6 = (const void *)gid;

	if (ipv6_addr_v4mapped(in6))
		return ipv4_is_multicast(in6->s6_addr32[3]);
	return ipv6_addr_is_multicast(in6);
}

bool afib_addr_link_local(const struct ib_addr *gid)
{
	return ipv6_addr_type((const struct in6_addr *)gid) & IPV6_ADDR_LINKLOCAL;
}

/**
 * afib_addr_pkey_valid() - can a socket be in a partition?
 * @sk: the socket
 * @pkey: P_Key, 0 for the default one
 *
 * Context: process, may sleep.
 * Return: true if it can.
 */
bool afib_addr_pkey_valid(const struct sock *sk, u32 pkey)
{
	if (!pkey || pkey == IB_PKEY_DEFAULT)
		return true;
	return pkey <= U16_MAX && qp_kern_has_pkey(sock_net(sk), AF_IB, pkey);
}

/* The same partition, or one of them says none? */
static bool afib_pkey_fits(u16 a, u16 b)
{
	return !a || !b || !((a ^ b) & IB_PKEY_PARTITION);
}

/**
 * afib_addr_pkey() - which partition is one in with an address?
 * @is: the socket; the names may change meanwhile, then it is either
 * @addr: a peer's address, or a group's, or that which it is to be bound to
 *
 * Context: any.
 * Return: a P_Key; -EADDRNOTAVAIL (the socket is in another one).
 */
int afib_addr_pkey(const struct afib_sock *is, const struct sockaddr_ib *addr)
{
	u16 own = READ_ONCE(is->bound) ? ntohs(READ_ONCE(is->local.sib_pkey)) :
					 READ_ONCE(is->pkey);
	u16 said = ntohs(addr->sib_pkey);

	if (!afib_pkey_fits(own, said))
		return -EADDRNOTAVAIL;
	return own ?: said ?: IB_PKEY_DEFAULT;
}

/**
 * afib_addr_check() - take an address from user space
 * @sk: the socket that it is for
 * @addr: the address, in kernel memory
 * @len: its length, bytes
 * @to: where to put it
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL (too short), -EAFNOSUPPORT, -EADDRNOTAVAIL (no such P_Key).
 */
int afib_addr_check(const struct sock *sk, const struct sockaddr_unsized *addr, int len,
		    struct sockaddr_ib *to)
{
	if (len < (int)sizeof(*to))
		return -EINVAL;
	memcpy(to, addr, sizeof(*to));
	if (to->sib_family != AF_IB)
		return -EAFNOSUPPORT;
	if (!afib_addr_pkey_valid(sk, ntohs(to->sib_pkey)))
		return -EADDRNOTAVAIL;
	if (to->sib_scope_id > INT_MAX)
		return -EINVAL;
	return 0;
}

/* An address that says all that there is to say */
void afib_addr_make(struct sockaddr_ib *addr, const struct ib_addr *gid, u16 pkey,
		    u32 scope, u64 sid)
{
	*addr = (struct sockaddr_ib){
		.sib_family	= AF_IB,
		.sib_pkey	= htons(pkey),
		.sib_addr	= *gid,
		.sib_sid	= cpu_to_be64(sid),
		.sib_sid_mask	= cpu_to_be64(U64_MAX),
		.sib_scope_id	= scope,
	};
}

/* The service ID that names a queue pair */
u64 afib_addr_of_qpn(u32 qpn)
{
	return IB_SID_QPN | qpn;
}

/* The queue pair that a service ID names, or 0 */
u32 afib_addr_qpn(u64 sid)
{
	return (sid & IB_SID_QPN_MASK) == IB_SID_QPN ? (u32)(sid & ~IB_SID_QPN_MASK) : 0;
}

/* The LID that a GID names in place of a GUID, or 0 */
u32 afib_addr_lid(const struct ib_addr *gid)
{
	u64 guid = be64_to_cpu(gid->sib_interface_id);

	return guid >> 32 == IB_GUID_LID >> 32 ? (u32)guid : 0;
}

/* Can there be somebody with this service ID? Queue pairs 0 and 1 are for
 * management, and the highest number means a group (IBA v1 9.2.3).
 */
bool afib_addr_sid_valid(u64 sid)
{
	u32 qpn = sid & ~IB_SID_QPN_MASK;

	if ((sid & IB_SID_QPN_MASK) != IB_SID_QPN)
		return sid;
	return qpn > 1 && qpn < 0xffffff;
}
