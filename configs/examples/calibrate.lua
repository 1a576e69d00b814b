-- Methods at equal recall. Calibration picks the first point of a sweep that reaches the recall on tuning
-- queries. That point is measured on other queries.
local data = synthetic { kind = "mixture", rows = 8000, dim = 32 }

experiment {
  name = "calibrate",
  title = "Speed at a recall of 0.9",

  workload = function(w)
    w:train { data:rows(1, 4000) }
    w:insert { data, tag = "load" }
    w:search { data:queries(200), tag = "ask" }
  end,

  methods = {
    method { "divf", params = { clusters = 64 }, sweep = { nprobe = { 1, 2, 4, 8, 16 } }, calibrate = { recall = 0.9 } },
    method { "hnsw", sweep = { ef_search = { 10, 20, 40, 80 } }, calibrate = { recall = 0.9 } },
  },
}
