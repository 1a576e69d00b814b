-- Ablations, which leave out one part each, and a grid: each builds an index with other parameters. A sweep varies knobs on one index.
local data = synthetic { kind = "mixture", rows = 8000, dim = 32, clusters = 40 }

experiment {
  name = "ablation",
  title = "The contribution of each part of dynamic IVF",
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 4000) }
    w:insert { data, batch = 2000, tag = "load" }
    w:delete { random = 500, tag = "delete" }
    w:search { data:queries(100), tag = "search" }
  end,

  methods = {
    method { "divf", label = "dynamic IVF", params = { clusters = 64, soft_k = 2 }, knobs = { nprobe = 4 },
             ablations = {
               { "no soft assignment", { soft_k = 1 } },
               { "no splits", { split_threshold = 0 } },
               { "no compaction", { compact_at = 1 } },
             } },
    method { "divf", label = "grid", grid = { clusters = { 32, 128 }, soft_k = { 1, 2 } }, sweep = { nprobe = { 2, 8 } } },
  },

  figures = {
    { "bars", y = "recall@10", x = "label", where = { label = "dynamic IVF", tag = "search" } },
    { "heatmap", x = "clusters", y = "soft_k", group = "recall@10", where = { label = "grid", point = {
        "clusters=32,nprobe=2,soft_k=1", "clusters=32,nprobe=2,soft_k=2",
        "clusters=128,nprobe=2,soft_k=1", "clusters=128,nprobe=2,soft_k=2" } } },
  },
}
