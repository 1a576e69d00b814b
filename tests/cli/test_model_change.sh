#!/bin/bash
# test_model_change.sh - configs/lib/model_change.lua changes the model of the items one by one, and refuses what is no pair of
# models; datasets.drifting has the share of drift that it is asked for.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
mkdir lib
cp "$root"/configs/lib/{model_change,long_life,datasets}.lua lib

# Item i by A is (i, 0, 0), by B (0, 1000 + i, 0): the query (500, 0, 0) finds item 500 by A until it is by B.
python3 - <<'PY'
import struct
def write(name, rows):
    with open(name, "wb") as f:
        f.write(struct.pack("<2I", len(rows), len(rows[0])))
        for row in rows: f.write(struct.pack("<%df" % len(row), *row))
n = 100
write("a.fbin", [(float(i), 0.0, 0.0) for i in range(n)])
write("b.fbin", [(0.0, 1000.0 + i, 0.0) for i in range(n)])
write("b2.fbin", [(0.0, 1000.0 + i) for i in range(n)])
write("few.fbin", [(0.0, 1000.0 + i, 0.0) for i in range(n - 1)])
# 4000 rows of label 0 at -1 and 1, 4000 of label 1 at 9 and 11, interleaved
write("labelled.fbin", [(10.0 * (i % 2) + (1 if i % 4 < 2 else -1),) for i in range(8000)])
open("labels.txt", "w").write("".join("%d\n" % (i % 2) for i in range(8000)))
PY
cat >change.lua <<'LUA'
local b = option("b", "b.fbin", "model B")
local function view(name) return file { name, metric = "l2" } end
require("model_change").experiment { name = "change", a = view "a.fbin", b = view(b), a_queries = view "a.fbin", b_queries = view "b.fbin",
  rows = 100, asked = 100, min_time = 0, methods = { { "flat", ours = true, new = true }, { "divf", label = "divf", params = { clusters = 4 }, knobs = { nprobe = 4 } } } }
LUA
run run --no-plots --out r change.lua
check "an exact method keeps its recall, as all lists of a file do" '[ $status = 0 ] && [ "$(grep -c "^holds" out)" = 2 ] &&
    python3 - <<PY
import json
for cell in json.load(open("r/change/result.json"))["cells"]:
    steps = cell["steps"]
    assert [s["count"] for s in steps if s["tag"] == "by B"] == [5, 5, 15, 25, 25, 15, 5, 5]
    asked = [s for s in steps if s["tag"] in ("asked by A", "asked by B")]
    assert len(asked) == 18 and all(s["recall"]["mean"] == 1 and s["wrong_ids"] == 0 for s in asked), cell["label"]
PY'
check "how far the models are from each other is in the result" 'python3 -c "
import json; d = json.load(open(\"r/change/result.json\"))[\"experiment\"][\"drift\"]; assert len(d) == 1 and d[0][\"rows\"] == 100 and d[0][\"means\"] > 30"'
run run --no-plots --out r change.lua --set order=stored
check "in the order of the data set" '[ $status = 0 ]'
run check change.lua --set order=other
check "another order is refused" '[ $status = 2 ] && grep -q "order=other: expected random or stored" err'
run check change.lua --set b=b2.fbin
check "models of two dimensions are refused" '[ $status = 2 ] && grep -q "model A have 3 components, those of model B 2: one index has one dimension; pad or project" err'
run check change.lua --set b=few.fbin
check "models of other items are refused" '[ $status = 2 ] && grep -q "model A has 100 items, model B 99: expected the same items" err'

# The mean of what arrives is 10 times the share, in deviations of 1.
cat >dial.lua <<'LUA'
local datasets = require "datasets"
local data = file { "labelled.fbin", label = "labels.txt" }
for _, share in ipairs { 0, .05, .2, .8, 1 } do
  local stream = datasets.drifting(data, "label", share, 2000)
  local means = stream:rows(1, 2000):drift(stream:rows(2001, #stream))
  assert(math.abs(means - 10 * share) < .4, ("%g: %g"):format(share, means))
end
datasets.drifting(data, "label", option("share", .5, "of drift"), option("before", 2000, "rows"))
experiment { methods = { method { "flat" } }, workload = function(w) w:insert { data:rows(1, 10) } end }
LUA
run check dial.lua
check "the dialled share is that of the rows that arrive" '[ $status = 0 ]'
run check dial.lua --set share=1.5
check "a share above 1 is refused" '[ $status = 2 ] && grep -q "drift=1.5: expected a share from 0 to 1" err'
run check dial.lua --set before=5000
check "too many rows before the drift are refused" '[ $status = 2 ] && grep -q "5000 rows before the drift are too many: half of the rows are 4000" err'
exit $failed
