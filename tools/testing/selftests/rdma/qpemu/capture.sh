#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# capture.sh [TYPE0 [TYPE1]]
#
# Captures what two devices of these types say to each other with every transport
# and operation. tshark must know each packet as InfiniBand and find nothing
# malformed; roce_check, which shares no code with the driver, computes each ICRC.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type0=${1:-qpemu} type1=${2:-qpemu}
need tshark tcpdump ethtool ibv_ud_pingpong rping
roce='udp.port == 4791 || eth.type == 0x8915'

# The scenes, each captured by itself. $v is the address family's option.
talk()
{
	local op size

	for op in send send_imm write write_imm read; do
		for size in 1 3 1024 1027 10001 65536; do
			echo rdma_xfer $v -n 4 -d 4 -s $size $op "$end0" "$end1"
		done
	done
	for op in send send_imm write write_imm; do
		for size in 2 1024 10001; do
			echo rdma_xfer $v -u -n 4 -d 4 -s $size $op "$end0" "$end1"
		done
	done
	echo rdma_xfer $v -n 20 fetch_add "$end0" "$end1"
	echo rdma_xfer $v -n 20 cmp_swap "$end0" "$end1"
	echo rdma_xfer $v -m 256 -n 4 send "$end0" "$end1"
	echo rdma_xfer $v -m 512 -n 4 read "$end0" "$end1"
}

# Small messages together
trains()
{
	local op

	for op in send send_imm write write_imm; do
		echo rdma_xfer $v -l -n 64 -d 32 -s 8 $op "$end0" "$end1"
		echo rdma_xfer $v -l -u -n 64 -d 32 -s 8 $op "$end0" "$end1"
		echo rdma_xfer $v -l -n 60 -d 20 -s 5 $op "$end0" "$end1"
		echo rdma_xfer $v -l -n 24 -d 12 -s 777 $op "$end0" "$end1"
	done
}

# Datagrams, and the management datagrams of rdma_cm
talk_ud()
{
	served 18515 "ibv_ud_pingpong -d $dev1 -g $gid1 -s 777 -n 20" \
		"ibv_ud_pingpong -d $dev0 -g $gid0 -s 777 -n 20 ${ip4[1]}" &&
	served cm "rping -s -C 3 -a $1" "rping -c -C 3 -a $1" &&
	served cm "udaddy -b $1 -c 2 -C 5 -S 333" "udaddy -s $1 -c 2 -C 5 -S 333"
}

# on_wire FILE COMMAND...
on_wire() { captured "$ns0" veth0 "$@"; }

# all_of SCENE
all_of()
{
	local line status=0

	while read -r line; do
		# shellcheck disable=SC2086
		$line </dev/null || { echo "failed: $line"; status=1; }
	done < <($1)
	return $status
}

decoded()
{
	# what the messages carry is not for tshark to guess
	tshark -r "$1" --disable-protocol rpcordma -T fields -e frame.number -e frame.protocols \
		-e _ws.malformed "$roce" 2>/dev/null >"$scratch/fields"
	[ -s "$scratch/fields" ] || { echo "no packet of RoCE"; return 1; }
	awk -F'\t' '$2 !~ /infiniband/ || $3 != "" { print; bad = 1 }
		END { print NR " packets"; exit bad }' "$scratch/fields"
}

# judge NAME FILE: what is in a capture
judge()
{
	it "$1: tshark knows every packet as InfiniBand" decoded "$2"
	it "$1: lengths and ICRC of every packet are right" roce_check "$2"
	sed 's/^/# /' "$scratch/it"
}

hosts
no_offload
devices_on "$type0" "$type1"
for family in 4 6; do
	v='' to="ip${family}[1]"
	[ $family = 6 ] && v=-6
	gid0=$(gid_index "$ns0" "$dev0" "${ip4[0]}") gid1=$(gid_index "$ns1" "$dev1" "${ip4[1]}")
	it "IPv$family: RC and UC" on_wire "$scratch/$family.pcap" all_of talk
	judge "IPv$family, RC and UC" "$scratch/$family.pcap"
	it "IPv$family: lists" on_wire "$scratch/list$family.pcap" all_of trains
	judge "IPv$family, lists" "$scratch/list$family.pcap"
	it "IPv$family: UD and rdma_cm" on_wire "$scratch/ud$family.pcap" talk_ud "${!to}"
	judge "IPv$family, UD and rdma_cm" "$scratch/ud$family.pcap"
done
if gid_index "$ns0" "$dev0" "${ip4[0]}" "IB/RoCE v1" >/dev/null &&
   gid_index "$ns1" "$dev1" "${ip4[1]}" "IB/RoCE v1" >/dev/null; then
	v=-1
	it "RoCEv1: RC and UC" on_wire "$scratch/v1.pcap" all_of talk
	judge "RoCEv1, RC and UC" "$scratch/v1.pcap"
else
	skip "RoCEv1" "$type0 or $type1 has no GID of it"
fi

# the same lists as trains, which are cut in front of the netdevice
sent_super() { n0 rdma statistic show link "$dev0/1" | grep -o 'sent_super_pkts [0-9]*'; }
it "offloads but RoCE's come on" on 0 ethtool -K veth0 gso on tx-udp-segmentation on
before=$(sent_super)
for family in 4 6; do
	v=''
	[ $family = 6 ] && v=-6
	it "IPv$family: trains" on_wire "$scratch/train$family.pcap" all_of trains
	judge "IPv$family, trains" "$scratch/train$family.pcap"
done
if [ "$type0" = qpemu ]; then
	it "there were trains" [ "$(sent_super)" != "$before" ]
fi
finish
