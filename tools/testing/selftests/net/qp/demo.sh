#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh [DIR [FILE]]
#
# The demonstration of queue pairs, to be run as root in the patched kernel: two
# network namespaces play two machines with plain netdevices, and FILE goes from
# one to the other; without it a program does. DIR has the built programs; without
# it they stand here. Ends with status 0 if all arrived.

set -euo pipefail

dir=${1:-$(dirname "$0")}
file=${2:-$dir/qp_file}
address=192.0.2.2
port=7471
ready=$(mktemp -u /tmp/qp_demo.XXXXXX)

die()
{
	echo "demo.sh: $*" >&2
	exit 1
}

# show COMMAND...: as if it were typed
show()
{
	echo "  # $*"
	"$@"
}

title()
{
	printf '\n%s\n' "$*"
}

cleanup()
{
	jobs -p | xargs -r kill 2>/dev/null || :
	ip netns del near 2>/dev/null || :
	ip netns del far 2>/dev/null || :
}

near() { ip netns exec near "$@"; }
far() { ip netns exec far "$@"; }

# soon COMMAND...: within ten seconds it succeeds
soon()
{
	local tries

	for ((tries = 0; tries < 500; tries++)); do
		"$@" && return
		sleep 0.02
	done
	die "in vain waited for: $*"
}

is_up() { near grep -q up /sys/class/net/veth0/operstate; }

machines()
{
	show ip netns add near
	show ip netns add far
	show ip -n near link add veth0 type veth peer name veth0 netns far
	show ip -n near addr add 192.0.2.1/24 dev veth0
	show ip -n far addr add $address/24 dev veth0
	show ip -n near link set veth0 up
	show ip -n far link set veth0 up
	soon is_up
	echo "  RDMA devices there: $({ near rdma link; far rdma link; } | grep -c veth0 || :)"
}

listens()
{
	kill -0 "$receiver" 2>/dev/null || die "the receiver ended"
	[ -e "$ready" ]
}

# transfer PROTOCOL OPTION...: what the receiver speaks, and options of the sender
transfer()
{
	local protocol=$1 sender=any quiet=''

	shift
	[ "$protocol" != tcp ] || sender=tcp
	[ $# = 0 ] || quiet=-q
	# not by way of a function, so that the process to wait for is this one
	ip netns exec far "$dir/qp_file" -p "$protocol" -r "$ready" $quiet \
		receive $address $port &
	receiver=$!
	soon listens
	near "$dir/qp_file" -p $sender $quiet "$@" send $address $port "$file"
	wait $receiver
	rm "$ready"
}

trap cleanup EXIT
echo "Queue pairs on Linux $(uname -r), $(nproc) processors"

title "Two machines, which are network namespaces. Nothing is set up for RDMA."
machines

title "A file goes from one to the other by RDMA WRITE"
transfer any

title "Once more, and the far side refuses RoCE"
transfer iwarp

title "Throughput on this link, the best of three times:"
for protocol in roce iwarp tcp; do
	transfer $protocol -n 3
done

title "Two processes of one machine"
"$dir/qp_demo"
