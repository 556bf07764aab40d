// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: the device's completions
 *
 * Each queue pair has a completion queue of the device to itself, which is
 * emptied in softirq when the device says that there is something in it. A
 * caller of qp_enter() that spins for a while empties it itself: then nothing is
 * said, and the completion is there as soon as the device has written it.
 *
 * qpemu works in softirq too, and says so without a lock: then it is emptied at
 * once. But whoever sends between two hosts of one machine receives for the other
 * one as well, in that softirq, and has more to do than who reads. So datagrams are
 * left to the processor of their reader, unless that one sleeps: who is woken by the
 * first is there sooner if nothing comes between.
 *
 * Sends and receives that are posted in softirq are posted here, with
 * &verbs_cq.lock held, so what the device says meanwhile is not taken for that.
 */
#include "verbs.h"

/* Completions that are taken at once */
#define VERBS_CQ_BUDGET		64

#define VERBS_CQ_NOTIFY		(IB_CQ_NEXT_COMP | IB_CQ_REPORT_MISSED_EVENTS)

/* Ask to be told of the next one; what came meanwhile is as good */
static void verbs_cq_arm(struct verbs_cq *cq)
{
	if (ib_req_notify_cq(cq->ib, VERBS_CQ_NOTIFY) > 0)
		irq_poll_sched(&cq->poll);
}

static int verbs_cq_poll(struct irq_poll *poll, int budget)
{
	struct verbs_cq *cq = container_of(poll, struct verbs_cq, poll);
	int done;

	spin_lock(&cq->lock);
	done = ib_process_cq_direct(cq->ib, budget);
	if (done < budget) {
		/* From here on the lock alone keeps verbs_cq_end() waiting */
		irq_poll_complete(poll);
		if (!atomic_read(&cq->spinners))
			verbs_cq_arm(cq);
	}
	spin_unlock(&cq->lock);
	return done;
}

static void verbs_cq_called(void *data)
{
	struct verbs_cq *cq = data;

	irq_poll_sched(&cq->poll);
	/* Pairs with verbs_cq_end() */
	smp_store_release(&cq->calling, false);
}

/* Have another processor take completions. False if that cannot be. */
static bool verbs_cq_call(struct verbs_cq *cq, int cpu)
{
	/* It has not looked yet */
	if (xchg(&cq->calling, true))
		return true;
	if (!smp_call_function_single_async(cpu, &cq->call))
		return true;
	WRITE_ONCE(cq->calling, false);
	return false;
}

/* Take some here and now. True if that is all. Under the lock. */
static bool verbs_cq_take(struct verbs_cq *cq, int budget)
{
	ib_process_cq_direct(cq->ib, budget);
	return ib_req_notify_cq(cq->ib, VERBS_CQ_NOTIFY) <= 0;
}

/*
 * Have completions taken at once, here or where they are read. False if that cannot
 * be, or is not all.
 */
static bool verbs_cq_direct(struct verbs_cq *cq)
{
	int reader, cpu;
	bool all;

	if (!cq->direct || !in_serving_softirq() || !spin_trylock(&cq->lock))
		return false;
	reader = cq->reader ? READ_ONCE(*cq->reader) : 0;
	cpu = abs(reader) - 1;
	if (cpu < 0 || cpu == smp_processor_id())
		all = verbs_cq_take(cq, VERBS_CQ_BUDGET);
	else
		all = (reader < 0 && verbs_cq_take(cq, 1)) || verbs_cq_call(cq, cpu);
	spin_unlock(&cq->lock);
	return all;
}

/* The device has one. Any context. */
static void verbs_cq_told(struct ib_cq *ib, void *context)
{
	struct verbs_cq *cq = context;

	if (!atomic_read(&cq->spinners) && !verbs_cq_direct(cq))
		irq_poll_sched(&cq->poll);
}

/**
 * verbs_cq_make() - have a completion queue
 * @cq: zeroed, or verbs_cq_end() was called for it
 * @ibdev: the device
 * @entries: how many completions it holds
 *
 * Context: process, may sleep.
 * Return: 0, or what the device says.
 */
int verbs_cq_make(struct verbs_cq *cq, struct ib_device *ibdev, u32 entries)
{
	static atomic_t vector;
	struct ib_cq_init_attr attr = {
		.cqe		= entries,
		.comp_vector	= (u32)atomic_inc_return(&vector) %
				  ibdev->num_comp_vectors,
	};
	struct ib_cq *ib;

	ib = ib_create_cq(ibdev, verbs_cq_told, NULL, cq, &attr);
	if (IS_ERR(ib))
		return PTR_ERR(ib);
	irq_poll_init(&cq->poll, VERBS_CQ_BUDGET, verbs_cq_poll);
	INIT_CSD(&cq->call, verbs_cq_called, cq);
	cq->direct = ibdev->ops.driver_id == RDMA_DRIVER_QPEMU;
	spin_lock_bh(&cq->lock);
	cq->ib = ib;
	spin_unlock_bh(&cq->lock);
	verbs_cq_arm(cq);
	return 0;
}

/**
 * verbs_cq_end() - have none any more, if there is one
 * @cq: of a queue pair that the device does not have any more
 *
 * Context: process, may sleep.
 */
void verbs_cq_end(struct verbs_cq *cq)
{
	struct ib_cq *ib = cq->ib;

	if (!ib)
		return;
	/* With no queue pair the device says nothing. Wait for the call, then for the softirq */
	while (smp_load_acquire(&cq->calling))
		cpu_relax();
	irq_poll_disable(&cq->poll);
	spin_lock_bh(&cq->lock);
	cq->ib = NULL;
	spin_unlock_bh(&cq->lock);
	ib_destroy_cq(ib);
}

/**
 * verbs_cq_empty() - take all that is complete
 * @cq: the completion queue
 *
 * There may be more of others' all the time, so no more is taken than there is
 * room for.
 *
 * Context: process.
 */
void verbs_cq_empty(struct verbs_cq *cq)
{
	int done, left = cq->ib->cqe;

	do {
		spin_lock_bh(&cq->lock);
		done = ib_process_cq_direct(cq->ib, VERBS_CQ_BUDGET);
		spin_unlock_bh(&cq->lock);
		left -= done;
	} while (done == VERBS_CQ_BUDGET && left > 0);
}

/* Look for completions, unless somebody does it just now */
static void verbs_cq_look(struct verbs_cq *cq)
{
	if (!spin_trylock_bh(&cq->lock))
		return;
	if (cq->ib)
		ib_process_cq_direct(cq->ib, VERBS_CQ_BUDGET);
	spin_unlock_bh(&cq->lock);
}

/* Who spun last hands over to the softirq */
static void verbs_cq_leave(struct verbs_cq *cq)
{
	if (!atomic_dec_and_test(&cq->spinners))
		return;
	spin_lock_bh(&cq->lock);
	if (cq->ib)
		verbs_cq_arm(cq);
	spin_unlock_bh(&cq->lock);
}

/**
 * verbs_spin() - &qp_proto.spin
 * @qp: the queue pair
 * @step: what the caller is about to do
 *
 * Context: process.
 */
void verbs_spin(struct qp_sock *qp, enum qp_spin step)
{
	struct verbs_cq *cq = &verbs_qp(qp)->cq;

	switch (step) {
	case QP_SPIN_BEGIN:
		atomic_inc(&cq->spinners);
		break;
	case QP_SPIN_LOOK:
		verbs_cq_look(cq);
		break;
	case QP_SPIN_END:
		verbs_cq_leave(cq);
		break;
	}
}
