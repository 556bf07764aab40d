// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: multicast
 *
 * A group has an rdma_cm id of its own, as rdma_cm does not join for one that
 * listens. While it is there the host is a member, with RoCE by IGMP or MLD, and
 * the device's queue pair is attached to the group's GID.
 */
#include <linux/etherdevice.h>
#include <linux/if_ether.h>
#include <linux/igmp.h>
#include <linux/slab.h>
#include <net/if_inet6.h>
#include <net/ip.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_sa.h>

#include "verbs.h"

/* A subnet manager may take that long to let somebody in */
#define VERBS_JOIN_TIME		(10 * HZ)

/* What datagrams for a group name instead of a number (IBA v1 9.2.3) */
#define VERBS_MCAST_QPN		0xffffff

/**
 * struct verbs_group - a multicast group that a queue pair belongs to
 * @node: in &verbs_ud.groups
 * @ud: whose membership it is
 * @addr: its address, port 0
 * @flags: QP_MCAST_*
 * @id: what the membership hangs on; NULL once the device is gone
 * @attached: the device's queue pair is attached to it
 * @gid: its address for the device
 * @lid: the same on InfiniBand
 * @ah: the handle to send with
 * @number: its number; user space may have destroyed it there
 * @done: it has been joined, or it could not be
 * @err: why not
 * @attr: its address as the device wants it, if @err is 0, until there is a
 *	handle
 * @qkey: its Q_Key
 */
struct verbs_group {
	struct list_head node;
	struct verbs_ud *ud;
	struct sockaddr_storage addr;
	u32 flags;
	struct rdma_cm_id *id;
	bool attached;
	union ib_gid gid;
	u16 lid;
	struct verbs_ah *ah;
	u32 number;
	struct completion done;
	int err;
	struct rdma_ah_attr attr;
	u32 qkey;
};

bool verbs_addr_multicast(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	if (addr->ss_family == AF_INET6)
		return ipv6_addr_is_multicast(&in6->sin6_addr);
	return ipv4_is_multicast(in->sin_addr.s_addr);
}

static bool verbs_same_host(const struct sockaddr_storage *a,
			    const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return ipv6_addr_equal(&a6->sin6_addr, &b6->sin6_addr);
	return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

/* @groups is kept still by the caller */
static struct verbs_group *verbs_group_find(const struct verbs_ud *ud,
					    const struct sockaddr_storage *addr)
{
	struct verbs_group *g;

	list_for_each_entry(g, &ud->groups, node)
		if (verbs_same_host(&g->addr, addr))
			return g;
	return NULL;
}

/* Are one's own messages to a group, or to no group, wanted? Under recv_lock. */
bool verbs_group_loop(const struct verbs_ud *ud, const union ib_gid *gid)
{
	const struct verbs_group *g;

	if (!rdma_is_multicast_addr((struct in6_addr *)gid->raw))
		return true;
	list_for_each_entry(g, &ud->groups, node)
		if (!memcmp(&g->gid, gid, sizeof(*gid)))
			return g->flags & QP_MCAST_LOOP;
	return false;
}

/* Where a message to a group goes: only who belongs to it can send by its name */
struct verbs_ah *verbs_group_dest(struct verbs_ud *ud,
				  const struct sockaddr_storage *addr)
{
	struct verbs_ah *ah = NULL;
	struct verbs_group *g;

	mutex_lock(&ud->groups_lock);
	g = verbs_group_find(ud, addr);
	if (g) {
		ah = g->ah;
		refcount_inc(&ah->ref);
	}
	mutex_unlock(&ud->groups_lock);
	return ah ?: ERR_PTR(-EHOSTUNREACH);
}

/*
 * Joining
 */

static int verbs_group_handler(struct rdma_cm_id *id,
			       struct rdma_cm_event *event)
{
	struct verbs_group *g = id->context;

	if (g->err != -EINPROGRESS)
		return 0;
	switch (event->event) {
	case RDMA_CM_EVENT_MULTICAST_JOIN:
		rdma_copy_ah_attr(&g->attr, &event->param.ud.ah_attr);
		g->qkey = event->param.ud.qkey;
		g->err = 0;
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		g->err = -ENETDOWN;
		break;
	default:
		g->err = event->status < 0 ? event->status : -EHOSTUNREACH;
		break;
	}
	complete(&g->done);
	return 0;
}

/* rdma_cm leaves it to the caller to say which MAC address a group has */
static void verbs_group_mac(struct rdma_ah_attr *attr)
{
	const struct in6_addr *gid = (const void *)rdma_ah_read_grh(attr)->dgid.raw;

	if (attr->type != RDMA_AH_ATTR_TYPE_ROCE)
		return;
	if (ipv6_addr_v4mapped(gid))
		ip_eth_mc_map(gid->s6_addr32[3], attr->roce.dmac);
	else
		ipv6_eth_mc_map(gid, attr->roce.dmac);
}

/* Have the host belong to the group */
static int verbs_group_member(struct verbs_group *g)
{
	u8 state = g->flags & QP_MCAST_SENDONLY ? BIT(SENDONLY_FULLMEMBER_JOIN) :
						  BIT(FULLMEMBER_JOIN);
	struct verbs_qp *v = g->ud->v;
	struct sockaddr_storage src = v->local;
	long timeo;
	int err;

	verbs_addr_set_port(&src, 0);
	err = verbs_bind_once(g->id, verbs_transport_by_id(v->qp->proto->id),
			      &src, true);
	if (!err)
		err = rdma_join_multicast(g->id, (struct sockaddr *)&g->addr,
					  state, g);
	if (err)
		return err;
	timeo = wait_for_completion_interruptible_timeout(&g->done,
							  VERBS_JOIN_TIME);
	if (timeo <= 0)
		return timeo ?: -ETIMEDOUT;
	return g->err;
}

/* Have a handle for it */
static int verbs_group_ah(struct verbs_group *g)
{
	struct verbs_ah *ah;
	int err;

	verbs_group_mac(&g->attr);
	g->gid = rdma_ah_read_grh(&g->attr)->dgid;
	if (g->attr.type == RDMA_AH_ATTR_TYPE_IB)
		g->lid = rdma_ah_get_dlid(&g->attr);
	/* Who is in the kernel may have a Q_Key of its own */
	if (g->ud->v->qp->user)
		g->qkey = g->ud->v->qp->port_qkey;
	ah = verbs_ah_make(g->ud, &g->attr, VERBS_MCAST_QPN, g->qkey);
	if (IS_ERR(ah))
		return PTR_ERR(ah);
	g->ah = ah;
	refcount_inc(&ah->ref);
	err = verbs_ah_number(g->ud, ah, &g->number);
	if (err)
		verbs_ah_put(ah);
	return err;
}

/* From now on messages come, and it is a member until it leaves */
static int verbs_group_attach(struct verbs_group *g)
{
	struct verbs_ud *ud = g->ud;
	struct verbs_qp *v = ud->v;
	int err = 0;

	mutex_lock(&v->teardown);
	if (!v->ibqp)
		err = -ENETDOWN;
	if (!err) {
		spin_lock_bh(&v->recv_lock);
		list_add(&g->node, &ud->groups);
		ud->nr_groups++;
		spin_unlock_bh(&v->recv_lock);
	}
	if (!err && !(g->flags & QP_MCAST_SENDONLY)) {
		err = ib_attach_mcast(v->ibqp, &g->gid, g->lid);
		g->attached = !err;
	}
	mutex_unlock(&v->teardown);
	return err;
}

/* Undo what has been done of joining. Under groups_lock, or nobody else is there. */
static void verbs_group_end(struct verbs_group *g)
{
	struct verbs_ud *ud = g->ud;
	struct verbs_qp *v = ud->v;

	mutex_lock(&v->teardown);
	if (g->attached)
		ib_detach_mcast(v->ibqp, &g->gid, g->lid);
	if (!list_empty(&g->node)) {
		spin_lock_bh(&v->recv_lock);
		list_del(&g->node);
		ud->nr_groups--;
		spin_unlock_bh(&v->recv_lock);
	}
	if (g->id)
		rdma_destroy_id(g->id);
	mutex_unlock(&v->teardown);
	if (g->ah) {
		if (xa_cmpxchg(&ud->handles, g->number, g->ah, NULL, 0) == g->ah)
			verbs_ah_put(g->ah);
		verbs_ah_put(g->ah);
	}
	kfree(g);
}

static int verbs_group_join(struct verbs_group *g)
{
	int err;

	g->id = rdma_create_id(sock_net(&g->ud->v->qp->sk), verbs_group_handler,
			       g, RDMA_PS_UDP, IB_QPT_UD);
	if (IS_ERR(g->id)) {
		err = PTR_ERR(g->id);
		g->id = NULL;
		return err;
	}
	err = verbs_group_member(g);
	if (!err)
		err = verbs_group_ah(g);
	/* The id keeps the device until now */
	rdma_lock_handler(g->id);
	rdma_destroy_ah_attr(&g->attr);
	g->err = err;
	rdma_unlock_handler(g->id);
	return err ?: verbs_group_attach(g);
}

static int verbs_group_new(struct verbs_ud *ud, struct qp_mcast *mcast,
			   const struct sockaddr_storage *addr)
{
	struct verbs_group *g;
	int err;

	if (verbs_group_find(ud, addr))
		return -EADDRINUSE;
	if (ud->nr_groups >= QP_MAX_MCAST)
		return -ENOBUFS;
	g = kzalloc_obj(*g, GFP_KERNEL_ACCOUNT);
	if (!g)
		return -ENOMEM;
	INIT_LIST_HEAD(&g->node);
	init_completion(&g->done);
	g->ud = ud;
	g->flags = mcast->flags;
	g->err = -EINPROGRESS;
	g->addr = *addr;
	verbs_addr_set_port(&g->addr, 0);
	err = verbs_group_join(g);
	if (err)
		verbs_group_end(g);
	else
		mcast->ah = g->number;
	return err;
}

int verbs_join(struct qp_sock *qp, struct qp_mcast *mcast,
	       struct sockaddr_storage *addr)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;
	struct sockaddr_storage group;
	int err;

	err = verbs_addr_take(qp->type, addr, mcast->addrlen, &group);
	if (err)
		return err;
	if (!verbs_addr_multicast(&group))
		return -EINVAL;
	err = verbs_ud_start(ud->v, &group);
	if (err)
		return err;
	mutex_lock(&ud->groups_lock);
	err = verbs_group_new(ud, mcast, &group);
	mutex_unlock(&ud->groups_lock);
	return err;
}

int verbs_leave(struct qp_sock *qp, struct sockaddr_storage *addr, int len)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;
	struct sockaddr_storage group;
	struct verbs_group *g;
	int err;

	err = verbs_addr_take(qp->type, addr, len, &group);
	if (err)
		return err;
	mutex_lock(&ud->groups_lock);
	g = verbs_group_find(ud, &group);
	if (g)
		verbs_group_end(g);
	mutex_unlock(&ud->groups_lock);
	return g ? 0 : -EADDRNOTAVAIL;
}

/* The device goes: nobody is a member any more. Under teardown. */
void verbs_groups_detach(struct verbs_ud *ud)
{
	struct verbs_group *g;

	list_for_each_entry(g, &ud->groups, node) {
		if (g->attached)
			ib_detach_mcast(ud->v->ibqp, &g->gid, g->lid);
		g->attached = false;
		if (g->id)
			rdma_destroy_id(g->id);
		g->id = NULL;
	}
}

/* The descriptor is closed */
void verbs_groups_end(struct verbs_ud *ud)
{
	struct verbs_group *g, *next;

	list_for_each_entry_safe(g, next, &ud->groups, node)
		verbs_group_end(g);
}
