-- tune_peers.lua - the peers' parameters, and our codes', searched: which build answers fastest at recall .95 and .99.
--
-- The winners stand in configs/bars_divf.lua and configs/static_recall_qps.lua; what each build reached, in
-- docs/results.md. Not a bar and not a table of any source: an hour on one core, so it is asked for in parts:
--
--   ./harness configs/tune_peers.lua --set data=photo-hog --only hnswlib

local name = option("data", "photo-sift", "photo-sift or photo-hog")
local data = dataset(name)
local rows = option("rows", quick and 10000 or #data, "inserted")
local queries = option("queries", quick and 200 or 1000, "asked")

local ef = { 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384 }
local probes = { 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128 }

-- Fast-scan codes of half a byte for every `step` dimensions, exact distances to k * k_factor candidates.
local function fast_scan(label, factory)
  return method { "faiss-factory", label = label, params = { factory = factory },
                  sweep = { nprobe = probes, k_factor_rf = { 4, 8, 16, 32, 64 } } }
end

-- photo-sift's components are whole numbers, so that its rows fit into bytes; unit vectors do not.
local usearch_scalars = name == "photo-sift" and { "f32", "bf16", "u8" } or { "f32", "bf16" }

experiment {
  name = "tune_peers",
  title = "The peers' parameters",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "full" }
  end,

  methods = {
    method { "hnswlib", grid = { M = { 12, 16, 24, 32 }, ef_construction = { 100, 200 } }, sweep = { ef_search = ef } },
    method { "usearch", grid = { connectivity = { 12, 16, 24 }, scalar = usearch_scalars },
             params = { expansion_add = 200 }, sweep = { expansion_search = ef } },
    fast_scan("fs 512 lists, 4 dims", ("IVF512,PQ%dx4fs,RFlat"):format(data.dim // 4)),
    fast_scan("fs 1024 lists, 4 dims", ("IVF1024,PQ%dx4fs,RFlat"):format(data.dim // 4)),
    fast_scan("fs 2048 lists, 4 dims", ("IVF2048,PQ%dx4fs,RFlat"):format(data.dim // 4)),
    fast_scan("fs 512 lists, 2 dims", ("IVF512,PQ%dx4fs,RFlat"):format(data.dim // 2)),
    fast_scan("fs 1024 lists, 2 dims", ("IVF1024,PQ%dx4fs,RFlat"):format(data.dim // 2)),
    fast_scan("fs 1024 lists, OPQ", data.dim % 64 == 0 and ("OPQ32,IVF1024,PQ32x4fs,RFlat")
                                    or ("OPQ64_256,IVF1024,PQ64x4fs,RFlat")),
    -- Not a peer, but held to them: our codes, trained quickly.
    method { "divf", label = "ours", params = { quantizer = "rabitq", train_sample = 60000, train_iters = 8, split_threshold = 0 },
             grid = { clusters = { 256, 512, 1024 }, bits = { 1, 3, 5, 7 } }, sweep = { nprobe = probes } },
    method { "faiss-ivf-flat", grid = { clusters = { 512, 1024, 2048 } }, sweep = { nprobe = probes } },
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
  },
}
