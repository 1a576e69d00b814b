-- filter.lua - Searches by attributes: what conditions cost in recall and distances, before and after rows were replaced.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Each row has a price, a shop and a year, which do not depend on its place. Conditions on one or on several of them
-- pass one row in ten, in a hundred and in a thousand. CHANNI keeps the attributes in its cluster files: it leaves out
-- clusters without a row that passes, searches more clusters the fewer rows pass, and below one in a hundred compares
-- all rows that pass. HNSW and the scan get the rows that pass as a filter of ids. The paper names metadata filters as
-- work to be done, and states nothing.

local channi = require "channi"
local n      = option("rows", quick and 6000 or 60000, "descriptors; a quarter of them is replaced")
local asked  = option("queries", quick and 100 or 500, "queries")
local sift   = require("datasets").open "photo-sift"
local data   = sift:rows(1, n + n // 4)
local probes = quick and { 4, 16 } or { 2, 4, 8, 16, 32 }
local mark   = 16

local shops = {}
for i = 1, 50 do shops[i] = "shop " .. i end
local function attributes(rows, from)
  local years = {}
  for i = 1, rows do years[i] = from + i * 10 // (rows + 1) end -- as they came
  return { price = { uniform = { 0, 1000 }, missing = .05 }, shop = { classes = #shops, names = shops, skew = 1 }, year = { values = years } }
end

local tags = { "no condition", "a tenth by price", "a hundredth by three", "a thousandth by three" }
local cache = channi.megabytes(n, sift, 2) -- all clusters: a search by a rare attribute touches many

experiment {
  name = "channi_filter",
  title = "CHANNI: searches by attributes",
  publication = "CHANNI",
  seed = 1, k = 10, threads = 1, timeout = 3600,

  workload = function(w)
    local function ask(when)
      local queries = sift:queries(asked)
      w:search { queries, tag = tags[1] .. when }
      w:search { queries, where = { price = { 0, 105 } }, tag = tags[2] .. when }
      w:search { queries, where = { price = { 0, 350 }, shop = { "shop 2", "shop 3" }, year = { 2003, 2004 } }, tag = tags[3] .. when }
      w:search { queries, where = { price = { 0, 20 }, shop = { ["not"] = { "shop 1", "shop 2", "shop 3" } }, year = 2005 }, tag = tags[4] .. when }
    end
    w:insert { data:rows(1, n), batch = 1000, attributes = attributes(n, 2000), tag = "load" }
    w:maintain {}
    ask ""
    w:delete { random = n // 4 }
    w:insert { data:rows(n + 1, #data), batch = 200, attributes = attributes(n // 4, 2001), tag = "replace" }
    w:maintain { tag = "settle" }
    ask ", later"
  end,

  methods = {
    channi.index("CHANNI", { cache_mb = cache }, { sweep = { nprobe = probes } }),
    channi.index("codes", { cluster_index = "codes", cache_mb = cache }, { sweep = { nprobe = probes } }),
    channi.hnsw("HNSW", { sweep = { ef_search = quick and { 40 } or { 20, 40, 80, 160 } } }),
    method { "flat", label = "scan" },
  },

  claims = {
    { "(ours) conditions cost no recall: with each, and after the rows were replaced, it is within a point of a search without", function(r)
      for _, label in ipairs { "CHANNI", "codes" } do
        local plain = r(channi.point(label, mark), "recall@10/" .. tags[1])
        for _, tag in ipairs(tags) do
          for _, when in ipairs { "", ", later" } do
            if r(channi.point(label, mark), "recall@10/" .. tag .. when) < plain - .01 then return false end
          end
        end
      end
      return true
    end },
    { "(ours) a conjunction that passes less than one row in a hundred is answered exactly", function(r)
      return r(channi.point("CHANNI", mark), "recall@10/" .. tags[4]) == 1 and r(channi.point("CHANNI", mark), "recall@10/" .. tags[4] .. ", later") == 1
    end },
    { "(ours) and with fewer distances than a search without conditions", function(r)
      return r(channi.point("CHANNI", mark), "distances/" .. tags[4]) < r(channi.point("CHANNI", mark), "distances/" .. tags[1])
    end },
    { "(ours) no row is answered that was deleted or does not meet the conditions", function(r)
      return channi.no_wrong_ids(r, { channi.point("CHANNI", mark), channi.point("codes", mark) }, tags[3] .. ", later")
    end },
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = tags[2], label = { "CHANNI", "codes", "HNSW" } }, title = "Recall and distances, a condition that passes one row in ten" },
    { "bars", y = "recall@10", x = "label", group = "tag", where = { tag = tags, label = { "CHANNI", "codes" }, point = "nprobe=" .. mark }, title = "Recall by condition, 16 clusters" },
    { "bars", y = "distances", x = "label", group = "tag", where = { tag = tags, label = { "CHANNI", "codes", "scan" }, point = { "nprobe=" .. mark, "" } }, title = "Distances by condition, 16 clusters" },
  },
}
