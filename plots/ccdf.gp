# ccdf.gp - the share of queries that took longer than x, both axes logarithmic.
x_log = 1
y_log = 1
panel_titles = 0
load plots."/curves.gp"
