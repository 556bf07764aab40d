// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of netdevices of InfiniBand ports */
#include <kunit/test.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/unaligned.h>

#include "netdev.h"

/*
 * Names
 */

static void names(struct kunit *test)
{
	static const struct {
		const char *device;
		u32 port;
		const char *name;
	} cases[] = {
		{ "mlx5_0", 1, "mlx5_0.1" },
		{ "mlx5_0", 2, "mlx5_0.2" },
		{ "rocep0s31f6", 1, "rocep0s31f6.1" },
		{ "thirteenchars", 1, "thirteenchars.1" },
		{ "thirteenchars", 10, NULL },
		{ "fourteenchars1", 1, NULL },
		{ "a device", 1, NULL },
		{ "a/b", 1, NULL },
		{ "a:b", 1, NULL },
	};
	char name[IFNAMSIZ];
	int i, err;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		err = ib_netdev_name(name, cases[i].device, cases[i].port);
		if (!cases[i].name) {
			KUNIT_EXPECT_EQ_MSG(test, err, -ENAMETOOLONG, "%s", cases[i].device);
			continue;
		}
		KUNIT_EXPECT_EQ(test, err, 0);
		KUNIT_EXPECT_STREQ(test, name, cases[i].name);
	}
}

/*
 * Packets
 */

#define BTH_LEN		((int)sizeof(struct roce_bth))

/* A packet with a payload of so many bytes, as it is handed over */
static struct sk_buff *packet(struct kunit *test, bool grh, unsigned int payload)
{
	unsigned int len = IB_LRH_LEN + (grh ? sizeof(struct ipv6hdr) : 0) + BTH_LEN +
			   payload + ROCE_ICRC_LEN;
	struct sk_buff *skb = alloc_skb(len + 64, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 32);
	skb_put_zero(skb, len);
	skb->data[1] = grh ? IB_LRH_LNH_GRH : IB_LRH_LNH_IBA;
	put_unaligned_be16(2, skb->data + 2);
	put_unaligned_be16(1, skb->data + 6);
	ib_set_len(skb->data, len);
	skb->protocol = grh ? htons(ETH_P_IBOE) : htons(ETH_P_IB);
	return skb;
}

static void expect(struct kunit *test, struct sk_buff *skb, bool ok, const char *what)
{
	KUNIT_EXPECT_EQ_MSG(test, ib_netdev_packet_ok(skb), ok, "%s", what);
	kfree_skb(skb);
}

static void packets_in_form(struct kunit *test)
{
	struct sk_buff *skb;
	int vl;

	expect(test, packet(test, false, 0), true, "local");
	expect(test, packet(test, true, 0), true, "global");
	expect(test, packet(test, false, 4096), true, "long");
	for (vl = 0; vl < 16; vl++) {
		skb = packet(test, false, 256);
		skb->data[0] = vl << 4;
		expect(test, skb, true, "virtual lanes");
	}
}

static void packets_out_of_form(struct kunit *test)
{
	struct sk_buff *skb;

	skb = packet(test, false, 0);
	skb->data[0] |= 1;
	expect(test, skb, false, "version");

	skb = packet(test, false, 0);
	skb->data[1] &= ~IB_LRH_LNH;
	expect(test, skb, false, "raw");

	skb = packet(test, false, 0);
	skb->data[1] |= IB_LRH_LNH_GRH;
	skb->protocol = htons(ETH_P_IBOE);
	expect(test, skb, false, "no room for a GRH");

	skb = packet(test, true, 0);
	skb->protocol = htons(ETH_P_IB);
	expect(test, skb, false, "a GRH, but another protocol");

	skb = packet(test, false, 0);
	skb->protocol = htons(ETH_P_IPV6);
	expect(test, skb, false, "another protocol");

	skb = packet(test, false, 64);
	ib_set_len(skb->data, skb->len + 4);
	expect(test, skb, false, "shorter than it says");

	skb = packet(test, false, 64);
	ib_set_len(skb->data, skb->len - 4);
	expect(test, skb, false, "longer than it says");

	skb = packet(test, false, 64);
	skb_put(skb, 1);
	expect(test, skb, false, "not whole words");

	skb = packet(test, false, 0);
	ib_set_len(skb->data, 0);
	expect(test, skb, false, "no length");

	skb = packet(test, false, 0);
	skb_trim(skb, IB_LRH_LEN + BTH_LEN);
	ib_set_len(skb->data, skb->len);
	expect(test, skb, false, "no CRC");

	skb = packet(test, false, 0);
	skb_trim(skb, IB_LRH_LEN - 1);
	expect(test, skb, false, "no LRH");

	skb = packet(test, false, 64);
	skb->ip_summed = CHECKSUM_PARTIAL;
	expect(test, skb, false, "a checksum");
}

static void super_packets(struct kunit *test)
{
	static const struct {
		unsigned int type;
		bool ok;
	} cases[] = {
		{ SKB_GSO_ROCE, true },
		{ SKB_GSO_ROCE | SKB_GSO_UDP_L4, true },
		{ SKB_GSO_UDP_L4, false },
		{ SKB_GSO_TCPV4, false },
		{ SKB_GSO_ROCE | SKB_GSO_DODGY, false },
	};
	struct sk_buff *skb;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skb = packet(test, false, 8192);
		skb_shinfo(skb)->gso_size = 1024;
		skb_shinfo(skb)->gso_type = cases[i].type;
		ib_set_len(skb->data, 0);
		expect(test, skb, cases[i].ok, "type");
	}
	skb = packet(test, false, 8192);
	skb_shinfo(skb)->gso_size = 1024;
	skb_shinfo(skb)->gso_type = SKB_GSO_ROCE;
	expect(test, skb, false, "one with a length");
}

/*
 * Counters
 */

static void counters(struct kunit *test)
{
	struct ib_pma_portcounters_ext *ext;
	struct rtnl_link_stats64 stats = {};
	struct ib_pma_portcounters *base;
	struct ib_netdev_counters *c;
	struct ib_pma_mad *mad;

	c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	mad = kunit_kzalloc(test, sizeof(*mad), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_ASSERT_NOT_NULL(test, mad);
	base = (void *)mad->data;
	base->symbol_error_counter = cpu_to_be16(0xffff);
	base->link_downed_counter = 7;
	base->link_overrun_errors = 0x52;
	base->port_rcv_constraint_errors = 3;
	base->vl15_dropped = cpu_to_be16(4);
	base->port_xmit_data = cpu_to_be32(U32_MAX);
	base->port_rcv_packets = cpu_to_be32(11);
	ib_netdev_counters_parse(c, IB_PMA_PORT_COUNTERS, mad);
	KUNIT_EXPECT_EQ(test, c->value[IB_NETDEV_COUNTER(SYMBOL_ERROR)], 0xffff);
	KUNIT_EXPECT_EQ(test, c->value[IB_NETDEV_COUNTER(LINK_DOWNED)], 7);
	KUNIT_EXPECT_EQ(test, c->value[IB_NETDEV_COUNTER(LOCAL_LINK_INTEGRITY_ERRORS)], 5);
	KUNIT_EXPECT_EQ(test, c->value[IB_NETDEV_COUNTER(EXCESSIVE_BUFFER_OVERRUNS)], 2);
	KUNIT_EXPECT_EQ(test, c->value[IB_NETDEV_COUNTER(XMIT_DATA)], U32_MAX);

	memset(mad, 0, sizeof(*mad));
	ext = (void *)mad->data;
	ext->port_xmit_data = cpu_to_be64(1ULL << 40);
	ext->port_rcv_packets = cpu_to_be64(12);
	ext->port_multicast_rcv_packets = cpu_to_be64(5);
	ib_netdev_counters_parse(c, IB_PMA_PORT_COUNTERS_EXT, mad);
	ib_netdev_counters_stats(c, &stats);
	KUNIT_EXPECT_EQ(test, stats.tx_bytes, 1ULL << 42);
	KUNIT_EXPECT_EQ(test, stats.rx_packets, 12);
	KUNIT_EXPECT_EQ(test, stats.multicast, 5);
	KUNIT_EXPECT_EQ(test, stats.rx_dropped, 7);
	KUNIT_EXPECT_EQ(test, stats.tx_carrier_errors, 7);
}

static void counter_names(struct kunit *test)
{
	int i;

	for (i = 0; i < IB_NETDEV_NUM_COUNTERS; i++)
		KUNIT_EXPECT_NE_MSG(test, ib_netdev_counter_names[i][0], 0, "%d", i);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(names),
	KUNIT_CASE(packets_in_form),
	KUNIT_CASE(packets_out_of_form),
	KUNIT_CASE(super_packets),
	KUNIT_CASE(counters),
	KUNIT_CASE(counter_names),
	{}
};

static struct kunit_suite suite = {
	.name = "ib_netdev",
	.test_cases = cases,
};

kunit_test_suite(suite);
