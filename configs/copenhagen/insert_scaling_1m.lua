-- insert_scaling_1m.lua - The cost of an insertion up to a million vectors. The dynamic IVF paper stops at 100,000.
--
-- The data are synthetic clusters in 128 dimensions. 316 lists are trained on the first 50,000 vectors and stay. The
-- rows arrive in batches of 1000.
--
-- The target is ours: the cost stays within 20 % from 10,000 to 1,000,000, and an insertion is at least 3 times as
-- fast as in FAISS's IVF. A search pays for it, so a figure shows its cost as well. HNSW is left out, as a million
-- insertions take minutes (insert_scaling_sift.lua has it).
local paired = require "paired"
local rows  = option("rows", quick and 100000 or 1000000, "vectors at the end")
local lists = option("lists", 316, "clusters of every inverted file")
local data  = synthetic { kind = "mixture", rows = rows, dim = 128, clusters = 1000 }

local sizes = {}
for _, size in ipairs { 10000, 30000, 100000, 300000, 1000000 } do
  if size <= rows then sizes[#sizes + 1] = size end
end

local ours, soft2, faiss = "dynamic IVF", "dynamic IVF soft_k=2", "FAISS IVF"
local function ivf(method_name, label, params)
  params.clusters = lists
  return method { method_name, label = label, params = params, knobs = { nprobe = 8 } }
end
local function ns(r, label, step) return r(label, "ns_each/insert#" .. step) end

experiment {
  name = "insert_scaling_1m",
  title = "The cost of an insertion up to a million vectors",
  publication = "Copenhagen 0.1.0",
  seed = 1, repeats = quick and 1 or 3, k = 10, threads = 1,

  workload = function(w)
    w:train { data:rows(1, math.min(50000, rows)) }
    local before = 0
    for _, size in ipairs(sizes) do
      w:insert { data:rows(before + 1, size), batch = 1000, tag = "insert" }
      w:search { data:queries(50), tag = "search" }
      before = size
    end
  end,

  methods = {
    ivf("divf", ours, { split_threshold = 0 }),
    ivf("divf", soft2, { soft_k = 2, split_threshold = 0 }),
    ivf("faiss-ivf-flat", faiss, {}),
  },

  compare = {
    { ours, faiss, tags = "insert#" .. #sizes, within = .1, budget = 120 },
    { ours, soft2, tags = "insert#" .. #sizes, within = .1, budget = 120 },
  },

  claims = {
    { "(ours) insertion is flat from the smallest size to the largest (within 20 %)", function(r)
      local growth = ns(r, ours, #sizes) / ns(r, ours, 1)
      return growth <= 1.2 and growth >= 0.8
    end },
    { "(ours) insertion is at least 3 times as fast as FAISS IVF at the largest size", function(r)
      return paired.faster(r, ours, faiss, "insert#" .. #sizes, 3)
    end },
    { "(ours) soft_k=2 costs less than twice as much", function(r)
      return paired.faster(r, soft2, ours, "insert#" .. #sizes, 1 / 2)
    end },
  },

  figures = {
    { "scaling", y = "ns_each", where = { tag = "insert" }, title = "ns per insertion, in batches of 1000" },
    { "scaling", y = "scanned", where = { tag = "search" }, title = "Copies that a query scans, by size of the index" },
    { "memory", title = "Memory for a million vectors" },
  },
}
