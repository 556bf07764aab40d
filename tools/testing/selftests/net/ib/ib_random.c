// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls with random arguments on random AF_IB sockets of all types, by
 * several processes on two hosts, some of which are killed in the midst. What
 * the calls say does not matter: the kernel's checks of itself find what is
 * wrong, and the test that everything is well, and nothing left, afterwards.
 *
 * RANDOM_SECONDS says for how long (60), SEED with which numbers.
 */
#include <fcntl.h>
#include <signal.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "ib_conn.h"

#define SECONDS		60
#define WORKERS		6
#define SLOTS		24

/* Who waits does not wait for longer, ms; and is interrupted now and then */
#define WAIT_MS		40
#define TICK_US		70000

/* A worker that is killed is gone by then, ms */
#define GONE_MS		(2 * LONG_MS)

/* All of them have the same few ports, so that they meet */
#define FIRST_PORT	7800
#define PORTS		6

/* Room for what is received, and something to send */
#define ROOM		(256 << 10)

struct worker {
	__u64 seed;
	int fd[SLOTS];
	int ep;
	int pipe[2];
	enum qt_host host;
	char *room;
};

static __u64 number(struct worker *w)
{
	return qt_random(&w->seed);
}

/* Once in so many times */
static bool seldom(struct worker *w, unsigned int times)
{
	return !(number(w) % times);
}

static int *any_slot(struct worker *w)
{
	return &w->fd[number(w) % SLOTS];
}

static int any_fd(struct worker *w)
{
	return *any_slot(w);
}

/* Mostly one that makes sense */
static int any_of(struct worker *w, const int *values, int n)
{
	return seldom(w, 30) ? (int)number(w) : values[number(w) % n];
}

#define ANY_OF(w, a)	any_of(w, a, ARRAY_SIZE(a))

static void fill(struct worker *w, void *p, size_t len)
{
	char *c = p;

	while (len--)
		*c++ = number(w);
}

static size_t any_len(struct worker *w)
{
	static const size_t lens[] = { 0, 1, 8, 100, 1000, 1024, 1025, 4096 };

	if (seldom(w, 20))
		return number(w) % ROOM;
	return seldom(w, 3) ? number(w) % 3000 :
			      lens[number(w) % ARRAY_SIZE(lens)];
}

/* Somewhere in the room, and within it; or nowhere */
static char *any_room(struct worker *w, size_t len)
{
	if (seldom(w, 100))
		return (char *)number(w);
	return w->room + number(w) % (ROOM - (len < ROOM ? len : ROOM) + 1);
}

static int any_flags(struct worker *w)
{
	static const int flags[] = {
		MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_ERRQUEUE, MSG_EOR,
		MSG_MORE, MSG_OOB, MSG_CTRUNC, MSG_CMSG_CLOEXEC, MSG_ZEROCOPY,
		MSG_CONFIRM, MSG_DONTROUTE, MSG_PROXY, MSG_WAITFORONE,
	};
	int f = MSG_NOSIGNAL;

	if (!seldom(w, 4))
		f |= MSG_DONTWAIT;
	for (int n = number(w) % 8; n > 5; n--)
		f |= flags[number(w) % ARRAY_SIZE(flags)];
	return seldom(w, 200) ? (int)number(w) : f;
}

/* Of which version of IP, or 0: of InfiniBand's own ports, where there are some */
static const int versions[] = {
#ifdef QP_IB
	0, 0, 0,
#endif
	4, 6
};

static void any_gid(struct worker *w, struct ib_addr *gid)
{
	int version = versions[number(w) % ARRAY_SIZE(versions)];

	switch (number(w) % 16) {
	case 0:
		memset(gid, 0, sizeof(*gid));
		break;
	case 1:
		*gid = ib_group(version, number(w) % 4).sib_addr;
		break;
	case 2:
		fill(w, gid, sizeof(*gid));
		break;
	case 3:
		/* nobody there */
		*gid = ib_addr(version, w->host, 0).sib_addr;
		gid->sib_raw[15] = 90 + number(w) % 4;
		break;
	case 4:
		memset(gid, 0, sizeof(*gid));
		gid->sib_raw[15] = 1;
		break;
	default:
		*gid = ib_addr(version, number(w) & 1 ? QT_CLIENT : QT_SERVER,
			       0).sib_addr;
	}
}

static socklen_t any_addr(struct worker *w, struct sockaddr_storage *ss)
{
	static const __u64 spaces[] = {
		IB_TCP_SPACE, IB_TCP_SPACE, IB_TCP_SPACE, IB_UDP_SPACE,
		IB_UDP_SPACE, IB_UDP_SPACE, IB_SID_QPN, 0x13f0000,
	};
	struct sockaddr_ib *a = (void *)ss;
	__u64 sid = spaces[number(w) % ARRAY_SIZE(spaces)];

	if (seldom(w, 40)) {
		fill(w, ss, sizeof(*ss));
		return number(w) % (sizeof(*ss) + 8);
	}
	memset(ss, 0, sizeof(*ss));
	sid |= sid == IB_SID_QPN ? number(w) % 100 :
				   FIRST_PORT + number(w) % PORTS;
	*a = ib_any(0);
	any_gid(w, &a->sib_addr);
	a->sib_sid = seldom(w, 10) ? 0 : htobe64(sid);
	if (seldom(w, 30))
		a->sib_family = seldom(w, 2) ? AF_UNSPEC : AF_INET6;
	if (seldom(w, 30))
		a->sib_sid_mask = number(w);
	if (seldom(w, 30))
		a->sib_scope_id = number(w) % 8;
	return seldom(w, 50) ? number(w) % sizeof(*ss) : sizeof(*a);
}

/*
 * The calls
 */

static void call_socket(struct worker *w)
{
	static const int types[] = {
		SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_STREAM,
		SOCK_SEQPACKET, SOCK_RAW, SOCK_RDM,
	};
	int *fd = any_slot(w), type = ANY_OF(w, types);

	if (!seldom(w, 3))
		type |= SOCK_NONBLOCK;
	close(*fd);
	*fd = socket(AF_IB, type, seldom(w, 20) ? (int)number(w) % 300 : 0);
	ib_set_wait(*fd, SO_RCVTIMEO, WAIT_MS);
	ib_set_wait(*fd, SO_SNDTIMEO, WAIT_MS);
}

static void call_bind(struct worker *w)
{
	struct sockaddr_storage ss;
	socklen_t len = any_addr(w, &ss);

	bind(any_fd(w), (void *)&ss, len);
}

static void call_listen(struct worker *w)
{
	listen(any_fd(w), seldom(w, 10) ? (int)number(w) :
					  (int)(number(w) % 5));
}

static void call_accept(struct worker *w)
{
	int *to = any_slot(w), fd;
	struct sockaddr_storage ss;
	socklen_t len = number(w) % (sizeof(ss) + 1);

	fd = accept4(any_fd(w), seldom(w, 3) ? NULL : (void *)&ss, &len,
		     number(w) & (SOCK_NONBLOCK | SOCK_CLOEXEC));
	if (fd < 0)
		return;
	close(*to);
	*to = fd;
	ib_set_wait(fd, SO_RCVTIMEO, WAIT_MS);
	ib_set_wait(fd, SO_SNDTIMEO, WAIT_MS);
}

static void call_connect(struct worker *w)
{
	struct sockaddr_storage ss;
	socklen_t len = any_addr(w, &ss);

	connect(any_fd(w), (void *)&ss, len);
}

static void call_send(struct worker *w)
{
	size_t len = any_len(w);

	send(any_fd(w), any_room(w, len), len, any_flags(w));
}

static void call_recv(struct worker *w)
{
	size_t len = any_len(w);

	recv(any_fd(w), any_room(w, len), len, any_flags(w));
}

static void call_sendto(struct worker *w)
{
	struct sockaddr_storage ss;
	socklen_t len = any_addr(w, &ss);
	size_t n = any_len(w);

	sendto(any_fd(w), any_room(w, n), n, any_flags(w), (void *)&ss, len);
}

/* What was received is answered */
static void call_answer(struct worker *w)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = any_fd(w);
	ssize_t n = recvfrom(fd, w->room, 4096, MSG_DONTWAIT, (void *)&ss,
			     &len);

	if (n >= 0)
		sendto(fd, w->room, n, MSG_DONTWAIT | MSG_NOSIGNAL,
		       (void *)&ss, len);
}

static void any_msg(struct worker *w, struct msghdr *m,
		    struct sockaddr_storage *ss, struct iovec iov[4],
		    char ctl[256])
{
	struct cmsghdr *c = (void *)ctl;

	for (int i = 0; i < 4; i++) {
		iov[i].iov_len = any_len(w);
		iov[i].iov_base = any_room(w, iov[i].iov_len);
	}
	*m = (struct msghdr){ .msg_iov = iov, .msg_iovlen = number(w) % 5 };
	if (seldom(w, 2)) {
		m->msg_namelen = any_addr(w, ss);
		m->msg_name = ss;
	}
	if (seldom(w, 3)) {
		fill(w, ctl, 256);
		c->cmsg_len = seldom(w, 5) ? number(w) % 300 :
					     CMSG_LEN(sizeof(int));
		c->cmsg_level = seldom(w, 3) ? SOL_SOCKET : SOL_IB;
		c->cmsg_type = number(w) % 16;
		m->msg_control = ctl;
		m->msg_controllen = seldom(w, 5) ? number(w) % 256 :
						   CMSG_SPACE(sizeof(int));
	}
}

static void call_msg(struct worker *w)
{
	char ctl[256] __attribute__((aligned(8)));
	struct sockaddr_storage ss;
	struct iovec iov[4];
	struct msghdr m;

	any_msg(w, &m, &ss, iov, ctl);
	if (seldom(w, 2))
		sendmsg(any_fd(w), &m, any_flags(w));
	else
		recvmsg(any_fd(w), &m, any_flags(w));
}

static void call_mmsg(struct worker *w)
{
	char ctl[4][256] __attribute__((aligned(8)));
	struct sockaddr_storage ss[4];
	struct mmsghdr m[4] = {};
	struct iovec iov[4][4];

	for (int i = 0; i < 4; i++)
		any_msg(w, &m[i].msg_hdr, &ss[i], iov[i], ctl[i]);
	if (seldom(w, 2))
		sendmmsg(any_fd(w), m, 4, any_flags(w));
	else
		recvmmsg(any_fd(w), m, 4, any_flags(w) | MSG_DONTWAIT, NULL);
}

static void call_shutdown(struct worker *w)
{
	shutdown(any_fd(w), number(w) % 4);
}

static void call_close(struct worker *w)
{
	int *fd = any_slot(w);

	close(*fd);
	*fd = -1;
}

static void call_dup(struct worker *w)
{
	int *to = any_slot(w), fd = dup(any_fd(w));

	if (fd < 0)
		return;
	close(*to);
	*to = fd;
}

static void call_linger(struct worker *w)
{
	struct linger l = { number(w) & 1, number(w) % 2 };

	setsockopt(any_fd(w), SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void call_option(struct worker *w)
{
	static const int options[] = {
		SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, SO_TIMESTAMP,
		SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_KEEPALIVE, SO_REUSEADDR,
		SO_OOBINLINE, SO_PRIORITY, SO_BINDTODEVICE, SO_MARK,
		SO_BUSY_POLL, SO_PEEK_OFF, SO_DETACH_FILTER, SO_ZEROCOPY,
		SO_INCOMING_CPU, SO_TXTIME, SO_PASSCRED, SO_REUSEPORT,
	};
	int val = seldom(w, 4) ? (int)number(w) : (int)(number(w) % 5000);

	setsockopt(any_fd(w), SOL_SOCKET, ANY_OF(w, options), &val,
		   seldom(w, 20) ? number(w) % 64 : sizeof(val));
}

static void call_ib_option(struct worker *w)
{
	int opt = number(w) % 18, val = number(w) % 300;
	struct ib_mreq m = { .ifindex = number(w) % 4 };

	if (opt != IB_ADD_MEMBERSHIP && opt != IB_DROP_MEMBERSHIP) {
		setsockopt(any_fd(w), seldom(w, 30) ? (int)number(w) : SOL_IB,
			   opt, &val,
			   seldom(w, 20) ? number(w) % 64 : sizeof(val));
		return;
	}
	m.mgid = ib_group(seldom(w, 2) ? 4 : 6, number(w) % 4).sib_addr;
	m.flags = number(w) & 1;
	if (seldom(w, 4))
		any_gid(w, &m.gid);
	if (seldom(w, 20))
		fill(w, &m, sizeof(m));
	setsockopt(any_fd(w), SOL_IB, opt, &m,
		   seldom(w, 20) ? number(w) % 64 : sizeof(m));
}

static void call_getopt(struct worker *w)
{
	socklen_t len = number(w) % 128;
	char buf[128];

	if (seldom(w, 2))
		getsockopt(any_fd(w), SOL_IB, number(w) % 18, buf, &len);
	else
		getsockopt(any_fd(w), SOL_SOCKET, number(w) % 84, buf, &len);
}

static void call_filter(struct worker *w)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, number(w) % 64),
		BPF_STMT(BPF_RET | BPF_K, number(w) % 2000),
	};
	struct sock_fprog prog = { ARRAY_SIZE(f), f };

	setsockopt(any_fd(w), SOL_SOCKET, SO_ATTACH_FILTER, &prog,
		   sizeof(prog));
}

static void call_names(struct worker *w)
{
	struct sockaddr_storage ss;
	socklen_t len = number(w) % (sizeof(ss) + 1);

	if (seldom(w, 2))
		getsockname(any_fd(w), (void *)&ss, &len);
	else
		getpeername(any_fd(w), (void *)&ss, &len);
}

static void call_ioctl(struct worker *w)
{
	static const int cmds[] = {
		SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, SIOCGSTAMP_OLD,
		FIONBIO, SIOCGIFNAME,
	};
	char arg[256] = {};

	arg[0] = number(w) & 1;
	ioctl(any_fd(w), cmds[number(w) % ARRAY_SIZE(cmds)], arg);
}

static void call_poll(struct worker *w)
{
	struct pollfd p[SLOTS];

	for (int i = 0; i < SLOTS; i++)
		p[i] = (struct pollfd){ w->fd[i], number(w) & 0x3fff, 0 };
	poll(p, SLOTS, number(w) % 5);
}

static void call_epoll(struct worker *w)
{
	struct epoll_event e = { .events = number(w), .data.u32 = 1 };
	int op = 1 + number(w) % 3;

	epoll_ctl(w->ep, op, any_fd(w), &e);
	epoll_wait(w->ep, &e, 1, 0);
}

static void call_splice(struct worker *w)
{
	size_t len = 1 + number(w) % 8192;

	if (write(w->pipe[1], w->room, number(w) % 2000) < 0)
		len++;
	splice(w->pipe[0], NULL, any_fd(w), NULL, len, SPLICE_F_NONBLOCK);
	splice(any_fd(w), NULL, w->pipe[1], NULL, len, SPLICE_F_NONBLOCK);
	if (read(w->pipe[0], w->room, 65536) < 0)
		len++;
}

static void call_vec(struct worker *w)
{
	struct iovec iov[3];

	for (int i = 0; i < 3; i++) {
		iov[i].iov_len = any_len(w);
		iov[i].iov_base = any_room(w, iov[i].iov_len);
	}
	if (seldom(w, 2))
		writev(any_fd(w), iov, number(w) % 4);
	else
		readv(any_fd(w), iov, number(w) % 4);
}

static void call_nonblock(struct worker *w)
{
	fcntl(any_fd(w), F_SETFL, seldom(w, 3) ? 0 : O_NONBLOCK);
}

/* A child has all of them for a moment */
static void call_fork(struct worker *w)
{
	pid_t pid;

	if (!seldom(w, 10))
		return;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < 10; i++)
			call_close(w);
		_exit(0);
	}
	if (pid > 0)
		qt_reap(pid);
}

static void call_proc(struct worker *w)
{
	ib_proc_lines(w->host);
}

static void (*const calls[])(struct worker *w) = {
	call_socket, call_socket, call_bind, call_listen, call_accept,
	call_accept, call_connect, call_connect, call_send, call_send,
	call_recv, call_recv, call_sendto, call_answer, call_msg, call_mmsg,
	call_shutdown, call_close, call_dup, call_linger, call_option,
	call_ib_option, call_getopt, call_filter, call_names, call_ioctl,
	call_poll, call_epoll, call_splice, call_vec, call_nonblock, call_fork,
	call_proc,
};

/*
 * Two of it that fit: without them chance makes few connections
 */
static void connection(struct worker *w)
{
	struct sockaddr_ib at = ib_conn_addr(seldom(w, 2) ? 4 : 6, w->host, 0);
	int type = seldom(w, 2) ? SOCK_STREAM : SOCK_SEQPACKET;
	int *a = any_slot(w), *b = any_slot(w);
	int l = socket(AF_IB, type | SOCK_CLOEXEC, 0);

	if (a == b)
		goto out;
	close(*a);
	close(*b);
	*b = -1;
	*a = socket(AF_IB, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ib_set_wait(l, SO_RCVTIMEO, 10 * WAIT_MS);
	if (ib_bind(l, &at) || ib_getsockname(l, &at) || listen(l, 2) ||
	    (ib_connect(*a, &at) && errno != EINPROGRESS))
		goto out;
	*b = accept(l, NULL, NULL);
	ib_set_wait(*a, SO_SNDTIMEO, WAIT_MS);
	ib_set_wait(*a, SO_RCVTIMEO, WAIT_MS);
	ib_set_wait(*b, SO_SNDTIMEO, WAIT_MS);
	ib_set_wait(*b, SO_RCVTIMEO, WAIT_MS);
out:
	close(l);
}

static void nothing(int sig)
{
}

/* It does not end by itself */
static void work(__u64 seed, enum qt_host host)
{
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };
	struct sigaction sa = { .sa_handler = nothing };
	struct worker w = { .seed = seed, .host = host };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w.room = mmap(NULL, ROOM + 65536, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w.ep = epoll_create1(EPOLL_CLOEXEC);
	if (w.room == MAP_FAILED || w.ep < 0 || pipe2(w.pipe, O_NONBLOCK) ||
	    qt_enter(IB_HOSTS, host))
		_exit(1);
	for (int i = 0; i < SLOTS; i++)
		w.fd[i] = -1;
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	setitimer(ITIMER_REAL, &tick, NULL);
	for (;;) {
		if (seldom(&w, 60))
			connection(&w);
		else
			calls[number(&w) % ARRAY_SIZE(calls)](&w);
	}
}

static pid_t start_worker(__u64 *seed, int i)
{
	__u64 own = qt_random(seed);
	pid_t pid = fork();

	if (!pid)
		work(own, i & 1 ? QT_SERVER : QT_CLIENT);
	return pid;
}

/* Killed is gone: whatever it waits for in the kernel ends with that */
static int end_worker(pid_t pid)
{
	__u64 end = qt_now_ms() + GONE_MS;
	int status;

	kill(pid, SIGKILL);
	while (qt_now_ms() < end) {
		pid_t ret = waitpid(pid, &status, WNOHANG);

		if (ret)
			return ret == pid && WIFSIGNALED(status) ? 0 : -1;
		usleep(1000);
	}
	return -1;
}

/*
 * The test
 */

FIXTURE(random)
{
	struct ib_end a, b;	/* datagram sockets that look on */
};

FIXTURE_SETUP(random)
{
	ASSERT_EQ(0, ib_bound(4, QT_CLIENT, &self->a));
	ASSERT_EQ(0, ib_bound(4, QT_SERVER, &self->b));
}

FIXTURE_TEARDOWN(random)
{
	ib_close(&self->a);
	ib_close(&self->b);
}

/* Connections can be made as ever */
static bool all_is_well(void)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };
	bool ok = true;

	for (int i = 0; i < 4; i++) {
		struct ib_end l;
		int a = -1, b = -1;

		ok &= !ib_listen(types[i % 2], i & 2 ? 6 : 4, &l) &&
		      !ib_pair(types[i % 2], &l, &a, &b) &&
		      ib_passes_to(a, NULL, b) && ib_passes_to(b, NULL, a);
		close(a);
		close(b);
		ib_close(&l);
	}
	return ok;
}

TEST_F_TIMEOUT(random, calls, 7200)
{
	__u64 seconds = qt_env("RANDOM_SECONDS", SECONDS);
	__u64 seed = qt_env("SEED", 1), state = seed;
	__u64 end = qt_now_ms() + 1000 * seconds;
	int there = ib_sockets(), killed = 0;
	pid_t pid[WORKERS];

	TH_LOG("SEED=%llu, %llu s", seed, seconds);
	ASSERT_EQ(2, there);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(&state, i);
		ASSERT_LT(0, pid[i]);
	}
	while (qt_now_ms() < end) {
		int i = qt_random(&state) % WORKERS;

		usleep(qt_random(&state) % 1000000);
		ASSERT_EQ(0, end_worker(pid[i])) {
			TH_LOG("worker %d does not end", i);
		}
		killed++;
		pid[i] = start_worker(&state, i);
		ASSERT_LT(0, pid[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, end_worker(pid[i]));
	TH_LOG("%d processes were killed, %d sockets are there", killed,
	       ib_sockets());
	EXPECT_EQ(there, ib_settle(there));
	ib_drain(self->a.fd);
	ib_drain(self->b.fd);
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
	EXPECT_TRUE(all_is_well()) {
		TH_LOG("%s", strerror(errno));
	}
}

TEST_HARNESS_MAIN
