// SPDX-License-Identifier: GPL-2.0
/*
 * The protocols that queue pairs speak
 */
#include <linux/kmod.h>
#include <linux/module.h>

#include "qp_impl.h"

static DEFINE_MUTEX(qp_protos_lock);	/* protects qp_protos */
static LIST_HEAD(qp_protos);

bool qp_available __ro_after_init;	/* the core is there */

/**
 * qp_proto_register() - make a protocol available
 * @proto: lives until qp_proto_unregister()
 *
 * Context: process, may sleep.
 * Return: 0, -EEXIST if the id is taken, -ENODEV if the core did not start.
 */
int qp_proto_register(struct qp_proto *proto)
{
	struct qp_proto *p;
	int err = 0;

	if (!qp_available)
		return -ENODEV;
	mutex_lock(&qp_protos_lock);
	list_for_each_entry(p, &qp_protos, list)
		if (p->id == proto->id)
			err = -EEXIST;
	if (!err)
		list_add_tail(&proto->list, &qp_protos);
	mutex_unlock(&qp_protos_lock);
	return err;
}
EXPORT_SYMBOL_GPL(qp_proto_register);

/**
 * qp_proto_unregister() - withdraw a protocol
 * @proto: no queue pair uses it: each holds the module
 *
 * Context: process, may sleep.
 */
void qp_proto_unregister(struct qp_proto *proto)
{
	mutex_lock(&qp_protos_lock);
	list_del(&proto->list);
	mutex_unlock(&qp_protos_lock);
}
EXPORT_SYMBOL_GPL(qp_proto_unregister);

static const struct qp_proto *qp_proto_find(int domain, u32 id)
{
	const struct qp_proto *found = ERR_PTR(-EAFNOSUPPORT);
	struct qp_proto *p;

	mutex_lock(&qp_protos_lock);
	list_for_each_entry(p, &qp_protos, list) {
		if (!(p->domains & BIT_ULL(domain)))
			continue;
		if (id != QP_PROTO_ANY && id != p->id) {
			found = ERR_PTR(-EPROTONOSUPPORT);
			continue;
		}
		if (!try_module_get(p->owner))
			continue;
		found = p;
		break;
	}
	mutex_unlock(&qp_protos_lock);
	return found;
}

/**
 * qp_proto_get() - find the protocol of a new queue pair
 * @domain: address family
 * @id: enum qp_protocol, or QP_PROTO_ANY
 *
 * Loads a module if need be. The module is held; module_put() releases it.
 *
 * Context: process, may sleep.
 * Return: the protocol; -EAFNOSUPPORT (none serves the family),
 * -EPROTONOSUPPORT (none of them is the one asked for).
 */
const struct qp_proto *qp_proto_get(int domain, u32 id)
{
	const struct qp_proto *proto;

	if (domain < 0 || domain >= AF_MAX)
		return ERR_PTR(-EAFNOSUPPORT);
	proto = qp_proto_find(domain, id);
	if (!IS_ERR(proto))
		return proto;
	request_module("qp-proto-%d", domain);
	return qp_proto_find(domain, id);
}
