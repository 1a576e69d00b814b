# style.gp - Colours and marks. A label has one of each in all figures of a result. The colours differ in brightness, so
# that grey prints tell them apart, and for colour-blind readers (tests/unit/figure/test_palette.c). They repeat with other marks.

array HUE[8] = [ 0x1F78B4, 0xE69F00, 0x882255, 0x44AA99, 0x000000, 0xCC6677, 0x332288, 0x8C510A ]
hue(k) = HUE[(k - 1) % 8 + 1]
# A tint of a colour: a bright one is mixed with black, a dark one with white.
mixed(c, share, with) = int(c + (with - c) * share)
tint(c, share, with) = mixed(c >> 16 & 255, share, with) * 65536 + mixed(c >> 8 & 255, share, with) * 256 + mixed(c & 255, share, with)
colour(i) = tint(hue(STYLE[i]), VARIANTS[i] > 1 ? 0.5 * VARIANT[i] / (VARIANTS[i] - 1) : 0, (hue(STYLE[i]) >> 8 & 255) > 110 ? 0 : 255)
array MARK[6] = [ 7, 5, 9, 11, 13, 15 ] # filled; the hollow mark of each is the one before it
mark(i) = MARK[(STYLE[i] - 1 + (STYLE[i] - 1) / 8 * 3) % 6 + 1]
hollow(i) = mark(i) - 1
# Where colours may be printed in grey, or curves have no marks, dashes tell series apart as well.
set dashtype 2 (18, 9)
set dashtype 3 (5, 6)
set dashtype 4 (18, 6, 5, 6)
set dashtype 5 (18, 6, 5, 6, 5, 6)
dash(i) = paper || !marks ? 1 + (STYLE[i] - 1 + VARIANT[i]) % 5 : 1 + (int((STYLE[i] - 1) / 8) + VARIANT[i]) % 4

set border 3 linewidth 0.8 linecolor rgb "#444444"
set tics nomirror out scale 0.6 textcolor rgb "#222222"
set grid xtics ytics linewidth 0.5 linecolor rgb "#DDDDDD"
set style fill solid 0.9 border -1
set errorbars small
set title noenhanced
set x2range [0:1]
set y2range [0:1]
set samples 2
set key noenhanced Left reverse

# The margins of panel p in screen coordinates, above the key and below the title.
panel_column(p) = (p - 1) % columns
panel_row(p) = (p - 1) / columns
cell_height = (1 - key_share - title_share) / rows
left(p) = (panel_column(p) + 0.0) / columns + (paper ? 84.0 : 104.0) / width
right(p) = (panel_column(p) + 1.0) / columns - (paper ? 14.0 : 30.0) / width
top(p) = 1 - title_share - panel_row(p) * cell_height - 26.0 / height
bottom(p) = 1 - title_share - (panel_row(p) + 1) * cell_height + 52.0 / height

# The key stands at the bottom. A plot without data draws it.
draw_key = 'key_font = font(key_size); set lmargin at screen 0.02; set rmargin at screen 0.98; set bmargin at screen 0.0; set tmargin at screen key_share; unset title; unset border; unset tics; unset grid; unset xlabel; unset ylabel; unset nonlinear x; unset nonlinear y; set xrange [0:1]; set yrange [0:1]; set key at screen 0.5, key_share center top horizontal maxcols key_columns samplen 2 width 1 font key_font; '

# Commands for an axis of panel p, "x" or "y", from the script's scale, range and tics. Scale 1 is logarithmic, 2 is in
# 1 - y. src/figure/axis.c has the same.
axis(d, scale, range, tics) = "unset nonlinear ".d."; set ".d."range ".range."; ".(scale == 1 ? "set logscale ".d."; " : \
    scale == 2 ? "set nonlinear ".d." via -log10(1.0008 - ".d[1:1].") inverse 1.0008 - 10**(-".d[1:1]."); " : "").\
    "set ".d."tics ".tics." nomirror out scale 0.6, 0.3"
axis_x(d, p) = axis(d, X_SCALE[p], X_RANGE[p], X_TICS[p])
axis_y(d, p) = axis(d, Y_SCALE[p], Y_RANGE[p], Y_TICS[p])

# Whether a row of the CSV belongs to series i of panel p. is_of excludes what was not measured.
is_in(p, i) = column("panel_number") == p && column("series_number") == i
is_of(p, i) = is_in(p, i) && column("mark") == 0

# The number of the row of the CSV. The argument is not used, but a function needs one.
row(i) = sprintf("%d", column(0))
# Strokes of maintenance: a line of them for each series that has some, from the bottom up.
stroke = 0.7 * line_height
stroke_y(i) = line_height * (LINE[i] - 1) + 0.005
# An interval that has no length would be drawn as a dash.
interval(i, p) = is_of(p, i) && (column("y_low") < column("y_high") || column("x_low") < column("x_high"))
