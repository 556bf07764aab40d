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
 * @sib_pkey: P_Key, 0 for the default one, or in a peer's address that of the socket
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

/*
 * Sockets: socket(AF_IB, SOCK_DGRAM, 0)
 */

/* A service ID that names the queue pair with the number in its last 24 bits, so
 * that what a message came from can be answered. It is one of those that each
 * system may use as it likes (IBA v1 A3.2.3.3), and nothing is asked for by it.
 */
#define IB_SID_QPN		0x0251500000000000ULL
#define IB_SID_QPN_MASK		0xffffffffff000000ULL

/* The GUID of a GID that names no more than a LID, in its last 32 bits: by it is known
 * who sends a message without a GRH. It has the subnet's prefix, and no port has such
 * a GUID. On Omni-Path these are 0x00066a0000000000 and the LID.
 */
#define IB_GUID_LID		0xffffff0000000000ULL

/* The Q_Key of sockets, unless they say something else: that of rdma_cm's port
 * space for datagrams
 */
#define IB_DEFAULT_QKEY		0x01234567

/* Options of the level SOL_IB. Those marked (c) are control messages of sendmsg(),
 * too, for one message, with the same value.
 */
enum {
	IB_QKEY			= 1,	/* __u32 (c): of received messages, and of
					 * sent ones unless the peer's is known.
					 * Below 0x80000000
					 */
	IB_TCLASS		= 2,	/* int (c): traffic class, 0 to 255 */
	IB_HOPLIMIT		= 3,	/* int (c): 1 to 255; -1: the default */
	IB_SL			= 4,	/* int (c): service level, 0 to 15 */
	IB_PKEY			= 5,	/* int: P_Key, 0 for the default one; one of
					 * a port's, before there is a queue pair
					 */
	IB_RECVINFO		= 6,	/* int: have recvmsg() say IB_INFO */
	IB_INFO			= 7,	/* struct ib_info, by recvmsg() only */
	IB_QPN			= 8,	/* __u32, only to be read: number of the
					 * socket's queue pair, 0 if it has none
					 * or several
					 */
	IB_MTU			= 9,	/* int, only to be read: longest message */
	IB_ADD_MEMBERSHIP	= 10,	/* struct ib_mreq */
	IB_DROP_MEMBERSHIP	= 11,	/* struct ib_mreq */
	IB_MULTICAST_LOOP	= 12,	/* int: are one's own messages to groups
					 * that are joined from now on received?
					 * Yes unless it says no
					 */
	IB_RECVERR		= 13,	/* int: errors of messages come with
					 * MSG_ERRQUEUE
					 */
	IB_KEEPIDLE		= 14,	/* int, of connections with SO_KEEPALIVE:
					 * seconds without a sign of the peer after
					 * which it is asked for one
					 */
	IB_PATH			= 15,	/* struct ib_diag_path, only to be read: the
					 * device, and the way to the peer
					 */
};

/**
 * struct ib_info - what is known of a received message besides its sender
 * @dgid: where it was sent to: one's own GID, or that of a group
 * @src_qpn: number of the queue pair that sent it
 * @imm_data: its immediate data, in network byte order
 * @flags: IB_INFO_*
 * @tclass: traffic class
 * @hoplimit: hop limit, as it arrived
 * @sl: service level
 * @reserved: 0
 */
struct ib_info {
	struct ib_addr	dgid;
	__u32		src_qpn;
	__be32		imm_data;
	__u8		flags;
	__u8		tclass;
	__u8		hoplimit;
	__u8		sl;
	__u32		reserved;
};

#define IB_INFO_IMM		0x01	/* it has immediate data */
#define IB_INFO_GRH		0x02	/* @dgid, @tclass and @hoplimit are known: it
					 * came with a GRH, or by IP
					 */

/**
 * struct ib_mreq - a multicast group, and from which port
 * @mgid: the group
 * @gid: address of the port, 0 for the one that routing says
 * @ifindex: its netdevice, 0 for the one that has the address
 * @flags: IB_MREQ_*
 */
struct ib_mreq {
	struct ib_addr	mgid;
	struct ib_addr	gid;
	__u32		ifindex;
	__u32		flags;
};

#define IB_MREQ_SENDONLY	0x01	/* send to the group, receive nothing */

#endif /* _LINUX_IB_H */
