# pareto.gp - A quality against a cost, one panel per query set. Points that another dominates on both axes are hollow.
