# profile.gp - Columns of a method's tables over the row number, one panel per column.

panel_titles = 1
