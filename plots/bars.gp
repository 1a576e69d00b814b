# bars.gp - one cluster of bars a label, one colour a series, with intervals. Labels are long, so bars lie flat.

n_labels = |XLABEL|
bar = 0.8 / n_series
set autoscale
stats csv using 5 nooutput
set multiplot title title_text noenhanced font ",15"
set lmargin at screen (longest_label * 9.7 + 30.0) / width
set rmargin at screen 1 - 70.0 / width
set tmargin at screen 1 - title_share - 12.0 / height
set bmargin at screen key_share + 64.0 / height
unset key
unset title
unset logscale
set border 3 linewidth 0.8 linecolor rgb "#444444"
set grid noytics xtics linewidth 0.5 linecolor rgb "#DDDDDD"
set xtics auto nomirror out scale 0.6
set format x (STATS_max >= 10000 ? "%.0s%c" : "%g")
set xlabel y_title noenhanced offset 0, 0.4
unset ylabel
unset ytics
set ytics () nomirror
set for [j = 1:n_labels] ytics add ("" -(j - 1))
# Not as the marks' own texts: those are formats, in which a "%" means something.
set for [j = 1:n_labels] label j XLABEL[j] at graph 0, first -(j - 1) right offset -1.4, 0 noenhanced textcolor rgb "#222222"
set yrange [-(n_labels - 0.4):0.6]
# Where bars differ thirtyfold and more, a plain axis shows only the longest: then it is logarithmic.
wide = !y_recall && STATS_min > 0 && STATS_max > 30 * STATS_min
low_edge = y_recall ? floor((STATS_min - 0.02) * 20) / 20.0 : wide ? 10.0 ** floor(log10(STATS_min)) : 0
if (y_recall) { set xrange [low_edge:1.0 + (1.0 - STATS_min) * 0.02 + 0.002] } else { set xrange [low_edge:*] }
if (wide) { set logscale x }
# Some five marks: numbers of five digits leave no room for more.
raw = STATS_max > 0 ? STATS_max / 5 : 1
scale = 10.0 ** floor(log10(raw))
step = scale * (raw / scale < 1.5 ? 1 : raw / scale < 3.5 ? 2 : raw / scale < 7.5 ? 5 : 10)
if (!wide && !y_recall) { set xtics step nomirror out scale 0.6 }
place(i, x) = -x + 0.4 - bar * (i - 0.5)
plot for [i = 1:n_series] csv using (low_edge):($2 == i ? place(i, $3) : NaN):(low_edge):4:(place(i, $3) - bar * 0.45):(place(i, $3) + bar * 0.45) \
         with boxxyerror linecolor rgb HUE[(i - 1) % 8 + 1] fillstyle solid 0.85 noborder notitle, \
     for [i = 1:n_series] csv using 4:($2 == i ? place(i, $3) : NaN):5:6 \
         with xerrorbars pointtype 0 linewidth 1 linecolor rgb "#333333" notitle, \
     for [i = 1:n_series] csv using 6:($2 == i ? place(i, $3) : NaN):(y_recall ? sprintf(" %.4f", $4) : abs($4) < 1000 ? sprintf(" %.3g", $4) : gprintf(" %.2s%c", $4)) \
         with labels left font ",10" textcolor rgb "#333333" notitle
unset label
@draw_key
set style fill solid 0.85 noborder
plot for [i = 1:n_series] NaN with boxes linecolor rgb HUE[(i - 1) % 8 + 1] title SERIES[i]
unset multiplot
