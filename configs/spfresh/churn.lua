-- churn.lua - SPFresh under uniform churn: SIFT descriptors arrive in random order and random ones leave, until all
-- were replaced once.
--
-- Each of 100 steps replaces 1 %. The distribution stays the same, so a rebuild is the upper end and every loss is
-- the index's own. churn_shift.lua has data that change. lib/spfresh_churn.lua describes the comparison.

local spfresh, churn = require "spfresh", require "spfresh_churn"
local sift = spfresh.sift()

churn.run {
  name = "spfresh_churn",
  title = "SPFresh, uniform churn: every vector replaced, 1 % a step",
  rows = sift:shuffle(1),
  queries = sift:queries(option("queries", quick and 300 or 2000, "asked each time")),
  n = option("rows", quick and 3000 or 100000, "descriptors live"),
  steps = option("steps", quick and 12 or 100, "steps until all were replaced"),
  leave = "random",
}
