-- live.lua - Asteria that is trained again while it is searched: clothes replace digits at a rate, beside searches.
--
-- An index of MNIST digits is trained on digits. Searches arrive at a rate: "idle" alone, "beside" with insertions of
-- clothes, deletions of the oldest digits and, several times, maintenance in a thread of its own. The retrained index fits
-- a new model there whenever clothes for a fifth of its rows have arrived, and moves its rows to it. Changes wait for
-- maintenance; one thread may wait with a change while another searches. The paper has no numbers for "online-safe".

local digits, clothes = dataset { "mnist", metric = "cosine" }, dataset { "fashion-mnist", metric = "cosine" }
local rows    = option("rows", quick and 2000 or 20000, "digits loaded")
local rate    = option("rate", quick and 1000 or 2000, "operations per second: half are searches, a quarter insertions")
local seconds = option("seconds", quick and 3 or 20, "of searches beside changes")
local asked   = digits:queries(option("queries", quick and 100 or 500, "asked"))
local late    = clothes:queries(quick and 100 or 500)
local new     = math.ceil(.25 * rate * seconds) + 100 -- a quarter of the operations, and what chance adds
local probes  = option("nprobe", 32, "buckets scanned")

local frozen, retrained, hnsw = "frozen", "retrained", "HNSW"
local function index(label, params)
  params.train_steps = quick and 100 or nil
  return method { "asteria", label = label, params = params, knobs = { nprobe = probes } }
end

experiment {
  name = "asteria_live", title = "Asteria trained again beside searches",
  publication = "Asteria",
  seed = 1, k = 10, threads = 2, timeout = 1800,

  workload = function(w)
    w:train  { digits:rows(1, rows) }
    w:insert { digits:rows(1, rows), tag = "load" }
    w:mix { asked, search = 1, threads = 2, rate = rate / 2, seconds = seconds / 4, repeated = true, tag = "idle" }
    w:mix { asked, rows = clothes:rows(1, new), search = .5, insert = .25, delete = .25, removes = "oldest", threads = 2, rate = rate,
            seconds = seconds, maintain_every = seconds / 6, repeated = true, tag = "beside" }
    w:search { late, tag = "clothes" }
  end,

  methods = {
    index(frozen, {}),
    index(retrained, { retrain_share = .2 }),
    method { "hnsw", label = hnsw, knobs = { ef_search = 64 } },
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
