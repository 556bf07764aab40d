#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# hostile.sh [TYPE [ROUNDS [SEED]]]: forged packets at a live connection

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu} rounds=${2:-2000} seed=${3:-$RANDOM}
hosts
devices_on "$type" "$type"
echo "# seed $seed"
rdma_hostile -T 900 -n "$rounds" -S "$seed" "$end0" "$end1" >"$scratch/tap" 2>&1 </dev/null ||
	status=$?
cat "$scratch/tap"
passed=$(grep -c '^ok' "$scratch/tap")
failed=$(grep -c '^not ok' "$scratch/tap")
grep -q '^1\.\.' "$scratch/tap" || failed=$((failed + 1))
[ "${status:-0}" = 0 ] || [ "$failed" != 0 ] || failed=1
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
