-- hamming_real.lua - Range search at every radius in perceptual hashes of real images. The codes are skewed, so
-- tables over fixed bits fail.
--
-- The codes are 140,000 hashes of the images of MNIST and Fashion-MNIST, test images included, of which 500 are held
-- back as queries.
--
-- Uniform codes, as in the tables of the papers, favour every index. Hashes of images share bits, so some
-- buckets hold thousands of codes. From some radius on, a search by tables costs more than a scan. A method
-- that falls back to the scan in time never costs more. hamming_real_dhash.lua repeats this with difference
-- hashes, many of which are equal.

local digits, clothes = dataset "mnist", dataset "fashion-mnist"
local images = digits .. clothes .. dataset { "mnist", part = "query" } .. dataset { "fashion-mnist", part = "query" }

require("hamming_real").run {
  name = "hamming_real", images = images, kind = "phash",
  title = "Range search in perceptual hashes of images",
}
