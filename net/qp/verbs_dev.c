// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: RDMA devices come and go
 *
 * ib_core tells its clients in the reverse order of their registration that a
 * device is removed, so that this comes before rdma_cm's turn: queue pairs,
 * registrations and protection domains are gone when rdma_cm and the device
 * want them to be.
 *
 * All of them are in a list, for who looks for a port.
 */
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "verbs.h"

static DEFINE_MUTEX(verbs_devs_lock);	/* verbs_devs; the innermost one */
static LIST_HEAD(verbs_devs);

static int verbs_dev_add(struct ib_device *ibdev);
static void verbs_dev_remove(struct ib_device *ibdev, void *data);

static struct ib_client verbs_client = {
	.name	= "qp",
	.add	= verbs_dev_add,
	.remove	= verbs_dev_remove,
};

/* Have it found by who looks for a port, or no more. Process context. */
void verbs_dev_list(struct verbs_dev *dev, bool listed)
{
	mutex_lock(&verbs_devs_lock);
	if (listed)
		list_add_tail(&dev->node, &verbs_devs);
	else
		list_del(&dev->node);
	mutex_unlock(&verbs_devs_lock);
}

/**
 * verbs_ports() - look at all ports that a network namespace may use
 * @net: the network namespace
 * @look: told of one port after the other, until it returns true; may sleep
 * @arg: for it
 *
 * Context: process, may sleep.
 * Return: what @look returned last.
 */
bool verbs_ports(struct net *net, verbs_look_fn *look, void *arg)
{
	struct verbs_dev *dev;
	bool found = false;
	u32 port;

	mutex_lock(&verbs_devs_lock);
	list_for_each_entry(dev, &verbs_devs, node) {
		if (!rdma_dev_access_netns(dev->ibdev, net))
			continue;
		rdma_for_each_port(dev->ibdev, port) {
			found = look(dev->ibdev, port, arg);
			if (found)
				goto out;
		}
	}
out:
	mutex_unlock(&verbs_devs_lock);
	return found;
}

static int verbs_dev_add(struct ib_device *ibdev)
{
	struct verbs_dev *dev = kzalloc_obj(*dev);

	if (!dev)
		return -ENOMEM;
	dev->ibdev = ibdev;
	refcount_set(&dev->ref, 1);
	mutex_init(&dev->lock);
	INIT_LIST_HEAD(&dev->qps);
	INIT_LIST_HEAD(&dev->doms);
	mutex_init(&dev->pools_lock);
	INIT_LIST_HEAD(&dev->pools);
	ib_set_client_data(ibdev, &verbs_client, dev);
	verbs_dev_list(dev, true);
	return 0;
}

/* The first queue pair that still has the device, referenced */
static struct verbs_qp *verbs_dev_first_qp(struct verbs_dev *dev)
{
	struct verbs_qp *v;

	mutex_lock(&dev->lock);
	v = list_first_entry_or_null(&dev->qps, struct verbs_qp, dev_node);
	if (v)
		sock_hold(&v->qp->sk);
	mutex_unlock(&dev->lock);
	return v;
}

/* Likewise. One that nobody uses any more leaves by itself: wait for that. */
static struct verbs_dom *verbs_dev_first_dom(struct verbs_dev *dev)
{
	struct verbs_dom *dom;
	bool held;

	mutex_lock(&dev->lock);
	wait_var_event_mutex(&dev->doms, ({
		dom = list_first_entry_or_null(&dev->doms, struct verbs_dom, dev_node);
		held = dom && refcount_inc_not_zero(&dom->users);
		!dom || held;
	}), &dev->lock);
	mutex_unlock(&dev->lock);
	return dom;
}

/* Pools go with their members; one may be about to be given up */
static void verbs_dev_wait_pools(struct verbs_dev *dev)
{
	mutex_lock(&dev->pools_lock);
	wait_var_event_mutex(&dev->pools, list_empty(&dev->pools), &dev->pools_lock);
	mutex_unlock(&dev->pools_lock);
}

static void verbs_dev_remove(struct ib_device *ibdev, void *data)
{
	struct verbs_dev *dev = data;
	struct verbs_dom *dom;
	struct verbs_qp *v;

	verbs_dev_list(dev, false);
	mutex_lock(&dev->lock);
	dev->gone = true;
	mutex_unlock(&dev->lock);
	while ((v = verbs_dev_first_qp(dev))) {
		verbs_gone(v);
		sock_put(&v->qp->sk);
	}
	verbs_dev_wait_pools(dev);
	while ((dom = verbs_dev_first_dom(dev))) {
		verbs_dom_gone(dom);
		verbs_dom_put(dom);
	}
	verbs_dev_put(dev);
}

/**
 * verbs_dev_get() - begin to use a device
 * @ibdev: a device that does not go meanwhile, as that of an rdma_cm id
 *
 * Context: process.
 * Return: the engine's part of it, referenced, or NULL.
 */
struct verbs_dev *verbs_dev_get(struct ib_device *ibdev)
{
	struct verbs_dev *dev = ib_get_client_data(ibdev, &verbs_client);

	if (dev)
		refcount_inc(&dev->ref);
	return dev;
}

void verbs_dev_put(struct verbs_dev *dev)
{
	if (refcount_dec_and_test(&dev->ref))
		kfree(dev);
}

int verbs_dev_init(void)
{
	return ib_register_client(&verbs_client);
}

void verbs_dev_exit(void)
{
	ib_unregister_client(&verbs_client);
}
