-- threads.lua - What a second thread brings: batches, single queries and insertions of every kind of index.
--
-- An experiment has one number of threads, so two runs are compared:
--
--   ./harness configs/targets/threads.lua --set threads=1 --set name=threads_1
--   ./harness configs/targets/threads.lua --set threads=2 --set name=threads_2
--   ./harness compare --different results/threads_1 results/threads_2
--
-- Wanted of two threads over one: batches 1.8, single queries 1.0, insertions 1.6 where the structure allows it.
-- docs/results/threads.md has the ratios, and the reason where one is less. Maintenance that waits in the background
-- ends before the searches, so that both runs search the same structure. Two processors must be idle.

local rows = option("rows", quick and 20000 or 200000, "inserted")
local lists = rows // 125
local data = synthetic { kind = "mixture", rows = rows, dim = 128, clusters = 2000, latent = 24, spread = 0.7, seed = 1 }

experiment {
  name = "target_threads",
  title = "What a second thread brings",
  seed = 1, repeats = 3, k = 10, threads = 2,

  workload = function(w)
    w:train    { data:rows(1, rows // 5) }
    w:insert   { data, tag = "load" }
    w:maintain { tag = "maintain" }
    w:search   { data:queries(quick and 2000 or 20000), tag = "ask" }
  end,

  methods = {
    method { "divf", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
    method { "divf", label = "divf, RaBitQ", params = { clusters = lists, quantizer = "rabitq" }, sweep = { nprobe = { 2, 8 } } },
    method { "scann", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
    method { "spfresh", knobs = { nprobe = 4 } },
    method { "channi", knobs = { nprobe = 4 } },
    method { "flat" },
    method { "hnsw", params = { ef_construction = 60 }, knobs = { ef_search = 32 } },
    method { "faiss-ivf-flat", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
  },
}
