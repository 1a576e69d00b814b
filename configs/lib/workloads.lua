-- workloads.lua - The ways in which data change: each inserts and deletes rows of `data`, and then searches.
--
-- workloads.make { kind, data, name, rows, asked, queries, part } returns a table:
--   changes   whether rows are deleted
--   live      the number of rows that an index holds at the end
--   trained   the number of rows that it is trained on
--   record    the function for `workload`; its last step has the tag "after"
-- `rows` rows are used, and `asked` queries: those given, else the data set's own. Where it has none, rows are held
-- out. `name`: of the data set. `part`: its name in a runbook that has several.

local datasets = require "datasets"
local workloads = {}
local STEPS <const> = 10
local FEWEST <const> = 2 * STEPS -- a step of a churn has a row that leaves and one that comes

-- The part of `view` between `step - 1` and `step` of `of` equal steps.
local function slice(view, step, of)
  return view:rows((step - 1) * #view // of + 1, step * #view // of)
end

local function load(w, view)
  w:train  { view }
  w:insert { view, tag = "load" }
end

local kinds = {}

-- All rows are inserted at once.
kinds.static = { trained = 1, record = function(w, rows) load(w, rows) end }

-- A tenth of the rows, then the rest in nine steps.
kinds.growth = { trained = 1 / STEPS, record = function(w, rows)
  load(w, slice(rows, 1, STEPS))
  for step = 2, STEPS do w:insert { slice(rows, step, STEPS), tag = "come" } end
end }

local function replace(w, rows)
  local old, new = rows:rows(1, #rows // 2), rows:rows(#rows // 2 + 1, 2 * (#rows // 2))
  load(w, old)
  for step = 1, STEPS do
    w:delete { slice(old, step, STEPS), tag = "leave" }
    w:insert { slice(new, step, STEPS), tag = "come" }
  end
end
-- Half of the rows, in random order, are replaced by the other half in ten steps.
kinds.churn = { trained = 1 / 2, changes = true, record = replace }

-- Rows as a stream: a tenth, then the rest in nine steps.
kinds.drift = { trained = 1 / STEPS, ordered = true, record = kinds.growth.record }

-- Rows as a stream: the first half is replaced by the second in ten steps.
kinds.window = { trained = 1 / 2, ordered = true, changes = true, record = replace }

workloads.names = "static, growth, churn, drift, window, or a runbook of big-ann-benchmarks: FILE.yaml or SET/RUNBOOK"

-- The rows to use and the queries. The newest rows are what a window is asked for; other rows are held out at random.
local function split(data, kind, rows, asked, queries)
  local n, fewest = math.min(rows, #data), queries and FEWEST or FEWEST + 2
  if n < fewest then error(("%d rows are too few: at least %d are needed"):format(n, fewest)) end
  if queries then return data:shuffle(1):rows(1, math.min(rows, #data)), queries end
  if not kind.ordered then
    local mixed = data:shuffle(1)
    local held = math.min(asked, #data // 10)
    return mixed:rows(1, math.min(rows, #data - held)), mixed:rows(#data - held + 1, #data)
  end
  local used = data:rows(1, math.min(rows, #data))
  local tail = math.max(#used // 20, 1)
  return used:rows(1, #used - tail), used:rows(#used - tail + 1, #used):sample(math.min(asked, tail), 1)
end

local function runbook(t, queries)
  local rows = datasets.in_order(t.data, t.name):rows(1, math.min(t.rows, #t.data))
  if not queries then rows, queries = split(rows, kinds.drift, #rows, t.asked) end
  local trained = math.max(#rows // 4, 1)
  return { changes = true, live = #rows, trained = trained, record = function(w)
    w:train   { rows:rows(1, trained) }
    w:runbook { t.kind, rows, queries = queries, dataset = t.part }
    w:search  { queries, tag = "after" }
  end }
end

local function own_queries(t)
  local own, queries = pcall(function() return t.data:queries() end)
  if t.queries then queries = t.queries elseif not own then return nil end
  return #queries > t.asked and queries:rows(1, t.asked) or queries
end

-- All rows as a stream, and the queries: the data set's own, else held out of the newest rows.
function workloads.stream(data, name, asked)
  local rows, queries = datasets.in_order(data, name), own_queries { data = data, asked = asked }
  if queries then return rows, queries end
  return split(rows, kinds.drift, #rows, asked)
end

function workloads.make(t)
  local kind = kinds[t.kind]
  if not kind and not t.kind:find("[/.]") then error(("workload=%s: expected %s"):format(t.kind, workloads.names)) end
  if not kind then return runbook(t, own_queries(t)) end
  local data = kind.ordered and datasets.in_order(t.data, t.name) or t.data
  local rows, queries = split(data, kind, t.rows, t.asked, not kind.ordered and own_queries(t) or nil)
  return {
    changes = kind.changes, live = kind.changes and #rows // 2 or #rows, trained = math.floor(kind.trained * #rows),
    record = function(w)
      kind.record(w, rows)
      w:maintain { tag = "settle" }
      w:search   { queries, tag = "after" }
    end,
  }
end

return workloads
