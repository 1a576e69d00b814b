# scaling.gp - Cost over size, log-log. The name of a curve includes the fitted slope. Recall has a linear axis.

x_log = 1
y_log = strstrt(y_title, "recall") == 0
spread_x = 1
