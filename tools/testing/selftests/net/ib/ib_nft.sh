#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_nft.sh [TYPE...]
#
# What the distribution's nft can do about the messages of AF_IB sockets over RoCEv2,
# where they come in and where they go out: count, drop and log them by GID, which is
# an IP address; by queue pair, P_Key and Q_Key; and those that ask for a service ID,
# or connect to it, by that. Over RDMA devices of each TYPE in turn (qpemu and rxe).

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
# shellcheck disable=SC2086,SC2119,SC2317  # numbers; functions run by name
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"
. "$(dirname "$0")/nft_lib.sh"

# A packet, from the header of UDP on; bits: 0 UDP, 64 BTH, 160 DETH, 224 data
opcode='@th,64,8'
pkey='@th,80,16'
dest_qpn='@th,104,24'
qkey='@th,160,32'
src_qpn='@th,200,24'
# Behind that a MAD: its class, what it is, and of a CM's the service ID. From the
# data of UDP on, for which some kernels have no name: see @th
mad_class='@th,232,8'
mad_attr='@th,352,16'
service='@th,480,64'
sidr_req=0x0017 conn_req=0x0010 cm_class=0x07
udp_space=0x0000000001110000 tcp_space=0x0000000001060000
port=7471 other_port=7472

gid() { if [ "$version" = 4 ]; then echo "::ffff:${ip4[$1]}"; else echo "${ip6[$1]}"; fi; }

# Addresses in rules: "$(addr 0)" is the client's
addr() { if [ "$version" = 4 ]; then echo "${ip4[$1]}"; else echo "${ip6[$1]}"; fi; }
proto() { if [ "$version" = 4 ]; then echo ip; else echo ip6; fi; }

# sid SPACE PORT
sid() { printf '0x%016x' $(($1 | $2)); }

# rules HOST HOOK RULE...: of RoCEv2 on the host's end of the link, see nft_rules()
rules()
{
	local ns=ns$1 hook=$2

	shift 2
	nft_rules "${!ns}" "$hook" veth0 "${@/#/udp dport 4791 }"
}

# A receiver on host 1: its queue pair is in qpn, or that of a second one in qpn2
declare -A receivers
qpn='' qpn2=''

receiver()
{
	local name=$1

	: >"$scratch/server"
	ip netns exec "$ns1" timeout -s INT 30 ib_end -v "${@:2}" >"$scratch/server" 2>&1 &
	receivers[$name]=$!
	listening 1 listens || { cat "$scratch/server"; return 1; }
	printf -v "$name" '%s' "$(sed -n 's/listens qpn //p' "$scratch/server")"
	ln -f "$scratch/server" "$scratch/$name"
	rm "$scratch/server"
}

# got NAME NUMBER: at least so many messages
got() { [ "$(grep -c ^message "$scratch/$1")" -ge "$2" ]; }

# received NAME NUMBER: so many messages and no more
received()
{
	soon got "$1" "$2"
	[ "$2" != 0 ] || sleep 0.1
	kill -TERM "${receivers[$1]}" 2>/dev/null
	wait "${receivers[$1]}" 2>/dev/null
	unset "receivers[$1]"
	grep -q "^received $2 messages" "$scratch/$1" && return
	echo "$1 $(tail -n 1 "$scratch/$1"), not $2"
	return 1
}

# transmit OPTION...: send from host 0
transmit() { on 0 timeout 30 ib_end "$@"; }

# The two of them, one for each port
both()
{
	receiver qpn -n 100 recv "$(gid 1)" $port &&
		receiver qpn2 -n 100 recv "$(gid 1)" $other_port
}

# by_gid HOST HOOK
by_gid()
{
	receiver qpn -n 5 recv "$(gid 1)" $port || return
	rules "$1" "$2" "$(proto) saddr $(addr 0) $(proto) daddr $(addr 1) counter name a" \
		"$(proto) saddr { $(addr 1) } counter name b" || return
	transmit -o -n 5 send "$(gid 1)" $port && received qpn 5 && filtered a -ge 5 b -eq 0
}

# Not of that address, and of another one all
drop_gid()
{
	local version=$version

	receiver qpn -n 5 recv "$(gid 1)" $port || return
	transmit -n 1 send "$(gid 1)" $port || return
	rules "$1" "$2" "$(proto) daddr $(addr 1) $opcode 0x64 $dest_qpn > 1 counter name a drop" ||
		return
	transmit -o -n 4 send "$(gid 1)" $port >/dev/null
	received qpn 1 && filtered a -eq 4 || return
	version=$((10 - version))
	receiver qpn -n 5 recv "$(gid 1)" $port || return
	transmit -n 5 send "$(gid 1)" $port && received qpn 5 && filtered a -eq 4
}

# Only those for one of two
by_qpn()
{
	both || return
	rules "$1" "$2" "$dest_qpn $qpn counter name a" "$dest_qpn $qpn2 counter name b" \
		"$dest_qpn 1 counter name c" || return
	transmit -o -n 8 send "$(gid 1)" $port && transmit -o -n 3 send "$(gid 1)" $other_port ||
		return
	received qpn 8
	received qpn2 3 && filtered a -eq 8 b -eq 3 c -ge 2
}

drop_qpn()
{
	both || return
	rules "$1" "$2" "$dest_qpn $qpn counter name a drop" \
		"$dest_qpn $qpn2 counter name b" || return
	transmit -o -n 5 send "$(gid 1)" $port && transmit -o -n 5 send "$(gid 1)" $other_port ||
		return
	received qpn 0 && received qpn2 5 && filtered a -eq 5 b -eq 5
}

# All in one call, to both in turn: what goes out together is for one of them
drop_among()
{
	both || return
	rules "$1" "$2" "$dest_qpn $qpn counter name a drop" \
		"$dest_qpn $qpn2 counter name b" || return
	transmit -n 2 send "$(gid 1)" $port,$other_port || return
	transmit -n 60 send "$(gid 1)" $port,$other_port || return
	received qpn 0 && received qpn2 31 && filtered a -ge 1 b -ge 1
}

# The same posted by a program of libibverbs with one address handle, which packets
# that go out together may have in common
drop_of_program()
{
	local v=''

	[ "$version" = 4 ] || v=-6
	cat >"$scratch/block" <<-END
	#!/bin/sh
	nft -f - <<RULES
	table netdev t {
		chain c {
			type filter hook ingress device veth0 priority 0;
			udp dport 4791 $dest_qpn \$1 counter drop
		}
	}
	RULES
	END
	chmod +x "$scratch/block"
	rdma_mixed $v -n 32 "$end0" "$end1" "$scratch/block" >"$scratch/mixed" || return
	grep -x 'received 0 16' "$scratch/mixed" && return
	cat "$scratch/mixed"
	return 1
}

# A set, to which numbers are added as it stands
by_set()
{
	both || return
	on 1 nft flush ruleset
	on 1 nft -f - <<-END || return
	table netdev t {
		counter a { }
		set blocked {
			typeof $dest_qpn
		}
		chain c {
			type filter hook ingress device veth0 priority 0;
			udp dport 4791 $dest_qpn @blocked counter name a drop
		}
	}
	END
	# shellcheck disable=SC2034  # nft_lib.sh reads it
	ruled=$ns1
	transmit -o -n 3 send "$(gid 1)" $port || return
	on 1 nft add element netdev t blocked "{ $qpn }" || return
	transmit -o -n 4 send "$(gid 1)" $port && transmit -o -n 4 send "$(gid 1)" $other_port ||
		return
	received qpn 3 && received qpn2 4 && filtered a -eq 4
}

# Counted for each queue pair by itself
by_map()
{
	both || return
	rules 1 ingress "$dest_qpn { $qpn, $qpn2 } counter name a" \
		"$(proto) saddr . $dest_qpn { $(addr 0) . $qpn } counter name b" \
		"$dest_qpn != { $qpn, $qpn2 } counter name c" || return
	transmit -o -n 6 send "$(gid 1)" $port && transmit -o -n 2 send "$(gid 1)" $other_port ||
		return
	received qpn 6 && received qpn2 2 && filtered a -eq 8 b -eq 6
}

by_keys()
{
	receiver qpn -n 5 recv "$(gid 1)" $port || return
	rules "$1" "$2" "$dest_qpn $qpn $pkey 0xffff counter name a" \
		"$dest_qpn $qpn $pkey != 0xffff counter name b" \
		"$dest_qpn $qpn $qkey 0x01234567 counter name c" \
		"$dest_qpn $qpn $src_qpn > 1 counter name d" || return
	transmit -o -n 5 send "$(gid 1)" $port && received qpn 5 &&
		filtered a -eq 5 b -eq 0 c -eq 5 d -eq 5
}

drop_pkey()
{
	receiver qpn -n 5 recv "$(gid 1)" $port || return
	transmit -n 1 send "$(gid 1)" $port || return
	rules "$1" "$2" "$dest_qpn > 1 $pkey & 0x7fff == 0x7fff counter name a drop" || return
	transmit -o -n 4 send "$(gid 1)" $port
	received qpn 1 && filtered a -eq 4
}

# From the data of UDP on
by_inner_header()
{
	receiver qpn -n 5 recv "$(gid 1)" $port || return
	rules 1 ingress "@ih,40,24 $qpn counter name a" "@ih,16,16 0xffff counter name b" ||
		return
	transmit -o -n 5 send "$(gid 1)" $port && received qpn 5 && filtered a -eq 5 b -ge 5
}

# The question for a service ID, and no other
by_service()
{
	both || return
	rules "$1" "$2" "$dest_qpn 1 $mad_class $cm_class $mad_attr $sidr_req \
			$service $(sid $udp_space $port) counter name a" \
		"$dest_qpn 1 $mad_attr $sidr_req $service $(sid $udp_space $other_port) \
			counter name b" || return
	transmit -n 1 send "$(gid 1)" $port && transmit -n 1 send "$(gid 1)" $other_port ||
		return
	transmit -n 1 send "$(gid 1)" $other_port || return
	received qpn 1 && received qpn2 2 && filtered a -eq 1 b -eq 2
}

# Nobody can find it then; but the other one
drop_service()
{
	both || return
	rules "$1" "$2" "$dest_qpn 1 $mad_class $cm_class $mad_attr { $sidr_req, $conn_req } \
			$service $(sid $udp_space $port) counter name a drop" || return
	on 0 timeout 0.5 ib_end -n 1 send "$(gid 1)" $port && return 1
	transmit -n 3 send "$(gid 1)" $other_port || return
	received qpn 0 && received qpn2 3 && filtered a -ge 1
}

# connections HOST HOOK TYPE
connections()
{
	receiver qpn -t "$3" -n 2 recv "$(gid 1)" $port || return
	rules "$1" "$2" "$dest_qpn 1 $mad_attr $conn_req $service $(sid $tcp_space $port) \
			counter name a" \
		"$dest_qpn != 1 counter name b" || return
	transmit -t "$3" -n 2 send "$(gid 1)" $port && received qpn 2 && filtered a -eq 1 b -ge 2
}

drop_connections()
{
	receiver qpn -t seqpacket recv "$(gid 1)" $port || return
	rules "$1" "$2" "$dest_qpn 1 $mad_attr $conn_req $service $(sid $tcp_space $port) \
			counter name a drop" || return
	on 0 timeout 0.5 ib_end -t seqpacket send "$(gid 1)" $port && return 1
	filtered a -ge 1 || return
	no_rules "$ns0" "$ns1"
	transmit -t seqpacket send "$(gid 1)" $port && received qpn 1
}

# The kernel's log
logged()
{
	receiver qpn -n 3 recv "$(gid 1)" $port || return
	sysctl -qw net.netfilter.nf_log_all_netns=1
	dmesg -C
	rules "$1" "$2" "$dest_qpn $qpn log prefix \"afib-$type-$version \"" || return
	transmit -o -n 3 send "$(gid 1)" $port && received qpn 3 || return
	[ "$(dmesg | grep -c "afib-$type-$version .*DPT=4791")" = 3 ]
}

# To a program, here tcpdump, by NFLOG
logged_by_group()
{
	local pid

	receiver qpn -n 3 recv "$(gid 1)" $port || return
	ip netns exec "$ns1" timeout 10 tcpdump -Z root -U -i nflog:7 -c 3 \
		-w "$scratch/nflog.pcap" 2>"$scratch/tcpdump" &
	pid=$!
	soon grep -q 'listening on' "$scratch/tcpdump" || return
	rules 1 ingress "$dest_qpn $qpn log group 7 prefix \"afib\"" || return
	transmit -o -n 3 send "$(gid 1)" $port && received qpn 3 || return
	wait $pid || { cat "$scratch/tcpdump"; return 1; }
	tcpdump -Z root -r "$scratch/nflog.pcap" 2>&1 | tee "$scratch/nflog"
	[ "$(grep -c 'resource ID 7' "$scratch/nflog")" = 3 ]
}

# Not more than some of them
limited()
{
	receiver qpn -n 40 recv "$(gid 1)" $port || return
	rules "$1" "$2" "$dest_qpn $qpn limit rate over 5/hour burst 5 packets \
			counter name a drop" || return
	transmit -o -n 40 send "$(gid 1)" $port
	received qpn 5 && filtered a -eq 35
}

# over NAME COMMAND...: a test, for the address and device at hand
over()
{
	it "$type, IPv$version: $1" "${@:2}"
	[ ${#receivers[@]} = 0 ] || kill -INT "${receivers[@]}" 2>/dev/null
	wait
	receivers=()
	no_rules "$ns0" "$ns1"
}

# rxe has a queue pair fail if a packet is dropped as it goes out, that for management
# as well
may_drop() { [ "$type $1" != "rxe egress" ]; }

tests_at_hook()
{
	local hook=$2

	over "$hook, by GID" by_gid "$@"
	over "$hook, by queue pair" by_qpn "$@"
	over "$hook, by P_Key and Q_Key" by_keys "$@"
	over "$hook, by service ID" by_service "$@"
	over "$hook, connections by service ID" connections "$@" seqpacket
	over "$hook, the kernel's log" logged "$@"
	may_drop "$hook" || return 0
	over "$hook, drop by GID" drop_gid "$@"
	over "$hook, drop by queue pair" drop_qpn "$@"
	over "$hook, drop one of two that go together" drop_among "$@"
	over "$hook, drop by P_Key" drop_pkey "$@"
	over "$hook, drop by service ID" drop_service "$@"
	over "$hook, limit" limited "$@"
}

all_tests()
{
	for version in 4 6; do
		tests_at_hook 1 ingress
		tests_at_hook 0 egress
		over "ingress, streams by service ID" connections 1 ingress stream
		over "drop connections by service ID" drop_connections 1 ingress
		over "drop one of two that a program sends to" drop_of_program
		over "a set" by_set
		over "sets of numbers, and of addresses with them" by_map
		over "what UDP carries" by_inner_header
		over "NFLOG" logged_by_group
	done
}

need nft tcpdump ib_end rdma_mixed
[ -e /proc/net/ib ] || skip_all "no AF_IB"
[ $# -gt 0 ] || set -- qpemu rxe
for type; do
	hosts
	devices_on "$type" "$type"
	all_tests
	end_hosts
done
finish
