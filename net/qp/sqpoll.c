// SPDX-License-Identifier: GPL-2.0
/*
 * QP_SQPOLL: a thread that takes work from the rings, so that user space need
 * not call
 *
 * The thread is one of the process that made it, as those of vhost are: it
 * counts against the limits of that process, runs in its cgroups, and dies with
 * it. What it does for a queue pair is what qp_enter() does, but that an entry
 * which cannot be accepted is completed with an error: there is no caller to be
 * told.
 *
 * It looks at its queue pairs in turn. When there was nothing to do for a while
 * it sets QP_RING_NEED_WAKEUP in the send queues and sleeps:
 *
 *	user space			thread
 *
 *	store tail			set NEED_WAKEUP
 *	full barrier			full barrier
 *	load NEED_WAKEUP		load tail
 *	if set: qp_enter()		if moved: do not sleep
 *
 * Besides user space wake it: a change of a queue pair's state, and completions
 * of a queue pair whose work waits for room.
 */
#include <linux/cpumask.h>
#include <linux/cpuset.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

/* Entries that are taken from one queue pair before the next one's turn */
#define QP_SQPOLL_BATCH	64

/* How long the thread lets others have its CPU when it has nothing to do, us */
#define QP_SQPOLL_NAP	5

/* Time without work before the thread sleeps, unless told otherwise, ms */
#define QP_SQPOLL_IDLE	1000

/**
 * struct qp_sqpoll - a thread
 * @ref: one of the thread, one of each seat
 * @tgid: the process that it belongs to, referenced
 * @cpu: CPU that it is bound to, or -1
 * @idle: time without work before it sleeps, ms
 * @wait: where it sleeps
 * @left: who waits for it to be done with a queue pair
 * @lock: protects what follows. Process context only
 * @started: there is, or was, a thread
 * @alive: it has not ended
 * @seats: its queue pairs, in the order of their turns
 * @nr_seats: how many
 * @cur: the one that it works for. Also read without @lock
 */
struct qp_sqpoll {
	refcount_t ref;
	struct pid *tgid;
	int cpu;
	u32 idle;
	wait_queue_head_t wait;
	wait_queue_head_t left;
	spinlock_t lock;	/* seats, and whether there is a thread */
	bool started;
	bool alive;
	struct list_head seats;
	unsigned int nr_seats;
	struct qp_seat *cur;
};

/**
 * struct qp_seat - a queue pair at a thread
 * @node: in &qp_sqpoll.seats
 * @poll: the thread
 * @qp: the queue pair
 * @wait: in the wait queue of the CQ while the thread sleeps
 * @armed: it is there
 * @rq_tail: index in the ring when the thread looked last
 * @cq_head: the same
 * @call: user space called, or the state changed
 *
 * All but @poll and @qp belong to the thread, or are under its lock.
 */
struct qp_seat {
	struct list_head node;
	struct qp_sqpoll *poll;
	struct qp_sock *qp;
	struct wait_queue_entry wait;
	bool armed;
	u32 rq_tail;
	u32 cq_head;
	bool call;
};

static void qp_sqpoll_put(struct qp_sqpoll *p)
{
	if (!refcount_dec_and_test(&p->ref))
		return;
	put_pid(p->tgid);
	kfree(p);
}

static bool qp_sqpoll_alive(const struct qp_sqpoll *p)
{
	/* Pairs with qp_sqpoll_end() */
	return smp_load_acquire(&p->alive);
}

static void qp_sqpoll_rouse(struct qp_sqpoll *p)
{
	if (wq_has_sleeper(&p->wait))
		wake_up(&p->wait);
}

/* Entries of the send queue that wait to be taken */
static u32 qp_seat_pending(const struct qp_seat *seat)
{
	const struct qp_sq *sq = &seat->qp->sq;
	u32 pending;

	/*
	 * An index out of range is none: qp_enter() complains of it. Pairs with
	 * qp_sq_take().
	 */
	qp_ring_pending(&sq->ring, smp_load_acquire(&sq->head), &pending);
	return pending;
}

/* Did user space do something that it would otherwise tell by qp_enter()? */
static bool qp_seat_called(struct qp_seat *seat)
{
	const struct qp_sock *qp = seat->qp;
	bool call = seat->call;
	u32 tail, head;

	seat->call = false;
	if (!qp->rq.ring.entries)
		return call;
	tail = READ_ONCE(qp_ring_shared(&qp->rq.ring)->tail);
	head = READ_ONCE(qp_ring_shared(&qp->cq->ring)->head);
	call |= tail != seat->rq_tail || head != seat->cq_head;
	seat->rq_tail = tail;
	seat->cq_head = head;
	return call;
}

/* Is it connected, or was it? Before that there is nothing to do. */
static bool qp_seat_connected(const struct qp_seat *seat)
{
	enum qp_state state = qp_state(seat->qp);

	return state == QP_STATE_RTS || state == QP_STATE_ERROR;
}

/* Do for a queue pair what qp_enter() would do. True if there was work. */
static bool qp_seat_serve(struct qp_seat *seat)
{
	struct qp_sock *qp = seat->qp;
	unsigned int taken = 0;
	bool called;

	if (!qp_seat_connected(seat))
		return false;
	called = qp_seat_called(seat);
	if (qp_seat_pending(seat) && !qp_send_allowed(qp))
		taken = qp_sq_serve(qp, QP_SQPOLL_BATCH);
	if (!taken && !called)
		return false;
	qp->proto->kick(qp);
	return true;
}

/* Serve each queue pair once. True if one of them had work. */
static bool qp_sqpoll_round(struct qp_sqpoll *p)
{
	struct qp_seat *seat;
	bool work = false;
	unsigned int n;

	spin_lock(&p->lock);
	for (n = p->nr_seats; n && p->nr_seats; n--) {
		seat = list_first_entry(&p->seats, struct qp_seat, node);
		list_move_tail(&seat->node, &p->seats);
		p->cur = seat;
		spin_unlock(&p->lock);
		work |= qp_seat_serve(seat);
		/* Pairs with qp_sqpoll_leave(): we are done with it */
		smp_store_release(&p->cur, NULL);
		if (wq_has_sleeper(&p->left))
			wake_up(&p->left);
		spin_lock(&p->lock);
	}
	spin_unlock(&p->lock);
	return work;
}

/* Completions make room: go on, if something waits for it */
static int qp_seat_wake(struct wait_queue_entry *entry, unsigned int mode,
			int sync, void *key)
{
	struct qp_seat *seat = container_of(entry, struct qp_seat, wait);

	if (qp_seat_pending(seat))
		wake_up(&seat->poll->wait);
	return 0;
}

static void qp_seat_flag(struct qp_seat *seat, u32 flags)
{
	WRITE_ONCE(qp_ring_shared(&seat->qp->sq.ring)->flags, flags);
}

static void qp_seat_arm(struct qp_seat *seat)
{
	add_wait_queue(&seat->qp->cq->wait, &seat->wait);
	seat->armed = true;
	qp_seat_flag(seat, QP_RING_NEED_WAKEUP);
}

static void qp_seat_disarm(struct qp_seat *seat)
{
	if (!seat->armed)
		return;
	remove_wait_queue(&seat->qp->cq->wait, &seat->wait);
	seat->armed = false;
}

/* Is there something that the thread could do for a queue pair now? */
static bool qp_seat_ready(const struct qp_seat *seat)
{
	struct qp_sock *qp = seat->qp;

	if (qp->rq.ring.entries && qp_seat_connected(seat) &&
	    READ_ONCE(qp_ring_shared(&qp->rq.ring)->tail) != seat->rq_tail)
		return true;
	return qp_seat_pending(seat) && !qp_send_allowed(qp) &&
	       qp_sends_outstanding(qp) < qp->sq.ring.entries &&
	       qp_cq_room(qp->cq);
}

/* Ask to be woken. False if there is something to do. */
static bool qp_sqpoll_doze(struct qp_sqpoll *p)
{
	struct qp_seat *seat;
	bool ready;

	spin_lock(&p->lock);
	list_for_each_entry(seat, &p->seats, node)
		qp_seat_arm(seat);
	smp_mb(); /* pairs with user space: store the tail, then look */
	ready = !p->nr_seats;
	list_for_each_entry(seat, &p->seats, node)
		ready |= qp_seat_ready(seat);
	list_for_each_entry(seat, &p->seats, node) {
		if (ready)
			break;
		qp_count(seat->qp, QP_MIB_SQPOLLSLEEPS);
		trace_qp_sqpoll_sleep(seat->qp);
	}
	spin_unlock(&p->lock);
	return !ready;
}

static void qp_sqpoll_sleep(struct qp_sqpoll *p)
{
	struct qp_seat *seat;
	DEFINE_WAIT(wait);
	bool slept;

	prepare_to_wait(&p->wait, &wait, TASK_INTERRUPTIBLE);
	slept = qp_sqpoll_doze(p);
	if (slept)
		schedule();
	finish_wait(&p->wait, &wait);

	spin_lock(&p->lock);
	list_for_each_entry(seat, &p->seats, node) {
		if (slept) {
			qp_count(seat->qp, QP_MIB_SQPOLLWAKEUPS);
			trace_qp_sqpoll_wake(seat->qp);
		}
		qp_seat_disarm(seat);
		qp_seat_flag(seat, 0);
		seat->call = true;
	}
	spin_unlock(&p->lock);
}

/* The last queue pair has left: nobody can come to this thread any more */
static bool qp_sqpoll_unused(struct qp_sqpoll *p)
{
	bool unused;

	spin_lock(&p->lock);
	unused = !p->nr_seats;
	if (unused)
		p->alive = false;
	spin_unlock(&p->lock);
	return unused;
}

/*
 * The thread ends before its queue pairs do: from now on qp_enter() submits.
 * Who called before that counts on us.
 */
static void qp_sqpoll_end(struct qp_sqpoll *p)
{
	struct qp_seat *seat;
	unsigned int n;

	spin_lock(&p->lock);
	/* Pairs with qp_sqpoll_alive() */
	smp_store_release(&p->alive, false);
	list_for_each_entry(seat, &p->seats, node)
		qp_seat_flag(seat, QP_RING_NEED_WAKEUP);
	smp_mb(); /* pairs with qp_sqpoll_call() */
	spin_unlock(&p->lock);
	for (n = 0; n < QP_MAX_ENTRIES / QP_SQPOLL_BATCH; n++)
		if (!qp_sqpoll_round(p))
			break;

	spin_lock(&p->lock);
	list_for_each_entry(seat, &p->seats, node)
		qp_cq_wake(seat->qp->cq, EPOLLIN | EPOLLRDNORM);
	spin_unlock(&p->lock);
}

/*
 * There is nothing to do. Others on this CPU may be about to give us something:
 * ksoftirqd, with acknowledgments that make room, or the program itself. They need
 * not wait until our time slice is over.
 */
static void qp_sqpoll_relax(void)
{
	if (single_task_running())
		cpu_relax();
	else
		usleep_range(QP_SQPOLL_NAP, 2 * QP_SQPOLL_NAP);
}

static int qp_sqpoll_thread(void *data)
{
	struct qp_sqpoll *p = data;
	unsigned long sleep_at = jiffies + msecs_to_jiffies(p->idle);
	struct ksignal ksig;

	/* It may have gone offline since: then it is as after hotplug */
	if (p->cpu >= 0)
		set_cpus_allowed_ptr(current, cpumask_of(p->cpu));
	for (;;) {
		if (signal_pending(current) && get_signal(&ksig)) {
			qp_sqpoll_end(p);
			break;
		}
		if (qp_sqpoll_round(p)) {
			sleep_at = jiffies + msecs_to_jiffies(p->idle);
		} else if (time_after_eq(jiffies, sleep_at)) {
			if (qp_sqpoll_unused(p))
				break;
			qp_sqpoll_sleep(p);
			sleep_at = jiffies + msecs_to_jiffies(p->idle);
		} else if (!READ_ONCE(p->nr_seats)) {
			sleep_at = jiffies;
		} else {
			qp_sqpoll_relax();
		}
		cond_resched_tasks_rcu_qs();
	}
	qp_sqpoll_put(p);
	do_exit(0);
}

static int qp_sqpoll_start(struct qp_sqpoll *p, u32 qpn)
{
	char name[TASK_COMM_LEN];
	struct kernel_clone_args args = {
		.flags		= CLONE_FS | CLONE_UNTRACED | CLONE_VM |
				  CLONE_THREAD | CLONE_SIGHAND,
		.fn		= qp_sqpoll_thread,
		.fn_arg		= p,
		.name		= name,
		.user_worker	= 1,
		.no_files	= 1,
	};
	struct task_struct *task;

	snprintf(name, sizeof(name), "qp-sq-%u", qpn);
	task = copy_process(NULL, 0, NUMA_NO_NODE, &args);
	/* A limit on threads. EAGAIN would be that nobody waits to be accepted */
	if (task == ERR_PTR(-EAGAIN))
		return -ENOBUFS;
	if (IS_ERR(task))
		return PTR_ERR(task);
	p->started = true;
	p->alive = true;
	refcount_inc(&p->ref);
	wake_up_new_task(task);
	return 0;
}

/* May this process bind a thread to the CPU? */
static int qp_sqpoll_cpu(u32 cpu)
{
	cpumask_var_t allowed;
	bool ok;

	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;
	if (!alloc_cpumask_var(&allowed, GFP_KERNEL))
		return -ENOMEM;
	cpuset_cpus_allowed(current, allowed);
	ok = cpumask_test_cpu(cpu, allowed);
	free_cpumask_var(allowed);
	return ok ? cpu : -EINVAL;
}

static struct qp_sqpoll *qp_sqpoll_create(const struct qp_desc *desc,
					  unsigned int flags)
{
	struct qp_sqpoll *p;
	int cpu = -1;

	if (flags & QP_SQ_CPU) {
		cpu = qp_sqpoll_cpu(desc->sq_cpu);
		if (cpu < 0)
			return ERR_PTR(cpu);
	}
	p = kzalloc_obj(*p, GFP_KERNEL_ACCOUNT);
	if (!p)
		return ERR_PTR(-ENOMEM);
	refcount_set(&p->ref, 1);
	p->tgid = get_pid(task_tgid(current));
	p->cpu = cpu;
	p->idle = desc->sq_idle ?: QP_SQPOLL_IDLE;
	init_waitqueue_head(&p->wait);
	init_waitqueue_head(&p->left);
	spin_lock_init(&p->lock);
	INIT_LIST_HEAD(&p->seats);
	return p;
}

/* The thread of another queue pair, if it is one of this process */
static struct qp_sqpoll *qp_sqpoll_get(const struct qp_sock *other)
{
	struct qp_sqpoll *p;

	if (!other->seat)
		return ERR_PTR(-EINVAL);
	p = other->seat->poll;
	if (p->tgid != task_tgid(current) || !qp_sqpoll_alive(p))
		return ERR_PTR(-EXDEV);
	refcount_inc(&p->ref);
	return p;
}

/**
 * qp_sqpoll_init() - choose the thread of a new queue pair
 * @qp: the queue pair; nobody else knows it
 * @desc: checked
 * @flags: QP_*, with QP_SQPOLL
 * @other: whose thread to share, or NULL for one of its own
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL (not a CPU to bind to, or @other has no thread), -EXDEV
 * (that belongs to another process, or has ended), -ENOMEM.
 */
int qp_sqpoll_init(struct qp_sock *qp, const struct qp_desc *desc,
		   unsigned int flags, const struct qp_sock *other)
{
	struct qp_seat *seat;
	struct qp_sqpoll *p;

	p = other ? qp_sqpoll_get(other) : qp_sqpoll_create(desc, flags);
	if (IS_ERR(p))
		return PTR_ERR(p);
	seat = kzalloc_obj(*seat, GFP_KERNEL_ACCOUNT);
	if (!seat) {
		qp_sqpoll_put(p);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(&seat->node);
	init_waitqueue_func_entry(&seat->wait, qp_seat_wake);
	seat->poll = p;
	seat->qp = qp;
	qp->seat = seat;
	return 0;
}

/**
 * qp_sqpoll_join() - have the thread serve a queue pair
 * @qp: a queue pair that has its rings
 *
 * Makes the thread if it is not there yet.
 *
 * Context: process, may sleep.
 * Return: 0; -EXDEV (the thread has ended), -ENOBUFS (RLIMIT_NPROC or another
 * limit on threads), -ENOMEM, or another error of clone(2).
 */
int qp_sqpoll_join(struct qp_sock *qp)
{
	struct qp_seat *seat = qp->seat;
	struct qp_sqpoll *p;
	int err = 0;

	if (!seat)
		return 0;
	p = seat->poll;
	spin_lock(&p->lock);
	if (p->started && !p->alive) {
		err = -EXDEV;
	} else {
		list_add_tail(&seat->node, &p->seats);
		WRITE_ONCE(p->nr_seats, p->nr_seats + 1);
	}
	spin_unlock(&p->lock);
	if (err)
		return err;
	if (!p->started)
		return qp_sqpoll_start(p, qp->qpn);
	/* If it sleeps it looks, and asks this one as well to wake it */
	qp_sqpoll_rouse(p);
	return 0;
}

/**
 * qp_sqpoll_leave() - the thread does nothing for a queue pair any more
 * @qp: a queue pair whose descriptor is closed
 *
 * Waits while the thread works for it, which it does not for long.
 *
 * Context: process, may sleep.
 */
void qp_sqpoll_leave(struct qp_sock *qp)
{
	struct qp_seat *seat = qp->seat;
	struct qp_sqpoll *p;

	if (!seat)
		return;
	p = seat->poll;
	spin_lock(&p->lock);
	if (!list_empty(&seat->node)) {
		list_del_init(&seat->node);
		WRITE_ONCE(p->nr_seats, p->nr_seats - 1);
	}
	qp_seat_disarm(seat);
	spin_unlock(&p->lock);
	/* Pairs with qp_sqpoll_round() */
	wait_event(p->left, smp_load_acquire(&p->cur) != seat);
	qp_sqpoll_rouse(p);
}

/* The last reference to the queue pair goes */
void qp_sqpoll_free(struct qp_sock *qp)
{
	if (!qp->seat)
		return;
	qp_sqpoll_put(qp->seat->poll);
	kfree(qp->seat);
}

/**
 * qp_sqpoll_call() - is there a thread? Then see to it that it looks
 * @qp: the queue pair
 *
 * Context: any.
 * Return: true if there is one: what is in the rings now is taken by it.
 */
bool qp_sqpoll_call(const struct qp_sock *qp)
{
	struct qp_sqpoll *p;

	if (!qp->seat)
		return false;
	p = qp->seat->poll;
	qp_sqpoll_rouse(p);	/* a full barrier, if nobody sleeps */
	return qp_sqpoll_alive(p);
}

/**
 * qp_sqpoll_pending() - will a thread take entries that are in the ring?
 * @qp: the queue pair
 *
 * Context: any; the queue pair has its rings.
 * Return: true if there are some, and there is a thread.
 */
bool qp_sqpoll_pending(const struct qp_sock *qp)
{
	return qp->seat && qp_sqpoll_alive(qp->seat->poll) &&
	       qp_seat_pending(qp->seat);
}

/* Time without work before the thread sleeps, ms */
u32 qp_sqpoll_idle(const struct qp_sock *qp)
{
	return qp->seat ? qp->seat->poll->idle : 0;
}

/* The CPU that it is bound to, or -1 */
int qp_sqpoll_on(const struct qp_sock *qp)
{
	return qp->seat ? qp->seat->poll->cpu : -1;
}

/* The same, or 0 */
u32 qp_sqpoll_bound(const struct qp_sock *qp)
{
	return max(qp_sqpoll_on(qp), 0);
}
