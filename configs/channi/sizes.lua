-- sizes.lua - Cluster sizes by sampling and by number of clusters, on SIFT descriptors: the open question of
-- the paper.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The paper claims "well-distributed sizes without the cost of centroids" without a figure.
-- configs/lib/channi_sizes.lua describes the comparison. sizes_words.lua repeats it on word vectors, sizes_mnist.lua
-- on digits.

require "channi_sizes".run {
  name = "channi_sizes", title = "CHANNI: cluster sizes, SIFT descriptors",
  data = require("datasets").open "photo-sift",
}
