// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs by sock_diag(7), for ss(8)
 *
 * A dump goes by the numbers of the queue pairs: where it is interrupted it goes on
 * at the next number, whatever comes and goes meanwhile. Of each one a picture is
 * taken under the lock of the numbers, for a queue pair that is released is taken out
 * under it before its parts go. The message is made of the picture afterwards.
 */
#include <linux/cgroup.h>
#include <linux/sock_diag.h>
#include <net/netlink.h>
#include <uapi/linux/qp_diag.h>

#include "qp_impl.h"

/**
 * struct qp_diag_view - what a queue pair looks like
 * @qp: the queue pair, referenced
 * @msg: the message without its attributes
 * @info: QP_DIAG_INFO
 * @rings: QP_DIAG_RINGS
 * @src: QP_DIAG_SRC
 * @src_len: its length, 0 or less if there is none
 * @dst: QP_DIAG_DST
 * @dst_len: its length
 */
struct qp_diag_view {
	struct qp_sock *qp;
	struct qp_diag_msg msg;
	struct qp_info info;
	struct qp_diag_rings rings;
	struct sockaddr_storage src;
	int src_len;
	struct sockaddr_storage dst;
	int dst_len;
};

/*
 * Taking the picture, under the lock of the numbers
 */

static void qp_diag_rings(struct qp_sock *qp, struct qp_diag_rings *r)
{
	r->sq_entries = qp->sq.ring.entries;
	qp_ring_pending(&qp->sq.ring, READ_ONCE(qp->sq.head), &r->sq_pending);
	r->rq_entries = qp->rq.ring.entries;
	qp_ring_pending(&qp->rq.ring, READ_ONCE(qp->rq.head), &r->rq_pending);
	r->cq_entries = qp->cq ? qp->cq->ring.entries : 0;
	r->cq_used = qp->cq ? qp_cq_ready(qp->cq) : 0;
}

static void qp_diag_queues(const struct qp_sock *qp, struct qp_diag_msg *msg)
{
	const struct sock *sk = &qp->sk;

	if (msg->qdiag_state == TCP_LISTEN) {
		msg->qdiag_rqueue = READ_ONCE(sk->sk_ack_backlog);
		msg->qdiag_wqueue = READ_ONCE(sk->sk_max_ack_backlog);
	} else {
		msg->qdiag_rqueue = qp->cq ? qp_cq_ready(qp->cq) : 0;
		msg->qdiag_wqueue = qp_sends_outstanding(qp);
	}
}

static void qp_diag_look(struct qp_sock *qp, struct qp_diag_view *view)
{
	struct sock *sk = &qp->sk;

	memset(view, 0, sizeof(*view));
	view->qp = qp;
	sock_hold(sk);
	view->msg = (struct qp_diag_msg){
		.qdiag_family	= AF_QP,
		.qdiag_domain	= qp->domain,
		.qdiag_type	= qp->type,
		.qdiag_protocol	= READ_ONCE(qp->proto)->id,
		.qdiag_state	= READ_ONCE(sk->sk_state),
		.qdiag_flags	= qp->user ? QP_DIAG_KERNEL : 0,
		.qdiag_qpn	= qp->qpn,
		.qdiag_if	= READ_ONCE(sk->sk_bound_dev_if),
		.qdiag_inode	= sock_i_ino(sk),
	};
	qp_diag_queues(qp, &view->msg);
	sock_diag_save_cookie(sk, view->msg.qdiag_cookie);
	qp_info_fill(qp, &view->info);
	qp_diag_rings(qp, &view->rings);
	view->src_len = qp_name(qp, &view->src, false);
	view->dst_len = qp_name(qp, &view->dst, true);
}

/* The first queue pair with this number or a higher one; false if there is none */
static bool qp_diag_next(struct net *net, unsigned long *qpn, struct qp_diag_view *view)
{
	struct qp_net *qn = qp_pernet(net);
	struct qp_sock *qp;

	xa_lock_bh(&qn->qps);
	qp = xa_find(&qn->qps, qpn, ULONG_MAX, XA_PRESENT);
	if (qp)
		qp_diag_look(qp, view);
	xa_unlock_bh(&qn->qps);
	return qp;
}

/* The queue pair with this number, referenced, or NULL */
static struct qp_sock *qp_diag_get(struct net *net, u32 qpn)
{
	struct qp_net *qn = qp_pernet(net);
	struct qp_sock *qp;

	xa_lock_bh(&qn->qps);
	qp = xa_load(&qn->qps, qpn);
	if (qp)
		sock_hold(&qp->sk);
	xa_unlock_bh(&qn->qps);
	return qp;
}

/*
 * Making the message
 */

/**
 * struct qp_diag_ask - who asks, and for what
 * @skb: the answer
 * @user_ns: of the socket that asked
 * @portid: likewise
 * @seq: of the request
 * @flags: of the answer
 * @show: QP_DIAG_SHOW()
 * @admin: it has CAP_NET_ADMIN
 */
struct qp_diag_ask {
	struct sk_buff *skb;
	struct user_namespace *user_ns;
	u32 portid;
	u32 seq;
	u16 flags;
	u32 show;
	bool admin;
};

static bool qp_diag_shows(const struct qp_diag_ask *ask, int attr)
{
	return ask->show & QP_DIAG_SHOW(attr);
}

/* What the device knows */
static int qp_diag_backend(const struct qp_diag_ask *ask, struct qp_sock *qp,
			   struct qp_diag_msg *msg)
{
	struct qp_diag_conn conn;
	struct qp_backend info;

	qp_kern_info(qp, NULL, &info);
	if (info.timed) {
		msg->qdiag_timer = msg->qdiag_state == TCP_SYN_SENT ?
				   QP_DIAG_TIMER_CONNECT : QP_DIAG_TIMER_END;
		msg->qdiag_expires = jiffies_delta_to_msecs(info.expires - jiffies);
	}
	if (!info.path.device[0])
		return 0;
	if (qp_diag_shows(ask, QP_DIAG_PATH) &&
	    nla_put(ask->skb, QP_DIAG_PATH, sizeof(info.path), &info.path))
		return -EMSGSIZE;
	conn = (struct qp_diag_conn){
		.peer_qpn	= info.peer_qpn,
		.sends		= info.sends,
		.recvs		= info.recvs,
	};
	return qp_diag_shows(ask, QP_DIAG_CONN) ?
	       nla_put(ask->skb, QP_DIAG_CONN, sizeof(conn), &conn) : 0;
}

static int qp_diag_sqpoll(struct sk_buff *skb, const struct qp_sock *qp)
{
	const struct qp_diag_sqpoll poll = {
		.cpu	= qp_sqpoll_on(qp),
		.idle	= qp_sqpoll_idle(qp),
	};

	return qp->seat ? nla_put(skb, QP_DIAG_SQPOLL, sizeof(poll), &poll) : 0;
}

static int qp_diag_sock(const struct qp_diag_ask *ask, struct sock *sk)
{
	struct sk_buff *skb = ask->skb;

	if (qp_diag_shows(ask, QP_DIAG_MEMINFO) &&
	    sock_diag_put_meminfo(sk, skb, QP_DIAG_MEMINFO))
		return -EMSGSIZE;
	if (nla_put_u8(skb, QP_DIAG_SHUTDOWN, READ_ONCE(sk->sk_shutdown)))
		return -EMSGSIZE;
	if (ask->admin && nla_put_u32(skb, QP_DIAG_MARK, READ_ONCE(sk->sk_mark)))
		return -EMSGSIZE;
#ifdef CONFIG_SOCK_CGROUP_DATA
	if (nla_put_u64_64bit(skb, QP_DIAG_CGROUP_ID,
			      cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data)),
			      QP_DIAG_PAD))
		return -EMSGSIZE;
#endif
	return 0;
}

static int qp_diag_attrs(const struct qp_diag_ask *ask, const struct qp_diag_view *view,
			 struct qp_diag_msg *msg)
{
	struct sk_buff *skb = ask->skb;

	if (view->src_len > 0 && nla_put(skb, QP_DIAG_SRC, view->src_len, &view->src))
		return -EMSGSIZE;
	if (view->dst_len > 0 && nla_put(skb, QP_DIAG_DST, view->dst_len, &view->dst))
		return -EMSGSIZE;
	if (qp_diag_shows(ask, QP_DIAG_INFO) &&
	    nla_put_64bit(skb, QP_DIAG_INFO, sizeof(view->info), &view->info,
			  QP_DIAG_PAD))
		return -EMSGSIZE;
	if (qp_diag_shows(ask, QP_DIAG_RINGS) &&
	    nla_put(skb, QP_DIAG_RINGS, sizeof(view->rings), &view->rings))
		return -EMSGSIZE;
	return qp_diag_backend(ask, view->qp, msg) ?:
	       qp_diag_sqpoll(skb, view->qp) ?:
	       qp_diag_sock(ask, &view->qp->sk);
}

static int qp_diag_fill(const struct qp_diag_ask *ask, const struct qp_diag_view *view)
{
	struct qp_diag_msg *msg;
	struct nlmsghdr *nlh;

	nlh = nlmsg_put(ask->skb, ask->portid, ask->seq, SOCK_DIAG_BY_FAMILY,
			sizeof(*msg), ask->flags);
	if (!nlh)
		return -EMSGSIZE;
	msg = nlmsg_data(nlh);
	*msg = view->msg;
	msg->qdiag_uid = from_kuid_munged(ask->user_ns, sk_uid(&view->qp->sk));
	if (qp_diag_attrs(ask, view, msg)) {
		nlmsg_cancel(ask->skb, nlh);
		return -EMSGSIZE;
	}
	nlmsg_end(ask->skb, nlh);
	return 0;
}

/*
 * Requests
 */

static bool qp_diag_fits(const struct qp_diag_req *req, const struct qp_diag_msg *msg)
{
	return req->qdiag_states & BIT(msg->qdiag_state) &&
	       req->qdiag_types & BIT(msg->qdiag_type) &&
	       (!req->sdiag_protocol || req->sdiag_protocol == msg->qdiag_protocol);
}

static int qp_diag_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct qp_diag_req *req = nlmsg_data(cb->nlh);
	struct net *net = sock_net(skb->sk);
	unsigned long qpn = cb->args[0];
	const struct qp_diag_ask ask = {
		.skb		= skb,
		.user_ns	= sk_user_ns(NETLINK_CB(cb->skb).sk),
		.portid		= NETLINK_CB(cb->skb).portid,
		.seq		= cb->nlh->nlmsg_seq,
		.flags		= NLM_F_MULTI,
		.show		= req->qdiag_show,
		.admin		= cb->data,
	};
	struct qp_diag_view view;
	int err = 0;

	for (; !err && qp_diag_next(net, &qpn, &view); qpn++) {
		if (qp_diag_fits(req, &view.msg))
			err = qp_diag_fill(&ask, &view);
		sock_put(&view.qp->sk);
		if (err)
			break;
		cond_resched();
	}
	cb->args[0] = qpn;
	return skb->len;
}

/* The one that a request means, referenced */
static struct qp_sock *qp_diag_find(struct net *net, const struct qp_diag_req *req)
{
	struct qp_sock *qp = qp_diag_get(net, req->qdiag_qpn);
	int err;

	if (!qp)
		return ERR_PTR(-ENOENT);
	err = sock_diag_check_cookie(&qp->sk, req->qdiag_cookie);
	if (!err)
		return qp;
	sock_put(&qp->sk);
	return ERR_PTR(err);
}

static int qp_diag_get_exact(struct sk_buff *in, const struct nlmsghdr *nlh, bool admin)
{
	const struct qp_diag_req *req = nlmsg_data(nlh);
	struct net *net = sock_net(in->sk);
	unsigned long qpn = req->qdiag_qpn;
	struct qp_diag_view view;
	struct qp_diag_ask ask = {
		.user_ns	= sk_user_ns(NETLINK_CB(in).sk),
		.portid		= NETLINK_CB(in).portid,
		.seq		= nlh->nlmsg_seq,
		.show		= req->qdiag_show,
		.admin		= admin,
	};
	int err = -ENOENT;

	if (!qp_diag_next(net, &qpn, &view))
		return -ENOENT;
	if (qpn == req->qdiag_qpn)
		err = sock_diag_check_cookie(&view.qp->sk, req->qdiag_cookie);
	if (!err) {
		ask.skb = nlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
		err = ask.skb ? qp_diag_fill(&ask, &view) : -ENOMEM;
	}
	sock_put(&view.qp->sk);
	if (err) {
		nlmsg_free(ask.skb);
		return err;
	}
	return nlmsg_unicast(net->diag_nlsk, ask.skb, ask.portid);
}

/* Is it one? The one place where a request is checked. */
static int qp_diag_check(const struct nlmsghdr *nlh)
{
	const struct qp_diag_req *req = nlmsg_data(nlh);

	return nlmsg_len(nlh) < sizeof(*req) || req->qdiag_pad ? -EINVAL : 0;
}

static int qp_diag_handle_dump(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	bool admin = netlink_net_capable(skb, CAP_NET_ADMIN);
	struct netlink_dump_control c = {
		.dump	= qp_diag_dump,
		.data	= (void *)(uintptr_t)admin,
	};
	int err = qp_diag_check(nlh);

	if (err)
		return err;
	if (!(nlh->nlmsg_flags & NLM_F_DUMP))
		return qp_diag_get_exact(skb, nlh, admin);
	return netlink_dump_start(sock_net(skb->sk)->diag_nlsk, skb, nlh, &c);
}

static int qp_diag_handle_destroy(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	struct qp_sock *qp;
	int err;

	err = qp_diag_check(nlh);
	if (err)
		return err;
	qp = qp_diag_find(sock_net(skb->sk), nlmsg_data(nlh));
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	err = sock_diag_destroy(&qp->sk, ECONNABORTED);
	sock_put(&qp->sk);
	return err;
}

static const struct sock_diag_handler qp_diag_handler = {
	.owner		= THIS_MODULE,
	.family		= AF_QP,
	.dump		= qp_diag_handle_dump,
	.destroy	= qp_diag_handle_destroy,
};

int __init qp_diag_init(void)
{
	return sock_diag_register(&qp_diag_handler);
}
