-- Checkpoints record a method's tables and the result of its own check. Two figures draw the tables.
local data = synthetic { kind = "drift", rows = 9000, dim = 16, clusters = 20, speed = 2 }

experiment {
  name = "checkpoint",
  title = "Lists before and after drift",

  workload = function(w)
    w:train { data:rows(1, 3000) }
    w:insert { data:rows(1, 3000), tag = "load" }
    w:checkpoint "before"
    w:insert { data:rows(3001, 9000), batch = 500, tag = "drift" }
    w:checkpoint "after"
  end,

  methods = { method { "divf", params = { clusters = 64 } } },
  figures = {
    { "sizes", where = { tag = { "before", "after" } }, title = "Sizes of the lists" },
    { "profile", y = "clusters.live", where = { tag = "after" }, title = "Rows of each list" },
  },
}
