/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM qp

#if !defined(_TRACE_QP_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_QP_H

#include <linux/tracepoint.h>
#include <net/qp.h>

#define QP_TRACE_STATES				\
	EM(QP_STATE_IDLE, "IDLE")		\
	EM(QP_STATE_LISTEN, "LISTEN")		\
	EM(QP_STATE_CONNECTING, "CONNECTING")	\
	EM(QP_STATE_RTS, "RTS")			\
	E_(QP_STATE_ERROR, "ERROR")

#define QP_TRACE_TYPES				\
	EM(QP_RC, "RC")				\
	EM(QP_UC, "UC")				\
	E_(QP_UD, "UD")

#define QP_TRACE_OPCODES			\
	EM(QP_OP_SEND, "SEND")			\
	EM(QP_OP_SEND_IMM, "SEND_IMM")		\
	EM(QP_OP_SEND_INV, "SEND_INV")		\
	EM(QP_OP_WRITE, "WRITE")		\
	EM(QP_OP_WRITE_IMM, "WRITE_IMM")	\
	EM(QP_OP_READ, "READ")			\
	EM(QP_OP_ATOMIC_CAS, "ATOMIC_CAS")	\
	EM(QP_OP_ATOMIC_ADD, "ATOMIC_ADD")	\
	EM(QP_OP_LOCAL_INV, "LOCAL_INV")	\
	EM(QP_OP_RECV, "RECV")			\
	E_(QP_OP_RECV_WRITE_IMM, "RECV_WRITE_IMM")

#define QP_TRACE_STATUSES				\
	EM(QP_WC_SUCCESS, "SUCCESS")			\
	EM(QP_WC_LOC_LEN_ERR, "LOC_LEN_ERR")		\
	EM(QP_WC_LOC_QP_OP_ERR, "LOC_QP_OP_ERR")	\
	EM(QP_WC_LOC_PROT_ERR, "LOC_PROT_ERR")		\
	EM(QP_WC_WR_FLUSH_ERR, "WR_FLUSH_ERR")		\
	EM(QP_WC_BAD_RESP_ERR, "BAD_RESP_ERR")		\
	EM(QP_WC_LOC_ACCESS_ERR, "LOC_ACCESS_ERR")	\
	EM(QP_WC_REM_INV_REQ_ERR, "REM_INV_REQ_ERR")	\
	EM(QP_WC_REM_ACCESS_ERR, "REM_ACCESS_ERR")	\
	EM(QP_WC_REM_OP_ERR, "REM_OP_ERR")		\
	EM(QP_WC_RETRY_EXC_ERR, "RETRY_EXC_ERR")	\
	EM(QP_WC_RNR_RETRY_EXC_ERR, "RNR_RETRY_EXC_ERR") \
	EM(QP_WC_REM_ABORT_ERR, "REM_ABORT_ERR")	\
	EM(QP_WC_FATAL_ERR, "FATAL_ERR")		\
	EM(QP_WC_RESP_TIMEOUT_ERR, "RESP_TIMEOUT_ERR")	\
	E_(QP_WC_GENERAL_ERR, "GENERAL_ERR")

/* Let user space know the numbers */
#undef EM
#undef E_
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define E_(a, b)	TRACE_DEFINE_ENUM(a);

QP_TRACE_STATES
QP_TRACE_TYPES
QP_TRACE_OPCODES
QP_TRACE_STATUSES

#undef EM
#undef E_
#define EM(a, b)	{ a, b },
#define E_(a, b)	{ a, b }

/* A queue pair is made, or its descriptor closed. */
DECLARE_EVENT_CLASS(qp_life,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp),
	TP_STRUCT__entry(
		__string(proto, qp->proto->name)
		__field(u32, qpn)
		__field(u32, type)
		__field(int, domain)
		__field(u64, netns)
		__field(bool, kern)
	),
	TP_fast_assign(
		__assign_str(proto);
		__entry->qpn = qp->qpn;
		__entry->type = qp->type;
		__entry->domain = qp->domain;
		__entry->netns = sock_net(&qp->sk)->net_cookie;
		__entry->kern = !!qp->user;
	),
	TP_printk("qpn %u proto %s domain %d type %s netns %llu%s", __entry->qpn,
		  __get_str(proto), __entry->domain,
		  __print_symbolic(__entry->type, QP_TRACE_TYPES), __entry->netns,
		  __entry->kern ? " kernel" : "")
);

DEFINE_EVENT(qp_life, qp_create,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp)
);

DEFINE_EVENT(qp_life, qp_destroy,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp)
);

TRACE_EVENT(qp_state,
	TP_PROTO(const struct qp_sock *qp, int from, int to),
	TP_ARGS(qp, from, to),
	TP_STRUCT__entry(
		__field(u32, qpn)
		__field(int, from)
		__field(int, to)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->qpn = qp->qpn;
		__entry->from = from;
		__entry->to = to;
		__entry->err = -READ_ONCE(qp->sk.sk_err);
	),
	TP_printk("qpn %u %s to %s err %d", __entry->qpn,
		  __print_symbolic(__entry->from, QP_TRACE_STATES),
		  __print_symbolic(__entry->to, QP_TRACE_STATES), __entry->err)
);

/* An attempt to connect has begun, or could not; it was made, or was in vain. */
DECLARE_EVENT_CLASS(qp_conn,
	TP_PROTO(const struct qp_sock *qp, int err),
	TP_ARGS(qp, err),
	TP_STRUCT__entry(
		__string(proto, qp->proto->name)
		__field(u32, qpn)
		__field(int, err)
	),
	TP_fast_assign(
		__assign_str(proto);
		__entry->qpn = qp->qpn;
		__entry->err = err;
	),
	TP_printk("qpn %u proto %s err %d", __entry->qpn, __get_str(proto),
		  __entry->err)
);

DEFINE_EVENT(qp_conn, qp_connect,
	TP_PROTO(const struct qp_sock *qp, int err),
	TP_ARGS(qp, err)
);

DEFINE_EVENT(qp_conn, qp_conn_result,
	TP_PROTO(const struct qp_sock *qp, int err),
	TP_ARGS(qp, err)
);

DEFINE_EVENT(qp_conn, qp_accept,
	TP_PROTO(const struct qp_sock *qp, int err),
	TP_ARGS(qp, err)
);

/* A protocol was tried in vain: now another one. */
TRACE_EVENT(qp_fallback,
	TP_PROTO(const struct qp_sock *qp, const char *from, const char *to, int err),
	TP_ARGS(qp, from, to, err),
	TP_STRUCT__entry(
		__string(from, from)
		__string(to, to)
		__field(u32, qpn)
		__field(int, err)
	),
	TP_fast_assign(
		__assign_str(from);
		__assign_str(to);
		__entry->qpn = qp->qpn;
		__entry->err = err;
	),
	TP_printk("qpn %u %s to %s err %d", __entry->qpn, __get_str(from),
		  __get_str(to), __entry->err)
);

/* A send work request is accepted. */
TRACE_EVENT(qp_post,
	TP_PROTO(const struct qp_sock *qp, const struct qp_wr *wr),
	TP_ARGS(qp, wr),
	TP_STRUCT__entry(
		__field(u64, user_data)
		__field(u32, qpn)
		__field(u32, length)
		__field(u8, opcode)
		__field(u8, flags)
		__field(u16, status)
	),
	TP_fast_assign(
		__entry->user_data = wr->sqe.user_data;
		__entry->qpn = qp->qpn;
		__entry->length = wr->length;
		__entry->opcode = wr->sqe.opcode;
		__entry->flags = wr->sqe.flags;
		__entry->status = wr->status;
	),
	TP_printk("qpn %u %s length %u flags %#x user_data %#llx%s", __entry->qpn,
		  __print_symbolic(__entry->opcode, QP_TRACE_OPCODES),
		  __entry->length, __entry->flags, __entry->user_data,
		  __entry->status ? " malformed" : "")
);

/* A send or receive work request is complete. */
TRACE_EVENT(qp_complete,
	TP_PROTO(const struct qp_sock *qp, u64 user_data, u8 opcode, u16 status,
		 u32 length),
	TP_ARGS(qp, user_data, opcode, status, length),
	TP_STRUCT__entry(
		__field(u64, user_data)
		__field(u32, qpn)
		__field(u32, length)
		__field(u8, opcode)
		__field(u16, status)
	),
	TP_fast_assign(
		__entry->user_data = user_data;
		__entry->qpn = qp->qpn;
		__entry->length = length;
		__entry->opcode = opcode;
		__entry->status = status;
	),
	TP_printk("qpn %u %s %s length %u user_data %#llx", __entry->qpn,
		  __print_symbolic(__entry->opcode, QP_TRACE_OPCODES),
		  __print_symbolic(__entry->status, QP_TRACE_STATUSES),
		  __entry->length, __entry->user_data)
);

/* Somebody calls to have work taken: @want at most, @taken or -errno. */
TRACE_EVENT(qp_doorbell,
	TP_PROTO(const struct qp_sock *qp, unsigned int want, int taken),
	TP_ARGS(qp, want, taken),
	TP_STRUCT__entry(
		__field(u32, qpn)
		__field(unsigned int, want)
		__field(int, taken)
	),
	TP_fast_assign(
		__entry->qpn = qp->qpn;
		__entry->want = want;
		__entry->taken = taken;
	),
	TP_printk("qpn %u want %u taken %d", __entry->qpn, __entry->want,
		  __entry->taken)
);

/* The thread of a queue pair sleeps, or has slept. */
DECLARE_EVENT_CLASS(qp_sqpoll,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp),
	TP_STRUCT__entry(
		__field(u32, qpn)
	),
	TP_fast_assign(
		__entry->qpn = qp->qpn;
	),
	TP_printk("qpn %u", __entry->qpn)
);

DEFINE_EVENT(qp_sqpoll, qp_sqpoll_sleep,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp)
);

DEFINE_EVENT(qp_sqpoll, qp_sqpoll_wake,
	TP_PROTO(const struct qp_sock *qp),
	TP_ARGS(qp)
);

#endif /* _TRACE_QP_H */

#include <trace/define_trace.h>
