-- Attributes of several types, and searches by conditions on them. A method that stores no attributes gets the
-- rows that pass as a filter of ids. What a method cannot do is `unsupported` in the result.
local stations = file { "data/stations.csv", queries = "data/stations_asked.csv", label = "data/stations_year.txt",
                        id = 1, header = true, metric = "l2" }
local queries = stations:queries()
local first = 300
local owners = {}
for i = first + 1, #stations do owners[i - first] = i % 3 > 0 and ({ "city", "state" })[i % 2 + 1] end -- false: unknown

experiment {
  name = "condition",
  title = "Searches by conditions on attributes",
  k = 5,

  workload = function(w)
    w:insert { stations:rows(1, first), tag = "load",
      attributes = {
        year = { part = "label" },
        height = { uniform = { 0, 2500 }, missing = .1 },
        kind = { classes = 3, names = { "rain", "wind", "snow" }, skew = 1 },
      } }
    -- The attributes that an insert does not name are missing.
    w:insert { stations:rows(first + 1, #stations), tag = "more",
      attributes = { year = { part = "label" }, owner = { values = owners } } }
    w:search { queries, where = { height = { 500, math.huge } }, tag = "high" }
    w:search { queries, where = { kind = "wind" }, tag = "wind" }
    w:search { queries, where = { kind = { "rain", "snow" }, height = { 0, 1000 }, year = { ["in"] = { 2021, 2023 } } }, tag = "three conditions" }
    w:search { queries, where = { kind = { ["not"] = "rain" } }, tag = "of a kind, but not rain" }
    w:search { queries, where = { owner = { missing = false } }, tag = "owner known" }
    w:search { queries, where = { owner = { missing = true }, kind = { missing = true } }, tag = "little known" }
  end,

  methods = { method { "flat" }, method { "channi" }, method { "hnsw" } },
}
