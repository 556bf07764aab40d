// SPDX-License-Identifier: GPL-2.0
/*
 * RoCEv2: InfiniBand's transport over UDP, IBA v1 annex A17
 *
 * Going down, headers are written here and not by the stack, because the ICRC
 * covers most of them; what the stack writes after that is what the ICRC does
 * not cover. Coming up, packets are taken from a UDP socket of the kernel,
 * before they would be queued to it, in softirq.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/udp.h>
#include <net/ip6_route.h>
#include <net/net_namespace.h>
#include <net/roce.h>
#include <net/route.h>
#include <net/udp_tunnel.h>

#include "link.h"
#include "netdev.h"
#include "path.h"

static void put_udp(const struct qpemu_path *path, struct sk_buff *skb)
{
	struct udphdr *udp = skb_push(skb, sizeof(*udp));

	skb_reset_transport_header(skb);
	udp->source = htons(path->sport);
	udp->dest = htons(ROCE_V2_UDP_DPORT);
	udp->len = htons(skb->len);
	udp->check = 0;
}

static void put_ipv4(const struct qpemu_path *path, struct sk_buff *skb)
{
	struct iphdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	*ip = (struct iphdr) {
		.version = 4,
		.ihl = sizeof(*ip) / 4,
		.tos = path->tclass,
		.tot_len = htons(skb->len),
		.frag_off = htons(IP_DF),
		.ttl = path->hop_limit,
		.protocol = IPPROTO_UDP,
		.saddr = ((const struct in6_addr *)&path->sgid)->s6_addr32[3],
		.daddr = ((const struct in6_addr *)&path->dgid)->s6_addr32[3],
	};
	skb->protocol = htons(ETH_P_IP);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
}

static void put_ipv6(const struct qpemu_path *path, struct sk_buff *skb)
{
	unsigned int len = skb->len;
	struct ipv6hdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	ip6_flow_hdr(ip, path->tclass, htonl(path->flow_label));
	ip->payload_len = htons(len);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = path->hop_limit;
	memcpy(&ip->saddr, &path->sgid, sizeof(ip->saddr));
	memcpy(&ip->daddr, &path->dgid, sizeof(ip->daddr));
	skb->protocol = htons(ETH_P_IPV6);
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
}

/* Packets that are cut on the way get their CRCs there. */
static int finish(struct sk_buff *skb)
{
	unsigned int bth = skb_transport_offset(skb) + sizeof(struct udphdr);
	unsigned int end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	if (skb_is_gso(skb)) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		return 0;
	}
	icrc = roce_icrc(skb, skb->protocol, bth, end - bth);
	return skb_store_bits(skb, end, &icrc, sizeof(icrc));
}

static int udp_xmit(struct qpemu_path *path, struct sk_buff *skb)
{
	struct dst_entry *dst;
	struct net *net;
	int err;

	rcu_read_lock();
	dst = qpemu_path_dst(path);
	if (IS_ERR(dst)) {
		err = PTR_ERR(dst);
		goto drop;
	}

	put_udp(path, skb);
	if (qpemu_path_is_ipv4(path))
		put_ipv4(path, skb);
	else
		put_ipv6(path, skb);
	err = finish(skb);
	if (err)
		goto drop;

	skb->priority = path->sl ?: rt_tos2priority(path->tclass);
	skb->dev = dst_dev_rcu(dst);
	skb_dst_set_noref(skb, dst);
	net = dev_net_rcu(skb->dev);
	if (skb->protocol == htons(ETH_P_IP))
		err = ip_local_out(net, NULL, skb);
	else
		err = ip6_local_out(net, NULL, skb);
	rcu_read_unlock();
	return err > 0 ? net_xmit_errno(err) : err;

drop:
	rcu_read_unlock();
	kfree_skb(skb);
	return err;
}

static void udp_gids(const struct sk_buff *skb, union ib_gid *sgid, union ib_gid *dgid)
{
	if (ip_hdr(skb)->version == 4) {
		ipv6_addr_set_v4mapped(ip_hdr(skb)->saddr, (struct in6_addr *)sgid);
		ipv6_addr_set_v4mapped(ip_hdr(skb)->daddr, (struct in6_addr *)dgid);
	} else {
		memcpy(sgid, &ipv6_hdr(skb)->saddr, sizeof(*sgid));
		memcpy(dgid, &ipv6_hdr(skb)->daddr, sizeof(*dgid));
	}
}

const struct qpemu_link qpemu_link_udp = {
	.name = "RoCEv2",
	.headroom = sizeof(struct ipv6hdr) + sizeof(struct udphdr),
	.super = true,
	.xmit = udp_xmit,
	.gids = udp_gids,
};

static bool is_train(const struct sk_buff *skb)
{
	return skb_is_gso(skb) && skb_shinfo(skb)->gso_type == QPEMU_TRAIN;
}

/*
 * Is it a packet, a super-packet or a train, in form? @skb->data is at the UDP header,
 * and the UDP length has been checked. The ICRC is defined for IP headers
 * without options only.
 */
static bool well_formed(struct sk_buff *skb)
{
	unsigned int len = skb->len - sizeof(struct udphdr);
	unsigned int l3_len = ip_hdr(skb)->version == 4 ? sizeof(struct iphdr) :
							 sizeof(struct ipv6hdr);
	const struct roce_bth *bth;

	if (skb_transport_header(skb) - skb_network_header(skb) != l3_len)
		return false;
	if (len < ROCE_MIN_OVERHEAD || len % 4 ||
	    !pskb_may_pull(skb, sizeof(struct udphdr) + sizeof(*bth)))
		return false;
	bth = (const void *)(skb->data + sizeof(struct udphdr));
	if (bth->flags & ROCE_BTH_VERSION)
		return false;
	if (is_train(skb))
		return skb_shinfo(skb)->gso_size >= ROCE_MIN_OVERHEAD &&
		       len % skb_shinfo(skb)->gso_size == 0;
	return !skb_is_gso(skb) || skb_shinfo(skb)->gso_type == QPEMU_SUPER;
}

static bool icrc_right(const struct sk_buff *skb)
{
	__be16 protocol = ip_hdr(skb)->version == 4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	unsigned int bth = sizeof(struct udphdr), end = skb->len - ROCE_ICRC_LEN;
	__le32 icrc;

	return !skb_copy_bits(skb, end, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc(skb, protocol, bth, end - bth);
}

/* Give it to the driver. @skb->data is at its BTH. */
static void deliver(struct qpemu_dev *dev, struct sk_buff *skb)
{
	struct qpemu_skb_cb *cb = qpemu_skb_cb(skb);
	bool train = is_train(skb);

	cb->dev = dev;
	cb->segment = train ? 0 : skb_shinfo(skb)->gso_size;
	cb->network = ip_hdr(skb)->version == 4 ? RDMA_NETWORK_IPV4 : RDMA_NETWORK_IPV6;
	cb->has_grh = true;
	if (train)
		qpemu_rx_train(skb);
	else
		qpemu_rx_packet(skb);
}

/* A packet for a socket of ours. Softirq, RCU. Return: 0, it is eaten. */
static int udp_receive(struct sock *sk, struct sk_buff *skb)
{
	union ib_gid sgid, dgid;
	struct qpemu_dev *dev;

	udp_gids(skb, &sgid, &dgid);
	dev = qpemu_dev_find(skb->dev, &dgid, IB_GID_TYPE_ROCE_UDP_ENCAP);
	if (!dev)
		goto drop;
	if (!well_formed(skb)) {
		qpemu_count(dev, QPEMU_MALFORMED);
		goto drop;
	}
	if (!skb_is_gso(skb) && !icrc_right(skb)) {
		qpemu_count(dev, QPEMU_ICRC_ERR);
		goto drop;
	}
	__skb_pull(skb, sizeof(struct udphdr));

	/* It may be kept for a while: let go of what belongs to the stack. */
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	deliver(dev, skb);
	return 0;

drop:
	kfree_skb(skb);
	return 0;
}

/**
 * struct qpemu_udp_net - the sockets of a network namespace
 * @list: in udp_nets
 * @net: the namespace; NULL once it is gone
 * @users: GIDs there, and devices that are being made
 * @v4: socket, or NULL
 * @v6: socket, or NULL
 */
struct qpemu_udp_net {
	struct list_head list;
	struct net *net;
	unsigned int users;
	struct socket *v4;
	struct socket *v6;
};

static LIST_HEAD(udp_nets);
static DEFINE_MUTEX(udp_lock);	/* protects the list and what is in it */

#ifdef CONFIG_DEBUG_LOCK_ALLOC
static struct lock_class_key udp_slock_key[2];
static struct lock_class_key udp_sk_key[2];

/*
 * A class of their own: these are made under RTNL and the lock of the GID
 * table, which locks of other kernel sockets may be held across.
 */
static void reclassify(struct socket *sock, bool v6)
{
	struct sock *sk = sock->sk;

	if (WARN_ON_ONCE(!sock_allow_reclassification(sk)))
		return;
	if (v6)
		sock_lock_init_class_and_name(sk, "slock-AF_INET6-QPEMU", &udp_slock_key[1],
					      "sk_lock-AF_INET6-QPEMU", &udp_sk_key[1]);
	else
		sock_lock_init_class_and_name(sk, "slock-AF_INET-QPEMU", &udp_slock_key[0],
					      "sk_lock-AF_INET-QPEMU", &udp_sk_key[0]);
	/*
	 * It has taken a reference of the module that has the keys. All sockets
	 * are gone before this one can be unloaded, so give it back.
	 */
	sk_owner_put(sk);
	sk_owner_clear(sk);
}
#else
static void reclassify(struct socket *sock, bool v6)
{
}
#endif

static struct socket *open_socket(struct net *net, bool v6)
{
	struct udp_port_cfg port = {
		.family = v6 ? AF_INET6 : AF_INET,
		.local_udp_port = htons(ROCE_V2_UDP_DPORT),
		.ipv6_v6only = v6,
	};
	struct udp_tunnel_sock_cfg tunnel = {
		.encap_type = 1,
		.encap_rcv = udp_receive,
	};
	struct socket *sock;
	int err;

	err = udp_sock_create(net, &port, &sock);
	if (err)
		return ERR_PTR(err);
	reclassify(sock, v6);
	udp_allow_roce_gso(sock->sk);
	setup_udp_tunnel_sock(net, sock->sk, &tunnel);
	return sock;
}

static void close_sockets(struct qpemu_udp_net *udp)
{
	if (udp->v4)
		udp_tunnel_sock_release(udp->v4->sk);
	if (udp->v6)
		udp_tunnel_sock_release(udp->v6->sk);
	udp->v4 = NULL;
	udp->v6 = NULL;
}

/* A host without IPv6 does without the second. */
static int open_sockets(struct qpemu_udp_net *udp)
{
	struct socket *sock;

	sock = open_socket(udp->net, false);
	if (IS_ERR(sock))
		return PTR_ERR(sock);
	udp->v4 = sock;
	sock = open_socket(udp->net, true);
	if (!IS_ERR(sock)) {
		udp->v6 = sock;
		return 0;
	}
	if (PTR_ERR(sock) == -EAFNOSUPPORT || PTR_ERR(sock) == -EPFNOSUPPORT)
		return 0;
	close_sockets(udp);
	return PTR_ERR(sock);
}

static struct qpemu_udp_net *udp_find(const struct net *net)
{
	struct qpemu_udp_net *udp;

	list_for_each_entry(udp, &udp_nets, list)
		if (udp->net == net)
			return udp;
	return NULL;
}

static struct qpemu_udp_net *udp_new(struct net *net)
{
	struct qpemu_udp_net *udp = kzalloc_obj(*udp);
	int err;

	if (!udp)
		return ERR_PTR(-ENOMEM);
	udp->net = net;
	err = open_sockets(udp);
	if (err) {
		kfree(udp);
		return ERR_PTR(err);
	}
	list_add(&udp->list, &udp_nets);
	return udp;
}

/**
 * qpemu_udp_get - receive packets in a network namespace
 * @net: a reference is held
 *
 * Context: may sleep, also under RTNL.
 * Return: a use of its sockets; or ERR_PTR, -EADDRINUSE if another program or
 * rxe has the port.
 */
struct qpemu_udp_net *qpemu_udp_get(struct net *net)
{
	struct qpemu_udp_net *udp;

	mutex_lock(&udp_lock);
	udp = udp_find(net) ?: udp_new(net);
	if (!IS_ERR(udp))
		udp->users++;
	mutex_unlock(&udp_lock);
	return udp;
}

/* The last user closes the sockets. */
void qpemu_udp_put(struct qpemu_udp_net *udp)
{
	mutex_lock(&udp_lock);
	if (!--udp->users) {
		close_sockets(udp);
		list_del(&udp->list);
		kfree(udp);
	}
	mutex_unlock(&udp_lock);
}

/* A namespace ends: its sockets must not outlive it, though users may. */
static void __net_exit udp_exit_net(struct net *net)
{
	struct qpemu_udp_net *udp;

	mutex_lock(&udp_lock);
	udp = udp_find(net);
	if (udp) {
		close_sockets(udp);
		udp->net = NULL;
	}
	mutex_unlock(&udp_lock);
}

static struct pernet_operations udp_net_ops = {
	.exit = udp_exit_net,
};

int qpemu_udp_init(void)
{
	return register_pernet_subsys(&udp_net_ops);
}

void qpemu_udp_exit(void)
{
	unregister_pernet_subsys(&udp_net_ops);
	/* Packets may still be on their way through udp_receive(). */
	synchronize_rcu();
}
