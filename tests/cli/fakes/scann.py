"""scann.py - the part of scann that scann_index.py calls."""
import exact


class Searcher:
    def __init__(self, rows, measure):
        self.rows, self.measure = dict(enumerate(rows)), measure

    def search_batched(self, queries, final_num_neighbors=None, pre_reorder_num_neighbors=None, leaves_to_search=None):
        exact.record("search_batched", final=final_num_neighbors, pre_reorder=pre_reorder_num_neighbors, leaves=leaves_to_search)
        sign = -1 if self.measure == "dot_product" else 1  # the inner product is reported as it is
        far = exact.l2 if sign == 1 else lambda a, b: -exact.inner(a, b)
        places, distances = exact.nearest(self.rows, queries, final_num_neighbors, far)
        for each in distances:
            each[:] = [sign * d for d in each]
        return places, distances

    search_batched_parallel = search_batched


class Builder:
    def __init__(self, rows, num_neighbors, distance_measure):
        assert distance_measure in ("squared_l2", "dot_product")
        exact.record("builder", rows=len(rows), num_neighbors=num_neighbors, distance_measure=distance_measure)
        self.searcher = Searcher(rows, distance_measure)

    def set_n_training_threads(self, threads):
        exact.record("set_n_training_threads", threads=threads)
        return self

    def tree(self, num_leaves, num_leaves_to_search, training_sample_size=100000):
        exact.record("tree", num_leaves=num_leaves, num_leaves_to_search=num_leaves_to_search, sample=training_sample_size)
        return self

    def score_ah(self, dimensions_per_block, anisotropic_quantization_threshold=float("nan")):
        exact.record("score_ah", dims=dimensions_per_block, threshold=anisotropic_quantization_threshold)
        return self

    def reorder(self, reordering_num_neighbors):
        exact.record("reorder", n=reordering_num_neighbors)
        return self

    def build(self):
        return self.searcher


class scann_ops_pybind:
    builder = Builder
