#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_capture.sh
#
# Captures what is on the cables of a fabric: subnet management, subnet
# administration, every transport and operation, multicast. tshark must know each
# packet as InfiniBand and find nothing malformed; roce_check, which shares no code
# with the driver, computes both CRCs of each.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

need tshark editcap tcpdump ethtool

# tshark takes whole packets of InfiniBand for what they are if told so; editcap
# takes the Ethernet header away. The hellos of the cable's ends have a version that
# no packet has.
as_infiniband()
{
	editcap -F pcap -T user0 -C 14 "$1" "$1.ib" &&
		tshark -o 'uat:user_dlts:"User 0 (DLT=147)","infiniband","0","","0",""' \
			--disable-protocol rpcordma -r "$1.ib" \
			-Y 'infiniband.lrh.lver != 15' "${@:2}" 2>/dev/null
}

decoded()
{
	as_infiniband "$1" -T fields -e frame.number -e frame.protocols -e _ws.malformed \
		>"$scratch/fields"
	[ -s "$scratch/fields" ] || { echo "no packet"; return 1; }
	awk -F'\t' '$2 !~ /infiniband/ || $3 != "" { print; bad = 1 }
		END { print NR " packets"; exit bad }' "$scratch/fields"
}

# judge NAME FILE
judge()
{
	it "$1: tshark knows every packet as InfiniBand" decoded "$2"
	it "$1: lengths and CRCs of every packet are right" roce_check "$2"
	sed 's/^/# /' "$scratch/it"
}

# shows FILE TEXT...: tshark says so of some packets
shows()
{
	local text

	as_infiniband "$1" >"$scratch/summary"
	for text in "${@:2}"; do
		grep -q -- "$text" "$scratch/summary" || { echo "no $text"; return 1; }
	done
}

# The scenes
management()
{
	in_host 2 ibnetdiscover && in_host 2 saquery && in_host 2 saquery -p &&
		in_host 2 perfquery && in_host 2 smpquery PI "$(lid 1)"
}

talk()
{
	local op size ends="h1/ca1 h2/ca2"

	for op in send send_imm write write_imm read; do
		for size in 1 3 1024 4099 40000; do
			rdma_xfer $1 -n 4 -d 4 -s $size $op $ends || return
		done
	done
	for op in send send_imm write write_imm; do
		rdma_xfer $1 -u -n 4 -d 4 -s 10001 $op $ends || return
		rdma_xfer $1 -l -n 64 -d 32 -s 8 $op $ends || return
	done
	rdma_xfer $1 -n 20 fetch_add $ends && rdma_xfer $1 -n 20 cmp_swap $ends &&
		rdma_xfer $1 -m 256 -n 4 send $ends
}

over_ipoib()
{
	of_all ipoib_up && in_host 1 ping -c 5 -i 0.2 "$(ipoib_ip 2)" &&
		in_host 1 ping -c 2 -s 5000 "$(ipoib_ip 2)" &&
		served cm "rping -s -C 3 -a $(ipoib_ip 2)" "rping -c -C 3 -a $(ipoib_ip 2)"
}

fabric star 2 || skip_all "no fabric"
for n in 1 2; do
	no_super h$n cable
	no_super s1 p$n
done
need ping rping
it "opensm" captured h1 cable "$scratch/sm.pcap" fabric_up 1
judge opensm "$scratch/sm.pcap"
it "opensm: directed routes" shows "$scratch/sm.pcap" 'SubnGet(NodeInfo)' \
	'SubnSet(PortInfo)' 'SubnSet(LinearForwardingTable)'
it "tools" captured h2 cable "$scratch/mad.pcap" management
judge tools "$scratch/mad.pcap"
it "by LID" captured h1 cable "$scratch/lid.pcap" talk ''
judge "by LID" "$scratch/lid.pcap"
it "by GID" captured s1 p2 "$scratch/gid.pcap" talk -G
judge "by GID" "$scratch/gid.pcap"
it "IPoIB" captured h2 cable "$scratch/ipoib.pcap" over_ipoib
judge IPoIB "$scratch/ipoib.pcap"
finish
