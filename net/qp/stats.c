// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: counters of a network namespace
 *
 * They are the table Qp in /proc/net/netstat, where nstat(8) and "netstat -s" look
 * for it, and the line QP in /proc/net/sockstat.
 */
#include <linux/netdevice.h>
#include <linux/seq_file.h>
#include <net/netstat.h>

#include "qp_impl.h"
#include "stats.h"

static const struct snmp_mib qp_mib_items[] = {
	SNMP_MIB_ITEM("ActiveOpens", QP_MIB_ACTIVEOPENS),
	SNMP_MIB_ITEM("PassiveOpens", QP_MIB_PASSIVEOPENS),
	SNMP_MIB_ITEM("AttemptFails", QP_MIB_ATTEMPTFAILS),
	SNMP_MIB_ITEM("EstabResets", QP_MIB_ESTABRESETS),
	SNMP_MIB_ITEM("CurrEstab", QP_MIB_CURRESTAB),
	SNMP_MIB_ITEM("Fallbacks", QP_MIB_FALLBACKS),
	SNMP_MIB_ITEM("CreateFails", QP_MIB_CREATEFAILS),
	SNMP_MIB_ITEM("OutMsgs", QP_MIB_OUTMSGS),
	SNMP_MIB_ITEM("OutOctets", QP_MIB_OUTOCTETS),
	SNMP_MIB_ITEM("InMsgs", QP_MIB_INMSGS),
	SNMP_MIB_ITEM("InOctets", QP_MIB_INOCTETS),
	SNMP_MIB_ITEM("OutWrites", QP_MIB_OUTWRITES),
	SNMP_MIB_ITEM("OutReads", QP_MIB_OUTREADS),
	SNMP_MIB_ITEM("OutAtomics", QP_MIB_OUTATOMICS),
	SNMP_MIB_ITEM("PostedSends", QP_MIB_POSTEDSENDS),
	SNMP_MIB_ITEM("PostedRecvs", QP_MIB_POSTEDRECVS),
	SNMP_MIB_ITEM("CompletionErrors", QP_MIB_COMPLETIONERRORS),
	SNMP_MIB_ITEM("CompletionFlushes", QP_MIB_COMPLETIONFLUSHES),
	SNMP_MIB_ITEM("RetryErrors", QP_MIB_RETRYERRORS),
	SNMP_MIB_ITEM("Malformed", QP_MIB_MALFORMED),
	SNMP_MIB_ITEM("RnrWaits", QP_MIB_RNRWAITS),
	SNMP_MIB_ITEM("Doorbells", QP_MIB_DOORBELLS),
	SNMP_MIB_ITEM("SqpollSleeps", QP_MIB_SQPOLLSLEEPS),
	SNMP_MIB_ITEM("SqpollWakeups", QP_MIB_SQPOLLWAKEUPS),
	SNMP_MIB_ITEM("MemRegs", QP_MIB_MEMREGS),
	SNMP_MIB_ITEM("MemRegFails", QP_MIB_MEMREGFAILS),
};

static_assert(ARRAY_SIZE(qp_mib_items) == QP_MIB_MAX);

/**
 * qp_count_state() - the state of a queue pair changes
 * @qp: the queue pair
 * @from: what it was
 * @to: what it is
 *
 * Two may change it at the same time; whether it is connected is counted once.
 *
 * Context: any but a hard interrupt.
 */
void qp_count_state(struct qp_sock *qp, enum qp_state from, enum qp_state to)
{
	/* Datagrams have no connection */
	if (qp->type == QP_UD)
		return;
	if (to == QP_STATE_RTS) {
		if (!test_and_set_bit(QP_COUNTED_ESTAB, &qp->counted))
			qp_count(qp, QP_MIB_CURRESTAB);
		return;
	}
	if (test_and_clear_bit(QP_COUNTED_ESTAB, &qp->counted))
		qp_count_some(qp, QP_MIB_CURRESTAB, -1);
	else if (from == QP_STATE_CONNECTING && to != QP_STATE_CONNECTING)
		qp_count(qp, QP_MIB_ATTEMPTFAILS);
}

/* A request fails. The first that does ends a connection, others are flushed. */
static void qp_count_error(struct qp_sock *qp, u16 status)
{
	if (status == QP_WC_WR_FLUSH_ERR) {
		qp_count(qp, QP_MIB_COMPLETIONFLUSHES);
		return;
	}
	qp_count(qp, QP_MIB_COMPLETIONERRORS);
	if (status == QP_WC_RETRY_EXC_ERR || status == QP_WC_RNR_RETRY_EXC_ERR)
		qp_count(qp, QP_MIB_RETRYERRORS);
	if (qp->type != QP_UD && !test_and_set_bit(QP_COUNTED_RESET, &qp->counted))
		qp_count(qp, QP_MIB_ESTABRESETS);
}

/* Of those that move something, which counter an opcode has besides */
static const enum qp_mib_item qp_mib_of_op[QP_OP_LAST] = {
	[QP_OP_SEND]		= QP_MIB_OUTMSGS,
	[QP_OP_SEND_IMM]	= QP_MIB_OUTMSGS,
	[QP_OP_SEND_INV]	= QP_MIB_OUTMSGS,
	[QP_OP_WRITE]		= QP_MIB_OUTWRITES,
	[QP_OP_WRITE_IMM]	= QP_MIB_OUTWRITES,
	[QP_OP_READ]		= QP_MIB_OUTREADS,
	[QP_OP_ATOMIC_CAS]	= QP_MIB_OUTATOMICS,
	[QP_OP_ATOMIC_ADD]	= QP_MIB_OUTATOMICS,
};

/**
 * qp_count_sent() - a send work request is complete
 * @qp: the queue pair
 * @wr: the request
 * @status: enum qp_wc_status
 *
 * Context: any but a hard interrupt.
 */
void qp_count_sent(struct qp_sock *qp, const struct qp_wr *wr, u16 status)
{
	if (status) {
		qp_count_error(qp, status);
		return;
	}
	if (wr->op->flags & QP_OPF_LOCAL || wr->sqe.opcode >= QP_OP_LAST)
		return;
	qp_count(qp, qp_mib_of_op[wr->sqe.opcode]);
	if (wr->op->flags & QP_OPF_SINK)
		qp_count_some(qp, QP_MIB_INOCTETS, wr->length);
	else
		qp_count_some(qp, QP_MIB_OUTOCTETS, wr->length);
}

/**
 * qp_count_received() - a message was received
 * @qp: the queue pair
 * @length: of the message, bytes
 *
 * Context: any but a hard interrupt.
 */
void qp_count_received(struct qp_sock *qp, u32 length)
{
	atomic64_inc(&qp->rx_msgs);
	atomic64_add(length, &qp->rx_bytes);
	qp_count(qp, QP_MIB_INMSGS);
	qp_count_some(qp, QP_MIB_INOCTETS, length);
}
EXPORT_SYMBOL_GPL(qp_count_received);

/* A receive fails. Any context but a hard interrupt. */
void qp_count_recv_error(struct qp_sock *qp, u16 status)
{
	qp_count_error(qp, status);
}

static void __percpu *qp_stats_counters(const struct net *net)
{
	return qp_pernet(net)->mib;
}

#ifdef CONFIG_PROC_FS
static void qp_stats_sockets(struct seq_file *seq, struct net *net)
{
	struct qp_net *qn = qp_pernet(net);

	seq_printf(seq, "QP: inuse %d regions %d mem %llu\n",
		   atomic_read(&qn->nr_qps), atomic_read(&qn->nr_mrs),
		   (u64)atomic64_read(&qn->mr_bytes) >> PAGE_SHIFT);
}
#else
#define qp_stats_sockets NULL
#endif

static struct netstat_table qp_stats_table = {
	.name		= "Qp",
	.items		= qp_mib_items,
	.nr		= ARRAY_SIZE(qp_mib_items),
	.syncp		= offsetof(struct qp_mib, syncp),
	.counters	= qp_stats_counters,
	.sockstat	= qp_stats_sockets,
};

/* Give a network namespace its counters; 0 or -ENOMEM */
int qp_stats_net_init(struct qp_net *qn)
{
	qn->mib = netdev_alloc_pcpu_stats(struct qp_mib);
	return qn->mib ? 0 : -ENOMEM;
}

void qp_stats_net_exit(struct qp_net *qn)
{
	free_percpu(qn->mib);
}

void __init qp_stats_init(void)
{
	netstat_register(&qp_stats_table);
}
