// SPDX-License-Identifier: GPL-2.0
/*
 * How fast are AF_IB sockets, beside UDP's and TCP's over the same two
 * netdevices, AF_UNIX's, and what a program does by libibverbs over rxe?
 */
#include <endian.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <linux/ib.h>

#include "ib_bench.h"

socklen_t ib_bench_address(struct sockaddr_storage *addr, unsigned int id,
			   bool active, __u64 space)
{
	struct sockaddr_ib *ib = (struct sockaddr_ib *)addr;
	struct sockaddr_storage ip;
	struct sockaddr_in *in = (struct sockaddr_in *)&ip;

	bench_net_address(&ip, id, active);
	*ib = (struct sockaddr_ib){
		.sib_family = AF_IB,
		.sib_sid = htobe64(space | ntohs(in->sin_port)),
	};
	ib->sib_addr.sib_addr16[5] = 0xffff;
	ib->sib_addr.sib_addr32[3] = in->sin_addr.s_addr;
	return sizeof(*ib);
}

static bool is_possible(const struct bench_transport *t)
{
	int fd, type = t == &bench_ib ? SOCK_DGRAM :
		       t == &bench_ib_seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;

	if (!t->queue_pair)
		return true;
	fd = socket(AF_IB, type, 0);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static const struct bench_transport * const datagrams[] = {
	&bench_ib, &bench_ib_udp, NULL
};

static const struct bench_transport * const connections[] = {
	&bench_ib_seqpacket, &bench_ib_stream, &bench_rxe, &bench_rxe_events,
	&bench_tcp, &bench_seqpacket, &bench_stream, NULL
};

static const struct bench_group groups[] = {
	{ "datagrams", datagrams, "64,256,1024", "1,32" },
	{ "connections", connections, "64,4K,64K,1M", "1" },
	{ }
};

const struct bench_program bench_program = {
	.name = "ib_bench",
	.what = "AF_IB sockets and their peers between two hosts",
	.groups = groups,
	.transports_usage =
	"Transports between two network namespaces joined by a veth pair:\n"
	"  ib                    datagrams of AF_IB, on qpemu\n"
	"  udp                   those of UDP\n"
	"and connections:\n"
	"  ib-seqpacket, ib-stream\n"
	"                        those of AF_IB, on qpemu\n"
	"  rxe                   SENDs by libibverbs, on rxe, polling\n"
	"  rxe-event             the same, waiting for events\n"
	"  tcp                   TCP\n"
	"  seqpacket, stream     AF_UNIX, within a host\n"
	"Datagrams are sent with send(), or with sendmmsg() if a call has several,\n"
	"and received with recvmmsg(), 32 a call; their round trip is of send() and\n"
	"recv(). Connections are written to and read from.\n",
	.is_possible = is_possible,
	.impossible = "This kernel has no AF_IB sockets",
};

const struct bench_target bench_targets[] = {
	{
		.text = "AF_IB: 64 B, sendmmsg() of 32: message rate, times UDP's",
		.series = SERIES(ib, SEND, 32),
		.peer = SERIES(ib_udp, SEND, 32),
		.size = 64, .test = BENCH_RATE, .ratio = 0.8,
	}, {
		.text = "             one send() each: message rate, times UDP's",
		.series = SERIES(ib, SEND, 1),
		.peer = SERIES(ib_udp, SEND, 1),
		.size = 64, .test = BENCH_RATE,
	}, {
		/* Ours is to take 1.1 times as long at most */
		.text = "             round trip, UDP's by ours",
		.series = SERIES(ib, SEND, 1),
		.peer = SERIES(ib_udp, SEND, 1),
		.size = 64, .test = BENCH_RTT, .ratio = 1 / 1.1,
	}, {
		.text = "AF_IB SEQPACKET: 64 KiB: bandwidth, times that of rxe's SEND",
		.series = SERIES(ib_seqpacket, SEND, 1),
		.peer = SERIES(rxe, SEND, 1),
		.size = 65536, .test = BENCH_RATE, .ratio = 3,
	}, {
		.text = "                         times that of rxe, with events",
		.series = SERIES(ib_seqpacket, SEND, 1),
		.peer = SERIES(rxe_events, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	}, {
		.text = "                         times TCP's",
		.series = SERIES(ib_seqpacket, SEND, 1),
		.peer = SERIES(tcp, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	}, {
		.text = "                         times AF_UNIX SEQPACKET's",
		.series = SERIES(ib_seqpacket, SEND, 1),
		.peer = SERIES(seqpacket, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	}, {
		.text = "                 64 B: round trip, TCP's by ours",
		.series = SERIES(ib_seqpacket, SEND, 1),
		.peer = SERIES(tcp, SEND, 1),
		.size = 64, .test = BENCH_RTT,
	},
	{ }
};
