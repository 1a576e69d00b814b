-- A preset: the options that a config does not give have the values of the method's paper. `./harness describe NAME`
-- shows where these differ from the defaults.
local data = synthetic { kind = "sphere", rows = 6000, dim = 32 }

experiment {
  name = "preset",
  title = "Defaults and the paper's parameters",
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 3000) }
    w:insert { data, tag = "load" }
    w:maintain { tag = "link" }
    w:search { data:queries(100), tag = "search" }
  end,

  methods = {
    method { "asteria", label = "defaults", params = { train_steps = 100 }, sweep = { nprobe = { 2, 8, 32 } } },
    method { "asteria", label = "paper", preset = "paper", params = { train_steps = 100 }, sweep = { nprobe = { 2, 8, 32 } } },
  },

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "search" } },
    { "bars", y = "seconds", x = "label", where = { tag = "link" } },
  },
}
