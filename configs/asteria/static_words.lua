-- static_words.lua - configs/asteria/static.lua on word vectors (100 dimensions).
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.

require "asteria_static".run {
  name = "asteria_static_words", title = "Asteria on word vectors that do not change",
  data = require("datasets").open("words", "cosine"),
  params = { rabitq_bits = 4 },
}
