-- Range search: every row within a squared distance of the query, for growing distances, and filtered.
local data = synthetic { kind = "mixture", rows = 4000, dim = 16, clusters = 20 }

experiment {
  name = "range",
  title = "Rows within a radius",

  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data:rows(1, 2000), tag = "old" }
    w:insert { data:rows(2001, 4000), tag = "new" }
    for _, radius in ipairs { 2, 4, 8 } do
      w:range { data:queries(50), radius = radius, tag = "radius " .. radius }
    end
    w:range { data:queries(50), radius = 4, filter = { tag = "new" }, tag = "new only" }
    w:range { data:queries(50), radius = 4, repeated = true, tag = "repeated" }
  end,

  methods = { method { "flat" }, method { "divf", params = { clusters = 32 }, sweep = { nprobe = { 4, 16 } } } },
  claims = { { "the scan finds every row", function(r) return r("flat", "range_recall/radius 4") == 1 end } },
}
