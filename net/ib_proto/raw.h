/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PF_IB: packets
 *
 *	raw.c		the socket
 *	raw_roce.c	packets of RoCEv2
 *	raw_native.c	packets of InfiniBand's own ports
 */
#ifndef _IB_PROTO_RAW_H
#define _IB_PROTO_RAW_H

#include <linux/netdevice.h>
#include <net/ib_netdev.h>
#include <net/roce.h>

#include "ib_proto.h"

#define AFIB_RAW_QPN		0x00ffffff

/**
 * struct afib_raw - a socket of the type SOCK_RAW
 * @is: first member; of it names, options and destinations are used. The service ID
 *	of &afib_sock.local has the number of a queue pair: that which packets are for,
 *	or 0 for any
 * @native: it is bound to an address of InfiniBand's own port; under &afib_sock.lock
 * @hooks: how it sees packets of RoCEv2 that come: by IPv4, by IPv6
 * @listener: and those of InfiniBand's own ports
 */
struct afib_raw {
	struct afib_sock is;
	bool native;
	struct packet_type hooks[2];
	struct ib_netdev_listener listener;
};

static inline struct afib_raw *afib_raw(const struct sock *sk)
{
	return (struct afib_raw *)sk;
}

/* raw.c */
bool afib_raw_wanted(struct sock *sk, const struct net_device *dev,
		     const struct qp_rmsg *m);
void afib_raw_copy(struct sock *sk, struct sk_buff *skb, unsigned int mac,
		   void (*one)(struct sock *sk, struct sk_buff *skb));
void afib_raw_receive(struct sock *sk, struct sk_buff *skb, const struct qp_rmsg *m);

/* raw_roce.c */
void afib_raw_roce_start(struct afib_raw *raw);
void afib_raw_roce_stop(struct afib_raw *raw);
int afib_raw_roce_send(struct sock *sk, struct msghdr *msg, size_t len,
		       const struct sockaddr_ib *to, const struct afib_opts *opts);
bool afib_raw_roce_own(struct net *net, const struct sockaddr_ib *addr);

/* raw_native.c */
void afib_raw_native_start(struct afib_raw *raw);
void afib_raw_native_stop(struct afib_raw *raw);
bool afib_raw_native_own(struct net *net, const struct ib_addr *gid);
bool afib_raw_native_leads(struct afib_raw *raw, const struct sockaddr_ib *to);
int afib_raw_native_send(struct sock *sk, struct msghdr *msg, size_t len,
			 const struct sockaddr_ib *to, const struct afib_opts *opts);
int afib_raw_native_bind(struct afib_sock *is, const struct sockaddr_ib *addr, u16 pkey);

#endif /* _IB_PROTO_RAW_H */
