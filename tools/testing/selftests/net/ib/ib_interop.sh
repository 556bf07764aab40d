#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_interop.sh [TYPE...]
#
# Lets AF_IB sockets talk with programs of librdmacm over IPv4's and IPv6's GIDs.
# The program's host has an RDMA device of each TYPE in turn, made by the
# administrator (qpemu and rxe); that of the socket has none, so the kernel makes
# one. What is said is checked by both.

# shellcheck disable=SC2119,SC2317  # functions run by name
# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

need ucmatose udaddy mckey ib_interop ib_hello
ours=0 theirs=1		# hosts
port=7471

# talk CLIENT SERVER NAME READY SERVER-COMMAND CLIENT-COMMAND: served() of two hosts
talk()
{
	client=$1 server=$2
	it "$who $3" served "${@:4}"
}

connections()
{
	local size

	for size in 1 4000; do
		local options="-c 4 -C 10 -S $size"

		talk $ours $theirs "ucmatose serves, $size bytes" cm \
			"ucmatose -f $format -b $to $options -p $port" \
			"ib_interop $options ucmatose client $to $port"
		talk $theirs $ours "ucmatose connects, $size bytes" listens \
			"ib_interop $options ucmatose server $me $port" \
			"ucmatose -f $format -s $me $options -p $port"
	done
}

# What a peer says of itself is believed within reason: type, buffers, bytes of one
hellos()
{
	local h number want

	for h in "5 16 32448" "5 1 256" "1 16 32448" "5 0 32448" "5 16 0" "5 16 240"; do
		want=refused number=1
		[[ $h != "5 1"*[68] ]] || want=accepted number=2
		talk $theirs $ours "who says $h is $want" listens \
			"ib_interop -c $number hello server $me $port" \
			"ib_hello $want $me $port $h"
	done
}

datagrams()
{
	local group=${groups[family]} text="joined dgid"

	talk $theirs $ours "udaddy asks" listens \
		"ib_interop -C 10 -S 100 udaddy server $me 0" \
		"udaddy -s $me -C 10 -S 100"
	talk $ours $theirs "mckey receives" "$text" \
		"stdbuf -oL mckey -m $group -b $to -C 10 -S 100" \
		"ib_interop -C 10 -S 100 mckey client $group veth0"
	# rxe's mckey may end before it has sent all: it sends more than is waited for
	talk $theirs $ours "mckey sends" listens \
		"ib_interop -C 10 -S 100 mckey server $group veth0" \
		"mckey -m $group -b $to -C 4000 -S 100 -s"
}

device()
{
	link_add "$ns1" "$type" "$type" veth0 &&
		settle "$ns1" "$type" "${ip6[1]}" veth0
}

groups=([4]=239.1.2.4 [6]=ff15::1:2:4)
hosts
[ $# -gt 0 ] || set -- qpemu rxe
for type; do
	device || { skip "$type" "there is no device of this type"; continue; }
	for family in 4 6; do
		format=ip
		[ $family = 4 ] || format=ipv6
		who="IPv$family, $type:"
		me="ip${family}[$ours]" to="ip${family}[$theirs]"
		me=${!me} to=${!to}
		connections
		hellos
		datagrams
	done
	n1 rdma link del "$type"
done
finish
