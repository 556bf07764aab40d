// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: what others are told of a queue pair
 */
#include <rdma/ib_sa.h>
#include <rdma/opa_addr.h>

#include "verbs.h"

/* The device, and the own end of the way */
static void verbs_info_device(const struct verbs_qp *v, const struct rdma_cm_id *id,
			      struct ib_diag_path *path)
{
	const struct ib_gid_attr *gid = id->route.addr.dev_addr.sgid_attr;

	strscpy_pad(path->device, dev_name(&v->dev->ibdev->dev));
	path->port = id->port_num;
	if (gid) {
		path->gid_index = gid->index;
		path->flags |= IB_DIAG_PATH_GID;
	}
}

/* The way of a connection, which is that of its request. TCP has another one. */
static void verbs_info_route(const struct rdma_cm_id *id, struct ib_diag_path *path)
{
	const struct sa_path_rec *rec = id->route.path_rec;

	if (!rec)
		return;
	path->mtu = ib_mtu_enum_to_int(rec->mtu);
	path->sl = rec->sl;
	path->tclass = rec->traffic_class;
	path->hoplimit = rec->hop_limit;
	path->flags |= IB_DIAG_PATH_ROUTE;
	if (rec->rec_type != SA_PATH_REC_TYPE_IB &&
	    rec->rec_type != SA_PATH_REC_TYPE_OPA)
		return;
	path->slid = be32_to_cpu(sa_path_get_slid((struct sa_path_rec *)rec));
	path->dlid = be32_to_cpu(sa_path_get_dlid((struct sa_path_rec *)rec));
	path->flags |= IB_DIAG_PATH_LID;
}

/* The way of datagrams */
static void verbs_info_dest(const struct verbs_ah *ah, struct qp_backend *info)
{
	struct ib_diag_path *path = &info->path;

	info->peer_qpn = ah->qpn;
	path->gid_index = ah->gid_index;
	path->sl = ah->sl;
	path->tclass = ah->tclass;
	path->hoplimit = ah->hop_limit;
	path->flags |= IB_DIAG_PATH_GID | IB_DIAG_PATH_ROUTE;
	if (ah->dlid) {
		path->dlid = ah->dlid;
		path->flags |= IB_DIAG_PATH_LID;
	}
}

/* To what was connected to, or to @dest if that is known better */
static void verbs_info_ud(struct verbs_ud *ud, const struct verbs_ah *dest,
			  struct qp_backend *info)
{
	spin_lock_bh(&ud->lock);
	if (!dest)
		dest = ud->peer;
	if (dest)
		verbs_info_dest(dest, info);
	spin_unlock_bh(&ud->lock);
}

/* &qp_proto.info */
void verbs_info(struct qp_sock *qp, void *dest, struct qp_backend *info)
{
	struct verbs_qp *v = verbs_qp(qp);

	if (timer_pending(&v->timer)) {
		info->timed = true;
		info->expires = READ_ONCE(v->timer.expires);
	}
	info->peer_qpn = READ_ONCE(v->peer_qpn);
	info->sends = READ_ONCE(v->credits);
	info->recvs = READ_ONCE(v->recv_posted) - READ_ONCE(v->recv_done);
	/* Who makes it or lets go of it may take long */
	if (!mutex_trylock(&v->teardown))
		return;
	if (v->dev && v->id) {
		verbs_info_device(v, v->id, &info->path);
		if (v->ud)
			verbs_info_ud(v->ud, dest, info);
		else if (qp_state(qp) == QP_STATE_RTS)
			verbs_info_route(v->id, &info->path);
	}
	mutex_unlock(&v->teardown);
}
