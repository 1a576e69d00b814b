-- spfresh_1m.lua - The targets of SPANN on a million synthetic vectors of 128 floats: build, latency, and
-- memory by part.
--
-- The parameters are those of spann_static_1m.lua. This config has more queries, so a 99.9th percentile is
-- meaningful, and more closely spaced points.

local spfresh = require "spfresh"
local rows    = option("rows", quick and 50000 or 1000000, "vectors")
local queries = option("queries", quick and 500 or 5000, "asked")
local data    = spfresh.mixture(rows)

local probes = { 1, 2, 3, 4, 6, 8, 12, 16 }
local main   = "SPANN"
local function at_95(r, metric) return r(spfresh.reaching(r, main, probes, 0.95, "full"), metric .. "/full") end
local function built(r, metric) return r(spfresh.point(main, 4), metric) end

experiment {
  name = "target_spfresh_1m",
  title = "The targets of SPANN on a million vectors",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:train  { data:rows(1, rows), tag = "train" }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "full" }
  end,

  methods = { method { "spann", label = main, params = spfresh.for_1m, sweep = { nprobe = probes } } },

  claims = {
    { "(ours) built in at most 120 s on two threads", function(r) return built(r, "seconds/train") + built(r, "seconds/load") <= 120 end },
    { "(ours) recall .95 at a p50 of at most .5 ms", function(r) return at_95(r, "p50_ns") <= 0.5e6 end },
    { "(ours) recall .95 at a p99.9 of at most 3 ms", function(r) return at_95(r, "p999_ns") <= 3e6 end },
    { "(ours) memory by its own count is at most a tenth of the raw vectors", function(r)
      return built(r, "index_bytes/load") <= 0.1 * rows * 128 * 4
    end },
    { "(ours) anonymous memory resident is at most a tenth of the raw vectors", function(r)
      return built(r, "rss_bytes/load") <= 0.1 * rows * 128 * 4
    end },
  },

  figures = {
    { "pareto", x = "p50_ns", y = "recall@10", where = { tag = "full" }, title = "Recall and median latency" },
    { "pareto", x = "p999_ns", y = "recall@10", where = { tag = "full" }, title = "Recall and tail latency" },
    { "memory", y = "parts", title = "Memory by part" },
  },
}
