/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A connection between two hosts: a is the client's end, b the server's, which
 * l has accepted. c is for tests to make. Variants are the types of sockets,
 * and the version of IP that GIDs are of.
 */
#ifndef IB_CONN_FIXTURE_H
#define IB_CONN_FIXTURE_H

#include "kselftest_harness.h"
#include "ib_conn.h"

#define CONN_FIXTURE(name)						\
FIXTURE(name)								\
{									\
	int type;							\
	int version;							\
	struct ib_end l;						\
	int a, b, c;							\
};									\
									\
FIXTURE_VARIANT(name)							\
{									\
	int type;							\
	int version;							\
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	self->type = variant->type;					\
	self->version = variant->version;				\
	self->a = -1;							\
	self->b = -1;							\
	self->c = -1;							\
	ASSERT_EQ(0, ib_listen(self->type, self->version, &self->l)) {	\
		TH_LOG("listen: %s", strerror(errno));			\
	}								\
	ASSERT_EQ(0, ib_pair(self->type, &self->l, &self->a,		\
			     &self->b)) {				\
		TH_LOG("connect: %s", strerror(errno));			\
	}								\
}									\
									\
FIXTURE_TEARDOWN(name)							\
{									\
	close(self->a);							\
	close(self->b);							\
	close(self->c);							\
	ib_close(&self->l);						\
}

#ifdef QP_IB
#define SEQPACKET_VARIANTS(name)					\
FIXTURE_VARIANT_ADD(name, seqpacket) { .type = SOCK_SEQPACKET, .version = 0 };

#define STREAM_VARIANTS(name)						\
FIXTURE_VARIANT_ADD(name, stream) { .type = SOCK_STREAM, .version = 0 };
#else
#define SEQPACKET_VARIANTS(name)					\
FIXTURE_VARIANT_ADD(name, seqpacket4)					\
{ .type = SOCK_SEQPACKET, .version = 4 };				\
FIXTURE_VARIANT_ADD(name, seqpacket6)					\
{ .type = SOCK_SEQPACKET, .version = 6 };

#define STREAM_VARIANTS(name)						\
FIXTURE_VARIANT_ADD(name, stream4) { .type = SOCK_STREAM, .version = 4 };\
FIXTURE_VARIANT_ADD(name, stream6) { .type = SOCK_STREAM, .version = 6 };
#endif

CONN_FIXTURE(conn)
SEQPACKET_VARIANTS(conn)
STREAM_VARIANTS(conn)

#define CONN	FIXTURE_DATA(conn)

#endif /* IB_CONN_FIXTURE_H */
