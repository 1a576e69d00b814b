-- vamana_disk_turnover.lua - The recall of our DiskANN index on disk while every row is replaced, compared with an
-- index built of the rows that are left.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Twenty steps each replace a twentieth of the rows, photo-sift picture by picture. Streaming merges bring them to
-- disk when they are a tenth of the rows there, and at the end. Links that merges lose show as recall at one
-- search_list below that of `rebuilt`, which loads all rows anew at the last step.

local turnover = require "turnover"

local sift = require("datasets").stream "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")
local degree = option("degree", 32, "neighbours of a row at most")
local groups = option("groups", 32, "bytes of a row's code in memory")

local lists = { 10, 16, 32, 64 }
local function vamana(t)
  t[1], t.element, t.sweep = "vamana-disk", "f32", { search_list = lists }
  t.params = { degree = degree, pq_groups = groups }
  return method(t)
end

experiment {
  name = "vamana_disk_turnover",
  title = "Every row replaced in an index on disk",
  seed = 1, k = 10, threads = 1,
  workload = turnover.workload(sift, rows, true),

  methods = {
    vamana { label = "vamana-disk" },
    vamana { label = "rebuilt", rebuild = "last" },
  },

  claims = { turnover.claim({ "vamana-disk" }, "search_list", lists) },
  figures = {
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
  },
}
