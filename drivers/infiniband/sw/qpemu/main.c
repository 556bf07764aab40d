// SPDX-License-Identifier: GPL-2.0
/*
 * qpemu: a software RDMA device on any netdevice
 *
 *	rdma link add NAME type qpemu netdev DEV
 *
 * This file makes RoCE devices and lets go of them; ca.c does the same for those
 * with InfiniBand's own link layer. Verbs are in verbs.h, each in the file named
 * there.
 */

#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/once.h>
#include <linux/rtnetlink.h>
#include <linux/siphash.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <rdma/rdma_netlink.h>

#include "ca.h"
#include "link.h"
#include "netdev.h"
#include "odp.h"
#include "switch.h"
#include "verbs.h"

#define UVERBS_ABI_VERSION	2	/* rxe's */

void qpemu_dev_cleanup(struct qpemu_dev *dev)
{
	qpemu_mcast_cleanup(dev);
	WARN_ON(!xa_empty(&dev->qps));
	WARN_ON(!xa_empty(&dev->keys));
	WARN_ON(!xa_empty(&dev->ahs));
	free_percpu(dev->stats);
}

static void dealloc_driver(struct ib_device *ibdev)
{
	/* Packets that found it by address, before that was deleted. */
	synchronize_rcu();
	qpemu_dev_cleanup(to_qdev(ibdev));
}

const struct ib_device_ops qpemu_device_ops = {
	.owner = THIS_MODULE,
	.driver_id = QPEMU_DRIVER_ID,
	.uverbs_driver_id = RDMA_DRIVER_RXE,
	.uverbs_abi_ver = UVERBS_ABI_VERSION,

	.add_gid = qpemu_add_gid,
	.alloc_hw_port_stats = qpemu_alloc_hw_port_stats,
	.alloc_mr = qpemu_alloc_mr,
	.alloc_mw = qpemu_alloc_mw,
	.alloc_pd = qpemu_alloc_pd,
	.alloc_ucontext = qpemu_alloc_ucontext,
	.attach_mcast = qpemu_attach_mcast,
	.create_ah = qpemu_create_ah,
	.create_cq = qpemu_create_cq,
	.create_qp = qpemu_create_qp,
	.create_srq = qpemu_create_srq,
	.create_user_ah = qpemu_create_ah,
	.dealloc_driver = dealloc_driver,
	.dealloc_mw = qpemu_dealloc_mw,
	.dealloc_pd = qpemu_dealloc_pd,
	.dealloc_ucontext = qpemu_dealloc_ucontext,
	.del_gid = qpemu_del_gid,
	.dereg_mr = qpemu_dereg_mr,
	.destroy_ah = qpemu_destroy_ah,
	.destroy_cq = qpemu_destroy_cq,
	.destroy_qp = qpemu_destroy_qp,
	.destroy_srq = qpemu_destroy_srq,
	.detach_mcast = qpemu_detach_mcast,
	.disassociate_ucontext = qpemu_disassociate_ucontext,
	.fill_res_cq_entry = qpemu_fill_res_cq_entry,
	.fill_res_mr_entry = qpemu_fill_res_mr_entry,
	.fill_res_qp_entry = qpemu_fill_res_qp_entry,
	.get_dma_mr = qpemu_get_dma_mr,
	.get_hw_stats = qpemu_get_hw_stats,
	.get_link_layer = qpemu_get_link_layer,
	.get_port_immutable = qpemu_get_port_immutable,
	.map_mr_sg = qpemu_map_mr_sg,
	.mmap = qpemu_mmap,
	.mmap_free = qpemu_mmap_free,
	.modify_ah = qpemu_modify_ah,
	.modify_device = qpemu_modify_device,
	.modify_port = qpemu_modify_port,
	.modify_qp = qpemu_modify_qp,
	.modify_srq = qpemu_modify_srq,
	.peek_cq = qpemu_peek_cq,
	.poll_cq = qpemu_poll_cq,
	.post_recv = qpemu_post_recv,
	.post_send = qpemu_post_send,
	.post_srq_recv = qpemu_post_srq_recv,
	.process_mad = qpemu_process_mad,
	.query_ah = qpemu_query_ah,
	.query_device = qpemu_query_device,
	.query_pkey = qpemu_query_pkey,
	.query_port = qpemu_query_port,
	.query_qp = qpemu_query_qp,
	.query_srq = qpemu_query_srq,
	.reg_user_mr = qpemu_reg_user_mr,
	.reg_user_mr_dmabuf = qpemu_reg_user_mr_dmabuf,
	.req_notify_cq = qpemu_req_notify_cq,
	.rereg_user_mr = qpemu_rereg_user_mr,
	.resize_user_cq = qpemu_resize_cq,

	INIT_RDMA_OBJ_SIZE(ib_ah, qpemu_ah, ibah),
	INIT_RDMA_OBJ_SIZE(ib_cq, qpemu_cq, ibcq),
	INIT_RDMA_OBJ_SIZE(ib_mw, qpemu_mw, ibmw),
	INIT_RDMA_OBJ_SIZE(ib_pd, qpemu_pd, ibpd),
	INIT_RDMA_OBJ_SIZE(ib_qp, qpemu_qp, ibqp),
	INIT_RDMA_OBJ_SIZE(ib_srq, qpemu_srq, ibsrq),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, qpemu_ucontext, ibuc),
};

void qpemu_make_guid(struct net_device *ndev, __be64 *guid)
{
	static siphash_key_t secret;
	u8 mac[ETH_ALEN];
	u64 hash;

	if (ndev->addr_len == ETH_ALEN && is_valid_ether_addr(ndev->dev_addr)) {
		ether_addr_copy(mac, ndev->dev_addr);
	} else {
		net_get_random_once(&secret, sizeof(secret));
		hash = siphash_2u64(dev_net(ndev)->net_cookie, ndev->ifindex, &secret);
		memcpy(mac, &hash, sizeof(mac));
		mac[0] &= ~0x01;	/* unicast */
		mac[0] |= 0x02;		/* administered locally */
	}
	addrconf_addr_eui48((u8 *)guid, mac);
}

int qpemu_dev_init(struct qpemu_dev *dev, struct net_device *ndev)
{
	static struct lock_class_key ahs_key;
	struct ib_device *ibdev = &dev->ibdev;
	int i;

	xa_init_flags(&dev->qps, XA_FLAGS_ALLOC1);
	xa_init_flags(&dev->keys, XA_FLAGS_ALLOC1);
	xa_init_flags(&dev->ahs, XA_FLAGS_ALLOC1);
	/* Taken under locks of others, interrupts being off, as those before are not */
	lockdep_set_class(&dev->ahs.xa_lock, &ahs_key);
	for (i = 0; i < QPEMU_GROUP_BUCKETS; i++)
		INIT_HLIST_HEAD(&dev->groups[i]);
	mutex_init(&dev->groups_lock);
	dev->next_key = get_random_u32() >> 8;
	qpemu_netdev_init_dev(dev);
	dev->stats = alloc_percpu(struct qpemu_stats);
	if (!dev->stats)
		return -ENOMEM;

	ibdev->node_type = RDMA_NODE_IB_CA;
	ibdev->phys_port_cnt = 1;
	ibdev->local_dma_lkey = QPEMU_LOCAL_DMA_LKEY;
	ibdev->num_comp_vectors = num_possible_cpus();
	ibdev->uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_POST_SEND) |
				  BIT_ULL(IB_USER_VERBS_CMD_REQ_NOTIFY_CQ);
	strscpy(ibdev->node_desc, "qpemu", sizeof(ibdev->node_desc));
	qpemu_make_guid(ndev, &ibdev->node_guid);
	return 0;
}

static struct qpemu_dev *alloc_device(struct net_device *ndev)
{
	struct qpemu_dev *dev = ib_alloc_device_with_net(qpemu_dev, ibdev, dev_net(ndev));

	if (!dev)
		return NULL;
	if (qpemu_dev_init(dev, ndev)) {
		ib_dealloc_device(&dev->ibdev);
		return NULL;
	}
	ib_set_device_ops(&dev->ibdev, &qpemu_device_ops);
	return dev;
}

/*
 * If the netdevice went while the device was being registered, the notifier may
 * not have seen that there is one.
 */
static bool still_there(struct net_device *ndev)
{
	bool there;

	rtnl_lock();
	there = ndev->reg_state == NETREG_REGISTERED;
	rtnl_unlock();
	return there;
}

static struct rdma_link_ops link_ops;

static int make_device(const char *name, struct net_device *ndev)
{
	struct qpemu_dev *dev = alloc_device(ndev);
	struct ib_device *ibdev;
	int err;

	if (!dev)
		return -ENOMEM;
	dev->ibdev.link_ops = &link_ops;
	ib_mark_name_assigned_by_user(&dev->ibdev);
	err = ib_device_set_netdev(&dev->ibdev, ndev, 1);
	if (!err)
		err = ib_register_device(&dev->ibdev, name, NULL);
	if (err) {
		ib_dealloc_device(&dev->ibdev);
		return err;
	}
	if (still_there(ndev))
		return 0;
	/* By now @dev may be gone as well. */
	ibdev = ib_device_get_by_netdev(ndev, QPEMU_DRIVER_ID);
	if (ibdev)
		ib_unregister_device_and_put(ibdev);
	return -ENODEV;
}

static bool has_device(struct net_device *ndev)
{
	struct ib_device *ibdev = ib_device_get_by_netdev(ndev, QPEMU_DRIVER_ID);

	if (ibdev)
		ib_device_put(ibdev);
	return ibdev;
}

/* "rdma link add": one device for a netdevice. */
static int newlink(const char *name, struct net_device *ndev)
{
	static DEFINE_MUTEX(lock);	/* has_device() and make_device() */
	struct qpemu_udp_net *udp;
	int err;

	/* There is nothing but InfiniBand on a cable. */
	if (qpemu_cable_is(ndev))
		return -EBUSY;
	/* Have the port, or fail with the reason. */
	udp = qpemu_udp_get(dev_net(ndev));
	if (IS_ERR(udp))
		return PTR_ERR(udp);
	mutex_lock(&lock);
	err = has_device(ndev) ? -EEXIST : make_device(name, ndev);
	mutex_unlock(&lock);
	qpemu_udp_put(udp);
	return err;
}

/* "rdma link delete": tell the users, then ib_core takes it down. */
int qpemu_dellink(struct ib_device *ibdev)
{
	qpemu_qp_error_all(to_qdev(ibdev));
	return 0;
}

static struct rdma_link_ops link_ops = {
	.type = "qpemu",
	.newlink = newlink,
	.dellink = qpemu_dellink,
};

static int __init qpemu_init(void)
{
	int err;

	err = qpemu_odp_init();
	if (err)
		return err;
	err = qpemu_udp_init();
	if (err)
		goto odp_exit;
	err = qpemu_netdev_init();
	if (err)
		goto udp_exit;
	err = qpemu_cable_init();
	if (err)
		goto netdev_exit;
	err = qpemu_switch_init();
	if (err)
		goto cable_exit;
	qpemu_eth_init();
	rdma_link_register(&link_ops);
	qpemu_ca_init();
	return 0;

cable_exit:
	qpemu_cable_exit();
netdev_exit:
	qpemu_netdev_exit();
udp_exit:
	qpemu_udp_exit();
odp_exit:
	qpemu_odp_exit();
	return err;
}

static void __exit qpemu_exit(void)
{
	qpemu_ca_exit();
	rdma_link_unregister(&link_ops);
	qpemu_switch_exit();
	ib_unregister_driver(QPEMU_DRIVER_ID);
	qpemu_cable_exit();
	qpemu_netdev_exit();
	qpemu_eth_exit();
	qpemu_udp_exit();
	qpemu_odp_exit();
	rcu_barrier();
}

late_initcall(qpemu_init);
module_exit(qpemu_exit);

MODULE_DESCRIPTION("Software RDMA device on any netdevice");
MODULE_LICENSE("GPL");
MODULE_ALIAS_RDMA_LINK("qpemu");
MODULE_ALIAS_RDMA_LINK("qpemu_ib");
