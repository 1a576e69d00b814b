-- model_change.lua - The embedding model changes while the index lives: the same items by model A and by model B. All items are
-- inserted by A; then each gets its vector by B in place, until none is left by A. Queries of either model are asked throughout.
--
-- The vectors of both models are in one index, so they have one dimension: model_change.experiment refuses others. Pad the
-- shorter ones with zeros, which changes no distance within a model, or project the longer ones; the set emoji has the first
-- 1280 of the second model's 1792 values.
--
-- The shares by B after which the index is measured are model_change.shares. There maintenance has the tag "before measuring",
-- and searches have the tags "asked by A" and "asked by B": METRIC/TAG#i is of the i-th share. While a share of the items is
-- by B, even an exact search by A finds no other items than those by A: that share of the items is lost to it, and 1 - share
-- to a search by B. Recall is of the neighbours among all vectors that are live.

local life = require "long_life"
local change = {}

local A <const>, B <const> = "asked by A", "asked by B"
change.shares = { 0, .05, .1, .25, .5, .75, .9, .95, 1 }

-- t: a and b, views of the same items by each model, row by row; a_queries and b_queries.
local function workload(t)
  return function(w)
    w:train  { t.a }
    w:insert { t.a, tag = "load" }
    local done = 0
    for _, share in ipairs(change.shares) do
      local last = math.floor(share * #t.a + .5)
      if last > done then
        w:update { t.a:rows(done + 1, last), with = t.b:rows(done + 1, last), tag = "by B" }
        done = last
      end
      w:maintain { tag = life.MEASURING }
      w:search { t.a_queries, tag = A }
      w:search { t.b_queries, tag = B }
      w:checkpoint "size"
    end
  end
end

-- The claim that a label has nearly the recall, and the distances, of an index of the same vectors that is built anew, while the
-- index has items by the model that is asked.
local function claim(claims, label, new)
  local function each(r, metric, holds)
    for i, share in ipairs(change.shares) do
      for _, asked in ipairs { { A, 1 - share }, { B, share } } do
        local at = ("%s/%s#%d"):format(metric, asked[1], i)
        if asked[2] > 0 and not holds(r(label, at), r(new, at)) then return false end
      end
    end
    return true
  end
  claims[#claims + 1] = { ("(ours) %s: at every share, recall of either model's queries is at most .02 below a new index's"):format(label), function(r)
    return each(r, "recall@10", function(x, y) return x >= y - .02 end)
  end }
  claims[#claims + 1] = { ("(ours) %s: at every share, a search computes at most 1.5 times the distances of one in a new index"):format(label), function(r)
    return each(r, "distances", function(x, y) return x <= 1.5 * y end)
  end }
end

-- The maintenance policies of the inverted file, and other methods. new: the label has an index beside it that is built anew
-- at every share; than: the label that it is compared with, instead of its own.
local function all(clusters)
  local ivf = { nprobe = 8 }
  local function divf(label, maintenance, more)
    local m = { "divf", label = label, params = { clusters = clusters, maintenance = maintenance }, knobs = ivf, ours = true, than = "divf, none, new" }
    for key, value in pairs(more or {}) do m[key] = value end
    return m
  end
  return {
    divf("divf, none", "none", { new = true }),
    divf("divf, copenhagen", "copenhagen"),
    divf("divf, lire", "lire"),
    divf("divf, dedrift", "dedrift"),
    divf("divf, cost-model", "cost-model"),
    divf("divf, rebuilt at half", "none", { maintain = { tag = life.MEASURING, by = "rebuild", deleted = .5 } }),
    { "faiss-ivf-flat", label = "FAISS IVF", params = { clusters = clusters }, knobs = ivf, than = "divf, none, new" },
    { "scann", params = { clusters = clusters }, knobs = ivf, ours = true, new = true },
    { "channi", params = { target_cluster = 100, wal = "none" }, knobs = ivf, ours = true, new = true },
    { "spfresh", params = { store = "memory" }, knobs = { nprobe = 16 }, ours = true, new = true },
    { "hnsw", knobs = { ef_search = 32 }, ours = true, new = true },
    { "vamana", knobs = { search_list = 32 }, ours = true, new = true },
    { "symqg", knobs = { ef_search = 48 }, ours = true, new = true },
    { "hnswlib", label = "hnswlib, replace", params = { deletes = "replace" }, knobs = { ef_search = 32 }, new = true },
  }
end

-- t: name of the experiment; a, b, a_queries, b_queries as workload() takes them; methods: as all() returns, by default those;
-- rows and asked: defaults of the number of items and of queries; min_time.
function change.experiment(t)
  if t.a.dim ~= t.b.dim then
    error(("the vectors of model A have %d components, those of model B %d: one index has one dimension; pad or project them"):format(t.a.dim, t.b.dim), 0)
  end
  if #t.a ~= #t.b then error(("model A has %d items, model B %d: expected the same items, row by row"):format(#t.a, #t.b), 0) end
  local rows  = math.min(option("rows", quick and 1500 or t.rows or 6000, "items"), #t.a)
  local asked = option("queries", quick and 100 or t.asked or 500, "asked of each model")
  local order = option("order", "random", "in which items get their vectors by B: random, or stored, the order of the data set")
  if order ~= "random" and order ~= "stored" then error(("order=%s: expected random or stored"):format(order), 0) end
  local function chosen(view) return (order == "random" and view:shuffle(1) or view):rows(1, rows) end

  local a, b = chosen(t.a), chosen(t.b)
  a:drift(b) -- recorded in the result

  local methods, claims, policies, others = {}, {}, {}, {}
  for _, m in ipairs(t.methods or all(math.max(rows // 100, 4))) do
    local label = m.label or m[1]
    local list = m[1] == "divf" and policies or others
    list[#list + 1] = label
    if m.ours then claim(claims, label, m.than or label .. life.NEW) end
    local new = m.new
    m.ours, m.than, m.new = nil, nil, nil
    if new then life.pair(methods, m) else methods[#methods + 1] = method(m) end
  end
  local figures = {}
  for _, group in ipairs { { "the dynamic IVF", policies }, { "other methods", others } } do
    for _, tag in ipairs { A, B } do
      if #group[2] > 0 then
        figures[#figures + 1] = { "timeline", y = { "recall@10", "distances" }, where = { tag = tag, label = group[2] },
                                  title = ("%s, %s: from 0 to 100 %% of the items by B"):format(group[1], tag) }
      end
    end
  end

  experiment {
    name = t.name or "model_change", title = "The embedding model changes from A to B while the index lives",
    seed = 1, k = 10, threads = 1, min_time = t.min_time or quick and 0 or 0.1,
    workload = workload { a = a, b = b, a_queries = t.a_queries:rows(1, math.min(asked, #t.a_queries)),
                          b_queries = t.b_queries:rows(1, math.min(asked, #t.b_queries)) },
    methods = methods, claims = claims, figures = figures,
  }
end

return change
