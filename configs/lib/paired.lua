-- paired.lua - what claims about speed ask of methods measured in paired rounds (docs/configs.md, compare).
--
-- A bound, "at least 3 times as fast", is held against the low end of the ratio's interval; a published multiple, which is a point estimate itself, against the ratio.

local paired = {}

-- Whether label a is faster than b on a tag, by `times` or more: .9 is "at most 1 / .9 times as slow".
function paired.faster(r, a, b, tag, times)
  local _, low = r.ratio(a, b, tag)
  if times then return low >= times end
  return low > 1
end

-- Whether a is as much faster as was published.
function paired.published(r, a, b, tag, times)
  return (r.ratio(a, b, tag)) >= times
end

return paired
