// SPDX-License-Identifier: GPL-2.0
/*
 * Omni-Path: InfiniBand's verbs and transport on a link layer of its own
 */
#include "verbs.h"

static struct qp_proto opa_proto = {
	.name		= "opa",
	.id		= QP_PROTO_OPA,
	.types		= BIT(QP_UD),
	.opcodes	= VERBS_OPCODES | VERBS_IMM_OPCODES |
			  VERBS_ATOMIC_OPCODES,
};

static bool opa_match(struct ib_device *ibdev, u32 port)
{
	return rdma_cap_opa_mad(ibdev, port);
}

const struct verbs_transport verbs_opa = {
	.proto		= &opa_proto,
	.node_type	= RDMA_NODE_IB_CA,
	.driver_id	= RDMA_DRIVER_UNKNOWN,
	.match		= opa_match,
};
