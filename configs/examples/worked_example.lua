-- The worked example of docs/measuring.md: one search step, from its answers to a claim.
--
-- Half of the rows are replaced; then an inverted file and a graph answer the same 1000 queries.
local data = synthetic { kind = "gaussian", rows = 9000, dim = 16 }

experiment {
  name = "worked_example",
  title = "An inverted file and a graph after half of the rows were replaced",
  repeats = 3,
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 6000) }
    w:insert { data:rows(1, 6000), tag = "load" }
    w:delete { oldest = 3000, tag = "leave" }
    w:insert { data:rows(6001, 9000), tag = "arrive" }
    w:search { data:queries(1000), tag = "after" }
  end,

  methods = {
    method { "divf", label = "IVF", params = { clusters = 64 }, knobs = { nprobe = 12 } },
    method { "hnsw", label = "graph", knobs = { ef_search = 40 } },
  },

  compare = {
    { "IVF", "graph", within = 0.05, budget = quick and 2 or 40, tags = "after" },
  },

  claims = {
    { "both find 95 % of the neighbours", function(r)
      return r("IVF", "recall@10/after") >= 0.95 and r("graph", "recall@10/after") >= 0.95
    end },
    { "the inverted file answers faster than the graph", function(r)
      return select(2, r.ratio("IVF", "graph", "after")) > 1
    end },
  },
}
