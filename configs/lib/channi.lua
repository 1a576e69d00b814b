-- channi.lua - Shared by the configs of CHANNI: the baselines, and the comparison of points of a sweep.
--
-- A point names the axes of its sweep in order. Where nprobe is the only axis, as in most of these configs, it is
-- "LABEL[nprobe=8]". Clusters have graphs, as in the paper. target_cluster is 1000, as specified. --quick has a few
-- thousand rows and a smaller target_cluster, so there are several clusters.

local spfresh = require "spfresh"
local channi = { with = spfresh.with, point = spfresh.point, recall_at = spfresh.recall_at }

channi.target = quick and 100 or 1000
local base = { cluster_index = "graph", target_cluster = channi.target, flat_below = quick and 25 or nil }

-- A share of the bytes of n rows of a view in megabytes, for cache_mb.
function channi.megabytes(n, view, share)
  return math.max(1, math.ceil(n * view.dim * (view.element == "u8" and 1 or 4) * share / 1048576))
end

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
