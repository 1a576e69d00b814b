"""diskannpy.py - the part of diskannpy that diskannpy_index.py calls. A marked row is found by nobody, and holds its place."""
import exact
import numpy


class DynamicMemoryIndex:
    def __init__(self, distance_metric, vector_dtype, dimensions, max_vectors, complexity, graph_degree, *, alpha, num_threads,
                 initial_search_complexity, search_threads):
        assert distance_metric == "l2" and vector_dtype == numpy.single
        exact.record("DynamicMemoryIndex", dimensions=dimensions, max_vectors=max_vectors, complexity=complexity,
                     graph_degree=graph_degree, alpha=alpha, num_threads=num_threads,
                     initial_search_complexity=initial_search_complexity, search_threads=search_threads)
        self.most, self.rows, self.marked, self.used = max_vectors, {}, set(), set()

    def batch_insert(self, vectors, vector_ids, num_threads=0):
        assert vector_ids.dtype == "u4" and vectors.shape[0] == vector_ids.shape[0]
        assert all(0 < tag < 2**32 for tag in vector_ids) and not set(vector_ids) & self.used
        exact.record("batch_insert", num_threads=num_threads)
        self.used.update(vector_ids)
        codes = numpy.ndarray()
        for tag, row in zip(vector_ids, vectors):
            codes.append(0 if len(self.rows) + len(self.marked) < self.most else -1)
            if codes[-1] == 0:
                self.rows[tag] = row
        return codes

    def mark_deleted(self, vector_id):
        del self.rows[vector_id]
        self.marked.add(vector_id)

    def consolidate_delete(self):
        exact.record("consolidate_delete", marked=len(self.marked))
        self.marked.clear()

    def batch_search(self, queries, k_neighbors, complexity, num_threads):
        assert k_neighbors <= complexity
        exact.record("batch_search", k_neighbors=k_neighbors, complexity=complexity, num_threads=num_threads)
        return exact.nearest(self.rows, queries, k_neighbors, exact.l2)
