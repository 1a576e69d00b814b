# pareto.gp - A quality against a cost, one panel per query set. Points that another dominates on both axes are hollow.

# The relevant range of a recall is above .9.
nines = y_recall
