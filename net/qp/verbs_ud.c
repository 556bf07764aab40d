// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: datagrams
 *
 * A queue pair for datagrams has its device from the beginning if it is made with
 * an address, else as soon as it is to send somewhere: routing says which. Then it
 * sends and receives until it is closed or the device goes. It listens at its
 * port by the rules of rdma_cm (IBA v1 12.11, SIDR), so that who knows address and
 * port learns its number and Q_Key there.
 *
 * A device puts a header of 40 bytes in front of each datagram (IBA v1 11.4.1.2):
 * the IP header, in its last bytes, or a GRH. The header has memory of its own,
 * from which the sender's address is taken as somebody is told, so that user
 * space's memory has nothing but the data. InfiniBand's datagrams may have no GRH:
 * then one is made of the sender's LID, of version 0.
 */
#include <linux/slab.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>
#include <rdma/rdma_cm_ib.h>

#include "verbs.h"

/* Requests for a port's number that wait to be answered */
#define VERBS_UD_BACKLOG	64

/* Distance from one header to the next; none crosses a page */
#define VERBS_GRH_STRIDE	64
#define VERBS_GRHS_OF_PAGE	(PAGE_SIZE / VERBS_GRH_STRIDE)

static_assert(sizeof(union rdma_network_hdr) == IB_GRH_BYTES);
static_assert(IB_GRH_BYTES <= VERBS_GRH_STRIDE);
static_assert(QP_MAX_SGE + 1 <= U8_MAX);

/* Give a new queue pair what it needs for datagrams; 0 or -ENOMEM */
int verbs_ud_init(struct verbs_qp *v)
{
	struct verbs_ud *ud = kzalloc_obj(*ud, GFP_KERNEL_ACCOUNT);

	if (!ud)
		return -ENOMEM;
	ud->v = v;
	xa_init_flags(&ud->handles, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	spin_lock_init(&ud->lock);
	INIT_LIST_HEAD(&ud->ahs);
	INIT_LIST_HEAD(&ud->dead);
	INIT_LIST_HEAD(&ud->names);
	mutex_init(&ud->groups_lock);
	INIT_LIST_HEAD(&ud->groups);
	INIT_DELAYED_WORK(&ud->rejoin, verbs_groups_rejoin);
	v->ud = ud;
	return 0;
}

/* Any context: handles and memory are gone already */
void verbs_ud_destroy(struct verbs_ud *ud)
{
	kfree(ud);
}

/*
 * Headers
 */

/* The header of a receive of its own */
union rdma_network_hdr *verbs_ud_hdr(const struct verbs_ud *ud, u32 slot)
{
	return ud->grhs[slot / VERBS_GRHS_OF_PAGE].mem +
	       slot % VERBS_GRHS_OF_PAGE * VERBS_GRH_STRIDE;
}

static u64 verbs_grh_dma(const struct verbs_ud *ud, u32 slot)
{
	return ud->grhs[slot / VERBS_GRHS_OF_PAGE].dma +
	       slot % VERBS_GRHS_OF_PAGE * VERBS_GRH_STRIDE;
}

static int verbs_grhs_map(struct verbs_qp *v, struct verbs_grhs *g)
{
	struct ib_device *ibdev = v->dev->ibdev;

	if (!g->mem)
		g->mem = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!g->mem)
		return -ENOMEM;
	g->dma = ib_dma_map_single(ibdev, g->mem, PAGE_SIZE, DMA_FROM_DEVICE);
	if (ib_dma_mapping_error(ibdev, g->dma))
		return -ENOMEM;
	g->mapped = true;
	return 0;
}

/**
 * verbs_ud_alloc() - have memory for headers
 * @v: has a device, and knows how many receives there will be
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int verbs_ud_alloc(struct verbs_qp *v)
{
	struct verbs_ud *ud = v->ud;
	int err = 0;
	u32 i;

	if (!ud->grhs) {
		ud->max_sge = v->qp->max_sge;
		ud->nr_grhs = DIV_ROUND_UP(v->nr_recvs, VERBS_GRHS_OF_PAGE);
		ud->grhs = kvcalloc(ud->nr_grhs, sizeof(*ud->grhs),
				    GFP_KERNEL_ACCOUNT);
		ud->lists = kvcalloc(v->nr_recvs, (ud->max_sge + 1) *
				     sizeof(*ud->lists), GFP_KERNEL_ACCOUNT);
		ud->lens = kvcalloc(v->nr_recvs, sizeof(*ud->lens),
				    GFP_KERNEL_ACCOUNT);
	}
	if (!ud->grhs || !ud->lists || !ud->lens) {
		verbs_ud_free(ud);
		return -ENOMEM;
	}
	for (i = 0; i < ud->nr_grhs && !err; i++)
		err = verbs_grhs_map(v, &ud->grhs[i]);
	return err;
}

/* Nobody is told of receives any more, and there is no device */
void verbs_ud_free(struct verbs_ud *ud)
{
	u32 i;

	for (i = 0; ud->grhs && i < ud->nr_grhs; i++)
		free_page((unsigned long)ud->grhs[i].mem);
	kvfree(ud->grhs);
	kvfree(ud->lists);
	kvfree(ud->lens);
	ud->grhs = NULL;
	ud->lists = NULL;
	ud->lens = NULL;
}

static struct ib_sge *verbs_ud_slot_list(struct verbs_ud *ud, u32 slot)
{
	return &ud->lists[slot * (ud->max_sge + 1)];
}

/**
 * verbs_ud_list() - the list of a receive as the device is given it
 * @ud: whose
 * @slot: of the receive
 * @sge: list for the data, at most max_sge entries; NULL: it is there already
 * @num_sge: entries in @sge
 * @list: where to put the list
 *
 * Context: under recv_lock.
 * Return: entries in it.
 */
u32 verbs_ud_list(struct verbs_ud *ud, u32 slot, const struct ib_sge *sge,
		  u32 num_sge, struct ib_sge **list)
{
	struct ib_sge *l = verbs_ud_slot_list(ud, slot);

	l[0] = (struct ib_sge){
		.addr = verbs_grh_dma(ud, slot),
		.length = IB_GRH_BYTES,
		.lkey = ud->v->dom->pd->local_dma_lkey,
	};
	if (sge) {
		memcpy(l + 1, sge, num_sge * sizeof(*l));
		ud->lens[slot] = num_sge + 1;
	}
	*list = l;
	return ud->lens[slot];
}

/* Let a receive have the list of another one, for verbs_ud_list() */
void verbs_ud_move(struct verbs_ud *ud, u32 from, u32 to)
{
	if (from == to)
		return;
	memcpy(verbs_ud_slot_list(ud, to), verbs_ud_slot_list(ud, from),
	       ud->lens[from] * sizeof(*ud->lists));
	ud->lens[to] = ud->lens[from];
}

/* A datagram has come. Softirq, under recv_lock, with the device. */
void verbs_ud_arrived(struct verbs_ud *ud, u32 slot)
{
	ib_dma_sync_single_for_cpu(ud->v->dev->ibdev, verbs_grh_dma(ud, slot),
				   IB_GRH_BYTES, DMA_FROM_DEVICE);
}

/* Was there none, so that all that is known of the sender is its LID? */
static bool verbs_ud_lid_only(const struct verbs_ud *ud,
			      const union rdma_network_hdr *hdr)
{
	return ud->native && !hdr->ibgrh.version_tclass_flow;
}

/**
 * verbs_ud_complete() - have a header, even if the datagram came without one
 * @ud: who received it
 * @hdr: the header
 * @wc: what the device says of the datagram
 *
 * Context: any.
 */
void verbs_ud_complete(const struct verbs_ud *ud, union rdma_network_hdr *hdr,
		       const struct ib_wc *wc)
{
	const struct verbs_transport *t;

	if (!ud->native || wc->wc_flags & IB_WC_GRH)
		return;
	t = verbs_transport_by_id(READ_ONCE(ud->v->qp->proto)->id);
	memset(hdr, 0, sizeof(*hdr));
	hdr->ibgrh.dgid = ud->gid;
	hdr->ibgrh.sgid.global.subnet_prefix = ud->gid.global.subnet_prefix;
	hdr->ibgrh.sgid.global.interface_id = t->lid_gid(wc->slid);
}

/* The addresses in a header, if there are some */
static bool verbs_ud_gids(const struct verbs_ud *ud,
			  const union rdma_network_hdr *hdr,
			  union ib_gid *sgid, union ib_gid *dgid)
{
	enum rdma_network_type type = RDMA_NETWORK_IPV6;

	if (ud->native) {
		*sgid = hdr->ibgrh.sgid;
		*dgid = hdr->ibgrh.dgid;
		return true;
	}
	if (!ud->ip)
		return false;
	if (ib_get_rdma_header_version(hdr) == 4)
		type = RDMA_NETWORK_IPV4;
	return !ib_get_gids_from_rdma_hdr(hdr, type, sgid, dgid);
}

/* Was it sent here, to a group from which one's own messages are not wanted? */
bool verbs_ud_own(struct verbs_ud *ud, const union rdma_network_hdr *hdr,
		  const struct ib_wc *wc)
{
	union ib_gid sgid, dgid;

	return wc->src_qp == ud->v->ibqp->qp_num &&
	       verbs_ud_gids(ud, hdr, &sgid, &dgid) &&
	       !memcmp(&sgid, &ud->gid, sizeof(sgid)) &&
	       !verbs_group_loop(ud, &dgid);
}

/**
 * verbs_ud_info() - what the header of a datagram says
 * @ud: who received it
 * @hdr: the header
 * @skb: the message; it is put there. &qp_rmsg.flags says whether it is known
 *
 * Context: any.
 */
void verbs_ud_info(const struct verbs_ud *ud, const union rdma_network_hdr *hdr,
		   struct sk_buff *skb)
{
	struct qp_rmsg *m = QP_RMSG(skb);

	skb->skb_iif = ud->ifindex;
	if (!verbs_ud_gids(ud, hdr, (union ib_gid *)m->sgid,
			   (union ib_gid *)m->dgid))
		return;
	m->flags |= QP_CQE_SRC;
	m->pkey = verbs_addr_pkey(&ud->v->local);
	if (verbs_ud_lid_only(ud, hdr)) {
		m->flags |= QP_RMSG_LID;
	} else if (!ud->native && ib_get_rdma_header_version(hdr) == 4) {
		m->tclass = hdr->roce4grh.tos;
		m->hop_limit = hdr->roce4grh.ttl;
	} else {
		m->tclass = be32_to_cpu(hdr->ibgrh.version_tclass_flow) >> 20;
		m->hop_limit = hdr->ibgrh.hop_limit;
	}
}

/**
 * verbs_ud_src() - who sent a datagram
 * @ud: who received it
 * @slot: of the receive
 * @src: where to put the address, of family 0 if that is not known
 *
 * Context: under recv_lock.
 */
void verbs_ud_src(const struct verbs_ud *ud, u32 slot, union verbs_src *src)
{
	union ib_gid sgid, dgid;

	memset(src, 0, sizeof(*src));
	if (!verbs_ud_gids(ud, verbs_ud_hdr(ud, slot), &sgid, &dgid))
		return;
	if (ud->native) {
		src->ib.sib_family = AF_IB;
		src->ib.sib_pkey = htons(verbs_addr_pkey(&ud->v->local));
		memcpy(&src->ib.sib_addr, &sgid, sizeof(sgid));
		return;
	}
	rdma_gid2ip(&src->sa, &sgid);
	if (src->sa.sa_family == AF_INET6 &&
	    ipv6_addr_type(&src->in6.sin6_addr) & IPV6_ADDR_LINKLOCAL)
		src->in6.sin6_scope_id = ud->ifindex;
}

/*
 * The device
 */

/*
 * Who asks at the port is told the number, unless it is of another partition. The
 * request's id ends with that.
 */
static int verbs_ud_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct verbs_qp *v = id->context;
	struct rdma_conn_param param = {
		.qp_num	= v->qp->port_qpn,
		.qkey	= v->qp->port_qkey,
	};

	if (event->event != RDMA_CM_EVENT_CONNECT_REQUEST)
		return 0;
	if (verbs_same_partition(&id->route.addr.src_addr, &v->local))
		rdma_accept(id, &param);
	else
		rdma_reject(id, NULL, 0, 0);
	return 1;
}

/* What a packet holds */
static int verbs_ud_mtu(struct verbs_qp *v, const struct rdma_cm_id *id)
{
	struct ib_port_attr attr;
	int err;

	/* To rdma_cm a loopback address is no more than any other */
	if (!id->device)
		return -ENODEV;
	err = ib_query_port(id->device, id->port_num, &attr);
	if (!err)
		WRITE_ONCE(v->qp->max_msg, ib_mtu_enum_to_int(attr.active_mtu));
	return err;
}

/* A Q_Key of its own, or that of rdma_cm's port space for datagrams */
static int verbs_ud_qkey(struct verbs_qp *v)
{
	struct ib_qp_attr attr = { .qkey = v->qp->port_qkey };

	if (attr.qkey)
		return ib_modify_qp(v->ibqp, &attr, IB_QP_QKEY);
	WRITE_ONCE(v->qp->port_qkey, RDMA_UDP_QKEY);
	return 0;
}

static int verbs_ud_up(struct verbs_qp *v, struct rdma_cm_id *id)
{
	struct verbs_ud *ud = v->ud;
	int err;

	err = verbs_ud_mtu(v, id);
	if (!err)
		err = verbs_attach(v, id);
	if (err)
		return err;
	rdma_read_gids(id, &ud->gid, NULL);
	ud->ifindex = id->route.addr.dev_addr.bound_dev_if;
	ud->ip = rdma_protocol_roce(id->device, id->port_num);
	ud->native = id->route.addr.src_addr.ss_family == AF_IB;
	err = verbs_make_qp(v, id);
	if (!err)
		err = verbs_ud_qkey(v);
	/* Who is in the kernel has a service of its own */
	if (!err && !v->qp->user)
		err = rdma_listen(id, VERBS_UD_BACKLOG);
	if (err)
		return verbs_port_err(err);
	v->local = id->route.addr.src_addr;
	verbs_set_phase(v, VERBS_UP);
	qp_set_state(v->qp, QP_STATE_RTS);
	return 0;
}

/* Have a device that has @src, and a queue pair of it */
static int verbs_ud_open(struct verbs_qp *v, struct sockaddr_storage *src)
{
	const struct qp_proto *any = v->qp->proto;
	struct net *net = sock_net(&v->qp->sk);
	struct rdma_cm_id *id;
	int err;

	id = rdma_create_id(net, verbs_ud_handler, v, RDMA_PS_UDP, IB_QPT_UD);
	if (IS_ERR(id))
		return PTR_ERR(id);
	err = verbs_bind_id(net, id, verbs_transport_by_id(any->id), src,
			    &v->emul);
	if (err) {
		rdma_destroy_id(id);
		return err;
	}
	mutex_lock(&v->teardown);
	v->id = id;
	err = verbs_ud_up(v, id);
	mutex_unlock(&v->teardown);
	if (!err) {
		verbs_recv_run(v);
		qp_wake(v->qp, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
		return 0;
	}
	verbs_detach(v);
	verbs_emul_put(v->emul, net);
	v->emul = NULL;
	WRITE_ONCE(v->qp->proto, any);
	WRITE_ONCE(v->qp->opcodes, qp_proto_opcodes(any, v->qp->type));
	return err;
}

/**
 * verbs_ud_start() - begin to send and receive, unless that was done
 * @v: whose
 * @dst: who it is to talk to, for choosing the device; NULL if it is bound to an
 *	address
 *
 * Context: process, may sleep; that of the process whose memory is registered.
 * Return: 0; -ENETDOWN (the device has gone), or as binding says: -ENETUNREACH,
 * -EADDRINUSE, -ENODEV and the like.
 */
int verbs_ud_start(struct verbs_qp *v, const struct sockaddr_storage *dst)
{
	struct sock *sk = &v->qp->sk;
	struct sockaddr_storage src;
	int err = 0;

	mutex_lock(&v->attempt);
	switch (qp_state(v->qp)) {
	case QP_STATE_IDLE:
		src = v->local;
		if (!src.ss_family || verbs_addr_any(&src))
			err = verbs_set_out(sock_net(sk), sk->sk_bound_dev_if,
					    &v->local, dst, &src);
		if (!err)
			err = verbs_ud_open(v, &src);
		break;
	case QP_STATE_RTS:
		break;
	default:
		err = -ENETDOWN;
	}
	mutex_unlock(&v->attempt);
	return err;
}

/**
 * struct verbs_marker - a send that comes back after all others
 * @cqe: how its completion finds it
 * @done: it has come back
 */
struct verbs_marker {
	struct ib_cqe cqe;
	struct completion done;
};

static void verbs_marker_cqe(struct ib_cq *cq, struct ib_wc *wc)
{
	struct verbs_marker *m = container_of(wc->wr_cqe, struct verbs_marker,
					      cqe);

	complete(&m->done);
}

/* Where a message goes that the device has, referenced, or NULL */
static struct verbs_ah *verbs_ud_posted(struct verbs_qp *v)
{
	struct verbs_ah *ah = NULL;
	struct qp_wr *wr;

	spin_lock_bh(&v->send_lock);
	wr = list_first_entry_or_null(&v->posted, struct qp_wr, node);
	if (wr) {
		ah = wr->dest;
		refcount_inc(&ah->ref);
	}
	spin_unlock_bh(&v->send_lock);
	return ah;
}

/**
 * verbs_ud_drain() - wait until the device has completed what it has
 * @v: whose; the device flushes, and is given nothing any more
 *
 * ib_drain_qp() would send a WRITE. If the device has no message there is none to
 * wait for.
 *
 * Context: process, may sleep.
 */
void verbs_ud_drain(struct verbs_qp *v)
{
	struct verbs_marker m = { .cqe.done = verbs_marker_cqe };
	struct ib_ud_wr wr = {
		.wr.wr_cqe	= &m.cqe,
		.wr.opcode	= IB_WR_SEND,
		.wr.send_flags	= IB_SEND_SIGNALED,
		.remote_qpn	= v->ibqp->qp_num,
		.remote_qkey	= v->qp->port_qkey,
	};

	struct verbs_ah *ah;

	init_completion(&m.done);
	if (!v->ud->pool)
		ib_drain_rq(v->ibqp);
	ah = verbs_ud_posted(v);
	if (!ah)
		return;
	wr.ah = ah->ib;
	if (!ib_post_send(v->ibqp, &wr.wr, NULL))
		wait_for_completion(&m.done);
	verbs_ah_put(ah);
}

/**
 * verbs_ud_detach() - let go of what the device has
 * @v: whose; the device's queue pair, if there is one, has been drained
 *
 * Context: process, may sleep; @v->teardown is held.
 */
void verbs_ud_detach(struct verbs_qp *v)
{
	struct verbs_ud *ud = v->ud;
	struct verbs_grhs *g;
	u32 i;

	lockdep_assert_held(&v->teardown);
	verbs_groups_detach(ud);
	verbs_ah_detach(ud);
	for (i = 0; ud->grhs && i < ud->nr_grhs; i++) {
		g = &ud->grhs[i];
		if (g->mapped)
			ib_dma_unmap_single(v->dev->ibdev, g->dma, PAGE_SIZE,
					    DMA_FROM_DEVICE);
		g->mapped = false;
	}
}

const struct qp_ud_ops verbs_ud_ops = {
	.dest		= verbs_dest,
	.dest_get	= verbs_dest_get,
	.dest_put	= verbs_dest_put,
	.ah_create	= verbs_ah_create,
	.ah_destroy	= verbs_ah_destroy,
	.join		= verbs_join,
	.leave		= verbs_leave,
	.resolve	= verbs_resolve_attr,
	.route		= verbs_ud_route,
	.has_pkey	= verbs_native_pkey,
	.serve		= verbs_serve,
	.unserve	= verbs_unserve,
	.connect	= verbs_ud_connect,
};
