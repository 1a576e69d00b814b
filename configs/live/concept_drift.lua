-- concept_drift.lua - Rows come picture by picture and the oldest leave, while searches follow the newest rows.
--
-- Data: photo-sift in the order of its pictures; --set data=sift1m takes another in the order of its file. Claims are set for photo-sift.
--
-- --set drift=.2 is a dialled drift: rows come in random order, of one half of the pictures, but for a fifth of those that arrive after the load,
-- which are of the other half. CANDOR-Bench dials from .05 to .8. --set labels=PART: the part that halves another data set, such as labels.
-- `experiment.drift` of the result is the measured drift from the loaded rows to those that arrive.
--
-- Concept drift is one of the streams of CANDOR-Bench. Each round replaces a fifth of the rows under load: half of the operations are
-- searches, a quarter insertions, a quarter deletions of the oldest rows. After five rounds no row is left that the methods were trained on. The
-- reference is "trained anew": the dynamic IVF, built again before the last search.

local datasets = require "datasets"
local load     = require "load"
local data, set = datasets.open "photo-sift"
local n       = option("rows", quick and 4000 or 40000, "live")
local drift   = option("drift", 0, "the share of what arrives that is of the other half of the labels, from .05 to .8; 0: the order of the data set")
local labels  = option("labels", "picture", "the part with the labels, for drift")
local stream  = drift > 0 and datasets.drifting(data, labels, drift, n) or datasets.in_order(data, set)
local rounds  = option("rounds", 5, "of which each replaces a fifth of the rows")
local rate    = option("rate", quick and 4000 or 8000, "operations per second")
local queries = data:queries(option("queries", quick and 200 or 1000, "asked"))
local each    = n // 5
stream:rows(1, n):drift(stream:rows(n + 1, n + rounds * each))
local spare   = 6 * math.ceil(math.sqrt(each)) -- kinds are drawn at random
local operations = 4 * (each - spare)

local hnsw, divf, anew = "HNSW", "dynamic IVF", "dynamic IVF, trained anew"
local clusters = quick and 64 or 256
local params, knobs = { clusters = clusters }, { nprobe = 16 }

experiment {
  name = "concept_drift", title = "A window over rows that drift, under load",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    local loaded = stream:rows(1, n)
    w:train  { loaded }
    w:insert { loaded, tag = "load" }
    w:search { queries, tag = "before" }
    for round = 1, rounds do
      w:mix { queries, rows = stream:rows(n + (round - 1) * each + 1, n + round * each), search = .5, insert = .25, delete = .25, removes = "oldest",
              threads = 2, rate = rate, operations = operations, arrivals = "poisson", query_choice = "latest", repeated = true, tag = "drift" }
      w:search { queries, tag = "drifted" }
    end
    w:maintain {}
    w:search { queries, tag = "end" }
  end,

  methods = load.baselines({ clusters = clusters, deletes = true }, {
    method { "hnsw", label = hnsw, knobs = { ef_search = 64 } },
    method { "divf", label = divf, params = params, knobs = knobs },
    method { "divf", label = anew, params = params, knobs = knobs, rebuild = "maintain" },
  }),
  figures = { { "timeline", y = "recall@10", where = { tag = "drifted" } } },
  claims = {
    { "HNSW's recall is at most .02 below that before the drift", function(r)
      return r(hnsw, "recall@10/end") >= r(hnsw, "recall@10/before") - .02
    end },
    { "The dynamic IVF is within .03 of one that is trained anew", function(r)
      return r(divf, "recall@10/end") >= r(anew, "recall@10/end") - .03
    end },
    { "No deleted row is answered", function(r)
      return r(hnsw, "wrong_ids/end") + r(divf, "wrong_ids/end") == 0
    end },
  },
}
