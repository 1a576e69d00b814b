-- churn.lua - CHANNI while every vector is replaced, compared with fresh builds, our HNSW and hnswlib.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Each step replaces a fiftieth of the SIFT descriptors, a hundred rows per commit. By default random rows leave and
-- rows arrive in random order. --set leave=oldest deletes the oldest and inserts rows of other pictures, so the
-- data shift. `rebuilt` is built anew half-way and at the end. "aliases dropped" drops the routes of the smaller cluster
-- at a merge. Recall is compared at the same knobs and, as cluster sizes differ, at equal distances.

local channi = require "channi"
local leave  = option("leave", "random", "\"random\" or \"oldest\"")
local datasets = require "datasets"
local data   = (leave == "random" and datasets.open or datasets.stream) "photo-sift"
local n      = option("rows", quick and 4000 or 100000, "descriptors live")
local steps  = option("steps", quick and 10 or 50, "until all were replaced")
local queries = data:queries(option("queries", quick and 100 or 1000, "asked"))
local part   = n // steps
local moments = quick and 5 or 10

local probes, ef = { 1, 2, 4, 8, 16, 32 }, { 16, 32, 64, 128 }
local mark = 8
local live, rebuilt, dropped = "CHANNI", "rebuilt", "aliases dropped"
local ours = { live, rebuilt, dropped }
local last = moments + 1

local function index(label, params, rebuild)
  return channi.index(label, channi.with({ cache_mb = channi.megabytes(n, data, 8) }, params), { sweep = { nprobe = probes }, rebuild = rebuild })
end
local function at(label) return channi.point(label, mark) end
local function final(r, label, metric) return r(at(label), ("%s/churn#%d"):format(metric, last)) end
local function first(r, label, metric) return r(at(label), metric .. "/churn#1") end
local function grown(r, label, metric) return r(at(label), metric .. "/end") / r(at(label), metric .. "/load") end
local function at_equal_work(r, label)
  return channi.recall_at(r, label, probes, "distances", "churn#" .. last, final(r, live, "distances"))
end
local function a_step(r, point) return r(point, "seconds/arrive") + r(point, "seconds/leave") end

experiment {
  name = "channi_churn",
  title = "CHANNI: every vector replaced",
  publication = "CHANNI",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1, timeout = 3600,

  workload = function(w)
    w:insert { data:rows(1, n), tag = "load" }
    w:search { queries, tag = "churn" }
    for step = 1, steps do
      w:delete { [leave] = part, batch = 100, singles = 10, tag = "leave" }
      w:insert { data:rows(n + (step - 1) * part + 1, n + step * part), batch = 100, singles = 10, tag = "arrive" }
      if step % (steps // 2) == 0 then w:maintain { tag = "renew" } end
      if step % (steps // moments) == 0 then w:search { queries, tag = "churn" } end
    end
    w:checkpoint "sizes"
  end,

  methods = {
    index(live, {}), index(rebuilt, {}, "renew"), index(dropped, { alias = false }),
    channi.hnsw(nil, { sweep = { ef_search = ef } }),
    channi.hnswlib("hnswlib", { sweep = { ef_search = ef }, deletes = "replace" }),
  },

  claims = {
    { "recall stays: after 100 % turnover within 1 point of a fresh build's at the same knobs", function(r)
      return final(r, live, "recall@10") >= final(r, rebuilt, "recall@10") - .01
    end },
    { "and at equal distances", function(r) return final(r, live, "recall@10") >= at_equal_work(r, rebuilt) - .01 end },
    { "updates are cheaper than a pure HNSW's: a step takes less time than hnswlib's replacements and our HNSW's", function(r)
      local step = a_step(r, at(live))
      return step < a_step(r, "hnswlib[ef_search=32]") and step < a_step(r, "hnsw[ef_search=32]")
    end },
    { "both routes of a merged cluster are worth keeping: at equal distances recall is no lower than with the smaller one's dropped", function(r)
      return final(r, live, "recall@10") >= at_equal_work(r, dropped) - .002
    end },
    { "it stays optimal: distances at 8 clusters within 1.3 times those before", function(r)
      return final(r, live, "distances") <= 1.3 * first(r, live, "distances")
    end },
    { "(ours) memory and disk stay: within 1.5 times those before", function(r)
      return grown(r, live, "index_bytes") <= 1.5 and grown(r, live, "disk_bytes") <= 1.5
    end },
    { "(ours) a route is never deleted: with aliases none is dropped but for alias_max", function(r)
      return r(at(live), "stats.routes/end") >= r(at(live), "stats.routes/load")
    end },
    { "(ours) after turnover hnswlib's recall at one ef_search falls further than CHANNI's at one nprobe", function(r)
      local function fall(point) return r(point, "recall@10/churn#1") - r(point, "recall@10/churn#" .. last) end
      return fall "hnswlib[ef_search=32]" >= fall(at(live))
    end },
    { "(ours) no deleted vector is ever answered", function(r)
      return channi.no_wrong_ids(r, { at(live), at(rebuilt), at(dropped), "hnsw[ef_search=32]" }, "churn")
    end },
  },

  figures = {
    { "timeline", y = { "recall@10", "distances" }, where = { tag = "churn", point = { "nprobe=" .. mark, "ef_search=32" } }, title = "Recall and distances" },
    { "timeline", y = { "p50_ns", "p99_ns" }, where = { tag = "churn", point = { "nprobe=" .. mark, "ef_search=32" } }, title = "Latency of a search" },
    { "timeline", y = { "stats.clusters", "stats.routes", "stats.splits", "stats.merges" }, where = { tag = "arrive", label = ours, point = "nprobe=" .. mark },
      title = "Clusters, routes, splits, merges" },
    { "timeline", y = { "index_bytes", "disk_bytes" }, where = { tag = "arrive", point = { "nprobe=" .. mark, "ef_search=32" } }, title = "Memory and disk" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "churn" }, title = "Recall and distances, over all steps" },
    { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "load", "arrive", "leave" }, point = { "nprobe=" .. mark, "ef_search=32" } },
      title = "ns per inserted or deleted vector" },
    { "sizes", y = "cluster.live", where = { label = ours }, title = "Vectors per cluster at the end" },
  },
}
