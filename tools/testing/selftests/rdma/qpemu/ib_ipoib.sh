#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_ipoib.sh
#
# The kernel's IPoIB on four adapters and a switch: ping, TCP and UDP, datagrams and
# connections, multicast, and an interface in a partition of its own.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

need ping iperf3

# ping_from HOST ADDRESS OPTION...
ping_from() { in_host "$1" ping -q -c 3 -i 0.02 -W 2 "${@:3}" "$2"; }

# to_all OPTION...: from each host to each
to_all()
{
	local a b

	for ((a = 1; a <= cas; a++)); do
		for ((b = 1; b <= cas; b++)); do
			ping_from $a "$(ipoib_ip $b)" "$@" || return
		done
	done
}

to_all_ipv6()
{
	local b

	for ((b = 2; b <= cas; b++)); do
		ping_from 1 "fd09::$b" || return
	done
}

# A figure of iperf3's report, in Mbit/s or percent
figure()
{
	/usr/bin/python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
print(eval(sys.argv[2], report["end"]))' "$scratch/client" "$1"
}

# stream NAME OPTION...: bytes arrive
stream()
{
	local rate

	served 5201 "iperf3 -s -1" "iperf3 -J -c $(ipoib_ip $server) -t 1 ${*:2}" ||
		{ cat "$scratch/client"; return 1; }
	rate=$(figure 'sum_received["bits_per_second"] / 1e6')
	echo "$1: $rate Mbit/s"
	awk -v r="$rate" 'BEGIN { exit !(r > 1) }'
}

# Little enough that nothing has to be lost
datagrams()
{
	local lost

	served 5201 "iperf3 -s -1" "iperf3 -J -c $(ipoib_ip $server) -u -b 5M -l 1400 -t 1" ||
		{ cat "$scratch/client"; return 1; }
	lost=$(figure 'sum["lost_percent"]')
	echo "$lost % lost"
	awk -v l="$lost" 'BEGIN { exit !(l < 5) }'
}

# In turn, what TCP achieved in the last report
note() { grep -a ' Mbit/s' "$scratch/it" | sed 's/^/# /'; }

streams()
{
	it "$mode: TCP" stream "$mode"
	note
	it "$mode: TCP, backwards" stream "$mode, backwards" -R
	note
	it "$mode: TCP, four connections" stream "$mode, four" -P 4
	note
	it "$mode: UDP" datagrams
}

# set_mode MODE HOST...: datagram or connected
set_mode()
{
	local n dev

	for n in "${@:2}"; do
		dev=$(ipoib_of $n)
		in_host $n sh -c "echo $1 >/sys/class/net/$dev/mode" || return
		[ "$(in_host $n cat "/sys/class/net/$dev/mode")" = "$1" ] || return
		[ "$1" != connected ] || ip -n "h$n" link set "$dev" mtu 65520 || return
		within 30 has_carrier $n "$dev" || return
	done
}

has_connections() { in_host 1 rdma res show qp link ca1 | grep -q 'type RC state RTS'; }

# It has a name, a type and an address that contain queue pair and GID
is_shown()
{
	ip -n h1 -d link show dev "$(ipoib_of 1)" >"$scratch/link"
	cat "$scratch/link"
	grep -q 'link/infiniband' "$scratch/link" && grep -q 'ipoib pkey  *0xffff' "$scratch/link" &&
		grep -qi "$(gid 1 | sed 's/://g; s/../&:/g; s/:$//')" "$scratch/link"
}

#
# Multicast
#

GROUP=239.7.7.7 MGID=ff12:401b:ffff::f07:707

joins()
{
	in_host "$1" sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0 &&
		ip -n "h$1" addr add $GROUP/32 dev "$(ipoib_of "$1")" autojoin
}

leaves() { ip -n "h$1" addr del $GROUP/32 dev "$(ipoib_of "$1")"; }

mlid()
{
	in_host 1 saquery -g 2>/dev/null |
		awk -v group=$MGID '/MGID\./ { sub(/.*\.\./, ""); found = $0 == group }
			found && /Mlid\./ { sub(/.*\.\./, ""); print; exit }'
}

# members_are NODE...: these are in the group, and nobody else. Who they are is told to
# those who show a key.
members_are()
{
	local group members

	group=$(mlid)
	members=$([ -z "$group" ] || in_host 1 saquery --smkey 1 -m "$group" 2>/dev/null |
		sed -n 's/.*PortGid\..*(\(.*\))$/\1/p' | sort | xargs)
	echo "members: $members"
	[ "$members" = "$*" ]
}


# answered HOST...: these answer when h1 asks the group
answered()
{
	local n

	in_host 1 ping -c 3 -i 0.2 -I "$(ipoib_of 1)" $GROUP >"$scratch/answers" 2>&1
	cat "$scratch/answers"
	[ "$(grep -oE 'bytes from [0-9.]+' "$scratch/answers" | sort -u | wc -l)" = $# ] || return
	for n; do
		grep -q "from $(ipoib_ip "$n"):" "$scratch/answers" || return
	done
}

all_nodes()
{
	local n

	in_host 1 ping -c 4 -i 0.2 -I "$(ipoib_of 1)" ff02::1 >"$scratch/answers" 2>&1
	cat "$scratch/answers"
	[ "$(grep -oE 'from fe80::[0-9a-f:]+' "$scratch/answers" | sort -u | wc -l)" = $cas ]
}

multicasts()
{
	it "$mode: ff02::1 is all hosts" within 10 all_nodes
	it "$mode: two join a group" both_join
	it "$mode: the subnet administration knows them" within 10 members_are ca2 ca3
	it "$mode: both answer" within 10 answered 2 3
	it "$mode: one leaves" leaves 3
	it "$mode: it is no member" within 10 members_are ca1 ca2
	it "$mode: the other answers" within 10 answered 2
	it "$mode: it leaves, too" leaves 2
	it "$mode: who sends is left" within 10 members_are ca1
	it "$mode: that leaves, and the group is gone" sender_leaves
}

both_join() { joins 2 && joins 3; }

# IPoIB joins a group that it sends to, and leaves it after minutes, or when it goes down
sender_leaves()
{
	local dev

	dev=$(ipoib_of 1)
	ip -n h1 link set "$dev" down && within 10 members_are &&
		ip -n h1 link set "$dev" up && within 30 has_carrier 1 "$dev"
}

#
# Partitions
#

# child HOST [SECONDS]: an interface in partition 5, with 10.5.0.N, that is up before then
child()
{
	local dev

	dev=$(ipoib_of "$1")
	ip -n "h$1" link add link "$dev" name "$dev.8005" type ipoib pkey 0x8005 &&
		ip -n "h$1" addr add "10.5.0.$1/24" dev "$dev.8005" &&
		ip -n "h$1" link set "$dev.8005" up && within "${2:-15}" has_carrier "$1" "$dev.8005"
}

# It would take a fraction of that
no_child() { ! child "$1" 3; }

fabric star 4 || skip_all "no fabric"
cat >"$scratch/partitions.conf" <<END
Default=0x7fff, ipoib : ALL=full;
five=0x0005, ipoib : $(port_guid 1)=full, $(port_guid 2)=full;
END
it "opensm brings up $fabric" fabric_up 1
mode=datagram
it "IPoIB is up" of_all ipoib_up
it "ip shows what it is" is_shown
it "$mode: ping, all to all" to_all
it "$mode: ping, IPv6" to_all_ipv6
it "$mode: ping, as much as fits" ping_from 1 "$(ipoib_ip 2)" -M "do" -s 1900
it "$mode: ping, in fragments" ping_from 1 "$(ipoib_ip 2)" -s 20000
streams
multicasts
it "an interface in a partition" child 1
it "another" child 2
it "they see each other" ping_from 1 10.5.0.2
it "who is not a member has no such interface" no_child 3
it "connected mode" set_mode connected 1 2 3
mode=connected
it "$mode: ping, all to all, those that are not, too" to_all
it "$mode: ping, 60000 bytes in one" ping_from 1 "$(ipoib_ip 2)" -M "do" -s 60000
it "$mode: there are connections" has_connections
streams
multicasts
it "datagram mode again" set_mode datagram 1 2 3
it "ping, all to all" to_all
finish
