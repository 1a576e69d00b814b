-- hamming_real.lua - Range search at every radius in perceptual hashes of real images. The codes are skewed, so
-- tables over fixed bits fail.
--
-- phash64 holds 200,000 hashes of MNIST, Fashion-MNIST and CIFAR-10 images, of which 500 are held back as queries.
-- Where the set is not under DRIFTLINE_DATA, hashes of MNIST and Fashion-MNIST are computed instead: another set,
-- named phash64-digits-clothes.
--
-- Uniform codes, as in the tables of the papers, favour every index. Hashes of images share bits, so some
-- buckets hold thousands of codes. From some radius on, a search by tables costs more than a scan. A method
-- that falls back to the scan in time never costs more. hamming_real_dhash.lua repeats this with difference
-- hashes, many of which are equal.

require("hamming_real").run {
  name = "hamming_real", set = "phash64", kind = "phash",
  title = "Range search in perceptual hashes of images",
}
