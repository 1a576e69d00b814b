-- spfresh_live.lua - SPFresh replacing vectors as fast as it can: one update thread, splits in the background, searches beside.
--
-- Each write deletes a vector and inserts another. First nobody searches ("alone"), then one thread asks all the time ("beside"): throughput and
-- latency of writes and of searches, recall after each. The artifact of the source was measured on the same descriptors: 2 900 to 3 200
-- replacements a second with one insert thread, one append thread and splits in the background, inserts p50 .13 to .15 ms, p99 1.5 to 2.6 ms.
-- A machine of two processors has both taken by the update thread and the background; a searching thread is a third.

local spfresh = require "spfresh"
local sift    = spfresh.sift():shuffle(1)
local n       = option("rows", quick and 5000 or 100000, "descriptors live")
local part    = option("part", quick and 2000 or 90000, "replaced in each of two steps, or as many as the time suffices for")
local seconds = option("seconds", quick and 2 or 10, "of each step")
local queries = spfresh.sift():queries(option("queries", quick and 200 or 2000, "asked"))

local background, inline, append_only = "SPFresh, background", "SPFresh, inline", "append only"

experiment {
  name = "spfresh_live",
  title = "SPFresh under replacement: updates and searches at once",
  publication = "SPANN and SPFresh",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:train  { sift:rows(1, n), tag = "train" }
    w:insert { sift:rows(1, n), tag = "load" }
    w:search { queries, tag = "before" }
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
    { "(ours) at the same number of heads probed recall is within 1 point of that before", function(r)
      return r(background, "recall@10/after") >= r(background, "recall@10/before") - 0.01
    end },
    { "(ours) no deleted vector is ever answered", function(r)
      return r(background, "wrong_ids/after") == 0 and r(inline, "wrong_ids/after") == 0
    end },
  },

  figures = {
    { "bars", y = "stats.writes_per_second", x = "label", where = { tag = { "alone", "beside" } }, title = "Replacements a second" },
    { "bars", y = "stats.write_latency_ns.p99", x = "label", where = { tag = { "alone", "beside" } }, title = "99th percentile of a write, ns" },
    { "bars", y = "p99_ns", x = "label", where = { tag = { "before", "beside", "after" } }, title = "99th percentile of a search, ns" },
  },
}
