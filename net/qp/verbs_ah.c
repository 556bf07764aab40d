// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: where datagrams go
 *
 * An address handle is made for an address, whose port is either resolved by the
 * peer's rdma_cm (SIDR, as udaddy and the like do it), or does not matter as the
 * number of the peer's queue pair is known. It is in one of these tables, and in
 * those of the multicast groups:
 *
 *	handles		by number, for user space
 *	names		by address, what sendmsg() has found: a bounded number, the
 *			one that was not used for longest goes first
 *	peer		what was connected to
 *
 * Messages that are on their way hold theirs.
 */
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_cm.h>
#include <rdma/ib_sa.h>
#include <rdma/rdma_cm_ib.h>

#include "verbs.h"

/* Names that are remembered, and how long before they are looked up again */
#define VERBS_MAX_NAMES		64
#define VERBS_NAME_TIME		(10 * HZ)

/*
 * Neighbours are looked for so many times, ms each, and a port so many times, as
 * packets may be lost
 */
#define VERBS_AH_NEIGH_TRIES	20
#define VERBS_AH_NEIGH_MS	100
#define VERBS_AH_TRIES		4
#define VERBS_AH_TIME		HZ

/* Numbers of ordinary queue pairs (IBA v1 9.2.3): those below are for management */
#define VERBS_MIN_QPN		2
#define VERBS_MAX_QPN		0xfffffe

/* A Q_Key with this bit is for the privileged (IBA v1 10.2.5) */
#define VERBS_QKEY_PRIVILEGED	BIT(31)

/*
 * Handles
 */

/*
 * Have the device forget the first handle of a list, which holds those that it
 * knows; false if there is none. Devices may want to sleep for that, and rxe has a
 * lock that is not for softirqs.
 */
static bool verbs_ah_forget(struct verbs_ud *ud, struct list_head *list)
{
	struct ib_ah *ib = NULL;
	struct verbs_ah *ah;

	lockdep_assert_held(&ud->v->teardown);
	spin_lock_bh(&ud->lock);
	ah = list_first_entry_or_null(list, struct verbs_ah, node);
	if (ah) {
		list_del(&ah->node);
		swap(ib, ah->ib);
		if (list == &ud->dead)
			kfree_rcu(ah, rcu);
	}
	spin_unlock_bh(&ud->lock);
	if (ib)
		rdma_destroy_ah(ib, RDMA_DESTROY_AH_SLEEPABLE);
	return ib;
}

/* What verbs_info() says of it */
static void verbs_ah_note(struct verbs_ah *ah, const struct rdma_ah_attr *attr)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);

	ah->gid_index = grh->sgid_index;
	ah->tclass = grh->traffic_class;
	ah->hop_limit = grh->hop_limit;
	ah->sl = rdma_ah_get_sl(attr);
	if (attr->type != RDMA_AH_ATTR_TYPE_ROCE)
		ah->dlid = rdma_ah_get_dlid(attr);
}

/**
 * verbs_ah_make() - make a handle
 * @ud: whose
 * @attr: the address, as the device wants it
 * @qpn: number of the peer on its port
 * @qkey: its Q_Key
 *
 * Context: process, may sleep.
 * Return: the handle, for verbs_ah_put(); -ENOMEM, -ENETDOWN (the device has
 * gone), or what the device says.
 */
struct verbs_ah *verbs_ah_make(struct verbs_ud *ud, struct rdma_ah_attr *attr,
			       u32 qpn, u32 qkey)
{
	struct verbs_ah *ah = kzalloc_obj(*ah, GFP_KERNEL_ACCOUNT);
	struct verbs_qp *v = ud->v;
	int err = -ENETDOWN;

	if (!ah)
		return ERR_PTR(-ENOMEM);
	refcount_set(&ah->ref, 1);
	ah->ud = ud;
	ah->qpn = qpn;
	ah->qkey = qkey;
	verbs_ah_note(ah, attr);
	INIT_LIST_HEAD(&ah->name_node);
	mutex_lock(&v->teardown);
	/* Those that are made do not add up with those that are to end */
	while (verbs_ah_forget(ud, &ud->dead))
		;
	if (v->ibqp) {
		ah->ib = rdma_create_ah(v->dom->pd, attr,
					RDMA_CREATE_AH_SLEEPABLE);
		err = PTR_ERR_OR_ZERO(ah->ib);
	}
	if (!err) {
		spin_lock_bh(&ud->lock);
		list_add(&ah->node, &ud->ahs);
		spin_unlock_bh(&ud->lock);
	}
	mutex_unlock(&v->teardown);
	if (!err)
		return ah;
	kfree(ah);
	return ERR_PTR(err);
}

/**
 * verbs_ah_put() - need a handle no more
 * @ah: the handle
 *
 * Context: any. The device is told by the work of the queue pair.
 */
void verbs_ah_put(struct verbs_ah *ah)
{
	struct verbs_ud *ud = ah->ud;

	if (!refcount_dec_and_test(&ah->ref))
		return;
	spin_lock_bh(&ud->lock);
	if (ah->ib) {
		list_move(&ah->node, &ud->dead);
		verbs_todo(ud->v, VERBS_TODO_REAP);
	} else {
		kfree_rcu(ah, rcu);
	}
	spin_unlock_bh(&ud->lock);
}

/* Have the device forget the handles that nobody needs. Process context. */
void verbs_ah_reap(struct verbs_ud *ud)
{
	mutex_lock(&ud->v->teardown);
	while (verbs_ah_forget(ud, &ud->dead))
		;
	mutex_unlock(&ud->v->teardown);
}

/* The device goes. What is posted from now on is flushed. Under teardown. */
void verbs_ah_detach(struct verbs_ud *ud)
{
	while (verbs_ah_forget(ud, &ud->ahs) || verbs_ah_forget(ud, &ud->dead))
		;
}

/**
 * verbs_ah_number() - let user space have a handle
 * @ud: whose
 * @ah: the handle; its reference is consumed if this succeeds
 * @number: where to put its number
 *
 * Context: process, may sleep.
 * Return: 0, -ENOBUFS (there are QP_MAX_AHS), -ENOMEM.
 */
int verbs_ah_number(struct verbs_ud *ud, struct verbs_ah *ah, u32 *number)
{
	int err = xa_alloc(&ud->handles, number, ah, XA_LIMIT(1, QP_MAX_AHS),
			   GFP_KERNEL_ACCOUNT);

	return err == -EBUSY ? -ENOBUFS : err;
}

int verbs_ah_destroy(struct qp_sock *qp, u32 handle)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;
	struct verbs_ah *ah = NULL;

	if (handle)
		ah = xa_erase(&ud->handles, handle);
	if (!ah)
		return -EINVAL;
	verbs_ah_put(ah);
	return 0;
}

/* A handle by its number, referenced, or NULL */
static struct verbs_ah *verbs_ah_get(struct verbs_ud *ud, u32 handle)
{
	struct verbs_ah *ah;

	rcu_read_lock();
	ah = xa_load(&ud->handles, handle);
	if (ah && !refcount_inc_not_zero(&ah->ref))
		ah = NULL;
	rcu_read_unlock();
	return ah;
}

/*
 * Resolving
 */

/**
 * struct verbs_resolve - looking for a peer
 * @done: it is found, or it cannot be
 * @err: why not
 * @again: the neighbour is not known yet
 * @qpn: number of the peer on its port; 0: to be asked for
 * @qkey: its Q_Key
 * @how: how messages are to travel, or NULL
 * @min_hops: hop limit that there is at least: GIDs of InfiniBand's own are in
 *	packets if it is not 0
 * @attr: its address, as the device wants it, if @err is 0
 */
struct verbs_resolve {
	struct completion done;
	int err;
	bool again;
	u32 qpn;
	u32 qkey;
	const struct qp_attr *how;
	u8 min_hops;
	struct rdma_ah_attr attr;
};

/* The route is known; the number may be, or the peer is asked */
static int verbs_resolve_route(struct verbs_resolve *r, struct rdma_cm_id *id)
{
	struct rdma_conn_param param = {};
	int err;

	/* The path may be such that the GIDs would not be in packets */
	id->route.path_rec->hop_limit = max(id->route.path_rec->hop_limit, r->min_hops);
	if (!r->qpn)
		return rdma_connect_locked(id, &param);
	err = ib_init_ah_attr_from_path(id->device, id->port_num,
					id->route.path_rec, &r->attr,
					id->route.addr.dev_addr.sgid_attr);
	if (!err) {
		r->err = 0;
		complete(&r->done);
	}
	return err;
}

/* The peer has answered. A number that is not one of an ordinary queue pair is
 * not believed.
 */
static int verbs_resolve_answer(struct verbs_resolve *r,
				const struct rdma_ud_param *ud)
{
	if (ud->qp_num < VERBS_MIN_QPN || ud->qp_num > VERBS_MAX_QPN ||
	    ud->qkey & VERBS_QKEY_PRIVILEGED)
		return -ECONNREFUSED;
	rdma_copy_ah_attr(&r->attr, &ud->ah_attr);
	r->qpn = ud->qp_num;
	r->qkey = ud->qkey;
	r->err = 0;
	complete(&r->done);
	return 0;
}

static int verbs_resolve_handler(struct rdma_cm_id *id,
				 struct rdma_cm_event *event)
{
	struct verbs_resolve *r = id->context;
	int err = 0;

	/* It has been said how it ended */
	if (r->err != -EINPROGRESS)
		return 0;
	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		err = verbs_ask_route(id);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		err = verbs_resolve_route(r, id);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		err = verbs_resolve_answer(r, &event->param.ud);
		break;
	case RDMA_CM_EVENT_UNREACHABLE:
		/* Nobody answered, or nobody is there (IBA v1 table 119) */
		err = event->status < 0 ? -ETIMEDOUT : -ECONNREFUSED;
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
		r->again = true;
		fallthrough;
	default:
		err = verbs_event_err(event);
		break;
	}
	if (err) {
		r->err = err;
		complete(&r->done);
	}
	return 0;
}

/* Wait for the neighbour, then for the peer */
static int verbs_resolve_wait(struct verbs_resolve *r, struct rdma_cm_id *id,
			      const struct sockaddr_storage *dst)
{
	int tries = VERBS_AH_NEIGH_TRIES;
	long timeo;
	int err;

	do {
		r->again = false;
		r->err = -EINPROGRESS;
		reinit_completion(&r->done);
		err = rdma_resolve_addr(id, NULL, (struct sockaddr *)dst,
					VERBS_AH_NEIGH_MS);
		if (err)
			return err;
		timeo = wait_for_completion_interruptible_timeout(&r->done,
								  VERBS_AH_TIME);
		if (timeo < 0)
			return timeo;
		if (!timeo)
			return -ETIMEDOUT;
	} while (r->again && --tries);
	return r->err;
}

/* Have messages travel as somebody wants it */
static void verbs_resolve_how(struct verbs_resolve *r)
{
	const struct qp_attr *how = r->how;
	struct ib_global_route *grh;

	if (!how)
		return;
	if (how->sl >= 0)
		rdma_ah_set_sl(&r->attr, how->sl);
	if (!(rdma_ah_get_ah_flags(&r->attr) & IB_AH_GRH))
		return;
	grh = rdma_ah_retrieve_grh(&r->attr);
	if (how->tclass >= 0)
		grh->traffic_class = how->tclass;
	if (how->hop_limit >= 0)
		grh->hop_limit = how->hop_limit;
}

/* The LID that an address names, 0 if it is none of those */
static u32 verbs_resolve_lid(const struct verbs_transport *t,
			     const struct sockaddr_storage *dst)
{
	const struct sockaddr_ib *ib = (const void *)dst;

	if (dst->ss_family != AF_IB || !t->gid_lid)
		return 0;
	return t->gid_lid((const union ib_gid *)&ib->sib_addr);
}

/* Where a LID is, on which nobody can be asked for a port */
static int verbs_resolve_path(struct verbs_resolve *r, struct rdma_cm_id *id, u32 lid)
{
	struct sa_path_rec rec;
	int err;

	err = verbs_native_lid_path(id, lid, &rec);
	if (err)
		return err;
	rec.hop_limit = max(rec.hop_limit, r->min_hops);
	return ib_init_ah_attr_from_path(id->device, id->port_num, &rec, &r->attr,
					 id->route.addr.dev_addr.sgid_attr);
}

/* Look for a peer from the address of the queue pair */
static int verbs_resolve_id(struct verbs_ud *ud, struct rdma_cm_id *id,
			    const struct sockaddr_storage *dst,
			    struct verbs_resolve *r, struct verbs_ah **ahp)
{
	struct verbs_qp *v = ud->v;
	const struct verbs_transport *t = verbs_transport_by_id(v->qp->proto->id);
	u32 lid = r->qpn ? verbs_resolve_lid(t, dst) : 0;
	struct sockaddr_storage src = v->local;
	int err;

	verbs_addr_set_port(&src, 0);
	err = verbs_bind_once(id, t, &src, true);
	if (!err)
		err = lid ? verbs_resolve_path(r, id, lid) :
			    verbs_resolve_wait(r, id, dst);
	if (err)
		return err;
	verbs_resolve_how(r);
	*ahp = verbs_ah_make(ud, &r->attr, r->qpn, r->qkey);
	return PTR_ERR_OR_ZERO(*ahp);
}

static int verbs_resolve_once(struct verbs_ud *ud,
			      const struct sockaddr_storage *dst,
			      struct verbs_resolve *r, struct verbs_ah **ahp)
{
	struct rdma_cm_id *id;
	int err;

	init_completion(&r->done);
	r->err = -EINPROGRESS;
	memset(&r->attr, 0, sizeof(r->attr));
	id = rdma_create_id(sock_net(&ud->v->qp->sk), verbs_resolve_handler, r,
			    RDMA_PS_UDP, IB_QPT_UD);
	if (IS_ERR(id))
		return PTR_ERR(id);
	err = verbs_resolve_id(ud, id, dst, r, ahp);
	/* Nobody calls back any more, and the id keeps the device until now */
	rdma_lock_handler(id);
	rdma_destroy_ah_attr(&r->attr);
	r->err = err ?: -EALREADY;
	rdma_unlock_handler(id);
	rdma_destroy_id(id);
	return err;
}

/*
 * Make a handle for an address, and for the number @qpn on it if that is not 0.
 * Returns it, or as verbs_ah_create().
 */
static struct verbs_ah *verbs_resolve(struct verbs_ud *ud,
				      struct sockaddr_storage *dst,
				      u32 qpn, u32 qkey,
				      const struct qp_attr *how)
{
	struct verbs_resolve r = { .qkey = qkey, .how = how };
	int tries = VERBS_AH_TRIES;
	struct verbs_ah *ah;
	int err;

	if (verbs_addr_any(dst) || verbs_addr_multicast(dst) ||
	    (!qpn && !verbs_addr_port(dst)))
		return ERR_PTR(-EINVAL);
	err = verbs_ud_start(ud->v, dst);
	if (!err)
		err = verbs_join_partition(&ud->v->local, dst);
	if (err)
		return ERR_PTR(err);
	/* Who receives it is to know from whom it is */
	r.min_hops = dst->ss_family == AF_IB;
	do {
		r.qpn = qpn;
		err = verbs_resolve_once(ud, dst, &r, &ah);
	} while (err == -ETIMEDOUT && --tries);
	return err ? ERR_PTR(err) : ah;
}

int verbs_ah_create(struct qp_sock *qp, struct qp_ah *qah,
		    struct sockaddr_storage *addr)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;
	struct sockaddr_storage dst;
	struct verbs_ah *ah;
	u32 number;
	int err;

	err = verbs_peer_take(qp, addr, qah->addrlen, &dst);
	if (err)
		return err;
	if (qah->qpn && (qah->qpn < VERBS_MIN_QPN || qah->qpn > VERBS_MAX_QPN))
		return -EINVAL;
	if (qah->qkey & VERBS_QKEY_PRIVILEGED)
		return -EINVAL;
	ah = verbs_resolve(ud, &dst, qah->qpn, qah->qkey ?: RDMA_UDP_QKEY,
			   NULL);
	if (IS_ERR(ah))
		return PTR_ERR(ah);
	qah->qpn = ah->qpn;
	qah->qkey = ah->qkey;
	err = verbs_ah_number(ud, ah, &number);
	if (err)
		verbs_ah_put(ah);
	else
		qah->ah = number;
	return err;
}

/* A number or Q_Key that the user in the kernel says is one that it has checked */
void *verbs_resolve_attr(struct qp_sock *qp, struct sockaddr_storage *name,
			 int len, struct qp_attr *attr)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;
	struct sockaddr_storage dst;
	struct verbs_ah *ah;
	int err;

	err = verbs_peer_take(qp, name, len, &dst);
	if (err)
		return ERR_PTR(err);
	if (verbs_addr_multicast(&dst))
		ah = verbs_group_dest(ud, &dst);
	else
		ah = verbs_resolve(ud, &dst, attr->qpn, attr->qkey, attr);
	if (!IS_ERR(ah)) {
		attr->qpn = ah->qpn;
		attr->qkey = ah->qkey;
		attr->lid = ah->dlid;
		attr->tclass = ah->tclass;
		attr->hop_limit = ah->hop_limit;
		attr->sl = ah->sl;
	}
	return ah;
}

/*
 * Names
 */

/* The address that a name says, in the form in which names are compared */
static void verbs_name(const struct sockaddr_storage *addr, union verbs_src *name)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	const struct sockaddr_in *in = (const void *)addr;

	memset(name, 0, sizeof(*name));
	if (addr->ss_family == AF_IB) {
		memcpy(name->bytes, addr, sizeof(name->bytes));
	} else if (addr->ss_family == AF_INET6) {
		name->in6.sin6_family = AF_INET6;
		name->in6.sin6_port = in6->sin6_port;
		name->in6.sin6_addr = in6->sin6_addr;
		name->in6.sin6_scope_id = in6->sin6_scope_id;
	} else {
		name->in.sin_family = AF_INET;
		name->in.sin_port = in->sin_port;
		name->in.sin_addr = in->sin_addr;
	}
}

/* Under @lock; the reference is the caller's */
static void verbs_name_del(struct verbs_ud *ud, struct verbs_ah *ah)
{
	list_del_init(&ah->name_node);
	ud->nr_names--;
}

/* What is remembered of a name, referenced; NULL if nothing is, or no more */
static struct verbs_ah *verbs_name_get(struct verbs_ud *ud,
				       const union verbs_src *name)
{
	struct verbs_ah *ah, *old = NULL, *found = NULL;

	spin_lock_bh(&ud->lock);
	list_for_each_entry(ah, &ud->names, name_node) {
		if (memcmp(&ah->name, name, sizeof(*name)))
			continue;
		if (time_after(jiffies, ah->expires)) {
			verbs_name_del(ud, ah);
			old = ah;
			break;
		}
		list_move(&ah->name_node, &ud->names);
		refcount_inc(&ah->ref);
		found = ah;
		break;
	}
	spin_unlock_bh(&ud->lock);
	if (old)
		verbs_ah_put(old);
	return found;
}

/* Remember a name, instead of the one that was not used for longest */
static void verbs_name_add(struct verbs_ud *ud, struct verbs_ah *ah,
			   const union verbs_src *name)
{
	struct verbs_ah *old = NULL;

	ah->name = *name;
	ah->expires = jiffies + VERBS_NAME_TIME;
	refcount_inc(&ah->ref);
	spin_lock_bh(&ud->lock);
	if (ud->nr_names == VERBS_MAX_NAMES) {
		old = list_last_entry(&ud->names, struct verbs_ah, name_node);
		verbs_name_del(ud, old);
	}
	list_add(&ah->name_node, &ud->names);
	ud->nr_names++;
	spin_unlock_bh(&ud->lock);
	if (old)
		verbs_ah_put(old);
}

/* Where a message to an address goes; may wait for the peer to say it */
static void *verbs_dest_name(struct verbs_ud *ud, struct sockaddr_storage *addr,
			     int len)
{
	struct sockaddr_storage dst;
	union verbs_src name;
	struct verbs_ah *ah;
	int err;

	err = verbs_peer_take(ud->v->qp, addr, len, &dst);
	if (err)
		return ERR_PTR(err);
	if (verbs_addr_multicast(&dst))
		return verbs_group_dest(ud, &dst);
	verbs_name(&dst, &name);
	ah = verbs_name_get(ud, &name);
	if (ah)
		return ah;
	ah = verbs_resolve(ud, &dst, 0, 0, NULL);
	if (!IS_ERR(ah))
		verbs_name_add(ud, ah, &name);
	return ah;
}

static struct verbs_ah *verbs_dest_peer(struct verbs_ud *ud)
{
	struct verbs_ah *ah;

	spin_lock_bh(&ud->lock);
	ah = ud->peer;
	if (ah)
		refcount_inc(&ah->ref);
	spin_unlock_bh(&ud->lock);
	return ah ?: ERR_PTR(-EDESTADDRREQ);
}

void *verbs_dest(struct qp_sock *qp, u32 handle, struct sockaddr_storage *name,
		 int len)
{
	struct verbs_ud *ud = verbs_qp(qp)->ud;

	if (name)
		return verbs_dest_name(ud, name, len);
	if (!handle)
		return verbs_dest_peer(ud);
	return verbs_ah_get(ud, handle) ?: ERR_PTR(-EINVAL);
}

void verbs_dest_get(struct qp_sock *qp, void *dest)
{
	struct verbs_ah *ah = dest;

	refcount_inc(&ah->ref);
}

void verbs_dest_put(struct qp_sock *qp, void *dest)
{
	verbs_ah_put(dest);
}

static void verbs_peer_set(struct verbs_ud *ud, struct verbs_ah *ah)
{
	spin_lock_bh(&ud->lock);
	swap(ud->peer, ah);
	spin_unlock_bh(&ud->lock);
	if (ah)
		verbs_ah_put(ah);
}

/**
 * verbs_ud_connect() - say where messages go that say nothing themselves
 * @qp: a queue pair for datagrams; the socket lock is held, and let go of while
 *	the peer is asked
 * @addr: the address; of the family AF_UNSPEC to forget it
 * @len: its length, bytes
 *
 * Context: process, may sleep.
 * Return: 0, or as verbs_ah_create().
 */
int verbs_ud_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len)
{
	struct verbs_qp *v = verbs_qp(qp);
	struct sockaddr_storage dst;
	struct verbs_ah *ah = NULL;
	int err;

	if (addr->ss_family == AF_UNSPEC) {
		memset(&v->peer, 0, sizeof(v->peer));
		verbs_peer_set(v->ud, NULL);
		return 0;
	}
	err = verbs_peer_take(qp, addr, len, &dst);
	if (err)
		return err;
	release_sock(&qp->sk);
	if (!verbs_addr_multicast(&dst))
		ah = verbs_resolve(v->ud, &dst, 0, 0, NULL);
	else if (!verbs_join_partition(&v->local, &dst))
		ah = verbs_group_dest(v->ud, &dst);
	else
		ah = ERR_PTR(-EADDRNOTAVAIL);
	lock_sock(&qp->sk);
	if (IS_ERR(ah))
		return PTR_ERR(ah);
	v->peer = dst;
	verbs_peer_set(v->ud, ah);
	return 0;
}

/* The descriptor is closed and all messages are flushed */
void verbs_ah_end(struct verbs_ud *ud)
{
	struct verbs_ah *ah, *next;
	unsigned long number;

	xa_for_each(&ud->handles, number, ah)
		verbs_ah_put(ah);
	xa_destroy(&ud->handles);
	list_for_each_entry_safe(ah, next, &ud->names, name_node) {
		list_del_init(&ah->name_node);
		verbs_ah_put(ah);
	}
	verbs_peer_set(ud, NULL);
}
