-- baselines.lua - What the options of the exact baselines of 64-bit codes do: M-tree, MVP-tree, Hamming-weight tree and
-- multi-index hashing.
--
-- The data are those of the HFTrie paper, with fewer codes: ten planted clusters of ten in uniform codes. All settings
-- are exact. The comparison is the share of codes that a query is compared with, and memory.

local hftrie   = require "hftrie"
local n        = option("n", quick and 5000 or 100000, "uniform codes")
local clusters = 10
local codes    = hftrie.codes(n, clusters, 10)

local function tree(label, ablations) return method { label, ablations = ablations } end
local function of(r, metric, label, choice, tag)
  return r(choice and ("%s[%s]"):format(label, choice) or label, ("%s/%s"):format(metric, tag or "radius 4"))
end
local function compared(r, label, choice, tag) return of(r, "distances_percent", label, choice, tag) end

experiment {
  name = "hftrie_baselines",
  title = "Options of the baselines for 64-bit codes",
  publication = "HFTrie",
  seed = 1, repeats = 1, threads = 1,

  workload = function(w)
    w:insert { hftrie.planted(codes, clusters), tag = "planted" }
    w:insert { codes:rows(1, n), tag = "load" }
    w:range { codes:queries(clusters), radius = 4, tag = "radius 4" }
    w:range { codes:queries(clusters), radius = 10, tag = "radius 10" }
    w:delete { random = n // 10, tag = "leave" }
    w:range { codes:queries(clusters), radius = 4, tag = "after deletions" }
  end,

  methods = {
    tree("mtree", { { "nodes of 64", { node_capacity = 64 } }, { "random promotion", { promotion = "random" } } }),
    tree("mvptree", { { "one vantage point", { vantage_points = 1 } }, { "four parts", { branch_factor = 4 } },
                      { "paths of 8", { path_length = 8 } }, { "leaves of 64", { leaf_capacity = 64 } } }),
    tree("hwtree", { { "leaves of 10", { leaf_capacity = 10 } }, { "leaves of 10, 1 level", { leaf_capacity = 10, max_depth = 1 } } }),
    tree("mih", { { "2 tables", { tables = 2 } }, { "8 tables", { tables = 8 } }, { "keys of 10 bits", { key_bits = 10 } } }),
    hftrie.scan(),
  },

  claims = {
    { "(ours) M-tree: small nodes compare a query with fewer codes than large ones, and take more memory", function(r)
      return compared(r, "mtree", "nodes of 64") < compared(r, "mtree") and of(r, "index_bytes", "mtree", "nodes of 64", "load") > of(r, "index_bytes", "mtree", nil, "load")
    end },
    { "(ours) M-tree: the pair of the smallest radius is a better choice than a random one", function(r)
      return compared(r, "mtree") < compared(r, "mtree", "random promotion")
    end },
    { "(ours) MVP-tree: two vantage points per node compare a query with fewer codes than one, and four parts with fewer than two", function(r)
      return compared(r, "mvptree") < compared(r, "mvptree", "one vantage point") and compared(r, "mvptree", "four parts") < compared(r, "mvptree")
    end },
    { "(ours) MVP-tree: eight distances on a code's path exclude nine of ten that are compared without them, at radius 4", function(r)
      return compared(r, "mvptree", "paths of 8") < .1 * compared(r, "mvptree")
    end },
    { "(ours) Hamming-weight tree: without the parts of codes it compares with more of them", function(r)
      return compared(r, "hwtree", "leaves of 10") < .1 * compared(r, "hwtree") and compared(r, "hwtree", "leaves of 10") < compared(r, "hwtree", "leaves of 10, 1 level")
    end },
    { "(ours) MIH: 4 tables read fewer codes at radius 4 than 2 or 8, and keys that fit the rows fewer than short ones", function(r)
      local least = compared(r, "mih")
      return least < compared(r, "mih", "2 tables") and least < compared(r, "mih", "8 tables") and least < compared(r, "mih", "keys of 10 bits")
    end },
    { "(ours) every setting is exact", function(r)
      for _, label in ipairs { "mtree[random promotion]", "mvptree[paths of 8]", "hwtree[leaves of 10, 1 level]", "mih[keys of 10 bits]" } do
        for _, tag in ipairs { "radius 4", "radius 10", "after deletions" } do
          if of(r, "range_recall", label, nil, tag) ~= 1 then return false end
        end
      end
      return true
    end },
  },

  figures = {
    { "bars", y = "distances_percent", x = "label", group = "tag", where = { tag = { "radius 4", "radius 10" } }, title = "Distances in % of the codes" },
    { "bars", y = "index_bytes", x = "label", where = { tag = "load" }, title = "Memory" },
  },
}
