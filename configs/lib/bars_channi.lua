-- bars_channi.lua - what configs/bars_channi.lua and bars_channi_words.lua share: CHANNI held to hnswlib on data that do not change.
--
-- One thread. Every query is asked once before, so that the cache holds what they need, and then `rounds` times. Memory is what is resident in the end,
-- cache included: by the method's own count, and as the growth of the process. Rates are read off the best points of a sweep at recall .95.

local channi = require "channi"
local bars = {}

-- of: { name, title, data, params, sweep, quick = params for few rows }
function bars.run(of)
  local rows    = option("rows", quick and 6000 or #of.data, "vectors")
  local rounds  = option("rounds", quick and 1 or 3, "times the queries are asked")
  local asked   = of.data:queries(option("queries", quick and 200 or 1000, "asked"))
  local ours, theirs = "channi", "hnswlib"
  local ef     = { 16, 24, 32, 48, 64, 96, 128, 192 }
  local params = quick and channi.with(of.params, of.quick) or of.params

  local function point(label)
    if label == theirs then return "hnswlib[ef_search=64]" end
    local axes = {}
    for axis, values in pairs(of.sweep) do axes[#axes + 1] = ("%s=%s"):format(axis, values[1]) end
    return ("%s[%s]"):format(ours, table.concat(axes, ","))
  end
  local function at(r, label, metric) return r(label, metric .. "@recall=0.95/full") end
  local function share(r, metric) return r(point(ours), metric) / r(point(theirs), metric) end

  experiment {
    name = of.name, title = of.title,
    seed = 1, k = 10, threads = 1,

    workload = function(w)
      w:insert { of.data:rows(1, rows), tag = "load" }
      w:search { asked, tag = "warm" }
      for _ = 1, rounds do w:search { asked, tag = "full" } end
    end,

    methods = {
      method { "channi", params = params, sweep = of.sweep },
      channi.hnswlib(nil, { sweep = { ef_search = ef } }),
    },

    claims = {
      { "(ours) recall .95, one query at a time: at least 0.8 times hnswlib's rate", function(r)
        return at(r, ours, "single_qps") >= .8 * at(r, theirs, "single_qps")
      end },
      { "(ours) recall .95, queries as a batch: at least 0.8 times hnswlib's rate", function(r)
        return at(r, ours, "qps") >= .8 * at(r, theirs, "qps")
      end },
      { "(ours) in at most 35 % of hnswlib's memory by its own count, cache included", function(r) return share(r, "index_bytes/end") <= .35 end },
      { "(ours) in at most 35 % of hnswlib's resident memory, cache included", function(r) return share(r, "rss_bytes/end") <= .35 end },
      { "(ours) built at least 3 times as fast", function(r) return 3 * share(r, "seconds/load") <= 1 end },
    },

    figures = {
      { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
      { "pareto", x = "qps", y = "recall@10", where = { tag = "full" }, title = "Queries as a batch" },
      { "pareto", x = "distances", y = "recall@10", where = { tag = "full" }, title = "Recall and exact distances" },
      { "memory", y = "parts", title = "Memory by part" },
    },
  }
end

return bars
