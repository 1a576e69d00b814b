-- Explicit maintenance: first with a budget of distance computations, then without a limit.
local data = synthetic { kind = "drift", rows = 8000, dim = 16, clusters = 20 }

experiment {
  name = "maintain",
  title = "Maintenance on request",

  workload = function(w)
    w:train { data:rows(1, 2000), tag = "train" }
    w:insert { data:rows(1, 8000), batch = 500, tag = "load" }
    w:search { data:queries(100), tag = "before" }
    w:maintain { budget = 20000, tag = "a little" }
    w:search { data:queries(100), tag = "after a little" }
    w:maintain { tag = "all" }
    w:search { data:queries(100), tag = "after all" }
  end,

  methods = {
    method { "divf", params = { clusters = 32, maintenance = "lire", maintenance_budget = 0 }, knobs = { nprobe = 2 } },
  },
}
