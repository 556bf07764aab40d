// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: RDMA devices made on demand
 *
 * A netdevice that has no device of the wanted kind gets one in software when a
 * queue pair first needs it: what "rdma link add" would make. It goes a moment
 * after the last queue pair that needed it, so that one connection after the
 * other does not make one device after the other. There is at most one of each
 * kind for a netdevice, which bounds what an unprivileged user can cause.
 *
 * A device that the administrator made is used, and left alone.
 */
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <rdma/rdma_netlink.h>

#include "verbs.h"

#define VERBS_EMUL_LINGER	HZ

/**
 * struct verbs_emul - a device made on demand
 * @node: in verbs_emuls
 * @ibdev: the device; only its memory is referenced
 * @users: queue pairs that need it
 * @work: removes it some time after the last of them
 */
struct verbs_emul {
	struct list_head node;
	struct ib_device *ibdev;
	unsigned int users;
	struct delayed_work work;
};

/*
 * Who removes a device waits for those who are bound to it, so they must not wait
 * for the first lock. They may want the second, which is never held for long.
 */
static DEFINE_MUTEX(verbs_emul_making);	/* making and removing; the outer one */
static DEFINE_MUTEX(verbs_emul_lock);	/* verbs_emuls, users */
static LIST_HEAD(verbs_emuls);

static DEFINE_SPINLOCK(verbs_watches_lock);	/* verbs_watches */
static LIST_HEAD(verbs_watches);

/* Remove the device, unless that has been done */
static void verbs_emul_end(struct verbs_emul *emul)
{
	if (ib_device_try_get(emul->ibdev))
		ib_unregister_device_and_put(emul->ibdev);
	put_device(&emul->ibdev->dev);
	kfree(emul);
}

static void verbs_emul_work(struct work_struct *work)
{
	struct verbs_emul *emul = container_of(to_delayed_work(work),
					       struct verbs_emul, work);
	bool unused;

	mutex_lock(&verbs_emul_making);
	mutex_lock(&verbs_emul_lock);
	/* If it was needed while we waited, it has its time from then on */
	unused = !emul->users && !delayed_work_pending(&emul->work);
	if (unused)
		list_del(&emul->node);
	mutex_unlock(&verbs_emul_lock);
	if (unused)
		verbs_emul_end(emul);
	mutex_unlock(&verbs_emul_making);
}

/**
 * verbs_emul_of() - need a device that is there
 * @ibdev: a device that does not go meanwhile, as that of an rdma_cm id
 *
 * Context: process, may sleep.
 * Return: its emulation, for verbs_emul_put(), or NULL if it is none or about to
 * be removed.
 */
struct verbs_emul *verbs_emul_of(const struct ib_device *ibdev)
{
	struct verbs_emul *emul, *found = NULL;

	mutex_lock(&verbs_emul_lock);
	list_for_each_entry(emul, &verbs_emuls, node) {
		if (emul->ibdev != ibdev)
			continue;
		emul->users++;
		found = emul;
		break;
	}
	mutex_unlock(&verbs_emul_lock);
	return found;
}

static struct verbs_emul *verbs_emul_make(struct net_device *ndev,
					  const struct verbs_transport *t)
{
	struct verbs_emul *emul = kzalloc_obj(*emul);
	char name[IB_DEVICE_NAME_MAX];
	int err;

	if (!emul)
		return ERR_PTR(-ENOMEM);
	/* ib_core puts a number that is free */
	snprintf(name, sizeof(name), "%s%%d", t->emulation);
	err = rdma_link_make(t->emulation, name, ndev);
	if (!err) {
		rdma_roce_flush_gids();
		emul->ibdev = ib_device_get_by_netdev(ndev, t->driver_id);
		err = emul->ibdev ? 0 : -ENODEV;
	}
	if (err) {
		kfree(emul);
		return ERR_PTR(err);
	}
	get_device(&emul->ibdev->dev);
	ib_device_put(emul->ibdev);
	INIT_DELAYED_WORK(&emul->work, verbs_emul_work);
	emul->users = 1;
	mutex_lock(&verbs_emul_lock);
	list_add(&emul->node, &verbs_emuls);
	mutex_unlock(&verbs_emul_lock);
	return emul;
}

/* A device of the netdevice that speaks it, whoever made it */
static struct ib_device *verbs_emul_device(struct net_device *ndev,
					   const struct verbs_transport *t)
{
	struct ib_device *ibdev;

	ibdev = ib_device_get_by_netdev(ndev, t->driver_id);
	if (ibdev)
		return ibdev;
	ibdev = ib_device_get_by_netdev(ndev, RDMA_DRIVER_UNKNOWN);
	if (!ibdev || t->match(ibdev, rdma_start_port(ibdev)))
		return ibdev;
	ib_device_put(ibdev);
	return NULL;
}

static struct verbs_emul *verbs_emul_hold(struct net_device *ndev,
					  const struct verbs_transport *t,
					  bool allowed)
{
	struct verbs_emul *emul;
	struct ib_device *ibdev;

	ibdev = verbs_emul_device(ndev, t);
	if (!ibdev)
		return allowed ? verbs_emul_make(ndev, t) : ERR_PTR(-ENODEV);
	emul = verbs_emul_of(ibdev);
	ib_device_put(ibdev);
	return emul;
}

/**
 * verbs_emul_get() - have a device for a netdevice
 * @net: network namespace of the netdevice
 * @ifindex: the netdevice
 * @t: what it has to speak
 * @make: make one if there is none
 *
 * Context: process, may sleep; no rdma_cm id of the caller is bound to the
 * device.
 * Return: its emulation, for verbs_emul_put(); NULL if the administrator made
 * one; -ENODEV (none there and none may be made), -EPROTONOSUPPORT (there is no
 * emulation), -ENOMEM, or why it could not be made.
 */
struct verbs_emul *verbs_emul_get(struct net *net, int ifindex,
				  const struct verbs_transport *t, bool make)
{
	bool allowed = make && qp_net_emulation(net) != QP_EMULATION_OFF;
	struct net_device *ndev;
	struct verbs_emul *emul;

	if (!t->emulation)
		return ERR_PTR(-EPROTONOSUPPORT);
	ndev = dev_get_by_index(net, ifindex);
	if (!ndev)
		return ERR_PTR(-ENODEV);
	mutex_lock(&verbs_emul_making);
	emul = verbs_emul_hold(ndev, t, allowed);
	mutex_unlock(&verbs_emul_making);
	dev_put(ndev);
	return emul;
}

/**
 * verbs_emul_put() - need a device no more
 * @emul: from verbs_emul_get(), or NULL
 * @net: network namespace of the queue pair
 *
 * Context: process, may sleep.
 */
void verbs_emul_put(struct verbs_emul *emul, struct net *net)
{
	if (!emul)
		return;
	mutex_lock(&verbs_emul_lock);
	if (!--emul->users && qp_net_emulation(net) != QP_EMULATION_KEEP)
		mod_delayed_work(verbs_wq, &emul->work, VERBS_EMUL_LINGER);
	mutex_unlock(&verbs_emul_lock);
}

/* Take note of one. If that is not possible, it is needed no more. */
void verbs_emuls_add(struct verbs_emuls *emuls, struct verbs_emul *emul,
		     struct net *net)
{
	struct verbs_emul **more;

	more = krealloc_array(emuls->emul, emuls->num + 1, sizeof(*more),
			      GFP_KERNEL_ACCOUNT);
	if (!more) {
		verbs_emul_put(emul, net);
		return;
	}
	emuls->emul = more;
	emuls->emul[emuls->num++] = emul;
}

/* Netdevices of a namespace that are up; returns their number, at most @max */
static int verbs_emul_netdevs(struct net *net, int *ifindex, int max)
{
	struct net_device *ndev;
	int n = 0;

	rcu_read_lock();
	for_each_netdev_rcu(net, ndev)
		if (n < max && ndev->flags & IFF_UP)
			ifindex[n++] = ndev->ifindex;
	rcu_read_unlock();
	return n;
}

void verbs_emuls_put(struct verbs_emuls *emuls, struct net *net)
{
	while (emuls->num)
		verbs_emul_put(emuls->emul[--emuls->num], net);
	kfree(emuls->emul);
	emuls->emul = NULL;
}

/*
 * Watches
 */

/*
 * Have a device for every netdevice that is up, up to VERBS_MAX_EMULS of them; those
 * that are there already are kept
 */
static void verbs_watch_look(struct verbs_watch *w)
{
	int list[VERBS_MAX_EMULS] = { w->ifindex };
	struct verbs_emuls old = w->emuls;
	struct verbs_emul *emul;
	int i, n = 1;

	memset(&w->emuls, 0, sizeof(w->emuls));
	if (!w->ifindex)
		n = verbs_emul_netdevs(w->net, list, ARRAY_SIZE(list));
	for (i = 0; i < n; i++) {
		emul = verbs_emul_get(w->net, list[i], w->t, true);
		if (!IS_ERR_OR_NULL(emul))
			verbs_emuls_add(&w->emuls, emul, w->net);
	}
	verbs_emuls_put(&old, w->net);
}

static void verbs_watch_work(struct work_struct *work)
{
	verbs_watch_look(container_of(work, struct verbs_watch, work));
}

void verbs_watch_init(struct verbs_watch *w)
{
	INIT_LIST_HEAD(&w->node);
	INIT_WORK(&w->work, verbs_watch_work);
}

/**
 * verbs_watch_start() - have devices for netdevices from now on
 * @w: from verbs_watch_init(), for verbs_watch_end()
 * @net: network namespace
 * @ifindex: the only netdevice, 0 for all
 * @t: what they have to speak
 *
 * Context: process, may sleep. Those that are there have one when this returns.
 */
void verbs_watch_start(struct verbs_watch *w, struct net *net, int ifindex,
		       const struct verbs_transport *t)
{
	w->net = net;
	w->ifindex = ifindex;
	w->t = t;
	spin_lock(&verbs_watches_lock);
	list_add(&w->node, &verbs_watches);
	spin_unlock(&verbs_watches_lock);
	/* By the worker alone, as a netdevice may come meanwhile */
	queue_work(verbs_wq, &w->work);
	flush_work(&w->work);
}

/* Need them no more, if it was started. Process context, may sleep. */
void verbs_watch_end(struct verbs_watch *w)
{
	spin_lock(&verbs_watches_lock);
	list_del_init(&w->node);
	spin_unlock(&verbs_watches_lock);
	cancel_work_sync(&w->work);
	if (w->emuls.num)
		verbs_emuls_put(&w->emuls, w->net);
}

static int verbs_watch_netdev(struct notifier_block *nb, unsigned long event,
			      void *ptr)
{
	struct net_device *ndev = netdev_notifier_info_to_dev(ptr);
	struct verbs_watch *w;

	if (event != NETDEV_UP)
		return NOTIFY_DONE;
	spin_lock(&verbs_watches_lock);
	list_for_each_entry(w, &verbs_watches, node)
		if (net_eq(w->net, dev_net(ndev)))
			queue_work(verbs_wq, &w->work);
	spin_unlock(&verbs_watches_lock);
	return NOTIFY_DONE;
}

static struct notifier_block verbs_watch_nb = {
	.notifier_call	= verbs_watch_netdev,
};

int verbs_emul_init(void)
{
	return register_netdevice_notifier(&verbs_watch_nb);
}

/* The engine goes; no queue pair is left */
void verbs_emul_exit(void)
{
	struct verbs_emul *emul, *next;
	LIST_HEAD(all);

	unregister_netdevice_notifier(&verbs_watch_nb);
	mutex_lock(&verbs_emul_lock);
	list_splice_init(&verbs_emuls, &all);
	mutex_unlock(&verbs_emul_lock);
	list_for_each_entry_safe(emul, next, &all, node) {
		cancel_delayed_work_sync(&emul->work);
		verbs_emul_end(emul);
	}
}
