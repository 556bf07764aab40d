/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/qp.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _LINUX_QP_GEN_H
#define _LINUX_QP_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/qp_netlink.h>
#include <linux/qp.h>

int qp_nl_mr_start(struct netlink_callback *cb);
int qp_nl_mr_done(struct netlink_callback *cb);

int qp_nl_qp_get_doit(struct sk_buff *skb, struct genl_info *info);
int qp_nl_qp_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int qp_nl_conn_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int qp_nl_mr_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

enum {
	QP_NLGRP_MONITOR,
};

extern struct genl_family qp_nl_family;

#endif /* _LINUX_QP_GEN_H */
