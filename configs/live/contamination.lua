-- contamination.lua - A third of the rows that arrive is noise, unlike all others, while searches for the others go on.
--
-- Data: photo-sift, and for the noise a synthetic mixture of as many dimensions; --set data=sift1m takes another. Claims are set for
-- photo-sift.
--
-- Contamination is one of the streams of CANDOR-Bench. "clean" is a load without noise, then "noisy" one at the same rate, in four
-- parts, each of which ends with noise. No query asks for noise, so what it costs is that it is stored.

local load_of = require "load"
local data    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 5000 or 50000, "loaded")
local rate    = option("rate", quick and 1000 or 2000, "operations per second")
local seconds = option("seconds", quick and 1 or 5, "of each load")
local share   = option("noise", .33, "of the rows that arrive in the noisy load")
local clusters = quick and 64 or 256
local queries = data:queries(option("queries", quick and 200 or 1000, "asked"))
local parts   = 4
local noise   = synthetic { kind = "mixture", rows = 100000, dim = data.dim }

local hnsw, vamana, divf = "HNSW", "Vamana", "dynamic IVF"
local labels = { hnsw, vamana, divf }

experiment {
  name = "contamination", title = "Noise among the rows that arrive",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    local loaded = data:rows(1, n)
    local function load(rows, part, tag)
      w:mix { queries, rows = rows, search = .5, insert = .5, threads = 2, rate = rate, seconds = seconds * part, arrivals = "poisson",
              repeated = true, tag = tag }
    end
    local function new(first, part) -- half of the load, and what chance adds
      local count = math.ceil(.6 * rate * seconds * part) + 100
      return first, first + count - 1
    end
    w:train  { loaded }
    w:insert { loaded, tag = "load" }
    w:search { queries, tag = "before" }
    local first, last = new(n + 1, 1)
    load(data:rows(first, last), 1, "clean")
    w:search { queries, tag = "after clean" }
    local noise_last = 0
    for _ = 1, parts do
      first, last = new(last + 1, (1 - share) / parts)
      load(data:rows(first, last), (1 - share) / parts, "noisy")
      first, noise_last = new(noise_last + 1, share / parts)
      load(noise:rows(first, noise_last), share / parts, "noisy")
    end
    w:search { queries, tag = "after noisy" }
  end,

  methods = load_of.baselines({ clusters = clusters, deletes = false }, {
    method { "hnsw", label = hnsw, knobs = { ef_search = 64 } },
    method { "vamana", label = vamana, knobs = { search_list = 64 } },
    method { "divf", label = divf, params = { clusters = clusters }, knobs = { nprobe = 16 } },
  }),
  figures = { { "bars", y = "recall@10", where = { tag = { "before", "after clean", "after noisy" } } } },
  claims = {
    { "Noise takes at most .02 of recall from HNSW, Vamana and the dynamic IVF", function(r)
      for _, label in ipairs(labels) do
        if r(label, "recall@10/after noisy") < r(label, "recall@10/after clean") - .02 then return false end
      end
      return true
    end },
    { "A search computes at most a fifth more distances after the noisy load than after the clean one", function(r)
      for _, label in ipairs(labels) do
        if r(label, "distances/after noisy") > 1.2 * r(label, "distances/after clean") then return false end
      end
      return true
    end },
  },
}
