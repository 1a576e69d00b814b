-- churn_sift.lua - Churn on real data at constant size, with every policy of deletion: each round replaces the oldest
-- 30 %.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- In the paper's churn experiment (configs/copenhagen/churn_gaussian.lua) the index shrinks to a fourteenth, on data
-- without neighbourhoods. Here the number of SIFT descriptors is constant and their order is random, so only the
-- index changes. Dynamic IVF and FAISS IVF train once, on the first rows. HNSW deletes in three ways: a filter in the
-- graph, replacement of deleted rows by new ones, and a rebuild every round.
--
-- An inverted file stays as it was, at microseconds per vector. A graph with a filter grows with every vector ever
-- inserted, a replacement costs several fresh insertions, and a rebuild costs a full build. Where deleted vectors are
-- only dropped from ten times k answers (FAISS's HNSW here), recall falls from round to round.
--
-- --set images=true inserts the rows picture by picture. Then the inserted rows differ from the deleted ones and from the
-- training sample.
local n      = option("rows", quick and 3000 or 25000, "descriptors live")
local rounds = option("rounds", quick and 2 or 6, "rounds of churn")
local images = option("images", false, "rows in the order of their pictures, in place of a random one")
local lists  = option("lists", quick and 64 or 256, "clusters of every inverted file")

local part = math.floor(0.3 * n)
local datasets = require "datasets"
local sift = (images and datasets.stream or datasets.open) "photo-sift"

local probes = { 4, 8, 16, 32 }

local function ivf(name, label, params)
  params.clusters = lists
  return method { name, label = label, element = "f32", params = params, sweep = { nprobe = probes } }
end

local function graph(label, deletes)
  return method { "hnswlib", label = label, params = { M = 16, ef_construction = 100 },
                  sweep = { ef_search = { 16, 32, 64, 128 } }, deletes = deletes }
end

local one, two, codes = "dynamic IVF", "dynamic IVF soft_k=2", "dynamic IVF, RaBitQ"
local faiss, dropped = "FAISS IVF", "FAISS HNSW, dead dropped"
local filtered, replaced, rebuilt = "hnswlib, filter", "hnswlib, replace", "hnswlib, rebuild"

-- The value of a metric in the last round over its value in the first search, at one point.
local function kept(r, point, metric)
  return r(point, ("%s/churn#%d"):format(metric, rounds + 1)) / r(point, metric .. "/churn#1")
end

local function seconds(r, label) return r(label, "seconds/arrive") + r(label, "seconds/leave") end

experiment {
  name = "churn_sift",
  title = "Churn on SIFT descriptors: 30 % per round, constant size",
  publication = "Copenhagen 0.1.0",
  seed = 1, seeds = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, n) }
    w:insert { sift:rows(1, n), tag = "load" }
    w:search { sift:queries(500), tag = "churn" }
    for round = 1, rounds do
      w:delete { oldest = part, tag = "leave" }
      w:insert { sift:rows(n + (round - 1) * part + 1, n + round * part), tag = "arrive" }
      w:search { sift:queries(500), tag = "churn" }
    end
  end,

  methods = {
    ivf("divf", one, { soft_k = 1 }),
    ivf("divf", two, { soft_k = 2 }),
    ivf("divf", codes, { soft_k = 1, quantizer = "rabitq", bits = 5 }),
    ivf("faiss-ivf-flat", faiss, {}),
    graph(filtered, "filter"), graph(replaced, "replace"), graph(rebuilt, "rebuild"),
    method { "faiss-hnsw", label = dropped, params = { M = 16, ef_construction = 100 },
             sweep = { ef_search = { 16, 64 } }, deletes = "filter", overfetch = 10 },
  },

  claims = {
    { "(ours) dynamic IVF keeps its recall at nprobe 16 (within .01)", function(r)
      return math.abs(kept(r, one .. "[nprobe=16]", "recall@10") - 1) <= 0.01
    end },
    { "(ours) no method answers a deleted vector", function(r)
      for _, point in ipairs { one .. "[nprobe=16]", two .. "[nprobe=16]", codes .. "[nprobe=16]", faiss .. "[nprobe=16]",
                               filtered .. "[ef_search=64]", replaced .. "[ef_search=64]" } do
        if r(point, "wrong_ids/churn") > 0 then return false end
      end
      return true
    end },
    { "(ours) dynamic IVF reads no more copies after the churn than before it (within 5 %)", function(r)
      return kept(r, one .. "[nprobe=16]", "scanned") <= 1.05
    end },
    { "(ours) filtered, the graph computes more distances a query as the dead pile up", function(r)
      return kept(r, filtered .. "[ef_search=64]", "distances") >= 1.3
    end },
    { "(ours) fetching ten times k and dropping the dead loses 2 points of recall or more", function(r)
      return kept(r, dropped .. "[ef_search=64]", "recall@10") <= 0.98
    end },
    { "(ours) replacing costs at least twice a fresh insertion", function(r)
      return r(replaced .. "[ef_search=64]", "ns_each/arrive") >= 2 * r(replaced .. "[ef_search=64]", "ns_each/load")
    end },
    { "(ours) a round of dynamic IVF takes a fiftieth of any graph's, or less", function(r)
      local ours = seconds(r, one .. "[nprobe=16]")
      return 50 * ours <= seconds(r, replaced .. "[ef_search=64]") and 50 * ours <= seconds(r, rebuilt .. "[ef_search=64]")
    end },
  },

  figures = {
    { "timeline", y = "recall@10", where = { tag = "churn", point = { "nprobe=16", "ef_search=64" } },
      title = "Recall, round by round" },
    { "timeline", y = "single_qps", where = { tag = "churn", point = { "nprobe=16", "ef_search=64" } },
      title = "Queries per second, one query at a time" },
    { "timeline", y = "index_bytes", where = { tag = "churn", point = { "nprobe=16", "ef_search=64" } },
      title = "Memory" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "churn" }, title = "Recall and throughput over the rounds" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "churn" }, title = "Recall at equal work" },
    { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "load", "arrive", "leave" },
      point = { "nprobe=16", "ef_search=64" } }, title = "ns per inserted or deleted vector" },
  },
}
