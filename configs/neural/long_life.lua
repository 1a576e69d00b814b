-- long_life.lua - configs/long_life/random.lua on embeddings of texts by a neural network (512 dimensions, cosine), in the
-- order of time.
--
-- Data: changelogs; --set data=glove-100-angular or words takes another. Knobs are those set for photo-sift.

local data, set = require("datasets").open "changelogs"

require("long_life").experiment { name = "neural", data = data, set = set, leave = "random", about = "random rows of changelogs leave" }
