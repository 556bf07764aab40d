// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "libqp.h"

int lq_sys_queue_pair(int domain, unsigned int flags, struct qp_desc *desc)
{
	return syscall(__NR_queue_pair, domain, flags, desc);
}

int lq_sys_connect(int fd, const void *addr, int addrlen)
{
	return syscall(__NR_qp_connect, fd, addr, addrlen);
}

int lq_sys_accept(int fd, struct qp_desc *desc)
{
	return syscall(__NR_qp_accept, fd, desc);
}

int lq_sys_setopt(int fd, int opt, void *val, unsigned int len)
{
	return syscall(__NR_setqpopt, fd, opt, val, len);
}

int lq_sys_getopt(int fd, int opt, void *val, unsigned int *len)
{
	return syscall(__NR_getqpopt, fd, opt, val, len);
}

int lq_sys_enter(int fd, unsigned int to_submit, unsigned int min_complete,
		 unsigned int flags, const struct __kernel_timespec *timeout)
{
	return syscall(__NR_qp_enter, fd, to_submit, min_complete, flags,
		       timeout);
}

struct qp_desc lq_desc(__u32 sq_entries, __u32 rq_entries, __u32 cq_entries)
{
	return (struct qp_desc){
		.size = sizeof(struct qp_desc),
		.type = QP_RC,
		.sq_entries = sq_entries,
		.rq_entries = rq_entries,
		.cq_entries = cq_entries,
		.share_fd = -1,
	};
}

static int map_ring(struct lq_ring *r, int fd, const struct qp_ring_desc *d)
{
	unsigned char *map;

	memset(r, 0, sizeof(*r));
	if (!d->entries)
		return 0;
	map = mmap(NULL, d->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, d->off);
	if (map == MAP_FAILED)
		return -1;

	r->map = map;
	r->len = d->len;
	r->head = (__u32 *)(map + d->head);
	r->tail = (__u32 *)(map + d->tail);
	r->flags = (__u32 *)(map + d->flags);
	r->first = map + d->first;
	r->entries = d->entries;
	r->mask = d->entries - 1;
	r->entry_size = d->entry_size;
	return 0;
}

static void unmap_ring(struct lq_ring *r)
{
	if (r->map)
		munmap(r->map, r->len);
	memset(r, 0, sizeof(*r));
}

int lq_map(struct lq *q)
{
	if (!map_ring(&q->sq, q->fd, &q->desc.sq) &&
	    !map_ring(&q->rq, q->fd, &q->desc.rq) &&
	    !map_ring(&q->cq, q->fd, &q->desc.cq))
		return 0;
	lq_unmap(q);
	return -1;
}

void lq_unmap(struct lq *q)
{
	unmap_ring(&q->sq);
	unmap_ring(&q->rq);
	unmap_ring(&q->cq);
}

void lq_close(struct lq *q)
{
	int err = errno;

	lq_unmap(q);
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	errno = err;
}

static int finish(struct lq *q)
{
	if (q->fd < 0)
		return -1;
	if (!lq_map(q))
		return 0;
	lq_close(q);
	return -1;
}

int lq_open(struct lq *q, int domain, unsigned int flags,
	    const struct qp_desc *desc)
{
	memset(q, 0, sizeof(*q));
	q->desc = *desc;
	q->fd = lq_sys_queue_pair(domain, flags, &q->desc);
	return finish(q);
}

int lq_accept(struct lq *q, int lfd, const struct qp_desc *desc)
{
	memset(q, 0, sizeof(*q));
	q->desc = *desc;
	q->fd = lq_sys_accept(lfd, &q->desc);
	return finish(q);
}

socklen_t lq_addr_un(struct sockaddr_un *sun, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(sun->sun_path))
		len = sizeof(sun->sun_path) - 1;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, name, len);
	if (name[0] != '@')
		return sizeof(*sun);
	sun->sun_path[0] = '\0';
	return offsetof(struct sockaddr_un, sun_path) + len;
}

int lq_listen(struct lq *q, int domain, const void *addr, socklen_t len,
	      unsigned int flags, __u32 backlog)
{
	struct qp_desc d = lq_desc(0, 0, 0);

	d.addr = (unsigned long)addr;
	d.addrlen = len;
	d.backlog = backlog;
	return lq_open(q, domain, flags | QP_LISTEN, &d);
}

int lq_listen_un(struct lq *q, const char *name, unsigned int flags,
		 __u32 backlog)
{
	struct sockaddr_un sun;
	socklen_t len = lq_addr_un(&sun, name);

	return lq_listen(q, AF_UNIX, &sun, len, flags, backlog);
}

int lq_connect_un(struct lq *q, const char *name)
{
	struct sockaddr_un sun;
	socklen_t len = lq_addr_un(&sun, name);

	return lq_sys_connect(q->fd, &sun, len);
}

int lq_connected(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err, n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if (!n)
		err = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -1;
	else if (!err && !(p.revents & POLLOUT))
		err = ECONNRESET;
	errno = err;
	return err ? -1 : 0;
}

static int clear_nonblock(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	return fl < 0 ? -1 : fcntl(fd, F_SETFL, fl & ~O_NONBLOCK);
}

/* Connect without blocking, accept, and see the connection stand */
static int meet(struct lq *a, struct lq *b, const struct lq *listener,
		const struct qp_desc *desc, const void *addr, socklen_t len)
{
	if (lq_sys_connect(a->fd, addr, len) && errno != EINPROGRESS)
		return -1;
	if (lq_accept(b, listener->fd, desc))
		return -1;
	return lq_connected(a->fd, 5000);
}

int lq_pair_at(struct lq *a, struct lq *b, const struct lq *listener,
	       int domain, const void *addr, socklen_t len, unsigned int flags,
	       const struct qp_desc *desc)
{
	struct qp_desc peer = *desc;

	a->fd = -1;
	b->fd = -1;
	/* A thread, if one is asked for, serves only the end that connects */
	peer.flags = flags & (QP_CLOEXEC | QP_NONBLOCK);
	peer.sq_cpu = 0;
	peer.sq_idle = 0;
	if (!lq_open(a, domain, flags | QP_NONBLOCK, desc) &&
	    !meet(a, b, listener, &peer, addr, len) &&
	    (flags & QP_NONBLOCK || !clear_nonblock(a->fd)))
		return 0;
	lq_close(b);
	lq_close(a);
	return -1;
}

int lq_pair(struct lq *a, struct lq *b, int domain, const void *addr,
	    socklen_t len, unsigned int flags, const struct qp_desc *desc)
{
	struct lq listener;
	int err;

	a->fd = -1;
	b->fd = -1;
	if (lq_listen(&listener, domain, addr, len, 0, 1))
		return -1;
	err = lq_pair_at(a, b, &listener, domain, addr, len, flags, desc);
	lq_close(&listener);
	return err;
}

int lq_pair_un(struct lq *a, struct lq *b, unsigned int flags,
	       const struct qp_desc *desc)
{
	struct sockaddr_un sun;
	char name[64];
	socklen_t len;

	snprintf(name, sizeof(name), "@lq-pair-%d-%p", getpid(), (void *)a);
	len = lq_addr_un(&sun, name);
	return lq_pair(a, b, AF_UNIX, &sun, len, flags, desc);
}

int lq_mem_reg(int fd, void *addr, size_t length, __u32 access,
	       struct qp_mem *mem)
{
	*mem = (struct qp_mem){
		.addr = (unsigned long)addr,
		.length = length,
		.access = access,
	};
	return lq_sys_setopt(fd, QP_MEM_REG, mem, sizeof(*mem));
}

int lq_mem_dereg(int fd, __u32 lkey)
{
	return lq_sys_setopt(fd, QP_MEM_DEREG, &lkey, sizeof(lkey));
}

int lq_info(int fd, struct qp_info *info)
{
	unsigned int len = sizeof(*info);

	return lq_sys_getopt(fd, QP_INFO, info, &len);
}

int lq_enter(struct lq *q, unsigned int to_submit, unsigned int min_complete,
	     int timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000LL,
	};

	return lq_sys_enter(q->fd, to_submit, min_complete, 0,
			    timeout_ms < 0 ? NULL : &ts);
}

int lq_wait(struct lq *q, struct qp_cqe *cqe, int timeout_ms)
{
	struct qp_cqe *c = lq_cq_peek(q);

	if (!c) {
		if (lq_enter(q, 0, 1, timeout_ms) < 0)
			return -1;
		c = lq_cq_peek(q);
	}
	if (!c) {
		errno = ESHUTDOWN;
		return -1;
	}
	*cqe = *c;
	lq_cq_release(q);
	return 0;
}

int lq_post_recv(struct lq *q, __u64 user_data, void *addr, __u32 length,
		 __u32 lkey)
{
	struct qp_rqe *rqe = lq_rqe(q, user_data);

	if (!rqe)
		return -1;
	/* Not read, for somebody else may be writing into the entry */
	if (addr) {
		lq_sge_set(rqe->sge, addr, length, lkey);
		rqe->num_sge = 1;
	}
	return lq_submit_recv(q);
}
