-- growth.lua - CHANNI deferred until 80 % of the expected vectors, then grown to ten times as many, compared with
-- fresh builds.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Measured are clusters, splits, outliers and recall. SIFT descriptors arrive picture by picture, so the added rows
-- differ from those that the primaries were drawn from (--set order=shuffled removes the difference). A tenth of the
-- rows is expected. Until 80 % of that tenth is present, searches are exact scans. The commit that reaches 80 %
-- builds the index. Later rows are inserted a thousand per commit, and clusters split.
--
-- `rebuilt` is rebuilt from all its vectors at five times the size and at the end. Its clusters have the same
-- target size, but none comes from a split. Recall is compared at the same knobs and, as cluster sizes
-- differ, at equal distances.
--
-- The paper's split divides only the rows of the split cluster, and the paper does not define sufficient outliers.
-- The label "source" follows it and takes any tail for outliers (reassign_clusters = 0, ood_excess = 0). By default a
-- split also moves rows of the eight surrounding clusters to their nearest root, and outliers must lie farther out
-- than an ordinary tail.

local channi = require "channi"
local datasets = require "datasets"
local order  = option("order", "images", "\"images\": picture by picture; \"shuffled\"")
local data   = (order == "shuffled" and datasets.open or datasets.stream) "photo-sift"
local rows   = option("rows", quick and 10000 or #data // 10 * 10, "descriptors in the end; a tenth is expected")
local queries = data:queries(option("queries", quick and 100 or 1000, "asked after every step"))
local cold   = channi.megabytes(rows, data, 4) -- everything stays cached, as the experiment is about clusters

local expected = rows // 10
local build_at = (expected * 8 + 9) // 10
local probes   = { 1, 2, 4, 8, 16, 32 }
local mark     = 8
local grown, rebuilt, source, no_ood = "CHANNI", "rebuilt", "source", "no OOD"

-- The first searches of the tag "grow", by the rows present: a search before the build, one after it, one when all
-- expected rows are in.
local deferred, built, ready = 1, 2, 3
local last = ready + 9 -- twice, three times ... ten times as many

local function index(label, params, rebuild)
  return channi.index(label, channi.with({ expected_n = expected, defer_fraction = .8, cache_mb = cold }, params),
                      { sweep = { nprobe = probes }, rebuild = rebuild })
end
local function at(label, n) return channi.point(label, n or mark) end
local function grow(r, label, metric, i, n) return r(at(label, n), ("%s/grow#%d"):format(metric, i)) end
local function final(r, label, metric, n) return grow(r, label, metric, last, n) end
-- The recall of a fresh build at the distances that a label computes at the end with `mark` clusters.
local function fresh_at_equal_work(r, label)
  return channi.recall_at(r, rebuilt, probes, "distances", "grow#" .. last, final(r, label, "distances"))
end

experiment {
  name = "channi_growth",
  title = "CHANNI: deferred, built, and grown tenfold",
  publication = "CHANNI",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1, timeout = 3600, size_hint = false,

  workload = function(w)
    local function come(first, last_row, tag) w:insert { data:rows(first, last_row), batch = 1000, singles = 10, tag = tag } end

    come(1, build_at - 1, "gather")
    w:search { queries, tag = "grow" }
    w:insert { data:rows(build_at, build_at), tag = "build" }
    w:search { queries, tag = "grow" }
    come(build_at + 1, expected, "fill")
    w:search { queries, tag = "grow" }
    for times = 2, 10 do
      come((times - 1) * expected + 1, times * expected, "come")
      if times == 5 or times == 10 then w:maintain { tag = "renew" } end
      w:search { queries, tag = "grow" }
    end
    w:checkpoint "sizes"
  end,

  methods = { index(grown, {}), index(rebuilt, {}, "renew"), index(source, { reassign_clusters = 0, ood_excess = 0 }), index(no_ood, { ood = false }) },

  claims = {
    { "deferral costs no answer: below 80 % of the expected vectors recall is 1", function(r) return grow(r, grown, "recall@10", deferred) == 1 end },
    { "splits keep it optimal as data evolve: after tenfold growth recall is within 1 point of a fresh build's at the same knobs", function(r)
      return final(r, grown, "recall@10") >= final(r, rebuilt, "recall@10") - .01
    end },
    { "and at equal distances", function(r) return final(r, grown, "recall@10") >= fresh_at_equal_work(r, grown) - .01 end },
    { "(ours) the paper's splits alone fall behind a fresh build at equal distances by more than a point, and by more than the default's do", function(r)
      local function gap(label) return fresh_at_equal_work(r, label) - final(r, label, "recall@10") end
      return gap(source) > .01 and gap(source) > gap(grown)
    end },
    { "(ours) rows astray: settling halves their share", function(r)
      return r(at(grown), "stats.misroute_rate/end") <= .5 * r(at(source), "stats.misroute_rate/end")
    end },
    { "clusters that outgrow the threshold are split: in the end none has more than 4 target sizes", function(r)
      return r(at(grown), "stats.splits/end") > 0 and r(at(grown), "stats.size_max/end") <= 4 * channi.target
    end },
    { "splits find outliers: OOD clusters come to be, by the paper's rule of any tail", function(r) return r(at(source), "stats.clusters_ood/end") > 0 end },
    { "(ours) data without outliers have next to none: less than 1 % of all", function(r) return r(at(grown), "stats.ood_found/end") < .01 * rows end },
    { "the routing graph never deletes: it has a route for each cluster or more, and did before", function(r)
      return r(at(grown), "stats.routes/end") >= r(at(grown), "stats.clusters/end") and r(at(grown), "stats.routes/end") >= r(at(grown), "stats.routes/build")
    end },
    { "maintenance in small steps costs little: all growth takes less than twice as long as one fresh build in the end", function(r)
      return r(at(grown), "seconds/come") * 9 <= 2 * r(at(rebuilt), "seconds/renew#2")
    end },
    { "(ours) a reused route is a poorer signpost than a new one: the share of misrouted vectors is above a fresh build's", function(r)
      return r(at(grown), "stats.misroute_rate/end") > r(at(rebuilt), "stats.misroute_rate/end")
    end },
    { "(ours) sizes stay near: the coefficient of variation is at most 1.5 times a fresh build's", function(r)
      return r(at(grown), "stats.size_cv/end") <= 1.5 * r(at(rebuilt), "stats.size_cv/end")
    end },
    { "(ours) searches do not slow down beyond what more vectors cost: twice the distances of a fresh build at recall .95, or less", function(r)
      return r(grown, "distances@recall=0.95/grow#" .. last) <= 2 * r(rebuilt, "distances@recall=0.95/grow#" .. last)
    end },
    { "(ours) no answer is repeated or unknown", function(r)
      return channi.no_wrong_ids(r, { at(grown), at(rebuilt), at(source), at(no_ood) }, "grow")
    end },
  },

  figures = {
    { "timeline", y = { "recall@10", "distances" }, where = { tag = "grow", point = "nprobe=" .. mark }, title = "Recall and distances, 8 clusters" },
    { "timeline", y = { "stats.clusters", "stats.routes", "stats.clusters_ood" }, where = { tag = "come", point = "nprobe=" .. mark },
      title = "Clusters, routes, clusters of outliers" },
    { "timeline", y = { "stats.splits", "stats.merges", "stats.compactions", "stats.reassigned" }, where = { tag = "come", point = "nprobe=" .. mark }, title = "Splits, merges, compactions, reassigned rows" },
    { "timeline", y = { "stats.size_cv", "stats.misroute_rate" }, where = { tag = "come", point = "nprobe=" .. mark },
      title = "Spread of cluster sizes, misrouted vectors" },
    { "timeline", y = { "p50_ns", "p99_ns" }, where = { tag = "come", point = "nprobe=" .. mark }, title = "Latency of a single insertion" },
    { "timeline", y = { "index_bytes", "disk_bytes" }, where = { tag = "come", point = "nprobe=" .. mark }, title = "Memory and disk" },
    { "sizes", y = "cluster.live", title = "Vectors per cluster at the end" },
  },
}
