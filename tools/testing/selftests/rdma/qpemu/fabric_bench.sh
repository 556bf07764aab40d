#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fabric_bench.sh [-r ROUNDS] [-w SECONDS] [-p "PEER..."] RESULTS
#
# Measures an InfiniBand link of qpemu in one boot: two adapters back to back (ib),
# two with a switch between them (hop), and RoCE by qpemu on a veth pair between the
# hosts of the former (roce). Keeps a table (.txt), every measurement (.csv) and the
# medians (.med) in the directory RESULTS. Fails if a target is missed.
#
#	h1 ===== h2		h3 --- 1 | sw1 | 2 --- h4
#	   -----
#	  Ethernet

# shellcheck disable=SC2034,SC2086,SC2119,SC2317  # bench_lib.sh's; words are split
. "$(dirname "$0")/fabric.sh"
. "$(dirname "$0")/bench_lib.sh"

name=fabric_bench peers="roce ib hop" ratio="ib roce"
metrics="\
write_bw	WRITE, 64 KiB	Gbit/s	-g -s 65536 -d 32 write
send_bw	SEND, 64 KiB	Gbit/s	-g -s 65536 -d 32 send
read_bw	READ, 64 KiB	Gbit/s	-g -s 65536 -d 32 read
write_rate	WRITE, 8 bytes, lists of 32	1/s	-d 64 -l 32 write
rtt	SEND/RECV round trip, 8 bytes	us	rtt"
targets="\
ib.write_bw	roce.write_bw	>=	0.8
hop.rtt	ib.rtt	<=	1.3"
declare -A ends=([roce]="h1/roce1 h2/roce2" [ib]="h1/ca1 h2/ca2" [hop]="h3/ca3 h4/ca4")

build()
{
	local n

	adapters 4
	switches=1
	host s1
	cable ca1 1 ca2 1 && cable ca3 1 sw1 1 && cable ca4 1 sw1 2 && devices_up || return
	ip -n h1 link add veth0 type veth peer name veth0 netns h2
	for n in 1 2; do
		ip -n h$n addr add 10.50.0.$n/24 dev veth0
		ip -n h$n link set veth0 up
	done
	for n in 1 2; do
		link_add h$n roce$n qpemu veth0 && settle h$n roce$n 10.50.0.$n veth0 || return
	done
	# A subnet for each pair
	start_sm 3
	fabric_up 1
}

measure()
{
	local metric option

	while IFS=$'\t' read -r metric _ _ option; do
		record "$1" "$metric" "$(rdma_bench -w "$seconds" $option ${ends[$1]} \
			2>"$scratch/error" </dev/null)"
	done <<<"$metrics"
}

bench_options 0.5 "$@"
build || { echo "the fabric does not come up" >&2; exit 1; }
bench_rounds
bench_results
