# scaling.gp - cost over size, log-log; the fitted slope stands in each curve's name.

x_log = 1
y_log = 1
panel_titles = 0
load plots."/curves.gp"
