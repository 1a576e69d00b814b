-- Vectors of your own: ./harness configs/examples/own_vectors.lua --set data=/path/to/vectors.fbin
--
-- The file is HDF5, fvecs, bvecs, fbin, u8bin, npy, idx or text. Its last rows are the queries: a tenth, at most 200. Half of
-- the others are loaded, then the rest arrive: does the index that was trained on the first half hold its recall?
local path = option("data", "", "a file with vectors; without it, synthetic ones")
local data = path ~= "" and file(path) or synthetic { kind = "drift", rows = 10200, dim = 32 }
local last = #data - math.max(1, math.min(200, #data // 10))
local half = last // 2
assert(half > 0, "at least 3 rows are needed")
local lists = math.ceil(math.sqrt(half))

experiment {
  name = "own_vectors", k = 10,
  workload = function(w)
    w:train  { data:rows(1, half) }
    w:insert { data:rows(1, half), tag = "load" }
    w:insert { data:rows(half + 1, last), tag = "arrive" }
    w:search { data:rows(last + 1, #data), tag = "q" }
  end,
  methods = {
    method { "flat", label = "exact" },
    method { "divf", params = { clusters = lists }, sweep = { nprobe = { 1, 4, 16 } } },
    method { "hnsw", sweep = { ef_search = { 16, 64 } } },
  },
}
