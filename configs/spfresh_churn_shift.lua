-- spfresh_churn_shift.lua - SPFresh under shifting churn: SIFT descriptors come image by image, the oldest leave, until all were replaced.
--
-- 1 % a step, 100 steps. A step brings the descriptors of a few images, which lie together, and takes away those of others: some
-- postings grow fast, others starve. Queries are of images never stored. What is compared, and how: lib/spfresh_churn.lua.

local spfresh, churn = require "spfresh", require "spfresh_churn"
local sift = spfresh.sift()

churn.run {
  name = "spfresh_churn_shift",
  title = "SPFresh, shifting churn: image by image, 1 % a step",
  rows = sift,
  queries = sift:queries(option("queries", quick and 300 or 2000, "asked each time")),
  n = option("rows", quick and 5000 or 100000, "descriptors live"),
  steps = option("steps", quick and 20 or 100, "steps until all were replaced"),
  leave = "oldest",
}
