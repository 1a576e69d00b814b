-- few_queries.lua - Whether the number of queries, or a busy machine, changes a time.
--
--   ./harness configs/targets/few_queries.lua
--   ./harness configs/targets/few_queries.lua --set queries=10000
--
-- Compare p50 and qps of both, and of a run with a busy loop on each processor. docs/measuring.md has the figures.
local data    = synthetic { kind = "gaussian", rows = 20000, dim = 48 }
local queries = option("queries", 300, "queries of the search")

experiment {
  name = "few_queries",
  title = "Times of few queries",

  workload = function(w)
    w:insert { data, tag = "load" }
    w:search { data:queries(queries), tag = "search" }
  end,

  methods = {
    method { "flat" },
    method { "divf", sweep = { nprobe = { 1, 8, 64 } } },
    method { "hnsw", sweep = { ef_search = { 10, 40, 160 } } },
  },

  figures = { { "pareto" } },
}
