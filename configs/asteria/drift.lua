-- drift.lua - Asteria under drift, frozen and retrained: clothes replace digits, and the model was trained on digits.
--
-- In each of ten rounds a tenth of the digits leaves and as many clothes arrive. A frozen index keeps its rotation
-- and code. A retrained index trains again on its own rows once half as many have arrived as it was trained for. It
-- migrates its buckets in maintain(). The baselines are an Asteria index rebuilt every round,
-- and FAISS's fast-scan index, frozen and rebuilt. The statistic bit_drift is the distance of the mean bits of the
-- words from those of the training sample.

local asteria = require "asteria"
local digits, clothes = dataset { "mnist", metric = "cosine" }, dataset { "fashion-mnist", metric = "cosine" }
local rows    = option("rows", quick and 2000 or 40000, "live")
local rounds  = option("rounds", quick and 4 or 10, "until all digits are gone")
local part    = rows // rounds
local asked   = clothes:queries(option("queries", quick and 100 or 200, "asked of clothes"))
local old     = digits:queries(quick and 100 or 200)
local probes  = quick and { 4, 16, 64 } or { 4, 8, 16, 32, 64 }
local mark    = 16

local lists   = quick and { 2, 8, 32 } or { 2, 4, 8, 16, 32 }

local frozen, retrained, centreless, rebuilt = "frozen", "retrained", "frozen, not centred", "rebuilt each round"
local faiss = ("IVF%d,PQ392x4fs,RFlat"):format(asteria.lists(rows))

local function index(label, params, more)
  return method(asteria.with({ "asteria", label = label, params = asteria.with({ train_steps = quick and 100 or nil }, params), sweep = { nprobe = probes } }, more))
end
local function at(label) return ("%s[nprobe=%d]"):format(label, mark) end
local function last(r, label, metric) return r(at(label), ("%s/clothes#%d"):format(metric, rounds)) end

experiment {
  name = "asteria_drift", title = "Asteria under drift: frozen and retrained",
  publication = "Asteria",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1, metric = "cosine", timeout = 3600,

  workload = function(w)
    w:train  { digits:rows(1, math.min(rows, 20000)) }
    w:insert { digits:rows(1, rows), tag = "load" }
    w:search { old, tag = "digits" }
    for round = 1, rounds do
      w:delete { oldest = part, tag = "leave" }
      w:insert { clothes:rows((round - 1) * part + 1, round * part), tag = "arrive" }
      w:maintain { tag = "settle" }
      w:search { asked, tag = "clothes" }
    end
  end,

  methods = {
    index(frozen, {}, { ablations = not quick and { { "buckets rewritten at once", { compact_share = 0 } }, { "never rewritten", { compact_share = 1 } } } or nil }),
    index(retrained, { retrain_share = .5 }),
    index(centreless, { centering = false }),
    index(rebuilt, {}, { rebuild = "arrive" }),
    method { "faiss-factory", label = "fast-scan, frozen", params = { factory = faiss }, deletes = "filter", sweep = { nprobe = lists }, knobs = { k_factor_rf = 8 } },
    method { "faiss-factory", label = "fast-scan, rebuilt", params = { factory = faiss }, rebuild = "arrive", sweep = { nprobe = lists }, knobs = { k_factor_rf = 8 } },
  },

  claims = {
    { "re-training is optional: frozen, recall of what came last is within 5 points of the retrained index's at equal nprobe", function(r)
      return last(r, frozen, "recall@10") >= last(r, retrained, "recall@10") - .05
    end },
    { "(ours) and worth it: retrained, recall .95 costs fewer rows scanned in the end than frozen", function(r)
      return r(retrained, ("scanned@recall=0.95/clothes#%d"):format(rounds)) < r(frozen, ("scanned@recall=0.95/clothes#%d"):format(rounds))
    end },
    { "no answer is repeated, unknown or deleted in any round", function(r)
      return asteria.no_wrong_ids(r, { at(frozen), at(retrained), at(centreless) }, "clothes")
    end },
    { "(ours) fitting anew and moving over costs less than rebuilding every round", function(r)
      return r(at(retrained), "seconds/settle") + r(at(retrained), "seconds/arrive") < r(at(rebuilt), "seconds/arrive")
    end },
  },

  figures = {
    { "timeline", y = { "recall@10", "scanned" }, where = { tag = "clothes", point = "nprobe=" .. mark }, title = "Recall and rows scanned at fixed nprobe" },
    { "timeline", y = { "p50_ns", "stats.bit_drift" }, where = { tag = { "clothes", "settle" }, point = "nprobe=" .. mark }, title = "Latency and drift of the bits" },
    { "timeline", y = { "seconds", "index_bytes" }, where = { tag = { "arrive", "settle" }, point = "nprobe=" .. mark }, title = "Time and memory of updates" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "clothes" }, title = "Recall and rate, all rounds" },
  },
}
