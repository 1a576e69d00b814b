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

-- The rows as a stream that drifts: those of photo-sift and photo-hog picture by picture, others in the order of their file.
function datasets.in_order(rows, name)
  return (name == "photo-sift" or name == "photo-hog") and rows:sort_by "picture" or rows
end

-- As open, in that order.
function datasets.stream(default)
  local rows, name = datasets.open(default)
  return datasets.in_order(rows, name), name
end

return datasets
