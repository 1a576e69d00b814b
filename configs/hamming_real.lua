-- hamming_real.lua - range search at every radius in perceptual hashes of real images: skewed codes, where tables of fixed bits fail.
--
-- phash64: 200,000 hashes of MNIST, Fashion-MNIST and CIFAR-10 images, of which 500 are held back as queries. Where the set is not
-- under DRIFTLINE_DATA, the hashes are of MNIST and Fashion-MNIST, computed here: another set, called phash64-digits-clothes.
--
-- What it shows: uniform codes, of which the tables of the sources are, flatter every index. Hashes of images share bits, so some buckets hold
-- thousands of codes and a search by tables costs more than a scan from some radius on; what falls back in time never does.
-- hamming_real_dhash.lua does the same with difference hashes, which repeat heavily.

require("hamming_real").run {
  name = "hamming_real", set = "phash64", kind = "phash",
  title = "Range search in perceptual hashes of images",
}
