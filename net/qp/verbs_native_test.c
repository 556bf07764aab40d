// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of ports with GIDs of their own, with a device that says it is one of
 * Omni-Path: its LIDs are longer than InfiniBand's.
 */
#include <kunit/test.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_sa.h>
#include <rdma/opa_addr.h>

#include "verbs.h"

#define PORT		1
#define PREFIX		0xfec0000000000077ULL
#define OWN_GUID	0x00117501ff0a0b0cULL	/* one of a vendor's */
#define PEER_GUID	0x00117501ff0a0b0dULL
#define OWN_LID		0x00012345
#define PEER_LID	0x00abcdef
#define PKEY		0x8123
#define QPN		0x1234
#define QKEY		0x5678

/**
 * struct fake - a device that knows what subnet management would have told it
 * @ibdev: the device
 * @attr: of the address handle that it made last
 * @handles: those that it has
 */
struct fake {
	struct ib_device ibdev;
	struct rdma_ah_attr attr;
	int handles;
};

/**
 * struct world - what a test has
 * @fake: the device, registered
 * @dev: the same, as the engine knows it
 * @pd: its protection domain
 * @dom: a memory table on it
 * @ibqp: its queue pair
 * @id: an id that is bound to its GID
 * @qp: a queue pair for datagrams
 * @v: the engine's part of it
 * @ud: what it has for datagrams
 */
struct world {
	struct fake *fake;
	struct verbs_dev dev;
	struct ib_pd pd;
	struct verbs_dom dom;
	struct ib_qp ibqp;
	struct rdma_cm_id id;
	struct qp_sock qp;
	struct verbs_qp v;
	struct verbs_ud ud;
};

static struct fake *fake_of(struct ib_device *ibdev)
{
	return container_of(ibdev, struct fake, ibdev);
}

/*
 * The device
 */

static int query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
			struct ib_udata *udata)
{
	return 0;
}

static int query_port(struct ib_device *ibdev, u32 port, struct ib_port_attr *attr)
{
	attr->state = IB_PORT_ACTIVE;
	attr->gid_tbl_len = 2;
	attr->pkey_tbl_len = 2;
	attr->lid = OWN_LID;
	attr->active_mtu = IB_MTU_4096;
	return 0;
}

static int get_port_immutable(struct ib_device *ibdev, u32 port,
			      struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_PORT_INTEL_OPA | RDMA_CORE_CAP_OPA_AH;
	immutable->gid_tbl_len = 2;
	immutable->pkey_tbl_len = 2;
	immutable->max_mad_size = OPA_MGMT_MAD_SIZE;
	return 0;
}

/* The second one names the LID, as with hfi1 */
static int query_gid(struct ib_device *ibdev, u32 port, int index, union ib_gid *gid)
{
	gid->global.subnet_prefix = cpu_to_be64(PREFIX);
	gid->global.interface_id = index == OPA_GID_INDEX ? OPA_MAKE_ID(OWN_LID) :
							    cpu_to_be64(OWN_GUID);
	return 0;
}

static int query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey)
{
	*pkey = index ? PKEY : VERBS_PKEY & VERBS_PKEY_PARTITION;
	return 0;
}

static int create_ah(struct ib_ah *ah, struct rdma_ah_init_attr *init,
		     struct ib_udata *udata)
{
	struct fake *fake = fake_of(ah->device);

	fake->attr = *init->ah_attr;
	fake->handles++;
	return 0;
}

static int destroy_ah(struct ib_ah *ah, u32 flags)
{
	fake_of(ah->device)->handles--;
	return 0;
}

static enum rdma_link_layer get_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_INFINIBAND;
}

struct fake_ah {
	struct ib_ah ibah;
};

/* It is no device for users in the kernel: nobody but the tests takes notice of it */
static const struct ib_device_ops fake_ops = {
	.owner			= THIS_MODULE,
	.create_ah		= create_ah,
	.destroy_ah		= destroy_ah,
	.get_link_layer		= get_link_layer,
	.get_port_immutable	= get_port_immutable,
	.query_device		= query_device,
	.query_gid		= query_gid,
	.query_pkey		= query_pkey,
	.query_port		= query_port,

	INIT_RDMA_OBJ_SIZE(ib_ah, fake_ah, ibah),
};

static void unregister_fake(void *fake)
{
	ib_unregister_device(&((struct fake *)fake)->ibdev);
	ib_dealloc_device(&((struct fake *)fake)->ibdev);
}

static struct fake *register_fake(struct kunit *test)
{
	struct fake *fake = ib_alloc_device(fake, ibdev);
	int err;

	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->ibdev.node_type = RDMA_NODE_IB_CA;
	fake->ibdev.phys_port_cnt = 1;
	ib_set_device_ops(&fake->ibdev, &fake_ops);
	err = ib_register_device(&fake->ibdev, "qp_fake%d", NULL);
	if (err)
		ib_dealloc_device(&fake->ibdev);
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unregister_fake, fake), 0);
	return fake;
}

static void unlist(void *dev)
{
	verbs_dev_list(dev, false);
}

static void put_sgid(void *id)
{
	rdma_put_gid_attr(((struct rdma_cm_id *)id)->route.addr.dev_addr.sgid_attr);
}

static struct sockaddr_ib address(u64 guid, u16 pkey)
{
	return (struct sockaddr_ib){
		.sib_family = AF_IB,
		.sib_pkey = htons(pkey),
		.sib_addr.sib_subnet_prefix = cpu_to_be64(PREFIX),
		.sib_addr.sib_interface_id = cpu_to_be64(guid),
		.sib_sid = cpu_to_be64(RDMA_IB_IP_PS_UDP | 77),
		.sib_sid_mask = cpu_to_be64(U64_MAX),
	};
}

/* A queue pair as it is when it is bound to the first GID */
static void make_qp(struct kunit *test, struct world *w)
{
	struct sockaddr_ib own = address(OWN_GUID, VERBS_PKEY);
	const struct ib_gid_attr *sgid;
	struct verbs_qp *v = &w->v;

	sgid = rdma_get_gid_attr(&w->fake->ibdev, PORT, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sgid));
	w->id.device = &w->fake->ibdev;
	w->id.port_num = PORT;
	w->id.route.addr.dev_addr.sgid_attr = sgid;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_sgid, &w->id), 0);

	w->dev.ibdev = &w->fake->ibdev;
	w->pd.device = &w->fake->ibdev;
	w->dom.pd = &w->pd;
	w->ibqp.device = &w->fake->ibdev;
	w->qp.priv = v;
	w->qp.domain = AF_IB;
	w->qp.type = QP_UD;
	w->qp.proto = verbs_opa.proto;
	v->qp = &w->qp;
	v->dev = &w->dev;
	v->dom = &w->dom;
	v->id = &w->id;
	v->ibqp = &w->ibqp;
	v->ud = &w->ud;
	memcpy(&v->local, &own, sizeof(own));
	mutex_init(&v->teardown);
	w->ud.v = v;
	w->ud.gid = sgid->gid;
	w->ud.native = true;
	spin_lock_init(&w->ud.lock);
	INIT_LIST_HEAD(&w->ud.ahs);
	INIT_LIST_HEAD(&w->ud.dead);
	qp_set_state(&w->qp, QP_STATE_RTS);
}

static int make_world(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->fake = register_fake(test);
	make_qp(test, w);
	verbs_dev_list(&w->dev, true);
	return kunit_add_action_or_reset(test, unlist, &w->dev);
}

/*
 * What it is taken for
 */

/* By what the port says of itself, whatever else it has in common with others */
static void recognised(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_device *ibdev = &w->fake->ibdev;
	u32 *flags = &ibdev->port_data[PORT].immutable.core_cap_flags, was = *flags;

	KUNIT_EXPECT_PTR_EQ(test, verbs_transport_of(ibdev, PORT), &verbs_opa);
	KUNIT_EXPECT_TRUE(test, verbs_is_native(ibdev, PORT));
	*flags = RDMA_CORE_PORT_IBA_IB;
	KUNIT_EXPECT_PTR_EQ(test, verbs_transport_of(ibdev, PORT), &verbs_ib);
	KUNIT_EXPECT_TRUE(test, verbs_is_native(ibdev, PORT));
	*flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
	KUNIT_EXPECT_PTR_EQ(test, verbs_transport_of(ibdev, PORT), &verbs_roce);
	KUNIT_EXPECT_FALSE(test, verbs_is_native(ibdev, PORT));
	*flags = RDMA_CORE_PORT_IWARP;
	KUNIT_EXPECT_PTR_EQ(test, verbs_transport_of(ibdev, PORT), &verbs_iwarp);
	KUNIT_EXPECT_FALSE(test, verbs_is_native(ibdev, PORT));
	*flags = was;
}

/* GIDs that name LIDs, of both forms, and those that do not */
static void lid_gids(struct kunit *test)
{
	static const u32 lids[] = { 1, 0xbfff, 0xc000, 0xffff, 0x10000, PEER_LID };
	union ib_gid gid = { .global.subnet_prefix = cpu_to_be64(PREFIX) };
	int i;

	for (i = 0; i < ARRAY_SIZE(lids); i++) {
		gid.global.interface_id = verbs_opa.lid_gid(lids[i]);
		KUNIT_EXPECT_TRUE(test, ib_is_opa_gid(&gid));
		KUNIT_EXPECT_EQ(test, opa_get_lid_from_gid(&gid), lids[i]);
		KUNIT_EXPECT_EQ(test, verbs_opa.gid_lid(&gid), lids[i]);
		KUNIT_EXPECT_EQ(test, verbs_ib.gid_lid(&gid), 0);
		gid.global.interface_id = verbs_ib.lid_gid(lids[i]);
		KUNIT_EXPECT_EQ(test, be64_to_cpu(gid.global.interface_id),
				IB_GUID_LID | lids[i]);
		KUNIT_EXPECT_EQ(test, verbs_ib.gid_lid(&gid), lids[i]);
		KUNIT_EXPECT_EQ(test, verbs_opa.gid_lid(&gid), 0);
	}
	gid.global.interface_id = cpu_to_be64(PEER_GUID);
	KUNIT_EXPECT_EQ(test, verbs_opa.gid_lid(&gid), 0);
	KUNIT_EXPECT_EQ(test, verbs_ib.gid_lid(&gid), 0);
}

/*
 * Addresses
 */

/* Own addresses, of either GID, and in the partitions that there are */
static void own_addresses(struct kunit *test)
{
	static const struct {
		u64 guid;
		u16 pkey;
		int err;
	} cases[] = {
		{ OWN_GUID, 0, 0 },
		{ OWN_GUID, VERBS_PKEY, 0 },
		{ OWN_GUID, PKEY, 0 },
		{ OWN_GUID, PKEY & VERBS_PKEY_PARTITION, 0 },
		{ OWN_GUID, PKEY + 1, -EADDRNOTAVAIL },
		{ OWN_GUID, 0x8000, -EADDRNOTAVAIL },
		{ OPA_SPECIAL_OUI << 40 | OWN_LID, 0, 0 },
	};
	struct verbs_side side = { .net = &init_net, .type = QP_UD, .own = true };
	struct sockaddr_storage to;
	struct sockaddr_ib ib;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ib = address(cases[i].guid, cases[i].pkey);
		KUNIT_EXPECT_EQ(test, verbs_addr_take(&side, (void *)&ib, sizeof(ib), &to),
				cases[i].err);
		if (cases[i].err)
			continue;
		KUNIT_EXPECT_EQ(test, to.ss_family, AF_IB);
		KUNIT_EXPECT_EQ(test, verbs_addr_pkey(&to), cases[i].pkey ?: VERBS_PKEY);
		KUNIT_EXPECT_EQ(test, ntohs(verbs_addr_port(&to)), 77);
		KUNIT_EXPECT_MEMEQ(test, &((struct sockaddr_ib *)&to)->sib_addr,
				   &ib.sib_addr, sizeof(ib.sib_addr));
	}
	/* What is no port's is an address of IP, if of anything */
	ib = address(PEER_GUID, 0);
	KUNIT_EXPECT_EQ(test, verbs_addr_take(&side, (void *)&ib, sizeof(ib), &to), 0);
	KUNIT_EXPECT_EQ(test, to.ss_family, AF_INET6);
	side.proto = QP_PROTO_OPA;
	KUNIT_EXPECT_EQ(test, verbs_addr_take(&side, (void *)&ib, sizeof(ib), &to),
			-EADDRNOTAVAIL);

	KUNIT_EXPECT_TRUE(test, verbs_native_pkey(&init_net, PKEY));
	KUNIT_EXPECT_FALSE(test, verbs_native_pkey(&init_net, PKEY + 1));
	KUNIT_EXPECT_FALSE(test, verbs_native_pkey(&init_net, 0x8000));
}

/* From where a peer is reached: on the subnet, by its LID, or in no partition */
static void routes(struct kunit *test)
{
	struct verbs_side side = { .net = &init_net, .type = QP_UD };
	struct sockaddr_ib peers[] = {
		address(PEER_GUID, 0),
		address(PEER_GUID, PKEY),
		address(OPA_SPECIAL_OUI << 40 | PEER_LID, 0),
	};
	struct sockaddr_storage to, src;
	struct sockaddr_ib *own = (void *)&src, far = address(PEER_GUID, PKEY + 1);
	int i;

	for (i = 0; i < ARRAY_SIZE(peers); i++) {
		KUNIT_EXPECT_EQ(test, verbs_native_leads(&init_net, 0, &peers[i]), 1);
		KUNIT_ASSERT_EQ(test, verbs_addr_take(&side, (void *)&peers[i],
						      sizeof(peers[i]), &to), 0);
		KUNIT_ASSERT_EQ(test, to.ss_family, AF_IB);
		KUNIT_ASSERT_EQ(test, verbs_route(&init_net, 0, &to, &src), 0);
		KUNIT_EXPECT_EQ(test, be64_to_cpu(own->sib_addr.sib_interface_id),
				OWN_GUID);
		KUNIT_EXPECT_EQ(test, verbs_addr_port(&src), 0);
		KUNIT_EXPECT_EQ(test, own->sib_pkey, peers[i].sib_pkey);
	}
	KUNIT_EXPECT_EQ(test, verbs_native_leads(&init_net, 0, &far), -ENETUNREACH);
	far = peers[0];
	far.sib_addr.sib_subnet_prefix = cpu_to_be64(PREFIX + 1);
	KUNIT_EXPECT_EQ(test, verbs_native_leads(&init_net, 0, &far), 0);
	/* No netdevice has that number, so none is the port's */
	KUNIT_EXPECT_EQ(test, verbs_native_leads(&init_net, INT_MAX, &peers[0]),
			-ENETUNREACH);
}

/*
 * Paths
 */

static struct sa_path_rec path_to(u32 lid, u8 hop_limit)
{
	struct sa_path_rec rec = {
		.rec_type = SA_PATH_REC_TYPE_OPA,
		.sgid.global.subnet_prefix = cpu_to_be64(PREFIX),
		.sgid.global.interface_id = cpu_to_be64(OWN_GUID),
		.dgid.global.subnet_prefix = cpu_to_be64(PREFIX),
		.dgid.global.interface_id = cpu_to_be64(PEER_GUID),
		.hop_limit = hop_limit,
		.traffic_class = 0x48,
		.mtu = IB_MTU_4096,
		.sl = 3,
	};

	sa_path_set_slid(&rec, OWN_LID);
	sa_path_set_dlid(&rec, lid);
	return rec;
}

/* A path of Omni-Path makes a handle of Omni-Path, with a GRH where it says so */
static void handles(struct kunit *test)
{
	struct world *w = test->priv;
	struct fake *fake = w->fake;
	struct rdma_ah_attr attr;
	struct sa_path_rec rec;
	struct verbs_ah *ah;
	int hops, err;

	for (hops = 0; hops < 2; hops++) {
		rec = path_to(PEER_LID, hops);
		err = ib_init_ah_attr_from_path(&fake->ibdev, PORT, &rec, &attr,
						w->id.route.addr.dev_addr.sgid_attr);
		KUNIT_ASSERT_EQ(test, err, 0);
		ah = verbs_ah_make(&w->ud, &attr, QPN, QKEY);
		KUNIT_ASSERT_FALSE(test, IS_ERR(ah));
		KUNIT_EXPECT_EQ(test, fake->handles, 1);
		KUNIT_EXPECT_EQ(test, (int)fake->attr.type, (int)RDMA_AH_ATTR_TYPE_OPA);
		KUNIT_EXPECT_EQ(test, rdma_ah_get_dlid(&fake->attr), PEER_LID);
		KUNIT_EXPECT_EQ(test, rdma_ah_get_sl(&fake->attr), 3);
		KUNIT_EXPECT_EQ(test, !!(rdma_ah_get_ah_flags(&fake->attr) & IB_AH_GRH),
				hops);
		KUNIT_EXPECT_EQ(test, ah->dlid, PEER_LID);
		KUNIT_EXPECT_EQ(test, ah->tclass, hops ? 0x48 : 0);
		mutex_lock(&w->v.teardown);
		verbs_ah_detach(&w->ud);
		mutex_unlock(&w->v.teardown);
		KUNIT_EXPECT_EQ(test, fake->handles, 0);
		rdma_destroy_ah_attr(&attr);
		verbs_ah_put(ah);
	}
}

/* What others are told of it has LIDs of their full length */
static void told(struct kunit *test)
{
	struct world *w = test->priv;
	struct sa_path_rec rec = path_to(PEER_LID, 0);
	struct qp_backend info = {};

	w->v.ud = NULL;
	w->qp.type = QP_RC;
	w->id.route.path_rec = &rec;
	timer_setup(&w->v.timer, NULL, 0);
	verbs_info(&w->qp, NULL, &info);
	KUNIT_EXPECT_STREQ(test, info.path.device, dev_name(&w->fake->ibdev.dev));
	KUNIT_EXPECT_EQ(test, info.path.slid, OWN_LID);
	KUNIT_EXPECT_EQ(test, info.path.dlid, PEER_LID);
	KUNIT_EXPECT_EQ(test, info.path.mtu, 4096);
	KUNIT_EXPECT_TRUE(test, info.path.flags & IB_DIAG_PATH_LID);
	timer_shutdown_sync(&w->v.timer);
}

/*
 * Receiving
 */

/* Without a GRH a LID is all that is known, and that is an address */
static void without_grh(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_wc wc = { .slid = PEER_LID, .src_qp = QPN };
	union rdma_network_hdr hdr;
	struct sk_buff *skb;
	struct qp_rmsg *m;

	skb = alloc_skb(0, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	m = QP_RMSG(skb);
	memset(m, 0, sizeof(*m));
	/* Whatever was there before */
	memset(&hdr, 0x66, sizeof(hdr));
	verbs_ud_complete(&w->ud, &hdr, &wc);
	verbs_ud_info(&w->ud, &hdr, skb);
	KUNIT_EXPECT_EQ(test, (u32)m->flags, (u32)(QP_CQE_SRC | QP_RMSG_LID));
	KUNIT_EXPECT_EQ(test, qp_rmsg_lid(m), PEER_LID);
	KUNIT_EXPECT_TRUE(test, ib_is_opa_gid((union ib_gid *)m->sgid));
	KUNIT_EXPECT_MEMEQ(test, m->dgid, w->ud.gid.raw, sizeof(m->dgid));
	KUNIT_EXPECT_EQ(test, m->pkey, VERBS_PKEY);
	KUNIT_EXPECT_EQ(test, m->tclass, 0);
	kfree_skb(skb);
}

/* With one it is who it says, and how it travelled */
static void with_grh(struct kunit *test)
{
	struct world *w = test->priv;
	struct ib_wc wc = { .slid = PEER_LID, .src_qp = QPN, .wc_flags = IB_WC_GRH };
	union rdma_network_hdr hdr = {
		.ibgrh = {
			.version_tclass_flow = cpu_to_be32(6 << 28 | 0x48 << 20 | 0x777),
			.hop_limit = 9,
			.sgid.global.subnet_prefix = cpu_to_be64(PREFIX),
			.sgid.global.interface_id = cpu_to_be64(PEER_GUID),
			.dgid = w->ud.gid,
		},
	};
	struct sk_buff *skb;
	struct qp_rmsg *m;

	skb = alloc_skb(0, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	m = QP_RMSG(skb);
	memset(m, 0, sizeof(*m));
	verbs_ud_complete(&w->ud, &hdr, &wc);
	verbs_ud_info(&w->ud, &hdr, skb);
	KUNIT_EXPECT_EQ(test, (u32)m->flags, (u32)QP_CQE_SRC);
	KUNIT_EXPECT_MEMEQ(test, m->sgid, hdr.ibgrh.sgid.raw, sizeof(m->sgid));
	KUNIT_EXPECT_EQ(test, m->tclass, 0x48);
	KUNIT_EXPECT_EQ(test, m->hop_limit, 9);
	kfree_skb(skb);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(recognised),
	KUNIT_CASE(lid_gids),
	KUNIT_CASE(own_addresses),
	KUNIT_CASE(routes),
	KUNIT_CASE(handles),
	KUNIT_CASE(told),
	KUNIT_CASE(without_grh),
	KUNIT_CASE(with_grh),
	{}
};

static struct kunit_suite suite = {
	.name = "qp_native",
	.init = make_world,
	.test_cases = cases,
};

kunit_test_suite(suite);
