-- Updates: ids keep their place and get the vectors of another view. Rows are selected as for a deletion.
local data = synthetic { kind = "mixture", rows = 4000, dim = 16 }

experiment {
  name = "update",
  title = "Ways to update",

  workload = function(w)
    w:insert { data:rows(1, 2000), tag = "load" }
    w:update { data:rows(1, 500), with = data:rows(2001, 2500), tag = "a view" }
    w:update { oldest = 500, with = data:rows(2501, 3000), tag = "the oldest" }
    w:update { random = 500, with = data:rows(3001, 3500), batch = 50, singles = 20, tag = "at random" }
    w:update { ids = { 0, 10, 20 }, with = data:rows(3501, 3503), tag = "by id" }
    w:search { data:queries(50) }
  end,

  methods = { method { "flat" }, method { "hnsw" } },
}
