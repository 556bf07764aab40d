/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/qp.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _UAPI_LINUX_QP_NETLINK_H
#define _UAPI_LINUX_QP_NETLINK_H

#define QP_FAMILY_NAME		"qp"
#define QP_FAMILY_VERSION	1

enum {
	QP_A_ADDR_FAMILY = 1,
	QP_A_ADDR_IPV4,
	QP_A_ADDR_IPV6,
	QP_A_ADDR_GID,
	QP_A_ADDR_PORT,
	QP_A_ADDR_SERVICE_ID,
	QP_A_ADDR_SCOPE,
	QP_A_ADDR_PATH,

	__QP_A_ADDR_MAX,
	QP_A_ADDR_MAX = (__QP_A_ADDR_MAX - 1)
};

enum {
	QP_A_QPN = 1,
	QP_A_DOMAIN,
	QP_A_TYPE,
	QP_A_PROTOCOL,
	QP_A_STATE,
	QP_A_UID,
	QP_A_INODE,
	QP_A_KERNEL,
	QP_A_IFINDEX,
	QP_A_PORT_QPN,
	QP_A_LOCAL,
	QP_A_PEER,
	QP_A_SENDS,
	QP_A_CQ_USED,
	QP_A_MEM_REGIONS,
	QP_A_MEM_BYTES,
	QP_A_TX_MSGS,
	QP_A_TX_BYTES,
	QP_A_RX_MSGS,
	QP_A_RX_BYTES,
	QP_A_BACKLOG,
	QP_A_MAX_BACKLOG,
	QP_A_ERROR,

	__QP_A_MAX,
	QP_A_MAX = (__QP_A_MAX - 1)
};

enum {
	QP_A_MR_QPN = 1,
	QP_A_MR_LENGTH,
	QP_A_MR_PAGES,
	QP_A_MR_ACCESS,
	QP_A_MR_REFS,
	QP_A_MR_ADDR,
	QP_A_MR_KEY,

	__QP_A_MR_MAX,
	QP_A_MR_MAX = (__QP_A_MR_MAX - 1)
};

enum {
	QP_CMD_QP_GET = 1,
	QP_CMD_CONN_GET,
	QP_CMD_MR_GET,
	QP_CMD_QP_NEW_NTF,
	QP_CMD_QP_STATE_NTF,
	QP_CMD_QP_DEL_NTF,

	__QP_CMD_MAX,
	QP_CMD_MAX = (__QP_CMD_MAX - 1)
};

#define QP_MCGRP_MONITOR	"monitor"

#endif /* _UAPI_LINUX_QP_NETLINK_H */
