-- ablation_divf.lua - The contribution of each part of dynamic IVF's scan, on SIFT descriptors.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The variants change the sketch and its length, the quantizer and its bits, the number of exact distances (rerank),
-- the condition that ends a scan (a number of lists, a budget, or a target recall), and whether rows are kept as the
-- bytes that they are, or as floats. The dynamic IVF paper scans every vector of a list in full, which is "no sketch"
-- here.
--
-- The bounds of the sketch, sq8 and pq always hold. These variants return the answers of a full scan and differ only
-- in work. The bound of rabitq fails with a small probability. rerank = r replaces the bound with r exact distances.
local paired = require "paired"
local sift  = require("datasets").open "photo-sift"
local rows  = option("rows", quick and 20000 or 100000, "descriptors inserted")
local lists = option("lists", quick and 128 or 316, "clusters")

local probes = quick and { 4, 16 } or { 4, 8, 16, 32, 64 }
local last = probes[#probes]
local function at(label) return label .. "[nprobe=" .. last .. "]" end

-- label, params, knobs
local variants = {
  { "no sketch",        { sketch = 0 } },
  { "sketch",           {} },
  { "sketch of 16",     { sketch = 16 } },
  { "sketch of 32",     { sketch = 32 } },
  { "sketch of 64",     { sketch = 64 } },
  { "sq8",              { quantizer = "sq8" } },
  { "pq",               { quantizer = "pq" } },
  { "rabitq, 1 bit",    { quantizer = "rabitq", bits = 1 } },
  { "rabitq, 5 bits",   { quantizer = "rabitq", bits = 5 } },
  { "rabitq, 1 bit, rerank 100", { quantizer = "rabitq", bits = 1 }, { rerank = 100 } },
  { "sketch, budget of 2000 codes", {}, { scan_budget = 2000 } },
}
if not quick then
  for _, v in ipairs { variants[1], variants[2], variants[6], variants[8] } do
    variants[#variants + 1] = { v[1] .. ", bytes", v[2], bytes = true }
  end
  -- less confidence in rabitq's bound than the paper's 1.9, and more
  for _, eps0 in ipairs { 0.9, 4 } do
    variants[#variants + 1] = { ("rabitq, 1 bit, eps0 %g"):format(eps0), { quantizer = "rabitq", bits = 1, eps0 = eps0 } }
  end
end

local methods = {}
for i, v in ipairs(variants) do
  local params = { clusters = lists, split_threshold = 0 }
  for key, value in pairs(v[2]) do params[key] = value end
  methods[i] = method { "divf", label = v[1], element = not v.bytes and "f32" or nil, params = params, knobs = v[3], sweep = { nprobe = probes } }
end

-- A query scans lists until the estimated recall reaches the target, instead of a fixed number of lists.
local stop, targets = "sketch, adaptive stop", quick and { 0.8, 0.95 } or { 0.8, 0.9, 0.95, 0.98 }
methods[#methods + 1] = method { "divf", label = stop, element = "f32", params = { clusters = lists, split_threshold = 0 },
                                 knobs = { nprobe = lists }, sweep = { target_recall = targets } }

experiment {
  name = "ablation_divf",
  title = "The contribution of each part of dynamic IVF's scan",
  publication = "Copenhagen 0.1.0",
  seed = 1, repeats = quick and 1 or 3, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, rows) }
    w:insert { sift:rows(1, rows), batch = 1000, tag = "load" }
    w:search { sift:queries(quick and 100 or 300), tag = "sift" }
  end,

  methods = methods,

  compare = { at "sketch", at "no sketch", tags = "sift", single = true, budget = 30 },

  claims = {
    { "(ours) a certain bound loses nothing: the sketch's recall is the full scan's, at every nprobe", function(r)
      for _, n in ipairs(probes) do
        local point = "[nprobe=" .. n .. "]"
        if math.abs(r("sketch" .. point, "recall@10/sift") - r("no sketch" .. point, "recall@10/sift")) > 1e-9 then return false end
      end
      return true
    end },
    { "(ours) sq8's and pq's recall is the full scan's too", function(r)
      return math.abs(r(at("sq8"), "recall@10/sift") - r(at("no sketch"), "recall@10/sift")) < 1e-9
        and math.abs(r(at("pq"), "recall@10/sift") - r(at("no sketch"), "recall@10/sift")) < 1e-9
    end },
    { "(ours) the sketch leaves at most a fifth of the exact distances", function(r)
      return r(at("sketch"), "distances/sift") <= 0.2 * r(at("no sketch"), "distances/sift")
    end },
    { "(ours) the sketch reads at most 60 % of the bytes", function(r)
      return r(at("sketch"), "bytes_read/sift") <= 0.6 * r(at("no sketch"), "bytes_read/sift")
    end },
    { "(ours) the sketch is at least 1.5 times as fast, one query at a time", function(r)
      return paired.faster(r, at("sketch"), at("no sketch"), "sift", 1.5)
    end },
    { "(ours) rabitq's bound loses at most .002 of recall", function(r)
      return r(at("rabitq, 5 bits"), "recall@10/sift") >= r(at("no sketch"), "recall@10/sift") - 0.002
        and r(at("rabitq, 1 bit"), "recall@10/sift") >= r(at("no sketch"), "recall@10/sift") - 0.002
    end },
    { "(ours) the adaptive stop reaches its target in the mean over queries (within .02), at every target", function(r)
      for _, target in ipairs(targets) do
        if r(("%s[target_recall=%g]"):format(stop, target), "recall@10/sift") < target - 0.02 then return false end
      end
      return true
    end },
    { "(ours) it costs little memory: the sketch adds at most 25 % to an index without", function(r)
      return r(at("sketch"), "index_bytes/load") <= 1.25 * r(at("no sketch"), "index_bytes/load")
    end },
    not quick and { "(ours) more confidence in rabitq's bound costs distances, less loses recall", function(r)
      local name = "rabitq, 1 bit, eps0 %s"
      return r(at(name:format "4"), "distances/sift") > r(at "rabitq, 1 bit", "distances/sift")
        and r(at(name:format "0.9"), "recall@10/sift") < r(at "rabitq, 1 bit", "recall@10/sift")
    end } or nil,
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", title = "Recall and throughput, one query at a time" },
    { "pareto", x = "bytes_read", y = "recall@10", title = "Recall and bytes read" },
    { "bars", y = "distances", where = { tag = "sift", point = "nprobe=" .. last }, title = "Exact distances per query" },
    { "bars", y = "seconds", where = { tag = { "train", "load" } }, title = "Build time" },
    { "memory", title = "Memory" },
  },
}
