# memory.gp - bytes by kind for each build, in MiB.

y_title = "MiB"
load plots."/bars.gp"
