#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [-r ROUNDS] [-w SECONDS] [-p "PEER..."] RESULTS
#
# Measures qpemu beside rxe, siw and TCP in one boot, each peer on a veth pair of
# its own with an MTU of 1500. Rounds interleave the peers; what counts are the
# medians and their ratios. Keeps a table (.txt), every measurement (.csv), the
# medians (.med) and a plot (.png) in the directory RESULTS. Fails if qpemu misses
# one of its targets.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/bench_lib.sh"

name=qpemu_bench peers="qpemu rxe siw tcp" ratio="qpemu rxe"
plot=$(cd "$(dirname "$0")" && pwd)/bench.gp

# What is measured: a name, what it is called, its unit, and rdma_bench's options
metrics="\
write_bw	WRITE, 64 KiB	Gbit/s	-g -s 65536 write
send_bw	SEND, 64 KiB	Gbit/s	-g -s 65536 send
read_bw	READ, 64 KiB	Gbit/s	-g -s 65536 read
write_rate	WRITE, 8 bytes, lists of 32	1/s	-d 64 -l 32 write
write_rate1	WRITE, 8 bytes, one by one	1/s	-d 64 -l 1 write
rtt	SEND/RECV round trip, 8 bytes	us	rtt
one_qp	WRITE, 8 bytes, 1 queue pair	1/s	-d 16 -l 8 write
many_qps	WRITE, 8 bytes, 2000 queue pairs	1/s	-d 16 -l 8 -q 2000 write
memory	kernel memory of an idle queue pair	KiB	-
rings	its rings, mapped by the process	KiB	-"

targets="\
qpemu.write_bw	rxe.write_bw	>=	5
qpemu.send_bw	rxe.send_bw	>=	5
qpemu.read_bw	rxe.read_bw	>=	5
qpemu.write_rate	rxe.write_rate	>=	5
qpemu.rtt	rxe.rtt	<=	0.4
qpemu.many_qps	qpemu.one_qp	>=	0.8
qpemu.memory	-	<=	8"

# tcp_bw: Gbit/s of a TCP connection
tcp_bw()
{
	local pid

	ip netns exec "$ns1" iperf3 -s -1 >/dev/null 2>&1 &
	pid=$!
	listening 1 5201
	n0 timeout 60 iperf3 -c "${ip4[1]}" -l 64K -t "${seconds%.*}" -O 0.2 -f g -J |
		/usr/bin/python3 -c 'import json, sys
print("%.4g" % (json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9))'
	wait $pid
}

# Kernel memory of an idle queue pair: what is not mapped by the process, and what is
memory()
{
	rdma_many -q 500 -e 16 "$end0" "$end1" 2>"$scratch/error" |
		sed -n 's/^side 0: .*, \([0-9.-]*\) KiB each, of which \([0-9.-]*\) .*/\1 \2/p'
}

measure()
{
	local peer=$1 metric option all rings cm='' ns0 ns1 end0 end1

	read -r ns0 ns1 end0 end1 <<<"${ends[$peer]}"
	case $peer in
	tcp)	for metric in write_bw send_bw; do
			record tcp $metric "$(tcp_bw 2>"$scratch/error")"
		done
		return ;;
	siw)	cm=-c ;;
	esac
	while IFS=$'\t' read -r metric _ _ option; do
		# A short send that siw resumes in its thread copies from a process
		# that is not there.
		case $cm$option in
		-c-g*)	;;
		-c* | *-) continue ;;
		esac
		# shellcheck disable=SC2086
		record "$peer" "$metric" "$(rdma_bench $cm -w "$seconds" $option "$end0" "$end1" \
			2>"$scratch/error" </dev/null)"
	done <<<"$metrics"
	[ -z "$cm" ] || return
	read -r all rings < <(memory)
	record "$peer" memory "$(awk -v a="$all" -v r="$rings" 'BEGIN { print a - r }')"
	record "$peer" rings "$rings"
}

need iperf3
bench_options 1.5 "$@"
declare -A ends
for peer in $peers; do
	hosts "qp${peer}0" "qp${peer}1"
	if [ "$peer" = tcp ] || devices_on "$peer" "$peer"; then
		ends[$peer]="$ns0 $ns1 $end0 $end1"
	fi
done
bench_rounds
status=0
bench_results || status=1
if command -v gnuplot >/dev/null; then
	gnuplot -e "med='$results.med'; png='$results.png'" "$plot" || status=1
fi
echo "Results: $results.txt $results.csv $results.png"
exit $status
