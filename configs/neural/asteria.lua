-- asteria.lua - configs/asteria/static.lua on embeddings of texts by a neural network (512 dimensions).
--
-- Data: changelogs; --set data=glove-100-angular or words takes another. Parameters and claims are those set for photo-hog.

require "asteria_static".run {
  name = "neural_asteria", title = "Asteria on embeddings of texts",
  data = require("datasets").open("changelogs", "cosine"),
  params = { scan_dims = 63 },
}
