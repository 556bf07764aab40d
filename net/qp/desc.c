// SPDX-License-Identifier: GPL-2.0
/*
 * struct qp_desc: read, checked, turned into the parts of a queue pair
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/net.h>
#include <linux/security.h>
#include <uapi/linux/qp_netlink.h>
#include <trace/events/qp.h>

#include "qp_impl.h"

#define QP_CREATE_FLAGS	(QP_CLOEXEC | QP_NONBLOCK | QP_LISTEN | \
			 QP_SHARE_MEM | QP_SHARE_CQ | QP_SQPOLL | \
			 QP_SQ_CPU | QP_SHARE_SQPOLL)
/* Those that make use of qp_desc.share_fd */
#define QP_SHARE_FLAGS	(QP_SHARE_MEM | QP_SHARE_CQ | QP_SHARE_SQPOLL)

/* Copy a description from user space; its size stays what the user gave */
int qp_desc_get(struct qp_desc *desc, const struct qp_desc __user *udesc)
{
	u32 size;
	int err;

	BUILD_BUG_ON(offsetofend(struct qp_desc, cq) != QP_DESC_SIZE_V1);
	if (get_user(size, &udesc->size))
		return -EFAULT;
	if (size < QP_DESC_SIZE_V1)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(desc, sizeof(*desc), udesc, size);
	if (err)
		return err;
	desc->size = size;
	return 0;
}

/* What is to be known of a queue pair to use its rings */
void qp_desc_fill(const struct qp_sock *qp, struct qp_desc *desc)
{
	static const struct qp_ring none;

	desc->type = qp->type;
	desc->protocol = qp->proto->id;
	desc->sq_entries = qp->sq.ring.entries;
	desc->rq_entries = qp->rq.ring.entries;
	desc->cq_entries = qp->cq ? qp->cq->ring.entries : 0;
	desc->max_sge = qp->max_sge;
	desc->max_inline = qp->max_inline;
	desc->qpn = qp->qpn;
	desc->sq_cpu = qp_sqpoll_bound(qp);
	desc->sq_idle = qp_sqpoll_idle(qp);
	qp_ring_describe(&qp->sq.ring, QP_OFF_SQ, &desc->sq);
	qp_ring_describe(&qp->rq.ring, QP_OFF_RQ, &desc->rq);
	qp_ring_describe(qp->cq ? &qp->cq->ring : &none, QP_OFF_CQ, &desc->cq);
}

/* Tell user space of a new queue pair: its own description, completed */
int qp_desc_put(struct qp_sock *qp, const struct qp_desc *desc,
		struct qp_desc __user *udesc)
{
	size_t size = min_t(size_t, desc->size, sizeof(*desc));
	struct qp_desc out = *desc;

	qp_desc_fill(qp, &out);
	/* So that it can be used again with QP_SHARE_CQ and QP_SHARE_SQPOLL */
	out.cq_entries = desc->cq_entries;
	out.sq_cpu = desc->sq_cpu;
	out.sq_idle = desc->sq_idle;
	return copy_to_user(udesc, &out, size) ? -EFAULT : 0;
}

/**
 * qp_desc_check() - check what can be checked without looking at anything else
 * @desc: kernel copy; defaults are filled in, sizes rounded up
 * @flags: QP_*, from the argument or the description
 *
 * Return: 0 or -EINVAL.
 */
int qp_desc_check(struct qp_desc *desc, unsigned int flags)
{
	if (flags & ~QP_CREATE_FLAGS)
		return -EINVAL;
	if (desc->type < QP_RC || desc->type > QP_UD)
		return -EINVAL;
	if (desc->sq_entries > QP_MAX_ENTRIES ||
	    desc->rq_entries > QP_MAX_ENTRIES ||
	    desc->cq_entries > 2 * QP_MAX_ENTRIES)
		return -EINVAL;
	if (desc->max_sge > QP_MAX_SGE || desc->max_inline > QP_MAX_INLINE)
		return -EINVAL;
	if ((flags & QP_SHARE_CQ) && desc->cq_entries)
		return -EINVAL;
	if ((flags & QP_SQPOLL) && !desc->sq_entries)
		return -EINVAL;
	if (!(flags & QP_SQPOLL) &&
	    (flags & (QP_SQ_CPU | QP_SHARE_SQPOLL) || desc->sq_idle))
		return -EINVAL;
	/* A thread is described by who makes it */
	if ((flags & QP_SHARE_SQPOLL) && (flags & QP_SQ_CPU || desc->sq_idle))
		return -EINVAL;
	if (!(flags & QP_SQ_CPU) && desc->sq_cpu)
		return -EINVAL;
	if (flags & QP_LISTEN) {
		if (!desc->addr || desc->sq_entries || desc->rq_entries)
			return -EINVAL;
	} else if (desc->backlog) {
		return -EINVAL;
	}
	if (!desc->addr != !desc->addrlen)
		return -EINVAL;

	if (!desc->max_sge)
		desc->max_sge = 1;
	if (desc->sq_entries)
		desc->sq_entries = roundup_pow_of_two(desc->sq_entries);
	if (desc->rq_entries)
		desc->rq_entries = roundup_pow_of_two(desc->rq_entries);
	if (!desc->cq_entries && !(flags & QP_SHARE_CQ))
		desc->cq_entries = desc->sq_entries + desc->rq_entries;
	if (desc->cq_entries)
		desc->cq_entries = roundup_pow_of_two(desc->cq_entries);
	return 0;
}

/* Completions of datagrams say more */
static u32 qp_cqe_size(u32 type)
{
	return type == QP_UD ? sizeof(struct qp_ud_cqe) : sizeof(struct qp_cqe);
}

/* Take memory table, CQ and thread: another queue pair's, or new ones */
static int qp_desc_share(struct qp_sock *qp, const struct qp_desc *desc,
			 unsigned int flags, struct qp_sock *listener)
{
	struct qp_sock *mem_of = listener, *cq_of = NULL;
	struct qp_sock *other = NULL;
	int err;

	CLASS(fd, f)(flags & QP_SHARE_FLAGS ? desc->share_fd : -1);

	if (flags & QP_SHARE_FLAGS) {
		if (fd_empty(f))
			return -EBADF;
		other = qp_from_file(fd_file(f));
		if (IS_ERR(other))
			return PTR_ERR(other);
		if (!net_eq(sock_net(&other->sk), sock_net(&qp->sk)))
			return -EXDEV;
	}
	if (flags & QP_SHARE_MEM)
		mem_of = other;
	if (flags & QP_SHARE_CQ)
		cq_of = other;
	if (cq_of && (!cq_of->cq ||
		      cq_of->cq->ring.entry_size < qp_cqe_size(qp->type)))
		return -EINVAL;
	/* Memory of devices and memory that the core copies are not the same */
	if (mem_of && mem_of->mem->ops != qp->proto->mem_ops)
		return -EXDEV;

	if (cq_of)
		qp->cq = qp_cq_get(cq_of->cq);
	else if (desc->cq_entries)
		qp->cq = qp_cq_create(desc->cq_entries,
				      qp_cqe_size(qp->type));
	if (IS_ERR(qp->cq)) {
		err = PTR_ERR(qp->cq);
		qp->cq = NULL;
		return err;
	}

	if (mem_of)
		qp->mem = qp_mtable_get(mem_of->mem);
	else
		qp->mem = qp_mtable_create(sock_net(&qp->sk),
					   qp->proto->mem_ops);
	if (IS_ERR(qp->mem)) {
		err = PTR_ERR(qp->mem);
		qp->mem = NULL;
		return err;
	}
	if (!(flags & QP_SQPOLL))
		return 0;
	return qp_sqpoll_init(qp, desc, flags,
			      flags & QP_SHARE_SQPOLL ? other : NULL);
}

static int qp_desc_bind(struct qp_sock *qp, const struct qp_desc *desc)
{
	struct sockaddr_storage addr;
	int err;

	if (!desc->addr)
		return 0;
	err = move_addr_to_kernel(u64_to_user_ptr(desc->addr), desc->addrlen,
				  &addr);
	if (err)
		return err;
	if (desc->addrlen < sizeof(addr.ss_family) ||
	    addr.ss_family != qp->domain)
		return -EINVAL;
	err = security_socket_bind(qp->sk.sk_socket, (struct sockaddr *)&addr,
				   desc->addrlen);
	if (err)
		return err;
	return qp->proto->bind(qp, &addr, desc->addrlen);
}

static int qp_desc_listen(struct qp_sock *qp, const struct qp_desc *desc)
{
	struct net *net = sock_net(&qp->sk);
	u32 backlog = clamp_t(u32, desc->backlog, 1,
			      max(READ_ONCE(net->core.sysctl_somaxconn), 1));
	int err;

	err = security_socket_listen(qp->sk.sk_socket, backlog);
	if (err)
		return err;
	WRITE_ONCE(qp->sk.sk_max_ack_backlog, backlog);
	return qp->proto->listen(qp);
}

/**
 * qp_desc_apply() - give a new queue pair its parts
 * @qp: from qp_sock_create(); to be released if this fails
 * @desc: checked
 * @flags: QP_*
 * @listener: the listener of qp_accept(), or NULL
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL, -ENOMEM, -ENOBUFS; -EBADF, -ENOTSOCK, -EXDEV (share_fd);
 * errors of making a thread, and of binding a name.
 */
int qp_desc_apply(struct qp_sock *qp, const struct qp_desc *desc,
		  unsigned int flags, struct qp_sock *listener)
{
	unsigned int max;
	int err;

	max = READ_ONCE(qp_pernet(sock_net(&qp->sk))->max_entries);
	if (desc->sq_entries > max || desc->rq_entries > max ||
	    (desc->cq_entries && desc->cq_entries / 2 > max))
		return -ENOBUFS;
	if (desc->ifindex && qp->domain == AF_UNIX)
		return -EINVAL;

	qp->sk.sk_bound_dev_if = desc->ifindex;
	qp->max_sge = desc->max_sge;
	qp->max_sge_rd = desc->max_sge;
	qp->max_inline = desc->max_inline;
	err = qp_desc_share(qp, desc, flags, listener);
	if (err)
		return err;
	err = qp_sq_alloc(qp, desc->sq_entries);
	if (err)
		return err;
	err = qp_ring_alloc(&qp->rq.ring, desc->rq_entries,
			    round_up(sizeof(struct qp_rqe) + qp->max_sge *
				     sizeof(struct qp_sge), 32));
	if (err)
		return err;
	err = qp_net_add(qp);
	if (err)
		return err;
	trace_qp_create(qp);
	qp_nl_notify(qp, QP_CMD_QP_NEW_NTF);
	err = qp_sqpoll_join(qp);
	if (err)
		return err;
	err = qp_desc_bind(qp, desc);
	if (err)
		return err;
	return flags & QP_LISTEN ? qp_desc_listen(qp, desc) : 0;
}
