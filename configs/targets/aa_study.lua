-- aa_study.lua - The error rates of compare: one method under two labels, and by option one that takes about 10 %
-- longer (make aa-study).
--
-- `make aa-study` runs this config many times. Two runs with extra = 0 do not differ, so every difference that
-- compare claims between them is false. With extra = 10 the searches of the graph are wider and take about 10 %
-- longer (paired rounds measured 1.09, configs/examples/rounds.lua), and compare misses each difference that
-- it does not claim.
local extra = option("extra", 0, "about how much longer the graph's searches take, in percent")
local data = synthetic { kind = "mixture", rows = 20000, dim = 64 }
local wide = { ef_search = 100 + math.floor(1.3 * extra + 0.5) }

experiment {
  name = "aa_study",
  title = "The same method under two labels",
  repeats = 5,

  workload = function(w)
    w:insert { data:rows(1, 20000), tag = "load" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = {
    method { "flat", label = "scan" },
    method { "flat", label = "scan again" },
    method { "hnsw", label = "graph", knobs = wide },
    method { "hnsw", label = "graph again", knobs = wide },
  },

  claims = {
    { "(ours) two labels of one method do the same work", function(r)
      return r("graph", "distances/ask") == r("graph again", "distances/ask")
    end },
  },
}
