-- Churn: a sliding window over drifting clusters. Each round the oldest tenth leaves and as many rows arrive.
local rounds = option("rounds", quick and 3 or 6, "rounds of churn")
local data = synthetic { kind = "drift", rows = 12000, dim = 24, clusters = 20, speed = 1, turnover = 2 }

experiment {
  name = "synthetic_churn",
  title = "A sliding window over drifting clusters",
  seed = 1,
  k = 10,

  workload = function(w)
    w:train { data:rows(1, 4000) }
    w:insert { data:rows(1, 4000), tag = "load", batch = 1000 }
    w:search { data:queries(100, { at = 0.3 }), tag = "before" }
    for round = 1, rounds do
      w:delete { oldest = 400, tag = "leave" }
      w:insert { data:rows(4001 + 400 * (round - 1), 4000 + 400 * round), tag = "arrive" }
      w:search { data:queries(100, { at = (4000 + 400 * round) / #data }), tag = "now" }
    end
    w:maintain {}
    w:search { data:queries(100, { at = (4000 + 400 * rounds) / #data }), tag = "maintained" }
  end,

  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "dynamic IVF", params = { clusters = 64 }, sweep = { nprobe = { 2, 4, 8 } } },
  },

  claims = {
    { "the exact scan finds everything", function(r) return r("exact", "recall@10/now") == 1 end },
  },
  figures = {
    { "timeline", y = "recall@10", where = { tag = "now" } },
    { "pareto", x = "distances", y = "recall@10", where = { tag = { "before", "maintained" } } },
  },
}
