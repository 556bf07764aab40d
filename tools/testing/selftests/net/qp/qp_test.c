// SPDX-License-Identifier: GPL-2.0
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "qp_test.h"

static socklen_t un_address(struct sockaddr_storage *ss, const char *prefix)
{
	static unsigned int count;
	char name[64];

	snprintf(name, sizeof(name), "%s-%d-%u", prefix, getpid(), count++);
	return lq_addr_un((struct sockaddr_un *)ss, name);
}

static socklen_t abstract_address(struct sockaddr_storage *ss)
{
	return un_address(ss, "@qp-test");
}

static void abstract_forget(const struct sockaddr_storage *ss)
{
}

static socklen_t path_address(struct sockaddr_storage *ss)
{
	return un_address(ss, "/tmp/qp-test");
}

static void path_forget(const struct sockaddr_storage *ss)
{
	unlink(((const struct sockaddr_un *)ss)->sun_path);
}

#define F_ALL	(F_LOCAL | F_ATOMIC | F_IMM | F_RNR | F_WRITE_ACK |	\
		 F_ZERO_BASED | F_INV)

const struct backend be_pipe = {
	.domain = AF_UNIX,
	.protocol = QP_PROTO_PIPE,
	.flags = F_ALL,
	.max_sge = QP_MAX_SGE,
	.max_sge_rd = QP_MAX_SGE,
	.address = abstract_address,
	.source = abstract_address,
	.forget = abstract_forget,
};

const struct backend be_pipe_path = {
	.domain = AF_UNIX,
	.protocol = QP_PROTO_PIPE,
	.flags = F_ALL,
	.max_sge = QP_MAX_SGE,
	.max_sge_rd = QP_MAX_SGE,
	.address = path_address,
	.source = path_address,
	.forget = path_forget,
};

int qt_open(const struct backend *be, struct lq *q, unsigned int flags,
	    const struct qp_desc *desc)
{
	struct qp_desc d = *desc;

	if (!d.protocol)
		d.protocol = be->ask;
	return lq_open(q, be->domain, flags, &d);
}

int qt_open_server(const struct backend *be, struct lq *q, unsigned int flags,
		   const struct qp_desc *desc)
{
	q->fd = -1;
	if (qt_enter(be->hosts, QT_SERVER))
		return -1;
	qt_open(be, q, flags, desc);
	if (qt_enter(be->hosts, QT_CLIENT))
		abort();
	return q->fd < 0 ? -1 : 0;
}

int qt_listen_at(const struct backend *be, struct lq *q, const void *addr,
		 socklen_t len, unsigned int flags, __u32 backlog)
{
	struct qp_desc d = lq_desc(0, 0, 0);

	d.addr = (unsigned long)addr;
	d.addrlen = len;
	d.backlog = backlog;
	return qt_open_server(be, q, flags | QP_LISTEN, &d);
}

int qt_listen(const struct backend *be, struct listener *l, unsigned int flags,
	      __u32 backlog)
{
	l->be = be;
	l->len = be->address(&l->addr);
	return qt_listen_at(be, &l->q, &l->addr, l->len, flags, backlog);
}

void qt_unlisten(struct listener *l)
{
	lq_close(&l->q);
	l->be->forget(&l->addr);
}

int qt_pair(const struct backend *be, struct lq *a, struct lq *b,
	    unsigned int flags, const struct qp_desc *desc)
{
	struct qp_desc d = *desc;
	struct listener l;
	int err, ret;

	a->fd = -1;
	b->fd = -1;
	d.protocol = be->ask;
	ret = qt_listen(be, &l, 0, 1) ||
	      lq_pair_at(a, b, &l.q, be->domain, &l.addr, l.len, flags, &d);
	err = errno;
	qt_unlisten(&l);
	errno = err;
	return ret ? -1 : 0;
}

int qt_submit(const struct backend *be, struct lq *q, __u32 n)
{
	__u32 done = 0;
	int ret;

	if (be->flags & F_LOCAL)
		return lq_enter(q, n, 0, 0);
	while (done < n) {
		ret = lq_enter(q, n - done, 0, 0);
		if (ret < 0 && errno != EAGAIN)
			return -1;
		if (ret > 0)
			done += ret;
		else if (!(qt_poll(q->fd, POLLOUT, LONG_MS) & POLLOUT))
			return -1;
	}
	return done;
}

int qt_buf(struct qt_buf *b, int fd, size_t len, __u32 access)
{
	b->len = len;
	b->p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->p == MAP_FAILED)
		return -1;
	return lq_mem_reg(fd, b->p, len, access, &b->mem);
}

void qt_unbuf(struct qt_buf *b)
{
	if (b->p)
		munmap(b->p, b->len);
	b->p = NULL;
}

__u32 qt_rkey(int fd, __u32 lkey)
{
	struct qp_mem mem = { .lkey = lkey };
	unsigned int len = sizeof(mem);

	return lq_sys_getopt(fd, QP_MEM_QUERY, &mem, &len) ? 0 : mem.rkey;
}

static unsigned char byte_at(size_t i, __u32 seed)
{
	return (i * 2654435761u + seed * 40503u) >> 11;
}

void qt_fill(void *p, size_t len, __u32 seed)
{
	unsigned char *c = p;

	for (size_t i = 0; i < len; i++)
		c[i] = byte_at(i, seed);
}

ssize_t qt_differ(const void *p, size_t len, __u32 seed)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < len; i++)
		if (c[i] != byte_at(i, seed))
			return i;
	return -1;
}

bool qt_all(const void *p, size_t len, unsigned char byte)
{
	const unsigned char *c = p;

	return !len || (c[0] == byte && !memcmp(c, c + 1, len - 1));
}

int qt_queue(struct lq *q, const struct qt_wr *wr)
{
	struct qp_sqe *sqe = lq_sqe(q, wr->op, wr->flags, wr->id);

	if (!sqe)
		return -1;
	/* Not read, for somebody else may be writing into the entry */
	if (wr->flags & QP_SQE_INLINE) {
		lq_sqe_inline(sqe, wr->p, wr->len);
	} else if (wr->p) {
		lq_sge_set(sqe->sge, wr->p, wr->len, wr->lkey);
		sqe->num_sge = 1;
	}
	lq_sqe_remote(sqe, wr->raddr, wr->rkey);
	sqe->imm_data = wr->imm;
	sqe->compare_add = wr->compare_add;
	sqe->swap = wr->swap;
	lq_submit(&q->sq);
	return 0;
}

int qt_post(struct lq *q, const struct qt_wr *wr)
{
	if (qt_queue(q, wr))
		return -1;
	if (lq_enter(q, 1, 0, 0) == 1)
		return 0;
	lq_store(q->sq.tail, *q->sq.tail - 1);
	return -1;
}

int qt_post_later(const struct backend *be, struct lq *q,
		  const struct qt_wr *wr)
{
	int err;

	do {
		err = qt_post(q, wr);
	} while (err && errno == EAGAIN && !(be->flags & F_LOCAL) &&
		 qt_poll(q->fd, POLLOUT, LONG_MS) & POLLOUT);
	return err;
}

int qt_poll(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, timeout_ms) < 0 ? -1 : p.revents;
}

int qt_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

void qt_signal(int pipefd[2])
{
	if (write(pipefd[1], "!", 1) != 1)
		abort();
}

int qt_await(int pipefd[2])
{
	char c;

	if (!qt_poll(pipefd[0], POLLIN, LONG_MS))
		return -1;
	return read(pipefd[0], &c, 1) == 1 ? 0 : -1;
}

int qt_become_nobody(void)
{
	if (setgroups(0, NULL) ||
	    setresgid(UID_NOBODY, UID_NOBODY, UID_NOBODY) ||
	    setresuid(UID_NOBODY, UID_NOBODY, 0))
		return -1;
	/* or /proc/self belongs to root */
	return prctl(PR_SET_DUMPABLE, 1);
}

long qt_status_kb(const char *field)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t n = strlen(field);
	char line[256];
	long kb = -1;

	if (!f)
		return -1;
	while (kb < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, n) && line[n] == ':')
			kb = atol(line + n + 1);
	fclose(f);
	return kb;
}

static FILE *open_sysctl(const char *name, const char *mode)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	return fopen(path, mode);
}

int qt_sysctl_read(const char *name, long *val)
{
	FILE *f = open_sysctl(name, "r");
	int n;

	if (!f)
		return -1;
	n = fscanf(f, "%ld", val);
	fclose(f);
	return n == 1 ? 0 : -1;
}

int qt_sysctl_write(const char *name, long val)
{
	FILE *f = open_sysctl(name, "w");

	if (!f)
		return -1;
	fprintf(f, "%ld\n", val);
	return fclose(f) ? -1 : 0;
}

long qt_pins(void)
{
	uid_t uid = geteuid();
	char line[256];
	long pins = 0, n;
	FILE *f;

	/* have all processors' counts added up, which is for root to ask */
	if (uid)
		seteuid(0);
	qt_sysctl_write("vm/stat_refresh", 1);
	if (uid)
		seteuid(uid);

	f = fopen("/proc/vmstat", "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "nr_foll_pin_acquired %ld", &n) == 1)
			pins += n;
		else if (sscanf(line, "nr_foll_pin_released %ld", &n) == 1)
			pins -= n;
	}
	fclose(f);
	return pins;
}

static int proc_lines_here(void)
{
	FILE *f = fopen("/proc/thread-self/net/qp", "r");
	int lines = -1, c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

int qt_proc_lines(void)
{
	int here = proc_lines_here(), there = qt_on_server(proc_lines_here);

	return here < 0 || there < 0 ? -1 : here + there;
}

bool qt_debug_kernel(void)
{
	return !access("/proc/self/fail-nth", F_OK) ||
	       !access("/sys/kernel/debug/kmemleak", F_OK);
}

__u64 qt_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

__u64 qt_env(const char *name, __u64 fallback)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : fallback;
}
