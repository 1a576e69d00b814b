-- ood.lua - Planted outliers: the value of finding them at splits, of probing their clusters, and of both routes of a
-- merged cluster.
--
-- The data are a mixture in which one vector in twenty lies six deviations from its centre instead of one. The
-- centres are the same, and all rows are shuffled. An eighth is expected, so most rows arrive after the build.
-- Clusters then split, and a split looks for outliers. Then half of the rows leave, and clusters merge. Queries of
-- both kinds are fresh points.
--
-- `no OOD` leaves outliers in their nearest clusters. "aliases dropped" drops the routes of the smaller cluster at a
-- merge. "neither" does both. ood_probe = 0 searches the clusters of outliers only where their routes are near
-- enough. The paper claims that dual primaries keep outliers reachable, without a figure.

local channi  = require "channi"
local n       = option("rows", quick and 6000 or 120000, "vectors, outliers among them")
local share   = option("share", 0.05, "of them outliers")
local sigmas  = option("sigmas", 6, "deviations of an outlier; of the others 1")
local dim     = 48
local asked   = option("queries", quick and 100 or 1000, "of each kind")

local clusters = math.max(20, n // 1500)
local function mixture(rows, spread)
  return synthetic { kind = "mixture", rows = rows, dim = dim, clusters = clusters, spread = spread, seed = 7 }
end
local strays  = math.floor(n * share)
local usual, odd = mixture(n - strays, 0.25), mixture(strays, 0.25 * sigmas)
local data    = (usual .. odd):shuffle(1)
local inliers, outliers = usual:queries(asked), odd:queries(asked)

local target  = quick and 100 or 500
local probes, looks = quick and { 1, 4, 8 } or { 1, 2, 4, 8, 16 }, { 0, 2, 8 }
local mark    = 4
local whole, no_ood, dropped, neither = "CHANNI", "no OOD", "aliases dropped", "neither"
local all     = { whole, no_ood, dropped, neither }
local sigma   = { 1.5, 2.5, 3 }

local function index(label, params)
  return channi.index(label, channi.with({ target_cluster = target, expected_n = n // 8, cache_mb = channi.megabytes(n, data, 4) }, params),
                      { sweep = { nprobe = probes, ood_probe = looks } })
end
local function at(label, look, probe) return ("%s[nprobe=%d,ood_probe=%d]"):format(label, probe or mark, look or 2) end
local function recall(r, label, tag, look) return r(at(label, look), "recall@10/" .. tag) end
local function all_labels()
  local labels = {}
  for _, label in ipairs(all) do labels[#labels + 1] = at(label) end
  return labels
end

local methods = { index(whole, {}), index(no_ood, { ood = false }), index(dropped, { alias = false }), index(neither, { ood = false, alias = false }) }
for _, s in ipairs(sigma) do methods[#methods + 1] = index(("%g sigma"):format(s), { ood_sigma = s }) end

experiment {
  name = "channi_ood",
  title = "CHANNI: planted outliers",
  publication = "CHANNI",
  seed = 1, k = 10, threads = 1, timeout = 3600, size_hint = false,

  workload = function(w)
    w:insert { data, batch = quick and 200 or 1000, tag = "grow" }
    w:maintain { tag = "settle" }
    w:search { inliers,  tag = "usual" }
    w:search { outliers, tag = "outliers" }
    w:delete { random = n // 2, batch = 200, tag = "shrink" }
    w:maintain { tag = "merge" }
    w:search { inliers,  tag = "usual, merged" }
    w:search { outliers, tag = "outliers, merged" }
    w:checkpoint "sizes"
  end,

  methods = methods,

  claims = {
    { "splits find outliers: clusters of their own come to be, and at 3 sigma fewer are flagged than at 2", function(r)
      return r(at(whole), "stats.ood_clusters/settle") > 0 and r(at "3 sigma", "stats.ood_found/settle") < r(at(whole), "stats.ood_found/settle")
    end },
    { "exclusive clusters serve outliers: asked for one, recall with OOD clusters and 8 of them probed is above that without", function(r)
      return recall(r, whole, "outliers", 8) > recall(r, no_ood, "outliers", 8)
    end },
    { "dual primaries keep outliers reachable: after merges their recall is no lower than with the smaller one's route dropped", function(r)
      return recall(r, whole, "outliers, merged") >= recall(r, dropped, "outliers, merged") - .002
    end },
    { "and that of the others is not paid for it: within half a point of `neither`", function(r)
      return recall(r, whole, "usual, merged") >= recall(r, neither, "usual, merged") - .005
    end },
    { "(ours) outliers are badly routed: without probing their clusters their recall is lower than with 8 probed", function(r)
      return recall(r, whole, "outliers", 0) < recall(r, whole, "outliers", 8)
    end },
    { "(ours) outliers come last: one query for them computes more distances per point of recall than one for others", function(r)
      return r(at(whole), "distances/outliers") / recall(r, whole, "outliers") > r(at(whole), "distances/usual") / recall(r, whole, "usual")
    end },
    { "(ours) no deleted vector is answered", function(r)
      return channi.no_wrong_ids(r, all_labels(), "usual, merged") and channi.no_wrong_ids(r, all_labels(), "outliers, merged")
    end },
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = "outliers", label = { whole, no_ood } }, title = "Recall and distances for outlier queries, after growth" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "usual", label = { whole, no_ood } }, title = "Recall and distances for ordinary queries, after growth" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "outliers, merged", label = all }, title = "Recall and distances for outlier queries, after merges" },
    { "bars", y = "recall@10", x = "label", group = "tag", where = { tag = { "usual", "outliers", "usual, merged", "outliers, merged" },
      point = ("nprobe=%d,ood_probe=2"):format(mark) }, title = "Recall at 4 clusters and 2 clusters of outliers" },
    { "bars", y = "stats.ood_found", x = "label", where = { tag = "settle", point = ("nprobe=%d,ood_probe=2"):format(mark) }, title = "Vectors that splits classified as outliers" },
    { "bars", y = "stats.clusters_ood", x = "label", group = "tag", where = { tag = { "settle", "merge" }, point = ("nprobe=%d,ood_probe=2"):format(mark) },
      title = "Clusters of outliers" },
    { "sizes", y = "cluster.live", where = { label = { whole, no_ood } }, title = "Vectors per cluster at the end" },
  },
}
