-- jitter.lua - How much longer the slowest searches take beside changes than alone, in threads of their own, and at half of the rate that each
-- method can do.
--
-- Data: photo-sift; --set data=sift1m or changelogs takes another. Claims are set for photo-sift. Asteria takes part where rows are compared
-- by cosine, as in changelogs.
--
-- `jitter` is the p99 of the searches beside changes over that of the searches alone.
--
-- "apart": a thread searches, another replaces the oldest rows, both without a pause. What a change costs a search is what the method makes it
-- wait, and the memory that both share.
--
-- "pool": each thread takes operations as they come: half are searches, a quarter insertions, a quarter deletions of the oldest rows. A closed
-- loop finds what the method can do. Then as many operations arrive at random (Poisson), at half of that rate: once the searches alone, once
-- all, with latency from the intended start. Changes go one at a time and the other threads search meanwhile, so a search waits where these do
-- not suffice.
--
-- The thread that changes rows does the maintenance: there are as many threads as processors of a small machine. Vamana deletes in place: a
-- consolidation is one long pass.

local load       = require "load"
local data       = require("datasets").open "photo-sift"
local n          = option("rows", quick and 5000 or 40000, "loaded")
local operations = option("operations", quick and 2000 or 60000, "of the pool, in the closed loop, and again at half of its rate, at most")
local writes     = option("writes", quick and 2000 or 40000, "rows to replace in a thread apart, at most")
local seconds    = option("seconds", quick and .3 or 5, "of searches alone, and then beside a thread that writes; of each trial of the pool, at most")
local threads    = option("load_threads", 2, "that search and change rows")
local clusters   = quick and 64 or 256
local queries    = data:queries(option("queries", quick and 200 or 1000, "asked"))

local ours = {
  method { "hnsw", knobs = { ef_search = 64 } },
  method { "vamana", params = { deletes = "in-place" }, knobs = { search_list = 64 } },
  method { "symqg", knobs = { ef_search = 64 } },
  method { "divf", params = { clusters = clusters }, knobs = { nprobe = 16 } },
  method { "spfresh", params = { store = "memory" }, knobs = { nprobe = 16 } },
  method { "channi", params = { target_cluster = 200, wal = "none", maintenance = "inline" }, knobs = { nprobe = 12 } },
}
local labels = { "hnsw", "vamana", "symqg", "divf", "spfresh", "channi" }
if data.metric == "cosine" then
  ours[#ours + 1] = method { "asteria", params = { train_steps = quick and 100 or nil }, knobs = { nprobe = 1024 } }
  labels[#labels + 1] = "asteria"
end

local function at_most_twice(tag)
  return function(r)
    for _, label in ipairs(labels) do
      if r(label, "jitter/" .. tag) > 2 then return false end
    end
    return true
  end
end

experiment {
  name = "live_jitter", title = "Searches beside changes: how much longer the slowest take",
  seed = 1, k = 10, threads = threads,

  workload = function(w)
    local loaded = data:rows(1, n)
    local last   = n + writes
    local new    = math.ceil(.55 * operations) + 100 -- a quarter of both trials, and what chance adds
    w:train  { loaded }
    w:insert { loaded, tag = "load" }
    w:concurrent { queries, writes = data:rows(n + 1, last), removes = "oldest", seconds = seconds, alone = true, repeated = true, tag = "apart" }
    w:mix { queries, rows = data:rows(last + 1, last + new), search = .5, insert = .25, delete = .25, removes = "oldest", threads = threads,
            operations = operations, seconds = seconds, find_rate = { share = .5 }, arrivals = "poisson", alone = true, repeated = true, tag = "pool" }
    w:search { queries, tag = "end" }
  end,

  methods = load.baselines({ clusters = clusters, deletes = true }, ours),
  figures = {
    { "bars", y = "jitter", where = { tag = "apart" }, title = "p99 of searches beside changes over p99 alone: threads of their own" },
    { "bars", y = "jitter", where = { tag = "pool" }, title = "p99 of searches beside changes over p99 alone: one pool of threads" },
  },
  claims = {
    { "beside a thread that writes without a pause, the p99 of our methods' searches is at most twice that of searches alone", at_most_twice "apart" },
    { "at half of the rate of a closed loop of a pool of threads, too", at_most_twice "pool" },
    { "answers under load have .9 of the rows that every moment's answer must hold, or .02 less than those at the end", function(r)
      for _, label in ipairs(labels) do
        if r(label, "throughput_recall@10/pool") < math.min(.9, r(label, "recall@10/end") - .02) then return false end
      end
      return true
    end },
    { "no deleted row is answered", function(r)
      for _, label in ipairs(labels) do
        if r(label, "throughput_wrong_ids/apart") + r(label, "throughput_wrong_ids/pool") + r(label, "wrong_ids/end") > 0 then return false end
      end
      return true
    end },
  },
}
