-- paired.lua - Claims about speed, for methods measured in paired rounds (docs/lua.md, compare).
--
-- A bound, as in "at least 3 times as fast", is compared with the low end of the ratio's interval. A published
-- multiple is a point estimate, so it is compared with the ratio.

local paired = {}

-- Whether label a is at least `times` as fast as b on a tag. A value of .9 allows a to be 1 / .9 times slower.
function paired.faster(r, a, b, tag, times)
  local _, low = r.ratio(a, b, tag)
  if times then return low >= times end
  return low > 1
end

-- Whether a is faster than b by the published factor.
function paired.published(r, a, b, tag, times)
  return (r.ratio(a, b, tag)) >= times
end

return paired
