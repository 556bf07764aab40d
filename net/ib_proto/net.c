// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: sockets of a network namespace, /proc/net/ib
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "ib_proto.h"

static unsigned int afib_net_id __read_mostly;

struct afib_net *afib_pernet(const struct net *net)
{
	return net_generic(net, afib_net_id);
}

struct afib_mib __percpu *afib_net_mib(const struct net *net)
{
	return afib_pernet(net)->mib;
}

/* Count one more, unless that would be more than @limit */
static bool afib_net_count(atomic_t *count, unsigned int limit)
{
	if ((unsigned int)atomic_inc_return(count) <= limit)
		return true;
	atomic_dec(count);
	return false;
}

/* It is closed, and has something to send: may it? Process context. */
bool afib_net_orphan(struct afib_conn *c)
{
	struct afib_net *in = afib_pernet(sock_net(&c->is.sk));

	c->orphan = afib_net_count(&in->nr_orphans, READ_ONCE(in->set.max_orphans));
	return c->orphan;
}

/* Show a socket that has its parts; 0, -ENOBUFS or -ENOMEM */
int afib_net_add(struct afib_sock *is)
{
	struct afib_net *in = afib_pernet(sock_net(&is->sk));
	int err;

	if (!afib_net_count(&in->nr_socks, READ_ONCE(in->set.max_sockets)))
		return -ENOBUFS;
	is->mib = in->mib;
	err = xa_alloc_cyclic(&in->socks, &is->id, is, XA_LIMIT(1, INT_MAX),
			      &in->next_id, GFP_KERNEL_ACCOUNT);
	if (err < 0)
		atomic_dec(&in->nr_socks);
	return min(err, 0);
}

/* Before its last reference goes */
void afib_net_del(struct afib_sock *is)
{
	struct afib_net *in = afib_pernet(sock_net(&is->sk));

	xa_erase(&in->socks, is->id);
	atomic_dec(&in->nr_socks);
	if (afib_is_conn(&is->sk) && afib_conn(&is->sk)->orphan)
		atomic_dec(&in->nr_orphans);
}

/**
 * afib_net_next() - the next socket of a network namespace
 * @net: the network namespace
 * @id: its number, or that from which on to look; that of the socket comes back
 *
 * Context: process.
 * Return: the socket, referenced; NULL if there are no more.
 */
struct afib_sock *afib_net_next(struct net *net, unsigned long *id)
{
	struct xarray *socks = &afib_pernet(net)->socks;
	struct afib_sock *is;

	xa_lock(socks);
	is = xa_find(socks, id, ULONG_MAX, XA_PRESENT);
	if (is)
		sock_hold(&is->sk);
	xa_unlock(socks);
	return is;
}

#ifdef CONFIG_PROC_FS
/* Position 0 is the heading, others are numbers of sockets */
static void *afib_seq_find(struct seq_file *seq, loff_t *pos)
{
	unsigned long id = *pos;
	struct afib_sock *is = afib_net_next(seq_file_net(seq), &id);

	*pos = id;
	return is;
}

static void *afib_seq_start(struct seq_file *seq, loff_t *pos)
{
	return *pos ? afib_seq_find(seq, pos) : SEQ_START_TOKEN;
}

static void afib_seq_stop(struct seq_file *seq, void *v)
{
	struct afib_sock *is = v;

	if (v && v != SEQ_START_TOKEN)
		sock_put(&is->sk);
}

static void *afib_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	afib_seq_stop(seq, v);
	++*pos;
	return afib_seq_find(seq, pos);
}

static void afib_seq_addr(struct seq_file *seq, const struct sockaddr_ib *addr)
{
	seq_printf(seq, " %pI6c/%016llx", &addr->sib_addr,
		   be64_to_cpu(addr->sib_sid));
}

static int afib_seq_show(struct seq_file *seq, void *v)
{
	struct sockaddr_ib local, peer;
	struct afib_sock *is = v;
	struct sock *sk;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "sl type state local-gid/sid peer-gid/sid qpn rx_queue tx_queue drops uid inode ref\n");
		return 0;
	}
	sk = &is->sk;
	seq_printf(seq, "%u %d %02X", is->id, sk->sk_type, afib_state(sk));
	afib_names(is, &local, &peer);
	afib_seq_addr(seq, &local);
	afib_seq_addr(seq, &peer);
	seq_printf(seq, " %u %d %d %d %u %llu %d\n", afib_qpn(is),
		   sk_rmem_alloc_get(sk), sk_wmem_alloc_get(sk),
		   sk_drops_read(sk),
		   from_kuid_munged(seq_user_ns(seq), sk_uid(sk)),
		   sock_i_ino(sk), refcount_read(&sk->sk_refcnt) - 1);
	return 0;
}

static const struct seq_operations afib_seq_ops = {
	.start	= afib_seq_start,
	.next	= afib_seq_next,
	.stop	= afib_seq_stop,
	.show	= afib_seq_show,
};
#endif

static int __net_init afib_net_start(struct net *net)
{
	struct afib_net *in = afib_pernet(net);
	int err;

	xa_init_flags(&in->socks, XA_FLAGS_ALLOC1);
	mutex_init(&in->services_lock);
	INIT_LIST_HEAD(&in->services);
	in->mib = afib_stats_alloc();
	if (!in->mib)
		return -ENOMEM;
	err = percpu_counter_init(&in->mem, 0, GFP_KERNEL);
	if (err)
		goto free_mib;
	err = afib_sysctl_init(net, in);
	if (err)
		goto destroy_mem;
#ifdef CONFIG_PROC_FS
	if (!proc_create_net("ib", 0444, net->proc_net, &afib_seq_ops,
			     sizeof(struct seq_net_private))) {
		err = -ENOMEM;
		goto exit_sysctl;
	}
#endif
	return 0;

exit_sysctl: __maybe_unused
	afib_sysctl_exit(in);
destroy_mem:
	percpu_counter_destroy(&in->mem);
free_mib:
	free_percpu(in->mib);
	return err;
}

static void __net_exit afib_net_stop(struct net *net)
{
	struct afib_net *in = afib_pernet(net);

	remove_proc_entry("ib", net->proc_net);
	afib_sysctl_exit(in);
	WARN_ON_ONCE(!xa_empty(&in->socks));
	WARN_ON_ONCE(percpu_counter_sum(&in->mem));
	percpu_counter_destroy(&in->mem);
	free_percpu(in->mib);
}

static struct pernet_operations afib_net_ops = {
	.init	= afib_net_start,
	.exit	= afib_net_stop,
	.id	= &afib_net_id,
	.size	= sizeof(struct afib_net),
};

int __init afib_net_init(void)
{
	return register_pernet_subsys(&afib_net_ops);
}

void afib_net_exit(void)
{
	unregister_pernet_subsys(&afib_net_ops);
}
