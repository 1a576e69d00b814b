-- hamming_churn.lua - 64-bit codes inserted and deleted at constant size over many rounds. Everything is deleted at
-- the end.
--
-- The data are n uniform codes and clusters of ten, planted anew each round. Every round inserts a tenth of n and
-- deletes as many of the oldest, so no initial code is left after ten rounds. The centres planted last are the queries,
-- at radius 10. Then all codes are deleted.
--
-- The HFTrie paper claims insertion and deletion. Its implementation never frees what it deletes and never merges.
-- Here memory must stay constant at constant size, and must return to that of an empty index after the last deletion
-- (the checkpoint "empty").

local hftrie = require "hftrie"
local n        = option("n", quick and 20000 or 1000000, "codes at any time")
local rounds   = option("rounds", quick and 4 or 20, "rounds of churn")
local clusters = option("clusters", quick and 10 or 50, "planted clusters of ten a round, and so queries")
local radius   = option("radius", 10, "of the range search, and of the clusters")

local part = n // 10 - clusters * hftrie.members
local codes = synthetic { kind = "uniform", rows = n + rounds * part, clusters = 0 }

local function planted(round)
  return synthetic { kind = "uniform", rows = 1, clusters = clusters, members = hftrie.members, radius = radius, seed = 100 + round }
end

local tries = { "hftrie multi", "hftrie standard", "HFTrie-std", "HFTrie-fast" }
local exact = { "hftrie multi", "hftrie standard", "HFTrie-std", "MIH, copied", "MIH, slots", "HWTree", "MTree", "scan" }

local function each(labels, holds)
  return hftrie.all(#labels, function(i) return holds(labels[i]) end)
end
local function drift(r, label, metric, tag) -- the mean over the last quarter of the rounds divided by the mean over the first
  local q, first, last = math.max(1, rounds // 4), 0, 0
  for i = 1, q do
    first = first + r(label, ("%s/%s#%d"):format(metric, tag, i))
    last = last + r(label, ("%s/%s#%d"):format(metric, tag, rounds - q + i))
  end
  return last / first
end

experiment {
  name = "hamming_churn",
  title = "64-bit codes inserted and deleted at constant size",
  publication = "HFTrie",
  seed = 1, repeats = 1, threads = 1,

  workload = function(w)
    w:checkpoint "empty"
    w:insert { codes:rows(1, n), tag = "load" }
    for round = 1, rounds do
      local new = planted(round)
      w:insert { codes:rows(n + (round - 1) * part + 1, n + round * part) .. hftrie.planted(new, clusters), tag = "arrive" }
      w:delete { oldest = w.live - n, tag = "leave" }
      w:range { new:queries(clusters), radius = radius, planted = hftrie.members, tag = "churn" }
    end
    w:delete { oldest = w.live, tag = "clear" }
  end,

  methods = {
    hftrie.std(), hftrie.fast(), hftrie.standard(), hftrie.multi(), hftrie.mih "copied", hftrie.mih "slots",
    method { "mtree", label = "MTree" }, method { "hwtree", label = "HWTree" }, hftrie.scan(),
  },

  claims = {
    { "the index can add, delete and search: standard search is exact through all rounds", function(r)
      return r("HFTrie-std", "range_recall/churn") == 1 and r("HFTrie-std", "wrong_ids/churn") == 0
    end },
    { "(ours) every exact method stays exact, and no deleted code is ever answered", function(r)
      return each(exact, function(label)
        return r(label, "range_recall/churn") == 1 and r(label, "wrong_ids/churn") == 0
      end)
    end },
    { "(ours) memory of the tries at constant size stays: the last rounds within 15 % of the first", function(r)
      return each(tries, function(label) return math.abs(drift(r, label, "index_bytes", "leave") - 1) <= 0.15 end)
    end },
    { "(ours) and so does their time of a query (within 30 %)", function(r)
      return each(tries, function(label) return drift(r, label, "mean_ns", "churn") <= 1.3 end)
    end },
    { "(ours) once all is deleted, memory is within 10 % of that of an empty index", function(r)
      return each(exact, function(label)
        return r(label, "index_bytes/clear") <= 1.1 * r(label, "index_bytes/empty")
      end)
    end },
    { "(ours) hftrie multi deletes in at most twice the time of an insertion", function(r)
      return r("hftrie multi", "ns_each/leave") <= 2 * r("hftrie multi", "ns_each/arrive")
    end },
  },

  figures = {
    { "timeline", y = { "mean_ns", "range_recall" }, where = { tag = "churn" }, title = "Search, round by round" },
    { "timeline", y = "ns_each", where = { tag = { "arrive", "leave" }, label = { "HFTrie-std", "hftrie multi", "MIH, copied", "MIH, slots" } },
      title = "ns per insertion and deletion, round by round" },
    { "timeline", y = "index_bytes", where = { tag = "leave" }, title = "Memory, round by round" },
    { "bars", y = "ns_each", x = "label", group = "tag", where = { tag = { "arrive", "leave", "clear" } },
      title = "ns per insertion or deletion" },
    { "bars", y = "index_bytes", x = "label", group = "tag", where = { tag = { "load", "clear" } }, title = "Memory, full and cleared" },
  },
}
