// SPDX-License-Identifier: GPL-2.0
/*
 * Traps, IBA v1 13.4.9 and 14.2.5.1: what the subnet manager is told of its own
 * accord, again and again until it says that it has heard.
 *
 * The first is sent at once. As long as there is one that it has not heard of,
 * all such are sent each time that the timer expires, so never more often than
 * PortInfo:SubnetTimeOut allows. Of a kind there is one for each port: what comes
 * after replaces it.
 */
#include <linux/slab.h>
#include <linux/timer.h>

#include "sma.h"

#define MAX_TRAPS	8	/* that have not been heard, of a node */
#define MIN_INTERVAL	(HZ / 20 ?: 1)

#define LINK_STATE	cpu_to_be16(128)
#define NO_NOTICE	0xff	/* generic_type of one that says nothing */
#define PATH_HOPS	30	/* room for in trap 256 */

/**
 * struct trap - a trap that the subnet manager has not heard of
 * @used: there is one
 * @port: which it is about
 * @age: a lower one was raised before
 * @tid: transaction ID
 * @notice: what it says
 */
struct trap {
	bool used;
	const struct qpemu_port *port;
	u64 age;
	__be64 tid;
	struct ib_mad_notice_attr notice;
};

/**
 * struct qpemu_traps - those of a node
 * @node: whose
 * @lock: protects the rest; bottom halves off
 * @timer: pending: nothing is to be sent before it expires
 * @raised: how many there have been
 * @trap: in no order
 */
struct qpemu_traps {
	struct qpemu_node *node;
	spinlock_t lock;	/* all that follows */
	struct timer_list timer;
	u64 raised;
	struct trap trap[MAX_TRAPS];
};

static unsigned long interval(const struct qpemu_port *port)
{
	u8 timeout = READ_ONCE(port->info.clientrereg_resv_subnetto) & 0x1f;

	return max(nsecs_to_jiffies(4096ULL << timeout), MIN_INTERVAL);
}

/* Without LIDs there is no way to anybody. Bottom halves off. */
static void send(const struct trap *trap)
{
	struct qpemu_port *mgmt = qpemu_port_mgmt(trap->port);
	u16 sm_lid = READ_ONCE(mgmt->sm_lid);
	u16 lid = READ_ONCE(mgmt->lid);
	struct ib_mad mad = {
		.mad_hdr.base_version = IB_MGMT_BASE_VERSION,
		.mad_hdr.mgmt_class = IB_MGMT_CLASS_SUBN_LID_ROUTED,
		.mad_hdr.class_version = 1,
		.mad_hdr.method = IB_MGMT_METHOD_TRAP,
		.mad_hdr.tid = trap->tid,
		.mad_hdr.attr_id = IB_SMP_ATTR_NOTICE,
	};
	struct ib_smp *smp = (void *)&mad;
	struct sk_buff *skb;

	if (!sm_lid || !lid)
		return;
	static_assert(sizeof(trap->notice) == sizeof(smp->data));
	memcpy(smp->data, &trap->notice, sizeof(smp->data));
	skb = qpemu_mad_packet(&mad, lid, sm_lid, READ_ONCE(mgmt->sm_sl), QPEMU_QP0,
			       QPEMU_QP0, IB_DEFAULT_PKEY_FULL);
	if (!skb)
		return;
	rcu_read_lock();
	mgmt->node->ops->tx(mgmt, skb);
	rcu_read_unlock();
}

/* The next that was raised after @age; a copy, so that it is sent without the lock. */
static bool next_trap(struct qpemu_traps *traps, u64 age, struct trap *copy)
{
	const struct trap *trap, *next = NULL;

	for (trap = traps->trap; trap < traps->trap + MAX_TRAPS; trap++)
		if (trap->used && trap->age > age && (!next || trap->age < next->age))
			next = trap;
	if (next)
		*copy = *next;
	return next;
}

static void send_all(struct timer_list *timer)
{
	struct qpemu_traps *traps = timer_container_of(traps, timer, timer);
	struct trap trap = {};
	bool any = false;
	u64 last;

	spin_lock(&traps->lock);
	last = traps->raised;
	while (trap.age < last && next_trap(traps, trap.age, &trap)) {
		any = true;
		spin_unlock(&traps->lock);
		send(&trap);
		spin_lock(&traps->lock);
	}
	if (any)
		mod_timer(&traps->timer, jiffies + interval(qpemu_port_mgmt(trap.port)));
	spin_unlock(&traps->lock);
}

/* The one of this kind, or room for it. */
static struct trap *find_slot(struct qpemu_traps *traps, const struct qpemu_port *port,
			      __be16 num)
{
	struct trap *trap, *room = NULL;

	for (trap = traps->trap; trap < traps->trap + MAX_TRAPS; trap++) {
		if (trap->used && trap->port == port && trap->notice.trap_num == num)
			return trap;
		if (!trap->used)
			room = trap;
	}
	return room;
}

/* @notice: all but the issuer and the count */
static void raise_trap(const struct qpemu_port *port,
		       const struct ib_mad_notice_attr *notice)
{
	struct qpemu_traps *traps = port->node->traps;
	const struct qpemu_port *mgmt = qpemu_port_mgmt(port);
	struct trap now = {};
	struct trap *trap;

	if (!READ_ONCE(mgmt->sm_lid))
		return;
	spin_lock_bh(&traps->lock);
	trap = find_slot(traps, port, notice->trap_num);
	if (trap) {
		trap->used = true;
		trap->port = port;
		trap->age = ++traps->raised;
		trap->tid = cpu_to_be64(trap->age);
		trap->notice = *notice;
		trap->notice.prod_type_lsb = port->node->type == RDMA_NODE_IB_SWITCH ?
					     IB_NOTICE_PROD_SWITCH : IB_NOTICE_PROD_CA;
		trap->notice.issuer_lid = cpu_to_be16(READ_ONCE(mgmt->lid));
		trap->notice.toggle_count = cpu_to_be16(trap->age & 0x7fff);
		if (!timer_pending(&traps->timer)) {
			now = *trap;
			mod_timer(&traps->timer, jiffies + interval(mgmt));
		}
	}
	spin_unlock_bh(&traps->lock);

	if (now.used) {
		local_bh_disable();
		send(&now);
		local_bh_enable();
	}
}

static __be16 lid_of(const struct qpemu_port *port)
{
	return cpu_to_be16(READ_ONCE(qpemu_port_mgmt(port)->lid));
}

void qpemu_trap_link(struct qpemu_node *node)
{
	const struct qpemu_port *port = node->ports[0];
	struct ib_mad_notice_attr notice = {
		.generic_type = IB_NOTICE_TYPE_URGENT,
		.trap_num = LINK_STATE,
	};
	__be16 lid = lid_of(port);

	memcpy(notice.details.raw_data.details, &lid, sizeof(lid));
	raise_trap(port, &notice);
}

static void raise_change(struct qpemu_port *port, u8 local, u8 flags)
{
	struct ib_mad_notice_attr notice = {
		.generic_type = IB_NOTICE_TYPE_INFO,
		.trap_num = IB_NOTICE_TRAP_CAP_MASK_CHG,
		.details.ntc_144 = {
			.lid = lid_of(port),
			.local_changes = local,
			.new_cap_mask = cpu_to_be32(READ_ONCE(port->cap_mask)),
			.change_flags = flags,
		},
	};

	raise_trap(port, &notice);
}

void qpemu_trap_capability(struct qpemu_port *port)
{
	raise_change(port, 0, 0);
}

void qpemu_trap_node_desc(struct qpemu_port *port)
{
	raise_change(port, 1, IB_NOTICE_TRAP_NODE_DESC_CHG);
}

/* As much of the way that it came as there is room for */
static void put_way(struct ib_mad_notice_attr *notice, const struct ib_smp *smp)
{
	u8 hops = min_t(u8, smp->hop_cnt, PATH_HOPS);

	static_assert(sizeof(notice->details.ntc_256.dr_rtn_path) == PATH_HOPS);
	notice->details.ntc_256.dr_slid = smp->dr_slid;
	notice->details.ntc_256.dr_trunc_hop = IB_NOTICE_TRAP_DR_NOTICE | hops;
	if (hops < smp->hop_cnt)
		notice->details.ntc_256.dr_trunc_hop |= IB_NOTICE_TRAP_DR_TRUNC;
	memcpy(notice->details.ntc_256.dr_rtn_path, smp->return_path, hops);
}

void qpemu_trap_mkey(struct qpemu_port *port, const struct ib_smp *smp, u16 slid)
{
	struct ib_mad_notice_attr notice = {
		.generic_type = IB_NOTICE_TYPE_SECURITY,
		.trap_num = IB_NOTICE_TRAP_BAD_MKEY,
		.details.ntc_256 = {
			.lid = cpu_to_be16(slid),
			.method = smp->method,
			.attr_id = smp->attr_id,
			.attr_mod = smp->attr_mod,
			.mkey = smp->mkey,
		},
	};

	if (smp->mgmt_class == IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE)
		put_way(&notice, smp);
	raise_trap(port, &notice);
}

static void raise_key(const struct qpemu_port *port, __be16 num, u32 key, u8 sl,
		      u32 qp1, u32 qp2, u16 lid1, u16 lid2)
{
	struct ib_mad_notice_attr notice = {
		.generic_type = IB_NOTICE_TYPE_SECURITY,
		.trap_num = num,
		.details.ntc_257_258 = {
			.lid1 = cpu_to_be16(lid1),
			.lid2 = cpu_to_be16(lid2),
			.key = cpu_to_be32(key),
			.sl_qp1 = cpu_to_be32(sl << 28 | qp1),
			.qp2 = cpu_to_be32(qp2),
		},
	};

	raise_trap(port, &notice);
}

void qpemu_trap_pkey(struct qpemu_port *port, u16 pkey, u8 sl, u32 qp1, u32 qp2,
		     u16 lid1, u16 lid2)
{
	raise_key(port, IB_NOTICE_TRAP_BAD_PKEY, pkey, sl, qp1, qp2, lid1, lid2);
}

void qpemu_trap_qkey(struct qpemu_port *port, u32 qkey, u8 sl, u32 qp1, u32 qp2,
		     u16 lid1, u16 lid2)
{
	raise_key(port, IB_NOTICE_TRAP_BAD_QKEY, qkey, sl, qp1, qp2, lid1, lid2);
}

void qpemu_traps_repress(struct qpemu_node *node, const struct ib_smp *smp)
{
	const struct ib_mad_notice_attr *notice = (const void *)smp->data;
	struct qpemu_traps *traps = node->traps;
	struct trap *trap;

	if (smp->attr_id != IB_SMP_ATTR_NOTICE)
		return;
	spin_lock_bh(&traps->lock);
	for (trap = traps->trap; trap < traps->trap + MAX_TRAPS; trap++)
		if (trap->tid == smp->tid && trap->notice.trap_num == notice->trap_num)
			trap->used = false;
	spin_unlock_bh(&traps->lock);
}

void qpemu_traps_get(struct qpemu_node *node, struct ib_mad_notice_attr *notice)
{
	struct qpemu_traps *traps = node->traps;
	struct trap oldest = { .notice.generic_type = NO_NOTICE };

	spin_lock_bh(&traps->lock);
	next_trap(traps, 0, &oldest);
	spin_unlock_bh(&traps->lock);
	*notice = oldest.notice;
}

void qpemu_traps_set(struct qpemu_node *node, const struct ib_mad_notice_attr *notice)
{
	struct qpemu_traps *traps = node->traps;
	struct trap *trap;

	spin_lock_bh(&traps->lock);
	for (trap = traps->trap; trap < traps->trap + MAX_TRAPS; trap++)
		if (!memcmp(&trap->notice, notice, sizeof(*notice)))
			trap->used = false;
	spin_unlock_bh(&traps->lock);
}

int qpemu_traps_init(struct qpemu_node *node)
{
	struct qpemu_traps *traps = kzalloc_obj(*traps);

	if (!traps)
		return -ENOMEM;
	traps->node = node;
	spin_lock_init(&traps->lock);
	timer_setup(&traps->timer, send_all, 0);
	node->traps = traps;
	return 0;
}

/* Nobody raises any more. */
void qpemu_traps_free(struct qpemu_node *node)
{
	timer_shutdown_sync(&node->traps->timer);
	kfree(node->traps);
	node->traps = NULL;
}
