-- Drops an index as a crash would, and opens it again from its checkpoint and write-ahead log.
local data = synthetic { kind = "mixture", rows = 4000, dim = 16 }

experiment {
  name = "recover",
  title = "Recovery after a crash",

  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data:rows(1, 3000), tag = "load" }
    w:save { tag = "checkpoint" }
    w:insert { data:rows(3001, 4000), batch = 100, tag = "after the checkpoint" }
    w:recover { tag = "crash" }
    w:search { data:queries(50) }
  end,

  methods = {
    method { "spfresh", label = "log written" },
    method { "spfresh", label = "log synced", params = { wal = "synced" } },
    method { "hnsw", params = { wal = "written" } },
  },
  claims = {
    { "nothing is lost", function(r)
      return r("log written", "stats.own_found/crash") > 0.98 and r("hnsw", "stats.own_found/crash") > 0.98
    end },
  },
}
