-- asteria.lua - Shared by the configs of Asteria: the baselines, and the comparison of points of a sweep.
--
-- All data are under cosine. configs/targets/tune_baselines.lua found the parameters of the baselines
-- (docs/results/baselines.md). For FAISS's fast scan, a code of four bits for two dimensions is best. Eight-bit codes
-- for four dimensions are its usual IVF-PQ.

local spfresh = require "spfresh"
local asteria = { with = spfresh.with }

-- The number of lists of an inverted file: the power of two nearest, by ratio, to twice the square root of its rows.
function asteria.lists(rows)
  local power = math.floor(math.log(2 * math.sqrt(rows), 2) + .5)
  return math.max(16, 1 << power)
end

-- FAISS's quantised indexes, FAISS's HNSW, and hnswlib.
-- "OPQ": codes alone, one byte for two dimensions, at most 256 dimensions.
-- "OPQ fast-scan": at most 128 rotated dimensions, four bits for two, and float vectors to refine. It is the best of
-- FAISS on descriptors.
-- "OPQ, rows as bytes": the same, refined by bytes.
function asteria.baselines(dim, rows, probes)
  local lists, pairs2, fours = asteria.lists(rows), dim // 2, dim // 4
  local kept, most = math.min(128, dim // 4 * 4), math.min(128, pairs2)
  local function faiss(label, factory, knobs)
    return method { "faiss-factory", label = label, params = { factory = factory }, sweep = asteria.with({ nprobe = probes }, knobs) }
  end
  local baselines = {
    faiss("fast-scan", ("IVF%d,PQ%dx4fs,RFlat"):format(lists, pairs2), { k_factor_rf = quick and { 4, 16 } or { 4, 8, 16, 32, 64 } }),
    method { "hnswlib", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = asteria.ef } },
  }
  if quick then return baselines end -- the other baselines take minutes to train
  local slow = {
    faiss("IVF-PQ", ("IVF%d,PQ%dnp"):format(lists, fours)),
    faiss("OPQ", ("OPQ%d_%d,IVF%d,PQ%dnp"):format(most, 2 * most, lists, most)),
    faiss("OPQ, rows as bytes", ("OPQ%d_%d,IVF%d,PQ%dx4fs,Refine(SQ8)"):format(kept // 2, kept, lists, kept // 2), { k_factor_rf = { 4, 16, 64 } }),
    faiss("OPQ fast-scan", ("OPQ%d_%d,IVF%d,PQ%dx4fs,RFlat"):format(kept // 2, kept, lists, kept // 2), { k_factor_rf = { 4, 8, 16, 32, 64 } }),
    method { "faiss-hnsw", label = "FAISS HNSW", params = { M = 16 }, sweep = { ef_search = asteria.ef } },
  }
  for _, baseline in ipairs(slow) do baselines[#baselines + 1] = baseline end
  return baselines
end
asteria.ef = quick and { 16, 64, 256 } or { 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512 }
asteria.faiss = { "IVF-PQ", "OPQ", "OPQ, rows as bytes", "OPQ fast-scan", "fast-scan", "FAISS HNSW" }

-- Whether these labels returned no repeated, unknown or deleted id.
asteria.no_wrong_ids = require "channi".no_wrong_ids

return asteria
