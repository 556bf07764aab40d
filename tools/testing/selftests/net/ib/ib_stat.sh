#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Counters of AF_IB sockets and of queue pairs, as the distribution's nstat and
# netstat show them: datagrams, connections, what is dropped and why, questions for
# service IDs; each in the network namespace where it happened.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
# shellcheck disable=SC2016,SC2119,SC2317  # awk; functions run by name
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

# gid HOST: that of its address
version=4
gid() { if [ "$version" = 4 ]; then echo "::ffff:${ip4[$1]}"; else echo "${ip6[$1]}"; fi; }

# value HOST COUNTER
value()
{
	on "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'
}

# all HOST: what nstat says of our tables, sorted by name
all()
{
	on "$1" nstat -asz 'Ib*' 'Qp*' | awk '/^(Ib|Qp)/ { print $1, $2 }' | sort
}

mark()
{
	local host

	for host in 0 1; do
		all "$host" >"$scratch/mark$host"
	done
}

# grown HOST COUNTER: by how much since mark
grown()
{
	echo $(($(value "$1" "$2") -
		$(awk -v name="$2" '$1 == name { print $2 }' "$scratch/mark$1")))
}

# by HOST COUNTER TEST NUMBER...: it grew so, such as "by 1 IbInMsgs -eq 10"
by()
{
	local n

	while [ $# -gt 0 ]; do
		n=$(grown "$1" "$2")
		test "$n" "$3" "$4" || { echo "host $1: $2 grew by $n, not $3 $4"; return 1; }
		shift 4
	done
}

# talk RECEIVER SENDER [END]: options and port of both ends, host 1 receives, until
# the sender is done if there is an END. What the
# sender says, it may fail.
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
	cat "$scratch/server"
}

# Each name has a value
table_is_sound()
{
	on 1 awk -v name="$1:" '
		$1 == name { if (!names) names = NF; else values = NF }
		END { print name, names, values; exit !(names > 10 && names == values) }' \
		/proc/net/netstat
}

nothing_yet()
{
	all 1 | tee /dev/stderr | awk '$2 != 0 { bad = 1 } END { exit bad || NR < 50 }'
}

datagrams()
{
	mark
	talk "-n 10 7471" "-n 10 7471" | tee /dev/stderr |
		grep -qx 'received 10 messages, 1000 bytes' || return
	by 0 IbOutMsgs -eq 10 0 IbOutOctets -eq 1000 0 IbInMsgs -eq 0 \
		1 IbInMsgs -eq 10 1 IbInOctets -eq 1000 1 IbOutMsgs -eq 0 \
		1 IbInErrors -eq 0 0 IbOutErrors -eq 0
}

# One question for ten messages
questions()
{
	by 0 IbSidrQueries -eq 1 0 IbSidrHits -eq 9 0 IbSidrNegative -eq 0 \
		1 IbSidrAnswers -ge 1 1 IbSidrQueries -eq 0
}

nobody_there()
{
	mark
	! on 0 ib_end send "$(gid 1)" 7479 || return
	by 0 IbSidrQueries -eq 1 0 IbSidrNegative -eq 1 0 IbOutMsgs -eq 0
}

# A socket for datagrams whose peer is not there sends nothing twice
asked_once()
{
	mark
	! on 0 ib_end -c send "$(gid 1)" 7479 || return
	by 0 IbSidrNegative -eq 1 0 IbSidrNegativeHits -eq 0
}

connected_datagrams()
{
	mark
	talk "-n 10 7471" "-c -o -n 10 7471" | grep -q 'received 10 messages' || return
	by 0 IbSidrQueries -eq 1 0 IbSidrHits -ge 9 0 IbOutMsgs -eq 10
}

no_room()
{
	mark
	talk "-r 4096 -w 20000 -n 200 7471" "-n 200 -s 500 7471" end
	by 1 IbRcvbufErrors -ge 100 1 IbInMsgs -ge 1 || return
	[ $(($(grown 1 IbRcvbufErrors) + $(grown 1 IbInMsgs))) = 200 ] &&
		by 1 IbInErrors -eq "$(grown 1 IbRcvbufErrors)"
}

filtered()
{
	mark
	talk "-f 7471" "-n 7 7471" end
	by 1 IbInFiltered -eq 7 1 IbInErrors -eq 7 1 IbInMsgs -eq 0
}

multicast()
{
	local version=$2

	mark
	talk "-g $1 -n 5 7471" "-g $1 -l $(gid 0) -n 5 -w 100 0" | tee /dev/stderr |
		grep -q 'received 5 messages' || return
	by 0 IbOutMcastMsgs -eq 5 1 IbInMcastMsgs -eq 5 1 IbInMsgs -eq 5 \
		1 IbInOctets -eq 500
}

messages()
{
	mark
	talk "-t seqpacket -n 20 7471" "-t seqpacket -n 20 7471" | tee /dev/stderr |
		grep -q 'received 20 messages, 2000 bytes' || return
	by 0 IbOutMsgs -eq 20 0 IbOutOctets -eq 2000 0 IbOutFrags -eq 20 \
		1 IbInMsgs -eq 20 1 IbInOctets -eq 2000 1 IbInFrags -eq 20
}

opens()
{
	by 0 IbActiveOpens -eq 1 0 IbPassiveOpens -eq 0 1 IbPassiveOpens -eq 1 \
		1 IbActiveOpens -eq 0 0 IbAttemptFails -eq 0 1 IbAttemptFails -eq 0 \
		0 QpActiveOpens -eq 1 1 QpPassiveOpens -eq 1 \
		0 QpOutMsgs -ge 20 1 QpInMsgs -ge 20
}

# Not more than so many seconds after it ended
none_stands()
{
	[ "$(value 0 IbCurrEstab)$(value 1 IbCurrEstab)" = 00 ] &&
		[ "$(value 0 QpCurrEstab)$(value 1 QpCurrEstab)" = 00 ]
}

one_stands()
{
	[ "$(value 0 IbCurrEstab)$(value 1 IbCurrEstab)" = 11 ] &&
		[ "$(value 0 QpCurrEstab)$(value 1 QpCurrEstab)" = 11 ]
}

while_it_stands()
{
	local status=0

	talk "-t seqpacket -n 2 7471" "-t seqpacket -w 8000 7471" >/dev/null &
	soon one_stands || { all 0; all 1; status=1; }
	wait $!
	return "$status"
}

bytes()
{
	mark
	talk "-t stream -s 65536 7471" "-t stream -n 4 -s 100000 7471" | tee /dev/stderr |
		grep -q 'received .* messages, 400000 bytes' || return
	by 0 IbOutOctets -eq 400000 1 IbInOctets -eq 400000 0 IbOutMsgs -eq 0 \
		0 IbOutFrags -ge 13 1 IbInMsgs -eq 0
}

# Who does not read grants no credits
credits()
{
	mark
	talk "-t stream -w 1000 7471" "-t stream -n 40 -s 100000 7471" >/dev/null
	by 0 IbCreditWaits -ge 1 1 IbOutGrants -ge 1
}

refused()
{
	mark
	! on 0 ib_end -t seqpacket send "$(gid 1)" 7478 || return
	by 0 IbActiveOpens -eq 1 0 IbAttemptFails -eq 1 0 IbCurrEstab -eq 0 \
		0 QpAttemptFails -ge 1
}

# Of another type than the listener
not_wanted()
{
	mark
	: >"$scratch/server"
	timeout 5 ip netns exec "$ns1" ib_end -t stream recv "$(gid 1)" 7471 \
		>"$scratch/server" 2>&1 &
	listening 1 listens || return
	! on 0 ib_end -t seqpacket send "$(gid 1)" 7471 || return
	by 1 IbListenDrops -ge 1 0 IbAttemptFails -eq 1 1 IbPassiveOpens -eq 0
	kill $!
	wait $! || :
}

# A peer that goes with unread messages resets the connection
reset()
{
	local pid

	mark
	: >"$scratch/server"
	ip netns exec "$ns1" ib_end -t seqpacket -w 60000 recv "$(gid 1)" 7471 \
		>"$scratch/server" 2>&1 &
	pid=$!
	listening 1 listens || return
	on 0 ib_end -t seqpacket -n 5 -w 2000 send "$(gid 1)" 7471 >/dev/null &
	soon by 1 IbInMsgs -eq 5 || return
	kill -9 "$pid"
	wait
	by 1 IbEstabResets -eq 1 0 IbEstabResets -eq 1
}

# Pipes are of the namespace in which they are made, too
pipes()
{
	mark
	n0 qp_ops -t send_sizes -t waits_for_receive || return
	by 0 QpPostedSends -ge 1 0 QpOutMsgs -ge 1 0 QpInMsgs -ge 1 0 QpDoorbells -ge 1 \
		0 QpRnrWaits -ge 1 0 QpMemRegs -ge 1 1 QpPostedSends -eq 0
}

threads()
{
	mark
	n0 qp_sqpoll -t sleep_and_wake || return
	by 0 QpSqpollSleeps -ge 1 0 QpSqpollWakeups -ge 1
}

# netstat -s has the tables, and what is not 0, by the names that it is given
netstat_shows()
{
	local table=$1 counter=$2

	on 1 netstat -s >"$scratch/netstat" || return
	awk -v table="$table:" -v line="    $counter: $(value 1 "$table$counter")" '
		/^[^ ]/ { in_table = $0 == table }
		in_table { print }
		in_table && $0 == line { found = 1 }
		END { exit !found }' "$scratch/netstat"
}

# sockstat HOST NAME FIELD
sockstat()
{
	on "$1" awk -v name="$2:" -v field="$3" '
		$1 == name { for (i = 2; i < NF; i += 2) if ($i == field) print $(i + 1) }' \
		/proc/net/sockstat
}

no_sockets()
{
	[ "$(sockstat 0 IB inuse) $(sockstat 0 IB conn) $(sockstat 0 QP inuse)" = "0 0 0" ] &&
		[ "$(sockstat 0 QP mem)" = 0 ]
}

some_sockets()
{
	[ "$(sockstat 0 IB inuse) $(sockstat 0 IB conn) $(sockstat 0 QP inuse)" = "1 1 2" ]
}

sockets()
{
	local status=0

	on 0 ib_end -i 3000 recv "$(gid 0)" 7471 >/dev/null &
	timeout 3 ip netns exec "$ns0" ib_end -t stream recv "$(gid 0)" 7471 >/dev/null &
	soon some_sockets || { on 0 cat /proc/net/sockstat; status=1; }
	wait
	soon no_sockets || { on 0 cat /proc/net/sockstat; status=1; }
	return "$status"
}

# The file of a namespace that has no other user
namespace_goes()
{
	ip netns add qpgone
	# shellcheck disable=SC2016
	ip netns exec qpgone sh -c 'exec 3</proc/net/netstat 4</proc/net/sockstat
		ip netns del qpgone
		exec nsenter -n/proc/1/ns/net sh -c "sleep 0.2; cat <&3; cat <&4"' \
		>"$scratch/gone" || return
	grep -c '^Ib: 0 0' "$scratch/gone" && grep -q '^IB: inuse 0' "$scratch/gone"
}

elsewhere()
{
	nstat -asz 'Ib*' | awk '/^Ib/ { n++; if ($2) bad = 1 } END { exit bad || !n }'
}

need nstat netstat ib_end qp_ops qp_sqpoll
hosts
[ -e /proc/net/ib ] || skip_all "no AF_IB"
for host in 0 1; do
	# Without a device nobody would answer
	on $host sysctl -qw net.qp.emulation=2
done
for table in Qp Ib; do
	it "table $table" table_is_sound $table
done
it "all is 0 where nothing happened" nothing_yet
it "datagrams" datagrams
it "one question for a service ID" questions
it "questions that nobody answers to" nobody_there
it "and those of connect()" asked_once
it "datagrams to a peer" connected_datagrams
it "datagrams that there is no room for" no_room
it "datagrams that a filter drops" filtered
it "multicast, IPv4" multicast ::ffff:239.1.2.3 4
it "multicast, IPv6" multicast ff0e::1234 6
it "messages of a connection" messages
it "connections that were opened" opens
it "none stands any more" soon none_stands
it "one that stands" while_it_stands
it "and then does not" soon none_stands
it "bytes of a connection" bytes
it "credits" credits
it "connections that nobody listens for" refused
it "connections that are not wanted" not_wanted
it "connections that are reset" reset
it "queue pairs of a pipe" pipes
it "threads that take work" threads
it "netstat -s shows Ib" netstat_shows Ib InMsgs
it "netstat -s shows Qp" netstat_shows Qp InMsgs
it "sockstat" sockets
it "a namespace that goes" namespace_goes
it "nothing of it elsewhere" elsewhere
finish
