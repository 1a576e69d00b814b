-- estimates.lua - What is my recall now, without the exact neighbours: estimates by a scan of some rows or for few queries, under drift.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Claims are set for photo-sift.
--
-- 40 rounds replace a twentieth of the rows each, the oldest, picture by picture. After each, the recall of 1000 queries is
-- known exactly, and a probe estimates it: of 1000 or of 100 queries, by a scan of all rows, of a tenth, or of a hundredth.
-- A scanned row that was missed stands for all that the scan left out ("merged"); or the answers are divided by the rows
-- that are as near as the farthest answer ("counted"). The claims are about the mean error over the rounds. What a probe takes
-- is `stats.probe_seconds/maintain`.

local datasets = require "datasets"
local data, set = datasets.open "photo-sift"
local rows   = option("rows", quick and 2000 or 20000, "held at a time")
local rounds = quick and 10 or 40
local part   = rows // 20
local stream = datasets.in_order(data, set)
local asked  = quick and 200 or 1000

-- LABEL, the probe's queries and share of the rows.
local probes = {
  { "all queries, all rows", "probe", 1 },   { "all queries, a tenth of the rows", "probe", 0.1 },
  { "all queries, a hundredth", "probe", 0.01 }, { "a tenth of the queries, all rows", "few", 1 },
}
local methods, claims = {}, {}

local function claim(label, estimate, shown)
  claims[#claims + 1] = { ("(ours) %s, %s: the mean error is at most .005"):format(label, shown), function(r)
    return math.abs(r(label, "stats." .. estimate .. "/maintain") - r(label, "recall@10/queries")) <= 0.005
  end }
end

for _, m in ipairs { { "usearch", { expansion_search = 24 } }, { "divf", { nprobe = 6 } } } do
  for _, probe in ipairs(probes) do
    local label = m[1] .. ", " .. probe[1]
    methods[#methods + 1] = method { m[1], label = label, knobs = m[2], maintain = { tag = "maintain", recall = 0.001, probe = probe[2], sample = probe[3] } }
    claim(label, "probe_recall", "merged")
    claim(label, "probe_counted", "counted")
  end
end

experiment {
  name = "long_life_estimates",
  title = "Estimates of recall, by probes",
  seed = 1, k = 10, threads = 1, min_time = 0,
  workload = function(w)
    w:train  { stream:rows(1, rows) }
    w:insert { stream:rows(1, rows), tag = "load" }
    w:search { data:queries(asked), tag = "probe" }
    w:search { data:queries(asked // 10), tag = "few" }
    for round = 1, rounds do
      w:delete { oldest = part, tag = "leave" }
      w:insert { stream:rows(rows + (round - 1) * part + 1, rows + round * part), tag = "come" }
      w:maintain {}
      w:search { data:queries(asked), tag = "queries" }
    end
  end,
  methods = methods,
  claims = claims,
  figures = { { "timeline", y = { "recall@10", "stats.probe_recall" }, where = { tag = { "queries", "maintain" } } } },
}
