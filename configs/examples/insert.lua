-- Inserts all rows in one call, in batches, some one by one for their latency, and with an attribute.
local data = synthetic { kind = "mixture", rows = 6000, dim = 16 }
local classes = {}
for i = 1, 1000 do classes[i] = i % 4 end

experiment {
  name = "insert",
  title = "Ways to insert",

  workload = function(w)
    w:insert { data:rows(1, 2000), tag = "at once" }
    w:insert { data:rows(2001, 4000), batch = 100, singles = 20, tag = "in batches" }
    w:insert { data:rows(4001, 5000), attribute = { classes = 10, skew = 1 }, tag = "random classes" }
    w:insert { data:rows(5001, 6000), attribute = { values = classes }, tag = "given classes" }
    w:search { data:queries(50), where = { 2, 3 }, tag = "classes 2 and 3" }
  end,

  methods = { method { "flat" }, method { "hnsw" } },
}
