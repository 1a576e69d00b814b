-- load.lua - Six mixes of operations, A to F, as YCSB has them for records, here for vectors.
--
--      YCSB                        here                                             queries
--   A  50 % reads, 50 % updates    50 % searches, 50 % updates                      zipf
--   B  95 % reads,  5 % updates    95 % searches,  5 % updates                      zipf
--   C  reads                       searches                                         zipf
--   D  95 % reads,  5 % inserts    95 % searches,  5 % insertions                   latest
--   E  95 % scans,  5 % inserts    95 % searches of 100 neighbours, 5 % insertions  zipf
--   F  50 % reads, 50 % reads that 50 % searches, 25 % insertions, 25 % deletions   uniform
--      are written back            of the oldest rows: a window of constant size
--
-- YCSB's F reads a record and writes it back. A vector is not written from what was read, so F is a sliding window instead.

local load = {}

load.presets = {
  A = { search = .5, update = .5, query_choice = "zipf" },
  B = { search = .95, update = .05, query_choice = "zipf" },
  C = { search = 1, query_choice = "zipf" },
  D = { search = .95, insert = .05, query_choice = "latest" },
  E = { search = .95, insert = .05, query_choice = "zipf", k = 100 },
  F = { search = .5, insert = .25, delete = .25, removes = "oldest", query_choice = "uniform" },
}

function load.preset(letter)
  local preset = load.presets[letter:upper()]
  if not preset then error(("preset=%s: expected one letter of A to F"):format(letter)) end
  return preset
end

-- How many of `wanted` operations the rows suffice for: `live` rows to update and delete, `new` ones to write. The
-- kinds are drawn, so a tenth and a hundred rows are spared.
function load.operations(preset, wanted, live, new)
  local function share(...)
    local sum = 0
    for _, kind in ipairs { ... } do sum = sum + (preset[kind] or 0) end
    return sum
  end
  local function least(rows, part)
    return part > 0 and math.max(1, math.floor(.9 * rows - 100)) // part or math.huge
  end
  return math.floor(math.min(wanted, least(new, share("insert", "update")), least(live, share("delete", "update"))))
end

-- The table for w:mix: the preset with its queries, its new rows, and `more` keys.
function load.step(preset, queries, new, more)
  local step = { queries }
  for key, value in pairs(preset) do step[key] = value end
  if (preset.insert or 0) + (preset.update or 0) > 0 then step.rows = new end
  for key, value in pairs(more) do step[key] = value end
  return step
end

-- Libraries beside ours, as their users run them under a live load: with a readers-writer lock around them (lock = true).
-- hnswlib and FAISS let searches run side by side, but none beside a change; usearch's wrapper here and FAISS's take one call at a time.
-- FAISS's HNSW cannot delete, so it is left out where the load deletes; elsewhere it fetches four times as many answers and drops deleted ones.
--
-- Appends them to `methods` and returns that. clusters: lists of the inverted file; deletes: whether the load itself deletes.
function load.baselines(t, methods)
  local ef, locked = 64, function(name) return name .. ", locked" end
  for _, m in ipairs {
    method { "hnswlib", label = locked "hnswlib", knobs = { ef_search = ef }, lock = true },
    method { "usearch", label = locked "usearch", knobs = { expansion_search = ef }, lock = true },
    method { "faiss-ivf-flat", label = locked "FAISS IVF", params = { clusters = t.clusters }, knobs = { nprobe = 16 }, lock = true },
  } do methods[#methods + 1] = m end
  if not t.deletes then
    methods[#methods + 1] = method { "faiss-hnsw", label = locked "FAISS HNSW", knobs = { ef_search = ef }, deletes = "filter", overfetch = 4, lock = true }
  end
  return methods
end

return load
