/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two sockets, between two hosts: a is on the client, b on the server, each
 * bound to a service ID. c is for tests to make. Those that change a host make
 * hosts for themselves.
 */
#ifndef IB_FIXTURE_H
#define IB_FIXTURE_H

#include "kselftest_harness.h"
#include "ib_test.h"

FIXTURE(dgram)
{
	int version;
	struct ib_end a, b, c;
};

#define DGRAM	FIXTURE_DATA(dgram)

/* Of which version of IP the GIDs are */
FIXTURE_VARIANT(dgram)
{
	int version;
};

#ifdef QP_IB
FIXTURE_VARIANT_ADD(dgram, ib) { .version = 0 };
#else
FIXTURE_VARIANT_ADD(dgram, gid4) { .version = 4 };
FIXTURE_VARIANT_ADD(dgram, gid6) { .version = 6 };
#endif

FIXTURE_SETUP(dgram)
{
	self->version = variant->version;
	self->c.fd = -1;
	ASSERT_EQ(0, ib_bound(self->version, QT_CLIENT, &self->a)) {
		TH_LOG("a: %s", strerror(errno));
	}
	ASSERT_EQ(0, ib_bound(self->version, QT_SERVER, &self->b)) {
		TH_LOG("b: %s", strerror(errno));
	}
}

FIXTURE_TEARDOWN(dgram)
{
	ib_close(&self->a);
	ib_close(&self->b);
	ib_close(&self->c);
}

#endif /* IB_FIXTURE_H */
