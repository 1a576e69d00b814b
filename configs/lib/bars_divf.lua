-- bars_divf.lua - what configs/bars_divf.lua and bars_divf_hog.lua share: the bar of the quantised scan.
--
-- The peers stand here with the parameters that configs/tune_peers.lua found best (docs/results.md), each swept over its
-- knobs; a rate at a recall is read off the best points of that sweep.

local bars = {}

-- Queries a second at a recall, interpolated on the best points of the sweep; an error if the sweep does not reach it.
function bars.at(r, label, rate, recall, tag)
  return r(label, ("%s@recall=%s/%s"):format(rate, recall, tag))
end

-- The same for a peer. One that was measured and does not get to this recall at any knob has no rate there, 0; one whose
-- sweep begins above it was not asked for it, and that is an error: its rate at a higher recall would flatter ours.
local function at_if_reached(r, label, rate, recall, tag)
  local there, value = pcall(bars.at, r, label, rate, recall, tag)
  if there then return value end
  for _, lower in ipairs { "0.9", "0.95", "0.98" } do
    if tonumber(lower) < tonumber(recall) and pcall(bars.at, r, label, rate, lower, tag) then return 0 end
  end
  return bars.at(r, label, rate, recall, tag)
end

-- "ours answers at least `times` as fast as each of `others`, one query at a time, at this recall".
function bars.beats(ours, others, times, rate, recall, tag, what)
  return { ("%s at recall %s: at least %g times %s"):format(rate, recall, times, what), function(r)
    local best = 0
    for _, label in ipairs(others) do best = math.max(best, at_if_reached(r, label, rate, recall, tag)) end
    return bars.at(r, ours, rate, recall, tag) >= times * best
  end }
end

return bars
