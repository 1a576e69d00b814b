#!/usr/bin/env python3
"""external_liar.py MODE SECONDS - a client of `external` that misbehaves: tests/cli/test_external.sh says what the cell must report.

It is the reference client with one fault. A fault of MODE "memory-..." is one of a client that answers by shared memory.
A process that it leaves sleeps for SECONDS, which a test knows it by.
"""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "configs/examples/external"))
import client  # noqa: E402

MODE = sys.argv[1]


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


class Liar(client.Exact):
    def create(self, request):
        if MODE == "refuses":
            raise RuntimeError("libfast.so.3 is not installed \x1b[31m")
        if MODE == "unsupported":
            raise NotImplementedError("codes")
        if MODE == "no-memory":
            raise MemoryError("32 GiB")
        super().create(request)

    def insert(self, request):
        if MODE == "loses-rows":
            request.n -= 1
        super().insert(request)

    def search(self, request):
        done = super().search(request)
        fault = getattr(self, MODE.replace("-", "_"), None)
        if fault:
            fault(request)
        return done

    def save(self, request):
        if MODE != "saves-nothing":
            super().save(request)

    def hangs(self, request):
        hang()

    def dies(self, request):
        os.kill(os.getpid(), signal.SIGSEGV)

    def exits(self, request):
        print("goodbye from the client", flush=True)
        os._exit(7)

    def closes(self, request):
        os.close(3)
        hang()

    def floods(self, request):
        for _ in range(3):
            os.write(3, b"x" * 1000)

    def floods_without_end(self, request):
        while True:
            os.write(3, b"x" * 1000)

    def unknown_id(self, request):
        struct.pack_into("=Q", request.memory, request.ids_at, 123456789)

    def nan(self, request):
        struct.pack_into("=f", request.memory, request.distances_at, float("nan"))

    def unsorted(self, request):
        struct.pack_into("=f", request.memory, request.distances_at, 1e30)

    def gap(self, request):
        struct.pack_into("=Q", request.memory, request.ids_at, client.NONE)

    def scribbles(self, request):
        request.memory[0:4096] = os.urandom(4096)

    def truncates(self, request):
        for fd in os.listdir("/proc/self/fd"):
            if "memfd" in os.readlink(f"/proc/self/fd/{fd}"):
                os.ftruncate(int(fd), 0)

    def strays(self, request):
        subprocess.Popen(["sleep", sys.argv[2]])
        hang()


def serve_by_memory(memory):
    """Answers every call but a search."""
    counters, words = memory[:16].cast("I"), memory[16:168].cast("Q")
    last, exact = 0, client.Exact()
    while True:
        while counters[0] == last:
            time.sleep(0)
        last, words[15] = counters[0], 0
        if client.NAMES[words[0]] == "search":
            hang() if MODE == "memory-hangs" else os.kill(os.getpid(), signal.SIGKILL)
        client.call(exact, client.Request(memory, words), words)
        counters[1] = last


if MODE == "hangs-at-start":
    hang()
elif MODE == "exits-at-start":
    sys.exit(3)
elif MODE == "wrong-version":
    os.write(3, struct.pack("=II", 99, 0))
    hang()
elif MODE == "short-hello":
    os.write(3, b"hi")
    hang()
elif MODE.startswith("memory-"):
    link = client.socket.socket(fileno=3)
    files = client.socket.recv_fds(link, 8, 1)[1]
    shared = memoryview(client.mmap.mmap(files[0], 256 << 20))
    link.send(struct.pack("=II", 1, 1) + b"liar by memory")
    serve_by_memory(shared)
elif MODE == "wrong-count":
    real = client.call

    def lie(method, request, words):
        real(method, request, words)
        if client.NAMES[request.operation] == "insert":
            words[16] = request.n + 5

    client.call = lie
elif MODE == "wrong-status":
    client.call = lambda method, request, words: words.__setitem__(15, 77)
client.serve("liar", Liar())
