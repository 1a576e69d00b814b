-- Query vectors that become rows. Without allow_queries the operation is refused.
local data = synthetic { kind = "mixture", rows = 2000, dim = 16 }
local asked = data:queries(300)

experiment {
  name = "queries_as_rows",
  title = "Queries that become rows",

  workload = function(w)
    w:train { asked, allow_queries = true }
    w:insert { data, tag = "load" }
    w:insert { asked:rows(1, 100), allow_queries = true, tag = "asked" }
    w:update { random = 100, with = asked:rows(101, 200), allow_queries = true, tag = "become asked" }
    w:search { asked:rows(201, 300) }
  end,

  methods = { method { "flat" }, method { "divf", params = { clusters = 16 }, knobs = { nprobe = 8 } } },
}
