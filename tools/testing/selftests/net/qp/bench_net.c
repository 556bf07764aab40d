// SPDX-License-Identifier: GPL-2.0
/*
 * The two hosts of the benchmark are those of the tests, see qp_net.c. Their
 * RDMA devices are made by the kernel for a queue pair, and stay: so what uses
 * them by libibverbs has the same ones. For what is measured over rxe there are
 * two more, with the same addresses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "bench.h"
#include "qp_test.h"

#define FIRST_PORT	20000
#define PORTS		20000

static char rxe_device[2][32];

static struct qt_hosts *hosts(bool rxe)
{
	return rxe ? be_rxe4.hosts : be_roce4.hosts;
}

static enum qt_host host_of(const struct bench_end *end)
{
	return end->active ? QT_CLIENT : QT_SERVER;
}

/* A listener has devices for all protocols */
static int make_devices(enum qt_host host)
{
	struct sockaddr_storage addr;
	struct lq listener;
	socklen_t len;

	if (qt_sh(hosts(false), host, "echo 2 >/proc/sys/net/qp/emulation") ||
	    qt_enter(hosts(false), host))
		return -errno;
	len = bench_net_address(&addr, 0, host == QT_CLIENT);
	if (lq_listen(&listener, AF_INET, &addr, len, QP_CLOEXEC, 1))
		return -errno;
	lq_close(&listener);
	return 0;
}

/* Ends on the active end's host */
int bench_net_make(bool rxe)
{
	enum qt_host host;

	if (qt_hosts(hosts(rxe)))
		return -errno;
	for (host = QT_CLIENT; host <= QT_SERVER; host++)
		qt_rxe_name(host, rxe_device[host], sizeof(rxe_device[host]));
	if (rxe || !bench_have_queue_pairs())
		return 0;
	return make_devices(QT_SERVER) ?: make_devices(QT_CLIENT);
}

/* As "ip netns exec" does it: libibverbs looks for devices in /sys */
int bench_net_enter(const struct bench_end *end)
{
	if (qt_enter(hosts(end->series->transport->rxe), host_of(end)) ||
	    unshare(CLONE_NEWNS) ||
	    mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) ||
	    mount("sys", "/sys", "sysfs", 0, NULL))
		return -errno;
	return 0;
}

/* The name of an end's RDMA device, NULL if its address is enough to find it */
const char *bench_net_device(const struct bench_end *end)
{
	return end->series->transport->rxe ? rxe_device[host_of(end)] : NULL;
}

/* Each measurement has a port of its own */
socklen_t bench_net_address(struct sockaddr_storage *addr, unsigned int id, bool active)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;

	*in = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_port = htons(FIRST_PORT + id % PORTS),
		.sin_addr.s_addr = htonl(0x0a090000 + (active ? 2 : 1)),
	};
	return sizeof(*in);
}
