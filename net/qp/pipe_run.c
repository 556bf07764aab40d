// SPDX-License-Identifier: GPL-2.0
/*
 * Pipe queue pairs: carrying out sends
 *
 * Sends wait in the sender's queue and are carried out in order by whoever
 * comes by: the sender as it posts them, the receiver as it posts receives or
 * calls recvmsg(), or a worker when one of these has done its share. The
 * sender's @run mutex makes it one at a time. Bytes go straight from the
 * sender's pinned pages to the receiver's.
 *
 * Nobody waits for @run but recvmsg() and a closing end: who finds it taken
 * leaves the work to the holder, and the holder looks once more after it let
 * go. This is the usual pairing of store and load around full barriers:
 *
 *     poster                          holder
 *
 *     queue a send or receive         unlock @run
 *     smp_mb()                        smp_mb()
 *     trylock @run fails              is there work? then again
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "pipe.h"
#include "stats.h"

/* Bytes to copy between looks at what may end a copy */
#define PIPE_CHUNK	SZ_256K

/* What a send costs of a budget besides its bytes */
#define PIPE_SEND_COST	256

/* Bytes that a worker copies before it queues itself again */
#define PIPE_WORK_BUDGET SZ_16M

/* How a step of a send ended */
enum pipe_step {
	PIPE_DONE,	/* completed, well or not: on to the next */
	PIPE_BLOCKED,	/* waits for a receive */
	PIPE_MORE,	/* the caller has done its share */
	PIPE_CLOSING,	/* who closes the sender takes over */
	PIPE_TAKEN,	/* recvmsg() has its message */
	PIPE_FAULT,	/* recvmsg()'s buffer is not there */
};

/* A recvmsg() that waits for a message */
struct pipe_sink {
	struct msghdr *msg;
	bool peek;
	size_t length;		/* of the message */
	size_t copied;		/* of it, or to be copied */
	bool has_imm;
	u32 imm_data;
};

/* What a failure means to either side, enum qp_wc_status */
struct pipe_verdict {
	u16 send;
	u16 recv;
};

static const struct pipe_verdict pipe_local_error = {
	QP_WC_LOC_PROT_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_remote_error = {
	QP_WC_REM_ACCESS_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_misaligned = {
	QP_WC_REM_INV_REQ_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_buffer_error = {
	QP_WC_REM_OP_ERR, QP_WC_LOC_PROT_ERR };
static const struct pipe_verdict pipe_too_long = {
	QP_WC_REM_INV_REQ_ERR, QP_WC_LOC_LEN_ERR };
static const struct pipe_verdict pipe_malformed = {
	QP_WC_REM_OP_ERR, QP_WC_LOC_QP_OP_ERR };
static const struct pipe_verdict pipe_not_reading = {
	QP_WC_REM_OP_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_gone = {
	QP_WC_RETRY_EXC_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_unknown = {
	QP_WC_LOC_QP_OP_ERR, QP_WC_WR_FLUSH_ERR };
static const struct pipe_verdict pipe_bad_key = {
	QP_WC_REM_ACCESS_ERR, QP_WC_LOC_PROT_ERR };

void pipe_post_send(struct qp_sock *qp, struct qp_wr *wr)
{
	struct pipe_end *tx = pipe_end(qp);

	spin_lock(&tx->sendq_lock);
	list_add_tail(&wr->node, &tx->sendq);
	spin_unlock(&tx->sendq_lock);
}

static struct qp_wr *pipe_first(struct pipe_end *tx)
{
	struct qp_wr *wr;

	spin_lock(&tx->sendq_lock);
	wr = list_first_entry_or_null(&tx->sendq, struct qp_wr, node);
	spin_unlock(&tx->sendq_lock);
	return wr;
}

/* Does the first send wait for somebody to call recvmsg() or post a receive? */
bool pipe_message_waits(const struct pipe_end *tx)
{
	return READ_ONCE(tx->blocked) && !list_empty_careful(&tx->sendq);
}

static void pipe_release_recv(struct pipe_end *tx, struct pipe_end *rx,
			      u16 status)
{
	if (!tx->has_recv)
		return;
	tx->has_recv = false;
	qp_recv_done(rx->qp, &tx->recv, status, NULL, 0);
}

static void pipe_complete(struct pipe_end *tx, struct qp_wr *wr, u16 status)
{
	spin_lock(&tx->sendq_lock);
	list_del(&wr->node);
	spin_unlock(&tx->sendq_lock);
	qp_send_done(tx->qp, wr, status);
}

/* A send failed: complete it, and that is the end of the connection */
static enum pipe_step pipe_fail(struct pipe_end *tx, struct pipe_end *rx,
				struct qp_wr *wr, struct pipe_verdict verdict)
{
	qp_cursor_put(&tx->local);
	qp_cursor_put(&tx->remote);
	pipe_release_recv(tx, rx, verdict.recv);
	pipe_complete(tx, wr, verdict.send);
	if (!tx->closed)
		qp_hangup(tx->qp);
	if (!READ_ONCE(rx->closed))
		qp_hangup(rx->qp);
	return PIPE_DONE;
}

static bool pipe_connected(const struct pipe_end *end)
{
	return qp_state(end->qp) == QP_STATE_RTS;
}

/* Complete what is in the queue now. Under @run. */
static void pipe_flush(struct pipe_end *tx, struct pipe_end *rx)
{
	struct qp_wr *wr, *next;
	LIST_HEAD(gone);

	pipe_release_recv(tx, rx, QP_WC_WR_FLUSH_ERR);
	spin_lock(&tx->sendq_lock);
	list_splice_init(&tx->sendq, &gone);
	spin_unlock(&tx->sendq_lock);
	list_for_each_entry_safe(wr, next, &gone, node) {
		qp_send_done(tx->qp, wr, QP_WC_WR_FLUSH_ERR);
		cond_resched();
	}
}

/* Whether the first send waits is what poll() and user space want to know */
static void pipe_set_blocked(struct pipe_end *tx, struct pipe_end *rx,
			     bool blocked)
{
	if (tx->blocked == blocked)
		return;
	WRITE_ONCE(tx->blocked, blocked);
	if (blocked)
		qp_count(tx->qp, QP_MIB_RNRWAITS);
	if (!READ_ONCE(rx->closed))
		qp_recv_need_wakeup(rx->qp, blocked);
}

/*
 * Get the receive that a send goes into: from the ring, or recvmsg()'s. False
 * if there is neither. *@err: the one from the ring is malformed.
 */
static bool pipe_take_recv(struct pipe_end *tx, struct pipe_end *rx,
			   const struct pipe_sink *sink, int *err)
{
	*err = 0;
	if (tx->has_recv)
		return true;
	if (pipe_connected(rx)) {
		*err = qp_recv_get(rx->qp, &tx->recv);
		if (*err == -EAGAIN && !sink) {
			pipe_set_blocked(tx, rx, true);
			/* Pairs with user space: post, then look at the flag */
			smp_mb();
			*err = qp_recv_get(rx->qp, &tx->recv);
		}
		if (*err != -EAGAIN) {
			tx->has_recv = true;
			pipe_set_blocked(tx, rx, false);
			return true;
		}
		*err = 0;
	}
	return sink;
}

/* May bytes go on being copied? PIPE_DONE, or what is in the way. */
static enum pipe_step pipe_may_copy(const struct pipe_end *tx,
				    const struct qp_wr *wr)
{
	/* What a closed end left is little, and no worker would carry on */
	if (READ_ONCE(tx->closed))
		return wr->msg ? PIPE_DONE : PIPE_CLOSING;
	/* Who closes it waits for the thread that carries it out */
	if (READ_ONCE(tx->qp->closing))
		return PIPE_MORE;
	return fatal_signal_pending(current) ? PIPE_MORE : PIPE_DONE;
}

/*
 * Copy between the cursors from where the request stands. Everything that
 * can end a copy early is looked at between chunks; a failure is told in
 * @verdict, which says success when this is called.
 */
static enum pipe_step pipe_move(struct pipe_end *tx, struct pipe_end *rx,
				struct qp_wr *wr, u64 *budget,
				struct pipe_verdict *verdict)
{
	bool sink = wr->op->flags & QP_OPF_SINK;
	enum pipe_step step;
	size_t n;

	while (wr->done < wr->length) {
		step = *budget ? pipe_may_copy(tx, wr) : PIPE_MORE;
		if (step != PIPE_DONE)
			return step;
		if (READ_ONCE(rx->closed))
			*verdict = pipe_gone;
		else if (!qp_cursor_valid(&tx->local))
			*verdict = pipe_local_error;
		else if (!qp_cursor_valid(&tx->remote))
			*verdict = wr->op->flags & QP_OPF_PAYLOAD ?
				   pipe_buffer_error : pipe_remote_error;
		if (verdict->send)
			return PIPE_DONE;

		n = min3((u64)(wr->length - wr->done), (u64)PIPE_CHUNK,
			 *budget);
		if (sink)
			qp_copy(&tx->local, &tx->remote, n);
		else
			qp_copy(&tx->remote, &tx->local, n);
		wr->done += n;
		*budget -= n;
		cond_resched();
	}
	return PIPE_DONE;
}

/* Copy a message, or its beginning, to recvmsg()'s buffer. No page faults. */
static enum pipe_step pipe_fill_sink(struct pipe_end *tx, struct qp_wr *wr,
				     struct iov_iter *to, size_t len)
{
	enum pipe_step step = PIPE_DONE;
	size_t n, copied;

	while (len && step == PIPE_DONE) {
		/* Its memory goes: the next attempt says so to the sender */
		if (!qp_cursor_valid(&tx->local))
			return PIPE_MORE;
		n = min_t(size_t, len, PIPE_CHUNK);
		pagefault_disable();
		copied = qp_copy_to_iter(&tx->local, n, to);
		pagefault_enable();
		if (copied < n)
			return PIPE_FAULT;
		len -= n;
		cond_resched();
		step = pipe_may_copy(tx, wr);
	}
	return len ? step : PIPE_DONE;
}

/* Hand a message to recvmsg(), or leave its buffer as it was */
static enum pipe_step pipe_to_sink(struct pipe_end *tx, struct qp_wr *wr,
				   struct pipe_sink *sink)
{
	u32 length = wr->op->flags & QP_OPF_PAYLOAD ? wr->length : 0;
	struct iov_iter *to = &sink->msg->msg_iter;
	size_t room = iov_iter_count(to);
	enum pipe_step step;

	sink->copied = min_t(size_t, length, room);
	step = pipe_fill_sink(tx, wr, to, sink->copied);
	if (step != PIPE_DONE) {
		iov_iter_revert(to, room - iov_iter_count(to));
		return step;
	}
	sink->length = length;
	sink->has_imm = wr->op->flags & QP_OPF_IMM;
	sink->imm_data = wr->sqe.imm_data;
	return PIPE_TAKEN;
}

/* Where the bytes are in our own memory */
static int pipe_open_local(struct pipe_end *tx, struct qp_wr *wr)
{
	u32 access = wr->op->flags & QP_OPF_SINK ? QP_ACCESS_LOCAL_WRITE : 0;

	if (wr->data) {
		qp_cursor_data(&tx->local, wr->data, wr->done);
		return 0;
	}
	return qp_cursor_sge(&tx->local, tx->qp->mem, wr->sqe.sge,
			     wr->sqe.num_sge, access, wr->length, wr->done);
}

/* Where the bytes are in the peer's memory, or why they cannot be there */
static struct pipe_verdict pipe_open_remote(struct pipe_end *tx,
					    struct pipe_end *rx,
					    struct qp_wr *wr)
{
	static const struct pipe_verdict good;
	int err;

	if (wr->op->flags & QP_OPF_REMOTE) {
		err = qp_cursor_remote(&tx->remote, rx->qp->mem, wr->sqe.rkey,
				       wr->sqe.remote_addr, wr->length,
				       wr->op->access, wr->done);
		if (err)
			return pipe_remote_error;
		if ((wr->op->flags & QP_OPF_ATOMIC) &&
		    tx->remote.seg[0].offset % sizeof(u64))
			return pipe_misaligned;
	} else if (tx->has_recv) {
		if (wr->length > tx->recv.length)
			return pipe_too_long;
		err = qp_cursor_sge(&tx->remote, rx->qp->mem, tx->recv.sge,
				    tx->recv.num_sge, QP_ACCESS_LOCAL_WRITE,
				    wr->length, wr->done);
		if (err)
			return pipe_buffer_error;
	}
	return good;
}

/* Carry out an atomic: the value found goes to the local list */
static void pipe_atomic(struct pipe_end *tx, struct qp_wr *wr)
{
	u64 found = qp_atomic(&tx->remote, wr);

	qp_cursor_put(&tx->remote);
	qp_cursor_data(&tx->remote, &found, 0);
	qp_copy(&tx->local, &tx->remote, sizeof(found));
	qp_cursor_put(&tx->remote);
	wr->done = wr->length;
}

/* Carry out what concerns own memory only */
static enum pipe_step pipe_invalidate(struct pipe_end *tx, struct pipe_end *rx,
				      struct qp_wr *wr)
{
	if (qp_mr_invalidate(tx->qp->mem, wr->sqe.inv_rkey, false))
		return pipe_fail(tx, rx, wr, pipe_local_error);
	pipe_complete(tx, wr, QP_WC_SUCCESS);
	return PIPE_DONE;
}

/* All bytes are there: tell both sides */
static enum pipe_step pipe_finish(struct pipe_end *tx, struct pipe_end *rx,
				  struct qp_wr *wr)
{
	qp_cursor_put(&tx->local);
	qp_cursor_put(&tx->remote);
	if ((wr->op->flags & QP_OPF_INV) &&
	    qp_mr_invalidate(rx->qp->mem, wr->sqe.inv_rkey, true))
		return pipe_fail(tx, rx, wr, pipe_bad_key);
	if (tx->has_recv) {
		tx->has_recv = false;
		qp_recv_done(rx->qp, &tx->recv, QP_WC_SUCCESS, wr, wr->length);
	}
	pipe_complete(tx, wr, QP_WC_SUCCESS);
	return PIPE_DONE;
}

/* Carry out the first send, or as much of it as can be. Under @run. */
static enum pipe_step pipe_send(struct pipe_end *tx, struct pipe_end *rx,
				struct qp_wr *wr, u64 *budget,
				struct pipe_sink *sink)
{
	struct pipe_verdict verdict;
	enum pipe_step step;
	int err;

	if (READ_ONCE(rx->closed))
		return pipe_fail(tx, rx, wr, pipe_gone);
	if (wr->status)
		return pipe_fail(tx, rx, wr, pipe_unknown);
	if (wr->op->flags & QP_OPF_LOCAL)
		return pipe_invalidate(tx, rx, wr);
	if (pipe_open_local(tx, wr))
		return pipe_fail(tx, rx, wr, pipe_local_error);

	if (wr->op->recv) {
		if ((READ_ONCE(rx->qp->sk.sk_shutdown) & RCV_SHUTDOWN) &&
		    pipe_connected(rx))
			return pipe_fail(tx, rx, wr, pipe_not_reading);
		if (!pipe_take_recv(tx, rx, sink, &err)) {
			qp_cursor_put(&tx->local);
			return PIPE_BLOCKED;
		}
		if (err)
			return pipe_fail(tx, rx, wr, pipe_malformed);
	}

	verdict = pipe_open_remote(tx, rx, wr);
	if (verdict.send)
		return pipe_fail(tx, rx, wr, verdict);

	step = PIPE_DONE;
	if (wr->op->flags & QP_OPF_ATOMIC)
		pipe_atomic(tx, wr);
	else if (!wr->op->recv || tx->has_recv ||
		 !(wr->op->flags & QP_OPF_PAYLOAD))
		step = pipe_move(tx, rx, wr, budget, &verdict);
	if (verdict.send)
		return pipe_fail(tx, rx, wr, verdict);
	if (step == PIPE_DONE && wr->op->recv && !tx->has_recv) {
		step = pipe_to_sink(tx, wr, sink);
		if (step == PIPE_TAKEN && !sink->peek) {
			pipe_set_blocked(tx, rx, false);
			qp_count_received(rx->qp, sink->length);
			pipe_finish(tx, rx, wr);
			return PIPE_TAKEN;
		}
	}
	if (step == PIPE_DONE)
		return pipe_finish(tx, rx, wr);
	qp_cursor_put(&tx->local);
	qp_cursor_put(&tx->remote);
	return step;
}

/* If everything sent was carried out and no more will come, tell the reader */
static void pipe_eof(struct pipe_end *tx, struct pipe_end *rx)
{
	smp_mb(); /* who closes looks at the queue; who empties it, at this */
	if (READ_ONCE(rx->closed) || !pipe_connected(rx) ||
	    !list_empty_careful(&tx->sendq))
		return;
	if (READ_ONCE(tx->closed)) {
		qp_hangup(rx->qp);
	} else if ((READ_ONCE(tx->qp->sk.sk_shutdown) & SEND_SHUTDOWN) &&
		   !READ_ONCE(rx->eof)) {
		WRITE_ONCE(rx->eof, true);
		qp_wake(rx->qp, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
	}
}

/* Carry out sends until there are no more or something is in the way */
static enum pipe_step pipe_sends(struct pipe_end *tx, struct pipe_end *rx,
				 u64 *budget, struct pipe_sink *sink)
{
	enum pipe_step step;
	struct qp_wr *wr;

	while ((wr = pipe_first(tx))) {
		if (!*budget)
			return PIPE_MORE;
		*budget -= min(*budget, PIPE_SEND_COST);
		if (!READ_ONCE(tx->closed) && !pipe_connected(tx)) {
			pipe_flush(tx, rx);
			continue;
		}
		step = pipe_send(tx, rx, wr, budget, sink);
		if (step != PIPE_DONE)
			return step;
		cond_resched();
	}
	pipe_set_blocked(tx, rx, false);
	return PIPE_DONE;
}

/* Receives that no send will go into any more */
static bool pipe_recvs_left(const struct pipe_end *rx)
{
	return !READ_ONCE(rx->closed) && qp_state(rx->qp) == QP_STATE_ERROR &&
	       qp_recv_ready(rx->qp);
}

/* Carry out sends, then complete receives that are left. Under @run. */
static enum pipe_step pipe_drain(struct pipe_end *tx, struct pipe_end *rx,
				 u64 *budget, struct pipe_sink *sink)
{
	enum pipe_step step = pipe_sends(tx, rx, budget, sink);

	if (!tx->has_recv && pipe_recvs_left(rx)) {
		qp_recv_flush(rx->qp);
		/* If there are more after that, somebody else's time goes */
		*budget = 0;
	}
	return step;
}

/* After letting go of @run: did something come in that was left to us? */
static bool pipe_runnable(const struct pipe_end *tx, const struct pipe_end *rx)
{
	smp_mb(); /* pairs with the one in pipe_try() */
	if (pipe_recvs_left(rx))
		return true;
	if (list_empty_careful(&tx->sendq))
		return false;
	if (READ_ONCE(rx->closed))
		return true;
	if (!READ_ONCE(tx->closed) && !pipe_connected(tx))
		return true;
	if (!pipe_connected(rx))
		return false;
	return !READ_ONCE(tx->blocked) || qp_recv_ready(rx->qp) ||
	       (READ_ONCE(rx->qp->sk.sk_shutdown) & RCV_SHUTDOWN);
}

static void pipe_defer(struct pipe_end *tx)
{
	sock_hold(&tx->qp->sk);
	if (!queue_work(pipe_wq, &tx->work))
		sock_put(&tx->qp->sk);
}

static void pipe_try(struct pipe_end *tx, struct pipe_end *rx, u64 budget)
{
	enum pipe_step step;

	for (;;) {
		smp_mb(); /* pairs with the one in pipe_runnable() */
		if (!mutex_trylock(&tx->run))
			return;
		step = pipe_drain(tx, rx, &budget, NULL);
		mutex_unlock(&tx->run);
		if (step == PIPE_CLOSING)
			return;
		/* Only now: a reader that does not block must find it free */
		if (step == PIPE_BLOCKED)
			qp_wake(rx->qp, EPOLLIN | EPOLLRDNORM);
		if (step != PIPE_MORE && !pipe_runnable(tx, rx))
			return;
		if (step == PIPE_MORE || !budget) {
			if (!READ_ONCE(tx->closed)) {
				pipe_defer(tx);
				return;
			}
			if (step != PIPE_MORE)
				return;
			budget = PIPE_BUDGET;
		}
		cond_resched();
	}
}

/* If the connection ended, complete what is left on one side */
static void pipe_settle(struct pipe_end *tx, struct pipe_end *rx)
{
	if (qp_state(tx->qp) == QP_STATE_ERROR ||
	    qp_state(rx->qp) == QP_STATE_ERROR)
		pipe_try(tx, rx, PIPE_BUDGET);
}

/**
 * pipe_run() - carry out the sends of one end
 * @tx: the sender
 * @rx: its peer
 * @budget: bytes after which a worker carries on
 *
 * Context: process, may sleep. Both ends are referenced.
 */
void pipe_run(struct pipe_end *tx, struct pipe_end *rx, u64 budget)
{
	pipe_try(tx, rx, budget);
	pipe_eof(tx, rx);
	pipe_settle(tx, rx);
	pipe_settle(rx, tx);
}

void pipe_work(struct work_struct *work)
{
	struct pipe_end *tx = container_of(work, struct pipe_end, work);
	struct qp_sock *peer;

	mutex_lock(&tx->run);
	peer = tx->peer;
	if (peer)
		sock_hold(&peer->sk);
	mutex_unlock(&tx->run);
	if (peer) {
		pipe_run(tx, pipe_end(peer), PIPE_WORK_BUDGET);
		sock_put(&peer->sk);
	}
	sock_put(&tx->qp->sk);
}

/* The user came by: its sends, and its receives for which the peer may wait */
void pipe_kick(struct qp_sock *qp)
{
	struct pipe_end *end = pipe_end(qp);
	enum qp_state state = qp_state(qp);
	struct pipe_end *peer;

	if (state != QP_STATE_RTS && state != QP_STATE_ERROR)
		return;
	peer = pipe_end(end->peer);
	smp_mb(); /* after user space posted receives */
	if (!list_empty_careful(&end->sendq))
		pipe_run(end, peer, PIPE_NO_BUDGET);
	if (!list_empty_careful(&peer->sendq) || state == QP_STATE_ERROR)
		pipe_run(peer, end, PIPE_BUDGET);
}

static int pipe_sink_result(const struct pipe_sink *sink, int flags)
{
	struct msghdr *msg = sink->msg;

	if (sink->has_imm)
		put_cmsg(msg, SOL_QP, QP_CMSG_IMM, sizeof(sink->imm_data),
			 (void *)&sink->imm_data);
	msg->msg_flags |= MSG_EOR;
	if (sink->copied < sink->length)
		msg->msg_flags |= MSG_TRUNC;
	return flags & MSG_TRUNC ? sink->length : sink->copied;
}

/*
 * Try once to get a message. -EAGAIN: there is none now; -EBUSY: another one
 * is at it; -ERESTART: the buffer was not there, but is now.
 */
static int pipe_recv_once(struct pipe_end *rx, struct pipe_end *tx,
			  struct pipe_sink *sink, int flags)
{
	u64 budget = PIPE_BUDGET;
	enum pipe_step step;

	if (!(flags & MSG_DONTWAIT)) {
		if (mutex_lock_interruptible(&tx->run))
			return -EINTR;
	} else if (!mutex_trylock(&tx->run)) {
		return -EBUSY;
	}
	step = pipe_drain(tx, rx, &budget, sink);
	mutex_unlock(&tx->run);

	/* What came in meanwhile was left to us */
	pipe_run(tx, rx, PIPE_BUDGET);
	if (step == PIPE_TAKEN)
		return 0;
	if (step != PIPE_FAULT)
		return -EAGAIN;
	if (fault_in_iov_iter_writeable(&sink->msg->msg_iter, sink->copied))
		return -EFAULT;
	return signal_pending(current) ? -EINTR : -ERESTART;
}

/* Will no message come any more, but those that wait? */
static bool pipe_recv_ends(const struct qp_sock *qp)
{
	return qp_state(qp) == QP_STATE_ERROR ||
	       (READ_ONCE(qp->sk.sk_shutdown) & RCV_SHUTDOWN) ||
	       READ_ONCE(pipe_end(qp)->eof);
}

static bool pipe_readable(const struct qp_sock *qp, const struct pipe_end *tx)
{
	return pipe_message_waits(tx) || pipe_recv_ends(qp);
}

/* recvmsg(): take the next message that no posted receive takes */
int pipe_recvmsg(struct qp_sock *qp, struct msghdr *msg, size_t len, int flags)
{
	struct pipe_sink sink = { .msg = msg, .peek = flags & MSG_PEEK };
	long timeo = sock_rcvtimeo(&qp->sk, flags & MSG_DONTWAIT);
	struct pipe_end *rx = pipe_end(qp), *tx;
	wait_queue_head_t *wq = sk_sleep(&qp->sk);
	enum qp_state state = qp_state(qp);
	int err;

	if (state != QP_STATE_RTS && state != QP_STATE_ERROR)
		return -ENOTCONN;
	tx = pipe_end(rx->peer);
	for (;;) {
		err = pipe_recv_once(rx, tx, &sink, flags);
		if (!err)
			return pipe_sink_result(&sink, flags);
		if (err == -ERESTART)
			continue;
		if (err == -EINTR)
			return sock_intr_errno(timeo);
		if (err == -EBUSY)
			return -EAGAIN;
		if (err != -EAGAIN)
			return err;
		if (pipe_recv_ends(qp) && !pipe_message_waits(tx))
			return sock_error(&qp->sk);
		if (!timeo)
			return -EAGAIN;
		timeo = wait_event_interruptible_timeout(*wq,
							 pipe_readable(qp, tx),
							 timeo);
		if (timeo < 0)
			return sock_intr_errno(qp->sk.sk_rcvtimeo);
	}
}

/*
 * Keep the messages at the head of the queue that live in kernel buffers: the
 * reader gets them after the sender is gone. All else is flushed.
 */
static void pipe_cut(struct pipe_end *tx, struct pipe_end *rx)
{
	struct qp_wr *wr, *next;
	bool cut = !pipe_connected(tx);
	LIST_HEAD(gone);

	spin_lock(&tx->sendq_lock);
	list_for_each_entry_safe(wr, next, &tx->sendq, node) {
		cut |= !wr->msg;
		if (cut)
			list_move_tail(&wr->node, &gone);
	}
	spin_unlock(&tx->sendq_lock);

	if (list_empty(&tx->sendq))
		pipe_release_recv(tx, rx, QP_WC_WR_FLUSH_ERR);
	list_for_each_entry_safe(wr, next, &gone, node)
		qp_send_done(tx->qp, wr, QP_WC_WR_FLUSH_ERR);
}

/**
 * pipe_leave() - an end is closed: leave the connection
 * @end: the end; its memory table is not looked at any more afterwards
 * @peer: the other one
 *
 * Context: process, may sleep.
 */
void pipe_leave(struct pipe_end *end, struct pipe_end *peer)
{
	/* Our sends: nobody reads our memory for them any more */
	mutex_lock(&end->run);
	pipe_cut(end, peer);
	mutex_unlock(&end->run);

	/* The peer's: who carries them out now sees that we are gone */
	mutex_lock(&peer->run);
	pipe_release_recv(peer, end, QP_WC_WR_FLUSH_ERR);
	if (peer->closed)
		pipe_flush(peer, end);
	mutex_unlock(&peer->run);

	/* What we sent arrives, then the peer's sends fail, then it hangs up */
	pipe_try(end, peer, PIPE_BUDGET);
	pipe_run(peer, end, PIPE_BUDGET);
	pipe_run(end, peer, PIPE_BUDGET);
}
