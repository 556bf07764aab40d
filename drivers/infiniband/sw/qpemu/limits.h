/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a device can do: the limits that it reports, and those that bound what
 * one queue pair may ask of the machine.
 */
#ifndef _QPEMU_LIMITS_H
#define _QPEMU_LIMITS_H

#include <linux/sizes.h>

#define QPEMU_MAX_QP		SZ_1M
#define QPEMU_MAX_QP_WR		SZ_64K
#define QPEMU_MAX_SGE		32
#define QPEMU_MAX_INLINE	(QPEMU_MAX_SGE * 16)
#define QPEMU_MAX_CQ		SZ_1M
#define QPEMU_MAX_CQE		(SZ_1M - 1)
#define QPEMU_MAX_PD		SZ_1M
#define QPEMU_MAX_MR		SZ_1M
#define QPEMU_MAX_MW		SZ_1M
#define QPEMU_MAX_AH		(SZ_1M - 1)
#define QPEMU_MAX_SRQ		SZ_1M
#define QPEMU_MAX_SRQ_WR	SZ_64K
#define QPEMU_MAX_RD_ATOMIC	128
#define QPEMU_MAX_FAST_REG	512	/* pages of a fast registration */
#define QPEMU_MAX_GROUPS	8192
#define QPEMU_MAX_GROUP_QPS	256
#define QPEMU_GROUP_BUCKETS	64
#define QPEMU_GID_TABLE		256
#define QPEMU_PKEY		0xffff	/* the one entry of the table */
#define QPEMU_LOCAL_DMA_LKEY	0x80	/* regions have keys from 0x100 on */
#define QPEMU_MAX_MSG		SZ_2G
#define QPEMU_ACK_DELAY		15	/* local CA ACK delay: 4.096 us << 15 */

/* PSNs that may be sent without being acknowledged; fewer where they get lost. */
#define QPEMU_WINDOW		1024
#define QPEMU_MIN_WINDOW	32
/* An acknowledgment is asked for at least this often (in PSNs). */
#define QPEMU_ACK_INTERVAL	32
/* Packets kept before their turn, in each direction; what is more is sent again. */
#define QPEMU_MAX_EARLY		1024
#define QPEMU_EARLY_BYTES	SZ_4M
/* How far ahead of their turn they may be (in PSNs). */
#define QPEMU_EARLY_WINDOW	SZ_16K

#endif /* _QPEMU_LIMITS_H */
