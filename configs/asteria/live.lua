-- live.lua - Asteria that is trained again while it is searched: clothes replace digits at a rate, beside searches.
--
-- An index of MNIST digits is trained on digits. "idle" is searches alone, "beside" the same searches at the same rate
-- beside insertions of clothes, deletions of the oldest digits and, several times, maintenance in a thread of its own. The
-- retrained index fits a new model there once clothes for half of its rows have arrived, and moves its rows to it. The
-- paper has no numbers for "online-safe".

local digits, clothes = dataset { "mnist", metric = "cosine" }, dataset { "fashion-mnist", metric = "cosine" }
local rows    = option("rows", quick and 2000 or 20000, "digits loaded, and clothes that replace them")
local rate    = option("rate", quick and 400 or 2000, "operations per second: half are searches")
local asked   = digits:queries(option("queries", quick and 100 or 500, "asked"))
local late    = clothes:queries(quick and 100 or 500)
local seconds = math.ceil(4 * rows / rate) + 2
local probes  = option("nprobe", 32, "buckets scanned")

local frozen, retrained, rebuilt = "frozen", "retrained", "HNSW"
local function index(label, params)
  params.train_steps = quick and 100 or nil
  return method { "asteria", label = label, params = params, knobs = { nprobe = probes } }
end

experiment {
  name = "asteria_live", title = "Asteria trained again beside searches",
  publication = "Asteria",
  seed = 1, k = 10, threads = 2, timeout = 1800,

  workload = function(w)
    local function step(t)
      t[1], t.rate, t.removes, t.repeated = asked, rate, "oldest", true
      w:mix(t)
    end
    w:train  { digits:rows(1, rows) }
    w:insert { digits:rows(1, rows), tag = "load" }
    step { search = 1, seconds = 2, tag = "idle" }
    step { rows = clothes:rows(1, rows), search = .5, insert = .25, delete = .25, operations = math.floor(3.5 * rows), seconds = seconds,
           maintain_every = seconds / 6, tag = "beside" }
    w:search { late, tag = "clothes" }
  end,

  methods = {
    index(frozen, {}),
    index(retrained, { retrain_share = .5 }),
    method { "hnsw", label = rebuilt, knobs = { ef_search = 64 } },
  },

  claims = {
    { "re-training is online-safe: the 99th percentile of searches beside it is within 2 times that of searches alone", function(r)
      return r(retrained, "p99_ns/beside") <= 2 * r(retrained, "p99_ns/idle")
    end },
    { "and no search waits a second", function(r) return r(retrained, "max_ns/beside") < 1e9 end },
    { "(ours) it was trained again meanwhile", function(r)
      return r(retrained, "stats.model_version/beside") > r(retrained, "stats.model_version/load")
    end },
    { "(ours) no deleted row is answered", function(r)
      return r(retrained, "throughput_wrong_ids/beside") == 0 and r(retrained, "wrong_ids/clothes") == 0
    end },
  },

  figures = {
    { "bars", y = "p99_ns", x = "label", group = "tag", where = { tag = { "idle", "beside" } }, title = "99th percentile of a search" },
    { "bars", y = { "stats.maintenance.p99_ns", "stats.maintenance.max_ns" }, x = "label", where = { tag = "beside" }, title = "Searches that maintenance overlaps" },
  },
}
