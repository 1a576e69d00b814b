-- tune_baselines.lua - A search for the parameters of the baselines and of our codes: the build that answers fastest
-- at recall .95 and .99.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another.
--
-- The best parameters are in configs/targets/divf.lua and configs/copenhagen/static_recall_qps.lua.
-- docs/results/baselines.md has the result of each build. This is neither a target nor a table of a paper. It takes
-- an hour on one core, so it runs in parts:
--
--   ./harness configs/targets/tune_baselines.lua --set data=photo-hog --only hnswlib

local data = require("datasets").open "photo-sift"
local rows = option("rows", quick and 10000 or #data, "inserted")
local queries = option("queries", quick and 200 or 1000, "asked")

local ef = { 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384 }
local probes = { 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128 }

-- Fast-scan codes of half a byte per group of dimensions, with exact distances to k * k_factor candidates.
local function fast_scan(label, factory)
  return method { "faiss-factory", label = label, params = { factory = factory },
                  sweep = { nprobe = probes, k_factor_rf = { 4, 8, 16, 32, 64 } } }
end

-- photo-sift's components are whole numbers, so its rows fit into bytes. Unit vectors do not.
local usearch_scalars = data.element == "u8" and data.metric == "l2" and { "f32", "bf16", "u8" } or { "f32", "bf16" }

experiment {
  name = "tune_baselines",
  title = "The parameters of the baselines",
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
    -- Our codes, trained quickly, compared with the baselines.
    method { "divf", label = "ours", element = "f32", params = { quantizer = "rabitq", train_sample = 60000, train_iters = 8, split_threshold = 0 },
             grid = { clusters = { 256, 512, 1024 }, bits = { 1, 3, 5, 7 } }, sweep = { nprobe = probes } },
    method { "faiss-ivf-flat", grid = { clusters = { 512, 1024, 2048 } }, sweep = { nprobe = probes } },
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
  },
}
