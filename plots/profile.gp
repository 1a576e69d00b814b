# profile.gp - Columns of a method's tables over the row number, one panel per column.

x_log = 0
y_log = 0
own_axes = 1
panel_titles = 1
