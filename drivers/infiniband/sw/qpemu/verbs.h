/* SPDX-License-Identifier: GPL-2.0 */
/* The callbacks of struct ib_device_ops, and the file each stands in. */
#ifndef _QPEMU_VERBS_H
#define _QPEMU_VERBS_H

#include "qpemu.h"

/* main.c */
extern const struct ib_device_ops qpemu_device_ops;
/* What devices of all link layers have in common, but for @ops. Return: 0 or -ENOMEM. */
int qpemu_dev_init(struct qpemu_dev *dev, struct net_device *ndev);
void qpemu_dev_cleanup(struct qpemu_dev *dev);
int qpemu_dellink(struct ib_device *ibdev);

/* port.c: the device and its port */
int qpemu_query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
		       struct ib_udata *udata);
int qpemu_modify_device(struct ib_device *ibdev, int mask, struct ib_device_modify *attr);
int qpemu_query_port(struct ib_device *ibdev, u32 port, struct ib_port_attr *attr);
int qpemu_modify_port(struct ib_device *ibdev, u32 port, int mask,
		      struct ib_port_modify *attr);
int qpemu_query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey);
int qpemu_get_port_immutable(struct ib_device *ibdev, u32 port,
			     struct ib_port_immutable *immutable);
/* MTU of the path for datagrams, from the netdevice; may sleep. */
enum ib_mtu qpemu_port_mtu(struct qpemu_dev *dev);
enum rdma_link_layer qpemu_get_link_layer(struct ib_device *ibdev, u32 port);
int qpemu_alloc_ucontext(struct ib_ucontext *ibuc, struct ib_udata *udata);
void qpemu_dealloc_ucontext(struct ib_ucontext *ibuc);
void qpemu_disassociate_ucontext(struct ib_ucontext *ibuc);
int qpemu_alloc_pd(struct ib_pd *ibpd, struct ib_udata *udata);
int qpemu_dealloc_pd(struct ib_pd *ibpd, struct ib_udata *udata);

/* pma.c: performance management of RoCE devices */
int qpemu_process_mad(struct ib_device *ibdev, int flags, u32 port, const struct ib_wc *wc,
		      const struct ib_grh *grh, const struct ib_mad *in, struct ib_mad *out,
		      size_t *out_size, u16 *out_pkey_index);

/* ah.c */
int qpemu_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
		    struct ib_udata *udata);
int qpemu_modify_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int qpemu_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int qpemu_destroy_ah(struct ib_ah *ibah, u32 flags);
/*
 * Where an address handle leads, held; NULL if there is none of that number in
 * that protection domain. Any context.
 */
struct qpemu_av *qpemu_av_find(struct qpemu_dev *dev, const struct ib_pd *pd, u32 num);
void qpemu_av_hold(struct qpemu_av *av);
void qpemu_av_put(struct qpemu_av *av);

/* cq.c */
int qpemu_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		    struct uverbs_attr_bundle *attrs);
int qpemu_resize_cq(struct ib_cq *ibcq, unsigned int entries, struct ib_udata *udata);
int qpemu_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);
int qpemu_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int qpemu_peek_cq(struct ib_cq *ibcq, int num);
int qpemu_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);
/*
 * Add a completion; any context, qp locks held. If a handler must be called or
 * the queue has overflowed, a bit of cq->pending says so for qpemu_cq_settle().
 * Return: true if qpemu_cq_settle() must be called.
 */
bool qpemu_cq_post(struct qpemu_cq *cq, const struct ib_wc *wc, bool solicited);
/* Call handlers; no lock of the driver held. */
void qpemu_cq_settle(struct qpemu_cq *cq);

/*
 * Forget the completions of a queue pair that is reset or destroyed. Those of
 * user space are in its own hands.
 */
void qpemu_cq_clean(struct qpemu_cq *cq, const struct ib_qp *ibqp);

/* srq.c: shared receive queues */
int qpemu_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
		     struct ib_udata *udata);
int qpemu_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		     enum ib_srq_attr_mask mask, struct ib_udata *udata);
int qpemu_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
int qpemu_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata);
int qpemu_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			const struct ib_recv_wr **bad);
/*
 * As qpemu_rwqe_take(), and QPEMU_TODO_SRQ_LIMIT into *todo at the limit, or
 * QPEMU_TODO_SRQ_ERROR with -EINVAL. Any context; takes srq->lock.
 */
int qpemu_srq_take(struct qpemu_srq *srq, struct qpemu_rwqe *wqe, unsigned long *todo);

/* recv.c: receive work requests */
/*
 * Take the next one and give its slot back.
 * Context: under the queue's lock. Return: 1 taken, 0 none, -EINVAL malformed.
 */
int qpemu_rwqe_take(struct qpemu_queue *queue, u32 max_sge, struct qpemu_rwqe *wqe);
/* Bytes of a receive queue's entry with @max_sge pieces */
size_t qpemu_rwqe_size(u32 max_sge);
/* Any context. Return: 0, -EINVAL (too many pieces) or -ENOMEM (queue full). */
int qpemu_rwqe_push(struct qpemu_queue *queue, u32 max_sge, const struct ib_recv_wr *wr);
int qpemu_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		    const struct ib_recv_wr **bad);

/* mr.c, mw.c */
struct ib_mr *qpemu_get_dma_mr(struct ib_pd *ibpd, int access);
struct ib_mr *qpemu_reg_user_mr(struct ib_pd *ibpd, u64 start, u64 length, u64 iova,
				int access, struct ib_dmah *dmah, struct ib_udata *udata);
struct ib_mr *qpemu_reg_user_mr_dmabuf(struct ib_pd *ibpd, u64 offset, u64 length,
				       u64 iova, int fd, int access,
				       struct ib_dmah *dmah,
				       struct uverbs_attr_bundle *attrs);
struct ib_mr *qpemu_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length,
				  u64 iova, int access, struct ib_pd *ibpd,
				  struct ib_udata *udata);
struct ib_mr *qpemu_alloc_mr(struct ib_pd *ibpd, enum ib_mr_type type, u32 max_num_sg);
int qpemu_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int num,
		    unsigned int *offset);
int qpemu_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);
int qpemu_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata);
int qpemu_dealloc_mw(struct ib_mw *ibmw);

/* qp.c, send.c */
int qpemu_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
		    struct ib_udata *udata);
int qpemu_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		    struct ib_udata *udata);
int qpemu_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_qp_init_attr *init);
int qpemu_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata);
int qpemu_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		    const struct ib_send_wr **bad);
/* Every queue pair of a device to the error state: it goes away. May sleep. */
void qpemu_qp_error_all(struct qpemu_dev *dev);
/* By number, with a reference of qp->ref. Any context. */
struct qpemu_qp *qpemu_qp_find(struct qpemu_dev *dev, u32 qpn);

static inline void qpemu_qp_put(struct qpemu_qp *qp)
{
	qpemu_ref_put(qp->ref);
}

/* mcast.c */
int qpemu_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
int qpemu_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
/* Hand a multicast datagram to every queue pair of its group; eats @skb. */
void qpemu_mcast_rx(struct qpemu_dev *dev, struct sk_buff *skb);
void qpemu_mcast_cleanup(struct qpemu_dev *dev);

/* stats.c: "rdma -dd resource show" */
int qpemu_fill_res_qp_entry(struct sk_buff *msg, struct ib_qp *ibqp);
int qpemu_fill_res_cq_entry(struct sk_buff *msg, struct ib_cq *ibcq);
int qpemu_fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr);

#endif /* _QPEMU_VERBS_H */
