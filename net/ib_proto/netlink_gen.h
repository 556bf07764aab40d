/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ib_proto.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _LINUX_IB_PROTO_GEN_H
#define _LINUX_IB_PROTO_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/ib_netlink.h>

int ib_proto_nl_dest_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb);

extern struct genl_family ib_proto_nl_family;

#endif /* _LINUX_IB_PROTO_GEN_H */
