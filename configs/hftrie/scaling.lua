-- scaling.lua - The two scaling tables of the HFTrie paper: memory, insertion and range search as the index grows.
--
-- The data are 100K uniform codes and more, up to n_max, with planted clusters of ten. n_max is 16M; --set
-- n_max=128e6, the published end, takes some 50 minutes and 16 GB. Each size is reached from the one before. The
-- centres are the queries, at radius 10. That is the radius of the published tables: their line of 4M is line 10 of
-- the radius table.
--
-- The time to insert is that of the codes that brought the index to a size. The paper has the mean from the first
-- code on. "Query operations" are distance computations in per cent of the codes (distances_percent). The paper's
-- "recall" is results over 10, here planted_recall. It counts background codes too; range_recall is the true recall.
--
-- A SIMD scan is faster than the standard search at every size. From millions of codes on, an exact index takes about
-- as long as the fast search, which misses one code in seven.

local hftrie, paired = require "hftrie", require "paired"
local n_max    = option("n_max", quick and 400e3 or 16e6, "codes at the largest size")
local clusters = option("clusters", quick and 10 or 30, "planted clusters of ten, and so queries; the source has 10")
local radius   = option("radius", 10, "of the range search, and of the clusters")

local sizes = {}
for _, size in ipairs { 100e3, 200e3, 400e3, 800e3, 1e6, 2e6, 4e6, 8e6, 16e6, 32e6, 64e6, 128e6 } do
  if size <= n_max then sizes[#sizes + 1] = math.tointeger(size) end
end
assert(#sizes > 1, "n_max is below 200e3: there is nothing to scale")
local last = #sizes

local codes = hftrie.codes(sizes[last], clusters, radius)

-- N: MEM | insert time | query operations % | query time | recall %, for 100K, 200K, ... 128M.
local fast_table = {
  "4.0MB | 135 ns | 0.97 | 37.1 us | 87.2", "6.5MB | 146 ns | 0.96 | 72.9 us | 89.4", "12MB | 172 ns | 0.89 | 124 us | 88.2",
  "35MB | 241 ns | 0.43 | 206 us | 86.2", "45MB | 263 ns | 0.34 | 250 us | 86.0", "75MB | 297 ns | 0.30 | 387 us | 86.2",
  "127MB | 330 ns | 0.30 | 618 us | 85.6", "268MB | 373 ns | 0.25 | 953 us | 85.0", "727MB | 461 ns | 0.11 | 1.75 ms | 85.2",
  "1.2GB | 538 ns | 0.09 | 3.27 ms | 86.4", "1.9GB | 613 ns | 0.09 | 5.21 ms | 86.4", "4.3GB | 674 ns | 0.08 | 7.39 ms | 92.4",
}
local std_table = {
  "4.0MB | 134 ns | 89.5 | 3.40 ms | 100", "6.5MB | 142 ns | 89.5 | 6.54 ms | 100", "12MB | 169 ns | 86.7 | 11.7 ms | 100",
  "35MB | 238 ns | 65.7 | 30.4 ms | 100", "45MB | 257 ns | 60.7 | 39.7 ms | 100", "75MB | 295 ns | 58.8 | 68.5 ms | 100",
  "127MB | 327 ns | 58.6 | 111 ms | 100", "268MB | 363 ns | 51.2 | 191 ms | 100", "727MB | 457 ns | 29.0 | 454 ms | 100",
  "1.2GB | 533 ns | 27.1 | 783 ms | 100", "1.9GB | 604 ns | 27.0 | 1.29 s | 100", "4.3GB | 665 ns | 22.8 | 1.95 s | 100",
}

local function published(lines)
  local cells = {}
  for i = 1, last do hftrie.cells(lines[i], "insert#" .. i, "range#" .. i, cells) end
  return cells
end

local std, fast, multi, scan = "HFTrie-std", "HFTrie-fast", "hftrie multi", "scan"
local function at(r, label, metric, tag, i) return r(label, ("%s/%s#%d"):format(metric, tag, i)) end
local function growth(r, label, metric, tag) return at(r, label, metric, tag, last) / at(r, label, metric, tag, 1) end
local function times(n) return sizes[last] / sizes[1] * n end

-- From 4M codes on, one query at a time. The standard search is left out: a round takes seconds there.
local large = {}
for i, size in ipairs(sizes) do
  if size >= 4e6 then large[#large + 1] = "range#" .. i end
end

local shown = { std, fast, "hftrie standard", "hftrie fast", multi, "MIH, copied", "MIH, slots", scan }

experiment {
  name = "hftrie_scaling",
  title = "HFTrie as it grows",
  publication = "HFTrie",
  seed = 1, repeats = 1, threads = 1, timeout = 7200,
  size_hint = false, -- otherwise every index reserves memory for the last size at the start

  workload = function(w)
    w:insert { hftrie.planted(codes, clusters), tag = "planted" }
    local before = 0
    for _, size in ipairs(sizes) do
      w:insert { codes:rows(before + 1, size), tag = "insert" }
      w:range { codes:queries(clusters), radius = radius, planted = hftrie.members, tag = "range" }
      before = size
    end
  end,

  methods = {
    hftrie.std(), hftrie.fast(), hftrie.standard(), hftrie.quick(), hftrie.multi(),
    hftrie.mih "copied", hftrie.mih "slots", hftrie.scan(), hftrie.one_index(),
  },

  compare = #large > 0 and { multi, fast, tags = large, single = true, budget = 400 } or nil,

  paper = { [fast] = published(fast_table), [std] = published(std_table) },

  claims = {
    { "the standard search guarantees accuracy: recall 1 at every size", function(r)
      return r(std, "range_recall/range") == 1
    end },
    { "the fast search returns 85 to 92 % of each cluster at every size (within 5 points)", function(r)
      return hftrie.all(last, function(i)
        local recall = at(r, fast, "planted_recall", "range", i)
        return recall >= 0.80 and recall <= 0.97
      end)
    end },
    { "the fast search is ten times as fast as the standard one, or more, at every size", function(r)
      return hftrie.all(last, function(i)
        return at(r, std, "mean_ns", "range", i) >= 10 * at(r, fast, "mean_ns", "range", i)
      end)
    end },
    { "an insertion takes longer the more there is: at 16M over three times what it takes at 100K", function(r)
      return growth(r, fast, "ns_each", "insert") >= 3
    end },
    { "memory grows about as the index does (within a factor of 2)", function(r)
      local grown = growth(r, fast, "index_bytes", "insert")
      return grown >= times(1 / 2) and grown <= times(2)
    end },
    { "query operations fall: at the largest size the fast search computes a smaller share of the distances, and the standard one too",
      function(r)
        return growth(r, fast, "distances_percent", "range") < 1 and growth(r, std, "distances_percent", "range") < 1
      end },
    { "both searches grow slower than the index", function(r)
      return growth(r, fast, "mean_ns", "range") < times(1) and growth(r, std, "mean_ns", "range") < times(1)
    end },
    { "(ours) true recall of the fast search is below .95 at every size", function(r)
      return hftrie.all(last, function(i) return at(r, fast, "range_recall", "range", i) < 0.95 end)
    end },
    { "(ours) hftrie multi and both layouts of MIH are exact at every size", function(r)
      for _, label in ipairs { multi, "MIH, copied", "MIH, slots", "hftrie standard" } do -- means over all sizes
        if r(label, "range_recall/range") ~= 1 then return false end
      end
      return true
    end },
    { "(ours) hftrie multi is never slower than the scan by more than 10 %, and from 4M codes on, exact, faster than the fast search",
      function(r)
        return hftrie.all(last, function(i)
          return hftrie.never_slower(r, ("p50_ns/range#%d"):format(i))
            and (sizes[i] < 4e6 or paired.faster(r, multi, fast, "range#" .. i))
        end)
      end },
    { "(ours) from 1M codes on the scan is faster than the source's standard search", function(r)
      return hftrie.all(last, function(i)
        return sizes[i] < 1e6 or at(r, scan, "mean_ns", "range", i) < at(r, std, "mean_ns", "range", i)
      end)
    end },
    { "(ours) hftrie multi, which is not told how many will come, takes at most 70 bytes a code from 1M on", function(r)
      return hftrie.all(last, function(i)
        return sizes[i] < 1e6 or at(r, multi, "index_bytes", "insert", i) <= 70 * sizes[i]
      end)
    end },
  },

  figures = {
    { "scaling", y = "mean_ns", where = { tag = "range", label = shown }, title = "Time of a range search, radius " .. radius },
    { "scaling", y = "ns_each", where = { tag = "insert", label = shown }, title = "ns per insertion, by size of the index" },
    { "scaling", y = "index_bytes", where = { tag = "insert", label = shown }, title = "Memory" },
    { "scaling", y = "distances_percent", where = { tag = "range", label = shown }, title = "Query operations" },
    { "scaling", y = "range_recall", where = { tag = "range", label = shown }, title = "True recall" },
  },
}
