-- hftrie.lua - what the configs of the HFTrie source share: its data, the methods as it has them and as ours are, and its
-- tables in our units.
--
-- Labels: HFTrie-std and HFTrie-fast are the source's own settings (4 bits a level, 10 codes a leaf); "hftrie ..." are ours.

local hftrie = {}

-- The source's experiment: n uniform codes, and clusters of ten: a centre and nine copies with U(1..radius) flips of bits drawn
-- with replacement. The queries are the centres. Planted rows come last: background(n) is without them.
hftrie.members = 10

function hftrie.codes(n, clusters, radius)
  return synthetic { kind = "uniform", rows = n, clusters = clusters, members = hftrie.members, radius = radius }
end

function hftrie.planted(codes, clusters)
  return codes:rows(#codes - clusters * hftrie.members + 1, #codes)
end

-- As published.
function hftrie.std()  return method { "hftrie", label = "HFTrie-std",
                                       params = { mode = "standard", chunk_bits = 4, leaf_capacity = 10 } } end
function hftrie.fast() return method { "hftrie", label = "HFTrie-fast",
                                       params = { mode = "fast", chunk_bits = 4, leaf_capacity = 10 } } end
-- Ours.
function hftrie.standard() return method { "hftrie", label = "hftrie standard", params = { mode = "standard" } } end
function hftrie.quick()    return method { "hftrie", label = "hftrie fast", params = { mode = "fast" } } end
function hftrie.multi(label, more)
  more = more or {}
  more[1], more.label = "hftrie", label or "hftrie multi"
  more.params = more.params or {}
  more.params.mode = "multi"
  return method(more)
end
-- One index, asked by its cost model and made to scan: in one process, one right after the other, so that the machine's pace is common
-- to both. Two methods, which run in processes of their own, can differ by more than 10 % for that alone.
function hftrie.one_index() return hftrie.multi("one index", { sweep = { plan = { "auto", "scan" } } }) end
function hftrie.never_slower(r, metric)
  return r("one index[plan=auto]", metric) <= 1.1 * r("one index[plan=scan]", metric)
end
function hftrie.mih(layout) return method { "mih", label = "MIH, " .. layout, params = { layout = layout } } end
function hftrie.scan(label) return method { "hamming-scan", label = label or "scan" } end

-- "100K", "4.0MB", "330 ns", "37.1 us": the source's cells as numbers of bits of the SI. Its MB are millions: 4M rows of 16 bytes
-- are its 64MB.
local scale = { K = 1e3, M = 1e6, MB = 1e6, GB = 1e9, ns = 1, us = 1e3, ms = 1e6, s = 1e9 }

function hftrie.number(text)
  local value, unit = text:match "^([%d.]+)%s*(%a*)$"
  return tonumber(value) * (unit == "" and 1 or scale[unit])
end

-- One line of a table, "MEM | insert time | operations % | query time | recall %", as the metrics of an insert step and a range step.
-- A cell that is "-" is left out.
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
