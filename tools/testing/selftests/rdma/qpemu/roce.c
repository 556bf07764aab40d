// SPDX-License-Identifier: GPL-2.0
/* The ICRC (IBA v1 7.8.1, A16.5, A17.3.3) and the VCRC (7.8.2) */
#include <string.h>

#include "roce.h"

static uint32_t crc(uint32_t c, const unsigned char *p, size_t len)
{
	static uint32_t table[256];
	int i, bit;

	if (!table[1]) {
		for (i = 0; i < 256; i++) {
			table[i] = i;
			for (bit = 0; bit < 8; bit++)
				table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 :
							  table[i] >> 1;
		}
	}
	while (len--)
		c = table[(c ^ *p++) & 0xff] ^ c >> 8;
	return c;
}

/* What may change under way counts as ones: in GRH and IP, and the VL of an LRH */
static void mask(unsigned char *header, int version)
{
	switch (version) {
	case 0:
		header[0] |= 0xf0;
		break;
	case 4:
		header[1] = 0xff;
		header[8] = 0xff;
		memset(header + 10, 0xff, 2);
		break;
	default:
		header[0] |= 0x0f;
		memset(header + 1, 0xff, 3);
		header[7] = 0xff;
	}
}

/* An LRH in front of a GRH counts as eight bytes of ones, be there one or not. */
uint32_t roce_icrc(const unsigned char *network, size_t network_len, int version,
		   const unsigned char *bth, size_t len)
{
	unsigned char header[128];
	uint32_t c = 0xffffffff;

	if (version) {
		memset(header, 0xff, LRH);
		c = crc(c, header, LRH);
	}
	memcpy(header, network, network_len);
	mask(header, version);
	/* the UDP checksum, if there is UDP */
	if (version > 1)
		memset(header + network_len - 2, 0xff, 2);
	c = crc(c, header, network_len);

	memcpy(header, bth, BTH);
	header[4] = 0xff;
	c = crc(c, header, BTH);
	return ~crc(c, bth + BTH, len - BTH - ICRC);
}

/* x^16 + x^12 + x^3 + x + 1, the bits of each byte from the lowest */
unsigned int ib_vcrc(const unsigned char *p, size_t len)
{
	unsigned int c = 0xffff;
	int bit;

	while (len--) {
		c ^= *p++;
		for (bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xd008 : c >> 1;
	}
	c = ~c;
	return (c & 0xff) << 8 | (c >> 8 & 0xff);
}
