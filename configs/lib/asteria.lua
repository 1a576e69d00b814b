-- asteria.lua - what the configs of Asteria share: the data, the methods it is held to, and how points of a sweep are compared.
--
-- All under cosine. Peers' parameters: configs/tune_peers.lua found two dimensions a code of four bits best for FAISS's fast scan (docs/results.md); eight-bit
-- codes of four dimensions are its usual IVF-PQ.

local spfresh = require "spfresh"
local asteria = { with = spfresh.with }

-- Image embeddings' stand-in: HOG descriptors of photographs; where they are not at hand, unit vectors of the same anisotropy.
function asteria.hog()
  local there, hog = pcall(dataset, "photo-hog")
  if there then return hog end
  print "photo-hog is not at hand: a synthetic sphere of as many rows instead"
  return synthetic { kind = "sphere", rows = 105688, dim = 324, mean_cosine = .75 }
end

function asteria.words() return require "channi".words() end

-- Embeddings' spectrum and common mean, made.
function asteria.sphere(dim, rows) return synthetic { kind = "sphere", rows = rows or 100000, dim = dim } end

-- Lists of an inverted file: the power of two nearest to twice the root of its rows, by ratio.
function asteria.lists(rows)
  local power = math.floor(math.log(2 * math.sqrt(rows), 2) + .5)
  return math.max(16, 1 << power)
end

-- FAISS's quantised indexes, its HNSW, and hnswlib. "OPQ": codes alone, a byte for two dimensions of 256 at most; "OPQ fast-scan": 128 dimensions of the rotated, four
-- bits for two, and the vectors as floats to refine by, which is the best of FAISS that was found on descriptors; "OPQ, rows as bytes": the same, refined by bytes.
function asteria.peers(dim, rows, probes)
  local lists, pairs2, fours = asteria.lists(rows), dim // 2, dim // 4
  local kept, most = math.min(128, dim // 4 * 4), math.min(128, pairs2)
  local function faiss(label, factory, knobs)
    return method { "faiss-factory", label = label, params = { factory = factory }, sweep = asteria.with({ nprobe = probes }, knobs) }
  end
  local peers = {
    faiss("fast-scan", ("IVF%d,PQ%dx4fs,RFlat"):format(lists, pairs2), { k_factor_rf = { 4, 8, 16, 32, 64 } }),
    method { "hnswlib", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = asteria.ef } },
  }
  if quick then return peers end -- the others take minutes to train
  local slow = {
    faiss("IVF-PQ", ("IVF%d,PQ%dnp"):format(lists, fours)),
    faiss("OPQ", ("OPQ%d_%d,IVF%d,PQ%dnp"):format(most, 2 * most, lists, most)),
    faiss("OPQ, rows as bytes", ("OPQ%d_%d,IVF%d,PQ%dx4fs,Refine(SQ8)"):format(kept // 2, kept, lists, kept // 2), { k_factor_rf = { 4, 16, 64 } }),
    faiss("OPQ fast-scan", ("OPQ%d_%d,IVF%d,PQ%dx4fs,RFlat"):format(kept // 2, kept, lists, kept // 2), { k_factor_rf = { 4, 8, 16, 32, 64 } }),
    method { "faiss-hnsw", label = "FAISS HNSW", params = { M = 16 }, sweep = { ef_search = asteria.ef } },
  }
  for _, peer in ipairs(slow) do peers[#peers + 1] = peer end
  return peers
end
asteria.ef = { 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512 }
asteria.faiss = { "IVF-PQ", "OPQ", "OPQ, rows as bytes", "OPQ fast-scan", "fast-scan", "FAISS HNSW" }

-- Whether no answer of these labels was repeated, unknown or deleted.
asteria.no_wrong_ids = require "channi".no_wrong_ids

return asteria
