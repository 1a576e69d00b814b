-- Clusters: the method divides its live rows, by a level of its hierarchy or into a number wanted, and is scored by
-- labels. Each row of stations.csv has a year as its label. Afterwards ./harness dump prints the rows of each cluster,
-- the medoid first.
local stations = file { "data/stations.csv", label = "data/stations_year.txt", id = 1, header = true, metric = "cosine" }
local queries  = stations:rows(361, 400)

experiment {
  name = "clusters",
  title = "Clusters of rows, with labels",

  workload = function(w)
    w:train { stations:rows(1, 360) }
    w:insert { stations:rows(1, 360) }
    w:maintain {}
    w:cluster { labels = "label", queries = queries, tag = "finest" }
    w:search { queries, clusters = true, tag = "answers" } -- stats.answers_in_query_cluster
    w:cluster { level = 1, tag = "level 1" }
    w:cluster { target_k = 4, labels = "label", tag = "about four" }
    w:delete { random = 60 }
    w:cluster { target_k = 4, labels = "label", tag = "after deletions" }
  end,

  methods = {
    method { "asteria", params = { leaf_cap = 40, train_steps = 50 } },
    method { "divf", params = { clusters = 8 } },
    method { "kmeans", label = "k-means", params = { clusters = 8 }, ablations = { { "two iterations", { iterations = 2 } } } },
    method { "hdbscan", params = { min_cluster_size = 10, min_samples = 5, neighbours = 16 } },
    method { "flat", label = "no clusters" }, -- its steps are `unsupported`
  },

  figures = {
    { "bars", y = { "nmi", "ari", "purity", "within" }, x = "label", where = { tag = "about four" }, title = "Agreement with the years" },
    { "bars", y = { "clusters", "smallest_cluster", "median_cluster", "largest_cluster", "size_gini", "empty_clusters", "noise" }, x = "label", where = { tag = "finest" }, title = "Sizes of the clusters" },
    { "bars", y = "query_agreement", x = "label", where = { tag = "finest" }, title = "Queries in the cluster of their nearest row" },
  },
}
