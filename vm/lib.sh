# SPDX-License-Identifier: GPL-2.0
# Sourced by the scripts in vm/: where things are, and how to fail.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the variables are for those who source this

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
TREE=$BUILD/tree
KERNEL_SERIES=7.2

say()
{
	echo "${0##*/}: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# Only one tree is laid and one kernel built at a time: run this very script
# again under the lock, unless a caller holds it.
lock()
{
	mkdir -p "$BUILD"
	[ -n "${LAB_LOCKED:-}" ] && return
	exec 9>"$BUILD/.lock"
	if ! flock -n 9; then
		say "waiting for another build to end"
		flock 9
	fi
	export LAB_LOCKED=1
}
