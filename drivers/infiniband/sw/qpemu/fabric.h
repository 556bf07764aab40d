/* SPDX-License-Identifier: GPL-2.0 */
/*
 * InfiniBand's own link layer: nodes, their ports, and the cables between them.
 *
 * A node is a channel adapter (ca.c) or a switch (switch.c). Its ports have a
 * netdevice each, which is their cable (cable.c): Ethernet frames with a whole
 * packet from the local route header (LRH) to the variant CRC (VCRC). What subnet
 * management sees of a node, and sets, is in the node and its ports; sma.c alone
 * writes to it.
 *
 *		ca.c, link_ib.c			switch.c
 *		   |      \			 /    |
 *		   |     sma.c, pma.c, trap.c ---	      |
 *	       portdev.c				      |
 *		   |					      |
 *		   +---------------- cable.c ----------------+
 *					|
 *				   net_device
 *
 * Within these files a packet's skb->data is at its LRH, and it ends behind its
 * ICRC. The VCRC is cable.c's matter.
 */
#ifndef _QPEMU_FABRIC_H
#define _QPEMU_FABRIC_H

#include <linux/if_ether.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/roce.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_pack.h>
#include <rdma/ib_smi.h>
#include <rdma/ib_verbs.h>

struct net_device;
struct qpemu_cable;
struct qpemu_node;
struct qpemu_traps;

#define QPEMU_IB_PROTOCOL	ETH_P_802_EX1

#define QPEMU_LID_PERMISSIVE	0xffff
#define QPEMU_LID_MULTICAST	0xc000	/* the first multicast LID */
#define QPEMU_QP0		0
#define QPEMU_QP1		1
#define QPEMU_VL_MANAGEMENT	15

/* A link is what the cable says it is: a width and a speed to be shown */
#define QPEMU_LINK_WIDTH	IB_WIDTH_4X
#define QPEMU_LINK_SPEED	IB_SPEED_QDR

/* What a packet has beside its payload, at most, from the LRH to the VCRC */
#define QPEMU_IB_OVERHEAD	(IB_LRH_BYTES + IB_GRH_BYTES + IB_BTH_BYTES + 28 + \
				 ROCE_ICRC_LEN + IB_VCRC_LEN)

#define QPEMU_MAX_PORTS		36	/* of a switch, without port 0 */
#define QPEMU_NUM_PKEYS		32	/* a block of the P_Key table */
#define QPEMU_NUM_GUIDS		8	/* a block of GUIDInfo */
#define QPEMU_NUM_SLS		16
#define QPEMU_NUM_VLS		8	/* data VLs, VLCap 4 */
#define QPEMU_NUM_LIDS		QPEMU_LID_MULTICAST
#define QPEMU_NUM_MLIDS		1024

/* struct ib_port_info.operationalvl_pei_peo_fpi_fpo: a switch checks P_Keys */
#define QPEMU_ENFORCE_IN	0x08	/* of what comes in by the port */
#define QPEMU_ENFORCE_OUT	0x04	/* of what goes out */

/**
 * struct qpemu_lrh - local route header, IBA v1 7.7
 * @vl_lver: virtual lane (4 bits), version (4 bits, 0)
 * @sl_lnh: service level (4 bits), reserved (2), what comes next (2): QPEMU_LNH_*
 * @dlid: destination
 * @len: 11 bits: words of four bytes from the LRH to the ICRC; 0 in a super-packet
 *	or a train, which skb->len measures
 * @slid: source
 */
struct qpemu_lrh {
	u8 vl_lver;
	u8 sl_lnh;
	__be16 dlid;
	__be16 len;
	__be16 slid;
};

static_assert(sizeof(struct qpemu_lrh) == IB_LRH_BYTES);

#define QPEMU_LVER_MASK		0x0f
#define QPEMU_LNH_MASK		0x3
#define QPEMU_LNH_BTH		0x2	/* IBA local: a BTH follows */
#define QPEMU_LNH_GRH		0x3	/* IBA global: a GRH follows */

static inline u8 qpemu_lrh_vl(const struct qpemu_lrh *lrh)
{
	return lrh->vl_lver >> 4;
}

static inline u8 qpemu_lrh_sl(const struct qpemu_lrh *lrh)
{
	return lrh->sl_lnh >> 4;
}

/* What PortCounters and PortCountersExtended tell, IBA v1 16.1.3.5 and 16.1.4.11 */
enum qpemu_port_counter {
	QPEMU_PORT_XMIT_WORDS,		/* of four bytes, LRH to ICRC */
	QPEMU_PORT_RCV_WORDS,
	QPEMU_PORT_XMIT_PKTS,
	QPEMU_PORT_RCV_PKTS,
	QPEMU_PORT_UNICAST_XMIT,
	QPEMU_PORT_UNICAST_RCV,
	QPEMU_PORT_MULTICAST_XMIT,
	QPEMU_PORT_MULTICAST_RCV,
	QPEMU_PORT_RCV_ERRORS,		/* VCRC, length, version */
	QPEMU_PORT_RCV_SWITCH_RELAY,	/* no way out: LFT, MFT, same port */
	QPEMU_PORT_XMIT_DISCARDS,	/* port not active, netdevice refused */
	QPEMU_PORT_RCV_CONSTRAINT,	/* P_Key refused on the way in */
	QPEMU_PORT_XMIT_CONSTRAINT,	/* ... on the way out */
	QPEMU_PORT_VL15_DROPPED,
	QPEMU_PORT_LINK_DOWNED,
	QPEMU_PORT_NUM_COUNTERS,
};

struct qpemu_port_stats {
	u64 value[QPEMU_PORT_NUM_COUNTERS];
};

/**
 * struct qpemu_port - a port of a node
 * @node: whose
 * @num: from 1; 0 is the management port of a switch, which has no cable
 * @cable: its netdevice, NULL if there is none; RCU; see cable.c
 * @ndev: of an adapter: the netdevice that its packets go through, NULL if there is
 *	none; RCU; see portdev.c
 * @stats: per CPU
 * @cleared: what @stats were when a performance manager set the counters to
 *	zero: those of PortCounters, and those of PortCountersExtended; under
 *	node->lock
 * @trained: the other end of the cable is a port, too, and its netdevice is up
 * @state: enum ib_port_state
 * @down_default: physical state of a link that is taken down: IB_PORT_PHYS_STATE_*,
 *	polling or sleeping
 * @disabled: subnet management has taken the link down, and it is to stay so; see
 *	qpemu_cable_retrain()
 * @lid: base LID; of a switch that of port 0 only
 * @lmc: how many of the lower bits of its LIDs are the path bits
 * @sm_lid: where the subnet manager is
 * @sm_sl: how to get there
 * @mtu: enum ib_mtu: NeighborMTU; never beyond @mtu_cap
 * @mtu_cap: enum ib_mtu: what the netdevice can carry; cable.c keeps it, and
 *	sets @mtu to it when it changes
 * @op_vls: operational data VLs as PortInfo has it: 1 = VL0 ... 4 = VL0-7
 * @cap_mask: enum ib_port_capability_mask_bits
 * @mkey: management key
 * @gid_prefix: subnet prefix
 * @mkey_lease: seconds
 * @mkey_prot: M_KeyProtectBits
 * @mkey_expires: when the lease ends, in jiffies; 0: it is not running
 * @info: other fields of PortInfo that are kept as they were set
 * @pkeys: table of partitions; 0 is an empty entry
 * @guids: table of port GUIDs; the first never changes
 * @mkey_violations: counters, until they are set to zero
 * @pkey_violations: likewise
 * @qkey_violations: likewise
 * @sl2vl: by the port that a packet came in by (0 of a CA), the VL of each SL
 * @vlarb: low 1-32, low 33-64, high 1-32, high 33-64: 32 of VL and weight each
 * @led: the light is on
 *
 * All that follows @trained is changed under node->lock by sma.c; others read
 * single fields without it.
 */
struct qpemu_port {
	struct qpemu_node *node;
	u8 num;
	struct qpemu_cable __rcu *cable;
	struct net_device __rcu *ndev;
	struct qpemu_port_stats __percpu *stats;
	u64 cleared[2][QPEMU_PORT_NUM_COUNTERS];
	bool trained;
	u8 state;
	u8 down_default;
	bool disabled;
	u16 lid;
	u8 lmc;
	u16 sm_lid;
	u8 sm_sl;
	u8 mtu;
	u8 mtu_cap;
	u8 op_vls;
	u32 cap_mask;
	__be64 mkey;
	__be64 gid_prefix;
	u16 mkey_lease;
	u8 mkey_prot;
	unsigned long mkey_expires;
	struct ib_port_info info;
	u16 pkeys[QPEMU_NUM_PKEYS];
	__be64 guids[QPEMU_NUM_GUIDS];
	u16 mkey_violations;
	u16 pkey_violations;
	u16 qkey_violations;
	u8 (*sl2vl)[QPEMU_NUM_SLS];
	u8 vlarb[4][64];
	bool led;
};

/* struct qpemu_node_ops.event: what subnet management has changed, a bit each */
enum qpemu_port_event {
	QPEMU_EVENT_STATE,	/* it came up or became active, or ceased to be that */
	QPEMU_EVENT_LID,
	QPEMU_EVENT_PKEY,
	QPEMU_EVENT_SM,		/* another subnet manager, or another way to it */
	QPEMU_EVENT_GID,	/* prefix or GUIDs */
	QPEMU_EVENT_REREGISTER,	/* clients are to register with the SA again */
};

/**
 * struct qpemu_node_ops - what differs between adapters and switches
 * @rx: a packet has come by @port; eats @skb. Its VCRC and its length were right,
 *	and its LRH is in the linear part. Softirq, RCU.
 * @tx: send a packet that the node itself has made (qpemu_mad_packet()); eats
 *	@skb. @port is where it comes from, of a switch it may be 0. Bottom halves
 *	off, without node->lock. Return: 0 or -errno.
 * @event: @events (BIT() of enum qpemu_port_event) have happened to @port. Any
 *	context, without node->lock.
 * @gone: the netdevice is being unregistered, and is the cable of @port no longer.
 *	RTNL.
 * @moved: the netdevice is in another network namespace now. RTNL.
 */
struct qpemu_node_ops {
	void (*rx)(struct qpemu_port *port, struct sk_buff *skb);
	int (*tx)(struct qpemu_port *port, struct sk_buff *skb);
	void (*event)(struct qpemu_port *port, unsigned long events);
	void (*gone)(struct qpemu_port *port);
	void (*moved)(struct qpemu_port *port);
};

/**
 * struct qpemu_node - an adapter or a switch
 * @ops: what differs
 * @type: RDMA_NODE_IB_CA or RDMA_NODE_IB_SWITCH
 * @num_ports: without port 0; of a switch QPEMU_MAX_PORTS, for a subnet manager
 *	does not expect more of a node that it knows
 * @guid: node GUID
 * @desc: node description, of ib_device.node_desc
 * @lock: protects what subnet management sets; bottom halves off
 * @tables: of a switch: forwarding tables; NULL of an adapter
 * @traps: what the subnet manager is to know; see trap.c
 * @ports: by number; [0] is NULL of an adapter. All are there as long as the node
 */
struct qpemu_node {
	const struct qpemu_node_ops *ops;
	u8 type;
	u8 num_ports;
	__be64 guid;
	char *desc;
	spinlock_t lock;	/* see struct qpemu_port */
	struct qpemu_tables *tables;
	struct qpemu_traps *traps;
	struct qpemu_port *ports[QPEMU_MAX_PORTS + 1];
};

/**
 * struct qpemu_tables - what a switch forwards by
 * @lft: port for each unicast LID; 255: none
 * @mft: ports for each multicast LID from QPEMU_LID_MULTICAST on, bit by number
 * @lft_top: LinearFDBTop
 * @default_port: DefaultMulticastPrimaryPort
 * @default_not_port: DefaultMulticastNotPrimaryPort
 * @life: LifeTimeValue
 * @changed: PortStateChange
 *
 * Written by sma.c under node->lock, read without by single entries.
 */
struct qpemu_tables {
	u8 lft[QPEMU_NUM_LIDS];
	u64 mft[QPEMU_NUM_MLIDS];
	u16 lft_top;
	u8 default_port;
	u8 default_not_port;
	u8 life;
	bool changed;
};

#define qpemu_port_count_n(port, counter, n) \
	this_cpu_add((port)->stats->value[counter], n)
#define qpemu_port_count(port, counter)	qpemu_port_count_n(port, counter, 1)

/* cable.c */

/**
 * qpemu_cable_plug - let a netdevice be the cable of a port
 * @port: has none; initialised by qpemu_sma_init_port()
 * @ndev: netdevice; it is the port's alone from now on
 *
 * Context: may sleep; takes RTNL.
 * Return: 0; -EBUSY: it is used (bridge, bond, another port); -EINVAL: not
 * Ethernet, or its MTU is too small; -ENODEV: it is being unregistered.
 */
int qpemu_cable_plug(struct qpemu_port *port, struct net_device *ndev);
/* The opposite, if there is a cable. No packet comes any more. May sleep; takes RTNL. */
void qpemu_cable_unplug(struct qpemu_port *port);
/*
 * Send a packet; eats @skb, whose data is at the LRH, with headroom for Ethernet
 * and two bytes of tailroom unless it is a super-packet. Port state is the caller's
 * matter. Bottom halves off, RCU. Return: 0 or -errno.
 */
int qpemu_port_xmit(struct qpemu_port *port, struct sk_buff *skb);
/* Is it the cable of some port? Any context. */
bool qpemu_cable_is(const struct net_device *ndev);
/* MTU of the netdevice as an InfiniBand MTU, for PortInfo. */
enum ib_mtu qpemu_cable_mtu(const struct net_device *ndev);
/*
 * Subnet management takes the link down: the ends look for each other anew, but not
 * as long as port->disabled. Any context and lock.
 */
void qpemu_cable_retrain(struct qpemu_port *port);
/* The netdevice, or NULL. Context: RCU. */
struct net_device *qpemu_cable_netdev(const struct qpemu_port *port);
int qpemu_cable_init(void);
void qpemu_cable_exit(void);

/* sma.c: the subnet management agent, IBA v1 14.2 */

/* Node and ports as they are after power-on. May sleep. Return: 0 or -ENOMEM. */
int qpemu_sma_init_node(struct qpemu_node *node);
int qpemu_sma_init_port(struct qpemu_node *node, struct qpemu_port *port, u8 num,
			__be64 guid);
/* The opposite; nothing is sent by the node's own any more. May sleep. */
void qpemu_sma_free_node(struct qpemu_node *node);
void qpemu_sma_free_port(struct qpemu_port *port);
/*
 * The link of @port came up (it has a peer that is a port) or went down. Called by
 * cable.c. Bottom halves off.
 */
void qpemu_sma_link(struct qpemu_port *port, bool up);
/* Set and clear bits of the capability mask; tell the subnet manager. */
void qpemu_sma_capability(struct qpemu_port *port, u32 set, u32 clear);
/*
 * A packet of this VL has come by @port: is the state of the port such that it may?
 * One of data makes an armed port active, IBA v1 7.2.7. Bottom halves off.
 */
bool qpemu_sma_rx_ok(struct qpemu_port *port, u8 vl);
/* Is @smp for the agent here, and not for a subnet manager or who asked? */
bool qpemu_sma_takes(const struct ib_smp *smp);
/*
 * Answer a Get, Set or TrapRepress. @port is that by which it came in (of a switch:
 * which may be 0), @slid whose LID it came from. Return: true if @smp is an answer
 * now, false if it is not to be answered. Bottom halves off.
 */
bool qpemu_sma(struct qpemu_port *port, struct ib_smp *smp, u16 slid);
/*
 * Which P_Key of the table of @port admits a packet with @pkey, IBA v1 10.9.3.
 * Return: 0 if there is none.
 */
u16 qpemu_port_pkey(const struct qpemu_port *port, u16 pkey);
static inline bool qpemu_port_pkey_ok(const struct qpemu_port *port, u16 pkey)
{
	return qpemu_port_pkey(port, pkey);
}

u8 qpemu_port_phys_state(const struct qpemu_port *port);

/* pma.c: the performance management agent, IBA v1 16.1. Likewise. */
bool qpemu_pma(struct qpemu_node *node, struct ib_mad *mad);
/* A counter as it is since power-on. Any context. */
u64 qpemu_port_counter(const struct qpemu_port *port, enum qpemu_port_counter counter);

/* trap.c: traps to the subnet manager, IBA v1 14.2.5.1. Any context. */
void qpemu_trap_link(struct qpemu_node *node);		/* 128, of switches */
void qpemu_trap_capability(struct qpemu_port *port);	/* 144 */
void qpemu_trap_node_desc(struct qpemu_port *port);	/* 144 */
void qpemu_trap_mkey(struct qpemu_port *port, const struct ib_smp *smp,
		     u16 slid);				/* 256 */

void qpemu_trap_pkey(struct qpemu_port *port, u16 pkey, u8 sl, u32 qp1, u32 qp2,
		     u16 lid1, u16 lid2);		/* 257 */
void qpemu_trap_qkey(struct qpemu_port *port, u32 qkey, u8 sl, u32 qp1, u32 qp2,
		     u16 lid1, u16 lid2);		/* 258 */

/*
 * A packet of a management datagram from QP0 or QP1 of a port, without a queue pair:
 * what switches and traps need. skb->data at the LRH, ICRC filled in, ready for
 * qpemu_port_xmit(). link_ib.c. Return: NULL without memory.
 */
struct sk_buff *qpemu_mad_packet(const struct ib_mad *mad, u16 slid, u16 dlid, u8 sl,
				 u32 src_qpn, u32 dest_qpn, u16 pkey);

#endif /* _QPEMU_FABRIC_H */
