-- scaling.lua - The paper's "routing cost independent of global density": probes, distances, hops and time from 1e4
-- vectors up.
--
-- Each size has two indexes. One has the address bits that suit its size (about 200 vectors per bucket), which is
-- Asteria's rule. The other has the bits of the smallest size, so its buckets grow. That is what "independent of
-- density" would require. The figures fit slopes on logarithmic axes. --set rows=10000000 continues to 1e7 where
-- memory suffices.

local asteria = require "asteria"
local rows    = option("rows", quick and 8000 or 320000, "vectors at the largest size")
local dim     = option("dim", 128, "components of a vector")
local steps   = option("steps", quick and 3 or 6, "sizes, each twice the one before")
local data    = synthetic { kind = "sphere", rows = rows, dim = dim }
local queries = data:queries(option("queries", quick and 100 or 500, "asked at every size"))
local probes  = { 1, 2, 4, 8, 16, 32, 64, 128 }
local mark    = 16

local steps_of_training = quick and 100 or nil
local sizes = {}
for i = steps - 1, 0, -1 do sizes[#sizes + 1] = rows >> i end
local function bits(n) return math.max(1, math.floor(math.log(n / 200, 2) + .5)) end
local function slope(first, last) return math.log(last / first) / math.log(sizes[#sizes] / sizes[1]) end

local grown, fixed, baseline = "buckets of 200", "as many buckets as at first", "hnswlib"
local function at(label) return label == baseline and "hnswlib[ef_search=64]" or ("%s[nprobe=%d]"):format(label, mark) end
local function by_size(r, label, metric) -- at equal recall
  return slope(r(label, ("%s/size#1"):format(metric)), r(label, ("%s/size#%d"):format(metric, #sizes)))
end

experiment {
  name = "asteria_scaling", title = "Asteria: the cost of a query as vectors grow",
  publication = "Asteria",
  seed = 1, k = 10, threads = 1, timeout = 7200, size_hint = false,

  workload = function(w)
    w:train { data:rows(1, math.min(rows, 20000)) }
    local before = 0
    for _, size in ipairs(sizes) do
      w:insert { data:rows(before + 1, size), tag = "come" }
      w:maintain { tag = "settle" }
      w:search { queries, tag = "size" }
      before = size
    end
  end,

  methods = {
    method { "asteria", label = grown, params = { train_steps = steps_of_training, address_bits = math.min(12, bits(rows)) }, sweep = { nprobe = probes } },
    method { "asteria", label = fixed, params = { train_steps = steps_of_training, address_bits = bits(sizes[1]) }, sweep = { nprobe = probes } },
    method { "asteria", label = "with the graph", params = { train_steps = steps_of_training, address_bits = math.min(12, bits(rows)), caprg = true }, sweep = { nprobe = probes } },
    method { "hnswlib", label = baseline, params = { M = 16, ef_construction = 200 }, sweep = { ef_search = { 16, 32, 64, 128, 256 } } },
  },

  claims = {
    { "routing cost is independent of global density: at fixed buckets the exact distances for recall .9 grow with a slope below .1", function(r)
      return by_size(r, fixed, "distances@recall=0.9") < .1
    end },
    { "expected candidates grow sublinearly: the rows scanned for recall .9 with a slope below .8", function(r)
      return by_size(r, grown, "scanned@recall=0.9") < .8
    end },
    { "insertion does not slow: a vector at the last size costs at most 1.5 times what it costs at the second", function(r)
      return r(at(grown), ("ns_each/come#%d"):format(#sizes)) <= 1.5 * r(at(grown), "ns_each/come#2")
    end },
    { "(ours) no answer is repeated or unknown", function(r) return asteria.no_wrong_ids(r, { at(grown), at(fixed) }, "size") end },
  },

  figures = {
    { "scaling", y = "p50_ns", where = { tag = "size", point = { "nprobe=" .. mark, "ef_search=64" } }, title = "Median latency of a search, by vectors" },
    { "scaling", y = "scanned", where = { tag = "size", point = "nprobe=" .. mark }, title = "Rows scanned, by vectors" },
    { "scaling", y = "distances", where = { tag = "size", point = { "nprobe=" .. mark, "ef_search=64" } }, title = "Exact distances, by vectors" },
    { "scaling", y = "ns_each", where = { tag = "come", point = { "nprobe=" .. mark, "ef_search=64" } }, title = "ns per insertion, by vectors" },
    { "timeline", y = { "recall@10" }, where = { tag = "size", point = { "nprobe=" .. mark, "ef_search=64" } }, title = "Recall at fixed nprobe, by vectors" },
  },
}
