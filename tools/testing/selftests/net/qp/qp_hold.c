// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs for others to look at:
 *
 *	qp_hold COUNT BYTES
 *
 * Makes COUNT listeners of the domain AF_UNIX, "@qp_hold-0" and so on, each with
 * BYTES of memory registered; says "ready", and has them until it is killed. -1:
 * makes one, under a name of the process, and ends.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libqp.h"

static void make(const char *name, size_t bytes)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
	struct qp_mem mem;
	struct lq q;
	void *p;

	memcpy(un.sun_path + 1, name, strlen(name));
	if (lq_listen(&q, AF_UNIX, &un, len, QP_CLOEXEC, 4))
		err(1, "%s", name);
	if (!bytes)
		return;
	p = calloc(1, bytes);
	if (!p || lq_mem_reg(q.fd, p, bytes, QP_ACCESS_LOCAL_WRITE |
			     QP_ACCESS_REMOTE_READ, &mem))
		err(1, "%zu bytes", bytes);
}

int main(int argc, char **argv)
{
	int i, count = argc > 1 ? atoi(argv[1]) : 1;
	size_t bytes = argc > 2 ? atol(argv[2]) : 0;
	char name[32];

	if (count < 0) {
		snprintf(name, sizeof(name), "qp_hold-pid-%d", getpid());
		make(name, 0);
		return 0;
	}
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "qp_hold-%d", i);
		make(name, bytes);
	}
	printf("ready\n");
	fflush(stdout);
	pause();
	return 0;
}
