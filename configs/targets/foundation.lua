-- foundation.lua - The first targets of dynamic IVF: insertion, deletion and search at the same recall, compared with
-- FAISS's IVF on real descriptors.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Both methods get the same 100 000 SIFT descriptors as floats, the same number of lists, one thread and one batch.
-- The targets: batch insertion no slower than FAISS, at most 150 ns per deleted id, and at least as many queries per
-- second at the same recall.

local paired = require "paired"
local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 100000, "descriptors inserted")
local lists = option("lists", 316, "clusters of both inverted files")

local ours, faiss = "dynamic IVF", "FAISS IVF"
local probes = { 4, 8, 16, 32, 64 }

local function bar(rate, tag, recall)
  return { ("%s at recall %s, %s, is no lower than FAISS's"):format(rate, recall, tag), function(r)
    local metric = ("%s@recall=%s/%s"):format(rate, recall, tag)
    return r(ours, metric) >= r(faiss, metric)
  end }
end

experiment {
  name = "target_foundation",
  title = "Dynamic IVF against FAISS IVF on descriptors",
  seed = 1, repeats = 3, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, rows) }
    w:insert { sift:rows(1, rows), tag = "load", singles = 1000 }
    w:search { sift:queries(1000), tag = "full" }
    w:delete { random = rows // 10, tag = "leave", singles = 1000 }
    w:search { sift:queries(1000), tag = "after" }
  end,

  methods = {
    method { "divf", label = ours, element = "f32", params = { clusters = lists, split_threshold = 0 }, sweep = { nprobe = probes } },
    method { "faiss-ivf-flat", label = faiss, params = { clusters = lists }, sweep = { nprobe = probes } },
  },

  compare = { ours .. "[nprobe=4]", faiss .. "[nprobe=4]", tags = "load" },

  claims = {
    { "batch insert is no slower than FAISS's", function(r)
      return paired.faster(r, ours .. "[nprobe=4]", faiss .. "[nprobe=4]", "load", 1)
    end },
    { "a delete takes at most 150 ns", function(r) return r(ours .. "[nprobe=4]", "ns_each/leave") <= 150 end },
    bar("qps", "full", "0.9"), bar("qps", "full", "0.95"), bar("qps", "full", "0.99"),
    bar("single_qps", "full", "0.9"), bar("single_qps", "full", "0.95"), bar("single_qps", "full", "0.99"),
    bar("qps", "after", "0.95"), bar("single_qps", "after", "0.95"),
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", title = "One query at a time" },
    { "pareto", x = "qps", y = "recall@10", title = "Queries as a batch" },
    { "bars", y = "ns_each", where = { tag = { "load", "leave" } }, title = "ns per vector" },
  },
}
