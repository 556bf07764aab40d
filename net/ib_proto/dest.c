// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: where messages to an address go
 *
 * A service ID is asked for at the far side (IBA v1 12.11, SIDR), which takes a
 * while, so what was found is remembered by the socket; that nobody has it, too,
 * for a shorter time. A service ID that names a queue pair needs no question, and
 * neither does a multicast group.
 */
#include <linux/jhash.h>
#include <linux/slab.h>
#include <trace/events/ib_proto.h>

#include "ib_proto.h"
#include "stats.h"

static_assert(sizeof(struct afib_key) <= sizeof_field(struct sk_buff, cb));

/**
 * afib_key_make() - make the key of an address
 * @key: where to put it
 * @is: the socket
 * @addr: the address; of a group the service ID does not matter
 * @opts: how messages are to travel
 *
 * Context: any.
 * Return: 0; -EINVAL (no address), -EADDRNOTAVAIL (no service ID, or the number of
 * a queue pair that is none for users, or another partition).
 */
int afib_key_make(struct afib_key *key, const struct afib_sock *is,
		  const struct sockaddr_ib *addr, const struct afib_opts *opts)
{
	int pkey = afib_addr_pkey(is, addr);

	memset(key, 0, sizeof(*key));
	if (pkey < 0)
		return pkey;
	key->pkey = pkey;
	key->gid = addr->sib_addr;
	if (!afib_addr_multicast(&key->gid))
		key->sid = cpu_to_be64(afib_addr_sid(addr));
	key->scope = addr->sib_scope_id;
	key->opts = *opts;
	if (afib_addr_any(&key->gid))
		return -EINVAL;
	if (afib_addr_multicast(&key->gid))
		return 0;
	return afib_addr_sid_valid(be64_to_cpu(key->sid)) ? 0 : -EADDRNOTAVAIL;
}

/* Has the peer to be asked for it? */
static bool afib_key_asks(const struct afib_key *key)
{
	return key->sid && !afib_addr_qpn(be64_to_cpu(key->sid));
}

static struct hlist_head *afib_dest_bucket(struct afib_sock *is,
					   const struct afib_key *key)
{
	u32 hash = jhash(key, offsetof(struct afib_key, scope), 0);

	return &is->dests[hash % IB_DEST_BUCKETS];
}

/**
 * afib_dest_put() - need a destination no more
 * @dest: the destination, or NULL
 *
 * Context: process, may sleep.
 */
void afib_dest_put(struct afib_dest *dest)
{
	if (!dest || !refcount_dec_and_test(&dest->ref))
		return;
	if (dest->dest)
		qp_kern_dest_put(dest->port->qp, dest->dest);
	afib_port_put(dest->port);
	kfree(dest);
}

/* Under @is->lock; the reference is the caller's */
static void afib_dest_del(struct afib_sock *is, struct afib_dest *dest)
{
	hlist_del_init(&dest->node);
	list_del(&dest->lru_node);
	is->nr_dests--;
}

static bool afib_dest_stale(const struct afib_dest *dest)
{
	return time_after(jiffies, dest->expires) ||
	       (dest->port && READ_ONCE(dest->port->gone));
}

/**
 * afib_dest_find() - what is remembered of an address
 * @is: the socket
 * @key: the address
 *
 * Context: process, may sleep.
 * Return: for afib_dest_put(), maybe with &afib_dest.err; NULL if it is to be looked
 * for.
 */
struct afib_dest *afib_dest_find(struct afib_sock *is, const struct afib_key *key)
{
	struct hlist_head *bucket = afib_dest_bucket(is, key);
	struct afib_dest *dest, *found = NULL, *old = NULL;

	spin_lock_bh(&is->lock);
	hlist_for_each_entry(dest, bucket, node) {
		if (memcmp(&dest->key, key, sizeof(*key)))
			continue;
		if (afib_dest_stale(dest)) {
			afib_dest_del(is, dest);
			old = dest;
		} else {
			list_move(&dest->lru_node, &is->lru);
			refcount_inc(&dest->ref);
			found = dest;
		}
		break;
	}
	spin_unlock_bh(&is->lock);
	afib_dest_put(old);
	if (found && afib_key_asks(key))
		afib_count(is, found->err ? AFIB_MIB_SIDRNEGATIVEHITS :
					    AFIB_MIB_SIDRHITS);
	return found;
}

/* Remember it no more; the caller's reference is consumed */
static void afib_dest_forget(struct afib_sock *is, struct afib_dest *dest)
{
	bool known;

	spin_lock_bh(&is->lock);
	known = !hlist_unhashed(&dest->node);
	if (known)
		afib_dest_del(is, dest);
	spin_unlock_bh(&is->lock);
	if (known)
		afib_dest_put(dest);
	afib_dest_put(dest);
}

/* Remember it, instead of the one that was not used for longest */
static void afib_dest_add(struct afib_sock *is, struct afib_dest *dest)
{
	struct afib_dest *old = NULL;

	refcount_inc(&dest->ref);
	spin_lock_bh(&is->lock);
	if (is->nr_dests == IB_MAX_DESTS) {
		old = list_last_entry(&is->lru, struct afib_dest, lru_node);
		afib_dest_del(is, old);
	}
	hlist_add_head(&dest->node, afib_dest_bucket(is, &dest->key));
	list_add(&dest->lru_node, &is->lru);
	is->nr_dests++;
	spin_unlock_bh(&is->lock);
	afib_dest_put(old);
}

/* The port that leads to an address: that which the socket is bound to, or as
 * routing says
 */
static struct afib_port *afib_dest_port(struct afib_sock *is,
					const struct sockaddr_storage *to, u16 pkey)
{
	const struct sockaddr_ib *local = &is->local;
	struct sockaddr_storage src;
	int err;

	if (afib_addr_any(&local->sib_addr)) {
		err = qp_kern_route(sock_net(&is->sk), AF_IB,
				    is->sk.sk_bound_dev_if, to, &src);
		if (err)
			return ERR_PTR(err);
		local = (const struct sockaddr_ib *)&src;
	}
	return afib_port_get(is, &local->sib_addr, local->sib_scope_id, pkey);
}

/* Find out where it is from a port; the reference is consumed if it is found */
static int afib_dest_from(struct afib_dest *dest, struct afib_port *port,
			  const struct sockaddr_storage *to, struct qp_attr *attr)
{
	void *d;

	d = qp_kern_resolve(port->qp, to, sizeof(struct sockaddr_ib), attr);
	if (IS_ERR(d))
		return PTR_ERR(d);
	dest->port = port;
	dest->dest = d;
	dest->qpn = attr->qpn;
	dest->lid = attr->lid;
	dest->tclass = attr->tclass;
	dest->hop_limit = attr->hop_limit;
	dest->sl = attr->sl;
	return 0;
}

/* A group is sent to from where it was joined */
static int afib_dest_group(struct afib_sock *is, struct afib_dest *dest,
			   const struct sockaddr_storage *to, struct qp_attr *attr)
{
	struct afib_port *port;
	u32 n;

	for (n = 0; (port = afib_port_nth(is, n)); n++) {
		if (port->pkey == dest->key.pkey &&
		    !afib_dest_from(dest, port, to, attr))
			return 0;
		afib_port_put(port);
	}
	return -EHOSTUNREACH;
}

/* Find out where it is */
static int afib_dest_resolve(struct afib_sock *is, struct afib_dest *dest)
{
	const struct afib_key *key = &dest->key;
	u32 qpn = afib_addr_qpn(be64_to_cpu(key->sid));
	struct qp_attr attr = {
		.qpn		= qpn,
		.qkey		= key->opts.qkey,
		.tclass		= key->opts.tclass,
		.hop_limit	= key->opts.hop_limit,
		.sl		= key->opts.sl,
	};
	struct sockaddr_storage to = {};
	struct afib_port *port;
	int err;

	afib_addr_make((struct sockaddr_ib *)&to, &key->gid, key->pkey, key->scope,
		       qpn ? 0 : be64_to_cpu(key->sid));
	if (afib_addr_multicast(&key->gid))
		return afib_dest_group(is, dest, &to, &attr);
	port = afib_dest_port(is, &to, key->pkey);
	if (IS_ERR(port))
		return PTR_ERR(port);
	err = afib_dest_from(dest, port, &to, &attr);
	if (err)
		afib_port_put(port);
	return err;
}

/* The peer was asked, or was to be */
static void afib_dest_asked(struct afib_sock *is, const struct afib_dest *dest)
{
	switch (dest->err) {
	case -ECONNREFUSED:
		afib_count(is, AFIB_MIB_SIDRNEGATIVE);
		break;
	case -ETIMEDOUT:
		afib_count(is, AFIB_MIB_SIDRTIMEOUTS);
		break;
	case 0:
		break;
	default:
		return;
	}
	afib_count(is, AFIB_MIB_SIDRQUERIES);
}

/* Nobody there, for now; other errors say something of the call */
static bool afib_dest_err_lasts(int err)
{
	return err == -ECONNREFUSED || err == -EHOSTUNREACH || err == -ETIMEDOUT;
}

static struct afib_dest *afib_dest_new(struct afib_sock *is, const struct afib_key *key)
{
	struct afib_dest *dest = kzalloc_obj(*dest, GFP_KERNEL_ACCOUNT);

	if (!dest)
		return ERR_PTR(-ENOMEM);
	refcount_set(&dest->ref, 1);
	dest->key = *key;
	trace_afib_resolve(&is->sk, &key->gid, be64_to_cpu(key->sid));
	dest->err = afib_dest_resolve(is, dest);
	trace_afib_resolved(&is->sk, &key->gid, be64_to_cpu(key->sid), dest->qpn,
			    dest->err);
	if (afib_key_asks(key))
		afib_dest_asked(is, dest);
	dest->expires = jiffies + (dest->err ? afib_time(&is->sk, unresolved_time) :
					       afib_time(&is->sk, resolved_time));
	if (!dest->err || afib_dest_err_lasts(dest->err))
		afib_dest_add(is, dest);
	return dest;
}

/**
 * afib_dest_get() - find out where messages to an address go
 * @is: the socket
 * @key: the address
 * @ask: whatever is remembered, ask the peer
 *
 * Context: process, may sleep as long as the peer takes to answer; a signal ends
 * that.
 * Return: for afib_dest_put(); -ECONNREFUSED (nobody has the service ID there),
 * -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT, -EINVAL, -EADDRNOTAVAIL, -ENETDOWN,
 * -ERESTARTSYS, -ENOMEM.
 */
struct afib_dest *afib_dest_get(struct afib_sock *is, const struct afib_key *key, bool ask)
{
	struct afib_dest *dest;
	int err;

	err = mutex_lock_interruptible(&is->resolving);
	if (err)
		return ERR_PTR(-ERESTARTSYS);
	/* Somebody may have found it meanwhile */
	dest = afib_dest_find(is, key);
	if (dest && ask) {
		afib_dest_forget(is, dest);
		dest = NULL;
	}
	if (!dest)
		dest = afib_dest_new(is, key);
	mutex_unlock(&is->resolving);
	if (IS_ERR(dest) || !dest->err)
		return dest;
	err = dest->err;
	afib_dest_put(dest);
	return ERR_PTR(err);
}

/**
 * afib_dest_peer() - where messages go that say nothing themselves
 * @is: the socket
 * @opts: how they are to travel
 * @peer: where to put the peer's address, of family 0 if there is no peer
 *
 * Context: any.
 * Return: for afib_dest_put(); NULL if it is not known: @peer is to be looked for.
 */
struct afib_dest *afib_dest_peer(struct afib_sock *is, const struct afib_opts *opts,
				 struct sockaddr_ib *peer)
{
	struct afib_dest *dest;

	spin_lock_bh(&is->lock);
	dest = is->conn;
	if (dest && !afib_dest_stale(dest) &&
	    !memcmp(&dest->key.opts, opts, sizeof(*opts))) {
		refcount_inc(&dest->ref);
	} else {
		dest = NULL;
		*peer = is->peer;
	}
	spin_unlock_bh(&is->lock);
	if (dest && afib_key_asks(&dest->key))
		afib_count(is, AFIB_MIB_SIDRHITS);
	return dest;
}

/**
 * afib_way() - the way to the peer, or the first one
 * @is: the socket
 * @dest: where to put where the peer is, for afib_dest_put(); NULL if that is not known
 *
 * Context: process.
 * Return: the port to it, for afib_port_put(); or the first port, or NULL.
 */
struct afib_port *afib_way(struct afib_sock *is, struct afib_dest **dest)
{
	struct afib_port *port = NULL;

	spin_lock_bh(&is->lock);
	*dest = is->conn;
	if (*dest) {
		refcount_inc(&(*dest)->ref);
		port = (*dest)->port;
	}
	spin_unlock_bh(&is->lock);
	if (!port)
		return afib_port_nth(is, 0);
	refcount_inc(&port->ref);
	return port;
}

/**
 * afib_dest_connect() - say who the peer is
 * @is: the socket, locked
 * @peer: its address, of family 0 if there is none
 * @dest: where that is; the reference is consumed. NULL if that is not known
 *
 * Context: process, may sleep.
 */
void afib_dest_connect(struct afib_sock *is, const struct sockaddr_ib *peer,
		       struct afib_dest *dest)
{
	spin_lock_bh(&is->lock);
	is->peer = *peer;
	swap(is->conn, dest);
	spin_unlock_bh(&is->lock);
	afib_dest_put(dest);
}

/**
 * afib_dest_changed() - forget what is remembered of a group
 * @is: the socket, which has joined or left it
 * @gid: the group
 *
 * Context: process, may sleep.
 */
void afib_dest_changed(struct afib_sock *is, const struct ib_addr *gid)
{
	struct afib_dest *dest, *next;
	LIST_HEAD(old);

	spin_lock_bh(&is->lock);
	list_for_each_entry_safe(dest, next, &is->lru, lru_node) {
		if (memcmp(&dest->key.gid, gid, sizeof(*gid)))
			continue;
		afib_dest_del(is, dest);
		list_add(&dest->lru_node, &old);
	}
	dest = NULL;
	if (is->conn && !memcmp(&is->conn->key.gid, gid, sizeof(*gid)))
		swap(is->conn, dest);
	spin_unlock_bh(&is->lock);
	afib_dest_put(dest);
	list_for_each_entry_safe(dest, next, &old, lru_node)
		afib_dest_put(dest);
}

/* Remember where the peer is, if @dest is where it is still */
void afib_dest_found(struct afib_sock *is, struct afib_dest *dest)
{
	refcount_inc(&dest->ref);
	spin_lock_bh(&is->lock);
	if (is->peer.sib_sid == dest->key.sid &&
	    !memcmp(&is->peer.sib_addr, &dest->key.gid, sizeof(dest->key.gid)))
		swap(is->conn, dest);
	spin_unlock_bh(&is->lock);
	afib_dest_put(dest);
}

/* The socket is closed: forget them all. Process context, may sleep. */
void afib_dests_end(struct afib_sock *is)
{
	struct afib_dest *conn = NULL, *dest, *next;
	LIST_HEAD(old);

	/* Others may just look at them */
	spin_lock_bh(&is->lock);
	swap(is->conn, conn);
	list_for_each_entry_safe(dest, next, &is->lru, lru_node) {
		afib_dest_del(is, dest);
		list_add(&dest->lru_node, &old);
	}
	spin_unlock_bh(&is->lock);
	afib_dest_put(conn);
	list_for_each_entry_safe(dest, next, &old, lru_node)
		afib_dest_put(dest);
}
