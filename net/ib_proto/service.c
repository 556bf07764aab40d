// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: who is found by a service ID
 *
 * A service answers who asks for a service ID at an address. It is a datagram
 * socket's that is bound to them. With SO_REUSEADDR it is that of several sockets, as
 * with UDP: who asks finds the one that was bound last, and the next one when that is
 * closed. One that is bound to the address is found before those at any address: a
 * service at any address is that of both, as rdma_cm has but one of them.
 */
#include <linux/slab.h>
#include <trace/events/ib_proto.h>

#include "ib_proto.h"
#include "stats.h"

/**
 * struct afib_service - a service ID at an address
 * @s: answers who asks
 * @node: in &afib_net.services, if it may be shared. Under its lock
 * @lock: protects @socks
 * @socks: &afib_sock.service_node, the one that was bound last first. Changed under
 *	&afib_net.services_lock as well, if it may be shared
 */
struct afib_service {
	struct qp_service s;
	struct list_head node;
	spinlock_t lock;	/* socks */
	struct list_head socks;
};

/* How well an address that a socket is bound to fits that which somebody asks at */
enum afib_fit {
	AFIB_FIT_NOT,
	AFIB_FIT_ANY,
	AFIB_FIT_OWN,
};

static enum afib_fit afib_service_fit(struct afib_sock *is, const struct sockaddr_ib *at)
{
	struct sockaddr_ib local, peer;

	afib_names(is, &local, &peer);
	if (afib_addr_any(&local.sib_addr))
		return AFIB_FIT_ANY;
	if (memcmp(&local.sib_addr, &at->sib_addr, sizeof(at->sib_addr)) ||
	    (local.sib_scope_id && local.sib_scope_id != at->sib_scope_id))
		return AFIB_FIT_NOT;
	return AFIB_FIT_OWN;
}

/* Who is found, referenced, or NULL. One that is closed meanwhile makes no ports. */
static struct afib_sock *afib_service_first(struct afib_service *svc,
					    const struct sockaddr_ib *at)
{
	enum afib_fit fit, best = AFIB_FIT_NOT;
	struct afib_sock *is, *found = NULL;

	spin_lock_bh(&svc->lock);
	list_for_each_entry(is, &svc->socks, service_node) {
		fit = afib_service_fit(is, at);
		if (fit <= best)
			continue;
		best = fit;
		found = is;
	}
	if (found)
		sock_hold(&found->sk);
	spin_unlock_bh(&svc->lock);
	return found;
}

/* Which queue pair receives at an address of ours, in the service's partition */
static int afib_service_port(struct afib_sock *is, const struct sockaddr_ib *addr,
			     u16 pkey, u32 *qpn, u32 *qkey)
{
	struct afib_port *port;

	port = afib_port_get(is, &addr->sib_addr, addr->sib_scope_id, pkey);
	if (IS_ERR(port))
		return PTR_ERR(port);
	*qpn = READ_ONCE(port->qp->port_qpn);
	*qkey = READ_ONCE(port->qp->port_qkey);
	afib_port_put(port);
	/* The device may just go */
	return *qpn ? 0 : -ENETDOWN;
}

/* Somebody asks for the service ID there. &qp_service.find */
static int afib_service_find(struct qp_service *s,
			     const struct sockaddr_storage *local, u32 *qpn, u32 *qkey)
{
	const struct sockaddr_ib *own = (const void *)&s->addr;
	const struct sockaddr_ib *addr = (const void *)local;
	struct afib_sock *is = afib_service_first(s->user_priv, addr);
	int err;

	if (!is)
		return -ECONNREFUSED;
	err = afib_service_port(is, addr, ntohs(own->sib_pkey), qpn, qkey);
	afib_count(is, err ? AFIB_MIB_SIDRREFUSALS : AFIB_MIB_SIDRANSWERS);
	trace_afib_answer(&is->sk, &addr->sib_addr, be64_to_cpu(addr->sib_sid),
			  err ? 0 : *qpn, err);
	sock_put(&is->sk);
	return err;
}

/* &qp_service.gone */
static void afib_service_gone(struct qp_service *s)
{
	struct afib_service *svc = s->user_priv;
	struct afib_sock *is;

	spin_lock_bh(&svc->lock);
	list_for_each_entry(is, &svc->socks, service_node)
		afib_sock_error(is, -ENETDOWN);
	spin_unlock_bh(&svc->lock);
}

static void afib_service_add(struct afib_service *svc, struct afib_sock *is)
{
	spin_lock_bh(&svc->lock);
	list_add(&is->service_node, &svc->socks);
	spin_unlock_bh(&svc->lock);
	is->service = svc;
}

static struct afib_service *afib_service_start(struct afib_sock *is,
					       const struct sockaddr_ib *addr)
{
	struct afib_service *svc = kzalloc_obj(*svc, GFP_KERNEL_ACCOUNT);
	int err;

	if (!svc)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&svc->node);
	spin_lock_init(&svc->lock);
	INIT_LIST_HEAD(&svc->socks);
	svc->s.net = sock_net(&is->sk);
	svc->s.ifindex = is->sk.sk_bound_dev_if;
	memcpy(&svc->s.addr, addr, sizeof(*addr));
	svc->s.addrlen = sizeof(*addr);
	svc->s.find = afib_service_find;
	svc->s.gone = afib_service_gone;
	svc->s.user_priv = svc;
	err = qp_service_start(&svc->s);
	if (!err)
		return svc;
	kfree(svc);
	return ERR_PTR(err);
}

static const struct sockaddr_ib *afib_service_addr(const struct afib_service *svc)
{
	return (const struct sockaddr_ib *)&svc->s.addr;
}

/* Do all that have it allow others? */
static bool afib_service_shared(struct afib_service *svc)
{
	struct afib_sock *is;

	list_for_each_entry(is, &svc->socks, service_node)
		if (!is->sk.sk_reuse)
			return false;
	return true;
}

static bool afib_service_same_addr(const struct sockaddr_ib *a, const struct sockaddr_ib *b)
{
	return a->sib_scope_id == b->sib_scope_id &&
	       !memcmp(&a->sib_addr, &b->sib_addr, sizeof(a->sib_addr));
}

/* Is it the same but for the address? */
static bool afib_service_alike(const struct afib_service *svc, const struct afib_sock *is,
			       const struct sockaddr_ib *addr)
{
	const struct sockaddr_ib *other = afib_service_addr(svc);

	return svc->s.ifindex == is->sk.sk_bound_dev_if &&
	       afib_addr_sid(other) == afib_addr_sid(addr) &&
	       other->sib_pkey == addr->sib_pkey;
}

/* A service that there is, or NULL: at the address, or at any. Under services_lock. */
static struct afib_service *afib_service_lookup(struct afib_net *in,
						const struct afib_sock *is,
						const struct sockaddr_ib *addr)
{
	const struct sockaddr_ib *other;
	struct afib_service *svc;

	list_for_each_entry(svc, &in->services, node) {
		other = afib_service_addr(svc);
		if (afib_service_alike(svc, is, addr) &&
		    (afib_addr_any(&other->sib_addr) || afib_service_same_addr(other, addr)))
			return svc;
	}
	return NULL;
}

/*
 * Those at one address, where there is to be one at any: they answer no more, or do so
 * again. Nobody does in between, so that who asks then may be told that there is nobody.
 * Under services_lock.
 */
static int afib_service_part(struct afib_net *in, const struct afib_sock *is,
			     const struct sockaddr_ib *addr, struct list_head *parts)
{
	struct afib_service *svc, *next;

	list_for_each_entry(svc, &in->services, node)
		if (afib_service_alike(svc, is, addr) && !afib_service_shared(svc))
			return -EADDRINUSE;
	list_for_each_entry_safe(svc, next, &in->services, node) {
		if (!afib_service_alike(svc, is, addr))
			continue;
		qp_service_end(&svc->s);
		list_move(&svc->node, parts);
	}
	return 0;
}

static void afib_service_rejoin(struct afib_net *in, struct list_head *parts)
{
	struct afib_service *svc, *next;

	list_for_each_entry_safe(svc, next, parts, node) {
		list_move(&svc->node, &in->services);
		if (qp_service_start(&svc->s))
			afib_service_gone(&svc->s);
	}
}

/* Their sockets are those of the one at any address */
static void afib_service_merge(struct afib_service *all, struct list_head *parts)
{
	struct afib_service *svc, *next;
	struct afib_sock *is;

	list_for_each_entry_safe(svc, next, parts, node) {
		list_for_each_entry(is, &svc->socks, service_node)
			is->service = all;
		spin_lock_bh(&all->lock);
		list_splice_tail(&svc->socks, &all->socks);
		spin_unlock_bh(&all->lock);
		list_del(&svc->node);
		kfree(svc);
	}
}

/* One that others may share, new or not. Under services_lock. */
static struct afib_service *afib_service_share(struct afib_net *in,
					       struct afib_sock *is,
					       const struct sockaddr_ib *addr)
{
	struct afib_service *svc = NULL;
	LIST_HEAD(parts);
	int err;

	if (afib_addr_sid(addr))
		svc = afib_service_lookup(in, is, addr);
	if (svc)
		return afib_service_shared(svc) ? svc : ERR_PTR(-EADDRINUSE);
	if (afib_addr_sid(addr) && afib_addr_any(&addr->sib_addr)) {
		err = afib_service_part(in, is, addr, &parts);
		if (err)
			return ERR_PTR(err);
	}
	svc = afib_service_start(is, addr);
	if (IS_ERR(svc)) {
		afib_service_rejoin(in, &parts);
		return svc;
	}
	afib_service_merge(svc, &parts);
	list_add(&svc->node, &in->services);
	return svc;
}

/**
 * afib_service_join() - be found by a service ID
 * @is: the socket, locked
 * @addr: address and service ID, 0 for one that is chosen
 * @name: where to put both
 *
 * Context: process, may sleep.
 * Return: 0; -EADDRINUSE, or as qp_service_start().
 */
int afib_service_join(struct afib_sock *is, const struct sockaddr_ib *addr,
		      struct sockaddr_ib *name)
{
	struct afib_net *in = afib_pernet(sock_net(&is->sk));
	struct afib_service *svc;

	if (is->sk.sk_reuse) {
		mutex_lock(&in->services_lock);
		svc = afib_service_share(in, is, addr);
		if (!IS_ERR(svc))
			afib_service_add(svc, is);
		mutex_unlock(&in->services_lock);
	} else {
		svc = afib_service_start(is, addr);
		if (!IS_ERR(svc))
			afib_service_add(svc, is);
	}
	if (IS_ERR(svc))
		return PTR_ERR(svc);
	*name = *afib_service_addr(svc);
	/* It may be at any address, and the socket is at one */
	if (afib_addr_any(&name->sib_addr) && !afib_addr_any(&addr->sib_addr)) {
		name->sib_addr = addr->sib_addr;
		if (afib_addr_link_local(&addr->sib_addr))
			name->sib_scope_id = addr->sib_scope_id ?:
					     is->sk.sk_bound_dev_if;
	}
	return 0;
}

/* Be found no more, if it was. Process context, may sleep. */
void afib_service_leave(struct afib_sock *is)
{
	struct afib_net *in = afib_pernet(sock_net(&is->sk));
	struct afib_service *svc;
	bool last;

	if (!is->service)
		return;
	mutex_lock(&in->services_lock);
	svc = is->service;
	is->service = NULL;
	spin_lock_bh(&svc->lock);
	list_del(&is->service_node);
	last = list_empty(&svc->socks);
	spin_unlock_bh(&svc->lock);
	if (last) {
		list_del(&svc->node);
		qp_service_end(&svc->s);
	}
	mutex_unlock(&in->services_lock);
	if (last)
		kfree(svc);
}
