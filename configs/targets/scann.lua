-- scann.lua - The target of ScaNN: at recall .95 at least the rate of FAISS's fast scan with refinement, one query
-- at a time on one thread.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- FAISS has the parameters that configs/targets/tune_baselines.lua found best (docs/results/baselines.md). The rates
-- at .95 are those of one point of each sweep, in paired rounds. More methods show what the parts of ScaNN add:
-- plain codes (T = 0), second copies by SOAR, and queries that stop by themselves (target_recall). A run takes five minutes on a busy processor.
--
--   ./harness configs/targets/scann.lua --set data=photo-hog

local paired = require "paired"

-- Of a data set: the lists, and the points at recall .95. Another set has those of photo-sift.
local sets = {
  ["photo-sift"] = { lists = 512, point = "nprobe=32,rerank=80", peer = "k_factor_rf=8,nprobe=32" },
  ["photo-hog"] = { lists = 256, point = "nprobe=12,rerank=40", peer = "k_factor_rf=8,nprobe=12" },
  words = { lists = 512, point = "nprobe=24,rerank=80", peer = "k_factor_rf=8,nprobe=24" },
}

local data, name = require("datasets").open "photo-sift"
local set = sets[name] or sets["photo-sift"]
local rows = option("rows", math.min(quick and 20000 or 100000, #data), "inserted")
local queries = option("queries", quick and 200 or 1000, "asked")

local ours, faiss, stopping = "ScaNN", "FAISS fast-scan", "ScaNN, target_recall"
local lists = quick and 128 or set.lists
local probes = { 8, 12, 16, 24, 32, 64 }
local a, b = ("%s[%s]"):format(ours, set.point), ("%s[%s]"):format(faiss, set.peer)

local function scann(label, params)
  params.clusters = lists
  return method { "scann", label = label, params = params, sweep = { nprobe = probes, rerank = { 20, 40, 80 } } }
end

experiment {
  name = "target_scann",
  title = "The target of ScaNN",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "full" }
  end,

  methods = {
    scann(ours, {}),
    method { "faiss-factory", label = faiss,
             params = { factory = ("IVF%d,PQ%dx4fs,RFlat"):format(lists, data.dim // 2) },
             sweep = { nprobe = probes, k_factor_rf = { 4, 8, 16 } } },
    scann("plain codes", { threshold = 0 }),
    scann("SOAR", { spill = "soar" }),
    method { "scann", label = stopping, params = { clusters = lists }, sweep = { target_recall = { .8, .9, .95, .98, .99 } } },
  },

  compare = { { a, b, tags = "full", single = true, budget = 60 } },

  claims = {
    { "the points that are compared have a recall of at least .95", function(r)
      return r(a, "recall@10/full") >= .95 and r(b, "recall@10/full") >= .95
    end },
    { "at recall .95 at least the rate of FAISS's fast scan", function(r)
      return paired.faster(r, a, b, "full", 1)
    end },
    { "with 20 exact distances, score-aware codes find more than plain ones of the same size, on average", function(r)
      local more = 0
      for _, nprobe in ipairs(probes) do
        local point = ("[nprobe=%d,rerank=20]"):format(nprobe)
        more = more + r(ours .. point, "recall@10/full") - r("plain codes" .. point, "recall@10/full")
      end
      return more > 0
    end },
    { "with target_recall a query scans at most .85 of the codes that a fixed nprobe scans for recall .95", function(r)
      return r(stopping, "scanned@recall=0.95/full") <= .85 * r(ours, "scanned@recall=0.95/full")
    end },
    { "and reaches .95 where it is asked for", function(r)
      return r(stopping .. "[target_recall=0.95]", "recall@10/full") >= .95
    end },
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "full" }, title = "Copies scanned" },
    { "memory", title = "Memory after the load" },
  },
}
