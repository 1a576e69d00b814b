-- Paired rounds: is one setting slower than another, and by how much? Each pair is measured alternately
-- until the interval is narrow. The first pair is one method twice. In the second, B keeps more candidates.
local data = synthetic { kind = "mixture", rows = quick and 2000 or 20000, dim = 64 }
local single = option("single", false, "ask queries one at a time")
local paired = require "paired" -- configs/lib/paired.lua

experiment {
  name = "rounds",
  title = "One method twice, and one that searches wider",

  workload = function(w)
    w:insert { data, tag = "load" }
    w:search { data:queries(200), tag = "ask" }
  end,

  methods = {
    method { "hnsw", label = "graph", knobs = { ef_search = 100 } },
    method { "hnsw", label = "graph again", knobs = { ef_search = 100 } },
    method { "hnsw", label = "wider", knobs = { ef_search = 113 } },
  },

  compare = {
    { "graph", "graph again", within = 0.03, budget = 20, tags = "ask" },
    { "graph", "wider", within = 0.03, budget = 20, tags = "ask", single = single },
  },

  claims = {
    { "a wider search is slower", function(r) return paired.faster(r, "graph", "wider", "ask") end },
  },
}
