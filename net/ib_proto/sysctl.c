// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: settings of a network namespace, net.ib
 */
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/sysctl.h>

#include "ib_proto.h"

/* Of the memory that there is, a part like this is for messages */
#define AFIB_MEM_PART	4

static const struct afib_settings afib_defaults = {
	.max_sockets		= 65536,
	.max_orphans		= 4096,
	.orphan_time		= 60000,
	.resolved_time		= 10000,
	.unresolved_time	= 1000,
	.connect_time		= 10000,
	.keepalive_time		= 7200000,
};

#ifdef CONFIG_SYSCTL
static unsigned int afib_time_max = 24 * 60 * 60 * MSEC_PER_SEC;

/* &ctl_table.data says where it is in the settings of a network namespace */
static const struct ctl_table afib_sysctls[] = {
	{
		.procname	= "mem_max",
		.data		= &((struct afib_settings *)NULL)->mem_max,
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
	{
		.procname	= "max_sockets",
		.data		= &((struct afib_settings *)NULL)->max_sockets,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
	{
		.procname	= "max_orphans",
		.data		= &((struct afib_settings *)NULL)->max_orphans,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
	{
		.procname	= "orphan_time",
		.data		= &((struct afib_settings *)NULL)->orphan_time,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= &afib_time_max,
	},
	{
		.procname	= "resolved_time",
		.data		= &((struct afib_settings *)NULL)->resolved_time,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= &afib_time_max,
	},
	{
		.procname	= "unresolved_time",
		.data		= &((struct afib_settings *)NULL)->unresolved_time,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= &afib_time_max,
	},
	{
		.procname	= "connect_time",
		.data		= &((struct afib_settings *)NULL)->connect_time,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ONE,
		.extra2		= &afib_time_max,
	},
	{
		.procname	= "keepalive_time",
		.data		= &((struct afib_settings *)NULL)->keepalive_time,
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec_minmax,
		.extra1		= SYSCTL_ONE_THOUSAND,
		.extra2		= &afib_time_max,
	},
};

static int __net_init afib_sysctl_register(struct net *net, struct afib_net *in)
{
	struct ctl_table *const table =
		kmemdup(afib_sysctls, sizeof(afib_sysctls), GFP_KERNEL);
	unsigned int i;

	if (!table)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(afib_sysctls); i++) {
		table[i].data = (void *)&in->set + (unsigned long)table[i].data;
		/* What a user namespace was given it may not raise */
		if (net->user_ns != &init_user_ns)
			table[i].mode &= ~0222;
	}
	in->ctl = register_net_sysctl_sz(net, "net/ib", table,
					 ARRAY_SIZE(afib_sysctls));
	if (in->ctl)
		return 0;
	kfree(table);
	return -ENOMEM;
}

static void afib_sysctl_unregister(struct afib_net *in)
{
	const struct ctl_table *table = in->ctl->ctl_table_arg;

	unregister_net_sysctl_table(in->ctl);
	kfree(table);
}
#else
static int __net_init afib_sysctl_register(struct net *net, struct afib_net *in)
{
	return 0;
}

static void afib_sysctl_unregister(struct afib_net *in)
{
}
#endif

/**
 * afib_sysctl_init() - give a network namespace its settings
 * @net: the network namespace
 * @in: our part of it
 *
 * It begins with those of the first one.
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int __net_init afib_sysctl_init(struct net *net, struct afib_net *in)
{
	if (net_eq(net, &init_net)) {
		in->set = afib_defaults;
		in->set.mem_max = (nr_free_buffer_pages() << PAGE_SHIFT) /
				  AFIB_MEM_PART;
	} else {
		in->set = afib_pernet(&init_net)->set;
	}
	return afib_sysctl_register(net, in);
}

void __net_exit afib_sysctl_exit(struct afib_net *in)
{
	afib_sysctl_unregister(in);
}
