-- hftrie.lua - Shared by the configs of the HFTrie paper: the paper's data, the paper's methods and ours, and the
-- paper's tables in our units.
--
-- Labels: HFTrie-std and HFTrie-fast have the paper's own settings (4 bits per level, 10 codes per leaf). "hftrie
-- ..." have ours.

local hftrie = {}

-- The paper's data: n uniform codes and clusters of ten. A cluster is a centre and nine copies with
-- U(1..radius) bit flips, drawn with replacement. The centres are the queries. The planted rows come last;
-- background(n) excludes them.
hftrie.members = 10

function hftrie.codes(n, clusters, radius)
  return synthetic { kind = "uniform", rows = n, clusters = clusters, members = hftrie.members, radius = radius }
end

function hftrie.planted(codes, clusters)
  return codes:rows(#codes - clusters * hftrie.members + 1, #codes)
end

-- The published settings.
function hftrie.std()  return method { "hftrie", label = "HFTrie-std",
                                       params = { mode = "standard", chunk_bits = 4, leaf_capacity = 10 } } end
function hftrie.fast() return method { "hftrie", label = "HFTrie-fast",
                                       params = { mode = "fast", chunk_bits = 4, leaf_capacity = 10 } } end
-- Our methods.
function hftrie.standard() return method { "hftrie", label = "hftrie standard", params = { mode = "standard" } } end
function hftrie.quick()    return method { "hftrie", label = "hftrie fast", params = { mode = "fast" } } end
function hftrie.multi(label, more)
  more = more or {}
  more[1], more.label = "hftrie", label or "hftrie multi"
  more.params = more.params or {}
  more.params.mode = "multi"
  return method(more)
end
-- One index searches with its cost model, then scans, in one process and in direct succession, so both run at the
-- same machine speed. Two methods run in separate processes and can differ by more than 10 % for that alone.
function hftrie.one_index() return hftrie.multi("one index", { sweep = { plan = { "auto", "scan" } } }) end
function hftrie.never_slower(r, metric)
  return r("one index[plan=auto]", metric) <= 1.1 * r("one index[plan=scan]", metric)
end
function hftrie.mih(layout) return method { "mih", label = "MIH, " .. layout, params = { layout = layout } } end
function hftrie.scan(label) return method { "hamming-scan", label = label or "scan" } end

-- "100K", "4.0MB", "330 ns", "37.1 us": a cell of the paper's tables as a number. An MB is a million bytes: the paper
-- gives 64MB for 4M rows of 16 bytes.
local scale = { K = 1e3, M = 1e6, MB = 1e6, GB = 1e9, ns = 1, us = 1e3, ms = 1e6, s = 1e9 }

function hftrie.number(text)
  local value, unit = text:match "^([%d.]+)%s*(%a*)$"
  return tonumber(value) * (unit == "" and 1 or scale[unit])
end

-- A line of a table, "MEM | insert time | operations % | query time | recall %", as metrics of an insert step and a
-- range step. A cell "-" is left out.
function hftrie.cells(line, insert, range, into)
  local names = { "index_bytes/" .. insert, "ns_each/" .. insert, "distances_percent/" .. range,
                  "mean_ns/" .. range, "planted_recall/" .. range }
  local i, cells = 0, into or {}
  for cell in line:gmatch "[^|]+" do
    i = i + 1
    cell = cell:match "^%s*(.-)%s*$"
    if cell ~= "-" then
      cells[names[i]] = hftrie.number(cell) / (i == 5 and 100 or 1)
    end
  end
  return cells
end

-- At every step i = 1 .. n of a tag.
function hftrie.all(n, holds)
  for i = 1, n do
    if not holds(i) then return false end
  end
  return true
end

return hftrie
