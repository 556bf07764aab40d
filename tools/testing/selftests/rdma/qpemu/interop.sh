#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# interop.sh [TYPE0 [TYPE1]]
#
# Lets the usual programs of RDMA talk between two devices of these types, over
# IPv4 and IPv6, each device in both roles: perftest with every transport and
# operation and messages of 2 bytes to 8 MiB, the examples of libibverbs and
# librdmacm, and transfers of which every byte is checked.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type0=${1:-qpemu} type1=${2:-rxe}
need ib_send_bw ibv_rc_pingpong rping ethtool

# gid HOST: where the family's address is
gid()
{
	local ns=ns$1 dev=dev$1 ip="ip${family}[$1]"

	gid_index "${!ns}" "${!dev}" "${!ip}"
}

# perftest NAME PROGRAM OPTION...
perftest()
{
	local name=$1 d0=dev$server d1=dev$client ready=18515

	shift
	[[ " $* " != *" -R "* ]] || ready=cm
	# they find each other over IPv4; the GID is the family's
	it "$who $name" served $ready \
		"$1 -d ${!d0} -x ${gids[server]} -F ${*:2}" \
		"$1 -d ${!d1} -x ${gids[client]} -F ${*:2} ${ip4[server]}"
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
			*)		sizes='-a -n 5' ;;
			esac
			# shellcheck disable=SC2086
			perftest "ib_${op}_bw $transport" ib_${op}_bw -c $transport $sizes
			perftest "ib_${op}_lat $transport" ib_${op}_lat -c $transport -n 100
		done
	done
	perftest "ib_write_bw, both ways, 4 queue pairs" ib_write_bw -b -q 4 -s 4096 -n 50
	perftest "ib_send_bw, both ways, SRQ" ib_send_bw -b --use-srq -q 2 -s 4096 -n 50
	[ "$family" = 6 ] ||
		perftest "ib_write_bw, rdma_cm" ib_write_bw -R -s 65536 -n 20
}

# pingpong PROGRAM OPTION...
pingpong()
{
	local d0=dev$server d1=dev$client

	it "$who $*" served 18515 \
		"ibv_$1_pingpong -d ${!d0} -g ${gids[server]} -n 100 ${*:2}" \
		"ibv_$1_pingpong -d ${!d1} -g ${gids[client]} -n 100 ${*:2} ${ip4[server]}"
}

pingpongs()
{
	pingpong rc -c
	pingpong rc -c -s 1048576 -n 5
	pingpong rc -c -e
	pingpong uc -c
	pingpong ud -c -s 1024
	pingpong srq -c -q 4
}

cm_examples()
{
	local to="ip${family}[$server]" f=$family

	it "$who rping" served cm "rping -s -V -C 20 -a ${!to}" "rping -c -V -C 20 -a ${!to}"
	it "$who rping, 64 KiB" served cm "rping -s -V -C 5 -S 65535 -a ${!to}" \
		"rping -c -V -C 5 -S 65535 -a ${!to}"
	it "$who ucmatose" served cm "ucmatose -f ip$f -b ${!to} -c 4 -C 10 -S 4000" \
		"ucmatose -f ip$f -s ${!to} -c 4 -C 10 -S 4000"
	it "$who udaddy" served cm "udaddy -b ${!to} -c 4 -C 10 -S 1000" \
		"udaddy -s ${!to} -c 4 -C 10 -S 1000"
	it "$who rdma_client, rdma_server" served cm "rdma_server -s ${!to} -p 7471" \
		"rdma_client -s ${!to} -p 7471"
}

groups=([4]=239.1.2.3 [6]=ff15::1:2:3)

# has_joined HOST GROUP: mckey says so when its queue pair is attached
has_joined()
{
	soon grep -q 'joined dgid' "$scratch/server" &&
		on "$1" ip maddr show dev veth0 | grep -q "$2" && return
	echo "the server, or its host, is not in the group"
	return 1
}

# The server wants ten messages. mckey's sender ends when it has posted them, and
# what it posted ends with it. By then rxe, which sends in a work queue, has often
# sent none of some hundreds: there it posts thousands, until the server has ended.
# From others no message may be missing.
multicast()
{
	local me="ip${family}[$server]" from="ip${family}[$client]" ns=ns$server
	local group=${groups[family]} count=10 pid status=0

	[ "${types[client]}" != rxe ] || count=4000
	: >"$scratch/server"
	ip netns exec "${!ns}" timeout "${TALK:-60}" stdbuf -oL \
		mckey -m "$group" -b "${!me}" -C 10 >"$scratch/server" 2>&1 </dev/null &
	pid=$!
	has_joined "$server" "$group" || status=1
	while :; do
		on "$client" mckey -m "$group" -b "${!from}" -C $count -s \
			>"$scratch/client" 2>&1 || status=$?
		sleep 0.2
		[ $count != 10 ] || break
		[ $status = 0 ] || break
		kill -0 $pid 2>/dev/null || break
	done
	wait $pid || status=$?
	tail -n 5 "$scratch/server" "$scratch/client"
	return $status
}

transfers()
{
	local v6='' op ends=("$end0" "$end1")

	[ "$family" = 6 ] && v6=-6
	for op in send send_imm write write_imm read fetch_add cmp_swap; do
		# shellcheck disable=SC2086
		it "$who $op, checked" rdma_xfer $v6 -n 48 $op "${ends[client]}" "${ends[server]}"
	done
	# shellcheck disable=SC2086
	{
	for op in send write write_imm; do
		it "$who lists of $op of 8 bytes, checked" \
			rdma_xfer $v6 -l -s 8 -n 96 -d 32 $op "${ends[client]}" "${ends[server]}"
	done
	it "$who send of 3 bytes, checked" \
		rdma_xfer $v6 -s 3 -n 100 send "${ends[client]}" "${ends[server]}"
	it "$who inline write_imm, checked" \
		rdma_xfer $v6 -i -s 61 -n 100 write_imm "${ends[client]}" "${ends[server]}"
	it "$who read of 1 MiB and a byte, checked" \
		rdma_xfer $v6 -s 1048577 -d 2 -n 4 read "${ends[client]}" "${ends[server]}"
	it "$who write by UC, checked" \
		rdma_xfer $v6 -u -n 16 -d 1 write_imm "${ends[client]}" "${ends[server]}"
	it "$who send with a path MTU of 256, checked" \
		rdma_xfer $v6 -m 256 -n 16 send "${ends[client]}" "${ends[server]}"
	}
}

hosts
devices_on "$type0" "$type1"
while :; do
	for family in 4 6; do
		types=("$type0" "$type1")
		who="IPv$family ${types[client]}->${types[server]}"
		gids=("$(gid 0)" "$(gid 1)")
		perftests
		[ $family = 6 ] || pingpongs
		cm_examples
		it "$who mckey" multicast
		transfers
	done
	[ $client = 1 ] || [ "$type0" = "$type1" ] && break
	exchange_roles
done
finish
