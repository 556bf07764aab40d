// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: tracepoints
 */
#include <net/sock.h>

#define CREATE_TRACE_POINTS
#include <trace/events/ib_proto.h>
