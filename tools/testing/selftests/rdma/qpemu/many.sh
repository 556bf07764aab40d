#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# many.sh [TYPE [COUNT]]: COUNT RC queue pairs on one device at once, each connected
# to one of another device

# shellcheck disable=SC2086,SC2119,SC2317  # words are split; functions run by name
. "$(dirname "$0")/lib.sh"

type=${1:-qpemu} count=${2:-5000}
hosts
devices_on "$type" "$type"
it "$count queue pairs on a device talk at once" rdma_many -T 300 -q "$count" "$end0" "$end1"
sed 's/^/# /' "$scratch/it"
it "and are gone" sh -c "! rdma res show qp | grep -q 'type RC'"
finish
