-- hamming_real_dhash.lua - range search at every radius in difference hashes of real images: many images, one code.
--
-- dhash64: 200,000 hashes of MNIST, Fashion-MNIST and CIFAR-10 images, 180,152 of them distinct, of which 500 are held back as queries.
-- Where the set is not under DRIFTLINE_DATA, the hashes are of MNIST and Fashion-MNIST, computed here: another set, called
-- dhash64-digits-clothes.
--
-- What it shows beside hamming_real.lua: the background of a digit is one colour, so that most of its bits are 0, and the same codes come
-- again and again. It is the hardest case for whatever files codes by some of their bits.

require("hamming_real").run {
  name = "hamming_real_dhash", set = "dhash64", kind = "dhash",
  title = "Range search in difference hashes of images",
}
