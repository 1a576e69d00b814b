-- ten_million.lua - The targets of ten million vectors of 128 bytes: time to build, memory, and the median latency at
-- recall .95, for SPANN, for dynamic IVF with its vectors in a mapped file, and for CHANNI.
--
-- The vectors are a synthetic mixture. A run takes a quarter of an hour. Everything fits into the page cache of a machine
-- with 16 GiB, so latencies are warm ones. docs/results/spfresh.md has the results, and what a hundred million would
-- take. --set rows=1000000 gives a slope, --set methods=spann runs only that.

local spfresh = require "spfresh"

local rows    = option("rows", quick and 50000 or 10000000, "vectors")
local queries = option("queries", quick and 200 or 1000, "asked")
local wanted  = option("methods", "spann, divf, channi", "the methods to run")
local data    = synthetic { kind = "mixture", rows = rows, dim = 128, clusters = math.max(10, rows // 1000), byte_scale = 32 }
local raw     = rows * 128

local probes = { 1, 2, 4, 8, 16, 24, 32, 40, 48, 64 }
local entries = {
  { "spann", params = { ratio = 0.02 } },
  -- Training by a sample: the lists are as many as for all rows.
  { "divf", params = { storage = "mmap", quantizer = "rabitq", clusters = math.floor(math.sqrt(rows)),
                       train_sample = math.min(rows, 50 * math.floor(math.sqrt(rows))), train_iters = 10 } },
  { "channi", params = { cold_rows = true } },
}
local methods, labels = {}, {}
for _, m in ipairs(entries) do
  if wanted:find(m[1], 1, true) then
    m.sweep = { nprobe = probes }
    labels[#labels + 1], methods[#methods + 1] = m[1], method(m)
  end
end

local claims = {}
local function claim(text, holds) claims[#claims + 1] = { "(ours) " .. text, holds } end
for _, label in ipairs(labels) do
  local function built(r, metric) return r(spfresh.point(label, probes[1]), metric) end
  claim(label .. ": built in at most 300 s on two threads", function(r)
    local train = label == "channi" and 0 or built(r, "seconds/train") -- CHANNI trains nothing
    return train + built(r, "seconds/load") <= 300
  end)
  claim(label .. ": at most 8 % of the vectors' bytes in memory, by its own count", function(r)
    return built(r, "index_bytes/load") <= 0.08 * raw
  end)
  claim(label .. ": recall .95 at a p50 of at most .3 ms", function(r)
    return r(spfresh.reaching(r, label, probes, 0.95, "full"), "p50_ns/full") <= 0.3e6
  end)
end

experiment {
  name = "ten_million",
  title = "Ten million vectors of 128 bytes",
  seed = 1, k = 10, threads = 2,

  workload = function(w)
    w:train  { data:rows(1, rows), tag = "train" }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(queries), tag = "full" }
  end,

  methods = methods,
  claims = claims,
  figures = {
    { "pareto", x = "p50_ns", y = "recall@10", where = { tag = "full" }, title = "Recall and median latency" },
    { "memory", y = "parts", title = "Memory by part" },
  },
}
