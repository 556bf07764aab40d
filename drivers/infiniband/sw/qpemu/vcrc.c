// SPDX-License-Identifier: GPL-2.0
/*
 * The variant CRC (VCRC) of InfiniBand packets, IBA v1 7.8.2: x^16 + x^12 + x^3 +
 * x + 1 over all from the LRH to the ICRC, the lowest bit of each byte first,
 * beginning with ones, inverted at the end.
 */
#include <linux/unaligned.h>

#include "vcrc.h"

#define VCRC_POLY	0xd008	/* 0x100b, the other way round */
#define VCRC_SLICES	8

/* [i]: what a byte does to the CRC that has i bytes behind it */
static u16 slices[VCRC_SLICES][256] __ro_after_init;

void __init qpemu_vcrc_init(void)
{
	unsigned int i, byte, bit;
	u16 crc;

	for (byte = 0; byte < 256; byte++) {
		crc = byte;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? VCRC_POLY : 0);
		slices[0][byte] = crc;
	}
	for (i = 1; i < VCRC_SLICES; i++)
		for (byte = 0; byte < 256; byte++) {
			crc = slices[i - 1][byte];
			slices[i][byte] = crc >> 8 ^ slices[0][crc & 0xff];
		}
}

static u16 update(u16 crc, const u8 *at, size_t len)
{
	unsigned int i;
	u64 eight;

	for (; len >= VCRC_SLICES; len -= VCRC_SLICES, at += VCRC_SLICES) {
		eight = get_unaligned_le64(at) ^ crc;
		for (i = 0, crc = 0; i < VCRC_SLICES; i++, eight >>= 8)
			crc ^= slices[VCRC_SLICES - 1 - i][eight & 0xff];
	}
	while (len--)
		crc = crc >> 8 ^ slices[0][(crc ^ *at++) & 0xff];
	return crc;
}

/**
 * qpemu_vcrc - variant CRC of bytes
 * @data: the bytes
 * @len: how many
 *
 * Return: the CRC as it stands in the packet.
 */
__le16 qpemu_vcrc(const void *data, size_t len)
{
	return cpu_to_le16(~update(0xffff, data, len));
}

/**
 * qpemu_vcrc_skb - variant CRC of a packet
 * @skb: the packet, skb->data at its LRH
 * @len: bytes from there to the end of the ICRC
 *
 * Return: the CRC as it stands in the packet.
 */
__le16 qpemu_vcrc_skb(const struct sk_buff *skb, unsigned int len)
{
	unsigned int done, part;
	struct skb_seq_state st;
	u16 crc = 0xffff;
	const u8 *data;

	if (likely(len <= skb_headlen(skb)))
		return qpemu_vcrc(skb->data, len);
	skb_prepare_seq_read((struct sk_buff *)skb, 0, len, &st);
	for (done = 0; (part = skb_seq_read(done, &data, &st)); done += part) {
		/* A page is told of as a whole, whatever was asked for. */
		part = min(part, len - done);
		crc = update(crc, data, part);
	}
	return cpu_to_le16(~crc);
}
