# radius.gp - Range search over the radius, one panel per metric. Times and work have a logarithmic axis.

own_axes = 1
panel_titles = 1
