-- vamana.lua - The targets of our Vamana in one run: compared with hnswlib and with our HNSW on SIFT descriptors
-- as floats, on one thread.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The rows are loaded in one call, for which Vamana has two passes. Then a tenth of the rows is replaced, so that
-- the deletes of all three are compared: Vamana consolidates in w:maintain, hnswlib marks.
--
-- The queries are asked `rounds` times. Most of a run goes into the three builds; --set rows=50000 is a short one.

local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 20000 or #sift - #sift // 11, "descriptors inserted first; a tenth as many are inserted later")
local rounds = option("rounds", quick and 1 or 3, "times the queries are asked")
local degree = option("degree", 32, "Vamana: neighbours of a row at most")
local build_list = option("build_list", 100, "Vamana: candidates while inserting")
local alpha = option("alpha", 1.2, "Vamana: alpha of robust prune")

local lists = { 10, 16, 24, 32, 48, 64, 96, 128, 192 }
local churned = rows // 10

local claims = {}
local function claim(text, holds) claims[#claims + 1] = { text, holds } end
local function at(r, label, metric, recall, tag) return r(label, ("%s@recall=%s/%s"):format(metric, recall, tag)) end

for _, tag in ipairs { "full", "churned" } do
  claim(("single queries at recall .95, %s: at least .85 times hnswlib's rate"):format(tag), function(r)
    return at(r, "vamana", "single_qps", "0.95", tag) >= 0.85 * at(r, "hnswlib", "single_qps", "0.95", tag)
  end)
end
claim("after a tenth of the rows was replaced, recall is at most .01 lower", function(r)
  return r("vamana[search_list=32]", "recall@10/churned") >= r("vamana[search_list=32]", "recall@10/full") - 0.01
end)

experiment {
  name = "target_vamana",
  title = "Our Vamana against hnswlib and our HNSW",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:insert { sift:rows(1, rows), tag = "load" }
    for _ = 1, rounds do w:search { sift:queries(1000), tag = "full" } end
    w:delete { sift:rows(1, churned), tag = "delete" }
    w:insert { sift:rows(rows + 1, rows + churned), tag = "insert" }
    w:maintain { tag = "consolidate" }
    for _ = 1, rounds do w:search { sift:queries(1000), tag = "churned" } end
  end,

  methods = {
    method { "vamana", element = "f32", sweep = { search_list = lists },
             params = { degree = degree, build_list = build_list, alpha = alpha, maintenance = "explicit" } },
    method { "hnswlib", element = "f32", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = lists } },
    method { "hnsw", element = "f32", params = { M = 16, ef_construction = 200 }, sweep = { ef_search = lists } },
  },
  claims = claims,

  figures = {
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "full" }, title = "One query at a time" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "churned" },
      title = "One query at a time, after a tenth was replaced" },
    { "pareto", x = "distances", y = "recall@10", where = { tag = "full" }, title = "Distances computed" },
  },
}
