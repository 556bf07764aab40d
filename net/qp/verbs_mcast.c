// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: multicast
 *
 * A group has an rdma_cm id of its own, as rdma_cm does not join for one that
 * listens. While it is there the host is a member, with RoCE by IGMP or MLD, on
 * InfiniBand because the subnet administration has let it in, and the device's queue
 * pair is attached to the group's GID.
 *
 * A subnet manager that begins anew, or a port that has been down, knows nothing of
 * members (IBA v1 14.4.11). They join once more then, and again until they are in.
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

/* A subnet manager may take that long to let somebody in; meanwhile who waits looks
 * whether it is to go on
 */
#define VERBS_JOIN_TIME		(10 * HZ)
#define VERBS_JOIN_STEP		(HZ / 10)

/* When who has not been let in again asks once more */
#define VERBS_REJOIN_TIME	HZ

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
 * @lost: it is no member any more, as subnet management has begun anew
 * @again: it is joined in place of one that is lost
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
	bool lost;
	bool again;
	union ib_gid gid;
	u16 lid;
	struct verbs_ah *ah;
	u32 number;
	struct completion done;
	int err;
	struct rdma_ah_attr attr;
	u32 qkey;
};

/* The caller keeps @groups still */
static struct verbs_group *verbs_group_find(const struct verbs_ud *ud,
					    const struct sockaddr_storage *addr)
{
	struct verbs_group *g;

	list_for_each_entry(g, &ud->groups, node)
		if (verbs_addr_same(&g->addr, addr))
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

	/* Who joins another group meanwhile may wait for the subnet manager */
	spin_lock_bh(&ud->v->recv_lock);
	g = verbs_group_find(ud, addr);
	if (g) {
		ah = g->ah;
		refcount_inc(&ah->ref);
	}
	spin_unlock_bh(&ud->v->recv_lock);
	return ah ?: ERR_PTR(-EHOSTUNREACH);
}

/*
 * Joining
 */

/* The work holds a reference. Any context. */
static void verbs_groups_soon(struct verbs_ud *ud, unsigned long delay)
{
	struct sock *sk = &ud->v->qp->sk;

	if (READ_ONCE(ud->v->closed))
		return;
	sock_hold(sk);
	if (!queue_delayed_work(verbs_wq, &ud->rejoin, delay))
		sock_put(sk);
}

static int verbs_group_handler(struct rdma_cm_id *id,
			       struct rdma_cm_event *event)
{
	struct verbs_group *g = id->context;

	if (!g->err && event->event == RDMA_CM_EVENT_MULTICAST_ERROR) {
		WRITE_ONCE(g->lost, true);
		verbs_groups_soon(g->ud, 0);
	}
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

/* One joins or leaves at a time; who joins again, unasked, gives way. */
static int verbs_groups_lock(struct verbs_ud *ud)
{
	int err;

	atomic_inc(&ud->groups_wanted);
	err = mutex_lock_interruptible(&ud->groups_lock);
	atomic_dec(&ud->groups_wanted);
	return err ? -ERESTARTSYS : 0;
}

static bool verbs_group_waits(const struct verbs_group *g)
{
	return !READ_ONCE(g->ud->v->closed) &&
	       !(g->again && atomic_read(&g->ud->groups_wanted));
}

/* Wait until it has been joined, or cannot be */
static int verbs_group_wait(struct verbs_group *g)
{
	unsigned long end = jiffies + VERBS_JOIN_TIME;
	long timeo = 0;

	while (!timeo && time_before(jiffies, end) && verbs_group_waits(g))
		timeo = wait_for_completion_interruptible_timeout(&g->done,
								  VERBS_JOIN_STEP);
	if (timeo <= 0)
		return timeo ?: -ETIMEDOUT;
	return g->err;
}

/* Have the host belong to the group */
static int verbs_group_member(struct verbs_group *g)
{
	u8 state = g->flags & QP_MCAST_SENDONLY ? BIT(SENDONLY_FULLMEMBER_JOIN) :
						  BIT(FULLMEMBER_JOIN);
	struct verbs_qp *v = g->ud->v;
	struct sockaddr_storage src = v->local;
	int err;

	verbs_addr_set_port(&src, 0);
	err = verbs_bind_once(g->id, verbs_transport_by_id(v->qp->proto->id),
			      &src, true);
	if (!err)
		err = rdma_join_multicast(g->id, (struct sockaddr *)&g->addr,
					  state, g);
	return err ?: verbs_group_wait(g);
}

/* Have a handle for it */
static int verbs_group_ah(struct verbs_group *g)
{
	struct verbs_ah *ah;

	verbs_group_mac(&g->attr);
	g->gid = rdma_ah_read_grh(&g->attr)->dgid;
	if (g->attr.type != RDMA_AH_ATTR_TYPE_ROCE)
		g->lid = rdma_ah_get_dlid(&g->attr);
	/* Who is in the kernel may have a Q_Key of its own */
	if (g->ud->v->qp->user)
		g->qkey = g->ud->v->qp->port_qkey;
	ah = verbs_ah_make(g->ud, &g->attr, VERBS_MCAST_QPN, g->qkey);
	if (IS_ERR(ah))
		return PTR_ERR(ah);
	g->ah = ah;
	return 0;
}

/* Let user space have it */
static int verbs_group_number(struct verbs_group *g)
{
	int err;

	refcount_inc(&g->ah->ref);
	err = verbs_ah_number(g->ud, g->ah, &g->number);
	if (err)
		verbs_ah_put(g->ah);
	return err;
}

/*
 * From now on messages come, and it is a member until it leaves; in place of @old, if
 * there is one. If it fails it is on the list all the same, unless the device has gone.
 */
static int verbs_group_attach(struct verbs_group *g, struct verbs_group *old)
{
	struct verbs_ud *ud = g->ud;
	struct verbs_qp *v = ud->v;
	int err = 0;

	mutex_lock(&v->teardown);
	if (!v->ibqp) {
		mutex_unlock(&v->teardown);
		return -ENETDOWN;
	}
	spin_lock_bh(&v->recv_lock);
	if (old) {
		list_replace_init(&old->node, &g->node);
	} else {
		list_add(&g->node, &ud->groups);
		ud->nr_groups++;
	}
	spin_unlock_bh(&v->recv_lock);
	/* With the same LID only one of them can be attached */
	if (old && old->attached)
		ib_detach_mcast(v->ibqp, &old->gid, old->lid);
	if (old)
		old->attached = false;
	if (!(g->flags & QP_MCAST_SENDONLY)) {
		err = ib_attach_mcast(v->ibqp, &g->gid, g->lid);
		g->attached = !err;
	}
	mutex_unlock(&v->teardown);
	/* It may have been before others could find it */
	if (READ_ONCE(g->lost))
		verbs_groups_soon(ud, 0);
	return err;
}

/* It is no member any more, and no message comes. Under groups_lock, or alone. */
static void verbs_group_take_off(struct verbs_group *g)
{
	struct verbs_ud *ud = g->ud;
	struct verbs_qp *v = ud->v;

	mutex_lock(&v->teardown);
	if (g->attached)
		ib_detach_mcast(v->ibqp, &g->gid, g->lid);
	if (!list_empty(&g->node)) {
		spin_lock_bh(&v->recv_lock);
		list_del_init(&g->node);
		ud->nr_groups--;
		spin_unlock_bh(&v->recv_lock);
	}
	g->attached = false;
	if (g->id)
		rdma_destroy_id(g->id);
	g->id = NULL;
	mutex_unlock(&v->teardown);
}

/* Have the handle by its number no more, but another one, or none */
static void verbs_group_renumber(struct verbs_group *g, struct verbs_ah *next)
{
	if (next)
		refcount_inc(&next->ref);
	if (xa_cmpxchg(&g->ud->handles, g->number, g->ah, next, GFP_KERNEL) == g->ah)
		verbs_ah_put(g->ah);
	else if (next)
		verbs_ah_put(next);
}

/* Undo what has been done of joining. Under groups_lock, or nobody else is there. */
static void verbs_group_end(struct verbs_group *g)
{
	verbs_group_take_off(g);
	if (g->ah && g->number)
		verbs_group_renumber(g, NULL);
	if (g->ah)
		verbs_ah_put(g->ah);
	kfree(g);
}

/* All but that messages come */
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
	return err;
}

static struct verbs_group *verbs_group_alloc(struct verbs_ud *ud, u32 flags,
					     const struct sockaddr_storage *addr)
{
	struct verbs_group *g = kzalloc_obj(*g, GFP_KERNEL_ACCOUNT);

	if (!g)
		return NULL;
	INIT_LIST_HEAD(&g->node);
	init_completion(&g->done);
	g->ud = ud;
	g->flags = flags;
	g->err = -EINPROGRESS;
	g->addr = *addr;
	verbs_addr_set_port(&g->addr, 0);
	return g;
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
	g = verbs_group_alloc(ud, mcast->flags, addr);
	if (!g)
		return -ENOMEM;
	err = verbs_group_join(g);
	if (!err)
		err = verbs_group_number(g);
	if (!err)
		err = verbs_group_attach(g, NULL);
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

	err = verbs_peer_take(qp, addr, mcast->addrlen, &group);
	if (err)
		return err;
	if (!verbs_addr_multicast(&group))
		return -EINVAL;
	err = verbs_ud_start(ud->v, &group);
	if (!err)
		err = verbs_join_partition(&ud->v->local, &group);
	if (!err)
		err = verbs_groups_lock(ud);
	if (err)
		return err;
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

	err = verbs_peer_take(qp, addr, len, &group);
	if (!err)
		err = verbs_groups_lock(ud);
	if (err)
		return err;
	g = verbs_group_find(ud, &group);
	if (g)
		verbs_group_end(g);
	mutex_unlock(&ud->groups_lock);
	return g ? 0 : -EADDRNOTAVAIL;
}

/*
 * Join a group once more, with another LID maybe: its handle is another one, and those
 * who know its number need not know of that. Under groups_lock.
 */
static int verbs_group_again(struct verbs_group *old)
{
	struct verbs_group *g = verbs_group_alloc(old->ud, old->flags, &old->addr);
	int err;

	if (!g)
		return -ENOMEM;
	g->again = true;
	err = verbs_group_join(g);
	if (!err)
		err = verbs_group_attach(g, old);
	if (list_empty(&g->node)) {
		verbs_group_end(g);
		return err;
	}
	g->number = old->number;
	verbs_group_renumber(old, g->ah);
	old->number = 0;
	verbs_group_end(old);
	if (err)
		WRITE_ONCE(g->lost, true);
	return err;
}

/* &verbs_ud.rejoin */
void verbs_groups_rejoin(struct work_struct *work)
{
	struct verbs_ud *ud = container_of(to_delayed_work(work), struct verbs_ud,
					   rejoin);
	struct verbs_group *g, *next;
	bool again = false;

	mutex_lock(&ud->groups_lock);
	list_for_each_entry_safe(g, next, &ud->groups, node)
		if (READ_ONCE(g->lost) && !READ_ONCE(ud->v->closed) &&
		    qp_state(ud->v->qp) == QP_STATE_RTS && verbs_group_again(g))
			again = true;
	mutex_unlock(&ud->groups_lock);
	if (again)
		verbs_groups_soon(ud, VERBS_REJOIN_TIME);
	sock_put(&ud->v->qp->sk);
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

	if (cancel_delayed_work_sync(&ud->rejoin))
		sock_put(&ud->v->qp->sk);
	/* It may have been just about to be queued */
	mutex_lock(&ud->groups_lock);
	list_for_each_entry_safe(g, next, &ud->groups, node)
		verbs_group_end(g);
	mutex_unlock(&ud->groups_lock);
}
