#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qp_conns.sh [-r ROUNDS] [-n COUNT] [-m MANY] RESULTS
#
# Connections set up a second, by queue pairs and by cmtime of librdmacm on the
# same qpemu devices, in turn; and what MANY connected queue pairs take. Keeps
# the figures in the directory RESULTS. Fails if queue pairs are slower, or if
# there cannot be so many.

# shellcheck disable=SC2119,SC2317  # functions run by name
# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

rounds=5 count=1000 many=10000
while getopts r:n:m: opt; do
	case $opt in
	r) rounds=$OPTARG ;;
	n) count=$OPTARG ;;
	m) many=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || { echo "usage: $0 [-r ROUNDS] [-n COUNT] [-m MANY] RESULTS" >&2; exit 2; }
results=$1/qp_conns.txt

# both_sides PORT SERVER CLIENT: each a command line; what the client says
both_sides()
{
	local pid status=0

	# shellcheck disable=SC2086
	ip netns exec "$ns1" timeout 120 $2 >"$scratch/server" 2>&1 </dev/null &
	pid=$!
	soon listens "$1" || echo "the server does not listen" >&2
	# shellcheck disable=SC2086
	n0 timeout 120 $3 2>&1 || status=$?
	# cmtime serves on and on
	kill $pid 2>/dev/null
	wait $pid
	soon deaf "$1"
	[ $status = 0 ] || cat "$scratch/server" >&2
	return $status
}

listens()
{
	n1 rdma res show cm_id 2>/dev/null | grep -q "LISTEN.*:$1 "
}

deaf() { ! listens "$1"; }

# queue_pairs COUNT: what qp_conns says
queue_pairs()
{
	both_sides 7480 "qp_conns -n $1 -l ${ip4[1]}" "qp_conns -n $1 ${ip4[1]}"
}

# A second's connections by cmtime: all that it does until they stand
cm_rate()
{
	both_sides 7471 "cmtime -c $count -p 7471" \
		"cmtime -c $count -p 7471 -s ${ip4[1]}" >"$scratch/cmtime" || return
	awk -v count="$count" '
		/^(create|resolve|connect) .*:/ { ms += $(NF - 3) }
		END { if (ms) print 1000 * count / ms }' "$scratch/cmtime"
}

median()
{
	sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

need cmtime rdma
mkdir -p "$1"
hosts
for host in 0 1; do
	# What is made for a queue pair stays, for cmtime to have it as well
	on $host sysctl -qw net.qp.emulation=2 net.core.somaxconn=65535
done
queue_pairs 1 >/dev/null || exit
: >"$scratch/ours"
: >"$scratch/theirs"
for ((round = 1; round <= rounds; round++)); do
	queue_pairs "$count" | tee -a "$scratch/said" |
		sed -n 's/.*connected: \([0-9]*\) a second.*/\1/p' >>"$scratch/ours"
	cm_rate >>"$scratch/theirs"
done
ours=$(median <"$scratch/ours")
theirs=$(median <"$scratch/theirs")
status=0
{
	cat "$scratch/said"
	echo "a second, medians of $rounds rounds of $count: queue pairs $ours, cmtime $theirs"
	awk -v a="$ours" -v b="$theirs" 'BEGIN {
		met = b && a >= b
		printf "%s set-up rate, times cmtime of librdmacm: %.2f, to be >= 1\n",
			met ? "met:   " : "MISSED:", b ? a / b : 0
		exit !met }' || status=1
	if [ "$many" != 0 ]; then
		queue_pairs "$many" || { echo "MISSED: $many connected queue pairs"; status=1; }
	fi
} | tee "$results"
status=${PIPESTATUS[0]}
grep -q MISSED "$results" && status=1
echo "Results: $results"
exit "$status"
