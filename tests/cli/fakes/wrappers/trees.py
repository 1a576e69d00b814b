"""trees.py - a wrapper in the shape of ann-benchmarks' older Annoy: absolute import, a number, rows one at a time, lists."""
from __future__ import absolute_import

import exact
import numpy
from ann_benchmarks.algorithms.base import BaseANN


class Trees(BaseANN):
    def __init__(self, metric, n_trees):
        self._n_trees, self._search_k, self._metric = n_trees, None, metric

    def fit(self, X):
        exact.record("trees", metric=self._metric, n=self._n_trees, dim=X.shape[1])
        self._rows = {}
        for i, x in enumerate(X):
            self._rows[i] = x.tolist()

    def set_query_arguments(self, search_k):
        self._search_k = search_k

    def query(self, v, n):
        return exact.nearest(self._rows, numpy.ndarray([numpy.ndarray(v.tolist())]), n, exact.l2)[0].tolist()[0]

    def __str__(self):
        return "Trees(n_trees=%d, search_k=%d)" % (self._n_trees, self._search_k)
