#!/bin/bash
# bench-load.sh - what an operation of w:mix costs the load itself: a method that does nothing, on one thread.
#
#   bench-load.sh PROGRAM PLUGIN
#
# Prints the processor time per operation of a closed loop, for each query_choice, and the share of 200,000 operations per second
# that were more than a millisecond late, skipped ones included. Operations that are due while the thread waits for a processor are late
# whatever the load does: forty rounds of a tenth of a second are run, and the one whose thread waited least is shown,
# with the share of the time that it waited.
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
    for _ = 1, 40 do
      w:mix { queries, search = 1, rate = 200000, seconds = .1, arrivals = "poisson", latency_limit_ms = 1, repeated = true, tag = "open" }
    end
  end,
  methods = { method { "empty" } },
}
LUA
"$1" run --plugin "$2" --no-plots --quiet --out "$work" "$work/load.lua" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err" >&2; exit 1; }
python3 - "$work/bench_load/result.json" <<'PY'
import json, sys
steps = [s for s in json.load(open(sys.argv[1]))["cells"][0]["steps"] if s["op"] == "mix"]
closed = [s for s in steps if s["tag"] != "open"]
best = min((s for s in steps if s["tag"] == "open"), key=lambda s: s["stats"]["waited"] or 0)
print("%-8s  %14s  %10s  %10s" % ("queries", "ns / operation", "late, %", "waited, %"))
for step in closed + [best]:
    of, each, late = step["stats"]["all"], "-", "-"
    if of["skipped"] is None:
        each = "%.0f" % (1e9 * step["cpu_seconds"] / of["done"])
    else:
        late = "%.3f" % (100 * (of["late"] + of["skipped"]) / (of["done"] + of["skipped"] + of["missed"]))
    print("%-8s  %14s  %10s  %10.3f" % (step["tag"], each, late, 100 * (step["stats"]["waited"] or 0)))
PY
