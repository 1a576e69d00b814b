-- truth.lua - Exact neighbours by a GPU: they are those of the processor, so the exact scan has a recall of 1, on either.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- `--set truth_device=cpu` computes them on the processor; the line "exact truth computed in" has the time of either, if
-- there is nothing in the cache (DRIFTLINE_CACHE).

local data = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 200000, "descriptors")

experiment {
  name = "gpu_truth",
  title = "Exact neighbours by a GPU",
  k = 100, truth_device = "cuda",

  workload = function(w)
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = {
    method { "flat", label = "cpu" },
    method { "flat", label = "cuda", params = { device = "cuda" } },
  },

  claims = {
    { "(ours) the scan by the processor finds the same", function(r) return r("cpu", "recall@100/ask") == 1 end },
    { "(ours) the scan by the device finds the same, faster", function(r)
      return r("cuda", "recall@100/ask") == 1 and r("cuda", "qps/ask") > r("cpu", "qps/ask")
    end },
  },
}
