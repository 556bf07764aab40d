#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs a benchmark and keeps what it finds: a table (.txt), the medians (.csv)
# and a plot (.png). Arguments: the benchmark's name, the directory of the built
# programs, a directory for the results (- for none), and options for the
# benchmark itself.

if [ $# -lt 3 ]; then
	echo "usage: $0 NAME PROGRAMS RESULTS|- [OPTION]..." >&2
	exit 2
fi
bench=$2/$1 dir=$3 results=$3/$1 plot=$(dirname "$0")/plot.gp
shift 3

# Everything with a processor for each process; targets also with one for both
measure()
{
	if [ "$dir" = - ]; then
		"$bench" "$@"
	else
		"$bench" --csv "$results.csv" "$@"
	fi && "$bench" --targets "$@" --cpu 0,0
}

if [ "$dir" = - ]; then
	measure "$@"
	exit
fi

# tee would hide the benchmark's status
status=$({ { measure "$@" 3>&-; echo $? >&3; } |
	tee "$results.txt" >&4; } 3>&1) 4>&1

[ -s "$results.csv" ] || exit "$status"
if command -v gnuplot >/dev/null; then
	gnuplot -e "csv='$results.csv'; png='$results.png'" "$plot" || status=1
else
	echo "gnuplot is not installed: no plot" >&2
fi
echo "Results: $results.txt $results.csv $results.png"
exit "$status"
