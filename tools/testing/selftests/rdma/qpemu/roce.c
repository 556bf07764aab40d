// SPDX-License-Identifier: GPL-2.0
/* The ICRC (IBA v1 7.8.1, A16.5, A17.3.3) */
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

/* What routers may change counts as ones, and so do eight bytes in place of an LRH. */
uint32_t roce_icrc(const unsigned char *network, size_t network_len, int version,
		   const unsigned char *bth, size_t len)
{
	unsigned char header[128];
	uint32_t c;

	memset(header, 0xff, 8);
	c = crc(0xffffffff, header, 8);

	memcpy(header, network, network_len);
	if (version == 4) {
		header[1] = 0xff;
		header[8] = 0xff;
		memset(header + 10, 0xff, 2);
	} else {
		header[0] |= 0x0f;
		memset(header + 1, 0xff, 3);
		header[7] = 0xff;
	}
	/* the UDP checksum, if there is UDP */
	if (version != 1)
		memset(header + network_len - 2, 0xff, 2);
	c = crc(c, header, network_len);

	memcpy(header, bth, BTH);
	header[4] = 0xff;
	c = crc(c, header, BTH);
	return ~crc(c, bth + BTH, len - BTH - ICRC);
}
