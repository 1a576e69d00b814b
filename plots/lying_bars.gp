# lying_bars.gp - One group of bars per label, one colour per series, with intervals. Bars are horizontal,
# as labels are long. Panels, one per metric, are one above the other.

n_labels = |XLABEL|
bars = above ? 15.0 * n_series / bar_group : 0.8 # their share of a label's space
bar = bars / n_series
band = (1 - title_share - key_share) / n_panels
bar_at(p, i) = is_in(p, i) ? -column("x") - 0.4 + bars - bar * (i - 0.5) : NaN
value_text(v) = Y_SCALE[p] == 4 ? sprintf(" %.4f", v) : abs(v) < 1000 ? sprintf(" %.3g", v) : abs(v) < 10000 ? sprintf(" %.0f", v) : gprintf(" %.2s%c", v)
set multiplot title title_text noenhanced font title_font(title_text)
do for [p = 1:n_panels] {
    set lmargin at screen (above ? 20.0 : longest_label * 8.4 + 30.0) / width
    set rmargin at screen 1 - 70.0 / width
    set tmargin at screen 1 - title_share - (p - 1) * band - 12.0 / height
    set bmargin at screen 1 - title_share - p * band + 50.0 / height
    unset key
    unset title
    set border 3 linewidth 0.8 linecolor rgb "#444444"
    set grid noytics xtics linewidth 0.5 linecolor rgb "#DDDDDD"
    set xlabel Y_TITLE[p] noenhanced offset 0, 0.4
    unset ylabel
    unset ytics # a tic would be a minus before a 0
    # Labels are drawn apart from the tics. A tic label is a format, where "%" has a meaning.
    if (above) {
        set for [j = 1:n_labels] label j XLABEL[j] at graph 0, first -(j - 1) - 0.4 + bars + 9.0 / bar_group left offset 0.6, 0 noenhanced textcolor rgb "#222222"
    } else {
        set for [j = 1:n_labels] label j XLABEL[j] at graph 0, first -(j - 1) right offset -1, 0 noenhanced textcolor rgb "#222222"
    }
    set yrange [-(n_labels - 0.4):0.6]
    eval(axis_y("x", p))
    plot for [i = 1:n_series] csv using (Y_LOW[p]):(bar_at(p, i)):(Y_LOW[p]):"y":(bar_at(p, i) - bar * 0.45):(bar_at(p, i) + bar * 0.45) \
             with boxxyerror linecolor rgb colour(i) fillstyle solid 0.85 noborder notitle, \
         for [i = 1:n_series] csv using (interval(i, p) ? column("y") : NaN):(bar_at(p, i)):"y_low":"y_high" \
             with xerrorbars pointtype 0 linewidth 1 linecolor rgb "#333333" notitle, \
         for [i = 1:n_series] csv using "y_high":(bar_at(p, i)):(value_text(column("y") / Y_UNIT[p])) \
             with labels left font font(0.9) textcolor rgb "#333333" notitle
    unset label
}
@draw_key
set style fill solid 0.85 noborder
plot for [i = 1:n_series] NaN with boxes linecolor rgb colour(i) title SERIES[i]
unset multiplot
