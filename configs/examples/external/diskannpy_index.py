#!/usr/bin/env python3
"""diskannpy_index.py - a client of `external`: DiskANN's graph in memory, by diskannpy's DynamicMemoryIndex.

options: degree=64 complexity=100 alpha=1.2 most_rows=0 consolidate=0.1. effort is the complexity of a search. Deleted rows are
marked, and consolidated when their share of the rows is more than `consolidate`; most_rows is the capacity, 0: that of the
workload, marked rows included.
"""
import client
import library

try:
    import numpy
    import diskannpy
    missing = None
except ImportError as problem:
    missing = problem


class DiskAnn(library.Library):
    def create(self, request):
        self.begin(request, missing, "diskannpy of PyPI", ("l2", "cosine"))  # L2 of unit rows is 2 - 2 cos
        given = self.options(request, degree=64, complexity=100, alpha=1.2, most_rows=0, consolidate=.1)
        self.share = given["consolidate"]
        self.capacity = given["most_rows"] or int(request.expected_n * (1 + self.share)) + 1000
        # The first names differ between versions, their order does not.
        self.index = diskannpy.DynamicMemoryIndex("l2", numpy.single, self.dim, self.capacity, given["complexity"], given["degree"],
                                                  alpha=given["alpha"], num_threads=request.threads, search_threads=request.threads,
                                                  initial_search_complexity=given["complexity"])
        self.tags, self.listed, self.last, self.marked = {}, {}, 0, 0  # tags: 32 bits, from 1, never used twice

    def consolidate(self):
        self.index.consolidate_delete()
        self.marked = 0

    def insert(self, request):
        ids = list(request.ids())
        if self.marked and len(self.tags) + self.marked + len(ids) > self.capacity:
            self.consolidate()
        tags = range(self.last + 1, self.last + 1 + len(ids))
        self.last += len(ids)
        codes = self.index.batch_insert(self.rows(request), self.row_ids(tags, "u4"), request.threads)
        failed = sum(code != 0 for code in codes.tolist()) if codes is not None else 0
        if failed:
            raise RuntimeError(f"diskannpy did not insert {failed} of {len(ids)} rows; most_rows is {self.capacity}")
        self.tags.update(zip(ids, tags))
        self.listed.update(zip(tags, ids))

    def delete(self, request):
        for row_id in request.ids():
            tag = self.tags.pop(row_id)
            del self.listed[tag]
            self.index.mark_deleted(tag)
            self.marked += 1
        if self.marked > self.share * (len(self.tags) + self.marked):
            self.consolidate()

    def search(self, request):
        if not self.tags:
            return
        k = min(request.k, len(self.tags))
        tags, distances = self.index.batch_search(self.rows(request), k, max(request.effort or 64, k), request.threads)
        for q in range(request.n):
            pairs = zip(distances[q].tolist(), tags[q].tolist())
            request.answer(q, sorted((max(d, 0), self.listed[tag]) for d, tag in pairs if tag in self.listed))

    def ids(self):
        return list(self.tags)


client.serve("DiskANN by diskannpy", DiskAnn())
