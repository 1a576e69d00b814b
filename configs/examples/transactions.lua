-- Rows that come and go in transactions, a look back at a snapshot, and rows that are asked for by an attribute. A method
-- without transactions gets the changes at the commit; what it has no way to do is `unsupported` in the result.
local data = synthetic { kind = "mixture", rows = 9000, dim = 32, clusters = 40 }

experiment {
  name = "transactions",
  title = "Commits, rollbacks, snapshots and attributes",
  k = 10,

  workload = function(w)
    w:insert { data:rows(1, 6000), attribute = { classes = 50, skew = 1 }, tag = "load" }
    w:snapshot { name = "loaded", tag = "snapshot" }
    for i = 1, 4 do
      w:begin {}
      w:insert { data:rows(5501 + 500 * i, 6000 + 500 * i), attribute = { classes = 50, skew = 1 } }
      w:delete { oldest = 300 }
      w:search { data:queries(100), tag = "inside" }
      w:commit { tag = "commit" }
    end
    w:begin {}
    w:delete { random = 1000 }
    w:rollback { tag = "rollback" }
    w:search { data:queries(100), tag = "now" }
    w:search { data:queries(100), as_of = "loaded", tag = "then" }
    w:search { data:queries(100), where = { 0, 0 }, tag = "the commonest class" }
    w:search { data:queries(100), where = { 30, 49 }, tag = "twenty rare ones" }
    w:release { name = "loaded" }
  end,

  methods = {
    method { "flat" },
    method { "channi" },
    method { "hnsw", sweep = { ef_search = { 20, 80 } } },
  },

  figures = { { "bars", y = "recall@10", x = "tag", group = "label" } },
}
