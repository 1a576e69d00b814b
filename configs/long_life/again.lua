-- again.lua - What becomes of an index after hundreds of small rounds, of which each deletes a hundredth of the rows and inserts
-- the same rows again.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The rows never change, so nothing drifts: what is lost is lost by the changes alone. Benchmarks that insert again what they
-- deleted measure no more than this.

local data, set = require("datasets").open "photo-sift"

require("long_life").experiment {
  name = "again", data = data, set = set, leave = "random", again = true, about = "random rows leave and come again",
}
