/* SPDX-License-Identifier: GPL-2.0 */
/* The wire format of RoCE and InfiniBand, from the specification alone: it checks the driver's */
#ifndef ROCE_H
#define ROCE_H

#include <stddef.h>
#include <stdint.h>

#define ETHERTYPE_IPV4	0x0800
#define ETHERTYPE_IPV6	0x86dd
#define ETHERTYPE_VLAN	0x8100
#define ETHERTYPE_ROCE	0x8915
#define ETHERTYPE_IB	0x88b5	/* whole packets of InfiniBand */
#define PORT_ROCE	4791
#define PROTOCOL_UDP	17
#define NEXT_HEADER_BTH	0x1b

#define ETHERNET_HEADER	14
#define IPV4_HEADER	20
#define IPV6_HEADER	40
#define UDP_HEADER	8
#define LRH		8
#define GRH		IPV6_HEADER
#define BTH		12
#define DETH		8
#define ICRC		4
#define VCRC		2

/* What comes after an LRH */
enum { LNH_RAW, LNH_IPV6, LNH_BTH, LNH_GRH };

/* Operations; the upper three bits of an opcode are the transport */
enum {
	SEND_FIRST = 0x00,
	SEND_MIDDLE = 0x01,
	SEND_LAST = 0x02,
	SEND_LAST_IMM = 0x03,
	SEND_ONLY = 0x04,
	SEND_ONLY_IMM = 0x05,
	WRITE_FIRST = 0x06,
	WRITE_MIDDLE = 0x07,
	WRITE_LAST = 0x08,
	WRITE_LAST_IMM = 0x09,
	WRITE_ONLY = 0x0a,
	WRITE_ONLY_IMM = 0x0b,
	READ_REQUEST = 0x0c,
	READ_RESPONSE_FIRST = 0x0d,
	READ_RESPONSE_MIDDLE = 0x0e,
	READ_RESPONSE_LAST = 0x0f,
	READ_RESPONSE_ONLY = 0x10,
	ACKNOWLEDGE = 0x11,
	ATOMIC_ACKNOWLEDGE = 0x12,
	COMPARE_SWAP = 0x13,
	FETCH_ADD = 0x14,
	SEND_LAST_INVALIDATE = 0x16,
	SEND_ONLY_INVALIDATE = 0x17,
	FLUSH = 0x1c,
	ATOMIC_WRITE = 0x1d,
};

enum { RC, UC, RD, UD };

static inline unsigned int get16(const unsigned char *p)
{
	return p[0] << 8 | p[1];
}

static inline uint32_t get24(const unsigned char *p)
{
	return p[0] << 16 | p[1] << 8 | p[2];
}

static inline void put(unsigned char *p, int bytes, uint64_t value)
{
	while (bytes--) {
		p[bytes] = value;
		value >>= 8;
	}
}

/*
 * The ICRC of a packet whose BTH begins at bth; len includes the ICRC. The network
 * header in front of it is IPv4 or IPv6 (version 4 or 6) with UDP, or a GRH (1), or
 * an LRH alone (0).
 */
uint32_t roce_icrc(const unsigned char *network, size_t network_len, int version,
		   const unsigned char *bth, size_t len);

/* The VCRC of a packet from its LRH to its ICRC, in the order of its bytes there */
unsigned int ib_vcrc(const unsigned char *p, size_t len);

#endif /* ROCE_H */
