-- churn.lua - SPFresh under uniform churn: SIFT descriptors arrive in random order and random ones leave, until all
-- were replaced once.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Each of 100 steps replaces 1 %. The distribution stays the same, so a rebuild is the upper end and every loss is
-- the index's own. churn_shift.lua has data that change. lib/spfresh_churn.lua describes the comparison.

local sift = require("datasets").open "photo-sift"

require("spfresh_churn").run {
  name = "spfresh_churn",
  title = "SPFresh, uniform churn: every vector replaced, 1 % a step",
  rows = sift,
  queries = sift:queries(option("queries", quick and 300 or 2000, "asked each time")),
  n = option("rows", quick and 3000 or 100000, "descriptors live"),
  steps = option("steps", quick and 12 or 100, "steps until all were replaced"),
  leave = "random",
}
