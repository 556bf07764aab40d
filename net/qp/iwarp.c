// SPDX-License-Identifier: GPL-2.0
/*
 * iWARP: RDMA over TCP (RFC 5040, RFC 5041, RFC 5044)
 *
 * It has neither atomics nor immediate data (RFC 7306 adds them, which no
 * driver implements), nor datagrams. A WRITE is complete when TCP has it, so an error at the
 * peer does not show in its completion, but ends the connection. siw speaks it
 * for a netdevice that has no RDMA device.
 */
#include "verbs.h"

static struct qp_proto iwarp_proto = {
	.name		= "iwarp",
	.id		= QP_PROTO_IWARP,
	.opcodes	= VERBS_OPCODES,
};

static bool iwarp_match(struct ib_device *ibdev, u32 port)
{
	return rdma_protocol_iwarp(ibdev, port);
}

const struct verbs_transport verbs_iwarp = {
	.proto		= &iwarp_proto,
	.node_type	= RDMA_NODE_RNIC,
	.driver_id	= RDMA_DRIVER_SIW,
	.emulation	= "siw",
	.match		= iwarp_match,
};
