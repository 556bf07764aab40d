/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Queue pairs: the user API.
 *
 * Documentation/networking/qp.rst explains it, qp(7) and the section 2 pages
 * are the reference. Every structure has the same size and layout on 32-bit
 * and 64-bit machines; pointers travel as __u64. Structures passed to the
 * system calls may grow at their end, as openat2(2)'s does: trailing bytes
 * that the kernel does not know must be zero, or the call fails with E2BIG.
 */
#ifndef _UAPI_LINUX_QP_H
#define _UAPI_LINUX_QP_H

#include <linux/stddef.h>
#include <linux/types.h>

/* Types of queue pair, qp_desc.type (IBA v1 9.2) */
enum qp_type {
	QP_RC = 1,			/* reliable connected */
	QP_UC,				/* unreliable connected */
	QP_UD,				/* unreliable datagram */
};

/* Protocols, qp_desc.protocol and the option QP_PROTO */
enum qp_protocol {
	QP_PROTO_ANY,			/* the kernel chooses */
	QP_PROTO_PIPE,			/* between processes of one machine */
	QP_PROTO_ROCE,			/* RDMA over Converged Ethernet */
	QP_PROTO_IWARP,			/* RDMA over TCP */
	QP_PROTO_IB,			/* InfiniBand */
	QP_PROTO_OPA,			/* Omni-Path */
};

/* queue_pair() flags; those marked (a) also go into qp_desc.flags of qp_accept() */
#define QP_CLOEXEC	(1U << 0)	/* (a) close on exec */
#define QP_NONBLOCK	(1U << 1)	/* (a) O_NONBLOCK on the new descriptor */
#define QP_LISTEN	(1U << 2)	/* a listener, bound to qp_desc.addr */
#define QP_SHARE_MEM	(1U << 3)	/* (a) use the memory table of qp_desc.share_fd */
#define QP_SHARE_CQ	(1U << 4)	/* (a) complete into the CQ of qp_desc.share_fd */
#define QP_SQPOLL	(1U << 5)	/* (a) a thread takes work from the rings */
#define QP_SQ_CPU	(1U << 6)	/* (a) which is bound to qp_desc.sq_cpu */
#define QP_SHARE_SQPOLL	(1U << 7)	/* (a) or is the thread of qp_desc.share_fd */

/* Limits that no setting can raise */
#define QP_MAX_SGE	16		/* gather/scatter entries of a work request */
#define QP_MAX_INLINE	1024		/* bytes of inline data in a work request */
#define QP_MAX_ENTRIES	32768		/* entries of a ring */
#define QP_MAX_MSG	(1U << 30)	/* bytes of a message */

/**
 * struct qp_ring_desc - where a ring is and how it is laid out
 * @off: offset to pass to mmap(2)
 * @len: length to pass to mmap(2), bytes
 * @entries: number of entries, a power of two; 0 if there is no such ring
 * @entry_size: distance from one entry to the next, bytes
 * @head: offset of the consumer's index (__u32) in the mapping, bytes
 * @tail: offset of the producer's index (__u32) in the mapping, bytes
 * @flags: offset of the flags word (__u32, QP_RING_*) in the mapping, bytes
 * @first: offset of entry 0 in the mapping, bytes
 *
 * Indices run freely from 0 to 2^32 - 1; entry i is at
 * @first + (i & (@entries - 1)) * @entry_size. The producer fills entries,
 * then stores the tail with release semantics; the consumer loads the tail
 * with acquire semantics, reads, then stores the head with release semantics.
 * User space produces into SQ and RQ, the kernel into the CQ.
 */
struct qp_ring_desc {
	__u64 off;
	__u64 len;
	__u32 entries;
	__u32 entry_size;
	__u32 head;
	__u32 tail;
	__u32 flags;
	__u32 first;
};

/*
 * Bit in a ring's flags word, written by the kernel: call qp_enter() after moving
 * an index. In the RQ: the peer waits for a receive. In the SQ, with QP_SQPOLL:
 * the thread sleeps, or has ended; this goes for all three rings.
 */
#define QP_RING_NEED_WAKEUP	(1U << 0)

/**
 * struct qp_desc - description of a queue pair, for queue_pair() and qp_accept()
 * @size: in: sizeof(struct qp_desc)
 * @flags: in: qp_accept(): the flags marked (a); queue_pair(): 0, its flags
 *	are an argument of their own
 * @type: in: enum qp_type; qp_accept(): 0 or the listener's
 * @protocol: in: enum qp_protocol; qp_accept(): 0 or the listener's;
 *	out: the protocol, QP_PROTO_ANY while it is not yet chosen
 * @sq_entries: in: send queue entries, 0 for no send queue; out: rounded up
 *	to a power of two
 * @rq_entries: in: the same for the receive queue
 * @cq_entries: in: the same for the completion queue; 0 for as many as both
 *	queues have. Must be 0 with QP_SHARE_CQ
 * @max_sge: in: gather/scatter entries of a work request, 1 to QP_MAX_SGE;
 *	0 for 1
 * @max_inline: in: bytes of inline data of a send, 0 to QP_MAX_INLINE;
 *	out: what the SQ entry has room for, at least what was asked
 * @ifindex: in: the netdevice to use, 0 for any; AF_UNIX: 0
 * @backlog: in: QP_LISTEN: connections waiting for qp_accept(), at most
 *	net.core.somaxconn; 0 for 1. Otherwise 0
 * @share_fd: in: the queue pair to share with under QP_SHARE_MEM, QP_SHARE_CQ
 *	and QP_SHARE_SQPOLL, else ignored. qp_accept() without QP_SHARE_MEM shares the
 *	listener's memory table
 * @addr: in: pointer to the local address, 0 for none; qp_accept(): 0
 * @addrlen: in: its length, bytes
 * @qpn: out: number of the queue pair in its network namespace
 * @sq: out: send queue
 * @rq: out: receive queue
 * @cq: out: completion queue, shared or not
 * @sq_cpu: in: QP_SQ_CPU: the CPU that the thread is bound to; otherwise 0
 * @sq_idle: in: QP_SQPOLL: milliseconds without work before the thread sleeps,
 *	0 for 1000. Otherwise, and with QP_SHARE_SQPOLL, 0
 */
struct qp_desc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 protocol;
	__u32 sq_entries;
	__u32 rq_entries;
	__u32 cq_entries;
	__u32 max_sge;
	__u32 max_inline;
	__u32 ifindex;
	__u32 backlog;
	__s32 share_fd;
	__u64 addr;
	__u32 addrlen;
	__u32 qpn;
	struct qp_ring_desc sq;
	struct qp_ring_desc rq;
	struct qp_ring_desc cq;
	__u32 sq_cpu;
	__u32 sq_idle;
};

/* Opcodes of send work requests, qp_sqe.opcode, and of completions */
enum qp_opcode {
	QP_OP_SEND,
	QP_OP_SEND_IMM,			/* with immediate data */
	QP_OP_SEND_INV,			/* and invalidate memory of the peer */
	QP_OP_WRITE,
	QP_OP_WRITE_IMM,
	QP_OP_READ,
	QP_OP_ATOMIC_CAS,		/* compare and swap */
	QP_OP_ATOMIC_ADD,		/* fetch and add */
	QP_OP_LOCAL_INV,		/* invalidate own memory */
	QP_OP_LAST,			/* number of send opcodes */

	/* of completions of receives */
	QP_OP_RECV = 128,		/* a SEND arrived */
	QP_OP_RECV_WRITE_IMM,		/* a WRITE with immediate data arrived */
};

/* qp_sqe.flags */
#define QP_SQE_SIGNALED	(1U << 0)	/* complete into the CQ also on success */
#define QP_SQE_FENCE	(1U << 1)	/* start after earlier READs and atomics */
#define QP_SQE_INLINE	(1U << 2)	/* data of inline_len bytes instead of sge[] */
#define QP_SQE_SOLICITED (1U << 3)	/* solicited event at the receiver */

/**
 * struct qp_sge - a gather/scatter entry
 * @addr: address within the registration that @lkey names
 * @length: bytes
 * @lkey: local key, from QP_MEM_REG
 */
struct qp_sge {
	__u64 addr;
	__u32 length;
	__u32 lkey;
};

/**
 * struct qp_sqe - entry of the send queue
 * @opcode: enum qp_opcode
 * @flags: QP_SQE_*
 * @num_sge: entries in @sge, at most qp_desc.max_sge; 0 with QP_SQE_INLINE
 * @imm_data: immediate data, opaque (SEND_IMM, WRITE_IMM), big endian by custom
 * @inv_rkey: key to invalidate: the peer's (SEND_INV) or an own one (LOCAL_INV)
 * @user_data: comes back in the completion
 * @remote_addr: address in the peer's memory (WRITE, READ, atomics)
 * @rkey: remote key of it
 * @ah: where a datagram goes (QP_UD): handle from QP_AH_CREATE or
 *	QP_MCAST_JOIN; 0 for the address given to qp_connect()
 * @inline_len: bytes at @inl, with QP_SQE_INLINE
 * @compare_add: value to compare with, or to add
 * @swap: value to store if the comparison holds
 * @sge: gather list (READ and atomics: scatter list)
 * @inl: inline data
 *
 * An atomic works on 8 bytes in the machine's byte order, at a remote address
 * that is a multiple of 8, and scatters the 8 bytes found before.
 * Fields that an opcode does not use must be 0.
 */
struct qp_sqe {
	__u8  opcode;
	__u8  flags;
	__u16 num_sge;
	union {
		__u32 imm_data;
		__u32 inv_rkey;
	};
	__u64 user_data;
	__u64 remote_addr;
	union {
		__u32 rkey;
		__u32 ah;
	};
	__u32 inline_len;
	__u64 compare_add;
	__u64 swap;
	union {
		__DECLARE_FLEX_ARRAY(struct qp_sge, sge);
		__DECLARE_FLEX_ARRAY(__u8, inl);
	};
};

/**
 * struct qp_rqe - entry of the receive queue
 * @user_data: comes back in the completion
 * @num_sge: entries in @sge, at most qp_desc.max_sge; 0 takes messages of 0 bytes
 * @flags: 0
 * @resv: 0
 * @sge: scatter list
 */
struct qp_rqe {
	__u64 user_data;
	__u16 num_sge;
	__u16 flags;
	__u32 resv;
	struct qp_sge sge[];
};

/* Statuses of completions (IBA v1 11.6.2) */
enum qp_wc_status {
	QP_WC_SUCCESS,
	QP_WC_LOC_LEN_ERR,		/* message longer than the receive buffer */
	QP_WC_LOC_QP_OP_ERR,		/* malformed work request */
	QP_WC_LOC_EEC_OP_ERR,
	QP_WC_LOC_PROT_ERR,		/* local key, range or right is wrong */
	QP_WC_WR_FLUSH_ERR,		/* outstanding when the queue pair failed */
	QP_WC_MW_BIND_ERR,
	QP_WC_BAD_RESP_ERR,
	QP_WC_LOC_ACCESS_ERR,
	QP_WC_REM_INV_REQ_ERR,		/* peer's receive buffer too short, or a
					 * misaligned atomic
					 */
	QP_WC_REM_ACCESS_ERR,		/* remote key, range or right is wrong */
	QP_WC_REM_OP_ERR,		/* peer could not complete the operation */
	QP_WC_RETRY_EXC_ERR,		/* peer is gone */
	QP_WC_RNR_RETRY_EXC_ERR,	/* peer posted no receive in time */
	QP_WC_LOC_RDD_VIOL_ERR,
	QP_WC_REM_INV_RD_REQ_ERR,
	QP_WC_REM_ABORT_ERR,
	QP_WC_INV_EECN_ERR,
	QP_WC_INV_EEC_STATE_ERR,
	QP_WC_FATAL_ERR,
	QP_WC_RESP_TIMEOUT_ERR,
	QP_WC_GENERAL_ERR,
};

/* qp_cqe.flags */
#define QP_CQE_IMM	(1U << 0)	/* imm_data is valid */
#define QP_CQE_INV	(1U << 1)	/* inv_rkey was invalidated by the peer */
#define QP_CQE_SRC	(1U << 2)	/* src_qpn is valid: a datagram */

/**
 * struct qp_cqe - entry of the completion queue
 * @user_data: of the work request
 * @byte_len: bytes received, read or written back; 0 for sends
 * @status: enum qp_wc_status. Unless 0 only @user_data, @opcode and @qpn
 *	are valid besides
 * @opcode: enum qp_opcode
 * @flags: QP_CQE_*
 * @imm_data: immediate data as sent
 * @inv_rkey: key that the peer invalidated
 * @qpn: qp_desc.qpn of the queue pair that the work was posted to
 * @src_qpn: qp_info.port_qpn of the sender of a datagram
 * @resv: 0
 */
struct qp_cqe {
	__u64 user_data;
	__u32 byte_len;
	__u16 status;
	__u8  opcode;
	__u8  flags;
	union {
		__u32 imm_data;
		__u32 inv_rkey;
	};
	__u32 qpn;
	__u32 src_qpn;
	__u32 resv;
};

/**
 * struct qp_ud_cqe - entry of the completion queue of a QP_UD queue pair
 * @cqe: as in any completion queue
 * @src: struct sockaddr_in or sockaddr_in6 with the address of the sender of a
 *	datagram and port 0, or the beginning of struct sockaddr_ib, up to
 *	sib_sid. Its family is 0 if there is none: the completion is not one of a
 *	datagram, or InfiniBand does not say which IP address it is from
 *
 * The completion queue that a QP_UD queue pair made has entries like this,
 * whoever else shares it: qp_ring_desc.entry_size says so.
 */
struct qp_ud_cqe {
	struct qp_cqe cqe;
	__u8 src[32];
};

/* Options of setqpopt() and getqpopt() */
enum qp_opt {
	QP_DESC = 1,			/* get: struct qp_desc as created */
	QP_PROTO,			/* get: __u32, enum qp_protocol in use */
	QP_INFO,			/* get: struct qp_info */
	QP_MEM_REG,			/* set: struct qp_mem, keys come back */
	QP_MEM_DEREG,			/* set: __u32 lkey */
	QP_MEM_QUERY,			/* get: struct qp_mem by lkey */
	QP_AH_CREATE,			/* set: struct qp_ah, ah comes back */
	QP_AH_DESTROY,			/* set: __u32 ah */
	QP_MCAST_JOIN,			/* set: struct qp_mcast, ah comes back */
	QP_MCAST_LEAVE,			/* set: struct qp_mcast */

	/* __u32, set before it is connected, get what is in use: RoCE, IB, OPA */
	QP_PATH_MTU,		/* bytes of a packet, 256 to 4096 */
	QP_RNR_RETRY,			/* repeat without a receive, 0 to 7 (ever) */
	QP_RNR_TIMER,			/* and that long after, microseconds */
	QP_RETRY_CNT,			/* repeat without an answer, 0 to 7 */
	QP_ACK_TIMEOUT,			/* and that long after, microseconds */
};

/* Limits of a QP_UD queue pair */
#define QP_MAX_AHS	1024		/* address handles */
#define QP_MAX_MCAST	64		/* multicast groups */

/**
 * struct qp_ah - an address handle: where datagrams go
 * @addr: in: pointer to the address of the peer
 * @addrlen: in: its length, bytes
 * @qpn: in: 0 to have the port of @addr resolved to a queue pair; else the
 *	number that the peer's has on its port (qp_info.port_qpn, qp_cqe.src_qpn),
 *	and the port of @addr does not matter. out: the number
 * @qkey: in: Q_Key of the peer with @qpn, 0 for the customary one; else 0.
 *	out: the Q_Key
 * @ah: out: the handle, 1 to QP_MAX_AHS, valid for this queue pair
 */
struct qp_ah {
	__u64 addr;
	__u32 addrlen;
	__u32 qpn;
	__u32 qkey;
	__u32 ah;
};

/* qp_mcast.flags */
#define QP_MCAST_SENDONLY	(1U << 0)	/* send to it, receive nothing */
#define QP_MCAST_LOOP		(1U << 1)	/* receive what one sends oneself */

/**
 * struct qp_mcast - membership in a multicast group
 * @addr: in: pointer to the address of the group; the port does not matter
 * @addrlen: in: its length, bytes
 * @flags: in: QP_MCAST_*; QP_MCAST_LEAVE: 0
 * @ah: out: handle to send to the group with; QP_MCAST_LEAVE: 0
 * @resv: 0
 */
struct qp_mcast {
	__u64 addr;
	__u32 addrlen;
	__u32 flags;
	__u32 ah;
	__u32 resv;
};

/* Rights, qp_mem.access. Reading it locally is always allowed. */
#define QP_ACCESS_LOCAL_WRITE	(1U << 0)
#define QP_ACCESS_REMOTE_WRITE	(1U << 1)	/* needs LOCAL_WRITE */
#define QP_ACCESS_REMOTE_READ	(1U << 2)
#define QP_ACCESS_REMOTE_ATOMIC	(1U << 3)	/* needs LOCAL_WRITE */
#define QP_ACCESS_ZERO_BASED	(1U << 4)	/* addresses count from 0 */
#define QP_ACCESS_DMABUF	(1U << 5)	/* a part of a dma-buf; likewise */

/**
 * struct qp_mem - a memory registration
 * @addr: in: start, any alignment; of a dma-buf: the offset in it, a multiple of
 *	the page size
 * @length: in: bytes, at least 1
 * @access: in: QP_ACCESS_*
 * @lkey: out: key for gather/scatter entries; in for QP_MEM_QUERY
 * @rkey: out: key to give to the peer; 0 if no remote right was asked
 * @fd: in: with QP_ACCESS_DMABUF the dma-buf, which may be closed afterwards;
 *	else 0
 *
 * Work requests address it by its addresses in the process that registered
 * it, or with QP_ACCESS_ZERO_BASED or QP_ACCESS_DMABUF by the offset from @addr.
 */
struct qp_mem {
	__u64 addr;
	__u64 length;
	__u32 access;
	__u32 lkey;
	__u32 rkey;
	__s32 fd;
};

/* qp_info.state */
enum qp_state {
	QP_STATE_IDLE,			/* not connected */
	QP_STATE_LISTEN,
	QP_STATE_CONNECTING,
	QP_STATE_RTS,			/* connected, ready to send */
	QP_STATE_ERROR,			/* disconnected or failed: work is flushed */
};

/**
 * struct qp_info - state and counters
 * @state: enum qp_state
 * @protocol: enum qp_protocol
 * @type: enum qp_type
 * @qpn: number of the queue pair
 * @sends: send work requests accepted and not completed
 * @cq_used: completions that user space has not consumed
 * @cq_reserved: completions that accepted work may still need
 * @mem_regions: registrations in the memory table
 * @mem_bytes: bytes registered in the memory table
 * @tx_msgs: messages sent: sends, writes, reads and atomics completed
 * @tx_bytes: bytes of them
 * @rx_msgs: messages received into receive work requests or by recvmsg()
 * @rx_bytes: bytes of them
 * @port_qpn: number of the queue pair on its port, by which other machines know
 *	it; 0 while it has none
 * @port_qkey: QP_UD: its Q_Key
 * @max_msg: bytes of a message, at most; QP_UD: what a packet takes on its port
 * @resv: 0
 */
struct qp_info {
	__u32 state;
	__u32 protocol;
	__u32 type;
	__u32 qpn;
	__u32 sends;
	__u32 cq_used;
	__u32 cq_reserved;
	__u32 mem_regions;
	__u64 mem_bytes;
	__u64 tx_msgs;
	__u64 tx_bytes;
	__u64 rx_msgs;
	__u64 rx_bytes;
	__u32 port_qpn;
	__u32 port_qkey;
	__u32 max_msg;
	__u32 resv;
};

/* Control messages of sendmsg() and recvmsg(), level SOL_QP */
#define QP_CMSG_IMM	1		/* __u32: immediate data of the message */
#define QP_CMSG_SRC_QPN	2		/* __u32: recvmsg(): sender of a datagram */
#define QP_CMSG_AH	3		/* __u32: sendmsg(): address handle */

/*
 * io_uring: commands of IORING_OP_URING_CMD on a queue pair, sqe->cmd_op.
 * sqe->addr3: work requests to submit in the lower 32 bits, completions to
 * wait for in the upper. The result is what qp_enter() returns.
 */
#define QP_URING_OP_ENTER	0x5150

#endif /* _UAPI_LINUX_QP_H */
