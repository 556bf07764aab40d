// SPDX-License-Identifier: GPL-2.0
/* Who pays for registered memory, how much, and when it is paid back */
#include <fcntl.h>
#include <signal.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "qp_test.h"

#define PAGE	4096
#define LIMIT	(64 * PAGE)

FIXTURE(mem)
{
	struct lq q;
	unsigned char *p;
	struct qp_mem mem;
	long pins;
};

FIXTURE_VARIANT(mem)
{
	const struct backend *be;
};

VARIANTS(mem)

FIXTURE_SETUP(mem)
{
	struct qp_desc d = lq_desc(4, 4, 0);

	self->pins = qt_pins();
	ASSERT_EQ(0, qt_open(variant->be, &self->q, 0, &d));
	self->p = mmap(NULL, 4 * LIMIT, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(mem)
{
	lq_close(&self->q);
	munmap(self->p, 4 * LIMIT);
	EXPECT_EQ(self->pins, qt_pins());
}

static int become_limited_nobody(void)
{
	struct rlimit lim = { LIMIT, LIMIT };

	return setrlimit(RLIMIT_MEMLOCK, &lim) || qt_become_nobody();
}

TEST_F(mem, pinned_pages_are_seen)
{
	struct qp_mem one;

	EXPECT_EQ(0, qt_pinned_kb());
	ASSERT_EQ(0, lq_mem_reg(self->q.fd, self->p, LIMIT, LQ_ACCESS_ALL,
				&self->mem));
	EXPECT_EQ(LIMIT / 1024, qt_pinned_kb());
	EXPECT_EQ(self->pins + LIMIT / PAGE, qt_pins());

	/* two bytes on a border are two pages */
	ASSERT_EQ(0, lq_mem_reg(self->q.fd, self->p + PAGE - 1, 2, 0, &one));
	EXPECT_EQ((LIMIT + 2 * PAGE) / 1024, qt_pinned_kb());
	EXPECT_EQ(0, lq_mem_dereg(self->q.fd, self->mem.lkey));
	EXPECT_EQ(2 * PAGE / 1024, qt_pinned_kb());
	lq_close(&self->q);
	EXPECT_EQ(0, qt_pinned_kb());
}

TEST_F(mem, limit)
{
	struct qp_mem more;

	ASSERT_EQ(0, become_limited_nobody());
	EXPECT_ERRNO(ENOMEM, lq_mem_reg(self->q.fd, self->p, LIMIT + 1, 0,
					&self->mem));
	EXPECT_EQ(0, qt_pinned_kb());
	ASSERT_EQ(0, lq_mem_reg(self->q.fd, self->p, LIMIT, 0, &self->mem));
	EXPECT_ERRNO(ENOMEM, lq_mem_reg(self->q.fd, self->p, 1, 0, &more));
	EXPECT_EQ(0, lq_mem_dereg(self->q.fd, self->mem.lkey));

	/* piece by piece */
	for (int i = 0; i < LIMIT / PAGE; i++)
		ASSERT_EQ(0, lq_mem_reg(self->q.fd, self->p + i * PAGE, PAGE,
					0, &self->mem));
	EXPECT_ERRNO(ENOMEM, lq_mem_reg(self->q.fd, self->p, 1, 0, &more));
	EXPECT_EQ(LIMIT / 1024, qt_pinned_kb());
}

/* The limit is the user's, whatever process and queue pair it is used for */
TEST_F(mem, limit_of_user)
{
	int go[2], back[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(back));
	ASSERT_EQ(0, become_limited_nobody());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct qp_desc d = lq_desc(4, 4, 0);
		struct lq q;

		if (qt_open(variant->be, &q, 0, &d) ||
		    lq_mem_reg(q.fd, self->p, LIMIT - PAGE, 0, &self->mem))
			_exit(1);
		qt_signal(go);
		qt_await(back);
		pause();
	}
	ASSERT_EQ(0, qt_await(go));
	EXPECT_ERRNO(ENOMEM, lq_mem_reg(self->q.fd, self->p, 2 * PAGE, 0,
					&self->mem));
	EXPECT_EQ(0, lq_mem_reg(self->q.fd, self->p, PAGE, 0, &self->mem));

	/* who dies pays back */
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, qt_reap(pid));
	EXPECT_EQ(0, lq_mem_reg(self->q.fd, self->p, LIMIT - PAGE, 0,
				&self->mem));
}

TEST_F(mem, no_limit_for_root)
{
	struct rlimit lim = { PAGE, PAGE };

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &lim));
	EXPECT_EQ(0, lq_mem_reg(self->q.fd, self->p, LIMIT, 0, &self->mem));
}

/* Nothing is charged for what failed half way */
TEST_F(mem, failure_is_free)
{
	ASSERT_EQ(0, munmap(self->p + LIMIT - PAGE, PAGE));
	ASSERT_EQ(0, become_limited_nobody());
	for (int i = 0; i < 100; i++)
		EXPECT_ERRNO(EFAULT, lq_mem_reg(self->q.fd, self->p, LIMIT, 0,
						&self->mem));
	EXPECT_EQ(0, qt_pinned_kb());
	EXPECT_EQ(self->pins, qt_pins());
	EXPECT_EQ(0, lq_mem_reg(self->q.fd, self->p + LIMIT, LIMIT, 0,
				&self->mem));
}

/* The answer of a registration cannot be written: it is undone */
TEST_F(mem, answer_is_not_written)
{
	struct qp_mem *ro = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct qp_info info;

	ASSERT_NE(MAP_FAILED, ro);
	*ro = (struct qp_mem){ .addr = (unsigned long)self->p, .length = LIMIT };
	ASSERT_EQ(0, mprotect(ro, PAGE, PROT_READ));
	EXPECT_ERRNO(EFAULT, lq_sys_setopt(self->q.fd, QP_MEM_REG, ro,
					   sizeof(*ro)));
	EXPECT_EQ(0, qt_pinned_kb());
	ASSERT_EQ(0, lq_info(self->q.fd, &info));
	EXPECT_EQ(0, info.mem_regions);
	munmap(ro, PAGE);
}

/* Invalidation by a work request pays back, too */
TEST_F(mem, invalidation)
{
	const int inv = variant->be->flags & F_INV ? 1 : 0;
	struct qp_desc d = lq_desc(4, 4, 0);
	struct qp_mem m[2];
	struct lq a, b;

	ASSERT_EQ(0, become_limited_nobody());
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, lq_mem_reg(a.fd, self->p, LIMIT / 2,
					LQ_ACCESS_ALL, &m[0]));
		ASSERT_EQ(0, lq_mem_reg(b.fd, self->p, LIMIT / 2,
					LQ_ACCESS_ALL, &m[1]));
		if (inv) {
			ASSERT_EQ(0, lq_post_recv(&b, i, NULL, 0, 0));
			ASSERT_EQ(0, QUEUE(&a, .op = QP_OP_SEND_INV,
					   .imm = m[1].rkey));
		} else {
			ASSERT_EQ(0, lq_mem_dereg(b.fd, m[1].lkey));
		}
		ASSERT_EQ(0, QUEUE(&a, .op = QP_OP_LOCAL_INV,
				   .flags = QP_SQE_SIGNALED, .imm = m[0].lkey));
		ASSERT_EQ(1 + inv, lq_enter(&a, 2, 1, LONG_MS));
		EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_LOCAL_INV);
		if (inv)
			EXPECT_CQE(&b, i, QP_WC_SUCCESS, QP_OP_RECV);
	}
	EXPECT_EQ(0, qt_pinned_kb());
	lq_close(&a);
	lq_close(&b);
}

/* Memory stays pinned while another process holds the queue pair */
TEST_F(mem, queue_pair_outlives_process)
{
	struct qp_desc d = lq_desc(4, 4, 0);
	struct listener l;
	struct qt_buf dst;
	struct qp_mem *src;
	struct lq a, b;
	pid_t pid;

	src = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, src);
	ASSERT_EQ(0, qt_listen(variant->be, &l, 0, 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* a child leaves its memory with the parent's listener */
		memset(self->p, 0x42, PAGE);
		_exit(lq_mem_reg(l.q.fd, self->p, PAGE, QP_ACCESS_REMOTE_READ,
				 src) ? 1 : 0);
	}
	ASSERT_EQ(0, qt_reap(pid));
	EXPECT_EQ(0, qt_pinned_kb());
	EXPECT_EQ(self->pins + 1, qt_pins());

	ASSERT_EQ(0, qt_open(variant->be, &a, QP_NONBLOCK, &d));
	EXPECT_ERRNO(EINPROGRESS, lq_sys_connect(a.fd, &l.addr, l.len));
	ASSERT_EQ(0, lq_accept(&b, l.q.fd, &d));
	ASSERT_EQ(0, lq_connected(a.fd, LONG_MS));
	ASSERT_EQ(0, qt_buf(&dst, a.fd, PAGE, QP_ACCESS_LOCAL_WRITE));
	ASSERT_EQ(0, POST(&a, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
			  .p = dst.p, .len = PAGE, .lkey = dst.mem.lkey,
			  .raddr = src->addr, .rkey = src->rkey));
	EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_TRUE(qt_all(dst.p, PAGE, 0x42));
	lq_close(&a);
	lq_close(&b);
	qt_unlisten(&l);
	qt_unbuf(&dst);
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return n;
}

static int write_file(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY);
	int ok = fd >= 0 && write(fd, s, strlen(s)) == (ssize_t)strlen(s);

	close(fd);
	return ok ? 0 : -1;
}

#define CGROUP	"/tmp/qp-cgroup"
#define GROUP	CGROUP "/qp-test"

/* Rings are memory of the memory cgroup of who makes them */
TEST_F_CORE(mem, memory_cgroup)
{
	struct qp_desc d = lq_desc(QP_MAX_ENTRIES, QP_MAX_ENTRIES, 0);
	size_t bytes;
	long before;
	struct lq q;
	pid_t pid;

	mkdir(CGROUP, 0700);
	if (mount("none", CGROUP, "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2: %s", strerror(errno));
	if (write_file(CGROUP "/cgroup.subtree_control", "+memory") ||
	    (mkdir(GROUP, 0700) && errno != EEXIST)) {
		umount(CGROUP);
		SKIP(return, "no memory cgroups in this kernel");
	}
	pid = fork();
	if (!pid) {
		if (write_file(GROUP "/cgroup.procs", "0"))
			_exit(1);
		before = read_number(GROUP "/memory.current");
		if (qt_open(variant->be, &q, 0, &d))
			_exit(2);
		bytes = q.sq.len + q.rq.len + q.cq.len;
		if (read_number(GROUP "/memory.current") < before + (long)bytes)
			_exit(3);
		lq_close(&q);
		if (read_number(GROUP "/memory.current") >
		    before + (long)bytes / 2)
			_exit(4);
		_exit(0);
	}
	EXPECT_EQ(0, qt_reap(pid));
	rmdir(GROUP);
	umount(CGROUP);
}

/* What one queue pair leaves behind would add up */
TEST_F_TIMEOUT(mem, many, 120)
{
	struct qp_desc d = lq_desc(64, 64, 0);
	const int n = variant->be->flags & F_LOCAL ? 300 : 50;
	struct lq a, b;

	ASSERT_EQ(0, become_limited_nobody());
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
		ASSERT_EQ(0, lq_mem_reg(a.fd, self->p, LIMIT / 2, 0,
					&self->mem));
		ASSERT_EQ(0, lq_mem_reg(b.fd, self->p, LIMIT / 2, 0,
					&self->mem));
		if (i % 2)
			lq_close(&a);
		lq_close(&b);
		lq_close(&a);
	}
	EXPECT_EQ(0, qt_pinned_kb());
	EXPECT_EQ(1, qt_proc_lines());
}

/* A dma-buf, and the memory that it is made of */
struct dmabuf {
	unsigned char *p;
	int fd;
};

static int dmabuf_make(struct dmabuf *d, size_t size)
{
	int mem = memfd_create("qp_mem", MFD_ALLOW_SEALING);
	int dev = open("/dev/udmabuf", O_RDWR);
	struct udmabuf_create create = { .memfd = mem, .size = size };

	if (mem < 0 || dev < 0 || ftruncate(mem, size) ||
	    fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	d->p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
	d->fd = ioctl(dev, UDMABUF_CREATE, &create);
	close(mem);
	close(dev);
	return d->p == MAP_FAILED || d->fd < 0 ? -1 : 0;
}

static int dmabuf_reg(struct lq *q, int fd, uint64_t offset, uint64_t length,
		      uint32_t access, struct qp_mem *mem)
{
	*mem = (struct qp_mem){ .addr = offset, .length = length, .fd = fd,
				.access = access | QP_ACCESS_DMABUF };
	return lq_sys_setopt(q->fd, QP_MEM_REG, mem, sizeof(*mem));
}

/* Both ends have their memory in a dma-buf, as that of an accelerator */
TEST_F(mem, dmabuf)
{
	struct qp_desc d = lq_desc(4, 4, 0);
	struct dmabuf src, dst;
	struct qp_mem l, r;
	struct lq a, b;

	ASSERT_EQ(0, dmabuf_make(&src, 16 * PAGE));
	ASSERT_EQ(0, dmabuf_make(&dst, 16 * PAGE));
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	if (!(variant->be->flags & F_DMABUF)) {
		EXPECT_ERRNO(EOPNOTSUPP, dmabuf_reg(&a, src.fd, 0, PAGE, 0, &l));
		close(src.fd);
		close(dst.fd);
		goto out;
	}
	ASSERT_EQ(0, dmabuf_reg(&a, src.fd, PAGE, 8 * PAGE, LQ_ACCESS_ALL, &l));
	ASSERT_EQ(0, dmabuf_reg(&b, dst.fd, 2 * PAGE, 8 * PAGE, LQ_ACCESS_ALL,
				&r));
	/* the registration holds it */
	close(src.fd);
	close(dst.fd);
	qt_fill(src.p, 16 * PAGE, 1);
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
			  .p = (void *)100, .len = 7 * PAGE, .lkey = l.lkey,
			  .raddr = 50, .rkey = r.rkey));
	EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_WRITE);
	EXPECT_EQ(0, memcmp(dst.p + 2 * PAGE + 50, src.p + PAGE + 100, 7 * PAGE));
	EXPECT_TRUE(qt_all(dst.p, 2 * PAGE + 50, 0));
	EXPECT_TRUE(qt_all(dst.p + 9 * PAGE + 50, PAGE, 0));

	memset(src.p, 0, 16 * PAGE);
	ASSERT_EQ(0, POST(&a, .op = QP_OP_READ, .flags = QP_SQE_SIGNALED,
			  .p = (void *)8, .len = PAGE, .lkey = l.lkey,
			  .raddr = 50, .rkey = r.rkey));
	EXPECT_CQE(&a, 0, QP_WC_SUCCESS, QP_OP_READ);
	EXPECT_EQ(0, memcmp(dst.p + 2 * PAGE + 50, src.p + PAGE + 8, PAGE));
	EXPECT_TRUE(qt_all(src.p, PAGE + 8, 0));

	/* one byte too far */
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
			  .p = (void *)8, .len = PAGE, .lkey = l.lkey,
			  .raddr = 7 * PAGE + 1, .rkey = r.rkey));
	EXPECT_CQE(&a, 0, QP_WC_REM_ACCESS_ERR, QP_OP_WRITE);
out:
	lq_close(&a);
	lq_close(&b);
	munmap(src.p, 16 * PAGE);
	munmap(dst.p, 16 * PAGE);
}

TEST_F(mem, dmabuf_errors)
{
	struct qp_desc d = lq_desc(4, 4, 0);
	struct dmabuf buf;
	struct qp_mem m;
	struct lq a, b;

	ASSERT_EQ(0, dmabuf_make(&buf, 16 * PAGE));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&self->q, buf.fd, 1, PAGE, 0, &m));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&self->q, buf.fd, 0, 0, 0, &m));
	if (!(variant->be->flags & F_DMABUF))
		goto out;
	/* without a device there is nobody who could know it */
	EXPECT_ERRNO(ENOTCONN, dmabuf_reg(&self->q, buf.fd, 0, PAGE, 0, &m));
	ASSERT_EQ(0, qt_pair(variant->be, &a, &b, 0, &d));
	EXPECT_ERRNO(EBADF, dmabuf_reg(&a, -1, 0, PAGE, 0, &m));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&a, a.fd, 0, PAGE, 0, &m));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&a, buf.fd, 0, 16 * PAGE + 1, 0, &m));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&a, buf.fd, 16 * PAGE, PAGE, 0, &m));
	EXPECT_ERRNO(EINVAL, dmabuf_reg(&a, buf.fd, 0, PAGE,
					QP_ACCESS_REMOTE_WRITE, &m));
	ASSERT_EQ(0, dmabuf_reg(&a, buf.fd, 0, 16 * PAGE, 0, &m));
	EXPECT_EQ(0, m.rkey);
	EXPECT_EQ(0, lq_mem_dereg(a.fd, m.lkey));
	ASSERT_EQ(0, POST(&a, .op = QP_OP_WRITE, .flags = QP_SQE_SIGNALED,
			  .p = (void *)8, .len = 8, .lkey = m.lkey));
	EXPECT_CQE(&a, 0, QP_WC_LOC_PROT_ERR, QP_OP_WRITE);
	lq_close(&a);
	lq_close(&b);
out:
	munmap(buf.p, 16 * PAGE);
	close(buf.fd);
}

TEST_HARNESS_MAIN
