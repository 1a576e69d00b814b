# sizes.gp - cluster or posting sizes, largest first.

x_title = "percentile of clusters, largest first"
y_title = "live vectors in a cluster"
x_log = 0
y_log = 1
panel_titles = 0
load plots."/curves.gp"
