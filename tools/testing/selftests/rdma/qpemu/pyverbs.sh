#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# pyverbs.sh [TYPE [PASSES]]
#
# Runs rdma-core's own tests on a device of this type. None may fail, and as many
# as PASSES must pass: the 93 that rxe passes, the 10 of rdma_cm that need a name
# for the netdevice, and the 4 of re-registration, for which rdma-core's provider
# has no function (see provider_shim.c). Each of them counts here; those that skip
# say why.

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu} least=${2:-107}
tests=/usr/share/doc/rdma-core/tests
python=/usr/bin/python3
shim=$(cd "$PROGRAMS" && pwd)/provider_shim.so
[ -d $tests ] || skip_all "rdma-core's tests are not installed"
$python -c 'import pyverbs.device' 2>/dev/null || skip_all "pyverbs is not installed"

# A copy, in which a device's netdevice is found though it has no bus
copy()
{
	mkdir -p "$scratch/tests" "$scratch/net/veth0"
	cp $tests/*.py $tests/*.py.gz "$scratch/tests"
	gunzip "$scratch"/tests/*.gz
	sed -i "s:/sys/class/infiniband/{}/device/net/:$scratch/net/:" "$scratch"/tests/*.py
}

# modules OPTION...: run them all, those of other hardware aside; each in a process
# of its own, so that what ends one does not end the rest
modules()
{
	local module

	for module in "$scratch"/tests/test_*.py; do
		case $module in
		*mlx5* | *efa* | *cuda*) continue ;;
		esac
		module=$(basename "$module" .py)
		LD_PRELOAD=$shim n0 timeout 300 $python "$scratch/tests/run_tests.py" -v "$@" \
			"$module" 2>&1 ||
			echo "$module: status $?"
	done
}

# Their report as TAP. A name and its verdict may have lines of a test between.
tap()
{
	awk '
	/^test_[a-z0-9_]+ \(/ { name = $1; said = "" }
	/^(FAIL|ERROR): |^Traceback/, /^$/ { print "# " $0; next }
	/: status [0-9]+$/ { print "# " $0; if (name) { print "not ok " ++n " " name; name = "" } }
	!name { next }
	/(^|\.\.\. |[^a-z])ok$/ { print "ok " ++n " " name; name = "" }
	/skipped ./ { why = $0; sub(/.*skipped ./, "", why); sub(/.$/, "", why)
		      print "ok " ++n " " name " # SKIP " why; name = "" }
	/(FAIL|ERROR)$/ { print "not ok " ++n " " name; name = "" }'
}

hosts
link_add "$ns0" py0 "$type" veth0 || skip_all "no device of type $type"
wait_gid "$ns0" py0 "${ip4[0]}"
copy
modules --dev py0 --gid "$(gid_index "$ns0" py0 "${ip4[0]}")" </dev/null |
	tee "$scratch/report" | tap | tee "$scratch/tap"
passed=$(grep -c '^ok .*' "$scratch/tap")
failed=$(grep -c '^not ok' "$scratch/tap")
skipped=$(grep -c '# SKIP' "$scratch/tap")
passed=$((passed - skipped))
it "at least $least pass" [ "$passed" -ge "$least" ]
finish
