-- channi_sizes.lua - Shared by channi/sizes.lua, channi/sizes_words.lua and channi/sizes_mnist.lua: cluster sizes and
-- their cost, by the choice and number of primaries.
--
-- A cluster holds the vectors nearest to its primary. Random primaries cost nothing and leave sizes to chance. The
-- other choices cost distances. `kmeans` takes the member nearest to each centroid. FAISS's IVF with as many lists
-- has the centroids themselves, which CHANNI avoids. Sizes are reported twice: as built (`load`: no split yet,
-- maintenance waits) and after splits and merges (`settle`).

local channi, paired = require "channi", require "paired"
local sizes  = {}

local kinds = { "uniform", "distant", "farthest", "density", "kmeans" }

-- of: name, title, data.
function sizes.run(of)
  local n       = math.min(option("rows", quick and 5000 or #of.data, "vectors"), #of.data)
  local data    = of.data:shuffle(1):rows(1, n)
  local queries = of.data:queries(option("queries", quick and 100 or 1000, "asked"))
  local targets = quick and { 50, 200 } or { 250, 1000, 4000 }
  local middle  = targets[2]
  local probes  = quick and { 1, 2, 4, 8 } or { 1, 2, 4, 8, 16, 32 }

  local function built(kind, target, nprobe) -- a point names nprobe, sampling, target_cluster in this order
    return ("CHANNI[nprobe=%d,sampling=%s,target_cluster=%d]"):format(nprobe or probes[1], kind, target or middle)
  end
  local function cut(kind, target) return ("CHANNI[sampling=%s,target_cluster=%d]"):format(kind, target or middle) end
  local function ivf(target) return ("IVF, lists of %d"):format(target) end
  local function spread(r, kind, what, tag, target) return r(built(kind, target), ("stats.%s/%s"):format(what, tag)) end

  local methods = {
    method { "channi", label = "CHANNI", params = { cluster_index = "graph", expected_n = n, defer_fraction = 1, maintenance = "explicit", wal = "none",
             cache_mb = channi.megabytes(n, of.data, 4) },
             grid = { sampling = kinds, target_cluster = targets }, sweep = { nprobe = probes } },
  }
  for _, target in ipairs(targets) do
    methods[#methods + 1] = method { "faiss-ivf-flat", label = ivf(target), params = { clusters = math.max(1, (n + target - 1) // target) },
                                     sweep = { nprobe = probes } }
  end

  -- One search setting per build, as sizes do not depend on it.
  local function points(targets)
    local list = {}
    for _, kind in ipairs(kinds) do
      for _, target in ipairs(targets) do list[#list + 1] = ("nprobe=%d,sampling=%s,target_cluster=%d"):format(probes[1], kind, target) end
    end
    return list
  end

  experiment {
    name = of.name, title = of.title, seed = 1, k = 10, threads = 1, timeout = 7200,
    publication = "CHANNI",

    workload = function(w)
      w:train  { data, tag = "train" }
      w:insert { data, tag = "load" }
      w:search { queries, tag = "as built" }
      w:maintain { tag = "settle" }
      w:search { queries, tag = "settled" }
      w:checkpoint "sizes"
    end,

    methods = methods,

    compare = { built "uniform", built "kmeans", tags = "load", within = .1, budget = 240 },

    claims = {
      { "sampling avoids the cost of centroids: with uniform primaries the build takes less time than with k-means primaries", function(r)
        return paired.faster(r, built "uniform", built "kmeans", "load")
      end },
      { "sizes are well distributed with uniform primaries: coefficient of variation at most 1, and no cluster empty", function(r)
        return spread(r, "uniform", "size_cv", "load") <= 1 and spread(r, "uniform", "size_empty", "load") == 0
      end },
      { "and as well as with k-means primaries: Gini within .1 of theirs", function(r)
        return spread(r, "uniform", "size_gini", "load") <= spread(r, "kmeans", "size_gini", "load") + .1
      end },
      { "recall is no worse for it: uniform primaries reach recall .9 with at most 1.3 times the distances of k-means primaries", function(r)
        return r(cut "uniform", "distances@recall=0.9/as built") <= 1.3 * r(cut "kmeans", "distances@recall=0.9/as built")
      end },
      { "(ours) splits pull sizes together: after them the largest cluster is at most 4 target sizes, whatever the sampling", function(r)
        for _, kind in ipairs(kinds) do
          if spread(r, kind, "size_max", "settle") > 4 * middle then return false end
        end
        return true
      end },
      { "(ours) random primaries are heavy-tailed: p99 of sizes above 3 times the mean as built", function(r)
        return spread(r, "uniform", "size_p99", "load") > 3 * spread(r, "uniform", "size_mean", "load")
      end },
      { "(ours) farthest-first spreads sizes worst: its coefficient of variation is above every other's", function(r)
        local worst = 0
        for _, kind in ipairs(kinds) do
          if kind ~= "farthest" then worst = math.max(worst, spread(r, kind, "size_cv", "load")) end
        end
        return spread(r, "farthest", "size_cv", "load") > worst
      end },
      { "(ours) graphs in the clusters make up for random primaries: recall .9 with no more distances than FAISS's lists by k-means, which are scanned", function(r)
        return r(cut "uniform", "distances@recall=0.9/as built") <= r(ivf(middle), "distances@recall=0.9/as built")
      end },
    },

    figures = {
      { "bars", y = "stats.size_cv", where = { tag = { "load", "settle" }, point = points(targets) }, title = "Coefficient of variation of sizes: as built, after splits and merges" },
      { "bars", y = "stats.size_gini", where = { tag = { "load", "settle" }, point = points(targets) }, title = "Gini coefficient of sizes: as built, after splits and merges" },
      { "bars", y = "seconds", where = { tag = "load", point = points(targets) }, title = "Build time" },
      { "pareto", x = "distances", y = "recall@10", where = { tag = "as built" }, title = "Recall and distances, as built" },
      { "pareto", x = "distances", y = "recall@10", where = { tag = "settled" }, title = "Recall and distances, after splits and merges" },
      { "sizes", y = "cluster.live", where = { point = points { middle } }, title = "Vectors per cluster at the end" },
    },
  }
end

return sizes
