# SPDX-License-Identifier: GPL-2.0
# Sourced by bench.sh and fabric_bench.sh: options, rounds, medians, a table of them
# and targets. The script that sources it has said in
#
#	name	what the files of results are called
#	peers	what is compared
#	ratio	the two of them whose ratio the table shows
#	metrics	lines of a metric's name, what it is called, its unit, and rdma_bench's
#		options
#	targets	lines of PEER.METRIC, of what it is a ratio (PEER.METRIC or -), >= or
#		<=, and a number
#
# with tabs between. Results are a table (.txt), every measurement (.csv) and the
# medians (.med).
# shellcheck shell=bash
# shellcheck disable=SC2154  # the variables above

# bench_options SECONDS ARGUMENT...: [-r ROUNDS] [-w SECONDS] [-p "PEER..."] RESULTS
bench_options()
{
	local opt

	rounds=5 seconds=$1
	shift
	while getopts r:w:p: opt; do
		case $opt in
		r) rounds=$OPTARG ;;
		w) seconds=$OPTARG ;;
		p) peers=$OPTARG ;;
		*) exit 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	[ $# = 1 ] || {
		echo "usage: $0 [-r ROUNDS] [-w SECONDS] [-p PEERS] RESULTS" >&2
		exit 2
	}
	results=$1/$name
	mkdir -p "$1"
	echo "round,peer,metric,value" >"$results.csv"
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

# Rounds interleave the peers, each measured by "measure PEER".
bench_rounds()
{
	local peer

	for ((round = 1; round <= rounds; round++)); do
		for peer in $peers; do
			measure "$peer"
		done
	done
}

# Of lines "round,peer,metric,value" the medians, as "peer.metric value spread"
medians()
{
	sort -t, -k2,3 -k4g | awk -F, '
		function flush(	m) {
			if (!n)
				return
			m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
			print key, m, m ? (v[n] - v[1]) / m : 0
		}
		{ if ($2 "." $3 != key) { flush(); key = $2 "." $3; n = 0 } v[++n] = $4 }
		END { flush() }'
}

table()
{
	local peer

	printf '%-36s %-7s' "medians of $rounds rounds" ''
	for peer in $peers; do
		printf '%12s' "$peer"
	done
	printf '%12s\n' "${ratio// //}"
	awk -F'\t' -v peers="$peers" -v ratio="$ratio" '
		NR == FNR { split($0, f, " "); v[f[1]] = f[2]; next }
		{ printf "%-36s %-7s", $2, $3
		  n = split(peers, p, " ")
		  for (i = 1; i <= n; i++)
			if (p[i] "." $1 in v) printf "%12.4g", v[p[i] "." $1]; else printf "%12s", "-"
		  split(ratio, r, " ")
		  if (v[r[1] "." $1] && v[r[2] "." $1])
			printf "%12.2f", v[r[1] "." $1] / v[r[2] "." $1]
		  print "" }' "$results.med" - <<<"$metrics"
}

# What was not measured is not judged
judge()
{
	awk -F'\t' '
		NR == FNR { split($0, f, " "); v[f[1]] = f[2]; next }
		{ if (!($1 in v) || ($2 != "-" && !v[$2])) next
		  x = v[$1] / ($2 == "-" ? 1 : v[$2])
		  met = $3 == ">=" ? x >= $4 : x <= $4
		  missed += !met
		  printf "%-7s %s%s %.2f, to be %s %g\n", met ? "met:" : "MISSED:", $1,
			$2 == "-" ? "" : " / " $2, x, $3, $4 }
		END { exit missed > 0 }' "$results.med" - <<<"$targets"
}

# bench_results: keeps and shows them. Return: 1 if a target was missed.
bench_results()
{
	local status=0

	sed 1d "$results.csv" | medians >"$results.med"
	{ table; echo; judge || status=1; } >"$results.txt"
	cat "$results.txt"
	return $status
}
