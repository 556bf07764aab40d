// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: packets of InfiniBand's own ports
 *
 * They go through the port's netdevice both ways: see include/net/ib_netdev.h. The
 * ones that come are seen once nobody has refused them there, whoever else receives
 * them. The ones that are sent begin with a local route header and, unless the address
 * is no more than a LID, with a GRH; subnet administration says which way, as of a
 * datagram, and each way is remembered as that is. A packet for queue pair 0 goes by
 * the management lane, any other by virtual lane 0.
 *
 * Ports whose driver keeps packets to itself have none.
 */
#include <net/ipv6.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_hdrs.h>
#include <rdma/ib_verbs.h>

#include "raw.h"

/* What is asked for is the way to a port: to which queue pair does not matter */
#define AFIB_RAW_ANY_QPN	2

#define AFIB_RAW_VL_MANAGEMENT	15

/* A packet may be so much longer than the payload that the MTU is about */
#define AFIB_RAW_OVERHEAD	124

static_assert(IB_LRH_LEN + sizeof(struct ib_grh) <= AFIB_RAW_HEADROOM);
static_assert(ROCE_ICRC_LEN + IB_VCRC_LEN <= AFIB_RAW_TAILROOM);

/*
 * Receiving
 */

/* Local route header, IBA v1 7.7 */
struct afib_lrh {
	u8 vl_lver;
	u8 sl_lnh;
	__be16 dlid;
	__be16 len;
	__be16 slid;
};

static_assert(sizeof(struct afib_lrh) == IB_LRH_LEN);

/* The first GID of a port, which is in its netdevice's address */
static void afib_raw_port_gid(const struct net_device *dev, u8 *gid)
{
	memcpy(gid, dev->dev_addr + dev->addr_len - sizeof(union ib_gid),
	       sizeof(union ib_gid));
}

/* Only subnet management has no LID; and groups have GIDs always */
static bool afib_raw_native_dlid_ok(const struct net_device *dev, const struct afib_lrh *lrh)
{
	return lrh->dlid == IB_LID_PERMISSIVE ||
	       ib_netdev_has_lid(dev, be16_to_cpu(lrh->dlid));
}

/* What headers say; of a packet without a GRH that is no more than LIDs. Of many in one
 * it is what the first says.
 */
static bool afib_raw_native_info(const struct sk_buff *skb, struct qp_rmsg *m)
{
	const struct afib_lrh *lrh = (const struct afib_lrh *)skb->data;
	const struct ib_grh *grh;
	struct ib_grh buf;
	__be64 guid;

	memset(m, 0, sizeof(*m));
	m->flags = QP_CQE_SRC;
	m->sl = lrh->sl_lnh >> 4;
	if (!ib_has_grh(skb->data)) {
		if (!afib_raw_native_dlid_ok(skb->dev, lrh))
			return false;
		guid = cpu_to_be64(IB_GUID_LID | be16_to_cpu(lrh->slid));
		m->flags |= QP_RMSG_LID;
		afib_raw_port_gid(skb->dev, m->dgid);
		memcpy(m->sgid, m->dgid, sizeof(m->sgid));
		memcpy(m->sgid + sizeof(guid), &guid, sizeof(guid));
		return true;
	}
	grh = skb_header_pointer(skb, IB_LRH_LEN, sizeof(buf), &buf);
	if (!grh || grh->next_hdr != IB_GRH_NEXT_HDR)
		return false;
	memcpy(m->sgid, &grh->sgid, sizeof(m->sgid));
	memcpy(m->dgid, &grh->dgid, sizeof(m->dgid));
	m->tclass = be32_to_cpu(grh->version_tclass_flow) >> IB_GRH_TCLASS_SHIFT;
	m->hop_limit = grh->hop_limit;
	return true;
}

/* Of one that is as long as it says */
static bool afib_raw_native_icrc_right(const struct sk_buff *skb)
{
	unsigned int end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	return !skb_copy_bits(skb, end, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc_ib(skb, 0, end);
}

/* The GRH says how long the packet is, too */
static bool afib_raw_native_whole(const struct sk_buff *skb)
{
	unsigned int headers = ib_bth_offset(skb->data);
	__be16 paylen;

	if (skb->len < headers + ROCE_MIN_OVERHEAD)
		return false;
	if (!ib_has_grh(skb->data))
		return true;
	return !skb_copy_bits(skb, IB_LRH_LEN + offsetof(struct ib_grh, paylen), &paylen,
			      sizeof(paylen)) &&
	       be16_to_cpu(paylen) == skb->len - headers;
}

/* One packet, with its LRH at skb->data; consumed. Softirq. */
static void afib_raw_native_one(struct sock *sk, struct sk_buff *skb)
{
	unsigned int headers = ib_bth_offset(skb->data);
	const struct roce_bth *bth;
	struct qp_rmsg m;

	if (!afib_raw_native_whole(skb) || !afib_raw_native_info(skb, &m) ||
	    !afib_raw_native_icrc_right(skb) ||
	    !pskb_may_pull(skb, headers + sizeof(*bth)))
		goto drop;
	bth = (const struct roce_bth *)(skb->data + headers);
	m.pkey = be16_to_cpu(bth->pkey);
	__skb_pull(skb, headers);
	if (pskb_trim(skb, skb->len - ROCE_ICRC_LEN))
		goto drop;
	afib_raw_receive(sk, skb, &m);
	return;
drop:
	kfree_skb(skb);
}

/* &ib_netdev_listener.hear */
static void afib_raw_native_hear(struct ib_netdev_listener *l, struct sk_buff *skb)
{
	struct sock *sk = &container_of(l, struct afib_raw, listener)->is.sk;
	struct qp_rmsg m;

	if (afib_raw_native_info(skb, &m) && afib_raw_wanted(sk, skb->dev, &m))
		afib_raw_copy(sk, skb, 0, afib_raw_native_one);
}

/* See packets from now on */
void afib_raw_native_start(struct afib_raw *raw)
{
	raw->listener.net = sock_net(&raw->is.sk);
	raw->listener.hear = afib_raw_native_hear;
	ib_netdev_listen(&raw->listener);
}

/* Or no more, after an RCU grace period */
void afib_raw_native_stop(struct afib_raw *raw)
{
	ib_netdev_unlisten(&raw->listener);
}

/*
 * Sending
 */

/* Does a port of this kind have the GID, and have its packets go by its netdevice? RCU. */
static bool afib_raw_port_has(const struct net_device *dev, const struct ib_addr *gid)
{
	const struct ib_gid_attr *attr;

	if (!netif_is_ib_port(dev) || !ib_netdev_carries(dev))
		return false;
	attr = rdma_find_gid_by_port(ib_netdev_device(dev), (const union ib_gid *)gid,
				     IB_GID_TYPE_IB, ib_netdev_port(dev), NULL);
	if (IS_ERR(attr))
		return false;
	rdma_put_gid_attr(attr);
	return true;
}

static struct net_device *afib_raw_gid_dev(struct net *net, const struct ib_addr *gid)
{
	struct net_device *dev;

	for_each_netdev_rcu(net, dev)
		if (afib_raw_port_has(dev, gid))
			return dev;
	return NULL;
}

/* The netdevice of a port, or NULL. RCU. */
static struct net_device *afib_raw_port_dev(struct afib_port *port)
{
	struct net *net = sock_net(&port->is->sk);
	int ifindex = READ_ONCE(port->ifindex);
	struct net_device *dev;

	if (ifindex) {
		dev = dev_get_by_index_rcu(net, ifindex);
		return dev && netif_is_ib_port(dev) ? dev : NULL;
	}
	dev = afib_raw_gid_dev(net, &port->gid);
	if (dev)
		WRITE_ONCE(port->ifindex, dev->ifindex);
	return dev;
}

static void afib_raw_put_grh(struct sk_buff *skb, const struct afib_dest *dest)
{
	u32 len = skb->len;
	struct ib_grh *grh;

	grh = skb_push(skb, sizeof(*grh));
	*grh = (struct ib_grh){
		.version_tclass_flow = cpu_to_be32(IB_GRH_VERSION << IB_GRH_VERSION_SHIFT |
						   dest->tclass << IB_GRH_TCLASS_SHIFT),
		.paylen		= cpu_to_be16(len),
		.next_hdr	= IB_GRH_NEXT_HDR,
		.hop_limit	= dest->hop_limit,
	};
	memcpy(&grh->sgid, &dest->port->gid, sizeof(grh->sgid));
	memcpy(&grh->dgid, &dest->key.gid, sizeof(grh->dgid));
}

/* Give it headers and the ICRC, which covers most of them */
static void afib_raw_native_finish(struct sk_buff *skb, const struct afib_dest *dest,
				   u16 slid)
{
	const struct roce_bth *bth = (const struct roce_bth *)skb->data;
	bool management = !(be32_to_cpu(bth->qpn) & AFIB_RAW_QPN);
	const struct ib_addr *gid = &dest->key.gid;
	bool global = afib_addr_multicast(gid) || !afib_addr_lid(gid);
	struct afib_lrh *lrh;
	__le32 icrc;

	skb_put_zero(skb, ROCE_ICRC_LEN);
	if (global)
		afib_raw_put_grh(skb, dest);
	lrh = skb_push(skb, sizeof(*lrh));
	*lrh = (struct afib_lrh){
		.vl_lver = management ? AFIB_RAW_VL_MANAGEMENT << 4 : 0,
		.sl_lnh	 = dest->sl << 4 | (global ? IB_LRH_LNH_GRH : IB_LRH_LNH_IBA),
		.dlid	 = cpu_to_be16(dest->lid),
		.slid	 = cpu_to_be16(slid),
	};
	ib_set_len((u8 *)lrh, skb->len);
	icrc = roce_icrc_ib(skb, 0, skb->len - ROCE_ICRC_LEN);
	memcpy(skb_tail_pointer(skb) - ROCE_ICRC_LEN, &icrc, sizeof(icrc));
}

/* Bottom halves off, RCU. What a queue of the netdevice does not take is lost. */
static int afib_raw_native_xmit(struct afib_dest *dest, struct sk_buff *skb)
{
	struct net_device *dev = afib_raw_port_dev(dest->port);
	struct sock *sk = &dest->port->is->sk;

	if (!dev || !ib_netdev_sends(dev))
		return -ENETDOWN;
	if (skb->len + IB_LRH_LEN + sizeof(struct ib_grh) + ROCE_ICRC_LEN >
	    READ_ONCE(dev->mtu) + AFIB_RAW_OVERHEAD)
		return -EMSGSIZE;
	skb->priority = READ_ONCE(sk->sk_priority);
	skb->mark = READ_ONCE(sk->sk_mark);
	afib_raw_native_finish(skb, dest, ib_netdev_lid(dev));
	ib_netdev_send(dev, skb);
	return 0;
}

/**
 * afib_raw_native_out() - send a packet
 * @dest: where to
 * @skb: the packet, from its BTH on, with room for the rest; consumed if this succeeds
 *
 * Context: process, may sleep.
 * Return: 0, -ENETDOWN, -EMSGSIZE.
 */
int afib_raw_native_out(struct afib_dest *dest, struct sk_buff *skb)
{
	int err;

	rcu_read_lock_bh();
	err = afib_raw_native_xmit(dest, skb);
	rcu_read_unlock_bh();
	return err;
}

/**
 * afib_raw_native_own() - is it the GID of a port whose packets can be had?
 * @net: network namespace
 * @gid: the GID
 *
 * Context: any.
 * Return: true if it is.
 */
bool afib_raw_native_own(struct net *net, const struct ib_addr *gid)
{
	guard(rcu)();
	return afib_raw_gid_dev(net, gid);
}

/* Is the socket in a group by such a port? It sends to groups from where it is in them. */
static bool afib_raw_native_member(struct afib_sock *is)
{
	struct net *net = sock_net(&is->sk);
	struct afib_port *port;
	bool native = false;
	u32 n;

	for (n = 0; !native && (port = afib_port_nth(is, n)); n++) {
		native = afib_raw_native_own(net, &port->gid);
		afib_port_put(port);
	}
	return native;
}

/**
 * afib_raw_native_leads() - is it one of InfiniBand's own ports that leads somewhere?
 * @raw: the socket
 * @to: where
 *
 * What it is bound to says so, or else the netdevice, or else routing.
 *
 * Context: process, may sleep.
 * Return: true if it is.
 */
bool afib_raw_native_leads(struct afib_raw *raw, const struct sockaddr_ib *to)
{
	struct sock *sk = &raw->is.sk;
	int ifindex = READ_ONCE(sk->sk_bound_dev_if) ?: to->sib_scope_id;
	struct sockaddr_storage peer = {}, own;
	struct net *net = sock_net(sk);
	struct net_device *dev;
	bool native;

	if (ipv6_addr_v4mapped((const struct in6_addr *)&to->sib_addr))
		return false;
	if (!afib_addr_any(&raw->is.local.sib_addr))
		return READ_ONCE(raw->native);
	if (ifindex) {
		rcu_read_lock();
		dev = dev_get_by_index_rcu(net, ifindex);
		native = dev && netif_is_ib_port(dev) && ib_netdev_carries(dev);
		rcu_read_unlock();
		return native;
	}
	if (afib_addr_multicast(&to->sib_addr) && afib_raw_native_member(&raw->is))
		return true;
	memcpy(&peer, to, sizeof(*to));
	return !qp_kern_route(net, AF_IB, 0, &peer, &own) &&
	       afib_raw_native_own(net, &((const struct sockaddr_ib *)&own)->sib_addr);
}

/**
 * afib_raw_native_send() - send a packet
 * @sk: the socket
 * @msg: the packet
 * @len: its length, bytes, a multiple of 4
 * @to: where to
 * @opts: how it is to travel
 *
 * Context: process, may sleep while the way is asked for.
 * Return: 0, -EMSGSIZE, or as afib_dest_get().
 */
int afib_raw_native_send(struct sock *sk, struct msghdr *msg, size_t len,
			 const struct sockaddr_ib *to, const struct afib_opts *opts)
{
	struct sockaddr_ib port = *to;
	struct afib_key key;
	int err;

	port.sib_sid = cpu_to_be64(afib_addr_of_qpn(AFIB_RAW_ANY_QPN));
	port.sib_sid_mask = 0;
	err = afib_key_make(&key, afib_sk(sk), &port, opts);
	if (!err)
		err = afib_dgram_post(afib_sk(sk), msg, len, &key, NULL);
	return err == -ERESTARTSYS ? sock_intr_errno(sk->sk_sndtimeo) : err;
}

/**
 * afib_raw_native_bind() - have a queue pair at the address of a port
 * @is: the socket, locked
 * @addr: the address
 * @pkey: P_Key of its partition
 *
 * Context: process, may sleep.
 * Return: 0, or as afib_port_get().
 */
int afib_raw_native_bind(struct afib_sock *is, const struct sockaddr_ib *addr, u16 pkey)
{
	struct afib_port *port;

	port = afib_port_get(is, &addr->sib_addr, addr->sib_scope_id, pkey);
	if (IS_ERR(port))
		return PTR_ERR(port);
	afib_port_put(port);
	return 0;
}
