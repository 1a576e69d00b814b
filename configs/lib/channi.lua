-- channi.lua - what the configs of CHANNI share: the data, the methods it is held to, and how points of a sweep are compared.
--
-- A point names the axes of its sweep in order; where nprobe is the only one, as in most of these configs, it is "LABEL[nprobe=8]".
-- target_cluster is 1000, as specified; --quick has a few thousand rows and makes it smaller, so that there are clusters to choose from.

local spfresh = require "spfresh"
local channi = { with = spfresh.with, point = spfresh.point, recall_at = spfresh.recall_at, sift = spfresh.sift }

channi.target = quick and 100 or 1000
local base = quick and { target_cluster = channi.target, flat_below = 25 } or { target_cluster = channi.target }

-- Word vectors under cosine; where they are not at hand, directions on a sphere that lie in clusters.
function channi.words()
  local there, words = pcall(dataset, "w2v100")
  if there then return words end
  print "w2v100 is not at hand: a synthetic mixture of as many rows instead"
  return synthetic { kind = "mixture", rows = 100000, dim = 100, clusters = 300 }
end

-- Megabytes for a share of n rows' own bytes: what cache_mb takes.
function channi.megabytes(n, row_bytes, share) return math.max(1, math.ceil(n * row_bytes * share / 1048576)) end

-- CHANNI with params beside target_cluster. more: knobs, sweep, rebuild, ablations.
function channi.index(label, params, more)
  local m = { "channi", label = label, params = spfresh.with(base, params) }
  for key, value in pairs(more or {}) do m[key] = value end
  return method(m)
end

-- hnswlib's and our graph with the parameters that configs/tune_peers.lua found best; floats in both, as hnswlib has no bytes.
function channi.hnswlib(label, more)
  return method(spfresh.with({ "hnswlib", label = label or "hnswlib", params = { M = 16, ef_construction = 200 } }, more))
end
function channi.hnsw(label, more)
  return method(spfresh.with({ "hnsw", label = label or "hnsw", element = "f32", params = { M = 16, ef_construction = 200 } }, more))
end

-- Whether no answer of these labels was repeated, unknown or deleted.
function channi.no_wrong_ids(r, labels, tag)
  for _, label in ipairs(labels) do
    if r(label, "wrong_ids/" .. tag) ~= 0 then return false end
  end
  return true
end

return channi
