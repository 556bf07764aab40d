// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of a switch: ways through it, and what becomes of packets */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <rdma/ib_pma.h>

#include "link.h"
#include "switch.h"

#define NUM_PORTS	QPEMU_MAX_PORTS
#define GUID		cpu_to_be64(0x0002c90300005678ULL)
#define PERMISSIVE	QPEMU_LID_PERMISSIVE
#define OWN_LID		5
#define HOST_LID	20	/* behind port 2 */
#define FAR_LID		21	/* behind port 3 */
#define GROUP		0xc010	/* ports 1, 2, 3 */
#define PORTS(a, b)	(BIT_ULL(a) | BIT_ULL(b))

/**
 * struct world - what a test has
 * @sw: a switch; ports 1 to 4 are active
 * @ports: of @sw
 * @num_sent: packets that have left
 * @to: by which port each
 * @vl: in which lane
 * @len: how long
 * @lrh: local route header of the last of them
 * @smp: the last of them, if it was one
 */
struct world {
	struct qpemu_node sw;
	struct qpemu_port ports[NUM_PORTS + 1];
	unsigned int num_sent;
	u8 to[8];
	u8 vl[8];
	u32 len[8];
	struct qpemu_lrh lrh;
	struct ib_smp smp __aligned(8);
};

static int out(struct qpemu_port *port, struct sk_buff *skb)
{
	struct world *w = kunit_get_current_test()->priv;
	const struct qpemu_lrh *lrh = (const void *)skb->data;
	unsigned int i = w->num_sent++ % ARRAY_SIZE(w->to);

	w->to[i] = port->num;
	w->vl[i] = qpemu_lrh_vl(lrh);
	w->len[i] = skb->len;
	w->lrh = *lrh;
	if (skb->len > sizeof(w->smp))
		skb_copy_bits(skb, skb->len - ROCE_ICRC_LEN - sizeof(w->smp), &w->smp,
			      sizeof(w->smp));
	kfree_skb(skb);
	return 0;
}

static void event(struct qpemu_port *port, unsigned long events)
{
}

static const struct qpemu_node_ops node_ops = {
	.rx = qpemu_relay_rx,
	.tx = qpemu_relay_tx,
	.event = event,
};

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	static char desc[IB_DEVICE_NODE_DESC_MAX];
	struct qpemu_node *node = &w->sw;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	node->ops = &node_ops;
	node->type = RDMA_NODE_IB_SWITCH;
	node->num_ports = NUM_PORTS;
	node->guid = GUID;
	node->desc = desc;
	KUNIT_ASSERT_EQ(test, qpemu_sma_init_node(node), 0);
	for (i = 0; i <= NUM_PORTS; i++)
		KUNIT_ASSERT_EQ(test, qpemu_sma_init_port(node, &w->ports[i], i,
							  i ? 0 : GUID), 0);
	for (i = 1; i <= 4; i++) {
		w->ports[i].trained = true;
		w->ports[i].state = IB_PORT_ACTIVE;
		w->ports[i].mtu = IB_MTU_1024;
	}
	w->ports[0].lid = OWN_LID;
	node->tables->lft_top = FAR_LID;
	node->tables->lft[OWN_LID] = 0;
	node->tables->lft[HOST_LID] = 2;
	node->tables->lft[FAR_LID] = 3;
	node->tables->mft[GROUP - QPEMU_LID_MULTICAST] = PORTS(1, 2) | BIT_ULL(3);
	kunit_activate_static_stub(test, qpemu_relay_out, out);
	return 0;
}

static void end_world(struct kunit *test)
{
	struct world *w = test->priv;
	int i;

	if (!w)
		return;
	if (w->sw.traps)
		qpemu_sma_free_node(&w->sw);
	for (i = 0; i <= NUM_PORTS; i++)
		qpemu_sma_free_port(&w->ports[i]);
}

static void expect_step(struct kunit *test, struct ib_smp *smp, u8 in, enum qpemu_dr to,
			u8 expected)
{
	u8 port = 0;

	KUNIT_EXPECT_EQ(test, qpemu_dr_step(smp, in, NUM_PORTS, &port), to);
	KUNIT_EXPECT_EQ(test, port, expected);
}

/* From an adapter through two switches to another one; it has made the first step. */
static void dr_there_and_back(struct kunit *test)
{
	struct ib_smp smp = {
		.dr_slid = IB_LID_PERMISSIVE,
		.dr_dlid = IB_LID_PERMISSIVE,
		.hop_ptr = 1,
		.hop_cnt = 3,
		.initial_path = { 0, 1, 7, 9 },
	};

	expect_step(test, &smp, 4, QPEMU_DR_PORT, 7);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 2);
	KUNIT_EXPECT_EQ(test, smp.return_path[1], 4);
	expect_step(test, &smp, 5, QPEMU_DR_PORT, 9);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 3);
	KUNIT_EXPECT_EQ(test, smp.return_path[2], 5);
	expect_step(test, &smp, 1, QPEMU_DR_HERE, 0);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 4);
	KUNIT_EXPECT_EQ(test, smp.return_path[3], 1);

	smp.status = IB_SMP_DIRECTION;
	expect_step(test, &smp, 0, QPEMU_DR_PORT, 1);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 3);
	expect_step(test, &smp, 9, QPEMU_DR_PORT, 5);
	expect_step(test, &smp, 7, QPEMU_DR_PORT, 4);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 1);
	expect_step(test, &smp, 1, QPEMU_DR_HERE, 0);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 0);
}

/* By LID to where the directed part begins, and on by LID from where it ends */
static void dr_between_lids(struct kunit *test)
{
	struct ib_smp smp = {
		.dr_slid = cpu_to_be16(HOST_LID),
		.dr_dlid = cpu_to_be16(FAR_LID),
		.hop_cnt = 1,
		.initial_path = { 0, 7 },
	};

	expect_step(test, &smp, 4, QPEMU_DR_PORT, 7);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 1);
	expect_step(test, &smp, 5, QPEMU_DR_LID, 0);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 2);
	KUNIT_EXPECT_EQ(test, smp.return_path[1], 5);
	expect_step(test, &smp, 6, QPEMU_DR_HERE, 0);
	KUNIT_EXPECT_EQ(test, smp.return_path[1], 5);

	smp.status = IB_SMP_DIRECTION;
	expect_step(test, &smp, 5, QPEMU_DR_PORT, 5);
	expect_step(test, &smp, 7, QPEMU_DR_LID, 0);
	KUNIT_EXPECT_EQ(test, smp.hop_ptr, 0);
}

static void dr_malformed(struct kunit *test)
{
	static const struct {
		u8 hop_ptr, hop_cnt, port;
		__be16 status;
	} bad[] = {
		{ 1, 64, 7 }, { 0, 255, 7 }, { 255, 254, 7 },
		{ 1, 64, 7, IB_SMP_DIRECTION }, { 255, 255, 7, IB_SMP_DIRECTION },
		{ 5, 3, 7 }, { 255, 63, 7 },
		{ 5, 3, 7, IB_SMP_DIRECTION }, { 255, 63, 7, IB_SMP_DIRECTION },
		{ 1, 3, 0 }, { 1, 3, NUM_PORTS + 1 }, { 1, 3, 255 },
		{ 3, 3, 0, IB_SMP_DIRECTION }, { 3, 3, 255, IB_SMP_DIRECTION },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ib_smp smp = {
			.dr_slid = IB_LID_PERMISSIVE,
			.dr_dlid = IB_LID_PERMISSIVE,
			.status = bad[i].status,
			.hop_ptr = bad[i].hop_ptr,
			.hop_cnt = bad[i].hop_cnt,
		};
		u8 port;

		memset(smp.initial_path, bad[i].port, sizeof(smp.initial_path));
		memset(smp.return_path, bad[i].port, sizeof(smp.return_path));
		KUNIT_EXPECT_EQ_MSG(test, qpemu_dr_step(&smp, 1, NUM_PORTS, &port),
				    QPEMU_DR_DROP, "case %d", i);
	}
}

/* Whatever the hop pointer is, the way has an end. */
static void dr_ends(struct kunit *test)
{
	unsigned int cnt, ptr, back;

	for (back = 0; back < 2; back++) {
		for (cnt = 0; cnt < 256; cnt++) {
			for (ptr = 0; ptr < 256; ptr++) {
				struct ib_smp smp = {
					.dr_slid = IB_LID_PERMISSIVE,
					.dr_dlid = IB_LID_PERMISSIVE,
					.status = back ? IB_SMP_DIRECTION : 0,
					.hop_ptr = ptr,
					.hop_cnt = cnt,
				};
				int steps = 0;
				u8 port;

				memset(smp.initial_path, 1, sizeof(smp.initial_path));
				memset(smp.return_path, 1, sizeof(smp.return_path));
				while (qpemu_dr_step(&smp, 1, NUM_PORTS, &port) ==
				       QPEMU_DR_PORT && steps < 100)
					steps++;
				KUNIT_ASSERT_LT(test, steps, 64);
			}
		}
	}
}

static void tables(struct kunit *test)
{
	struct world *w = test->priv;
	struct qpemu_tables *t = w->sw.tables;

	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, OWN_LID, HOST_LID), 2);
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, OWN_LID, OWN_LID), 0);
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, HOST_LID, HOST_LID), 0);
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, 0, 0), QPEMU_NO_PORT);
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, OWN_LID, 6), QPEMU_NO_PORT);
	t->lft[FAR_LID + 1] = 1;
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, OWN_LID, FAR_LID + 1),
			QPEMU_NO_PORT);
	KUNIT_EXPECT_EQ(test, qpemu_relay_unicast(t, OWN_LID, 0xc000), QPEMU_NO_PORT);

	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, GROUP, 1), PORTS(2, 3));
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, GROUP, 4),
			PORTS(1, 2) | BIT_ULL(3));
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, GROUP + 1, 1), 0);
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, 0xfffe, 1), 0);
	t->default_port = 3;
	t->default_not_port = 4;
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, 0xfffe, 1), BIT_ULL(3));
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, 0xfffe, 3), BIT_ULL(4));
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, GROUP, 1), PORTS(2, 3));
	t->mft[0] = ~0ULL;
	KUNIT_EXPECT_EQ(test, qpemu_relay_multicast(t, 0xc000, 36), GENMASK_ULL(35, 1));
}

/* A packet with @payload bytes behind its BTH */
static struct sk_buff *packet(struct kunit *test, u16 dlid, u8 sl, u16 pkey, u32 payload)
{
	unsigned int len = IB_LRH_BYTES + IB_BTH_BYTES + payload + ROCE_ICRC_LEN;
	struct sk_buff *skb = alloc_skb(len + 64, GFP_KERNEL);
	struct qpemu_lrh *lrh;
	struct roce_bth *bth;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 64);
	lrh = skb_put_zero(skb, len);
	lrh->sl_lnh = sl << 4 | QPEMU_LNH_BTH;
	lrh->dlid = cpu_to_be16(dlid);
	lrh->slid = cpu_to_be16(1);
	lrh->len = cpu_to_be16(len / 4);
	bth = (void *)(lrh + 1);
	bth->pkey = cpu_to_be16(pkey);
	return skb;
}

static void receive(struct kunit *test, unsigned int port, struct sk_buff *skb)
{
	struct world *w = test->priv;

	w->num_sent = 0;
	local_bh_disable();
	rcu_read_lock();
	qpemu_relay_rx(&w->ports[port], skb);
	rcu_read_unlock();
	local_bh_enable();
}

static u64 counted(struct world *w, unsigned int port, enum qpemu_port_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(w->ports[port].stats, cpu)->value[counter];
	return sum;
}

static void data(struct kunit *test, unsigned int port, u16 dlid, u8 sl, u16 pkey,
		 u32 payload)
{
	receive(test, port, packet(test, dlid, sl, pkey, payload));
}

static void unicast(struct kunit *test)
{
	struct world *w = test->priv;

	data(test, 1, HOST_LID, 3, 0xffff, 100);
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 2);
	KUNIT_EXPECT_EQ(test, w->vl[0], 3);
	KUNIT_EXPECT_EQ(test, w->len[0], 124);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.dlid), HOST_LID);

	/* Not out of the port that it came by, nor where there is none */
	data(test, 2, HOST_LID, 0, 0xffff, 100);
	data(test, 2, 6, 0, 0xffff, 100);
	w->sw.tables->lft[6] = NUM_PORTS + 1;
	data(test, 2, 6, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_RCV_SWITCH_RELAY), 3);

	/* Data for the switch itself is for nobody. */
	data(test, 1, OWN_LID, 0, 0xffff, 100);
	data(test, 1, PERMISSIVE, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 1, QPEMU_PORT_RCV_ERRORS), 2);
}

static void port_states(struct kunit *test)
{
	struct world *w = test->priv;

	w->ports[2].state = IB_PORT_ARMED;
	data(test, 1, HOST_LID, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_XMIT_DISCARDS), 1);

	w->ports[2].state = IB_PORT_ACTIVE;
	w->ports[1].state = IB_PORT_INIT;
	data(test, 1, HOST_LID, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	w->ports[1].state = IB_PORT_ARMED;
	data(test, 1, HOST_LID, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->ports[1].state, IB_PORT_ACTIVE);
}

static void vls(struct kunit *test)
{
	struct world *w = test->priv;

	w->ports[2].sl2vl[1][4] = 6;
	data(test, 1, HOST_LID, 4, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->vl[0], 6);
	data(test, 3, HOST_LID, 4, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->vl[0], 4);

	w->ports[2].op_vls = 3;	/* VL0-3 */
	data(test, 1, HOST_LID, 3, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
	data(test, 1, HOST_LID, 4, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	w->ports[2].op_vls = 4;
	w->ports[2].sl2vl[1][0] = 15;
	data(test, 1, HOST_LID, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 1, QPEMU_PORT_RCV_SWITCH_RELAY), 2);
}

static void mtu(struct kunit *test)
{
	struct world *w = test->priv;
	struct sk_buff *skb;

	w->ports[2].mtu = IB_MTU_512;
	data(test, 1, HOST_LID, 0, 0xffff, 512 + 28);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
	data(test, 1, HOST_LID, 0, 0xffff, 1024);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_XMIT_DISCARDS), 1);

	/* Of one that is several in one, each counts. */
	skb = packet(test, HOST_LID, 0, 0xffff, 4096);
	skb_shinfo(skb)->gso_type = QPEMU_SUPER;
	skb_shinfo(skb)->gso_size = 512;
	skb_shinfo(skb)->gso_segs = 8;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
	skb = packet(test, HOST_LID, 0, 0xffff, 4096);
	skb_shinfo(skb)->gso_type = QPEMU_SUPER;
	skb_shinfo(skb)->gso_size = 1024;
	skb_shinfo(skb)->gso_segs = 4;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
}

static void partitions(struct kunit *test)
{
	struct world *w = test->priv;

	/* Nobody looks unless told to. */
	data(test, 1, HOST_LID, 0, 0x8001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);

	w->ports[1].info.operationalvl_pei_peo_fpi_fpo = QPEMU_ENFORCE_IN;
	data(test, 1, HOST_LID, 0, 0x8001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 1, QPEMU_PORT_RCV_CONSTRAINT), 1);
	KUNIT_EXPECT_EQ(test, w->ports[1].pkey_violations, 1);
	w->ports[1].pkeys[1] = 0x0001;
	data(test, 1, HOST_LID, 0, 0x8001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
	/* A limited member sends, perhaps to a full one */
	data(test, 1, HOST_LID, 0, 0x0001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);

	w->ports[2].info.operationalvl_pei_peo_fpi_fpo = QPEMU_ENFORCE_OUT;
	data(test, 1, HOST_LID, 0, 0x8001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_XMIT_CONSTRAINT), 1);
	data(test, 1, HOST_LID, 0, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);

	/* From one limited member to another */
	w->ports[2].pkeys[1] = 0x0001;
	data(test, 1, HOST_LID, 0, 0x0001, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_XMIT_CONSTRAINT), 2);
}

static void multicast(struct kunit *test)
{
	struct world *w = test->priv;

	w->ports[3].sl2vl[1][2] = 5;
	data(test, 1, GROUP, 2, 0xffff, 100);
	KUNIT_ASSERT_EQ(test, w->num_sent, 2);
	KUNIT_EXPECT_EQ(test, w->to[0], 2);
	KUNIT_EXPECT_EQ(test, w->vl[0], 2);
	KUNIT_EXPECT_EQ(test, w->to[1], 3);
	KUNIT_EXPECT_EQ(test, w->vl[1], 5);
	KUNIT_EXPECT_EQ(test, w->len[1], 124);

	data(test, 4, GROUP, 2, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 3);
	data(test, 1, GROUP + 1, 2, 0xffff, 100);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 1, QPEMU_PORT_RCV_SWITCH_RELAY), 1);
}

static struct ib_smp *new_smp(struct kunit *test, u8 class, __be16 attr)
{
	struct ib_smp *smp = kunit_kzalloc(test, sizeof(*smp), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, smp);
	ib_init_query_mad(smp);
	smp->mgmt_class = class;
	smp->attr_id = attr;
	smp->dr_slid = IB_LID_PERMISSIVE;
	smp->dr_dlid = IB_LID_PERMISSIVE;
	return smp;
}

static struct sk_buff *mad(struct kunit *test, const void *mad, u16 slid, u16 dlid,
			   u32 qpn)
{
	struct sk_buff *skb = qpemu_mad_packet(mad, slid, dlid, 0, qpn, qpn, 0xffff);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	return skb;
}

/* It needs no port to be active. */
static void directed(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_smp *smp = new_smp(test, IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE,
				     IB_SMP_ATTR_NODE_INFO);
	const struct ib_node_info *ni = (const void *)w->smp.data;

	w->ports[1].state = IB_PORT_INIT;
	w->ports[2].state = IB_PORT_INIT;
	smp->hop_cnt = 1;
	smp->hop_ptr = 1;
	smp->initial_path[1] = 1;
	receive(test, 2, mad(test, smp, PERMISSIVE, PERMISSIVE, QPEMU_QP0));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 2);
	KUNIT_EXPECT_EQ(test, w->vl[0], QPEMU_VL_MANAGEMENT);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.dlid), PERMISSIVE);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.slid), PERMISSIVE);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET_RESP);
	KUNIT_EXPECT_EQ(test, w->smp.status, IB_SMP_DIRECTION);
	KUNIT_EXPECT_EQ(test, w->smp.hop_ptr, 1);
	KUNIT_EXPECT_EQ(test, w->smp.return_path[1], 2);
	KUNIT_EXPECT_EQ(test, ni->local_port_num, 2);
	KUNIT_EXPECT_EQ(test, ni->node_guid, GUID);

	/* One hop more: it goes on. */
	smp->hop_cnt = 2;
	smp->initial_path[2] = 1;
	receive(test, 2, mad(test, smp, PERMISSIVE, PERMISSIVE, QPEMU_QP0));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 1);
	KUNIT_EXPECT_EQ(test, w->smp.hop_ptr, 2);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET);

	/* The rest of the way by LID, from the switch */
	smp->hop_cnt = 1;
	smp->dr_dlid = cpu_to_be16(FAR_LID);
	receive(test, 2, mad(test, smp, PERMISSIVE, PERMISSIVE, QPEMU_QP0));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 3);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.dlid), FAR_LID);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.slid), OWN_LID);

	/* A subnet manager is not here. */
	smp->status = IB_SMP_DIRECTION;
	smp->hop_ptr = 0;
	receive(test, 2, mad(test, smp, PERMISSIVE, PERMISSIVE, QPEMU_QP0));
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, counted(w, 2, QPEMU_PORT_VL15_DROPPED), 1);
}

static void lid_routed(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_smp *smp = new_smp(test, IB_MGMT_CLASS_SUBN_LID_ROUTED,
				     IB_SMP_ATTR_PORT_INFO);

	receive(test, 1, mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 2);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.dlid), HOST_LID);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->lrh.slid), OWN_LID);
	KUNIT_EXPECT_EQ(test, w->smp.status, 0);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET_RESP);

	/* For another: past the agent, and whatever the state of the port */
	w->ports[3].state = IB_PORT_INIT;
	receive(test, 1, mad(test, smp, HOST_LID, FAR_LID, QPEMU_QP0));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 3);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET);

	/* Who says that it is the switch gets no answer. */
	receive(test, 1, mad(test, smp, OWN_LID, OWN_LID, QPEMU_QP0));
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
}

static void malformed(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_smp *smp = new_smp(test, IB_MGMT_CLASS_SUBN_LID_ROUTED,
				     IB_SMP_ATTR_NODE_INFO);
	struct sk_buff *skb;
	unsigned int len;

	for (len = 24; len < 288; len += 4) {
		skb = mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0);
		KUNIT_ASSERT_EQ(test, skb->len, 288);
		skb_trim(skb, len);
		receive(test, 1, skb);
		KUNIT_ASSERT_EQ(test, w->num_sent, 0);
	}
	KUNIT_EXPECT_EQ(test, counted(w, 1, QPEMU_PORT_VL15_DROPPED), 66);

	/* A GRH that is not there, another operation, wrong CRC, queue pair, lane */
	skb = mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0);
	skb->data[1] |= QPEMU_LNH_GRH;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	skb = mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0);
	skb->data[8] ^= 1;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	skb = mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0);
	skb->data[100] ^= 1;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	receive(test, 1, mad(test, smp, HOST_LID, OWN_LID, 2));
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	skb = mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0);
	skb->data[0] = 0;
	receive(test, 1, skb);
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	receive(test, 1, mad(test, smp, HOST_LID, OWN_LID, QPEMU_QP0));
	KUNIT_EXPECT_EQ(test, w->num_sent, 1);
}

static void general(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_smp *gmp = new_smp(test, IB_MGMT_CLASS_PERF_MGMT,
				     IB_PMA_CLASS_PORT_INFO);

	receive(test, 1, mad(test, gmp, HOST_LID, OWN_LID, QPEMU_QP1));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, w->to[0], 2);
	KUNIT_EXPECT_EQ(test, w->vl[0], 0);
	KUNIT_EXPECT_EQ(test, w->smp.method, IB_MGMT_METHOD_GET_RESP);
	KUNIT_EXPECT_EQ(test, w->smp.status, 0);

	/* Who asks for what there is not is told so; an answer has none. */
	gmp->mgmt_class = IB_MGMT_CLASS_DEVICE_MGMT;
	receive(test, 1, mad(test, gmp, HOST_LID, OWN_LID, QPEMU_QP1));
	KUNIT_ASSERT_EQ(test, w->num_sent, 1);
	KUNIT_EXPECT_EQ(test, be16_to_cpu(w->smp.status),
			IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB);
	gmp->method = IB_MGMT_METHOD_GET_RESP;
	receive(test, 1, mad(test, gmp, HOST_LID, OWN_LID, QPEMU_QP1));
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);

	/* Not in the partition */
	gmp->method = IB_MGMT_METHOD_GET;
	w->ports[0].pkeys[0] = 0x8001;
	receive(test, 1, mad(test, gmp, HOST_LID, OWN_LID, QPEMU_QP1));
	KUNIT_EXPECT_EQ(test, w->num_sent, 0);
	KUNIT_EXPECT_EQ(test, w->ports[0].pkey_violations, 1);
	KUNIT_EXPECT_EQ(test, w->ports[0].qkey_violations, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(dr_there_and_back),
	KUNIT_CASE(dr_between_lids),
	KUNIT_CASE(dr_malformed),
	KUNIT_CASE(dr_ends),
	KUNIT_CASE(tables),
	KUNIT_CASE(unicast),
	KUNIT_CASE(port_states),
	KUNIT_CASE(vls),
	KUNIT_CASE(mtu),
	KUNIT_CASE(partitions),
	KUNIT_CASE(multicast),
	KUNIT_CASE(directed),
	KUNIT_CASE(lid_routed),
	KUNIT_CASE(malformed),
	KUNIT_CASE(general),
	{}
};

static struct kunit_suite suite = {
	.name = "qpemu_relay",
	.init = make_world,
	.exit = end_world,
	.test_cases = cases,
};

kunit_test_suite(suite);
