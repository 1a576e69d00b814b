# timeline.gp - Metrics over the steps of the workload, one stacked panel per metric.

if (X_TITLE[1] eq "index") { x_title = "operation of the workload" }
if (X_TITLE[1] eq "deleted") { x_title = "rows deleted so far" }
stacked = 1
panel_titles = 1
