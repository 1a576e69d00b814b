#!/usr/bin/python3
"""drift.py ROWS.npy... [--order PART.npy] [--parts N] [--centre] [--shuffle] - How far a stream of vectors drifts.

For each of N equal parts (10) of the rows in their order, or in that of --order: the cosine of its mean with the mean
of the first part, and the mean cosine of its rows with that mean. With --shuffle the rows are in random order: no
drift. With --centre the mean of all rows is subtracted first. The files are those of the cache,
~/.cache/driftline/datasets/SET/PART.npy. Needs numpy.
"""
import argparse
import numpy

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("rows", nargs="+")
options.add_argument("--order", help="one number per row to sort by, such as time.npy")
options.add_argument("--parts", type=int, default=10, help="how many parts")
options.add_argument("--shuffle", action="store_true")
options.add_argument("--centre", action="store_true")
given = options.parse_args()

files = [numpy.load(path, mmap_mode="r") for path in given.rows]
rows = numpy.concatenate([f.reshape(len(f), -1) for f in files]) if len(files) > 1 else files[0]
order = numpy.arange(len(rows))
if given.order:
    order = numpy.argsort(numpy.load(given.order).reshape(-1), kind="stable")
if given.shuffle:
    order = numpy.random.RandomState(1).permutation(len(rows))

def cosine(a, b):
    return float(a @ b / numpy.sqrt((a @ a) * (b @ b)))

centre = rows.mean(axis=0, dtype="float64") if given.centre else 0
first = None
print("| part | rows | cosine of the means | mean cosine of rows with the first mean |\n| --- | --- | --- | --- |")
for part, ids in enumerate(numpy.array_split(order, given.parts), 1):
    x = rows[ids].astype("float64") - centre
    mean = x.mean(axis=0)
    first = mean if first is None else first
    each = (x @ first) / (numpy.sqrt((x * x).sum(axis=1)) * numpy.sqrt(first @ first))
    print("| %d | %d | %.4f | %.4f |" % (part, len(ids), cosine(mean, first), each.mean()))
