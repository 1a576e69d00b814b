#!/bin/bash
# test_ties.sh - rows at equal distances are as good as each other, wherever answers are scored.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_MIN_TIME=0

# 30 copies of one vector; each component differs by at most two units in the last place
python3 - <<'PY'
import random, struct
random.seed(1)
f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
base = [.1234567, .7654321, -.3141592, .2718281]
rows = [[f32(f32(x) * (1 + random.choice([-2, -1, 0, 1, 2]) * 6e-8)) for x in base] for _ in range(30)]
for name, part in ("rows", rows), ("queries", rows[:6]):
    open(name + ".csv", "w").write("".join(",".join("%.9g" % x for x in r) + "\n" for r in part))
PY
cat >copies.lua <<'LUA'
local data = file { "rows.csv", queries = "queries.csv", header = false, metric = option("by", "cosine") }
experiment {
  name = "copies", k = 5,
  workload = function(w)
    w:insert { data:rows(1, 20) }
    w:concurrent { data:queries(), writes = data:rows(21, 30), readers = 1, writers = 1, seconds = .05, tag = "both" }
    w:search { data:queries(), tag = "q" }
    w:range { data:queries(), radius = tonumber(option("radius", "1e-15")), tag = "near" }
  end,
  methods = { method { "flat" } },
}
LUA
for by in cosine:1e-15 l2:1e-14 ip:-0.77; do
    run run --no-plots --quiet --force --out r --set by=${by%:*} --set radius=${by#*:} copies.lua
    check "${by%:*}: an exact scan of near copies is right" '[ $status = 0 ] && python3 - <<PY
import json
cell = json.load(open("r/copies/result.json"))["cells"][0]
at = {s.get("tag"): s for s in cell["steps"]}
assert cell["status"] == "ok", cell
assert at["q"]["recall"]["mean"] == 1 and at["near"]["range"]["recall"] in (1, None), at
assert not any("distances are not" in (s.get("note") or "") for s in cell["steps"]), at
PY'
done

exit $failed
