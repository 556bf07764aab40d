#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# instructions.sh RESULTS
#
# How many instructions a message costs, on both sides together, with qpemu and
# with rxe: for a machine of one CPU whose clock counts instructions, one each
# nanosecond (vm/run -i). It repeats, however busy the host is. Keeps a table in
# the directory RESULTS.

# shellcheck disable=SC2086  # words are split
. "$(dirname "$0")/lib.sh"

[ $# = 1 ] || { echo "usage: $0 RESULTS" >&2; exit 2; }
[ "$(nproc)" = 1 ] || skip_all "more than one CPU"
mkdir -p "$1"
results=$1/qpemu_instructions.txt

# What is measured, and rdma_bench's options. Completions are waited for: with one
# CPU polling would keep the other side from it.
metrics="\
WRITE, 64 KiB	-n 2000 -d 16 -s 65536 write
SEND, 64 KiB	-n 2000 -d 16 -s 65536 send
READ, 64 KiB	-n 2000 -d 16 -s 65536 read
WRITE, 8 bytes, lists of 32	-n 64000 -d 64 -l 32 write
WRITE, 8 bytes, one by one	-n 10000 -d 64 -l 1 write
SEND/RECV round trip, 8 bytes	-n 5000 rtt"

# instructions OPTIONS...: for one message or round trip
instructions()
{
	rdma_bench -e "$@" "$end0" "$end1" 2>"$scratch/error" </dev/null |
		awk -v op="${!#}" '{ printf "%.0f\n", op == "rtt" ? $1 * 1e3 : 1e9 / $1 }'
}

declare -A ends
for peer in qpemu rxe; do
	hosts "qp${peer}0" "qp${peer}1"
	devices_on $peer $peer
	ends[$peer]="$end0 $end1"
done
status=0
{
	printf '%-34s %12s %12s %10s\n' "instructions of a message" qpemu rxe rxe/qpemu
	while IFS=$'\t' read -r name options; do
		read -r end0 end1 <<<"${ends[qpemu]}"
		ours=$(instructions $options)
		read -r end0 end1 <<<"${ends[rxe]}"
		theirs=$(instructions $options)
		if [ -z "$ours" ] || [ -z "$theirs" ]; then
			cat "$scratch/error"
			status=1
			continue
		fi
		printf '%-34s %12d %12d %10.2f\n' "$name" "$ours" "$theirs" \
			"$(awk -v a="$theirs" -v b="$ours" 'BEGIN { print a / b }')"
	done <<<"$metrics"
} >"$results"
cat "$results"
exit $status
