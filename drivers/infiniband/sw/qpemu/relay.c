// SPDX-License-Identifier: GPL-2.0
/*
 * What a switch does with packets, IBA v1 18.2
 *
 * They come by a port and leave by others, as the forwarding tables say, as they
 * are: super-packets whole, and without locks. Management of the switch itself is
 * behind port 0. What goes on by a directed route is a packet of its own on each
 * link, for its datagram changes.
 */
#include <kunit/static_stub.h>
#include <linux/netdevice.h>

#include "link.h"
#include "switch.h"

/**
 * struct datagram - a management datagram, as a packet has brought it
 * @slid: source
 * @dlid: destination
 * @sl: service level
 * @vl: virtual lane
 * @pkey: partition
 * @sqpn: queue pair that sent it
 * @dqpn: queue pair that it is for
 * @qkey: of @dqpn, supposedly
 * @mad: the datagram
 */
struct datagram {
	u16 slid;
	u16 dlid;
	u8 sl;
	u8 vl;
	u16 pkey;
	u32 sqpn;
	u32 dqpn;
	u32 qkey;
	struct ib_mad mad;
};

/* BTH and DETH, IBA v1 9.2 and 9.3.3 */
struct ud_headers {
	struct roce_bth bth;
	__be32 qkey;
	__be32 sqpn;
};

static_assert(sizeof(struct ud_headers) == IB_BTH_BYTES + IB_DETH_BYTES);

#define QPN_MASK	0xffffff
#define FULL_MEMBER	0x8000	/* of a P_Key */

static u16 dlid_of(const struct sk_buff *skb)
{
	return be16_to_cpu(((const struct qpemu_lrh *)skb->data)->dlid);
}

static u8 vl_of(const struct sk_buff *skb)
{
	return qpemu_lrh_vl((const struct qpemu_lrh *)skb->data);
}

static bool is_management(const struct sk_buff *skb)
{
	return vl_of(skb) == QPEMU_VL_MANAGEMENT;
}

static u16 own_lid(const struct qpemu_node *node)
{
	return READ_ONCE(node->ports[0]->lid);
}

u8 qpemu_relay_unicast(const struct qpemu_tables *tables, u16 own, u16 dlid)
{
	if (!dlid || dlid >= QPEMU_NUM_LIDS)
		return QPEMU_NO_PORT;
	if (dlid == own)
		return 0;
	if (dlid > READ_ONCE(tables->lft_top))
		return QPEMU_NO_PORT;
	return READ_ONCE(tables->lft[dlid]);
}

/* 18.2.4.3.3: one that the table says nothing of goes by the default port. */
static u64 default_ports(const struct qpemu_tables *tables, u8 in)
{
	u8 port = READ_ONCE(tables->default_port);

	if (port == in)
		port = READ_ONCE(tables->default_not_port);
	return port <= QPEMU_MAX_PORTS ? BIT_ULL(port) : 0;
}

u64 qpemu_relay_multicast(const struct qpemu_tables *tables, u16 dlid, u8 in)
{
	u16 entry = dlid - QPEMU_LID_MULTICAST;
	u64 ports = 0;

	if (entry < QPEMU_NUM_MLIDS)
		ports = READ_ONCE(tables->mft[entry]);
	if (!ports)
		ports = default_ports(tables, in);
	return ports & GENMASK_ULL(QPEMU_MAX_PORTS, 1) & ~BIT_ULL(in);
}

static void drop(struct qpemu_port *port, enum qpemu_port_counter why,
		 struct sk_buff *skb)
{
	qpemu_port_count(port, why);
	kfree_skb(skb);
}

/* Payload of the largest of its packets, or more, as MTUs are meant. */
static bool fits(const struct sk_buff *skb, enum ib_mtu mtu)
{
	unsigned int max = ib_mtu_enum_to_int(mtu);

	if (skb_is_gso(skb) && skb_shinfo(skb)->gso_type == QPEMU_SUPER)
		return skb_shinfo(skb)->gso_size <= max;
	max += QPEMU_IB_OVERHEAD;
	return (skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : skb->len) <= max;
}

/*
 * Is it of a partition of the port's? Raw packets are of none. A subnet manager gives
 * the port the keys of the adapter behind it. So what comes in from a limited member
 * carries a limited P_Key, as the table does, and may be for a full member: it is taken
 * for that of a full one. For what goes out the rule is that of 10.9.3.
 */
static bool admits(struct qpemu_port *port, const struct sk_buff *skb, u8 direction)
{
	u16 full = direction == QPEMU_ENFORCE_IN ? FULL_MEMBER : 0;
	struct roce_bth buf;
	const struct roce_bth *bth;

	bth = skb_header_pointer(skb, ib_bth_offset(skb->data), sizeof(buf), &buf);
	return bth && qpemu_port_pkey_ok(port, be16_to_cpu(bth->pkey) | full);
}

static void count_pkey(struct qpemu_port *port, enum qpemu_port_counter why)
{
	qpemu_port_count(port, why);
	spin_lock_bh(&port->node->lock);
	if (port->pkey_violations < U16_MAX)
		port->pkey_violations++;
	spin_unlock_bh(&port->node->lock);
}

static bool enforces(const struct qpemu_port *port, u8 direction)
{
	return READ_ONCE(port->info.operationalvl_pei_peo_fpi_fpo) & direction;
}

/* PortInfo:OperationalVLs: 1, 2, 4, 8 of them */
static bool has_vl(const struct qpemu_port *port, u8 vl)
{
	return vl < BIT(READ_ONCE(port->op_vls) - 1);
}

/* The packet leaves by another lane than it came by. */
static bool set_vl(struct sk_buff *skb, u8 vl)
{
	struct qpemu_lrh *lrh;

	if (likely(vl_of(skb) == vl))
		return true;
	if (skb_ensure_writable(skb, sizeof(*lrh)))
		return false;
	lrh = (struct qpemu_lrh *)skb->data;
	lrh->vl_lver = vl << 4 | (lrh->vl_lver & QPEMU_LVER_MASK);
	return true;
}

int qpemu_relay_out(struct qpemu_port *out, struct sk_buff *skb)
{
	KUNIT_STATIC_STUB_REDIRECT(qpemu_relay_out, out, skb);
	return qpemu_port_xmit(out, skb);
}

/* Data goes out of active ports only, 7.2.7; management, as soon as there is a link. */
static int transmit(struct qpemu_port *in, struct qpemu_port *out, struct sk_buff *skb)
{
	u8 vl;

	if (is_management(skb))
		return qpemu_relay_out(out, skb);
	vl = READ_ONCE(out->sl2vl[in->num][qpemu_lrh_sl((void *)skb->data)]);
	if (unlikely(READ_ONCE(out->state) != IB_PORT_ACTIVE ||
		     !fits(skb, READ_ONCE(out->mtu)))) {
		drop(out, QPEMU_PORT_XMIT_DISCARDS, skb);
		return -ENETDOWN;
	}
	if (unlikely(!has_vl(out, vl))) {
		drop(in, QPEMU_PORT_RCV_SWITCH_RELAY, skb);
		return -EHOSTUNREACH;
	}
	if (enforces(out, QPEMU_ENFORCE_OUT) && !admits(out, skb, QPEMU_ENFORCE_OUT)) {
		count_pkey(out, QPEMU_PORT_XMIT_CONSTRAINT);
		kfree_skb(skb);
		return -EACCES;
	}
	if (!set_vl(skb, vl)) {
		drop(out, QPEMU_PORT_XMIT_DISCARDS, skb);
		return -ENOMEM;
	}
	skb_clear_tstamp(skb);
	return qpemu_relay_out(out, skb);
}

static int relay_multicast(struct qpemu_port *in, struct sk_buff *skb)
{
	struct qpemu_node *node = in->node;
	u64 ports = qpemu_relay_multicast(node->tables, dlid_of(skb), in->num);
	unsigned int out;

	if (!ports) {
		drop(in, QPEMU_PORT_RCV_SWITCH_RELAY, skb);
		return -EHOSTUNREACH;
	}
	/* The last one has the packet itself. */
	while (ports & (ports - 1)) {
		struct sk_buff *clone = skb_clone(skb, GFP_ATOMIC);

		out = __ffs64(ports);
		ports &= ports - 1;
		if (clone)
			transmit(in, node->ports[out], clone);
		else
			qpemu_port_count(node->ports[out], QPEMU_PORT_XMIT_DISCARDS);
	}
	return transmit(in, node->ports[__ffs64(ports)], skb);
}

static void to_self(struct qpemu_port *in, struct sk_buff *skb);

/* @in is where it came from: 0 if the switch has made it. Never out of there again. */
static int relay(struct qpemu_port *in, struct sk_buff *skb)
{
	struct qpemu_node *node = in->node;
	u16 dlid = dlid_of(skb);
	u8 out;

	if (dlid >= QPEMU_LID_MULTICAST)
		return relay_multicast(in, skb);
	out = qpemu_relay_unicast(node->tables, own_lid(node), dlid);
	if (out > node->num_ports || out == in->num) {
		drop(in, QPEMU_PORT_RCV_SWITCH_RELAY, skb);
		return -EHOSTUNREACH;
	}
	if (out)
		return transmit(in, node->ports[out], skb);
	to_self(in, skb);
	return 0;
}

int qpemu_relay_tx(struct qpemu_port *port, struct sk_buff *skb)
{
	return relay(port, skb);
}

static bool icrc_right(const struct sk_buff *skb)
{
	unsigned int end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	return !skb_copy_bits(skb, end, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc_ib(skb, 0, end);
}

/*
 * The one place where a datagram for the switch is taken apart. Everything that is
 * for an agent has the same length.
 */
static bool read_datagram(const struct sk_buff *skb, struct datagram *d)
{
	const struct qpemu_lrh *lrh = (const void *)skb->data;
	unsigned int offset = ib_bth_offset(skb->data);
	struct ud_headers ud;

	if (skb_is_gso(skb) ||
	    skb->len != offset + sizeof(ud) + sizeof(d->mad) + ROCE_ICRC_LEN ||
	    skb_copy_bits(skb, offset, &ud, sizeof(ud)) ||
	    skb_copy_bits(skb, offset + sizeof(ud), &d->mad, sizeof(d->mad)) ||
	    !icrc_right(skb))
		return false;
	if (ud.bth.opcode != IB_OPCODE_UD_SEND_ONLY ||
	    ud.bth.flags & (ROCE_BTH_PAD | ROCE_BTH_VERSION))
		return false;
	d->slid = be16_to_cpu(lrh->slid);
	d->dlid = be16_to_cpu(lrh->dlid);
	d->sl = qpemu_lrh_sl(lrh);
	d->vl = qpemu_lrh_vl(lrh);
	d->pkey = be16_to_cpu(ud.bth.pkey);
	d->sqpn = be32_to_cpu(ud.sqpn) & QPN_MASK;
	d->dqpn = be32_to_cpu(ud.bth.qpn) & QPN_MASK;
	d->qkey = be32_to_cpu(ud.qkey);
	return true;
}

/* SMPs go from QP0 to QP0. By @out if it is given, else to where @dlid is. */
static void send_smp(struct qpemu_node *node, const struct datagram *d, u16 dlid,
		     struct qpemu_port *out)
{
	u16 slid = dlid == QPEMU_LID_PERMISSIVE ? dlid : own_lid(node);
	struct sk_buff *skb = qpemu_mad_packet(&d->mad, slid, dlid, d->sl, QPEMU_QP0,
					       QPEMU_QP0, d->pkey);

	if (!skb)
		return;
	if (out)
		qpemu_relay_out(out, skb);
	else
		relay(node->ports[0], skb);
}

/* Return: false if it goes nowhere. */
static bool go_on(struct qpemu_port *in, struct datagram *d, enum qpemu_dr to, u8 out)
{
	struct qpemu_node *node = in->node;
	struct ib_smp *smp = (void *)&d->mad;

	if (to == QPEMU_DR_PORT)
		send_smp(node, d, QPEMU_LID_PERMISSIVE, node->ports[out]);
	else if (to == QPEMU_DR_LID)
		send_smp(node, d, be16_to_cpu(ib_get_smp_direction(smp) ? smp->dr_slid :
									   smp->dr_dlid),
			 NULL);
	else
		return false;
	return true;
}

/* There is no subnet manager here: what is not for the agent is for nobody. */
static bool rx_directed(struct qpemu_port *in, struct datagram *d)
{
	struct ib_smp *smp = (void *)&d->mad;
	u8 out = 0;
	enum qpemu_dr to = qpemu_dr_step(smp, in->num, in->node->num_ports, &out);

	if (to != QPEMU_DR_HERE)
		return go_on(in, d, to, out);
	if (ib_get_smp_direction(smp))
		return false;
	if (!qpemu_sma(in, smp, d->slid))
		return true;
	to = qpemu_dr_step(smp, in->num, in->node->num_ports, &out);
	return go_on(in, d, to, out);
}

static bool rx_lid_routed(struct qpemu_port *in, struct datagram *d)
{
	if (!qpemu_sma(in, (void *)&d->mad, d->slid))
		return true;
	send_smp(in->node, d, d->slid, d->slid == QPEMU_LID_PERMISSIVE ? in : NULL);
	return true;
}

static bool rx_smp(struct qpemu_port *in, struct datagram *d)
{
	if (d->vl != QPEMU_VL_MANAGEMENT)
		return false;
	switch (d->mad.mad_hdr.mgmt_class) {
	case IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE:
		return rx_directed(in, d);
	case IB_MGMT_CLASS_SUBN_LID_ROUTED:
		return rx_lid_routed(in, d);
	}
	return false;
}

/* 13.4.5: who asks for what there is not is told so. */
static bool refuse(struct ib_mad *mad)
{
	if (mad->mad_hdr.method != IB_MGMT_METHOD_GET &&
	    mad->mad_hdr.method != IB_MGMT_METHOD_SET)
		return false;
	mad->mad_hdr.method = IB_MGMT_METHOD_GET_RESP;
	mad->mad_hdr.status = cpu_to_be16(IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB);
	return true;
}

static void send_gmp(struct qpemu_node *node, const struct datagram *d)
{
	u16 pkey = qpemu_port_pkey(node->ports[0], d->pkey);
	struct sk_buff *skb = qpemu_mad_packet(&d->mad, own_lid(node), d->slid, d->sl,
					       QPEMU_QP1, d->sqpn, pkey);

	if (skb)
		relay(node->ports[0], skb);
}

static void count_violation(struct qpemu_node *node, u16 *counter)
{
	spin_lock_bh(&node->lock);
	if (*counter < U16_MAX)
		(*counter)++;
	spin_unlock_bh(&node->lock);
}

/* 10.9.4 and 10.2.5 */
static bool keys_ok(struct qpemu_port *port, const struct datagram *d)
{
	if (!qpemu_port_pkey_ok(port, d->pkey)) {
		count_violation(port->node, &port->pkey_violations);
		qpemu_trap_pkey(port, d->pkey, d->sl, d->sqpn, d->dqpn, d->slid, d->dlid);
		return false;
	}
	if (d->qkey != IB_QP1_QKEY) {
		count_violation(port->node, &port->qkey_violations);
		qpemu_trap_qkey(port, d->qkey, d->sl, d->sqpn, d->dqpn, d->slid, d->dlid);
		return false;
	}
	return true;
}

static bool rx_gmp(struct qpemu_port *in, struct datagram *d)
{
	struct qpemu_node *node = in->node;

	if (d->vl == QPEMU_VL_MANAGEMENT || !keys_ok(node->ports[0], d))
		return false;
	if (d->mad.mad_hdr.mgmt_class == IB_MGMT_CLASS_PERF_MGMT ?
	    qpemu_pma(node, &d->mad) : refuse(&d->mad))
		send_gmp(node, d);
	return true;
}

/* The forwarding table may lead other LIDs here, too. */
static bool handle(struct qpemu_port *in, struct datagram *d)
{
	bool to_any = d->dlid == QPEMU_LID_PERMISSIVE && d->vl == QPEMU_VL_MANAGEMENT;

	if (!to_any && d->dlid != own_lid(in->node))
		return false;
	switch (d->dqpn) {
	case QPEMU_QP0:
		return rx_smp(in, d);
	case QPEMU_QP1:
		return rx_gmp(in, d);
	}
	return false;
}

static void to_self(struct qpemu_port *in, struct sk_buff *skb)
{
	bool management = is_management(skb);
	struct datagram d;

	if (read_datagram(skb, &d) && handle(in, &d)) {
		consume_skb(skb);
		return;
	}
	drop(in, management ? QPEMU_PORT_VL15_DROPPED : QPEMU_PORT_RCV_ERRORS, skb);
}

void qpemu_relay_rx(struct qpemu_port *port, struct sk_buff *skb)
{
	bool management = is_management(skb);

	if (unlikely(!qpemu_sma_rx_ok(port, vl_of(skb)))) {
		kfree_skb(skb);
	} else if (dlid_of(skb) == QPEMU_LID_PERMISSIVE) {
		to_self(port, skb);
	} else if (!management && enforces(port, QPEMU_ENFORCE_IN) &&
		   !admits(port, skb, QPEMU_ENFORCE_IN)) {
		count_pkey(port, QPEMU_PORT_RCV_CONSTRAINT);
		kfree_skb(skb);
	} else {
		relay(port, skb);
	}
}
