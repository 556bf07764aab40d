#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tracepoints of queue pairs and of AF_IB sockets, read from tracefs and by the
# distribution's trace-cmd.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
# shellcheck disable=SC2119,SC2317  # functions run by name
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

events=/sys/kernel/tracing/events
trace=/sys/kernel/tracing/trace

gid() { echo "::ffff:${ip4[$1]}"; }

# talk RECEIVER SENDER: options and port of both ends, host 1 receives
talk()
{
	local pid

	: >"$scratch/server"
	# shellcheck disable=SC2086
	ip netns exec "$ns1" timeout 60 ib_end ${1% *} recv "$(gid 1)" ${1##* } \
		>"$scratch/server" 2>&1 &
	pid=$!
	listening 1 listens || return
	# shellcheck disable=SC2086
	on 0 timeout 60 ib_end ${2% *} send "$(gid 1)" ${2##* }
	# What came is counted at once, so who waits for more need not
	[ -z "${3:-}" ] || { sleep 0.2; kill "$pid"; }
	wait "$pid"
}

# traced SYSTEM COMMAND...: what happens meanwhile is in $scratch/trace
traced()
{
	local system=$1 status=0

	shift
	echo >"$trace"
	echo 1 >"$events/$system/enable"
	"$@" || status=$?
	echo 0 >"$events/$system/enable"
	grep -v '^#' "$trace" >"$scratch/trace"
	return "$status"
}

# seen EVENT PATTERN [TIMES]: that often, or at least once
seen()
{
	local n

	n=$(grep -cE " $1: $2" "$scratch/trace")
	[ "$n" = "${3:-$n}" ] && [ "$n" != 0 ] && return
	echo "$1 $2: $n"
	tail -n 20 "$scratch/trace"
	return 1
}

# What the events of a system can tell of
has_events()
{
	local event

	for event in "${@:2}"; do
		[ -e "$events/$1/$event/format" ] || { echo "no $event"; return 1; }
	done
}

# Of a datagram: the question and its answer, the message and its arrival
datagrams()
{
	local to

	to="$(gid 1)/0000000001111d2f"
	traced ib_proto talk "-n 3 7471" "-n 3 7471" || return
	seen afib_resolve "socket [0-9]+ $to$" 1 &&
		seen afib_answer "socket [0-9]+ at $to qpn [0-9]+ err 0" &&
		seen afib_resolved "socket [0-9]+ $to qpn [0-9]+ err 0" 1 &&
		seen afib_send "socket [0-9]+ to $to qpn [0-9]+ length 100" 3 &&
		seen afib_receive "socket [0-9]+ from $(gid 0) qpn [0-9]+ length 100" 3
}

# The queue pair that answers is the one that is sent to
same_qpn()
{
	local answered sent

	answered=$(sed -n 's/.* afib_answer: .* qpn \([0-9]*\).*/\1/p' "$scratch/trace" | head -n 1)
	sent=$(sed -n 's/.* afib_send: .* qpn \([0-9]*\).*/\1/p' "$scratch/trace" | sort -u)
	[ "$answered" -gt 1 ] && [ "$answered" = "$sent" ]
}

nobody_there()
{
	traced ib_proto on 0 ib_end send "$(gid 1)" 7479 && return 1
	seen afib_resolved ".*/0000000001111d37 qpn 0 err -111" 1 &&
		! grep -q afib_send "$scratch/trace"
}

# dropped REASON RECEIVER SENDER
dropped()
{
	traced ib_proto talk "$2" "$3" end
	seen afib_drop "socket [0-9]+ length [0-9]+: $1"
}

connections()
{
	traced ib_proto talk "-t seqpacket -n 3 7471" "-t seqpacket -n 3 7471" || return
	seen afib_state "socket [0-9]+ CONNECTING to ESTABLISHED err 0" 2 &&
		seen afib_state "socket [0-9]+ ESTABLISHED to CLOSE err 0" 2 &&
		seen afib_frag_send "socket [0-9]+ flags 0xc000[0-9a-f]{4} length 100 cr" 3 &&
		seen afib_frag_receive "socket [0-9]+ flags 0xc000[0-9a-f]{4} length 100 cr" 3
}

refused()
{
	traced ib_proto on 0 ib_end -t stream send "$(gid 1)" 7479 && return 1
	seen afib_state "socket [0-9]+ CONNECTING to CLOSE err -111" 1
}

starved()
{
	traced ib_proto talk "-t stream -w 1000 7471" "-t stream -n 40 -s 100000 7471"
	seen afib_starve "socket [0-9]+ window [0-9]+ owed [0-9]+"
}

# A queue pair from its making to its end, by the number of one of them
life()
{
	local qpn

	traced qp n0 qp_ops -t send_sizes -t write_sizes -t read_sizes -t atomics \
		-t failures -t rights || return
	qpn=$(sed -n 's/.* qp_create: qpn \([0-9]*\) proto pipe domain 1 type RC netns.*/\1/p' \
		"$scratch/trace" | head -n 1)
	[ -n "$qpn" ] && seen qp_create "qpn $qpn proto pipe" 1 && seen qp_destroy "qpn $qpn " 1
}

work()
{
	seen qp_post "qpn [0-9]+ (SEND|WRITE|READ) length [0-9]+ flags" &&
		seen qp_post "qpn [0-9]+ ATOMIC_CAS length 8" &&
		seen qp_complete "qpn [0-9]+ SEND SUCCESS length" &&
		seen qp_complete "qpn [0-9]+ RECV SUCCESS length" &&
		seen qp_complete "qpn [0-9]+ [A-Z_]+ WR_FLUSH_ERR" &&
		seen qp_complete "qpn [0-9]+ WRITE REM_ACCESS_ERR" &&
		seen qp_doorbell "qpn [0-9]+ want [0-9]+ taken [0-9]+" &&
		seen qp_state "qpn [0-9]+ RTS to ERROR"
}

pipes_connect()
{
	seen qp_connect "qpn [0-9]+ proto pipe err 0" &&
		seen qp_accept "qpn [0-9]+ proto pipe err 0"
}

threads()
{
	traced qp n0 qp_sqpoll -t sleep_and_wake || return
	seen qp_sqpoll_sleep "qpn [0-9]+" && seen qp_sqpoll_wake "qpn [0-9]+"
}

# Those of AF_IB's connections are the kernel's own
networks_connect()
{
	traced qp talk "-t seqpacket 7471" "-t seqpacket 7471" || return
	seen qp_create "qpn [0-9]+ proto any domain 27 type RC netns [0-9]+ kernel" &&
		seen qp_connect "qpn [0-9]+ proto roce err 0" 1 &&
		seen qp_accept "qpn [0-9]+ proto roce err 0" 1 &&
		seen qp_conn_result "qpn [0-9]+ proto roce err 0" 2 &&
		seen qp_complete "qpn [0-9]+ SEND_IMM SUCCESS length 100"
}

# Nobody listens: another protocol is tried, if there is one, and that is the end
networks_refuse()
{
	traced qp on 0 qp_interop rdma client "${ip4[1]}" 7479 && return 1
	seen qp_fallback "qpn [0-9]+ roce to iwarp err -111" 1 &&
		seen qp_conn_result "qpn [0-9]+ proto [a-z]+ err -111" 1
}

with_trace_cmd()
{
	trace-cmd record -q -o "$scratch/trace.dat" -e qp -e ib_proto \
		ip netns exec "$ns0" ib_end send "$(gid 1)" 7479
	trace-cmd report -i "$scratch/trace.dat" >"$scratch/report" 2>&1
	grep -E 'afib_resolved:.* err -111' "$scratch/report" &&
		grep -E 'qp_state:.* RTS' "$scratch/report" && return
	cat "$scratch/report"
	return 1
}

quiet_when_off()
{
	echo >"$trace"
	talk "-n 3 7471" "-n 3 7471" || return
	! grep -qE ' (afib|qp)_' "$trace"
}

need ib_end qp_ops qp_sqpoll qp_interop
[ -d "$events" ] || skip_all "no tracefs"
hosts
for host in 0 1; do
	# Without a device nobody would answer
	on $host sysctl -qw net.qp.emulation=2
done
[ -e /proc/net/ib ] || skip_all "no AF_IB"
echo 8192 >"${trace%/*}/buffer_size_kb"
it "events of queue pairs" has_events qp qp_create qp_destroy qp_state qp_connect \
	qp_conn_result qp_accept qp_fallback qp_post qp_complete qp_doorbell \
	qp_sqpoll_sleep qp_sqpoll_wake
it "events of AF_IB" has_events ib_proto afib_send afib_receive afib_drop afib_resolve \
	afib_resolved afib_answer afib_state afib_frag_send afib_frag_receive afib_starve
it "datagrams" datagrams
it "who answers is sent to" same_qpn
it "nobody there" nobody_there
it "dropped for want of room" dropped "no room" "-r 4096 -w 20000 -n 200 7471" \
	"-n 200 -s 500 7471"
it "dropped by a filter" dropped filter "-f 7471" "-n 3 7471"
it "connections" connections
it "connections that are refused" refused
it "no credit" starved
it "the life of a queue pair" life
it "its work" work
it "its connection" pipes_connect
it "threads" threads
it "connections of networks" networks_connect
it "connections that nobody wants" networks_refuse
if command -v trace-cmd >/dev/null; then
	it "trace-cmd" with_trace_cmd
else
	skip "trace-cmd" "it is not installed"
fi
it "nothing when they are off" quiet_when_off
finish
