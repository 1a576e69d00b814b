-- divf.lua - Dynamic IVF with and without a GPU, on the same work: batches of rows find their lists on the device, and
-- batches of queries are compared there with the rows of theirs, or with their RaBitQ codes first.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- On a machine without one the cell of the GPU is `unsupported`, with the reason. docs/cuda.md says how the kernels run
-- on the processor instead.

local data = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or 200000, "descriptors inserted")
local lists = option("lists", 316, "clusters")

local function variant(device, quantizer)
  return method { "divf", label = quantizer and device .. ", " .. quantizer or device, element = "f32",
    params = { clusters = lists, split_threshold = 0, device = device, quantizer = quantizer }, knobs = { nprobe = 16 } }
end

experiment {
  name = "gpu_divf",
  title = "Dynamic IVF: insertion and search by the processor and by a GPU",
  seed = 1, repeats = 3, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data:rows(1, rows - rows // 10), tag = "load" }
    w:search { data:queries(500), tag = "first" } -- copies the rows to the device
    w:insert { data:rows(rows - rows // 10 + 1, rows), tag = "more" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = { variant "cpu", variant "cuda", variant("cpu", "rabitq"), variant("cuda", "rabitq") },

  claims = {
    { "(ours) the answers do not depend on the device, within .01 of the recall", function(r)
      return math.abs(r("cuda", "recall@10/ask") - r("cpu", "recall@10/ask")) <= .01
        and math.abs(r("cuda, rabitq", "recall@10/ask") - r("cpu, rabitq", "recall@10/ask")) <= .01
    end },
    { "(ours) insertion is faster on the device", function(r) return r("cuda", "per_second/load") > r("cpu", "per_second/load") end },
    { "(ours) batches of queries are faster on the device", function(r)
      return r("cuda", "qps/ask") > r("cpu", "qps/ask") and r("cuda, rabitq", "qps/ask") > r("cpu, rabitq", "qps/ask")
    end },
  },
}
