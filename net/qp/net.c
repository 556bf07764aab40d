// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs of a network namespace: numbers, limits, /proc/net/qp
 */
#include <linux/ib.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

#include "qp_impl.h"

#define QP_NET_MAX_QPS		65536
#define QP_NET_MAX_MRS		1048576
#define QP_NET_BUSY_POLL	50	/* microseconds */
#define QP_NET_EMULATION	QP_EMULATION_ON_DEMAND

unsigned int qp_net_id __read_mostly;

/* Count one more, unless that would be more than @limit */
bool qp_net_charge(atomic_t *count, unsigned int limit)
{
	if ((unsigned int)atomic_inc_return(count) <= limit)
		return true;
	atomic_dec(count);
	return false;
}

/**
 * qp_net_emulation() - are devices made for netdevices that have none?
 * @net: the network namespace
 *
 * Return: enum qp_emulation, sysctl net.qp.emulation.
 */
enum qp_emulation qp_net_emulation(const struct net *net)
{
	return READ_ONCE(qp_pernet(net)->emulation);
}
EXPORT_SYMBOL_GPL(qp_net_emulation);

/* Give the queue pair its number and show it */
int qp_net_add(struct qp_sock *qp)
{
	struct qp_net *qn = qp_pernet(sock_net(&qp->sk));
	int err;

	/* 24 bits, as on the wire (IBA v1 9.2.3); 0 and 1 are reserved */
	err = xa_alloc_cyclic_bh(&qn->qps, &qp->qpn, qp, XA_LIMIT(2, 0xfffffe),
				 &qn->next_qpn, GFP_KERNEL_ACCOUNT);
	if (err >= 0)
		return 0;
	qp->qpn = 0;	/* set even if it could not be stored */
	return err;
}

void qp_net_del(struct qp_sock *qp)
{
	if (qp->qpn)
		xa_erase_bh(&qp_pernet(sock_net(&qp->sk))->qps, qp->qpn);
}

#ifdef CONFIG_PROC_FS
static const char *const qp_state_names[] = {
	[QP_STATE_IDLE]		= "IDLE",
	[QP_STATE_LISTEN]	= "LISTEN",
	[QP_STATE_CONNECTING]	= "CONNECTING",
	[QP_STATE_RTS]		= "RTS",
	[QP_STATE_ERROR]	= "ERROR",
};

static const char *const qp_type_names[] = {
	[QP_RC]	= "RC",
	[QP_UC]	= "UC",
	[QP_UD]	= "UD",
};

static void *qp_seq_find(struct seq_file *seq, loff_t *pos)
{
	struct qp_net *qn = qp_pernet(seq_file_net(seq));
	unsigned long qpn = *pos;
	void *qp = xa_find(&qn->qps, &qpn, ULONG_MAX, XA_PRESENT);

	*pos = qpn;
	return qp;
}

/* Position 0 is the heading, others are queue pair numbers */
static void *qp_seq_start(struct seq_file *seq, loff_t *pos)
	__acquires(&qp_pernet(seq_file_net(seq))->qps.xa_lock)
{
	/* A queue pair is taken out under this lock before its parts go */
	xa_lock_bh(&qp_pernet(seq_file_net(seq))->qps);
	return *pos ? qp_seq_find(seq, pos) : SEQ_START_TOKEN;
}

static void *qp_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	++*pos;
	return qp_seq_find(seq, pos);
}

static void qp_seq_stop(struct seq_file *seq, void *v)
	__releases(&qp_pernet(seq_file_net(seq))->qps.xa_lock)
{
	xa_unlock_bh(&qp_pernet(seq_file_net(seq))->qps);
}

/*
 * An IP address and port, or an AF_UNIX name as /proc/net/unix shows it: abstract
 * names begin with @
 */
static void qp_seq_gid(struct seq_file *seq, const struct sockaddr_ib *ib)
{
	seq_printf(seq, "%pI6c/%016llx", &ib->sib_addr,
		   be64_to_cpu(ib->sib_sid));
}

static void qp_seq_name(struct seq_file *seq, struct qp_sock *qp, bool peer)
{
	struct sockaddr_storage addr = {};
	int len = qp_name(qp, &addr, peer);
	const char *name = addr.__data;
	int i, n = len - offsetof(struct sockaddr_storage, __data);

	seq_putc(seq, ' ');
	if (n > 0 && addr.ss_family == AF_IB) {
		qp_seq_gid(seq, (const struct sockaddr_ib *)&addr);
		return;
	}
	if (n > 0 && addr.ss_family != AF_UNIX) {
		seq_printf(seq, "%pISpc", &addr);
		return;
	}
	if (n <= 0) {
		seq_putc(seq, '-');
		return;
	}
	if (name[0])
		n = strnlen(name, n);
	for (i = 0; i < n; i++)
		seq_putc(seq, name[i] > ' ' && name[i] < 127 ? name[i] : '@');
}

static int qp_seq_show(struct seq_file *seq, void *v)
{
	struct qp_sock *qp = v;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "qpn ref proto domain type state uid inode sends cq_used mem_bytes local peer\n");
		return 0;
	}
	seq_printf(seq, "%u %d %s %d %s %s %u %llu %u %u %llu",
		   qp->qpn, refcount_read(&qp->sk.sk_refcnt), qp->proto->name,
		   qp->domain, qp_type_names[qp->type],
		   qp_state_names[qp_state(qp)],
		   from_kuid_munged(seq_user_ns(seq), sk_uid(&qp->sk)),
		   sock_i_ino(&qp->sk), qp_sends_outstanding(qp),
		   qp->cq ? qp_cq_ready(qp->cq) : 0,
		   (u64)atomic64_read(&qp->mem->bytes));
	qp_seq_name(seq, qp, false);
	qp_seq_name(seq, qp, true);
	seq_putc(seq, '\n');
	return 0;
}

static const struct seq_operations qp_seq_ops = {
	.start	= qp_seq_start,
	.next	= qp_seq_next,
	.stop	= qp_seq_stop,
	.show	= qp_seq_show,
};
#endif

#ifdef CONFIG_SYSCTL
static const struct ctl_table qp_sysctls[] = {
	{
		.procname	= "max_qps",
		.data		= &((struct qp_net *)NULL)->max_qps,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
	{
		.procname	= "max_mem_regions",
		.data		= &((struct qp_net *)NULL)->max_mem_regions,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
	{
		.procname	= "max_entries",
		.data		= &((struct qp_net *)NULL)->max_entries,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
	{
		.procname	= "busy_poll",
		.data		= &((struct qp_net *)NULL)->busy_poll,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE_THOUSAND,
	},
	{
		.procname	= "emulation",
		.data		= &((struct qp_net *)NULL)->emulation,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_TWO,
	},
};

static int __net_init qp_sysctl_init(struct net *net, struct qp_net *qn)
{
	struct ctl_table *const table =
		kmemdup(qp_sysctls, sizeof(qp_sysctls), GFP_KERNEL);
	unsigned int i;

	if (!table)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(qp_sysctls); i++) {
		table[i].data = (void *)qn + (unsigned long)table[i].data;
		/* What a user namespace was given it may not raise */
		if (net->user_ns != &init_user_ns)
			table[i].mode &= ~0222;
	}
	qn->ctl = register_net_sysctl_sz(net, "net/qp", table,
					 ARRAY_SIZE(qp_sysctls));
	if (!qn->ctl) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

static void qp_sysctl_exit(struct qp_net *qn)
{
	const struct ctl_table *table = qn->ctl->ctl_table_arg;

	unregister_net_sysctl_table(qn->ctl);
	kfree(table);
}
#else
static int __net_init qp_sysctl_init(struct net *net, struct qp_net *qn)
{
	return 0;
}

static void qp_sysctl_exit(struct qp_net *qn)
{
}
#endif

static int __net_init qp_net_start(struct net *net)
{
	struct qp_net *init = qp_pernet(&init_net);
	struct qp_net *qn = qp_pernet(net);
	int err;

	xa_init_flags(&qn->qps, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
	if (net_eq(net, &init_net)) {
		qn->max_qps = QP_NET_MAX_QPS;
		qn->max_mem_regions = QP_NET_MAX_MRS;
		qn->max_entries = QP_MAX_ENTRIES;
		qn->busy_poll = QP_NET_BUSY_POLL;
		qn->emulation = QP_NET_EMULATION;
	} else {
		qn->max_qps = READ_ONCE(init->max_qps);
		qn->max_mem_regions = READ_ONCE(init->max_mem_regions);
		qn->max_entries = READ_ONCE(init->max_entries);
		qn->busy_poll = READ_ONCE(init->busy_poll);
		qn->emulation = READ_ONCE(init->emulation);
	}
	err = qp_stats_net_init(qn);
	if (err)
		return err;
	err = qp_mem_net_init(qn);
	if (err)
		goto exit_stats;
	err = qp_sysctl_init(net, qn);
	if (err)
		goto exit_mem;
#ifdef CONFIG_PROC_FS
	if (!proc_create_net("qp", 0444, net->proc_net, &qp_seq_ops,
			     sizeof(struct seq_net_private))) {
		err = -ENOMEM;
		goto exit_sysctl;
	}
#endif
	return 0;

exit_sysctl: __maybe_unused
	qp_sysctl_exit(qn);
exit_mem:
	qp_mem_net_exit(qn);
exit_stats:
	qp_stats_net_exit(qn);
	return err;
}

static void __net_exit qp_net_stop(struct net *net)
{
	struct qp_net *qn = qp_pernet(net);

	remove_proc_entry("qp", net->proc_net);
	qp_sysctl_exit(qn);
	qp_mem_net_exit(qn);
	qp_stats_net_exit(qn);
	WARN_ON_ONCE(!xa_empty(&qn->qps));
}

static struct pernet_operations qp_net_ops = {
	.init	= qp_net_start,
	.exit	= qp_net_stop,
	.id	= &qp_net_id,
	.size	= sizeof(struct qp_net),
};

int __init qp_net_init(void)
{
	return register_pernet_subsys(&qp_net_ops);
}

void qp_net_exit(void)
{
	unregister_pernet_subsys(&qp_net_ops);
}
