/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PF_IB: counters of a network namespace, the table Ib in /proc/net/netstat
 */
#ifndef _IB_PROTO_STATS_H
#define _IB_PROTO_STATS_H

#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <net/snmp.h>

#include "ib_proto.h"

enum afib_mib_item {
	AFIB_MIB_INMSGS,
	AFIB_MIB_OUTMSGS,
	AFIB_MIB_INOCTETS,
	AFIB_MIB_OUTOCTETS,
	AFIB_MIB_INMCASTMSGS,
	AFIB_MIB_OUTMCASTMSGS,
	AFIB_MIB_INERRORS,
	AFIB_MIB_RCVBUFERRORS,
	AFIB_MIB_INFILTERED,
	AFIB_MIB_INNOTPEER,
	AFIB_MIB_INSHUTDOWN,
	AFIB_MIB_OUTERRORS,
	AFIB_MIB_SNDBUFERRORS,
	AFIB_MIB_SIDRQUERIES,
	AFIB_MIB_SIDRHITS,
	AFIB_MIB_SIDRNEGATIVE,
	AFIB_MIB_SIDRNEGATIVEHITS,
	AFIB_MIB_SIDRTIMEOUTS,
	AFIB_MIB_SIDRANSWERS,
	AFIB_MIB_SIDRREFUSALS,
	AFIB_MIB_ACTIVEOPENS,
	AFIB_MIB_PASSIVEOPENS,
	AFIB_MIB_ATTEMPTFAILS,
	AFIB_MIB_ESTABRESETS,
	AFIB_MIB_CURRESTAB,
	AFIB_MIB_LISTENDROPS,
	AFIB_MIB_INFRAGS,
	AFIB_MIB_OUTFRAGS,
	AFIB_MIB_OUTGRANTS,
	AFIB_MIB_CREDITWAITS,
	AFIB_MIB_PROBES,
	AFIB_MIB_VIOLATIONS,
	AFIB_MIB_MAX
};

/**
 * struct afib_mib - counters of a network namespace, on one CPU
 * @mibs: by enum afib_mib_item
 * @syncp: for those who read them where a long has 32 bits
 */
struct afib_mib {
	u64 mibs[AFIB_MIB_MAX];
	struct u64_stats_sync syncp;
};

/* Any context but a hard interrupt */
static inline void afib_count_some(const struct afib_sock *is,
				   enum afib_mib_item item, u64 n)
{
	struct afib_mib __percpu *mib = is->mib;

	SNMP_ADD_STATS64(mib, item, n);
}

static inline void afib_count(const struct afib_sock *is, enum afib_mib_item item)
{
	afib_count_some(is, item, 1);
}

#endif /* _IB_PROTO_STATS_H */
