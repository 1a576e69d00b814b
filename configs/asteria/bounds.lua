-- bounds.lua - The bounds of Asteria against every row: violations, coverage and tightness.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.
--
-- An audited search compares B1, B2 and B3 (docs/theory.md) with the exact distance of each live row, for each query.
-- A certified bound above the distance is a violation, and there must be none. Tightness is the share of rows that a
-- bound alone would prune in a search that knows its k-th distance.
--
-- The calibrated quantile of angles is compared with its coverage on held-out queries, on queries of another
-- distribution, and on rows after drift. It gives no guarantee under another distribution or after drift, and
-- certified mode never uses it.

local hog     = require("datasets").open("photo-hog", "cosine")
local dim     = hog.dim
local rows    = option("rows", quick and 2000 or 20000, "vectors, of the data and, as drift, of other data")
local asked   = option("queries", quick and 30 or 200, "asked of each kind")
local other   = synthetic { kind = "sphere", rows = rows, dim = dim, exponent = .5, mean_cosine = .2 }
local kinds   = { "held-out", "elsewhere", "drifted" }

local steps     = quick and 100 or nil
local rotations = { "bor", "hadamard", "pca" }
local codes     = { "golay", "none" }
local methods, labels = {}, {}
local function audited(label, params)
  params.train_steps = steps
  labels[#labels + 1] = label
  methods[#methods + 1] = method { "asteria", label = label, params = params, knobs = { audit = true }, element = "f32" }
end
for _, rotation in ipairs(rotations) do
  for _, code in ipairs(codes) do
    audited(rotation .. ", " .. code, { rotation = rotation, code = code })
  end
end
audited("bor, golay, r = 162", { r = 162 })
audited("bor, golay, scales of blocks", { lrsq_scale = "block" })

local function all(r, metric, tag, holds)
  for _, label in ipairs(labels) do
    if not holds(r(label, ("stats.%s/%s"):format(metric, tag))) then return false end
  end
  return true
end
local function none(r, metric)
  for _, kind in ipairs(kinds) do
    if not all(r, metric, kind, function(n) return n == 0 end) then return false end
  end
  return true
end

experiment {
  name = "asteria_bounds", title = "Asteria's bounds against every row",
  publication = "Asteria",
  seed = 1, k = 10, threads = 1, metric = "cosine",

  workload = function(w)
    w:train  { hog:rows(1, rows) }
    w:insert { hog:rows(1, rows), tag = "load" }
    w:search { hog:queries(asked), tag = "asked" }
    w:checkpoint "held-out"
    w:insert { other:rows(1, 1), tag = "one more" } -- an audit starts again when rows are inserted
    w:search { other:queries(asked), tag = "asked elsewhere" }
    w:checkpoint "elsewhere"
    w:insert { other:rows(2, rows), tag = "drift" }
    w:search { hog:queries(asked), tag = "asked again" }
    w:checkpoint "drifted"
  end,

  methods = methods,

  claims = {
    { "B1 never exceeds a distance: held-out queries, queries from elsewhere, rows that drifted", function(r) return none(r, "b1_violations") end },
    { "B2 never does", function(r) return none(r, "b2_violations") end },
    { "B3 never does, and its upper bound is never below", function(r) return none(r, "b3_violations") end },
    { "the calibrated quantile covers 98 % of pairs of held-out queries (99 % asked)", function(r)
      return all(r, "calibrated_coverage", "held-out", function(share) return share >= .98 end)
    end },
    { "Hamming distance bounds angles: it also covers 98 % where queries come from elsewhere", function(r)
      return all(r, "calibrated_coverage", "elsewhere", function(share) return share >= .98 end)
    end },
    { "the bounds of buckets pay: B1 or B2 alone spares half of the rows", function(r)
      return r("bor, golay", "stats.b1_pruned/held-out") >= .5 or r("bor, golay", "stats.b2_pruned/held-out") >= .5
    end },
    { "the bound of codes pays: B3 spares nine rows of ten", function(r) return r("bor, golay", "stats.b3_pruned/held-out") >= .9 end },
  },

  figures = {
    { "bars", y = "stats.b1_pruned", x = "label", group = "tag", where = { tag = kinds }, title = "Rows that B1 prunes in a search that knows its k-th distance" },
    { "bars", y = "stats.b2_pruned", x = "label", group = "tag", where = { tag = kinds }, title = "Rows that B2 prunes" },
    { "bars", y = "stats.b3_pruned", x = "label", group = "tag", where = { tag = kinds }, title = "Rows that B3 prunes" },
    { "bars", y = "stats.calibrated_coverage", x = "label", group = "tag", where = { tag = kinds }, title = "Coverage of the calibrated quantile" },
  },
}
