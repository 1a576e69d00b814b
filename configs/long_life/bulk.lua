-- bulk.lua - What becomes of an index after rounds of which each replaces a quarter of the rows at once: random rows leave.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- As random.lua, with as many changes in all, in 12 rounds instead of 300. --set share=0.5 replaces half of the rows.

local data, set = require("datasets").open "photo-sift"
local share = option("share", 0.25, "of the rows, replaced by each round")

require("long_life").experiment {
  name = "bulk", data = data, set = set, leave = "random", about = "random rows leave", share = share, rounds = math.ceil(3 / share),
}
