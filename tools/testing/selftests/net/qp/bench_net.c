// SPDX-License-Identifier: GPL-2.0
/*
 * The two hosts of the benchmark are those of the tests, see qp_net.c. Their
 * RDMA devices are made by the kernel for a queue pair, and stay: so what uses
 * them by libibverbs has the same ones.
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

static struct qt_hosts *hosts(void)
{
	return be_roce4.hosts;
}

/* A listener has devices for all protocols */
static int make_devices(enum qt_host host)
{
	struct sockaddr_storage addr;
	struct lq listener;
	socklen_t len;

	if (qt_sh(hosts(), host, "echo 2 >/proc/sys/net/qp/emulation") ||
	    qt_enter(hosts(), host))
		return -errno;
	len = bench_net_address(&addr, 0, host == QT_CLIENT);
	if (lq_listen(&listener, AF_INET, &addr, len, QP_CLOEXEC, 1))
		return -errno;
	lq_close(&listener);
	return 0;
}

/* Ends on the active end's host */
int bench_net_make(void)
{
	if (qt_hosts(hosts()))
		return -errno;
	if (!bench_have_queue_pairs())
		return 0;
	return make_devices(QT_SERVER) ?: make_devices(QT_CLIENT);
}

/* As "ip netns exec" does it: libibverbs looks for devices in /sys */
int bench_net_enter(bool active)
{
	if (qt_enter(hosts(), active ? QT_CLIENT : QT_SERVER) || unshare(CLONE_NEWNS) ||
	    mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) ||
	    mount("sys", "/sys", "sysfs", 0, NULL))
		return -errno;
	return 0;
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
