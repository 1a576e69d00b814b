-- bulk_deletes.lua - A tenth of the first rows is deleted at once, five times over; after each, searches and insertions
-- arrive at random.
--
-- Data: photo-sift; --set data=sift1m or gist1m takes another. Claims are set for photo-sift.
--
-- Bulk deletions are one of the streams of CANDOR-Bench (10 to 50 % of the rows). "deleted" is a search right after each
-- deletion, "live" the load that follows, and "end" a search after all of them. In "live", queries are nearest to rows inserted lately,
-- and a thread maintains the index four times: searches go on beside it.

local load    = require "load"
local data    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 5000 or 50000, "loaded")
local rounds  = option("rounds", 5, "of deletions")
local rate    = option("rate", 500, "operations per second")
local seconds = option("seconds", quick and 1 or 4, "of load after each deletion")
local clusters = quick and 64 or 256
local queries = data:queries(option("queries", quick and 200 or 1000, "asked"))
local new     = math.ceil(.2 * rate * seconds) + 100 -- a fifth of the load, and what chance adds

local hnsw, vamana, divf = "HNSW", "Vamana", "dynamic IVF"

experiment {
  name = "bulk_deletes", title = "Bulk deletions under a live load",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    local loaded = data:rows(1, n)
    w:train  { loaded }
    w:insert { loaded, tag = "load" }
    w:search { queries, tag = "before" }
    for round = 1, rounds do
      w:delete { random = n // 10, tag = "delete" }
      w:search { queries, tag = "deleted" }
      w:mix { queries, rows = data:rows(n + (round - 1) * new + 1, n + round * new), search = .8, insert = .2, threads = 2,
              rate = rate, seconds = seconds, arrivals = "poisson", query_choice = "latest", repeated = true, alone = true,
              maintain_every = seconds / 4, tag = "live" }
    end
    w:search { queries, tag = "end" }
  end,

  methods = load.baselines({ clusters = clusters, deletes = false }, {
    method { "hnsw", label = hnsw, knobs = { ef_search = 64 } },
    method { "vamana", label = vamana, knobs = { search_list = 64 } },
    method { "divf", label = divf, params = { clusters = clusters }, knobs = { nprobe = 16 } },
  }),
  figures = {
    { "timeline", y = "recall@10", where = { tag = { "before", "deleted", "end" } } },
    { "timeline", y = { "p99_ns", "stats.maintenance.p99_ns" }, where = { tag = "live" }, title = "Searches under load, and those of them beside maintenance" },
  },
  claims = {
    { "HNSW, Vamana and the dynamic IVF lose at most .03 of recall to five bulk deletions", function(r)
      for _, label in ipairs { hnsw, vamana, divf } do
        if r(label, "recall@10/end") < r(label, "recall@10/before") - .03 then return false end
      end
      return true
    end },
    { "Answers under load have .9 of the rows that every moment's answer must hold", function(r)
      for _, label in ipairs { hnsw, vamana, divf } do
        if r(label, "throughput_recall@10/live") < .9 then return false end
      end
      return true
    end },
    { "No deleted row is answered", function(r)
      for _, label in ipairs { hnsw, vamana, divf } do
        if r(label, "wrong_ids/deleted") + r(label, "throughput_wrong_ids/live") > 0 then return false end
      end
      return true
    end },
  },
}
