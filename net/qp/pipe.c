// SPDX-License-Identifier: GPL-2.0
/*
 * The pipe protocol: connections
 *
 * Who connects waits in the listener's list. qp_accept() makes a queue pair,
 * takes the first in the list and links the two, all under the listener's
 * lock: a connection that cannot be accepted stays where it is.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "pipe.h"

static int pipe_init(struct qp_sock *qp)
{
	struct pipe_end *end = kzalloc_obj(*end, GFP_KERNEL_ACCOUNT);

	if (!end)
		return -ENOMEM;
	end->qp = qp;
	mutex_init(&end->run);
	spin_lock_init(&end->sendq_lock);
	INIT_LIST_HEAD(&end->sendq);
	INIT_WORK(&end->work, pipe_work);
	spin_lock_init(&end->lock);
	INIT_LIST_HEAD(&end->pending);
	init_waitqueue_head(&end->backlog_wait);
	INIT_LIST_HEAD(&end->pending_node);
	qp->priv = end;
	return 0;
}

static void pipe_destroy(struct qp_sock *qp)
{
	struct pipe_end *end = pipe_end(qp);

	pipe_name_put(end->name);
	qp_cred_put(&end->cred);
	kfree(end);
}

static int pipe_listen(struct qp_sock *qp, u32 backlog)
{
	struct pipe_end *l = pipe_end(qp);
	int err;

	err = qp_cred_get_current(&l->cred);
	if (err)
		return err;
	l->backlog = backlog;
	qp_set_state(qp, QP_STATE_LISTEN);
	return 0;
}

/* The descriptor closes; at a listener, who waits is refused */
static void pipe_close(struct pipe_end *l)
{
	struct pipe_end *end, *next;

	spin_lock(&l->lock);
	WRITE_ONCE(l->closed, true);
	list_for_each_entry_safe(end, next, &l->pending, pending_node) {
		list_del_init(&end->pending_node);
		WRITE_ONCE(end->qp->sk.sk_err, ECONNREFUSED);
		qp_set_state(end->qp, QP_STATE_IDLE);
		qp_wake(end->qp, EPOLLIN | EPOLLOUT | EPOLLERR);
	}
	l->nr_pending = 0;
	spin_unlock(&l->lock);
	wake_up_interruptible_all(&l->backlog_wait);
}

/* Enter the listener's list. -EAGAIN: it is full. */
static int pipe_enqueue(struct pipe_end *end, struct pipe_end *l)
{
	int err = 0;

	spin_lock(&l->lock);
	if (l->closed || qp_state(l->qp) != QP_STATE_LISTEN) {
		err = -ECONNREFUSED;
	} else if (l->nr_pending >= l->backlog) {
		err = -EAGAIN;
	} else {
		list_add_tail(&end->pending_node, &l->pending);
		WRITE_ONCE(l->nr_pending, l->nr_pending + 1);
		qp_set_state(end->qp, QP_STATE_CONNECTING);
	}
	spin_unlock(&l->lock);
	if (!err)
		qp_wake(l->qp, EPOLLIN | EPOLLRDNORM);
	return err;
}

/* Room in a listener's list, or no listener any more */
static bool pipe_has_room(const struct pipe_end *l)
{
	return READ_ONCE(l->nr_pending) < l->backlog || READ_ONCE(l->closed);
}

/* Wait for room in the listener's list, and enter it */
static int pipe_request(struct pipe_end *end, struct pipe_end *l, long *timeo)
{
	struct sock *sk = &end->qp->sk;
	int err;

	for (;;) {
		err = pipe_enqueue(end, l);
		if (err != -EAGAIN || !*timeo)
			break;
		release_sock(sk);
		*timeo = wait_event_interruptible_timeout(l->backlog_wait,
							  pipe_has_room(l),
							  *timeo);
		lock_sock(sk);
		if (*timeo < 0)
			return sock_intr_errno(sk->sk_sndtimeo);
		/* Another thread may connect it */
		if (end->listener != l->qp || qp_state(end->qp))
			return -EALREADY;
	}
	return err;
}

/*
 * Leave the listener's list, if still there, and the listener. Who takes the
 * pointer, this or pipe_accept(), gives the reference back.
 */
static void pipe_forget_listener(struct pipe_end *end)
{
	struct qp_sock *listener = xchg(&end->listener, NULL);
	struct pipe_end *l;

	if (!listener)
		return;
	l = pipe_end(listener);
	spin_lock(&l->lock);
	if (!list_empty(&end->pending_node)) {
		list_del_init(&end->pending_node);
		WRITE_ONCE(l->nr_pending, l->nr_pending - 1);
	}
	spin_unlock(&l->lock);
	wake_up_interruptible(&l->backlog_wait);
	sock_put(&listener->sk);
}

/* Find the listener and wait in its list */
static int pipe_start(struct pipe_end *end, struct sockaddr_storage *addr,
		      int len, long *timeo)
{
	struct qp_sock *listener;
	int err;

	pipe_forget_listener(end);
	qp_cred_put(&end->cred);
	err = qp_cred_get_current(&end->cred);
	if (err)
		return err;
	listener = pipe_name_find(sock_net(&end->qp->sk), addr, len);
	if (IS_ERR(listener))
		return PTR_ERR(listener);
	if (listener->type != end->qp->type) {
		sock_put(&listener->sk);
		return -EPROTOTYPE;
	}
	end->listener = listener;
	sock_hold(&listener->sk);
	err = pipe_request(end, pipe_end(listener), timeo);
	sock_put(&listener->sk);
	return err;
}

static bool pipe_connecting(const struct qp_sock *qp)
{
	return qp_state(qp) == QP_STATE_CONNECTING;
}

static int pipe_connect(struct qp_sock *qp, struct sockaddr_storage *addr,
			int len, int flags)
{
	wait_queue_head_t *wq = sk_sleep(&qp->sk);
	long timeo = sock_sndtimeo(&qp->sk, flags & O_NONBLOCK);
	int err;

	switch (qp_state(qp)) {
	case QP_STATE_RTS:
		/* The call that was interrupted succeeds as it is restarted */
		if (pipe_end(qp)->interrupted) {
			pipe_end(qp)->interrupted = false;
			return 0;
		}
		return -EISCONN;
	case QP_STATE_ERROR:
		return -ESHUTDOWN;
	case QP_STATE_LISTEN:
		return -EINVAL;
	case QP_STATE_CONNECTING:
		if (!timeo)
			return -EALREADY;
		break;
	case QP_STATE_IDLE:
		/* A refusal that nobody asked for is not this one's */
		sock_error(&qp->sk);
		err = pipe_start(pipe_end(qp), addr, len, &timeo);
		if (err)
			return err;
		if (!timeo) {
			pipe_end(qp)->interrupted = !(flags & O_NONBLOCK);
			return -EINPROGRESS;
		}
		break;
	}

	release_sock(&qp->sk);
	timeo = wait_event_interruptible_timeout(*wq, !pipe_connecting(qp),
						 timeo);
	lock_sock(&qp->sk);
	switch (qp_state(qp)) {
	case QP_STATE_CONNECTING:
		pipe_end(qp)->interrupted = true;
		return timeo < 0 ? sock_intr_errno(qp->sk.sk_sndtimeo) :
				   -EINPROGRESS;
	case QP_STATE_IDLE:
		return sock_error(&qp->sk) ?: -ECONNREFUSED;
	default:
		pipe_end(qp)->interrupted = false;
		return 0;
	}
}

static int pipe_accept_wait(struct qp_sock *qp, long timeo)
{
	struct pipe_end *l = pipe_end(qp);

	if (READ_ONCE(l->nr_pending))
		return 0;
	if (!timeo)
		return -EAGAIN;
	timeo = wait_event_interruptible_timeout(*sk_sleep(&qp->sk),
						 READ_ONCE(l->nr_pending),
						 timeo);
	if (timeo < 0)
		return sock_intr_errno(qp->sk.sk_rcvtimeo);
	return timeo ? 0 : -EAGAIN;
}

/* Make two ends peers. Under the listener's lock. */
static void pipe_link(struct pipe_end *l, struct pipe_end *a,
		      struct pipe_end *b)
{
	a->peer = b->qp;
	sock_hold(&b->qp->sk);
	b->peer = a->qp;
	sock_hold(&a->qp->sk);
	b->name = pipe_name_get(l->name);
	qp_cred_set_peer(a->qp, &l->cred);
	qp_cred_set_peer(b->qp, &a->cred);
	qp_set_state(b->qp, QP_STATE_RTS);
	qp_set_state(a->qp, QP_STATE_RTS);
}

static int pipe_accept(struct qp_sock *listener, struct qp_sock *qp)
{
	struct pipe_end *l = pipe_end(listener);
	struct pipe_end *end;

	spin_lock(&l->lock);
	end = list_first_entry_or_null(&l->pending, struct pipe_end,
				       pending_node);
	if (end) {
		list_del_init(&end->pending_node);
		WRITE_ONCE(l->nr_pending, l->nr_pending - 1);
		pipe_link(l, end, pipe_end(qp));
		qp_wake(end->qp, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	}
	spin_unlock(&l->lock);
	if (!end)
		return -EAGAIN;
	/* @end lives: @qp refers to it */
	pipe_forget_listener(end);
	return 0;
}

static int pipe_shutdown(struct qp_sock *qp, int how)
{
	struct pipe_end *end = pipe_end(qp);
	enum qp_state state = qp_state(qp);
	struct pipe_end *peer;

	if (state == QP_STATE_ERROR)
		return 0;
	if (state != QP_STATE_RTS)
		return -ENOTCONN;
	peer = pipe_end(end->peer);
	if (how == SHUTDOWN_MASK) {
		qp_hangup(qp);
		qp_hangup(peer->qp);
	} else {
		WRITE_ONCE(qp->sk.sk_shutdown, qp->sk.sk_shutdown | how);
		qp_wake(qp, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	}
	/* Our sends go first; then the peer learns that there are no more */
	pipe_run(end, peer, PIPE_NO_BUDGET);
	pipe_run(peer, end, PIPE_BUDGET);
	return 0;
}

static void pipe_release(struct qp_sock *qp)
{
	struct pipe_end *end = pipe_end(qp);
	struct qp_sock *peer;

	if (end->name)
		pipe_name_release(end->name, qp);
	pipe_close(end);
	pipe_forget_listener(end);
	peer = end->peer;
	if (!peer)
		return;
	pipe_leave(end, pipe_end(peer));
	mutex_lock(&end->run);
	end->peer = NULL;
	mutex_unlock(&end->run);
	/* The peer may have left work to us while we held @run */
	pipe_run(end, pipe_end(peer), PIPE_BUDGET);
	sock_put(&peer->sk);
}

static int pipe_getname(struct qp_sock *qp, struct sockaddr_storage *addr,
			bool peer)
{
	struct pipe_end *end = pipe_end(qp);
	enum qp_state state = qp_state(qp);

	if (peer) {
		if (state != QP_STATE_RTS && state != QP_STATE_ERROR)
			return -ENOTCONN;
		end = pipe_end(end->peer);
	}
	/* Pairs with pipe_name_bind() */
	return pipe_name_copy(smp_load_acquire(&end->name), addr);
}

static __poll_t pipe_poll(struct qp_sock *qp)
{
	struct pipe_end *end = pipe_end(qp);
	int shutdown = READ_ONCE(qp->sk.sk_shutdown);
	__poll_t events = 0;

	switch (qp_state(qp)) {
	case QP_STATE_LISTEN:
		return READ_ONCE(end->nr_pending) ? EPOLLIN | EPOLLRDNORM : 0;
	case QP_STATE_ERROR:
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLRDHUP;
	case QP_STATE_RTS:
		break;
	default:
		return 0;
	}
	if (pipe_message_waits(pipe_end(end->peer)))
		events |= EPOLLIN | EPOLLRDNORM;
	if ((shutdown & RCV_SHUTDOWN) || READ_ONCE(end->eof))
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (!(shutdown & SEND_SHUTDOWN) && qp_send_room(qp))
		events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return events;
}

static struct qp_proto pipe_proto = {
	.name		= "pipe",
	.id		= QP_PROTO_PIPE,
	.domains	= BIT_ULL(AF_UNIX),
	.types		= BIT(QP_RC),
	.opcodes	= BIT(QP_OP_LAST) - 1,
	.owner		= THIS_MODULE,
	.init		= pipe_init,
	.destroy	= pipe_destroy,
	.release	= pipe_release,
	.bind		= pipe_name_bind,
	.listen		= pipe_listen,
	.connect	= pipe_connect,
	.accept_wait	= pipe_accept_wait,
	.accept		= pipe_accept,
	.shutdown	= pipe_shutdown,
	.getname	= pipe_getname,
	.poll		= pipe_poll,
	.post_send	= pipe_post_send,
	.kick		= pipe_kick,
	.recvmsg	= pipe_recvmsg,
};

struct workqueue_struct *pipe_wq;

static int __init pipe_module_init(void)
{
	int err;

	pipe_wq = alloc_workqueue("qp_pipe", WQ_UNBOUND, 0);
	if (!pipe_wq)
		return -ENOMEM;
	err = qp_proto_register(&pipe_proto);
	if (err)
		destroy_workqueue(pipe_wq);
	return err;
}

static void __exit pipe_module_exit(void)
{
	qp_proto_unregister(&pipe_proto);
	/* Waits for work that gave the last reference to a queue pair back */
	destroy_workqueue(pipe_wq);
}

module_init(pipe_module_init);
module_exit(pipe_module_exit);
MODULE_DESCRIPTION("Queue pairs between processes");
MODULE_LICENSE("GPL");
MODULE_ALIAS_QP_PROTO(1); /* AF_UNIX */
