// SPDX-License-Identifier: GPL-2.0
/*
 * How many queue pairs are connected a second, and how much memory do they take?
 *
 *	qp_conns [-n COUNT] -l ADDRESS		accept so many, until they are closed
 *	qp_conns [-n COUNT] ADDRESS		connect so many, and write over each
 *
 * All are made, then connected, many at once, so that neither side waits for one
 * answer alone; not all at once, or the first would give up before the last are
 * answered. Each side's have one memory table and one completion queue.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>

#include "libqp.h"

#define PORT		7480
#define TIMEOUT_MS	60000
#define AT_ONCE		32
#define MAX_COUNT	QP_MAX_ENTRIES

static unsigned int count = 1000;
static struct sockaddr_in addr = { .sin_family = AF_INET };
static struct lq first;
static int *fds;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Memory that the system could still give, KiB */
static long available(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* Wait until something is so of each, one after the other */
static void await(short events, const char *what)
{
	struct pollfd p = { .events = events };
	unsigned int i;

	for (i = 0; i < count; i++) {
		p.fd = fds[i];
		if (poll(&p, 1, TIMEOUT_MS) != 1)
			die(what);
	}
}

static void serve(void)
{
	struct qp_desc d = lq_desc(0, 0, count);
	unsigned int i;

	d.addr = (unsigned long)&addr;
	d.addrlen = sizeof(addr);
	d.backlog = count;
	if (lq_open(&first, AF_INET, QP_LISTEN, &d))
		die("listener");
	for (i = 0; i < count; i++) {
		d = lq_desc(1, 1, 0);
		d.flags = QP_SHARE_CQ;
		d.share_fd = first.fd;
		fds[i] = lq_sys_accept(first.fd, &d);
		if (fds[i] < 0)
			die("qp_accept");
	}
	await(POLLHUP, "the end of the connections");
}

/* The first one's completion queue is that of all */
static void make(void)
{
	struct qp_desc d = lq_desc(1, 1, count);
	unsigned int i;

	if (lq_open(&first, AF_INET, QP_NONBLOCK, &d))
		die("queue_pair");
	fds[0] = first.fd;
	for (i = 1; i < count; i++) {
		d = lq_desc(1, 1, 0);
		d.share_fd = first.fd;
		fds[i] = lq_sys_queue_pair(AF_INET, QP_NONBLOCK | QP_SHARE_MEM | QP_SHARE_CQ,
					   &d);
		if (fds[i] < 0)
			die("queue_pair");
	}
}

static void connect_all(void)
{
	unsigned int i;

	for (i = 0; i < count + AT_ONCE; i++) {
		if (i >= AT_ONCE && lq_connected(fds[i - AT_ONCE], TIMEOUT_MS))
			die("connecting");
		if (i < count && lq_sys_connect(fds[i], &addr, sizeof(addr)) &&
		    errno != EINPROGRESS)
			die("qp_connect");
	}
}

/* A WRITE of no bytes is acknowledged: the other side is there */
static void write_over(int fd)
{
	unsigned int len = sizeof(struct qp_desc);
	struct lq q = { .fd = fd };
	struct qp_cqe cqe;

	if (lq_sys_getopt(fd, QP_DESC, &q.desc, &len) || lq_map(&q) ||
	    !lq_sqe(&q, QP_OP_WRITE, QP_SQE_SIGNALED, 0))
		die("rings");
	lq_submit(&q.sq);
	if (lq_enter(&q, 1, 1, TIMEOUT_MS) != 1 || lq_wait(&q, &cqe, 0) || cqe.status)
		die("WRITE");
	lq_unmap(&q);
}

static void client(void)
{
	long before = available();
	double start = now(), made, done;
	unsigned int i;

	make();
	made = now();
	connect_all();
	done = now();
	for (i = 0; i < count; i++)
		write_over(fds[i]);
	printf("%u connected: %.0f a second (%.1f us to make, %.1f us to connect), ",
	       count, count / (done - start), (made - start) / count * 1e6,
	       (done - made) / count * 1e6);
	printf("%.1f KiB for both ends\n", (double)(before - available()) / count);
}

static void help(void)
{
	fprintf(stderr, "usage: qp_conns [-n COUNT] [-l] ADDRESS\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 2 * MAX_COUNT, 2 * MAX_COUNT };
	bool listens = false;
	int opt;

	while ((opt = getopt(argc, argv, "n:l")) != -1) {
		if (opt == 'n')
			count = strtoul(optarg, NULL, 0);
		else if (opt == 'l')
			listens = true;
		else
			help();
	}
	if (argc - optind != 1 || !count || count > MAX_COUNT ||
	    inet_pton(AF_INET, argv[optind], &addr.sin_addr) != 1)
		help();
	addr.sin_port = htons(PORT);
	fds = calloc(count, sizeof(*fds));
	if (!fds || setrlimit(RLIMIT_NOFILE, &files))
		die("descriptors");
	if (listens)
		serve();
	else
		client();
	return 0;
}
