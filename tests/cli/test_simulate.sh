#!/bin/bash
# test_simulate.sh - simulate: predictions from a made-up result, its files and figures, and what it refuses.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

# Scans in proportion to the rows, and what the model says of 1, 2 and 4 ranks on two cores but for messages of 10 us.
python3 - <<'PY'
import json

def search(live, batch_s, single_s, asked):
    return {"index": 2, "op": "search", "tag": "at %d" % live, "status": "ok", "note": None, "count": 1000, "live": live,
            "seconds": 500 * batch_s, "per_second": 1 / batch_s, "latency_counts": [[single_s * 1e9, 500]],
            "latency_ns": {"p50": single_s * 1e9, "p99": single_s * 1e9}, "recall": {"k": 10, "mean": 1}, "distances": live,
            "memory": None, "shards_asked": asked, "stats": {}}

def insert(live): # memory is measured after changes alone
    return {"index": 1, "op": "insert", "tag": "to %d" % live, "status": "ok", "live": live,
            "memory": {"index_bytes": 1000 + 256 * live}, "stats": {}}

def cell(label, method, params, knobs, steps):
    return {"label": label, "point": "", "method": method, "params": params, "knobs": knobs, "repeat": 0, "seed": 1,
            "status": "ok", "error": None, "element": "f32", "steps": steps}

def alone(method, us):
    return cell(method, method, {}, {}, [step for n in (5000, 10000, 20000, 40000)
                                         for step in (insert(n), search(n, us * n * 1e-9, 2 * us * n * 1e-9, None))])

def sharded(method, us, ranks):
    loss = 1.25 if ranks > 2 else 1 # for one doubling of ranks per core
    steps = [search(n, us * n * 1e-9 / min(ranks, 2) * loss, 2 * us * n * 1e-9 / min(ranks, 2), ranks)
             for n in (20000, 40000)]
    steps.append({"op": "checkpoint", "tag": "end", "status": "ok", "stats": {"round_trip_ns": 10000 if ranks > 1 else 0}})
    return cell("%s, %d" % (method, ranks), "sharded", {"of": method, "of_params": "", "shards": ranks, "ranks": ranks},
                {"of_knobs": ""}, steps)

def result(cells):
    return {"schema": "driftline-result/1",
            "experiment": {"name": "made-up", "title": "Made up", "k": 10, "labels": [], "figure_specs": None},
            "run": {"quick": False, "finished": True}, "environment": {"cpu": {"online": 2}},
            "datasets": [{"name": "d", "rows": 40000, "dim": 64}], "cells": cells, "summary": [], "claims": [],
            "paper": [], "figures": [], "truth": {}}

def write(name, cells):
    import os
    os.makedirs(name)
    json.dump(result(cells), open(name + "/result.json", "w"))

two = [alone("flat", 1), alone("divf", .25)] + [sharded(m, us, r) for m, us in (("flat", 1), ("divf", .25)) for r in (1, 2, 4)]
write("two", two)
write("one", [c for c in two if "flat" in c["label"]])
write("no-shards", two[:2])
write("not-alone", two[2:])
short = alone("flat", 1)
short["steps"] = short["steps"][:2]
write("one-size", [short, sharded("flat", 1, 2)])
for c in two:
    c["status"] = "failed"
write("failed", two)
PY

run simulate two --shards 8,64 --vectors 1e6,1e11
check "it predicts" '[ $status = 0 ] && grep -q "^method  *ranks  *shards  *vectors" out'
check "what follows the model is predicted" \
    '[ "$(grep -cE "^(flat|divf) .* [+-][01] % " out)" = 12 ] && grep -q "fitted to 2 runs of other methods" out'
check "predictions go up to 1e11 vectors, marked as beyond what was measured" \
    'grep -qE "^flat  *100G  *64 .*\*!?$" out && grep -qE "^flat  *1.00M  *64  .*  1.0000  .*B  *$" out'
check "simulate.json has the same" 'python3 - <<PY
import json
d = json.load(open("two/simulate/simulate.json"))
assert d["schema"] == "driftline-simulate/1" and d["experiment"] == "made-up", d
assert len(d["methods"]) == 2 and len(d["runs"]) == 12 and len(d["predictions"]) == 8
assert all(abs(r["predicted"]["qps"] / r["qps"] - 1) < .01 for r in d["runs"]), d["runs"]
assert abs(d["costs"]["sharing"] - .25) < .01, d["costs"]
last = d["predictions"][-1]
assert last["vectors"] == 1e11 and last["shards"] == 64 and last["extrapolated"] and last["recall"] == 1
PY'
if command -v gnuplot >/dev/null; then
    check "the figures are drawn" \
        'for f in strong-scaling weak-scaling vectors; do grep -q "<svg" two/simulate/$f.svg && [ -s two/simulate/$f.png ] && [ ! -e two/simulate/$f.log ] || exit 1; done'
    check "their points are beside them" 'grep -q "flat, measured" two/simulate/strong-scaling.csv && grep -q "64 shards, more machines" two/simulate/vectors.csv'
fi

run simulate two --no-plots --shards 64 --vectors 1e9 --ranks-per-machine 8 --cores 8 --latency-us 500 --bandwidth-gbit .001 --asked .5 --out there
check "machines are as the options say" \
    '[ $status = 0 ] && grep -q "8 ranks per machine of 8 cores, 500 us between machines, 0.001 Gbit/s, 0.5 of the shards asked per query" out && [ ! -e there/vectors.svg ]'
check "a slow network bounds it, and half of the shards tell no recall" 'python3 - <<PY
import json
p = json.load(open("there/simulate.json"))["predictions"][0]
assert p["recall"] is None and p["qps"] < 125000 / (56 * .5 * (64 * 4 + 120)), p
PY'
run simulate two --no-plots --shards 8,64 --vectors 1e9 --machine-memory 8G --cores 8 --out there
check "what does not fit the memory of a machine is marked" \
    '[ $status = 0 ] && grep -qE "^flat .* 8 .* 238 GiB  *\*!$" out && grep -q "do not fit its memory of 8.00 GiB" out'
check "the bandwidth that the times need is said" 'grep -q "^flat compares 238 GiB of vectors a second on a core.* gives 1.86 TiB/s" out'
run simulate one/result.json --no-plots
check "with one method, the cost of shared cores is assumed, and the output says so" \
    '[ $status = 0 ] && grep -q "for flat: assumed, as no other method is in shards" out'

if [ -e "$root/build/libdriftline_mpi.so" ]; then
    cp "$root/build/libdriftline_mpi.so" .
    run run --quick --no-plots --set rows=6400 --set queries=100 --only flat --only "flat, 1 rank" --only "flat, 2 ranks" --out results "$root/configs/cluster/scaling.lua"
    check "shards are measured on 1 and 2 ranks" '[ $status = 0 ]'
    run simulate results/cluster_scaling --no-plots --shards 8,64,512 --vectors 1e9,1e11
    check "and predicted from what the method costs alone" \
        '[ $status = 0 ] && [ "$(grep -cE "^flat  *[12] " out)" = 12 ] && grep -qE "^flat  *100G  *512 " out'
else
    echo "ok - shards are measured on 1 and 2 ranks # SKIP there is no Open MPI"
fi

refused() { # NAME WORDS ARGUMENT...
    local name=$1 words=$2
    shift 2
    run simulate "$@"
    check "$name" '[ $status = 2 ] && grep -q "^error: .*'"$words"'" err && [ ! -s out ]'
}
refused "a result without shards is refused" "no-shards: no cell of the method sharded has run" no-shards
refused "so is one whose cells failed" "failed: no cell of the method sharded has run" failed
refused "so is one without the method alone" "no method is measured both in shards and without them" not-alone
refused "so is one number of rows" "flat without shards is searched at one number of rows only" one-size
refused "so is a folder that is not there" "no-such does not exist; expected the folder of a run" no-such
mkdir wrong && echo '{"schema": "driftline-plan/1"}' >wrong/result.json
refused "so is another file" "wrong/result.json" wrong
for value in shards=0 shards=1,x 'shards=1,2,' vectors=-1 asked=0 asked=2 cores=0 bandwidth-gbit=0; do
    refused "--$value is refused" "--${value%%=*} ${value#*=}: expected" two "--$value"
done
exit $failed
