#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_traffic.sh [FABRIC [ARGUMENT]]
#
# The usual programs of RDMA over InfiniBand: perftest with every transport and
# operation, by LID and by GID, the examples of libibverbs, those of librdmacm with
# GIDs for addresses and over IPoIB, multicast, and transfers of which every byte is
# checked. Between two hosts on one switch, unless told otherwise.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

need ib_send_bw ibv_rc_pingpong rping ucmatose mckey

# perftest NAME PROGRAM OPTION...
perftest()
{
	it "by $by, $1" served 18515 "$2 -d ca$server $by_option -F ${*:3}" \
		"$2 -d ca$client $by_option -F ${*:3} 192.168.77.$server"
}

perftests()
{
	local op transport sizes

	for op in send write read atomic; do
		for transport in RC UC UD; do
			case $op-$transport in
			read-U* | atomic-U* | write-UD) continue ;;
			esac
			case $op-$transport in
			atomic-*)	sizes='-n 100' ;;
			# what is lost is lost, and waited for
			*-UC)		sizes='-s 4096 -n 5' ;;
			*-UD)		sizes='-s 2048 -n 50' ;;
			# the way by GID is the same, but for a header
			*-RC)		sizes='-a -n 5'
					[ $by = LID ] || sizes='-s 65536 -n 50' ;;
			esac
			perftest "ib_${op}_bw $transport" ib_${op}_bw -c $transport $sizes
			perftest "ib_${op}_lat $transport" ib_${op}_lat -c $transport -n 100
		done
	done
	perftest "ib_write_bw, both ways, 4 queue pairs" ib_write_bw -b -q 4 -s 4096 -n 50
	perftest "ib_send_bw, both ways, SRQ" ib_send_bw -b --use-srq -q 2 -s 4096 -n 50
}

# pingpong PROGRAM OPTION...
pingpong()
{
	it "by $by, ibv_$1_pingpong ${*:2}" served 18515 \
		"ibv_$1_pingpong -d ca$server $gid_option -n 100 ${*:2}" \
		"ibv_$1_pingpong -d ca$client $gid_option -n 100 ${*:2} 192.168.77.$server"
}

pingpongs()
{
	pingpong rc -c
	pingpong rc -c -m 4096 -s 1048576 -n 5
	pingpong rc -c -e
	pingpong uc -c
	pingpong ud -c -s 1024
	pingpong srq -c -q 4
}

transfers()
{
	local op ends=("h$client/ca$client" "h$server/ca$server")

	for op in send send_imm write write_imm read fetch_add cmp_swap; do
		it "by $by, $op, checked" rdma_xfer $xfer_option -n 48 $op "${ends[@]}"
	done
	it "by $by, send of 3 bytes, checked" \
		rdma_xfer $xfer_option -s 3 -n 100 send "${ends[@]}"
	it "by $by, lists of write of 8 bytes, checked" \
		rdma_xfer $xfer_option -l -s 8 -n 96 -d 32 write "${ends[@]}"
	it "by $by, read of 1 MiB and a byte, checked" \
		rdma_xfer $xfer_option -s 1048577 -d 2 -n 4 read "${ends[@]}"
	it "by $by, write by UC, checked" \
		rdma_xfer $xfer_option -u -n 16 -d 1 write_imm "${ends[@]}"
	it "by $by, send with a path MTU of 256, checked" \
		rdma_xfer $xfer_option -m 256 -n 16 send "${ends[@]}"
}

#
# Connections by rdma_cm
#

# With GIDs for addresses: paths from the subnet administration, requests by MADs
cm_by_gids()
{
	local to from

	to=$(gid $server) from=$(gid $client)
	it "by GID, ucmatose" served "starting server" "stdbuf -oL ucmatose -f gid -P ib -b $to -c 4 -C 10 -S 4000" \
		"ucmatose -f gid -P ib -b $from -s $to -c 4 -C 10 -S 4000"
	it "by GID, udaddy" served "starting server" "stdbuf -oL udaddy -f gid -b $to -c 4 -C 10 -S 1000" \
		"udaddy -f gid -b $from -s $to -c 4 -C 10 -S 1000"
}

cm_over_ipoib()
{
	local to

	to=$(ipoib_ip $server)
	it "rping" served cm "rping -s -V -C 20 -a $to" "rping -c -V -C 20 -a $to"
	it "rping, IPv6" served cm "rping -s -V -C 20 -a fd09::$server" \
		"rping -c -V -C 20 -a fd09::$server"
	it "rping, 64 KiB" served cm "rping -s -V -C 5 -S 65535 -a $to" \
		"rping -c -V -C 5 -S 65535 -a $to"
	it "ucmatose" served cm "ucmatose -b $to -c 4 -C 10 -S 4000" \
		"ucmatose -s $to -c 4 -C 10 -S 4000"
	it "udaddy" served cm "udaddy -b $to -c 4 -C 10 -S 1000" \
		"udaddy -s $to -c 4 -C 10 -S 1000"
	it "rdma_client, rdma_server" served cm "rdma_server -s $to -p 7471" \
		"rdma_client -s $to -p 7471"
	it "ib_write_bw, rdma_cm" served cm "ib_write_bw -R -F -s 65536 -n 20" \
		"ib_write_bw -R -F -s 65536 -n 20 $to"
}

#
# Multicast groups, made by whoever joins first
#

# member GROUP HOST: the subnet administration has it, and tells who shows a key
member()
{
	in_host 1 saquery --smkey 1 -m "$(mlid "$1")" >"$scratch/members" 2>&1
	grep -q "ca$2" "$scratch/members"
}

mlid()
{
	in_host 1 saquery -g 2>/dev/null |
		awk -v group="$1" '/MGID\./ { sub(/.*\.\./, ""); found = $0 == group }
			found && /Mlid\./ { sub(/.*\.\./, ""); print; exit }'
}

no_group() { [ -z "$(mlid "$1")" ]; }

# multicast MGID NET ADDRESS: mckey between the hosts' addresses of that net
multicast()
{
	local group=$1 net=$2 pid status=0

	shift 2
	: >"$scratch/server"
	ip netns exec "h$server" timeout 60 stdbuf -oL mckey -m "$1" -b "$net$server" \
		-C 10 >"$scratch/server" 2>&1 </dev/null &
	pid=$!
	soon grep -q 'joined dgid' "$scratch/server" || status=1
	within 10 member "$group" $server || { echo "no member of $group"; status=1; }
	in_host $client timeout 60 mckey -m "$1" -b "$net$client" -C 10 -s \
		>"$scratch/client" 2>&1 || status=$?
	wait $pid || status=$?
	tail -n 5 "$scratch/server" "$scratch/client"
	cat "$scratch/members"
	within 10 no_group "$group" || { echo "the group stays"; status=1; }
	return $status
}

multicasts()
{
	# rdma_cm has groups of its own beside those of IPoIB
	it "mckey, a group of IPv4" multicast ff12:4001:ffff::f01:203 10.9.0. 239.1.2.3
	it "mckey, a group of IPv6" multicast ff12:6001:ffff::123 fd09:: ff12::123
	it "ib_send_lat, multicast" served 18515 "ib_send_lat -c UD -g -d ca$server -F -n 100" \
		"ib_send_lat -c UD -g -d ca$client -F -n 100 192.168.77.$server"
}

no_dropped_packets()
{
	local n

	for n in $server $client; do
		in_host "$n" perfquery >"$scratch/perf" 2>&1 || return
		! grep -E '(PortRcvErrors|PortXmitDiscards|ConstraintErrors|VL15Dropped):\.+[1-9]' \
			"$scratch/perf" || return
	done
}

[ $# != 0 ] || set -- star 2
fabric "$@" || skip_all "no fabric"
it "opensm brings up $fabric" fabric_up 1
for by in LID GID; do
	by_option='' gid_option='' xfer_option=''
	[ $by = LID ] || by_option='-x 0' gid_option='-g 0' xfer_option=-G
	perftests
	pingpongs
	transfers
done
cm_by_gids
it "IPoIB is up" of_all ipoib_up
cm_over_ipoib
multicasts
it "ports dropped nothing" no_dropped_packets
finish
