// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring: QP_URING_OP_ENTER, qp_enter() as a command
 *
 * Work is submitted from where io_uring issues the command, under the ring's
 * lock if need be, and never handed to a worker thread: submitting sleeps only
 * for the lock of the send queue and copies pinned memory, so it ends by
 * itself, and a worker would cost more than most submissions.
 *
 * Waiting sleeps nowhere. An entry in the wait queue of the CQ stands for the
 * command and completes it from task work. Three may want to complete it: the
 * waker, the canceller, and the issuer that sees the completions arrive while
 * it enters the queue. Whoever takes the entry away, under the lock of the
 * wait queue, is the one to do it.
 */
#include <linux/io_uring/cmd.h>
#include <linux/net.h>
#include <linux/slab.h>

#include "qp_impl.h"

/**
 * struct qp_uring_wait - a command that waits, in &io_uring_cmd.pdu
 * @qp: whose CQ it waits for
 * @entry: in the wait queue of the CQ or on the way there; NULL once somebody
 *	completes the command. Under the lock of the wait queue
 * @min: completions that it waits for
 * @accepted: work requests that it submitted, its result
 */
struct qp_uring_wait {
	struct qp_sock *qp;
	struct wait_queue_entry *entry;
	u32 min;
	int accepted;
};

static struct qp_uring_wait *qp_uring_wait(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct qp_uring_wait);
}

static bool qp_uring_satisfied(struct qp_sock *qp, u32 min)
{
	return qp_cq_ready(qp->cq) >= min || qp_finished(qp);
}

/* Is it ours to complete the command? Under the lock of the wait queue. */
static bool qp_uring_claim(struct qp_uring_wait *wait)
{
	if (!wait->entry)
		return false;
	list_del(&wait->entry->entry);
	kfree(wait->entry);
	wait->entry = NULL;
	return true;
}

static void qp_uring_complete(struct io_tw_req tw_req, io_tw_token_t tw)
{
	struct io_uring_cmd *cmd = io_uring_cmd_from_tw(tw_req);

	io_uring_cmd_done(cmd, qp_uring_wait(cmd)->accepted,
			  IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}

/* Called under the lock of the wait queue */
static int qp_uring_wake(struct wait_queue_entry *entry, unsigned int mode,
			 int sync, void *key)
{
	struct io_uring_cmd *cmd = entry->private;
	struct qp_uring_wait *wait = qp_uring_wait(cmd);

	if (!qp_uring_satisfied(wait->qp, wait->min))
		return 0;
	qp_uring_claim(wait);
	__io_uring_cmd_do_in_task(cmd, qp_uring_complete, IOU_F_TWQ_IN_WAKE);
	return 1;
}

/* Enter the wait queue, unless it is too late: cancelled or satisfied */
static bool qp_uring_arm(struct qp_uring_wait *wait)
{
	struct wait_queue_head *wq = &wait->qp->cq->wait;
	bool satisfied = false;

	spin_lock_irq(&wq->lock);
	if (wait->entry) {
		__add_wait_queue(wq, wait->entry);
		smp_mb(); /* pairs with wq_has_sleeper() in qp_cq_wake() */
		if (qp_uring_satisfied(wait->qp, wait->min))
			satisfied = qp_uring_claim(wait);
	}
	spin_unlock_irq(&wq->lock);
	return satisfied;
}

/*
 * The command can be cancelled before it is armed if it is issued without the
 * ring's lock; @cmd, unlike the entry, outlives this function in any case.
 */
static int qp_uring_start(struct qp_sock *qp, struct io_uring_cmd *cmd,
			  u32 min, int accepted, unsigned int issue_flags)
{
	struct qp_uring_wait *wait = qp_uring_wait(cmd);
	struct wait_queue_entry *entry;

	entry = kmalloc_obj(*entry, GFP_KERNEL_ACCOUNT);
	if (!entry)
		return accepted ?: -ENOMEM;
	init_waitqueue_func_entry(entry, qp_uring_wake);
	entry->private = cmd;
	INIT_LIST_HEAD(&entry->entry);

	wait->qp = qp;
	wait->entry = entry;
	wait->min = min;
	wait->accepted = accepted;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	if (qp_uring_arm(wait))
		io_uring_cmd_done(cmd, accepted, issue_flags);
	return -EIOCBQUEUED;
}

static void qp_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct qp_uring_wait *wait = qp_uring_wait(cmd);
	struct wait_queue_head *wq = &wait->qp->cq->wait;
	bool claimed;

	spin_lock_irq(&wq->lock);
	claimed = qp_uring_claim(wait);
	spin_unlock_irq(&wq->lock);
	if (claimed)
		io_uring_cmd_done(cmd, wait->accepted ?: -ECANCELED,
				  issue_flags);
}

static int qp_uring_enter(struct qp_sock *qp, struct io_uring_cmd *cmd,
			  unsigned int issue_flags)
{
	const struct io_uring_sqe *sqe = cmd->sqe;
	u64 counts = READ_ONCE(sqe->addr3);
	u32 to_submit = lower_32_bits(counts);
	u32 min = upper_32_bits(counts);
	int accepted;

	if (cmd->flags & IORING_URING_CMD_MASK || sqe->ioprio || sqe->addr ||
	    sqe->len || sqe->file_index || sqe->__pad2[0])
		return -EINVAL;
	if (min && (!qp->cq || min > qp->cq->ring.entries))
		return -EINVAL;

	accepted = qp_submit(qp, to_submit);
	if (accepted < 0 || accepted < to_submit || !min ||
	    qp_uring_satisfied(qp, min))
		return accepted;
	return qp_uring_start(qp, cmd, min, accepted, issue_flags);
}

/**
 * qp_uring_cmd() - &proto_ops.uring_cmd
 * @sock: a queue pair
 * @cmd: the command
 * @issue_flags: IO_URING_F_*
 *
 * Return: the result, or -EIOCBQUEUED if it comes or came through
 * io_uring_cmd_done().
 */
int qp_uring_cmd(struct socket *sock, struct io_uring_cmd *cmd,
		 unsigned int issue_flags)
{
	int ret;

	if (cmd->cmd_op != QP_URING_OP_ENTER)
		return -EOPNOTSUPP;
	if (issue_flags & IO_URING_F_CANCEL) {
		qp_uring_cancel(cmd, issue_flags);
		return 0;
	}

	ret = qp_uring_enter(qp_sk(sock->sk), cmd, issue_flags);
	if (ret == -EAGAIN) {
		/* No room: an answer, not the wish to run in a worker */
		io_uring_cmd_done(cmd, ret, issue_flags);
		ret = -EIOCBQUEUED;
	}
	return ret;
}
