// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: packets of RoCEv2
 *
 * They are UDP to port 4791, and go through the network stack: the ones that come are
 * seen as they are received from a netdevice, whoever else receives them, the ones that
 * are sent are routed as any other. So there need be no RDMA device, and what a device
 * in hardware takes away before the stack is not seen.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "raw.h"

/* Source ports are those of RoCEv2 (IBA v1 A17.9.2) */
#define AFIB_RAW_SPORT		0xc000

/*
 * Receiving
 */

/**
 * struct afib_pkt - what is known of a packet that came
 * @sgid: address of who sent it
 * @dgid: where it went to
 * @tclass: traffic class
 * @hop_limit: hop limit
 * @l3: bytes of its IP header, which has no options
 * @len: bytes behind that, from the UDP header on
 */
struct afib_pkt {
	struct in6_addr sgid;
	struct in6_addr dgid;
	u8 tclass;
	u8 hop_limit;
	u32 l3;
	u32 len;
};

static bool afib_raw_ipv4(const struct sk_buff *skb, int offset, struct afib_pkt *p)
{
	const struct iphdr *ip;
	struct iphdr buf;

	ip = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	if (!ip || ip->version != 4 || ip->ihl != sizeof(*ip) / 4 ||
	    ip->protocol != IPPROTO_UDP || ip_is_fragment(ip) ||
	    ip_fast_csum(ip, ip->ihl))
		return false;
	ipv6_addr_set_v4mapped(ip->saddr, &p->sgid);
	ipv6_addr_set_v4mapped(ip->daddr, &p->dgid);
	p->tclass = ip->tos;
	p->hop_limit = ip->ttl;
	p->l3 = sizeof(*ip);
	p->len = ntohs(ip->tot_len) - min_t(u32, ntohs(ip->tot_len), sizeof(*ip));
	return true;
}

static bool afib_raw_ipv6(const struct sk_buff *skb, int offset, struct afib_pkt *p)
{
	const struct ipv6hdr *ip;
	struct ipv6hdr buf;

	ip = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	if (!ip || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return false;
	p->sgid = ip->saddr;
	p->dgid = ip->daddr;
	p->tclass = ipv6_get_dsfield(ip);
	p->hop_limit = ip->hop_limit;
	p->l3 = sizeof(*ip);
	p->len = ntohs(ip->payload_len);
	return true;
}

static bool afib_raw_parse(const struct sk_buff *skb, int offset, struct afib_pkt *p)
{
	return skb->protocol == htons(ETH_P_IP) ? afib_raw_ipv4(skb, offset, p) :
						  afib_raw_ipv6(skb, offset, p);
}

/* Is it one of RoCEv2? What it is in a whole is looked at later. */
static bool afib_raw_roce(const struct sk_buff *skb, int offset, struct afib_pkt *p)
{
	const struct udphdr *udp;
	struct udphdr buf;

	if (!afib_raw_parse(skb, offset, p))
		return false;
	udp = skb_header_pointer(skb, offset + p->l3, sizeof(buf), &buf);
	return udp && udp->dest == htons(ROCE_UDP_PORT);
}

static bool afib_raw_icrc_right(const struct sk_buff *skb, u32 bth, u32 len)
{
	__le32 icrc;

	return !skb_copy_bits(skb, bth + len, &icrc, sizeof(icrc)) &&
	       icrc == roce_icrc(skb, skb->protocol, bth, len);
}

/*
 * Have a packet, with its IP header at skb->data, from its BTH on, if it is one and
 * its ICRC is right
 */
static bool afib_raw_strip(struct sk_buff *skb, const struct afib_pkt *p)
{
	u32 headers = p->l3 + sizeof(struct udphdr), len = p->len - sizeof(struct udphdr);

	if (p->len < sizeof(struct udphdr) + ROCE_MIN_OVERHEAD || len % 4 ||
	    p->l3 + p->len > skb->len || !pskb_may_pull(skb, headers))
		return false;
	skb_reset_network_header(skb);
	len -= ROCE_ICRC_LEN;
	if (!afib_raw_icrc_right(skb, headers, len))
		return false;
	return pskb_pull(skb, headers) && !pskb_trim(skb, len);
}

static void afib_raw_roce_info(const struct afib_pkt *p, struct qp_rmsg *m)
{
	*m = (struct qp_rmsg){
		.flags		= QP_CQE_SRC,
		.pkey		= IB_PKEY_DEFAULT,
		.tclass		= p->tclass,
		.hop_limit	= p->hop_limit,
	};
	memcpy(m->sgid, &p->sgid, sizeof(m->sgid));
	memcpy(m->dgid, &p->dgid, sizeof(m->dgid));
}

/* One packet; consumed. Softirq. */
static void afib_raw_roce_one(struct sock *sk, struct sk_buff *skb)
{
	struct afib_pkt p;
	struct qp_rmsg m;

	__skb_pull(skb, skb_network_offset(skb));
	if (!afib_raw_roce(skb, 0, &p) || !afib_raw_strip(skb, &p)) {
		kfree_skb(skb);
		return;
	}
	afib_raw_roce_info(&p, &m);
	afib_raw_receive(sk, skb, &m);
}

/* &packet_type.func: a packet has come by way of a netdevice. Softirq, RCU. */
static int afib_raw_roce_hook(struct sk_buff *skb, struct net_device *dev,
			      struct packet_type *pt, struct net_device *orig_dev)
{
	struct sock *sk = pt->af_packet_priv;
	struct afib_pkt p;
	struct qp_rmsg m;

	if (skb->pkt_type == PACKET_OTHERHOST || !afib_raw_roce(skb, 0, &p))
		goto out;
	afib_raw_roce_info(&p, &m);
	if (afib_raw_wanted(sk, dev, &m))
		afib_raw_copy(sk, skb, skb_mac_header_was_set(skb) ?
			      skb->data - skb_mac_header(skb) : 0, afib_raw_roce_one);
out:
	consume_skb(skb);
	return NET_RX_SUCCESS;
}

static void afib_raw_hook_up(struct sock *sk, struct packet_type *pt, u16 type)
{
	pt->type = htons(type);
	pt->func = afib_raw_roce_hook;
	pt->af_packet_priv = sk;
	pt->af_packet_net = sock_net(sk);
	dev_add_pack(pt);
}

/* See packets from now on */
void afib_raw_roce_start(struct afib_raw *raw)
{
	afib_raw_hook_up(&raw->is.sk, &raw->hooks[0], ETH_P_IP);
	if (IS_ENABLED(CONFIG_IPV6))
		afib_raw_hook_up(&raw->is.sk, &raw->hooks[1], ETH_P_IPV6);
}

/* Or no more, after an RCU grace period */
void afib_raw_roce_stop(struct afib_raw *raw)
{
	__dev_remove_pack(&raw->hooks[0]);
	if (IS_ENABLED(CONFIG_IPV6))
		__dev_remove_pack(&raw->hooks[1]);
}

/*
 * Sending
 */

/**
 * struct afib_way - how a packet gets to a peer
 * @v4: by IPv4
 * @saddr: own address
 * @daddr: the peer's
 * @tclass: traffic class
 * @hop_limit: hop limit
 * @dst: the route, referenced
 */
struct afib_way {
	bool v4;
	struct in6_addr saddr;
	struct in6_addr daddr;
	u8 tclass;
	u8 hop_limit;
	struct dst_entry *dst;
};

static __be32 afib_raw_v4(const struct in6_addr *addr)
{
	return addr->s6_addr32[3];
}

static int afib_raw_route4(struct sock *sk, int ifindex, struct afib_way *w)
{
	struct flowi4 fl4 = {
		.flowi4_oif	= ifindex,
		.flowi4_mark	= READ_ONCE(sk->sk_mark),
		.flowi4_proto	= IPPROTO_UDP,
		.flowi4_uid	= sk_uid(sk),
		.daddr		= afib_raw_v4(&w->daddr),
		.saddr		= afib_raw_v4(&w->saddr),
		.fl4_dport	= htons(ROCE_UDP_PORT),
	};
	struct rtable *rt;

	rt = ip_route_output_key(sock_net(sk), &fl4);
	if (IS_ERR(rt))
		return PTR_ERR(rt);
	if (rt->rt_flags & RTCF_BROADCAST) {
		ip_rt_put(rt);
		return -ENETUNREACH;
	}
	ipv6_addr_set_v4mapped(fl4.saddr, &w->saddr);
	w->dst = &rt->dst;
	return 0;
}

#if IS_ENABLED(CONFIG_IPV6)
static int afib_raw_route6(struct sock *sk, int ifindex, struct afib_way *w)
{
	struct flowi6 fl6 = {
		.flowi6_oif	= ifindex,
		.flowi6_mark	= READ_ONCE(sk->sk_mark),
		.flowi6_proto	= IPPROTO_UDP,
		.flowi6_uid	= sk_uid(sk),
		.daddr		= w->daddr,
		.saddr		= w->saddr,
		.fl6_dport	= htons(ROCE_UDP_PORT),
	};
	struct dst_entry *dst;

	dst = ip6_dst_lookup_flow(sock_net(sk), NULL, &fl6, NULL);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	w->saddr = fl6.saddr;
	w->dst = dst;
	return 0;
}

static int afib_raw_out6(struct net *net, struct sk_buff *skb)
{
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	return ip6_local_out(net, NULL, skb);
}
#else
static int afib_raw_route6(struct sock *sk, int ifindex, struct afib_way *w)
{
	return -EAFNOSUPPORT;
}

static int afib_raw_out6(struct net *net, struct sk_buff *skb)
{
	kfree_skb(skb);
	return 0;
}
#endif

/* Find the way to an address; w->dst is the caller's if that succeeds */
static int afib_raw_route(struct sock *sk, const struct sockaddr_ib *to,
			  const struct afib_opts *opts, struct afib_way *w)
{
	const struct ib_addr *local = &afib_sk(sk)->local.sib_addr;
	int ifindex = READ_ONCE(sk->sk_bound_dev_if) ?: to->sib_scope_id;
	int err;

	memset(w, 0, sizeof(*w));
	memcpy(&w->daddr, &to->sib_addr, sizeof(w->daddr));
	w->v4 = ipv6_addr_v4mapped(&w->daddr);
	if (!afib_addr_any(local)) {
		memcpy(&w->saddr, local, sizeof(w->saddr));
		if (ipv6_addr_v4mapped(&w->saddr) != w->v4)
			return -EINVAL;
	}
	err = w->v4 ? afib_raw_route4(sk, ifindex, w) : afib_raw_route6(sk, ifindex, w);
	if (err)
		return err == -EACCES || err == -EINVAL ? -ENETUNREACH : err;
	w->tclass = max_t(s16, opts->tclass, 0);
	w->hop_limit = opts->hop_limit > 0 ? opts->hop_limit :
		       w->v4 ? ip4_dst_hoplimit(w->dst) : ip6_dst_hoplimit(w->dst);
	return 0;
}

static u32 afib_raw_headers(const struct afib_way *w)
{
	return (w->v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
	       sizeof(struct udphdr);
}

/* The bytes, with room for headers in front and the ICRC behind */
static struct sk_buff *afib_raw_skb(struct sock *sk, struct msghdr *msg, size_t len,
				    const struct afib_way *w)
{
	u32 room = LL_RESERVED_SPACE(dst_dev(w->dst)) + afib_raw_headers(w);
	struct sk_buff *skb;
	int err;

	skb = sock_alloc_send_skb(sk, room + len + ROCE_ICRC_LEN,
				  msg->msg_flags & MSG_DONTWAIT, &err);
	if (!skb)
		return ERR_PTR(err);
	if (!afib_mem_send(skb))
		return ERR_PTR(-ENOBUFS);
	skb_reserve(skb, room);
	if (!copy_from_iter_full(skb_put(skb, len), len, &msg->msg_iter)) {
		kfree_skb(skb);
		return ERR_PTR(-EFAULT);
	}
	skb_put_zero(skb, ROCE_ICRC_LEN);
	return skb;
}

static void afib_raw_put_ip(struct sk_buff *skb, const struct afib_way *w)
{
	u32 len = skb->len;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (w->v4) {
		ip = skb_push(skb, sizeof(*ip));
		*ip = (struct iphdr){
			.version	= 4,
			.ihl		= sizeof(*ip) / 4,
			.tos		= w->tclass,
			.tot_len	= htons(skb->len),
			.frag_off	= htons(IP_DF),
			.ttl		= w->hop_limit,
			.protocol	= IPPROTO_UDP,
			.saddr		= afib_raw_v4(&w->saddr),
			.daddr		= afib_raw_v4(&w->daddr),
		};
		skb->protocol = htons(ETH_P_IP);
	} else {
		ip6 = skb_push(skb, sizeof(*ip6));
		ip6_flow_hdr(ip6, w->tclass, 0);
		ip6->payload_len = htons(len);
		ip6->nexthdr = IPPROTO_UDP;
		ip6->hop_limit = w->hop_limit;
		ip6->saddr = w->saddr;
		ip6->daddr = w->daddr;
		skb->protocol = htons(ETH_P_IPV6);
	}
	skb_reset_network_header(skb);
}

/* Give it headers and the ICRC, which covers most of them */
static void afib_raw_finish(struct sk_buff *skb, const struct afib_way *w)
{
	const struct roce_bth *bth = (const struct roce_bth *)skb->data;
	u32 qpn = ntohl(bth->qpn) & AFIB_RAW_QPN;
	u32 len = skb->len - ROCE_ICRC_LEN;
	struct udphdr *udp;
	__le32 icrc;

	udp = skb_push(skb, sizeof(*udp));
	skb_reset_transport_header(skb);
	udp->source = htons(AFIB_RAW_SPORT | (qpn & ~AFIB_RAW_SPORT));
	udp->dest = htons(ROCE_UDP_PORT);
	udp->len = htons(skb->len);
	udp->check = 0;
	afib_raw_put_ip(skb, w);
	icrc = roce_icrc(skb, skb->protocol, afib_raw_headers(w), len);
	memcpy(skb_tail_pointer(skb) - ROCE_ICRC_LEN, &icrc, sizeof(icrc));
}

/*
 * IP takes the socket that owns a packet for one of its own, so nobody does, and it is
 * remembered elsewhere whom it counts for
 */
static void afib_raw_free(struct sk_buff *skb)
{
	skb->sk = skb_shinfo(skb)->destructor_arg;
	afib_mem_wfree(skb);
}

static int afib_raw_xmit(struct sock *sk, struct sk_buff *skb, struct afib_way *w,
			 const struct afib_opts *opts)
{
	struct net *net = sock_net(sk);
	int err;

	skb->priority = opts->sl > 0 ? opts->sl : READ_ONCE(sk->sk_priority);
	skb->mark = READ_ONCE(sk->sk_mark);
	skb->dev = dst_dev(w->dst);
	skb_dst_set(skb, w->dst);
	skb_shinfo(skb)->destructor_arg = sk;
	skb->destructor = afib_raw_free;
	skb->sk = NULL;
	if (w->v4) {
		memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
		err = ip_local_out(net, NULL, skb);
	} else {
		err = afib_raw_out6(net, skb);
	}
	return err > 0 ? net_xmit_errno(err) : err;
}

/**
 * afib_raw_roce_send() - send a packet
 * @sk: the socket
 * @msg: the packet
 * @len: its length, bytes, a multiple of 4
 * @to: where to
 * @opts: how it is to travel
 *
 * Context: process, may sleep.
 * Return: 0; -EMSGSIZE, -EINVAL (another version of IP), or as routing says.
 */
int afib_raw_roce_send(struct sock *sk, struct msghdr *msg, size_t len,
		       const struct sockaddr_ib *to, const struct afib_opts *opts)
{
	struct sk_buff *skb;
	struct afib_way w;
	int err;

	err = afib_raw_route(sk, to, opts, &w);
	if (err)
		return err;
	err = -EMSGSIZE;
	/* lo may carry more than IPv4 can say */
	if (afib_raw_headers(&w) + len + ROCE_ICRC_LEN >
	    min_t(u32, dst_mtu(w.dst), IP_MAX_MTU))
		goto release;
	skb = afib_raw_skb(sk, msg, len, &w);
	err = PTR_ERR_OR_ZERO(skb);
	if (err)
		goto release;
	afib_raw_finish(skb, &w);
	return afib_raw_xmit(sk, skb, &w, opts);

release:
	dst_release(w.dst);
	return err;
}

/* Is it an IP address of ours? Process, or softirq. */
bool afib_raw_roce_own(struct net *net, const struct sockaddr_ib *addr)
{
	const struct in6_addr *in6 = (const void *)&addr->sib_addr;
	struct net_device *dev = NULL;
	bool own;

	if (ipv6_addr_v4mapped(in6))
		return inet_addr_type(net, afib_raw_v4(in6)) == RTN_LOCAL;
	rcu_read_lock();
	if (addr->sib_scope_id)
		dev = dev_get_by_index_rcu(net, addr->sib_scope_id);
	own = (dev || !addr->sib_scope_id) && ipv6_chk_addr(net, in6, dev, 0);
	rcu_read_unlock();
	return own;
}
