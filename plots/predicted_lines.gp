# predicted_lines.gp - Points with the range of their repeats, and lines of the same colour. See predicted.gp.

ends(s, t) = strlen(s) >= strlen(t) && substr(s, strlen(s) - strlen(t) + 1, strlen(s)) eq t
ending(s) = ends(s, ", measured") ? 10 : ends(s, ", predicted") ? 11 : 15
base(s) = substr(s, 1, strlen(s) - ending(s))
n_measured = 0
n_predicted = 0
array TONE[n_series]
tones = 0
do for [i = 1:n_series] {
    n_measured = n_measured + (ending(SERIES[i]) == 10)
    n_predicted = n_predicted + (ending(SERIES[i]) == 11)
    TONE[i] = 0
    do for [j = 1:i - 1] { if (base(SERIES[j]) eq base(SERIES[i])) { TONE[i] = TONE[j] } }
    if (TONE[i] == 0) { tones = tones + 1; TONE[i] = tones }
}
n_lines = n_measured + n_predicted
# gnuplot looks at the first of a loop that does not run, too.
at(i) = TONE[i > n_series ? 1 : i] - 1
tone(i) = hue(at(i) + 1)
sign(i) = MARK[at(i) % 6 + 1]
name(i) = i > n_series ? "" : SERIES[i]

set multiplot title title_text noenhanced font title_font(title_text)
do for [p = 1:n_panels] {
    set lmargin at screen left(p) + 12.0 / width
    set rmargin at screen right(p)
    set tmargin at screen top(p)
    set bmargin at screen bottom(p)
    unset key
    set border 3 linewidth 0.8 linecolor rgb "#444444"
    eval(axis_x("x", p))
    eval(axis_y("y", p))
    set grid xtics ytics linewidth 0.5 linecolor rgb "#DDDDDD"
    set title (n_panels > 1 || strlen(PANEL[p]) ? PANEL[p] : "") noenhanced offset 0, -0.6
    set xlabel X_TITLE[p] noenhanced offset 0, 0.4
    set ylabel Y_TITLE[p] noenhanced font fits(Y_TITLE[p]) offset -0.4, 0
    plot for [i = n_measured + 1:n_lines] csv using (is_of(p, i) ? column("x") : NaN):"y" \
             with lines linewidth 1.4 dashtype 1 linecolor rgb tone(i) title name(i), \
         for [i = n_lines + 1:n_series] csv using (is_of(p, i) ? column("x") : NaN):"y" \
             with lines linewidth 1.4 dashtype 3 linecolor rgb tone(i) title name(i), \
         for [i = 1:n_measured] csv using (is_of(p, i) ? column("x") : NaN):"y":"y_low":"y_high" \
             with yerrorbars pointtype sign(i) pointsize 0.9 linewidth 1 linecolor rgb tone(i) title name(i)
}
@draw_key
plot for [i = 1:n_measured] NaN with points pointtype sign(i) pointsize 0.9 linecolor rgb tone(i) title name(i), \
     for [i = n_measured + 1:n_lines] NaN with lines linewidth 1.4 dashtype 1 linecolor rgb tone(i) title name(i), \
     for [i = n_lines + 1:n_series] NaN with lines linewidth 1.4 dashtype 3 linecolor rgb tone(i) title name(i)
unset multiplot
