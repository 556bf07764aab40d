/* SPDX-License-Identifier: GPL-2.0 */
/* A switch: switch.c makes it, relay.c has the packets, dr.c the directed routes. */
#ifndef _QPEMU_SWITCH_H
#define _QPEMU_SWITCH_H

#include "fabric.h"

#define QPEMU_NO_PORT	255

/* dr.c: where a directed route SMP goes */
enum qpemu_dr {
	QPEMU_DR_DROP,	/* nowhere: it is malformed */
	QPEMU_DR_HERE,	/* to the agent, or to a subnet manager here */
	QPEMU_DR_PORT,	/* out of a port */
	QPEMU_DR_LID,	/* on by LID: DrDLID, or on the way back DrSLID */
};

/**
 * qpemu_dr_step - one step of a directed route, IBA v1 14.2.2
 * @smp: what came, or an answer that was made here; its hop pointer and return path
 *	are brought forward
 * @in: port that it came by
 * @num_ports: the node has
 * @out: QPEMU_DR_PORT: port that it goes out of, one that exists
 *
 * Return: what is to be done with it.
 */
enum qpemu_dr qpemu_dr_step(struct ib_smp *smp, u8 in, u8 num_ports, u8 *out);

/* relay.c */

/* Port for a unicast LID, 0 if that is @own; QPEMU_NO_PORT if there is none. */
u8 qpemu_relay_unicast(const struct qpemu_tables *tables, u16 own, u16 dlid);
/* Ports for a multicast LID, bit by number, but not 0 and not @in. */
u64 qpemu_relay_multicast(const struct qpemu_tables *tables, u16 dlid, u8 in);
/* By a port, without a question; KUnit tests put themselves in its place. */
int qpemu_relay_out(struct qpemu_port *out, struct sk_buff *skb);
/* struct qpemu_node_ops */
void qpemu_relay_rx(struct qpemu_port *port, struct sk_buff *skb);
int qpemu_relay_tx(struct qpemu_port *port, struct sk_buff *skb);

/* switch.c: "rdma link add NAME type qpemu_switch netdev DEV" */
int qpemu_switch_init(void);
/* Unregisters all devices of this driver. */
void qpemu_switch_exit(void);

#endif /* _QPEMU_SWITCH_H */
