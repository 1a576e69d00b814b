-- defaults.lua - What a user gets who sets nothing: every method at its defaults beside the best of a grid of its
-- parameters, before and after every row was replaced.
--
-- One run is one data set, `--set data=NAME`; the eight of the target are in `sets`. changelogs chose no default. Nor did
-- sphere, but since CHANNI and Asteria missed on it, they have another default up to 64 dimensions, which sphere chose,
-- and for CHANNI mixture. Dynamic IVF's number of lists and bits were chosen on earlier photographs and words and on
-- mnist, CHANNI's defaults on these and on HOG descriptors, the other methods' before this config. One query at a time,
-- one thread, QPS at a recall interpolated between the points of a label's sweep. A busy machine changes it: run this on
-- an idle one. Most of the time goes into the timed searches: more rows (`--set rows=N`) take little more.

local sets = { "photo-sift", "photo-hog", "changelogs", "mnist", "mixture", "sphere", "words", "fashion-mnist" }
local data = option("data", "photo-sift", "data set: " .. table.concat(sets, ", "))
local made = {
  mixture = function(n) return synthetic { kind = "mixture", rows = n, dim = 32, clusters = 200, seed = 5 } end,
  sphere = function(n) return synthetic { kind = "sphere", rows = n, dim = 64, seed = 5 } end,
}
local most = quick and 8000 or 16000
local asked = option("queries", quick and 100 or 500, "asked")
local set = made[data] and made[data](most) or require("datasets").in_order(dataset(data), data)
local queries = set:queries(asked)
local rows = option("rows", math.min(most, #set) // 2, "rows held at a time; twice as many are used")
local recalls = { "0.9", "0.95", "0.98", "0.99" }

local probes = { 1, 2, 4, 8, 16, 32, 64, 128 }
local lists = { 0, rows // 512, rows // 256, rows // 64 } -- 0: as many as training chooses
local ef = { 10, 16, 32, 64, 128, 256, 512 }
-- Per method: its sweep, and the grid that the tuned one is the best of.
local all = {
  { "divf", sweep = { nprobe = probes }, grid = { clusters = lists, sketch = { -1, 0 } } },
  { "divf", label = "divf, RaBitQ", params = { quantizer = "rabitq" }, sweep = { nprobe = probes },
    grid = { clusters = lists, bits = { 1, 4, 5, 7 } } },
  { "hnsw", sweep = { ef_search = ef }, grid = { M = { 8, 16, 32 }, ef_construction = { 100, 200, 400 } } },
  { "vamana", sweep = { search_list = ef }, grid = { degree = { 16, 32, 64 }, build_list = { 50, 100, 200 }, alpha = { 1, 1.2 } } },
  { "symqg", sweep = { ef_search = ef }, grid = { degree = { 32, 64 }, ef_construction = { 100, 200 }, alpha = { 1, 1.05, 1.1 } } },
  { "scann", element = "f32", sweep = { nprobe = probes }, grid = { clusters = lists, spill = { "none", "soar" }, threshold = { 0, .2 } } },
  { "spfresh", sweep = { nprobe = probes }, grid = { ratio = { .05, .1, .2 }, store = { "memory", "mmap" } } },
  { "channi", sweep = { nprobe = probes }, grid = { cluster_index = { "scan", "codes", "graph" }, target_cluster = { 100, 300, 500, 1000 } } },
  { "asteria", sweep = { nprobe = probes }, grid = { rabitq_bits = { 1, 4 }, code = { "golay", "none" }, rotation = { "bor", "pca" } } },
}
local wanted = option("methods", "", "names of the methods, all without")

-- The rate of a sweep at a recall; where its first point has a higher one, that point's; 0 where none reaches it.
local function rate(r, label, sweep, recall, tag)
  if r.most(label, "recall@10/" .. tag) < tonumber(recall) then return 0 end
  local name, values = next(sweep)
  local first = ("%s[%s=%d]"):format(label, name, values[1])
  if r(first, "recall@10/" .. tag) >= tonumber(recall) then return r(first, "single_qps/" .. tag) end
  return r(label, ("single_qps@recall=%s/%s"):format(recall, tag))
end

-- Whether the default answers at two thirds of the rate of the best of the grid at every recall that this reaches.
local function holds(r, label, sweep)
  local tuned = label .. ", tuned"
  for _, tag in ipairs { "before", "after" } do
    for _, recall in ipairs(recalls) do
      if r.most(tuned, "recall@10/" .. tag) >= tonumber(recall)
         and rate(r, label, sweep, recall, tag) < 2 / 3 * r.most(tuned, ("single_qps@recall=%s/%s"):format(recall, tag)) then
        return false
      end
    end
  end
  return true
end

local methods, claims = {}, {}
for _, m in ipairs(all) do
  local label = m.label or m[1]
  if (wanted == "" or wanted:find(m[1], 1, true)) and (m[1] ~= "asteria" or set.metric == "cosine") then
    claims[#claims + 1] = { label .. ": at least two thirds of the tuned QPS at recall .90 to .99, before and after turnover",
      function(r) return holds(r, label, m.sweep) end }
    methods[#methods + 1] = method { m[1], label = label, element = m.element, params = m.params, sweep = m.sweep }
    methods[#methods + 1] = method { m[1], label = label .. ", tuned", element = m.element, params = m.params, sweep = m.sweep, grid = m.grid }
  end
end

experiment {
  name = "target_defaults_" .. data,
  title = "Defaults beside tuned parameters: " .. data,
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { set:rows(1, rows) }
    w:insert { set:rows(1, rows), tag = "load" }
    w:search { queries, tag = "before" }
    for step = 1, 10 do
      local first, last = (step - 1) * rows // 10, step * rows // 10
      w:delete { set:rows(first + 1, last), tag = "leave" }
      w:insert { set:rows(rows + first + 1, rows + last), tag = "come" }
    end
    w:maintain { tag = "settle" }
    w:search { queries, tag = "after" }
  end,

  methods = methods,
  claims = claims,
  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "before" }, title = "Before" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
  },
}
