// SPDX-License-Identifier: GPL-2.0
/*
 * A device follows its netdevice: up and down, to another network namespace,
 * out of the system. Addresses are ib_core's matter; see gid.c.
 *
 * Notifiers run under RTNL, which the clients of a device may need before they
 * let go of it. So what takes long is done by a work item.
 */

#include <linux/netdevice.h>
#include <net/net_namespace.h>

#include "fabric.h"
#include "link.h"
#include "netdev.h"
#include "verbs.h"

static struct workqueue_struct *netdev_wq;

enum {
	EVENT_GONE,	/* the netdevice is unregistered */
	EVENT_MOVED,	/* it is in another network namespace now */
};

/* The network namespace of its netdevice, held. */
static struct net *get_net_of(struct qpemu_dev *dev)
{
	struct net_device *ndev = dev->port ? NULL : ib_device_get_netdev(&dev->ibdev, 1);
	struct net_device *cable;
	struct net *net;

	rcu_read_lock();
	cable = dev->port ? qpemu_cable_netdev(dev->port) : ndev;
	net = cable ? maybe_get_net(dev_net_rcu(cable)) : NULL;
	rcu_read_unlock();
	dev_put(ndev);
	return net;
}

static void follow_to_netns(struct qpemu_dev *dev)
{
	struct net *net = get_net_of(dev);
	int err;

	if (!net)
		return;
	err = ib_device_move_netns(&dev->ibdev, net);
	if (err && err != -EOPNOTSUPP && err != -ENODEV)
		ibdev_warn(&dev->ibdev, "cannot follow its netdevice: %d\n", err);
	put_net(net);
}

static void unregister(struct qpemu_dev *dev)
{
	if (!ib_device_try_get(&dev->ibdev))
		return;
	qpemu_qp_error_all(dev);
	ib_unregister_device_and_put(&dev->ibdev);
}

static void netdev_work(struct work_struct *work)
{
	struct qpemu_dev *dev = container_of(work, struct qpemu_dev, netdev_work);

	if (test_and_clear_bit(EVENT_MOVED, &dev->netdev_events))
		follow_to_netns(dev);
	if (test_and_clear_bit(EVENT_GONE, &dev->netdev_events))
		unregister(dev);
	put_device(&dev->ibdev.dev);
}

static void schedule_event(struct qpemu_dev *dev, int event)
{
	set_bit(event, &dev->netdev_events);
	get_device(&dev->ibdev.dev);
	if (!queue_work(netdev_wq, &dev->netdev_work))
		put_device(&dev->ibdev.dev);
}

void qpemu_netdev_moved(struct qpemu_dev *dev)
{
	schedule_event(dev, EVENT_MOVED);
}

void qpemu_netdev_gone(struct qpemu_dev *dev)
{
	schedule_event(dev, EVENT_GONE);
}

void qpemu_netdev_init_dev(struct qpemu_dev *dev)
{
	INIT_WORK(&dev->netdev_work, netdev_work);
}

static int netdev_event(struct notifier_block *nb, unsigned long event, void *info)
{
	struct net_device *ndev = netdev_notifier_info_to_dev(info);
	struct ib_device *ibdev = ib_device_get_by_netdev(ndev, QPEMU_DRIVER_ID);
	struct qpemu_dev *dev;

	if (!ibdev)
		return NOTIFY_DONE;
	dev = to_qdev(ibdev);
	switch (event) {
	case NETDEV_REGISTER:
		qpemu_netdev_moved(dev);
		break;
	case NETDEV_UNREGISTER:
		/* One that moves is unregistered and registered, and stays. */
		if (ndev->reg_state != NETREG_REGISTERED)
			qpemu_netdev_gone(dev);
		break;
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		if (ib_get_curr_port_state(ndev) == IB_PORT_DOWN) {
			local_bh_disable();
			qpemu_count(dev, QPEMU_LINK_DOWNED);
			local_bh_enable();
		}
		/* ib_core does this, but not for bonds and their ports. */
		ib_dispatch_port_state_event(ibdev, ndev);
		break;
	}
	ib_device_put(ibdev);
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nb = {
	.notifier_call = netdev_event,
};

int qpemu_netdev_init(void)
{
	int err;

	netdev_wq = alloc_workqueue("qpemu_netdev", WQ_UNBOUND, 0);
	if (!netdev_wq)
		return -ENOMEM;
	err = register_netdevice_notifier(&netdev_nb);
	if (err)
		destroy_workqueue(netdev_wq);
	return err;
}

/* After the last device is unregistered. */
void qpemu_netdev_exit(void)
{
	unregister_netdevice_notifier(&netdev_nb);
	destroy_workqueue(netdev_wq);
}
