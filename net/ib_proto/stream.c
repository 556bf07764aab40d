// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: the data of connections, SOCK_SEQPACKET and SOCK_STREAM
 *
 * A message travels in fragments, each of them a SEND of a reliable connection with
 * AFIB_F_* as immediate data. The receiver has buffers for fragments, and the sender
 * knows for how many: its credits. It is told of more as they are read, by the
 * fragments of the other direction or, if it may be waiting for that, by a SEND
 * without data. For those, which need no credit, there are some more buffers; if
 * they should not suffice, the queue pair's RNR NAKs see to it.
 *
 * Who reads only gets whole messages of SOCK_SEQPACKET. One that is longer than all
 * buffers gets more of them when it needs them.
 *
 * A peer that is no such socket, but a program of librdmacm, knows nothing of all
 * this. With SOCK_SEQPACKET each SEND is a message then, RNR NAKs stop the sender,
 * and there are no halves of a connection to shut down.
 */
#include <linux/skbuff.h>
#include <linux/sched/signal.h>
#include <trace/events/ib_proto.h>

#include "ib_proto.h"
#include "stats.h"

/* Immediate data: flags, and credits in the lower half */
#define AFIB_F_DATA	BIT(31)	/* a fragment; it needs a credit */
#define AFIB_F_END	BIT(30)	/* the last one of a message */
#define AFIB_F_FIN	BIT(29)	/* there will be no more */
#define AFIB_F_CANCEL	BIT(28)	/* the message so far is not to be heeded */
#define AFIB_F_CREDITS	0xffff

/* Buffers for fragments: twice what SO_RCVBUF has room for, within limits */
#define AFIB_BUFS_MIN	8
#define AFIB_BUFS_MAX	120

/* When what there was no memory for is tried again */
#define AFIB_RETRY_TIME	(HZ / 50 + 1)

/* When it is asked whether a peer that grants nothing is there */
#define AFIB_PROBE_TIME	(5 * HZ)

/* Buffers for what needs no credit */
#define AFIB_BUFS_CONTROL 4

/* So many at a time for a message that is longer than all of them */
#define AFIB_GROW	8

/* Fragments up to that are copied, and their buffers used again at once: bytes */
#define AFIB_COPY	1024

/*
 * What each says as a connection is made, 8 bytes of private data: "AFIB", the type
 * of the socket, how many buffers it has, and the bytes of one in units of 16.
 */
#define AFIB_HELLO	0x41464942ULL
#define AFIB_HELLO_UNIT	16

/* Buffers that are smaller would make fragments that are little but overhead, bytes */
#define AFIB_MIN_ROOM	256

static u32 afib_stream_bufs(const struct sock *sk)
{
	return clamp(READ_ONCE(sk->sk_rcvbuf) / AFIB_BUF_BYTES * 2, AFIB_BUFS_MIN,
		     AFIB_BUFS_MAX);
}

static __be64 afib_hello(const struct sock *sk, u32 bufs)
{
	return cpu_to_be64(AFIB_HELLO << 32 | (u64)sk->sk_type << 24 | bufs << 16 |
			   AFIB_FRAG_BYTES / AFIB_HELLO_UNIT);
}

/* Has the peer said nothing that we know? */
static bool afib_hello_plain(__be64 heard)
{
	return be64_to_cpu(heard) >> 32 != AFIB_HELLO;
}

/* Is the peer a socket of the same type, or somebody whose SENDs are messages? */
bool afib_hello_valid(const struct sock *sk, __be64 heard)
{
	u64 h = be64_to_cpu(heard);

	if (afib_hello_plain(heard))
		return sk->sk_type == SOCK_SEQPACKET;
	return (h >> 24 & 0xff) == sk->sk_type && h >> 16 & 0xff &&
	       (h & 0xffff) * AFIB_HELLO_UNIT >= AFIB_MIN_ROOM;
}

/* What queue pair a connection needs that is about to be made */
void afib_stream_kern(struct afib_conn *c, struct qp_kern *kern)
{
	const struct sock *sk = &c->is.sk;
	u32 bufs = afib_stream_bufs(sk);

	c->window = bufs;
	c->owed = 0;
	c->credits = 0;
	kern->bufs = bufs + AFIB_BUFS_CONTROL;
	kern->buf_size = AFIB_FRAG_BYTES;
	kern->hello = afib_hello(sk, bufs);
}

/* The connection is made: what the peer has said counts from now on */
void afib_stream_start(struct afib_conn *c, __be64 heard)
{
	u64 h = be64_to_cpu(heard);

	spin_lock_bh(&c->lock);
	c->heard = jiffies;
	c->plain = afib_hello_plain(heard);
	c->room = AFIB_FRAG_BYTES;
	if (!c->plain) {
		c->credits += h >> 16 & 0xff;
		c->room = min_t(u32, (h & 0xffff) * AFIB_HELLO_UNIT, c->room);
	}
	spin_unlock_bh(&c->lock);
}

/*
 * Sending
 */

/* A fragment has been posted. Under @lock. */
static void afib_stream_sent(struct afib_conn *c, u32 len, u32 flags)
{
	c->starved = false;
	afib_count(&c->is, AFIB_MIB_OUTFRAGS);
	afib_count_some(&c->is, AFIB_MIB_OUTOCTETS, len);
	if (flags & AFIB_F_END && c->is.sk.sk_type == SOCK_SEQPACKET)
		afib_count(&c->is, AFIB_MIB_OUTMSGS);
}

/* If there are none for long it is asked whether the peer is there. Under @lock. */
static void afib_stream_wait_credits(struct afib_conn *c)
{
	if (test_bit(AFIB_TODO_PROBE, &c->todo))
		return;
	c->probe = jiffies + AFIB_PROBE_TIME;
	afib_conn_todo(c, AFIB_TODO_PROBE, AFIB_PROBE_TIME);
}

/* There is no credit for a fragment. Under @lock. */
static void afib_stream_starve(struct afib_conn *c)
{
	if (!c->starved) {
		afib_count(&c->is, AFIB_MIB_CREDITWAITS);
		trace_afib_starve(&c->is.sk, c->window, c->owed);
	}
	c->starved = true;
	afib_stream_wait_credits(c);
}

/*
 * A SEND, with the credits that are owed, which a program of librdmacm does not
 * know. Under @lock.
 */
static int afib_stream_post_one(struct afib_conn *c, struct sk_buff *skb, u32 flags)
{
	__be32 imm = cpu_to_be32(flags | c->owed);
	u32 len = skb->len;
	int err;

	err = qp_kern_post(c->qp, skb, c->plain ? NULL : &imm);
	if (err)
		return err;
	if (flags & AFIB_F_DATA)
		afib_stream_sent(c, len, flags);
	trace_afib_frag_send(&c->is.sk, flags | c->owed, len, c->credits, c->window);
	if (c->plain)
		return 0;
	if (flags & AFIB_F_DATA)
		c->credits--;
	c->window += c->owed;
	c->owed = 0;
	return 0;
}

/*
 * Post what may be sent. Under @lock, by which it stays in order. True if there was
 * something.
 */
static bool afib_stream_post(struct afib_conn *c)
{
	struct sk_buff_head *queue = &c->is.sk.sk_write_queue;
	struct sk_buff *skb;
	bool posted = false;
	u32 flags;
	int err;

	while (c->qp && (skb = skb_peek(queue))) {
		flags = AFIB_FRAG(skb)->flags;
		if (flags & AFIB_F_DATA && !c->credits && !c->plain) {
			afib_stream_starve(c);
			break;
		}
		__skb_unlink(skb, queue);
		if (c->plain && !(flags & AFIB_F_DATA)) {
			consume_skb(skb);
			continue;
		}
		err = afib_stream_post_one(c, skb, flags);
		if (err) {
			__skb_queue_head(queue, skb);
			if (err == -ENOMEM)
				afib_conn_todo(c, AFIB_TODO_SEND, AFIB_RETRY_TIME);
			break;
		}
		posted = true;
	}
	return posted;
}

/*
 * Tell the peer of credits if it may be waiting for them: it has used up half of
 * what it had. Under @lock.
 */
static bool afib_stream_grant(struct afib_conn *c)
{
	struct sk_buff *skb;

	if (!c->qp || !c->owed || c->fin || c->plain || c->window > c->owed)
		return false;
	skb = alloc_skb(0, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb || afib_stream_post_one(c, skb, 0)) {
		kfree_skb(skb);
		afib_conn_todo(c, AFIB_TODO_SEND, AFIB_RETRY_TIME);
		return false;
	}
	afib_count(&c->is, AFIB_MIB_OUTGRANTS);
	return true;
}

/**
 * afib_stream_probe() - see whether a peer that grants nothing is there at all
 * @c: the connection
 *
 * If nothing is under way, nothing else would tell: a SEND without data does, as
 * it is repeated in vain.
 *
 * Context: process.
 */
void afib_stream_probe(struct afib_conn *c)
{
	struct sk_buff *skb;

	spin_lock_bh(&c->lock);
	if (time_before(jiffies, c->probe)) {
		/* It was for something else that we were called */
		afib_conn_todo(c, AFIB_TODO_PROBE, c->probe - jiffies);
	} else if (c->qp && !c->plain && !c->credits &&
		   !skb_queue_empty(&c->is.sk.sk_write_queue)) {
		skb = alloc_skb(0, GFP_ATOMIC | __GFP_NOWARN);
		if (!skb || afib_stream_post_one(c, skb, 0)) {
			kfree_skb(skb);
		} else {
			afib_count(&c->is, AFIB_MIB_PROBES);
			qp_kern_push(c->qp);
		}
		afib_stream_wait_credits(c);
	}
	spin_unlock_bh(&c->lock);
}

/**
 * afib_stream_keep() - see whether a peer that is silent is there at all
 * @c: a connection with SO_KEEPALIVE
 *
 * As with afib_stream_probe(), a SEND without data that is repeated in vain tells.
 * To a program of librdmacm that would be a message.
 *
 * Context: process.
 */
void afib_stream_keep(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;
	unsigned long idle, next;
	struct sk_buff *skb;

	idle = READ_ONCE(c->keepidle) ?: afib_time(sk, keepalive_time);
	spin_lock_bh(&c->lock);
	next = c->heard + idle;
	if (!time_before(jiffies, next)) {
		next = jiffies + idle;
		skb = c->qp && !c->plain ? alloc_skb(0, GFP_ATOMIC) : NULL;
		if (skb && afib_stream_post_one(c, skb, 0))
			kfree_skb(skb);
		else if (skb)
			qp_kern_push(c->qp);
	}
	if (c->qp && sock_flag(sk, SOCK_KEEPOPEN))
		sk_reset_timer(sk, &sk->sk_timer, next);
	spin_unlock_bh(&c->lock);
}

/* Go on. Under @lock. */
static void afib_stream_go(struct afib_conn *c)
{
	bool posted = afib_stream_post(c);

	if (afib_stream_grant(c) || posted)
		qp_kern_push(c->qp);
}

/**
 * afib_stream_push() - send what can be sent
 * @c: the connection
 *
 * Context: process or softirq.
 */
void afib_stream_push(struct afib_conn *c)
{
	spin_lock_bh(&c->lock);
	afib_stream_go(c);
	spin_unlock_bh(&c->lock);
}

/* Queue a fragment, and send what can be sent */
static void afib_stream_queue(struct afib_conn *c, struct sk_buff *skb, u32 flags)
{
	AFIB_FRAG(skb)->flags = flags;
	spin_lock_bh(&c->lock);
	__skb_queue_tail(&c->is.sk.sk_write_queue, skb);
	afib_stream_go(c);
	spin_unlock_bh(&c->lock);
}

/* The last thing has been sent. Who is closed waits for that. */
static void afib_stream_fin_sent(struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	sock_wfree(skb);
	if (sock_flag(sk, SOCK_DEAD))
		afib_conn_todo(afib_conn(sk), AFIB_TODO_END, 0);
}

/* Queue what has no data, behind what has. It counts as what is not yet sent. */
static void afib_stream_control(struct afib_conn *c, u32 flags)
{
	struct sk_buff *skb = alloc_skb(0, GFP_KERNEL | __GFP_NOFAIL);

	skb_set_owner_w(skb, &c->is.sk);
	if (flags & AFIB_F_FIN)
		skb->destructor = afib_stream_fin_sent;
	afib_stream_queue(c, skb, flags);
}

/**
 * afib_stream_fin() - send nothing more than what is queued
 * @c: a connection with SEND_SHUTDOWN; who sends a message is waited for
 *
 * Context: process, may sleep.
 */
void afib_stream_fin(struct afib_conn *c)
{
	mutex_lock(&c->sending);
	afib_stream_control(c, AFIB_F_FIN);
	mutex_unlock(&c->sending);
}

/*
 * May a message be taken as a whole, without waiting? What is queued may be more
 * than SO_SNDBUF by one message, so that poll() and this agree.
 */
static int afib_stream_fits(const struct sock *sk, size_t len)
{
	int sndbuf = READ_ONCE(sk->sk_sndbuf);

	if (len > sndbuf)
		return -EMSGSIZE;
	return sk_wmem_alloc_get(sk) < sndbuf ? 0 : -EAGAIN;
}

/* A buffer for a fragment; one of a message that fits does not wait */
static struct sk_buff *afib_stream_alloc(struct sock *sk, u32 bytes, bool fits,
					 bool nonblock, int *err)
{
	struct sk_buff *skb;

	if (fits) {
		skb = alloc_skb(bytes, sk->sk_allocation);
		*err = -ENOBUFS;
	} else {
		skb = sock_alloc_send_skb(sk, bytes, nonblock, err);
	}
	if (!skb)
		return NULL;
	if (fits)
		skb_set_owner_w(skb, sk);
	*err = -ENOBUFS;
	return afib_mem_send(skb) ? skb : NULL;
}

/* Send a message, as far as that goes. Under @sending. Returns bytes, or an error. */
static ssize_t afib_stream_send(struct afib_conn *c, struct msghdr *msg, size_t len,
				bool fits)
{
	bool nonblock = msg->msg_flags & MSG_DONTWAIT;
	struct sock *sk = &c->is.sk;
	u32 n, flags = AFIB_F_DATA;
	struct sk_buff *skb;
	size_t done = 0;
	int err;

	do {
		n = min_t(size_t, len - done, c->room);
		skb = afib_stream_alloc(sk, n, fits, nonblock, &err);
		if (!skb)
			break;
		err = 0;
		if (!copy_from_iter_full(skb_put(skb, n), n, &msg->msg_iter)) {
			kfree_skb(skb);
			err = -EFAULT;
			break;
		}
		done += n;
		if (done == len)
			flags |= AFIB_F_END;
		afib_stream_queue(c, skb, flags);
	} while (done < len);
	if (!err || (done && sk->sk_type == SOCK_STREAM))
		return done;
	/* There is no half of a message */
	if (done)
		afib_stream_control(c, AFIB_F_CANCEL);
	return err;
}

static ssize_t afib_stream_try(struct afib_conn *c, struct msghdr *msg, size_t len)
{
	bool fits = false, nonblock = msg->msg_flags & MSG_DONTWAIT;
	struct sock *sk = &c->is.sk;
	ssize_t ret;

	if (nonblock ? !mutex_trylock(&c->sending) :
		       mutex_lock_interruptible(&c->sending))
		return nonblock ? -EAGAIN : sock_intr_errno(sk->sk_sndtimeo);
	ret = sock_error(sk);
	if (!ret && READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		ret = -EPIPE;
	if (!ret && sk->sk_type == SOCK_SEQPACKET && nonblock) {
		ret = afib_stream_fits(sk, len);
		fits = true;
	}
	if (!ret)
		ret = afib_stream_send(c, msg, len, fits);
	mutex_unlock(&c->sending);
	return ret;
}

/**
 * afib_stream_sendmsg() - &proto_ops.sendmsg
 * @sock: the socket
 * @msg: the message, or bytes
 * @len: how many
 *
 * Context: process, may sleep.
 * Return: bytes; -EMSGSIZE (longer than IB_MAX_MSG, or without waiting than
 * SO_SNDBUF), -EAGAIN, -EPIPE, -ENOTCONN, or what has ended the connection.
 */
int afib_stream_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct afib_conn *c = afib_conn(sk);
	ssize_t ret;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (!afib_conn_made_once(c))
		return READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN ?
		       -EPIPE : -ENOTCONN;
	if (msg->msg_namelen)
		return -EISCONN;
	if (sk->sk_type == SOCK_SEQPACKET &&
	    len > (READ_ONCE(c->plain) ? c->room : IB_MAX_MSG))
		return -EMSGSIZE;
	if (!len && sk->sk_type == SOCK_STREAM)
		return 0;
	ret = afib_stream_try(c, msg, min_t(size_t, len, INT_MAX & PAGE_MASK));
	if (ret == -EPIPE && !(msg->msg_flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return ret;
}

/*
 * Receiving
 */

/* Throw away what there is of a message that does not come to its end. Under @lock. */
static void afib_stream_cancel(struct afib_conn *c)
{
	struct sk_buff_head *queue = &c->is.sk.sk_receive_queue;
	struct sk_buff *skb;

	while ((skb = skb_peek_tail(queue)) &&
	       !(AFIB_FRAG(skb)->flags & AFIB_F_END)) {
		__skb_unlink(skb, queue);
		__skb_queue_tail(&c->spent, skb);
	}
	c->part = 0;
	afib_conn_todo(c, AFIB_TODO_SEND, 0);
}

/**
 * afib_stream_discard() - nobody reads any more: throw away what there is
 * @c: a connection with RCV_SHUTDOWN
 *
 * Context: process, under the socket lock.
 */
void afib_stream_discard(struct afib_conn *c)
{
	spin_lock_bh(&c->lock);
	skb_queue_splice_tail_init(&c->is.sk.sk_receive_queue, &c->spent);
	c->whole = 0;
	c->part = 0;
	spin_unlock_bh(&c->lock);
	afib_stream_spend(c);
	afib_stream_push(c);
}

/* Have a short fragment in a buffer of its own, if there is room */
static struct sk_buff *afib_stream_copy(struct sock *sk, const struct sk_buff *skb)
{
	struct sk_buff *copy;

	if (skb->len > AFIB_COPY ||
	    atomic_read(&sk->sk_rmem_alloc) > READ_ONCE(sk->sk_rcvbuf))
		return NULL;
	copy = alloc_skb(skb->len, GFP_ATOMIC | __GFP_NOWARN);
	if (!copy)
		return NULL;
	if (!afib_mem_receive(sk, copy)) {
		kfree_skb(copy);
		return NULL;
	}
	skb_put_data(copy, skb->data, skb->len);
	return copy;
}

/* A fragment has come. Under @lock. True if @skb is consumed. */
static bool afib_stream_data(struct afib_conn *c, struct sk_buff *skb, u32 flags)
{
	struct sock *sk = &c->is.sk;
	struct sk_buff *copy;

	if (!c->plain)
		c->window--;
	if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN) {
		/* Nobody will read it */
		c->owed++;
		afib_count(&c->is, AFIB_MIB_INERRORS);
		afib_count(&c->is, AFIB_MIB_INSHUTDOWN);
		trace_afib_drop(sk, skb->len, AFIB_DROP_SHUTDOWN);
		return false;
	}
	afib_count(&c->is, AFIB_MIB_INFRAGS);
	afib_count_some(&c->is, AFIB_MIB_INOCTETS, skb->len);
	copy = afib_stream_copy(sk, skb);
	if (copy) {
		c->owed++;
		skb = copy;
	} else {
		skb_set_owner_r(skb, sk);
	}
	AFIB_FRAG(skb)->flags = flags;
	AFIB_FRAG(skb)->done = 0;
	if (sock_flag(sk, SOCK_RCVTSTAMP))
		__net_timestamp(skb);
	__skb_queue_tail(&sk->sk_receive_queue, skb);
	c->part += skb->len;
	if (flags & AFIB_F_END) {
		c->whole++;
		c->part = 0;
		if (sk->sk_type == SOCK_SEQPACKET)
			afib_count(&c->is, AFIB_MIB_INMSGS);
	} else if (sk->sk_type == SOCK_SEQPACKET && !c->whole &&
		   !c->window && !c->owed) {
		afib_conn_todo(c, AFIB_TODO_GROW, 0);
	}
	return !copy;
}

/*
 * What the peer does not do: to send more than it may, or a message that is too
 * long. Under @lock.
 */
static bool afib_stream_sane(const struct afib_conn *c, const struct sk_buff *skb,
			     u32 flags)
{
	const struct qp_rmsg *m = QP_RMSG(skb);

	if (c->plain)
		return true;
	if (!(m->flags & QP_CQE_IMM))
		return false;
	if (c->fin && flags & ~AFIB_F_CREDITS)
		return false;
	if (flags & AFIB_F_CANCEL && c->is.sk.sk_type != SOCK_SEQPACKET)
		return false;
	if (!(flags & AFIB_F_DATA))
		return !skb->len;
	return c->window && (c->is.sk.sk_type == SOCK_STREAM ||
			     c->part + skb->len <= IB_MAX_MSG);
}

/**
 * afib_stream_recv() - &qp_user.recv
 * @qp: the queue pair
 * @skb: what has come
 *
 * Return: is it consumed?
 */
bool afib_stream_recv(struct qp_sock *qp, struct sk_buff *skb)
{
	u32 flags = be32_to_cpu(QP_RMSG(skb)->imm_data);
	struct afib_conn *c = qp->user_priv;
	struct sock *sk = &c->is.sk;
	bool consumed = false;

	spin_lock(&c->lock);
	c->heard = jiffies;
	/* It may come before it is known that it is connected */
	c->plain = afib_hello_plain(qp->heard);
	if (c->plain)
		flags = AFIB_F_DATA | AFIB_F_END;
	if (!afib_stream_sane(c, skb, flags)) {
		afib_count(&c->is, AFIB_MIB_VIOLATIONS);
		trace_afib_drop(sk, skb->len, AFIB_DROP_VIOLATION);
		afib_conn_todo(c, AFIB_TODO_GONE, 0);
		spin_unlock(&c->lock);
		return false;
	}
	trace_afib_frag_receive(sk, flags, skb->len, c->credits, c->window);
	c->credits += flags & AFIB_F_CREDITS;
	if (flags & AFIB_F_CANCEL)
		afib_stream_cancel(c);
	if (flags & AFIB_F_DATA)
		consumed = afib_stream_data(c, skb, flags);
	if (flags & AFIB_F_FIN) {
		c->fin = true;
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | RCV_SHUTDOWN);
	}
	afib_stream_go(c);
	spin_unlock(&c->lock);
	if (flags & AFIB_F_DATA && afib_stream_readable(c))
		sk->sk_data_ready(sk);
	if (flags & AFIB_F_FIN)
		sk->sk_state_change(sk);
	return consumed;
}

/*
 * A fragment was read: have its buffer received into again, and the peer told of
 * that at the next opportunity
 */
static void afib_stream_give(struct afib_conn *c, struct sk_buff *skb)
{
	struct qp_sock *qp;

	skb_orphan(skb);
	if (skb_end_offset(skb) < AFIB_FRAG_BYTES) {
		/* It was copied, and its buffer is in use already */
		kfree_skb(skb);
		return;
	}
	spin_lock_bh(&c->lock);
	qp = c->qp;
	if (c->grown) {
		c->grown--;
		afib_mem_uncharge(&c->is.sk, AFIB_FRAG_BYTES);
		qp = NULL;
	}
	if (qp)
		sock_hold(&qp->sk);
	spin_unlock_bh(&c->lock);
	skb_trim(skb, 0);
	if (!qp || qp_kern_give(qp, skb)) {
		kfree_skb(skb);
	} else {
		spin_lock_bh(&c->lock);
		c->owed++;
		spin_unlock_bh(&c->lock);
	}
	if (qp)
		sock_put(&qp->sk);
}

/**
 * afib_stream_spend() - give back the buffers of a message that was cancelled
 * @c: the connection
 *
 * Context: process.
 */
void afib_stream_spend(struct afib_conn *c)
{
	struct sk_buff *skb;

	do {
		spin_lock_bh(&c->lock);
		skb = __skb_dequeue(&c->spent);
		spin_unlock_bh(&c->lock);
		if (skb)
			afib_stream_give(c, skb);
	} while (skb);
}

/* One more buffer than usual. False if there is none to be had. */
static bool afib_stream_grow_one(struct afib_conn *c, struct qp_sock *qp)
{
	struct sock *sk = &c->is.sk;
	struct sk_buff *skb;

	if (!afib_mem_charge(sk, AFIB_FRAG_BYTES))
		return false;
	skb = alloc_skb(AFIB_FRAG_BYTES, GFP_KERNEL_ACCOUNT);
	if (!skb || qp_kern_give(qp, skb)) {
		kfree_skb(skb);
		afib_mem_uncharge(sk, AFIB_FRAG_BYTES);
		return false;
	}
	spin_lock_bh(&c->lock);
	c->owed++;
	c->grown++;
	spin_unlock_bh(&c->lock);
	return true;
}

/**
 * afib_stream_grow() - have more buffers, for a message that is longer than all
 * that there are
 * @c: the connection
 *
 * They are given up again as the message is read.
 *
 * Context: process, may sleep.
 */
void afib_stream_grow(struct afib_conn *c)
{
	struct qp_sock *qp = afib_conn_qp_get(c);
	int i;

	if (!qp)
		return;
	for (i = 0; i < AFIB_GROW; i++)
		if (!afib_stream_grow_one(c, qp))
			break;
	if (!i)
		afib_conn_todo(c, AFIB_TODO_GROW, AFIB_RETRY_TIME);
	sock_put(&qp->sk);
	afib_stream_push(c);
}

/*
 * Reading, by one at a time under the socket lock. Only who reads takes something
 * out of what may be read.
 */

static struct sk_buff *afib_stream_first(struct afib_conn *c)
{
	struct sk_buff *skb;

	spin_lock_bh(&c->lock);
	skb = skb_peek(&c->is.sk.sk_receive_queue);
	spin_unlock_bh(&c->lock);
	return skb;
}

static struct sk_buff *afib_stream_next(struct afib_conn *c, struct sk_buff *skb)
{
	spin_lock_bh(&c->lock);
	skb = skb_peek_next(skb, &c->is.sk.sk_receive_queue);
	spin_unlock_bh(&c->lock);
	return skb;
}

/* The first fragment has been read. True if it was the last one of a message. */
static bool afib_stream_shift(struct afib_conn *c)
{
	struct sk_buff *skb;
	bool end;

	spin_lock_bh(&c->lock);
	skb = __skb_dequeue(&c->is.sk.sk_receive_queue);
	end = AFIB_FRAG(skb)->flags & AFIB_F_END;
	if (end)
		c->whole--;
	spin_unlock_bh(&c->lock);
	afib_stream_give(c, skb);
	return end;
}

/* Is there something to be read? Any context. */
bool afib_stream_readable(const struct afib_conn *c)
{
	if (c->is.sk.sk_type == SOCK_SEQPACKET)
		return READ_ONCE(c->whole);
	return !skb_queue_empty_lockless(&c->is.sk.sk_receive_queue);
}

/* Bytes that can be read at once, of the next message if there are messages */
int afib_stream_inq(struct afib_conn *c)
{
	bool message = c->is.sk.sk_type == SOCK_SEQPACKET;
	struct sk_buff *skb;
	u32 len = 0;

	spin_lock_bh(&c->lock);
	skb_queue_walk(&c->is.sk.sk_receive_queue, skb) {
		if (message && !c->whole)
			break;
		len += skb->len - AFIB_FRAG(skb)->done;
		if (message && AFIB_FRAG(skb)->flags & AFIB_F_END)
			break;
	}
	spin_unlock_bh(&c->lock);
	return len;
}

/**
 * afib_stream_diag() - what is under way
 * @c: the connection
 * @info: where to put it
 * @queued: where to put the bytes that were received and not read
 *
 * Context: any.
 */
void afib_stream_diag(struct afib_conn *c, struct ib_diag_conn *info, u32 *queued)
{
	struct sk_buff *skb;
	u32 len = 0;

	memset(info, 0, sizeof(*info));
	spin_lock_bh(&c->lock);
	skb_queue_walk(&c->is.sk.sk_receive_queue, skb)
		len += skb->len - AFIB_FRAG(skb)->done;
	*queued = len;
	info->qpn = c->qp ? READ_ONCE(c->qp->port_qpn) : 0;
	info->flags = (c->plain ? IB_DIAG_CONN_PLAIN : 0) |
		      (c->fin ? IB_DIAG_CONN_FIN : 0);
	info->credits = c->credits;
	info->window = c->window;
	info->owed = c->owed;
	info->room = c->room;
	info->unsent = skb_queue_len(&c->is.sk.sk_write_queue);
	info->messages = c->whole;
	spin_unlock_bh(&c->lock);
}

/* The next message. What there is no room for is lost. */
static ssize_t afib_stream_message(struct afib_conn *c, struct msghdr *msg,
				   size_t len, int flags)
{
	struct sk_buff *first = afib_stream_first(c), *skb = first;
	size_t n, done = 0, total = 0;
	int err;

	for (;; skb = afib_stream_next(c, skb)) {
		n = min_t(size_t, len - done, skb->len);
		err = n ? skb_copy_datagram_msg(skb, 0, msg, n) : 0;
		if (err)
			return err;
		done += n;
		total += skb->len;
		if (AFIB_FRAG(skb)->flags & AFIB_F_END)
			break;
	}
	sock_recv_cmsgs(msg, &c->is.sk, first);
	msg->msg_flags |= MSG_EOR;
	if (done < total)
		msg->msg_flags |= MSG_TRUNC;
	if (!(flags & MSG_PEEK)) {
		while (!afib_stream_shift(c))
			;
		afib_stream_push(c);
	}
	return flags & MSG_TRUNC ? total : done;
}

/* Some bytes; with MSG_PEEK those after @skip. MSG_TRUNC throws them away. */
static ssize_t afib_stream_bytes(struct afib_conn *c, struct msghdr *msg,
				 size_t len, int flags, size_t skip)
{
	struct sk_buff *skb = afib_stream_first(c);
	struct afib_frag *frag;
	size_t n, done = 0;
	int err = 0;

	if (!(flags & MSG_PEEK))
		skip = 0;
	while (skb && done < len) {
		frag = AFIB_FRAG(skb);
		n = skb->len - frag->done;
		if (flags & MSG_PEEK && skip >= n) {
			skip -= n;
			skb = afib_stream_next(c, skb);
			continue;
		}
		n = min(n - skip, len - done);
		if (!(flags & MSG_TRUNC))
			err = skb_copy_datagram_msg(skb, frag->done + skip, msg, n);
		if (err)
			break;
		if (!done)
			sock_recv_timestamp(msg, &c->is.sk, skb);
		done += n;
		if (flags & MSG_PEEK) {
			skip += n;
			continue;
		}
		frag->done += n;
		if (frag->done == skb->len)
			afib_stream_shift(c);
		skb = afib_stream_first(c);
	}
	if (!(flags & MSG_PEEK))
		afib_stream_push(c);
	return done ?: err;
}

/* Will nothing more come than what has come? Before that is looked at. */
static bool afib_stream_over(struct afib_conn *c)
{
	struct sock *sk = &c->is.sk;
	bool over;

	spin_lock_bh(&c->lock);
	over = sk->sk_err || sk->sk_shutdown & RCV_SHUTDOWN;
	spin_unlock_bh(&c->lock);
	return over;
}

/* Is there more to be read than was @seen? */
static bool afib_stream_more(const struct afib_conn *c, u32 seen)
{
	const struct sock *sk = &c->is.sk;

	return sk->sk_type == SOCK_SEQPACKET ? READ_ONCE(c->whole) :
	       skb_queue_len_lockless(&sk->sk_receive_queue) > seen;
}

/* Is there, or will there be nothing? */
static bool afib_stream_news(struct afib_conn *c, u32 seen)
{
	return afib_stream_over(c) || afib_stream_more(c, seen);
}

struct afib_stream_waiter {
	const struct afib_conn *c;
	u32 seen;
};

/* Without a lock that who receives wants */
static bool afib_stream_look(const void *arg)
{
	const struct afib_stream_waiter *wait = arg;

	return afib_stream_more(wait->c, wait->seen);
}

/*
 * Wait for something to be read besides @seen fragments, or the end. Under the
 * socket lock.
 */
static long afib_stream_wait(struct afib_conn *c, long timeo, u32 seen)
{
	const struct afib_stream_waiter wait = { .c = c, .seen = seen };
	struct sock *sk = &c->is.sk;

	release_sock(sk);
	if (!qp_busy_poll(sock_net(sk), afib_stream_look, &wait, NULL))
		timeo = wait_event_interruptible_timeout(*sk_sleep(sk),
							 afib_stream_news(c, seen),
							 timeo);
	lock_sock(sk);
	return timeo;
}

static ssize_t afib_stream_read(struct afib_conn *c, struct msghdr *msg, size_t len,
				int flags)
{
	struct sock *sk = &c->is.sk;
	size_t target = sock_rcvlowat(sk, flags & MSG_WAITALL, len);
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	bool message = sk->sk_type == SOCK_SEQPACKET;
	size_t done = 0;
	u32 seen = 0;
	ssize_t ret;
	bool over;

	for (;;) {
		over = afib_stream_over(c);
		if (flags & MSG_PEEK)
			seen = skb_queue_len_lockless(&sk->sk_receive_queue);
		if (message && afib_stream_readable(c))
			return afib_stream_message(c, msg, len, flags);
		if (!message && afib_stream_readable(c)) {
			ret = afib_stream_bytes(c, msg, len - done, flags, done);
			if (ret < 0)
				return done ?: ret;
			done += ret;
			if (done >= target)
				return done;
		}
		if (over)
			return done ?: sock_error(sk);
		if (!timeo)
			return done ?: -EAGAIN;
		timeo = afib_stream_wait(c, timeo, seen);
		if (timeo < 0)
			return done ?: sock_intr_errno(sk->sk_rcvtimeo);
	}
}

/**
 * afib_stream_recvmsg() - &proto_ops.recvmsg
 * @sock: the socket
 * @msg: where to
 * @len: at most so many bytes
 * @flags: MSG_*
 *
 * Context: process, may sleep.
 * Return: bytes, 0 at the end; -EAGAIN, -ENOTCONN, or what has ended the
 * connection.
 */
int afib_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			int flags)
{
	struct sock *sk = sock->sk;
	ssize_t ret;

	if (flags & (MSG_OOB | MSG_ERRQUEUE))
		return -EOPNOTSUPP;
	if (!afib_conn_made_once(afib_conn(sk)))
		return -ENOTCONN;
	if (!len && sk->sk_type == SOCK_STREAM)
		return 0;
	lock_sock(sk);
	ret = afib_stream_read(afib_conn(sk), msg, min_t(size_t, len, INT_MAX), flags);
	release_sock(sk);
	return ret;
}
