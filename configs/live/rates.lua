-- rates.lua - The latency of searches over the rate of a mixed load: half of the operations are searches, a quarter insertions, a
-- quarter deletions of the oldest rows.
--
-- Data: photo-sift; --set data=sift1m or gist1m takes another. Claims are set for photo-sift.
--
-- The operations arrive at random (Poisson), and latency counts from the intended start: where the rate comes near to what a method
-- can do, queues grow. The window has constant size, so that later rates meet an index as large as earlier ones. Each
-- rate is a step of the same tag.

local load     = require "load"
local data     = require("datasets").open "photo-sift"
local n        = option("rows", quick and 5000 or 40000, "live")
local first    = option("first_rate", 500, "operations per second of the first step; each of the others has twice the rate of the one before")
local steps    = option("steps", quick and 3 or 5, "rates")
local seconds  = option("seconds", quick and .3 or 3, "at each rate")
local clusters = quick and 64 or 256
local queries  = data:queries(option("queries", quick and 200 or 1000, "asked"))

local hnsw, vamana, divf = "HNSW", "Vamana", "dynamic IVF"
local ours = { hnsw, vamana, divf }

experiment {
  name = "live_rates", title = "Latency over the rate of a mixed load",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    local loaded = data:rows(1, n)
    w:train  { loaded }
    w:insert { loaded, tag = "load" }
    local at, rate = n, first
    for _ = 1, steps do
      local new = math.ceil(.3 * rate * seconds) + 100 -- a quarter of the load, and what chance adds
      w:mix { queries, rows = data:rows(at + 1, at + new), search = .5, insert = .25, delete = .25, removes = "oldest", threads = 2,
              rate = rate, seconds = seconds, arrivals = "poisson", repeated = true, tag = "load at a rate" }
      at, rate = at + new, 2 * rate
    end
    w:search { queries, tag = "end" }
  end,

  methods = load.baselines({ clusters = clusters, deletes = true }, {
    method { "hnsw", label = hnsw, knobs = { ef_search = 64 } },
    method { "vamana", label = vamana, knobs = { search_list = 64 } },
    method { "divf", label = divf, params = { clusters = clusters }, knobs = { nprobe = 16 } },
  }),
  figures = {
    { "timeline", x = "rate", y = { "p99_ns", "p50_ns" }, where = { tag = "load at a rate" }, title = "Searches over the rate of the load" },
    { "timeline", y = { "p99_ns", "throughput_recall@10" }, where = { tag = "load at a rate" }, title = "Searches over the steps; strokes: maintenance" },
  },
  claims = {
    { "At the lowest rate, HNSW, Vamana and the dynamic IVF answer 99 % of the searches within 20 ms of their intended start", function(r)
      for _, label in ipairs(ours) do
        if r(label, "p99_ns/load at a rate#1") > 20e6 then return false end
      end
      return true
    end },
    { "Answers at every rate have .9 of the rows that every moment's answer must hold", function(r)
      for _, label in ipairs(ours) do
        if r(label, "throughput_recall@10/load at a rate") < .9 then return false end
      end
      return true
    end },
    { "No deleted row is answered", function(r)
      for _, label in ipairs(ours) do
        if r(label, "throughput_wrong_ids/load at a rate") + r(label, "wrong_ids/end") > 0 then return false end
      end
      return true
    end },
  },
}
