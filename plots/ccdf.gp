# ccdf.gp - The share of queries that took longer than x.

marks = 0
