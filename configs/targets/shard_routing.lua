-- shard_routing.lua - how many of 8 shards a query must be asked of, placed by clusters: at most half of them at recall .95.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.

local photo = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 280000, "vectors")

experiment {
  name = "target_shard_routing",
  title = "Shards asked and recall, 8 shards placed by clusters",
  seed = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { photo:rows(1, math.min(rows, 20000)) }
    w:insert { photo:rows(1, rows), tag = "load" }
    w:search { photo:queries(quick and 100 or 1000), tag = "ask" }
  end,

  methods = {
    method { "sharded", label = "128 buckets per shard", params = { shards = 8, ranks = 2, placement = "cluster" },
             sweep = { route = { 4, 8, 16, 32, 64, 0 } } },
    method { "sharded", label = "16 buckets per shard", params = { shards = 8, ranks = 2, placement = "cluster", buckets = 16 },
             sweep = { route = { 1, 2, 4, 8, 16, 0 } } },
  },

  figures = { { "pareto", x = "recall@10", y = "shards_asked", where = { tag = "ask" }, title = "Recall and shards asked" } },

  claims = {
    { "(ours) at most half of 8 shards are asked at recall .95", function(r)
        return r("128 buckets per shard[route=16]", "recall@10/ask") >= .95 and
               r("128 buckets per shard[route=16]", "shards_asked/ask") <= 4 end },
    { "(ours) asking all shards is exact", function(r) return r("128 buckets per shard[route=0]", "recall@10/ask") == 1 end },
  },
}
