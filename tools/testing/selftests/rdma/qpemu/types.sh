#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# types.sh [TYPE]
#
# An RDMA device of this type on each sort of netdevice, and traffic through it. All
# but the last ones lie above the veth pair that joins the hosts:
#
#	veth   vlan   bridge   bond   macvlan
#	  │     │       │       │        │
#	  └─────┴───────┴─ veth0 ┴───────┘
#
#	tap, tun	joined by a process that holds both ends
#	lo, dummy	a device that talks to itself

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu}

# both COMMAND...: "ip" with these arguments, in both hosts
both()
{
	ip0 "$@" && ip1 "$@"
}

make_veth() { dev=veth0; }

make_vlan()
{
	both addr flush dev veth0
	both link add link veth0 name vlan5 type vlan id 5
	dev=vlan5
}

make_bridge()
{
	both addr flush dev veth0
	both link add br0 type bridge
	both link set veth0 master br0
	dev=br0
}

make_bond()
{
	both addr flush dev veth0
	both link set veth0 down
	both link add bond7 type bond mode active-backup
	both link set veth0 master bond7
	both link set veth0 up
	dev=bond7
}

make_macvlan()
{
	both addr flush dev veth0
	both link add link veth0 name mac0 type macvlan mode bridge
	dev=mac0
}

# What is written to one end comes out of the other.
relay()
{
	/usr/bin/python3 -c '
import fcntl, os, select, struct, sys
flags, name, spaces = int(sys.argv[1], 0), sys.argv[2], sys.argv[3:]
CLONE_NEWNET, TUNSETIFF, IFF_NO_PI = 0x40000000, 0x400454ca, 0x1000
import ctypes
libc = ctypes.CDLL(None)
ends = []
for space in spaces:
    with open("/run/netns/" + space) as ns:
        if libc.setns(ns.fileno(), CLONE_NEWNET):
            sys.exit("setns")
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | IFF_NO_PI))
    ends.append(fd)
print("ready", flush=True)
while True:
    for fd in select.select(ends, [], [])[0]:
        try:
            os.write(ends[fd == ends[0]], os.read(fd, 65536))
        except OSError:
            pass' "$@"
}

make_tunnel()
{
	both addr flush dev veth0
	: >"$scratch/relay"
	relay "$1" "$2" "$ns0" "$ns1" >"$scratch/relay" 2>&1 &
	until grep -q . "$scratch/relay"; do
		sleep 0.05
	done
	dev=$2
}

make_tap() { make_tunnel 2 tap0; }
make_tun() { make_tunnel 1 tun0; }

traffic()
{
	rdma_xfer -T 30 -n 16 write "$1" "$2" &&
		rdma_xfer -T 30 -n 16 send "$1" "$2" &&
		rdma_xfer -T 30 -n 16 read "$1" "$2" &&
		{ [ -n "${3:-}" ] || rdma_xfer -T 30 -6 -n 16 send "$1" "$2"; }
}

both_gids()
{
	wait_gid "$ns0" "$dev0" "${ip6[0]}" && wait_gid "$ns1" "$dev1" "${ip6[1]}"
}

try()
{
	hosts
	make_"$1"
	[ "$dev" = veth0 ] || address "$dev"
	dev0=a_$1 dev1=b_$1
	it "link add on $1" link_add "$ns0" "$dev0" "$type" "$dev"
	if link_add "$ns1" "$dev1" "$type" "$dev" 2>/dev/null; then
		it "GIDs on $1" both_gids
		it "traffic on $1" traffic "$ns0/$dev0" "$ns1/$dev1"
		it "link del on $1" n0 rdma link del "$dev0"
	fi
	end_hosts
}

try_alone()
{
	host "$ns0"
	case $1 in
	lo)	dev=lo ;;
	dummy)	ip0 link add dummy7 type dummy
		dev=dummy7
		ip0 link set dummy7 up
		ip0 addr add "${ip4[0]}/24" dev dummy7
		ip0 addr add "${ip6[0]}/64" dev dummy7 nodad ;;
	esac
	it "link add on $1" link_add "$ns0" "a_$1" "$type" "$dev"
	if [ -n "$(devices "$ns0")" ]; then
		[ "$1" = lo ] || wait_gid "$ns0" "a_$1" "${ip6[0]}"
		it "traffic on $1" traffic "$ns0/a_$1" "$ns0/a_$1" "${1#dummy}"
		it "link del on $1" n0 rdma link del "a_$1"
	fi
	end_hosts
}

for sort in veth vlan bridge bond macvlan tap tun; do
	try $sort
done
for sort in lo dummy; do
	try_alone $sort
done
finish
