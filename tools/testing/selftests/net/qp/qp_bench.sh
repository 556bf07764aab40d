#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs the benchmark and keeps what it finds: a table (.txt), the medians (.csv)
# and a plot (.png). Arguments: the directory of the built programs, a directory
# for the results, and options for the benchmark itself.

if [ $# -lt 2 ]; then
	echo "usage: $0 PROGRAMS RESULTS [OPTION]..." >&2
	exit 2
fi
programs=$1 results=$2/qp_bench plot=$(dirname "$0")/plot.gp
shift 2

# Everything with a processor for each process, and the targets also with one for both
measure()
{
	"$programs/qp_bench" --csv "$results.csv" "$@" &&
		"$programs/qp_bench" --targets --cpu 0,0
}

# tee would hide the benchmark's status
status=$({ { measure "$@" 3>&-; echo $? >&3; } | tee "$results.txt" >&4; } 3>&1) 4>&1

[ -s "$results.csv" ] || exit "$status"
if command -v gnuplot >/dev/null; then
	gnuplot -e "csv='$results.csv'; png='$results.png'" "$plot" || status=1
else
	echo "gnuplot is not installed: no plot" >&2
fi
echo "Results: $results.txt $results.csv $results.png"
exit "$status"
