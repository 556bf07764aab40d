#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs the benchmark of queue pairs: qp_bench.sh PROGRAMS RESULTS|- [OPTION]...
# See bench.sh.

exec "$(dirname "$0")/bench.sh" qp_bench "$@"
