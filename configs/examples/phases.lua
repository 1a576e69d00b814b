-- Latencies of the phases of searches and updates, before and during updates. SPFresh reports them with its
-- statistics: those of the searches "before" at the checkpoint that follows them.
local data = synthetic { kind = "drift", rows = 16000, dim = 16, clusters = 20 }

experiment {
  name = "phases",
  title = "Where the time of searches and updates goes",
  threads = 2,

  workload = function(w)
    w:insert { data:rows(1, 8000), tag = "load" }
    w:search { data:queries(500), tag = "search" }
    w:checkpoint "before"
    w:concurrent { data:queries(500), writes = data:rows(8001, 16000), removes = "oldest", readers = 1, writers = 1,
                   seconds = quick and 0.5 or 5, tag = "during" }
    w:checkpoint "end"
  end,

  methods = {
    method { "spfresh", params = { posting_entries = 64, maintenance = "background" }, knobs = { nprobe = 16 } },
  },

  claims = {
    { "a split takes longer than an append", function(r)
      return r("spfresh", "stats.split_us.p50/during") > r("spfresh", "stats.append_us.p50/during")
    end },
  },

  figures = {
    { "bars", y = "stats.heads_us.p99", x = "label", group = "tag", where = { tag = { "before", "during" } },
      title = "Search for heads: 99th percentile, us" },
    { "bars", y = "stats.postings_us.p99", x = "label", group = "tag", where = { tag = { "before", "during" } },
      title = "Postings read and scanned: 99th percentile, us" },
    { "profile", y = { "phases.p50_us", "phases.p99_us" }, where = { tag = "end" },
      title = "Phases: heads, postings, rerank, append, split, merge, reassign, collect" },
  },
}
