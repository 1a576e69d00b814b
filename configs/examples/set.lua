-- Options that change while the index lives: more copies of each vector and more splits, from the second half of the
-- rows on. A method without these options has the step as `unsupported` and keeps its own.
local data = synthetic { kind = "mixture", rows = 6000, dim = 32, clusters = 60 }

experiment {
  name = "set",
  title = "Options that change between two inserts",
  k = 10,

  workload = function(w)
    w:insert { data:rows(1, 3000), tag = "first half" }
    w:search { data:queries(200), tag = "before" }
    w:set { soft_k = 2, split_threshold = 1.5, tag = "more copies" }
    w:insert { data:rows(3001, 6000), tag = "second half" }
    w:search { data:queries(200), tag = "after" }
  end,

  methods = {
    method { "divf", label = "changed", params = { clusters = 64 }, sweep = { nprobe = { 2, 4, 8 } } },
    method { "divf", label = "from the start", params = { clusters = 64, soft_k = 2, split_threshold = 1.5 }, sweep = { nprobe = { 2, 4, 8 } } },
    method { "hnsw", sweep = { ef_search = { 20, 80 } } },
  },

  figures = { { "pareto", x = "recall@10", y = "qps", group = "label", where = { tag = "after" } } },
}
