-- baselines.lua - Every method that searches vectors, ours and the baselines, with the builds and the sweep that each
-- is tuned over. Used by configs/baselines_static.lua and configs/baselines_churn.lua.

local baselines = {}

-- Whole numbers from first to last, each about a fifth more than the one before: methods are then compared at nearly
-- the same recall.
local function steps(first, last)
  local values, value = { first }, first
  while value * 1.2 < last do
    value = math.max(value + 1, math.floor(value * 1.2))
    values[#values + 1] = value
  end
  return values
end
local probes, ef = steps(1, 256), steps(10, 512)

-- The lists of inverted files: about four times the root of the rows, and half and twice that.
local function lists(rows)
  local middle = math.floor(4 * math.sqrt(rows))
  return { middle // 2, middle, 2 * middle }
end

-- FAISS's fast scan with `count` lists: half a byte for each pair of dimensions, exact distances to k * k_factor_rf.
local function fast_scan(count, dim)
  return ("IVF%d,PQ%dx4fs,RFlat"):format(count, dim // 2)
end

-- All methods for data of `rows` x `dim` under `metric`, each calibrated to `recall`. `changes` is true where rows
-- are deleted: a static method is then left out, or deletes as its users would.
function baselines.methods(t)
  local counts, out = lists(t.rows), {}
  local function add(m)
    m.calibrate = { recall = t.recall }
    out[#out + 1] = method(m)
  end

  add { "divf", grid = { clusters = counts }, sweep = { nprobe = probes } }
  add { "divf", label = "divf, RaBitQ", params = { quantizer = "rabitq" }, grid = { clusters = counts, bits = { 1, 4, 7 } },
        sweep = { nprobe = probes } }
  add { "hnsw", grid = { M = { 12, 16, 24 }, ef_construction = { 100, 200 } }, sweep = { ef_search = ef } }
  add { "vamana", grid = { degree = { 24, 32, 48 } }, sweep = { search_list = ef } }
  add { "vamana-disk", grid = { pq_groups = { 0, math.ceil(t.dim / 2) } }, sweep = { search_list = ef } }
  if not t.changes then
    add { "symqg", grid = { degree = { 32, 64 } }, sweep = { ef_search = ef } }
  end
  add { "scann", grid = { clusters = counts }, sweep = { nprobe = probes } }
  add { "spfresh", grid = { ratio = { .05, .1, .16 } }, sweep = { nprobe = probes } }
  add { "channi", grid = { target_cluster = { 100, 300, 1000 } }, sweep = { nprobe = probes } }
  if t.metric == "cosine" then
    add { "asteria", grid = { rabitq_bits = { 1, 4 }, code = { "golay", "none" } }, sweep = { nprobe = probes } }
  end

  local filter = t.changes and "filter" or nil
  add { "faiss-ivf-flat", grid = { clusters = counts }, sweep = { nprobe = probes } }
  if t.dim % 2 == 0 then
    for _, count in ipairs(counts) do
      add { "faiss-factory", label = ("FAISS fast scan, %d lists"):format(count), deletes = filter,
            params = { factory = fast_scan(count, t.dim) }, knobs = { k_factor_rf = 16 }, sweep = { nprobe = probes } }
    end
  end
  add { "faiss-hnsw", deletes = filter, grid = { M = { 16, 32 } }, sweep = { ef_search = ef } }
  add { "hnswlib", grid = { M = { 12, 16, 24 }, ef_construction = { 100, 200 } }, params = { deletes = t.changes and "replace" or nil },
        sweep = { ef_search = ef } }
  add { "usearch", grid = { connectivity = { 12, 16, 24 }, scalar = { "f32", "bf16" } }, sweep = { expansion_search = ef } }
  return out
end

return baselines
