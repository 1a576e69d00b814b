-- channi_static_words.lua - the same on word vectors under cosine: w2v100, 100 000 words of 100 floats.
--
-- Floats in every method, so memory differs by what is kept, not by the element.

require "channi_static".run {
  name = "channi_static_words", title = "CHANNI on word vectors that do not change",
  data = require "channi".words(), row_bytes = 400,
}
