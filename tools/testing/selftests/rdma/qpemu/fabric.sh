# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests of InfiniBand: fabrics, and the subnet manager. It sources
# lib.sh, so that its functions are there too.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables are for those who source this
#
# Hosts h1, h2 ... are network namespaces, each with a channel adapter ca1, ca2 ...
# on a netdevice that is called cable. Switches sw1, sw2 ... are in namespaces s1, s2
# ..., where port N is on the netdevice pN. What joins them are veth pairs.
#
#	fabric pair		h1 =========== h2
#
#	fabric star 4		h1 --- 1 +-----+ 3 --- h3
#					 | sw1 |
#				h2 --- 2 +-----+ 4 --- h4
#
#	fabric three		h1 h2 h3    h4 h5     h6 h7 h8
#				 1 2 3	     1 2       1 2 3
#				+-----+	   +-----+    +-----+
#				| sw1 |4--3| sw2 |4--5| sw3 |
#				+-----+	   +-----+    +-----+
#				   5 ------------------- 4
#
# Devices are seen in their namespaces only, so that the tools of InfiniBand find in
# each host the one that is there, as on a host of its own.
#
# IPoIB is on ib0, if ipoib_up has been called, with 10.9.0.N and fd09::N.
#
# Beside that, hosts have an Ethernet, eth0 with 192.168.77.N, by which perftest and
# the like tell each other of their queue pairs.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The names that lib.sh has for hosts
ns1=h1 ns2=h2 ns3=h3 ns4=h4 ns5=h5 ns6=h6 ns7=h7 ns8=h8
server=2 client=1
fabric=none		# what it is called in reports
cas=0 switches=0
mtu=4300		# of the cables: 4096 and all headers
links=()		# each as it is drawn: "ca1 1 sw1 1"
declare -A sm=()	# processes of opensm by their hosts

# in_host HOST COMMAND...
in_host() { ip netns exec "h$1" "${@:2}"; }

# within SECONDS COMMAND...: before then it succeeds
within()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return
		sleep 0.1
	done
}

#
# Building
#

# The mode can be changed while there are no namespaces, and they end a while after
# the command that ends them.
be_exclusive() { within 15 rdma system set netns exclusive 2>/dev/null; }

ethernet()
{
	ip link show mgmt >/dev/null 2>&1 || {
		ip link add mgmt type bridge
		ip link set mgmt up
	}
	ip link add "m$1" type veth peer name eth0 netns "h$1"
	ip link set "m$1" master mgmt up
	ip -n "h$1" addr add "192.168.77.$1/24" dev eth0
	ip -n "h$1" link set eth0 up
}

# space NODE: the namespace where it is
space()
{
	case $1 in
	ca*) echo "h${1#ca}" ;;
	sw*) echo "s${1#sw}" ;;
	esac
}

# end_of NODE PORT: a cable's; GUIDs follow from the addresses
end_of()
{
	case $1 in
	ca*) echo "cable address 02:00:00:00:00:$(printf %02x "${1#ca}")" ;;
	sw*) echo "p$2 address 02:00:00:00:$(printf 5%x:%02x "${1#sw}" "$2")" ;;
	esac
}

# cable NODE PORT NODE PORT: join them
cable()
{
	local a b end

	links+=("$1 $2 $3 $4")
	read -ra a < <(end_of "$1" "$2")
	read -ra b < <(end_of "$3" "$4")
	ip -n "$(space "$1")" link add "${a[@]}" mtu $mtu type veth \
		peer name "${b[@]}" mtu $mtu netns "$(space "$3")" || return
	for end in "$(space "$1") ${a[0]}" "$(space "$3") ${b[0]}"; do
		# nothing but InfiniBand is on it
		ip -n "${end% *}" link set "${end#* }" addrgenmode none
		ip -n "${end% *}" link set "${end#* }" up
	done
}

# adapters COUNT: hosts, their devices to be made when they have cables
adapters()
{
	for ((cas = 1; cas <= $1; cas++)); do
		host "h$cas"
		ethernet "$cas"
	done
	cas=$1
}

# devices_up: make the devices of what has been cabled: adapters, and switches port
# by port
devices_up()
{
	local n node port

	for ((n = 1; n <= cas; n++)); do
		link_add "h$n" "ca$n" qpemu_ib cable || return
	done
	for ((n = 1; n <= switches; n++)); do
		for port in $(ports_of "sw$n"); do
			link_add "s$n" "sw$n" qpemu_switch "p$port" || return
		done
	done
	learn_guids
}

# The ports of a switch that have cables, in order
ports_of()
{
	printf '%s\n' "${links[@]}" |
		awk -v node="$1" '$1 == node { print $2 } $3 == node { print $4 }' | sort -n
}

# fabric pair | star COUNT | three
fabric()
{
	local n

	fabric="$*"
	links=()
	switches=0
	case $1 in
	pair)	adapters 2
		cable ca1 1 ca2 1 ;;
	star)	adapters "$2"
		switches=1
		host s1
		for ((n = 1; n <= cas; n++)); do
			cable "ca$n" 1 sw1 "$n"
		done ;;
	three)	adapters 8
		switches=3
		host s1; host s2; host s3
		for n in 1 2 3; do
			cable "ca$n" 1 sw1 "$n"
			cable "ca$((n + 5))" 1 sw3 "$n"
			[ "$n" = 3 ] || cable "ca$((n + 3))" 1 sw2 "$n"
		done
		cable sw1 4 sw2 3
		cable sw1 5 sw3 4
		cable sw2 4 sw3 5 ;;
	esac
	devices_up
}

end_fabric()
{
	local ns n

	# by force: opensm waits for ever if its adapter has gone
	for n in "${!sm[@]}"; do
		stop_sm "$n" KILL
	done
	for ns in $(ip netns list | awk '$1 ~ /^[hs][0-9]*$/ { print $1 }'); do
		ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null
		ip netns exec "$ns" rdma link del "ca${ns#h}" 2>/dev/null
		ip netns exec "$ns" rdma link del "sw${ns#s}" 2>/dev/null
		ip netns del "$ns"
	done
	for n in $(seq "$cas"); do
		ip link del "m$n" 2>/dev/null
	done
	cas=0 switches=0
}

cleanup()
{
	end_fabric
	rm -rf "$scratch"
}

#
# What a port is like
#

# port HOST ATTRIBUTE: as sysfs has it
port() { in_host "$1" cat "/sys/class/infiniband/ca$1/ports/1/$2"; }

# Learned when the devices were made: the GID of each host, and its GUIDs with 0x and
# 16 digits
gids=() port_guids=() node_guids=()
gid() { echo "${gids[$1]}"; }
port_guid() { echo "${port_guids[$1]}"; }
node_guid() { echo "${node_guids[$1]}"; }

learn_guids()
{
	local n digits

	for ((n = 1; n <= cas; n++)); do
		gids[n]=$(port "$n" gids/0)
		digits=${gids[n]//:/}
		port_guids[n]=0x${digits:16}
		digits=$(in_host "$n" cat "/sys/class/infiniband/ca$n/node_guid")
		node_guids[n]=0x${digits//:/}
	done
}

# Learned when the fabric was up: LIDs in decimal, as the tools have them
lids=()
lid() { echo "${lids[$1]}"; }
lid_now() { echo $(($(port "$1" lid))); }

learn_lids()
{
	local n

	for ((n = 1; n <= cas; n++)); do
		lids[n]=$(lid_now "$n")
	done
}

port_is() { [[ $(port "$1" state) == *": $2" ]]; }
is_active() { port_is "$1" ACTIVE && [ "$(lid_now "$1")" != 0 ]; }
is_not_active() { ! port_is "$1" ACTIVE; }
has_sm() { [ $(($(port "$1" sm_lid))) = "$2" ]; }

all_active()
{
	local n

	for ((n = 1; n <= cas; n++)); do
		is_active "$n" || return
	done
}

# of_all FUNCTION [ARGUMENT...]: of each host
of_all()
{
	local n

	for ((n = 1; n <= cas; n++)); do
		"$1" "$n" "${@:2}" || { echo "not h$n"; return 1; }
	done
}

#
# The subnet manager
#

sm_log() { echo "$scratch/sm$1/log"; }

# start_sm HOST [OPTION VALUE]...: opensm with a cache and a log of its own, that looks
# often, and options of its configuration. -P and the like are PARTITIONS' matter: a
# file $scratch/partitions.conf is used if there is one.
start_sm()
{
	local n=$1 dir=$scratch/sm$1

	shift
	mkdir -p "$dir"
	{
		printf '%s %s\n' guid "$(port_guid "$n")" log_file "$dir/log" \
			dump_files_dir "$dir" partition_config_file "$scratch/partitions.conf" \
			sweep_interval 1 force_log_flush TRUE \
			sminfo_polling_timeout 1000 polling_retry_number 3
		[ $# = 0 ] || printf '%s %s\n' "$@"
	} >"$dir/conf"
	: >"$dir/log"
	ip netns exec "h$n" env "OSM_CACHE_DIR=$dir" "OSM_TMP_DIR=$dir" \
		opensm -F "$dir/conf" >"$dir/out" 2>&1 </dev/null &
	sm[$n]=$!
}

# stop_sm HOST [SIGNAL]
stop_sm()
{
	local pid=${sm[$1]:-}

	[ -n "$pid" ] || return 0
	unset "sm[$1]"
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}

sm_runs() { kill -0 "${sm[$1]}" 2>/dev/null; }
sm_says() { grep -qs -- "$2" "$(sm_log "$1")"; }

# fabric_up HOST [OPTION VALUE]...: opensm there, and wait for all ports
fabric_up()
{
	start_sm "$@"
	within "${UP:-60}" sm_says "$1" 'SUBNET UP' && within "${UP:-60}" all_active &&
		learn_lids && return
	tail -n 20 "$(sm_log "$1")" "$scratch/sm$1/out"
	of_all port state
	return 1
}

#
# IPoIB
#

ipoib_of() { ip -n "h$1" -br link show type ipoib | awk '{ sub(/@.*/, "", $1); print $1; exit }'; }
ipoib_ip() { echo "10.9.0.$1"; }
has_carrier() { [ "$(in_host "$1" cat "/sys/class/net/$2/carrier" 2>/dev/null)" = 1 ]; }

# ipoib_up HOST: addresses on IPoIB, and wait until it has joined the broadcast group
ipoib_up()
{
	local dev

	within 10 ipoib_is_there "$1" || { echo "h$1 has no IPoIB"; return 1; }
	dev=$(ipoib_of "$1")
	ip -n "h$1" addr add "$(ipoib_ip "$1")/24" dev "$dev"
	ip -n "h$1" addr add "fd09::$1/64" dev "$dev" nodad
	ip -n "h$1" link set "$dev" up
	within 30 has_carrier "$1" "$dev"
}

ipoib_is_there() { [ -n "$(ipoib_of "$1")" ]; }

need opensm ibstat ibnetdiscover saquery
[ -n "${FABRIC_SHARED:-}" ] || be_exclusive ||
	skip_all "devices cannot be of one network namespace"
