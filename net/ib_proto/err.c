// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: errors that no call is there to return
 *
 * They are pending on the socket, and with IB_RECVERR the message that could not
 * be sent is in its error queue, with the address that it was for in front.
 */
#include <linux/errqueue.h>
#include <linux/skbuff.h>

#include "ib_proto.h"
#include "stats.h"

static_assert(sizeof(struct sockaddr_ib) == IB_ERR_ROOM);

/* Tell of an error. Any context. */
void afib_sock_error(struct afib_sock *is, int err)
{
	WRITE_ONCE(is->sk.sk_err, -err);
	sk_error_report(&is->sk);
}

/* Put the message into the error queue; it is consumed if there is room */
static int afib_err_queue(struct afib_sock *is, struct sk_buff *skb, int err)
{
	struct sock_exterr_skb *serr = SKB_EXT_ERR(skb);
	struct afib_key key = *IB_KEY(skb);
	struct sockaddr_ib *addr;

	addr = skb_push(skb, IB_ERR_ROOM);
	afib_addr_make(addr, &key.gid, key.pkey, key.scope, be64_to_cpu(key.sid));
	__skb_pull(skb, IB_ERR_ROOM);
	memset(serr, 0, sizeof(*serr));
	serr->ee.ee_errno = -err;
	serr->ee.ee_origin = SO_EE_ORIGIN_LOCAL;
	return sock_queue_err_skb(&is->sk, skb);
}

/**
 * afib_err_message() - a message could not be sent
 * @is: the socket
 * @skb: the message, with IB_ERR_ROOM in front and IB_KEY(); consumed
 * @err: why
 *
 * Context: process or softirq.
 */
void afib_err_message(struct afib_sock *is, struct sk_buff *skb, int err)
{
	if (!READ_ONCE(is->recverr) || afib_err_queue(is, skb, err))
		kfree_skb(skb);
	afib_count(is, AFIB_MIB_OUTERRORS);
	afib_sock_error(is, err);
}

/* recvmsg() with MSG_ERRQUEUE; returns the bytes of the message, or -EAGAIN */
int afib_err_recvmsg(struct sock *sk, struct msghdr *msg, size_t len)
{
	struct sock_exterr_skb *serr;
	struct sk_buff *skb;
	int err;

	skb = sock_dequeue_err_skb(sk);
	if (!skb)
		return -EAGAIN;
	if (len < skb->len)
		msg->msg_flags |= MSG_TRUNC;
	len = min_t(size_t, len, skb->len);
	err = skb_copy_datagram_msg(skb, 0, msg, len);
	if (!err) {
		serr = SKB_EXT_ERR(skb);
		put_cmsg(msg, SOL_IB, IB_RECVERR, sizeof(serr->ee), &serr->ee);
		if (msg->msg_name) {
			memcpy(msg->msg_name, skb->data - IB_ERR_ROOM,
			       IB_ERR_ROOM);
			msg->msg_namelen = IB_ERR_ROOM;
		}
		msg->msg_flags |= MSG_ERRQUEUE;
	}
	consume_skb(skb);
	return err ?: len;
}
