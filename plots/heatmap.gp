# heatmap.gp - A metric over two parameters.

template = "fields.gp"
