#!/usr/bin/env python3
"""sptag_spann.py - a client of `external`: the released SPANN, by SPTAG's Python module. Static: no deletes, no save.

options is the folder of SPTAG.py, then NAME=VALUE of SPTAG's sections: "FOLDER Ratio=0.16 ReplicaCount=8".
src/build/baseline-sptag.sh fetches Debian's build of it and prints the folder. effort is SearchInternalResultNum, the heads
probed. The index is built by the insert that makes it as large as the workload will be.
"""
import array
import os
import sys

import client

SELECT = dict(isExecute="true", TreeNumber=1, BKTKmeansK=32, BKTLeafSize=8, SamplesNumber=1000, SelectThreshold=50, SplitFactor=6,
              SplitThreshold=100, Ratio=0.16, BKTLambdaFactor=-1)
HEAD = dict(isExecute="true", NeighborhoodSize=32, TPTNumber=32, TPTLeafSize=2000, MaxCheck=8192, MaxCheckForRefineGraph=8192,
            RefineIterations=3, BKTLambdaFactor=-1)
POSTINGS = dict(isExecute="true", BuildSsdIndex="true", InternalResultNum=64, ReplicaCount=8, PostingPageLimit=12, MaxCheck=8192)
SEARCH = dict(SearchInternalResultNum=32, SearchPostingPageLimit=12, MaxCheck=2048, HashTableExponent=4, MaxDistRatio=8.0)


def bytes_read():
    """Of this process from the disk. SPTAG reads postings with O_DIRECT, so all of its reads count."""
    with open("/proc/self/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("read_bytes"))


class Spann:
    filters = False

    def create(self, request):
        folder, options = request.texts()
        if client.METRICS[request.metric] != "l2":
            raise NotImplementedError("this client has L2 only")
        where, *settings = options.split() or [""]
        sys.path.insert(0, where)
        try:
            import SPTAG  # pylint: disable=import-outside-toplevel
        except ImportError as error:
            raise RuntimeError(f"options = \"{options}\": {error}; src/build/baseline-sptag.sh fetches SPTAG") from error
        self.given = dict(setting.split("=", 1) for setting in settings)
        self.index, self.dim, self.expected = SPTAG.AnnIndex("SPANN", "Float", request.dim), request.dim, request.expected_n
        self.where, self.threads = os.path.join(folder, "spann"), request.threads
        self.listed, self.rows, self.built, self.effort = [], array.array("f"), 0, None

    def set(self, section, values, setter):
        for name, value in values.items():
            setter(name, str(self.given.get(name, value)), section)

    def build(self):
        if self.built:
            raise NotImplementedError("SPANN is static: one load, then searches")
        os.mkdir(self.where)
        base = dict(IndexAlgoType="BKT", DistCalcMethod="L2", ValueType="Float", Dim=self.dim, IndexDirectory=self.where)
        self.set("Base", base, self.index.SetBuildParam)
        for section, values in ("SelectHead", SELECT), ("BuildHead", HEAD), ("BuildSSDIndex", POSTINGS | {"TmpDir": self.where}):
            self.set(section, values | {"NumberOfThreads": self.threads}, self.index.SetBuildParam)
        if not self.index.Build(self.rows.tobytes(), len(self.listed), False):
            raise RuntimeError("SPTAG could not build the index")
        self.built, self.rows = len(self.listed), array.array("f")
        self.set("BuildSSDIndex", SEARCH, self.index.SetSearchParam)

    def insert(self, request):
        if self.built:
            raise NotImplementedError("SPANN is static: one load, then searches")
        self.rows.frombytes(bytes(request.view(request.rows_at, request.n * self.dim, "f")))
        self.listed.extend(request.ids())
        if len(self.listed) >= self.expected:
            self.build()

    def search(self, request):
        if not self.built and self.listed:
            self.build()
        if request.effort != self.effort:
            self.effort = request.effort
            heads = str(self.effort or SEARCH["SearchInternalResultNum"])
            self.index.SetSearchParam("SearchInternalResultNum", heads, "BuildSSDIndex")
        before = bytes_read()
        for q, query in enumerate(request.rows(self.dim)):
            places, distances = self.index.Search(bytes(query), request.k)[:2] if self.built else ((), ())
            request.answer(q, [(d, self.listed[p]) for p, d in zip(places, distances) if p >= 0])
        return client.NONE, bytes_read() - before

    def ids(self):
        return self.listed


client.serve("SPTAG's SPANN", Spann())
