/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Queue pairs by sock_diag(7)
 *
 * A request is a struct qp_diag_req in a message SOCK_DIAG_BY_FAMILY, with
 * NLM_F_DUMP for all queue pairs that fit, else for the one of that number; or for
 * the latter in a message SOCK_DESTROY. Each is a struct qp_diag_msg with attributes.
 */
#ifndef _UAPI_LINUX_QP_DIAG_H
#define _UAPI_LINUX_QP_DIAG_H

#include <linux/ib_diag.h>
#include <linux/types.h>

/**
 * struct qp_diag_req - which queue pairs, and what of them
 * @sdiag_family: AF_QP
 * @sdiag_protocol: dump: enum qp_protocol, QP_PROTO_ANY for all
 * @qdiag_pad: 0
 * @qdiag_states: dump: bits 1 << TCP_ESTABLISHED and the like
 * @qdiag_types: dump: bits 1 << enum qp_type
 * @qdiag_show: attributes that only come if they are asked for: QP_DIAG_SHOW()
 * @qdiag_qpn: without dump: qp_desc.qpn
 * @qdiag_cookie: without dump: the cookie, or INET_DIAG_NOCOOKIE twice
 */
struct qp_diag_req {
	__u8	sdiag_family;
	__u8	sdiag_protocol;
	__u16	qdiag_pad;
	__u32	qdiag_states;
	__u32	qdiag_types;
	__u32	qdiag_show;
	__u32	qdiag_qpn;
	__u32	qdiag_cookie[2];
};

/* qp_diag_msg.qdiag_flags */
#define QP_DIAG_KERNEL		(1U << 0)	/* it is a user's in the kernel */

/* qp_diag_msg.qdiag_timer */
enum {
	QP_DIAG_TIMER_OFF,
	QP_DIAG_TIMER_CONNECT,		/* the attempt to connect ends */
	QP_DIAG_TIMER_END,		/* a connection that failed ends */
};

/**
 * struct qp_diag_msg - a queue pair
 * @qdiag_family: AF_QP
 * @qdiag_domain: address family that it was made for
 * @qdiag_type: enum qp_type
 * @qdiag_protocol: enum qp_protocol
 * @qdiag_state: TCP_CLOSE (idle), TCP_LISTEN, TCP_SYN_SENT (connecting),
 *	TCP_ESTABLISHED (ready to send), TCP_CLOSING (it has failed, or its
 *	connection has ended)
 * @qdiag_flags: QP_DIAG_KERNEL
 * @qdiag_timer: QP_DIAG_TIMER_*
 * @qdiag_pad: 0
 * @qdiag_expires: when that is, ms from now
 * @qdiag_qpn: qp_desc.qpn
 * @qdiag_if: netdevice that it is bound to, or 0
 * @qdiag_uid: who owns it
 * @qdiag_inode: its inode
 * @qdiag_rqueue: completions that user space has not consumed; of a listener:
 *	connections that wait to be accepted
 * @qdiag_wqueue: send work requests accepted and not completed; of a listener: how
 *	many connections may wait
 * @qdiag_cookie: names it
 */
struct qp_diag_msg {
	__u8	qdiag_family;
	__u8	qdiag_domain;
	__u8	qdiag_type;
	__u8	qdiag_protocol;
	__u8	qdiag_state;
	__u8	qdiag_flags;
	__u8	qdiag_timer;
	__u8	qdiag_pad;
	__u32	qdiag_expires;
	__u32	qdiag_qpn;
	__u32	qdiag_if;
	__u32	qdiag_uid;
	__u32	qdiag_inode;
	__u32	qdiag_rqueue;
	__u32	qdiag_wqueue;
	__u32	qdiag_cookie[2];
};

/* Attributes; those marked (s) only come if they are asked for */
enum {
	QP_DIAG_UNSPEC,
	QP_DIAG_PAD,
	QP_DIAG_MEMINFO,	/* (s) __u32[SK_MEMINFO_VARS] */
	QP_DIAG_INFO,		/* (s) struct qp_info */
	QP_DIAG_RINGS,		/* (s) struct qp_diag_rings */
	QP_DIAG_PATH,		/* (s) struct ib_diag_path, if it has a device */
	QP_DIAG_CONN,		/* (s) struct qp_diag_conn, if it has a device */
	QP_DIAG_SRC,		/* own address, of the family qdiag_domain */
	QP_DIAG_DST,		/* peer's address */
	QP_DIAG_SQPOLL,		/* struct qp_diag_sqpoll, with QP_SQPOLL */
	QP_DIAG_SHUTDOWN,	/* __u8: 1 receives, 2 sends nothing more */
	QP_DIAG_MARK,		/* __u32, for CAP_NET_ADMIN */
	QP_DIAG_CGROUP_ID,	/* __u64 */
	__QP_DIAG_MAX
};

#define QP_DIAG_MAX		(__QP_DIAG_MAX - 1)
#define QP_DIAG_SHOW(attr)	(1U << ((attr) - 1))

/**
 * struct qp_diag_rings - the rings
 * @sq_entries: entries of the send queue, 0 if there is none
 * @sq_pending: those that user space filled and that were not yet taken
 * @rq_entries: entries of the receive queue
 * @rq_pending: those that wait for messages
 * @cq_entries: entries of the completion queue, shared or not
 * @cq_used: completions that user space has not consumed
 */
struct qp_diag_rings {
	__u32	sq_entries;
	__u32	sq_pending;
	__u32	rq_entries;
	__u32	rq_pending;
	__u32	cq_entries;
	__u32	cq_used;
};

/**
 * struct qp_diag_conn - the device's queue pair
 * @peer_qpn: number of the peer's, 0 if that is not known
 * @sends: how much more the device takes at once
 * @recvs: receives that it has
 */
struct qp_diag_conn {
	__u32	peer_qpn;
	__u32	sends;
	__u32	recvs;
};

/**
 * struct qp_diag_sqpoll - the thread that takes work from the rings
 * @cpu: CPU that it is bound to, -1 if it is bound to none
 * @idle: time without work before it sleeps, ms
 */
struct qp_diag_sqpoll {
	__s32	cpu;
	__u32	idle;
};

#endif /* _UAPI_LINUX_QP_DIAG_H */
