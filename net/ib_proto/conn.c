// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: the life of connections, SOCK_SEQPACKET and SOCK_STREAM
 *
 * A socket with a connection has a queue pair of a reliable connection. What
 * happens to that comes up in contexts that may not sleep, or holds locks; so it is
 * noted, and the work of the socket sees to it. A listener's work accepts whoever
 * comes, so that a connection stands before accept() is called.
 *
 * One that is closed stays until what it sent has arrived. The work holds a
 * reference each time that it has something to do; besides there is that of the
 * socket, which a connection that is not yet accepted has of its listener.
 */
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sockios.h>

#include <asm/ioctls.h>
#include <net/ip.h>
#include <trace/events/ib_proto.h>

#include "ib_proto.h"
#include "stats.h"

/* How often one that is closed looks whether that is done; it is told of it, too */
#define AFIB_ORPHAN_STEP	(HZ / 10)

static int afib_conn_abort(struct sock *sk, int err);
static void afib_conn_keepalive(struct sock *sk, int on);

struct proto afib_conn_proto = {
	.name		= "IB-CONN",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct afib_conn),
	.diag_destroy	= afib_conn_abort,
	.keepalive	= afib_conn_keepalive,
};

/**
 * afib_conn_todo() - have something done by the work of a connection
 * @c: the connection
 * @what: AFIB_TODO_*
 * @delay: when, jiffies; maybe earlier
 *
 * Context: any.
 */
void afib_conn_todo(struct afib_conn *c, int what, unsigned long delay)
{
	bool pending;

	set_bit(what, &c->todo);
	sock_hold(&c->is.sk);
	pending = !queue_delayed_work(afib_wq, &c->work, delay);
	/* Something else may have more time */
	if (pending && (!delay || time_before(jiffies + delay,
					      READ_ONCE(c->work.timer.expires))))
		pending = mod_delayed_work(afib_wq, &c->work, delay);
	if (pending)
		sock_put(&c->is.sk);
}

/* The queue pair, referenced, or NULL. Any context. */
struct qp_sock *afib_conn_qp_get(struct afib_conn *c)
{
	struct qp_sock *qp;

	spin_lock_bh(&c->lock);
	qp = c->qp;
	if (qp)
		sock_hold(&qp->sk);
	spin_unlock_bh(&c->lock);
	return qp;
}

u32 afib_conn_qpn(struct afib_conn *c)
{
	u32 qpn;

	spin_lock_bh(&c->lock);
	qpn = c->qp ? READ_ONCE(c->qp->port_qpn) : 0;
	spin_unlock_bh(&c->lock);
	return qpn;
}

/*
 * Queue pairs
 */

static void afib_conn_cb_changed(struct qp_sock *qp)
{
	struct afib_conn *c = qp->user_priv;

	afib_conn_todo(c, c->is.sk.sk_state == TCP_LISTEN ? AFIB_TODO_ACCEPT :
							    AFIB_TODO_CHANGED, 0);
}

static void afib_conn_cb_gone(struct qp_sock *qp)
{
	afib_conn_todo(qp->user_priv, AFIB_TODO_GONE, 0);
}

/* Those who wait are those that net/qp has and those that it has handed over */
static bool afib_conn_cb_wants(const struct qp_sock *qp, __be64 heard)
{
	const struct afib_conn *l = qp->user_priv;
	const struct sock *sk = &l->is.sk;

	if (afib_hello_valid(sk, heard) &&
	    READ_ONCE(sk->sk_ack_backlog) + READ_ONCE(qp->sk.sk_ack_backlog) <
	    READ_ONCE(sk->sk_max_ack_backlog))
		return true;
	afib_count(&l->is, AFIB_MIB_LISTENDROPS);
	return false;
}

static const struct qp_user afib_conn_user = {
	.recv		= afib_stream_recv,
	.gone		= afib_conn_cb_gone,
	.changed	= afib_conn_cb_changed,
	.wants		= afib_conn_cb_wants,
};

static void afib_conn_kern(struct afib_conn *c, struct qp_kern *kern)
{
	*kern = (struct qp_kern){
		.domain		= AF_IB,
		.type		= QP_RC,
		.ifindex	= c->is.sk.sk_bound_dev_if,
		.connect_time	= afib_time(&c->is.sk, connect_time),
		.reuse		= c->is.sk.sk_reuse,
		.tclass		= c->is.opts.tclass,
		.hop_limit	= c->is.opts.hop_limit,
		.sl		= c->is.opts.sl,
		.user		= &afib_conn_user,
		.priv		= c,
	};
	afib_stream_kern(c, kern);
}

/* Count the buffers that a connection is about to have; 0 or -ENOBUFS */
static int afib_conn_charge(struct afib_conn *c, const struct qp_kern *kern)
{
	u32 bytes = kern->bufs * kern->buf_size;

	if (bytes <= c->charged)
		return 0;
	if (!afib_mem_charge(&c->is.sk, bytes - c->charged))
		return -ENOBUFS;
	c->charged = bytes;
	return 0;
}

/* A queue pair at an address. Under the socket lock. */
static struct qp_sock *afib_conn_make(struct afib_conn *c, const struct qp_kern *kern,
				      const struct sockaddr_ib *local)
{
	struct sockaddr_storage addr = {};

	memcpy(&addr, local, sizeof(*local));
	return qp_kern_create(sock_net(&c->is.sk), kern,
			      local->sib_family ? &addr : NULL, sizeof(*local));
}

/* The queue pair that listens, or is to be connected. Under the socket lock. */
static struct qp_sock *afib_conn_open(struct afib_conn *c, bool listens)
{
	struct sockaddr_ib any = {
		.sib_family	= listens ? AF_IB : 0,
		.sib_pkey	= htons(c->is.pkey),
	};
	struct qp_sock *qp = c->held;
	struct qp_kern kern;
	int err;

	afib_conn_kern(c, &kern);
	/* A listener receives nothing */
	err = listens ? 0 : afib_conn_charge(c, &kern);
	if (err)
		return ERR_PTR(err);
	if (!qp)
		return afib_conn_make(c, &kern, c->is.bound ? &c->is.local : &any);
	c->held = NULL;
	qp_kern_update(qp, &kern);
	return qp;
}

/* Have a queue pair, unless it is over already */
static bool afib_conn_set(struct afib_conn *c, struct qp_sock *qp)
{
	bool set;

	spin_lock_bh(&c->lock);
	set = !c->over;
	if (set)
		c->qp = qp;
	spin_unlock_bh(&c->lock);
	return set;
}

/* Have no queue pair any more. Returns why the connection is over, or 0. */
static int afib_conn_unset(struct afib_conn *c)
{
	struct qp_sock *qp;
	int err;

	spin_lock_bh(&c->lock);
	qp = c->qp;
	c->qp = NULL;
	spin_unlock_bh(&c->lock);
	if (!qp)
		return 0;
	sock_hold(&qp->sk);
	if (c->abort) {
		/* What is under way is not to arrive */
		qp->sk.sk_lingertime = 0;
		sock_set_flag(&qp->sk, SOCK_LINGER);
	}
	qp_kern_release(qp);
	err = -qp->sk.sk_err;
	sock_put(&qp->sk);
	return err;
}

/* What was not sent will not be. Somebody may just be about to add to it. */
static void afib_conn_purge(struct afib_conn *c)
{
	struct sk_buff_head queue;

	__skb_queue_head_init(&queue);
	spin_lock_bh(&c->lock);
	skb_queue_splice_init(&c->is.sk.sk_write_queue, &queue);
	spin_unlock_bh(&c->lock);
	__skb_queue_purge(&queue);
}

/* Change the state, and count what that means */
static void afib_conn_state(struct afib_conn *c, int state)
{
	int old = c->is.sk.sk_state;

	WRITE_ONCE(c->is.sk.sk_state, state);
	if (old == state)
		return;
	trace_afib_state(&c->is.sk, old, state);
	if (state == TCP_ESTABLISHED)
		afib_count(&c->is, AFIB_MIB_CURRESTAB);
	if (state == TCP_ESTABLISHED && c->listener)
		afib_count(&c->is, AFIB_MIB_PASSIVEOPENS);
	if (old == TCP_ESTABLISHED)
		afib_count_some(&c->is, AFIB_MIB_CURRESTAB, -1);
	if (old == TCP_ESTABLISHED && (c->is.sk.sk_err || c->abort))
		afib_count(&c->is, AFIB_MIB_ESTABRESETS);
	if (old == TCP_SYN_SENT && state == TCP_CLOSE)
		afib_count(&c->is, AFIB_MIB_ATTEMPTFAILS);
}

/*
 * The work
 */

static void afib_conn_names(struct afib_conn *c, struct qp_sock *qp)
{
	struct sockaddr_storage local, peer;

	qp_kern_name(qp, &local, false);
	qp_kern_name(qp, &peer, true);
	afib_set_names(&c->is, (struct sockaddr_ib *)&local,
		       (struct sockaddr_ib *)&peer);
}

/* It could not be made */
static void afib_conn_fail(struct afib_conn *c, int err)
{
	struct sock *sk = &c->is.sk;

	afib_conn_unset(c);
	sk->sk_err = -err;
	afib_conn_state(c, TCP_CLOSE);
	sk->sk_state_change(sk);
	sk_error_report(sk);
}

/* Nobody has it: end it */
static void afib_conn_drop(struct afib_conn *c)
{
	c->abort = true;
	sock_orphan(&c->is.sk);
	afib_conn_todo(c, AFIB_TODO_END, 0);
}

/* One of a listener's is made: accept() may have it */
static void afib_conn_ready(struct afib_conn *c)
{
	struct afib_conn *l = c->listener;

	spin_lock_bh(&l->lock);
	if (!list_empty(&c->node))
		list_move_tail(&c->node, &l->ready);
	spin_unlock_bh(&l->lock);
	l->is.sk.sk_data_ready(&l->is.sk);
}

/* Take it out of its listener's lists. True if it was in one. */
static bool afib_conn_unlink(struct afib_conn *c, struct afib_conn *l)
{
	bool linked;

	spin_lock_bh(&l->lock);
	linked = !list_empty(&c->node);
	if (linked) {
		list_del_init(&c->node);
		sk_acceptq_removed(&l->is.sk);
	}
	spin_unlock_bh(&l->lock);
	return linked;
}

static void afib_conn_made(struct afib_conn *c, struct qp_sock *qp)
{
	struct sock *sk = &c->is.sk;

	afib_stream_start(c, qp->heard);
	afib_conn_names(c, qp);
	afib_conn_state(c, TCP_ESTABLISHED);
	afib_conn_keepalive(sk, sock_flag(sk, SOCK_KEEPOPEN));
	if (c->listener)
		afib_conn_ready(c);
	sk->sk_state_change(sk);
	afib_stream_push(c);
}

static int afib_conn_result(struct afib_conn *c, struct qp_sock *qp)
{
	switch (qp_state(qp)) {
	case QP_STATE_CONNECTING:
		return -EINPROGRESS;
	case QP_STATE_IDLE:
		return sock_error(&qp->sk) ?: -ECONNABORTED;
	default:
		/* Or it was made, and is over already */
		return afib_hello_valid(&c->is.sk, qp->heard) ? 0 : -ECONNREFUSED;
	}
}

static void afib_conn_changed(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;
	struct afib_conn *l = NULL;
	struct qp_sock *qp;
	int err;

	lock_sock(sk);
	/* One that is being accepted may not have it yet; it comes here again then */
	qp = afib_conn_qp_get(c);
	if (qp && sk->sk_state == TCP_SYN_SENT) {
		err = afib_conn_result(c, qp);
		if (!err) {
			afib_conn_made(c, qp);
		} else if (err != -EINPROGRESS) {
			afib_conn_fail(c, err);
			l = c->listener;
		}
	}
	release_sock(sk);
	if (qp)
		sock_put(&qp->sk);
	if (l && afib_conn_unlink(c, l))
		afib_conn_drop(c);
}

/*
 * The connection is over: because of @why, or if that is 0 of what the queue pair
 * says. Under the socket lock.
 */
static void afib_conn_over(struct afib_conn *c, int why)
{
	struct sock *sk = &c->is.sk;
	int err;

	spin_lock_bh(&c->lock);
	c->over = true;
	spin_unlock_bh(&c->lock);
	err = afib_conn_unset(c);
	spin_lock_bh(&c->lock);
	/* A program of librdmacm has no other way to say that it is done */
	if (why)
		WRITE_ONCE(sk->sk_err, -why);
	else if (!c->fin && (err || !c->plain))
		WRITE_ONCE(sk->sk_err, -err ?: ECONNRESET);
	WRITE_ONCE(sk->sk_shutdown, SHUTDOWN_MASK);
	afib_conn_state(c, TCP_CLOSE);
	spin_unlock_bh(&c->lock);
	afib_conn_purge(c);
	sk->sk_state_change(sk);
	if (sk->sk_err)
		sk_error_report(sk);
}

/* Nothing will come any more, and nothing can be sent */
static void afib_conn_gone(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;

	/* It may be that it was made, and that this was not yet said */
	afib_conn_changed(c);
	lock_sock(sk);
	if (sk->sk_state == TCP_ESTABLISHED)
		afib_conn_over(c, 0);
	release_sock(sk);
}

/*
 * Accepting whoever comes
 */

static struct afib_conn *afib_conn_child(struct afib_conn *l)
{
	const struct sock *lsk = &l->is.sk;
	struct afib_conn *c;
	struct sock *sk;

	sk = sk_alloc(sock_net(lsk), PF_IB, GFP_KERNEL, &afib_conn_proto, 0);
	if (!sk)
		return NULL;
	sock_init_data(NULL, sk);
	sk->sk_type = lsk->sk_type;
	sk->sk_destruct = lsk->sk_destruct;
	WRITE_ONCE(sk->sk_state, TCP_SYN_SENT);
	sk->sk_bound_dev_if = lsk->sk_bound_dev_if;
	sk->sk_priority = READ_ONCE(lsk->sk_priority);
	sk->sk_mark = READ_ONCE(lsk->sk_mark);
	sk->sk_sndbuf = READ_ONCE(lsk->sk_sndbuf);
	sk->sk_rcvbuf = READ_ONCE(lsk->sk_rcvbuf);
	sk->sk_sndtimeo = READ_ONCE(lsk->sk_sndtimeo);
	sk->sk_rcvtimeo = READ_ONCE(lsk->sk_rcvtimeo);
	sock_valbool_flag(sk, SOCK_KEEPOPEN, sock_flag(lsk, SOCK_KEEPOPEN));
	c = afib_conn(sk);
	spin_lock_init(&c->is.lock);
	afib_conn_init(c);
	if (afib_net_add(&c->is)) {
		sock_put(sk);
		return NULL;
	}
	c->keepidle = READ_ONCE(l->keepidle);
	sk->sk_reuse = lsk->sk_reuse;
	WRITE_ONCE(c->listener, l);
	sock_hold(&l->is.sk);
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, 1);
	return c;
}

/*
 * It is the listener's, unless that is closed just now. Before it has its queue
 * pair, by which it may be found that it is made.
 */
static void afib_conn_adopt(struct afib_conn *l, struct afib_conn *c,
			    struct qp_sock *qp)
{
	bool listens;

	sock_hold(&c->is.sk);
	spin_lock_bh(&l->lock);
	listens = l->is.sk.sk_state == TCP_LISTEN;
	if (listens) {
		list_add_tail(&c->node, &l->children);
		sk_acceptq_added(&l->is.sk);
	}
	spin_unlock_bh(&l->lock);
	/* The listener may be closed, and with it this one ended, meanwhile */
	if (!afib_conn_set(c, qp))
		qp_kern_release(qp);
	if (listens)
		afib_conn_todo(c, AFIB_TODO_CHANGED, 0);
	else
		afib_conn_drop(c);
	sock_put(&c->is.sk);
}

/* Begin to accept somebody. False if there is nobody. */
static bool afib_conn_take(struct afib_conn *l, struct qp_sock *lqp)
{
	struct afib_conn *c = afib_conn_child(l);
	struct qp_kern kern;
	struct qp_sock *qp;
	int err;

	if (!c) {
		afib_conn_todo(l, AFIB_TODO_ACCEPT, HZ / 10);
		return false;
	}
	afib_conn_kern(c, &kern);
	err = afib_conn_charge(c, &kern);
	if (err) {
		afib_conn_drop(c);
		afib_conn_todo(l, AFIB_TODO_ACCEPT, HZ / 10);
		return false;
	}
	qp = qp_kern_accept(lqp, &kern);
	if (IS_ERR(qp)) {
		afib_conn_drop(c);
		return PTR_ERR(qp) != -EAGAIN;
	}
	afib_conn_adopt(l, c, qp);
	return true;
}

static void afib_conn_take_all(struct afib_conn *l)
{
	struct qp_sock *qp = afib_conn_qp_get(l);

	if (!qp)
		return;
	while (READ_ONCE(l->is.sk.sk_state) == TCP_LISTEN &&
	       READ_ONCE(qp->sk.sk_ack_backlog))
		if (!afib_conn_take(l, qp))
			break;
	/* Its last device may have gone */
	if (qp->sk.sk_err)
		afib_sock_error(&l->is, -xchg(&qp->sk.sk_err, 0));
	sock_put(&qp->sk);
}

/* Nobody is accepted any more. Process context, may sleep. */
static void afib_conn_unlisten(struct afib_conn *l)
{
	struct afib_conn *c;

	/* Nobody is adopted any more once this has the lock */
	spin_lock_bh(&l->lock);
	WRITE_ONCE(l->is.sk.sk_state, TCP_CLOSE);
	list_splice_init(&l->ready, &l->children);
	while ((c = list_first_entry_or_null(&l->children, struct afib_conn, node))) {
		list_del_init(&c->node);
		sk_acceptq_removed(&l->is.sk);
		spin_unlock_bh(&l->lock);
		afib_conn_drop(c);
		spin_lock_bh(&l->lock);
	}
	spin_unlock_bh(&l->lock);
	afib_conn_unset(l);
}

/*
 * End what there is to end, with an error. One that waits to be accepted is nobody's
 * then. Under the socket lock. Returns 0, or -ENOENT.
 */
static int afib_conn_abort_locked(struct afib_conn *c, int why)
{
	struct sock *sk = &c->is.sk;

	switch (sk->sk_state) {
	case TCP_LISTEN:
		afib_conn_unlisten(c);
		sk->sk_state_change(sk);
		afib_sock_error(&c->is, why);
		return 0;
	case TCP_SYN_SENT:
		afib_conn_fail(c, why);
		return 0;
	case TCP_ESTABLISHED:
		/* What is under way is not to arrive, and not to be read */
		c->abort = true;
		afib_conn_over(c, why);
		afib_stream_discard(c);
		return 0;
	default:
		return -ENOENT;
	}
}

/* &proto.diag_destroy */
static int afib_conn_abort(struct sock *sk, int err)
{
	struct afib_conn *c = afib_conn(sk), *l;
	int ret;

	lock_sock(sk);
	l = c->listener;
	if (l)
		sock_hold(&l->is.sk);
	ret = afib_conn_abort_locked(c, -err);
	release_sock(sk);
	/* It may be closed already, or not yet accepted */
	if (!ret && sock_flag(sk, SOCK_DEAD))
		afib_conn_todo(c, AFIB_TODO_END, 0);
	if (l && !ret && afib_conn_unlink(c, l))
		afib_conn_drop(c);
	if (l)
		sock_put(&l->is.sk);
	return ret;
}

/* It is closed: end it for good as soon as what it sent has arrived */
static void afib_conn_end(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;

	if (c->ended)
		return;
	if (!c->abort && !c->over && sk_wmem_alloc_get(sk) &&
	    time_before(jiffies, c->deadline)) {
		afib_conn_todo(c, AFIB_TODO_END, AFIB_ORPHAN_STEP);
		return;
	}
	c->ended = true;
	sk_stop_timer(sk, &sk->sk_timer);
	spin_lock_bh(&c->lock);
	c->over = true;
	spin_unlock_bh(&c->lock);
	afib_conn_unset(c);
	if (c->held)
		qp_kern_release(c->held);
	c->held = NULL;
	afib_conn_state(c, TCP_CLOSE);
	afib_conn_purge(c);
	afib_net_del(&c->is);
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, -1);
	if (c->listener)
		sock_put(&c->listener->is.sk);
	sock_put(sk);
}

static void afib_conn_work(struct work_struct *work)
{
	struct afib_conn *c = container_of(to_delayed_work(work),
					   struct afib_conn, work);

	if (test_and_clear_bit(AFIB_TODO_CHANGED, &c->todo))
		afib_conn_changed(c);
	if (test_and_clear_bit(AFIB_TODO_ACCEPT, &c->todo))
		afib_conn_take_all(c);
	if (test_and_clear_bit(AFIB_TODO_GROW, &c->todo))
		afib_stream_grow(c);
	if (test_and_clear_bit(AFIB_TODO_SEND, &c->todo)) {
		afib_stream_spend(c);
		afib_stream_push(c);
	}
	if (test_and_clear_bit(AFIB_TODO_PROBE, &c->todo))
		afib_stream_probe(c);
	if (test_and_clear_bit(AFIB_TODO_KEEP, &c->todo))
		afib_stream_keep(c);
	if (test_and_clear_bit(AFIB_TODO_GONE, &c->todo))
		afib_conn_gone(c);
	if (test_and_clear_bit(AFIB_TODO_END, &c->todo))
		afib_conn_end(c);
	sock_put(&c->is.sk);
}

static void afib_conn_timer(struct timer_list *timer)
{
	struct sock *sk = timer_container_of(sk, timer, sk_timer);

	afib_conn_todo(afib_conn(sk), AFIB_TODO_KEEP, 0);
	sock_put(sk);
}

/* SO_KEEPALIVE was set, or set to no. Under the socket lock. */
static void afib_conn_keepalive(struct sock *sk, int on)
{
	if (on && sk->sk_state == TCP_ESTABLISHED)
		afib_conn_todo(afib_conn(sk), AFIB_TODO_KEEP, 0);
	else if (!on)
		sk_stop_timer(sk, &sk->sk_timer);
}

/* IB_KEEPIDLE. Under the socket lock. */
void afib_conn_set_keepidle(struct afib_conn *c, unsigned int seconds)
{
	struct sock *sk = &c->is.sk;

	WRITE_ONCE(c->keepidle, seconds * HZ);
	afib_conn_keepalive(sk, sock_flag(sk, SOCK_KEEPOPEN));
}

void afib_conn_init(struct afib_conn *c)
{
	c->is.opts = afib_opts_default;
	timer_setup(&c->is.sk.sk_timer, afib_conn_timer, 0);
	INIT_DELAYED_WORK(&c->work, afib_conn_work);
	mutex_init(&c->sending);
	spin_lock_init(&c->lock);
	skb_queue_head_init(&c->spent);
	INIT_LIST_HEAD(&c->node);
	INIT_LIST_HEAD(&c->children);
	INIT_LIST_HEAD(&c->ready);
}

/* Nobody has it any more. Any context. */
void afib_conn_destruct(struct afib_conn *c)
{
	skb_queue_purge(&c->spent);
	afib_mem_uncharge(&c->is.sk, c->charged + c->grown * AFIB_FRAG_BYTES);
}

/*
 * Calls
 */

/* Some ports of the port space are for the privileged, as they are with IP */
static bool afib_conn_allowed(struct net *net, u64 sid)
{
	u16 port = sid & 0xffff;

	return !port || !inet_port_requires_bind_service(net, port) ||
	       ns_capable(net->user_ns, CAP_NET_BIND_SERVICE);
}

static int afib_conn_bind_locked(struct afib_conn *c, const struct sockaddr_ib *addr)
{
	struct sockaddr_storage name;
	struct sockaddr_ib own = *addr;
	struct qp_kern kern;
	struct qp_sock *qp;
	int pkey;

	if (c->is.bound || c->qp || c->is.sk.sk_state != TCP_CLOSE)
		return -EINVAL;
	if (afib_addr_multicast(&addr->sib_addr) || afib_addr_qpn(afib_addr_sid(addr)))
		return -EADDRNOTAVAIL;
	if (!afib_conn_allowed(sock_net(&c->is.sk), afib_addr_sid(addr)))
		return -EACCES;
	pkey = afib_addr_pkey(&c->is, addr);
	if (pkey < 0)
		return pkey;
	own.sib_pkey = htons(pkey);
	afib_conn_kern(c, &kern);
	qp = afib_conn_make(c, &kern, &own);
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	c->held = qp;
	qp_kern_name(qp, &name, false);
	afib_set_local(&c->is, (struct sockaddr_ib *)&name);
	return 0;
}

static int afib_conn_bind(struct socket *sock, struct sockaddr_unsized *uaddr,
			  int len)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr;
	int err;

	err = afib_addr_check(sk, uaddr, len, &addr);
	if (err)
		return err;
	lock_sock(sk);
	err = afib_conn_bind_locked(afib_conn(sk), &addr);
	release_sock(sk);
	return err;
}

static int afib_conn_listen_locked(struct afib_conn *c, int backlog)
{
	struct sock *sk = &c->is.sk;
	struct sockaddr_storage addr;
	struct qp_sock *qp;
	int err;

	WRITE_ONCE(sk->sk_max_ack_backlog, max(backlog, 1));
	if (sk->sk_state == TCP_LISTEN)
		return 0;
	if (sk->sk_state != TCP_CLOSE || c->over)
		return -EINVAL;
	qp = afib_conn_open(c, true);
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	afib_conn_set(c, qp);
	sk->sk_ack_backlog = 0;
	WRITE_ONCE(sk->sk_state, TCP_LISTEN);
	err = qp_kern_listen(qp, INT_MAX);
	if (err) {
		WRITE_ONCE(sk->sk_state, TCP_CLOSE);
		afib_conn_unset(c);
		return err;
	}
	qp_kern_name(qp, &addr, false);
	afib_set_local(&c->is, (struct sockaddr_ib *)&addr);
	return 0;
}

static int afib_conn_listen(struct socket *sock, int backlog)
{
	struct sock *sk = sock->sk;
	int err;

	lock_sock(sk);
	err = afib_conn_listen_locked(afib_conn(sk), backlog);
	release_sock(sk);
	return err;
}

/* Wait until it is made, or is not; @late if it is neither. Under the socket lock. */
static int afib_conn_settle(struct afib_conn *c, long timeo, int late)
{
	struct sock *sk = &c->is.sk;

	if (!timeo)
		return late;
	release_sock(sk);
	timeo = wait_event_interruptible_timeout(*sk_sleep(sk),
						 READ_ONCE(sk->sk_state) != TCP_SYN_SENT,
						 timeo);
	lock_sock(sk);
	if (sk->sk_state == TCP_SYN_SENT)
		return timeo < 0 ? sock_intr_errno(sk->sk_sndtimeo) : late;
	if (!afib_conn_made_once(c))
		return sock_error(sk) ?: -ECONNABORTED;
	sk->sk_socket->state = SS_CONNECTED;
	return 0;
}

static int afib_conn_begin(struct afib_conn *c, const struct sockaddr_ib *to)
{
	struct sock *sk = &c->is.sk;
	struct sockaddr_storage addr = {};
	struct sockaddr_ib peer = *to;
	struct qp_sock *qp;
	int err, pkey;

	pkey = afib_addr_pkey(&c->is, to);
	if (pkey < 0)
		return pkey;
	peer.sib_pkey = htons(pkey);
	qp = afib_conn_open(c, false);
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	afib_conn_set(c, qp);
	sk->sk_err = 0;
	WRITE_ONCE(sk->sk_state, TCP_SYN_SENT);
	memcpy(&addr, &peer, sizeof(peer));
	err = qp_kern_connect(qp, &addr, sizeof(peer));
	if (err) {
		afib_conn_unset(c);
		WRITE_ONCE(sk->sk_state, TCP_CLOSE);
		return err == -ERESTARTSYS ? sock_intr_errno(sk->sk_sndtimeo) : err;
	}
	afib_count(&c->is, AFIB_MIB_ACTIVEOPENS);
	return 0;
}

static int afib_conn_connect_locked(struct afib_conn *c, const struct sockaddr_ib *to,
				    int flags)
{
	struct sock *sk = &c->is.sk;
	struct socket *sock = sk->sk_socket;
	long timeo = sock_sndtimeo(sk, flags & O_NONBLOCK);
	int err;

	if (sk->sk_state == TCP_LISTEN)
		return -EISCONN;
	if (afib_conn_made_once(c)) {
		/* Who did not wait, or was interrupted, hears of it once */
		if (sock->state == SS_CONNECTED)
			return -EISCONN;
		sock->state = SS_CONNECTED;
		return 0;
	}
	if (sk->sk_state == TCP_SYN_SENT)
		return afib_conn_settle(c, timeo, -EALREADY);
	/* An attempt may have failed that nobody waited for */
	err = sock_error(sk);
	if (err)
		return err;
	if (afib_addr_multicast(&to->sib_addr) || !afib_addr_sid(to))
		return -EADDRNOTAVAIL;
	err = afib_conn_begin(c, to);
	return err ?: afib_conn_settle(c, timeo, -EINPROGRESS);
}

static int afib_conn_connect(struct socket *sock, struct sockaddr_unsized *uaddr,
			     int len, int flags)
{
	struct sock *sk = sock->sk;
	struct sockaddr_ib addr;
	int err;

	err = afib_addr_check(sk, uaddr, len, &addr);
	if (err)
		return err;
	lock_sock(sk);
	err = afib_conn_connect_locked(afib_conn(sk), &addr, flags);
	release_sock(sk);
	return err;
}

/* The next one that was accepted, or NULL */
static struct afib_conn *afib_conn_next(struct afib_conn *l)
{
	struct afib_conn *c;

	spin_lock_bh(&l->lock);
	c = list_first_entry_or_null(&l->ready, struct afib_conn, node);
	if (c) {
		list_del_init(&c->node);
		sk_acceptq_removed(&l->is.sk);
	}
	spin_unlock_bh(&l->lock);
	return c;
}

static bool afib_conn_waits(struct afib_conn *l)
{
	return !list_empty_careful(&l->ready) ||
	       READ_ONCE(l->is.sk.sk_state) != TCP_LISTEN ||
	       READ_ONCE(l->is.sk.sk_err);
}

static struct afib_conn *afib_conn_accept_wait(struct afib_conn *l, int flags)
{
	struct sock *sk = &l->is.sk;
	long timeo = sock_rcvtimeo(sk, flags & O_NONBLOCK);
	struct afib_conn *c;
	int err;

	for (;;) {
		if (READ_ONCE(sk->sk_state) != TCP_LISTEN)
			return ERR_PTR(sock_error(sk) ?: -EINVAL);
		c = afib_conn_next(l);
		if (c)
			return c;
		err = sock_error(sk);
		if (err)
			return ERR_PTR(err);
		if (!timeo)
			return ERR_PTR(-EAGAIN);
		timeo = wait_event_interruptible_timeout(*sk_sleep(sk),
							 afib_conn_waits(l), timeo);
		if (timeo < 0)
			return ERR_PTR(sock_intr_errno(sk->sk_rcvtimeo));
	}
}

static int afib_conn_accept(struct socket *sock, struct socket *newsock,
			    struct proto_accept_arg *arg)
{
	struct afib_conn *l = afib_conn(sock->sk), *c;
	struct sock *sk;

	c = afib_conn_accept_wait(l, arg->flags);
	if (IS_ERR(c))
		return PTR_ERR(c);
	sk = &c->is.sk;
	lock_sock(sk);
	WRITE_ONCE(c->listener, NULL);
	sock_graft(sk, newsock);
	newsock->state = SS_CONNECTED;
	release_sock(sk);
	sock_put(&l->is.sk);
	return 0;
}

static int afib_conn_getname(struct socket *sock, struct sockaddr *uaddr, int peer)
{
	struct sockaddr_ib *addr = (struct sockaddr_ib *)uaddr;
	struct afib_sock *is = afib_sk(sock->sk);
	struct sockaddr_ib names[2];
	int len = sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	addr->sib_family = AF_IB;
	lock_sock(&is->sk);
	afib_names(is, &names[0], &names[1]);
	if (peer && !afib_conn_made_once(afib_conn(&is->sk)))
		len = -ENOTCONN;
	release_sock(&is->sk);
	if (peer || names[0].sib_family)
		*addr = names[!!peer];
	return len;
}

static int afib_conn_shutdown(struct socket *sock, int how)
{
	struct afib_conn *c = afib_conn(sock->sk);
	struct sock *sk = sock->sk;
	bool fin = false;
	int err = 0;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	/* SHUT_RD, SHUT_WR, SHUT_RDWR to RCV_SHUTDOWN, SEND_SHUTDOWN, both */
	how++;
	lock_sock(sk);
	if (sk->sk_state == TCP_LISTEN) {
		if (how & RCV_SHUTDOWN)
			afib_conn_unlisten(c);
	} else if (sk->sk_state != TCP_ESTABLISHED) {
		err = -ENOTCONN;
	} else {
		spin_lock_bh(&c->lock);
		fin = how & SEND_SHUTDOWN && !(sk->sk_shutdown & SEND_SHUTDOWN);
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | how);
		spin_unlock_bh(&c->lock);
		if (how & RCV_SHUTDOWN)
			afib_stream_discard(c);
	}
	release_sock(sk);
	if (err)
		return err;
	sk->sk_state_change(sk);
	if (fin)
		afib_stream_fin(c);
	return 0;
}

static __poll_t afib_conn_poll(struct file *file, struct socket *sock,
			       struct poll_table_struct *wait)
{
	struct afib_conn *c = afib_conn(sock->sk);
	struct sock *sk = sock->sk;
	__poll_t events = 0;
	u8 shutdown;

	sock_poll_wait(file, sock, wait);
	if (sk->sk_state == TCP_LISTEN)
		return (list_empty_careful(&c->ready) ? 0 : EPOLLIN | EPOLLRDNORM) |
		       (READ_ONCE(sk->sk_err) ? EPOLLERR : 0);
	shutdown = READ_ONCE(sk->sk_shutdown);
	if (READ_ONCE(sk->sk_err))
		events |= EPOLLERR;
	if (shutdown == SHUTDOWN_MASK || sk->sk_state == TCP_CLOSE)
		events |= EPOLLHUP;
	if (shutdown & RCV_SHUTDOWN)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (sk->sk_state == TCP_SYN_SENT)
		return events;
	if (afib_stream_readable(c) &&
	    (sk->sk_type == SOCK_SEQPACKET ||
	     afib_stream_inq(c) >= sock_rcvlowat(sk, 0, INT_MAX)))
		events |= EPOLLIN | EPOLLRDNORM;
	if (shutdown & SEND_SHUTDOWN || sock_writeable(sk) || sk->sk_state == TCP_CLOSE)
		events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return events;
}

static int afib_conn_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct sock *sk = sock->sk;

	switch (cmd) {
	case SIOCINQ:
		if (sk->sk_state == TCP_LISTEN)
			return -EINVAL;
		return put_user(afib_stream_inq(afib_conn(sk)), (int __user *)arg);
	case SIOCOUTQ:
		if (sk->sk_state == TCP_LISTEN)
			return -EINVAL;
		return put_user(sk_wmem_alloc_get(sk), (int __user *)arg);
	default:
		return -ENOIOCTLCMD;
	}
}

/* Everything that was sent has arrived, or never will */
static bool afib_conn_sent(const struct afib_conn *c)
{
	return !sk_wmem_alloc_get(&c->is.sk) || READ_ONCE(c->over);
}

/* It is closed: is what was sent to arrive? That which was not read will not. */
static void afib_conn_close(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;
	bool linger = sock_flag(sk, SOCK_LINGER), fin;

	lock_sock(sk);
	spin_lock_bh(&c->lock);
	c->abort = sk->sk_state != TCP_ESTABLISHED ||
		   !skb_queue_empty(&sk->sk_receive_queue) ||
		   (linger && !sk->sk_lingertime);
	fin = !c->abort && !(sk->sk_shutdown & SEND_SHUTDOWN);
	WRITE_ONCE(sk->sk_shutdown, SHUTDOWN_MASK);
	spin_unlock_bh(&c->lock);
	release_sock(sk);
	if (fin)
		afib_stream_fin(c);
	if (!c->abort && linger && !(current->flags & PF_EXITING))
		wait_event_interruptible_timeout(*sk_sleep(sk), afib_conn_sent(c),
						 sk->sk_lingertime);
}

static int afib_conn_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct afib_conn *c;

	if (!sk)
		return 0;
	c = afib_conn(sk);
	/* The work may end it as soon as it is nobody's */
	sock_hold(sk);
	if (sk->sk_state == TCP_LISTEN) {
		c->abort = true;
		afib_conn_unlisten(c);
	} else {
		afib_conn_close(c);
	}
	c->deadline = jiffies + afib_time(sk, orphan_time);
	if (!c->abort && !afib_conn_sent(c) && !afib_net_orphan(c))
		c->abort = true;
	sock_orphan(sk);
	sock->sk = NULL;
	if (c->abort || afib_conn_sent(c)) {
		afib_conn_todo(c, AFIB_TODO_END, 0);
		flush_delayed_work(&c->work);
	} else {
		afib_conn_todo(c, AFIB_TODO_END, AFIB_ORPHAN_STEP);
	}
	sock_put(sk);
	return 0;
}

const struct proto_ops afib_conn_ops = {
	.family		= PF_IB,
	.owner		= THIS_MODULE,
	.release	= afib_conn_release,
	.bind		= afib_conn_bind,
	.connect	= afib_conn_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= afib_conn_accept,
	.getname	= afib_conn_getname,
	.poll		= afib_conn_poll,
	.ioctl		= afib_conn_ioctl,
	.gettstamp	= sock_gettstamp,
	.listen		= afib_conn_listen,
	.shutdown	= afib_conn_shutdown,
	.setsockopt	= afib_setsockopt,
	.getsockopt	= afib_getsockopt,
	.sendmsg	= afib_stream_sendmsg,
	.recvmsg	= afib_stream_recvmsg,
	.mmap		= sock_no_mmap,
};
