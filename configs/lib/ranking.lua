-- ranking.lua - One experiment that ranks methods: all builds of baselines.lua under a workload of workloads.lua, each
-- at the first point of its sweep that reaches the recall on tuning queries, and measured on other queries.

local baselines = require "baselines"
local datasets = require "datasets"
local workloads = require "workloads"

local ranking = {}

local function listed(text)
  local set, n = {}, 0
  for name in text:gmatch("[^;]+") do
    set[name:match("^%s*(.-)%s*$")] = true
    n = n + 1
  end
  return n > 0 and set or nil
end

-- With --quick, and without keep, each method has its first build alone.
-- t: name, title, workload, recall, rows, asked, threads; data, metric: as in datasets.named; queries, part: as in
-- workloads.make; keep: labels of builds, separated by semicolons (all without); pair: two points, separated by a
-- semicolon, that are then measured alternately for `seconds`; front: true measures every point of a sweep instead;
-- also: more entries than those of baselines.lua, such as { { "mymethod", grid = { M = { 8, 16 } }, sweep = { ef = { 10, 20, 40 } } } }.
function ranking.experiment(t)
  local data = datasets.named(t.data, t.metric)
  local made = workloads.make { kind = t.workload, data = data, name = t.data, rows = t.rows, asked = t.asked,
                               queries = t.queries, part = t.part }
  local kept, known, methods = listed(t.keep or ""), {}, {}
  local builds = baselines.builds { rows = made.live, trained = made.trained, dim = data.dim, metric = data.metric, recall = t.recall, changes = made.changes,
                                    also = t.also }
  for _, build in ipairs(builds) do
    if t.front then build.calibrate = nil end
    known[build.label] = true
    local first = not build.label:find " %d+$" or build.label:find " 1$"
    if kept and kept[build.label] or not kept and (first or not quick) then methods[#methods + 1] = method(build) end
  end
  for label in pairs(kept or {}) do
    if not known[label] then error(("keep=%s: there is no build \"%s\""):format(t.keep, label)) end
  end
  local first, second = (t.pair or ""):match("^(.-%S)%s*;%s*(%S.-)$")

  experiment {
    name = t.name, title = t.title, seed = 1, k = 10, threads = t.threads or 1,
    workload = made.record,
    methods = methods,
    compare = first and { first, second, within = 0.03, budget = t.seconds, tags = "after", single = true } or nil,
    figures = t.front and {
      { "pareto", x = "single_qps", y = "recall@10", where = { tag = "after" }, title = "Recall and queries per second" },
      { "pareto", x = "distances", y = "recall@10", where = { tag = "after" }, title = "Recall and distances computed" },
    } or {
      { "bars", y = "single_qps", where = { tag = "after" }, title = "Queries per second at equal recall" },
      { "bars", y = "index_bytes", where = { tag = "end" }, title = "Memory" },
    },
  }
end

return ranking
