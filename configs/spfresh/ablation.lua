-- ablation.lua - The contribution of each part of SPFresh: a small churn for every choice, with all other parameters
-- as the release has them.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- SIFT descriptors arrive picture by picture and the oldest leave, until all were replaced once. The first group
-- varies maintenance: the number of postings examined after a split (reassign_heads, the paper's ReassignK),
-- either condition of reassignment, merges, the placement of vectors (replicas, the factor of the RNG rule),
-- the balance of the tree, and the bits of a version. The second group varies where postings are stored, and
-- the third what they hold. Without --quick, a fourth varies how heads are chosen and linked, and when postings are
-- split and merged, by SPTAG's names for it, and sweeps vary what a query leaves out: heads compared (MaxCheck), far
-- heads (MaxDistRatio), pages of a posting, exact distances, and postings that come late (LatencyLimit).
--
-- A choice changes the length of postings, and so the bytes that a query reads. Recall is therefore compared at
-- equal bytes (recall at the bytes that the default reads with 32 heads), or bytes at equal recall
-- (bytes_read@recall=0.95).

local spfresh = require "spfresh"
local sift    = require("datasets").stream "photo-sift"
local n       = option("rows", quick and 1500 or 15000, "descriptors live")
local steps   = option("steps", quick and 3 or 20, "steps until all were replaced")
local queries = option("queries", quick and 200 or 500, "asked")
local part    = n // steps

local probes = quick and { 2, 4, 8, 32 } or { 8, 16, 32, 64, 128 }
local base   = spfresh.with(spfresh.as_released, { maintenance = "inline" })

local function varied(list)
  for i, one in ipairs(list) do list[i] = { one[1], spfresh.with(base, one[2]) } end
  return list
end

local maintenance = varied {
  { "K=0", { reassign_heads = 0 } }, { "K=8", { reassign_heads = 8 } }, { "K=16", { reassign_heads = 16 } },
  { "K=32", { reassign_heads = 32 } }, { "K=64", { reassign_heads = 64 } }, { "K=128", { reassign_heads = 128 } },
  { "no condition 1", { condition1 = false } }, { "no condition 2", { condition2 = false } },
  { "split only", { reassign_heads = 0, condition1 = false, condition2 = false } },
  { "no merge", { merge = false } },
}
local filing = varied {
  { "1 replica", { replicas = 1 } }, { "2 replicas", { replicas = 2 } }, { "4 replicas", { replicas = 4 } },
  { "rng .5", { rng_factor = 0.5 } }, { "rng 2", { rng_factor = 2 } },
  { "closure .5", { closure_eps = 0.5 } },
  { "no balance", { balance = 0 } }, { "BKT heads", { head_index = "bkt" } },
  { "15-bit versions", { version_bits = "15" } },
}
local stores = varied {
  { "memory", { store = "memory" } }, { "mmap", { store = "mmap" } },
  { "file, io_uring", { store = "file", io = "uring" } }, { "file, pread", { store = "file", io = "pread" } },
  { "file, direct", { store = "file", direct = true } }, { "RocksDB", { store = "rocksdb" } },
}
local codes = varied {
  { "sq8", { postings = "sq8" } }, { "pq", { postings = "pq" } },
  { "rabitq 1", { postings = "rabitq", bits = 1 } }, { "rabitq 3", { postings = "rabitq", bits = 3 } },
  { "rabitq 5", { postings = "rabitq", bits = 5 } },
  { "rabitq 1, global centre", { postings = "rabitq", bits = 1, code_centre = "global" } },
}

local sptag = varied {
  { "8 children", { fanout = 8 } }, { "leaves of 32", { leaf = 32 } }, { "samples of 100", { samples = 100 } },
  { "thresholds 6, 25, 5", { select_threshold = 6, split_threshold = 25, split_factor = 5 } },
  { "thresholds 12, 18, 9", { select_threshold = 12, split_threshold = 18, split_factor = 9 } },
  { "heads moved", { refine = 2 } }, { "heads moved, rng 1.5", { refine = 2, rng_factor = 1.5 } },
  { "16 neighbours", { degree = 16 } }, { "CEF 1000", { build_ef = 1000 } }, { "AddCEF 25", { insert_ef = 25 } }, { "AddCEF 500", { insert_ef = 500 } },
  { "no splits", { split = false } }, { "merged below 2", { merge_entries = 2 } }, { "merged below 40", { merge_entries = 40 } },
  { "updates split nothing themselves", { maintenance = "explicit", buffer_pages = 4096 } }, { "updates split at the limit", { maintenance = "explicit", buffer_pages = 0 } },
}
local function swept(label, knob, values, params)
  return method { "spfresh", label = label, params = spfresh.with(base, params or {}), knobs = { nprobe = 64 }, sweep = { [knob] = values } }
end
local function limited(r, metric, label, knob, value) return r(("%s[%s=%s]"):format(label, knob, value), metric .. "/end of churn") end

local function group(label, list)
  return method { "spfresh", label = label, params = base, sweep = { nprobe = probes }, ablations = list }
end
local function name(label, choice, nprobe)
  return choice and ("%s[%s,nprobe=%d]"):format(label, choice, nprobe or 32) or ("%s[nprobe=%d]"):format(label, nprobe or 32)
end
local function read(r, label, choice) -- bytes for recall .95
  return r(choice and ("%s[%s]"):format(label, choice) or label, "bytes_read@recall=0.95/end of churn")
end
local function violations(r, choice) return r(name("maintenance", choice), "stats.npa_violations/end") end

experiment {
  name = "spfresh_ablation",
  title = "SPFresh without its parts, one by one",
  publication = "SPANN and SPFresh",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { sift:rows(1, n), tag = "train" }
    w:insert { sift:rows(1, n), tag = "load" }
    for step = 1, steps do
      w:delete { oldest = part, tag = "leave" }
      w:insert { sift:rows(n + (step - 1) * part + 1, n + step * part), batch = 100, singles = 20, tag = "arrive" }
    end
    w:search { sift:queries(queries), tag = "end of churn" }
  end,

  methods = { group("maintenance", maintenance), group("filing", filing), group("store", stores), group("codes", codes),
    table.unpack(quick and {} or {
      group("SPTAG", sptag),
      swept("heads compared", "max_check", { 64, 256, 1024, 4096, 0 }), swept("far heads", "max_dist_ratio", { 1.5, 2, 3, 8, 0 }),
      swept("pages", "page_budget", { 1, 2, 0 }), swept("late postings", "latency_limit_ms", { .02, .2, 2, 0 }, { store = "file", direct = true }),
      swept("exact distances", "rerank", { 10, 100, 0 }, { postings = "rabitq" }),
      swept("estimated recall", "target_recall", { .8, .9, .95 }),
    }) },

  claims = {
    { "reassigning after splits pays: with K = 64 fewer vectors are outside of their nearest head's posting than with K = 0", function(r)
      return violations(r, "K=64") < violations(r, "K=0")
    end },
    { "and beyond 64 it hardly does: K = 128 mends at most a point more", function(r)
      return violations(r, "K=64") - violations(r, "K=128") <= 0.01
    end },
    { "either condition is needed: without it more vectors are out of place", function(r)
      local all = violations(r, "K=64")
      return violations(r, "no condition 1") > all and violations(r, "no condition 2") > all
    end },
    { "replicas pay: with one, more is read for recall .95 than with eight", function(r)
      return read(r, "filing", "1 replica") > read(r, "filing")
    end },
    { "(ours) codes pay: RaBitQ of 1 bit computes under half of the exact distances with 32 heads", function(r)
      return 2 * r(name("codes", "rabitq 1"), "distances/end of churn") <= r(name("codes"), "distances/end of churn")
    end },
    { "(ours) no store changes an answer", function(r)
      for _, choice in ipairs(stores) do
        if r(name("store", choice[1]), "recall@10/end of churn") ~= r(name("store"), "recall@10/end of churn") then return false end
      end
      return true
    end },
    { "(ours) no choice ever answers what was deleted", function(r)
      for label, list in pairs { maintenance = maintenance, filing = filing, store = stores, codes = codes } do
        for _, choice in ipairs(list) do
          if r(name(label, choice[1]), "wrong_ids/end of churn") ~= 0 then return false end
        end
      end
      return true
    end },
    table.unpack(quick and {} or {
      { "(ours) queries that stop at an estimated recall reach it within .02", function(r)
        for _, target in ipairs { .8, .9, .95 } do
          if limited(r, "recall@10", "estimated recall", "target_recall", target) < target - .02 then return false end
        end
        return true
      end },
      { "(ours) how the tree of heads is built matters little: recall at 32 heads within a point", function(r)
        for _, choice in ipairs { "8 children", "leaves of 32", "samples of 100", "thresholds 6, 25, 5", "thresholds 12, 18, 9" } do
          if math.abs(r(name("SPTAG", choice), "recall@10/end of churn") - r(name("SPTAG"), "recall@10/end of churn")) > .01 then return false end
        end
        return true
      end },
      { "splits keep reads short: without them a query reads more", function(r)
        return r(name("SPTAG", "no splits"), "bytes_read/end of churn") > r(name("SPTAG"), "bytes_read/end of churn")
      end },
      { "leaving out heads beyond 8 times the nearest one's distance costs no recall, beyond 1.5 times it does", function(r)
        local function found(ratio) return limited(r, "recall@10", "far heads", "max_dist_ratio", ratio) end
        return found "8" >= found "0" - .001 and found "1.5" < found "0" - .01
      end },
      { "(ours) as many exact distances as answers lose recall; a hundred are within a point of all that the bound leaves", function(r)
        local function found(n) return limited(r, "recall@10", "exact distances", "rerank", n) end
        return found "10" < found "0" - .01 and found "100" >= found "0" - .01
      end },
    }),
  },

  figures = {
    { "bars", y = "stats.npa_violations", x = "label", where = { tag = "end", label = "maintenance" }, title = "Vectors outside the posting of their nearest head" },
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "end of churn", label = "maintenance" }, title = "Maintenance: recall and bytes read per query" },
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "end of churn", label = "filing" }, title = "Placement: recall and bytes read per query" },
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "end of churn", label = "codes" }, title = "Codes: recall and bytes read per query" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "end of churn", label = "store" }, title = "Stores: one query at a time" },
    { "bars", y = "ns_each", x = "label", where = { tag = { "load", "arrive" } }, title = "ns per insertion, maintenance included" },
    { "bars", y = "disk_bytes", x = "label", where = { tag = "arrive" }, title = "Disk" },
  },
}
