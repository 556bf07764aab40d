// SPDX-License-Identifier: GPL-2.0
/*
 * Much of it:
 *
 * ib_load [-t stream|seqpacket|mixed] [-6] [-n CONNECTIONS] [-m MIB] [-l PERCENT]
 *	[-M MTU]
 *	So many connections at once, of one type or by turns of both, each of which
 *	carries so many MiB over a link that loses PERCENT of the packets. What
 *	arrives is compared with what was sent.
 *
 * ib_load -d [-n SOCKETS]
 *	So many datagram sockets in one network namespace, each bound, and a few
 *	that are sent to: how long that takes, and what memory.
 *
 * Fails if something is wrong, or nothing goes on for STALL_MS.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "kselftest.h"
#include "ib_conn.h"

#define STALL_MS	120000

/* What goes with a call, of numbers of 8 bytes */
#define CHUNK		(32 << 10)
#define WORDS		(CHUNK / sizeof(__u64))

/* What datagram sockets may take, KiB: each of them, and afterwards */
#define SOCKET_KIB	64
#define LEFT_KIB	(64 << 10)
#define SOCKETS_MS	120000

static const char *const type_names[] = { "stream", "seqpacket", "mixed" };
static int types[] = { SOCK_STREAM, SOCK_SEQPACKET }, num_types = 1;
static int version = 4, count = 20, mtu;
static unsigned int mib = 4, loss = 2;

static __u64 chunks(void)
{
	return ((__u64)mib << 20) / CHUNK;
}

/*
 * An end of a connection: what goes over it are numbers from a seed, which goes
 * first, alone; and then chunks of them, of which so many went.
 */
struct flow {
	int fd;
	int type;
	__u64 seed, state;
	__u64 chunks;
	size_t off;
	bool began;
	bool ready;		/* what is in @buf is to be sent */
	__u64 buf[WORDS + 1];
};

static void next_chunk(struct flow *f)
{
	for (unsigned int i = 0; i < WORDS; i++)
		f->buf[i] = qt_random(&f->state);
}

static bool right_chunk(struct flow *f)
{
	for (unsigned int i = 0; i < WORDS; i++)
		if (f->buf[i] != qt_random(&f->state))
			return false;
	return true;
}

static void watch(int ep, struct flow *f, __u32 events, int op)
{
	struct epoll_event e = { .events = events, .data.ptr = f };

	if (epoll_ctl(ep, op, f ? f->fd : -1, &e))
		err(1, "epoll_ctl");
}

static struct flow *new_flow(int fd, int type)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		err(1, "no memory");
	f->fd = fd;
	f->type = type;
	return f;
}

/*
 * The server's side
 */

/* How much is missing in front of what comes next */
static size_t wanted(const struct flow *f)
{
	return f->began ? CHUNK : sizeof(__u64);
}

/* Take what is there: 0, or 1 if that was all */
static int take(struct flow *f)
{
	size_t want = wanted(f);
	ssize_t n = recv(f->fd, (char *)f->buf + f->off, want - f->off,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		err(1, "recv, after %llu chunks", f->chunks);
	if (!n) {
		if (f->chunks != chunks() || f->off)
			errx(1, "the end after %llu chunks", f->chunks);
		/* and that is the answer */
		if (send(f->fd, &f->state, sizeof(f->state), MSG_NOSIGNAL) !=
		    sizeof(f->state))
			err(1, "send of the answer");
		return 1;
	}
	if (f->type == SOCK_SEQPACKET && (size_t)n != want)
		errx(1, "a message of %zd bytes, not %zu", n, want);
	f->off += n;
	if (f->off < want)
		return 0;
	f->off = 0;
	if (!f->began) {
		f->began = true;
		f->state = f->buf[0];
		return 0;
	}
	if (!right_chunk(f))
		errx(1, "chunk %llu is wrong", f->chunks);
	f->chunks++;
	return 0;
}

static int serve(const struct ib_end *listeners)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), left = count;
	struct flow *l[2], *f;
	struct epoll_event e;

	for (int i = 0; i < num_types; i++) {
		l[i] = new_flow(listeners[i].fd, types[i]);
		watch(ep, l[i], EPOLLIN, EPOLL_CTL_ADD);
	}
	while (left) {

		if (epoll_wait(ep, &e, 1, STALL_MS) != 1)
			errx(1, "server: nothing goes on, %d are left", left);
		f = e.data.ptr;
		if (f == l[0] || (num_types == 2 && f == l[1])) {
			int fd = ib_accept(f->fd, NULL);

			if (fd < 0)
				err(1, "accept");
			watch(ep, new_flow(fd, f->type), EPOLLIN, EPOLL_CTL_ADD);
		} else if (take(f)) {
			close(f->fd);
			free(f);
			left--;
		}
	}
	return 0;
}

/*
 * The client's side
 */

/* What is to be sent now */
static size_t prepare(struct flow *f)
{
	if (!f->ready && f->began)
		next_chunk(f);
	else if (!f->ready)
		f->buf[0] = f->seed;
	f->ready = true;
	return wanted(f);
}

/* Send what there is room for: 1 if that was all */
static int give(struct flow *f)
{
	size_t len = prepare(f);
	ssize_t n = send(f->fd, (char *)f->buf + f->off, len - f->off,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		err(1, "send, after %llu chunks", f->chunks);
	f->off += n;
	if (f->off < len)
		return 0;
	f->off = 0;
	f->ready = false;
	if (f->began)
		f->chunks++;
	f->began = true;
	return f->chunks == chunks();
}

/* The peer has come to the same number */
static void take_answer(struct flow *f)
{
	__u64 state;

	if (recv(f->fd, &state, sizeof(state), 0) != sizeof(state))
		err(1, "recv of the answer");
	if (state != f->state)
		errx(1, "the answer is wrong");
	close(f->fd);
	free(f);
}

static void call(const struct ib_end *listeners, int ep)
{
	for (int i = 0; i < count; i++) {
		int type = types[i % num_types];
		struct flow *f = new_flow(ib_open(QT_CLIENT, type), type);

		if (f->fd < 0 || ib_set_wait(f->fd, SO_SNDTIMEO, STALL_MS) ||
		    ib_connect(f->fd, &listeners[i % num_types].addr))
			err(1, "connection %d", i);
		f->seed = i + 1;
		f->state = f->seed;
		watch(ep, f, EPOLLOUT, EPOLL_CTL_ADD);
	}
}

static void send_all(const struct ib_end *listeners)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), left = count;
	__u64 start = qt_now_ms(), ms;
	struct epoll_event e;

	call(listeners, ep);
	printf("# %d connections after %llu ms\n", count, qt_now_ms() - start);
	start = qt_now_ms();
	while (left) {
		struct flow *f;

		if (epoll_wait(ep, &e, 1, STALL_MS) != 1)
			errx(1, "client: nothing goes on, %d are left", left);
		f = e.data.ptr;
		if (f->began && f->chunks == chunks()) {
			take_answer(f);
			left--;
		} else if (e.events & (EPOLLERR | EPOLLHUP)) {
			errx(1, "after %llu chunks: %s", f->chunks,
			     strerror(ib_sol_socket(f->fd, SO_ERROR)));
		} else if (give(f)) {
			if (shutdown(f->fd, SHUT_WR))
				err(1, "shutdown");
			watch(ep, f, EPOLLIN, EPOLL_CTL_MOD);
		}
	}
	ms = qt_now_ms() - start ?: 1;
	printf("# %d x %u MiB, %u %% of the packets lost: %llu ms, %.1f MB/s\n",
	       count, mib, loss, ms, 1.048576 * mib * count * 1000 / ms);
}

static int connections(void)
{
	struct ib_end l[2];
	pid_t pid;
	int ret;

	if (mtu && ib_set_mtu(mtu))
		errx(1, "no MTU of %d", mtu);
	if (loss)
		for (int host = QT_CLIENT; host <= QT_SERVER; host++)
			if (qt_sh(IB_HOSTS, host, "tc qdisc add dev veth0 root "
				  "netem loss %u%% limit 100000", loss))
				errx(1, "no netem");
	for (int i = 0; i < num_types; i++) {
		l[i].addr = ib_conn_addr(version, QT_SERVER, ib_port());
		if (ib_listen_at(QT_SERVER, types[i], &l[i], count))
			err(1, "listen");
	}
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(serve(l));
	}
	send_all(l);
	ret = qt_reap(pid);
	if (ret)
		warnx("the server ended with %d", ret);
	return ret;
}

/*
 * Datagram sockets
 */

static long available_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	if (!f)
		err(1, "/proc/meminfo");
	while (kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %ld", &kib);
	fclose(f);
	return kib;
}

static void make_sockets(struct ib_end *e, long before)
{
	__u64 start = qt_now_ms();
	long used = 0;

	for (int i = 0; i < count; i++) {
		e[i].addr = ib_addr(version, QT_CLIENT, 0);
		if (ib_bound_at(QT_CLIENT, &e[i]) ||
		    ib_getsockname(e[i].fd, &e[i].addr))
			err(1, "socket %d", i);
		if (i % 250 != 249 && i + 1 < count)
			continue;
		/* before there is none left */
		used = before - available_kib();
		if (used > SOCKET_KIB * (i + 1L) + LEFT_KIB)
			errx(1, "%d sockets take %ld MiB", i + 1, used >> 10);
		if (qt_now_ms() - start > SOCKETS_MS)
			errx(1, "%d sockets take more than %d ms", i + 1,
			     SOCKETS_MS);
	}
	printf("# %d sockets in %llu ms, %.1f KiB each\n", count,
	       qt_now_ms() - start, (double)used / count);
}

/* From the server to some, which answer, and from one to the next */
static void use_sockets(struct ib_end *e)
{
	int fd = ib_socket(QT_SERVER), step = count / 50 ?: 1;

	for (int i = 0; i < count; i += step) {
		struct ib_end *next = &e[(i + step) % count];
		struct sockaddr_ib from;
		char c[8];

		if (ib_sendto(fd, "ask", 3, 0, &e[i].addr) != 3 ||
		    ib_recvfrom(e[i].fd, c, sizeof(c), 0, &from) != 3 ||
		    ib_sendto(e[i].fd, "answer", 6, 0, &from) != 6 ||
		    ib_recvfrom(fd, c, sizeof(c), 0, &from) != 6)
			err(1, "from the server to socket %d", i);
		if (!ib_passes(&e[i], next))
			err(1, "from socket %d to the next", i);
	}
	close(fd);
}

static void raise_limits(void)
{
	struct rlimit files = { count + 100, count + 100 };
	long max;

	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "RLIMIT_NOFILE");
	if (!qt_sysctl_read("net/qp/max_qps", &max) && max < count + 100)
		qt_sysctl_write("net/qp/max_qps", count + 100);
}

static int datagrams(void)
{
	struct ib_end *e = calloc(count, sizeof(*e));
	int here = ib_proc_lines(QT_CLIENT);
	long before, left;
	__u64 start;

	if (!e)
		err(1, "no memory");
	raise_limits();
	/* touch it now, so that it does not count */
	memset(e, 0xff, count * sizeof(*e));
	before = available_kib();
	make_sockets(e, before);
	if (ib_proc_lines(QT_CLIENT) != here + count)
		errx(1, "/proc/net/ib has %d lines", ib_proc_lines(QT_CLIENT));
	use_sockets(e);
	start = qt_now_ms();
	for (int i = 0; i < count; i++)
		ib_close(&e[i]);
	printf("# closed in %llu ms\n", qt_now_ms() - start);
	if (qt_now_ms() - start > SOCKETS_MS)
		errx(1, "that is too long");
	/* what is freed later is freed soon */
	do {
		usleep(100000);
		left = before - available_kib();
	} while (left > LEFT_KIB && qt_now_ms() - start < SOCKETS_MS);
	printf("# %ld KiB are left of it\n", left);
	if (left > LEFT_KIB)
		errx(1, "that is too much");
	if (ib_proc_lines(QT_CLIENT) != here)
		errx(1, "there are sockets still");
	return 0;
}

static int help(void)
{
	fprintf(stderr, "usage: ib_load [-t stream|seqpacket|mixed] [-6] "
		"[-n CONNECTIONS] [-m MIB] [-l PERCENT] [-M MTU]\n"
		"       ib_load -d [-6] [-n SOCKETS]\n");
	return 2;
}

static bool set_type(const char *name)
{
	for (int i = 0; i < ARRAY_SIZE(type_names); i++) {
		if (strcmp(name, type_names[i]))
			continue;
		if (i == 1)
			types[0] = SOCK_SEQPACKET;
		num_types = i == 2 ? 2 : 1;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	bool dgrams = false;
	int opt;

	while ((opt = getopt(argc, argv, "t:6n:m:l:M:d")) != -1) {
		switch (opt) {
		case 't':
			if (!set_type(optarg))
				return help();
			break;
		case 'M':
			mtu = atoi(optarg);
			break;
		case '6':
			version = 6;
			break;
		case 'n':
			count = atoi(optarg);
			break;
		case 'm':
			mib = atoi(optarg);
			break;
		case 'l':
			loss = atoi(optarg);
			break;
		case 'd':
			dgrams = true;
			break;
		default:
			return help();
		}
	}
	if (optind != argc || count < 1 || !mib)
		return help();
	setvbuf(stdout, NULL, _IOLBF, 0);
	return dgrams ? datagrams() : connections();
}
