# heatmap.gp - a metric over two parameters: the colour and the number in each field.

set multiplot title title_text." (".SERIES[1].")" noenhanced font ",15"
do for [p = 1:n_panels] {
    set lmargin at screen left(p)
    set rmargin at screen right(p) - 70.0 / width
    set tmargin at screen top(p)
    set bmargin at screen bottom(p)
    unset key
    unset grid
    set title PANEL[p] noenhanced offset 0, -0.6
    set xlabel x_title noenhanced
    set ylabel y_title noenhanced
    set autoscale
    set offsets graph 0.12, 0.12, 0.12, 0.12
    set palette defined (0 "#F7FBFF", 0.5 "#6BAED6", 1 "#08306B")
    plot csv using ($1 == p ? $3 : NaN):4:5 with points pointtype 5 pointsize 7 linecolor palette notitle, \
         csv using ($1 == p ? $3 : NaN):4:(sprintf("%.4g", $5)) with labels font ",10" textcolor rgb "#D55E00" notitle
}
set offsets 0, 0, 0, 0
unset multiplot
