-- channi.lua - configs/channi/static.lua on embeddings of texts by a neural network (512 dimensions, cosine).
--
-- Data: changelogs; --set data=glove-100-angular or words takes another. Claims are those set for photo-sift.

require "channi_static".run {
  name = "neural_channi", title = "CHANNI on embeddings of texts",
  data = require("datasets").open "changelogs",
}
