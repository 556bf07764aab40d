// SPDX-License-Identifier: GPL-2.0
/*
 * InfiniBand (IBA v1). An AF_IB address has a GID of the port, an IP address is one
 * of IPoIB on it.
 */
#include "verbs.h"

/* A LID in place of a GUID, in the form of IB_GUID_LID */
#define IB_LID_MASK	0xffffffffULL

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

static __be64 ib_lid_gid(u32 lid)
{
	return cpu_to_be64(IB_GUID_LID | lid);
}

static u32 ib_gid_lid(const union ib_gid *gid)
{
	u64 guid = be64_to_cpu(gid->global.interface_id);

	return (guid & ~IB_LID_MASK) == IB_GUID_LID ? (u32)guid : 0;
}

const struct verbs_transport verbs_ib = {
	.proto		= &ib_proto,
	.node_type	= RDMA_NODE_IB_CA,
	.driver_id	= RDMA_DRIVER_QPEMU,
	.match		= ib_match,
	.lid_gid	= ib_lid_gid,
	.gid_lid	= ib_gid_lid,
};
