// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls
 */
#include <linux/file.h>
#include <linux/net.h>
#include <linux/security.h>
#include <linux/socket.h>
#include <linux/syscalls.h>
#include <linux/time64.h>

#include "qp_impl.h"

static unsigned int qp_file_flags(unsigned int flags)
{
	return (flags & QP_CLOEXEC ? O_CLOEXEC : 0) |
	       (flags & QP_NONBLOCK ? O_NONBLOCK : 0);
}

/*
 * Give a new queue pair its parts and its file. @sock is consumed. With a
 * @listener, connect it when nothing else can fail any more.
 */
static struct file *qp_finish(struct socket *sock, struct qp_desc *desc,
			      unsigned int flags, struct qp_sock *listener,
			      struct qp_desc __user *udesc)
{
	struct qp_sock *qp = qp_sk(sock->sk);
	struct file *file;
	int err;

	file = sock_alloc_file(sock, qp_file_flags(flags), NULL);
	if (IS_ERR(file))
		return file;
	err = qp_desc_apply(qp, desc, flags, listener);
	if (!err)
		err = qp_desc_put(qp, desc, udesc);
	if (!err && listener) {
		err = qp_conn_accept(listener, qp);
		/* The connection may have decided it */
		if (!err && put_user(qp->proto->id, &udesc->protocol))
			err = -EFAULT;
	}
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	qp_made(qp);
	return file;
}

/* Make a queue pair and its file */
static struct file *qp_make(int domain, unsigned int flags,
			    struct qp_desc *desc, struct qp_desc __user *udesc)
{
	const struct qp_proto *proto;
	struct socket *sock;

	proto = qp_proto_get(domain, desc->protocol);
	if (IS_ERR(proto))
		return ERR_CAST(proto);
	sock = qp_sock_create(current->nsproxy->net_ns, proto, domain,
			      desc->type, false);
	if (IS_ERR(sock))
		return ERR_CAST(sock);
	return qp_finish(sock, desc, flags, NULL, udesc);
}

SYSCALL_DEFINE3(queue_pair, int, domain, unsigned int, flags,
		struct qp_desc __user *, udesc)
{
	struct qp_desc desc;
	int err;

	err = qp_desc_get(&desc, udesc);
	if (err)
		return err;
	if (desc.flags)
		return -EINVAL;
	/* A name that is made stays: see first whether the answer can arrive */
	if (copy_to_user(udesc, &desc, min_t(size_t, desc.size, sizeof(desc))))
		return -EFAULT;
	err = qp_desc_check(&desc, flags);
	if (err)
		return err;
	return FD_ADD(qp_file_flags(flags),
		      qp_make(domain, flags, &desc, udesc));
}

SYSCALL_DEFINE3(qp_connect, int, fd, struct sockaddr __user *, uaddr,
		int, addrlen)
{
	struct sockaddr_storage addr;
	struct qp_sock *qp;
	int err;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	qp = qp_from_file(fd_file(f));
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	err = move_addr_to_kernel(uaddr, addrlen, &addr);
	if (err)
		return err;
	return __sys_connect_file(fd_file(f), &addr, addrlen, 0);
}

/* Make a queue pair for a connection that waits at @l, and connect them */
static struct file *qp_accept_one(struct qp_sock *l, struct qp_desc *desc,
				  struct qp_desc __user *udesc)
{
	struct socket *sock;
	int err;

	__module_get(l->proto->owner);
	sock = qp_sock_create(sock_net(&l->sk), l->proto, l->domain, l->type,
			      false);
	if (IS_ERR(sock))
		return ERR_CAST(sock);
	err = security_socket_accept(l->sk.sk_socket, sock);
	if (err) {
		sock_release(sock);
		return ERR_PTR(err);
	}
	return qp_finish(sock, desc, desc->flags, l, udesc);
}

/* The listener decides what the description may leave open */
static int qp_accept_check(const struct qp_sock *l, struct qp_desc *desc)
{
	if (qp_state(l) != QP_STATE_LISTEN)
		return -EINVAL;
	if (desc->addr || desc->addrlen || (desc->flags & QP_LISTEN))
		return -EINVAL;
	if (desc->type && desc->type != l->type)
		return -EINVAL;
	if (desc->protocol && desc->protocol != l->proto->id)
		return -EPROTONOSUPPORT;
	desc->type = l->type;
	return qp_desc_check(desc, desc->flags);
}

SYSCALL_DEFINE2(qp_accept, int, fd, struct qp_desc __user *, udesc)
{
	struct qp_desc desc;
	struct qp_sock *l;
	long timeo;
	int err;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	l = qp_from_file(fd_file(f));
	if (IS_ERR(l))
		return PTR_ERR(l);
	err = qp_desc_get(&desc, udesc);
	if (err)
		return err;
	err = qp_accept_check(l, &desc);
	if (err)
		return err;

	timeo = sock_rcvtimeo(&l->sk, fd_file(f)->f_flags & O_NONBLOCK);
	for (;;) {
		err = qp_conn_wait(l, timeo);
		if (err)
			return err;
		err = FD_ADD(qp_file_flags(desc.flags),
			     qp_accept_one(l, &desc, udesc));
		/* Another one may have been faster */
		if (err != -EAGAIN || !timeo)
			return err;
	}
}

SYSCALL_DEFINE4(setqpopt, int, fd, int, opt, void __user *, val,
		unsigned int, len)
{
	struct qp_sock *qp;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	qp = qp_from_file(fd_file(f));
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	return qp_setopt(qp, opt, val, len);
}

SYSCALL_DEFINE4(getqpopt, int, fd, int, opt, void __user *, val,
		unsigned int __user *, len)
{
	struct qp_sock *qp;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	qp = qp_from_file(fd_file(f));
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	return qp_getopt(qp, opt, val, len);
}

/* When a time given relative to now is over; NULL in *@end is never */
static int qp_enter_expires(const struct __kernel_timespec __user *timeout,
			    ktime_t *expires, ktime_t **end)
{
	struct timespec64 ts;

	*end = NULL;
	if (!timeout)
		return 0;
	if (get_timespec64(&ts, timeout))
		return -EFAULT;
	if (!timespec64_valid(&ts))
		return -EINVAL;
	*expires = ktime_add_safe(ktime_get(), timespec64_to_ktime(ts));
	*end = expires;
	return 0;
}

SYSCALL_DEFINE5(qp_enter, int, fd, unsigned int, to_submit,
		unsigned int, min_complete, unsigned int, flags,
		const struct __kernel_timespec __user *, timeout)
{
	ktime_t expires, *end;
	struct qp_sock *qp;
	int taken, err;
	bool spin;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	qp = qp_from_file(fd_file(f));
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	if (flags)
		return -EINVAL;
	if (min_complete && (!qp->cq || min_complete > qp->cq->ring.entries))
		return -EINVAL;
	err = qp_enter_expires(timeout, &expires, &end);
	if (err)
		return err;

	spin = min_complete && qp_spin_begin(qp);
	taken = qp_submit(qp, to_submit);
	if (taken == to_submit && min_complete) {
		err = qp_cq_wait(qp, min_complete, end, spin);
		return taken ? taken : err;
	}
	if (spin)
		qp_spin_end(qp);
	return taken;
}
