# check prints the plan and runs nothing.
cat >small.lua <<'LUA'
-- A small thing.
local s = synthetic { kind = "mixture", rows = 3000, dim = 16 }
experiment {
  name = "small", k = 5, repeats = 2,
  workload = function(w)
    w:train { s:rows(1, 1000) }
    w:insert { s:rows(1, 2000), tag = "load" }
    w:delete { s:rows(1, 500), tag = "leave" }
    w:search { s:queries(50), tag = "q" }
  end,
  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "ivf", params = { clusters = 16 }, sweep = { nprobe = { 1, 16 } } },
  },
  compare = { { "exact", "ivf[nprobe=16]" } },
  claims = { { "all lists are exact", function(r) return r("ivf[nprobe=16]", "recall@5/q") == 1 end } },
}
LUA
run check --out none small.lua
run check --out none --quick --only ivf --set divf.clusters=4 small.lua
run check --out none --only exakt small.lua
run check --out none --only hnsw small.lua
run check --out none --set divf.clustres=4 small.lua
ls
