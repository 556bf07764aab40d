// SPDX-License-Identifier: GPL-2.0
/* What the device and its one port are, and objects that are nothing but names. */

#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <rdma/ib_mad.h>
#include <rdma/uverbs_ioctl.h>

#include "fabric.h"
#include "link.h"
#include "verbs.h"

#define VENDOR_ID	0xffffff	/* IBA v1 A3.3.1: none */

/* More than any packet has beside its payload, in front of Ethernet's part. */
#define MAX_HEADERS	80

#define ON_DEMAND_PAGING \
	(IS_ENABLED(CONFIG_INFINIBAND_ON_DEMAND_PAGING) ? IBK_ON_DEMAND_PAGING : 0)
#define UD_ON_DEMAND	(IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV | IB_ODP_SUPPORT_SRQ_RECV)
#define RC_ON_DEMAND	(UD_ON_DEMAND | IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_READ |	\
			 IB_ODP_SUPPORT_ATOMIC | IB_ODP_SUPPORT_FLUSH |			\
			 IB_ODP_SUPPORT_ATOMIC_WRITE)

int qpemu_query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
		       struct ib_udata *udata)
{
	int err = ib_is_udata_in_empty(udata);

	if (err)
		return err;
	*attr = (struct ib_device_attr) {
		.vendor_id = VENDOR_ID,
		.sys_image_guid = ibdev->node_guid,
		.max_mr_size = ~0ULL,
		.page_size_cap = 0xfffff000,
		.device_cap_flags = IB_DEVICE_BAD_PKEY_CNTR | IB_DEVICE_BAD_QKEY_CNTR |
				    IB_DEVICE_UD_AV_PORT_ENFORCE |
				    IB_DEVICE_PORT_ACTIVE_EVENT |
				    IB_DEVICE_SYS_IMAGE_GUID | IB_DEVICE_RC_RNR_NAK_GEN |
				    IB_DEVICE_SRQ_RESIZE | IB_DEVICE_MEM_MGT_EXTENSIONS |
				    IB_DEVICE_MEM_WINDOW | IB_DEVICE_MEM_WINDOW_TYPE_2B |
				    IB_DEVICE_FLUSH_GLOBAL | IB_DEVICE_FLUSH_PERSISTENT |
				    IB_DEVICE_ATOMIC_WRITE,
		.kernel_cap_flags = IBK_ALLOW_USER_UNREG | IBK_LOCAL_DMA_LKEY |
				    ON_DEMAND_PAGING,
		.max_qp = QPEMU_MAX_QP,
		.max_qp_wr = QPEMU_MAX_QP_WR,
		.max_send_sge = QPEMU_MAX_SGE,
		.max_recv_sge = QPEMU_MAX_SGE,
		.max_sge_rd = QPEMU_MAX_SGE,
		.max_cq = QPEMU_MAX_CQ,
		.max_cqe = QPEMU_MAX_CQE,
		.max_mr = QPEMU_MAX_MR,
		.max_pd = QPEMU_MAX_PD,
		.max_qp_rd_atom = QPEMU_MAX_RD_ATOMIC,
		.max_qp_init_rd_atom = QPEMU_MAX_RD_ATOMIC,
		.max_res_rd_atom = QPEMU_MAX_RD_ATOMIC * QPEMU_MAX_QP,
		.atomic_cap = IB_ATOMIC_HCA,
		.max_mw = QPEMU_MAX_MW,
		.max_mcast_grp = QPEMU_MAX_GROUPS,
		.max_mcast_qp_attach = QPEMU_MAX_GROUP_QPS,
		.max_total_mcast_qp_attach = QPEMU_MAX_GROUPS * QPEMU_MAX_GROUP_QPS,
		.max_ah = QPEMU_MAX_AH,
		.max_srq = QPEMU_MAX_SRQ,
		.max_srq_wr = QPEMU_MAX_SRQ_WR,
		.max_srq_sge = QPEMU_MAX_SGE,
		.max_fast_reg_page_list_len = QPEMU_MAX_FAST_REG,
		.max_pkeys = to_qdev(ibdev)->port ? QPEMU_NUM_PKEYS : 1,
		.odp_caps = {
			.general_caps = ON_DEMAND_PAGING ? IB_ODP_SUPPORT : 0,
			.per_transport_caps.rc_odp_caps = ON_DEMAND_PAGING ? RC_ON_DEMAND : 0,
			.per_transport_caps.ud_odp_caps = ON_DEMAND_PAGING ? UD_ON_DEMAND : 0,
		},
		.local_ca_ack_delay = QPEMU_ACK_DELAY,
	};
	return ib_respond_empty_udata(udata);
}

int qpemu_modify_device(struct ib_device *ibdev, int mask, struct ib_device_modify *attr)
{
	if (mask & ~IB_DEVICE_MODIFY_NODE_DESC)
		return -EOPNOTSUPP;
	if (mask & IB_DEVICE_MODIFY_NODE_DESC)
		memcpy(ibdev->node_desc, attr->node_desc, sizeof(ibdev->node_desc));
	return 0;
}

static void query_speed(struct ib_device *ibdev, struct net_device *ndev,
			struct ib_port_attr *attr)
{
	attr->active_width = IB_WIDTH_1X;
	attr->active_speed = IB_SPEED_SDR;
	if (ndev->ethtool_ops && ndev->ethtool_ops->get_link_ksettings)
		ib_get_eth_speed(ibdev, 1, &attr->active_speed, &attr->active_width);
}

static u8 phys_state(const struct net_device *ndev, enum ib_port_state state)
{
	if (state == IB_PORT_ACTIVE)
		return IB_PORT_PHYS_STATE_LINK_UP;
	if (netif_get_flags(ndev) & IFF_UP)
		return IB_PORT_PHYS_STATE_POLLING;
	return IB_PORT_PHYS_STATE_DISABLED;
}

static enum ib_mtu mtu_of(const struct net_device *ndev)
{
	unsigned int mtu = READ_ONCE(ndev->mtu);

	return ib_mtu_int_to_enum(mtu > MAX_HEADERS ? mtu - MAX_HEADERS : 0);
}

enum ib_mtu qpemu_port_mtu(struct qpemu_dev *dev)
{
	struct net_device *ndev;
	enum ib_mtu mtu;

	if (dev->port)
		return READ_ONCE(dev->port->mtu);
	ndev = ib_device_get_netdev(&dev->ibdev, 1);
	mtu = ndev ? mtu_of(ndev) : IB_MTU_256;
	dev_put(ndev);
	return mtu;
}

int qpemu_query_port(struct ib_device *ibdev, u32 port, struct ib_port_attr *attr)
{
	struct net_device *ndev = ib_device_get_netdev(ibdev, port);

	if (!ndev)
		return -ENODEV;
	attr->state = ib_get_curr_port_state(ndev);
	attr->phys_state = phys_state(ndev, attr->state);
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = mtu_of(ndev);
	attr->gid_tbl_len = QPEMU_GID_TABLE;
	attr->pkey_tbl_len = 1;
	attr->port_cap_flags = IB_PORT_CM_SUP;
	attr->max_msg_sz = QPEMU_MAX_MSG;
	attr->max_vl_num = 1;
	query_speed(ibdev, ndev, attr);
	dev_put(ndev);
	return 0;
}

/* Violation counters are not kept: there is nothing to reset. */
int qpemu_modify_port(struct ib_device *ibdev, u32 port, int mask,
		      struct ib_port_modify *attr)
{
	return mask & ~IB_PORT_RESET_QKEY_CNTR ? -EOPNOTSUPP : 0;
}

int qpemu_query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey)
{
	if (index)
		return -EINVAL;
	*pkey = QPEMU_PKEY;
	return 0;
}

/* RoCEv1 is for netdevices with Ethernet headers. */
static bool has_ethernet(struct ib_device *ibdev, u32 port)
{
	struct net_device *ndev = ib_device_get_netdev(ibdev, port);
	bool ethernet = ndev && (ndev->type == ARPHRD_ETHER || ndev->type == ARPHRD_LOOPBACK);

	dev_put(ndev);
	return ethernet;
}

int qpemu_get_port_immutable(struct ib_device *ibdev, u32 port,
			     struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
	if (has_ethernet(ibdev, port))
		immutable->core_cap_flags |= RDMA_CORE_PORT_IBA_ROCE;
	immutable->gid_tbl_len = QPEMU_GID_TABLE;
	immutable->pkey_tbl_len = 1;
	immutable->max_mad_size = IB_MGMT_MAD_SIZE;
	return 0;
}

enum rdma_link_layer qpemu_get_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_ETHERNET;
}

int qpemu_alloc_ucontext(struct ib_ucontext *ibuc, struct ib_udata *udata)
{
	return 0;
}

void qpemu_dealloc_ucontext(struct ib_ucontext *ibuc)
{
}

/* The device goes before the process: ib_core takes the mappings away. */
void qpemu_disassociate_ucontext(struct ib_ucontext *ibuc)
{
}

int qpemu_alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return 0;
}

int qpemu_dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata)
{
	return 0;
}
