-- threads.lua - What a second thread brings: batches, single queries and insertions of every kind of index.
--
-- An experiment has one number of threads, so two runs are compared:
--
--   ./harness configs/targets/threads.lua --set threads=1 --set name=threads_1
--   ./harness configs/targets/threads.lua --set threads=2 --set name=threads_2
--   ./harness compare --different results/threads_1 results/threads_2
--
-- Rows are vectors compared by l2; --set kind=cosine or codes takes the methods of those.
--
-- Wanted of two threads over one: batches 1.8, single queries 1.0, insertions 1.6 where the structure allows it.
-- docs/results/threads.md has the ratios, and the reason where one is less. Maintenance that waits in the background
-- ends before the searches, so that both runs search the same structure. Two processors must be idle.

local kind  = option("kind", "l2", "l2, cosine or codes")
local rows  = option("rows", quick and 20000 or 200000, "inserted")
local lists = rows // 125
local data  = kind == "codes" and synthetic { kind = "uniform", rows = rows, clusters = 500, members = 20, radius = 6 }
              or synthetic { kind = "mixture", rows = rows, dim = 128, clusters = 2000, latent = 24, spread = 0.7, seed = 1, metric = kind }

local methods = {
  l2 = {
    method { "divf", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
    method { "divf", label = "divf, RaBitQ", params = { clusters = lists, quantizer = "rabitq" }, sweep = { nprobe = { 2, 8 } } },
    method { "scann", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
    method { "spfresh", knobs = { nprobe = 4 } },
    method { "channi", knobs = { nprobe = 4 } },
    method { "hnsw", params = { ef_construction = 60 }, knobs = { ef_search = 32 } },
    method { "vamana", knobs = { search_list = 32 } },
    method { "vamana-disk", knobs = { search_list = 32 } },
    method { "symqg", knobs = { ef_search = 32 } },
    method { "flat" },
    method { "faiss-ivf-flat", params = { clusters = lists }, sweep = { nprobe = { 2, 8 } } },
    method { "faiss-hnsw", params = { ef_construction = 60 }, knobs = { ef_search = 32 } },
    method { "hnswlib", params = { ef_construction = 60 }, knobs = { ef_search = 32 } },
    method { "usearch", params = { expansion_add = 60 }, knobs = { expansion_search = 32 } },
  },
  cosine = {
    method { "asteria", params = { train_steps = quick and 100 or nil }, knobs = { nprobe = 256 } },
    method { "ampi" },
  },
  codes = {
    method { "hftrie" },
    method { "hamming-scan" },
    method { "mih" },
  },
}

experiment {
  name = "target_threads",
  title = "What a second thread brings",
  seed = 1, repeats = 3, k = 10, threads = 2,

  workload = function(w)
    if kind ~= "codes" then w:train { data:rows(1, rows // 5) } end
    w:insert   { data, tag = "load" }
    w:maintain { tag = "maintain" }
    w:search   { data:queries(kind == "codes" and 500 or quick and 2000 or 20000), tag = "ask" }
  end,

  methods = methods[kind] or error "kind: l2, cosine or codes",
}
