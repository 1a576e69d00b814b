"""index.py - the part of usearch.index that usearch_index.py calls."""
import exact
import numpy

DISTANCES = {"l2sq": exact.l2, "ip": lambda a, b: 1 - exact.inner(a, b), "cos": lambda a, b: 1 - exact.inner(a, b)}


class Matches:
    def __init__(self, keys, distances, computed):
        self.keys, self.distances, self.computed_distances = keys, distances, computed


class BatchMatches(Matches):
    def __init__(self, keys, distances, counts, computed):
        super().__init__(keys, distances, computed)
        self.counts = counts


class Index:
    def __init__(self, *, ndim, metric, dtype, connectivity, expansion_add):
        exact.record("Index", ndim=ndim, metric=metric, dtype=dtype, connectivity=connectivity, expansion_add=expansion_add)
        self.distance, self.rows, self.expansion_search = DISTANCES[metric], {}, 64

    def add(self, keys, vectors, *, copy=True, threads=0):
        assert copy and keys.dtype == "u8" and len(keys) == len(vectors) and not set(keys) & set(self.rows)
        exact.record("add", threads=threads)
        self.rows.update(zip(keys, vectors))

    def remove(self, keys, *, compact=False, threads=0):
        assert keys.dtype == "u8" and not compact
        exact.record("remove", threads=threads)
        for key in keys:
            del self.rows[key]

    def search(self, vectors, count=10, *, threads=0):
        exact.record("search", count=count, threads=threads, expansion_search=self.expansion_search)
        keys, distances = exact.nearest(self.rows, vectors, count, self.distance)
        if len(vectors) == 1:
            return Matches(keys[0], distances[0], len(self.rows))
        counts = numpy.ndarray(len(each) for each in keys)
        return BatchMatches(keys, distances, counts, len(vectors) * len(self.rows))
