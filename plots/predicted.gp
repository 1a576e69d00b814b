# predicted.gp - The figures of `simulate`, log-log: what was measured as points, predictions for the same machine as
# lines, and those for more machines dashed. The name of a series ends so, and series come in this order. Those that
# differ in the ending alone have one colour.

template = "predicted_lines.gp"
