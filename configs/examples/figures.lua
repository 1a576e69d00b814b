-- One figure of every kind.
local data = synthetic { kind = "mixture", rows = 6000, dim = 16, clusters = 30 }

experiment {
  name = "figures",
  title = "Every kind of figure",

  workload = function(w)
    w:train { data:rows(1, 2000) }
    for i = 0, 2 do
      w:insert { data:rows(2000 * i + 1, 2000 * i + 2000), tag = "load" }
      w:search { data:queries(100), tag = "ask" }
    end
    for _, radius in ipairs { 1, 2, 4 } do
      w:range { data:queries(50), radius = radius, tag = "near" }
    end
    w:checkpoint "end"
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "lists", grid = { clusters = { 16, 64 } }, sweep = { nprobe = { 1, 4 } } },
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = "ask", method = { "flat", "divf" } } },
    { "bars", y = { "recall@10", "p99_ns" }, x = "label", group = "tag", where = { tag = "ask" } },
    { "timeline", y = "recall@10", where = { tag = "ask" } },
    { "scaling", y = "ns_each", where = { tag = "load" } },
    { "ccdf", where = { tag = "ask" } },
    { "radius", y = "mean_ns", baseline = "exact", where = { tag = "near" } },
    { "heatmap", x = "clusters", y = "nprobe", group = "recall@10", where = { label = "lists", tag = "ask" } },
    { "sizes", where = { point = "clusters=64,nprobe=1", tag = "end" } },
    { "profile", y = "clusters.live", where = { tag = "end" } },
    { "memory", y = "parts", where = { tag = "load" }, title = "Memory of the index by part" },
  },
}
