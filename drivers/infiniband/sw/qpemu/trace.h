/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM qpemu

#if !defined(_QPEMU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _QPEMU_TRACE_H

#include <linux/tracepoint.h>
#include <rdma/ib_verbs.h>

#include "packet.h"

/* A packet (or a super-packet: num is how many it stands for) goes out. */
TRACE_EVENT(qpemu_send,
	TP_PROTO(const struct qpemu_qp *qp, const struct qpemu_bth *bth, u32 length, u32 num),
	TP_ARGS(qp, bth, length, num),
	TP_STRUCT__entry(
		__string(dev, dev_name(&qp->ibqp.device->dev))
		__field(u32, qpn)
		__field(u32, dest)
		__field(u32, psn)
		__field(u32, length)
		__field(u32, num)
		__field(u8, opcode)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->qpn = qp->ibqp.qp_num;
		__entry->dest = bth->dest_qpn;
		__entry->psn = bth->psn;
		__entry->length = length;
		__entry->num = num;
		__entry->opcode = bth->opcode;
	),
	TP_printk("%s qp %u to %u opcode %#x psn %#x num %u length %u", __get_str(dev),
		  __entry->qpn, __entry->dest, __entry->opcode, __entry->psn, __entry->num,
		  __entry->length)
);

/* A packet has come for a queue pair. */
TRACE_EVENT(qpemu_receive,
	TP_PROTO(const struct qpemu_qp *qp, const struct qpemu_pkt *pkt),
	TP_ARGS(qp, pkt),
	TP_STRUCT__entry(
		__string(dev, dev_name(&qp->ibqp.device->dev))
		__field(u32, qpn)
		__field(u32, psn)
		__field(u32, length)
		__field(u32, num)
		__field(u8, opcode)
		__field(u8, syndrome)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->qpn = qp->ibqp.qp_num;
		__entry->psn = pkt->psn;
		__entry->length = pkt->length;
		__entry->num = pkt->num;
		__entry->opcode = pkt->opcode;
		__entry->syndrome = pkt->op->flags & QPEMU_OP_AETH ? pkt->syndrome : 0;
	),
	TP_printk("%s qp %u opcode %#x psn %#x num %u length %u syndrome %#x",
		  __get_str(dev), __entry->qpn, __entry->opcode, __entry->psn,
		  __entry->num, __entry->length, __entry->syndrome)
);

TRACE_EVENT(qpemu_state,
	TP_PROTO(const struct qpemu_qp *qp, u8 from, u8 to),
	TP_ARGS(qp, from, to),
	TP_STRUCT__entry(
		__string(dev, dev_name(&qp->ibqp.device->dev))
		__field(u32, qpn)
		__field(u8, from)
		__field(u8, to)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->qpn = qp->ibqp.qp_num;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("%s qp %u state %u to %u", __get_str(dev), __entry->qpn, __entry->from,
		  __entry->to)
);

/* The requester goes back to a PSN. */
TRACE_EVENT(qpemu_retry,
	TP_PROTO(const struct qpemu_qp *qp, u32 psn, const char *why),
	TP_ARGS(qp, psn, why),
	TP_STRUCT__entry(
		__string(dev, dev_name(&qp->ibqp.device->dev))
		__string(why, why)
		__field(u32, qpn)
		__field(u32, psn)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(why);
		__entry->qpn = qp->ibqp.qp_num;
		__entry->psn = psn;
	),
	TP_printk("%s qp %u psn %#x: %s", __get_str(dev), __entry->qpn, __entry->psn,
		  __get_str(why))
);

#endif /* _QPEMU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/infiniband/sw/qpemu
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
