# w:set and streams: the plan, what a run records of them, and options that cannot change.
cat >set.lua <<'LUA'
local s = synthetic { kind = "mixture", rows = 1000, dim = 8 }
experiment {
  name = "set", k = 5,
  workload = function(w)
    local first, last = w:insert { stream = function(i) return i <= 4 and s:rows(100 * i - 99, 100 * i) or nil end, tag = "load" }
    w:set { soft_k = 2, split_threshold = 1.5, tag = "more" }
    w:delete { ids = { first, last } }
    w:insert { s:rows(401, 500), tag = "after" }
    w:search { s:queries(10), tag = "q" }
  end,
  methods = {
    method { "divf", params = { clusters = 8 }, knobs = { nprobe = 8 } },
    method { "ampi" },
    method { "hnsw" },
  },
}
LUA
run check --out none set.lua
"$work/driftline" run --quiet --no-plots --out . set.lua >/dev/null 2>&1
python3 - <<'PY'
import json
for cell in sorted(json.load(open("set/result.json"))["cells"], key=lambda cell: cell["label"]):
    for step in cell["steps"]:
        if step["op"] == "set":
            print(cell["label"], step["status"], step["set"], step["note"])
        if step["tag"] == "load":
            print(cell["label"], "calls", step["stats"]["calls"], "latency", step["latency_ns"]["max"] > 0)
        if step["tag"] == "after" and cell["label"] == "divf":
            print(cell["label"], "copies", step["stats"]["stored_copies"])
PY
for setting in 'softk = 2' 'clusters = 9' 'soft_k = 9' 'nprobe = 4' 'M = 8'; do
    sed "s/w:set {.*/w:set { $setting }/" set.lua >wrong.lua
    run check --out none wrong.lua
done
