-- channi_live.lua - Searches while clusters split: one thread searches at a steady rate, first alone,
-- then concurrently with a writer.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Writes arrive at a steady rate too. The first index has the default of maintenance, which with two threads is the
-- background at the default priority; the second works while a processor is idle, the third at commits. Latency counts
-- from the moment a search was due. In the idle phase there are no writes. A reader that was pinned before searches again
-- afterwards: `as_of` must return the same answers. On two processors the reader, the writer and maintenance share them.

local channi  = require "channi"
local data    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 4000 or 100000, "descriptors at first")
local part    = option("part", quick and 1500 or 60000, "written at most")
local seconds = option("seconds", quick and 2 or 30, "of each step")
local rate    = option("rate", quick and 500 or 1500, "searches, and writes, a second")
local asked   = data:queries(option("queries", quick and 100 or 1000, "asked"))

local background, idle, at_commit = "CHANNI, default", "CHANNI, idle time", "CHANNI, at commit"
local function index(label, more)
  local params = { expected_n = n, cache_mb = channi.megabytes(n + part, data, 8), split_max = 2 * channi.target }
  for name, value in pairs(more) do params[name] = value end
  return channi.index(label, params, { knobs = { nprobe = 8 } })
end

experiment {
  name = "target_channi_live",
  title = "CHANNI: searches during splits",
  publication = "CHANNI",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:insert { data:rows(1, n), tag = "load" }
    w:search { asked, tag = "before" }
    w:snapshot { name = "before" }
    w:search { asked, as_of = "before", tag = "pinned" }
    w:concurrent { asked, readers = 1, writers = 0, seconds = seconds, rate = rate, tag = "idle" }
    w:concurrent { asked, writes = data:rows(n + 1, n + part), writers = 1, readers = 1, seconds = seconds, rate = rate, tag = "beside" }
    w:maintain { tag = "close" }
    w:search { asked, as_of = "before", tag = "pinned after" }
    w:release { name = "before" }
    w:search { asked, tag = "after" }
  end,

  methods = { index(background, {}), index(idle, { background_nice = 20 }), index(at_commit, { maintenance = "inline" }) },

  claims = {
    { "searches proceed unimpeded by maintenance: at the default of maintenance their 99th percentile while clusters are split is within 2 times that of idle", function(r)
      return r(background, "p99_ns/beside") <= 2 * r(background, "p99_ns/idle")
    end },
    { "(ours) clusters were split meanwhile", function(r) return r(background, "stats.splits/beside") > r(background, "stats.splits/load") end },
    { "a reader pinned before maintenance has the same answers after it: the same recall of the same rows", function(r)
      return r(background, "recall@10/pinned after") == r(background, "recall@10/pinned") and r(background, "wrong_ids/pinned after") == 0
    end },
  },

  figures = {
    { "bars", y = "p99_ns", x = "label", group = "tag", where = { tag = { "idle", "beside" } }, title = "99th percentile of a search" },
    { "bars", y = "stats.write_latency_ns.p99", x = "label", where = { tag = "beside" }, title = "99th percentile of a write" },
    { "bars", y = "stats.splits", x = "label", group = "tag", where = { tag = { "load", "beside" } }, title = "Splits so far" },
  },
}
