-- hnsw.lua - The targets of our HNSW in one run: compared with hnswlib on SIFT descriptors as floats,
-- on one thread.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- M is the same, so a row has at most 2 M neighbours on the lowest layer in both, and ef_construction is the same.
-- The distances at a recall show how good a graph is. They are counted, so they do not depend on the load of the
-- machine. Queries per second show how fast the graph is traversed.
--
-- Both methods answer the same queries `rounds` times. The rows arrive in sixteen parts, so one pair of builds,
-- alternating part by part, shows the speed of insertion. A run takes nine minutes on an idle core, mostly for the
-- two builds, each made twice.

local paired = require "paired"
local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or #sift, "descriptors inserted")
local rounds = option("rounds", quick and 1 or 3, "times the queries are asked")
local m = option("m", 16, "neighbours on upper layers; twice as many on the lowest")
local ef_construction = option("ef_construction", 200, "candidates while inserting")

local parts = 16
local ours, theirs = "hnsw", "hnswlib"
local ef = { 10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384 }
local recalls = { "0.95", "0.99" }

local function graph(name)
  return method { name, element = "f32", params = { M = m, ef_construction = ef_construction }, sweep = { ef_search = ef } }
end

local claims = {}
local function claim(text, holds) claims[#claims + 1] = { text, holds } end
local function at(r, label, metric, recall) return r(label, ("%s@recall=%s/full"):format(metric, recall)) end

for _, recall in ipairs(recalls) do
  for _, rate in ipairs { "qps", "single_qps" } do
    claim(("%s at recall %s: at least 0.9 times hnswlib's"):format(rate, recall), function(r)
      return at(r, ours, rate, recall) >= 0.9 * at(r, theirs, rate, recall)
    end)
  end
  claim(("rows measured at recall %s: at most 1.1 times hnswlib's"):format(recall), function(r)
    return at(r, ours, "scanned", recall) <= 1.1 * at(r, theirs, "scanned", recall)
  end)
end
claim("recall at ef_search 64 is at most .005 below hnswlib's", function(r)
  return r("hnsw[ef_search=64]", "recall@10/full") >= r("hnswlib[ef_search=64]", "recall@10/full") - 0.005
end)
claim("a row takes at most 1.1 times hnswlib's memory", function(r)
  return r("hnsw[ef_search=64]", "index_bytes/end") <= 1.1 * r("hnswlib[ef_search=64]", "index_bytes/end")
end)
claim("a batch is inserted in at most 1.1 times hnswlib's time", function(r)
  return paired.faster(r, "hnsw[ef_search=64]", "hnswlib[ef_search=64]", "load", 1 / 1.1)
end)

experiment {
  name = "target_hnsw",
  title = "Our HNSW against hnswlib",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    for i = 1, parts do w:insert { sift:rows((i - 1) * rows // parts + 1, i * rows // parts), tag = "load" } end
    for _ = 1, rounds do w:search { sift:queries(1000), tag = "full" } end
  end,

  methods = { graph(ours), graph(theirs) },
  compare = { "hnsw[ef_search=64]", "hnswlib[ef_search=64]", tags = "load", within = .1, budget = 300 },
  claims = claims,

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "qps", y = "recall@10", where = { tag = "full" }, title = "Queries as a batch" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "full" }, title = "Distances computed" },
  },
}
