-- churn_shift.lua - SPFresh under shifting churn: SIFT descriptors arrive image by image and the oldest leave, until
-- all were replaced.
--
-- Each of 100 steps replaces 1 %. A step inserts the descriptors of a few images, which lie close together, and
-- deletes those of others. Some postings grow fast and others shrink. The queries come from images that are never
-- stored. lib/spfresh_churn.lua describes the comparison.

local spfresh, churn = require "spfresh", require "spfresh_churn"
local sift = spfresh.sift()

churn.run {
  name = "spfresh_churn_shift",
  title = "SPFresh, shifting churn: image by image, 1 % a step",
  rows = sift,
  queries = sift:queries(option("queries", quick and 300 or 2000, "asked each time")),
  n = option("rows", quick and 3000 or 100000, "descriptors live"),
  steps = option("steps", quick and 12 or 100, "steps until all were replaced"),
  leave = "oldest",
}
