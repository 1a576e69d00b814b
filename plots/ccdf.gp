# ccdf.gp - The share of queries that took longer than x. Both axes are logarithmic.
x_log = 1
y_log = 1
plain_y = 1
