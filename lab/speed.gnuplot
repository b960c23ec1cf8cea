# SPDX-License-Identifier: GPL-2.0-only
# Draws docs/speed-BASE.svg of what 'lab/speed plot' prints: gnuplot -e "data='...'; blocks=N" lab/speed.gnuplot
set terminal svg size 860,520 font 'sans-serif,13' background 'white' linewidth 1.5
set encoding utf8
set title 'Instructions of ibv\_reg\_mr() per 4 KiB'
set logscale x 2
set logscale y 10
set xtics ('64 KiB' 2**16, '1 MiB' 2**20, '16 MiB' 2**24, '64 MiB' 2**26, '1 GiB' 2**30)
set xrange [2**15.5:2**30.5]
set xlabel 'memory that is registered'
set grid
set key below left Left reverse noenhanced maxcols 3
plot for [i=0:blocks-1] data index i using 1:2 with linespoints pointtype 7 pointsize 0.5 \
	title columnheader(1)
