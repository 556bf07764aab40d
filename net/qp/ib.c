// SPDX-License-Identifier: GPL-2.0
/*
 * InfiniBand (IBA v1). An IP address is one of IPoIB on the port.
 */
#include "verbs.h"

static struct qp_proto ib_proto = {
	.name		= "ib",
	.id		= QP_PROTO_IB,
	.types		= BIT(QP_UD),
	.opcodes	= VERBS_OPCODES | VERBS_IMM_OPCODES |
			  VERBS_ATOMIC_OPCODES,
};

static bool ib_match(struct ib_device *ibdev, u32 port)
{
	return rdma_protocol_ib(ibdev, port) && !rdma_cap_opa_mad(ibdev, port);
}

const struct verbs_transport verbs_ib = {
	.proto		= &ib_proto,
	.node_type	= RDMA_NODE_IB_CA,
	.driver_id	= RDMA_DRIVER_UNKNOWN,
	.match		= ib_match,
};
