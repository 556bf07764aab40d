#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs the benchmark of AF_IB sockets: ib_bench.sh PROGRAMS RESULTS|- [OPTION]...
# See bench.sh.

exec "$(dirname "$0")/../qp/bench.sh" ib_bench "$@"
