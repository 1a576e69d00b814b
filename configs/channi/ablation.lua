-- ablation.lua - The contribution of each part of CHANNI: eightfold growth and a turnover for every choice. Clusters
-- have graphs and 250 rows, and the cache has room for all; other parameters are at their defaults.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- SIFT descriptors arrive picture by picture. An eighth of them is expected, so most arrive after the build. Then as many
-- are replaced. The groups vary the choice and number of primaries; splits (temporary centroids, parts, outliers and
-- their sigma, the nearest primary against the nearest centroid, whether the old route is kept); merges (both routes
-- or one); the search in a cluster; the time of the build; the time of maintenance; and the cache and its read-ahead
-- (also searched cold). Without --quick, another group varies the graph of routes, among small clusters, the graphs in
-- clusters, what is merged, and past versions, and sweeps vary what a search leaves out.
--
-- A choice changes the size of clusters, and so the cost of 8 of them. Recall is therefore compared at equal
-- distances (distances@recall=0.95, and the Pareto figures).

local channi  = require "channi"
local sift    = require("datasets").stream "photo-sift"
local n       = option("rows", quick and 800 or 24000, "descriptors live in the end")
local queries = sift:queries(option("queries", quick and 50 or 500, "asked"))
local few     = sift:queries(quick and 8 or 50) -- cold: the files are synced and dropped from the page cache before each query
local turns   = quick and 2 or 8
local part    = n // turns
local target  = quick and 30 or 250

local probes = quick and { 1, 4, 8, 16 } or { 1, 2, 4, 8, 16, 32 }
local mark   = 8
local base   = { cluster_index = "graph", target_cluster = target, expected_n = n // 8, cache_mb = channi.megabytes(n, sift, 5) }

local sampling = {
  { "distant", { sampling = "distant" } }, { "farthest", { sampling = "farthest" } }, { "density", { sampling = "density" } },
  { "kmeans", { sampling = "kmeans" } },
  { "a half", { target_cluster = target // 2 } }, { "twice", { target_cluster = target * 2 } }, { "four times", { target_cluster = target * 4 } },
}
local splits = {
  { "2 centroids", { split_count = "2" } }, { "3 centroids", { split_count = "3" } }, { "log2 centroids", { split_count = "log2" } },
  { "2 parts", { parts = 2 } }, { "3 parts", { parts = 3 } },
  { "no OOD", { ood = false } }, { "1.5 sigma", { ood_sigma = 1.5 } }, { "2.5 sigma", { ood_sigma = 2.5 } }, { "3 sigma", { ood_sigma = 3 } },
  { "to the centroid", { assign_to_centroid = true } },
  { "delete and insert routes", { reuse = false } }, { "drop aliases", { alias = false } }, { "8 aliases", { alias_max = 8 } },
  { "own rows only", { reassign_clusters = 0 } }, { "any tail is OOD", { ood_excess = 0 } },
  { "the paper's splits", { reassign_clusters = 0, ood_excess = 0 } },
}
local inside = {
  { "scan", { cluster_index = "scan" } }, { "codes of 1 bit", { cluster_index = "codes", bits = 1 } }, { "codes of 4 bits", { cluster_index = "codes", bits = 4 } },
  { "codes, cold rows", { cluster_index = "codes", bits = 4, cold_rows = true } }, { "graph in all", { flat_below = 0 } },
}
local when = {
  { "build at once", { defer_fraction = 0 } }, { "build at half", { defer_fraction = .5 } }, { "build at all", { defer_fraction = 1 } },
  { "explicit maintenance", { maintenance = "explicit" } }, { "maintenance in the background", { maintenance = "background" } },
  { "early compaction", { compact_share = .025 } }, { "late compaction", { compact_share = .5 } },
  { "volatile", { wal = "none" } }, { "synced", { wal = "synced" } },
}
local cached = {
  { "quarter", { cache_mb = channi.megabytes(n, sift, .25) } }, { "1 MB", { cache_mb = 1 } }, { "1 MB, pread", { cache_mb = 1, io = "pread" } },
  { "1 MB, direct", { cache_mb = 1, direct = true } },
}
-- `early_stop_clusters` searches clusters one after the other, so read-ahead matters. Otherwise all are
-- requested at once.
local in_turn = { { "nothing ahead", { prefetch = 0 } }, { "2 ahead", { prefetch = 2 } } }

-- Clusters of a sixth of the usual size: then there are more routes than a search keeps.
local small = { target_cluster = target // 6 }
local routes = {
  { "M of 8", { top_M = 8, top_M0 = 16 } }, { "M of 32", { top_M = 32, top_M0 = 64 } }, { "construction with 32", { top_ef_construction = 32 } },
  { "assigned by 4 routes", { assign_ef = 4 } }, { "assigned by 256 routes", { assign_ef = 256 } },
}
local more = {
  { "construction in clusters with 25", { in_ef_construction = 25 } }, { "few are merged", { merge_min = 4 } }, { "many are merged", { merge_min = 100 } },
  { "small clusters of outliers", { ood_cap = 50 } }, { "a hundred versions kept", { history = 100 } },
}
local function swept(label, knob, values, params, knobs)
  return method { "channi", label = label, params = channi.with(base, params), knobs = channi.with({ nprobe = 16 }, knobs), sweep = { [knob] = values } }
end

local function group(label, list, params, knobs)
  params = channi.with(base, params)
  for _, one in ipairs(list) do one[2] = channi.with(params, one[2]) end
  return method { "channi", label = label, params = params, knobs = knobs, sweep = { nprobe = probes }, ablations = list }
end
local function name(label, choice, nprobe)
  return choice and ("%s[%s,nprobe=%d]"):format(label, choice, nprobe or mark) or ("%s[nprobe=%d]"):format(label, nprobe or mark)
end
local function work(r, label, choice) -- distances for recall .9
  return r(choice and ("%s[%s]"):format(label, choice) or label, "distances@recall=0.9/end of churn")
end
local function of(r, metric, label, choice, tag) return r(name(label, choice), ("%s/%s"):format(metric, tag or "end of churn")) end

local function limited(r, metric, label, knob, value) return r(("%s[%s=%s]"):format(label, knob, value), metric .. "/end of churn") end

local groups = { sampling = sampling, splits = splits, inside = inside, when = when, cache = cached, ["in turn"] = in_turn }

experiment {
  name = "channi_ablation",
  title = "CHANNI without its parts, one by one",
  publication = "CHANNI",
  seed = 1, k = 10, threads = 1, timeout = 3600, size_hint = false,

  workload = function(w)
    w:insert { sift:rows(1, n), batch = 200, singles = 20, tag = "load" }
    w:search { queries, tag = "grown" }
    for turn = 1, turns do
      w:delete { oldest = part, batch = 200, tag = "leave" }
      w:insert { sift:rows(n + (turn - 1) * part + 1, n + turn * part), batch = 200, singles = 20, tag = "arrive" }
    end
    w:maintain { tag = "settle" }
    w:search { queries, tag = "end of churn" }
    w:search { few, tag = "cold", cold = true }
  end,

  methods = { group("sampling", sampling), group("splits", splits), group("inside", inside), group("when", when), group("cache", cached),
    group("in turn", in_turn, { cache_mb = 1 }, { early_stop_clusters = 8 }),
    table.unpack(quick and {} or {
      group("routes", routes, small), group("more", more),
      swept("routes kept", "top_ef", { 8, 16, 64, 256 }, small), swept("rows kept", "in_ef", { 10, 48, 128 }),
      swept("steps without gain", "early_stop_steps", { 1, 8, 0 }), swept("near routes", "eps", { 0, .1, .5, 2 }),
      swept("clusters without gain", "early_stop_clusters", { 1, 4, 0 }),
      swept("estimated recall", "target_recall", { .8, .9, .95 }, nil, { nprobe = 64 }),
      swept("near outliers", "ood_reach", { 0, .1, .25, 1 }),
    }) },

  claims = {
    { "outliers' clusters are worth having: without them recall .9 costs more distances", function(r)
      return work(r, "splits", "no OOD") > work(r, "splits")
    end },
    { "two sigma is the right measure: neither 1.5 nor 3 needs fewer distances by 5 %", function(r)
      return work(r, "splits", "1.5 sigma") >= .95 * work(r, "splits") and work(r, "splits", "3 sigma") >= .95 * work(r, "splits")
    end },
    { "reusing the route is cheap and good: recall .9 costs at most 5 % more distances than with new routes for all parts", function(r)
      return work(r, "splits") <= 1.05 * work(r, "splits", "delete and insert routes")
    end },
    { "both routes of a merged cluster help: recall is no lower than with one", function(r)
      return of(r, "recall@10", "splits") >= of(r, "recall@10", "splits", "drop aliases") - .002
    end },
    { "real vectors as primaries cost nothing: assigning to centroids does not save 5 % of the distances", function(r)
      return work(r, "splits", "to the centroid") >= .95 * work(r, "splits")
    end },
    { "a graph in each cluster computes fewer distances than a scan of it", function(r)
      return of(r, "distances", "inside") < of(r, "distances", "inside", "scan")
    end },
    { "(ours) codes compute fewer exact distances still", function(r)
      return of(r, "distances", "inside", "codes of 4 bits") < of(r, "distances", "inside")
    end },
    { "(ours) reading ahead pays: cold, with a cache of 1 MB, a search in turn is faster with it than without", function(r)
      return of(r, "p50_ns", "in turn", nil, "cold") < of(r, "p50_ns", "in turn", "nothing ahead", "cold")
    end },
    { "(ours) a smaller cache changes no answer", function(r)
      for _, choice in ipairs(cached) do
        if of(r, "recall@10", "cache", choice[1]) ~= of(r, "recall@10", "cache") then return false end
      end
      return true
    end },
    { "(ours) when maintenance happens matters little in the end: within a point of recall", function(r)
      for _, choice in ipairs { "explicit maintenance", "maintenance in the background" } do
        if math.abs(of(r, "recall@10", "when", choice) - of(r, "recall@10", "when")) > .01 then return false end
      end
      return true
    end },
    { "(ours) maintenance in the background takes the spikes from commits: p99 of an insertion is below that with maintenance at commits", function(r)
      return of(r, "p99_ns", "when", "maintenance in the background", "arrive") < of(r, "p99_ns", "when", nil, "arrive")
    end },
    { "(ours) no choice ever answers what was deleted", function(r)
      for label, list in pairs(groups) do
        for _, choice in ipairs(list) do
          if r(name(label, choice[1]), "wrong_ids/end of churn") ~= 0 then return false end
        end
      end
      return true
    end },
    table.unpack(quick and {} or {
      { "(ours) ending the search of a cluster after eight steps without gain saves a tenth of the distances, for at most half a point of recall", function(r)
        return limited(r, "distances", "steps without gain", "early_stop_steps", 8) <= .9 * limited(r, "distances", "steps without gain", "early_stop_steps", 0)
          and limited(r, "recall@10", "steps without gain", "early_stop_steps", 8) >= limited(r, "recall@10", "steps without gain", "early_stop_steps", 0) - .005
      end },
      { "(ours) what is assigned by 4 routes is found no better than what is assigned by 64", function(r)
        return of(r, "recall@10", "routes", "assigned by 4 routes") <= of(r, "recall@10", "routes") + .002
      end },
    }),
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = "end of churn", label = "sampling" }, title = "Primaries: recall and distances" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "end of churn", label = "splits" }, title = "Splits and merges: recall and distances" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "end of churn", label = "inside" }, title = "Inside a cluster: one query at a time" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "cold", label = "cache" }, title = "Cold cache: one query at a time" },
    { "bars", y = "stats.size_cv", x = "label", where = { tag = "settle", label = { "sampling", "splits" } }, title = "Coefficient of variation of cluster sizes" },
    { "bars", y = "stats.misroute_rate", x = "label", where = { tag = "settle", label = "splits" }, title = "Vectors whose nearest route leads elsewhere" },
    { "bars", y = "p99_ns", x = "label", where = { tag = "arrive", label = "when" }, title = "p99 of an insertion" },
    { "bars", y = "ns_each", x = "label", where = { tag = { "load", "arrive" } }, title = "ns per insertion, maintenance included" },
    { "bars", y = "index_bytes", x = "label", where = { tag = "settle", label = { "inside", "cache" } }, title = "Memory" },
  },
}
