/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PF_IB: sockets with InfiniBand addresses
 *
 *	struct afib_sock	a socket				family.c
 *	struct afib_port	its queue pair on a port		port.c
 *	struct afib_dest	where its messages to an address go	dest.c
 *	struct afib_conn	a socket with a connection		conn.c
 *
 * Locks, outermost first:
 *
 *	socket lock		binding, connecting, options; may sleep
 *	afib_net.services_lock	sharing a service ID; may sleep
 *	afib_sock.resolving	one looks for a destination at a time; may sleep
 *	afib_sock.making		one makes a port at a time; may sleep
 *	locks of net/qp
 *	afib_sock.lock		ports, destinations, names	(softirq)
 *
 * and of connections:
 *
 *	socket lock		states, reading; may sleep. That of a listener first
 *	afib_conn.sending		one sends a message at a time; may sleep
 *	receives of net/qp					(softirq)
 *	afib_conn.lock		what is under way		(softirq)
 *	sends of net/qp						(softirq)
 *	afib_sock.lock		names				(softirq)
 */
#ifndef _IB_PROTO_H
#define _IB_PROTO_H

#include <linux/ib.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu_counter.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/qp.h>
#include <net/sock.h>

/* Destinations that a socket remembers */
#define IB_MAX_DESTS	1024
#define IB_DEST_BUCKETS	16

/* Q_Keys with this bit are for the privileged (IBA v1 10.2.5) */
#define IB_QKEY_PRIVILEGED	BIT(31)

/**
 * struct afib_settings - net.ib of a network namespace; times are in ms
 * @mem_max: memory of messages, bytes
 * @max_sockets: sockets, closed ones that still send included
 * @max_orphans: closed ones that still send
 * @orphan_time: how long they may do so
 * @resolved_time: how long an answer to who has a service ID is good for
 * @unresolved_time: and how long that there is none to be had
 * @connect_time: how long a connection may take to be made
 * @keepalive_time: how long one with SO_KEEPALIVE may be idle
 */
struct afib_settings {
	unsigned long mem_max;
	unsigned int max_sockets;
	unsigned int max_orphans;
	unsigned int orphan_time;
	unsigned int resolved_time;
	unsigned int unresolved_time;
	unsigned int connect_time;
	unsigned int keepalive_time;
};

/**
 * struct afib_net - a network namespace's part
 * @socks: its sockets by number
 * @next_id: where to look for the next free number
 * @services_lock: protects @services and who shares them; may sleep
 * @services: service IDs that several sockets may have
 * @nr_socks: how many sockets there are
 * @nr_orphans: those that are closed and still send
 * @mem: memory of messages, bytes
 * @mib: counters
 * @set: its settings
 * @ctl: where they are seen
 *
 * Numbers rise, so that who goes by them and is interrupted goes on where it was.
 */
struct afib_net {
	struct xarray socks;
	u32 next_id;
	struct mutex services_lock;	/* services and who shares them */
	struct list_head services;
	atomic_t nr_socks;
	atomic_t nr_orphans;
	struct percpu_counter mem;
	struct afib_mib __percpu *mib;
	struct afib_settings set;
	struct ctl_table_header *ctl;
};

struct afib_net *afib_pernet(const struct net *net);

/* A setting that is a time, jiffies */
#define afib_time(sk, field)						\
	msecs_to_jiffies(READ_ONCE(afib_pernet(sock_net(sk))->set.field))

/**
 * struct afib_opts - how messages travel
 * @qkey: Q_Key
 * @tclass: traffic class, -1 for the usual one
 * @hop_limit: likewise
 * @sl: service level, likewise
 * @reserved: 0, for they are compared as bytes
 */
struct afib_opts {
	u32 qkey;
	s16 tclass;
	s16 hop_limit;
	s16 sl;
	u16 reserved;
};

/**
 * struct afib_key - what a destination is known by
 * @gid: the peer's, or a group
 * @sid: service ID, 0 of a group
 * @scope: number of a netdevice, or 0
 * @opts: how messages travel
 * @pkey: in which partition
 *
 * Compared as bytes, so what is between the members is 0.
 */
struct afib_key {
	struct ib_addr gid;
	__be64 sid;
	u32 scope;
	struct afib_opts opts;
	u16 pkey;
};

/**
 * struct afib_sock - a socket
 * @sk: first member
 * @id: its number in the network namespace
 * @local: address that it is bound to; this and the next two are changed under the
 *	socket lock and @lock
 * @peer: address that it is connected to
 * @bound: it is bound
 * @recvinfo: IB_RECVINFO
 * @recverr: IB_RECVERR
 * @loop: IB_MULTICAST_LOOP
 * @pkey: IB_PKEY
 * @opts: options of messages
 * @service: by which it is found, if it is bound
 * @service_node: in &afib_service.socks
 * @resolving: one looks for a destination at a time
 * @making: one makes a port at a time. Protects @ended
 * @ended: there are to be no more
 * @lock: protects @ports, @nr_ports, @dests, @lru, @nr_dests and @conn, and names
 * @ports: &afib_port.node
 * @nr_ports: how many
 * @dests: &afib_dest.node, by hash
 * @lru: &afib_dest.lru_node, last used first
 * @nr_dests: how many
 * @conn: where messages go that say nothing themselves, NULL if that is not known
 * @pending: messages whose destination is not known yet; IB_KEY() says which
 * @sending: that of one that was taken from there and is being sent. Under the lock
 *	of @pending
 * @work: looks for it
 * @mib: counters of the network namespace
 * @read: of a datagram or raw socket: messages that are to be read next
 * @read_bytes: room that messages took that have been read. Under the lock of @read
 * @reader: where that is done, &qp_sock.reader
 */
struct afib_sock {
	struct sock sk;
	u32 id;
	struct sockaddr_ib local;
	struct sockaddr_ib peer;
	bool bound;
	bool recvinfo;
	bool recverr;
	bool loop;
	u16 pkey;
	struct afib_opts opts;
	struct afib_service *service;
	struct list_head service_node;
	struct mutex resolving;	/* looking for a destination */
	struct mutex making;	/* making a port */
	bool ended;
	spinlock_t lock;	/* ports, destinations, names */
	struct list_head ports;
	u32 nr_ports;
	struct hlist_head dests[IB_DEST_BUCKETS];
	struct list_head lru;
	u32 nr_dests;
	struct afib_dest *conn;
	struct sk_buff_head pending;
	const struct afib_key *sending;
	struct work_struct work;
	struct afib_mib __percpu *mib;
	struct sk_buff_head read ____cacheline_aligned_in_smp;
	u32 read_bytes;
	int reader;
};

static inline struct afib_sock *afib_sk(const struct sock *sk)
{
	return (struct afib_sock *)sk;
}

/**
 * struct afib_port - a socket's queue pair on a port
 * @node: in &afib_sock.ports, or empty
 * @ref: one of the list, one of each destination and user
 * @is: whose
 * @gid: address of the port
 * @scope: number of its netdevice if @gid does not say it, else 0
 * @pkey: partition that the queue pair is in
 * @qp: the queue pair; NULL while it is made
 * @gone: it is of no use any more
 * @ifindex: the netdevice that packets go by, 0 if it was not looked for yet
 * @held: when the last message was told to wait for the next one, jiffies
 * @late: sends what sendmmsg() left behind
 */
struct afib_port {
	struct list_head node;
	refcount_t ref;
	struct afib_sock *is;
	struct ib_addr gid;
	u32 scope;
	u16 pkey;
	struct qp_sock *qp;
	bool gone;
	int ifindex;
	unsigned long held;
	struct delayed_work late;
};

/**
 * struct afib_dest - where messages to an address go
 * @node: in &afib_sock.dests, or unhashed
 * @lru_node: in &afib_sock.lru, if @node is hashed
 * @ref: one of the table, one of each user
 * @key: the address
 * @port: which port leads there, referenced; NULL if @err
 * @dest: of the port's queue pair, if not @err
 * @qpn: number of the peer's queue pair
 * @lid: the peer's LID, 0 if it has none
 * @tclass: traffic class
 * @hop_limit: hop limit
 * @sl: service level
 * @err: why it is not known
 * @expires: when it is looked for again, jiffies
 */
struct afib_dest {
	struct hlist_node node;
	struct list_head lru_node;
	refcount_t ref;
	struct afib_key key;
	struct afib_port *port;
	void *dest;
	u32 qpn;
	u32 lid;
	u8 tclass;
	u8 hop_limit;
	u8 sl;
	int err;
	unsigned long expires;
};

/*
 * A buffer of a connection is what kmalloc() has without waste: the bytes of a
 * fragment at most
 */
#define AFIB_BUF_BYTES	SZ_32K
#define AFIB_FRAG_BYTES	round_down(SKB_WITH_OVERHEAD(AFIB_BUF_BYTES), 64)

/* The longest message of SOCK_SEQPACKET, bytes */
#define IB_MAX_MSG	SZ_16M

/**
 * struct afib_conn - a socket of the type SOCK_SEQPACKET or SOCK_STREAM
 * @is: first member; of it @local, @peer and @bound are used
 * @qp: its queue pair, or NULL. Changed under @lock
 * @held: what has the address that it is bound to until then, or NULL
 * @work: does what others may not
 * @todo: what it has to do, AFIB_TODO_*
 * @deadline: when one that is closed gives up, jiffies
 * @abort: one that is closed does not wait until what it sent has arrived
 * @sending: one sends a message at a time
 * @lock: protects sk_write_queue, sk_receive_queue and the rest
 * @plain: the peer is none of ours: each SEND is a message, and there are no credits
 * @credits: how many more fragments the peer takes
 * @starved: there is a fragment to be sent, and no credit for it
 * @room: bytes that a fragment to the peer may have
 * @window: how many more the peer may send
 * @owed: how many more than that it could, and is to be told of
 * @grown: buffers that there are besides the usual ones, for a long message
 * @whole: messages in sk_receive_queue
 * @part: bytes of one that has not come to its end
 * @spent: of a message that was cancelled, to be given back
 * @fin: the peer will send nothing more
 * @over: there is no queue pair any more
 * @ended: nor will there be
 * @orphan: it counts as one, &afib_net.nr_orphans
 * @charged: of memory, for its buffers, bytes
 * @heard: when something came last, jiffies
 * @probe: when it is asked whether a peer that grants nothing is there, jiffies
 * @keepidle: how long after that it is asked whether the peer is there, with
 *	SO_KEEPALIVE, jiffies; 0 for the usual time
 * @listener: whose it is until it is accepted, referenced
 * @node: in its @ready, or @children
 * @children: of a listener: connections that are being made
 * @ready: of a listener: connections for accept()
 */
struct afib_conn {
	struct afib_sock is;
	struct qp_sock *qp;
	struct qp_sock *held;
	struct delayed_work work;
	unsigned long todo;
	unsigned long deadline;
	bool abort;
	struct mutex sending;	/* sending a message */
	spinlock_t lock;	/* what is under way */
	bool plain;
	u32 credits;
	bool starved;
	u32 room;
	u32 window;
	u32 owed;
	u32 grown;
	u32 whole;
	u32 part;
	struct sk_buff_head spent;
	bool fin;
	bool over;
	bool ended;
	bool orphan;
	u32 charged;
	unsigned long heard;
	unsigned long probe;
	unsigned long keepidle;
	struct afib_conn *listener;
	struct list_head node;
	struct list_head children;
	struct list_head ready;
};

static inline struct afib_conn *afib_conn(const struct sock *sk)
{
	return (struct afib_conn *)sk;
}

/* Does the connection stand, or has it? */
static inline bool afib_conn_made_once(const struct afib_conn *c)
{
	return READ_ONCE(c->is.sk.sk_state) == TCP_ESTABLISHED ||
	       READ_ONCE(c->over);
}

static inline bool afib_is_conn(const struct sock *sk)
{
	return sk->sk_type == SOCK_SEQPACKET || sk->sk_type == SOCK_STREAM;
}

/* What &afib_conn.work has to do */
enum {
	AFIB_TODO_CHANGED,	/* the connection is made, or is not */
	AFIB_TODO_GONE,		/* it is over */
	AFIB_TODO_ACCEPT,	/* somebody wants to be accepted */
	AFIB_TODO_SEND,		/* go on sending, and give back */
	AFIB_TODO_PROBE,	/* see whether the peer is there */
	AFIB_TODO_GROW,		/* a message needs more buffers */
	AFIB_TODO_KEEP,		/* see whether a peer that is silent is there */
	AFIB_TODO_END,		/* the socket is closed */
};

/**
 * struct afib_frag - what is known of a fragment of a message
 * @flags: AFIB_F_*
 * @done: bytes of it that were read
 */
struct afib_frag {
	u32 flags;
	u32 done;
};

#define AFIB_FRAG(skb)	((struct afib_frag *)(skb)->cb)

/* Of a message in &afib_sock.pending */
#define IB_KEY(skb)	((struct afib_key *)(skb)->cb)

/* addr.c: addresses */
#define IB_PKEY_DEFAULT	0xffff
#define IB_PKEY_PARTITION 0x7fff	/* the highest bit says which kind of member */

u64 afib_addr_sid(const struct sockaddr_ib *addr);
bool afib_addr_multicast(const struct ib_addr *gid);
bool afib_addr_any(const struct ib_addr *gid);
bool afib_addr_link_local(const struct ib_addr *gid);
bool afib_addr_pkey_valid(const struct sock *sk, u32 pkey);
int afib_addr_check(const struct sock *sk, const struct sockaddr_unsized *addr, int len,
		    struct sockaddr_ib *to);
int afib_addr_pkey(const struct afib_sock *is, const struct sockaddr_ib *addr);
void afib_addr_make(struct sockaddr_ib *addr, const struct ib_addr *gid, u16 pkey,
		    u32 scope, u64 sid);
u64 afib_addr_of_qpn(u32 qpn);
u32 afib_addr_qpn(u64 sid);
u32 afib_addr_lid(const struct ib_addr *gid);
bool afib_addr_sid_valid(u64 sid);

/* service.c */
int afib_service_join(struct afib_sock *is, const struct sockaddr_ib *addr,
		      struct sockaddr_ib *name);
void afib_service_leave(struct afib_sock *is);

/* port.c */
struct afib_port *afib_port_get(struct afib_sock *is, const struct ib_addr *gid,
				u32 scope, u16 pkey);
void afib_port_put(struct afib_port *port);
struct afib_port *afib_port_only(struct afib_sock *is);
struct afib_port *afib_port_nth(struct afib_sock *is, u32 n);
void afib_port_hold_back(struct afib_port *port);
void afib_ports_end(struct afib_sock *is);

/* dest.c */
int afib_key_make(struct afib_key *key, const struct afib_sock *is,
		  const struct sockaddr_ib *addr, const struct afib_opts *opts);
struct afib_dest *afib_dest_find(struct afib_sock *is, const struct afib_key *key);
struct afib_dest *afib_dest_get(struct afib_sock *is, const struct afib_key *key, bool ask);
struct afib_dest *afib_dest_peer(struct afib_sock *is, const struct afib_opts *opts,
				 struct sockaddr_ib *peer);
struct afib_port *afib_way(struct afib_sock *is, struct afib_dest **dest);
void afib_dest_put(struct afib_dest *dest);
void afib_dest_connect(struct afib_sock *is, const struct sockaddr_ib *peer,
		       struct afib_dest *dest);
void afib_dest_changed(struct afib_sock *is, const struct ib_addr *gid);
void afib_dest_found(struct afib_sock *is, struct afib_dest *dest);
void afib_dests_end(struct afib_sock *is);

/* family.c: what datagrams and packets have in common */
int afib_getname(struct socket *sock, struct sockaddr *uaddr, int peer);
int afib_shutdown(struct socket *sock, int how);
int afib_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg);
int afib_release(struct socket *sock);

/* raw.c: packets */
extern struct proto afib_raw_proto;
extern const struct proto_ops afib_raw_ops;

void afib_raw_start(struct sock *sk);

static inline bool afib_is_raw(const struct sock *sk)
{
	return sk->sk_type == SOCK_RAW;
}

/* raw_native.c */

/* What a packet may have in front of its BTH and behind it, bytes */
#define AFIB_RAW_HEADROOM	128
#define AFIB_RAW_TAILROOM	8

/* The longest packet from its BTH on: headers come to the largest payload, bytes */
#define AFIB_RAW_MAX		(QP_MAX_DGRAM + 64)

int afib_raw_native_out(struct afib_dest *dest, struct sk_buff *skb);

/* dgram.c */
int afib_dgram_begin(struct sock *sk, struct msghdr *msg, struct afib_opts *opts);
int afib_dgram_post(struct afib_sock *is, struct msghdr *msg, size_t len,
		    const struct afib_key *key, struct afib_dest *dest);
bool afib_dgram_recv(struct qp_sock *qp, struct sk_buff *skb);
int afib_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);
int afib_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		       int flags);
void afib_dgram_work(struct work_struct *work);

/* recvq.c */
void afib_recvq_init(struct afib_sock *is);
void afib_recvq_end(struct afib_sock *is);
void afib_recvq_add(struct sock *sk, struct sk_buff *skb);
struct sk_buff *afib_recvq_take(struct sock *sk, int flags, int *err);
int afib_recvq_next_len(struct sock *sk);
__poll_t afib_recvq_poll(struct file *file, struct socket *sock,
			 struct poll_table_struct *wait);

/* err.c */
#define IB_ERR_ROOM	48	/* an address */

void afib_sock_error(struct afib_sock *is, int err);
void afib_err_message(struct afib_sock *is, struct sk_buff *skb, int err);
int afib_err_recvmsg(struct sock *sk, struct msghdr *msg, size_t len);

/* name.c: what ends are called, and the state that others see */
void afib_set_local(struct afib_sock *is, const struct sockaddr_ib *local);
void afib_set_names(struct afib_sock *is, const struct sockaddr_ib *local,
		    const struct sockaddr_ib *peer);
void afib_names(struct afib_sock *is, struct sockaddr_ib *local,
		struct sockaddr_ib *peer);
u8 afib_state(const struct sock *sk);

/* opt.c */
extern const struct afib_opts afib_opts_default;

u32 afib_qpn(struct afib_sock *is);
int afib_opt_cmsg(const struct cmsghdr *cmsg, struct afib_opts *opts);
int afib_setsockopt(struct socket *sock, int level, int opt, sockptr_t val,
		    unsigned int len);
int afib_getsockopt(struct socket *sock, int level, int opt, char __user *val,
		    int __user *len);

/* conn.c: the life of a connection */
extern struct proto afib_conn_proto;
extern const struct proto_ops afib_conn_ops;

void afib_conn_init(struct afib_conn *c);
void afib_conn_destruct(struct afib_conn *c);
void afib_conn_todo(struct afib_conn *c, int what, unsigned long delay);
void afib_conn_set_keepidle(struct afib_conn *c, unsigned int seconds);
struct qp_sock *afib_conn_qp_get(struct afib_conn *c);
u32 afib_conn_qpn(struct afib_conn *c);

/* stream.c: its data */
bool afib_hello_valid(const struct sock *sk, __be64 heard);
void afib_stream_kern(struct afib_conn *c, struct qp_kern *kern);
void afib_stream_start(struct afib_conn *c, __be64 heard);
bool afib_stream_recv(struct qp_sock *qp, struct sk_buff *skb);
void afib_stream_push(struct afib_conn *c);
void afib_stream_probe(struct afib_conn *c);
void afib_stream_keep(struct afib_conn *c);
void afib_stream_grow(struct afib_conn *c);
void afib_stream_spend(struct afib_conn *c);
void afib_stream_discard(struct afib_conn *c);
void afib_stream_fin(struct afib_conn *c);
bool afib_stream_readable(const struct afib_conn *c);
int afib_stream_inq(struct afib_conn *c);
void afib_stream_diag(struct afib_conn *c, struct ib_diag_conn *info, u32 *queued);
int afib_stream_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);
int afib_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags);

/* mem.c: memory of messages */
bool afib_mem_charge(const struct sock *sk, u32 bytes);
void afib_mem_uncharge(const struct sock *sk, u32 bytes);
void afib_mem_wfree(struct sk_buff *skb);
bool afib_mem_send(struct sk_buff *skb);
bool afib_mem_receive(struct sock *sk, struct sk_buff *skb);

/* sysctl.c: settings */
int afib_sysctl_init(struct net *net, struct afib_net *in);
void afib_sysctl_exit(struct afib_net *in);

/* net.c */
struct afib_mib __percpu *afib_net_mib(const struct net *net);
int afib_net_add(struct afib_sock *is);
void afib_net_del(struct afib_sock *is);
struct afib_sock *afib_net_next(struct net *net, unsigned long *id);
bool afib_net_orphan(struct afib_conn *c);
int afib_net_init(void);
void afib_net_exit(void);

/* diag.c */
int afib_diag_init(void);
void afib_diag_exit(void);

/* netlink.c */
int afib_nl_init(void);
void afib_nl_exit(void);

/* stats.c */
struct afib_mib __percpu *afib_stats_alloc(void);
void afib_stats_init(void);
void afib_stats_exit(void);

extern struct proto afib_proto;
extern struct workqueue_struct *afib_wq;

#endif /* _IB_PROTO_H */
