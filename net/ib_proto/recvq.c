// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: messages that wait to be read
 *
 * Who receives a message puts it into the socket's receive queue, on any processor.
 * Who reads takes all that is there at once into a queue of its own, and of what it
 * has read it gives back the room a good part at a time: so neither touches for each
 * message what the other one does.
 */
#include <linux/poll.h>
#include <linux/skbuff.h>

#include "ib_proto.h"

/**
 * afib_recvq_add() - let a message be read
 * @sk: the socket
 * @skb: the message, by afib_mem_receive()
 *
 * Context: softirq, or process.
 */
void afib_recvq_add(struct sock *sk, struct sk_buff *skb)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	int *reader = &afib_sk(sk)->reader;

	spin_lock_bh(&queue->lock);
	sock_skb_set_dropcount(sk, skb);
	__skb_queue_tail(queue, skb);
	spin_unlock_bh(&queue->lock);
	sk->sk_data_ready(sk);
	/* Who slept is awake */
	if (READ_ONCE(*reader) < 0)
		WRITE_ONCE(*reader, -*reader);
}

/* Say on which processor it is read, and whether who reads goes to sleep */
static void afib_recvq_reader(struct afib_sock *is, bool sleeps)
{
	int cpu = raw_smp_processor_id() + 1;

	if (sleeps)
		cpu = -cpu;
	if (READ_ONCE(is->reader) != cpu)
		WRITE_ONCE(is->reader, cpu);
}

static bool afib_recvq_empty(const struct afib_sock *is)
{
	return skb_queue_empty_lockless(&is->read) &&
	       skb_queue_empty_lockless(&is->sk.sk_receive_queue);
}

/* What is to be read next stays where it is. Under the lock of @read, without softirqs */
static struct sk_buff *afib_recvq_peek(struct afib_sock *is)
{
	struct sk_buff_head *queue = &is->sk.sk_receive_queue;

	if (skb_queue_empty(&is->read) && !skb_queue_empty_lockless(queue)) {
		spin_lock(&queue->lock);
		skb_queue_splice_tail_init(queue, &is->read);
		spin_unlock(&queue->lock);
	}
	return skb_peek(&is->read);
}

/* It takes no room any more; that is told now and then. Under the lock of @read. */
static void afib_recvq_release(struct afib_sock *is, struct sk_buff *skb)
{
	struct sock *sk = &is->sk;

	skb->destructor = NULL;
	skb->sk = NULL;
	is->read_bytes += skb->truesize;
	if (!skb_queue_empty(&is->read) && is->read_bytes < READ_ONCE(sk->sk_rcvbuf) / 4)
		return;
	atomic_sub(is->read_bytes, &sk->sk_rmem_alloc);
	afib_mem_uncharge(sk, is->read_bytes);
	is->read_bytes = 0;
}

static struct sk_buff *afib_recvq_try(struct afib_sock *is, bool peek)
{
	struct sk_buff *skb;

	spin_lock_bh(&is->read.lock);
	skb = afib_recvq_peek(is);
	if (skb && peek) {
		skb_get(skb);
	} else if (skb) {
		__skb_unlink(skb, &is->read);
		afib_recvq_release(is, skb);
	}
	spin_unlock_bh(&is->read.lock);
	return skb;
}

static bool afib_recvq_news(const void *arg)
{
	const struct afib_sock *is = arg;
	const struct sock *sk = &is->sk;

	return !afib_recvq_empty(is) || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

/* How long may it wait still? Negative: what a signal has made of the call */
static long afib_recvq_wait(struct afib_sock *is, long timeo)
{
	long left;

	/* As good as asleep: who is looking needs no call to its processor */
	afib_recvq_reader(is, true);
	if (qp_busy_poll(sock_net(&is->sk), afib_recvq_news, is, NULL))
		return timeo;
	left = wait_event_interruptible_timeout(*sk_sleep(&is->sk),
						afib_recvq_news(is), timeo);
	return left == -ERESTARTSYS ? sock_intr_errno(timeo) : left;
}

/**
 * afib_recvq_take() - read a message
 * @sk: the socket
 * @flags: MSG_PEEK (it stays), MSG_DONTWAIT
 * @err: where to put why there is none: the socket's error; 0, as there will be no
 *	more; -EAGAIN; or as a signal says
 *
 * Context: process, may sleep.
 * Return: the message, for consume_skb(), or NULL.
 */
struct sk_buff *afib_recvq_take(struct sock *sk, int flags, int *err)
{
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	struct afib_sock *is = afib_sk(sk);
	struct sk_buff *skb;

	for (;;) {
		*err = sock_error(sk);
		if (*err)
			return NULL;
		skb = afib_recvq_try(is, flags & MSG_PEEK);
		if (skb) {
			afib_recvq_reader(is, false);
			return skb;
		}
		*err = -EAGAIN;
		if (!timeo)
			return NULL;
		*err = 0;
		if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
			return NULL;
		timeo = afib_recvq_wait(is, timeo);
		*err = timeo;
		if (timeo < 0)
			return NULL;
	}
}

/**
 * afib_recvq_next_len() - how long is the message that is to be read next?
 * @sk: the socket
 *
 * Context: process.
 * Return: bytes, 0 if there is none.
 */
int afib_recvq_next_len(struct sock *sk)
{
	struct afib_sock *is = afib_sk(sk);
	struct sk_buff *skb;
	int len;

	spin_lock_bh(&is->read.lock);
	skb = afib_recvq_peek(is);
	len = skb ? skb->len : 0;
	spin_unlock_bh(&is->read.lock);
	return len;
}

/* &proto_ops.poll */
__poll_t afib_recvq_poll(struct file *file, struct socket *sock,
			 struct poll_table_struct *wait)
{
	__poll_t events = datagram_poll(file, sock, wait);
	struct afib_sock *is = afib_sk(sock->sk);

	if (!skb_queue_empty_lockless(&is->read))
		events |= EPOLLIN | EPOLLRDNORM;
	if (!(events & EPOLLIN))
		afib_recvq_reader(is, true);
	return events;
}

void afib_recvq_init(struct afib_sock *is)
{
	skb_queue_head_init(&is->read);
}

/* The socket goes: nobody else has it */
void afib_recvq_end(struct afib_sock *is)
{
	skb_queue_purge(&is->read);
	afib_mem_uncharge(&is->sk, is->read_bytes);
	atomic_sub(is->read_bytes, &is->sk.sk_rmem_alloc);
}
