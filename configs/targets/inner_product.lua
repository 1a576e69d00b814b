-- inner_product.lua - The targets under inner product: at recall .95 dynamic IVF has at least the rate of FAISS's inverted
-- file, one query at a time and in a batch; a query of vamana and of hnsw takes no longer than one of hnswlib.
--
-- Data: words; --set data=speech, changelogs or photo-hog takes another. Claims are set for words.
--
-- Dynamic IVF makes lists by L2, in one dimension more, which stands for what a row's length lacks; here with RaBitQ of
-- five bits and of one. FAISS chooses lists by inner product. All are swept over the number of lists and nprobe, graphs
-- over their degree and their beam.

local data    = require("datasets").open "words"
local rows    = option("rows", quick and 10000 or 60000, "inserted")
local queries = option("queries", quick and 200 or 1000, "asked")
local lists   = quick and { 100 } or { 128, 256, 512, 1024 }

local degrees = quick and { 16 } or { 12, 16, 24 }
local beams   = { 16, 24, 32, 48, 64, 128, 256, 512 }

local function swept(name, label, params)
  return method { name, label = label, params = params, grid = { clusters = lists }, sweep = { nprobe = { 2, 4, 8, 16, 32, 64, 128 } } }
end

experiment {
  name = "target_inner_product",
  title = "Inner product",
  metric = "ip", repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "ask" }
  end,

  methods = {
    swept("divf", "dynamic IVF", { quantizer = "rabitq", bits = 5, split_threshold = 0 }),
    swept("divf", "dynamic IVF, 1 bit", { quantizer = "rabitq", bits = 1, split_threshold = 0 }),
    swept("faiss-ivf-flat", "FAISS IVF"),
    method { "hnsw", grid = { M = degrees }, sweep = { ef_search = beams } },
    method { "vamana", grid = { degree = quick and { 32 } or { 24, 32, 48 } }, sweep = { search_list = beams } },
    method { "hnswlib", grid = { M = degrees }, params = { ef_construction = 200 }, sweep = { ef_search = beams } },
  },

  claims = {
    { "(ours) at recall .95 a query takes no longer than FAISS's, one at a time", function(r)
        return r.most("dynamic IVF", "single_qps@recall=0.95/ask") >= r.most("FAISS IVF", "single_qps@recall=0.95/ask") end },
    { "(ours) nor in a batch", function(r)
        return r.most("dynamic IVF", "qps@recall=0.95/ask") >= r.most("FAISS IVF", "qps@recall=0.95/ask") end },
    { "(ours) at recall .95 a query of vamana takes no longer than hnswlib's, one at a time", function(r)
        return r.most("vamana", "single_qps@recall=0.95/ask") >= r.most("hnswlib", "single_qps@recall=0.95/ask") end },
    { "(ours) nor one of hnsw", function(r)
        return r.most("hnsw", "single_qps@recall=0.95/ask") >= r.most("hnswlib", "single_qps@recall=0.95/ask") end },
  },

  figures = { { "pareto", x = "single_qps", y = "recall@10", title = "One query at a time, inner product" } },
}
