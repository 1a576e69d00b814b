-- Searches, insertions, deletions and updates as an application mixes them: a closed loop, then open loops with equal
-- distances, Poisson arrivals under a limit of latency, bursts and recorded times, the largest rate at which a limit holds, and half of
-- what a closed loop reaches.
local data = synthetic { kind = "mixture", rows = 10000, dim = 16 }
local queries = data:queries(200)
local seconds = quick and 0.2 or 2
local rate = 500

experiment {
  name = "mix",
  title = "Mixed operations",
  threads = 2,

  workload = function(w)
    w:insert { data:rows(1, 4000), tag = "load" }
    w:mix { queries, rows = data:rows(4001, 6000), search = .6, insert = .25, delete = .1, update = .05, threads = 2,
            operations = 4000, tag = "closed" }
    w:mix { queries, rows = data:rows(6001, 7000), search = .6, insert = .25, delete = .1, update = .05, threads = 2,
            rate = rate, seconds = seconds, query_choice = "latest", alone = true, until_found = .1,
            maintain_every = seconds / 4, tag = "constant" }
    w:mix { queries, rows = data:rows(7001, 8000), search = .6, insert = .3, delete = .1, threads = 2, removes = "oldest",
            rate = rate, seconds = seconds, arrivals = "poisson", latency_limit_ms = 5, query_choice = "zipf", skew = .9,
            tag = "poisson" }
    w:mix { queries, search = 1, k = 20, rate = rate, seconds = seconds, arrivals = "burst", burst_size = 20, repeated = true,
            tag = "bursts" }
    w:mix { queries, search = 1, rate = rate, seconds = seconds, query_choice = "hotspot", tag = "hotspot" }
    w:mix { queries, search = 1, rate = rate, seconds = seconds, query_choice = "drift", tag = "drift" }
    w:mix { queries, search = 1, arrivals = "data/arrivals.txt", tag = "recorded" }
    w:mix { queries, rows = data:rows(8001, 9000), search = .7, insert = .3, threads = 2, operations = quick and 50 or 250,
            find_rate = { p99_ms = 100 }, tag = "largest rate" }
    w:mix { queries, rows = data:rows(9001, 10000), search = .7, insert = .3, threads = 2, operations = quick and 200 or 1000,
            find_rate = { share = .5 }, alone = true, tag = "half of the rate" }
  end,

  methods = { method { "hnsw" }, method { "divf", knobs = { nprobe = 8 } } },
  claims = {
    { "changes delay the slowest searches by less than a thousand times", function(r) return r("hnsw", "jitter/constant") < 1000 end },
    { "a row is found within a hundredth of a second of the begin of its insertion, at the median",
      function(r) return r("hnsw", "stats.until_found.p50_ns/constant") < 1e7 end },
    { "some rate has a p99 of at most 100 ms", function(r) return r("hnsw", "found_rate/largest rate") > 0 end },
  },
  figures = { { "ccdf", where = { tag = { "constant", "poisson", "bursts" } } } },
}
