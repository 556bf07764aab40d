// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: counters of a network namespace
 *
 * They are the table Ib in /proc/net/netstat, where nstat(8) and "netstat -s" look
 * for it, and the line IB in /proc/net/sockstat.
 */
#include <linux/netdevice.h>
#include <linux/seq_file.h>
#include <net/netstat.h>

#include "stats.h"

static const struct snmp_mib afib_mib_items[] = {
	SNMP_MIB_ITEM("InMsgs", AFIB_MIB_INMSGS),
	SNMP_MIB_ITEM("OutMsgs", AFIB_MIB_OUTMSGS),
	SNMP_MIB_ITEM("InOctets", AFIB_MIB_INOCTETS),
	SNMP_MIB_ITEM("OutOctets", AFIB_MIB_OUTOCTETS),
	SNMP_MIB_ITEM("InMcastMsgs", AFIB_MIB_INMCASTMSGS),
	SNMP_MIB_ITEM("OutMcastMsgs", AFIB_MIB_OUTMCASTMSGS),
	SNMP_MIB_ITEM("InErrors", AFIB_MIB_INERRORS),
	SNMP_MIB_ITEM("RcvbufErrors", AFIB_MIB_RCVBUFERRORS),
	SNMP_MIB_ITEM("InFiltered", AFIB_MIB_INFILTERED),
	SNMP_MIB_ITEM("InNotPeer", AFIB_MIB_INNOTPEER),
	SNMP_MIB_ITEM("InShutdown", AFIB_MIB_INSHUTDOWN),
	SNMP_MIB_ITEM("OutErrors", AFIB_MIB_OUTERRORS),
	SNMP_MIB_ITEM("SndbufErrors", AFIB_MIB_SNDBUFERRORS),
	SNMP_MIB_ITEM("SidrQueries", AFIB_MIB_SIDRQUERIES),
	SNMP_MIB_ITEM("SidrHits", AFIB_MIB_SIDRHITS),
	SNMP_MIB_ITEM("SidrNegative", AFIB_MIB_SIDRNEGATIVE),
	SNMP_MIB_ITEM("SidrNegativeHits", AFIB_MIB_SIDRNEGATIVEHITS),
	SNMP_MIB_ITEM("SidrTimeouts", AFIB_MIB_SIDRTIMEOUTS),
	SNMP_MIB_ITEM("SidrAnswers", AFIB_MIB_SIDRANSWERS),
	SNMP_MIB_ITEM("SidrRefusals", AFIB_MIB_SIDRREFUSALS),
	SNMP_MIB_ITEM("ActiveOpens", AFIB_MIB_ACTIVEOPENS),
	SNMP_MIB_ITEM("PassiveOpens", AFIB_MIB_PASSIVEOPENS),
	SNMP_MIB_ITEM("AttemptFails", AFIB_MIB_ATTEMPTFAILS),
	SNMP_MIB_ITEM("EstabResets", AFIB_MIB_ESTABRESETS),
	SNMP_MIB_ITEM("CurrEstab", AFIB_MIB_CURRESTAB),
	SNMP_MIB_ITEM("ListenDrops", AFIB_MIB_LISTENDROPS),
	SNMP_MIB_ITEM("InFrags", AFIB_MIB_INFRAGS),
	SNMP_MIB_ITEM("OutFrags", AFIB_MIB_OUTFRAGS),
	SNMP_MIB_ITEM("OutGrants", AFIB_MIB_OUTGRANTS),
	SNMP_MIB_ITEM("CreditWaits", AFIB_MIB_CREDITWAITS),
	SNMP_MIB_ITEM("Probes", AFIB_MIB_PROBES),
	SNMP_MIB_ITEM("Violations", AFIB_MIB_VIOLATIONS),
};

static_assert(ARRAY_SIZE(afib_mib_items) == AFIB_MIB_MAX);

static void __percpu *afib_stats_counters(const struct net *net)
{
	return afib_net_mib(net);
}

#ifdef CONFIG_PROC_FS
static void afib_stats_sockets(struct seq_file *seq, struct net *net)
{
	seq_printf(seq, "IB: inuse %d conn %d\n",
		   sock_prot_inuse_get(net, &afib_proto),
		   sock_prot_inuse_get(net, &afib_conn_proto));
}
#else
#define afib_stats_sockets NULL
#endif

static struct netstat_table afib_stats_table = {
	.name		= "Ib",
	.items		= afib_mib_items,
	.nr		= ARRAY_SIZE(afib_mib_items),
	.syncp		= offsetof(struct afib_mib, syncp),
	.counters	= afib_stats_counters,
	.sockstat	= afib_stats_sockets,
};

/* Give a network namespace its counters, or return NULL */
struct afib_mib __percpu *afib_stats_alloc(void)
{
	return netdev_alloc_pcpu_stats(struct afib_mib);
}

void afib_stats_init(void)
{
	netstat_register(&afib_stats_table);
}

void afib_stats_exit(void)
{
	netstat_unregister(&afib_stats_table);
}
