-- channi.lua - Shared by the configs of CHANNI: the data, the baselines, and the comparison of points of a sweep.
--
-- A point names the axes of its sweep in order. Where nprobe is the only axis, as in most of these configs, it is
-- "LABEL[nprobe=8]". Clusters have graphs, as in the paper. target_cluster is 1000, as specified. --quick has a few
-- thousand rows and a smaller target_cluster, so there are several clusters.

local spfresh = require "spfresh"
local channi = { with = spfresh.with, point = spfresh.point, recall_at = spfresh.recall_at, sift = spfresh.sift }

channi.target = quick and 100 or 1000
local base = { cluster_index = "graph", target_cluster = channi.target, flat_below = quick and 25 or nil }

-- Word vectors under cosine. Clustered directions on a sphere where they are missing.
function channi.words()
  local there, words = pcall(dataset, "w2v100")
  if there then return words end
  print "w2v100 is not at hand: a synthetic mixture of as many rows instead"
  return synthetic { kind = "mixture", rows = 100000, dim = 100, clusters = 300 }
end

-- A share of the bytes of n rows in megabytes, for cache_mb.
function channi.megabytes(n, row_bytes, share) return math.max(1, math.ceil(n * row_bytes * share / 1048576)) end

-- CHANNI with params in addition to target_cluster. more: knobs, sweep, rebuild, ablations.
function channi.index(label, params, more)
  local m = { "channi", label = label, params = spfresh.with(base, params) }
  for key, value in pairs(more or {}) do m[key] = value end
  return method(m)
end

-- hnswlib and our HNSW, with the parameters that configs/targets/tune_baselines.lua found best. Both hold floats, as
-- hnswlib has no bytes.
function channi.hnswlib(label, more)
  return method(spfresh.with({ "hnswlib", label = label or "hnswlib", params = { M = 16, ef_construction = 200 } }, more))
end
function channi.hnsw(label, more)
  return method(spfresh.with({ "hnsw", label = label or "hnsw", element = "f32", params = { M = 16, ef_construction = 200 } }, more))
end

-- Whether these labels returned no repeated, unknown or deleted id.
function channi.no_wrong_ids(r, labels, tag)
  for _, label in ipairs(labels) do
    if r(label, "wrong_ids/" .. tag) ~= 0 then return false end
  end
  return true
end

return channi
