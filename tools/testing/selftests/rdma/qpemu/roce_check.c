// SPDX-License-Identifier: GPL-2.0
/*
 * Checks every packet of RoCE and InfiniBand in captures: lengths, headers and CRCs,
 * as the InfiniBand Architecture Specification has them (IBA v1 7.7, 7.8, 8.3, 9.2 to
 * 9.5, A16, A17). It shares no code with what it checks.
 *
 * Prints how many packets there were of each opcode, and what is wrong.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "roce.h"

typedef unsigned char u8;

#define PCAP_USEC	0xa1b2c3d4u
#define PCAP_NSEC	0xa1b23c4du

struct opcode {
	const char *name;
	int headers;		/* the extended ones' length */
	enum { NONE, FULL, SOME, ANY } payload;
};

/* What follows the BTH, per operation; FULL is a path MTU, SOME not nothing */
#define OP(name, headers, payload) \
	[name] = { #name, headers, payload }
static const struct opcode operations[32] = {
	OP(SEND_FIRST, 0, FULL),
	OP(SEND_MIDDLE, 0, FULL),
	OP(SEND_LAST, 0, SOME),
	OP(SEND_LAST_IMM, 4, SOME),
	OP(SEND_ONLY, 0, ANY),
	OP(SEND_ONLY_IMM, 4, ANY),
	OP(WRITE_FIRST, 16, FULL),
	OP(WRITE_MIDDLE, 0, FULL),
	OP(WRITE_LAST, 0, SOME),
	OP(WRITE_LAST_IMM, 4, SOME),
	OP(WRITE_ONLY, 16, ANY),
	OP(WRITE_ONLY_IMM, 20, ANY),
	OP(READ_REQUEST, 16, NONE),
	OP(READ_RESPONSE_FIRST, 4, FULL),
	OP(READ_RESPONSE_MIDDLE, 0, FULL),
	OP(READ_RESPONSE_LAST, 4, SOME),
	OP(READ_RESPONSE_ONLY, 4, ANY),
	OP(ACKNOWLEDGE, 4, NONE),
	OP(ATOMIC_ACKNOWLEDGE, 12, NONE),
	OP(COMPARE_SWAP, 28, NONE),
	OP(FETCH_ADD, 28, NONE),
	OP(SEND_LAST_INVALIDATE, 4, SOME),
	OP(SEND_ONLY_INVALIDATE, 4, ANY),
	OP(FLUSH, 20, NONE),
	OP(ATOMIC_WRITE, 16, SOME),
};

static const char *const transports[8] = { [RC] = "RC", [UC] = "UC", [UD] = "UD" };

static unsigned long seen[256], packets, wrong, others;

static void complain(const u8 *bth, const char *what)
{
	wrong++;
	if (wrong > 20)
		return;
	printf("packet %lu: %s", packets + others, what);
	if (bth)
		printf(" (%s %s, QP %#x, PSN %#x)", transports[bth[0] >> 5] ?: "?",
		       operations[bth[0] & 31].name ?: "?", get24(bth + 5), get24(bth + 9));
	putchar('\n');
}

static bool is_mtu(long len)
{
	return len >= 256 && len <= 4096 && !(len & (len - 1));
}

static void check_bth(const u8 *network, size_t network_len, int version, const u8 *bth,
		      long len)
{
	const struct opcode *op = &operations[bth[0] & 31];
	int transport = bth[0] >> 5, headers = op->headers;
	const u8 *trailer = bth + len - ICRC;
	uint32_t given, computed;
	long payload;

	packets++;
	if (len < BTH + ICRC) {
		complain(NULL, "shorter than its headers");
		return;
	}
	seen[bth[0]]++;
	given = trailer[0] | trailer[1] << 8 | trailer[2] << 16 | (uint32_t)trailer[3] << 24;
	computed = roce_icrc(network, network_len, version, bth, len);
	if (given != computed)
		complain(bth, "wrong ICRC");
	if (!op->name || !transports[transport]) {
		complain(bth, "no such opcode");
		return;
	}
	if (transport == UD)
		headers += 8;
	if (len % 4)
		complain(bth, "no multiple of four bytes");
	if (bth[1] & 0x0f)
		complain(bth, "header version is not 0");
	payload = len - BTH - headers - ICRC - (bth[1] >> 4 & 3);
	if (payload < 0)
		complain(bth, "shorter than its headers");
	else if (op->payload == NONE ? payload != 0 :
		 op->payload == SOME ? payload == 0 :
		 op->payload == FULL ? !is_mtu(payload) : payload > 4096)
		complain(bth, "payload of a wrong length");
}

/* From the LRH on; a frame may be padded */
static void check_ib(const u8 *p, long len)
{
	long words = get16(p + 4) & 0x7ff, size = words * 4;
	int vl = p[0] >> 4, lnh = p[1] & 3;
	unsigned int dlid = get16(p + 2);
	const u8 *bth = p + LRH;

	/* what ends of a cable say to each other is no packet */
	if (len && (p[0] & 15) == 15) {
		others++;
		return;
	}
	if (len < LRH || size + VCRC > len || size < LRH + BTH + ICRC) {
		complain(NULL, "not as long as its LRH says");
		packets++;
		return;
	}
	if (len > size + VCRC && len > 64)
		complain(NULL, "longer than its LRH says");
	if (get16(p + size) != ib_vcrc(p, size))
		complain(NULL, "wrong VCRC");
	if (p[0] & 15 || p[1] & 0xc || get16(p + 4) & 0xf800)
		complain(NULL, "link version or reserved bits are not 0");
	if (lnh == LNH_GRH) {
		bth += GRH;
		if (size < LRH + GRH + BTH + ICRC ||
		    get16(p + LRH + 4) != size - LRH - GRH) {
			complain(NULL, "its GRH has another length");
			packets++;
			return;
		}
		if (p[LRH] >> 4 != 6 || p[LRH + 6] != NEXT_HEADER_BTH)
			complain(NULL, "a GRH that is none");
	} else if (lnh != LNH_BTH) {
		complain(NULL, "a raw packet");
		packets++;
		return;
	}
	/* to QP0, and to nowhere else, there is VL15 */
	if ((vl == 15) != (get24(bth + 5) == 0))
		complain(bth, "wrong virtual lane");
	if (!dlid || (dlid == 0xffff && vl != 15))
		complain(bth, "wrong DLID");
	/* multicast: to all ones */
	if ((dlid >= 0xc000 && dlid != 0xffff) != (get24(bth + 5) == 0xffffff))
		complain(bth, "multicast that is none");
	if (lnh == LNH_GRH)
		check_bth(p + LRH, GRH, 1, bth, p + size - bth);
	else
		check_bth(p, LRH, 0, bth, p + size - bth);
}

static void check_frame(const u8 *p, long len)
{
	const u8 *network;
	unsigned int type;

	if (len < ETHERNET_HEADER)
		goto other;
	type = get16(p + 12);
	p += ETHERNET_HEADER;
	len -= ETHERNET_HEADER;
	while (type == ETHERTYPE_VLAN && len >= 4) {
		type = get16(p + 2);
		p += 4;
		len -= 4;
	}
	network = p;

	if (type == ETHERTYPE_IPV4 && len >= IPV4_HEADER && p[9] == PROTOCOL_UDP) {
		int header = (p[0] & 15) * 4;

		/* a fragment would be a packet too long for the link */
		if (len < get16(p + 2) || get16(p + 2) < header + UDP_HEADER ||
		    get16(p + header + 2) != PORT_ROCE)
			goto other;
		len = get16(p + 2);
		if (get16(p + 6) & 0x3fff)
			complain(NULL, "fragmented");
		if (get16(p + header + 4) != len - header)
			complain(NULL, "UDP length is not that of IP");
		check_bth(network, header + UDP_HEADER, 4, p + header + UDP_HEADER,
			  len - header - UDP_HEADER);
		return;
	}
	if (type == ETHERTYPE_IPV6 && len >= IPV6_HEADER + UDP_HEADER && p[6] == PROTOCOL_UDP) {
		if (get16(p + IPV6_HEADER + 2) != PORT_ROCE || len < IPV6_HEADER + get16(p + 4))
			goto other;
		len = get16(p + 4);
		if (get16(p + IPV6_HEADER + 4) != len)
			complain(NULL, "UDP length is not that of IPv6");
		p += IPV6_HEADER;
		check_bth(network, IPV6_HEADER + UDP_HEADER, 6, p + UDP_HEADER,
			  len - UDP_HEADER);
		return;
	}
	if (type == ETHERTYPE_IB) {
		check_ib(p, len);
		return;
	}
	if (type == ETHERTYPE_ROCE && len >= IPV6_HEADER && p[6] == NEXT_HEADER_BTH) {
		if (len < IPV6_HEADER + get16(p + 4)) {
			complain(NULL, "shorter than its GRH says");
			return;
		}
		check_bth(network, IPV6_HEADER, 1, p + IPV6_HEADER, get16(p + 4));
		return;
	}
other:
	others++;
}

static uint32_t swap32(bool swapped, uint32_t v)
{
	return swapped ? __builtin_bswap32(v) : v;
}

static void check_file(const char *name)
{
	static u8 frame[1 << 18];
	uint32_t head[6], record[4], len;
	bool swapped;
	FILE *f = fopen(name, "r");

	if (!f || fread(head, sizeof(head), 1, f) != 1) {
		perror(name);
		exit(2);
	}
	swapped = head[0] != PCAP_USEC && head[0] != PCAP_NSEC;
	head[0] = swap32(swapped, head[0]);
	if ((head[0] != PCAP_USEC && head[0] != PCAP_NSEC) || swap32(swapped, head[5]) != 1) {
		fprintf(stderr, "%s: no pcap file of Ethernet\n", name);
		exit(2);
	}
	while (fread(record, sizeof(record), 1, f) == 1) {
		len = swap32(swapped, record[2]);
		if (len > sizeof(frame) || fread(frame, 1, len, f) != len)
			break;
		if (len != swap32(swapped, record[3]))
			complain(NULL, "captured in part");
		check_frame(frame, len);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: roce_check FILE.pcap...\n");
		return 2;
	}
	for (i = 1; i < argc; i++)
		check_file(argv[i]);
	for (i = 0; i < 256; i++)
		if (seen[i])
			printf("%8lu %s_%s\n", seen[i], transports[i >> 5] ?: "?",
			       operations[i & 31].name ?: "?");
	printf("%lu packets, %lu other frames, %lu wrong\n", packets, others, wrong);
	return wrong || !packets;
}
