// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: answering who asks for a service ID
 *
 * A service is a listener of rdma_cm for datagrams (IBA v1 12.11, SIDR). It has no
 * queue pair of its own: somebody else says which one receives at the address
 * that was asked for, and may make it then. That takes a while, so requests wait
 * for a worker.
 */
#include <linux/slab.h>
#include <rdma/ib_cm.h>

#include "verbs.h"

/* Requests that wait for an answer; who is not answered asks again */
#define VERBS_SERVICE_BACKLOG	256

/**
 * struct verbs_service - the engine's part of a service, &qp_service.priv
 * @s: the service
 * @id: the listener; NULL before it listens, and once its device is gone
 * @gone: its device is
 * @emuls: emulations that it needs
 * @watch: the same, if it is for any address
 * @work: answers
 * @lock: protects @queries, @nr_queries and @ending
 * @queries: &verbs_query.node
 * @nr_queries: how many
 * @ending: there are to be no more
 */
struct verbs_service {
	struct qp_service *s;
	struct rdma_cm_id *id;
	bool gone;
	struct verbs_emuls emuls;
	struct verbs_watch watch;
	struct work_struct work;
	spinlock_t lock;	/* queries, nr_queries, ending */
	struct list_head queries;
	u32 nr_queries;
	bool ending;
};

/**
 * struct verbs_query - a request that waits for an answer
 * @node: in &verbs_service.queries
 * @id: the request
 */
struct verbs_query {
	struct list_head node;
	struct rdma_cm_id *id;
};

/* All that can happen to a request that waits is that its device goes */
static int verbs_query_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	return 0;
}

/* What is returned ends the request if it is not 0 */
static int verbs_query_add(struct verbs_service *vs, struct rdma_cm_id *id)
{
	struct verbs_query *q = kzalloc_obj(*q);
	bool room;

	if (!q)
		return -ENOMEM;
	q->id = id;
	spin_lock(&vs->lock);
	room = !vs->ending && vs->nr_queries < VERBS_SERVICE_BACKLOG;
	if (room) {
		id->event_handler = verbs_query_handler;
		list_add_tail(&q->node, &vs->queries);
		vs->nr_queries++;
		queue_work(verbs_wq, &vs->work);
	}
	spin_unlock(&vs->lock);
	if (room)
		return 0;
	kfree(q);
	return -ENOBUFS;
}

static struct verbs_query *verbs_query_next(struct verbs_service *vs)
{
	struct verbs_query *q;

	spin_lock(&vs->lock);
	q = list_first_entry_or_null(&vs->queries, struct verbs_query, node);
	if (q) {
		list_del(&q->node);
		vs->nr_queries--;
	}
	spin_unlock(&vs->lock);
	return q;
}

static void verbs_query_end(struct verbs_query *q)
{
	rdma_destroy_id(q->id);
	kfree(q);
}

static void verbs_query_answer(struct verbs_service *vs, struct rdma_cm_id *id)
{
	struct rdma_conn_param param = {};
	struct sockaddr_storage src, local;
	int err = -EADDRNOTAVAIL;

	verbs_addr_of_id(id, &id->route.addr.src_addr, &src);
	verbs_addr_show(vs->s->addr.ss_family, QP_UD, (struct sockaddr *)&src,
			&local);
	if (verbs_same_partition(&local, &vs->s->addr))
		err = vs->s->find(vs->s, &local, &param.qp_num, &param.qkey);
	rdma_lock_handler(id);
	if (err)
		rdma_reject(id, NULL, 0, 0);
	else
		rdma_accept(id, &param);
	rdma_unlock_handler(id);
}

static void verbs_service_work(struct work_struct *work)
{
	struct verbs_service *vs = container_of(work, struct verbs_service, work);
	struct verbs_query *q;

	while ((q = verbs_query_next(vs))) {
		verbs_query_answer(vs, q->id);
		verbs_query_end(q);
	}
}

static int verbs_service_handler(struct rdma_cm_id *id,
				 struct rdma_cm_event *event)
{
	struct verbs_service *vs = id->context;

	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		return verbs_query_add(vs, id);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		WRITE_ONCE(vs->gone, true);
		vs->s->gone(vs->s);
		/* Whoever takes the pointer destroys the id */
		return xchg(&vs->id, NULL) ? 1 : 0;
	default:
		return 0;
	}
}

/*
 * An AF_IB address of nobody in particular is any: GIDs, and IP addresses of either
 * version
 */
static int verbs_service_any(struct verbs_service *vs, struct rdma_cm_id *id,
			     const struct verbs_transport *t,
			     struct sockaddr_storage *addr)
{
	struct qp_service *s = vs->s;

	verbs_watch_start(&vs->watch, s->net, s->ifindex, t);
	return verbs_bind_once(id, t, addr, s->addr.ss_family != AF_IB);
}

static int verbs_service_bind(struct verbs_service *vs, struct rdma_cm_id *id,
			      struct sockaddr_storage *addr)
{
	const struct verbs_transport *t = verbs_transport_by_id(QP_PROTO_ANY);
	struct verbs_emul *emul;
	int err;

	if (verbs_addr_any(addr))
		return verbs_port_err(verbs_service_any(vs, id, t, addr));
	err = verbs_bind_id(vs->s->net, id, t, addr, &emul);
	if (!err && emul)
		verbs_emuls_add(&vs->emuls, emul, vs->s->net);
	return err;
}

static int verbs_service_listen(struct verbs_service *vs)
{
	struct qp_service *s = vs->s;
	const struct verbs_side side = {
		.net		= s->net,
		.ifindex	= s->ifindex,
		.type		= QP_UD,
		.own		= true,
	};
	struct sockaddr_storage addr;
	struct rdma_cm_id *id;
	int err;

	err = verbs_addr_take(&side, &s->addr, s->addrlen, &addr);
	if (err)
		return err;
	id = rdma_create_id(s->net, verbs_service_handler, vs, RDMA_PS_UDP,
			    IB_QPT_UD);
	if (IS_ERR(id))
		return PTR_ERR(id);
	err = verbs_service_bind(vs, id, &addr);
	if (!err) {
		addr = id->route.addr.src_addr;
		err = verbs_port_err(rdma_listen(id, VERBS_SERVICE_BACKLOG));
	}
	/* From here on it is destroyed by who takes it, maybe the handler */
	xchg(&vs->id, id);
	if (!err && READ_ONCE(vs->gone))
		err = -ENODEV;
	if (!err)
		s->addrlen = verbs_addr_show(s->addr.ss_family, QP_UD,
					     (struct sockaddr *)&addr, &s->addr);
	return err;
}

/* &qp_ud_ops.serve */
int verbs_serve(struct qp_service *s)
{
	struct verbs_service *vs = kzalloc_obj(*vs, GFP_KERNEL_ACCOUNT);
	int err;

	if (!vs)
		return -ENOMEM;
	vs->s = s;
	verbs_watch_init(&vs->watch);
	INIT_WORK(&vs->work, verbs_service_work);
	spin_lock_init(&vs->lock);
	INIT_LIST_HEAD(&vs->queries);
	s->priv = vs;
	err = verbs_service_listen(vs);
	if (err)
		verbs_unserve(s);
	return err;
}

/* &qp_ud_ops.unserve */
void verbs_unserve(struct qp_service *s)
{
	struct verbs_service *vs = s->priv;
	struct rdma_cm_id *id = xchg(&vs->id, NULL);
	struct verbs_query *q;

	spin_lock(&vs->lock);
	vs->ending = true;
	spin_unlock(&vs->lock);
	if (id)
		rdma_destroy_id(id);
	cancel_work_sync(&vs->work);
	verbs_watch_end(&vs->watch);
	while ((q = verbs_query_next(vs)))
		verbs_query_end(q);
	verbs_emuls_put(&vs->emuls, s->net);
	kfree(vs);
	s->priv = NULL;
}

/* &qp_ud_ops.route */
int verbs_ud_route(struct net *net, int ifindex,
		   const struct sockaddr_storage *dst,
		   struct sockaddr_storage *src)
{
	const struct verbs_side side = {
		.net		= net,
		.ifindex	= ifindex,
		.type		= QP_UD,
	};
	struct sockaddr_storage to, from;
	int err;

	err = verbs_addr_take(&side, dst, sizeof(*dst), &to);
	if (!err)
		err = verbs_route(net, ifindex, &to, &from);
	if (!err)
		verbs_addr_show(dst->ss_family, QP_UD, (struct sockaddr *)&from,
				src);
	return err;
}
