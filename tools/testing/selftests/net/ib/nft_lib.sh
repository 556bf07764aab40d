# SPDX-License-Identifier: GPL-2.0
# Sourced by tests of filters: rules of nft(8) for a netdevice, and what they count.
# shellcheck shell=bash

# nft_rules NS HOOK NETDEV RULE...: the only ones of the namespace; each may name the
# counters a to d
nft_rules()
{
	local ns=$1 hook=$2 netdev=$3 rule

	shift 3
	no_rules "$ns"
	{
		echo 'table netdev t {'
		printf 'counter %s { }\n' a b c d
		echo "chain c { type filter hook $hook device \"$netdev\" priority 0; }"
		echo '}'
		[ $# = 0 ] || printf 'add rule netdev t c %s\n' "$@"
	} | ip netns exec "$ns" nft -f - || return
	ruled=$ns
}

# no_rules NS...
no_rules()
{
	local ns

	for ns; do
		ip netns exec "$ns" nft flush ruleset
	done
}

# packets COUNTER: of the rules
packets()
{
	ip netns exec "$ruled" nft list counter netdev t "$1" |
		sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

# filtered COUNTER TEST NUMBER...: such as "filtered a -ge 1 b -eq 0"
filtered()
{
	local n

	while [ $# -gt 0 ]; do
		n=$(packets "$1")
		test "$n" "$2" "$3" || { echo "counter $1: $n, not $2 $3"; return 1; }
		shift 3
	done
}
