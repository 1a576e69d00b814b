-- baselines.lua - Every method that searches vectors, and every one that searches codes, ours and the baselines, with
-- the builds and the sweep that each is tuned over. Used by ranking.lua.

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

-- The lists of inverted files: about four times the root of the rows, and half and twice that, but at least four of the
-- rows trained on in each.
local function lists(rows, trained)
  local middle, most = math.floor(4 * math.sqrt(rows)), trained // 4
  return { math.min(middle // 2, most), math.min(middle, most), math.min(2 * middle, most) }
end

-- FAISS's fast scan with each of these numbers of lists: half a byte for each pair of dimensions, exact distances to
-- k * k_factor_rf. Above 256 dimensions also behind OPQ, which is faster where its recall is reached (tune_baselines.lua).
local function fast_scans(counts, dim)
  local factories = {}
  for _, count in ipairs(counts) do
    factories[#factories + 1] = ("IVF%d,PQ%dx4fs,RFlat"):format(count, dim // 2)
    factories[#factories + 1] = dim > 256 and ("OPQ64_256,IVF%d,PQ64x4fs,RFlat"):format(count) or nil
  end
  return factories
end

-- What searches vectors.
local function add_vectors(add, t, counts, filter)
  add { "flat" }
  add { "divf", grid = { clusters = counts }, sweep = { nprobe = probes } }
  add { "divf", label = "divf, RaBitQ", params = { quantizer = "rabitq" }, grid = { clusters = counts, bits = { 1, 4, 7 } },
        sweep = { nprobe = probes } }
  add { "hnsw", grid = { M = { 12, 16, 24 }, ef_construction = { 100, 200 } }, sweep = { ef_search = ef } }
  add { "vamana", grid = { degree = { 24, 32, 48 } }, sweep = { search_list = ef } }
  add { "vamana-disk", grid = { pq_groups = { 0, math.ceil(t.dim / 2) } }, sweep = { search_list = ef } }
  add { "symqg", grid = { degree = { 32, 64 } }, sweep = { ef_search = ef } }
  add { "scann", grid = { clusters = counts }, sweep = { nprobe = probes } }
  add { "spfresh", grid = { ratio = { .05, .1, .16 } }, sweep = { nprobe = probes } }
  add { "channi", grid = { target_cluster = { 100, 300, 500 } }, sweep = { nprobe = probes } }
  if t.metric == "cosine" then
    add { "asteria", grid = { rabitq_bits = { 1, 4 }, code = { "golay", "none" } }, sweep = { nprobe = probes } }
  end

  add { "faiss-ivf-flat", grid = { clusters = counts }, sweep = { nprobe = probes } }
  if t.dim % 2 == 0 then
    local factories = fast_scans(counts, t.dim)
    for _, factor in ipairs { 4, 8, 16 } do
      add { "faiss-factory", label = "FAISS fast scan", variant = ("k_factor_rf %d"):format(factor), deletes = filter,
            grid = { factory = factories }, knobs = { k_factor_rf = factor }, sweep = { nprobe = probes } }
    end
  end
  add { "faiss-hnsw", deletes = filter, grid = { M = { 16, 32 } }, sweep = { ef_search = ef } }
  add { "hnswlib", grid = { M = { 12, 16, 24 }, ef_construction = { 100, 200 } }, params = { deletes = t.changes and "replace" or nil },
        sweep = { ef_search = ef } }
  add { "usearch", grid = { connectivity = { 12, 16, 24 }, scalar = { "f32", "bf16" } }, sweep = { expansion_search = ef } }
end

-- What searches codes. All but FAISS's lists and hashes are exact.
local function add_codes(add, t, counts, filter)
  add { "flat" }
  add { "hamming-scan" }
  add { "mih", grid = { layout = { "copied", "slots" } } }
  add { "hftrie", label = "hftrie multi", params = { mode = "multi" } }
  for _, tree in ipairs { "hwtree", "mtree", "mvptree" } do add { tree } end
  local factories = {}
  for i, count in ipairs(counts) do factories[i] = "BIVF" .. count end
  add { "faiss-factory", label = "FAISS IVF", deletes = filter, grid = { factory = factories }, sweep = { nprobe = probes } }
  add { "faiss-factory", label = "FAISS multi-hash", deletes = filter, params = { factory = "BHash4x16" }, sweep = { nflip = { 0, 1, 2, 3 } } }
end

-- All entries for data of `rows` x `dim` under `metric`, each calibrated to `recall`; `trained` rows (all without) are
-- for training. `changes` is true where rows are deleted: a static method then deletes as its users would.
-- Entries of one label differ by `variant`, in search parameters that are not swept. `also`: more entries, in this form.
local function entries(t)
  local counts, out, filter = lists(t.rows, t.trained or t.rows), {}, t.changes and "filter" or nil
  local function add(m)
    m.label = m.label or m[1]
    m.calibrate = m.sweep and { recall = t.recall } or nil
    out[#out + 1] = m
  end

  local all = t.metric == "hamming" and add_codes or add_vectors
  all(add, t, counts, filter)
  local taken = {}
  for _, m in ipairs(out) do taken[m.label] = true end
  for _, m in ipairs(t.also or {}) do
    if type(m) ~= "table" then error('also: expected tables such as { "mymethod", sweep = { ef = { 10, 20 } } }') end
    if taken[m.label or m[1]] then error(('also: there is an entry "%s" already; give this one a label of its own'):format(m.label or m[1])) end
    add(m)
  end
  return out
end

-- All methods, as the key `methods` of an experiment takes them.
function baselines.methods(t)
  local out = {}
  for i, m in ipairs(entries(t)) do
    m.label, m.variant = m.variant and m.label .. ", " .. m.variant or m.label, nil
    out[i] = method(m)
  end
  return out
end

-- The same with one build each, as tables for method(): "hnsw 2" has the second combination of hnsw's grid.
function baselines.builds(t)
  local out, numbers = {}, {}
  local function add(m, names, chosen)
    local name = names[#chosen + 1]
    if name then
      for _, value in ipairs(m.grid[name]) do
        local more = { table.unpack(chosen) }
        more[#more + 1] = value
        add(m, names, more)
      end
      return
    end
    local build = {}
    for key, value in pairs(m) do build[key] = value end
    build.grid, build.variant = m.grid and {} or nil, nil
    for i, value in ipairs(chosen) do build.grid[names[i]] = { value } end
    numbers[m.label] = (numbers[m.label] or 0) + 1
    build.label = m.grid and m.label .. " " .. numbers[m.label] or m.label
    out[#out + 1] = build
  end
  for _, m in ipairs(entries(t)) do
    local names = {}
    for name in pairs(m.grid or {}) do names[#names + 1] = name end
    table.sort(names)
    add(m, names, {})
  end
  return out
end

-- The builds of these points, such as "hnsw 2[M=16,ef_search=48]; flat", as tables for method(): each searches at its
-- point alone. t: as baselines.builds takes it.
function baselines.at(points, t)
  local out, known = {}, {}
  for _, build in ipairs(baselines.builds(t)) do known[build.label] = build end
  for point in points:gmatch("[^;]+") do
    local label, values = point:match("^%s*(.-)%s*%[(.*)%]%s*$")
    label = label or point:match("^%s*(.-)%s*$")
    local build = known[label]
    if not build then error(("there is no build \"%s\""):format(label)) end
    local params, knobs = {}, {}
    for key, value in pairs(build.params or {}) do params[key] = value end
    for key, list in pairs(build.grid or {}) do params[key] = list[1] end
    for key, value in pairs(build.knobs or {}) do knobs[key] = value end
    for key, value in (values or ""):gmatch("([%w_]+)=([%d.]+)%f[,\0]") do
      if build.sweep and build.sweep[key] then knobs[key] = tonumber(value)
      elseif build.grid and build.grid[key] then params[key] = tonumber(value) end
    end
    out[#out + 1] = { build[1], label = label, params = params, knobs = knobs, deletes = build.deletes }
  end
  return out
end

return baselines
