/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue pairs: counters of a network namespace, the table Qp in /proc/net/netstat
 */
#ifndef _QP_STATS_H
#define _QP_STATS_H

#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <net/qp.h>
#include <net/snmp.h>

enum qp_mib_item {
	QP_MIB_ACTIVEOPENS,
	QP_MIB_PASSIVEOPENS,
	QP_MIB_ATTEMPTFAILS,
	QP_MIB_ESTABRESETS,
	QP_MIB_CURRESTAB,
	QP_MIB_FALLBACKS,
	QP_MIB_CREATEFAILS,
	QP_MIB_OUTMSGS,
	QP_MIB_OUTOCTETS,
	QP_MIB_INMSGS,
	QP_MIB_INOCTETS,
	QP_MIB_OUTWRITES,
	QP_MIB_OUTREADS,
	QP_MIB_OUTATOMICS,
	QP_MIB_POSTEDSENDS,
	QP_MIB_POSTEDRECVS,
	QP_MIB_COMPLETIONERRORS,
	QP_MIB_COMPLETIONFLUSHES,
	QP_MIB_RETRYERRORS,
	QP_MIB_MALFORMED,
	QP_MIB_RNRWAITS,
	QP_MIB_DOORBELLS,
	QP_MIB_SQPOLLSLEEPS,
	QP_MIB_SQPOLLWAKEUPS,
	QP_MIB_MEMREGS,
	QP_MIB_MEMREGFAILS,
	QP_MIB_MAX
};

/**
 * struct qp_mib - counters of a network namespace, on one CPU
 * @mibs: by enum qp_mib_item
 * @syncp: for those who read them where a long has 32 bits
 */
struct qp_mib {
	u64 mibs[QP_MIB_MAX];
	struct u64_stats_sync syncp;
};

/* Any context but a hard interrupt, and not with interrupts off. @qp->mib is NULL
 * in tests of a queue pair that is none.
 */
static inline void qp_count_some(const struct qp_sock *qp, enum qp_mib_item item,
				 u64 n)
{
	struct qp_mib __percpu *mib = qp->mib;

	if (likely(mib))
		SNMP_ADD_STATS64(mib, item, n);
}

static inline void qp_count(const struct qp_sock *qp, enum qp_mib_item item)
{
	qp_count_some(qp, item, 1);
}

void qp_count_state(struct qp_sock *qp, enum qp_state from, enum qp_state to);
void qp_count_sent(struct qp_sock *qp, const struct qp_wr *wr, u16 status);
void qp_count_received(struct qp_sock *qp, u32 length);
void qp_count_recv_error(struct qp_sock *qp, u16 status);

/* &qp_sock.counted: states that are counted once */
enum {
	QP_COUNTED_ESTAB,	/* it is in CurrEstab */
	QP_COUNTED_RESET,	/* and in EstabResets */
};

#endif /* _QP_STATS_H */
