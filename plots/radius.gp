# radius.gp - Range search over the radius, one panel per metric.

panel_titles = 1
