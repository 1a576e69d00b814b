# draw.gp - Draws one figure three times: SVG for pages, PNG for READMEs, PDF for papers.
#
# The script of a result sets plots, file, kind, title_text, x_title, y_title, x_log, y_log, y_recall and the arrays
# PANEL, PANEL_LOG, SERIES, XLABEL, STYLE, VARIANT. Then it loads this file. plots/KIND.gp changes the settings below
# for its kind and names the template that draws.

# Labels are UTF-8 in every locale, and no string is markup.
set encoding utf8
csv = file.".csv"
set datafile separator comma
set datafile columnheaders
set datafile missing NaN

template = "curves.gp"
stacked = 0      # 1: panels one above the other, as wide as the figure
lying_bars = 0   # 1: horizontal bars, one row per bar
panel_titles = 0 # 1: the metric is the title of a panel, and the y axis has no title
own_axes = 0     # 1: PANEL_LOG sets each panel's y axis; 0: y_log sets all
nines = 0        # 1: the y axis is logarithmic in 1 - y
fit_y = 0        # 1: the y axis spans the smallest to the largest value
spread_x = 0     # 1: free space left and right of the curves
plain_y = 0      # 1: no k, M, G for thousands on the y axis
load plots."/".kind.".gp"

n_panels = |PANEL|
n_series = |SERIES|
columns = n_panels < 3 ? n_panels : n_panels == 4 ? 2 : 3
if (stacked) { columns = 1 }
rows = int(ceil(1.0 * n_panels / columns))

longest_label = 0
do for [i = 1:|XLABEL|] { longest_label = strlen(XLABEL[i]) > longest_label ? strlen(XLABEL[i]) : longest_label }

panel_width = columns == 1 ? 760 : 480
panel_height = stacked && rows > 1 ? 280 : 400
width = lying_bars ? 560 + longest_label * 9 : panel_width * columns
bar_rows = |XLABEL| * (n_series * 15 + 9)
# The key stands below the panels, with as many entries per row as their names allow.
stats csv using (column("dominated")) nooutput
any_dominated = STATS_max > 0
dominated_text = "hollow: another point is better"
longest = any_dominated ? strlen(dominated_text) : 0
do for [i = 1:n_series] { longest = strlen(SERIES[i]) > longest ? strlen(SERIES[i]) : longest }
key_columns = int((width - 40) / (longest * 10.5 + 80))
key_columns = key_columns < 1 ? 1 : key_columns > 3 ? 3 : key_columns
key_rows = ceil(1.0 * (n_series + any_dominated) / key_columns)
height = (lying_bars ? (bar_rows + 96) * n_panels : panel_height * rows) + 34 + 22 * key_rows + 16

key_share = (22.0 * key_rows + 16) / height
title_share = 34.0 / height

load plots."/style.gp"

set terminal svg size width, height noenhanced font "DejaVu Sans,13" background rgb "white"
set output file.".svg"
load plots."/".template
set output

set terminal pngcairo size width * 2, height * 2 noenhanced font "DejaVu Sans,13" fontscale 2 linewidth 2 pointscale 2
set output file.".png"
load plots."/".template
set output

set terminal pdfcairo size width / 100.0, height / 100.0 noenhanced font "DejaVu Sans,9" linewidth 1.2
set output file.".pdf"
load plots."/".template
set output
