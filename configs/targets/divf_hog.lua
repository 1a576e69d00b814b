-- divf_hog.lua - The target of the quantised scan on HOG descriptors (324-d, cosine), one of the
-- targets of configs/targets/divf.lua.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.
--
-- The baseline is the best of hnswlib, usearch and FAISS's fast-scan with refinement, plain and behind OPQ, at the
-- parameters that configs/targets/tune_baselines.lua found. All methods get the same unit vectors as floats.

local bars = require "target_divf"
local hog = require("datasets").open "photo-hog"
local rows = option("rows", quick and 10000 or #hog, "descriptors inserted")
local rounds = option("rounds", quick and 1 or 3, "times the queries are asked")
local lists = option("lists", quick and 128 or 512, "clusters of ours and of FAISS's")
local bits = option("bits", 1, "of our codes, a dimension")

local coded = "dynamic IVF, RaBitQ"
local baselines = { "hnswlib", "usearch", "FAISS fast-scan", "FAISS fast-scan, OPQ" }
local all_baselines = "the best of hnswlib, usearch and FAISS fast-scan, with and without OPQ"
local ef = { 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024 }

local function fast_scan(label, factory)
  return method { "faiss-factory", label = label, params = { factory = factory },
                  sweep = { nprobe = { 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128 }, k_factor_rf = { 4, 8, 16, 32, 64 } } }
end

experiment {
  name = "target_divf_hog",
  title = "The target of the quantised scan on HOG descriptors",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { hog:rows(1, rows) }
    w:insert { hog:rows(1, rows), tag = "load", singles = 1000 }
    for _ = 1, rounds do w:search { hog:queries(1000), tag = "full" } end
  end,

  methods = {
    method { "divf", label = coded,
             params = { quantizer = "rabitq", bits = bits, clusters = lists, train_sample = 128 * lists, split_threshold = 0 },
             sweep = { nprobe = { 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96 } } },
    fast_scan("FAISS fast-scan", ("IVF%d,PQ%dx4fs,RFlat"):format(lists, hog.dim // 2)),
    fast_scan("FAISS fast-scan, OPQ", ("OPQ64_256,IVF%d,PQ64x4fs,RFlat"):format(2 * lists)),
    method { "hnswlib", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = ef } },
    -- bf16 is left out: on unit vectors it does not reach .99 at any ef.
    method { "usearch", params = { connectivity = 16, expansion_add = 128 },
             sweep = { expansion_search = ef } },
  },

  claims = {
    bars.beats(coded, baselines, 1.3, "single_qps", "0.95", "full", all_baselines),
    bars.beats(coded, baselines, 1.3, "single_qps", "0.99", "full", all_baselines),
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "qps", y = "recall@10", where = { tag = "full" }, title = "Queries as a batch" },
    { "memory", title = "Memory after the load" },
  },
}
