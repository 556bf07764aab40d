// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: tracepoints
 */
#include <net/qp.h>

#define CREATE_TRACE_POINTS
#include <trace/events/qp.h>

EXPORT_TRACEPOINT_SYMBOL_GPL(qp_fallback);
