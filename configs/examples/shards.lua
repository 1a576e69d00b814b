-- Shards: an index divided into indexes of another method, whose options stand beside its own. Here all shards are in one
-- process; ranks = 2 puts them on two (docs/cluster.md). Rows are in the shard of their nearest centroid, so a query need not be
-- asked of all. Maintenance divides shards that have grown, moves rows from full ones, and each copy is saved after so many
-- rows, from which it starts faster; a shard that does not answer in a tenth of a second is left out.
local data = synthetic { kind = "mixture", rows = quick and 1000 or 8000, dim = 32, clusters = 40 }

experiment {
  name = "shards",
  title = "Shards that a query is asked of",

  workload = function(w)
    w:train  { data:sample(1000) }
    w:insert { data }
    w:search { data:queries(100), tag = "q" }
    w:maintain { tag = "moved" } -- buckets move from full shards to others
    w:search { data:queries(100), tag = "after" }
  end,

  methods = {
    method { "sharded", label = "by hash", params = { of = "divf", clusters = 16, shards = 4 }, knobs = { nprobe = 4 } },
    method { "sharded", label = "by clusters", params = { of = "divf", clusters = 16, shards = 4, placement = "cluster" },
             knobs = { nprobe = 4 }, sweep = { route = { 2, 8, 32 } } },
    method { "sharded", label = "divided", knobs = { nprobe = 4, timeout_ms = 100 },
             params = { of = "divf", clusters = 16, shards = 2, placement = "cluster", split_rows = #data // 3, balance = 1.1, checkpoint_rows = #data // 4 } },
  },

  figures = { { "pareto", x = "recall@10", y = "shards_asked", where = { tag = "q" } } },

  claims = {
    { "by clusters, a query asks fewer shards", function(r)
        return r("by clusters[route=8]", "shards_asked/q") < r("by hash", "shards_asked/q") end },
    { "shards of more than a third of the rows are divided", function(r) return r("divided", "stats.shards/moved") > 2 end },
    { "all of them answer", function(r) return r("by clusters[route=8]", "partial_answers/q") == 0 end },
  },
}
