# timeline.gp - metrics over the steps of the workload, one panel a metric, stacked.

x_title = "operation of the workload"
panel_titles = 1
y_log = 0
load plots."/curves.gp"
