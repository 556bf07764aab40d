// SPDX-License-Identifier: GPL-2.0
/* Memory windows; they are bound and invalidated by work requests, see mem.c. */
#include "mem.h"
#include "verbs.h"

int qpemu_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct qpemu_mw *mw = to_qmw(ibmw);

	mw->region = qpemu_region_alloc(to_qdev(ibmw->device), ibmw->pd, NULL);
	if (IS_ERR(mw->region))
		return PTR_ERR(mw->region);
	mw->region->type2 = ibmw->type == IB_MW_TYPE_2;
	ibmw->rkey = mw->region->key;
	return 0;
}

int qpemu_dealloc_mw(struct ib_mw *ibmw)
{
	struct qpemu_mw *mw = to_qmw(ibmw);

	qpemu_region_kill(mw->region);
	qpemu_region_free(to_qdev(ibmw->device), mw->region);
	return 0;
}
