// SPDX-License-Identifier: GPL-2.0
/*
 * Options: setqpopt() and getqpopt()
 */
#include <linux/nospec.h>
#include <linux/security.h>
#include <linux/socket.h>
#include <linux/uaccess.h>

#include "qp_impl.h"

#define QP_OPT_MAX_LEN PAGE_SIZE

/*
 * An option. @size is that of its value; user space may pass a smaller one
 * down to @min, or a larger one whose rest is zero. @set gets a kernel copy;
 * with @reply it is copied back, and @undo takes it back if that fails. @get
 * likewise gets what user space passed if @query. A @param is a matter of the
 * protocol.
 */
struct qp_optinfo {
	unsigned int min;
	unsigned int size;
	bool reply;
	bool query;
	int (*set)(struct qp_sock *qp, void *val);
	void (*undo)(struct qp_sock *qp, void *val);
	int (*get)(struct qp_sock *qp, void *val);
	bool param;
};

union qp_optval {
	u32 u32;
	struct qp_desc desc;
	struct qp_info info;
	struct qp_mem mem;
	struct qp_ah ah;
	struct qp_mcast mcast;
};

static int qp_get_desc(struct qp_sock *qp, void *val)
{
	struct qp_desc *desc = val;

	desc->size = sizeof(*desc);
	qp_desc_fill(qp, desc);
	return 0;
}

static int qp_get_proto(struct qp_sock *qp, void *val)
{
	*(u32 *)val = qp->proto->id;
	return 0;
}

static int qp_set_proto(struct qp_sock *qp, void *val)
{
	const struct qp_proto *proto;
	u32 id = *(u32 *)val;
	int err;

	proto = qp_proto_get(qp->domain, id);
	if (IS_ERR(proto))
		return PTR_ERR(proto);
	lock_sock(&qp->sk);
	if (proto == qp->proto)
		err = 0;
	else if (!qp->proto->set_proto || proto->owner != qp->proto->owner)
		err = -EPROTONOSUPPORT;
	else
		err = qp->proto->set_proto(qp, proto);
	release_sock(&qp->sk);
	module_put(proto->owner);
	return err;
}

/* State and counters. Any context; the queue pair has its parts. */
void qp_info_fill(struct qp_sock *qp, struct qp_info *info)
{
	info->state = qp_state(qp);
	info->protocol = qp->proto->id;
	info->type = qp->type;
	info->qpn = qp->qpn;
	info->sends = qp_sends_outstanding(qp);
	info->cq_used = qp->cq ? qp_cq_ready(qp->cq) : 0;
	info->cq_reserved = qp->cq ? READ_ONCE(qp->cq->reserved) : 0;
	info->mem_regions = atomic_read(&qp->mem->nr);
	info->mem_bytes = atomic64_read(&qp->mem->bytes);
	info->tx_msgs = atomic64_read(&qp->tx_msgs);
	info->tx_bytes = atomic64_read(&qp->tx_bytes);
	info->rx_msgs = atomic64_read(&qp->rx_msgs);
	info->rx_bytes = atomic64_read(&qp->rx_bytes);
	info->port_qpn = READ_ONCE(qp->port_qpn);
	info->port_qkey = READ_ONCE(qp->port_qkey);
	info->max_msg = READ_ONCE(qp->max_msg);
}

static int qp_get_info(struct qp_sock *qp, void *val)
{
	qp_info_fill(qp, val);
	return 0;
}

static int qp_set_mem_reg(struct qp_sock *qp, void *val)
{
	return qp_mem_reg(qp, val);
}

static void qp_undo_mem_reg(struct qp_sock *qp, void *val)
{
	struct qp_mem *mem = val;

	qp_mr_invalidate(qp->mem, mem->lkey, false);
}

static int qp_set_mem_dereg(struct qp_sock *qp, void *val)
{
	return qp_mr_invalidate(qp->mem, *(u32 *)val, false);
}

static int qp_get_mem(struct qp_sock *qp, void *val)
{
	return qp_mem_query(qp, val);
}

static int qp_set_param(struct qp_sock *qp, int opt, u32 val)
{
	const struct qp_proto *proto;
	int err;

	lock_sock(&qp->sk);
	proto = READ_ONCE(qp->proto);
	err = proto->set_param ? proto->set_param(qp, opt, val) : -EOPNOTSUPP;
	release_sock(&qp->sk);
	return err;
}

static int qp_get_param(struct qp_sock *qp, int opt, u32 *val)
{
	const struct qp_proto *proto = READ_ONCE(qp->proto);

	return proto->get_param ? proto->get_param(qp, opt, val) : -EOPNOTSUPP;
}

/* The address that an option points to; it has to be of the right family */
static int qp_opt_addr(const struct qp_sock *qp, u64 uaddr, u32 len,
		       struct sockaddr_storage *addr)
{
	int err;

	if (qp->type != QP_UD)
		return -EOPNOTSUPP;
	err = move_addr_to_kernel(u64_to_user_ptr(uaddr), len, addr);
	if (err)
		return err;
	if (len < sizeof(addr->ss_family))
		return -EINVAL;
	if (addr->ss_family != qp->domain)
		return -EAFNOSUPPORT;
	return 0;
}

static int qp_set_ah_create(struct qp_sock *qp, void *val)
{
	struct sockaddr_storage addr;
	struct qp_ah *ah = val;
	int err;

	err = qp_opt_addr(qp, ah->addr, ah->addrlen, &addr);
	if (err)
		return err;
	if (ah->ah || (ah->qkey && !ah->qpn))
		return -EINVAL;
	err = security_socket_connect(qp->sk.sk_socket, (void *)&addr,
				      ah->addrlen);
	return err ?: qp->proto->ud_ops->ah_create(qp, ah, &addr);
}

static void qp_undo_ah_create(struct qp_sock *qp, void *val)
{
	struct qp_ah *ah = val;

	qp->proto->ud_ops->ah_destroy(qp, ah->ah);
}

static int qp_set_ah_destroy(struct qp_sock *qp, void *val)
{
	if (qp->type != QP_UD)
		return -EOPNOTSUPP;
	return qp->proto->ud_ops->ah_destroy(qp, *(u32 *)val);
}

static int qp_set_mcast_join(struct qp_sock *qp, void *val)
{
	struct sockaddr_storage addr;
	struct qp_mcast *mcast = val;
	int err;

	err = qp_opt_addr(qp, mcast->addr, mcast->addrlen, &addr);
	if (err)
		return err;
	if (mcast->ah || mcast->resv ||
	    mcast->flags & ~(QP_MCAST_SENDONLY | QP_MCAST_LOOP))
		return -EINVAL;
	return qp->proto->ud_ops->join(qp, mcast, &addr);
}

static int qp_set_mcast_leave(struct qp_sock *qp, void *val)
{
	struct sockaddr_storage addr;
	struct qp_mcast *mcast = val;
	int err;

	err = qp_opt_addr(qp, mcast->addr, mcast->addrlen, &addr);
	if (err)
		return err;
	if (mcast->ah || mcast->resv || mcast->flags)
		return -EINVAL;
	return qp->proto->ud_ops->leave(qp, &addr, mcast->addrlen);
}

static void qp_undo_mcast_join(struct qp_sock *qp, void *val)
{
	struct qp_mcast *mcast = val;

	mcast->ah = 0;
	mcast->flags = 0;
	qp_set_mcast_leave(qp, mcast);
}

static const struct qp_optinfo qp_opts[] = {
	[QP_DESC] = {
		.min	= sizeof(u32),
		.size	= sizeof(struct qp_desc),
		.get	= qp_get_desc,
	},
	[QP_PROTO] = {
		.min	= sizeof(u32),
		.size	= sizeof(u32),
		.set	= qp_set_proto,
		.get	= qp_get_proto,
	},
	[QP_INFO] = {
		.min	= sizeof(u32),
		.size	= sizeof(struct qp_info),
		.get	= qp_get_info,
	},
	[QP_MEM_REG] = {
		.min	= sizeof(struct qp_mem),
		.size	= sizeof(struct qp_mem),
		.reply	= true,
		.set	= qp_set_mem_reg,
		.undo	= qp_undo_mem_reg,
	},
	[QP_MEM_DEREG] = {
		.min	= sizeof(u32),
		.size	= sizeof(u32),
		.set	= qp_set_mem_dereg,
	},
	[QP_MEM_QUERY] = {
		.min	= sizeof(struct qp_mem),
		.size	= sizeof(struct qp_mem),
		.query	= true,
		.get	= qp_get_mem,
	},
	[QP_PATH_MTU ... QP_ACK_TIMEOUT] = {
		.min	= sizeof(u32),
		.size	= sizeof(u32),
		.param	= true,
	},
	[QP_AH_CREATE] = {
		.min	= sizeof(struct qp_ah),
		.size	= sizeof(struct qp_ah),
		.reply	= true,
		.set	= qp_set_ah_create,
		.undo	= qp_undo_ah_create,
	},
	[QP_AH_DESTROY] = {
		.min	= sizeof(u32),
		.size	= sizeof(u32),
		.set	= qp_set_ah_destroy,
	},
	[QP_MCAST_JOIN] = {
		.min	= sizeof(struct qp_mcast),
		.size	= sizeof(struct qp_mcast),
		.reply	= true,
		.set	= qp_set_mcast_join,
		.undo	= qp_undo_mcast_join,
	},
	[QP_MCAST_LEAVE] = {
		.min	= sizeof(struct qp_mcast),
		.size	= sizeof(struct qp_mcast),
		.set	= qp_set_mcast_leave,
	},
};

static const struct qp_optinfo *qp_opt_find(int opt)
{
	if (opt < 0 || opt >= ARRAY_SIZE(qp_opts))
		return NULL;
	return &qp_opts[array_index_nospec(opt, ARRAY_SIZE(qp_opts))];
}

int qp_setopt(struct qp_sock *qp, int opt, void __user *uval, unsigned int len)
{
	const struct qp_optinfo *info = qp_opt_find(opt);
	union qp_optval val;
	int err;

	if (!info || (!info->set && !info->param))
		return -ENOPROTOOPT;
	err = security_socket_setsockopt(qp->sk.sk_socket, SOL_QP, opt);
	if (err)
		return err;
	if (len < info->min)
		return -EINVAL;
	if (len > QP_OPT_MAX_LEN)
		return -E2BIG;
	memset(&val, 0, sizeof(val));
	err = copy_struct_from_user(&val, info->size, uval, len);
	if (err)
		return err;
	err = info->param ? qp_set_param(qp, opt, val.u32) :
			    info->set(qp, &val);
	if (err || !info->reply)
		return err;
	if (!copy_to_user(uval, &val, min(len, info->size)))
		return 0;
	info->undo(qp, &val);
	return -EFAULT;
}

int qp_getopt(struct qp_sock *qp, int opt, void __user *uval,
	      unsigned int __user *ulen)
{
	const struct qp_optinfo *info = qp_opt_find(opt);
	union qp_optval val;
	unsigned int len;
	int err;

	if (!info || (!info->get && !info->param))
		return -ENOPROTOOPT;
	err = security_socket_getsockopt(qp->sk.sk_socket, SOL_QP, opt);
	if (err)
		return err;
	if (get_user(len, ulen))
		return -EFAULT;
	if (len < info->min)
		return -EINVAL;
	memset(&val, 0, sizeof(val));
	if (info->query) {
		if (len > QP_OPT_MAX_LEN)
			return -E2BIG;
		err = copy_struct_from_user(&val, info->size, uval, len);
		if (err)
			return err;
	}
	err = info->param ? qp_get_param(qp, opt, &val.u32) :
			    info->get(qp, &val);
	if (err)
		return err;
	len = min(len, info->size);
	if (copy_to_user(uval, &val, len) || put_user(len, ulen))
		return -EFAULT;
	return 0;
}
