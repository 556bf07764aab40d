// SPDX-License-Identifier: GPL-2.0
/*
 * Connections: states, waiting and polling, which protocols have in common
 */
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <trace/events/qp.h>

#include "qp_impl.h"
#include "stats.h"

static bool qp_connecting(const struct qp_sock *qp)
{
	return qp_state(qp) == QP_STATE_CONNECTING;
}

/* Wait until the connection stands, has failed, or up to @timeo jiffies */
static int qp_conn_settle(struct qp_sock *qp, long timeo)
{
	struct sock *sk = &qp->sk;

	release_sock(sk);
	timeo = wait_event_interruptible_timeout(*sk_sleep(sk),
						 !qp_connecting(qp), timeo);
	lock_sock(sk);
	qp->interrupted = false;
	switch (qp_state(qp)) {
	case QP_STATE_CONNECTING:
		qp->interrupted = true;
		return timeo < 0 ? sock_intr_errno(sk->sk_sndtimeo) :
				   -EINPROGRESS;
	case QP_STATE_IDLE:
		return sock_error(sk) ?: -ECONNREFUSED;
	default:
		return 0;
	}
}

/* &qp_proto.connect, counted and traced */
int qp_conn_begin(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		  long *timeo)
{
	int err = qp->proto->connect(qp, addr, len, timeo);

	trace_qp_connect(qp, err);
	if (!err)
		qp_count(qp, QP_MIB_ACTIVEOPENS);
	return err;
}

/* &qp_proto.accept, likewise */
int qp_conn_accept(struct qp_sock *l, struct qp_sock *qp)
{
	int err = l->proto->accept(l, qp);

	trace_qp_accept(qp, err);
	if (!err)
		qp_count(qp, QP_MIB_PASSIVEOPENS);
	return err;
}

/**
 * qp_conn_connect() - connect a queue pair that is not one for datagrams
 * @qp: the queue pair; the socket lock is held, and let go of for waiting
 * @addr: the peer's; its family is checked
 * @len: its length, bytes
 * @flags: O_NONBLOCK
 *
 * Who waits and is interrupted leaves the connection to be made; the call is
 * to be restarted then, and succeeds if the connection stands meanwhile.
 *
 * Context: process, may sleep.
 * Return: 0; -EINPROGRESS, -EALREADY, -EISCONN, -ESHUTDOWN, -EINVAL (it
 * listens), -ERESTARTSYS, -EINTR; or what the protocol says, in the call or by
 * sk_err.
 */
int qp_conn_connect(struct qp_sock *qp, struct sockaddr_storage *addr, int len,
		    int flags)
{
	long timeo = sock_sndtimeo(&qp->sk, flags & O_NONBLOCK);
	int err;

	switch (qp_state(qp)) {
	case QP_STATE_RTS:
		/* The call that was interrupted succeeds as it is restarted */
		err = qp->interrupted ? 0 : -EISCONN;
		qp->interrupted = false;
		return err;
	case QP_STATE_ERROR:
		return -ESHUTDOWN;
	case QP_STATE_LISTEN:
		return -EINVAL;
	case QP_STATE_CONNECTING:
		if (!timeo)
			return -EALREADY;
		break;
	case QP_STATE_IDLE:
		err = qp_conn_begin(qp, addr, len, &timeo);
		if (err == -ERESTARTSYS)
			return sock_intr_errno(qp->sk.sk_sndtimeo);
		if (err)
			return err;
		if (!timeo) {
			qp->interrupted = !(flags & O_NONBLOCK);
			return -EINPROGRESS;
		}
		break;
	}
	return qp_conn_settle(qp, timeo);
}

static bool qp_conn_wait_over(const struct qp_sock *l)
{
	return qp_conn_waits(l) || qp_state(l) != QP_STATE_LISTEN;
}

/**
 * qp_conn_wait() - wait for somebody to connect
 * @l: a listener
 * @timeo: for how long, jiffies
 *
 * Context: process, may sleep.
 * Return: 0; -EAGAIN, -ERESTARTSYS, -EINTR; if it was told to listen no more why, or
 * -EINVAL.
 */
int qp_conn_wait(struct qp_sock *l, long timeo)
{
	if (qp_conn_waits(l))
		return 0;
	if (!timeo && qp_state(l) == QP_STATE_LISTEN)
		return -EAGAIN;
	timeo = wait_event_interruptible_timeout(*sk_sleep(&l->sk),
						 qp_conn_wait_over(l), timeo);
	if (timeo < 0)
		return sock_intr_errno(l->sk.sk_rcvtimeo);
	if (qp_state(l) != QP_STATE_LISTEN)
		return sock_error(&l->sk) ?: -EINVAL;
	return timeo ? 0 : -EAGAIN;
}

static __poll_t qp_conn_poll_rts(struct qp_sock *qp)
{
	int shutdown = READ_ONCE(qp->sk.sk_shutdown);
	__poll_t events = qp->proto->poll(qp);

	if (shutdown & RCV_SHUTDOWN)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (!(shutdown & SEND_SHUTDOWN) && qp_send_room(qp))
		events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return events;
}

/**
 * qp_conn_poll() - what poll(2) says of a connection, or of a listener
 * @qp: the queue pair
 *
 * Context: process, may not sleep.
 * Return: EPOLL*.
 */
__poll_t qp_conn_poll(struct qp_sock *qp)
{
	switch (qp_state(qp)) {
	case QP_STATE_LISTEN:
		return qp_conn_waits(qp) ? EPOLLIN | EPOLLRDNORM : 0;
	case QP_STATE_ERROR:
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLRDHUP;
	case QP_STATE_RTS:
		return qp_conn_poll_rts(qp);
	default:
		/* sendmsg() of a datagram to an address sees to the rest */
		return qp->type == QP_UD ?
		       EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND : 0;
	}
}
