// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: connections, made by rdma_cm
 *
 * Who connects finds its own address by routing, and with it the netdevice and
 * the device: that is done in the call. The rest happens in handlers of
 * rdma_cm, whether somebody waits for it or not:
 *
 *	qp_connect()		ADDR_RESOLVED, ROUTE_RESOLVED, ESTABLISHED
 *	qp_accept()		CONNECT_REQUEST before it, then ESTABLISHED
 *
 * A handler changes the state and tells who waits; it never lets go of its own
 * connection, which the work of the queue pair does.
 */
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <trace/events/qp.h>

#include "stats.h"
#include "verbs.h"

/*
 * Neighbours are looked for so many times, ms each: rdma_cm hears of one only if
 * it is found after it began to wait
 */
#define VERBS_RESOLVE_TRIES	20
#define VERBS_RESOLVE_MS	100

/* A connection attempt may take that long; less if there is another one to make */
#define VERBS_CONNECT_TIME	(10 * HZ)
#define VERBS_FALLBACK_TIME	(2 * HZ)

/*
 * An accepted connection has to stand after that time. Whose RTU is lost is told every
 * 4.3 s that it is accepted; there is more time if nobody waits meanwhile.
 */
#define VERBS_ACCEPT_TIME	(10 * HZ)
#define VERBS_ACCEPT_KERN_TIME	(20 * HZ)

/* A new device learns its addresses a moment later: tries, and ms between */
#define VERBS_BIND_TRIES	100
#define VERBS_BIND_MS		10

/**
 * struct verbs_listener - a listener on one kind of devices
 * @node: in &verbs_qp.listeners
 * @v: the listener
 * @id: NULL before it listens, and once its device is gone
 * @gone: its device is
 * @emuls: emulations that it needs
 * @watch: the same, if it is for any address
 */
struct verbs_listener {
	struct list_head node;
	struct verbs_qp *v;
	struct rdma_cm_id *id;
	bool gone;
	struct verbs_emuls emuls;
	struct verbs_watch watch;
};

/**
 * struct verbs_pending - a connection that waits to be accepted
 * @node: in &verbs_qp.pending, or empty: somebody is about to accept it
 * @v: the listener
 * @id: the connection
 * @heard: &qp_sock.heard
 * @peer_qpn: &verbs_qp.peer_qpn
 * @peer_port: &verbs_qp.peer_port
 * @dead: the peer gave up. Under the handler's lock
 */
struct verbs_pending {
	struct list_head node;
	struct verbs_qp *v;
	struct rdma_cm_id *id;
	__be64 heard;
	u32 peer_qpn;
	__be16 peer_port;
	bool dead;
};

#define VERBS_HELLO		0x51504942	/* "QPIB" */

/**
 * struct verbs_hello - private data between GIDs of InfiniBand's own
 * @no_ip: 0: as IP addresses begin with version numbers (IBA v1 A11.3), rdma_cm
 *	knows by it that none follow
 * @port: of who says it, for a path has GIDs only
 * @magic: VERBS_HELLO
 * @hello: &qp_sock.hello
 */
struct verbs_hello {
	__be16 no_ip;
	__be16 port;
	__be32 magic;
	__be64 hello;
};

/*
 * Finding a device
 */

/* rdma_cm says that the address is not there if the port is taken */
int verbs_port_err(int err)
{
	return err == -EADDRNOTAVAIL ? -EADDRINUSE : err;
}

int verbs_bind_once(struct rdma_cm_id *id, const struct verbs_transport *t,
		    struct sockaddr_storage *addr, bool afonly)
{
	int err = rdma_restrict_node_type(id, t->node_type);

	if (!err)
		err = rdma_set_afonly(id, afonly);
	return err ?: rdma_bind_addr(id, (struct sockaddr *)addr);
}

/* Nobody makes a device that has a GID of its own: it is there, or has just gone */
static int verbs_bind_native(struct rdma_cm_id *id, const struct verbs_transport *t,
			     struct sockaddr_storage *addr)
{
	int err = verbs_bind_once(id, t, addr, true);

	return err == -ENODEV ? -EADDRNOTAVAIL : verbs_port_err(err);
}

/*
 * Bind an id to an address. If no device has the address, have one made and wait
 * until it knows its addresses. One that was made on demand is held before it is
 * bound, so that it is not removed under it.
 */
int verbs_bind_id(struct net *net, struct rdma_cm_id *id,
		  const struct verbs_transport *t,
		  struct sockaddr_storage *addr, struct verbs_emul **emul)
{
	int tries, ifindex, err;

	*emul = NULL;
	if (verbs_addr_any(addr))
		return verbs_bind_once(id, t, addr, true);
	if (addr->ss_family == AF_IB)
		return verbs_bind_native(id, t, addr);
	ifindex = verbs_addr_ifindex(net, addr);
	if (!ifindex)
		return -EADDRNOTAVAIL;
	*emul = verbs_emul_get(net, ifindex, t, false);
	for (tries = 0; tries < VERBS_BIND_TRIES; tries++) {
		err = verbs_bind_once(id, t, addr, true);
		if (err != -ENODEV)
			break;
		if (IS_ERR_OR_NULL(*emul))
			*emul = verbs_emul_get(net, ifindex, t, true);
		if (IS_ERR(*emul)) {
			err = PTR_ERR(*emul);
			break;
		}
		if (tries && msleep_interruptible(VERBS_BIND_MS)) {
			err = -ERESTARTSYS;
			break;
		}
	}
	if (IS_ERR(*emul))
		*emul = NULL;
	if (err) {
		verbs_emul_put(*emul, net);
		*emul = NULL;
	}
	/* The address is there, so it is the port that is not */
	return verbs_port_err(err);
}

/*
 * Connecting
 */

/* Is it one between GIDs of InfiniBand's own? */
static bool verbs_id_native(const struct rdma_cm_id *id)
{
	return id->route.addr.src_addr.ss_family == AF_IB;
}

/* What the peer said with its request or reply, and its port if it says that */
static __be64 verbs_heard(const struct rdma_cm_id *id,
			  const struct rdma_conn_param *param, __be16 *port)
{
	struct verbs_hello h = {};
	__be64 heard = 0;

	*port = 0;
	if (param->private_data_len >= sizeof(h))
		memcpy(&h, param->private_data, sizeof(h));
	if (verbs_id_native(id) && !h.no_ip && h.magic == htonl(VERBS_HELLO)) {
		*port = h.port;
		return h.hello;
	}
	if (param->private_data_len >= sizeof(heard))
		memcpy(&heard, param->private_data, sizeof(heard));
	return heard;
}

/* What the peer is told by it; @h is used until the call that says it returns */
static void verbs_say(const struct verbs_qp *v, const struct rdma_cm_id *id,
		      struct verbs_hello *h, struct rdma_conn_param *param)
{
	if (verbs_id_native(id)) {
		*h = (struct verbs_hello){
			.port	= verbs_addr_port(&id->route.addr.src_addr),
			.magic	= htonl(VERBS_HELLO),
			.hello	= v->qp->hello,
		};
		param->private_data = h;
		param->private_data_len = sizeof(*h);
	} else if (v->qp->hello) {
		param->private_data = &v->qp->hello;
		param->private_data_len = sizeof(v->qp->hello);
	}
}

/* Have the peer's way asked for. Without a subnet manager there is none. */
int verbs_ask_route(struct rdma_cm_id *id)
{
	int err = rdma_resolve_route(id, VERBS_ROUTE_MS);

	return err == -EAGAIN ? -ENETUNREACH : err;
}

static int verbs_request(struct verbs_qp *v, struct rdma_cm_id *id)
{
	const struct ib_device_attr *attrs = &id->device->attrs;
	struct rdma_conn_param param = {
		.initiator_depth	= min(attrs->max_qp_init_rd_atom,
					      VERBS_RD_ATOMIC),
		.responder_resources	= min(attrs->max_qp_rd_atom,
					      VERBS_RD_ATOMIC),
		.retry_count		= VERBS_RETRIES,
		.rnr_retry_count	= VERBS_RNR_FOREVER,
	};
	struct verbs_hello h;

	if (READ_ONCE(v->phase) != VERBS_SETUP)
		return -ECONNABORTED;
	verbs_params_route(v, id);
	verbs_say(v, id, &h, &param);
	return rdma_connect_locked(id, &param);
}

/* A path has no service ID of who connects; it may have told its port */
static void verbs_name_peer(struct verbs_qp *v)
{
	struct sockaddr_ib *ib = (void *)&v->peer;

	if (ib->sib_family != AF_IB || ib->sib_sid)
		return;
	ib->sib_sid = ((const struct sockaddr_ib *)&v->local)->sib_sid;
	verbs_addr_set_port(&v->peer, v->peer_port);
}

/* The connection stands, unless the queue pair goes */
static void verbs_established(struct verbs_qp *v, struct rdma_cm_id *id)
{
	bool up;

	spin_lock_bh(&v->recv_lock);
	spin_lock(&v->send_lock);
	up = v->phase == VERBS_SETUP;
	if (up)
		v->phase = VERBS_UP;
	spin_unlock(&v->send_lock);
	spin_unlock_bh(&v->recv_lock);
	if (!up)
		return;
	timer_delete(&v->timer);
	v->any = NULL;
	verbs_addr_of_id(id, &id->route.addr.src_addr, &v->local);
	verbs_addr_of_id(id, &id->route.addr.dst_addr, &v->peer);
	verbs_name_peer(v);
	qp_set_state(v->qp, QP_STATE_RTS);
	qp_recv_taken(v->qp);
	verbs_recv_run(v);
	complete(&v->settled);
	qp_wake(v->qp, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	qp_changed(v->qp);
}

/* A connection attempt has failed; the work of the queue pair says so */
void verbs_conn_abort(struct verbs_qp *v, int err)
{
	if (!cmpxchg(&v->err, 0, err))
		verbs_todo(v, VERBS_TODO_TEARDOWN);
}

/* A connection was not made in time, or it is time to end one */
void verbs_conn_timeout(struct timer_list *timer)
{
	struct verbs_qp *v = timer_container_of(v, timer, timer);

	if (qp_state(v->qp) == QP_STATE_CONNECTING)
		verbs_conn_abort(v, -ETIMEDOUT);
	else
		verbs_todo(v, VERBS_TODO_DISCONNECT);
}

/* What rdma_cm reports, as connect(2) does */
int verbs_event_err(const struct rdma_cm_event *event)
{
	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return event->status == -ENODEV ? -ENODEV : -EHOSTUNREACH;
	case RDMA_CM_EVENT_UNREACHABLE:
		return -ETIMEDOUT;
	case RDMA_CM_EVENT_REJECTED:
		return -ECONNREFUSED;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		return -ENETDOWN;
	case RDMA_CM_EVENT_CONNECT_ERROR:
		/* siw's words for a peer that closes instead of a reply */
		if (event->status == -EINVAL || event->status == -ECONNRESET)
			return -ECONNREFUSED;
		fallthrough;
	default:
		return event->status < 0 ? event->status : -ECONNABORTED;
	}
}

static int verbs_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct verbs_qp *v = id->context;
	__be16 port;
	int err = 0;

	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		err = verbs_ask_route(id);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		err = verbs_request(v, id);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		/* Who accepted has heard of it before */
		if (!v->qp->heard)
			v->qp->heard = verbs_heard(id, &event->param.conn, &port);
		if (!v->peer_qpn)
			v->peer_qpn = event->param.conn.qp_num;
		verbs_established(v, id);
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
		if (v->resolve_tries) {
			v->resolve_tries--;
			verbs_todo(v, VERBS_TODO_RESOLVE);
			break;
		}
		fallthrough;
	case RDMA_CM_EVENT_ROUTE_ERROR:
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		err = verbs_event_err(event);
		break;
	default:
		break;
	}
	if (err && qp_state(v->qp) == QP_STATE_CONNECTING)
		verbs_conn_abort(v, err);
	else if (err)
		verbs_fail(v);
	return 0;
}

/* All that can happen to one that waits to be used is that its device goes */
static int verbs_bound_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct verbs_qp *v = id->context;

	/* Whoever takes the pointer destroys the id */
	return event->event == RDMA_CM_EVENT_DEVICE_REMOVAL &&
	       cmpxchg(&v->bound, id, NULL) == id;
}

/* What has the address that the queue pair is bound to; NULL: it is to be bound */
static struct rdma_cm_id *verbs_bound_take(struct verbs_qp *v,
					   rdma_cm_event_handler handler,
					   void *context)
{
	struct rdma_cm_id *id = xchg(&v->bound, NULL);

	if (!id)
		return NULL;
	rdma_lock_handler(id);
	id->context = context;
	id->event_handler = handler;
	rdma_unlock_handler(id);
	return id;
}

/* Have the address no more, if it was not used. Process context, may sleep. */
void verbs_unbind(struct verbs_qp *v)
{
	struct rdma_cm_id *id = xchg(&v->bound, NULL);

	if (id)
		rdma_destroy_id(id);
	verbs_emul_put(v->bound_emul, sock_net(&v->qp->sk));
	v->bound_emul = NULL;
}

/*
 * Does any address mean any of the protocol's own? As a GID it is any GID, and any IP
 * address of either version.
 */
static bool verbs_afonly(const struct qp_sock *qp)
{
	return qp->domain != AF_IB || verbs_proto_native(qp->proto->id);
}

/* Take the port of an address for who is about to connect or listen */
static int verbs_bind_port(struct verbs_qp *v)
{
	struct qp_sock *qp = v->qp;
	struct rdma_cm_id *id;
	int err;

	id = rdma_create_id(sock_net(&qp->sk), verbs_bound_handler, v,
			    RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(id))
		return PTR_ERR(id);
	rdma_set_reuseaddr(id, qp->reuse);
	if (verbs_addr_any(&v->local))
		err = verbs_port_err(verbs_bind_once(id, verbs_transport_by_id(qp->proto->id),
						     &v->local, verbs_afonly(qp)));
	else
		err = verbs_bind_id(sock_net(&qp->sk), id,
				    verbs_transport_by_id(qp->proto->id),
				    &v->local, &v->bound_emul);
	if (err) {
		rdma_destroy_id(id);
		return err;
	}
	verbs_addr_set_port(&v->local,
			    verbs_addr_port(&id->route.addr.src_addr));
	xchg(&v->bound, id);
	return 0;
}

/* Have an id that is bound to the own address that leads to the peer */
static int verbs_open(struct verbs_qp *v)
{
	struct qp_sock *qp = v->qp;
	struct net *net = sock_net(&qp->sk);
	struct sockaddr_storage src = v->local;
	struct rdma_cm_id *id;
	int err;

	if (!src.ss_family || verbs_addr_any(&src)) {
		/* One for any address can not be made one for this */
		verbs_unbind(v);
		err = verbs_set_out(net, qp->sk.sk_bound_dev_if, &v->local,
				    &v->peer, &src);
		if (err)
			return err;
	}
	err = verbs_join_partition(&src, &v->peer);
	if (err)
		return err;
	id = verbs_bound_take(v, verbs_handler, v);
	if (id) {
		swap(v->emul, v->bound_emul);
		v->id = id;
		verbs_params_apply(v, id);
		return 0;
	}
	id = rdma_create_id(net, verbs_handler, v, RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(id))
		return PTR_ERR(id);
	rdma_set_reuseaddr(id, qp->reuse);
	err = verbs_bind_id(net, id, v->transport, &src, &v->emul);
	if (err) {
		rdma_destroy_id(id);
		return err;
	}
	v->id = id;
	verbs_params_apply(v, id);
	return 0;
}

/* What is tried after a transport if any will do, or NULL */
static const struct verbs_transport *verbs_next(const struct verbs_qp *v,
						const struct verbs_transport *t)
{
	t = t->fallback;
	return t && t->proto->domains & BIT_ULL(v->qp->domain) ? t : NULL;
}

static unsigned long verbs_connect_time(const struct verbs_qp *v)
{
	if (v->any && verbs_next(v, v->transport))
		return VERBS_FALLBACK_TIME;
	return v->qp->connect_time ?: VERBS_CONNECT_TIME;
}

static int verbs_try_id(struct verbs_qp *v)
{
	int err = verbs_attach(v, v->id);

	if (!err)
		err = verbs_make_qp(v, v->id);
	if (err)
		return err;
	mod_timer(&v->timer, jiffies + verbs_connect_time(v));
	v->resolve_tries = VERBS_RESOLVE_TRIES;
	return rdma_resolve_addr(v->id, NULL, (struct sockaddr *)&v->peer,
				 VERBS_RESOLVE_MS);
}

/*
 * Begin to connect by @v->transport to @v->peer; what comes next is up to
 * verbs_handler(). The device may go meanwhile, and with it the id.
 */
static int verbs_try(struct verbs_qp *v)
{
	int err;

	v->err = 0;
	err = verbs_open(v);
	if (err)
		return err;
	mutex_lock(&v->teardown);
	err = v->id ? verbs_try_id(v) : -ENETDOWN;
	mutex_unlock(&v->teardown);
	return err;
}

/**
 * verbs_conn_resolve() - look for the peer once more
 * @v: whose
 *
 * Context: a worker, may sleep.
 */
void verbs_conn_resolve(struct verbs_qp *v)
{
	int err = 0;

	mutex_lock(&v->teardown);
	if (v->id && qp_state(v->qp) == QP_STATE_CONNECTING && !v->err)
		err = rdma_resolve_addr(v->id, NULL,
					(struct sockaddr *)&v->peer,
					VERBS_RESOLVE_MS);
	mutex_unlock(&v->teardown);
	if (err)
		verbs_conn_abort(v, err);
}

/* Let go of everything that an attempt has come by */
static void verbs_untry(struct verbs_qp *v)
{
	struct qp_sock *qp = v->qp;

	timer_delete_sync(&v->timer);
	verbs_detach(v);
	/* The next attempt begins by looking for the peer itself */
	clear_bit(VERBS_TODO_RESOLVE, &v->todo);
	verbs_emul_put(v->emul, sock_net(&qp->sk));
	v->emul = NULL;
	if (v->any) {
		WRITE_ONCE(qp->proto, v->any);
		WRITE_ONCE(qp->opcodes, qp_proto_opcodes(v->any, qp->type));
	}
}

static void verbs_falls_back(struct verbs_qp *v, const struct verbs_transport *from,
			     const struct verbs_transport *to, int err)
{
	qp_count(v->qp, QP_MIB_FALLBACKS);
	trace_qp_fallback(v->qp, from->proto->name, to->proto->name, err);
}

/* Try one transport after the other until one has at least begun */
static int verbs_try_from(struct verbs_qp *v, const struct verbs_transport *t)
{
	const struct verbs_transport *failed;
	int err;

	lockdep_assert_held(&v->attempt);
	for (;;) {
		v->transport = t;
		err = verbs_try(v);
		if (!err)
			return 0;
		verbs_untry(v);
		failed = t;
		t = verbs_next(v, t);
		if (!v->any || !t || READ_ONCE(v->closed))
			return err;
		verbs_falls_back(v, failed, t, err);
	}
}

/*
 * The same by a worker, as who connects would do it: registrations are of that
 * process, and it is the one to be charged.
 */
static int verbs_fall_back(struct verbs_qp *v)
{
	const struct verbs_transport *next;
	const struct cred *old;
	int err = -EHOSTUNREACH;

	/* Who accepts has neither a choice nor a transport to begin with */
	next = v->any ? verbs_next(v, v->transport) : NULL;
	if (!next || !mmget_not_zero(v->mm))
		return err;
	verbs_falls_back(v, v->transport, next, v->err);
	kthread_use_mm(v->mm);
	old = override_creds(v->cred);
	err = verbs_try_from(v, next);
	revert_creds(old);
	kthread_unuse_mm(v->mm);
	mmput(v->mm);
	return err;
}

/* The attempt is over, and none follows */
static bool verbs_give_up(struct verbs_qp *v)
{
	struct qp_sock *qp = v->qp;
	int err = v->err;

	lockdep_assert_held(&v->attempt);
	if (qp_state(qp) != QP_STATE_CONNECTING || !err)
		return false;
	verbs_untry(v);
	if (!READ_ONCE(v->closed) && !READ_ONCE(v->aborted) && !verbs_fall_back(v))
		return false;
	WRITE_ONCE(qp->sk.sk_err, -err);
	qp_set_state(qp, QP_STATE_IDLE);
	return true;
}

/**
 * verbs_conn_failed() - a connection could not be made: try another protocol,
 * or say so
 * @v: whose
 *
 * Context: a worker, may sleep.
 */
void verbs_conn_failed(struct verbs_qp *v)
{
	bool over;

	mutex_lock(&v->attempt);
	over = verbs_give_up(v);
	mutex_unlock(&v->attempt);
	if (!over)
		return;
	complete(&v->settled);
	qp_wake(v->qp, EPOLLIN | EPOLLOUT | EPOLLERR);
	qp_changed(v->qp);
}

/* Who connects is who connected last */
static void verbs_remember(struct verbs_qp *v)
{
	verbs_forget(v);
	v->mm = current->mm;
	mmgrab(v->mm);
	v->cred = get_current_cred();
}

void verbs_forget(struct verbs_qp *v)
{
	if (v->mm)
		mmdrop(v->mm);
	put_cred(v->cred);
	v->mm = NULL;
	v->cred = NULL;
}

/* &qp_proto.connect: there is nothing to wait for until it has begun */
int verbs_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		  long *timeo)
{
	struct verbs_qp *v = verbs_qp(qp);
	struct sockaddr_storage peer;
	int err;

	err = verbs_peer_take(qp, addr, len, &peer);
	if (err)
		return err;
	/* A refusal that nobody asked for is not this one's */
	sock_error(&qp->sk);
	flush_work(&v->work);
	mutex_lock(&v->attempt);
	verbs_remember(v);
	v->peer = peer;
	v->peer_qpn = 0;
	v->peer_port = 0;
	v->aborted = false;
	v->any = qp->proto->id == QP_PROTO_ANY ? qp->proto : NULL;
	qp_set_state(qp, QP_STATE_CONNECTING);
	err = verbs_try_from(v, verbs_transport_by_id(qp->proto->id));
	if (err)
		qp_set_state(qp, QP_STATE_IDLE);
	mutex_unlock(&v->attempt);
	return err;
}

/*
 * Listening
 */

/* A connection that waits to be accepted: all that can happen is its end */
static int verbs_pending_handler(struct rdma_cm_id *id,
				 struct rdma_cm_event *event)
{
	struct verbs_pending *p = id->context;
	struct verbs_qp *v = p->v;
	bool ours;

	spin_lock(&v->pending_lock);
	ours = !list_empty(&p->node);
	if (ours) {
		list_del_init(&p->node);
		sk_acceptq_removed(&v->qp->sk);
	}
	spin_unlock(&v->pending_lock);
	if (!ours) {
		p->dead = true;
		return 0;
	}
	kfree(p);
	return 1;
}

/* Enter the listener's list; what is returned ends the connection if not 0 */
static int verbs_enqueue(struct verbs_qp *v, struct rdma_cm_id *id,
			 const struct rdma_conn_param *param)
{
	struct verbs_pending *p = kzalloc_obj(*p);
	int err = -ENOMEM;

	if (!p)
		return err;
	p->v = v;
	p->id = id;
	p->heard = verbs_heard(id, param, &p->peer_port);
	p->peer_qpn = param->qp_num;
	spin_lock(&v->pending_lock);
	if (v->closed || !qp_backlog_room(v->qp) ||
	    !verbs_same_partition(&id->route.addr.src_addr, &v->local) ||
	    (v->qp->user && !v->qp->user->wants(v->qp, p->heard))) {
		err = -ECONNREFUSED;
	} else {
		id->context = p;
		id->event_handler = verbs_pending_handler;
		list_add_tail(&p->node, &v->pending);
		sk_acceptq_added(&v->qp->sk);
		err = 0;
	}
	spin_unlock(&v->pending_lock);
	if (err) {
		kfree(p);
		return err;
	}
	qp_wake(v->qp, EPOLLIN | EPOLLRDNORM);
	qp_changed(v->qp);
	return 0;
}

/* A listener loses a device. If it is the last, nobody will come any more. */
static void verbs_listener_loses(struct verbs_qp *v,
				 const struct verbs_listener *loser)
{
	struct verbs_listener *l;

	list_for_each_entry(l, &v->listeners, node)
		if (l != loser && READ_ONCE(l->id))
			return;
	WRITE_ONCE(v->qp->sk.sk_err, ENETDOWN);
	qp_wake(v->qp, EPOLLERR);
	qp_changed(v->qp);
}

static int verbs_listen_handler(struct rdma_cm_id *id,
				struct rdma_cm_event *event)
{
	struct verbs_listener *l = id->context;

	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		return verbs_enqueue(l->v, id, &event->param.conn);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		WRITE_ONCE(l->gone, true);
		verbs_listener_loses(l->v, l);
		/*
		 * Whoever takes the pointer destroys the id. From then on
		 * verbs_unlisten() does not wait for this handler.
		 */
		return xchg(&l->id, NULL) ? 1 : 0;
	default:
		return 0;
	}
}

static void verbs_listener_end(struct verbs_listener *l)
{
	struct rdma_cm_id *id = xchg(&l->id, NULL);

	if (id)
		rdma_destroy_id(id);
	verbs_watch_end(&l->watch);
	verbs_emuls_put(&l->emuls, sock_net(&l->v->qp->sk));
	kfree(l);
}

/* Have devices, and an id that is bound to the listener's address */
static int verbs_listener_bind(struct verbs_listener *l, struct rdma_cm_id *id,
			       const struct verbs_transport *t,
			       struct sockaddr_storage *addr)
{
	struct sock *sk = &l->v->qp->sk;
	struct verbs_emul *emul;
	int err;

	if (verbs_addr_any(addr)) {
		verbs_watch_start(&l->watch, sock_net(sk), sk->sk_bound_dev_if, t);
		return verbs_port_err(verbs_bind_once(id, t, addr,
						      verbs_afonly(l->v->qp)));
	}
	err = verbs_bind_id(sock_net(sk), id, t, addr, &emul);
	if (!err && emul)
		verbs_emuls_add(&l->emuls, emul, sock_net(sk));
	return err;
}

/* It has been bound before: have devices */
static int verbs_listener_bound(struct verbs_listener *l,
				const struct verbs_transport *t)
{
	struct verbs_qp *v = l->v;
	struct sock *sk = &v->qp->sk;

	if (verbs_addr_any(&v->local))
		verbs_watch_start(&l->watch, sock_net(sk), sk->sk_bound_dev_if, t);
	if (v->bound_emul)
		verbs_emuls_add(&l->emuls, v->bound_emul, sock_net(sk));
	v->bound_emul = NULL;
	return 0;
}

static int verbs_listener_start(struct verbs_listener *l, struct rdma_cm_id *id,
				const struct verbs_transport *t,
				struct sockaddr_storage *addr, bool bound)
{
	struct verbs_qp *v = l->v;
	int err;

	err = bound ? verbs_listener_bound(l, t) : verbs_listener_bind(l, id, t, addr);
	if (err)
		return err;
	/* So that memory can be registered before somebody connects */
	if (id->device && !v->dev) {
		mutex_lock(&v->teardown);
		err = verbs_attach(v, id);
		mutex_unlock(&v->teardown);
	}
	return err ?: verbs_port_err(rdma_listen(id, v->qp->sk.sk_max_ack_backlog));
}

/* Listen at @addr for connections by @t; the port is chosen if it is 0 */
static int verbs_listen_on(struct verbs_qp *v, const struct verbs_transport *t,
			   struct sockaddr_storage *addr)
{
	struct verbs_listener *l = kzalloc_obj(*l, GFP_KERNEL_ACCOUNT);
	struct rdma_cm_id *id, *bound;
	int err;

	if (!l)
		return -ENOMEM;
	l->v = v;
	verbs_watch_init(&l->watch);
	bound = verbs_bound_take(v, verbs_listen_handler, l);
	id = bound ?: rdma_create_id(sock_net(&v->qp->sk), verbs_listen_handler, l,
				     RDMA_PS_TCP, IB_QPT_RC);
	if (IS_ERR(id)) {
		kfree(l);
		return PTR_ERR(id);
	}
	err = verbs_listener_start(l, id, t, addr, bound);
	if (!err)
		*addr = id->route.addr.src_addr;
	/* From here on it is destroyed by who takes it, maybe the handler */
	xchg(&l->id, id);
	if (!err && READ_ONCE(l->gone))
		err = -ENODEV;
	if (err)
		verbs_listener_end(l);
	else
		list_add(&l->node, &v->listeners);
	return err;
}

/* Does a listener speak any protocol? It stays so whoever is attached to it. */
static void verbs_restore_any(struct verbs_qp *v, const struct qp_proto *proto)
{
	WRITE_ONCE(v->qp->proto, proto);
	WRITE_ONCE(v->qp->opcodes, proto->opcodes);
}

/*
 * An address is bound as it is connected or listened to, for only then it is
 * known for which of them, but whether it is there is said at once.
 */
int verbs_bind(struct qp_sock *qp, struct sockaddr_storage *addr, int len)
{
	struct verbs_qp *v = verbs_qp(qp);
	struct sockaddr_storage local;
	int err = verbs_own_take(qp, addr, len, &local);

	if (err)
		return err;
	if (local.ss_family != AF_IB && !verbs_addr_any(&local) &&
	    !verbs_addr_ifindex(sock_net(&qp->sk), &local))
		return -EADDRNOTAVAIL;
	v->local = local;
	/* Datagrams may come to it from now on */
	if (v->ud)
		return verbs_addr_any(&local) ? 0 : verbs_ud_start(v, NULL);
	/* Those of users in the kernel speak one protocol: it is taken at once */
	return qp->user ? verbs_bind_port(v) : 0;
}

/*
 * One that listens for any protocol does so for each that there can be a device
 * for. What the first of them says counts.
 */
int verbs_listen(struct qp_sock *qp)
{
	const struct qp_proto *proto = qp->proto;
	const struct verbs_transport *t = verbs_transport_by_id(proto->id);
	struct verbs_qp *v = verbs_qp(qp);
	int err;

	if (v->ud)
		return -EOPNOTSUPP;
	qp_set_state(qp, QP_STATE_LISTEN);
	err = verbs_listen_on(v, t, &v->local);
	if (proto->id == QP_PROTO_ANY) {
		verbs_restore_any(v, proto);
		while ((t = verbs_next(v, t))) {
			if (!verbs_listen_on(v, t, &v->local))
				err = 0;
			verbs_restore_any(v, proto);
		}
	}
	if (err)
		qp_set_state(qp, QP_STATE_IDLE);
	return err;
}

static struct verbs_pending *verbs_dequeue(struct verbs_qp *v)
{
	struct verbs_pending *p;

	spin_lock(&v->pending_lock);
	p = list_first_entry_or_null(&v->pending, struct verbs_pending, node);
	if (p) {
		list_del_init(&p->node);
		sk_acceptq_removed(&v->qp->sk);
	}
	spin_unlock(&v->pending_lock);
	return p;
}

static void verbs_pending_end(struct verbs_pending *p)
{
	rdma_destroy_id(p->id);
	kfree(p);
}

/**
 * verbs_unlisten() - listen no more
 * @v: a listener that is closed; who waits to be accepted is refused
 *
 * Context: process, may sleep.
 */
void verbs_unlisten(struct verbs_qp *v)
{
	struct verbs_listener *l, *next;
	struct verbs_pending *p;
	struct rdma_cm_id *id;

	/* Handlers look at the others */
	list_for_each_entry(l, &v->listeners, node) {
		id = xchg(&l->id, NULL);
		if (id)
			rdma_destroy_id(id);
	}
	list_for_each_entry_safe(l, next, &v->listeners, node)
		verbs_listener_end(l);
	INIT_LIST_HEAD(&v->listeners);
	while ((p = verbs_dequeue(v)))
		verbs_pending_end(p);
}

/* Make a connection that waited @v's, and say so to the peer */
static int verbs_take(struct verbs_qp *v, struct verbs_pending *p)
{
	const struct ib_device_attr *attrs = &p->id->device->attrs;
	struct rdma_conn_param param = {
		.initiator_depth	= min(attrs->max_qp_init_rd_atom,
					      VERBS_RD_ATOMIC),
		.responder_resources	= min(attrs->max_qp_rd_atom,
					      VERBS_RD_ATOMIC),
		.rnr_retry_count	= VERBS_RNR_FOREVER,
	};
	struct rdma_cm_id *id = p->id;
	struct verbs_hello h;
	int err;

	v->emul = verbs_emul_of(id->device);
	v->qp->heard = p->heard;
	v->peer_qpn = p->peer_qpn;
	v->peer_port = p->peer_port;
	verbs_say(v, id, &h, &param);
	verbs_params_apply(v, id);
	/* Nobody waits for those of users in the kernel */
	if (v->qp->user)
		mod_timer(&v->timer, jiffies + VERBS_ACCEPT_KERN_TIME);
	/* Once it is attached the device can go, and with it the id */
	mutex_lock(&v->teardown);
	err = verbs_attach(v, id);
	if (!err)
		err = verbs_make_qp(v, id);

	rdma_lock_handler(id);
	id->context = v;
	id->event_handler = verbs_handler;
	if (p->dead)
		err = -ECONNABORTED;
	if (!err)
		err = rdma_accept(id, &param);
	rdma_unlock_handler(id);
	mutex_unlock(&v->teardown);
	/* TCP says it so if the peer gave up */
	return err == -ECONNRESET ? -ECONNABORTED : err;
}

int verbs_accept(struct qp_sock *listener, struct qp_sock *qp)
{
	struct verbs_pending *p = verbs_dequeue(verbs_qp(listener));
	struct verbs_qp *v = verbs_qp(qp);
	int err;

	if (!p)
		return -EAGAIN;
	v->id = p->id;
	v->params = verbs_qp(listener)->params;
	qp_set_state(qp, QP_STATE_CONNECTING);
	err = verbs_take(v, p);
	kfree(p);
	if (qp->user)
		return err;
	if (!err)
		wait_for_completion_timeout(&v->settled, VERBS_ACCEPT_TIME);
	/* It may have come and gone already */
	if (!err && qp_state(qp) != QP_STATE_RTS && qp_state(qp) != QP_STATE_ERROR)
		err = -ECONNABORTED;
	return err;
}

/* RC has no half of a connection that could be closed */
int verbs_shutdown(struct qp_sock *qp, int how)
{
	if (how != SHUTDOWN_MASK)
		return -EOPNOTSUPP;
	qp_hangup(qp);
	verbs_todo(verbs_qp(qp), VERBS_TODO_DISCONNECT);
	return 0;
}
