# lying_bars.gp - One group of bars per label, one colour per series, with intervals. Bars are horizontal,
# as labels are long. Panels, one per metric, are one above the other.

n_labels = |XLABEL|
bar = 0.8 / n_series
band = (1 - title_share - key_share) / n_panels
bar_at(p, i) = is_in(p, i) ? -column("x") + 0.4 - bar * (i - 0.5) : NaN
value_text(v) = recall ? sprintf(" %.4f", v) : abs(v) < 1000 ? sprintf(" %.3g", v) : gprintf(" %.2s%c", v)
unset logscale
set multiplot title title_text noenhanced font ",15"
do for [p = 1:n_panels] {
    axis_title = strlen(PANEL[p]) ? PANEL[p] : y_title
    recall = strlen(PANEL[p]) ? substr(PANEL[p], 1, 7) eq "recall@" : y_recall
    set autoscale
    unset logscale
    stats csv using (column("panel_number") == p ? column("y_low") : NaN) nooutput
    set lmargin at screen (longest_label * 9.7 + 30.0) / width
    set rmargin at screen 1 - 70.0 / width
    set tmargin at screen 1 - title_share - (p - 1) * band - 12.0 / height
    set bmargin at screen 1 - title_share - p * band + 64.0 / height
    unset key
    unset title
    set border 3 linewidth 0.8 linecolor rgb "#444444"
    set grid noytics xtics linewidth 0.5 linecolor rgb "#DDDDDD"
    set xtics auto nomirror out scale 0.6
    set xlabel axis_title noenhanced offset 0, 0.4
    unset ylabel
    unset ytics
    set ytics () nomirror
    set for [j = 1:n_labels] ytics add ("" -(j - 1))
    # Labels are drawn apart from the tics. A tic label is a format, where "%" has a meaning.
    set for [j = 1:n_labels] label j XLABEL[j] at graph 0, first -(j - 1) right offset -1.4, 0 noenhanced textcolor rgb "#222222"
    set yrange [-(n_labels - 0.4):0.6]
    # A linear axis shows only the longest bars where bars differ by a factor above 30. The axis is then logarithmic.
    wide = !recall && STATS_min > 0 && STATS_max > 30 * STATS_min
    low_edge = recall ? floor((STATS_min - 0.02) * 20) / 20.0 : wide ? 10.0 ** floor(log10(STATS_min)) : 0
    if (recall) { set xrange [low_edge:1.0 + (1.0 - STATS_min) * 0.02 + 0.002] } else { set xrange [low_edge:*] }
    if (wide) { set logscale x }
    if (low_edge > 0) { set xlabel sprintf("%s (the axis begins at %g)", axis_title, low_edge) noenhanced offset 0, 0.4 }
    # About five tics, as numbers of five digits leave no space for more.
    raw = STATS_max > 0 ? STATS_max / (paper ? 3 : 5) : 1
    scale = 10.0 ** floor(log10(raw))
    step = scale * (raw / scale < 1.5 ? 1 : raw / scale < 3.5 ? 2 : raw / scale < 7.5 ? 5 : 10)
    if (recall) { step = 1 - low_edge > 0.2 ? 0.1 : 0.05 }
    # 1.5M between 1M and 2M, but 150k.
    suffixed = STATS_max >= 10000 ? 1000.0 ** floor(log10(STATS_max) / 3) : 0
    set format x (suffixed == 0 ? "%g" : !wide && step < suffixed ? "%.1s%c" : "%.0s%c")
    if (!wide && (paper || !recall)) { set xtics step nomirror out scale 0.6 }
    plot for [i = 1:n_series] csv using (low_edge):(bar_at(p, i)):(low_edge):"y":(bar_at(p, i) - bar * 0.45):(bar_at(p, i) + bar * 0.45) \
             with boxxyerror linecolor rgb HUE[(i - 1) % 8 + 1] fillstyle solid 0.85 noborder notitle, \
         for [i = 1:n_series] csv using "y":(bar_at(p, i)):"y_low":"y_high" \
             with xerrorbars pointtype 0 linewidth 1 linecolor rgb "#333333" notitle, \
         for [i = 1:n_series] csv using "y_high":(bar_at(p, i)):(value_text(column("y"))) \
             with labels left font ",10" textcolor rgb "#333333" notitle
    unset label
}
@draw_key
set style fill solid 0.85 noborder
plot for [i = 1:n_series] NaN with boxes linecolor rgb HUE[(i - 1) % 8 + 1] title SERIES[i]
unset multiplot
