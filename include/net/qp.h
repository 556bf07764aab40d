/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pairs: the API between the core (net/qp/), its protocols and its users
 *
 * A work request goes down: the core copies it once from the user's ring,
 * checks the copy and hands it to the protocol. A completion goes up: the
 * protocol calls qp_send_done() or qp_recv_done(), and the core writes it
 * once into the user's ring.
 */
#ifndef _NET_QP_H
#define _NET_QP_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <net/sock.h>
#include <uapi/linux/qp.h>

struct iov_iter;
struct qp_cq;
struct qp_mr;
struct qp_mtable;
struct qp_seat;
struct qp_sock;

/**
 * struct qp_mem_ops - registering memory with devices
 * @reg: make @mr known to the devices of its table. Returns 0, or 1 if there is
 *	no device yet: the core pins the memory meanwhile
 * @dereg: the opposite; waits for accesses of devices
 * @rkey: the key to give to the peers of @qp, 0 if it has no device
 * @free: the last registration of the table is gone: free &qp_mtable.priv
 *
 * For protocols whose devices access memory by keys of their own. All may
 * sleep; @reg runs in the process whose memory it is.
 */
struct qp_mem_ops {
	int (*reg)(struct qp_mr *mr);
	void (*dereg)(struct qp_mr *mr);
	u32 (*rkey)(const struct qp_sock *qp, const struct qp_mr *mr);
	void (*free)(struct qp_mtable *table);
};

/* struct qp_opinfo.flags */
#define QP_OPF_SGE	BIT(0)	/* has a gather or scatter list */
#define QP_OPF_INLINE	BIT(1)	/* may carry inline data */
#define QP_OPF_IMM	BIT(2)	/* carries immediate data */
#define QP_OPF_INV	BIT(3)	/* names a key to invalidate */
#define QP_OPF_REMOTE	BIT(4)	/* names remote memory */
#define QP_OPF_SINK	BIT(5)	/* its list is written, not read */
#define QP_OPF_ATOMIC	BIT(6)	/* works on 8 bytes atomically */
#define QP_OPF_SWAP	BIT(7)	/* has a second operand */
#define QP_OPF_LOCAL	BIT(8)	/* concerns own memory only */
#define QP_OPF_PAYLOAD	BIT(9)	/* its data go into the receive's buffer */

/**
 * struct qp_opinfo - what is to be known of a send opcode
 * @name: for messages and tests
 * @flags: QP_OPF_*
 * @access: right that the remote memory must grant, QP_ACCESS_REMOTE_*
 * @recv: opcode of the completion of the peer's receive, 0 if it takes none
 */
struct qp_opinfo {
	const char *name;
	u16 flags;
	u8 access;
	u8 recv;
};

extern const struct qp_opinfo qp_opinfo[QP_OP_LAST];

/**
 * struct qp_wr - a send work request that the core accepted
 * @node: for the protocol's queue, from &qp_proto.post_send to qp_send_done()
 * @op: its row in the table of opcodes
 * @length: bytes of the message, at most QP_MAX_MSG
 * @done: bytes that the protocol has moved
 * @status: enum qp_wc_status: unless QP_WC_SUCCESS it is malformed, and the
 *	protocol completes it with this when its turn comes, and fails
 * @data: kernel buffer that holds the message, or NULL: it is in @sqe.sge.
 *	Inline data and sendmsg() have one
 * @dest: where a datagram goes, from &qp_ud_ops.dest; the protocol puts it
 * @msg: from sendmsg(): no completion, outlives the sender's close
 * @priv: the protocol's part, of &qp_proto.wr_priv bytes
 * @sqe: the user's entry, copied and checked
 */
struct qp_wr {
	struct list_head node;
	const struct qp_opinfo *op;
	u32 length;
	u32 done;
	u16 status;
	void *data;
	void *dest;
	bool msg;
	void *priv;
	struct qp_sqe sqe;
};

/**
 * struct qp_rwr - a receive work request taken from the receive queue
 * @user_data: as in the user's entry
 * @length: bytes that it has room for
 * @num_sge: entries in @sge
 * @sge: scatter list, copied
 */
struct qp_rwr {
	u64 user_data;
	u64 length;
	u16 num_sge;
	struct qp_sge sge[QP_MAX_SGE];
};

/**
 * struct qp_ud_ops - datagrams
 * @dest: where a message to the address @name, or if that is NULL by the
 *	handle @ah, goes; handle 0 is what was connected to. Sleeps for a name
 *	only. Returns it for &qp_wr.dest, or an error
 * @dest_put: a message was not posted after all
 * @ah_create: make a handle for &qp_ah.qpn at @addr, or if that is 0 for what
 *	the peer calls @addr
 * @ah_destroy: end a handle; messages that were posted are still sent
 * @join: join the group @addr
 * @leave: leave it
 *
 * Operations run in process context, and but for @dest may sleep.
 */
struct qp_ud_ops {
	void *(*dest)(struct qp_sock *qp, u32 ah,
		      struct sockaddr_storage *name, int len);
	void (*dest_put)(struct qp_sock *qp, void *dest);
	int (*ah_create)(struct qp_sock *qp, struct qp_ah *ah,
			 struct sockaddr_storage *addr);
	int (*ah_destroy)(struct qp_sock *qp, u32 ah);
	int (*join)(struct qp_sock *qp, struct qp_mcast *mcast,
		    struct sockaddr_storage *addr);
	int (*leave)(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
};

/* Send opcodes of queue pairs for datagrams */
#define QP_UD_OPCODES	(BIT(QP_OP_SEND) | BIT(QP_OP_SEND_IMM))

/* &qp_proto.spin */
enum qp_spin {
	QP_SPIN_BEGIN,		/* QP_SPIN_LOOK comes soon and often */
	QP_SPIN_LOOK,		/* see what is complete */
	QP_SPIN_END,		/* and comes no more */
};

/**
 * struct qp_proto - a protocol that queue pairs speak
 * @name: as in /proc/net/qp
 * @id: enum qp_protocol
 * @domains: address families that it serves, bits 1ULL << AF_*
 * @types: types of queue pair, bits 1 << enum qp_type
 * @opcodes: send opcodes, bits 1 << enum qp_opcode
 * @wr_priv: bytes that it keeps with each send work request
 * @contiguous: kernel buffers are handed to devices: they come from kmalloc()
 * @mem_ops: how memory is registered, NULL if the core pins it
 * @ud_ops: datagrams; there if QP_UD is in @types
 * @owner: the module; held by each queue pair
 * @list: the core's
 * @init: a queue pair was made; sets &qp_sock.priv
 * @destroy: the last reference to it goes; frees &qp_sock.priv. Atomic
 * @release: its descriptor was closed: leave the connection, complete all
 *	work. Nobody calls in any more on behalf of this descriptor
 * @bind: give it a local address, once, before anything else. @addr has at
 *	least @len bytes, the family in it is checked
 * @listen: accept up to @backlog connections that wait
 * @connect: as &proto_ops.connect; called with the socket lock held
 * @accept_wait: wait until a connection waits, 0, or up to @timeo jiffies
 * @accept: connect @qp with the first connection that waits; -EAGAIN if
 *	there is none
 * @shutdown: @how is RCV_SHUTDOWN | SEND_SHUTDOWN or one of them
 * @getname: as &proto_ops.getname. May not sleep
 * @poll: the events that the protocol knows of. May not sleep
 * @post_send: queue @wr; it comes back through qp_send_done(). Called in the
 *	order of posting, under the send queue's mutex (ring) or none (sendmsg)
 * @kick: start work: sends were posted or the user came by and may have
 *	posted receives. May sleep
 * @spin: a caller looks for completions for a while: they are told of without
 *	delay by QP_SPIN_LOOK. May not sleep. NULL if that needs no help
 * @recvmsg: as &proto_ops.recvmsg
 * @set_proto: speak the protocol @proto, which has the same operations, from
 *	now on; under the socket lock. NULL if there is no choice
 * @set_param: set an option of the connection, QP_PATH_MTU to QP_ACK_TIMEOUT;
 *	under the socket lock. NULL if there are none
 * @get_param: get one
 *
 * Unless stated otherwise operations run in process context and may sleep.
 */
struct qp_proto {
	const char *name;
	u32 id;
	u64 domains;
	u32 types;
	u32 opcodes;
	u32 wr_priv;
	bool contiguous;
	const struct qp_mem_ops *mem_ops;
	const struct qp_ud_ops *ud_ops;
	struct module *owner;
	struct list_head list;

	int (*init)(struct qp_sock *qp);
	void (*destroy)(struct qp_sock *qp);
	void (*release)(struct qp_sock *qp);
	int (*bind)(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
	int (*listen)(struct qp_sock *qp, u32 backlog);
	int (*connect)(struct qp_sock *qp, struct sockaddr_storage *addr,
		       int len, int flags);
	int (*accept_wait)(struct qp_sock *qp, long timeo);
	int (*accept)(struct qp_sock *listener, struct qp_sock *qp);
	int (*shutdown)(struct qp_sock *qp, int how);
	int (*getname)(struct qp_sock *qp, struct sockaddr_storage *addr,
		       bool peer);
	__poll_t (*poll)(struct qp_sock *qp);
	void (*post_send)(struct qp_sock *qp, struct qp_wr *wr);
	void (*kick)(struct qp_sock *qp);
	void (*spin)(struct qp_sock *qp, enum qp_spin step);
	int (*recvmsg)(struct qp_sock *qp, struct msghdr *msg, size_t len,
		       int flags);
	int (*set_proto)(struct qp_sock *qp, const struct qp_proto *proto);
	int (*set_param)(struct qp_sock *qp, int opt, u32 val);
	int (*get_param)(struct qp_sock *qp, int opt, u32 *val);
};

/* The send opcodes of a queue pair of this type */
static inline u32 qp_proto_opcodes(const struct qp_proto *proto, u32 type)
{
	return type == QP_UD ? proto->opcodes & QP_UD_OPCODES : proto->opcodes;
}

int qp_proto_register(struct qp_proto *proto);
void qp_proto_unregister(struct qp_proto *proto);

/* Protocols are loaded by "qp-proto-DOMAIN" */
#define MODULE_ALIAS_QP_PROTO(domain) \
	MODULE_ALIAS("qp-proto-" __stringify(domain))

/* A ring shared with user space; net/qp/ring.h has the operations */
struct qp_ring {
	void *mem;
	u32 entries;
	u32 entry_size;
};

/*
 * Send queue. Work requests complete in the order of posting, so a request's
 * place in @wrs follows from its number: @posted and @completed run freely.
 */
struct qp_sq {
	struct mutex lock;	/* taking entries from the ring */
	struct qp_ring ring;
	u32 head;		/* next entry to take, written under @lock */
	u32 posted;		/* written under @lock */
	u32 completed;		/* written by qp_send_done() */
	size_t wr_size;
	void *wrs;
};

/* Receive queue */
struct qp_rq {
	spinlock_t lock;	/* taking entries from the ring */
	struct qp_ring ring;
	u32 head;		/* next entry to take, under @lock */
};

/**
 * struct qp_sock - a queue pair
 * @sk: the socket, first member. sk_state: see qp_state()
 * @proto: its protocol
 * @priv: the protocol's part
 * @domain: address family that it was made for
 * @type: enum qp_type
 * @qpn: its number in the network namespace
 * @max_sge: entries of a gather/scatter list
 * @max_sge_rd: entries of a READ's; no more than that, if a device says less
 * @max_inline: bytes of inline data
 * @opcodes: send opcodes, bits 1 << enum qp_opcode
 * @max_msg: bytes of a message, at most
 * @port_qpn: its number on its port, 0 while it has none
 * @port_qkey: its Q_Key there
 * @closing: its descriptor is closed: what takes long ends
 * @recvs: receives taken by qp_recv_take() and not yet completed
 * @mem: the memory table, shared or not
 * @cq: the completion queue, shared or not; NULL if it has none
 * @sq: send queue
 * @rq: receive queue
 * @seat: at the thread that takes work from @sq, NULL without QP_SQPOLL
 * @msg_bytes: bytes that sendmsg() queued, limited by SO_SNDBUF
 * @tx_msgs: messages sent
 * @tx_bytes: bytes sent
 * @rx_msgs: messages received
 * @rx_bytes: bytes received
 */
struct qp_sock {
	struct sock sk;
	const struct qp_proto *proto;
	void *priv;
	int domain;
	u32 type;
	u32 qpn;
	u32 max_sge;
	u32 max_sge_rd;
	u32 max_inline;
	u32 opcodes;
	u32 max_msg;
	u32 port_qpn;
	u32 port_qkey;
	bool closing;
	atomic_t recvs;
	struct qp_mtable *mem;
	struct qp_cq *cq;
	struct qp_sq sq;
	struct qp_rq rq;
	struct qp_seat *seat;
	atomic_t msg_bytes;
	atomic64_t tx_msgs;
	atomic64_t tx_bytes;
	atomic64_t rx_msgs;
	atomic64_t rx_bytes;
};

static inline struct qp_sock *qp_sk(const struct sock *sk)
{
	return (struct qp_sock *)sk;
}

/* enum qp_state lives in sk_state, under the names that sock_diag knows */
static inline enum qp_state qp_state(const struct qp_sock *qp)
{
	/* Pairs with qp_set_state() */
	switch (smp_load_acquire(&qp->sk.sk_state)) {
	case TCP_LISTEN:
		return QP_STATE_LISTEN;
	case TCP_SYN_SENT:
		return QP_STATE_CONNECTING;
	case TCP_ESTABLISHED:
		return QP_STATE_RTS;
	case TCP_CLOSING:
		return QP_STATE_ERROR;
	default:
		return QP_STATE_IDLE;
	}
}

void qp_set_state(struct qp_sock *qp, enum qp_state state);
void qp_wake(struct qp_sock *qp, __poll_t events);
void qp_hangup(struct qp_sock *qp);

/* sysctl net.qp.emulation */
enum qp_emulation {
	QP_EMULATION_OFF,	/* never make a device */
	QP_EMULATION_ON_DEMAND,	/* make one, remove it when it is not needed */
	QP_EMULATION_KEEP,	/* make one, and keep it */
};

enum qp_emulation qp_net_emulation(const struct net *net);

/* Who is at an end of a connection, for SO_PEERCRED and SO_PEERPIDFD */
struct qp_cred {
	struct pid *pid;
	const struct cred *cred;
};

int qp_cred_get_current(struct qp_cred *c);
void qp_cred_put(struct qp_cred *c);
void qp_cred_set_peer(struct qp_sock *qp, const struct qp_cred *c);

/* Work: net/qp/wr.c */
void qp_send_done(struct qp_sock *qp, struct qp_wr *wr, u16 status);
bool qp_recv_ready(struct qp_sock *qp);
int qp_recv_get(struct qp_sock *qp, struct qp_rwr *rwr);
void qp_recv_done(struct qp_sock *qp, const struct qp_rwr *rwr, u16 status,
		  const struct qp_wr *wr, u32 byte_len);
int qp_recv_take(struct qp_sock *qp, struct qp_rwr *rwr);
void qp_recv_taken(struct qp_sock *qp);
void qp_recv_untake(struct qp_sock *qp, u32 n);
bool qp_recv_report(struct qp_sock *qp, const struct qp_cqe *cqe,
		    const void *src);
u32 qp_recv_room(struct qp_sock *qp);
bool qp_recv_pending(struct qp_sock *qp);
void qp_recv_flush(struct qp_sock *qp);
void qp_recv_need_wakeup(struct qp_sock *qp, bool need);
u32 qp_sends_outstanding(const struct qp_sock *qp);
bool qp_send_room(const struct qp_sock *qp);

/**
 * struct qp_mr - a memory registration
 * @node: in &qp_net.mrs
 * @table_node: in &qp_mtable.mrs
 * @rcu: look-ups may still read it
 * @ref: one of the table while it is valid, one of each access in progress
 * @key: lkey, and rkey if @access has a remote right
 * @access: QP_ACCESS_*
 * @dead: deregistered: accesses in progress end
 * @addr: address of the first byte in the process that registered it, or its
 *	offset in the dma-buf
 * @base: address of the first byte, as work requests name it
 * @fd: when &qp_mem_ops.reg begins a descriptor of its dma-buf, which nobody may
 *	look at afterwards; else -1
 * @length: bytes
 * @offset: of the first byte in the first page
 * @nr_pages: entries in @pages
 * @pages: pinned; NULL if devices have them
 * @user: charged with the locked memory, NULL if exempt
 * @mm: whose memory it is
 * @priv: of the protocol that registers with devices
 * @table: where it is, or was
 * @idle: completed when the last access ended, if somebody waits
 */
struct qp_mr {
	struct rhash_head node;
	struct list_head table_node;
	struct rcu_head rcu;
	refcount_t ref;
	u32 key;
	u32 access;
	bool dead;
	u64 addr;
	u64 base;
	int fd;
	u64 length;
	unsigned int offset;
	unsigned long nr_pages;
	struct page **pages;
	struct user_struct *user;
	struct mm_struct *mm;
	void *priv;
	struct qp_mtable *table;
	struct completion *idle;
};

/**
 * struct qp_mtable - registrations that queue pairs share
 * @users: queue pairs that use it; the registrations end with the last one
 * @ref: one of the users, one of each registration not yet freed
 * @net: charged with the registrations, referenced
 * @ops: how memory is registered with devices, NULL if there are none
 * @priv: of the protocol that has @ops
 * @lock: protects @mrs
 * @mrs: valid registrations
 * @nr: registrations, valid or with an access in progress
 * @bytes: bytes of them
 */
struct qp_mtable {
	refcount_t users;
	refcount_t ref;
	struct net *net;
	const struct qp_mem_ops *ops;
	void *priv;
	spinlock_t lock;		/* @mrs */
	struct list_head mrs;
	atomic_t nr;
	atomic64_t bytes;
};

/* Memory: net/qp/mem.c */
struct qp_mr *qp_mr_get(struct qp_mtable *table, u32 key, u64 addr, u64 len,
			u32 access, u64 *offset);
void qp_mr_put(struct qp_mr *mr);
bool qp_mr_dead(const struct qp_mr *mr);
int qp_mr_invalidate(struct qp_mtable *table, u32 key, bool remote);
struct qp_mr *qp_mr_find(const struct qp_mtable *table, u32 key);
void qp_mr_unpin(struct qp_mr *mr);
void qp_mtable_ref(struct qp_mtable *table);
void qp_mtable_unref(struct qp_mtable *table);

/* Is it a part of a dma-buf? Those are known to devices only, and to those that
 * there were when it was registered.
 */
static inline bool qp_mr_is_dmabuf(const struct qp_mr *mr)
{
	return mr->access & QP_ACCESS_DMABUF;
}

/**
 * qp_mr_check() - may this be done with registered memory?
 * @mr: the registration
 * @addr: address in it
 * @len: bytes, not 0
 * @access: rights that it must grant, QP_ACCESS_*
 *
 * Return: 0; -EACCES (right not granted), -ERANGE (outside of it).
 */
static inline int qp_mr_check(const struct qp_mr *mr, u64 addr, u64 len,
			      u32 access)
{
	if ((mr->access & access) != access)
		return -EACCES;
	if (addr < mr->base || addr - mr->base > mr->length ||
	    len > mr->length - (addr - mr->base))
		return -ERANGE;
	return 0;
}

/*
 * A place in memory that bytes are copied from or to: a list of pieces of
 * registered memory, or one kernel buffer. See net/qp/copy.c
 */
struct qp_seg {
	struct qp_mr *mr;	/* referenced */
	u64 offset;		/* from the start of its first page, bytes */
	u32 length;
};

struct qp_cursor {
	void *data;		/* the kernel buffer, or NULL */
	u32 num;		/* pieces */
	u32 cur;		/* piece at which the cursor stands */
	u64 pos;		/* bytes into the piece or the buffer */
	struct qp_seg seg[QP_MAX_SGE];
};

void qp_cursor_data(struct qp_cursor *c, void *data, u32 done);
int qp_cursor_sge(struct qp_cursor *c, struct qp_mtable *table,
		  const struct qp_sge *sge, u32 num_sge, u32 access,
		  u32 length, u32 done);
int qp_cursor_remote(struct qp_cursor *c, struct qp_mtable *table, u32 key,
		     u64 addr, u32 length, u32 access, u32 done);
void qp_cursor_put(struct qp_cursor *c);
bool qp_cursor_valid(const struct qp_cursor *c);
void qp_copy(struct qp_cursor *dst, struct qp_cursor *src, size_t len);
size_t qp_copy_to_iter(struct qp_cursor *src, size_t len, struct iov_iter *to);
u64 qp_atomic(struct qp_cursor *target, const struct qp_wr *wr);

#endif /* _NET_QP_H */
