-- A data set of the catalog, downloaded at first use; another part of it, and another metric.
local digits = dataset "mnist"
local by_angle = dataset { "mnist", part = "query", metric = "cosine" }

experiment {
  name = "dataset",
  title = "Handwritten digits",

  workload = function(w)
    w:insert { digits:rows(1, 3000), tag = "load" }
    w:search { digits:queries(50), tag = "ask" }
    print(string.format("%d test images as well, %d pixels each", #by_angle, by_angle.dim))
  end,

  methods = { method { "flat" } },
}
