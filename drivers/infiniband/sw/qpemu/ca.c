// SPDX-License-Identifier: GPL-2.0
/*
 * A channel adapter: a device with InfiniBand's own link layer, whose cable is a
 * netdevice
 *
 *	rdma link add NAME type qpemu_ib netdev DEV
 *
 * What it is and what it may do is decided by a subnet manager; see sma.c. This file
 * tells ib_core of it.
 */
#include <linux/netdevice.h>
#include <net/net_namespace.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_smi.h>
#include <rdma/rdma_netlink.h>

#include "ca.h"
#include "netdev.h"
#include "verbs.h"

/*
 * What ib_core asks
 */

static int query_port(struct ib_device *ibdev, u32 num, struct ib_port_attr *attr)
{
	struct qpemu_port *port = to_qdev(ibdev)->port;

	spin_lock_bh(&port->node->lock);
	attr->subnet_prefix = be64_to_cpu(port->gid_prefix);
	attr->state = port->state;
	attr->phys_state = qpemu_port_phys_state(port);
	attr->max_mtu = port->mtu_cap;
	attr->active_mtu = port->mtu;
	attr->port_cap_flags = port->cap_mask;
	attr->lid = port->lid;
	attr->lmc = port->lmc;
	attr->sm_lid = port->sm_lid;
	attr->sm_sl = port->sm_sl;
	attr->bad_pkey_cntr = port->pkey_violations;
	attr->qkey_viol_cntr = port->qkey_violations;
	attr->subnet_timeout = port->info.clientrereg_resv_subnetto & 0x1f;
	attr->init_type_reply = port->info.inittypereply_mtucap >> 4;
	spin_unlock_bh(&port->node->lock);
	attr->gid_tbl_len = QPEMU_NUM_GUIDS;
	attr->pkey_tbl_len = QPEMU_NUM_PKEYS;
	attr->max_msg_sz = QPEMU_MAX_MSG;
	attr->max_vl_num = 4;		/* as in PortInfo: VL0 to VL7 */
	attr->active_width = QPEMU_LINK_WIDTH;
	attr->active_speed = QPEMU_LINK_SPEED;
	return 0;
}

static int query_gid(struct ib_device *ibdev, u32 num, int index, union ib_gid *gid)
{
	struct qpemu_port *port = to_qdev(ibdev)->port;

	if (index < 0 || index >= QPEMU_NUM_GUIDS)
		return -EINVAL;
	spin_lock_bh(&port->node->lock);
	/* An entry without a GUID is no GID. */
	gid->global.subnet_prefix = port->guids[index] ? port->gid_prefix : 0;
	gid->global.interface_id = port->guids[index];
	spin_unlock_bh(&port->node->lock);
	return 0;
}

static int query_pkey(struct ib_device *ibdev, u32 num, u16 index, u16 *pkey)
{
	if (index >= QPEMU_NUM_PKEYS)
		return -EINVAL;
	*pkey = READ_ONCE(to_qdev(ibdev)->port->pkeys[index]);
	return 0;
}

static int get_port_immutable(struct ib_device *ibdev, u32 num,
			      struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_PORT_IBA_IB;
	immutable->gid_tbl_len = QPEMU_NUM_GUIDS;
	immutable->pkey_tbl_len = QPEMU_NUM_PKEYS;
	immutable->max_mad_size = IB_MGMT_MAD_SIZE;
	return 0;
}

static enum rdma_link_layer get_link_layer(struct ib_device *ibdev, u32 num)
{
	return IB_LINK_LAYER_INFINIBAND;
}

static int modify_device(struct ib_device *ibdev, int mask, struct ib_device_modify *attr)
{
	int err = qpemu_modify_device(ibdev, mask, attr);

	if (!err && mask & IB_DEVICE_MODIFY_NODE_DESC)
		qpemu_trap_node_desc(to_qdev(ibdev)->port);
	return err;
}

static int modify_port(struct ib_device *ibdev, u32 num, int mask,
		       struct ib_port_modify *attr)
{
	struct qpemu_port *port = to_qdev(ibdev)->port;

	if (mask & ~(IB_PORT_SHUTDOWN | IB_PORT_RESET_QKEY_CNTR))
		return -EOPNOTSUPP;
	spin_lock_bh(&port->node->lock);
	if (mask & IB_PORT_RESET_QKEY_CNTR)
		port->qkey_violations = 0;
	if (mask & IB_PORT_SHUTDOWN)
		WRITE_ONCE(port->disabled, true);
	spin_unlock_bh(&port->node->lock);
	if (mask & IB_PORT_SHUTDOWN)
		qpemu_cable_retrain(port);
	qpemu_sma_capability(port, attr->set_port_cap_mask, attr->clr_port_cap_mask);
	return 0;
}

/*
 * Management datagrams, IBA v1 13.5
 */

static bool is_for_sma(const struct ib_mad *mad)
{
	return (mad->mad_hdr.mgmt_class == IB_MGMT_CLASS_SUBN_LID_ROUTED ||
		mad->mad_hdr.mgmt_class == IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE) &&
	       qpemu_sma_takes((const struct ib_smp *)mad);
}

static bool is_for_pma(const struct ib_mad *mad)
{
	return mad->mad_hdr.mgmt_class == IB_MGMT_CLASS_PERF_MGMT &&
	       (mad->mad_hdr.method == IB_MGMT_METHOD_GET ||
		mad->mad_hdr.method == IB_MGMT_METHOD_SET);
}

/*
 * ib_device_ops.process_mad: answer in place of an agent. Without
 * IB_MAD_RESULT_REPLY and IB_MAD_RESULT_CONSUMED, those registered are to see it.
 */
static int process_mad(struct ib_device *ibdev, int flags, u32 num, const struct ib_wc *wc,
		       const struct ib_grh *grh, const struct ib_mad *in, struct ib_mad *out,
		       size_t *out_size, u16 *out_pkey_index)
{
	struct qpemu_port *port = to_qdev(ibdev)->port;
	u16 slid = wc ? wc->slid : READ_ONCE(port->lid);
	bool smp = is_for_sma(in), answered;

	if (!smp && !is_for_pma(in))
		return IB_MAD_RESULT_SUCCESS;
	*out = *in;
	local_bh_disable();
	answered = smp ? qpemu_sma(port, (struct ib_smp *)out, slid) :
			 qpemu_pma(port->node, out);
	local_bh_enable();
	return IB_MAD_RESULT_SUCCESS | (answered ? IB_MAD_RESULT_REPLY :
						   IB_MAD_RESULT_CONSUMED);
}

static void dealloc_driver(struct ib_device *ibdev)
{
	struct qpemu_ca *ca = container_of(to_qdev(ibdev), struct qpemu_ca, dev);

	qpemu_cable_unplug(&ca->port);
	qpemu_sma_free_node(&ca->node);
	qpemu_ib_stop_loop(ca);
	qpemu_sma_free_port(&ca->port);
	qpemu_dev_cleanup(&ca->dev);
}

/* What is not the same as of RoCE */
static const struct ib_device_ops ca_ops = {
	.dealloc_driver = dealloc_driver,
	.get_link_layer = get_link_layer,
	.get_port_immutable = get_port_immutable,
	.modify_device = modify_device,
	.modify_port = modify_port,
	.netdev_ops = &qpemu_portdev_ops,
	.process_mad = process_mad,
	.query_gid = query_gid,
	.query_pkey = query_pkey,
	.query_port = query_port,
};

/*
 * What subnet management and the cable tell
 */

static const struct {
	u8 what;
	u8 type;
} events[] = {
	{ QPEMU_EVENT_LID, IB_EVENT_LID_CHANGE },
	{ QPEMU_EVENT_PKEY, IB_EVENT_PKEY_CHANGE },
	{ QPEMU_EVENT_GID, IB_EVENT_GID_CHANGE },
	{ QPEMU_EVENT_SM, IB_EVENT_SM_CHANGE },
	{ QPEMU_EVENT_STATE, IB_EVENT_PORT_ACTIVE },
	{ QPEMU_EVENT_REREGISTER, IB_EVENT_CLIENT_REREGISTER },
};

static void port_event(struct qpemu_port *port, unsigned long what)
{
	struct ib_device *ibdev = &to_qca(port)->dev.ibdev;
	struct ib_event event = { .device = ibdev, .element.port_num = 1 };
	unsigned int i;

	/* Before and after that there is nobody to tell. */
	if (!ib_device_try_get(ibdev))
		return;
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (!(what & BIT(events[i].what)))
			continue;
		event.event = events[i].type;
		if (event.event == IB_EVENT_PORT_ACTIVE &&
		    READ_ONCE(port->state) != IB_PORT_ACTIVE)
			event.event = IB_EVENT_PORT_ERR;
		ib_dispatch_event(&event);
	}
	ib_device_put(ibdev);
}

static void cable_gone(struct qpemu_port *port)
{
	qpemu_netdev_gone(&to_qca(port)->dev);
}

static void cable_moved(struct qpemu_port *port)
{
	qpemu_netdev_moved(&to_qca(port)->dev);
}

static const struct qpemu_node_ops node_ops = {
	.rx = qpemu_portdev_rx,
	.tx = qpemu_portdev_tx,
	.event = port_event,
	.gone = cable_gone,
	.moved = cable_moved,
};

/*
 * Made and let go
 */

static struct rdma_link_ops link_ops;

static int init_node(struct qpemu_ca *ca)
{
	struct qpemu_node *node = &ca->node;
	int err;

	node->ops = &node_ops;
	node->type = RDMA_NODE_IB_CA;
	node->num_ports = 1;
	node->guid = ca->dev.ibdev.node_guid;
	node->desc = ca->dev.ibdev.node_desc;
	err = qpemu_sma_init_node(node);
	if (err)
		return err;
	err = qpemu_sma_init_port(node, &ca->port, 1, node->guid);
	if (err)
		qpemu_sma_free_node(node);
	return err;
}

static struct qpemu_ca *alloc_ca(struct net_device *ndev)
{
	struct qpemu_ca *ca = ib_alloc_device_with_net(qpemu_ca, dev.ibdev, dev_net(ndev));
	struct ib_device *ibdev;

	if (!ca)
		return NULL;
	ibdev = &ca->dev.ibdev;
	ca->dev.port = &ca->port;
	qpemu_ib_init_loop(ca);
	if (qpemu_dev_init(&ca->dev, ndev))
		goto dealloc;
	if (init_node(ca))
		goto cleanup;
	/* What has been set already stays. */
	ib_set_device_ops(ibdev, &ca_ops);
	ib_set_device_ops(ibdev, &qpemu_device_ops);
	return ca;

cleanup:
	qpemu_dev_cleanup(&ca->dev);
dealloc:
	ib_dealloc_device(ibdev);
	return NULL;
}

/* From now on the other end of the cable may find it. */
static void enable(struct qpemu_port *port)
{
	spin_lock_bh(&port->node->lock);
	WRITE_ONCE(port->disabled, false);
	spin_unlock_bh(&port->node->lock);
	qpemu_cable_retrain(port);
}

/* "rdma link add": the netdevice is its cable, and can be no other's. */
static int newlink(const char *name, struct net_device *ndev)
{
	struct qpemu_ca *ca = alloc_ca(ndev);
	struct ib_device *ibdev;
	int err;

	if (!ca)
		return -ENOMEM;
	ibdev = &ca->dev.ibdev;
	ibdev->link_ops = &link_ops;
	strscpy(ibdev->node_desc, name, sizeof(ibdev->node_desc));
	ib_mark_name_assigned_by_user(ibdev);
	ca->port.disabled = true;
	err = qpemu_cable_plug(&ca->port, ndev);
	if (!err)
		err = ib_register_device(ibdev, name, NULL);
	if (err) {
		ib_dealloc_device(ibdev);
		return err;
	}

	/* The netdevice may have gone before there was a device to go with it. */
	get_device(&ibdev->dev);
	if (rcu_access_pointer(ca->port.cable)) {
		enable(&ca->port);
	} else {
		err = -ENODEV;
		if (ib_device_try_get(ibdev))
			ib_unregister_device_and_put(ibdev);
	}
	put_device(&ibdev->dev);
	return err;
}

static struct rdma_link_ops link_ops = {
	.type = "qpemu_ib",
	.newlink = newlink,
	.dellink = qpemu_dellink,
};

void qpemu_ca_init(void)
{
	rdma_link_register(&link_ops);
}

void qpemu_ca_exit(void)
{
	rdma_link_unregister(&link_ops);
}
