-- scaling.lua - The paper's "near-linear scaling" of CHANNI, by cores, by vectors and by clusters.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Vectors: each size is reached from the one before, from 1/32 of the vectors on. An eighth of the first size is
-- expected, so clusters split during growth. CHANNI has three target sizes: fewer, larger clusters cost more in each
-- cluster and less above. The figures fit the slope of time against vectors on logarithmic axes. The slope should be
-- far below 1 for a pure graph and for CHANNI, and 1 for a scan.
--
-- Cores: 1, 2, 4 ... `cores` readers (--set cores=8) search concurrently, one query at a time each, so throughput
-- should grow with the readers. A run with --threads 2 and more shows the gain of a single query from several
-- threads, which search clusters in parallel and reduce their answers.

local channi  = require "channi"
local data    = require("datasets").open "photo-sift"
local n       = option("rows", quick and 8000 or 256000, "vectors at the largest size")
local steps   = quick and 4 or 6
local cores   = option("cores", 2, "readers at most")
local seconds = option("seconds", quick and 0.5 or 4, "of concurrent reading, a number of readers")
local queries = data:queries(option("queries", quick and 100 or 1000, "asked after every step"))

local sizes = {}
for i = steps - 1, 0, -1 do sizes[#sizes + 1] = n >> i end
local readers = {}
for i = 0, 10 do if 1 << i <= cores then readers[#readers + 1] = 1 << i end end
local last = #sizes

local targets = quick and { 50, 100, 200 } or { 250, 1000, 4000 }
local labels  = {}
for i, target in ipairs(targets) do labels[i] = ("CHANNI, clusters of %d"):format(target) end
local middle  = labels[2]
local probes  = quick and { 1, 2, 4, 8, 16 } or { 1, 2, 4, 8, 16, 32 }
local mark    = 8

local function at(label) return label == "hnsw" and "hnsw" or label == "scan" and "scan" or channi.point(label, mark) end
local function grow(r, label, metric, i) return r(at(label), ("%s/size#%d"):format(metric, i)) end
-- The log-log slope of a metric against the number of vectors, between two sizes.
local function slope(first, final)
  return math.log(final / first) / math.log(sizes[last] / sizes[1])
end
local function at_recall(r, metric, i) return r(middle, ("%s@recall=0.9/size#%d"):format(metric, i)) end
local function speed_up(r, label, i) return r(at(label), ("per_second/readers %d"):format(readers[i])) / r(at(label), "per_second/readers 1") end

local methods = {}
for i, target in ipairs(targets) do
  methods[i] = channi.index(labels[i], { target_cluster = target, expected_n = sizes[1] // 8, cache_mb = channi.megabytes(n, data, 4) }, { sweep = { nprobe = probes } })
end
methods[#methods + 1] = channi.hnsw(nil, { knobs = { ef_search = 64 } })
methods[#methods + 1] = method { "flat", label = "scan" }

local shown = { labels[1], labels[2], labels[3], "hnsw", "scan" }
local points = { "nprobe=" .. mark, "" }

experiment {
  name = "channi_scaling",
  title = "CHANNI: cores, vectors, clusters",
  publication = "CHANNI",
  seed = 1, k = 10, threads = 1, timeout = 7200, size_hint = false,

  workload = function(w)
    local before = 0
    for _, size in ipairs(sizes) do
      w:insert { data:rows(before + 1, size), batch = 1000, singles = 20, tag = "come" }
      w:maintain { tag = "settle" }
      w:search { queries, tag = "size" }
      before = size
    end
    w:checkpoint "sizes"
    for _, count in ipairs(readers) do w:concurrent { queries, readers = count, seconds = seconds, tag = "readers " .. count } end
  end,

  methods = methods,

  claims = {
    { "near-linear scaling by cores: with all readers throughput is at least .7 times as many times one reader's", function(r)
      return speed_up(r, middle, #readers) >= .7 * readers[#readers]
    end },
    { "search grows far slower than the vectors: the slope of the distances for recall .9 is below .5", function(r)
      return slope(at_recall(r, "distances", 1), at_recall(r, "distances", last)) < .5
    end },
    { "and so does time: the slope of the time for recall .9 is below .6, that of a scan above .9", function(r)
      return slope(1 / at_recall(r, "qps", 1), 1 / at_recall(r, "qps", last)) < .6
        and slope(grow(r, "scan", "p50_ns", 1), grow(r, "scan", "p50_ns", last)) > .9
    end },
    { "clusters follow the vectors: as many times more of both, within a factor of 4", function(r)
      local times, more = sizes[last] / sizes[1], r(at(middle), ("stats.clusters/settle#%d"):format(last)) / r(at(middle), "stats.clusters/settle#1")
      return more >= times / 4 and more <= times * 4
    end },
    { "(ours) the number of clusters to ask has to grow: at 8 recall falls", function(r)
      return grow(r, middle, "recall@10", last) < grow(r, middle, "recall@10", 1)
    end },
    { "(ours) an insertion hardly gets dearer: at the last size at most 3 times as dear as at the second", function(r)
      return r(at(middle), ("ns_each/come#%d"):format(last)) <= 3 * r(at(middle), "ns_each/come#2")
    end },
    { "(ours) it scales by cores as the pure graph does: within .15 of its speed-up", function(r)
      return math.abs(speed_up(r, middle, #readers) - speed_up(r, "hnsw", #readers)) <= .15 * readers[#readers]
    end },
    { "(ours) no answer is repeated or unknown", function(r)
      return channi.no_wrong_ids(r, { at(labels[1]), at(labels[2]), at(labels[3]) }, "size")
    end },
  },

  figures = {
    { "scaling", y = "p50_ns", where = { tag = "size", label = shown, point = points }, title = "Median latency of a search, by vectors" },
    { "scaling", y = "distances", where = { tag = "size", label = shown, point = points }, title = "Distances per search, by vectors" },
    { "scaling", y = "ns_each", where = { tag = "come", label = shown, point = points }, title = "ns per insertion, by vectors" },
    { "scaling", y = "index_bytes", where = { tag = "settle", label = shown, point = points }, title = "Memory, by vectors" },
    { "timeline", y = { "recall@10", "stats.clusters" }, where = { tag = { "size", "settle" }, point = "nprobe=" .. mark }, title = "Recall and clusters, by vectors" },
    { "bars", y = "per_second", x = "tag", group = "label", where = { label = { middle, "hnsw", "scan" }, tag = "readers 1", point = points },
      title = "Queries per second of one reader" },
    { "sizes", y = "cluster.live", title = "Vectors per cluster at the end" },
  },
}
