-- channi_sizes_words.lua - sizes of clusters by sampling and by how many there are, on word vectors under cosine. See channi_sizes.lua.

require "channi_sizes".run {
  name = "channi_sizes_words", title = "CHANNI: sizes of clusters, word vectors",
  data = require "channi".words(), row_bytes = 400,
}
