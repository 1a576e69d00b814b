-- live.lua - Dynamic IVF that never goes offline: searches while clothing is added to an index of digits.
--
-- The lists are trained on MNIST digits. Some images of clothing are inserted, then the digits. The two "paced" steps
-- have the same rate of searches for digits: "idle" without a writer, "beside" with one that inserts clothing at that
-- rate, which overloads the lists. Latency counts from the moment an operation was due. Then a writer replaces the
-- oldest vectors, clothing too, as fast as it can: "alone", and "both" with a thread that searches as fast as it can.
-- The neighbours of the queries are digits, so the truth of every step is the same. The paper says that the index
-- "never goes offline" and has no numbers for it.

local mnist, fashion = dataset "mnist", dataset "fashion-mnist"
local n       = option("rows", quick and 2000 or 20000, "digits loaded")
local part    = option("part", quick and 500 or 10000, "images of clothing of each step")
local seconds = option("seconds", quick and 1 or 10, "of the paced steps")
local rate    = option("rate", quick and 200 or 500, "searches, and insertions, per second")
local asked   = mnist:queries(option("queries", quick and 100 or 500, "asked"))

local copenhagen, lire, coded = "dynamic IVF", "dynamic IVF, lire", "dynamic IVF, lire, RaBitQ"
local function ours(label, params)
  params.clusters = math.floor(4 * math.sqrt(n))
  return method { "divf", label = label, element = "f32", params = params, knobs = { nprobe = 12 } }
end

experiment {
  name = "copenhagen_live",
  title = "Dynamic IVF: searches beside changes",
  publication = "Copenhagen",
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:train  { mnist:rows(1, n) }
    w:insert { fashion:rows(1, 2 * part), tag = "load" }
    w:insert { mnist:rows(1, n), tag = "load" }
    w:concurrent { asked, readers = 1, writers = 0, seconds = seconds, rate = rate, tag = "idle" }
    w:concurrent { asked, writes = fashion:rows(2 * part + 1, 3 * part), writers = 1, readers = 1,
                   seconds = seconds, rate = rate, tag = "beside" }
    w:concurrent { asked, writes = fashion:rows(3 * part + 1, 4 * part), removes = "oldest", writers = 1, readers = 0,
                   seconds = 0, tag = "alone" }
    w:concurrent { asked, writes = fashion:rows(4 * part + 1, 5 * part), removes = "oldest", writers = 1, readers = 1,
                   seconds = 0, tag = "both" }
    w:search { asked, tag = "after" }
  end,

  methods = {
    ours(copenhagen, {}),
    ours(lire, { maintenance = "lire" }),
    ours(coded, { maintenance = "lire", quantizer = "rabitq", bits = 5 }),
    method { "hnsw", knobs = { ef_search = 64 } },
  },

  claims = {
    { "never offline: the 99th percentile of searches beside insertions is within 2 times that without", function(r)
      return r(copenhagen, "p99_ns/beside") <= 2 * r(copenhagen, "p99_ns/idle")
         and r(lire, "p99_ns/beside") <= 2 * r(lire, "p99_ns/idle")
    end },
    { "(ours) lists were split meanwhile", function(r) return r(lire, "stats.splits/beside") > r(lire, "stats.splits/load") end },
    { "(ours) no deleted vector is answered afterwards", function(r)
      return r(copenhagen, "wrong_ids/after") == 0 and r(lire, "wrong_ids/after") == 0 and r(coded, "wrong_ids/after") == 0
    end },
  },

  figures = {
    { "bars", y = "p99_ns", x = "label", group = "tag", where = { tag = { "idle", "beside" } }, title = "99th percentile of a search" },
    { "bars", y = "stats.write_latency_ns.p99", x = "label", where = { tag = { "alone", "both" } }, title = "99th percentile of a replacement" },
  },
}
