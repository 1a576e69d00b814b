-- live.lua - SPFresh at its highest rate of replacement: one update thread, splits in the background, and
-- concurrent searches.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- A write deletes one vector and inserts another. First nobody searches ("alone"), then one thread searches all the
-- time ("beside"). Measured are throughput and latency of writes and of searches, and recall after each phase. The
-- paper's artifact was measured on an earlier photo-sift: 2 900 to 3 200 replacements per second with one insert
-- thread, one append thread and splits in the background; inserts p50 .13 to .15 ms, p99 1.5 to 2.6 ms. On a machine
-- of two processors, the update thread and the background use both. The searching thread is a third.
--
-- Two more steps have a steady rate of searches, and latency counts from the moment a search was due: without writes
-- ("idle"), then with replacements at the same rate ("steady").

local spfresh = require "spfresh"
local sift    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 5000 or 100000, "descriptors live")
local part    = option("part", quick and 2000 or 90000, "replaced in each of two steps, or as many as the time suffices for")
local seconds = option("seconds", quick and 2 or 10, "of each step")
local rate    = option("rate", quick and 300 or 1000, "searches, and replacements, per second in the steady steps")
local steady  = rate * seconds
local queries = sift:queries(option("queries", quick and 200 or 2000, "asked"))

local background, inline, append_only = "SPFresh, background", "SPFresh, inline", "append only"

experiment {
  name = "spfresh_live",
  title = "SPFresh under replacement: updates and searches at once",
  publication = "SPANN and SPFresh",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:train  { sift:rows(1, n), tag = "train" }
    w:insert { sift:rows(1, n), tag = "load" }
    w:search { queries, tag = "before" }
    w:concurrent { queries, readers = 1, writers = 0, seconds = seconds, rate = rate, tag = "idle" }
    w:concurrent { queries, writes = sift:rows(n + 2 * part + 1, n + 2 * part + steady), removes = "oldest", writers = 1, readers = 1, seconds = seconds, rate = rate, tag = "steady" }
    w:maintain { tag = "close" }
    w:concurrent { queries, writes = sift:rows(n + 1, n + part), removes = "oldest", writers = 1, readers = 0, seconds = seconds, tag = "alone" }
    w:maintain { tag = "close" }
    w:search { queries, tag = "after" }
    w:concurrent { queries, writes = sift:rows(n + part + 1, n + 2 * part), removes = "oldest", writers = 1, readers = 1, seconds = seconds, tag = "beside" }
    w:maintain { tag = "close" }
    w:search { queries, tag = "after" }
  end,

  methods = {
    method { "spfresh", label = background, params = spfresh.with(spfresh.as_released, { maintenance = "background" }), knobs = { nprobe = 32 } },
    method { "spfresh", label = inline, params = spfresh.as_released, knobs = { nprobe = 32 } },
    method { "spann", label = append_only, params = spfresh.as_released, knobs = { nprobe = 32 } },
  },

  claims = {
    { "(ours) at least 10 000 replacements a second with one update thread and background maintenance", function(r)
      return r(background, "stats.writes_per_second/alone") >= 10000
    end },
    { "(ours) the 99th percentile of an insert is at most 1.5 ms", function(r)
      return r(background, "stats.write_latency_ns.p99/alone") <= 1.5e6
    end },
    { "(ours) also with searches beside", function(r) return r(background, "stats.write_latency_ns.p99/beside") <= 1.5e6 end },
    { "(ours) at a steady rate, the 99th percentile of a search while postings are split is within 2 times that of idle", function(r)
      return r(background, "stats.splits/steady") > r(background, "stats.splits/load") and r(background, "p99_ns/steady") <= 2 * r(background, "p99_ns/idle")
    end },
    { "(ours) at the same number of heads probed recall is within 1 point of that before", function(r)
      return r(background, "recall@10/after") >= r(background, "recall@10/before") - 0.01
    end },
    { "(ours) no deleted vector is ever answered", function(r)
      return r(background, "wrong_ids/after") == 0 and r(inline, "wrong_ids/after") == 0
    end },
  },

  figures = {
    { "bars", y = "stats.writes_per_second", x = "label", where = { tag = { "alone", "beside" } }, title = "Replacements per second" },
    { "bars", y = "stats.write_latency_ns.p99", x = "label", where = { tag = { "alone", "beside" } }, title = "99th percentile of a write" },
    { "bars", y = "p99_ns", x = "label", where = { tag = { "before", "idle", "steady", "beside", "after" } }, title = "99th percentile of a search" },
  },
}
