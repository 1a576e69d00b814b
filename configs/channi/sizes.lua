-- sizes.lua - Cluster sizes by sampling and by number of clusters, on 296 507 SIFT descriptors: the open question of
-- the paper.
--
-- The paper claims "well-distributed sizes without the cost of centroids" without a figure.
-- configs/lib/channi_sizes.lua describes the comparison. sizes_words.lua repeats it on word vectors, sizes_mnist.lua
-- on digits.

require "channi_sizes".run {
  name = "channi_sizes", title = "CHANNI: cluster sizes, SIFT descriptors",
  data = require "channi".sift(), row_bytes = 128,
}
