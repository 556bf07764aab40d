/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The verbs engine: queue pairs on RDMA devices
 *
 * A queue pair of the families AF_INET, AF_INET6 and AF_IB is a queue pair of an
 * ib_device, connected by rdma_cm. The objects:
 *
 *	struct verbs_dev	a device		verbs_dev.c
 *	struct verbs_emul	a device made on demand	emul.c
 *	struct verbs_dom	a memory table on it	verbs_mem.c
 *	struct verbs_mr		a registration		verbs_mem.c
 *	struct verbs_qp		a queue pair		verbs.c
 *	struct verbs_ud		one for datagrams	verbs_ud.c
 *	struct verbs_pool	receives that they share verbs_pool.c
 *	struct verbs_ah		where datagrams go	verbs_ah.c
 *	struct verbs_group	a multicast group	verbs_mcast.c
 *	struct verbs_service	a service ID		verbs_service.c
 *	struct verbs_look	a port that is looked for verbs_native.c
 *
 * Locks, outermost first:
 *
 *	socket lock		connecting, binding; may sleep
 *	verbs_qp.attempt	one attempt to connect at a time; may sleep
 *	verbs_ud.groups_lock	joining and leaving groups; may sleep
 *	verbs_emul_making	emul.c: making and removing; may sleep
 *	verbs_qp.teardown	one at a time lets go of the device; may sleep
 *	rdma_cm's handler lock	taken by rdma_destroy_id(), held in handlers
 *	verbs_table.lock	registrations and devices of a memory table;
 *				may sleep
 *	verbs_emul_lock		emul.c: who needs which; may sleep
 *	verbs_dev.pools_lock	pools of a device; may sleep
 *	verbs_pool.making	making and ending queue pairs of a pool; may sleep
 *	verbs_devs_lock		verbs_dev.c: all devices; may sleep
 *	verbs_cq.lock		completions of the device		(softirq)
 *	verbs_qp.recv_lock	receives				(softirq)
 *	verbs_qp.send_lock	sends					(softirq)
 *	verbs_ud.lock		address handles				(softirq)
 *
 * Handlers of rdma_cm never wait: what takes long is done by verbs_qp.work.
 */
#ifndef _QP_VERBS_H
#define _QP_VERBS_H

#include <linux/completion.h>
#include <linux/ib.h>
#include <linux/irq_poll.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/qp.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>

/* Messages of sendmsg() and receives for recvmsg() that a device is given */
#define VERBS_SEND_MSGS		16
#define VERBS_RECV_MSGS		4

/*
 * Messages of a user in the kernel, which may come in batches. Datagrams do not
 * wait for their peers; with one more, for draining, this is what a ring has
 * room for
 */
#define VERBS_KERN_MSGS		128
#define VERBS_KERN_DGRAMS	62

/* Receives for datagrams, which are short and do not wait */
#define VERBS_RECV_DGRAMS	64

/* How long a subnet administration may take to say a path, ms */
#define VERBS_ROUTE_MS		2000

/* The partition that all ports are in (IBA v1 10.9.1.2), and what says which one */
#define VERBS_PKEY		0xffff
#define VERBS_PKEY_PARTITION	0x7fff

/* READs and atomics under way in each direction (IBA v1 9.4.1) */
#define VERBS_RD_ATOMIC		16

/*
 * Unless options say something else: response times 4.096 us << n, IBA v1
 * 9.9.2.1.1, and codes of 9.7.5.2.8
 */
#define VERBS_ACK_TIMEOUT	16	/* 268 ms */
#define VERBS_RNR_TIMER		12	/* 0.64 ms */
#define VERBS_RETRIES		6	/* with 7, rxe never gives up */
#define VERBS_RNR_FOREVER	7

/* No device has a key like this: work that names it fails */
#define VERBS_BAD_KEY		0xffffffffU

/**
 * struct verbs_dev - an RDMA device
 * @ibdev: the device; valid while this is in its client data
 * @ref: one of the device, one of each user
 * @lock: protects @qps, @doms and @gone
 * @gone: it is being removed: no more users
 * @qps: &verbs_qp.dev_node of queue pairs that have it
 * @doms: &verbs_dom.dev_node
 * @pools_lock: protects @pools and their members; may sleep
 * @pools: &verbs_pool.node
 * @node: in verbs_devs
 */
struct verbs_dev {
	struct ib_device *ibdev;
	refcount_t ref;
	struct mutex lock;	/* qps, doms, gone */
	bool gone;
	struct list_head qps;
	struct list_head doms;
	struct mutex pools_lock;	/* pools and their members */
	struct list_head pools;
	struct list_head node;
};

/* emul.c: devices made on demand */
#define VERBS_MAX_EMULS		64

/**
 * struct verbs_emuls - several of them
 * @num: how many
 * @emul: they
 */
struct verbs_emuls {
	unsigned int num;
	struct verbs_emul **emul;
};

struct verbs_transport;

/**
 * struct verbs_watch - devices for all netdevices of a network namespace, those that
 * come later, too
 * @node: in verbs_watches
 * @net: the network namespace
 * @ifindex: the only netdevice, or 0
 * @t: what they have to speak
 * @emuls: those that are needed
 * @work: looks for them
 */
struct verbs_watch {
	struct list_head node;
	struct net *net;
	int ifindex;
	const struct verbs_transport *t;
	struct verbs_emuls emuls;
	struct work_struct work;
};

void verbs_watch_init(struct verbs_watch *w);
void verbs_watch_start(struct verbs_watch *w, struct net *net, int ifindex,
		       const struct verbs_transport *t);
void verbs_watch_end(struct verbs_watch *w);

struct verbs_emul *verbs_emul_get(struct net *net, int ifindex,
				  const struct verbs_transport *t, bool make);
struct verbs_emul *verbs_emul_of(const struct ib_device *ibdev);
void verbs_emul_put(struct verbs_emul *emul, struct net *net);
void verbs_emuls_add(struct verbs_emuls *emuls, struct verbs_emul *emul,
		     struct net *net);
void verbs_emuls_put(struct verbs_emuls *emuls, struct net *net);
int verbs_emul_init(void);
void verbs_emul_exit(void);

/* Does it speak iWARP? */
static inline bool verbs_is_rnic(const struct ib_device *ibdev)
{
	return ibdev->node_type == RDMA_NODE_RNIC;
}

/* Has it GIDs of its own, that are no IP addresses? */
static inline bool verbs_is_native(struct ib_device *ibdev, u32 port)
{
	return rdma_protocol_ib(ibdev, port);
}

static inline bool verbs_proto_native(u32 proto)
{
	return proto == QP_PROTO_IB || proto == QP_PROTO_OPA;
}

/* 0x8000 and 0 say no partition (IBA v1 10.9.1.1) */
static inline bool verbs_pkey_valid(u16 pkey)
{
	return pkey & VERBS_PKEY_PARTITION;
}

/* A port for verbs_ports(): true ends it */
typedef bool verbs_look_fn(struct ib_device *ibdev, u32 port, void *arg);

bool verbs_ports(struct net *net, verbs_look_fn *look, void *arg);
void verbs_dev_list(struct verbs_dev *dev, bool listed);
struct verbs_dev *verbs_dev_get(struct ib_device *ibdev);
void verbs_dev_put(struct verbs_dev *dev);
int verbs_dev_init(void);
void verbs_dev_exit(void);

/**
 * struct verbs_table - what the engine has of a memory table
 * @table: the memory table
 * @lock: protects @mrs, @doms and the shadows of @mrs
 * @mrs: &verbs_mr.node
 * @doms: &verbs_dom.node: the devices that know it
 */
struct verbs_table {
	struct qp_mtable *table;
	struct mutex lock;	/* mrs, doms, shadows */
	struct list_head mrs;
	struct list_head doms;
};

/**
 * struct verbs_dom - a memory table on a device: a protection domain
 * @node: in &verbs_table.doms
 * @dev_node: in &verbs_dev.doms; empty once the device is gone
 * @table: the memory table's part
 * @dev: the device, referenced
 * @users: queue pairs with this table on this device
 * @pd: the protection domain; NULL once the device is gone
 * @rkeys: registrations by rkey >> 8
 */
struct verbs_dom {
	struct list_head node;
	struct list_head dev_node;
	struct verbs_table *table;
	struct verbs_dev *dev;
	refcount_t users;
	struct ib_pd *pd;
	struct xarray rkeys;
};

/**
 * struct verbs_shadow - a registration on a device
 * @node: in &verbs_mr.shadows; RCU
 * @rcu: frees it
 * @dom: where
 * @mr: of what
 * @ibmr: the device's
 * @lkey: its lkey
 * @rkey: its rkey
 */
struct verbs_shadow {
	struct list_head node;
	struct rcu_head rcu;
	struct verbs_dom *dom;
	struct qp_mr *mr;
	struct ib_mr *ibmr;
	u32 lkey;
	u32 rkey;
};

/**
 * struct verbs_mr - the engine's part of a registration, &qp_mr.priv
 * @node: in &verbs_table.mrs
 * @mr: the registration
 * @shadows: where it is known; RCU for look-up
 * @rcu: frees it
 */
struct verbs_mr {
	struct list_head node;
	struct qp_mr *mr;
	struct list_head shadows;
	struct rcu_head rcu;
};

extern const struct qp_mem_ops verbs_mem_ops;

struct verbs_dom *verbs_dom_get(struct qp_mtable *table, struct verbs_dev *dev);
void verbs_dom_put(struct verbs_dom *dom);
void verbs_dom_gone(struct verbs_dom *dom);
int verbs_local_key(struct verbs_dom *dom, const struct qp_sge *sge, u32 access,
		    u32 *lkey);
u32 verbs_key_of_rkey(struct verbs_dom *dom, u32 rkey);

/**
 * struct verbs_wr - the engine's part of a send work request, &qp_wr.priv
 * @cqe: how its completion finds it
 * @v: whose it is
 * @qp_wr: the request
 * @mapped: @data is mapped for the device
 * @done: the device has done it, but not all that was posted before
 * @status: what it said then
 * @bounce: kernel copy of inline data that the device cannot take inline
 * @data: the piece of kernel memory that it sends
 * @ib: the device's form of it
 */
struct verbs_wr {
	struct ib_cqe cqe;
	struct verbs_qp *v;
	struct qp_wr *qp_wr;
	bool mapped;
	bool done;
	u16 status;
	void *bounce;
	struct ib_sge data;
	union {
		struct ib_send_wr send;
		struct ib_rdma_wr rdma;
		struct ib_atomic_wr atomic;
		struct ib_ud_wr ud;
	} ib;
};

static inline struct verbs_wr *verbs_wr(const struct qp_wr *wr)
{
	return wr->priv;
}

/**
 * struct verbs_recv - a receive that the device has, or had
 * @cqe: how its completion finds it
 * @v: whose it is
 * @msg: it is one for recvmsg(), with this buffer
 * @user_data: of the user's entry
 * @status: what it fails with, if it fails; 0: as the device says
 * @lost: the device did not take it
 * @own: it is nobody's: the message was one's own, the receive waits again
 * @inv_done: the registration that the peer invalidated has ended
 * @done: what the device said
 */
struct verbs_recv {
	struct ib_cqe cqe;
	struct verbs_qp *v;
	struct verbs_msg *msg;
	u64 user_data;
	u16 status;
	bool lost;
	bool own;
	bool inv_done;
	struct qp_cqe done;
};

/*
 * The address of who sent a datagram, &qp_ud_cqe.src; family 0 if unknown. Of
 * struct sockaddr_ib it is the beginning.
 */
union verbs_src {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct verbs_src_ib {
		unsigned short sib_family;
		__be16 sib_pkey;
		__be32 sib_flowinfo;
		struct ib_addr sib_addr;
		__be64 sib_sid;
	} ib;
	u8 bytes[sizeof_field(struct qp_ud_cqe, src)];
};

/**
 * struct verbs_msg - a kernel buffer that a message is received into
 * @node: in &verbs_qp.msgs once it is full
 * @length: bytes that came
 * @size: bytes that it takes
 * @has_imm: with immediate data
 * @imm_data: the immediate data
 * @src_qpn: who sent a datagram
 * @src: and from which address
 * @dma: where the device sees it
 * @data: the buffer
 * @skb: it is this one's, for a user in the kernel; else NULL
 */
struct verbs_msg {
	struct list_head node;
	u32 length;
	u32 size;
	bool has_imm;
	u32 imm_data;
	u32 src_qpn;
	union verbs_src src;
	u64 dma;
	void *data;
	struct sk_buff *skb;
};

/**
 * struct verbs_grhs - a page that headers of datagrams are received into
 * @mem: the page
 * @dma: where the device sees it, if @mapped
 * @mapped: it does
 */
struct verbs_grhs {
	void *mem;
	u64 dma;
	bool mapped;
};

/**
 * struct verbs_ah - where datagrams go
 * @ref: one of the table that it is in, one of each message on its way
 * @rcu: frees it
 * @node: in &verbs_ud.ahs or &verbs_ud.dead, if @ib is not NULL
 * @ud: whose it is
 * @ib: the device's; NULL once the device is gone. Under &verbs_ud.lock, and
 *	it stays while messages can be posted
 * @qpn: the peer's number on its port
 * @qkey: the peer's Q_Key
 * @gid_index: of the own GID
 * @dlid: LID of the peer, 0 if it is none of InfiniBand
 * @sl: service level
 * @tclass: traffic class
 * @hop_limit: hop limit
 * @name_node: in &verbs_ud.names
 * @name: what the peer is called there
 * @expires: when the name is looked up again, jiffies
 */
struct verbs_ah {
	refcount_t ref;
	struct rcu_head rcu;
	struct list_head node;
	struct verbs_ud *ud;
	struct ib_ah *ib;
	u32 qpn;
	u32 qkey;
	u32 gid_index;
	u32 dlid;
	u8 sl;
	u8 tclass;
	u8 hop_limit;
	struct list_head name_node;
	union verbs_src name;
	unsigned long expires;
};

/**
 * struct verbs_ud - what a queue pair for datagrams has besides
 * @v: the rest
 * @gid: address of the port
 * @ifindex: its netdevice
 * @ip: the sender's address is in the packets, as with RoCE
 * @native: it is a GID of the port's kind, or a LID
 * @handles: &struct verbs_ah by number
 * @lock: protects @ahs, @dead, @names, @nr_names and @peer
 * @ahs: &verbs_ah.node of those that the device knows
 * @dead: of those that the device is to forget, as nobody needs them
 * @names: &verbs_ah.name_node of those that sendmsg() found, last used first
 * @nr_names: how many
 * @peer: what was connected to, or NULL
 * @groups_lock: one joins or leaves at a time, and may wait for a subnet manager
 * @groups_wanted: who waits for @groups_lock
 * @groups: &verbs_group.node; changed under @groups_lock, &verbs_qp.teardown and
 *	&verbs_qp.recv_lock, so that any of them keeps it still
 * @nr_groups: how many
 * @rejoin: joins those again that subnet management has forgotten
 * @max_sge: entries of a list in @lists
 * @lists: of each receive, what the device is given: room for the header, then
 *	the user's list
 * @lens: of each receive, the entries of its list
 * @grhs: where the headers are
 * @nr_grhs: pages
 * @pool: the receives that it shares with others, or NULL: it has its own
 * @pool_node: in &verbs_pool.qps
 * @pool_qp: key of @pool_node, the device's queue pair
 */
struct verbs_ud {
	struct verbs_qp *v;
	union ib_gid gid;
	int ifindex;
	bool ip;
	bool native;
	struct xarray handles;
	spinlock_t lock;	/* ahs, dead, names, nr_names, peer */
	struct list_head ahs;
	struct list_head dead;
	struct list_head names;
	u32 nr_names;
	struct verbs_ah *peer;
	struct mutex groups_lock;	/* groups, nr_groups */
	atomic_t groups_wanted;
	struct list_head groups;
	u32 nr_groups;
	struct delayed_work rejoin;
	u32 max_sge;
	struct ib_sge *lists;
	u8 *lens;
	struct verbs_grhs *grhs;
	u32 nr_grhs;
	struct verbs_pool *pool;
	struct rhash_head pool_node;
	const struct ib_qp *pool_qp;
};

/**
 * struct verbs_cq - the device's completion queue of a queue pair
 * @ib: the device's; NULL while there is none. Changed under @lock
 * @lock: one takes completions at a time, so that they are handled in order.
 *	Before &verbs_qp.recv_lock and &verbs_qp.send_lock
 * @spinners: who takes them without being told, QP_SPIN_BEGIN to QP_SPIN_END
 * @direct: the device says so without a lock of its own, if it is in softirq
 * @reader: &qp_sock.reader of who was told of a datagram last, or NULL. Under @lock
 * @calling: that processor is asked to take completions
 * @call: does that
 * @poll: takes them in softirq otherwise
 */
struct verbs_cq {
	struct ib_cq *ib;
	spinlock_t lock;	/* taking completions */
	atomic_t spinners;
	bool direct;
	const int *reader;
	bool calling;
	call_single_data_t call;
	struct irq_poll poll;
};

/**
 * struct verbs_pool - receives that queue pairs for datagrams share
 * @node: in &verbs_dev.pools
 * @dev: the device; the members keep it
 * @net: network namespace of the members
 * @size: bytes of a message that each has room for
 * @members: queue pairs that have it
 * @dom: the protection domain of all of them
 * @srq: the device's shared receive queue
 * @cq: its completions; &verbs_cq.lock protects @bufs and @nr
 * @qps: &verbs_ud.pool_node of members that can receive
 * @making: one member's queue pair is made or ended at a time; may sleep
 * @bufs: &verbs_buf.node
 * @nr: how many
 * @want: how many there should be; changed by @work
 * @min: that is not to be less
 * @max: nor more
 * @low: half of them have been in use
 * @lacking: one could not be had; @work tries again
 * @work: grows and shrinks
 */
struct verbs_pool {
	struct list_head node;
	struct verbs_dev *dev;
	const struct net *net;
	u32 size;
	u32 members;
	struct verbs_dom *dom;
	struct ib_srq *srq;
	struct verbs_cq cq;
	struct rhashtable qps;
	struct mutex making;	/* making and ending queue pairs */
	struct list_head bufs;
	u32 nr;
	u32 want;
	u32 min;
	u32 max;
	bool low;
	bool lacking;
	struct delayed_work work;
};

/* What &verbs_qp.work has to do */
enum {
	VERBS_TODO_RESOLVE,	/* look for the peer once more */
	VERBS_TODO_TEARDOWN,	/* a connection attempt has failed */
	VERBS_TODO_DISCONNECT,	/* tell the peer that it is over */
	VERBS_TODO_INVALIDATE,	/* end registrations, then go on */
	VERBS_TODO_REAP,	/* have the device forget address handles */
	VERBS_TODO_HEARD,	/* tell rdma_cm that the peer has sent something */
};

/* How far a connection has got, &verbs_qp.phase */
enum verbs_phase {
	VERBS_DOWN,		/* no device's queue pair, or none usable */
	VERBS_SETUP,		/* there is one; receives may be posted */
	VERBS_UP,		/* sends may be posted */
	VERBS_FAILED,		/* the device flushes */
};

/**
 * struct verbs_params - options of a connection, in the device's codes
 * @path_mtu: at most that, enum ib_mtu
 * @rnr_retry: how often to repeat what the peer has no receive for
 * @rnr_timer: how long the peer waits before it does
 * @retry_cnt: how often to repeat what the peer does not answer
 * @ack_timeout: how long to wait before that
 *
 * Written under the socket lock before it is connected.
 */
struct verbs_params {
	u8 path_mtu;
	u8 rnr_retry;
	u8 rnr_timer;
	u8 retry_cnt;
	u8 ack_timeout;
};

/**
 * struct verbs_qp - the engine's part of a queue pair, &qp_sock.priv
 * @qp: the queue pair
 * @ud: what it has besides if it is one for datagrams, else NULL
 * @work: does what handlers and softirqs may not
 * @todo: what @work has to do, VERBS_TODO_*
 * @attempt: one begins or ends an attempt to connect at a time
 * @teardown: one lets go of the device at a time
 * @dev: the device, referenced; NULL before there is one
 * @dev_node: in &verbs_dev.qps
 * @emul: the device's emulation, if it is one
 * @bound: has the address that it is bound to until it is needed, or NULL
 * @bound_emul: the emulation that @bound needs, or NULL
 * @dom: the memory table on @dev
 * @id: the connection, or the first of a listener
 * @ibqp: the device's queue pair
 * @cq: its completion queue
 * @local: address that it is bound to, family 0 if none
 * @peer: address of the peer
 * @timer: when an attempt to connect, or a connection that failed, ends
 * @params: options of the connection
 * @transport: how it is being connected
 * @resolve_tries: how many more times the peer is looked for
 * @any: the protocol to go back to while it is not yet chosen, else NULL
 * @mm: of the process that connects
 * @cred: of the process that connects
 * @settled: what qp_accept() waits for: the connection stands, or it failed
 * @err: why a connection could not be made
 * @aborted: it is not to be tried any further
 * @peer_qpn: number of the peer's queue pair, 0 if that is not known
 * @peer_port: its port, where its address does not say it, else 0
 * @closed: the descriptor is closed
 *
 * @send_lock: protects the sends
 * @phase: enum verbs_phase; changed under both locks, so either keeps it still
 * @waiting: sends not given to the device, in order
 * @posted: sends that it has, in order
 * @credits: how many more it takes
 * @max_inline: bytes that it takes inline
 * @invalidating: the first of @waiting is a LOCAL_INV that @work carries out
 *
 * @recv_lock: protects the receives
 * @recvs: ring of @nr_recvs receives; indices run freely
 * @nr_recvs: their number, a power of two
 * @recv_posted: next to give to the device
 * @recv_done: next that it completes
 * @recv_told: next to tell of
 * @recv_inv: the one at @recv_told waits for @work to end a registration
 * @recv_wakeup: user space is to call when it posts receives
 * @msgs: messages for recvmsg(), in order
 * @free_msgs: empty buffers
 * @lent_msgs: those without a buffer: a user in the kernel has it
 * @nr_msgs: buffers, wherever they are
 * @max_msgs: how many at most
 * @msg_posted: buffers that the device has
 * @msg_readers: callers of recvmsg() that wait
 *
 * @listeners: &verbs_listener.node, a listener's rdma_cm ids
 * @pending_lock: protects @pending and their number
 * @pending: &verbs_pending.node, connections to be accepted
 */
struct verbs_qp {
	struct qp_sock *qp;
	struct verbs_ud *ud;
	struct work_struct work;
	unsigned long todo;
	struct mutex attempt;	/* beginning and ending to connect */
	struct mutex teardown;	/* letting go of the device */
	struct verbs_dev *dev;
	struct list_head dev_node;
	struct verbs_emul *emul;
	struct rdma_cm_id *bound;
	struct verbs_emul *bound_emul;
	struct verbs_dom *dom;
	struct rdma_cm_id *id;
	struct ib_qp *ibqp;
	struct verbs_cq cq;
	struct sockaddr_storage local;
	struct sockaddr_storage peer;
	struct timer_list timer;
	struct verbs_params params;
	const struct verbs_transport *transport;
	unsigned int resolve_tries;
	const struct qp_proto *any;
	struct mm_struct *mm;
	const struct cred *cred;
	struct completion settled;
	int err;
	bool aborted;
	u32 peer_qpn;
	__be16 peer_port;
	bool closed;

	spinlock_t send_lock;	/* sends */
	u8 phase;
	struct list_head waiting;
	struct list_head posted;
	u32 credits;
	u32 max_inline;
	bool invalidating;

	spinlock_t recv_lock;	/* receives */
	struct verbs_recv *recvs;
	u32 nr_recvs;
	u32 recv_posted;
	u32 recv_done;
	u32 recv_told;
	bool recv_inv;
	bool recv_wakeup;
	struct list_head msgs;
	struct list_head free_msgs;
	struct list_head lent_msgs;
	u32 nr_msgs;
	u32 max_msgs;
	u32 msg_posted;
	u32 msg_readers;

	struct list_head listeners;
	spinlock_t pending_lock;	/* pending and their number */
	struct list_head pending;
};

static inline struct verbs_qp *verbs_qp(const struct qp_sock *qp)
{
	return qp->priv;
}

void verbs_todo(struct verbs_qp *v, int what);
void verbs_fail(struct verbs_qp *v);
void verbs_gone(struct verbs_qp *v);

/**
 * struct verbs_transport - a protocol that the engine speaks
 * @proto: as the core knows it
 * @node_type: RDMA_NODE_* of devices that speak it
 * @driver_id: driver of the emulation, of which more is known than of others
 * @emulation: link type of "rdma link add" that emulates it, NULL if none does
 * @fallback: what is tried if the far side does not speak it, or NULL
 * @match: does this port speak it?
 * @lid_gid: the interface ID of a GID that says no more than a LID; NULL if there
 *	are no LIDs
 * @gid_lid: the LID that such a one says, 0 if it is none
 */
struct verbs_transport {
	struct qp_proto *proto;
	u8 node_type;
	enum rdma_driver_id driver_id;
	const char *emulation;
	const struct verbs_transport *fallback;
	bool (*match)(struct ib_device *ibdev, u32 port);
	__be64 (*lid_gid)(u32 lid);
	u32 (*gid_lid)(const union ib_gid *gid);
};

extern const struct verbs_transport verbs_roce, verbs_iwarp, verbs_ib, verbs_opa;

const struct verbs_transport *verbs_transport_of(struct ib_device *ibdev,
						 u32 port);
const struct verbs_transport *verbs_transport_by_id(u32 id);

/* What all of them have in common */
#define VERBS_OPCODES	(BIT(QP_OP_SEND) | BIT(QP_OP_SEND_INV) |		\
			 BIT(QP_OP_WRITE) | BIT(QP_OP_READ) |		\
			 BIT(QP_OP_LOCAL_INV))
#define VERBS_IMM_OPCODES (BIT(QP_OP_SEND_IMM) | BIT(QP_OP_WRITE_IMM))
#define VERBS_ATOMIC_OPCODES (BIT(QP_OP_ATOMIC_CAS) | BIT(QP_OP_ATOMIC_ADD))

/* verbs_hw.c: the device's queue pair */
int verbs_attach(struct verbs_qp *v, struct rdma_cm_id *id);
int verbs_make_qp(struct verbs_qp *v, struct rdma_cm_id *id);
void verbs_end_qp(struct ib_qp *ibqp, struct rdma_cm_id *id);
void verbs_detach(struct verbs_qp *v);
void verbs_set_phase(struct verbs_qp *v, enum verbs_phase phase);

/* verbs_cq.c: the device's completions */
int verbs_cq_make(struct verbs_cq *cq, struct ib_device *ibdev, u32 entries);
void verbs_cq_end(struct verbs_cq *cq);
void verbs_cq_empty(struct verbs_cq *cq);
void verbs_spin(struct qp_sock *qp, enum qp_spin step);

/* verbs_ud.c: datagrams */
extern const struct qp_ud_ops verbs_ud_ops;

int verbs_ud_init(struct verbs_qp *v);
void verbs_ud_destroy(struct verbs_ud *ud);
int verbs_ud_start(struct verbs_qp *v, const struct sockaddr_storage *dst);
int verbs_ud_alloc(struct verbs_qp *v);
void verbs_ud_free(struct verbs_ud *ud);
void verbs_ud_drain(struct verbs_qp *v);
void verbs_ud_detach(struct verbs_qp *v);
u32 verbs_ud_list(struct verbs_ud *ud, u32 slot, const struct ib_sge *sge,
		  u32 num_sge, struct ib_sge **list);
void verbs_ud_move(struct verbs_ud *ud, u32 from, u32 to);
union rdma_network_hdr *verbs_ud_hdr(const struct verbs_ud *ud, u32 slot);
void verbs_ud_complete(const struct verbs_ud *ud, union rdma_network_hdr *hdr,
		       const struct ib_wc *wc);
bool verbs_ud_own(struct verbs_ud *ud, const union rdma_network_hdr *hdr,
		  const struct ib_wc *wc);
void verbs_ud_arrived(struct verbs_ud *ud, u32 slot);
void verbs_ud_info(const struct verbs_ud *ud, const union rdma_network_hdr *hdr,
		   struct sk_buff *skb);
void verbs_ud_src(const struct verbs_ud *ud, u32 slot, union verbs_src *src);

/* verbs_pool.c: receives that queue pairs for datagrams share */
struct verbs_pool *verbs_pool_get(struct verbs_qp *v, struct verbs_dev *dev);
void verbs_pool_put(struct verbs_pool *p);
int verbs_pool_make_qp(struct verbs_qp *v, struct rdma_cm_id *id,
		       struct ib_qp_init_attr *attr);
void verbs_pool_leave(struct verbs_qp *v);
void verbs_pool_destroy_qp(struct verbs_qp *v, struct rdma_cm_id *id);

/* verbs_service.c: answering who asks for a service ID */
int verbs_ud_route(struct net *net, int ifindex,
		   const struct sockaddr_storage *dst,
		   struct sockaddr_storage *src);
int verbs_serve(struct qp_service *s);
void verbs_unserve(struct qp_service *s);

/* verbs_ah.c: where datagrams go */
struct verbs_ah *verbs_ah_make(struct verbs_ud *ud, struct rdma_ah_attr *attr,
			       u32 qpn, u32 qkey);
void verbs_ah_put(struct verbs_ah *ah);
void verbs_ah_reap(struct verbs_ud *ud);
int verbs_ah_number(struct verbs_ud *ud, struct verbs_ah *ah, u32 *number);
void verbs_ah_detach(struct verbs_ud *ud);
void verbs_ah_end(struct verbs_ud *ud);
void *verbs_dest(struct qp_sock *qp, u32 handle, struct sockaddr_storage *name,
		 int len);
void verbs_dest_get(struct qp_sock *qp, void *dest);
void verbs_dest_put(struct qp_sock *qp, void *dest);
int verbs_ah_create(struct qp_sock *qp, struct qp_ah *qah,
		    struct sockaddr_storage *addr);
int verbs_ah_destroy(struct qp_sock *qp, u32 handle);
void *verbs_resolve_attr(struct qp_sock *qp, struct sockaddr_storage *name,
			 int len, struct qp_attr *attr);
int verbs_ud_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len);

/* verbs_mcast.c: multicast */
bool verbs_group_loop(const struct verbs_ud *ud, const union ib_gid *gid);
struct verbs_ah *verbs_group_dest(struct verbs_ud *ud,
				  const struct sockaddr_storage *addr);
int verbs_join(struct qp_sock *qp, struct qp_mcast *mcast,
	       struct sockaddr_storage *addr);
int verbs_leave(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
void verbs_groups_rejoin(struct work_struct *work);
void verbs_groups_detach(struct verbs_ud *ud);
void verbs_groups_end(struct verbs_ud *ud);

/* verbs_conn.c: connections */
int verbs_bind(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
void verbs_unbind(struct verbs_qp *v);
int verbs_port_err(int err);
int verbs_bind_id(struct net *net, struct rdma_cm_id *id,
		  const struct verbs_transport *t,
		  struct sockaddr_storage *addr, struct verbs_emul **emul);
int verbs_bind_once(struct rdma_cm_id *id, const struct verbs_transport *t,
		    struct sockaddr_storage *addr, bool afonly);
int verbs_event_err(const struct rdma_cm_event *event);
int verbs_ask_route(struct rdma_cm_id *id);
int verbs_listen(struct qp_sock *qp);
int verbs_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		  long *timeo);
int verbs_accept(struct qp_sock *listener, struct qp_sock *qp);
int verbs_shutdown(struct qp_sock *qp, int how);
void verbs_unlisten(struct verbs_qp *v);
void verbs_conn_abort(struct verbs_qp *v, int err);
void verbs_conn_resolve(struct verbs_qp *v);
void verbs_conn_failed(struct verbs_qp *v);
void verbs_forget(struct verbs_qp *v);
void verbs_conn_timeout(struct timer_list *timer);

/* verbs_param.c: options of a connection */
void verbs_params_init(struct verbs_params *p);
int verbs_set_param(struct qp_sock *qp, int opt, u32 val);
int verbs_get_param(struct qp_sock *qp, int opt, u32 *val);
void verbs_params_apply(struct verbs_qp *v, struct rdma_cm_id *id);
void verbs_params_route(struct verbs_qp *v, struct rdma_cm_id *id);

/* verbs_info.c: what others are told of it */
void verbs_info(struct qp_sock *qp, void *dest, struct qp_backend *info);

/**
 * struct verbs_side - whose address user space has given
 * @net: network namespace
 * @ifindex: the only netdevice, or 0
 * @type: of the queue pair, enum qp_type
 * @proto: its protocol, or QP_PROTO_ANY
 * @local: family of the own address, 0 if that is not known yet
 * @own: it is to be the own address
 */
struct verbs_side {
	struct net *net;
	int ifindex;
	u32 type;
	u32 proto;
	sa_family_t local;
	bool own;
};

/* verbs_native.c: ports with GIDs of their own */
bool verbs_native_own(struct net *net, int ifindex, const struct sockaddr_ib *ib);
int verbs_native_leads(struct net *net, int ifindex, const struct sockaddr_ib *ib);
int verbs_native_route(struct net *net, int ifindex, const struct sockaddr_ib *dst,
		       struct sockaddr_ib *src);
bool verbs_native_pkey(struct net *net, u16 pkey);
int verbs_native_lid_path(struct rdma_cm_id *id, u32 lid, struct sa_path_rec *rec);
void verbs_native_init(void);
void verbs_native_exit(void);

/* verbs_gid.c: AF_IB addresses */
int verbs_gid_take(const struct verbs_side *s, const struct sockaddr_ib *ib,
		   struct sockaddr_storage *to);
bool verbs_same_partition(const struct sockaddr_storage *a,
			  const struct sockaddr_storage *b);
int verbs_join_partition(const struct sockaddr_storage *own,
			 struct sockaddr_storage *peer);
void verbs_gid_show(u32 type, const struct sockaddr *from, struct sockaddr_ib *ib);
void verbs_gid_src(const struct qp_sock *qp, union verbs_src *src);

/* verbs_addr.c: addresses, and which of ours leads to a peer */
int verbs_route(struct net *net, int oif, const struct sockaddr_storage *dst,
		struct sockaddr_storage *src);
int verbs_set_out(struct net *net, int oif, const struct sockaddr_storage *any,
		  const struct sockaddr_storage *dst, struct sockaddr_storage *src);
int verbs_addr_take(const struct verbs_side *s, const struct sockaddr_storage *addr,
		    int len, struct sockaddr_storage *to);
int verbs_peer_take(const struct qp_sock *qp, const struct sockaddr_storage *addr,
		    int len, struct sockaddr_storage *to);
int verbs_own_take(const struct qp_sock *qp, const struct sockaddr_storage *addr,
		   int len, struct sockaddr_storage *to);
int verbs_addr_show(int domain, u32 type, const struct sockaddr *from, void *to);
void verbs_addr_of_id(const struct rdma_cm_id *id,
		      const struct sockaddr_storage *from,
		      struct sockaddr_storage *to);
bool verbs_addr_any(const struct sockaddr_storage *addr);
bool verbs_addr_multicast(const struct sockaddr_storage *addr);
bool verbs_addr_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
void verbs_addr_set_port(struct sockaddr_storage *addr, __be16 port);
__be16 verbs_addr_port(const struct sockaddr_storage *addr);
u16 verbs_addr_pkey(const struct sockaddr_storage *addr);
int verbs_addr_ifindex(struct net *net, const struct sockaddr_storage *addr);

/* verbs_send.c, verbs_recv.c, verbs_msg.c */
void verbs_post_send(struct qp_sock *qp, struct qp_wr *wr);
void verbs_send_run(struct verbs_qp *v);
void verbs_send_invalidate(struct verbs_qp *v);
void verbs_send_drained(struct verbs_qp *v);
void verbs_send_end(struct verbs_qp *v);
bool verbs_send_idle(struct verbs_qp *v);
int verbs_recv_alloc(struct verbs_qp *v);
void verbs_recv_run(struct verbs_qp *v);
bool verbs_recv_wanted(const struct verbs_qp *v);
void verbs_recv_invalidate(struct verbs_qp *v);
void verbs_recv_undo(struct verbs_qp *v);
void verbs_recv_free(struct verbs_qp *v);
u32 verbs_msg_max(const struct verbs_qp *v);
int verbs_msg_alloc(struct verbs_qp *v);
void verbs_msg_free(struct verbs_qp *v);
struct verbs_msg *verbs_msg_next(struct verbs_qp *v);
void verbs_msg_end(struct verbs_qp *v, struct verbs_msg *msg,
		   const struct qp_cqe *cqe, const union verbs_src *src);
void verbs_msg_up(struct verbs_qp *v, struct verbs_msg *msg,
		  const struct qp_cqe *cqe, u32 slot);
bool verbs_msg_waits(const struct verbs_qp *v);
int verbs_give(struct qp_sock *qp, struct sk_buff *skb);
int verbs_recvmsg(struct qp_sock *qp, struct msghdr *msg, size_t len, int flags);

extern struct workqueue_struct *verbs_wq;

#endif /* _QP_VERBS_H */
