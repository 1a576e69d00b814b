-- baselines_static.lua - Every method, ours and the baselines, tuned alike on data that do not change.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another.
--
-- Each method is built with each combination of a small grid of parameters. For each build, tuning queries choose the
-- first point of the sweep that reaches the recall; other queries measure it. The best build of a method is then the
-- fastest of its rows. One query at a time, one thread.
--
--   ./harness configs/baselines_static.lua --set data=photo-hog --set recall=0.99

local baselines = require "baselines"

local data, name = require("datasets").open "photo-sift"
local recall = option("recall", 0.95, "recall@10 that each build is calibrated to")
local rows = option("rows", math.min(quick and 5000 or 100000, #data), "inserted")
local queries = option("queries", quick and 200 or 2000, "asked; half of them tune")

experiment {
  name = "baselines_static",
  title = ("Every method tuned to recall %g: %s"):format(recall, name),
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "full" }
  end,

  methods = baselines.methods { rows = rows, dim = data.dim, metric = data.metric, recall = recall },

  figures = {
    { "bars", y = "single_qps", where = { tag = "full" }, title = "Queries per second at equal recall" },
    { "bars", y = "index_bytes", where = { tag = "full" }, title = "Memory" },
  },
}
