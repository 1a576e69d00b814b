-- Every setting of an experiment. The other examples leave most of them at their defaults.
local data = synthetic { kind = "gaussian", rows = 2000, dim = 16 }

experiment {
  name = "experiment",
  title = "Every setting",
  publication = "A paper, 2026",
  seed = 7,
  seeds = 2,
  repeats = 2,
  k = 5,
  metric = "cosine",
  threads = 2,
  timeout = 60,
  memory_limit = "1G",
  warmup = false, min_time = 0.05,
  size_hint = false,
  truth_device = "cpu",

  workload = function(w)
    w:insert { data, tag = "load" }
    w:search { data:queries(50), tag = "ask" }
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "hnsw", label = "graph", sweep = { ef_search = { 10, 40 } } },
  },

  paper = { ["graph[ef_search=40]"] = { ["recall@5/ask"] = 0.98, ["distances/ask"] = 600 } },
  claims = {
    { "the graph reaches a recall of 0.9", function(r) return r("graph[ef_search=40]", "recall@5/ask") > 0.9 end },
    { "(ours) the scan is exact", function(r) return r("exact", "recall@5/ask") == 1 end },
  },
}
