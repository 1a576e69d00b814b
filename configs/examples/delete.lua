-- Deletes the rows of a view, the oldest rows, rows of given ids, or random rows.
local data = synthetic { kind = "mixture", rows = 4000, dim = 16 }

experiment {
  name = "delete",
  title = "Ways to delete",

  workload = function(w)
    w:insert { data, tag = "load" }
    w:delete { data:rows(1, 500), tag = "a view" }
    w:delete { oldest = 500, tag = "the oldest" }
    w:delete { ids = { 3990, 3995, 3999 }, tag = "by id" }
    w:delete { random = 500, batch = 50, singles = 20, tag = "at random" }
    w:search { data:queries(50) }
  end,

  methods = { method { "flat" }, method { "hnsw" } },
}
