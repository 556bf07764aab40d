// SPDX-License-Identifier: GPL-2.0
/*
 * Directed routes, IBA v1 14.2.2
 *
 * An SMP with a directed route finds its way where there are no LIDs yet. It has the
 * ports that it goes out of (initial path, from entry 1 on), and is given those that
 * it came in by (return path). The hop pointer says how far it is: on the way out it
 * grows, from 0 to one more than there are hops, on the way back it shrinks to 0. So
 * no route is endless. What the initial path leads through may lie between parts of
 * the way that go by LID.
 *
 *	hop pointer	0	1	2	... hop count	hop count + 1
 *	out		starts	initial path[2]		arrived
 *	back		arrived		return path[1]		starts
 */
#include "switch.h"

/* C14-9 */
static enum qpemu_dr go_out(struct ib_smp *smp, u8 in, u8 *out)
{
	u8 hop = smp->hop_ptr;

	if (hop > smp->hop_cnt + 1)
		return QPEMU_DR_DROP;
	if (hop == smp->hop_cnt + 1)
		return QPEMU_DR_HERE;
	if (hop)
		smp->return_path[hop] = in;
	smp->hop_ptr = hop + 1;
	if (hop < smp->hop_cnt) {
		*out = smp->initial_path[hop + 1];
		return QPEMU_DR_PORT;
	}
	return smp->dr_dlid == IB_LID_PERMISSIVE ? QPEMU_DR_HERE : QPEMU_DR_LID;
}

/* C14-13 */
static enum qpemu_dr go_back(struct ib_smp *smp, u8 *out)
{
	u8 hop = smp->hop_ptr;

	if (hop > smp->hop_cnt + 1)
		return QPEMU_DR_DROP;
	if (!hop)
		return QPEMU_DR_HERE;
	smp->hop_ptr = hop - 1;
	if (hop > 1) {
		*out = smp->return_path[hop - 1];
		return QPEMU_DR_PORT;
	}
	return smp->dr_slid == IB_LID_PERMISSIVE ? QPEMU_DR_HERE : QPEMU_DR_LID;
}

enum qpemu_dr qpemu_dr_step(struct ib_smp *smp, u8 in, u8 num_ports, u8 *out)
{
	enum qpemu_dr to;

	if (smp->hop_cnt >= IB_SMP_MAX_PATH_HOPS)
		return QPEMU_DR_DROP;
	to = ib_get_smp_direction(smp) ? go_back(smp, out) : go_out(smp, in, out);
	if (to == QPEMU_DR_PORT && (!*out || *out > num_ports))
		return QPEMU_DR_DROP;
	return to;
}
