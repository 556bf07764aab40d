// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: options of the level SOL_IB
 */
#include <linux/sockptr.h>

#include "ib_proto.h"

const struct afib_opts afib_opts_default = {
	.qkey		= IB_DEFAULT_QKEY,
	.tclass		= -1,
	.hop_limit	= -1,
	.sl		= -1,
};

/* What there is for sockets with connections; others have all but IB_KEEPIDLE */
static const u32 afib_conn_opts = BIT(IB_TCLASS) | BIT(IB_HOPLIMIT) | BIT(IB_SL) |
				  BIT(IB_PKEY) | BIT(IB_QPN) | BIT(IB_KEEPIDLE) |
				  BIT(IB_PATH);

static bool afib_opt_known(const struct sock *sk, int opt)
{
	if (opt <= 0 || opt > IB_PATH)
		return false;
	return afib_is_conn(sk) ? afib_conn_opts & BIT(opt) : opt != IB_KEEPIDLE;
}

/* How messages travel: range of each value, and where it is */
struct afib_opt {
	s16 min, max;
	u16 offset;	/* of an s16 in struct afib_opts */
};

static const struct afib_opt afib_opt_table[] = {
	[IB_TCLASS]	= { 0, 255, offsetof(struct afib_opts, tclass) },
	[IB_HOPLIMIT]	= { -1, 255, offsetof(struct afib_opts, hop_limit) },
	[IB_SL]		= { 0, 15, offsetof(struct afib_opts, sl) },
};

static s16 *afib_opt_field(struct afib_opts *opts, const struct afib_opt *o)
{
	return (void *)opts + o->offset;
}

static const struct afib_opt *afib_opt_find(int opt)
{
	if (opt <= 0 || opt >= ARRAY_SIZE(afib_opt_table) ||
	    !afib_opt_table[opt].max)
		return NULL;
	return &afib_opt_table[opt];
}

static int afib_opt_set(struct afib_opts *opts, int opt, int val)
{
	const struct afib_opt *o = afib_opt_find(opt);

	if (!o)
		return -ENOPROTOOPT;
	if (val < o->min || val > o->max || (opt == IB_HOPLIMIT && !val))
		return -EINVAL;
	*afib_opt_field(opts, o) = val;
	return 0;
}

static int afib_opt_qkey(struct afib_opts *opts, u32 qkey)
{
	if (qkey & IB_QKEY_PRIVILEGED)
		return -EPERM;
	if (!qkey)
		return -EINVAL;
	opts->qkey = qkey;
	return 0;
}

/**
 * afib_opt_cmsg() - take an option of one message
 * @cmsg: a control message of the level SOL_IB
 * @opts: the message's options
 *
 * Context: any.
 * Return: 0; -EINVAL, -EPERM (a Q_Key for the privileged).
 */
int afib_opt_cmsg(const struct cmsghdr *cmsg, struct afib_opts *opts)
{
	int err, val;

	if (cmsg->cmsg_len != CMSG_LEN(sizeof(val)))
		return -EINVAL;
	memcpy(&val, CMSG_DATA(cmsg), sizeof(val));
	if (cmsg->cmsg_type == IB_QKEY)
		return afib_opt_qkey(opts, val);
	err = afib_opt_set(opts, cmsg->cmsg_type, val);
	return err == -ENOPROTOOPT ? -EINVAL : err;
}

/*
 * Groups
 */

/* Its address, in the partition of the socket */
static void afib_mreq_group(const struct afib_sock *is, const struct ib_mreq *mreq,
			    struct sockaddr_storage *group)
{
	struct sockaddr_ib *ib = (struct sockaddr_ib *)group;

	memset(group, 0, sizeof(*group));
	afib_addr_make(ib, &mreq->mgid, 0, mreq->ifindex, 0);
	ib->sib_pkey = htons(afib_addr_pkey(is, ib));
}

/* The port at which a group is joined */
static struct afib_port *afib_mreq_port(struct afib_sock *is, const struct ib_mreq *mreq,
					const struct sockaddr_storage *group)
{
	u16 pkey = ntohs(((const struct sockaddr_ib *)group)->sib_pkey);
	const struct ib_addr *gid = &mreq->gid;
	u32 scope = mreq->ifindex;
	struct sockaddr_storage src;
	struct sockaddr_ib *from = (struct sockaddr_ib *)&src;
	int err;

	if (!afib_addr_any(gid))
		return afib_port_get(is, gid, afib_addr_link_local(gid) ? scope : 0,
				     pkey);
	if (!afib_addr_any(&is->local.sib_addr))
		return afib_port_get(is, &is->local.sib_addr,
				     is->local.sib_scope_id, pkey);
	err = qp_kern_route(sock_net(&is->sk), AF_IB,
			    mreq->ifindex ?: is->sk.sk_bound_dev_if, group, &src);
	if (err)
		return ERR_PTR(err);
	return afib_port_get(is, &from->sib_addr, from->sib_scope_id, pkey);
}

static bool afib_ifindex_valid(struct net *net, u32 ifindex)
{
	bool valid;

	rcu_read_lock();
	valid = ifindex <= INT_MAX && dev_get_by_index_rcu(net, ifindex);
	rcu_read_unlock();
	return valid;
}

/* Under the socket lock, which is dropped for a while */
static int afib_member(struct afib_sock *is, int opt, const struct ib_mreq *mreq)
{
	u32 flags = is->loop ? QP_MCAST_LOOP : 0;
	struct sockaddr_storage group;
	struct afib_port *port;
	int err;

	if (!afib_addr_multicast(&mreq->mgid) || mreq->flags & ~IB_MREQ_SENDONLY)
		return -EINVAL;
	if (mreq->ifindex && !afib_ifindex_valid(sock_net(&is->sk), mreq->ifindex))
		return -ENODEV;
	afib_mreq_group(is, mreq, &group);
	port = afib_mreq_port(is, mreq, &group);
	if (IS_ERR(port))
		return PTR_ERR(port);
	if (mreq->flags & IB_MREQ_SENDONLY)
		flags |= QP_MCAST_SENDONLY;
	/* The subnet manager may take its time */
	release_sock(&is->sk);
	if (opt == IB_ADD_MEMBERSHIP)
		err = qp_kern_join(port->qp, &group, sizeof(struct sockaddr_ib), flags);
	else
		err = qp_kern_leave(port->qp, &group, sizeof(struct sockaddr_ib));
	lock_sock(&is->sk);
	afib_port_put(port);
	if (!err)
		afib_dest_changed(is, &mreq->mgid);
	return err == -ERESTARTSYS ? -EINTR : err;
}

static int afib_set_member(struct afib_sock *is, int opt, sockptr_t val,
			   unsigned int len)
{
	struct ib_mreq mreq;

	if (len != sizeof(mreq))
		return -EINVAL;
	if (copy_from_sockptr(&mreq, val, sizeof(mreq)))
		return -EFAULT;
	return afib_member(is, opt, &mreq);
}

/*
 * All of them
 */

/* At most that many seconds, as TCP has it */
#define AFIB_MAX_KEEPIDLE	32767

static int afib_set_keepidle(struct afib_conn *c, int val)
{
	if (val < 1 || val > AFIB_MAX_KEEPIDLE)
		return -EINVAL;
	afib_conn_set_keepidle(c, val);
	return 0;
}

/* How it travels; a connection that is made, or is being made, has that */
static int afib_set_opts(struct afib_sock *is, int opt, int val)
{
	if (afib_is_conn(&is->sk) && is->sk.sk_state != TCP_CLOSE &&
	    is->sk.sk_state != TCP_LISTEN)
		return -EISCONN;
	return afib_opt_set(&is->opts, opt, val);
}

/* Which partition; what there is already is in one. Under the socket lock. */
static int afib_set_pkey(struct afib_sock *is, int val)
{
	u16 own = is->bound ? ntohs(is->local.sib_pkey) : is->pkey;
	bool other = ((own ?: IB_PKEY_DEFAULT) ^ (val ?: IB_PKEY_DEFAULT)) &
		     IB_PKEY_PARTITION;

	if (val < 0 || !afib_addr_pkey_valid(&is->sk, val))
		return -EINVAL;
	if (other && (is->bound || is->nr_ports || is->sk.sk_state != TCP_CLOSE))
		return -EISCONN;
	WRITE_ONCE(is->pkey, val);
	return 0;
}

static int afib_set_int(struct afib_sock *is, int opt, int val)
{
	switch (opt) {
	case IB_KEEPIDLE:
		return afib_set_keepidle(afib_conn(&is->sk), val);
	case IB_QKEY:
		/* Queue pairs that there are have theirs */
		if (is->nr_ports)
			return -EISCONN;
		return afib_opt_qkey(&is->opts, val);
	case IB_PKEY:
		return afib_set_pkey(is, val);
	case IB_RECVINFO:
		WRITE_ONCE(is->recvinfo, val);
		return 0;
	case IB_MULTICAST_LOOP:
		is->loop = val;
		return 0;
	case IB_RECVERR:
		is->recverr = val;
		return 0;
	default:
		return afib_set_opts(is, opt, val);
	}
}

int afib_setsockopt(struct socket *sock, int level, int opt, sockptr_t val,
		    unsigned int len)
{
	struct afib_sock *is = afib_sk(sock->sk);
	int err, n;

	if (level != SOL_IB || !afib_opt_known(&is->sk, opt))
		return -ENOPROTOOPT;
	lock_sock(&is->sk);
	if (opt == IB_ADD_MEMBERSHIP || opt == IB_DROP_MEMBERSHIP)
		err = afib_set_member(is, opt, val, len);
	else if (len != sizeof(n))
		err = -EINVAL;
	else if (copy_from_sockptr(&n, val, sizeof(n)))
		err = -EFAULT;
	else
		err = afib_set_int(is, opt, n);
	release_sock(&is->sk);
	return err;
}

/* The longest message: on the way to the peer, or from the only port there is */
static int afib_mtu(struct afib_sock *is)
{
	struct afib_port *port;
	int mtu = -ENOTCONN;

	spin_lock_bh(&is->lock);
	if (is->conn)
		port = is->conn->port;
	else
		port = list_first_entry_or_null(&is->ports, struct afib_port, node);
	if (port)
		mtu = READ_ONCE(port->qp->max_msg);
	spin_unlock_bh(&is->lock);
	return mtu;
}

/* The number of the only queue pair, or 0. Any context. */
u32 afib_qpn(struct afib_sock *is)
{
	u32 qpn = 0;

	if (afib_is_conn(&is->sk))
		return afib_conn_qpn(afib_conn(&is->sk));
	spin_lock_bh(&is->lock);
	if (is->nr_ports == 1)
		qpn = READ_ONCE(list_first_entry(&is->ports, struct afib_port,
						 node)->qp->port_qpn);
	spin_unlock_bh(&is->lock);
	return qpn;
}

static int afib_get_keepidle(struct afib_conn *c)
{
	return (c->keepidle ?: afib_time(&c->is.sk, keepalive_time)) / HZ;
}

static int afib_get_int(struct afib_sock *is, int opt, int *val)
{
	const struct afib_opt *o = afib_opt_find(opt);

	switch (opt) {
	case IB_KEEPIDLE:
		*val = afib_get_keepidle(afib_conn(&is->sk));
		return 0;
	case IB_QKEY:
		*val = is->opts.qkey;
		return 0;
	case IB_PKEY:
		*val = is->pkey;
		return 0;
	case IB_RECVINFO:
		*val = is->recvinfo;
		return 0;
	case IB_QPN:
		*val = afib_qpn(is);
		return 0;
	case IB_MTU:
		*val = afib_mtu(is);
		return min(*val, 0);
	case IB_MULTICAST_LOOP:
		*val = is->loop;
		return 0;
	case IB_RECVERR:
		*val = is->recverr;
		return 0;
	default:
		if (!o)
			return -ENOPROTOOPT;
		/* What was not set is what is usual */
		*val = max(*afib_opt_field(&is->opts, o), o->min);
		return 0;
	}
}

static void afib_conn_info(struct afib_conn *c, struct qp_backend *info)
{
	struct qp_sock *qp = afib_conn_qp_get(c);

	if (!qp)
		return;
	qp_kern_info(qp, NULL, info);
	sock_put(&qp->sk);
}

static void afib_dgram_info(struct afib_sock *is, struct qp_backend *info)
{
	struct afib_dest *dest;
	struct afib_port *port = afib_way(is, &dest);

	if (port)
		qp_kern_info(port->qp, dest ? dest->dest : NULL, info);
	afib_dest_put(dest);
	afib_port_put(port);
}

/* The device, and the way to the peer */
static int afib_get_path(struct afib_sock *is, struct ib_diag_path *path)
{
	struct qp_backend info = {};

	if (afib_is_conn(&is->sk))
		afib_conn_info(afib_conn(&is->sk), &info);
	else
		afib_dgram_info(is, &info);
	*path = info.path;
	return path->device[0] ? 0 : -ENOTCONN;
}

int afib_getsockopt(struct socket *sock, int level, int opt, char __user *val,
		    int __user *ulen)
{
	struct afib_sock *is = afib_sk(sock->sk);
	union {
		int n;
		struct ib_diag_path path;
	} out;
	int err, len, size;

	if (level != SOL_IB || !afib_opt_known(&is->sk, opt))
		return -ENOPROTOOPT;
	if (get_user(len, ulen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	size = opt == IB_PATH ? sizeof(out.path) : sizeof(out.n);
	lock_sock(&is->sk);
	err = opt == IB_PATH ? afib_get_path(is, &out.path) :
			       afib_get_int(is, opt, &out.n);
	release_sock(&is->sk);
	if (err)
		return err;
	len = min(len, size);
	if (put_user(len, ulen) || copy_to_user(val, &out, len))
		return -EFAULT;
	return 0;
}
