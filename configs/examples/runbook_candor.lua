-- A runbook of CANDOR-Bench: batches that arrive at a rate, with searches in between; then batches of which a fifth is deleted.
-- Once more without waiting for arrivals, and with an insertion whose rows arrive at a rate.
local data = synthetic { kind = "mixture", rows = 9000, dim = 16, clusters = 25 }
local queries = data:queries(50)

experiment {
  name = "runbook_candor",
  title = "A runbook of CANDOR-Bench",
  k = 10,

  workload = function(w)
    w:runbook { "candor_runbook.yaml", data:rows(1, 4000), queries = queries, dataset = "example", searches = 4 }
    w:insert { data:rows(4001, 5000), batch = 100, rate = 10000, tag = "arrivals" }
    w:runbook { "candor_runbook.yaml", data:rows(5001, 9000), queries = queries, dataset = "example", searches = 2, event_rate = 0, tag = "again" }
  end,

  methods = { method { "hnsw" }, method { "divf", params = { clusters = 32 }, knobs = { nprobe = 8 } } },
  figures = { { "timeline", y = "recall@10", where = { tag = { "continuous", "search" } } } },
}
