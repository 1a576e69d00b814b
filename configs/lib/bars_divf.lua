-- bars_divf.lua - what configs/bars_divf.lua and bars_divf_hog.lua share: the bar of the quantised scan.
--
-- The peers stand here with the parameters that configs/tune_peers.lua found best (docs/results.md), each swept over its
-- knobs; a rate at a recall is read off the best points of that sweep.

local bars = {}

-- Queries a second at a recall, interpolated on the best points of the sweep; an error if the sweep does not reach it.
function bars.at(r, label, rate, recall, tag)
  return r(label, ("%s@recall=%s/%s"):format(rate, recall, tag))
end

-- The same for a peer. One whose sweep begins above this recall is taken at the next; one that is measured and does not
-- reach it at any knob has no rate there, 0.
local function at_or_above(r, label, rate, recall, tag)
  local measured = false
  for _, other in ipairs { "0.9", "0.95", "0.98", "0.99" } do
    local there, value = pcall(bars.at, r, label, rate, other, tag)
    if there and tonumber(other) >= tonumber(recall) then return value end
    measured = measured or there
  end
  return measured and 0 or bars.at(r, label, rate, recall, tag)
end

-- "ours answers at least `times` as fast as each of `others`, one query at a time, at this recall".
function bars.beats(ours, others, times, rate, recall, tag, what)
  return { ("%s at recall %s: at least %g times %s"):format(rate, recall, times, what), function(r)
    local best = 0
    for _, label in ipairs(others) do best = math.max(best, at_or_above(r, label, rate, recall, tag)) end
    return bars.at(r, ours, rate, recall, tag) >= times * best
  end }
end

return bars
