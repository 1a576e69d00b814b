-- hamming_real_dhash.lua - Range search at every radius in difference hashes of real images. Many images share
-- one code.
--
-- The codes are 140,000 hashes of the images of MNIST and Fashion-MNIST, test images included, of which 500 are held
-- back as queries.
--
-- The background of a digit has one colour, so most bits of its code are 0 and codes repeat. This is the hardest case
-- for an index that places codes by some of their bits.

local digits, clothes = dataset "mnist", dataset "fashion-mnist"
local images = digits .. clothes .. dataset { "mnist", part = "query" } .. dataset { "fashion-mnist", part = "query" }

require("hamming_real").run {
  name = "hamming_real_dhash", images = images, kind = "dhash",
  title = "Range search in difference hashes of images",
}
