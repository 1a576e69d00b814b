-- One interleaving for all methods: the operations of two threads begin in the order that data/mix.orders has, and the order
-- of this run is stored again, in cells/NUMBER.orders.
--
-- data/mix.orders is cells/0.orders of a run with --set replay="", which replays nothing.
local data = synthetic { kind = "mixture", rows = 2000, dim = 16 }
local file = option("replay", "data/mix.orders", "a file of orders, relative to this config; empty: none")

experiment {
  name = "order",
  title = "The same interleaving for two methods",
  threads = 2,

  workload = function(w)
    w:insert { data:rows(1, 1500), tag = "load" }
    w:mix { data:queries(50), rows = data:rows(1501, 2000), search = .5, insert = .25, delete = .15, update = .1, threads = 2,
            operations = 200, rate = 2000, arrivals = "poisson", record = true, replay = file ~= "" and file or nil }
  end,

  methods = { method { "hnsw" }, method { "divf", knobs = { nprobe = 8 } } },
  figures = { { "ccdf", where = { tag = "mix" } } },
}
