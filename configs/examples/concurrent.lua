-- Readers and writers at the same time: a closed loop, a fixed rate, replacements beside searches that ran alone before, and writers only. Two indexes on disk
-- maintain themselves in background threads, which get a part of a processor and of the disk and leave searches the rest.
local data = synthetic { kind = "mixture", rows = 8000, dim = 16 }
local seconds = quick and 0.3 or 2
local background = { maintenance = "background", background_threads = 2, background_nice = 5, background_cpu_share = .5, background_mb_s = 100 }

experiment {
  name = "concurrent",
  title = "Searches beside insertions",
  threads = 2,

  workload = function(w)
    w:insert { data:rows(1, 4000), tag = "load" }
    w:concurrent { data:queries(100), readers = 2, seconds = seconds, tag = "readers only" }
    w:concurrent { data:queries(100), k = 20, writes = data:rows(4001, 5000), writers = 1, readers = 1,
                   seconds = seconds, tag = "one writer" }
    w:concurrent { data:queries(100), writes = data:rows(5001, 5200), rate = 200, seconds = seconds,
                   repeated = true, tag = "200 a second" }
    w:concurrent { data:queries(100), writes = data:rows(5201, 6000), removes = "oldest",
                   seconds = seconds, alone = true, tag = "replacements" }
    w:concurrent { data:queries(100), writes = data:rows(6001, 8000), readers = 0, seconds = 0, tag = "writers only" }
  end,

  methods = {
    method { "flat", lock = true }, -- flat lets no insertion run beside searches: a lock of the harness is around it
    method { "hnsw" }, method { "divf", knobs = { nprobe = 8 } },
    method { "spfresh", params = background },
    method { "channi", params = background },
  },
  figures = { { "ccdf", where = { tag = { "readers only", "one writer", "200 a second" } } } },
}
