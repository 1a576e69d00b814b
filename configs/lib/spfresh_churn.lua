-- spfresh_churn.lua - The experiment of spfresh/churn.lua and spfresh/churn_shift.lua: all vectors are replaced, a
-- hundredth per step.
--
-- Four indexes begin as the same SPANN. SPFresh splits, merges and reassigns within the updates that require it
-- (maintenance = inline: one thread, the same in every run). "split only" splits without reassignment. "append only"
-- does neither. The last is append-only and is rebuilt from scratch half-way and at the end. Postings differ in
-- length, so recall is compared at equal bytes read.

local spfresh = require "spfresh"
local churn = {}

local probes = { 4, 8, 16, 32, 64 }
local mark = quick and 8 or 32 -- heads probed where points are compared
local live, split_only, append_only, rebuilt = "SPFresh", "split only", "append only", "rebuilt"

-- of: { name, title, rows = view of at least 2n vectors in order of arrival, queries = view, n, steps, leave =
-- "random" or "oldest" }
function churn.run(of)
  local n, steps = of.n, of.steps
  local part = n // steps
  local moments = 10                    -- searches after the first
  local last = moments + 1
  local function index(method_name, label, params, rebuild)
    return method { method_name, label = label, params = spfresh.with(spfresh.as_released, params), rebuild = rebuild,
                    sweep = { nprobe = probes } }
  end
  local function at(label) return spfresh.point(label, mark) end
  local function final(r, label, metric) return r(at(label), ("%s/churn#%d"):format(metric, last)) end
  local function first(r, label, metric) return r(at(label), metric .. "/churn#1") end
  local function grown(r, label, metric) return r(at(label), ("%s/arrive#%d"):format(metric, steps)) / r(at(label), metric .. "/load") end
  -- The last recall of a label at the bytes that SPFresh reads at `mark`.
  local function at_equal_pages(r, label)
    return spfresh.recall_at(r, label, probes, "bytes_read", "churn#" .. last, final(r, live, "bytes_read"))
  end

  experiment {
    name = of.name, title = of.title,
    publication = "SPANN and SPFresh",
    seed = 1, k = 10, threads = 2, timeout = 3600,

    workload = function(w)
      w:train  { of.rows:rows(1, n), tag = "train" }
      w:insert { of.rows:rows(1, n), tag = "load" }
      w:search { of.queries, tag = "churn" }
      for step = 1, steps do
        w:delete { [of.leave] = part, tag = "leave" }
        w:insert { of.rows:rows(n + (step - 1) * part + 1, n + step * part), tag = "arrive", batch = 100, singles = 20 }
        if step % (steps // 2) == 0 then w:maintain { tag = "renew" } end
        if step % (steps // moments) == 0 then w:search { of.queries, tag = "churn" } end
      end
    end,

    methods = {
      index("spfresh", live, { maintenance = "inline" }),
      index("spfresh", split_only,
            { maintenance = "inline", reassign_heads = 0, condition1 = false, condition2 = false, merge = false }),
      index("spann", append_only, {}),
      index("spann", rebuilt, {}, "renew"),
    },

    claims = {
      { "after all vectors were replaced the recall is within 1 point of a fresh build's at equal pages read", function(r)
        return final(r, live, "recall@10") >= at_equal_pages(r, rebuilt) - 0.01
      end },
      { "tail latency stays: the 99.9th percentile at the end is within 1.5 times that before", function(r)
        return final(r, live, "p999_ns") <= 1.5 * first(r, live, "p999_ns")
      end },
      { "memory stays: within 1.3 times that before, as counted and as resident", function(r)
        return grown(r, live, "index_bytes") <= 1.3 and grown(r, live, "rss_bytes") <= 1.3
      end },
      { "without splits postings grow: append only reads 1.5 times as much a query as SPFresh at the end, or more", function(r)
        return final(r, append_only, "bytes_read") >= 1.5 * final(r, live, "bytes_read")
      end },
      { "splits alone do not do: at equal pages read split only finds less than SPFresh", function(r)
        return at_equal_pages(r, split_only) < final(r, live, "recall@10")
      end },
      { of.leave == "random" and "(ours) vectors outside of their nearest head's posting: at most 2 %"
          or "(ours) vectors outside of their nearest head's posting: at most 2 % in SPFresh, twice as many with splits only, or more", function(r)
        local ours, theirs = r(at(live), "stats.npa_violations/end"), r(at(split_only), "stats.npa_violations/end")
        return ours <= 0.02 and (of.leave == "random" or theirs >= 2 * ours)
      end },
      { "(ours) a step of SPFresh's updates takes a tenth of a rebuild's time, or less (a few thousand vectors: less than it)", function(r)
        local step = r(at(live), "seconds/arrive") + r(at(live), "seconds/leave")
        return step * (n >= 50000 and 10 or 1) <= r(at(rebuilt), "seconds/renew")
      end },
      { "(ours) no deleted vector is ever answered", function(r)
        for _, label in ipairs { live, split_only, append_only, rebuilt } do
          if r(at(label), "wrong_ids/churn") ~= 0 then return false end
        end
        return true
      end },
    },

    figures = {
      { "timeline", y = { "recall@10", "bytes_read", "scanned" }, where = { tag = "churn", point = "nprobe=" .. mark },
        title = "Recall and bytes read per query" },
      { "timeline", y = { "p50_ns", "p99_ns", "p999_ns" }, where = { tag = "churn", point = "nprobe=" .. mark }, title = "Latency" },
      { "timeline", y = { "index_bytes", "rss_bytes", "disk_bytes" }, where = { tag = "arrive", point = "nprobe=" .. mark }, title = "Memory and disk" },
      { "timeline", y = { "stats.heads", "stats.splits", "stats.merges", "stats.reassign_done" },
        where = { tag = "arrive", label = { live, split_only }, point = "nprobe=" .. mark }, title = "Heads, splits, merges, reassigned vectors" },
      { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "churn" }, title = "Recall and bytes read per query, over all steps" },
      { "sizes", y = "postings.entries", title = "Entries per posting at the end, stale ones included" },
      { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "load", "arrive", "leave" }, point = "nprobe=" .. mark },
        title = "ns per inserted or deleted vector" },
    },
  }
end

return churn
