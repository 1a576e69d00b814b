-- churn_shift.lua - SPFresh under shifting churn: SIFT descriptors arrive picture by picture and the oldest leave, until
-- all were replaced.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Each of 100 steps replaces 1 %. A step inserts the descriptors of a few pictures, which lie close together, and
-- deletes those of others. Some postings grow fast and others shrink. The queries come from pictures that are never
-- stored. lib/spfresh_churn.lua describes the comparison.

local sift = require("datasets").stream "photo-sift"

require("spfresh_churn").run {
  name = "spfresh_churn_shift",
  title = "SPFresh, shifting churn: picture by picture, 1 % a step",
  rows = sift,
  queries = sift:queries(option("queries", quick and 300 or 2000, "asked each time")),
  n = option("rows", quick and 3000 or 100000, "descriptors live"),
  steps = option("steps", quick and 12 or 100, "steps until all were replaced"),
  leave = "oldest",
}
