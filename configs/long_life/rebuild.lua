-- rebuild.lua - When to build an index again, or to maintain it: at a share of deletions, or when the recall of a probe falls.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- 300 rounds replace a hundredth of the rows each, the oldest. After each the policy decides. A probe asks 100 queries and
-- compares their answers with a scan of all rows; what that takes is spent as maintenance is. PostgreSQL and OceanBase act
-- at 20 %, LakeSoul at 100 %. The least recall is that of 1000 other queries, asked 31 times.

local data, set = require("datasets").open "photo-sift"

require("long_life").policies {
  name = "rebuild", data = data, set = set, leave = "oldest",
  methods = {
    { "usearch", knobs = { expansion_search = 32 }, by = "rebuild", deleted = { 2, 1, 0.5, 0.2, 0.1 }, recall = { 0.91, 0.93, 0.95 } },
    { "vamana", label = "vamana, in place", params = { deletes = "in-place" }, knobs = { search_list = 16 }, by = "rebuild",
      deleted = { 2, 1, 0.5, 0.2 }, recall = { 0.94, 0.95 } },
  },
}
