/* SPDX-License-Identifier: GPL-2.0 */
/* Counters of a device, by CPU; read through "rdma statistic" and sysfs. */
#ifndef _QPEMU_STATS_H
#define _QPEMU_STATS_H

#include <linux/percpu.h>
#include <net/net_debug.h>
#include <rdma/ib_verbs.h>

enum qpemu_counter {
	QPEMU_SENT_PKTS,	/* packets sent; each of a super-packet counts */
	QPEMU_RCVD_PKTS,
	QPEMU_SENT_SUPER,	/* super-packets sent */
	QPEMU_RCVD_SUPER,
	QPEMU_SENT_BYTES,	/* payload */
	QPEMU_RCVD_BYTES,
	QPEMU_DUP_REQ,		/* requests received twice */
	QPEMU_OUT_OF_SEQ,	/* requests that came after a gap */
	QPEMU_RCVD_RNR,		/* RNR NAKs received */
	QPEMU_SENT_RNR,
	QPEMU_RCVD_SEQ_ERR,	/* NAKs for a lost packet received */
	QPEMU_TIMEOUTS,		/* acknowledgment timer expired */
	QPEMU_RETRY_EXCEEDED,
	QPEMU_RNR_EXCEEDED,
	QPEMU_REPEATED,		/* packets sent again */
	QPEMU_SEND_ERR,		/* the network refused a packet */
	QPEMU_ICRC_ERR,		/* packets dropped: wrong ICRC */
	QPEMU_MALFORMED,	/* packets dropped: length, version, padding */
	QPEMU_NO_QP,		/* packets dropped: no such queue pair, wrong state */
	QPEMU_BAD_ADDR,		/* packets dropped: not from the peer */
	QPEMU_BAD_PKEY,
	QPEMU_BAD_QKEY,
	QPEMU_NO_RWQE,		/* datagrams dropped: no receive posted */
	QPEMU_EARLY_KEPT,	/* packets kept until their turn came */
	QPEMU_EARLY_DROPS,	/* packets before their turn that were not kept */
	QPEMU_SENDS,		/* work requests completed */
	QPEMU_RECVS,
	QPEMU_LINK_DOWNED,
	QPEMU_NUM_COUNTERS,
};

struct qpemu_stats {
	u64 value[QPEMU_NUM_COUNTERS];
};

/* Bottom halves off: so there is no need to turn interrupts off for it. */
#define qpemu_count_n(dev, counter, n) do {				\
	DEBUG_NET_WARN_ON_ONCE(!in_softirq());				\
	__this_cpu_add((dev)->stats->value[counter], n);		\
} while (0)
#define qpemu_count(dev, counter)	qpemu_count_n(dev, counter, 1)

struct rdma_hw_stats *qpemu_alloc_hw_port_stats(struct ib_device *ibdev, u32 port);
int qpemu_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
		       u32 port, int index);

#endif /* _QPEMU_STATS_H */
