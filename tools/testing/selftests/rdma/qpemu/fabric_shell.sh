#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fabric_shell.sh [COMMAND]
#
# A shell on a fabric of four hosts and a switch that opensm has brought up, or one
# command there.

# shellcheck disable=SC2119,SC2317  # functions run by name
. "$(dirname "$0")/fabric.sh"

if ! fabric star 4 >"$scratch/up" 2>&1 || ! fabric_up 1 >>"$scratch/up" 2>&1; then
	cat "$scratch/up"
	echo "there is no fabric" >&2
	exit 1
fi
of_all ipoib_up >/dev/null 2>&1 || echo "IPoIB is not up" >&2

# For short: what is run in which host
cat >"$scratch/rc" <<'END'
in_space()
{
	[ $# != 1 ] || set -- "$1" env PS1="$1# " bash --norc
	ip netns exec "$@"
}
h1() { in_space h1 "$@"; }
h2() { in_space h2 "$@"; }
h3() { in_space h3 "$@"; }
h4() { in_space h4 "$@"; }
s1() { in_space s1 "$@"; }
PS1='fabric: h1 h2 h3 h4 s1# '
END

if [ -n "${1:-}" ]; then
	bash -c ". $scratch/rc; $1"
	exit
fi

sed "s/LID1/$(lid 1)/; s/LID2/$(lid 2)/; s/LID3/$(lid 3)/; s/LID4/$(lid 4)/
     s,LOG,$(sm_log 1)," <<'END'

An InfiniBand fabric: four hosts, each a network namespace with an adapter, and a
switch, in one as well. opensm, the subnet manager, runs in h1.

     h1  ca1  LID LID1  --- 1 +-----+ 3 ---  h3  ca3  LID LID3
                           | sw1 |
     h2  ca2  LID LID2  --- 2 +-----+ 4 ---  h4  ca4  LID LID4

"h1 COMMAND" runs it in h1, "h1" alone is a shell there; so with h2, h3, h4 and s1.

     h1 ibnetdiscover                what there is
     h3 ibstat                       the port of h3
     h1 iblinkinfo                   all links
     h1 saquery -p                   paths, as the subnet administration gives them
     h2 ibping -S & h1 ibping -c 3 LID2
                                     ping, with no IP
     h2 ib_write_bw -d ca2 & h1 ib_write_bw -d ca1 192.168.77.2
     h1 ping -c 3 10.9.0.2           IP over InfiniBand
     h4 tcpdump -i cable -c 3        what is on a cable
     ip -n h3 link set cable down    pull it; "up" puts it back

opensm writes to LOG. "exit" ends it all.

END
bash --rcfile "$scratch/rc" -i
