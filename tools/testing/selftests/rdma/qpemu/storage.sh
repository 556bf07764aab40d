#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# storage.sh [TYPE]
#
# Users in the kernel: a disk by NVMe over RDMA. Host and target post from where
# they happen to be, register memory for each transfer, have it invalidated by
# the other side, share completion queues, drain them, and are told when a device
# goes. Both know the first network namespace only, so that they are in one.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu} nqn=nqn.2026-11.lab:disk at=10.9.0.1 mib=48
dev=$type-disk
nvmet=/sys/kernel/config/nvmet
disk=''

[ -d $nvmet ] || skip_all "no NVMe target"
[ -e /dev/nvme-fabrics ] || skip_all "no NVMe over fabrics"

# The target's configuration is directories that it makes and attributes in them.
target()
{
	local sub=$nvmet/subsystems/$nqn port=$nvmet/ports/1

	truncate -s ${mib}M "$scratch/disk"
	mkdir "$sub" && echo 1 >"$sub/attr_allow_any_host" &&
		mkdir "$sub/namespaces/1" &&
		echo -n "$scratch/disk" >"$sub/namespaces/1/device_path" &&
		echo 1 >"$sub/namespaces/1/buffered_io" &&
		echo 1 >"$sub/namespaces/1/enable" &&
		mkdir $port && echo rdma >$port/addr_trtype && echo ipv4 >$port/addr_adrfam &&
		echo $at >$port/addr_traddr && echo 4420 >$port/addr_trsvcid &&
		ln -s "$sub" $port/subsystems/
}

no_target()
{
	local sub=$nvmet/subsystems/$nqn port=$nvmet/ports/1

	rm -f $port/subsystems/*
	rmdir $port && echo 0 >"$sub/namespaces/1/enable" && rmdir "$sub/namespaces/1" "$sub"
}

has_gid() { grep -qs "$(gid_of $at)" "/sys/class/infiniband/$dev/ports/1/gids/"*; }
listens() { rdma res show cm_id | grep -q 'LISTEN.*:4420'; }

# The host's answer to a connection is what the controller is called.
connects()
{
	local answer

	exec 3<>/dev/nvme-fabrics
	echo -n "transport=rdma,traddr=$at,trsvcid=4420,nqn=$nqn,nr_io_queues=2" >&3 || return
	read -r answer <&3
	exec 3>&-
	echo "$answer"
	[[ $answer =~ instance=([0-9]+) ]] || return
	disk=nvme${BASH_REMATCH[1]}
	soon [ -b "/dev/${disk}n1" ]
}

# written BYTES: all of it, by requests of so many bytes, and read back by others
written()
{
	local size=$1 count

	# a file of a few hundred requests, or all that the disk has room for
	count=$((mib * 1048576 / size < 800 ? mib * 1048576 / size : 800))
	head -c $((count * size)) /dev/urandom >"$scratch/data"
	dd if="$scratch/data" of="/dev/${disk}n1" bs="$size" oflag=direct conv=notrunc \
		status=none || return
	cmp -n $((count * size)) "$scratch/data" "$scratch/disk" || return
	dd if="/dev/${disk}n1" of="$scratch/copy" bs="$size" count=$count iflag=direct \
		status=none || return
	cmp "$scratch/data" "$scratch/copy"
}

# Several at once, each in a part of its own
crowd()
{
	local n pids=() status=0

	for n in 0 1 2 3 4 5 6 7; do
		head -c 4M /dev/urandom >"$scratch/part$n"
		dd if="$scratch/part$n" of="/dev/${disk}n1" bs=16k seek=$((n * 256)) \
			oflag=direct conv=notrunc status=none &
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || status=1
	done
	for n in 0 1 2 3 4 5 6 7; do
		dd if="/dev/${disk}n1" bs=16k skip=$((n * 256)) count=256 iflag=direct status=none |
			cmp - "$scratch/part$n" || status=1
	done
	return $status
}

# An administrative queue and two for requests, at both ends
is_shown()
{
	rdma res show qp link "$dev/1" >"$scratch/res"
	cat "$scratch/res"
	[ "$(grep -c 'type RC state RTS .*comm \[rdma_cm\]' "$scratch/res")" = 6 ]
}

disconnects() { echo 1 >"/sys/class/nvme/$disk/delete_controller"; }
no_queue_pairs() { ! rdma res show qp link "$dev/1" | grep -q 'type RC'; }
no_disk() { [ ! -e "/sys/class/nvme/$disk" ]; }
no_device() { ! rdma dev | grep -q "$dev"; }

# The device goes while requests are under way. None may hang.
goes_under_load()
{
	local n pids=()

	for n in 0 1 2 3; do
		dd if=/dev/zero of="/dev/${disk}n1" bs=64k count=400 oflag=direct \
			conv=notrunc status=none 2>/dev/null &
		pids+=($!)
	done
	sleep 0.3
	timeout 60 rdma link del "$dev" || return
	for n in "${pids[@]}"; do
		timeout 60 tail --pid="$n" -f /dev/null || return
	done
}

ip link add veth-disk type veth peer name veth-peer
ip link set veth-disk up
ip link set veth-peer up
ip addr add $at/24 dev veth-disk
rdma link add "$dev" type "$type" netdev veth-disk || skip_all "no device of type $type"
soon has_gid || skip_all "the device has no GID for $at"

it "the target listens" target
it "rdma shows it" soon listens
it "a host connects" connects
[ -n "$disk" ] || { cat "$scratch/it"; dmesg | tail -n 20; }
for size in 4096 8192 12288 65536 1048576; do
	it "requests of $size bytes" written $size
done
it "eight writers at once" crowd
it "rdma shows the queue pairs" is_shown
it "the host disconnects" disconnects
it "no queue pair stays" soon no_queue_pairs
it "a host connects again" connects
it "the device goes under load" goes_under_load
it "the disk goes with it" soon no_disk
it "nothing of the device stays" soon no_device
it "the target ends" no_target
ip link del veth-disk
finish
