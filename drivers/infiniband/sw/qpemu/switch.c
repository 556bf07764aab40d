// SPDX-License-Identifier: GPL-2.0
/*
 * A switch, IBA v1 18
 *
 *	rdma link add NAME type qpemu_switch netdev DEV
 *
 * makes one, whose first port has DEV as its cable; the same with another netdevice
 * plugs that into the next port. A switch goes with its last cable. ib_core sees
 * port 0 only, which has no queue pairs: what management asks is answered where it
 * arrives, see relay.c.
 *
 * Its GUID is that of the first netdevice, so whoever wants to choose it gives that
 * a MAC address.
 */
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <rdma/ib_cache.h>
#include <rdma/rdma_netlink.h>

#include "netdev.h"
#include "switch.h"

#define VENDOR_ID	0xffffff	/* IBA v1 A3.3.1: none */

/**
 * struct qpemu_switch - a switch
 * @ibdev: what ib_core knows of it
 * @node: what subnet management knows of it
 * @ports: 0 to QPEMU_MAX_PORTS
 * @list: in switches
 * @gone: a cable has gone; the work is to see whether it was the last
 */
struct qpemu_switch {
	struct ib_device ibdev;
	struct qpemu_node node;
	struct qpemu_port *ports;
	struct list_head list;
	struct work_struct gone;
};

/* Cables are plugged, and a switch is given up for there is none, one at a time. */
static DEFINE_MUTEX(plug_lock);
static LIST_HEAD(switches);
static DEFINE_SPINLOCK(switches_lock);	/* switches */
static struct workqueue_struct *switch_wq;
static struct rdma_link_ops link_ops;

static struct qpemu_switch *to_switch(struct ib_device *ibdev)
{
	return container_of(ibdev, struct qpemu_switch, ibdev);
}

static struct qpemu_switch *switch_of(const struct qpemu_port *port)
{
	return container_of(port->node, struct qpemu_switch, node);
}

/* Port 0 as ib_core sees it */
static int query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
			struct ib_udata *udata)
{
	*attr = (struct ib_device_attr) {
		.vendor_id = VENDOR_ID,
		.sys_image_guid = ibdev->node_guid,
		.kernel_cap_flags = IBK_ALLOW_USER_UNREG,
		.max_pkeys = QPEMU_NUM_PKEYS,
	};
	return 0;
}

static int modify_device(struct ib_device *ibdev, int mask, struct ib_device_modify *attr)
{
	if (mask & ~IB_DEVICE_MODIFY_NODE_DESC)
		return -EOPNOTSUPP;
	if (mask & IB_DEVICE_MODIFY_NODE_DESC) {
		memcpy(ibdev->node_desc, attr->node_desc, sizeof(ibdev->node_desc));
		qpemu_trap_node_desc(&to_switch(ibdev)->ports[0]);
	}
	return 0;
}

static int query_port(struct ib_device *ibdev, u32 num, struct ib_port_attr *attr)
{
	const struct qpemu_port *port = &to_switch(ibdev)->ports[0];

	attr->subnet_prefix = be64_to_cpu(READ_ONCE(port->gid_prefix));
	attr->state = READ_ONCE(port->state);
	attr->phys_state = qpemu_port_phys_state(port);
	attr->max_mtu = port->mtu_cap;
	attr->active_mtu = port->mtu;
	attr->gid_tbl_len = QPEMU_NUM_GUIDS;
	attr->pkey_tbl_len = QPEMU_NUM_PKEYS;
	attr->port_cap_flags = READ_ONCE(port->cap_mask);
	attr->lid = READ_ONCE(port->lid);
	attr->lmc = READ_ONCE(port->lmc);
	attr->sm_lid = READ_ONCE(port->sm_lid);
	attr->sm_sl = READ_ONCE(port->sm_sl);
	attr->max_vl_num = 1;
	attr->active_width = QPEMU_LINK_WIDTH;
	attr->active_speed = QPEMU_LINK_SPEED;
	return 0;
}

static int get_port_immutable(struct ib_device *ibdev, u32 num,
			      struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_CAP_PROT_IB;
	immutable->gid_tbl_len = QPEMU_NUM_GUIDS;
	immutable->pkey_tbl_len = QPEMU_NUM_PKEYS;
	return 0;
}

static int query_gid(struct ib_device *ibdev, u32 num, int index, union ib_gid *gid)
{
	const struct qpemu_port *port = &to_switch(ibdev)->ports[0];

	if (index < 0 || index >= QPEMU_NUM_GUIDS)
		return -EINVAL;
	gid->global.interface_id = READ_ONCE(port->guids[index]);
	gid->global.subnet_prefix = gid->global.interface_id ?
				    READ_ONCE(port->gid_prefix) : 0;
	return 0;
}

static int query_pkey(struct ib_device *ibdev, u32 num, u16 index, u16 *pkey)
{
	if (index >= QPEMU_NUM_PKEYS)
		return -EINVAL;
	*pkey = READ_ONCE(to_switch(ibdev)->ports[0].pkeys[index]);
	return 0;
}

/* For /sys/class/infiniband/../counters: no other agent is here. */
static int process_mad(struct ib_device *ibdev, int flags, u32 num,
		       const struct ib_wc *wc, const struct ib_grh *grh,
		       const struct ib_mad *in, struct ib_mad *out, size_t *out_size,
		       u16 *out_pkey_index)
{
	*out = *in;
	if (in->mad_hdr.mgmt_class != IB_MGMT_CLASS_PERF_MGMT ||
	    !qpemu_pma(&to_switch(ibdev)->node, out))
		return IB_MAD_RESULT_SUCCESS;
	return IB_MAD_RESULT_SUCCESS | IB_MAD_RESULT_REPLY;
}

static void free_ports(struct qpemu_switch *sw)
{
	int i;

	for (i = 0; sw->ports && i <= QPEMU_MAX_PORTS; i++)
		qpemu_sma_free_port(&sw->ports[i]);
	kvfree(sw->ports);
}

/* Without cables no packet is here any more, nor comes. */
static void dealloc_driver(struct ib_device *ibdev)
{
	struct qpemu_switch *sw = to_switch(ibdev);
	int i;

	spin_lock(&switches_lock);
	list_del(&sw->list);
	spin_unlock(&switches_lock);
	for (i = 1; i <= QPEMU_MAX_PORTS; i++)
		qpemu_cable_unplug(&sw->ports[i]);
	qpemu_sma_free_node(&sw->node);
	free_ports(sw);
}

static const struct ib_device_ops device_ops = {
	.owner = THIS_MODULE,
	.driver_id = QPEMU_DRIVER_ID,

	.dealloc_driver = dealloc_driver,
	.get_port_immutable = get_port_immutable,
	.modify_device = modify_device,
	.process_mad = process_mad,
	.query_device = query_device,
	.query_gid = query_gid,
	.query_pkey = query_pkey,
	.query_port = query_port,
};

/* Of port 0; links of others are the subnet manager's affair. */
static const enum ib_event_type ib_events[] = {
	[QPEMU_EVENT_LID] = IB_EVENT_LID_CHANGE,
	[QPEMU_EVENT_PKEY] = IB_EVENT_PKEY_CHANGE,
	[QPEMU_EVENT_SM] = IB_EVENT_SM_CHANGE,
	[QPEMU_EVENT_GID] = IB_EVENT_GID_CHANGE,
	[QPEMU_EVENT_REREGISTER] = IB_EVENT_CLIENT_REREGISTER,
};

static void port_event(struct qpemu_port *port, unsigned long events)
{
	struct ib_device *ibdev = &switch_of(port)->ibdev;
	struct ib_event event = { .device = ibdev };
	unsigned int bit;

	/* Port 0 is always active. Before and after it is registered nobody listens. */
	if (port->num || !ib_device_try_get(ibdev))
		return;
	for_each_set_bit(bit, &events, ARRAY_SIZE(ib_events)) {
		event.event = ib_events[bit];
		ib_dispatch_event(&event);
	}
	ib_device_put(ibdev);
}

static bool has_cable(const struct qpemu_switch *sw)
{
	int i;

	for (i = 1; i <= QPEMU_MAX_PORTS; i++)
		if (rcu_access_pointer(sw->ports[i].cable))
			return true;
	return false;
}

static void gone_work(struct work_struct *work)
{
	struct qpemu_switch *sw = container_of(work, struct qpemu_switch, gone);
	struct ib_device *ibdev = &sw->ibdev;

	mutex_lock(&plug_lock);
	if (ib_device_try_get(ibdev)) {
		if (has_cable(sw))
			ib_device_put(ibdev);
		else
			ib_unregister_device_and_put(ibdev);
	}
	mutex_unlock(&plug_lock);
	put_device(&ibdev->dev);
}

/* Under RTNL, which unregistering needs. */
static void port_gone(struct qpemu_port *port)
{
	struct qpemu_switch *sw = switch_of(port);

	get_device(&sw->ibdev.dev);
	if (!queue_work(switch_wq, &sw->gone))
		put_device(&sw->ibdev.dev);
}

static const struct qpemu_node_ops node_ops = {
	.rx = qpemu_relay_rx,
	.tx = qpemu_relay_tx,
	.event = port_event,
	.gone = port_gone,
};

static int init_node(struct qpemu_switch *sw)
{
	struct qpemu_node *node = &sw->node;
	int i, err;

	node->ops = &node_ops;
	node->type = RDMA_NODE_IB_SWITCH;
	node->num_ports = QPEMU_MAX_PORTS;
	node->guid = sw->ibdev.node_guid;
	node->desc = sw->ibdev.node_desc;
	err = qpemu_sma_init_node(node);
	if (err)
		return err;
	err = -ENOMEM;
	sw->ports = kvzalloc_objs(*sw->ports, QPEMU_MAX_PORTS + 1);
	if (!sw->ports)
		goto failed;
	for (i = 0; i <= QPEMU_MAX_PORTS; i++) {
		err = qpemu_sma_init_port(node, &sw->ports[i], i, i ? 0 : node->guid);
		if (err)
			goto failed;
	}
	return 0;

failed:
	free_ports(sw);
	qpemu_sma_free_node(node);
	return err;
}

static struct qpemu_switch *alloc_switch(const char *name, struct net_device *ndev)
{
	struct qpemu_switch *sw;
	struct ib_device *ibdev;

	sw = ib_alloc_device_with_net(qpemu_switch, ibdev, dev_net(ndev));
	if (!sw)
		return NULL;
	ibdev = &sw->ibdev;
	ibdev->node_type = RDMA_NODE_IB_SWITCH;
	ibdev->is_switch = true;
	ibdev->phys_port_cnt = QPEMU_MAX_PORTS;
	ibdev->link_ops = &link_ops;
	strscpy(ibdev->node_desc, name, sizeof(ibdev->node_desc));
	qpemu_make_guid(ndev, &ibdev->node_guid);
	INIT_WORK(&sw->gone, gone_work);
	if (init_node(sw)) {
		ib_dealloc_device(ibdev);
		return NULL;
	}
	spin_lock(&switches_lock);
	list_add(&sw->list, &switches);
	spin_unlock(&switches_lock);
	ib_set_device_ops(ibdev, &device_ops);
	ib_mark_name_assigned_by_user(ibdev);
	return sw;
}

static int make_switch(const char *name, struct net_device *ndev)
{
	struct qpemu_switch *sw = alloc_switch(name, ndev);
	int err;

	if (!sw)
		return -ENOMEM;
	err = qpemu_cable_plug(&sw->ports[1], ndev);
	if (!err)
		err = ib_register_device(&sw->ibdev, name, NULL);
	if (err)
		ib_dealloc_device(&sw->ibdev);
	return err;
}

static int plug_next(struct qpemu_switch *sw, struct net_device *ndev)
{
	int i;

	for (i = 1; i <= QPEMU_MAX_PORTS; i++)
		if (!rcu_access_pointer(sw->ports[i].cable))
			return qpemu_cable_plug(&sw->ports[i], ndev);
	return -ENOSPC;
}

/* With a reference; names are unique, in all network namespaces. */
static struct qpemu_switch *find_switch(const char *name)
{
	struct qpemu_switch *sw, *found = NULL;

	spin_lock(&switches_lock);
	list_for_each_entry(sw, &switches, list)
		if (!strcmp(sw->ibdev.name, name) && ib_device_try_get(&sw->ibdev))
			found = sw;
	spin_unlock(&switches_lock);
	return found;
}

static int add_cable(const char *name, struct net_device *ndev)
{
	struct qpemu_switch *sw = find_switch(name);
	int err;

	if (!sw)
		return make_switch(name, ndev);
	err = plug_next(sw, ndev);
	ib_device_put(&sw->ibdev);
	return err;
}

/* "rdma link add": a switch, or a cable of one that there is. */
static int newlink(const char *name, struct net_device *ndev)
{
	int err;

	mutex_lock(&plug_lock);
	err = add_cable(name, ndev);
	mutex_unlock(&plug_lock);
	return err;
}

static struct rdma_link_ops link_ops = {
	.type = "qpemu_switch",
	.newlink = newlink,
};

int qpemu_switch_init(void)
{
	switch_wq = alloc_workqueue("qpemu_switch", WQ_UNBOUND, 0);
	if (!switch_wq)
		return -ENOMEM;
	rdma_link_register(&link_ops);
	return 0;
}

void qpemu_switch_exit(void)
{
	rdma_link_unregister(&link_ops);
	ib_unregister_driver(QPEMU_DRIVER_ID);
	destroy_workqueue(switch_wq);
}

MODULE_ALIAS_RDMA_LINK("qpemu_switch");
