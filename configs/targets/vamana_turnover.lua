-- vamana_turnover.lua - The recall of our Vamana while every row is replaced, with lazy deletes and with deletes in
-- place, compared with a fresh graph and with our HNSW.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Twenty steps each replace a twentieth of the rows, photo-sift picture by picture. Deleted rows of `vamana` are
-- consolidated when they are a tenth of the graph, and at the end; those of `in place` leave the graph at once.
-- Edges that deletes lose show as recall at one search_list below that of `rebuilt`, which links all rows anew at
-- the last step.

local turnover = require "turnover"

local sift = require("datasets").stream "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")
local degree = option("degree", 32, "neighbours of a row at most")

local lists = { 10, 16, 32, 64 }
local function vamana(t)
  t[1], t.element, t.sweep = "vamana", "f32", { search_list = lists }
  t.params = t.params or { degree = degree }
  return method(t)
end

experiment {
  name = "vamana_turnover",
  title = "Every row replaced in a Vamana",
  seed = 1, k = 10, threads = 1,
  workload = turnover.workload(sift, rows, true),

  methods = {
    vamana { label = "vamana" },
    vamana { label = "in place", params = { degree = degree, deletes = "in-place" } },
    vamana { label = "rebuilt", rebuild = "last" },
    method { "hnsw", element = "f32", sweep = { ef_search = lists } },
  },

  claims = { turnover.claim({ "vamana", "in place" }, "search_list", lists) },
  figures = turnover.figures,
}
