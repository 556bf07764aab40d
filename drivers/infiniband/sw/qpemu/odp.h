/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that is registered on demand; see odp.c. */
#ifndef _QPEMU_ODP_H
#define _QPEMU_ODP_H

#include "verbs.h"

#ifdef CONFIG_INFINIBAND_ON_DEMAND_PAGING
int qpemu_odp_register(struct qpemu_mr *mr, u64 start, u64 length, int access);
void qpemu_odp_release(struct qpemu_mr *mr);
int qpemu_odp_ready(struct qpemu_qp *qp, struct qpemu_mr *mr, u64 offset, u64 length);
int qpemu_odp_init(void);
void qpemu_odp_exit(void);
#else
static inline int qpemu_odp_register(struct qpemu_mr *mr, u64 start, u64 length, int access)
{
	return -EOPNOTSUPP;
}

static inline void qpemu_odp_release(struct qpemu_mr *mr)
{
}

static inline int qpemu_odp_ready(struct qpemu_qp *qp, struct qpemu_mr *mr, u64 offset,
				  u64 length)
{
	return 0;
}

static inline int qpemu_odp_init(void)
{
	return 0;
}

static inline void qpemu_odp_exit(void)
{
}
#endif

#endif /* _QPEMU_ODP_H */
