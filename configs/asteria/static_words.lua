-- static_words.lua - configs/asteria/static.lua on word vectors (100 dimensions).

require "asteria_static".run {
  name = "asteria_static_words", title = "Asteria on word vectors that do not change",
  data = require "asteria".words(),
  params = { rabitq_bits = 4 },
}
