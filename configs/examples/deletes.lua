-- Policies of deletion: the method's own, a filter over the answers, overfetching, and rebuilds.
local data = synthetic { kind = "mixture", rows = 3000, dim = 16 }

experiment {
  name = "deletes",
  title = "Policies of deletion",

  workload = function(w)
    w:insert { data:rows(1, 2000), tag = "load" }
    w:delete { random = 300, tag = "delete" }
    w:insert { data:rows(2001, 3000), tag = "more" }
    w:search { data:queries(50), tag = "ask" }
  end,

  methods = {
    method { "hnsw", label = "native", deletes = "native" },
    method { "hnsw", label = "filter", deletes = "filter" },
    method { "hnsw", label = "overfetch", deletes = "filter", overfetch = 3 },
    method { "hnsw", label = "rebuild at the deletion", deletes = "rebuild" },
    method { "hnsw", label = "rebuild at an insertion", rebuild = "more" },
  },
}
