// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: memory of messages in a network namespace
 *
 * What sockets hold of messages, sent and not yet gone or received and not yet
 * read, and the buffers that connections have for what may come, is counted against
 * net.ib.mem_max. A socket's own limits are those of any socket, SO_SNDBUF and
 * SO_RCVBUF; this one is for all of them together.
 *
 * Each CPU counts for itself for a while, so that the limit may be exceeded by
 * AFIB_MEM_BATCH times the number of CPUs.
 */
#include <linux/percpu_counter.h>
#include <linux/skbuff.h>

#include "ib_proto.h"

/* So much a CPU counts for itself, bytes */
#define AFIB_MEM_BATCH	SZ_64K

/**
 * afib_mem_charge() - have memory, if there is some left
 * @sk: for whose messages
 * @bytes: how much
 *
 * Context: any.
 * Return: is there so much? Then it is for afib_mem_uncharge().
 */
bool afib_mem_charge(const struct sock *sk, u32 bytes)
{
	struct afib_net *in = afib_pernet(sock_net(sk));

	if (percpu_counter_read_positive(&in->mem) + bytes > READ_ONCE(in->set.mem_max))
		return false;
	percpu_counter_add_batch(&in->mem, bytes, AFIB_MEM_BATCH);
	return true;
}

void afib_mem_uncharge(const struct sock *sk, u32 bytes)
{
	percpu_counter_add_batch(&afib_pernet(sock_net(sk))->mem, -(s64)bytes,
				 AFIB_MEM_BATCH);
}

/* It has been sent. &sk_buff.destructor. */
void afib_mem_wfree(struct sk_buff *skb)
{
	afib_mem_uncharge(skb->sk, skb->truesize);
	sock_wfree(skb);
}

static void afib_mem_rfree(struct sk_buff *skb)
{
	afib_mem_uncharge(skb->sk, skb->truesize);
	sock_rfree(skb);
}

/**
 * afib_mem_send() - count a message that is to be sent
 * @skb: the message, which its socket owns by sock_wfree(). Freed if there is no
 *	memory left
 *
 * Context: any.
 * Return: is it counted?
 */
bool afib_mem_send(struct sk_buff *skb)
{
	if (!afib_mem_charge(skb->sk, skb->truesize)) {
		kfree_skb(skb);
		return false;
	}
	skb->destructor = afib_mem_wfree;
	return true;
}

/**
 * afib_mem_receive() - count a message that was received
 * @sk: by whom
 * @skb: the message, which is nobody's
 *
 * Context: any.
 * Return: is it counted? The socket owns it then.
 */
bool afib_mem_receive(struct sock *sk, struct sk_buff *skb)
{
	if (!afib_mem_charge(sk, skb->truesize))
		return false;
	skb_set_owner_r(skb, sk);
	skb->destructor = afib_mem_rfree;
	return true;
}
