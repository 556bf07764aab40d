// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: packets, SOCK_RAW
 *
 * What a socket sends and receives is a packet from its base transport header (BTH)
 * on, without the invariant CRC at its end: that and what is in front of the BTH are
 * written, or checked and taken away, here. Packets are those of RoCEv2, UDP to port
 * 4791, and go through the network stack: the ones that come are seen as they are
 * received from a netdevice, whoever else receives them, the ones that are sent are
 * routed as any other. So there need be no RDMA device, and what a device in
 * hardware takes away before the stack is not seen.
 */
#include <linux/filter.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/addrconf.h>
#include <net/dsfield.h>
#include <net/gso.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/roce.h>
#include <net/route.h>

#include "ib_proto.h"

#define AFIB_RAW_QPN		0x00ffffff

/* Source ports are those of RoCEv2 (IBA v1 A17.9.2) */
#define AFIB_RAW_SPORT		0xc000

/* Opcodes of datagrams, which say who sent them: UD SEND, with immediate data or not */
#define AFIB_RAW_UD		0x64
#define AFIB_RAW_UD_IMM		0x65

/* Datagram extended transport header (IBA v1 9.3.1) */
struct afib_deth {
	__be32 qkey;
	__be32 src_qpn;
};

/**
 * struct afib_raw - a socket of the type SOCK_RAW
 * @is: first member; of it names and options are used. The service ID of
 *	&afib_sock.local has the number of a queue pair: that which packets are for,
 *	or 0 for any
 * @hooks: how it sees packets that come: of IPv4, of IPv6
 */
struct afib_raw {
	struct afib_sock is;
	struct packet_type hooks[2];
};

static struct afib_raw *afib_raw(const struct sock *sk)
{
	return (struct afib_raw *)sk;
}

struct proto afib_raw_proto = {
	.name		= "IB-RAW",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct afib_raw),
};

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

/* Is it for this socket? Names change; who receives meanwhile sees either. */
static bool afib_raw_wanted(struct afib_sock *is, const struct afib_pkt *p)
{
	const struct ib_addr *local = &is->local.sib_addr, *peer = &is->peer.sib_addr;
	bool wanted;

	spin_lock_bh(&is->lock);
	wanted = (!is->bound || afib_addr_any(local) ||
		  !memcmp(local, &p->dgid, sizeof(*local))) &&
		 (!is->peer.sib_family || !memcmp(peer, &p->sgid, sizeof(*peer)));
	spin_unlock_bh(&is->lock);
	return wanted;
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

static void afib_raw_info(struct sk_buff *skb, const struct afib_pkt *p)
{
	struct roce_bth *bth = (struct roce_bth *)skb->data;
	struct qp_rmsg *m = QP_RMSG(skb);
	struct afib_deth deth;

	memset(m, 0, sizeof(*m));
	memcpy(m->sgid, &p->sgid, sizeof(m->sgid));
	memcpy(m->dgid, &p->dgid, sizeof(m->dgid));
	m->flags = QP_CQE_SRC;
	m->pkey = IB_PKEY_DEFAULT;
	m->tclass = p->tclass;
	m->hop_limit = p->hop_limit;
	if ((bth->opcode == AFIB_RAW_UD || bth->opcode == AFIB_RAW_UD_IMM) &&
	    !skb_copy_bits(skb, sizeof(*bth), &deth, sizeof(deth)))
		m->src_qpn = ntohl(deth.src_qpn) & AFIB_RAW_QPN;
}

/* Let it be read, if its filter and the room that there is allow that */
static void afib_raw_queue(struct sock *sk, struct sk_buff *skb)
{
	enum skb_drop_reason reason = sk_filter_reason(sk, skb);

	if (!reason && (atomic_read(&sk->sk_rmem_alloc) >= READ_ONCE(sk->sk_rcvbuf) ||
			!afib_mem_receive(sk, skb))) {
		sk_drops_inc(sk);
		reason = SKB_DROP_REASON_SOCKET_RCVBUFF;
	}
	if (reason) {
		sk_skb_reason_drop(sk, skb, reason);
		return;
	}
	afib_recvq_add(sk, skb);
}

/* One packet, with its IP header at skb->data; consumed. Softirq. */
static void afib_raw_one(struct sock *sk, struct sk_buff *skb)
{
	struct afib_sock *is = afib_sk(sk);
	const struct roce_bth *bth;
	struct afib_pkt p;
	u32 qpn;

	if (!afib_raw_roce(skb, 0, &p) || !afib_raw_strip(skb, &p) ||
	    !pskb_may_pull(skb, sizeof(*bth)))
		goto drop;
	bth = (const struct roce_bth *)skb->data;
	qpn = afib_addr_qpn(be64_to_cpu(READ_ONCE(is->local.sib_sid)));
	if (qpn && qpn != (ntohl(bth->qpn) & AFIB_RAW_QPN))
		goto drop;
	skb->skb_iif = skb->dev->ifindex;
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	afib_raw_info(skb, &p);
	if (sock_flag(sk, SOCK_RCVTSTAMP) || sock_flag(sk, SOCK_TIMESTAMP))
		__net_timestamp(skb);
	afib_raw_queue(sk, skb);
	return;
drop:
	kfree_skb(skb);
}

/* Packets that the stack handles as one. @skb has its MAC header in front. */
static void afib_raw_many(struct sock *sk, struct sk_buff *skb)
{
	struct sk_buff *segs, *next;

	__skb_push(skb, skb_mac_header_was_set(skb) ?
		   skb->data - skb_mac_header(skb) : 0);
	segs = __skb_gso_segment(skb, NETIF_F_SG, false);
	if (IS_ERR_OR_NULL(segs)) {
		kfree_skb(skb);
		return;
	}
	consume_skb(skb);
	skb_list_walk_safe(segs, segs, next) {
		skb_mark_not_on_list(segs);
		__skb_pull(segs, skb_network_offset(segs));
		afib_raw_one(sk, segs);
	}
}

/* &packet_type.func: a packet has come by way of a netdevice. Softirq, RCU. */
static int afib_raw_hook(struct sk_buff *skb, struct net_device *dev,
			 struct packet_type *pt, struct net_device *orig_dev)
{
	struct sock *sk = pt->af_packet_priv;
	struct afib_pkt p;
	struct sk_buff *copy;
	int bound = READ_ONCE(sk->sk_bound_dev_if);

	if (skb->pkt_type == PACKET_OTHERHOST || (bound && bound != dev->ifindex) ||
	    READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN ||
	    !afib_raw_roce(skb, 0, &p) || !afib_raw_wanted(afib_sk(sk), &p))
		goto out;
	copy = skb_clone(skb, GFP_ATOMIC);
	if (!copy)
		sk_drops_inc(sk);
	else if (skb_is_gso(copy))
		afib_raw_many(sk, copy);
	else
		afib_raw_one(sk, copy);
out:
	consume_skb(skb);
	return NET_RX_SUCCESS;
}

static void afib_raw_hook_up(struct sock *sk, struct packet_type *pt, u16 type)
{
	pt->type = htons(type);
	pt->func = afib_raw_hook;
	pt->af_packet_priv = sk;
	pt->af_packet_net = sock_net(sk);
	dev_add_pack(pt);
}

/* See packets from now on, or no more */
void afib_raw_start(struct sock *sk)
{
	struct afib_raw *raw = afib_raw(sk);

	afib_raw_hook_up(sk, &raw->hooks[0], ETH_P_IP);
	if (IS_ENABLED(CONFIG_IPV6))
		afib_raw_hook_up(sk, &raw->hooks[1], ETH_P_IPV6);
}

static void afib_raw_stop(struct sock *sk)
{
	struct afib_raw *raw = afib_raw(sk);

	__dev_remove_pack(&raw->hooks[0]);
	if (IS_ENABLED(CONFIG_IPV6))
		__dev_remove_pack(&raw->hooks[1]);
	synchronize_net();
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

static int afib_raw_to(struct afib_sock *is, struct msghdr *msg, struct sockaddr_ib *to)
{
	int err;

	if (msg->msg_namelen) {
		err = afib_addr_check(&is->sk, msg->msg_name, msg->msg_namelen, to);
		if (err)
			return err;
	} else {
		spin_lock_bh(&is->lock);
		*to = is->peer;
		spin_unlock_bh(&is->lock);
		if (!to->sib_family)
			return -EDESTADDRREQ;
	}
	return afib_addr_any(&to->sib_addr) ? -EINVAL : 0;
}

static int afib_raw_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct afib_opts opts;
	struct sockaddr_ib to;
	struct sk_buff *skb;
	struct afib_way w;
	int err;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		return -EPIPE;
	/* The ICRC follows on a multiple of four bytes */
	if (len < sizeof(struct roce_bth) || len % 4)
		return -EINVAL;
	opts = afib_sk(sk)->opts;
	err = afib_dgram_control(sk, msg, &opts);
	if (!err)
		err = afib_raw_to(afib_sk(sk), msg, &to);
	if (!err)
		err = afib_raw_route(sk, &to, &opts, &w);
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
	err = afib_raw_xmit(sk, skb, &w, &opts);
	return err ?: len;

release:
	dst_release(w.dst);
	return err;
}

/*
 * Names
 */

/* Is it an address of ours? */
static bool afib_raw_own(struct net *net, const struct sockaddr_ib *addr)
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

/* No service ID, or the number of a queue pair */
static bool afib_raw_sid_valid(const struct sockaddr_ib *addr)
{
	u64 sid = afib_addr_sid(addr);

	return !sid || (sid & IB_SID_QPN_MASK) == IB_SID_QPN;
}

static int afib_raw_bind(struct socket *sock, struct sockaddr_unsized *uaddr, int len)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr, name;
	int err;

	err = afib_addr_check(sk, uaddr, len, &addr);
	if (err)
		return err;
	if (!afib_raw_sid_valid(&addr) ||
	    (!afib_addr_any(&addr.sib_addr) && !afib_raw_own(sock_net(sk), &addr)))
		return -EADDRNOTAVAIL;
	afib_addr_make(&name, &addr.sib_addr, IB_PKEY_DEFAULT, addr.sib_scope_id,
		       afib_addr_sid(&addr));
	lock_sock(sk);
	if (afib_sk(sk)->bound)
		err = -EINVAL;
	else
		afib_set_local(afib_sk(sk), &name);
	release_sock(sk);
	return err;
}

/* Nobody is asked: it is where packets go to, and the only one they come from */
static int afib_raw_connect(struct socket *sock, struct sockaddr_unsized *uaddr,
			    int len, int flags)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr, peer = {};
	int err = 0;

	if (len < (int)sizeof(addr.sib_family))
		return -EINVAL;
	if (((const struct sockaddr *)uaddr)->sa_family != AF_UNSPEC) {
		err = afib_addr_check(sk, uaddr, len, &addr);
		if (!err && (!afib_raw_sid_valid(&addr) || afib_addr_any(&addr.sib_addr)))
			err = -EADDRNOTAVAIL;
		if (err)
			return err;
		afib_addr_make(&peer, &addr.sib_addr, IB_PKEY_DEFAULT, addr.sib_scope_id,
			       afib_addr_sid(&addr));
	}
	lock_sock(sk);
	WRITE_ONCE(sk->sk_state, peer.sib_family ? TCP_ESTABLISHED : TCP_CLOSE);
	afib_dest_connect(afib_sk(sk), &peer, NULL);
	release_sock(sk);
	return err;
}

static int afib_raw_release(struct socket *sock)
{
	if (sock->sk)
		afib_raw_stop(sock->sk);
	return afib_release(sock);
}

const struct proto_ops afib_raw_ops = {
	.family		= PF_IB,
	.owner		= THIS_MODULE,
	.release	= afib_raw_release,
	.bind		= afib_raw_bind,
	.connect	= afib_raw_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= afib_getname,
	.poll		= afib_recvq_poll,
	.ioctl		= afib_ioctl,
	.gettstamp	= sock_gettstamp,
	.listen		= sock_no_listen,
	.shutdown	= afib_shutdown,
	.setsockopt	= afib_setsockopt,
	.getsockopt	= afib_getsockopt,
	.sendmsg	= afib_raw_sendmsg,
	.recvmsg	= afib_dgram_recvmsg,
	.mmap		= sock_no_mmap,
};
