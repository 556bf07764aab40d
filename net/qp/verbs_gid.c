// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: AF_IB addresses where GIDs are IP addresses
 *
 * With RoCE an IP address is a GID (IBA v1 A17.3.1), and a port of a port space
 * of rdma_cm is a service ID (IBA v1 A11.2). The engine works with the former, and
 * translates where queue pairs of the domain AF_IB come in and go out.
 */
#include <net/addrconf.h>

#include "verbs.h"

/* Of a service ID of rdma_cm: which port space, and which port in it */
#define VERBS_SID_PORT	0xffffULL

#define VERBS_PKEY	0xffff	/* the only one there is */

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

/**
 * verbs_gid_take() - the IP address that an AF_IB address is
 * @type: of the queue pair, enum qp_type
 * @ib: the address, as user space gave it
 * @to: where to put the IP address; zeroed
 *
 * Context: any.
 * Return: 0; -EADDRNOTAVAIL (no such P_Key, or the service ID is not one of the
 * port space of the queue pair), -EINVAL (the scope is no netdevice's number).
 */
int verbs_gid_take(u32 type, const struct sockaddr_ib *ib,
		   struct sockaddr_storage *to)
{
	u64 sid = verbs_sid(ib);

	if (ib->sib_pkey && ib->sib_pkey != htons(VERBS_PKEY))
		return -EADDRNOTAVAIL;
	if (sid && (sid & ~VERBS_SID_PORT) != verbs_sid_space(type))
		return -EADDRNOTAVAIL;
	if (ib->sib_scope_id > INT_MAX)
		return -EINVAL;
	verbs_gid_to_ip(ib, htons(sid & VERBS_SID_PORT), to);
	return 0;
}

/**
 * verbs_gid_show() - the AF_IB address that an IP address is
 * @type: of the queue pair, enum qp_type
 * @from: the IP address; of family 0 if there is none
 * @ib: where to put it
 *
 * Context: any.
 */
void verbs_gid_show(u32 type, const struct sockaddr *from, struct sockaddr_ib *ib)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	struct in6_addr *gid = (void *)&ib->sib_addr;
	u16 port = ntohs(in->sin_port);

	memset(ib, 0, sizeof(*ib));
	ib->sib_family = AF_IB;
	if (from->sa_family == AF_INET) {
		ipv6_addr_set_v4mapped(in->sin_addr.s_addr, gid);
	} else if (from->sa_family == AF_INET6) {
		*gid = in6->sin6_addr;
		ib->sib_flowinfo = in6->sin6_flowinfo;
		ib->sib_scope_id = in6->sin6_scope_id;
	} else {
		return;
	}
	ib->sib_pkey = htons(VERBS_PKEY);
	if (!port)
		return;	/* as of who sent a datagram */
	ib->sib_sid = cpu_to_be64(verbs_sid_space(type) | port);
	ib->sib_sid_mask = cpu_to_be64(U64_MAX);
}

/* The part of an address that &qp_ud_cqe.src has room for */
static_assert(sizeof_field(struct qp_ud_cqe, src) ==
	      offsetof(struct sockaddr_ib, sib_sid_mask));

/**
 * verbs_gid_src() - have the sender of a datagram in the form of &qp_ud_cqe.src
 * @qp: the queue pair
 * @src: its IP address, or of family 0; as AF_IB address if that is the domain
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
