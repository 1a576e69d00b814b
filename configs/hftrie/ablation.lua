-- ablation.lua - The contribution of each choice in hftrie: bits per level, codes per leaf, the kind of search, and
-- the parts of multi.
--
-- The data are n uniform codes with planted clusters of ten. Range searches at radius 4 and 10 follow, then a tenth
-- is deleted. The paper has 4 bits per level and 10 codes per leaf throughout. Here chunk_bits x leaf_capacity is
-- varied for its standard and its fast search. Recall depends on the bits per level: the fast search follows one
-- flipped bit per level, so fewer bits lose less recall and cost more.
--
-- multi is also built without its permutation of bits and without its fallback to the scan. On uniform codes the
-- permutation has no effect. hamming_real.lua has codes that are not uniform.

local hftrie, paired = require "hftrie", require "paired"
local n        = option("n", quick and 20000 or 500000, "uniform codes")
local clusters = option("clusters", quick and 10 or 50, "planted clusters of ten, and so queries")
local codes    = hftrie.codes(n, clusters, 10)
local chunks   = { 1, 2, 4, 8 }
local leaves   = quick and { 10, 64, 256 } or { 4, 10, 32, 128, 512, 2048 }

local function trie(mode)
  return method { "hftrie", label = mode, params = { mode = mode }, grid = { chunk_bits = chunks, leaf_capacity = leaves } }
end
local function at(mode, bits, leaf) return ("%s[chunk_bits=%d,leaf_capacity=%d]"):format(mode, bits, leaf) end
local source = { bits = 4, leaf = 10 }

local function heat(mode, metric, tag, title)
  return { "heatmap", x = "chunk_bits", y = "leaf_capacity", group = metric, where = { label = mode, tag = tag }, title = title }
end

experiment {
  name = "ablation_hftrie",
  title = "hftrie: bits per level, codes per leaf, kinds of search",
  publication = "HFTrie",
  seed = 1, repeats = 1, threads = 1,

  workload = function(w)
    w:insert { hftrie.planted(codes, clusters), tag = "planted" }
    w:insert { codes:rows(1, n), tag = "load" }
    w:range { codes:queries(clusters), radius = 4, tag = "radius 4" }
    w:range { codes:queries(clusters), radius = 10, planted = hftrie.members, tag = "radius 10" }
    w:range { codes:queries(math.min(clusters, 10)), radius = 24, tag = "radius 24" }
    w:delete { random = n // 10, tag = "leave" }
  end,

  methods = {
    trie "standard", trie "fast",
    hftrie.multi("multi", { ablations = { { "no permutation", { permute = false } }, { "no fallback", { plan = "tables" } } } }),
    hftrie.scan(),
  },

  compare = {
    { at("standard", source.bits, source.leaf), at("standard", source.bits, leaves[#leaves]), tags = "radius 10", single = true, budget = 30 },
    { "multi", "multi[no fallback]", tags = "radius 24", single = true, budget = 30 },
  },

  claims = {
    { "(ours) recall of the fast search falls with the bits a level", function(r)
      local last = 2
      for _, bits in ipairs(chunks) do
        local recall = r(at("fast", bits, source.leaf), "range_recall/radius 10")
        if recall > last then return false end
        last = recall
      end
      return true
    end },
    { "(ours) the standard search is exact at every setting", function(r)
      for _, bits in ipairs(chunks) do
        for _, leaf in ipairs(leaves) do
          if r(at("standard", bits, leaf), "range_recall/radius 10") ~= 1 then return false end
        end
      end
      return true
    end },
    { "(ours) larger leaves than the source's make the standard search faster and take less memory", function(r)
      local own, larger = at("standard", source.bits, source.leaf), at("standard", source.bits, leaves[#leaves])
      return paired.faster(r, larger, own, "radius 10") and r(larger, "index_bytes/load") < r(own, "index_bytes/load")
    end },
    { "(ours) without fallback multi is slower at radius 24", function(r)
      return paired.faster(r, "multi", "multi[no fallback]", "radius 24")
    end },
  },

  figures = {
    heat("standard", "mean_ns", { "radius 4", "radius 10" }, "Standard search, ns"),
    heat("fast", "mean_ns", { "radius 4", "radius 10" }, "Fast search, ns"),
    heat("fast", "range_recall", { "radius 4", "radius 10" }, "Fast search, true recall"),
    heat("standard", "distances_percent", { "radius 4", "radius 10" }, "Standard search, distances in % of the codes"),
    heat("standard", "index_bytes", "load", "Memory, bytes"),
    heat("standard", "ns_each", { "load", "leave" }, "ns an insertion, and a deletion"),
    { "bars", y = "mean_ns", x = "label", group = "tag", where = { label = { "multi", "scan" }, tag = { "radius 4", "radius 10", "radius 24" } },
      title = "multi without its parts" },
  },
}
