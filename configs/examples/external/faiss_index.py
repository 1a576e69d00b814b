#!/usr/bin/env python3
"""faiss_index.py - a client of `external`: FAISS for Python. options is a factory string, HNSW32 if it is empty.

effort is efSearch or nprobe. An index that needs training is trained by its first insert.
"""
import client
import library

try:
    import faiss
    missing = None
except ImportError as problem:
    faiss, missing = None, problem


class Faiss(library.Library):
    def prepare(self, request):
        self.begin(request, missing, "python3-faiss of Debian", ("l2", "ip", "cosine"))
        faiss.omp_set_num_threads(request.threads)

    def create(self, request):
        self.prepare(request)
        kind = faiss.METRIC_INNER_PRODUCT if self.metric == "ip" else faiss.METRIC_L2  # L2 of unit rows is 2 - 2 cos
        self.index = faiss.IndexIDMap(faiss.index_factory(self.dim, request.texts()[1] or "HNSW32", kind))

    def insert(self, request):
        if not self.index.is_trained:
            self.index.train(self.rows(request))
        self.index.add_with_ids(self.rows(request), self.row_ids(request.ids()).view("i8"))

    def delete(self, request):
        if isinstance(faiss.downcast_index(self.index.index), faiss.IndexIVF):
            raise NotImplementedError("under an IndexIDMap, an inverted file loses its ids when rows are removed")
        try:
            self.index.remove_ids(self.row_ids(request.ids()).view("i8"))
        except RuntimeError as error:
            raise NotImplementedError("this index of FAISS cannot delete") from error

    def search(self, request):
        if request.effort:
            inner = faiss.downcast_index(self.index.index)
            for name in ("efSearch", "nprobe"):
                at = inner.hnsw if name == "efSearch" and hasattr(inner, "hnsw") else inner
                if hasattr(at, name):
                    setattr(at, name, request.effort)
        distances, ids = self.index.search(self.rows(request), request.k)
        for q in range(request.n):
            pairs = zip(distances[q].tolist(), ids[q].view("u8").tolist())
            found = [(-d if self.metric == "ip" else max(d, 0), i) for d, i in pairs if i != client.NONE]
            request.answer(q, sorted(found))

    def ids(self):
        return faiss.vector_to_array(self.index.id_map).view("u8").tolist()

    def save(self, request):
        faiss.write_index(self.index, request.texts()[0])

    def load(self, request):
        self.prepare(request)
        self.index = faiss.read_index(request.texts()[0])


client.serve("FAISS " + (faiss.__version__ if faiss else "missing"), Faiss())
