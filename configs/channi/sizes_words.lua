-- sizes_words.lua - Cluster sizes by sampling and by number of clusters, on word vectors under cosine. See sizes.lua.

require "channi_sizes".run {
  name = "channi_sizes_words", title = "CHANNI: cluster sizes, word vectors",
  data = require "channi".words(), row_bytes = 400,
}
