-- hamming_real.lua - Range search at every radius in hashes of real images, shared by configs/hftrie/hamming_real.lua
-- and hamming_real_dhash.lua.

local hftrie, paired = require "hftrie", require "paired"

local real = {}

-- Every second radius to 32, and a few larger ones. Beyond half of the bits all codes are found.
local radii = { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 40, 48, 64 }

local function queries_at(radius, most)
  return math.min(most, radius <= 8 and most or radius <= 20 and 100 or 20)
end

-- of: { name, title, images = view, kind }
function real.run(of)
  local all  = hashes { of.images, kind = of.kind }:shuffle(1)
  local most = option("queries", quick and 100 or 500, "hashes held back from the index, and asked for; fewer past radius 8")
  local n    = math.min(#all - most, option("rows", quick and 5000 or #all - most, "hashes in the index"))
  local base, queries = all:rows(1, n), all:rows(#all - most + 1, #all)
  local multi, scan = "hftrie multi", "scan"
  local exact = { multi, "hftrie standard", "MIH, copied", "MIH, slots", "FAISS flat", scan }

  local plain = multi .. "[no permutation]"
  local shown = { multi, "hftrie standard", "MIH, copied", "MIH, slots", "FAISS flat", "FAISS multi-hash, 2 flips", scan }

  -- The mean size of the bucket that a code is in, in the table where that is largest.
  local function crowd(r, label)
    local most = 0
    for i = 0, 3 do most = math.max(most, r(label, ("stats.crowding_%d/load"):format(i))) end
    return most
  end
  -- One query at a time, at all radii up to a given one.
  local function in_turn(a, b, up_to, budget)
    local tags = {}
    for i, radius in ipairs(radii) do
      if radius <= up_to then tags[i] = "range#" .. i end
    end
    return { a, b, tags = tags, single = true, budget = budget }
  end

  experiment {
    name = of.name, title = of.title,
    publication = "HFTrie",
    seed = 1, repeats = 1, threads = 1,

    workload = function(w)
      w:train { base:rows(1, math.min(n, 50000)) }
      w:insert { base, tag = "load" }
      for _, radius in ipairs(radii) do
        w:range { queries:rows(1, queries_at(radius, most)), radius = radius, tag = "range" }
      end
      w:delete { random = n // 2, tag = "leave" }
      w:range { queries:rows(1, queries_at(10, most)), radius = 8, tag = "after" }
    end,

    methods = {
      hftrie.multi(nil, { ablations = { { "no permutation", { permute = false } } } }), hftrie.standard(), hftrie.mih "copied", hftrie.mih "slots",
      method { "faiss-factory", label = "FAISS flat", params = { factory = "BFlat" } },
      method { "faiss-factory", label = "FAISS multi-hash, 2 flips", params = { factory = "BHash4x16" }, knobs = { nflip = 2 } },
      hftrie.scan(), hftrie.one_index(),
    },

    compare = {
      in_turn(multi, "MIH, copied", 8, 20), in_turn(multi, "MIH, slots", 8, 20),
      in_turn(scan, "MIH, copied", 32, 60),
    },

    claims = {
      { "(ours) hftrie multi is never slower than the scan by more than 10 %, at any radius 0 to 64", function(r)
        return hftrie.all(#radii, function(i) return hftrie.never_slower(r, ("p50_ns/range#%d"):format(i)) end)
      end },
      { "(ours) it is exact at every radius, and so are hftrie standard, MIH and both scans", function(r)
        for _, label in ipairs(exact) do -- means over all radii
          if r(label, "range_recall/range") ~= 1 or r(label, "range_precision/range") ~= 1 then return false end
        end
        return true
      end },
      { "(ours) and still is when half of the codes are gone", function(r)
        return r(multi, "range_recall/after") == 1 and r(multi, "wrong_ids/after") == 0
      end },
      { "(ours) skew is where plain MIH fails: at some radius up to 32 it is slower than the scan", function(r)
        for i, radius in ipairs(radii) do
          if radius <= 32 and paired.faster(r, scan, "MIH, copied", "range#" .. i) then return true end
        end
        return false
      end },
      { "(ours) the codes are skewed: in blocks of bits as they stand a code shares its fullest table's bucket with five times as many as "
        .. "in hftrie multi's blocks", function(r)
        return crowd(r, plain) >= 2 * crowd(r, multi)
      end },
      { "(ours) half of the memory of MIH with copied codes, and two thirds of that of MIH with slots, or less", function(r)
        local bytes = r(multi, "index_bytes/load")
        return bytes <= .5 * r("MIH, copied", "index_bytes/load") and bytes <= .67 * r("MIH, slots", "index_bytes/load")
      end },
      { "(ours) at radius 8 and below hftrie multi is no slower than either MIH by more than 10 %", function(r)
        return hftrie.all(5, function(i)
          local tag = "range#" .. i
          return paired.faster(r, multi, "MIH, copied", tag, 1 / 1.1) and paired.faster(r, multi, "MIH, slots", tag, 1 / 1.1)
        end)
      end },
      { "(ours) MIH with copied codes is faster at small radii: at radius 2 in four fifths of hftrie multi's time, or less", function(r)
        local _, _, high = r.ratio(multi, "MIH, copied", "range#2")
        return high <= .8
      end },
    },

    figures = {
      { "radius", y = "mean_ns", baseline = scan, where = { tag = "range", label = shown }, title = of.kind .. ": one range search; rings are where a method meets the scan" },
      { "radius", y = { "distances_percent", "range_results" }, where = { tag = "range", label = shown }, title = of.kind .. ": work, and what is found" },
      { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "load", "leave" }, label = shown }, title = of.kind .. ": ns an insertion and a deletion" },
      { "bars", y = "stats.crowding_0", x = "label", where = { tag = "load", label = shown }, title = of.kind .. ": codes in the bucket of a code, first table" },
      { "bars", y = "index_bytes", x = "label", where = { tag = "load", label = shown }, title = of.kind .. ": memory" },
    },
  }
end

return real
