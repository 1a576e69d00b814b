#!/bin/bash
# test_emoji.sh - the recipe emoji on a few drawn pictures: distinct ones, in order of time, by two networks, the same bytes twice.
#
# The networks are those of the cache, else they are downloaded. Skipped without npm (make deps-emoji) or its registry.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
. tests/cli/recipes.sh
begin_recipe emoji nsfwjs-4.4.0 node npm

# Two versions of two makers. A picture is a shape of a colour, by Twitter on a grey ground. Version 2 keeps all but three of
# the pictures of version 1.
cat >draw.py <<'PY'
import os, struct, sys, zlib
def png(path, colour, shape, ground):
    rows = b""
    for y in range(64):
        rows += b"\0"
        for x in range(64):
            inside = (abs(x - 32) + abs(y - 32) < 28, max(abs(x - 32), abs(y - 32)) < 20, (x - 32) ** 2 + (y - 32) ** 2 < 600)[shape]
            rows += bytes(colour + (255,) if inside else ground)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 64, 64, 8, 6, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
for version, day in ("1.0.0", "2018-01-02"), ("2.0.0", "2020-03-04"):
    for maker, ground in ("google", (0, 0, 0, 0)), ("twitter", (200, 200, 200, 255)):
        folder = "packages/emoji-%s/emoji-datasource-%s" % (version, maker)
        os.makedirs(folder + "/img/%s/64" % maker)
        open(folder + "/CHANGES.md", "w").write("# Change Log\n\n## %s : v%s\n\n* New\n" % (day, version))
        for i in range(30):
            shade = 10 if version == "2.0.0" and i < 3 else 0
            png(folder + "/img/%s/64/1f%02x.png" % (maker, i), (8 * i + shade, 255 - 8 * i, 60), i % 3, ground)
PY
python3 draw.py
printf 'emoji-datasource-%s\n' twitter=2.0.0 google=1.0.0 google=2.0.0 twitter=1.0.0 >root/datasets/recipes/emoji.packages
make_one
check "the recipe runs, and names what it reads" '[ $status = 0 ] && grep -q "66 distinct pictures of 120" out'

cat >look.py <<'PY'
import array, struct
def rows(name):
    data = open("one/" + name, "rb").read()
    n, dim = struct.unpack("<2I", data[:8])
    flat = array.array("f", data[8:])
    assert dim == 1280 and len(flat) == n * dim, name
    return [flat[i * dim:(i + 1) * dim] for i in range(n)]
def numbers(name): return list(array.array("q", open("one/" + name, "rb").read()))
def cosine(a, b): return sum(x * y for x, y in zip(a, b))
texts = [line.split("\t") for line in open("one/pictures.txt").read().splitlines()]
base, query = rows("base.fbin"), rows("query.fbin")
assert len(base) == len(texts) == 63 and len(query) == 3, (len(base), len(query))
times, makers = numbers("time.i64"), numbers("maker.i64")
assert times == sorted(times) and set(times) == {1514851200, 1583280000}, set(times)
assert [("google", "twitter")[m] for m in makers] == [t[0] for t in texts]
assert [t[1] for t in texts] == [{1514851200: "1.0.0", 1583280000: "2.0.0"}[t] for t in times]
asked = [line.split("\t") for line in open("one/query-pictures.txt").read().splitlines()]
assert not [a for a in asked if a in texts] and len(numbers("query-time.i64")) == len(numbers("query-maker.i64")) == 3
for name in "base.fbin", "mid-base.fbin":
    vectors = rows(name)
    assert all(abs(cosine(v, v) - 1) < 1e-5 for v in vectors)
    # A symbol that was drawn in a slightly other colour is nearer to its earlier picture than others are in the mean.
    old = {(m, s): v for (m, version, s), v in zip(texts, vectors) if version == "1.0.0"}
    new = {(m, s): v for (m, version, s), v in zip(texts, vectors) if version == "2.0.0"}
    for key, v in new.items():
        others = [cosine(v, w) for other, w in old.items() if other != key]
        assert key not in old or cosine(v, old[key]) > sum(others) / len(others), key
PY
check "rows, times, makers, symbols and vectors of both networks" 'python3 look.py 2>err'

make_two 600000
sed -i 's/ : v/ of v/' packages/emoji-1.0.0/emoji-datasource-google/CHANGES.md
check "a package without the date of its version is refused" \
    '! root/datasets/recipes/emoji three packages >out 2>err && grep -q "CHANGES.md: no line \"## YEAR-MONTH-DAY : v1.0.0\"" err'
exit $failed
