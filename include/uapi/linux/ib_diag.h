/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Sockets of the family AF_IB by sock_diag(7)
 *
 * A request is a struct ib_diag_req in a message SOCK_DIAG_BY_FAMILY, with
 * NLM_F_DUMP for all sockets that fit, else for that of the cookie; or for the latter
 * in a message SOCK_DESTROY. Each socket is a struct ib_diag_msg with attributes.
 */
#ifndef _UAPI_LINUX_IB_DIAG_H
#define _UAPI_LINUX_IB_DIAG_H

#include <linux/types.h>

/**
 * struct ib_diag_req - which sockets, and what of them
 * @sdiag_family: AF_IB
 * @sdiag_protocol: 0
 * @ibdiag_pad: 0
 * @ibdiag_states: dump: bits 1 << TCP_ESTABLISHED and the like
 * @ibdiag_types: dump: bits 1 << SOCK_DGRAM and the like
 * @ibdiag_show: attributes that only come if they are asked for: IB_DIAG_SHOW()
 * @ibdiag_cookie: without dump: the socket's
 */
struct ib_diag_req {
	__u8	sdiag_family;
	__u8	sdiag_protocol;
	__u16	ibdiag_pad;
	__u32	ibdiag_states;
	__u32	ibdiag_types;
	__u32	ibdiag_show;
	__u32	ibdiag_cookie[2];
};

/**
 * struct ib_diag_addr - an address
 * @gid: GID, network byte order; 0 for any
 * @sid: service ID, network byte order; 0 for none
 * @scope_id: number of the netdevice where the GID does not say it, else 0
 */
struct ib_diag_addr {
	__be32	gid[4];
	__be32	sid[2];
	__u32	scope_id;
};

/* ib_diag_msg.ibdiag_timer */
enum {
	IB_DIAG_TIMER_OFF,
	IB_DIAG_TIMER_CONNECT,		/* the attempt to connect ends */
	IB_DIAG_TIMER_PROBE,		/* it is asked whether the peer is there */
	IB_DIAG_TIMER_ORPHAN,		/* it is closed, and what was sent is given up */
};

/**
 * struct ib_diag_msg - a socket
 * @ibdiag_family: AF_IB
 * @ibdiag_type: SOCK_*
 * @ibdiag_state: TCP_ESTABLISHED and the like; a datagram socket without a peer:
 *	TCP_CLOSE
 * @ibdiag_timer: IB_DIAG_TIMER_*
 * @ibdiag_expires: when that is, ms from now
 * @ibdiag_if: netdevice that it is bound to, or 0
 * @ibdiag_uid: who owns it
 * @ibdiag_inode: its inode, 0 while or once it has no descriptor
 * @ibdiag_rqueue: bytes received and not read; of a listener: connections that wait
 *	to be accepted
 * @ibdiag_wqueue: memory of what was sent and has not arrived; of a listener: how
 *	many connections may wait
 * @ibdiag_cookie: names it
 * @ibdiag_src: own address
 * @ibdiag_dst: peer's address
 */
struct ib_diag_msg {
	__u8	ibdiag_family;
	__u8	ibdiag_type;
	__u8	ibdiag_state;
	__u8	ibdiag_timer;
	__u32	ibdiag_expires;
	__u32	ibdiag_if;
	__u32	ibdiag_uid;
	__u32	ibdiag_inode;
	__u32	ibdiag_rqueue;
	__u32	ibdiag_wqueue;
	__u32	ibdiag_cookie[2];
	struct ib_diag_addr ibdiag_src;
	struct ib_diag_addr ibdiag_dst;
};

/* Attributes; those marked (s) only come if they are asked for */
enum {
	IB_DIAG_UNSPEC,
	IB_DIAG_PAD,
	IB_DIAG_MEMINFO,	/* (s) __u32[SK_MEMINFO_VARS] */
	IB_DIAG_PATH,		/* (s) struct ib_diag_path, if it has a device */
	IB_DIAG_CONN,		/* (s) struct ib_diag_conn, of a connection */
	IB_DIAG_DGRAM,		/* (s) struct ib_diag_dgram, of a datagram socket */
	IB_DIAG_SHUTDOWN,	/* __u8: 1 receives, 2 sends nothing more */
	IB_DIAG_MARK,		/* __u32, for CAP_NET_ADMIN */
	IB_DIAG_CGROUP_ID,	/* __u64 */
	__IB_DIAG_MAX
};

#define IB_DIAG_MAX		(__IB_DIAG_MAX - 1)
#define IB_DIAG_SHOW(attr)	(1U << ((attr) - 1))

/* The length of ib_diag_path.device */
#define IB_DIAG_DEVICE_LEN	64

/* ib_diag_path.flags: what is known besides device and port */
#define IB_DIAG_PATH_GID	(1U << 0)	/* gid_index */
#define IB_DIAG_PATH_ROUTE	(1U << 1)	/* mtu, sl, tclass, hoplimit */
#define IB_DIAG_PATH_LID	(1U << 2)	/* slid, dlid: InfiniBand, Omni-Path */

/**
 * struct ib_diag_path - the way to the peer
 * @device: name of the RDMA device
 * @port: number of its port
 * @flags: IB_DIAG_PATH_*
 * @gid_index: of the own GID in the port's table
 * @mtu: bytes of a packet, at most; of datagrams 0
 * @slid: own LID
 * @dlid: peer's LID
 * @sl: service level
 * @tclass: traffic class
 * @hoplimit: hop limit
 * @pad: 0
 *
 * A datagram socket's is that to its peer; or if it has none, its first port.
 */
struct ib_diag_path {
	char	device[IB_DIAG_DEVICE_LEN];
	__u32	port;
	__u32	flags;
	__u32	gid_index;
	__u32	mtu;
	__u32	slid;
	__u32	dlid;
	__u8	sl;
	__u8	tclass;
	__u8	hoplimit;
	__u8	pad;
};

/* ib_diag_conn.flags */
#define IB_DIAG_CONN_PLAIN	(1U << 0)	/* the peer is a program of librdmacm */
#define IB_DIAG_CONN_FIN	(1U << 1)	/* the peer sends nothing more */

/**
 * struct ib_diag_conn - what is under way on a connection
 * @qpn: number of the queue pair on its port
 * @peer_qpn: number of the peer's, 0 if that is not known
 * @flags: IB_DIAG_CONN_*
 * @credits: fragments that the peer takes before it grants more
 * @window: fragments that the peer may send
 * @owed: fragments that it could send besides, and is yet to be told of
 * @room: bytes of a fragment to the peer, at most
 * @unsent: fragments that wait for credits
 * @messages: whole messages that can be read
 * @device_sends: how much more the device takes at once
 */
struct ib_diag_conn {
	__u32	qpn;
	__u32	peer_qpn;
	__u32	flags;
	__u32	credits;
	__u32	window;
	__u32	owed;
	__u32	room;
	__u32	unsent;
	__u32	messages;
	__u32	device_sends;
};

/**
 * struct ib_diag_dgram - what there is of a datagram socket
 * @qpn: number of the queue pair of IB_DIAG_PATH on its port, or 0
 * @peer_qpn: number of the peer's, 0 if there is none or it was not yet asked for
 * @qkey: its Q_Key
 * @ports: ports that it has a queue pair on
 * @dests: addresses that it remembers the way to
 * @pending: messages whose destination is being looked for
 * @drops: messages that there was no room for
 */
struct ib_diag_dgram {
	__u32	qpn;
	__u32	peer_qpn;
	__u32	qkey;
	__u32	ports;
	__u32	dests;
	__u32	pending;
	__u32	drops;
};

#endif /* _UAPI_LINUX_IB_DIAG_H */
