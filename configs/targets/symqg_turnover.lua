-- symqg_turnover.lua - The recall and rates of SymphonyQG's graph while every row is replaced, compared with a fresh
-- graph and with hnswlib's two ways to delete.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Twenty steps each replace a twentieth of the rows, photo-sift picture by picture. Edges that removals lose show as
-- recall at one ef_search below that of `rebuilt`, which builds all rows anew at the last step. --set data=photo-hog
-- and --set data=words ask on those.

local turnover = require "turnover"

local data = require("datasets").stream "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")

local sweep = { ef_search = { 16, 32, 64, 128 } }
local function graph(t)
  t.element, t.sweep = "f32", sweep
  return method(t)
end

experiment {
  name = "symqg_turnover",
  title = "Every row replaced",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1,
  workload = turnover.workload(data, rows),

  methods = {
    graph { "symqg" },
    graph { "symqg", label = "rebuilt", rebuild = "last" },
    graph { "hnsw" },
    graph { "hnswlib", label = "hnswlib mark", params = { deletes = "mark" } },
    graph { "hnswlib", label = "hnswlib replace", params = { deletes = "replace" } },
  },

  claims = {
    turnover.claim({ "symqg" }, "ef_search", sweep.ef_search),
    { "rows are inserted at least as fast as into hnswlib", function(r)
      return r("symqg[ef_search=16]", "seconds/come") <= r("hnswlib mark[ef_search=16]", "seconds/come")
    end },
  },
  figures = turnover.figures,
}
