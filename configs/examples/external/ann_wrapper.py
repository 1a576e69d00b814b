#!/usr/bin/env python3
"""ann_wrapper.py - a client of `external`: a class written for ann-benchmarks, unchanged. docs/other-programs.md has an example.

    ann_wrapper.py FILE CLASS

`options` has the arguments of CLASS after the metric, in JSON: [{"M": 16}], or {"args": [...], "query_args": [[...], ...]}.
effort goes to set_query_arguments(); with query_args it is the number of one of them, from 1. The index is fitted by the insert
that makes it as large as the workload will be. Rows that come or go later are fitted anew by the search after them.
"""
import importlib.util
import json
import os
import sys
import types

import numpy

import client
import library

NAMES = {"l2": "euclidean", "cosine": "angular"}


class BaseANN:
    """The base class of ann-benchmarks. A class of yours has __init__(metric, ...), fit() and query()."""

    def fit(self, X):
        pass

    def query(self, q, n):
        return []

    def batch_query(self, X, n):
        self.res = [self.query(q, n) for q in X]

    def get_batch_results(self):
        return self.res

    def get_additional(self):
        return {}

    def get_memory_usage(self):
        return None

    def done(self):
        pass

    def __str__(self):
        return getattr(self, "name", type(self).__name__)


class Metric(dict):
    __getattr__ = dict.__getitem__  # older wrappers ask for metrics[name]["distance"], later ones for metrics[name].distance


METRICS = {name: Metric(distance=distance, distance_valid=lambda a: True) for name, distance in (
    ("euclidean", lambda a, b: numpy.linalg.norm(a - b)),
    ("angular", lambda a, b: 1 - a @ b / (numpy.linalg.norm(a) * numpy.linalg.norm(b))))}


def load(path, name):
    """A wrapper imports modules of ann-benchmarks by their names, old and new. It finds these here, others where it lies."""
    folder = os.path.dirname(os.path.abspath(path))
    above = os.path.dirname(folder)
    for each, places in (("", [os.path.dirname(above)]), (".algorithms", [above]), (".algorithms.wrapped", [folder]), (".distance", []),
                         (".algorithms.base", []), (".algorithms.base.module", [])):
        module = sys.modules["ann_benchmarks" + each] = types.ModuleType("ann_benchmarks" + each)
        module.__path__, module.BaseANN, module.metrics = places, BaseANN, METRICS
        module.compute_distance = lambda metric, a, b: METRICS[metric].distance(a, b)
    spec = importlib.util.spec_from_file_location("ann_benchmarks.algorithms.wrapped.module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


class Wrapper(library.Library):
    def __init__(self, kind):
        self.kind = kind

    def create(self, request):
        self.begin(request, None, "", NAMES)
        given = json.loads(request.texts()[1] or "[]")
        given = given if isinstance(given, dict) else {"args": given}
        self.query_args, self.effort = given.get("query_args"), None
        self.expected, self.live, self.stale = request.expected_n, {}, True
        self.index = self.kind(NAMES[self.metric], *given.get("args", []))

    def fit(self):
        self.listed, self.stale, self.effort = list(self.live), False, None
        self.index.fit(numpy.array(list(self.live.values()), "f4"))

    def insert(self, request):
        self.live.update(zip(request.ids(), self.rows(request).copy()))
        self.stale = True
        if len(self.live) == self.expected:
            self.fit()

    def delete(self, request):
        for row_id in request.ids():
            del self.live[row_id]
        self.stale = True

    def set_effort(self, effort):
        if self.query_args:
            self.index.set_query_arguments(*self.query_args[max(effort, 1) - 1])
        elif effort:
            self.index.set_query_arguments(effort)
        self.effort = effort

    def distance(self, a, b):
        apart = a - b
        return float(apart @ apart)  # of unit rows it is 2 - 2 cos

    def search(self, request):
        if not self.live:
            return
        if self.stale:
            self.fit()
        if request.effort != self.effort:
            self.set_effort(request.effort)
        queries, k = self.rows(request), min(request.k, len(self.live))
        given = queries.copy()  # wrappers change them
        if request.n == 1:
            answers = [self.index.query(given[0], k)]
        else:
            self.index.batch_query(given, k)
            answers = self.index.get_batch_results()
        for q, places in enumerate(answers):
            found = [self.listed[place] for place in list(places)[:k] if 0 <= place < len(self.listed)]
            request.answer(q, sorted((self.distance(self.live[row_id], queries[q]), row_id) for row_id in found))

    def ids(self):
        return list(self.live)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    client.serve(sys.argv[2], Wrapper(load(*sys.argv[1:])))
