// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/qp.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/qp_netlink.h>
#include <linux/qp.h>

/* QP_CMD_QP_GET - do */
static const struct nla_policy qp_qp_get_nl_policy[QP_A_QPN + 1] = {
	[QP_A_QPN] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* Ops table for qp */
static const struct genl_split_ops qp_nl_ops[] = {
	{
		.cmd		= QP_CMD_QP_GET,
		.doit		= qp_nl_qp_get_doit,
		.policy		= qp_qp_get_nl_policy,
		.maxattr	= QP_A_QPN,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= QP_CMD_QP_GET,
		.dumpit	= qp_nl_qp_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= QP_CMD_CONN_GET,
		.dumpit	= qp_nl_conn_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= QP_CMD_MR_GET,
		.start	= qp_nl_mr_start,
		.dumpit	= qp_nl_mr_get_dumpit,
		.done	= qp_nl_mr_done,
		.flags	= GENL_CMD_CAP_DUMP,
	},
};

static const struct genl_multicast_group qp_nl_mcgrps[] = {
	[QP_NLGRP_MONITOR] = { "monitor", },
};

struct genl_family qp_nl_family __ro_after_init = {
	.name		= QP_FAMILY_NAME,
	.version	= QP_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= qp_nl_ops,
	.n_split_ops	= ARRAY_SIZE(qp_nl_ops),
	.mcgrps		= qp_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(qp_nl_mcgrps),
};
