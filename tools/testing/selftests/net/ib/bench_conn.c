// SPDX-License-Identifier: GPL-2.0
/* Connections of AF_IB, which are used by the same calls as TCP's */
#include <sys/socket.h>

#include "ib_bench.h"

static socklen_t address(struct sockaddr_storage *addr, unsigned int id,
			 bool active)
{
	return ib_bench_address(addr, id, active, IB_TCP_SPACE);
}

static int open_seqpacket(struct bench_end *end)
{
	return bench_sock_connect(end, SOCK_SEQPACKET, address);
}

static int open_stream(struct bench_end *end)
{
	return bench_sock_connect(end, SOCK_STREAM, address);
}

#define CONNECTION(name_, open_) {					\
	.name = name_,							\
	.ops = BENCH_OP(SEND),						\
	.max_batch = 1,							\
	.queue_pair = true,						\
	.network = true,						\
	.open = open_,							\
	.send = bench_sock_send,					\
	.receive = bench_sock_receive,					\
	.ping = bench_sock_ping,					\
	.pong = bench_sock_pong,					\
}

const struct bench_transport bench_ib_seqpacket =
	CONNECTION("ib-seqpacket", open_seqpacket);
const struct bench_transport bench_ib_stream =
	CONNECTION("ib-stream", open_stream);
