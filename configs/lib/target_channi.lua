-- target_channi.lua - Shared by configs/targets/channi.lua and targets/channi_words.lua: CHANNI compared with hnswlib
-- on data that do not change.
--
-- Everything runs on one thread. Every query runs once before, so the cache holds what the queries need. Half of the
-- queries, drawn at random ("tune"), finds where a method's sweep reaches recall .95. The other half ("full")
-- measures the method there, repeated `rounds` times. Both methods are treated alike. Memory is what is resident at
-- the end, cache included: by the method's own count, and as the growth of the process.

local channi = require "channi"
local bars = {}

-- of: { name, title, data, params, sweep, quick = params for few rows }
function bars.run(of)
  local rows    = option("rows", quick and 6000 or #of.data, "vectors")
  local rounds  = option("rounds", quick and 1 or 3, "times the queries are asked")
  local queries = of.data:queries(option("queries", quick and 200 or 1000, "asked, half of them to tune by")):shuffle(1)
  local tuning  = queries:rows(1, #queries // 2)
  local asked   = queries:rows(#queries // 2 + 1, #queries)
  local ours, theirs = "channi", "hnswlib"
  local ef     = { 16, 24, 32, 36, 40, 48, 56, 64, 96, 128, 192 }
  local params = quick and channi.with(of.params, of.quick) or of.params

  local sweeps = { [ours] = { "nprobe", of.sweep.nprobe }, [theirs] = { "ef_search", ef } }
  local function point(label, i) return ("%s[%s=%d]"):format(label, sweeps[label][1], sweeps[label][2][i]) end
  local function share(r, metric) return r(point(ours, 1), metric) / r(point(theirs, 1), metric) end

  -- A metric at recall .95 of the tuning queries, interpolated between the two nearest points. Where the first point
  -- exceeds .95, its value.
  local function at(r, label, metric)
    local before
    for i in ipairs(sweeps[label][2]) do
      local here = r(point(label, i), "recall@10/tune")
      if here >= .95 then
        local value = r(point(label, i), metric .. "/full")
        if not before then return value end
        local last = r(point(label, i - 1), metric .. "/full")
        return last + (value - last) * (.95 - before) / (here - before)
      end
      before = here
    end
    error(label .. " reaches recall .95 at no point of its sweep", 0)
  end

  experiment {
    name = of.name, title = of.title,
    seed = 1, k = 10, threads = 1,

    workload = function(w)
      w:insert { of.data:rows(1, rows), tag = "load" }
      w:search { queries, tag = "warm" }
      w:search { tuning, tag = "tune" }
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
      { "(ours) and there the recall of queries it was not tuned by is at most a point below hnswlib's", function(r)
        return at(r, ours, "recall@10") >= at(r, theirs, "recall@10") - .01
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
