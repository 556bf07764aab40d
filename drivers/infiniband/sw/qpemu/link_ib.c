// SPDX-License-Identifier: GPL-2.0
/*
 * InfiniBand's own link layer for the queue pairs of an adapter: local and global
 * route headers, virtual lanes, partitions. IBA v1 chapters 7 and 8.
 *
 * Packets to one of the port's own LIDs, and a copy of those to groups that
 * somebody here is in, take a short way back: a queue that a softirq empties, for
 * the sender holds locks that the receiver needs.
 */
#include <linux/etherdevice.h>
#include <linux/ipv6.h>
#include <linux/pkt_sched.h>
#include <net/ipv6.h>
#include <net/roce.h>

#include "ca.h"
#include "link.h"
#include "path.h"
#include "verbs.h"

#define MULTICAST_QPN		0xffffff
#define DEFAULT_GID_PREFIX	cpu_to_be64(0xfe80000000000000ULL)	/* IBA v1 4.1.1 */

/* Packets to oneself that may wait, and those received in one go */
#define LOOP_MOST	4096
#define LOOP_BUDGET	64

struct deth {
	__be32 qkey;
	__be32 src_qpn;
} __packed;

static u32 dest_qpn_of(const struct roce_bth *bth)
{
	return be32_to_cpu(bth->qpn) & 0xffffff;
}

static bool is_group(u16 lid)
{
	return lid >= QPEMU_LID_MULTICAST && lid != QPEMU_LID_PERMISSIVE;
}

static u16 path_mask(const struct qpemu_port *port)
{
	return BIT(READ_ONCE(port->lmc)) - 1;
}

/* Is it one of the LIDs of the port? */
static bool is_own(const struct qpemu_port *port, u16 lid)
{
	u16 base = READ_ONCE(port->lid);

	return base && (lid & ~path_mask(port)) == (base & ~path_mask(port));
}

/*
 * Going out
 */

/* From QP0, which alone may send on the management lane? */
static bool from_qp0(const struct sk_buff *skb)
{
	const struct roce_bth *bth = (const void *)skb->data;
	const struct deth *deth = (const void *)(bth + 1);

	return (bth->opcode & 0xe0) == IB_OPCODE_UD && !(be32_to_cpu(deth->src_qpn) & 0xffffff);
}

static bool has_vl(const struct qpemu_port *port, u8 vl)
{
	return vl < BIT(READ_ONCE(port->op_vls) - 1);
}

/*
 * The virtual lane, IBA v1 7.6; or -errno if packets of this service level go
 * nowhere, or no data does in this state of the port (IBA v1 7.2.7).
 */
static int lane_of(const struct qpemu_port *port, const struct sk_buff *skb, u8 sl)
{
	u8 vl;

	if (from_qp0(skb))
		return dest_qpn_of((const void *)skb->data) == QPEMU_QP0 ?
		       QPEMU_VL_MANAGEMENT : -EINVAL;
	if (READ_ONCE(port->state) != IB_PORT_ACTIVE)
		return -ENETDOWN;
	vl = READ_ONCE(port->sl2vl[0][sl]);
	return has_vl(port, vl) ? vl : -ENETUNREACH;
}

bool qpemu_ib_may_send(const struct qpemu_port *port, u8 vl)
{
	return vl == QPEMU_VL_MANAGEMENT ||
	       (READ_ONCE(port->state) == IB_PORT_ACTIVE && has_vl(port, vl));
}

static u16 slid_of(const struct qpemu_port *port, const struct qpemu_path *path)
{
	u16 lid = READ_ONCE(port->lid);

	/* IBA v1 14.2.2.1: a directed route has no LIDs, nor has a port at first. */
	if (path->dlid == QPEMU_LID_PERMISSIVE || !lid)
		return QPEMU_LID_PERMISSIVE;
	return lid | (path->path_bits & path_mask(port));
}

static void put_lrh(const struct qpemu_path *path, struct sk_buff *skb, u8 vl)
{
	struct qpemu_lrh *lrh = skb_push(skb, sizeof(*lrh));

	*lrh = (struct qpemu_lrh) {
		.vl_lver = vl << 4,
		.sl_lnh = path->sl << 4 | (path->global ? QPEMU_LNH_GRH : QPEMU_LNH_BTH),
		.dlid = cpu_to_be16(path->dlid),
		.slid = cpu_to_be16(slid_of(path->port, path)),
		.len = skb_is_gso(skb) ? 0 : cpu_to_be16(skb->len / 4),
	};
}

static int put_icrc(struct sk_buff *skb)
{
	unsigned int end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc = roce_icrc_ib(skb, 0, end);

	return skb_store_bits(skb, end, &icrc, sizeof(icrc));
}

static int to_self(struct qpemu_port *port, struct sk_buff *skb)
{
	struct qpemu_ca *ca = to_qca(port);

	if (skb_queue_len_lockless(&ca->loop) >= LOOP_MOST) {
		kfree_skb(skb);
		return -ENOBUFS;
	}
	skb_queue_tail(&ca->loop, skb);
	queue_work(system_bh_wq, &ca->loop_work);
	return 0;
}

/* Somebody here may be in the group, too; the sender may be. */
static void copy_to_self(struct qpemu_port *port, struct sk_buff *skb)
{
	struct sk_buff *copy;

	if (!atomic_read(&to_qca(port)->dev.num_groups))
		return;
	copy = skb_clone(skb, GFP_ATOMIC);
	if (copy)
		to_self(port, copy);
}

int qpemu_ib_tx(struct qpemu_port *port, struct sk_buff *skb)
{
	u16 dlid = be16_to_cpu(((const struct qpemu_lrh *)skb->data)->dlid);

	if (is_own(port, dlid))
		return to_self(port, skb);
	if (is_group(dlid))
		copy_to_self(port, skb);
	return qpemu_port_xmit(port, skb);
}

static int ib_xmit(struct qpemu_path *path, struct sk_buff *skb)
{
	struct qpemu_port *port = path->port;
	int vl, err;

	rcu_read_lock();
	vl = lane_of(port, skb, path->sl);
	err = vl;
	if (vl < 0)
		goto drop;
	if (path->global)
		qpemu_put_grh(path, skb);
	put_lrh(path, skb, vl);
	/* Packets that are cut on the way get their CRCs there. */
	if (!skb_is_gso(skb)) {
		err = put_icrc(skb);
		if (err)
			goto drop;
	}
	skb->priority = path->sl;
	err = qpemu_portdev_tx(port, skb);
	rcu_read_unlock();
	return err;

drop:
	rcu_read_unlock();
	qpemu_port_count(port, QPEMU_PORT_XMIT_DISCARDS);
	kfree_skb(skb);
	return err;
}

static void ib_gids(const struct sk_buff *skb, union ib_gid *sgid, union ib_gid *dgid)
{
	memcpy(sgid, &ipv6_hdr(skb)->saddr, sizeof(*sgid));
	memcpy(dgid, &ipv6_hdr(skb)->daddr, sizeof(*dgid));
}

const struct qpemu_link qpemu_link_ib = {
	.name = "InfiniBand",
	.headroom = IB_LRH_BYTES + IB_GRH_BYTES,
	.tailroom = IB_VCRC_LEN,
	.super = true,
	.xmit = ib_xmit,
	.gids = ib_gids,
};

struct sk_buff *qpemu_mad_packet(const struct ib_mad *mad, u16 slid, u16 dlid, u8 sl,
				 u32 src_qpn, u32 dest_qpn, u16 pkey)
{
	unsigned int room = LL_MAX_HEADER + IB_LRH_BYTES;
	struct qpemu_bth bth = {
		.dest_qpn = dest_qpn,
		.opcode = IB_OPCODE_UD_SEND_ONLY,
		.pkey = pkey,
	};
	u32 size = qpemu_pkt_size(bth.opcode, sizeof(*mad));
	void *headers, *payload;
	struct qpemu_lrh *lrh;
	struct sk_buff *skb;

	skb = alloc_skb(room + size + IB_VCRC_LEN, GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, room);
	qpemu_pkt_append(skb, &bth, sizeof(*mad), sizeof(*mad), &headers, &payload);
	qpemu_put_deth(headers, src_qpn == QPEMU_QP0 ? 0 : IB_QP1_QKEY, src_qpn);
	memcpy(payload, mad, sizeof(*mad));
	lrh = skb_push(skb, sizeof(*lrh));
	*lrh = (struct qpemu_lrh) {
		.vl_lver = (src_qpn == QPEMU_QP0 ? QPEMU_VL_MANAGEMENT : 0) << 4,
		.sl_lnh = sl << 4 | QPEMU_LNH_BTH,
		.dlid = cpu_to_be16(dlid),
		.slid = cpu_to_be16(slid),
		.len = cpu_to_be16(skb->len / 4),
	};
	put_icrc(skb);
	return skb;
}

/*
 * Coming in
 */

/* GRH and BTH, in form. @skb->data is at the LRH, whose length has been checked. */
static bool well_formed(struct sk_buff *skb)
{
	unsigned int below = ib_bth_offset(skb->data);
	const struct ipv6hdr *grh;
	const struct roce_bth *bth;

	if (skb->len < below + ROCE_MIN_OVERHEAD || !pskb_may_pull(skb, below + sizeof(*bth)))
		return false;
	grh = (const void *)(skb->data + IB_LRH_BYTES);
	bth = (const void *)(skb->data + below);
	if (ib_has_grh(skb->data) &&
	    (grh->version != 6 || grh->nexthdr != QPEMU_GRH_NEXT_HEADER ||
	     be16_to_cpu(grh->payload_len) != skb->len - below))
		return false;
	if (skb_is_gso(skb) && skb_shinfo(skb)->gso_type == QPEMU_TRAIN)
		return skb_shinfo(skb)->gso_size >= ROCE_MIN_OVERHEAD &&
		       (skb->len - below) % skb_shinfo(skb)->gso_size == 0;
	return !(bth->flags & ROCE_BTH_VERSION);
}

static bool icrc_right(const struct sk_buff *skb)
{
	unsigned int end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	return !skb_copy_bits(skb, end, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc_ib(skb, 0, end);
}

/* IBA v1 4.1.1: GUIDs with the subnet's prefix, or the default one */
static bool is_own_gid(const struct qpemu_port *port, const union ib_gid *gid)
{
	unsigned int i;

	if (gid->global.subnet_prefix != READ_ONCE(port->gid_prefix) &&
	    gid->global.subnet_prefix != DEFAULT_GID_PREFIX)
		return false;
	for (i = 0; i < QPEMU_NUM_GUIDS; i++)
		if (port->guids[i] && gid->global.interface_id == READ_ONCE(port->guids[i]))
			return true;
	return false;
}

/* Is it for this port? The management lane is QP0's alone. */
static bool is_for(const struct qpemu_port *port, const struct sk_buff *skb)
{
	const struct qpemu_lrh *lrh = (const void *)skb->data;
	const struct roce_bth *bth = (const void *)(skb->data + ib_bth_offset(skb->data));
	bool management = qpemu_lrh_vl(lrh) == QPEMU_VL_MANAGEMENT;
	u16 dlid = be16_to_cpu(lrh->dlid);
	union ib_gid sgid, dgid;

	if (management != (dest_qpn_of(bth) == QPEMU_QP0))
		return false;
	if (management)
		return dlid == QPEMU_LID_PERMISSIVE || is_own(port, dlid);
	if (is_group(dlid))
		return ib_has_grh(skb->data) && dest_qpn_of(bth) == MULTICAST_QPN;
	if (!is_own(port, dlid) || dest_qpn_of(bth) == MULTICAST_QPN)
		return false;
	if (!ib_has_grh(skb->data))
		return true;
	ib_gids(skb, &sgid, &dgid);
	return is_own_gid(port, &dgid);
}

static void describe(struct qpemu_dev *dev, struct sk_buff *skb)
{
	const struct qpemu_lrh *lrh = (const void *)skb->data;

	*qpemu_skb_cb(skb) = (struct qpemu_skb_cb) {
		.dev = dev,
		.segment = skb_shinfo(skb)->gso_type == QPEMU_SUPER ?
			   skb_shinfo(skb)->gso_size : 0,
		.network = RDMA_NETWORK_IB,
		.has_grh = ib_has_grh(skb->data),
		.sl = qpemu_lrh_sl(lrh),
		.slid = be16_to_cpu(lrh->slid),
		.dlid = be16_to_cpu(lrh->dlid),
	};
}

void qpemu_ib_rx(struct qpemu_port *port, struct sk_buff *skb)
{
	struct qpemu_dev *dev = &to_qca(port)->dev;

	if (!well_formed(skb)) {
		qpemu_count(dev, QPEMU_MALFORMED);
		goto drop;
	}
	skb_set_network_header(skb, ib_has_grh(skb->data) ? IB_LRH_BYTES : 0);
	if (!is_for(port, skb)) {
		qpemu_count(dev, QPEMU_BAD_ADDR);
		goto drop;
	}
	if (!skb_is_gso(skb) && !icrc_right(skb)) {
		qpemu_count(dev, QPEMU_ICRC_ERR);
		goto drop;
	}
	/* Nothing comes before subnet management has said so, but that itself. */
	if (!qpemu_sma_rx_ok(port, qpemu_lrh_vl((const void *)skb->data)))
		goto drop;
	describe(dev, skb);
	__skb_pull(skb, ib_bth_offset(skb->data));
	if (skb_is_gso(skb) && skb_shinfo(skb)->gso_type == QPEMU_TRAIN)
		qpemu_rx_train(skb);
	else
		qpemu_rx_packet(skb);
	return;

drop:
	kfree_skb(skb);
}

static void loop_work(struct work_struct *work)
{
	struct qpemu_ca *ca = container_of(work, struct qpemu_ca, loop_work);
	int budget = LOOP_BUDGET;
	struct sk_buff *skb;

	rcu_read_lock();
	while (budget-- && (skb = skb_dequeue(&ca->loop))) {
		skb_orphan(skb);
		qpemu_portdev_rx(&ca->port, skb);
	}
	rcu_read_unlock();
	if (!skb_queue_empty_lockless(&ca->loop))
		queue_work(system_bh_wq, work);
}

void qpemu_ib_init_loop(struct qpemu_ca *ca)
{
	skb_queue_head_init(&ca->loop);
	INIT_WORK(&ca->loop_work, loop_work);
}

void qpemu_ib_stop_loop(struct qpemu_ca *ca)
{
	cancel_work_sync(&ca->loop_work);
	skb_queue_purge(&ca->loop);
}

/*
 * Who may hear what
 */

/* IBA v1 10.9.3: the same partition, and one of both a full member */
static bool same_partition(u16 a, u16 b)
{
	return a & IB_DEFAULT_PKEY_PARTIAL && !((a ^ b) & IB_DEFAULT_PKEY_PARTIAL) &&
	       (a | b) & ~IB_DEFAULT_PKEY_PARTIAL;
}

/* Where the P_Key is in the table, or -1. */
static int find_pkey(const struct qpemu_port *port, u16 pkey)
{
	unsigned int i;

	for (i = 0; i < QPEMU_NUM_PKEYS; i++)
		if (same_partition(READ_ONCE(port->pkeys[i]), pkey))
			return i;
	return -1;
}

static u32 src_qpn_of(const struct qpemu_pkt *pkt)
{
	return pkt->op->flags & QPEMU_OP_DETH ? pkt->src_qpn : 0;
}

static void count_violation(struct qpemu_port *port, u16 *counter)
{
	spin_lock(&port->node->lock);
	if (*counter < U16_MAX)
		(*counter)++;
	spin_unlock(&port->node->lock);
}

/* IBA v1 9.6.1.4: QP0 is in none, QP1 in all, others in one. */
bool qpemu_ib_in_partition(struct qpemu_qp *qp, struct sk_buff *skb,
			   const struct qpemu_pkt *pkt)
{
	struct qpemu_port *port = to_qdev(qp->ibqp.device)->port;
	struct qpemu_skb_cb *cb = qpemu_skb_cb(skb);
	int index = READ_ONCE(qp->attr.pkey_index);

	switch (qp->ibqp.qp_type) {
	case IB_QPT_SMI:
		cb->pkey_index = 0;
		return true;
	case IB_QPT_GSI:
		index = find_pkey(port, pkt->pkey);
		break;
	default:
		if (!same_partition(READ_ONCE(port->pkeys[index]), pkt->pkey))
			index = -1;
	}
	if (likely(index >= 0)) {
		cb->pkey_index = index;
		return true;
	}
	count_violation(port, &port->pkey_violations);
	qpemu_trap_pkey(port, pkt->pkey, cb->sl, src_qpn_of(pkt), qp->ibqp.qp_num,
			cb->slid, cb->dlid);
	return false;
}

void qpemu_ib_bad_qkey(struct qpemu_qp *qp, struct sk_buff *skb,
		       const struct qpemu_pkt *pkt)
{
	struct qpemu_port *port = to_qdev(qp->ibqp.device)->port;
	const struct qpemu_skb_cb *cb = qpemu_skb_cb(skb);

	count_violation(port, &port->qkey_violations);
	qpemu_trap_qkey(port, pkt->qkey, cb->sl, pkt->src_qpn, qp->ibqp.qp_num,
			cb->slid, cb->dlid);
}

bool qpemu_ib_from_peer(const struct qpemu_path *path, const struct sk_buff *skb)
{
	const struct qpemu_skb_cb *cb = qpemu_skb_cb((struct sk_buff *)skb);
	union ib_gid sgid, dgid;

	if (cb->slid != path->dlid || cb->has_grh != path->global ||
	    (cb->dlid ^ path->path_bits) & path_mask(path->port))
		return false;
	if (!path->global)
		return true;
	ib_gids(skb, &sgid, &dgid);
	return !memcmp(&sgid, &path->dgid, sizeof(sgid)) &&
	       !memcmp(&dgid, &path->sgid, sizeof(dgid));
}
