/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ib_proto

#if !defined(_TRACE_IB_PROTO_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IB_PROTO_H

#include <linux/ib.h>
#include <linux/tracepoint.h>
#include <net/sock.h>
#include <net/tcp_states.h>

/* Why a message that came is dropped */
#define AFIB_DROPS					\
	EM(AFIB_DROP_ROOM, "no room")			\
	EM(AFIB_DROP_FILTER, "filter")			\
	EM(AFIB_DROP_PEER, "not the peer's")		\
	EM(AFIB_DROP_SHUTDOWN, "nobody reads")		\
	E_(AFIB_DROP_VIOLATION, "protocol violation")

#ifndef _AFIB_DROP_ENUM
#define _AFIB_DROP_ENUM

#undef EM
#undef E_
#define EM(a, b)	a,
#define E_(a, b)	a

enum afib_drop { AFIB_DROPS };

#endif

#define AFIB_TRACE_STATES			\
	EM(TCP_ESTABLISHED, "ESTABLISHED")	\
	EM(TCP_SYN_SENT, "CONNECTING")		\
	EM(TCP_CLOSE, "CLOSE")			\
	E_(TCP_LISTEN, "LISTEN")

/* Let user space know the numbers */
#undef EM
#undef E_
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define E_(a, b)	TRACE_DEFINE_ENUM(a);

AFIB_DROPS
AFIB_TRACE_STATES

#undef EM
#undef E_
#define EM(a, b)	{ a, b },
#define E_(a, b)	{ a, b }

/* A datagram goes out: to a service ID, or a queue pair that was found by it. */
TRACE_EVENT(afib_send,
	TP_PROTO(const struct sock *sk, const struct ib_addr *gid, u64 sid, u32 qpn,
		 u32 length),
	TP_ARGS(sk, gid, sid, qpn, length),
	TP_STRUCT__entry(
		__array(u8, gid, 16)
		__field(u64, sid)
		__field(u64, ino)
		__field(u32, qpn)
		__field(u32, length)
	),
	TP_fast_assign(
		memcpy(__entry->gid, gid, 16);
		__entry->sid = sid;
		__entry->ino = sock_i_ino(sk);
		__entry->qpn = qpn;
		__entry->length = length;
	),
	TP_printk("socket %llu to %pI6c/%016llx qpn %u length %u", __entry->ino,
		  __entry->gid, __entry->sid, __entry->qpn, __entry->length)
);

/* A datagram is in the receive queue of a socket. */
TRACE_EVENT(afib_receive,
	TP_PROTO(const struct sock *sk, const u8 *gid, u32 qpn, u32 length),
	TP_ARGS(sk, gid, qpn, length),
	TP_STRUCT__entry(
		__array(u8, gid, 16)
		__field(u64, ino)
		__field(u32, qpn)
		__field(u32, length)
	),
	TP_fast_assign(
		memcpy(__entry->gid, gid, 16);
		__entry->ino = sock_i_ino(sk);
		__entry->qpn = qpn;
		__entry->length = length;
	),
	TP_printk("socket %llu from %pI6c qpn %u length %u", __entry->ino,
		  __entry->gid, __entry->qpn, __entry->length)
);

/* A message that came is not received. */
TRACE_EVENT(afib_drop,
	TP_PROTO(const struct sock *sk, u32 length, int why),
	TP_ARGS(sk, length, why),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, length)
		__field(int, why)
	),
	TP_fast_assign(
		__entry->ino = sock_i_ino(sk);
		__entry->length = length;
		__entry->why = why;
	),
	TP_printk("socket %llu length %u: %s", __entry->ino, __entry->length,
		  __print_symbolic(__entry->why, AFIB_DROPS))
);

/* The peer is asked for a service ID, or the path to it is looked for. */
TRACE_EVENT(afib_resolve,
	TP_PROTO(const struct sock *sk, const struct ib_addr *gid, u64 sid),
	TP_ARGS(sk, gid, sid),
	TP_STRUCT__entry(
		__array(u8, gid, 16)
		__field(u64, sid)
		__field(u64, ino)
	),
	TP_fast_assign(
		memcpy(__entry->gid, gid, 16);
		__entry->sid = sid;
		__entry->ino = sock_i_ino(sk);
	),
	TP_printk("socket %llu %pI6c/%016llx", __entry->ino, __entry->gid,
		  __entry->sid)
);

/* And that is how it ended. */
TRACE_EVENT(afib_resolved,
	TP_PROTO(const struct sock *sk, const struct ib_addr *gid, u64 sid, u32 qpn,
		 int err),
	TP_ARGS(sk, gid, sid, qpn, err),
	TP_STRUCT__entry(
		__array(u8, gid, 16)
		__field(u64, sid)
		__field(u64, ino)
		__field(u32, qpn)
		__field(int, err)
	),
	TP_fast_assign(
		memcpy(__entry->gid, gid, 16);
		__entry->sid = sid;
		__entry->ino = sock_i_ino(sk);
		__entry->qpn = qpn;
		__entry->err = err;
	),
	TP_printk("socket %llu %pI6c/%016llx qpn %u err %d", __entry->ino,
		  __entry->gid, __entry->sid, __entry->qpn, __entry->err)
);

/* Somebody asks for the service ID of a socket: what it is told. */
TRACE_EVENT(afib_answer,
	TP_PROTO(const struct sock *sk, const struct ib_addr *gid, u64 sid, u32 qpn,
		 int err),
	TP_ARGS(sk, gid, sid, qpn, err),
	TP_STRUCT__entry(
		__array(u8, gid, 16)
		__field(u64, sid)
		__field(u64, ino)
		__field(u32, qpn)
		__field(int, err)
	),
	TP_fast_assign(
		memcpy(__entry->gid, gid, 16);
		__entry->sid = sid;
		__entry->ino = sock_i_ino(sk);
		__entry->qpn = qpn;
		__entry->err = err;
	),
	TP_printk("socket %llu at %pI6c/%016llx qpn %u err %d", __entry->ino,
		  __entry->gid, __entry->sid, __entry->qpn, __entry->err)
);

TRACE_EVENT(afib_state,
	TP_PROTO(const struct sock *sk, int from, int to),
	TP_ARGS(sk, from, to),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(int, from)
		__field(int, to)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->ino = sock_i_ino(sk);
		__entry->from = from;
		__entry->to = to;
		__entry->err = -READ_ONCE(sk->sk_err);
	),
	TP_printk("socket %llu %s to %s err %d", __entry->ino,
		  __print_symbolic(__entry->from, AFIB_TRACE_STATES),
		  __print_symbolic(__entry->to, AFIB_TRACE_STATES), __entry->err)
);

/* A fragment of a connection, or what has none: flags are those of the wire. */
DECLARE_EVENT_CLASS(afib_frag,
	TP_PROTO(const struct sock *sk, u32 flags, u32 length, u32 credits, u32 window),
	TP_ARGS(sk, flags, length, credits, window),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, flags)
		__field(u32, length)
		__field(u32, credits)
		__field(u32, window)
	),
	TP_fast_assign(
		__entry->ino = sock_i_ino(sk);
		__entry->flags = flags;
		__entry->length = length;
		__entry->credits = credits;
		__entry->window = window;
	),
	TP_printk("socket %llu flags %#010x length %u credits %u window %u",
		  __entry->ino, __entry->flags, __entry->length, __entry->credits,
		  __entry->window)
);

DEFINE_EVENT(afib_frag, afib_frag_send,
	TP_PROTO(const struct sock *sk, u32 flags, u32 length, u32 credits, u32 window),
	TP_ARGS(sk, flags, length, credits, window)
);

DEFINE_EVENT(afib_frag, afib_frag_receive,
	TP_PROTO(const struct sock *sk, u32 flags, u32 length, u32 credits, u32 window),
	TP_ARGS(sk, flags, length, credits, window)
);

/* There is something to be sent, and no credit for it. */
TRACE_EVENT(afib_starve,
	TP_PROTO(const struct sock *sk, u32 window, u32 owed),
	TP_ARGS(sk, window, owed),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, window)
		__field(u32, owed)
	),
	TP_fast_assign(
		__entry->ino = sock_i_ino(sk);
		__entry->window = window;
		__entry->owed = owed;
	),
	TP_printk("socket %llu window %u owed %u", __entry->ino, __entry->window,
		  __entry->owed)
);

#endif /* _TRACE_IB_PROTO_H */

#include <trace/define_trace.h>
