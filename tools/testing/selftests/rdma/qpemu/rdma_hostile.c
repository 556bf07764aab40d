// SPDX-License-Identifier: GPL-2.0
/*
 * Sends forged packets at the ends of a live RC connection.
 *
 * Each attack is one that the connection must survive: what is malformed, comes
 * from elsewhere, is old or early is dropped, or answered, but not executed (IBA v1
 * 9.6.1, 9.7.5, 9.7.7). After each, messages of every kind must work, and their
 * results show whether a forged request was executed.
 *
 * Then come those that may end a connection, each at a new one: requests that come
 * in turn but are wrong. Whatever they do, they may not touch memory around the
 * region that is registered, nor the region where they have no right to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"
#include "roce.h"

#define BEFORE		65636		/* canary; the region begins within a page */
#define REGION		8000
#define AFTER		(65536 + 128 * 1024 - BEFORE - REGION)
#define TOTAL		(BEFORE + REGION + AFTER)
#define SEED		12345

/* Parts of the region, by their offset */
#define WORK		0		/* what the connection's own messages use */
#define COUNTER		92		/* a word for atomics, whose address is a multiple of 8 */
#define RECEIVE		256
#define BYSTANDER	512		/* from here on nobody may write */

static const char *netdev = "veth0";
static int fuzz_rounds = 2000;
static unsigned int seed = 1;

static unsigned char *memory, *expected;
static struct ibv_mr *mr, *readonly_mr;
static struct ibv_cq *cq;
static struct ibv_qp *qp;
static struct address mine, theirs;
static uint32_t readonly_key;		/* of the other end's */
static uint32_t next_psn;		/* of side 0's requests */
static uint64_t counter;		/* what the word is by now, as both know */

/* What is on the wire between the two */
static struct wire {
	unsigned char mac[6];
	struct in_addr ip;
} me, peer;
static int raw = -1;

/*
 * Forging
 */

struct frame {
	size_t len;
	unsigned char b[4096];
};

/* Where things are in a frame */
#define F_IP		ETHERNET_HEADER
#define F_UDP		(F_IP + IPV4_HEADER)
#define F_BTH		(F_UDP + UDP_HEADER)
#define F_EXT		(F_BTH + BTH)

enum { GOOD_ICRC, BAD_ICRC, KEEP_ICRC };

static void ip_checksum(struct frame *f)
{
	unsigned int i, sum = 0;

	put(f->b + F_IP + 10, 2, 0);
	for (i = 0; i < IPV4_HEADER; i += 2)
		sum += get16(f->b + F_IP + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put(f->b + F_IP + 10, 2, ~(sum + (sum >> 16)));
}

static void set_icrc(struct frame *f, int how)
{
	uint32_t icrc;

	if (how == KEEP_ICRC || f->len < F_EXT + ICRC)
		return;
	icrc = roce_icrc(f->b + F_IP, IPV4_HEADER + UDP_HEADER, 4, f->b + F_BTH,
			 f->len - F_BTH);
	if (how == BAD_ICRC)
		icrc ^= 1 << rand_r(&seed) % 32;
	memcpy(f->b + f->len - ICRC, &icrc, ICRC);
}

/* Make lengths and checksums right, for what is between the headers and len */
static void finish(struct frame *f, int icrc)
{
	put(f->b + F_IP + 2, 2, f->len - F_IP);
	put(f->b + F_UDP + 4, 2, f->len - F_UDP);
	ip_checksum(f);
	set_icrc(f, icrc);
}

/* A right frame, but for what its caller does next */
static struct frame forge(int opcode, uint32_t psn, const void *ext, size_t ext_len,
			  size_t payload)
{
	struct frame f = { .len = F_EXT + ext_len + payload + (-payload & 3) + ICRC };
	unsigned char *ip = f.b + F_IP, *udp = f.b + F_UDP, *bth = f.b + F_BTH;

	memcpy(f.b, peer.mac, 6);
	memcpy(f.b + 6, me.mac, 6);
	put(f.b + 12, 2, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = PROTOCOL_UDP;
	memcpy(ip + 12, &me.ip, 4);
	memcpy(ip + 16, &peer.ip, 4);
	put(udp, 2, 0xc000);
	put(udp + 2, 2, PORT_ROCE);
	bth[0] = opcode;
	bth[1] = (-payload & 3) << 4;
	put(bth + 2, 2, 0xffff);
	put(bth + 5, 3, theirs.qpn);
	/* whether an acknowledgment is asked for */
	bth[8] = 0x80;
	put(bth + 9, 3, psn);
	memcpy(f.b + F_EXT, ext, ext_len);
	memset(f.b + F_EXT + ext_len, 0xee, payload);
	finish(&f, GOOD_ICRC);
	return f;
}

static void inject(const struct frame *f)
{
	int tries;

	/* too long a frame is refused here; a full queue is worth waiting for */
	for (tries = 0; tries < 100; tries++) {
		if (send(raw, f->b, f->len, 0) >= 0 || errno != ENOBUFS)
			return;
		usleep(1000);
	}
}

/* The extended headers of a request for a part of the other end's region */
struct reth {
	unsigned char b[28];
};

static struct reth reth(size_t offset, uint32_t rkey, uint32_t len)
{
	struct reth r = {};

	put(r.b, 8, theirs.addr + offset);
	put(r.b + 8, 4, rkey);
	put(r.b + 12, 4, len);
	return r;
}

static struct reth atomic_eth(size_t offset, uint32_t rkey, uint64_t add)
{
	struct reth r = {};

	put(r.b, 8, theirs.addr + offset);
	put(r.b + 8, 4, rkey);
	put(r.b + 12, 8, add);
	return r;
}

/* One right request of each kind, which would do harm if it were executed */
static struct frame request(int kind, uint32_t psn)
{
	struct reth r = reth(BYSTANDER, theirs.rkey, 64);

	switch (kind) {
	case 0:
		return forge(WRITE_ONLY, psn, r.b, 16, 64);
	case 1:
		return forge(SEND_ONLY, psn, NULL, 0, 64);
	case 2:
		return forge(READ_REQUEST, psn, r.b, 16, 0);
	case 3:
		r = atomic_eth(COUNTER, theirs.rkey, 1);
		return forge(FETCH_ADD, psn, r.b, 28, 0);
	case 4:
		return forge(WRITE_ONLY_IMM, psn, r.b, 20, 61);
	case 5:
		return forge(WRITE_FIRST, psn, r.b, 16, 1024);
	case 6:
		return forge(SEND_ONLY_INVALIDATE, psn, &theirs.rkey, 4, 4);
	case 7:
		r = reth(BYSTANDER, theirs.rkey, 8);
		return forge(ATOMIC_WRITE, psn, r.b, 16, 8);
	}
	put(r.b, 4, 3);
	memcpy(r.b + 4, reth(BYSTANDER, theirs.rkey, 64).b, 16);
	return forge(FLUSH, psn, r.b, 20, 0);
}

#define REQUESTS	9

/* And one response of each kind */
static struct frame response(int kind, uint32_t psn)
{
	static const unsigned char syndromes[] = { 0x1f, 0x20, 0x60, 0x61, 0x62, 0x63, 0x00 };
	unsigned char aeth[12] = { syndromes[rand_r(&seed) % sizeof(syndromes)], 0, 0, 1 };

	switch (kind) {
	case 0:
		return forge(ACKNOWLEDGE, psn, aeth, 4, 0);
	case 1:
		return forge(ATOMIC_ACKNOWLEDGE, psn, aeth, 12, 0);
	case 2:
		return forge(READ_RESPONSE_ONLY, psn, aeth, 4, 64);
	case 3:
		return forge(READ_RESPONSE_FIRST, psn, aeth, 4, 1024);
	case 4:
		return forge(READ_RESPONSE_MIDDLE, psn, NULL, 0, 1024);
	}
	return forge(READ_RESPONSE_LAST, psn, aeth, 4, 64);
}

#define RESPONSES	6

static uint32_t random_psn(void)
{
	static const int near[] = { 1, 2, 3, 17, 1000, 0x7fffff, 0x800000, -1, -2, -3, -1000 };

	/* never the one that is next */
	return next_psn + near[rand_r(&seed) % (sizeof(near) / sizeof(*near))];
}

static uint32_t old_psn(void)
{
	return next_psn - 1 - rand_r(&seed) % 12;
}

static bool is_next(const struct frame *f)
{
	return get24(f->b + F_BTH + 9) == (next_psn & 0xffffff);
}

/*
 * Attacks at the responder, of which side 0's connection knows nothing
 */

static void wrong_icrc(void)
{
	int i, kind;

	for (i = 0; i < 32; i++) {
		for (kind = 0; kind < REQUESTS; kind++) {
			struct frame f = request(kind, next_psn);

			set_icrc(&f, BAD_ICRC);
			inject(&f);
		}
	}
}

/* Flip each bit of the headers of old requests, with a right ICRC and without */
static void flipped_bits(void)
{
	int kind, bit, icrc;

	for (kind = 0; kind < REQUESTS; kind++) {
		for (bit = 12 * 8; bit < (F_EXT + 28) * 8; bit++) {
			for (icrc = GOOD_ICRC; icrc <= KEEP_ICRC; icrc += KEEP_ICRC) {
				struct frame f = request(kind, old_psn());

				f.b[bit / 8] ^= 1 << bit % 8;
				if (bit / 8 < F_BTH)
					ip_checksum(&f);
				set_icrc(&f, icrc);
				if (!is_next(&f) || icrc == KEEP_ICRC)
					inject(&f);
			}
		}
	}
}

static void all_opcodes(void)
{
	struct reth r = reth(BYSTANDER, theirs.rkey, 64);
	int opcode;

	for (opcode = 0; opcode < 256; opcode++) {
		struct frame f = forge(opcode, old_psn(), r.b, 28, 64);

		inject(&f);
		/* those of no or another transport, even in turn */
		if (opcode >> 5 == RC)
			continue;
		f = forge(opcode, next_psn, r.b, 28, 64);
		inject(&f);
	}
}

static void truncated(void)
{
	int kind, len;

	for (kind = 0; kind < REQUESTS; kind++) {
		for (len = F_IP; len < F_EXT + 48; len++) {
			struct frame f = request(kind, old_psn());

			/* lengths that agree, with and without an ICRC, and that do not */
			f.len = len;
			if (len >= F_BTH) {
				finish(&f, GOOD_ICRC);
				if (!is_next(&f))
					inject(&f);
			}
			f = request(kind, old_psn());
			f.len = len;
			inject(&f);
			f = request(kind, next_psn);
			if (len - F_IP == f.len - F_UDP)
				continue;
			put(f.b + F_UDP + 4, 2, len - F_IP);
			inject(&f);
			put(f.b + F_IP + 2, 2, len - F_IP);
			ip_checksum(&f);
			inject(&f);
		}
	}
}

static void oversized(void)
{
	struct reth r = reth(BYSTANDER, theirs.rkey, 64);
	int payload;

	for (payload = 1020; payload < 1440; payload += 4) {
		struct frame f = forge(WRITE_ONLY, old_psn(), r.b, 16, payload);

		inject(&f);
		f = forge(SEND_ONLY, old_psn(), NULL, 0, payload);
		inject(&f);
		f = forge(SEND_ONLY, old_psn(), NULL, 0, 64);
		put(f.b + F_UDP + 4, 2, 65535);
		inject(&f);
		f = forge(SEND_ONLY, next_psn, NULL, 0, 64);
		put(f.b + F_IP + 2, 2, payload);
		ip_checksum(&f);
		inject(&f);
	}
}

static void wrong_psn(void)
{
	int kind, i;

	for (kind = 0; kind < REQUESTS; kind++) {
		for (i = 0; i < 50; i++) {
			struct frame f = request(kind, random_psn());

			inject(&f);
		}
	}
}

/* As sent before, but with another payload */
static void replayed(void)
{
	int kind, i;

	for (i = 1; i < 200; i++) {
		for (kind = 0; kind < REQUESTS; kind++) {
			struct frame f = request(kind, next_psn - i);

			inject(&f);
		}
	}
}

static void from_elsewhere(void)
{
	int kind;

	for (kind = 0; kind < REQUESTS; kind++) {
		struct frame f = request(kind, next_psn);

		f.b[F_IP + 15] ^= 4;
		finish(&f, GOOD_ICRC);
		inject(&f);
		/* a wrong partition */
		f = request(kind, next_psn);
		put(f.b + F_BTH + 2, 2, 0x8123);
		finish(&f, GOOD_ICRC);
		inject(&f);
		/* no such queue pair, and those that are not for this transport */
		f = request(kind, next_psn);
		put(f.b + F_BTH + 5, 3, theirs.qpn ^ 0x400000);
		finish(&f, GOOD_ICRC);
		inject(&f);
		put(f.b + F_BTH + 5, 3, 0);
		finish(&f, GOOD_ICRC);
		inject(&f);
		put(f.b + F_BTH + 5, 3, 1);
		finish(&f, GOOD_ICRC);
		inject(&f);
		put(f.b + F_BTH + 5, 3, 0xffffff);
		finish(&f, GOOD_ICRC);
		inject(&f);
	}
}

static void at_random(bool right_icrc)
{
	int i, at;

	for (i = 0; i < fuzz_rounds; i++) {
		struct frame f = forge(0, 0, NULL, 0, rand_r(&seed) % 1400);

		for (at = F_BTH; at < f.len; at++)
			f.b[at] = rand_r(&seed);
		/* mostly at this connection, or at the management queue pair */
		if (i % 8)
			put(f.b + F_BTH + 5, 3, i % 8 == 1 ? 1 : theirs.qpn);
		if (i % 4 == 0)
			f.b[F_BTH + 1] &= 0xf0;
		put(f.b + F_BTH + 9, 3, old_psn());
		finish(&f, right_icrc ? GOOD_ICRC : KEEP_ICRC);
		inject(&f);
	}
}

static void random_packets(void)
{
	at_random(false);
	at_random(true);
}

/*
 * Attacks at the requester
 */

static void ghost_responses(void)
{
	int kind, i;

	for (kind = 0; kind < RESPONSES; kind++) {
		for (i = 0; i < 200; i++) {
			struct frame f = response(kind, i % 4 ? random_psn() : next_psn);

			inject(&f);
		}
	}
}

static void flipped_responses(void)
{
	int kind, bit;

	for (kind = 0; kind < RESPONSES; kind++) {
		for (bit = 12 * 8; bit < (F_EXT + 12) * 8; bit++) {
			struct frame f = response(kind, random_psn());

			f.b[bit / 8] ^= 1 << bit % 8;
			if (bit / 8 < F_BTH)
				ip_checksum(&f);
			set_icrc(&f, GOOD_ICRC);
			/* it may have become a request that is in turn */
			if (f.b[F_BTH] >= READ_RESPONSE_FIRST && f.b[F_BTH] <= ATOMIC_ACKNOWLEDGE)
				inject(&f);
		}
	}
}

static void truncated_responses(void)
{
	int kind, len;

	for (kind = 0; kind < RESPONSES; kind++) {
		for (len = F_BTH; len < F_EXT + 24; len++) {
			struct frame f = response(kind, random_psn());

			f.len = len;
			finish(&f, GOOD_ICRC);
			inject(&f);
		}
	}
}

static const struct attack {
	const char *name;
	int attacker;
	void (*run)(void);
} attacks[] = {
	{ "wrong ICRC", 0, wrong_icrc },
	{ "each header bit flipped", 0, flipped_bits },
	{ "all opcodes", 0, all_opcodes },
	{ "truncated", 0, truncated },
	{ "oversized", 0, oversized },
	{ "wrong PSN", 0, wrong_psn },
	{ "replayed", 0, replayed },
	{ "wrong address, partition and queue pair", 0, from_elsewhere },
	{ "random", 0, random_packets },
	{ "responses to nothing", 1, ghost_responses },
	{ "responses with each bit flipped", 1, flipped_responses },
	{ "truncated responses", 1, truncated_responses },
	{ "random, at the requester", 1, random_packets },
};

/*
 * Requests in turn that are wrong: they may end the connection
 */

static const struct fatal {
	const char *name;
	int opcode;
	int64_t offset;			/* in the region */
	enum { RIGHT, WRONG, READONLY } key;
	uint32_t len;			/* as the request says */
	int payload;
} fatals[] = {
	{ "WRITE with a wrong key", WRITE_ONLY, BYSTANDER, WRONG, 64, 64 },
	{ "WRITE with a key without the right", WRITE_ONLY, BYSTANDER, READONLY, 64, 64 },
	{ "WRITE before the region", WRITE_ONLY, -1, RIGHT, 64, 64 },
	{ "WRITE far before the region", WRITE_ONLY, -4096, RIGHT, 64, 64 },
	{ "WRITE over the region's end", WRITE_ONLY, REGION - 63, RIGHT, 64, 64 },
	{ "WRITE after the region", WRITE_ONLY, REGION, RIGHT, 4, 4 },
	{ "WRITE of more than it says", WRITE_ONLY, REGION - 64, RIGHT, 64, 512 },
	{ "WRITE of less than it says", WRITE_ONLY, BYSTANDER, RIGHT, 64, 32 },
	{ "WRITE of 2 GiB", WRITE_FIRST, BYSTANDER, RIGHT, 0x80000000, 1024 },
	{ "WRITE of 4 GiB", WRITE_FIRST, BYSTANDER, RIGHT, 0xffffffff, 1024 },
	{ "WRITE of more than the path MTU", WRITE_ONLY, BYSTANDER, RIGHT, 1200, 1200 },
	{ "WRITE at an address that wraps", WRITE_ONLY, -(1ll << 62), RIGHT, 64, 64 },
	{ "READ with a wrong key", READ_REQUEST, BYSTANDER, WRONG, 64, 0 },
	{ "READ over the region's end", READ_REQUEST, REGION - 63, RIGHT, 64, 0 },
	{ "READ of 4 GiB", READ_REQUEST, 0, RIGHT, 0xffffffff, 0 },
	{ "READ with a payload", READ_REQUEST, 0, RIGHT, 64, 64 },
	{ "WRITE_MIDDLE without a first", WRITE_MIDDLE, 0, RIGHT, 0, 1024 },
	{ "SEND_LAST without a first", SEND_LAST, 0, RIGHT, 0, 64 },
	{ "SEND longer than the receive", SEND_ONLY, 0, RIGHT, 0, 1024 },
	{ "SEND with invalidate of a wrong key", SEND_ONLY_INVALIDATE, 0, WRONG, 0, 64 },
	{ "atomic at an odd address", FETCH_ADD, COUNTER + 1, RIGHT, 0, 0 },
	{ "atomic with a wrong key", FETCH_ADD, COUNTER, WRONG, 0, 0 },
	{ "atomic over the region's end", FETCH_ADD, REGION - 4, RIGHT, 0, 0 },
	{ "atomic write over the region's end", ATOMIC_WRITE, REGION - 4, RIGHT, 8, 8 },
	{ "atomic write with a wrong key", ATOMIC_WRITE, BYSTANDER, WRONG, 8, 8 },
	{ "acknowledgment as a request", ACKNOWLEDGE, 0, RIGHT, 0, 0 },
	{ "opcode 0x1f", 0x1f, 0, RIGHT, 0, 64 },
};

static struct frame forge_fatal(const struct fatal *t)
{
	uint32_t key = t->key == RIGHT ? theirs.rkey :
		       t->key == READONLY ? readonly_key : theirs.rkey ^ 0x100;
	struct reth r = reth(t->offset, key, t->len);
	size_t ext = 0;

	switch (t->opcode) {
	case WRITE_ONLY:
	case WRITE_FIRST:
	case READ_REQUEST:
	case ATOMIC_WRITE:
		ext = 16;
		break;
	case FETCH_ADD:
		r = atomic_eth(t->offset, key, 1);
		ext = 28;
		break;
	case SEND_ONLY_INVALIDATE:
		put(r.b, 4, key);
		ext = 4;
		break;
	case ACKNOWLEDGE:
		ext = 4;
		break;
	}
	return forge(t->opcode, next_psn, r.b, ext, t->payload);
}

/*
 * The connection
 */

static void wire_open(struct end *e)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	struct ifreq ifr = {};

	raw = socket(AF_PACKET, SOCK_RAW, 0);
	strncpy(ifr.ifr_name, netdev, IFNAMSIZ - 1);
	if (raw < 0 || ioctl(raw, SIOCGIFHWADDR, &ifr))
		die("packet socket on %s", netdev);
	memcpy(me.mac, ifr.ifr_hwaddr.sa_data, 6);
	if (ioctl(raw, SIOCGIFADDR, &ifr))
		die("address of %s", netdev);
	me.ip = ((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr;
	ll.sll_ifindex = if_nametoindex(netdev);
	if (bind(raw, (void *)&ll, sizeof(ll)))
		die("bind to %s", netdev);
	exchange(e, &me, &peer, sizeof(me));
}

static void connect_new(struct end *e)
{
	struct qp_size size = { .type = IBV_QPT_RC, .send = 16, .recv = 64 };
	struct buffer region = { .p = memory + BEFORE, .len = REGION, .mr = mr };

	cq = ibv_create_cq(e->ctx, 128, NULL, NULL, 0);
	if (!cq)
		die("ibv_create_cq");
	qp = qp_make(e, cq, cq, &size);
	qp_pair(e, qp, &region, &mine, &theirs);
	/* what both agree on is side 0's */
	next_psn = e->side ? theirs.psn : mine.psn;
}

static void disconnect(void)
{
	ibv_destroy_qp(qp);
	ibv_destroy_cq(cq);
}

static const char *status_of(int wanted)
{
	struct ibv_wc wc = {};
	double start = now();

	while (!ibv_poll_cq(cq, 1, &wc))
		if (now() - start > 5)
			return "no completion";
	if (wc.status)
		return ibv_wc_status_str(wc.status);
	return wc.opcode == wanted ? NULL : "completion of something else";
}

static void post_receive(void)
{
	struct ibv_sge sge = { (uintptr_t)memory + BEFORE + RECEIVE, 64, mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 };

	post_to(qp, &wr);
}

/* A message of each kind. Returns what is wrong, or NULL. */
static const char *request_all(void)
{
	static const struct {
		enum ibv_wr_opcode opcode;
		enum ibv_wc_opcode completion;
	} kinds[] = {
		{ IBV_WR_RDMA_WRITE, IBV_WC_RDMA_WRITE },
		{ IBV_WR_SEND, IBV_WC_SEND },
		{ IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WC_FETCH_ADD },
		{ IBV_WR_RDMA_READ, IBV_WC_RDMA_READ },
	};
	unsigned char *p = memory + BEFORE;
	struct ibv_sge sge = { (uintptr_t)p, 64, mr->lkey };
	const char *wrong;
	uint64_t old;
	int i;

	for (i = 0; i < 4; i++) {
		struct ibv_send_wr wr = {
			.sg_list = &sge, .num_sge = 1,
			.opcode = kinds[i].opcode, .send_flags = IBV_SEND_SIGNALED,
		};

		sge.length = kinds[i].opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ? 8 : 64;
		if (kinds[i].opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
			wr.wr.atomic.remote_addr = theirs.addr + COUNTER;
			wr.wr.atomic.rkey = theirs.rkey;
			wr.wr.atomic.compare_add = 1;
		} else {
			fill(p, 64, kinds[i].opcode == IBV_WR_RDMA_READ ? 0 : counter);
			wr.wr.rdma.remote_addr = theirs.addr + WORK;
			wr.wr.rdma.rkey = theirs.rkey;
		}
		post(qp, &wr);
		next_psn++;
		wrong = status_of(kinds[i].completion);
		if (wrong)
			return wrong;
		if (kinds[i].opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
			memcpy(&old, p, 8);
			if (old != counter)
				return "an atomic operation was applied";
		}
	}
	if (differs(p, 64, counter) >= 0)
		return "the READ's result";
	counter++;
	return NULL;
}

/* What side 1 sees of them */
static const char *receive_all(void)
{
	const char *wrong = status_of(IBV_WC_RECV);
	unsigned char *p = memory + BEFORE;

	post_receive();
	next_psn += 4;
	fill(expected + BEFORE + WORK, 64, counter);
	fill(expected + BEFORE + RECEIVE, 64, counter);
	if (!wrong && differs(p + RECEIVE, 64, counter) >= 0)
		wrong = "what was received";
	counter++;
	memcpy(expected + BEFORE + COUNTER, &counter, 8);
	return wrong;
}

static const char *memory_is_right(void)
{
	int i;

	if (!memcmp(memory, expected, TOTAL))
		return NULL;
	for (i = 0; memory[i] == expected[i]; i++)
		;
	printf("# byte %d of the region is %#x, not %#x\n", i - BEFORE, memory[i], expected[i]);
	return "memory has changed";
}

static int reported;

/* One line of TAP, from what both ends found */
static bool report(struct end *e, const char *name, const char *wrong)
{
	char text[64] = "", other[64];

	snprintf(text, sizeof(text), "%s", wrong ?: "");
	exchange(e, text, other, sizeof(text));
	if (!e->side) {
		if (*text || *other)
			printf("# side 0: %s; side 1: %s\n", *text ? text : "fine",
			       *other ? other : "fine");
		printf("%sok %d %s\n", *text || *other ? "not " : "", ++reported, name);
	}
	fflush(stdout);
	return !*text && !*other;
}

/* Messages of each kind, checked at both ends */
static bool live(struct end *e, const char *name)
{
	const char *wrong;

	barrier(e);
	if (!e->side) {
		wrong = request_all();
		barrier(e);
		memcpy(expected + BEFORE + WORK, memory + BEFORE + WORK, 64);
		wrong = wrong ?: memory_is_right();
	} else {
		barrier(e);
		wrong = receive_all() ?: memory_is_right();
	}
	return report(e, name, wrong);
}

static bool start(struct end *e)
{
	int i;

	connect_new(e);
	for (i = 0; e->side && i < 8; i++)
		post_receive();
	return live(e, "messages before any attack");
}

static int hostile(struct end *e)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
		     IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
	int i, failed = 0;

	memory = mmap(NULL, TOTAL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expected = malloc(TOTAL);
	fill(memory, TOTAL, SEED);
	memset(memory + BEFORE + COUNTER, 0, 8);
	memcpy(expected, memory, TOTAL);
	mr = ibv_reg_mr(e->pd, memory + BEFORE, REGION, access);
	readonly_mr = ibv_reg_mr(e->pd, memory + BEFORE, REGION, IBV_ACCESS_REMOTE_READ);
	if (!mr || !readonly_mr)
		die("ibv_reg_mr");
	exchange(e, &readonly_mr->rkey, &readonly_key, 4);
	wire_open(e);

	failed += !start(e);
	for (i = 0; i < sizeof(attacks) / sizeof(*attacks); i++) {
		if (e->side == attacks[i].attacker)
			attacks[i].run();
		barrier(e);
		usleep(50000);
		if (live(e, attacks[i].name))
			continue;
		/* go on with another connection */
		failed++;
		barrier(e);
		disconnect();
		memcpy(expected, memory, TOTAL);
		if (e->side)
			memcpy(&counter, memory + BEFORE + COUNTER, 8);
		exchange(e, &counter, e->side ? &(uint64_t){ 0 } : &counter, 8);
		failed += !start(e);
	}
	barrier(e);
	disconnect();
	for (i = 0; i < sizeof(fatals) / sizeof(*fatals); i++) {
		connect_new(e);
		if (e->side)
			post_receive();
		barrier(e);
		if (!e->side) {
			struct frame f = forge_fatal(&fatals[i]);

			inject(&f);
		}
		barrier(e);
		usleep(20000);
		/* a receive may have been filled in part */
		memcpy(expected + BEFORE + RECEIVE, memory + BEFORE + RECEIVE, 64);
		failed += !report(e, fatals[i].name, e->side ? memory_is_right() : NULL);
		if (e->side)
			memcpy(expected, memory, TOTAL);
		disconnect();
	}
	if (!e->side)
		printf("1..%d\n", reported);
	return failed > 0;
}

int main(int argc, char **argv)
{
	int opt;

	pair_options.mtu = 1024;
	while ((opt = getopt(argc, argv, PAIR_OPTIONS "n:S:i:")) != -1) {
		if (pair_option(opt, optarg))
			continue;
		switch (opt) {
		case 'n':
			fuzz_rounds = atoi(optarg);
			break;
		case 'S':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'i':
			netdev = optarg;
			break;
		default:
			goto usage;
		}
	}
	if (argc - optind != 2 || pair_options.ipv6 || pair_options.roce_v1)
		goto usage;
	return pair_run(argv + optind, hostile);
usage:
	fprintf(stderr, "usage: rdma_hostile [OPTION]... END0 END1\n" PAIR_USAGE
		"  -i DEV   the netdevice at both ends\n"
		"  -n N     random packets, of each sort\n"
		"  -S SEED\n");
	return 2;
}
