# radius.gp - range search over the radius, one panel a metric; times and work on a logarithmic axis.

panel_titles = 1
y_log = 0
load plots."/curves.gp"
