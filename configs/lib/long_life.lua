-- long_life.lua - Shared by configs/long_life: small rounds of deletions and insertions at a constant number of rows, and
-- claims about what they do to an index, beside a new index of the same rows at the same parameters.
--
-- After some of the rounds, each three times as late as the one before, the index is measured. There maintenance has the
-- tag "before measuring", at which methods with that tag as `rebuild` are built anew. The searches that follow have the
-- tags "queries", and "old rows" and "new rows": stored rows, asked for by their own vectors, of the third that was
-- inserted first and of that inserted last.

local datasets = require "datasets"
local life = {}

local MEASURING <const> = "before measuring"

-- The rounds after which the index is measured, 0 first.
local function measured_rounds(rounds)
  local measured, at = { 0 }, 1
  while at < rounds do
    measured[#measured + 1], at = at, at * 3
  end
  measured[#measured + 1] = rounds
  return measured
end

-- Each moves the `n` ids that leave to the first places of `held`, and returns them. Ids grow with the time of insertion.
local patterns = {
  random = function(w, held, n)
    local leave = {}
    for i = 1, n do
      local at = w.rng:int(i, #held)
      held[i], held[at] = held[at], held[i]
      leave[i] = held[i]
    end
    return leave
  end,
  oldest = function(_, held, n)
    table.sort(held)
    return { table.unpack(held, 1, n) }
  end,
  newest = function(_, held, n)
    table.sort(held, function(a, b) return a > b end)
    return { table.unpack(held, 1, n) }
  end,
}

-- A view of some of the rows with these ids, evenly spaced from the first-th to the last-th by age.
local function some(data, ids, first, last, n)
  local view
  for i = 0, n - 1 do
    local id = ids[first + (last - first) * i // n]
    local row = data:rows(id + 1, id + 1)
    view = view and view .. row or row
  end
  return view
end

-- t: data, a view whose rows come in its order; rows, held at a time; rounds; part, replaced by each; leave, a pattern;
-- queries, a view; own, the number of stored rows that are searched for at a time.
local function workload(t)
  local pattern = patterns[t.leave]
  local measured = {}
  for _, round in ipairs(measured_rounds(t.rounds)) do measured[round] = true end
  return function(w)
    local held, next_row = {}, t.rows + 1
    for i = 1, t.rows do held[i] = i - 1 end
    w:train  { t.data:rows(1, t.rows) }
    w:insert { t.data:rows(1, t.rows), tag = "load" }
    for round = 0, t.rounds do
      if round > 0 then
        local leave = pattern(w, held, t.part)
        w:delete { ids = leave, tag = "leave" }
        w:insert { t.data:rows(next_row, next_row + t.part - 1), tag = "come" }
        for i = 1, t.part do held[i] = next_row + i - 2 end
        next_row = next_row + t.part
      end
      w:maintain { tag = measured[round] and MEASURING or nil }
      if measured[round] then
        table.sort(held)
        w:search { t.queries, tag = "queries" }
        w:search { some(t.data, held, 1, #held // 3, t.own), k = 1, tag = "old rows" }
        w:search { some(t.data, held, #held * 2 // 3, #held, t.own), k = 1, tag = "new rows" }
        w:checkpoint "size"
      end
    end
  end
end

-- A method, and the same that is built anew wherever it is measured.
local function pair(methods, t)
  methods[#methods + 1] = method(t)
  local new = {}
  for key, value in pairs(t) do new[key] = value end
  new.label, new.rebuild = (t.label or t[1]) .. ", new", MEASURING
  methods[#methods + 1] = method(new)
end

-- What a label's metric is short of the new index's where they are measured for the i-th time.
local function gap(r, label, metric, i)
  return r(label .. ", new", ("%s#%d"):format(metric, i)) - r(label, ("%s#%d"):format(metric, i))
end

-- By how much the gap in recall grows for ten times as many rounds, over all but round 0, and half of the 95 % interval
-- (least squares).
local student <const> = { 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306 }
local function slope(r, label, measured)
  local n, x, y, xx, xy, yy = #measured - 1, 0, 0, 0, 0, 0
  for i = 2, #measured do
    local a, b = math.log(measured[i], 10), gap(r, label, "recall@10/queries", i)
    x, y, xx, xy, yy = x + a, y + b, xx + a * a, xy + a * b, yy + b * b
  end
  if n < 3 then error("these rounds do not tell: the index is measured fewer than four times", 0) end
  local sxx, sxy, syy = xx - x * x / n, xy - x * y / n, yy - y * y / n
  local rest = math.max(syy - sxy * sxy / sxx, 0) / (n - 2)
  return sxy / sxx, student[math.min(n - 2, #student)] * math.sqrt(rest / sxx)
end

-- The claims that a label is within `points` of recall of a new index at the end, that what is lost levels off, and that
-- stored rows are found as often as in a new index (within a hundredth). It levels off if the whole interval of the slope
-- is at most `points`, it piles up if the whole interval is above; else these rounds do not tell.
local function claim(claims, label, measured, points)
  local last = #measured
  claims[#claims + 1] = { ("(ours) %s: after %d rounds at most %g of recall below a new index"):format(label, measured[last], points), function(r)
    return gap(r, label, "recall@10/queries", last) <= points
  end }
  claims[#claims + 1] = { ("(ours) %s: what is lost levels off: ten times as many rounds lose no more than %g"):format(label, points), function(r)
    local by, half = slope(r, label, measured)
    if by - half <= points and by + half > points then
      error(("these rounds do not tell: %.4f for ten times as many, from %.4f to %.4f"):format(by, by - half, by + half), 0)
    end
    return by + half <= points
  end }
  claims[#claims + 1] = { ("(ours) %s: stored rows are found, old and new ones"):format(label), function(r)
    return gap(r, label, "recall@1/old rows", last) <= 0.01 and gap(r, label, "recall@1/new rows", last) <= 0.01
  end }
end

-- Each: a method, as method { } takes it; ours: whether claims are made about it.
local function all(clusters)
  return {
    { "hnsw", knobs = { ef_search = 32 }, ours = true },
    { "vamana", knobs = { search_list = 16 }, ours = true },
    { "symqg", knobs = { ef_search = 48 }, ours = true },
    { "divf", params = { clusters = clusters }, knobs = { nprobe = 12 }, ours = true },
    { "divf", label = "divf, lire", params = { clusters = clusters, maintenance = "lire" }, knobs = { nprobe = 12 }, ours = true },
    { "scann", params = { clusters = clusters }, knobs = { nprobe = 12 }, ours = true },
    { "spfresh", element = false, params = { store = "memory" }, knobs = { nprobe = 16 }, ours = true },
    { "channi", element = false, params = { target_cluster = 200, wal = "none" }, knobs = { nprobe = 12 }, ours = true },
    { "hnswlib", label = "hnswlib, mark", params = { deletes = "mark" }, knobs = { ef_search = 32 } },
    { "hnswlib", label = "hnswlib, replace", params = { deletes = "replace" }, knobs = { ef_search = 32 } },
    { "usearch", knobs = { expansion_search = 32 } },
    { "faiss-ivf-flat", label = "FAISS IVF", params = { clusters = clusters }, knobs = { nprobe = 12 } },
  }
end

-- t: data, name: the rows and their name; leave: which rows leave, as `patterns` has it; methods: as all() returns, by
-- default those; rows, rounds, asked (queries), min_time: other defaults.
function life.experiment(t)
  local rows   = option("rows", quick and 2000 or t.rows or 20000, "held at a time")
  local rounds = option("rounds", quick and 27 or t.rounds or 300, "rounds of deletions and insertions")
  local part   = math.max(rows // 100, 1)
  local measured = measured_rounds(rounds)
  local methods, claims, figures, labels = {}, {}, {}, {}
  for _, m in ipairs(t.methods or all(rows // 100)) do
    local label = m.label or m[1]
    if m.ours then claim(claims, label, measured, 0.005) end
    if m.element == nil then m.element = "f32" end -- in place of false: the data's
    m.element, m.ours = m.element or nil, nil
    pair(methods, m)
    -- Figures of three methods each: more lines cannot be told apart.
    if #methods % 6 == 2 then
      labels = {}
      figures[#figures + 1] = { "timeline", y = { "recall@10", "distances" }, where = { tag = "queries", label = labels }, title = "Recall and distances, beside an index built anew" }
      figures[#figures + 1] = { "timeline", y = "index_bytes", where = { tag = "size", label = labels }, title = "Memory, beside an index built anew" }
    end
    labels[#labels + 1] = label
    labels[#labels + 1] = label .. ", new"
  end

  experiment {
    name = "long_life_" .. t.leave,
    title = ("%d rounds, each of which replaces a hundredth: %s rows leave"):format(rounds, t.leave),
    seed = 1, k = 10, threads = 1, min_time = t.min_time,
    workload = workload { data = datasets.in_order(t.data, t.name), rows = rows, rounds = rounds, part = part, leave = t.leave,
                          queries = t.data:queries(quick and 200 or t.asked or 1000), own = 100 },
    methods = methods,
    claims = claims,
    figures = figures,
  }
end

return life
