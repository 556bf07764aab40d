#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The generic netlink families of queue pairs and of AF_IB sockets, asked by the
# kernel's own client, which knows them by Documentation/netlink/specs only.
# KTREE is a kernel tree that has both.

# shellcheck source-path=SCRIPTDIR source=../../rdma/qpemu/lib.sh
# shellcheck disable=SC2016,SC2119,SC2317  # python; functions run by name
. "$(dirname "$0")/../../rdma/qpemu/lib.sh"

# The one that Debian's yaml is for
python=/usr/bin/python3
here=$(cd "$(dirname "$0")" && pwd)
for KTREE in ${KTREE:+"$KTREE"} "$PROGRAMS/../tree" "$here/../../../../.."; do
	cli=$KTREE/tools/net/ynl/pyynl/cli.py
	[ ! -f "$cli" ] || break
done

gid() { echo "::ffff:${ip4[$1]}"; }

# ynl HOST FAMILY ARGUMENT...: what the client says, as JSON
ynl()
{
	on "$1" "$python" "$cli" --spec "$KTREE/Documentation/netlink/specs/$2.yaml" \
		--output-json "${@:3}"
}

# of EXPRESSION: is it true of what is on stdin, "a"?
of()
{
	$python -c 'import ipaddress, json, sys
text = sys.stdin.read()
ok = eval("(" + sys.argv[1] + ")", {"a": json.loads(text), "ip": ipaddress.ip_address})
if not ok: print(text[:3000])
sys.exit(not ok)' "$1"
}

dump() { ynl "$1" "$2" --dump "$3"; }

# with OPTIONS COMMAND...: while a socket waits for messages on host 1
with()
{
	local pid status=0

	: >"$scratch/server"
	# shellcheck disable=SC2086
	ip netns exec "$ns1" timeout 150 ib_end $1 >"$scratch/server" 2>&1 &
	pid=$!
	listening 1 listens || return
	shift
	"$@" || status=$?
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return "$status"
}

nothing_yet()
{
	dump 0 qp qp-get | of 'a == []' && dump 0 qp conn-get | of 'a == []' &&
		dump 0 qp mr-get | of 'a == []' && dump 0 ib_proto dest-get | of 'a == []'
}

datagram_socket()
{
	dump 1 qp qp-get | of 'len(a) == 1 and a[0]["type"] == "ud" and
		a[0]["domain"] == 27 and a[0]["protocol"] == "roce" and
		a[0]["state"] == "rts" and "kernel" in a[0] and a[0]["uid"] == 0 and
		ip(a[0]["local"]["gid"]) == ip("'"$(gid 1)"'") and a[0]["port-qpn"] > 1' || return
	# Datagrams are no connection
	dump 1 qp conn-get | of 'a == []'
}

# The other host does not see it
other_host() { dump 0 qp qp-get | of 'a == []'; }

listener()
{
	dump 1 qp conn-get | of 'len(a) == 1 and a[0]["state"] == "listen" and
		a[0]["local"]["service-id"] == 0x1061d2f and a[0]["local"]["family"] == 27 and
		a[0]["backlog"] == 0 and a[0]["max-backlog"] >= 1'
}

# A connection, seen from both ends
connected()
{
	local status=0

	on 0 ib_end -t seqpacket -w 100000 send "$(gid 1)" 7471 >"$scratch/client" &
	soon grep -q sent "$scratch/client" || return
	dump 0 qp conn-get >"$scratch/ours"
	dump 1 qp conn-get >"$scratch/theirs"
	of 'len(a) == 1 and a[0]["state"] == "rts" and a[0]["protocol"] == "roce" and
		ip(a[0]["peer"]["gid"]) == ip("'"$(gid 1)"'") and
		ip(a[0]["local"]["gid"]) == ip("'"$(gid 0)"'") and
		a[0]["peer"]["service-id"] == 0x1061d2f' <"$scratch/ours" || status=1
	of 'any(c["state"] == "rts" and ip(c["peer"]["gid"]) == ip("'"$(gid 0)"'") for c in a)' \
		<"$scratch/theirs" || status=1
	kill $!
	wait $! 2>/dev/null
	return "$status"
}

# Many queue pairs, more than one message of netlink has room for; they wait on stdin
many=300

# hold COUNT BYTES COMMAND...: while a process has so many queue pairs of a pipe, and
# that much memory registered by each
hold()
{
	local pid status=0

	: >"$scratch/hold"
	ip netns exec "$ns0" qp_hold "$1" "$2" >"$scratch/hold" &
	pid=$!
	soon grep -q ready "$scratch/hold" || return
	shift 2
	"$@" || status=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	return "$status"
}

all_of_them()
{
	dump 0 qp qp-get | of 'len(a) == '"$many"' and len(set(q["qpn"] for q in a)) == len(a) and
		[q["qpn"] for q in a] == sorted(q["qpn"] for q in a) and
		all(q["protocol"] == "pipe" and q["mem-regions"] == 1 and
		    q["mem-bytes"] == 8192 and q["inode"] > 0 and "kernel" not in q and
		    q["state"] == "listen" for q in a)'
}

all_memory()
{
	dump 0 qp mr-get | of 'len(a) == '"$many"' and len(set(m["qpn"] for m in a)) == len(a) and
		all(m["length"] == 8192 and m["pages"] >= 2 and m["refs"] >= 1 and
		    set(m["access"]) == {"local-write", "remote-read"} for m in a)'
}

with_secrets()
{
	dump 0 qp mr-get | of 'all(m["addr"] > 0 and m["key"] > 0 for m in a) and
		len(set(m["key"] for m in a)) == len(a)'
}

# Who is nobody in particular is told all but that
without_secrets()
{
	on 0 setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all \
		"$python" "$cli" --spec "$KTREE/Documentation/netlink/specs/qp.yaml" \
		--output-json --dump mr-get |
		of 'len(a) == '"$many"' and not any("addr" in m or "key" in m for m in a)'
}

pipe_names()
{
	dump 0 qp conn-get | of 'all(c["local"]["family"] == 1 and
		c["local"]["path"].startswith("@qp_hold") for c in a)'
}

one_of_them()
{
	local qpn

	qpn=$(dump 0 qp qp-get | $python -c 'import json, sys
print(json.load(sys.stdin)[7]["qpn"])')
	ynl 0 qp --do qp-get --json '{"qpn": '"$qpn"'}' |
		of 'a["qpn"] == '"$qpn"' and a["state"] == "listen"'
}

# wrong ERROR JSON: a question that cannot be answered
wrong()
{
	! ynl 0 qp --do qp-get --json "$2" >"$scratch/wrong" 2>&1 &&
		grep -q "$1" "$scratch/wrong" && return
	cat "$scratch/wrong"
	return 1
}

# A dump that is read slowly, while queue pairs come and go, has those that stay
while_others_come_and_go()
{
	local busy status=0

	(while :; do n0 qp_hold -1 0; done >/dev/null 2>&1) &
	busy=$!
	for _ in 1 2 3; do
		dump 0 qp qp-get | of 'len(set(q["qpn"] for q in a)) == len(a) and
			sum(q["mem-bytes"] == 8192 for q in a) == '"$many" || status=1
		dump 0 qp mr-get | of 'len(set(m["qpn"] for m in a
			if m["length"] == 8192)) == '"$many" || status=1
	done
	kill "$busy"
	wait "$busy" 2>/dev/null
	return "$status"
}

# Until the client is told, it may not be listening
told() { n0 qp_hold -1 0 && sleep 0.2 && grep -q qp-del-ntf "$scratch/told"; }

monitor()
{
	local pid lines

	: >"$scratch/told"
	ip netns exec "$ns0" timeout 60 "$python" -u "$cli" --output-json \
		--subscribe monitor --duration 60 \
		--spec "$KTREE/Documentation/netlink/specs/qp.yaml" >"$scratch/told" 2>&1 &
	pid=$!
	soon told || { cat "$scratch/told"; return 1; }
	lines=$(wc -c <"$scratch/told")
	# That is another namespace
	n1 qp_hold -1 0
	sleep 0.3
	kill "$pid"
	wait "$pid" 2>/dev/null
	[ "$lines" = "$(wc -c <"$scratch/told")" ] || { cat "$scratch/told"; return 1; }
	$python - "$scratch/told" <<-'END'
	import json, sys
	text = open(sys.argv[1]).read()
	told, dec, at = [], json.JSONDecoder(), 0
	while at < len(text):
	    if text[at].isspace():
	        at += 1
	        continue
	    msg, at = dec.raw_decode(text, at)
	    told.append(msg)
	print(told)
	last = [m for m in told if m["msg"]["qpn"] == told[-1]["msg"]["qpn"]]
	states = [m["msg"]["state"] for m in last if m["name"] == "qp-state-ntf"]
	sys.exit(not (last[0]["name"] == "qp-new-ntf" and last[-1]["name"] == "qp-del-ntf" and
	              "listen" in states))
	END
}

# What was found for service IDs, and that nobody has one
destinations()
{
	local status=0

	ip netns exec "$ns0" ib_end -n 2 -w 100000 send "$(gid 1)" 7471,7472 \
		>"$scratch/client" 2>&1 &
	soon grep -q sent "$scratch/client" || return
	dump 0 ib_proto dest-get | of 'len(a) == 2 and
		{d["service-id"] for d in a} == {0x1111d2f, 0x1111d30} and
		all(ip(d["gid"]) == ip("'"$(gid 1)"'") and ip(d["local"]) == ip("'"$(gid 0)"'") and
		    d["qpn"] > 1 and 0 < d["expires"] <= 10000 and d["inode"] > 0 and
		    "error" not in d for d in a)' || status=1
	kill $!
	wait $! 2>/dev/null
	return "$status"
}

two_ports()
{
	with "recv $(gid 1) 7472" destinations
}

nobody_there()
{
	ip netns exec "$ns0" ib_end -k -w 100000 send "$(gid 1)" 7479 >"$scratch/client" 2>&1 &
	soon grep -q refused "$scratch/client" || return
	dump 0 ib_proto dest-get | of 'len(a) == 1 and a[0]["service-id"] == 0x1111d37 and
		a[0]["error"] == 111 and "qpn" not in a[0] and a[0]["expires"] <= 1000'
	set -- $?
	kill $!
	wait $! 2>/dev/null
	return "$1"
}

# More than one message has room for, each from a socket with many
many_destinations()
{
	ip netns exec "$ns0" ib_end -n 500 -q 500 -w 100000 send "$(gid 1)" 1 \
		>"$scratch/client" 2>&1 &
	soon grep -q sent "$scratch/client" || return
	dump 0 ib_proto dest-get | of 'len(a) == 500 and
		{d["qpn"] for d in a} == {0x800000 + i for i in range(500)}'
	set -- $?
	kill $! 2>/dev/null
	wait $! 2>/dev/null
	return "$1"
}

need $python ib_end qp_hold setpriv
[ -f "$cli" ] || skip_all "no kernel tree with tools/net/ynl"
$python -c 'import yaml' 2>/dev/null || skip_all "no yaml for python3"
hosts
for host in 0 1; do
	# Without a device nobody would answer
	on $host sysctl -qw net.qp.emulation=2
done
it "nothing yet" nothing_yet
it "a socket for datagrams" with "recv $(gid 1) 7471" datagram_socket
it "not of another host" with "recv $(gid 1) 7471" other_host
it "a listener" with "-t seqpacket recv $(gid 1) 7471" listener
it "a connection" with "-t seqpacket -n 2 recv $(gid 1) 7471" connected
it "$many queue pairs" hold $many 8192 all_of_them
it "their memory" hold $many 8192 all_memory
it "addresses and keys" hold $many 8192 with_secrets
it "not for everybody" hold $many 8192 without_secrets
it "names of pipes" hold $many 0 pipe_names
it "a queue pair by its number" hold $many 0 one_of_them
it "a number that none has" wrong 'No such file' '{"qpn": 12345}'
it "a number that none can have" wrong 'Numerical result out of range' '{"qpn": 0}'
it "no number" wrong 'Invalid argument' '{}'
it "while others come and go" hold $many 8192 while_others_come_and_go
it "notifications" monitor
it "service IDs that were found" with "recv $(gid 1) 7471" two_ports
it "one that nobody has" nobody_there
it "many of them" many_destinations
finish
