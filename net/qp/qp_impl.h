/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pairs: what the files of net/qp/ share
 */
#ifndef _QP_IMPL_H
#define _QP_IMPL_H

#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/qp.h>

#include "ring.h"

struct io_uring_cmd;

/* Offsets to mmap() the rings at; multiples of any page size */
#define QP_OFF_SQ	0x00000000ULL
#define QP_OFF_RQ	0x10000000ULL
#define QP_OFF_CQ	0x20000000ULL

/**
 * struct qp_net - a network namespace's part
 * @qps: queue pairs by number
 * @next_qpn: where to look for the next free number
 * @nr_qps: queue pairs, limited by @max_qps
 * @nr_mrs: memory registrations, limited by @max_mem_regions
 * @mrs: valid registrations of all memory tables by key; RCU for look-up
 * @max_qps: sysctl net.qp.max_qps
 * @max_mem_regions: sysctl net.qp.max_mem_regions
 * @max_entries: sysctl net.qp.max_entries, for each ring
 * @busy_poll: sysctl net.qp.busy_poll, microseconds
 * @emulation: sysctl net.qp.emulation, enum qp_emulation
 * @mr_bytes: bytes that are registered
 * @mib: counters
 * @ctl: the sysctl table
 */
struct qp_net {
	struct xarray qps;
	u32 next_qpn;
	atomic_t nr_qps;
	atomic_t nr_mrs;
	struct rhashtable mrs;
	unsigned int max_qps;
	unsigned int max_mem_regions;
	unsigned int max_entries;
	unsigned int busy_poll;
	unsigned int emulation;
	atomic64_t mr_bytes;
	struct qp_mib __percpu *mib;
	struct ctl_table_header *ctl;
};

extern unsigned int qp_net_id;

static inline struct qp_net *qp_pernet(const struct net *net)
{
	return net_generic(net, qp_net_id);
}

bool qp_net_charge(atomic_t *count, unsigned int limit);
int qp_net_add(struct qp_sock *qp);
void qp_net_del(struct qp_sock *qp);
int qp_net_init(void);
void qp_net_exit(void);

/* Generic netlink: net/qp/netlink.c */
void qp_nl_notify(const struct qp_sock *qp, u8 cmd);
int qp_nl_init(void);
void qp_nl_exit(void);

/* Counters: net/qp/stats.c, net/qp/stats.h */
int qp_stats_net_init(struct qp_net *qn);
void qp_stats_net_exit(struct qp_net *qn);
void qp_stats_init(void);

/**
 * struct qp_cq - a completion queue
 * @ref: queue pairs that complete into it
 * @lock: protects @tail, @reserved and the ring's entries. Softirq-safe
 * @ring: shared with user space
 * @tail: next entry to fill
 * @reserved: slots promised to accepted work
 * @wait: who waits for completions
 */
struct qp_cq {
	refcount_t ref;
	spinlock_t lock;		/* @tail, @reserved, entries */
	struct qp_ring ring;
	u32 tail;
	u32 reserved;
	wait_queue_head_t wait;
};

struct qp_cq *qp_cq_create(u32 entries, u32 entry_size);
struct qp_cq *qp_cq_get(struct qp_cq *cq);
void qp_cq_put(struct qp_cq *cq);
bool qp_cq_room(struct qp_cq *cq);
u32 qp_cq_free(struct qp_cq *cq);
bool qp_cq_reserve(struct qp_cq *cq);
void qp_cq_unreserve(struct qp_cq *cq);
void qp_cq_post(struct qp_cq *cq, const struct qp_cqe *cqe, const void *src);
u32 qp_cq_ready(const struct qp_cq *cq);
void qp_cq_wake(struct qp_cq *cq, __poll_t events);
bool qp_spin_begin(struct qp_sock *qp);
void qp_spin_end(struct qp_sock *qp);
int qp_cq_wait(struct qp_sock *qp, u32 min, ktime_t *expires, bool spin);

struct qp_mtable *qp_mtable_create(struct net *net, const struct qp_mem_ops *ops);
struct qp_mtable *qp_mtable_get(struct qp_mtable *table);
void qp_mtable_put(struct qp_mtable *table);
int qp_mem_check(const struct qp_mem *mem);
int qp_mem_reg(struct qp_sock *qp, struct qp_mem *mem);
int qp_mem_query(struct qp_sock *qp, struct qp_mem *mem);
int qp_mr_insert(struct qp_mtable *table, struct qp_mr *mr);
int qp_mem_net_init(struct qp_net *qn);
void qp_mem_net_exit(struct qp_net *qn);

/* Work requests: net/qp/wr.c */
int qp_sqe_check(const struct qp_sqe *sqe, u32 type, u32 opcodes, u32 max_sge,
		 u32 max_inline);
int qp_sqe_length(const struct qp_sqe *sqe, u32 *length);
int qp_send_allowed(const struct qp_sock *qp);
unsigned int qp_sq_serve(struct qp_sock *qp, unsigned int n);
int qp_submit(struct qp_sock *qp, unsigned int n);
bool qp_finished(const struct qp_sock *qp);
int qp_sq_alloc(struct qp_sock *qp, u32 entries);
void qp_sq_free(struct qp_sock *qp);
void qp_rq_free(struct qp_sock *qp);

/* Memory of a request of @size bytes, with the protocol's part at its end */
static inline size_t qp_wr_bytes(size_t size, const struct qp_sock *qp)
{
	return round_up(size, 64) + round_up(qp->proto->wr_priv, 64);
}

static inline void *qp_wr_priv(struct qp_wr *wr, size_t bytes,
			       const struct qp_sock *qp)
{
	return (void *)wr + bytes - round_up(qp->proto->wr_priv, 64);
}

/* What a message of sendmsg() counts against SO_SNDBUF, bytes */
static inline int qp_msg_truesize(u32 length)
{
	return sizeof(struct qp_wr) + length;
}

/* QP_SQPOLL: net/qp/sqpoll.c */
int qp_sqpoll_init(struct qp_sock *qp, const struct qp_desc *desc,
		   unsigned int flags, const struct qp_sock *other);
int qp_sqpoll_join(struct qp_sock *qp);
void qp_sqpoll_leave(struct qp_sock *qp);
void qp_sqpoll_free(struct qp_sock *qp);
bool qp_sqpoll_call(const struct qp_sock *qp);
bool qp_sqpoll_pending(const struct qp_sock *qp);
u32 qp_sqpoll_idle(const struct qp_sock *qp);
int qp_sqpoll_on(const struct qp_sock *qp);
u32 qp_sqpoll_bound(const struct qp_sock *qp);

/* Protocols: net/qp/proto.c */
extern bool qp_available;
const struct qp_proto *qp_proto_get(int domain, u32 id);

/* Connections: net/qp/conn.c */
int qp_conn_begin(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		  long *timeo);
int qp_conn_accept(struct qp_sock *l, struct qp_sock *qp);
int qp_conn_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		    int flags);
int qp_conn_wait(struct qp_sock *l, long timeo);
__poll_t qp_conn_poll(struct qp_sock *qp);

/* Does a connection wait for qp_accept()? */
static inline bool qp_conn_waits(const struct qp_sock *l)
{
	return READ_ONCE(l->sk.sk_ack_backlog);
}

/* The socket: net/qp/af_qp.c, net/qp/msg.c, net/qp/uring.c */
struct socket *qp_sock_create(struct net *net, const struct qp_proto *proto,
			      int domain, u32 type, bool kern);
struct qp_sock *qp_from_file(struct file *file);
int qp_name(struct qp_sock *qp, struct sockaddr_storage *addr, bool peer);
void qp_made(struct qp_sock *qp);
int qp_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);
int qp_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags);
int qp_uring_cmd(struct socket *sock, struct io_uring_cmd *cmd,
		 unsigned int issue_flags);

/* Descriptions: net/qp/desc.c */
#define QP_DESC_SIZE_V1	184	/* struct qp_desc in its first version, bytes */

int qp_desc_get(struct qp_desc *desc, const struct qp_desc __user *udesc);
int qp_desc_put(struct qp_sock *qp, const struct qp_desc *desc,
		struct qp_desc __user *udesc);
int qp_desc_check(struct qp_desc *desc, unsigned int flags);
void qp_desc_fill(const struct qp_sock *qp, struct qp_desc *desc);
int qp_desc_apply(struct qp_sock *qp, const struct qp_desc *desc,
		  unsigned int flags, struct qp_sock *listener);

/* Options: net/qp/opt.c */
int qp_setopt(struct qp_sock *qp, int opt, void __user *val, unsigned int len);
int qp_getopt(struct qp_sock *qp, int opt, void __user *val,
	      unsigned int __user *len);
void qp_info_fill(struct qp_sock *qp, struct qp_info *info);

/* sock_diag: net/qp/diag.c */
int qp_diag_init(void);

#endif /* _QP_IMPL_H */
