#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qp_interop.sh [TYPE...]
#
# Lets queue pairs talk with programs of librdmacm, as client and as server, over
# IPv4 and IPv6. The program's host has an RDMA device of each TYPE in turn, made
# by the administrator (qpemu, rxe and siw); that of the queue pair has none, so
# the kernel makes one of qpemu or siw. What is said is checked by both.

# shellcheck disable=SC2119,SC2317  # functions run by name
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

need rdma_client rdma_server ucmatose rping qp_interop
ours=0 theirs=1		# hosts
port=7471

# served() with the queue pair's end as the client, or as the server
talk()
{
	local role=$1 program=$2 command=$3

	case $role in
	client)	server=$theirs client=$ours
		it "$who $program" served cm "$command" "qp_interop ${*:4}" ;;
	server)	server=$ours client=$theirs
		it "$who $program" served listens "qp_interop ${*:4}" "$command" ;;
	esac
}

as_client()
{
	local to="ip${family}[$theirs]"

	to=${!to}
	who="IPv$family, $type, client of"
	talk client rdma_server "rdma_server -s $to -p $port" rdma client "$to" $port
	talk client ucmatose "ucmatose -f $format -b $to -c 4 -C 10 -S 4000 -p $port" \
		-c 4 -C 10 -S 4000 ucmatose client "$to" $port
	talk client rping "rping -s -V -C 10 -S 5000 -a $to -p $port" \
		-C 10 -S 5000 rping client "$to" $port
}

as_server()
{
	local to="ip${family}[$ours]"

	to=${!to}
	who="IPv$family, $type, server of"
	talk server rdma_client "rdma_client -s $to -p $port" rdma server "$to" $port
	talk server ucmatose "ucmatose -f $format -s $to -c 4 -C 10 -S 4000 -p $port" \
		-c 4 -C 10 -S 4000 ucmatose server "$to" $port
	talk server rping "rping -c -V -C 10 -S 5000 -a $to -p $port" \
		-C 10 -S 5000 rping server "$to" $port
}

device()
{
	link_add "$ns1" "$type" "$type" veth0 || return
	[ "$type" = siw ] || settle "$ns1" "$type" "${ip6[1]}" veth0
}

hosts
[ $# -gt 0 ] || set -- qpemu rxe siw
for type; do
	device || { skip "$type" "there is no device of this type"; continue; }
	for family in 4 6; do
		format=ip
		[ $family = 4 ] || format=ipv6
		as_client
		as_server
	done
	n1 rdma link del "$type"
done
finish
