# SPDX-License-Identifier: GPL-2.0
#
# Plots the CSV file of the benchmark: bandwidth, message rate and round trip
# over the size of a message. Takes its name in csv, and the image's in png.
# A series is a line: thick ones are ours, dashed ones their peers.

set terminal pngcairo size 2100,700 noenhanced font ",10"
set output png
set datafile separator ","

names = system(sprintf("tail -n +2 '%s' | cut -d, -f1 | uniq", csv))
is_ours(s) = s[1:3] eq "qp-" || s[1:3] eq "ib/" || s[1:3] eq "ib-"
width(s) = is_ours(s) ? 2.5 : 1.2
dash(s) = is_ours(s) ? 1 : 2

set logscale x 2
set logscale y
set xlabel "message, bytes"
set xtics ("8" 8, "64" 64, "512" 512, "4K" 4096, "32K" 32768, "256K" 262144, "2M" 2097152)
set format y "%.0s%c"
set grid
set key outside below maxcols 3

of(s, column) = strcol(1) eq s ? column : NaN

set multiplot layout 1,3
do for [plot in "8:MB/s 7:messages/s 9:us_of_a_round_trip"] {
	column = int(plot[1:1])
	set ylabel plot[3:*]
	plot for [i = 1:words(names)] csv skip 1 \
		using 6:(of(word(names, i), column(column))) \
		with linespoints pointtype i linewidth width(word(names, i)) \
		dashtype dash(word(names, i)) title word(names, i)
}
unset multiplot
