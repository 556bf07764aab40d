# SPDX-License-Identifier: GPL-2.0
#
# Plots the medians of bench.sh: a bar for each peer. Takes the name of the file
# of medians in med, and the image's in png.

set terminal pngcairo size 1800,600 noenhanced font ",10"
set output png
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set grid ytics
set yrange [0:*]
set key top right

peers = "qpemu rxe siw tcp"
# one value, or none, of the peer's for a metric
median_of(peer, metric) = real(system(sprintf("awk '$1 == \"%s.%s\" { v = $2 } END { print v + 0 }' '%s'", peer, metric, med)))

set multiplot layout 1,3
array titles[3] = ["Gbit/s, messages of 64 KiB", "messages/s of 8 bytes", "us, round trip of 8 bytes"]
array metrics[3] = ["write_bw send_bw read_bw", "write_rate write_rate1 one_qp many_qps", "rtt"]
do for [i = 1:3] {
	set title titles[i]
	n = words(metrics[i])
	set xrange [-0.5:n - 0.5]
	set xtics ("" 0)
	do for [m = 1:n] { set xtics add (word(metrics[i], m) m - 1) }
	plot for [p = 1:4] '+' using (median_of(word(peers, p), word(metrics[i], int($0) + 1))) \
		every ::0::(n - 1) title word(peers, p)
}
unset multiplot
