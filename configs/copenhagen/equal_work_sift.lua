-- equal_work_sift.lua - soft_k against nprobe at equal scanned volume, on SIFT descriptors: 100,000 of photo-sift in
-- 316 lists.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The lists are many and small, and 8 to 32 of them are searched. A second list for every vector should pay here, if
-- it does anywhere.
local sift = require("datasets").open "photo-sift"
local rows = option("rows", quick and 30000 or 100000, "descriptors inserted")

require "equal_work" {
  name = "equal_work_sift", title = "Soft assignment at equal work: SIFT descriptors",
  clusters = option("lists", 316, "clusters"), paper_nprobe = 8, recalls = { "0.95", "0.98" }, pays = false,
  load = function(w)
    local base = sift:rows(1, rows)
    w:train  { base }
    w:insert { base, batch = 1000, tag = "load" }
  end,
  queries = { sift = sift:queries(200) },
}
