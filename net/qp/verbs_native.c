// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: ports with GIDs of their own, InfiniBand's and Omni-Path's
 *
 * Such a port has GIDs with the prefix of its subnet, and P_Keys of the partitions
 * that it is in; subnet management says which (IBA v1 4.1.1, 10.9). The prefix of a
 * peer's GID says from which port it is reached, and the subnet administration how:
 * rdma_cm asks it for a path, and here it is asked for one to a LID.
 *
 * Who sends a datagram without a GRH is known by no more than its LID. It has an
 * address for all that, which can be answered: a GID with the prefix of the subnet
 * and the LID, in a form that no port's GUID has; see &verbs_transport.lid_gid.
 */
#include <linux/if_arp.h>
#include <linux/if_infiniband.h>
#include <linux/netdevice.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_sa.h>
#include <rdma/rdma_cm_ib.h>

#include "verbs.h"

static struct ib_sa_client verbs_sa_client;

/* How well a port leads to a GID; the best one is taken */
enum verbs_rank {
	VERBS_NOWHERE,
	VERBS_ABROAD,		/* by a router, if there is one */
	VERBS_SUBNET,		/* it is of the same subnet */
	VERBS_HERE,		/* it is the port's own */
};

/**
 * struct verbs_look - a port that is looked for
 * @net: the network namespace
 * @ifindex: the only netdevice, or 0
 * @gid: a GID that it is to lead to
 * @pkey: a partition that it is to be in, or 0
 * @rank: how well the best one leads there
 * @own: the GID of that one
 */
struct verbs_look {
	struct net *net;
	int ifindex;
	const union ib_gid *gid;
	u16 pkey;
	enum verbs_rank rank;
	union ib_gid own;
};

/* The hardware address of IPoIB ends with a GID of its port (RFC 4391 9.1.1) */
static bool verbs_has_ipoib(struct ib_device *ibdev, u32 port,
			    const struct net_device *ndev)
{
	const struct ib_gid_attr *attr;
	union ib_gid gid;

	if (ndev->type != ARPHRD_INFINIBAND || ndev->addr_len != INFINIBAND_ALEN)
		return false;
	memcpy(&gid, ndev->dev_addr + INFINIBAND_ALEN - sizeof(gid), sizeof(gid));
	attr = rdma_find_gid_by_port(ibdev, &gid, IB_GID_TYPE_IB, port, NULL);
	if (IS_ERR(attr))
		return false;
	rdma_put_gid_attr(attr);
	return true;
}

/* Is the netdevice one of the port's: its own, or IPoIB on it? */
static bool verbs_port_has(struct ib_device *ibdev, u32 port, struct net *net,
			   int ifindex)
{
	struct net_device *ndev = ib_device_get_netdev(ibdev, port);
	bool has = ndev && ndev->ifindex == ifindex && net_eq(dev_net(ndev), net);

	dev_put(ndev);
	if (has)
		return true;
	ndev = dev_get_by_index(net, ifindex);
	has = ndev && verbs_has_ipoib(ibdev, port, ndev);
	dev_put(ndev);
	return has;
}

static bool verbs_port_of(struct ib_device *ibdev, u32 port,
			  const struct verbs_look *l)
{
	return verbs_is_native(ibdev, port) &&
	       (!l->ifindex || verbs_port_has(ibdev, port, l->net, l->ifindex));
}

static bool verbs_port_in(struct ib_device *ibdev, u32 port, u16 pkey)
{
	u16 index;

	return !ib_find_cached_pkey(ibdev, port, pkey, &index);
}

static bool verbs_port_active(struct ib_device *ibdev, u32 port)
{
	enum ib_port_state state;

	return !ib_get_cached_port_state(ibdev, port, &state) &&
	       state == IB_PORT_ACTIVE;
}

static enum verbs_rank verbs_rank(const struct verbs_look *l,
				  const union ib_gid *own, bool active)
{
	if (!memcmp(own, l->gid, sizeof(*own)))
		return VERBS_HERE;
	if (!active)
		return VERBS_NOWHERE;
	return own->global.subnet_prefix == l->gid->global.subnet_prefix ?
	       VERBS_SUBNET : VERBS_ABROAD;
}

/* &verbs_look_fn: is there a better one than before? */
static bool verbs_look_port(struct ib_device *ibdev, u32 port, void *arg)
{
	struct verbs_look *l = arg;
	enum verbs_rank rank;
	union ib_gid own;
	bool active;
	int i;

	if (!verbs_port_of(ibdev, port, l) ||
	    (l->pkey && !verbs_port_in(ibdev, port, l->pkey)))
		return false;
	active = verbs_port_active(ibdev, port);
	for (i = 0; i < ibdev->port_data[port].immutable.gid_tbl_len; i++) {
		if (rdma_query_gid(ibdev, port, i, &own) ||
		    !own.global.interface_id)
			continue;
		rank = verbs_rank(l, &own, active);
		if (rank <= l->rank)
			continue;
		l->rank = rank;
		l->own = own;
	}
	return l->rank == VERBS_HERE;
}

static enum verbs_rank verbs_look(struct verbs_look *l, struct net *net, int ifindex,
				  const struct sockaddr_ib *ib)
{
	*l = (struct verbs_look){
		.net		= net,
		.ifindex	= ifindex,
		.gid		= (const union ib_gid *)&ib->sib_addr,
		.pkey		= ntohs(ib->sib_pkey),
	};
	verbs_ports(net, verbs_look_port, l);
	return l->rank;
}

/**
 * verbs_native_own() - is it an address of a port here?
 * @net: network namespace
 * @ifindex: the only netdevice that its port may have, or 0
 * @ib: GID, and P_Key if that matters
 *
 * Context: process, may sleep.
 * Return: true if it is.
 */
bool verbs_native_own(struct net *net, int ifindex, const struct sockaddr_ib *ib)
{
	struct verbs_look l;

	return verbs_look(&l, net, ifindex, ib) == VERBS_HERE;
}

/**
 * verbs_native_leads() - does a port here lead to an address?
 * @net: network namespace
 * @ifindex: the only netdevice that the port may have, or 0
 * @ib: GID, and P_Key if that matters
 *
 * Context: process, may sleep.
 * Return: 1: it is on the subnet of one; 0: maybe, by a router; -ENETUNREACH:
 * there is no port that could be used.
 */
int verbs_native_leads(struct net *net, int ifindex, const struct sockaddr_ib *ib)
{
	struct verbs_look l;

	switch (verbs_look(&l, net, ifindex, ib)) {
	case VERBS_NOWHERE:
		return -ENETUNREACH;
	case VERBS_ABROAD:
		return 0;
	default:
		return 1;
	}
}

/**
 * verbs_native_route() - find the own address to talk to a peer from
 * @net: network namespace
 * @ifindex: the only netdevice that its port may have, or 0
 * @dst: the peer, or a group
 * @src: where to put the address, with port 0 and the P_Key of the peer
 *
 * Context: process, may sleep.
 * Return: 0, or -ENETUNREACH.
 */
int verbs_native_route(struct net *net, int ifindex, const struct sockaddr_ib *dst,
		       struct sockaddr_ib *src)
{
	struct verbs_look l;

	if (verbs_look(&l, net, ifindex, dst) == VERBS_NOWHERE)
		return -ENETUNREACH;
	*src = *dst;
	memcpy(&src->sib_addr, &l.own, sizeof(src->sib_addr));
	verbs_addr_set_port((struct sockaddr_storage *)src, 0);
	return 0;
}

/* &verbs_look_fn */
static bool verbs_look_pkey(struct ib_device *ibdev, u32 port, void *arg)
{
	const u16 *pkey = arg;

	return verbs_is_native(ibdev, port) && verbs_port_in(ibdev, port, *pkey);
}

/* &qp_ud_ops.has_pkey: is a port here in this partition? Process, may sleep. */
bool verbs_native_pkey(struct net *net, u16 pkey)
{
	return verbs_pkey_valid(pkey) && verbs_ports(net, verbs_look_pkey, &pkey);
}

/*
 * Paths to LIDs
 */

/**
 * struct verbs_lid_query - a path that is asked for
 * @done: there is an answer, or none
 * @err: which one
 * @rec: where to put the path
 */
struct verbs_lid_query {
	struct completion done;
	int err;
	struct sa_path_rec *rec;
};

static void verbs_lid_answer(int status, struct sa_path_rec *rec, unsigned int num,
			     void *context)
{
	struct verbs_lid_query *q = context;

	q->err = status;
	if (!status)
		*q->rec = *rec;
	complete(&q->done);
}

/* Any but a time that has passed means that there is none */
static int verbs_lid_err(int status)
{
	if (!status || status == -ETIMEDOUT || status == -ENOMEM)
		return status;
	return -EHOSTUNREACH;
}

/**
 * verbs_native_lid_path() - ask for the path to a LID
 * @id: bound to an own address
 * @lid: the LID
 * @rec: where to put the path
 *
 * Context: process, may sleep until there is an answer; a signal ends that.
 * Return: 0; -EHOSTUNREACH (there is none), -ETIMEDOUT, -ERESTARTSYS, -ENOMEM.
 */
int verbs_native_lid_path(struct rdma_cm_id *id, u32 lid, struct sa_path_rec *rec)
{
	struct verbs_lid_query q = { .rec = rec };
	struct ib_sa_query *query;
	int query_id;

	init_completion(&q.done);
	memset(rec, 0, sizeof(*rec));
	rec->rec_type = rdma_cap_opa_ah(id->device, id->port_num) ?
			SA_PATH_REC_TYPE_OPA : SA_PATH_REC_TYPE_IB;
	rdma_read_gids(id, &rec->sgid, NULL);
	sa_path_set_dlid(rec, lid);
	rec->pkey = cpu_to_be16(ib_addr_get_pkey(&id->route.addr.dev_addr));
	rec->numb_path = 1;
	rec->reversible = 1;
	query_id = ib_sa_path_rec_get(&verbs_sa_client, id->device, id->port_num, rec,
				      IB_SA_PATH_REC_SGID | IB_SA_PATH_REC_DLID |
				      IB_SA_PATH_REC_PKEY |
				      IB_SA_PATH_REC_NUMB_PATH |
				      IB_SA_PATH_REC_REVERSIBLE,
				      VERBS_ROUTE_MS, GFP_KERNEL, verbs_lid_answer,
				      &q, &query);
	if (query_id < 0)
		return verbs_lid_err(query_id);
	if (!wait_for_completion_interruptible(&q.done))
		return verbs_lid_err(q.err);
	ib_sa_cancel_query(query_id, query);
	wait_for_completion(&q.done);
	return -ERESTARTSYS;
}

void verbs_native_init(void)
{
	ib_sa_register_client(&verbs_sa_client);
}

void verbs_native_exit(void)
{
	ib_sa_unregister_client(&verbs_sa_client);
}
