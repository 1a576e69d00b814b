-- static_words.lua - CHANNI on word vectors under cosine that do not change: w2v100, 100 000 words of 100 floats.
--
-- Every method holds floats, so memory differs by what a method keeps, not by the element.

require "channi_static".run {
  name = "channi_static_words", title = "CHANNI on word vectors that do not change",
  data = require "channi".words(), row_bytes = 400,
}
