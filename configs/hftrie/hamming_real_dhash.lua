-- hamming_real_dhash.lua - Range search at every radius in difference hashes of real images. Many images share
-- one code.
--
-- dhash64 holds 200,000 hashes of MNIST, Fashion-MNIST and CIFAR-10 images, 180,152 of them distinct, of which 500
-- are held back as queries. Where the set is not under DRIFTLINE_DATA, hashes of MNIST and Fashion-MNIST are computed
-- instead: another set, named dhash64-digits-clothes.
--
-- The background of a digit has one colour, so most bits of its code are 0 and codes repeat. This is the hardest case
-- for an index that places codes by some of their bits.

require("hamming_real").run {
  name = "hamming_real_dhash", set = "dhash64", kind = "dhash",
  title = "Range search in difference hashes of images",
}
