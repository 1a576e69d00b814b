-- static.lua - Asteria on HOG descriptors of photographs, in place of image embeddings, compared with FAISS
-- and hnswlib.
--
-- Data: photo-hog; --set data=laion-clip-300K takes another. Parameters and claims are set for photo-hog.

require "asteria_static".run {
  name = "asteria_static", title = "Asteria on image descriptors that do not change",
  data = require("datasets").open("photo-hog", "cosine"),
  params = { scan_dims = 63 },
}
