// SPDX-License-Identifier: GPL-2.0
/* Counters, and what "rdma -dd resource show" tells of an object */
#include <rdma/restrack.h>

#include <net/netlink.h>
#include <rdma/rdma_netlink.h>

#include "verbs.h"

/* Where rxe counts the same thing, the name is the same. */
static const struct rdma_stat_desc names[] = {
	[QPEMU_SENT_PKTS].name		= "sent_pkts",
	[QPEMU_RCVD_PKTS].name		= "rcvd_pkts",
	[QPEMU_SENT_SUPER].name		= "sent_super_pkts",
	[QPEMU_RCVD_SUPER].name		= "rcvd_super_pkts",
	[QPEMU_SENT_BYTES].name		= "sent_bytes",
	[QPEMU_RCVD_BYTES].name		= "rcvd_bytes",
	[QPEMU_DUP_REQ].name		= "duplicate_request",
	[QPEMU_OUT_OF_SEQ].name		= "out_of_seq_request",
	[QPEMU_RCVD_RNR].name		= "rcvd_rnr_err",
	[QPEMU_SENT_RNR].name		= "send_rnr_err",
	[QPEMU_RCVD_SEQ_ERR].name	= "rcvd_seq_err",
	[QPEMU_TIMEOUTS].name		= "timeouts",
	[QPEMU_RETRY_EXCEEDED].name	= "retry_exceeded_err",
	[QPEMU_RNR_EXCEEDED].name	= "retry_rnr_exceeded_err",
	[QPEMU_REPEATED].name		= "repeated_pkts",
	[QPEMU_SEND_ERR].name		= "send_err",
	[QPEMU_ICRC_ERR].name		= "rcvd_icrc_err",
	[QPEMU_MALFORMED].name		= "rcvd_malformed",
	[QPEMU_NO_QP].name		= "rcvd_no_qp",
	[QPEMU_BAD_ADDR].name		= "rcvd_bad_addr",
	[QPEMU_BAD_PKEY].name		= "rcvd_bad_pkey",
	[QPEMU_BAD_QKEY].name		= "rcvd_bad_qkey",
	[QPEMU_NO_RWQE].name		= "rcvd_no_recv",
	[QPEMU_EARLY_KEPT].name		= "rcvd_early_kept",
	[QPEMU_EARLY_DROPS].name	= "rcvd_early_drops",
	[QPEMU_SENDS].name		= "rdma_sends",
	[QPEMU_RECVS].name		= "rdma_recvs",
	[QPEMU_LINK_DOWNED].name	= "link_downed",
};

static_assert(ARRAY_SIZE(names) == QPEMU_NUM_COUNTERS);

struct rdma_hw_stats *qpemu_alloc_hw_port_stats(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(names, ARRAY_SIZE(names),
					  RDMA_HW_STATS_DEFAULT_LIFESPAN);
}

int qpemu_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
		       u32 port, int index)
{
	const struct qpemu_dev *dev = to_qdev(ibdev);
	int cpu, i;

	if (!port || !stats)
		return -EINVAL;
	for (i = 0; i < QPEMU_NUM_COUNTERS; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->value[i]);
		stats->value[i] = sum;
	}
	return QPEMU_NUM_COUNTERS;
}

struct figure {
	const char *name;
	u32 value;
};

static int put_figures(struct sk_buff *msg, const struct figure *figure, int num)
{
	struct nlattr *table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	int i;

	if (!table)
		return -EMSGSIZE;
	for (i = 0; i < num; i++) {
		if (rdma_nl_put_driver_u32(msg, figure[i].name, figure[i].value)) {
			nla_nest_cancel(msg, table);
			return -EMSGSIZE;
		}
	}
	nla_nest_end(msg, table);
	return 0;
}

/* The figures are of one moment each, not all of the same one. */
int qpemu_fill_res_qp_entry(struct sk_buff *msg, struct ib_qp *ibqp)
{
	const struct qpemu_qp *qp = to_qqp(ibqp);
	const struct figure figures[] = {
		{ "mtu", qp->mtu },
		{ "sq_next_psn", qp->sq.psn },
		{ "sq_una_psn", qp->sq.una },
		{ "sq_end_psn", qp->sq.end },
		{ "sq_window", qp->sq.window },
		{ "sq_outstanding", qp->sq.num_wqes },
		{ "sq_rd_atomic", qp->sq.rd_atomic },
		{ "sq_retries_left", qp->sq.retries },
		{ "sq_rnr_retries_left", qp->sq.rnr_retries },
		{ "rq_next_psn", qp->rq.psn },
		{ "rq_msn", qp->rq.msn },
		{ "sq_early", skb_queue_len_lockless(&qp->sq.order.skbs) },
		{ "rq_early", skb_queue_len_lockless(&qp->rq.order.skbs) },
	};

	return put_figures(msg, figures, ARRAY_SIZE(figures));
}

int qpemu_fill_res_cq_entry(struct sk_buff *msg, struct ib_cq *ibcq)
{
	struct qpemu_cq *cq = to_qcq(ibcq);
	const struct figure figures[] = {
		{ "used", qpemu_peek_cq(ibcq, INT_MAX) },
		{ "armed", cq->notify },
		{ "dead", cq->dead },
	};

	return put_figures(msg, figures, ARRAY_SIZE(figures));
}

int qpemu_fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct qpemu_mr *mr = to_qmr(ibmr);
	const struct qpemu_region *region = mr->region;
	const struct figure figures[] = {
		{ "valid", region->state == QPEMU_REGION_VALID },
		{ "windows", atomic_read(&mr->num_windows) },
		{ "pages", mr->pages.num },
		{ "on_demand", !!mr->odp },
		{ "access", region->access },
	};

	return put_figures(msg, figures, ARRAY_SIZE(figures));
}
