-- Lists before and after a cluster leaves: ./harness inspect results/inspect prints what the workload stored.
local data = synthetic { kind = "mixture", rows = 3000, dim = 8, clusters = 10 }

experiment {
  name = "inspect",
  title = "The structure of an index",

  workload = function(w)
    w:train { data:rows(1, 1000) }
    w:insert { data, tag = "load" }
    w:inspect { depth = 1, tag = "loaded" }
    w:delete { oldest = 2000, tag = "leave" }
    w:inspect { ids = true, tag = "left" }
  end,

  methods = { method { "divf", params = { clusters = 10 } }, method { "hnsw" } },
}
