/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * InfiniBand addresses: PF_IB
 *
 * librdmacm's <infiniband/ib.h> defines the same. Whichever of the two is included
 * first counts.
 */
#ifndef _LINUX_IB_H
#define _LINUX_IB_H

#include <linux/types.h>

#if defined(__KERNEL__) || !defined(_RDMA_IB_H)
#ifndef __KERNEL__
#define _RDMA_IB_H
#endif

/**
 * struct ib_addr - a GID (IBA v1 4.1.1), in network byte order
 * @ib_u: its 16 bytes
 */
struct ib_addr {
	union {
		__u8	uib_addr8[16];
		__be16	uib_addr16[8];
		__be32	uib_addr32[4];
		__be64	uib_addr64[2];
	} ib_u;
#define sib_addr8		ib_u.uib_addr8
#define sib_addr16		ib_u.uib_addr16
#define sib_addr32		ib_u.uib_addr32
#define sib_addr64		ib_u.uib_addr64
#define sib_raw			ib_u.uib_addr8
#define sib_subnet_prefix	ib_u.uib_addr64[0]
#define sib_interface_id	ib_u.uib_addr64[1]
};

/**
 * struct sockaddr_ib - address of an end of InfiniBand's transport
 * @sib_family: AF_IB
 * @sib_pkey: P_Key, 0 for the default one
 * @sib_flowinfo: traffic class and flow label, as in IPv6
 * @sib_addr: GID of the port, 0 for any
 * @sib_sid: service ID, 0 for any
 * @sib_sid_mask: bits of @sib_sid that count; 0 for all of them
 * @sib_scope_id: number of the netdevice, where a GID of link scope does not say
 */
struct sockaddr_ib {
	unsigned short	sib_family;
	__be16		sib_pkey;
	__be32		sib_flowinfo;
	struct ib_addr	sib_addr;
	__be64		sib_sid;
	__be64		sib_sid_mask;
	__u64		sib_scope_id;
};

#endif

#endif /* _LINUX_IB_H */
