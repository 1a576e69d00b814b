-- pair_study.lua - The error rates of paired rounds: each method under two labels, and beside itself with more
-- candidates or lists.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another.
--
-- Two labels of one method do not differ, so each difference between them is false: at most 5 % of many runs may have
-- one. A pair with more work is missed where no difference is found. One run has eight pairs of one method; run it
-- several times with different --out. more=0 leaves out the pairs with more work.
--
--   ./harness configs/targets/pair_study.lua --no-plots --out results/pairs-1
--   ./harness configs/targets/pair_study.lua --no-plots --out results/same-1 --set more=0 --set budget=15

local data = require("datasets").open "photo-sift"
local rows = option("rows", quick and 2000 or 10000, "inserted")
local budget = option("budget", 60, "seconds for a pair, at most")
local more = option("more", 10, "per cent more candidates or lists; 0: no such pairs")

local lists = { clusters = 100 }
local studied = {
  { "flat" },
  { "divf", params = lists, knob = "nprobe", at = 20 },
  { "divf", label = "divf, RaBitQ", params = { clusters = 100, quantizer = "rabitq" }, knob = "nprobe", at = 20 },
  { "hnsw", knob = "ef_search", at = 100 },
  { "symqg", knob = "ef_search", at = 100 },
  { "channi", knob = "nprobe", at = 20 },
  { "hnswlib", knob = "ef_search", at = 100 },
  { "faiss-ivf-flat", label = "FAISS", params = lists, knob = "nprobe", at = 20 },
}

local methods, compared, claims = {}, {}, {}
local function add(m, label, at)
  methods[#methods + 1] = method { m[1], label = label, element = "f32", params = m.params, knobs = m.knob and { [m.knob] = at } }
end
for _, m in ipairs(studied) do
  local label = m.label or m[1]
  add(m, label, m.at)
  add(m, label .. " again", m.at)
  compared[#compared + 1] = { label, label .. " again", tags = "ask", budget = budget }
  claims[#claims + 1] = { "(ours) no difference between two labels: " .. label, function(r)
    local _, low, high = r.ratio(label, label .. " again", "ask")
    return low <= 1 and high >= 1
  end }
  if m.knob and more > 0 then
    add(m, label .. " with more", m.at + math.max(1, m.at * more // 100))
    compared[#compared + 1] = { label, label .. " with more", tags = "ask", budget = budget }
    claims[#claims + 1] = { "(ours) more work is seen: " .. label, function(r)
      return select(2, r.ratio(label, label .. " with more", "ask")) > 1
    end }
  end
end

experiment {
  name = "pair_study",
  title = "The error rates of paired rounds",
  seed = 1, k = 10, threads = 1,
  workload = function(w)
    w:train  { data:rows(1, rows) }
    w:insert { data:rows(1, rows), tag = "load" }
    w:search { data:queries(500), tag = "ask" }
  end,
  methods = methods,
  compare = compared,
  claims = claims,
}
