/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ib_proto.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _UAPI_LINUX_IB_NETLINK_H
#define _UAPI_LINUX_IB_NETLINK_H

#define IB_PROTO_FAMILY_NAME	"ib-proto"
#define IB_PROTO_FAMILY_VERSION	1

enum {
	IB_PROTO_A_DEST_INODE = 1,
	IB_PROTO_A_DEST_UID,
	IB_PROTO_A_DEST_GID,
	IB_PROTO_A_DEST_SERVICE_ID,
	IB_PROTO_A_DEST_SCOPE,
	IB_PROTO_A_DEST_QPN,
	IB_PROTO_A_DEST_LOCAL,
	IB_PROTO_A_DEST_ERROR,
	IB_PROTO_A_DEST_EXPIRES,
	IB_PROTO_A_DEST_PEER,

	__IB_PROTO_A_DEST_MAX,
	IB_PROTO_A_DEST_MAX = (__IB_PROTO_A_DEST_MAX - 1)
};

enum {
	IB_PROTO_CMD_DEST_GET = 1,

	__IB_PROTO_CMD_MAX,
	IB_PROTO_CMD_MAX = (__IB_PROTO_CMD_MAX - 1)
};

#endif /* _UAPI_LINUX_IB_NETLINK_H */
