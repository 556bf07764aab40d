# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests: hosts, devices, and how a test is counted.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the variables are for those who source this
#
# Two hosts are network namespaces, each with an RDMA device on its end of a
# veth pair. The names carry the pair's, so that there may be several.
#
#	+--------- qp0 ----------+            +--------- qp1 ----------+
#	| $dev0                  |            | $dev1                  |
#	| veth0  10.0.0.1/24     +------------+ veth0  10.0.0.2/24     |
#	|        fd00::1/64      |            |        fd00::2/64      |
#	+------------------------+            +------------------------+
#
# rxe and qpemu both want UDP port 4791 of a namespace: no host has both.

PROGRAMS=${PROGRAMS:-$(dirname "$0")}
PATH=$(cd "$PROGRAMS" && pwd):$PATH
export LC_ALL=C

ip4=(10.0.0.1 10.0.0.2)
ip6=(fd00::1 fd00::2)
ns0=qp0 ns1=qp1 dev0='' dev1=''
passed=0 failed=0 skipped=0
scratch=$(mktemp -d /tmp/qpemu.XXXXXX)

n0() { ip netns exec "$ns0" "$@"; }
n1() { ip netns exec "$ns1" "$@"; }
ip0() { ip -n "$ns0" "$@"; }
ip1() { ip -n "$ns1" "$@"; }

#
# Counting
#

# result STATUS NAME [FILE]: a line of TAP; FILE is what a failure had to say
result()
{
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed + skipped)) $2"
	else
		failed=$((failed + 1))
		[ -z "${3:-}" ] || tail -n 25 "$3" | sed 's/^/# /'
		echo "not ok $((passed + failed + skipped)) $2"
	fi
}

# it NAME COMMAND...: passes if the command succeeds
it()
{
	local name=$1 status=0

	shift
	"$@" >"$scratch/it" 2>&1 </dev/null || status=$?
	result $status "$name" "$scratch/it"
}

skip()
{
	skipped=$((skipped + 1))
	echo "ok $((passed + failed + skipped)) $1 # SKIP $2"
}

skip_all()
{
	echo "1..0 # SKIP $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 4
}

finish()
{
	echo "1..$((passed + failed + skipped))"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

need()
{
	local program

	for program; do
		command -v "$program" >/dev/null || skip_all "$program is not installed"
	done
}

# soon COMMAND...: within some seconds it succeeds
soon()
{
	local tries

	for ((tries = 0; tries < 200; tries++)); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

#
# Hosts
#

# Kill what runs in the hosts, then remove them and their devices
end_hosts()
{
	local ns dev

	for ns in $(ip netns list | awk '$1 ~ /^qp[0-9a-z]*$/ { print $1 }'); do
		ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null
		for dev in $(devices "$ns"); do
			ip netns exec "$ns" rdma link del "$dev" 2>/dev/null
		done
		ip netns del "$ns"
	done
}

cleanup()
{
	end_hosts
	rm -rf "$scratch"
}
trap cleanup EXIT

# The RDMA devices on netdevices of a namespace
devices()
{
	ip netns exec "$1" rdma link 2>/dev/null |
		sed -n 's:^link \([^/]*\)/.* netdev .*:\1:p'
}

host()
{
	ip netns add "$1"
	ip -n "$1" link set lo up
	ip netns exec "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
		net.ipv6.conf.default.accept_dad=0
}

# hosts [NS0 NS1]: two of them, joined
hosts()
{
	ns0=${1:-qp0} ns1=${2:-qp1}
	host "$ns0"
	host "$ns1"
	ip0 link add veth0 type veth peer name veth0 netns "$ns1"
	address veth0
}

# address DEV: give the end of both hosts that is called so its addresses
address()
{
	local dev=$1

	ip0 addr add "${ip4[0]}/24" dev "$dev"
	ip1 addr add "${ip4[1]}/24" dev "$dev"
	ip0 addr add "${ip6[0]}/64" dev "$dev" nodad
	ip1 addr add "${ip6[1]}/64" dev "$dev" nodad
	ip0 link set "$dev" up
	ip1 link set "$dev" up
	# Routes come with the carrier, which is noticed a moment later
	soon routes || echo "# there is no route between the hosts" >&2
}

# Does each host know the way to the other?
routes()
{
	local family

	for family in ip4 ip6; do
		local -n peer=$family
		ip0 route get "${peer[1]}" && ip1 route get "${peer[0]}" || return
	done >/dev/null 2>&1
}

# no_super NS NETDEV: every packet on it is one that a wire could carry
no_super()
{
	# shellcheck disable=SC2046
	ip netns exec "$1" ethtool -K "$2" gso off gro off \
		$(ip netns exec "$1" ethtool -k "$2" |
			awk -F: '/^\t?tx-[a-z0-9_-]*segmentation: on/ {
					sub(/^\t/, "", $1); print $1, "off" }')
}

# The same of the link between the two hosts
no_offload()
{
	no_super "$ns0" veth0
	no_super "$ns1" veth0
}

# link_add NS NAME TYPE NETDEV
link_add()
{
	ip netns exec "$1" rdma link add "$2" type "$3" netdev "$4"
}

# devices_on TYPE0 TYPE1 [NETDEV]: an RDMA device on each host; their names
# are in dev0 and dev1, and as NAMESPACE/DEVICE in end0 and end1
devices_on()
{
	dev0=$1_$ns0 dev1=$2_$ns1
	end0=$ns0/$dev0 end1=$ns1/$dev1
	link_add "$ns0" "$dev0" "$1" "${3:-veth0}" || skip_all "no device of type $1"
	link_add "$ns1" "$dev1" "$2" "${3:-veth0}" || skip_all "no device of type $2"
	[ "$1" = siw ] || settle "$ns0" "$dev0" "${ip6[0]}" "${3:-veth0}"
	[ "$2" = siw ] || settle "$ns1" "$dev1" "${ip6[1]}" "${3:-veth0}"
}

# settle NS DEV ADDRESS NETDEV: what happened to a netdevice before it had a device
# may be heard of later, and takes the GIDs away for a moment. It is heard of in
# order: when an address that comes now has a GID, and then has none, it is over.
settle()
{
	local marker=169.254.77.1

	wait_gid "$1" "$2" "$3" || return
	ip -n "$1" addr add $marker/32 dev "$4"
	wait_gid "$1" "$2" $marker
	ip -n "$1" addr del $marker/32 dev "$4"
	soon no_gid "$1" "$2" $marker
	# It may have been missing because all were, for a moment
	wait_gid "$1" "$2" "$3"
}

no_gid() { ! gid_index "$@" >/dev/null; }

# The GID table follows the addresses a moment later.
wait_gid()
{
	soon gid_index "$@" >/dev/null && return
	echo "# $2 has no GID for $3" >&2
	return 1
}

# gid_of ADDRESS: as sysfs writes it. Of IPv6, those with one "::".
gid_of()
{
	local left=${1%%::*} right=${1##*::}
	local -a part

	# shellcheck disable=SC2046,SC2086,SC2206
	case $1 in
	*:*)	part=(${left//:/ } ${right//:/ })
		printf '%04x:' $(printf '0x%s ' ${left//:/ })
		printf '0000:%.0s' $(seq $((8 - ${#part[@]})))
		printf '%04x:' $(printf '0x%s ' ${right//:/ }) ;;
	*)	printf '0000:0000:0000:0000:0000:ffff:'
		printf '%02x%02x:' ${1//./ } ;;
	esac | sed 's/:$//'
}

# gid_index NS DEV ADDRESS [TYPE]: where RoCE v2 (or "IB/RoCE v1") has the address
gid_index()
{
	# shellcheck disable=SC2016
	ip netns exec "$1" sh -c '
		cd "/sys/class/infiniband/$1/ports/1" || exit
		for gid in gids/*; do
			read -r value <$gid
			[ "$value" = "$2" ] || continue
			read -r type <gid_attrs/types/${gid#gids/} && [ "$type" = "$3" ] || continue
			echo ${gid#gids/}
			exit 0
		done 2>/dev/null
		exit 1' sh "$2" "$(gid_of "$3")" "${4:-RoCE v2}"
}

#
# Client and server
#

# Which host serves; the other is the client. Addresses are the family's.
server=1 client=0

# exchange_roles: who served is the client now
exchange_roles()
{
	server=$client client=$((1 - client))
}

# on HOST COMMAND...
on()
{
	local ns=ns$1

	shift
	ip netns exec "${!ns}" "$@"
}

# served READY SERVER CLIENT: run both, each a command line; they must both
# succeed. The client begins when the server listens: READY is a TCP port, cm, or
# the text by which it says so.
served()
{
	local pid status=0 ended=0 ns=ns$server

	: >"$scratch/server"	# of the last time
	# not by way of a function, so that the process to kill is this one
	# shellcheck disable=SC2086
	ip netns exec "${!ns}" timeout "${TALK:-60}" $2 >"$scratch/server" 2>&1 </dev/null &
	pid=$!
	listening "$server" "$1" $pid || echo "the server does not listen"
	# shellcheck disable=SC2086
	on $client timeout "${TALK:-60}" $3 >"$scratch/client" 2>&1 </dev/null || status=$?
	[ $status = 0 ] || { sleep 0.2; kill $pid 2>/dev/null; }
	wait $pid || ended=$?
	echo "on host $server, status $ended: $2"
	tail -n 6 "$scratch/server"
	echo "on host $client, status $status: $3"
	tail -n 8 "$scratch/client"
	[ $status = 0 ] && [ $ended = 0 ]
}

# captured NS NETDEV FILE COMMAND...: run it while tcpdump writes to FILE. The kernel may
# keep the last packets for a second, and they are lost then; with --immediate-mode it
# does not, but each takes as much room as the longest
capture_options=(-s 0)
captured()
{
	local file=$3 pid status=0

	: >"$scratch/tcpdump"	# of the last time
	ip netns exec "$1" tcpdump -i "$2" "${capture_options[@]}" -B 32768 -U -w "$file" \
		>>"$scratch/tcpdump" 2>&1 &
	pid=$!
	shift 3
	until grep -q listening "$scratch/tcpdump"; do
		kill -0 $pid || return
		sleep 0.05
	done
	"$@" || status=$?
	soon drained $pid || { echo "tcpdump is behind"; status=1; }
	kill $pid
	wait $pid
	grep -q '^0 packets dropped by kernel' "$scratch/tcpdump" ||
		{ cat "$scratch/tcpdump"; status=1; }
	return $status
}

# drained PID: has tcpdump read all that was captured? It says if it is asked. Packets
# may wait for a second before it gets them.
drained()
{
	kill -USR1 "$1"
	sleep 0.1
	awk '/ packets captured, / { behind = $2 != $5 }
		END { exit behind }' "$scratch/tcpdump"
}

# cm_listens HOST PID: an rdma_cm id of that process, or of a child, listens
cm_listens()
{
	on "$1" rdma res show cm_id 2>/dev/null |
		awk -v pids="$2 $(pgrep -P "$2" | tr '\n' ' ')" '
		BEGIN { n = split(pids, p, " "); for (i = 1; i <= n; i++) ours[p[i]] = 1 }
		/ LISTEN / { for (i = 1; i < NF; i++) if ($i == "pid") found += $(i + 1) in ours }
		END { exit !found }'
}

# listening HOST PORT|cm|TEXT [PID]: wait until something does; by rdma_cm, the process
listening()
{
	local tries ns=ns$1

	for ((tries = 0; tries < 200; tries++)); do
		case $2 in
		cm) cm_listens "$1" "$3" ;;
		*[!0-9]*) grep -qs -- "$2" "$scratch/server" ;;
		*)  [ -n "$(ss -N "${!ns}" -tlnH "sport = :$2")" ] ;;
		esac && return
		sleep 0.05
	done
	return 1
}
