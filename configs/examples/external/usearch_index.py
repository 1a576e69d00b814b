#!/usr/bin/env python3
"""usearch_index.py - a client of `external`: usearch for Python. options: connectivity=16 expansion_add=128.

effort is expansion_search.
"""
import client
import library

try:
    import numpy  # noqa: F401  # pylint: disable=unused-import
    from usearch.index import Index
    missing = None
except ImportError as problem:
    missing = problem

METRICS = {"l2": "l2sq", "ip": "ip", "cosine": "cos"}


class Usearch(library.Library):
    def create(self, request):
        self.begin(request, missing, "usearch of PyPI", METRICS)
        options = self.options(request, connectivity=16, expansion_add=128)
        self.index, self.live = Index(ndim=self.dim, metric=METRICS[self.metric], dtype="f32", **options), set()
        self.usual, self.threads = self.index.expansion_search, request.threads

    def insert(self, request):
        self.index.add(self.row_ids(request.ids()), self.rows(request), threads=request.threads)
        self.live.update(request.ids())

    def delete(self, request):
        self.index.remove(self.row_ids(request.ids()), threads=self.threads)
        self.live.difference_update(request.ids())

    def distance(self, reported):
        """usearch reports 1 - inner product, and 1 - cos."""
        return {"l2": reported, "ip": reported - 1, "cosine": 2 * reported}[self.metric]

    def search(self, request):
        self.index.expansion_search = request.effort or self.usual
        found = self.index.search(self.rows(request), request.k, threads=request.threads)
        one = not hasattr(found, "counts")  # some versions answer a single query without its dimension
        for q in range(request.n):
            keys, distances = (found.keys, found.distances) if one else (found.keys[q], found.distances[q])
            n = len(keys) if one else int(found.counts[q])
            pairs = zip(distances.tolist()[:n], keys.tolist()[:n])
            request.answer(q, sorted((self.distance(d), key) for d, key in pairs))
        return getattr(found, "computed_distances", client.NONE), client.NONE

    def ids(self):
        return list(self.live)


client.serve("usearch for Python", Usearch())
