// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: generic netlink, Documentation/netlink/specs/ib_proto.yaml
 *
 * A dump remembers the socket, and of its table the chain and the place in that, so
 * that it goes on where it was.
 */
#include "ib_proto.h"
#include "netlink_gen.h"

/* Where a dump is, in &netlink_callback.ctx */
struct afib_nl_dump {
	unsigned long sock;
	u32 bucket;
	u32 place;
};

static_assert(sizeof(struct afib_nl_dump) <= sizeof_field(struct netlink_callback, ctx));

/* What is remembered, of addresses that are known or are not. Under @is->lock. */
static int afib_nl_put_dest(struct sk_buff *skb, const struct afib_sock *is,
			    const struct afib_dest *dest)
{
	const struct afib_key *key = &dest->key;
	long left = dest->expires - jiffies;

	if (nla_put(skb, IB_PROTO_A_DEST_GID, sizeof(key->gid), &key->gid) ||
	    (key->sid && nla_put_uint(skb, IB_PROTO_A_DEST_SERVICE_ID,
				      be64_to_cpu(key->sid))) ||
	    (key->scope && nla_put_u32(skb, IB_PROTO_A_DEST_SCOPE, key->scope)) ||
	    nla_put_u32(skb, IB_PROTO_A_DEST_EXPIRES, jiffies_to_msecs(max(left, 0L))) ||
	    (is->conn == dest && nla_put_flag(skb, IB_PROTO_A_DEST_PEER)))
		return -EMSGSIZE;
	if (dest->err)
		return nla_put_u32(skb, IB_PROTO_A_DEST_ERROR, -dest->err);
	return nla_put(skb, IB_PROTO_A_DEST_LOCAL, sizeof(dest->port->gid),
		       &dest->port->gid) ?:
	       nla_put_u32(skb, IB_PROTO_A_DEST_QPN, dest->qpn);
}

static int afib_nl_put_sock(struct sk_buff *skb, const struct sock *sk,
			    struct user_namespace *user_ns)
{
	return nla_put_uint(skb, IB_PROTO_A_DEST_INODE, sock_i_ino(sk)) ?:
	       nla_put_u32(skb, IB_PROTO_A_DEST_UID,
			   from_kuid_munged(user_ns, sk_uid(sk)));
}

static int afib_nl_fill(struct sk_buff *skb, const struct genl_info *info,
			const struct afib_sock *is, const struct afib_dest *dest)
{
	void *hdr = genlmsg_iput(skb, info);

	if (!hdr)
		return -EMSGSIZE;
	if (afib_nl_put_sock(skb, &is->sk, genl_info_net(info)->user_ns) ||
	    afib_nl_put_dest(skb, is, dest)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* What is in one chain of a socket's table, from some place on */
static int afib_nl_dump_bucket(struct sk_buff *skb, const struct genl_info *info,
			       struct afib_sock *is, struct afib_nl_dump *d)
{
	struct afib_dest *dest;
	u32 place = 0;
	int err = 0;

	spin_lock_bh(&is->lock);
	hlist_for_each_entry(dest, &is->dests[d->bucket], node) {
		if (place++ < d->place)
			continue;
		err = afib_nl_fill(skb, info, is, dest);
		if (err)
			break;
		d->place++;
	}
	spin_unlock_bh(&is->lock);
	return err;
}

static int afib_nl_dump_sock(struct sk_buff *skb, const struct genl_info *info,
			     struct afib_sock *is, struct afib_nl_dump *d)
{
	int err;

	/* Connections are made to an address, and know no others */
	if (afib_is_conn(&is->sk))
		return 0;
	for (; d->bucket < IB_DEST_BUCKETS; d->bucket++, d->place = 0) {
		err = afib_nl_dump_bucket(skb, info, is, d);
		if (err)
			return err;
	}
	return 0;
}

int ib_proto_nl_dest_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct afib_nl_dump *d = (struct afib_nl_dump *)cb->ctx;
	const struct genl_info *info = genl_info_dump(cb);
	unsigned long sock = d->sock;
	struct afib_sock *is;
	int err;

	while ((is = afib_net_next(sock_net(skb->sk), &sock))) {
		if (sock != d->sock) {
			d->sock = sock;
			d->bucket = 0;
			d->place = 0;
		}
		err = afib_nl_dump_sock(skb, info, is, d);
		sock_put(&is->sk);
		if (err)
			return err;
		sock++;
		cond_resched();
	}
	d->sock = ULONG_MAX;
	return 0;
}

int afib_nl_init(void)
{
	return genl_register_family(&ib_proto_nl_family);
}

void afib_nl_exit(void)
{
	genl_unregister_family(&ib_proto_nl_family);
}
