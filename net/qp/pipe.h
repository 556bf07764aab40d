/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pipe protocol: queue pairs between processes of one machine
 */
#ifndef _QP_PIPE_H
#define _QP_PIPE_H

#include <linux/un.h>
#include <linux/workqueue.h>
#include <net/qp.h>

struct pipe_name;

/**
 * struct pipe_end - the protocol's part of a queue pair
 * @qp: the queue pair
 * @peer: the other end, referenced. Set when the state becomes
 *	QP_STATE_RTS, cleared under @run in release
 * @closed: the descriptor is closed
 * @eof: the peer shut down sending, and everything it sent has come
 * @name: local address, NULL if none
 * @cred: who connects or listens
 *
 * @run: held while the sends in @sendq are carried out
 * @sendq_lock: protects @sendq
 * @sendq: sends not completed, in order
 * @blocked: the first of them waits for a receive. Written under @run
 * @has_recv: it has one, @recv. Under @run
 * @recv: the peer's receive that the first send goes into
 * @local: place in our memory. Under @run
 * @remote: place in the peer's memory. Under @run
 * @work: carries on where a caller stopped
 *
 * @lock: of a listener, protects @pending and their number, and @pending_node,
 *	@peer and the state of who waits there
 * @pending: ends that wait to be accepted, in order
 * @backlog_wait: who waits for room
 * @pending_node: in @pending of @listener
 * @listener: where this end waits, referenced
 */
struct pipe_end {
	struct qp_sock *qp;
	struct qp_sock *peer;
	bool closed;
	bool eof;
	struct pipe_name *name;
	struct qp_cred cred;

	struct mutex run;		/* carrying out of @sendq */
	spinlock_t sendq_lock;		/* @sendq */
	struct list_head sendq;
	bool blocked;
	bool has_recv;
	struct qp_rwr recv;
	struct qp_cursor local;
	struct qp_cursor remote;
	struct work_struct work;

	spinlock_t lock;		/* @pending and what waits there */
	struct list_head pending;
	wait_queue_head_t backlog_wait;
	struct list_head pending_node;
	struct qp_sock *listener;
};

static inline struct pipe_end *pipe_end(const struct qp_sock *qp)
{
	return qp->priv;
}

/* Names: pipe_name.c */
int pipe_name_bind(struct qp_sock *qp, struct sockaddr_storage *addr, int len);
void pipe_name_release(struct pipe_name *name, const struct qp_sock *qp);
struct pipe_name *pipe_name_get(struct pipe_name *name);
void pipe_name_put(struct pipe_name *name);
int pipe_name_copy(const struct pipe_name *name, struct sockaddr_storage *addr);
struct qp_sock *pipe_name_find(struct net *net, struct sockaddr_storage *addr,
			       int len);

extern struct workqueue_struct *pipe_wq;

/* Carrying out sends: pipe_run.c */
#define PIPE_NO_BUDGET	U64_MAX		/* as much as there is */
#define PIPE_BUDGET	SZ_1M		/* what one does for the peer, bytes */

void pipe_post_send(struct qp_sock *qp, struct qp_wr *wr);
void pipe_kick(struct qp_sock *qp);
void pipe_run(struct pipe_end *tx, struct pipe_end *rx, u64 budget);
void pipe_work(struct work_struct *work);
bool pipe_message_waits(const struct pipe_end *tx);
int pipe_recvmsg(struct qp_sock *qp, struct msghdr *msg, size_t len, int flags);
void pipe_leave(struct pipe_end *end, struct pipe_end *peer);

#endif /* _QP_PIPE_H */
