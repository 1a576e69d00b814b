-- asteria_static_sphere.lua - configs/asteria_static.lua on made embeddings: unit vectors with a power-law spectrum and a common mean.
--
-- --set dim=768 for the other size the issue names.

local dim = option("dim", 512, "components of a vector")

require "asteria_static".run {
  name = "asteria_static_sphere", title = "Asteria on made embeddings",
  data = require "asteria".sphere(dim),
  params = { scan_dims = 63 },
}
