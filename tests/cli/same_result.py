#!/usr/bin/env python3
"""same_result.py - whether a sweep on ranks has the result of a single process, but for times.

same_result.py FOLDER FOLDER RANKS [NAME]    the result of one process, and that of RANKS ranks, of the experiment of that name
"""
import json
import pathlib
import sys

import jsonschema

first, second, ranks = sys.argv[1], sys.argv[2], int(sys.argv[3])
name = sys.argv[4] if len(sys.argv) > 4 else "cluster_sweep"
schema = json.loads((pathlib.Path(__file__).parents[2] / "results/schema.json").read_text())
one, two = (json.load(open(f"{d}/{name}/result.json")) for d in (first, second))
jsonschema.Draft7Validator(schema).validate(two)
counted = ("recall", "range_recall", "distances", "scanned", "estimates")

def plain(result):
    return {(s["label"], s["metric"]): s["median"] for s in result["summary"] if s["metric"].startswith(counted)}

def hits(value):
    if isinstance(value, dict):
        return [value["hits"]] if "hits" in value else [h for v in value.values() for h in hits(v)]
    return [h for v in value for h in hits(v)] if isinstance(value, list) else []

assert plain(one) == plain(two), set(plain(one).items()) ^ set(plain(two).items())
assert any("recall" in metric for _, metric in plain(one))
for a, b in zip(one["cells"], two["cells"], strict=True):
    assert all(a[k] == b[k] for k in ("label", "point", "method", "params", "knobs", "repeat", "seed", "status")), (a, b)
stored = sorted(pathlib.Path(first, name, "cells").glob("*.json"))
assert stored
for path in stored:
    a, b = (hits(json.loads(pathlib.Path(d, name, "cells", path.name).read_text())) for d in (first, second))
    assert a and a == b, path
assert [r["rank"] for r in two["environment"]["ranks"]] == list(range(ranks))
assert sum(r["cells"] for r in two["environment"]["ranks"]) == len({(c["label"].split("[")[0], c["repeat"]) for c in two["cells"]})
assert all(c["rank"] < ranks for c in two["cells"])
