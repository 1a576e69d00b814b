# memory.gp - Memory of each build by kind, in MiB.

y_title = "MiB"
lying_bars = 1
template = "lying_bars.gp"
