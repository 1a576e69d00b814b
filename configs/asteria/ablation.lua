-- ablation.lua - The contribution of each part of Asteria: without the graph, without the code, with other rotations,
-- and with other sizes.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.
--
-- The paper names these ablations: no CAPRG, no ECC, BOR against dense OPQ, and different m, code rates and probes.
-- The others are ours: other rotations, learned vantages, the order of probes, the rank and bits of LRSQ, passes and
-- training; without --quick also batches, learning rate and sample, the pool of links, the confidence of the scan's bound,
-- and exact distances by LRSQ's estimates. The comparison is at recall .95: the rate and the rows scanned. Rows are in memory, in heuristic mode.

local data    = require("datasets").open("photo-hog", "cosine")
local rows    = option("rows", quick and 2000 or 50000, "vectors")
local queries = data:queries(option("queries", quick and 50 or 500, "asked"))
local probes  = quick and { 1, 4, 16, 64 } or { 1, 2, 4, 8, 16, 32, 64, 128 }
local steps   = quick and 60 or nil

local rotations = {
  { "Hadamard", { rotation = "hadamard" } }, { "identity", { rotation = "identity" } }, { "PCA", { rotation = "pca" } },
  { "OPQ", { rotation = "opq" } }, { "OPQ, blocks of 6", { rotation = "opq", lrsq_block = 6 } },
  { "two passes", { passes = 2 } }, { "not trained", { train_steps = 0 } }, { "from the identity", { init = "identity" } }, { "not centred", { centering = false } },
  { "learned vantages", { vantages = "learned" } },
}
local codes = {
  { "no ECC", { code = "none" } }, { "Hamming", { code = "hamming" } }, { "BCH", { code = "bch" } },
  { "6 bits", { address_bits = 6 } }, { "8 bits", { address_bits = 8 } }, { "10 bits", { address_bits = 10 } }, { "12 bits", { address_bits = 12 } },
}
local graphs = {
  { "no CAPRG", { caprg = false } }, { "degree 8", { degree = 8 } }, { "degree 32", { degree = 32 } }, { "own bucket only", { r0 = 0 } },
}
local walks = { 16, 64 }
local training = {
  { "batches of 128", { batch = 128 } }, { "batches of 2048", { batch = 2048 } }, { "rate .0025", { learning_rate = .0025 } }, { "rate .04", { learning_rate = .04 } },
  { "trained on 2000 rows", { train_rows = 2000 } },
}
local links = { { "pool of 16", { pool = 16 } }, { "pool of 256", { pool = 256 } }, { "linked at once", { link_policy = "insert" } } }
local confidence = { { "eps0 .9", { eps0 = .9 } }, { "eps0 4", { eps0 = 4 } } }

local function group(label, list, graph)
  return method { "asteria", label = label, params = { rotation = "bor", train_steps = steps, caprg = graph }, sweep = { nprobe = probes }, ablations = list }
end
local function scanned(r, label) return r(label, "scanned@recall=0.95/asked") end
-- OPQ balances variance within blocks. The best block size depends on the data.
local function scanned_by_opq(r) return math.min(scanned(r, "rotation[OPQ]"), scanned(r, "rotation[OPQ, blocks of 6]")) end
local function rate(r, label) return r(label, "single_qps@recall=0.95/asked") end

experiment {
  name = "asteria_ablation", title = "Asteria without its parts, one by one",
  publication = "Asteria",
  seed = 1, k = 10, threads = 1, timeout = 3600,

  workload = function(w)
    w:train  { data:rows(1, rows):sample(math.min(rows, 20000)), tag = "train" }
    w:insert { data:rows(1, rows), tag = "load" }
    w:maintain { tag = "settle" }
    w:search { queries, tag = "asked" }
  end,

  methods = {
    group("rotation", rotations), group("code", codes), group("graph", graphs, true),
    method { "asteria", label = "beam", params = { rotation = "bor", train_steps = steps, caprg = true }, sweep = { nprobe = probes, beam = walks } },
    method { "asteria", label = "order", params = { rotation = "bor", train_steps = steps }, sweep = { nprobe = probes, probe_order = { "hybrid", "centre", "score", "bound" } } },
    method { "asteria", label = "LRSQ", params = { rotation = "bor", train_steps = steps, storage = "tiered", cache_mb = 0 }, knobs = { exact = false, nprobe = 64 },
             grid = { r = { 48, 96, 192, 324 }, bits = { 4, 6, 8 } } },
    method { "asteria", label = "certified", params = { rotation = "bor", train_steps = steps }, knobs = { mode = "certified" }, sweep = { use_b1 = { false, true }, use_b2 = { false, true }, use_b3 = { false, true } } },
    table.unpack(quick and {} or {
      group("training", training), group("links", links, true), group("confidence", confidence),
      method { "asteria", label = "exact distances", params = { rotation = "bor" }, knobs = { nprobe = 64 }, sweep = { rerank = { 10, 40, 160, 0 } } },
    }) },

  claims = {
    { "the learned rotation beats dense OPQ: fewer rows scanned at recall .95", function(r) return scanned(r, "rotation") < scanned_by_opq(r) end },
    { "and a Hadamard rotation that is not learned", function(r) return scanned(r, "rotation") < scanned(r, "rotation[Hadamard]") end },
    { "error correction pays: fewer rows scanned at .95 than with as many raw bits", function(r) return scanned(r, "code") < scanned(r, "code[no ECC]") end },
    { "the graph pays: a higher rate at .95 than without", function(r) return rate(r, "beam") > rate(r, "graph[no CAPRG]") end },
    { "(ours) certified answers are the truth whichever bounds are used", function(r)
      for _, b1 in ipairs { "false", "true" } do
        for _, b3 in ipairs { "false", "true" } do
          if r(("certified[use_b1=%s,use_b2=true,use_b3=%s]"):format(b1, b3), "recall@10/asked") ~= 1 then return false end
        end
      end
      return true
    end },
    table.unpack(quick and {} or {
      { "(ours) more confidence in the scan's bound costs distances and finds no more; less loses recall", function(r)
        local function found(choice) return r(("confidence[%snprobe=64]"):format(choice), "recall@10/asked") end
        local function compared(choice) return r(("confidence[%snprobe=64]"):format(choice), "distances/asked") end
        return compared "eps0 4," > 1.5 * compared "" and found "eps0 4," <= found "" + .01 and found "eps0 .9," < found ""
      end },
      { "(ours) LRSQ's estimates alone do not choose the rows to compare: with 10 exact distances recall is lower than with all that pass", function(r)
        return r("exact distances[rerank=10]", "recall@10/asked") < r("exact distances[rerank=0]", "recall@10/asked")
      end },
    }),
  },

  figures = {
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "asked", label = "rotation" }, title = "Rotations: recall and rows scanned" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "asked", label = "code" }, title = "Codes: recall and rows scanned" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "asked", label = { "graph", "beam" } }, title = "The graph: recall and rate" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "asked", label = "order" }, title = "Order of probes: recall and rate" },
    { "heatmap", x = "r", y = "bits", group = "recall@10", where = { tag = "asked", label = "LRSQ" }, title = "Recall from LRSQ codes alone, 64 probes" },
    { "bars", y = "seconds", x = "point", where = { tag = "train", label = "rotation" }, title = "Training time" },
  },
}
