/* SPDX-License-Identifier: GPL-2.0 */
/* What the benchmark of AF_IB sockets adds to that of queue pairs */
#ifndef IB_BENCH_H
#define IB_BENCH_H

#include "bench.h"

/* The port spaces of rdma_cm for datagrams and for connections */
#define IB_UDP_SPACE	0x1110000ULL
#define IB_TCP_SPACE	0x1060000ULL

/* As bench_net_address(): its IP address as a GID, its port in a port space */
socklen_t ib_bench_address(struct sockaddr_storage *addr, unsigned int id,
			   bool active, __u64 space);

/* bench_dgram.c */
extern const struct bench_transport bench_ib, bench_ib_udp;

/* bench_conn.c */
extern const struct bench_transport bench_ib_seqpacket, bench_ib_stream;

#endif /* IB_BENCH_H */
