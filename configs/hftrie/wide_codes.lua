-- wide_codes.lua - Codes of 256 bits: range search and the ten nearest by a scan, by multi-index hashing and by the HFTrie,
-- before and after half of the codes are deleted. --set bits=512: of another length, a multiple of 64 up to 1024.
--
-- The data are those of the HFTrie paper with longer codes: uniform codes, and planted clusters of ten, whose centres are the
-- queries. The paper has 64 bits, and so have the tables of hftrie's mode multi.
local hftrie = require "hftrie"
local n        = option("n", quick and 20000 or 200000, "uniform codes")
local bits     = option("bits", 256, "of a code")
local clusters = option("clusters", 20, "planted clusters of ten, and so queries")
local radius   = bits // 8 -- of the clusters

local codes = synthetic { kind = "uniform", rows = n, clusters = clusters, members = hftrie.members, radius = radius, bits = bits }
local scan, std, mih = "scan", "hftrie standard", "MIH"

experiment {
  name = "hftrie_wide_codes",
  title = ("Methods for codes of %d bits, compared"):format(bits),
  seed = 1, repeats = 1, threads = 1, k = 10,

  workload = function(w)
    local function ask(tag)
      for part = 0, 4 do w:range { codes:queries(clusters), radius = part * radius // 2, tag = tag .. "-range" } end
      w:search { codes:queries(clusters), tag = tag .. "-search" }
    end
    w:insert { codes:rows(1, #codes), tag = "load" }
    ask "full"
    w:delete { codes:rows(1, n // 2), tag = "delete" }
    ask "half"
  end,

  methods = {
    hftrie.scan(scan), hftrie.standard(), hftrie.quick(),
    method { "mih", label = mih, params = { tables = math.min(16, bits // 16) } },
  },

  claims = {
    { "(ours) the scan, MIH and hftrie's standard search find the exact answers, at every radius and of the ten nearest", function(r)
      for _, label in ipairs { scan, std, mih } do
        for _, tag in ipairs { "full", "half" } do
          for i = 1, 5 do
            local at = ("/%s-range#%d"):format(tag, i)
            if r(label, "range_recall" .. at) ~= 1 or r(label, "wrong_ids" .. at) ~= 0 then return false end
          end
          if r(label, ("recall@10/%s-search"):format(tag)) ~= 1 then return false end
        end
      end
      return true
    end },
    { "(ours) the planted codes are found: ten per query at the radius of the clusters", function(r)
      return r(scan, "range_results/full-range#3") >= hftrie.members
    end },
  },
}
