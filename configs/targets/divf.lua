-- divf.lua - The targets of dynamic IVF in one run, on SIFT descriptors and one thread.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Insertion, deletion, memory and float search are compared with FAISS's IVF with the same 316 lists. Quantised
-- search is compared with the best of hnswlib, usearch and FAISS's fast-scan with refinement, at the parameters that
-- configs/targets/tune_baselines.lua found. All methods get the same rows as floats, but for "bytes": the descriptors
-- are bytes, and dynamic IVF can store them so.
--
-- Other targets are in divf_hog.lua (quantised search on HOG descriptors), divf_drift.lua (the cost of drift),
-- insert_scaling_sift.lua and insert_scaling_1m.lua (constant cost of insertion). A run takes six to eight minutes on
-- an idle core, mostly for the two graphs. Searches are repeated `rounds` times.

local bars, paired = require "target_divf", require "paired"
local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or #sift, "descriptors inserted")
local rounds = option("rounds", quick and 1 or 3, "times the queries are asked")
local lists = option("lists", 316, "clusters of the float indexes")
local code_lists = option("code_lists", quick and 128 or 512, "clusters under our codes")
local bits = option("bits", 1, "of our codes, a dimension")
local faiss_lists = option("faiss_lists", quick and 128 or 512, "clusters under FAISS's codes")

local every = 1 << 20 -- more lists than there are
local ours, twice, kept = "dynamic IVF", "dynamic IVF, soft_k 2", "dynamic IVF, splits"
local coded, bytes, faiss = "dynamic IVF, RaBitQ", "dynamic IVF, RaBitQ, bytes", "FAISS IVF"
local baselines = { "hnswlib", "usearch", "FAISS fast-scan" }
local probes = { 2, 4, 8, 16, 32, 64, 128 }
local ef = { 16, 24, 32, 48, 64, 96, 128, 192 }

-- Measurements before the first search are the same at every point of a sweep.
local function built(r, label, point, metric) return r(("%s[%s]"):format(label, point), metric) end
local function of_ours(r, metric) return built(r, ours, "nprobe=8", metric) end

local function ours_with(label, params, sweep)
  params.clusters = params.clusters or lists
  params.split_threshold = params.split_threshold or 0
  return method { "divf", label = label, element = "f32", params = params, sweep = sweep }
end

local function with_codes(label, element)
  return method { "divf", label = label, element = element,
                  params = { quantizer = "rabitq", bits = bits, clusters = code_lists, split_threshold = 0,
                             train_sample = 256 * code_lists },
                  sweep = { nprobe = { 4, 8, 12, 16, 24, 32, 48, 64, 96, 128 } } }
end

local function codes_bar(label, times, rate, recall)
  return bars.beats(label, baselines, times, rate, recall, "full",
                    "the best of hnswlib, usearch and FAISS fast-scan, " .. label)
end

local function float_bar(rate, recall)
  return bars.beats(ours, { faiss }, 2, rate, recall, "full", "FAISS IVF, floats")
end

experiment {
  name = "target_divf",
  title = "The targets of dynamic IVF",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, rows) }
    w:insert { sift:rows(1, rows), tag = "load", singles = 1000 }
    for _ = 1, rounds do w:search { sift:queries(1000), tag = "full" } end
    w:delete { random = rows // 10, tag = "leave", singles = 1000 }
    w:search { sift:queries(200), tag = "after" }
  end,

  methods = {
    ours_with(ours, {}, { nprobe = { 2, 4, 8, 16, 32, 64, every } }),
    method { "faiss-ivf-flat", label = faiss, params = { clusters = lists }, sweep = { nprobe = probes } },
    ours_with(twice, { soft_k = 2 }, { nprobe = { 4, 8, 16, 32 } }),
    method { "divf", label = kept, element = "f32", params = { clusters = lists }, sweep = { nprobe = { 8, 16 } } },
    with_codes(coded, "f32"),
    with_codes(bytes),
    method { "faiss-factory", label = "FAISS fast-scan",
             params = { factory = ("IVF%d,PQ%dx4fs,RFlat"):format(faiss_lists, sift.dim // 2) },
             sweep = { nprobe = { 8, 12, 16, 24, 32, 48, 64, 96 }, k_factor_rf = { 4, 8, 16 } } },
    method { "hnswlib", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = ef } },
    method { "usearch", params = { connectivity = 16, expansion_add = 128, scalar = "bf16" },
             sweep = { expansion_search = ef } },
  },

  compare = {
    { ours .. "[nprobe=8]", faiss .. "[nprobe=8]", tags = "load", within = .1, budget = 90 },
    { ours .. "[nprobe=16]", twice .. "[nprobe=16]", tags = "full", budget = 30 },
  },

  claims = {
    { "batch insert is at least 3 times as fast as FAISS IVF's", function(r)
      return paired.faster(r, ours .. "[nprobe=8]", faiss .. "[nprobe=8]", "load", 3)
    end },
    { "a single insert takes at most 3 us (median)", function(r) return of_ours(r, "p50_ns/load") <= 3000 end },
    { "with splits on, the 99th percentile of single inserts is at most 100 medians", function(r)
      return built(r, kept, "nprobe=8", "p99_ns/load") <= 100 * built(r, kept, "nprobe=8", "p50_ns/load")
    end },
    { "a delete takes at most 60 ns", function(r) return of_ours(r, "ns_each/leave") <= 60 end },
    { "memory is at most 1.15 times the raw floats", function(r)
      return of_ours(r, "index_bytes/load") <= 1.15 * rows * 128 * 4
    end },
    { "every list probed: recall 1, before and after deletions", function(r)
      local all = ("%s[nprobe=%d]"):format(ours, every)
      return r(all, "recall@10/full") == 1 and r(all, "recall@10/after") == 1
    end },
    { "a batch with soft_k 2 costs at most twice one with soft_k 1, at nprobe 16", function(r)
      return paired.faster(r, twice .. "[nprobe=16]", ours .. "[nprobe=16]", "full", 1 / 2)
    end },
    float_bar("single_qps", "0.9"), float_bar("single_qps", "0.95"), float_bar("single_qps", "0.99"),
    float_bar("qps", "0.9"), float_bar("qps", "0.95"), float_bar("qps", "0.99"),
    codes_bar(coded, 1.3, "single_qps", "0.95"), codes_bar(coded, 1.3, "single_qps", "0.99"),
    codes_bar(bytes, 1.5, "single_qps", "0.9"), codes_bar(bytes, 1.5, "single_qps", "0.95"),
    codes_bar(bytes, 1.5, "single_qps", "0.98"), codes_bar(bytes, 1.5, "single_qps", "0.99"),
    codes_bar(bytes, 1.5, "qps", "0.9"), codes_bar(bytes, 1.5, "qps", "0.95"),
    codes_bar(bytes, 1.5, "qps", "0.98"), codes_bar(bytes, 1.5, "qps", "0.99"),
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "qps", y = "recall@10", where = { tag = "full" }, title = "Queries as a batch" },
    { "bars", y = "ns_each", where = { tag = { "load", "leave" } }, title = "ns per vector" },
    { "memory", title = "Memory after the load" },
  },
}
