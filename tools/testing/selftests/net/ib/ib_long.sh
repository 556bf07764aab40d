#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many AF_IB sockets: CONNECTIONS (20) at once that carry MIB (4) each over a link with
# an MTU of MTU (1500) that loses 2 % of the packets, of TYPES (seqpacket and stream;
# mixed is both at once) and GIDs of VERSIONS (4 and 6); and SOCKETS (10000) for
# datagrams in one network namespace.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

connections=${CONNECTIONS:-20} mib=${MIB:-4} sockets=${SOCKETS:-10000}
types=${TYPES:-seqpacket stream} versions=${VERSIONS:-4 6} mtu=${MTU:-1500}

# load NAME OPTION...: passes if ib_load does, and tells its figures
load()
{
	local name=$1 status=0

	shift
	ib_load "$@" >"$scratch/load" 2>&1 </dev/null || status=$?
	[ $status != 0 ] || cat "$scratch/load"
	result $status "$name" "$scratch/load"
}

need ib_load tc
for type in $types; do
	for version in $versions; do
		options=(-t "$type" -n "$connections" -m "$mib" -M "$mtu")
		[ "$version" = 4 ] || options+=(-6)
		load "$connections x $mib MiB, $type, IPv$version" "${options[@]}"
	done
done
load "$sockets datagram sockets" -d -n "$sockets"
finish
