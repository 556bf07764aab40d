// SPDX-License-Identifier: GPL-2.0
/*
 * How fast are queue pairs, beside what else this kernel has to move bytes
 * between two processes, and between two hosts?
 */
#include <stdio.h>

#include "bench.h"

static bool is_possible(const struct bench_transport *t)
{
	return !t->proto || bench_have_queue_pairs();
}

static const struct bench_transport * const between_processes[] = {
	&bench_qp_pipe, &bench_qp_pipe_poll, &bench_qp_pipe_uring,
	&bench_stream, &bench_seqpacket, &bench_pipe,
	&bench_vm_writev, &bench_vm_readv, &bench_memcpy,
	NULL
};

static const struct bench_transport * const between_hosts[] = {
	&bench_qp_roce, &bench_qp_roce_poll, &bench_qp_roce_thread, &bench_qp_iwarp,
	&bench_verbs, &bench_verbs_events, &bench_tcp, &bench_udp,
	NULL
};

#define SIZES	"8,64,512,4K,64K,512K,4M"
#define BATCHES	"1,32"

static const struct bench_group groups[] = {
	{ "between processes", between_processes, SIZES, BATCHES },
	{ "between hosts", between_hosts, SIZES, BATCHES },
	{ }
};

const struct bench_program bench_program = {
	.name = "qp_bench",
	.what = "queue pairs and their peers between two processes",
	.groups = groups,
	.transports_usage =
	"Transports:\n"
	"  qp-pipe               queue pairs of the pipe protocol\n"
	"  qp-pipe-poll          the same, polling the completion queue before waiting\n"
	"  uring                 the same, entered through io_uring\n"
	"  stream, seqpacket     AF_UNIX sockets; batches with sendmmsg and recvmmsg\n"
	"  pipe                  pipe(2)\n"
	"  vm_writev, vm_readv   process_vm_writev(2), process_vm_readv(2)\n"
	"  memcpy                within one process\n"
	"and between two hosts, network namespaces joined by a veth pair:\n"
	"  roce                  queue pairs over RoCE, on qpemu\n"
	"  roce-poll             the same, polling the completion queue before waiting\n"
	"  roce-sqpoll           the same with QP_SQPOLL, never calling the kernel\n"
	"  iwarp                 queue pairs over iWARP, on siw\n"
	"  verbs                 libibverbs on the same qpemu device, polling\n"
	"  verbs-event           the same, waiting for events\n"
	"  tcp, udp              sockets; of udp only the round trip\n",
	.is_possible = is_possible,
	.impossible = "This kernel has no queue pairs",
};

const struct bench_target bench_targets[] = {
	{
		.text = "WRITE of 64 KiB, 32 a call: bandwidth, times stream's",
		.series = SERIES(qp_pipe, WRITE, 32), .peer = SERIES(stream, SEND, 1),
		.size = 65536, .test = BENCH_RATE, .ratio = 2,
	}, {
		.text = "                            times process_vm_writev's",
		.series = SERIES(qp_pipe, WRITE, 32), .peer = SERIES(vm_writev, WRITE, 1),
		.size = 65536, .test = BENCH_RATE, .ratio = 0.8,
	}, {
		.text = "                            times process_vm_writev's, 32 a call",
		.series = SERIES(qp_pipe, WRITE, 32), .peer = SERIES(vm_writev, WRITE, 32),
		.size = 65536, .test = BENCH_RATE,
	}, {
		.text = "                 one a call: bandwidth, times stream's",
		.series = SERIES(qp_pipe, WRITE, 1), .peer = SERIES(stream, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	}, {
		.text = "                            times process_vm_writev's",
		.series = SERIES(qp_pipe, WRITE, 1), .peer = SERIES(vm_writev, WRITE, 1),
		.size = 65536, .test = BENCH_RATE, .ratio = 0.8,
	}, {
		.text = "SEND of 64 B, 32 a call: message rate, times seqpacket's",
		.series = SERIES(qp_pipe, SEND, 32), .peer = SERIES(seqpacket, SEND, 1),
		.size = 64, .test = BENCH_RATE, .ratio = 3,
	}, {
		.text = "                         times seqpacket's with sendmmsg of 32",
		.series = SERIES(qp_pipe, SEND, 32), .peer = SERIES(seqpacket, SEND, 32),
		.size = 64, .test = BENCH_RATE,
	}, {
		.text = "SEND of 64 B, one a call: round trip, seqpacket's by ours",
		.series = SERIES(qp_pipe, SEND, 1), .peer = SERIES(seqpacket, SEND, 1),
		.size = 64, .test = BENCH_RTT, .ratio = 1,
	}, {
		.text = "                          polling for the completion",
		.series = SERIES(qp_pipe_poll, SEND, 1), .peer = SERIES(seqpacket, SEND, 1),
		.size = 64, .test = BENCH_RTT,
	}, {
		.text = "RoCE: WRITE of 64 KiB, 32 a call: bandwidth, times libibverbs'",
		.series = SERIES(qp_roce, WRITE, 32), .peer = SERIES(verbs, WRITE, 32),
		.size = 65536, .test = BENCH_RATE, .ratio = 0.95,
	}, {
		.text = "                                  times TCP's",
		.series = SERIES(qp_roce, WRITE, 32), .peer = SERIES(tcp, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	}, {
		/* Both look at the completion queue before they wait */
		.text = "      SEND of 64 B: round trip, libibverbs' with events by ours",
		.series = SERIES(qp_roce_poll, SEND, 1), .peer = SERIES(verbs_events, SEND, 1),
		.size = 64, .test = BENCH_RTT, .ratio = 1,
	}, {
		.text = "                    not looking at it before",
		.series = SERIES(qp_roce, SEND, 1), .peer = SERIES(verbs_events, SEND, 1),
		.size = 64, .test = BENCH_RTT,
	}, {
		.text = "                    TCP's by ours",
		.series = SERIES(qp_roce, SEND, 1), .peer = SERIES(tcp, SEND, 1),
		.size = 64, .test = BENCH_RTT,
	}, {
		.text = "                    UDP's by ours",
		.series = SERIES(qp_roce, SEND, 1), .peer = SERIES(udp, SEND, 1),
		.size = 64, .test = BENCH_RTT,
	}, {
		.text = "      WRITE of 8 B by QP_SQPOLL: rate, times one qp_enter() each",
		.series = SERIES(qp_roce_thread, WRITE, 1), .peer = SERIES(qp_roce, WRITE, 1),
		.size = 8, .test = BENCH_RATE, .ratio = 2,
	}, {
		.text = "                                 times libibverbs'",
		.series = SERIES(qp_roce_thread, WRITE, 1), .peer = SERIES(verbs, WRITE, 1),
		.size = 8, .test = BENCH_RATE,
	}, {
		.text = "iWARP: WRITE of 64 KiB, 32 a call: bandwidth, times TCP's",
		.series = SERIES(qp_iwarp, WRITE, 32), .peer = SERIES(tcp, SEND, 1),
		.size = 65536, .test = BENCH_RATE,
	},
	{ }
};
