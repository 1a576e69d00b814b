-- long_life.lua - Shared by configs/long_life: small rounds of deletions and insertions at a constant number of rows, and
-- claims about what they do to an index, beside a new index of the same rows at the same parameters.
--
-- After some of the rounds, each three times as late as the one before, the index is measured. There maintenance has the
-- tag "before measuring". LABEL, new is the same method, which is built anew there and spared the changes between. The searches that follow have the
-- tags "queries", and "old rows" and "new rows": stored rows, asked for by their own vectors, of the third that was
-- inserted first and of that inserted last.

local datasets = require "datasets"
local life = {}

local MEASURING <const>, NEW <const> = "before measuring", ", new"

-- The rounds after which the index is measured, 0 first.
local function measured_rounds(rounds)
  local measured, at = { 0 }, 1
  while at < rounds do
    measured[#measured + 1], at = at, at * 3
  end
  measured[#measured + 1] = rounds
  return measured
end

-- Each moves the `n` ids that leave to the first places of `held`. Ids grow with the time of insertion.
local patterns = {
  random = function(w, held, n)
    for i = 1, n do
      local at = w.rng:int(i, #held)
      held[i], held[at] = held[at], held[i]
    end
  end,
  oldest = function(_, held) table.sort(held) end,
  newest = function(_, held) table.sort(held, function(a, b) return a > b end) end,
  -- Rows that came together, as those of one picture, document or tenant do: n in turn by age, from a random one on.
  together = function(w, held, n)
    table.sort(held)
    local first = w.rng:int(0, #held - n)
    for i = 1, n do held[i], held[first + i] = held[first + i], held[i] end
  end,
}

-- A view of the rows of these ids: the i-th row of `data` that comes has the id i - 1.
local function rows_of(data, ids)
  local view
  for _, id in ipairs(ids) do
    local row = data:rows(id + 1, id + 1)
    view = view and view .. row or row
  end
  return view
end

-- A view of n of the rows with these ids, evenly spaced from the first-th to the last-th by age.
local function some(data, ids, first, last, n)
  local chosen = {}
  for i = 0, n - 1 do chosen[i + 1] = ids[first + (last - first) * i // n] end
  return rows_of(data, chosen)
end

-- t: data, a view whose rows come in its order; rows, held at a time; rounds; part, replaced by each; leave, a pattern;
-- again, whether the rows that left come again, with their ids, in place of new ones; measured, the rounds after which the
-- queries, a view, are asked; own, the number of stored rows that are then searched for, or nil; probe, a view, or nil;
-- maintain, the tag of maintenance in all
-- rounds, or nil.
local function workload(t)
  local measured = {}
  for _, round in ipairs(t.measured) do measured[round] = true end
  return function(w)
    local held, next_row = {}, t.rows + 1
    for i = 1, t.rows do held[i] = i - 1 end
    w:train  { t.data:rows(1, t.rows) }
    w:insert { t.data:rows(1, t.rows), tag = "load" }
    if t.probe then w:search { t.probe, tag = "probe" } end
    for round = 0, t.rounds do
      if round > 0 then
        patterns[t.leave](w, held, t.part)
        local leave = { table.unpack(held, 1, t.part) }
        w:delete { ids = leave, tag = "leave" }
        if t.again then
          w:insert { rows_of(t.data, leave), tag = "come" }
        else
          w:insert { t.data:rows(next_row, next_row + t.part - 1), tag = "come" }
          for i = 1, t.part do held[i] = next_row + i - 2 end
          next_row = next_row + t.part
        end
      end
      w:maintain { tag = t.maintain or measured[round] and MEASURING or nil }
      if measured[round] then
        table.sort(held)
        w:search { t.queries, tag = "queries" }
      end
      if measured[round] and t.own then
        w:search { some(t.data, held, 1, #held // 3, t.own), k = 1, tag = "old rows" }
        w:search { some(t.data, held, #held * 2 // 3, #held, t.own), k = 1, tag = "new rows" }
        w:checkpoint "size"
      end
    end
  end
end

life.MEASURING, life.NEW = MEASURING, NEW

-- A method, and the same that is built anew wherever it is measured.
function life.pair(methods, t)
  methods[#methods + 1] = method(t)
  local new = {}
  for key, value in pairs(t) do new[key] = value end
  new.label, new.maintain = (t.label or t[1]) .. NEW, { tag = MEASURING, by = "rebuild", changes = false }
  methods[#methods + 1] = method(new)
end

-- What a method's metric is short of the new index's where they are measured for the i-th time.
local function gap(r, label, point, metric, i)
  return r(label .. NEW .. point, ("%s#%d"):format(metric, i)) - r(label .. point, ("%s#%d"):format(metric, i))
end

-- By how much the gap in recall grows for ten times as many rounds, over all but round 0, and half of the 95 % interval
-- (least squares).
local student <const> = { 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306 }
local function slope(r, label, point, measured)
  local n, x, y, xx, xy, yy = #measured - 1, 0, 0, 0, 0, 0
  for i = 2, #measured do
    local a, b = math.log(measured[i], 10), gap(r, label, point, "recall@10/queries", i)
    x, y, xx, xy, yy = x + a, y + b, xx + a * a, xy + a * b, yy + b * b
  end
  if n < 3 then error("undetermined: the index is measured fewer than four times", 0) end
  local sxx, sxy, syy = xx - x * x / n, xy - x * y / n, yy - y * y / n
  local rest = math.max(syy - sxy * sxy / sxx, 0) / (n - 2)
  return sxy / sxx, student[math.min(n - 2, #student)] * math.sqrt(rest / sxx)
end

-- The claims that a method is within `points` of recall of a new index at the end, that what is lost levels off, that the
-- same recall takes no more than a tenth more work, and that stored rows are found as often as in a new index (within a
-- hundredth). It levels off if the whole interval of the slope is at most `points`, it piles up if the whole interval is
-- above; else it is undetermined. point: what the label of the compared point ends with, "" without a sweep; work: the
-- metric that counts it.
local function claim(claims, label, point, work, measured, points)
  local last = #measured
  claims[#claims + 1] = { ("(ours) %s: after %d rounds at most %g of recall below a new index"):format(label, measured[last], points), function(r)
    return gap(r, label, point, "recall@10/queries", last) <= points
  end }
  if point ~= "" then
    claims[#claims + 1] = { ("(ours) %s: then recall .95 takes at most a tenth more work"):format(label), function(r)
      local metric = ("%s@recall=0.95/queries#%d"):format(work, last)
      return r(label, metric) <= 1.1 * r(label .. NEW, metric)
    end }
  end
  claims[#claims + 1] = { ("(ours) %s: what is lost levels off: ten times as many rounds lose no more than %g"):format(label, points), function(r)
    local by, half = slope(r, label, point, measured)
    if by - half <= points and by + half > points then
      error(("undetermined: %.4f for ten times as many rounds, from %.4f to %.4f"):format(by, by - half, by + half), 0)
    end
    return by + half <= points
  end }
  claims[#claims + 1] = { ("(ours) %s: stored rows are found, old and new ones"):format(label), function(r)
    local most = 0.01 + 1e-9 -- 1 - .99 is more than .01 by rounding
    return gap(r, label, point, "recall@1/old rows", last) <= most and gap(r, label, point, "recall@1/new rows", last) <= most
  end }
end

-- Each: a method, as method { } takes it, with a sweep of three points, of which the second is compared at equal
-- parameters and drawn, and all serve where recall is .95. No other method's first or third point has the name of a second
-- one. work: for ours, about which claims are made, the metric that counts it.
local function all(clusters)
  local lists = { nprobe = { 6, 12, 18 } }
  return {
    { "hnsw", sweep = { ef_search = { 12, 32, 64 } }, work = "distances" },
    { "vamana", sweep = { search_list = { 10, 16, 24 } }, work = "distances" },
    { "symqg", sweep = { ef_search = { 24, 48, 72 } }, work = "scanned" },
    { "divf", params = { clusters = clusters }, sweep = lists, work = "scanned" },
    { "divf", label = "divf, lire", params = { clusters = clusters, maintenance = "lire" }, sweep = lists, work = "scanned" },
    { "scann", params = { clusters = clusters }, sweep = lists, work = "scanned" },
    { "spfresh", element = false, params = { store = "memory" }, sweep = { nprobe = { 8, 16, 24 } }, work = "distances" },
    { "channi", element = false, params = { target_cluster = 200, wal = "none" }, sweep = lists, work = "scanned" },
    { "hnswlib", label = "hnswlib, mark", params = { deletes = "mark" }, sweep = { ef_search = { 12, 32, 64 } } },
    { "hnswlib", label = "hnswlib, replace", params = { deletes = "replace" }, sweep = { ef_search = { 12, 32, 64 } } },
    { "usearch", sweep = { expansion_search = { 12, 32, 64 } } },
    { "faiss-ivf-flat", label = "FAISS IVF", params = { clusters = clusters }, sweep = lists },
  }
end

-- A method's second point, such as "nprobe=12", or its only one; nil without a sweep, and with one of several knobs.
local function second_point(m)
  local name, values = next(m.sweep or {})
  if not name or next(m.sweep, name) then return nil end
  return ("%s=%s"):format(name, values[2] or values[1])
end

-- t: name of the experiment; data and set: the rows and the name of their set; leave: which rows leave, as `patterns` has it; again,
-- as workload() has it; share, of the rows that a round replaces; methods: as all() returns, by default those; queries, a
-- view, by default the set's; held, rows at a time, in place of an option; rows, rounds, asked (queries), min_time: other
-- defaults.
function life.experiment(t)
  local rows   = t.held or option("rows", quick and 1000 or t.rows or 20000, "held at a time")
  local rounds = option("rounds", quick and math.min(9, t.rounds or 9) or t.rounds or 300, "rounds of deletions and insertions")
  local part   = math.max(math.floor(rows * (t.share or 0.01)), 1)
  local measured = measured_rounds(rounds)
  local methods, claims, points = {}, {}, {}
  for _, m in ipairs(t.methods or all(rows // 100)) do
    local label, point = m.label or m[1], second_point(m)
    if m.work then claim(claims, label, point and ("[%s]"):format(point) or "", m.work, measured, 0.005) end
    if m.element == nil then m.element = "f32" end -- in place of false: the data's
    m.element, m.work = m.element or nil, nil
    life.pair(methods, m)
    points[#points + 1] = point
  end
  local where = function(tag) return { tag = tag, point = #points > 0 and points or nil } end

  experiment {
    name = "long_life_" .. t.name,
    title = ("%d rounds, of which each replaces %g %% of the rows: %s"):format(rounds, 100 * part / rows, t.about),
    seed = 1, k = 10, threads = 1, min_time = t.min_time or quick and 0 or 0.05,
    workload = workload { data = datasets.in_order(t.data, t.set), rows = rows, rounds = rounds, part = part, leave = t.leave, again = t.again, measured = measured,
                          queries = t.queries or t.data:queries(quick and 100 or t.asked or 1000), own = 100 },
    methods = methods,
    claims = #claims > 0 and claims or nil,
    figures = {
      { "timeline", x = "deleted", y = { "recall@10", "distances" }, minus = NEW, where = where "queries",
        title = "Recall and distances, less those of an index of the same rows built anew" },
      { "timeline", x = "deleted", y = "index_bytes", minus = NEW, where = where "size", title = "Memory, less that of an index built anew" },
    },
  }
end

-- Builds of baselines.lua on any data: none of the rows comes twice, if `rows` is not given.
-- t: name, data and metric, as in datasets.named; points, as in baselines.at; daily, the share of the rows that a round
-- replaces; days, the rounds; leave, as in life.experiment; rows, held at a time, at most.
function life.own(t)
  local data, queries = require("workloads").stream(datasets.named(t.data, t.metric), t.data, 1000)
  local enough = math.floor(#data / (1 + t.daily * t.days))
  local rows = math.min(option("rows", quick and 1000 or t.rows or 100000, "held at a time, at most"), enough)
  if rows < 300 then
    error(("%d rows can be held for %g days of %g %%; expected 300 or more: take more rows, fewer days or a smaller share"):format(
      rows, t.days, 100 * t.daily), 0)
  end
  life.experiment {
    name = t.name, data = data, set = t.data, queries = queries, leave = t.leave, share = t.daily, rounds = t.days, held = rows,
    methods = require("baselines").at(t.points, { rows = rows, dim = data.dim, metric = data.metric, changes = true }),
    about = t.leave .. " rows leave",
  }
end

-- ---- When to rebuild

-- What the policies of a label spend on maintenance and probes, in seconds of a processor, and the least recall after a round.
local function spent(r, label, rounds) return r(label, "cpu_seconds/maintain") * (rounds + 1) end
local function least(r, label) return r(label, "lowest_recall/queries") end

-- Whether a rhythm that spends no more has at least this recall.
local function is_worse(r, labels, seconds, recall, rounds)
  for _, label in ipairs(labels) do
    if spent(r, label, rounds) <= seconds and least(r, label) >= recall then return true end
  end
  return false
end

-- The least recall that a rhythm has for this much, between the two rhythms next to it; an error if none is next to it.
local function least_by_rhythm(r, labels, seconds, rounds)
  local below, above
  for _, label in ipairs(labels) do
    local x, y = spent(r, label, rounds), least(r, label)
    if x <= seconds and (not below or x > below.x) then below = { x = x, y = y } end
    if x >= seconds and (not above or x < above.x) then above = { x = x, y = y } end
  end
  if not below or not above then error("no rhythm spends less, or none spends more", 0) end
  return above.x == below.x and above.y or below.y + (above.y - below.y) * (seconds - below.x) / (above.x - below.x)
end

-- t: as life.experiment() takes it; methods: a list of { NAME, params, knobs, by = how a policy maintains it, deleted = the
-- shares that make it due, recall = the recalls below which it is due }.
function life.policies(t)
  local rows   = option("rows", quick and 1000 or 20000, "held at a time")
  local rounds = option("rounds", quick and 9 or 300, "rounds of deletions and insertions")
  local part   = math.max(rows // 100, 1)
  local measured, methods, claims, labels = { 0 }, {}, {}, {}
  for round = 10, rounds, 10 do measured[#measured + 1] = round end
  for _, m in ipairs(t.methods) do
    local rhythms, probes = {}, {}
    local function add(list, name, policy)
      policy.tag, policy.by = "maintain", m.by
      list[#list + 1] = ("%s, %s"):format(m.label or m[1], name)
      labels[#labels + 1] = list[#list]
      methods[#methods + 1] = method { m[1], label = list[#list], params = m.params, knobs = m.knobs, maintain = policy }
    end
    add(rhythms, "never", { every = 1000000 })
    for _, share in ipairs(m.deleted) do add(rhythms, ("%g %% deleted"):format(100 * share), { deleted = share }) end
    for _, recall in ipairs(m.recall) do add(probes, ("recall below %g"):format(recall), { recall = recall, probe = "probe" }) end
    for _, label in ipairs(probes) do
      claims[#claims + 1] = { ("%s: the least recall is above that of a rhythm at equal spend"):format(label), function(r)
        local seconds, recall = spent(r, label, rounds), least(r, label)
        return not is_worse(r, rhythms, seconds, recall, rounds) and recall > least_by_rhythm(r, rhythms, seconds, rounds)
      end }
    end
  end

  experiment {
    name = "long_life_" .. t.name,
    title = "When to rebuild: by a rhythm, or when a probe's recall falls",
    seed = 1, k = 10, threads = 1, min_time = 0,
    publication = "arXiv 2607.00728",
    workload = workload { data = datasets.in_order(t.data, t.set), rows = rows, rounds = rounds, part = part, leave = t.leave,
                          measured = measured, maintain = "maintain", queries = t.data:queries(quick and 200 or 1000),
                          probe = t.data:queries(quick and 250 or 1100):rows(quick and 201 or 1001, quick and 250 or 1100) },
    methods = methods,
    claims = claims,
    figures = {
      { "bars", y = "cpu_seconds", where = { tag = "maintain" }, title = "Processor time of maintenance and probes, a round" },
      { "timeline", y = "recall@10", where = { tag = "queries" }, title = "Recall" },
    },
  }
end

return life
