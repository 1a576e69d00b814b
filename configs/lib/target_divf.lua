-- target_divf.lua - Shared by configs/targets/divf.lua and targets/divf_hog.lua: the target of the quantised scan.
--
-- The baselines have the parameters that configs/targets/tune_baselines.lua found best (docs/results/baselines.md),
-- and each is swept over its knobs. A rate at a recall is interpolated on the best points of that sweep.

local bars = {}

-- Queries per second at a recall, interpolated on the best points of the sweep. An error if the sweep does not reach it.
function bars.at(r, label, rate, recall, tag)
  return r(label, ("%s@recall=%s/%s"):format(rate, recall, tag))
end

-- The same for a baseline. The rate is 0 for a baseline whose whole sweep stays below the recall. A sweep that begins
-- above the recall is an error: the rate at a higher recall would favour our method.
local function at_if_reached(r, label, rate, recall, tag)
  local reached = r.most(label, (rate == "qps" and "throughput_recall@10/" or "recall@10/") .. tag)
  return reached < tonumber(recall) and 0 or bars.at(r, label, rate, recall, tag)
end

-- A claim that ours answers at least `times` as fast as each of `others`, one query at a time, at this recall.
function bars.beats(ours, others, times, rate, recall, tag, what)
  return { ("%s at recall %s: at least %g times %s"):format(rate, recall, times, what), function(r)
    local best = 0
    for _, label in ipairs(others) do best = math.max(best, at_if_reached(r, label, rate, recall, tag)) end
    return bars.at(r, ours, rate, recall, tag) >= times * best
  end }
end

return bars
