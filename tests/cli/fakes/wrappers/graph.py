"""graph.py - a wrapper in the shape of ann-benchmarks' hnswlib: a dictionary of arguments, one query argument, arrays."""
import numpy as np

import exact

from ..base.module import BaseANN


class Graph(BaseANN):
    def __init__(self, metric, method_param):
        self.metric, self.method_param = {"angular": "cosine", "euclidean": "l2"}[metric], method_param

    def fit(self, X):
        exact.record("graph", metric=self.metric, M=self.method_param["M"], rows=len(X), dim=len(X[0]))
        self.rows = dict(enumerate(X))

    def set_query_arguments(self, ef):
        exact.record("ef", ef=ef)
        self.name = "graph (%s, %s)" % (self.method_param, ef)

    def query(self, v, n):
        return exact.nearest(self.rows, np.ndarray([v]), n, exact.l2)[0][0]
