#!/usr/bin/env python3
"""stand_ins.py - files of the shape of the data sets that recipes make, with random rows, for tests that only load them.

    stand_ins.py PROGRAM FOLDER [NAME...]   writes FOLDER/NAME/FILE for each part that ./harness describe says a recipe
                                            makes; of all data sets without names

A base has as many rows as the catalog says, 1000 random ones repeated; other parts of rows have 10000.
"""
import array
import pathlib
import random
import re
import struct
import subprocess
import sys

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
BLOCK, OTHERS = 1000, 10000


def described(*words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


def values(element, n):
    """n random values as bytes."""
    if element == "u8":
        return random.randbytes(n)
    return array.array("f", (random.gauss(0, 1) for _ in range(n))).tobytes()


def write_rows(path, element, rows, dim):
    """A .u8bin or .fbin file."""
    block = values(element, BLOCK * dim)
    with open(path, "wb") as out:
        out.write(struct.pack("<II", rows, dim))
        for first in range(0, rows, BLOCK):
            out.write(block[:min(BLOCK, rows - first) * len(block) // BLOCK])


def write_numbers(path, rows):
    """A .npy or .i64 file: of each row a number below 500, as of pictures."""
    numbers = array.array("q", (random.randrange(500) for _ in range(rows))).tobytes()
    if path.suffix == ".i64":
        path.write_bytes(numbers)
        return
    head = "{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % rows
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + numbers)


random.seed(42)
for name in sys.argv[3:] or [line.split()[0] for line in described("list", "datasets").splitlines()[1:] if line[:1].isalnum()]:
    text = described("describe", name)
    shape = re.search(r"^  (\d+) rows x (\d+) (\w+)", text, re.M)
    for part, file in re.findall(r"^  (\S+) +(\S+?),? [^\n]*\n(?: {11}from [^\n]*\n)*? {11}from recipe ", text.replace("\n", " \n"), re.M):
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = int(shape[1])
        if file.endswith("bin"):
            write_rows(path, shape[3], rows if part.endswith("base") else OTHERS, int(shape[2]))
        elif file.endswith((".npy", ".i64")):
            write_numbers(path, OTHERS if part.startswith("query") else rows)
        else:
            path.write_text("stand-in\n")
