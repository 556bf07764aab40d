// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: who is found by a service ID
 *
 * A service answers who asks for a service ID at an address. It is a datagram
 * socket's that is bound to them. With SO_REUSEADDR it is that of several sockets, as
 * with UDP: who asks finds the one that was bound last, and the next one when that is
 * closed.
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

/* Who is found, referenced, or NULL. One that is closed meanwhile makes no ports. */
static struct afib_sock *afib_service_first(struct afib_service *svc)
{
	struct afib_sock *is;

	spin_lock_bh(&svc->lock);
	is = list_first_entry_or_null(&svc->socks, struct afib_sock, service_node);
	if (is)
		sock_hold(&is->sk);
	spin_unlock_bh(&svc->lock);
	return is;
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
	struct afib_sock *is = afib_service_first(s->user_priv);
	const struct sockaddr_ib *own = (const void *)&s->addr;
	const struct sockaddr_ib *addr = (const void *)local;
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

/* A service that there is, or NULL. Under services_lock. */
static struct afib_service *afib_service_lookup(struct afib_net *in,
						const struct afib_sock *is,
						const struct sockaddr_ib *addr)
{
	const struct sockaddr_ib *other;
	struct afib_service *svc;

	list_for_each_entry(svc, &in->services, node) {
		other = afib_service_addr(svc);
		if (svc->s.ifindex == is->sk.sk_bound_dev_if &&
		    afib_addr_sid(other) == afib_addr_sid(addr) &&
		    other->sib_scope_id == addr->sib_scope_id &&
		    other->sib_pkey == addr->sib_pkey &&
		    !memcmp(&other->sib_addr, &addr->sib_addr, sizeof(addr->sib_addr)))
			return svc;
	}
	return NULL;
}

/* One that others may share, new or not. Under services_lock. */
static struct afib_service *afib_service_share(struct afib_net *in,
					       struct afib_sock *is,
					       const struct sockaddr_ib *addr)
{
	struct afib_service *svc = NULL;

	if (afib_addr_sid(addr))
		svc = afib_service_lookup(in, is, addr);
	if (svc)
		return afib_service_shared(svc) ? svc : ERR_PTR(-EADDRINUSE);
	svc = afib_service_start(is, addr);
	if (!IS_ERR(svc))
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
	return 0;
}

/* Be found no more, if it was. Process context, may sleep. */
void afib_service_leave(struct afib_sock *is)
{
	struct afib_net *in = afib_pernet(sock_net(&is->sk));
	struct afib_service *svc = is->service;
	bool last;

	if (!svc)
		return;
	is->service = NULL;
	mutex_lock(&in->services_lock);
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
