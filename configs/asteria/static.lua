-- static.lua - Asteria on 105 688 HOG descriptors of photographs, in place of image embeddings, compared with FAISS
-- and hnswlib.

require "asteria_static".run {
  name = "asteria_static", title = "Asteria on image descriptors that do not change",
  data = require "asteria".hog(),
  params = { scan_dims = 63 },
}
