-- A runbook of big-ann-benchmarks on synthetic rows. Its ids are rescaled to the rows that exist.
local data = synthetic { kind = "mixture", rows = 5000, dim = 16, clusters = 25 }

experiment {
  name = "runbook",
  title = "A streaming runbook",
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 1000) }
    w:runbook { "small_runbook.yaml", data:rows(1, 4000), queries = data:queries(50), dataset = "example" }
    -- Once more, with other rows and all operations under one tag.
    w:runbook { "small_runbook.yaml", data:rows(4001, 5000), queries = data:queries(50), dataset = "example",
                k = 5, batch = 100, tag = "again" }
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "dynamic IVF", params = { clusters = 32 }, sweep = { nprobe = { 2, 8 } } },
  },
  figures = { { "timeline", y = "recall@10", where = { tag = "search" } } },
}
