-- certified.lua - Asteria's certified search, one query at a time, beside a scan of all rows: both are exact. By the kind of
-- LRSQ codes, since a certified search reads the code of nearly every row.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.

local data, name = require("datasets").open("photo-hog", "cosine")
local rows = option("rows", math.min(quick and 5000 or 100000, #data), "rows stored")
local asked = option("queries", quick and 50 or 500, "asked")

local function certified(label, r, bits, pca)
  return method { "asteria", label = label, element = "f32", params = { rotation = "bor", r = r, bits = bits, lrsq_pca = pca, train_steps = quick and 100 or nil },
    knobs = { mode = "certified" } }
end

local best = "64 axes, 8 bits"

experiment {
  name = "asteria_certified",
  title = ("Certified search and a scan, %d rows of %s"):format(rows, name),
  seed = 1, repeats = 3, k = 10, threads = 1, metric = "cosine",

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(asked), tag = "ask" }
  end,

  methods = {
    certified("96 coordinates, 8 bits", 96, 8, false),
    certified("96 axes, 8 bits", 96, 8, true),
    certified(best, 64, 8, true),
    certified("64 axes, 6 bits", 64, 6, true),
    certified("96 axes, 4 bits", 96, 4, true),
    method { "flat", element = "f32" },
  },

  figures = {
    { "bars", y = "p50_ns", where = { tag = "ask" }, title = "A query, exact" },
  },

  claims = {
    { "(ours) every search is exact", function(r)
      return r("96 coordinates, 8 bits", "recall@10/ask") == 1 and r(best, "recall@10/ask") == 1 and r("flat", "recall@10/ask") == 1
    end },
    { "(ours) a certified search takes at most a third of a scan's time", function(r)
      return r(best, "p50_ns/ask") <= r("flat", "p50_ns/ask") / 3
    end },
  },
}
