#!/usr/bin/env python3
"""scann_index.py - a client of `external`: Google's ScaNN for Python. Static: no deletes, no save.

options: leaves=0 search=0 dims_per_block=2 threshold=0.2 reorder=100; leaves=0: the root of the number of rows; search=0: a
twentieth of the leaves. effort is the leaves searched. The index is built by the insert that makes it as large as the workload
will be.
"""
import client
import library

try:
    import numpy
    import scann
    missing = None
except ImportError as problem:
    missing = problem

MEASURES = {"l2": "squared_l2", "cosine": "squared_l2", "ip": "dot_product"}  # L2 of unit rows is 2 - 2 cos


class Scann(library.Library):
    def create(self, request):
        self.begin(request, missing, "scann of PyPI", MEASURES)
        self.given = self.options(request, leaves=0, search=0, dims_per_block=2, threshold=.2, reorder=100)
        self.expected, self.k, self.threads = request.expected_n, request.k, request.threads
        self.parts, self.listed, self.searcher = [], [], None

    def build(self):
        given, n = self.given, len(self.listed)
        leaves = given["leaves"] or max(1, round(n**.5))
        self.searcher = (scann.scann_ops_pybind.builder(numpy.concatenate(self.parts), self.k, MEASURES[self.metric])
                         .set_n_training_threads(self.threads)
                         .tree(num_leaves=leaves, num_leaves_to_search=given["search"] or max(1, leaves // 20),
                               training_sample_size=min(n, 250000))
                         .score_ah(given["dims_per_block"], anisotropic_quantization_threshold=given["threshold"])
                         .reorder(given["reorder"]).build())
        self.parts = None

    def insert(self, request):
        if self.searcher:
            raise NotImplementedError("this client of ScaNN is static: one load, then searches")
        self.parts.append(self.rows(request).copy())
        self.listed.extend(request.ids())
        if len(self.listed) >= self.expected:
            self.build()

    def search(self, request):
        if not self.listed:
            return
        if not self.searcher:
            self.build()
        many = self.searcher.search_batched if request.threads == 1 else self.searcher.search_batched_parallel
        places, distances = many(self.rows(request), final_num_neighbors=request.k,
                                 pre_reorder_num_neighbors=max(request.k, self.given["reorder"]),
                                 leaves_to_search=request.effort or None)
        sign = -1 if self.metric == "ip" else 1
        for q in range(request.n):
            pairs = [pair for pair in zip(distances[q].tolist(), places[q].tolist()) if pair[0] == pair[0]]  # NaN: none
            request.answer(q, sorted((sign * d, self.listed[place]) for d, place in pairs))

    def ids(self):
        return self.listed


client.serve("ScaNN", Scann())
