-- channi_static.lua - The experiment of configs/channi/static.lua and channi/static_words.lua: data that do not
-- change.
--
-- CHANNI searches a cluster in three ways (a graph, all of its vectors, RaBitQ codes) and has three caches
-- (everything, a quarter of the vectors, a tenth of them with reads past the page cache). The
-- baselines are hnswlib and our HNSW, which keep everything in memory, and FAISS's IVF with about as many lists
-- as there are clusters.

local channi = require "channi"
local static = {}

local probes = { 1, 2, 4, 8, 12, 16, 24, 32, 48, 64 }
local few    = { 4, 8, 16 }
local ef     = { 10, 16, 24, 32, 48, 64, 96, 128, 192 }
local mark   = 8 -- clusters probed where labels are compared

-- of: { name, title, data = view }
function static.run(of)
  local rows    = option("rows", quick and 6000 or #of.data, "vectors")
  local queries = option("queries", quick and 200 or 1000, "asked")
  local cold    = option("cold", quick and 20 or 100, "asked with a cold page cache")
  local all     = channi.megabytes(rows, of.data, 4)
  local tenth   = channi.megabytes(rows, of.data, .1)

  local graph, scan, codes, disk = "CHANNI", "CHANNI, scan", "CHANNI, RaBitQ", "CHANNI, RaBitQ, vectors on disk"
  local quarter, direct = "CHANNI, a quarter cached", "CHANNI, a tenth cached, direct"
  local ours, ivf = { graph, scan, codes, disk, quarter, direct }, "FAISS IVF"
  local lists = math.max(8, rows // channi.target)
  local function at(label) return channi.point(label, mark) end
  local function ours_at()
    local points = {}
    for i, label in ipairs(ours) do points[i] = at(label) end
    return points
  end
  local function index(label, params, sweep)
    return channi.index(label, params, { sweep = { nprobe = sweep or probes } })
  end

  experiment {
    name = of.name, title = of.title,
    publication = "CHANNI",
    seed = 1, k = 10, threads = 1,

    workload = function(w)
      w:train  { of.data:rows(1, math.min(rows, 50000)), tag = "train" }
      w:insert { of.data:rows(1, rows), tag = "load" }
      w:search { of.data:queries(queries), tag = "full" }
      w:search { of.data:queries(queries), k = 1, tag = "nearest" }
      w:search { of.data:queries(queries), k = 100, tag = "hundred" }
      w:search { of.data:queries(cold), cold = true, tag = "cold" }
      w:checkpoint "sizes"
    end,

    methods = {
      index(graph, { cache_mb = all }),
      index(scan, { cache_mb = all, cluster_index = "scan" }),
      index(codes, { cache_mb = all, cluster_index = "codes" }),
      index(disk, { cache_mb = all, cluster_index = "codes", cold_rows = true }),
      index(quarter, { cache_mb = channi.megabytes(rows, of.data, .25) }, few),
      index(direct, { cache_mb = tenth, direct = true }, few),
      channi.hnsw(nil, { sweep = { ef_search = ef } }),
      channi.hnswlib(nil, { sweep = { ef_search = ef } }),
      method { "faiss-ivf-flat", label = ivf, params = { clusters = lists }, sweep = { nprobe = probes } },
    },

    claims = {
      { "memory far below a pure HNSW's: with a quarter of the vectors cached at most a third of hnswlib's, by its own count and as resident", function(r)
        local baseline = "hnswlib[ef_search=64]"
        return 3 * r(at(quarter), "index_bytes/end") <= r(baseline, "index_bytes/end") and 3 * r(at(quarter), "rss_bytes/end") <= r(baseline, "rss_bytes/end")
      end },
      { "while it keeps high search quality: recall .95 and .98 are reached", function(r)
        return r.most(graph, "recall@10/full") >= .98
      end },
      { "it needs no clustering: built in less time than hnswlib takes, and than FAISS's k-means and filing", function(r)
        local function built(label) return r(label, "seconds/load") end
        return built(at(graph)) < built "hnswlib[ef_search=64]" and built(at(graph)) < built(at(ivf)) + r(at(ivf), "seconds/train")
      end },
      { "a graph in each cluster minimises distances: at recall .95 fewer than with scans of the clusters, and than FAISS IVF", function(r)
        local least = r(graph, "distances@recall=0.95/full")
        return least < r(scan, "distances@recall=0.95/full") and least < r(ivf, "distances@recall=0.95/full")
      end },
      { "primaries need no centroids: for recall .95 scans of its clusters measure at most 1.1 times what FAISS's k-means cells do", function(r)
        return r(scan, "distances@recall=0.95/full") <= 1.1 * r(ivf, "distances@recall=0.95/full")
      end },
      { "high recall at no less than hnswlib's rate at .95, everything cached", function(r)
        return r(graph, "single_qps@recall=0.95/full") >= r("hnswlib", "single_qps@recall=0.95/full")
      end },
      { "often used clusters stay in memory: the hit rate is above the share of the vectors' bytes that is cached", function(r)
        return r(at(quarter), "stats.cache_hit_rate/end") >= .25 and r(at(direct), "stats.cache_hit_rate/end") >= .1
      end },
      { "(ours) a cache changes no answer: recall is the same with all, a quarter and a tenth cached", function(r)
        local recall = r(at(graph), "recall@10/full")
        return r(at(quarter), "recall@10/full") == recall and r(at(direct), "recall@10/full") == recall
      end },
      { "(ours) codes need under a third of the distances that scans do, at recall .95", function(r)
        return 3 * r(codes, "distances@recall=0.95/full") <= r(scan, "distances@recall=0.95/full")
      end },
      { "(ours) the nearest alone is found at least as often as the ten nearest are, and these as often as a hundred", function(r)
        local ten = r(at(graph), "recall@10/full")
        return r(at(graph), "recall@1/nearest") >= ten and ten >= r(at(graph), "recall@100/hundred")
      end },
      { "(ours) no answer is repeated or unknown", function(r) return channi.no_wrong_ids(r, ours_at(), "full") end },
    },

    figures = {
      { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
      { "pareto", x = "distances", y = "recall@10", where = { tag = "full" }, title = "Recall and exact distances" },
      { "pareto", x = "single_qps", y = "recall@10", where = { tag = "cold" }, title = "One query at a time, with an empty page cache before each" },
      { "pareto", x = "distances", y = "recall@1", where = { tag = "nearest" }, title = "k = 1: recall and exact distances" },
      { "pareto", x = "distances", y = "recall@100", where = { tag = "hundred" }, title = "k = 100: recall and exact distances" },
      { "memory", title = "Memory and disk" },
      { "bars", y = "seconds", x = "label", group = "tag", where = { tag = { "train", "load" }, point = { "nprobe=8", "ef_search=64" } }, title = "Build time" },
      { "ccdf", where = { tag = "full", point = { "nprobe=8", "ef_search=32" } }, title = "Latency" },
      { "sizes", y = "cluster.live", title = "Vectors per cluster" },
    },
  }
end

return static
