// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: a socket's queue pairs
 *
 * A socket has a queue pair on each port that it sends from, or at which somebody
 * asked for its service ID. They are made when they are first needed, so that one
 * that is bound to any address costs nothing where nobody talks to it.
 */
#include <linux/slab.h>

#include "ib_proto.h"

/* Any context */
static void afib_port_gone(struct qp_sock *qp)
{
	struct afib_port *port = qp->user_priv;

	WRITE_ONCE(port->gone, true);
}

/* &qp_user.recv: who wants packets has a queue pair for its ways, and for groups */
static bool afib_port_deaf(struct qp_sock *qp, struct sk_buff *skb)
{
	consume_skb(skb);
	return true;
}

static const struct qp_user afib_port_users[] = {
	{ .recv = afib_dgram_recv, .gone = afib_port_gone },
	{ .recv = afib_port_deaf, .gone = afib_port_gone },
};

/*
 * sendmmsg() says that there is more to come. This is how long it is believed: it
 * is wrong only where it was given bad addresses, but may be slow.
 */
#define AFIB_BATCH_TIME	(HZ / 4)

/**
 * afib_port_hold_back() - a message waits for the next one
 * @port: where it was posted, see afib_dgram_sendmsg()
 *
 * Whoever sends the next one sends both. If nobody does, this one is sent after a
 * while. That is not to happen while somebody is still at it: from another
 * processor it would be overtaken.
 *
 * Context: process.
 */
void afib_port_hold_back(struct afib_port *port)
{
	WRITE_ONCE(port->held, jiffies);
	if (!delayed_work_pending(&port->late))
		queue_delayed_work(afib_wq, &port->late, AFIB_BATCH_TIME);
}

static void afib_port_late(struct work_struct *work)
{
	struct afib_port *port = container_of(to_delayed_work(work),
					      struct afib_port, late);
	unsigned long end = READ_ONCE(port->held) + AFIB_BATCH_TIME;

	if (time_before(jiffies, end))
		queue_delayed_work(afib_wq, &port->late, end - jiffies);
	else
		qp_kern_kick(port->qp);
}

/**
 * afib_port_put() - need a port no more
 * @port: the port, or NULL
 *
 * Context: process, may sleep.
 */
void afib_port_put(struct afib_port *port)
{
	if (!port || !refcount_dec_and_test(&port->ref))
		return;
	cancel_delayed_work_sync(&port->late);
	qp_kern_release(port->qp);
	kfree(port);
}

/*
 * The port of an address, referenced, or NULL. One that is gone is taken out of the
 * list: then it is the caller's to give back the list's reference.
 */
static struct afib_port *afib_port_find(struct afib_sock *is, const struct ib_addr *gid,
					u32 scope, u16 pkey, struct afib_port **gone)
{
	struct afib_port *port, *found = NULL;

	*gone = NULL;
	spin_lock_bh(&is->lock);
	list_for_each_entry(port, &is->ports, node) {
		if (port->scope != scope || port->pkey != pkey ||
		    memcmp(&port->gid, gid, sizeof(*gid)))
			continue;
		if (READ_ONCE(port->gone)) {
			list_del_init(&port->node);
			is->nr_ports--;
			*gone = port;
		} else {
			refcount_inc(&port->ref);
			found = port;
		}
		break;
	}
	spin_unlock_bh(&is->lock);
	return found;
}

static struct afib_port *afib_port_make(struct afib_sock *is, const struct ib_addr *gid,
					u32 scope, u16 pkey)
{
	struct afib_port *port = kzalloc_obj(*port, GFP_KERNEL_ACCOUNT);
	struct sockaddr_storage addr = {};
	struct qp_kern kern = {
		.domain		= AF_IB,
		.type		= QP_UD,
		.ifindex	= is->sk.sk_bound_dev_if,
		.qkey		= is->opts.qkey,
		.reader		= &is->reader,
		.user		= &afib_port_users[afib_is_raw(&is->sk)],
		.priv		= port,
	};
	struct qp_sock *qp;

	if (!port)
		return ERR_PTR(-ENOMEM);
	/* One of the list, one of the caller */
	refcount_set(&port->ref, 2);
	port->is = is;
	port->gid = *gid;
	port->scope = scope;
	port->pkey = pkey;
	INIT_DELAYED_WORK(&port->late, afib_port_late);
	afib_addr_make((struct sockaddr_ib *)&addr, gid, pkey, scope, 0);
	qp = qp_kern_create(sock_net(&is->sk), &kern, &addr,
			    sizeof(struct sockaddr_ib));
	if (IS_ERR(qp)) {
		kfree(port);
		return ERR_CAST(qp);
	}
	port->qp = qp;
	spin_lock_bh(&is->lock);
	list_add_tail(&port->node, &is->ports);
	is->nr_ports++;
	spin_unlock_bh(&is->lock);
	return port;
}

/**
 * afib_port_get() - have a queue pair at an address
 * @is: the socket
 * @gid: the address, one of the own ones
 * @scope: number of its netdevice if @gid does not say it, else 0
 * @pkey: partition
 *
 * Context: process, may sleep.
 * Return: the port, for afib_port_put(); -ENETDOWN (it went just then), or as
 * qp_kern_create().
 */
struct afib_port *afib_port_get(struct afib_sock *is, const struct ib_addr *gid,
				u32 scope, u16 pkey)
{
	struct afib_port *port, *gone;

	mutex_lock(&is->making);
	port = afib_port_find(is, gid, scope, pkey, &gone);
	if (!port)
		port = is->ended ? ERR_PTR(-ENETDOWN) :
				   afib_port_make(is, gid, scope, pkey);
	mutex_unlock(&is->making);
	afib_port_put(gone);
	return port;
}

/* The only port that a socket has, referenced, or NULL */
struct afib_port *afib_port_only(struct afib_sock *is)
{
	struct afib_port *port = NULL;

	spin_lock_bh(&is->lock);
	if (is->nr_ports == 1)
		port = list_first_entry(&is->ports, struct afib_port, node);
	if (port)
		refcount_inc(&port->ref);
	spin_unlock_bh(&is->lock);
	return port;
}

/* The nth port of a socket, referenced, or NULL */
struct afib_port *afib_port_nth(struct afib_sock *is, u32 n)
{
	struct afib_port *port, *found = NULL;

	spin_lock_bh(&is->lock);
	list_for_each_entry(port, &is->ports, node) {
		if (n--)
			continue;
		refcount_inc(&port->ref);
		found = port;
		break;
	}
	spin_unlock_bh(&is->lock);
	return found;
}

/* The socket is closed, and has no destinations. Process context, may sleep. */
void afib_ports_end(struct afib_sock *is)
{
	struct afib_port *port, *next;
	LIST_HEAD(ports);

	/* Who was about to find it by its service ID may still have come here */
	mutex_lock(&is->making);
	is->ended = true;
	mutex_unlock(&is->making);
	spin_lock_bh(&is->lock);
	list_splice_init(&is->ports, &ports);
	is->nr_ports = 0;
	spin_unlock_bh(&is->lock);
	list_for_each_entry_safe(port, next, &ports, node) {
		list_del_init(&port->node);
		afib_port_put(port);
	}
}
