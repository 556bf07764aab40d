// SPDX-License-Identifier: GPL-2.0
/*
 * Peers with a descriptor: AF_UNIX stream and seqpacket sockets, pipe(2), and
 * between two hosts TCP and UDP.
 * A call moves one message, or a batch of them with sendmmsg() and
 * recvmmsg(). Buffers of the kernel keep their defaults unless a message
 * does not fit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "bench.h"

/* Room for two of the largest messages and their sk_buffs */
#define SNDBUF_PER_BYTE	2
#define SNDBUF_EXTRA	(128 << 10)

/* Longest datagram of UDP over IPv4 */
#define UDP_MAX		65507

static int fit_sndbuf(int fd, size_t size)
{
	socklen_t len = sizeof(int);
	int have, want = size * SNDBUF_PER_BYTE + SNDBUF_EXTRA;

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &have, &len))
		return -errno;
	if (have >= want)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)) &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want)))
		return -errno;
	return 0;
}

static int pair_sockets(struct bench_end *end, int type)
{
	int fd[2], err, i;

	if (socketpair(AF_UNIX, type, 0, fd))
		return -errno;
	for (i = 0; i < 2; i++) {
		end[i].in = fd[i];
		end[i].out = fd[i];
		err = fit_sndbuf(fd[i], end->size);
		if (err)
			return err;
	}
	return 0;
}

static int pair_stream(struct bench_end *end)
{
	return pair_sockets(end, SOCK_STREAM);
}

/* Whether a message fits into an sk_buff is known by trying one */
static int pair_seqpacket(struct bench_end *end)
{
	void *probe;
	int err;

	err = pair_sockets(end, SOCK_SEQPACKET);
	if (err)
		return err;
	probe = bench_alloc(end->size);
	if (!probe)
		return -ENOMEM;
	if (send(end[0].out, probe, end->size, MSG_DONTWAIT) < 0 ||
	    recv(end[1].in, probe, end->size, 0) < 0)
		err = errno == ENOBUFS || errno == ENOMEM ? -EMSGSIZE : -errno;
	munmap(probe, end->size);
	return err;
}

static int pair_pipes(struct bench_end *end)
{
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		return -errno;
	end[0].in = back[0];
	end[0].out = there[1];
	end[1].in = there[0];
	end[1].out = back[1];
	return 0;
}

static int write_message(struct bench_end *end)
{
	size_t done = 0;
	ssize_t n;

	while (done < end->size) {
		n = write(end->out, end->buf + done, end->size - done);
		if (n < 0)
			return -errno;
		done += n;
	}
	return 0;
}

static int read_message(struct bench_end *end)
{
	size_t done = 0;
	ssize_t n;

	while (done < end->size) {
		n = read(end->in, end->buf + done, end->size - done);
		if (n <= 0)
			return n ? -errno : -EPIPE;
		done += n;
	}
	return 0;
}

int bench_sock_send(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = write_message(end);
	return err;
}

int bench_sock_receive(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = read_message(end);
	return err;
}

int bench_sock_ping(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = write_message(end) ?: read_message(end);
	return err;
}

int bench_sock_pong(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = read_message(end) ?: write_message(end);
	return err;
}

/* One iovec serves all messages of a batch: they share the buffer */
struct batch {
	struct iovec iov;
	struct mmsghdr msg[BENCH_MAX_BATCH];
};

static int open_seqpacket(struct bench_end *end)
{
	struct batch *b = bench_alloc(sizeof(*b));
	unsigned int i;

	if (!b)
		return -ENOMEM;
	b->iov.iov_base = end->buf;
	b->iov.iov_len = end->size;
	for (i = 0; i < end->series->batch; i++) {
		b->msg[i].msg_hdr.msg_iov = &b->iov;
		b->msg[i].msg_hdr.msg_iovlen = 1;
	}
	end->priv = b;
	return 0;
}

static int move_batches(struct bench_end *end, __u64 count,
			int (*call)(struct bench_end *end, unsigned int n))
{
	int n;

	while (count) {
		n = call(end, count < end->series->batch ? count : end->series->batch);
		if (n <= 0)
			return n ? -errno : -EPIPE;
		count -= n;
	}
	return 0;
}

static int call_sendmmsg(struct bench_end *end, unsigned int n)
{
	struct batch *b = end->priv;

	return sendmmsg(end->out, b->msg, n, 0);
}

static int call_recvmmsg(struct bench_end *end, unsigned int n)
{
	struct batch *b = end->priv;

	return recvmmsg(end->in, b->msg, n, MSG_WAITFORONE, NULL);
}

static int send_packets(struct bench_end *end, __u64 count)
{
	if (end->series->batch == 1)
		return bench_sock_send(end, count);
	return move_batches(end, count, call_sendmmsg);
}

static int receive_packets(struct bench_end *end, __u64 count)
{
	if (end->series->batch == 1)
		return bench_sock_receive(end, count);
	return move_batches(end, count, call_recvmmsg);
}

const struct bench_transport bench_stream = {
	.name = "stream",
	.ops = BENCH_OP(SEND),
	.max_batch = 1,
	.pair = pair_stream,
	.send = bench_sock_send,
	.receive = bench_sock_receive,
	.ping = bench_sock_ping,
	.pong = bench_sock_pong,
};

const struct bench_transport bench_seqpacket = {
	.name = "seqpacket",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.pair = pair_seqpacket,
	.open = open_seqpacket,
	.send = send_packets,
	.receive = receive_packets,
	.ping = bench_sock_ping,
	.pong = bench_sock_pong,
};

const struct bench_transport bench_pipe = {
	.name = "pipe",
	.ops = BENCH_OP(SEND),
	.max_batch = 1,
	.pair = pair_pipes,
	.send = bench_sock_send,
	.receive = bench_sock_receive,
	.ping = bench_sock_ping,
	.pong = bench_sock_pong,
};

static int accept_one(struct bench_end *end, int type, bench_address_fn *address)
{
	struct sockaddr_storage addr;
	socklen_t len = address(&addr, end->id, false);
	int fd = socket(addr.ss_family, type, 0), err;
	bool listening = true;

	if (fd < 0 || bind(fd, (void *)&addr, len) || listen(fd, 1))
		return -errno;
	err = bench_tell(end, &listening, sizeof(listening));
	if (err)
		return err;
	end->in = accept(fd, NULL, NULL);
	close(fd);
	return end->in < 0 ? -errno : 0;
}

static int connect_one(struct bench_end *end, int type, bench_address_fn *address)
{
	struct sockaddr_storage addr;
	socklen_t len = address(&addr, end->id, false);
	bool listening;
	int err;

	err = bench_hear(end, &listening, sizeof(listening));
	if (err)
		return err;
	end->in = socket(addr.ss_family, type, 0);
	return end->in < 0 || connect(end->in, (void *)&addr, len) ? -errno : 0;
}

/* The active end connects to the passive one */
int bench_sock_connect(struct bench_end *end, int type, bench_address_fn *address)
{
	int err = end->active ? connect_one(end, type, address) :
				accept_one(end, type, address);

	end->out = end->in;
	return err;
}

static int open_tcp(struct bench_end *end)
{
	int err = bench_sock_connect(end, SOCK_STREAM, bench_net_address), on = 1;

	if (err)
		return err;
	return setsockopt(end->in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ? -errno : 0;
}

/* Each end is bound, then says so, then connects to the other */
static int open_udp(struct bench_end *end)
{
	struct sockaddr_storage mine, theirs;
	socklen_t len = bench_net_address(&mine, end->id, end->active);
	bool bound = true;
	int err;

	if (end->size > UDP_MAX)
		return -EMSGSIZE;
	bench_net_address(&theirs, end->id, !end->active);
	end->in = socket(mine.ss_family, SOCK_DGRAM, 0);
	end->out = end->in;
	if (end->in < 0 || bind(end->in, (void *)&mine, len))
		return -errno;
	err = bench_tell(end, &bound, sizeof(bound)) ?: bench_hear(end, &bound, sizeof(bound));
	if (err)
		return err;
	return connect(end->in, (void *)&theirs, len) ? -errno : 0;
}

const struct bench_transport bench_tcp = {
	.name = "tcp",
	.ops = BENCH_OP(SEND),
	.max_batch = 1,
	.network = true,
	.open = open_tcp,
	.send = bench_sock_send,
	.receive = bench_sock_receive,
	.ping = bench_sock_ping,
	.pong = bench_sock_pong,
};

/* Without flow control a rate would be one of losses */
const struct bench_transport bench_udp = {
	.name = "udp",
	.ops = BENCH_OP(SEND),
	.max_batch = 1,
	.network = true,
	.open = open_udp,
	.ping = bench_sock_ping,
	.pong = bench_sock_pong,
};
