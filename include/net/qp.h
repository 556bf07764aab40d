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
#include <linux/unaligned.h>
#include <net/sock.h>
#include <uapi/linux/ib_diag.h>
#include <uapi/linux/qp.h>

struct iov_iter;
struct qp_attr;
struct qp_backend;
struct qp_cq;
struct qp_mib;
struct qp_mr;
struct qp_mtable;
struct qp_seat;
struct qp_service;
struct qp_sock;
struct qp_user;

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
 * @skb: @data is this one's, from qp_kern_send()
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
	struct sk_buff *skb;
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
 * @dest_get: one more message goes there
 * @dest_put: a message was not posted after all
 * @ah_create: make a handle for &qp_ah.qpn at @addr, or if that is 0 for what
 *	the peer calls @addr
 * @ah_destroy: end a handle; messages that were posted are still sent
 * @join: join the group @addr
 * @leave: leave it
 * @resolve: as @dest, for what a user in the kernel knows of @name; always
 *	sleeps
 * @route: find the own address to talk to @dst from, see qp_kern_route()
 * @has_pkey: see qp_kern_has_pkey()
 * @serve: answer who asks for the service ID &qp_service.addr, which is
 *	completed; sets &qp_service.priv
 * @unserve: answer no more
 * @connect: have messages that say nothing themselves go to @addr, or if its
 *	family is AF_UNSPEC nowhere; under the socket lock
 *
 * Operations run in process context, and but for @dest may sleep.
 */
struct qp_ud_ops {
	void *(*dest)(struct qp_sock *qp, u32 ah,
		      struct sockaddr_storage *name, int len);
	void (*dest_get)(struct qp_sock *qp, void *dest);
	void (*dest_put)(struct qp_sock *qp, void *dest);
	int (*ah_create)(struct qp_sock *qp, struct qp_ah *ah,
			 struct sockaddr_storage *addr);
	int (*ah_destroy)(struct qp_sock *qp, u32 ah);
	int (*join)(struct qp_sock *qp, struct qp_mcast *mcast,
		    struct sockaddr_storage *addr);
	int (*leave)(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
	void *(*resolve)(struct qp_sock *qp, struct sockaddr_storage *name,
			 int len, struct qp_attr *attr);
	int (*route)(struct net *net, int ifindex,
		     const struct sockaddr_storage *dst,
		     struct sockaddr_storage *src);
	bool (*has_pkey)(struct net *net, u16 pkey);
	int (*serve)(struct qp_service *s);
	void (*unserve)(struct qp_service *s);
	int (*connect)(struct qp_sock *qp, struct sockaddr_storage *addr,
		       int len);
};

/* The longest datagram: a packet of the largest MTU (IBA v1 9.4.6), bytes */
#define QP_MAX_DGRAM	4096

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
 * @listen: let peers connect. Those that wait for qp_accept() are counted by
 *	sk_acceptq_added() and sk_acceptq_removed(), as many as
 *	qp_backlog_room() allows, and qp_wake() tells of them
 * @connect: begin to connect a queue pair in QP_STATE_IDLE to @addr, whose
 *	family is checked; under the socket lock. If beginning has to wait, it
 *	does so up to *@timeo jiffies, takes what it waited off that, and lets
 *	go of the lock meanwhile. It forgets what an earlier attempt left in
 *	sk_err. Returns 0 once the state is QP_STATE_CONNECTING, which ends with
 *	qp_wake(): as QP_STATE_RTS, or as QP_STATE_IDLE with the reason in
 *	sk_err. The core waits for that
 * @accept: connect @qp with the first connection that waits; -EAGAIN if
 *	there is none
 * @shutdown: end a connection in QP_STATE_RTS; @how is RCV_SHUTDOWN |
 *	SEND_SHUTDOWN or one of them. Under the socket lock
 * @getname: as &proto_ops.getname; that of a peer, if there is or was one. May
 *	not sleep
 * @poll: what there is to be read on a connection in QP_STATE_RTS: EPOLLIN |
 *	EPOLLRDNORM, with EPOLLRDHUP if it is the end. May not sleep
 * @post_send: queue @wr; it comes back through qp_send_done(). Called in the
 *	order of posting, under the send queue's mutex (ring) or none (sendmsg)
 * @kick: start work: sends were posted or the user came by and may have
 *	posted receives. May sleep
 * @push: start work on sends alone. May not sleep, and a user in the kernel may
 *	call it as it is told of a message
 * @give: a message of a user in the kernel can be received into @skb, which is
 *	consumed if this succeeds. -ENOBUFS: all have their buffers. NULL if there
 *	are no such users
 * @spin: a caller looks for completions for a while: they are told of without
 *	delay by QP_SPIN_LOOK. May not sleep. NULL if that needs no help
 * @recvmsg: as &proto_ops.recvmsg
 * @set_proto: speak the protocol @proto, which has the same operations, from
 *	now on; under the socket lock. NULL if there is no choice
 * @set_param: set an option of the connection, QP_PATH_MTU to QP_ACK_TIMEOUT;
 *	under the socket lock. NULL if there are none
 * @get_param: get one
 * @info: fill in what is known of the device's queue pair, and of the way to the
 *	peer, or for datagrams to @dest, from &qp_ud_ops.resolve, if that is not NULL.
 *	May not wait: what is being changed just now is not known. NULL if there is
 *	no device
 * @abort: end it at once: a connection or an attempt to make one, listening, or
 *	datagrams. The reason is in sk_err and stays there. Under the socket lock
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
	int (*listen)(struct qp_sock *qp);
	int (*connect)(struct qp_sock *qp, struct sockaddr_storage *addr,
		       int len, long *timeo);
	int (*accept)(struct qp_sock *listener, struct qp_sock *qp);
	int (*shutdown)(struct qp_sock *qp, int how);
	int (*getname)(struct qp_sock *qp, struct sockaddr_storage *addr,
		       bool peer);
	__poll_t (*poll)(struct qp_sock *qp);
	void (*post_send)(struct qp_sock *qp, struct qp_wr *wr);
	void (*kick)(struct qp_sock *qp);
	void (*push)(struct qp_sock *qp);
	int (*give)(struct qp_sock *qp, struct sk_buff *skb);
	void (*spin)(struct qp_sock *qp, enum qp_spin step);
	int (*recvmsg)(struct qp_sock *qp, struct msghdr *msg, size_t len,
		       int flags);
	int (*set_proto)(struct qp_sock *qp, const struct qp_proto *proto);
	int (*set_param)(struct qp_sock *qp, int opt, u32 val);
	int (*get_param)(struct qp_sock *qp, int opt, u32 *val);
	void (*info)(struct qp_sock *qp, void *dest, struct qp_backend *info);
	void (*abort)(struct qp_sock *qp);
};

/**
 * struct qp_backend - what a protocol knows of its device's queue pair
 * @path: the device, and the way to the peer; no device if its name is empty
 * @peer_qpn: number of the peer's, 0 if that is not known
 * @sends: how much more the device takes at once
 * @recvs: receives that it has
 * @timed: there is a time at which an attempt to connect, or a connection that has
 *	failed, ends
 * @expires: that time, jiffies
 */
struct qp_backend {
	struct ib_diag_path path;
	u32 peer_qpn;
	u32 sends;
	u32 recvs;
	bool timed;
	unsigned long expires;
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
 * @nr_bufs: as &qp_kern.bufs
 * @buf_size: as &qp_kern.buf_size
 * @hello: as &qp_kern.hello
 * @connect_time: as &qp_kern.connect_time
 * @reuse: as &qp_kern.reuse
 * @tclass: as &qp_kern.tclass, if @user is not NULL
 * @hop_limit: likewise
 * @sl: likewise
 * @heard: the same of the peer, once the connection is made
 * @made: it has all its parts: others may end it. Set once
 * @closing: its descriptor is closed: what takes long ends. Written under the
 *	socket lock
 * @user: who has it if it has no descriptor, else NULL
 * @user_priv: for @user
 * @reader: where @user says on which processor datagrams are read: its number plus
 *	one, negative as long as who reads there sleeps; 0 if that is not known. Or NULL
 * @interrupted: a signal or timeout ended qp_connect() while it waited. Under
 *	the socket lock
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
 * @mib: counters of the network namespace
 * @counted: what of it is counted there, bits of net/qp/stats.h
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
	u32 nr_bufs;
	u32 buf_size;
	__be64 hello;
	unsigned long connect_time;
	bool reuse;
	s16 tclass;
	s16 hop_limit;
	s16 sl;
	__be64 heard;
	bool made;
	bool closing;
	const struct qp_user *user;
	void *user_priv;
	const int *reader;
	bool interrupted;
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
	struct qp_mib __percpu *mib;
	unsigned long counted;
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

/* May one more connection wait at this listener? */
static inline bool qp_backlog_room(const struct qp_sock *l)
{
	return READ_ONCE(l->sk.sk_ack_backlog) <
	       READ_ONCE(l->sk.sk_max_ack_backlog);
}

bool qp_busy_poll(const struct net *net, bool (*over)(const void *arg), const void *arg,
		  const ktime_t *expires);
void qp_set_state(struct qp_sock *qp, enum qp_state state);
void qp_wake(struct qp_sock *qp, __poll_t events);
void qp_hangup(struct qp_sock *qp);
void qp_changed(struct qp_sock *qp);

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
 * @qpn: number of the queue pair by which it was registered
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
	u32 qpn;
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

/*
 * Users in the kernel: net/qp/kern.c
 */

/**
 * struct qp_user - who has a queue pair without a descriptor
 * @recv: a message has come: @skb has its bytes and QP_RMSG(). True: it is
 *	consumed; on a connection the queue pair has one buffer less then, until
 *	qp_kern_give(). False, on connections only: it is received into again.
 *	Softirq or process with softirqs off; locks of the protocol are held, and
 *	of what there is here qp_kern_post() and qp_kern_push() may be called
 * @gone: the queue pair has failed, its peer has ended the connection, or its
 *	device has gone: it is of no use any more but for qp_kern_release(), which
 *	this may not call. Any context
 * @changed: a connection was made; or it was not, and sk_err says why; or somebody
 *	waits to be accepted. Any context, may not sleep
 * @wants: may one who says @heard wait to be accepted? May not sleep
 *
 * Those for datagrams have neither of the last two.
 */
struct qp_user {
	bool (*recv)(struct qp_sock *qp, struct sk_buff *skb);
	void (*gone)(struct qp_sock *qp);
	void (*changed)(struct qp_sock *qp);
	bool (*wants)(const struct qp_sock *qp, __be64 heard);
};

/**
 * struct qp_rmsg - what is known of a message that was received
 * @sgid: GID of who sent a datagram, if @flags has QP_CQE_SRC
 * @dgid: to which it was sent: that of the port, or of a group
 * @imm_data: immediate data, network byte order, if @flags has QP_CQE_IMM
 * @src_qpn: number of the queue pair that sent it, on its port
 * @flags: QP_CQE_*, and QP_RMSG_LID: @sgid names a LID, and what follows from a GRH is
 *	not known
 * @sl: service level
 * @pkey: partition
 * @tclass: traffic class
 * @hop_limit: hop limit, as it arrived
 *
 * It leaves room in &sk_buff.cb for what sockets have there.
 */
struct qp_rmsg {
	u8 sgid[16];
	u8 dgid[16];
	__be32 imm_data;
	u32 src_qpn : 24;
	u32 flags : 4;
	u32 sl : 4;
	u16 pkey;
	u8 tclass;
	u8 hop_limit;
};

#define QP_RMSG_LID	BIT(3)

/* The LID that names who sent a datagram that has QP_RMSG_LID */
static inline u32 qp_rmsg_lid(const struct qp_rmsg *m)
{
	return get_unaligned_be32(m->sgid + 12);
}

#define QP_RMSG(skb)	((struct qp_rmsg *)(skb)->cb)

/**
 * struct qp_attr - how datagrams travel
 * @qpn: number of the peer's queue pair on its port; 0: it is asked for it, and
 *	says it
 * @qkey: its Q_Key, likewise
 * @tclass: traffic class, -1 for what is usual; what is used comes back
 * @hop_limit: hop limit, likewise
 * @sl: service level, likewise
 * @lid: LID of the peer, 0 if it has none; comes back
 */
struct qp_attr {
	u32 qpn;
	u32 qkey;
	u32 lid;
	s16 tclass;
	s16 hop_limit;
	s16 sl;
};

/**
 * struct qp_kern - what queue pair a user in the kernel wants
 * @domain: address family
 * @type: enum qp_type
 * @ifindex: netdevice that it is bound to, 0 for none
 * @qkey: its Q_Key, 0 for the usual one
 * @bufs: buffers for messages of a connection
 * @buf_size: bytes that each has room for
 * @hello: what the peer is told as the connection is made, 0 for nothing
 * @connect_time: how long that may take, jiffies; 0 for the usual time
 * @reuse: its port may be that of others that say so and do not listen
 * @tclass: traffic class of a connection that it begins, -1 for the usual one
 * @hop_limit: hop limit, likewise
 * @sl: service level, likewise
 * @reader: where its user says who reads datagrams, see &qp_sock.reader; or NULL
 * @user: who has it
 * @priv: &qp_sock.user_priv
 */
struct qp_kern {
	int domain;
	u32 type;
	int ifindex;
	u32 qkey;
	u32 bufs;
	u32 buf_size;
	__be64 hello;
	unsigned long connect_time;
	bool reuse;
	s16 tclass;
	s16 hop_limit;
	s16 sl;
	const int *reader;
	const struct qp_user *user;
	void *priv;
};

struct qp_sock *qp_kern_create(struct net *net, const struct qp_kern *kern,
			       const struct sockaddr_storage *addr, int len);
void qp_kern_update(struct qp_sock *qp, const struct qp_kern *kern);
void qp_kern_release(struct qp_sock *qp);
int qp_kern_send(struct qp_sock *qp, struct sk_buff *skb, void *dest, bool more);
void qp_kern_kick(struct qp_sock *qp);
int qp_kern_connect(struct qp_sock *qp, const struct sockaddr_storage *addr,
		    int len);
int qp_kern_listen(struct qp_sock *qp, int backlog);
struct qp_sock *qp_kern_accept(struct qp_sock *l, const struct qp_kern *kern);
int qp_kern_post(struct qp_sock *qp, struct sk_buff *skb, const __be32 *imm);
void qp_kern_push(struct qp_sock *qp);
int qp_kern_give(struct qp_sock *qp, struct sk_buff *skb);
int qp_kern_name(struct qp_sock *qp, struct sockaddr_storage *addr, bool peer);
void qp_kern_info(struct qp_sock *qp, void *dest, struct qp_backend *info);
int qp_kern_route(struct net *net, int domain, int ifindex,
		  const struct sockaddr_storage *dst,
		  struct sockaddr_storage *src);
bool qp_kern_has_pkey(struct net *net, int domain, u16 pkey);
void *qp_kern_resolve(struct qp_sock *qp, const struct sockaddr_storage *name,
		      int len, struct qp_attr *attr);
void qp_kern_dest_hold(struct qp_sock *qp, void *dest);
void qp_kern_dest_put(struct qp_sock *qp, void *dest);
int qp_kern_join(struct qp_sock *qp, const struct sockaddr_storage *group,
		 int len, u32 flags);
int qp_kern_leave(struct qp_sock *qp, const struct sockaddr_storage *group,
		  int len);

/**
 * struct qp_service - who asks for a service ID is answered (IBA v1 12.11, SIDR)
 * @net: network namespace
 * @ifindex: the only netdevice, or 0
 * @addr: address and service ID
 * @addrlen: its length, bytes
 * @find: somebody asks at the own address @local: which queue pair receives what
 *	is sent to the service there, and with which Q_Key? 0, or an error: there
 *	is none. Process context, may sleep
 * @gone: there is no device any more to be asked through. May not sleep
 * @user_priv: the user's
 * @proto: the protocol, held
 * @priv: the protocol's
 */
struct qp_service {
	struct net *net;
	int ifindex;
	struct sockaddr_storage addr;
	int addrlen;
	int (*find)(struct qp_service *s, const struct sockaddr_storage *local,
		    u32 *qpn, u32 *qkey);
	void (*gone)(struct qp_service *s);
	void *user_priv;
	const struct qp_proto *proto;
	void *priv;
};

int qp_service_start(struct qp_service *s);
void qp_service_end(struct qp_service *s);

#endif /* _NET_QP_H */
