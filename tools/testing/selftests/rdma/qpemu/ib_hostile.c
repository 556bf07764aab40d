// SPDX-License-Identifier: GPL-2.0
/*
 * Sends what no port of InfiniBand would, into a cable, for some seconds: packets
 * whose headers contradict each other or their length, subnet management that leads
 * nowhere, datagrams of classes that nobody knows, noise.
 *
 * Whoever is at the other end of the cable must drop it, or answer that it is
 * invalid. Nothing of it asks in a right way for a right thing (IBA v1 7.7, 8.3,
 * 13.4, 14.2), unless -a is given: then subnet management is set at random, and the
 * subnet manager will have to repair what comes of it.
 *
 * Prints how many of each there were.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "roce.h"

#define MAX_FRAME	9000
#define MAD		256
#define LID_PERMISSIVE	0xffff
#define LID_MULTICAST	0xc000
#define QKEY_GSI	0x80010000
#define PKEY_DEFAULT	0xffff
#define UD_SEND_ONLY	(UD << 5 | SEND_ONLY)

/* Where things are in a management datagram (IBA v1 13.4.3, 14.2.1.2) */
enum {
	M_VERSION = 0,
	M_CLASS = 1,
	M_CLASS_VERSION = 2,
	M_METHOD = 3,
	M_STATUS = 4,
	M_HOP_POINTER = 6,
	M_HOP_COUNT = 7,
	M_TID = 8,
	M_ATTRIBUTE = 16,
	M_MODIFIER = 20,
	M_DR_SLID = 32,
	M_DR_DLID = 34,
	M_DATA = 64,
	M_INITIAL_PATH = 128,
	M_RETURN_PATH = 192,
};

enum { CLASS_SMP = 0x01, CLASS_DIRECTED = 0x81, CLASS_PERFORMANCE = 0x04 };
enum { GET = 0x01, SET = 0x02, TRAP_REPRESS = 0x07, RESPONSE = 0x80 };

#define DIRECTION	0x80	/* of a directed route: on the way back */
#define MAX_HOPS	63

static const unsigned short attributes[] = {
	0x02, 0x10, 0x11, 0x12, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1b, 0x30, 0x31,
};

static unsigned int seed;
static double seconds = 5;
static bool takes_over;
static unsigned int victim = 1, me = 2;	/* LIDs */
static int raw = -1;

/* A packet from its LRH to its ICRC; the VCRC comes with sending */
struct packet {
	size_t len;
	unsigned char b[MAX_FRAME];
	size_t bth, mad;		/* where they are */
};

static __attribute__((__noreturn__, __format__(__printf__, 1, 2)))
void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static unsigned int any(unsigned int below)
{
	return rand_r(&seed) % below;
}

static void noise(unsigned char *p, size_t len)
{
	while (len--)
		*p++ = rand_r(&seed) >> 8;
}

#define ONE_OF(table)	((table)[any(sizeof(table) / sizeof(*(table)))])

/*
 * Right packets
 */

static void set_icrc(struct packet *p)
{
	unsigned char *bth = p->b + p->bth;
	size_t len = p->len - p->bth;
	uint32_t icrc;

	if (p->len < p->bth + BTH + ICRC)
		return;
	icrc = p->bth > LRH ? roce_icrc(p->b + LRH, GRH, 1, bth, len) :
			      roce_icrc(p->b, LRH, 0, bth, len);
	memcpy(p->b + p->len - ICRC, &icrc, ICRC);
}

/* Make the lengths right for what there is, and the ICRC */
static void seal(struct packet *p)
{
	put(p->b + 4, 2, p->len / 4);
	if (p->bth > LRH)
		put(p->b + LRH + 4, 2, p->len - LRH - GRH);
	set_icrc(p);
}

static struct packet datagram(int vl, unsigned int dlid, bool grh, uint32_t qpn,
			      uint32_t qkey, size_t payload)
{
	struct packet p = { .bth = grh ? LRH + GRH : LRH };
	unsigned char *bth = p.b + p.bth;

	p.mad = p.bth + BTH + DETH;
	p.len = p.mad + payload + ICRC;
	p.b[0] = vl << 4;
	p.b[1] = grh ? LNH_GRH : LNH_BTH;
	put(p.b + 2, 2, dlid);
	put(p.b + 6, 2, me);
	if (grh) {
		p.b[LRH] = 0x60;
		p.b[LRH + 6] = NEXT_HEADER_BTH;
		p.b[LRH + 7] = 64;
		noise(p.b + LRH + 8, 32);
	}
	bth[0] = UD_SEND_ONLY;
	put(bth + 2, 2, PKEY_DEFAULT);
	put(bth + 5, 3, qpn);
	put(bth + 9, 3, rand_r(&seed));
	put(bth + BTH, 4, qkey);
	put(bth + BTH + 5, 3, qpn < 2 ? qpn : 0x11);
	noise(p.b + p.mad, payload);
	seal(&p);
	return p;
}

static void set_mad(unsigned char *mad, int class, int method, int attribute,
		    uint32_t modifier)
{
	memset(mad, 0, MAD);
	mad[M_VERSION] = 1;
	mad[M_CLASS] = class;
	mad[M_CLASS_VERSION] = 1;
	mad[M_METHOD] = method;
	put(mad + M_TID, 8, (uint64_t)rand_r(&seed) << 16 | 1);
	put(mad + M_ATTRIBUTE, 2, attribute);
	put(mad + M_MODIFIER, 4, modifier);
}

/* A question about an attribute, to the one at the other end of the cable */
static struct packet directed(int attribute)
{
	struct packet p = datagram(15, LID_PERMISSIVE, false, 0, 0, MAD);
	unsigned char *mad = p.b + p.mad;

	put(p.b + 6, 2, LID_PERMISSIVE);
	set_mad(mad, CLASS_DIRECTED, GET, attribute, 0);
	mad[M_HOP_POINTER] = 1;
	mad[M_HOP_COUNT] = 1;
	put(mad + M_DR_SLID, 2, LID_PERMISSIVE);
	put(mad + M_DR_DLID, 2, LID_PERMISSIVE);
	mad[M_INITIAL_PATH + 1] = 1;
	mad[M_RETURN_PATH + 1] = 1;
	seal(&p);
	return p;
}

/* The same to a LID, or about another class */
static struct packet question(int qpn, int class, int attribute, uint32_t modifier)
{
	struct packet p = datagram(qpn ? 0 : 15, victim, false, qpn, qpn ? QKEY_GSI : 0, MAD);

	set_mad(p.b + p.mad, class, GET, attribute, modifier);
	seal(&p);
	return p;
}

static struct packet any_right(void)
{
	switch (any(6)) {
	case 0:
		return directed(ONE_OF(attributes));
	case 1:
		return question(0, CLASS_SMP, ONE_OF(attributes), any(3));
	case 2:
		return question(1, CLASS_PERFORMANCE, 0x12, 0);
	case 3:
		return datagram(any(8), victim, true, 1 + any(63), any(2) ? QKEY_GSI : 0,
				4 * any(64));
	case 4:
		return datagram(any(8), LID_MULTICAST + any(32), true, 0xffffff, 0,
				4 * any(512));
	}
	return datagram(any(8), victim, false, 2 + any(64), 0x11111111, 4 * any(512));
}

/*
 * Wrong ones. Each makes one of them at random.
 */

static struct packet wrong_length(void)
{
	static const short off[] = { 1, 2, -1, -2, 64, 1000, 0x7ff };
	struct packet p = any_right();
	unsigned int len = any(2) ? any(0x800) : p.len / 4 + ONE_OF(off);

	if (len != p.len / 4)
		put(p.b + 4, 2, len & 0x7ff);
	else
		p.b[4] ^= 4;
	set_icrc(&p);
	return p;
}

static struct packet truncated(void)
{
	struct packet p = any_right();

	p.len = any(p.len);
	/* lengths that agree, with and without an ICRC, or that do not */
	if (p.len >= p.bth + BTH + ICRC && any(2))
		seal(&p);
	else if (any(2))
		put(p.b + 4, 2, p.len / 4);
	return p;
}

static struct packet too_long(void)
{
	struct packet p = any_right();
	size_t more = 4 * (1 + any((MAX_FRAME - p.len) / 4 - 1));

	noise(p.b + p.len - ICRC, more);
	p.len += more;
	if (any(2))
		seal(&p);
	return p;
}

static struct packet raw_packet(void)
{
	struct packet p = any_right();

	p.b[1] = (p.b[1] & ~3) | any(2);
	set_icrc(&p);
	return p;
}

/* A GRH that is not there, or that is overlooked */
static struct packet other_header(void)
{
	struct packet p = any_right();

	p.b[1] ^= LNH_BTH ^ LNH_GRH;
	set_icrc(&p);
	return p;
}

static struct packet wrong_version(void)
{
	struct packet p = any_right();

	switch (any(4)) {
	case 0:
		p.b[0] |= 1 + any(15);
		break;
	case 1:
		p.b[p.bth + 1] |= 1 + any(15);
		break;
	case 2:
		p.b[p.mad + M_VERSION] = 2 + any(250);
		break;
	default:
		p = datagram(0, victim, true, 1, QKEY_GSI, MAD);
		p.b[LRH] = any(6) << 4;
	}
	set_icrc(&p);
	return p;
}

static struct packet wrong_icrc(void)
{
	struct packet p = any_right();

	p.b[any(p.len)] ^= 1 << any(8);
	return p;
}

static struct packet wrong_grh(void)
{
	struct packet p = datagram(0, victim, true, any(3), QKEY_GSI, MAD);

	switch (any(4)) {
	case 0:
		put(p.b + LRH + 4, 2, any(0x10000));
		break;
	case 1:
		p.b[LRH + 6] = any(0x1b);
		break;
	case 2:		/* a group, to a single LID */
		p.b[LRH + 24] = 0xff;
		break;
	default:	/* nothing behind it */
		p.len = LRH + GRH + any(BTH);
		put(p.b + 4, 2, p.len / 4);
		put(p.b + LRH + 4, 2, p.len - LRH - GRH);
		return p;
	}
	set_icrc(&p);
	return p;
}

static struct packet wrong_lane(void)
{
	struct packet p = any_right();

	p.b[0] = (p.b[0] >> 4 == 15 ? any(15) : 15 - any(7)) << 4;
	set_icrc(&p);
	return p;
}

static struct packet wrong_lid(void)
{
	static const unsigned short lids[] = {
		0, LID_MULTICAST, 0xc001, 0xfffe, LID_PERMISSIVE, 0xbfff, 0x3fff,
	};
	struct packet p = any_right();

	put(p.b + 2 + 4 * any(2), 2, any(2) ? ONE_OF(lids) : any(0x10000));
	set_icrc(&p);
	return p;
}

/* Connections that are not there, keys that do not fit, opcodes of all transports */
static struct packet wrong_transport(void)
{
	struct packet p = datagram(0, victim, any(2), 2 + any(4000), rand_r(&seed),
				   4 * any(300));
	unsigned char *bth = p.b + p.bth;

	bth[0] = any(256);
	bth[1] = any(256) & 0xf0;
	if (any(2))
		put(bth + 2, 2, any(0x10000));
	seal(&p);
	return p;
}

/*
 * A directed route that leads nowhere: its pointer is behind its end, or its count
 * behind the end of the paths; ports that are not there; ways back that none came.
 */
static struct packet wrong_route(void)
{
	struct packet p = directed(ONE_OF(attributes));
	unsigned char *mad = p.b + p.mad;
	int i;

	noise(mad + M_INITIAL_PATH, 64);
	noise(mad + M_RETURN_PATH, 64);
	switch (any(8)) {
	case 0:
		mad[M_HOP_COUNT] = MAX_HOPS + 1 + any(255 - MAX_HOPS);
		mad[M_HOP_POINTER] = any(256);
		break;
	case 1:
		mad[M_HOP_COUNT] = any(MAX_HOPS);
		mad[M_HOP_POINTER] = mad[M_HOP_COUNT] + 2 + any(100);
		break;
	case 2:
		mad[M_STATUS] = DIRECTION;
		mad[M_METHOD] = GET | RESPONSE;
		mad[M_HOP_COUNT] = any(256);
		mad[M_HOP_POINTER] = any(256);
		break;
	case 3:
		mad[M_STATUS] = DIRECTION;
		mad[M_HOP_POINTER] = 0;
		break;
	case 4:		/* through the one at the other end, and on */
		mad[M_HOP_COUNT] = 1 + any(MAX_HOPS);
		for (i = 0; i < 64; i++)
			mad[M_INITIAL_PATH + i] = any(2) ? any(5) : any(256);
		break;
	case 5:		/* to and fro */
		mad[M_HOP_COUNT] = MAX_HOPS;
		for (i = 0; i < 64; i++)
			mad[M_INITIAL_PATH + i] = 1 + i % 2;
		break;
	case 6:		/* LID-routed parts at either end */
		put(mad + M_DR_SLID, 2, any(0x10000));
		put(mad + M_DR_DLID, 2, any(0x10000));
		mad[M_HOP_COUNT] = any(3);
		mad[M_HOP_POINTER] = any(4);
		break;
	default:
		mad[M_HOP_POINTER] = 0;
		mad[M_HOP_COUNT] = any(2);
	}
	set_icrc(&p);
	return p;
}

/* Attributes and methods that there are not, modifiers behind the ends of tables */
static struct packet wrong_subnet_management(void)
{
	static const uint32_t modifiers[] = {
		0xff, 0xffff, 0xffffff, 0xffffffff, 0x80000000, 0x7fffffff, 0x10000, 0xf00000ff,
		37, 64, 255, 256, 768, 0x400, 0x10000020, 0xff000000,
	};
	static const unsigned char methods[] = {
		0, 3, 4, 5, 6, 0x0a, 0x12, 0x7f, GET | RESPONSE, 0xff,
	};
	bool is_directed = any(2);
	struct packet p = is_directed ? directed(0) : question(0, CLASS_SMP, 0, 0);
	unsigned char *mad = p.b + p.mad;

	put(mad + M_ATTRIBUTE, 2, ONE_OF(attributes));
	put(mad + M_MODIFIER, 4, any(4) ? ONE_OF(modifiers) : (uint32_t)rand_r(&seed));
	switch (any(6)) {
	case 0:
		put(mad + M_ATTRIBUTE, 2, any(0x10000));
		break;
	case 1:
		mad[M_METHOD] = ONE_OF(methods);
		break;
	case 2:		/* a class that does not belong to the route */
		mad[M_CLASS] ^= CLASS_SMP ^ CLASS_DIRECTED;
		break;
	case 3:		/* a key where none is known */
		noise(mad + 24, 8);
		break;
	case 4:		/* what only switches have, or only adapters */
		mad[M_METHOD] = SET;
		put(mad + M_ATTRIBUTE, 2, any(2) ? 0x10 : 0x11);
		noise(mad + M_DATA, 64);
		break;
	}
	set_icrc(&p);
	return p;
}

/* Classes that nobody has registered for, and what does not belong on QP1 */
static struct packet wrong_class(void)
{
	static const unsigned char classes[] = {
		0x00, CLASS_SMP, CLASS_DIRECTED, 0x02, 0x05, 0x06, 0x09, 0x0f, 0x10, 0x30,
		0x31, 0x4f, 0x50, 0x82, 0xff,
	};
	static const unsigned char methods[] = { GET, SET, 0x03, 0x06, 0x12, 0x81, 0x92 };
	struct packet p = question(1, ONE_OF(classes), any(0x40), rand_r(&seed));
	unsigned char *mad = p.b + p.mad;

	mad[M_METHOD] = ONE_OF(methods);
	mad[M_CLASS_VERSION] = any(4);
	noise(mad + 24, MAD - 24);
	/* segments of what is longer than a datagram: their version, type and flags */
	if (any(2)) {
		mad[24] = 1;
		mad[25] = any(6);
		mad[26] = any(256);
	}
	set_icrc(&p);
	return p;
}

static struct packet wrong_performance(void)
{
	static const unsigned char about[] = { 0x01, 0x10, 0x11, 0x12, 0x15, 0x18, 0x1d, 0x24 };
	struct packet p = question(1, CLASS_PERFORMANCE, ONE_OF(about), any(3));
	unsigned char *mad = p.b + p.mad;

	mad[M_METHOD] = any(2) ? SET : GET;
	noise(mad + M_DATA, MAD - M_DATA);
	set_icrc(&p);
	return p;
}

/* Connection management that belongs to nothing */
static struct packet wrong_connection(void)
{
	struct packet p = question(1, 0x07, 0x10 + any(10), 0);
	unsigned char *mad = p.b + p.mad;

	mad[M_METHOD] = 0x03;
	mad[M_CLASS_VERSION] = 2;
	noise(mad + 24, MAD - 24);
	set_icrc(&p);
	return p;
}

/* A datagram of management that is shorter or longer than it can be */
static struct packet wrong_datagram(void)
{
	int qpn = any(2);
	size_t len = any(2) ? 4 * any(MAD / 4) : MAD + 4 * (1 + any(64));
	struct packet p = datagram(qpn ? 0 : 15, qpn ? victim : LID_PERMISSIVE, false, qpn,
				   qpn ? QKEY_GSI : 0, len);
	unsigned char mad[MAD];

	set_mad(mad, qpn ? CLASS_PERFORMANCE : CLASS_DIRECTED, GET, qpn ? 0x12 : 0x11, 0);
	memcpy(p.b + p.mad, mad, len < MAD ? len : MAD);
	if (any(2))
		p.b[p.bth + 1] |= (1 + any(3)) << 4;
	set_icrc(&p);
	return p;
}

/*
 * What ends of a cable say to each other, by one who is no end of it: a version that
 * no packet has, that of the protocol, an operation, two sessions
 */
static struct packet hello(void)
{
	struct packet p = { .len = 12 };

	noise(p.b, p.len);
	p.b[0] |= 0x0f;
	if (any(8))
		p.b[1] = 1;
	if (any(8))
		put(p.b + 2, 2, any(4));
	if (!any(8))
		p.len = any(64);
	return p;
}

static struct packet only_noise(void)
{
	struct packet p = { .bth = LRH };

	p.len = any(4) ? any(400) : any(MAX_FRAME);
	noise(p.b, p.len);
	/* behind an LRH that is right, or not even that */
	if (p.len < LRH + BTH + ICRC || !any(3))
		return p;
	p.b[0] = any(8) << 4;
	p.b[1] = LNH_BTH + any(2);
	put(p.b + 2, 2, victim);
	if (any(2))
		p.b[LRH + 1] &= 0xf0;
	p.len &= ~3;
	put(p.b + 4, 2, p.len / 4);
	set_icrc(&p);
	return p;
}

/* Who listens to it is another's by then */
static struct packet take_over(void)
{
	struct packet p = any(2) ? directed(0) : question(0, CLASS_SMP, 0, 0);
	unsigned char *mad = p.b + p.mad;

	mad[M_METHOD] = any(8) ? SET : TRAP_REPRESS;
	put(mad + M_ATTRIBUTE, 2, ONE_OF(attributes));
	put(mad + M_MODIFIER, 4, any(8));
	noise(mad + M_DATA, 64);
	/* the key, so that it is not another's for ever */
	put(mad + M_DATA, 8, 0);
	set_icrc(&p);
	return p;
}

static struct attack {
	const char *name;
	struct packet (*make)(void);
	bool takes_over;
	unsigned long count;
} attacks[] = {
	{ "lengths that are not the packet's", wrong_length },
	{ "truncated packets", truncated },
	{ "packets that go on behind their end", too_long },
	{ "raw packets", raw_packet },
	{ "headers that are not there", other_header },
	{ "versions from the future", wrong_version },
	{ "bits that fell over", wrong_icrc },
	{ "global headers that are none", wrong_grh },
	{ "lanes that are not theirs", wrong_lane },
	{ "LIDs of nobody", wrong_lid },
	{ "transport out of the blue", wrong_transport },
	{ "routes that lead nowhere", wrong_route },
	{ "subnet management of what is not there", wrong_subnet_management },
	{ "classes that nobody knows", wrong_class },
	{ "performance of what is not there", wrong_performance },
	{ "connection management without a connection", wrong_connection },
	{ "datagrams that do not fit", wrong_datagram },
	{ "hellos of a stranger", hello },
	{ "noise", only_noise },
	{ "subnet management at random", take_over, .takes_over = true },
};

#define ATTACKS	((int)(sizeof(attacks) / sizeof(*attacks)))

/*
 * Sending
 */

static void enter(const char *ns, size_t len)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)len, ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("%s", path);
	close(fd);
}

static void open_cable(const char *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET };
	const char *slash = strchr(name, '/');

	if (slash) {
		enter(name, slash - name);
		name = slash + 1;
	}
	raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ll.sll_ifindex = if_nametoindex(name);
	if (raw < 0 || !ll.sll_ifindex || bind(raw, (void *)&ll, sizeof(ll)))
		die("%s", name);
}

static void inject(const struct packet *p)
{
	static const unsigned char ethernet[ETHERNET_HEADER] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0xee,
		ETHERTYPE_IB >> 8, ETHERTYPE_IB & 0xff,
	};
	unsigned char frame[ETHERNET_HEADER + MAX_FRAME + VCRC];
	unsigned int vcrc = ib_vcrc(p->b, p->len);
	int tries;

	/* some have none, or not theirs */
	if (!any(32))
		vcrc ^= 1 + any(0xffff);
	memcpy(frame, ethernet, ETHERNET_HEADER);
	memcpy(frame + ETHERNET_HEADER, p->b, p->len);
	put(frame + ETHERNET_HEADER + p->len, VCRC, vcrc);
	/* too long a frame is refused here; a full queue is worth waiting for */
	for (tries = 0; tries < 100; tries++) {
		if (send(raw, frame, ETHERNET_HEADER + p->len + VCRC, 0) >= 0 ||
		    errno != ENOBUFS)
			return;
		usleep(1000);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void attack(void)
{
	double end = now() + seconds;
	struct attack *a;
	struct packet p;
	int i;

	while (now() < end) {
		for (i = 0; i < 64; i++) {
			a = &attacks[any(ATTACKS)];
			if (a->takes_over && !takes_over)
				continue;
			p = a->make();
			inject(&p);
			a->count++;
		}
		/* leave some of a small machine to the others */
		usleep(2000);
	}
	for (a = attacks; a < attacks + ATTACKS; a++)
		if (a->count)
			printf("%8lu %s\n", a->count, a->name);
}

int main(int argc, char **argv)
{
	int opt;

	seed = time(NULL);
	while ((opt = getopt(argc, argv, "aw:S:")) != -1) {
		switch (opt) {
		case 'a':
			takes_over = true;
			break;
		case 'w':
			seconds = atof(optarg);
			break;
		case 'S':
			seed = strtoul(optarg, NULL, 0);
			break;
		default:
			goto usage;
		}
	}
	if (argc - optind != 3)
		goto usage;
	victim = strtoul(argv[optind + 1], NULL, 0);
	me = strtoul(argv[optind + 2], NULL, 0);
	printf("seed %u\n", seed);
	open_cable(argv[optind]);
	attack();
	return 0;
usage:
	fprintf(stderr, "usage: ib_hostile [-a] [-w SECONDS] [-S SEED] [NAMESPACE/]NETDEV VICTIM OWN\n"
		"VICTIM and OWN are LIDs. -a: set at random what a subnet manager sets.\n");
	return 2;
}
