-- hnsw_turnover.lua - The recall of our HNSW while every row is replaced, compared with a fresh graph and with
-- hnswlib's two ways to delete.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Twenty steps each replace a twentieth of the rows, photo-sift picture by picture. Edges that removals lose show as
-- recall at one ef_search below that of `rebuilt`, which links all rows anew at the last step. A run takes a minute
-- or two.

local turnover = require "turnover"

local sift = require("datasets").stream "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")

local sweep = { ef_search = { 16, 32, 64 } }
local function graph(t)
  t.element, t.sweep = "f32", sweep
  return method(t)
end

experiment {
  name = "hnsw_turnover",
  title = "Every row replaced",
  seed = 1, k = 10, threads = 1,
  workload = turnover.workload(sift, rows),

  methods = {
    graph { "hnsw" },
    graph { "hnsw", label = "rebuilt", rebuild = "last" },
    graph { "hnswlib", label = "hnswlib mark", params = { deletes = "mark" } },
    graph { "hnswlib", label = "hnswlib replace", params = { deletes = "replace" } },
  },

  claims = { turnover.claim({ "hnsw" }, "ef_search", sweep.ef_search) },
  figures = turnover.figures,
}
