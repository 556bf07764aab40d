#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration of queue pairs, to be run in the patched kernel. The
# argument is the directory of the built programs; without it they stand here.

dir=${1:-$(dirname "$0")}

echo "Queue pairs on Linux $(uname -r), $(nproc) processors:"
exec "$dir/qp_demo"
