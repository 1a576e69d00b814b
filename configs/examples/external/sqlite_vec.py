#!/usr/bin/env python3
"""sqlite_vec.py - a client of `external`: SQLite with the extension sqlite-vec, a table vec0 in a file of the cell's folder.

options is the path of vec0.so. src/build/baseline-sqlite-vec.sh fetches it and prints its folder. The distances are exact.
"""
import os
import shutil
import sqlite3

import client

COLUMNS = {"l2": "float[{}]", "cosine": "float[{}] distance_metric=cosine", "hamming": "bit[64]"}


class SqliteVec:
    filters = False

    def open(self, request, path):
        extension = request.texts()[1]
        if not hasattr(sqlite3.Connection, "enable_load_extension"):
            raise RuntimeError("this Python's sqlite3 loads no extensions; Debian's /usr/bin/python3 does")
        if not os.path.isfile(extension):
            raise RuntimeError(f"options = \"{extension}\" is not vec0.so; src/build/baseline-sqlite-vec.sh fetches it")
        self.metric = client.METRICS[request.metric]
        if self.metric not in COLUMNS:
            raise NotImplementedError(f"sqlite-vec has no metric {self.metric}")
        self.bits, self.dim = self.metric == "hamming", request.dim
        self.link = sqlite3.connect(path, isolation_level=None)
        self.link.enable_load_extension(True)
        self.link.load_extension(extension[:-3] if extension.endswith(".so") else extension)

    def create(self, request):
        self.open(request, os.path.join(request.texts()[0], "vectors.db") if request.texts()[0] else ":memory:")
        self.link.execute("pragma journal_mode = wal")
        self.link.execute(f"create virtual table v using vec0(row {COLUMNS[self.metric].format(request.dim)})")

    def vectors(self, request):
        width = 1 if self.bits else self.dim
        return [bytes(row) for row in request.rows(width, "Q" if self.bits else "f")]

    def insert(self, request):
        value = "vec_bit(?)" if self.bits else "?"
        self.link.execute("begin")
        self.link.executemany(f"insert into v(rowid, row) values (?, {value})", zip(request.ids(), self.vectors(request)))
        self.link.execute("commit")

    def delete(self, request):
        self.link.execute("begin")
        self.link.executemany("delete from v where rowid = ?", ((row_id,) for row_id in request.ids()))
        self.link.execute("commit")

    def search(self, request):
        ask = f"select distance, rowid from v where row match {'vec_bit(?)' if self.bits else '?'} and k = ?"
        for q, query in enumerate(self.vectors(request)):
            found = self.link.execute(ask, (query, request.k)).fetchall()
            if self.metric != "hamming":  # sqlite-vec reports the root of L2, and 1 - cos
                found = [(d * d if self.metric == "l2" else 2 * d, row_id) for d, row_id in found]
            request.answer(q, sorted(found))

    def ids(self):
        return [row_id for row_id, in self.link.execute("select rowid from v")]

    def save(self, request):
        copy = sqlite3.connect(request.texts()[0])
        self.link.backup(copy)
        copy.close()

    def load(self, request):
        own = request.texts()[0] + ".loaded"
        shutil.copyfile(request.texts()[0], own)
        self.open(request, own)


client.serve(f"sqlite-vec, SQLite {sqlite3.sqlite_version}", SqliteVec())
