#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_hostile.sh [SECONDS [SEED]]
#
# A host and a switch whose packets are not what they ought to be, one after the other
# for so many seconds, while a good fabric works: adapters and switches must drop or
# refuse it, and what others say to each other must arrive. Then even the tables of
# subnet management are set at random: the devices must bear it, and when they are
# made again, all must work.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

seconds=${1:-15} seed=${2:-$RANDOM}

# While $scratch/attacked is there, h1 and h2 move data in every way
good_traffic()
{
	local op rounds=0

	while [ -e "$scratch/attacked" ]; do
		for op in send write_imm read fetch_add; do
			rdma_xfer -T 60 -n 32 -s 5000 $op h1/ca1 h2/ca2 || return
		done
		rounds=$((rounds + 1))
	done
	echo "$rounds rounds"
	[ $rounds -gt 0 ]
}

# attacked_by NETDEV VICTIM OWN OPTION...
attacked_by()
{
	local pid status=0

	seed=$((seed + 1))
	touch "$scratch/attacked"
	good_traffic >"$scratch/good" 2>&1 &
	pid=$!
	timeout $((seconds * 10 + 60)) ib_hostile -w "$seconds" -S $seed "${@:4}" "$1" \
		"$2" "$3" || status=$?
	rm "$scratch/attacked"
	wait $pid || status=$?
	cat "$scratch/good"
	return $status
}

# All still know each other, the attacked one, too
all_well()
{
	within 60 all_active || { of_all port state; return 1; }
	rdma_xfer -T 60 -n 20 send h3/ca3 h4/ca4 && rdma_xfer -T 60 -n 20 write h1/ca1 h3/ca3 &&
		[ "$(in_host 4 ibnetdiscover -p | grep -c ' - ')" = 8 ]
}

show() { sed 's/^/# /' "$scratch/it"; }

works()
{
	it "opensm brings up $fabric" fabric_up 1
	it "it works" all_well
}

need ip rdma
echo "# seed $seed"
fabric star 4 || skip_all "no fabric"
works
it "a hostile host" attacked_by h4/cable "$(lid 3)" "$(lid 4)"
show
it "all is well" all_well
it "a hostile switch" attacked_by s1/p3 "$(lid 3)" "$(lid 1)"
show
it "all is well" all_well
it "opensm has not ended" sm_runs 1
stop_sm 1

# There is no good traffic now
random_management()
{
	ib_hostile -a -w "$seconds" -S $((seed + 9)) h4/cable "$(lid 3)" "$(lid 1)" &&
		ib_hostile -a -w "$seconds" -S $((seed + 10)) s1/p3 "$(lid 3)" "$(lid 1)"
}

it "subnet management at random" random_management
end_fabric
fabric pair || skip_all "no fabric"
it "opensm brings up $fabric" fabric_up 1
it "subnet management at random, back to back" \
	ib_hostile -a -w "$seconds" -S $((seed + 11)) h1/cable "$(lid 2)" "$(lid 1)"
end_fabric
fabric star 4 || skip_all "no fabric"
works
finish
