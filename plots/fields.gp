# fields.gp - A metric over two parameters, as the colour and the number in each field. Parameters are seldom evenly
# spaced, so fields are placed by rank. XVALUE and YVALUE hold the values of the parameters in order.

rank_x(v) = sum [i = 1:|XVALUE|] (XVALUE[i] < v)
rank_y(v) = sum [i = 1:|YVALUE|] (YVALUE[i] < v)
field_x(p) = column("panel_number") == p ? rank_x(column("x")) : NaN
field_y(p) = rank_y(column("y"))
heat_text(v) = abs(v) >= 10000 ? gprintf("%.1s%c", v) : sprintf("%.4g", v)

set multiplot title title_text noenhanced font title_font(title_text)
do for [p = 1:n_panels] {
    set lmargin at screen left(p)
    set rmargin at screen right(p) - 90.0 / width
    set tmargin at screen top(p)
    set bmargin at screen bottom(p)
    unset key
    unset grid
    # Fields above the middle are dark.
    set autoscale
    stats csv using "value" nooutput
    middle = Y_SCALE[p] == 1 ? sqrt(STATS_min * STATS_max) : (STATS_min + STATS_max) / 2
    eval(axis_y("cb", p))
    set border 3 linewidth 0.8 linecolor rgb "#444444"
    set title PANEL[p].": ".Y_TITLE[p] noenhanced offset 0, -0.6
    set xlabel column_title noenhanced
    set ylabel row_title noenhanced
    set xrange [-0.5:|XVALUE| - 0.5]
    set yrange [-0.5:|YVALUE| - 0.5]
    set xtics () nomirror out scale 0
    set ytics () nomirror out scale 0
    set for [i = 1:|XVALUE|] xtics add (sprintf("%g", XVALUE[i]) i - 1)
    set for [i = 1:|YVALUE|] ytics add (sprintf("%g", YVALUE[i]) i - 1)
    set style fill solid 1 # of the colour bar, too, which would else be paler than the fields
    set palette defined (0 "#F7FBFF", 0.5 "#6BAED6", 1 "#08306B")
    plot csv using (field_x(p)):(field_y(p)):(field_x(p) - 0.49):(field_x(p) + 0.49):(field_y(p) - 0.49):(field_y(p) + 0.49):"value" \
             with boxxyerror linecolor palette fillstyle solid 1 noborder notitle, \
         csv using (column("value") <= middle ? field_x(p) : NaN):(field_y(p)):(heat_text(column("value") / Y_UNIT[p])) \
             with labels font font(0.92) textcolor rgb "#202020" notitle, \
         csv using (column("value") > middle ? field_x(p) : NaN):(field_y(p)):(heat_text(column("value") / Y_UNIT[p])) \
             with labels font font(0.92) textcolor rgb "#FFFFFF" notitle
}
unset multiplot
