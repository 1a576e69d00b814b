-- rotation.lua - The learned rotation beside principal axes, with and without a code, and what rotation = "auto"
-- chooses: on word vectors, descriptors or digits.
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.
--
-- Principal axes scan fewer rows for a recall, and cost a dense product per query. Which is faster depends on the
-- dimension and on the rows scanned, so --set data=words, photo-hog or mnist gives different answers.

local asteria = require "asteria"
local data, name = require("datasets").open("words", "cosine")
local rows    = option("rows", quick and 5000 or math.min(#data, 100000), "vectors")
local queries = data:queries(option("queries", quick and 100 or 500, "asked"))
local probes  = quick and { 4, 16, 64 } or { 16, 24, 32, 48, 64, 96, 128 }
-- Four bits each on the 100 dimensions of word vectors, as in static_words.lua.
local params  = { train_steps = quick and 100 or nil, rabitq_bits = name == "words" and 4 or nil }

local function rotated(label, rotation, code)
  return method { "asteria", label = label, params = asteria.with(params, { rotation = rotation, code = code }), sweep = { nprobe = probes } }
end
local function rate(r, label) return r(label, "single_qps@recall=0.95/asked") end

experiment {
  name = "asteria_rotation", title = "The learned rotation and principal axes",
  publication = "Asteria",
  seed = 1, k = 10, threads = 1, metric = "cosine", timeout = 3600,

  workload = function(w)
    w:train  { data:rows(1, rows):sample(math.min(rows, 10000)), tag = "train" }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { queries, tag = "asked" }
  end,

  methods = {
    rotated("learned", "bor"), rotated("learned, no code", "bor", "none"),
    rotated("principal axes", "pca"), rotated("principal axes, no code", "pca", "none"),
    rotated("auto", "auto"), rotated("auto, no code", "auto", "none"),
  },

  claims = {
    { "(ours) the learned rotation is at least as fast as principal axes at recall .95", function(r) return rate(r, "learned") >= rate(r, "principal axes") end },
    { "(ours) auto is within a tenth of the faster one", function(r) return rate(r, "auto") >= .9 * math.max(rate(r, "learned"), rate(r, "principal axes")) end },
  },

  figures = {
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "asked" }, title = "Recall and rows scanned" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "asked" }, title = "Recall and rate" },
  },
}
