/* SPDX-License-Identifier: GPL-2.0 */
/*
 * qpemu: a software RDMA device on any netdevice
 *
 * The objects, and who may touch what under which lock.
 *
 * Locks, outermost first:
 *
 *	qp->mutex	state changes asked for by the consumer; may sleep
 *	qp->rq_lock	responder, receive queue          (bottom halves off)
 *	qp->sq_lock	requester, completer, send queue  (bottom halves off)
 *	srq->lock	shared receive queue              (interrupts off)
 *	cq->lock	completion queue                  (see qpemu_lock())
 *
 * A queue pair's state changes under rq_lock and sq_lock both, so either keeps
 * it still. What must not happen under these locks (completion handlers,
 * asynchronous events, the move to the error state) is noted in qp->todo, and
 * done by qpemu_qp_settle() after they are dropped.
 */
#ifndef _QPEMU_H
#define _QPEMU_H

#include <linux/completion.h>
#include <linux/iosys-map.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_user_rxe.h>

#include "limits.h"
#include "order.h"
#include "queue.h"
#include "stats.h"

struct qpemu_link;
struct qpemu_odp;
struct qpemu_port;
struct qpemu_tx;
struct qpemu_wr_info;

/**
 * struct qpemu_ref - counted reference that look-ups under RCU may take
 * @count: starts at one, for the table; zero is final
 * @gone: completed when @count reaches zero
 * @rcu: frees this after a grace period
 * @obj: what it stands for; valid as long as a reference is held
 *
 * ib_core frees an object as soon as its destroy callback returns. A look-up
 * that runs at that time must not touch it, so tables hold this instead.
 */
struct qpemu_ref {
	refcount_t count;
	struct completion gone;
	struct rcu_head rcu;
	void *obj;
};

struct qpemu_ref *qpemu_ref_new(void *obj);
static inline bool qpemu_ref_get(struct qpemu_ref *ref)
{
	return refcount_inc_not_zero(&ref->count);
}

static inline void qpemu_ref_put(struct qpemu_ref *ref)
{
	if (refcount_dec_and_test(&ref->count))
		complete(&ref->gone);
}

/* Drop the table's reference, wait for all others; may sleep. */
void qpemu_ref_kill(struct qpemu_ref *ref);

/**
 * struct qpemu_dev - a device
 * @ibdev: what ib_core knows of it
 * @port: its InfiniBand port; NULL if it is a RoCE device
 * @qps: struct qpemu_ref of each queue pair, by QPN
 * @keys: struct qpemu_region of each memory region and window, by key >> 8
 * @ahs: struct qpemu_av by number, for work requests name them so
 * @groups: multicast groups, by hash; see mcast.c
 * @groups_lock: one change of @groups at a time; readers use RCU
 * @num_groups: in @groups
 * @stats: per-CPU counters
 * @netdev_work: handles @netdev_events outside of RTNL; see netdev.c
 * @netdev_events: what has happened to the netdevice
 * @next_qpn: where the search for a free QPN begins
 * @next_key: the same for @keys
 * @next_ah: the same for @ahs
 * @next_srq: the number that the last shared receive queue got
 */
struct qpemu_dev {
	struct ib_device ibdev;
	struct qpemu_port *port;
	struct xarray qps;
	struct xarray keys;
	struct xarray ahs;
	struct hlist_head groups[QPEMU_GROUP_BUCKETS];
	struct mutex groups_lock;	/* changes of groups */
	atomic_t num_groups;
	struct qpemu_stats __percpu *stats;
	struct work_struct netdev_work;
	unsigned long netdev_events;
	u32 next_qpn;
	u32 next_key;
	u32 next_ah;
	atomic_t next_srq;
};

struct qpemu_ucontext {
	struct ib_ucontext ibuc;
};

struct qpemu_pd {
	struct ib_pd ibpd;
};

/**
 * struct qpemu_path - the way to a peer
 * @link: link layer
 * @sgid_attr: source address, with its netdevice; a reference is held
 * @sgid: source GID, as @sgid_attr has it
 * @dgid: destination GID
 * @port: InfiniBand: the port that it leaves by; NULL of RoCE
 * @dlid: InfiniBand: destination LID
 * @path_bits: InfiniBand: lower bits of the source LID
 * @global: there is a GRH (in RoCEv2, an IP header): @sgid_attr to @dgid are valid
 * @dmac: next hop for link layers that need it here (RoCEv1)
 * @flow_label: 20 bits
 * @sport: UDP source port, in RoCEv2 a function of the flow label
 * @hop_limit: TTL or hop limit
 * @tclass: traffic class, with the ECN bits
 * @sl: service level, becomes skb->priority
 * @lock: protects @dst and @cookie
 * @dst: cached route
 * @cookie: says whether @dst is still good
 */
struct qpemu_path {
	const struct qpemu_link *link;
	const struct ib_gid_attr *sgid_attr;
	union ib_gid sgid;
	union ib_gid dgid;
	struct qpemu_port *port;
	u16 dlid;
	u8 path_bits;
	bool global;
	u8 dmac[ETH_ALEN];
	u32 flow_label;
	u16 sport;
	u8 hop_limit;
	u8 tclass;
	u8 sl;
	spinlock_t lock;	/* dst and cookie */
	struct dst_entry *dst;
	u32 cookie;
};

/**
 * struct qpemu_av - what is left of an address handle as long as it is used
 * @users: one for qpemu_dev.ahs, and one for each work request that goes there
 * @rcu: frees it after a grace period
 * @pd: protection domain of the handle; compared, never followed
 * @path: the way
 *
 * A handle may be destroyed where nobody may sleep, and while datagrams are on
 * their way. So what they need is apart from it.
 */
struct qpemu_av {
	refcount_t users;
	struct rcu_head rcu;
	const struct ib_pd *pd;
	struct qpemu_path path;
};

/**
 * struct qpemu_ah - an address handle
 * @ibah: what ib_core knows of it
 * @attr: as the consumer gave it
 * @num: of its struct qpemu_av in qpemu_dev.ahs; work requests name it so; not 0
 */
struct qpemu_ah {
	struct ib_ah ibah;
	struct rdma_ah_attr attr;
	u32 num;
};

/**
 * struct qpemu_cq - a completion queue
 * @ibcq: what ib_core knows of it
 * @lock: protects the rest, and the producer's side of @queue
 * @queue: struct ib_uverbs_wc for user space, struct ib_wc for the kernel
 * @user: whose entries they are
 * @notify: what was asked for with ib_req_notify_cq()
 * @pending: a completion handler is to be called
 * @dead: it has overflowed, IBA v1 10.2.1.1
 * @used: entries of @queue that the kernel has not polled, to look at without
 *	the lock
 */
struct qpemu_cq {
	struct ib_cq ibcq;
	spinlock_t lock;	/* all that follows */
	struct qpemu_queue *queue;
	bool user;
	u8 notify;
	bool dead;
	unsigned long pending;
	u32 used;
};

/**
 * struct qpemu_srq - a shared receive queue
 * @ibsrq: what ib_core knows of it
 * @lock: protects the rest
 * @queue: the ring
 * @max_wr: how many requests it holds
 * @max_sge: pieces of a request
 * @limit: when fewer entries are left an event is raised, once
 * @num: its number
 * @error: a malformed entry was found; nothing is taken from it any more
 */
struct qpemu_srq {
	struct ib_srq ibsrq;
	spinlock_t lock;	/* all that follows */
	struct qpemu_queue *queue;
	u32 max_wr;
	u32 max_sge;
	u32 limit;
	u32 num;
	bool error;
};

/**
 * enum qpemu_region_state - IBA v1 10.6.4 and 10.6.7.2.2
 * @QPEMU_REGION_FREE: the key exists, no memory behind it
 * @QPEMU_REGION_VALID: accesses are carried out
 */
enum qpemu_region_state {
	QPEMU_REGION_FREE,
	QPEMU_REGION_VALID,
};

/**
 * struct qpemu_region - what a key stands for: a memory region or a window
 * @rcu: frees it after a grace period
 * @users: accesses in progress, and one for the table
 * @gone: completed when @users reaches zero
 * @key: lkey and rkey; the lower 8 bits may be chosen by the consumer
 * @lock: one change of what follows at a time; bottom halves off
 * @state: see there. What follows is still while this is VALID and a reference
 *	is held: who changes it leaves VALID first and waits for @users
 * @access: enum ib_access_flags
 * @dead: its owner has destroyed it
 * @window: it is a window: good for remote access only
 * @type2: it is a window of type 2
 * @zero_based: addresses count from 0 instead of @iova
 * @qpn: of a window of type 2: the one queue pair that may use it, else 0
 * @pd: protection domain
 * @iova: first address
 * @length: in bytes
 * @mr: the memory; of a window that of the region that it is bound to
 */
struct qpemu_region {
	struct rcu_head rcu;
	refcount_t users;
	struct completion gone;
	u32 key;
	spinlock_t lock;	/* one change at a time */
	u8 state;
	bool dead;
	bool window;
	bool type2;
	bool zero_based;
	u32 access;
	u32 qpn;
	struct ib_pd *pd;
	u64 iova;
	u64 length;
	struct qpemu_mr *mr;
};

/**
 * struct qpemu_pages - the pages of a memory region
 * @bvec: one entry per page of 1 << @shift bytes, in order
 * @num: entries in use
 * @offset: of the first byte in the first page
 * @shift: size of the pages; need not be that of the machine's
 */
struct qpemu_pages {
	struct bio_vec *bvec;
	u32 num;
	u32 offset;
	u8 shift;
};

/**
 * struct qpemu_mr - a memory region
 * @ibmr: what ib_core knows
 * @region: the key's entry
 * @umem: pinned user pages, or NULL
 * @pages: the memory
 * @staged: what ib_map_mr_sg() put together for the next fast registration;
 *	the one before may still be in use
 * @max_pages: room in @staged
 * @dmabuf: whose memory it is, or NULL
 * @vmap: where the kernel sees @dmabuf
 * @virt: no pages: kernel addresses, of ib_get_dma_mr() or of @vmap
 * @base: @virt: kernel address of the first byte
 * @num_windows: windows bound to it
 * @odp: what of the pages is known, if it is registered on demand
 */
struct qpemu_mr {
	struct ib_mr ibmr;
	struct qpemu_region *region;
	struct ib_umem *umem;
	struct qpemu_pages pages;
	struct qpemu_pages staged;
	u32 max_pages;
	bool virt;
	unsigned long base;
	struct dma_buf *dmabuf;
	struct iosys_map vmap;
	atomic_t num_windows;
	struct qpemu_odp *odp;
};

struct qpemu_mw {
	struct ib_mw ibmw;
	struct qpemu_region *region;
};

/**
 * struct qpemu_sge - a piece of local memory, as a work request names it
 * @addr: first byte, as the consumer counts
 * @length: in bytes
 * @lkey: of its region
 */
struct qpemu_sge {
	u64 addr;
	u32 length;
	u32 lkey;
};

/**
 * struct qpemu_wqe - a send work request, copied from the ring and checked
 * @list: in qp->sq.wqes, in order
 * @wr_id: the consumer's name for it
 * @op: row of the table of work requests, NULL if there is none
 * @opcode: enum ib_wr_opcode
 * @flags: enum ib_send_flags
 * @length: bytes of the message
 * @first_psn: PSN of its first packet, or of the next one if it sends none
 * @num_psn: how many PSNs it takes; a READ takes those of its responses
 * @status: why it failed, or IB_WC_SUCCESS
 * @done: it needs nothing more to be complete
 * @outstanding: counts as one of @sq.rd_atomic
 * @num_sge: entries of @sge; 0 with inline data
 * @is_inline: the bytes are in @inline_data
 * @imm: immediate data
 * @inv_key: key to be invalidated, here or there
 * @remote: of RDMA, atomics and FLUSH: the other side's memory
 * @ud: of datagrams: the destination
 * @bind: of BIND_MW: window and memory
 * @reg: of REG_MR: region, key and rights
 * @sge: where the bytes are
 * @inline_data: the bytes
 */
struct qpemu_wqe {
	struct list_head list;
	u64 wr_id;
	const struct qpemu_wr_info *op;
	u32 opcode;
	u32 flags;
	u32 length;
	u32 first_psn;
	u32 num_psn;
	u8 status;
	bool done;
	bool outstanding;
	bool is_inline;
	u16 num_sge;
	union {
		__be32 imm;
		u32 inv_key;
	};
	union {
		struct {
			u64 addr;
			u32 key;
			u32 flush_type;
			u32 flush_level;
			u64 compare_add;
			u64 swap;
		} remote;
		struct {
			struct qpemu_av *av;	/* held */
			u32 qpn;
			u32 qkey;
			u16 pkey_index;
		} ud;
		struct {
			u64 addr;
			u64 length;
			u32 mr_lkey;
			u32 mw_rkey;
			u32 rkey;
			u32 access;
		} bind;
		struct {
			struct ib_mr *mr;
			u32 key;
			u32 access;
		} reg;
	};
	union {
		DECLARE_FLEX_ARRAY(struct qpemu_sge, sge);
		DECLARE_FLEX_ARRAY(u8, inline_data);
	};
};

/**
 * struct qpemu_rwqe - the receive work request that is being filled
 * @wr_id: the consumer's name for it
 * @length: room in bytes
 * @num_sge: entries of @sge
 * @sge: where the bytes go
 */
struct qpemu_rwqe {
	u64 wr_id;
	u64 length;
	u16 num_sge;
	struct qpemu_sge sge[];
};

/**
 * struct qpemu_replay - a READ or atomic that may be asked for again
 * @first_psn: PSN of the request
 * @num_psn: PSNs of its responses
 * @opcode: wire opcode of the request
 * @valid: the entry is in use
 * @key: READ: rkey
 * @addr: READ: remote address of the first byte
 * @length: READ: in bytes
 * @value: atomics: the value before
 */
struct qpemu_replay {
	u32 first_psn;
	u32 num_psn;
	u8 opcode;
	bool valid;
	u32 key;
	u64 addr;
	u32 length;
	u64 value;
};

/* qp->todo: what qpemu_qp_settle() has to do after the locks are dropped */
enum {
	QPEMU_TODO_NOTIFY,	/* call completion handlers */
	QPEMU_TODO_ACK,		/* acknowledge rq.owed_psn */
	QPEMU_TODO_ERROR,	/* go to the error state and flush */
	QPEMU_TODO_SQ_ERROR,	/* go to SQE and flush the send queue */
	QPEMU_TODO_FATAL,	/* IB_EVENT_QP_FATAL */
	QPEMU_TODO_REQ_ERR,	/* IB_EVENT_QP_REQ_ERR */
	QPEMU_TODO_ACCESS_ERR,	/* IB_EVENT_QP_ACCESS_ERR */
	QPEMU_TODO_COMM_EST,	/* IB_EVENT_COMM_EST */
	QPEMU_TODO_SQ_DRAINED,	/* IB_EVENT_SQ_DRAINED */
	QPEMU_TODO_LAST_WQE,	/* IB_EVENT_QP_LAST_WQE_REACHED */
	QPEMU_TODO_SRQ_LIMIT,	/* IB_EVENT_SRQ_LIMIT_REACHED */
	QPEMU_TODO_SRQ_ERROR,	/* IB_EVENT_SRQ_ERR */
	QPEMU_TODO_KICK,	/* run what had to stop for want of room */
};

/**
 * struct qpemu_train - packets of a size that will be sent as one, see train.c
 * @skb: they, one behind the other; NULL if there are none
 * @path: where they go
 * @av: whose @path is, held; NULL if it is the queue pair's
 * @size: bytes of each
 * @dest_qpn: to which queue pair each is addressed
 * @qkey: with which Q_Key, of datagrams
 * @opcode: of each
 * @num: how many there are
 * @most: how many there may be
 */
struct qpemu_train {
	struct sk_buff *skb;
	struct qpemu_path *path;
	struct qpemu_av *av;
	u32 size;
	u32 dest_qpn;
	u32 qkey;
	u8 opcode;
	u32 num;
	u32 most;
};

/**
 * struct qpemu_sq - requester and completer; under qp->sq_lock
 * @queue: the ring, NULL before creation
 * @wqes: requests taken from the ring, oldest first
 * @next: the first of @wqes that is not sent whole, or NULL
 * @spare: memory for the request after that
 * @psn: PSN of the next packet to send
 * @una: oldest PSN that is not acknowledged
 * @end: PSN after the last of @wqes
 * @highest: highest @psn ever reached; before it a packet is a repetition
 * @window: how far @psn may be beyond @una
 * @asked_psn: the PSN after the last packet that asked for an acknowledgment
 * @num_wqes: entries of @wqes
 * @rd_atomic: READ and atomics outstanding
 * @max_sge: pieces of a request
 * @max_inline: bytes of inline data of a request
 * @max_rd_atomic: how many of these there may be
 * @retries: left, until the next progress
 * @rnr_retries: left
 * @waiting_rnr: the RNR timer runs; nothing is sent
 * @drained: that all is sent in SQD has been reported
 * @sig_all: every request gets a completion
 * @failed: one of @wqes has failed; nothing more is sent
 * @no_super: the message in progress does not fit super-packets
 * @implied: a lost response at @una was noticed by what came after it
 * @heard: something has come from the peer since the last timeout
 * @progress: when @una last moved, in jiffies
 * @charged: when @una last moved or a NAK last took one of @retries, in jiffies
 * @timer: retransmission, or RNR
 * @order: responses that came before their turn
 * @train: packets that are not yet sent; none while nobody has the lock
 */
struct qpemu_sq {
	struct qpemu_queue *queue;
	struct list_head wqes;
	struct qpemu_wqe *next;
	struct qpemu_wqe *spare;
	u32 psn;
	u32 una;
	u32 end;
	u32 highest;
	s32 window;
	u32 asked_psn;
	u32 num_wqes;
	u16 max_sge;
	u16 max_inline;
	u8 rd_atomic;
	u8 max_rd_atomic;
	u8 retries;
	u8 rnr_retries;
	bool waiting_rnr;
	bool drained;
	bool sig_all;
	bool failed;
	bool no_super;
	bool implied;
	bool heard;
	unsigned long progress;
	unsigned long charged;
	struct timer_list timer;
	struct qpemu_order order;
	struct qpemu_train train;
};

/**
 * struct qpemu_rq - responder; under qp->rq_lock
 * @queue: the ring, NULL with a shared receive queue
 * @wqe: the request being filled, valid if @have_wqe
 * @have_wqe: there is one
 * @max_sge: pieces of a request
 * @psn: expected PSN
 * @msn: messages completed, 24 bits
 * @msg_op: wire opcode of the packet before, if within a message, else 0xff
 * @msg_psn: PSN of the first packet of the message in progress
 * @key: of the memory that the WRITE in progress goes to
 * @addr: where it begins
 * @length: how long it is
 * @owed_psn: PSN to acknowledge by QPEMU_TODO_ACK
 * @nak_sent: a NAK for a lost packet is out; send no second one
 * @broken: a request was refused; the error state follows
 * @established: a packet has come before the consumer said RTS
 * @replays: ring of max_dest_rd_atomic entries
 * @replay_next: entry to be used next
 * @num_replays: how many there are
 * @reading: a READ is being answered
 * @read: which, if so
 * @read_psn: PSN of the next response to it
 * @order: requests that came before their turn, or while a READ was answered
 */
struct qpemu_rq {
	struct qpemu_queue *queue;
	struct qpemu_rwqe *wqe;
	u32 psn;
	u32 msn;
	u32 msg_psn;
	u8 msg_op;
	bool have_wqe;
	u32 owed_psn;
	bool nak_sent;
	bool broken;
	bool established;
	u16 max_sge;
	u64 addr;
	u32 key;
	u32 length;
	struct qpemu_replay *replays;
	struct qpemu_replay read;
	u32 read_psn;
	u8 num_replays;
	u8 replay_next;
	bool reading;
	struct qpemu_order order;
};

struct qpemu_qp {
	struct ib_qp ibqp;
	struct qpemu_ref *ref;
	u8 state;
	u8 mtu_enum;
	u16 mtu;
	u32 dest_qpn;
	u32 qkey;
	u32 access;
	spinlock_t sq_lock;	/* sq; and state, with rq_lock */
	spinlock_t rq_lock;	/* rq; and state, with sq_lock */
	struct qpemu_sq sq;
	struct qpemu_rq rq;
	struct qpemu_path path;
	unsigned long todo;
	struct qpemu_tx *tx;
	struct work_struct kick;
	struct mutex mutex;	/* one change asked for at a time */
	struct ib_qp_attr attr;
	atomic_t num_groups;
};

static inline struct qpemu_dev *to_qdev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct qpemu_dev, ibdev);
}

static inline struct qpemu_qp *to_qqp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct qpemu_qp, ibqp);
}

/* RC and UC have a peer; UD and those of the management interfaces do not. */
static inline bool qpemu_connected(const struct qpemu_qp *qp)
{
	return qp->ibqp.qp_type == IB_QPT_RC || qp->ibqp.qp_type == IB_QPT_UC;
}

/* QP0 and QP1 */
static inline bool qpemu_is_management(const struct qpemu_qp *qp)
{
	return qp->ibqp.qp_type == IB_QPT_SMI || qp->ibqp.qp_type == IB_QPT_GSI;
}

static inline bool qpemu_reliable(const struct qpemu_qp *qp)
{
	return qp->ibqp.qp_type == IB_QPT_RC;
}

static inline struct qpemu_cq *to_qcq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct qpemu_cq, ibcq);
}

static inline struct qpemu_srq *to_qsrq(struct ib_srq *ibsrq)
{
	return container_of(ibsrq, struct qpemu_srq, ibsrq);
}

static inline struct qpemu_ah *to_qah(struct ib_ah *ibah)
{
	return container_of(ibah, struct qpemu_ah, ibah);
}

static inline struct qpemu_mr *to_qmr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct qpemu_mr, ibmr);
}

static inline struct qpemu_mw *to_qmw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct qpemu_mw, ibmw);
}

#endif /* _QPEMU_H */
