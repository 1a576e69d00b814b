-- newest.lua - What becomes of an index after hundreds of small rounds of deletions and insertions, of which each replaces a
-- hundredth of the rows: the newest rows leave, so that most of the first rows stay.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- photo-sift comes picture by picture: what comes differs from what leaves. Each round is followed by maintenance. After
-- rounds 0, 1, 3, 9, ... each index is measured beside "LABEL, new", which is built anew of the same rows at the same
-- parameters; what building takes is its `seconds/before measuring`.

local data, set = require("datasets").open "photo-sift"

require("long_life").experiment { name = "newest", data = data, set = set, leave = "newest", about = "the newest rows leave" }
