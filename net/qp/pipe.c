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

static int pipe_listen(struct qp_sock *qp)
{
	struct pipe_end *l = pipe_end(qp);
	int err;

	err = qp_cred_get_current(&l->cred);
	if (err)
		return err;
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
	WRITE_ONCE(l->qp->sk.sk_ack_backlog, 0);
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
	} else if (!qp_backlog_room(l->qp)) {
		err = -EAGAIN;
	} else {
		list_add_tail(&end->pending_node, &l->pending);
		sk_acceptq_added(&l->qp->sk);
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
	return qp_backlog_room(l->qp) || READ_ONCE(l->closed);
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
		sk_acceptq_removed(&l->qp->sk);
	}
	spin_unlock(&l->lock);
	wake_up_interruptible(&l->backlog_wait);
	sock_put(&listener->sk);
}

/* Find the listener and wait in its list */
static int pipe_connect(struct qp_sock *qp, struct sockaddr_storage *addr,
			int len, long *timeo)
{
	struct pipe_end *end = pipe_end(qp);
	struct qp_sock *listener;
	int err;

	/* A refusal that nobody asked for is not this one's */
	sock_error(&qp->sk);
	pipe_forget_listener(end);
	qp_cred_put(&end->cred);
	err = qp_cred_get_current(&end->cred);
	if (err)
		return err;
	listener = pipe_name_find(sock_net(&qp->sk), addr, len);
	if (IS_ERR(listener))
		return PTR_ERR(listener);
	if (listener->type != qp->type) {
		sock_put(&listener->sk);
		return -EPROTOTYPE;
	}
	end->listener = listener;
	sock_hold(&listener->sk);
	err = pipe_request(end, pipe_end(listener), timeo);
	sock_put(&listener->sk);
	return err;
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
		sk_acceptq_removed(&l->qp->sk);
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
	struct pipe_end *end = pipe_end(qp), *peer = pipe_end(end->peer);

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

/* Listen no more. Under the socket lock. */
static void pipe_abort_listener(struct qp_sock *qp)
{
	qp_hangup(qp);
	pipe_close(pipe_end(qp));
}

/* Connect no more. False if the connection was made meanwhile. */
static bool pipe_abort_connecting(struct qp_sock *qp)
{
	pipe_forget_listener(pipe_end(qp));
	if (qp_state(qp) == QP_STATE_RTS)
		return false;
	qp_set_state(qp, QP_STATE_IDLE);
	qp_wake(qp, EPOLLIN | EPOLLOUT | EPOLLERR);
	return true;
}

/* The connection is over: for the peer it is as if this end had been closed */
static void pipe_abort(struct qp_sock *qp)
{
	enum qp_state state = qp_state(qp);
	struct pipe_end *end, *peer;

	if (state == QP_STATE_LISTEN) {
		pipe_abort_listener(qp);
		return;
	}
	if (state == QP_STATE_CONNECTING && pipe_abort_connecting(qp))
		return;
	end = pipe_end(qp);
	peer = pipe_end(end->peer);
	qp_hangup(qp);
	qp_hangup(peer->qp);
	pipe_run(end, peer, PIPE_BUDGET);
	pipe_run(peer, end, PIPE_BUDGET);
}

static int pipe_getname(struct qp_sock *qp, struct sockaddr_storage *addr,
			bool peer)
{
	struct pipe_end *end = pipe_end(qp);

	if (peer)
		end = pipe_end(end->peer);
	/* Pairs with pipe_name_bind() */
	return pipe_name_copy(smp_load_acquire(&end->name), addr);
}

static __poll_t pipe_poll(struct qp_sock *qp)
{
	struct pipe_end *end = pipe_end(qp);
	__poll_t events = 0;

	if (pipe_message_waits(pipe_end(end->peer)))
		events |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(end->eof))
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
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
	.accept		= pipe_accept,
	.shutdown	= pipe_shutdown,
	.getname	= pipe_getname,
	.poll		= pipe_poll,
	.post_send	= pipe_post_send,
	.kick		= pipe_kick,
	.recvmsg	= pipe_recvmsg,
	.abort		= pipe_abort,
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
