-- vamana_disk.lua - The target of our DiskANN index on disk: recall .95 at a median of at most 2 ms with at most 15 % of
-- the raw vectors in memory, on SIFT descriptors as floats, on one thread.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Reads bypass the page cache (`direct`), so that each page comes from the disk. --set direct=false reads through it.
-- Most of a run goes into the build; --set rows=50000 is a short one.

local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or #sift, "descriptors inserted")
local degree = option("degree", 32, "neighbours of a row at most")
local groups = option("groups", 32, "bytes of a row's code in memory")
local cache_mb = option("cache_mb", 8, "megabytes of nodes in memory")
local beam = option("beam_width", 8, "nodes read at a time")
local direct = option("direct", true, "reads bypass the page cache")

local label = "vamana-disk"
local lists = { 10, 16, 20, 24, 28, 32, 36, 40, 48, 64, 96 }

experiment {
  name = "target_vamana_disk",
  title = "DiskANN's index on disk",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:insert { sift:rows(1, rows), tag = "load" }
    w:search { sift:queries(1000), tag = "full" }
  end,

  methods = {
    method { "vamana-disk", label = label, element = "f32", knobs = { beam_width = beam }, sweep = { search_list = lists },
             params = { degree = degree, pq_groups = groups, cache_mb = cache_mb, direct = direct, maintenance = "inline" } },
  },
  claims = {
    { "recall .95 at a median of at most 2 ms", function(r)
      for _, list in ipairs(lists) do
        local point = ("%s[search_list=%d]"):format(label, list)
        if r(point, "recall@10/full") >= 0.95 and r(point, "p50_ns/full") <= 2e6 then return true end
      end
      return false
    end },
    { "at most 15 % of the raw vectors in memory", function(r)
      return r(("%s[search_list=%d]"):format(label, lists[1]), "index_bytes/load") <= 0.15 * rows * sift.dim * 4
    end },
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "full" }, title = "Bytes read" },
  },
}
