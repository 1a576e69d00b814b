-- sweep_order.lua - Whether the order of a sweep changes what its points cost: a point that comes late could gain by what
-- the ones before it left in a cache. CHANNI with a tenth of its vectors cached and reads past the page cache has most
-- to gain; HNSW holds everything in memory.

local channi  = require "channi"
local rows    = option("rows", quick and 4000 or 20000, "vectors")
local queries = option("queries", quick and 100 or 1000, "asked at each point")
local data    = synthetic { kind = "mixture", rows = rows, dim = 64 }

local probes, ef = { 1, 2, 4, 8 }, { 10, 40, 160 }
local orders = { "up", "down" }

local function reversed(values)
  local turned = {}
  for i, value in ipairs(values) do turned[#values + 1 - i] = value end
  return turned
end

local function sweep(order, values) return order == "up" and values or reversed(values) end

local methods = {}
for _, order in ipairs(orders) do
  methods[#methods + 1] = channi.index("CHANNI, " .. order,
    { cache_mb = channi.megabytes(rows, data, .1), direct = true }, { sweep = { nprobe = sweep(order, probes) } })
  methods[#methods + 1] = channi.hnsw("HNSW, " .. order, { sweep = { ef_search = sweep(order, ef) } })
end

-- Whether the two orders differ by a tenth or less at each point.
local function agree(r, label, knob, values, metric)
  for _, value in ipairs(values) do
    local up   = r(("%s, up[%s=%d]"):format(label, knob, value), metric)
    local down = r(("%s, down[%s=%d]"):format(label, knob, value), metric)
    if math.max(up, down) > 1.1 * math.min(up, down) then return false end
  end
  return true
end

experiment {
  name = "sweep_order",
  title = "Points of a sweep, upwards and downwards",
  seed = 1, repeats = quick and 1 or 5, k = 10, threads = 1,

  workload = function(w)
    w:insert { data, tag = "load" }
    w:search { data:queries(queries), tag = "search" }
  end,

  methods = methods,
  figures = { { "pareto" } },

  claims = {
    { "(ours) CHANNI with direct reads is as fast at each point, whichever comes first", function(r)
      return agree(r, "CHANNI", "nprobe", probes, "single_qps/search") and agree(r, "CHANNI", "nprobe", probes, "qps/search")
    end },
    { "(ours) so is HNSW", function(r)
      return agree(r, "HNSW", "ef_search", ef, "single_qps/search") and agree(r, "HNSW", "ef_search", ef, "qps/search")
    end },
  },
}
