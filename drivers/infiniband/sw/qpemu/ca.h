/* SPDX-License-Identifier: GPL-2.0 */
/* A channel adapter with one InfiniBand port, and what its link layer offers. */
#ifndef _QPEMU_CA_H
#define _QPEMU_CA_H

#include "fabric.h"
#include "packet.h"
#include "qpemu.h"

/**
 * struct qpemu_ca - a channel adapter
 * @dev: the device
 * @node: what subnet management sees of it
 * @port: its port
 * @loop: packets to itself, which do not go by the cable
 * @loop_work: receives them
 */
struct qpemu_ca {
	struct qpemu_dev dev;
	struct qpemu_node node;
	struct qpemu_port port;
	struct sk_buff_head loop;
	struct work_struct loop_work;
};

static inline struct qpemu_ca *to_qca(struct qpemu_port *port)
{
	return container_of(port, struct qpemu_ca, port);
}

/* ca.c */
void qpemu_ca_init(void);
void qpemu_ca_exit(void);

/* link_ib.c */
void qpemu_ib_init_loop(struct qpemu_ca *ca);
/* Nothing is sent any more. May sleep. */
void qpemu_ib_stop_loop(struct qpemu_ca *ca);
/* A packet has come, and nobody has refused it; eats @skb. Softirq, RCU. */
void qpemu_ib_rx(struct qpemu_port *port, struct sk_buff *skb);
/*
 * Nobody refuses a packet: send it, or let the port itself have it. Eats @skb. Bottom
 * halves off, RCU. Return: 0 or -errno.
 */
int qpemu_ib_tx(struct qpemu_port *port, struct sk_buff *skb);
/* May a packet of this virtual lane be sent in this state of the port? IBA v1 7.2.7 */
bool qpemu_ib_may_send(const struct qpemu_port *port, u8 vl);
/*
 * Is the packet of a partition that the queue pair is in? If not, that is noted.
 * Softirq.
 */
bool qpemu_ib_in_partition(struct qpemu_qp *qp, struct sk_buff *skb,
			   const struct qpemu_pkt *pkt);
/* A datagram has a wrong Q_Key: note it. Softirq. */
void qpemu_ib_bad_qkey(struct qpemu_qp *qp, struct sk_buff *skb,
		       const struct qpemu_pkt *pkt);
/* Did this packet come from the other end of @path, and to this end? */
bool qpemu_ib_from_peer(const struct qpemu_path *path, const struct sk_buff *skb);

/* portdev.c: all packets of the port go through its netdevice, if it has one */
struct ib_netdev_ops;

extern const struct ib_netdev_ops qpemu_portdev_ops;

/* struct qpemu_node_ops.rx and .tx of an adapter */
void qpemu_portdev_rx(struct qpemu_port *port, struct sk_buff *skb);
int qpemu_portdev_tx(struct qpemu_port *port, struct sk_buff *skb);

#endif /* _QPEMU_CA_H */
