-- channi_writes.lua - What CHANNI writes while every vector is replaced, and its recall after that beside a fresh
-- build's, over eight seeds.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Fifty steps each replace a fiftieth of the descriptors, a hundred rows per commit: random rows leave, rows in random
-- order arrive. Everything but the size of the clusters is at its default; clusters of 250 rows make a hundred and
-- twenty of 30 000 descriptors. `rebuilt` is built anew at the last step. Recall is compared at the same nprobe and, as
-- sizes of clusters differ, at an equal number of scanned codes. Each figure is the median over the seeds. A run
-- takes some minutes.

local spfresh = require "spfresh"
local data  = require("datasets").open "photo-sift"
local n     = option("rows", quick and 4000 or 30000, "held at a time; twice as many are used")
local steps = 50
local part  = n // steps

local probes, mark = { 2, 4, 6, 8, 10, 12, 16, 24 }, 8
local live, rebuilt = "CHANNI", "rebuilt"
local function index(label, more)
  local m = { "channi", label = label, params = { expected_n = n, target_cluster = quick and 100 or 250 }, sweep = { nprobe = probes } }
  for key, value in pairs(more or {}) do m[key] = value end
  return method(m)
end
local function at(label, nprobe) return spfresh.point(label, nprobe) end

experiment {
  name = "target_channi_writes",
  title = "CHANNI: bytes written while every vector is replaced",
  publication = "CHANNI",
  seed = 1, seeds = 8, k = 10, threads = 1,

  workload = function(w)
    w:insert { data:rows(1, n), tag = "load" }
    for step = 1, steps do
      w:delete { random = part, batch = 100, tag = "leave" }
      w:insert { data:rows(n + (step - 1) * part + 1, n + step * part), batch = 100, tag = step < steps and "arrive" or "last" }
    end
    w:search { data:queries(quick and 100 or 500), tag = "after" }
  end,

  methods = { index(live), index(rebuilt, { rebuild = "last" }) },

  claims = {
    { "(target) turnover writes at most 10 bytes for each byte given", function(r)
      local function since(name) return r(at(live, mark), ("stats.%s/last"):format(name)) - r(at(live, mark), ("stats.%s/load"):format(name)) end
      return since "bytes_written" <= 10 * since "bytes_given"
    end },
    { "(target) recall at the same nprobe is within a point of a fresh build's", function(r)
      for _, nprobe in ipairs(probes) do
        if r(at(live, nprobe), "recall@10/after") < r(at(rebuilt, nprobe), "recall@10/after") - .01 then return false end
      end
      return true
    end },
    { "(target) and at an equal number of scanned codes, at 6, 8, 10 and 12 clusters", function(r)
      for _, nprobe in ipairs { 6, 8, 10, 12 } do
        local point = at(live, nprobe)
        if r(point, "recall@10/after") < spfresh.recall_at(r, rebuilt, probes, "estimates", "after", r(point, "estimates/after")) - .01 then return false end
      end
      return true
    end },
  },

  figures = {
    { "pareto", x = "estimates", y = "recall@10", where = { tag = "after" }, title = "After every vector was replaced" },
    { "timeline", y = "stats.write_amplification", where = { tag = { "load", "arrive", "last" }, label = live, point = "nprobe=" .. mark }, title = "Bytes written per byte given" },
  },
}
