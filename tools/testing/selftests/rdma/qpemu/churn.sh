#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# churn.sh [TYPE]
#
# Devices that come and go: CYCLES times (1000, unless the environment says
# otherwise) with traffic in between, and under load, in each way that a device can
# go. Who uses it must be told: by an event, or by the completion of what he posted.
# Then, what a device must follow: its netdevice's state, MTU, addresses and
# namespace.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu} cycles=${CYCLES:-1000}

#
# Again and again
#

cycle()
{
	local n

	for ((n = 0; n < cycles; n++)); do
		link_add "$ns0" "$dev0" "$type" veth0 || return
		link_add "$ns1" "$dev1" "$type" veth0 || return
		rdma_xfer -T 20 -n 4 send "$end0" "$end1" >/dev/null || return
		# in use or not, and either first
		n0 rdma link del "$dev0" && n1 rdma link del "$dev1" || return
	done
	rdma link
	! rdma link | grep -q "$dev0"
}

#
# Under load
#

# How a device can go, or the network under it
go_link_del() { n0 rdma link del "$dev0"; }
go_peer_link_del() { n1 rdma link del "$dev1"; }
go_netdev_del() { ip0 link del veth0; }
go_netns_del() { ip netns del "$ns0"; }

# under_load OP HOW SIDE...: traffic without end until HOW; these sides' users must
# be told by their own device
under_load()
{
	local op=$1 how=$2 pid tell tries

	shift 2
	# What it says, and not what the one before has said
	: >"$scratch/load"
	timeout 60 rdma_xfer -T 40 -n 0 -d 8 "$op" "$from0" "$from1" \
		>"$scratch/load" 2>&1 </dev/null &
	pid=$!
	for ((tries = 0; tries < 2000; tries++)); do
		grep -q 'under load' "$scratch/load" && break
		kill -0 $pid || break
		sleep 0.05
	done
	sleep 0.2
	kill -0 $pid || { cat "$scratch/load"; return 1; }
	timeout 30 bash -c "$(declare -f "$how" n0 n1 ip0 ip1)
		ns0=$ns0 ns1=$ns1 dev0=$dev0 dev1=$dev1; $how" || return
	SECONDS=0
	wait $pid
	cat "$scratch/load"
	[ $SECONDS -lt 10 ] || { echo "it took too long"; return 1; }
	for tell; do
		grep "side $tell was told" "$scratch/load" | grep -qv 'other end ended' || return
	done
}

load_tests()
{
	local op how sides

	for how in link_del peer_link_del netdev_del netns_del; do
		for op in send write read; do
			hosts
			devices_on "$type" "$type"
			from0=$end0 from1=$end1 sides=0
			case $how in
			# nobody in the namespace, or it would live on
			netns_del) from0=$dev0 from1=$dev1 ;;
			peer_link_del) sides=1 ;;
			esac
			it "$how under load of $op: the user is told" under_load $op go_$how $sides
			[ $how = peer_link_del ] && dev0=$dev1
			it "$how under load of $op: the device is gone" soon gone "$dev0"
			end_hosts
		done
	done
}

#
# What it follows
#

port()
{
	n0 ibv_devinfo -d "$dev0"
}

gone() { ! rdma link | grep -q "^link $1/"; }
port_is() { port | grep -q "$1"; }
has_gid() { gid_index "$ns0" "$dev0" "$1" >/dev/null; }
has_no_gid() { ! has_gid "$1"; }

follow_tests()
{
	hosts
	devices_on "$type" "$type"
	it "the port is active" soon port_is 'state:.*PORT_ACTIVE'
	ip0 link set veth0 down
	it "the port is down when the netdevice is" soon port_is 'state:.*PORT_DOWN'
	ip0 link set veth0 up
	it "and active again" soon port_is 'state:.*PORT_ACTIVE'
	ip0 link set veth0 mtu 9000
	ip1 link set veth0 mtu 9000
	it "an MTU of 9000 has a path MTU of 4096" soon port_is 'active_mtu:.*4096'
	it "which carries traffic" rdma_xfer -T 20 -n 32 send "$end0" "$end1"
	ip0 link set veth0 mtu 1500
	ip1 link set veth0 mtu 1500
	it "an MTU of 1500 one of 1024" soon port_is 'active_mtu:.*1024'
	ip0 addr add 10.0.0.9/24 dev veth0
	it "a new address has a GID" soon has_gid 10.0.0.9
	ip0 addr del 10.0.0.9/24 dev veth0
	it "an old one has none" soon has_no_gid 10.0.0.9
	it "traffic still works" rdma_xfer -T 20 -n 32 write "$end0" "$end1"
	end_hosts
}

#
# Namespaces of their own
#

# await COMMAND...: until it succeeds; namespaces end after the command that ends them
await()
{
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		"$@" 2>/dev/null && return
		sleep 0.1
	done
	return 1
}

seen_in() { ip netns exec "$1" rdma link | grep -q "$2/"; }
not_seen_in() { ! seen_in "$@"; }

exclusive_tests()
{
	if ! await rdma system set netns exclusive; then
		skip "devices that are seen in one namespace only" \
			"rdma netns mode cannot be changed"
		return
	fi
	hosts
	host qp2
	devices_on "$type" "$type"
	it "a device is in its netdevice's namespace" seen_in "$ns0" "$dev0"
	it "and in no other" not_seen_in "$ns1" "$dev0"
	it "traffic between namespaces" rdma_xfer -T 20 -n 32 write "$end0" "$end1"
	it "a device moves to another namespace" n0 rdma dev set "$dev0" netns qp2
	it "is seen there" seen_in qp2 "$dev0"
	it "and no longer here" not_seen_in "$ns0" "$dev0"
	it "and carries traffic" rdma_xfer -T 20 -n 32 write "qp2/$dev0" "$end1"
	it "moves back" ip netns exec qp2 rdma dev set "$dev0" netns "$ns0"
	go_move() { n0 rdma dev set "$dev0" netns qp2; }
	from0=$end0 from1=$end1
	it "moves under load: the user is told" under_load send go_move 0
	it "moves back again" ip netns exec qp2 rdma dev set "$dev0" netns "$ns0"
	it "and carries traffic" rdma_xfer -T 20 -n 32 write "$end0" "$end1"
	end_hosts
	it "all namespaces see all devices again" await rdma system set netns shared
}

# First: the mode cannot be changed while there are namespaces.
exclusive_tests
load_tests
follow_tests
hosts
dev0=churn0 dev1=churn1 end0=$ns0/churn0 end1=$ns1/churn1
it "$cycles times link add, traffic and link del" cycle
finish
