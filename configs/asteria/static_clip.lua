-- static_clip.lua - Needs the internet: configs/asteria/static.lua on CLIP embeddings of images (768 dimensions), the data
-- that Asteria was designed for. The data set is downloaded from its official source; without a network the run is refused.

local clip = dataset "laion-clip-300K"

require "asteria_static".run {
  name = "asteria_static_clip", title = "Asteria on CLIP embeddings that do not change",
  data = clip,
  params = { scan_dims = 63 },
}
