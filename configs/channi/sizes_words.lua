-- sizes_words.lua - Cluster sizes by sampling and by number of clusters, on word vectors under cosine. See sizes.lua.
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.

require "channi_sizes".run {
  name = "channi_sizes_words", title = "CHANNI: cluster sizes, word vectors",
  data = require("datasets").open "words",
}
