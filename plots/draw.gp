# draw.gp - Draws one figure three times: SVG for pages, PNG for READMEs, PDF for papers.
#
# Sizes are in units of which a letter has 13. style: "page"; "paper", a column of 85 mm; "paper-wide", two columns, 178 mm;
# "slides", of 16:9. In a paper letters have 7 to 8 points and a caption takes the place of the title.
#
# The script of a figure sets plots, file, kind, style, title_text; for each panel PANEL, and of its axes X_SCALE, X_RANGE,
# X_TICS, X_TITLE, X_UNIT and X_LOW, and the same of Y; the arrays SERIES, XLABEL, STYLE,
# VARIANT and VARIANTS; n_ends labels of curves' ends, END_TEXT in the middle of END_X, END_Y, shares of the panel; and n_printed assignments
# PRINTED of strings for PNG and PDF. Then it loads this file. plots/KIND.gp changes the settings below for its kind and
# names the template that draws.

# Labels are UTF-8 in every locale, and no string is markup.
set encoding utf8
csv = file.".csv"
set datafile separator comma
set datafile columnheaders
set datafile missing NaN

template = "curves.gp"
stacked = 0      # 1: panels one above the other, as wide as the figure
lying_bars = 0   # 1: horizontal bars, one row per bar
marks = 1        # 0: curves have no marks, as their points are many and not measured one by one
panel_titles = 0 # 1: the metric is the title of a panel, and the y axis has no title
x_title = ""     # else the axes' titles of a kind, instead of those of the metrics
y_title = ""
y_label(p) = strlen(y_title) ? y_title : Y_TITLE[p]
load plots."/".kind.".gp"

n_panels = |PANEL|
n_series = |SERIES|
paper = substr(style, 1, 5) eq "paper"
wide = style eq "paper-wide"
slides = style eq "slides"
columns = n_panels < 3 ? n_panels : n_panels == 4 ? 2 : 3
if (stacked || paper) { columns = wide && n_panels > 1 && !stacked ? 2 : 1 }
rows = int(ceil(1.0 * n_panels / columns))

longest_label = 0
do for [i = 1:|XLABEL|] { longest_label = strlen(XLABEL[i]) > longest_label ? strlen(XLABEL[i]) : longest_label }

panel_width = (wide ? 833.0 : paper ? 398.0 : slides ? 560.0 : columns == 1 ? 760.0 : 480.0) / (wide ? columns : 1)
panel_height = paper || slides ? 300 : stacked && rows > 1 ? 280 : 400
font(share) = sprintf(",%.3g", letter * share)
fits(text) = font(strlen(text) * 10 < panel_height ? 1 : paper ? 0.9 : 0.77) # the font of a y title
title_font(text) = font(1.15 * (strlen(text) * 8 > width ? width / (strlen(text) * 8.0) : 1)) # a long title is as wide as the figure
# Beside long labels a column has no space for bars. Labels are then above their bars.
above = paper && longest_label * 8 > 0.4 * panel_width
width = !lying_bars || paper ? panel_width * columns : (slides ? 300 : 560) + longest_label * 8
bar_group = n_series * 15 + (above ? 34 : 9)
bar_rows = |XLABEL| * bar_group
# The key stands below the panels, with as many entries per row as their names allow.
stats csv using (column("dominated")) nooutput
any_dominated = STATS_max > 0
n_rows = STATS_records
array LINE[n_series]
lines = 0
do for [i = 1:n_series] {
    stats csv using (column("series_number") == i && column("mark") == 2) nooutput
    lines = lines + STATS_max
    LINE[i] = lines
}
any_maintenance = lines > 0
line_height = lines > 15 ? 0.4 / lines : 0.026
# gnuplot makes room in the key for the title of a loop that does not run, too.
dominated_text = any_dominated ? "hollow: another point is better" : ""
maintenance_text = any_maintenance ? "at the bottom: maintenance" : ""
longest = strlen(dominated_text) > strlen(maintenance_text) ? strlen(dominated_text) : strlen(maintenance_text)
do for [i = 1:n_series] { longest = strlen(SERIES[i]) > longest ? strlen(SERIES[i]) : longest }
# Many entries are small, or the key would be higher than the panels.
key_size = (paper ? 0.9 : 1) * (n_series > 24 ? 0.8 : 1)
key_row = n_series > 24 ? 15 : 18
key_columns = int((width - 40) / ((longest * 8.5 + 70) * (n_series > 24 ? 0.8 : 1)))
key_columns = key_columns < 1 ? 1 : key_columns > 3 ? 3 : key_columns
key_rows = ceil(1.0 * (n_series + any_dominated + any_maintenance) / key_columns)
title_height = paper ? 8 : 34
height = (lying_bars ? (bar_rows + 82) * n_panels : panel_height * rows) + title_height + key_row * key_rows + 16
if (slides && width * 9 > height * 16) { height = width * 9 / 16.0 }
if (slides) { width = height * 16 / 9.0 }
if (paper) { title_text = "" }
thick = paper ? 1.0 : slides ? 1.6 : 1.2

key_share = (1.0 * key_row * key_rows + 16) / height
title_share = 1.0 * title_height / height

load plots."/style.gp"

letter = 13
set terminal svg size width, height noenhanced font "DejaVu Sans,13" linewidth (slides ? 1.6 : 1) background rgb "white"
set output file.".svg"
svg = 1
load plots."/".template
set output

# A letter that no font has would be drawn as strokes over the whole figure. Browsers have fonts of their own.
do for [i = 1:n_printed] { eval(PRINTED[i]) }
if (paper) { title_text = "" }

# Fonts of these terminals are 4/3, and of PDF 2/3, of their size at a scale of 1, and of none. Hence the scales 3/2 and 3/4.
set terminal pngcairo size width * 2, height * 2 noenhanced font "DejaVu Sans,13" fontscale 1.5 linewidth (slides ? 3.2 : 2) pointscale (slides ? 2.6 : 2)
set output file.".png"
svg = 0
load plots."/".template
set output

# 398 of these units are a column.
unit = paper ? 85 / 25.4 / 398 : slides ? 13.333 / width : 0.01
letter = paper || slides ? 13 * 72 * unit : 9
set terminal pdfcairo size width * unit, height * unit noenhanced font "DejaVu Sans".font(1) fontscale 0.75 linewidth thick
set output file.".pdf"
load plots."/".template
set output
