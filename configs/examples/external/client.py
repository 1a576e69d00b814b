#!/usr/bin/env python3
"""client.py - a reference client of the method `external`: an exact scan, in Python 3 alone or with NumPy.

docs/external.md has the protocol. For a library of yours, write a class with the methods of Exact, and call
serve("NAME VERSION", YOURS()); what a class lacks of delete, save and load, the harness reports as unsupported.
"""
import heapq
import math
import mmap
import operator
import socket
import struct
import sys

try:
    import numpy
except ImportError:
    numpy = None

NAMES = "ping create insert search delete save load count ids end".split()
METRICS = "l2 ip cosine hamming".split()
NONE = 2**64 - 1


class Request:
    """One call. Rows, ids and answers are views of the shared memory, valid until the call returns."""

    def __init__(self, memory, words):
        self.memory = memory
        (self.operation, self.n, self.k, self.threads, self.effort, self.rows_at, self.ids_at, self.distances_at, self.filter_at,
         self.filter_ids, self.dim, self.element, self.metric, self.expected_n, self.seed) = words[:15]

    def view(self, at, n, kind):
        return self.memory[at:at + n * struct.calcsize(kind)].cast(kind)

    def texts(self):
        """create: a folder for files, and the option `options`; save and load: a path, and the option."""
        return [text.decode() for text in bytes(self.memory[512:4096]).split(b"\0")[:2]]

    def ids(self):
        return self.view(self.ids_at, self.n, "Q")

    def rows(self, dim, kind="f"):
        return [self.view(self.rows_at + i * dim * struct.calcsize(kind), dim, kind) for i in range(self.n)]

    def allows(self, row_id):
        return not self.filter_at or (row_id < self.filter_ids and self.memory[self.filter_at + row_id // 8] >> row_id % 8 & 1)

    def answer(self, q, found):
        """found: pairs (distance, id), nearest first, of query q."""
        for i, (distance, row_id) in enumerate(found):
            struct.pack_into("=f", self.memory, self.distances_at + 4 * (q * self.k + i), distance)
            struct.pack_into("=Q", self.memory, self.ids_at + 8 * (q * self.k + i), row_id)


class Exact:
    def create(self, request):
        self.dim, self.metric, self.live = request.dim, METRICS[request.metric], {}
        self.kind = "Q" if self.metric == "hamming" else "f"
        self.width, self.stacked = 1 if self.kind == "Q" else self.dim, None

    def insert(self, request):
        self.live.update(zip(request.ids(), (row.tolist() for row in request.rows(self.width, self.kind))))
        self.stacked = None

    def delete(self, request):
        for row_id in request.ids():
            del self.live[row_id]
        self.stacked = None

    def distance(self, a, b):
        if self.metric == "hamming":
            return bin(a[0] ^ b[0]).count("1")
        if self.metric == "l2":
            return math.dist(a, b)**2
        inner = sum(map(operator.mul, a, b))
        return -inner if self.metric == "ip" else 2 - 2 * inner

    def distances(self, query):
        if numpy is None or self.kind == "Q" or not self.live:
            return [self.distance(query, row) for row in self.live.values()]
        if self.stacked is None:
            self.stacked = numpy.array(list(self.live.values()))
        if self.metric == "l2":
            return ((self.stacked - query)**2).sum(axis=1).tolist()
        inner = self.stacked @ query
        return (-inner if self.metric == "ip" else 2 - 2 * inner).tolist()

    def search(self, request):
        for q, query in enumerate(request.rows(self.width, self.kind)):
            pairs = zip(self.distances(query.tolist()), self.live)
            request.answer(q, heapq.nsmallest(request.k, (p for p in pairs if request.allows(p[1]))))
        distances = request.n * len(self.live)
        return distances, distances * self.width * struct.calcsize(self.kind)

    def ids(self):
        return list(self.live)

    def save(self, request):
        with open(request.texts()[0], "wb") as file:
            file.write(struct.pack("=QQ", METRICS.index(self.metric), len(self.live)))
            for row_id, row in self.live.items():
                file.write(struct.pack(f"=Q{self.width}{self.kind}", row_id, *row))

    def load(self, request):
        self.create(request)
        with open(request.texts()[0], "rb") as file:
            for _ in range(struct.unpack("=QQ", file.read(16))[1]):
                row_id, *row = struct.unpack(f"=Q{self.width}{self.kind}", file.read(8 + self.width * struct.calcsize(self.kind)))
                self.live[row_id] = row


def call(method, request, words):
    """words[16]: the rows done; words[17], words[18]: distances and bytes, if search() returns their numbers."""
    operation = NAMES[request.operation]
    if operation in ("create", "insert", "delete", "save", "load"):
        getattr(method, operation)(request)
        words[16] = request.n
    elif operation == "search":
        words[17], words[18] = method.search(request) or (NONE, NONE)
    elif operation == "count":
        words[16] = len(method.ids())
    elif operation == "ids":
        listed = method.ids()[request.k:request.k + request.n]
        request.view(request.ids_at, len(listed), "Q")[:] = memoryview(struct.pack(f"={len(listed)}Q", *listed)).cast("Q")
        words[16] = len(listed)


def serve(name, method):
    link = socket.socket(fileno=3)
    version, files, _, _ = socket.recv_fds(link, 8, 1)
    if version != struct.pack("=Q", 1):
        sys.exit("this client speaks version 1 of the protocol of docs/external.md")
    memory = memoryview(mmap.mmap(files[0], 256 << 20))
    counters, words = memory[:16].cast("I"), memory[16:168].cast("Q")
    capabilities = 8 * getattr(method, "filters", True) + 2 * hasattr(method, "delete") + 4 * hasattr(method, "save")
    link.send(struct.pack("=II", 1, capabilities) + name.encode()[:64])
    while link.recv(1):
        words[15] = 0
        try:
            call(method, Request(memory, words), words)
        except Exception as error:  # the harness records it
            words[15] = {NotImplementedError: 2, MemoryError: 3}.get(type(error), 1)
            memory[512:512 + 1000] = f"{type(error).__name__}: {error}".encode()[:999].ljust(1000, b"\0")
        counters[1] = counters[0]
        link.send(b"\0")


if __name__ == "__main__":
    serve("exact in Python", Exact())
