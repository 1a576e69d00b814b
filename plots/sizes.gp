# sizes.gp - Cluster or posting sizes, largest first.

x_title = "percentile of clusters, largest first"
y_title = "vectors or entries"
marks = 0
