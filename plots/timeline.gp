# timeline.gp - Metrics over the steps of the workload, one stacked panel per metric.

x_title = "operation of the workload"
stacked = 1
own_axes = 1
panel_titles = 1
fit_y = 1
