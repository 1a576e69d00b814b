-- Transactions, rollbacks, searches of a snapshot, and searches by attribute. A method without transactions
-- gets the changes at the commit. What a method cannot do is `unsupported` in the result.
local data = synthetic { kind = "mixture", rows = 5000, dim = 32, clusters = 40 }

experiment {
  name = "transactions",
  title = "Commits, rollbacks, snapshots and attributes",
  k = 10,

  workload = function(w)
    w:insert { data:rows(1, 3000), attribute = { classes = 50, skew = 1 }, tag = "load" }
    w:snapshot { name = "loaded", tag = "snapshot" }
    for i = 1, 4 do
      w:begin {}
      w:insert { data:rows(2501 + 500 * i, 3000 + 500 * i), attribute = { classes = 50, skew = 1 } }
      w:delete { oldest = 300 }
      w:search { data:queries(100), tag = "inside" }
      w:commit { tag = "commit" }
    end
    w:begin { tag = "begin, to be rolled back" }
    w:delete { random = 1000 }
    w:rollback { tag = "rollback" }
    w:search { data:queries(100), tag = "now" }
    w:search { data:queries(100), as_of = "loaded", tag = "then" }
    w:search { data:queries(100), where = { 0, 0 }, tag = "the commonest class" }
    w:search { data:queries(100), where = { 30, 49 }, tag = "twenty rare ones" }
    w:release { name = "loaded", tag = "release" }
  end,

  methods = {
    method { "flat" },
    method { "channi" },
    method { "hnsw", sweep = { ef_search = { 20, 80 } } },
  },

  figures = { { "bars", y = "recall@10", x = "tag", group = "label" } },
}
