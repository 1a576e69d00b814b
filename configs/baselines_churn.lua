-- baselines_churn.lua - Every method that can follow changes, tuned alike, while all rows are replaced.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another.
--
-- Ten steps each replace a tenth of the rows, photo-sift picture by picture. Each method is built with each
-- combination of a small grid of parameters. For each build, tuning queries choose the first point of the sweep that
-- reaches the recall; other queries measure it. A baseline that cannot delete filters its answers, as its users
-- would. One query at a time, one thread.
--
--   ./harness configs/baselines_churn.lua --set data=photo-hog --set recall=0.99

local baselines = require "baselines"

local data, name = require("datasets").stream "photo-sift"
local recall = option("recall", 0.95, "recall@10 that each build is calibrated to")
local rows = option("rows", math.min(quick and 2500 or 50000, #data // 2), "held at a time; twice as many are used")
local queries = option("queries", quick and 200 or 2000, "asked; half of them tune")
local steps = 10

local function slice(first, step) return data:rows(first + (step - 1) * rows // steps + 1, first + step * rows // steps) end

experiment {
  name = "baselines_churn",
  title = ("Every method tuned to recall %g while all rows are replaced: %s"):format(recall, name),
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    for step = 1, steps do
      w:delete { slice(0, step), tag = "leave" }
      w:insert { slice(rows, step), tag = "come" }
    end
    w:maintain { tag = "settle" }
    w:search { data:queries(queries), tag = "after" }
  end,

  methods = baselines.methods { rows = rows, dim = data.dim, metric = data.metric, recall = recall, changes = true },

  figures = {
    { "bars", y = "single_qps", where = { tag = "after" }, title = "Queries per second at equal recall, after all rows were replaced" },
    { "bars", y = "seconds", where = { tag = "come" }, title = "Seconds to insert all new rows" },
  },
}
