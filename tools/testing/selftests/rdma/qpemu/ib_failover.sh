#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ib_failover.sh
#
# What a fabric must survive: the subnet manager is killed, and another takes over; it
# is started again under traffic; links are pulled and put back, between hosts and
# switches and between switches; packets get lost on a cable. And what it must refuse:
# packets of a partition to those who are not in it.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/fabric.sh"

need sminfo smpquery ibtracert perfquery ibportstate tc ethtool

end() { echo "h$1/ca$1"; }

# xfer FROM TO OPTION... OP
xfer() { rdma_xfer -T 60 "${@:3}" "$(end "$1")" "$(end "$2")"; }

# sm_state HOST STATE: what the manager there says of itself
sm_state() { in_host "$1" sminfo "$(lid "$1")" 2>/dev/null | grep -q "SMINFO_$2"; }

# ruled_by HOST: all ports are active and know their manager
ruled_by() { all_active && of_all has_sm "$(lid "$1")" >/dev/null; }

same_lids()
{
	local n

	for ((n = 1; n <= cas; n++)); do
		[ "$(lid_now $n)" = "$(lid $n)" ] || { echo "h$n has another LID"; return 1; }
	done
}

answers() { in_host "$1" saquery NR | grep -c NodeDescription; }
# knows NODES [HOST]: so many nodes are in the subnet administration
knows() { [ "$(answers "${2:-1}" 2>/dev/null)" = "$1" ]; }

#
# Traffic that takes its time
#

slow() { ip netns exec "h$1" tc qdisc replace dev cable root netem delay 4ms limit 10000; }
quick() { ip netns exec "h$1" tc qdisc del dev cable root; }

# traffic FROM TO SECONDS: one connection, on which a message and its acknowledgment
# take 8 ms. It repeats what is not acknowledged after a second, seven times: until
# a subnet manager has found another way
traffic()
{
	slow "$1"
	slow "$2"
	rdma_xfer -T 180 -t 18 -d 1 -s 4000 -n $(($3 * 125)) send "$(end "$1")" "$(end "$2")" \
		>"$scratch/traffic" 2>&1 </dev/null &
	traffic_pid=$!
	traffic_hosts="$1 $2"
	sleep 1
	kill -0 $traffic_pid
}

goes_on() { kill -0 $traffic_pid; }

# Every byte of it arrives. What is left of it need not take its time
survived()
{
	local n status=0

	for n in $traffic_hosts; do
		quick $n
	done
	wait $traffic_pid || status=$?
	cat "$scratch/traffic"
	return $status
}

#
# Subnet managers
#

second_manager()
{
	start_sm $cas sm_priority 1
	within 30 sm_state $cas STANDBY && sm_state 1 MASTER
}

takes_over()
{
	stop_sm 1 KILL
	SECONDS=0
	within 60 sm_state $cas MASTER && within 60 ruled_by $cas || return
	echo "after $SECONDS s"
}

# By its priority, the first is the master again
comes_back()
{
	start_sm 1 sm_priority 5
	within 60 sm_state 1 MASTER && within 60 sm_state $cas STANDBY && within 60 ruled_by 1
}

manager_tests()
{
	it "a second subnet manager waits" second_manager
	it "connections over the switch" traffic 2 3 60
	it "the first is killed, the second takes over" takes_over
	it "all LIDs are what they were" same_lids
	it "the subnet administration answers" knows $((cas + switches)) 4
	it "new connections" xfer 4 5 -n 20 write
	it "the old one goes on" goes_on
	it "the first comes back and is the master" comes_back
	it "all LIDs are what they were" same_lids
	it "every byte arrived" survived
	stop_sm $cas
	it "the master goes on alone" within 30 knows $((cas + switches))
}

# killed SIGNAL: and started again after a while
restarts()
{
	stop_sm 1 "$1"
	sleep 2
	: >"$(sm_log 1)"
	start_sm 1 sm_priority 5
	within 60 sm_says 1 'SUBNET UP' && within 60 ruled_by 1
}

restart_tests()
{
	local signal

	it "connections over two switches" traffic 1 8 60
	for signal in TERM KILL; do
		it "the manager is started again after SIG$signal" restarts $signal
		it "all LIDs are what they were" same_lids
		it "connections go on" goes_on
	done
	it "every byte arrived" survived
}

#
# Links
#

pull() { ip -n "$1" link set "$2" down; }
put_back() { ip -n "$1" link set "$2" up; }

# The manager sees it by the switch's trap, or when it looks the next time
host_tests()
{
	it "a cable is pulled at a host" pull h3 cable
	it "its port is down" within 10 is_not_active 3
	it "so is that of the switch" within 10 switch_port_is 3 Down
	it "the subnet administration forgets it" within 30 knows $((cas + switches - 1))
	it "the others go on" xfer 1 2 -n 20 send
	it "there is no way to it" no_way
	it "it is put back" put_back h3 cable
	it "its port is active" within 60 is_active 3
	it "with the LID that it had" same_lids
	it "the subnet administration knows it" within 30 knows $((cas + switches))
	it "and it is reached" xfer 1 3 -n 20 send
	it "a port is disabled by its switch" disable
	it "that takes it down" within 10 is_not_active 3
	it "and enabled" ibportstate_of enable
	it "that takes it up" within 60 is_active 3
	it "and it is reached" xfer 1 3 -n 20 send
}

no_way() { ! in_host 1 timeout 20 ibping -c 1 -t 200 "$(lid 3)" | grep -q ' 1 received'; }

switch_lid()
{
	in_host 1 ibswitches 2>/dev/null | sed -nE "s/^Switch.*\"sw$1\".* lid ([0-9]+) .*/\1/p"
}

# switch_port_is PORT STATE: of switch 1
switch_port_is()
{
	in_host 1 smpquery PI "$(switch_lid 1)" "$1" 2>/dev/null | grep -q "^LinkState:\.*$2"
}

ibportstate_of() { in_host 1 ibportstate "$(switch_lid 1)" 3 "$1"; }
disable() { ibportstate_of disable && within 10 switch_port_is 3 Down; }

# steps FROM TO: how many cables are between them
steps() { in_host "$1" ibtracert "$(lid "$1")" "$(lid "$2")" 2>/dev/null | grep -c ' -> '; }
steps_are() { [ "$(steps "$1" "$2")" = "$3" ]; }

trunk_tests()
{
	it "three cables are between h1 and h8" steps_are 1 8 3
	it "connections on that way" traffic 1 8 60
	it "the cable between their switches is pulled" pull s1 p5
	it "the way is by the third switch" within 60 steps_are 1 8 4
	it "connections go on" goes_on
	it "new connections" xfer 2 7 -n 20 write
	it "the cable is put back" put_back s1 p5
	it "the way is short again" within 60 steps_are 1 8 3
	it "every byte arrived" survived
}

#
# Loss
#

lossy()
{
	local n

	for n in 1 2; do
		no_super "h$n" cable
		no_super s1 "p$n"
		ip netns exec "h$n" tc qdisc replace dev cable root netem limit 10000 $1 &&
			ip netns exec s1 tc qdisc replace dev "p$n" root netem limit 10000 $1 ||
			return
	done
}

loss_tests()
{
	local link op

	for link in "loss 3%" "loss 2% duplicate 2% corrupt 1%" "delay 2ms reorder 75% 25%"; do
		it "cables: $link" lossy "$link"
		for op in send write read; do
			it "$link: 1 MiB by $op arrive" xfer 1 2 -n 16 $op
		done
		it "$link: atomics, each once" xfer 1 2 -n 40 fetch_add
		it "$link: the fabric is up" within 30 all_active
		it "$link: the subnet administration answers" within 30 knows $((cas + switches)) 2
	done
	it "cables are whole" lossy ''
}

#
# Partitions
#

RED=0x8005 BLUE=0x8006 LIMITED=0x7fff FULL=0xffff

partitions()
{
	cat >"$scratch/partitions.conf" <<-END
	Default=0x7fff : ALL=limited, SELF=full;
	red=0x0005 : $(port_guid 2)=full, $(port_guid 3)=full;
	blue=0x0006 : $(port_guid 3)=full, $(port_guid 4)=full;
	END
}

# pkeys HOST KEY...: the port has these
pkeys()
{
	local all key

	all=$(in_host "$1" sh -c "cat /sys/class/infiniband/ca$1/ports/1/pkeys/*")
	for key in "${@:2}"; do
		grep -qx "$key" <<<"$all" || { echo "h$1 has not $key but $all"; return 1; }
	done
}

# What was refused, by anybody: ports of the switch, or of hosts
violations()
{
	local n sum=0 v

	for n in 1 2 3 4; do
		v=$(in_host 1 smpquery PI "$(lid $n)" 1 | sed -n 's/^PkeyViolations:\.*//p')
		sum=$((sum + v))
		v=$(in_host 1 perfquery "$(switch_lid 1)" $n |
			sed -n 's/^Port.*ConstraintErrors:\.*//p' | paste -sd+)
		sum=$((sum + v))
	done
	echo $sum
}

# refused FROM TO PKEY[:PKEY] OPTION... OP: nothing gets through, and somebody counts it
refused()
{
	local before after

	before=$(violations)
	if xfer "$1" "$2" -T 5 -t 10 -n 2 -k "$3" "${@:4}"; then
		echo "it got through"
		return 1
	fi
	after=$(violations)
	echo "violations: from $before to $after"
	[ "$after" -gt "$before" ]
}

partition_tests()
{
	it "keys of h1" pkeys 1 $FULL
	it "keys of h2" pkeys 2 $LIMITED $RED
	it "keys of h3" pkeys 3 $LIMITED $RED $BLUE
	it "keys of h4" pkeys 4 $LIMITED $BLUE
	it "red to red" xfer 2 3 -n 20 -k $RED write
	it "blue to blue" xfer 3 4 -n 20 -k $BLUE read
	it "full member to limited" xfer 1 2 -n 20 -k $FULL:$LIMITED send
	it "limited member to full" xfer 4 1 -n 20 -k $LIMITED:$FULL send
	it "red to blue is refused" refused 2 4 $RED:$BLUE send
	it "red to blue is refused by one that is in both" refused 2 3 $RED:$BLUE write
	it "limited member to limited is refused" refused 2 4 $LIMITED send
	it "and red to red still works" xfer 2 3 -n 20 -k $RED send
}

fabric three || skip_all "no fabric"
it "opensm brings up $fabric" fabric_up 1 sm_priority 5
it "all know it" within 30 knows $((cas + switches))
manager_tests
restart_tests
host_tests
trunk_tests
it "opensm has not ended" sm_runs 1
end_fabric

fabric star 4 || skip_all "no fabric"
partitions
it "opensm brings up $fabric" fabric_up 1
partition_tests
end_fabric

rm -f "$scratch/partitions.conf"
fabric star 4 || skip_all "no fabric"
it "opensm brings up $fabric" fabric_up 1
loss_tests
it "opensm has not ended" sm_runs 1
finish
