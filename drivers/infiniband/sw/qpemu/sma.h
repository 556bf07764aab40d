/* SPDX-License-Identifier: GPL-2.0 */
/* Within the subnet management agent: sma.c, port_info.c and trap.c. */
#ifndef _QPEMU_SMA_H
#define _QPEMU_SMA_H

#include "fabric.h"

/**
 * struct qpemu_smp - a request being answered
 * @node: whom it is for
 * @port: that it came in by; of a switch maybe port 0
 * @mgmt: that whose M_Key protects @port: itself, or port 0 of a switch
 * @smp: the request, which becomes the answer
 * @trusted: it had the right M_Key
 * @changed: port that something has happened to, or NULL
 * @events: what, as struct qpemu_node_ops.event has it
 * @train: the link of @changed is to be trained again
 * @echo: of a PortInfo that was set: bits of clientrereg_resv_subnetto that the
 *	answer repeats, o14-12.2.1
 */
struct qpemu_smp {
	struct qpemu_node *node;
	struct qpemu_port *port;
	struct qpemu_port *mgmt;
	struct ib_smp *smp;
	bool trusted;
	struct qpemu_port *changed;
	unsigned long events;
	bool train;
	u8 echo;
};

#define QPEMU_SMP_BAD_VALUE	cpu_to_be16(IB_MGMT_MAD_STATUS_INVALID_ATTRIB_VALUE)

/* The port whose LID, M_Key and so on those of @port are. */
static inline struct qpemu_port *qpemu_port_mgmt(const struct qpemu_port *port)
{
	struct qpemu_node *node = port->node;

	return node->ports[node->type == RDMA_NODE_IB_SWITCH ? 0 : port->num];
}

/*
 * That which an attribute modifier names. Of an adapter 0 is the one that the
 * request came by. Return: NULL if there is none.
 */
struct qpemu_port *qpemu_smp_port(const struct qpemu_smp *req, u32 num);

/* port_info.c: under node->lock. Return: status of the MAD, 0 or QPEMU_SMP_*. */
void qpemu_port_info_init(struct qpemu_port *port);
__be16 qpemu_port_info_get(struct qpemu_smp *req);
__be16 qpemu_port_info_set(struct qpemu_smp *req);

/* trap.c */
int qpemu_traps_init(struct qpemu_node *node);
void qpemu_traps_free(struct qpemu_node *node);
/* The subnet manager has seen this trap. */
void qpemu_traps_repress(struct qpemu_node *node, const struct ib_smp *smp);
/* The Notice attribute: the oldest trap that it has not seen; and it has seen it. */
void qpemu_traps_get(struct qpemu_node *node, struct ib_mad_notice_attr *notice);
void qpemu_traps_set(struct qpemu_node *node, const struct ib_mad_notice_attr *notice);

#endif /* _QPEMU_SMA_H */
