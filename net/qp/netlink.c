// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: generic netlink, Documentation/netlink/specs/qp.yaml
 *
 * A dump goes on behind the number that it has come to, so that it has every queue
 * pair which is there from its beginning to its end, and none twice. Who listens to
 * the group "monitor" is told of each that is made, changes its state, or goes.
 */
#include <linux/ib.h>
#include <linux/in6.h>
#include <linux/rhashtable.h>
#include <linux/un.h>

#include "netlink_gen.h"
#include "qp_impl.h"

/* Queue pairs that are looked at before others get the lock */
#define QP_NL_BATCH	64

/* Where a dump is, in &netlink_callback.ctx */
struct qp_nl_dump {
	unsigned long qpn;
};

static_assert(sizeof(struct qp_nl_dump) <= sizeof_field(struct netlink_callback, ctx));

/**
 * struct qp_nl_walk - a dump of registrations
 * @iter: where it is
 * @admin: who asked may know addresses and keys
 */
struct qp_nl_walk {
	struct rhashtable_iter iter;
	bool admin;
};

static struct qp_nl_walk **qp_nl_walk(struct netlink_callback *cb)
{
	return (struct qp_nl_walk **)cb->ctx;
}

/*
 * Names
 */

static int qp_nl_put_ib(struct sk_buff *skb, const struct sockaddr_ib *ib)
{
	if (nla_put(skb, QP_A_ADDR_GID, sizeof(ib->sib_addr), &ib->sib_addr) ||
	    nla_put_uint(skb, QP_A_ADDR_SERVICE_ID, be64_to_cpu(ib->sib_sid)) ||
	    (ib->sib_scope_id &&
	     nla_put_u32(skb, QP_A_ADDR_SCOPE, ib->sib_scope_id)))
		return -EMSGSIZE;
	return 0;
}

static int qp_nl_put_in(struct sk_buff *skb, const struct sockaddr_in *in)
{
	return nla_put_in_addr(skb, QP_A_ADDR_IPV4, in->sin_addr.s_addr) ?:
	       nla_put_u16(skb, QP_A_ADDR_PORT, ntohs(in->sin_port));
}

static int qp_nl_put_in6(struct sk_buff *skb, const struct sockaddr_in6 *in6)
{
	if (nla_put(skb, QP_A_ADDR_IPV6, sizeof(in6->sin6_addr), &in6->sin6_addr) ||
	    nla_put_u16(skb, QP_A_ADDR_PORT, ntohs(in6->sin6_port)) ||
	    (in6->sin6_scope_id &&
	     nla_put_u32(skb, QP_A_ADDR_SCOPE, in6->sin6_scope_id)))
		return -EMSGSIZE;
	return 0;
}

static int qp_nl_put_un(struct sk_buff *skb, const struct sockaddr_un *un, int len)
{
	int i, n = len - offsetof(struct sockaddr_un, sun_path);
	char name[sizeof(un->sun_path) + 1];

	if (un->sun_path[0])
		n = strnlen(un->sun_path, n);
	for (i = 0; i < n; i++)
		name[i] = un->sun_path[i] > ' ' && un->sun_path[i] < 127 ?
			  un->sun_path[i] : '@';
	name[n] = 0;
	return nla_put_string(skb, QP_A_ADDR_PATH, name);
}

static int qp_nl_put_sockaddr(struct sk_buff *skb, const struct sockaddr_storage *addr,
			      int len)
{
	if (nla_put_u16(skb, QP_A_ADDR_FAMILY, addr->ss_family))
		return -EMSGSIZE;
	switch (addr->ss_family) {
	case AF_UNIX:
		return qp_nl_put_un(skb, (const struct sockaddr_un *)addr, len);
	case AF_INET:
		return qp_nl_put_in(skb, (const struct sockaddr_in *)addr);
	case AF_INET6:
		return qp_nl_put_in6(skb, (const struct sockaddr_in6 *)addr);
	case AF_IB:
		return qp_nl_put_ib(skb, (const struct sockaddr_ib *)addr);
	default:
		return 0;
	}
}

/* The name of a queue pair or of its peer, if it has one */
static int qp_nl_put_name(struct sk_buff *skb, int attr, struct qp_sock *qp, bool peer)
{
	struct sockaddr_storage addr = {};
	int len = qp_name(qp, &addr, peer);
	struct nlattr *nest;

	if (len <= (int)offsetof(struct sockaddr_storage, __data))
		return 0;
	nest = nla_nest_start(skb, attr);
	if (!nest)
		return -EMSGSIZE;
	if (qp_nl_put_sockaddr(skb, &addr, len))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * Queue pairs
 */

/* What a connection is, for all that tell of queue pairs */
static int qp_nl_put_state(struct sk_buff *skb, const struct qp_sock *qp)
{
	const struct sock *sk = &qp->sk;
	int err = READ_ONCE(sk->sk_err);

	if (nla_put_u32(skb, QP_A_QPN, qp->qpn) ||
	    nla_put_u32(skb, QP_A_PROTOCOL, READ_ONCE(qp->proto)->id) ||
	    nla_put_u32(skb, QP_A_STATE, qp_state(qp)) ||
	    (qp->port_qpn && nla_put_u32(skb, QP_A_PORT_QPN, READ_ONCE(qp->port_qpn))) ||
	    (err && nla_put_u32(skb, QP_A_ERROR, err)))
		return -EMSGSIZE;
	if (qp_state(qp) == QP_STATE_LISTEN &&
	    (nla_put_u32(skb, QP_A_BACKLOG, READ_ONCE(sk->sk_ack_backlog)) ||
	     nla_put_u32(skb, QP_A_MAX_BACKLOG, READ_ONCE(sk->sk_max_ack_backlog))))
		return -EMSGSIZE;
	return 0;
}

static int qp_nl_put_names(struct sk_buff *skb, struct qp_sock *qp)
{
	return qp_nl_put_name(skb, QP_A_LOCAL, qp, false) ?:
	       qp_nl_put_name(skb, QP_A_PEER, qp, true);
}

/* Who has it, and what it is */
static int qp_nl_put_owner(struct sk_buff *skb, const struct qp_sock *qp,
			   struct user_namespace *user_ns)
{
	const struct sock *sk = &qp->sk;

	if (nla_put_u32(skb, QP_A_DOMAIN, qp->domain) ||
	    nla_put_u32(skb, QP_A_TYPE, qp->type) ||
	    nla_put_u32(skb, QP_A_UID, from_kuid_munged(user_ns, sk_uid(sk))) ||
	    (sk->sk_bound_dev_if &&
	     nla_put_u32(skb, QP_A_IFINDEX, sk->sk_bound_dev_if)))
		return -EMSGSIZE;
	return qp->user ? nla_put_flag(skb, QP_A_KERNEL) :
			  nla_put_uint(skb, QP_A_INODE, sock_i_ino(sk));
}

static int qp_nl_put_counts(struct sk_buff *skb, const struct qp_sock *qp)
{
	if (nla_put_u32(skb, QP_A_SENDS, qp_sends_outstanding(qp)) ||
	    nla_put_u32(skb, QP_A_CQ_USED, qp->cq ? qp_cq_ready(qp->cq) : 0) ||
	    nla_put_u32(skb, QP_A_MEM_REGIONS, atomic_read(&qp->mem->nr)) ||
	    nla_put_uint(skb, QP_A_MEM_BYTES, atomic64_read(&qp->mem->bytes)) ||
	    nla_put_uint(skb, QP_A_TX_MSGS, atomic64_read(&qp->tx_msgs)) ||
	    nla_put_uint(skb, QP_A_TX_BYTES, atomic64_read(&qp->tx_bytes)) ||
	    nla_put_uint(skb, QP_A_RX_MSGS, atomic64_read(&qp->rx_msgs)) ||
	    nla_put_uint(skb, QP_A_RX_BYTES, atomic64_read(&qp->rx_bytes)))
		return -EMSGSIZE;
	return 0;
}

/* All of it, for who asks */
static int qp_nl_put_qp(struct sk_buff *skb, struct qp_sock *qp,
			struct user_namespace *user_ns)
{
	return qp_nl_put_state(skb, qp) ?: qp_nl_put_owner(skb, qp, user_ns) ?:
	       qp_nl_put_names(skb, qp) ?: qp_nl_put_counts(skb, qp);
}

static int qp_nl_put_conn(struct sk_buff *skb, struct qp_sock *qp,
			  struct user_namespace *user_ns)
{
	if (qp->type == QP_UD || qp_state(qp) == QP_STATE_IDLE)
		return 0;
	return qp_nl_put_state(skb, qp) ?: qp_nl_put_names(skb, qp);
}

typedef int qp_nl_put(struct sk_buff *skb, struct qp_sock *qp,
		      struct user_namespace *user_ns);

/* A message of a queue pair; none if there is nothing to tell. Under xa_lock. */
static int qp_nl_fill(struct sk_buff *skb, const struct genl_info *info,
		      struct qp_sock *qp, qp_nl_put *put)
{
	void *hdr = genlmsg_iput(skb, info);
	int len = skb->len;

	if (!hdr)
		return -EMSGSIZE;
	if (put(skb, qp, genl_info_net(info)->user_ns)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	if (skb->len == len)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return 0;
}

/* Some queue pairs; 1 if there are more, 0 at the end, -EMSGSIZE */
static int qp_nl_dump_some(struct sk_buff *skb, struct netlink_callback *cb,
			   qp_nl_put *put)
{
	struct qp_net *qn = qp_pernet(sock_net(skb->sk));
	struct qp_nl_dump *d = (struct qp_nl_dump *)cb->ctx;
	const struct genl_info *info = genl_info_dump(cb);
	unsigned int n = QP_NL_BATCH;
	struct qp_sock *qp;
	int err = 0;

	/* A queue pair is taken out under this lock before its parts go */
	xa_lock_bh(&qn->qps);
	while ((qp = xa_find(&qn->qps, &d->qpn, ULONG_MAX, XA_PRESENT)) && n--) {
		err = qp_nl_fill(skb, info, qp, put);
		if (err)
			break;
		d->qpn++;
	}
	xa_unlock_bh(&qn->qps);
	return err ?: !!qp;
}

static int qp_nl_dump(struct sk_buff *skb, struct netlink_callback *cb, qp_nl_put *put)
{
	int err;

	while ((err = qp_nl_dump_some(skb, cb, put)) > 0)
		cond_resched();
	return err;
}

int qp_nl_qp_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return qp_nl_dump(skb, cb, qp_nl_put_qp);
}

int qp_nl_conn_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return qp_nl_dump(skb, cb, qp_nl_put_conn);
}

int qp_nl_qp_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct qp_net *qn = qp_pernet(genl_info_net(info));
	struct sk_buff *reply;
	struct qp_sock *qp;
	int err = -ENOENT;

	if (GENL_REQ_ATTR_CHECK(info, QP_A_QPN))
		return -EINVAL;
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	xa_lock_bh(&qn->qps);
	qp = xa_load(&qn->qps, nla_get_u32(info->attrs[QP_A_QPN]));
	if (qp)
		err = qp_nl_fill(reply, info, qp, qp_nl_put_qp);
	xa_unlock_bh(&qn->qps);
	if (!err)
		return genlmsg_reply(reply, info);
	nlmsg_free(reply);
	return err;
}

/*
 * Registrations
 */

int qp_nl_mr_start(struct netlink_callback *cb)
{
	struct net *net = sock_net(cb->skb->sk);
	struct qp_nl_walk *w = kmalloc_obj(*w);

	if (!w)
		return -ENOMEM;
	w->admin = netlink_ns_capable(cb->skb, net->user_ns, CAP_NET_ADMIN);
	rhashtable_walk_enter(&qp_pernet(net)->mrs, &w->iter);
	*qp_nl_walk(cb) = w;
	return 0;
}

int qp_nl_mr_done(struct netlink_callback *cb)
{
	struct qp_nl_walk *w = *qp_nl_walk(cb);

	rhashtable_walk_exit(&w->iter);
	kfree(w);
	return 0;
}

/* Under RCU, by which it is freed */
static int qp_nl_put_mr(struct sk_buff *skb, const struct qp_mr *mr, bool admin)
{
	if (nla_put_u32(skb, QP_A_MR_QPN, mr->qpn) ||
	    nla_put_uint(skb, QP_A_MR_LENGTH, mr->length) ||
	    nla_put_uint(skb, QP_A_MR_PAGES, mr->nr_pages) ||
	    nla_put_u32(skb, QP_A_MR_ACCESS, mr->access) ||
	    nla_put_u32(skb, QP_A_MR_REFS, refcount_read(&mr->ref)))
		return -EMSGSIZE;
	if (admin && (nla_put_uint(skb, QP_A_MR_ADDR, mr->addr) ||
		      nla_put_u32(skb, QP_A_MR_KEY, mr->key)))
		return -EMSGSIZE;
	return 0;
}

static int qp_nl_fill_mr(struct sk_buff *skb, const struct genl_info *info,
			 const struct qp_mr *mr, bool admin)
{
	void *hdr = genlmsg_iput(skb, info);

	if (!hdr)
		return -EMSGSIZE;
	if (qp_nl_put_mr(skb, mr, admin)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int qp_nl_mr_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);
	struct qp_nl_walk *w = *qp_nl_walk(cb);
	struct qp_mr *mr;
	int err = 0;

	rhashtable_walk_start(&w->iter);
	/* The one that there was no room for comes first */
	for (mr = rhashtable_walk_peek(&w->iter); mr;
	     mr = rhashtable_walk_next(&w->iter)) {
		/* The table has grown or shrunk: the walk begins anew */
		if (IS_ERR(mr))
			continue;
		err = qp_nl_fill_mr(skb, info, mr, w->admin);
		if (err)
			break;
	}
	rhashtable_walk_stop(&w->iter);
	return err;
}

/*
 * Telling
 */

static void qp_nl_tell(const struct qp_sock *qp, struct sk_buff *skb, u8 cmd)
{
	struct net *net = sock_net(&qp->sk);
	void *hdr = genlmsg_put(skb, 0, 0, &qp_nl_family, 0, cmd);

	if (!hdr || qp_nl_put_state(skb, qp) ||
	    qp_nl_put_owner(skb, qp, net->user_ns)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&qp_nl_family, net, skb, 0, QP_NLGRP_MONITOR,
				GFP_ATOMIC);
}

/**
 * qp_nl_notify() - tell who listens what has happened to a queue pair
 * @qp: the queue pair, which has a number
 * @cmd: QP_CMD_QP_NEW_NTF, QP_CMD_QP_STATE_NTF or QP_CMD_QP_DEL_NTF
 *
 * Without its names, for which locks may be needed that are held.
 *
 * Context: any but a hard interrupt.
 */
void qp_nl_notify(const struct qp_sock *qp, u8 cmd)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&qp_nl_family, sock_net(&qp->sk), QP_NLGRP_MONITOR))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_ATOMIC | __GFP_NOWARN);
	if (skb)
		qp_nl_tell(qp, skb, cmd);
}

int __init qp_nl_init(void)
{
	return genl_register_family(&qp_nl_family);
}

void qp_nl_exit(void)
{
	genl_unregister_family(&qp_nl_family);
}
