/* SPDX-License-Identifier: GPL-2.0 */
/* What link layers know of a path. */
#ifndef _QPEMU_PATH_H
#define _QPEMU_PATH_H

#include <net/ipv6.h>

#include "qpemu.h"

#define QPEMU_GRH_NEXT_HEADER	0x1b	/* IBA v1 8.3: a BTH follows */

static inline bool qpemu_path_is_ipv4(const struct qpemu_path *path)
{
	return ipv6_addr_v4mapped((const struct in6_addr *)&path->sgid);
}

struct dst_entry *qpemu_path_dst(struct qpemu_path *path);
/* Global route header in front of a packet that ends with room for its ICRC. */
void qpemu_put_grh(const struct qpemu_path *path, struct sk_buff *skb);

#endif /* _QPEMU_PATH_H */
