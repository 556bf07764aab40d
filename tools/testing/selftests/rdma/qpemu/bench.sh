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

rounds=5 seconds=1.5 peers="qpemu rxe siw tcp"
while getopts r:w:p: opt; do
	case $opt in
	r) rounds=$OPTARG ;;
	w) seconds=$OPTARG ;;
	p) peers=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || { echo "usage: $0 [-r ROUNDS] [-w SECONDS] [-p PEERS] RESULTS" >&2; exit 2; }
results=$1/qpemu_bench
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

# Targets: what of qpemu, of what it is a ratio or -, and the least or most
targets="\
write_bw	rxe	>=	5
send_bw	rxe	>=	5
read_bw	rxe	>=	5
write_rate	rxe	>=	5
rtt	rxe	<=	0.4
many_qps	one_qp	>=	0.8
memory	-	<=	8"

# The options of rdma_bench that a metric has
options()
{
	awk -F'\t' -v name="$1" '$1 == name { print $4 }' <<<"$metrics"
}

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

# record PEER METRIC VALUE
record()
{
	if [ -n "$3" ]; then
		echo "$round,$1,$2,$3" >>"$results.csv"
	else
		echo "$1: $2 failed: $(tail -n 1 "$scratch/error")" >&2
	fi
}

# Kernel memory of an idle queue pair: what is not mapped by the process, and what is
memory()
{
	rdma_many -q 500 -e 16 "$end0" "$end1" 2>"$scratch/error" |
		sed -n 's/^side 0: .*, \([0-9.-]*\) KiB each, of which \([0-9.-]*\) .*/\1 \2/p'
}

measure()
{
	local peer=$1 metric option all rings cm=''

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

# Of lines "round,peer,metric,value" the medians, as "peer metric value spread"
medians()
{
	sort -t, -k2,3 -k4g "$1" | awk -F, '
		function flush(	m) {
			if (!n)
				return
			m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
			print key, m, m ? (v[n] - v[1]) / m : 0
		}
		{ if ($2 " " $3 != key) { flush(); key = $2 " " $3; n = 0 } v[++n] = $4 }
		END { flush() }'
}

table()
{
	local peer

	printf '%-36s %-7s' "medians of $rounds rounds" ''
	for peer in $peers; do
		printf '%12s' "$peer"
	done
	printf '   qpemu/rxe\n'
	awk -F'\t' -v peers="$peers" '
		NR == FNR { split($0, f, " "); v[f[2], f[1]] = f[3]; next }
		{ printf "%-36s %-7s", $2, $3
		  n = split(peers, p, " ")
		  for (i = 1; i <= n; i++)
			if (($1, p[i]) in v) printf "%12.4g", v[$1, p[i]]; else printf "%12s", "-"
		  if (v[$1, "rxe"] && v[$1, "qpemu"])
			printf "%12.2f", v[$1, "qpemu"] / v[$1, "rxe"]
		  print "" }' "$results.med" - <<<"$metrics"
}

judge()
{
	awk -F'\t' '
		NR == FNR { split($0, f, " "); v[f[2], f[1]] = f[3]; next }
		{ if (!(($1, "qpemu") in v)) next
		  of = $2 == "-" ? 1 : $2 == "rxe" ? v[$1, "rxe"] : v[$2, "qpemu"]
		  if (!of) next
		  x = v[$1, "qpemu"] / of
		  met = $3 == ">=" ? x >= $4 : x <= $4
		  missed += !met
		  printf "%-7s %s%s %.2f, to be %s %g\n", met ? "met:" : "MISSED:", $1,
			$2 == "-" ? "" : " / " $2, x, $3, $4 }
		END { exit missed > 0 }' "$results.med" - <<<"$targets"
}

need iperf3
mkdir -p "$1"
echo "round,peer,metric,value" >"$results.csv"
declare -A ends
for peer in $peers; do
	hosts "qp${peer}0" "qp${peer}1"
	if [ "$peer" = tcp ] || devices_on "$peer" "$peer"; then
		ends[$peer]="$ns0 $ns1 $end0 $end1"
	fi
done
for ((round = 1; round <= rounds; round++)); do
	for peer in $peers; do
		read -r ns0 ns1 end0 end1 <<<"${ends[$peer]}"
		measure "$peer"
	done
done
sed 1d "$results.csv" >"$scratch/csv"
medians "$scratch/csv" >"$results.med"
status=0
{ table; echo; judge || status=1; } >"$results.txt"
cat "$results.txt"
if command -v gnuplot >/dev/null; then
	gnuplot -e "med='$results.med'; png='$results.png'" "$plot" || status=1
fi
echo "Results: $results.txt $results.csv $results.png"
exit $status
