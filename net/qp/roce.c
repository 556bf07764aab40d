// SPDX-License-Identifier: GPL-2.0
/*
 * RoCE: InfiniBand's transport on Ethernet (IBA v1 annexes A16 and A17)
 *
 * An IP address is a GID of the port. qpemu speaks it for a netdevice that has
 * no RDMA device.
 */
#include "verbs.h"

static struct qp_proto roce_proto = {
	.name		= "roce",
	.id		= QP_PROTO_ROCE,
	.types		= BIT(QP_UD),
	.opcodes	= VERBS_OPCODES | VERBS_IMM_OPCODES |
			  VERBS_ATOMIC_OPCODES,
};

static bool roce_match(struct ib_device *ibdev, u32 port)
{
	return rdma_protocol_roce(ibdev, port);
}

const struct verbs_transport verbs_roce = {
	.proto		= &roce_proto,
	.node_type	= RDMA_NODE_IB_CA,
	.driver_id	= RDMA_DRIVER_QPEMU,
	.emulation	= "qpemu",
	.fallback	= &verbs_iwarp,
	.match		= roce_match,
};
