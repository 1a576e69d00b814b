-- sharded_drift.lua - one index in shards on two processes (docs/methods/sharded.md): an exact method gives the same answers in any number of
-- shards, an approximate one nearly; placed by clusters, a query is asked of the shards that matter; and shards stay even under drift.

local mnist, fashion = dataset "mnist", dataset "fashion-mnist"
local rows = option("rows", quick and 3000 or 20000, "rows of MNIST, and as many of Fashion-MNIST")
local asked = quick and 60 or 300

local function shards(label, params)
  local all = { of = "flat", shards = 8, ranks = 2 }
  for name, value in pairs(params) do all[name] = value end
  return method { "sharded", label = label, params = all }
end

experiment {
  name = "target_sharded_drift",
  title = "An index in shards, on two processes",
  seed = 1, repeats = quick and 1 or 3, k = 10, threads = 1,

  -- The clusters are trained on digits; then clothes arrive, which are near few of them.
  workload = function(w)
    w:train  { mnist:rows(1, rows) }
    w:insert { mnist:rows(1, rows), tag = "load" }
    w:search { mnist:queries(asked), tag = "ask" }
    w:insert { fashion:rows(1, rows), tag = "drift" }
    w:search { fashion:queries(asked), tag = "drifted" }
    w:maintain { tag = "balance" }
    w:search { fashion:queries(asked), tag = "balanced" }
    w:delete { oldest = rows // 2, tag = "delete" }
    w:search { mnist:queries(asked), tag = "deleted" }
  end,

  methods = {
    method { "flat" },
    method { "divf", params = { clusters = 128 }, knobs = { nprobe = 16 } },
    shards("hash", { placement = "hash" }),
    shards("range", { placement = "range" }),
    shards("two replicas", { replicas = 2 }),
    method { "sharded", label = "cluster", params = { of = "flat", shards = 8, ranks = 2, placement = "cluster" },
             sweep = { route = { 4, 16, 64, 0 } } },
    method { "sharded", label = "divf, hash", params = { of = "divf", clusters = 128, shards = 8, ranks = 2 },
             knobs = { nprobe = 16 } },
  },

  figures = {
    { "pareto", x = "recall@10", y = "shards_asked", where = { tag = "ask" }, title = "Recall and shards asked" },
    { "bars", y = "qps", x = "label", group = "tag", title = "Queries per second, as a batch" },
  },

  claims = {
    { "(ours) shards by hash, by range and in replicas answer exactly", function(r)
        return r("hash", "recall@10/ask") == 1 and r("range", "recall@10/balanced") == 1 and r("two replicas", "recall@10/deleted") == 1 end },
    { "(ours) clusters with route = 0 answer exactly", function(r) return r("cluster[route=0]", "recall@10/balanced") == 1 end },
    { "(ours) after the drift, maintenance makes a query of new rows ask fewer shards, at recall .95", function(r)
        return r("cluster[route=16]", "shards_asked/balanced") < r("cluster[route=16]", "shards_asked/drifted") and
               r("cluster[route=16]", "recall@10/balanced") >= .95 end },
    { "(ours) divf in 8 shards is within half a point of one divf", function(r)
        return r("divf, hash", "recall@10/ask") >= r("divf", "recall@10/ask") - .005 end },
  },
}
