#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What ss(8) shows of AF_IB sockets and of queue pairs, and ends: sock_diag. SS=FILE is
# an ss that knows them; patches/iproute2 make one.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
# shellcheck disable=SC2317  # what is tested is called by it() and soon()
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

built=$(dirname "$0")/../../../../../build/iproute2/misc/ss
[ -n "${SS:-}" ] || ! [ -x "$built" ] || SS=$built
SS=${SS:-$(command -v ss)}
lacking=1048577		# a port that nobody has

#
# Who holds the sockets
#

declare -A in_of pid_of ready_of

# hold NAME HOST WORD...: have ib_hold hold sockets on a host
hold()
{
	local name=$1 host=$2 ns fd

	ns=ns$host
	shift 2
	mkfifo "$scratch/$name.in"
	exec {fd}<>"$scratch/$name.in"
	in_of[$name]=$fd ready_of[$name]=0
	: >"$scratch/$name.out"
	# with no file of another one
	ip netns exec "${!ns}" ib_hold "$@" <"$scratch/$name.in" \
		>"$scratch/$name.out" 2>&1 {fd}>&- &
	pid_of[$name]=$!
	is_ready "$name"
}

ready_more()
{
	[ "$(grep -c '^ready$' "$scratch/$1.out")" -gt "${ready_of[$1]}" ] ||
		! kill -0 "${pid_of[$1]}" 2>/dev/null
}

# is_ready NAME: it has done what it was told
is_ready()
{
	soon ready_more "$1"
	ready_of[$1]=$(grep -c '^ready$' "$scratch/$1.out")
	kill -0 "${pid_of[$1]}" 2>/dev/null && return
	echo "# $1: $(tail -n 1 "$scratch/$1.out")" >&2
	return 1
}

# tell NAME WORD...: have it do more
tell()
{
	echo "${*:2}" >&"${in_of[$1]}"
	is_ready "$1"
}

# leave NAME WORD...: have it do something of which the last word waits
leave()
{
	echo "${*:2}" >&"${in_of[$1]}"
	soon grep -q '^waits$' "$scratch/$1.out"
}

# hears NAME TEXT: what it was left with is over, and that is what it says
hears()
{
	is_ready "$1"
	says "$@"
}

# says NAME TEXT: the last thing that it said besides
says()
{
	[ "$(grep -vE '^(ready|waits)$' "$scratch/$1.out" | tail -n 1)" = "$2" ] ||
		{ cat "$scratch/$1.out"; return 1; }
}

# end NAME...: close all that it holds
end()
{
	local name fd

	for name; do
		fd=${in_of[$name]}
		kill "${pid_of[$name]}" 2>/dev/null
		wait "${pid_of[$name]}" 2>/dev/null
		exec {fd}>&-
		rm -f "$scratch/$name.in" "$scratch/$name.out"
		unset "pid_of[$name]"
	done
	# what was sent is delivered, or not, before the next test
	[ ${#pid_of[@]} != 0 ] || soon nothing_left
}

nothing_left()
{
	[ -z "$(look 0 -A ib,qp -a; look 1 -A ib,qp -a)" ]
}

#
# What is shown
#

# look HOST OPTION...: one line for each socket
look()
{
	on "$1" "$SS" -HOn "${@:2}"
}

# shows HOST OPTION... -- PATTERN...: for each pattern there is a line
shows()
{
	local host=$1 options=() pattern out

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	out=$(look "$host" "${options[@]}" 2>&1)
	for pattern; do
		grep -qE -- "$pattern" <<<"$out" || {
			printf '%s\n' "lacks: $pattern" "$out"
			return 1
		}
	done
}

# hides HOST OPTION... -- PATTERN...: for no pattern there is one
hides()
{
	local pattern args=()

	while [ "$1" != -- ]; do
		args+=("$1")
		shift
	done
	shift
	for pattern; do
		! shows "${args[@]}" -- "$pattern" >/dev/null || {
			echo "has: $pattern"
			look "${args[@]}"
			return 1
		}
	done
}

# lines N HOST OPTION...: so many are shown
lines()
{
	local out

	out=$(look "${@:2}" 2>&1 | grep -c .)
	[ "$out" = "$1" ] || { echo "$out lines, not $1"; look "${@:2}"; return 1; }
}

# field N HOST OPTION...: a word of the only line
field()
{
	look "${@:2}" | awk -v n="$1" '{ print $n }'
}

# as UID HOST COMMAND...
as()
{
	on "$2" setpriv --reuid "$1" --regid "$1" --clear-groups "${@:3}"
}

# refused TEXT COMMAND...: it fails and says so
refused()
{
	local out

	out=$("${@:2}" 2>&1)
	grep -q "$1" <<<"$out" || { echo "no $1: $out"; return 1; }
}

# ask HOST WHAT...: a request of our own: see ib_diag_ask.py
ask()
{
	on "$1" python3 "$(dirname "$0")/ib_diag_ask.py" "${@:2}"
}

# The device and the way to the peer, of datagrams and of connections
device="device:qpemu[0-9]*/1 gid_index:[0-9]+"
ud_path="$device sl:0 tclass:0x0 hoplimit:[1-9]"
rc_path="$device mtu:[1-9][0-9]+ sl:[0-9]+ tclass:0x[0-9a-f]+ hoplimit:[1-9]"

# What service IDs are called
tcp() { printf '0x106%04x' "$1"; }
udp() { printf '0x111%04x' "$1"; }
a4='\[::ffff:10\.0\.0\.1\]' b4='\[::ffff:10\.0\.0\.2\]'
b6='\[fd00::2\]'

#
# Tests
#

datagrams()
{
	hold a 0 new dgram bind 10.0.0.1 1001
	hold b 1 new dgram bind 10.0.0.2 1002
	it "dgram: unconnected, with its name" \
		shows 0 -A ib_dgram -a -- "^UNCONN +0 +0 +$a4:$(udp 1001) +\*:\*"
	it "dgram: the other host has its own" shows 1 -A ib_dgram -a -- "$b4:$(udp 1002)"
	it "dgram: and none of this one" hides 1 -A ib -a -- "$a4"
	it "dgram: not without -a" lines 0 0 -A ib_dgram
	it "dgram: with -l" lines 1 0 -A ib_dgram -l
	it "dgram: the type among others" shows 0 -A ib,tcp -a -- "^ib_dgr UNCONN"
	it "dgram: -A ib_dgr is the same" lines 1 0 -A ib_dgr -a
	it "dgram: not in -A ib_stream" lines 0 0 -A ib_stream -a
	it "dgram: nor in -A ib_seqpacket" lines 0 0 -A ib_seqpacket -a
	it "dgram: --ib" lines 1 0 --ib -a
	it "dgram: -f ib" lines 1 0 -f ib -a
	it "dgram: in -A all" shows 0 -A all -a -- "^ib_dgr UNCONN"
	tell a connect 10.0.0.2 1002
	it "dgram: connected" \
		shows 0 -A ib_dgram -- "^ESTAB +0 +0 +$a4:$(udp 1001) +$b4:$(udp 1002)"
	it "dgram: its number, and the peer's" \
		shows 0 -A ib_dgram -i -- " qpn:[1-9][0-9]* peer_qpn:[1-9]"
	it "dgram: Q_Key, ports, destinations" \
		shows 0 -A ib_dgram -i -- " qkey:0x1234567 ports:1 dests:1 pending:0 drops:0"
	it "dgram: device and path" \
		shows 0 -A ib_dgram -i -- "$ud_path"
	tell a send 100 send 100
	it "dgram: what waits to be read" \
		soon shows 1 -A ib_dgram -a -- "^UNCONN +[1-9][0-9]{2,} +0 +$b4"
	it "dgram: and its memory" shows 1 -A ib_dgram -am -- "skmem:\(r[1-9][0-9]+,rb[1-9]"
	tell b recv 100 recv 100
	it "dgram: is read" shows 1 -A ib_dgram -a -- "^UNCONN +0 +0 "
	tell b rcvbuf 1 use 0
	tell a send 100 send 100 send 100 send 100 send 100 send 100 send 100 send 100
	it "dgram: or dropped" soon shows 1 -A ib_dgram -ai -- " drops:[1-9]"
	tell b new dgram bind fd00::2 1003
	it "dgram: IPv6" shows 1 -A ib_dgram -a -- "$b6:$(udp 1003)"
	tell b new dgram bind :: 1004
	it "dgram: any address" shows 1 -A ib_dgram -a -- " \*:$(udp 1004) +\*:\*"
	tell b new dgram
	it "dgram: no name" shows 1 -A ib_dgram -a -- " \*:\* +\*:\*"
	tell b new dgram dev veth0 bind 10.0.0.2 1005
	it "dgram: bound to a netdevice" shows 1 -A ib_dgram -a -- "$b4%veth0:$(udp 1005)"
	end a b
}

# connections TYPE NAME
connections()
{
	local t=$1 n=$2

	hold s 1 new "$t" bind 10.0.0.2 2001 listen 9
	it "$t: listens" shows 1 -A "ib_$t" -l -- "^LISTEN +0 +9 +$b4:$(tcp 2001) +\*:\*"
	it "$t: not among the connected" lines 0 1 -A "ib_$t"
	it "$t: called $n" shows 1 -A ib -l state listening -- "^$n +0 +9 "
	it "$t: -A $n" lines 1 1 -A "$n" -l
	hold c 0 new "$t" connect 10.0.0.2 2001
	it "$t: connected" \
		shows 0 -A "ib_$t" -- "^ESTAB +0 +0 +$a4:0x106[0-9a-f]+ +$b4:$(tcp 2001)"
	it "$t: waits to be accepted" soon shows 1 -A "ib_$t" -l -- "^LISTEN +1 +9 "
	it "$t: that is nobody's" \
		shows 1 -A "ib_$t" -e -- "^ESTAB.*$b4:$(tcp 2001) +$a4:0x106.* ino:0 "
	tell s accept
	it "$t: is accepted" shows 1 -A "ib_$t" -l -- "^LISTEN +0 +9 "
	it "$t: is somebody's" shows 1 -A "ib_$t" -e -- "^ESTAB.* ino:[1-9]"
	it "$t: device and path" \
		shows 0 -A "ib_$t" -i -- "$rc_path"
	it "$t: credits and window" shows 0 -A "ib_$t" -i -- \
		" credits:[1-9][0-9]* window:[1-9][0-9]* owed:0 room:[1-9]" \
		" unsent:0 messages:0"
	it "$t: the number of one is the peer's of the other" same_numbers "$t"
	tell c send 1000 send 500
	it "$t: what waits to be read" soon shows 1 -A "ib_$t" -- "^ESTAB +1500 +0 "
	it "$t: and messages" shows 1 -A "ib_$t" -i -- " messages:2( |$)"
	it "$t: memory" shows 1 -A "ib_$t" -m -- "skmem:\(r[1-9][0-9]{3,},rb"
	if [ "$t" = stream ]; then
		tell s recv 1500
	else
		tell s recv 1000 recv 500
	fi
	it "$t: is read" shows 1 -A "ib_$t" -- "^ESTAB +0 +0 "
	it "$t: process" shows 0 -A "ib_$t" -p -- "users:\(\(\"ib_hold\",pid=[0-9]+,fd=[0-9]+\)\)"
	it "$t: no timer" hides 0 -A "ib_$t" -o -- timer:
	tell c shutdown wr
	it "$t: one is done: fin-wait-2" soon shows 0 -A "ib_$t" -- "^FIN-WAIT-2 "
	it "$t: and for the other close-wait" soon shows 1 -A "ib_$t" -- "^CLOSE-WAIT "
	it "$t: as connection info says" shows 1 -A "ib_$t" -i -- " fin$| fin "
	it "$t: and the halves" shows 0 -A "ib_$t" -e -- " <--"
	it "$t: state fin-wait-2" lines 1 0 -A "ib_$t" state fin-wait-2
	it "$t: state close-wait" lines 1 1 -A "ib_$t" state close-wait
	it "$t: state established" lines 0 1 -A "ib_$t" state established
	tell s shutdown wr
	it "$t: both are" soon shows 1 -A "ib_$t" -- "^CLOSING "
	it "$t: both are, here" soon shows 0 -A "ib_$t" -- "^CLOSING "
	end c s
	full "$t"
	unanswered "$t"
}

same_numbers()
{
	local a b

	a=$(look 0 -A "ib_$1" -i | sed -E 's/.* qpn:([0-9]+) peer_qpn:([0-9]+).*/\1 \2/')
	b=$(look 1 -A "ib_$1" -i | grep ESTAB |
		sed -E 's/.* qpn:([0-9]+) peer_qpn:([0-9]+).*/\2 \1/')
	echo "$a, $b"
	[ -n "$a" ] && [ "$a" = "$b" ]
}

# The peer does not read
full()
{
	local t=$1

	hold s 1 new "$t" bind 10.0.0.2 2002 listen 1
	hold c 0 new "$t" connect 10.0.0.2 2002
	tell s accept
	tell c fill
	it "$t: what waits to be sent" shows 0 -A "ib_$t" -- "^ESTAB +0 +[1-9][0-9]{4,} "
	it "$t: without credits" shows 0 -A "ib_$t" -i -- " credits:0 .* unsent:[1-9]"
	it "$t: the peer is asked for" shows 0 -A "ib_$t" -o -- "timer:\(probe,[0-9.]+(sec|ms)\)"
	tell c shutdown wr
	it "$t: is done and not all is sent: fin-wait-1" shows 0 -A "ib_$t" -- "^FIN-WAIT-1 "
	tell c close
	it "$t: closed, and goes on" \
		soon shows 0 -A "ib_$t" -eo -- \
			"^FIN-WAIT-1 .*timer:\(orphan,[1-5]?[0-9]sec\).* ino:0 "
	it "$t: an orphan is ended" soon shows 0 -A "ib_$t" -K -- "^FIN-WAIT-1 "
	it "$t: and is there no more" soon lines 0 0 -A "ib_$t" -a
	it "$t: which the peer sees" soon shows 1 -A "ib_$t" -a state closed -- "$b4"
	end c s
	hold s 1 new "$t" bind 10.0.0.2 2002 listen 1
	hold c 0 new "$t" connect 10.0.0.2 2002
	tell s accept shutdown wr
	soon shows 0 -A "ib_$t" -- "^CLOSE-WAIT "
	tell c fill close
	it "$t: closed behind a peer that is done: last-ack" \
		soon shows 0 -A "ib_$t" -eo -- "^LAST-ACK .*timer:\(orphan,.* ino:0 "
	end c s
}

# Attempts to connect, of which nothing is heard
unanswered()
{
	local t=$1

	hold c 0 new "$t" start 10.0.0.99 2003
	it "$t: connecting: syn-sent" soon shows 0 -A "ib_$t" -- "^SYN-SENT "
	it "$t: until then" shows 0 -A "ib_$t" -o -- "timer:\(connect,[0-9.]+(sec|ms)\)"
	it "$t: state syn-sent" lines 1 0 -A "ib_$t" state syn-sent
	it "$t: is ended" lines 1 0 -A "ib_$t" -K state syn-sent
	tell c error
	it "$t: its owner hears of it" says c "POLLERR POLLHUP ECONNABORTED"
	leave c new "$t" wait-connect 10.0.0.99 2003
	it "$t: one that waits is ended" soon lines 1 0 -A "ib_$t" -K state syn-sent
	it "$t: and told so" hears c ECONNABORTED
	end c
	# what the server answers is lost
	hold s 1 new "$t" bind 10.0.0.2 2004 listen 3
	on 1 tc qdisc add dev veth0 root netem loss 100%
	hold c 0 new "$t" start 10.0.0.2 2004
	it "$t: being accepted: syn-recv" soon lines 1 1 -A "ib_$t" state syn-recv
	it "$t: that is ended, too" soon shows 1 -A "ib_$t" -K state syn-recv -- "."
	on 1 tc qdisc del dev veth0 root
	end c s
}

# The columns that all types have in common
details()
{
	local cookie

	hold a 0 new dgram mark 66 bind 10.0.0.1 3001
	tell a uid 1234 new seqpacket bind 10.0.0.1 3002 listen 2
	it "inode" inode_is 0 -A ib_dgram -ae
	it "nobody but root has no uid" hides 0 -A ib_dgram -ae -- uid:
	it "uid" shows 0 -A ib_seqpacket -le -- " uid:1234 ino:"
	it "cookie" shows 0 -A ib -ae -- " sk:[0-9a-f]+"
	cookie=$(look 0 -A ib_dgram -ae | grep -oE 'sk:[0-9a-f]+')
	it "which stays" shows 0 -A ib_dgram -ae -- " $cookie "
	it "mark" shows 0 -A ib_dgram -ae -- " fwmark:0x42"
	it "filter by mark" lines 1 0 -A ib -a fwmark = 66
	it "filter by another mark" lines 0 0 -A ib -a fwmark = 67
	it "cgroup" shows 0 -A ib_dgram -a --cgroup -- " cgroup:/"
	it "header" grep -q "^State *Recv-Q *Send-Q *Local Address:Port *Peer Address:Port" \
		<(on 0 "$SS" -A ib_dgram -a)
	it "details on a line of their own" grep -qE "^	 skmem:" \
		<(on 0 "$SS" -A ib_dgram -ame)
	end a
}

inode_is()
{
	local ino pid

	ino=$(look "$@" | grep -oE 'ino:[0-9]+')
	# ib_hold is what ip netns exec became
	pid=${pid_of[a]}
	find "/proc/$pid/fd" -printf '%l\n' | grep -qxF "socket:[${ino#ino:}]" ||
		{ echo "$ino is not of $pid"; ls -l "/proc/$pid/fd"; return 1; }
}

filters()
{
	local ll

	hold a 1 new dgram bind 10.0.0.2 4001 new dgram bind fd00::2 4002 \
		new stream bind 10.0.0.2 4003 listen 1 \
		new seqpacket dev veth0 bind 10.0.0.2 4004 listen 1
	it "src of IPv4" lines 3 1 -A ib -a src 10.0.0.2
	it "src of IPv4 with a prefix" lines 3 1 -A ib -a src 10.0.0.0/24
	it "src of another prefix" lines 0 1 -A ib -a src 10.0.1.0/24
	it "src that is a GID" lines 1 1 -A ib -a src fd00::2
	it "src that is a prefix of GIDs" lines 1 1 -A ib -a src fd00::/16
	it "src that has a port" lines 1 1 -A ib -a src 10.0.0.2:4001
	it "src in brackets with a service ID" lines 1 1 -A ib -a src "[fd00::2]:$(udp 4002)"
	it "src with a family" lines 1 1 -A ib,tcp -a src "ib:[fd00::2]:4002"
	it "not src" lines 1 1 -A ib -a not src 10.0.0.2
	it "sport" lines 1 1 -A ib -a sport = :4003
	it "sport that is a service ID" lines 1 1 -A ib -a sport = ":$(tcp 4003)"
	it "sport that is one of the other port space" lines 0 1 -A ib -a sport = ":$(udp 4003)"
	it "sport that nobody has" lines 0 1 -A ib -a sport = ":$lacking"
	it "sport in a range" lines 2 1 -A ib -a '(' sport ge :4002 and sport le :4003 ')'
	it "or" lines 2 1 -A ib -a '(' sport = :4001 or sport = :4003 ')'
	it "dev" lines 1 1 -A ib -a dev veth0
	it "not dev" lines 3 1 -A ib -a dev != veth0
	it "state listening" lines 2 1 -A ib state listening
	it "state closed" lines 2 1 -A ib state closed
	it "exclude listening" lines 2 1 -A ib exclude listening
	it "types of a list" lines 3 1 -A ib_dgram,ib_stream -a
	it "but one" lines 3 1 -A 'ib,!ib_stream' -a
	hold c 0 new stream connect 10.0.0.2 4003
	it "dst" lines 1 0 -A ib dst 10.0.0.2
	it "dst of a prefix" lines 1 0 -A ib dst 10.0.0.0/30
	it "dst of another" lines 0 0 -A ib dst 10.0.0.3
	it "dport" lines 1 0 -A ib dport = :4003
	it "dport of another" lines 0 0 -A ib dport = :4004
	it "nonsense is refused" refused "Cannot parse" look 0 -A ib src '[fd00::2'
	ll=$(ip1 -6 -br addr show dev veth0 scope link | grep -oE 'fe80::[0-9a-f:]+')
	tell a new dgram bind "$ll%veth0" 4005
	it "a GID of link scope has its netdevice" \
		shows 1 -A ib_dgram -a -- "\[$ll\]%veth0:$(udp 4005)"
	it "which dev finds" lines 2 1 -A ib -a dev veth0
	end c a
}

# What owners see of a socket that is ended
ended()
{
	local t

	hold s 1 new stream bind 10.0.0.2 5001 listen 9 new seqpacket bind 10.0.0.2 5002 listen 9
	for t in stream:5001:0 seqpacket:5002:1; do
		IFS=: read -r t port use <<<"$t"
		hold c 0 new "$t" connect 10.0.0.2 "$port"
		tell s use "$use" accept
		it "kill $t: what was ended is shown" lines 1 0 -A "ib_$t" -K dport = ":$port"
		it "kill $t: it is closed" soon shows 0 -A "ib_$t" state closed -- "$b4"
		tell c error
		it "kill $t: POLLERR, ECONNABORTED" says c "POLLERR POLLHUP ECONNABORTED"
		tell s error
		it "kill $t: the peer's is reset" says s "POLLERR POLLHUP ECONNRESET"
		it "kill $t: a second time it is not there" \
			lines 0 0 -A "ib_$t" -aK dport = ":$port"
		leave c new "$t" connect 10.0.0.2 "$port" wait-recv
		it "kill $t: who reads" lines 1 0 -A "ib_$t" -K dport = ":$port"
		it "kill $t: hears of it" hears c ECONNABORTED
		tell s use "$use" accept
		tell c new "$t" connect 10.0.0.2 "$port"
		it "kill $t: one that waits to be accepted" \
			soon lines 1 1 -A "ib_$t" -K state established sport = ":$port"
		tell c error
		it "kill $t: its peer hears of it" says c "POLLERR POLLHUP ECONNRESET"
		it "kill $t: the listener goes on" \
			soon shows 1 -A "ib_$t" -l -- "^LISTEN +0 +9 .*$(tcp "$port")"
		end c
	done
	it "kill: a listener" lines 1 1 -A ib_stream -lK sport = :5001
	tell s use 0 error
	it "kill: its owner hears of it" says s "POLLERR POLLHUP ECONNABORTED"
	it "kill: nobody can connect" refused "Connection refused" \
		on 0 ib_hold new stream connect 10.0.0.2 5001
	leave s new seqpacket bind 10.0.0.2 5004 listen 1 wait-accept
	it "kill: one at which somebody waits" soon lines 1 1 -A ib_seqpacket -lK sport = :5004
	it "kill: who waits hears of it" hears s ECONNABORTED
	tell s new dgram bind 10.0.0.2 5003
	hold c 0 new dgram connect 10.0.0.2 5003
	it "kill: a datagram socket" lines 1 0 -A ib_dgram -K
	tell c error
	it "kill: its owner hears of it" says c "POLLERR ECONNABORTED"
	it "kill: and it has no peer" shows 0 -A ib_dgram -a -- "^UNCONN .* \*:\* *$"
	tell c connect 10.0.0.2 5003 send 10
	it "kill: until it is connected again" lines 1 0 -A ib_dgram
	tell s recv 10
	end c s
}

rights()
{
	hold a 0 new dgram mark 3 bind 10.0.0.1 6001 new stream bind 10.0.0.1 6002 listen 1
	it "anybody sees sockets" [ "$(as 1000 0 "$SS" -HA ib -a | wc -l)" = 2 ]
	it "with their uid, inode and cookie" grep -q " ino:[1-9].* sk:[0-9a-f]" \
		<(as 1000 0 "$SS" -HA ib_dgram -ae)
	it "but no marks" [ "$(as 1000 0 "$SS" -HA ib -ae | grep -c fwmark)" = 0 ]
	it "and ends none" refused "Operation not permitted" as 1000 0 "$SS" -HA ib -aK
	it "so that they are there" lines 2 0 -A ib -a
	it "nor does root of another user namespace" refused "Operation not permitted" \
		on 0 unshare -Ur "$SS" -HA ib -aK
	it "who sees them as those of nobody it knows" grep -q " uid:65534 " \
		<(on 0 unshare -U "$SS" -HA ib_dgram -ae)
	it "a new network namespace has none" [ -z "$(on 0 unshare -Urn "$SS" -HA ib,qp -a)" ]
	it "another one has none" lines 0 1 -A ib -a
	it "root of a network namespace ends its own" [ "$(on 0 unshare -Urn sh -c "
		sleep 2 | ib_hold new dgram >/dev/null &
		sleep 1
		'$SS' -HA ib_dgram -aK" | wc -l)" = 1 ]
	it "and none of others" lines 2 0 -A ib -a
	it "request: that of a cookie" ask 0 ib exact
	it "request: a wrong cookie" ask 0 ib wrong
	it "request: no cookie" ask 0 ib none
	it "request: too short" ask 0 ib short
	it "request: with what there is not" ask 0 ib pad
	it "request: ends the one of a cookie" ask 0 ib destroy
	it "request: nothing is left of its error" lines 2 0 -A ib -a
	it "qp request: that of a number" ask 0 qp exact
	it "qp request: a wrong cookie" ask 0 qp wrong
	it "qp request: a wrong number" ask 0 qp none
	it "qp request: too short" ask 0 qp short
	it "qp request: with what there is not" ask 0 qp pad
	end a
}

# complete FILE: all of FILE are in each dump, and none is twice
complete()
{
	local i

	for i in 1 2 3 4 5 6 7 8; do
		look 0 -A ib_dgram -ae | grep -oE ' sk:[0-9a-f]+' | sort >"$scratch/dump"
		[ -z "$(uniq -d "$scratch/dump")" ] || { echo "twice"; return 1; }
		[ -z "$(comm -23 "$1" "$scratch/dump")" ] || { echo "incomplete"; return 1; }
	done
}

many()
{
	hold m 0 many 1000 dgram
	it "1000 sockets" lines 1000 0 -A ib_dgram -a
	look 0 -A ib_dgram -ae | grep -oE ' sk:[0-9a-f]+' | sort >"$scratch/all"
	hold x 0
	leave x churn
	it "all of them, once, while others come and go" complete "$scratch/all"
	it "with all details" [ "$(look 0 -A ib_dgram -aeimop | grep -c skmem)" -ge 1000 ]
	it "/proc/net/ib has them, too" [ "$(on 0 cat /proc/net/ib | wc -l)" -ge 1001 ]
	it "all of them are ended" [ "$(look 0 -A ib_dgram -aK | wc -l)" -ge 1000 ]
	end x m
}

pipes()
{
	hold p 0 qp-listen @one
	it "pipe: listens" shows 0 -A qp -l -- "^LISTEN +0 +7 +@one \* +\* \*|^LISTEN +0 +7 +@one "
	hold q 0 qp-start @one
	it "pipe: connecting: syn-sent" shows 0 -A qp -- "^SYN-SENT"
	it "pipe: waits to be accepted" shows 0 -A qp -l -- "^LISTEN +1 +7 "
	tell p qp-accept
	it "pipe: connected" shows 0 -A qp -- "^ESTAB +0 +0 +@one +\* +\* +\*|^ESTAB.*@one"
	it "pipe: two of them" lines 2 0 -A qp
	it "pipe: called qp_rc" shows 0 -A qp,tcp -- "^qp_rc ESTAB"
	it "pipe: protocol, number" shows 0 -A qp -e -- " qpn:[1-9][0-9]* proto:pipe"
	it "pipe: process" shows 0 -A qp -p -- "users:\(\(\"ib_hold\",pid=[0-9]+,fd="
	tell q qp-sends 5
	it "pipe: sends that wait" shows 0 -A qp -- "^ESTAB +0 +5 "
	it "pipe: rings" shows 0 -A qp -i -- " sq:0/16 rq:0/32 cq:0/64"
	tell p qp-recvs 65536 3
	it "pipe: completions that nobody has taken" soon shows 0 -A qp -- "^ESTAB +3 +[02] "
	it "pipe: memory" shows 0 -A qp -i -- " mem:\(regions:1,bytes:65536\)"
	it "pipe: messages" shows 0 -A qp -i -- " rx:\(msgs:3,"
	it "pipe: by name" lines 2 0 -A qp -a src 'unix:@o*'
	it "pipe: end it" lines 1 0 -A qp -K src 'unix:\*' dst 'unix:@one'
	tell q error
	it "pipe: its owner hears of it" says q "POLLERR POLLHUP ECONNABORTED"
	it "pipe: both have failed" soon lines 2 0 -A qp state closing
	tell q qp-completions 5
	it "pipe: what was posted is flushed" says q "status 5"
	tell q qp-start @one
	it "pipe: end an attempt" lines 1 0 -A qp -K state syn-sent
	tell q error
	it "pipe: its owner hears of it" says q "POLLERR ECONNABORTED"
	tell p use 0
	leave p qp-wait-accept
	it "pipe: end a listener" lines 1 0 -A qp -lK state listening
	it "pipe: who waits hears of it" hears p ECONNABORTED
	it "pipe: nobody can connect" refused "Connection refused" on 0 ib_hold qp-connect @one
	end p q
}

roce()
{
	hold p 1 qp-listen 10.0.0.2 7001
	hold q 0 qp-idle
	it "qp: idle" shows 0 -A qp -a -- "^UNCONN +0 +0 +0\.0\.0\.0:\* +0\.0\.0\.0:\*"
	tell q qp-sqpoll 1
	it "qp: its thread's CPU" shows 0 -A qp -ai -- " sqpoll:\(cpu:1,idle:77ms\)"
	tell q qp-ud 10.0.0.1 7002
	it "qp: for datagrams" \
		shows 0 -A qp,tcp -- "^qp_ud ESTAB +0 +0 +10\.0\.0\.1:7002 +0\.0\.0\.0:\*"
	it "qp: Q_Key" shows 0 -A qp -i -- " qkey:0x1234567 "
	echo qp-connect 10.0.0.2 7001 >&"${in_of[q]}"
	tell p qp-accept
	is_ready q
	it "qp: connected" shows 0 -A qp -- "^ESTAB +0 +0 +10\.0\.0\.1:[0-9]+ +10\.0\.0\.2:7001"
	it "qp: accepted" shows 1 -A qp -- "^ESTAB +0 +0 +10\.0\.0\.2:7001 +10\.0\.0\.1:[0-9]+"
	it "qp: protocol" shows 1 -A qp -e -- "ESTAB.* proto:roce"
	it "qp: device and path" shows 1 -A qp -i -- \
		"$rc_path.* port_qpn:[1-9].* peer_qpn:[1-9].* device_sends:[1-9]"
	tell p qp-recvs 8192 4
	it "qp: memory, receives" \
		shows 1 -A qp -i -- "mem:\(regions:1,bytes:8192\).*device_recvs:[1-9]"
	tell q qp-sends 4
	it "qp: completions" soon shows 1 -A qp -- "^ESTAB +4 +0 "
	it "qp: by address" lines 1 1 -A qp src 10.0.0.2 dst 10.0.0.1
	it "qp: by port" lines 1 0 -A qp dport = :7001
	it "qp: by another" lines 0 0 -A qp dst 10.0.0.3
	it "qp: end it" lines 1 0 -A qp -K dport = :7001
	tell q error
	it "qp: its owner hears of it" says q "POLLERR POLLHUP ECONNABORTED"
	it "qp: it has failed" shows 0 -A qp state closing -- "10\.0\.0\.2:7001"
	it "qp: its peer, too" soon shows 1 -A qp state closing -- "10\.0\.0\.2:7001"
	it "qp: that cannot be ended again" lines 0 0 -A qp -K dport = :7001
	tell q use 2
	it "qp: end one for datagrams" lines 1 0 -A qp -K sport = :7002
	tell q error
	it "qp: its owner hears of it" says q "POLLERR POLLHUP ECONNABORTED"
	tell q qp-start 10.0.0.99 7003
	it "qp: connecting" soon shows 0 -A qp -o state syn-sent -- "timer:\(connect,"
	it "qp: end an attempt" lines 1 0 -A qp -K state syn-sent
	tell q error
	it "qp: its owner hears of it" says q "POLLERR ECONNABORTED"
	it "qp: it is idle again, and no other protocol is tried" \
		lines 0 0 -A qp state syn-sent
	tell p use 0
	it "qp: end a listener" lines 1 1 -A qp -lK sport = :7001
	tell p error
	it "qp: its owner hears of it" says p "POLLERR POLLHUP ECONNABORTED"
	it "qp: unprivileged, nothing is ended" refused "Operation not permitted" \
		as 1000 1 "$SS" -HA qp -aK
	it "qp: but seen" [ "$(as 1000 1 "$SS" -HA qp -a | wc -l)" -ge 2 ]
	end p q
	hold p 1 qp-listen gid:10.0.0.2 7004
	it "qp: AF_IB" shows 1 -A qp -l -- "^LISTEN +0 +7 +$b4:$(tcp 7004) +\*:\*"
	it "qp: AF_IB by address" lines 1 1 -A qp -l src ib:10.0.0.2
	end p
}

# Those that AF_IB sockets are made of
kernels()
{
	hold s 1 new stream bind 10.0.0.2 8001 listen 2
	hold c 0 new stream connect 10.0.0.2 8001 new dgram bind 10.0.0.1 8002
	tell s accept
	it "kernel: of a connection" shows 0 -A qp -e -- "ESTAB.*$b4:$(tcp 8001) .* kernel"
	it "kernel: of datagrams" shows 0 -A qp,tcp -e -- "^qp_ud.* kernel"
	it "kernel: no process has it" hides 0 -A qp -p -- users:
	it "kernel: end that of a connection" lines 1 0 -A qp -K dst "ib:10.0.0.2"
	tell c use 0 error
	it "kernel: the socket hears of it" says c "POLLERR POLLHUP ECONNABORTED"
	it "kernel: end that of a listener" lines 1 1 -A qp -lK state listening
	tell s use 0 error
	it "kernel: the socket hears of that" says s "POLLERR ECONNABORTED"
	end c s
}

others()
{
	local plain

	plain=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v ss)
	hold a 0 new stream bind 10.0.0.1 9001 listen 1 new dgram qp-listen @other
	it "/proc/net/protocols" [ "$(grep -cE '^(IB|IB-CONN|QP) ' /proc/net/protocols)" = 3 ]
	it "/proc/net/ib" grep -q " 0A ::ffff:10.0.0.1/0000000001062329 " <(on 0 cat /proc/net/ib)
	it "/proc/net/qp" grep -q "pipe 1 RC LISTEN" <(on 0 cat /proc/net/qp)
	it "the distribution's ss: all" on 0 "$plain" -a
	it "the distribution's ss: TCP" on 0 "$plain" -tlnp
	it "the distribution's ss: summary" on 0 "$plain" -s
	it "ours: TCP, UDP, Unix" on 0 "$SS" -tuxa
	it "ours: everything" shows 0 -a -- "^ib_str LISTEN" "^ib_dgr UNCONN" "^qp_rc +LISTEN"
	it "rdma knows the queue pairs" on 0 rdma resource show qp
	end a
}

need setpriv unshare python3 tc ib_hold
"$SS" -A ib -a >/dev/null 2>&1 || skip_all "$SS does not know AF_IB"
mkdir "$scratch/cgroup"
mount -t cgroup2 none "$scratch/cgroup"
hosts qp0 qp1
# addresses that nobody has, with neighbours that do not answer
ip0 neigh add 10.0.0.99 lladdr 02:00:00:00:00:99 dev veth0
for i in 0 1; do
	other=$((1 - i))
	ip -n "qp$i" neigh replace "${ip4[$other]}" dev veth0 lladdr \
		"$(ip -n "qp$other" -br link show dev veth0 | awk '{ print $3 }')"
done
# devices stay, so that no test waits for one
on 0 sysctl -qw net.qp.emulation=2
on 1 sysctl -qw net.qp.emulation=2
[ $# != 0 ] || set -- datagrams stream seqpacket details filters ended rights many \
	pipes roce kernels others
for part; do
	case $part in
	datagrams) datagrams ;;
	stream)	   connections stream ib_str ;;
	seqpacket) connections seqpacket ib_seq ;;
	details)   details ;;
	filters)   filters ;;
	ended)	   ended ;;
	rights)	   rights ;;
	many)	   many ;;
	pipes)	   pipes ;;
	roce)	   roce ;;
	kernels)   kernels ;;
	others)	   others ;;
	*)	   skip_all "what is $part?" ;;
	esac
done
umount "$scratch/cgroup"
finish
