-- pq8.lua - The product quantizer of the dynamic IVF paper, 8 groups with 256 codewords each, beside FAISS's.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Both have the same number of lists and code residuals in 8 bytes. FAISS answers by estimates alone. divf answers by
-- exact distances: with rerank = k the answers are the k best estimates, so the recall is that of the codes. The rows
-- with rerank = 100 have the paper's later setting, 100 vectors by exact distance.

local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 100000, "descriptors inserted")
local queries = option("queries", quick and 200 or 1000, "asked")
local lists = option("lists", quick and 128 or 512, "clusters")

local probes = { 1, 4, 16, 64 }

local function ours(label, params, rerank)
  params.clusters, params.split_threshold, params.quantizer = lists, 0, "pq"
  return method { "divf", label = label, element = "f32", params = params, sweep = { nprobe = probes }, knobs = { rerank = rerank } }
end

-- "np" turns off polysemous training.
local function faiss(label, factory, knobs)
  return method { "faiss-factory", label = label, params = { factory = factory:format(lists) },
                  sweep = { nprobe = probes }, knobs = knobs }
end

-- With one probe the lists decide, and these are not the same ones.
local function as_good(probe)
  return { ("at nprobe %d the recall of the codes is within .01 of FAISS's"):format(probe), function(r)
    local point = ("[nprobe=%d]"):format(probe)
    return math.abs(r("PQ 8x8" .. point, "recall@10/full") - r("FAISS PQ8" .. point, "recall@10/full")) <= 0.01
  end }
end

experiment {
  name = "pq8",
  title = "8-bit product quantization beside FAISS's",
  publication = "Copenhagen 0.1.0",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, rows) }
    w:insert { sift:rows(1, rows), tag = "load" }
    w:search { sift:queries(queries), tag = "full" }
  end,

  methods = {
    ours("PQ 8x8", { pq_bits = 8 }, 10),
    faiss("FAISS PQ8", "IVF%d,PQ8np"),
    ours("PQ 8x8, rerank 100", { pq_bits = 8 }, 100),
    ours("PQ 16x4, rerank 100", { pq_groups = 16 }, 100),
    faiss("FAISS PQ8, rerank 100", "IVF%d,PQ8np,RFlat", { k_factor_rf = 10 }),
  },
  claims = { as_good(4), as_good(16), as_good(64) },
}
