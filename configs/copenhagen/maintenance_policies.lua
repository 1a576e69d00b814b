-- maintenance_policies.lua - The maintenance policies of dynamic IVF over a long drift, with the number of vectors
-- that each of them moves.
--
-- data = "fashion" (the default): MNIST fills a window, then Fashion-MNIST arrives in twenty batches. Each new vector
-- replaces the oldest, until no digit is left. data = "changelogs": a window slides over changelogs in the order of
-- writing. The queries come from the arriving data. A rebuild at every batch is the upper end. The policy "none" is
-- the lower end: the same lists, and nothing moves.
--
-- At the end w:maintain trains again, with every policy but none and dedrift, because every vector was replaced. The
-- searches before it show the policies.
--
-- The policies have different numbers of lists, so nothing is compared at equal nprobe. The comparison is the number
-- of vectors that a query scans for a given recall.
local data  = option("data", "fashion", "fashion: MNIST, then Fashion-MNIST; changelogs: entries in time")
local lists = option("lists", data == "fashion" and 32 or 96, "clusters of training")

local rounds = 20
local window, block, asked, first, coming

if data == "fashion" then
  local mnist, fashion = dataset "mnist", dataset "fashion-mnist"
  window, block, asked = quick and 2000 or 10000, quick and 100 or 500, quick and 50 or 100
  first = mnist:rows(1, window)
  coming = function(round) return fashion:rows(block * (round - 1) + 1, block * round) end
else
  local entries = dataset("changelogs"):sort_by "time"
  window, block, asked = quick and 2500 or 10000, quick and 250 or 2000, 100
  first = entries:rows(1, window)
  coming = function(round) return entries:rows(window + block * (round - 1) + 1, window + block * round) end
end

-- Queries are never stored. They are the last `asked` of the arriving rows, or the test images of Fashion-MNIST.
local function arriving(round)
  if data == "fashion" then return coming(round) end
  local all = coming(round)
  return all:rows(1, block - asked)
end
local function queries(round)
  if data == "fashion" then return dataset("fashion-mnist"):queries(asked) end
  return coming(round):rows(block - asked + 1, block)
end

local probes = quick and { 2, 4, 8, 16 } or { 1, 2, 4, 6, 8, 12, 16, 24 }
if data ~= "fashion" then probes = quick and { 4, 8, 16, 32, 64 } or { 2, 4, 8, 12, 16, 24, 32, 48, 64 } end

local none, source, lire, dedrift, lazy, cost, ada, rebuilt =
  "none", "copenhagen", "lire", "dedrift", "dedrift, lazy", "cost model", "Ada-IVF", "rebuilt every round"
local still = "lire, nobody moves"

local function divf(label, params, ablations, rebuild)
  params.clusters = lists
  return method { "divf", label = label, params = params, rebuild = rebuild, ablations = not quick and ablations or nil,
                  sweep = { nprobe = probes } }
end

local at = "scanned@recall=0.95/arriving"
local function total(r, label, what) return r(label .. "[nprobe=4]", "stats." .. what .. "/close") end

experiment {
  name = "maintenance_policies",
  title = "Maintenance policies of dynamic IVF over a long drift",
  publication = "Copenhagen 0.1.0",
  seed = 1, seeds = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { first }
    w:insert { first, batch = 1000, tag = "load" }
    for round = 1, rounds do
      local new = arriving(round)
      w:insert { new, tag = "drift" }
      w:delete { oldest = #new, tag = "leave" }
      if round % 4 == 0 then w:search { queries(round), tag = "arriving" } end
    end
    w:maintain { tag = "close" }
    w:search { queries(rounds), tag = "closed" }
  end,

  methods = {
    divf(none, { maintenance = "none" }),
    divf(source, { maintenance = "copenhagen" }),
    divf(lire, { maintenance = "lire" }, {
      { "short lists", { list_limit = .8 } }, { "long lists", { list_limit = 2.5 } },
      { "few are dissolved", { merge_threshold = .02 } }, { "many are dissolved", { merge_threshold = .3 } } }),
    divf(still, { maintenance = "lire", reassign_lists = 0, refine_passes = 0 }),
    divf(dedrift, { maintenance = "dedrift" }, { { "five times as often", { cycle_every = .02 } }, { "a fifth as often", { cycle_every = .5 } } }),
    divf(lazy, { maintenance = "dedrift", dedrift_lists = 0 }),
    divf(cost, { maintenance = "cost-model" }, {
      { "small gains", { cost_tau = .05 } }, { "large gains", { cost_tau = 5 } }, { "cheap lists", { cost_probe = 16 } }, { "expensive lists", { cost_probe = 256 } } }),
    divf(ada, { maintenance = "ada-ivf" }, {
      { "low threshold", { ada_threshold = .1 } }, { "high threshold", { ada_threshold = 1 } }, { "sizes alone", { ada_size = 1 } },
      { "means alone", { ada_size = 0 } }, { "25 neighbours", { reassign_lists = 25 } } }),
    divf(rebuilt, { maintenance = "none" }, nil, "drift"),
  },

  claims = {
    { "(ours) without maintenance a query scans 1.5 times what it scans after a rebuild, or more, for recall .95", function(r)
      return r(none, at) >= 1.5 * r(rebuilt, at)
    end },
    { "(ours) lire, not trained again, scans at most 1.15 times what a rebuild at every batch leaves to scan", function(r)
      return r(lire, at) <= 1.15 * r(rebuilt, at)
    end },
    { "(ours) what it costs is moving vectors: with the same splits and nobody moved, more is scanned", function(r)
      return r(still, at) > r(lire, at)
    end },
    { "(ours) the paper's splits are worth less than lire's", function(r) return r(source, at) > r(lire, at) end },
    { "(ours) DeDrift's traded lists are worth more than its moved centroids alone", function(r)
      return r(dedrift, at) < r(lazy, at)
    end },
    { "(ours) all of lire's maintenance, drift and deletions included, costs less than half of a rebuild's time", function(r)
      local p = "[nprobe=4]"
      return r(lire .. p, "seconds/drift") + r(lire .. p, "seconds/leave") <= 0.5 * r(rebuilt .. p, "seconds/drift")
    end },
    { "Ada-IVF finds about as much as lire at equal work: it scans at most 1.2 times as much for recall .95", function(r)
      return r(ada, at) <= 1.2 * r(lire, at)
    end },
    { "and in half of the time: its insertions and deletions take at most half as long", function(r)
      local p = "[nprobe=4]"
      return r(ada .. p, "seconds/drift") + r(ada .. p, "seconds/leave") <= .5 * (r(lire .. p, "seconds/drift") + r(lire .. p, "seconds/leave"))
    end },
    { "(ours) lists die: lire dissolves what the deletions emptied", function(r) return total(r, lire, "merges") > 0 end },
    { "(ours) nothing deleted is ever answered", function(r)
      for _, label in ipairs { none, source, lire, dedrift, cost, ada } do
        if r(label .. "[nprobe=4]", "wrong_ids/arriving") ~= 0 then return false end
      end
      return true
    end },
  },

  figures = {
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "arriving" }, title = "Recall and copies scanned, over the drift" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "closed" }, title = "Recall and copies scanned at the end, after maintain" },
    { "timeline", y = { "recall@10", "scanned" }, where = { tag = "arriving", point = "nprobe=4" }, title = "Recall and copies scanned, round by round at nprobe 4" },
    { "bars", y = "seconds", where = { tag = { "drift", "leave" }, point = "nprobe=4" }, title = "Time of insertions and deletions per round, maintenance included" },
    { "bars", y = "stats.reassign_moved", where = { tag = "close", point = "nprobe=4" }, title = "Copies that maintenance moved" },
  },
}
