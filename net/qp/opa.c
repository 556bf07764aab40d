// SPDX-License-Identifier: GPL-2.0
/*
 * Omni-Path: InfiniBand's verbs and transport on a link layer of its own
 *
 * LIDs may be longer than 16 bits. Where such a one does not fit in, as in a GRH or
 * in a path record of InfiniBand, a GID of Omni-Path's own form names it.
 */
#include <rdma/opa_addr.h>

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

static __be64 opa_lid_gid(u32 lid)
{
	return OPA_MAKE_ID(lid);
}

static u32 opa_gid_lid(const union ib_gid *gid)
{
	return ib_is_opa_gid(gid) ? opa_get_lid_from_gid(gid) : 0;
}

const struct verbs_transport verbs_opa = {
	.proto		= &opa_proto,
	.node_type	= RDMA_NODE_IB_CA,
	.driver_id	= RDMA_DRIVER_UNKNOWN,
	.match		= opa_match,
	.lid_gid	= opa_lid_gid,
	.gid_lid	= opa_gid_lid,
};
