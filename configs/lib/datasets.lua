-- datasets.lua - The data set of a config: its default, or the one that --set data=NAME names.
--
-- A config itself names its default, so that the tables of docs/experiments.md list it.

local datasets = {}

-- Sets of the same kind, for those who have the internet.
local alike = {
  ["photo-sift"] = "sift1m, gist1m or deep-10M",
  ["photo-hog"] = "laion-clip-300K or landmark-dino-768-cosine",
  words = "glove-100-angular",
}

-- A view of the rows. A name with a dot or a slash is a file of vectors. metric: how they are compared, instead of as the
-- data set says.
function datasets.named(name, metric)
  local opened = { name, metric = metric }
  return name:find("[/.]") and file(opened) or dataset(opened)
end

-- A view of the rows of --set data=NAME, and the name.
function datasets.open(default, metric)
  local name = option("data", default, ("a data set with queries, such as %s or %s"):format(default, alike[default]))
  return datasets.named(name, metric), name
end

-- The rows as a stream that drifts: those of photo-sift and photo-hog picture by picture, those of speech as they are spoken, others
-- in the order of their file.
local orders = { ["photo-sift"] = "picture", ["photo-hog"] = "picture", speech = "time" }
function datasets.in_order(rows, name)
  return orders[name] and rows:sort_by(orders[name]) or rows
end

-- As open, in that order.
function datasets.stream(default)
  local rows, name = datasets.open(default)
  return datasets.in_order(rows, name), name
end

-- A stream with a chosen share of drift: all rows that come after the first `before` ones are, at random, those of one half of
-- the labels, but for `share` of them, which are of the other half. share: from 0, no drift, to 1. part: the part of the data set
-- with a number per row that orders and so halves the rows, such as "labels".
function datasets.drifting(rows, part, share, before)
  if share < 0 or share > 1 then error(("drift=%g: expected a share from 0 to 1"):format(share), 0) end
  local sorted = rows:sort_by(part)
  local half = #sorted // 2
  if before >= half then error(("%d rows before the drift are too many: half of the rows are %d"):format(before, half), 0) end
  local old, new = sorted:rows(1, half):shuffle(1), sorted:rows(half + 1, #sorted):shuffle(2)
  local after = math.floor(math.min((half - before) / (1 - share), #new / share))
  local changed = math.floor(share * after + .5)
  local mixed
  if changed < after then mixed = old:rows(before + 1, before + after - changed) end
  if changed > 0 then mixed = mixed and mixed .. new:rows(1, changed) or new:rows(1, changed) end
  return old:rows(1, before) .. mixed:shuffle(3)
end

return datasets
