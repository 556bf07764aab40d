#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The netdevices of InfiniBand ports: that they come and go with the ports, what ip(8)
# and ethtool(8) show, that all packets of a port pass them, which tcpdump(8) and
# tshark(1) see and nft(8) and tc(8) take away, and what they do with packets that
# somebody makes up. IP=FILE is an ip that knows them; patches/iproute2 make one.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/fabric.sh
# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/../../rdma/qpemu/fabric.sh"
. "$(dirname "$0")/nft_lib.sh"

need ethtool tcpdump tshark nft tc ibping perfquery rdma_xfer ibv_ud_pingpong
tools=$(cd "$(dirname "$0")/../../../.." && pwd)
lua=$tools/net/ib/lrh.lua
built=$tools/../build/iproute2/ip/ip
[ -n "${IP:-}" ] || ! [ -x "$built" ] || IP=$built

# The netdevice of a host's port, and what ip, sysfs and ethtool say of it
dev() { echo "ca$1.1"; }
show() { ip -n "h$1" -d -s link show dev "$(dev "$1")"; }
attribute() { in_host "$1" cat "/sys/class/net/$(dev "$1")/$2"; }
tool() { in_host "$1" ethtool "${@:2}"; }
set_dev() { ip -n "h$1" link set dev "$(dev "$1")" "${@:2}"; }
there() { ip -n "$1" link show dev "$2" >/dev/null 2>&1; }
not_there() { ! there "$@"; }
operstate() { [ "$(attribute "$1" operstate)" = "$2" ]; }

# says TEXT COMMAND...: what it says has that
says()
{
	local text=$1 said

	shift
	said=$("$@" 2>&1) || { echo "$said"; return 1; }
	grep -qE -- "$text" <<<"$said" && return
	echo "no $text in:"
	echo "$said"
	return 1
}

# refuses COMMAND...
refuses()
{
	"$@" && { echo "not refused: $*"; return 1; }
	return 0
}

#
# What there is
#

# Each port of an adapter has one, and the switch, which has a port for management
# alone, has none
made()
{
	of_all is_there && not_there s1 sw1.0 && not_there s1 sw1.1
}
is_there() { there "h$1" "$(dev "$1")"; }

link_type()
{
	says 'link/infiniband 00:00:00:00:fe:80:' show 1 && says ' ibport ' show 1 &&
		says 'NOARP' show 1 && says "portid ${port_guids[1]#0x}" show 1 || return
	[ "$(attribute 1 type)" = 32 ] && [ "$(attribute 1 dev_port)" = 0 ] &&
		[ "$(in_host 1 readlink "/sys/class/net/$(dev 1)/device")" = ../../../ca1 ]
}

# The address ends with the first GID
address_is_gid()
{
	local address gid

	address=$(attribute "$1" address)
	gid=$(port "$1" gids/0)
	[ "${address//:/}" = "00000000${gid//:/}" ] && return
	echo "$address is not $gid"
	return 1
}

no_ip() { ! ip -n h1 addr show dev "$(dev 1)" | grep inet; }

# What a subnet manager decides, and what belongs to the port
not_to_be_changed()
{
	refuses ip -n h1 link add more type ibport && refuses ip -n h1 link del "$(dev 1)" &&
		refuses set_dev 1 mtu 1024 && refuses set_dev 1 address 00:01:02:03:04:05 &&
		refuses set_dev 1 netns h2 &&
		refuses ip -n h1 link add link "$(dev 1)" name child type ipoib
}

no_bridge()
{
	local status=0

	ip -n h1 link add name br type bridge || return
	refuses set_dev 1 master br || status=1
	ip -n h1 link del br
	return $status
}

# The link is there, but nobody has made it active
dormant()
{
	within 10 operstate "$1" dormant && [ "$(attribute "$1" carrier)" = 1 ] &&
		says 'state DORMANT' show "$1"
}

#
# Names
#

follows_name()
{
	in_host 1 rdma dev set ca1 name other || return
	there h1 other.1 && not_there h1 "$(dev 1)" && in_host 1 rdma dev set other name ca1 &&
		is_there 1
}

keeps_its_own_name()
{
	local status=0

	set_dev 1 name mine && in_host 1 rdma dev set ca1 name other || return
	there h1 mine || status=1
	in_host 1 rdma dev set other name ca1
	ip -n h1 link set dev mine name "$(dev 1)"
	return $status
}

# extra DEVICE: another adapter in h1
extra()
{
	ip -n h1 link show dev more >/dev/null 2>&1 ||
		ip -n h1 link add more type veth peer name peer || return
	ip -n h1 link set more mtu 4300 up && ip -n h1 link set peer mtu 4300 up &&
		link_add h1 "$1" qpemu_ib more
}

name_too_long()
{
	extra a_rather_long_name && there h1 ibport0 &&
		in_host 1 rdma link del a_rather_long_name && not_there h1 ibport0
}

name_taken()
{
	local status=0

	ip -n h1 link add extra.1 type dummy && extra extra || return
	says ' ibport ' ip -n h1 -d link show dev ibport0 || status=1
	in_host 1 rdma link del extra
	ip -n h1 link del extra.1
	return $status
}

gone_with_device()
{
	extra extra && there h1 extra.1 && in_host 1 rdma link del extra && not_there h1 extra.1
}

gone_with_cable()
{
	extra extra && there h1 extra.1 && ip -n h1 link del more &&
		within 10 not_there h1 extra.1
}

# With somebody who captures on it, and a queue
gone_while_used()
{
	local pid status=0

	extra extra && in_host 1 tc qdisc add dev extra.1 root netem delay 1s || return
	in_host 1 timeout 20 tcpdump -i extra.1 -w /dev/null >/dev/null 2>&1 &
	pid=$!
	sleep 0.5
	in_host 1 rdma link del extra && not_there h1 extra.1 || status=1
	wait $pid
	return $status
}

#
# Network namespaces
#

moves()
{
	local status=0

	ip netns add h9 || return
	extra extra && in_host 1 rdma dev set extra netns h9 || status=1
	there h9 extra.1 && not_there h1 extra.1 || status=1
	ip netns exec h9 rdma dev set extra netns h1 || status=1
	within 5 there h1 extra.1 && not_there h9 extra.1 || status=1
	in_host 1 rdma link del extra
	ip netns del h9
	return $status
}

# The device of a namespace that ends goes to the first one
follows_out_of_namespace()
{
	ip netns add h9 || return
	extra extra && in_host 1 rdma dev set extra netns h9 && there h9 extra.1 || return
	ip netns del h9
	within 20 ip link show dev extra.1 || return
	rdma link del extra
	! ip link show dev extra.1
}

#
# On a fabric that is up
#

up() { within 10 operstate "$1" up && says 'state UP' show "$1"; }

mtu()
{
	[ "$(attribute "$1" mtu)" = 4096 ] && says ' mtu 4096 ' show "$1"
}

# short GID: as inet_ntop(3) has it
short() { /usr/bin/python3 -c 'import ipaddress, sys; print(ipaddress.ip_address(sys.argv[1]))' "$1"; }

# What rtnetlink says of a port, as a patched ip shows it
details()
{
	local n=$1 said text

	said=$($IP -n "h$n" -d link show dev "$(dev "$n")") || return
	for text in "device ca$n port 1 " 'state active ' 'phys_state link-up ' \
		"gid $(short "$(gid "$n")") " "lid $(lid "$n") lmc 0 " \
		"sm_lid $(lid 1) sm_sl 0 " 'pkey 0xffff ' 'max_mtu 4096 ' 'width 4x'; do
		[[ ${said//$'\n'/ } == *"$text"* ]] && continue
		echo "no $text in:"
		echo "$said"
		return 1
	done
}

details_of_counters()
{
	says 'xmit_packets [1-9]' $IP -n h1 -d -s link show dev "$(dev 1)" ||
		{ sleep 1.2; says 'xmit_packets [1-9]' $IP -n h1 -d -s link show dev "$(dev 1)"; }
}

as_json()
{
	$IP -n h1 -d -j link show dev "$(dev 1)" | /usr/bin/python3 -c 'import json, sys
data = json.load(sys.stdin)[0]["linkinfo"]["info_data"]
sys.exit(data["lid"] != int(sys.argv[1]) or data["state"] != "active")' "$(lid 1)"
}

# Of the netlink specification
by_spec()
{
	in_host 1 /usr/bin/python3 "$ynl" --spec "$spec" --do getlink \
		--json "{\"ifname\": \"$(dev 1)\"}" --output-json >"$scratch/ynl" &&
		grep -q '"kind": "ibport"' "$scratch/ynl" &&
		grep -q "\"lid\": $(lid 1)\\b" "$scratch/ynl" &&
		grep -q '"state": "active"' "$scratch/ynl"
}

# counted HOST rx|tx packets|bytes
counted() { attribute "$1" "statistics/$2_$3"; }

# grows HOST rx|tx packets|bytes LEAST COMMAND...
grows()
{
	local before after host=$1 way=$2 what=$3 least=$4

	shift 4
	before=$(counted $host $way $what)
	"$@" || return
	after=$(counted $host $way $what)
	[ $((after - before)) -ge "$least" ] && return
	echo "$before, then $after: not $least more"
	return 1
}

# xfer OPTION... OPERATION: between h1 and h2
xfer() { timeout 60 rdma_xfer "$@" h1/ca1 h2/ca2; }

# What perfquery says, too
as_port_counts()
{
	local here there

	here=$(counted 1 tx packets)
	there=$(in_host 1 cat /sys/class/infiniband/ca1/ports/1/counters/port_xmit_packets)
	[ $((there - here)) -lt 50 ] && [ $((here - there)) -lt 50 ] && return
	echo "$here and $there"
	return 1
}

driver()
{
	says '^driver: ib_netdev$' tool 1 -i "$(dev 1)" &&
		says '^bus-info: ca1/1$' tool 1 -i "$(dev 1)"
}

# 4X QDR
settings()
{
	says 'Speed: 40000Mb/s' tool 1 "$(dev 1)" && says 'Lanes: 4' tool 1 "$(dev 1)" &&
		says 'Link detected: yes' tool 1 "$(dev 1)"
}

statistics()
{
	says '^ +port_xmit_data: [1-9]' tool 1 -S "$(dev 1)" &&
		says '^ +port_rcv_packets: [1-9]' tool 1 -S "$(dev 1)" &&
		says '^ +multicast_rcv_packets: [0-9]' tool 1 -S "$(dev 1)" || return
	[ "$(tool 1 -S "$(dev 1)" | grep -c ': [0-9]')" = 21 ]
}

pulled()
{
	ip -n h2 link set cable down
	within 10 operstate 2 down && says 'NO-CARRIER' show 2 &&
		says 'Link detected: no' tool 2 "$(dev 2)" && refuses xfer -n 1 -s 64 write || return
	ip -n h2 link set cable up
	within 30 operstate 2 up && within 30 is_active 2 && xfer -n 8 write
}

#
# Set down
#

finds() { in_host 1 smpquery -t 200 NI "$(lid 2)" >"$scratch/smp" 2>&1 || { cat "$scratch/smp"; return 1; }; }

# ping_gsi: by queue pair 1 of h2
responder=''
start_responder()
{
	ip netns exec h2 ibping -S >/dev/null 2>&1 &
	responder=$!
	sleep 0.5
}
ping_gsi() { says ' 0% packet loss' in_host 1 timeout 10 ibping -c 1 -t 300 "$(lid 2)"; }

set_down()
{
	set_dev 2 down
	operstate 2 down && finds && port_is 2 ACTIVE && refuses ping_gsi &&
		refuses xfer -n 1 -s 64 write
}

set_up()
{
	set_dev 2 up
	within 5 operstate 2 up && ping_gsi && xfer -n 8 write
}

# What is sent stays here, too
set_down_here()
{
	local status=0

	set_dev 1 down
	refuses ping_gsi && finds || status=1
	set_dev 1 up
	ping_gsi || status=1
	return $status
}

# A subnet manager brings a port up whose netdevice is down
comes_up_when_down()
{
	local status=0

	set_dev 2 down
	ip -n h2 link set cable down
	within 10 is_not_active 2 || status=1
	ip -n h2 link set cable up
	within 30 is_active 2 && finds || status=1
	set_dev 2 up
	within 5 operstate 2 up && xfer -n 8 write || status=1
	return $status
}

#
# Captures
#

# A few packets may be all that there is; of a super-packet the length is enough
# shellcheck disable=SC2034  # that of lib.sh
capture_options=(-s 4400 --immediate-mode)

# decoded FILE FIELD...: of each packet, as tshark has it with the script, and without
decoded() { tshark -r "$1" -X "lua_script:$lua" -T fields "${@:2}" 2>/dev/null; }
plain() { tshark -r "$1" -T fields "${@:2}" 2>/dev/null; }

by_lid() { xfer -n 4 -s 10000 write && xfer -n 4 -s 3000 send && xfer -n 4 -s 9000 read && xfer -n 4 fetch_add; }
by_gid() { xfer -G -n 4 -s 10000 write_imm && xfer -G -u -n 2 -s 9000 send; }
datagrams()
{
	served 18515 "ibv_ud_pingpong -d ca2 -n 10" "ibv_ud_pingpong -d ca1 -n 10 192.168.77.2" &&
		served 18515 "ibv_ud_pingpong -d ca2 -g 0 -n 10" \
			"ibv_ud_pingpong -d ca1 -g 0 -n 10 192.168.77.2"
}
mads() { in_host 1 perfquery "$(lid 2)" 1 && in_host 1 smpquery NI "$(lid 2)" && in_host 1 saquery; }
everything() { by_lid && by_gid && datagrams && mads; }

link_layer()
{
	tcpdump -r "$1" -c 1 2>&1 | grep -q 'LINUX_SLL' &&
		[ "$(plain "$1" -e sll.hatype | sort -u)" = 32 ] &&
		[ "$(plain "$1" -e sll.halen | sort -u)" = 8 ]
}

# has_packets FILE FILTER...: the script knows such
has_packets()
{
	local filter

	for filter in "${@:2}"; do
		[ -n "$(decoded "$1" -Y "$filter" -e frame.number)" ] && continue
		echo "none of $filter"
		return 1
	done
}

all_known()
{
	decoded "$1" -e frame.number -e frame.protocols -e _ws.malformed >"$scratch/fields"
	[ -s "$scratch/fields" ] || { echo "no packet"; return 1; }
	awk -F'\t' '$2 !~ /ib_lrh.*infiniband/ || $3 != "" { print; bad = 1 }
		END { print NR " packets"; exit bad }' "$scratch/fields"
}

# Without the script: what has a GRH
global_known()
{
	plain "$1" -Y 'sll.etype == 0x8915' -e frame.protocols -e infiniband.grh.dgid \
		-e infiniband.bth.destqp -e _ws.malformed >"$scratch/fields"
	[ -s "$scratch/fields" ] || { echo "no packet"; return 1; }
	awk -F'\t' '$1 !~ /infiniband/ || $2 == "" || $3 == "" || $4 != "" { print; bad = 1 }
		END { print NR " packets"; exit bad }' "$scratch/fields"
}

lids_right()
{
	local pairs

	pairs=$(decoded "$1" -Y 'ib_lrh.vl == 0 && ib_lrh.dlid < 0xc000' -e sll.pkttype -e ib_lrh.slid \
		-e ib_lrh.dlid | awk '$2 != $3' | sort -u)
	[ "$pairs" = "$(printf '0\t%d\t%d\n4\t%d\t%d' "$(lid 2)" "$(lid 1)" "$(lid 1)" "$(lid 2)")" ] &&
		return
	echo "$pairs"
	return 1
}

transports()
{
	has_packets "$1" 'infiniband.bth.opcode == 0x06' 'infiniband.bth.opcode == 0x0c' \
		'infiniband.bth.opcode == 0x0d' 'infiniband.bth.opcode == 0x14' \
		'infiniband.bth.opcode == 0x12' 'infiniband.bth.opcode == 0x11' \
		'infiniband.bth.opcode == 0x20' 'infiniband.deth' \
		'infiniband.bth.opcode == 0x64 && infiniband.grh'
}

management()
{
	has_packets "$1" 'infiniband.mad.mgmtclass == 0x01 && ib_lrh.vl == 15' \
		'infiniband.mad.mgmtclass == 0x03 && infiniband.bth.destqp == 1' \
		'infiniband.mad.mgmtclass == 0x04' 'infiniband.mad.method == 0x81'
}

# No packet is longer than a wire could carry
whole()
{
	! plain "$1" -Y 'frame.len > 4300' -e frame.number | grep .
}

live()
{
	local pid status=0

	in_host 1 timeout 60 tshark -l -i "$(dev 1)" -X "lua_script:$lua" \
		-Y 'infiniband.mad.mgmtclass' >"$scratch/live" 2>"$scratch/live.err" &
	pid=$!
	within 10 grep -q Capturing "$scratch/live.err" && sleep 0.5 && mads >/dev/null &&
		within 30 grep -q 'Sub[nA]' "$scratch/live" || status=1
	kill $pid
	wait $pid
	[ $status = 0 ] || cat "$scratch/live" "$scratch/live.err"
	return $status
}

# A super-packet passes whole, and in pieces if that is told
super_passes()
{
	captured h1 "$(dev 1)" "$scratch/super.pcap" xfer -n 4 -s 65536 -d 1 write &&
		plain "$scratch/super.pcap" -Y 'frame.len > 20000' -e frame.number | grep -q .
}

super_cut()
{
	no_super h1 "$(dev 1)"
	captured h1 "$(dev 1)" "$scratch/cut.pcap" xfer -n 4 -s 65536 -d 1 write &&
		! plain "$scratch/cut.pcap" -Y 'sll.pkttype == 4 && frame.len > 4300' \
			-e frame.number | grep -q .
}

# Those that were on their way already are cut there
super_cut_late()
{
	in_host 1 ethtool -K "$(dev 1)" tx-udp-segmentation on gso on &&
		captured h1 "$(dev 1)" "$scratch/cut.pcap" xfer -n 4 -s 65536 -d 1 write &&
		! plain "$scratch/cut.pcap" -Y 'sll.pkttype == 4 && frame.len > 4300' \
			-e frame.number | grep -q . && xfer -l -n 64 -d 32 -s 8 write
}

# with_super NETDEV: they may be on it again
with_super()
{
	# shellcheck disable=SC2046
	in_host 1 ethtool -K "$1" gso on gro on \
		$(in_host 1 ethtool -k "$1" |
			awk -F: '/^\t?tx-[a-z0-9_-]*segmentation: off$/ {
					sub(/^\t/, "", $1); print $1, "on" }')
}

super_again()
{
	with_super "$(dev 1)"
	with_super cable
	super_passes
}

# From the beginning, when there is no subnet manager yet; when it is done it is asked
# for by LID, too
brought_up() { fabric_up 1 && finds; }
from_the_beginning()
{
	has_packets "$1" 'infiniband.mad.mgmtclass == 0x81' 'infiniband.mad.mgmtclass == 0x01'
}

# What goes to the port itself
to_itself()
{
	timeout 60 rdma_xfer -n 8 -s 100 send h1/ca1 h1/ca1 && captured h1 "$(dev 1)" \
		"$scratch/self.pcap" timeout 60 rdma_xfer -n 8 -s 100 send h1/ca1 h1/ca1 || return
	decoded "$scratch/self.pcap" -Y 'infiniband.bth.opcode == 4' -e sll.pkttype | sort -u |
		tr '\n' ' ' | grep -q '0 4'
}

#
# Filters
#

# A packet: bits of the LRH (@ll), and from the GRH or the BTH on (@nh)
dlid='@ll,16,16' slid='@ll,48,16' vl='@ll,0,4'
local_packets='meta protocol 0x00fb' global_packets='meta protocol 0x8915'
pkey='@nh,16,16' qpn='@nh,40,24' opcode='@nh,0,8'

# rules HOST HOOK RULE...: on the host's port, see nft_rules()
rules() { nft_rules "h$1" "$2" "$(dev "$1")" "${@:3}"; }

# filter NAME COMMAND...: a test, after which there are no rules
filter()
{
	it "nft: $1" "${@:2}"
	no_rules h1 h2
}

count_out()
{
	rules 1 egress "$dlid $(lid 2) counter name a" "$dlid 9999 counter name b" \
		"$vl 15 counter name c" || return
	xfer -n 8 send && finds && filtered a -ge 8 b -eq 0 c -ge 1
}

count_in()
{
	rules 1 ingress "$slid $(lid 2) counter name a" "$dlid $(lid 1) counter name b" \
		"$vl 15 counter name c" || return
	xfer -n 8 send && finds && filtered a -ge 2 b -ge 2 c -ge 1
}

count_keys()
{
	rules 1 egress "$local_packets $pkey 0xffff $opcode 0x0a counter name a" \
		"$global_packets @nh,336,16 0xffff @nh,320,8 0x0a counter name b" || return
	xfer -n 3 -s 64 -d 1 write && filtered a -eq 3 b -eq 0 &&
		xfer -G -n 3 -s 64 -d 1 write && filtered a -eq 3 b -eq 3
}

by_gids()
{
	local hex

	hex=$(gid 2)
	rules 1 egress "$global_packets @nh,192,128 0x${hex//:/} counter name a" || return
	xfer -G -n 4 -s 64 -d 1 write && filtered a -ge 4
}

drop_out_by_lid()
{
	ping_gsi && rules 1 egress "$dlid $(lid 2) $vl 0 counter name a drop" &&
		refuses ping_gsi && filtered a -ge 1 && finds
}

drop_in_by_lid()
{
	rules 1 ingress "$slid $(lid 2) $vl 0 counter name a drop" &&
		refuses ping_gsi && filtered a -ge 1 && finds
}

# Management goes nowhere, all else does
drop_by_qpn()
{
	rules 2 ingress "$local_packets $vl 0 $qpn 1 counter name a drop" &&
		refuses ping_gsi && filtered a -ge 1 && xfer -n 8 write
}

drop_by_pkey()
{
	rules 2 ingress "$local_packets $vl 0 $pkey 0xffff counter name a drop" &&
		refuses ping_gsi && filtered a -ge 1 && refuses xfer -n 1 -s 64 write
}

# Subnet management, if somebody wants that
drop_management()
{
	rules 1 egress "$vl 15 counter name a drop" &&
		refuses in_host 1 smpquery -t 200 NI "$(lid 2)" && filtered a -ge 1 && xfer -n 8 write
}

#
# Queues
#

lossy()
{
	local status=0

	in_host 1 tc qdisc add dev "$(dev 1)" root netem loss 5% || return
	xfer -n 64 -s 20000 write && xfer -n 64 -s 3000 send || status=1
	says 'dropped [1-9]' in_host 1 tc -s qdisc show dev "$(dev 1)" || status=1
	in_host 1 tc qdisc del dev "$(dev 1)" root
	return $status
}

slow()
{
	local status=0

	in_host 1 tc qdisc add dev "$(dev 1)" root tbf rate 200mbit burst 128k latency 100ms || return
	xfer -n 64 -s 20000 write || status=1
	says 'Sent [1-9]' in_host 1 tc -s qdisc show dev "$(dev 1)" || status=1
	in_host 1 tc qdisc del dev "$(dev 1)" root
	return $status
}

classified()
{
	local status=0

	in_host 1 tc qdisc add dev "$(dev 1)" clsact &&
		in_host 1 tc filter add dev "$(dev 1)" ingress protocol all matchall action pass &&
		xfer -n 8 write || status=1
	says 'Sent [1-9]' in_host 1 tc -s filter show dev "$(dev 1)" ingress || status=1
	in_host 1 tc qdisc del dev "$(dev 1)" clsact
	return $status
}

#
# Packets that somebody makes up
#

# made_up CODE...: python code with "s", a packet socket on the netdevice, and
# "packet", one to queue pair 1 of h2
made_up()
{
	in_host 1 /usr/bin/python3 -c '
import socket, struct, sys
name, slid, dlid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((name, 3))
bth = struct.pack(">BBHII", 0x64, 0, 0xffff, 1, 0)
body = bth + struct.pack(">II", 0x80010000, 1) + bytes(256) + bytes(4)
lrh = lambda n, lnh=2, vl=0: struct.pack(">BBHHH", vl << 4, lnh, dlid, n // 4, slid)
packet = lrh(8 + len(body)) + body
'"$1" "$(dev 1)" "$(lid 1)" "$(lid 2)"
}

sent_raw()
{
	grows 1 tx packets 3 made_up 'for i in range(3): s.send(packet)' &&
		captured h2 "$(dev 2)" "$scratch/raw.pcap" made_up 's.send(packet)' &&
		has_packets "$scratch/raw.pcap" 'infiniband.bth.destqp == 1 && infiniband.deth'
}

# The address is the LRH
sent_cooked()
{
	grows 1 tx packets 1 made_up '
import ctypes
d = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
to = struct.pack("=H2siHBB", socket.AF_PACKET, b"\0\xfb", socket.if_nametoindex(name),
                 0, 0, 8) + lrh(0) + bytes(12)
sent = ctypes.CDLL(None, use_errno=True).sendto(d.fileno(), body, len(body), 0, to, len(to))
sys.exit(sent != len(body))'
}

none_of_ours()
{
	local before

	before=$(attribute 1 statistics/tx_dropped)
	made_up '
def refused(p):
    try: s.send(p)
    except OSError: pass
refused(packet[:20]); refused(packet + bytes(4)); refused(packet[:-4])
refused(bytes([packet[0] | 1]) + packet[1:]); refused(lrh(8 + len(body), 0) + body)
refused(lrh(8 + len(body), 3) + body[:30]); refused(lrh(20) + bth)
refused(bytes(100)); refused(bytes([255]) * 200); refused(lrh(4000) + body)
s.bind((name, 0x800)); refused(packet)' || return
	[ $(($(attribute 1 statistics/tx_dropped) - before)) -ge 9 ] && xfer -n 8 write
}

# IP has nothing to do here
no_ip_goes()
{
	local status=0

	ip -n h1 addr add 10.77.0.1/24 dev "$(dev 1)"
	in_host 1 ping -c 1 -W 1 10.77.0.2 && status=1
	ip -n h1 addr del 10.77.0.1/24 dev "$(dev 1)"
	xfer -n 8 write || status=1
	return $status
}

# While packets pass, again and again
up_and_down()
{
	local pid status=0 i

	timeout 120 rdma_xfer -t 18 -n 2000 -s 10000 write h1/ca1 h2/ca2 >"$scratch/busy" 2>&1 &
	pid=$!
	for ((i = 0; i < 20; i++)); do
		set_dev 1 down
		set_dev 1 up
		sleep 0.1
	done
	wait $pid || { cat "$scratch/busy"; status=1; }
	return $status
}

#
# Sockets of AF_IB
#

# ib_python HOST CODE: python code with such sockets; address() is that of a GID and a
# port of rdma_cm's port space for datagrams
ib_python()
{
	in_host "$1" timeout 60 /usr/bin/python3 -c '
import ctypes, os, socket, struct, sys
AF_IB, SOL_IB, IB_ADD_MEMBERSHIP, SENDONLY = 27, 289, 10, 1
libc = ctypes.CDLL(None, use_errno=True)
name, gids = sys.argv[1], sys.argv[2:]
def call(n):
    if n < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return n
def address(gid, port):
    return struct.pack("=H", AF_IB) + struct.pack(">HI16sQQQ", 0xffff, 0,
        socket.inet_pton(socket.AF_INET6, gid), 0x1110000 | port, 2**64 - 1, 0)
def bound(name, gid, port):
    s = socket.socket(AF_IB, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
    to = address(gid, port)
    call(libc.bind(s.fileno(), to, len(to)))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 10, 0))
    return s
def send(s, data, to): call(libc.sendto(s.fileno(), data, len(data), 0, to, len(to)))
def receive(s):
    data, sender, size = bytes(5000), bytes(48), ctypes.c_int(48)
    n = call(libc.recvfrom(s.fileno(), data, len(data), 0, sender, ctypes.byref(size)))
    return data[:n], sender
def join(s, group, flags):
    s.setsockopt(SOL_IB, IB_ADD_MEMBERSHIP, struct.pack("=16s16sII",
        socket.inet_pton(socket.AF_INET6, group), bytes(16), 0, flags))
'"$2" "$(dev "$1")" "$(gid 1)" "$(gid 2)"
}

# answered CODE1 CODE2: code on h1 that succeeds while that on h2 runs, which has a
# socket and may say ready() when it listens
answered()
{
	local pid status=0

	: >"$scratch/answers"	# of the last time
	ib_python 2 "s = bound(name, gids[1], 4321)
def ready(): print('ready', os.getpid(), flush=True)
$2" >>"$scratch/answers" 2>&1 &
	pid=$!
	within 20 grep -q ready "$scratch/answers" && ib_python 1 "$1" || status=1
	kill "$(sed -n 's/^ready //p' "$scratch/answers")" 2>/dev/null
	wait $pid
	[ $status = 0 ] || cat "$scratch/answers"
	return $status
}

echo_messages()
{
	answered 's = bound(name, gids[0], 0)
for i in range(100):
    send(s, bytes(1000), address(gids[1], 4321))
    if len(receive(s)[0]) != 1000: sys.exit(1)' 'ready()
while True: send(s, *receive(s))'
}

both_ways()
{
	grows 1 tx bytes 100000 grows 1 rx bytes 100000 grows 2 tx bytes 100000 \
		grows 2 rx bytes 100000 echo_messages
}

# A socket that is bound to another netdevice has no port
bound_to_port()
{
	says 'Cannot assign requested address' refused_by_eth0
}
refused_by_eth0()
{
	ib_python 1 'try: bound("eth0", gids[0], 0)
except OSError as e: print(e)'
}

no_messages()
{
	rules 1 egress "$dlid $(lid 2) $vl 0 counter name a drop" && refuses echo_messages &&
		filtered a -ge 1 && no_rules h1 && echo_messages
}

# What a message of 64 bytes to a group has around it. Who has joined may be let in before
# the switch knows of it
group_message()
{
	answered 'import time
s = bound(name, gids[0], 0)
join(s, "ff15:a01b::1:77", SENDONLY)
for i in range(50):
    send(s, b"M" * 64, address("ff15:a01b::1:77", 0))
    send(s, b"heard?", address(gids[1], 4321))
    if receive(s)[0] == b"M" * 64: sys.exit(0)
    time.sleep(0.1)
sys.exit(1)' 'join(s, "ff15:a01b::1:77", 0)
ready()
heard = b"nothing"
while True:
    message, sender = receive(s)
    if message == b"heard?": send(s, heard, sender)
    else: heard = message'
}

group_packet()
{
	local code='import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.1"))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
for i in range(5): s.sendto(b"M" * 64, ("239.1.2.3", 4321))'

	in_host 1 /usr/bin/python3 -c "$code"
	sleep 0.5	# the group is joined
	in_host 1 /usr/bin/python3 -c "$code"
}

# bytes_of COMMAND...: on the cable, of the packet that has the message
bytes_of()
{
	captured h1 cable "$scratch/group.pcap" "$@" >"$scratch/group" 2>&1 ||
		{ cat "$scratch/group" >&2; return 1; }
	plain "$scratch/group.pcap" -Y 'frame contains "MMMMMMMMMMMMMMMM"' -e frame.len |
		sort -u
}

group_bytes()
{
	local own ip

	ipoib_up 1 && ipoib_up 2 || return
	own=$(bytes_of group_message) && ip=$(bytes_of group_packet) || return
	echo "AF_IB $own, UDP over IPoIB $ip bytes of Ethernet"
	[ "$own" -lt "$ip" ]
}

not_all_gone()
{
	local n left=0

	for ((n = 1; n <= cas; n++)); do
		in_host $n rdma link del ca$n
		not_there h$n "$(dev $n)" || left=1
	done
	return $left
}

fabric star 2 || skip_all "no fabric"
is_there 1 || skip_all "ports have no netdevices"
it "each port of an adapter has one" made
it "ip -d link: type, kind, address, GUID" link_type
it "the address is the GID" of_all address_is_gid
it "it has no address of IP" no_ip
it "what cannot be changed" not_to_be_changed
it "it is nothing for a bridge" no_bridge
it "dormant as long as nobody has made the port active" of_all dormant
it "the name follows that of the device" follows_name
it "but not if it was given one" keeps_its_own_name
it "a device with a long name" name_too_long
it "a name that is taken" name_taken
it "gone with the device" gone_with_device
it "gone with the device's cable" gone_with_cable
it "gone while it is used" gone_while_used
it "it moves with its device" moves
it "it follows its device out of a namespace that ends" follows_out_of_namespace

it "capture while opensm brings the fabric up" captured h1 "$(dev 1)" "$scratch/sm.pcap" brought_up
it "capture: subnet management by directed routes and LIDs" from_the_beginning "$scratch/sm.pcap"
it "capture: tshark knows all of that" all_known "$scratch/sm.pcap"
it "up when the port is active" of_all up
it "MTU" of_all mtu
it "the address is the GID, still" of_all address_is_gid
if [ -n "${IP:-}" ]; then
	it "ip -d link: what a port is like" of_all details
	it "ip -d -s link: counters" details_of_counters
	it "ip -d -j link" as_json
else
	skip "ip -d link: what a port is like" "no IP"
fi
ynl=$tools/net/ynl/pyynl/cli.py spec=$tools/../Documentation/netlink/specs/rt-link.yaml
[ -e "$ynl" ] || ynl=${KSRC:-$tools/../build/tree}/tools/net/ynl/pyynl/cli.py
[ -e "$spec" ] || spec=${KSRC:-$tools/../build/tree}/Documentation/netlink/specs/rt-link.yaml
if [ -e "$ynl" ] && /usr/bin/python3 -c 'import yaml, jsonschema' 2>/dev/null; then
	it "rtnetlink, by its specification" by_spec
else
	skip "rtnetlink, by its specification" "no ynl"
fi
it "statistics: packets sent" grows 1 tx packets 64 xfer -n 64 -s 100 send
it "statistics: packets received" grows 2 rx packets 64 xfer -n 64 -s 100 send
it "statistics: bytes sent" grows 1 tx bytes 6400000 xfer -n 100 -s 64000 write
it "statistics: bytes received" grows 1 rx bytes 6400000 xfer -n 100 -s 64000 read
it "statistics: those of the port" as_port_counts
it "ethtool -i" driver
it "ethtool" settings
it "ethtool -S" statistics
it "a cable pulled, and put back" pulled
start_responder
it "set down: subnet management only" set_down
it "set up again" set_up
it "set down: nothing is sent" set_down_here
it "set down: a subnet manager finds it" comes_up_when_down
it "up and down while packets pass" up_and_down

it "a super-packet passes whole" super_passes
it "and is not made if that is told" super_cut
it "or cut on its way" super_cut_late
no_super h1 "$(dev 1)"
no_super h1 cable
no_super h2 cable
it "tcpdump" captured h1 "$(dev 1)" "$scratch/all.pcap" everything
it "capture: link type" link_layer "$scratch/all.pcap"
it "capture: tshark knows packets with a GRH by itself" global_known "$scratch/all.pcap"
it "capture: tshark knows all of every packet" all_known "$scratch/all.pcap"
sed 's/^/# /' "$scratch/it"
it "capture: LIDs, both ways" lids_right "$scratch/all.pcap"
it "capture: every transport" transports "$scratch/all.pcap"
it "capture: management" management "$scratch/all.pcap"
it "capture: packets as on the wire" whole "$scratch/all.pcap"
it "capture: what the port sends to itself" to_itself
it "tshark, live" live
it "super-packets again" super_again

filter "count what is sent, by LID and lane" count_out
filter "count what is received, by LID and lane" count_in
filter "count by P_Key and operation" count_keys
filter "count by GID" by_gids
filter "drop what is sent, by LID" drop_out_by_lid
filter "drop what is received, by LID" drop_in_by_lid
filter "drop by queue pair" drop_by_qpn
filter "drop by P_Key" drop_by_pkey
filter "drop subnet management" drop_management
it "tc: netem loses packets" lossy
it "tc: tbf" slow
it "tc: classifiers" classified
it "AF_PACKET: a packet of one's own" sent_raw
it "AF_PACKET: with the LRH as address" sent_cooked
it "AF_PACKET: what is no packet goes nowhere" none_of_ours
it "IP goes nowhere" no_ip_goes
it "AF_IB: messages both ways" both_ways
it "AF_IB: bound to a netdevice that is no port's" bound_to_port
filter "drop messages of AF_IB" no_messages
it "64 bytes to a group on the wire" group_bytes
sed 's/^/# /' "$scratch/it"
it "all is as before" xfer -n 64 write
kill "$responder" 2>/dev/null
it "gone with the devices" not_all_gone
finish
