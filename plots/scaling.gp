# scaling.gp - cost over size, log-log; the fitted slope stands in each curve's name. Recall, a share, has a plain axis.

x_log = 1
y_log = strstrt(y_title, "recall") == 0
panel_titles = 0
load plots."/curves.gp"
