// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of the agents of a node, as a subnet manager sees them */
#include <kunit/test.h>
#include <rdma/ib_pma.h>

#include "fabric.h"

#define NUM_PORTS	36
#define GUID		cpu_to_be64(0x0002c90300001234ULL)
#define MKEY		cpu_to_be64(0x1122334455667788ULL)
#define LID		5
#define SM_LID		9

#define BAD_VALUE	IB_MGMT_MAD_STATUS_INVALID_ATTRIB_VALUE
#define UNSUPPORTED	IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB

/**
 * struct world - what a test has
 * @ca: an adapter with one port
 * @sw: a switch
 * @ca_port: of @ca
 * @sw_ports: of @sw
 * @smp: request and answer
 * @events: what has happened to a port since the last request
 * @sent: traps
 * @trap: the last of them
 */
struct world {
	struct qpemu_node ca;
	struct qpemu_node sw;
	struct qpemu_port ca_port;
	struct qpemu_port sw_ports[NUM_PORTS + 1];
	struct ib_smp smp __aligned(8);
	unsigned long events;
	int sent;
	struct ib_smp trap __aligned(8);
};

static struct world *the_world;	/* for callbacks, which know of no test */
static char desc[IB_DEVICE_NODE_DESC_MAX] = "a node";

static void event(struct qpemu_port *port, unsigned long events)
{
	the_world->events |= events;
}

/* The datagram is what there is before the ICRC. */
static int tx(struct qpemu_port *port, struct sk_buff *skb)
{
	struct world *w = the_world;

	skb_copy_bits(skb, skb->len - ROCE_ICRC_LEN - sizeof(w->trap), &w->trap,
		      sizeof(w->trap));
	w->sent++;
	kfree_skb(skb);
	return 0;
}

static const struct qpemu_node_ops node_ops = {
	.event = event,
	.tx = tx,
};

static void make_node(struct kunit *test, struct qpemu_node *node, u8 type, u8 num_ports)
{
	node->ops = &node_ops;
	node->type = type;
	node->num_ports = num_ports;
	node->guid = GUID;
	node->desc = desc;
	KUNIT_ASSERT_EQ(test, qpemu_sma_init_node(node), 0);
}

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	the_world = w;
	make_node(test, &w->ca, RDMA_NODE_IB_CA, 1);
	make_node(test, &w->sw, RDMA_NODE_IB_SWITCH, NUM_PORTS);
	KUNIT_ASSERT_EQ(test, qpemu_sma_init_port(&w->ca, &w->ca_port, 1, GUID), 0);
	for (i = 0; i <= NUM_PORTS; i++)
		KUNIT_ASSERT_EQ(test, qpemu_sma_init_port(&w->sw, &w->sw_ports[i], i,
							  i ? 0 : GUID), 0);
	return 0;
}

static void end_world(struct kunit *test)
{
	struct world *w = test->priv;
	int i;

	if (!w)
		return;
	if (w->ca.traps)
		qpemu_sma_free_node(&w->ca);
	if (w->sw.traps)
		qpemu_sma_free_node(&w->sw);
	qpemu_sma_free_port(&w->ca_port);
	for (i = 0; i <= NUM_PORTS; i++)
		qpemu_sma_free_port(&w->sw_ports[i]);
}

static bool ask(struct qpemu_port *port, u8 method, __be16 attr, u32 mod)
{
	struct world *w = the_world;
	bool answered;

	w->smp.base_version = IB_MGMT_BASE_VERSION;
	w->smp.class_version = 1;
	if (!w->smp.mgmt_class)
		w->smp.mgmt_class = IB_MGMT_CLASS_SUBN_LID_ROUTED;
	w->smp.method = method;
	w->smp.status = 0;
	w->smp.attr_id = attr;
	w->smp.attr_mod = cpu_to_be32(mod);
	w->events = 0;
	local_bh_disable();
	answered = qpemu_sma(port, &w->smp, SM_LID);
	local_bh_enable();
	return answered;
}

/* Return: status */
static u16 get(struct qpemu_port *port, __be16 attr, u32 mod)
{
	return ask(port, IB_MGMT_METHOD_GET, attr, mod) ?
	       be16_to_cpu(the_world->smp.status) & 0x7fff : U16_MAX;
}

static u16 set(struct qpemu_port *port, __be16 attr, u32 mod)
{
	return ask(port, IB_MGMT_METHOD_SET, attr, mod) ?
	       be16_to_cpu(the_world->smp.status) & 0x7fff : U16_MAX;
}

static struct ib_port_info *port_info(struct kunit *test, struct qpemu_port *port)
{
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_PORT_INFO, port->num), 0);
	return (void *)the_world->smp.data;
}

/* What a subnet manager does: read, change, write; states stay as they are. */
static struct ib_port_info *edit(struct kunit *test, struct qpemu_port *port)
{
	struct ib_port_info *pi = port_info(test, port);

	pi->linkspeed_portstate &= 0xf0;
	pi->portphysstate_linkdown &= 0x0f;
	return pi;
}

static u16 set_port_info(struct qpemu_port *port)
{
	return set(port, IB_SMP_ATTR_PORT_INFO, port->num);
}

static void link(struct qpemu_port *port, bool up)
{
	the_world->events = 0;
	local_bh_disable();
	qpemu_sma_link(port, up);
	local_bh_enable();
}

static u16 set_state(struct kunit *test, struct qpemu_port *port, u8 state)
{
	edit(test, port)->linkspeed_portstate |= state;
	return set_port_info(port);
}

static void bring_up(struct kunit *test, struct qpemu_port *port)
{
	link(port, true);
	KUNIT_ASSERT_EQ(test, set_state(test, port, IB_PORT_ARMED), 0);
	KUNIT_ASSERT_EQ(test, set_state(test, port, IB_PORT_ACTIVE), 0);
}

/* Let there be a subnet manager, so that there may be traps. */
static void manage(struct kunit *test, struct qpemu_port *port)
{
	struct ib_port_info *pi = edit(test, port);

	pi->lid = cpu_to_be16(LID);
	pi->sm_lid = cpu_to_be16(SM_LID);
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
}

static void node_info(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_node_info *ni = (void *)w->smp.data;

	KUNIT_ASSERT_EQ(test, get(&w->ca_port, IB_SMP_ATTR_NODE_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET_RESP);
	KUNIT_EXPECT_EQ(test, w->smp.status, 0);
	KUNIT_EXPECT_EQ(test, ni->node_type, 1);
	KUNIT_EXPECT_EQ(test, ni->num_ports, 1);
	KUNIT_EXPECT_EQ(test, ni->local_port_num, 1);
	KUNIT_EXPECT_EQ(test, ni->node_guid, GUID);
	KUNIT_EXPECT_EQ(test, ni->port_guid, GUID);

	/* The answer on a directed route says so; a switch, where it was asked. */
	w->smp.mgmt_class = IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE;
	KUNIT_ASSERT_EQ(test, get(&w->sw_ports[7], IB_SMP_ATTR_NODE_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, w->smp.status, IB_SMP_DIRECTION);
	KUNIT_EXPECT_EQ(test, ni->node_type, 2);
	KUNIT_EXPECT_EQ(test, ni->num_ports, NUM_PORTS);
	KUNIT_EXPECT_EQ(test, ni->local_port_num, 7);
	KUNIT_EXPECT_EQ(test, ni->port_guid, GUID);

	KUNIT_ASSERT_EQ(test, get(&w->ca_port, IB_SMP_ATTR_NODE_DESC, 0), 0);
	KUNIT_EXPECT_STREQ(test, (char *)w->smp.data, "a node");
}

static void bad_requests(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;

	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_NODE_INFO, 0), UNSUPPORTED);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_SWITCH_INFO, 0), UNSUPPORTED);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_VENDOR_DIAG, 0), UNSUPPORTED);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_PORT_INFO, 2), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, get(&w->sw_ports[1], IB_SMP_ATTR_PORT_INFO, NUM_PORTS + 1),
			BAD_VALUE);

	/* Answers and traps are not answered, other methods are refused. */
	KUNIT_EXPECT_FALSE(test, ask(port, IB_MGMT_METHOD_GET_RESP,
				     IB_SMP_ATTR_NODE_INFO, 0));
	KUNIT_EXPECT_FALSE(test, ask(port, IB_MGMT_METHOD_TRAP, IB_SMP_ATTR_NOTICE, 0));
	KUNIT_EXPECT_TRUE(test, ask(port, IB_MGMT_METHOD_GET_TABLE,
				    IB_SMP_ATTR_NODE_INFO, 0));
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->smp.status),
			IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD);

	w->smp.method = IB_MGMT_METHOD_GET;
	w->smp.class_version = 2;
	KUNIT_EXPECT_TRUE(test, qpemu_sma(port, &w->smp, SM_LID));
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->smp.status), IB_MGMT_MAD_STATUS_BAD_VERSION);
}

static void states(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;

	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_DOWN);
	KUNIT_EXPECT_EQ(test, qpemu_port_phys_state(port), IB_PORT_PHYS_STATE_POLLING);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ARMED), BAD_VALUE);

	link(port, true);
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_INIT);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_STATE));
	KUNIT_EXPECT_EQ(test, qpemu_port_phys_state(port), IB_PORT_PHYS_STATE_LINK_UP);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ACTIVE), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_INIT), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ACTIVE_DEFER), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_INIT);
	KUNIT_EXPECT_FALSE(test, qpemu_sma_rx_ok(port, 0));
	KUNIT_EXPECT_TRUE(test, qpemu_sma_rx_ok(port, QPEMU_VL_MANAGEMENT));

	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ARMED), 0);
	KUNIT_EXPECT_EQ(test, w->events, 0);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ACTIVE), 0);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_STATE));
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_NOP), 0);
	KUNIT_EXPECT_EQ(test, set_state(test, port, IB_PORT_ARMED), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_ACTIVE);

	link(port, false);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_STATE));
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_DOWN);
	KUNIT_EXPECT_FALSE(test, qpemu_sma_rx_ok(port, QPEMU_VL_MANAGEMENT));
}

/* Data that comes in tells an armed port that the other end is active. */
static void armed(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;

	link(port, true);
	KUNIT_ASSERT_EQ(test, set_state(test, port, IB_PORT_ARMED), 0);
	KUNIT_EXPECT_TRUE(test, qpemu_sma_rx_ok(port, QPEMU_VL_MANAGEMENT));
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_ARMED);
	KUNIT_EXPECT_TRUE(test, qpemu_sma_rx_ok(port, 0));
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_ACTIVE);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_STATE));
}

static void disable(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->sw_ports[3];
	struct ib_port_info *pi;

	link(port, true);
	pi = edit(test, port);
	pi->linkspeed_portstate |= IB_PORT_ARMED;
	pi->portphysstate_linkdown |= IB_PORT_PHYS_STATE_POLLING << 4;
	KUNIT_EXPECT_EQ(test, set_port_info(port), BAD_VALUE);

	/* Whether or not the state is said as well: ibportstate does not. */
	bring_up(test, port);
	pi = edit(test, port);
	pi->portphysstate_linkdown |= IB_PORT_PHYS_STATE_DISABLED << 4;
	KUNIT_EXPECT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_STATE));
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_DOWN);
	KUNIT_EXPECT_TRUE(test, port->disabled);
	KUNIT_EXPECT_EQ(test, pi->portphysstate_linkdown >> 4,
			IB_PORT_PHYS_STATE_DISABLED);
	link(port, false);
	link(port, true);
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_DOWN);

	pi = edit(test, port);
	pi->portphysstate_linkdown |= IB_PORT_PHYS_STATE_POLLING << 4;
	KUNIT_EXPECT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_FALSE(test, port->disabled);
	link(port, true);
	KUNIT_EXPECT_EQ(test, port->state, IB_PORT_INIT);
}

/* One wrong field, and nothing is as it was asked for. */
static void bad_fields(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	static const struct {
		unsigned int offset;
		u8 mask;
		u8 value;
	} bad[] = {
#define FIELD(field)	offsetof(struct ib_port_info, field)
		{ FIELD(lid), 0xff, 0xc0 },
		{ FIELD(sm_lid), 0xff, 0xc0 },
		{ FIELD(mkeyprot_resv_lmc), 0x07, 1 },	/* LID is odd */
		{ FIELD(link_width_enabled), 0xff, IB_WIDTH_1X },
		{ FIELD(link_width_enabled), 0xff, IB_WIDTH_12X | IB_WIDTH_4X },
		{ FIELD(linkspeedactive_enabled), 0x0f, IB_SPEED_SDR },
		{ FIELD(linkspeedactive_enabled), 0x0f, 0xc },
		{ FIELD(portphysstate_linkdown), 0x0f, 3 },
		{ FIELD(portphysstate_linkdown), 0xf0, 0x50 },
		{ FIELD(neighbormtu_mastersmsl), 0xf0, 0x00 },
		{ FIELD(neighbormtu_mastersmsl), 0xf0, 0x60 },
		{ FIELD(operationalvl_pei_peo_fpi_fpo), 0xf0, 0x50 },
#undef FIELD
	};
	int i;

	manage(test, port);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ib_port_info *pi = edit(test, port);
		u8 *byte = (u8 *)pi + bad[i].offset;

		pi->vl_high_limit = 77;
		*byte = (*byte & ~bad[i].mask) | bad[i].value;
		KUNIT_EXPECT_EQ_MSG(test, set_port_info(port), BAD_VALUE, "field %d", i);
		KUNIT_EXPECT_EQ(test, port_info(test, port)->vl_high_limit, 0);
	}
	KUNIT_EXPECT_EQ(test, port->lid, LID);
}

static void fields(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	struct ib_port_info *pi = edit(test, port);

	KUNIT_EXPECT_EQ(test, pi->local_port_num, 1);
	KUNIT_EXPECT_EQ(test, pi->link_width_active, IB_WIDTH_4X);
	KUNIT_EXPECT_EQ(test, pi->linkspeedactive_enabled >> 4, IB_SPEED_QDR);
	pi->lid = cpu_to_be16(8);
	pi->mkeyprot_resv_lmc = 2;
	pi->sm_lid = cpu_to_be16(SM_LID);
	pi->gid_prefix = cpu_to_be64(0xfec0000000000001ULL);
	pi->neighbormtu_mastersmsl = IB_MTU_1024 << 4 | 3;
	pi->operationalvl_pei_peo_fpi_fpo = 2 << 4;
	pi->vl_high_limit = 5;
	pi->vlstallcnt_hoqlife = 0x33;
	pi->clientrereg_resv_subnetto = 0x80 | 17;
	pi->link_width_enabled = 0xff;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_LID) | BIT(QPEMU_EVENT_SM) |
			BIT(QPEMU_EVENT_GID) | BIT(QPEMU_EVENT_REREGISTER));
	/* The answer repeats it, o14-12.2.1; nobody else is told of it. */
	KUNIT_EXPECT_EQ(test, pi->clientrereg_resv_subnetto, 0x80 | 17);

	pi = port_info(test, port);
	KUNIT_EXPECT_EQ(test, pi->clientrereg_resv_subnetto, 17);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(pi->lid), 8);
	KUNIT_EXPECT_EQ(test, pi->mkeyprot_resv_lmc, 2);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(pi->sm_lid), SM_LID);
	KUNIT_EXPECT_EQ(test, pi->neighbormtu_mastersmsl, IB_MTU_1024 << 4 | 3);
	KUNIT_EXPECT_EQ(test, pi->operationalvl_pei_peo_fpi_fpo, 2 << 4);
	KUNIT_EXPECT_EQ(test, pi->vl_high_limit, 5);
	KUNIT_EXPECT_EQ(test, pi->vlstallcnt_hoqlife, 0x33);
	KUNIT_EXPECT_EQ(test, pi->link_width_enabled, pi->link_width_supported);

	/* The same again is no event. */
	edit(test, port);
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_EQ(test, w->events, 0);

	port->pkey_violations = 4;
	port->qkey_violations = 5;
	edit(test, port)->qkey_violations = 0;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_EQ(test, port->pkey_violations, 4);
	KUNIT_EXPECT_EQ(test, port->qkey_violations, 0);
}

/* A port of a switch has no LID; port 0 has no link. */
static void switch_ports(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *zero = &w->sw_ports[0], *port = &w->sw_ports[1];
	struct ib_port_info *pi;

	pi = edit(test, port);
	KUNIT_EXPECT_EQ(test, pi->cap_mask, 0);
	pi->lid = cpu_to_be16(LID);
	pi->mkey = MKEY;
	pi->operationalvl_pei_peo_fpi_fpo |= QPEMU_ENFORCE_IN | QPEMU_ENFORCE_OUT | 3;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	pi = port_info(test, port);
	KUNIT_EXPECT_EQ(test, pi->lid, 0);
	KUNIT_EXPECT_EQ(test, pi->mkey, 0);
	KUNIT_EXPECT_EQ(test, pi->operationalvl_pei_peo_fpi_fpo & 0xf,
			QPEMU_ENFORCE_IN | QPEMU_ENFORCE_OUT);

	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_PORT_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, pi->local_port_num, 1);
	KUNIT_EXPECT_EQ(test, pi->linkspeed_portstate & 0xf, IB_PORT_ACTIVE);
	KUNIT_EXPECT_EQ(test, pi->portphysstate_linkdown >> 4,
			IB_PORT_PHYS_STATE_LINK_UP);
	pi->lid = cpu_to_be16(LID);
	pi->sm_lid = cpu_to_be16(SM_LID);
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_PORT_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, zero->lid, LID);
	KUNIT_EXPECT_EQ(test, port->lid, 0);
	KUNIT_EXPECT_EQ(test, zero->state, IB_PORT_ACTIVE);
}

/* 14.2.4: who may do what with which key */
static void mkey(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	u8 prot;

	manage(test, port);
	edit(test, port)->mkey = MKEY;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	KUNIT_EXPECT_EQ(test, ((struct ib_port_info *)w->smp.data)->mkey, MKEY);

	for (prot = 0; prot < 4; prot++) {
		w->smp.mkey = MKEY;
		edit(test, port)->mkeyprot_resv_lmc = prot << 6;
		KUNIT_ASSERT_EQ(test, set_port_info(port), 0);

		w->smp.mkey = 0;
		w->sent = 0;
		port->mkey_violations = 0;
		KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_NODE_INFO, 0),
				prot < 2 ? 0 : U16_MAX);
		KUNIT_EXPECT_EQ(test, port->mkey_violations, prot < 2 ? 0 : 1);
		if (prot < 2)
			KUNIT_EXPECT_EQ(test, port_info(test, port)->mkey,
					prot ? 0 : MKEY);
		KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_PKEY_TABLE, 0), U16_MAX);
		KUNIT_EXPECT_EQ(test, port->mkey_violations, prot < 2 ? 1 : 2);
	}
	KUNIT_EXPECT_EQ(test, port->pkeys[0], 0xffff);
}

static void lease(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	struct ib_port_info *pi = edit(test, port);

	pi->mkey = MKEY;
	pi->mkey_lease_period = cpu_to_be16(10);
	pi->mkeyprot_resv_lmc = 2 << 6;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);

	/* Who has the key stops what another has begun. */
	w->smp.mkey = 0;
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_NODE_INFO, 0), U16_MAX);
	KUNIT_EXPECT_NE(test, port->mkey_expires, 0);
	w->smp.mkey = MKEY;
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_NODE_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, port->mkey_expires, 0);

	w->smp.mkey = 0;
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_NODE_INFO, 0), U16_MAX);
	port->mkey_expires -= 9 * HZ;
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_NODE_INFO, 0), U16_MAX);
	port->mkey_expires -= HZ;
	KUNIT_EXPECT_EQ(test, port_info(test, port)->mkey, MKEY);
	KUNIT_EXPECT_EQ(test, port->mkey_prot, 0);
}

static void pkeys(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	__be16 *table = (void *)w->smp.data;

	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_PKEY_TABLE, 0), 0);
	KUNIT_EXPECT_EQ(test, table[0], cpu_to_be16(0xffff));
	KUNIT_EXPECT_EQ(test, table[1], 0);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_PKEY_TABLE, 1), BAD_VALUE);

	memset(table, 0, sizeof(w->smp.data));
	table[0] = cpu_to_be16(0x7fff);
	table[31] = cpu_to_be16(0x8005);
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_PKEY_TABLE, 0), 0);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_PKEY));
	KUNIT_EXPECT_TRUE(test, qpemu_port_pkey_ok(port, 0xffff));
	KUNIT_EXPECT_FALSE(test, qpemu_port_pkey_ok(port, 0x7fff));
	KUNIT_EXPECT_TRUE(test, qpemu_port_pkey_ok(port, 0x0005));
	KUNIT_EXPECT_TRUE(test, qpemu_port_pkey_ok(port, 0x8005));
	KUNIT_EXPECT_FALSE(test, qpemu_port_pkey_ok(port, 0x8006));
	KUNIT_EXPECT_FALSE(test, qpemu_port_pkey_ok(port, 0x8000));

	/* Of a switch each port has its own. */
	KUNIT_ASSERT_EQ(test, set(&w->sw_ports[1], IB_SMP_ATTR_PKEY_TABLE, 4 << 16), 0);
	KUNIT_EXPECT_EQ(test, w->sw_ports[4].pkeys[0], 0x7fff);
	KUNIT_EXPECT_EQ(test, w->sw_ports[1].pkeys[0], 0xffff);
	KUNIT_EXPECT_EQ(test, set(&w->sw_ports[1], IB_SMP_ATTR_PKEY_TABLE, 37 << 16),
			BAD_VALUE);
}

static void guids(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	__be64 *table = (void *)w->smp.data;

	table[0] = 1;
	table[7] = 7;
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_GUID_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, w->events, BIT(QPEMU_EVENT_GID));
	KUNIT_EXPECT_EQ(test, table[0], GUID);
	KUNIT_EXPECT_EQ(test, table[7], 7);
	KUNIT_EXPECT_EQ(test, port->guids[0], GUID);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_GUID_INFO, 1), BAD_VALUE);
}

static void lanes(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	struct qpemu_port *in = &w->sw_ports[1];

	memset(w->smp.data, 0, sizeof(w->smp.data));
	w->smp.data[0] = 0x12;
	w->smp.data[7] = 0x3f;
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_SL_TO_VL_TABLE, 0), 0);
	KUNIT_EXPECT_EQ(test, port->sl2vl[0][0], 1);
	KUNIT_EXPECT_EQ(test, port->sl2vl[0][1], 2);
	KUNIT_EXPECT_EQ(test, port->sl2vl[0][15], 15);
	KUNIT_ASSERT_EQ(test, set(in, IB_SMP_ATTR_SL_TO_VL_TABLE, 2 << 8 | 5), 0);
	KUNIT_EXPECT_EQ(test, w->sw_ports[5].sl2vl[2][14], 3);
	KUNIT_EXPECT_EQ(test, w->sw_ports[2].sl2vl[5][14], 14 % QPEMU_NUM_VLS);
	KUNIT_EXPECT_EQ(test, get(in, IB_SMP_ATTR_SL_TO_VL_TABLE, 37 << 8 | 1),
			BAD_VALUE);
	KUNIT_EXPECT_EQ(test, get(in, IB_SMP_ATTR_SL_TO_VL_TABLE, 1 << 16), BAD_VALUE);

	w->smp.data[0] = 0xf3;
	w->smp.data[1] = 200;
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_VL_ARB_TABLE, 4 << 16), 0);
	KUNIT_EXPECT_EQ(test, port->vlarb[3][0], 3);
	KUNIT_EXPECT_EQ(test, port->vlarb[3][1], 200);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_VL_ARB_TABLE, 0), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, get(port, IB_SMP_ATTR_VL_ARB_TABLE, 5 << 16), BAD_VALUE);
}

static void forwarding(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->sw_ports[1];
	struct qpemu_tables *tables = w->sw.tables;
	__be16 *masks = (void *)w->smp.data;

	KUNIT_EXPECT_EQ(test, tables->lft[64], 255);
	memset(w->smp.data, 3, sizeof(w->smp.data));
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_LINEAR_FORWARD_TABLE, 1), 0);
	KUNIT_EXPECT_EQ(test, tables->lft[63], 255);
	KUNIT_EXPECT_EQ(test, tables->lft[64], 3);
	KUNIT_EXPECT_EQ(test, tables->lft[127], 3);
	KUNIT_EXPECT_EQ(test, tables->lft[128], 255);
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_LINEAR_FORWARD_TABLE, 767), 0);
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_LINEAR_FORWARD_TABLE, 768),
			BAD_VALUE);

	memset(w->smp.data, 0, sizeof(w->smp.data));
	masks[1] = cpu_to_be16(BIT(4));
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_MCAST_FORWARD_TABLE, 2), 0);
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_MCAST_FORWARD_TABLE, 2U << 28 | 2),
			0);
	KUNIT_EXPECT_EQ(test, tables->mft[65], BIT_ULL(4) | BIT_ULL(36));
	masks[1] = 0;
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_MCAST_FORWARD_TABLE, 2), 0);
	KUNIT_EXPECT_EQ(test, tables->mft[65], BIT_ULL(36));
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_MCAST_FORWARD_TABLE, 32), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_MCAST_FORWARD_TABLE, 3U << 28),
			BAD_VALUE);
}

#define TOP	6	/* LinearFDBTop */
#define LIFE	11	/* LifeTimeValue, PortStateChange */

static void switch_info(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->sw_ports[1];
	u8 *si = w->smp.data;

	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_SWITCH_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, si[LIFE] & 0x04, 0);
	link(port, true);
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_SWITCH_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, si[LIFE] & 0x04, 0x04);

	/* Zero does not reset it. */
	si[LIFE] = 18 << 3;
	si[TOP] = 0x12;
	si[TOP + 1] = 0x34;
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_SWITCH_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, si[LIFE], 18 << 3 | 0x04);
	KUNIT_EXPECT_EQ(test, w->sw.tables->lft_top, 0x1234);
	KUNIT_ASSERT_EQ(test, set(port, IB_SMP_ATTR_SWITCH_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, si[LIFE], 18 << 3);

	/* What the manager does itself is no news to it. */
	KUNIT_ASSERT_EQ(test, set_state(test, port, IB_PORT_ARMED), 0);
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_SWITCH_INFO, 0), 0);
	KUNIT_EXPECT_EQ(test, si[LIFE] & 0x04, 0);

	si[TOP] = 0xc0;
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_SWITCH_INFO, 0), BAD_VALUE);
}

static u16 trap_num(const struct ib_smp *smp)
{
	const struct ib_mad_notice_attr *notice = (const void *)smp->data;

	return be16_to_cpu(notice->trap_num);
}

static void traps(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->sw_ports[1];
	struct ib_mad_notice_attr *notice = (void *)w->smp.data;

	/* Without a subnet manager there are none. */
	link(port, true);
	KUNIT_EXPECT_EQ(test, w->sent, 0);
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_NOTICE, 0), 0);
	KUNIT_EXPECT_EQ(test, notice->generic_type, 0xff);

	manage(test, &w->sw_ports[0]);
	link(port, false);
	KUNIT_ASSERT_EQ(test, w->sent, 1);
	KUNIT_EXPECT_EQ(test, w->trap.method, IB_MGMT_METHOD_TRAP);
	KUNIT_EXPECT_EQ(test, w->trap.attr_id, IB_SMP_ATTR_NOTICE);
	KUNIT_EXPECT_EQ(test, trap_num(&w->trap), 128);
	notice = (void *)w->trap.data;
	KUNIT_EXPECT_EQ(test, be16_to_cpu(notice->issuer_lid), LID);
	KUNIT_EXPECT_EQ(test, notice->prod_type_lsb, IB_NOTICE_PROD_SWITCH);

	/* The next has to wait; it takes the place of the first. */
	link(port, true);
	KUNIT_EXPECT_EQ(test, w->sent, 1);
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_NOTICE, 0), 0);
	KUNIT_EXPECT_EQ(test, trap_num(&w->smp), 128);
	KUNIT_EXPECT_MEMNEQ(test, w->smp.data, w->trap.data, sizeof(w->smp.data));

	/* Who has heard of the first has not heard of the second. */
	w->smp.tid = w->trap.tid;
	memcpy(w->smp.data, w->trap.data, sizeof(w->smp.data));
	KUNIT_EXPECT_FALSE(test, ask(port, IB_MGMT_METHOD_TRAP_REPRESS,
				     IB_SMP_ATTR_NOTICE, 0));
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_NOTICE, 0), 0);
	KUNIT_EXPECT_EQ(test, trap_num(&w->smp), 128);
	w->smp.tid = cpu_to_be64(be64_to_cpu(w->trap.tid) + 1);
	KUNIT_EXPECT_FALSE(test, ask(port, IB_MGMT_METHOD_TRAP_REPRESS,
				     IB_SMP_ATTR_NOTICE, 0));
	KUNIT_ASSERT_EQ(test, get(port, IB_SMP_ATTR_NOTICE, 0), 0);
	notice = (void *)w->smp.data;
	KUNIT_EXPECT_EQ(test, notice->generic_type, 0xff);
}

static void trap_mkey(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_port *port = &w->ca_port;
	struct ib_mad_notice_attr *notice = (void *)w->trap.data;

	manage(test, port);
	edit(test, port)->mkey = MKEY;
	KUNIT_ASSERT_EQ(test, set_port_info(port), 0);
	w->smp.mgmt_class = IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE;
	w->smp.hop_cnt = 40;
	w->smp.return_path[29] = 29;
	KUNIT_EXPECT_EQ(test, set(port, IB_SMP_ATTR_GUID_INFO, 0), U16_MAX);
	KUNIT_ASSERT_EQ(test, w->sent, 1);
	KUNIT_EXPECT_EQ(test, trap_num(&w->trap), 256);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(notice->details.ntc_256.lid), SM_LID);
	KUNIT_EXPECT_EQ(test, notice->details.ntc_256.attr_id, IB_SMP_ATTR_GUID_INFO);
	KUNIT_EXPECT_EQ(test, notice->details.ntc_256.dr_trunc_hop, 0xc0 | 30);
	KUNIT_EXPECT_EQ(test, notice->details.ntc_256.dr_rtn_path[29], 29);

	/* Another kind, which is told when its time comes */
	qpemu_sma_capability(port, IB_PORT_SM, 0);
	KUNIT_EXPECT_EQ(test, w->sent, 1);
	qpemu_sma_capability(port, IB_PORT_SM, 0);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(port_info(test, port)->cap_mask) & IB_PORT_SM,
			IB_PORT_SM);
}

/* PortCounters and PortCountersExtended */
static u16 count(struct qpemu_node *node, struct ib_pma_mad *mad, u8 method, __be16 attr,
		 u8 port, u16 select)
{
	struct ib_pma_portcounters *counters = (void *)mad->data;

	mad->mad_hdr.base_version = IB_MGMT_BASE_VERSION;
	mad->mad_hdr.mgmt_class = IB_MGMT_CLASS_PERF_MGMT;
	mad->mad_hdr.class_version = 1;
	mad->mad_hdr.method = method;
	mad->mad_hdr.attr_id = attr;
	counters->port_select = port;
	counters->counter_select = cpu_to_be16(select);
	return qpemu_pma(node, (void *)mad) ? be16_to_cpu(mad->mad_hdr.status) : U16_MAX;
}

static void add(struct qpemu_port *port, enum qpemu_port_counter counter, u64 num)
{
	local_bh_disable();
	qpemu_port_count_n(port, counter, num);
	local_bh_enable();
}

static void counters(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_pma_mad *mad = kunit_kzalloc(test, sizeof(*mad), GFP_KERNEL);
	struct ib_pma_portcounters *narrow = (void *)mad->data;
	struct ib_pma_portcounters_ext *wide = (void *)mad->data;

	KUNIT_ASSERT_NOT_NULL(test, mad);
	add(&w->sw_ports[1], QPEMU_PORT_XMIT_PKTS, 5ULL << 32);
	add(&w->sw_ports[1], QPEMU_PORT_LINK_DOWNED, 300);
	add(&w->sw_ports[2], QPEMU_PORT_XMIT_PKTS, 7);
	add(&w->sw_ports[2], QPEMU_PORT_RCV_SWITCH_RELAY, 3);

	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_GET, IB_PMA_PORT_COUNTERS,
				    1, 0), 0);
	KUNIT_EXPECT_EQ(test, mad->mad_hdr.method, IB_MGMT_METHOD_GET_RESP);
	KUNIT_EXPECT_EQ(test, narrow->port_xmit_packets, cpu_to_be32(U32_MAX));
	KUNIT_EXPECT_EQ(test, narrow->link_downed_counter, U8_MAX);
	KUNIT_EXPECT_EQ(test, narrow->port_rcv_switch_relay_errors, 0);

	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_GET,
				    IB_PMA_PORT_COUNTERS_EXT, 255, 0), 0);
	KUNIT_EXPECT_EQ(test, be64_to_cpu(wide->port_xmit_packets), (5ULL << 32) + 7);

	/* What is selected is reset, of one attribute and not the other. */
	memset(mad->data, 0, sizeof(mad->data));
	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_SET, IB_PMA_PORT_COUNTERS,
				    1, BIT(14)), 0);
	KUNIT_EXPECT_EQ(test, narrow->port_xmit_packets, 0);
	KUNIT_EXPECT_EQ(test, narrow->link_downed_counter, U8_MAX);
	add(&w->sw_ports[1], QPEMU_PORT_XMIT_PKTS, 2);
	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_GET, IB_PMA_PORT_COUNTERS,
				    1, 0), 0);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(narrow->port_xmit_packets), 2);
	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_GET,
				    IB_PMA_PORT_COUNTERS_EXT, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, be64_to_cpu(wide->port_xmit_packets), (5ULL << 32) + 2);

	memset(mad->data, 0, sizeof(mad->data));
	KUNIT_ASSERT_EQ(test, count(&w->sw, mad, IB_MGMT_METHOD_SET, IB_PMA_PORT_COUNTERS,
				    255, 0xffff), 0);
	KUNIT_EXPECT_EQ(test, narrow->port_rcv_switch_relay_errors, 0);
	KUNIT_EXPECT_EQ(test, narrow->port_xmit_packets, 0);

	/* Adapters have no such thing as all ports. */
	KUNIT_EXPECT_EQ(test, count(&w->ca, mad, IB_MGMT_METHOD_GET, IB_PMA_PORT_COUNTERS,
				    255, 0), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, count(&w->ca, mad, IB_MGMT_METHOD_GET, IB_PMA_PORT_COUNTERS,
				    0, 0), BAD_VALUE);
	KUNIT_EXPECT_EQ(test, count(&w->ca, mad, IB_MGMT_METHOD_GET, IB_PMA_PORT_COUNTERS,
				    1, 0), 0);
	KUNIT_EXPECT_EQ(test, count(&w->ca, mad, IB_MGMT_METHOD_GET,
				    IB_PMA_PORT_SAMPLES_CONTROL, 1, 0), UNSUPPORTED);
	KUNIT_EXPECT_EQ(test, count(&w->ca, mad, IB_MGMT_METHOD_GET_RESP,
				    IB_PMA_PORT_COUNTERS, 1, 0), U16_MAX);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(node_info),
	KUNIT_CASE(bad_requests),
	KUNIT_CASE(states),
	KUNIT_CASE(armed),
	KUNIT_CASE(disable),
	KUNIT_CASE(bad_fields),
	KUNIT_CASE(fields),
	KUNIT_CASE(switch_ports),
	KUNIT_CASE(mkey),
	KUNIT_CASE(lease),
	KUNIT_CASE(pkeys),
	KUNIT_CASE(guids),
	KUNIT_CASE(lanes),
	KUNIT_CASE(forwarding),
	KUNIT_CASE(switch_info),
	KUNIT_CASE(traps),
	KUNIT_CASE(trap_mkey),
	KUNIT_CASE(counters),
	{}
};

static struct kunit_suite suite = {
	.name = "qpemu_sma",
	.init = make_world,
	.exit = end_world,
	.test_cases = cases,
};

kunit_test_suite(suite);
