#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_fabric.sh [FABRIC]...
#
# opensm brings up two adapters back to back, four on a switch, and eight on three
# switches, or the named ones of pair, star and three. Then the tools of InfiniBand
# are asked about it, and what they say is compared with what was built.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

need ibstatus iblinkinfo ibhosts ibswitches sminfo smpquery perfquery ibping ibtracert \
	ibroute ibaddr ibqueryerrors ibidsverify ibportstate

# What the last command run by "says" had to say. It is looked at without programs, of
# which there would be thousands.
out=$scratch/out

# says COMMAND...: run it on the first host and keep what it says in $out, but in
# $out.warnings what could stand in the midst of a line there
says()
{
	local status=0

	timeout 60 ip netns exec h1 "$@" >"$out" 2>"$out.warnings" </dev/null || status=$?
	[ $status = 0 ] || { cat "$out" "$out.warnings"; echo "status $status: $*"; }
	return $status
}

# count PATTERN: how many lines of $out match
count()
{
	local said line n=0

	mapfile -t said <"$out"
	for line in "${said[@]}"; do
		[[ ! $line =~ $1 ]] || n=$((n + 1))
	done
	echo $n
}

# lines COUNT PATTERN: so many lines of $out match
lines()
{
	local n

	n=$(count "$2")
	[ "$n" = "$1" ] && return
	cat "$out"
	echo "$n lines, not $1, with $2"
	return 1
}

# value NAME: what a tool has behind dots, as in "NumPorts:........4"
value()
{
	local said line

	mapfile -t said <"$out"
	for line in "${said[@]}"; do
		[[ $line =~ ^[[:space:]]*$1:?\.+(.*) ]] || continue
		echo "${BASH_REMATCH[1]}"
		return
	done
}

# has NAME VALUE...: that, in pairs
has()
{
	local got wrong=()

	while [ $# -gt 0 ]; do
		got=$(value "$1")
		# shellcheck disable=SC2053
		[[ $got == $2 ]] || wrong+=("$1 is '$got', not '$2'")
		shift 2
	done
	[ ${#wrong[@]} != 0 ] || return 0
	cat "$out"
	printf '%s\n' "${wrong[@]}"
	return 1
}

distinct() { [ "$(sort | uniq -d | wc -l)" = 0 ]; }

# switch_lid SWITCH
switch_lid() { sed -nE "s/^Switch.*\"$1\".* lid ([0-9]+) .*/\1/p" "$scratch/switches"; }

# A switch has so many ports, with cables or not
switch_ports=36

# ends NODE: how many cables are at it
ends() { printf '%s\n' "${links[@]}" | grep -cwE -- "$1 [0-9]+"; }

#
# The local port
#

# port_stat HOST
port_stat()
{
	in_host "$1" ibstat "ca$1" >"$out" 2>&1 || { cat "$out"; return 1; }
	lines 1 "^CA 'ca$1'" && lines 1 'State: Active' && lines 1 'Physical state: LinkUp' &&
		lines 1 'Link layer: InfiniBand' && lines 1 "Base lid: $(lid "$1")\$" &&
		lines 1 "SM lid: $(lid 1)\$" && lines 1 "Node GUID: $(node_guid "$1")\$" &&
		lines 1 "Port GUID: $(port_guid "$1")\$" && lines 1 'Rate: [1-9][0-9]*'
}

port_status()
{
	in_host "$1" ibstatus >"$out" 2>&1 || { cat "$out"; return 1; }
	lines 1 '^Infiniband device ' && lines 1 "default gid:.*$(gid "$1")" &&
		lines 1 'state:.*4: ACTIVE' && lines 1 'phys state:.*5: LinkUp' &&
		lines 1 'link_layer:.*InfiniBand'
}

# Where a host finds itself, and nobody else
alone()
{
	[ "$(in_host "$1" ibstat -l)" = "ca$1" ] &&
		[ "$(in_host "$1" ibstat -p)" = "$(port_guid "$1")" ]
}

all_lids_distinct()
{
	of_all lid | distinct
}

#
# The whole fabric
#

# The cables as "NODE PORT NODE PORT", each once for each end
drawn() { printf '%s\n' "${links[@]}" | awk '{ print; print $3, $4, $1, $2 }' | sort; }

# The same of what ibnetdiscover -p found:
# CA 1 1 0x0000000000100001 4x SDR - SW 2 1 0x0000000000200000 ( 'ca1' - 'sw1' )
found()
{
	awk '$7 == "-" { gsub("\047", ""); print $(NF - 3), $3, $(NF - 1), $10 }' "$out" | sort
}

# discovered FROM: by any host
discovered()
{
	in_host "$1" ibnetdiscover -p >"$out" 2>&1 || { cat "$out"; return 1; }
	diff <(drawn) <(found) && return
	cat "$out"
	return 1
}

topology()
{
	says ibnetdiscover && lines $cas '^Ca	' && lines $switches '^Switch	' &&
		lines $((2 * ${#links[@]})) '^\[[0-9]+\]'
}

linkinfo()
{
	says iblinkinfo -l && lines $((2 * ${#links[@]})) 'Active/ +LinkUp' &&
		lines "$(unused)" 'Down/ +Polling' && lines 0 'Could be'
}

# Ports of switches without cables; each of an adapter has one
unused() { echo $((switches * switch_ports + cas - 2 * ${#links[@]})); }

hosts_found()
{
	local n

	says ibhosts && lines $cas '^Ca' || return
	for ((n = 1; n <= cas; n++)); do
		lines 1 "$(node_guid $n) ports 1 \"ca$n\"" || return
	done
}

switches_found()
{
	local n

	says ibswitches && cp "$out" "$scratch/switches" && lines $switches '^Switch' || return
	for ((n = 1; n <= switches; n++)); do
		lines 1 "ports $switch_ports \"sw$n\" base port 0 lid [1-9][0-9]* lmc 0" || return
	done
}

master()
{
	local guid

	guid=$(printf 0x%x "$(port_guid 1)")
	says sminfo && lines 1 "sm lid $(lid 1) sm guid $guid,.*SMINFO_MASTER" &&
		in_host "$cas" sminfo >"$out" 2>&1 && lines 1 "sm lid $(lid 1) .*SMINFO_MASTER"
}

no_errors() { says ibqueryerrors && lines 1 " 0 bad nodes found"; }
no_duplicates() { says ibidsverify && [ ! -s "$out" ]; }

addresses()
{
	says ibaddr "$(lid "$1")" && lines 1 "LID start $(printf 0x%x "$(lid "$1")") "
}

#
# Subnet management, attribute by attribute
#

# query OPTIONS... : smpquery
query() { says smpquery "$@"; }

node_info()
{
	query "${@:2}" && has NodeType 'Channel Adapter' NumPorts 1 LocalPort 1 BaseVers 1 \
		ClassVers 1 Guid "$(node_guid "$1")" PortGuid "$(port_guid "$1")"
}

node_desc() { query ND "$(lid "$1")" && has 'Node Description' "ca$1"; }

port_info()
{
	query PI "$(lid "$1")" 1 &&
		has Lid "$(lid "$1")" SMLid "$(lid 1)" LinkState Active PhysLinkState LinkUp \
			GidPrefix 0xfe80000000000000 LMC 0 NeighborMTU 4096 MtuCap 4096 \
			LinkDownDefState Polling LocalPort 1 MkeyViolations 0
}

pkeys() { query PKeys "$(lid "$1")" && lines 1 '^   0: 0xffff 0x0000 '; }
guid_info() { query GI "$(lid "$1")" && lines 1 "^   0: $(port_guid "$1") "; }
# two tables, of 64 entries each
vl_arbitration() { query VLArb "$(lid "$1")" && lines 4 '^WEIGHT:'; }

sl_to_vl()
{
	query SL2VL "$(lid "$1")" && lines 1 '^ports: in +0, out +0: (\| *[0-9]+){16}\|'
}

# An attribute that a port may have or not: it says which
extended_port_info()
{
	says smpquery PIE "$(lid 1)" 1 && return
	grep -qE "indicate PortInfoExtended support|mask2 not supported" "$out" "$out.warnings"
}

attributes_of_hosts()
{
	it "$fabric: smpquery NodeInfo by LID" of_all by_lid
	it "$fabric: smpquery NodeInfo by GUID" of_all by_guid
	it "$fabric: smpquery NodeDescription" of_all node_desc
	it "$fabric: smpquery PortInfo" of_all port_info
	it "$fabric: smpquery P_KeyTable" of_all pkeys
	it "$fabric: smpquery GUIDInfo" of_all guid_info
	it "$fabric: smpquery SLtoVLMappingTable" of_all sl_to_vl
	it "$fabric: smpquery VLArbitrationTable" of_all vl_arbitration
	it "$fabric: smpquery PortInfoExtended, if it is there" extended_port_info
	it "$fabric: smpquery by a directed route to the own port" node_info 1 -D NI 0
}

by_lid() { node_info "$1" NI "$(lid "$1")"; }
by_guid() { node_info "$1" -G NI "$(port_guid "$1")"; }

# Of switch 1, and of h2 behind it
attributes_of_switches()
{
	local at

	at=$(switch_lid sw1)
	it "$fabric: smpquery NodeInfo of a switch" switch_info "$at"
	it "$fabric: smpquery SwitchInfo" forwarding_info "$at"
	it "$fabric: smpquery PortInfo of its ports" switch_ports "$at"
	it "$fabric: smpquery P_KeyTable of a port of its" query PKeys "$at" 1
	it "$fabric: smpquery SLtoVLMappingTable, of each way in" switch_lanes "$at"
	it "$fabric: smpquery VLArbitrationTable of a port" query VLArb "$at" 1
	it "$fabric: smpquery by a directed route behind it" node_info 2 -D NI 0,1,2
	it "$fabric: smpquery by LID, then directed" node_info 2 -c NI "$at" 0,2
	it "$fabric: a directed route to a port that is not there" nowhere
	it "$fabric: ibroute" unicast_routes "$at"
	it "$fabric: ibroute -M" multicast_routes "$at"
	it "$fabric: ibportstate" port_state "$at"
}

switch_info() { query NI "$1" && has NodeType Switch NumPorts $switch_ports; }

forwarding_info()
{
	query SI "$1" && has LinearFdbCap '[1-9]*' McastFdbCap '[1-9]*' RandomFdbCap 0 \
		StateChange 0 && [ "$(value LinearFdbTop)" -ge "$(lid $cas)" ]
}

switch_ports()
{
	local n

	query PI "$1" 0 && has Lid "$1" SMLid "$(lid 1)" || return
	for ((n = 1; n <= $(ends sw1); n++)); do
		query PI "$1" $n && has LinkState Active PhysLinkState LinkUp NeighborMTU 4096 ||
			return
	done
}

switch_lanes()
{
	query SL2VL "$1" 1 && lines $((switch_ports + 1)) '^ports: in +[0-9]+, out +1:'
}

nowhere()
{
	! timeout 60 ip netns exec h1 smpquery -D NI 0,1,$((switch_ports + 1)) >"$out" 2>&1
}

unicast_routes()
{
	local n

	says ibroute "$1" && lines 1 "^$((cas + switches)) valid lids dumped" || return
	for ((n = 1; n <= cas; n++)); do
		lines 1 "Channel Adapter portguid $(port_guid $n): 'ca$n'" || return
	done
}

multicast_routes() { says ibroute -M "$1" && lines 1 'valid mlids dumped'; }

port_state()
{
	says ibportstate "$1" 1 && has LinkState Active PhysLinkState LinkUp
}

#
# Subnet administration
#

path()
{
	says saquery --src-to-dst "$(lid 1):$(lid $cas)" && lines 1 '^PathRecord dump:' &&
		has slid "$(lid 1)" dlid "$(lid $cas)" pkey 0xFFFF mtu 0x85
}

# All that there are, between all
paths()
{
	says saquery -p || return
	diff <(for_pairs echo | sort) <(awk '{ sub(/\.+/, " ") }
		$1 == "dlid" { dlid = $2 }
		$1 == "slid" { slid = $2 }
		$1 == "pkey" { pkey = $2 }
		$1 == "mtu" && pkey == "0xFFFF" && $2 == "0x85" { print slid, dlid }' "$out" |
		grep -xF "$(for_pairs echo)" | sort -u)
}

# for_pairs COMMAND...: with the LIDs of two hosts, for any two, also the same
for_pairs()
{
	local a b

	for ((a = 1; a <= cas; a++)); do
		for ((b = 1; b <= cas; b++)); do
			"$@" "${lids[a]}" "${lids[b]}"
		done
	done
}

# a GID as saquery writes and reads it
short_gid()
{
	/usr/bin/python3 -c 'import ipaddress, sys
print(ipaddress.ip_address(sys.argv[1]))' "$(gid "$1")"
}

path_by_gids()
{
	local from to

	from=$(short_gid 1) to=$(short_gid $cas)
	says saquery -p --sgid-to-dgid "$from-$to" && has sgid "$from" dgid "$to" \
		slid "$(lid 1)" dlid "$(lid $cas)"
}

node_records()
{
	local n

	says saquery NR && lines $((cas + switches)) '^NodeRecord dump:' || return
	for ((n = 1; n <= cas; n++)); do
		lines 1 "NodeDescription\.+ca$n\$" && lines 1 "port_guid\.+$(port_guid $n)\$" ||
			return
	done
	says saquery -D && lines $cas '^ +[0-9]+ +"ca[0-9]+"'
}

# Port 0 of a switch is active, too.
port_records()
{
	local active=$((2 * ${#links[@]} + switches))

	says saquery PIR && lines $((active + $(unused))) '^PortInfoRecord dump:' &&
		lines $active 'LinkState:\.+Active'
}

group_records()
{
	# that of IPoIB is there from the start
	says saquery -g && lines 1 'MGID\.+ff12:401b:ffff::ffff:ffff$' &&
		says saquery MCMR && lines 1 'mlid\.+0xc000$'
}

link_records() { says saquery LR && lines $((2 * ${#links[@]})) '^LinkRecord dump:'; }
switch_records() { says saquery SWIR && lines $switches '^SwitchInfoRecord dump:'; }
sm_records() { says saquery SMIR && has LID "$(lid 1)" SMState 3 GUID "$(port_guid 1)"; }
class_info() { says saquery CPI && has 'Base version' 1 'Class version' 2; }

guid_records()
{
	says saquery GIR && lines 1 "GUID 0\.+$(port_guid $cas)\$"
}

# whoever wants keys must show one
pkey_records()
{
	says saquery --smkey 1 PKTR && many $cas '^PKey'
}

# many LEAST PATTERN: so many lines of $out, or more
many() { [ "$(count "$2")" -ge "$1" ]; }
sl_records() { says saquery SL2VL && many $cas 'TableRecord dump'; }
vl_records() { says saquery VLAR && many $cas 'TableRecord dump'; }
forwarding_records() { says saquery LFTR && many $switches 'LFT Record dump'; }
is_sm() { says saquery -s && lines 1 "^[[:space:]]+base_lid\.+$(lid 1)\$"; }

# Those ports want to hear of everything
subscriptions() { says saquery IIR; }
services() { says saquery SR; }

#
# Counters, and traffic for them
#

# pings OPTION... ADDRESS: from h1, for the last host to answer, one right after the
# other
pings()
{
	says ibping -f -c 10 "$@" && lines 1 '10 packets transmitted, 10 received, 0% packet loss'
}

ping_tests()
{
	local pid

	ip netns exec h$cas ibping -S >/dev/null 2>&1 </dev/null &
	pid=$!
	it "$fabric: the server of ibping is there" within 20 pings_once
	it "$fabric: ibping by LID" pings "$(lid $cas)"
	it "$fabric: ibping by GUID" pings -G "$(port_guid $cas)"
	counters
	kill $pid
	wait $pid 2>/dev/null
}

pings_once() { timeout 10 ip netns exec h1 ibping -c 1 "$(lid $cas)" | grep -q ' 1 received'; }

# counted WHAT OPTION...: what perfquery says
counted()
{
	local name=$1

	shift
	says perfquery "$@" && value "$name" | grep . && return
	cat "$out" >&2
	return 1
}

# grows WHAT LEAST OPTION...: by so much at least, while there are ten pings
grows()
{
	local what=$1 least=$2 before after

	shift 2
	before=$(counted "$what" "$@") || return
	pings "$(lid $cas)" || return
	after=$(counted "$what" "$@") || return
	echo "$what: from $before to $after"
	[ $((after - before)) -ge "$least" ]
}

# resets OPTION...: all of them, to zero or to what came since, after ten pings
resets()
{
	local what before=() after

	pings "$(lid $cas)" || return
	for what in PortXmitPkts PortRcvPkts; do
		before+=("$(counted $what "$@")") || return
	done
	says perfquery -R "$@" || return
	for what in PortXmitPkts PortRcvPkts; do
		after=$(counted $what "$@") || return
		echo "$what: from ${before[0]} to $after"
		[ "${before[0]}" -gt "$after" ] || return
		before=("${before[@]:1}")
	done
}

counters()
{
	local to at what

	to=$(lid $cas)
	for what in PortXmitPkts PortRcvPkts; do
		it "$fabric: perfquery, $what" grows $what 10
		it "$fabric: perfquery -x, $what" grows $what 10 -x
	done
	# 256 bytes of datagram and 40 of headers, in words
	it "$fabric: perfquery, PortXmitData" grows PortXmitData 720
	it "$fabric: perfquery -x, PortUnicastRcvPkts" grows PortUnicastRcvPkts 10 -x
	it "$fabric: perfquery of the other end" grows PortXmitPkts 10 "$to" 1
	it "$fabric: perfquery -R" resets "$to" 1
	it "$fabric: perfquery -x -R" resets -x "$to" 1
	it "$fabric: perfquery, no errors" no_error_counted "$to" 1
	[ $switches != 0 ] || return
	at=$(switch_lid sw1)
	it "$fabric: perfquery of a port of a switch" grows PortRcvPkts 10 "$at" 1
	it "$fabric: perfquery -a, all ports of a switch" grows PortXmitPkts 20 -a "$at"
	it "$fabric: perfquery -l, one by one" one_by_one "$at"
	it "$fabric: perfquery -R of a port of a switch" resets "$at" 1
}

no_error_counted()
{
	says perfquery "$@" && has SymbolErrorCounter 0 PortRcvErrors 0 PortXmitDiscards 0 \
		PortRcvConstraintErrors 0 PortXmitConstraintErrors 0 VL15Dropped 0
}

one_by_one()
{
	says perfquery -l "$1" "1-$(ends sw1)" && lines "$(ends sw1)" '^# Port counters: Lid'
}

#
# Ways through the fabric
#

# Hosts on one switch are two cables apart, those on two are three
hops()
{
	if [ "$1" = "$2" ]; then
		echo 0
	elif [ $switches = 0 ]; then
		echo 1
	elif [ "${neighbours[$1]}" = "${neighbours[$2]}" ]; then
		echo 2
	else
		echo 3
	fi
}

neighbour() { drawn | awk -v node="$1" '$1 == node { print $3 }'; }

# The lines of "FROM TO HOPS" that ibtracert is to find
expected_ways()
{
	local a b neighbours=()

	for ((a = 1; a <= cas; a++)); do
		neighbours[a]=$(neighbour ca$a)
	done
	for ((a = 1; a <= cas; a++)); do
		for ((b = 1; b <= cas; b++)); do
			echo "ca$a:${lids[a]} ca$b:${lids[b]} $(hops $a $b)"
		done
	done
}

# The same of what ibtracert says: where both ends are, and what is between them
traced_ways()
{
	awk '{ gsub(/"/, "") }
		$1 == "From" { from = $NF ":" $(NF - 1); hops = 0 }
		/ -> / { hops++ }
		$1 == "To" { to = $NF ":" $(NF - 1); sub(/:.*-/, ":", from)
			     sub(/:.*-/, ":", to); print from, to, hops }' "$out"
}

# ibtracert knows the way from each host to each
# shellcheck disable=SC2016  # for the inner shell
ways()
{
	local all

	all=$(for_pairs echo)
	says sh -c 'while read -r a b; do ibtracert $a $b || exit; done <<END
'"$all"'
END' || return
	diff <(expected_ways) <(traced_ways) && return
	cat "$out"
	return 1
}

#
# ibdiagnet
#

# Not with -r: after that report it looks for loops, and ends by a segmentation fault if
# there are none to be found
diagnosed()
{
	mkdir -p "$scratch/ibdiagnet"
	says ibdiagnet -o "$scratch/ibdiagnet" -c 2 || return
	tr '\r' '\n' <"$out" >"$out.lines" && mv "$out.lines" "$out"
	lines 0 '^-E-' && lines 1 '^-I- No bad Guids were found' &&
		lines 1 '^-I- No bad Links' && lines 1 '^-I- No illegal PM counters' &&
		lines 1 '^-I- Done' && lines 6 '(Check|Report) +0 +[0-9]+ *$' && many 1 \
		" $((cas + switches)) nodes \($switches Switches & $cas CA-s\) discovered"
}

judge()
{
	it "$fabric: ports have LIDs of their own" all_lids_distinct
	it "$fabric: a host sees itself alone" of_all alone
	it "$fabric: ibstat" of_all port_stat
	it "$fabric: ibstatus" of_all port_status
	it "$fabric: ibnetdiscover" topology
	it "$fabric: ibnetdiscover -p, the same from everywhere" of_all discovered
	it "$fabric: iblinkinfo" linkinfo
	it "$fabric: ibhosts" hosts_found
	it "$fabric: ibswitches" switches_found
	it "$fabric: ibaddr" of_all addresses
	it "$fabric: sminfo" master
	attributes_of_hosts
	[ $switches = 0 ] || attributes_of_switches
	it "$fabric: saquery, nodes" node_records
	it "$fabric: saquery, ports" port_records
	it "$fabric: saquery, a path by LIDs" path
	it "$fabric: saquery, paths between all" paths
	it "$fabric: saquery, a path by GIDs" path_by_gids
	it "$fabric: saquery, multicast groups" group_records
	it "$fabric: saquery, links" link_records
	it "$fabric: saquery, class" class_info
	it "$fabric: saquery, subnet managers" sm_records
	it "$fabric: saquery, ports of subnet managers" is_sm
	it "$fabric: saquery, GUIDs" guid_records
	it "$fabric: saquery, P_Keys" pkey_records
	it "$fabric: saquery, service levels" sl_records
	it "$fabric: saquery, arbitration" vl_records
	it "$fabric: saquery, subscriptions" subscriptions
	it "$fabric: saquery, services" services
	if [ $switches != 0 ]; then
		it "$fabric: saquery, switches" switch_records
		it "$fabric: saquery, forwarding tables" forwarding_records
	fi
	ping_tests
	it "$fabric: ibtracert, all ways" ways
	it "$fabric: ibqueryerrors" no_errors
	it "$fabric: ibidsverify" no_duplicates
	if command -v ibdiagnet >/dev/null; then
		it "$fabric: ibdiagnet" diagnosed
	else
		skip "$fabric: ibdiagnet" "it is not installed"
	fi
	it "$fabric: opensm has not ended" sm_runs 1
}

[ $# != 0 ] || set -- pair star three
for topology; do
	[ "$topology" != star ] || topology="star 4"
	fabric $topology || skip_all "no fabric"
	it "$fabric: opensm brings it up" fabric_up 1
	judge
	end_fabric
done
finish
