// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams of AF_IB and of UDP. Both are used by the same calls.
 *
 * A datagram has no flow control, and the rate of a receiver that drops is one
 * of losses. So it grants the sender how many may be under way, and others are
 * sent for those that are lost: a rate is that of messages that were received.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/ib.h>

#include "ib_bench.h"

#ifndef SOL_IB
#define SOL_IB		289
#endif

/* Messages that may be under way; granted by halves */
#define WINDOW		1024
#define GRANT		(WINDOW / 2)

/* A receiver takes up to that many with a call */
#define RECEIVE_BATCH	32

/* Room for a window of messages, whatever memory each of them keeps */
#define RCVBUF		(64 << 20)

/* What did not come for that time is lost, ms */
#define LOST_MS		200
#define PING_LOST_MS	5000

/* One iovec serves all messages of a batch: they share the buffer */
struct dgram {
	struct iovec iov;
	struct mmsghdr msg[BENCH_MAX_BATCH];
};

static int wait_for(struct bench_end *end, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	return setsockopt(end->in, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ?
	       -errno : 0;
}

/*
 * Opening: both transports alike, but for the address
 */

static socklen_t ib_address(struct sockaddr_storage *addr, unsigned int id,
			    bool active)
{
	return ib_bench_address(addr, id, active, IB_UDP_SPACE);
}

static int prepare(struct bench_end *end)
{
	struct dgram *d = bench_alloc(sizeof(*d));
	int rcvbuf = RCVBUF;
	unsigned int i;

	if (!d)
		return -ENOMEM;
	d->iov.iov_base = end->buf;
	d->iov.iov_len = end->size;
	for (i = 0; i < BENCH_MAX_BATCH; i++) {
		d->msg[i].msg_hdr.msg_iov = &d->iov;
		d->msg[i].msg_hdr.msg_iovlen = 1;
	}
	end->priv = d;
	if (setsockopt(end->in, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf,
		       sizeof(rcvbuf)))
		return -errno;
	return wait_for(end, PING_LOST_MS);
}

/* Each end is bound, then says so, then connects to the other */
static int open_dgram(struct bench_end *end, bench_address_fn *address)
{
	struct sockaddr_storage mine, theirs;
	socklen_t len = address(&mine, end->id, end->active);
	bool bound = true;
	int err;

	address(&theirs, end->id, !end->active);
	end->in = socket(mine.ss_family, SOCK_DGRAM, 0);
	end->out = end->in;
	if (end->in < 0)
		return -errno;
	err = prepare(end);
	if (err)
		return err;
	if (bind(end->in, (void *)&mine, len))
		return -errno;
	err = bench_tell(end, &bound, sizeof(bound)) ?:
	      bench_hear(end, &bound, sizeof(bound));
	if (err)
		return err;
	return connect(end->in, (void *)&theirs, len) ? -errno : 0;
}

static int open_udp(struct bench_end *end)
{
	return open_dgram(end, bench_net_address);
}

/* An AF_IB datagram is one packet; one of UDP may be several */
static int open_ib(struct bench_end *end)
{
	int err = open_dgram(end, ib_address), mtu;
	socklen_t len = sizeof(mtu);

	if (err)
		return err;
	if (getsockopt(end->in, SOL_IB, IB_MTU, &mtu, &len))
		return -errno;
	return end->size > (size_t)mtu ? -EMSGSIZE : 0;
}

/*
 * One after the other
 */

/* At most a batch: how many were sent, or a negative errno */
static int send_some(struct bench_end *end, unsigned int most)
{
	unsigned int batch = end->series->batch;
	struct dgram *d = end->priv;
	int n;

	if (batch == 1)
		n = send(end->out, end->buf, end->size, 0) < 0 ? -1 : 1;
	else
		n = sendmmsg(end->out, d->msg, most < batch ? most : batch, 0);
	return n < 0 ? -errno : n;
}

/* A grant of 0 ends it: @count messages were received */
static int send_granted(struct bench_end *end, __u64 count)
{
	__u32 grant;
	int n;

	for (;;) {
		n = bench_hear(end, &grant, sizeof(grant));
		if (n || !grant)
			return n;
		for (; grant; grant -= n) {
			n = send_some(end, grant);
			if (n < 0)
				return n;
			end->tally->sent += n;
		}
	}
}

/* How many were received; 0 if none came for LOST_MS; or a negative errno */
static int receive_some(struct bench_end *end)
{
	struct dgram *d = end->priv;
	int n;

	n = recvmmsg(end->in, d->msg, RECEIVE_BATCH, MSG_WAITFORONE, NULL);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? 0 : -errno;
}

/* Have as much under way as there is room for and as is missing yet */
static int give_grants(struct bench_end *end, __s64 missing, __s64 *under_way)
{
	__u32 grant;
	int err;

	while (*under_way <= WINDOW - GRANT && *under_way < missing) {
		grant = missing - *under_way < GRANT ? missing - *under_way :
						       GRANT;
		err = bench_tell(end, &grant, sizeof(grant));
		if (err)
			return err;
		*under_way += grant;
	}
	return 0;
}

static int receive_granted(struct bench_end *end, __u64 count)
{
	__s64 missing = count, under_way = 0;
	__u32 no_more = 0;
	int n;

	n = wait_for(end, LOST_MS);
	while (!n && missing > 0) {
		n = give_grants(end, missing, &under_way);
		if (n)
			break;
		n = receive_some(end);
		if (n < 0)
			break;
		missing -= n;
		end->tally->received += n;
		under_way = n ? under_way - n : 0;
		n = 0;
	}
	return n ?: bench_tell(end, &no_more, sizeof(no_more));
}

/*
 * Round trip
 */

static int send_one(struct bench_end *end)
{
	return send(end->out, end->buf, end->size, 0) < 0 ? -errno : 0;
}

static int receive_one(struct bench_end *end)
{
	ssize_t n = recv(end->in, end->buf, end->size, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == end->size ? 0 : -EPROTO;
}

static int ping(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = send_one(end) ?: receive_one(end);
	return err;
}

static int pong(struct bench_end *end, __u64 count)
{
	int err = 0;

	while (count-- && !err)
		err = receive_one(end) ?: send_one(end);
	return err;
}

const struct bench_transport bench_ib = {
	.name = "ib",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.queue_pair = true,
	.network = true,
	.lossy = true,
	.open = open_ib,
	.send = send_granted,
	.receive = receive_granted,
	.ping = ping,
	.pong = pong,
};

const struct bench_transport bench_ib_udp = {
	.name = "udp",
	.ops = BENCH_OP(SEND),
	.max_batch = BENCH_MAX_BATCH,
	.network = true,
	.lossy = true,
	.open = open_udp,
	.send = send_granted,
	.receive = receive_granted,
	.ping = ping,
	.pong = pong,
};
