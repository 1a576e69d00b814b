-- Paired rounds: is one setting slower than another, and by how much? Each pair is measured alternately until the interval is narrow.
--
-- The first pair is one method twice: what is claimed there would be false. The second asks for a wider search, which takes about a tenth longer.
local data = synthetic { kind = "mixture", rows = 20000, dim = 64 }

experiment {
  name = "rounds",
  title = "One method twice, and one that searches wider",

  workload = function(w)
    w:insert { data:rows(1, 20000), tag = "load" }
    w:search { data:queries(200), tag = "ask" }
  end,

  methods = {
    method { "hnsw", label = "graph", knobs = { ef_search = 100 } },
    method { "hnsw", label = "graph again", knobs = { ef_search = 100 } },
    method { "hnsw", label = "wider", knobs = { ef_search = 113 } },
  },

  compare = {
    { "graph", "graph again", within = 0.03, budget = 20, tags = "ask" },
    { "graph", "wider", within = 0.03, budget = 20, tags = "ask" },
  },

  claims = {
    { "a wider search is slower", function(r) return select(2, r.ratio("graph", "wider", "ask")) > 1 end },
  },
}
