-- Saves an index, drops it and opens it again: time, bytes on disk, and whether it answers as before.
local data = synthetic { kind = "mixture", rows = 5000, dim = 32 }

experiment {
  name = "save_reload",
  title = "Save and reload",

  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data, tag = "load" }
    w:search { data:queries(100), tag = "before" }
    w:save { tag = "saved" }
    w:reload { tag = "opened" }
    w:search { data:queries(100), tag = "after" }
  end,

  methods = { method { "flat" }, method { "divf", params = { clusters = 64 }, knobs = { nprobe = 8 } } },
  claims = {
    { "it answers as before", function(r) return r("divf", "recall@10/after") == r("divf", "recall@10/before") end },
  },
}
