# curves.gp - Lines over numbers, one panel per tag and one curve per series. Several kinds of figures share it. A
# dominated point is hollow. A point that its own series dominates is left out of the curve. A ring marks where a series
# meets the baseline, and a stroke at the bottom a step with maintenance. Above each point of an SVG lies an
# invisible one with the number of its row, which figure_mend_svg() replaces by words. All of a series has its name, by
# which the page hides it.

mark_size = n_rows > 500 ? 0.3 : 0.8 # larger marks of hundreds of steps hide each other
described = svg && n_rows <= 1000 ? n_series : 0

set multiplot title title_text noenhanced font title_font(title_text)
do for [p = 1:n_panels] {
    set lmargin at screen left(p)
    set rmargin at screen right(p)
    set tmargin at screen top(p)
    set bmargin at screen bottom(p)
    unset key
    set border 3 linewidth 0.8 linecolor rgb "#444444"
    set grid xtics ytics linewidth 0.5 linecolor rgb "#DDDDDD"
    eval(axis_x("x", p))
    eval(axis_y("y", p))
    set title (panel_titles ? Y_TITLE[p] : n_panels > 1 || strlen(PANEL[p]) ? PANEL[p] : "") noenhanced offset 0, -0.6
    set xlabel (strlen(x_title) ? x_title : X_TITLE[p]) noenhanced offset 0, 0.4
    set ylabel (panel_titles ? "" : y_label(p)) noenhanced font fits(y_label(p)) offset (paper ? 0.6 : 0), 0
    plot for [i = 1:n_series] csv using (is_of(p, i) && column("dominated") < 2 ? column("x") : NaN):"y" \
             with lines linewidth 1.3 dashtype dash(i) linecolor rgb colour(i) title SERIES[i], \
         for [i = 1:n_series] csv using (interval(i, p) ? column("x") : NaN):"y":"x_low":"x_high":"y_low":"y_high" \
             with xyerrorbars pointtype 0 linewidth 0.8 linecolor rgb colour(i) title SERIES[i], \
         for [i = 1:n_series * marks] csv using (is_of(p, i) && column("dominated") > 0 ? column("x") : NaN):"y" \
             with points pointtype hollow(i) pointsize mark_size linecolor rgb colour(i) title SERIES[i], \
         for [i = 1:n_series * marks] csv using (is_of(p, i) && column("dominated") == 0 ? column("x") : NaN):"y" \
             with points pointtype mark(i) pointsize mark_size linecolor rgb colour(i) title SERIES[i], \
         for [e = 1:n_ends] "+" every ::0::0 using (END_PANEL[e] == p ? END_X[e] : NaN):(END_Y[e]):(END_TEXT[e]) axes x2y2 \
             with labels font font(0.9) textcolor rgb colour(END_SERIES[e]) title SERIES[END_SERIES[e]], \
         for [i = 1:n_series] csv using (is_in(p, i) && column("mark") == 1 ? column("x") : NaN):"y" \
             with points pointtype 6 pointsize 2.2 linewidth 1.6 linecolor rgb colour(i) title SERIES[i], \
         for [i = 1:n_series] csv using (is_in(p, i) && column("mark") == 2 ? column("x") : NaN):(stroke_y(i)):(0):(stroke) \
             axes x1y2 with vectors nohead linewidth 1.2 linecolor rgb colour(i) title SERIES[i], \
         for [i = 1:described] csv using (is_of(p, i) ? column("x") : NaN):"y":(row(i)) \
             with labels hypertext point pointtype 7 pointsize mark_size linecolor rgb 0xFF000000 title SERIES[i]
}
@draw_key
plot for [i = 1:n_series] NaN with linespoints linewidth 1.3 dashtype dash(i) pointtype mark(i) pointsize 0.8 * marks linecolor rgb colour(i) title SERIES[i], \
     for [i = 1:any_dominated] NaN with points pointtype 6 pointsize 0.8 linecolor rgb "#444444" title dominated_text, \
     for [i = 1:any_maintenance] NaN with points pointtype "|" linecolor rgb "#444444" title maintenance_text
unset multiplot
