# memory.gp - Memory of each build by kind.

lying_bars = 1
template = "lying_bars.gp"
