-- clusters.lua - Asteria's tree as a clustering, beside k-means, HDBSCAN* and the lists of a dynamic inverted file: on
-- digits, after half of them were replaced, and after all were replaced by clothes.
--
-- Rows are unit vectors of pixels. The classes of the images are the labels. k-means and HDBSCAN* divide all rows anew at
-- each step of w:cluster. Asteria and divf only report what their index has, so the cost of their clusters is in
-- the steps "train", "load" and "maintain". divf always has 10 lists, and HDBSCAN* the clusters that it finds.
-- --set first=fashion-mnist exchanges the two data sets.

local first  = option("first", "mnist", "the data set that is loaded: mnist or fashion-mnist; the other one replaces it")
local rows   = option("rows", quick and 1000 or 10000, "live vectors")
local cap    = option("leaf_cap", rows // 100, "rows of a leaf of the tree at most")
local before = dataset { first, metric = "cosine" }
local after  = dataset { first == "mnist" and "fashion-mnist" or "mnist", metric = "cosine" }
local asked  = quick and 100 or 1000
local targets = { 5, 10, 20, 40, 80 }

local shown = { "k = 10", "k = 80", "after churn", "after drift" }

local tree, rebuilt, lists = "Asteria", "Asteria, trained again", "divf, 10 lists"
local means, density = "k-means", "HDBSCAN*"
local params = { leaf_cap = cap, address_bits = 10, caprg = false, train_steps = quick and 50 or nil }

local function clusters(target, queries, tag) return { target_k = target, labels = "labels", queries = queries, tag = tag } end

experiment {
  name = "asteria_clusters", title = "Clusters of Asteria's tree beside k-means and HDBSCAN*",
  publication = "Asteria",
  seed = 1, seeds = 3, k = 10, threads = 1,

  workload = function(w)
    w:train { before:rows(1, rows), tag = "train" }
    w:insert { before:rows(1, rows), tag = "load" }
    w:maintain { tag = "maintain" }
    for _, target in ipairs(targets) do w:cluster(clusters(target, before:queries(asked), ("k = %d"):format(target))) end
    w:delete { random = rows // 2, tag = "leave" }
    w:insert { before:rows(rows + 1, rows + rows // 2), tag = "arrive" }
    w:maintain { tag = "maintain" }
    w:cluster(clusters(10, before:queries(asked), "after churn"))
    w:insert { after:rows(1, rows), tag = "drift" }
    w:delete { oldest = rows, tag = "leave" }
    w:maintain { tag = "maintain" }
    w:cluster(clusters(10, after:queries(asked), "after drift"))
    w:checkpoint "tree"
  end,

  methods = {
    method { "asteria", label = tree, params = params,
             ablations = not quick and {
               { "no penalty", { leaf_penalty = 0 } }, { "penalty of 1", { leaf_penalty = 1 } }, { "rules of entropy", { leaf_rules = "entropy" } },
               { "prototypes", { leaf_prototypes = 4 } }, { "the paper's", { leaf_rules = "entropy", leaf_prototypes = 4 } },
             } or nil },
    method { "asteria", label = rebuilt, params = params, rebuild = "drift" },
    method { "divf", label = lists, params = { clusters = 10 } },
    method { "kmeans", label = means },
    method { "hdbscan", label = density, params = { min_cluster_size = math.max(5, rows // 200) } },
  },

  claims = {
    { "the tree's clusters agree with the classes as well as k-means does, at k = 10 (nmi within .02)", function(r)
      return r(tree, "nmi/k = 10") >= r(means, "nmi/k = 10") - .02
    end },
    { "clusters are aligned with routing: nine queries of ten are in the cluster of their nearest row, at k = 10", function(r)
      return r(tree, "query_agreement/k = 10") >= .9
    end },
    { "(ours) the tree reports its clusters in a hundredth of the time that k-means takes", function(r)
      return r(tree, "seconds/k = 10") <= r(means, "seconds/k = 10") / 100
    end },
    { "(ours) churn costs the tree's clusters no agreement (nmi within .02)", function(r)
      return r(tree, "nmi/after churn") >= r(tree, "nmi/k = 10") - .02
    end },
    { "(ours) after drift the tree of the old model agrees as well as one trained again (nmi within .02)", function(r)
      return r(tree, "nmi/after drift") >= r(rebuilt, "nmi/after drift") - .02
    end },
    { "(ours) k-means agrees better than chance alone would: ari above .2 at k = 10", function(r)
      return r(means, "ari/k = 10") > .2
    end },
  },

  figures = {
    { "bars", y = { "nmi", "ari", "purity" }, x = "tag", group = "label", where = { tag = shown }, title = "Agreement of clusters with the classes" },
    { "bars", y = { "within", "query_agreement", "clusters" }, x = "tag", group = "label", where = { tag = shown }, title = "Variance within clusters, queries in the cluster of their nearest row, number of clusters" },
    { "bars", y = "seconds", x = "tag", group = "label", where = { tag = { "train", "load", "maintain", "k = 10", "drift", "after drift" } }, title = "Time: of the index, and of w:cluster" },
  },
}
