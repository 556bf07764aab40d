// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: sockets by sock_diag(7), for ss(8)
 *
 * A dump goes by the numbers of the sockets: where it is interrupted it goes on at
 * the next number, whatever comes and goes meanwhile. No lock is held from one socket
 * to the next, and none for long: not the socket lock, under which calls may wait.
 */
#include <linux/cgroup.h>
#include <linux/sock_diag.h>
#include <net/netlink.h>
#include <uapi/linux/ib_diag.h>

#include "ib_proto.h"

/**
 * struct afib_ask - who asks, and for what
 * @skb: the answer
 * @user_ns: of the socket that asked
 * @portid: likewise
 * @seq: of the request
 * @flags: of the answer
 * @show: IB_DIAG_SHOW()
 * @admin: it has CAP_NET_ADMIN
 */
struct afib_ask {
	struct sk_buff *skb;
	struct user_namespace *user_ns;
	u32 portid;
	u32 seq;
	u16 flags;
	u32 show;
	bool admin;
};

static bool afib_diag_shows(const struct afib_ask *ask, int attr)
{
	return ask->show & IB_DIAG_SHOW(attr);
}

static void afib_diag_addr(struct ib_diag_addr *to, const struct sockaddr_ib *from)
{
	memcpy(to->gid, &from->sib_addr, sizeof(to->gid));
	memcpy(to->sid, &from->sib_sid, sizeof(to->sid));
	to->scope_id = from->sib_scope_id;
}

static void afib_diag_timer(struct ib_diag_msg *msg, int timer, unsigned long expires)
{
	msg->ibdiag_timer = timer;
	msg->ibdiag_expires = jiffies_delta_to_msecs(expires - jiffies);
}

static int afib_diag_path(const struct afib_ask *ask, const struct qp_backend *info)
{
	if (!info->path.device[0] || !afib_diag_shows(ask, IB_DIAG_PATH))
		return 0;
	return nla_put(ask->skb, IB_DIAG_PATH, sizeof(info->path), &info->path);
}

/*
 * Connections
 */

static void afib_diag_conn_timer(struct afib_conn *c, struct ib_diag_msg *msg,
				 const struct qp_backend *info)
{
	if (msg->ibdiag_state == TCP_SYN_SENT || msg->ibdiag_state == TCP_SYN_RECV) {
		if (info->timed)
			afib_diag_timer(msg, IB_DIAG_TIMER_CONNECT, info->expires);
	} else if (test_bit(AFIB_TODO_END, &c->todo)) {
		afib_diag_timer(msg, IB_DIAG_TIMER_ORPHAN, READ_ONCE(c->deadline));
	} else if (test_bit(AFIB_TODO_PROBE, &c->todo)) {
		afib_diag_timer(msg, IB_DIAG_TIMER_PROBE, READ_ONCE(c->probe));
	} else if (timer_pending(&c->is.sk.sk_timer)) {
		afib_diag_timer(msg, IB_DIAG_TIMER_PROBE,
				READ_ONCE(c->is.sk.sk_timer.expires));
	}
}

static int afib_diag_conn(const struct afib_ask *ask, struct afib_conn *c,
			  struct ib_diag_msg *msg)
{
	struct qp_sock *qp = afib_conn_qp_get(c);
	struct qp_backend info = {};
	struct ib_diag_conn conn;
	u32 queued;

	if (qp) {
		qp_kern_info(qp, NULL, &info);
		sock_put(&qp->sk);
	}
	afib_stream_diag(c, &conn, &queued);
	conn.peer_qpn = info.peer_qpn;
	conn.device_sends = info.sends;
	afib_diag_conn_timer(c, msg, &info);
	if (msg->ibdiag_state == TCP_LISTEN)
		return afib_diag_path(ask, &info);
	msg->ibdiag_rqueue = queued;
	if (afib_diag_shows(ask, IB_DIAG_CONN) && qp &&
	    nla_put(ask->skb, IB_DIAG_CONN, sizeof(conn), &conn))
		return -EMSGSIZE;
	return afib_diag_path(ask, &info);
}

/*
 * Datagrams
 */

static void afib_diag_port(struct afib_port *port, struct afib_dest *dest,
			   struct ib_diag_dgram *dgram, struct qp_backend *info)
{
	qp_kern_info(port->qp, dest ? dest->dest : NULL, info);
	dgram->qpn = READ_ONCE(port->qp->port_qpn);
	dgram->peer_qpn = info->peer_qpn;
}

static int afib_diag_dgram(const struct afib_ask *ask, struct afib_sock *is)
{
	struct ib_diag_dgram dgram = {
		.qkey		= READ_ONCE(is->opts.qkey),
		.ports		= READ_ONCE(is->nr_ports),
		.dests		= READ_ONCE(is->nr_dests),
		.pending	= skb_queue_len_lockless(&is->pending),
		.drops		= sk_drops_read(&is->sk),
	};
	struct qp_backend info = {};
	struct afib_dest *dest;
	struct afib_port *port;

	port = afib_way(is, &dest);
	if (port)
		afib_diag_port(port, dest, &dgram, &info);
	afib_dest_put(dest);
	afib_port_put(port);
	if (afib_diag_shows(ask, IB_DIAG_DGRAM) &&
	    nla_put(ask->skb, IB_DIAG_DGRAM, sizeof(dgram), &dgram))
		return -EMSGSIZE;
	return afib_diag_path(ask, &info);
}

/*
 * The message
 */

static void afib_diag_msg(const struct afib_ask *ask, struct afib_sock *is, u8 state,
			  struct ib_diag_msg *msg)
{
	struct sockaddr_ib local, peer;
	struct sock *sk = &is->sk;

	*msg = (struct ib_diag_msg){
		.ibdiag_family	= AF_IB,
		.ibdiag_type	= sk->sk_type,
		.ibdiag_state	= state,
		.ibdiag_if	= READ_ONCE(sk->sk_bound_dev_if),
		.ibdiag_uid	= from_kuid_munged(ask->user_ns, sk_uid(sk)),
		.ibdiag_inode	= sock_i_ino(sk),
	};
	sock_diag_save_cookie(sk, msg->ibdiag_cookie);
	afib_names(is, &local, &peer);
	afib_diag_addr(&msg->ibdiag_src, &local);
	afib_diag_addr(&msg->ibdiag_dst, &peer);
	if (state == TCP_LISTEN) {
		msg->ibdiag_rqueue = READ_ONCE(sk->sk_ack_backlog);
		msg->ibdiag_wqueue = READ_ONCE(sk->sk_max_ack_backlog);
	} else {
		msg->ibdiag_rqueue = sk_rmem_alloc_get(sk);
		msg->ibdiag_wqueue = sk_wmem_alloc_get(sk);
	}
}

static int afib_diag_attrs(const struct afib_ask *ask, struct sock *sk)
{
	struct sk_buff *skb = ask->skb;

	if (afib_diag_shows(ask, IB_DIAG_MEMINFO) &&
	    sock_diag_put_meminfo(sk, skb, IB_DIAG_MEMINFO))
		return -EMSGSIZE;
	if (nla_put_u8(skb, IB_DIAG_SHUTDOWN, READ_ONCE(sk->sk_shutdown)))
		return -EMSGSIZE;
	if (ask->admin && nla_put_u32(skb, IB_DIAG_MARK, READ_ONCE(sk->sk_mark)))
		return -EMSGSIZE;
#ifdef CONFIG_SOCK_CGROUP_DATA
	if (nla_put_u64_64bit(skb, IB_DIAG_CGROUP_ID,
			      cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data)),
			      IB_DIAG_PAD))
		return -EMSGSIZE;
#endif
	return 0;
}

static int afib_diag_fill(const struct afib_ask *ask, struct afib_sock *is, u8 state)
{
	struct ib_diag_msg *msg;
	struct nlmsghdr *nlh;
	int err;

	nlh = nlmsg_put(ask->skb, ask->portid, ask->seq, SOCK_DIAG_BY_FAMILY,
			sizeof(*msg), ask->flags);
	if (!nlh)
		return -EMSGSIZE;
	msg = nlmsg_data(nlh);
	afib_diag_msg(ask, is, state, msg);
	if (afib_is_conn(&is->sk))
		err = afib_diag_conn(ask, afib_conn(&is->sk), msg);
	else
		err = afib_diag_dgram(ask, is);
	if (!err)
		err = afib_diag_attrs(ask, &is->sk);
	if (err) {
		nlmsg_cancel(ask->skb, nlh);
		return -EMSGSIZE;
	}
	nlmsg_end(ask->skb, nlh);
	return 0;
}

/*
 * Requests
 */

static int afib_diag_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct ib_diag_req *req = nlmsg_data(cb->nlh);
	struct net *net = sock_net(skb->sk);
	unsigned long id = cb->args[0];
	const struct afib_ask ask = {
		.skb		= skb,
		.user_ns	= sk_user_ns(NETLINK_CB(cb->skb).sk),
		.portid		= NETLINK_CB(cb->skb).portid,
		.seq		= cb->nlh->nlmsg_seq,
		.flags		= NLM_F_MULTI,
		.show		= req->ibdiag_show,
		.admin		= cb->data,
	};
	struct afib_sock *is;
	int err = 0;
	u8 state;

	for (; (is = afib_net_next(net, &id)); id++) {
		state = afib_state(&is->sk);
		if (req->ibdiag_states & BIT(state) &&
		    req->ibdiag_types & BIT(is->sk.sk_type))
			err = afib_diag_fill(&ask, is, state);
		sock_put(&is->sk);
		if (err)
			break;
		cond_resched();
	}
	cb->args[0] = id;
	return skb->len;
}

/* The socket that a request means, referenced */
static struct afib_sock *afib_diag_find(struct net *net, const struct ib_diag_req *req)
{
	u64 cookie = (u64)req->ibdiag_cookie[1] << 32 | req->ibdiag_cookie[0];
	struct afib_sock *is;
	unsigned long id;

	/* Whom nobody asked for has no cookie yet */
	if (!cookie)
		return ERR_PTR(-ENOENT);
	for (id = 0; (is = afib_net_next(net, &id)); id++) {
		if (atomic64_read(&is->sk.sk_cookie) == cookie)
			return is;
		sock_put(&is->sk);
		cond_resched();
	}
	return ERR_PTR(-ENOENT);
}

static int afib_diag_get_exact(struct sk_buff *in, const struct nlmsghdr *nlh, bool admin)
{
	const struct ib_diag_req *req = nlmsg_data(nlh);
	struct net *net = sock_net(in->sk);
	struct afib_ask ask = {
		.user_ns	= sk_user_ns(NETLINK_CB(in).sk),
		.portid		= NETLINK_CB(in).portid,
		.seq		= nlh->nlmsg_seq,
		.show		= req->ibdiag_show,
		.admin		= admin,
	};
	struct afib_sock *is = afib_diag_find(net, req);
	int err = -ENOMEM;

	if (IS_ERR(is))
		return PTR_ERR(is);
	ask.skb = nlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (ask.skb)
		err = afib_diag_fill(&ask, is, afib_state(&is->sk));
	sock_put(&is->sk);
	if (err) {
		nlmsg_free(ask.skb);
		return err;
	}
	return nlmsg_unicast(net->diag_nlsk, ask.skb, ask.portid);
}

/* Is it one? The one place where a request is checked. */
static int afib_diag_check(const struct nlmsghdr *nlh)
{
	const struct ib_diag_req *req = nlmsg_data(nlh);

	if (nlmsg_len(nlh) < sizeof(*req))
		return -EINVAL;
	return req->sdiag_protocol || req->ibdiag_pad ? -EINVAL : 0;
}

static int afib_diag_handle_dump(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	bool admin = netlink_net_capable(skb, CAP_NET_ADMIN);
	struct netlink_dump_control c = {
		.dump	= afib_diag_dump,
		.data	= (void *)(uintptr_t)admin,
	};
	int err = afib_diag_check(nlh);

	if (err)
		return err;
	if (!(nlh->nlmsg_flags & NLM_F_DUMP))
		return afib_diag_get_exact(skb, nlh, admin);
	return netlink_dump_start(sock_net(skb->sk)->diag_nlsk, skb, nlh, &c);
}

static int afib_diag_handle_destroy(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	struct afib_sock *is;
	int err;

	err = afib_diag_check(nlh);
	if (err)
		return err;
	is = afib_diag_find(sock_net(skb->sk), nlmsg_data(nlh));
	if (IS_ERR(is))
		return PTR_ERR(is);
	err = sock_diag_destroy(&is->sk, ECONNABORTED);
	sock_put(&is->sk);
	return err;
}

static const struct sock_diag_handler afib_diag_handler = {
	.owner		= THIS_MODULE,
	.family		= AF_IB,
	.dump		= afib_diag_handle_dump,
	.destroy	= afib_diag_handle_destroy,
};

int __init afib_diag_init(void)
{
	return sock_diag_register(&afib_diag_handler);
}

void afib_diag_exit(void)
{
	sock_diag_unregister(&afib_diag_handler);
}
