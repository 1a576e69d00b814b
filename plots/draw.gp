# draw.gp - draws one figure three times: SVG for pages, PNG for READMEs, PDF for papers.
#
# A result's own script sets: plots file kind title_text x_title y_title x_log y_log y_recall
# and the arrays PANEL SERIES XLABEL STYLE VARIANT, then loads this. The template is plots/KIND.gp.

# Labels are UTF-8 whatever the locale, and no text is markup.
set encoding utf8
csv = file.".csv"
set datafile separator comma
set datafile columnheaders
set datafile missing NaN

n_panels = |PANEL|
n_series = |SERIES|
columns = n_panels < 3 ? n_panels : n_panels == 4 ? 2 : 3
if (kind eq "timeline") { columns = 1 }
rows = int(ceil(1.0 * n_panels / columns))

longest_label = 0
do for [i = 1:|XLABEL|] { longest_label = strlen(XLABEL[i]) > longest_label ? strlen(XLABEL[i]) : longest_label }

panel_width = columns == 1 ? 760 : 480
panel_height = kind eq "timeline" && rows > 1 ? 280 : 400
width = kind eq "bars" || kind eq "memory" ? 560 + longest_label * 9 : panel_width * columns
bar_rows = |XLABEL| * (n_series * 15 + 9)
# Key lines below the panels: as many a row as their names leave room for.
longest = 0
do for [i = 1:n_series] { longest = strlen(SERIES[i]) > longest ? strlen(SERIES[i]) : longest }
key_columns = int((width - 40) / (longest * 10.5 + 80))
key_columns = key_columns < 1 ? 1 : key_columns > 3 ? 3 : key_columns
key_rows = ceil(1.0 * n_series / key_columns)
height = (kind eq "bars" || kind eq "memory" ? bar_rows + 96 : panel_height * rows) + 34 + 22 * key_rows + 16

key_share = (22.0 * key_rows + 16) / height
title_share = 34.0 / height

load plots."/style.gp"

set terminal svg size width, height noenhanced font "DejaVu Sans,13" background rgb "white"
set output file.".svg"
load plots."/".kind.".gp"
set output

set terminal pngcairo size width * 2, height * 2 noenhanced font "DejaVu Sans,13" fontscale 2 linewidth 2 pointscale 2
set output file.".png"
load plots."/".kind.".gp"
set output

set terminal pdfcairo size width / 100.0, height / 100.0 noenhanced font "DejaVu Sans,9" linewidth 1.2
set output file.".pdf"
load plots."/".kind.".gp"
set output
