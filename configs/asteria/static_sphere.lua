-- static_sphere.lua - configs/asteria/static.lua on synthetic embeddings: unit vectors with a power-law spectrum and
-- a common mean.
--
-- --set dim=768 selects the other specified size.

local dim = option("dim", 512, "components of a vector")

require "asteria_static".run {
  name = "asteria_static_sphere", title = "Asteria on synthetic embeddings",
  data = synthetic { kind = "sphere", rows = 100000, dim = dim },
  params = { scan_dims = 63 },
}
