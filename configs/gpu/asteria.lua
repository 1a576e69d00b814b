-- asteria.lua - Asteria with and without a GPU, on the same work: batches of rows are rotated and hashed on the device,
-- bit for bit as by the processor; certified searches of batches are bounded there by the rows' codes; the gradients of
-- training are computed there, with the same result. Decoding, codes and heuristic searches are the processor's in both.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.

local data = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 200000, "descriptors inserted")

local function variant(mode, device)
  return method { "asteria", label = mode .. ", " .. device,
    params = { rotation = "bor", lrsq_pca = true, device = device }, knobs = { mode = mode, nprobe = 32 } }
end

local function same(r, metric, mode)
  return r(mode .. ", cuda", metric) == r(mode .. ", cpu", metric)
end

local function faster(r, metric, mode)
  return r(mode .. ", cuda", metric) > r(mode .. ", cpu", metric)
end

experiment {
  name = "gpu_asteria",
  title = "Asteria: rows encoded and bounded by the processor and by a GPU",
  seed = 1, repeats = 3, k = 10, threads = 1, metric = "cosine",

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data:rows(1, rows - rows // 10), tag = "load" }
    w:search { data:queries(500), tag = "first" } -- copies the codes to the device
    w:insert { data:rows(rows - rows // 10 + 1, rows), tag = "more" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = { variant("heuristic", "cpu"), variant("heuristic", "cuda"), variant("certified", "cpu"), variant("certified", "cuda") },

  claims = {
    { "(ours) the answers do not depend on the device", function(r)
      return same(r, "recall@10/ask", "heuristic") and same(r, "recall@10/ask", "certified")
    end },
    { "(ours) training is faster on the device", function(r)
      return r("heuristic, cuda", "seconds/train") < r("heuristic, cpu", "seconds/train")
    end },
    { "(ours) insertion is faster on the device", function(r) return faster(r, "per_second/load", "heuristic") end },
    { "(ours) certified batches are faster on the device", function(r) return faster(r, "qps/ask", "certified") end },
  },
}
