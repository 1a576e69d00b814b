#!/bin/bash
# bench-load.sh - what an operation of w:mix costs the load itself: a method that does nothing, on one thread.
#
#   bench-load.sh PROGRAM PLUGIN
#
# Prints the processor time per operation of a closed loop, for each query_choice, and the share of 200,000 operations per second
# that were more than a millisecond late, skipped ones included. The last wants a processor for itself.
set -eu

cd "$(dirname "$0")/../.."
[ $# = 2 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/load.lua" <<'LUA'
local data = synthetic { kind = "gaussian", rows = 125000, dim = 4 }
local queries = data:queries(1000)
experiment {
  name = "bench_load", threads = 1,
  workload = function(w)
    w:insert { data:rows(1, 60000) }
    for i, choice in ipairs { "uniform", "zipf", "latest", "hotspot", "drift" } do
      w:mix { queries, rows = data:rows(47001 + 13000 * i, 60000 + 13000 * i), search = .994, insert = .002, delete = .003,
              update = .001, operations = 3000000, query_choice = choice, repeated = true, tag = choice }
    end
    w:mix { queries, search = 1, rate = 200000, seconds = 5, arrivals = "poisson", latency_limit_ms = 1, repeated = true, tag = "open" }
  end,
  methods = { method { "empty" } },
}
LUA
"$1" run --plugin "$2" --no-plots --quiet --out "$work" "$work/load.lua" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err" >&2; exit 1; }
python3 - "$work/bench_load/result.json" <<'PY'
import json, sys
print("%-8s  %14s  %10s" % ("queries", "ns / operation", "late, %"))
for step in json.load(open(sys.argv[1]))["cells"][0]["steps"]:
    if step["op"] != "mix":
        continue
    of, each, late = step["stats"]["all"], "-", "-"
    if of["skipped"] is None:
        each = "%.0f" % (1e9 * step["cpu_seconds"] / of["done"])
    else:
        late = "%.3f" % (100 * (of["late"] + of["skipped"]) / (of["done"] + of["skipped"] + of["missed"]))
    print("%-8s  %14s  %10s" % (step["tag"], each, late))
PY
