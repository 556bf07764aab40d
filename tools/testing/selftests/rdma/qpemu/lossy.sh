#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lossy.sh [TYPE0 [TYPE1]]
#
# Transfers by SEND, WRITE and READ, of which every byte is checked, and atomics,
# each of which must be applied once, through links that lose, reorder, duplicate,
# corrupt and delay packets, both ways. MIB is the amount for each operation and
# link: 256 unless the environment says otherwise.
#
# LINK is the name of a link, or a pattern, to try that alone.
#
# Packets are lost one by one, not by super-packets, but on the first of the links.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type0=${1:-qpemu} type1=${2:-$type0}
mib=${MIB:-256} seconds=${TIMEOUT:-1200}
need ethtool tc

# What is wrong with a link: a name, and netem's options
links=(
	"1 % loss:loss 1%"
	"5 % loss:loss 5%"
	"25 % reordering:delay 1ms reorder 75% 25%"
	"5 % duplication:duplicate 5%"
	"1 % corruption:corrupt 1%"
	"10 ms jitter:delay 10ms 10ms"
	"a mix:delay 1ms 1ms reorder 75% 25% loss 1% duplicate 2% corrupt 0.5%"
	"all of it:delay 10ms 10ms loss 5% duplicate 5% corrupt 1%"
)

netem()
{
	# shellcheck disable=SC2086
	n0 tc qdisc replace dev veth0 root netem limit 100000 $1 &&
		n1 tc qdisc replace dev veth0 root netem limit 100000 $1
}

transfers()
{
	local op messages=$((mib * 16)) atomics=$((mib * 40))

	for op in send write read; do
		it "$1: $mib MiB by $op arrive" rdma_xfer -T "$seconds" -t 14 \
			-n $messages "$op" "$end0" "$end1"
		grep right "$scratch/it" | sed 's/^/# /'
	done
	for op in send write; do
		it "$1: $((10 * atomics)) of $op of 8 bytes in lists arrive" rdma_xfer -l \
			-T "$seconds" -t 14 -s 8 -d 32 -n $((10 * atomics)) "$op" "$end0" "$end1"
	done
	it "$1: $atomics of fetch_add, each once" rdma_xfer -T "$seconds" -t 14 -n $atomics \
		fetch_add "$end0" "$end1"
	it "$1: $((atomics / 4)) of cmp_swap, each once" rdma_xfer -T "$seconds" -t 14 \
		-n $((atomics / 4)) cmp_swap "$end0" "$end1"
}

kept()
{
	local dev

	for dev in $dev0 $dev1; do
		rdma statistic show link $dev/1 | grep -E ' rcvd_early_kept [1-9]' || return
	done
}

# Is it a link that is wanted?
wanted()
{
	# shellcheck disable=SC2053
	[[ $1 == ${LINK:-*} ]]
}

hosts
devices_on "$type0" "$type1"
if wanted super-packets; then
	netem "loss 1% duplicate 1% corrupt 1%"
	transfers "super-packets, 1 % loss, duplication and corruption"
fi
no_offload
for link in "${links[@]}"; do
	wanted "${link%%:*}" || continue
	netem "${link#*:}"
	transfers "${link%%:*}"
done
# Else each packet that is overtaken costs a round trip.
[ -n "$LINK" ] || [ "$type0$type1" != qpemuqpemu ] ||
	it "packets that were early waited for their turn" kept
finish
