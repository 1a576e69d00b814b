-- sharded.lua - one index in shards on two processes, small and without a download: an example of docs/cluster.md.

local rows = option("rows", quick and 2000 or 50000, "vectors")
local data = synthetic { kind = "mixture", rows = rows, dim = 64, clusters = 100 }

experiment {
  name = "cluster_sharded",
  title = "An index in four shards on two processes",
  seed = 1, repeats = quick and 1 or 3, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data, tag = "load" }
    w:search { data:queries(quick and 50 or 500), tag = "ask" }
  end,

  methods = {
    method { "flat" },
    method { "sharded", label = "flat, by hash", params = { shards = 4, ranks = 2 } },
    method { "sharded", label = "flat, by clusters", params = { shards = 4, ranks = 2, placement = "cluster" },
             sweep = { route = { 4, 16, 0 } } },
    method { "sharded", label = "divf, two replicas", params = { of = "divf", clusters = 64, shards = 4, ranks = 2, replicas = 2 },
             sweep = { nprobe = { 4, 16 } } },
  },

  figures = { { "pareto", where = { tag = "ask" }, title = "Recall and queries per second" } },

  claims = {
    { "(ours) shards of an exact method answer exactly", function(r)
        return r("flat, by hash", "recall@10/ask") == 1 and r("flat, by clusters[route=0]", "recall@10/ask") == 1 end },
  },
}
