-- channi_sizes.lua - sizes of clusters by sampling and by how many there are, on 296 507 SIFT descriptors: the source's open question.
--
-- "Well-distributed sizes without the cost of centroids" is claimed without a figure. See configs/lib/channi_sizes.lua for what is compared;
-- channi_sizes_words.lua and channi_sizes_mnist.lua ask the same of word vectors and of digits.

require "channi_sizes".run {
  name = "channi_sizes", title = "CHANNI: sizes of clusters, SIFT descriptors",
  data = require "channi".sift(), row_bytes = 128,
}
