// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues
 *
 * Work is accepted only together with a slot for its completion, so that no
 * completion is ever lost: used + reserved never exceeds the size. User space
 * frees slots by moving the ring's head.
 */
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>

#include "qp_impl.h"

/* @entry_size: that of struct qp_cqe, or of struct qp_ud_cqe */
struct qp_cq *qp_cq_create(u32 entries, u32 entry_size)
{
	struct qp_cq *cq;
	int err;

	cq = kzalloc_obj(*cq, GFP_KERNEL_ACCOUNT);
	if (!cq)
		return ERR_PTR(-ENOMEM);
	err = qp_ring_alloc(&cq->ring, entries, entry_size);
	if (err) {
		kfree(cq);
		return ERR_PTR(err);
	}
	refcount_set(&cq->ref, 1);
	spin_lock_init(&cq->lock);
	init_waitqueue_head(&cq->wait);
	return cq;
}

struct qp_cq *qp_cq_get(struct qp_cq *cq)
{
	refcount_inc(&cq->ref);
	return cq;
}

void qp_cq_put(struct qp_cq *cq)
{
	if (!cq || !refcount_dec_and_test(&cq->ref))
		return;
	qp_ring_free(&cq->ring);
	kfree(cq);
}

static u32 __qp_cq_free(const struct qp_cq *cq)
{
	u32 taken = qp_ring_used(&cq->ring, cq->tail) + cq->reserved;

	lockdep_assert_held(&cq->lock);
	return cq->ring.entries - min(taken, cq->ring.entries);
}

static bool __qp_cq_room(const struct qp_cq *cq)
{
	return __qp_cq_free(cq);
}

/* How many more completions there is room for */
u32 qp_cq_free(struct qp_cq *cq)
{
	u32 n;

	spin_lock_bh(&cq->lock);
	n = __qp_cq_free(cq);
	spin_unlock_bh(&cq->lock);
	return n;
}

/* Is there room for one more completion? */
bool qp_cq_room(struct qp_cq *cq)
{
	bool room;

	spin_lock_bh(&cq->lock);
	room = __qp_cq_room(cq);
	spin_unlock_bh(&cq->lock);
	return room;
}

/* Reserve a slot for a completion; false if there is none */
bool qp_cq_reserve(struct qp_cq *cq)
{
	bool room;

	spin_lock_bh(&cq->lock);
	room = __qp_cq_room(cq);
	if (room)
		WRITE_ONCE(cq->reserved, cq->reserved + 1);
	spin_unlock_bh(&cq->lock);
	return room;
}

/* Give a reserved slot back unused */
void qp_cq_unreserve(struct qp_cq *cq)
{
	spin_lock_bh(&cq->lock);
	WRITE_ONCE(cq->reserved, cq->reserved - 1);
	spin_unlock_bh(&cq->lock);
}

/*
 * Fill a reserved slot, also with &qp_ud_cqe.src if @src is not NULL. The caller
 * wakes who waits, with qp_cq_wake().
 */
void qp_cq_post(struct qp_cq *cq, const struct qp_cqe *cqe, const void *src)
{
	struct qp_ud_cqe *entry;

	spin_lock_bh(&cq->lock);
	entry = qp_ring_entry(&cq->ring, cq->tail);
	memcpy(&entry->cqe, cqe, sizeof(*cqe));
	if (cq->ring.entry_size >= sizeof(*entry)) {
		if (src)
			memcpy(entry->src, src, sizeof(entry->src));
		else
			memset(entry->src, 0, sizeof(entry->src));
	}
	qp_ring_produced(&cq->ring, cq->tail + 1);
	/* User space sees it before whoever acts on qp_cq_ready() */
	smp_store_release(&cq->tail, cq->tail + 1);
	/* It is there before whoever finds that no more will come */
	smp_store_release(&cq->reserved, cq->reserved - 1);
	spin_unlock_bh(&cq->lock);
}

/*
 * Completions that user space has not consumed. It may have consumed one that
 * is being posted: then its index is ahead of ours, and there is none.
 */
u32 qp_cq_ready(const struct qp_cq *cq)
{
	/* Pairs with qp_cq_post() */
	u32 n = smp_load_acquire(&cq->tail) -
		READ_ONCE(qp_ring_shared(&cq->ring)->head);

	return n <= cq->ring.entries ? n : 0;
}

void qp_cq_wake(struct qp_cq *cq, __poll_t events)
{
	if (wq_has_sleeper(&cq->wait))
		wake_up_interruptible_sync_poll(&cq->wait, events);
}

struct qp_cq_waiter {
	struct wait_queue_entry entry;
	struct qp_sock *qp;
	u32 min;
};

static bool qp_cq_wait_over(const struct qp_cq_waiter *w)
{
	return qp_cq_ready(w->qp->cq) >= w->min || qp_finished(w->qp);
}

/* Sleep through completions until there are as many as were asked for */
static int qp_cq_wake_function(struct wait_queue_entry *entry,
			       unsigned int mode, int sync, void *key)
{
	struct qp_cq_waiter *w = container_of(entry, struct qp_cq_waiter, entry);

	if (!qp_cq_wait_over(w))
		return 0;
	return autoremove_wake_function(entry, mode, sync, key);
}

/* How long to look before going to sleep, in microseconds */
static unsigned int qp_busy_usecs(const struct net *net)
{
	return READ_ONCE(qp_pernet(net)->busy_poll);
}

static void qp_cq_look(struct qp_sock *qp, enum qp_spin step)
{
	if (qp->proto->spin)
		qp->proto->spin(qp, step);
}

/**
 * qp_spin_begin() - qp_cq_wait() will soon look for completions
 * @qp: a queue pair with a CQ
 *
 * What happens until then need not be told in softirq.
 *
 * Context: process.
 * Return: true if it will: qp_cq_wait() or qp_spin_end() has to be called.
 */
bool qp_spin_begin(struct qp_sock *qp)
{
	if (!qp_busy_usecs(sock_net(&qp->sk)) || !single_task_running())
		return false;
	qp_cq_look(qp, QP_SPIN_BEGIN);
	return true;
}

/**
 * qp_spin_end() - it will not
 * @qp: of qp_spin_begin()
 *
 * Context: process.
 */
void qp_spin_end(struct qp_sock *qp)
{
	qp_cq_look(qp, QP_SPIN_END);
}

/* Looks between two glances at the clock, which may be slow to read */
#define QP_BUSY_LOOKS	32

/* May it go on spinning? Not if the CPU has something else to do. */
static bool qp_busy_may_look(void)
{
	return single_task_running() && !need_resched() && !signal_pending(current);
}

/**
 * qp_busy_poll() - look a short while before going to sleep
 * @net: its net.qp.busy_poll says how long
 * @over: looks: is the wait over?
 * @arg: for @over
 * @expires: until then at most, or NULL
 *
 * It does so as long as the CPU has nothing else to do: in a conversation the answer
 * is often faster than a context switch.
 *
 * Context: process.
 * Return: true if the wait is over.
 */
bool qp_busy_poll(const struct net *net, bool (*over)(const void *arg), const void *arg,
		  const ktime_t *expires)
{
	ktime_t now, end = 0;
	int i;

	if (!qp_busy_usecs(net))
		return false;
	do {
		for (i = 0; i < QP_BUSY_LOOKS && qp_busy_may_look(); i++) {
			if (over(arg))
				return true;
			cpu_relax();
		}
		now = ktime_get();
		if (!end)
			end = ktime_add_us(now, qp_busy_usecs(net));
		if (expires && ktime_before(*expires, end))
			end = *expires;
	} while (i == QP_BUSY_LOOKS && ktime_before(now, end));
	return false;
}
EXPORT_SYMBOL_GPL(qp_busy_poll);

/* Looks for completions. Is the wait over? */
static bool qp_cq_over(const void *arg)
{
	const struct qp_cq_waiter *w = arg;

	qp_cq_look(w->qp, QP_SPIN_LOOK);
	return qp_cq_wait_over(w);
}

/* Sleep until the wait is over */
static int qp_cq_sleep(struct qp_cq_waiter *w, ktime_t *expires)
{
	struct qp_cq *cq = w->qp->cq;
	int err = 0;

	init_wait_func(&w->entry, qp_cq_wake_function);
	for (;;) {
		prepare_to_wait(&cq->wait, &w->entry, TASK_INTERRUPTIBLE);
		if (qp_cq_wait_over(w)) {
			err = 0;
			break;
		}
		if (err)
			break;
		if (signal_pending(current)) {
			err = -EINTR;
			break;
		}
		if (!schedule_hrtimeout(expires, HRTIMER_MODE_ABS))
			err = -ETIME;
	}
	finish_wait(&cq->wait, &w->entry);
	return err;
}

/**
 * qp_cq_wait() - wait for completions
 * @qp: a queue pair with a CQ
 * @min: number of completions, at most the CQ's size
 * @expires: until when (CLOCK_MONOTONIC), or NULL for as long as it takes
 * @spin: what qp_spin_begin() returned; this is the end of it
 *
 * Ends early when @qp is disconnected and nothing more can come from it.
 *
 * Context: process, may sleep.
 * Return: 0, -ETIME or -EINTR.
 */
int qp_cq_wait(struct qp_sock *qp, u32 min, ktime_t *expires, bool spin)
{
	struct qp_cq_waiter w = { .qp = qp, .min = min };
	bool over = qp_cq_ready(qp->cq) >= min;
	int err = 0;

	if (spin) {
		over = over || qp_busy_poll(sock_net(&qp->sk), qp_cq_over, &w, expires);
		qp_spin_end(qp);
	}
	if (!over)
		err = qp_cq_sleep(&w, expires);
	/* What it has not completed yet is flushed before it is said to be over */
	if (qp_finished(qp))
		qp->proto->kick(qp);
	return err;
}
