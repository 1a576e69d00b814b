"""lists.py - wrappers in the shape of ann-benchmarks' FAISS: a base of their own, batches, -1 for no answer, two query arguments;
and they change the arrays that they are given."""
import exact

from ...distance import compute_distance, metrics as pd
from ..base.module import BaseANN


class Base(BaseANN):
    def batch_query(self, X, n):
        exact.record("batch", n=n, n_probe=self._n_probe, k_reorder=self._k_reorder)
        self.res = exact.nearest(self._rows, X.copy(), n, exact.l2)
        for x in X:
            x[:] = [0] * len(x)

    def get_batch_results(self):
        places, _ = self.res
        return [[*each, -1] for each in places]

    def query(self, v, n):
        places = exact.nearest(self._rows, type(v)([v]), n, exact.l2)[0][0]
        v[:] = [0] * len(v)
        return places


class Lists(Base):
    def __init__(self, metric, n_list):
        assert pd[metric]["distance_valid"](0) and pd[metric].distance_valid(0) and compute_distance
        self._n_list = n_list

    def fit(self, X):
        exact.record("lists", n=self._n_list, rows=len(X))
        self._rows = dict(enumerate(X.copy()))
        for x in X:
            x[:] = [0] * len(x)

    def set_query_arguments(self, n_probe, k_reorder):
        self._n_probe, self._k_reorder = n_probe, k_reorder
