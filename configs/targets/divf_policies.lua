-- divf_policies.lua - The policies of dynamic IVF's `maintenance`, each at its defaults, while all rows are replaced
-- in ten steps.
--
-- data = "drift" (the default): MNIST is replaced by Fashion-MNIST. Any other name is a data set whose first rows are
-- replaced by its next ones, which drift little or not at all. Compared are single queries at a recall.
local data  = option("data", "drift", "drift, or the name of a data set with queries: photo-sift, words")
local rows  = option("rows", quick and 2000 or data == "drift" and 10000 or 16000, "rows held; twice as many are used")
local asked = option("queries", quick and 100 or 300, "asked")

local first, second, queries
if data == "drift" then
  local mnist, fashion = dataset "mnist", dataset "fashion-mnist"
  first, second, queries = mnist:rows(1, rows), fashion:rows(1, rows), fashion:queries(asked)
else
  local set = dataset(data)
  first, second, queries = set:rows(1, rows), set:rows(rows + 1, 2 * rows), set:queries(asked)
end

local policies, codes = { "none", "copenhagen", "lire", "dedrift", "cost-model", "ada-ivf" }, { "none", "rabitq" }
local function label(policy, code) return code == "none" and policy or policy .. ", RaBitQ" end
local function at(r, policy, code) return r(label(policy, code), "single_qps@recall=0.95/after") end

local methods, claims = {}, {}
for _, policy in ipairs(policies) do
  for _, code in ipairs(codes) do
    methods[#methods + 1] = method { "divf", label = label(policy, code), element = "f32", params = { maintenance = policy, quantizer = code },
                                     sweep = { nprobe = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96 } } }
  end
end
for _, code in ipairs(codes) do
  local most = data == "drift" and 0.75 or 1.25
  claims[#claims + 1] = { ("at recall .95 a query of %s takes at most %s times that of %s"):format(
    label("lire", code), most, label("copenhagen", code)), function(r)
    return at(r, "copenhagen", code) <= most * at(r, "lire", code)
  end }
end

experiment {
  name = "target_divf_policies_" .. data,
  title = "The policies of dynamic IVF: " .. data,
  repeats = quick and 1 or 3, seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { first }
    w:insert { first, tag = "load" }
    for step = 1, 10 do
      local from, to = (step - 1) * rows // 10 + 1, step * rows // 10
      w:delete { first:rows(from, to), tag = "leave" }
      w:insert { second:rows(from, to), tag = "come" }
    end
    w:search   { queries, tag = "after" }
    w:maintain { tag = "settle" }
    w:search   { queries, tag = "settled" }
  end,

  methods = methods,
  claims = claims,
  figures = {
    { "pareto", x = "p50_ns", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
    { "bars", y = "seconds", where = { tag = "come", point = "nprobe=8" }, title = "Time of the insertions, maintenance included" },
  },
}
