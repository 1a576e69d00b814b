# pareto.gp - a quality against a cost, one panel a query set; points another one beats on both axes are faded.

panel_titles = 0
# Recall is drawn over 1 - recall, on a logarithmic scale: what matters lies above .9.
if (y_recall) { recall_axis = nines_axis }
load plots."/curves.gp"
