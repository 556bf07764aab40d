// SPDX-License-Identifier: GPL-2.0
/* References that a look-up under RCU may take; see struct qpemu_ref. */

#include <linux/slab.h>

#include "qpemu.h"

/**
 * qpemu_ref_new - make the reference that a table holds
 * @obj: what it stands for
 *
 * Return: the reference, its count is one; or NULL.
 */
struct qpemu_ref *qpemu_ref_new(void *obj)
{
	struct qpemu_ref *ref = kmalloc_obj(*ref);

	if (!ref)
		return NULL;
	refcount_set(&ref->count, 1);
	init_completion(&ref->gone);
	ref->obj = obj;
	return ref;
}

/**
 * qpemu_ref_kill - drop the table's reference and wait for all others
 * @ref: is in no table any more; freed
 *
 * When this returns nobody uses what @ref stood for. Context: may sleep.
 */
void qpemu_ref_kill(struct qpemu_ref *ref)
{
	qpemu_ref_put(ref);
	wait_for_completion(&ref->gone);
	kfree_rcu(ref, rcu);
}
