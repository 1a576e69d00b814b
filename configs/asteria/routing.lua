-- routing.lua - The paper's claim that "expected candidates per probe decay exponentially in h": candidates and true
-- neighbours by Hamming radius.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.
--
-- A ring of radius h has C(m, h) words, so candidates grow up to h = m/2. The quantity that should decay is the share
-- of true neighbours among them. An audited search counts both, and the calibrated quantile of angles
-- (docs/theory.md). Orders of probing are compared at equal nprobe.

local asteria = require "asteria"
local data    = require("datasets").open("photo-hog", "cosine")
local rows    = option("rows", quick and 3000 or #data, "vectors")
local queries = data:queries(option("queries", quick and 50 or 200, "asked"))
local probes  = quick and { 1, 16, 64 } or { 1, 2, 4, 8, 16, 32, 64, 128 }
local steps   = quick and 100 or nil
local orders  = { "hybrid", "centre", "score", "bound" }

local methods = {}
for _, order in ipairs(orders) do
  methods[#methods + 1] = method { "asteria", label = order, params = { train_steps = steps }, knobs = { probe_order = order, beam = 0 }, sweep = { nprobe = probes } }
end
methods[#methods + 1] = method { "asteria", label = "audited", params = { train_steps = steps }, knobs = { audit = true } }
methods[#methods + 1] = method { "asteria", label = "audited, Hadamard", params = { rotation = "hadamard" }, knobs = { audit = true } }

local function at(r, what, h) -- 0 where no row's word is at this distance
  local there, value = pcall(r, "audited", ("stats.%s_h%d/audit"):format(what, h))
  return there and value or 0
end

experiment {
  name = "asteria_routing", title = "Asteria: candidates and true neighbours by Hamming radius",
  publication = "Asteria",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, rows):sample(math.min(rows, 20000)), tag = "train" }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { queries, tag = "asked" }
    w:checkpoint "audit"
  end,

  methods = methods,

  claims = {
    { "expected candidates decay exponentially in h: a ring has at most half of what the one before it has, from h = 1 to 6", function(r)
      for h = 2, 6 do
        if at(r, "candidates", h) > at(r, "candidates", h - 1) / 2 then return false end
      end
      return true
    end },
    { "(ours) what decays is the yield: of a ring's rows a smaller share are true neighbours, ring for ring to h = 6", function(r)
      local before = math.huge
      for h = 0, 6 do
        local candidates = at(r, "candidates", h)
        local share = candidates > 0 and at(r, "neighbours", h) / candidates or before
        if share > before then return false end
        before = share
      end
      return true
    end },
    { "(ours) no answer is repeated or unknown, whatever the order", function(r)
      for _, order in ipairs(orders) do
        if not asteria.no_wrong_ids(r, { order .. "[nprobe=16]" }, "asked") then return false end
      end
      return true
    end },
  },

  figures = {
    { "profile", y = { "radius.candidates", "radius.neighbours" }, where = { label = "audited" }, title = "Candidates and true neighbours by Hamming radius of the words" },
    { "profile", y = { "radius.code_candidates", "radius.code_neighbours" }, where = { label = "audited" }, title = "Candidates and true neighbours by Hamming radius of the codewords" },
    { "profile", y = "radius.quantile", where = { label = { "audited", "audited, Hadamard" } }, title = "The 99 % quantile of angles at a radius, radians" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "asked", label = orders }, title = "Recall and rows scanned, by order of probing" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "asked", label = orders }, title = "Recall and rate, by order of probing" },
  },
}
