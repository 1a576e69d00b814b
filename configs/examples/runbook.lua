-- A runbook of big-ann-benchmarks on made-up rows: its ids are rescaled onto what there is.
local data = synthetic { kind = "mixture", rows = 5000, dim = 16, clusters = 25 }

experiment {
  name = "runbook",
  title = "A streaming runbook",
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 1000) }
    w:runbook { "small_runbook.yaml", data, queries = data:queries(50), dataset = "example" }
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "dynamic IVF", params = { clusters = 32 }, sweep = { nprobe = { 2, 8 } } },
  },
  figures = { { "timeline", y = "recall@10", where = { tag = "search" } } },
}
