# profile.gp - columns of a method's tables over their rows' numbers, one panel a column.

x_log = 0
y_log = 0
panel_titles = 1
load plots."/curves.gp"
