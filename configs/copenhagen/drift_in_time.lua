-- drift_in_time.lua - Drift over time: thirty years of Debian's changelogs in the order of writing, through a sliding
-- window of 12,000. The newest are the queries.
--
-- This experiment is not in the dynamic IVF paper, whose drift is one set of images after another without
-- deletions. The entries are embedded by an encoder of sentences, and the lists are trained on the first 12,000.
-- Each round inserts 950 entries and deletes the 950 oldest. The 50 entries that follow are the queries and are
-- never inserted.
--
-- The window has the same size in every round, so any change over time comes from the lists. FAISS with a rebuild in
-- every round shows how much of it new lists repair. Recall at a fixed nprobe can hide drift: where the lists nearest
-- to the newest entries grow, a query scans more of them.
local in_time = dataset("changelogs"):sort_by "time"

local lists  = option("lists", 128, "clusters of every inverted file")
local window = 12000
local block, asked = 1000, 50
local rounds = option("rounds", quick and 8 or (#in_time - window) // block, "blocks of 1000 entries after the window")

local probes = quick and { 8, 16, 32 } or { 2, 4, 8, 16, 32, 64 }
local addonly, rebuilt = "FAISS IVF add-only", "FAISS IVF rebuild"
local fixed, source, soft2 = "dynamic IVF, no maintenance", "dynamic IVF, paper's splits", "dynamic IVF soft_k=2, paper's splits"
local lire, dedrift, costs, ada = "dynamic IVF, lire", "dynamic IVF, dedrift", "dynamic IVF, cost-model", "dynamic IVF, ada-ivf"

local function ivf(method_name, label, params, more)
  params.clusters = lists
  local m = { method_name, label = label, params = params, sweep = { nprobe = probes } }
  for key, value in pairs(more or {}) do m[key] = value end
  return method(m)
end

-- A metric's mean over the last quarter of the rounds, as a multiple of its mean over the first.
local function growth(r, label, metric)
  local first, last = 0, 0
  for round = 1, rounds // 4 do
    first = first + r(label, ("%s/newest#%d"):format(metric, round))
    last = last + r(label, ("%s/newest#%d"):format(metric, rounds + 1 - round))
  end
  return last / first
end
local function at8(label) return label .. "[nprobe=8]" end

local methods = {
  ivf("faiss-ivf-flat", addonly, {}),
  ivf("faiss-ivf-flat", rebuilt, {}, { rebuild = "arrive" }),
  ivf("divf", fixed, { maintenance = "none" }),
  ivf("divf", source, { split_threshold = 3 }),
  ivf("divf", lire, { maintenance = "lire" }),
}
local asked_of = { addonly, rebuilt, fixed, source, lire }
if not quick then
  methods[#methods + 1] = ivf("divf", dedrift, { maintenance = "dedrift" })
  methods[#methods + 1] = ivf("divf", costs, { maintenance = "cost-model" })
  methods[#methods + 1] = ivf("divf", ada, { maintenance = "ada-ivf" })
  methods[#methods + 1] = ivf("divf", soft2, { split_threshold = 3, soft_k = 2 })
  for _, label in ipairs { dedrift, costs, ada, soft2 } do asked_of[#asked_of + 1] = label end
  -- hnswlib's replacements take longer than everything else together.
  methods[#methods + 1] = method { "hnswlib", label = "hnswlib replace", params = { M = 16, ef_construction = 128 },
                                   deletes = "replace", sweep = { ef_search = { 16, 32, 64, 128 } } }
end

experiment {
  name = "drift_in_time",
  title = "Thirty years of changelogs through a sliding window",
  publication = "Copenhagen 0.1.0",
  seed = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { in_time:rows(1, window) }
    w:insert { in_time:rows(1, window), tag = "load" }
    for round = 1, rounds do
      local first = window + block * (round - 1)
      w:insert { in_time:rows(first + 1, first + block - asked), tag = "arrive" }
      w:delete { oldest = block - asked, tag = "leave" }
      w:search { in_time:rows(first + block - asked + 1, first + block), tag = "newest" }
    end
  end,

  methods = methods,

  claims = {
    { "(ours) drift shows in recall: at nprobe 8 frozen lists lose 3 % of it or more, lists rebuilt every round less than 1 %", function(r)
      return growth(r, at8(addonly), "recall@10") <= 0.97 and growth(r, at8(fixed), "recall@10") <= 0.97
             and growth(r, at8(rebuilt), "recall@10") > 0.99
    end },
    { "(ours) and in work: frozen lists scan more in the last quarter than in the first, rebuilt ones do not", function(r)
      return growth(r, at8(addonly), "scanned") > 1 and growth(r, at8(fixed), "scanned") > 1 and growth(r, at8(rebuilt), "scanned") <= 1
    end },
    { "(ours) for recall .95 a frozen index scans 1.2 times what a rebuilt one scans, or more, over all rounds", function(r)
      return r(addonly, "scanned@recall=0.95/newest") >= 1.2 * r(rebuilt, "scanned@recall=0.95/newest")
    end },
    { "(ours) the paper's splits hold the work, and lose 3 % of recall or more for it", function(r)
      return growth(r, at8(source), "scanned") < 1.25 and growth(r, at8(source), "recall@10") <= 0.97
    end },
    { "(ours) lire keeps the work of recall .95 within a quarter of a rebuild's, in total over all rounds", function(r)
      return r(lire, "scanned@recall=0.95/newest") <= 1.25 * r(rebuilt, "scanned@recall=0.95/newest")
    end },
    { "(ours) lire takes a fifth of the time of the rebuilds, or less", function(r)
      return r(at8(lire), "seconds/arrive") + r(at8(lire), "seconds/leave") <= 0.2 * r(at8(rebuilt), "seconds/arrive")
    end },
    { "(ours) deleting and inserting a round costs dynamic IVF a tenth of a rebuild's time, or less", function(r)
      return r(at8(source), "seconds/arrive") + r(at8(source), "seconds/leave") <= 0.1 * r(at8(rebuilt), "seconds/arrive")
    end },
    { "(ours) nothing deleted is ever answered, by any method", function(r)
      for _, label in ipairs(asked_of) do
        if r(at8(label), "wrong_ids/newest") ~= 0 then return false end
      end
      return true
    end },
  },

  figures = {
    { "bars", y = "scanned@recall=0.95", where = { tag = "newest" }, title = "Copies scanned for recall .95, over all rounds" },
    { "timeline", y = { "recall@10", "scanned" }, where = { tag = "newest", point = { "nprobe=8", "ef_search=32" } },
      title = "Thirty years at nprobe 8" },
    { "bars", y = "seconds", where = { tag = { "arrive", "leave" } }, title = "Time of insertions and deletions per round" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "newest" }, title = "Recall and work, over all rounds" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "newest" }, title = "Recall and throughput, over all rounds" },
  },
}
