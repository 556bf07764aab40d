/* SPDX-License-Identifier: GPL-2.0 */
/* What link layers know of a path. */
#ifndef _QPEMU_PATH_H
#define _QPEMU_PATH_H

#include <net/ipv6.h>

#include "qpemu.h"

static inline bool qpemu_path_is_ipv4(const struct qpemu_path *path)
{
	return ipv6_addr_v4mapped((const struct in6_addr *)&path->sgid);
}

struct dst_entry *qpemu_path_dst(struct qpemu_path *path);

#endif /* _QPEMU_PATH_H */
