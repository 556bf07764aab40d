// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ib_proto.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/ib_netlink.h>

/* Ops table for ib_proto */
static const struct genl_split_ops ib_proto_nl_ops[] = {
	{
		.cmd	= IB_PROTO_CMD_DEST_GET,
		.dumpit	= ib_proto_nl_dest_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
};

struct genl_family ib_proto_nl_family __ro_after_init = {
	.name		= IB_PROTO_FAMILY_NAME,
	.version	= IB_PROTO_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= ib_proto_nl_ops,
	.n_split_ops	= ARRAY_SIZE(ib_proto_nl_ops),
};
