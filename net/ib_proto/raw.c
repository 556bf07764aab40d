// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: packets, SOCK_RAW
 *
 * What a socket sends and receives is a packet from its base transport header (BTH)
 * on, without the invariant CRC at its end: that and what is in front of the BTH are
 * written, or checked and taken away, here. The address says what that is: headers of
 * RoCEv2, see raw_roce.c, or of InfiniBand's own link layer, see raw_native.c.
 */
#include <linux/filter.h>
#include <net/gso.h>

#include "raw.h"

/* Opcodes of datagrams, which say who sent them: UD SEND, with immediate data or not */
#define AFIB_RAW_UD		0x64
#define AFIB_RAW_UD_IMM		0x65

/* Datagram extended transport header (IBA v1 9.3.1) */
struct afib_deth {
	__be32 qkey;
	__be32 src_qpn;
};

struct proto afib_raw_proto = {
	.name		= "IB-RAW",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct afib_raw),
};

/*
 * Receiving
 */

/* Does a packet that says no more than a LID come from the peer, whose LID is known? */
static bool afib_raw_from_lid(struct afib_sock *is, const struct qp_rmsg *m)
{
	struct afib_dest *dest;

	if (!(m->flags & QP_RMSG_LID))
		return false;
	list_for_each_entry(dest, &is->lru, lru_node)
		if (dest->lid && dest->lid == qp_rmsg_lid(m) &&
		    !memcmp(&dest->key.gid, &is->peer.sib_addr, sizeof(dest->key.gid)))
			return true;
	return false;
}

/**
 * afib_raw_wanted() - is a packet for a socket?
 * @sk: the socket. Its names change; who receives meanwhile sees either
 * @dev: the netdevice that it has come to
 * @m: what its headers say
 *
 * Context: softirq.
 * Return: true if it is, unless it is for another queue pair.
 */
bool afib_raw_wanted(struct sock *sk, const struct net_device *dev,
		     const struct qp_rmsg *m)
{
	struct afib_sock *is = afib_sk(sk);
	const struct ib_addr *local = &is->local.sib_addr, *peer = &is->peer.sib_addr;
	int bound = READ_ONCE(sk->sk_bound_dev_if);
	bool wanted;

	if ((bound && bound != dev->ifindex) || READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
		return false;
	spin_lock_bh(&is->lock);
	wanted = (!is->bound || afib_addr_any(local) ||
		  !memcmp(local, m->dgid, sizeof(*local))) &&
		 (!is->peer.sib_family || !memcmp(peer, m->sgid, sizeof(*peer)) ||
		  afib_raw_from_lid(is, m));
	spin_unlock_bh(&is->lock);
	return wanted;
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

static u32 afib_raw_src_qpn(const struct sk_buff *skb, const struct roce_bth *bth)
{
	struct afib_deth deth;

	if ((bth->opcode != AFIB_RAW_UD && bth->opcode != AFIB_RAW_UD_IMM) ||
	    skb_copy_bits(skb, sizeof(*bth), &deth, sizeof(deth)))
		return 0;
	return ntohl(deth.src_qpn) & AFIB_RAW_QPN;
}

/**
 * afib_raw_receive() - a socket wants a packet, if it is for its queue pair
 * @sk: the socket
 * @skb: the packet, from its BTH on, without its ICRC; consumed
 * @m: what its headers said
 *
 * Context: softirq.
 */
void afib_raw_receive(struct sock *sk, struct sk_buff *skb, const struct qp_rmsg *m)
{
	struct afib_sock *is = afib_sk(sk);
	const struct roce_bth *bth;
	u32 qpn;

	if (!pskb_may_pull(skb, sizeof(*bth)))
		goto drop;
	bth = (const struct roce_bth *)skb->data;
	qpn = afib_addr_qpn(be64_to_cpu(READ_ONCE(is->local.sib_sid)));
	if (qpn && qpn != (ntohl(bth->qpn) & AFIB_RAW_QPN))
		goto drop;
	skb->skb_iif = skb->dev->ifindex;
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	*QP_RMSG(skb) = *m;
	QP_RMSG(skb)->src_qpn = afib_raw_src_qpn(skb, bth);
	if (sock_flag(sk, SOCK_RCVTSTAMP) || sock_flag(sk, SOCK_TIMESTAMP))
		__net_timestamp(skb);
	afib_raw_queue(sk, skb);
	return;
drop:
	kfree_skb(skb);
}

/* Packets that the stack handles as one; consumed, with its MAC header at skb->data */
static void afib_raw_many(struct sock *sk, struct sk_buff *skb,
			  void (*one)(struct sock *sk, struct sk_buff *skb))
{
	struct sk_buff *segs, *next;

	segs = __skb_gso_segment(skb, NETIF_F_SG, false);
	if (IS_ERR_OR_NULL(segs)) {
		kfree_skb(skb);
		return;
	}
	consume_skb(skb);
	skb_list_walk_safe(segs, segs, next) {
		skb_mark_not_on_list(segs);
		one(sk, segs);
	}
}

/**
 * afib_raw_copy() - have a socket look at a packet
 * @sk: the socket
 * @skb: the packet, or many in one, not consumed
 * @mac: bytes in front of skb->data that its MAC header has
 * @one: does so; consumes a packet, which begins with its MAC header, or if it came
 *	alone, may begin with its network header
 *
 * Context: softirq.
 */
void afib_raw_copy(struct sock *sk, struct sk_buff *skb, unsigned int mac,
		   void (*one)(struct sock *sk, struct sk_buff *skb))
{
	struct sk_buff *copy = skb_clone(skb, GFP_ATOMIC);

	if (!copy) {
		sk_drops_inc(sk);
	} else if (skb_is_gso(copy)) {
		__skb_push(copy, mac);
		afib_raw_many(sk, copy, one);
	} else {
		one(sk, copy);
	}
}

/* See packets from now on, or no more */
void afib_raw_start(struct sock *sk)
{
	afib_raw_roce_start(afib_raw(sk));
	afib_raw_native_start(afib_raw(sk));
}

static void afib_raw_stop(struct sock *sk)
{
	afib_raw_roce_stop(afib_raw(sk));
	afib_raw_native_stop(afib_raw(sk));
	synchronize_net();
}

/*
 * Sending
 */

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
	int err;

	err = afib_dgram_begin(sk, msg, &opts);
	/* The ICRC follows on a multiple of four bytes */
	if (!err && (len < sizeof(struct roce_bth) || len % 4))
		err = -EINVAL;
	if (!err)
		err = afib_raw_to(afib_sk(sk), msg, &to);
	if (err)
		return err;
	if (afib_raw_native_leads(afib_raw(sk), &to))
		err = afib_raw_native_send(sk, msg, len, &to, &opts);
	else
		err = afib_raw_roce_send(sk, msg, len, &to, &opts);
	return err ?: len;
}

/*
 * Names
 */

/* No service ID, or the number of a queue pair */
static bool afib_raw_sid_valid(const struct sockaddr_ib *addr)
{
	u64 sid = afib_addr_sid(addr);

	return !sid || (sid & IB_SID_QPN_MASK) == IB_SID_QPN;
}

/* An address of ours, of either kind; under the socket lock. May sleep. */
static int afib_raw_bind_addr(struct afib_sock *is, const struct sockaddr_ib *addr)
{
	struct net *net = sock_net(&is->sk);
	struct sockaddr_ib name;
	bool native;
	int pkey;

	if (is->bound || is->nr_ports)
		return -EINVAL;
	pkey = afib_addr_pkey(is, addr);
	if (pkey < 0)
		return pkey;
	/* Subnets have the prefix of link-local addresses, unless somebody says another */
	native = !afib_addr_any(&addr->sib_addr) &&
		 afib_raw_native_own(net, &addr->sib_addr);
	if (native ? afib_raw_native_bind(is, addr, pkey) :
		     !afib_addr_any(&addr->sib_addr) && !afib_raw_roce_own(net, addr))
		return -EADDRNOTAVAIL;
	afib_addr_make(&name, &addr->sib_addr, pkey, addr->sib_scope_id,
		       afib_addr_sid(addr));
	WRITE_ONCE(afib_raw(&is->sk)->native, native);
	afib_set_local(is, &name);
	return 0;
}

static int afib_raw_bind(struct socket *sock, struct sockaddr_unsized *uaddr, int len)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr;
	int err;

	err = afib_addr_check(sk, uaddr, len, &addr);
	if (err)
		return err;
	if (!afib_raw_sid_valid(&addr))
		return -EADDRNOTAVAIL;
	lock_sock(sk);
	err = afib_raw_bind_addr(afib_sk(sk), &addr);
	release_sock(sk);
	return err;
}

/* Nobody is asked: it is where packets go to, and the only one they come from */
static int afib_raw_connect(struct socket *sock, struct sockaddr_unsized *uaddr,
			    int len, int flags)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr = {}, peer = {};
	int err = 0;

	if (len < (int)sizeof(addr.sib_family))
		return -EINVAL;
	if (((const struct sockaddr *)uaddr)->sa_family != AF_UNSPEC) {
		err = afib_addr_check(sk, uaddr, len, &addr);
		if (!err && (!afib_raw_sid_valid(&addr) || afib_addr_any(&addr.sib_addr)))
			err = -EADDRNOTAVAIL;
		if (err)
			return err;
	}
	lock_sock(sk);
	if (addr.sib_family) {
		err = afib_addr_pkey(afib_sk(sk), &addr);
		if (err < 0)
			goto release;
		afib_addr_make(&peer, &addr.sib_addr, err, addr.sib_scope_id,
			       afib_addr_sid(&addr));
		err = 0;
	}
	WRITE_ONCE(sk->sk_state, peer.sib_family ? TCP_ESTABLISHED : TCP_CLOSE);
	afib_dest_connect(afib_sk(sk), &peer, NULL);
release:
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
