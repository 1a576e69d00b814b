-- asteria.lua - Asteria with and without a GPU, on the same work: batches of rows are rotated and hashed on the device,
-- bit for bit as by the processor. Decoding, codes and searches are the processor's in both.

local data = dataset "photo-sift"
local rows = option("rows", quick and 20000 or 200000, "descriptors inserted")

local function variant(device)
  return method { "asteria", label = device, params = { rotation = "bor", device = device }, knobs = { nprobe = 32 } }
end

experiment {
  name = "gpu_asteria",
  title = "Asteria: rows encoded by the processor and by a GPU",
  seed = 1, repeats = 3, k = 10, threads = 1, metric = "cosine",

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = { variant "cpu", variant "cuda" },

  claims = {
    { "(ours) the answers do not depend on the device", function(r) return r("cuda", "recall@10/ask") == r("cpu", "recall@10/ask") end },
    { "(ours) insertion is faster on the device", function(r) return r("cuda", "per_second/load") > r("cpu", "per_second/load") end },
  },
}
