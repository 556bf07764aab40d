/* SPDX-License-Identifier: GPL-2.0 */
/* What each opcode is: of packets (IBA v1 9.2.1), and of work requests. */
#ifndef _QPEMU_OPCODE_H
#define _QPEMU_OPCODE_H

#include <linux/bits.h>
#include <rdma/ib_pack.h>
#include <rdma/ib_verbs.h>

enum {
	/* Which kind of message */
	QPEMU_OP_SEND		= BIT(0),
	QPEMU_OP_WRITE		= BIT(1),
	QPEMU_OP_READ		= BIT(2),
	QPEMU_OP_ATOMIC		= BIT(3),
	QPEMU_OP_STORE		= BIT(4),	/* ATOMIC WRITE */
	QPEMU_OP_FLUSH		= BIT(5),
	QPEMU_OP_ACK		= BIT(6),
	QPEMU_OP_RESPONSE	= BIT(7),	/* goes to the requester */
	QPEMU_OP_KIND		= GENMASK(7, 0),
	/* Where in the message */
	QPEMU_OP_START		= BIT(8),
	QPEMU_OP_END		= BIT(9),
	/* What follows the BTH, in this order */
	QPEMU_OP_DETH		= BIT(10),
	QPEMU_OP_FETH		= BIT(11),
	QPEMU_OP_RETH		= BIT(12),
	QPEMU_OP_ATOMICETH	= BIT(13),
	QPEMU_OP_AETH		= BIT(14),
	QPEMU_OP_ATOMICACK	= BIT(15),
	QPEMU_OP_IMM		= BIT(16),
	QPEMU_OP_IETH		= BIT(17),
	QPEMU_OP_DATA		= BIT(18),	/* and then payload */
};

/**
 * struct qpemu_op_info - a wire opcode
 * @flags: QPEMU_OP_*; 0 if there is no such opcode
 * @headers: bytes of the extended headers
 * @rest: the opcode of this packet if its first part is cut off, within the
 *	transport (a super-packet of which the beginning has been received)
 */
struct qpemu_op_info {
	u32 flags;
	u8 headers;
	u8 rest;
};

extern const struct qpemu_op_info qpemu_ops[256];

/* struct qpemu_wr_info.flags beyond the kind of message */
enum {
	QPEMU_WR_LOCAL		= BIT(20),	/* no packet; carried out here */
	QPEMU_WR_KERNEL		= BIT(21),	/* not for user space */
	QPEMU_WR_INLINE		= BIT(22),	/* data may be in the request */
};

/**
 * struct qpemu_wr_info - an opcode of a send work request
 * @name: for people; NULL if there is no such opcode
 * @flags: kind of message, QPEMU_OP_IMM, QPEMU_OP_IETH, QPEMU_WR_*
 * @types: BIT() of each queue pair type that takes it
 * @wc: opcode of its completion
 * @wire: opcode of a packet that is, in this order, neither start nor end of
 *	the message, its start, its end, both; within the transport
 */
struct qpemu_wr_info {
	const char *name;
	u32 flags;
	u32 types;
	u8 wc;
	u8 wire[4];
};

const struct qpemu_wr_info *qpemu_wr_info(u32 opcode);

/* Operations of which the far side keeps what is needed to answer twice. */
#define QPEMU_OP_READ_LIKE	(QPEMU_OP_READ | QPEMU_OP_ATOMIC | \
				 QPEMU_OP_STORE | QPEMU_OP_FLUSH)

#endif /* _QPEMU_OPCODE_H */
