-- Filtered searches: answers are restricted to a tag, to a random share of the rows, or to given ids.
local data = synthetic { kind = "mixture", rows = 6000, dim = 16, clusters = 30 }

experiment {
  name = "filter",
  title = "Search under a filter",
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 3000) }
    w:insert { data:rows(1, 3000), tag = "old" }
    w:insert { data:rows(3001, 6000), tag = "new" }
    w:search { data:queries(100), tag = "all" }
    w:search { data:queries(100), filter = { tag = "new" }, tag = "new only" }
    w:search { data:queries(100), filter = { ids = { 1, 10, 100, 1000 } }, tag = "four ids" }
    for _, share in ipairs { 0.5, 0.1, 0.02 } do
      w:search { data:queries(100), filter = { fraction = share }, tag = string.format("%g %%", 100 * share) }
    end
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "dynamic IVF", params = { clusters = 64 }, sweep = { nprobe = { 4, 16, 64 } } },
  },
  claims = {
    { "with every list probed, the filter loses nothing", function(r)
      return r("dynamic IVF[nprobe=64]", "recall@10/2 %") > 0.999
    end },
  },
}
